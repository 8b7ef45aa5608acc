"""The points that every figure over time is computed from: the start of a book and the close of each day."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, localcontext

from ..decimals import EXACT, HUNDRED, ONE, ZERO
from ..ledger.records import CashFlow, FlowKind
from ..performance import Close

# Days back that a period begins.
PERIODS = {"7d": 7, "14d": 14, "30d": 30, "60d": 60, "90d": 90, "180d": 180, "1y": 365, "2y": 730}
THIS_YEAR = "this_year"
SINCE_START = "since_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One day's end: unit price and value in EUR, value and prices by coin in quote, EUR for one of the quote asset.

    One that is `filled` was computed afterwards, from the exchange's daily candles.
    """

    day: date
    price: Decimal
    value: Decimal = ZERO
    rate: Decimal | None = None
    prices: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    filled: bool = False


def marks(
    closes: Sequence[Close], prices: Mapping[date, Mapping[str, Decimal]], flows: Sequence[CashFlow]
) -> tuple[Mark, ...]:
    """The start, where it is known, and each close, oldest first."""
    with localcontext(EXACT):
        began = [flow for flow in flows if flow.kind in {FlowKind.INITIAL, FlowKind.CARRIED}]
        # Of a wallet there are several, taken in at once: the largest tells the rate best.
        first = min(began, key=lambda flow: (flow.time, -flow.amount), default=None)
        start = (
            (
                Mark(
                    day=first.time.date(),
                    price=ONE,
                    rate=first.amount / first.amount_quote if first.amount_quote else None,
                ),
            )
            if first
            else ()
        )
        return start + tuple(
            Mark(
                day=close.day,
                price=close.units.price,
                value=close.value,
                rate=close.value / close.value_quote if close.value_quote else None,
                prices=prices.get(close.day, {}),
                filled=close.filled,
            )
            for close in closes
        )


def base_of(period: str, known: Sequence[Mark], today: date) -> Mark | None:
    """The mark that a period begins with; None where there is none, or none after it.

    A day without a close counts from the one before it; this year begins with the start where that was this year.
    """
    if not known:
        return None
    match period:
        case "since_start":
            base = known[0]
        case "this_year":
            before = bisect_right(known, date(today.year - 1, 12, 31), key=lambda mark: mark.day)
            base = known[before - 1] if before else known[0]
        case _:
            before = bisect_right(known, today - timedelta(days=PERIODS[period]), key=lambda mark: mark.day)
            if not before:
                return None
            base = known[before - 1]
    return base if base is not known[-1] else None


def growth(before: Decimal | None, after: Decimal | None) -> Decimal | None:
    """Change from one value to another, in %; None where one is unknown or the first is nothing."""
    if not before or after is None:
        return None
    with localcontext(EXACT):
        return (after / before - ONE) * HUNDRED


def moved(flow: CashFlow) -> bool:
    """Whether a flow moved money, which a correction does not."""
    return flow.value_before is not None
