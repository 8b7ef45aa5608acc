"""The buttons: poll, approve, reject."""

from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError, Unauthorized
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import ALLOCATION, entity_id, keys, poll, state_of


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


async def press(hass: HomeAssistant, entry: MockConfigEntry, key: str) -> None:
    """Press a button."""
    target = {"entity_id": entity_id(hass, entry, "button", key)}
    await hass.services.async_call("button", "press", target, blocking=True)
    await hass.async_block_till_done()


@pytest.mark.parametrize(("key", "result"), [("approve", "executed"), ("reject", "skipped")])
async def test_approval(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, key: str, result: str
) -> None:
    """The buttons are there where the owner wants to be asked, and can be pressed while something waits."""
    entry = add_entry(hass, entry_data, approval="ask")
    assert await set_up(hass, entry)
    assert keys(hass, entry, "button") == {"poll", "approve", "reject"}
    buttons = ("approve", "reject")
    assert [state_of(hass, entry, "button", name).state for name in buttons] == ["unavailable"] * 2

    leader.publish_v2(ALLOCATION)
    await poll(hass, entry)
    assert state_of(hass, entry, "sensor", "last_signal_result").state == "waiting"
    assert [state_of(hass, entry, "button", name).state for name in buttons] == ["unknown"] * 2
    assert state_of(hass, entry, "event", "signal").attributes["event_type"] == "waiting"

    await press(hass, entry, key)
    assert state_of(hass, entry, "sensor", "last_signal_result").state == result
    assert (float(state_of(hass, entry, "sensor", "btc_value").state) > 0) == (key == "approve")
    assert [state_of(hass, entry, "button", name).state for name in buttons] == ["unavailable"] * 2


async def test_approval_too_late(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """What the owner is told when he presses after the time, and the buttons go."""
    entry = add_entry(hass, entry_data, approval="ask", approval_timeout=5)
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    freezer.tick(301)
    with pytest.raises(ServiceValidationError) as err:
        await press(hass, entry, "approve")
    assert err.value.translation_key == "not_waiting"
    await hass.async_block_till_done()
    assert state_of(hass, entry, "button", "approve").state == "unavailable"


async def test_approval_is_for_administrators(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, hass_read_only_user: MockUser
) -> None:
    """A user who may not perform the action may not press the button, though he may control the entity."""
    hass_read_only_user.mock_policy({"entities": {"domains": {"button": True}}})
    entry = add_entry(hass, entry_data, approval="ask")
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    target = {"entity_id": entity_id(hass, entry, "button", "approve")}
    context = Context(user_id=hass_read_only_user.id)
    with pytest.raises(Unauthorized):
        await hass.services.async_call("button", "press", target, blocking=True, context=context)
    assert state_of(hass, entry, "sensor", "last_signal_result").state == "waiting"


async def test_no_question_no_buttons(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """They go with the option."""
    entry = add_entry(hass, entry_data, approval="ask")
    assert await set_up(hass, entry)
    hass.config_entries.async_update_entry(entry, options={"approval": "automatic"})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert keys(hass, entry, "button") == {"poll"}
