"""Conditions on the candles of one coin: true, false, or not known yet."""

from collections.abc import Callable, Iterable, Mapping
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

# Gives a value now (0), or one candle before (1).
type Reader = Callable[[int], float | None]


class Conditions:
    """The conditions of a strategy for one coin; those with `for` remember how long they have held."""

    def __init__(self, series: Series, values: Mapping[str, float], conditions: Iterable[Condition]) -> None:
        self._series = series
        self._values = values
        # The inner ones first: an outer one is made of them.
        inner_first = [part for condition in conditions for part in reversed([*parts_of(condition)])]
        self._lasting = [part for part in inner_first if part.candles]
        self._held: dict[int, int] = {}
        self._readers: dict[int, Reader] = {}

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

    def leaves(self, condition: Condition | None) -> bool:
        """Whether a condition holds, where there is one."""
        return condition is not None and self.holds(condition) is True

    def value(self, value: Value, back: int = 0) -> float | None:
        """A value now, or one candle before; None where it is not known, or no number."""
        return self._reader(value)(back) if self._series.is_warm else None

    # Inside

    def _reader(self, value: Value) -> Reader:
        """What reads a value, found out once: it is read with each candle."""
        reader = self._readers.get(id(value))
        if reader is None:
            reader = self._readers[id(value)] = self._made(value)
        return reader

    def _made(self, value: Value) -> Reader:
        series = self._series
        match value:
            case Number() | Parameter():
                number = number_of(value, self._values)
                return lambda _back: number
            case Field():
                return lambda back: series.figure(value.value, back)
            case Line(indicator=indicator, line=line):
                return lambda back: series.line(indicator, line, back)
            case calculation:
                readers = [self._reader(each) for each in calculation.values]

                def calculated(back: int) -> float | None:
                    found = [reader(back) for reader in readers]
                    numbers = [each for each in found if each is not None]
                    return _calculated(calculation.how, numbers) if len(numbers) == len(found) else None

                return calculated

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
        if not self._series.is_warm:
            return None
        one, other = self._reader(condition.value), self._reader(condition.other)
        now, than, how = one(0), other(0), condition.how
        if now is None or than is None:
            return None
        if how is Comparison.ABOVE:
            return now > than
        if how is Comparison.BELOW:
            return now < than
        before, than_before = one(1), other(1)
        if before is None or than_before is None:
            return None
        if how is Comparison.CROSSES_ABOVE:
            return before <= than_before and now > than
        return before >= than_before and now < than


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
