"""What a cycle costs the machine: the longest block of the event loop, and processor time."""

import asyncio
import gc
import time
from typing import Any

from homeassistant.core import HomeAssistant

from .blocks import Blocks, watched_loop
from .calibration import piece
from .figure import Figure, middle
from .stage import AFTER, World, entry, home, world

CYCLES = 200
# Multiples of P.
LONGEST = 2.5
PROCESSOR = 13


async def measure(*, quick: bool) -> list[Figure]:
    """Idle cycles with moving prices, live, in a Home Assistant with recorder and frontend."""
    rounds = 2 if quick else 5
    async with world("--volatility", "0.001") as there, home() as hass:
        await there.publish(AFTER)
        follower = entry(there.data(live=True))
        await hass.config_entries.async_add(follower)
        pieces, longest, usual, collector, cpu = [], [], [], [], []
        for _ in range(rounds):
            blocks, times = await _round(there, hass, follower.runtime_data)
            pieces.append(unit := piece())
            longest.append(max(blocks.callbacks) / unit)
            usual.append(sorted(blocks.callbacks)[-CYCLES // 10] / unit)
            collector.append(max(blocks.collections, default=0) / unit)
            cpu.append(middle(times) / piece(time.process_time))
    how = f"median of {rounds} × {CYCLES} cycles"
    return [
        Figure(name="a piece of Python, P", value=middle(pieces) * 1000, unit="ms", by="same run"),
        Figure(name="longest block of the event loop", value=middle(longest), unit="× P", bound=LONGEST, by=how),
        Figure(name="… that one cycle in ten has", value=middle(usual), unit="× P", by=how),
        Figure(
            name="longest run of Python's garbage collector",
            value=middle(collector),
            unit="× P",
            by=f"{how}; it walks through all of Home Assistant, and is not counted above",
        ),
        Figure(
            name="processor time of an idle cycle",
            value=middle(cpu),
            unit="× P",
            bound=PROCESSOR,
            by=f"{how}, all threads; P in processor time",
        ),
    ]


async def _round(there: World, hass: HomeAssistant, coordinator: Any) -> tuple[Blocks, list[float]]:
    await hass.async_block_till_done()
    gc.collect()
    times = []
    all_blocks = Blocks()
    for _ in range(CYCLES):
        await there.control("walk")
        with watched_loop() as blocks:
            start = time.process_time()
            await coordinator.async_poll()
            times.append(time.process_time() - start)
        all_blocks.callbacks.extend(blocks.callbacks)
        all_blocks.collections.extend(blocks.collections)
        await asyncio.sleep(0)
    return all_blocks, times
