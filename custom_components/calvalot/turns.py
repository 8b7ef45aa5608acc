"""Followers that are due at the same time go one after the other."""

import asyncio
from collections.abc import Callable

from homeassistant.core import HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

# Seconds after which the next one starts though the one before is not done: leader or exchange may hang.
LONGEST_TURN = 1.0


class Turns:
    """A queue of cycles, so that no two followers trade in the same moment and the exchange's limits last for all."""

    def __init__(self) -> None:
        """Start with nobody in the queue."""
        self._taken = asyncio.Lock()

    async def take[T](self, start: Callable[[], asyncio.Task[T]], pause: Callable[[], float]) -> asyncio.Task[T]:
        """Start a cycle when its turn has come, `pause` seconds later where the exchange needs it; returns when it is over."""
        async with self._taken:
            if seconds := pause():
                await asyncio.sleep(seconds)
            cycle = start()
            await asyncio.wait((cycle,), timeout=LONGEST_TURN)
        await asyncio.wait((cycle,))
        return cycle


_TURNS: HassKey[Turns] = HassKey(f"{DOMAIN}_turns")


@callback
def async_turns(hass: HomeAssistant) -> Turns:
    """The queue that all followers of a Home Assistant share."""
    return hass.data.setdefault(_TURNS, Turns())
