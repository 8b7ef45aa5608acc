"""Realised gains of each year, first in first out and at average cost, in quote; fees are part of them. To be used with exact decimals."""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from ..decimals import ZERO
from ..exchanges.base import Side
from ..ledger.records import BookedFill, CashFlow
from ..portfolio import CASH_DIGITS, COST_DIGITS


@dataclass(frozen=True, slots=True)
class Gain:
    """What a year brought: sales, and the gains on them by either method."""

    sold: Decimal = ZERO
    fifo: Decimal = ZERO
    average: Decimal = ZERO


@dataclass(slots=True)
class BoughtLot:
    """Coins that were bought at once, and what they cost in quote."""

    quantity: Decimal
    cost: Decimal


@dataclass(slots=True)
class Fifo:
    """Lots of each coin, the oldest of which leave first; costs in quote, fees included."""

    lots: dict[str, deque[BoughtLot]] = field(default_factory=dict[str, deque[BoughtLot]])
    held: dict[str, Decimal] = field(default_factory=dict[str, Decimal])

    @property
    def cost(self) -> Decimal:
        """What everything that is held cost."""
        return sum((lot.cost for lots in self.lots.values() for lot in lots), ZERO)

    def take(self, coin: str, quantity: Decimal) -> Decimal:
        """Take coins out; returns what they cost."""
        if not quantity:
            return ZERO
        cost, lots = ZERO, self.lots[coin]
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
        self.lots.setdefault(coin, deque()).append(BoughtLot(quantity, cost))
        self.held[coin] = self.held.get(coin, ZERO) + quantity

    def _fee(self, booked: BookedFill, quote: str) -> Decimal:
        """What a fee cost that is not taken out of what was bought; what is not held of it was lent."""
        fill = booked.fill
        if fill.fee_asset == quote:
            return fill.fee
        own = min(fill.fee, self.held.get(fill.fee_asset, ZERO))
        return self.take(fill.fee_asset, own) + ((fill.fee - own) * booked.fee_price).quantize(CASH_DIGITS)


@dataclass(slots=True)
class Gains:
    """Gains by year so far, and what is still held.

    Coins that came in kind count as bought for what they were worth, those that left as sold for that.
    """

    years: dict[int, Gain] = field(default_factory=dict[int, Gain])
    fifo: Fifo = field(default_factory=Fifo)

    def take(self, step: BookedFill | CashFlow, realised: Decimal, quote: str) -> None:
        """Go on with a fill or a flow in kind; `realised` is what it brought at average cost."""
        if isinstance(step, BookedFill):
            gain = self.fifo.trade(step, quote)
            if step.side is Side.SELL:
                self._add(step.fill.time.year, step.fill.amount, gain, realised)
        elif step.arrives:
            self.fifo.add(step.coin or "", step.quantity or ZERO, step.amount_quote)
        else:
            worth = -step.amount_quote
            cost = self.fifo.take(step.coin or "", step.quantity or ZERO)
            self._add(step.time.year, worth, worth - cost, realised)

    def _add(self, year: int, sold: Decimal, gain: Decimal, realised: Decimal) -> None:
        of = self.years.get(year, Gain())
        self.years[year] = Gain(of.sold + sold, of.fifo + gain, of.average + realised)
