"""Limits, take profits and stop losses in the texts of alerts."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from ..alert import Asked, Hold, InvalidAlert, Problem, Trade, closes
from ..decimals import HUNDRED
from ..exchanges.base import Side
from ..terms import Level, Terms
from .strict_json import show

# Keys of own JSON that say what an order is bound to; none of them may stand twice.
TERM_KEYS: Final = ("type", "order_type", "limit_price", "take_profit", "stop_loss", "trailing_stop")
# What asks for another kind of order than there is here.
OTHER_ORDERS: Final = ("stop_price",)
MARKET: Final = frozenset({"market"})
_LIMIT = "limit"
# Distances of a trailing stop in %, as Binance takes them, in steps of a basis point.
_LEAST_TRAILING, _MOST_TRAILING = Decimal("0.1"), Decimal(20)
_TARGETS = ("TAKE_PROFIT_PRICE", "TAKE_PROFIT_PRICE_1")

type Number = Callable[[Any, str], Decimal]


def own_terms(document: Mapping[str, Any], number: Number) -> Terms | None:
    """Terms of own JSON: prices, or distances such as "5 %", whatever their sign. Raises InvalidAlert."""
    for key in OTHER_ORDERS:
        if document.get(key) is not None:
            raise InvalidAlert(Problem.UNSUPPORTED, show(key))
    kinds = {str(kind).strip().lower() for key in ("type", "order_type") if (kind := document.get(key)) is not None}
    if kinds - {_LIMIT, *MARKET}:
        raise InvalidAlert(Problem.UNSUPPORTED, f"type {show(min(kinds))}")
    limit = _level(document, "limit_price", number)
    if len(kinds) > 1 or (kinds and (limit is None) is not kinds.isdisjoint({_LIMIT})):
        raise InvalidAlert(Problem.UNREADABLE, "type and limit_price contradict each other")
    points = None
    if (trailing := document.get("trailing_stop")) is not None:
        distance = number(_bare(trailing), "trailing_stop")
        if not _LEAST_TRAILING <= distance <= _MOST_TRAILING or distance * HUNDRED % 1:
            raise InvalidAlert(Problem.UNSUPPORTED, f"trailing_stop {show(trailing)}")
        points = int(distance * HUNDRED)
    return _terms(
        Terms(
            limit=limit,
            take_profit=_level(document, "take_profit", number),
            stop_loss=_level(document, "stop_loss", number),
            trailing=points,
        )
    )


def octobot_terms(fields: Mapping[str, str], side: Side, number: Number) -> Terms | None:
    """Terms of OctoBot's lines: prices, or distances from the last one with their sign. Raises InvalidAlert."""
    named = {key: value for key, value in fields.items() if value}
    for key in named:
        known = key in {"PRICE", "STOP_PRICE", *_TARGETS}
        if key == "REDUCE_ONLY" or (not known and key.startswith(("TAKE_PROFIT", "TRAILING"))):
            raise InvalidAlert(Problem.UNSUPPORTED, show(key))
    targets = [key for key in _TARGETS if key in named]
    if len(targets) > 1:
        raise InvalidAlert(Problem.UNSUPPORTED, "several TAKE_PROFIT_PRICE")
    kind = named.get("ORDER_TYPE", "MARKET").lower()
    if kind not in {_LIMIT, *MARKET}:
        raise InvalidAlert(Problem.UNSUPPORTED, f"ORDER_TYPE {show(kind)}")
    if (kind == _LIMIT) is not ("PRICE" in named):
        raise InvalidAlert(Problem.UNSUPPORTED, "ORDER_TYPE and PRICE do not belong together")
    better = "-" if side is Side.BUY else "+"
    return _terms(
        Terms(
            limit=_signed(named, "PRICE", better, number),
            take_profit=_signed(named, targets[0], "+", number) if targets else None,
            stop_loss=_signed(named, "STOP_PRICE", "-", number),
        )
    )


def bound(wants: Asked, terms: Terms | None) -> Asked:
    """What is wanted, with its terms. A sale at once is bound to nothing: what is left stays protected as it is. Raises InvalidAlert."""
    if terms is None or not isinstance(wants, Hold | Trade):
        return wants
    if closes(wants):
        if terms.limit is None:
            return wants
        if terms.protects:
            raise InvalidAlert(Problem.UNSUPPORTED, "a sale with a limit and a stop")
    return replace(wants, terms=terms)


def _terms(terms: Terms) -> Terms | None:
    if terms.stop_loss is not None and terms.trailing is not None:
        raise InvalidAlert(Problem.UNREADABLE, "stop_loss and trailing_stop contradict each other")
    return None if terms == Terms() else terms


def _bare(value: Any) -> Any:
    """A number with a sign of per cent behind it, without."""
    return value.strip().removesuffix("%") if isinstance(value, str) else value


def _level(document: Mapping[str, Any], key: str, number: Number) -> Level | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip().endswith("%"):
        return _above_zero(Level(number(value, key)), key)
    return _above_zero(Level(number(_bare(value).strip().lstrip("+-"), key), percent=True), key)


def _signed(fields: Mapping[str, str], key: str, sign: str, number: Number) -> Level | None:
    """A price, or a distance in % that has to lie on this side of the last price."""
    if (value := fields.get(key)) is None:
        return None
    if not value.endswith("%"):
        return _above_zero(Level(number(value, key)), key)
    if ("-" if value.startswith("-") else "+") != sign:
        raise InvalidAlert(Problem.UNSUPPORTED, f"{key} {show(value)}")
    return _above_zero(Level(number(value[:-1].strip().lstrip("+-"), key), percent=True), key)


def _above_zero(level: Level, key: str) -> Level:
    if not level.value or (level.percent and level.value >= HUNDRED * 10):
        raise InvalidAlert(Problem.UNREADABLE, f"{key} cannot be meant: {level.text}")
    return level
