"""What the cards ask about backtests beside the actions: another name for one, and its end."""

from typing import Any, Final

from homeassistant.components.websocket_api import async_register_command
from homeassistant.components.websocket_api.connection import ActiveConnection
from homeassistant.components.websocket_api.decorators import async_response, require_admin, websocket_command
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
import voluptuous as vol

from .backtest_actions import ATTR_BACKTEST, MAX_NAME, async_backtests
from .const import DOMAIN
from .errors import send_error, translated_errors

NAME: Final = vol.All(str, vol.Length(min=1, max=MAX_NAME))


@callback
def async_setup_backtests(hass: HomeAssistant) -> None:
    """Register them."""
    async_register_command(hass, ws_rename_backtest)
    async_register_command(hass, ws_delete_backtest)


@require_admin
@websocket_command(
    {
        vol.Required("type"): f"{DOMAIN}/rename_backtest",
        vol.Required(ATTR_BACKTEST): str,
        vol.Required("name"): NAME,
    }
)
@async_response
async def ws_rename_backtest(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """Give a backtest another name."""
    try:
        with translated_errors():
            await async_backtests(hass).async_rename(msg[ATTR_BACKTEST], msg["name"])
    except HomeAssistantError as err:
        send_error(connection, msg, err)
    else:
        connection.send_result(msg["id"])


@require_admin
@websocket_command({vol.Required("type"): f"{DOMAIN}/delete_backtest", vol.Required(ATTR_BACKTEST): str})
@async_response
async def ws_delete_backtest(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """Delete a backtest with its result."""
    try:
        with translated_errors():
            await async_backtests(hass).async_delete(msg[ATTR_BACKTEST])
    except HomeAssistantError as err:
        send_error(connection, msg, err)
    else:
        connection.send_result(msg["id"])
