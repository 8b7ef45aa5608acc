"""Copies of a ledger: one a day, seven of them, one of each version it had, and the way back from a file that broke."""

from contextlib import closing, suppress
from datetime import date, datetime
from decimal import Decimal
import os
from pathlib import Path
import shutil
import sqlite3

from ..decimals import decimal_text
from .records import OrderState

COPIES = 7
KEPT_BROKEN = 7
_SIDE_FILES = ("-wal", "-shm")


def copy_of_day(ledger: Path, day: date) -> Path:
    """Where a day's copy lies."""
    return ledger.with_name(f"{ledger.stem}.{day.isoformat()}.copy.db")


def copies(ledger: Path) -> list[Path]:
    """The copies there are, newest first."""
    return sorted(ledger.parent.glob(f"{ledger.stem}.*.copy.db"), reverse=True)


def make_copy(ledger: Path, day: date) -> Path | None:
    """Write a whole, consistent copy for a day where there is none, and let the oldest go; None where there was one.

    Raises sqlite3.Error, OSError; a copy that did not come out whole is not kept.
    """
    target = copy_of_day(ledger, day)
    if target.exists():
        return None
    _copy(ledger, target)
    for old in copies(ledger)[COPIES:]:
        old.unlink(missing_ok=True)
    return target


def copy_of_version(ledger: Path, version: int) -> Path:
    """Where the copy of a ledger lies that was made before it was upgraded from a version."""
    return ledger.with_name(f"{ledger.name}.v{version}")


def keep_version(ledger: Path, version: int) -> None:
    """Write a whole, consistent copy before an upgrade. Raises sqlite3.Error, OSError."""
    _copy(ledger, copy_of_version(ledger, version))


def version_of(ledger: Path) -> int:
    """Version of a file; 0 where there is none or none can be read. Nothing is written, and nothing left beside it."""
    log = ledger.with_name(f"{ledger.name}-wal")
    how = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"{ledger.as_uri()}?{how}", uri=True)) as connection:
            ((version,),) = connection.execute("PRAGMA user_version")
            return int(version)
    except sqlite3.Error:
        return 0


def paper_only(ledger: Path) -> bool:
    """Whether nothing in a ledger and its copies was ever traded or paid in live; not where one of them cannot be read."""
    files = [file for file in (ledger, *ledger.parent.glob(f"{ledger.stem}.*")) if is_ledger(file)]
    return not any(_is_live(file) for file in files)


def live_coins(ledger: Path) -> dict[str, Decimal]:
    """Coins that the live books of a ledger hold, with their quantities; none where it cannot be read."""
    coins: dict[str, Decimal] = {}
    with suppress(sqlite3.Error), reading(ledger) as connection:
        for coin, quantity in connection.execute("SELECT coin, quantity FROM positions WHERE mode = 'live'"):
            coins[coin] = coins.get(coin, Decimal(0)) + Decimal(quantity)
    return coins


def live_orders(ledger: Path) -> list[str]:
    """Pairs, sides and quantities of live orders that rest or are unclear; none where the ledger cannot be read."""
    open_states = [state.value for state in OrderState if not state.settled]
    marks = ", ".join("?" for _ in open_states)
    rows: list[tuple[str, str, str]] = []
    with suppress(sqlite3.Error), reading(ledger) as connection:
        question = f"SELECT side, quantity, symbol FROM orders WHERE mode = 'live' AND state IN ({marks})"  # noqa: S608
        rows = connection.execute(question, open_states).fetchall()
    return [f"{side} {decimal_text(Decimal(quantity))} {symbol}" for side, quantity, symbol in rows]


def quote_in_use(ledger: Path, mode: str) -> str | None:
    """The quote asset that the book in use of a mode was changed to; None where it never was."""
    question = """SELECT quote.value FROM facts AS number JOIN facts AS quote ON quote.book = CAST(number.value AS INTEGER)
        WHERE number.mode = ? AND number.book = 0 AND number.key = 'book' AND quote.mode = ? AND quote.key = 'quote'"""
    with suppress(sqlite3.Error), reading(ledger) as connection:
        for (quote,) in connection.execute(question, (mode, mode)):
            return str(quote)
    return None


def reading(ledger: Path) -> closing[sqlite3.Connection]:
    """A connection that writes nothing. Raises sqlite3.Error."""
    return closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True))


def is_ledger(file: Path) -> bool:
    """Whether a file is a ledger or a copy of one, by its name."""
    return file.suffix == ".db" or file.stem.endswith(".db")


def _is_live(ledger: Path) -> bool:
    try:
        with reading(ledger) as connection:
            return any(
                connection.execute(f"SELECT 1 FROM {table} WHERE mode = 'live' LIMIT 1").fetchall()  # noqa: S608
                for table in ("orders", "cash_flows")
            )
    except sqlite3.Error:
        return ledger.exists() and ledger.stat().st_size > 0


def _copy(ledger: Path, target: Path) -> None:
    """Write a copy; raises sqlite3.Error, OSError, and leaves nothing behind that did not come out whole."""
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        # Never made here: an empty file in its place would pass for a new ledger.
        with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(part),))
        if not is_whole(part):
            raise sqlite3.DatabaseError("the copy did not come out whole")
        _install(part, target)
    finally:
        part.unlink(missing_ok=True)


def restore(ledger: Path, now: datetime) -> Path | None:
    """Put a broken ledger aside and the newest whole copy in its place; None where there is none: a new one begins.

    The broken file is kept beside it, named with the time. Raises OSError; nothing was moved where the copy could not be
    brought.
    """
    copy = newest_whole(ledger)
    part = ledger.with_suffix(".part")
    try:
        if copy:
            shutil.copyfile(copy, part)
            _sync(part)
        aside = ledger.with_name(f"{ledger.stem}.broken-{now:%Y%m%dT%H%M%S%f}.db")
        for side in ("", *_SIDE_FILES):
            file = ledger.with_name(f"{ledger.name}{side}")
            if file.exists():
                file.replace(aside.with_name(f"{aside.name}{side}"))
        if copy:
            _install(part, ledger)
    finally:
        part.unlink(missing_ok=True)
    for old in sorted(ledger.parent.glob(f"{ledger.stem}.broken-*.db"), reverse=True)[KEPT_BROKEN:]:
        for side in ("", *_SIDE_FILES):
            old.with_name(f"{old.name}{side}").unlink(missing_ok=True)
    return copy


def newest_whole(ledger: Path) -> Path | None:
    """The newest copy that nothing is wrong with."""
    return next((copy for copy in copies(ledger) if is_whole(copy)), None)


def is_whole(file: Path) -> bool:
    """Whether a file that nobody writes to is a ledger and SQLite finds nothing wrong with it."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            ((version,),) = connection.execute("PRAGMA user_version")
            return version > 0 and [row[0] for row in connection.execute("PRAGMA quick_check")] == ["ok"]
    except sqlite3.Error:
        return False


def _install(part: Path, target: Path) -> None:
    """Give a finished file its name, so that content and name survive a power cut."""
    _sync(part)
    part.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
