"""Closed candles: each one once, as the exchange has it, asked for only where it is missing."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
import sqlite3

import pytest

from custom_components.calvalot.trading.errors import ExchangeUnavailable, Refused
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame, merged
from custom_components.calvalot.trading.market.history import closed_candles
from custom_components.calvalot.trading.market.store import DAY, KEPT_LONG, KEPT_SHORT, CandleStore, Series
from simulators.exchange import ExchangeSimulator

from .rig import Rig

SYMBOL = "BTCUSDC"
STEP = 20


@pytest.fixture
def store(tmp_path: Path) -> CandleStore:
    """A store that nothing was kept in yet."""
    return CandleStore(tmp_path / "cache" / "market.db")


def series(frame: TimeFrame, symbol: str = SYMBOL) -> Series:
    """Candles of BTC."""
    return Series("host", symbol, frame)


def moved(sim: ExchangeSimulator, minutes: int) -> list[tuple[int, float]]:
    """Have the market walk for some minutes, in steps; returns when (Unix seconds) it cost what.

    No step is near the end of a candle, whatever time passes between its price and a look at the clock.
    """
    prices = []
    for _ in range(minutes * 60 // STEP):
        sim.advance(STEP - (sim.server_time / 1000 - STEP / 4) % STEP)
        sim.walk()
        prices.append((sim.server_time // 1000, float(sim.price(SYMBOL))))
    return prices


def reckoned(prices: list[tuple[int, float]], frame: TimeFrame) -> Iterator[Candle]:
    """Candles from the prices, but for the first, which they do not fill, and the last, which is open."""
    begun = sorted({time // frame.seconds for time, _ in prices})[1:-1]
    for number in begun:
        inside = [price for time, price in prices if time // frame.seconds == number]
        opened = number * frame.seconds
        yield Candle(opened, inside[0], max(inside), min(inside), inside[-1], len(inside))


def klines(sim: ExchangeSimulator) -> int:
    """How often candles were asked for."""
    return sim.count("GET", "/klines")


@pytest.mark.parametrize("frame", [frame for frame in TimeFrame if frame is not TimeFrame.D1])
async def test_as_the_prices_were(rig: Rig, store: CandleStore, frame: TimeFrame) -> None:
    """Every closed candle is there once, reckoned from all prices; 10 minutes are made from 5, and the open one is left out."""
    wanted = [*reckoned(moved(rig.exchange, 13 * 60), frame)]
    assert len(wanted) >= 2
    for _ in range(2):
        found = await closed_candles(rig.binance(page=17), store, series(frame), len(wanted))
        assert found.missing == 0
        assert [*found.candles] == wanted
    now = rig.exchange.server_time // 1000
    assert found.candles[-1].opened + frame.seconds <= now
    assert all(after.opened - before.opened == frame.seconds for before, after in pairwise(found.candles))


async def test_only_what_is_missing(rig: Rig, store: CandleStore) -> None:
    """What was kept is not asked for again, whoever asks, and of what is new only the new ones are."""
    sim = rig.exchange
    moved(sim, 130)
    first = await closed_candles(rig.binance(), store, series(TimeFrame.M1), 120)
    assert klines(sim) == 1
    assert await closed_candles(rig.binance(), store, series(TimeFrame.M1), 60) == type(first)(first.candles[60:], 0)
    assert klines(sim) == 1
    moved(sim, 2)
    later = await closed_candles(rig.binance(), store, series(TimeFrame.M1), 120)
    assert later.candles[:-2] == first.candles[2:]
    assert klines(sim) == 2
    asked = sim.requests[-1]
    assert int(asked.params["startTime"]) == later.candles[-2].opened * 1000
    assert (await closed_candles(rig.binance(), store, series(TimeFrame.M1, "ETHUSDC"), 60)).candles != first.candles[
        60:
    ]
    assert klines(sim) == 3


async def test_until(rig: Rig, store: CandleStore) -> None:
    """Those that were closed at a time; one that lies ahead is now."""
    moved(rig.exchange, 130)
    api = rig.binance()
    now = await closed_candles(api, store, series(TimeFrame.M1), 100)
    ahead = datetime.fromtimestamp(rig.exchange.server_time / 1000, UTC) + timedelta(days=1)
    assert await closed_candles(api, store, series(TimeFrame.M1), 100, ahead) == now
    closed = now.candles[-10].opened + 60
    for seconds, last in ((0, -10), (59, -10), (60, -9), (-1, -11)):
        until = datetime.fromtimestamp(closed + seconds, UTC)
        assert (await closed_candles(api, store, series(TimeFrame.M1), 5, until)).candles[-1] == now.candles[last]


async def test_clock_of_the_exchange(rig: Rig, store: CandleStore) -> None:
    """Closed is what has ended for the exchange, whatever time it is here."""
    rig.exchange.advance(7200)
    moved(rig.exchange, 30)
    found = await closed_candles(rig.binance(), store, series(TimeFrame.M1), 10)
    assert 60 <= rig.exchange.server_time / 1000 - found.candles[-1].opened < 120


async def test_goes_on_where_it_was_interrupted(rig: Rig, store: CandleStore) -> None:
    """The pages that came are kept."""
    sim = rig.exchange
    moved(sim, 130)
    fault = sim.fault("drop", path="/klines", skip=3, count=2)  # a broken connection is tried once more
    with pytest.raises(ExchangeUnavailable):
        await closed_candles(rig.binance(page=20), store, series(TimeFrame.M1), 100)
    assert fault.hits == 2
    sim.forget_requests()
    assert (await closed_candles(rig.binance(page=20), store, series(TimeFrame.M1), 100)).missing == 0
    assert klines(sim) == 2


async def test_what_the_exchange_does_not_have(rig: Rig, store: CandleStore) -> None:
    """Candles from before its history are counted as missing; of an unlisted pair there is none at all."""
    moved(rig.exchange, 61)
    api = rig.binance()
    found = await closed_candles(api, store, series(TimeFrame.M1), 1000)
    assert found.missing + len(found.candles) == 1000
    assert 60 <= len(found.candles) <= 62
    assert (await closed_candles(api, store, series(TimeFrame.M10), 1000)).missing in (1000 - 6, 1000 - 5)
    before = datetime.fromtimestamp(found.candles[0].opened - 3600, UTC)
    assert (await closed_candles(api, store, series(TimeFrame.M1), 10, before)).candles == ()
    with pytest.raises(Refused):
        await closed_candles(api, store, series(TimeFrame.M1, "NONEUSDC"), 10)


class Stubborn:
    """An exchange that answers with candles that were not asked for."""

    time_frames = frozenset({TimeFrame.M1})

    async def server_time(self) -> datetime:
        """An hour."""
        return datetime.fromtimestamp(3600, UTC)

    async def candles(self, symbol: str, frame: TimeFrame, start: int, end: int) -> list[Candle]:
        """The one before, one that is none of this time frame, the one wanted first, and the open one."""
        assert (symbol, start < end) == (SYMBOL, True)
        times = (start - frame.seconds, start + 1, start, 3600)
        return [Candle(time, 1, 1, 1, 1, 1) for time in times]


async def test_what_was_not_asked_for(store: CandleStore) -> None:
    """Only what was asked for counts."""
    found = await closed_candles(Stubborn(), store, series(TimeFrame.M1), 5)
    assert [candle.opened for candle in found.candles] == [*range(3300, 3600, 60)]
    found = await closed_candles(Stubborn(), store, series(TimeFrame.H1), 1)
    assert (found.missing, [candle.opened for candle in found.candles]) == (0, [0])


def test_longer_ones() -> None:
    """A longer candle has what its parts have together, and is not made where one of them is missing."""
    parts = [Candle(300 * number, 10 + number, 20 + number, 1 + number, 11 + number, 2) for number in range(6)]
    made = merged([*parts[:3], *parts[4:]], TimeFrame.M5, TimeFrame.M10)
    assert made == (Candle(0, 10, 21, 1, 12, 4), Candle(1200, 14, 25, 5, 16, 4))
    assert merged(parts, TimeFrame.M5, TimeFrame.M5) == tuple(parts)


def test_basis() -> None:
    """The longest that is offered and fits; where it is offered itself, that one."""
    for frame in TimeFrame:
        assert frame.basis(TimeFrame) is frame
    assert TimeFrame.M10.basis(BinanceExchange.time_frames) is TimeFrame.M5
    assert TimeFrame.H2.basis({TimeFrame.M1, TimeFrame.H1, TimeFrame.M15}) is TimeFrame.H1


async def test_a_store_that_is_deleted_or_broken(rig: Rig, tmp_path: Path) -> None:
    """It is begun anew, and the answer is the same."""
    path = tmp_path / "market.db"
    store, sim = CandleStore(path), rig.exchange
    moved(sim, 30)
    first = await closed_candles(rig.binance(), store, series(TimeFrame.M1), 20)
    path.unlink()
    assert await closed_candles(rig.binance(), store, series(TimeFrame.M1), 20) == first
    path.write_bytes(b"no database" * 1000)
    assert await closed_candles(rig.binance(), store, series(TimeFrame.M1), 20) == first
    before = klines(sim)
    assert await closed_candles(rig.binance(), store, series(TimeFrame.M1), 20) == first
    assert klines(sim) == before == 3


async def test_a_store_that_keeps_nothing(rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be written the exchange answers, and the log says why."""
    sim = rig.exchange
    moved(sim, 30)
    (tmp_path / "file").touch()
    found = await closed_candles(rig.binance(), CandleStore(tmp_path / "file" / "market.db"), series(TimeFrame.M1), 20)
    assert found.missing == 0
    assert "The candles cannot be kept" in caplog.text


def test_kept_for_so_long(store: CandleStore) -> None:
    """Short ones for 30 days, those of an hour and longer for 400, whatever they are of."""
    now = 1000 * DAY
    for frame, days in ((TimeFrame.M15, KEPT_SHORT), (TimeFrame.H1, KEPT_LONG)):
        oldest = now - days * DAY
        candles = [Candle(opened, 1, 1, 1, 1, 1) for opened in (oldest - frame.seconds, oldest)]
        store.write([(series(frame), candle) for candle in candles], oldest)
        assert len(store.read(series(frame), 0, now)) == 2
        store.write((), now)
        assert [*store.read(series(frame), 0, now)] == [oldest]


def test_written_when(store: CandleStore, tmp_path: Path) -> None:
    """Beside its own time a candle has the one at which it was written."""
    store.write([(series(TimeFrame.H1), Candle(3600, 1, 2, 0.5, 1.5, 7))], 7205)
    with closing(sqlite3.connect(tmp_path / "cache" / "market.db")) as connection:
        assert connection.execute("SELECT opened, written FROM candles").fetchall() == [(3600, 7205)]
