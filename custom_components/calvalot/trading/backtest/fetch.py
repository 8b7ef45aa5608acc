"""Has the candles of a backtest in the store before it begins: what is missing there is asked for, a page at a time."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..exchanges.symbols import symbol_of
from ..market.candles import TimeFrame
from ..market.history import CandleExchange, closed_candles
from ..market.store import CandleStore, Series
from .errors import BacktestError

# Days that candles for backtests are kept.
KEPT = 15 * 365
# Candles that are asked for at once.
PAGE = 1000


def store_at(path: Path) -> CandleStore:
    """The store of candles for backtests: they are kept for longer than those of running strategies."""
    store = CandleStore(path)
    store.kept_long = store.kept_short = KEPT
    return store


async def fetch(
    exchange: CandleExchange,
    store: CandleStore,
    host: str,
    symbols: Sequence[str],
    frames: Sequence[tuple[TimeFrame, int, int]],
    report: Callable[[float], Awaitable[None]],
) -> None:
    """Have the candles of some symbols in the store: of each time frame from one time to before another (Unix seconds).

    `report` is told how much of it is there, and may raise. Raises ExchangeError, BacktestError where there are none at all.
    """
    spans = [
        (symbol, frame, first, min(first + PAGE * frame.seconds, end))
        for symbol in symbols
        for frame, begin, end in frames
        for first in range(begin, end, PAGE * frame.seconds)
    ]
    found = dict.fromkeys(symbols, 0)
    for number, (symbol, frame, first, end) in enumerate(spans):
        await report(number / len(spans))
        count = (end - first) // frame.seconds
        until = datetime.fromtimestamp(end, UTC)
        history = await closed_candles(exchange, store, Series(host, symbol, frame), count, until)
        found[symbol] += len(history.candles)
    if empty := [symbol for symbol, count in found.items() if not count]:
        raise BacktestError("backtest_no_candles", coin=", ".join(empty))
    await report(1.0)


def spans_of(
    frame: TimeFrame, first: int, inside: TimeFrame | None, begin: int, end: int
) -> list[tuple[TimeFrame, int, int]]:
    """What is needed of each time frame: from the warm-up on, and shorter ones from the beginning on."""
    shorter = [(inside, begin, end)] if inside else []
    return [(frame, first // frame.seconds * frame.seconds, end), *shorter]


def symbols_of(coins: Sequence[str], quote: str) -> list[str]:
    """Symbols of coins."""
    return [symbol_of(coin, quote) for coin in coins]
