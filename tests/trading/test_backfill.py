"""The store is filled backwards: every candle once, gently, and on from where it stopped."""

import asyncio
from pathlib import Path

import pytest

from custom_components.calvalot.trading.errors import ExchangeUnavailable
from custom_components.calvalot.trading.exchanges.host import HostLimits
from custom_components.calvalot.trading.market.backfill import PAGE, Backfill
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.market.store import CandleStore, Series

from .rig import Rig
from .test_candles import SYMBOL, klines, moved

FRAME = TimeFrame.M1


@pytest.fixture
def store(tmp_path: Path) -> CandleStore:
    """A store that nothing was kept in yet."""
    return CandleStore(tmp_path / "market.db")


class Pauses:
    """Sleeps that take no time, and may break something off."""

    def __init__(self, most: int = 1000) -> None:
        self.taken: list[float] = []
        self._most = most

    async def sleep(self, seconds: float) -> None:
        """Note one."""
        self.taken.append(seconds)
        if len(self.taken) >= self._most:
            raise asyncio.CancelledError


def fill(rig: Rig, store: CandleStore, pauses: Pauses, hours: int, frame: TimeFrame = FRAME) -> Backfill:
    """What fills some hours back from now."""
    now = rig.exchange.server_time // 1000
    series = Series("host", SYMBOL, frame)
    return Backfill(rig.binance(), store, series, now - hours * 3600, now, sleep=pauses.sleep)


async def test_page_by_page(rig: Rig, store: CandleStore) -> None:
    """All candles are there, a page at a time with a pause after each; ten minutes are made from five."""
    moved(rig.exchange, 40 * 60)
    pauses = Pauses()
    work = fill(rig, store, pauses, 39)
    assert work.running
    await work.run()
    assert (work.done, work.running) == (work.wanted, False)
    assert klines(rig.exchange) == -(-work.wanted // PAGE) == 3
    assert pauses.taken == [1.0] * 3
    assert len(store.read(Series("host", SYMBOL, FRAME), work.since, 2**40)) == work.wanted
    longer = fill(rig, store, pauses, 39, TimeFrame.M10)
    await longer.run()
    assert longer.done == longer.wanted == 39 * 6
    assert klines(rig.exchange) == 4


async def test_goes_on(rig: Rig, store: CandleStore) -> None:
    """What was interrupted is not asked for again."""
    moved(rig.exchange, 40 * 60)
    with pytest.raises(asyncio.CancelledError):
        await fill(rig, store, Pauses(2), 39).run()
    asked = klines(rig.exchange)
    assert asked == 2
    await fill(rig, store, Pauses(), 39).run()
    assert klines(rig.exchange) == asked + 1


async def test_patient(rig: Rig, store: CandleStore) -> None:
    """While the exchange fails it waits, longer each time, says why, and goes on."""
    moved(rig.exchange, 5 * 60)
    rig.exchange.fault("error", path="/klines", status=503, count=3)
    pauses = Pauses()
    work = fill(rig, store, pauses, 4)
    problems = []

    async def sleep(seconds: float) -> None:
        problems.append(work.problem)
        await pauses.sleep(seconds)

    work = Backfill(rig.binance(), store, Series("host", SYMBOL, FRAME), work.since, work.since + 4 * 3600, sleep=sleep)
    await work.run()
    assert pauses.taken == [1.0, 2.0, 4.0, 1.0]
    assert [type(problem) for problem in problems] == [ExchangeUnavailable] * 3 + [type(None)]
    assert not work.running


async def test_others_first(rig: Rig, store: CandleStore) -> None:
    """Where most of a minute's weight is used, it waits for the next one."""
    moved(rig.exchange, 5 * 60)
    now = [0.0]
    limits = HostLimits(wall_clock=lambda: now[0], crowded=1)
    exchange = rig.binance(limits=limits)
    await exchange.server_time()
    taken = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)
        now[0] += seconds

    end = rig.exchange.server_time // 1000
    await Backfill(exchange, store, Series("host", SYMBOL, FRAME), end - 3600, end, sleep=sleep).run()
    assert taken == [60.0, 1.0]


def test_nothing_to_do(rig: Rig, store: CandleStore) -> None:
    """A time that is not over yet wants nothing."""
    assert not fill(rig, store, Pauses(), -1).running
