"""The end of a book, and the beginning of the next one in another quote asset, in one commit."""

from collections.abc import Sequence
import json

from sqlalchemy import Connection, RowMapping, Table, insert, select

from ..decimals import ZERO
from .book import IN_USE, columns
from .flows import CHANGED, FlowTable
from .records import Book, CashFlow, SignalRecord
from .signals import SignalTable
from .storage import insert_row
from .tables import accounts, books, cash_flows, closes, facts, positions, signals

# The fact that says which quote asset a book is kept in, where another one came before or after it.
QUOTE = "quote"
# Starts of the facts of a book that are in its quote asset, or of what it has traded. Up to where the orders on the account are
# known is none of them: they are no other book's.
_OF_ONE_BOOK = (CHANGED, QUOTE, "traded", "attribution", "distance", "protections", "conversion_left", "rebuild")


class Succession(SignalTable, FlowTable):
    """Books that come one after the other."""

    def succeed(
        self,
        number: int,
        quote: str,
        ended: tuple[Sequence[CashFlow], Book],
        begun: tuple[Sequence[CashFlow], Book],
        known: Sequence[SignalRecord],
    ) -> None:
        """End the book in use with these flows and begin the one of a number with those, in another quote asset.

        The next one knows these signals, what the book remembers, and the closes so far in EUR. This object still means the book
        that has ended: the file is to be opened anew.
        """
        before = self.number, self.quote
        try:
            with self._transaction(accounts, books, positions, cash_flows, closes, facts, signals) as connection:
                rows = {table: self._rows(connection, table) for table in (closes, facts, accounts)}
                self._write_flows(connection, *ended)
                self._write_facts(connection, {QUOTE: self.quote})
                self.number, self.quote = number, quote
                self._write_flows(connection, *begun)
                for record in known:
                    row = {**columns(record), "left_out": json.dumps(record.left_out)}
                    insert_row(connection, signals, {**self._key, **row})
                # What a day was worth in the former quote asset says nothing in this one.
                unknown: dict[Table, dict[str, object]] = {
                    closes: {"value_quote": ZERO, "prices": None, "valued_at": None},
                    accounts: {"quote": quote},
                }
                for table, found in rows.items():
                    kept = [row for row in found if table is not facts or not row["key"].startswith(_OF_ONE_BOOK)]
                    if kept:
                        changed = unknown.get(table, {})
                        connection.execute(insert(table), [{**row, **changed, **self._key} for row in kept])
                self._write_facts(connection, {QUOTE: quote, IN_USE: str(number)})
        finally:
            self.number, self.quote = before

    # Inside

    def _rows(self, connection: Connection, table: Table) -> Sequence[RowMapping]:
        return connection.execute(select(table).where(self._own(table))).mappings().all()

    def _write_flows(self, connection: Connection, flows: Sequence[CashFlow], book: Book) -> None:
        for flow in flows:
            insert_row(connection, cash_flows, {**self._key, **columns(flow)})
        self._write_book(connection, book)
