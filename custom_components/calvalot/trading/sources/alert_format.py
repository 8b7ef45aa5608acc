"""The texts that TradingView and others send: own JSON, {"ticker", "action", "quantity"}, 3Commas' JSON, OctoBot's lines.

What is not exactly one of them is refused, and so is what asks for something that could not be done as it says: an order
without its stop is another order.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
import re
from typing import Any, Final

from ..alert import Alert, Asked, Cancel, Format, Hold, InvalidAlert, Problem, Trade, Unit, closes
from ..decimals import EXACT, HUNDRED, ZERO
from ..exchanges.base import Side
from ..signal import InvalidSignal
from .alert_terms import MARKET, OTHER_ORDERS, TERM_KEYS, bound, octobot_terms, own_terms
from .leader_format import QUOTES
from .strict_json import Object, checked, decode, load, show

MAX_BODY: Final = 16 * 1024
MAX_TICKER: Final = 40
MAX_AGE: Final = timedelta(days=1)
# A number as it is written in a text: no sign, no more than can be meant.
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,18})?([eE][+-]?\d)?", re.ASCII)
_LARGEST = Decimal(10) ** 15
_SMALLEST = Decimal("1e-18")
# Codes that some exchanges have for a coin.
_OTHER_CODES = {"XBT": "BTC", "XDG": "DOGE"}
# What follows the pair of a perpetual future.
_PERPETUAL = (".P", "PERP")

_BUYS = frozenset({"buy", "long", "enter_long"})
_SELLS = frozenset({"sell", "exit_long"})
_CLOSES = frozenset({"close", "exit", "flat"})
# A spot account holds or does not hold: who is short holds nothing.
_POSITIONS: Mapping[str, Decimal | None] = {"long": None, "flat": ZERO, "short": ZERO}
_SIZES = tuple(unit.value for unit in Unit)
# What decides what is traded: none of it may stand twice.
_KEYS = ("ticker", "action", "market_position", "target", "timenow", "id", "test", *_SIZES, *TERM_KEYS)
# What 3Commas has no place for.
_ORDER_KEYS = (*TERM_KEYS, *OTHER_ORDERS)
# What tells own JSON from the part of it that everybody writes.
_OWN = frozenset({"market_position", "target", "id", "share", *TERM_KEYS[2:]})
_THREE_COMMAS = ("tv_instrument", "action", "timestamp", "max_lag", "strategy_info", "order", "test")
_THREE_COMMAS_UNITS = {"base": Unit.QUANTITY, "quote": Unit.AMOUNT}
_CANCEL = "cancel"


def parse_alert(body: bytes, coins: Collection[str]) -> Alert:
    """Read an alert; `coins` are the codes that the portfolio trades, in upper case. Raises InvalidAlert."""
    try:
        text = decode(body, MAX_BODY).strip()
        if not text.startswith("{"):
            return _octobot(text, coins)
        document = load(text)
        if "tv_instrument" in document:
            return _three_commas(document, coins)
        return _own(document, coins)
    except InvalidSignal as err:
        raise InvalidAlert(Problem.UNREADABLE, err.reason) from err


def coin_of(ticker: Any, coins: Collection[str]) -> str:
    """The coin of a ticker such as BTCUSDT, BINANCE:BTCUSDT, BTC/USDC, XBTUSD or BTCUSDT.P. Raises InvalidAlert."""
    if not isinstance(ticker, str) or not 0 < len(ticker) <= MAX_TICKER:
        raise InvalidAlert(Problem.UNREADABLE, f"ticker is not a pair: {show(ticker)}")
    pair = ticker.strip().upper().rpartition(":")[2]
    for ending in _PERPETUAL:
        pair = pair.removesuffix(ending)
    base, _, quote = pair.replace("-", "/").replace("_", "/").partition("/")
    if not (base.isascii() and base.isalnum()) or (quote and quote not in QUOTES):
        raise InvalidAlert(Problem.UNREADABLE, f"ticker is not a pair: {show(ticker)}")
    codes = {base} if quote else {base} | {base.removesuffix(each) for each in QUOTES if base != each}
    found = {_OTHER_CODES.get(code, code) if code not in coins else code for code in codes}.intersection(coins)
    if len(found) != 1:
        names = " or ".join(sorted(found))
        raise InvalidAlert(Problem.UNKNOWN_COIN, f"{show(ticker)} could be {names}" if found else show(ticker))
    return found.pop()


def _own(document: Object, coins: Collection[str]) -> Alert:
    """Own JSON, of which {"ticker", "action", "quantity"} is a part."""
    document.refuse_twice(*_KEYS, *OTHER_ORDERS)
    terms = own_terms(document, _number)
    position, target = _word(document, "market_position"), document.get("target")
    wants: Asked
    if target is not None:
        share = _percent(target, "target")
        if position and _position(position) == ZERO and share:
            raise InvalidAlert(
                Problem.UNREADABLE, f"market_position {position} and target {share:f} contradict each other"
            )
        wants = Hold(share)
    elif position:
        wants = Hold(_position(position))
    else:
        wants = _action(_word(document, "action"), _size(document))
    told = document.get("timenow")
    return Alert(
        coin=coin_of(document.get("ticker"), coins),
        wants=bound(wants, terms),
        format=Format.OWN if _OWN & document.keys() else Format.PLAIN,
        told_at=None if told is None else _time(told),
        has_id=_is_named(document.get("id")),
        is_test=_flag(document.get("test")),
    )


def _three_commas(document: Object, coins: Collection[str]) -> Alert:
    """JSON as a signal bot of 3Commas takes it; the position of its strategy says more than its action."""
    document.refuse_twice(*_THREE_COMMAS, *_ORDER_KEYS)
    _refuse_orders(document)
    info, order = document.get("strategy_info"), document.get("order")
    position = None if info is None else _word(checked(info, "strategy_info", "market_position"), "market_position")
    if position:
        wants: Asked = Hold(_position(position))
    else:
        size = None
        if order is not None:
            order = checked(order, "order", "amount", "currency_type", *_ORDER_KEYS)
            kind = _word(order, "order_type")
            if kind and kind not in MARKET:
                raise InvalidAlert(Problem.UNSUPPORTED, f"order_type {show(kind)}")
            unit = _THREE_COMMAS_UNITS.get(_word(order, "currency_type") or "")
            if unit is None:
                raise InvalidAlert(Problem.UNSUPPORTED, f"currency_type {show(order.get('currency_type'))}")
            size = unit, _positive(order.get("amount"), "order.amount")
        wants = _action(_word(document, "action"), size)
    lag, told = document.get("max_lag"), document.get("timestamp")
    seconds = None if lag is None else _positive(lag, "max_lag")
    return Alert(
        coin=coin_of(document.get("tv_instrument"), coins),
        wants=wants,
        format=Format.THREE_COMMAS,
        told_at=None if told is None else _time(told),
        max_age=None if seconds is None else min(MAX_AGE, timedelta(seconds=float(min(seconds, Decimal(86_400))))),
        is_test=_flag(document.get("test")),
    )


def _octobot(text: str, coins: Collection[str]) -> Alert:
    """Lines, or parts between semicolons, such as SYMBOL=BTCUSDT;SIGNAL=BUY;VOLUME=2%."""
    fields: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in re.split(r"[;\r\n]+", text))):
        key, equals, value = part.partition("=")
        key = key.strip().upper()
        if not equals or key in fields:
            raise InvalidAlert(Problem.UNREADABLE, f"not KEY=VALUE, or twice: {show(part)}")
        fields[key] = value.strip()
    if "SIGNAL" not in fields:
        raise InvalidAlert(Problem.UNREADABLE, "SIGNAL is missing")
    wants = _action(fields["SIGNAL"].lower(), _volume(fields.get("VOLUME")))
    if not isinstance(wants, Cancel):
        wants = bound(wants, octobot_terms(fields, Side.SELL if closes(wants) else Side.BUY, _number))
    told = fields.get("TIME")
    return Alert(
        coin=coin_of(fields.get("SYMBOL"), coins),
        wants=wants,
        format=Format.OCTOBOT,
        told_at=None if told is None else _time(told),
        has_id=_is_named(fields.get("ID")),
        is_test=_flag(fields.get("TEST")),
    )


def _volume(text: str | None) -> tuple[Unit, Decimal] | None:
    """OctoBot's volume: `2%` of the portfolio, `50q` of the quote asset, else coins."""
    if not text:
        return None
    if text.endswith("%"):
        return Unit.SHARE, _above_zero(_percent(text[:-1], "VOLUME"), "VOLUME")
    if text.endswith("q"):
        return Unit.AMOUNT, _positive(text[:-1], "VOLUME")
    return Unit.QUANTITY, _positive(text, "VOLUME")


