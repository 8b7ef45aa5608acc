"""A deposit or withdrawal that the account's history names, proposed for booking; as it is remembered."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
import json
from typing import Any

from .ledger.records import FlowKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A deposit or withdrawal that the account's history names, in quote; a withdrawal is negative."""

    id: str
    time: datetime
    amount_quote: Decimal

    @property
    def kind(self) -> FlowKind:
        """What it would be booked as."""
        return FlowKind.DEPOSIT if self.amount_quote > 0 else FlowKind.WITHDRAWAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Up to when the history is known, and the quote beyond the books then, with all that was paid into this one.

    `open` are the proposals, `known` the ids of what was ever proposed.
    """

    at: datetime
    beyond: Decimal
    open: tuple[Proposal, ...] = ()
    known: tuple[str, ...] = ()

    def without(self, proposal: Proposal) -> Seen:
        """The same without one of the proposals; it is known still."""
        return replace(self, open=tuple(each for each in self.open if each != proposal))


def to_text(seen: Seen) -> str:
    """As JSON."""
    return json.dumps(asdict(seen), default=str)


def from_text(text: str) -> Seen:
    """What `to_text` wrote."""
    known: dict[str, Any] = json.loads(text)
    return Seen(
        at=datetime.fromisoformat(known["at"]),
        beyond=Decimal(known["beyond"]),
        open=tuple(
            Proposal(
                id=each["id"],
                time=datetime.fromisoformat(each["time"]),
                amount_quote=Decimal(each["amount_quote"]),
            )
            for each in known["open"]
        ),
        known=tuple(known["known"]),
    )
