"""Indicators: as TA-Lib computes them, in bounded memory, and the same wherever they are purged."""

from collections.abc import Mapping, Sequence
import gc
import itertools
import math
import os
from random import Random
import tracemalloc

import pytest

from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.strategies.indicators import KINDS, Running, library, numbers_of, settled_after
from custom_components.calvalot.trading.strategies.tree import Field, Indicator, Number, Parameter
from tests.oracles import ask_oracles

from .random_strategies import random_candles

# Walks of 1,000 candles that are compared: all of them where somebody asks for them.
WALKS = int(os.environ.get("CALVALOT_WALKS", "3"))
CANDLES = 1000
HLC = ("high", "low", "close")
# How TA-Lib is asked: function, figures, settings by our numbers, and our lines in the order of its own.
type Asked = tuple[str, Sequence[str], Mapping[str, str], Sequence[str]]
LENGTH = {"timeperiod": "length"}
TALIB: Mapping[str, Sequence[Asked]] = {
    "sma": [("SMA", ["close"], LENGTH, [""])],
    "ema": [("EMA", ["close"], LENGTH, [""])],
    "wma": [("WMA", ["close"], LENGTH, [""])],
    "rsi": [("RSI", ["close"], LENGTH, [""])],
    "macd": [
        (
            "MACD",
            ["close"],
            {"fastperiod": "fast", "slowperiod": "slow", "signalperiod": "signal"},
            ["macd", "signal", "histogram"],
        )
    ],
    "bollinger": [
        (
            "BBANDS",
            ["close"],
            {**LENGTH, "nbdevup": "deviations", "nbdevdn": "deviations"},
            ["upper", "middle", "lower"],
        )
    ],
    "donchian": [("MAX", ["high"], LENGTH, ["upper"]), ("MIN", ["low"], LENGTH, ["lower"])],
    "atr": [("ATR", HLC, LENGTH, [""])],
    "natr": [("NATR", HLC, LENGTH, [""])],
    "adx": [
        ("ADX", HLC, LENGTH, ["adx"]),
        ("PLUS_DI", HLC, LENGTH, ["plus"]),
        ("MINUS_DI", HLC, LENGTH, ["minus"]),
    ],
    "stochastic": [("STOCHF", HLC, {"fastk_period": "length", "fastd_period": "smooth"}, ["k", "d"])],
    "change": [("ROC", ["close"], LENGTH, [""])],
    "deviation": [("STDDEV", ["close"], LENGTH, [""])],
    "volatility": [("STDDEV", ["change"], LENGTH, [""])],
    "cci": [("CCI", HLC, LENGTH, [""])],
    "williams": [("WILLR", HLC, LENGTH, [""])],
}


def indicator(kind: str, **numbers: float) -> Indicator:
    """An indicator with its numbers; a length of 14 where one has to be said."""
    needed = {name: 14.0 for name, bounds in KINDS[kind].numbers.items() if bounds.default is None}
    return Indicator(kind=kind, numbers={name: Number(each) for name, each in (needed | numbers).items()})


def values(
    of: Indicator, candles: Sequence[Candle], line: str = "", frame: TimeFrame = TimeFrame.D1
) -> list[float | None]:
    """What it is with each candle."""
    running, found = Running(of, {}, frame), []
    for candle in candles:
        running.add(candle)
        found.append(running.value(line))
    return found


def changes(candles: Sequence[Candle]) -> list[float]:
    """Changes from close to close as yearly percentages, which the deviation is taken of; the first is of no account."""
    closes = [each.close for each in candles]
    year = math.sqrt(365) * 100
    return [0.0, *((now / before - 1) * year for before, now in itertools.pairwise(closes))]


def test_agrees_with_talib() -> None:
    """After the warm-up within a thousandth of what it moves in, four times that later to the last digits."""
    assert TALIB.keys() == KINDS.keys()
    random = Random(18)
    cases, walks = [], []
    for walk in range(WALKS):
        candles = random_candles(random, TimeFrame.D1, CANDLES)
        lengths = {"length": 14 if walk == 0 else random.randint(3, 30)}
        ours = {
            kind: indicator(kind, **{name: each for name, each in lengths.items() if name in KINDS[kind].numbers})
            for kind in KINDS
        }
        asked = {
            f"{kind} {number}": (
                function,
                of,
                {theirs: _setting(theirs, numbers_of(ours[kind], {})[name]) for theirs, name in settings.items()},
            )
            for kind, ways in TALIB.items()
            for number, (function, of, settings, _) in enumerate(ways)
        }
        names = ("open", "high", "low", "close", "volume")
        figures: dict[str, list[float]] = {name: [getattr(each, name) for each in candles] for name in names}
        figures["change"] = changes(candles)
        cases.append({"candles": figures, "indicators": asked})
        walks.append((candles, ours))
    farthest: dict[str, float] = {}
    for (candles, ours), told in zip(walks, ask_oracles(cases), strict=True):
        for kind, ways in TALIB.items():
            settled = settled_after(ours[kind], {})
            for number, (*_, lines) in enumerate(ways):
                for line, theirs in zip(lines, told[f"{kind} {number}"], strict=True):
                    found = values(ours[kind], candles, line)
                    scale = max(abs(each) for each in theirs if each is not None)
                    for at in range(settled - 1, CANDLES):
                        mine, other = found[at], theirs[at]
                        assert mine is not None, (kind, line, at)
                        assert other is not None, (kind, line, at)
                        off = abs(mine - other) / scale
                        assert off < (1e-3 if at < 4 * settled else 1e-7), (kind, line, at, mine, other)
                        farthest[kind] = max(farthest.get(kind, 0), off)
    print({kind: f"{off:.1e}" for kind, off in farthest.items()})


