"""One SQLite file: opened durably, upgraded, copied, brought back when it broke."""

from abc import abstractmethod
import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache, wraps
import itertools
import os
from pathlib import Path
import sqlite3
from threading import Lock
from typing import Any, Concatenate

from sqlalchemy import URL, Connection, Dialect, Engine, Table, create_engine, event
from sqlalchemy.dialects.sqlite import Insert, insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from . import copies
from .tables import METADATA
from .upgrades import UPGRADES, VERSION

# Pages of a file that its connection keeps (KiB): the system keeps them for all, and there may be many portfolios.
PAGES_KEPT = 64
# Answers; more are kept no longer than until the next write.
REMEMBERED = 100
# Statements that were compiled, by the dialect and their shape.
_COMPILED: dict[Any, Any] = {}
# What is remembered of an answer, by the method that gives it.
_PEEKS: dict[object, Callable[..., tuple[Any] | None]] = {}
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class LedgerError(Exception):
    """The ledger could not be read or written; nothing may be traded."""


class LedgerNewer(LedgerError):
    """A newer version of the integration wrote the file: it is left as it is."""


class LedgerCorrupt(LedgerError):
    """The file itself is broken: `recover` brings back what can be had."""


class Storage:
    """A database file of the follower; every method is synchronous but `ask`, which is how the event loop reaches the others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine: Engine | None = None
        self._reader: Engine | None = None
        self._file: os.stat_result | None = None
        self._turn = Lock()
        self._changes: Counter[str] = Counter()
        self._remembered: dict[object, tuple[tuple[int, ...], Any]] = {}
        self._known_log: tuple[int, int] | None = None

    @property
    @abstractmethod
    def _asking(self) -> object:
        """What an answer depends on beside the question."""
        ...

    async def ask[**P, T](self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a method says, or a function that calls several: at once where it is remembered, else from a worker thread.

        Raises what it raises.
        """
        peek = _PEEKS.get(getattr(call, "__func__", None))
        if peek and (known := peek(getattr(call, "__self__", None), *args, **kwargs)):
            found: T = known[0]
            return found
        return await asyncio.to_thread(call, *args, **kwargs)

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._engine is not None

    def open(self) -> None:
        """Open the file, making it where there is none and upgrading an older one, of which a copy is kept.

        Raises LedgerError, LedgerCorrupt where the file is broken, or empty although there is a copy of it, LedgerNewer.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise LedgerError(f"the ledger's folder cannot be made: {err.strerror}") from err
        self._check_version()
        self._engine = _engine(self.path)
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        self._reader = self._engine.execution_options(reads=True)
        try:
            with self._transaction() as connection:
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                if not version:
                    if copies.newest_whole(self.path):
                        raise LedgerCorrupt("the ledger is empty though there is a copy of it")
                    METADATA.create_all(connection)
                else:
                    for statement in itertools.chain(*UPGRADES[version - 1 :]):
                        connection.exec_driver_sql(statement)
                if version != VERSION:
                    connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
            self._file = self.path.stat()
        except LedgerError:
            self.close()
            raise

    def reopen(self) -> None:
        """Open a file again that was in use. Raises LedgerError, also where neither it nor a copy of it is there."""
        if not self.path.exists() and not copies.copies(self.path):
            raise LedgerError("the ledger's file is gone")
        self.open()

    def close(self) -> None:
        """Close the file; it can be opened again."""
        if self._engine:
            self._engine.dispose()
        self._engine = self._reader = self._file = None
        self._forget()

    def recover(self, now: datetime) -> Path | None:
        """Put a broken file aside and go on from the newest whole copy; None where a new ledger begins. Raises LedgerError."""
        self.close()
        try:
            copy = copies.restore(self.path, now)
        except OSError as err:
            raise LedgerError(f"the ledger cannot be restored: {err.strerror}") from err
        self.open()
        return copy

    def keep_copy(self, day: date) -> Path | None:
        """Keep a copy for the day where there is none yet. Raises LedgerError, LedgerCorrupt where the file is broken."""
        try:
            return copies.make_copy(self.path, day)
        except (sqlite3.Error, OSError) as err:
            raise _ledger_error(err) from err

    def checkpoint(self) -> None:
        """Bring everything into the main file, so that a copy of it alone is whole. Raises LedgerError."""
        if not self._engine:
            return
        with _translated():
            connection = self._engine.raw_connection()  # a checkpoint works outside a transaction only
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

    def _check_version(self) -> None:
        """Keep a copy of an older file, refuse a newer one before anything touches it. Raises LedgerError."""
        version = copies.version_of(self.path)
        if version > VERSION:
            raise LedgerNewer(
                f"a newer version of Calv-a-lot wrote the ledger (file version {version}, this one reads up to {VERSION}); "
                f"install that version again, or put the copy {copies.copy_of_version(self.path, VERSION).name} "
                "in the ledger's place"
            )
        if 0 < version < VERSION:
            try:
                copies.keep_version(self.path, version)
            except (sqlite3.Error, OSError) as err:
                raise _ledger_error(err) from err

    @contextmanager
    def _transaction(self, *tables: Table) -> Iterator[Connection]:
        """A transaction that may write to these tables, or to any; one at a time."""
        with self._turn:
            if self._log() != self._known_log:
                self._forget()  # another program has written
            try:
                with self._begun(self._engine) as connection:
                    yield connection
            finally:
                self._forget(*tables)
                self._known_log = self._log()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A transaction that only reads, and holds up nobody who writes."""
        with self._begun(self._reader) as connection:
            yield connection

    @contextmanager
    def _begun(self, engine: Engine | None) -> Iterator[Connection]:
        if not engine:
            raise LedgerError("the ledger is closed")
        with _translated():
            self._check_file()
            with engine.begin() as connection:
                yield connection

    def _forget(self, *tables: Table) -> None:
        """What was read of these tables, or of any, may not be so any more."""
        self._changes.update(table.name for table in tables or METADATA.tables.values())
        if not tables or len(self._remembered) > REMEMBERED:
            self._remembered.clear()

    def _changes_of(self, tables: Sequence[Table]) -> tuple[int, ...]:
        """How often these tables were written to."""
        return tuple(self._changes[table.name] for table in tables)

    def _log(self) -> tuple[int, int] | None:
        """Time (ns) and size (bytes) of the write-ahead log, where every commit goes."""
        try:
            log = os.stat(f"{self.path}-wal")  # noqa: PTH116 # asked for with every answer
        except OSError:
            return None
        return log.st_mtime_ns, log.st_size

    def _check_file(self) -> None:
        """What is written into a file that has lost its name is lost with the next start. Raises LedgerError."""
        if self._file is None:
            return
        try:
            now = os.stat(self.path)  # noqa: PTH116 # asked for with every answer
        except FileNotFoundError:
            now = None
        if now is None or not now.st_size or not os.path.samestat(self._file, now):
            self.close()
            raise LedgerError("the ledger's file was moved, deleted, emptied or replaced while it was in use")


