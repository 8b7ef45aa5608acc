"""A backup of Home Assistant holds every ledger whole: followers are still while it is made."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN, LOGGER
from .coordinator import CalvalotConfigEntry
from .trading.engine import Engine

# How long a backup waits for running cycles, and how long a follower stays still if nobody says that it is over.
PATIENCE: Final = timedelta(seconds=30)
LONGEST: Final = timedelta(minutes=15)

_OVER: HassKey[asyncio.Event] = HassKey(f"{DOMAIN}_backup_over")


async def async_pre_backup(hass: HomeAssistant) -> None:
    """Let running cycles finish and hold every follower still; what does not come to rest does not stop the backup."""
    await async_post_backup(hass)  # of one that was never said to be over
    over = hass.data[_OVER] = asyncio.Event()
    waiting = set()
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        still = asyncio.Event()
        _hold(hass, entry, still, over)
        waiting.add(asyncio.ensure_future(still.wait()))
    if not waiting:
        return
    _, restless = await asyncio.wait(waiting, timeout=PATIENCE.total_seconds())
    for task in restless:
        task.cancel()
    if restless:
        LOGGER.warning("A backup is made while %d followers are still at work", len(restless))


async def async_post_backup(hass: HomeAssistant) -> None:
    """Let the followers go on."""
    if over := hass.data.pop(_OVER, None):
        over.set()


def _hold(hass: HomeAssistant, entry: CalvalotConfigEntry, still: asyncio.Event, over: asyncio.Event) -> None:
    """Hold a follower still in a task of its own, which ends with the entry too."""
    follower = entry.runtime_data.engine
    entry.async_create_background_task(hass, _still(follower, still, over), f"{entry.title} backup")


async def _still(follower: Engine, still: asyncio.Event, over: asyncio.Event) -> None:
    async with follower.still():
        still.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LONGEST.total_seconds())
