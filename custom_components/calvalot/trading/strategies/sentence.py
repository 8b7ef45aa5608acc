"""A strategy as sentences, in the language of who reads it."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from ..market.candles import TimeFrame
from .indicators import KINDS, numbers_of
from .tree import (
    Amount,
    Compare,
    Condition,
    Field,
    How,
    Junction,
    Line,
    Number,
    Parameter,
    Purchases,
    Rotation,
    Strategy,
    Targets,
    Trades,
    Value,
    number_of,
)

_SIGNS = {How.SUM: "+", How.DIFFERENCE: "−", How.PRODUCT: "×", How.RATIO: "÷"}


class Sentences:
    """Says strategies; `texts` are those of a language (`rule_…`), by key."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self._texts = texts
        french = language.partition("-")[0] == "fr"
        self.semicolon = "\u00a0; " if french else "; "
        self._marks = str.maketrans({",": "\u00a0", ".": ","}) if french else {}

    def say(
        self,
        strategy: Strategy,
        coins: Iterable[str] = (),
        frame: TimeFrame | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> str:
        """What a strategy does with some coins, with what was chosen for its parameters."""
        return _Saying(self, strategy, tuple(coins), frame or strategy.time_frame, chosen or {}).whole()

    def script(self, file: str, coins: Iterable[str], frame: TimeFrame) -> str:
        """What is to be said of a strategy in Python."""
        named = ", ".join(coins) or self.text("the_coin")
        return f"{self.text('python', file=file, coins=named)} {self.text('frame', frame=frame.value)}"

    def text(self, key: str, **facts: str) -> str:
        """One of the texts."""
        return self._texts[f"rule_{key}"].format_map(facts)

    def number(self, number: float) -> str:
        """A number as people write it."""
        text = f"{Decimal(repr(number)):,f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return text.translate(self._marks)

    def candles(self, count: float) -> str:
        """So many candles."""
        return self.text("candle" if count == 1 else "candles", count=self.number(count))


class _Saying:
    """One strategy that is said."""

    def __init__(
        self,
        words: Sentences,
        strategy: Strategy,
        coins: tuple[str, ...],
        frame: TimeFrame,
        chosen: Mapping[str, float],
    ) -> None:
        self._words = words
        self._strategy = strategy
        self._numbers = strategy.values(chosen)
        self._coins = ", ".join(coins) or words.text("the_coin")
        self._several = len(coins) > 1
        self._frame = frame

    def whole(self) -> str:
        match self._strategy.manner:
            case Trades() as trades:
                said = self._trades(trades)
            case Targets() as targets:
                said = self._targets(targets)
            case Rotation() as rotation:
                said = self._rotation(rotation)
            case purchases:
                said = self._purchases(purchases)
        return " ".join((*said, self._words.text("frame", frame=self._frame.value)))

    def _trades(self, trades: Trades) -> list[str]:
        stops = {word: getattr(trades, word) for word in ("stop_loss", "take_profit", "trailing_stop")}
        return [
            self._text("buys", size=self._percent(trades.size), condition=self._condition(trades.enter)),
            *self._exit(trades.exit),
            *(self._text(word, percent=self._percent(amount)) for word, amount in stops.items() if amount),
        ]

    def _targets(self, targets: Targets) -> list[str]:
        said = []
        for number, share in enumerate(targets.shares):
            size = self._words.text("percent", value=self._value(share.share))
            key = "else" if number else "holds"
            if share.condition is None:
                said.append(self._text(f"{key}_always", size=size))
            else:
                said.append(self._text(key, size=size, condition=self._condition(share.condition)))
        if targets.shares[-1].condition is not None:
            said.append(self._text("else_nothing"))
        return [*said, self._text("band", band=self._amount(targets.band))]

    def _rotation(self, rotation: Rotation) -> list[str]:
        hold = number_of(rotation.hold, self._numbers)
        facts = {"count": self._words.number(hold), "value": self._value(rotation.by)}
        facts |= {"size": self._percent(rotation.size), "every": self._every(rotation.every)}
        said = [self._text("rotates_one" if hold == 1 else "rotates", **facts)]
        if rotation.condition is not None:
            said.append(self._text("rotates_if", condition=self._condition(rotation.condition)))
        return said

    def _purchases(self, purchases: Purchases) -> list[str]:
        said = []
        for each in purchases.purchases:
            facts = {"size": self._percent(each.size), "every": self._every(each.every)}
            if each.condition is None:
                said.append(self._text("adds", **facts))
            else:
                said.append(self._text("adds_if", condition=self._condition(each.condition), **facts))
        return [*said, *self._exit(purchases.exit)]

    def _exit(self, condition: Condition | None) -> list[str]:
        return [] if condition is None else [self._text("sells", condition=self._condition(condition))]

    # Parts of a sentence

    def _text(self, key: str, **facts: str) -> str:
        return self._words.text(key, coins=self._coins, **facts)

    def _amount(self, amount: Amount) -> str:
        return self._words.number(number_of(amount, self._numbers))

    def _percent(self, amount: Amount) -> str:
        return self._words.text("percent", value=self._amount(amount))

    def _every(self, amount: Amount) -> str:
        count = number_of(amount, self._numbers)
        return self._words.text("every_one" if count == 1 else "every", count=self._words.number(count))

    def _condition(self, condition: Condition, *, inside: bool = False) -> str:
        match condition:
            case Compare():
                facts = {"value": self._value(condition.value), "other": self._value(condition.other)}
                said = self._words.text(condition.how.value, **facts)
            case group:
                how, parts = group.how, group.parts
                link = self._words.text("and" if how is Junction.AND else "or")
                said = f" {link} ".join(self._condition(part, inside=len(parts) > 1) for part in parts)
                if how is Junction.NOT:
                    said = self._words.text("not", condition=said)
                elif inside and len(parts) > 1 and not condition.candles:
                    said = f"({said})"
        if condition.candles is None:
            return said
        candles = self._words.candles(number_of(condition.candles, self._numbers))
        return self._words.text("for", condition=said, candles=candles)

    def _value(self, value: Value) -> str:
        match value:
            case Number() | Parameter():
                return self._amount(value)
            case Field():
                return self._words.text(f"field_{value.value}")
            case Line():
                return self._line(value)
            case calculation:
                said = [self._value(each) for each in calculation.values]
                if sign := _SIGNS.get(calculation.how):
                    return f"({f' {sign} '.join(said)})"
                return self._words.text(calculation.how.value, values=self._words.semicolon.join(said))

    def _line(self, line: Line) -> str:
        indicator = self._strategy.indicators[line.indicator]
        kind = KINDS[indicator.kind]
        numbers = numbers_of(indicator, self._numbers)
        facts = {name: self._words.number(number) for name, number in numbers.items()}
        facts |= {"candles": self._words.candles(numbers.get("length", 0))}
        name = line.line or kind.unnamed
        said = self._words.text(f"{indicator.kind}_{name}" if name else indicator.kind, **facts)
        if indicator.of is not Field.CLOSE:
            said = self._words.text("of", value=said, field=self._words.text(f"of_{indicator.of.value}"))
        if indicator.ago:
            said = self._words.text("ago", value=said, candles=self._words.candles(indicator.ago))
        return said
