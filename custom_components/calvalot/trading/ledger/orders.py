"""What was sent to the exchange, and what became of it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, func, or_, select, update

from ..decimals import ZERO
from ..exchanges.base import OrderType, Side
from ..signal import SignalKey
from .book import BookStorage, columns, of_book, without_key
from .records import OrderRecord, OrderState
from .storage import insert_row, remembered
from .tables import facts, orders

_UPDATE_ORDER = update(orders).where(orders.c.seq == bindparam("known"))
_OF_SIGNAL = (
    select(orders)
    .where(of_book(orders), orders.c.source == bindparam("source"), orders.c.signal_id == bindparam("signal_id"))
    .order_by(orders.c.seq)
)
# Orders among which one that traded is looked for.
NEWEST = 100
# Start of the facts that say where orders of a symbol begin that may not be known yet: the exchange's cursor.
READ_UP_TO = "orders_read_"
SETTLED = tuple(state for state in OrderState if state.settled)
_UNSETTLED = (
    select(orders)
    .where(of_book(orders), or_(*(orders.c.state == state for state in OrderState if not state.settled)))
    .order_by(orders.c.seq)
)


class OrderTable(BookStorage):
    """Orders of a book."""

    def add_orders(self, records: Sequence[OrderRecord]) -> tuple[OrderRecord, ...]:
        """Write down what is going to be sent, all or nothing."""
        with self._transaction(orders) as connection:
            return tuple(
                replace(record, seq=insert_row(connection, orders, {**self._key, **columns(record)}))
                for record in records
            )

    def update_orders(self, records: Sequence[OrderRecord]) -> None:
        """Write what became of orders, all or nothing."""
        with self._transaction(orders) as connection:
            for record in records:
                self._update_order(connection, record)

    def in_flight(self) -> tuple[OrderRecord, ...]:
        """Orders of which it is unclear what becomes of them, oldest first: being sent, looked up, booked or cancelled."""
        return tuple(record for record in self._unsettled() if record.cancel_at or not record.state.rests)

    def resting(self) -> tuple[OrderRecord, ...]:
        """Orders that are on the exchange and may stay there, oldest first."""
        return tuple(record for record in self._unsettled() if record.state.rests and not record.cancel_at)

    @remembered(orders)
    def _unsettled(self) -> tuple[OrderRecord, ...]:
        """Orders that have not come to an end, oldest first."""
        with self._reading() as connection:
            return tuple(order_of(row) for row in connection.execute(_UNSETTLED, self._key).mappings())

    def next_leg(self, signal: SignalKey, symbol: str, side: Side) -> int:
        """Number of a signal's next order of a symbol and side that takes a leg of its own."""
        with self._reading() as connection:
            last: int | None = connection.execute(
                select(func.max(orders.c.leg)).where(
                    self._own(orders),
                    orders.c.source == signal.source,
                    orders.c.signal_id == signal.signal_id,
                    orders.c.symbol == symbol,
                    orders.c.side == side,
                )
            ).scalar_one()
        return 0 if last is None else last + 1

    @remembered(orders)
    def orders(self, signal: SignalKey) -> tuple[OrderRecord, ...]:
        """All orders of a signal, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(_OF_SIGNAL, {**self._key, **signal._asdict()})
            return tuple(order_of(row) for row in rows.mappings())

    def orders_of(self, keys: Collection[SignalKey]) -> dict[SignalKey, list[OrderRecord]]:
        """All orders of some signals, oldest first."""
        found: dict[SignalKey, list[OrderRecord]] = {key: [] for key in keys}
        sources, ids = {key.source for key in keys}, {key.signal_id for key in keys}
        for order in self._orders(and_(orders.c.source.in_(sources), orders.c.signal_id.in_(ids))):
            if (key := SignalKey(order.source, order.signal_id)) in found:
                found[key].append(order)
        return found

    def orders_named(self, names: Collection[str]) -> dict[str, OrderRecord]:
        """Orders by what the exchange calls them, as far as they are written down."""
        named = or_(orders.c.client_order_id.in_(names), orders.c.sent_as.in_(names))
        return {record.sent_as or record.client_order_id: record for record in self._orders(named)}

    def cursor(self, symbol: str) -> str | None:
        """Where orders of a symbol begin that may not be known yet; None where that is the first."""
        return self.fact(f"{READ_UP_TO}{symbol}")

    def write_page(self, symbol: str, cursor: str, records: Sequence[OrderRecord], fact: str | None) -> None:
        """Write a page of a symbol's orders, new and known ones: up to the cursor nothing of ours is missing any more.

        With the fact, where there is one, that orders were missing.
        """
        with self._transaction(orders, facts) as connection:
            for record in records:
                if record.seq:
                    self._update_order(connection, record)
                else:
                    insert_row(connection, orders, {**self._key, **columns(record)})
            self._write_facts(connection, {f"{READ_UP_TO}{symbol}": cursor, **({fact: cursor} if fact else {})})

    def traded_coins(self) -> dict[str, str]:
        """Coin of each symbol that an order was ever written down for."""
        # One by one: the next symbol is a step in the index, all different ones are a walk through the table.
        found: dict[str, str] = {}
        with self._reading() as connection:
            while row := connection.execute(
                select(orders.c.symbol, orders.c.coin)
                .where(self._own(orders), orders.c.symbol > max(found, default=""))
                .order_by(orders.c.symbol)
                .limit(1)
            ).first():
                found[row.symbol] = row.coin
        return found

    def newest_traded(self) -> tuple[OrderRecord, ...]:
        """The newest order that traded of each symbol, among the newest orders, newest first; not those settled by hand."""
        query = self._by_age(select(orders), orders).where(
            orders.c.state == OrderState.BOOKED, orders.c.executed_amount != ZERO, orders.c.order_id != ""
        )
        newest: dict[str, OrderRecord] = {}
        with self._reading() as connection:
            for row in connection.execute(query.limit(NEWEST)).mappings():
                newest.setdefault(row["symbol"], order_of(row))
        return tuple(newest.values())

    def ended_orders(self, limit: int = 100, since: datetime | None = None) -> tuple[OrderRecord, ...]:
        """Orders that have come to an end, placed since a time, newest first."""
        query = self._by_age(select(orders), orders).where(orders.c.state.in_(SETTLED)).limit(limit)
        if since:
            query = query.where(orders.c.created_at >= since)
        with self._reading() as connection:
            return tuple(order_of(row) for row in connection.execute(query).mappings())

    # Inside

    def _traded(self) -> Select[Any]:
        """Orders of which something is booked."""
        return that_traded(select(orders).where(self._own(orders)))

    def _orders(self, condition: Any) -> tuple[OrderRecord, ...]:
        with self._reading() as connection:
            rows = connection.execute(select(orders).where(self._own(orders), condition).order_by(orders.c.seq))
            return tuple(order_of(row) for row in rows.mappings())

    def _update_order(self, connection: Connection, record: OrderRecord) -> None:
        connection.execute(_UPDATE_ORDER, {**columns(record), "known": record.seq})


def order_of(row: RowMapping) -> OrderRecord:
    known = {"side": Side(row["side"]), "state": OrderState(row["state"]), "type": OrderType(row["type"])}
    return OrderRecord(**{**without_key(row), **known})


def that_traded[Q: Select[Any]](query: Q) -> Q:
    """Orders of which something is booked; one that ended without a fill was booked with an amount of exactly 0."""
    return query.where(orders.c.state != OrderState.EXECUTED, orders.c.executed_amount != ZERO)
