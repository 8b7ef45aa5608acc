"""The pause switch."""

from typing import Any
from unittest.mock import patch

from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, Unauthorized
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.storage import LedgerError
from simulators.leader import LeaderSimulator

from .conftest import set_up
from .entities import ALLOCATION, entity_id, keys, poll, state_of


async def turn(hass: HomeAssistant, entry: MockConfigEntry, service: str, user_id: str | None = None) -> None:
    """Turn the switch on or off, in the name of a user or, as automations do, of none."""
    target: dict[str, Any] = {"entity_id": entity_id(hass, entry, "switch", "pause")}
    await hass.services.async_call("switch", service, target, blocking=True, context=Context(user_id=user_id))


async def test_pause_and_resume(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A paused follower takes no signal up, remembers it over a restart, and follows the latest one once resumed."""
    assert await set_up(hass, entry)
    assert keys(hass, entry, "switch") == {"pause"}
    assert state_of(hass, entry, "switch", "pause").state == STATE_OFF

    await turn(hass, entry, "turn_on")
    assert state_of(hass, entry, "switch", "pause").state == STATE_ON
    assert state_of(hass, entry, "sensor", "status").state == "paused"
    assert state_of(hass, entry, "binary_sensor", "dead").state == STATE_OFF

    assert await hass.config_entries.async_reload(entry.entry_id)
    leader.publish_v2(ALLOCATION)
    await poll(hass, entry)
    assert state_of(hass, entry, "switch", "pause").state == STATE_ON
    assert state_of(hass, entry, "sensor", "btc_value").state == "0"

    await turn(hass, entry, "turn_off")
    assert state_of(hass, entry, "switch", "pause").state == STATE_OFF
    await poll(hass, entry)
    assert float(state_of(hass, entry, "sensor", "btc_value").state) > 0


async def test_who_may(
    hass: HomeAssistant, entry: MockConfigEntry, hass_read_only_user: MockUser, hass_admin_user: MockUser
) -> None:
    """Everybody in the house may pause; resuming is for administrators and automations, not for somebody unknown."""
    hass_read_only_user.mock_policy({"entities": True})
    assert await set_up(hass, entry)
    await turn(hass, entry, "turn_on", hass_read_only_user.id)
    assert state_of(hass, entry, "switch", "pause").state == STATE_ON
    for nobody in (hass_read_only_user.id, "0" * 32):
        with pytest.raises(Unauthorized):
            await turn(hass, entry, "turn_off", nobody)
        assert state_of(hass, entry, "switch", "pause").state == STATE_ON
    for somebody in (hass_admin_user.id, None):
        await turn(hass, entry, "turn_on", hass_read_only_user.id)
        await turn(hass, entry, "turn_off", somebody)
        assert state_of(hass, entry, "switch", "pause").state == STATE_OFF


async def test_ledger_fails(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What could not be written down did not happen, and the owner is told."""
    assert await set_up(hass, entry)
    with (
        patch.object(Ledger, "remember_all", side_effect=LedgerError("disk full")),
        pytest.raises(HomeAssistantError) as err,
    ):
        await turn(hass, entry, "turn_on")
    assert err.value.translation_key == "ledger_unavailable"
    assert state_of(hass, entry, "switch", "pause").state == STATE_OFF
