"""The flows by which an owner sets a follower up and changes it."""

from collections.abc import Callable, Coroutine, Mapping
import hashlib
import json
from typing import Any, override

from homeassistant.components.webhook import async_generate_id
from homeassistant.config_entries import ConfigEntry, ConfigFlow, ConfigFlowResult, ConfigSubentry, ConfigSubentryFlow
from homeassistant.const import CONF_WEBHOOK_ID
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
import voluptuous as vol

from . import forms
from .checks import check_budget, check_coins, check_exchange, check_nothing_rests, trades_on
from .const import (
    CONF_ACCEPT_PLAIN_HTTP,
    CONF_ACCEPT_WITHDRAWAL_KEY,
    CONF_API_KEY,
    CONF_COINS,
    CONF_EXCHANGE,
    CONF_EXCHANGE_URL,
    CONF_INITIAL_BUDGET,
    CONF_LEADER_URL,
    CONF_QUOTE_ASSET,
    CONF_REFUSED_BY,
    CONF_REFUSED_SOURCE,
    CONF_SCOPE,
    CONF_SIGNAL_SECRET,
    CONF_SOURCE,
    CONF_TRADING_MODE,
    DEFAULT_COINS,
    DEFAULT_QUOTE_ASSET,
    DOMAIN,
    EXAMPLE_LEADER_URL,
    MIN_BUDGET,
    MINOR_VERSION,
    PUBLISHER,
    SECRETS,
)
from .dashboard import DASHBOARD_URL
from .exchanges import EXCHANGES, ExchangeName, exchange_of, exchange_type, exchange_url, own_url
from .form_input import InvalidInput, checked_url
from .going_live import async_budget_facts, async_summary
from .kinds.base import Fields
from .kinds.leader import check_announced
from .options_flow import CalvalotOptionsFlow
from .publisher_flow import PublisherSubentryFlow
from .publishers.announcement import Announced, announced, is_followed, leads
from .registry import SOURCES, type_of
from .settings import coin_codes, scope_of
from .subentry_flow import SourceSubentryFlow
from .texts import async_text, figure
from .trading.exchanges.base import Mode
from .trading.leading.keys import leader_id
from .trading.settings import Scope
from .trading.signal import SourceKind
from .wallet_setup import async_wallet_summary


def portfolio_hash(data: Mapping[str, Any]) -> str | None:
    """Hash of what no two live portfolios may have in common: leader, exchange, mode and key. Others may be alike."""
    identity = _identity(data)
    if data.get(CONF_TRADING_MODE) != Mode.LIVE or identity is None:
        return None
    same = [identity, *(data.get(key, "") for key in (CONF_EXCHANGE_URL, CONF_TRADING_MODE, CONF_API_KEY))]
    return hashlib.sha256(json.dumps(same).encode()).hexdigest()


def _identity(data: Mapping[str, Any]) -> str | None:
    """What a live portfolio must not share its account with: one with the same leader, or another whole wallet."""
    return Scope.WALLET.value if scope_of(data) is Scope.WALLET else type_of(data).identity(data)


