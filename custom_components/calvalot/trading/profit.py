"""What a profit is made of, and how much of it is today's; in EUR."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext

from .decimals import EXACT, ZERO
from .ledger.ledger import Ledger
from .portfolio import Portfolio, Valuation

CENT = Decimal("0.01")
TODAY = "today"
# A value this far from midnight is not taken for the one at midnight.
NEAR_MIDNIGHT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profit:
    """A profit and its parts: realised + unrealised + currency_effect + corrections = total, to the last digit.

    `fees` is a part of realised and unrealised, and negative. `currency_effect` is what the quote that was paid in is worth
    now, less what was paid for it.
    """

    total: Decimal
    realised: Decimal
    unrealised: Decimal
    currency_effect: Decimal
    corrections: Decimal
    fees: Decimal

    @property
    def in_cents(self) -> Profit:
        """The same in whole cents; those that rounding leaves over go to the parts that lost most (largest remainder)."""
        total = _cents(self.total)
        exact = (self.realised, self.unrealised, self.currency_effect, self.corrections)
        parts = [_cents(part, ROUND_FLOOR) for part in exact]
        lost = sorted(range(len(parts)), key=lambda each: EXACT.subtract(parts[each], exact[each]))
        for each in lost[: int((total - sum(parts, ZERO)) / CENT)]:
            parts[each] += CENT
        realised, unrealised, currency_effect, corrections = parts
        return Profit(
            total=total,
            realised=realised,
            unrealised=unrealised,
            currency_effect=currency_effect,
            corrections=corrections,
            fees=_cents(self.fees),
        )


def _cents(amount: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    return amount.quantize(CENT, rounding, EXACT) + 0  # never -0.00


def profit(
    portfolio: Portfolio, valuation: Valuation, rate: Decimal, net_deposits: Decimal, corrections: Decimal
) -> Profit:
    """Take a profit apart; `corrections` is the sum (EUR) by which the net deposits were corrected."""
    with localcontext(EXACT):
        cost = sum((position.cost for position in portfolio.positions.values()), ZERO)
        return Profit(
            total=valuation.total * rate - net_deposits,
            realised=portfolio.realised * rate,
            unrealised=(valuation.positions - cost) * rate,
            currency_effect=portfolio.paid_in * rate - (net_deposits - corrections),
            corrections=-corrections,
            fees=-portfolio.fees * rate,
        )


def midnight_utc(now: datetime) -> datetime:
    """The beginning of the day in UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


class Today:
    """Profit since midnight; `midnight` is the beginning of the owner's day at a time."""

    def __init__(self, ledger: Ledger, midnight: Callable[[datetime], datetime]) -> None:
        self._ledger = ledger
        self._midnight = midnight
        # Of the book that began then: time and profit.
        self._last: tuple[datetime, datetime, Decimal] | None = None

    async def profit(self, so_far: Profit, now: datetime, started: datetime) -> Decimal | None:
        """Profit of the day, without corrections; None where the profit at midnight is not known."""
        begin = self._midnight(now)
        earned = so_far.total - so_far.corrections
        before, self._last = self._last, (started, now, earned)
        if started >= begin:
            return earned
        day, _, base = (await self._ledger.ask(self._ledger.fact, TODAY) or "").partition(" ")
        if day == begin.isoformat():
            return earned - Decimal(base)
        seen = [(abs(each[1] - begin), each[2]) for each in (before, self._last) if each and each[0] == started]
        far, at_midnight = min(seen)
        if far > NEAR_MIDNIGHT:
            return None
        await self._ledger.ask(self._ledger.remember, TODAY, f"{begin.isoformat()} {at_midnight:f}")
        return earned - at_midnight
