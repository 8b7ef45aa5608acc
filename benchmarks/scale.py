"""Fifty portfolios in one Home Assistant, all due at the same time."""

import asyncio
from itertools import pairwise
import time
from typing import Any

from homeassistant.util import dt as dt_util

from .calibration import work
from .figure import Figure
from .stage import AFTER, BEFORE, LATENCY, World, follow, home, world

FOLLOWERS = 50
# What each of them may take by itself, in W.
IDLE = 4
TRADING = 12
# Weight that the exchange allows an address in a minute.
LIMIT = 6000


async def measure(*, quick: bool) -> list[Figure]:
    """Live portfolios with accounts of their own: one round without orders, one with five orders for each."""
    count = 10 if quick else FOLLOWERS
    async with world() as there, home() as hass:
        await there.publish(BEFORE)
        coordinators = [await follow(there, hass, number) for number in range(count)]
        await asyncio.sleep(61 - time.time() % 60)  # the set-ups have used most of what this minute allows
        await there.delay(LATENCY)
        latency, unit = await there.trip(), work()
        idle, asked = await _round(there, coordinators)
        how = f"all due at once; L = {latency * 1000:.1f} ms, W = {unit * 1000:.1f} ms"
        bound = count * (latency + IDLE * unit)
        name = f"{count} portfolios, idle"
        figures = _figures(
            Figure(name=name, value=idle, unit="s", bound=bound, by=f"{how}; bound for each L + {IDLE} × W"), asked
        )
        await there.publish(AFTER)
        before = unit
        trading, asked = await _round(there, coordinators)
        unit = (before + work()) / 2
        if (orders := sum(each["method"] == "POST" for each in asked)) != 5 * count:
            raise RuntimeError(f"{orders} orders, not {5 * count}")
        bound = count * (3 * latency + TRADING * unit)
        name = f"{count} portfolios, five orders each"
        by = f"{how}; bound for each 3 × L + {TRADING} × W"
        return [*figures, *_figures(Figure(name=name, value=trading, unit="s", bound=bound, by=by), asked)]


async def _round(there: World, coordinators: list[Any]) -> tuple[float, list[dict[str, Any]]]:
    """Let the clock of all of them strike at once; seconds until the last is done, and what the exchange was asked."""
    await there.requests()
    start = time.monotonic()
    for coordinator in coordinators:
        coordinator.scheduler.on_time(dt_util.utcnow())  # what the timer calls
    await asyncio.gather(*(coordinator.scheduler.settled() for coordinator in coordinators))
    return time.monotonic() - start, await there.requests()


def _figures(took: Figure, asked: list[dict[str, Any]]) -> list[Figure]:
    orders = [each["api_key"] for each in asked if each["method"] == "POST"]
    changes = sum(one != other for one, other in pairwise(orders))
    overlaps = changes - max(0, len(set(orders)) - 1)
    busiest = max(sum(0 <= other["time"] - one["time"] < 1000 for other in asked) for one in asked)
    weight = sum(each["weight"] for each in asked)
    refused = sum(each["status"] in (418, 429) for each in asked)
    return [
        took,
        Figure(name="… requests in the busiest second", value=busiest, unit="", by="counted at the exchange"),
        Figure(name="… weight", value=weight, unit="", bound=LIMIT, by="counted at the exchange"),
        Figure(
            name="… orders between those of another portfolio",
            value=overlaps,
            unit="",
            bound=0,
            by="counted at the exchange",
        ),
        Figure(name="… requests refused for their number", value=refused, unit="", bound=0, by="counted"),
    ]
