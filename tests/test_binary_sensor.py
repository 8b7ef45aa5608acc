"""Connections and death."""

from typing import Any

from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE, EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import entity_id, keys, poll, state_of


async def test_keys(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The contract's binary sensors are there, with their classes."""
    assert await set_up(hass, entry)
    assert keys(hass, entry, "binary_sensor", enabled_only=True) == {
        "leader_connected",
        "exchange_connected",
        "market_data",
        "dead",
    }
    registry = er.async_get(hass)
    for key, device_class, category in (
        ("leader_connected", "connectivity", EntityCategory.DIAGNOSTIC),
        ("exchange_connected", "connectivity", EntityCategory.DIAGNOSTIC),
        ("market_data", "connectivity", EntityCategory.DIAGNOSTIC),
        ("dead", "problem", None),
    ):
        entity = registry.async_get(entity_id(hass, entry, "binary_sensor", key))
        assert entity
        assert (entity.original_device_class, entity.entity_category) == (device_class, category), key


async def test_leader_down(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A leader that does not answer is disconnected, and the sensor says so."""
    assert await set_up(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "leader_connected").state == STATE_ON

    leader.misbehave("status", None)
    await poll(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "leader_connected").state == STATE_OFF
    assert state_of(hass, entry, "binary_sensor", "exchange_connected").state == STATE_ON

    leader.behave()
    await poll(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "leader_connected").state == STATE_ON


async def test_exchange_down(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """An exchange that is gone is disconnected, and the sensor says so."""
    assert await set_up(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "exchange_connected").state == STATE_ON

    await exchange.stop()
    await poll(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "exchange_connected").state == STATE_OFF
    assert state_of(hass, entry, "binary_sensor", "leader_connected").state == STATE_ON
    assert state_of(hass, entry, "sensor", "total_value").state == STATE_UNAVAILABLE

    await exchange.start()
    await poll(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "exchange_connected").state == STATE_ON


async def test_dead(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Three valuations under the floor are the end, over a restart too."""
    entry = add_entry(hass, entry_data | {"initial_budget": 20.0}, survival_floor=5)
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    await poll(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "dead").state == STATE_OFF

    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 10)
    await poll(hass, entry, 2)
    assert state_of(hass, entry, "binary_sensor", "dead").state == STATE_OFF
    await poll(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "dead").state == STATE_ON
    assert state_of(hass, entry, "sensor", "status").state == "dead"

    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert state_of(hass, entry, "binary_sensor", "dead").state == STATE_ON
