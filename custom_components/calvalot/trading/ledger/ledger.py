"""The ledger: the only place where money is written down. SQLite, every commit on disk before the next step.

All methods are synchronous and belong in a worker thread. Amounts in a method's arguments are in the quote asset unless they
say EUR. Whatever the storage does wrong comes out as LedgerError, and nothing of the failed step is kept.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
import dataclasses
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
import json
from pathlib import Path
from typing import Any, override

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    UnaryExpression,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.sql.operators import custom_op

from ..decimals import ZERO
from ..exchanges.base import FEE_COIN, AccountId, Fill, Mode, OrderReport, Side
from ..performance import Close, Drawdown, Units
from ..portfolio import BookError, Portfolio, Position
from ..signal import Kind, SignalKey
from . import claims
from .records import (
    FACTS_OF_FOLLOWER,
    FIRST_BOOK,
    NO_BOOK,
    OVERTAKEN,
    Book,
    CashFlow,
    Claim,
    FlowKind,
    LastPrice,
    OrderRecord,
    OrderState,
    Result,
    SignalRecord,
    Trade,
)
from .storage import Storage, insert_row, remembered, upsert_row
from .tables import accounts, books, cash_flows, closes, facts, fills, orders, positions, sights, signals

_UPDATE_SIGNAL = update(signals).where(signals.c.seq == bindparam("known"))
_UPDATE_ORDER = update(orders).where(orders.c.seq == bindparam("known"))
# Fills on paper are numbered as they are placed and may be booked a little out of order.
NUMBERED = 1000
# Orders among which one that traded is looked for.
NEWEST = 100
# The fact that says how much of the fee coin was lent, in that coin.
LENT = "lent"
# The fact that says which book is in use.
IN_USE = "book"
# Signals whose first sight is kept.
SIGHTS = 1000
# Start of the facts that say how far the orders of a symbol were read.
READ_UP_TO = "orders_read_"
IN_FLIGHT = (OrderState.PLANNED, OrderState.SENDING, OrderState.UNKNOWN, OrderState.EXECUTED)


class Ledger(Storage):
    """The book in use of one mode, among others in one SQLite file; books have numbers."""

    def __init__(self, path: Path, mode: Mode, quote: str) -> None:
        super().__init__(path)
        self.mode = mode
        self.quote = quote
        self.number = FIRST_BOOK

    @override
    def open(self) -> None:
        super().open()
        self.number = int(self.fact(IN_USE) or FIRST_BOOK)

    # Books and the accounts they belong to

    @remembered(accounts)
    def account_ids(self) -> Mapping[int, AccountId]:
        """The account of each live book that it is known of, by the book's number."""
        with self._reading() as connection:
            rows = connection.execute(select(accounts).where(accounts.c.mode == self.mode)).mappings()
            return {row["book"]: AccountId(host=row["host"], uid=row["uid"], key=row["key"]) for row in rows}

    def use(self, number: int, account: AccountId, now: datetime) -> None:
        """Use a book from here on, a new one or one that was in use before; it belongs to this account."""
        if number == self.number and self.account_ids().get(number) == account:
            return
        row = {"host": account.host, "uid": account.uid, "key": account.key, "quote": self.quote, "begun_at": now}
        with self._transaction() as connection:
            kept = [accounts.c.mode == self.mode, accounts.c.book == number]
            if connection.execute(update(accounts).where(*kept).values(uid=account.uid, key=account.key)).rowcount == 0:
                connection.execute(insert(accounts), {**self._key, "book": number, **row})
            upsert_row(connection, facts, {**self._key, "book": NO_BOOK, "key": IN_USE, "value": str(number)})
        self.number = number

    def next_number(self) -> int:
        """Number of a book that is still to begin."""
        with self._reading() as connection:
            last = [
                connection.execute(select(func.max(table.c.book)).where(table.c.mode == self.mode)).scalar_one() or 0
                for table in (accounts, books)
            ]
        return 1 + max(FIRST_BOOK, *last)

    @remembered(accounts, books, orders, facts)
    def claims(self) -> tuple[Claim, ...]:
        """What each live book may count on of its account, whatever the mode is now."""
        with self._reading() as connection:
            return claims.read(lambda statement: connection.exec_driver_sql(statement).fetchall(), self._unclaimed)

    @property
    def _unclaimed(self) -> str | None:
        """The quote of a live book of which no account is known."""
        return self.quote if self.mode is Mode.LIVE else None

    def newest_traded(self) -> tuple[OrderRecord, ...]:
        """The newest order that traded of each symbol, among the newest orders, newest first; not those settled by hand."""
        query = self._by_age(select(orders), orders).where(
            orders.c.state == OrderState.BOOKED, orders.c.executed_amount != ZERO, orders.c.order_id > 0
        )
        newest: dict[str, OrderRecord] = {}
        with self._reading() as connection:
            for row in connection.execute(query.limit(NEWEST)).mappings():
                newest.setdefault(row["symbol"], _order(row))
        return tuple(newest.values())

    def in_book(self, number: int) -> Ledger:
        """The same open file, to read another book of this mode."""
        other = copy(self)
        other.number = number
        return other

    # The book

    @remembered(books, positions)
    def book(self) -> Book:
        """State of the book; an empty one where nothing was booked yet."""
        with self._reading() as connection:
            return self._book(connection)

    def add_flow(self, flow: CashFlow, book: Book) -> CashFlow:
        """Write a cash flow and the book that results from it."""
        with self._transaction(cash_flows, books, positions) as connection:
            if flow.coin:
                last = connection.execute(select(func.max(fills.c.seq)).where(self._own(fills))).scalar_one()
                flow = replace(flow, after_fill=last or 0)
            seq = insert_row(connection, cash_flows, {**self._key, **_columns(flow)})
            self._write_book(connection, book)
        return replace(flow, seq=seq)

    def add_earlier_flow(
        self,
        flow: CashFlow,
        book: Book,
        later: Iterable[CashFlow],
        revalued: Iterable[Close],
        remembered_facts: Mapping[str, str],
    ) -> CashFlow:
        """Write a cash flow that is dated back, with what that changes: the book, later flows, closes, facts."""
        with self._transaction(cash_flows, books, positions, closes, facts) as connection:
            seq = insert_row(connection, cash_flows, {**self._key, **_columns(flow)})
            for each in later:
                connection.execute(
                    update(cash_flows).where(cash_flows.c.seq == each.seq).values(value_before=each.value_before)
                )
            for close in revalued:
                figures = {
                    "value": close.value,
                    "value_quote": close.value_quote,
                    "net_deposits": close.net_deposits,
                    **_performance_columns(close),
                }
                connection.execute(
                    update(closes).where(self._own(closes), closes.c.day == close.day.isoformat()).values(figures)
                )
            self._write_book(connection, book)
            self._write_facts(connection, remembered_facts)
        return replace(flow, seq=seq)

    def flows(
        self, limit: int | None = 100, since: datetime | None = None, before: int | None = None
    ) -> tuple[CashFlow, ...]:
        """Cash flows since a time and before the one with a seq, newest first."""
        order = tuple_(cash_flows.c.time, cash_flows.c.seq)
        query = select(cash_flows).where(self._own(cash_flows)).limit(limit)
        if since:
            query = query.where(cash_flows.c.time >= since)
        if before is not None:
            query = query.where(
                order < select(cash_flows.c.time, cash_flows.c.seq).where(cash_flows.c.seq == before).scalar_subquery()
            )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(cash_flows.c.time.desc(), cash_flows.c.seq.desc()))
            return tuple(_flow(row) for row in rows.mappings())

    @remembered(cash_flows)
    def beginning(self) -> tuple[datetime | None, Decimal]:
        """When the first money came, and the sum (EUR) by which the net deposits were corrected."""
        with self._reading() as connection:
            found = connection.execute(
                select(cash_flows.c.kind, cash_flows.c.time, cash_flows.c.amount).where(
                    self._own(cash_flows), cash_flows.c.kind.in_((FlowKind.INITIAL, FlowKind.CORRECTION))
                )
            ).all()
        started = min((time for kind, time, _ in found if kind == FlowKind.INITIAL), default=None)
        return started, sum((amount for kind, _, amount in found if kind == FlowKind.CORRECTION), ZERO)

    def write_close(
        self,
        day: date,
        value: Decimal,
        value_quote: Decimal,
        units: Units,
        drawdown: Drawdown,
        prices: Mapping[str, Decimal] | None = None,
    ) -> None:
        """Write a day's last figures so far (value in EUR and quote, prices by coin) and take them into the book."""
        with self._transaction(closes, books, positions) as connection:
            book = replace(self._book(connection), units=units, drawdown=drawdown)
            self._write_book(connection, book)
            row = {
                **self._key,
                "day": day.isoformat(),
                "value": value,
                "value_quote": value_quote,
                "net_deposits": book.net_deposits or ZERO,
                "prices": json.dumps({coin: f"{price:f}" for coin, price in (prices or {}).items()}),
                **_performance_columns(book),
            }
            upsert_row(connection, closes, row)

    def closes(self) -> tuple[Close, ...]:
        """Daily closes, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(select(closes).where(self._own(closes)).order_by(closes.c.day))
            return tuple(
                Close(
                    day=date.fromisoformat(row["day"]),
                    value=row["value"],
                    value_quote=row["value_quote"],
                    net_deposits=row["net_deposits"],
                    units=Units(row["units"], row["unit_price"]),
                    drawdown=Drawdown(row["peak"], row["deepest"]),
                )
                for row in rows.mappings()
            )

    def last_prices(self, coins: Collection[str]) -> dict[str, LastPrice]:
        """Last known price of each coin: of a valuation, else of its last fill; missing where it has none."""
        fill = select(fills.c.price, fills.c.time).join(orders, orders.c.seq == fills.c.order_seq)
        known: dict[str, LastPrice] = {}
        with self._reading() as connection:
            for coin in coins:
                price = func.json_extract(closes.c.prices, f'$."{coin}"')
                valued = select(price, closes.c.day).where(self._own(closes), price.is_not(None))
                filled = fill.where(self._own(fills), orders.c.coin == coin)
                if found := connection.execute(valued.order_by(closes.c.day.desc()).limit(1)).one_or_none():
                    known[coin] = LastPrice(Decimal(found[0]), date.fromisoformat(found[1]))
                elif found := connection.execute(filled.order_by(fills.c.seq.desc()).limit(1)).one_or_none():
                    known[coin] = LastPrice(found[0], found[1].date())
        return known

    # Facts: small things to be remembered (paused, dead, …)

    @remembered(facts)
    def fact(self, key: str) -> str | None:
        """A remembered fact, None where there is none."""
        with self._reading() as connection:
            value: str | None = connection.execute(select(facts.c.value).where(*self._fact(key))).scalar_one_or_none()
            return value

    def remember(self, key: str, value: str | None) -> None:
        """Remember a fact, or forget it (None)."""
        self.remember_all({key: value})

    def remember_all(self, values: Mapping[str, str | None]) -> None:
        """Remember facts, or forget them (None), all or nothing."""
        with self._transaction(facts) as connection:
            self._write_facts(connection, values)

    # Signals

    def write_signal(self, record: SignalRecord, remember: Mapping[str, str] | None = None) -> SignalRecord:
        """Write a signal for the first time, or what became of it since; with it, facts to be remembered."""
        row = {**self._key, **_columns(record), "left_out": json.dumps(record.left_out)}
        with self._transaction(*((signals, facts) if remember else (signals,))) as connection:
            self._write_facts(connection, remember or {})
            if record.seq:
                connection.execute(_UPDATE_SIGNAL, {**row, "known": record.seq})
                return record
            return replace(record, seq=insert_row(connection, signals, row))

    @remembered(signals)
    def signal(self, key: SignalKey) -> SignalRecord | None:
        """The record of a signal."""
        return next(
            iter(self._signals(and_(signals.c.source == key.source, signals.c.signal_id == key.signal_id))), None
        )

    @remembered(signals)
    def open_signals(self, result: Result = Result.OPEN) -> tuple[SignalRecord, ...]:
        """Signals of which something can still be placed, or that wait for their owner's word; oldest first."""
        return self._signals(signals.c.result == result)

    @remembered(signals)
    def newest_of(self, source: str) -> SignalRecord | None:
        """The signal of a source that was taken up last."""
        query = self._by_age(select(signals), signals).where(signals.c.source == source).limit(1)
        with self._reading() as connection:
            return next((_signal(row) for row in connection.execute(query).mappings()), None)

    @remembered(signals, sights)
    def sight(self, key: SignalKey) -> datetime | None:
        """When a signal was first seen, in whichever book and mode."""
        with self._reading() as connection:
            return min(
                connection.execute(
                    union_all(
                        *(
                            select(table.c.seen_at).where(
                                table.c.source == key.source, table.c.signal_id == key.signal_id
                            )
                            for table in (signals, sights)
                        )
                    )
                ).scalars(),
                default=None,
            )

    def write_sight(self, key: SignalKey, seen_at: datetime) -> None:
        """Write down when a signal was first seen; the newest of its source are kept."""
        of_source = sights.c.source == key.source
        newest = select(sights.c.signal_id).where(of_source).order_by(sights.c.seen_at.desc()).limit(SIGHTS)
        with self._transaction(sights) as connection:
            upsert_row(connection, sights, {**key._asdict(), "seen_at": seen_at})
            connection.execute(delete(sights).where(of_source, sights.c.signal_id.not_in(newest)))

    @remembered(signals, orders)
    def has_joined(self) -> bool:
        """Whether the book follows its leader: something was traded, or a signal came to an end of its own.

        Not one that failed, that a newer one overtook before anything was traded, or that sold everything.
        """
        followed = select(signals.c.seq).where(
            self._own(signals),
            signals.c.result.not_in((Result.REJECTED, Result.ERROR)),
            signals.c.reason != OVERTAKEN,
            signals.c.kind.not_in([kind for kind in Kind if kind.sells_out]),
        )
        with self._reading() as connection:
            return any(connection.execute(query.limit(1)).first() for query in (self._traded(), followed))

    @remembered(signals, orders, fills)
    def latest(self) -> tuple[SignalRecord | None, Trade | None]:
        """The latest signal and the latest trade."""
        return next(iter(self.signals(1)), None), next(iter(self.trades(1)), None)

    def signals(
        self, limit: int = 100, since: datetime | None = None, before: int | None = None
    ) -> tuple[SignalRecord, ...]:
        """Signals since a time and before a seq, newest first."""
        return self._newest(signals, signals.c.seen_at, limit, since, before, _signal)

    # Orders

    def add_orders(self, records: Sequence[OrderRecord]) -> tuple[OrderRecord, ...]:
        """Write down what is going to be sent, all or nothing."""
        with self._transaction(orders) as connection:
            return tuple(
                replace(record, seq=insert_row(connection, orders, {**self._key, **_columns(record)}))
                for record in records
            )

    def update_orders(self, records: Sequence[OrderRecord]) -> None:
        """Write what became of orders, all or nothing."""
        with self._transaction(orders) as connection:
            for record in records:
                self._update_order(connection, record)

    @remembered(orders)
    def in_flight(self) -> tuple[OrderRecord, ...]:
        """Orders whose end is not written down yet, oldest first."""
        return self._orders(orders.c.state.in_(IN_FLIGHT))

    @remembered(orders)
    def orders(self, signal: SignalKey) -> tuple[OrderRecord, ...]:
        """All orders of a signal, oldest first."""
        return self._orders(and_(orders.c.source == signal.source, orders.c.signal_id == signal.signal_id))

    def orders_named(self, client_order_ids: Collection[str]) -> dict[str, OrderRecord]:
        """Orders by their client order id, as far as they are written down."""
        return {
            record.client_order_id: record for record in self._orders(orders.c.client_order_id.in_(client_order_ids))
        }

    def last_order_id(self, symbol: str) -> int:
        """Largest order id of a symbol up to which the exchange's orders are known, 0 without one."""
        with self._reading() as connection:
            last: int | None = connection.execute(
                select(func.max(orders.c.order_id)).where(self._own(orders), orders.c.symbol == symbol)
            ).scalar_one()
        return max(last or 0, int(self.fact(f"{READ_UP_TO}{symbol}") or 0))

    def write_page(self, symbol: str, up_to: int, records: Sequence[OrderRecord], fact: str | None) -> None:
        """Write a page of a symbol's orders, new and known ones: up to this id nothing of ours is missing any more.

        With the fact, where there is one, that says so.
        """
        with self._transaction(orders, facts) as connection:
            for record in records:
                if record.seq:
                    self._update_order(connection, record)
                else:
                    insert_row(connection, orders, {**self._key, **_columns(record)})
            read = str(up_to)
            self._write_facts(connection, {f"{READ_UP_TO}{symbol}": read, **({fact: read} if fact else {})})

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

    def last_trade_id(self) -> int:
        """Largest trade id among the newest fills, 0 without one: paper numbers its own fills after it."""
        newest = self._by_age(select(fills.c.trade_id), fills).limit(NUMBERED).subquery()
        with self._reading() as connection:
            last: int | None = connection.execute(select(func.max(newest.c.trade_id))).scalar_one()
            return max(last or 0, 0)

    @remembered(fills)
    def last_fee_asset(self) -> str | None:
        """Asset that the last fee was taken in."""
        with self._reading() as connection:
            asset: str | None = connection.execute(
                self._by_age(select(fills.c.fee_asset), fills).limit(1)
            ).scalar_one_or_none()
            return asset

    def book_order(
        self,
        record: OrderRecord,
        report: OrderReport,
        trades: Sequence[Fill],
        fee_prices: Mapping[str, Decimal],
        recovered: bool = False,
    ) -> tuple[OrderRecord, Book]:
        """Book the fills of a finished order, each exactly once, and close it; returns it and the new book.

        `fee_prices` holds the price in quote of each fee asset. `recovered`: which fees the owner lent is not known any
        more; where less is held of their coin than was sold, it was so many of them. Raises BookError where the fills do not
        add up to what was executed or more is sold than held.
        """
        if sum((fill.quantity for fill in trades), ZERO) != report.executed_quantity:
            raise BookError(f"the fills of order {report.order_id} do not add up to what was executed")
        with self._transaction(orders, fills, books, positions, facts) as connection:
            book = self._book(connection)
            portfolio = book.portfolio
            lent = ZERO
            for fill in trades:
                fee_price = fee_prices[fill.fee_asset]
                row = {
                    **self._key,
                    "order_seq": record.seq,
                    "symbol": record.symbol,
                    "fee_price": fee_price,
                    **{key: value for key, value in _columns(fill).items() if key != "order_id"},
                }
                connection.execute(insert(fills), row)
                before = portfolio
                short = record.side is Side.SELL and fill.quantity > before.quantity(record.coin)
                lendable = self._fees_in(connection, record.coin) if recovered and short else ZERO
                portfolio = before.with_fill(fill, record.side, record.coin, self.quote, fee_price, lendable)
                lent += _lent(fill, record, before, portfolio)
            if lent:
                self._lend(connection, lent)
            booked = replace(
                record,
                state=OrderState.BOOKED,
                order_id=report.order_id,
                quantity=record.quantity_in(report),
                executed_quantity=report.executed_quantity,
                executed_amount=sum((fill.amount for fill in trades), ZERO),
                executed_at=report.time,
            )
            book = replace(book, portfolio=portfolio)
            self._update_order(connection, booked)
            self._write_book(connection, book)
        return booked, book

    def trades(self, limit: int = 100, since: datetime | None = None) -> tuple[Trade, ...]:
        """Orders that traded, newest first."""
        query = self._traded().order_by(orders.c.executed_at.desc(), orders.c.seq.desc()).limit(limit)
        return tuple(self._trades(query.where(orders.c.executed_at >= since) if since else query).values())

    def trades_before(self, limit: int, before: int | None) -> dict[int, Trade]:
        """Orders that traded, before a seq, by their seq in the order they were placed, newest first."""
        query = self._traded().order_by(orders.c.seq.desc()).limit(limit)
        return self._trades(query if before is None else query.where(orders.c.seq < before))

    def trades_of(self, order_seqs: Collection[int]) -> tuple[Trade, ...]:
        """What some orders traded, oldest first."""
        query = self._traded().where(orders.c.seq.in_(order_seqs)).order_by(orders.c.seq)
        return tuple(self._trades(query).values())

    def trades_since(self, since: datetime) -> int:
        """Number of orders that traded since a time."""
        with self._reading() as connection:
            traded = self._traded().where(orders.c.executed_at >= since).subquery()
            count: int = connection.execute(select(func.count()).select_from(traded)).scalar_one()
            return count

    def counts(self) -> dict[str, int]:
        """Number of records of each kind."""
        with self._reading() as connection:
            return {
                table.name: connection.execute(
                    select(func.count()).select_from(table).where(self._own(table))
                ).scalar_one()
                for table in (signals, orders, fills, cash_flows, closes)
            }

    def replay(self) -> Portfolio:
        """Compute the portfolio again from every flow and fill; it must equal the book's."""
        with self._reading() as connection:
            flows = [
                _flow(row)
                for row in connection.execute(
                    select(cash_flows).where(self._own(cash_flows)).order_by(cash_flows.c.seq)
                ).mappings()
            ]
            paid_in = sum((flow.amount_quote for flow in flows if not flow.coin), ZERO)
            portfolio = Portfolio(cash=paid_in, paid_in=paid_in)
            in_kind = [flow for flow in flows if flow.coin]
            rows = connection.execute(
                select(fills, orders.c.side, orders.c.coin, orders.c.order_id)
                .join(orders, orders.c.seq == fills.c.order_seq)
                .where(self._own(fills))
                .order_by(fills.c.seq)
            )
            for row in rows.mappings():
                while in_kind and (in_kind[0].after_fill or 0) < row["seq"]:
                    portfolio = _without(portfolio, in_kind.pop(0))
                fill = Fill(**{key: row[key] for key in Fill.__slots__})
                side, coin, fee_price = Side(row["side"]), row["coin"], row["fee_price"]
                portfolio = portfolio.with_fill(fill, side, coin, self.quote, fee_price, lendable=fill.quantity)
        for flow in in_kind:
            portfolio = _without(portfolio, flow)
        return portfolio

    # Inside

    @property
    @override
    def _asking(self) -> object:
        return self.number

    @property
    def _key(self) -> dict[str, Any]:
        """The columns that say whose a row is."""
        return {"mode": self.mode, "book": self.number}

    def _own(self, table: Table) -> ColumnElement[bool]:
        """The rows of this book."""
        return and_(table.c.mode == self.mode, table.c.book == self.number)

    def _book_of(self, fact: str) -> int:
        return NO_BOOK if fact in FACTS_OF_FOLLOWER else self.number

    def _fact(self, key: str) -> tuple[ColumnElement[bool], ...]:
        return facts.c.mode == self.mode, facts.c.book == self._book_of(key), facts.c.key == key

    def _traded(self) -> Select[Any]:
        """Orders that traded; one that ended without a fill was booked with an amount of exactly 0."""
        return select(orders).where(
            self._own(orders), orders.c.state == OrderState.BOOKED, orders.c.executed_amount != ZERO
        )

    def _book(self, connection: Connection) -> Book:
        row = connection.execute(select(books).where(self._own(books))).mappings().one_or_none()
        if row is None:
            return Book()
        held = connection.execute(select(positions).where(self._own(positions))).mappings()
        return Book(
            portfolio=Portfolio(
                cash=row["cash"],
                paid_in=row["paid_in"],
                realised=row["realised"],
                fees=row["fees"],
                positions={item["coin"]: Position(item["quantity"], item["cost"]) for item in held},
            ),
            net_deposits=row["net_deposits"],
            units=Units(row["units"], row["unit_price"]),
            drawdown=Drawdown(row["peak"], row["deepest"]),
        )

    def _write_facts(self, connection: Connection, values: Mapping[str, str | None]) -> None:
        for key, value in values.items():
            if value is None:
                connection.execute(delete(facts).where(*self._fact(key)))
            else:
                upsert_row(connection, facts, {**self._key, "book": self._book_of(key), "key": key, "value": value})

    def _write_book(self, connection: Connection, book: Book) -> None:
        portfolio = book.portfolio
        row = {
            **self._key,
            "cash": portfolio.cash,
            "paid_in": portfolio.paid_in,
            "realised": portfolio.realised,
            "fees": portfolio.fees,
            "net_deposits": book.net_deposits,
            **_performance_columns(book),
        }
        upsert_row(connection, books, row)
        connection.execute(delete(positions).where(self._own(positions)))
        held = [
            {**self._key, "coin": coin, "quantity": position.quantity, "cost": position.cost}
            for coin, position in portfolio.positions.items()
        ]
        if held:
            connection.execute(insert(positions), held)

    def _by_age[Q: Select[Any]](self, query: Q, table: Table) -> Q:
        """A table's rows of this book, newest first, as they lie there: hardly ever some are of another book.

        The `+` keeps SQLite from sorting what an index on the mode finds, which is everything (sqlite.org/optoverview.html).
        """
        mode = UnaryExpression(table.c.mode, operator=custom_op("+"), type_=table.c.mode.type)
        return query.where(mode == self.mode, table.c.book == self.number).order_by(table.c.seq.desc())

    def _newest[T](
        self,
        table: Table,
        time: Any,
        limit: int,
        since: datetime | None,
        before: int | None,
        read: Callable[[RowMapping], T],
    ) -> tuple[T, ...]:
        query = self._by_age(select(table), table).limit(limit)
        if since:
            query = query.where(time >= since)
        if before is not None:
            query = query.where(table.c.seq < before)
        with self._reading() as connection:
            return tuple(read(row) for row in connection.execute(query).mappings())

    def _signals(self, condition: Any) -> tuple[SignalRecord, ...]:
        with self._reading() as connection:
            rows = connection.execute(select(signals).where(self._own(signals), condition).order_by(signals.c.seq))
            return tuple(_signal(row) for row in rows.mappings())

    def _orders(self, condition: Any) -> tuple[OrderRecord, ...]:
        with self._reading() as connection:
            rows = connection.execute(select(orders).where(self._own(orders), condition).order_by(orders.c.seq))
            return tuple(_order(row) for row in rows.mappings())

    def _trades(self, query: Select[Any]) -> dict[int, Trade]:
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
            fees: dict[int, dict[str, Decimal]] = {}
            paid = connection.execute(
                select(fills.c.order_seq, fills.c.fee_asset, fills.c.fee)
                .where(fills.c.order_seq.in_([row["seq"] for row in rows]))
                .order_by(fills.c.seq)
            )
            for seq, asset, fee in paid:
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
                )
                for row in rows
            }

    def _fees_in(self, connection: Connection, coin: str) -> Decimal:
        """What was taken of a coin for fees of others."""
        taken = (
            select(fills.c.fee)
            .join(orders, orders.c.seq == fills.c.order_seq)
            .where(self._own(fills), fills.c.fee_asset == coin, orders.c.coin != coin)
        )
        return sum(connection.execute(taken).scalars(), ZERO)

    def _lend(self, connection: Connection, quantity: Decimal) -> None:
        """Add to what of the fee coin was lent for fees."""
        known = connection.execute(select(facts.c.value).where(*self._fact(LENT))).scalar_one_or_none()
        total = Decimal(known or 0) + quantity
        upsert_row(connection, facts, {**self._key, "key": LENT, "value": f"{total:f}"})

    def _update_order(self, connection: Connection, record: OrderRecord) -> None:
        connection.execute(_UPDATE_ORDER, {**_columns(record), "known": record.seq})


