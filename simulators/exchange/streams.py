"""The streams: candles and last prices over WebSocket, and what goes wrong with them."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
import json
import time

from aiohttp import ClientConnectionResetError, WSCloseCode, WSMsgType, web

from .api import DAY_MS, INTERVALS
from .market import Candle
from .matching import Exchange
from .symbols import text

# Of one connection: streams, messages that it may send in a second, and how often an address may connect in five minutes.
MOST_STREAMS = 1024
MOST_MESSAGES = 5
MOST_CONNECTIONS = 300
CONNECTIONS_MS = 5 * 60 * 1000
# Of server clock: between two pings, until one has to be answered (and never less than ANSWER seconds of real time), between
# two messages about one open candle.
PING_MS = 20_000
PONG_MS = 60_000
ANSWER = 1.0
UPDATE_MS = 2_000
TICKER_MS = 1_000
# From the word that the server shuts down to the end of the connection.
FAREWELL_MS = 10_000
SILENCE_MS = 10 * 60 * 1000
# Seconds of real time between two looks at what is due.
PULSE = 0.05


class StreamFault(StrEnum):
    """What can happen to the message about a closed candle; the package's docstring says what each does."""

    LOSE = "lose"
    DOUBLE = "double"
    SWAP = "swap"
    LATE_TRADE = "late_trade"
    BROKEN = "broken"
    CUT = "cut"
    SHUTDOWN = "shutdown"
    SILENCE = "silence"


@dataclass(slots=True, eq=False)
class PlannedFault:
    """One fault, the streams it is for and how often it strikes."""

    kind: StreamFault
    stream: str | None = None
    count: int = 1
    skip: int = 0
    hits: int = 0


@dataclass(slots=True)
class Progress:
    """How far one stream of a connection has come: the last closed candle and the last message, in ms."""

    closed: int
    told: int = 0
    held: str | None = None


@dataclass(slots=True, eq=False)
class Connection:
    """One WebSocket connection; times in ms of server clock."""

    ws: web.WebSocketResponse
    transport: asyncio.Transport | None
    opened: int
    pinged: int
    heard: int
    answered: float = field(default_factory=time.monotonic)
    streams: dict[str, Progress] = field(default_factory=dict)
    silent_until: int = 0
    ends_at: int | None = None
    received: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_MESSAGES))


