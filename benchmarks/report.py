"""What a report of 1,000 trades takes, and how long it holds the event loop up."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
import gc
import time

from homeassistant.core import HomeAssistant

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.ledgers import ledger_path

from .blocks import Blocks, watched_loop
from .calibration import piece
from .figure import Figure, middle
from .stage import entry, home, world
from .years import fill_ledger

TRADES = 1000
# Multiples of P, which is 1 to 2 ms: 3 s, and 5 ms.
WHOLE = 1500
LONGEST = 2.5
# Seconds between two looks of the loop.
TICK = 0.001


async def measure(*, quick: bool) -> list[Figure]:
    """The first report, which imports what it needs, and others after it, beside a loop that is kept busy."""
    rounds = 3 if quick else 9
    async with world() as there, home() as hass:
        follower = entry(there.data(live=False))
        path = ledger_path(hass, follower.entry_id)
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(fill_ledger, path, TRADES)
        await hass.config_entries.async_add(follower)
        await hass.async_block_till_done()
        first, *_ = made = [await _made(hass) for _ in range(rounds + 1)]
    unit, taken = middle(each.unit for each in made), [each.seconds for each in made]
    longest = [max(each.blocks.callbacks) for each in made]
    return [
        Figure(name="a piece of Python, P", value=unit * 1000, unit="ms", by="same run"),
        Figure(
            name="the first report of 1,000 trades",
            value=first.seconds / first.unit,
            unit="× P",
            bound=WHOLE,
            by=f"once: {first.seconds:.2f} s; reportlab is imported, page and PDF are written",
        ),
        Figure(
            name="… one after it",
            value=middle(taken[1:]) / unit,
            unit="× P",
            by=f"median of {rounds}: {middle(taken[1:]):.2f} s",
        ),
        Figure(
            name="… longest block of the event loop",
            value=middle(longest) / unit,
            unit="× P",
            bound=LONGEST,
            by=f"median of {rounds + 1}: {middle(longest) * 1000:.2f} ms; the worst {max(longest) * 1000:.2f} ms",
        ),
        Figure(
            name="… longest that the loop waited for the worker",
            value=middle(max(each.late) for each in made) * 1000,
            unit="ms",
            by="median of the same; figures and layout are made in a thread, the files in a process of their own",
        ),
        Figure(
            name="… and without a report, in the same time",
            value=middle(max(each.idle) for each in made) * 1000,
            unit="ms",
            by="median of the same: what the machine and the other threads take",
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Made:
    """Seconds that a report took, what held the loop up meanwhile, how late it was (s), and P of that time (s).

    `idle` is how late it was in as many seconds without a report.
    """

    seconds: float
    blocks: Blocks
    late: list[float]
    idle: list[float]
    unit: float


async def _made(hass: HomeAssistant) -> _Made:
    """Make a report beside a loop that looks around all the time."""
    late, idle = [0.0], [0.0]

    async def busy(found: list[float]) -> None:
        while True:
            start = time.monotonic()
            await asyncio.sleep(TICK)
            found.append(time.monotonic() - start - TICK)

    unit = piece()
    gc.collect()
    ticking = asyncio.create_task(busy(late))
    with watched_loop() as blocks:
        start = time.monotonic()
        data = {"year": datetime.now(UTC).year}
        await hass.services.async_call(DOMAIN, "create_report", data, blocking=True, return_response=True)
        seconds = time.monotonic() - start
    ticking.cancel()
    ticking = asyncio.create_task(busy(idle))
    await asyncio.sleep(seconds)
    ticking.cancel()
    return _Made(seconds, blocks, late, idle, unit)