def _columns(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.name != "seq"}


def _performance_columns(book: Book | Close) -> dict[str, Decimal]:
    return {
        "units": book.units.outstanding,
        "unit_price": book.units.price,
        "peak": book.drawdown.peak,
        "deepest": book.drawdown.deepest,
    }


def _without_key(row: RowMapping) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in {"mode", "book"}}


def _lent(fill: Fill, order: OrderRecord, before: Portfolio, after: Portfolio) -> Decimal:
    """How much of the fee coin the book did not hold when it paid fees, and paid back in cash."""
    if order.coin == FEE_COIN and order.side is Side.BUY:
        return ZERO
    fee = fill.fee if fill.fee_asset == FEE_COIN else ZERO
    sold = fill.quantity if order.coin == FEE_COIN else ZERO
    return fee + sold - (before.quantity(FEE_COIN) - after.quantity(FEE_COIN))


def _without(portfolio: Portfolio, flow: CashFlow) -> Portfolio:
    """The portfolio after a withdrawal in kind."""
    return portfolio.with_withdrawal(flow.coin or "", flow.quantity or ZERO, -flow.amount_quote)


def _order(row: RowMapping) -> OrderRecord:
    return OrderRecord(**{**_without_key(row), "side": Side(row["side"]), "state": OrderState(row["state"])})


def _flow(row: RowMapping) -> CashFlow:
    return CashFlow(**{**_without_key(row), "kind": FlowKind(row["kind"])})


def _signal(row: RowMapping) -> SignalRecord:
    left_out = tuple((symbol, side, reason) for symbol, side, reason in json.loads(row["left_out"]))
    return SignalRecord(
        **{**_without_key(row), "kind": Kind(row["kind"]), "result": Result(row["result"]), "left_out": left_out}
    )
