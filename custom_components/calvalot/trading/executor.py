"""Every order done at most once: intent → sent → settled, across crashes.

planned → sending → executed → booked, aside: rejected, unknown, not_placed. Every state is on disk before the next step is
taken; a failed commit raises LedgerError and nothing more is sent. An order is sent at most once under its client order id,
whatever happens; what is unclear is looked up.
"""

import asyncio
from base64 import b32encode
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
import logging

from .decimals import ONE, ZERO
from .errors import ClockSkew, ExchangeError, ExchangeUnavailable, InvalidKey, NotSent, RateLimited, Refused
from .exchanges.base import FEE_COIN, Exchange, Fill, OrderReport, OrderRequest, Side
from .ledger.ledger import Ledger
from .ledger.records import FIRST_BOOK, OrderRecord, OrderState
from .market import PlannedOrder
from .portfolio import BookError
from .signal import FIRST_SOURCES, PORTFOLIO, RECOVERED, SignalKey

_LOGGER = logging.getLogger(__name__)
LOOKUP_PAUSES = (0.0, 0.5, 1.0, 2.0)
SEARCH_MARGIN = timedelta(seconds=5)


# An order, and the report with its fills where it was executed and is to be booked.
type Outcome = tuple[OrderRecord, OrderReport | None]


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the orders that a signal places on a symbol and side, one after the other."""

    signal: SignalKey
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What the exchange shows of an order: quantity in base, amount in quote, fee in its own asset."""

    quantity: Decimal
    amount: Decimal
    fee: Decimal
    fee_asset: str