def _setting(name: str, value: float) -> float:
    return float(value) if name.startswith("nbdev") else round(value)


@pytest.mark.parametrize("kind", KINDS)
def test_first_value(kind: str) -> None:
    """It has none before the candle that it says, and one from then on."""
    candles = random_candles(Random(1), TimeFrame.D1, 120)
    of = indicator(kind)
    first = round(KINDS[kind].first(numbers_of(of, {})))
    for line in [*KINDS[kind].lines] or [""]:
        found = values(of, candles, line)
        assert {each is None for each in found[: first - 1]} <= {True}
        assert None not in found[first - 1 :]


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"volatility"}))
def test_purging_changes_nothing(kind: str) -> None:
    """The values over 600 candles are those of talipp, of which nothing is ever purged."""
    candles = random_candles(Random(2), TimeFrame.D1, 600)
    of = indicator(kind, **{name: 5.0 for name in KINDS[kind].numbers if name == "length"})
    whole = KINDS[kind].make(library(), numbers_of(of, {}))
    for candle in candles:
        whole.add(candle if KINDS[kind].of_candles else candle.close)
    for line, theirs in KINDS[kind].lines.items() or [("", "")]:
        found = values(of, candles, line)
        last = [each if each is None or not theirs else getattr(each, theirs) for each in whole.output_values]
        assert found[100:] == last[100:]


def test_memory_is_flat() -> None:
    """Ten thousand candles more leave nothing behind."""
    running = [Running(indicator(kind), {}, TimeFrame.H1) for kind in KINDS]

    def feed(count: int) -> int:
        for candle in random_candles(Random(3), TimeFrame.H1, count):
            for each in running:
                each.add(candle)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = feed(1000)
        assert feed(3000) - first < 40_000
    finally:
        tracemalloc.stop()


def test_prices_that_stand_still() -> None:
    """There is no CCI of them, everything else has a value, and both go on when they move again."""
    still = [Candle(each * 86400, 5.0, 5.0, 5.0, 5.0, 0.0) for each in range(100)]
    moving = [
        Candle(each.opened + 100 * 86400, each.open, each.high, each.low, each.close, each.volume)
        for each in random_candles(Random(4), TimeFrame.D1, 300, 0)
    ]
    for kind in KINDS:
        found = values(indicator(kind), [*still, *moving], next(iter(KINDS[kind].lines), ""))
        assert all(each is None or math.isfinite(each) for each in found)
        assert found[-1] is not None
        if kind == "cci":
            assert found[99] is None
    cci = values(indicator("cci"), [*still, *moving])
    assert cci[-1] == values(indicator("cci"), moving)[-1]


def test_of_another_figure_and_some_candles_ago() -> None:
    """It is computed of what it says, and read as it was."""
    candles = random_candles(Random(5), TimeFrame.D1, 40)
    of = Indicator(kind="sma", numbers={"length": Parameter("size")}, of=Field.VOLUME, ago=3)
    running = Running(of, {"size": 5.0}, TimeFrame.D1)
    for candle in candles[:7]:
        running.add(candle)
    assert running.value("") is None
    for candle in candles[7:]:
        running.add(candle)
    volumes = [each.volume for each in candles]
    assert running.value("") == pytest.approx(sum(volumes[32:37]) / 5)
    assert running.value("", 1) == pytest.approx(sum(volumes[31:36]) / 5)
    assert settled_after(of, {"size": 5.0}) == 8


def test_volatility_is_that_of_a_year() -> None:
    """Of hours as of days."""
    candles = random_candles(Random(6), TimeFrame.H1, 40)
    daily = values(indicator("volatility"), candles)[-1]
    hourly = values(indicator("volatility"), candles, frame=TimeFrame.H1)[-1]
    assert daily is not None
    assert hourly == pytest.approx(daily * math.sqrt(24))
