"""The signed stream of the account: a hint for whatever happens, subscribed again whatever goes wrong."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from decimal import Decimal
import time
from typing import Any

from aiohttp import web
import pytest

from custom_components.calvalot.trading.errors import InvalidKey
from custom_components.calvalot.trading.exchanges.base import OrderRequest, OrderType, Side
from custom_components.calvalot.trading.exchanges.binance_account_stream import AccountStream, account_stream_url
from custom_components.calvalot.trading.exchanges.remote import Hint
from harness.stream import QUICK

from .rig import Rig

BTC = "BTCUSDC"


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds, a minute at most."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


class Heard:
    """Hints that came."""

    def __init__(self) -> None:
        self.hints: list[tuple[Hint, str]] = []

    def take(self, hint: Hint, client_order_id: str) -> None:
        """Note one."""
        self.hints.append((hint, client_order_id))

    def count(self, hint: Hint) -> int:
        """How many of a kind."""
        return sum(kind is hint for kind, _ in self.hints)


@pytest.fixture
def heard() -> Heard:
    """Nothing yet."""
    return Heard()


@pytest.fixture
async def stream(rig: Rig, heard: Heard) -> AsyncGenerator[AccountStream]:
    """A subscription to the first account."""
    stream = AccountStream(rig.session, account_stream_url(rig.exchange.url), rig.binance(), heard.take, QUICK)
    task = asyncio.create_task(stream.run())
    await until(lambda: stream.subscribed)
    yield stream
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def limit(name: str, price: Decimal) -> OrderRequest:
    """A purchase that rests."""
    return OrderRequest(
        symbol=BTC,
        side=Side.BUY,
        quantity=Decimal("0.001"),
        limit_price=price,
        client_order_id=name,
        type=OrderType.LIMIT,
    )


async def test_orders_and_balances(rig: Rig, stream: AccountStream, heard: Heard) -> None:
    """The subscription itself, each change of an order by its own name, and money from outside are hints; trades name no balance."""
    assert heard.hints == [(Hint.SUBSCRIBED, "")]
    exchange = rig.binance()
    market = replace(limit("cv-one", Decimal(0)), limit_price=None, type=OrderType.AT_ONCE)
    await exchange.place(market)
    await until(lambda: (Hint.ORDER, "cv-one") in heard.hints)
    price = (rig.exchange.price(BTC) / 2).quantize(Decimal("0.01"))
    await exchange.place(limit("cv-two", price))
    await until(lambda: (Hint.ORDER, "cv-two") in heard.hints)
    before = len(heard.hints)
    rig.exchange.cancel_order("cv-two")
    await until(lambda: len(heard.hints) > before)
    assert heard.hints[-1] == (Hint.ORDER, "cv-two")
    assert heard.count(Hint.BALANCE) == 0
    rig.exchange.set_balance("ETH", 3)
    await until(lambda: heard.hints[-1] == (Hint.BALANCE, ""))


async def test_again(rig: Rig, stream: AccountStream, heard: Heard) -> None:
    """A broken connection, an ended subscription, a refusal: it subscribes again, and that is a hint as well."""
    streams = rig.exchange.account_streams
    await streams.cut()
    await until(lambda: heard.count(Hint.SUBSCRIBED) == 2)
    await streams.end()
    await until(lambda: heard.count(Hint.SUBSCRIBED) == 3)
    streams.refuse(-1021)
    await streams.cut()
    await until(lambda: heard.count(Hint.SUBSCRIBED) == 4)
    assert streams.opened >= 5
    rig.exchange.fault("error", path="/ws-api/v3", status=503, count=2)
    await streams.cut()
    await until(lambda: heard.count(Hint.SUBSCRIBED) == 5)
    assert streams.subscribed == 1


async def test_clock(rig: Rig, heard: Heard) -> None:
    """A time stamp that is refused is made anew from the exchange's clock."""
    exchange = rig.binance()
    await exchange.server_time()
    rig.exchange.advance(3600)
    stream = AccountStream(rig.session, account_stream_url(rig.exchange.url), exchange, heard.take, QUICK)
    task = asyncio.create_task(stream.run())
    await until(lambda: stream.subscribed)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_without_a_key(rig: Rig, heard: Heard) -> None:
    """Nothing is connected, and it does not give up."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    exchange = rig.binance(api_secret="")
    with pytest.raises(InvalidKey):
        await exchange.signed_params()
    stream = AccountStream(rig.session, account_stream_url(rig.exchange.url), exchange, heard.take, QUICK, sleep)
    with pytest.raises(asyncio.CancelledError):
        await stream.run()
    assert rig.exchange.account_streams.opened == 0
    assert pauses == [QUICK.pause(1), QUICK.pause(2), QUICK.pause(3)]


async def test_what_cannot_be_read(rig: Rig, heard: Heard) -> None:
    """Messages that are no events are passed over, and silence ends in another connection."""
    opened: list[web.WebSocketResponse] = []

    async def answer(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        opened.append(ws)
        asked: dict[str, Any] = await ws.receive_json()
        for text in ("{", "[]", '"x"', '{"event": 5}', "{}"):
            await ws.send_str(text)
        await ws.send_json({"id": asked["id"], "status": 200, "result": {}})
        await ws.send_json({"event": {"e": "executionReport", "c": "cv-three", "C": ""}})
        await ws.receive()
        return ws

    app = web.Application()
    app.router.add_get("/ws-api/v3", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    timing = replace(QUICK, silence=0.3)
    stream = AccountStream(rig.session, account_stream_url(url), rig.binance(), heard.take, timing)
    task = asyncio.create_task(stream.run())
    await until(lambda: len(opened) >= 2)
    assert heard.hints[:2] == [(Hint.SUBSCRIBED, ""), (Hint.ORDER, "cv-three")]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await runner.cleanup()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://api.binance.com", "wss://ws-api.binance.com/ws-api/v3"),
        ("https://api1.binance.com", "wss://ws-api.binance.com/ws-api/v3"),
        ("https://testnet.binance.vision", "wss://ws-api.testnet.binance.vision/ws-api/v3"),
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws-api/v3"),
        ("https://exchange.example.com", "wss://exchange.example.com/ws-api/v3"),
    ],
)
def test_addresses(url: str, address: str) -> None:
    """Binance's own hosts have one of their own for this; others answer where they are asked."""
    assert account_stream_url(url) == address


async def test_what_is_waited_for(rig: Rig) -> None:
    """An order whose answer was lost is waited for until it is known, and so is what rests; what is known is no news."""
    follower = await rig.following()
    assert not await follower.is_waited_for(None)
    rig.exchange.fault("drop", when="after", method="POST", path="/order")
    rig.exchange.fault("status", path="/api/v3/order", method="GET", count=None)
    rig.leader.publish_v2({"BTC": "0.5"})
    await rig.cycle(follower)
    (lost,) = rig.in_flight(follower)
    assert await follower.is_waited_for(lost.client_order_id)
    assert await follower.is_waited_for(None)
    assert not await follower.is_waited_for("cv-other")
    rig.exchange.clear_faults()
    await rig.cycle(follower)
    assert not await follower.is_waited_for(lost.client_order_id)
    rig.crash(follower)
    assert not await follower.is_waited_for(None)
