"""The ledger's file: durable, upgraded in one step, and never half a booking."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
import sqlite3
from threading import get_ident
from unittest.mock import patch

import pytest

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger import copies, storage
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind, OrderState, Result
from custom_components.calvalot.trading.ledger.storage import LedgerCorrupt, LedgerError, LedgerNewer
from custom_components.calvalot.trading.ledger.tables import METADATA
from custom_components.calvalot.trading.ledger.upgrades import VERSION
from custom_components.calvalot.trading.portfolio import Portfolio
from harness.database import change

from .builders import NOW, key, make_fill, make_order, make_record, make_report
from .faults import DAMAGES, FAULTS, Fault, empty, engine_of, flush, full_disk, scratch

TODAY = date(2026, 5, 1)
HEADER = 32  # of a write-ahead log, then frames of a header and a page each
FRAME = 24 + 4096


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(tmp_path / "calvalot" / "entry.db", Mode.DRY_RUN, "USDC")
    ledger.open()
    yield ledger
    ledger.close()


def pragma(path: Path, name: str) -> list[tuple[object, ...]]:
    """What SQLite says of a file."""
    connection = sqlite3.connect(path)
    rows = connection.execute(f"PRAGMA {name}").fetchall()
    connection.close()
    return rows


def begin(ledger: Ledger) -> None:
    """A budget of 1,000 and an order for BTC that was executed and is not booked yet."""
    cash = Decimal(1000)
    flow = CashFlow(kind=FlowKind.INITIAL, amount=cash, amount_quote=cash, time=NOW, value_before=Decimal(0))
    ledger.add_flow(flow, Book(portfolio=Portfolio(cash=cash, paid_in=cash), net_deposits=cash))
    ledger.write_signal(make_record())
    (order,) = ledger.add_orders([make_order(quantity="0.01")])
    ledger.update_orders([replace(order, state=OrderState.EXECUTED, order_id="7")])


def book(ledger: Ledger) -> None:
    """Book that order."""
    (order,) = ledger.in_flight()
    fills = (make_fill("0.004", "50000", trade_id="1"), make_fill("0.006", "50001", trade_id="2"))
    ledger.book_order(order, make_report(order, *fills), fills, {"USDC": Decimal(1)})


def state(ledger: Ledger) -> str:
    """Whether the order is booked, wholly or not at all; anything between fails."""
    portfolio = ledger.book().portfolio
    assert ledger.replay() == portfolio
    if ledger.in_flight():
        assert (portfolio.cash, portfolio.positions, ledger.trades()) == (Decimal(1000), {}, ())
        return "old"
    (trade,) = ledger.trades()
    assert portfolio.cash == Decimal(1000) - trade.amount == Decimal("499.994")
    assert portfolio.quantity("BTC") == trade.quantity == Decimal("0.01")
    return "new"


# Opening and closing


def test_commits_are_durable(ledger: Ledger) -> None:
    """Every connection waits for the disk with each commit."""
    with engine_of(ledger).connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_closed(ledger: Ledger) -> None:
    """A closed ledger says so, and can be opened again."""
    ledger.remember("told", "here")
    assert ledger.is_open
    ledger.close()
    assert not ledger.is_open
    with pytest.raises(LedgerError, match="closed"):
        ledger.fact("told")
    ledger.checkpoint()
    ledger.reopen()
    assert ledger.fact("told") == "here"


async def test_asked_by_the_loop(ledger: Ledger) -> None:
    """What is remembered is said at once, until it may have changed; everything else by a worker."""
    assert await ledger.ask(get_ident) != get_ident()
    assert await ledger.ask(ledger.fact, "paused") is None

    async def at_once(ledger: Ledger) -> str | None:
        with patch("asyncio.to_thread", side_effect=AssertionError("a worker was asked")):
            return await ledger.ask(ledger.fact, "paused")

    assert await at_once(ledger) is None
    other = ledger.in_book(7)
    with pytest.raises(AssertionError, match="a worker was asked"):
        await at_once(other)
    await ledger.ask(ledger.remember, "paused", "1")
    with pytest.raises(AssertionError, match="a worker was asked"):
        await at_once(ledger)
    assert await ledger.ask(ledger.fact, "paused") == "1"
    change(ledger.path, "UPDATE facts SET value = '2'")
    assert await ledger.ask(ledger.fact, "paused") == "2"
    ledger.remember("paused", "3")
    assert await ledger.ask(ledger.fact, "paused") == "3"
    assert await at_once(ledger) == "3"
    ledger.path.rename(ledger.path.with_suffix(".away"))
    with pytest.raises(LedgerError, match="moved, deleted"):
        await at_once(ledger)


def test_folder_cannot_be_made(tmp_path: Path) -> None:
    """A folder that cannot be made is told."""
    (tmp_path / "file").touch()
    ledger = Ledger(tmp_path / "file" / "calvalot" / "entry.db", Mode.DRY_RUN, "USDC")
    with pytest.raises(LedgerError, match="folder"):
        ledger.open()


def test_reopening_what_is_gone(ledger: Ledger) -> None:
    """A ledger that was there and is gone does not begin anew, as it would where a network folder is missing."""
    ledger.close()
    ledger.path.unlink()
    with pytest.raises(LedgerError, match="gone"):
        ledger.reopen()
    assert not ledger.path.exists()


def test_checkpoint(ledger: Ledger, tmp_path: Path) -> None:
    """After it, a copy of the main file alone is whole, and writing goes on."""
    begin(ledger)
    book(ledger)
    ledger.checkpoint()
    copy = Ledger(tmp_path / "copy.db", ledger.mode, "USDC")
    copy.path.write_bytes(ledger.path.read_bytes())
    copy.open()
    assert state(copy) == "new"
    copy.close()
    ledger.remember("told", "after")
    assert ledger.fact("told") == "after"


@pytest.mark.parametrize("removed", ["deleted", "replaced"])
def test_file_is_taken_away(ledger: Ledger, removed: str) -> None:
    """What would be written into a file that has no name any more is not written; the file in its place is taken up."""
    ledger.remember("told", "kept")
    copy = ledger.keep_copy(TODAY)
    assert copy
    flush(ledger)
    if removed == "replaced":
        other = ledger.path.with_name("other")  # made while the first is there, so that it is another file for sure
        other.write_bytes(copy.read_bytes())
        other.replace(ledger.path)
    else:
        ledger.path.unlink()
    with pytest.raises(LedgerError, match="moved, deleted, emptied or replaced"):
        ledger.remember("told", "lost")
    if removed == "deleted":
        with pytest.raises(LedgerCorrupt):
            ledger.reopen()
        ledger.recover(NOW)
    else:
        ledger.reopen()
    assert ledger.fact("told") == "kept"


# Versions


def stored(path: Path, version: int) -> Path:
    """A file as a version left it: a live book, from version 4 on one on paper beside it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript((Path(__file__).parent / "fixtures" / f"version_{version}.sql").read_text("utf-8"))
    connection.close()
    return path


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A file as version 1 left it: a live book with two signals, four orders and three cash flows."""
    return stored(tmp_path / "entry.db", 1)


def rows(path: Path) -> dict[str, list[dict[str, object]]]:
    """Everything in a file, by table."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = {table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables}
    connection.close()
    return found


