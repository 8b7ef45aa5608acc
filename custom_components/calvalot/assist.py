"""Which followers a voice assistant or a language model may speak of."""

from typing import cast

from homeassistant.components.homeassistant.exposed_entities import async_should_expose
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from .const import DOMAIN
from .coordinator import CalvalotConfigEntry
from .switch import PAUSE


@callback
def async_pause_switch(hass: HomeAssistant, entry: CalvalotConfigEntry) -> str | None:
    """Return the entity id of a follower's pause switch."""
    return er.async_get(hass).async_get_entity_id(Platform.SWITCH, DOMAIN, f"{entry.entry_id}_{PAUSE.key}")


@callback
def async_exposed_followers(hass: HomeAssistant, assistant: str | None) -> list[CalvalotConfigEntry]:
    """Return the running followers whose pause switch the owner exposes to an assistant."""
    entries = cast("list[CalvalotConfigEntry]", hass.config_entries.async_loaded_entries(DOMAIN))
    return [
        entry
        for entry in entries
        if assistant
        and (entity_id := async_pause_switch(hass, entry))
        and async_should_expose(hass, assistant, entity_id)
    ]
