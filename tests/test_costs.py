"""What a follower asks of others and of the machine: counts, as times belong into the benchmarks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
import itertools
from itertools import groupby
from unittest.mock import PropertyMock, patch

from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from custom_components.calvalot.scheduler import LONGEST_WAIT, CycleQueue
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import ALLOCATION, poll

BEFORE = {"BTC": "0.3", "ETH": "0.3", "XRP": "0.1"}
AFTER = {"BTC": "0.1", "ETH": "0.1", "BNB": "0.2", "SOL": "0.2", "XRP": "0.3"}
FOLLOWERS = 10


@contextmanager
def commits() -> Iterator[list[str]]:
    """Collect the commits of transactions that may write; each of them waits for the disk once."""
    seen: list[str] = []

    def commit(connection: Connection) -> None:
        if not connection.get_execution_options().get("reads"):
            seen.append(str(connection.engine.url))

    event.listen(Engine, "commit", commit)
    try:
        yield seen
    finally:
        event.remove(Engine, "commit", commit)


@pytest.mark.parametrize(
    ("live", "idle", "idle_weight", "trading", "trading_weight"), [(True, 3, 24, 8, 24), (False, 2, 4, 2, 4)]
)
async def test_requests(
    hass: HomeAssistant,
    entry_data: dict[str, object],
    live_data: dict[str, object],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    live: bool,
    idle: int,
    idle_weight: int,
    trading: int,
    trading_weight: int,
) -> None:
    """Leader, prices and (live) account once a cycle, and an order each; nothing is asked again in between."""
    entry = add_entry(hass, live_data if live else entry_data)
    leader.publish_v2(BEFORE)
    await set_up(hass, entry)
    await poll(hass, entry)
    for requests, weight, targets, orders in ((idle, idle_weight, None, 0), (trading, trading_weight, AFTER, 5)):
        if targets:
            leader.publish_v2(targets)
        exchange.forget_requests()
        polls = len(leader.requests)
        await poll(hass, entry)
        assert len(exchange.requests) + len(leader.requests) - polls <= requests
        assert sum(request.weight for request in exchange.requests) <= weight
        assert exchange.count("POST", "/order") == (orders if live else 0)
    assert len(entry.runtime_data.data.positions) == 5


async def test_shared_prices(
    hass: HomeAssistant, entry_data: dict[str, object], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Ten followers that look at once ask for prices once."""
    leader.publish_v2(ALLOCATION)
    entries = []
    for _ in range(FOLLOWERS):
        entries.append(add_entry(hass, entry_data))
        await set_up(hass, entries[-1])
    exchange.forget_requests()
    await asyncio.gather(*(each.runtime_data.async_poll() for each in entries))
    assert exchange.count("GET", "/ticker/price") == 1


@pytest.mark.parametrize("pushed", [False, True])
async def test_no_two_bursts(
    hass: HomeAssistant,
    live_data: dict[str, object],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    pushed: bool,
) -> None:
    """Followers that are due in the same moment, or are told in the same moment, trade one after the other."""
    leader.publish_v2(BEFORE)
    entries = []
    for number in range(3):
        key, secret = str(number) * 64, f"secret{number}".ljust(64, "0")
        exchange.add_account(key, secret, {"USDC": 2000})
        entries.append(add_entry(hass, live_data | {"api_key": key, "api_secret": secret}))
        await set_up(hass, entries[-1])
        await poll(hass, entries[-1])
    leader.publish_v2(AFTER)
    exchange.forget_requests()
    if pushed:
        await asyncio.gather(*(each.runtime_data.scheduler.push() for each in entries))
    else:
        async_fire_time_changed(hass, dt_util.utcnow() + entries[0].runtime_data.interval)
    await hass.async_block_till_done()
    orders = [request.api_key for request in exchange.requests if request.method == "POST"]
    assert len(orders) == 15
    assert len(list(groupby(orders))) == 3


