"""Candles on the disk: a cache that may be deleted at any time, also while it is in use."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import astuple, dataclass
import logging
from pathlib import Path
import sqlite3

from .candles import Candle, TimeFrame

DAY = 86400
# Days that candles are kept where nothing else is said: those of an hour and longer, and the shorter ones.
KEPT_LONG = 400
KEPT_SHORT = 30

_LOGGER = logging.getLogger(__name__)
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_TABLE = """CREATE TABLE IF NOT EXISTS candles (
    host TEXT, symbol TEXT, seconds INTEGER, opened INTEGER,
    open REAL, high REAL, low REAL, close REAL, volume REAL, written INTEGER,
    PRIMARY KEY (host, symbol, seconds, opened)
) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Series:
    """Whose candles they are: host, symbol and time frame."""

    host: str
    symbol: str
    frame: TimeFrame

    @property
    def key(self) -> tuple[str, str, int]:
        """The first columns of its rows."""
        return self.host, self.symbol, self.frame.seconds


class CandleStore:
    """A database file that is opened for each question; every method is synchronous.

    Nothing depends on it: a broken file is begun anew, and what cannot be kept is asked for again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cleaned: int | None = None
        self.kept_long = KEPT_LONG
        self.kept_short = KEPT_SHORT

    def read(self, series: Series, start: int, end: int) -> dict[int, Candle]:
        """The candles that opened from `start` to before `end` (Unix seconds), by when they did."""
        query = (
            "SELECT opened, open, high, low, close, volume FROM candles"
            " WHERE host = ? AND symbol = ? AND seconds = ? AND opened >= ? AND opened < ?"
        )

        def read(connection: sqlite3.Connection) -> dict[int, Candle]:
            return {row[0]: Candle(*row) for row in connection.execute(query, (*series.key, start, end))}

        return self._run(read, {})

    def write(self, candles: Iterable[tuple[Series, Candle]], now: int) -> None:
        """Keep candles, with the time (Unix seconds) at which they are written; once a day delete what is too old by then."""
        rows = [(*series.key, *astuple(candle), now) for series, candle in candles]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            if now // DAY != self._cleaned:
                connection.execute(
                    "DELETE FROM candles WHERE opened < CASE WHEN seconds < 3600 THEN ? ELSE ? END",
                    (now - self.kept_short * DAY, now - self.kept_long * DAY),
                )
                self._cleaned = now // DAY

        self._run(write, None)

    def _run[T](self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path)) as connection, connection:
                connection.execute(_TABLE)
                return work(connection)
        except (sqlite3.Error, OSError) as err:
            _LOGGER.warning("The candles cannot be kept in %s: %s", self._path, err)
            if isinstance(err, sqlite3.Error) and err.sqlite_errorcode & 0xFF in _BROKEN:
                self._path.unlink(missing_ok=True)
        return otherwise
