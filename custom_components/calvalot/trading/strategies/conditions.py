"""Conditions on the candles of one coin: true, false, or not known yet."""

from collections.abc import Iterable, Mapping
import math

from .series import Series
from .tree import (
    Compare,
    Comparison,
    Condition,
    Field,
    How,
    Junction,
    Line,
    Number,
    Parameter,
    Value,
    number_of,
    parts_of,
)


class Conditions:
    """The conditions of a strategy for one coin; those with `for` remember how long they have held."""

    def __init__(self, series: Series, values: Mapping[str, float], conditions: Iterable[Condition]) -> None:
        self._series = series
        self._values = values
        # The inner ones first: an outer one is made of them.
        inner_first = [part for condition in conditions for part in reversed([*parts_of(condition)])]
        self._lasting = [part for part in inner_first if part.candles]
        self._held: dict[int, int] = {}

    def advance(self) -> None:
        """Take note of which conditions hold with the candle that has just been added."""
        for condition in self._lasting:
            key = id(condition)
            self._held[key] = self._held.get(key, 0) + 1 if self._now(condition) else 0

    def holds(self, condition: Condition) -> bool | None:
        """Whether a condition holds, for as long as it has to; None where that cannot be known."""
        now = self._now(condition)
        if now and condition.candles:
            return self._held.get(id(condition), 0) >= number_of(condition.candles, self._values)
        return now

    def value(self, value: Value, back: int = 0) -> float | None:
        """A value now, or one candle before; None where it is not known, or no number."""
        if not self._series.is_warm:
            return None
        match value:
            case Number() | Parameter():
                return number_of(value, self._values)
            case Field():
                return self._series.figure(value.value, back)
            case Line(indicator=indicator, line=line):
                return self._series.line(indicator, line, back)
            case calculation:
                how = calculation.how
                found = [self.value(each, back) for each in calculation.values]
                numbers = [each for each in found if each is not None]
                return _calculated(how, numbers) if len(numbers) == len(found) else None

    def _now(self, condition: Condition) -> bool | None:
        if isinstance(condition, Compare):
            return self._compared(condition)
        found = [self.holds(part) for part in condition.parts]
        # `not` is that none holds.
        decisive = condition.how is not Junction.AND
        if decisive in found:
            return condition.how is Junction.OR
        return None if None in found else condition.how is not Junction.OR

    def _compared(self, condition: Compare) -> bool | None:
        now = self.value(condition.value), self.value(condition.other)
        if now[0] is None or now[1] is None:
            return None
        if not condition.how.is_crossing:
            return now[0] > now[1] if condition.how is Comparison.ABOVE else now[0] < now[1]
        before = self.value(condition.value, 1), self.value(condition.other, 1)
        if before[0] is None or before[1] is None:
            return None
        if condition.how is Comparison.CROSSES_ABOVE:
            return before[0] <= before[1] and now[0] > now[1]
        return before[0] >= before[1] and now[0] < now[1]


def _calculated(how: How, numbers: list[float]) -> float | None:
    match how:
        case How.SUM:
            result = sum(numbers)
        case How.DIFFERENCE:
            result = numbers[0] - numbers[1]
        case How.PRODUCT:
            result = math.prod(numbers)
        case How.RATIO:
            result = numbers[0] / numbers[1] if numbers[1] else math.inf
        case How.SMALLEST:
            result = min(numbers)
        case _:
            result = max(numbers)
    return result if math.isfinite(result) else None
