"""Ways from one asset to another: a pair of the two, or two pairs over one asset between them; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from .decimals import EXACT, ONE, ZERO, round_down
from .exchanges.base import Side, SymbolRules
from .exchanges.paper import slippage
from .exchanges.symbols import symbol_of
from .limits import Limits
from .sizing import MARKET_MARGIN, NOTIONAL_MARGIN, Market, PlannedOrder

# What a way may lead over, besides the quote asset of the book: what many pairs are traded against.
BETWEEN = ("BTC", "ETH", "BNB", "EUR", "USDT", "USDC", "FDUSD")


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair as it is traded now; the price is the last one, in its own quote asset."""

    rules: SymbolRules
    price: Decimal

    @property
    def symbol(self) -> str:
        """What it is called."""
        return self.rules.symbol

    def other(self, asset: str) -> str:
        """The asset that one of the two is traded for."""
        return self.rules.quote if asset == self.rules.base else self.rules.base


type Way = tuple[Pair, ...]


def symbols_between(start: str, goal: str, between: Sequence[str]) -> set[str]:
    """Symbols of every pair that a way may use, listed or not, whichever of its assets is the base."""
    legs = {(start, goal), *((start, asset) for asset in between), *((asset, goal) for asset in between)}
    return {symbol_of(*each) for one, other in legs if one != other for each in ((one, other), (other, one))}


def ways(pairs: Mapping[str, Pair], start: str, goal: str) -> Iterator[Way]:
    """All ways, the direct ones first."""
    from_start = [pair for pair in pairs.values() if start in {pair.rules.base, pair.rules.quote}]
    yield from ((pair,) for pair in from_start if pair.other(start) == goal)
    for first in from_start:
        between = first.other(start)
        for second in pairs.values():
            if between != goal and {second.rules.base, second.rules.quote} == {between, goal}:
                yield first, second


def best_ways(pairs: Mapping[str, Pair], start: str, goal: str, amount: Decimal, limits: Limits) -> list[Way]:
    """The ways that bring something, first the one that is expected to bring most after fees and filters, the shortest of equals."""
    found = [(brings, way) for way in ways(pairs, start, goal) if (brings := expected(way, start, amount, limits))]
    return [way for _, way in sorted(found, key=lambda each: -each[0])]


def expected(way: Way, start: str, amount: Decimal, limits: Limits) -> Decimal:
    """What a way is expected to bring for an amount of its first asset, after fees and filters; 0 where it cannot be traded."""
    for pair in way:
        amount, start = _expected(pair, start, amount, limits), pair.other(start)
    return amount


def order_for(pair: Pair, asset: str, amount: Decimal, limits: Limits) -> PlannedOrder | None:
    """The order that sells an amount of one of a pair's assets, with the price guard; None where nothing is left after rounding.

    A purchase is sized so that the amount pays for it at the worst price: what is left over stays.
    """
    rules, price = pair.rules, pair.price
    guard = limits.slippage(rules.base)
    side = Side.SELL if asset == rules.base else Side.BUY
    limit_price = rules.limit_price(side, price, guard) if guard else None
    quote_amount = None
    with localcontext(EXACT):
        if side is Side.SELL:
            quantity = amount
        elif limit_price:
            quantity = amount / (limit_price * _with_fee(rules))
        elif rules.quote_step is not None:
            quote_amount = round_down(amount / _with_fee(rules), rules.quote_step)
            quantity = quote_amount / price
        else:
            quantity = amount / (price * (ONE + MARKET_MARGIN) * _with_fee(rules))
        quantity = rules.round_quantity(quantity)
        if quantity * (limit_price or price) < rules.min_notional * NOTIONAL_MARGIN:
            return None
        order = PlannedOrder(
            coin=rules.base,
            symbol=rules.symbol,
            side=side,
            quantity=quantity,
            price=price,
            amount=quantity * price,
            limit_price=limit_price,
            quote_amount=quote_amount,
            fee=rules.fee,
        )
        return order if brings(order, rules) else None


def brings(order: PlannedOrder, rules: SymbolRules) -> Decimal:
    """What an order is expected to bring after the fee, in the asset that it buys."""
    slipped = slippage(order.coin)
    with localcontext(EXACT):
        if order.side is Side.SELL:
            gross = order.quantity * order.price * (ONE - slipped)
        elif order.quote_amount is None:
            gross = order.quantity
        else:
            gross = rules.round_quantity(order.quote_amount / (order.price * (ONE + slipped)))
        return gross * _kept(order.side, rules)


def costs(order: PlannedOrder) -> Decimal:
    """What an order is expected to trade of the asset that it sells; a fee may come beside it."""
    if order.side is Side.SELL:
        return order.quantity
    if order.quote_amount is not None:
        return order.quote_amount
    expected = EXACT.multiply(order.amount, ONE + slippage(order.coin))
    if order.limit_price is None:
        return expected
    return min(expected, EXACT.multiply(order.quantity, order.limit_price))


def takes(order: PlannedOrder, rules: SymbolRules) -> Decimal:
    """What an order is expected to take of the asset that it sells, fee included."""
    return EXACT.multiply(costs(order), _with_fee(rules)) if order.side is Side.BUY else costs(order)


def _with_fee(rules: SymbolRules) -> Decimal:
    """What a purchase costs as a multiple of its amount: the fee may come beside it."""
    return ONE + rules.fee if rules.fee_in_quote else ONE


def _kept(side: Side, rules: SymbolRules) -> Decimal:
    """What is left of what is bought, as a fraction: the fee may be taken of it."""
    return ONE if side is Side.BUY and rules.fee_in_quote else ONE - rules.fee


def _expected(pair: Pair, asset: str, amount: Decimal, limits: Limits) -> Decimal:
    """What selling all of an amount brings; the price guard costs nothing, what it leaves over is kept."""
    rules, price, slipped = pair.rules, pair.price, slippage(pair.rules.base)
    least = rules.min_notional * NOTIONAL_MARGIN * (ONE + limits.slippage(rules.base))
    with localcontext(EXACT):
        sells = asset == rules.base
        quantity = rules.round_quantity(amount if sells else amount / (price * (ONE + slipped) * _with_fee(rules)))
        if not rules.trading or quantity * price < least:
            return ZERO
        gross = quantity * price * (ONE - slipped) if sells else quantity
        return gross * _kept(Side.SELL if sells else Side.BUY, rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionPlan:
    """A quantity of an asset, and the orders that turn it into another one at these prices; `market` prices them in quote."""

    start: str
    goal: str
    quantity: Decimal
    way: Way
    orders: tuple[PlannedOrder, ...]
    market: Market

    @property
    def takes(self) -> Decimal:
        """What is expected to be sold."""
        return takes(self.orders[0], self.way[0].rules)

    @property
    def brings(self) -> Decimal:
        """What is expected to be had after fees."""
        return brings(self.orders[-1], self.way[-1].rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a conversion that stopped half-way has bought and not turned into its goal."""

    asset: str
    quantity: Decimal
    goal: str
    reason: str
