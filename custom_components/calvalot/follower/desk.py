"""Which signal counts: takes new ones up, pursues what is open, closes what is overtaken."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
import logging

from . import views
from .executor import Executor
from .journal import Journal
from .ledger import Ledger
from .observer import Observer, View
from .planner import LeftOut, PlannedOrder
from .schema import OrderRecord, OrderState, Result, SignalRecord
from .settings import Approval, Settings
from .signal import InvalidSignal, Signal, UnknownCoin, parse_signal
from .trader import Outlook, Trader
from .treasury import FollowerError

_LOGGER = logging.getLogger(__name__)

INITIAL_SYNC = "initial_sync"
SYNC = "sync-"
STOP_LOSS = "stop_loss-"
OVERTAKEN = "overtaken by a newer signal"
WAITS = "waits for its turn"
TOO_OLD = "too old"


class Desk:
    """Decides what a signal means for one follower and has it traded."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        executor: Executor,
        observer: Observer,
        clock: Callable[[], datetime],
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._executor = executor
        self._observer = observer
        self._clock = clock
        self._journal = journal
        self._trader = Trader(executor, ledger, settings.limits, clock, settings.max_trades_per_day)
        self._first_sight: tuple[str, datetime] | None = None
        self.latest: Signal | None = None
        self.unknown_coins: tuple[str, ...] = ()
        self.due: datetime | None = None

    async def decide(self, view: View, *, active: bool, ready: bool) -> None:
        """One cycle's decision on what the leader says. `ready`: everything needed for trading is known."""
        self.due = None
        await self._catch_up()
        incoming = self._observer.incoming
        if isinstance(incoming, InvalidSignal):
            await self._reject(incoming)
            return
        if not active or not ready:
            await self._pursue_exit(view, ready=ready)
            return
        busy = await self._pursue_open(view)
        if isinstance(incoming, Signal) and not busy and await self._is_new(incoming):
            await self._take_up(incoming, view)

    async def sync(self, view: View) -> SignalRecord:
        """Rebalance to the leader's latest allocation now. Raises FollowerError without one."""
        self._hear()
        if self.latest is None or self.latest.targets is None:
            raise FollowerError("no_allocation")
        await self._overtake(None)
        if self.latest.version == 1 and await self._is_new(self.latest):
            await self._cover(self.latest, "sync")
        record = await self._open(f"{SYNC}{views.iso(self._clock())}", self.latest)
        return await self._pursue(record, _allocation(self.latest, record.signal_id), view)

    async def waiting(self) -> SignalRecord | None:
        """The signal that waits for its owner's word."""
        return next(iter(await asyncio.to_thread(self._ledger.open_signals, Result.WAITING)), None)

    def expires(self, record: SignalRecord) -> datetime:
        """When a waiting signal is given up."""
        return (record.asked_at or record.seen_at) + self._settings.approval_timeout

    async def asked(self, signal_id: str | None) -> SignalRecord | None:
        """The signal that still waits, after what the leader said in the last look; None where it is not this one."""
        await self._catch_up()
        record = await self.waiting()
        return record if record and signal_id in {None, record.signal_id} else None

    async def approve(self, record: SignalRecord, view: View) -> SignalRecord:
        """Trade a waiting signal, planned again from fresh figures.

        It goes on waiting where the leader has changed it since. Raises FollowerError where it has not told it yet.
        """
        if (signal := self._signal_of(record)) is None:
            raise FollowerError("signal_unheard")
        return await self._pursue(await self._write(replace(record, result=Result.OPEN)), signal, view)

    async def drop(self, record: SignalRecord, reason: str) -> SignalRecord:
        """Trade nothing more of a signal."""
        record = await asyncio.to_thread(self._trader.give_up, record, reason)
        await self._end(record)
        return record

    async def exit(self, view: View) -> None:
        """Sell everything that can be sold."""
        await self._overtake(None)
        signal = _exit(f"{STOP_LOSS}{views.iso(self._clock())}")
        await self._pursue(await self._open(signal.signal_id, signal), signal, view)

    async def outlook(self, view: View) -> tuple[Sequence[PlannedOrder], Sequence[LeftOut]]:
        """What the current signal would trade. Raises FollowerError without a signal or a valuation."""
        self._hear()
        if (signal := self.latest) is None:
            raise FollowerError("no_allocation")
        waiting = await self.waiting()
        if (waiting and waiting.signal_id == INITIAL_SYNC) or await self._wants_initial_sync(signal):
            signal = _allocation(signal, INITIAL_SYNC)
        if view.account is None:
            raise FollowerError("no_valuation")
        outlook = await self._trader.outlook(signal, signal.signal_id, view.account, view.market, with_proceeds=True)
        if outlook is None:
            raise FollowerError("no_valuation")
        return outlook.orders, outlook.left_out

    async def tell(self, orders: Sequence[OrderRecord]) -> None:
        """Tell what became of orders."""
        traded = [order.seq for order in orders if order.state is OrderState.BOOKED and order.executed_quantity]
        if traded:
            self._journal.trades(await asyncio.to_thread(self._ledger.trades_of, traded))
        self._journal.refusals(orders)
        if any(order.state is OrderState.REJECTED for order in orders):
            self._observer.forget_rules()

    # New signals

    def _hear(self) -> None:
        """Know what the leader said in the last look."""
        if self._observer.incoming is not None:
            self._note(self._observer.incoming)

    def _note(self, incoming: Signal | InvalidSignal) -> None:
        """Remember what came, and when it was first seen."""
        signal_id = incoming.signal_id or ""
        if self._first_sight is None or self._first_sight[0] != signal_id:
            self._first_sight = (signal_id, self._clock())
        self.unknown_coins = incoming.coins if isinstance(incoming, UnknownCoin) else ()
        if isinstance(incoming, Signal):
            self.latest = incoming

    async def _is_new(self, signal: Signal) -> bool:
        """Whether a signal was never taken up; one that was refused counts again once it is understood."""
        known = await asyncio.to_thread(self._ledger.signal, signal.signal_id)
        return known is None or known.result is Result.REJECTED

    async def _reject(self, invalid: InvalidSignal) -> None:
        """Write down once that a signal was refused as a whole."""
        signal_id = invalid.signal_id or ""
        if await asyncio.to_thread(self._ledger.signal, signal_id):
            return
        _LOGGER.warning("Signal %s is refused: %s", signal_id, invalid.reason)
        record = await self._write(
            SignalRecord(
                signal_id=signal_id,
                version=None,
                seen_at=self._clock(),
                result=Result.REJECTED,
                reason=invalid.reason,
            )
        )
        self._journal.signal(record)

    async def _take_up(self, signal: Signal, view: View) -> None:
        if await self._wants_initial_sync(signal):
            record = await self._open(INITIAL_SYNC, signal)
            record = await self._pursue(record, _allocation(signal, INITIAL_SYNC), view)
            if record.result in {Result.OPEN, Result.WAITING}:
                return
        sync = await asyncio.to_thread(self._ledger.signal, INITIAL_SYNC)
        if sync and sync.source == signal.signal_id:
            refused = sync.asked_at and sync.result is Result.SKIPPED and sync.reason != OVERTAKEN
            if refused or signal.version == 1:
                await self._cover(signal, INITIAL_SYNC, Result.SKIPPED if refused else Result.EXECUTED)
                return
        await self._pursue(await self._open(signal.signal_id, signal), signal, view)

    async def _wants_initial_sync(self, signal: Signal) -> bool:
        """Whether a follower that never followed and holds nothing joins a leader that holds something.

        One whose first purchase was overtaken before anything of it was traded has not joined yet.
        """
        if not signal.targets:
            return False
        sync = await asyncio.to_thread(self._ledger.signal, INITIAL_SYNC)
        overtaken = sync is not None and sync.result is Result.SKIPPED and sync.reason == OVERTAKEN
        if not overtaken and await asyncio.to_thread(self._ledger.has_followed):
            return False
        book = await asyncio.to_thread(self._ledger.book)
        return not book.portfolio.positions

    async def _cover(self, signal: Signal, by: str, result: Result = Result.EXECUTED) -> None:
        """Take a signal as done: its allocation was taken up as a whole under another id."""
        record = await self._record(signal.signal_id, signal)
        await self._write(replace(record, result=result, reason=f"covered by {by}"))

    async def _open(self, signal_id: str, signal: Signal) -> SignalRecord:
        """Take a signal up: from here on it is written down."""
        record = await self._record(signal_id, signal)
        if signal_id != signal.signal_id:  # an allocation of our own making
            record = replace(record, version=2, created_at=None)
        record = await self._write(record)
        await self._executor.adopt(signal_id, tuple(self._symbols(signal)))
        _LOGGER.info("Signal %s is taken up", signal_id)
        self._journal.received(record)
        return record

    async def _record(self, signal_id: str, signal: Signal) -> SignalRecord:
        """A record to be written, in the place of one that was refused before."""
        sight = self._first_sight
        known = await asyncio.to_thread(self._ledger.signal, signal_id)
        return SignalRecord(
            seq=known.seq if known else 0,
            signal_id=signal_id,
            version=signal.version,
            seen_at=sight[1] if sight and sight[0] == signal_id else self._clock(),
            created_at=signal.created_at,
            confidence=signal.confidence,
            reasoning=signal.reasoning,
            payload=signal.payload,
            source=signal.signal_id,
        )

    def _symbols(self, signal: Signal) -> set[str]:
        coins = {*(signal.targets or {}), *(action.coin for action in signal.actions), *self._settings.coins}
        return {f"{coin}{self._settings.quote}" for coin in coins}

    # Open signals

    async def _catch_up(self) -> None:
        """Know what the leader said in the last look; close what it overtook and what waited too long for a word."""
        self._hear()
        if self._observer.incoming is not None:
            await self._overtake(self._observer.incoming.signal_id)
        record = await self.waiting()
        if record and self._clock() >= self.expires(record):
            await self.drop(record, "approval expired")

    async def _overtake(self, latest_id: str | None) -> None:
        """Close what is open or waits and does not come from the latest signal."""
        for result in (Result.OPEN, Result.WAITING):
            for record in await asyncio.to_thread(self._ledger.open_signals, result):
                if record.source == latest_id or (latest_id and record.signal_id.startswith(STOP_LOSS)):
                    continue
                await self.drop(record, OVERTAKEN)

    async def _pursue_open(self, view: View) -> bool:
        """Place what can still be placed of open signals; whether one of them stays open or waits."""
        waiting = await self.waiting() is not None
        for record in await asyncio.to_thread(self._ledger.open_signals):
            if (signal := self._signal_of(record)) is None:
                waiting = True  # the leader has not told it again since the start
                continue
            record = await self._pursue(record, signal, view)  # noqa: PLW2901
            waiting = waiting or record.result in {Result.OPEN, Result.WAITING}
        return waiting

    async def _pursue_exit(self, view: View, *, ready: bool) -> None:
        """A stop loss sells on though the follower is paused."""
        for record in await asyncio.to_thread(self._ledger.open_signals):
            if ready and record.signal_id.startswith(STOP_LOSS):
                await self._pursue(record, _exit(record.signal_id), view)

    def _signal_of(self, record: SignalRecord) -> Signal | None:
        if record.signal_id.startswith(STOP_LOSS):
            return _exit(record.signal_id)
        if self.latest is None or self.latest.signal_id != record.source:
            return None
        if self.latest.signal_id == record.signal_id:
            return self.latest
        return None if self.latest.targets is None else _allocation(self.latest, record.signal_id)

    async def _pursue(self, record: SignalRecord, signal: Signal, view: View) -> SignalRecord:
        if view.account is None or self._observer.exchange_problem:
            return record
        old = self._age(record) > self._settings.max_signal_age
        if old and signal.version == 1 and await self._is_untouched(record):
            await self.drop(record, TOO_OLD)
            return record
        if self._must_ask(record, signal):
            outlook = await self._trader.outlook(
                signal, record.signal_id, view.account, view.market, with_proceeds=True
            )
            if outlook and outlook.orders:
                return await self._ask(record, signal, outlook)
            record = await self._trader.judge(record, outlook, last_pass=old)
        elif self._clock() < (due := self._turn(record)):
            self.due = due
            return record if record.reason == WAITS else await self._write(replace(record, reason=WAITS))
        else:
            record, orders = await self._trader.pursue(
                record, signal, view.account, view.market, self._observer.fee_prices, last_pass=old
            )
            await self.tell(orders)
        if record.result is not Result.OPEN:
            await self._end(record)
        return record

    async def _is_untouched(self, record: SignalRecord) -> bool:
        """Whether a signal was never planned: neither an order nor a question nor a reason was made of it."""
        if record.asked_at or record.reason not in {"", WAITS}:
            return False
        return not await asyncio.to_thread(self._ledger.orders, record.signal_id)

    def _turn(self, record: SignalRecord) -> datetime:
        """When the first order of a signal may go out; what its owner asked for or said yes to does not wait."""
        if record.asked_at or record.signal_id.startswith((SYNC, STOP_LOSS)):
            return record.seen_at
        return record.seen_at + self._settings.delay(record.source)

    def _must_ask(self, record: SignalRecord, signal: Signal) -> bool:
        """Whether the owner has yet to say yes to a signal as it is now; a sync and a stop loss are his word already."""
        if self._settings.approval is Approval.AUTOMATIC or record.signal_id.startswith((SYNC, STOP_LOSS)):
            return False
        return record.asked_at is None or not _tells_the_same(record, signal)

    async def _ask(self, record: SignalRecord, signal: Signal, outlook: Outlook) -> SignalRecord:
        """Let a signal wait for its owner's word on a plan."""
        record = await self._write(
            replace(
                record,
                result=Result.WAITING,
                asked_at=self._clock(),
                confidence=signal.confidence,
                reasoning=signal.reasoning,
                payload=signal.payload,
            )
        )
        _LOGGER.info("Signal %s waits for approval", record.signal_id)
        plan = views.preview(outlook.orders, outlook.left_out)
        plan["summary"] = views.plan_in_words(outlook.orders, self._settings.quote)
        self._journal.waiting(record, plan, self.expires(record))
        return record

    async def _end(self, record: SignalRecord) -> None:
        _LOGGER.info("Signal %s: %s %s", record.signal_id, record.result, record.reason)
        self._journal.signal(record, await asyncio.to_thread(self._ledger.orders, record.signal_id))

    async def _write(self, record: SignalRecord) -> SignalRecord:
        return await asyncio.to_thread(self._ledger.write_signal, record)

    def _age(self, record: SignalRecord) -> timedelta:
        return self._clock() - min(record.created_at or record.seen_at, record.seen_at)


def _allocation(signal: Signal, signal_id: str) -> Signal:
    """A leader's allocation as a target of its own."""
    return replace(signal, version=2, signal_id=signal_id, actions=())


def _tells_the_same(record: SignalRecord, signal: Signal) -> bool:
    """Whether a signal still says what was written down of it, whatever else its text tells."""
    if record.payload == signal.payload:
        return True
    coins = {*(signal.targets or ()), *(action.coin for action in signal.actions)}
    try:
        known = parse_signal(record.payload.encode(), coins)
    except InvalidSignal:
        return False
    if record.signal_id != record.source:
        known = _allocation(known, record.signal_id)
    return (known.targets, known.actions) == (signal.targets, signal.actions)


def _exit(signal_id: str) -> Signal:
    return Signal(
        signal_id=signal_id,
        version=2,
        confidence=None,
        reasoning="",
        created_at=None,
        actions=(),
        targets={},
        update_required=False,
        latest_version=None,
        payload="",
    )
