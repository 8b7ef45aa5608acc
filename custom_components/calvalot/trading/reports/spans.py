"""The span of days of a report: a month, a quarter or a year."""

from dataclasses import dataclass
from datetime import date, timedelta
import re

DAY = timedelta(days=1)
_NAMED = re.compile(r"(\d{4})(?:-(?:(\d{2})|Q([1-4])))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Days in UTC from the first to the last; `name` is 2026-10, 2026-Q4 or 2026."""

    name: str
    first: date
    last: date

    @property
    def months(self) -> int:
        """How many months it has: 1, 3 or 12."""
        return (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1


def span_of(name: str) -> Span | None:
    """The span with a name; None where that is none."""
    found = _NAMED.fullmatch(name)
    if found is None or not 2009 <= (year := int(found[1])) <= 9998:
        return None
    begin, months = 1, 12
    if found[2]:
        begin, months = int(found[2]), 1
    elif found[3]:
        begin, months = int(found[3]) * 3 - 2, 3
    if not 1 <= begin <= 12:
        return None
    first = date(year, begin, 1)
    after = date(year + (begin + months > 12), (begin + months - 1) % 12 + 1, 1)
    return Span(name=name, first=first, last=after - DAY)


def month_before(today: date) -> Span:
    """The month that is over."""
    last = today.replace(day=1) - DAY
    return Span(name=f"{last:%Y-%m}", first=last.replace(day=1), last=last)