def structure(path: Path) -> dict[str, object]:
    """Columns and indexes by table; a column that was added stands at the end."""
    return {
        table: (
            sorted(tuple(column)[1:] for column in pragma(path, f"table_info({table})")),
            sorted(tuple(index)[1:] for index in pragma(path, f"index_list({table})")),
        )
        for table in METADATA.tables
    }


# Columns of the signals that every version has.
SAME_IN_SIGNALS = [
    "seq",
    "mode",
    "signal_id",
    "seen_at",
    "created_at",
    "confidence",
    "reasoning",
    "result",
    "reason",
    "left_out",
]


def same(table: list[dict[str, object]], columns: list[str]) -> list[str]:
    """Rows of a table, to be compared; up to where orders were read is told otherwise in each version."""
    return sorted(
        str({column: str(row[column]) for column in columns if column in row})
        for row in table
        if not str(row.get("key")).startswith("orders_read_")
    )


@pytest.mark.parametrize("version", range(1, VERSION))
def test_upgrade(tmp_path: Path, ledger: Ledger, version: int) -> None:
    """A file of any earlier version becomes what this version makes, and keeps everything."""
    path = stored(tmp_path / "entry.db", version)
    before = rows(path)
    upgraded = Ledger(path, Mode.LIVE, "USDC")
    upgraded.open()
    assert pragma(path, "user_version") == [(VERSION,)]
    assert structure(path) == structure(ledger.path)
    assert pragma(path, "foreign_key_check") == []
    after = rows(path)
    assert after.keys() - before.keys() == ({"sights"} if version < 6 else set()) | (
        {"accounts"} if version < 5 else set()
    ) | ({"past"} if version < 9 else set()) | ({"alerts"} if version < 11 else set())
    for table, kept in before.items():
        columns = SAME_IN_SIGNALS if table == "signals" else [*kept[0]] if kept else []
        assert same(after[table], columns) == same(kept, columns), table
        if table not in {"sqlite_sequence", "sights", "alerts"}:
            assert {row["book"] for row in after[table]} <= ({0, 1} if table == "facts" else {1})

    assert upgraded.number == 1
    assert upgraded.replay() == upgraded.book().portfolio
    assert [record.signal_id for record in upgraded.signals()][-3:] == ["second", "first", "initial_sync"]
    assert {record.result for record in upgraded.signals()[-3:]} == {Result.EXECUTED}
    assert [flow.kind for flow in upgraded.flows()][-3:] == [FlowKind.WITHDRAWAL, FlowKind.DEPOSIT, FlowKind.INITIAL]
    assert [trade.planned_price for trade in upgraded.trades()][-4:] == [None] * 4
    assert len(upgraded.in_flight()) == (version >= 3)
    assert upgraded.fact("paused")
    assert (upgraded.cursor("BTCUSDC"), upgraded.cursor("XRPUSDC")) == ("500002", None)
    upgraded.write_signal(make_record("next"))
    upgraded.add_orders([make_order(price=Decimal(5), signal_id="next")])
    upgraded.close()
    upgraded.open()
    assert upgraded.orders(key("next"))[0].price == Decimal(5)
    upgraded.close()
    paper = Ledger(path, Mode.DRY_RUN, "USDC")
    paper.open()
    assert paper.replay() == paper.book().portfolio
    assert (len(paper.trades()), paper.fact("paused")) == (int(version >= 4), None)
    paper.close()


