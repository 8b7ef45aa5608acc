"""Which signal counts: takes new ones up, pursues what is open, closes what is overtaken."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
import logging

from . import responses
from .approvals import Approvals
from .errors import CommandError
from .events import EventQueue
from .executor import Executor
from .exits import Exits
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import OVERTAKEN, OrderState, Result, SignalRecord
from .outcomes import Outcomes
from .planner import LeftOut, PlannedOrder
from .rebalance import Rebalancer
from .risk import Risk
from .settings import Settings
from .signal import INITIAL_SYNC, SYNC, Action, InvalidSignal, Signal, UnknownCoin, sells_out
from .snapshot import Status

_LOGGER = logging.getLogger(__name__)
# How far the clocks of leader and exchange may be apart.
CLOCKS = timedelta(minutes=5)
WAITS = "waits for its turn"
TOO_OLD = "too old"
# The leader's signal that was written down last.
LATEST = "latest_signal"


class Signals:
    """Decides what a signal means for one follower and has it traded."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        executor: Executor,
        fetcher: Fetcher,
        risk: Risk,
        clock: Callable[[], datetime],
        events: EventQueue,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._executor = executor
        self._fetcher = fetcher
        self._risk = risk
        self._clock = clock
        self._events = events
        self._rebalancer = Rebalancer(executor, ledger, settings.limits, clock, settings.max_trades_per_day)
        self._refused: InvalidSignal | None = None
        self.outcomes = Outcomes(ledger, fetcher, events)
        self.approvals = Approvals(settings, ledger, events, clock)
        self.exits = Exits(ledger, fetcher, self._rebalancer, risk, events, self.outcomes, clock)
        self.latest: Signal | None = None
        self.unknown_coins: tuple[str, ...] = ()
        self.returned: str | None = None
        self.due: datetime | None = None

    async def decide(self, view: Inputs, *, ready: bool) -> None:
        """One cycle's decision on what the leader says. `ready`: everything needed for trading is known."""
        self.due = None
        await self._catch_up()
        incoming = self._fetcher.incoming
        if isinstance(incoming, InvalidSignal):
            await self._reject(incoming)
        if await self.sell_out(view) or isinstance(incoming, InvalidSignal) or self._halted() or not ready:
            busy = True
        else:
            busy = await self._pursue_open(view)
        if isinstance(incoming, Signal) and await self._is_new(incoming):
            await (self._see(incoming) if busy else self._take_up(incoming, view))

    async def sell_out(self, view: Inputs) -> SignalRecord | None:
        """Go on with a sale of everything, before and instead of anything else; None where there is none to be made."""
        if await self.exits.open():
            await self._overtake(None)
        return await self.exits.pursue(view)

    async def sync(self, view: Inputs) -> SignalRecord:
        """Rebalance to the leader's latest allocation now, whatever is being sold. Raises CommandError without one."""
        signal = self._current()
        if signal.targets is None:
            raise CommandError("no_allocation")
        await self._overtake(None)
        if exit_ := await self.exits.open():
            await self.exits.end(await asyncio.to_thread(self._rebalancer.give_up, exit_, OVERTAKEN), view)
        if signal.version == 1 and await self._is_new(signal):
            await self._cover(signal, "sync", Result.EXECUTED)
        record = await self._open(f"{SYNC}{responses.iso(self._clock())}", signal)
        return await self._pursue(record, signal.as_allocation(record.signal_id), view)

    async def asked(self, signal_id: str | None) -> SignalRecord | None:
        """The signal that still waits, after what the leader said in the last look; None where it is not this one."""
        await self._catch_up()
        record = await self.approvals.waiting()
        return record if record and signal_id in {None, record.signal_id} else None

    async def approve(self, record: SignalRecord, view: Inputs) -> SignalRecord:
        """Trade a waiting signal, planned again from fresh figures.

        It goes on waiting where the leader has changed it since. Raises CommandError where it has not told it yet.
        """
        if (signal := self._signal_of(record)) is None:
            raise CommandError("signal_unheard")
        return await self._pursue(await self._write(replace(record, result=Result.OPEN)), signal, view)

    async def drop(self, record: SignalRecord, reason: str) -> SignalRecord:
        """Trade nothing more of a signal."""
        record = await asyncio.to_thread(self._rebalancer.give_up, record, reason)
        await self.outcomes.signal(record)
        return record

    async def outlook(self, view: Inputs) -> tuple[Sequence[PlannedOrder], Sequence[LeftOut]]:
        """What the current signal would trade. Raises CommandError without a signal or a valuation."""
        signal = self._current()
        sync = await asyncio.to_thread(self._ledger.signal, INITIAL_SYNC)
        joining = sync is not None and sync.source == signal.signal_id and sync.result in {Result.OPEN, Result.WAITING}
        if joining or await self._wants_to_join(signal):
            signal = signal.as_allocation(INITIAL_SYNC)
        if view.account is None:
            raise CommandError("no_valuation")
        outlook = await self._rebalancer.outlook(
            signal, signal.signal_id, view.account, view.market, with_proceeds=True
        )
        if outlook is None:
            raise CommandError("no_valuation")
        return outlook.orders, outlook.left_out

    # New signals

    def _current(self) -> Signal:
        """The leader's latest signal. Raises CommandError where there is none, or it was refused."""
        self._hear()
        if self._refused:
            raise CommandError("signal_refused", reason=self._refused.reason)
        if self.latest is None:
            raise CommandError("no_allocation")
        return self.latest

    def _hear(self) -> None:
        """Know what the leader said in the last look."""
        match self._fetcher.incoming:
            case InvalidSignal() as refused:
                self._refused = refused
                self.unknown_coins = refused.coins if isinstance(refused, UnknownCoin) else ()
            case Signal() as signal:
                self._refused = None
                self.unknown_coins = ()
                self.latest = signal

    async def _is_new(self, signal: Signal) -> bool:
        """Whether a signal was never taken up; one that was refused counts again once it is understood."""
        known = await asyncio.to_thread(self._ledger.signal, signal.signal_id)
        return known is None or known.result is Result.REJECTED

    async def _note_return(self, signal_id: str) -> None:
        """Notice a leader that shows an older signal again: its id was seen before, so nothing of it is traded."""
        latest = await asyncio.to_thread(self._ledger.fact, LATEST)
        known = await asyncio.to_thread(self._ledger.signal, signal_id)
        returned = signal_id if known and latest not in {None, signal_id} else None
        if returned and returned != self.returned:
            _LOGGER.warning("The leader shows signal %s again, which %s has replaced", returned, latest)
        self.returned = returned

    async def _seen_at(self, signal_id: str) -> datetime:
        """When a signal was first seen, whatever came between."""
        return await asyncio.to_thread(self._ledger.sight, signal_id) or self._clock()

    async def _see(self, signal: Signal) -> None:
        """Write down when a signal was first seen that cannot be taken up yet."""
        if await asyncio.to_thread(self._ledger.sight, signal.signal_id) is None:
            await asyncio.to_thread(self._ledger.write_sight, signal.signal_id, self._clock())

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
                seen_at=await self._seen_at(signal_id),
                result=Result.REJECTED,
                reason=invalid.reason,
            ),
            signal_id,
        )
        self._events.signal(record)

    async def _take_up(self, signal: Signal, view: Inputs) -> None:
        if await self._was_joined(signal):
            await self._cover(signal, INITIAL_SYNC, Result.EXECUTED)
            return
        sync = await asyncio.to_thread(self._ledger.signal, INITIAL_SYNC)
        joined_by = sync if sync and sync.source == signal.signal_id else None
        overtaken = joined_by is not None and joined_by.reason == OVERTAKEN
        if await self._wants_to_join(signal) and (joined_by is None or overtaken):
            record = await self._open(INITIAL_SYNC, signal)
            joined_by = await self._pursue(record, signal.as_allocation(INITIAL_SYNC), view)
            if joined_by.result in {Result.OPEN, Result.WAITING}:
                return
        if joined_by and (signal.version == 1 or not overtaken):
            await self._cover(signal, INITIAL_SYNC, joined_by.result)
            return
        await self._pursue(await self._open(signal.signal_id, signal), signal, view)

    async def _wants_to_join(self, signal: Signal) -> bool:
        """Whether moves come with the portfolio of a leader that a follower without positions has not joined yet.

        An allocation is joined by taking it up.
        """
        if signal.version != 1 or not signal.targets or await asyncio.to_thread(self._ledger.has_joined):
            return False
        book = await asyncio.to_thread(self._ledger.book)
        return not book.portfolio.positions

    async def _was_joined(self, signal: Signal) -> bool:
        """Whether moves were covered by joining under a ledger that is lost: the orders of that say when it was."""
        sync = await asyncio.to_thread(self._ledger.signal, INITIAL_SYNC)
        if signal.version != 1 or sync:
            return False
        joined = await asyncio.to_thread(self._ledger.orders, INITIAL_SYNC)
        moments = [order.executed_at or order.created_at for order in joined]
        return bool(moments) and (signal.created_at is None or signal.created_at <= max(moments) + CLOCKS)

    async def _cover(self, signal: Signal, by: str, result: Result) -> None:
        """Take a signal as done: its allocation was taken up as a whole under another id."""
        record = await self._record(signal.signal_id, signal)
        await self._write(replace(record, result=result, reason=f"covered by {by}"), signal.signal_id)

    async def _open(self, signal_id: str, signal: Signal) -> SignalRecord:
        """Take a signal up: from here on it is written down."""
        record = await self._record(signal_id, signal)
        if signal_id != signal.signal_id:  # an allocation of our own making
            wanted = signal.as_allocation(signal_id).wanted
            record = replace(record, version=2, created_at=None, wanted=wanted)
        record = await self._write(record, signal.signal_id)
        await self._executor.adopt(signal_id)
        _LOGGER.info("Signal %s is taken up", signal_id)
        self._events.received(record)
        return record

    async def _record(self, signal_id: str, signal: Signal) -> SignalRecord:
        """A record to be written, in the place of one that was refused before."""
        known = await asyncio.to_thread(self._ledger.signal, signal_id)
        own = signal_id != signal.signal_id
        return SignalRecord(
            seq=known.seq if known else 0,
            signal_id=signal_id,
            version=signal.version,
            seen_at=self._clock() if own else await self._seen_at(signal_id),
            created_at=signal.created_at,
            confidence=signal.confidence,
            reasoning=signal.reasoning,
            payload=signal.payload,
            wanted=signal.wanted,
            source=signal.signal_id,
        )

    # Open signals

    async def _catch_up(self) -> None:
        """Know what the leader said in the last look; close what it overtook and what waited too long for a word."""
        self._hear()
        if self._fetcher.incoming is not None:
            latest_id = self._fetcher.incoming.signal_id or ""
            await self._note_return(latest_id)
            await self._overtake(latest_id)
        record = await self.approvals.waiting()
        if record and self._clock() >= self.approvals.expires(record):
            await self.drop(record, "approval expired")

    async def _overtake(self, latest_id: str | None) -> None:
        """Close what is open or waits and does not come from the latest signal; a sale of everything goes on."""
        for result in (Result.OPEN, Result.WAITING):
            for record in await asyncio.to_thread(self._ledger.open_signals, result):
                if record.source != latest_id and not sells_out(record.signal_id):
                    await self.drop(record, OVERTAKEN)

    async def _pursue_open(self, view: Inputs) -> bool:
        """Place what can still be placed of open signals; whether one of them stays open or waits."""
        waiting = await self.approvals.waiting() is not None
        for record in await asyncio.to_thread(self._ledger.open_signals):
            if (signal := self._signal_of(record)) is None:
                waiting = True  # the leader has not told it again since the start
                continue
            record = await self._pursue(record, signal, view)  # noqa: PLW2901
            waiting = waiting or record.result in {Result.OPEN, Result.WAITING}
        return waiting

    def _signal_of(self, record: SignalRecord) -> Signal | None:
        if self.latest is None or self.latest.signal_id != record.source:
            return None
        if self.latest.signal_id == record.signal_id:
            return self.latest
        return None if self.latest.targets is None else self.latest.as_allocation(record.signal_id)

    async def _pursue(self, record: SignalRecord, signal: Signal, view: Inputs) -> SignalRecord:
        old = self._age(record) > self._settings.max_signal_age
        if old and signal.version == 1:
            return await self._expire(record, signal)
        if view.account is None or self._fetcher.exchange_problem:
            return record  # pragma: no cover  # whoever pursues has seen the account
        if self.approvals.is_needed(record, signal):
            outlook = await self._rebalancer.outlook(
                signal, record.signal_id, view.account, view.market, with_proceeds=True
            )
            if outlook and outlook.orders:
                return await self.approvals.ask(record, signal, outlook)
            record = await self._rebalancer.judge(record, outlook, last_pass=old)
        elif self._clock() < (due := self._turn(record)):
            self.due = due
            return record if record.reason == WAITS else await self._write(replace(record, reason=WAITS))
        else:
            record, orders = await self._rebalancer.pursue(
                record,
                signal,
                view.account,
                view.market,
                self._fetcher.fee_prices,
                last_pass=old,
                halted=self._halted,
            )
            await self.outcomes.orders(orders)
        if record.result is not Result.OPEN:
            await self.outcomes.signal(record)
        return record

    async def _expire(self, record: SignalRecord, signal: Signal) -> SignalRecord:
        """Place nothing more of moves that are too old; what is on its way is waited for."""
        orders = await asyncio.to_thread(self._ledger.orders, record.signal_id)
        if any(not order.state.settled for order in orders):
            return record
        filled = {
            (order.coin, order.side.value)
            for order in orders
            if order.state is OrderState.BOOKED and order.executed_quantity == order.quantity
        }
        moves = {(move.coin, move.action.value) for move in signal.actions if move.action is not Action.HOLD}
        if not moves - filled:
            record = await self._write(replace(record, result=Result.EXECUTED, reason="", left_out=()))
        elif not orders and record.reason not in {"", WAITS}:  # what kept it from being traded says more than its age
            record = await self._write(replace(record, result=Result.ERROR))
        else:
            return await self.drop(record, TOO_OLD)
        await self.outcomes.signal(record)
        return record

    def _halted(self) -> bool:
        """Whether the owner, a stop loss or the end has stopped the follower meanwhile."""
        return self._risk.status is not Status.ACTIVE

    def _turn(self, record: SignalRecord) -> datetime:
        """When the first order of a signal may go out; what its owner asked for or said yes to does not wait."""
        if record.asked_at or record.signal_id.startswith(SYNC):
            return record.seen_at
        return record.seen_at + self._settings.delay(record.source)

    async def _write(self, record: SignalRecord, latest: str | None = None) -> SignalRecord:
        """Write a record; `latest` is the id of the leader's signal that it is made from where it is new."""
        return await asyncio.to_thread(self._ledger.write_signal, record, {LATEST: latest} if latest else None)

    def _age(self, record: SignalRecord) -> timedelta:
        return self._clock() - min(record.created_at or record.seen_at, record.seen_at)
