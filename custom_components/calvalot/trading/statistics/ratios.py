"""Risk from the closes of the days: measurements in floating point, none of which becomes an amount.

A day is any day of the calendar: coins are traded on all of them. Daily returns are those of two days in a row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import prod, sqrt
from statistics import fmean, stdev

from .marks import Mark

DAYS_A_YEAR = 365
WEEKS_A_YEAR = 52
# Under so many daily returns a ratio misleads.
ENOUGH = 30
DRAWDOWNS = 5
# Upper ends of the yearly volatility (%) of the classes 1 to 6 (CESR/10-673, box 1).
RISK_CLASSES = (0.5, 2.0, 5.0, 10.0, 15.0, 25.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """A fall from a peak: its days and depth (%); not recovered: None."""

    peak: date
    valley: date
    recovered: date | None
    depth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Ratios of daily returns by the year, without a risk-free rate; None where there are too few, or where it is a division by nothing."""

    days: int
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    best_day: tuple[date, float] | None
    worst_day: tuple[date, float] | None
    risk_class: int | None
    risk_volatility: float | None


def daily_returns(known: Sequence[Mark]) -> list[tuple[date, float]]:
    """Day and return (a fraction) of each day that follows one with a close."""
    return [
        (after.day, float(after.price / before.price) - 1)
        for before, after in pairwise(known)
        if before.price and (after.day - before.day).days == 1
    ]


def falls(known: Sequence[Mark]) -> list[Fall]:
    """Every fall from a peak of the unit price, the deepest first."""
    found: list[Fall] = []
    peak = valley = known[0]

    def close(recovered: date | None) -> None:
        if valley.price < peak.price:
            depth = float(1 - valley.price / peak.price) * 100
            found.append(Fall(peak=peak.day, valley=valley.day, recovered=recovered, depth=depth))

    for mark in known[1:]:
        if mark.price >= peak.price:
            close(mark.day)
            peak = valley = mark
        elif mark.price < valley.price:
            valley = mark
    close(None)
    return sorted(found, key=lambda fall: -fall.depth)


def months(known: Sequence[Mark]) -> dict[tuple[int, int], float]:
    """Return (%) of each month by year and month, from the last close before it; months without a close are left out."""
    found: dict[tuple[int, int], float] = {}
    base = last = known[0]
    for mark in known[1:]:
        if (mark.day.year, mark.day.month) != (last.day.year, last.day.month):
            base = last
        last = mark
        if base.price:
            found[mark.day.year, mark.day.month] = float(mark.price / base.price - 1) * 100
    return found


def years(by_month: dict[tuple[int, int], float]) -> dict[int, float]:
    """Return (%) of each year from those of its months."""
    return {
        year: (prod(1 + each / 100 for (of, _), each in by_month.items() if of == year) - 1) * 100
        for year in sorted({year for year, _ in by_month})
    }


def ratios(known: Sequence[Mark]) -> Ratios:
    """Ratios of everything there is."""
    dated = daily_returns(known)
    daily = [each for _, each in dated]
    enough = len(daily) >= ENOUGH
    weekly = _weekly(known) if enough else []
    spread = stdev(weekly) * sqrt(WEEKS_A_YEAR) * 100 if len(weekly) > 1 else None
    return Ratios(
        days=len(daily),
        volatility=volatility(daily) * 100 if enough else None,
        sharpe=sharpe(daily) if enough else None,
        sortino=sortino(daily) if enough else None,
        calmar=calmar(daily) if enough else None,
        best_day=max(dated, key=lambda each: each[1]) if enough else None,
        worst_day=min(dated, key=lambda each: each[1]) if enough else None,
        risk_class=None if spread is None else risk_class(spread),
        risk_volatility=spread,
    )


def volatility(daily: Sequence[float]) -> float:
    """σ of the daily returns × √365, a fraction."""
    return stdev(daily) * sqrt(DAYS_A_YEAR)


def sharpe(daily: Sequence[float]) -> float | None:
    """Mean / σ × √365 (Sharpe, "The Sharpe Ratio", 1994)."""
    spread = stdev(daily)
    return fmean(daily) / spread * sqrt(DAYS_A_YEAR) if spread else None


def sortino(daily: Sequence[float]) -> float | None:
    """Mean × 365 / (√mean(min(r, 0)²) × √365) (Sortino and Price, 1994)."""
    downside = sqrt(fmean(min(each, 0.0) ** 2 for each in daily))
    return fmean(daily) * sqrt(DAYS_A_YEAR) / downside if downside else None


def calmar(daily: Sequence[float]) -> float | None:
    """Return a year / deepest fall, both of the daily returns (Young, "Calmar Ratio", 1991)."""
    path = list(_compounded(daily))
    peak, deepest = 1.0, 0.0
    for value in path:
        peak = max(peak, value)
        deepest = max(deepest, 1 - value / peak)
    return (path[-1] ** (DAYS_A_YEAR / len(path)) - 1) / deepest if deepest else None


def risk_class(spread: float) -> int:
    """Class 1 to 7 of a yearly volatility in % (CESR/10-673)."""
    return 1 + sum(spread >= limit for limit in RISK_CLASSES)


def _compounded(daily: Iterable[float]) -> Iterable[float]:
    value = 1.0
    for each in daily:
        value *= 1 + each
        yield value


def _weekly(known: Sequence[Mark]) -> list[float]:
    """Returns from the last close of one calendar week to that of the next."""
    last = {mark.day.isocalendar()[:2]: mark for mark in known}
    ends = list(last.values())
    return [
        float(after.price / before.price) - 1
        for before, after in pairwise(ends)
        if before.price and (after.day - before.day).days <= 13
    ]
