"""Builds the snapshot of a portfolio; the day's figures are written down on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal

from .alert_log import logged
from .attribution import ATTRIBUTION, Valued, begin, from_text, to_text
from .cash_flows import REVALUED, CashFlows
from .conversion_text import from_text as left_of
from .conversions import LEFT
from .decimals import ONE, ZERO
from .events import EventQueue
from .exchanges.symbols import eur_rate, symbol_of
from .executor import Executor
from .frozen import Frozen
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import Book, Result, SignalRecord
from .portfolio import Valuation
from .preparation import Preparation
from .profit import Today
from .proposals import seen_of
from .protections import Protections
from .risk import Risk
from .settings import Scope, Settings
from .signal import PORTFOLIO
from .signals import Signals
from .sizing import Market
from .snapshot import Figures, PositionFigures, Snapshot, SourceFigures, Status, figures
from .sources.alerts_state import AlertsState
from .sources.blend import MOVES
from .sources.blend_state import BlendState
from .sources.state import SourceState
from .statistics.distance import Wanted, begin as begin_distance, reasons_for
from .statistics.distance_text import DISTANCE, from_text as distance_of, to_facts
from .statistics.marks import PERIODS, growth
from .upkeep import RESTORED
from .wallet import Wallet


class SnapshotBuilder:
    """Reads what every room knows into one snapshot."""

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[SourceState],
        ledger: Ledger,
        fetcher: Fetcher,
        executor: Executor,
        preparation: Preparation,
        cash_flows: CashFlows,
        risk: Risk,
        signals: Signals,
        protections: Protections,
        today: Today,
        events: EventQueue,
        wallet: Wallet,
        frozen: Frozen,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._ledger = ledger
        self._fetcher = fetcher
        self._executor = executor
        self._preparation = preparation
        self._cash_flows = cash_flows
        self._risk = risk
        self._signals = signals
        self._protections = protections
        self._today = today
        self._events = events
        self._wallet = wallet
        self._frozen = frozen
        self._clock = clock
        self._valued: datetime | None = None
        self._last: tuple[Book, Market, Decimal] | None = None

    async def build(self, inputs: Inputs | None) -> Snapshot:
        """Everything the entities show; the day's figures are written down on the way."""
        book = await self._ledger.ask(self._ledger.book)
        signal, trade = await self._ledger.ask(self._ledger.latest)
        prices = inputs.market.prices if inputs else {}
        whole = book.net_deposits is not None and self._preparation.is_whole
        valuation = book.portfolio.value(prices) if whole and inputs else None
        now = self._clock()
        if valuation and inputs and inputs.rate:
            self._valued = now
            book = await self._close_day(book, signal, valuation, inputs.rate, inputs.market, now)
        waiting = await self._signals.approvals.waiting()
        each = [asked for source in self._sources for asked in source.asked]
        told = [state for state in each if isinstance(state, AlertsState)]
        remote = [source for source in each if source.source.remote]
        updates = [source.latest for source in each if source.latest and source.latest.update_required]
        quote = self._settings.quote
        started, corrections = await self._ledger.ask(self._ledger.beginning)
        revalued = await self._ledger.ask(self._ledger.fact, REVALUED)
        shown = figures(
            book,
            valuation,
            inputs.rate if inputs else None,
            prices,
            self._targets,
            {coin: symbol_of(coin, quote) for coin in (*self._settings.coins, *book.portfolio.positions)},
            self._valued,
            inputs.market.aside if inputs else None,
            corrections,
        )
        self._last = (book, inputs.market, corrections) if valuation and inputs and inputs.rate else None
        shown = replace(shown, positions=self._with_what_holds_it(shown.positions, book, inputs))
        today = await self._today.profit(shown.profit, now, started) if shown.profit and started else None
        for source in self._sources:
            await source.watch_silence()
        if alerts := self._events.take_alerts():
            await self._ledger.ask(self._ledger.remember_all, logged(now, alerts))
        problem = self._fetcher.exchange_problem or self._executor.problem
        seen = await self._ledger.ask(seen_of, self._ledger)
        is_wallet = self._settings.scope is Scope.WALLET
        return Snapshot(
            **{item.name: getattr(shown, item.name) for item in fields(Figures)},
            scope=self._settings.scope,
            apart=await self._wallet.apart(inputs, book) if is_wallet and inputs and inputs.market.rules else (),
            unexplained=await self._ledger.ask(self._ledger.unexplained) if is_wallet else (),
            mode=self._settings.mode,
            status=self._risk.status,
            book=self._ledger.number,
            paused=self._risk.paused,
            last_signal=(signal.created_at or signal.seen_at) if signal else None,
            last_signal_id=signal.signal_id if signal else None,
            last_signal_result=signal.result if signal else None,
            last_signal_reason=signal.reason if signal else None,
            last_trade=trade.time if trade else None,
            leader_connected=_all([source.connected for source in remote]),
            leader_problem=next((source.problem for source in remote if source.problem), None),
            refused_by=next((source.key for source in remote if source.problem), None),
            exchange_connected=problem is None if self._fetcher.asked_exchange else None,
            exchange_problem=problem,
            unknown_coins=tuple(dict.fromkeys(coin for source in each for coin in source.unknown_coins)),
            update_required=updates[0].latest_version if updates else None,
            rank_problem=self._fetcher.ranks.problem,
            ranks_at=self._fetcher.ranks.asked_at,
            ambiguous_coins=self._fetcher.ranks.ambiguous(
                {*self._settings.coins, *book.portfolio.positions, *(self._targets or {})}
            ),
            held_back=await self._signals.held_back.coins(),
            sources=tuple(self._source(source) for source in each),
            failing_alerts={state.key: state.failing for state in told if state.failing},
            silent_alerts=tuple(state.key for state in told if state.is_silent),
            moves_in_blend=tuple(source.key for source in each if source.refused and source.refused.reason == MOVES),
            open_orders=await self._ledger.ask(self._ledger.in_flight),
            resting=await self._ledger.ask(self._ledger.resting),
            protections=await self._protections.wanted(),
            protected_by=await self._protections.held_by(inputs.market) if inputs else {},
            missing=self._risk.missing,
            conversion_left=left_of(left) if (left := await self._ledger.ask(self._ledger.fact, LEFT)) else None,
            short_of_quote=self._cash_flows.short(inputs, book) if inputs else None,
            spare=self._cash_flows.spare(inputs, book) if inputs else None,
            proposals=seen.open if seen else (),
            permissions=self._fetcher.permissions,
            waiting_signal=waiting.signal_id if waiting else None,
            waiting_until=self._signals.approvals.expires(waiting) if waiting else None,
            due=min(filter(None, (*(source.due for source in self._sources), self._quiet_until(now))), default=None),
            fall=self._risk.fall,
            exiting=await self._signals.exits.open(),
            returned_signal=next((source.returned for source in each if source.returned), None),
            profit_today=today,
            returns=await self._ledger.ask(self._returns, book, now),
            since=started,
            revalued=datetime.fromisoformat(revalued) if revalued else None,
            restored=await self._ledger.ask(self._ledger.fact, RESTORED),
        )

    def revalued(self, snapshot: Snapshot, prices: Mapping[str, Decimal]) -> Snapshot:
        """A snapshot that was built last, at other prices (quote per base, by symbol); itself where it had no valuation.

        Nothing is written down: what only a cycle sees, such as the drawdown, stays as the last one saw it.
        """
        quote = self._settings.quote
        rate = eur_rate(quote, prices) or snapshot.rate
        if self._last is None or rate is None:
            return snapshot
        book, market, corrections = self._last
        by_coin = {coin: prices.get(market.symbol(coin), price) for coin, price in market.prices.items()}
        valuation = book.portfolio.value(by_coin)
        if valuation is None:  # pragma: no cover - the cycle had a price for each, or there is nothing to show anew
            return snapshot
        book = replace(book, units=book.units.valued(valuation.total * rate))
        symbols = {coin: position.symbol for coin, position in snapshot.positions.items()}
        shown = figures(
            book, valuation, rate, by_coin, self._targets, symbols, snapshot.as_of, market.aside, corrections
        )
        today = snapshot.profit_today
        if today is not None and snapshot.profit and shown.profit:
            today += shown.profit.total - snapshot.profit.total
        return replace(
            snapshot, **{item.name: getattr(shown, item.name) for item in fields(Figures)}, profit_today=today
        )

    async def last_known(self, snapshot: Snapshot) -> Snapshot | None:
        """A snapshot with the figures at the last known prices, and the time of the last valuation; None where there was none.

        Raises LedgerError.
        """
        valued = await self._ledger.ask(self._ledger.last_valuation)
        book = await self._ledger.ask(self._ledger.book)
        last = await self._ledger.ask(self._ledger.last_prices, book.portfolio.positions)
        prices = {coin: each.price for coin, each in last.items()}
        valuation = book.portfolio.value(prices)
        if valued is None or valuation is None:
            return None
        at, rate = valued
        symbols = {coin: position.symbol for coin, position in snapshot.positions.items()}
        _, corrections = await self._ledger.ask(self._ledger.beginning)
        known = figures(book, valuation, rate, prices, None, symbols, at, corrections=corrections)
        return replace(snapshot, **{item.name: getattr(known, item.name) for item in fields(Figures)})

    # Inside

    def _with_what_holds_it(
        self, positions: Mapping[str, PositionFigures], book: Book, inputs: Inputs | None
    ) -> dict[str, PositionFigures]:
        """Positions with whether they are frozen, and what of them orders have locked on the account of a whole wallet."""
        frozen = self._frozen.of(book.portfolio.positions)
        balances = inputs.balances if inputs and self._settings.scope is Scope.WALLET else None
        found = {}
        for coin, position in positions.items():
            balance = (balances or {}).get(coin)
            unnamed = coin in frozen and coin not in (self._targets or {})
            found[coin] = replace(
                position,
                frozen=coin in frozen,
                locked=min(balance.locked, position.quantity) if balance else ZERO,
                target_weight=None if unnamed else position.target_weight,
            )
        return found

    def _returns(self, book: Book, now: datetime) -> dict[str, Decimal]:
        """Time-weighted return of each period that begins with a close."""
        bases = self._ledger.closes_before([now.date() - timedelta(days=days) for days in PERIODS.values()])
        found = {
            name: growth(base.units.price, book.units.price)
            for name, base in zip(PERIODS, bases, strict=True)
            if base and base.day < now.date()
        }
        return {name: each for name, each in found.items() if each is not None}

    def _source(self, source: SourceState) -> SourceFigures:
        parts = {part.key: part for state in self._sources if isinstance(state, BlendState) for part in state.parts}
        part = parts.get(source.key)
        return SourceFigures(
            key=source.key,
            kind=source.source.kind,
            weight=self._settings.weights.get(source.key, ONE),
            paused=source.key in self._settings.paused_sources,
            stale=part is not None and part.is_stale,
            connected=source.connected,
            problem=source.problem,
            lost=source.is_lost,
            targets=part.shares if part else source.source.targets,
        )

    async def _attributed(self, valued: Valued, now: datetime) -> dict[str, str]:
        """What the sources of a blend have contributed by now, as it is remembered."""
        blend = next((source for source in self._sources if isinstance(source, BlendState)), None)
        if blend is None:
            return {}
        known = await self._ledger.ask(self._ledger.fact, ATTRIBUTION)
        attribution = from_text(known).valued(valued, blend.parts) if known else begin(valued, blend.parts, now)
        return {ATTRIBUTION: to_text(attribution)}

    async def _distant(self, valued: Valued, book: Book, signal: SignalRecord | None, now: datetime) -> dict[str, str]:
        """How far the portfolio is from what its source wants, and why, as it is remembered; nothing where nothing is new."""
        text = await self._ledger.ask(self._ledger.fact, DISTANCE)
        known = distance_of(text) if text else None
        wanted = known.wanted if known else Wanted()
        if signal and signal.source != PORTFOLIO and signal.result is not Result.REJECTED:
            name = f"{signal.source} {signal.signal_id}"
            wanted = Wanted(name=name, published=signal.created_at, confidence=signal.confidence)
        wanted = replace(wanted, shares=self._targets)
        quiet = self._quiet_until(now) is not None and signal is not None and signal.result is Result.OPEN
        reasons = reasons_for(
            signal,
            held_up=self._risk.status is not Status.ACTIVE or quiet,
            coin_of={symbol_of(coin, self._settings.quote): coin for coin in valued.prices},
        )
        state = (valued, book.portfolio.fees, wanted, reasons, now)
        bought = self._settings.scope is Scope.BUDGET
        if bought and known is None and await self._ledger.ask(self._ledger.last_valuation) is None:
            # What joining the source has cost belongs to it: all was cash just now.
            paid = replace(
                valued, unit_price=ONE, value=book.units.outstanding, cash=book.portfolio.paid_in, quantities={}
            )
            known = begin_distance(paid, ZERO, wanted, reasons, now)
        elif known is None or not known.last.unit_price:
            known = begin_distance(*state)
        elif not known.is_due(*state):
            return {}
        return to_facts(known.valued(*state))

    @property
    def _targets(self) -> Mapping[str, Decimal] | None:
        """Shares by coin that the first source wants; None where none are known."""
        return self._sources[0].source.targets if self._sources else None

    def _quiet_until(self, now: datetime) -> datetime | None:
        quiet = self._settings.quiet_hours
        return quiet.until(now) if quiet else None

    async def _close_day(
        self,
        book: Book,
        signal: SignalRecord | None,
        valuation: Valuation,
        rate: Decimal,
        market: Market,
        now: datetime,
    ) -> Book:
        value = valuation.total * rate
        units = book.units.valued(value)
        drawdown = book.drawdown.seen(units.price)
        day = now.date()
        # A price of an earlier day stays with that day.
        fresh = {coin: market.prices[coin] for coin in market.prices if market.aside.get(coin, day) == day}
        held = {coin: position.quantity for coin, position in book.portfolio.positions.items()}
        coins = {*held, *(self._targets or {}), *self._settings.coins}
        valued = Valued(
            unit_price=units.price,
            value=value,
            cash=book.portfolio.cash,
            rate=rate,
            prices={coin: price * rate for coin in coins if (price := market.prices.get(coin))},
            quantities=held,
        )
        facts = await self._attributed(valued, now)
        facts |= await self._distant(valued, book, signal, now)
        await self._ledger.ask(self._ledger.write_close, now, value, valuation.total, units, drawdown, fresh, facts)
        return replace(book, units=units, drawdown=drawdown)


def _all(connected: Sequence[bool | None]) -> bool | None:
    """Whether all are connected; None where that is not known of any, or there are none."""
    if False in connected:
        return False
    return True if connected and None not in connected else None
