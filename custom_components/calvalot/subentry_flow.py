"""The flow by which an owner adds a further source to a portfolio and changes it: the form of its kind, and its weight."""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntry, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.helpers.selector import BooleanSelector
import voluptuous as vol

from . import forms
from .checks import check_coins
from .const import CONF_COINS, CONF_PAUSED, CONF_QUOTE_ASSET, CONF_WEIGHT, DEFAULT_QUOTE_ASSET, EXAMPLE_LEADER_URL
from .exchanges import exchange_of
from .form_input import InvalidInput
from .kinds.base import Fields, SourceType
from .registry import SOURCES
from .settings import entry_settings, scope_of, weights_of
from .texts import figure
from .trading.decimals import HUNDRED, ZERO
from .trading.errors import SourceError
from .trading.leading.keys import leader_id
from .trading.signal import InvalidSignal
from .trading.wants import Moves


class SourceSubentryFlow(ConfigSubentryFlow):
    """Adds a source of the kind that the subentry's type names, or changes one."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._data: dict[str, Any] = {}
        self._made: Mapping[str, str] = {}

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask for a further source; a whole wallet has own allocations only."""
        if scope_of(self._get_entry().data) not in self._kind.scopes:
            return self.async_abort(reason="wallet_scope")
        return await self._ask("user", {}, user_input)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask what to change of one."""
        return await self._ask("reconfigure", self._get_reconfigure_subentry().data, user_input)

    async def async_step_copy(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Show what was made for the source: it is shown this once."""
        if user_input is not None:
            return await self._finish()
        schema = self.add_suggested_values_to_schema(forms.copied(self._made), self._made)
        return self.async_show_form(step_id="copy", data_schema=schema)

    async def _finish(self) -> SubentryFlowResult:
        """Store the source."""
        entry, data = self._get_entry(), self._data
        title = await self._title(entry, data)
        if self.source == SOURCE_RECONFIGURE:
            subentry = self._get_reconfigure_subentry()
            return self.async_update_and_abort(entry, subentry, data=data, title=title)
        return self.async_create_entry(title=title, data=data)

    @property
    def _kind(self) -> SourceType:
        return SOURCES[self._subentry_type]

    async def _ask(
        self, step_id: str, stored: Mapping[str, Any], user_input: dict[str, Any] | None
    ) -> SubentryFlowResult:
        entry, problem = self._get_entry(), None
        if user_input is not None:
            try:
                data = await self._checked(entry, stored, user_input)
            except InvalidInput as err:
                problem = err
            else:
                self._data = data
                return await (self.async_step_copy() if self._made else self._finish())
        schema = vol.Schema(
            {
                forms.WEIGHT.marker: forms.WEIGHT.selector(""),
                **self._kind.form(stored=bool(stored), found=await self._kind.found(self.hass, stored)).schema,
                vol.Required(CONF_PAUSED, default=False): BooleanSelector(),
            }
        )
        errors = problem.errors if problem else {}
        shown = user_input or {key: value for key, value in stored.items() if key not in self._kind.secrets}
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(
                forms.with_consents(schema, errors, user_input), {CONF_WEIGHT: self._left(entry), **shown}
            ),
            errors=forms.fields_of(schema, errors),
            description_placeholders={
                "example_url": EXAMPLE_LEADER_URL,
                **(problem.placeholders if problem else {}),
            },
        )

    async def _checked(
        self, entry: ConfigEntry[Any], stored: Mapping[str, Any], user_input: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What was put in, as it is stored. Raises InvalidInput."""
        kind = self._kind
        fields = await kind.check(
            self.hass, Fields(data=stored, options=stored, leader_id=leader_id(entry.entry_id)), user_input
        )
        self._made = fields.made
        if (coins := kind.coins(fields.options)) is not None:
            quote = entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
            try:
                await check_coins(exchange_of(self.hass, entry.data), coins, quote)
            except InvalidInput as err:
                first = str(next(iter(kind.form(stored=False).schema)))
                errors = {first if key == CONF_COINS else key: error for key, error in err.errors.items()}
                raise InvalidInput(errors, **err.placeholders) from err
        self._check_weight(entry, user_input[CONF_WEIGHT])
        await self._check_moves(entry, fields)
        return {
            **fields.data,
            **fields.options,
            **({} if coins is None else {CONF_COINS: list(coins)}),
            CONF_WEIGHT: user_input[CONF_WEIGHT],
            CONF_PAUSED: user_input[CONF_PAUSED],
        }

    def _check_weight(self, entry: ConfigEntry[Any], weight: float) -> None:
        """See that the weights of all sources are no more than the whole. Raises InvalidInput."""
        if forms.WEIGHT.error(weight):
            raise InvalidInput({CONF_WEIGHT: "weight_range"})
        others = self._others(entry)
        if (whole := Decimal(str(weight)) + others) > HUNDRED or (
            CONF_WEIGHT not in entry.options and whole == HUNDRED
        ):
            raise InvalidInput({CONF_WEIGHT: "weight_sum"}, left=figure(self.hass, max(HUNDRED - others, ZERO)))

    async def _check_moves(self, entry: ConfigEntry[Any], fields: Fields) -> None:
        """See that what is blended are allocations, where that can be known. Raises InvalidInput."""
        told = []
        if coordinator := getattr(entry, "runtime_data", None):
            told = [state.latest for state in coordinator.engine.members]
        with suppress(SourceError, InvalidSignal):
            told.append(await self._kind.first_signal(self.hass, fields, entry_settings(entry).coins))
        if any(signal and isinstance(signal.wants, Moves) for signal in told):
            raise InvalidInput({"base": "moves_in_blend"})

    def _others(self, entry: ConfigEntry[Any]) -> Decimal:
        """Weights of the others (%), the first only where its owner has set it: else it has what they leave."""
        own = self._get_reconfigure_subentry().subentry_id if self.source == SOURCE_RECONFIGURE else None
        first, *further = weights_of(entry).items()
        fixed = [first] if CONF_WEIGHT in entry.options else []
        return sum((weight for key, weight in (*fixed, *further) if key != own), ZERO)

    def _left(self, entry: ConfigEntry[Any]) -> float:
        """A weight to suggest: what the others leave, the half where the first has the whole."""
        left = HUNDRED - self._others(entry)
        return float(left if CONF_WEIGHT in entry.options else left / 2)

    async def _title(self, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> str:
        """What the source is called, with a number where another one is called so."""
        name = title = await self._kind.name(self.hass, data)
        own = self._get_reconfigure_subentry() if self.source == SOURCE_RECONFIGURE else None
        taken = {subentry.title for subentry in entry.subentries.values() if subentry is not own}
        number = 1
        while title in taken:
            number += 1
            title = f"{name} {number}"
        return title
