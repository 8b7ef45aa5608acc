"""What a candle is, and how longer ones are made from shorter ones."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby


class TimeFrame(StrEnum):
    """How long a candle lasts."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M10 = "10m"
    M15 = "15m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    D1 = "1d"

    @property
    def seconds(self) -> int:
        """Length in seconds."""
        return _SECONDS[self]

    def basis(self, offered: Collection[TimeFrame]) -> TimeFrame:
        """The longest time frame that is offered and that this one can be made from; itself where it is offered."""
        return max((each for each in offered if not self.seconds % each.seconds), key=lambda each: each.seconds)


_UNITS = {"m": 60, "h": 3600, "d": 86400}
_SECONDS = {frame: int(frame.value[:-1]) * _UNITS[frame.value[-1]] for frame in TimeFrame}


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices (quote per base) and volume (base) of one interval that began at `opened` (Unix seconds).

    A measurement in floats: none of its figures becomes the price of an order.
    """

    opened: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def merged(candles: Iterable[Candle], basis: TimeFrame, frame: TimeFrame) -> tuple[Candle, ...]:
    """Candles of a longer time frame, from those of its basis in order; where one of these is missing there is none."""
    size = frame.seconds // basis.seconds
    groups = ([*group] for _, group in groupby(candles, lambda candle: candle.opened // frame.seconds))
    return tuple(
        Candle(
            opened=group[0].opened,
            open=group[0].open,
            high=max(candle.high for candle in group),
            low=min(candle.low for candle in group),
            close=group[-1].close,
            volume=sum(candle.volume for candle in group),
        )
        for group in groups
        if len(group) == size
    )
