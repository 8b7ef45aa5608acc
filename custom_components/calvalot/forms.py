"""The forms of the flows, their sections, and the ranges of their numbers."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
)
import voluptuous as vol

from . import const
from .exchanges import ExchangeName
from .form_input import InvalidInput
from .selectors import PASSWORD_FIELD, URL_FIELD, choice, coin_list
from .texts import async_field_name, async_text, figure
from .trading.exchanges.base import Mode
from .trading.market.candles import TimeFrame
from .trading.market.store import KEPT_LONG, KEPT_SHORT
from .trading.settings import Approval, DroppedOut, Scope

# What needs the owner's word, by the error that says so.
CONSENTS = {
    "plain_http": const.CONF_ACCEPT_PLAIN_HTTP,
    "key_can_withdraw": const.CONF_ACCEPT_WITHDRAWAL_KEY,
    "python_not_allowed": const.CONF_ALLOW_PYTHON,
}
QUOTE_ASSETS = ("USDC", "USDT", "FDUSD", "EUR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that the owner may set; without a default it may be left empty.

    A unit of None is the quote asset. The range is checked by `check_ranges`: a selector would refuse a value in English
    and outside the form. From `too_small_from` up to the minimum a value is called too small instead of out of range.
    """

    key: str
    minimum: float
    maximum: float
    unit: str | None
    default: float | None = None
    whole: bool = False
    too_small_from: float | None = None

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

    def error(self, value: float) -> str | None:
        """Why a value cannot be taken; None where it can."""
        if self.minimum <= value <= self.maximum and (value.is_integer() or not self.whole):
            return None
        if self.too_small_from is not None and self.too_small_from <= value < self.minimum:
            return "budget_too_small"
        return "out_of_range"


BUDGET = Number(
    key=const.CONF_INITIAL_BUDGET,
    minimum=const.MIN_BUDGET,
    maximum=const.MAX_AMOUNT,
    unit="EUR",
    too_small_from=const.LEAST_BUDGET,
)

WEIGHT = Number(key=const.CONF_WEIGHT, minimum=0, maximum=100, unit="%", default=100)

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
    Number(key=const.CONF_MAX_RANK, minimum=1, maximum=2000, unit="", whole=True),
    WEIGHT,
    Number(key=const.CONF_MAX_SOURCE_AGE, default=7, minimum=0.1, maximum=365, unit="d"),
    Number(key=const.CONF_CANDLE_DAYS_LONG, default=KEPT_LONG, minimum=1, maximum=3650, unit="d", whole=True),
    Number(key=const.CONF_CANDLE_DAYS_SHORT, default=KEPT_SHORT, minimum=1, maximum=400, unit="d", whole=True),
    Number(key=const.CONF_ENTRY_JITTER, default=0, minimum=0, maximum=900, unit="s"),
)

# The section that is there beside further sources only.
BLEND = "blend"
RANK = "rank"
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "trade": (
        const.CONF_COINS,
        const.CONF_REBALANCE_THRESHOLD,
        const.CONF_MIN_ORDER,
        const.CONF_DUST_THRESHOLD,
        const.CONF_ONLY,
        const.CONF_FROZEN,
        const.CONF_LOCKED,
    ),
    "limits": (
        const.CONF_SURVIVAL_FLOOR,
        const.CONF_STOP_LOSS_DRAWDOWN,
        const.CONF_STOP_LOSS_SELL,
        const.CONF_MAX_ORDER_SHARE,
        const.CONF_MAX_TRADES_PER_DAY,
        const.CONF_MAX_SLIPPAGE,
    ),
    RANK: (const.CONF_MAX_RANK, const.CONF_RANK_KEY, const.CONF_DROPPED_OUT, const.CONF_RANK_IDS),
    BLEND: (const.CONF_WEIGHT, const.CONF_PAUSED, const.CONF_MAX_SOURCE_AGE),
    "approval": (const.CONF_APPROVAL, const.CONF_APPROVAL_TIMEOUT, const.CONF_ASSIST_TRADES),
    "timing": (
        const.CONF_QUIET_HOURS,
        const.CONF_MAX_SIGNAL_AGE,
        const.CONF_ENTRY_JITTER,
        const.CONF_SILENCE_ALERT,
    ),
    "market": (
        const.CONF_LIVE_PRICES,
        const.CONF_CANDLE_FRAMES,
        const.CONF_CANDLE_DAYS_LONG,
        const.CONF_CANDLE_DAYS_SHORT,
    ),
    "connection": (const.CONF_POLL_INTERVAL, const.CONF_PUSH, const.CONF_PUSH_URL, const.CONF_TELL_LEADER),
}

