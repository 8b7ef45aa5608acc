"""What a portfolio holds as shares of what it can trade with: pure."""

from collections.abc import Collection, Mapping
from decimal import Decimal, localcontext

from .decimals import EXACT
from .limits import Limits
from .portfolio import Portfolio
from .sizing import Market, least_quantity

type Weights = tuple[Mapping[str, Decimal] | None, Mapping[str, Decimal], Decimal | None]


def weights_of(
    portfolio: Portfolio, market: Market, limits: Limits, apart: Collection[str], frozen: Collection[str]
) -> Weights:
    """The weights by coin and the least that can be traded of each, as fractions, and the value in quote.

    Weights and value are None without a complete valuation. Coins set `apart` do not count, `frozen` ones count and cannot be traded.
    """
    valuation = portfolio.without(apart).value(market.prices)
    if valuation is None or not valuation.total:
        return None, {}, None
    coins = {*valuation.values, *(rules.base for rules in market.rules.values() if rules.quote == market.quote)}
    with localcontext(EXACT):
        weights = {coin: value / valuation.total for coin, value in valuation.values.items()}
        smallest = {
            coin: least_quantity(market, limits, coin) * market.prices[coin] / valuation.total
            for coin in coins.difference(apart, frozen)
            if not market.obstacle(coin)
        }
    return weights, smallest, valuation.total
