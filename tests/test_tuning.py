"""What an owner tunes is taken up in place: the follower goes on, and no cycle is lost."""

import asyncio
from datetime import time, timedelta
from decimal import Decimal
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN, MINOR_VERSION
from custom_components.calvalot.forms import SECTIONS
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.risk import STOP_PEAK
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import keys, later, poll, reading
from .test_allocation import portfolio, weights


async def tune(hass: HomeAssistant, entry: MockConfigEntry, **options: Any) -> None:
    """Change options, as the form of the options does."""
    coordinator = entry.runtime_data
    hass.config_entries.async_update_entry(entry, options={**entry.options, **options})
    await hass.async_block_till_done()
    assert entry.runtime_data is coordinator
    assert entry.state is ConfigEntryState.LOADED


async def test_limits(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Limits hold from the next cycle on, which begins at once; an option that is taken away has its default again."""
    assert await set_up(hass, entry)
    asked = len(leader.requests)
    await tune(hass, entry, max_order_share=10, min_order=7)
    assert len(leader.requests) == asked + 1
    leader.publish_v2({"BTC": "0.4"})
    await poll(hass, entry)
    assert Decimal(9) < entry.runtime_data.data.positions["BTC"].value < Decimal(120)
    assert entry.runtime_data.settings.min_order == 7
    hass.config_entries.async_update_entry(entry, options={})
    await hass.async_block_till_done()
    assert (entry.runtime_data.settings.min_order, entry.runtime_data.settings.max_order_share) == (5, 1)


async def test_running_cycle(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A cycle that runs goes on to its end, with what it began with; the next one follows it."""
    assert await set_up(hass, entry)
    leader.publish_v2({"BTC": "0.4"})
    leader.misbehave("slow", 1, seconds=0.3)
    cycles = len(entry.runtime_data.engine.health.cycles)
    running = hass.async_create_task(entry.runtime_data.async_poll())
    await asyncio.sleep(0.1)
    await tune(hass, entry, rebalance_threshold=3)
    await running
    assert len(entry.runtime_data.engine.health.cycles) == cycles + 2
    assert entry.runtime_data.data.last_signal_result == "executed"
    assert entry.runtime_data.data.positions["BTC"].quantity


async def test_interval(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """Cycles run at the new interval, and not at the old one any more."""
    assert await set_up(hass, entry)
    await tune(hass, entry, poll_interval=600)
    asked = len(leader.requests)
    await later(hass, freezer, 300)
    assert len(leader.requests) == asked
    await later(hass, freezer, 301)
    assert len(leader.requests) == asked + 1
    await tune(hass, entry, poll_interval=30)
    asked = len(leader.requests)
    await later(hass, freezer, 31)
    assert len(leader.requests) == asked + 1


async def test_polling_is_off(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """Where Home Assistant was told not to poll, an interval starts nothing."""
    hass.config_entries.async_update_entry(entry, pref_disable_polling=True)
    assert await set_up(hass, entry)
    await tune(hass, entry, poll_interval=30)
    asked = len(leader.requests)
    await later(hass, freezer, 100)
    assert len(leader.requests) == asked


async def test_webhook(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The door for pushes opens and closes with its option."""
    assert await set_up(hass, entry)
    own = entry.data["webhook_id"]
    assert own not in hass.data.get("webhook", {})
    await tune(hass, entry, push=True)
    assert own in hass.data["webhook"]
    verifier = entry.runtime_data.verifier
    await tune(hass, entry, min_order=6)
    assert entry.runtime_data.verifier is verifier
    await tune(hass, entry, push=False)
    assert own not in hass.data["webhook"]
    assert entry.runtime_data.verifier is None


async def test_coins(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A coin that is added can be bought, and has its sensors; one that is taken away and not held loses them."""
    assert await set_up(hass, entry)
    leader.publish_v2({"ADA": "0.2"})
    await poll(hass, entry)
    assert entry.runtime_data.data.unknown_coins == ("ADA",)
    await tune(hass, entry, coins=["BTC", "ADA"])
    await poll(hass, entry)
    assert entry.runtime_data.data.positions["ADA"].quantity
    assert {"ada_value", "btc_value"} <= keys(hass, entry, "sensor")
    assert "eth_value" not in keys(hass, entry, "sensor")


async def test_stop_loss(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """One that is switched off forgets the peak that it counted from."""
    entry = add_entry(hass, entry_data, stop_loss_drawdown=20)
    assert await set_up(hass, entry)
    assert entry.runtime_data.data.fall == 0
    await tune(hass, entry, stop_loss_drawdown=None)
    assert entry.runtime_data.data.fall is None
    with reading(hass, entry) as ledger:
        assert ledger.fact(STOP_PEAK) is None


async def test_source(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """A source's own fields are taken up in place, and what it remembered stays."""
    entry = await portfolio(hass, exchange, trade_to="target")
    signals = len(await entry.runtime_data.engine.queries.signals())
    await tune(hass, entry, drift=30.0)
    assert len(await entry.runtime_data.engine.queries.signals()) == signals
    await tune(hass, entry, allocation=[{"coin": "BTC", "share": 20.0}, {"coin": "ETH", "share": 70.0}])
    await poll(hass, entry)
    assert await weights(hass) == {"BTC": pytest.approx(20, abs=1.5), "ETH": pytest.approx(70, abs=1.5)}


async def test_nothing_tuned(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Another name is nothing to the follower."""
    assert await set_up(hass, entry)
    asked, coordinator = len(leader.requests), entry.runtime_data
    hass.config_entries.async_update_entry(entry, title="Ours")
    await hass.async_block_till_done()
    assert entry.runtime_data is coordinator
    assert len(leader.requests) == asked


async def test_connection(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What connects sets the entry up anew."""
    assert await set_up(hass, entry)
    coordinator = entry.runtime_data
    hass.config_entries.async_update_entry(entry, data={**entry.data, "initial_budget": 500.0})
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    assert entry.runtime_data is not coordinator


async def test_when_not_to_trade(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Quiet hours, sides and coins are taken as they are written; what is left empty is not there."""
    assert await set_up(hass, entry)
    await tune(hass, entry, quiet_hours="22:00 - 07:30", only="buy", frozen=["doge"], locked=["BTC"])
    settings = entry.runtime_data.settings
    assert settings.quiet_hours
    assert (settings.quiet_hours.start, settings.quiet_hours.end) == (time(22), time(7, 30))
    assert (settings.only, settings.frozen, settings.locked) == (Side.BUY, {"DOGE"}, {"BTC"})
    hass.config_entries.async_update_entry(entry, options={"only": None})
    await hass.async_block_till_done()
    assert (settings.quiet_hours, settings.only, settings.frozen, settings.locked) == (
        None,
        None,
        frozenset(),
        frozenset(),
    )


@pytest.mark.parametrize(
    ("hours", "taken"),
    [
        ("22:00-07:00", True),
        ("", True),
        ("22:00", False),
        ("7:00-7:00", False),
        ("07:00-07:00", False),
        ("late", False),
    ],
)
async def test_quiet_hours_in_the_form(hass: HomeAssistant, entry: MockConfigEntry, hours: str, taken: bool) -> None:
    """What is no two times is refused on its section."""
    assert await set_up(hass, entry)
    form = await hass.config_entries.options.async_init(entry.entry_id)
    values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS if name != "blend"} | {
        "trade": {"coins": ["BTC"]},
        "timing": {"quiet_hours": hours},
    }
    result = await hass.config_entries.options.async_configure(form["flow_id"], values)
    assert (result["type"] is FlowResultType.CREATE_ENTRY) is taken
    if not taken:
        assert result["errors"] == {"timing": "quiet_hours_invalid"}


async def test_a_cycle_that_ends_after_the_unload(
    hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """It publishes that the next one is wanted when the quiet hours end, and nobody waits for that: no timer is left."""
    assert await set_up(hass, entry)
    now = dt_util.now()
    await tune(hass, entry, quiet_hours="-".join(f"{now + timedelta(hours=each):%H:%M}" for each in (-1, 1)))
    await poll(hass, entry)
    exchange.set_latency(0.5)
    cycle = hass.async_create_task(entry.runtime_data.async_poll())
    await asyncio.sleep(0)
    assert await hass.config_entries.async_unload(entry.entry_id)
    await cycle


async def test_invalid(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Options that cannot be meant stop the follower, and say which it is."""
    assert await set_up(hass, entry)
    hass.config_entries.async_update_entry(entry, options={"min_order": "lots"})
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert entry.error_reason_translation_placeholders == {"field": "min_order"}


async def test_without_a_ledger(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Where the ledger cannot be read, what was tuned holds all the same."""
    assert await set_up(hass, entry)
    await entry.runtime_data.engine.stop()
    await tune(hass, entry, coins=["BTC"], min_order=8)
    assert entry.runtime_data.settings.min_order == 8


async def test_entry_of_the_first_version(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator
) -> None:
    """It gets the id of its webhook, where it has none, and loses nothing."""
    entry = MockConfigEntry(domain=DOMAIN, title="Calv-a-lot", data=entry_data, options={"min_order": 7})
    entry.add_to_hass(hass)
    assert await set_up(hass, entry)
    assert entry.minor_version == MINOR_VERSION
    assert len(entry.data["webhook_id"]) == 64
    assert {key: entry.data[key] for key in entry_data} == entry_data
    assert entry.options == {"min_order": 7}
    known = MockConfigEntry(domain=DOMAIN, data={**entry_data, "webhook_id": "a" * 64}, options={"push": True})
    known.add_to_hass(hass)
    assert await set_up(hass, known)
    assert known.data["webhook_id"] == "a" * 64
    assert er.async_entries_for_config_entry(er.async_get(hass), known.entry_id)
