"""From an entry's set-up to its first figures, and what importing the integration does to the loop."""

import asyncio
import sys
import threading
import time
from typing import Any

from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.loader import async_get_integration

from .blocks import watched_loop
from .calibration import work
from .figure import Figure, middle
from .stage import LATENCY, World, entry, home, world

TIMEOUT = 20
# What it may take by itself, in W.
OWN = 25


async def measure(*, quick: bool) -> list[Figure]:
    """The first set-up imports the integration, and is told apart."""
    rounds = 3 if quick else 11
    async with world() as there, home() as hass:
        figures = await _imported(hass)
        await there.delay(LATENCY)
        await there.publish({})
        latency, unit = await there.trip(), work()
        bound = 4 * latency + OWN * unit
        for live in (True, False):
            times = [await _start(there, hass, live=live) for _ in range(rounds)]
            name = f"set-up to first figures, {'live' if live else 'dry run'}"
            how = f"median of {rounds}; L = {latency * 1000:.1f} ms, W = {unit * 1000:.1f} ms; bound 4 × L + {OWN} × W"
            figures.append(Figure(name=name, value=middle(times) * 1000, unit="ms", bound=bound * 1000, by=how))
        return figures


async def _imported(hass: HomeAssistant) -> list[Figure]:
    """Import the integration the way Home Assistant does."""
    in_loop: list[str] = []
    watching = True

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "import" and threading.current_thread() is threading.main_thread():
            in_loop.append(str(arguments[0]))

    integration = await async_get_integration(hass, "calvalot")
    sys.addaudithook(hear)
    start = time.monotonic()
    with watched_loop() as blocks:
        await integration.async_get_component()
        await integration.async_get_platforms(["config_flow", "sensor", "binary_sensor", "event", "button", "switch"])
    took = time.monotonic() - start
    watching = False
    return [
        Figure(name="modules that the loop's own thread imports", value=len(in_loop), unit="", bound=0, by="counted"),
        Figure(
            name="longest block of the loop while imported",
            value=max(blocks.callbacks) * 1000,
            unit="ms",
            by="once, as it happens once",
        ),
        Figure(name="import in a worker thread", value=took * 1000, unit="ms", by="once"),
    ]


async def _start(there: World, hass: HomeAssistant, *, live: bool) -> float:
    """Seconds from adding an entry to the first value of its total."""
    shown = asyncio.Event()

    @callback
    def look(event: Event[EventStateChangedData]) -> None:
        state = event.data["new_state"]
        if state and state.entity_id.endswith("total_value") and state.state.replace(".", "").isdigit():
            shown.set()

    stop = hass.bus.async_listen(EVENT_STATE_CHANGED, look)
    follower = entry(there.data(live=live), "Follower")
    start = time.monotonic()
    adding = asyncio.create_task(hass.config_entries.async_add(follower))
    async with asyncio.timeout(TIMEOUT):
        await shown.wait()
    took = time.monotonic() - start
    await adding
    stop()
    await hass.config_entries.async_remove(follower.entry_id)
    await hass.async_block_till_done()
    return took
