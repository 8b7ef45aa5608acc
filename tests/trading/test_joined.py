"""One series of closed candles: what can be seen of it, and what has to be fetched."""

from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.market.joined import Joined, JoinedCandles

M1 = TimeFrame.M1


def candle(minute: int, close: float = 1) -> Candle:
    """One of some minute, with three trades."""
    return Candle(minute * 60, 1, 2, 0.5, close, 3)


def test_trades_that_are_missing() -> None:
    """Where the next candle begins with another trade than the one after the last, the last one is fetched before it is seen."""
    series = JoinedCandles(M1, 0)
    assert series.take(candle(0, 7), 1, 3) == [Joined(candle(0, 7))]
    assert series.take(candle(1), 5, 7) == []
    assert series.wanted(0) == (0, 60)
    assert series.fetched([candle(0, 8)], (0, 60)) == ([Joined(candle(1))], [candle(0, 8)])
    assert [*series.recent] == [candle(0, 8), candle(1)]
    assert series.wanted(120) is None
    assert (series.corrected, series.mended) == (1, 0)


def test_after_a_gap_the_last_one_is_fetched_again() -> None:
    """Its trades cannot be held against those of the next one."""
    series = JoinedCandles(M1, 0)
    series.take(candle(0, 7), 1, 3)
    series.take(candle(2), 7, 9)
    assert series.wanted(0) == (0, 120)
    seen, corrected = series.fetched([candle(0, 8), candle(1)], (0, 120))
    assert (seen, corrected) == ([Joined(candle(1)), Joined(candle(2))], [candle(0, 8)])


def test_a_quiet_candle() -> None:
    """Without a trade it has no numbers, and those of the one before it go on to count."""
    series, quiet = JoinedCandles(M1, 0), Candle(60, 1, 1, 1, 1, 0)
    series.take(candle(0), 1, 3)
    series.take(quiet, -1, -1)
    series.begun(120, 4)
    series.begun(60, 9)
    assert series.wanted(120) is None
    series.begun(120, 5)
    assert series.wanted(120) == (60, 120)


def test_told_differently_later() -> None:
    """The exchange decides; the same again is nothing."""
    series = JoinedCandles(M1, 0)
    series.take(candle(0), 1, 3)
    assert series.take(candle(0), 1, 3) == []
    assert series.wanted(60) is None
    assert series.take(candle(0, 9), 1, 3) == []
    assert series.wanted(60) == (0, 60)
    assert series.fetched([candle(0)], (0, 60)) == ([], [])
    assert series.wanted(60) is None
