"""What the owner asks for when he places an order, and the order that comes of it where it may be sent; pure."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from .decimals import HUNDRED, ONE, ZERO, round_down, round_up
from .errors import CommandError
from .exchanges.base import OrderType, Side, SymbolRules
from .exchanges.paper import slippage
from .limits import Limits
from .plans import TOLERANCE
from .portfolio import Portfolio
from .sizing import NOTIONAL_MARGIN, Market, PlannedOrder, make_order, worst_factor
from .terms import Level


class TimeInForce(StrEnum):
    """How long a limit order lasts: until it is cancelled, what can be filled at once, all at once or nothing."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


_TYPES = {
    TimeInForce.GTC: OrderType.LIMIT,
    TimeInForce.IOC: OrderType.AT_ONCE,
    TimeInForce.FOK: OrderType.FILL_OR_KILL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order as its owner asks for it: an amount in quote or a quantity; without a limit price it takes the market.

    `trailing` is the distance of a stop that follows the price, in basis points.
    """

    coin: str
    side: Side
    amount: Decimal | None = None
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    take_profit: Level | None = None
    stop_loss: Level | None = None
    trailing: int | None = None

    @property
    def protects(self) -> bool:
        """Whether what is bought is to be protected."""
        return any(each is not None for each in (self.take_profit, self.stop_loss, self.trailing))

    @property
    def is_all(self) -> bool:
        """Whether nothing says how much: all that is held is meant."""
        return self.amount is None and self.quantity is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What an order was shown with before it was confirmed: its quantity, and the last price of its coin."""

    quantity: Decimal
    price: Decimal

    def check(self, coin: str, quantity: Decimal, price: Decimal) -> None:
        """See that an order is still what was shown. Raises CommandError."""
        if quantity != self.quantity:
            raise CommandError("plan_changed", coins=coin)
        change = price / self.price - ONE
        if abs(change) > TOLERANCE:
            moved = f"{coin} {change * HUNDRED:+.1f} %"
            raise CommandError("prices_moved", coins=moved, limit=f"{TOLERANCE * HUNDRED:.1f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an order is expected to cost at its price, in quote: the fee, and with it what the fills lose to the market."""

    fee: Decimal
    cost: Decimal


def order_of(ticket: Ticket, market: Market, limits: Limits, free: Portfolio) -> PlannedOrder:
    """The order as it is sent: on step and tick, within the exchange's rules and the price guard, paid for by what is `free`.

    Raises CommandError.
    """
    if (ticket.amount is None) == (ticket.quantity is None):
        raise CommandError("amount_or_quantity")
    rules, price = market.rules[market.symbol(ticket.coin)], market.prices[ticket.coin]
    order = (
        _for_market(ticket, market, limits, free)
        if ticket.limit_price is None
        else _limited(ticket, ticket.limit_price, rules, price, limits)
    )
    worst = order.limit_price or price
    margin = ONE if order.type.rests else NOTIONAL_MARGIN
    if not order.quantity or order.quantity * min(worst, price) < rules.min_notional * margin:
        raise CommandError("order_too_small", minimum=f"{rules.min_notional * margin:f}", quote=market.quote)
    beside = rules.fee if rules.fee_in_quote else ZERO
    if ticket.side is Side.BUY and order.quantity * worst * (ONE + beside) > free.cash:
        raise CommandError("not_enough_free", free=f"{max(free.cash, ZERO):f}", asset=market.quote)
    if ticket.side is Side.SELL and order.quantity > free.quantity(ticket.coin):
        raise CommandError("not_enough_free", free=f"{free.quantity(ticket.coin):f}", asset=ticket.coin)
    return order


def cost_of(order: PlannedOrder, price: Decimal) -> Cost:
    """What an order is expected to cost; one that waits in the book for its price loses nothing to the market."""
    fee = order.amount * order.fee
    return Cost(fee=fee, cost=fee if waits(order, price) else fee + order.amount * slippage(order.coin))


def waits(order: PlannedOrder, price: Decimal) -> bool:
    """Whether an order stays in the book, the last price being this."""
    limit = order.limit_price
    if not order.type.rests or limit is None:
        return False
    return limit < price if order.side is Side.BUY else limit > price


def _for_market(ticket: Ticket, market: Market, limits: Limits, free: Portfolio) -> PlannedOrder:
    """An order that takes the market, with the price guard; an amount up to the whole cash leaves room for what it may cost."""
    price, rules = market.prices[ticket.coin], market.rules[market.symbol(ticket.coin)]
    quantity = ticket.quantity
    if quantity is None:
        amount = ticket.amount or ZERO
        if ticket.side is Side.BUY and amount <= free.cash:
            amount = min(amount, free.cash / worst_factor(limits, ticket.coin, rules))
        quantity = amount / price
    order = make_order(market, limits, ticket.coin, ticket.side, quantity)
    if order is None:
        raise CommandError("order_too_small", minimum=f"{rules.min_notional:f}", quote=market.quote)
    return order


def _limited(ticket: Ticket, limit: Decimal, rules: SymbolRules, price: Decimal, limits: Limits) -> PlannedOrder:
    """An order with a limit, no further from the market than the exchange and the price guard allow."""
    limit = (round_down if ticket.side is Side.BUY else round_up)(limit, rules.tick)
    bounds = rules.bounds(ticket.side, price)
    if not limit or (bounds and not bounds[0] <= limit <= bounds[1]):
        low, high = bounds or (rules.tick, price)
        raise CommandError("limit_price_far", low=f"{low:f}", high=f"{high:f}")
    if guard := limits.slippage(ticket.coin):
        worst = rules.limit_price(ticket.side, price, guard)
        if limit > worst if ticket.side is Side.BUY else limit < worst:
            raise CommandError("limit_price_guard", price=f"{price:f}", worst=f"{worst:f}")
    quantity = rules.round_quantity((ticket.amount or ZERO) / limit if ticket.quantity is None else ticket.quantity)
    return PlannedOrder(
        coin=ticket.coin,
        symbol=rules.symbol,
        side=ticket.side,
        quantity=quantity,
        price=price,
        amount=quantity * limit,
        limit_price=limit,
        type=_TYPES[ticket.time_in_force],
        fee=rules.fee,
    )
