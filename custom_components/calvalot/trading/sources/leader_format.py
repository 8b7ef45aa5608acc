"""The leader's JSON: versions 1 and 2 of its signal, parsed and validated.

All weights are fractions of capital from 0 to 1, as `Decimal` from the number's own text. What is not exactly a signal
is refused as a whole, never repaired, but for a sum of weights up to 1.05, which is rounding and scaled down to 1.
"""

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation
import json
from typing import Any
import unicodedata

from ..exchanges.base import Side
from ..signal import RESERVED_IDS, RESERVED_STARTS, InvalidSignal, Signal, UnknownCoin
from ..wants import Allocation, Move, Moves

MAX_BODY = 256 * 1024
MAX_SIGNAL_ID = 200
MAX_REASONING = 2000
MAX_SUM = Decimal("1.05")
QUOTES = (
    *("USDC", "USDT", "FDUSD", "BUSD", "TUSD", "USDP", "USD1", "USDE", "DAI", "USD"),
    *("EUR", "EURI", "AEUR", "GBP", "TRY", "BRL", "JPY", "PLN", "ARS", "MXN", "AUD", "BTC", "ETH", "BNB"),
)
# What an action does; HOLD leaves the coin as it is.
_ACTIONS = {"BUY": Side.BUY, "SELL": Side.SELL, "HOLD": None}
_NAN = Decimal("NaN")
_MAX_NUMBER = 64
_MAX_PAIR = 40
_MAX_NAMED = 20
_PLACES = Decimal("1E-18")
_EXACT = Context(prec=60, rounding=ROUND_DOWN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What turns the direction of writing lets a text read as another one.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def parse_signal(body: bytes, coins: Collection[str]) -> Signal:
    """Read a leader's answer; `coins` are the codes the follower trades, in upper case.

    Raises UnknownCoin for a signal that is right but for coins that are not in `coins`, InvalidSignal for all else.
    """
    text = _decode(body)
    document = _load(text)
    if "signal_id" not in document:
        raise InvalidSignal("signal_id is missing")
    signal_id = _signal_id(document["signal_id"])
    document.refuse_twice("signal_id")
    try:
        document.refuse_twice("version", "portfolio_state", "actions", "timestamp", "created_at")
        return _signal(document, signal_id, _Pairs(coins))
    except InvalidSignal as error:
        error.signal_id = signal_id
        raise


def _decode(body: bytes) -> str:
    if len(body) > MAX_BODY:
        raise InvalidSignal(f"the body is larger than {MAX_BODY // 1024} KiB")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidSignal("the body is not UTF-8 text") from None


class _Object(dict[str, Any]):
    """A JSON object that knows which of its keys stand twice: two readers could take different ones."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(members)
        self._twice = {key for key, count in Counter(key for key, _ in members).items() if count > 1}

    def refuse_twice(self, *keys: str) -> None:
        """Raise InvalidSignal where one of these keys, which decide what is traded, stands twice."""
        for key in keys:
            if key in self._twice:
                raise InvalidSignal(f"the key {_show(key)} stands twice in an object")

    def shown(self, key: str) -> Any:
        """What is only shown: nothing where it stands twice."""
        return None if key in self._twice else self.get(key)


def _load(text: str) -> _Object:
    """The JSON object in `text`."""
    try:
        document = json.loads(
            text,
            object_pairs_hook=_Object,
            parse_float=_number(Decimal),
            parse_int=_number(int),
            parse_constant=_number(lambda _: _NAN),
        )
    except ValueError, RecursionError:
        raise InvalidSignal("the body is not JSON") from None
    if not isinstance(document, _Object):
        raise InvalidSignal("the body is not a JSON object")
    return document


def _number[T: int | Decimal](convert: Callable[[str], T]) -> Callable[[str], T | Decimal]:
    """A number reader: what is too long or too large to be meant is no number, and refused where a number is wanted."""

    def read(text: str) -> T | Decimal:
        if len(text) > _MAX_NUMBER:
            return _NAN
        try:
            return convert(text)
        except InvalidOperation:
            return _NAN

    return read


def _signal_id(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidSignal("signal_id is not a text")
    if len(value) > MAX_SIGNAL_ID:
        raise InvalidSignal(f"signal_id is longer than {MAX_SIGNAL_ID} characters")
    if _clean(value) != value:
        raise InvalidSignal("signal_id holds control characters")
    if value in RESERVED_IDS or value.startswith(RESERVED_STARTS):
        raise InvalidSignal(f"the signal_id {value} is reserved")
    return value


def _signal(document: _Object, signal_id: str, pairs: _Pairs) -> Signal:
    version = document.get("version", 1)
    if type(version) is not int or version not in {1, 2}:
        raise InvalidSignal(f"unknown version: {_show(version)}")
    targets = _targets(document, version, pairs)
    moves = _moves(document, pairs) if version == 1 else None
    if pairs.unknown:
        raise UnknownCoin(tuple(sorted(pairs.unknown)[:_MAX_NAMED]))
    update = document.shown("update")
    if not isinstance(update, _Object):
        update = _Object([])
    return Signal(
        signal_id=signal_id,
        wants=Allocation(shares=targets or {}) if moves is None else moves,
        targets=targets,
        confidence=_shown_fraction(document.shown("confidence")),
        reasoning=_text(document.shown("reasoning"), MAX_REASONING) or "",
        created_at=_time(document.get("timestamp")) or _time(document.get("created_at")),
        update_required=update.get("required") is True,
        latest_version=_text(update.get("latest_version"), 100),
    )


class _Pairs:
    """Finds the coin of a trading pair, whatever it is quoted in, and collects the unknown ones."""

    def __init__(self, coins: Collection[str]) -> None:
        self._coins = frozenset(coins)
        self.unknown: set[str] = set()

    def coin(self, pair: Any) -> str:
        """Code of the pair's coin. Raises InvalidSignal for what is no trading pair."""
        if not isinstance(pair, str):
            raise InvalidSignal(f"coin is not a text: {_show(pair)}")
        codes = {pair.removesuffix(quote) for quote in QUOTES if pair.endswith(quote) and pair != quote}
        if not codes or not pair.isalnum() or len(pair) > _MAX_PAIR:
            raise InvalidSignal(f"coin is not a known trading pair: {_show(pair)}")
        known = codes & self._coins
        if len(known) > 1:
            raise InvalidSignal(f"{pair} could be {' or '.join(sorted(known))}")
        if known:
            return known.pop()
        code = min(codes, key=len)
        self.unknown.add(code)
        return code


def _targets(document: _Object, version: int, pairs: _Pairs) -> dict[str, Decimal] | None:
    """Weights by coin; None only where version 1 tells none."""
    state = document.get("portfolio_state")
    positions = _object(state, "portfolio_state", "positions").get("positions") if state is not None else None
    if positions is None:
        if version == 1:
            return None
        raise InvalidSignal("portfolio_state.positions is missing")
    weights: dict[str, Decimal] = {}
    for position in _objects(positions, "portfolio_state.positions", "coin", "pct_of_portfolio"):
        coin = pairs.coin(position.get("coin"))
        if coin in weights:
            raise InvalidSignal(f"{coin} stands twice in portfolio_state.positions")
        weights[coin] = _fraction(position.get("pct_of_portfolio"), f"pct_of_portfolio of {coin}")
    total = _sum(weights.values(), "the weights")
    if total <= 1:
        return weights
    return {coin: _cut(_EXACT.divide(weight, total)) for coin, weight in weights.items()}


def _moves(document: _Object, pairs: _Pairs) -> Moves:
    """The actions but for those that hold a coin."""
    shares: dict[str, tuple[Side | None, Decimal]] = {}
    for entry in _objects(document.get("actions"), "actions", "coin", "action", "pct_of_capital"):
        coin = pairs.coin(entry.get("coin"))
        if coin in shares:
            raise InvalidSignal(f"{coin} stands twice in actions")
        name = entry.get("action")
        if not isinstance(name, str) or name not in _ACTIONS:
            raise InvalidSignal(f"unknown action for {coin}: {_show(name)}")
        shares[coin] = _ACTIONS[name], _fraction(entry.get("pct_of_capital"), f"pct_of_capital of {coin}")
    moves = Moves(tuple(Move(coin, side, share) for coin, (side, share) in shares.items() if side))
    for side in Side:
        _sum([move.share for move in moves.moves if move.side is side], f"the {side} actions")
    return moves


def _object(value: Any, name: str, *keys: str) -> _Object:
    """An object in which none of these keys stands twice."""
    if not isinstance(value, _Object):
        raise InvalidSignal(f"{name} is not an object")
    value.refuse_twice(*keys)
    return value


def _objects(value: Any, name: str, *keys: str) -> list[_Object]:
    if not isinstance(value, list):
        raise InvalidSignal(f"{name} is not a list")
    return [_object(entry, f"an entry of {name}", *keys) for entry in value]


def _fraction(value: Any, name: str) -> Decimal:
    """A number from 0 to 1, cut to 18 places so that no arithmetic can be made to explode."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise InvalidSignal(f"{name} is not a number: {_show(value)}")
    number = Decimal(value)
    if not number.is_finite() or not 0 <= number <= 1:
        raise InvalidSignal(f"{name} is not between 0 and 1: {_show(value)}")
    return _cut(number)


def _shown_fraction(value: Any) -> Decimal | None:
    """A number that is only shown: None for what is no fraction."""
    with suppress(InvalidSignal):
        return _fraction(value, "")
    return None


def _cut(share: Decimal) -> Decimal:
    return _EXACT.normalize(_EXACT.quantize(share, _PLACES)).copy_abs()


def _sum(shares: Collection[Decimal], name: str) -> Decimal:
    total = Decimal(0)
    for share in shares:
        total = _EXACT.add(total, share)
    if total > MAX_SUM:
        raise InvalidSignal(f"{name} add up to {total:.4f}, more than 1")
    return total


def _time(value: Any) -> datetime | None:
    """ISO 8601 text (UTC where it names no zone) or Unix seconds; None for anything else."""
    with suppress(ValueError, OverflowError):
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return _EPOCH + timedelta(seconds=float(value))
    return None


def _text(value: Any, length: int) -> str | None:
    return _clean(value[:length]).strip() if isinstance(value, str) else None


def _clean(text: str) -> str:
    """The text with a space for each control character, line break, lone surrogate and change of direction."""
    return "".join(" " if unicodedata.category(char) in _CONTROLS or char in _TURNING else char for char in text)


def _show(value: Any) -> str:
    """A leader's value in a reason: short, quoted where it is text, fit for a log line."""
    match value:
        case None:
            return "missing"
        case str():
            return repr(_clean(value[:40]))
        case bool() | int() | Decimal():
            return str(value)[:40]
        case _:
            return "a list" if isinstance(value, list) else "an object"