def _size(document: Mapping[str, Any]) -> tuple[Unit, Decimal] | None:
    """The one size of a trade; None where it names none."""
    named = [unit for unit in Unit if document.get(unit.value) is not None]
    if len(named) > 1:
        raise InvalidAlert(Problem.UNREADABLE, f"{' and '.join(named)} contradict each other")
    if not named:
        return None
    unit = named[0]
    if unit is Unit.SHARE:
        return unit, _above_zero(_percent(document[unit.value], unit.value), unit.value)
    return unit, _positive(document[unit.value], unit.value)


def _action(action: str | None, size: tuple[Unit, Decimal] | None) -> Asked:
    """What an action wants: without a size to hold the coin or not, with one a trade; closing and cancelling need none."""
    if action == _CANCEL:
        return Cancel()
    if action in _CLOSES:
        return Hold(ZERO)
    if action in _BUYS:
        return Trade(Side.BUY, *size) if size else Hold(None)
    if action in _SELLS:
        return Trade(Side.SELL, *size) if size else Hold(ZERO)
    if action is None:
        raise InvalidAlert(Problem.UNREADABLE, "action is missing")
    raise InvalidAlert(Problem.UNSUPPORTED, f"action {show(action)}")


def _refuse_orders(document: Mapping[str, Any]) -> None:
    for key in _ORDER_KEYS:
        value = document.get(key)
        if value is not None and not (isinstance(value, str) and value.lower() in MARKET):
            raise InvalidAlert(Problem.UNSUPPORTED, show(key))


