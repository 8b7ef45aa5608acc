"""Repairs an owner can have done with a click."""

from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow, RepairsFlowResult
from homeassistant.core import HomeAssistant
import voluptuous as vol

from .checks import InvalidInput, check_coins
from .const import CONF_COINS, CONF_QUOTE_ASSET, DEFAULT_COINS, DEFAULT_QUOTE_ASSET
from .settings import coin_codes, exchange_of


class AddCoins(RepairsFlow):
    """Adds the coins a signal named to those that the follower trades."""

    def __init__(self, entry_id: str, coins: tuple[str, ...]) -> None:
        """Take what the issue is about."""
        self._entry_id = entry_id
        self._coins = coins

    async def async_step_init(self, _user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Show the question."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Look the coins up at the exchange and add them."""
        entry = self.hass.config_entries.async_get_known_entry(self._entry_id)
        placeholders = {"name": entry.title, "coins": ", ".join(self._coins)}
        errors = {}
        if user_input is not None:
            quote = entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
            try:
                await check_coins(exchange_of(self.hass, entry.data), self._coins, quote)
            except InvalidInput as err:
                errors = {"base": next(iter(err.errors.values()))}
                placeholders |= err.placeholders
            else:
                known = coin_codes(entry.options.get(CONF_COINS, DEFAULT_COINS))
                options = {**entry.options, CONF_COINS: list(dict.fromkeys((*known, *self._coins)))}
                self.hass.config_entries.async_update_entry(entry, options=options)
                self.hass.config_entries.async_schedule_reload(entry.entry_id)
                return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="confirm", data_schema=vol.Schema({}), errors=errors, description_placeholders=placeholders
        )


async def async_create_fix_flow(
    _hass: HomeAssistant, _issue_id: str, data: dict[str, str | int | float | None] | None
) -> RepairsFlow:
    """Create the flow that repairs an issue."""
    match data:
        case {"entry_id": str(entry_id), "coins": str(coins)}:
            return AddCoins(entry_id, coin_codes(coins.split(",")))
    return ConfirmRepairFlow()
