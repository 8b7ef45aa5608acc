"""The owner's own allocation: coins and shares, kept by schedule or drift."""

from collections.abc import Collection, Mapping
from datetime import time, timedelta
from decimal import Decimal
from typing import Any, Final, override

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    ObjectSelector,
    ObjectSelectorConfig,
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
    TimeSelector,
)
from homeassistant.util import dt as dt_util
import voluptuous as vol

from ..actions import Action, invalid_input
from ..checks import check_coins
from ..const import CONF_COINS, CONF_QUOTE_ASSET, CONF_SOURCE, DEFAULT_QUOTE_ASSET
from ..exchanges import exchange_of
from ..form_input import InvalidInput
from ..forms import Number, async_ranges, errors_of
from ..selectors import choice
from ..settings import amount, further_sources
from ..texts import async_text, figure
from ..trading.decimals import HUNDRED
from ..trading.settings import Scope
from ..trading.signal import Signal, SourceKind
from ..trading.sources.allocation import AllocationSettings, AllocationSource, TradeTo, When
from ..trading.sources.base import Moment
from .base import Fields, SourceType

CONF_ALLOCATION: Final = "allocation"
CONF_COIN: Final = "coin"
CONF_SHARE: Final = "share"
CONF_WHEN: Final = "when"
CONF_INTERVAL: Final = "interval"
CONF_AT: Final = "at"
CONF_DRIFT: Final = "drift"
CONF_TRADE_TO: Final = "trade_to"
CONF_CASH_RESERVE: Final = "cash_reserve"
CONF_COOLDOWN: Final = "cooldown"

ATTR_PLAN_ID: Final = "plan_id"
# What an action takes: shares in % by coin.
SHARES: Final = vol.Schema({cv.string: vol.Any(int, float, str)})

NUMBERS: Final = (
    Number(key=CONF_INTERVAL, minimum=1, maximum=8760, unit="h"),
    Number(key=CONF_DRIFT, default=20, minimum=1, maximum=100, unit="%"),
    Number(key=CONF_CASH_RESERVE, default=0, minimum=0, maximum=100, unit="%"),
    Number(key=CONF_COOLDOWN, default=1, minimum=0, maximum=720, unit="h"),
)


class _AnyText(TextSelector):
    """A text field whose value is checked by us, in the owner's words."""

    @override
    def __call__(self, data: Any) -> Any:
        return data


class _AnyNumber(NumberSelector):
    """A number field whose value is checked by us, in the owner's words."""

    @override
    def __call__(self, data: Any) -> Any:
        return data


ROWS: Final = ObjectSelector(
    ObjectSelectorConfig(
        multiple=True,
        label_field=CONF_COIN,
        description_field=CONF_SHARE,
        translation_key=CONF_ALLOCATION,
        fields={
            CONF_COIN: {"selector": _AnyText()},
            CONF_SHARE: {
                "selector": _AnyNumber(
                    NumberSelectorConfig(mode=NumberSelectorMode.BOX, step="any", unit_of_measurement="%")
                )
            },
        },
    )
)


