"""Where a webhook is reached from outside."""

from homeassistant.components import webhook
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.network import NoURLAvailableError


@callback
def webhook_address(hass: HomeAssistant, webhook_id: str, *, prefer_external: bool = True) -> str:
    """The address of a webhook; only the path where Home Assistant does not know its own."""
    try:
        return webhook.async_generate_url(hass, webhook_id, prefer_external=prefer_external)
    except NoURLAvailableError:
        return webhook.async_generate_path(webhook_id)
