"""The stream of the market: closed candles once each, in order, whatever happens on the way."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
import json
import os
from pathlib import Path
import random
import time

from aiohttp import WSCloseCode, WSMsgType, WSServerHandshakeError
import pytest

from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.exchanges.binance_stream import BinanceStreams, read_update, stream_url
from custom_components.calvalot.trading.exchanges.kraken import market as kraken_market
from custom_components.calvalot.trading.exchanges.stream import CandleUpdate, ServerShutdown, StreamConnection
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.market.followers import Closed
from custom_components.calvalot.trading.market.store import CandleStore, Series
from custom_components.calvalot.trading.market.stream import MarketStream
from harness.stream import HOST, QUICK, Seen, make_stream
from simulators.exchange.streams import StreamFault

from .rig import Rig

SYMBOL = "BTCUSDC"
STEP = 20
STORM = int(os.environ.get("CALVALOT_STORM", "1000"))


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds, a minute at most."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest.fixture
async def stream(rig: Rig, tmp_path: Path) -> AsyncGenerator[MarketStream]:
    """A stream that nobody follows yet."""
    stream = make_stream(rig.exchange, rig.session, tmp_path / "market.db")
    yield stream
    await stream.stop()


@pytest.fixture
def seen(rig: Rig) -> Seen:
    """What somebody is shown."""
    return Seen(rig.exchange)


async def follow(rig: Rig, stream: MarketStream, seen: Seen, *frames: TimeFrame, symbol: str = SYMBOL) -> None:
    """Follow candles from the next minute on."""
    for frame in frames:
        stream.follow_candles(symbol, frame, seen.take)
    await until(lambda: subscribed(rig) >= {f"{symbol.lower()}@kline_{frame}" for frame in frames if frame != "10m"})
    await until(lambda: stream.connected)


def subscribed(rig: Rig) -> set[str]:
    """The streams that somebody follows."""
    return {name for connection in rig.exchange.streams.connections for name in connection.streams}


async def minutes(rig: Rig, count: int) -> None:
    """Let the market walk for some minutes, and send what that brings."""
    sim = rig.exchange
    for _ in range(count * 60 // STEP):
        rig.clock.advance(STEP)
        sim.walk()
        await sim.streams.flush()


async def history(rig: Rig, frame: TimeFrame, times: list[int], symbol: str = SYMBOL) -> list[Candle]:
    """What the exchange has of these candles."""
    found: list[Candle] = []
    start = times[0]
    while page := await rig.binance().candles(symbol, frame, start, times[-1] + 1):
        found += page
        start = page[-1].opened + frame.seconds
    return found


def joined(times: list[int], frame: TimeFrame) -> bool:
    """Whether each is there once, in order, after the one before."""
    return all(after - before == frame.seconds for before, after in pairwise(times))


async def test_closed_candles(rig: Rig, stream: MarketStream, seen: Seen) -> None:
    """Each is shown once, after its end, as the exchange has it; 10 minutes are made from 5."""
    await minutes(rig, 20)
    await follow(rig, stream, seen, TimeFrame.M1, TimeFrame.M5, TimeFrame.M10)
    await minutes(rig, 31)
    # The third one of ten minutes may be over, and written down, before the thirtieth minute is.
    wanted = {TimeFrame.M1: 30, TimeFrame.M5: 6, TimeFrame.M10: 3}
    await until(lambda: all(len(seen.times(SYMBOL, frame)) >= count for frame, count in wanted.items()))
    assert seen.too_early == 0
    for frame in (TimeFrame.M1, TimeFrame.M5):
        times = seen.times(SYMBOL, frame)
        assert joined(times, frame)
        assert [closed.candle for closed in seen.candles[SYMBOL, frame]] == await history(rig, frame, times)
    assert joined(seen.times(SYMBOL, TimeFrame.M10), TimeFrame.M10)
    assert all(closed.joins for each in seen.candles.values() for closed in each)
    assert rig.exchange.streams.opened == 1


@pytest.mark.parametrize("kind", StreamFault)
async def test_faults(rig: Rig, stream: MarketStream, seen: Seen, tmp_path: Path, kind: StreamFault) -> None:
    """Whatever happens to a message, its candle is seen once, and nothing is seen that follows a gap."""
    await follow(rig, stream, seen, TimeFrame.M1)
    await minutes(rig, 2)
    rig.exchange.streams.fault(kind)
    await minutes(rig, 1)
    if kind in {StreamFault.CUT, StreamFault.SHUTDOWN, StreamFault.SILENCE}:
        await until(lambda: rig.exchange.streams.opened > 1 and stream.connected)
    await minutes(rig, 4)
    await until(lambda: len(seen.times(SYMBOL, TimeFrame.M1)) >= 6)
    times = seen.times(SYMBOL, TimeFrame.M1)
    assert joined(times, TimeFrame.M1)
    assert seen.too_early == 0
    kept = CandleStore(tmp_path / "market.db").read(Series(HOST, SYMBOL, TimeFrame.M1), times[0], times[-1] + 1)
    assert [*kept.values()] == await history(rig, TimeFrame.M1, times)
    assert stream.health.frames[TimeFrame.M1].corrected == (kind is StreamFault.LATE_TRADE)


async def test_storm(rig: Rig, seen: Seen, tmp_path: Path) -> None:
    """Faults of every kind at random, on the stream and on the questions: every candle once, as the exchange has it."""
    stream = make_stream(rig.exchange, rig.session, tmp_path / "market.db", replace(QUICK, silence=0.5))
    sim, chance = rig.exchange, random.Random(16)
    symbols = [f"{coin}USDC" for coin in ("BTC", "ETH", "BNB", "SOL", "XRP")]
    frames = [frame for frame in TimeFrame if frame is not TimeFrame.D1]
    for symbol in symbols:
        await follow(rig, stream, seen, *frames, symbol=symbol)
    faults, begun = 0, sim.server_time / 1000
    while seen.count < STORM or faults < STORM // 20:
        if chance.random() < 1 / 3:
            faults += 1
            kind = chance.choice([*StreamFault, "klines"])
            if kind == "klines":
                sim.fault(chance.choice(["drop", "status", "broken_json"]), path="/klines", count=chance.randint(1, 3))
            else:
                sim.streams.fault(str(kind), skip=chance.randrange(5))
        await minutes(rig, 1)
        await asyncio.sleep(0.01)
        if sim.streams.connections and chance.random() < 1 / 3:
            await until(lambda: stream.connected)
    sim.clear_faults()
    sim.streams.waiting.clear()
    await minutes(rig, 6)
    end = sim.server_time / 1000 - QUICK.grace
    last = {frame: end // frame.seconds * frame.seconds - frame.seconds for frame in frames}
    wanted = [(symbol, frame) for symbol in symbols for frame in frames if last[frame] + frame.seconds > begun]
    await until(lambda: all(seen.times(*series)[-1:] >= [last[series[1]]] for series in wanted))
    assert seen.too_early == 0
    changed = 0
    for symbol, frame in wanted:
        times = seen.times(symbol, frame)
        assert joined(times, frame)
        if frame is TimeFrame.M10:
            continue
        whole = await history(rig, frame, times, symbol)
        kept = CandleStore(tmp_path / "market.db").read(Series(HOST, symbol, frame), times[0], times[-1] + 1)
        assert [*kept.values()] == whole
        shown = [closed.candle for closed in seen.candles[symbol, frame]]
        changed += sum(one != other for one, other in zip(shown, whole, strict=True))
    assert changed == sum(frame.corrected for frame in stream.health.frames.values())
    assert changed <= sim.streams.injected["late_trade"]
    await stream.stop()
    print(f"{seen.count} candles, {faults} faults: {dict(sim.streams.injected)} {sim.streams.opened} connections")


async def test_one_connection_for_all(rig: Rig, stream: MarketStream) -> None:
    """Fifty who follow the same, and more, share a connection; it carries what somebody needs, and ends with the last of them."""
    sim, all_seen = rig.exchange, [Seen(rig.exchange) for _ in range(50)]
    ends = [stream.follow_candles(SYMBOL, TimeFrame.M1, seen.take) for seen in all_seen]
    ends.append(stream.follow_candles("ETHUSDC", TimeFrame.H1, all_seen[0].take))
    await until(lambda: subscribed(rig) == {"btcusdc@kline_1m", "ethusdc@kline_1h"})
    await minutes(rig, 2)
    await until(lambda: all(len(seen.times(SYMBOL, TimeFrame.M1)) == 2 for seen in all_seen))
    ends.pop()()
    rig.clock.advance(5)
    await sim.streams.flush()
    await until(lambda: subscribed(rig) == {"btcusdc@kline_1m"})
    assert {*stream.health.frames} == {TimeFrame.M1}
    assert (sim.streams.opened, sim.streams.most_at_once) == (1, 1)
    for end in ends:
        end()
        end()
    await until(lambda: not sim.streams.connections)
    assert not stream.followed
    assert not stream.connected
    stream.follow_candles(SYMBOL, TimeFrame.M1, all_seen[0].take)
    await until(lambda: subscribed(rig) == {"btcusdc@kline_1m"})


async def test_somebody_breaks(rig: Rig, stream: MarketStream, seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    """Who breaks is no harm to the others."""

    def broken(_closed: Closed) -> None:
        raise RuntimeError("broken")

    stream.follow_candles(SYMBOL, TimeFrame.M1, broken)
    await follow(rig, stream, seen, TimeFrame.M1)
    await minutes(rig, 2)
    await until(lambda: seen.count == 2)
    assert "Somebody who follows the market broke" in caplog.text


async def test_before_the_day_is_over(rig: Rig, tmp_path: Path, seen: Seen) -> None:
    """Another connection is there before the old one goes, and before the exchange would cut it."""
    stream = make_stream(rig.exchange, rig.session, tmp_path / "market.db", replace(QUICK, lifetime=0.5))
    await follow(rig, stream, seen, TimeFrame.M1)
    await until(lambda: rig.exchange.streams.opened == 3)
    assert rig.exchange.streams.most_at_once == 2
    await minutes(rig, 2)
    await until(lambda: seen.count == 2)
    await stream.stop()


async def test_the_exchange_cuts(rig: Rig, stream: MarketStream, seen: Seen) -> None:
    """After a day the exchange ends the connection, and soon after it said so when it shuts down."""
    streams = rig.exchange.streams
    await follow(rig, stream, seen, TimeFrame.H1)
    rig.clock.advance(24 * 3600)
    await until(lambda: streams.opened == 2)
    await until(lambda: stream.connected)
    assert streams.most_at_once == 1
    await streams.shut_down()
    await until(lambda: streams.opened == 3)
    assert streams.most_at_once == 2
    await until(lambda: seen.count >= 23)
    assert joined(seen.times(SYMBOL, TimeFrame.H1), TimeFrame.H1)


async def test_silence(rig: Rig, stream: MarketStream, seen: Seen) -> None:
    """A connection on which nothing is heard is replaced."""
    await follow(rig, stream, seen, TimeFrame.M1)
    rig.exchange.streams.silence()
    await until(lambda: rig.exchange.streams.opened == 2)
    await minutes(rig, 2)
    await until(lambda: seen.count == 2)


async def test_no_connection(rig: Rig, stream: MarketStream, seen: Seen) -> None:
    """It is tried again without an end, less and less often; meanwhile candles come by ordinary questions."""
    said: list[tuple[bool, bool]] = []
    silent = stream.listen(lambda: said.append((stream.health.connected, stream.health.sound)))
    faults = [
        rig.exchange.fault("drop", path="/stream", count=3),
        rig.exchange.fault("status", path="/stream", skip=3, count=None),
    ]
    stream.follow_candles(SYMBOL, TimeFrame.M1, seen.take)
    await until(lambda: faults[1].hits > 3)
    assert stream.health.problem == "no connection"
    rig.exchange.advance(60 + QUICK.grace)
    rig.exchange.clear_faults()
    await until(lambda: stream.health.sound and seen.count)
    assert stream.health.problem is None
    assert said == [(False, False), (True, True)]
    silent()
    await rig.exchange.streams.cut()
    await until(lambda: rig.exchange.streams.opened == 2)
    assert len(said) == 2


async def test_too_many_connections(rig: Rig) -> None:
    """The exchange refuses whoever connects too often, and cuts off who says too much or asks for too many streams."""
    url = stream_url(rig.exchange.url)
    ws = await rig.session.ws_connect(f"{url}?streams=btcusdc@kline_1m/btcusdc@miniTicker")
    await ws.send_str('{"method": "LIST_SUBSCRIPTIONS", "id": 1}')
    while "result" not in (answer := await ws.receive_json()):
        pass
    assert answer == {"result": ["btcusdc@kline_1m", "btcusdc@miniTicker"], "id": 1}
    for wrong in ('{"method": "SUBSCRIBE"}', '{"method": "JUMP", "id": 2}', "[]", many_streams()):
        await ws.send_str(wrong)
        while "error" not in (answer := await ws.receive_json()):
            pass
        assert answer["error"]["code"] == 2
    await ws.send_str("{}")
    await ws.send_str("{}")
    while (message := await ws.receive()).type != WSMsgType.CLOSE:
        pass
    assert message.data == WSCloseCode.POLICY_VIOLATION
    for _ in range(299):
        await (await rig.session.ws_connect(url)).close()
    with pytest.raises(WSServerHandshakeError):
        await rig.session.ws_connect(url)


def many_streams() -> str:
    """A question for more streams than there may be."""
    return json.dumps({"method": "SUBSCRIBE", "params": [f"{number}@trade" for number in range(1025)], "id": 3})


async def test_a_ping_that_nobody_answers(rig: Rig) -> None:
    """The exchange ends a connection whose pings stay unanswered; ours is answered."""
    ws = await rig.session.ws_connect(stream_url(rig.exchange.url), autoping=False)
    await ws.ping(b"there?")
    assert (await ws.receive()).type is WSMsgType.PONG
    rig.clock.advance(20)
    assert (await ws.receive()).type is WSMsgType.PING
    rig.clock.advance(60)
    while (await ws.receive()).type is WSMsgType.PING:
        pass
    assert not rig.exchange.streams.connections


async def test_prices(rig: Rig, stream: MarketStream) -> None:
    """Who follows prices is told of those that changed; what is asked for is answered while all of it is fresh."""
    told: list[Mapping[str, Decimal]] = []
    end = stream.follow_prices([SYMBOL, "ETHUSDC"], told.append)
    assert stream.prices([SYMBOL]) is None
    await until(lambda: stream.prices([SYMBOL, "ETHUSDC"]))
    rig.exchange.set_price(SYMBOL, "90000")
    rig.clock.advance(1)
    await until(lambda: stream.prices([SYMBOL]) == {SYMBOL: 90000})
    await until(lambda: told[-1].get(SYMBOL) == 90000)
    assert stream.prices([SYMBOL, "SOLUSDC"]) is None
    assert stream.health.frames == {}
    fault = rig.exchange.fault("status", path="/stream", count=None)
    await rig.exchange.streams.cut()
    await until(lambda: fault.hits)
    assert stream.prices([SYMBOL]) is None
    end()


async def test_old_prices(rig: Rig, tmp_path: Path) -> None:
    """A price that is not told again in time is not known any more."""
    stream = make_stream(rig.exchange, rig.session, tmp_path / "market.db", replace(QUICK, price_age=0.2))
    stream.follow_prices([SYMBOL], lambda _prices: None)
    rig.exchange.remove_price("ETHUSDC")
    stream.follow_prices(["ETHUSDC", "NONEUSDC"], lambda _prices: None)
    await until(lambda: stream.prices([SYMBOL]))
    rig.exchange.remove_price(SYMBOL)
    await until(lambda: stream.prices([SYMBOL]) is None)
    assert stream.connected
    await stream.stop()


async def test_open_candles(rig: Rig, stream: MarketStream, seen: Seen) -> None:
    """Who wants to sees them move, too."""
    updates: list[CandleUpdate] = []
    stream.follow_candles(SYMBOL, TimeFrame.M1, seen.take, updates.append)
    await until(lambda: len(updates) >= 1)
    await minutes(rig, 2)
    await until(lambda: seen.count == 2)
    assert {update.closed for update in updates} == {True, False}
    assert [*stream.recent(SYMBOL, TimeFrame.M1)] == [closed.candle for closed in seen.candles[SYMBOL, TimeFrame.M1]]
    assert stream.recent("ETHUSDC", TimeFrame.M1) == ()


async def test_ten_minutes_later_on(rig: Rig, stream: MarketStream, seen: Seen) -> None:
    """Candles that are made from others begin with the first whole one."""
    await follow(rig, stream, seen, TimeFrame.M5)
    await minutes(rig, 15 - rig.exchange.server_time // 60_000 % 10)
    await until(lambda: seen.times(SYMBOL, TimeFrame.M5)[-1:] >= [rig.exchange.server_time // 300_000 * 300 - 300])
    stream.follow_candles(SYMBOL, TimeFrame.M10, seen.take)
    await minutes(rig, 25)
    await until(lambda: len(seen.times(SYMBOL, TimeFrame.M10)) == 2)
    assert joined(seen.times(SYMBOL, TimeFrame.M10), TimeFrame.M10)


async def test_the_exchange_has_none(rig: Rig, stream: MarketStream, seen: Seen) -> None:
    """A gap of the exchange's own is gone over, and said."""
    await follow(rig, stream, seen, TimeFrame.M1)
    await minutes(rig, 2)
    rig.exchange.streams.fault("lose", count=2)
    rig.exchange.fault("empty_list", path="/klines", count=2)
    await minutes(rig, 5)
    await until(lambda: seen.count >= 5)
    times = seen.times(SYMBOL, TimeFrame.M1)
    assert [after - before for before, after in pairwise(times)] == [60, 180, 60, 60]
    assert [closed.joins for closed in seen.candles[SYMBOL, TimeFrame.M1]] == [True, True, False, True, True]
    assert stream.health.frames[TimeFrame.M1].absent == 2


