"""The life of a signal: taken up when it is new, pursued while it is open, closed when it is overtaken; source by source."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
import logging

from .approvals import Approvals
from .decimals import ONE
from .errors import CommandError
from .events import EventQueue
from .exchanges.base import Exchange, Side
from .executor import Executor
from .exits import Exits
from .frozen import Frozen
from .held_back import HeldBack
from .inputs import Fetcher, Inputs
from .joining import Joining, as_allocation
from .ledger.ledger import Ledger
from .ledger.records import OVERTAKEN, OrderState, Result, SignalRecord
from .order_names import OrderNames
from .outcomes import Outcomes
from .own_signals import OwnSignals
from .protections import Protections
from .rebalance import OrderPlan, Rebalancer
from .risk import Risk
from .settings import Settings
from .signal import INITIAL_SYNC, PORTFOLIO, InvalidSignal, Kind, Signal
from .signal_records import SignalRecords
from .snapshot import Status
from .sources.state import SourceState
from .wants import Move, Moves, Orders, to_text
from .withdrawals import Withdrawals

_LOGGER = logging.getLogger(__name__)

WAITS = "waits for its turn"
TOO_OLD = "too old"
REMOVED = "its source does not decide any more"


class Signals:
    """Decides what the signals of the sources mean for one portfolio and has them traded."""

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[SourceState],
        ledger: Ledger,
        names: OrderNames,
        executor: Executor,
        fetcher: Fetcher,
        risk: Risk,
        clock: Callable[[], datetime],
        events: EventQueue,
        frozen: Frozen,
        exchange: Exchange,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._ledger = ledger
        self._records = SignalRecords(ledger, names, clock, events)
        self._fetcher = fetcher
        self._risk = risk
        self._clock = clock
        self._events = events
        self.held_back = HeldBack(settings, sources, ledger, clock)
        self.protections = Protections(settings, exchange, ledger, executor, self.held_back, clock)
        self._rebalancer = Rebalancer(
            executor,
            ledger,
            settings,
            clock,
            fetcher.fee_coin,
            self.held_back,
            fetcher.ranks,
            fetcher.fresh,
            frozen,
            self.protections,
        )
        self._joining = Joining(ledger)
        self.outcomes = Outcomes(ledger, fetcher, events)
        self.approvals = Approvals(settings, ledger, events, clock)
        self.own = OwnSignals(ledger, fetcher, self._rebalancer, events, self.outcomes, clock)
        self.withdrawals = Withdrawals(settings, ledger, fetcher, self._rebalancer, events, self.outcomes, clock)
        self.exits = Exits(ledger, fetcher, self._rebalancer, risk, events, self.outcomes, clock, self.held_back)

    async def decide(self, inputs: Inputs, *, ready: bool) -> None:
        """One cycle's decision on what the sources say. `ready`: everything needed for trading is known."""
        await self._forget_removed()
        await self.held_back.compare()
        for source in self._sources:
            source.turn = None
            await self._catch_up(source)
            for member in source.members:
                if member.incoming is not None:
                    await self._records.note_return(member, member.incoming.signal_id or "")
            for each in (source, *source.members):
                if isinstance(each.incoming, InvalidSignal):
                    await self._records.reject(each, each.incoming)
        quiet = self._settings.quiet_hours
        held_up = await self.sell_out(inputs) is not None or self._halted() or not ready
        held_up = held_up or (quiet is not None and quiet.until(self._clock()) is not None)
        if not held_up:
            await self.own.go_on(inputs, self._halted)
            await self._sell_dropped(inputs)
        for source in self._sources:
            incoming = source.incoming
            busy = held_up or isinstance(incoming, InvalidSignal) or await self._pursue_open(source, inputs)
            if isinstance(incoming, Signal):
                if not await self._records.is_new(source, incoming):
                    await source.taken_up(incoming.signal_id)
                elif busy:
                    await source.see(incoming.signal_id)
                else:
                    await self._take_up(source, incoming, inputs)

    async def sell_out(self, inputs: Inputs) -> SignalRecord | None:
        """Go on with a sale of everything, before and instead of anything else; None where there is none to be made."""
        if await self.exits.open():
            await self.overtake_all()
        return await self.exits.pursue(inputs)

    async def _sell_dropped(self, inputs: Inputs) -> None:
        """Sell what has dropped out of the ranks, where its owner wants that."""
        ranks, book = self._fetcher.ranks, await self._ledger.ask(self._ledger.book)
        if (dropped := ranks.sold(book.portfolio.positions)) and ranks.asked_at:
            wants = Moves(tuple(Move(coin, Side.SELL, ONE) for coin in dropped))
            occasion = ranks.asked_at.isoformat()
            await self.own.trade_once(Kind.RANK, wants, inputs, self._halted, occasion)

    async def sync(
        self, source: SourceState, inputs: Inputs, orders: Orders | None = None, draft: Signal | None = None
    ) -> SignalRecord:
        """Rebalance to what a source wants now, whatever is being sold, or by the orders that were planned for that.

        A `draft` is what it is to want from now on. Raises CommandError where it wants no allocation.
        """
        signal = draft or self._current(source)
        if (wants := orders or as_allocation(signal)) is None:
            raise CommandError("no_allocation")
        await self.overtake_all()
        if exit_ := await self.exits.open():
            await self.exits.end(await self._ledger.ask(self._rebalancer.give_up, exit_, OVERTAKEN), inputs)
        if isinstance(signal.wants, Moves) and await self._records.is_new(source, signal):
            await self._records.cover(source, signal, "sync", Result.EXECUTED)
        record = await self._records.open(source, signal, Kind.SYNC, Kind.SYNC.id_at(self._clock()), wants)
        return await self._pursue(source, record, inputs)

    async def asked(self, signal_id: str | None) -> SignalRecord | None:
        """The signal that still waits, after what was said last; None where it is not this one."""
        for source in self._sources:
            await self._catch_up(source)
        record = await self.approvals.waiting()
        return record if record and signal_id in {None, record.signal_id} else None

    async def approve(self, record: SignalRecord, inputs: Inputs) -> SignalRecord:
        """Trade a waiting signal, planned again from fresh figures.

        It goes on waiting where its source has changed it since. Raises CommandError where an older version wrote it down
        and its source has not said it again.
        """
        source = self._source_of(record)
        if source is None or self._renewed(source, record).wants is None:
            raise CommandError("signal_unheard")
        return await self._pursue(source, await self._records.write(replace(record, result=Result.OPEN)), inputs)

    async def drop(self, record: SignalRecord, reason: str) -> SignalRecord:
        """Trade nothing more of a signal."""
        record = await self._ledger.ask(self._rebalancer.give_up, record, reason)
        await self.outcomes.signal(record)
        return record

    async def preview(
        self, source: SourceState, inputs: Inputs, draft: Signal | None = None
    ) -> tuple[SignalRecord, OrderPlan]:
        """What a source's signal, or a draft of one, would trade now. Raises CommandError without a signal or a valuation."""
        if draft:
            record = await self._records.record(source, draft, Kind.SIGNAL, draft.signal_id, draft.wants)
            return record, await self.order_plan(record, inputs, any_coin=True)
        signal = self._current(source)
        record = await (
            self._records.record(source, signal, Kind.JOINING, INITIAL_SYNC, as_allocation(signal))
            if await self._joining.goes_on(source, signal)
            else self._records.record(source, signal, Kind.SIGNAL, signal.signal_id, signal.wants)
        )
        return record, await self.order_plan(record, inputs)

    async def order_plan(self, record: SignalRecord, inputs: Inputs, *, any_coin: bool = False) -> OrderPlan:
        """What a record would trade now. Raises CommandError without a valuation."""
        if inputs.account is None:
            raise CommandError("no_valuation")
        order_plan = await self._rebalancer.order_plan(
            record, inputs.account, inputs.market, with_proceeds=True, any_coin=any_coin
        )
        if order_plan is None:
            raise CommandError("no_valuation")
        return order_plan

    # New signals

    def _current(self, source: SourceState) -> Signal:
        """A source's last word. Raises CommandError where there is none, or it was refused."""
        source.hear()
        if source.refused:
            raise CommandError("signal_refused", reason=source.refused.reason)
        if (signal := source.current()) is None:
            raise CommandError("no_allocation")
        return signal

    async def _take_up(self, source: SourceState, signal: Signal, inputs: Inputs) -> None:
        if await self._joining.is_covered(source, signal):
            await self._records.cover(source, signal, INITIAL_SYNC, Result.EXECUTED)
            return
        joined_by = await self._joining.by(source, signal)
        overtaken = joined_by is not None and joined_by.reason == OVERTAKEN
        if await self._joining.is_wanted(signal) and (joined_by is None or overtaken):
            record = await self._records.open(source, signal, Kind.JOINING, INITIAL_SYNC, as_allocation(signal))
            joined_by = await self._pursue(source, record, inputs)
            if joined_by.result in {Result.OPEN, Result.WAITING}:
                return
        if joined_by and (isinstance(signal.wants, Moves) or not overtaken):
            await self._records.cover(source, signal, INITIAL_SYNC, joined_by.result)
            return
        record = await self._records.open(source, signal, Kind.SIGNAL, signal.signal_id, signal.wants)
        await self._pursue(source, record, inputs)

    # Open signals

    async def _catch_up(self, source: SourceState) -> None:
        """Know what a source said last; close what it overtook, and what waited too long for its owner's word."""
        source.hear()
        latest_id = None
        if source.incoming is not None:
            latest_id = source.incoming.signal_id or ""
            await self._records.note_return(source, latest_id)
        for record in await self._unfinished(source):
            if latest_id not in {None, record.origin}:
                await self.drop(record, OVERTAKEN)
            elif record.result is Result.WAITING and self._clock() >= self.approvals.expires(record):
                await self.drop(record, "approval expired")

    async def overtake_all(self) -> None:
        """Close what is open or waits, of all sources; a sale of everything goes on."""
        for source in self._sources:
            for record in await self._unfinished(source):
                await self.drop(record, OVERTAKEN)

    async def _forget_removed(self) -> None:
        """Close what is open or waits of sources that do not decide any more."""
        for record in await self._ledger.ask(self._ledger.open_signals, Result.OPEN, Result.WAITING):
            if record.source != PORTFOLIO and self._source_of(record) is None:
                await self.drop(record, REMOVED)

    async def _unfinished(self, source: SourceState) -> list[SignalRecord]:
        """Signals of a source that are open or wait for their owner's word."""
        records = await self._ledger.ask(self._ledger.open_signals, Result.OPEN, Result.WAITING)
        return [record for record in records if record.source == source.key]

    async def _pursue_open(self, source: SourceState, inputs: Inputs) -> bool:
        """Place what can still be placed of a source's open signals; whether one of them stays open or waits."""
        busy = False
        for record in await self._unfinished(source):
            if record.result is Result.OPEN:
                record = await self._pursue(source, record, inputs)  # noqa: PLW2901
            busy = busy or record.result in {Result.OPEN, Result.WAITING}
        return busy

    def _source_of(self, record: SignalRecord) -> SourceState | None:
        return next((source for source in self._sources if source.key == record.source), None)

    def _renewed(self, source: SourceState, record: SignalRecord) -> SignalRecord:
        """A record with what its source wants by now under the same id: what has changed is to be approved anew."""
        signal = source.latest
        if signal is None or signal.signal_id != record.origin or isinstance(record.wants, Orders):
            return record
        wants = signal.wants if record.kind is Kind.SIGNAL else as_allocation(signal)
        if wants is None or (record.wants and to_text(wants) == to_text(record.wants)):
            return record
        return replace(record, wants=wants, asked_at=None, confidence=signal.confidence, reasoning=signal.reasoning)

    async def _pursue(self, source: SourceState, record: SignalRecord, inputs: Inputs) -> SignalRecord:
        record = self._renewed(source, record)
        if record.wants is None:
            return record  # an older version wrote it down, and its source has not said it again
        old = self._age(record) > self._settings.max_signal_age
        if old and isinstance(record.wants, Moves | Orders):
            return await self._expire(record, record.wants)
        if inputs.account is None or self._fetcher.exchange_problem:
            return record  # pragma: no cover  # whoever pursues has seen the account
        if self.approvals.is_needed(record):
            order_plan = await self._rebalancer.order_plan(record, inputs.account, inputs.market, with_proceeds=True)
            if order_plan and order_plan.orders:
                return await self.approvals.ask(record, order_plan)
            record = await self._rebalancer.judge(record, order_plan, last_pass=old)
        elif self._clock() < (turn := self._turn(source, record)):
            source.turn = turn
            return record if record.reason == WAITS else await self._records.write(replace(record, reason=WAITS))
        else:
            record, orders = await self._rebalancer.pursue(
                record,
                inputs.account,
                inputs.market,
                self._fetcher.fee_prices,
                last_pass=old or isinstance(record.wants, Orders),
                halted=self._halted,
            )
            await self.outcomes.orders(orders)
        if record.result is not Result.OPEN:
            await self.outcomes.signal(record)
        return record

    async def _expire(self, record: SignalRecord, wants: Moves | Orders) -> SignalRecord:
        """Place nothing more of moves or orders that are too old; what is on its way is waited for."""
        orders = await self._ledger.ask(self._ledger.orders, record.key)
        if any(not order.state.settled for order in orders):
            return record
        filled = {
            (order.coin, order.side)
            for order in orders
            if order.state is OrderState.BOOKED and order.executed_quantity == order.quantity
        }
        if not wants.legs - filled:
            record = await self._records.write(replace(record, result=Result.EXECUTED, reason="", left_out=()))
        elif not orders and record.reason not in {"", WAITS}:  # what kept it from being traded says more than its age
            record = await self._records.write(replace(record, result=Result.ERROR))
        else:
            return await self.drop(record, TOO_OLD)
        await self.outcomes.signal(record)
        return record

    def _halted(self) -> bool:
        """Whether the owner, a stop loss or the end has stopped the portfolio meanwhile."""
        return self._risk.status is not Status.ACTIVE

    def _turn(self, source: SourceState, record: SignalRecord) -> datetime:
        """When the first order of a signal may go out; what its owner asked for or said yes to does not wait."""
        if record.asked_at or record.kind is Kind.SYNC or not source.source.jitter:
            return record.seen_at
        return record.seen_at + self._settings.delay(record.origin)

    def _age(self, record: SignalRecord) -> timedelta:
        return self._clock() - min(record.created_at or record.seen_at, record.seen_at)
