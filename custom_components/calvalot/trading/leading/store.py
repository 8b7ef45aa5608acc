"""The publications of a portfolio and the key that signs them, in one file: what is served was committed before.

All methods are synchronous; whatever the storage does wrong comes out as PublicationError.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
import sqlite3

from .keys import SigningKey
from .publication import Publication, parse

_TABLES = """
CREATE TABLE IF NOT EXISTS links (
    sequence INTEGER PRIMARY KEY, issued TEXT NOT NULL, canonical BLOB NOT NULL, signature TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# A broken link keeps nobody from publishing further.
_NAMES = """
SELECT json_extract(CAST(canonical AS TEXT), '$.signal_id') FROM links
WHERE json_valid(CAST(canonical AS TEXT)) ORDER BY sequence
"""
VERSION = 1
_KEY = "key"


class PublicationError(Exception):
    """The publications cannot be read or written: nothing is published."""


class PublicationStore:
    """A chain and its key; `last` is its newest link."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key: SigningKey | None = None
        self.last: Publication | None = None
        self._signals: dict[str, int] = {}

    def open(self) -> None:
        """Read the key and the newest link, and make a key where there is none. Raises PublicationError."""
        with self._working() as connection:
            connection.executescript(_TABLES)
            ((version,),) = connection.execute("PRAGMA user_version")
            if version > VERSION:
                raise PublicationError("a newer version of Calv-a-lot wrote the publications")
            connection.execute(f"PRAGMA user_version={VERSION}")
            known = connection.execute("SELECT value FROM facts WHERE name = ?", (_KEY,)).fetchone()
            key = SigningKey(known[0] if known else None)
            if known is None:
                connection.execute("INSERT INTO facts VALUES (?, ?)", (_KEY, key.text))
            self.last = next(_links(connection, "ORDER BY sequence DESC LIMIT 1"), None)
            names = connection.execute(_NAMES)
            self._signals = {}
            for (name,) in names:
                self._signals.setdefault(name, len(self._signals))
        self.path.chmod(0o600)
        self.key = key

    @property
    def public_key(self) -> str:
        """The key that followers check with. Raises PublicationError where it is not open."""
        return self.signing_key.public

    @property
    def signing_key(self) -> SigningKey:
        """The key itself. Raises PublicationError where it is not open."""
        if self.key is None:
            raise PublicationError("the publications are not open")
        return self.key

    def write(self, publication: Publication, facts: dict[str, str]) -> None:
        """Commit a link together with what is to be remembered. Raises PublicationError."""
        with self._working() as connection:
            row = publication.sequence, publication.issued.isoformat(), publication.canonical, publication.signature
            connection.execute("INSERT INTO links VALUES (?, ?, ?, ?)", row)
            _remember(connection, facts)
        self.last = publication
        self._signals.setdefault(publication.signal_id, len(self._signals))

    def signals_between(self, earlier: str, later: str) -> int | None:
        """How many signals were published after one, up to another; a link that only renews one counts with it.

        None where one of the two was never published here.
        """
        first, second = self._signals.get(earlier), self._signals.get(later)
        return None if first is None or second is None else max(0, second - first)

    def remember(self, facts: dict[str, str]) -> None:
        """Commit what is to be remembered. Raises PublicationError."""
        with self._working() as connection:
            _remember(connection, facts)

    def fact(self, name: str) -> str | None:
        """What was remembered. Raises PublicationError."""
        with self._working() as connection:
            found = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return found[0] if found else None

    def issued_by(self, time: datetime) -> Publication | None:
        """The newest link that was issued by a time (UTC). Raises PublicationError."""
        if self.last is None or self.last.issued <= time:
            return self.last
        with self._working() as connection:
            where = "WHERE issued <= ? ORDER BY sequence DESC LIMIT 1"
            return next(_links(connection, where, time.isoformat(timespec="seconds")), None)

    def links(self, after: int = 0, limit: int | None = None) -> tuple[Publication, ...]:
        """Links after a sequence number, oldest first. Raises PublicationError."""
        with self._working() as connection:
            where = "WHERE sequence > ? ORDER BY sequence LIMIT ?"
            return tuple(_links(connection, where, after, -1 if limit is None else limit))

    @contextmanager
    def _working(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path)) as connection, connection:
                connection.execute("PRAGMA synchronous=FULL")
                yield connection
        except (sqlite3.Error, OSError, ValueError) as err:
            raise PublicationError(f"the publications cannot be used: {type(err).__name__}") from err


def _links(connection: sqlite3.Connection, where: str, *values: object) -> Iterator[Publication]:
    rows: Iterable[tuple[bytes, str]] = connection.execute(f"SELECT canonical, signature FROM links {where}", values)  # noqa: S608
    for canonical, signature in rows:
        yield parse(canonical, signature)


def _remember(connection: sqlite3.Connection, facts: dict[str, str]) -> None:
    connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