async def test_left_alone(rig: Rig, tmp_path: Path, seen: Seen) -> None:
    """While the exchange has no weight left nothing is fetched, and the clock is asked for until it is known."""
    limits = rig.limits(crowded=1)
    exchange = BinanceExchange(rig.session, rig.exchange.url, limits=limits)
    stream = MarketStream(
        rig.session, stream_url(rig.exchange.url), exchange, CandleStore(tmp_path / "market.db"), HOST, QUICK
    )
    rig.exchange.fault("status", path="/stream", count=None)
    fault = rig.exchange.fault("status", path="/time", count=2)
    stream.follow_candles(SYMBOL, TimeFrame.M1, seen.take)
    await until(lambda: fault.hits == 2 and limits.used_weight)
    rig.clock.advance(61 - rig.clock.time() % 60)
    limits.used_weight = None
    await until(lambda: stream.health.frames)
    await stream.stop()
    assert not stream.connected


async def test_following_on_a_broken_connection(rig: Rig, stream: MarketStream) -> None:
    """It is over, with its reason, and nothing is raised; a stream that nobody ever followed ends, too."""
    url = stream_url(rig.exchange.url)
    connection = await StreamConnection.open(rig.session, url, 5, BinanceStreams(), lambda _update: None)
    await until(lambda: rig.exchange.streams.connections)
    await rig.exchange.streams.cut()
    await until(lambda: not connection.alive)
    await connection.follow(["btcusdc@kline_1m"])
    assert connection.over.result() == "the connection broke"
    await connection.close()
    await stream.stop()


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("https://api.binance.com", "wss://data-stream.binance.vision/stream"),
        ("https://api3.binance.com/", "wss://data-stream.binance.vision/stream"),
        ("https://testnet.binance.vision", "wss://stream.testnet.binance.vision/stream"),
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/stream"),
        ("https://exchange.example", "wss://exchange.example/stream"),
    ],
)
def test_addresses(base: str, address: str) -> None:
    """The streams of Binance are on hosts of their own."""
    assert stream_url(base) == address


