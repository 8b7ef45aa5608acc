"""Market streams: what they bring, and a WebSocket connection to them, whatever an exchange's own messages are like."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, ClientWSTimeout, WSMsgType

from ..errors import ExchangeError
from ..market.candles import Candle, TimeFrame

# Seconds between two messages to the server, and until a connection has to be there.
BETWEEN = 0.25
CONNECT_TIMEOUT = 10.0


def own_host(base_url: str) -> str:
    """Where the streams of an exchange are that has no hosts of their own: there where it is asked."""
    parts = urlsplit(base_url)
    return urlunsplit(("ws" if parts.scheme == "http" else "wss", parts.netloc, "", "", ""))


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


class StreamFormat(Protocol):
    """How an exchange calls its streams, how they are asked for, and what they say; `most` of them go over one connection."""

    most: int

    def candles(self, symbol: str, frame: TimeFrame) -> str:
        """Name of the stream of a symbol's candles."""
        ...

    def prices(self, symbol: str) -> str:
        """Name of the stream of a symbol's last price."""
        ...

    async def messages(self, names: Sequence[str], *, follows: bool) -> Sequence[str]:
        """What is sent to have some streams, or to have them no more. Raises ExchangeError."""
        ...

    def read(self, text: str) -> Iterable[Update]:
        """What a message says; nothing where it is an answer or of no interest, such as a price of nothing.

        Raises ValueError, KeyError, TypeError, ArithmeticError.
        """
        ...


class StreamConnection:
    """A connection that is read until it is closed.

    `over` is done, with the reason, as soon as another one is wanted in its place; until that one is there, whatever still
    comes is passed on.
    """

    def __init__(
        self,
        ws: ClientWebSocketResponse,
        silence: float,
        streams: StreamFormat,
        on_update: Callable[[CandleUpdate | PriceUpdate], None],
    ) -> None:
        """`silence` is after how many seconds without a message or a ping the connection counts as broken."""
        self._ws = ws
        self._streams = streams
        self._silence = silence
        self._on_update = on_update
        self._names: set[str] = set()
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        session: ClientSession,
        url: str,
        silence: float,
        streams: StreamFormat,
        on_update: Callable[[CandleUpdate | PriceUpdate], None],
    ) -> StreamConnection:
        """Connect. Raises ClientError, OSError, TimeoutError."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            ws = await session.ws_connect(url, autoping=False, timeout=ClientWSTimeout(ws_close=1.0))
        return cls(ws, silence, streams, on_update)

    @property
    def alive(self) -> bool:
        """Whether anything can still come."""
        return not self._reader.done()

    async def follow(self, wanted: Collection[str]) -> None:
        """Ask for the streams that are wanted and no others, slowly enough for the server."""
        wanted = {*sorted(wanted)[: self._streams.most]}
        asked = (sorted(self._names - wanted), False), (sorted(wanted - self._names), True)
        self._names = wanted
        try:
            for names, follows in asked:
                for message in await self._streams.messages(names, follows=follows):
                    await self._ws.send_str(message)
                    await asyncio.sleep(BETWEEN)
        except ClientError, OSError, ExchangeError:
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
            updates = [*self._streams.read(text)]
        except ValueError, KeyError, TypeError, ArithmeticError, AttributeError:
            return  # what cannot be read is missing, and is found to be missing
        for update in updates:
            if isinstance(update, ServerShutdown):
                self.replace("the server shuts down")
            else:
                self._on_update(update)
