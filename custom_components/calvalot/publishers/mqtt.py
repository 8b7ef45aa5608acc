"""How publications go over Home Assistant's own MQTT, and how those of a leader come.

MQTT is imported where it is used only: without it Home Assistant does not have what it needs.
"""

import json
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError

from ..trading.leading.publication import Publication

# Under the topic of a leader: what holds, kept by the broker, and each new signal once.
SNAPSHOT: Final = "snapshot"
SIGNAL: Final = "signal"


@callback
def async_has_mqtt(hass: HomeAssistant) -> bool:
    """Whether Home Assistant is set up to speak to a broker."""
    return "mqtt" in hass.config.components


async def async_publish(hass: HomeAssistant, topic: str, published: Publication, *, is_new: bool) -> bool:
    """Publish a publication under a topic, retained, and where `is_new` as a signal too; whether the broker was there."""
    if not async_has_mqtt(hass):
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
    """Call a listener each time the broker comes or goes; None where there is no MQTT."""
    if not async_has_mqtt(hass):
        return None
    from homeassistant.components import mqtt  # noqa: PLC0415

    @callback
    def changed(_connected: bool) -> None:
        listener()

    return mqtt.async_subscribe_connection_status(hass, changed)
