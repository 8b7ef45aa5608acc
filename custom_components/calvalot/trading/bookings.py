"""Executed orders put into the book, whether the exchange told what they came to or their owner did."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
import logging

from .decimals import ONE, ZERO
from .exchanges.base import Fill, OrderReport, OrderStatus, Side
from .ledger.ledger import Ledger
from .ledger.records import Booking, OrderRecord, OrderState
from .portfolio import BookError
from .signal import RECOVERED

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What the exchange shows of an order: quantity in base, amount in quote, fee in its own asset."""

    quantity: Decimal
    amount: Decimal
    fee: Decimal
    fee_asset: str


class Bookings:
    """Books orders of one portfolio; `prices` by asset (quote per unit) value fees that are not taken from the coin.

    `fee_coin` is the coin that the exchange may take its fees in.
    """

    def __init__(self, ledger: Ledger, fee_coin: str | None, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._fee_coin = fee_coin
        self._clock = clock

    async def book(
        self, executed: Sequence[tuple[OrderRecord, OrderReport]], prices: Mapping[str, Decimal]
    ) -> dict[int, OrderRecord]:
        """Book executed orders with their fills; by seq, those that cannot be booked yet as they were. Raises LedgerError.

        Orders of the coin that fees are taken in come first, in a commit of their own: the others may have paid their fees
        out of what those brought, and must leave what those sold.
        """
        done = {record.seq: record for record, _ in executed}
        first = [each for each in executed if self._fee_coin in each[0].assets]
        for part in (first, [each for each in executed if self._fee_coin not in each[0].assets]):
            if part:
                done |= await self._book_part(part, prices)
        return done

    async def book_recovered(
        self, record: OrderRecord, report: OrderReport, prices: Mapping[str, Decimal]
    ) -> OrderRecord:
        """Book an order that was recovered, once all that was executed before it is booked. Raises LedgerError."""
        try:
            record, fee_prices = self._priced(record, report, prices)
            booked, _ = await self._ledger.ask(
                self._ledger.book_order, record, report, report.fills or (), fee_prices, True
            )
        except BookError as err:
            _warn(record, err)
            return record
        return booked

    async def settle_by_hand(
        self, record: OrderRecord, execution: Execution | None, prices: Mapping[str, Decimal]
    ) -> OrderRecord:
        """Book what the owner read on the exchange of an order in flight; None: nothing of it, or no more than is booked.

        Raises BookError, LedgerError.
        """
        if execution is None:
            ended = replace(record, state=OrderState.NOT_PLACED, reason="settled by hand: not placed")
            if record.state is not OrderState.EXECUTED and record.executed_quantity:
                ended = replace(record, state=OrderState.BOOKED, reason="settled by hand")
            await self._ledger.ask(self._ledger.update_orders, [ended])
            return ended
        within = (
            execution.quantity <= record.quantity
            if record.quote_amount is None
            else execution.amount <= record.quote_amount
        )
        if not within or execution.quantity <= 0 or execution.amount <= 0 or execution.fee < 0:
            raise BookError("the figures do not fit the order")
        now = self._clock()
        order_id = record.order_id or ""
        rest = await self._beyond(record, execution)
        fill = Fill(
            trade_id=f"by hand {record.seq}",
            order_id=order_id,
            price=rest.amount / rest.quantity,
            quantity=rest.quantity,
            amount=rest.amount,
            fee=rest.fee,
            fee_asset=execution.fee_asset,
            time=now,
        )
        report = OrderReport(
            client_order_id=record.client_order_id,
            order_id=order_id,
            symbol=record.symbol,
            side=record.side,
            status=OrderStatus.FILLED,
            quantity=record.quantity if record.quote_amount is None else execution.quantity,
            executed_quantity=execution.quantity,
            executed_amount=execution.amount,
            time=now,
            fills=(fill,),
        )
        record, fee_prices = self._priced(record, report, prices)
        record = replace(record, reason="settled by hand")
        booked, _ = await self._ledger.ask(self._ledger.book_order, record, report, (fill,), fee_prices)
        return booked

    # Inside

    async def _beyond(self, record: OrderRecord, execution: Execution) -> Execution:
        """What an order came to beyond what is booked of it. Raises BookError where that is nothing."""
        rest = execution
        for trade in await self._ledger.ask(self._ledger.trades_of, [record.seq]):
            rest = replace(
                execution,
                quantity=execution.quantity - trade.quantity,
                amount=execution.amount - trade.amount,
                fee=execution.fee - dict(trade.fees).get(execution.fee_asset, ZERO),
            )
        if rest.quantity <= 0 or rest.amount <= 0 or rest.fee < 0:
            raise BookError("the figures do not fit what is booked of the order")
        return rest

    async def _book_part(
        self, executed: Sequence[tuple[OrderRecord, OrderReport]], prices: Mapping[str, Decimal]
    ) -> dict[int, OrderRecord]:
        """Book in one commit what can be booked now; by seq."""
        third = [_third_assets(record, report, self._ledger.quote) for record, report in executed]
        unclear = await self._ledger.ask(self._unclear) if any(third) else frozenset[str]()
        bookings: list[Booking] = []
        for (record, report), assets in zip(executed, third, strict=True):
            try:
                _wait_for(unclear & assets)
                priced, fee_prices = self._priced(record, report, prices)
            except BookError as err:
                _warn(record, err)
            else:
                bookings.append(Booking(record=priced, report=report, fee_prices=fee_prices))
        done: dict[int, OrderRecord] = {}
        if bookings:
            for each, booked in zip(bookings, await self._ledger.ask(self._ledger.book_orders, bookings), strict=True):
                if isinstance(booked, BookError):
                    _warn(each.record, booked)
                else:
                    done[booked.seq] = booked
        return done

    def _unclear(self) -> frozenset[str]:
        """Assets of orders in flight; recovered ones are the rebuild's."""
        return frozenset[str]().union(*(each.assets for each in self._ledger.in_flight() if each.reason != RECOVERED))

    def _priced(
        self, record: OrderRecord, report: OrderReport, prices: Mapping[str, Decimal]
    ) -> tuple[OrderRecord, dict[str, Decimal]]:
        """The order with what it sold being worth, and the price in quote of each fee asset; its own are what was paid for them.

        Raises BookError while one of them is unknown.
        """
        quote = self._ledger.quote
        known = {**prices, quote: ONE}
        if quote not in record.assets:
            if (worth := record.sold_price or known.get(record.sold)) is None:
                raise BookError(f"no price for {record.sold}")
            record = replace(record, sold_price=worth)
            known[record.sold] = worth
        if report.executed_quantity:
            known = _paid(record, report, quote, known)
        assets = {fill.fee_asset for fill in report.fills or ()}
        if missing := assets - known.keys():
            raise BookError(f"no price for the fee in {', '.join(sorted(missing))}")
        return record, {asset: known[asset] for asset in assets}


def _paid(record: OrderRecord, report: OrderReport, quote: str, known: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The prices that are known, with those of what was traded as it was paid for."""
    price = report.executed_amount / report.executed_quantity
    if record.coin == quote:
        return {**known, record.quote: ONE / price}
    if record.quote == quote or record.side is Side.BUY:
        return {**known, record.coin: known[record.quote] * price}
    return {**known, record.quote: known[record.coin] / price}


def _third_assets(record: OrderRecord, report: OrderReport, quote: str) -> set[str]:
    """Assets other than the order's own that its fees were taken in."""
    return {fill.fee_asset for fill in report.fills or ()} - record.assets - {quote}


def _wait_for(coins: Collection[str]) -> None:
    """Raise BookError where orders of some coins are in flight.

    A fee may have been paid out of what they bought, and must not be booked out of what they sold.
    """
    if coins:
        raise BookError(f"an order of {', '.join(sorted(coins))} is still unclear")


def _warn(record: OrderRecord, err: BookError) -> None:
    _LOGGER.warning("Order %s was executed but cannot be booked yet: %s", record.client_order_id, err)