# Every option that the form of the options stores.
TUNED = frozenset(key for keys in SECTIONS.values() for key in keys)

_ONLY = SelectSelector(
    SelectSelectorConfig(options=["buy", "sell"], translation_key=const.CONF_ONLY, mode=SelectSelectorMode.DROPDOWN)
)
# A text this long would push the switch beside it out of the dialog; a field that is read only could not be copied from.
_TEXTS = TextSelector(TextSelectorConfig(multiple=True))
_FRAMES = SelectSelector(
    SelectSelectorConfig(options=[frame.value for frame in TimeFrame], multiple=True, mode=SelectSelectorMode.DROPDOWN)
)
_ADDRESS = TextSelector(TextSelectorConfig(multiline=True))


def exchange(url: str) -> vol.Schema:
    """Form of the exchange; keys are needed for live trading only. An address of another exchange that is left standing is not used."""
    return vol.Schema(
        {
            vol.Required(const.CONF_TRADING_MODE, default=Mode.DRY_RUN.value): choice(Mode, const.CONF_TRADING_MODE),
            vol.Required(const.CONF_EXCHANGE, default=ExchangeName.BINANCE.value): choice(
                ExchangeName, const.CONF_EXCHANGE
            ),
            vol.Required(const.CONF_EXCHANGE_URL, default=url): URL_FIELD,
            vol.Optional(const.CONF_API_KEY): PASSWORD_FIELD,
            vol.Optional(const.CONF_API_SECRET): PASSWORD_FIELD,
        }
    )


def wallet(quote: str) -> vol.Schema:
    """Form of a whole wallet: what its coins are valued in and traded against."""
    return vol.Schema({vol.Required(const.CONF_QUOTE_ASSET, default=quote): _quotes()})


def scope() -> vol.Schema:
    """What belongs to the portfolio, beside the fields of its source."""
    return vol.Schema({vol.Required(const.CONF_SCOPE, default=Scope.BUDGET.value): choice(Scope, const.CONF_SCOPE)})


def _quotes() -> SelectSelector:
    return SelectSelector(SelectSelectorConfig(options=list(QUOTE_ASSETS), custom_value=True))


def budget(quote: str, *, with_coins: bool) -> vol.Schema:
    """Form of the budget; the coins are asked for where the source does not name them."""
    return vol.Schema(
        {
            vol.Required(BUDGET.key, description={"suggested_value": const.SUGGESTED_BUDGET}): BUDGET.selector(
                const.DEFAULT_QUOTE_ASSET
            ),
            **(
                {vol.Required(const.CONF_COINS, default=list(const.DEFAULT_COINS)): coin_list(())} if with_coins else {}
            ),
            vol.Required(const.CONF_QUOTE_ASSET, default=quote): _quotes(),
        }
    )


def copied(made: Iterable[str]) -> vol.Schema:
    """Form of texts that are to be copied: what is put into it does not count."""
    return vol.Schema({vol.Optional(key): _ADDRESS for key in made})


def announced() -> vol.Schema:
    """Form of the secret of a leader that was found."""
    return vol.Schema({vol.Required(const.CONF_SIGNAL_SECRET): PASSWORD_FIELD})


def reauth(*, leader: bool, exchange: bool) -> vol.Schema:
    """Form of the secrets that may be wrong; what is left empty stays."""
    keys = [const.CONF_SIGNAL_SECRET] * leader + [const.CONF_API_KEY, const.CONF_API_SECRET] * exchange
    return vol.Schema({vol.Optional(key): PASSWORD_FIELD for key in keys})


