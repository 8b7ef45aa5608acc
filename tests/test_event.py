"""What happened: event entities, and the same facts on the bus."""

from collections import Counter
import json
from typing import Any

from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.event import async_track_state_change_event
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import ALLOCATION, entity_id, keys, poll, state_of
from .market import followed, minutes, until

TYPES = {
    "signal": {"received", "waiting", "executed", "partial", "skipped", "rejected", "failed"},
    "trade": {"buy", "sell", "failed"},
    "alert": {
        *("dead", "revived", "leader_lost", "leader_back", "leader_silent", "ledger_mismatch"),
        *("ledger_restored", "stop_loss", "exit", "exchange_lost", "exchange_back", "source_stale"),
        "conversion_stopped",
    },
}


def record(hass: HomeAssistant, entry: MockConfigEntry, key: str) -> list[tuple[str, dict[str, Any]]]:
    """Record each event that an event entity tells from now on: its type and its attributes."""
    told: list[tuple[str, dict[str, Any]]] = []

    @callback
    def on_change(change: Event[EventStateChangedData]) -> None:
        if state := change.data["new_state"]:
            told.append((state.attributes["event_type"], dict(state.attributes)))

    async_track_state_change_event(hass, entity_id(hass, entry, "event", key), on_change)
    return told


async def test_keys(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The contract's event entities are there with their types, and nothing has happened yet."""
    assert await set_up(hass, entry)
    assert keys(hass, entry, "event", enabled_only=True) == TYPES.keys()
    for key, types in TYPES.items():
        state = state_of(hass, entry, "event", key)
        assert state.state == STATE_UNKNOWN
        assert sorted(state.attributes["event_types"]) == sorted(types), key


async def test_signal_and_trades(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Each event reaches its own entity and, with its follower, the bus: plain JSON."""
    assert await set_up(hass, entry)
    signals, trades = record(hass, entry, "signal"), record(hass, entry, "trade")
    bus_signals = async_capture_events(hass, "calvalot_signal")
    bus_trades = async_capture_events(hass, "calvalot_trade")
    leader.publish_v2(ALLOCATION, confidence=0.7, reasoning="a calm market")
    await poll(hass, entry)
    signal_id = leader.publish_v2({"BTC": "0.2"}, confidence=0.5, reasoning="a wild market")
    await poll(hass, entry)

    assert Counter(type_ for type_, _ in trades) == {"buy": 5, "sell": 5}
    told = [(type_, data) for type_, data in signals if data["signal_id"] == signal_id]
    assert [type_ for type_, _ in told] == ["received", "executed"]
    assert told[-1][1]["reasoning"] == "a wild market"
    assert told[-1][1]["confidence"] == 0.5

    assert [type_ for type_, _ in signals] == [bus.data["type"] for bus in bus_signals]
    assert [type_ for type_, _ in trades] == [bus.data["type"] for bus in bus_trades]
    for bus, (_, data) in zip(bus_trades, trades, strict=True):
        assert bus.data["entry_id"] == entry.entry_id
        assert bus.data["device_id"] == entry.runtime_data.device_id
        assert json.loads(json.dumps(dict(bus.data))) == bus.data
        facts = {key: value for key, value in bus.data.items() if key not in {"type", "entry_id", "device_id"}}
        assert facts.items() <= data.items()
        assert facts["simulated"] is True
    assert state_of(hass, entry, "event", "alert").state == STATE_UNKNOWN
    assert [log.getMessage() for log in caplog.records if log.levelname == "ERROR"] == []


@pytest.mark.parametrize("body", ['{"signal_id": "x", "version": 2}', '{"signal_id": "x", "version": 9}'])
async def test_rejected(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, body: str) -> None:
    """A refused signal is told once, with the reason."""
    assert await set_up(hass, entry)
    signals = record(hass, entry, "signal")
    leader.publish_raw(body)
    await poll(hass, entry, 3)
    assert [type_ for type_, _ in signals] == ["rejected"]
    assert signals[0][1]["reason"]


async def test_long_reasoning(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """However much a leader talks, the recorder keeps what the event says (16 KiB at most)."""
    assert await set_up(hass, entry)
    leader.publish_v2(ALLOCATION, reasoning="because " * 30000)
    await poll(hass, entry)
    state = state_of(hass, entry, "event", "signal")
    assert state.attributes["reasoning"].startswith("because because")
    assert len(json.dumps(dict(state.attributes))) < 16384


async def test_leader_lost_and_back(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A leader is lost once, after three failed polls, and back with the first good one."""
    assert await set_up(hass, entry)
    alerts = record(hass, entry, "alert")
    leader.misbehave("status", None)
    await poll(hass, entry, 2)
    assert alerts == []
    await poll(hass, entry, 3)
    assert [type_ for type_, _ in alerts] == ["leader_lost"]
    leader.behave()
    await poll(hass, entry, 2)
    assert [type_ for type_, _ in alerts] == ["leader_lost", "leader_back"]


async def test_dead_and_revived(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Death is told once; so is a revival."""
    entry = add_entry(hass, entry_data | {"initial_budget": 20.0})
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    await poll(hass, entry)
    alerts = record(hass, entry, "alert")
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 10)
    await poll(hass, entry, 5)
    assert [type_ for type_, _ in alerts] == ["dead"]

    await hass.services.async_call("calvalot", "deposit", {"amount": 100}, blocking=True)
    await hass.services.async_call("calvalot", "reset", {"confirm": True}, blocking=True)
    await hass.async_block_till_done()
    assert [type_ for type_, _ in alerts] == ["dead", "revived"]
    assert state_of(hass, entry, "sensor", "status").state == "active"


async def test_two_followers(
    hass: HomeAssistant, entry: MockConfigEntry, entry_data: dict[str, Any], leader: LeaderSimulator
) -> None:
    """An event is told by the follower it happened to."""
    assert await set_up(hass, entry)
    other = add_entry(hass, entry_data | {"initial_budget": 500.0})
    assert await set_up(hass, other)
    mine, others = record(hass, entry, "signal"), record(hass, other, "signal")
    leader.publish_v2(ALLOCATION)
    await poll(hass, other)
    assert others
    assert mine == []


async def test_candles(hass: HomeAssistant, entry_data: dict[str, Any], exchange: ExchangeSimulator) -> None:
    """Off at first; enabled it tells each candle that closes, of the coins and time frames that its owner chose."""
    entry = add_entry(hass, entry_data, coins=["BTC"], candle_frames=["1m"])
    assert await set_up(hass, entry)
    assert "candle" not in keys(hass, entry, "event", enabled_only=True)
    assert exchange.streams.opened == 0
    er.async_get(hass).async_update_entity(entity_id(hass, entry, "event", "candle"), disabled_by=None)
    assert await hass.config_entries.async_reload(entry.entry_id)
    await until(hass, lambda: followed(exchange) == {"btcusdc@kline_1m"})
    told = record(hass, entry, "candle")
    await minutes(exchange, 3)
    await until(hass, lambda: len(told) >= 2)
    kind, candle = told[-1]
    assert kind == "closed"
    assert (candle["coin"], candle["symbol"], candle["time_frame"]) == ("BTC", "BTCUSDC", "1m")
    assert candle["low"] <= candle["close"] <= candle["high"]
    await poll(hass, entry)
    closed = [candle["closed"] for _, candle in told]
    assert len(set(closed)) == len(closed)
    hass.config_entries.async_update_entry(entry, options={"coins": ["ETH"], "candle_frames": ["1m", "1h"]})
    await hass.async_block_till_done()
    await until(hass, lambda: followed(exchange) == {"ethusdc@kline_1m", "ethusdc@kline_1h"})
    assert await hass.config_entries.async_unload(entry.entry_id)
    await until(hass, lambda: not exchange.streams.connections)
