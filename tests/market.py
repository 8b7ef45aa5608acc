"""What the tests of the stream in Home Assistant share: a market that goes on, and waiting for what it brings."""

import asyncio
from collections.abc import Callable
import time

from homeassistant.core import HomeAssistant

from simulators.exchange import ExchangeSimulator

PATIENCE = 30


async def until(hass: HomeAssistant, holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
        await hass.async_block_till_done()


async def minutes(exchange: ExchangeSimulator, count: int) -> None:
    """Let the market walk for some minutes, and send what that brings."""
    for _ in range(count * 3):
        exchange.advance(20)
        exchange.walk()
        await exchange.streams.flush()


def followed(exchange: ExchangeSimulator) -> set[str]:
    """The streams that somebody follows."""
    return {name for connection in exchange.streams.connections for name in connection.streams}
