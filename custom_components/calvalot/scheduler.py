"""Followers that are due at the same time go one after the other."""

import asyncio
from collections.abc import Callable

from homeassistant.core import HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

# Seconds after which the next one starts though the one before is not done: leader or exchange may hang.
LONGEST_TURN = 1.0


class CycleQueue:
    """A queue of cycles, so that no two followers trade in the same moment and the exchange's limits last for all."""

    def __init__(self) -> None:
        """Start with nobody in the queue."""
        self._taken = asyncio.Lock()

    async def take[T](self, start: Callable[[], asyncio.Task[T]], pause: Callable[[], float]) -> asyncio.Task[T]:
        """Start a cycle when its turn has come, and `pause` seconds are over where its exchange needs them; returns at its end."""
        while True:
            async with self._taken:
                if not (seconds := pause()):
                    cycle = start()
                    await asyncio.wait((cycle,), timeout=LONGEST_TURN)
                    break
            # Out of the queue: one exchange's pause is nothing to those on another.
            await asyncio.sleep(seconds)
        await asyncio.wait((cycle,))
        return cycle


_TURNS: HassKey[CycleQueue] = HassKey(f"{DOMAIN}_turns")


@callback
def async_cycle_queue(hass: HomeAssistant) -> CycleQueue:
    """The queue that all followers of a Home Assistant share."""
    return hass.data.setdefault(_TURNS, CycleQueue())
