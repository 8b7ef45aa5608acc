"""What live books may count on of their accounts, read the same way from a ledger in use and from one that lies there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
import sqlite3
from typing import Any

from ..decimals import ONE, ZERO
from ..exchanges.base import AccountId
from ..exchanges.symbols import quote_of
from . import copies
from .records import FIRST_BOOK
from .upgrades import VERSION

_BOOKS = """SELECT books.book, books.cash, books.paid_in, host, uid, key, quote FROM books
LEFT JOIN accounts USING (mode, book) WHERE mode = 'live' ORDER BY books.book"""
_IN_FLIGHT = """SELECT book, side, coin, symbol, quantity, coalesce(limit_price, price, '0') FROM orders
WHERE mode = 'live' AND state IN ('planned', 'sending', 'unknown', 'executed')"""
_RESTING = """SELECT book, side, coin, quantity, executed_quantity, coalesce(limit_price, price, '0'), pair, seq FROM orders
WHERE mode = 'live' AND state IN ('accepted', 'partly_filled')"""
_UNSETTLED = """SELECT DISTINCT book FROM orders WHERE mode = 'live'
AND (state IN ('planned', 'sending', 'unknown', 'executed') OR (state IN ('accepted', 'partly_filled') AND cancel_at IS NOT NULL))"""
_COINS = "SELECT book, coin, quantity FROM positions WHERE mode = 'live'"
_PLACED = "SELECT symbol, order_id FROM orders WHERE mode = 'live' AND order_id <> ''"
# What is read here is the same in all files from this version on.
_READABLE = 10
_LENT = "SELECT book, value FROM facts WHERE mode = 'live' AND key = 'lent'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a live book may count on of the account it belongs to: quote that it holds and that its orders in flight may take.

    `account` is None where it was never written down; `lent` is how much of the coin that fees are taken in the account has
    lent it for its fees. `locked` is the part of its cash that its orders that rest have locked, `selling` is what those may
    bring, `selling_coins` what they have locked by coin. `coins` is what it holds, `paid_in` what it was paid in quote,
    `unsettled` whether what becomes of an order is unclear.
    """

    number: int
    account: AccountId | None
    quote: str
    cash: Decimal = ZERO
    in_flight: Decimal = ZERO
    lent: Decimal = ZERO
    locked: Decimal = ZERO
    selling: Decimal = ZERO
    selling_coins: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    coins: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    paid_in: Decimal = ZERO
    unsettled: bool = False


type Ask = Callable[[str], Iterable[Sequence[Any]]]


def read(ask: Ask, unclaimed: str | None) -> tuple[Claim, ...]:
    """Claims of each live book; `unclaimed` is the quote of one whose account was never written down, None passes it over."""
    rows = [row for row in ask(_BOOKS) if row[3] or (unclaimed and row[0] == FIRST_BOOK)]
    quotes = {row[0]: row[6] or unclaimed or "" for row in rows}
    in_flight: dict[int, Decimal] = {}
    for book, side, coin, symbol, quantity, price in ask(_IN_FLIGHT):
        # A conversion of one coin into another takes no cash, and one of the cash may sell it.
        if quotes.get(book) == (coin if side == "SELL" else quote_of(symbol, coin)):
            takes = Decimal(quantity) * (ONE if side == "SELL" else Decimal(price))
            in_flight[book] = in_flight.get(book, ZERO) + takes
    locked: dict[int, Decimal] = {}
    selling: dict[int, Decimal] = {}
    selling_coins: dict[int, dict[str, Decimal]] = {}
    coins: dict[int, dict[str, Decimal]] = {}
    for book, coin, quantity in ask(_COINS):
        coins.setdefault(book, {})[coin] = Decimal(quantity)
    # Of two orders of which one ends the other, one is done.
    resting = {(row[0], row[6] or row[7]): row for row in ask(_RESTING)}
    for book, side, coin, quantity, executed, price, *_ in resting.values():
        sums, rest = locked if side == "BUY" else selling, Decimal(quantity) - Decimal(executed)
        sums[book] = sums.get(book, ZERO) + rest * Decimal(price)
        if side == "SELL":
            of_book = selling_coins.setdefault(book, {})
            of_book[coin] = of_book.get(coin, ZERO) + rest
    unsettled = {book for (book,) in ask(_UNSETTLED)}
    lent = {book: Decimal(value) for book, value in ask(_LENT)}
    return tuple(
        Claim(
            number=book,
            account=AccountId(host=host, uid=uid, key=key) if host else None,
            quote=quotes[book],
            cash=Decimal(cash),
            in_flight=in_flight.get(book, ZERO),
            lent=lent.get(book, ZERO),
            locked=locked.get(book, ZERO),
            selling=selling.get(book, ZERO),
            selling_coins=selling_coins.get(book, {}),
            coins=coins.get(book, {}),
            paid_in=Decimal(paid_in),
            unsettled=book in unsettled,
        )
        for book, cash, paid_in, host, uid, key, _ in rows
    )


def lying(ledger: Path) -> tuple[Claim, ...] | None:
    """Claims of a ledger that nobody has open; None where it cannot be read."""
    return _lying(ledger, lambda ask: read(ask, None)) if ledger.exists() else ()


def placed(ask: Ask) -> frozenset[tuple[str, str]]:
    """Symbol and id of each order that live books know on the exchange."""
    return frozenset((symbol, order_id) for symbol, order_id in ask(_PLACED))


def lying_placed(ledger: Path) -> frozenset[tuple[str, str]]:
    """The same of a ledger that nobody has open; none where it cannot be read."""
    return _lying(ledger, placed) or frozenset()


def _lying[T](ledger: Path, read_with: Callable[[Ask], T]) -> T | None:
    if not _READABLE <= copies.version_of(ledger) <= VERSION:
        return None
    try:
        with copies.reading(ledger) as connection:
            return read_with(lambda statement: connection.execute(statement).fetchall())
    except sqlite3.Error:
        return None