async def test_a_turn_is_short(
    hass: HomeAssistant, entry_data: dict[str, object], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Whoever hangs holds the others up for a second, not for ever."""
    leader.publish_v2(ALLOCATION)
    entries = []
    for _ in range(2):
        entries.append(add_entry(hass, entry_data))
        await set_up(hass, entries[-1])
    stuck, free = (each.runtime_data for each in entries)
    begun, over = asyncio.Event(), asyncio.Event()
    never: asyncio.Future[None] = hass.loop.create_future()

    async def hang() -> None:
        begun.set()
        await never
        over.set()

    stuck.engine.cycle = hang
    done = asyncio.Event()
    stop = free.async_add_listener(done.set)
    async_fire_time_changed(hass, dt_util.utcnow() + stuck.interval)
    await begun.wait()
    async with asyncio.timeout(LONGEST_WAIT + 5):
        await done.wait()
    stop()
    assert not over.is_set()
    never.set_result(None)
    await hass.async_block_till_done()
    assert over.is_set()


async def test_turns() -> None:
    """Who is due waits as long as its exchange asked for, and holds nobody up who is on another one."""
    turns = CycleQueue()
    started: list[str] = []

    def start(name: str) -> asyncio.Task[None]:
        started.append(name)
        return asyncio.create_task(asyncio.sleep(0))

    def pause() -> float:
        return 0 if "free" in started else 0.01

    crowded = asyncio.create_task(turns.take(lambda: start("crowded"), pause))
    await asyncio.sleep(0)
    await asyncio.gather(turns.take(lambda: start("free"), lambda: 0), crowded)
    assert started == ["free", "crowded"]


async def test_a_pause_after_a_pause() -> None:
    """Those that went first may have used up the next minute as well."""
    turns = CycleQueue()
    pauses = [0.01, 0.01, 0]
    await turns.take(lambda: asyncio.create_task(asyncio.sleep(0)), lambda: pauses.pop(0))
    assert pauses == []


async def test_due_again(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A follower that is due while it still stands in the queue stands there once."""
    leader.publish_v2(ALLOCATION)
    await set_up(hass, entry)
    polls = len(leader.requests)
    for number in range(1, 4):
        async_fire_time_changed(hass, dt_util.utcnow() + number * entry.runtime_data.interval)
    await hass.async_block_till_done()
    assert len(leader.requests) == polls + 1


async def test_pushed_again(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Pushes during a pause of the exchange are one cycle after it; what was queued when the follower stops asks nobody."""
    leader.publish_v2(ALLOCATION)
    await set_up(hass, entry)
    coordinator = entry.runtime_data
    polls = len(leader.requests)
    pauses = PropertyMock(side_effect=itertools.cycle((0.2, 0)))
    with patch.object(type(coordinator.exchange), "pause", pauses):
        for _ in range(5):
            coordinator.scheduler.queue_anew()
            await asyncio.sleep(0)
        await hass.async_block_till_done()
        assert len(leader.requests) == polls + 1
        coordinator.scheduler.queue_anew()
        await asyncio.sleep(0)
        assert await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()
    assert len(leader.requests) == polls + 1


async def test_states(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A cycle that finds everything as it was writes no state."""
    leader.publish_v2(ALLOCATION)
    await set_up(hass, entry)
    await poll(hass, entry, 2)
    written: list[str] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        written.append(event.data["entity_id"])

    hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    await poll(hass, entry, 5)
    assert written == []


async def test_commits(hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """An idle cycle writes the day's close; a signal its intents, what is sent, what was filled, and its end."""
    leader.publish_v2(BEFORE)
    await set_up(hass, live_entry)
    await poll(hass, live_entry, 2)
    with commits() as seen:
        await poll(hass, live_entry, 5)
    assert len(seen) == 5
    leader.publish_v2(AFTER)
    with commits() as seen:
        await poll(hass, live_entry)
    assert len(seen) <= 5 * 4
