"""The leader's JSON: versions 1 and 2 of its signal, parsed and validated.

All weights are fractions of capital from 0 to 1, as `Decimal` from the number's own text. What is not exactly a signal
is refused as a whole, never repaired, but for a sum of weights up to 1.05, which is rounding and scaled down to 1.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any

from ..exchanges.base import Side
from ..signal import MAX_HOPS, RESERVED_IDS, RESERVED_STARTS, InvalidSignal, Signal, SignalLoop, UnknownCoin
from ..wants import Allocation, Move, Moves
from .strict_json import Object, checked, clean, decode, load, show

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
_MAX_PAIR = 40
_MAX_NAMED = 20
_MAX_LEADER = 64
_PLACES = Decimal("1E-18")
_EXACT = Context(prec=60, rounding=ROUND_DOWN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_signal(body: bytes, coins: Collection[str], own_id: str = "") -> Signal:
    """Read a leader's answer; `coins` are the codes the follower trades, in upper case, `own_id` what it is called where it leads.

    Raises SignalLoop for a signal that came through the follower itself or through too many others, UnknownCoin for a signal that is right but for coins that are not in `coins`, InvalidSignal for all else.
    """
    text = decode(body, MAX_BODY)
    document = load(text)
    if "signal_id" not in document:
        raise InvalidSignal("signal_id is missing")
    signal_id = _signal_id(document["signal_id"])
    document.refuse_twice("signal_id")
    try:
        document.refuse_twice("version", "portfolio_state", "actions", "timestamp", "created_at")
        return _signal(document, signal_id, _Pairs(coins), own_id)
    except InvalidSignal as error:
        error.signal_id = signal_id
        raise


def _signal_id(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidSignal("signal_id is not a text")
    if len(value) > MAX_SIGNAL_ID:
        raise InvalidSignal(f"signal_id is longer than {MAX_SIGNAL_ID} characters")
    if clean(value) != value:
        raise InvalidSignal("signal_id holds control characters")
    if value in RESERVED_IDS or value.startswith(RESERVED_STARTS):
        raise InvalidSignal(f"the signal_id {value} is reserved")
    return value


def _signal(document: Object, signal_id: str, pairs: _Pairs, own_id: str) -> Signal:
    version = document.get("version", 1)
    if type(version) is not int or version not in {1, 2}:
        raise InvalidSignal(f"unknown version: {show(version)}")
    targets = _targets(document, version, pairs)
    moves = _moves(document, pairs) if version == 1 else None
    origin = _origin(document.shown("origin"))
    hops = _hops(document.shown("hops"), origin)
    if own_id and own_id in origin:
        raise SignalLoop("signal_loop: it came through this portfolio")
    if hops > MAX_HOPS:
        raise SignalLoop(f"signal_loop: it came through {hops} portfolios")
    if pairs.unknown:
        raise UnknownCoin(tuple(sorted(pairs.unknown)[:_MAX_NAMED]))
    update = document.shown("update")
    if not isinstance(update, Object):
        update = Object([])
    return Signal(
        signal_id=signal_id,
        wants=Allocation(shares=targets or {}) if moves is None else moves,
        targets=targets,
        confidence=_shown_fraction(document.shown("confidence")),
        reasoning=_text(document.shown("reasoning"), MAX_REASONING) or "",
        created_at=_time(document.get("timestamp")) or _time(document.get("created_at")),
        update_required=update.get("required") is True,
        latest_version=_text(update.get("latest_version"), 100),
        origin=origin,
        hops=hops,
    )


class _Pairs:
    """Finds the coin of a trading pair, whatever it is quoted in, and collects the unknown ones."""

    def __init__(self, coins: Collection[str]) -> None:
        self._coins = frozenset(coins)
        self.unknown: set[str] = set()

    def coin(self, pair: Any) -> str:
        """Code of the pair's coin. Raises InvalidSignal for what is no trading pair."""
        if not isinstance(pair, str):
            raise InvalidSignal(f"coin is not a text: {show(pair)}")
        codes = {pair.removesuffix(quote) for quote in QUOTES if pair.endswith(quote) and pair != quote}
        if not codes or not pair.isalnum() or len(pair) > _MAX_PAIR:
            raise InvalidSignal(f"coin is not a known trading pair: {show(pair)}")
        known = codes & self._coins
        if len(known) > 1:
            raise InvalidSignal(f"{pair} could be {' or '.join(sorted(known))}")
        if known:
            return known.pop()
        code = min(codes, key=len)
        self.unknown.add(code)
        return code


def _targets(document: Object, version: int, pairs: _Pairs) -> dict[str, Decimal] | None:
    """Weights by coin; None only where version 1 tells none."""
    state = document.get("portfolio_state")
    positions = checked(state, "portfolio_state", "positions").get("positions") if state is not None else None
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


def _moves(document: Object, pairs: _Pairs) -> Moves:
    """The actions but for those that hold a coin."""
    shares: dict[str, tuple[Side | None, Decimal]] = {}
    for entry in _objects(document.get("actions"), "actions", "coin", "action", "pct_of_capital"):
        coin = pairs.coin(entry.get("coin"))
        if coin in shares:
            raise InvalidSignal(f"{coin} stands twice in actions")
        name = entry.get("action")
        if not isinstance(name, str) or name not in _ACTIONS:
            raise InvalidSignal(f"unknown action for {coin}: {show(name)}")
        shares[coin] = _ACTIONS[name], _fraction(entry.get("pct_of_capital"), f"pct_of_capital of {coin}")
    moves = Moves(tuple(Move(coin, side, share) for coin, (side, share) in shares.items() if side))
    for side in Side:
        _sum([move.share for move in moves.moves if move.side is side], f"the {side} actions")
    return moves


def _objects(value: Any, name: str, *keys: str) -> list[Object]:
    if not isinstance(value, list):
        raise InvalidSignal(f"{name} is not a list")
    return [checked(entry, f"an entry of {name}", *keys) for entry in value]


def _fraction(value: Any, name: str) -> Decimal:
    """A number from 0 to 1, cut to 18 places so that no arithmetic can be made to explode."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise InvalidSignal(f"{name} is not a number: {show(value)}")
    number = Decimal(value)
    if not number.is_finite() or not 0 <= number <= 1:
        raise InvalidSignal(f"{name} is not between 0 and 1: {show(value)}")
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
    return clean(value[:length]).strip() if isinstance(value, str) else None


def _origin(value: Any) -> tuple[str, ...]:
    """Ids of the leaders that a signal came through; none where they are not told as texts."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return ()
    return tuple(clean(each[:_MAX_LEADER]) for each in value)


def _hops(value: Any, origin: tuple[str, ...]) -> int:
    """How many leaders a signal came through one after the other; without a word on it all of them."""
    return value if type(value) is int and 0 < value <= len(origin) else len(origin)