class AllocationType(SourceType):
    """Coins with shares in % of the portfolio; what they leave of the whole is cash."""

    kind = SourceKind.ALLOCATION
    scopes = tuple(Scope)
    hidden = frozenset({"rebalance_threshold", "max_signal_age", "entry_jitter", "silence_alert", "push", "push_url"})

    @override
    def form(self, *, stored: bool, found: Collection[str] = ()) -> vol.Schema:
        """The same whether it is stored or not."""
        numbers = {number.key: (number.marker, number.selector("")) for number in NUMBERS}
        when = SelectSelector(
            SelectSelectorConfig(options=[each.value for each in When], multiple=True, translation_key=CONF_WHEN)
        )
        fields = (
            (vol.Required(CONF_ALLOCATION), ROWS),
            (vol.Required(CONF_WHEN, default=[When.DRIFT.value]), when),
            numbers[CONF_INTERVAL],
            (vol.Optional(CONF_AT), TimeSelector()),
            numbers[CONF_DRIFT],
            (vol.Required(CONF_TRADE_TO, default=TradeTo.HALF.value), choice(TradeTo, CONF_TRADE_TO)),
            numbers[CONF_CASH_RESERVE],
            numbers[CONF_COOLDOWN],
        )
        return vol.Schema(dict(fields))

    @override
    async def check(self, hass: HomeAssistant, known: Fields, user_input: Mapping[str, Any]) -> Fields:
        """See that the rows make an allocation and the numbers lie in their ranges. Raises InvalidInput."""
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        rows: list[dict[str, Any]] = []
        try:
            rows = checked_rows(hass, user_input[CONF_ALLOCATION])
        except InvalidInput as err:
            errors, placeholders = err.errors, err.placeholders
        if outside := errors_of(NUMBERS, user_input):
            errors |= outside
            wrong = [number for number in NUMBERS if number.key in outside]
            placeholders["fields"] = await async_ranges(hass, wrong, "config", self.kind, "")
        timed = user_input.get(CONF_INTERVAL) or user_input.get(CONF_AT)
        if When.SCHEDULE in user_input[CONF_WHEN] and not timed:
            errors[CONF_WHEN] = "schedule_without_time"
        if errors:
            raise InvalidInput(errors, **placeholders)
        fields = {str(marker): user_input.get(str(marker)) for marker in self.form(stored=True).schema}
        return Fields(options={**fields, CONF_ALLOCATION: rows})

    @override
    def build(self, hass: HomeAssistant, stored: Fields, version: str) -> AllocationSource:
        """The allocation that is stored."""
        return AllocationSource(settings_of(stored.options), dt_util.get_default_time_zone())

    @override
    async def name(self, hass: HomeAssistant, data: Mapping[str, Any]) -> str:
        """That it is the owner's own."""
        return await async_text(hass, "setup_allocation")

    @override
    async def first_signal(self, hass: HomeAssistant, stored: Fields, coins: Collection[str]) -> Signal | None:
        """Its targets, unless it is kept by hand only."""
        if not stored.options[CONF_WHEN]:
            return None
        return _current(stored.options)

    @override
    def coins(self, options: Mapping[str, Any]) -> tuple[str, ...] | None:
        """The coins of its rows."""
        return tuple(row[CONF_COIN] for row in options.get(CONF_ALLOCATION, ()))

    @override
    def actions(self) -> tuple[Action, ...]:
        """What changes it."""
        return (
            Action(
                "set_allocation",
                _set_allocation,
                {
                    vol.Required(CONF_ALLOCATION): SHARES,
                    vol.Optional(ATTR_PLAN_ID): cv.string,
                    vol.Optional(CONF_SOURCE): cv.string,
                },
            ),
        )


# What an action says for each error of the form.
EXCEPTIONS: Final = {
    error: f"allocation_{error}"
    for error in (
        *("allocation_sum", "coin_twice", "row_without_coin", "share_invalid", "no_coins"),
        *("unknown_coin", "cannot_connect_exchange"),
    )
}


def checked_rows(hass: HomeAssistant, rows: Any) -> list[dict[str, Any]]:
    """Rows as they are stored: codes in capitals, shares as numbers. Raises InvalidInput, naming the row."""
    found: dict[str, float] = {}
    for number, row in enumerate(rows, start=1):
        coin = str(row.get(CONF_COIN) or "").strip().upper()
        named = {"row": f"{number}", "coin": coin or "–"}
        if not coin.isalnum():
            raise InvalidInput({CONF_ALLOCATION: "row_without_coin"}, **named)
        if coin in found:
            raise InvalidInput({CONF_ALLOCATION: "coin_twice"}, **named)
        share = row.get(CONF_SHARE)
        try:
            value = amount(share) if not isinstance(share, bool) else None
        except ValueError:
            value = None
        if value is None or value > HUNDRED:
            raise InvalidInput({CONF_ALLOCATION: "share_invalid"}, **named)
        found[coin] = float(value)
    if not found:
        raise InvalidInput({CONF_ALLOCATION: "no_coins"})
    if (whole := sum((Decimal(str(share)) for share in found.values()), Decimal(0))) > HUNDRED:
        raise InvalidInput({CONF_ALLOCATION: "allocation_sum"}, sum=figure(hass, whole))
    return [{CONF_COIN: coin, CONF_SHARE: share} for coin, share in found.items()]


