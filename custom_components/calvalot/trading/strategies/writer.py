"""A strategy as YAML, as `read_strategy` reads it."""

from collections.abc import Mapping
from decimal import Decimal
import math
from typing import Any

import yaml

from .tree import (
    Amount,
    Condition,
    Field,
    Group,
    Indicator,
    Line,
    Manner,
    Number,
    Parameter,
    Rotation,
    Strategy,
    Targets,
    Trades,
    Value,
)

# Lines are as long as they are: a text is not folded.
WIDTH = 100_000


def write_strategy(strategy: Strategy) -> str:
    """Its text; what is as it would be anyway is left out where that is short."""
    texts = {word: text for word in ("idea", "source", "weaknesses") if (text := getattr(strategy, word))}
    document: dict[str, Any] = {"name": strategy.name, **texts, "time_frame": strategy.time_frame.value}
    if strategy.parameters:
        document["parameters"] = {
            name: {word: _plain(getattr(each, word)) for word in ("default", "minimum", "maximum")}
            for name, each in strategy.parameters.items()
        }
    if strategy.indicators:
        document["indicators"] = {name: _indicator(each) for name, each in strategy.indicators.items()}
    document |= _manner(strategy.manner)
    written: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return written


class _Dumper(yaml.SafeDumper):
    """Writes nothing as an anchor."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _write_float(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", f"{Decimal(repr(number)):f}")


_Dumper.add_representer(float, _write_float)


def _plain(number: float) -> float | int:
    return int(number) if math.floor(number) == number else number


def _value(value: Value) -> Any:
    match value:
        case Number(value=number):
            return _plain(number)
        case Parameter(name=name):
            return name
        case Field():
            return value.value
        case Line(indicator=indicator, line=line):
            return f"{indicator}.{line}" if line else indicator
        case calculation:
            return {calculation.how.value: [_value(each) for each in calculation.values]}


def _condition(condition: Condition) -> dict[str, Any]:
    lasting = {"for": _value(condition.candles)} if condition.candles else {}
    match condition:
        case Group():
            return {condition.how.value: [_condition(each) for each in condition.parts], **lasting}
        case compare:
            return {"value": _value(compare.value), compare.how.value: _value(compare.other), **lasting}


def _conditional(word: str, condition: Condition | None) -> dict[str, Any]:
    return {} if condition is None else {word: _condition(condition)}


def _amounts(amounts: Mapping[str, Amount | None]) -> dict[str, Any]:
    return {word: _value(amount) for word, amount in amounts.items() if amount is not None}


def _indicator(indicator: Indicator) -> dict[str, Any]:
    document = {"type": indicator.kind, **_amounts(indicator.numbers)}
    if indicator.of is not Field.CLOSE:
        document["of"] = indicator.of.value
    return document | ({"ago": indicator.ago} if indicator.ago else {})


def _manner(manner: Manner) -> dict[str, Any]:
    match manner:
        case Trades():
            stops = {word: getattr(manner, word) for word in ("size", "stop_loss", "take_profit", "trailing_stop")}
            return {**_conditional("enter", manner.enter), **_conditional("exit", manner.exit), **_amounts(stops)}
        case Targets():
            shares = [{**_conditional("if", each.condition), "share": _value(each.share)} for each in manner.shares]
            return {"target": {"shares": shares, **_amounts({"band": manner.band})}}
        case Rotation():
            amounts = {word: getattr(manner, word) for word in ("hold", "every", "size")}
            return {"rotate": {"by": _value(manner.by), **_conditional("if", manner.condition), **_amounts(amounts)}}
        case purchases:
            bought = [
                {**_amounts({"size": each.size, "every": each.every}), **_conditional("if", each.condition)}
                for each in purchases.purchases
            ]
            return {"buy": bought, **_conditional("exit", purchases.exit)}
