"""Where candles come from: the store, a file of comma-separated values, or a random walk; a few at a time."""

from collections.abc import Iterator
import csv
from datetime import UTC, datetime
import math
from pathlib import Path
from random import Random

from ..market.candles import Candle, TimeFrame, merged
from ..market.store import CandleStore, Series
from .errors import BacktestError

# Candles that are read from the store at once.
CHUNK = 2000
# Beyond this a time is one in milliseconds, and beyond that one in microseconds.
MILLI = 10**11
MICRO = 10**14
# Spread of the changes of a simulated price, of a year.
SIMULATED_VOLATILITY = 0.7
YEAR = 365 * 86_400


def from_store(store: CandleStore, series: Series, basis: TimeFrame, begin: int, end: int) -> Iterator[Candle]:
    """The candles of a series that opened from `begin` to before `end` (Unix seconds), made from those of its basis."""
    kept, span = Series(series.host, series.symbol, basis), CHUNK * series.frame.seconds
    for first in range(begin, end, span):
        found = store.read(kept, first, min(first + span, end))
        yield from merged((found[opened] for opened in sorted(found)), basis, series.frame)


def from_csv(path: Path, frame: TimeFrame, begin: int, end: int) -> Iterator[Candle]:
    """The candles of a file that opened in a span of time: time, open, high, low, close, volume; more columns are ignored.

    A time is ISO 8601 (in UTC where it says nothing else) or Unix time in seconds, milliseconds or microseconds; a first line of
    titles may be there. Raises BacktestError.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or (number == 1 and _is_title(row)):
                    continue
                candle = _candle(row, number, frame)
                if candle.opened >= end:
                    return
                if candle.opened >= begin:
                    yield candle
    except OSError as err:
        raise BacktestError("backtest_no_file", path=f"{path}", error=err.strerror or "") from err
    except UnicodeDecodeError as err:
        raise BacktestError("backtest_csv", line="1", reason="it is no text") from err


def simulated(seed: int, coin: str, frame: TimeFrame, begin: int, end: int) -> Iterator[Candle]:
    """A random walk, the same for the same seed, coin, time frame and beginning."""
    random = Random(f"{seed} {coin} {frame} {begin}")  # noqa: S311  # no secret
    spread = SIMULATED_VOLATILITY * math.sqrt(frame.seconds / YEAR)
    price = 100.0
    for opened in range(begin, end, frame.seconds):
        path = [price := price * math.exp(random.gauss(0, spread / 2)) for _ in range(4)]
        figures = [round(each, 6) for each in path]
        yield Candle(
            opened=opened,
            open=figures[0],
            high=max(figures),
            low=min(figures),
            close=figures[-1],
            volume=round(random.uniform(1, 100), 3),
        )


def is_sound(candle: Candle) -> bool:
    """Whether the figures of a candle can be those of one."""
    figures = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    if not all(map(math.isfinite, figures)) or candle.low <= 0 or candle.volume < 0:
        return False
    return candle.low <= min(candle.open, candle.close) and max(candle.open, candle.close) <= candle.high


def _is_title(row: list[str]) -> bool:
    return not any(character.isdigit() for character in row[0])


def _candle(row: list[str], number: int, frame: TimeFrame) -> Candle:
    try:
        opened = _time(row[0].strip())
        figures = [float(each) for each in row[1:6]]
        candle = Candle(opened, *figures)
    except (ValueError, TypeError, OverflowError) as err:
        raise BacktestError("backtest_csv", line=f"{number}", reason=f"{err}") from err
    if not is_sound(candle):
        raise BacktestError("backtest_csv", line=f"{number}", reason="the prices do not fit together")
    if opened % frame.seconds:
        raise BacktestError("backtest_csv", line=f"{number}", reason=f"a candle of {frame} does not open at that time")
    return candle


def _time(said: str) -> int:
    try:
        number = int(float(said))
    except ValueError:
        moment = datetime.fromisoformat(said)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if number >= MICRO:
        return number // 1_000_000
    return number // 1000 if number >= MILLI else number
