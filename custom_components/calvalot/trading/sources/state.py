"""One source of a portfolio: asked, and remembered how it is, what it said last and when it is to be heard."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
import logging

from ..errors import SourceError, SourceFailed
from ..events import EventQueue
from ..ledger.ledger import Ledger
from ..ledger.records import Result, SignalRecord
from ..settings import Settings
from ..signal import InvalidSignal, Kind, Signal, SignalKey, UnknownCoin
from .base import Listens, Moment, Source

_LOGGER = logging.getLogger(__name__)

# Failures in a row after which a source, or the exchange, counts as lost.
LOST_AFTER = 3
UNFINISHED = frozenset({Result.OPEN, Result.WAITING})
# The signal of a source that was written down last; for a leader as before there were others.
LATEST = "latest_signal"


class SourceState:
    """What the portfolio knows of one source.

    `incoming` is what it said in the last cycle, `latest` the last valid signal, `refused` the last one where that is invalid.
    `returned` is an older signal that it shows again. `due` is when a cycle is wanted for it. `connected` is None until it was
    asked, and for a source that is not remote. `heard_at` is when it last answered. `members` are the sources of a blend.
    """

    members: Sequence[SourceState] = ()

    def __init__(
        self,
        source: Source,
        key: str,
        settings: Settings,
        ledger: Ledger,
        clock: Callable[[], datetime],
        events: EventQueue,
    ) -> None:
        self.source = source
        self.key = key
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._events = events
        self._answered = False
        self._failed = 0
        self._last_new = clock()
        self._silent = False
        self._done: str | None = None
        self._moment = Moment(now=clock(), prices={})
        self.incoming: Signal | InvalidSignal | None = None
        self.latest: Signal | None = None
        self.refused: InvalidSignal | None = None
        self.returned: str | None = None
        self.turn: datetime | None = None
        self.connected: bool | None = None
        self.problem: SourceError | None = None
        self.heard_at: datetime | None = None

    @property
    def unknown_coins(self) -> tuple[str, ...]:
        """Coins that the last signal names and that are not traded here."""
        return self.refused.coins if isinstance(self.refused, UnknownCoin) else ()

    @property
    def due(self) -> datetime | None:
        """When a cycle is wanted: the turn of a signal that waits, or the source's own time."""
        own = self.source.next_due(self._moment)
        return min(filter(None, (self.turn, own)), default=None)

    @property
    def is_lost(self) -> bool:
        """Whether it failed several times in a row."""
        return self._failed >= LOST_AFTER

    @property
    def goes_stale(self) -> bool:
        """Whether it is to be heard from time to time."""
        return self.source.remote

    @property
    def latest_fact(self) -> str:
        """Name of the fact that holds the id of the signal that was written down last."""
        return LATEST if self.key == self.source.kind else f"{LATEST}_{self.key}"

    def named(self, signal_id: str) -> SignalKey:
        """The key of one of its signals."""
        return SignalKey(self.key, signal_id)

    def become(self, source: Source) -> None:
        """Go on with the source as it was tuned, and what the one before remembered."""
        source.memory = self.source.memory
        self.source = source
        self.latest = self.refused = None

    async def load(self) -> None:
        """Give the source back what it wanted to remember. Raises LedgerError."""
        self.source.memory = await self._ledger.ask(self._ledger.fact, self._memory)

    @property
    def asked(self) -> Sequence[SourceState]:
        """The sources that are asked what they want: those of a blend, else this one."""
        return self.members or (self,)

    async def fetch(self, coins: Collection[str]) -> None:
        """Ask the source; a failure is its own and leaves everything else as it is."""
        self.incoming = None
        self._answered = False
        if isinstance(self.source, Listens):
            self.source.tell(self._done if self._settings.tell_leader else None)
        try:
            await self.source.fetch(coins)
        except SourceError as err:
            self._fail(err)
        except Exception as err:  # noqa: BLE001  # a fault of the source, which is logged
            self._break(err)
        else:
            self._answered = True

    async def decide(
        self,
        prices: Mapping[str, Decimal],
        weights: Mapping[str, Decimal] | None,
        smallest: Mapping[str, Decimal],
        capital: Decimal | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        """Have the source say what it wants; `incoming` is that. `is_open`: what it is blended into is. Raises LedgerError."""
        newest = await self._newest()
        self._moment = Moment(
            now=self._clock(),
            prices=prices,
            weights=weights,
            smallest=smallest,
            last=newest.seen_at if newest else None,
            is_open=is_open or (newest is not None and newest.result in UNFINISHED),
            only=self._settings.only,
            capital=capital,
        )
        if not self._answered:
            return
        memory = self.source.memory
        try:
            self.incoming = self.source.decide(self._moment)
        except Exception as err:  # noqa: BLE001
            self._break(err)
            return
        self._recover()
        if self.source.memory != memory:
            await self._ledger.ask(self._ledger.remember, self._memory, self.source.memory)

    def hear(self) -> None:
        """Take note of what was said in the last cycle."""
        match self.incoming:
            case InvalidSignal() as refused:
                self.refused = refused
            case Signal() as signal:
                self.refused = None
                self.latest = signal

    def current(self) -> Signal | None:
        """What the source wants by its last word."""
        return self.source.current(replace(self._moment, now=self._clock()))

    async def seen_at(self, signal_id: str) -> datetime:
        """When a signal was first seen, whatever came between. Raises LedgerError."""
        return await self._ledger.ask(self._ledger.sight, self.named(signal_id)) or self._clock()

    async def see(self, signal_id: str) -> None:
        """Write down when a signal was first seen that cannot be taken up yet. Raises LedgerError."""
        key = self.named(signal_id)
        if await self._ledger.ask(self._ledger.sight, key) is None:
            await self._ledger.ask(self._ledger.write_sight, key, self._clock())

    def drafted(self, key: str | None, draft: Signal) -> Signal:  # noqa: ARG002  # there is no other part than its own
        """What it would want with a draft of another allocation of the source with a key."""
        return draft

    async def taken_up(self, signal_id: str) -> None:
        """Take note that a signal of its own was written down. Raises LedgerError."""

    async def watch_silence(self) -> None:
        """Report once that no new signal came for too long, counted from the start or the last new one, and note how far it was
        followed. Raises LedgerError."""
        if not self.source.remote:
            return
        newest = await self._newest()
        if newest and newest.kind is Kind.SIGNAL and newest.result not in UNFINISHED:
            self._done = newest.signal_id
        if newest and newest.seen_at > self._last_new:
            self._last_new = newest.seen_at
            self._silent = False
        if not self._silent and self._clock() - self._last_new >= self._settings.silence_alert:
            self._silent = True
            hours = round(self._settings.silence_alert.total_seconds() / 3600, 1)
            self._events.alert(f"{self.source.kind}_silent", hours=hours)

    # Inside

    @property
    def _memory(self) -> str:
        return f"source_{self.key}"

    async def _newest(self) -> SignalRecord | None:
        """Its signal that was taken up last."""
        return await self._ledger.ask(self._ledger.newest_of, self.key)

    def _break(self, err: Exception) -> None:
        """Take note of what the source should not have raised."""
        _LOGGER.error("The source %s failed", self.key, exc_info=err)
        self._fail(SourceFailed(f"the source failed: {type(err).__name__}"))

    def _fail(self, problem: SourceError) -> None:
        self._failed += 1
        self.problem = problem
        if not self.source.remote:
            return
        self.connected = False
        if self._failed == LOST_AFTER:
            self._events.alert(f"{self.source.kind}_lost", reason=str(problem), cause=problem.key)

    def _recover(self) -> None:
        if self.source.remote:
            if self.is_lost:
                self._events.alert(f"{self.source.kind}_back")
            self.connected = True
        self._failed = 0
        self.problem = None
        self.heard_at = self._clock()
