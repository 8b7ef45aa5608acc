"""What of a portfolio is to be published: an allocation that it has taken up, else what it holds after it has traded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from ..decimals import ZERO
from ..exchanges.base import Side
from ..exchanges.symbols import symbol_of
from ..ledger.ledger import Ledger
from ..ledger.records import BookedFill, Result, SignalRecord
from ..signal import Kind
from ..snapshot import Snapshot
from ..wants import Allocation
from .publication import Draft, Publication, PublishedMove

# Signals among which the orders of an allocation are looked for.
RECENT = 20
# Shares are told to so many places; less than that is neither held nor moved.
PLACES = Decimal("0.000001")
HELD_PLACES = Decimal("0.0001")
LEAST = Decimal("0.001")
_SAID = frozenset({Kind.SIGNAL, Kind.JOINING, Kind.SYNC})
_UNDECIDED = frozenset({Result.WAITING, Result.REJECTED, Result.BLENDED})


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a portfolio has been published: the key of its last allocation and the seq of the last fill."""

    signal: str = ""
    fill: int = 0


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where what the portfolio holds comes from: ids of the leaders that it follows, and how many hops away the first is."""

    origin: tuple[str, ...] = ()
    hops: int = 0


@dataclass(frozen=True, slots=True)
class _Recent:
    """Allocations that were taken up, newest first, and what was traded since the last look."""

    records: Sequence[SignalRecord]
    own: Collection[int]
    fills: Sequence[BookedFill]
    last_fill: int

    @property
    def record(self) -> SignalRecord | None:
        return self.records[0] if self.records else None

    @property
    def others(self) -> bool:
        """Whether something else was traded than what the allocations asked for."""
        return any(fill.order_seq not in self.own for fill in self.fills)


def decide(
    ledger: Ledger, seen: Seen | None, snapshot: Snapshot, last: Publication | None, upstream: Upstream, now: datetime
) -> tuple[Draft | None, Seen | None]:
    """What is to be published, and how far that goes; without a draft and with the same `seen` nothing is new.

    `seen` None: nothing was ever published. Synchronous; raises LedgerError.
    """
    recent = _read(ledger, seen)
    record = recent.record
    if seen is None and record is not None and not _holds_its_own(ledger, record):
        record = None
    here = Seen(_key(recent.record) if recent.record else "", recent.last_fill)
    weights = _weights(snapshot)
    if record is not None and (seen is None or _key(record) != seen.signal):
        draft = _of_record(record, snapshot, weights, upstream, now)
        if draft is None:
            return None, seen
        before = _before(weights, _traded(recent.fills, snapshot, ledger.quote), last) if seen else {}
        return _with_moves(draft, _from_before(draft.shares, before)), here
    if seen is not None and not recent.others:
        return None, here
    if weights is None or snapshot.open_orders:
        return None, seen  # published once it is known what is held
    if seen is None and not weights:
        return None, None
    draft = Draft(decided=now, shares=weights, origin=upstream.origin, hops=upstream.hops)
    return _with_moves(draft, _traded(recent.fills, snapshot, ledger.quote) if seen else weights), here


def _read(ledger: Ledger, seen: Seen | None) -> _Recent:
    records = [record for record in ledger.signals(RECENT) if _is_decided(record)]
    orders = ledger.orders_of([record.key for record in records])
    fills = ledger.fills_since(seen.fill) if seen else ()
    return _Recent(
        records,
        {order.seq for of_record in orders.values() for order in of_record},
        fills,
        max((fill.seq for fill in fills), default=ledger.last_fill() if seen is None else seen.fill),
    )


def _is_decided(record: SignalRecord) -> bool:
    """Whether it is an allocation that the portfolio has taken up: not one that waits for its owner, or that he did not want."""
    unwanted = record.asked_at is not None and record.result is Result.SKIPPED
    is_said = record.kind in _SAID and isinstance(record.wants, Allocation)
    return is_said and record.result not in _UNDECIDED and not unwanted


def _holds_its_own(ledger: Ledger, record: SignalRecord) -> bool:
    """Whether nothing else was traded after an allocation."""
    _, trade = ledger.latest()
    return trade is None or trade.signal_id == record.signal_id or trade.time < record.seen_at


def _key(record: SignalRecord) -> str:
    return f"{record.source}\n{record.signal_id}"


def _weights(snapshot: Snapshot) -> dict[str, Decimal] | None:
    """What is held as shares, dust left out; None where not all of it can be valued."""
    held = {coin: each.weight for coin, each in snapshot.positions.items() if each.quantity}
    if snapshot.total_value_quote is None or None in held.values():
        return None
    known = {coin: weight.quantize(HELD_PLACES, ROUND_DOWN) for coin, weight in held.items() if weight}
    return {coin: weight for coin, weight in known.items() if weight >= LEAST}


def _of_record(
    record: SignalRecord,
    snapshot: Snapshot,
    weights: Mapping[str, Decimal] | None,
    upstream: Upstream,
    now: datetime,
) -> Draft | None:
    """An allocation as it is published; None while it is not known how much of coins is held that stay as they are."""
    wants = record.wants if isinstance(record.wants, Allocation) else Allocation()
    stays = wants.keep | (frozenset(snapshot.held_back) & wants.coins)
    if stays and weights is None:
        return None
    shares = {coin: share.quantize(PLACES, ROUND_DOWN) for coin, share in wants.shares.items() if coin not in stays}
    shares |= {coin: (weights or {}).get(coin, ZERO) for coin in stays}
    return Draft(
        decided=now,
        shares={coin: share for coin, share in shares.items() if share},
        origin=upstream.origin,
        hops=upstream.hops,
        confidence=record.confidence,
        reasoning=record.reasoning,
    )


def _traded(fills: Sequence[BookedFill], snapshot: Snapshot, quote: str) -> dict[str, Decimal] | None:
    """What was bought (positive) and sold of each coin, as shares of the capital; None where that cannot be told."""
    total = snapshot.total_value_quote
    if not total or any(fill.symbol != symbol_of(fill.coin, quote) for fill in fills):
        return None
    traded: dict[str, Decimal] = {}
    for fill in fills:
        amount = fill.fill.amount if fill.side is Side.BUY else -fill.fill.amount
        traded[fill.coin] = traded.get(fill.coin, ZERO) + amount / total
    return traded


def _before(
    weights: Mapping[str, Decimal] | None, traded: Mapping[str, Decimal] | None, last: Publication | None
) -> dict[str, Decimal]:
    """What was held before the trades, else what was published before."""
    if weights is None or traded is None:
        return dict(last.shares) if last else {}
    return {coin: weights.get(coin, ZERO) - traded.get(coin, ZERO) for coin in {*weights, *traded}}


def _from_before(shares: Mapping[str, Decimal], before: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {coin: shares.get(coin, ZERO) - before.get(coin, ZERO) for coin in {*shares, *before}}


def _with_moves(draft: Draft, moved: Mapping[str, Decimal] | None) -> Draft:
    if moved is None:
        return draft
    moves = tuple(
        PublishedMove(coin, Side.BUY if share > 0 else Side.SELL, min(abs(share), Decimal(1)).quantize(PLACES))
        for coin, share in sorted(moved.items())
        if abs(share) >= LEAST
    )
    return replace(draft, moves=moves)
