"""A strategy read from YAML, strictly: a word that is not known here is refused with its place, and nothing is guessed."""

from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from enum import StrEnum
import re

from ..market.candles import TimeFrame
from .document import InvalidStrategy, Node, read_document
from .indicators import KINDS, LONGEST, Bounds
from .tree import (
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

# The longest name, and the longest text for its reader.
NAME = 80
TEXT = 2000
MOST_NAMED = 40
LARGEST_NUMBER = 1e12
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Another word for the close.
PRICE = "price"
_STOPS = ("stop_loss", "take_profit", "trailing_stop")
_MANNERS = ("enter", "target", "rotate", "buy")
_WORDS = ("name", "time_frame", "idea", "source", "weaknesses", "parameters", "indicators")
_OWN: dict[str, tuple[str, ...]] = {"enter": ("exit", "size", *_STOPS), "target": (), "rotate": (), "buy": ("exit",)}
PERCENT = Bounds(0.01, 100, whole=False)
CANDLES = Bounds(1, LONGEST)
TAKEN = frozenset({PRICE, *Field})


def read_strategy(text: str) -> Strategy:
    """The strategy that a text says. Raises InvalidStrategy."""
    return _Reader().strategy(read_document(text))


def _said(word: str) -> str:
    """A word as an error shows it."""
    return word if len(word) <= 40 else f"{word[:40]}…"


def _unknown(node: Node, word: str, known: Iterable[str], key: str = "unknown_word") -> InvalidStrategy:
    """That a word is not known, with the one that is probably meant."""
    names = sorted(known)
    close = get_close_matches(word, names, 1, 0.6)
    if close:
        return node.refused(f"{key}_meant", word=_said(word), meant=close[0])
    return node.refused(key, word=_said(word), known=", ".join(names))


def _members(node: Node, where: str, known: Collection[str]) -> dict[str, Node]:
    """Values by their keys, all of which have to be known; one that is empty is as if it were not there."""
    if not isinstance(node.value, dict):
        raise node.refused("no_mapping", word=where)
    for word, (key, _) in node.value.items():
        if word not in known:
            raise _unknown(key, word, known)
    return {word: value for word, (_, value) in node.value.items() if value.value is not None}


def _needed(node: Node, members: dict[str, Node], word: str, where: str) -> Node:
    if word not in members:
        raise node.refused("missing", word=word, where=where)
    return members[word]


def _text(node: Node, where: str, longest: int) -> str:
    if not isinstance(node.value, str):
        raise node.refused("no_text", word=where)
    text = node.value.strip()
    if not text or len(text) > longest or not text.replace("\n", " ").isprintable():
        raise node.refused("text_invalid", word=where, limit=f"{longest}")
    return text


def _choice[T: StrEnum](node: Node, kinds: type[T]) -> T:
    if node.value not in {*kinds}:
        raise _unknown(node, f"{node.value}", [each.value for each in kinds], "unknown_choice")
    return kinds(str(node.value))


def _items(node: Node) -> list[Node]:
    """A list, or the only item of one."""
    return node.value if isinstance(node.value, list) else [node]


def _number(node: Node, where: str, bounds: Bounds) -> float:
    if not isinstance(node.value, float):
        raise node.refused("no_number", word=where)
    if not bounds.minimum <= node.value <= bounds.maximum or (bounds.whole and node.value % 1):
        key = "whole_range" if bounds.whole else "range"
        raise node.refused(key, word=where, minimum=f"{bounds.minimum:g}", maximum=f"{bounds.maximum:g}")
    return node.value


class _Reader:
    """Reads the parts of one strategy; the names of its parameters and indicators are known once those are read."""

    def __init__(self) -> None:
        self._parameters: dict[str, Range] = {}
        self._indicators: dict[str, Indicator] = {}

    def strategy(self, node: Node) -> Strategy:
        all_words = {*_WORDS, *_MANNERS, *(word for words in _OWN.values() for word in words)}
        members = _members(node, "strategy", all_words)
        chosen = [word for word in _MANNERS if word in members]
        if len(chosen) != 1:
            raise node.refused("one_manner", known=", ".join(_MANNERS))
        manner = chosen[0]
        for word in members.keys() - {*_WORDS, manner, *_OWN[manner]}:
            raise members[word].refused("not_with", word=word, other=manner)
        if given := members.get("parameters"):
            self._parameters = self._named(given, "parameters", self._range)
        if given := members.get("indicators"):
            self._indicators = self._named(given, "indicators", self._indicator)
        texts = {word: _text(members[word], word, TEXT) for word in _WORDS[2:5] if word in members}
        frame = members.get("time_frame")
        return Strategy(
            name=_text(_needed(node, members, "name", "strategy"), "name", NAME),
            time_frame=_choice(frame, TimeFrame) if frame else TimeFrame.H1,
            parameters=self._parameters,
            indicators=self._indicators,
            manner=self._manner(manner, node, members),
            **texts,
        )

    def _named[T](self, node: Node, where: str, read: Callable[[Node, str], T]) -> dict[str, T]:
        if not isinstance(node.value, dict):
            raise node.refused("no_mapping", word=where)
        if len(node.value) > MOST_NAMED:
            raise node.refused("too_many", limit=f"{MOST_NAMED}")
        found: dict[str, T] = {}
        for name, (key, value) in node.value.items():
            if not _NAME.fullmatch(name) or name in TAKEN:
                raise key.refused("name_invalid", word=_said(name))
            if name in self._parameters:
                raise key.refused("twice", word=name)
            found[name] = read(value, name)
        return found

    def _range(self, node: Node, name: str) -> Range:
        members = _members(node, name, ("default", "minimum", "maximum"))
        any_number = Bounds(-LARGEST_NUMBER, LARGEST_NUMBER, whole=False)
        low, high, default = (
            _number(_needed(node, members, word, name), word, any_number) for word in ("minimum", "maximum", "default")
        )
        if not low <= default <= high:
            raise node.refused("range", word=name, minimum=f"{low:g}", maximum=f"{high:g}")
        return Range(default=default, minimum=low, maximum=high)

    def _indicator(self, node: Node, name: str) -> Indicator:
        kinds = {"type": node} | (
            {} if not isinstance(node.value, dict) else {w: v for w, (_, v) in node.value.items()}
        )
        if kinds["type"] is node:
            raise node.refused("missing", word="type", where=name)
        if (word := f"{kinds['type'].value}") not in KINDS:
            raise _unknown(kinds["type"], word, KINDS, "unknown_choice")
        kind = KINDS[word]
        members = _members(node, name, ("type", *kind.numbers, *(() if kind.of_candles else ("of",)), "ago"))
        numbers = {}
        for number, bounds in kind.numbers.items():
            if number in members:
                numbers[number] = self._amount(members[number], number, bounds)
            elif bounds.default is None:
                raise node.refused("missing", word=number, where=name)
        of, ago = members.get("of"), members.get("ago")
        return Indicator(
            kind=word,
            numbers=numbers,
            of=_field(of) if of else Field.CLOSE,
            ago=round(_number(ago, "ago", Bounds(0, LONGEST))) if ago else 0,
        )

    def _amount(self, node: Node, where: str, bounds: Bounds) -> Amount:
        """A number, or a parameter of which every value will do."""
        if not isinstance(node.value, str):
            return Number(_number(node, where, bounds))
        if node.value not in self._parameters:
            raise _unknown(node, node.value, self._parameters, "unknown_parameter")
        given = self._parameters[node.value]
        for value in (given.minimum, given.maximum, given.default):
            _number(Node(value, node.line, node.column), f"{where} ({node.value})", bounds)
        return Parameter(node.value)

    # Values and conditions

    def _value(self, node: Node) -> Value:
        match node.value:
            case float():
                return Number(_number(node, "number", Bounds(-LARGEST_NUMBER, LARGEST_NUMBER, whole=False)))
            case str():
                return self._name(node, node.value)
            case dict():
                return self._calculation(node)
        raise node.refused("no_value")

    def _name(self, node: Node, word: str) -> Value:
        name, dot, line = word.partition(".")
        if not dot and name in self._parameters:
            return Parameter(name)
        if not dot and name in TAKEN:
            return _field(node)
        if name not in self._indicators:
            raise _unknown(node, word, {*self._parameters, *self._indicators, *TAKEN}, "unknown_name")
        kind = KINDS[self._indicators[name].kind]
        if dot and line not in kind.lines:
            raise _unknown(node, line, kind.lines, "unknown_line")
        if not dot and kind.lines and not kind.unnamed:
            raise node.refused("line_missing", word=name, known=", ".join(f"{name}.{each}" for each in kind.lines))
        return Line(name, line)

    def _calculation(self, node: Node) -> Calculation:
        members = _members(node, "value", [each.value for each in How])
        if len(members) != 1:
            raise node.refused("one_of", known=", ".join(How))
        [(word, given)] = members.items()
        how = How(word)
        values = tuple(self._value(each) for each in _items(given))
        if len(values) < 2 or (how in {How.DIFFERENCE, How.RATIO} and len(values) > 2):
            raise given.refused("two_values", word=word)
        if how is How.RATIO and self._may_be_zero(values[1]):
            raise given.refused("division_by_zero")
        return Calculation(how, values)

    def _may_be_zero(self, value: Value) -> bool:
        """Whether a divisor is a number that is, or may be chosen to be, nothing."""
        match value:
            case Number(value=number):
                return number == 0
            case Parameter(name=name):
                return self._parameters[name].minimum <= 0 <= self._parameters[name].maximum
        return False

    def _condition(self, node: Node, where: str) -> Condition:
        if isinstance(node.value, list):
            return Group(Junction.AND, self._parts(node, where))
        members = _members(node, where, ("value", *Comparison, *Junction, "for"))
        candles = self._amount(members["for"], "for", CANDLES) if "for" in members else None
        if joined := [each for each in Junction if each in members]:
            if len(joined) > 1 or members.keys() - {*joined, "for"}:
                raise node.refused("one_of", known=", ".join((*Junction, "value")))
            return Group(joined[0], self._parts(members[joined[0]], where), candles)
        value = self._value(_needed(node, members, "value", where))
        compared = [each for each in Comparison if each in members]
        if not compared:
            raise node.refused("one_of", known=", ".join(Comparison))
        if candles and any(each.is_crossing for each in compared):
            raise members["for"].refused("for_crossing")
        parts = tuple(Compare(value, each, self._value(members[each]), candles) for each in compared)
        return parts[0] if len(parts) == 1 else Group(Junction.AND, parts)

    def _parts(self, node: Node, where: str) -> tuple[Condition, ...]:
        if not (items := _items(node)):
            raise node.refused("no_condition", word=where)
        return tuple(self._condition(each, where) for each in items)

    # Manners

    def _manner(self, manner: str, node: Node, members: dict[str, Node]) -> Manner:
        given = members[manner]
        out = self._condition(members["exit"], "exit") if "exit" in members else None
        match manner:
            case "enter":
                stops = {word: self._amount(members[word], word, PERCENT) for word in _STOPS if word in members}
                if not (out or stops):
                    raise node.refused("never_sells", known=", ".join(("exit", *_STOPS)))
                size = self._amount(members["size"], "size", PERCENT) if "size" in members else Number(100)
                return Trades(enter=self._condition(given, manner), exit=out, size=size, **stops)
            case "target":
                return self._targets(given)
            case "rotate":
                return self._rotation(given)
        if not (items := _items(given)):
            raise given.refused("no_condition", word=manner)
        return Purchases(purchases=tuple(self._purchase(each) for each in items), exit=out)

    def _targets(self, node: Node) -> Targets:
        members = _members(node, "target", ("shares", "band"))
        given = _needed(node, members, "shares", "target")
        shares = []
        for item in _items(given):
            parts = _members(item, "shares", ("share", "if"))
            condition = self._condition(parts["if"], "if") if "if" in parts else None
            shares.append(Share(self._value(_needed(item, parts, "share", "shares")), condition))
        if not shares or any(each.condition is None for each in shares[:-1]):
            raise given.refused("shares_unreachable")
        band = self._amount(members["band"], "band", Bounds(0, 100, whole=False)) if "band" in members else Number(5)
        return Targets(shares=tuple(shares), band=band)

    def _rotation(self, node: Node) -> Rotation:
        members = _members(node, "rotate", ("by", "hold", "if", "every", "size"))
        amounts = {
            word: self._amount(members[word], word, bounds)
            for word, bounds in {"hold": Bounds(1, 50), "every": CANDLES, "size": PERCENT}.items()
            if word in members
        }
        return Rotation(
            by=self._value(_needed(node, members, "by", "rotate")),
            condition=self._condition(members["if"], "if") if "if" in members else None,
            **amounts,
        )

    def _purchase(self, node: Node) -> Purchase:
        members = _members(node, "buy", ("size", "every", "if"))
        size = self._amount(_needed(node, members, "size", "buy"), "size", PERCENT)
        every = self._amount(_needed(node, members, "every", "buy"), "every", CANDLES)
        return Purchase(size, every, self._condition(members["if"], "if") if "if" in members else None)


def _field(node: Node) -> Field:
    """A figure of the candle; the price is its close."""
    return Field.CLOSE if node.value == PRICE else _choice(node, Field)
