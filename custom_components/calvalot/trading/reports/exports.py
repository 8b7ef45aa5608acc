"""Answers an export out of a ledger."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ..ledger.ledger import Ledger
from ..ledger.records import BookedFill
from ..responses import Json, text
from .form_2086 import Start, worksheet
from .formats import FORMATS
from .gains import gains
from .movements import movements

GAINS = "gains"
FORM_2086 = "form_2086"
EXPORTS = (*FORMATS, GAINS, FORM_2086)


def export(ledger: Ledger, wanted: str, year: int | None, start: Start, values: Mapping[str, Decimal]) -> Json:
    """A file as name and content, gains by year, or the worksheet of a year; synchronous. Raises LedgerError."""
    fills = _of_year(ledger, year) if year is not None and wanted in FORMATS else ledger.fills_since()
    if wanted == FORM_2086 and year is not None:
        return worksheet(fills, ledger.quote, year, start, values)
    flows = sorted(ledger.flows(None), key=lambda flow: flow.seq)
    if wanted == GAINS:
        found, _ = gains(fills, [flow for flow in flows if flow.coin], ledger.quote)
        return {
            "quote": ledger.quote,
            "years": [
                {"year": of, "sold": text(gain.sold), "fifo": text(gain.fifo), "average": text(gain.average)}
                for of, gain in sorted(found.items())
                if year in {None, of}
            ],
        }
    rows = movements(fills, flows, ledger.quote, year)
    ending = "json" if wanted == "json" else "csv"
    return {
        "name": f"calvalot-{wanted}-{ledger.mode}-{year or 'all'}.{ending}",
        "content": FORMATS[wanted](rows),
        "rows": len(rows),
    }


def _of_year(ledger: Ledger, year: int) -> Sequence[BookedFill]:
    """Fills of the orders of a year, and of a day around it: an answer may be a moment away from its fills."""
    day = timedelta(days=1)
    return ledger.fills_between(datetime(year, 1, 1, tzinfo=UTC) - day, datetime(year + 1, 1, 1, tzinfo=UTC) + day)
