"""What a portfolio may count on: its own book, and in live mode never more than is free on the account."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from .decimals import ONE, ZERO
from .exchanges.base import Balance, Side
from .ledger.records import OrderRecord, OrderState
from .portfolio import Portfolio
from .sizing import FEE_MARGIN, MARKET_MARGIN, Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What the other books of an account may count on: quote held, and whether an order of theirs is unclear.

    `lent` is the fee coin that their fees took though they held none.
    """

    quote: Decimal = ZERO
    unclear: bool = False
    lent: Decimal = ZERO

    def at_most(self, other: Claimed) -> Claimed:
        """The worst of two moments: between them a purchase may have been booked that the balances do not show yet."""
        return Claimed(
            quote=max(self.quote, other.quote),
            unclear=self.unclear or other.unclear or self.quote != other.quote,
            lent=max(self.lent, other.lent),
        )


class Account:
    """What the follower may count on: its own book, and in live mode never more than is free on the account."""

    def __init__(
        self, portfolio: Portfolio, balances: Mapping[str, Balance] | None, quote: str, claimed: Decimal = ZERO
    ) -> None:
        """`claimed` is the quote that others' books may count on."""
        self._quote = quote
        self._start = portfolio
        self._free = None if balances is None else {asset: balance.free for asset, balance in balances.items()}
        if self._free is not None and claimed:
            self._free[quote] = self._free.get(quote, ZERO) - claimed

    def usable(self, portfolio: Portfolio, moving: Mapping[str, Decimal] | None = None) -> Portfolio:
        """A later state of the book, as far as the balances of the start and what was traded since cover it.

        `moving` is what orders in flight may have taken from the account, by asset: that is not missing.
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


def committed(orders: Iterable[OrderRecord], market: Market) -> dict[str, Decimal]:
    """What orders in flight may have taken from the account by now or may still take, at most; by asset."""
    moving: dict[str, Decimal] = {}
    for order in orders:
        asset, amount = order.coin, order.quantity
        if order.side is Side.BUY:
            asset, amount = market.quote, _highest_cost(order, market)
        moving[asset] = moving.get(asset, ZERO) + amount
    return moving


def _highest_cost(order: OrderRecord, market: Market) -> Decimal:
    """What a buy costs at most in quote, fee included."""
    if order.state is OrderState.EXECUTED:
        amount = order.executed_amount
    elif order.quote_amount is not None:
        amount = order.quote_amount
    elif order.limit_price is not None:
        amount = order.quantity * order.limit_price
    else:
        amount = order.quantity * (order.price or market.prices.get(order.coin, ZERO)) * (ONE + MARKET_MARGIN)
    return amount * (ONE + FEE_MARGIN)
