"""What portfolios take of Home Assistant's resident memory, at first and after many cycles."""

import asyncio
import ctypes
import gc
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from homeassistant.core import HomeAssistant

from .figure import Figure
from .stage import AFTER, BEFORE, World, follow, home, world

FURTHER = 10
CYCLES = 20_000
# A signal among so many cycles; the price walks before each of them.
SIGNAL_EVERY = 500
MIB = 1 << 20
RECORDER = ("recorder:\n  commit_interval: 1\nhistory:\nlogbook:\n", "")
# Imports a part of python-binance after what a Home Assistant has loaded anyway; prints what memory grew by (bytes).
IMPORT = """
import importlib, os, sys
import aiohttp, requests, sqlalchemy, homeassistant.bootstrap
import homeassistant.components.frontend, homeassistant.components.http, homeassistant.components.recorder
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
for name in sys.argv[1:]:
    before = resident()
    importlib.import_module(name)
    print(resident() - before)
"""
PARTS = ("dateparser", "Crypto.PublicKey", "websockets", "binance")


async def measure(*, quick: bool) -> list[Figure]:
    """Live portfolios with accounts of their own, each after a signal with five orders.

    Without the recorder, whose cache of 16 MB fills with whatever states there are.
    """
    cycles = CYCLES // 20 if quick else CYCLES
    parts = await asyncio.to_thread(_parts)
    async with world("--volatility", "0.001") as there, home(RECORDER) as hass:
        await there.publish(BEFORE)
        bare = await _resident(hass)
        coordinators = [await follow(there, hass, 0)]
        one = await _resident(hass)
        coordinators += [await follow(there, hass, number) for number in range(1, FURTHER + 1)]
        many = await _resident(hass)
        halves = []
        for _ in range(2):
            await _run(there, hass, coordinators[0], cycles // 2)
            halves.append(await _resident(hass))
    return [
        Figure(
            name="one portfolio",
            value=(one - bare) / MIB,
            unit="MB",
            bound=40,
            by="resident memory, once; without the recorder",
        ),
        *(Figure(name=f"… of it {name}", value=size / MIB, unit="MB", by="imported alone") for name, size in parts),
        Figure(
            name="each further portfolio",
            value=(many - one) / FURTHER / MIB,
            unit="MB",
            bound=1,
            by=f"mean of {FURTHER}",
        ),
        Figure(
            name=f"growth over the first {cycles // 2:,} cycles",
            value=(halves[0] - many) / MIB,
            unit="MB",
            by=f"{cycles // SIGNAL_EVERY // 2} signals among them; caches fill",
        ),
        Figure(name="… over as many more", value=(halves[1] - halves[0]) / MIB, unit="MB", bound=1, by="the same"),
    ]


async def _run(there: World, hass: HomeAssistant, coordinator: Any, cycles: int) -> None:
    for number in range(cycles):
        if number % SIGNAL_EVERY == 0:
            await there.publish(BEFORE if number // SIGNAL_EVERY % 2 else AFTER)
            await there.control("forget_requests")
        await there.control("walk")
        await coordinator.async_poll()
    await hass.async_block_till_done()


async def _resident(hass: HomeAssistant) -> int:
    """Resident memory (bytes) once everything that can be given back is given back."""
    await hass.async_block_till_done()
    await asyncio.sleep(2)  # the recorder writes what it holds
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    statm = await asyncio.to_thread(Path("/proc/self/statm").read_text)
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _parts() -> list[tuple[str, int]]:
    done = subprocess.run([sys.executable, "-c", IMPORT, *PARTS], capture_output=True, text=True, check=True)
    return list(zip(PARTS, map(int, done.stdout.split()), strict=True))
