"""The repair of a strategy in Python whose file has changed: shown, tried, and used from then on."""

from typing import Any

from homeassistant.components.repairs import RepairsFlow, RepairsFlowResult
from homeassistant.config_entries import ConfigEntry
import voluptuous as vol

from .form_input import InvalidInput
from .python_strategies import (
    CONF_PARAMETERS,
    CONF_SHA256,
    CONF_STRATEGY,
    CONF_TIME_FRAME,
    async_problem,
    async_script,
    async_try,
    script_parameters,
)
from .registry import stored_of
from .trading.market.candles import TimeFrame
from .trading.strategies.document import InvalidStrategy
from .trading.strategies.script import Script, sha256_of

CONF_COIN = "coin"


class ConfirmScript(RepairsFlow):
    """Shows by their hashes what was allowed and what the file is now; whoever confirms allows that."""

    def __init__(self, entry: ConfigEntry[Any], key: str) -> None:
        """Take which source it is about."""
        self._entry = entry
        self._key = key
        self._shown = ""

    async def async_step_init(self, _user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Show the question."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Ask whether the file as it is now is to be used; one that changes meanwhile is asked about anew."""
        stored = stored_of(self._entry, self._key).options
        name: str = stored[CONF_STRATEGY]
        placeholders = {"name": self._entry.title, "file": name, "allowed": stored[CONF_SHA256]}
        errors: dict[str, str] = {}
        try:
            script = await async_script(self.hass, name)
            found = sha256_of(script.text)
            if user_input is not None and found == self._shown:
                await self._try(script)
                self._allow(found)
                return self.async_create_entry(data={})
            if user_input is not None:
                errors = {"base": "file_changed_again"}
            self._shown = found
        except InvalidStrategy as err:
            errors = {"base": "strategy_invalid"}
            placeholders["problem"] = await async_problem(self.hass, err)
        except InvalidInput as err:
            errors = {"base": next(iter(err.errors.values()))}
            placeholders |= err.placeholders
        return self.async_show_form(
            step_id="confirm",
            data_schema=vol.Schema({}),
            errors=errors,
            description_placeholders={**placeholders, "found": self._shown or "–"},
        )

    async def _try(self, script: Script) -> None:
        """See that it decides with what is stored. Raises InvalidStrategy, InvalidInput."""
        stored = stored_of(self._entry, self._key).options
        chosen = script_parameters(script, stored[CONF_PARAMETERS])
        await async_try(self.hass, script, stored[CONF_COIN], TimeFrame(stored[CONF_TIME_FRAME]), chosen)

    def _allow(self, found: str) -> None:
        """Store what is allowed from now on; the portfolio goes on with it."""
        entries, entry = self.hass.config_entries, self._entry
        if subentry := entry.subentries.get(self._key):
            entries.async_update_subentry(entry, subentry, data={**subentry.data, CONF_SHA256: found})
        else:
            entries.async_update_entry(entry, options={**entry.options, CONF_SHA256: found})
