"""What the predecessors wrote down is read whole, taken in once, and adds up to what they showed."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
import json
from pathlib import Path
import sqlite3
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.imports import import_history
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.predecessors import MAX_SIZE
from custom_components.calvalot.trading.responses import Json, past

from .faults import full_disk

FIXTURES = Path(__file__).parent / "fixtures"
PARIS = timezone(timedelta(hours=1))
FILES = ("snapshots.json", "cashflows.json", "portfolio.sql", "rebalancer.sql", "calvalot_1.sql")


def left_by(tool: str, folder: Path, *changes: str) -> Path:
    """A file of a tool, with changes to it."""
    source = FIXTURES / tool
    path = folder / source.with_suffix(".db" if source.suffix == ".sql" else source.suffix).name
    if source.suffix == ".json":
        path.write_text(source.read_text("utf-8"), "utf-8")
        return path
    connection = sqlite3.connect(path)
    connection.executescript(source.read_text("utf-8"))
    for change in changes:
        connection.execute(change)
    connection.commit()
    connection.close()
    return path


def written(folder: Path, content: Any) -> Path:
    """A file with a text, or something as JSON."""
    path = folder / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def look(ledger: Ledger, path: Path) -> Json:
    """What a file holds."""
    return import_history(ledger, path, PARIS, dry_run=True, skip_unreadable=False)


def take_in(ledger: Ledger, path: Path, *, skip: bool = False) -> Json:
    """Take in what a file holds."""
    return import_history(ledger, path, PARIS, dry_run=False, skip_unreadable=skip)


def told(ledger: Ledger) -> list[Json]:
    """All that was imported."""
    return [past(tool, record) for tool, record in ledger.past(1000)]


@pytest.mark.parametrize(
    ("tool", "found", "left_out", "sums"),
    [
        ("snapshots.json", {"value": 2}, {}, {}),
        ("cashflows.json", {"cash_flow": 3}, {}, {"deposits": {"USD": "2000.2"}, "withdrawals": {"USD": "50.2"}}),
        (
            "portfolio.sql",
            {"value": 2, "cash_flow": 2},
            {"last_balance": 1},
            {"deposits": {"USD": "1200"}, "withdrawals": {"USD": "80"}},
        ),
        (
            "rebalancer.sql",
            {"value": 2, "trade": 3, "fee": 1},
            {},
            {
                "sold": {"USDC": "61.1"},
                "bought": {"USDC": "60.2", "USD": "60.5"},
                "fees": {"USD": "0.12", "USDC": "0"},
            },
        ),
        (
            "calvalot_1.sql",
            {"value": 2, "cash_flow": 3, "trade": 3, "signal": 2},
            {"positions": 2},
            {
                "deposits": {"EUR": "150.5"},
                "withdrawals": {"EUR": "10.01"},
                "bought": {"USDT": "70.3"},
                "sold": {"USDT": "20.3"},
                "fees": {"USDT": "0.0703"},
            },
        ),
    ],
)
def test_each_tool(
    ledger: Ledger, tmp_path: Path, tool: str, found: dict[str, int], left_out: dict[str, int], sums: dict[str, Any]
) -> None:
    """A look says what there is and changes nothing; taken in, it adds up; taken in again, nothing is new."""
    path = left_by(tool, tmp_path)
    before, book = path.read_bytes(), ledger.book()
    seen = look(ledger, path)
    assert (seen["found"], seen["new"], seen["left_out"], seen["unreadable"]) == (found, found, left_out, 0)
    assert seen["sums"] == sums
    assert told(ledger) == []

    assert take_in(ledger, path) == {**seen, "dry_run": False}
    kept = told(ledger)
    assert len(kept) == sum(found.values())
    assert take_in(ledger, path)["new"] == {}
    assert told(ledger) == kept
    assert (path.read_bytes(), ledger.book()) == (before, book)
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(path.name)) == [path.name]


def test_sums_of_the_first_calvalot(ledger: Ledger, tmp_path: Path) -> None:
    """What its own queries add up: the sum paid in, what was sold for withdrawals, what was traded."""
    path = left_by("calvalot_1.sql", tmp_path)
    take_in(ledger, path)
    kept = [record for _, record in ledger.past(1000)]
    connection = sqlite3.connect(path)
    for statement, own in (
        ("SELECT total_deposited_eur FROM budget", [r.amount for r in kept if r.kind == "cash_flow" and not r.coin]),
        (
            "SELECT SUM(amount_usdt_sold) FROM withdrawals",
            [r.quantity for r in kept if r.kind == "cash_flow" and r.coin],
        ),
        ("SELECT SUM(amount_usdt) FROM trades", [r.amount for r in kept if r.kind == "trade"]),
        ("SELECT SUM(fee_usdt) FROM trades", [r.fee for r in kept if r.kind == "trade"]),
        ("SELECT SUM(total_value_eur) FROM budget_snapshots", [r.amount for r in kept if r.kind == "value"]),
    ):
        theirs = connection.execute(statement).fetchone()[0]
        assert float(sum((each for each in own if each), Decimal(0))) == pytest.approx(theirs, abs=1e-9), statement
    connection.close()


def test_times(ledger: Ledger, tmp_path: Path) -> None:
    """Texts of the portfolio manager are local time, its numbers UTC, and so is what the others wrote."""
    for tool in FILES:
        take_in(ledger, left_by(tool, tmp_path))
    times = {(record.kind.value, record.currency, record.time) for _, record in ledger.past(1000)}
    assert ("value", "USD", datetime(2025, 11, 21, 9, 0, tzinfo=UTC)) in times
    assert ("value", "USD", datetime(2025, 12, 21, 1, 45, tzinfo=UTC)) in times
    assert ("value", "EUR", datetime(2026, 2, 3, 10, 1, tzinfo=UTC)) in times
    since = datetime(2026, 2, 3, tzinfo=UTC)
    assert [record.amount for _, record in ledger.past(1000, since)] == [
        Decimal("-10.01"),
        Decimal("151.2"),
        Decimal("50.5"),
    ]


def test_what_a_tool_rounded_later_is_the_same(ledger: Ledger, tmp_path: Path) -> None:
    """A database that was made of the JSON files doubles nothing; twice the same in one file stays twice."""
    take_in(ledger, left_by("cashflows.json", tmp_path))
    path = left_by(
        "portfolio.sql",
        tmp_path,
        "DELETE FROM cash_flows",
        "INSERT INTO cash_flows VALUES (1, 202511200800, 1000, 'DEPOSIT')",
        "INSERT INTO cash_flows VALUES (2, 202511200800, 1000, 'DEPOSIT')",
        "INSERT INTO cash_flows VALUES (3, 202511201130, -50, 'WITHDRAW')",
    )
    assert look(ledger, path)["new"] == {"value": 2}


def test_a_file_that_went_on(ledger: Ledger, tmp_path: Path) -> None:
    """A later file adds what is new and brings the rest up to date: the sum paid in is never counted twice."""
    take_in(ledger, left_by("calvalot_1.sql", tmp_path))
    later = tmp_path / "later"
    later.mkdir()
    path = left_by(
        "calvalot_1.sql",
        later,
        "UPDATE budget SET total_deposited_eur = 200",
        "UPDATE signals SET status = 'executed'",
        "DELETE FROM budget_snapshots WHERE id = 1",
        "INSERT INTO budget_snapshots (total_value_eur, created_at) VALUES (160, '2026-02-05 10:00:00')",
    )
    assert take_in(ledger, path)["new"] == {"value": 1}
    kept = told(ledger)
    assert sum(Decimal(each["amount"]) for each in kept if each["kind"] == "cash_flow" and not each["coin"]) == 200
    assert {each["note"] for each in kept if each["kind"] == "signal"} == {"executed: momentum", "executed"}
    assert len([each for each in kept if each["kind"] == "value"]) == 3


def test_nothing_paid_in_later(ledger: Ledger, tmp_path: Path) -> None:
    """A budget that was never added to is one sum, whether or not its tool wrote down a total."""
    for total in (100, 0):
        path = left_by("calvalot_1.sql", tmp_path, f"UPDATE budget SET total_deposited_eur = {total}")
        assert look(ledger, path)["sums"]["deposits"] == {"EUR": "100.0"}
        path.unlink()


def test_what_is_still_in_the_log(ledger: Ledger, tmp_path: Path) -> None:
    """A file that its tool has not closed is read with what lies beside it, and is left as it was."""
    path = left_by("calvalot_1.sql", tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("INSERT INTO budget_snapshots (total_value_eur, created_at) VALUES (9, '2026-02-09 10:00:00')")
    connection.commit()
    assert look(ledger, path)["found"]["value"] == 3
    connection.close()


@pytest.mark.parametrize(
    ("tool", "change"),
    [
        ("portfolio.sql", "UPDATE snapshots SET timestamp = 20251 WHERE id = 1"),
        ("portfolio.sql", "UPDATE snapshots SET total_value_usd = 'much' WHERE id = 1"),
        ("portfolio.sql", "UPDATE snapshots SET total_value_usd = 1e300 WHERE id = 1"),
        ("portfolio.sql", "UPDATE cash_flows SET type = 'WITHDRAW' WHERE id = 1"),
        ("portfolio.sql", "UPDATE cash_flows SET amount_usd = 0 WHERE id = 1"),
        ("rebalancer.sql", "UPDATE rebalance_runs SET run_id = '' WHERE id = 1"),
        ("rebalancer.sql", "UPDATE rebalance_runs SET trades_executed = '[' WHERE id = 1"),
        ("rebalancer.sql", "UPDATE rebalance_runs SET trades_executed = '{\"a\": 1}' WHERE id = 1"),
        ("rebalancer.sql", "UPDATE rebalance_runs SET trades_executed = '[1]' WHERE id = 1"),
        ("rebalancer.sql", "UPDATE rebalance_runs SET trades_executed = '[{}]' WHERE id = 1"),
        ("calvalot_1.sql", "UPDATE trades SET action = 'HODL' WHERE id = 1"),
        ("calvalot_1.sql", "UPDATE trades SET created_at = NULL WHERE id = 1"),
        ("calvalot_1.sql", "UPDATE signals SET signal_id = '' WHERE id = 1"),
        ("calvalot_1.sql", "UPDATE withdrawals SET amount_eur_received = NULL"),
    ],
)
def test_what_cannot_be_read(ledger: Ledger, tmp_path: Path, tool: str, change: str) -> None:
    """One row that cannot be read is named and keeps everything out, until it may be skipped; nothing of it is taken in."""
    path = left_by(tool, tmp_path, change)
    seen = look(ledger, path)
    assert seen["unreadable"] == len(seen["unreadable_first"]) == 1
    assert seen["unreadable_first"][0]["where"].endswith(" 1")
    with pytest.raises(CommandError) as err:
        take_in(ledger, path)
    assert (err.value.key, err.value.placeholders) == ("history_unreadable", {"count": "1"})
    assert told(ledger) == []
    take_in(ledger, path, skip=True)
    assert len(told(ledger)) == sum(seen["found"].values())


def test_rows_of_json_that_cannot_be_read(ledger: Ledger, tmp_path: Path) -> None:
    """Numbers and objects that are none are named by their place."""
    good = {"timestamp": "2025-11-20T10:00:00", "total_value_usd": 1}
    path = written(
        tmp_path, [good, 5, {**good, "total_value_usd": float("nan")}, {**good, "total_value_usd": True}, {}]
    )
    seen = look(ledger, path)
    assert (seen["found"], [each["where"] for each in seen["unreadable_first"]]) == (
        {"value": 1},
        ["2", "3", "4", "5"],
    )


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", "[1]", [{"other": 1}], "[" * 100_000, "SQLite format 3\0 and nothing"]
)
def test_a_file_of_no_known_tool(ledger: Ledger, tmp_path: Path, content: Any) -> None:
    """What is no history is refused."""
    with pytest.raises(CommandError) as err:
        look(ledger, written(tmp_path, content))
    assert (err.value.key, err.value.placeholders) == ("history_unknown", {"file": "file.json"})


def test_other_databases_and_sizes(ledger: Ledger, tmp_path: Path) -> None:
    """Another database, a file that is too large, and none at all are refused."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(MAX_SIZE + 1)
    for path, key in ((other, "history_unknown"), (large, "history_unknown"), (tmp_path / "no", "history_no_file")):
        with pytest.raises(CommandError) as err:
            look(ledger, path)
        assert err.value.key == key


def test_only_rows_that_cannot_be_read(ledger: Ledger, tmp_path: Path) -> None:
    """A file without a single good row has no time and no sum."""
    seen = look(ledger, written(tmp_path, [{"total_value_usd": "x"}]))
    assert (seen["found"], seen["since"], seen["until"], seen["unreadable"]) == ({}, None, None, 1)


def test_all_or_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """A disk that is full before the last record keeps all of them out."""
    begun = datetime(2025, 1, 1, tzinfo=UTC)
    times = [begun + timedelta(hours=hour) for hour in range(500)]
    path = written(tmp_path, [{"timestamp": time.isoformat(), "total_value_usd": 100} for time in times])
    with full_disk(ledger), pytest.raises(LedgerError):
        take_in(ledger, path)
    assert told(ledger) == []
    take_in(ledger, path)
    assert len(told(ledger)) == 500
