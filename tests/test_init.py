"""Set-up, cycles, unloading and removal of a follower."""

from contextlib import closing
import sqlite3
from typing import Any
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, issue_registry as ir
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.settings import entry_settings
from custom_components.calvalot.trading.ledger.ledger import Ledger
from simulators.exchange import ExchangeSimulator
from simulators.leader import FaultKind, LeaderSimulator

from .conftest import add_entry, set_up
from .entities import entity_id, later, poll


async def test_set_up(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """When set-up returns, the first cycle is done and the figures are there."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    snapshot = entry.runtime_data.data
    assert len(leader.requests) == 1
    assert leader.requests[0].follower_version == "0.1.0"
    assert snapshot.leader_connected is True
    assert snapshot.exchange_connected is True
    assert snapshot.net_deposits == 1000
    assert round(snapshot.total_value, 6) == 1000
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, entry.entry_id), entry.entry_id)
    assert device
    assert device.id == entry.runtime_data.device_id
    assert device.configuration_url is None  # a leader has no page to visit
    assert ledger_path(hass, entry.entry_id).exists()
    await hass.async_block_till_done()


async def test_set_up_component(hass: HomeAssistant) -> None:
    """The actions are there without any follower."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert hass.services.has_service(DOMAIN, "deposit")


async def test_events(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """What happens goes on the bus with the entry and the device."""
    signals = async_capture_events(hass, f"{DOMAIN}_signal")
    trades = async_capture_events(hass, f"{DOMAIN}_trade")
    leader.publish_v2({"BTC": "0.4", "ETH": "0.2"})
    await set_up(hass, entry)
    assert {event.data["type"] for event in signals} >= {"executed"}
    assert {event.data["symbol"] for event in trades} == {"BTCUSDC", "ETHUSDC"}
    for event in (*signals, *trades):
        assert event.data["entry_id"] == entry.entry_id
        assert event.data["device_id"] == entry.runtime_data.device_id


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        ({"initial_budget": "1000"}, {}, {"initial_budget": "1000", "min_order": "5", "max_slippage": "None"}),
        ({"initial_budget": 1000}, {"min_order": "7.5"}, {"initial_budget": "1000", "min_order": "7.5"}),
        ({"initial_budget": 0.1}, {"max_slippage": 0.1}, {"initial_budget": "0.1", "max_slippage": "0.001"}),
        ({}, {"max_signal_age": 0.5, "max_trades_per_day": 3.0}, {"max_signal_age": "0:30:00", "max_trades_per_day": "3"}),
        ({}, {"stop_loss_drawdown": 12.5, "stop_loss_sell": True}, {"stop_loss_drawdown": "0.125", "stop_loss_sell": "True"}),
        ({}, {"stop_loss_drawdown": None, "rebalance_threshold": 1}, {"stop_loss_drawdown": "None", "rebalance_threshold": "0.01"}),
        ({}, {"coins": ["btc", "BTC", "Eth "]}, {"coins": "('BTC', 'ETH')"}),
    ],
)  # fmt: skip
async def test_settings(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    data: dict[str, Any],
    options: dict[str, Any],
    expected: dict[str, str],
) -> None:
    """Numbers are taken exactly as they are written; what is not there has the default."""
    settings = entry_settings(add_entry(hass, entry_data | data, **options))
    assert {key: str(getattr(settings, key)) for key in expected} == expected


@pytest.mark.parametrize(
    ("data", "options", "field"),
    [
        ({"trading_mode": "LIVE"}, {}, "trading_mode"),
        ({"trading_mode": "paper"}, {}, "trading_mode"),
        ({"trading_mode": None}, {}, "trading_mode"),
        ({"initial_budget": "lots"}, {}, "initial_budget"),
        ({"initial_budget": "NaN"}, {}, "initial_budget"),
        ({"initial_budget": -1}, {}, "initial_budget"),
        ({"leader_url": "nowhere"}, {}, "leader_url"),
        ({}, {"poll_interval": 0}, "poll_interval"),
        ({}, {"max_slippage": "Infinity"}, "max_slippage"),
    ],
)
async def test_invalid_settings(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    data: dict[str, Any],
    options: dict[str, Any],
    field: str,
) -> None:
    """What cannot be meant is refused, and nothing is asked or traded."""
    entry = add_entry(hass, entry_data | data, **options)
    assert not await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert entry.error_reason_translation_key == "invalid_settings"
    assert entry.error_reason_translation_placeholders == {"field": field}
    assert not leader.requests
    assert not exchange.requests


