"""Whether a ledger of ten years makes the portfolio slower, and what an order costs on disk."""

import asyncio
from pathlib import Path
import time

from homeassistant.core import HomeAssistant
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from custom_components.calvalot.ledgers import ledger_path

from .figure import Figure, middle
from .stage import AFTER, BEFORE, World, entry, home, world
from .years import fill_ledger

SIZES = (10, 10_000, 1_000_000)
BOUND = 1.3
ORDERS = 5


async def measure(*, quick: bool) -> list[Figure]:
    """The same portfolio with ledgers of several lengths, their cycles in turns, as other things run on the machine, too."""
    sizes = SIZES[:2] if quick else SIZES
    rounds = 10 if quick else 40
    cycles: dict[int, list[float]] = {size: [] for size in sizes}
    starts: dict[int, list[float]] = {size: [] for size in sizes}
    async with world() as there, home() as hass:
        followers = {}
        for size in sizes:
            followers[size] = follower = entry(there.data(live=False), f"{size:,} trades")
            path = ledger_path(hass, follower.entry_id)
            await asyncio.to_thread(_prepare, path, size)
            await there.publish({})
            await hass.config_entries.async_add(follower)
            await follower.runtime_data.async_poll()
        on_disk = {size: ledger_path(hass, each.entry_id).stat().st_size for size, each in followers.items()}
        order = list(followers.items())
        for _ in range(rounds):
            order.append(order.pop(0))  # none of them is always the first
            for size, follower in order:
                for _ in range(5):
                    await there.control("walk")
                    start = time.monotonic()
                    await follower.runtime_data.async_poll()
                    cycles[size].append(time.monotonic() - start)
                starts[size].append(await _restart(hass, follower.entry_id))
                await hass.async_block_till_done()
        commits = await _commits(there, hass)
    trades = sizes[-1] - sizes[-2]
    how = f"median of {rounds * 5} cycles, in turns with the others"
    return [
        *(
            Figure(name=f"cycle, {size:,} trades", value=middle(cycles[size]) * 1000, unit="ms", by=how)
            for size in sizes
        ),
        Figure(name="… the slowest to the fastest", value=_spread(cycles), unit="×", bound=BOUND, by="the same"),
        *(
            Figure(
                name=f"set-up, {size:,} trades", value=middle(starts[size]) * 1000, unit="ms", by=f"median of {rounds}"
            )
            for size in sizes
        ),
        Figure(name="… the slowest to the fastest", value=_spread(starts), unit="×", bound=BOUND, by="the same"),
        Figure(
            name="on disk for each trade",
            value=(on_disk[sizes[-1]] - on_disk[sizes[-2]]) / trades,
            unit="bytes",
            by="its order, its fill, a fifth of a signal, its share of a daily close, all indices",
        ),
        Figure(
            name="commits for each order, live",
            value=commits / ORDERS,
            unit="",
            by=f"counted over a cycle with {ORDERS}; a commit is one fsync (SQLite: WAL, synchronous=FULL)",
        ),
    ]


def _prepare(path: Path, trades: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fill_ledger(path, trades)


def _spread(times: dict[int, list[float]]) -> float:
    medians = [middle(each) for each in times.values()]
    return max(medians) / min(medians)


async def _restart(hass: HomeAssistant, entry_id: str) -> float:
    """Seconds that loading an entry again takes, its first cycle included."""
    await hass.config_entries.async_unload(entry_id)
    start = time.monotonic()
    await hass.config_entries.async_setup(entry_id)
    return time.monotonic() - start


async def _commits(there: World, hass: HomeAssistant) -> int:
    """Commits of one cycle with five orders, live."""
    await there.publish(BEFORE)
    follower = entry(there.data(live=True), "Live")
    await hass.config_entries.async_add(follower)
    await follower.runtime_data.async_poll()
    await there.publish(AFTER)
    counted = 0

    def commit(connection: Connection) -> None:
        nonlocal counted
        name = connection.engine.url.database or ""
        counted += follower.entry_id in name and not connection.get_execution_options().get("reads")

    event.listen(Engine, "commit", commit)
    try:
        await follower.runtime_data.async_poll()
    finally:
        event.remove(Engine, "commit", commit)
    return counted