def test_messages() -> None:
    """What is of no interest is nothing; what cannot be read is an error."""
    assert read_update('{"result": null, "id": 1}') is None
    assert read_update('{"e": "24hrMiniTicker", "s": "A", "c": "0", "E": 1}') is None
    assert isinstance(read_update('{"e": "serverShutdown", "E": 1}'), ServerShutdown)
    for broken in ("", "[]", '{"e": "kline"}', '{"e": "24hrMiniTicker", "s": "A", "c": "-1", "E": 1}'):
        with pytest.raises((ValueError, KeyError, AttributeError)):
            read_update(broken)


async def test_unlisted(rig: Rig, stream: MarketStream, seen: Seen) -> None:
    """A symbol that the exchange does not list is named, asked for now and then, and breaks nothing for the others."""
    stream.follow_candles("NONEUSDC", TimeFrame.M1, seen.take)
    await follow(rig, stream, seen, TimeFrame.M1)
    await minutes(rig, 4)
    await until(lambda: stream.health.unlisted == ("NONEUSDC",))
    await until(lambda: len(seen.times(SYMBOL, TimeFrame.M1)) >= 3)
    assert stream.health.sound
    await minutes(rig, 4)
    await until(lambda: len(seen.times(SYMBOL, TimeFrame.M1)) >= 7)
    asked = [request for request in rig.exchange.requests if request.params.get("symbol") == "NONEUSDC"]
    assert len(asked) == 1


