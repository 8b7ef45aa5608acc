"""What was to be traded, who said it, and what became of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
import json
from typing import Any

from sqlalchemy import RowMapping, Text, and_, bindparam, delete, func, select, type_coerce, union_all, update

from ..signal import Kind, SignalKey
from .book import BookStorage, columns, without_key
from .records import Result, SignalRecord
from .storage import insert_row, remembered, upsert_row
from .tables import facts, sights, signals

_UPDATE_SIGNAL = update(signals).where(signals.c.seq == bindparam("known"))
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
        return next(
            iter(self._signals(and_(signals.c.source == key.source, signals.c.signal_id == key.signal_id))), None
        )

    @remembered(signals)
    def open_signals(self, *results: Result) -> tuple[SignalRecord, ...]:
        """Signals with one of these results, without any those of which something can still be placed; oldest first."""
        return self._signals(signals.c.result.in_(results or (Result.OPEN,)))

    @remembered(signals)
    def newest_of(self, source: str) -> SignalRecord | None:
        """The signal of a source that was taken up last."""
        query = self._by_age(select(signals), signals).where(signals.c.source == source).limit(1)
        with self._reading() as connection:
            return next((signal_of(row) for row in connection.execute(query).mappings()), None)

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

    def _signals(self, condition: Any) -> tuple[SignalRecord, ...]:
        with self._reading() as connection:
            rows = connection.execute(select(signals).where(self._own(signals), condition).order_by(signals.c.seq))
            return tuple(signal_of(row) for row in rows.mappings())


def signal_of(row: RowMapping) -> SignalRecord:
    left_out = tuple((symbol, side, reason) for symbol, side, reason in json.loads(row["left_out"]))
    return SignalRecord(
        **{**without_key(row), "kind": Kind(row["kind"]), "result": Result(row["result"]), "left_out": left_out}
    )
