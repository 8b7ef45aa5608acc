"""Fifty followers in one Home Assistant, all due at the same time."""

import asyncio
from itertools import pairwise
import time
from typing import Any

from homeassistant.util import dt as dt_util

from .figure import Figure
from .stage import AFTER, BEFORE, LATENCY, World, follow, home, world

FOLLOWERS = 50
BOUND = 10
# Weight that the exchange allows an address in a minute.
LIMIT = 6000


async def measure(*, quick: bool) -> list[Figure]:
    """Live followers with accounts of their own: one round without orders, one with five orders for each."""
    count = 10 if quick else FOLLOWERS
    async with world() as there, home() as hass:
        await there.publish(BEFORE)
        coordinators = [await follow(there, hass, number) for number in range(count)]
        await asyncio.sleep(61 - time.time() % 60)  # the set-ups have used most of what this minute allows
        await there.delay(LATENCY)
        idle, asked = await _round(there, coordinators)
        figures = _figures(f"{count} followers, idle", idle, asked)
        await there.publish(AFTER)
        trading, asked = await _round(there, coordinators)
        if (orders := sum(each["method"] == "POST" for each in asked)) != 5 * count:
            raise RuntimeError(f"{orders} orders, not {5 * count}")
        return [*figures, *_figures(f"{count} followers, five orders each", trading, asked)]


async def _round(there: World, coordinators: list[Any]) -> tuple[float, list[dict[str, Any]]]:
    """Let the clock of all of them strike at once; seconds until the last is done, and what the exchange was asked."""
    await there.requests()
    start = time.monotonic()
    for coordinator in coordinators:
        coordinator._on_time(dt_util.utcnow())  # noqa: SLF001 # what the timer calls
    await asyncio.gather(*(coordinator._queued for coordinator in coordinators))  # noqa: SLF001
    return time.monotonic() - start, await there.requests()


def _figures(name: str, took: float, asked: list[dict[str, Any]]) -> list[Figure]:
    orders = [each["api_key"] for each in asked if each["method"] == "POST"]
    changes = sum(one != other for one, other in pairwise(orders))
    overlaps = changes - max(0, len(set(orders)) - 1)
    busiest = max(sum(0 <= other["time"] - one["time"] < 1000 for other in asked) for one in asked)
    weight = sum(each["weight"] for each in asked)
    refused = sum(each["status"] in (418, 429) for each in asked)
    return [
        Figure(name=name, value=took, unit="s", bound=BOUND, by=f"all due at once; L = {LATENCY * 1000:.0f} ms"),
        Figure(name="… requests in the busiest second", value=busiest, unit="", by="counted at the exchange"),
        Figure(name="… weight", value=weight, unit="", bound=LIMIT, by="counted at the exchange"),
        Figure(
            name="… orders between those of another follower",
            value=overlaps,
            unit="",
            bound=0,
            by="counted at the exchange",
        ),
        Figure(name="… requests refused for their number", value=refused, unit="", bound=0, by="counted"),
    ]
