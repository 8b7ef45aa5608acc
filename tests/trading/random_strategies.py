"""Strategies at random, with every word that there is, and random candles for them."""

from collections.abc import Sequence
import math
from random import Random

from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.strategies.indicators import KINDS
from custom_components.calvalot.trading.strategies.tree import (
    Amount,
    Calculation,
    Compare,
    Comparison,
    Condition,
    Field,
    Group,
    How,
    Indicator,
    Junction,
    Line,
    Manner,
    Number,
    Parameter,
    Purchase,
    Purchases,
    Range,
    Rotation,
    Share,
    Strategy,
    Targets,
    Trades,
    Value,
)

BEGIN = 1_700_000_000 // 86400 * 86400


def random_candles(random: Random, frame: TimeFrame, count: int, begin: int = BEGIN) -> list[Candle]:
    """A random walk of candles without a gap."""
    price, candles = 100.0, []
    for number in range(count):
        opened = price
        price *= 1 + random.gauss(0, 0.02)
        candles.append(
            Candle(
                opened=begin + number * frame.seconds,
                open=opened,
                high=max(opened, price) * (1 + abs(random.gauss(0, 0.005))),
                low=min(opened, price) * (1 - abs(random.gauss(0, 0.005))),
                close=price,
                volume=random.uniform(1, 100),
            )
        )
    return candles


class RandomStrategy:
    """One strategy: its parameters and indicators first, then what is made of them."""

    def __init__(self, seed: int) -> None:
        self._random = random = Random(seed)
        self._parameters = {f"number_{each}": self._range() for each in range(random.randrange(3))}
        self._indicators: dict[str, Indicator] = {}
        for name in range(random.randrange(1, 6)):
            self._indicators[f"i{name}"] = self._indicator()

    def make(self) -> Strategy:
        """Put it together."""
        random = self._random
        return Strategy(
            name=random.choice(["Mine", "Été: 20 % | 1", "- x #1", "yes", "12"]),
            time_frame=random.choice([*TimeFrame]),
            parameters=self._parameters,
            indicators=self._indicators,
            manner=self._manner(),
            idea=random.choice(["", "Two\nlines: of it", "'quoted'"]),
            source=random.choice(["", "A book"]),
            weaknesses=random.choice(["", "*none"]),
        )

    def _range(self) -> Range:
        low = self._random.randrange(2, 5)
        return Range(minimum=low, maximum=low + 20, default=self._random.randrange(low, low + 20))

    def _number(self, low: float, high: float, *, whole: bool = False) -> float:
        if whole or self._random.random() < 0.5:
            return float(self._random.randint(math.ceil(low), math.floor(high)))
        return round(self._random.uniform(low, high), 6)

    def _amount(self, low: float, high: float, *, whole: bool = False) -> Amount:
        fitting = [name for name, each in self._parameters.items() if low <= each.minimum and each.maximum <= high]
        if fitting and self._random.random() < 0.3:
            return Parameter(self._random.choice(fitting))
        return Number(self._number(low, high, whole=whole))

    def _indicator(self) -> Indicator:
        name = self._random.choice([*KINDS])
        kind = KINDS[name]
        numbers = {
            number: self._amount(bounds.minimum, min(bounds.maximum, 60), whole=bounds.whole)
            for number, bounds in kind.numbers.items()
            if bounds.default is None or self._random.random() < 0.5
        }
        return Indicator(
            kind=name,
            numbers=numbers,
            of=Field.CLOSE if kind.of_candles else self._random.choice([*Field]),
            ago=self._random.choice([0, 0, 1, 3]),
        )

    def _value(self, depth: int = 0) -> Value:
        random = self._random
        match random.randrange(5 if depth < 2 else 4):
            case 0:
                return Number(self._number(-1000, 1000))
            case 1:
                return random.choice([*Field])
            case 4:
                how = random.choice([*How])
                count = 2 if how in {How.DIFFERENCE, How.RATIO} else random.randrange(2, 4)
                parts = [self._value(depth + 1) for _ in range(count)]
                if how is How.RATIO:
                    parts[1] = Number(self._number(1, 100))
                return Calculation(how, tuple(parts))
        if self._parameters and random.random() < 0.2:
            return Parameter(random.choice([*self._parameters]))
        name = random.choice([*self._indicators])
        kind = KINDS[self._indicators[name].kind]
        lines = [*kind.lines, *([""] if kind.unnamed or not kind.lines else [])]
        return Line(name, random.choice(lines))

    def _condition(self, depth: int = 0) -> Condition:
        random = self._random
        if depth < 3 and random.random() < 0.4:
            parts = tuple(self._condition(depth + 1) for _ in range(random.randrange(1, 4)))
            return Group(random.choice([*Junction]), parts, self._lasting())
        how = random.choice([*Comparison])
        return Compare(self._value(), how, self._value(), None if how.is_crossing else self._lasting())

    def _lasting(self) -> Amount | None:
        return self._amount(1, 30, whole=True) if self._random.random() < 0.2 else None

    def _perhaps(self) -> Condition | None:
        return self._condition() if self._random.random() < 0.6 else None

    def _manner(self) -> Manner:
        random = self._random
        match random.randrange(4):
            case 0:
                stops = ("stop_loss", "take_profit", "trailing_stop")
                chosen = {word: self._amount(0.5, 50) for word in stops if random.random() < 0.5}
                out = self._condition() if not chosen or random.random() < 0.7 else None
                return Trades(enter=self._condition(), exit=out, size=self._amount(1, 100), **chosen)
            case 1:
                shares = [Share(self._value(), self._condition()) for _ in range(random.randrange(3))]
                last = Share(self._value(), None if not shares else self._perhaps())
                return Targets(shares=(*shares, last), band=self._amount(0, 20))
            case 2:
                return Rotation(
                    by=self._value(),
                    hold=self._amount(1, 30, whole=True),
                    condition=self._perhaps(),
                    every=self._amount(1, 30, whole=True),
                    size=self._amount(1, 100),
                )
        purchases = [
            Purchase(self._amount(0.5, 30), self._amount(1, 30, whole=True), self._perhaps())
            for _ in range(random.randrange(1, 4))
        ]
        return Purchases(purchases=tuple(purchases), exit=self._perhaps())


def random_strategies(count: int, seed: int = 18) -> Sequence[Strategy]:
    """So many strategies, the same for the same seed."""
    return [RandomStrategy(seed * 1_000_000 + number).make() for number in range(count)]
