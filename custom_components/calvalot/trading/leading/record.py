"""What following a leader's publications would have come to, at the prices that they name, before costs: pure.

Whoever holds the chain can reckon it again, and compare the prices with public ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext

from ..decimals import EXACT, ONE, ZERO
from .publication import Publication


@dataclass(frozen=True, slots=True)
class Point:
    """The index (1 at the first publication) at the time of one."""

    time: datetime
    index: Decimal


@dataclass(slots=True)
class Record:
    """The index of a chain, link by link; `gaps` counts links at which a price was missing, over which it stands still."""

    points: list[Point] = field(default_factory=list[Point])
    gaps: int = 0

    @property
    def growth(self) -> Decimal | None:
        """Return since the first publication, as a fraction; None before the second."""
        return self.points[-1].index - ONE if len(self.points) > 1 else None


def record(links: Iterable[Publication]) -> Record:
    """Reckon the index of a chain: an allocation is taken up as it is published, and left alone until another one is."""
    found = Record()
    held: Mapping[str, Decimal] = {}
    before: Mapping[str, Decimal] = {}
    cash, signal_id = ONE, ""
    with localcontext(EXACT):
        for link in links:
            if (valued := _valued(held, before, link.prices)) is None:
                found.gaps += 1
            else:
                held = valued
            index = cash + sum(held.values(), ZERO)
            before = link.prices
            if link.signal_id != signal_id:
                held = {coin: share * index for coin, share in link.shares.items()}
                cash, signal_id = index - sum(held.values(), ZERO), link.signal_id
            found.points.append(Point(link.issued, index))
    return found


def _valued(
    held: Mapping[str, Decimal], before: Mapping[str, Decimal], now: Mapping[str, Decimal]
) -> dict[str, Decimal] | None:
    """What is held at other prices; None where one is missing."""
    if any(not before.get(coin) or not now.get(coin) for coin in held):
        return None
    return {coin: value * now[coin] / before[coin] for coin, value in held.items()}
