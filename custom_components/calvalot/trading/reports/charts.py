"""Curves as points of a picture; lengths in points, y from the top."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import ceil, floor, log10

type Points = Sequence[tuple[float, float]]

WIDTH = 500.0
HEIGHT = 150.0
# Of what is written beside and below a curve.
GUTTER = 58.0
FOOT = 14.0
LEVELS = 4
LABELS = 6
# More points than this are not to be told from each other.
MOST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve: its points, levels as (y, value), days as (x, day); `floor` is the y of its lowest level."""

    points: Points
    levels: Sequence[tuple[float, float]]
    days: Sequence[tuple[float, date]]
    floor: float
    height: float


def curve(days: Sequence[date], values: Sequence[Decimal], *, height: float = HEIGHT, from_zero: bool = False) -> Curve:
    """A curve of values over days; `from_zero` has it hang from 0 at the top."""
    figures = [float(value) for value in values]
    low, high = min(figures), max(figures)
    if from_zero:
        low, high = 0.0, max(high, 1.0)
    step = _step(max(high - low, abs(high) * 0.01, 0.01))
    low, high = floor(low / step) * step, ceil(high / step) * step
    high = high if high > low else low + step
    bottom, right = height - FOOT, WIDTH - GUTTER
    length = max((days[-1] - days[0]).days, 1)

    def x(day: date) -> float:
        return round((day - days[0]).days / length * right, 1)

    def y(value: float) -> float:
        share = (value - low) / (high - low)
        return round((share if from_zero else 1 - share) * (bottom - 4) + 4, 1)

    every = ceil(len(days) / MOST)
    drawn = sorted({*range(0, len(days), every), len(days) - 1})
    marked = sorted({round(each * (len(days) - 1) / (LABELS - 1)) for each in range(LABELS)})
    count = round((high - low) / step)
    return Curve(
        points=[(x(days[each]), y(figures[each])) for each in drawn],
        levels=[(y(low + each * step), low + each * step) for each in range(count + 1)],
        days=[(x(days[each]), days[each]) for each in marked],
        floor=y(0.0) if from_zero else bottom,
        height=height,
    )


def _step(span: float) -> float:
    """A step of 1, 2, 2.5 or 5 times a power of ten, of which some four cover the span."""
    power = 10.0 ** floor(log10(span / LEVELS))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power * LEVELS >= span)
