"""What of the sources' signals is written down: taken up, refused, covered by another record."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
import logging

from .events import EventQueue
from .ledger.ledger import Ledger
from .ledger.records import Result, SignalRecord
from .order_names import OrderNames
from .signal import InvalidSignal, Kind, Signal
from .sources.state import SourceState
from .wants import Wants

_LOGGER = logging.getLogger(__name__)


class SignalRecords:
    """Writes signals down, each once, before anything of them is traded."""

    def __init__(self, ledger: Ledger, names: OrderNames, clock: Callable[[], datetime], events: EventQueue) -> None:
        self._ledger = ledger
        self._names = names
        self._clock = clock
        self._events = events

    async def is_new(self, source: SourceState, signal: Signal) -> bool:
        """Whether a signal was never taken up; one that was refused counts again once it is understood."""
        known = await self._ledger.ask(self._ledger.signal, source.named(signal.signal_id))
        return known is None or known.result is Result.REJECTED

    async def note_return(self, source: SourceState, signal_id: str) -> None:
        """Notice a source that shows an older signal again: its id was seen before, so nothing of it is traded."""
        latest = await self._ledger.ask(self._ledger.fact, source.latest_fact)
        known = await self._ledger.ask(self._ledger.signal, source.named(signal_id))
        returned = signal_id if known and latest not in {None, signal_id} else None
        if returned and returned != source.returned:
            _LOGGER.warning("Signal %s is shown again, which %s has replaced", returned, latest)
        source.returned = returned

    async def reject(self, source: SourceState, invalid: InvalidSignal) -> None:
        """Write down once that a signal was refused as a whole."""
        signal_id = invalid.signal_id or ""
        if await self._ledger.ask(self._ledger.signal, source.named(signal_id)):
            return
        _LOGGER.warning("Signal %s is refused: %s", signal_id, invalid.reason)
        record = SignalRecord(
            source=source.key,
            signal_id=signal_id,
            seen_at=await source.seen_at(signal_id),
            result=Result.REJECTED,
            reason=invalid.reason,
        )
        self._events.signal(await self.write(record, {source.latest_fact: signal_id}))

    async def cover(self, source: SourceState, signal: Signal, by: str, result: Result) -> None:
        """Take a signal as done: its allocation was taken up as a whole under another id."""
        record = await self.record(source, signal, Kind.SIGNAL, signal.signal_id, signal.wants)
        record = replace(record, result=result, reason=f"covered by {by}")
        await self.write(record, {source.latest_fact: signal.signal_id})

    async def open(
        self, source: SourceState, signal: Signal, kind: Kind, signal_id: str, wants: Wants | None
    ) -> SignalRecord:
        """Take a signal up: from here on it is written down."""
        record = await self.record(source, signal, kind, signal_id, wants)
        record = await self.write(record, {source.latest_fact: signal.signal_id})
        await source.taken_up(record.signal_id)
        await self._ledger.ask(self._names.adopt, record.key)
        _LOGGER.info("Signal %s is taken up", signal_id)
        self._events.received(record)
        return record

    async def record(
        self, source: SourceState, signal: Signal, kind: Kind, signal_id: str, wants: Wants | None
    ) -> SignalRecord:
        """A record to be written, in the place of one that was refused before."""
        known = await self._ledger.ask(self._ledger.signal, source.named(signal_id))
        said = kind is Kind.SIGNAL
        return SignalRecord(
            seq=known.seq if known else 0,
            source=source.key,
            kind=kind,
            signal_id=signal_id,
            origin=signal.signal_id,
            wants=wants,
            seen_at=await source.seen_at(signal_id) if said else self._clock(),
            created_at=signal.created_at if said else None,
            confidence=signal.confidence,
            reasoning=signal.reasoning,
        )

    async def write(self, record: SignalRecord, remember: dict[str, str] | None = None) -> SignalRecord:
        """Write a record; where it is new, with the id of the signal that it is made from as its source's latest."""
        return await self._ledger.ask(self._ledger.write_signal, record, remember)
