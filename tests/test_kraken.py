"""A portfolio on Kraken in a running Home Assistant: set up, traded, shown; nothing is offered that it lacks."""

from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_system_health_info

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
import harness.portfolio
from simulators.exchange import ExchangeSimulator
from simulators.kraken import KrakenSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import poll


def data(leader: LeaderSimulator, kraken: KrakenSimulator, *, live: bool) -> dict[str, Any]:
    """What the set-up stores."""
    return {**harness.portfolio.entry_data(leader, kraken, live=live), "exchange": "kraken", "quote_asset": "EUR"}


@pytest.mark.parametrize("live", [False, True], ids=["dry run", "live"])
async def test_a_portfolio(
    hass: HomeAssistant, leader: LeaderSimulator, kraken: KrakenSimulator, *, live: bool
) -> None:
    """It follows its leader in EUR; diagnostics and system health say where it is."""
    leader.publish_v2({"BTC": "0.4", "ETH": "0.2"})
    entry = add_entry(hass, data(leader, kraken, live=live))
    assert await set_up(hass, entry)
    await poll(hass, entry)
    snapshot = entry.runtime_data.data
    assert snapshot.exchange_problem is None
    assert {coin for coin, view in snapshot.positions.items() if view.quantity} == {"BTC", "ETH"}
    assert bool(kraken.orders) is live
    shown = await async_get_config_entry_diagnostics(hass, entry)
    assert (shown["exchange"]["name"], shown["exchange"]["account_stream"]) == ("kraken", False if live else None)
    assert await async_setup_component(hass, "system_health", {})
    info = await get_system_health_info(hass, DOMAIN)
    info["can_reach_exchange"].close()
    assert info["exchanges_connected"] == 1
    assert "used_weight" not in info
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_options(hass: HomeAssistant, leader: LeaderSimulator, kraken: KrakenSimulator) -> None:
    """Prices come by themselves there, too."""
    entry = add_entry(hass, data(leader, kraken, live=False))
    assert await set_up(hass, entry)
    form = await hass.config_entries.options.async_init(entry.entry_id)
    fields = {str(field) for section in form["data_schema"].schema.values() for field in section.schema.schema}
    assert {"live_prices", "candle_frames"} <= fields


async def test_an_exchange_that_is_not_known(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """An entry of a newer version: said, and nothing is traded."""
    hass.config_entries.async_update_entry(entry, data={**entry.data, "exchange": "nowhere"})
    assert not await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_ERROR


async def test_from_one_exchange_to_the_other(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, kraken: KrakenSimulator
) -> None:
    """A portfolio that is reconfigured trades there from then on, in the asset that its books are in."""
    entry = add_entry(hass, harness.portfolio.entry_data(leader, exchange, live=False))
    assert await set_up(hass, entry)
    menu = await entry.start_reconfigure_flow(hass)
    await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "exchange"})
    values = {"trading_mode": "dry_run", "exchange": "kraken", "exchange_url": kraken.url}
    done = await hass.config_entries.flow.async_configure(menu["flow_id"], values)
    assert done["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()
    assert entry.data["exchange"] == "kraken"
    assert entry.runtime_data.exchange.name == "kraken"
    leader.publish_v2({"BTC": "0.4"})
    await poll(hass, entry)
    assert entry.runtime_data.data.positions["BTC"].quantity
