"""Answers an export out of a ledger: a file a piece at a time, gains by year, the worksheet of a year."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import batched, count

from ..ledger.ledger import Ledger
from ..ledger.records import BookedFill
from ..responses import Json, text
from ..statistics.gains import Gain
from .form_2086 import EURO, Start, worksheet
from .formats import FORMATS
from .movements import Movement, movements

GAINS = "gains"
FORM_2086 = "form_2086"
EXPORTS = (*FORMATS, GAINS, FORM_2086)
DAY = timedelta(days=1)
# So many orders are read at once: the memory of an export does not grow with the ledger.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class File:
    """A file: its name, and its content a piece at a time, which is read from the ledger as it is asked for."""

    name: str
    pieces: Iterator[str]


def file(ledger: Ledger, exchange: str, wanted: str, year: int | None) -> File:
    """A file of a year (UTC) or of all; its pieces are read synchronously. Raises LedgerError, as its pieces do."""
    return _file(ledger, wanted, year, moved(ledger, exchange, year))


def whole(ledger: Ledger, exchange: str, wanted: str, year: int | None) -> Json:
    """The same at once; synchronous. Raises LedgerError."""
    counter = count()
    rows = zip(moved(ledger, exchange, year), counter, strict=False)
    found = _file(ledger, wanted, year, (row for row, _ in rows))
    return {"name": found.name, "content": "".join(found.pieces), "rows": next(counter)}


def moved(ledger: Ledger, exchange: str, year: int | None) -> Iterator[Movement]:
    """What came and went in a year (UTC) or ever, oldest first, money to and from an exchange. Raises LedgerError."""
    flows = [flow for flow in reversed(ledger.flows(None)) if year in {None, flow.time.year}]
    span = (datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)) if year is not None else ()
    return movements(_orders(ledger, ledger.filled_orders(*span)), flows, ledger.quote, exchange)


def gains_told(gains: Mapping[int, Gain], quote: str, year: int | None) -> Json:
    """Gains by year, of one or of all."""
    return {
        "quote": quote,
        "years": [
            {"year": of, "sold": text(gain.sold), "fifo": text(gain.fifo), "average": text(gain.average)}
            for of, gain in sorted(gains.items())
            if year in {None, of}
        ],
    }


def form(ledger: Ledger, year: int, start: Start, values: Mapping[str, Decimal]) -> Json:
    """The worksheet of a year. Raises LedgerError."""
    begin, end = datetime(year, 1, 1, tzinfo=UTC) - DAY, datetime(year + 1, 1, 1, tzinfo=UTC) + DAY
    # An answer may be a moment away from its fills: those of the year are sorted out there.
    fills = ledger.fills_between(begin, end) if ledger.quote == EURO else ()
    return worksheet(fills, ledger.quote, year, start, values)


def _file(ledger: Ledger, wanted: str, year: int | None, rows: Iterator[Movement]) -> File:
    ending = "json" if wanted == "json" else "csv"
    return File(f"calvalot-{wanted}-{ledger.mode}-{year or 'all'}.{ending}", FORMATS[wanted](rows))


def _orders(ledger: Ledger, seqs: Sequence[int]) -> Iterator[list[BookedFill]]:
    """The fills of each order."""
    for part in batched(seqs, AT_ONCE, strict=False):
        found: dict[int, list[BookedFill]] = {seq: [] for seq in part}
        for each in ledger.fills_of(part):
            found[each.order_seq].append(each)
        yield from found.values()
