"""From what a config entry stores to a follower's settings, leader and exchange."""

from collections.abc import Callable, Mapping
from datetime import time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.loader import async_get_integration
from homeassistant.util import dt as dt_util

from . import const
from .trading.decimals import HUNDRED, ZERO
from .trading.exchanges.base import Mode, Side
from .trading.settings import Approval, DroppedOut, QuietHours, Scope, Settings
from .trading.signal import SourceKind
from .trading.sources.leader import Leader
from .trading.urls import normalise_url


class InvalidSettings(ValueError):
    """What the entry stores cannot be used; `field` names the culprit."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def amount(value: Any) -> Decimal:
    """A number of the entry, exactly as it was written. Raises ValueError."""
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation as err:
        raise ValueError(value) from err
    if not number.is_finite() or number < 0:
        raise ValueError(value)
    return number


def _fraction(value: Any) -> Decimal:
    return amount(value) / HUNDRED


def _hours(value: Any) -> timedelta:
    return timedelta(hours=float(amount(value)))


def _days(value: Any) -> timedelta:
    return timedelta(days=float(amount(value)))


def _minutes(value: Any) -> timedelta:
    return timedelta(minutes=float(amount(value)))


def _seconds(value: Any) -> timedelta:
    return timedelta(seconds=float(amount(value)))


def _count(value: Any) -> int:
    return int(amount(value))


def coin_codes(values: Any) -> tuple[str, ...]:
    """Coin codes in upper case, each once, in the order given."""
    return tuple(dict.fromkeys(code for value in values if (code := str(value).strip().upper())))


def quiet_hours(value: Any) -> QuietHours:
    """Hours of the day such as 22:00-07:00, in Home Assistant's time zone. Raises ValueError."""
    start, _, end = str(value).replace(" ", "").partition("-")
    hours = QuietHours(time.fromisoformat(start), time.fromisoformat(end), dt_util.get_default_time_zone())
    if hours.start == hours.end:
        raise ValueError(value)
    return hours


def rank_ids(values: Any) -> Mapping[str, int]:
    """Ids of coins at CoinMarketCap by their codes, from texts such as BTC=1. Raises ValueError."""
    found: dict[str, int] = {}
    for text in values:
        coin, _, number = str(text).replace(" ", "").upper().partition("=")
        if not coin.isalnum() or not number.isdecimal() or coin in found:
            raise ValueError(text)
        found[coin] = int(number)
    return found


# Options that are missing or empty leave the default of Settings.
_OPTIONS: dict[str, Callable[[Any], Any]] = {
    const.CONF_MIN_ORDER: amount,
    const.CONF_REBALANCE_THRESHOLD: _fraction,
    const.CONF_DUST_THRESHOLD: amount,
    const.CONF_SURVIVAL_FLOOR: amount,
    const.CONF_MAX_SIGNAL_AGE: _hours,
    const.CONF_SILENCE_ALERT: _hours,
    const.CONF_MAX_SLIPPAGE: _fraction,
    const.CONF_MAX_ORDER_SHARE: _fraction,
    const.CONF_STOP_LOSS_DRAWDOWN: _fraction,
    const.CONF_STOP_LOSS_SELL: bool,
    const.CONF_MAX_TRADES_PER_DAY: _count,
    const.CONF_APPROVAL: Approval,
    const.CONF_APPROVAL_TIMEOUT: _minutes,
    const.CONF_ENTRY_JITTER: _seconds,
    const.CONF_MAX_SOURCE_AGE: _days,
    const.CONF_ONLY: lambda side: Side(str(side).upper()),
    const.CONF_FROZEN: lambda coins: frozenset(coin_codes(coins)),
    const.CONF_LOCKED: lambda coins: frozenset(coin_codes(coins)),
    const.CONF_QUIET_HOURS: quiet_hours,
    const.CONF_MAX_RANK: _count,
    const.CONF_RANK_IDS: rank_ids,
    const.CONF_DROPPED_OUT: DroppedOut,
    const.CONF_TELL_LEADER: bool,
}


