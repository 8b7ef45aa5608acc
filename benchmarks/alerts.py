"""How fast alerts from outside are answered in a storm, and how long one takes from being sent to its fill.

A real Home Assistant, both simulators as processes of their own on loopback; for the fill every request to one of them takes 50 ms.
The storm comes from this process too: what it measures includes the sender's own work.
"""

import argparse
import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
import json
from statistics import median
import time
from typing import Any

from aiohttp import ClientSession
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant

from custom_components.calvalot.trading.alert import AlertRecord
from custom_components.calvalot.trading.sources.alert_inbox import new_token, token_hash

from .calibration import work
from .figure import Figure
from .push import Fills
from .stage import LATENCY, World, entry, home, world

ALERTS = 1000
WITHIN = 10.0
COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")
COMMITS = 21
FILLS = 8
# One cycle for what is pushed within five seconds.
PAUSE = 6
# The slowest answer, in W: less than the 3 s after which TradingView gives up wherever W is less than 30 ms.
ANSWERED = 100
# What bounds a fill: prices and account together, then the order; and what the portfolio may take by itself, in W.
TRIPS, OWN = 2, 12


def led_by_alerts(there: World, token: str, own: str, *, live: bool) -> ConfigEntry[Any]:
    """A portfolio that alerts lead; `own` is the id of its webhook."""
    data = there.data(live=live) | {"source": "alerts", "token": token_hash(token), "alert_webhook_id": own}
    return entry(
        {key: value for key, value in data.items() if key not in {"leader_url", "signal_secret"}},
        coins=list(COINS),
        share=20,
        allow=["close", "reduce", "open", "orders"],
        max_age=300,
        message="strategy",
    )


def address(hass: HomeAssistant, own: str) -> str:
    """Where alerts arrive."""
    return f"http://127.0.0.1:{hass.http.server_port}/api/webhook/{own}"


def body(token: str, coin: str, number: int, **fields: object) -> bytes:
    """An alert as TradingView sends it."""
    told = datetime.now(UTC).isoformat(timespec="seconds")
    text = {"token": token, "ticker": f"{coin}USDT", "timenow": told, "id": number, "market_position": "long", **fields}
    return json.dumps(text).encode()


async def run(count: int = ALERTS, within: float = WITHIN, fills: int = FILLS) -> dict[str, Any]:
    """What became of a storm, and what single alerts took to their fills; both in one Home Assistant."""
    async with world() as there, home() as hass, ClientSession() as session:
        return await _storm(there, hass, session, count, within) | await _fills(there, hass, session, fills)


async def _storm(
    there: World, hass: HomeAssistant, session: ClientSession, count: int, within: float
) -> dict[str, Any]:
    """Seconds that each answer took, how many were answered well, how many are written down, and seconds of one commit."""
    token, own = new_token(), "1" * 64
    portfolio = led_by_alerts(there, token, own, live=False)
    await hass.config_entries.async_add(portfolio)
    await portfolio.runtime_data.async_poll()
    commit = await _commit(portfolio)
    url, began = address(hass, own), time.monotonic()

    async def send(number: int) -> tuple[float, int]:
        await asyncio.sleep(began + number * within / count - time.monotonic())
        start = time.monotonic()
        async with session.post(url, data=body(token, COINS[number % len(COINS)], number)) as sent:
            await sent.read()
            return time.monotonic() - start, sent.status

    answers = await asyncio.gather(*(send(number) for number in range(count)))
    took = time.monotonic() - began
    await portfolio.runtime_data.async_poll()
    kept: Any = await hass.services.async_call(
        "calvalot",
        "get_alerts",
        {"limit": 1000, "config_entry_id": portfolio.entry_id},
        blocking=True,
        return_response=True,
    )
    return {
        "seconds": sorted(each for each, _ in answers),
        "answered": sum(status == 200 for _, status in answers),
        "kept": sum(alert["state"] != "refused" for alert in kept["alerts"]),
        "commit": commit,
        "took": took,
    }


