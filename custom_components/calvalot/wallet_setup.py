"""What an owner reads before his whole account becomes a portfolio: what is taken in, what is left alone, what is traded at once."""

from collections.abc import Sequence
from decimal import Decimal

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from .budget import LIMITS, costs, market_of, rates_of
from .checks import check_coins
from .const import CONF_API_KEY, CONF_QUOTE_ASSET, MIN_BUDGET
from .exchanges import exchange_of
from .form_input import InvalidInput
from .kinds.base import Fields, SourceType
from .ledgers import async_accounts, ledger_path
from .settings import version
from .texts import async_text, figure
from .trading.decimals import ZERO
from .trading.errors import ExchangeError
from .trading.exchanges.base import Side
from .trading.exchanges.symbols import symbol_of
from .trading.funding import proceeds
from .trading.planner import fund, plan
from .trading.portfolio import Portfolio, Position
from .trading.signal import Signal
from .trading.sizing import Market, PlannedOrder, Reason
from .trading.sources.base import Moment
from .trading.weights import weights_of


async def async_wallet_summary(
    hass: HomeAssistant, source: SourceType, stored: Fields, coins: Sequence[str], entry_id: str
) -> dict[str, str]:
    """What the last page says; `entry_id` is empty where there is no entry yet.

    Raises InvalidInput where the exchange does not answer, a coin is not listed, or there is too little.
    """
    exchange, quote = exchange_of(hass, stored.data), stored.data[CONF_QUOTE_ASSET]
    await check_coins(exchange, coins, quote)
    try:
        account, balances = await exchange.holdings()
        others = await async_accounts(hass).held(account, ledger_path(hass, entry_id))
        listed = await exchange.listed()
        rates = await rates_of(exchange, [quote])
        known = [asset for asset in {*balances, *coins} if symbol_of(asset, quote) in listed]
        market = await market_of(exchange, known, quote)
    except ExchangeError as err:
        raise InvalidInput({CONF_API_KEY: "cannot_connect_exchange"}) from err
    if quote not in rates:
        raise InvalidInput({"base": "no_eur_rate"})
    held = {
        asset: quantity
        for asset, balance in balances.items()
        if (quantity := balance.free + balance.locked - others.quantities.get(asset, ZERO)) > 0
    }
    portfolio = Portfolio(
        cash=held.pop(quote, ZERO),
        positions={asset: Position(quantity) for asset, quantity in held.items() if market.prices.get(asset)},
    )
    valuation = portfolio.value(market.prices)
    if valuation is None or valuation.total * rates[quote] < MIN_BUDGET:
        raise InvalidInput({"base": "wallet_too_small"}, minimum=figure(hass, Decimal(MIN_BUDGET)))
    frozen = sorted(portfolio.positions.keys() - {*coins})
    apart = sorted(held.keys() - portfolio.positions.keys())
    orders = _first_orders(await _signal(hass, source, stored, portfolio, market, frozen), portfolio, market, frozen)
    return {
        "value": figure(hass, valuation.total * rates[quote], 2),
        "frozen": ", ".join(frozen) or "–",
        "apart": ", ".join(apart) or "–",
        "first": await _first(hass, orders, quote, rates[quote]),
    }


async def _signal(
    hass: HomeAssistant,
    source: SourceType,
    stored: Fields,
    portfolio: Portfolio,
    market: Market,
    frozen: Sequence[str],
) -> Signal | None:
    """What the source says to what is held, as in the first cycle."""
    built = source.build(hass, stored, await version(hass))
    weights, smallest, _ = weights_of(portfolio, market, LIMITS, (), frozen)
    said = built.decide(Moment(now=dt_util.utcnow(), prices=market.prices, weights=weights, smallest=smallest))
    return said if isinstance(said, Signal) else None


def _first_orders(
    signal: Signal | None, portfolio: Portfolio, market: Market, frozen: Sequence[str]
) -> tuple[PlannedOrder, ...]:
    """What is sold and bought at once."""
    valuation = portfolio.value(market.prices)
    if signal is None or valuation is None:
        return ()
    blocked = {(coin, side): Reason.FROZEN for coin in frozen for side in Side}
    planned = plan(signal.wants, portfolio, valuation, market, LIMITS, blocked)
    buys, _ = fund(planned, portfolio.cash + proceeds(planned.sells), valuation.total, market, LIMITS)
    return (*planned.sells, *buys)


async def _first(hass: HomeAssistant, orders: Sequence[PlannedOrder], quote: str, rate: Decimal) -> str:
    if not orders:
        return await async_text(hass, "setup_trades_nothing")
    lines = [
        await async_text(
            hass,
            "setup_sells" if order.side is Side.SELL else "setup_purchase",
            coin=order.coin,
            quantity=figure(hass, order.quantity),
            amount=figure(hass, order.amount, 2),
            quote=quote,
        )
        for order in orders
    ]
    fees, _ = costs(orders)
    return await async_text(
        hass, "setup_trades", orders="\n".join(f"- {line}" for line in lines), fees=figure(hass, fees * rate, 2)
    )
