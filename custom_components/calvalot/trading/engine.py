"""One portfolio at work: its parts, its cycle, its start and its end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
import logging
import time

from .accounts import Accounts
from .bookings import Bookings
from .books import Books
from .cash_flows import CashFlows
from .commands import Commands
from .conversion_commands import ConversionCommands
from .conversions import Conversions
from .events import Event, EventQueue
from .exchanges.base import Exchange
from .exchanges.host import LivePrices, no_live_prices
from .executor import Executor
from .exits import Cause
from .frozen import Frozen
from .gaps import Gaps
from .health import CycleTiming, Health
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.storage import LedgerCorrupt, LedgerError
from .market.ranking import Ranking
from .order_commands import OrderCommands
from .order_names import OrderNames
from .plans import Plans
from .preparation import Preparation
from .profit import Today, midnight_utc
from .proposals import Proposals
from .publisher import Publisher
from .queries import Queries
from .quote_change import QuoteChange
from .rank_filter import RankFilter
from .rebuild import Rebuild
from .risk import Risk
from .settings import Settings
from .signals import Signals
from .snapshot import Snapshot, Status
from .snapshots import SnapshotBuilder
from .sources.alert_inbox import AlertInbox
from .sources.alerts import AlertsSource
from .sources.alerts_state import AlertsState
from .sources.base import Source
from .sources.blend_state import deciding
from .sources.state import SourceState
from .upkeep import Upkeep
from .wallet import Wallet

_LOGGER = logging.getLogger(__name__)


class Engine:
    """Runs one portfolio with one budget in one mode; `publish` gets each snapshot with the events that led to it.

    `commands` is what its owner can do, `orders` what he can do with orders that rest, `conversions` with conversions,
    `quote` changes the quote asset, `proposals` is what is offered to him for booking, `gaps` the days without a close,
    `queries` what he can read. `midnight` says when the owner's day began that a time lies in.
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
        ranking: Callable[[], Ranking | None] = lambda: None,
        live_prices: LivePrices = no_live_prices,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sources` are named by their keys; `accounts` is shared by all portfolios that may trade on one account.

        `ranking` is where the ranks of coins are asked for, where its owner limits them; `live_prices` are those of a stream,
        which the price guard looks at. `sleep` pauses between look-ups.
        """
        self.settings = settings
        self.health = Health()
        self._ledger = ledger
        self._clock = clock
        self._lock = asyncio.Lock()
        events = EventQueue(settings.mode)
        # Each source, and what decides: the only one, or all of them blended.
        self.members = tuple(
            (AlertsState if isinstance(source, AlertsSource) else SourceState)(
                source, key, settings, ledger, clock, events
            )
            for key, source in sources.items()
        )
        self.alerts = AlertInbox(
            [state for state in self.members if isinstance(state, AlertsState)], settings, ledger, clock, events
        )
        self.sources = deciding(self.members, settings, ledger, clock, events)
        self._fetcher = Fetcher(settings, exchange, ledger, clock, events, RankFilter(settings, ranking), live_prices)
        names = OrderNames(ledger, settings.entry_id, exchange.order_name)
        bookings = Bookings(ledger, exchange.fee_coin, clock)
        self._executor = Executor(exchange, ledger, names, bookings, clock, sleep)
        self._risk = Risk(settings, ledger, clock, events, exchange.fee_coin)
        frozen = Frozen(settings, self.members)
        self._signals = Signals(
            settings,
            self.sources,
            ledger,
            names,
            self._executor,
            self._fetcher,
            self._risk,
            clock,
            events,
            frozen,
            exchange,
        )
        self._protections = self._signals.protections
        accounts = Accounts() if accounts is None else accounts
        cash_flows = CashFlows(settings, ledger, clock)
        wallet = Wallet(settings, exchange, ledger, accounts, clock)
        outcomes = self._signals.outcomes
        self._conversions = Conversions(
            settings, ledger, self._fetcher, self._executor, self._protections, events, outcomes, frozen, clock
        )
        self._preparation = Preparation(
            settings,
            ledger,
            self._fetcher,
            self._executor,
            Books(settings.mode, exchange, ledger, clock, accounts),
            Rebuild(exchange, ledger, names, bookings, self._executor),
            cash_flows,
            self._risk,
            self._signals,
            wallet,
            frozen,
            self._protections,
        )
        self._upkeep = Upkeep(
            ledger, accounts, self.sources, self._risk, self._signals.exits, self._preparation, events, clock
        )
        self._snapshots = SnapshotBuilder(
            settings,
            self.sources,
            ledger,
            self._fetcher,
            self._executor,
            self._preparation,
            cash_flows,
            self._risk,
            self._signals,
            self._protections,
            Today(ledger, midnight),
            events,
            wallet,
            frozen,
            clock,
        )
        self.publisher = Publisher(settings.mode, self._snapshots, events, publish)
        self.queries = Queries(settings, ledger, clock, exchange.name)
        self.commands = Commands(
            settings,
            self.sources,
            ledger,
            self._fetcher,
            self._executor,
            bookings,
            self._preparation,
            cash_flows,
            self._risk,
            self._signals,
            Plans(settings, ledger, self._signals, clock),
            self._signals.withdrawals,
            self._lock,
            self.publisher,
        )
        self.proposals = Proposals(settings, exchange, ledger, cash_flows, clock, self.commands.with_flows)
        self.gaps = Gaps(settings, ledger, self.queries.figures, self.commands.working)
        self.orders = OrderCommands(
            settings,
            exchange,
            ledger,
            self._fetcher,
            self._executor,
            self._preparation,
            self._protections,
            self._risk,
            self._signals.exits,
            outcomes,
            frozen,
            clock,
            self.commands.working,
            self.publisher,
        )
        self.conversions = ConversionCommands(
            ledger,
            self._conversions,
            self._preparation,
            self._signals.exits,
            self._risk,
            clock,
            self.commands.working,
            self.publisher,
        )
        self.quote = QuoteChange(
            settings,
            ledger,
            self._fetcher,
            self._executor,
            self._conversions,
            self._preparation,
            self._protections,
            self._signals,
            self._risk,
            clock,
            self.commands.working,
            self.publisher,
        )

    @property
    def snapshot(self) -> Snapshot:
        """The portfolio as it was published last."""
        return self.publisher.snapshot

    @property
    def symbols(self) -> frozenset[str]:
        """Every symbol whose price it needs, as far as is known by now."""
        return self._fetcher.symbols

    async def start(self) -> None:
        """Open the book; nothing goes over the network. Raises LedgerError."""
        await self._upkeep.open()
        self._fetcher.hold((await self._ledger.ask(self._ledger.book)).portfolio.positions)
        await self.publisher.prepare()

    async def tune(self, settings: Settings, sources: Mapping[str, Source]) -> None:
        """Go on with what was tuned, between two cycles; `sources` are those that are different now."""
        async with self._lock:
            other_coins = settings.coins != self.settings.coins
            self.settings.tune(settings)
            for state in self.members:
                if state.key in sources:
                    state.become(sources[state.key])
            # One that cannot be read is opened anew by the next cycle, which looks at it all.
            with suppress(LedgerError):
                await self._risk.tuned()
                if other_coins:
                    self._fetcher.hold((await self._ledger.ask(self._ledger.book)).portfolio.positions)
            if other_coins:
                self._fetcher.forget_rules()

    async def stop(self, timeout: float = 30) -> None:
        """Send nothing new, wait (seconds, bounded) until a running cycle wrote down what it did, close the book."""
        self._executor.stopping = True
        try:
            await asyncio.wait_for(self._lock.acquire(), timeout)
        except TimeoutError:
            _LOGGER.warning("A cycle was still running when the portfolio had to stop")
        else:
            self._lock.release()
        await self._upkeep.close(timeout)

    async def cycle(self) -> Snapshot:
        """One whole cycle, never two at a time; what a source, the exchange or the ledger do wrong ends up in the snapshot."""
        async with self._lock:
            if self._executor.stopping:
                return self.snapshot
            started, clock = self._clock(), time.monotonic()
            self._executor.problem = None
            storage: LedgerError | None = None
            try:
                if not self._ledger.is_open:
                    await self._upkeep.reopen()
                async with self._preparation.ready(self.sources) as inputs:
                    await self._act(inputs)
                snapshot = await self._snapshots.build(inputs)
                await self._ledger.ask(self.queries.keep_up)
                self._fetcher.watch_exchange(snapshot.exchange_problem)
            except LedgerError as err:
                storage = err
                snapshot = await self._without_ledger(err)
            seconds = time.monotonic() - clock
            self.publisher.send(snapshot)
            if storage is None and (storage := await self._upkeep.keep_copy()):
                snapshot = await self._without_ledger(storage)
                self.publisher.send(snapshot)
            problems = [source.problem for source in self.members]
            self.health.note(CycleTiming(started, seconds), (*problems, snapshot.exchange_problem, storage))
            if not self._executor.stopping and await self._fetcher.ask_permissions():
                self.publisher.change(permissions=self._fetcher.permissions)
            return self.snapshot

    async def is_waited_for(self, client_order_id: str | None) -> bool:
        """Whether something is still to be known of an order, or of any where none is named; asked between two cycles."""
        async with self._lock:
            try:
                orders = await self._ledger.ask(lambda: (*self._ledger.in_flight(), *self._ledger.resting()))
            except LedgerError:
                return False
        return any(client_order_id in (None, order.client_order_id) for order in orders)

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nothing is written while a backup is made, and the file alone holds everything."""
        async with self._lock:
            with suppress(LedgerError):
                await self._ledger.ask(self._ledger.checkpoint)
            yield

    # Inside

    async def _act(self, inputs: Inputs) -> None:
        """Value, survive, decide."""
        await self.proposals.watch(inputs)
        value = await self._preparation.value(inputs) if self._preparation.is_account_known else None
        if value is not None:
            await self._risk.survive(value)
            book = await self._ledger.ask(self._ledger.book)
            sell = partial(self._signals.exits.begin, Cause.STOP_LOSS) if self.settings.stop_loss_sell else None
            await self._risk.stop_loss(book.units.valued(value).price, sell)
        if self._risk.status is Status.DEAD:
            await self._signals.outcomes.orders(await self._executor.withdraw(self._fetcher.fee_prices))
        await self._risk.compare(inputs)
        await self._protect(inputs)
        active = self._risk.status is Status.ACTIVE and not self._executor.stopping
        await self._conversions.go_on(inputs, may_trade=active)
        await self._signals.decide(inputs, ready=value is not None and inputs.account is not None)
        await self._protect(inputs)

    async def _protect(self, inputs: Inputs) -> None:
        """Place protections that are missing, before anything is planned and after it was traded; none of what is sold off."""
        if self._risk.status is Status.DEAD or await self._signals.exits.open():
            await self._protections.forget_all()
        elif inputs.account is not None and not self._executor.stopping:
            done = await self._protections.restore(inputs.market, self._fetcher.fee_prices)
            await self._signals.outcomes.orders(done)

    async def _without_ledger(self, err: LedgerError) -> Snapshot:
        """The snapshot without a ledger to trade with; a broken one is restored for the next cycle."""
        _LOGGER.error("Nothing is traded: %s", err)
        if isinstance(err, LedgerCorrupt):
            await self._upkeep.recover()
        # A turn that has come would be taken again and again: the next cycle is the one after the poll interval.
        return replace(self.snapshot, storage_problem=str(err), due=None)
