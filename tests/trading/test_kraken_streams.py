"""Kraken's streams: prices that stay until the next trade, open candles, and hints of what happens to an account."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
import json
from pathlib import Path
from typing import Any

import pytest

from custom_components.calvalot.trading.exchanges.base import OrderRequest, OrderType, Side
from custom_components.calvalot.trading.exchanges.kraken import KrakenExchange, market as kraken_market, streams
from custom_components.calvalot.trading.exchanges.kraken.streams import (
    KrakenAccountStream,
    KrakenStreams,
    account_stream_url,
    stream_url,
)
from custom_components.calvalot.trading.exchanges.remote import Hint
from custom_components.calvalot.trading.exchanges.stream import CandleUpdate, PriceUpdate
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.market.followers import Closed
from custom_components.calvalot.trading.market.store import CandleStore
from custom_components.calvalot.trading.market.stream import MarketStream
from harness.stream import HOST, QUICK

from .rig import Rig
from .test_account_stream import Heard, until
from .test_stream import joined

BTC = "BTCEUR"


@pytest.fixture
async def stream(kraken_rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[MarketStream]:
    """A stream that nobody follows yet."""
    monkeypatch.setattr(kraken_market, "BETWEEN", 0)
    exchange = kraken_rig.kraken("", "")
    store = CandleStore(tmp_path / "market.db")
    stream = MarketStream(kraken_rig.session, exchange.stream_url, exchange, store, HOST, QUICK)
    yield stream
    await stream.stop()


async def test_prices(kraken_rig: Rig, stream: MarketStream) -> None:
    """Each is known from the subscription on and stays while nobody trades; one that is listed the other way round is turned."""
    sim = kraken_rig.exchange
    told: list[Mapping[str, Decimal]] = []
    end = stream.follow_prices([BTC, "EURUSDC", "NOPEEUR"], told.append)
    await until(lambda: stream.prices([BTC, "EURUSDC"]))
    assert stream.prices([BTC]) == {BTC: sim.price(BTC)}
    assert stream.prices(["EURUSDC"]) == {"EURUSDC": 1 / sim.price("USDCEUR")}
    assert stream.prices([BTC, "NOPEEUR"]) is None
    sent = sim.streams.sent["ticker"]
    for _ in range(3):
        kraken_rig.clock.advance(2)
        beats = sim.streams.sent["heartbeat"]
        await until(lambda beats=beats: sim.streams.sent["heartbeat"] > beats)  # type: ignore[misc]
    assert sim.streams.sent["ticker"] == sent
    assert stream.prices([BTC])
    sim.set_price(BTC, "90000")
    await until(lambda: stream.prices([BTC]) == {BTC: 90000})
    await until(lambda: told[-1].get(BTC) == 90000)
    end()
    await until(lambda: not stream.followed and not stream.connected)


async def test_a_pair_that_cannot_be_asked_for(kraken_rig: Rig, stream: MarketStream) -> None:
    """Without its name nothing can be followed: the connection is made anew."""
    fault = kraken_rig.exchange.fault("status", path="/AssetPairs")
    stream.follow_prices([BTC], lambda _prices: None)
    await until(lambda: stream.prices([BTC]))
    assert (fault.hits, kraken_rig.exchange.streams.opened) == (1, 2)


async def test_prices_after_a_break(kraken_rig: Rig, stream: MarketStream) -> None:
    """They go on with those of the next connection; what an earlier one said is not repeated."""
    sim = kraken_rig.exchange
    stream.follow_prices([BTC], lambda _prices: None)
    await until(lambda: stream.prices([BTC]))
    await sim.streams.cut()
    sim.set_price(BTC, "80000")
    await until(lambda: sim.streams.opened == 2 and stream.prices([BTC]) == {BTC: 80000})
    form = kraken_rig.kraken("", "").stream_format
    ticker = {"symbol": "BTC/EUR", "last": 5, "timestamp": "2023-09-25T09:04:31Z"}
    assert [*form.read(json.dumps({"channel": "ticker", "type": "update", "data": [ticker]}))]
    assert [*form.read('{"channel": "heartbeat"}')]
    await form.messages([form.candles(BTC, TimeFrame.M5)], follows=True)
    assert [*form.read('{"channel": "heartbeat"}')]
    await form.messages([form.prices(BTC)], follows=True)
    assert not [*form.read('{"channel": "heartbeat"}')]


async def test_prices_of_quiet_pairs(kraken_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no heartbeat while others trade: their messages say that a price stays, until its end is asked for."""
    form = kraken_rig.kraken("", "").stream_format

    def told(pair: str, kind: str = "update") -> dict[str, Decimal]:
        data = {"symbol": pair, "last": 5, "timestamp": "2023-09-25T09:04:31Z"}
        updates = form.read(json.dumps({"channel": "ticker", "type": kind, "data": [data]}))
        return {each.symbol: each.price for each in updates if isinstance(each, PriceUpdate)}

    monkeypatch.setattr(streams, "REPEATED", float("inf"))
    assert told("BTC/EUR", "snapshot") == {"BTCEUR": 5}
    assert told("ETH/EUR") == {"ETHEUR": 5}
    monkeypatch.setattr(streams, "REPEATED", 0)
    assert told("ETH/EUR") == {"BTCEUR": 5, "ETHEUR": 5}
    await form.messages([form.prices(BTC)], follows=False)
    assert told("BTC/EUR") == {"ETHEUR": 5}
    await form.messages([form.prices(BTC)], follows=True)
    assert told("BTC/EUR") == {"BTCEUR": 5, "ETHEUR": 5}


