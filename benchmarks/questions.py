"""What a ledger of 200,000 trades takes to answer, and to hand out as a file."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
import tempfile
import time
import tracemalloc

from custom_components.calvalot.trading import pages
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.queries import Queries
from custom_components.calvalot.trading.reports.form_2086 import Start
from custom_components.calvalot.trading.settings import Settings

from .calibration import piece
from .figure import Figure, middle
from .years import COINS, fill_ledger

TRADES = 200_000
# Multiples of P, which is 1 to 2 ms: 100 ms, and for the files ten seconds.
ANSWER = 100
FILE = 10_000
NEVER = Start()


async def measure(*, quick: bool) -> list[Figure]:
    """Each question some times; the files once."""
    trades, rounds = (20_000, 3) if quick else (TRADES, 9)
    with tempfile.TemporaryDirectory(prefix="calvalot-bench-") as folder:
        path = Path(folder) / "entry.db"
        await asyncio.to_thread(fill_ledger, path, trades)
        ledger = Ledger(path, Mode.DRY_RUN, "USDC")
        await asyncio.to_thread(ledger.open)
        settings = Settings(entry_id="entry", mode=Mode.DRY_RUN, quote="USDC", coins=COINS)
        queries = Queries(settings, ledger, lambda: datetime.now(UTC), "binance")
        try:
            return [*await _answers(queries, rounds, trades), *await _files(queries)]
        finally:
            ledger.close()


async def _answers(queries: Queries, rounds: int, trades: int) -> list[Figure]:
    year = datetime.now(UTC).year
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "statistics": queries.statistics,
        "curves": queries.curves,
        "returns": queries.performance,
        "100 trades": queries.trades,
        "1,000 trades": lambda: queries.trades(1000),
        "100 signals with their legs": queries.signals,
        "a page of 200 trades": lambda: queries.page(pages.trades, 200, trades // 2),
        "a page of 200 signals with their trades": lambda: queries.page(pages.signals, 200, trades // 10),
        "cash flows": queries.cash_flows,
        "gains of a year": lambda: queries.export("gains", year, NEVER, {}),
        "form 2086 of a year": lambda: queries.export("form_2086", year, NEVER, {}),
    }
    unit = piece()
    start = time.monotonic()
    await queries.statistics()
    first = time.monotonic() - start
    figures = []
    for name, ask in questions.items():
        seconds = []
        for _ in range(rounds):
            await asyncio.to_thread(queries.keep_up)
            start = time.monotonic()
            await ask()
            seconds.append(time.monotonic() - start)
        taken = middle(seconds)
        by = f"median of {rounds}: {taken * 1000:.1f} ms; P = {unit * 1000:.2f} ms"
        figures.append(Figure(name=name, value=taken / unit, unit="× P", bound=ANSWER, by=by))
    how = (
        "once: all of it is added up; a portfolio adds up 1,000 trades with each cycle at most, and goes on from there"
    )
    return [*figures, Figure(name="… statistics of a ledger that was never asked", value=first, unit="s", by=how)]


async def _files(queries: Queries) -> list[Figure]:
    figures, unit = [], piece(time.process_time)
    year = datetime.now(UTC).year - 1
    for name, wanted, of in (("all of it", "csv", None), ("all of it", "json", None), ("a year", "koinly", year)):
        start, begun = time.monotonic(), time.process_time()
        file = await queries.export_file(wanted, of)
        size, first = 0, 0.0
        for piece_of in file.pieces:
            first = first or time.monotonic() - start
            size += len(piece_of)
        taken, whole = time.process_time() - begun, time.monotonic() - start
        by = (
            f"once: {taken:.1f} s of the processor, {whole:.1f} s in all, {size / 1e6:.1f} MB, "
            f"its beginning after {first * 1000:.0f} ms; P in processor time"
        )
        figures.append(Figure(name=f"file of {name}, {wanted}", value=taken / unit, unit="× P", bound=FILE, by=by))
    tracemalloc.start()
    file = await queries.export_file("csv", None)
    for _ in file.pieces:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    figures.append(
        Figure(name="memory of a file of all of it", value=peak / 2**20, unit="MiB", bound=16, by="tracemalloc")
    )
    return figures
