"""One follower: its cycle, its book, and what its owner can do with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import fields, replace
from datetime import date, datetime
from decimal import Decimal, localcontext
from functools import partial
import logging
from pathlib import Path
import time

from . import responses
from .account import Account
from .accounts import Accounts
from .books import Books
from .cash_flows import REVALUED, CashFlows
from .decimals import EXACT
from .errors import CommandError
from .events import Event, EventQueue
from .exchanges.base import Exchange, Mode
from .executor import Execution, Executor
from .exits import Cause
from .health import CycleTiming, Health
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import Book, CashFlow, FlowKind, OrderRecord, SignalRecord
from .ledger.storage import LedgerCorrupt, LedgerError
from .portfolio import BookError, Valuation
from .profit import Today, midnight_utc
from .rebuild import Rebuild
from .responses import Json
from .risk import Risk
from .settings import Settings
from .signals import Signals
from .snapshot import Figures, Snapshot, Status, figures
from .sources.base import Source
from .sources.state import SourceState

RESTORED = "restored"
WRITTEN_OFF = "written off: no longer listed"
# Seconds that a cycle waits for the day's copy; one of a million trades takes longer.
COPY_TIMEOUT = 0.5
_LOGGER = logging.getLogger(__name__)


class Engine:
    """Follows one leader with one budget in one mode; `publish` gets each picture with the events that led to it.

    `midnight` says when the owner's day began that a time lies in.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sources: Mapping[str, Source],
        exchange: Exchange,
        ledger: Ledger,
        clock: Callable[[], datetime],
        publish: Callable[[Snapshot, tuple[Event, ...]], None],
        accounts: Accounts | None = None,
        midnight: Callable[[datetime], datetime] = midnight_utc,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sources` are named by their keys; `accounts` is shared by all portfolios that may trade on one account.

        `sleep` pauses between look-ups.
        """
        self.settings = settings
        self.health = Health()
        self.snapshot = Snapshot(mode=settings.mode, status=Status.ACTIVE)
        self._ledger = ledger
        self._clock = clock
        self._publish = publish
        self._events = EventQueue(settings.mode)
        self._fetcher = Fetcher(settings, exchange, ledger, clock, self._events)
        self.sources = tuple(
            SourceState(source, key, settings, ledger, clock, self._events) for key, source in sources.items()
        )
        self._executor = Executor(exchange, ledger, settings.entry_id, clock, sleep)
        self._risk = Risk(settings, ledger, clock, self._events)
        self._signals = Signals(
            settings, self.sources, ledger, self._executor, self._fetcher, self._risk, clock, self._events
        )
        self._cash_flows = CashFlows(settings, ledger, clock)
        self._accounts = Accounts() if accounts is None else accounts
        self._books = Books(settings.mode, exchange, ledger, clock, self._accounts)
        self._today = Today(ledger, midnight)
        self._lock = asyncio.Lock()
        self._rebuild = Rebuild(exchange, ledger, self._executor)
        self._view: Inputs | None = None
        self._copied: date | None = None
        self._copying: asyncio.Task[Path | None] | None = None

    # Life

    async def start(self) -> None:
        """Open the book; nothing goes over the network. Raises LedgerError."""
        try:
            await self._open()
        except LedgerCorrupt:
            if not await self._recover():
                raise
            await self._open()

    async def stop(self, timeout: float = 30) -> None:
        """Send nothing new, wait (seconds, bounded) until a running cycle wrote down what it did, close the book."""
        self._executor.stopping = True
        try:
            await asyncio.wait_for(self._lock.acquire(), timeout)
        except TimeoutError:
            _LOGGER.warning("A cycle was still running when the follower had to stop")
        else:
            self._lock.release()
        if self._copying:
            await asyncio.wait((self._copying,), timeout=timeout)
        self._accounts.leave(self._ledger)
        await asyncio.to_thread(self._ledger.close)

    async def cycle(self) -> Snapshot:
        """One whole cycle, never two at a time; what leader, exchange or ledger do wrong ends up in the picture."""
        async with self._lock:
            if self._executor.stopping:
                return self.snapshot
            started, clock = self._clock(), time.monotonic()
            self._executor.problem = None
            storage: LedgerError | None = None
            try:
                if not self._ledger.is_open:
                    await self._reopen()
                async with self._prepared(self.sources) as view:
                    await self._act(view)
                picture = await self._picture(view)
                self._fetcher.watch_exchange(picture.exchange_problem)
            except LedgerError as err:
                storage = err
                picture = await self._without_ledger(err)
            seconds = time.monotonic() - clock
            self._show(picture)
            if storage is None and (storage := await self._keep_copy()):
                picture = await self._without_ledger(storage)
                self._show(picture)
            self.health.note(CycleTiming(started, seconds), (picture.leader_problem, picture.exchange_problem, storage))
            if not self._executor.stopping and await self._fetcher.ask_permissions():
                self._show(replace(picture, permissions=self._fetcher.permissions))
            return self.snapshot

    # What the owner can do

    async def pause(self, paused: bool) -> None:
        """Take no new signal up, or follow again. Raises CommandError."""
        await self._guarded(self._risk.pause(paused=paused))
        self._show(replace(self.snapshot, status=self._risk.status, paused=self._risk.paused))

    async def deposit(self, amount: Decimal, note: str = "", at: datetime | None = None) -> CashFlow:
        """Add an amount (EUR) to the budget; in live mode it must be free in the wallet. Raises CommandError."""
        return await self._move(FlowKind.DEPOSIT, amount, note, at)

    async def withdraw(self, amount: Decimal, note: str = "", at: datetime | None = None) -> CashFlow:
        """Take an amount (EUR) of cash out of the budget. Raises CommandError."""
        return await self._move(FlowKind.WITHDRAWAL, amount, note, at)

    async def set_net_deposits(self, amount: Decimal) -> CashFlow:
        """Correct the sum paid in (EUR), for profit and loss only. Raises CommandError."""
        async with self._working():
            self._check_account()
            flow = await self._cash_flows.correct(amount)
            self._show(await self._picture(self._view))
            return flow

    async def reset(self) -> None:
        """End DEAD, where the value is not under the floor any more. Raises CommandError."""
        async with self._working():
            if self._risk.status is not Status.DEAD:
                raise CommandError("not_dead")
            view = await self._fetch()
            value = await self._value(view)
            if value is None:
                raise CommandError("no_valuation")
            floor = self.settings.survival_floor
            if value < floor:
                raise CommandError("under_floor", value=f"{value:.2f}", floor=f"{floor:f}")
            await self._risk.revive()
            self._show(await self._picture(view))

    async def sync(self, source: str | None = None) -> SignalRecord:
        """Rebalance to what a source wants now; None: the first one. Raises CommandError."""
        async with self._working():
            if (status := self._risk.status) is not Status.ACTIVE:
                raise CommandError(status.value)
            async with self._prepared(self.sources) as view:
                if view.account is None or await self._value(view) is None:
                    raise CommandError("no_valuation")
                record = await self._signals.sync(self._source(source), view)
            self._show(await self._picture(view))
            return record

    async def approve(self, signal_id: str | None = None) -> SignalRecord:
        """Trade the signal that waits, planned again from fresh figures. Raises CommandError."""
        async with self._working():
            if (status := self._risk.status) is not Status.ACTIVE:
                raise CommandError(status.value)
            async with self._prepared(self.sources) as view:
                record = await self._asked(signal_id, view)
                if view.account is None or await self._value(view) is None:
                    raise CommandError("no_valuation")
                record = await self._signals.approve(record, view)
            self._show(await self._picture(view))
            return record

    async def reject(self, signal_id: str | None = None) -> SignalRecord:
        """Give the signal that waits up. Raises CommandError."""
        async with self._working():
            record = await self._signals.drop(await self._asked(signal_id, self._view), "rejected by the owner")
            self._show(await self._picture(self._view))
            return record

    async def exit(self, *, confirm: bool) -> Json:
        """Pause and sell all that the portfolio bought, until nothing is left; without a word only what that would do.

        Raises CommandError.
        """
        # Written down before its turn has come: a cycle that runs buys nothing more.
        begun = await self._guarded(self._signals.exits.begin(Cause.OWNER)) if confirm else None
        async with self._working():
            async with self._prepared() as view:
                if begun is None:
                    return await self._signals.exits.preview(view)
                await self._signals.sell_out(view)
            self._show(await self._picture(view))
            return await self._signals.exits.summary(begun.signal_id, view)

    async def preview(self, source: str | None = None) -> Json:
        """What a source's current signal would trade, as plain JSON; None: the first one. Raises CommandError."""
        async with self._working():
            async with self._prepared(self.sources) as view:
                orders, left_out = await self._signals.preview(self._source(source), view)
            return responses.preview(orders, left_out)

    async def settle_by_hand(self, client_order_id: str, execution: Execution | None) -> OrderRecord:
        """Book what the owner read on the exchange of an order that stays unknown; None: it was never placed.

        Raises CommandError.
        """
        async with self._working():
            records = await asyncio.to_thread(self._ledger.in_flight)
            record = next((each for each in records if each.client_order_id == client_order_id), None)
            if record is None:
                raise CommandError("order_not_open")
            try:
                settled = await self._executor.settle_by_hand(record, execution, self._fetcher.fee_prices)
            except BookError as err:
                raise CommandError("execution_impossible", reason=str(err)) from err
            await self._signals.outcomes.orders([settled])
            self._show(await self._picture(self._view))
            return settled

    async def accept_account(self) -> tuple[CashFlow, ...]:
        """Take what the account lacks out of the book, as withdrawals at today's value. Raises CommandError."""
        async with self._working():
            async with self._prepared() as view:
                missing = await self._risk.gap(view)
                if missing is None:
                    raise CommandError("account_unknown")
                flows = await self._cash_flows.write_off(missing, view, "missing on the account")
                await self._risk.compare(view)
            self._show(await self._picture(view))
            return flows

    async def write_off(self, coin: str, value: Decimal | None = None) -> CashFlow:
        """Take a coin that was set aside out of the book, at its last price or at a value (EUR). Raises CommandError."""
        async with self._working():
            self._fetcher.forget_rules()  # it may be listed again
            async with self._prepared() as view:
                self._check_account()
                book = await asyncio.to_thread(self._ledger.book)
                quantity = book.portfolio.quantity(coin)
                if not quantity or coin not in view.market.aside:
                    raise CommandError("not_set_aside", coin=coin)
                if any(order.coin == coin for order in await asyncio.to_thread(self._ledger.in_flight)):
                    raise CommandError("order_unclear", amount="0.00")
                (flow,) = await self._cash_flows.write_off({coin: quantity}, view, WRITTEN_OFF, value)
            self._show(await self._picture(view))
            return flow

    async def forget_restore(self) -> None:
        """The owner has seen that the ledger was restored. Raises CommandError."""
        await self._guarded(asyncio.to_thread(self._ledger.remember, RESTORED, None))
        self._show(replace(self.snapshot, restored=None))

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nothing is written while a backup is made, and the file alone holds everything."""
        async with self._lock:
            with suppress(LedgerError):
                await asyncio.to_thread(self._ledger.checkpoint)
            yield

    # What the owner can read, as plain JSON

    def portfolio(self) -> Json:
        """The book as it was last seen."""
        return responses.portfolio(self.snapshot)

    async def trades(self, limit: int = 100, since: datetime | None = None, book: int | None = None) -> list[Json]:
        """Trades of the book in use or another one, newest first. Raises CommandError."""
        trades = await self._guarded(asyncio.to_thread((await self._book(book)).trades, limit, since))
        return [responses.trade(trade, self.settings.mode) for trade in trades]

    async def signals(self, limit: int = 100, since: datetime | None = None, book: int | None = None) -> list[Json]:
        """Signals of the book in use or another one with their legs, newest first. Raises CommandError."""
        ledger = await self._book(book)

        def read() -> list[Json]:
            records = ledger.signals(limit, since)
            return [responses.signal(record, ledger.orders(record.key)) for record in records]

        return await self._guarded(asyncio.to_thread(read))

    async def cash_flows(self, limit: int = 100, since: datetime | None = None, book: int | None = None) -> list[Json]:
        """Cash flows of the book in use or another one, newest first. Raises CommandError."""
        flows = await self._guarded(asyncio.to_thread((await self._book(book)).flows, limit, since))
        return [responses.cash_flow(flow) for flow in flows]

    async def page(
        self, read: Callable[[Ledger, int, int | None], list[Json]], limit: int, before: int | None
    ) -> list[Json]:
        """A page of the ledger, one of `pages`; `before` is the last `seq` of the page before. Raises CommandError."""
        return await self._guarded(asyncio.to_thread(read, self._ledger, limit, before))

    async def books(self) -> list[Json]:
        """The books of this mode that an account is known of. Raises CommandError."""
        accounts = await self._guarded(asyncio.to_thread(self._ledger.account_ids))
        return [
            {"book": number, "host": account.host, "in_use": number == self._ledger.number}
            for number, account in sorted(accounts.items())
        ]

    async def counts(self) -> dict[str, int]:
        """How much of everything is written down. Raises CommandError."""
        return await self._guarded(asyncio.to_thread(self._ledger.counts))

    async def performance(self) -> Json:
        """Returns by period. Raises CommandError."""
        book = await self._guarded(asyncio.to_thread(self._ledger.book))
        closes = await self._guarded(asyncio.to_thread(self._ledger.closes))
        return responses.performance(book, closes, self._clock())

    # Inside

    def _check_account(self) -> None:
        """Raise CommandError where a book was begun and it is not known whether the account is still its own."""
        if not self._books.known and self.snapshot.net_deposits is not None:
            raise CommandError("account_unknown")

    async def _book(self, number: int | None) -> Ledger:
        """The ledger, to read one of its books. Raises CommandError."""
        if number is None:
            return self._ledger
        last = await self._guarded(asyncio.to_thread(self._ledger.next_number)) - 1
        if not 1 <= number <= last:
            raise CommandError("book_unknown", last=f"{last}")
        return self._ledger.in_book(number)

    async def _open(self) -> None:
        await asyncio.to_thread(self._ledger.open)
        self._accounts.join(self._ledger)
        await self._risk.load()
        for source in self.sources:
            await source.load()
        self._fetcher.hold((await asyncio.to_thread(self._ledger.book)).portfolio.positions)
        self.snapshot = await self._picture(None)

    async def _reopen(self) -> None:
        """Open a ledger again that could not be restored or was taken away; it may be older than what was known."""
        await asyncio.to_thread(self._ledger.reopen)
        self._accounts.join(self._ledger)
        await self._risk.reload()
        await self._signals.exits.reload()
        self._rebuild.begin()
        self._books.forget()

    async def _without_ledger(self, err: LedgerError) -> Snapshot:
        """The picture without a ledger to trade with; a broken one is restored for the next cycle."""
        _LOGGER.error("Nothing is traded: %s", err)
        if isinstance(err, LedgerCorrupt):
            await self._recover()
        # A turn that has come would be taken again and again: the next cycle is the one after the poll interval.
        return replace(self.snapshot, storage_problem=str(err), due=None)

    async def _keep_copy(self) -> LedgerCorrupt | None:
        """One copy of the ledger a day; returns what is wrong with a file that turns out to be broken.

        Where it cannot be made for want of space, trading goes on. A large one is not waited for, a later cycle looks after it.
        """
        today = self._clock().date()
        if self._copying is None and today != self._copied:
            self._copied = today
            self._copying = asyncio.create_task(asyncio.to_thread(self._ledger.keep_copy, today))
        if self._copying is None or not (await asyncio.wait((self._copying,), timeout=COPY_TIMEOUT))[0]:
            return None
        copying, self._copying = self._copying, None
        try:
            await copying
        except LedgerCorrupt as err:
            self._copied = None
            return err
        except LedgerError as err:
            _LOGGER.warning("Today's copy of the ledger cannot be kept: %s", err)
        return None

    async def _recover(self) -> bool:
        """Go on from the last good copy; what the exchange knows beyond it is booked by the next cycle."""
        try:
            copy = await asyncio.to_thread(self._ledger.recover, self._clock())
            told = copy.name if copy else ""
            await asyncio.to_thread(self._ledger.remember, RESTORED, told)
            await self._risk.reload()
            await self._signals.exits.reload()
        except LedgerError as err:
            _LOGGER.error("The ledger cannot be restored: %s", err)
            return False
        _LOGGER.error("The ledger was broken and is kept aside; the follower goes on from %s", told or "a new one")
        self._rebuild.begin()
        self._books.forget()
        self._events.alert("ledger_restored", copy=told)
        return True

    async def _fetch(self, sources: Sequence[SourceState] = ()) -> Inputs:
        """Settle what is in flight, then fetch everything."""
        problem = self._fetcher.exchange_problem = None
        if not self._books.known:
            if await self._fetcher.asked(self._books.establish()):
                await self._change_book()
            problem = self._fetcher.exchange_problem
        in_flight = await asyncio.to_thread(self._ledger.in_flight)
        if self._books.known and in_flight:
            if not self._fetcher.fee_prices:
                await self._fetcher.fetch()
            await self._signals.outcomes.orders(await self._executor.settle(self._fetcher.fee_prices))
        await self._books.count()
        self._view = await self._fetcher.fetch(sources)
        self._fetcher.exchange_problem = self._fetcher.exchange_problem or problem
        return self._view

    async def _change_book(self) -> None:
        """Go on in another book; what has stopped the follower still does."""
        self._rebuild.begin()
        self._risk.begin_anew()
        await self._signals.exits.open()
        self._fetcher.hold((await asyncio.to_thread(self._ledger.book)).portfolio.positions)
        self._fetcher.forget_rules()

    async def _act(self, view: Inputs) -> None:
        """Value, survive, decide."""
        value = await self._value(view) if self._books.known else None
        if value is not None:
            await self._risk.survive(value)
            book = await asyncio.to_thread(self._ledger.book)
            sell = partial(self._signals.exits.begin, Cause.STOP_LOSS) if self.settings.stop_loss_sell else None
            await self._risk.stop_loss(book.units.valued(value).price, sell)
        await self._risk.compare(view)
        await self._signals.decide(view, ready=value is not None and view.account is not None)

    @asynccontextmanager
    async def _prepared(self, sources: Sequence[SourceState] = ()) -> AsyncIterator[Inputs]:
        """What is known now, with what the sources say, and the account locked meanwhile."""
        view = await self._fetch(sources)
        async with self._books.turn():
            view = self._view = await self._with_account(view)
            if sources:
                weights = await self._weights(view)
                for source in sources:
                    await source.decide(view.market.prices, weights)
            yield view

    async def _with_account(self, view: Inputs) -> Inputs:
        """The view with the account: the book begun, and with what the exchange knows and the ledger did not."""
        book = await asyncio.to_thread(self._ledger.book)
        if self.settings.mode is Mode.LIVE:
            if view.balances is None or not self._books.known:
                return view
            if not await self._books.is_same(view.balances, book.portfolio):
                return view
            view = replace(view, claimed=await self._books.claimed())
        if not self._rebuild.done:
            if not await self._rebuilt(view, book):
                return view
            book = await asyncio.to_thread(self._ledger.book)
        if book.net_deposits is None:
            if await asyncio.to_thread(self._ledger.in_flight):
                return view
            book = await self._cash_flows.open(view, book) or book
        if book.net_deposits is None:
            return view
        account = Account(book.portfolio, view.balances, self.settings.quote, view.claimed.quote)
        return replace(view, account=account)

    async def _rebuilt(self, view: Inputs, book: Book) -> bool:
        """Book what the exchange knows and the ledger does not; whether all of it is booked."""
        quote = self.settings.quote
        # Listed or not: rules that could not be had must not hide an order.
        chosen = {f"{coin}{quote}": coin for coin in {*self.settings.coins, *book.portfolio.positions} - {quote}}
        held = {f"{coin}{quote}": coin for coin in {*(view.balances or ())} - {quote}}
        found = await self._rebuild.go_on(chosen, held, self._fetcher.fee_prices)
        await self._signals.outcomes.orders(found)
        if found:
            self._fetcher.forget_rules()  # coins may be held now that nobody asked for
        return self._rebuild.done

    def _source(self, key: str | None) -> SourceState:
        """The source with a key, or the first one. Raises CommandError."""
        if key is None and self.sources:
            return self.sources[0]
        source = next((source for source in self.sources if source.key == key), None)
        if source is None:
            raise CommandError("source_unknown", sources=", ".join(source.key for source in self.sources))
        return source

    async def _weights(self, view: Inputs) -> Mapping[str, Decimal] | None:
        """The portfolio's own weights by coin; None without a complete valuation."""
        book = await asyncio.to_thread(self._ledger.book)
        valuation = book.portfolio.value(view.market.prices)
        if view.account is None or valuation is None or not valuation.total:
            return None
        with localcontext(EXACT):
            return {coin: value / valuation.total for coin, value in valuation.values.items()}

    async def _asked(self, signal_id: str | None, view: Inputs | None) -> SignalRecord:
        """The signal that waits, where it is the one that is meant. Raises CommandError."""
        record = await self._signals.asked(signal_id)
        if record is None:
            self._show(await self._picture(view))  # it may just have been overtaken
            raise CommandError("not_waiting")
        return record

    async def _value(self, view: Inputs) -> Decimal | None:
        """Value in EUR; None as soon as anything in it is unknown."""
        book = await asyncio.to_thread(self._ledger.book)
        valuation = book.portfolio.value(view.market.prices)
        if book.net_deposits is None or valuation is None or view.rate is None or not self._rebuild.done:
            return None
        return valuation.total * view.rate

    async def _move(self, kind: FlowKind, amount: Decimal, note: str, at: datetime | None) -> CashFlow:
        async with self._working():
            async with self._prepared() as view:
                self._check_account()
                if not self._rebuild.done:
                    raise CommandError("no_valuation")
                flow = await self._cash_flows.move(kind, amount, view, note, at)
            self._show(await self._picture(view))
            return flow

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        """What the owner asked for, apart from any cycle; trouble with the ledger is told in his words."""
        async with self._lock:
            if self._executor.stopping:
                raise CommandError("ledger_unavailable")
            try:
                yield
            except LedgerError as err:
                raise CommandError("ledger_unavailable") from err

    async def _guarded[T](self, work: Awaitable[T]) -> T:
        try:
            return await work
        except LedgerError as err:
            raise CommandError("ledger_unavailable") from err

    def _show(self, picture: Snapshot) -> None:
        self.snapshot = picture
        self._publish(picture, self._events.take())

    async def _picture(self, view: Inputs | None) -> Snapshot:
        """Everything the entities show; the day's figures are written down on the way."""
        book = await asyncio.to_thread(self._ledger.book)
        prices = view.market.prices if view else {}
        whole = book.net_deposits is not None and self._rebuild.done
        valuation = book.portfolio.value(prices) if whole and view else None
        if valuation and view and view.rate:
            book = await self._close_day(book, valuation, view.rate, prices)
        signal, trade = await asyncio.to_thread(self._ledger.latest)
        waiting = await self._signals.approvals.waiting()
        first = self.sources[0] if self.sources else None
        leader = first if first and first.source.remote else None
        latest = first.latest if first else None
        quote = self.settings.quote
        started, corrections = await asyncio.to_thread(self._ledger.beginning)
        revalued = await asyncio.to_thread(self._ledger.fact, REVALUED)
        now = self._clock()
        shown = figures(
            book,
            valuation,
            view.rate if view else None,
            prices,
            first.source.targets if first else None,
            {coin: f"{coin}{quote}" for coin in (*self.settings.coins, *book.portfolio.positions)},
            now if valuation and view and view.rate else self.snapshot.as_of,
            view.market.aside if view else (),
            corrections,
        )
        today = await self._today.profit(shown.profit, now, started) if shown.profit and started else None
        for source in self.sources:
            newest = await asyncio.to_thread(self._ledger.newest_of, source.key)
            source.watch_silence(newest.seen_at if newest else None)
        problem = self._fetcher.exchange_problem or self._executor.problem
        return Snapshot(
            **{item.name: getattr(shown, item.name) for item in fields(Figures)},
            mode=self.settings.mode,
            status=self._risk.status,
            book=self._ledger.number,
            paused=self._risk.paused,
            last_signal=(signal.created_at or signal.seen_at) if signal else None,
            last_signal_id=signal.signal_id if signal else None,
            last_signal_result=signal.result if signal else None,
            last_signal_reason=signal.reason if signal else None,
            last_trade=trade.time if trade else None,
            leader_connected=leader.connected if leader else None,
            leader_problem=leader.problem if leader else None,
            exchange_connected=problem is None if self._fetcher.asked_exchange else None,
            exchange_problem=problem,
            unknown_coins=first.unknown_coins if first else (),
            update_required=latest.latest_version if latest and latest.update_required else None,
            open_orders=await asyncio.to_thread(self._ledger.in_flight),
            missing=self._risk.missing,
            short_of_quote=self._cash_flows.short(view, book) if view else None,
            spare=self._cash_flows.spare(view, book) if view else None,
            permissions=self._fetcher.permissions,
            waiting_signal=waiting.signal_id if waiting else None,
            waiting_until=self._signals.approvals.expires(waiting) if waiting else None,
            due=min(filter(None, (source.due for source in self.sources)), default=None),
            fall=self._risk.fall,
            exiting=await self._signals.exits.open(),
            returned_signal=first.returned if first else None,
            profit_today=today,
            since=started,
            revalued=datetime.fromisoformat(revalued) if revalued else None,
            restored=await asyncio.to_thread(self._ledger.fact, RESTORED),
        )

    async def _close_day(self, book: Book, valuation: Valuation, rate: Decimal, prices: Mapping[str, Decimal]) -> Book:
        value = valuation.total * rate
        units = book.units.valued(value)
        drawdown = book.drawdown.seen(units.price)
        day, held = self._clock().date(), {coin: prices[coin] for coin in valuation.values}
        await asyncio.to_thread(self._ledger.write_close, day, value, valuation.total, units, drawdown, held)
        return replace(book, units=units, drawdown=drawdown)
