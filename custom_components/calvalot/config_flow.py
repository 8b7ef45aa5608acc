"""The flows by which an owner sets a follower up and changes it."""

from collections.abc import Mapping
import hashlib
import json
from typing import Any, override

from homeassistant.config_entries import ConfigEntry, ConfigFlow, ConfigFlowResult
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
import voluptuous as vol
from yarl import URL

from . import forms
from .checks import InvalidInput, check_budget, check_exchange, check_leader, checked_url, is_followed
from .const import (
    CONF_ACCEPT_PLAIN_HTTP,
    CONF_ACCEPT_WITHDRAWAL_KEY,
    CONF_API_KEY,
    CONF_COINS,
    CONF_EXCHANGE_URL,
    CONF_INITIAL_BUDGET,
    CONF_LEADER_URL,
    CONF_QUOTE_ASSET,
    CONF_REFUSED_BY,
    CONF_TRADING_MODE,
    DEFAULT_COINS,
    DEFAULT_QUOTE_ASSET,
    DOMAIN,
    EXAMPLE_LEADER_URL,
    KEYS_URL,
    MIN_BUDGET,
    SECRETS,
)
from .dashboard import DASHBOARD_URL
from .going_live import async_budget_facts, async_summary
from .options_flow import CalvalotOptionsFlow
from .settings import coin_codes
from .texts import async_text, figure
from .trading.exchanges.base import Mode

CONSENTS = {"plain_http": CONF_ACCEPT_PLAIN_HTTP, "key_can_withdraw": CONF_ACCEPT_WITHDRAWAL_KEY}
IDENTITY = (CONF_LEADER_URL, CONF_EXCHANGE_URL, CONF_TRADING_MODE, CONF_API_KEY)


def follower_hash(data: Mapping[str, Any]) -> str | None:
    """Hash of what makes two live followers the same: leader, exchange, mode and key. On paper any number may be alike."""
    if data.get(CONF_TRADING_MODE) != Mode.LIVE:
        return None
    return hashlib.sha256(json.dumps([data.get(key, "") for key in IDENTITY]).encode()).hexdigest()


