"""The indicators by name: what they are given, when they count, and how talipp computes them in bounded memory.

Sources of the formulas: Wilder 1978 (RSI, ATR, ADX), Appel (MACD), Bollinger 2001, Lane (stochastic), Donchian, Lambert 1980 (CCI),
Williams 1973; as TA-Lib computes them. `volatility` is the standard deviation of the changes from close to close, for a year of 365 days.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
import math
from operator import attrgetter
from typing import Any, Protocol

from ..market.candles import Candle, TimeFrame
from .averages import ExponentialAverage, SimpleAverage
from .tree import Indicator, number_of

YEAR = 365 * 86400
LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number of an indicator may be, and what it is where nothing is said (None: it has to be said)."""

    minimum: float
    maximum: float
    default: float | None = None
    whole: bool = True


class _Engine(Protocol):
    """What is used of an indicator of talipp."""

    input_values: list[Any]
    output_values: list[Any]

    def add(self, value: Any) -> None: ...

    def purge_oldest(self, size: int) -> None: ...


type Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorKind:
    """One kind: its numbers, its lines by the names talipp gives them, and how many candles it needs.

    `lines` has the one that is meant without a name first, "" where each has to be named. `first` is the candle with which it has
    a value; before `settled` ones what lies before the first candle still weighs more than some thousandths.
    `of_candles`: it is computed of whole candles.
    """

    make: Callable[[Any, Numbers], Any]
    numbers: Mapping[str, Bounds]
    first: Callable[[Numbers], float]
    settled: Callable[[Numbers], float]
    lines: Mapping[str, str] = field(default_factory=dict[str, str])
    unnamed: str = ""
    of_candles: bool = False


def _length(minimum: int = 1, default: int | None = None) -> Bounds:
    return Bounds(minimum, LONGEST, default)


_ONE = {"length": _length()}
_TWO = {"length": _length(2, 14)}


def _just(numbers: Numbers) -> float:
    return numbers["length"]


def _more(numbers: Numbers) -> float:
    return numbers["length"] + 1


def _wilder(numbers: Numbers) -> float:
    return 8 * numbers["length"]


def _int(numbers: Numbers, name: str = "length") -> int:
    return round(numbers[name])


KINDS: Mapping[str, IndicatorKind] = {
    "sma": IndicatorKind(make=lambda _, n: SimpleAverage(_int(n)), numbers=_ONE, first=_just, settled=_just),
    "ema": IndicatorKind(
        make=lambda _, n: ExponentialAverage(_int(n)), numbers=_ONE, first=_just, settled=lambda n: 4 * n["length"]
    ),
    "wma": IndicatorKind(make=lambda lib, n: lib.WMA(_int(n)), numbers=_ONE, first=_just, settled=_just),
    "rsi": IndicatorKind(make=lambda lib, n: lib.RSI(_int(n)), numbers=_TWO, first=_more, settled=_wilder),
    "macd": IndicatorKind(
        make=lambda lib, n: lib.MACD(_int(n, "fast"), _int(n, "slow"), _int(n, "signal")),
        numbers={"fast": _length(2, 12), "slow": _length(2, 26), "signal": _length(2, 9)},
        first=lambda n: max(n["fast"], n["slow"]) + n["signal"] - 1,
        settled=lambda n: 4 * (max(n["fast"], n["slow"]) + n["signal"]),
        lines={"macd": "macd", "signal": "signal", "histogram": "histogram"},
        unnamed="macd",
    ),
    "bollinger": IndicatorKind(
        make=lambda lib, n: lib.BB(_int(n), n["deviations"]),
        numbers={"length": _length(2, 20), "deviations": Bounds(0.1, 10, 2, whole=False)},
        first=_just,
        settled=_just,
        lines={"lower": "lb", "middle": "cb", "upper": "ub"},
    ),
    "donchian": IndicatorKind(
        make=lambda lib, n: lib.DonchianChannels(_int(n)),
        numbers=_ONE,
        first=_just,
        settled=_just,
        lines={"lower": "lb", "middle": "cb", "upper": "ub"},
        of_candles=True,
    ),
    "atr": IndicatorKind(
        make=lambda lib, n: lib.ATR(_int(n)), numbers=_TWO, first=_just, settled=_wilder, of_candles=True
    ),
    "natr": IndicatorKind(
        make=lambda lib, n: lib.NATR(_int(n)), numbers=_TWO, first=_just, settled=_wilder, of_candles=True
    ),
    "adx": IndicatorKind(
        make=lambda lib, n: lib.ADX(_int(n), _int(n)),
        numbers=_TWO,
        first=lambda n: 2 * n["length"],
        settled=lambda n: 12 * n["length"],
        lines={"adx": "adx", "plus": "plus_di", "minus": "minus_di"},
        unnamed="adx",
        of_candles=True,
    ),
    "stochastic": IndicatorKind(
        make=lambda lib, n: lib.Stoch(_int(n), _int(n, "smooth")),
        numbers={"length": _length(2, 14), "smooth": _length(1, 3)},
        first=lambda n: n["length"] + n["smooth"] - 1,
        settled=lambda n: n["length"] + n["smooth"] - 1,
        lines={"k": "k", "d": "d"},
        unnamed="k",
        of_candles=True,
    ),
    "change": IndicatorKind(make=lambda lib, n: lib.ROC(_int(n)), numbers=_ONE, first=_more, settled=_more),
    "deviation": IndicatorKind(make=lambda lib, n: lib.StdDev(_int(n)), numbers=_TWO, first=_just, settled=_just),
    "volatility": IndicatorKind(make=lambda lib, n: lib.StdDev(_int(n)), numbers=_TWO, first=_more, settled=_more),
    "cci": IndicatorKind(
        make=lambda lib, n: lib.CCI(_int(n)), numbers=_TWO, first=_just, settled=_just, of_candles=True
    ),
    "williams": IndicatorKind(
        make=lambda lib, n: lib.Williams(_int(n)), numbers=_TWO, first=_just, settled=_just, of_candles=True
    ),
}