async def test_without_a_stream(kraken_rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that has none is asked for each candle once it is over; of prices nothing is known."""
    monkeypatch.setattr(kraken_market, "BETWEEN", 0)
    stream = MarketStream(
        kraken_rig.session, None, kraken_rig.kraken("", ""), CandleStore(tmp_path / "market.db"), HOST, QUICK
    )
    shown: list[Closed] = []
    end = stream.follow_candles("BTCEUR", TimeFrame.M1, shown.append)
    assert stream.connected
    for _ in range(40):
        kraken_rig.clock.advance(10)
        kraken_rig.exchange.walk()
        await asyncio.sleep(0.02)
    await until(lambda: len(shown) >= 4)
    times = [closed.candle.opened for closed in shown]
    assert joined(times, TimeFrame.M1)
    assert stream.prices(["BTCEUR"]) is None
    assert stream.health.sound
    end()
    await until(lambda: not stream.followed)
    again = stream.follow_candles("ETHEUR", TimeFrame.M1, shown.append)
    again()
    await stream.stop()


async def test_without_a_stream_for_nobody(kraken_rig: Rig, tmp_path: Path) -> None:
    """It goes on while another one is followed, ends with the last, and begins anew with the next."""
    stream = MarketStream(
        kraken_rig.session, None, kraken_rig.kraken("", ""), CandleStore(tmp_path / "market.db"), HOST, QUICK
    )

    def running() -> bool:
        return any("MarketStream" in repr(task) for task in asyncio.all_tasks())

    first = stream.follow_candles("BTCEUR", TimeFrame.M1, lambda _closed: None)
    await until(lambda: stream.health.frames.keys() == {TimeFrame.M1})
    second = stream.follow_candles("ETHEUR", TimeFrame.M5, lambda _closed: None)
    first()
    await until(lambda: stream.health.frames.keys() == {TimeFrame.M5})
    assert running()
    second()
    await until(lambda: not running())
    assert not stream.followed
    stream.follow_candles("BTCEUR", TimeFrame.M1, lambda _closed: None)
    await until(lambda: stream.health.frames.keys() == {TimeFrame.M1})
    await stream.stop()
    assert not running()
