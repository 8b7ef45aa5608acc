"""The blend as one source of the portfolio, with the state of each of its sources."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import override

from ..decimals import ONE
from ..events import EventQueue
from ..ledger.ledger import Ledger
from ..ledger.records import Result, SignalRecord
from ..settings import Settings
from ..signal import InvalidSignal, Signal, SourceKind
from ..wants import Allocation
from .base import Moment
from .blend import MOVES, Part, blend_id, blended, least_of, seen_by, targets_of
from .state import UNFINISHED, SourceState

DAY = timedelta(days=1)


class BlendSource:
    """The parts as one source; `parts` are those of this cycle."""

    kind = SourceKind.BLEND
    remote = False
    band: Decimal | None = None

    def __init__(self, members: Sequence[SourceState]) -> None:
        self._members = members
        self.jitter = any(member.source.jitter for member in members)
        self.memory: str | None = None
        self.parts: tuple[Part, ...] = ()

    async def fetch(self, coins: Collection[str]) -> None:
        """Ask all of them; each failure is their own."""
        await asyncio.gather(*(member.fetch(coins) for member in self._members))

    def decide(self, moment: Moment) -> Signal | None:
        """What they want together, where one of them has said something new."""
        return self.current(moment) if any(part.is_new for part in self.parts) else None

    def current(self, moment: Moment) -> Signal | None:
        """What they want together by their last words; None where none has said anything."""
        if not self.parts:
            return None
        spoken = [each.latest for part in self.parts for each in self._members if part.is_new and part.key == each.key]
        told = next((signal for signal in spoken if signal), None)
        return Signal(
            signal_id=blend_id(self.parts),
            wants=blended(self.parts, moment.weights),
            targets=self.targets,
            confidence=told.confidence if told else None,
            reasoning=told.reasoning if told else "",
        )

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """Shares by coin in the whole portfolio."""
        return targets_of(self.parts) if self.parts else None

    def next_due(self, moment: Moment) -> datetime | None:  # noqa: ARG002
        """None: each of them has its own time."""
        return None


class BlendState(SourceState):
    """The blend as the portfolio knows it: each of its sources is asked, remembered and watched for itself."""

    def __init__(
        self,
        members: Sequence[SourceState],
        settings: Settings,
        ledger: Ledger,
        clock: Callable[[], datetime],
        events: EventQueue,
    ) -> None:
        self._blend = BlendSource(members)
        super().__init__(self._blend, SourceKind.BLEND, settings, ledger, clock, events)
        self.members = members
        self._stale: set[str] = set()

    @property
    def parts(self) -> Sequence[Part]:
        """What was blended in the last cycle."""
        return self._blend.parts

    @property
    @override
    def due(self) -> datetime | None:
        """The first time at which one of them wants a cycle."""
        times = (member.due for member in self.members if not self._is_paused(member))
        return min(filter(None, (super().due, *times)), default=None)

    @override
    async def load(self) -> None:
        for member in self.members:
            await member.load()

    @override
    async def decide(
        self,
        prices: Mapping[str, Decimal],
        weights: Mapping[str, Decimal] | None,
        smallest: Mapping[str, Decimal],
        capital: Decimal | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        """Have each source say what it wants of its own part, and blend that. Raises LedgerError."""
        known = {part.key: part for part in await self._parts()}
        targets = targets_of(list(known.values()))
        newest = await self._newest()
        is_open = is_open or (newest is not None and newest.result in UNFINISHED)
        for member in self.members:
            if self._is_paused(member):
                member.incoming = None
                continue
            part = known.get(member.key)
            seen = seen_by(part, targets, weights) if part and weights is not None else weights
            await member.decide(prices, seen, least_of(smallest, part, targets), is_open=is_open)
            if isinstance(member.incoming, Signal) and not isinstance(member.incoming.wants, Allocation):
                member.incoming = InvalidSignal(MOVES, member.incoming.signal_id)
            member.hear()
        self._blend.parts = await self._parts()
        self._tell_stale({part.key for part in self.parts if part.is_stale})
        await super().decide(prices, weights, smallest, capital)

    @override
    def drafted(self, key: str | None, draft: Signal) -> Signal:
        """What they want together with a draft for one of them; without a key the first own allocation is meant."""
        own = (member.key for member in self.members if member.source.kind is SourceKind.ALLOCATION)
        key = key if key in {member.key for member in self.members} else next(own, None)
        parts = [replace(part, shares=_shares(draft)) if part.key == key else part for part in self.parts]
        wants = blended(parts, self._moment.weights)
        return replace(draft, wants=wants, targets=targets_of(parts))

    @override
    async def taken_up(self, signal_id: str) -> None:
        """Write down which signals went into a blend. Raises LedgerError."""
        for member in self.members:
            if (signal := member.latest) is None or not await self._is_new(member, signal.signal_id):
                continue
            record = SignalRecord(
                source=member.key,
                signal_id=signal.signal_id,
                origin=signal.signal_id,
                wants=Allocation(shares=_shares(signal)),
                seen_at=await member.seen_at(signal.signal_id),
                created_at=signal.created_at,
                confidence=signal.confidence,
                reasoning=signal.reasoning,
                result=Result.BLENDED,
                reason=signal_id,
            )
            known = await self._ledger.ask(self._ledger.signal, record.key)
            record = replace(record, seq=known.seq if known else 0)
            await self._ledger.ask(self._ledger.write_signal, record, {member.latest_fact: signal.signal_id})
            await member.taken_up(signal.signal_id)

    @override
    async def watch_silence(self) -> None:
        for member in self.members:
            await member.watch_silence()

    # Inside

    def _tell_stale(self, stale: set[str]) -> None:
        """Report once that a source was not heard for too long."""
        for key in sorted(stale - self._stale):
            self._events.alert("source_stale", source=key, days=round(self._settings.max_source_age / DAY, 1))
        self._stale = stale

    def _is_paused(self, member: SourceState) -> bool:
        return member.key in self._settings.paused_sources

    async def _is_new(self, member: SourceState, signal_id: str) -> bool:
        known = await self._ledger.ask(self._ledger.signal, member.named(signal_id))
        return known is None or known.result is Result.REJECTED

    async def _parts(self) -> tuple[Part, ...]:
        """What each source wants by its last word, in memory or in the ledger; not of those that never said anything."""
        parts = []
        for member in self.members:
            kept = await self._ledger.ask(self._ledger.newest_allocation, member.key)
            told = member.latest
            shares = _shares(told) if told else None
            if shares is None and not member.source.remote:
                shares = member.source.targets
            if shares is None and kept and isinstance(kept.wants, Allocation):
                shares = kept.wants.shares
            if shares is None:
                continue
            parts.append(
                Part(
                    key=member.key,
                    weight=self._settings.weights.get(member.key, ONE),
                    shares=shares,
                    signal_id=told.signal_id if told else (kept.signal_id if kept else ""),
                    is_new=told is not None and await self._is_new(member, told.signal_id),
                    is_stale=await self._is_stale(member, kept),
                )
            )
        return tuple(parts)

    async def _is_stale(self, member: SourceState, kept: SignalRecord | None) -> bool:
        """Whether a source that is to be heard was not for too long; a paused one is not asked."""
        if not member.goes_stale or self._is_paused(member):
            return False
        heard = member.heard_at or (kept.seen_at if kept else None)
        return heard is not None and self._clock() - heard > self._settings.max_source_age


def _shares(signal: Signal) -> Mapping[str, Decimal]:
    """The whole allocation of a source, of which its signal may want a part."""
    return signal.targets or {}


def deciding(
    members: tuple[SourceState, ...],
    settings: Settings,
    ledger: Ledger,
    clock: Callable[[], datetime],
    events: EventQueue,
) -> tuple[SourceState, ...]:
    """What decides: the only source, or all of them blended; blended is one, too, that decides on a part of the portfolio only."""
    if len(members) < 2 and all(settings.weights.get(member.key, ONE) == ONE for member in members):
        return members
    return (BlendState(members, settings, ledger, clock, events),)