def test_upgrade_breaks_off(version_1: Path) -> None:
    """An upgrade that cannot be finished changes nothing, and is made the next time."""
    upgraded = Ledger(version_1, Mode.LIVE, "USDC")
    before = rows(version_1)
    breaking = (*storage.UPGRADES[:-1], (*storage.UPGRADES[-1], "ALTER TABLE nowhere ADD COLUMN x TEXT"))
    with patch.object(storage, "UPGRADES", breaking), pytest.raises(LedgerError, match="nowhere"):
        upgraded.open()
    assert not upgraded.is_open
    assert pragma(version_1, "user_version") == [(1,)]
    assert rows(version_1) == before
    upgraded.open()
    assert len(upgraded.trades()) == 4
    upgraded.close()


def test_newer_version_is_refused(ledger: Ledger) -> None:
    """A file of a version to come is left as it is."""
    change(ledger.path, f"PRAGMA user_version={VERSION + 1}")
    flush(ledger)
    ledger.close()
    before = ledger.path.read_bytes()
    with pytest.raises(
        LedgerNewer, match=rf"newer version .* or put the copy {ledger.path.name}.v{VERSION} in"
    ) as caught:
        ledger.open()
    assert not isinstance(caught.value, LedgerCorrupt)
    assert not ledger.is_open
    assert ledger.path.read_bytes() == before
    assert list(ledger.path.parent.glob(f"{ledger.path.name}*")) == [ledger.path]


def test_way_back_from_an_upgrade(version_1: Path) -> None:
    """The file as it was before an upgrade is kept beside it, whole, and can take its place again."""
    before = rows(version_1)
    upgraded = Ledger(version_1, Mode.LIVE, "USDC")
    for _ in range(2):  # the second time there is nothing to be upgraded
        upgraded.open()
        upgraded.remember("told", "since then")
        upgraded.close()
    kept = version_1.with_name("entry.db.v1")
    assert list(version_1.parent.glob("entry.db.v*")) == [kept]
    assert rows(kept) == before
    assert pragma(kept, "user_version") == [(1,)]
    kept.replace(version_1)
    upgraded.open()
    assert upgraded.fact("told") is None
    assert len(upgraded.trades()) == 4
    upgraded.close()


