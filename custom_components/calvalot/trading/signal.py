"""A signal: what a source wants, with what it says about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from .wants import Wants

# The source of what the portfolio itself decides or its owner orders: a stop loss, an exit.
PORTFOLIO = "portfolio"
# Ids of records that no source gives; in the ledger their kind says what they are.
INITIAL_SYNC = "initial_sync"
RECOVERED = "recovered"
# Orders that the owner places himself, and those that protect what is held.
BY_HAND = "by_hand"
PROTECTION = "protection"
# Portfolios that a signal may have come through.
MAX_HOPS = 3
RESERVED_IDS = frozenset({INITIAL_SYNC, RECOVERED, BY_HAND, PROTECTION})


class SignalKey(NamedTuple):
    """What names a signal in its book: who said it, and its id there."""

    source: str
    signal_id: str


class SourceKind(StrEnum):
    """Kinds of source; the first source of a portfolio is named by its kind."""

    LEADER = "leader"
    ALLOCATION = "allocation"
    ALERTS = "alerts"
    STRATEGY = "strategy"
    MANUAL = "manual"
    BLEND = "blend"


# Sources whose orders are named as if there were no other; each further one stands in the name.
FIRST_SOURCES = frozenset({PORTFOLIO, *SourceKind})


class Kind(StrEnum):
    """What a signal in the ledger is: said by its source, or made by the portfolio."""

    SIGNAL = "signal"
    JOINING = "joining"
    SYNC = "sync"
    STOP_LOSS = "stop_loss"
    EXIT = "exit"
    RANK = "rank"
    WITHDRAWAL = "withdrawal"
    CONVERSION = "conversion"

    @property
    def sells_out(self) -> bool:
        """Whether it sells everything."""
        return self in {Kind.STOP_LOSS, Kind.EXIT}

    @property
    def is_own(self) -> bool:
        """Whether the portfolio makes it, without any source."""
        return self.sells_out or self in {Kind.RANK, Kind.WITHDRAWAL, Kind.CONVERSION}

    def id_at(self, time: datetime) -> str:
        """Signal id of a record of this kind that the portfolio makes at a time."""
        return f"{self.value}-{time.astimezone(UTC).isoformat(timespec='milliseconds')}"


RESERVED_STARTS = tuple(
    f"{kind.value}-" for kind in (Kind.SYNC, Kind.STOP_LOSS, Kind.EXIT, Kind.RANK, Kind.WITHDRAWAL, Kind.CONVERSION)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A valid signal.

    `targets` is the source's own allocation by coin (fractions of its capital, the rest is cash): None where moves come
    without one, empty for all cash. `created_at` is UTC, None where the source does not say. `origin` are the ids of the leaders
    that it came through, as far as they say so, `hops` how many one after the other.
    """

    signal_id: str
    wants: Wants
    targets: Mapping[str, Decimal] | None
    created_at: datetime | None = None
    confidence: Decimal | None = None
    reasoning: str = ""
    update_required: bool = False
    latest_version: str | None = None
    origin: tuple[str, ...] = ()
    hops: int = 0


class InvalidSignal(ValueError):
    """A signal that is refused; without a `signal_id` it is no signal at all."""

    def __init__(self, reason: str, signal_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.signal_id = signal_id


class UnknownCoin(InvalidSignal):
    """A signal with coins (their codes, at most 20) that the portfolio does not trade."""

    def __init__(self, coins: tuple[str, ...]) -> None:
        super().__init__(f"unknown coin: {', '.join(coins)}")
        self.coins = coins


class SignalLoop(InvalidSignal):
    """A signal that came through the portfolio itself, or through too many others."""
