"""What other tools wrote down before this portfolio began: kept beside the books, part of none of them."""

from collections import Counter
from collections.abc import Iterable
import dataclasses
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import RowMapping, select

from ..exchanges.base import Side
from .book import BookStorage
from .storage import upsert_row
from .tables import past


class PastKind(StrEnum):
    """Kinds of record that other tools left."""

    VALUE = "value"
    CASH_FLOW = "cash_flow"
    TRADE = "trade"
    FEE = "fee"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRecord:
    """What another tool wrote down: an amount in a currency; a withdrawal is negative, `reference` is its own name for it."""

    kind: PastKind
    time: datetime
    currency: str = ""
    amount: Decimal | None = None
    coin: str = ""
    side: Side | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    fee: Decimal | None = None
    simulated: bool = False
    reference: str = ""
    note: str = ""


class PastTable(BookStorage):
    """Records that were imported from other tools."""

    def known_past(self, tool: str, records: Iterable[PastRecord]) -> list[bool]:
        """Whether each record of a tool is there already."""
        with self._reading() as connection:
            known = set(connection.execute(select(past.c.key).where(past.c.tool == tool)).scalars())
        return [key in known for key, _ in _keyed(records)]

    def add_past(self, tool: str, records: Iterable[PastRecord]) -> None:
        """Write records of a tool, all or none; one that is there already is brought up to date."""
        with self._transaction(past) as connection:
            for key, record in _keyed(records):
                row = {each.name: getattr(record, each.name) for each in dataclasses.fields(record)}
                upsert_row(connection, past, {**row, "tool": tool, "key": key})

    def past(self, limit: int, since: datetime | None = None) -> tuple[tuple[str, PastRecord], ...]:
        """Records with their tool, newest first."""
        query = select(past).order_by(past.c.time.desc(), past.c.tool, past.c.key).limit(limit)
        if since:
            query = query.where(past.c.time >= since)
        with self._reading() as connection:
            return tuple((row["tool"], _record_of(row)) for row in connection.execute(query).mappings())


def _keyed(records: Iterable[PastRecord]) -> Iterable[tuple[str, PastRecord]]:
    """Each record with what it is known by: its reference, else what it says and how often that was said before.

    Minute and whole units are enough, so that what a tool rounded later on is still the same record.
    """
    seen: Counter[str] = Counter()
    for record in records:
        said = (
            (record.reference,)
            if record.reference
            else (
                f"{record.time:%Y%m%d%H%M}",
                f"{int(record.amount or Decimal(0))}",
                record.coin,
                record.side or "",
            )
        )
        key = "|".join((record.kind, *said))
        seen[key] += 1
        yield f"{key}|{seen[key]}", record


def _record_of(row: RowMapping) -> PastRecord:
    kept = {key: value for key, value in row.items() if key not in {"tool", "key"}}
    kept |= {"kind": PastKind(row["kind"]), "side": Side(row["side"]) if row["side"] else None}
    return PastRecord(**kept)
