"""What live books may count on of their accounts, read the same way from a ledger in use and from one that lies there."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
import sqlite3
from typing import Any

from ..decimals import ZERO
from ..exchanges.base import AccountId
from . import copies
from .records import FIRST_BOOK, Claim
from .upgrades import VERSION

_BOOKS = """SELECT books.book, books.cash, host, uid, key, quote FROM books
LEFT JOIN accounts USING (mode, book) WHERE mode = 'live' ORDER BY books.book"""
_IN_FLIGHT = """SELECT book, quantity, coalesce(limit_price, price, '0') FROM orders
WHERE mode = 'live' AND side = 'BUY' AND state IN ('planned', 'sending', 'unknown', 'executed')"""
_RESTING = """SELECT book, side, quantity, executed_quantity, coalesce(limit_price, price, '0'), pair, seq FROM orders
WHERE mode = 'live' AND state IN ('accepted', 'partly_filled')"""
_LENT = "SELECT book, value FROM facts WHERE mode = 'live' AND key = 'lent'"


type Ask = Callable[[str], Iterable[Sequence[Any]]]


def read(ask: Ask, unclaimed: str | None) -> tuple[Claim, ...]:
    """Claims of each live book; `unclaimed` is the quote of one whose account was never written down, None passes it over."""
    in_flight: dict[int, Decimal] = {}
    for book, quantity, price in ask(_IN_FLIGHT):
        in_flight[book] = in_flight.get(book, ZERO) + Decimal(quantity) * Decimal(price)
    locked: dict[int, Decimal] = {}
    selling: dict[int, Decimal] = {}
    # Of two orders of which one ends the other, one is done.
    resting = {(row[0], row[5] or row[6]): row for row in ask(_RESTING)}
    for book, side, quantity, executed, price, *_ in resting.values():
        sums = locked if side == "BUY" else selling
        sums[book] = sums.get(book, ZERO) + (Decimal(quantity) - Decimal(executed)) * Decimal(price)
    lent = {book: Decimal(value) for book, value in ask(_LENT)}
    return tuple(
        Claim(
            number=book,
            account=AccountId(host=host, uid=uid, key=key) if host else None,
            quote=quote or unclaimed or "",
            cash=Decimal(cash),
            in_flight=in_flight.get(book, ZERO),
            lent=lent.get(book, ZERO),
            locked=locked.get(book, ZERO),
            selling=selling.get(book, ZERO),
        )
        for book, cash, host, uid, key, quote in ask(_BOOKS)
        if host or (unclaimed and book == FIRST_BOOK)
    )


def lying(ledger: Path) -> tuple[Claim, ...]:
    """Claims of a ledger that nobody has open; none where it cannot be read."""
    if copies.version_of(ledger) != VERSION:
        return ()
    try:
        with copies.reading(ledger) as connection:
            return read(lambda statement: connection.execute(statement).fetchall(), None)
    except sqlite3.Error:
        return ()