def _position(word: str) -> Decimal | None:
    if word not in _POSITIONS:
        raise InvalidAlert(Problem.UNREADABLE, f"unknown market_position: {show(word)}")
    return _POSITIONS[word]


def _word(document: Mapping[str, Any], key: str) -> str | None:
    """A word in lower case; None where there is none."""
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidAlert(Problem.UNREADABLE, f"{key} is not a text: {show(value)}")
    return value.strip().lower() or None


def _number(value: Any, name: str) -> Decimal:
    """A number, or a text that is one, as TradingView puts it between quotes; from 0 to a bound."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = Decimal(value.strip())
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
    else:
        raise InvalidAlert(Problem.UNREADABLE, f"{name} is not a number: {show(value)}")
    if not number.is_finite() or not 0 <= number <= _LARGEST:
        raise InvalidAlert(Problem.UNREADABLE, f"{name} cannot be meant: {show(value)}")
    with localcontext(EXACT):
        return number.quantize(_SMALLEST).normalize().copy_abs()


def _above_zero(number: Decimal, name: str) -> Decimal:
    if not number:
        raise InvalidAlert(Problem.UNREADABLE, f"{name} is 0")
    return number


def _positive(value: Any, name: str) -> Decimal:
    return _above_zero(_number(value, name), name)


def _percent(value: Any, name: str) -> Decimal:
    """A share in % as a fraction."""
    number = _number(value, name)
    if number > HUNDRED:
        raise InvalidAlert(Problem.UNREADABLE, f"{name} is more than 100 %: {show(value)}")
    with localcontext(EXACT):
        return number / HUNDRED


def _time(value: Any) -> datetime:
    """A time as `{{timenow}}` has it: ISO 8601, UTC where it names no zone; or Unix seconds."""
    try:
        if isinstance(value, str) and len(value) <= MAX_TICKER:
            moment = datetime.fromisoformat(value.strip())
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value), UTC)
    except ValueError, OverflowError, OSError:
        pass
    raise InvalidAlert(Problem.UNREADABLE, f"the time is none: {show(value)}")


def _is_named(value: Any) -> bool:
    """Whether an id is one."""
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())


def _flag(value: Any) -> bool:
    """Whether this is a test; what is neither yes nor no is taken for one, so that nothing is traded."""
    return value is not None and value is not False and str(value).strip().lower() not in {"false", "0", ""}
