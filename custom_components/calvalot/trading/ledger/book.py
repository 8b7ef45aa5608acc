"""One book of a ledger: which rows are its own, its facts and its state."""

from collections.abc import Callable, Mapping
import dataclasses
from datetime import datetime
from decimal import Decimal
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
    select,
)
from sqlalchemy.sql.operators import custom_op

from ..exchanges.base import Mode
from ..performance import Close, Drawdown, Units
from ..portfolio import Portfolio, Position
from .records import FACTS_OF_FOLLOWER, FIRST_BOOK, NO_BOOK, Book
from .storage import Storage, inserted, remembered, upsert_row
from .tables import books, facts, positions

# The fact that says which book is in use.
IN_USE = "book"


# The book of statements that are made once: it is named when they are executed.
_MODE: Any = bindparam("mode")
_NUMBER: Any = bindparam("book")


def of_book(table: Table, mode: Any = _MODE, number: Any = _NUMBER) -> ColumnElement[bool]:
    """The rows of a book; without one, of the book that `mode` and `book` name among the parameters."""
    return and_(table.c.mode == mode, table.c.book == number)


def lying(table: Table, mode: Any = _MODE, number: Any = _NUMBER) -> ColumnElement[bool]:
    """The same rows, found by something else or as they lie there.

    The `+` keeps SQLite from an index on the mode, which finds everything and has it sorted (sqlite.org/optoverview.html).
    """
    column = UnaryExpression(table.c.mode, operator=custom_op("+"), type_=table.c.mode.type)
    return and_(column == mode, table.c.book == number)


_FACT = select(facts.c.value).where(of_book(facts), facts.c.key == bindparam("key"))
_FORGET = delete(facts).where(of_book(facts), facts.c.key == bindparam("key"))
_BOOK = select(books).where(of_book(books))
_HELD = select(positions).where(of_book(positions))
_LET_GO = delete(positions).where(of_book(positions))


class BookStorage(Storage):
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

    @remembered(books, positions)
    def book(self) -> Book:
        """State of the book; an empty one where nothing was booked yet."""
        with self._reading() as connection:
            return self._book(connection)

    # Facts: small things to be remembered (paused, dead, …)

    @remembered(facts)
    def fact(self, key: str) -> str | None:
        """A remembered fact, None where there is none."""
        with self._reading() as connection:
            return self._known_fact(connection, key)

    def facts_from(self, start: str) -> dict[str, str]:
        """The facts of the book whose names begin so."""
        query = select(facts.c.key, facts.c.value).where(
            self._own(facts), facts.c.key.startswith(start, autoescape=True)
        )
        with self._reading() as connection:
            return dict(connection.execute(query).tuples().all())

    def remember(self, key: str, value: str | None) -> None:
        """Remember a fact, or forget it (None)."""
        self.remember_all({key: value})

    def remember_all(self, values: Mapping[str, str | None]) -> None:
        """Remember facts, or forget them (None), all or nothing."""
        with self._transaction(facts) as connection:
            self._write_facts(connection, values)

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
        return of_book(table, self.mode, self.number)

    def _book_of(self, fact: str) -> int:
        return NO_BOOK if fact in FACTS_OF_FOLLOWER else self.number

    def _fact(self, key: str) -> dict[str, Any]:
        """The columns that say which row a fact is."""
        return {**self._key, "book": self._book_of(key), "key": key}

    def _known_fact(self, connection: Connection, key: str) -> str | None:
        value: str | None = connection.execute(_FACT, self._fact(key)).scalar_one_or_none()
        return value

    def _book(self, connection: Connection) -> Book:
        row = connection.execute(_BOOK, self._key).mappings().one_or_none()
        if row is None:
            return Book()
        held = connection.execute(_HELD, self._key).mappings()
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
                connection.execute(_FORGET, self._fact(key))
            else:
                upsert_row(connection, facts, {**self._fact(key), "value": value})

    def _write_book(self, connection: Connection, book: Book) -> None:
        portfolio = book.portfolio
        row = {
            **self._key,
            "cash": portfolio.cash,
            "paid_in": portfolio.paid_in,
            "realised": portfolio.realised,
            "fees": portfolio.fees,
            "net_deposits": book.net_deposits,
            **performance_columns(book),
        }
        upsert_row(connection, books, row)
        connection.execute(_LET_GO, self._key)
        held = [
            {**self._key, "coin": coin, "quantity": position.quantity, "cost": position.cost}
            for coin, position in portfolio.positions.items()
        ]
        if held:
            connection.execute(inserted(positions), held)

    def _by_age[Q: Select[Any]](self, query: Q, table: Table) -> Q:
        """A table's rows of this book, newest first, as they lie there: hardly ever some are of another book."""
        return query.where(self._lying(table)).order_by(table.c.seq.desc())

    def _lying(self, table: Table) -> ColumnElement[bool]:
        """The rows of this book, found by something else or as they lie there."""
        return lying(table, self.mode, self.number)

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


def columns(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.name != "seq"}


def performance_columns(book: Book | Close) -> dict[str, Decimal]:
    return {
        "units": book.units.outstanding,
        "unit_price": book.units.price,
        "peak": book.drawdown.peak,
        "deepest": book.drawdown.deepest,
    }


def without_key(row: RowMapping) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in {"mode", "book"}}
