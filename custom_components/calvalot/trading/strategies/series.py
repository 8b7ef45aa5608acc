"""The candles of one coin as a strategy sees them: its indicators, their warm-up, and what they were one candle before.

An indicator that feeds back (an EMA, an RSI) depends on where it was begun. So that a decision is the same whether candles come
one by one, in bulk or after a restart, indicators are begun anew at fixed times: time is cut into blocks of `block` candles,
counted from 1970, and what counts in a block was begun with the block before. Memory is bounded by the same.
"""

from collections.abc import Mapping

from ..market.candles import Candle, TimeFrame
from .indicators import Running
from .tree import Indicator


class _Begun:
    """The indicators as they were begun in one block."""

    def __init__(self, block: int, running: Mapping[str, Running]) -> None:
        self.block = block
        self.running = running
        self.count = 0

    def add(self, candle: Candle) -> None:
        self.count += 1
        for each in self.running.values():
            each.add(candle)


class Series:
    """Closed candles of one coin, in order; `warm_up` of them without a gap are needed before anything is known."""

    def __init__(
        self,
        frame: TimeFrame,
        block: int,
        warm_up: int,
        indicators: Mapping[str, Indicator],
        values: Mapping[str, float],
    ) -> None:
        self._frame = frame
        self._block = block * frame.seconds
        self._warm_up = warm_up
        self._indicators = indicators
        self._values = values
        self._begun: list[_Begun] = []
        # Candles that what counts was computed of, at most those that are needed; and whether they are enough.
        self.count = 0
        self.is_warm = False
        self.candle: Candle | None = None
        self.before: Candle | None = None

    def add(self, candle: Candle) -> None:
        """Take the next candle; after a gap everything begins anew."""
        if self.candle and candle.opened != self.candle.opened + self._frame.seconds:
            self._begun.clear()
            self.candle = None
        self.before, self.candle = self.candle, candle
        block = candle.opened // self._block
        if self._begun and self._begun[0].block < block - 1:
            del self._begun[0]
        if not self._begun or self._begun[-1].block < block:
            running = {name: Running(each, self._values, self._frame) for name, each in self._indicators.items()}
            self._begun.append(_Begun(block, running))
        for each in self._begun:
            each.add(candle)
        self.count = min(self._begun[0].count, self._warm_up)
        self.is_warm = self.count >= self._warm_up

    def figure(self, field: str, back: int) -> float | None:
        """A figure of the candle, or of the one before."""
        candle = self.before if back else self.candle
        return None if candle is None else float(getattr(candle, field))

    def line(self, indicator: str, line: str, back: int) -> float | None:
        """A line of an indicator now, or one candle before."""
        return self._begun[0].running[indicator].value(line, back)
