"""What was to be traded, who said it, and what became of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
import json
from typing import Any

from sqlalchemy import RowMapping, Select, Text, bindparam, delete, func, or_, select, type_coerce, union_all, update

from ..signal import Kind, SignalKey
from .book import BookStorage, columns, lying, of_book, without_key
from .records import Result, SignalRecord
from .storage import insert_row, remembered, upsert_row
from .tables import facts, sights, signals

_UPDATE_SIGNAL = update(signals).where(signals.c.seq == bindparam("known"))
_NAMED = select(signals).where(
    of_book(signals), signals.c.source == bindparam("source"), signals.c.signal_id == bindparam("signal_id")
)
_NEWEST_OF = (
    select(signals)
    .where(lying(signals), signals.c.source == bindparam("source"))
    .order_by(signals.c.seq.desc())
    .limit(1)
)
_SIGHT = union_all(
    *(
        select(table.c.seen_at).where(
            table.c.source == bindparam("source"), table.c.signal_id == bindparam("signal_id")
        )
        for table in (signals, sights)
    )
)
# Signals whose first sight is kept.
SIGHTS = 1000


class SignalTable(BookStorage):
    """Signals of a book, and when each was first seen in any."""

    def write_signal(self, record: SignalRecord, remember: Mapping[str, str | None] | None = None) -> SignalRecord:
        """Write a signal for the first time, or what became of it since; with it, facts to be remembered or forgotten (None)."""
        row = {**self._key, **columns(record), "left_out": json.dumps(record.left_out)}
        with self._transaction(*((signals, facts) if remember else (signals,))) as connection:
            self._write_facts(connection, remember or {})
            if record.seq:
                connection.execute(_UPDATE_SIGNAL, {**row, "known": record.seq})
                return record
            return replace(record, seq=insert_row(connection, signals, row))

    @remembered(signals)
    def signal(self, key: SignalKey) -> SignalRecord | None:
        """The record of a signal."""
        with self._reading() as connection:
            row = connection.execute(_NAMED, {**self._key, **key._asdict()}).mappings().first()
            return signal_of(row) if row else None

    @remembered(signals)
    def open_signals(self, *results: Result) -> tuple[SignalRecord, ...]:
        """Signals with one of these results, without any those of which something can still be placed; oldest first."""
        with self._reading() as connection:
            rows = connection.execute(_with_results(results or (Result.OPEN,)), self._key)
            return tuple(signal_of(row) for row in rows.mappings())

    @remembered(signals)
    def newest_of(self, source: str) -> SignalRecord | None:
        """The signal of a source that was taken up last."""
        with self._reading() as connection:
            row = connection.execute(_NEWEST_OF, {**self._key, "source": source}).mappings().first()
            return signal_of(row) if row else None

    @remembered(signals)
    def newest_allocation(self, source: str) -> SignalRecord | None:
        """The last signal of a source that asked for an allocation and was not refused."""
        query = self._by_age(select(signals), signals).where(
            signals.c.source == source,
            signals.c.kind == Kind.SIGNAL,
            signals.c.result != Result.REJECTED,
            type_coerce(signals.c.wants, Text).startswith('{"allocation"'),
        )
        with self._reading() as connection:
            return next((signal_of(row) for row in connection.execute(query.limit(1)).mappings()), None)

    @remembered(signals, sights)
    def sight(self, key: SignalKey) -> datetime | None:
        """When a signal was first seen, in whichever book and mode."""
        with self._reading() as connection:
            return min(connection.execute(_SIGHT, key._asdict()).scalars(), default=None)

    def write_sight(self, key: SignalKey, seen_at: datetime) -> None:
        """Write down when a signal was first seen; the newest of its source are kept."""
        of_source = sights.c.source == key.source
        newest = select(sights.c.signal_id).where(of_source).order_by(sights.c.seen_at.desc()).limit(SIGHTS)
        with self._transaction(sights) as connection:
            upsert_row(connection, sights, {**key._asdict(), "seen_at": seen_at})
            connection.execute(delete(sights).where(of_source, sights.c.signal_id.not_in(newest)))

    def results(self) -> tuple[datetime | None, dict[Result, int]]:
        """When the first signal came, and how many there are of each result."""
        with self._reading() as connection:
            first: datetime | None = connection.execute(
                select(func.min(signals.c.seen_at)).where(self._own(signals))
            ).scalar_one()
            counted = connection.execute(
                select(signals.c.result, func.count()).where(self._own(signals)).group_by(signals.c.result)
            )
            return first, {Result(result): count for result, count in counted.tuples()}

    def signals(
        self, limit: int = 100, since: datetime | None = None, before: int | None = None
    ) -> tuple[SignalRecord, ...]:
        """Signals since a time and before a seq, newest first."""
        return self._newest(signals, signals.c.seen_at, limit, since, before, signal_of)

    def conversions(self, limit: int = 100, since: datetime | None = None) -> tuple[SignalRecord, ...]:
        """Conversions since a time, newest first."""
        query = self._by_age(select(signals), signals).where(signals.c.kind == Kind.CONVERSION).limit(limit)
        if since:
            query = query.where(signals.c.seen_at >= since)
        with self._reading() as connection:
            return tuple(signal_of(row) for row in connection.execute(query).mappings())


@cache
def _with_results(results: tuple[Result, ...]) -> Select[Any]:
    """Signals of a book with one of these results, oldest first."""
    wanted = or_(*(signals.c.result == result for result in results))
    return select(signals).where(of_book(signals), wanted).order_by(signals.c.seq)


def signal_of(row: RowMapping) -> SignalRecord:
    left_out = tuple((symbol, side, reason) for symbol, side, reason in json.loads(row["left_out"]))
    return SignalRecord(
        **{**without_key(row), "kind": Kind(row["kind"]), "result": Result(row["result"]), "left_out": left_out}
    )
