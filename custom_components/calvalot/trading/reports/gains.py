"""Realised gains of each year, first in first out and at average cost, in quote; fees are part of them."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from ..decimals import EXACT, ZERO
from ..exchanges.base import Side
from ..ledger.records import BookedFill, CashFlow
from ..portfolio import CASH_DIGITS, COST_DIGITS, Portfolio
from ..replay import in_order, replayed


@dataclass(frozen=True, slots=True)
class Gain:
    """What a year brought: sales, and the gains on them by either method."""

    sold: Decimal = ZERO
    fifo: Decimal = ZERO
    average: Decimal = ZERO


@dataclass(slots=True)
class _Lot:
    quantity: Decimal
    cost: Decimal


class Fifo:
    """Lots of each coin, the oldest of which leave first; costs in quote, fees included."""

    def __init__(self) -> None:
        self.lots: dict[str, deque[_Lot]] = {}
        self.held: dict[str, Decimal] = {}

    @property
    def cost(self) -> Decimal:
        """What everything that is held cost."""
        return sum((lot.cost for lots in self.lots.values() for lot in lots), ZERO)

    def take(self, coin: str, quantity: Decimal) -> Decimal:
        """Take coins out; returns what they cost."""
        cost, lots = ZERO, self.lots.get(coin, deque())
        self.held[coin] = self.held.get(coin, ZERO) - quantity
        while quantity > 0:
            lot = lots[0]
            if lot.quantity <= quantity:
                cost, quantity = cost + lot.cost, quantity - lot.quantity
                lots.popleft()
            else:
                part = (lot.cost * quantity / lot.quantity).quantize(COST_DIGITS)
                lot.quantity, lot.cost = lot.quantity - quantity, lot.cost - part
                cost, quantity = cost + part, ZERO
        return cost

    def trade(self, booked: BookedFill, quote: str) -> Decimal:
        """Book a fill; returns the gain of a sale, 0 of a purchase."""
        fill, coin = booked.fill, booked.coin
        if booked.side is Side.BUY:
            if fill.fee_asset == coin:
                self.add(coin, fill.quantity - fill.fee, fill.amount)
            else:
                cost = self._fee(booked, quote)
                self.add(coin, fill.quantity, fill.amount + cost)
            return ZERO
        short = fill.quantity - self.held.get(coin, ZERO)
        if short > 0:  # it was lent for a fee, and is had back at this price
            self.add(coin, short, (short * fill.price).quantize(CASH_DIGITS))
        cost = self.take(coin, fill.quantity)
        return fill.amount - cost - self._fee(booked, quote)

    def add(self, coin: str, quantity: Decimal, cost: Decimal) -> None:
        """Put coins in that cost something."""
        self.lots.setdefault(coin, deque()).append(_Lot(quantity, cost))
        self.held[coin] = self.held.get(coin, ZERO) + quantity

    def _fee(self, booked: BookedFill, quote: str) -> Decimal:
        """What a fee cost that is not taken out of what was bought; what is not held of it was lent."""
        fill = booked.fill
        if fill.fee_asset == quote:
            return fill.fee
        own = min(fill.fee, self.held.get(fill.fee_asset, ZERO))
        return self.take(fill.fee_asset, own) + ((fill.fee - own) * booked.fee_price).quantize(CASH_DIGITS)


def gains(fills: Iterable[BookedFill], in_kind: Sequence[CashFlow], quote: str) -> tuple[dict[int, Gain], Fifo]:
    """Gains by year, oldest first, and what is still held.

    Coins that came in kind count as bought for what they were worth, those that left as sold for that.
    """
    found: dict[int, Gain] = {}
    fifo, average = Fifo(), Portfolio()

    def add(year: int, sold: Decimal, gain: Decimal, realised: Decimal) -> None:
        of = found.get(year, Gain())
        found[year] = Gain(of.sold + sold, of.fifo + gain, of.average + realised)

    with localcontext(EXACT):
        for step in in_order(fills, in_kind):
            before, average = average, replayed(average, step, quote)
            realised = average.realised - before.realised
            if isinstance(step, CashFlow) and step.arrives:
                fifo.add(step.coin or "", step.quantity or ZERO, step.amount_quote)
                continue
            if isinstance(step, CashFlow):
                worth = -step.amount_quote
                add(step.time.year, worth, worth - fifo.take(step.coin or "", step.quantity or ZERO), realised)
                continue
            gain = fifo.trade(step, quote)
            if step.side is Side.SELL:
                add(step.fill.time.year, step.fill.amount, gain, realised)
    return found, fifo