def test_no_upgrade_without_a_copy(version_1: Path) -> None:
    """Where no copy can be kept, nothing is upgraded."""
    before = rows(version_1)
    upgraded = Ledger(version_1, Mode.LIVE, "USDC")
    with patch.object(copies, "keep_version", side_effect=OSError(28, "no space")), pytest.raises(LedgerError):
        upgraded.open()
    assert pragma(version_1, "user_version") == [(1,)]
    assert rows(version_1) == before


# Faults that pass


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(ledger: Ledger, fault: Fault) -> None:
    """What cannot be written is told, leaves nothing behind, and can be written when the fault is gone."""
    begin(ledger)
    big = make_record("big", reasoning="x" * 16_000)
    with fault(ledger):
        if fault is not full_disk:  # there a small row may still find room in a page
            with pytest.raises(LedgerError):
                book(ledger)
        with pytest.raises(LedgerError) as caught:
            ledger.write_signal(big)
        assert not isinstance(caught.value, LedgerCorrupt)
        # The statement, its parameters and the file's place stay out of the words.
        assert not {"INSERT", "UPDATE", "sqlalche.me", str(ledger.path)} & set(str(caught.value).split())
    assert state(ledger) == "old"
    assert ledger.signal(key("big")) is None
    book(ledger)
    ledger.write_signal(big)
    assert state(ledger) == "new"


@pytest.mark.parametrize("fault", FAULTS[1:])
def test_opening_under_a_fault(ledger: Ledger, fault: Fault) -> None:
    """A file that cannot be opened today opens tomorrow."""
    begin(ledger)
    ledger.close()
    with fault(ledger), pytest.raises(LedgerError) as caught:
        ledger.open()
    assert not isinstance(caught.value, LedgerCorrupt)
    assert not ledger.is_open
    ledger.open()
    assert state(ledger) == "old"


@pytest.mark.parametrize("fault", FAULTS[1:3])
def test_no_copy_under_a_fault(ledger: Ledger, fault: Fault) -> None:
    """A copy that cannot be written is told, and nothing is left of it."""
    with fault(ledger), pytest.raises(LedgerError):
        ledger.keep_copy(TODAY)
    assert {file.suffix for file in ledger.path.parent.iterdir()} <= {".db", ".db-wal", ".db-shm"}
    assert ledger.keep_copy(TODAY)
    assert ledger.keep_copy(TODAY) is None


@pytest.mark.parametrize("fault", FAULTS[1:3])
def test_no_restore_under_a_fault(ledger: Ledger, fault: Fault) -> None:
    """Where nothing can be restored nothing is moved either; it works when the fault is gone."""
    begin(ledger)
    ledger.keep_copy(TODAY)
    flush(ledger)
    scratch(ledger.path)
    broken = ledger.path.read_bytes()
    with fault(ledger), pytest.raises(LedgerError):
        ledger.recover(NOW)
    assert ledger.path.read_bytes() == broken
    assert ledger.recover(NOW)
    assert state(ledger) == "old"


# Damage that stays


def read(ledger: Ledger) -> str:
    """Open a file and read everything in it."""
    ledger.open()
    return state(ledger)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage(ledger: Ledger, damage: Callable[[Path], None]) -> None:
    """A broken file is known as one, kept, and followed by the newest copy."""
    begin(ledger)
    copy = ledger.keep_copy(TODAY)
    book(ledger)
    flush(ledger)
    ledger.close()
    damage(ledger.path)
    broken = ledger.path.read_bytes()
    with pytest.raises(LedgerCorrupt):
        read(ledger)
    assert ledger.recover(NOW) == copy
    assert state(ledger) == "old"
    (aside,) = ledger.path.parent.glob("entry.broken-*.db")
    if damage is not empty:  # SQLite begins to write where there is nothing
        assert aside.read_bytes() == broken


@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage is not empty])
def test_damage_without_a_copy(ledger: Ledger, damage: Callable[[Path], None]) -> None:
    """Without a copy a new ledger begins."""
    begin(ledger)
    flush(ledger)
    ledger.close()
    damage(ledger.path)
    with pytest.raises(LedgerCorrupt):
        read(ledger)
    assert ledger.recover(NOW) is None
    assert ledger.book() == Book()
    assert len(list(ledger.path.parent.glob("entry.broken-*.db"))) == 1