class CalvalotConfigFlow(ConfigFlow, domain=DOMAIN):
    """Sets a portfolio up: menu → source → exchange → budget, live → summary."""

    VERSION = 1
    MINOR_VERSION = MINOR_VERSION

    def __init__(self) -> None:
        """Start with nothing known; a flow about an entry starts with what that one stores."""
        self._data: dict[str, Any] = {}
        self._options: dict[str, Any] = {}
        self._source = SOURCES[SourceKind.LEADER]
        self._coins: tuple[str, ...] = DEFAULT_COINS
        self._summary: dict[str, str] = {}
        self._made: Mapping[str, str] = {}
        self._entry: ConfigEntry[Any] | None = None
        self._refused_by: str | None = None
        self._refused_source: str | None = None
        # What was put into the budget's form before the source's had to be mended.
        self._budget: dict[str, Any] | None = None
        self._announced = Announced(name="", leader="", url="")

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry[Any]) -> CalvalotOptionsFlow:
        """Get the flow for what may be tuned."""
        return CalvalotOptionsFlow()

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        """Get the flows for further sources, of every kind that may stand beside others, and for those who follow."""
        beside = [kind for kind, source in SOURCES.items() if not source.alone]
        further = {} if type_of(config_entry.data).alone else dict.fromkeys(beside, SourceSubentryFlow)
        return {**further, PUBLISHER: PublisherSubentryFlow}

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the owner choose what decides."""
        return self.async_show_menu(step_id="user", menu_options=list(SOURCES))

    @override
    async def async_step_zeroconf(self, discovery_info: ZeroconfServiceInfo) -> ConfigFlowResult:
        """Offer a leader that announces itself in this network: not one of our own, nor one that is followed already."""
        if (found := announced(discovery_info)) is None:
            return self.async_abort(reason="no_leader")
        self._announced = found
        self._abort_if_known(found)
        await self.async_set_unique_id(f"leader {found.leader}")
        self._abort_if_unique_id_configured()
        self.context["title_placeholders"] = {"name": found.name}
        return await self.async_step_zeroconf_confirm()

    async def async_step_zeroconf_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the secret of a leader that announces itself, and see that the two of them share it."""
        problem, found = None, self._announced
        if user_input is not None:
            self._abort_if_known(found)
            try:
                fields = await check_announced(self.hass, found, user_input[CONF_SIGNAL_SECRET])
            except InvalidInput as err:
                # There is no field for the address.
                errors = {"base" if key == CONF_LEADER_URL else key: error for key, error in err.errors.items()}
                problem = InvalidInput(errors, **err.placeholders)
            else:
                self._data |= fields.data
                return await self._after_source()
        facts = {"name": found.name, "address": found.url, "id": found.leader}
        return self._form("zeroconf_confirm", forms.announced(), {}, problem, facts)

    def _abort_if_known(self, found: Announced) -> None:
        """Leave out what leads here itself, and what is followed here. Raises AbortFlow."""
        entries = self._async_current_entries(include_ignore=False)
        if leads(entries, found.leader):
            raise AbortFlow("own_leader")
        if is_followed(entries, found.leader):
            raise AbortFlow("already_followed")

    async def async_step_reconfigure(self, _user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the owner choose what to change."""
        self._take(self._get_reconfigure_entry())
        steps = [self._source.kind] if self._source.form(stored=True).schema else []
        return self.async_show_menu(step_id="reconfigure", menu_options=[*steps, "exchange"])

    async def async_step_source(
        self, kind: str, user_input: dict[str, Any] | None = None, problem: InvalidInput | None = None
    ) -> ConfigFlowResult:
        """Ask for a source and try it; where it is stored, the form says what stays if left empty."""
        self._source = SOURCES[kind]
        if user_input is not None:
            try:
                fields = await self._source.check(self.hass, self._fields, user_input)
                coins = self._source.coins(fields.options)
                if self._entry and coins is not None:
                    quote = self._data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
                    await check_coins(exchange_of(self.hass, self._data), coins, quote)
                    self._coins = coins
            except InvalidInput as err:
                problem = self._on_source(err)
            else:
                self._data |= {CONF_SOURCE: kind} if kind != SourceKind.LEADER else {}
                if not self._entry:
                    self._data.pop(CONF_SCOPE, None)
                    if user_input.get(CONF_SCOPE) == Scope.WALLET:
                        self._data[CONF_SCOPE] = Scope.WALLET.value
                self._data |= fields.data
                self._options |= fields.options
                self._made = fields.made
                return await (self.async_step_copy() if fields.made else self._after_source())
        stored = self._entry is not None
        shown = user_input
        if shown is None:
            shown = dict(self._source.shown(self._fields))
        step_id = f"reconfigure_{kind}" if stored else kind
        schema = self._source.form(stored=stored, found=await self._source.found(self.hass, self._options))
        if not stored and len(self._source.scopes) > 1:
            schema = schema.extend(forms.scope().schema)
        return self._form(step_id, schema, shown, problem)

    async def async_step_copy(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show what was made for a source: it is shown this once."""
        if user_input is not None:
            return await self._after_source()
        return self._form("copy", forms.copied(self._made), self._made, None)

    async def _after_source(self) -> ConfigFlowResult:
        """Go on once the source is known."""
        if self._entry:
            return await self._update(self._entry, {**self._options, CONF_COINS: list(self._coins)})
        # Back here from the budget, for a coin that the exchange does not list.
        return await (self.async_step_budget() if self._budget else self.async_step_exchange())

    async def async_step_exchange(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the exchange and, for live trading, try the key."""
        problem = None
        if user_input is not None:
            try:
                data = self._merged(user_input)
                name = data.pop(CONF_EXCHANGE)
                if name != ExchangeName.BINANCE:
                    data[CONF_EXCHANGE] = name
                asked = {**user_input, CONF_EXCHANGE_URL: own_url(name, user_input[CONF_EXCHANGE_URL])}
                data[CONF_EXCHANGE_URL] = self._url(asked, CONF_EXCHANGE_URL)
                accepts = user_input.get(CONF_ACCEPT_WITHDRAWAL_KEY, False)
                await check_exchange(self.hass, data, accept_withdrawal_key=accepts)
                if self._entry:
                    await check_nothing_rests(self.hass, self._entry, data)
            except InvalidInput as err:
                problem = err
            else:
                self._data = data
                unique_id = await self._unused_hash()
                if self._entry is None:
                    await self.async_set_unique_id(unique_id)
                    return await (self.async_step_wallet() if self._is_wallet else self.async_step_budget())
                if self._goes_live(self._entry) and self._is_wallet:
                    return await self.async_step_reconfigure_wallet()
                if self._goes_live(self._entry):
                    return await self.async_step_reconfigure_budget()
                return await self._update(self._entry)
        stored = self._entry is not None and self._entry.data.get(CONF_API_KEY)
        step_id = "reconfigure_exchange" if stored else "exchange"
        return self._form(step_id, forms.exchange(exchange_url(self._data)), user_input, problem)

    async def async_step_reconfigure_exchange(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the exchange where a key is stored: the form says that it stays if left empty."""
        return await self.async_step_exchange(user_input)

    async def async_step_budget(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the budget and what to trade with it."""
        problem = None
        named = self._source.coins(self._options)
        if named is not None:
            self._coins = named
        if user_input is not None:
            data = self._data | {
                CONF_INITIAL_BUDGET: user_input[CONF_INITIAL_BUDGET],
                CONF_QUOTE_ASSET: user_input[CONF_QUOTE_ASSET].strip().upper(),
            }
            if named is None:
                self._coins = coin_codes(user_input[CONF_COINS])
            try:
                forms.check_ranges([forms.BUDGET], user_input, self._coins)
                terms = await check_budget(self.hass, data, self._coins)
            except InvalidInput as err:
                problem = err
                if CONF_COINS in err.errors and named is not None:
                    # Back to the source's form, which names the coins.
                    self._budget = user_input
                    return await self.async_step_source(self._source.kind, None, self._on_source(err))
            else:
                self._data = data
                if data[CONF_TRADING_MODE] != Mode.LIVE:
                    return await self._create()
                self._summary = await async_summary(self.hass, self._source, self._fields, self._coins, terms)
                return await self.async_step_summary()
        shown = user_input or self._budget
        if shown is None and self._entry:
            shown = {**self._data, CONF_COINS: list(self._coins)}
        facts = await async_budget_facts(self.hass, self._data, self._coins)
        if problem and "out_of_range" in problem.errors.values():
            facts["fields"] = await forms.async_ranges(
                self.hass, [forms.BUDGET], "config", "budget", DEFAULT_QUOTE_ASSET
            )
        facts["minimum"] = figure(self.hass, MIN_BUDGET)
        step_id = "reconfigure_budget" if self._entry else "budget"
        return self._form(
            step_id, forms.budget(exchange_type(self._data).quote, with_coins=named is None), shown, problem, facts
        )

    async def async_step_reconfigure_budget(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the budget of a follower that goes live."""
        return await self.async_step_budget(user_input)

    async def async_step_wallet(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask what the account's coins are valued in and traded against."""
        problem = None
        if user_input is not None:
            data = self._data | {CONF_QUOTE_ASSET: user_input[CONF_QUOTE_ASSET].strip().upper()}
            self._coins = self._source.coins(self._options) or ()
            fields = Fields(data=data, options=self._options)
            entry_id = self._entry.entry_id if self._entry else ""
            try:
                self._summary = await async_wallet_summary(self.hass, self._source, fields, self._coins, entry_id)
            except InvalidInput as err:
                problem = err
                if CONF_COINS in err.errors:
                    problem = InvalidInput({CONF_QUOTE_ASSET: err.errors[CONF_COINS]}, **err.placeholders)
            else:
                self._data = data
                return await self.async_step_wallet_summary()
        form = forms.wallet(exchange_type(self._data).quote)
        return self._form("reconfigure_wallet" if self._entry else "wallet", form, user_input, problem)

    async def async_step_reconfigure_wallet(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask the same of a wallet that goes live."""
        return await self.async_step_wallet(user_input)

    async def async_step_wallet_summary(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Say what is taken in, what is left alone and what is traded at once, and begin when that is confirmed."""
        if user_input is not None:
            return await self._create()
        live = self._data[CONF_TRADING_MODE] == Mode.LIVE
        mode = await async_text(self.hass, "setup_real_money" if live else "setup_on_paper")
        return self.async_show_form(
            step_id="wallet_summary",
            data_schema=vol.Schema({}),
            description_placeholders={**self._summary, "mode": mode},
        )

    async def async_step_summary(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Say what will be bought at once with real money, and begin when that is confirmed."""
        if user_input is not None:
            return await self._create()
        return self.async_show_form(
            step_id="summary", data_schema=vol.Schema({}), description_placeholders=self._summary
        )

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Start when the leader or the exchange refused a secret."""
        self._take(self._get_reauth_entry())
        self._refused_by = entry_data.get(CONF_REFUSED_BY)
        self._refused_source = entry_data.get(CONF_REFUSED_SOURCE)
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the new secret and try it."""
        if subentry := self._get_reauth_entry().subentries.get(self._refused_source or ""):
            return await self._reauth_further(subentry, user_input)
        leader = self._refused_by != "exchange" and self._source.address(self._data) is not None
        keyed = self._data.get(CONF_TRADING_MODE) == Mode.LIVE or self._is_wallet
        exchange = keyed and self._refused_by != "leader"
        problem = None
        if user_input is not None:
            data = self._merged(user_input)
            accepts = user_input.get(CONF_ACCEPT_WITHDRAWAL_KEY, False)
            try:
                if leader:
                    asked = {**self._source.shown(Fields(data=data)), **user_input}
                    data |= (await self._source.check(self.hass, Fields(data=data), asked)).data
                if exchange:
                    await check_exchange(self.hass, data, accept_withdrawal_key=accepts)
                    await check_nothing_rests(self.hass, self._get_reauth_entry(), data)
            except InvalidInput as err:
                problem = err
            else:
                self._data = data
                return await self._update(self._get_reauth_entry())
        return self._form("reauth_confirm", forms.reauth(leader=leader, exchange=exchange), user_input, problem)

    async def _reauth_further(self, subentry: ConfigSubentry, user_input: dict[str, Any] | None) -> ConfigFlowResult:
        """Ask for the secret of a further source, which has no reauthentication of its own, and try it."""
        kind, problem = SOURCES[subentry.subentry_type], None
        stored = Fields(data=subentry.data, options=subentry.data)
        if user_input is not None:
            try:
                checked = await kind.check(self.hass, stored, {**kind.shown(stored), **user_input})
            except InvalidInput as err:
                problem = err
            else:
                entry = self._get_reauth_entry()
                data = {**subentry.data, **checked.data, **checked.options}
                self.hass.config_entries.async_update_subentry(entry, subentry, data=data)
                return self.async_abort(reason="reauth_successful")
        return self._form(
            "reauth_confirm",
            forms.reauth(leader=True, exchange=False),
            user_input or {},
            problem,
            {"name": subentry.title},
        )

    @property
    def _is_wallet(self) -> bool:
        return scope_of(self._data) is Scope.WALLET

    @property
    def _fields(self) -> Fields:
        """What is known so far, as it is stored."""
        own_id = leader_id(self._entry.entry_id) if self._entry else ""
        return Fields(data=self._data, options=self._options, leader_id=own_id)

    def _on_source(self, problem: InvalidInput) -> InvalidInput:
        """A problem with coins as one of the source's first field, which names them."""
        field = str(next(iter(self._source.form(stored=False).schema)))
        errors = {field if key == CONF_COINS else key: error for key, error in problem.errors.items()}
        return InvalidInput(errors, **problem.placeholders)

    def _take(self, entry: ConfigEntry[Any]) -> None:
        """Begin with what an entry stores."""
        self._entry = entry
        self._data = dict(entry.data)
        self._options = dict(entry.options)
        self._source = type_of(entry.data)
        self._coins = coin_codes(entry.options.get(CONF_COINS, DEFAULT_COINS))

    def _merged(self, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """What is known with the input on top; a stored secret that was left empty stays."""
        texts = {key: value.strip() for key, value in user_input.items() if key not in forms.CONSENTS.values()}
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
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(forms.with_consents(schema, errors, user_input), shown),
            errors=forms.fields_of(schema, errors),
            description_placeholders={
                "example_url": EXAMPLE_LEADER_URL,
                **{f"{name}_keys_url": each.keys_url for name, each in EXCHANGES.items()},
                **(facts or {}),
                **(problem.placeholders if problem else {}),
            },
        )

    def _goes_live(self, entry: ConfigEntry[Any]) -> bool:
        """Whether a reconfiguration turns paper into real money."""
        return entry.data.get(CONF_TRADING_MODE) != Mode.LIVE and self._data[CONF_TRADING_MODE] == Mode.LIVE

    async def _unused_hash(self) -> str | None:
        """Hash of the follower, None where others may be alike. Aborts where another entry is the same."""
        if (own := portfolio_hash(self._data)) is None:
            return None
        identity = _identity(self._data)
        alike = [
            entry
            for entry in self._async_current_entries()
            if entry is not self._entry and _identity(entry.data) == identity
        ]
        same = any(portfolio_hash(entry.data) == own for entry in alike)
        if same or await trades_on(self.hass, self._data, alike):
            raise AbortFlow("already_configured")
        return own

    async def _create(self) -> ConfigFlowResult:
        """Make the entry, or let the one that was reconfigured begin anew."""
        if self._entry:
            return await self._update(self._entry, {**self._entry.options, CONF_COINS: list(self._coins)})
        await self._unused_hash()
        return self.async_create_entry(
            title=await self._title(),
            data={**self._data, CONF_WEBHOOK_ID: async_generate_id()},
            options={**self._options, CONF_COINS: list(self._coins)},
            description="dashboard",
            description_placeholders={"dashboard_url": DASHBOARD_URL},
        )

    async def _update(self, entry: ConfigEntry[Any], options: Mapping[str, Any] | None = None) -> ConfigFlowResult:
        """Write what was changed to the entry; a name that was never changed goes on saying leader and mode."""
        plain = entry.title.startswith(await self._name(entry.data))
        if not entry.update_listeners:  # set up, it takes the changes up itself
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_update_and_abort(
            entry,
            unique_id=await self._unused_hash(),
            title=await self._title() if plain else entry.title,
            data=self._data,
            options=entry.options if options is None else options,
        )

    async def _name(self, data: Mapping[str, Any]) -> str:
        """Source and mode of a portfolio."""
        mode = await async_text(self.hass, f"setup_{data[CONF_TRADING_MODE]}")
        return f"Calv-a-lot {await type_of(data).name(self.hass, data)} ({mode})"

    async def _title(self) -> str:
        """Leader and mode, and a number where another follower bears that name."""
        name = title = await self._name(self._data)
        taken = {entry.title for entry in self._async_current_entries() if entry is not self._entry}
        number = 1
        while title in taken:
            number += 1
            title = f"{name} {number}"
        return title


def _step(kind: str) -> Callable[..., Coroutine[Any, Any, ConfigFlowResult]]:
    """The step of a kind of source, as Home Assistant calls it."""

    async def step(flow: CalvalotConfigFlow, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        return await flow.async_step_source(kind, user_input)

    return step


for _kind in SOURCES:
    setattr(CalvalotConfigFlow, f"async_step_{_kind}", _step(_kind))
    setattr(CalvalotConfigFlow, f"async_step_reconfigure_{_kind}", _step(_kind))
