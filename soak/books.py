"""A follower's books as they lie on disk."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
import sqlite3
import tempfile

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import FIRST_BOOK, Book
from custom_components.calvalot.trading.portfolio import Portfolio
from harness.portfolio import QUOTE

ORDERS = "SELECT * FROM orders WHERE mode = ? AND book = ? ORDER BY seq"
FILLS = """
SELECT fills.*, orders.side, orders.coin, orders.order_id, orders.client_order_id
FROM fills JOIN orders ON orders.seq = fills.order_seq WHERE fills.mode = ? AND fills.book = ? ORDER BY fills.seq
"""

type Row = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Books:
    """A ledger as it was read: the rows of one book, the book, and the book computed again from them."""

    orders: Sequence[Row]
    fills: Sequence[Row]
    book: Book
    replayed: Portfolio


def read(file: Path, mode: Mode, number: int = FIRST_BOOK) -> Books:
    """Read a book from a consistent copy of a ledger that may be in use."""
    with tempfile.TemporaryDirectory(prefix="calvalot-soak-") as folder:
        copy = Path(folder) / "ledger.db"
        with (
            closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.row_factory = sqlite3.Row
            orders = [dict(row) for row in target.execute(ORDERS, (mode, number))]
            fills = [dict(row) for row in target.execute(FILLS, (mode, number))]
        ledger = Ledger(copy, mode, QUOTE)
        ledger.open()
        try:
            book = ledger.in_book(number)
            return Books(orders, fills, book.book(), book.replay())
        finally:
            ledger.close()


def as_amount(value: str | int | None) -> Decimal:
    """An amount of a row."""
    return Decimal(str(value))
