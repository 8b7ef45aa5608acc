"""From a signal to its last fill, live: two sells and three buys, beside a portfolio that does one thing after the other."""

from collections.abc import Awaitable, Callable
import time
from typing import Any

from aiohttp import ClientSession

from custom_components.calvalot.trading.exchanges.base import OrderReport, OrderRequest

from .calibration import work
from .figure import Figure, middle
from .sequential import REQUESTS, SequentialFollower
from .stage import AFTER, BEFORE, LATENCY, World, entry, home, world

ORDERS = 5
# What the follower may take by itself, in W.
OWN = 5
SELLS = {"BTCUSDC": "0.002", "ETHUSDC": "0.05"}
BUYS = {"BNBUSDC": "0.2", "SOLUSDC": "1", "XRPUSDC": "90"}
OTHER_KEY, OTHER_SECRET = "sequential".ljust(64, "0"), "sequentialSecret".ljust(64, "0")


async def measure(*, quick: bool) -> list[Figure]:
    """Both portfolios in turns, on the same two simulators."""
    rounds = 5 if quick else 21
    async with world() as there, home() as hass, ClientSession() as session:
        other = await _other(there, session)
        await there.publish(BEFORE)
        follower = entry(there.data(live=True))
        await hass.config_entries.async_add(follower)
        coordinator = follower.runtime_data
        answered: list[float] = []
        coordinator.exchange.place = _noting(coordinator.exchange.place, answered)
        fills, cycles, sequential, bare, works = [], [], [], [], []
        for _ in range(rounds):
            await there.delay(0)
            await there.publish(BEFORE)
            await coordinator.async_poll()
            await there.delay(LATENCY)
            await there.publish(AFTER)
            answered.clear()
            start = time.monotonic()
            await coordinator.async_poll()
            cycles.append(time.monotonic() - start)
            if len(answered) != ORDERS:
                raise RuntimeError(f"{len(answered)} orders, not {ORDERS}")
            fills.append(answered[-1] - start)
            start = time.monotonic()
            await other.follow(SELLS, BUYS)
            sequential.append(time.monotonic() - start)
            bare.append(await there.trip())
            works.append(work())
    fill, slow, latency, unit = middle(fills), middle(sequential), middle(bare), middle(works)
    how = f"median of {rounds} signals, from the poll on; L = {latency * 1000:.1f} ms"
    bound = 3 + OWN * unit / latency
    return [
        Figure(
            name="a bare request, L", value=latency * 1000, unit="ms", by=f"{LATENCY * 1000:.0f} ms were set; same run"
        ),
        Figure(name="a piece of work, W", value=unit * 1000, unit="ms", by="same run"),
        Figure(
            name="signal to the answer of the last order",
            value=fill / latency,
            unit="× L",
            bound=bound,
            by=f"{how}; bound 3 × L + {OWN} × W",
        ),
        Figure(name="… the fastest of them", value=min(fills) / latency, unit="× L", by="the least of the same"),
        Figure(
            name="signal to figures and events in Home Assistant", value=middle(cycles) / latency, unit="× L", by=how
        ),
        Figure(name="one thing after the other", value=slow / latency, unit="× L", by=f"{REQUESTS} requests, same run"),
        Figure(
            name="faster than one thing after the other",
            value=slow / fill,
            unit="×",
            bound=REQUESTS / bound,
            at_least=True,
            by=f"same run; bound {REQUESTS} × L against the bound above",
        ),
    ]


async def _other(there: World, session: ClientSession) -> SequentialFollower:
    """The sequential portfolio, with an account of its own."""
    balances = {"USDC": "50000", "BTC": "1", "ETH": "10"}
    await there.control("add_account", api_key=OTHER_KEY, api_secret=OTHER_SECRET, balances=balances)
    leader, exchange = there.leader, there.exchange
    return SequentialFollower(session, leader.url, leader.ready["secret"], exchange.url, OTHER_KEY, OTHER_SECRET)


def _noting(place: Callable[[OrderRequest], Awaitable[OrderReport]], answered: list[float]) -> Any:
    """The same, and when the answer was there."""

    async def noted(order: OrderRequest) -> OrderReport:
        report = await place(order)
        answered.append(time.monotonic())
        return report

    return noted
