"""The curves of a book, day by day: its value and unit price, BTC and the record of the source beside it."""

from collections.abc import Mapping, Sequence
from datetime import date

from ..responses import Json, figure
from .distance import Point
from .marks import Mark
from .returns import BENCHMARK


def curves(known: Sequence[Mark], source: Mapping[date, Point]) -> list[Json]:
    """Value (EUR), unit price (EUR), BTC in EUR, record of the source (1 at its beginning) of each day; None: unknown."""
    return [
        {
            "day": mark.day.isoformat(),
            "value": figure(mark.value),
            "index": figure(mark.price),
            "btc": figure(mark.prices[BENCHMARK] * mark.rate) if BENCHMARK in mark.prices and mark.rate else None,
            "source": figure(source[mark.day].record) if mark.day in source else None,
            "filled": mark.filled,
        }
        for mark in known
    ]
