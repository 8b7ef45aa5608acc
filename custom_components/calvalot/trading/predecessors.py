"""Reads what the predecessors wrote down: values, money in and out, trades, signals.

Schemas as published: `snapshots.json`, `cashflows.json` and `portfolio.db` of github.com/billygrosmollets/dashboard_crypto
(performance_tracker.py, backend/db/models.py), `rebalancer.db` of github.com/Jailtonfonseca/rebalanceamento-binance
(src/app/db/models.py, src/app/services/models.py), `calvalot.db` of github.com/AlexandreFrancony/Calv-a-lot (app/db.py).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
import json
from pathlib import Path
import shutil
import sqlite3
from tempfile import TemporaryDirectory
from typing import Any

from .exchanges.base import Side
from .ledger.past import PastKind, PastRecord

type Row = Mapping[str, Any]
type Convert = Callable[[Row], Iterator[PastRecord]]

MAX_SIZE = 50_000_000
_LARGEST = Decimal("1e15")


class UnknownHistory(Exception):
    """The file is of none of the tools that can be read."""


class _Unreadable(Exception):
    """A row cannot be read; the text says why."""


@dataclass(slots=True)
class History:
    """What a file holds: its tool, records, where and why a row could not be read, and rows by table that are no history."""

    tool: str
    records: list[PastRecord] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def read(self, where: str, row: Any, convert: Convert) -> None:
        """Take a row in, all that it says or nothing."""
        try:
            self.records += list(convert(row))
        except _Unreadable as err:
            self.unreadable.append((where, str(err)))


def read(path: Path, zone: tzinfo) -> History:
    """Read a file; times that name no zone are in `zone` where the tool wrote local time. Raises UnknownHistory, OSError."""
    if path.stat().st_size > MAX_SIZE:
        raise UnknownHistory
    with path.open("rb") as file:
        is_database = file.read(16) == b"SQLite format 3\0"
    return _database(path, zone) if is_database else _json(path, zone)


def _json(path: Path, zone: tzinfo) -> History:
    try:
        rows = json.loads(path.read_bytes(), parse_float=Decimal)
    except (ValueError, RecursionError) as err:
        raise UnknownHistory from err
    if not isinstance(rows, list) or not any(
        isinstance(row, dict) and row.keys() & {"total_value_usd", "amount_usd"} for row in rows
    ):
        raise UnknownHistory
    history = History("portfolio_manager")

    def convert(row: Any) -> Iterator[PastRecord]:
        if not isinstance(row, dict):
            raise _Unreadable("no object")
        yield _flow(row, zone) if "amount_usd" in row else _value(row, zone)

    for number, row in enumerate(rows, 1):
        history.read(f"{number}", row, convert)
    return history


def _database(path: Path, zone: tzinfo) -> History:
    """A copy is opened, with what its log still holds: the owner's file stays as it is."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        shutil.copyfile(path, copy)
        if (log := path.with_name(f"{path.name}-wal")).exists():
            shutil.copyfile(log, f"{copy}-wal")
        try:
            with closing(sqlite3.connect(copy)) as connection:
                return _tables(connection, zone)
        except sqlite3.Error as err:
            raise UnknownHistory from err


