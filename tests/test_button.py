"""The poll button."""

from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import set_up
from .entities import ALLOCATION, entity_id, keys, state_of


async def test_poll(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """The button returns when the cycle is over: the signal is executed by then."""
    assert await set_up(hass, entry)
    assert keys(hass, entry, "button") == {"poll"}
    leader.publish_v2(ALLOCATION)
    exchange.set_latency(0.2)

    target = {"entity_id": entity_id(hass, entry, "button", "poll")}
    await hass.services.async_call("button", "press", target, blocking=True)

    assert state_of(hass, entry, "sensor", "last_signal_result").state == "executed"
    assert float(state_of(hass, entry, "sensor", "btc_value").state) > 0


async def test_poll_with_everything_down(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Faults of the others show in the sensors, not as errors of the button."""
    assert await set_up(hass, entry)
    await leader.stop()
    await exchange.stop()
    target = {"entity_id": entity_id(hass, entry, "button", "poll")}
    await hass.services.async_call("button", "press", target, blocking=True)
    assert state_of(hass, entry, "binary_sensor", "leader_connected").state == "off"
    assert state_of(hass, entry, "binary_sensor", "exchange_connected").state == "off"
