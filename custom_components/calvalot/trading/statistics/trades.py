"""What the trades of a book came to, fill by fill: each sale against average cost, holding times first in first out."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, localcontext

from ..decimals import EXACT, ONE, ZERO
from ..exchanges.base import Side
from ..ledger.records import BookedFill, CashFlow
from ..portfolio import Portfolio
from ..replay import in_order, replayed
from .gains import Gains
from .returns import Holding

SECONDS_A_DAY = 86_400


@dataclass(slots=True)
class Lot:
    """Coins that came on one day (UTC), at their mean time."""

    quantity: Decimal
    time: datetime


@dataclass(slots=True)
class Traded:
    """Sums over all fills of a book so far, in quote; `by_day` is what was held after the last trade of a day, without deposits.

    A sale's result is what it brought less what was sold at average cost, fees included. `held` sums amount × days of what was sold.
    """

    portfolio: Portfolio = field(default_factory=Portfolio)
    last_fill: int = 0
    last_flow: int = 0
    won: int = 0
    lost: int = 0
    gains: Decimal = ZERO
    losses: Decimal = ZERO
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    held: Decimal = ZERO
    by_day: dict[date, Holding] = field(default_factory=dict[date, Holding])
    lots: dict[str, deque[Lot]] = field(default_factory=dict[str, deque[Lot]])
    gains_by_year: Gains = field(default_factory=Gains)

    @property
    def win_rate(self) -> Decimal | None:
        """Share of the sales that brought a gain, of those that brought a gain or a loss."""
        return Decimal(self.won) / (self.won + self.lost) if self.won + self.lost else None

    @property
    def profit_factor(self) -> Decimal | None:
        """Gains / losses of the sales; None without a loss."""
        return self.gains / self.losses if self.losses else None

    @property
    def holding_days(self) -> Decimal | None:
        """Mean time that what was sold was held, weighted by its amount."""
        return self.held / self.sold if self.sold else None

    def take(self, fills: Sequence[BookedFill], in_kind: Sequence[CashFlow], quote: str) -> None:
        """Go on with what was booked since the last time, both in the order of booking."""
        last = max((each.seq for each in fills), default=self.last_fill)
        # One that comes after a fill that is not among these waits for it.
        known = [flow for flow in in_kind if flow.seq > self.last_flow and (flow.after_fill or 0) <= last]
        with localcontext(EXACT):
            for step in in_order(fills, known):
                after = replayed(self.portfolio, step, quote)
                self.gains_by_year.take(step, after.realised - self.portfolio.realised, quote)
                if isinstance(step, CashFlow):
                    self.last_flow = step.seq
                    self._become(after, step.time, {step.coin or ""})
                else:
                    self._trade(step, after)

    # Inside

    def _trade(self, booked: BookedFill, after: Portfolio) -> None:
        fill = booked.fill
        self.last_fill = booked.seq
        if booked.side is Side.BUY:
            self.bought += fill.amount
        else:
            self.sold += fill.amount
            self.held += self._days_held(booked)
            result = after.realised - self.portfolio.realised
            self.won, self.lost = self.won + (result > 0), self.lost + (result < 0)
            self.gains, self.losses = self.gains + max(result, ZERO), self.losses + max(-result, ZERO)
        self._become(after, fill.time, {booked.coin, fill.fee_asset})

    def _become(self, after: Portfolio, time: datetime, coins: Iterable[str]) -> None:
        for coin in coins:
            change = after.quantity(coin) - self.portfolio.quantity(coin)
            if change > 0:
                _add(self.lots.setdefault(coin, deque()), Lot(change, time))
            elif change < 0:
                _drop(self.lots[coin], -change)
        self.portfolio = after
        coins_held = {coin: position.quantity for coin, position in after.positions.items()}
        self.by_day[time.date()] = Holding(cash=after.cash, coins=coins_held)

    def _days_held(self, booked: BookedFill) -> Decimal:
        """Amount × days of what a sale sold, the oldest first."""
        left, total = booked.fill.quantity, ZERO
        for lot in self.lots.get(booked.coin, ()):
            part = min(left, lot.quantity)
            total += part * Decimal((booked.fill.time - lot.time).total_seconds())
            left -= part
            if not left:
                break
        return total * booked.fill.price / SECONDS_A_DAY


def _add(lots: deque[Lot], lot: Lot) -> None:
    last = lots[-1] if lots else None
    if last is None or last.time.date() != lot.time.date():
        lots.append(lot)
        return
    last.quantity += lot.quantity
    last.time += (lot.time - last.time) * float(lot.quantity / last.quantity)


def _drop(lots: deque[Lot], quantity: Decimal) -> None:
    while quantity > 0:
        part = min(quantity, lots[0].quantity)
        lots[0].quantity -= part
        quantity -= part
        if not lots[0].quantity:
            lots.popleft()


def turnover(bought: Decimal, sold: Decimal, values: Sequence[Decimal]) -> Decimal | None:
    """The lesser of purchases and sales, by the mean value (SEC, Form N-1A, item 13); None where nothing was worth anything."""
    mean = sum(values, ZERO) / len(values) if values else ZERO
    return min(bought, sold) / mean if mean else None


def exposure(cash: Decimal, value: Decimal) -> Decimal | None:
    """Share of a value that is invested."""
    return ONE - cash / value if value else None
