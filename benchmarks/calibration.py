"""What this machine takes for fixed pieces of work: bounds in times are multiples of it, so that they hold on a slower one, too."""

from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
import gc
import hashlib
import hmac
import json
from pathlib import Path
import sqlite3
from statistics import median
import tempfile
import time

type Clock = Callable[[], float]

TIMES = 7
PIECES = 5
COMMITS = 5
_ANSWER = json.dumps([{"symbol": f"COIN{number}USDC", "price": f"{number}.12345678"} for number in range(1, 420)])
_STEP = Decimal("0.00001")


def piece(clock: Clock = time.perf_counter) -> float:
    """Seconds that Python takes for JSON, decimals, signatures and dictionaries: **P**, about a millisecond."""
    return _timed(_python, clock)


def work() -> float:
    """Seconds for five pieces and five commits of SQLite, one after the other: **W**."""
    with tempfile.TemporaryDirectory(prefix="calvalot-bench-") as folder:
        database = sqlite3.connect(Path(folder) / "calibration.db", isolation_level=None)
        with closing(database):
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT)")

            def both() -> None:
                for _ in range(PIECES):
                    _python()
                for _ in range(COMMITS):
                    database.execute("INSERT INTO rows (text) VALUES (?)", (_ANSWER[:500],))

            return _timed(both, time.perf_counter)


def _timed(call: Callable[[], None], clock: Clock) -> float:
    """The median of several times; the collector, which walks through everything else in the process, waits."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        seconds = []
        for _ in range(TIMES):
            start = clock()
            call()
            seconds.append(clock() - start)
        return median(seconds)
    finally:
        if collecting:
            gc.enable()


def _python() -> None:
    rows = json.loads(_ANSWER)
    prices = {row["symbol"]: Decimal(row["price"]) for row in rows}
    value = sum((price * price).quantize(_STEP) for price in prices.values())
    signed = [hmac.new(b"secret", symbol.encode(), hashlib.sha256).hexdigest() for symbol in prices]
    json.dumps({"value": str(value), "signed": signed, "rows": rows})