@cache
def library() -> Any:
    """The indicators of talipp; imported with the first strategy."""
    from talipp import indicators  # noqa: PLC0415

    return indicators


def numbers_of(indicator: Indicator, values: Mapping[str, float]) -> dict[str, float]:
    """What the numbers of an indicator are, with what its parameters are."""
    said = {name: number_of(amount, values) for name, amount in indicator.numbers.items()}
    defaults = {name: each.default for name, each in KINDS[indicator.kind].numbers.items() if each.default is not None}
    return {**defaults, **said}


def settled_after(indicator: Indicator, values: Mapping[str, float]) -> int:
    """Candles after which an indicator counts."""
    return round(KINDS[indicator.kind].settled(numbers_of(indicator, values))) + indicator.ago


class Running:
    """An indicator at work: given candle by candle, it knows its last values and forgets what it needs no more."""

    def __init__(self, indicator: Indicator, values: Mapping[str, float], frame: TimeFrame) -> None:
        numbers = numbers_of(indicator, values)
        kind = KINDS[indicator.kind]
        self._engine: _Engine = kind.make(library(), numbers)
        self._kind = kind
        self._figure: Callable[[Candle], Any] = (
            (lambda candle: candle) if kind.of_candles else attrgetter(indicator.of.value)
        )
        self._first = round(kind.first(numbers))
        # What is left after a purge: more than any of its parts was begun with, so that none begins anew.
        self._kept = 2 * (self._first + max(round(each) for each in numbers.values())) + 16
        # What turns the deviation of a candle's change into that of a year, in %; 0 for what is computed of figures as they are.
        self._factor = math.sqrt(YEAR / frame.seconds) * 100 if indicator.kind == "volatility" else 0.0
        self._close: float | None = None
        self._count = 0
        self._back = indicator.ago + 1
        self._values: deque[Any] = deque(maxlen=self._back + 1)

    def add(self, candle: Candle) -> None:
        """Take the next candle."""
        value: Any = self._figure(candle)
        self._count += 1
        if self._factor:
            value = candle.close / self._close - 1 if self._close else None
            self._close = candle.close
            if value is None:
                return
        try:
            self._engine.add(value)
        except ZeroDivisionError:
            # Prices that stand still have no CCI.
            self._values.append(None)
        else:
            self._values.append(self._engine.output_values[-1] if self._count >= self._first else None)
        if (surplus := len(self._engine.input_values) - self._kept) >= self._kept:
            self._engine.purge_oldest(surplus)

    def value(self, line: str, back: int = 0) -> float | None:
        """Its value now, or so many candles (at most 1) before; None where it has none."""
        index = len(self._values) - self._back - back
        if index < 0:
            return None
        value = self._values[index]
        if value is not None and self._kind.lines:
            value = getattr(value, self._kind.lines[line or self._kind.unnamed])
        if value is None:
            return None
        return float(value) * (self._factor or 1)