async def _fills(there: World, hass: HomeAssistant, session: ClientSession, count: int) -> dict[str, Any]:
    """Seconds from sending an alert to the fill of its order, bought and sold in turns."""
    token, own, delays = new_token(), "2" * 64, []
    portfolio = led_by_alerts(there, token, own, live=True)
    await hass.config_entries.async_add(portfolio)
    await portfolio.runtime_data.async_poll()
    heard = Fills(hass)
    await there.delay(LATENCY)
    for number in range(count):
        await asyncio.sleep(PAUSE)
        sent = time.time()
        position = "flat" if number % 2 else "long"
        async with session.post(
            address(hass, own), data=body(token, "BTC", number, market_position=position)
        ) as answer:
            answer.raise_for_status()
        async with asyncio.timeout(60):
            delays.append(await heard.next_after(sent) - sent)
    return {"delays": delays}


async def measure(*, quick: bool) -> list[Figure]:
    """The same for the table of all benchmarks."""
    count, within = (200, 2.0) if quick else (ALERTS, WITHIN)
    before = work()
    told = await run(count, within, 3 if quick else FILLS)
    unit = (before + work()) / 2
    seconds, commit, delays = told["seconds"], told["commit"], told["delays"]
    how = f"{count} alerts in {within:.0f} s over HTTP, sender included"
    return [
        Figure(name="one commit of one alert", value=commit * 1000, unit="ms", by=f"median of {COMMITS}; same run"),
        Figure(name="answered with 200", value=told["answered"], unit="", bound=count, at_least=True, by=how),
        Figure(name="written down", value=told["kept"], unit="", bound=count, at_least=True, by="the same"),
        Figure(
            name="the slowest answer",
            value=seconds[-1] / unit,
            unit="× W",
            bound=ANSWERED,
            by=f"the same: {seconds[-1]:.2f} s; W = {unit * 1000:.1f} ms; bound {ANSWERED} × W",
        ),
        Figure(name="… the median one", value=median(seconds) / commit, unit="× commit", by="the same"),
        Figure(name="… the slowest one", value=seconds[-1] / commit, unit="× commit", by="the same"),
        Figure(
            name="alert to fill",
            value=median(delays) / LATENCY,
            unit="× L",
            bound=TRIPS + OWN * unit / LATENCY,
            by=f"median of {len(delays)}; L = {LATENCY * 1000:.0f} ms, W = {unit * 1000:.1f} ms; "
            f"bound {TRIPS} × L + {OWN} × W",
        ),
    ]


async def _commit(portfolio: ConfigEntry[Any]) -> float:
    """Seconds that one alert takes to be written down alone, without Home Assistant and HTTP."""
    alerts = portfolio.runtime_data.engine.alerts
    seconds = []
    for number in range(COMMITS):
        start = time.monotonic()
        written: AlertRecord | None = await alerts.receive("alerts", f"{number}".encode())
        seconds.append(time.monotonic() - start)
        if written is None:
            raise RuntimeError("the alert was not written down")
    return median(seconds)


def report(told: Mapping[str, Any]) -> str:
    """The figures in words."""
    seconds, delays = told["seconds"], told["delays"]
    return (
        f"{told['answered']} of {len(seconds)} answered in {told['took']:.1f} s, {told['kept']} kept; answer: median "
        f"{median(seconds) * 1000:.1f} ms, slowest {seconds[-1] * 1000:.0f} ms; one commit {told['commit'] * 1000:.1f} ms; "
        f"alert to fill {median(delays):.3f} s, {median(delays) / LATENCY:.2f} × L"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alerts", description=__doc__)
    parser.add_argument("--alerts", type=int, default=ALERTS)
    parser.add_argument("--within", type=float, default=WITHIN, help="seconds")
    parser.add_argument("--fills", type=int, default=FILLS)
    arguments = parser.parse_args()
    print(report(asyncio.run(run(arguments.alerts, arguments.within, arguments.fills))))


if __name__ == "__main__":
    main()