def first_key(data: Mapping[str, Any]) -> str:
    """Key of the first source of an entry: its kind."""
    return str(data.get(const.CONF_SOURCE, SourceKind.LEADER))


def scope_of(data: Mapping[str, Any]) -> Scope:
    """What belongs to the portfolio of an entry or of a flow."""
    return Scope(data.get(const.CONF_SCOPE, Scope.BUDGET))


def further_sources(entry: ConfigEntry[Any]) -> Mapping[str, ConfigSubentry]:
    """The subentries of an entry that decide, by their keys: all but its publishers."""
    return {key: each for key, each in entry.subentries.items() if each.subentry_type != const.PUBLISHER}


def weights_of(entry: ConfigEntry[Any]) -> Mapping[str, Decimal]:
    """Weights of the sources of an entry (%) by their keys; the first has what the others leave, where nothing else is said."""
    further = {key: Decimal(str(subentry.data[const.CONF_WEIGHT])) for key, subentry in further_sources(entry).items()}
    left = max(HUNDRED - sum(further.values(), ZERO), ZERO)
    first = Decimal(str(entry.options.get(const.CONF_WEIGHT, left)))
    return {first_key(entry.data): first, **further}


def entry_settings(entry: ConfigEntry[Any]) -> Settings:
    """Settings of the follower of an entry. Raises InvalidSettings."""
    data = entry.data
    further = {key: subentry.data for key, subentry in further_sources(entry).items()}
    named = [stored.get(const.CONF_COINS, ()) for stored in further.values()]
    return Settings(
        entry_id=entry.entry_id,
        mode=_read(data, const.CONF_TRADING_MODE, Mode),
        quote=str(data.get(const.CONF_QUOTE_ASSET, const.DEFAULT_QUOTE_ASSET)).upper(),
        scope=(scope := scope_of(data)),
        initial_budget=ZERO if scope is Scope.WALLET else _read(data, const.CONF_INITIAL_BUDGET, amount),
        coins=coin_codes(
            coin for coins in (entry.options.get(const.CONF_COINS, const.DEFAULT_COINS), *named) for coin in coins
        ),
        weights={key: weight / HUNDRED for key, weight in weights_of(entry).items()},
        paused_sources=frozenset(
            key for key, stored in {first_key(data): entry.options, **further}.items() if stored.get(const.CONF_PAUSED)
        ),
        names={key: subentry.title for key, subentry in further_sources(entry).items()},
        **{
            key: _read(entry.options, key, convert)
            for key, convert in _OPTIONS.items()
            if entry.options.get(key) is not None
        },
    )


def poll_interval(entry: ConfigEntry[Any]) -> timedelta:
    """Time between two cycles. Raises InvalidSettings."""
    seconds = entry.options.get(const.CONF_POLL_INTERVAL, const.DEFAULT_POLL_INTERVAL)
    return timedelta(seconds=_read({const.CONF_POLL_INTERVAL: seconds}, const.CONF_POLL_INTERVAL, _positive))


async def version(hass: HomeAssistant) -> str:
    """Version of this integration."""
    return str((await async_get_integration(hass, const.DOMAIN)).version)


def leader_of(hass: HomeAssistant, data: Mapping[str, Any], version: str) -> Leader:
    """The leader of an entry or of a flow. Raises InvalidSettings."""
    url = _read(data, const.CONF_LEADER_URL, lambda url: normalise_url(str(url)))
    return Leader(async_get_clientsession(hass), url, _read(data, const.CONF_SIGNAL_SECRET, str), version)


def _positive(value: Any) -> float:
    if not (seconds := float(amount(value))):
        raise ValueError(value)
    return seconds


def _read[T](source: Mapping[str, Any], field: str, convert: Callable[[Any], T]) -> T:
    try:
        return convert(source.get(field))
    except ValueError as err:
        raise InvalidSettings(field) from err