class Executor:
    """Places and settles the orders of one follower."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        entry_id: str,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        # Start of all our client order ids.
        self.tag = follower_tag(entry_id)
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
        records = await asyncio.to_thread(self._plan, signal, planned)
        if self.stopping:
            return await self._close(records, OrderState.NOT_PLACED, "not sent: stopping")
        records = await self._write([self._sending(record) for record in records])
        done = await asyncio.gather(*(self._send(record) for record in records), return_exceptions=True)
        return await self._finish(done, prices)

    async def settle(self, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Find out what became of every order in flight and book it; returns those that were settled.

        What stays unclear stays in flight; recovered orders are the rebuild's. Raises LedgerError.
        """
        in_flight = await asyncio.to_thread(self._ledger.in_flight)
        records = [record for record in in_flight if record.reason != RECOVERED]
        if not records:
            return ()
        never_sent = [record for record in records if record.state is OrderState.PLANNED]
        closed = await self._close(never_sent, OrderState.NOT_PLACED, "not sent before a stop")
        sent = [record for record in records if record.state is not OrderState.PLANNED]
        done = await asyncio.gather(*(self._look_up(record) for record in sent), return_exceptions=True)
        return closed + tuple(record for record in await self._finish(done, prices) if record.state.settled)

    async def book(
        self, record: OrderRecord, report: OrderReport, prices: Mapping[str, Decimal], *, in_order: bool = False
    ) -> OrderRecord:
        """Book the fills of an executed order; where that cannot be done yet, it stays in flight. Raises LedgerError.

        `in_order`: whatever was executed before it is booked.
        """
        fills = report.fills or ()
        try:
            if not in_order:
                await self._wait_for_fee_coin({fill.fee_asset for fill in fills} - {record.coin, self._ledger.quote})
            fee_prices = self._fee_prices(record, report, fills, prices)
            booked, _ = await asyncio.to_thread(self._ledger.book_order, record, report, fills, fee_prices, in_order)
        except BookError as err:
            _LOGGER.warning("Order %s was executed but cannot be booked yet: %s", record.client_order_id, err)
            return record
        self._misses.pop(record.client_order_id, None)
        return booked

    async def settle_by_hand(
        self, record: OrderRecord, execution: Execution | None, prices: Mapping[str, Decimal]
    ) -> OrderRecord:
        """Book what the owner read on the exchange of an order in flight. Raises BookError, LedgerError."""
        if execution is None:
            return await self._end(record, OrderState.NOT_PLACED, "settled by hand: not placed")
        within = (
            execution.quantity <= record.quantity
            if record.quote_amount is None
            else execution.amount <= record.quote_amount
        )
        if not within or execution.quantity <= 0 or execution.amount <= 0 or execution.fee < 0:
            raise BookError("the figures do not fit the order")
        now = self._clock()
        order_id = record.order_id or 0
        fill = Fill(
            trade_id=-record.seq,  # the exchange's own are positive
            order_id=order_id,
            price=execution.amount / execution.quantity,
            quantity=execution.quantity,
            amount=execution.amount,
            fee=execution.fee,
            fee_asset=execution.fee_asset,
            time=now,
        )
        report = OrderReport(
            client_order_id=record.client_order_id,
            order_id=order_id,
            symbol=record.symbol,
            side=record.side,
            done=True,
            quantity=record.quantity if record.quote_amount is None else execution.quantity,
            executed_quantity=execution.quantity,
            executed_amount=execution.amount,
            time=now,
            fills=(fill,),
        )
        fee_prices = self._fee_prices(record, report, (fill,), prices)
        record = replace(record, reason="settled by hand")
        booked, _ = await asyncio.to_thread(self._ledger.book_order, record, report, (fill,), fee_prices)
        self._misses.pop(record.client_order_id, None)
        return booked

    async def adopt(self, signal: SignalKey) -> tuple[OrderRecord, ...]:
        """Give recovered orders back to the signal that placed them, now that it is known again; returns those."""
        return await asyncio.to_thread(self._adopt, signal)

    async def complete(self, record: OrderRecord) -> Outcome:
        """Find out what became of an order that the exchange knows, with its fills. Raises LedgerError, ExchangeError."""
        if record.state is OrderState.EXECUTED:
            return await self._with_fills(record, _report(record))
        report = await self._exchange.find(record.symbol, record.client_order_id)
        return await self._executed(record, report) if report and report.done else (record, None)

    def explain(self, signal: SignalKey, symbol: str, client_order_ids: Collection[str]) -> dict[str, Leg]:
        """Which of some orders of a symbol a signal has placed, and for which leg; synchronous. Raises LedgerError.

        Legs follow each other: each has orders that the ledger knows already, or one of these.
        """
        by_start: dict[str, list[str]] = {}
        for each in client_order_ids:
            by_start.setdefault(_start(each), []).append(each)
        known = {(order.side, order.leg) for order in self._ledger.orders(signal) if order.symbol == symbol}
        found: dict[str, Leg] = {}
        for side in Side:
            leg = 0
            while (names := by_start.get(self._name(signal, symbol, side, leg))) or (side, leg) in known:
                found |= dict.fromkeys(names or (), Leg(signal, leg))
                leg += 1
        return found

    # Inside

    def _plan(self, signal: SignalKey, planned: Sequence[PlannedOrder]) -> tuple[OrderRecord, ...]:
        earlier = self._ledger.orders(signal)
        now = self._clock()
        records = []
        for order in planned:
            same = [record for record in earlier if (record.symbol, record.side) == (order.symbol, order.side)]
            leg = 1 + max((record.leg for record in same if record.state is OrderState.BOOKED), default=-1)
            name = self._name(signal, order.symbol, order.side, leg)
            attempt = 1 + max((record.attempt for record in same if record.leg == leg), default=0)
            records.append(
                OrderRecord(
                    source=signal.source,
                    signal_id=signal.signal_id,
                    coin=order.coin,
                    symbol=order.symbol,
                    side=order.side,
                    leg=leg,
                    attempt=attempt,
                    client_order_id=f"{name}{attempt}",
                    quantity=order.quantity,
                    price=order.price,
                    limit_price=order.limit_price,
                    quote_amount=order.quote_amount,
                    created_at=now,
                )
            )
        return self._ledger.add_orders(records)

    def _sending(self, record: OrderRecord) -> OrderRecord:
        return replace(record, state=OrderState.SENDING, sent_at=self._exchange.timestamp())

    async def _send(self, record: OrderRecord, *, again: bool = True) -> Outcome:
        """Send one order whose intent is on disk."""
        try:
            report = await self._exchange.place(_request(record))
        except Refused as err:
            return await self._end(record, OrderState.REJECTED, str(err)), None
        except ClockSkew as err:
            refused = await self._end(record, OrderState.NOT_PLACED, str(err))
            if not again or self.stopping:
                return refused, None
            name = record.client_order_id.removesuffix(f"-{record.attempt}")
            attempt = record.attempt + 1
            fresh = replace(record, attempt=attempt, client_order_id=f"{name}-{attempt}", state=OrderState.PLANNED)
            (planned,) = await asyncio.to_thread(self._ledger.add_orders, [fresh])
            (sending,) = await self._write([self._sending(planned)])
            return await self._send(sending, again=False)
        except (NotSent, InvalidKey, RateLimited) as err:
            self.problem = err
            return await self._end(record, OrderState.NOT_PLACED, str(err)), None
        except Exception as err:  # noqa: BLE001  # whatever else happened, the order may have been executed
            _LOGGER.warning("Outcome of order %s is unknown (%s), looking it up", record.client_order_id, _words(err))
            self.problem = err if isinstance(err, ExchangeError) else ExchangeUnavailable(_words(err))
            report = None
        if report is None or not report.done or report.client_order_id != record.client_order_id:
            # However long the request was on its way, it carries no later time stamp than this.
            sent_at = self._exchange.timestamp()
            (unknown,) = await self._write([replace(record, state=OrderState.UNKNOWN, sent_at=sent_at)])
            return await self._look_up(unknown)
        return await self._executed(record, report)

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
                    return await self._executed(record, report)
                if report is None:
                    self._misses[record.client_order_id] = self._misses.get(record.client_order_id, 0) + 1
                    if await self._is_absent(record):
                        return await self._end(record, OrderState.NOT_PLACED, "the exchange does not know it"), None
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
        last = await asyncio.to_thread(self._ledger.last_order_id, record.symbol)
        explained: set[int] = set()
        first: int | None = last + 1
        while first is not None:
            page = await self._exchange.orders_page(record.symbol, first, record.client_order_id)
            if any(own.client_order_id == record.client_order_id for own in page.own):
                return False
            explained |= page.ids
            first = page.next_id
        since = min(sent_at, record.created_at) - SEARCH_MARGIN
        traded = await self._exchange.traded_orders(record.symbol, since)
        return all(order_id in explained or order_id <= last for order_id in traded)

    async def _executed(self, record: OrderRecord, report: OrderReport) -> Outcome:
        """Write down that an order was executed, and have its fills.

        Where nobody but us keeps it, it is written down with its booking, in one commit.
        """
        if self._exchange.keeps_orders:
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
        """Book what was executed, then raise what went wrong with any of them.

        Orders of the coin that fees are taken in come first: the others may have paid their fees out of what those brought,
        and must leave what those sold.
        """
        outcomes = {item[0].seq: item for item in done if not isinstance(item, BaseException)}
        for record, report in sorted(outcomes.values(), key=lambda item: item[0].coin != FEE_COIN):
            if report:
                outcomes[record.seq] = await self.book(record, report, prices), None
        for item in done:
            if isinstance(item, BaseException):
                raise item
        return tuple(record for record, _ in outcomes.values())

    async def _wait_for_fee_coin(self, assets: Collection[str]) -> None:
        """Raise BookError while an order of one of these is in flight.

        A fee may have been paid out of what it bought, and must not be booked out of what it sold.
        """
        if assets:
            in_flight = await asyncio.to_thread(self._ledger.in_flight)
            if unclear := {each.coin for each in in_flight if each.reason != RECOVERED} & {*assets}:
                raise BookError(f"an order of {', '.join(sorted(unclear))} is still unclear")

    def _fee_prices(
        self, record: OrderRecord, report: OrderReport, fills: Sequence[Fill], prices: Mapping[str, Decimal]
    ) -> dict[str, Decimal]:
        """Price in quote of each fee asset; the coin's own is what was paid for it."""
        known = {**prices, self._ledger.quote: ONE}
        if report.executed_quantity:
            known[record.coin] = report.executed_amount / report.executed_quantity
        missing = {fill.fee_asset for fill in fills} - known.keys()
        if missing:
            raise BookError(f"no price for the fee in {', '.join(sorted(missing))}")
        return {fill.fee_asset: known[fill.fee_asset] for fill in fills}

    def _adopt(self, signal: SignalKey) -> tuple[OrderRecord, ...]:
        recovered = self._ledger.orders(SignalKey(PORTFOLIO, RECOVERED))
        legs: dict[str, Leg] = {}
        for symbol in {record.symbol for record in recovered}:
            names = [record.client_order_id for record in recovered if record.symbol == symbol]
            legs |= self.explain(signal, symbol, names)
        adopted = tuple(
            replace(record, source=leg.signal.source, signal_id=leg.signal.signal_id, leg=leg.number)
            for record in recovered
            if (leg := legs.get(record.client_order_id))
        )
        if adopted:
            self._ledger.update_orders(adopted)
        return adopted

    def _name(self, signal: SignalKey, symbol: str, side: Side, leg: int) -> str:
        parts = [self._ledger.mode, signal.signal_id, symbol, side, str(leg)]
        if self._ledger.number != FIRST_BOOK:  # whose names stay as they were before books had numbers
            parts.append(str(self._ledger.number))
        if signal.source not in FIRST_SOURCES:
            parts.append(signal.source)
        return f"{self.tag}{_short('\n'.join(parts), 18)}-"

    async def _write(self, records: Sequence[OrderRecord]) -> tuple[OrderRecord, ...]:
        await asyncio.to_thread(self._ledger.update_orders, records)
        return tuple(records)

    async def _close(self, records: Sequence[OrderRecord], state: OrderState, reason: str) -> tuple[OrderRecord, ...]:
        if not records:
            return ()
        return await self._write([replace(record, state=state, reason=reason) for record in records])

    async def _end(self, record: OrderRecord, state: OrderState, reason: str) -> OrderRecord:
        self._misses.pop(record.client_order_id, None)
        (ended,) = await self._close([record], state, reason)
        return ended


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


def follower_tag(entry_id: str) -> str:
    """Start of every client order id of a follower: `cv-` and six characters of its entry's hash."""
    return f"cv-{_short(entry_id, 6)}-"


def _short(text: str, length: int) -> str:
    return b32encode(sha256(text.encode()).digest()).decode().lower()[:length]


def _start(client_order_id: str) -> str:
    """A client order id without its attempt."""
    return client_order_id.rpartition("-")[0] + "-"


def _report(record: OrderRecord) -> OrderReport:
    """What the exchange said of an order when it was written down as executed."""
    return OrderReport(
        client_order_id=record.client_order_id,
        order_id=record.order_id or 0,
        symbol=record.symbol,
        side=record.side,
        done=True,
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
