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

from .exchange import (
    FEE_COIN,
    ONE,
    ZERO,
    ClockSkew,
    Exchange,
    ExchangeError,
    ExchangeUnavailable,
    Fill,
    InvalidKey,
    NotSent,
    OrderReport,
    OrderRequest,
    RateLimited,
    Refused,
    Side,
)
from .ledger import Ledger
from .planner import PlannedOrder
from .portfolio import BookError
from .schema import OrderRecord, OrderState

_LOGGER = logging.getLogger(__name__)

LOOKUP_PAUSES = (0.0, 0.5, 1.0, 2.0)
RECOVERED = "recovered"
EXPLAINED_SIGNALS = 200
EXPLAINED_LEGS = 20
SEARCH_MARGIN = timedelta(seconds=5)

# An order, and the report with its fills where it was executed and is to be booked.
type Outcome = tuple[OrderRecord, OrderReport | None]


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
        self._tag = follower_tag(entry_id)
        self._clock = clock
        self._sleep = sleep
        self._misses: dict[str, int] = {}
        self.stopping = False
        self.problem: ExchangeError | None = None

    async def execute(
        self, signal_id: str, planned: Sequence[PlannedOrder], prices: Mapping[str, Decimal]
    ) -> tuple[OrderRecord, ...]:
        """Send orders all at once and settle them; returns what became of each.

        `prices` by asset (quote per unit) value fees that are not taken from the coin. Raises LedgerError; where the intent
        cannot be written, nothing is sent.
        """
        records = await asyncio.to_thread(self._plan, signal_id, planned)
        if self.stopping:
            return await self._close(records, OrderState.NOT_PLACED, "not sent: stopping")
        records = await self._write([self._sending(record) for record in records])
        done = await asyncio.gather(*(self._send(record) for record in records), return_exceptions=True)
        return await self._finish(done, prices)

    async def settle(self, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Find out what became of every order in flight and book it; returns those that were settled.

        What stays unclear stays in flight. Raises LedgerError.
        """
        records = await asyncio.to_thread(self._ledger.in_flight)
        if not records:
            return ()
        never_sent = [record for record in records if record.state is OrderState.PLANNED]
        closed = await self._close(never_sent, OrderState.NOT_PLACED, "not sent before a stop")
        sent = [record for record in records if record.state is not OrderState.PLANNED]
        done = await asyncio.gather(*(self._look_up(record) for record in sent), return_exceptions=True)
        return closed + tuple(record for record in await self._finish(done, prices) if record.state.settled)

    async def sweep(self, symbols: Mapping[str, str], prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Book our own orders that the account knows and the ledger does not (a restored or lost ledger).

        `symbols` maps symbol to coin. What no known signal explains is booked under `recovered`. Raises LedgerError,
        ExchangeError.
        """
        lasts = await asyncio.to_thread(self._ledger.last_order_ids, symbols)
        pages = await asyncio.gather(*(self._exchange.orders_from(each, lasts.get(each, 0) + 1) for each in symbols))
        found = [
            (report, coin)
            for coin, reports in zip(symbols.values(), pages, strict=True)
            for report in reports
            if report.client_order_id.startswith(self._tag)
        ]
        names = [report.client_order_id for report, _ in found]
        records = await asyncio.to_thread(self._ledger.orders_named, names)
        found.sort(key=lambda item: (item[0].time, item[1] != FEE_COIN, item[0].order_id))
        booked = []
        for report, coin in found:
            record = records.get(report.client_order_id)
            if record is None or (record.state is OrderState.NOT_PLACED and report.executed_quantity):
                booked.append(await self._recover(record, report, coin, prices))
        return tuple(booked)

    async def settle_by_hand(
        self, record: OrderRecord, execution: Execution | None, prices: Mapping[str, Decimal]
    ) -> OrderRecord:
        """Book what the owner read on the exchange of an order in flight. Raises BookError, LedgerError."""
        if execution is None:
            return await self._end(record, OrderState.NOT_PLACED, "settled by hand: not placed")
        if not 0 < execution.quantity <= record.quantity or execution.amount <= 0 or execution.fee < 0:
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
            quantity=record.quantity,
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

    async def adopt(self, signal_id: str, symbols: Collection[str]) -> None:
        """Give recovered orders back to the signal that placed them, now that it is known again."""
        # Named by and by: there is hardly ever an order to be given back.
        names = (name for symbol in symbols for name in self._names(signal_id, [symbol]))
        await asyncio.to_thread(self._ledger.adopt, RECOVERED, signal_id, names)

    # Inside

    def _plan(self, signal_id: str, planned: Sequence[PlannedOrder]) -> tuple[OrderRecord, ...]:
        earlier = self._ledger.orders(signal_id)
        now = self._clock()
        records = []
        for order in planned:
            same = [record for record in earlier if (record.symbol, record.side) == (order.symbol, order.side)]
            leg = 1 + max((record.leg for record in same if record.state is OrderState.BOOKED), default=-1)
            name = self._name(signal_id, order.symbol, order.side, leg)
            attempt = 1 + max((record.attempt for record in same if record.leg == leg), default=0)
            records.append(
                OrderRecord(
                    signal_id=signal_id,
                    coin=order.coin,
                    symbol=order.symbol,
                    side=order.side,
                    leg=leg,
                    attempt=attempt,
                    client_order_id=f"{name}{attempt}",
                    quantity=order.quantity,
                    price=order.price,
                    limit_price=order.limit_price,
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
        lasts = await asyncio.to_thread(self._ledger.last_order_ids, [record.symbol])
        last = lasts.get(record.symbol, 0)
        others = await self._exchange.orders_from(record.symbol, last + 1)
        if any(other.client_order_id == record.client_order_id for other in others):
            return False
        explained = {other.order_id for other in others}
        fills = await self._exchange.fills_since(record.symbol, sent_at - SEARCH_MARGIN)
        return all(fill.order_id in explained or fill.order_id <= last for fill in fills)

    async def _executed(self, record: OrderRecord, report: OrderReport) -> Outcome:
        """Write down that an order was executed, and have its fills; without them it stays in flight."""
        (executed,) = await self._write(
            [
                replace(
                    record,
                    state=OrderState.EXECUTED,
                    order_id=report.order_id,
                    executed_quantity=report.executed_quantity,
                    executed_amount=report.executed_amount,
                    executed_at=report.time,
                )
            ]
        )
        fills = report.fills
        if fills is None or sum((fill.quantity for fill in fills), ZERO) != report.executed_quantity:
            try:
                fills = await self._exchange.fills(record.symbol, report.order_id) if report.executed_quantity else ()
            except ExchangeError as err:
                self.problem = err
                _LOGGER.warning("Fills of order %s cannot be had yet: %s", record.client_order_id, err)
                return executed, None
        return executed, replace(report, fills=fills)

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
                outcomes[record.seq] = await self._book(record, report, prices), None
        for item in done:
            if isinstance(item, BaseException):
                raise item
        return tuple(record for record, _ in outcomes.values())

    async def _book(self, record: OrderRecord, report: OrderReport, prices: Mapping[str, Decimal]) -> OrderRecord:
        """Book the fills of an executed order; where that cannot be done yet, it stays `executed`."""
        fills = report.fills or ()
        try:
            await self._wait_for_fee_coin({fill.fee_asset for fill in fills} - {record.coin, self._ledger.quote})
            fee_prices = self._fee_prices(record, report, fills, prices)
            booked, _ = await asyncio.to_thread(self._ledger.book_order, record, report, fills, fee_prices)
        except BookError as err:
            _LOGGER.warning("Order %s was executed but cannot be booked yet: %s", record.client_order_id, err)
            return record
        self._misses.pop(record.client_order_id, None)
        return booked

    async def _wait_for_fee_coin(self, assets: Collection[str]) -> None:
        """Raise BookError while an order of one of these is in flight.

        A fee may have been paid out of what it bought, and must not be booked out of what it sold.
        """
        if assets:
            in_flight = await asyncio.to_thread(self._ledger.in_flight)
            if unclear := {each.coin for each in in_flight} & {*assets}:
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

    async def _recover(
        self, record: OrderRecord | None, report: OrderReport, coin: str, prices: Mapping[str, Decimal]
    ) -> OrderRecord:
        """Book an order that the ledger does not know, or knows as never placed."""
        _LOGGER.warning("Order %s was missing from the ledger and is booked now", report.client_order_id)
        if record is None:
            signal_id, leg = await asyncio.to_thread(self._explain, report)
            record = OrderRecord(
                signal_id=signal_id,
                coin=coin,
                symbol=report.symbol,
                side=report.side,
                leg=leg,
                attempt=int(report.client_order_id.rpartition("-")[2]),
                client_order_id=report.client_order_id,
                quantity=report.quantity,
                state=OrderState.UNKNOWN,
                created_at=report.time,
                sent_at=report.time,
                reason=RECOVERED,
            )
            (record,) = await asyncio.to_thread(self._ledger.add_orders, [record])
        if not report.done:
            return record
        (booked,) = await self._finish([await self._executed(record, report)], prices)
        return booked

    def _explain(self, report: OrderReport) -> tuple[str, int]:
        """Signal and leg that placed an order, among the signals of the ledger."""
        for signal in self._ledger.signals(limit=EXPLAINED_SIGNALS):
            for prefix, leg in self._names(signal.signal_id, [report.symbol]).items():
                if report.client_order_id.startswith(prefix):
                    return signal.signal_id, leg
        return RECOVERED, 0

    def _names(self, signal_id: str, symbols: Collection[str]) -> dict[str, int]:
        """Starts of the client order ids that a signal can have given out, with their leg."""
        return {
            self._name(signal_id, symbol, side, leg): leg
            for symbol in symbols
            for side in Side
            for leg in range(EXPLAINED_LEGS)
        }

    def _name(self, signal_id: str, symbol: str, side: Side, leg: int) -> str:
        return f"{self._tag}{_short('\n'.join((self._ledger.mode, signal_id, symbol, side, str(leg))), 18)}-"

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


def follower_tag(entry_id: str) -> str:
    """Start of every client order id of a follower: `cv-` and six characters of its entry's hash."""
    return f"cv-{_short(entry_id, 6)}-"


def _short(text: str, length: int) -> str:
    return b32encode(sha256(text.encode()).digest()).decode().lower()[:length]


def _request(record: OrderRecord) -> OrderRequest:
    return OrderRequest(
        symbol=record.symbol,
        side=record.side,
        quantity=record.quantity,
        limit_price=record.limit_price,
        client_order_id=record.client_order_id,
    )


def _words(err: BaseException) -> str:
    """What an error says: only our own words, a stranger's text may hold a URL with a signature."""
    return str(err) if isinstance(err, ExchangeError) else type(err).__name__
