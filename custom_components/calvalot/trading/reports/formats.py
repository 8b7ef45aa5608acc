"""The files that tax programs import. Koinly and CoinTracking as they describe them; Blockpit and Waltio as public code reads them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import csv
from datetime import UTC
from io import StringIO
import json

from ..decimals import decimal_text
from .movements import Amount, Movement

EXCHANGE = "Binance"


def koinly(rows: Iterable[Movement]) -> str:
    """Koinly's own format: gross amounts, the fee on top; a second fee is a cost of its own."""
    table = [
        [
            "Date",
            "Sent Amount",
            "Sent Currency",
            "Received Amount",
            "Received Currency",
            "Fee Amount",
            "Fee Currency",
            "Net Worth Amount",
            "Net Worth Currency",
            "Label",
            "Description",
            "TxHash",
        ]
    ]
    for row in rows:
        date = f"{row.time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        table.append(
            [date, *_pair(row.sent), *_pair(row.received), *_pair(_first(row.fees)), "", "", "", row.note, row.id]
        )
        table += [[date, *_pair(fee), "", "", "", "", "", "", "cost", row.note, row.id] for fee in row.fees[1:]]
    return _csv(table)


def cointracking(rows: Iterable[Movement]) -> str:
    """CoinTracking's CSV import: amounts include a fee in the same coin; one in a third coin is a row of its own."""
    table = [
        [
            "Type",
            "Buy Amount",
            "Buy Currency",
            "Sell Amount",
            "Sell Currency",
            "Fee",
            "Fee Currency",
            "Exchange",
            "Trade-Group",
            "Comment",
            "Date",
        ]
    ]
    for row in rows:
        date = f"{row.time.astimezone(UTC):%d.%m.%Y %H:%M:%S}"
        own = [fee for fee in row.fees if fee[1] in row.assets]
        table.append(
            [
                _kind(row, "Trade", "Deposit", "Withdrawal"),
                *_pair(row.received and (row.received[0] - row.fee_in(row.received[1]), row.received[1])),
                *_pair(row.sent and (row.sent[0] + row.fee_in(row.sent[1]), row.sent[1])),
                *_pair(_first(own)),
                *(EXCHANGE, "", row.note or row.id, date),
            ]
        )
        table += [
            ["Other Fee", "", "", *_pair(fee), "", "", EXCHANGE, "", row.id, date]
            for fee in row.fees
            if fee[1] not in row.assets
        ]
    return _csv(table, quoted=True)


def blockpit(rows: Iterable[Movement]) -> str:
    """Blockpit's import sheet."""
    table = [
        [
            "Date (UTC)",
            "Integration Name",
            "Label",
            "Outgoing Asset",
            "Outgoing Amount",
            "Incoming Asset",
            "Incoming Amount",
            "Fee Asset (optional)",
            "Fee Amount (optional)",
            "Comment (optional)",
            "Trx. ID (optional)",
        ]
    ]
    for row in rows:
        date = f"{row.time.astimezone(UTC):%d.%m.%Y %H:%M:%S}"
        label = _kind(row, "Trade", "Deposit", "Withdrawal")
        amounts = [*_asset_first(row.sent), *_asset_first(row.received), *_asset_first(_first(row.fees))]
        table.append([date, EXCHANGE, label, *amounts, row.note, row.id])
        table += [
            [date, EXCHANGE, "Fee", *_asset_first(fee), "", "", "", "", row.note, f"{row.id}-fee"]
            for fee in row.fees[1:]
        ]
    return _csv(table)


def waltio(rows: Iterable[Movement]) -> str:
    """Waltio's import sheet: what is sent and received without its fee."""
    table = [
        [
            "Type",
            "Date",
            "Fuseau horaire",
            "Montant reçu",
            "Monnaie ou jeton reçu",
            "Montant envoyé",
            "Monnaie ou jeton envoyé",
            "Frais",
            "Monnaie ou jeton des frais",
            "Exchange / Plateforme",
            "Description",
            "Label",
        ]
    ]
    for row in rows:
        date = f"{row.time.astimezone(UTC):%d/%m/%Y %H:%M:%S}"
        kind = _kind(row, "Échange", "Dépôt", "Retrait")
        amounts = [*_pair(row.received), *_pair(row.sent), *_pair(_first(row.fees))]
        table.append([kind, date, "GMT", *amounts, EXCHANGE, row.note or row.id, ""])
        table += [
            ["Retrait", date, "GMT", "", "", *_pair(fee), "", "", EXCHANGE, row.id, "Frais"] for fee in row.fees[1:]
        ]
    return _csv(table)


def generic_csv(rows: Iterable[Movement]) -> str:
    """A row for each movement, one more for each further fee, times in ISO 8601."""
    table = [
        [
            "time",
            "type",
            "received_amount",
            "received_asset",
            "sent_amount",
            "sent_asset",
            "fee_amount",
            "fee_asset",
            "note",
            "id",
        ]
    ]
    for row in rows:
        time = row.time.astimezone(UTC).isoformat()
        kind = _kind(row, "trade", "deposit", "withdrawal")
        amounts = [*_pair(row.received), *_pair(row.sent), *_pair(_first(row.fees))]
        table.append([time, kind, *amounts, row.note, row.id])
        table += [[time, "fee", "", "", "", "", *_pair(fee), "", row.id] for fee in row.fees[1:]]
    return _csv(table)


def generic_json(rows: Iterable[Movement]) -> str:
    """The same as JSON."""
    return json.dumps(
        [
            {
                "id": row.id,
                "time": row.time.astimezone(UTC).isoformat(),
                "type": _kind(row, "trade", "deposit", "withdrawal"),
                "received": row.received and _named(row.received),
                "sent": row.sent and _named(row.sent),
                "fees": [_named(fee) for fee in row.fees],
                "note": row.note,
            }
            for row in rows
        ],
        ensure_ascii=False,
        indent=1,
    )


FORMATS: Mapping[str, Callable[[Iterable[Movement]], str]] = {
    "koinly": koinly,
    "cointracking": cointracking,
    "blockpit": blockpit,
    "waltio": waltio,
    "csv": generic_csv,
    "json": generic_json,
}


def _kind(row: Movement, trade: str, deposit: str, withdrawal: str) -> str:
    if row.received and row.sent:
        return trade
    return deposit if row.received else withdrawal


def _pair(amount: Amount | None) -> tuple[str, str]:
    return (decimal_text(amount[0]), amount[1]) if amount else ("", "")


def _asset_first(amount: Amount | None) -> tuple[str, str]:
    return (amount[1], decimal_text(amount[0])) if amount else ("", "")


def _named(amount: Amount) -> dict[str, str]:
    return {"amount": decimal_text(amount[0]), "asset": amount[1]}


def _first(fees: Sequence[Amount]) -> Amount | None:
    return next(iter(fees), None)


def _csv(table: Iterable[Sequence[str]], *, quoted: bool = False) -> str:
    """Rows as CSV, each cell in quotes where `quoted`; a note that a spreadsheet would take for a formula is told as text."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerows([f"'{cell}" if cell[:1] in {"=", "+", "-", "@"} else cell for cell in row] for row in table)
    return file.getvalue()