async def test_ledger_unreadable(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Without a ledger nothing is done; the issue goes away with its cause."""
    path = ledger_path(hass, entry.entry_id)
    path.mkdir(parents=True)
    assert not await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "ledger_unreadable"
    issue = ir.async_get(hass).async_get_issue(DOMAIN, f"ledger_unreadable_{entry.entry_id}")
    assert issue
    assert issue.translation_placeholders == {"name": "Calv-a-lot", "path": str(path)}
    assert not leader.requests

    path.rmdir()
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert ir.async_get(hass).async_get_issue(DOMAIN, f"ledger_unreadable_{entry.entry_id}") is None


async def test_cycles_need_no_entity(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """The cycle runs on time even where no entity listens."""
    with patch("custom_components.calvalot.PLATFORMS", []):
        await set_up(hass, entry)
        for cycles in (2, 3):
            await later(hass, freezer)
            assert len(leader.requests) == cycles
            assert len(entry.runtime_data.engine.health.cycles) == cycles
        await hass.config_entries.async_unload(entry.entry_id)


async def test_poll_interval(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """The option decides how often."""
    entry = add_entry(hass, entry_data, poll_interval=600)
    await set_up(hass, entry)
    await later(hass, freezer, 300)
    assert len(leader.requests) == 1
    await later(hass, freezer, 301)
    assert len(leader.requests) == 2


async def test_polling_disabled(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """Where the owner switched polling off, only what he asks for runs."""
    hass.config_entries.async_update_entry(entry, pref_disable_polling=True)
    await set_up(hass, entry)
    await later(hass, freezer)
    assert len(leader.requests) == 1
    await entry.runtime_data.async_poll()
    assert len(leader.requests) == 2


async def test_poll_joins(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Two polls at once are one cycle, and a caller that gives up does not end it."""
    await set_up(hass, entry)
    coordinator = entry.runtime_data
    leader.misbehave(FaultKind.SLOW, seconds=0.3)
    first, second = (hass.async_create_task(coordinator.async_poll()) for _ in range(2))
    first.cancel()
    await second
    assert first.cancelled()
    assert len(leader.requests) == 2
    assert coordinator.data.leader_connected is True


async def test_update_entity(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Home Assistant's own action polls too, also where nothing else does."""
    hass.config_entries.async_update_entry(entry, pref_disable_polling=True)
    assert await set_up(hass, entry)
    assert await async_setup_component(hass, "homeassistant", {})
    asked = len(leader.requests)
    target = {"entity_id": entity_id(hass, entry, "sensor", "total_value")}
    await hass.services.async_call("homeassistant", "update_entity", target, blocking=True)
    await hass.async_block_till_done()
    assert len(leader.requests) == asked + 1


async def test_slow_first_cycle(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Set-up does not wait for ever; unloading waits for the cycle, and nothing is asked afterwards."""
    leader.misbehave(FaultKind.SLOW, seconds=0.5)
    with patch("custom_components.calvalot.scheduler.FIRST_CYCLE_TIMEOUT", 0.05):
        assert await hass.config_entries.async_setup(entry.entry_id)
    coordinator = entry.runtime_data
    assert coordinator.data.leader_connected is None
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert coordinator.data.leader_connected is True
    assert entry.state is ConfigEntryState.NOT_LOADED
    await hass.async_block_till_done()


async def test_unload(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """An unloaded follower is quiet, and finds its book again."""
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, entry)
    before = entry.runtime_data.data
    assert before.positions["BTC"].quantity > 0
    assert await hass.config_entries.async_unload(entry.entry_id)
    await later(hass, freezer)
    assert len(leader.requests) == 1

    assert await hass.config_entries.async_setup(entry.entry_id)
    after = entry.runtime_data.data
    assert after.positions["BTC"].quantity == before.positions["BTC"].quantity
    assert after.net_deposits == before.net_deposits
    assert after.last_signal_id == before.last_signal_id
    await hass.async_block_till_done()


async def test_unload_refused(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Where a platform does not unload, the follower goes on."""
    await set_up(hass, entry)
    with patch.object(hass.config_entries, "async_unload_platforms", return_value=False):
        assert not await hass.config_entries.async_unload(entry.entry_id)
    await entry.runtime_data.async_poll()
    assert len(leader.requests) == 2
    await entry.runtime_data.async_stop()


async def test_home_assistant_stops(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """When Home Assistant stops, the running cycle is finished and no other begins."""
    await set_up(hass, entry)
    leader.misbehave(FaultKind.SLOW, seconds=0.3)
    poll = hass.async_create_task(entry.runtime_data.async_poll())
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    assert poll.done()
    assert len(entry.runtime_data.engine.health.cycles) == 2
    await entry.runtime_data.async_poll()
    assert len(leader.requests) == 2


async def test_log_of_connections(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Why the leader or the exchange is away is logged once, and that it is back once."""

    def told() -> list[str]:
        lines = [record.getMessage() for record in caplog.records if record.name == "custom_components.calvalot"]
        caplog.clear()
        return [line for line in lines if line.startswith("Calv-a-lot: ")]

    assert await set_up(hass, entry)
    assert told() == []
    leader.misbehave(FaultKind.STATUS, None)
    exchange.fault("status", path="/ticker/price", count=None)
    await poll(hass, entry, 3)
    assert told() == [
        "Calv-a-lot: the leader cannot be used: the leader answered with status 503",
        "Calv-a-lot: the exchange cannot be used: the exchange failed: HTTP 502",
    ]
    leader.behave()
    exchange.clear_faults()
    await poll(hass, entry, 2)
    assert told() == ["Calv-a-lot: the leader answers again", "Calv-a-lot: the exchange answers again"]


async def test_broken_cycle(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody thought of is logged, makes the figures unavailable, and is over with the next good cycle."""
    await set_up(hass, entry)
    coordinator = entry.runtime_data
    with patch.object(coordinator.engine, "cycle", side_effect=ZeroDivisionError("oops")):
        await later(hass, freezer)
    assert coordinator.last_update_success is False
    assert "oops" in caplog.text
    await later(hass, freezer)
    assert coordinator.last_update_success is True


async def test_newer_ledger(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """A ledger of a newer version is left as it is, and the owner is told the way back up."""
    assert await set_up(hass, entry)
    assert await hass.config_entries.async_unload(entry.entry_id)
    path = ledger_path(hass, entry.entry_id)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    assert not await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert path.read_bytes() == before
    issue = ir.async_get(hass).async_get_issue(DOMAIN, f"ledger_newer_{entry.entry_id}")
    assert issue
    assert issue.translation_placeholders
    assert issue.translation_placeholders["path"] == str(path)
    assert "file version 99" in issue.translation_placeholders["error"]
    await hass.async_block_till_done()


async def test_remove_dry_run(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Paper money leaves nothing behind."""
    await set_up(hass, entry)
    path = ledger_path(hass, entry.entry_id)
    assert path.exists()
    other = path.with_name("other.db")
    other.touch()
    await hass.config_entries.async_remove(entry.entry_id)
    assert list(path.parent.iterdir()) == [other]


async def test_remove_dry_run_that_was_live(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator
) -> None:
    """What was traded live stays, whatever the mode is when the follower is removed."""
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, live_entry)
    assert await hass.config_entries.async_unload(live_entry.entry_id)
    hass.config_entries.async_update_entry(live_entry, data={**live_entry.data, "trading_mode": "dry_run"})
    assert await set_up(hass, live_entry)
    await hass.config_entries.async_remove(live_entry.entry_id)
    assert ledger_path(hass, live_entry.entry_id).exists()


async def test_remove_a_ledger_that_cannot_be_read(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What cannot be read may have been live, and stays; so does a copy that was."""
    path = ledger_path(hass, entry.entry_id)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no ledger at all")
    await hass.config_entries.async_remove(entry.entry_id)
    assert path.read_bytes() == b"no ledger at all"


async def test_remove_before_set_up(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """There may be nothing to remove."""
    await hass.config_entries.async_remove(entry.entry_id)
    assert not ledger_path(hass, entry.entry_id).parent.exists()


async def test_remove_live(hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """The record of real trades stays."""
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, live_entry)
    assert live_entry.runtime_data.data.positions["BTC"].quantity > 0
    settings = live_entry.runtime_data.settings
    await hass.config_entries.async_remove(live_entry.entry_id)
    ledger = Ledger(ledger_path(hass, live_entry.entry_id), settings.mode, settings.quote)
    ledger.open()
    assert [trade.symbol for trade in ledger.trades()] == ["BTCUSDC"]
    ledger.close()
