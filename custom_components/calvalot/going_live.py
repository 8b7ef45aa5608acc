"""What an owner reads before a budget is traded: what is free, what is needed, what will be bought at once."""

from collections.abc import Collection, Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from .budget import Terms, async_spare, costs, market_of, rates_of, whole
from .const import CONF_INITIAL_BUDGET, CONF_QUOTE_ASSET, CONF_TRADING_MODE, DEFAULT_QUOTE_ASSET
from .exchanges import exchange_of
from .forms import QUOTE_ASSETS
from .kinds.base import Fields, SourceType
from .texts import async_text, figure
from .trading.decimals import ZERO
from .trading.errors import ExchangeError, SourceError
from .trading.exchanges.base import Mode
from .trading.signal import InvalidSignal, UnknownCoin

UNKNOWN = "–"
CENT = Decimal("0.01")


async def async_budget_facts(hass: HomeAssistant, data: Mapping[str, Any], coins: Collection[str]) -> dict[str, str]:
    """What the form of the budget says beside its fields; what the exchange does not answer is shown as unknown."""
    exchange = exchange_of(hass, data)
    quote = data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
    live = data[CONF_TRADING_MODE] == Mode.LIVE
    needed = free = UNKNOWN
    try:
        rates = await rates_of(exchange, [*dict.fromkeys((quote, *QUOTE_ASSETS))] if live else [quote])
        market = await market_of(exchange, [coin for coin in coins if coin.isalnum()], quote)
        if quote in rates and (amount := Terms(market=market, rate=rates[quote], free=None).for_all()):
            needed = figure(hass, whole(amount))
        if live:
            amounts = await async_spare(hass, exchange, data, rates.items())
            shown = {asset: amount for asset, amount in amounts.items() if amount or asset == quote}
            parts = [
                await async_text(hass, "setup_free_in", amount=figure(hass, amount, 2), quote=asset)
                for asset, amount in shown.items()
            ]
            free = ", ".join(parts)
    except ExchangeError:
        pass
    facts = {"coins": f"{len(coins)}", "needed": needed}
    return facts | {"available": await async_text(hass, "setup_free", amounts=free) if live else ""}


async def async_summary(
    hass: HomeAssistant, source: SourceType, stored: Fields, coins: Collection[str], terms: Terms
) -> dict[str, str]:
    """What the last page says before real money is traded."""
    data = stored.data
    quote = data[CONF_QUOTE_ASSET]
    budget = Decimal(str(data[CONF_INITIAL_BUDGET]))
    amount = (budget / terms.rate).quantize(CENT, ROUND_DOWN)
    return {
        "budget": figure(hass, budget),
        "amount": figure(hass, amount, 2),
        "free": figure(hass, terms.free or ZERO, 2),
        "quote": quote,
        "first": await _first(hass, source, stored, coins, terms, amount),
    }


async def _first(
    hass: HomeAssistant, source: SourceType, stored: Fields, coins: Collection[str], terms: Terms, budget: Decimal
) -> str:
    """What is bought at once with a budget in quote, and what that costs."""
    try:
        signal = await source.first_signal(hass, stored, coins)
    except SourceError:
        return await async_text(hass, "setup_leader_away")
    except UnknownCoin as err:
        return await async_text(hass, "setup_unknown_coins", coins=", ".join(err.coins))
    except InvalidSignal:
        return await async_text(hass, "setup_invalid_signal")
    orders = () if signal is None else terms.first_orders(signal, budget, dt_util.utcnow())
    if not orders:
        return await async_text(hass, "setup_buys_nothing")
    quote = terms.market.quote
    lines = "\n".join(
        f"- **{order.coin}** {figure(hass, order.quantity)} · {figure(hass, order.amount, 2)} {quote}"
        for order in orders
    )
    fees, worst = costs(orders)
    return await async_text(
        hass,
        "setup_buys",
        orders=lines,
        fees=figure(hass, fees * terms.rate, 2),
        worst=figure(hass, worst * terms.rate, 2),
    )
