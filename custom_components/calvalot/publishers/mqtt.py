"""How publications go over Home Assistant's own MQTT, and how those of a leader come.

MQTT is imported where it is used only: without it Home Assistant does not have what it needs.
"""

import json
from typing import Any, Final

from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry, ConfigEntryChange, ConfigEntryState
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from ..trading.leading.publication import Publication

MQTT: Final = "mqtt"
# Under the topic of a leader: what holds, kept by the broker, and each new signal once.
SNAPSHOT: Final = "snapshot"
SIGNAL: Final = "signal"


@callback
def async_has_mqtt(hass: HomeAssistant) -> bool:
    """Whether Home Assistant is set up to speak to a broker."""
    return bool(hass.config_entries.async_entries(MQTT, include_ignore=False, include_disabled=False))


@callback
def async_is_ready(hass: HomeAssistant) -> bool:
    """Whether MQTT can be spoken to, with or without a connection to the broker."""
    return bool(hass.config_entries.async_loaded_entries(MQTT))


@callback
def async_on_mqtt(hass: HomeAssistant, listener: CALLBACK_TYPE) -> CALLBACK_TYPE:
    """Call a listener each time MQTT is set up in Home Assistant; returns what ends that."""

    @callback
    def changed(_change: ConfigEntryChange, entry: ConfigEntry[Any]) -> None:
        if entry.domain == MQTT and entry.state is ConfigEntryState.LOADED:
            listener()

    return async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, changed)


async def async_publish(hass: HomeAssistant, topic: str, published: Publication, *, is_new: bool) -> bool:
    """Publish a publication under a topic, retained, and where `is_new` as a signal too; whether the broker was there."""
    if not async_is_ready(hass):
        return False
    from homeassistant.components import mqtt  # noqa: PLC0415

    message = json.dumps(published.document(2), ensure_ascii=False)
    try:
        if not mqtt.is_connected(hass):
            return False
        await mqtt.async_publish(hass, f"{topic}/{SNAPSHOT}", message, qos=1, retain=True)
        if is_new:
            await mqtt.async_publish(hass, f"{topic}/{SIGNAL}", message, qos=1, retain=False)
    except HomeAssistantError, KeyError:
        return False
    return True


@callback
def async_on_connection(hass: HomeAssistant, listener: CALLBACK_TYPE) -> CALLBACK_TYPE | None:
    """Call a listener each time the broker comes or goes; None where there is no MQTT yet."""
    if not async_is_ready(hass):
        return None
    from homeassistant.components import mqtt  # noqa: PLC0415

    @callback
    def changed(_connected: bool) -> None:
        listener()

    return mqtt.async_subscribe_connection_status(hass, changed)