def _tables(connection: sqlite3.Connection, zone: tzinfo) -> History:
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: text.decode(errors="replace")
    names = {
        row[0]
        for row in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
        )
    }

    def value(row: Row) -> Iterator[PastRecord]:
        yield _value(row, zone)

    def flow(row: Row) -> Iterator[PastRecord]:
        yield _flow(row, zone)

    tools: dict[str, dict[str, Convert]] = {
        "portfolio_manager": {
            "snapshots" if "snapshots" in names else "portfolio_snapshots": value,
            "cash_flows": flow,
        },
        "rebalancing_bot": {"rebalance_runs": _run},
        "calvalot": {
            "budget": _budget,
            "budget_snapshots": _budget_snapshot,
            "trades": _trade,
            "signals": _signal,
            "withdrawals": _withdrawal,
        },
    }
    tool = next((tool for tool, tables in tools.items() if tables.keys() <= names), None)
    if tool is None:
        raise UnknownHistory
    tables = tools[tool]
    history = History(tool)
    for name in sorted(names):
        for number, row in enumerate(connection.execute(f'SELECT * FROM "{name.replace('"', '""')}"'), 1):  # noqa: S608
            if name in tables:
                history.read(f"{name} {number}", dict(row), tables[name])
            else:
                history.left_out[name] += 1
    return history


# The portfolio manager: times without a zone as text are local ones, as numbers (YYYYMMDDHHmm) UTC.


def _value(row: Row, zone: tzinfo) -> PastRecord:
    return PastRecord(
        kind=PastKind.VALUE,
        time=_time(row.get("timestamp"), zone),
        currency="USD",
        amount=_number(row.get("total_value_usd")),
    )


def _flow(row: Row, zone: tzinfo) -> PastRecord:
    amount = _number(row.get("amount_usd"))
    if not amount or row.get("type") != ("DEPOSIT" if amount > 0 else "WITHDRAW"):
        raise _Unreadable("type and amount contradict each other")
    return PastRecord(
        kind=PastKind.CASH_FLOW,
        time=_time(row.get("timestamp"), zone),
        currency="USD",
        amount=amount,
        note=_text(row.get("description")),
    )


# The bot: a run has a value, its trades and fees.


def _run(row: Row) -> Iterator[PastRecord]:
    time, run, simulated = _time(row.get("timestamp")), _text(row.get("run_id")), bool(row.get("is_dry_run"))
    note = _text(row.get("summary_message"))
    if not run:
        raise _Unreadable("no run_id")
    after = row.get("total_value_usd_after")
    value = row.get("total_value_usd_before") if after is None else after
    if value is not None:
        yield PastRecord(
            kind=PastKind.VALUE, time=time, currency="USD", amount=_number(value), simulated=simulated, note=note
        )
    if fees := _number(row.get("total_fees_usd") or 0):
        yield PastRecord(kind=PastKind.FEE, time=time, currency="USD", amount=fees, simulated=simulated, reference=run)
    try:
        trades = json.loads(row.get("trades_executed") or "[]", parse_float=Decimal) or []
    except (TypeError, ValueError, RecursionError) as err:
        raise _Unreadable("trades are no JSON") from err
    if not isinstance(trades, list):
        raise _Unreadable("trades are no list")
    for number, trade in enumerate(trades):
        if not isinstance(trade, dict):
            raise _Unreadable("a trade is no object")
        in_base = "estimated_value_base" in trade
        yield PastRecord(
            kind=PastKind.TRADE,
            time=time,
            currency=_text(row.get("base_pair")) or "USD" if in_base else "USD",
            amount=_number(trade.get("estimated_value_base" if in_base else "estimated_value_usd")),
            coin=_text(trade.get("asset")),
            side=_side(trade.get("side")),
            quantity=_number(trade.get("quantity")),
            simulated=simulated,
            reference=f"{run} {number}",
        )


# The first Calv-a-lot: times are UTC.


def _budget(row: Row) -> Iterator[PastRecord]:
    """Money that was paid in: the beginning, and all that came later as one sum, as there is no more of it."""
    begun = _time(row.get("created_at"))
    initial = _number(row.get("initial_total_eur"))
    later = _number(row.get("total_deposited_eur") or initial) - initial
    reference = f"budget {row.get('id')} {begun.isoformat()}"
    yield PastRecord(kind=PastKind.CASH_FLOW, time=begun, currency="EUR", amount=initial, reference=reference)
    if later:
        yield PastRecord(
            kind=PastKind.CASH_FLOW,
            time=_time(row.get("updated_at")),
            currency="EUR",
            amount=later,
            reference=f"{reference} later",
        )


def _budget_snapshot(row: Row) -> Iterator[PastRecord]:
    yield PastRecord(
        kind=PastKind.VALUE,
        time=_time(row.get("created_at")),
        currency="EUR",
        amount=_number(row.get("total_value_eur")),
    )


def _trade(row: Row) -> Iterator[PastRecord]:
    yield PastRecord(
        kind=PastKind.TRADE,
        time=_time(row.get("created_at")),
        currency="USDT",
        amount=_number(row.get("amount_usdt")),
        coin=_text(row.get("coin")),
        side=_side(row.get("action")),
        quantity=_number(row.get("quantity")),
        price=_number(row.get("price")),
        fee=_number(row.get("fee_usdt") or 0),
        simulated=bool(row.get("is_simulated")),
        note=_text(row.get("signal_id")),
    )


def _signal(row: Row) -> Iterator[PastRecord]:
    if not (signal_id := _text(row.get("signal_id"))):
        raise _Unreadable("no signal_id")
    yield PastRecord(
        kind=PastKind.SIGNAL,
        time=_time(row.get("received_at")),
        reference=signal_id,
        note=": ".join(text for key in ("status", "reasoning") if (text := _text(row.get(key)))),
    )


def _withdrawal(row: Row) -> Iterator[PastRecord]:
    """What was received in EUR, and as a quantity the quote that was sold for it."""
    yield PastRecord(
        kind=PastKind.CASH_FLOW,
        time=_time(row.get("created_at")),
        currency="EUR",
        amount=-_number(row.get("amount_eur_received")),
        coin="USDC",
        quantity=_number(row.get("amount_usdt_sold")),
        simulated=bool(row.get("is_simulated")),
        note=_text(row.get("status")),
    )


# Values


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _Unreadable("a number is missing")
    number = Decimal(str(value))
    if not number.is_finite() or abs(number) > _LARGEST:
        raise _Unreadable("a number is out of range")
    return number


def _time(value: Any, zone: tzinfo = UTC) -> datetime:
    try:
        if isinstance(value, int):
            return datetime.strptime(f"{value}", "%Y%m%d%H%M").replace(tzinfo=UTC)
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as err:
        raise _Unreadable("a time is missing") from err


def _side(value: Any) -> Side:
    try:
        return Side(value)
    except ValueError as err:
        raise _Unreadable("neither BUY nor SELL") from err


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:500]
