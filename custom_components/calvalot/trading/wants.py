"""What a signal wants: an allocation, or moves. It is stored with the signal, so that nothing has to be said twice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
import json

from .exchanges.base import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Shares of the capital by coin (fractions from 0 to 1): what is not named is sold, the rest is cash.

    Coins to `keep` are left as they are. With a share of `cash` (a fraction) nothing is sold beyond what the purchases and
    that cash need; None: everything above its share is sold.
    """

    shares: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    keep: frozenset[str] = frozenset()
    cash: Decimal | None = None

    @property
    def coins(self) -> frozenset[str]:
        """Coins that are to be held."""
        return frozenset(coin for coin, share in self.shares.items() if share)


@dataclass(frozen=True, slots=True)
class Move:
    """Buy or sell a share of the capital (a fraction from 0 to 1, for sells too) of a coin."""

    coin: str
    side: Side
    share: Decimal


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves, each placed at most once."""

    moves: tuple[Move, ...] = ()

    @property
    def coins(self) -> frozenset[str]:
        """Coins that are to be traded."""
        return frozenset(move.coin for move in self.moves)


type Wants = Allocation | Moves

EVERYTHING_SOLD = Allocation()


def to_text(wants: Wants) -> str:
    """What is wanted as JSON, the same text for the same content."""
    if isinstance(wants, Moves):
        return json.dumps({"moves": sorted((move.coin, move.side.value, f"{move.share:f}") for move in wants.moves)})
    document: dict[str, object] = {"allocation": {coin: f"{wants.shares[coin]:f}" for coin in sorted(wants.coins)}}
    if wants.keep:
        document["keep"] = sorted(wants.keep)
    if wants.cash is not None:
        document["cash"] = f"{wants.cash:f}"
    return json.dumps(document)


def from_text(text: str) -> Wants:
    """What `to_text` wrote. Raises ValueError."""
    document = json.loads(text)
    if "moves" in document:
        return Moves(tuple(Move(coin, Side(side), Decimal(share)) for coin, side, share in document["moves"]))
    cash = document.get("cash")
    return Allocation(
        shares={coin: Decimal(share) for coin, share in document["allocation"].items()},
        keep=frozenset(document.get("keep", ())),
        cash=None if cash is None else Decimal(cash),
    )
