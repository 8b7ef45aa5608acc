"""What the flows ask the leader and the exchange before anything is stored."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant

from .budget import Terms, async_spare, market_of, whole
from .const import (
    CONF_API_KEY,
    CONF_API_SECRET,
    CONF_COINS,
    CONF_EXCHANGE_URL,
    CONF_INITIAL_BUDGET,
    CONF_LEADER_URL,
    CONF_QUOTE_ASSET,
    CONF_SIGNAL_SECRET,
    CONF_TRADING_MODE,
)
from .coordinator import CalvalotCoordinator
from .settings import exchange_of, leader_of, version
from .texts import figure
from .trading.errors import (
    ExchangeError,
    InvalidKey,
    LeaderForbidden,
    LeaderInvalidResponse,
    LeaderSignalsOff,
    LeaderUnreachable,
)
from .trading.exchanges.base import Mode, eur_rate, rate_symbols
from .trading.exchanges.binance import BinanceExchange
from .trading.signal import InvalidSignal
from .trading.sources.leader_format import parse_signal
from .trading.urls import is_private, normalise_url


class InvalidInput(Exception):
    """Input that cannot be taken: an error key by field, and what the messages name."""

    def __init__(self, errors: dict[str, str], **placeholders: str) -> None:
        super().__init__(errors)
        self.errors = errors
        self.placeholders = placeholders


def checked_url(url: str, field: str, *, accept_plain_http: bool) -> str:
    """Normal form of a URL. Raises InvalidInput where it is none, or sends secrets in the open without consent."""
    try:
        normal = normalise_url(url)
    except ValueError as err:
        scheme, found, _ = url.strip().partition("://")
        if not found:
            raise InvalidInput({field: "url_without_scheme"}) from err
        if scheme.lower() not in {"http", "https"}:
            raise InvalidInput({field: "url_scheme"}) from err
        raise InvalidInput({field: "invalid_url"}) from err
    if normal.startswith("http://") and not is_private(normal) and not accept_plain_http:
        raise InvalidInput({field: "plain_http"})
    return normal


async def check_leader(hass: HomeAssistant, data: Mapping[str, Any]) -> None:
    """Ask the leader for its signal, signed. Raises InvalidInput."""
    leader = leader_of(hass, data, await version(hass))
    try:
        if (body := await leader.fetch()) is not None:
            parse_signal(body, ())
    except LeaderForbidden as err:
        errors = {CONF_SIGNAL_SECRET: "invalid_auth"}
        if err.clocks_differ:
            raise InvalidInput(errors | {"base": "clock_skew"}, seconds=f"{abs(err.clock_skew or 0):.0f}") from err
        raise InvalidInput(errors) from err
    except LeaderSignalsOff as err:
        raise InvalidInput({CONF_LEADER_URL: "signal_disabled"}) from err
    except LeaderUnreachable as err:
        raise InvalidInput({CONF_LEADER_URL: "cannot_connect"}) from err
    except LeaderInvalidResponse as err:
        raise InvalidInput({CONF_LEADER_URL: "invalid_response"}) from err
    except InvalidSignal as err:
        # With a signal_id the leader is the right one, whatever it says today.
        if err.signal_id is None:
            raise InvalidInput({CONF_LEADER_URL: "invalid_response"}) from err


async def check_exchange(hass: HomeAssistant, data: Mapping[str, Any], *, accept_withdrawal_key: bool) -> None:
    """Reach the exchange and, for live trading, ask what the key may do. Raises InvalidInput."""
    live = data[CONF_TRADING_MODE] == Mode.LIVE
    if live and not (data.get(CONF_API_KEY) and data.get(CONF_API_SECRET)):
        raise InvalidInput({CONF_API_KEY: "invalid_api_key"})
    exchange = exchange_of(hass, data)
    try:
        await exchange.server_time()
        permissions = await exchange.permissions() if live else None
    except InvalidKey as err:
        raise InvalidInput({CONF_API_KEY: "invalid_api_key"}) from err
    except ExchangeError as err:
        raise InvalidInput({CONF_EXCHANGE_URL: "cannot_connect_exchange"}) from err
    if permissions and not permissions.can_trade:
        raise InvalidInput({CONF_API_KEY: "no_trading_permission"})
    if permissions and permissions.can_withdraw and not accept_withdrawal_key:
        raise InvalidInput({CONF_API_KEY: "key_can_withdraw"})


async def is_followed(hass: HomeAssistant, data: Mapping[str, Any], others: Iterable[ConfigEntry[Any]]) -> bool:
    """Whether one of other followers that are loaded trades for the same leader on the same account, with whatever key."""
    if data[CONF_TRADING_MODE] != Mode.LIVE:
        return False
    with suppress(ExchangeError):
        account = await exchange_of(hass, data).account_id()
        for entry in others:
            same = all(entry.data[key] == data[key] for key in (CONF_LEADER_URL, CONF_TRADING_MODE))
            coordinator: CalvalotCoordinator | None = getattr(entry, "runtime_data", None)
            if same and coordinator and account.is_same(await coordinator.exchange.account_id()):
                return True
    return False


async def check_coins(exchange: BinanceExchange, coins: Collection[str], quote: str) -> None:
    """Look the coins up at the exchange. Raises InvalidInput, naming those that it does not list against the quote asset."""
    pairs = {coin: f"{coin}{quote}" for coin in coins if coin.isalnum()}
    try:
        listed = await exchange.rules(pairs.values()) if pairs else {}
    except ExchangeError as err:
        raise InvalidInput({"base": "cannot_connect_exchange"}) from err
    if unknown := [coin for coin in coins if pairs.get(coin) not in listed]:
        raise InvalidInput({CONF_COINS: "unknown_coin"}, coins=", ".join(unknown))


async def check_budget(hass: HomeAssistant, data: Mapping[str, Any], coins: Collection[str]) -> Terms:
    """See that the budget can be turned into the quote asset, holds an order and, live, is there. Raises InvalidInput."""
    exchange = exchange_of(hass, data)
    quote = data[CONF_QUOTE_ASSET]
    try:
        rate = await _eur_rate(exchange, quote)
        await check_coins(exchange, coins, quote)
        market = await market_of(exchange, coins, quote)
        live = data[CONF_TRADING_MODE] == Mode.LIVE
        free = (await async_spare(hass, exchange, data, [(quote, rate)]))[quote] if live else None
    except ExchangeError as err:
        raise InvalidInput({"base": "cannot_connect_exchange"}) from err
    terms = Terms(market=market, rate=rate, free=free)
    budget = Decimal(str(data[CONF_INITIAL_BUDGET]))
    least = terms.least()
    if least is not None and budget < least:
        raise InvalidInput({CONF_INITIAL_BUDGET: "budget_too_small"}, minimum=figure(hass, whole(least)))
    if free is not None and budget > free:
        raise InvalidInput({CONF_INITIAL_BUDGET: "insufficient_funds"}, free=figure(hass, free, 2), quote=quote)
    return terms


async def _eur_rate(exchange: BinanceExchange, quote: str) -> Decimal:
    """EUR per one quote. Raises ExchangeError, InvalidInput where nothing is traded against it or no rate is known."""
    symbols = rate_symbols(quote)
    listed = await exchange.rules({f"BTC{quote}", *symbols}) if quote.isalnum() else {}
    if all(quote not in {rules.base, rules.quote} for rules in listed.values()):
        raise InvalidInput({CONF_QUOTE_ASSET: "unknown_quote_asset"})
    # The exchange answers a question for several prices only if it lists them all.
    known = listed.keys() & set(symbols)
    if (rate := eur_rate(quote, await exchange.prices(known) if known else {})) is None:
        raise InvalidInput({CONF_QUOTE_ASSET: "no_eur_rate"})
    return rate
