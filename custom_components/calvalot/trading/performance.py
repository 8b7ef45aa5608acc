"""Time-weighted return, drawdown, tracking distance: pure arithmetic, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from .decimals import EXACT, HUNDRED, ONE, ZERO


@dataclass(frozen=True, slots=True)
class Units:
    """Unit accounting of one book: units outstanding and the last known unit price (EUR).

    A flow mints or redeems units at the current unit price, so that the unit price is the time-weighted return index
    (GIPS 2020, 2.A.20-22; the method of fund units).
    """

    outstanding: Decimal = ZERO
    price: Decimal = ONE

    def valued(self, value: Decimal) -> Units:
        """The same units at a new value (EUR); without units the index stands still."""
        return Units(self.outstanding, value / self.outstanding) if self.outstanding else self

    def with_flow(self, value_before: Decimal, amount: Decimal) -> Units:
        """Mint (positive) or redeem units for an amount in EUR, at the price just before it."""
        before = self.valued(value_before)
        if value_before + amount <= 0:
            return Units(ZERO, before.price)
        if not before.price:  # a book that fell to nothing starts a new index
            return Units(value_before + amount, ONE)
        return Units(before.outstanding + amount / before.price, before.price)

    @property
    def time_weighted_return(self) -> Decimal:
        """Return of the index since its start, in %."""
        return (self.price - ONE) * HUNDRED


@dataclass(frozen=True, slots=True)
class Drawdown:
    """Running peak of the unit price and the deepest fall from a peak, in %."""

    peak: Decimal = ONE
    deepest: Decimal = ZERO

    def seen(self, price: Decimal) -> Drawdown:
        """Take one more unit price into account."""
        peak = max(self.peak, price)
        return Drawdown(peak, max(self.deepest, fall(peak, price)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """One day's last figures of a book: value in EUR and quote, net deposits in EUR, the units, the drawdown.

    One that is `filled` was computed afterwards, from the exchange's daily candles: the portfolio did not run.
    """

    day: date
    value: Decimal
    value_quote: Decimal
    net_deposits: Decimal
    units: Units
    drawdown: Drawdown
    filled: bool = False


def fall(peak: Decimal, price: Decimal) -> Decimal:
    """Fall from a peak, in %; 0 above it."""
    return max(ZERO, (peak - price) / peak * HUNDRED) if peak else ZERO


def tracking_distance(own: Mapping[str, Decimal], leader: Mapping[str, Decimal]) -> Decimal:
    """Distance of two allocations in %: ½ Σ |own − leader|, cash (what the coins leave over) included."""
    with localcontext(EXACT):
        coins = {*own, *leader}
        distance = sum((abs(own.get(coin, ZERO) - leader.get(coin, ZERO)) for coin in coins), ZERO)
        cash = sum(leader.values(), ZERO) - sum(own.values(), ZERO)
        return (distance + abs(cash)) / 2 * HUNDRED


def period_return(closes: Iterable[Close], start: date, price: Decimal) -> Decimal | None:
    """Return in % since the last close before or on a day; None where there is none."""
    base: Close | None = None
    for close in closes:  # oldest first
        if close.day > start:
            break
        base = close
    return (price / base.units.price - ONE) * HUNDRED if base and base.units.price else None
