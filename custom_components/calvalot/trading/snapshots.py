"""Builds the snapshot of a portfolio; the day's figures are written down on the way."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal

from .cash_flows import REVALUED, CashFlows
from .exchanges.symbols import symbol_of
from .executor import Executor
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import Book
from .market import Market
from .portfolio import Valuation
from .preparation import Preparation
from .profit import Today
from .risk import Risk
from .settings import Settings
from .signals import Signals
from .snapshot import Figures, Snapshot, figures
from .sources.state import SourceState
from .statistics.marks import PERIODS, growth
from .upkeep import RESTORED


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
        today: Today,
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
        self._today = today
        self._clock = clock
        self._valued: datetime | None = None

    async def build(self, inputs: Inputs | None) -> Snapshot:
        """Everything the entities show; the day's figures are written down on the way."""
        book = await asyncio.to_thread(self._ledger.book)
        prices = inputs.market.prices if inputs else {}
        whole = book.net_deposits is not None and self._preparation.is_whole
        valuation = book.portfolio.value(prices) if whole and inputs else None
        now = self._clock()
        if valuation and inputs and inputs.rate:
            self._valued = now
            book = await self._close_day(book, valuation, inputs.rate, inputs.market, now)
        signal, trade = await asyncio.to_thread(self._ledger.latest)
        waiting = await self._signals.approvals.waiting()
        first = self._sources[0] if self._sources else None
        leader = first if first and first.source.remote else None
        latest = first.latest if first else None
        quote = self._settings.quote
        started, corrections = await asyncio.to_thread(self._ledger.beginning)
        revalued = await asyncio.to_thread(self._ledger.fact, REVALUED)
        shown = figures(
            book,
            valuation,
            inputs.rate if inputs else None,
            prices,
            first.source.targets if first else None,
            {coin: symbol_of(coin, quote) for coin in (*self._settings.coins, *book.portfolio.positions)},
            self._valued,
            inputs.market.aside if inputs else None,
            corrections,
        )
        today = await self._today.profit(shown.profit, now, started) if shown.profit and started else None
        for source in self._sources:
            await source.watch_silence()
        problem = self._fetcher.exchange_problem or self._executor.problem
        return Snapshot(
            **{item.name: getattr(shown, item.name) for item in fields(Figures)},
            mode=self._settings.mode,
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
            short_of_quote=self._cash_flows.short(inputs, book) if inputs else None,
            spare=self._cash_flows.spare(inputs, book) if inputs else None,
            permissions=self._fetcher.permissions,
            waiting_signal=waiting.signal_id if waiting else None,
            waiting_until=self._signals.approvals.expires(waiting) if waiting else None,
            due=min(filter(None, (*(source.due for source in self._sources), self._quiet_until(now))), default=None),
            fall=self._risk.fall,
            exiting=await self._signals.exits.open(),
            returned_signal=first.returned if first else None,
            profit_today=today,
            returns=await asyncio.to_thread(self._returns, book, now),
            since=started,
            revalued=datetime.fromisoformat(revalued) if revalued else None,
            restored=await asyncio.to_thread(self._ledger.fact, RESTORED),
        )

    async def last_known(self, snapshot: Snapshot) -> Snapshot | None:
        """A snapshot with the figures at the last known prices, and the time of the last valuation; None where there was none.

        Raises LedgerError.
        """
        valued = await asyncio.to_thread(self._ledger.last_valuation)
        book = await asyncio.to_thread(self._ledger.book)
        last = await asyncio.to_thread(self._ledger.last_prices, book.portfolio.positions)
        prices = {coin: each.price for coin, each in last.items()}
        valuation = book.portfolio.value(prices)
        if valued is None or valuation is None:
            return None
        at, rate = valued
        symbols = {coin: position.symbol for coin, position in snapshot.positions.items()}
        _, corrections = await asyncio.to_thread(self._ledger.beginning)
        known = figures(book, valuation, rate, prices, None, symbols, at, corrections=corrections)
        return replace(snapshot, **{item.name: getattr(known, item.name) for item in fields(Figures)})

    # Inside

    def _returns(self, book: Book, now: datetime) -> dict[str, Decimal]:
        """Time-weighted return of each period that begins with a close."""
        bases = self._ledger.closes_before([now.date() - timedelta(days=days) for days in PERIODS.values()])
        found = {
            name: growth(base.units.price, book.units.price)
            for name, base in zip(PERIODS, bases, strict=True)
            if base and base.day < now.date()
        }
        return {name: each for name, each in found.items() if each is not None}

    def _quiet_until(self, now: datetime) -> datetime | None:
        quiet = self._settings.quiet_hours
        return quiet.until(now) if quiet else None

    async def _close_day(self, book: Book, valuation: Valuation, rate: Decimal, market: Market, now: datetime) -> Book:
        value = valuation.total * rate
        units = book.units.valued(value)
        drawdown = book.drawdown.seen(units.price)
        day = now.date()
        # A price of an earlier day stays with that day.
        fresh = {coin: market.prices[coin] for coin in market.prices if market.aside.get(coin, day) == day}
        await asyncio.to_thread(self._ledger.write_close, now, value, valuation.total, units, drawdown, fresh)
        return replace(book, units=units, drawdown=drawdown)
