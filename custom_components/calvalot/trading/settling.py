"""What became of orders: those that are unclear are looked up, those that rest are followed, and what was filled is booked.

accepted and partly_filled are known and on the exchange, not unclear: their fills are booked as they come. The end of one is
asked for by a time that is written down first; until it is known what came of that, the order is unclear.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
import logging

from .bookings import Bookings
from .decimals import ZERO
from .errors import ExchangeError, ExchangeUnavailable, Refused
from .exchanges.base import Exchange, OrderReport, RestingOrder, Side
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, OrderState
from .signal import RECOVERED

_LOGGER = logging.getLogger(__name__)
LOOKUP_PAUSES = (0.0, 0.5, 1.0, 2.0)
SEARCH_MARGIN = timedelta(seconds=5)

# An order, and the report with its fills where there is something to be booked.
type Outcome = tuple[OrderRecord, OrderReport | None]


class Settling:
    """Settles the orders of one portfolio."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        bookings: Bookings,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._bookings = bookings
        self._clock = clock
        self._sleep = sleep
        self._misses: dict[str, int] = {}
        self.stopping = False
        self.problem: ExchangeError | None = None

    async def settle(self, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Find out what became of every order in flight and book it; returns those that were settled.

        What stays unclear stays in flight; recovered orders are the rebuild's. Raises LedgerError.
        """
        in_flight = await self._ledger.ask(self._ledger.in_flight)
        records = [record for record in in_flight if record.reason != RECOVERED]
        closed = await self._write(
            [
                ended(record, OrderState.NOT_PLACED, "not sent before a stop")
                for record in records
                if record.state is OrderState.PLANNED
            ]
        )
        sent = [record for record in records if record.state is not OrderState.PLANNED]
        done = await asyncio.gather(
            *(self._end(record) if record.cancel_at else self._look_up(record) for record in sent),
            return_exceptions=True,
        )
        return closed + tuple(record for record in await self._finish(done, prices) if record.state.settled)

    async def complete(self, record: OrderRecord) -> Outcome:
        """Find out what became of an order that the exchange knows, with its fills. Raises LedgerError, ExchangeError."""
        if record.state is OrderState.EXECUTED:
            return await self._with_fills(record, record.report)
        report = await self._exchange.find(record.symbol, record.client_order_id)
        return await self._found(record, report) if report and report.done else (record, None)

    async def follow(self, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Book what was filled of the orders that rest, and close those that ended; returns those that changed.

        One that the exchange does not know any more is unclear. Raises LedgerError.
        """
        resting = {record.client_order_id: record for record in await self._ledger.ask(self._ledger.resting)}
        if not resting:
            return ()
        try:
            reports = await self._exchange.progress([_on_exchange(record) for record in resting.values()])
        except ExchangeError as err:
            self.problem = err
            _LOGGER.debug("Orders that rest cannot be followed: %s", err)
            return ()
        known = {name: report for name, report in reports.items() if _is_news(resting[name], report)}
        done = await asyncio.gather(
            *(self._with_fills(resting[name], report) for name, report in known.items()), return_exceptions=True
        )
        overdue = self._clock() - self._exchange.visibility_lag
        lost = [
            replace(record, state=OrderState.UNKNOWN)
            for name, record in resting.items()
            if name not in reports and (record.sent_at or record.created_at) < overdue
        ]
        booked = await self._finish(done, prices)
        changed = [record for record in booked if record != resting[record.client_order_id]]
        return (*changed, *await self._write(lost))

    async def cancel(self, records: Sequence[OrderRecord], prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Ask for the end of orders that rest, which is written down first; returns what became of each.

        One that was filled meanwhile is booked as filled; one whose end cannot be found out is in flight. Raises LedgerError.
        """
        now = self._clock()
        asked = await self._write([replace(record, cancel_at=now) for record in records])
        if self.stopping:
            return asked
        done = await asyncio.gather(*(self._end(record) for record in asked), return_exceptions=True)
        return await self._finish(done, prices)

    async def withdraw(self, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Have everything ended that rests, purchases first; returns what became of each. Raises LedgerError.

        Sales stay where it is not known that the purchases have ended: what is bought wants its protection.
        """
        done: tuple[OrderRecord, ...] = ()
        for side in (Side.BUY, Side.SELL):
            resting = await self._ledger.ask(self._ledger.resting)
            done += await self.cancel([record for record in resting if record.side is side], prices)
            if not all(record.state.settled for record in done):
                break
        return done

    # Inside

    async def _look_up(self, record: OrderRecord) -> Outcome:
        """Look an order up, with growing pauses, until it is found or proven absent; else it stays in flight."""
        if record.state is OrderState.EXECUTED:
            return await self._with_fills(record, record.report)
        try:
            for pause in LOOKUP_PAUSES:
                if pause and self.stopping:
                    break
                await self._sleep(pause)
                report = await self._exchange.find(record.symbol, record.client_order_id)
                if report and report.done:
                    return await self._found(record, report)
                if report and record.type.rests:
                    return await self._accepted(record, report)
                if report is None:
                    self._misses[record.client_order_id] = self._misses.get(record.client_order_id, 0) + 1
                    if await self._is_absent(record):
                        del self._misses[record.client_order_id]
                        absent = ended(record, OrderState.NOT_PLACED, "the exchange does not know it")
                        return (await self._write([absent]))[0], None
        except ExchangeError as err:
            self.problem = err
            _LOGGER.debug("Order %s cannot be looked up: %s", record.client_order_id, err)
        return record, None

    async def _end(self, record: OrderRecord) -> Outcome:
        """Have an order ended, however often that was asked for already, and find out what it came to; else it stays unclear."""
        report: OrderReport | None = None
        try:
            report = await self._exchange.cancel(_on_exchange(record))
        except Refused as err:
            _LOGGER.debug("Order %s is not cancelled: %s", record.client_order_id, err)
        except Exception as err:  # noqa: BLE001  # whatever else happened, it may be cancelled
            self.problem = err if isinstance(err, ExchangeError) else ExchangeUnavailable(type(err).__name__)
            _LOGGER.warning("Whether order %s is cancelled is unknown, looking it up", record.client_order_id)
        try:
            for pause in LOOKUP_PAUSES:
                if (report and report.done) or (pause and self.stopping):
                    break
                await self._sleep(pause)
                report = await self._exchange.find(record.symbol, record.client_order_id)
        except ExchangeError as err:
            self.problem = err
        if report and _is_news(record, report):
            return await self._with_fills(record, report)
        return record, None

    async def _accepted(self, record: OrderRecord, report: OrderReport) -> Outcome:
        """Write down that an order is on the exchange, and have the fills that it has had so far."""
        (record,) = await self._write([accepted(record, report)])
        return await self._with_fills(record, report) if _is_news(record, report) else (record, None)

    async def _is_absent(self, record: OrderRecord) -> bool:
        """Whether it is proven that an order was never placed and never will be."""
        if record.order_id is not None or self._misses[record.client_order_id] < self._exchange.lookups:
            return False
        sent_at = record.sent_at or record.created_at
        if await self._exchange.server_time() < sent_at + self._exchange.visibility_lag:
            return False
        if await self._exchange.find(record.symbol, record.client_order_id):
            return False
        first = cursor = await self._ledger.ask(self._ledger.cursor, record.symbol)
        explained: set[str] = set()
        more = True
        while more:
            page = await self._exchange.orders_page(record.symbol, cursor, record.client_order_id)
            if any(own.client_order_id == record.client_order_id for own in page.own):
                return False
            explained |= page.ids
            cursor, more = page.cursor, page.more
        since = min(sent_at, record.created_at) - SEARCH_MARGIN
        return explained.issuperset(await self._exchange.traded_orders(record.symbol, since, first))

    async def _found(self, record: OrderRecord, report: OrderReport) -> Outcome:
        """Write down that an order was executed, and have its fills."""
        if not record.type.rests:  # one that rests is asked for again
            (record,) = await self._write([executed(record, report)])
        return await self._with_fills(record, report)

    async def _with_fills(self, record: OrderRecord, report: OrderReport) -> Outcome:
        """The fills of an executed order; without them it stays in flight."""
        fills = report.fills
        if fills is None or sum((fill.quantity for fill in fills), ZERO) != report.executed_quantity:
            try:
                fills = await self._exchange.fills(report) if report.executed_quantity else ()
            except ExchangeError as err:
                self.problem = err
                _LOGGER.warning("Fills of order %s cannot be had yet: %s", record.client_order_id, err)
                return record, None
        if not report.done:  # it may have gone on being filled since
            report = replace(
                report,
                executed_quantity=sum((fill.quantity for fill in fills), ZERO),
                executed_amount=sum((fill.amount for fill in fills), ZERO),
            )
        return record, replace(report, fills=fills)

    async def _finish(
        self, done: Sequence[Outcome | BaseException], prices: Mapping[str, Decimal]
    ) -> tuple[OrderRecord, ...]:
        """Book what was executed, then raise what went wrong with any of them."""
        outcomes = [item for item in done if not isinstance(item, BaseException)]
        booked = await self._bookings.book([(record, report) for record, report in outcomes if report], prices)
        for item in done:
            if isinstance(item, BaseException):
                raise item
        for record in booked.values():
            if record.state.settled or record.state.rests:
                self._misses.pop(record.client_order_id, None)
        return tuple(booked.get(record.seq, record) for record, _ in outcomes)

    async def _write(self, records: Sequence[OrderRecord]) -> tuple[OrderRecord, ...]:
        """Write what became of orders, all in one commit."""
        if records:
            await self._ledger.ask(self._ledger.update_orders, records)
        return tuple(records)


def executed(record: OrderRecord, report: OrderReport) -> OrderRecord:
    """An order of which the exchange says what was executed."""
    return replace(
        record,
        state=OrderState.EXECUTED,
        order_id=report.order_id,
        quantity=record.quantity_in(report),
        executed_quantity=report.executed_quantity,
        executed_amount=report.executed_amount,
        executed_at=report.time,
    )


def accepted(record: OrderRecord, report: OrderReport) -> OrderRecord:
    """An order that rests on the exchange, as far as its fills are booked."""
    state = OrderState.PARTLY_FILLED if record.executed_quantity else OrderState.ACCEPTED
    return replace(record, state=state, order_id=report.order_id)


def ended(record: OrderRecord, state: OrderState, reason: str) -> OrderRecord:
    """An order that came to nothing."""
    return replace(record, state=state, reason=reason)


def _on_exchange(record: OrderRecord) -> RestingOrder:
    return RestingOrder(record.request, record.report)


def _is_news(record: OrderRecord, report: OrderReport) -> bool:
    """Whether a report of an order that rests says more than is booked; an older one may come late."""
    return report.executed_quantity >= record.executed_quantity and (
        report.done or report.executed_quantity > record.executed_quantity
    )
