"""A ledger that is older than the account, or lost: what we did meanwhile is read from the exchange and booked, in small steps.

First all our orders of each symbol are written down, then they are booked in the order they were executed. Each step is kept:
what comes after a pause of the exchange, a fault or a restart goes on from there.
"""

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
import itertools
import logging

from .bookings import Bookings
from .errors import ExchangeError
from .exchanges.base import Exchange, OrderPage, OrderReport
from .exchanges.symbols import symbol_of
from .executor import Executor
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, OrderState
from .order_names import Leg, OrderNames
from .routes import BETWEEN
from .settling import accepted, executed
from .signal import BY_HAND, INITIAL_SYNC, PORTFOLIO, PROTECTION, RECOVERED, SignalKey, SourceKind

_LOGGER = logging.getLogger(__name__)
# Requests that are under way at the same time; the exchange may refuse them all before one of its answers is read.
AT_ONCE = 4
EXPLAINED_SIGNALS = 200
# Ids of the portfolio's own, which no source will give again.
OWN_SIGNALS = (
    SignalKey(SourceKind.LEADER, INITIAL_SYNC),
    SignalKey(PORTFOLIO, BY_HAND),
    SignalKey(PORTFOLIO, PROTECTION),
)
# Fact: orders were found that the ledger did not know, and not all of them are booked yet.
UNFINISHED = "rebuild"


