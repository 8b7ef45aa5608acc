"""Alerts from outside: each written down before it is answered, with what became of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, delete, func, select, update

from ..alert import AlertRecord, AlertState, wants_of, wants_text
from .book import BookStorage, columns
from .storage import insert_row, remembered
from .tables import alerts

# How many may wait; what comes beyond is sent again.
MAX_WAITING = 2000
# How long a text that names its time or an id is the same alert, and one that does not.
UNIQUE = timedelta(days=7)
UNIQUE_WITHOUT_NAME = timedelta(seconds=60)
# How long what became of an alert is kept.
KEPT = timedelta(days=90)
WAITING = (AlertState.WAITING, AlertState.AGAIN)

_SETTLE = update(alerts).where(alerts.c.seq == bindparam("known"))


class AlertTable(BookStorage):
    """Alerts of one mode, whichever book is in use."""

    def add_alerts(self, records: Sequence[tuple[AlertRecord, bool]]) -> list[AlertRecord | None]:
        """Write alerts down in one commit, each with whether its text names its time or an id.

        Returns each as it is written, one that is known already with how often it came again; None where too many wait.
        """
        written: list[AlertRecord | None] = []
        with self._transaction(alerts) as connection:
            room = (
                MAX_WAITING
                - connection.execute(select(func.count()).select_from(alerts).where(self._waiting)).scalar_one()
            )
            for record, is_named in records:
                if known := self._repeated(connection, record, is_named):
                    written.append(known)
                    continue
                waits = record.state is AlertState.WAITING
                if waits and room <= 0:
                    written.append(None)
                    continue
                room -= waits
                written.append(self._insert(connection, record))
            oldest = max(record.received_at for record, _ in records) - KEPT
            past = and_(alerts.c.mode == self.mode, alerts.c.state.not_in(WAITING), alerts.c.received_at < oldest)
            connection.execute(delete(alerts).where(past))
        return written

    @remembered(alerts)
    def waiting_alerts(self, source: str) -> tuple[AlertRecord, ...]:
        """Alerts of a source of which nothing has become yet, oldest first."""
        return self._alerts(and_(alerts.c.source == source, self._waiting))

    def alerts_in(self, source: str, signal_id: str) -> tuple[AlertRecord, ...]:
        """Alerts of a source that are in one of its signals."""
        return self._alerts(and_(alerts.c.source == source, alerts.c.signal_id == signal_id))

    @remembered(alerts)
    def last_alerts(self, source: str, count: int) -> tuple[AlertRecord, ...]:
        """The alerts of a source that came last, oldest first."""
        newest = select(alerts.c.seq).where(alerts.c.mode == self.mode, alerts.c.source == source)
        return self._alerts(alerts.c.seq.in_(newest.order_by(alerts.c.seq.desc()).limit(count)))

    def alerts(
        self, limit: int = 100, since: datetime | None = None, before: int | None = None
    ) -> tuple[AlertRecord, ...]:
        """Alerts since a time and before a seq, newest first."""
        query = select(alerts).where(alerts.c.mode == self.mode).order_by(alerts.c.seq.desc()).limit(limit)
        if since:
            query = query.where(alerts.c.received_at >= since)
        if before is not None:
            query = query.where(alerts.c.seq < before)
        with self._reading() as connection:
            return tuple(_record_of(row) for row in connection.execute(query).mappings())

    def settle_alerts(self, records: Sequence[AlertRecord]) -> None:
        """Write what became of alerts that are written down: their state, reason and signal."""
        with self._transaction(alerts) as connection:
            for record in records:
                values = {"state": record.state, "reason": record.reason, "signal_id": record.signal_id}
                connection.execute(_SETTLE.values(**values), {"known": record.seq})

    # Inside

    @property
    def _waiting(self) -> Any:
        return and_(alerts.c.mode == self.mode, alerts.c.state.in_(WAITING))

    def _alerts(self, condition: Any) -> tuple[AlertRecord, ...]:
        query = select(alerts).where(alerts.c.mode == self.mode, condition).order_by(alerts.c.seq)
        with self._reading() as connection:
            return tuple(_record_of(row) for row in connection.execute(query).mappings())

    def _repeated(self, connection: Connection, record: AlertRecord, is_named: bool) -> AlertRecord | None:
        """The alert that this one repeats, with one repetition more; None where it is new."""
        since = record.received_at - (UNIQUE if is_named else UNIQUE_WITHOUT_NAME)
        query = select(alerts).where(
            alerts.c.mode == self.mode,
            alerts.c.source == record.source,
            alerts.c.digest == record.digest,
            alerts.c.received_at > since,
        )
        row = connection.execute(query.limit(1)).mappings().one_or_none()
        if row is None:
            return None
        connection.execute(_SETTLE.values(repeats=alerts.c.repeats + 1), {"known": row["seq"]})
        return _record_of({**row, "repeats": row["repeats"] + 1})

    def _insert(self, connection: Connection, record: AlertRecord) -> AlertRecord:
        wants = None if record.wants is None else wants_text(record.wants)
        seq = insert_row(connection, alerts, {"mode": self.mode, **columns(record), "wants": wants})
        return _record_of({"seq": seq, "mode": self.mode, **columns(record), "wants": wants})


def _record_of(row: RowMapping | Mapping[str, Any]) -> AlertRecord:
    values = {key: value for key, value in row.items() if key != "mode"}
    wants = values["wants"]
    return AlertRecord(
        **{**values, "wants": None if wants is None else wants_of(wants), "state": AlertState(values["state"])}
    )
