"""Signals of a source as a ledger has them, for a backtest: what it wanted, when it was taken up."""

from datetime import datetime
import json

from ..ledger.ledger import Ledger
from ..ledger.records import Result, SignalRecord
from ..responses import Json
from ..wants import from_text, to_text

# Records that are read at once, and the most signals of one backtest.
PAGE = 500
MOST = 20_000
# What is said of a signal that another record stands for.
COVERED = "covered by "


def recorded(ledger: Ledger, source: str, begin: datetime, end: datetime) -> list[Json]:
    """Rows of `{"kind": "signals"}`, oldest first, of what a source said from a time to before another (UTC); synchronous.

    Signals that were refused or covered by another one, and what the portfolio traded without the source, are left out.
    Raises LedgerError.
    """
    found: list[Json] = []
    before: int | None = None
    while records := ledger.signals(PAGE, begin, before):
        found += [_row(record) for record in records if record.seen_at < end and _is_said_by(record, source)]
        before = records[-1].seq
        if len(found) >= MOST:
            break
    return found[::-1]


def _is_said_by(record: SignalRecord, source: str) -> bool:
    said = record.source == source and not record.kind.is_own and record.wants is not None
    return said and record.result is not Result.REJECTED and not record.reason.startswith(COVERED)


def _row(record: SignalRecord) -> Json:
    assert record.wants is not None  # noqa: S101  # others are left out
    return {
        "time": int(record.seen_at.timestamp()),
        "wants": json.loads(to_text(record.wants)),
        "reason": record.reasoning,
    }


def coins_of(rows: list[Json]) -> tuple[str, ...]:
    """The coins that signals name, in alphabetical order."""
    return tuple(sorted({coin for row in rows for coin in from_text(json.dumps(row["wants"])).coins}))
