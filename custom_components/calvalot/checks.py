"""What the flows ask the leader and the exchange before anything is stored."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant

from .budget import Terms, async_spare, market_of, whole
from .const import (
    CONF_API_KEY,
    CONF_API_SECRET,
    CONF_COINS,
    CONF_EXCHANGE,
    CONF_EXCHANGE_URL,
    CONF_INITIAL_BUDGET,
    CONF_MAX_RANK,
    CONF_QUOTE_ASSET,
    CONF_RANK_IDS,
    CONF_RANK_KEY,
    CONF_TRADING_MODE,
)
from .exchanges import async_load_exchange, exchange_of
from .form_input import InvalidInput
from .ranking import coinmarketcap_of
from .settings import rank_ids, scope_of
from .texts import figure
from .trading.errors import CommandError, ExchangeError, InvalidKey
from .trading.exchanges.base import Exchange, Mode
from .trading.exchanges.symbols import eur_rate, rate_symbols, symbol_of
from .trading.market.coinmarketcap import RankError, RankKeyRefused
from .trading.settings import Scope


async def check_exchange(hass: HomeAssistant, data: Mapping[str, Any], *, accept_withdrawal_key: bool) -> None:
    """Reach the exchange and, for live trading or a whole wallet, ask what the key may do. Raises InvalidInput.

    A wallet on paper needs a key that may read.
    """
    live = data[CONF_TRADING_MODE] == Mode.LIVE
    keyed = live or scope_of(data) is Scope.WALLET
    if keyed and not (data.get(CONF_API_KEY) and data.get(CONF_API_SECRET)):
        raise InvalidInput({CONF_API_KEY: "invalid_api_key"})
    await async_load_exchange(hass, data)
    exchange = exchange_of(hass, data)
    try:
        await exchange.server_time()
        permissions = await exchange.permissions() if keyed else None
    except InvalidKey as err:
        raise InvalidInput({CONF_API_KEY: "invalid_api_key"}) from err
    except ExchangeError as err:
        raise InvalidInput({CONF_EXCHANGE_URL: "cannot_connect_exchange"}) from err
    if live and permissions and not permissions.can_trade:
        raise InvalidInput({CONF_API_KEY: "no_trading_permission"})
    if permissions and permissions.can_withdraw and not accept_withdrawal_key:
        raise InvalidInput({CONF_API_KEY: "key_can_withdraw"})


async def trades_on(hass: HomeAssistant, data: Mapping[str, Any], others: Iterable[ConfigEntry[Any]]) -> bool:
    """Whether one of other live portfolios that are loaded trades on the same account, with whatever key."""
    with suppress(ExchangeError):
        account = await exchange_of(hass, data).account_id()
        for entry in others:
            coordinator = getattr(entry, "runtime_data", None)
            live = entry.data[CONF_TRADING_MODE] == Mode.LIVE
            if live and coordinator and account.is_same(await coordinator.exchange.account_id()):
                return True
    return False


async def check_nothing_rests(hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> None:
    """Have everything ended that rests before another account or mode takes over. Raises InvalidInput."""
    if entry.state is not ConfigEntryState.LOADED:
        return
    coordinator = entry.runtime_data
    changed = {
        key
        for key in (CONF_TRADING_MODE, CONF_EXCHANGE, CONF_EXCHANGE_URL, CONF_API_KEY)
        if entry.data.get(key) != data.get(key)
    }
    if not changed:
        return
    if changed == {CONF_API_KEY}:
        try:
            account = await exchange_of(hass, data).account_id()
            if account.is_same(await coordinator.exchange.account_id()):
                return
        except ExchangeError:  # whose it was is not known: that key ends nothing, and each account has its own books
            return
    try:
        await coordinator.async_finish(coordinator.engine.orders.withdraw())
    except CommandError as err:
        raise InvalidInput({"base": "orders_rest"}) from err


async def check_coins(exchange: Exchange, coins: Collection[str], quote: str) -> None:
    """Look the coins up at the exchange. Raises InvalidInput, naming those that it does not list against the quote asset."""
    pairs = {coin: symbol_of(coin, quote) for coin in coins if coin.isalnum()}
    try:
        listed = await exchange.rules(pairs.values()) if pairs else {}
    except ExchangeError as err:
        raise InvalidInput({"base": "cannot_connect_exchange"}) from err
    if unknown := [coin for coin in coins if pairs.get(coin) not in listed]:
        raise InvalidInput({CONF_COINS: "unknown_coin"}, coins=", ".join(unknown))


async def check_ranks(hass: HomeAssistant, entry: ConfigEntry[Any], wanted: Mapping[str, Any]) -> None:
    """See that a limit on ranks has a key, and that one that is new is valid. Raises InvalidInput."""
    try:
        rank_ids(wanted.get(CONF_RANK_IDS) or ())
    except ValueError as err:
        raise InvalidInput({CONF_RANK_IDS: "rank_id_invalid"}) from err
    key = wanted.get(CONF_RANK_KEY)
    if not wanted.get(CONF_MAX_RANK):
        return
    if not key:
        raise InvalidInput({CONF_RANK_KEY: "rank_key_missing"})
    if key == entry.options.get(CONF_RANK_KEY):
        return
    try:
        await coinmarketcap_of(hass, entry, key).check()
    except RankKeyRefused as err:
        raise InvalidInput({CONF_RANK_KEY: "invalid_rank_key"}) from err
    except RankError as err:
        raise InvalidInput({CONF_RANK_KEY: "cannot_connect_ranks"}) from err


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


async def _eur_rate(exchange: Exchange, quote: str) -> Decimal:
    """EUR per one quote. Raises ExchangeError, InvalidInput where nothing is traded against it or no rate is known."""
    symbols = rate_symbols(quote)
    listed = await exchange.rules({symbol_of("BTC", quote), *symbols}) if quote.isalnum() else {}
    if all(quote not in {rules.base, rules.quote} for rules in listed.values()):
        raise InvalidInput({CONF_QUOTE_ASSET: "unknown_quote_asset"})
    # The exchange answers a question for several prices only if it lists them all.
    known = listed.keys() & set(symbols)
    if (rate := eur_rate(quote, await exchange.prices(known) if known else {})) is None:
        raise InvalidInput({CONF_QUOTE_ASSET: "no_eur_rate"})
    return rate
