"""What a source is: it fetches what it needs, then decides what the portfolio should hold."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

from ..exchanges.base import Side
from ..signal import InvalidSignal, Signal, SourceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a source may know when it decides.

    `now` is UTC; `prices` by coin are in quote; `weights` are the portfolio's own by coin (fractions, cash is the rest), None
    without a complete valuation, and `smallest` is the least of each coin that can be traded now, as a fraction too. `capital` is what it is worth in
    quote, None also where the source decides on a part of it only. `last` is when the source's last signal was taken up, `is_open` whether that one can still
    be traded or waits for its owner. With `only` a side nothing is traded on the other one.
    """

    now: datetime
    prices: Mapping[str, Decimal]
    weights: Mapping[str, Decimal] | None = None
    smallest: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    last: datetime | None = None
    is_open: bool = False
    only: Side | None = None
    capital: Decimal | None = None


class Source(Protocol):
    """Something that says what a portfolio should hold.

    `remote`: it is asked over a network, and can be lost and come back. `jitter`: it speaks to many portfolios at once, so that
    each waits a little. `band` is how far a weight may be off its target (a fraction of it), None where the portfolio's threshold
    counts. `memory` is a short text that is kept in the ledger for it over restarts.
    """

    kind: SourceKind
    remote: bool
    jitter: bool
    band: Decimal | None
    memory: str | None

    async def fetch(self, coins: Collection[str]) -> None:
        """Ask for what is needed to decide; `coins` are those that may be traded. Raises SourceError."""
        ...

    def decide(self, moment: Moment) -> Signal | InvalidSignal | None:
        """What the source says now: a signal, one that is refused, or nothing new. Pure but for `memory`."""
        ...

    def current(self, moment: Moment) -> Signal | None:
        """What the source wants by its last word, whenever that was; None where it has none."""
        ...

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """Shares by coin that the source aims at (fractions), as the entities show them; None where it has not said."""
        ...

    def next_due(self, moment: Moment) -> datetime | None:
        """When the source wants a cycle before its time (UTC); None where any will do."""
        ...


@runtime_checkable
class Listens(Protocol):
    """A source that is to know how far a portfolio has come with its signals."""

    def tell(self, signal_id: str | None) -> None:
        """Say from now on which of its signals the portfolio has done with last; None: say nothing."""
        ...
