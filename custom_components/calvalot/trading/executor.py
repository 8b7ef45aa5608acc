"""Every order done at most once: intent → sent → settled, across crashes.

sending → executed → booked, aside: rejected, unknown, not_placed. Every state is on disk before the next step is taken, of all
orders of a batch in one commit; a failed commit raises LedgerError and nothing more is sent. An order is sent at most once under
its client order id, whatever happens; what is unclear is looked up. (Earlier versions wrote `planned` before `sending`.)
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
import logging

from .bookings import Bookings
from .decimals import ZERO
from .errors import ClockSkew, ExchangeError, ExchangeUnavailable, InvalidKey, NotSent, RateLimited, Refused
from .exchanges.base import Exchange, OrderReport, OrderRequest, OrderStatus
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, OrderState
from .order_names import OrderNames
from .signal import RECOVERED, SignalKey
from .sizing import PlannedOrder

_LOGGER = logging.getLogger(__name__)
LOOKUP_PAUSES = (0.0, 0.5, 1.0, 2.0)
SEARCH_MARGIN = timedelta(seconds=5)


# An order, and the report with its fills where it was executed and is to be booked.
type Outcome = tuple[OrderRecord, OrderReport | None]


class Executor:
    """Places and settles the orders of one portfolio."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        names: OrderNames,
        bookings: Bookings,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._names = names
        self._bookings = bookings
        self._clock = clock
        self._sleep = sleep
        self._misses: dict[str, int] = {}
        self.stopping = False
        self.problem: ExchangeError | None = None

    async def execute(
        self, signal: SignalKey, planned: Sequence[PlannedOrder], prices: Mapping[str, Decimal]
    ) -> tuple[OrderRecord, ...]:
        """Send orders all at once and settle them; returns what became of each.

        `prices` by asset (quote per unit) value fees that are not taken from the coin. Raises LedgerError; where the intent
        cannot be written, nothing is sent.
        """
        if self.stopping or not planned:
            return ()
        records = await asyncio.to_thread(self._intend, signal, planned)
        return await self._finish(await self._send(records), prices)

    async def settle(self, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Find out what became of every order in flight and book it; returns those that were settled.

        What stays unclear stays in flight; recovered orders are the rebuild's. Raises LedgerError.
        """
        in_flight = await asyncio.to_thread(self._ledger.in_flight)
        records = [record for record in in_flight if record.reason != RECOVERED]
        closed = await self._write(
            [
                _ended(record, OrderState.NOT_PLACED, "not sent before a stop")
                for record in records
                if record.state is OrderState.PLANNED
            ]
        )
        sent = [record for record in records if record.state is not OrderState.PLANNED]
        done = await asyncio.gather(*(self._look_up(record) for record in sent), return_exceptions=True)
        return closed + tuple(record for record in await self._finish(done, prices) if record.state.settled)

    async def complete(self, record: OrderRecord) -> Outcome:
        """Find out what became of an order that the exchange knows, with its fills. Raises LedgerError, ExchangeError."""
        if record.state is OrderState.EXECUTED:
            return await self._with_fills(record, _report(record))
        report = await self._exchange.find(record.symbol, record.client_order_id)
        return await self._found(record, report) if report and report.done else (record, None)

    # Inside

    def _intend(self, signal: SignalKey, planned: Sequence[PlannedOrder]) -> tuple[OrderRecord, ...]:
        """Write down what is going to be sent, all in one commit."""
        earlier = self._ledger.orders(signal)
        now = self._clock()
        records = []
        for order in planned:
            same = [record for record in earlier if (record.symbol, record.side) == (order.symbol, order.side)]
            leg = 1 + max((record.leg for record in same if record.state is OrderState.BOOKED), default=-1)
            start = self._names.start(signal, order.symbol, order.side, leg)
            attempt = 1 + max((record.attempt for record in same if record.leg == leg), default=0)
            records.append(
                OrderRecord(
                    exchange=self._exchange.name,
                    source=signal.source,
                    signal_id=signal.signal_id,
                    coin=order.coin,
                    symbol=order.symbol,
                    side=order.side,
                    leg=leg,
                    attempt=attempt,
                    client_order_id=f"{start}{attempt}",
                    quantity=order.quantity,
                    price=order.price,
                    limit_price=order.limit_price,
                    quote_amount=order.quote_amount,
                    state=OrderState.SENDING,
                    created_at=now,
                    sent_at=self._exchange.timestamp(),
                )
            )
        return self._ledger.add_orders(records)

    async def _send(self, sending: Sequence[OrderRecord], *, again: bool = True) -> list[Outcome | BaseException]:
        """Send orders whose intent is on disk, write down what was answered, look up what is unclear.

        What was refused for its time stamp is sent once more, as another attempt.
        """
        found = await asyncio.gather(*(self._place(record) for record in sending), return_exceptions=True)
        answers = [item for item in found if not isinstance(item, BaseException)]
        await self._write([each.record for each in answers if each.record.state is not OrderState.SENDING])
        late = [each.record for each in answers if each.skewed and again and not self.stopping]
        done: list[Outcome | BaseException] = [item for item in found if isinstance(item, BaseException)]
        done += await asyncio.gather(
            *(self._outcome(each) for each in answers if each.record not in late), return_exceptions=True
        )
        if late:
            sent_at = self._exchange.timestamp()
            fresh = [_next_attempt(record, sent_at) for record in late]
            done += await self._send(await asyncio.to_thread(self._ledger.add_orders, fresh), again=False)
        return done

    async def _place(self, record: OrderRecord) -> _Answer:
        """Send one order; nothing is written down yet."""
        try:
            report = await self._exchange.place(_request(record))
        except Refused as err:
            return _Answer(_ended(record, OrderState.REJECTED, str(err)))
        except ClockSkew as err:
            return _Answer(_ended(record, OrderState.NOT_PLACED, str(err)), skewed=True)
        except (NotSent, InvalidKey, RateLimited) as err:
            self.problem = err
            return _Answer(_ended(record, OrderState.NOT_PLACED, str(err)))
        except Exception as err:  # noqa: BLE001  # whatever else happened, the order may have been executed
            _LOGGER.warning("Outcome of order %s is unknown (%s), looking it up", record.client_order_id, _words(err))
            self.problem = err if isinstance(err, ExchangeError) else ExchangeUnavailable(_words(err))
            report = None
        if report is None or not report.done or report.client_order_id != record.client_order_id:
            # However long the request was on its way, it carries no later time stamp than this.
            return _Answer(replace(record, state=OrderState.UNKNOWN, sent_at=self._exchange.timestamp()))
        # Where nobody but us keeps an order, it is written down with its booking, in one commit.
        return _Answer(executed(record, report) if self._exchange.keeps_orders else record, report)

    async def _outcome(self, answer: _Answer) -> Outcome:
        """What an answer that is written down comes to."""
        if answer.report:
            return await self._with_fills(answer.record, answer.report)
        return (answer.record, None) if answer.record.state.settled else await self._look_up(answer.record)

    async def _look_up(self, record: OrderRecord) -> Outcome:
        """Look an order up, with growing pauses, until it is found or proven absent; else it stays in flight."""
        if record.state is OrderState.EXECUTED:
            return await self._with_fills(record, _report(record))
        try:
            for pause in LOOKUP_PAUSES:
                if pause and self.stopping:
                    break
                await self._sleep(pause)
                report = await self._exchange.find(record.symbol, record.client_order_id)
                if report and report.done:
                    return await self._found(record, report)
                if report is None:
                    self._misses[record.client_order_id] = self._misses.get(record.client_order_id, 0) + 1
                    if await self._is_absent(record):
                        del self._misses[record.client_order_id]
                        absent = _ended(record, OrderState.NOT_PLACED, "the exchange does not know it")
                        return (await self._write([absent]))[0], None
        except ExchangeError as err:
            self.problem = err
            _LOGGER.debug("Order %s cannot be looked up: %s", record.client_order_id, err)
        return record, None

    async def _is_absent(self, record: OrderRecord) -> bool:
        """Whether it is proven that an order was never placed and never will be."""
        if record.order_id is not None or self._misses[record.client_order_id] < self._exchange.lookups:
            return False
        sent_at = record.sent_at or record.created_at
        if await self._exchange.server_time() < sent_at + self._exchange.visibility_lag:
            return False
        if await self._exchange.find(record.symbol, record.client_order_id):
            return False
        first = cursor = await asyncio.to_thread(self._ledger.cursor, record.symbol)
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
            if record.state.settled:
                self._misses.pop(record.client_order_id, None)
        return tuple(booked.get(record.seq, record) for record, _ in outcomes)

    async def _write(self, records: Sequence[OrderRecord]) -> tuple[OrderRecord, ...]:
        """Write what became of orders, all in one commit."""
        if records:
            await asyncio.to_thread(self._ledger.update_orders, records)
        return tuple(records)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An order as it is after it was sent, with the report where it was executed; `skewed`: refused for its time stamp."""

    record: OrderRecord
    report: OrderReport | None = None
    skewed: bool = False


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


def _ended(record: OrderRecord, state: OrderState, reason: str) -> OrderRecord:
    return replace(record, state=state, reason=reason)


def _next_attempt(record: OrderRecord, sent_at: datetime) -> OrderRecord:
    """The same order to be sent once more, under a name of its own."""
    start = record.client_order_id.removesuffix(str(record.attempt))
    attempt = record.attempt + 1
    return replace(
        record,
        attempt=attempt,
        client_order_id=f"{start}{attempt}",
        state=OrderState.SENDING,
        reason="",
        sent_at=sent_at,
    )


def _report(record: OrderRecord) -> OrderReport:
    """What the exchange said of an order when it was written down as executed."""
    return OrderReport(
        client_order_id=record.client_order_id,
        order_id=record.order_id or "",
        symbol=record.symbol,
        side=record.side,
        status=OrderStatus.FILLED,
        quantity=record.quantity,
        executed_quantity=record.executed_quantity,
        executed_amount=record.executed_amount,
        time=record.executed_at or record.created_at,
    )


def _request(record: OrderRecord) -> OrderRequest:
    return OrderRequest(
        symbol=record.symbol,
        side=record.side,
        quantity=record.quantity,
        limit_price=record.limit_price,
        quote_amount=record.quote_amount,
        client_order_id=record.client_order_id,
    )


def _words(err: BaseException) -> str:
    """What an error says: only our own words, a stranger's text may hold a URL with a signature."""
    return str(err) if isinstance(err, ExchangeError) else type(err).__name__
