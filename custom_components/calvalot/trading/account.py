"""What a portfolio may count on: its own book, and in live mode never more than is free on the account."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from .decimals import ONE, ZERO
from .exchanges.base import USUAL_FEE, Balance, Side
from .ledger.records import OrderRecord, OrderState
from .portfolio import Portfolio
from .sizing import MARKET_MARGIN, Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the other books of an account hold: by asset, quote included, and of that what their orders have locked.

    `paid_in` is what they were paid in quote, `lent` the fee coin that their fees took though they held none. `resting` are
    their orders that rest, `unclear` is whether any of this may be otherwise.
    """

    quantities: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    locked: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    paid_in: Decimal = ZERO
    lent: Decimal = ZERO
    resting: tuple[OrderRecord, ...] = ()
    unclear: bool = False

    def spoken_for(self, asset: str) -> Decimal:
        """What is theirs of that which the account calls free."""
        return max(self.quantities.get(asset, ZERO) - self.locked.get(asset, ZERO), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What the other books of an account may count on: quote held, and whether an order of theirs is unclear.

    `lent` is the fee coin that their fees took though they held none, `locked` the quote that their orders have locked: it is
    theirs, and not free anyhow. `selling` is quote that their orders may have brought in without their knowing it yet.
    """

    quote: Decimal = ZERO
    unclear: bool = False
    lent: Decimal = ZERO
    locked: Decimal = ZERO
    selling: Decimal = ZERO

    def at_most(self, other: Claimed) -> Claimed:
        """The worst of two moments: between them a purchase may have been booked that the balances do not show yet."""
        return Claimed(
            quote=max(self.quote, other.quote),
            unclear=self.unclear or other.unclear or self.quote != other.quote,
            lent=max(self.lent, other.lent),
            locked=min(self.locked, other.locked),
            selling=max(self.selling, other.selling),
        )

    def left_of(self, balance: Balance | None, locked: Decimal = ZERO) -> Decimal:
        """Quote that one book may count on: what is free and what its own orders have `locked`, less what is others'.

        What the account does not say is locked counts as freed: an order may have ended since it was looked at.
        """
        if balance is None:
            return -self.quote
        held = balance.free + min(balance.locked, locked + self.locked)
        return min(balance.free + locked, held - self.quote)


class Account:
    """What the follower may count on: its own book, and in live mode never more than is free on the account."""

    def __init__(
        self,
        portfolio: Portfolio,
        balances: Mapping[str, Balance] | None,
        quote: str,
        claimed: Claimed | None = None,
        locked: Mapping[str, Decimal] | None = None,
        others: Held | None = None,
    ) -> None:
        """`claimed` is what others' books may count on, `locked` what orders of this one had locked at the start, by asset.

        `others` is what those hold, for a book that may count on coins only as far as they are nobody else's.
        """
        self._quote = quote
        self._start = portfolio
        self._free: dict[str, Decimal] | None = None
        if balances is not None:
            locked = locked or {}
            self._free = {asset: balance.free + locked.get(asset, ZERO) for asset, balance in balances.items()}
            if others:
                self._free = {asset: free - others.spoken_for(asset) for asset, free in self._free.items()}
            self._free[quote] = (claimed or Claimed()).left_of(balances.get(quote), locked.get(quote, ZERO))

    def usable(self, portfolio: Portfolio, moving: Mapping[str, Decimal] | None = None) -> Portfolio:
        """A later state of the book, as far as the balances of the start and what was traded since cover it.

        `moving` is what unclear orders may have taken from the account, by asset: that is not missing.
        """
        if self._free is None:
            return portfolio
        free = dict(self._free)
        for asset, amount in (moving or {}).items():
            free[asset] = free.get(asset, ZERO) + amount
        free[self._quote] = free.get(self._quote, ZERO) + portfolio.cash - self._start.cash
        for coin in {*portfolio.positions, *self._start.positions}:
            moved = portfolio.quantity(coin) - self._start.quantity(coin)
            free[coin] = free.get(coin, ZERO) + moved
        return portfolio.limited(free, self._quote)


def sent_and_locking(
    in_flight: Iterable[OrderRecord], resting: Iterable[OrderRecord]
) -> tuple[list[OrderRecord], list[OrderRecord]]:
    """Orders that may have taken something from the account, and those that have locked it there, their end asked for or not."""
    orders = [*in_flight, *resting]
    return [order for order in orders if not order.state.rests], [order for order in orders if order.state.rests]


def committed(orders: Iterable[OrderRecord], market: Market) -> dict[str, Decimal]:
    """What orders may have taken from the account by now or may still take, at most; by asset.

    Of two orders of which one ends the other, one is done.
    """
    moving: dict[str, Decimal] = {}
    for order in {order.pair or number: order for number, order in enumerate(orders)}.values():
        amount = order.rest if order.side is Side.SELL else _highest_cost(order, market)
        moving[order.sold] = moving.get(order.sold, ZERO) + amount
    return moving


def _highest_cost(order: OrderRecord, market: Market) -> Decimal:
    """What a buy costs at most in the pair's quote asset, fee included."""
    if order.state is OrderState.EXECUTED:
        amount = order.executed_amount
    elif order.quote_amount is not None:
        amount = order.quote_amount
    elif order.limit_price is not None:
        amount = order.rest * order.limit_price
    else:
        amount = order.quantity * (order.price or market.prices.get(order.coin, ZERO)) * (ONE + MARKET_MARGIN)
    rules = market.rules.get(order.symbol)
    return amount * (ONE + (rules.fee if rules else USUAL_FEE))
