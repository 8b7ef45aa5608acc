"""What can happen to a ledger's file: faults that last as long as a `with`, and damage that stays."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
import os
from pathlib import Path
import resource
import sqlite3
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from custom_components.calvalot.trading.ledger.ledger import Ledger
from harness.database import change

PAGE = 4096
NOBODY = 65534

_ENGINES: WeakValueDictionary[str, Engine] = WeakValueDictionary()

type Fault = Callable[[Ledger], AbstractContextManager[None]]


@event.listens_for(Engine, "engine_connect")
def _remember(connection: Connection) -> None:
    if not connection.get_execution_options().get("reads"):
        _ENGINES[connection.engine.url.database or ""] = connection.engine


def engine_of(ledger: Ledger) -> Engine:
    """What keeps the connections of a ledger."""
    return _ENGINES[str(ledger.path)]


@contextmanager
def full_disk(ledger: Ledger) -> Iterator[None]:
    """SQLite finds no further page for a row that needs one (SQLITE_FULL)."""

    def limit(connection: Any, _record: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    change(ledger.path, "CREATE TABLE ballast (x)")
    engine = engine_of(ledger)
    event.listen(engine, "connect", limit)
    engine.dispose()
    for size in (4000, 400, 40, 4):
        with suppress(OperationalError):
            while True:
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"INSERT INTO ballast VALUES (zeroblob({size}))")
    try:
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()
        change(ledger.path, "DROP TABLE ballast")


@contextmanager
def failing_disk(_ledger: Ledger) -> Iterator[None]:
    """Nothing can be written to any file (SQLITE_IOERR): the system allows them no byte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(ledger: Ledger) -> Iterator[None]:
    """File and folder belong to somebody else and may only be read (SQLITE_READONLY)."""
    folder = ledger.path.parent
    files = [folder, *folder.iterdir()]
    modes = {file: file.stat().st_mode for file in files}
    root = os.geteuid() == 0
    engine = engine_of(ledger) if ledger.is_open else None
    if engine:
        engine.dispose()
    for file in files:
        if file.exists():
            file.chmod(0o555 if file.is_dir() else 0o444)
    if root:  # whom no mode keeps from writing
        for parent in folder.parents:
            if parent.stat().st_mode & 0o077 == 0:
                parent.chmod(0o711)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for file, mode in modes.items():
            if file.exists():
                file.chmod(mode)
        if engine:
            engine.dispose()


@contextmanager
def locked(ledger: Ledger) -> Iterator[None]:
    """Another program holds the file for itself."""
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def failing_commit(ledger: Ledger, number: int) -> Iterator[list[int]]:
    """The n-th commit from here on, counted from 1, is refused (SQLITE_IOERR); tells the commits that were tried."""
    tried: list[int] = []

    def refuse(_connection: Connection) -> None:
        tried.append(len(tried) + 1)
        if len(tried) == number:
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))

    engine = engine_of(ledger)
    event.listen(engine, "commit", refuse)
    try:
        yield tried
    finally:
        event.remove(engine, "commit", refuse)


FAULTS: tuple[Fault, ...] = (full_disk, failing_disk, read_only, locked)


def flush(ledger: Ledger) -> None:
    """Bring everything into the main file, so that damage to it counts."""
    engine_of(ledger).dispose()
    change(ledger.path, "PRAGMA wal_checkpoint(TRUNCATE)")


def scratch(path: Path) -> None:
    """Overwrite every page but the first."""
    data = path.read_bytes()
    path.write_bytes(data[:PAGE] + b"\xff" * (len(data) - PAGE))


def truncate(path: Path) -> None:
    """Cut the file in the middle of a page."""
    path.write_bytes(path.read_bytes()[: PAGE * 2 + 100])


def empty(path: Path) -> None:
    """Leave a name without a byte."""
    path.write_bytes(b"")


def replace_by_text(path: Path) -> None:
    """Write something else into it."""
    path.write_text("This is no database.\n" * 1000)


def zeros(path: Path) -> None:
    """Leave the length only."""
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES: tuple[Callable[[Path], None], ...] = (scratch, truncate, empty, replace_by_text, zeros)
