"""What the tests of triggers and conditions share: an automation whose action tells of each run."""

from typing import Any

from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import async_mock_service

DATA = {
    **{name: f"{{{{ trigger.{name} | default }}}}" for name in ("id", "platform", "description", "entity_id")},
    "state": "{{ trigger.to_state.state if trigger.to_state is defined }}",
    "event_type": "{{ trigger.to_state.attributes.event_type if trigger.to_state is defined }}",
}


async def automate(hass: HomeAssistant, *automations: dict[str, Any]) -> list[ServiceCall]:
    """Set automations up; the calls name the trigger variables that an action can use."""
    action = {"action": "test.automation", "data": DATA}
    calls = async_mock_service(hass, "test", "automation")
    configs = [{"mode": "queued", "max": 100, "actions": [action], **automation} for automation in automations]
    assert await async_setup_component(hass, "automation", {"automation": configs})
    await hass.async_block_till_done()
    # One that Home Assistant could not use is there, but unavailable.
    assert [state.state for state in hass.states.async_all("automation")] == ["on"] * len(automations)
    return calls
