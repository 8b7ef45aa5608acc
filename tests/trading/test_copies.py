"""Copies of a ledger: seven whole ones, and the way back."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
import errno
from pathlib import Path
import shutil
import sqlite3
from unittest.mock import patch

import pytest

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger import copies
from custom_components.calvalot.trading.ledger.ledger import Ledger

TODAY = date(2026, 5, 1)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(tmp_path / "calvalot" / "entry.db", Mode.DRY_RUN, "USDC")
    ledger.open()
    yield ledger
    ledger.close()


def names(ledger: Ledger) -> set[str]:
    """What lies in the ledger's folder, but for what an open SQLite file brings."""
    return {file.name for file in ledger.path.parent.iterdir() if not file.name.endswith(("-wal", "-shm"))}


def told(file: Path, tmp_path: Path) -> str | None:
    """What a copy says, read as any program would."""
    shutil.copyfile(file, tmp_path / "read.db")
    connection = sqlite3.connect(tmp_path / "read.db")
    row = connection.execute("SELECT value FROM facts").fetchone()
    connection.close()
    return row and row[0]


def test_copy(ledger: Ledger, tmp_path: Path) -> None:
    """A copy holds what was committed a moment ago, is one file, and is made once a day."""
    ledger.remember("told", "first")
    copy = copies.make_copy(ledger.path, TODAY)
    assert copy == copies.copy_of_day(ledger.path, TODAY)
    assert names(ledger) == {"entry.db", "entry.2026-05-01.copy.db"}
    assert told(copy, tmp_path) == "first"
    ledger.remember("told", "second")
    assert copies.make_copy(ledger.path, TODAY) is None
    assert told(copy, tmp_path) == "first"
    assert ledger.fact("told") == "second"


def test_seven_are_kept(ledger: Ledger) -> None:
    """The newest seven, and nobody else's."""
    other = ledger.path.with_name("entry2.2020-01-01.copy.db")
    other.touch()
    days = [TODAY + timedelta(days=n) for n in range(10)]
    for day in days:
        copies.make_copy(ledger.path, day)
    kept = [copies.copy_of_day(ledger.path, day) for day in reversed(days[-7:])]
    assert copies.copies(ledger.path) == kept
    assert other.exists()


def test_copy_is_made_anew(ledger: Ledger) -> None:
    """What a power cut left of a copy is in nobody's way."""
    part = ledger.path.with_name("entry.2026-05-01.copy.part")
    part.write_bytes(b"half")
    copy = copies.make_copy(ledger.path, TODAY)
    assert copy
    assert copies.is_whole(copy)
    assert not part.exists()


def test_no_copy_of_nothing(tmp_path: Path) -> None:
    """Where the ledger is gone no copy is made, and above all no empty ledger."""
    with pytest.raises(sqlite3.OperationalError):
        copies.make_copy(tmp_path / "entry.db", TODAY)
    assert not list(tmp_path.iterdir())


def test_copy_that_is_not_whole(ledger: Ledger) -> None:
    """A copy that did not come out whole is not kept."""
    with patch.object(copies, "is_whole", return_value=False), pytest.raises(sqlite3.DatabaseError):
        copies.make_copy(ledger.path, TODAY)
    assert names(ledger) == {"entry.db"}


def test_copy_of_a_broken_ledger(ledger: Ledger) -> None:
    """A broken ledger is found out by copying it, and pushes no good copy out."""
    good = copies.make_copy(ledger.path, TODAY)
    ledger.close()
    data = bytearray(ledger.path.read_bytes())
    data[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    ledger.path.write_bytes(data)
    with pytest.raises(sqlite3.DatabaseError):
        copies.make_copy(ledger.path, TODAY + timedelta(days=1))
    assert copies.copies(ledger.path) == [good]


def test_is_whole(ledger: Ledger, tmp_path: Path) -> None:
    """Only a ledger in good order is whole; looking leaves nothing behind."""
    copy = copies.make_copy(ledger.path, TODAY)
    assert copy
    assert copies.is_whole(copy)
    data = copy.read_bytes()
    folder = tmp_path / "copies"
    folder.mkdir()
    broken = {
        "empty": b"",
        "text": b"no database at all" * 400,
        "half": data[: len(data) // 2],
        "zeros": bytes(len(data)),
        "scratched": data[: 4096 * 2] + b"\xff" * 4096 + data[4096 * 3 :],
    }
    for name, content in broken.items():
        file = folder / f"{name}.db"
        file.write_bytes(content)
        assert not copies.is_whole(file), name
    foreign = sqlite3.connect(folder / "foreign.db")
    foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    assert not copies.is_whole(folder / "foreign.db")
    assert not copies.is_whole(folder / "missing.db")
    assert {file.name for file in folder.iterdir()} == {f"{name}.db" for name in (*broken, "foreign")}


def test_restore(ledger: Ledger, tmp_path: Path) -> None:
    """The newest whole copy takes the place of what broke, which is kept with all that belongs to it."""
    for offset in range(3):
        ledger.remember("told", str(offset))
        copies.make_copy(ledger.path, TODAY + timedelta(days=offset))
    newest, second, _ = copies.copies(ledger.path)
    newest.write_bytes(newest.read_bytes()[:5000])
    ledger.remember("told", "lost")
    wal = ledger.path.with_name("entry.db-wal").read_bytes()
    broken = ledger.path.read_bytes()
    assert copies.restore(ledger.path, NOW) == second
    assert told(ledger.path, tmp_path) == "1"
    aside = ledger.path.with_name("entry.broken-20260501T120000000000.db")
    assert aside.read_bytes() == broken
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == wal
    assert not ledger.path.with_name("entry.db-wal").exists()
    assert not ledger.path.with_suffix(".part").exists()


def test_nothing_to_restore(ledger: Ledger) -> None:
    """Without a whole copy the broken file is put aside all the same."""
    ledger.close()
    copies.copy_of_day(ledger.path, TODAY).touch()
    assert copies.restore(ledger.path, NOW) is None
    assert not ledger.path.exists()
    assert names(ledger) == {"entry.2026-05-01.copy.db", "entry.broken-20260501T120000000000.db"}


def test_restore_without_room(ledger: Ledger) -> None:
    """Where the copy cannot be brought, nothing has moved."""
    ledger.remember("told", "here")
    copies.make_copy(ledger.path, TODAY)
    before = names(ledger)
    full = OSError(errno.ENOSPC, "No space left on device")
    with patch.object(shutil, "copyfile", side_effect=full), pytest.raises(OSError, match="No space"):
        copies.restore(ledger.path, NOW)
    assert names(ledger) == before
    assert ledger.fact("told") == "here"


def test_broken_ones_do_not_fill_the_disk(ledger: Ledger) -> None:
    """A disk that breaks a ledger every day leaves seven broken files, the newest."""
    ledger.close()
    copies.make_copy(ledger.path, TODAY)
    for offset in range(10):
        ledger.path.write_bytes(str(offset).encode())
        ledger.path.with_name("entry.db-wal").write_bytes(b"wal")
        copies.restore(ledger.path, NOW + timedelta(days=offset))
    broken = sorted(ledger.path.parent.glob("entry.broken-*.db"))
    assert [file.read_bytes() for file in broken] == [str(offset).encode() for offset in range(3, 10)]
    assert len(list(ledger.path.parent.glob("entry.broken-*-wal"))) == 7