async def test_times(kraken_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is at the beginning may be of long ago: its time is not that of the exchange's clock."""
    form = kraken_rig.kraken("", "").stream_format

    def at(kind: str) -> float:
        data = {"symbol": "BTC/EUR", "last": 5, "timestamp": "2023-09-25T09:04:31Z"}
        (update,) = form.read(json.dumps({"channel": "ticker", "type": kind, "data": [data]}))
        assert isinstance(update, PriceUpdate)
        return update.at

    monkeypatch.setattr(streams, "REPEATED", float("inf"))
    long_ago = datetime(2023, 9, 25, 9, 4, 31, tzinfo=UTC).timestamp()
    assert at("snapshot") > long_ago + 86400
    assert at("update") < long_ago + 86400


async def test_candles(kraken_rig: Rig, stream: MarketStream) -> None:
    """Open ones come by themselves, closed ones are asked for once each."""
    shown: list[Closed] = []
    updates: list[CandleUpdate] = []
    end = stream.follow_candles(BTC, TimeFrame.M1, shown.append, updates.append)
    await until(lambda: stream.connected)
    for _ in range(40):
        kraken_rig.clock.advance(10)
        kraken_rig.exchange.walk()
        await kraken_rig.exchange.streams.flush()
        await asyncio.sleep(0.01)
    await until(lambda: len(shown) >= 4)
    assert joined([closed.candle.opened for closed in shown], TimeFrame.M1)
    assert {update.symbol for update in updates} == {BTC}
    assert not any(update.closed for update in updates)
    assert stream.health.sound
    end()
    again = stream.follow_candles("ETHEUR", TimeFrame.M5, shown.append)
    await until(lambda: any("etheur@kline_5m" in each.streams for each in kraken_rig.exchange.streams.connections))
    again()


async def test_what_is_asked_for(kraken_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """By channel, as many pairs in a message as it takes; an end says no more than it has to."""
    monkeypatch.setattr(streams, "NAMES", 2)
    form = kraken_rig.kraken("", "").stream_format
    names = [form.candles(BTC, TimeFrame.M5), *(form.prices(each) for each in (BTC, "ETHEUR", "DOGEEUR", "NOPEEUR"))]
    asked = [json.loads(each) for each in await form.messages(names, follows=True)]
    assert asked == [
        {
            "method": "subscribe",
            "params": {"channel": "ohlc", "symbol": ["BTC/EUR"], "interval": 5, "snapshot": False},
        },
        {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/EUR", "ETH/EUR"]}},
        {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["DOGE/EUR"]}},
    ]
    (ended,) = await form.messages(names[:1], follows=False)
    assert json.loads(ended) == {
        "method": "unsubscribe",
        "params": {"channel": "ohlc", "symbol": ["BTC/EUR"], "interval": 5},
    }


async def test_messages(kraken_rig: Rig) -> None:
    """As its documentation has them; decimals to the last digit, and nothing of a price of nothing."""
    form = kraken_rig.kraken("", "").stream_format
    ticker = '{"channel":"ticker","type":"update","data":[{"symbol":"ALGO/USD","last":%s,"timestamp":"2023-09-25T09:04:31.742648Z"}]}'
    (price,) = form.read(ticker % "0.100350000000000001")
    assert isinstance(price, PriceUpdate)
    assert (price.symbol, price.price) == ("ALGOUSD", Decimal("0.100350000000000001"))
    assert [*form.read(ticker % "0.0")] == []
    assert [each.price for each in form.read('{"channel":"heartbeat"}') if isinstance(each, PriceUpdate)] == [
        price.price
    ]
    (candle,) = form.read(
        '{"channel":"ohlc","type":"update","timestamp":"2023-10-04T16:26:30.524394914Z","data":[{"symbol":"MATIC/USD",'
        '"open":0.5624,"high":0.5628,"low":0.5622,"close":0.5627,"trades":12,"volume":30927.68066226,"vwap":0.5626,'
        '"interval_begin":"2023-10-04T16:25:00.000000000Z","interval":5,"timestamp":"2023-10-04T16:30:00.000000Z"}]}'
    )
    assert isinstance(candle, CandleUpdate)
    assert (candle.symbol, candle.frame, candle.candle.opened) == ("MATICUSD", TimeFrame.M5, 1696436700)
    assert (candle.candle.open, candle.candle.volume) == (0.5624, 30927.68066226)
    assert [*form.read('{"channel":"status","data":[{"system":"online"}]}')] == []
    assert isinstance(form, KrakenStreams)


# The account


@pytest.fixture
async def account(kraken_rig: Rig) -> AsyncGenerator[tuple[KrakenAccountStream, Heard]]:
    """A subscription to the first account."""
    heard = Heard()
    exchange = kraken_rig.kraken()
    url = account_stream_url(kraken_rig.exchange.url)
    stream = KrakenAccountStream(kraken_rig.session, url, exchange, heard.take, QUICK)
    task = asyncio.create_task(stream.run())
    await until(lambda: stream.subscribed)
    yield stream, heard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def limit(api: KrakenExchange, name: str) -> tuple[OrderRequest, str]:
    """A purchase that rests, and what it is called there."""
    order = OrderRequest(
        symbol=BTC,
        side=Side.BUY,
        quantity=Decimal("0.001"),
        limit_price=Decimal(70000),
        client_order_id=name,
        type=OrderType.LIMIT,
    )
    return order, api.order_name(name)


async def test_orders_and_balances(kraken_rig: Rig, account: tuple[KrakenAccountStream, Heard]) -> None:
    """The subscription itself, each change of an order by its name there, and money from outside are hints."""
    _, heard = account
    assert heard.hints == [(Hint.SUBSCRIBED, "")]
    api = kraken_rig.kraken()
    order, name = limit(api, "cv-abcdef-one-1")
    await api.place(order)
    await until(lambda: (Hint.ORDER, name) in heard.hints)
    before = len(heard.hints)
    kraken_rig.exchange.cancel_order(name)
    await until(lambda: len(heard.hints) > before)
    assert heard.hints[-1] == (Hint.ORDER, name)
    assert heard.count(Hint.BALANCE) == 0
    kraken_rig.exchange.set_balance("ETH", 3)
    await until(lambda: heard.hints[-1] == (Hint.BALANCE, ""))


async def test_again(kraken_rig: Rig, account: tuple[KrakenAccountStream, Heard]) -> None:
    """A broken connection, a token that is refused: it subscribes again, and that is a hint as well."""
    _, heard = account
    told = kraken_rig.exchange.account_streams
    await told.end()
    await until(lambda: heard.count(Hint.SUBSCRIBED) == 2)
    told.refuse(0)
    kraken_rig.clock.advance(60)
    await told.cut()
    await until(lambda: heard.count(Hint.SUBSCRIBED) == 3)
    assert told.subscribed == 1


async def test_without_permission(kraken_rig: Rig) -> None:
    """A key that gets no token follows nothing, and does not give up."""
    kraken_rig.exchange.set_account(reading=False)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    url = account_stream_url(kraken_rig.exchange.url)
    stream = KrakenAccountStream(kraken_rig.session, url, kraken_rig.kraken(), Heard().take, QUICK, sleep)
    with pytest.raises(asyncio.CancelledError):
        await stream.run()
    assert kraken_rig.exchange.account_streams.opened == 0


async def test_what_an_account_is_told(kraken_rig: Rig, account: tuple[KrakenAccountStream, Heard]) -> None:
    """A snapshot, a heartbeat, a trade's effect on a balance: no hints; of several events about an order one."""
    _, heard = account
    (connection,) = [each for each in kraken_rig.exchange.account_streams.connections if each.account]
    rows: list[Mapping[str, Any]] = [
        {"method": "subscribe"},
        {"channel": "status", "type": "update", "data": [{"system": "online"}]},
        {"channel": "executions", "type": "snapshot", "data": [{"cl_ord_id": "no"}]},
        {"channel": "balances", "type": "update", "data": [{"type": "trade", "asset": "BTC"}]},
        {"channel": "heartbeat"},
        {"channel": "executions", "type": "update", "data": [{"cl_ord_id": "yes"}, {"cl_ord_id": "yes"}, {}]},
    ]
    for row in rows:
        await connection.ws.send_json(row)
    await until(lambda: len(heard.hints) == 3)
    assert heard.hints[1:] == [(Hint.ORDER, "yes"), (Hint.ORDER, "")]


async def test_what_is_waited_for(kraken_rig: Rig) -> None:
    """An order by the name that the exchange has for it."""
    follower = await kraken_rig.following()
    kraken_rig.exchange.fault("drop", when="after", path="/AddOrder")
    for path in ("/OpenOrders", "/ClosedOrders"):
        kraken_rig.exchange.fault("drop", path=path, count=None)
    kraken_rig.leader.publish_v2({"BTC": "0.5"})
    await kraken_rig.cycle(follower)
    (lost,) = kraken_rig.in_flight(follower)
    assert await follower.is_waited_for(lost.sent_as)
    assert not await follower.is_waited_for("")
    assert not await follower.is_waited_for(lost.client_order_id)


@pytest.mark.parametrize(
    ("url", "public", "private"),
    [
        ("https://api.kraken.com", "wss://ws.kraken.com/v2", "wss://ws-auth.kraken.com/v2"),
        ("http://127.0.0.1:8000/", "ws://127.0.0.1:8000/v2", "ws://127.0.0.1:8000/auth/v2"),
        ("https://exchange.example", "wss://exchange.example/v2", "wss://exchange.example/auth/v2"),
    ],
)
def test_addresses(url: str, public: str, private: str) -> None:
    """Kraken's own have hosts of their own; others answer where they are asked."""
    assert (stream_url(url), account_stream_url(url)) == (public, private)
