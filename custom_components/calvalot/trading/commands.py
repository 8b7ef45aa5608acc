"""What the owner can do with a portfolio; every command raises CommandError where it cannot be done."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, tzinfo
from decimal import Decimal
from pathlib import Path

from .bookings import Bookings, Execution
from .cash_flows import CashFlows
from .errors import CommandError
from .executor import Executor
from .exits import Cause
from .explanation import Explanation
from .imports import import_history
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import CashFlow, FlowKind, OrderRecord, SignalRecord
from .ledger.storage import LedgerError
from .plans import Plans
from .portfolio import BookError
from .preparation import Preparation
from .publisher import Publisher
from .queries import guarded
from .responses import Json
from .risk import Risk
from .settings import Settings
from .signal import Signal
from .signals import Signals
from .snapshot import Status
from .sources.state import SourceState
from .upkeep import RESTORED
from .withdrawals import Withdrawals

WRITTEN_OFF = "written off: no longer listed"


class Commands:
    """The commands of one portfolio, one at a time and never during a cycle."""

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[SourceState],
        ledger: Ledger,
        fetcher: Fetcher,
        executor: Executor,
        bookings: Bookings,
        preparation: Preparation,
        cash_flows: CashFlows,
        risk: Risk,
        signals: Signals,
        plans: Plans,
        withdrawals: Withdrawals,
        lock: asyncio.Lock,
        publisher: Publisher,
    ) -> None:
        """`lock` is held by whoever works on the portfolio."""
        self._settings = settings
        self._sources = sources
        self._ledger = ledger
        self._fetcher = fetcher
        self._executor = executor
        self._bookings = bookings
        self._preparation = preparation
        self._cash_flows = cash_flows
        self._risk = risk
        self._signals = signals
        self._plans = plans
        self._withdrawals = withdrawals
        self._lock = lock
        self._publisher = publisher

    async def pause(self, paused: bool) -> None:
        """Take no new signal up, or follow again. Raises CommandError."""
        await guarded(self._risk.pause(paused=paused))
        self._publisher.change(status=self._risk.status, paused=self._risk.paused)

    async def deposit(self, amount: Decimal, note: str = "", at: datetime | None = None) -> CashFlow:
        """Add an amount (EUR) to the budget; in live mode it must be free in the wallet. Raises CommandError."""
        return await self._move(FlowKind.DEPOSIT, amount, note, at)

    async def withdraw(
        self, amount: Decimal, note: str = "", at: datetime | None = None, *, sell: bool = False
    ) -> CashFlow:
        """Take an amount (EUR) of cash out of the budget; `sell` what lacks of it first. Raises CommandError."""
        if not sell:
            return await self._move(FlowKind.WITHDRAWAL, amount, note, at)
        async with self.with_flows() as inputs:
            await self._withdrawals.raise_cash(amount, inputs)
            return await self._cash_flows.move(FlowKind.WITHDRAWAL, amount, inputs, note, at)

    async def preview_withdrawal(self, amount: Decimal) -> Json:
        """What a withdrawal of an amount (EUR) would sell first. Raises CommandError."""
        async with self.working(), self._preparation.ready() as inputs:
            return await self._withdrawals.preview(amount, inputs)

    async def add_cash_flow(self, amount: Decimal, note: str = "", at: datetime | None = None) -> CashFlow:
        """Book an amount (EUR), a deposit where positive, else a withdrawal. Raises CommandError."""
        return await self._move(FlowKind.DEPOSIT if amount > 0 else FlowKind.WITHDRAWAL, abs(amount), note, at)

    async def change_cash_flow(
        self, seq: int, amount: Decimal | None = None, at: datetime | None = None, note: str | None = None
    ) -> CashFlow:
        """Change amount (EUR), time or note of a deposit or withdrawal; what came after it is valued again. Raises CommandError."""
        async with self.with_flows() as inputs:
            return await self._cash_flows.change(seq, inputs, amount, at, note)

    async def delete_cash_flow(self, seq: int) -> None:
        """Delete a deposit or withdrawal; what came after it is valued again. Raises CommandError."""
        async with self.with_flows() as inputs:
            await self._cash_flows.delete(seq, inputs)

    async def undo_cash_flow(self) -> CashFlow | None:
        """Undo the last deposit, withdrawal, change or deletion. Raises CommandError."""
        async with self.with_flows() as inputs:
            return await self._cash_flows.undo(inputs)

    async def set_net_deposits(self, amount: Decimal) -> CashFlow:
        """Correct the sum paid in (EUR), for profit and loss only. Raises CommandError."""
        async with self.working():
            self._cash_flows.check_scope()
            self._check_account()
            flow = await self._cash_flows.correct(amount)
            await self._publisher.publish(self._preparation.inputs)
            return flow

    async def explain_cash_flow(self, seq: int, explanation: Explanation) -> None:
        """Say why something came to the wallet or left it that nothing explained. Raises CommandError."""
        async with self.working():
            if not await self._ledger.ask(self._ledger.explain_flow, seq, explanation):
                raise CommandError("cash_flow_unknown", id=f"{seq}")
            await self._publisher.publish(self._preparation.inputs)

    async def reset(self) -> None:
        """End DEAD, where the value is not under the floor any more. Raises CommandError."""
        async with self.working():
            if self._risk.status is not Status.DEAD:
                raise CommandError("not_dead")
            inputs = await self._preparation.fetch()
            value = await self._preparation.value(inputs)
            if value is None:
                raise CommandError("no_valuation")
            floor = self._settings.survival_floor
            if value < floor:
                raise CommandError("under_floor", value=f"{value:.2f}", floor=f"{floor:f}")
            await self._risk.revive()
            await self._publisher.publish(inputs)

    async def sync(
        self, source: str | None = None, plan_id: str | None = None, draft: Signal | None = None
    ) -> SignalRecord:
        """Rebalance to what a source wants now; None: the first one. With a plan exactly that is done.

        A `draft` is what the plan was made for, where that is not what the source wants yet. Raises CommandError.
        """
        async with self.working():
            part = source
            if plan_id is not None:
                source = self._plans.source_of(plan_id)
            if (status := self._risk.status) is not Status.ACTIVE:
                raise CommandError(status.value)
            async with self._preparation.ready(self._sources) as known:
                if known.account is None or await self._preparation.value(known) is None:
                    raise CommandError("no_valuation")
                chosen = self._source(source)
                draft = draft and chosen.drafted(part, draft)
                inputs = await self._with_coins(known, draft)
                record = await (
                    self._signals.sync(chosen, inputs)
                    if plan_id is None
                    else self._plans.trade(plan_id, chosen, inputs, draft)
                )
            await self._publisher.publish(inputs)
            return record

    async def approve(self, signal_id: str | None = None, source: str | None = None) -> SignalRecord:
        """Trade the signal that waits, planned again from fresh figures. Raises CommandError."""
        async with self.working():
            if (status := self._risk.status) is not Status.ACTIVE:
                raise CommandError(status.value)
            async with self._preparation.ready(self._sources) as inputs:
                record = await self._asked(signal_id, source, inputs)
                if inputs.account is None or await self._preparation.value(inputs) is None:
                    raise CommandError("no_valuation")
                record = await self._signals.approve(record, inputs)
            await self._publisher.publish(inputs)
            return record

    async def reject(self, signal_id: str | None = None, source: str | None = None) -> SignalRecord:
        """Give the signal that waits up. Raises CommandError."""
        async with self.working():
            record = await self._signals.drop(
                await self._asked(signal_id, source, self._preparation.inputs), "rejected by the owner"
            )
            await self._publisher.publish(self._preparation.inputs)
            return record

    async def exit(self, *, confirm: bool) -> Json:
        """Pause and sell all that the portfolio bought, until nothing is left; without a word only what that would do.

        Raises CommandError.
        """
        # Written down before its turn has come: a cycle that runs buys nothing more.
        begun = await guarded(self._signals.exits.begin(Cause.OWNER)) if confirm else None
        async with self.working():
            async with self._preparation.ready() as inputs:
                if begun is None:
                    return await self._signals.exits.preview(inputs)
                await self._signals.sell_out(inputs)
            await self._publisher.publish(inputs)
            return await self._signals.exits.summary(begun.signal_id, inputs)

    async def preview(self, source: str | None = None, draft: Signal | None = None) -> Json:
        """What a source's current signal, or a draft of another one, would trade, as plain JSON; None: the first source.

        Raises CommandError.
        """
        async with self.working(), self._preparation.ready(self._sources) as inputs:
            chosen = self._source(source)
            draft = draft and chosen.drafted(source, draft)
            return await self._plans.show(chosen, await self._with_coins(inputs, draft), draft)

    async def settle_by_hand(self, client_order_id: str, execution: Execution | None) -> OrderRecord:
        """Book what the owner read on the exchange of an order that stays unknown; None: it was never placed.

        Raises CommandError.
        """
        async with self.working():
            records = await self._ledger.ask(self._ledger.in_flight)
            record = next((each for each in records if each.client_order_id == client_order_id), None)
            if record is None:
                raise CommandError("order_not_open")
            try:
                settled = await self._bookings.settle_by_hand(record, execution, self._fetcher.fee_prices)
            except BookError as err:
                raise CommandError("execution_impossible", reason=str(err)) from err
            await self._signals.outcomes.orders([settled])
            await self._publisher.publish(self._preparation.inputs)
            return settled

    async def accept_account(self) -> tuple[CashFlow, ...]:
        """Take what the account lacks out of the book, as withdrawals at today's value. Raises CommandError."""
        async with self.working():
            async with self._preparation.ready() as inputs:
                missing = await self._risk.gap(inputs) if await self._preparation.is_still() else None
                if missing is None:
                    raise CommandError("account_unknown")
                flows = await self._cash_flows.write_off(missing, inputs, "missing on the account")
                await self._risk.compare(inputs)
            await self._publisher.publish(inputs)
            return flows

    async def write_off(self, coin: str, value: Decimal | None = None) -> CashFlow:
        """Take a coin that was set aside out of the book, at its last price or at a value (EUR). Raises CommandError."""
        async with self.working():
            self._fetcher.forget_rules()  # it may be listed again
            async with self._preparation.ready() as inputs:
                self._check_account()
                book = await self._ledger.ask(self._ledger.book)
                quantity = book.portfolio.quantity(coin)
                if not quantity or coin not in inputs.market.aside:
                    raise CommandError("not_set_aside", coin=coin)
                moving = await self._ledger.ask(self._ledger.in_flight) + await self._ledger.ask(self._ledger.resting)
                if any(coin in order.assets for order in moving):
                    raise CommandError("order_unclear", amount="0.00")
                (flow,) = await self._cash_flows.write_off({coin: quantity}, inputs, WRITTEN_OFF, value)
            await self._publisher.publish(inputs)
            return flow

    async def release(self, coin: str) -> None:
        """Let a coin be bought again that is held back. Raises CommandError."""
        async with self.working():
            if not await self._signals.held_back.release(coin):
                raise CommandError("not_held_back", coin=coin)
            await self._publisher.publish(self._preparation.inputs)

    async def forget_restore(self) -> None:
        """The owner has seen that the ledger was restored. Raises CommandError."""
        await guarded(self._ledger.ask(self._ledger.remember, RESTORED, None))
        self._publisher.change(restored=None)

    async def import_history(self, path: Path, zone: tzinfo, *, dry_run: bool, skip_unreadable: bool) -> Json:
        """What a file of another tool holds; taken in, unless it is a dry run. No book changes. Raises CommandError."""
        async with self.working():
            return await self._ledger.ask(
                import_history, self._ledger, path, zone, dry_run=dry_run, skip_unreadable=skip_unreadable
            )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """What the owner asked for, apart from any cycle; trouble with the ledger is told in his words."""
        async with self._lock:
            if self._executor.stopping:
                raise CommandError("ledger_unavailable")
            try:
                yield
            except LedgerError as err:
                raise CommandError("ledger_unavailable") from err

    @asynccontextmanager
    async def with_flows(self) -> AsyncIterator[Inputs]:
        """The portfolio at the prices of now, to move money in or out of it; published afterwards. Raises CommandError."""
        async with self.working():
            self._cash_flows.check_scope()
            async with self._preparation.ready() as inputs:
                self._check_account()
                if not self._preparation.is_whole:
                    raise CommandError("no_valuation")
                if not await self._preparation.is_still():
                    raise CommandError("order_unclear", amount="0.00")
                yield inputs
            await self._publisher.publish(inputs)

    # Inside

    def _check_account(self) -> None:
        """Raise CommandError where a book was begun and it is not known whether the account is still its own."""
        if not self._preparation.is_account_known and self._publisher.snapshot.net_deposits is not None:
            raise CommandError("account_unknown")

    def _source(self, key: str | None) -> SourceState:
        """The source with a key, or the first one. Raises CommandError."""
        if key is None and self._sources:
            return self._sources[0]
        found = (source for source in self._sources if key in {source.key, *(each.key for each in source.members)})
        source = next(found, None)
        if source is None:
            raise CommandError("source_unknown", sources=", ".join(source.key for source in self._sources))
        return source

    async def _asked(self, signal_id: str | None, source: str | None, inputs: Inputs | None) -> SignalRecord:
        """The signal that waits, where it is the one that is meant. Raises CommandError."""
        record = await self._signals.asked(signal_id)
        if record is None or source not in {None, record.source}:
            await self._publisher.publish(inputs)  # it may just have been overtaken
            raise CommandError("not_waiting")
        return record

    async def _move(self, kind: FlowKind, amount: Decimal, note: str, at: datetime | None) -> CashFlow:
        async with self.with_flows() as inputs:
            return await self._cash_flows.move(kind, amount, inputs, note, at)

    async def _with_coins(self, inputs: Inputs, draft: Signal | None) -> Inputs:
        """What is known of the market, with the coins that a draft names."""
        if draft is None:
            return inputs
        return replace(inputs, market=await self._fetcher.with_coins(inputs.market, draft.wants.coins))