def test_text_that_is_none(ledger: Ledger) -> None:
    """A text that cannot be read is damage; one that is no amount is told, and neither is traded on."""
    begin(ledger)
    change(ledger.path, "UPDATE books SET cash = 'a lot'")
    with pytest.raises(LedgerError, match="InvalidOperation"):
        ledger.book()
    change(ledger.path, "UPDATE books SET cash = CAST(x'ff' AS TEXT)")
    with pytest.raises(LedgerCorrupt):
        ledger.book()


def test_old_copy_is_upgraded(version_1: Path) -> None:
    """A copy that an earlier version made is brought to this one."""
    ledger = Ledger(version_1, Mode.LIVE, "USDC")
    version_1.rename(copies.copy_of_day(version_1, TODAY))
    with pytest.raises(LedgerCorrupt, match="empty"):
        ledger.open()
    assert ledger.recover(NOW)
    assert len(ledger.trades()) == 4
    ledger.close()


# A power cut


def cuts(length: int, step: int) -> list[int]:
    """Lengths at which a file may have stopped growing: in steps, and around the end of each frame."""
    ends = range(HEADER, length + 1, FRAME)
    near = {end + offset for end in ends for offset in (-1, 0, 1, 24)}
    return sorted({cut for cut in {0, *range(0, length, step), *near, length} if 0 <= cut <= length})


@pytest.mark.parametrize("rest", ["missing", "zeros", "older"])
def test_power_cut_in_a_commit(ledger: Ledger, tmp_path: Path, rest: str) -> None:
    """Wherever the log stops, the ledger holds the old state or the new one, and the new one once its end is there.

    What follows the cut is missing, or was never written, or is what an earlier log left there.
    """
    begin(ledger)
    wal = ledger.path.with_name("entry.db-wal")
    older = wal.read_bytes()
    ledger.checkpoint()
    ledger.remember("told", "a log that holds something already")
    start = wal.stat().st_size
    book(ledger)
    main, log = ledger.path.read_bytes(), wal.read_bytes()
    after = {"missing": b"", "zeros": bytes(len(log)), "older": older + bytes(len(log))}[rest]
    cut_ledger = Ledger(tmp_path / "cut" / "entry.db", ledger.mode, "USDC")
    cut_ledger.path.parent.mkdir()
    found = {}
    for cut in cuts(len(log), 2048):
        cut_ledger.path.write_bytes(main)
        cut_ledger.path.with_name("entry.db-wal").write_bytes((log[:cut] + after[cut:])[: len(log)])
        cut_ledger.open()
        found[cut] = state(cut_ledger)
        cut_ledger.close()
    assert {found[cut] for cut in found if cut <= start} == {"old"}
    assert found[len(log)] == "new"
    assert list(found.values()) == sorted(found.values(), reverse=True)  # never back to the old one
    assert len(found) > 50


def test_power_cut_in_a_checkpoint(ledger: Ledger, tmp_path: Path) -> None:
    """However much of the log has been brought into the main file, the ledger holds the new state."""
    begin(ledger)
    ledger.checkpoint()
    old = ledger.path.read_bytes()
    book(ledger)
    log = ledger.path.with_name("entry.db-wal").read_bytes()
    ledger.checkpoint()
    new = ledger.path.read_bytes()
    assert new != old
    cut_ledger = Ledger(tmp_path / "cut" / "entry.db", ledger.mode, "USDC")
    cut_ledger.path.parent.mkdir()
    for cut in range(0, len(new) + 1, 1024):
        cut_ledger.path.write_bytes(new[:cut] + old[cut:])
        cut_ledger.path.with_name("entry.db-wal").write_bytes(log)
        cut_ledger.open()
        assert state(cut_ledger) == "new"
        cut_ledger.close()


def test_power_cut_at_the_very_start(tmp_path: Path) -> None:
    """A file that was being made is made."""
    first = Ledger(tmp_path / "first.db", Mode.DRY_RUN, "USDC")
    first.open()
    main, log = first.path.read_bytes(), first.path.with_name("first.db-wal").read_bytes()
    first.close()
    cut_ledger = Ledger(tmp_path / "cut.db", Mode.DRY_RUN, "USDC")
    for cut in cuts(len(log), 4096):
        cut_ledger.path.write_bytes(main)
        cut_ledger.path.with_name("cut.db-wal").write_bytes(log[:cut])
        cut_ledger.open()
        assert cut_ledger.book() == Book()
        cut_ledger.close()