def settings_of(options: Mapping[str, Any]) -> AllocationSettings:
    """Settings of the source from an entry's options."""
    at, interval = options.get(CONF_AT), options.get(CONF_INTERVAL)
    return AllocationSettings(
        shares={row[CONF_COIN]: amount(row[CONF_SHARE]) / HUNDRED for row in options[CONF_ALLOCATION]},
        when=frozenset(When(each) for each in options[CONF_WHEN]),
        interval=timedelta(hours=float(interval)) if interval else None,
        at=time.fromisoformat(at) if at else None,
        drift=amount(options[CONF_DRIFT]) / HUNDRED,
        trade_to=TradeTo(options[CONF_TRADE_TO]),
        cash_reserve=amount(options[CONF_CASH_RESERVE]) / HUNDRED,
        cooldown=timedelta(hours=float(options[CONF_COOLDOWN])),
    )


async def draft_of(
    hass: HomeAssistant, entry: ConfigEntry[Any], shares: Mapping[str, Any], source: str | None
) -> Signal:
    """What an allocation would want that is not kept yet. Raises ServiceValidationError."""
    return _current(await _options(hass, entry, shares, _kept_in(entry, source)))


def _current(options: Mapping[str, Any]) -> Signal:
    source = AllocationSource(settings_of(options), dt_util.get_default_time_zone())
    return source.current(Moment(now=dt_util.utcnow(), prices={}))


async def _options(
    hass: HomeAssistant, entry: ConfigEntry[Any], shares: Mapping[str, Any], subentry: ConfigSubentry | None
) -> dict[str, Any]:
    """What is stored of an allocation, in an entry's options or a subentry, with other shares. Raises ServiceValidationError."""
    quote = entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
    try:
        rows = checked_rows(hass, [{CONF_COIN: coin, CONF_SHARE: share} for coin, share in shares.items()])
        coins = [row[CONF_COIN] for row in rows]
        await check_coins(exchange_of(hass, entry.data), coins, quote)
    except InvalidInput as err:
        raise invalid_input(EXCEPTIONS[next(iter(err.errors.values()))], **err.placeholders) from err
    if subentry:
        return {**subentry.data, CONF_ALLOCATION: rows, CONF_COINS: coins}
    # Beside other sources the coins that those trade stay.
    known = entry.options.get(CONF_COINS, ()) if further_sources(entry) else ()
    return {**entry.options, CONF_ALLOCATION: rows, CONF_COINS: list(dict.fromkeys((*coins, *known)))}


async def _set_allocation(hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> None:
    """Store another allocation and begin with it; with a plan that was shown for it, exactly that is traded before."""
    subentry = _kept_in(entry, data.get(CONF_SOURCE))
    options = await _options(hass, entry, data[CONF_ALLOCATION], subentry)
    coordinator = entry.runtime_data
    if plan_id := data.get(ATTR_PLAN_ID):
        key = subentry.subentry_id if subentry else SourceKind.ALLOCATION
        await coordinator.async_finish(coordinator.engine.commands.sync(key, plan_id, _current(options)))
    if subentry:
        hass.config_entries.async_update_subentry(entry, subentry, data=options)
    else:
        hass.config_entries.async_update_entry(entry, options=options)
    await coordinator.async_tune()
    await coordinator.async_poll()


def _kept_in(entry: ConfigEntry[Any], source: str | None) -> ConfigSubentry | None:
    """Where the allocation stands that is meant, None for the entry itself. Raises ServiceValidationError."""
    first = SourceKind.ALLOCATION if CONF_ALLOCATION in entry.options else None
    kept = {key: each for key, each in entry.subentries.items() if each.subentry_type == SourceKind.ALLOCATION}
    keys = [*filter(None, (first,)), *kept]
    if not keys:
        raise invalid_input("no_own_allocation")
    if source is None and (first or len(keys) == 1):
        source = keys[0]
    if source not in keys:
        raise invalid_input("source_unknown", sources=", ".join(keys))
    return kept.get(source)
