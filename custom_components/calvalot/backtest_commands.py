"""What the cards ask about backtests beside the actions: what there is to choose from, another name for one, its end."""

from typing import Any, Final

from homeassistant.components.websocket_api import async_register_command
from homeassistant.components.websocket_api.connection import ActiveConnection
from homeassistant.components.websocket_api.const import ERR_NOT_FOUND
from homeassistant.components.websocket_api.decorators import async_response, require_admin, websocket_command
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
import voluptuous as vol

from .backtest_actions import ATTR_BACKTEST, MAX_NAME, async_backtests
from .const import DOMAIN
from .coordinator import CalvalotConfigEntry
from .errors import send_error, translated_errors

ATTR_ENTRY_ID: Final = "entry_id"

NAME: Final = vol.All(str, vol.Length(min=1, max=MAX_NAME))


@callback
def async_setup_backtests(hass: HomeAssistant) -> None:
    """Register them."""
    async_register_command(hass, ws_backtest_choices)
    async_register_command(hass, ws_rename_backtest)
    async_register_command(hass, ws_delete_backtest)


@require_admin
@websocket_command({vol.Required("type"): f"{DOMAIN}/backtest_choices", vol.Required(ATTR_ENTRY_ID): str})
@async_response
async def ws_backtest_choices(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """Strategies by name, the time frames of a portfolio's exchange, and what it is kept in."""
    entry: CalvalotConfigEntry | None = hass.config_entries.async_get_entry(msg[ATTR_ENTRY_ID])
    if entry is None or entry.domain != DOMAIN or entry.state is not ConfigEntryState.LOADED:
        connection.send_error(msg["id"], ERR_NOT_FOUND, "There is no such portfolio, or it is not running")
        return
    connection.send_result(msg["id"], await async_backtests(hass).async_choices(entry))


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