def options(
    coins: Iterable[str], quote: str, opened: Collection[str] = (), hidden: frozenset[str] = frozenset()
) -> vol.Schema:
    """Form of what may be tuned, in sections but for what is `hidden`; `opened` are open beside the first one."""
    fields: dict[str, tuple[vol.Marker, Any]] = {
        const.CONF_COINS: (vol.Required(const.CONF_COINS), coin_list(coins)),
        **{number.key: (number.marker, number.selector(quote)) for number in OPTIONS},
        const.CONF_STOP_LOSS_SELL: (vol.Required(const.CONF_STOP_LOSS_SELL, default=False), BooleanSelector()),
        const.CONF_APPROVAL: (
            vol.Required(const.CONF_APPROVAL, default=Approval.AUTOMATIC.value),
            choice(Approval, const.CONF_APPROVAL),
        ),
        const.CONF_ASSIST_TRADES: (vol.Required(const.CONF_ASSIST_TRADES, default=False), BooleanSelector()),
        const.CONF_ONLY: (vol.Optional(const.CONF_ONLY), _ONLY),
        const.CONF_FROZEN: (vol.Optional(const.CONF_FROZEN), coin_list(coins)),
        const.CONF_LOCKED: (vol.Optional(const.CONF_LOCKED), coin_list(coins)),
        const.CONF_RANK_KEY: (vol.Optional(const.CONF_RANK_KEY), PASSWORD_FIELD),
        const.CONF_DROPPED_OUT: (
            vol.Required(const.CONF_DROPPED_OUT, default=DroppedOut.KEEP.value),
            choice(DroppedOut, const.CONF_DROPPED_OUT),
        ),
        const.CONF_RANK_IDS: (vol.Optional(const.CONF_RANK_IDS), _TEXTS),
        const.CONF_QUIET_HOURS: (vol.Optional(const.CONF_QUIET_HOURS), TextSelector()),
        const.CONF_PAUSED: (vol.Required(const.CONF_PAUSED, default=False), BooleanSelector()),
        const.CONF_LIVE_PRICES: (vol.Required(const.CONF_LIVE_PRICES, default=False), BooleanSelector()),
        const.CONF_CANDLE_FRAMES: (
            vol.Required(const.CONF_CANDLE_FRAMES, default=list(const.DEFAULT_CANDLE_FRAMES)),
            _FRAMES,
        ),
        const.CONF_PUSH: (vol.Required(const.CONF_PUSH, default=False), BooleanSelector()),
        const.CONF_TELL_LEADER: (vol.Required(const.CONF_TELL_LEADER, default=False), BooleanSelector()),
        const.CONF_PUSH_URL: (vol.Optional(const.CONF_PUSH_URL), _ADDRESS),
    }
    return vol.Schema(
        {
            vol.Required(name): section(
                vol.Schema(dict(fields[key] for key in keys if key not in hidden)),
                {"collapsed": name not in {"trade", *opened}},
            )
            for name, keys in SECTIONS.items()
            if not hidden.issuperset(keys)
        }
    )


def flat(user_input: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What was put into the sections, as it is stored."""
    return {key: value for fields in user_input.values() for key, value in fields.items() if key != const.CONF_PUSH_URL}


def in_sections(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Values of the options by the section that each stands in."""
    found = {name: {key: values[key] for key in keys if key in values} for name, keys in SECTIONS.items()}
    return {name: fields for name, fields in found.items() if fields or name != BLEND}


def errors_by_section(errors: Mapping[str, str]) -> dict[str, str]:
    """Errors as a form with sections can show them: on the section, the first of each."""
    found: dict[str, str] = {}
    for field, error in errors.items():
        found.setdefault(next((name for name, keys in SECTIONS.items() if field in keys), "base"), error)
    return found


def with_consents(schema: vol.Schema, errors: Mapping[str, str], user_input: Mapping[str, Any] | None) -> vol.Schema:
    """A form with boxes to tick for what needs the owner's word: where an error asks for it, and where it was given."""
    keys = [key for error, key in CONSENTS.items() if error in errors.values() or (user_input or {}).get(key)]
    return schema.extend({vol.Required(key, default=False): BooleanSelector() for key in keys})


def fields_of(schema: vol.Schema, errors: Mapping[str, str]) -> dict[str, str]:
    """Errors as a form can show them: those of a field that it lacks stand above all fields."""
    return {field if field in schema.schema else "base": error for field, error in errors.items()}


def errors_of(numbers: Iterable[Number], user_input: Mapping[str, Any]) -> dict[str, str]:
    """Errors of the numbers that cannot be taken, by field."""
    return {
        number.key: error
        for number in numbers
        if number.key in user_input and (error := number.error(user_input[number.key]))
    }


def check_ranges(numbers: Iterable[Number], user_input: Mapping[str, Any], coins: Collection[str]) -> None:
    """See that each number lies in its range and that a coin is left. Raises InvalidInput."""
    errors = errors_of(numbers, user_input)
    if not coins:
        errors[const.CONF_COINS] = "no_coins"
    if errors:
        raise InvalidInput(errors)


async def async_ranges(hass: HomeAssistant, numbers: Iterable[Number], flow: str, step: str, quote: str) -> str:
    """Names of fields with what each may be. In the options the field's section is part of the step."""
    ranges = []
    for number in numbers:
        within = next((f".sections.{name}" for name, keys in SECTIONS.items() if number.key in keys), "")
        unit = quote if number.unit is None else number.unit
        ranges.append(
            await async_text(
                hass,
                "setup_range",
                name=await async_field_name(hass, flow, f"{step}{within}", number.key),
                minimum=figure(hass, number.minimum),
                maximum=f"{figure(hass, number.maximum)} {unit}".rstrip(),
            )
        )
    return ", ".join(ranges)
