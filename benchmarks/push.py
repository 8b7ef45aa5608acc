"""How long a signal takes from its publication to its last fill, with push and without.

A real Home Assistant, both simulators as processes of their own on loopback; every request to one of them takes 50 ms, the
push itself no longer than loopback does. Without push the signals come at times drawn by lot.
"""

import argparse
import asyncio
from collections.abc import Mapping
from datetime import datetime
import json
from random import Random
from statistics import fmean, median
import time
from typing import Any

from homeassistant.core import Event, HomeAssistant, callback

from .calibration import work
from .figure import Figure
from .stage import AFTER, BEFORE, LATENCY, World, entry, home, world

SIGNALS = 8
# Seconds between two polls: the shortest that the options allow, so that the run is bounded; the default is 120.
INTERVAL = 30
# The follower makes one poll of what is pushed within five seconds.
PAUSE = 6
# What bounds it: leader, prices and account together, then the sells, then the buys.
BOUND = 3 * LATENCY
# What the follower may take by itself, in W.
OWN = 12


class Fills:
    """The portfolio's trades as they are told, by signal."""

    def __init__(self, hass: HomeAssistant, entry_id: str | None = None) -> None:
        """Listen; to one portfolio only where it is named."""
        self._entry_id = entry_id
        self._last: dict[str, tuple[int, float]] = {}
        self._more = asyncio.Event()
        hass.bus.async_listen("calvalot_trade", self._heard)

    @callback
    def _heard(self, event: Event[Mapping[str, Any]]) -> None:
        if self._entry_id not in (None, event.data["entry_id"]):
            return
        count, last = self._last.get(event.data["signal_id"], (0, 0.0))
        filled = datetime.fromisoformat(event.data["time"]).timestamp()
        self._last[event.data["signal_id"]] = (count + 1, max(last, filled))
        self._more.set()

    async def next_after(self, time: float) -> float:
        """When the first order after a time was filled (Unix time)."""
        while not (later := [last for _, last in self._last.values() if last > time]):
            self._more.clear()
            await self._more.wait()
        return min(later)

    async def last_of(self, signal_id: str, count: int) -> float:
        """When the last of so many orders of a signal was filled (Unix time)."""
        while self._last.get(signal_id, (0, 0.0))[0] < count:
            self._more.clear()
            await self._more.wait()
        return self._last[signal_id][1]


async def run(signals: int = SIGNALS, interval: int = INTERVAL, seed: int = 1) -> dict[str, Any]:
    """Seconds from publication to last fill, pushed and polled; each signal sells and buys, five orders in all."""
    random = Random(seed)
    figures: dict[str, Any] = {"signals": signals, "interval": interval, "latency": LATENCY, "bound": BOUND}
    async with world() as there, home() as hass:
        await there.publish(BEFORE)
        follower = entry(there.data(live=True), poll_interval=interval, push=True)
        await hass.config_entries.async_add(follower)
        url = f"http://127.0.0.1:{hass.http.server_port}/api/webhook/{follower.data['webhook_id']}"
        fills = Fills(hass)
        await there.delay(LATENCY)
        for name in ("push", "polling"):
            await asyncio.to_thread(there.leader.control, "set_webhooks", urls=[url] if name == "push" else [])
            delays = []
            for number in range(signals):
                await asyncio.sleep(PAUSE if name == "push" else random.uniform(0, interval))
                async with asyncio.timeout(interval + 30):
                    delays.append(await _one(there, fills, f"{name}-{number}", BEFORE if number % 2 else AFTER))
            figures[name] = {"median": median(delays), "mean": fmean(delays), "max": max(delays), "delays": delays}
            await there.publish(BEFORE)
            await follower.runtime_data.async_poll()
    return figures


async def measure(*, quick: bool) -> list[Figure]:
    """The same for the table of all benchmarks."""
    before = work()
    figures = await run(3 if quick else SIGNALS)
    unit = (before + work()) / 2
    how = f"median of {figures['signals']} signals, from the publication on; L = {LATENCY * 1000:.0f} ms"
    return [
        Figure(
            name="publication to last fill, pushed",
            value=figures["push"]["median"] / LATENCY,
            unit="× L",
            bound=3 + OWN * unit / LATENCY,
            by=f"{how}, W = {unit * 1000:.1f} ms; bound 3 × L + {OWN} × W",
        ),
        Figure(name=f"… polled every {INTERVAL} s", value=figures["polling"]["median"], unit="s", by=how),
    ]


async def _one(there: World, fills: Fills, signal_id: str, targets: Mapping[str, float]) -> float:
    published = time.time()
    await there.publish(targets, signal_id=signal_id)
    return await fills.last_of(signal_id, 5) - published


def report(figures: Mapping[str, Any]) -> str:
    """The figures as a table in Markdown."""
    rows = [
        ("push", "push", figures["bound"]),
        (f"polling every {figures['interval']} s", "polling", figures["interval"] / 2 + figures["bound"]),
    ]
    lines = ["| publication to last fill | bound | median | mean | longest |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {name} | {bound:.2f} s | {figures[key]['median']:.2f} s | {figures[key]['mean']:.2f} s | {figures[key]['max']:.2f} s |"
        for name, key, bound in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push", description=__doc__)
    parser.add_argument("--json", action="store_true", help="all figures as JSON instead of a table")
    parser.add_argument("--signals", type=int, default=SIGNALS)
    parser.add_argument("--interval", type=int, default=INTERVAL, help="seconds between two polls")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    figures = asyncio.run(run(arguments.signals, arguments.interval, arguments.seed))
    print(json.dumps(figures, indent=1) if arguments.json else report(figures))


if __name__ == "__main__":
    main()
