"""What the stream of the market takes: how late the last of many hears of a candle, connections, memory, processor time, rows."""

import asyncio
from pathlib import Path
import tempfile
import time
import tracemalloc
from typing import Any

from aiohttp import ClientSession
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, HomeAssistant, callback

from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.exchanges.binance_stream import stream_url
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.market.followers import Closed
from custom_components.calvalot.trading.market.store import CandleStore
from custom_components.calvalot.trading.market.stream import MarketStream
from harness.portfolio import COINS, QUOTE

from .calibration import piece
from .figure import Figure, middle
from .stage import BEFORE, World, entry, home, world

SYMBOLS = tuple(f"{coin}{QUOTE}" for coin in COINS)
FRAMES = tuple(frame for frame in TimeFrame if frame is not TimeFrame.M10)
FOLLOWERS = 50
PORTFOLIOS = 50
HOUR = 3600.0
# Seconds after which every price is newer than the one of the cycle before.
BETWEEN_CYCLES = 5.0
# Seconds before a minute of the exchange is over at which one waits for its end.
SHORTLY = 0.5


async def measure(*, quick: bool) -> list[Figure]:
    """Count at the simulators; times are multiples of a piece of Python."""
    async with world() as there:
        figures = [*await _stream(there, rounds=5 if quick else 20, seconds=10.0 if quick else 30.0)]
        async with home() as hass:
            return figures + await _home_assistant(there, hass)


async def _stream(there: World, *, rounds: int, seconds: float) -> list[Figure]:
    p, cpu = piece(), piece(time.process_time)
    with tempfile.TemporaryDirectory(prefix="calvalot-bench-") as folder:
        async with ClientSession() as session:
            url = there.exchange.url
            stream = MarketStream(
                session, stream_url(url), BinanceExchange(session, url), CandleStore(Path(folder) / "m.db"), "host"
            )
            try:
                late = await _lateness(there, stream, rounds)
                memory = await _memory(there, stream)
                used = await _processor(stream, seconds)
            finally:
                await stream.stop()
    return [
        Figure(name="a piece of Python, P", value=p * 1000, unit="ms", by="same run"),
        Figure(
            name=f"close of a candle to the last of {FOLLOWERS} who follow it",
            value=middle(late) / p,
            unit="× P",
            by=f"median of {len(late)}; 50 ms between two looks of the stand-in are in it",
        ),
        Figure(name="… the worst", value=max(late) / p, unit="× P", by="the most of the same"),
        Figure(
            name=f"memory of {len(SYMBOLS)} coins × {len(FRAMES)} time frames, 60 candles each",
            value=memory / 1024,
            unit="KiB",
            bound=4096,
            by="tracemalloc, from the first to the last candle",
        ),
        Figure(
            name="processor time of an hour of it, prices as well",
            value=used * HOUR / seconds / cpu,
            unit="× P",
            by=f"{seconds:.0f} s of the whole stream, times {HOUR / seconds:.0f}; P in processor time",
        ),
    ]


async def _lateness(there: World, stream: MarketStream, rounds: int) -> list[float]:
    """Seconds from the end of a candle, by the exchange's clock, to the last who is shown it."""
    heard: list[tuple[Closed, float]] = []
    ends = [
        stream.follow_candles(SYMBOLS[0], TimeFrame.M1, lambda closed: heard.append((closed, time.time())))
        for _ in range(FOLLOWERS)
    ]
    await _until(lambda: stream.connected)
    late = []
    for _ in range(rounds):
        before = time.time()
        state = await asyncio.to_thread(there.exchange.state)
        ahead = state["server_time"] / 1000 - (before + time.time()) / 2
        left = 60 - (time.time() + ahead) % 60 - SHORTLY
        await there.control("advance", seconds=left if left > 0 else left + 60)
        ahead += left if left > 0 else left + 60
        heard.clear()
        await _until(lambda: len(heard) >= FOLLOWERS)
        closed, last = heard[-1][0], max(at for _, at in heard)
        late.append(last + ahead - closed.candle.opened - closed.frame.seconds)
    for end in ends:
        end()
    return late


async def _memory(there: World, stream: MarketStream) -> int:
    """Bytes that hours of candles leave in memory."""
    count = 0

    def on_candle(_closed: Closed) -> None:
        nonlocal count
        count += 1

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for symbol in SYMBOLS:
        for frame in FRAMES:
            stream.follow_candles(symbol, frame, on_candle)
    await _until(lambda: stream.connected)
    await asyncio.sleep(2)
    for _ in range(24):
        await there.control("walk", steps=1)
        await there.control("advance", seconds=1800)
        await asyncio.sleep(0.3)
    await _until(lambda: count >= 12 * 60 * len(SYMBOLS))
    await asyncio.sleep(2)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return kept


async def _processor(stream: MarketStream, seconds: float) -> float:
    """Processor seconds of everything that the stream does, at the pace of the real one."""
    stream.follow_prices(SYMBOLS, lambda _prices: None)
    await asyncio.sleep(2)
    began = time.process_time()
    await asyncio.sleep(seconds)
    return time.process_time() - began


async def _home_assistant(there: World, hass: HomeAssistant) -> list[Figure]:
    await there.publish(BEFORE)
    figures = []
    for live in (True, False):
        for on in (False, True):
            portfolio = entry(there.data(live=live), live_prices=on)
            await hass.config_entries.async_add(portfolio)
            await portfolio.runtime_data.async_poll()
            if on:
                live_prices = portfolio.runtime_data.live
                await _until(lambda: live_prices.latest)  # noqa: B023  # called before the next one is made
                await asyncio.sleep(BETWEEN_CYCLES)
            await there.requests()
            await portfolio.runtime_data.async_poll()
            asked = await there.requests()
            what = f"{'live' if live else 'dry run'}, {'with' if on else 'without'} the stream"
            bound = (1 if live else 0) if on else None
            figures.append(
                Figure(
                    name=f"idle cycle asks the exchange, {what}", value=len(asked), unit="", bound=bound, by="counted"
                )
            )
            await hass.config_entries.async_remove(portfolio.entry_id)
    return [*figures, *await _many(there, hass)]


async def _many(there: World, hass: HomeAssistant) -> list[Figure]:
    """Connections of many portfolios, and the states that the stream writes between their cycles."""
    opened = (await asyncio.to_thread(there.exchange.state))["streams"]["opened"]
    portfolios = [
        entry(there.data(live=False), f"Portfolio {number}", live_prices=True, poll_interval=3600)
        for number in range(PORTFOLIOS)
    ]
    for portfolio in portfolios:
        await hass.config_entries.async_add(portfolio)
    live_prices: Any = portfolios[-1].runtime_data.live
    await _until(lambda: live_prices.latest)
    written = 0

    @callback
    def note(event: Event[Any]) -> None:
        nonlocal written
        written += ".portfolio_" in event.data["entity_id"]

    await hass.async_block_till_done()
    leave = hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    for _ in range(5):
        await there.control("walk", steps=1)
        await asyncio.sleep(2)
    leave()
    connections = (await asyncio.to_thread(there.exchange.state))["streams"]["opened"] - opened
    return [
        Figure(name=f"connections of {PORTFOLIOS} portfolios", value=connections, unit="", bound=1, by="counted"),
        Figure(
            name="states that moving prices write between two cycles",
            value=written,
            unit="",
            bound=0,
            by=f"counted, {PORTFOLIOS} portfolios for 10 s",
        ),
    ]


async def _until(holds: Any) -> None:
    end = time.monotonic() + 120
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(0.002)
