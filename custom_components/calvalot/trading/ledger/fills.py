"""What was traded: each fill booked exactly once, with the book that results from it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, or_, select

from ..decimals import EXACT, ZERO
from ..exchanges.base import Fill, OrderReport, Side
from ..portfolio import BookError, Half, Portfolio, halves
from .book import columns, lying, of_book
from .orders import READ_UP_TO, OrderTable, that_traded
from .records import Book, Booking, OrderRecord, OrderState, Trade
from .storage import inserted, remembered
from .tables import books, facts, fills, orders, positions

_LAST_FEE = select(fills.c.fee_asset).where(lying(fills)).order_by(fills.c.seq.desc()).limit(1)
_TRADES_OF = (
    that_traded(select(orders))
    .where(lying(orders), orders.c.seq.in_(bindparam("seqs", expanding=True)))
    .order_by(orders.c.seq)
)
_LAST_TRADE = (
    that_traded(select(orders))
    .where(of_book(orders))
    .order_by(orders.c.executed_at.desc(), orders.c.seq.desc())
    .limit(1)
)
_FEES_OF = (
    select(fills.c.order_seq, fills.c.fee_asset, fills.c.fee)
    .where(fills.c.order_seq.in_(bindparam("seqs", expanding=True)))
    .order_by(fills.c.seq)
)
# The fact that says how much of the fee coin was lent, in that coin.
LENT = "lent"


class FillTable(OrderTable):
    """Fills of the orders of a book."""

    @remembered(fills)
    def last_fee_asset(self) -> str | None:
        """Asset that the last fee was taken in."""
        with self._reading() as connection:
            asset: str | None = connection.execute(_LAST_FEE, self._key).scalar_one_or_none()
            return asset

    @remembered(fills)
    def last_fill(self) -> int:
        """The seq of the fill that was booked last, 0 where there is none."""
        with self._reading() as connection:
            newest = self._by_age(select(fills.c.seq), fills).limit(1)
            return connection.execute(newest).scalar_one_or_none() or 0

    def book_order(
        self,
        record: OrderRecord,
        report: OrderReport,
        trades: Sequence[Fill],
        fee_prices: Mapping[str, Decimal],
        recovered: bool = False,
    ) -> tuple[OrderRecord, Book]:
        """Book the fills of an order, each exactly once, and close it where it is done; returns it and the new book.

        `fee_prices` holds the price in quote of each fee asset. `recovered`: which fees the owner lent is not known any
        more; where less is held of their coin than was sold, it was so many of them. Raises BookError where the fills do not
        add up to what was executed or more is sold than held.
        """
        with self._transaction(orders, fills, books, positions, facts) as connection:
            before = self._book(connection)
            booked, after = self._book_order(connection, before, record, report, trades, fee_prices, recovered)
            self._write_book(connection, after)
        return booked, after

    def book_orders(self, bookings: Sequence[Booking]) -> tuple[OrderRecord | BookError, ...]:
        """Book orders in one commit, as `book_order` does each; for one that cannot be booked, why not."""
        done: list[OrderRecord | BookError] = []
        with self._transaction(orders, fills, books, positions, facts) as connection:
            book = self._book(connection)
            for each in bookings:
                try:
                    booked, book = self._book_order(
                        connection, book, each.record, each.report, each.report.fills or (), each.fee_prices
                    )
                    done.append(booked)
                except BookError as err:
                    done.append(err)
            if not all(isinstance(each, BookError) for each in done):
                self._write_book(connection, book)
        return tuple(done)

    def trades(
        self, limit: int = 100, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[Trade, ...]:
        """Orders that traded from a time on and before another, newest first."""
        query = self._traded().order_by(orders.c.executed_at.desc(), orders.c.seq.desc()).limit(limit)
        if since:
            query = query.where(orders.c.executed_at >= since)
        if until:
            query = query.where(orders.c.executed_at < until)
        return tuple(self._trades(query).values())

    def trades_before(self, limit: int, before: int | None) -> dict[int, Trade]:
        """Orders that traded, before a seq, by their seq in the order they were placed, newest first."""
        query = self._by_age(that_traded(select(orders)), orders).limit(limit)
        return self._trades(query if before is None else query.where(orders.c.seq < before))

    def trades_of(self, order_seqs: Collection[int]) -> tuple[Trade, ...]:
        """What some orders traded, oldest first."""
        return tuple(self.trades_by_order(order_seqs).values())

    def trades_by_order(self, order_seqs: Collection[int]) -> dict[int, Trade]:
        """The same by the seq of the order."""
        return self._trades(_TRADES_OF, {**self._key, "seqs": tuple(order_seqs)})

    def last_trade(self) -> Trade | None:
        """What the order came to that was executed last."""
        return next(iter(self._trades(_LAST_TRADE, self._key).values()), None)

    def trades_since(self, since: datetime) -> int:
        """Number of orders that traded since a time."""
        with self._reading() as connection:
            traded = self._traded().where(orders.c.executed_at >= since).subquery()
            count: int = connection.execute(select(func.count()).select_from(traded)).scalar_one()
            return count

    # Inside

    def _book_order(
        self,
        connection: Connection,
        book: Book,
        record: OrderRecord,
        report: OrderReport,
        trades: Sequence[Fill],
        fee_prices: Mapping[str, Decimal],
        recovered: bool = False,
    ) -> tuple[OrderRecord, Book]:
        """Write nothing unless all can be booked that is not yet; an order that rested may have had to wait for its fee coin.

        The book that results is left to be written.
        """
        known = self._fills_of(connection, record)
        new = [fill for fill in trades if fill.trade_id not in known]
        amounts = [*known.values(), *((fill.quantity, fill.amount) for fill in new)]
        if sum((quantity for quantity, _ in amounts), ZERO) != report.executed_quantity:
            raise BookError(f"the fills of order {report.order_id} do not add up to what was executed")
        portfolio = book.portfolio
        lent = ZERO
        for number, fill in enumerate(new):
            for half in halves(fill, record.side, record.coin, record.quote, self.quote, self._value(fill, record)):
                before = portfolio
                short = half.side is Side.SELL and half.fill.quantity > before.quantity(half.coin)
                late = recovered or record.type.rests
                # A sale at once of all of the fee coin may have paid the fees of earlier parts out of this one, and no other.
                own = sum((each.fee for each in new[:number] if each.fee_asset == half.coin), ZERO) if short else ZERO
                lendable = self._fees_in(connection, half.coin, new) if late and short else own
                portfolio = before.with_fill(
                    half.fill, half.side, half.coin, self.quote, fee_prices[fill.fee_asset], lendable
                )
                lent += _lent(half, self.quote, before, portfolio)
        rows = [
            {
                **self._key,
                "order_seq": record.seq,
                "symbol": record.symbol,
                "base": record.coin,
                "quote": record.quote,
                "value": self._value(fill, record),
                "fee_price": fee_prices[fill.fee_asset],
                **{key: value for key, value in columns(fill).items() if key != "order_id"},
            }
            for fill in new
        ]
        if rows:
            connection.execute(inserted(fills), rows)
        if lent:
            self._lend(connection, lent)
        open_state = OrderState.PARTLY_FILLED if report.executed_quantity else OrderState.ACCEPTED
        booked = replace(
            record,
            state=OrderState.BOOKED if report.done else open_state,
            order_id=report.order_id,
            quantity=record.quantity_in(report),
            executed_quantity=report.executed_quantity,
            executed_amount=sum((amount for _, amount in amounts), ZERO),
            executed_at=report.time,
        )
        self._update_order(connection, booked)
        # What was recovered, or has rested, was found by a search that has gone on since.
        if report.cursor and not recovered and not record.type.rests:
            self._write_facts(connection, {f"{READ_UP_TO}{record.symbol}": report.cursor})
        return booked, replace(book, portfolio=portfolio)

    def _value(self, fill: Fill, record: OrderRecord) -> Decimal:
        """What a fill was worth in the book's quote."""
        if record.coin == self.quote:
            return fill.quantity
        if record.quote == self.quote:
            return fill.amount
        sold = fill.quantity if record.side is Side.SELL else fill.amount
        return EXACT.multiply(sold, record.sold_price or ZERO)

    def _fills_of(self, connection: Connection, record: OrderRecord) -> dict[str, tuple[Decimal, Decimal]]:
        """Quantity and amount of the trades of an order that are booked already."""
        if not record.type.rests:
            return {}
        columns_of = select(fills.c.trade_id, fills.c.quantity, fills.c.amount)
        found = connection.execute(columns_of.where(fills.c.order_seq == record.seq))
        return {trade_id: (quantity, amount) for trade_id, quantity, amount in found}

    def _trades(self, query: Select[Any], named: Mapping[str, Any] | None = None) -> dict[int, Trade]:
        with self._reading() as connection:
            rows = connection.execute(query, named).mappings().all()
            fees: dict[int, dict[str, Decimal]] = {}
            for seq, asset, fee in connection.execute(_FEES_OF, {"seqs": [row["seq"] for row in rows]}):
                of_order = fees.setdefault(seq, {})
                of_order[asset] = of_order.get(asset, ZERO) + fee
            return {
                row["seq"]: Trade(
                    time=row["executed_at"],
                    signal_id=row["signal_id"],
                    coin=row["coin"],
                    symbol=row["symbol"],
                    side=Side(row["side"]),
                    quantity=row["executed_quantity"],
                    amount=row["executed_amount"],
                    fees=tuple(fees.get(row["seq"], {}).items()),
                    planned_price=row["price"],
                    reason=row["reason"],
                )
                for row in rows
            }

    def _fees_in(self, connection: Connection, coin: str, sales: Sequence[Fill]) -> Decimal:
        """What was taken of a coin for fees: of other coins' orders, and of its own sales, those included that are being booked."""
        taken = (
            select(fills.c.fee)
            .join(orders, orders.c.seq == fills.c.order_seq)
            .where(
                self._own(fills),
                fills.c.fee_asset == coin,
                or_(orders.c.coin != coin, orders.c.side == Side.SELL.value),
            )
        )
        booking = (fill.fee for fill in sales if fill.fee_asset == coin)
        return sum(connection.execute(taken).scalars(), ZERO) + sum(booking, ZERO)

    def _lend(self, connection: Connection, quantity: Decimal) -> None:
        """Add to what of the fee coin was lent for fees."""
        total = Decimal(self._known_fact(connection, LENT) or 0) + quantity
        self._write_facts(connection, {LENT: f"{total:f}"})


def _lent(half: Half, quote: str, before: Portfolio, after: Portfolio) -> Decimal:
    """How much of the coin that fees are taken in the book did not hold when it paid some or sold it, and paid back in cash."""
    coin, side, fill = half
    leaves: dict[str, Decimal] = {}
    if side is Side.SELL:
        leaves[coin] = fill.quantity
    if fill.fee_asset != quote and (side is Side.SELL or fill.fee_asset != coin):
        leaves[fill.fee_asset] = leaves.get(fill.fee_asset, ZERO) + fill.fee
    return sum((gone - (before.quantity(coin) - after.quantity(coin)) for coin, gone in leaves.items()), ZERO)
