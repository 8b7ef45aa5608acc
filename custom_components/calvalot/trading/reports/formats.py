"""The files that tax programs import, a piece of text at a time.

Koinly and CoinTracking as they describe them; Blockpit and Waltio as public code reads them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import csv
from datetime import UTC
from functools import partial
from io import StringIO
from itertools import batched, chain
import json

from ..decimals import decimal_text
from .movements import Amount, Movement

# So many rows are one piece of text.
ROWS = 500

type Row = Sequence[str]

KOINLY = (
    *("Date", "Sent Amount", "Sent Currency", "Received Amount", "Received Currency", "Fee Amount", "Fee Currency"),
    *("Net Worth Amount", "Net Worth Currency", "Label", "Description", "TxHash"),
)
COINTRACKING = (
    *("Type", "Buy Amount", "Buy Currency", "Sell Amount", "Sell Currency", "Fee", "Fee Currency"),
    *("Exchange", "Trade-Group", "Comment", "Date"),
)
BLOCKPIT = (
    *("Date (UTC)", "Integration Name", "Label", "Outgoing Asset", "Outgoing Amount", "Incoming Asset"),
    *("Incoming Amount", "Fee Asset (optional)", "Fee Amount (optional)", "Comment (optional)", "Trx. ID (optional)"),
)
WALTIO = (
    *("Type", "Date", "Fuseau horaire", "Montant reçu", "Monnaie ou jeton reçu", "Montant envoyé"),
    *("Monnaie ou jeton envoyé", "Frais", "Monnaie ou jeton des frais", "Exchange / Plateforme"),
    *("Description", "Label"),
)
GENERIC = (
    *("time", "type", "received_amount", "received_asset", "sent_amount", "sent_asset", "fee_amount", "fee_asset"),
    *("note", "id"),
)


def koinly(row: Movement) -> Iterator[Row]:
    """Koinly's own format: gross amounts, the fee on top; a second fee is a cost of its own."""
    date, note = f"{row.time.astimezone(UTC):%Y-%m-%d %H:%M} UTC", _note(row)
    yield date, *_pair(row.sent), *_pair(row.received), *_pair(_first(row.fees)), "", "", "", note, row.id
    for fee in row.fees[1:]:
        yield date, *_pair(fee), "", "", "", "", "", "", "cost", note, row.id


def cointracking(row: Movement) -> Iterator[Row]:
    """CoinTracking's CSV import: amounts include a fee in the same coin; one in a third coin is a row of its own."""
    date = f"{row.time.astimezone(UTC):%d.%m.%Y %H:%M:%S}"
    yield (
        _kind(row, "Trade", "Deposit", "Withdrawal"),
        *_pair(row.received and (row.received[0] - row.fee_in(row.received[1]), row.received[1])),
        *_pair(row.sent and (row.sent[0] + row.fee_in(row.sent[1]), row.sent[1])),
        *_pair(_first([fee for fee in row.fees if fee[1] in row.assets])),
        *(row.exchange, "", _note(row) or row.id, date),
    )
    for fee in row.fees:
        if fee[1] not in row.assets:
            yield "Other Fee", "", "", *_pair(fee), "", "", row.exchange, "", row.id, date


def blockpit(row: Movement) -> Iterator[Row]:
    """Blockpit's import sheet."""
    date, note = f"{row.time.astimezone(UTC):%d.%m.%Y %H:%M:%S}", _note(row)
    amounts = (*_asset_first(row.sent), *_asset_first(row.received), *_asset_first(_first(row.fees)))
    yield date, row.exchange, _kind(row, "Trade", "Deposit", "Withdrawal"), *amounts, note, row.id
    for fee in row.fees[1:]:
        yield date, row.exchange, "Fee", *_asset_first(fee), "", "", "", "", note, f"{row.id}-fee"


def waltio(row: Movement) -> Iterator[Row]:
    """Waltio's import sheet: what is sent and received without its fee."""
    date = f"{row.time.astimezone(UTC):%d/%m/%Y %H:%M:%S}"
    amounts = (*_pair(row.received), *_pair(row.sent), *_pair(_first(row.fees)))
    yield _kind(row, "Échange", "Dépôt", "Retrait"), date, "GMT", *amounts, row.exchange, _note(row) or row.id, ""
    for fee in row.fees[1:]:
        yield "Retrait", date, "GMT", "", "", *_pair(fee), "", "", row.exchange, row.id, "Frais"


def generic(row: Movement) -> Iterator[Row]:
    """A row for each movement, one more for each further fee, times in ISO 8601."""
    time = row.time.astimezone(UTC).isoformat()
    amounts = (*_pair(row.received), *_pair(row.sent), *_pair(_first(row.fees)))
    yield time, _kind(row, "trade", "deposit", "withdrawal"), *amounts, _note(row), row.id
    for fee in row.fees[1:]:
        yield time, "fee", "", "", "", "", *_pair(fee), "", row.id


def as_csv(
    head: Row, rows_of: Callable[[Movement], Iterator[Row]], quoted: bool, rows: Iterable[Movement]
) -> Iterator[str]:
    """Rows as CSV under a head, each cell in quotes where `quoted`."""
    table = chain([head], chain.from_iterable(map(rows_of, rows)))
    for part in batched(table, ROWS, strict=False):
        file = StringIO()
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
        writer.writerows(part)
        yield file.getvalue()


def as_json(rows: Iterable[Movement]) -> Iterator[str]:
    """The same as the generic CSV as JSON, a row on a line."""
    before = "["
    for row in rows:
        known = {
            "id": row.id,
            "time": row.time.astimezone(UTC).isoformat(),
            "type": _kind(row, "trade", "deposit", "withdrawal"),
            "received": row.received and _named(row.received),
            "sent": row.sent and _named(row.sent),
            "fees": [_named(fee) for fee in row.fees],
            "note": row.note,
        }
        yield f"{before}\n{json.dumps(known, ensure_ascii=False)}"
        before = ","
    yield "[]" if before == "[" else "\n]"


FORMATS: Mapping[str, Callable[[Iterable[Movement]], Iterator[str]]] = {
    "koinly": partial(as_csv, KOINLY, koinly, False),
    "cointracking": partial(as_csv, COINTRACKING, cointracking, True),
    "blockpit": partial(as_csv, BLOCKPIT, blockpit, False),
    "waltio": partial(as_csv, WALTIO, waltio, False),
    "csv": partial(as_csv, GENERIC, generic, False),
    "json": as_json,
}


def _kind(row: Movement, trade: str, deposit: str, withdrawal: str) -> str:
    if row.received and row.sent:
        return trade
    return deposit if row.received else withdrawal


def _note(row: Movement) -> str:
    """What its owner wrote; what a spreadsheet would take for a formula is told as text."""
    return f"'{row.note}" if row.note[:1] in {"=", "+", "-", "@"} else row.note


def _pair(amount: Amount | None) -> tuple[str, str]:
    return (decimal_text(amount[0]), amount[1]) if amount else ("", "")


def _asset_first(amount: Amount | None) -> tuple[str, str]:
    return (amount[1], decimal_text(amount[0])) if amount else ("", "")


def _named(amount: Amount) -> dict[str, str]:
    return {"amount": decimal_text(amount[0]), "asset": amount[1]}


def _first(fees: Sequence[Amount]) -> Amount | None:
    return next(iter(fees), None)
