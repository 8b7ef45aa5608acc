"""A publication: shares and reasons, what it follows in the chain, and the canonical bytes that are signed.

Never in it: amounts, balances, names. Shares are fractions of the leader's capital.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import hashlib
import json
from typing import Any

from ..exchanges.base import Side
from ..exchanges.symbols import symbol_of
from ..signal import InvalidSignal
from ..sources.strict_json import checked, decode, load
from .keys import PublicKey, SigningKey, to_text

FORMAT = 1
# What the first publication of a chain follows.
NOTHING_BEFORE = "0" * 64
# A publication stands for so long, and is issued anew where nothing else was for so long.
STANDS_FOR = timedelta(hours=72)
RENEWED_AFTER = timedelta(hours=24)
MAX_BYTES = 64 * 1024
_FIELDS = frozenset(
    {
        *("format", "leader", "sequence", "previous", "issued", "expires", "decided", "mode", "signal_id"),
        *("origin", "hops", "quote", "shares", "prices", "moves", "confidence", "reasoning"),
    }
)


@dataclass(frozen=True, slots=True)
class PublishedMove:
    """A coin of which a share of the capital was bought or sold."""

    coin: str
    side: Side
    share: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be published: `shares` by coin, the rest is cash; `moves` None where only the allocation is told.

    `prices` (quote per coin) are those of the moment, of all coins that are or were held, as far as they are known.
    `origin` are the ids of the leaders that it came through, the farthest first, `hops` how many one after the other at most.
    """

    decided: datetime
    shares: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    prices: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    moves: tuple[PublishedMove, ...] | None = None
    origin: tuple[str, ...] = ()
    hops: int = 0
    confidence: Decimal | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One link of a leader's chain; times are UTC in whole seconds, `previous` and `hash` SHA-256 in hexadecimal digits."""

    leader: str
    sequence: int
    previous: str
    issued: datetime
    expires: datetime
    decided: datetime
    mode: str
    signal_id: str
    origin: tuple[str, ...]
    hops: int
    quote: str
    shares: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    moves: tuple[PublishedMove, ...] | None
    confidence: Decimal | None
    reasoning: str
    signature: str = ""

    @property
    def canonical(self) -> bytes:
        """The bytes that are signed: JSON in UTF-8, keys sorted, no blanks, numbers that are no counts as decimal text."""
        moves = self.moves
        document = {
            "format": FORMAT,
            "leader": self.leader,
            "sequence": self.sequence,
            "previous": self.previous,
            "issued": _iso(self.issued),
            "expires": _iso(self.expires),
            "decided": _iso(self.decided),
            "mode": self.mode,
            "signal_id": self.signal_id,
            "origin": list(self.origin),
            "hops": self.hops,
            "quote": self.quote,
            "shares": {coin: f"{share:f}" for coin, share in self.shares.items()},
            "prices": {coin: f"{price:f}" for coin, price in self.prices.items()},
            "moves": None if moves is None else [[each.coin, each.side.value, f"{each.share:f}"] for each in moves],
            "confidence": None if self.confidence is None else f"{self.confidence:f}",
            "reasoning": self.reasoning,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def hash(self) -> str:
        """What the next publication names as the one before it."""
        return hashlib.sha256(self.canonical).hexdigest()

    def document(self, version: int) -> dict[str, Any]:
        """The signal as the leader's protocol has it; version 1 only where there are moves, else version 2.

        With it goes the chain's link: `canonical` in base64url, so that nobody has to write it again to check it, and its signature.
        """
        moves = self.moves if version == 1 else None
        words = {
            "signal_id": self.signal_id,
            "created_at": _iso(self.decided),
            "confidence": None if self.confidence is None else float(self.confidence),
            "reasoning": self.reasoning,
            "actions": [
                {
                    "coin": symbol_of(each.coin, self.quote),
                    "action": each.side.value,
                    "pct_of_capital": float(each.share),
                }
                for each in moves or ()
            ],
            "portfolio_state": {
                "positions": [
                    {"coin": symbol_of(coin, self.quote), "pct_of_portfolio": float(share)}
                    for coin, share in self.shares.items()
                ]
            },
            "origin": list(self.origin),
            "hops": self.hops,
            "dry_run": self.mode == "dry_run",
            "link": self.link,
        }
        return words if moves is not None else {"version": 2, **words}

    @property
    def link(self) -> dict[str, str]:
        """The link of the chain as it goes over the wire."""
        return {"signed": to_text(self.canonical), "signature": self.signature}


def issue(
    draft: Draft, key: SigningKey, leader: str, mode: str, quote: str, before: Publication | None, now: datetime
) -> Publication:
    """Sign a draft as the next link of a chain."""
    sequence = before.sequence + 1 if before else 1
    decided, issued = _whole(draft.decided), _whole(now)
    return _signed(
        Publication(
            leader=leader,
            sequence=sequence,
            previous=before.hash if before else NOTHING_BEFORE,
            issued=issued,
            expires=issued + STANDS_FOR,
            decided=decided,
            mode=mode,
            signal_id=f"{decided:%Y-%m-%dT%H:%M:%S}-{leader[:8]}-{sequence}",
            origin=(*draft.origin, leader),
            hops=draft.hops + 1,
            quote=quote,
            shares=draft.shares,
            prices=draft.prices,
            moves=draft.moves,
            confidence=draft.confidence,
            reasoning=draft.reasoning,
        ),
        key,
    )


def renew(last: Publication, key: SigningKey, prices: Mapping[str, Decimal], now: datetime) -> Publication:
    """Sign again what still holds, as the next link: the same signal, for longer, at the prices of now."""
    issued = _whole(now)
    again = replace(
        last, sequence=last.sequence + 1, previous=last.hash, issued=issued, expires=issued + STANDS_FOR, prices=prices
    )
    return _signed(again, key)


def parse(canonical: bytes, signature: str) -> Publication:
    """A link as it came over the wire; what is not written as we would write it is refused. Raises InvalidSignal."""
    document = load(decode(canonical, MAX_BYTES))
    document.refuse_twice(*document)
    if document.keys() != _FIELDS or document["format"] != FORMAT:
        raise InvalidSignal("the publication has another format")
    try:
        found = Publication(
            leader=_name(document["leader"]),
            sequence=_count(document["sequence"]),
            previous=_name(document["previous"]),
            issued=datetime.fromisoformat(_name(document["issued"])),
            expires=datetime.fromisoformat(_name(document["expires"])),
            decided=datetime.fromisoformat(_name(document["decided"])),
            mode=_name(document["mode"]),
            signal_id=_name(document["signal_id"]),
            origin=tuple(_name(each) for each in document["origin"]),
            hops=_count(document["hops"]),
            quote=_name(document["quote"]),
            shares=_decimals(document["shares"], "shares"),
            prices=_decimals(document["prices"], "prices"),
            moves=None if document["moves"] is None else tuple(_move(*each) for each in document["moves"]),
            confidence=None if document["confidence"] is None else Decimal(_name(document["confidence"])),
            reasoning=document["reasoning"],
            signature=signature,
        )
        same = found.canonical == canonical
    except (TypeError, ValueError, ArithmeticError) as err:
        raise InvalidSignal("the publication cannot be read") from err
    if not same:
        raise InvalidSignal("the publication is not in its canonical form")
    return found


def verified(canonical: bytes, signature: str, key: PublicKey, leader: str) -> Publication:
    """A link that this leader has signed. Raises InvalidSignal."""
    if len(canonical) > MAX_BYTES:
        raise InvalidSignal("the publication is too large")
    if not key.verifies(canonical, signature):
        raise InvalidSignal("the leader has not signed this publication")
    found = parse(canonical, signature)
    if found.leader != leader:
        raise InvalidSignal("the publication is another leader's")
    return found


def follows(later: Publication, earlier: Publication) -> bool:
    """Whether a link is the one right after another."""
    return later.sequence == earlier.sequence + 1 and later.previous == earlier.hash


def _signed(publication: Publication, key: SigningKey) -> Publication:
    return replace(publication, signature=key.sign(publication.canonical))


def _whole(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise TypeError("no count")
    return value


def _decimals(value: Any, name: str) -> dict[str, Decimal]:
    return {coin: Decimal(_name(each)) for coin, each in checked(value, name).items()}


def _move(coin: Any, side: Any, share: Any) -> PublishedMove:
    return PublishedMove(_name(coin), Side(side), Decimal(_name(share)))