class CalvalotConfigFlow(ConfigFlow, domain=DOMAIN):
    """Sets a follower up: menu → leader → exchange → budget, live → summary."""

    VERSION = 1

    def __init__(self) -> None:
        """Start with nothing known; a flow about an entry starts with what that one stores."""
        self._data: dict[str, Any] = {}
        self._coins: tuple[str, ...] = DEFAULT_COINS
        self._summary: dict[str, str] = {}
        self._entry: ConfigEntry[Any] | None = None
        self._refused_by: str | None = None

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry[Any]) -> CalvalotOptionsFlow:
        """Get the flow for what may be tuned."""
        return CalvalotOptionsFlow()

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the owner choose whom to follow."""
        return self.async_show_menu(step_id="user", menu_options=["leader"])

    async def async_step_reconfigure(self, _user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the owner choose what to change."""
        self._entry = self._get_reconfigure_entry()
        self._data = dict(self._entry.data)
        return self.async_show_menu(step_id="reconfigure", menu_options=["leader", "exchange"])

    async def async_step_leader(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the leader and try it."""
        problem = None
        if user_input is not None:
            try:
                data = self._merged(user_input)
                data[CONF_LEADER_URL] = self._url(user_input, CONF_LEADER_URL)
                await check_leader(self.hass, data)
            except InvalidInput as err:
                problem = err
            else:
                self._data = data
                return await (self._update(self._entry) if self._entry else self.async_step_exchange())
        stored = self._entry is not None
        step_id = "reconfigure_leader" if stored else "leader"
        return self._form(step_id, forms.leader(stored=stored), user_input, problem)

    async def async_step_reconfigure_leader(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the leader where a secret is stored: the form says that it stays if left empty."""
        return await self.async_step_leader(user_input)

    async def async_step_exchange(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the exchange and, for live trading, try the key."""
        problem = None
        if user_input is not None:
            try:
                data = self._merged(user_input)
                data[CONF_EXCHANGE_URL] = self._url(user_input, CONF_EXCHANGE_URL)
                accepts = user_input.get(CONF_ACCEPT_WITHDRAWAL_KEY, False)
                await check_exchange(self.hass, data, accept_withdrawal_key=accepts)
            except InvalidInput as err:
                problem = err
            else:
                self._data = data
                unique_id = await self._unused_hash()
                if self._entry is None:
                    await self.async_set_unique_id(unique_id)
                    return await self.async_step_budget()
                if self._goes_live(self._entry):
                    self._coins = coin_codes(self._entry.options.get(CONF_COINS, DEFAULT_COINS))
                    return await self.async_step_reconfigure_budget()
                return await self._update(self._entry)
        stored = self._entry is not None and self._entry.data.get(CONF_API_KEY)
        step_id = "reconfigure_exchange" if stored else "exchange"
        return self._form(step_id, forms.exchange(), user_input, problem)

    async def async_step_reconfigure_exchange(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the exchange where a key is stored: the form says that it stays if left empty."""
        return await self.async_step_exchange(user_input)

    async def async_step_budget(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the budget and what to trade with it."""
        problem = None
        if user_input is not None:
            data = self._data | {
                CONF_INITIAL_BUDGET: user_input[CONF_INITIAL_BUDGET],
                CONF_QUOTE_ASSET: user_input[CONF_QUOTE_ASSET].strip().upper(),
            }
            self._coins = coin_codes(user_input[CONF_COINS])
            try:
                forms.check_ranges([forms.BUDGET], user_input, self._coins)
                terms = await check_budget(self.hass, data, self._coins)
            except InvalidInput as err:
                problem = err
            else:
                self._data = data
                if data[CONF_TRADING_MODE] != Mode.LIVE:
                    return await self._create()
                self._summary = await async_summary(self.hass, data, self._coins, terms)
                return await self.async_step_summary()
        shown = user_input
        if shown is None and self._entry:
            shown = {**self._data, CONF_COINS: list(self._coins)}
        facts = await async_budget_facts(self.hass, self._data, self._coins)
        if problem and "out_of_range" in problem.errors.values():
            facts["fields"] = await forms.async_ranges(
                self.hass, [forms.BUDGET], "config", "budget", DEFAULT_QUOTE_ASSET
            )
        facts["minimum"] = figure(self.hass, MIN_BUDGET)
        step_id = "reconfigure_budget" if self._entry else "budget"
        return self._form(step_id, forms.budget(), shown, problem, facts)

    async def async_step_reconfigure_budget(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the budget of a follower that goes live."""
        return await self.async_step_budget(user_input)

    async def async_step_summary(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Say what will be bought at once with real money, and begin when that is confirmed."""
        if user_input is not None:
            return await self._create()
        return self.async_show_form(
            step_id="summary", data_schema=vol.Schema({}), description_placeholders=self._summary
        )

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Start when the leader or the exchange refused a secret."""
        self._entry = self._get_reauth_entry()
        self._data = dict(self._entry.data)
        self._refused_by = entry_data.get(CONF_REFUSED_BY)
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the new secret and try it."""
        leader = self._refused_by != "exchange"
        exchange = self._data.get(CONF_TRADING_MODE) == Mode.LIVE and self._refused_by != "leader"
        problem = None
        if user_input is not None:
            data = self._merged(user_input)
            accepts = user_input.get(CONF_ACCEPT_WITHDRAWAL_KEY, False)
            try:
                if leader:
                    await check_leader(self.hass, data)
                if exchange:
                    await check_exchange(self.hass, data, accept_withdrawal_key=accepts)
            except InvalidInput as err:
                problem = err
            else:
                self._data = data
                return await self._update(self._get_reauth_entry())
        return self._form("reauth_confirm", forms.reauth(leader=leader, exchange=exchange), user_input, problem)

    def _merged(self, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """What is known with the input on top; a stored secret that was left empty stays."""
        texts = {key: value.strip() for key, value in user_input.items() if key not in CONSENTS.values()}
        stays = {key for key in SECRETS if key in self._data and not texts.get(key)}
        return self._data | {key: text for key, text in texts.items() if key not in stays}

    def _url(self, user_input: Mapping[str, Any], field: str) -> str:
        """URL of a form. What is stored already was consented to."""
        accepts = user_input.get(CONF_ACCEPT_PLAIN_HTTP, False) or user_input[field] == self._data.get(field)
        return checked_url(user_input[field], field, accept_plain_http=accepts)

    def _form(
        self,
        step_id: str,
        schema: vol.Schema,
        user_input: Mapping[str, Any] | None,
        problem: InvalidInput | None,
        facts: Mapping[str, str] | None = None,
    ) -> ConfigFlowResult:
        """A form with what was put in, else with what is stored but for the secrets."""
        shown = user_input
        if shown is None:
            shown = {key: value for key, value in self._data.items() if key not in SECRETS}
        errors = problem.errors if problem else {}
        consents = [
            consent
            for error, consent in CONSENTS.items()
            if error in errors.values() or (user_input or {}).get(consent)
        ]
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(forms.with_consents(schema, consents), shown),
            errors=forms.fields_of(schema, errors),
            description_placeholders={
                "example_url": EXAMPLE_LEADER_URL,
                "keys_url": KEYS_URL,
                **(facts or {}),
                **(problem.placeholders if problem else {}),
            },
        )

    def _goes_live(self, entry: ConfigEntry[Any]) -> bool:
        """Whether a reconfiguration turns paper into real money."""
        return entry.data.get(CONF_TRADING_MODE) != Mode.LIVE and self._data[CONF_TRADING_MODE] == Mode.LIVE

    async def _unused_hash(self) -> str | None:
        """Hash of the follower, None where others may be alike. Aborts where another entry is the same."""
        own = follower_hash(self._data)
        others = [entry for entry in self._async_current_entries() if entry is not self._entry]
        same = own is not None and any(follower_hash(entry.data) == own for entry in others)
        if same or await is_followed(self.hass, self._data, others):
            raise AbortFlow("already_configured")
        return own

    async def _create(self) -> ConfigFlowResult:
        """Make the entry, or let the one that was reconfigured begin anew."""
        if self._entry:
            return await self._update(self._entry, options={**self._entry.options, CONF_COINS: list(self._coins)})
        await self._unused_hash()
        return self.async_create_entry(
            title=await self._title(),
            data=self._data,
            options={CONF_COINS: list(self._coins)},
            description="dashboard",
            description_placeholders={"dashboard_url": DASHBOARD_URL},
        )

    async def _update(self, entry: ConfigEntry[Any], options: Mapping[str, Any] | None = None) -> ConfigFlowResult:
        """Write what was changed to the entry; a name that was never changed goes on saying leader and mode."""
        plain = entry.title.startswith(await self._name(entry.data))
        return self.async_update_reload_and_abort(
            entry,
            unique_id=await self._unused_hash(),
            title=await self._title() if plain else entry.title,
            data=self._data,
            options=entry.options if options is None else options,
        )

    async def _name(self, data: Mapping[str, Any]) -> str:
        """Leader and mode of a follower."""
        mode = await async_text(self.hass, f"setup_{data[CONF_TRADING_MODE]}")
        return f"Calv-a-lot {URL(data[CONF_LEADER_URL]).host} ({mode})"

    async def _title(self) -> str:
        """Leader and mode, and a number where another follower bears that name."""
        name = title = await self._name(self._data)
        taken = {entry.title for entry in self._async_current_entries() if entry is not self._entry}
        number = 1
        while title in taken:
            number += 1
            title = f"{name} {number}"
        return title
