"""What a cycle asks, and what that weighs; prices are asked once for all portfolios."""

import asyncio

from homeassistant.core import HomeAssistant

from .figure import Figure
from .stage import AFTER, BEFORE, World, entry, home, world

FOLLOWERS = 10


async def measure(*, quick: bool) -> list[Figure]:
    """Count at the simulators; nothing here is a time."""
    del quick
    async with world() as there, home() as hass:
        return [*await _one(there, hass), await _ten(there, hass)]


async def _one(there: World, hass: HomeAssistant) -> list[Figure]:
    figures = []
    for live in (True, False):
        await there.publish(BEFORE)
        follower = entry(there.data(live=live))
        await hass.config_entries.async_add(follower)
        await follower.runtime_data.async_poll()
        for name, targets, bounds in (("five orders", AFTER, (8, 24)), ("idle", None, (3, 24) if live else (2, 4))):
            if targets:
                await there.publish(targets)
            await there.requests()
            polls = await there.polls()
            await follower.runtime_data.async_poll()
            asked = await there.requests()
            count = len(asked) + await there.polls() - polls
            what = f"{'live' if live else 'dry run'}, {name}"
            bound = bounds if live or name == "idle" else (None, None)
            figures += [
                Figure(name=f"requests of a cycle, {what}", value=count, unit="", bound=bound[0], by="counted"),
                Figure(
                    name=f"weight of a cycle, {what}",
                    value=sum(each["weight"] for each in asked),
                    unit="",
                    bound=bound[1],
                    by="counted",
                ),
            ]
        await hass.config_entries.async_remove(follower.entry_id)
    return figures


async def _ten(there: World, hass: HomeAssistant) -> Figure:
    followers = [entry(there.data(live=False), f"Follower {number}") for number in range(FOLLOWERS)]
    for follower in followers:
        await hass.config_entries.async_add(follower)
    await there.requests()
    await asyncio.gather(*(follower.runtime_data.async_poll() for follower in followers))
    prices = sum(request["path"].endswith("ticker/price") for request in await there.requests())
    return Figure(
        name="price requests of ten portfolios", value=prices, unit="", bound=1, by="counted, all polled at once"
    )