class Rebuild:
    """Books our own orders that the account knows and the ledger does not; `done` once there are none."""

    def __init__(
        self, exchange: Exchange, ledger: Ledger, names: OrderNames, bookings: Bookings, executor: Executor
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._names = names
        self._bookings = bookings
        self._executor = executor
        self._read: set[str] = set()
        self._crosses: dict[str, str] | None = None
        self.done = not exchange.keeps_orders

    def begin(self) -> None:
        """Look at everything anew: the ledger may be another one."""
        self._read.clear()
        self._crosses = None
        self.done = not self._exchange.keeps_orders

    async def go_on(
        self, symbols: Mapping[str, str], assets: Collection[str], prices: Mapping[str, Decimal], *, lacks: bool = False
    ) -> tuple[OrderRecord, ...]:
        """Go on as far as the exchange lets us; returns what was booked. Raises LedgerError.

        `symbols` maps what we trade to its coin. What is on the account, `assets`, counts once orders are missing from the
        ledger, or where it `lacks` something that the book holds. `prices` by asset value fees that are not taken from the coin.
        """
        booked: list[OrderRecord] = []
        try:
            traded = await self._ledger.ask(self._ledger.traded_coins)
            done = await self._read_all({**symbols, **traded})
            if done and (lacks or await self._ledger.ask(self._is_unfinished)):
                pairs = await self._pairs_of({*assets, *symbols.values()})
                done = await self._read_all(pairs) and await self._book_all(prices, booked)
                if done:
                    await self._ledger.ask(self._ledger.remember, UNFINISHED, None)
            self.done = done
        except ExchangeError as err:
            self._executor.problem = err
            _LOGGER.warning("Orders that the ledger may lack cannot be read yet: %s", err)
        return tuple(booked)

    @property
    def _interrupted(self) -> bool:
        """Whether the rest is for a later cycle: we are to stop, or what is left of the exchange's weight is for others."""
        return self._executor.stopping or self._exchange.pause > 0

    # First all orders are written down

    async def _pairs_of(self, assets: Collection[str]) -> Mapping[str, str]:
        """The base by symbol of the pair of each asset, and of those that a conversion may have traded. Raises ExchangeError."""
        quote = self._ledger.quote
        if self._crosses is None:
            ends = {quote, *assets}
            legs = itertools.product(ends, ends.union(BETWEEN))
            possible = {
                symbol_of(*each) for one, other in legs if one != other for each in ((one, other), (other, one))
            }
            listed = sorted(possible & await self._exchange.listed())
            rules = await self._exchange.rules(listed) if listed else {}
            self._crosses = {symbol: each.base for symbol, each in rules.items()}
        return self._crosses | {symbol_of(asset, quote): asset for asset in assets if asset != quote}

    async def _read_all(self, symbols: Mapping[str, str]) -> bool:
        """Write down our orders of these symbols; whether all were read. Raises LedgerError, ExchangeError."""
        unread = [(symbol, coin) for symbol, coin in sorted(symbols.items()) if symbol not in self._read]
        for batch in itertools.batched(unread, AT_ONCE, strict=False):
            if not all(await _all(self._read_symbol(symbol, coin) for symbol, coin in batch)):
                return False
        return True

    async def _read_symbol(self, symbol: str, coin: str) -> bool:
        while not self._interrupted:
            cursor = await self._ledger.ask(self._ledger.cursor, symbol)
            page = await self._exchange.orders_page(symbol, cursor, self._names.tag)
            if page.cursor:
                await self._ledger.ask(self._write, symbol, coin, page, page.cursor)
            if not page.more:
                self._read.add(symbol)
                return True
        return False

    def _write(self, symbol: str, coin: str, page: OrderPage, cursor: str) -> None:
        """Write down what the ledger does not know of a page, and where the next one begins."""
        records = self._ledger.orders_named([report.client_order_id for report in page.own])
        missing = [report for report in page.own if report.client_order_id not in records]
        legs = self._legs(symbol, [report.client_order_id for report in missing])
        found = []
        for report in page.own:
            if (record := records.get(report.client_order_id)) is None:
                _LOGGER.warning("Order %s was missing from the ledger", report.client_order_id)
                name = report.client_order_id
                leg = legs.get(name, Leg(SignalKey(PORTFOLIO, RECOVERED), 0, name))
                record = _record(self._exchange.name, report, coin, leg)
                record = replace(record, sent_as=self._names.sent_as(leg.client_order_id))
                found.append(_found(record, report))
            elif record.state is OrderState.NOT_PLACED and (report.executed_quantity or not report.done):
                _LOGGER.warning("Order %s was taken for never placed", report.client_order_id)
                record = replace(record, state=OrderState.UNKNOWN, reason=RECOVERED, order_id=report.order_id)
                found.append(_found(record, report))
            elif not record.state.settled:
                # It is there: whatever its look-ups say, it is not absent.
                found.append(replace(record, order_id=report.order_id))
        unfinished = UNFINISHED if any(record.reason == RECOVERED for record in found) else None
        self._ledger.write_page(symbol, cursor, found, unfinished)

    def _legs(self, symbol: str, names: Collection[str]) -> dict[str, Leg]:
        """Signal and leg of orders by what the exchange calls them, as far as the ledger knows their signals."""
        legs: dict[str, Leg] = {}
        if names:
            signals = self._ledger.signals(limit=EXPLAINED_SIGNALS)
            for signal in {*OWN_SIGNALS, *(record.key for record in signals)}:
                legs |= self._names.explain(signal, symbol, names)
        return legs

    # Then they are booked

    def _is_unfinished(self) -> bool:
        """Whether orders were missing that are not all booked yet, an earlier version's included."""
        if self._ledger.fact(UNFINISHED):
            return True
        return any(record.reason == RECOVERED for record in self._ledger.in_flight())

    async def _book_all(self, prices: Mapping[str, Decimal], booked: list[OrderRecord]) -> bool:
        """Book what was written down, oldest first; whether nothing is left. Raises LedgerError, ExchangeError."""
        in_flight = await self._ledger.ask(self._ledger.in_flight)
        if any(record.reason != RECOVERED for record in in_flight):
            return False  # it came first, and these may have paid their fees out of what it bought
        for batch in itertools.batched(_in_order(in_flight, self._exchange.fee_coin), AT_ONCE, strict=False):
            if self._interrupted:
                return False
            for record, report in await _all(self._executor.complete(record) for record in batch):
                if report is None:
                    return False
                done = await self._bookings.book_recovered(record, report, prices)
                if not done.state.settled:
                    return False
                booked.append(done)
        return True


def _found(record: OrderRecord, report: OrderReport) -> OrderRecord:
    """What is written down of an order that was missing; one that rests is followed from now on."""
    if report.done:
        return executed(record, report)
    return accepted(replace(record, reason=""), report) if report.type.rests else record


def _record(exchange: str, report: OrderReport, coin: str, leg: Leg) -> OrderRecord:
    return OrderRecord(
        exchange=exchange,
        source=leg.signal.source,
        signal_id=leg.signal.signal_id,
        coin=coin,
        symbol=report.symbol,
        side=report.side,
        leg=leg.number,
        attempt=leg.attempt,
        client_order_id=leg.client_order_id,
        quantity=report.quantity,
        limit_price=report.limit_price,
        type=report.type,
        stop_price=report.stop_price,
        pair=report.pair,
        state=OrderState.UNKNOWN,
        created_at=report.time,
        sent_at=report.time,
        order_id=report.order_id,
        reason=RECOVERED,
    )


def _in_order(records: Iterable[OrderRecord], fee_coin: str | None) -> list[OrderRecord]:
    """Orders as they were executed; of the same moment, the coin first that fees are taken in.

    Of one symbol they were written down in the exchange's order, whatever its clock did meanwhile: nothing is sold before it
    is bought.
    """
    latest: dict[str, datetime] = {}
    found = []
    for record in sorted(records, key=lambda each: each.seq):
        moment = record.executed_at or record.created_at
        latest[record.symbol] = moment = max(moment, latest.get(record.symbol, moment))
        found.append((moment, record.coin != fee_coin, record.seq, record))
    return [record for *_, record in sorted(found, key=lambda item: item[:3])]


async def _all[T](work: Iterable[Awaitable[T]]) -> list[T]:
    """What each of these came to, or what the first that failed raised once all are over."""
    results: list[T] = []
    for item in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(item, BaseException):
            raise item
        results.append(item)
    return results