class Streams:
    """Every connection to ``/stream``, each with the streams that it asked for."""

    def __init__(self, exchange: Exchange) -> None:
        """Start without a connection."""
        self.connections: list[Connection] = []
        self.opened = 0
        self.most_at_once = 0
        self.sent: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.waiting: list[PlannedFault] = []
        self._exchange = exchange
        self._openings: deque[int] = deque()
        self._busy = asyncio.Lock()
        self._pump: asyncio.Task[None] | None = None

    # Switches

    def fault(self, kind: str, *, stream: str | None = None, count: int = 1, skip: int = 0) -> PlannedFault:
        """Let the next messages about closed candles (of a stream) go wrong."""
        fault = PlannedFault(StreamFault(kind), stream, count, skip)
        self.waiting.append(fault)
        return fault

    async def cut(self) -> None:
        """Break all connections."""
        for connection in [*self.connections]:
            self._break(connection)

    async def shut_down(self) -> None:
        """Say on all connections that the server shuts down, and end them a while later."""
        for connection in self.connections:
            await self._farewell(connection, self._exchange.now)

    def silence(self, seconds: float = SILENCE_MS / 1000) -> None:
        """Send nothing more on the connections there are, for so long (server clock)."""
        for connection in self.connections:
            connection.silent_until = self._exchange.now + round(seconds * 1000)

    async def flush(self) -> None:
        """Send all that is due by now."""
        async with self._busy:
            self._exchange.tick()
            for connection in [*self.connections]:
                try:
                    await self._serve(connection, self._exchange.now)
                except ClientConnectionResetError, ConnectionResetError:
                    self._gone(connection)

    # The wire

    def refused(self) -> bool:
        """Whether somebody connects too often."""
        now = self._exchange.now
        while self._openings and now - self._openings[0] > CONNECTIONS_MS:
            self._openings.popleft()
        self._openings.append(now)
        return len(self._openings) > MOST_CONNECTIONS

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """One connection from its opening to its end."""
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        now = self._exchange.now
        connection = Connection(ws, request.transport, now, now, now)
        for name in filter(None, request.query.get("streams", "").split("/")):
            self._follow(connection, name)
        self.connections.append(connection)
        self.opened += 1
        self.most_at_once = max(self.most_at_once, len(self.connections))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._keep_pumping())
        try:
            async for message in ws:
                if message.type is WSMsgType.PONG:
                    connection.heard, connection.answered = self._exchange.now, time.monotonic()
                elif message.type is WSMsgType.PING:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    await self._answer(connection, message.data)
        finally:
            self._gone(connection)
        return ws

    async def stop(self) -> None:
        """Break all connections and end."""
        await self.cut()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None

    async def _keep_pumping(self) -> None:
        while self.connections:
            await self.flush()
            await asyncio.sleep(PULSE)

    async def _answer(self, connection: Connection, body: str) -> None:
        now = time.monotonic()
        if len(connection.received) == MOST_MESSAGES and now - connection.received[0] < 1:
            await connection.ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
            return
        connection.received.append(now)
        try:
            asked = json.loads(body)
            number, names = asked["id"], [str(name) for name in asked.get("params", [])]
            match asked["method"]:
                case "SUBSCRIBE":
                    for name in names:
                        self._follow(connection, name)
                case "UNSUBSCRIBE":
                    for name in names:
                        connection.streams.pop(name, None)
                case "LIST_SUBSCRIPTIONS":
                    await self._send(connection, {"result": [*connection.streams], "id": number}, "answer")
                    return
                case _:
                    raise ValueError("unknown method")
        except (LookupError, TypeError, ValueError) as err:
            await self._send(connection, {"error": {"code": 2, "msg": f"Invalid request: {err}"}}, "answer")
            return
        await self._send(connection, {"result": None, "id": number}, "answer")

    def _follow(self, connection: Connection, name: str) -> None:
        """Add a stream; of one that does not exist nothing ever comes, as on the real exchange."""
        if len(connection.streams) >= MOST_STREAMS:
            raise ValueError("too many streams")
        interval = _interval(name)
        closed = self._exchange.now // interval * interval - interval if interval else 0
        connection.streams.setdefault(name, Progress(closed))

    # What is due

    async def _serve(self, connection: Connection, now: int) -> None:
        if connection.ends_at is not None and now >= connection.ends_at:
            self._break(connection)
            return
        if now - connection.opened >= DAY_MS and connection.ends_at is None:
            self._break(connection)
            return
        if now < connection.silent_until:
            return
        if now - connection.heard >= PONG_MS + PING_MS and time.monotonic() - connection.answered > ANSWER:
            self._break(connection)
            return
        if now - connection.pinged >= PING_MS:
            connection.pinged = now
            await connection.ws.ping(str(now).encode())
        closed = sorted(
            (message for name, progress in connection.streams.items() for message in self._closed(name, progress, now)),
            key=lambda message: message[0],
        )
        for _, name, candle in closed:
            await self._tell_closed(connection, name, candle, now)
            if now < connection.silent_until or connection.ws.closed or connection not in self.connections:
                return
        for name, progress in [*connection.streams.items()]:
            await self._tell_open(connection, name, progress, now)

    def _closed(self, name: str, progress: Progress, now: int) -> Iterator[tuple[int, str, Candle]]:
        """The candles of a stream that have closed since the last look, each with its end."""
        if (interval := _interval(name)) and now - progress.closed >= 2 * interval:
            start, end = progress.closed + interval, now // interval * interval - 1
            progress.closed = end + 1 - interval
            for candle in self._candles(name, interval, start, end, now):
                yield candle.opened + interval, name, candle

    async def _tell_closed(self, connection: Connection, name: str, candle: Candle, now: int) -> None:
        fault, progress = self._struck(name), connection.streams[name]
        message = self._kline(name, candle, now, closed=True)
        match fault:
            case StreamFault.LOSE:
                return
            case StreamFault.SWAP:
                progress.held = message
                return
            case StreamFault.CUT:
                self._break(connection)
                return
            case StreamFault.SILENCE:
                connection.silent_until = now + SILENCE_MS
                return
            case StreamFault.SHUTDOWN:
                await self._farewell(connection, now)
            case StreamFault.BROKEN:
                message = message[: len(message) // 2]
            case StreamFault.LATE_TRADE if candle.trades > 1:
                short = replace(candle, close=candle.open, trades=candle.trades - 1)
                message = self._kline(name, short, now, closed=True)
        held, progress.held = progress.held, None
        for each in (message, *(message,) * (fault is StreamFault.DOUBLE), *filter(None, (held,))):
            await self._send(connection, each, "closed")

    async def _tell_open(self, connection: Connection, name: str, progress: Progress, now: int) -> None:
        interval = _interval(name)
        if now - progress.told < (UPDATE_MS if interval else TICKER_MS):
            return
        progress.told = now
        if interval:
            opened = now // interval * interval
            for candle in self._candles(name, interval, opened, opened, now):
                await self._send(connection, self._kline(name, candle, now, closed=False), "open")
        elif name.endswith("@miniTicker") and (ticker := self._ticker(name, now)):
            await self._send(connection, ticker, "ticker")

    def _candles(self, name: str, interval: int, start: int, end: int, now: int) -> list[Candle]:
        symbol = _symbol(name)
        market = self._exchange.market
        return market.candles(symbol, interval, start, end, now) if symbol in market.symbols else []

    def _kline(self, name: str, candle: Candle, now: int, *, closed: bool) -> str:
        interval = name.partition("@kline_")[2]
        half = Decimal("0.5")
        volume = Decimal(candle.trades)
        kline = {
            "t": candle.opened,
            "T": candle.opened + INTERVALS[interval] * 1000 - 1,
            "s": _symbol(name),
            "i": interval,
            "f": candle.first if candle.trades else -1,
            "L": candle.last,
            "o": text(candle.open),
            "c": text(candle.close),
            "h": text(candle.high),
            "l": text(candle.low),
            "v": text(volume),
            "n": candle.trades,
            "x": closed,
            "q": text(candle.amount),
            "V": text(volume * half),
            "Q": text(candle.amount * half),
            "B": "0",
        }
        return json.dumps({"stream": name, "data": {"e": "kline", "E": now, "s": _symbol(name), "k": kline}})

    def _ticker(self, name: str, now: int) -> str | None:
        symbol, market = _symbol(name), self._exchange.market
        if symbol not in market.symbols or not (price := market.ticker(symbol)):
            return None
        shown = text(price)
        data = {"e": "24hrMiniTicker", "E": now, "s": symbol, "c": shown, "o": shown, "h": shown, "l": shown}
        return json.dumps({"stream": name, "data": data | {"v": "1.00000000", "q": shown}})

    def _struck(self, name: str) -> StreamFault | None:
        """The fault that strikes this message, if one does."""
        for fault in self.waiting:
            if fault.stream not in (None, name):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            if fault.hits >= fault.count:
                self.waiting.remove(fault)
            self.injected[fault.kind] += 1
            return fault.kind
        return None

    async def _farewell(self, connection: Connection, now: int) -> None:
        await self._send(connection, {"e": "serverShutdown", "E": now}, "shutdown")
        connection.ends_at = now + FAREWELL_MS

    async def _send(self, connection: Connection, message: object, kind: str) -> None:
        self.sent[kind] += 1
        await connection.ws.send_str(message if isinstance(message, str) else json.dumps(message))

    def _break(self, connection: Connection) -> None:
        self._gone(connection)
        if connection.transport is not None:
            connection.transport.abort()

    def _gone(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)


def _symbol(name: str) -> str:
    return name.partition("@")[0].upper()


def _interval(name: str) -> int:
    """Length in ms of the candles of a stream; 0 where it is one of something else."""
    return INTERVALS.get(name.partition("@kline_")[2], 0) * 1000
