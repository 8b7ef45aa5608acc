"""The forms of the flows, and the ranges of their numbers."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import voluptuous as vol

from . import const
from .checks import InvalidInput
from .follower.exchange import Mode
from .follower.settings import Approval

QUOTE_ASSETS = ("USDC", "USDT", "FDUSD", "EUR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that the owner may set; without a default it may be left empty.

    A unit of None is the quote asset. The range is checked by `check_ranges`: a selector would refuse a value in English
    and outside the form.
    """

    key: str
    minimum: float
    maximum: float
    unit: str | None
    default: float | None = None
    whole: bool = False

    @property
    def marker(self) -> vol.Marker:
        """Key of the number in a form."""
        if self.default is None:
            return vol.Optional(self.key)
        return vol.Required(self.key, default=self.default)

    def selector(self, quote: str) -> NumberSelector:
        """How the number is asked for."""
        return NumberSelector(
            NumberSelectorConfig(
                mode=NumberSelectorMode.BOX,
                step=1 if self.whole else "any",
                unit_of_measurement=quote if self.unit is None else self.unit,
            )
        )

    def holds(self, value: float) -> bool:
        """Whether a value may be taken."""
        return self.minimum <= value <= self.maximum and (value.is_integer() or not self.whole)


BUDGET = Number(key=const.CONF_INITIAL_BUDGET, minimum=const.MIN_BUDGET, maximum=const.MAX_AMOUNT, unit="EUR")

OPTIONS = (
    Number(
        key=const.CONF_POLL_INTERVAL,
        default=const.DEFAULT_POLL_INTERVAL,
        minimum=30,
        maximum=3600,
        unit="s",
        whole=True,
    ),
    Number(key=const.CONF_MIN_ORDER, default=5, minimum=0, maximum=const.MAX_AMOUNT, unit=None),
    Number(key=const.CONF_REBALANCE_THRESHOLD, default=0.5, minimum=0, maximum=100, unit="%"),
    Number(key=const.CONF_DUST_THRESHOLD, default=2.5, minimum=0, maximum=const.MAX_AMOUNT, unit=None),
    Number(key=const.CONF_SURVIVAL_FLOOR, default=5, minimum=0, maximum=const.MAX_AMOUNT, unit="EUR"),
    Number(key=const.CONF_MAX_SIGNAL_AGE, default=4, minimum=0.1, maximum=8760, unit="h"),
    Number(key=const.CONF_SILENCE_ALERT, default=4, minimum=0.1, maximum=8760, unit="h"),
    Number(key=const.CONF_MAX_SLIPPAGE, minimum=0, maximum=10, unit="%"),
    Number(key=const.CONF_MAX_ORDER_SHARE, default=100, minimum=1, maximum=100, unit="%"),
    Number(key=const.CONF_STOP_LOSS_DRAWDOWN, minimum=0.1, maximum=100, unit="%"),
    Number(key=const.CONF_MAX_TRADES_PER_DAY, minimum=1, maximum=10_000, unit="", whole=True),
    Number(key=const.CONF_APPROVAL_TIMEOUT, default=30, minimum=1, maximum=1440, unit="min"),
    Number(key=const.CONF_ENTRY_JITTER, default=0, minimum=0, maximum=900, unit="s"),
)

_PASSWORD = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="off"))
_URL = TextSelector(TextSelectorConfig(type=TextSelectorType.URL))


def leader(*, stored: bool) -> vol.Schema:
    """Form of the leader; a secret that is stored may be left empty."""
    secret = vol.Optional if stored else vol.Required
    return vol.Schema({vol.Required(const.CONF_LEADER_URL): _URL, secret(const.CONF_SIGNAL_SECRET): _PASSWORD})


def exchange() -> vol.Schema:
    """Form of the exchange; keys are needed for live trading only."""
    return vol.Schema(
        {
            vol.Required(const.CONF_TRADING_MODE, default=Mode.DRY_RUN.value): _choice(Mode, const.CONF_TRADING_MODE),
            vol.Required(const.CONF_EXCHANGE_URL, default=const.DEFAULT_EXCHANGE_URL): _URL,
            vol.Optional(const.CONF_API_KEY): _PASSWORD,
            vol.Optional(const.CONF_API_SECRET): _PASSWORD,
        }
    )


def budget() -> vol.Schema:
    """Form of the budget."""
    quotes = SelectSelector(SelectSelectorConfig(options=list(QUOTE_ASSETS), custom_value=True))
    return vol.Schema(
        {
            vol.Required(BUDGET.key, description={"suggested_value": const.SUGGESTED_BUDGET}): BUDGET.selector(
                const.DEFAULT_QUOTE_ASSET
            ),
            vol.Required(const.CONF_COINS, default=list(const.DEFAULT_COINS)): _coins(const.DEFAULT_COINS),
            vol.Required(const.CONF_QUOTE_ASSET, default=const.DEFAULT_QUOTE_ASSET): quotes,
        }
    )


def reauth(*, leader: bool, exchange: bool) -> vol.Schema:
    """Form of the secrets that may be wrong; what is left empty stays."""
    keys = [const.CONF_SIGNAL_SECRET] * leader + [const.CONF_API_KEY, const.CONF_API_SECRET] * exchange
    return vol.Schema({vol.Optional(key): _PASSWORD for key in keys})


def options(coins: Iterable[str], quote: str) -> vol.Schema:
    """Form of what may be tuned."""
    return vol.Schema(
        {
            vol.Required(const.CONF_COINS): _coins(coins),
            **{number.marker: number.selector(quote) for number in OPTIONS},
            vol.Required(const.CONF_STOP_LOSS_SELL, default=False): BooleanSelector(),
            vol.Required(const.CONF_APPROVAL, default=Approval.AUTOMATIC.value): _choice(Approval, const.CONF_APPROVAL),
            vol.Required(const.CONF_PUSH, default=False): BooleanSelector(),
        }
    )


def with_consents(schema: vol.Schema, keys: Collection[str]) -> vol.Schema:
    """A form with boxes to tick for what needs the owner's word."""
    return schema.extend({vol.Required(key, default=False): BooleanSelector() for key in keys})


def fields_of(schema: vol.Schema, errors: Mapping[str, str]) -> dict[str, str]:
    """Errors as a form can show them: those of a field that it lacks stand above all fields."""
    return {field if field in schema.schema else "base": error for field, error in errors.items()}


def check_ranges(numbers: Iterable[Number], user_input: Mapping[str, Any], coins: Collection[str]) -> None:
    """See that each number lies in its range and that a coin is left. Raises InvalidInput."""
    errors = {
        number.key: "out_of_range"
        for number in numbers
        if number.key in user_input and not number.holds(user_input[number.key])
    }
    if not coins:
        errors[const.CONF_COINS] = "no_coins"
    if errors:
        raise InvalidInput(errors)


def _choice(values: type[StrEnum], translation_key: str) -> SelectSelector:
    return SelectSelector(
        SelectSelectorConfig(options=[value.value for value in values], translation_key=translation_key)
    )


def _coins(listed: Iterable[str]) -> SelectSelector:
    codes = dict.fromkeys((*const.DEFAULT_COINS, *listed))
    return SelectSelector(SelectSelectorConfig(options=list(codes), multiple=True, custom_value=True))
