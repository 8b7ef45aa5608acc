"""Binance's market streams: one WebSocket connection, and its messages read into types.

Limits (developers.binance.com, WebSocket Streams): 1,024 streams and 5 incoming messages a second per connection, 300
connections in five minutes, an end after 24 hours, a ping every 20 seconds that has to be answered within a minute.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, ClientWSTimeout, WSMsgType

from ..market.candles import Candle, TimeFrame
from .binance_client import host_of
from .binance_format import read_amount

# Addresses whose streams are on a host of their own; on any other they are where the questions are asked.
STREAM_HOSTS = {
    "api.binance.com": "wss://data-stream.binance.vision",
    "api.binance.us": "wss://stream.binance.us:9443",
    "testnet.binance.vision": "wss://stream.testnet.binance.vision",
    "demo-api.binance.com": "wss://demo-stream.binance.com",
}
MOST_STREAMS = 1000
# Streams named in one message, and seconds between two messages: at most 4 a second.
NAMES = 200
BETWEEN = 0.25
CONNECT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class CandleUpdate:
    """A candle as the stream has it: `closed` says that it is over; the numbers of its first and last trade, -1 without any.

    `at` is when the exchange sent it (Unix seconds, its clock).
    """

    symbol: str
    frame: TimeFrame
    candle: Candle
    closed: bool
    first_trade: int
    last_trade: int
    at: float


@dataclass(frozen=True, slots=True)
class PriceUpdate:
    """The last price of a symbol (quote per base), and when the exchange sent it (Unix seconds, its clock)."""

    symbol: str
    price: Decimal
    at: float


class ServerShutdown:
    """The server is about to end the connection."""


type Update = CandleUpdate | PriceUpdate | ServerShutdown


def stream_url(base_url: str) -> str:
    """Address of the market streams of an exchange."""
    parts = urlsplit(base_url)
    own = urlunsplit(("ws" if parts.scheme == "http" else "wss", parts.netloc, "", "", ""))
    return f"{STREAM_HOSTS.get(host_of(base_url), own)}/stream"


def candle_stream(symbol: str, frame: TimeFrame) -> str:
    """Name of the stream of a symbol's candles."""
    return f"{symbol.lower()}@kline_{frame}"


def price_stream(symbol: str) -> str:
    """Name of the stream of a symbol's last price."""
    return f"{symbol.lower()}@miniTicker"


def read_update(text: str) -> Update | None:
    """Read a message; None where it is an answer or of no interest, such as a price of nothing. Raises ValueError, KeyError, TypeError, ArithmeticError."""
    message = json.loads(text)
    data: dict[str, Any] = message.get("data", message)
    match data.get("e"):
        case "kline":
            kline = data["k"]
            return CandleUpdate(
                symbol=kline["s"],
                frame=TimeFrame(kline["i"]),
                candle=Candle(int(kline["t"]) // 1000, *(float(kline[name]) for name in "ohlcv")),
                closed=kline["x"] is True,
                first_trade=int(kline["f"]),
                last_trade=int(kline["L"]),
                at=int(data["E"]) / 1000,
            )
        case "24hrMiniTicker":
            price = read_amount(data["c"])
            return PriceUpdate(data["s"], price, int(data["E"]) / 1000) if price > 0 else None
        case "serverShutdown":
            return ServerShutdown()
    return None


class StreamConnection:
    """A connection that is read until it is closed.

    `over` is done, with the reason, as soon as another one is wanted in its place; until that one is there, whatever still
    comes is passed on.
    """

    def __init__(
        self, ws: ClientWebSocketResponse, silence: float, on_update: Callable[[CandleUpdate | PriceUpdate], None]
    ) -> None:
        """`silence` is after how many seconds without a message or a ping the connection counts as broken."""
        self._ws = ws
        self._silence = silence
        self._on_update = on_update
        self._names: set[str] = set()
        self._number = 0
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls, session: ClientSession, url: str, silence: float, on_update: Callable[[CandleUpdate | PriceUpdate], None]
    ) -> StreamConnection:
        """Connect. Raises ClientError, OSError, TimeoutError."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            ws = await session.ws_connect(url, autoping=False, timeout=ClientWSTimeout(ws_close=1.0))
        return cls(ws, silence, on_update)

    @property
    def alive(self) -> bool:
        """Whether anything can still come."""
        return not self._reader.done()

    async def follow(self, wanted: Collection[str]) -> None:
        """Ask for the streams that are wanted and no others, slowly enough for the server."""
        wanted = {*sorted(wanted)[:MOST_STREAMS]}
        asked = (("UNSUBSCRIBE", sorted(self._names - wanted)), ("SUBSCRIBE", sorted(wanted - self._names)))
        self._names = wanted
        try:
            for method, names in asked:
                for start in range(0, len(names), NAMES):
                    self._number += 1
                    message = {"method": method, "params": names[start : start + NAMES], "id": self._number}
                    await self._ws.send_str(json.dumps(message))
                    await asyncio.sleep(BETWEEN)
        except ClientError, OSError:
            self.replace("the connection broke")

    def replace(self, reason: str) -> None:
        """Say that another connection is wanted in place of this one."""
        if not self.over.done():
            self.over.set_result(reason)

    async def close(self) -> None:
        """End it."""
        self.replace("closed")
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        with suppress(ClientError, OSError, TimeoutError):
            await self._ws.close()

    async def _read(self) -> None:
        reason = "the connection broke"
        try:
            while True:
                message = await self._ws.receive(timeout=self._silence)
                match message.type:
                    case WSMsgType.TEXT:
                        self._take(message.data)
                    case WSMsgType.PING:
                        await self._ws.pong(message.data)
                    case _:
                        return
        except TimeoutError:
            reason = "nothing was heard"
        except ClientError, OSError:
            pass
        finally:
            self.replace(reason)

    def _take(self, text: str) -> None:
        try:
            update = read_update(text)
        except ValueError, KeyError, TypeError, ArithmeticError, AttributeError:
            return  # what cannot be read is missing, and is found to be missing
        if isinstance(update, ServerShutdown):
            self.replace("the server shuts down")
        elif update:
            self._on_update(update)
