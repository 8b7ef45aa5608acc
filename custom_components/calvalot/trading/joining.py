"""How a portfolio without positions joins a source that only says moves: by the allocation that comes with them.

An allocation is joined by taking it up.
"""

from datetime import timedelta

from .ledger.ledger import Ledger
from .ledger.records import Result, SignalRecord
from .signal import INITIAL_SYNC, Signal
from .sources.state import SourceState
from .wants import Allocation, Moves

# How far the clocks of a source and the exchange may be apart.
CLOCKS = timedelta(minutes=5)


class Joining:
    """Tells whether a signal's allocation is to be taken up as a whole, and whether that was done."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def is_wanted(self, signal: Signal) -> bool:
        """Whether moves come with the allocation of a source that a portfolio without positions has not joined yet."""
        if not isinstance(signal.wants, Moves) or not signal.targets:
            return False
        if await self._ledger.ask(self._ledger.has_joined):
            return False
        book = await self._ledger.ask(self._ledger.book)
        return not book.portfolio.positions

    async def is_covered(self, source: SourceState, signal: Signal) -> bool:
        """Whether moves were covered by joining under a ledger that is lost: the orders of that say when it was."""
        key = source.named(INITIAL_SYNC)
        if not isinstance(signal.wants, Moves) or await self._ledger.ask(self._ledger.signal, key) is not None:
            return False
        joined = await self._ledger.ask(self._ledger.orders, key)
        moments = [order.executed_at or order.created_at for order in joined]
        return bool(moments) and (signal.created_at is None or signal.created_at <= max(moments) + CLOCKS)

    async def by(self, source: SourceState, signal: Signal) -> SignalRecord | None:
        """The record by which this signal was joined."""
        known = await self._ledger.ask(self._ledger.signal, source.named(INITIAL_SYNC))
        return known if known and known.origin == signal.signal_id else None

    async def goes_on(self, source: SourceState, signal: Signal) -> bool:
        """Whether joining by this signal is wanted, or not over yet."""
        record = await self.by(source, signal)
        return (record is not None and record.result in {Result.OPEN, Result.WAITING}) or await self.is_wanted(signal)


def as_allocation(signal: Signal) -> Allocation | None:
    """What a signal wants as an allocation; None where it has none."""
    if isinstance(signal.wants, Allocation):
        return signal.wants
    return None if signal.targets is None else Allocation(shares=signal.targets)
