"""The candles of several coins as one walk through time: what opened together, oldest first, and never more of it in memory."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
import heapq
from itertools import groupby
from operator import itemgetter

from ..market.candles import Candle
from .errors import BacktestError


@dataclass(frozen=True, slots=True)
class Slot:
    """The candles that opened at a time (Unix seconds), by coin; a coin without one is missing."""

    opened: int
    candles: Mapping[str, Candle]


def walk(series: Mapping[str, Iterable[Candle]]) -> Iterator[Slot]:
    """The candles of each coin, put together; each coin's have to come in order of time. Raises BacktestError."""
    if len(series) == 1:
        ((coin, candles),) = series.items()
        for candle in _in_order(coin, candles):
            yield Slot(candle.opened, {coin: candle})
        return
    tagged = [_tagged(coin, candles) for coin, candles in series.items()]
    for opened, group in groupby(heapq.merge(*tagged), key=itemgetter(0)):
        yield Slot(opened, {coin: candle for _, coin, candle in group})


class Inside:
    """Candles of a shorter time frame (`seconds`), handed out span by span as the walk goes on."""

    def __init__(self, slots: Iterator[Slot], seconds: int) -> None:
        self.seconds = seconds
        self._slots = slots
        self._next = next(slots, None)

    def between(self, begin: int, end: int) -> Iterator[Slot]:
        """Those that opened from one time to before another; what was before is gone."""
        while self._next is not None and self._next.opened < end:
            slot, self._next = self._next, next(self._slots, None)
            if slot.opened >= begin:
                yield slot


def _in_order(coin: str, candles: Iterable[Candle]) -> Iterator[Candle]:
    last = None
    for candle in candles:
        if last is not None and candle.opened <= last:
            raise BacktestError("backtest_candles_disordered", coin=coin)
        last = candle.opened
        yield candle


def _tagged(coin: str, candles: Iterable[Candle]) -> Iterator[tuple[int, str, Candle]]:
    return ((candle.opened, coin, candle) for candle in _in_order(coin, candles))
