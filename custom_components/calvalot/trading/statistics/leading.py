"""How far a portfolio is from its source, and what the source's signals came to: as plain JSON."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

from ..decimals import HUNDRED
from ..ledger.ledger import Ledger
from ..ledger.records import Result
from ..responses import Json, iso, text
from .distance import Distance, Explained, Point, explained
from .distance_text import DAYS, DISTANCE, days_of, from_text
from .marks import PERIODS, SINCE_START, THIS_YEAR

DIGITS = 12
DAY = timedelta(days=1)
_TRADED = (Result.EXECUTED, Result.PARTIAL)
_UNDECIDED = (Result.OPEN, Result.WAITING, Result.BLENDED)


def distance_of(ledger: Ledger, today: date) -> Json | None:
    """The distance by period, in points of the return (%); None before the first valuation. Raises LedgerError."""
    known = ledger.fact(DISTANCE)
    if known is None:
        return None
    distance = from_text(known)
    days = days_of(ledger.facts_from(DAYS))
    bases = {name: base_on(days, today - timedelta(days=back)) for name, back in PERIODS.items()}
    begun = distance.since.date()
    whole = begun - DAY, Point()
    bases[THIS_YEAR] = whole if begun.year == today.year else base_on(days, date(today.year - 1, 12, 31))
    bases[SINCE_START] = whole
    end = Point(own=distance.own, record=distance.record, sums=distance.sums)
    return {
        "since": iso(distance.since),
        "as_of": iso(distance.at),
        "periods": {name: base and between(base[0] + DAY, base[1], end) for name, base in bases.items()},
        "confidence": _confidence(distance),
    }


def base_on(days: Mapping[date, Point], day: date) -> tuple[date, Point] | None:
    """The end of a day, or of the last one before it that is known; None where there is none, or none after it."""
    before = [each for each in days if each <= day]
    return (before[-1], days[before[-1]]) if before and before[-1] != max(days) else None


def between(first: date, start: Point, end: Point) -> Json:
    """What the distance of a range comes from, from its first day on."""
    found = explained(start, end)
    return {
        "since": first.isoformat(),
        "own": _points(found.own),
        "source": _points(found.record),
        "difference": _points(found.own - found.record),
        "parts": {part.value: _points(amount) for part, amount in found.parts.items()},
    }


def explained_in(ledger: Ledger, first: date, last: date) -> Explained | None:
    """The distance from one day to another, as far as it was measured; None where it was not. Raises LedgerError."""
    days = days_of(ledger.facts_from(DAYS))
    within = [day for day in days if first <= day <= last]
    if not within:
        return None
    before = [day for day in days if day < first]
    return explained(days[before[-1]] if before else Point(), days[within[-1]])


def signals_of(ledger: Ledger, now: datetime) -> Json:
    """How many signals there were, and how many of them could be executed. Raises LedgerError."""
    first, results = ledger.results()
    decided = sum(count for result, count in results.items() if result not in _UNDECIDED)
    traded = sum(results.get(result, 0) for result in _TRADED)
    days = Decimal((now - first).total_seconds()) / 86_400 if first else None
    total = sum(count for result, count in results.items() if result is not Result.BLENDED)
    return {
        "since": iso(first),
        "count": total,
        "a_day": None if not days or days < 1 else text(total / days, 2),
        "results": {result.value: count for result, count in results.items()},
        "executed": text(HUNDRED * traded / decided, 2) if decided else None,
    }


def _confidence(distance: Distance) -> list[Json]:
    """What came after signals of each fifth of confidence, in % of the source's record."""
    return [
        {
            "from": f"{fifth / 5}",
            "to": f"{(fifth + 1) / 5}",
            "signals": each.signals,
            "won": text(HUNDRED * each.won / Decimal(each.signals), 2),
            "mean": _points(each.total / each.signals),
        }
        for fifth, each in sorted(distance.outcomes.items())
    ]


def _points(fraction: Decimal) -> str | None:
    return text(fraction * HUNDRED, DIGITS)
