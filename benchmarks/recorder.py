"""Rows that a portfolio's entities write into the recorder's database in a day."""

import asyncio
from contextlib import closing
from pathlib import Path
import sqlite3

from homeassistant.core import HomeAssistant
from homeassistant.helpers.recorder import get_instance

from .figure import Figure
from .stage import AFTER, entry, home, world

INTERVAL = 120
DAY = 86_400 // INTERVAL
BOUND = 12_000
# A leader trades a few times a day; all five coins stay held.
SIGNALS = 6
OTHER = AFTER | {"BTC": 0.2, "XRP": 0.2}
# Statistics of a sensor: one row every five minutes, one every hour.
STATISTICS = 288 + 24


async def measure(*, quick: bool) -> list[Figure]:
    """A day's cycles with moving prices and a few signals, all entities as they are by default; then a day of still prices."""
    cycles = DAY // 6 if quick else DAY
    async with world("--volatility", "0.0005") as there, home() as hass:
        await there.publish(OTHER)
        follower = entry(there.data(live=False))
        await hass.config_entries.async_add(follower)
        database = Path(hass.config.path("home-assistant_v2.db"))
        counts = [await _rows(hass, database)]
        for moving in (True, False):
            for number in range(cycles):
                if moving:
                    await there.control("walk")
                    if number % (cycles // SIGNALS) == 1:
                        await there.publish(OTHER if number // (cycles // SIGNALS) % 2 else AFTER)
                await follower.runtime_data.async_poll()
            counts.append(await _rows(hass, database))
        measured = sum("state_class" in state.attributes for state in hass.states.async_all("sensor"))
    names = ("prices that move at every cycle", "prices that stand still")
    figures = []
    for (states, events), (more_states, more_events), name in zip(counts[:-1], counts[1:], names, strict=True):
        scale = DAY / cycles
        figures.append(
            Figure(
                name=f"states and events in a day, {name}",
                value=round((more_states - states + more_events - events) * scale),
                unit="rows",
                bound=BOUND,
                by=f"counted over {cycles} cycles of a dry run, {more_events - events} events among them",
            )
        )
    figures.append(
        Figure(
            name="statistics in a day",
            value=measured * STATISTICS,
            unit="rows",
            by=f"{measured} sensors, a row every five minutes and every hour; Home Assistant keeps the former for ten days",
        )
    )
    return figures


async def _rows(hass: HomeAssistant, database: Path) -> tuple[int, int]:
    """Rows of the integration's entities, and of its events."""
    await hass.async_block_till_done()
    await get_instance(hass).async_block_till_done()
    return await asyncio.to_thread(_count, database)


def _count(database: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(database)) as connection:
        ((states,),) = connection.execute(
            "SELECT COUNT(*) FROM states JOIN states_meta USING (metadata_id) WHERE states_meta.entity_id LIKE '%calv%lot%'"
        )
        ((events,),) = connection.execute(
            "SELECT COUNT(*) FROM events JOIN event_types USING (event_type_id) WHERE event_types.event_type LIKE 'calvalot%'"
        )
    return states, events
