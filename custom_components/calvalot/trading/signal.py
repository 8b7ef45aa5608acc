"""What a source wants: a signal with an allocation or with moves."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
import json

# Names the follower gives to records of its own.
INITIAL_SYNC = "initial_sync"
RESERVED_IDS = frozenset({INITIAL_SYNC, "recovered"})
SYNC = "sync-"
STOP_LOSS = "stop_loss-"
EXIT = "exit-"
RESERVED_STARTS = (SYNC, STOP_LOSS, EXIT)


class Action(StrEnum):
    """What a version 1 signal wants done with a coin."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class SignalAction:
    """One action of a version 1 signal; `share` is a fraction of the whole capital, for SELL too."""

    pair: str
    coin: str
    action: Action
    share: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A valid signal.

    `targets` is the leader's allocation by coin (fractions of capital, the rest is cash): None where a version 1 signal
    tells none, empty for all cash. `actions` is empty in version 2. `created_at` is UTC, None where the leader does not
    say. `payload` is the start of the raw JSON text, whole up to `MAX_PAYLOAD` characters.
    """

    signal_id: str
    version: int
    confidence: Decimal | None
    reasoning: str
    created_at: datetime | None
    actions: tuple[SignalAction, ...]
    targets: Mapping[str, Decimal] | None
    update_required: bool
    latest_version: str | None
    payload: str

    @property
    def wanted(self) -> str:
        """All that is traded of it as one text, the same for the same content: the moves, or the allocation."""
        if self.version == 1:
            moves = [
                (move.coin, move.action.value, f"{move.share:f}")
                for move in self.actions
                if move.action is not Action.HOLD
            ]
            return json.dumps({"moves": sorted(moves)})
        targets = self.targets
        if targets is None:
            return json.dumps({"allocation": None})
        return json.dumps({"allocation": {coin: f"{targets[coin]:f}" for coin in sorted(targets) if targets[coin]}})

    def as_allocation(self, signal_id: str) -> Signal:
        """Its allocation as a target of our own."""
        return replace(self, version=2, signal_id=signal_id, actions=())


class InvalidSignal(ValueError):
    """An answer that is refused; without a `signal_id` it is no signal at all."""

    def __init__(self, reason: str, signal_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.signal_id = signal_id


class UnknownCoin(InvalidSignal):
    """A signal with coins (their codes, at most 20) that the follower does not trade."""

    def __init__(self, coins: tuple[str, ...]) -> None:
        super().__init__(f"unknown coin: {', '.join(coins)}")
        self.coins = coins


def sells_out(signal_id: str) -> bool:
    """Whether a record of the follower's own sells everything: a stop loss, or the owner's exit."""
    return signal_id.startswith((STOP_LOSS, EXIT))
