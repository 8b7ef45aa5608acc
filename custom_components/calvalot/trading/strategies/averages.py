"""The two averages that most strategies are made of, with the arithmetic of talipp to the last bit and a fraction of its time."""

from typing import Any


class SimpleAverage:
    """A simple moving average; its lists are those of an indicator of talipp."""

    def __init__(self, period: int) -> None:
        self._period = period
        self.input_values: list[Any] = []
        self.output_values: list[Any] = []

    def add(self, value: float) -> None:
        """Take the next value."""
        values, period = self.input_values, self._period
        values.append(value)
        if len(values) > period:
            self.output_values.append(self.output_values[-1] - (values[-period - 1] - value) / float(period))
        else:
            self.output_values.append(self._first() if len(values) == period else None)

    def purge_oldest(self, size: int) -> None:
        """Forget so many of the oldest values."""
        del self.input_values[:size]
        del self.output_values[:size]

    def _first(self) -> float:
        return float(sum(self.input_values)) / self._period


class ExponentialAverage(SimpleAverage):
    """An exponential one, begun with a simple one."""

    def add(self, value: float) -> None:
        """Take the next value."""
        values, period = self.input_values, self._period
        values.append(value)
        if len(values) > period:
            mult = 2.0 / (period + 1.0)
            self.output_values.append(float(mult * value + (1.0 - mult) * self.output_values[-1]))
        else:
            self.output_values.append(self._first() if len(values) == period else None)