def remembered[S: Storage, **P, T](
    *tables: Table,
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Read again only what may have changed: an answer holds until one of the tables it comes from is written to.

    It must be immutable.
    """

    def remember(read: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        def peek(self: S, /, *args: P.args, **kwargs: P.kwargs) -> tuple[T] | None:
            known = self._remembered.get((read, self._asking, args, *kwargs.items()))
            if not known or known[0] != self._changes_of(tables) or self._log() != self._known_log:
                return None
            with _translated():
                self._check_file()
            found: T = known[1]
            return (found,)

        @wraps(read)
        def answer(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if known := peek(self, *args, **kwargs):
                return known[0]
            changes = self._changes_of(tables)
            found = read(self, *args, **kwargs)
            self._remembered[read, self._asking, args, *kwargs.items()] = changes, found
            return found

        _PEEKS[answer] = peek
        return answer

    return remember


@contextmanager
def _translated() -> Iterator[None]:
    """Turn whatever the storage does wrong into LedgerError."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, ArithmeticError, ValueError) as err:
        raise _ledger_error(getattr(err, "orig", None) or err) from err


def _ledger_error(cause: BaseException) -> LedgerError:
    """The cause in words; the statement and its parameters stay out of the message."""
    if isinstance(cause, sqlite3.Error):
        # Without a code it is a text that is none.
        code = getattr(cause, "sqlite_errorcode", None)
        unreadable = isinstance(cause, sqlite3.OperationalError) if code is None else code & 0xFF in _BROKEN
        kind = LedgerCorrupt if unreadable else LedgerError
        return kind(f"the ledger failed: {cause}")
    return LedgerError(f"the ledger failed: {type(cause).__name__}")


def _engine(path: Path) -> Engine:
    """An engine for a file that takes little memory while nothing happens, since there may be many followers.

    What it compiles serves the others, too; one connection stays open, and few statements stay prepared.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        hide_parameters=True,
        pool_size=1,
        connect_args={"cached_statements": 8},
        execution_options={"compiled_cache": _COMPILED},
    )
    engine.dialect = _dialect()
    return engine


@cache
def _dialect() -> Dialect:
    """The dialect of all engines, as a connection has made it."""
    engine = create_engine("sqlite://")
    with engine.connect():
        pass
    engine.dispose()
    return engine.dialect


def _configure(connection: Any, _record: object) -> None:
    """Durable commits, readers beside a writer; transactions are begun by `_begin`, not by the driver."""
    connection.isolation_level = None
    try:
        settings = "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"
        for pragma in (*settings, f"cache_size=-{PAGES_KEPT}"):
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.Error:
        connection.close()
        raise


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reads") else "BEGIN IMMEDIATE")


def insert_row(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    """Insert a row; returns its key."""
    key = connection.execute(inserted(table), dict(row)).inserted_primary_key
    return int(key[0]) if key else 0


def upsert_row(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a whole row, or bring the one with the same key up to date."""
    connection.execute(_upsert(table), dict(row))


@cache
def inserted(table: Table) -> Insert:
    """The statement that inserts rows: what was made once is not made and looked up anew each time."""
    return upsert(table)


@cache
def _upsert(table: Table) -> Insert:
    statement = upsert(table)
    rest = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest)
