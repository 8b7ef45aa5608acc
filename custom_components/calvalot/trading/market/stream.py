"""Closed candles and last prices of one exchange as they come, for everyone who follows some: one connection for all."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
import logging
import time

from aiohttp import ClientError, ClientSession

from ..errors import ExchangeError, Refused
from ..exchanges.stream import CandleUpdate, PriceUpdate, StreamConnection
from .candles import Candle, TimeFrame
from .followers import Closed, End, Followers, Key, OnCandle, OnPrices, OnUpdate
from .health import FrameHealth, Health
from .history import StreamExchange
from .joined import Joined, JoinedCandles
from .store import CandleStore, Series
from .timing import Timing

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class _State:
    """One series that somebody follows; how often it was asked for in vain, and when (monotonic) it may be asked for again."""

    candles: JoinedCandles
    failures: int = 0
    unlisted: bool = False
    again_at: float = 0.0


class MarketStream:
    """The stream of one host; connected while somebody follows something.

    Every candle is seen once, in order, after its end by the exchange's clock, after all those before it, and after it was
    written to the store. What the stream does not bring is fetched with ordinary questions, also while it is broken.
    """

    def __init__(
        self,
        session: ClientSession,
        url: str | None,
        exchange: StreamExchange,
        store: CandleStore,
        host: str,
        timing: Timing | None = None,
    ) -> None:
        """`url` is the address of the streams, None where there are none and all is asked for; `host` is what its candles are kept under."""
        self._session = session
        self._url = url
        self._exchange = exchange
        self._store = store
        self._host = host
        self._timing = timing or Timing()
        self._followers = Followers(exchange.time_frames, exchange.stream_format)
        self._series: dict[Key, _State] = {}
        self._prices: dict[str, tuple[Decimal, float]] = {}
        self._changed: set[str] = set()
        self._connection: StreamConnection | None = None
        self._problem: str | None = None
        self._offset: float | None = None
        self._to_write: list[tuple[Series, Candle]] = []
        self._to_show: list[tuple[Key, Joined]] = []
        self._task: asyncio.Task[None] | None = None
        self._names_changed = asyncio.Event()
        self._look_now = asyncio.Event()
        self._accepted = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._said: tuple[bool, bool] | None = None
        self.connections = 0

    # Following

    def follow_candles(
        self, symbol: str, frame: TimeFrame, on_candle: OnCandle, on_update: OnUpdate | None = None
    ) -> End:
        """Have `on_candle` called with each candle that closes from now on, `on_update` also with open ones; returns what ends that."""
        return self._following(self._followers.add_candles(symbol, frame, on_candle, on_update))

    def follow_prices(self, symbols: Collection[str], on_prices: OnPrices) -> End:
        """Have `on_prices` called with the prices (quote per base) that changed, once a second at most; returns what ends that."""
        return self._following(self._followers.add_prices(symbols, on_prices))

    def prices(self, symbols: Collection[str], since: float = 0.0) -> dict[str, Decimal] | None:
        """Last prices of symbols; None unless each of them is fresh and came after a time (monotonic, seconds)."""
        oldest = max(time.monotonic() - self._timing.price_age, since)
        known = {symbol: price for symbol in symbols if (price := self._prices.get(symbol)) and price[1] >= oldest}
        if not self.connected or len(known) < len(symbols):
            return None
        return {symbol: price for symbol, (price, _) in known.items()}

    def recent(self, symbol: str, frame: TimeFrame) -> tuple[Candle, ...]:
        """The last closed candles that were seen of a series of the exchange."""
        state = self._series.get((symbol, frame))
        return tuple(state.candles.recent) if state else ()

    async def stop(self) -> None:
        """End the connection, whoever follows."""
        self._followers.clear()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # Health

    @property
    def followed(self) -> bool:
        """Whether anybody follows anything."""
        return bool(self._followers)

    @property
    def connected(self) -> bool:
        """Whether there is a connection on which something can be heard."""
        return self._url is None or (self._connection is not None and self._connection.alive)

    @property
    def health(self) -> Health:
        """How the stream is now."""
        frames: dict[TimeFrame, FrameHealth] = {}
        for (_, frame), state in self._series.items():
            health, candles = frames.setdefault(frame, FrameHealth()), state.candles
            if candles.recent:
                last = candles.recent[-1].opened
                health.last = last if health.last is None else min(last, health.last)
            health.mended += candles.mended
            health.corrected += candles.corrected
            health.absent += candles.absent
            health.behind += state.failures > 0
        unlisted = sorted({symbol for (symbol, _), state in self._series.items() if state.unlisted})
        return Health(self.connected, self._problem, frames, tuple(unlisted))

    def listen(self, on_health: Callable[[], None]) -> End:
        """Have `on_health` called when the stream comes or goes, or a gap stays; returns what ends that."""
        self._listeners.append(on_health)
        return lambda: self._listeners.remove(on_health)

    # Inside

    @property
    def _now(self) -> float | None:
        """Unix time by the exchange's clock; None while nothing is known of that."""
        return None if self._offset is None else time.time() + self._offset

    def _following(self, end: End) -> End:
        self._names_changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

        def ended() -> None:
            end()
            needed = self._followers.series
            self._series = {key: state for key, state in self._series.items() if key in needed}
            self._names_changed.set()

        return ended

    async def _run(self) -> None:
        while self._followers:
            others = [asyncio.create_task(self._keep_up()), asyncio.create_task(self._hand_on())]
            try:
                await self._keep_connected()
            finally:
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
                connection, self._connection = self._connection, None
                if connection:
                    await connection.close()
                self._prices.clear()
                self._series.clear()
                self._offset = None
                self._say()

    async def _keep_connected(self) -> None:
        """Keep a connection until nobody needs it: a new one is there before the old one goes, where that can be."""
        failures = 0
        while self._url is None:
            self._names_changed.clear()
            if not self._followers:
                return
            await self._names_changed.wait()
        while True:
            began = time.monotonic()
            try:
                await self._renew()
            except ClientError, OSError, TimeoutError:
                self._problem = "no connection"
            else:
                if self._connection and await self._serve(self._connection):
                    return
            self._say()
            failures = 0 if time.monotonic() - began > self._timing.longest_pause else failures + 1
            await asyncio.sleep(self._timing.pause(failures) if failures else 0)

    async def _renew(self) -> None:
        """Put another connection in the place of the one there is. Raises ClientError, OSError, TimeoutError."""
        connection = await StreamConnection.open(
            self._session, self._url or "", self._timing.silence, self._exchange.stream_format, self._take
        )
        self.connections += 1
        before = connection
        try:
            self._names_changed.clear()
            await connection.follow(self._followers.streams)
            before, self._connection = self._connection or connection, connection
        finally:
            if before is not self._connection:
                await before.close()
        self._problem = None
        self._say()

    async def _serve(self, connection: StreamConnection) -> bool:
        """Keep to what is followed until another connection is wanted; whether none is, since nobody follows anything."""
        loop = asyncio.get_running_loop()
        aged = loop.call_later(self._timing.lifetime, connection.replace, "the connection's day is over")
        try:
            while not connection.over.done():
                changed = asyncio.create_task(self._names_changed.wait())
                idle = None if self._followers else self._timing.idle
                try:
                    await asyncio.wait((connection.over, changed), timeout=idle, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                if idle is not None and not self._followers:
                    return True
                self._names_changed.clear()
                if not connection.over.done():
                    await connection.follow(self._followers.streams)
        finally:
            aged.cancel()
        self._problem = connection.over.result()
        return False

    def _take(self, update: CandleUpdate | PriceUpdate) -> None:
        """Take a message of the stream."""
        self._offset = update.at - time.time()
        if isinstance(update, PriceUpdate):
            self._prices[update.symbol] = update.price, time.monotonic()
            self._changed.add(update.symbol)
        elif (key := (update.symbol, update.frame)) in self._followers.series:
            self._followers.show_update(update)
            state = self._state(key, update.candle.opened)
            if update.closed:
                self._accept(key, state.candles.take(update.candle, update.first_trade, update.last_trade))
            else:
                state.candles.begun(update.candle.opened, update.first_trade)
            if state.candles.wanted(0):
                self._look_now.set()

    def _state(self, key: Key, now: float) -> _State:
        """The series, which begins with the longest candle that is open at a time (Unix seconds)."""
        if (state := self._series.get(key)) is None:
            longest = self._followers.series[key]
            state = self._series[key] = _State(JoinedCandles(key[1], int(now) // longest * longest))
        return state

    def _accept(self, key: Key, seen: list[Joined], corrected: Collection[Candle] = ()) -> None:
        """Have candles written down, and shown where they are new."""
        self._to_write += [
            (Series(self._host, *key), candle) for candle in (*corrected, *(each.candle for each in seen))
        ]
        self._to_show += [(key, each) for each in seen]
        if self._to_write:
            self._accepted.set()

    async def _keep_up(self) -> None:
        """Fetch what the stream did not bring, and tell of prices, in turns."""
        while True:
            try:
                await asyncio.wait_for(self._look_now.wait(), self._timing.look)
            except TimeoutError:
                changed, self._changed = self._changed, set()
                self._followers.show_prices(
                    {symbol: self._prices[symbol][0] for symbol in changed if symbol in self._prices}
                )
            self._look_now.clear()
            needed = self._followers.series
            try:
                if needed and self._offset is None:
                    self._offset = (await self._exchange.server_time()).timestamp() - time.time()
            except ExchangeError:
                continue
            for key in needed:
                await self._mend(key, self._state(key, self._now or 0))
            self._say()

    async def _mend(self, key: Key, state: _State) -> None:
        """Fetch what is missing of a series, as far and as fast as the exchange lets us."""
        candles, frame = state.candles, key[1]
        while (
            (asked := candles.wanted((self._now or 0) - self._timing.grace))
            and time.monotonic() >= state.again_at
            and not self._exchange.pause
        ):
            try:
                page = await self._exchange.candles(*key, *asked)
            except Refused:
                # No pair of that name: asked again now and then, and nothing that the others have to wait for.
                state.unlisted, state.failures = True, 0
                state.again_at = time.monotonic() + self._timing.unlisted
                return
            except ExchangeError:
                over, seen = [], list[Joined]()
            else:
                over = [candle for candle in page if candle.opened + frame.seconds <= (self._now or 0)]
                seen, corrected = candles.fetched(over, asked)
                self._accept(key, seen, corrected)
            state.unlisted = False
            state.failures = 0 if over or seen else state.failures + 1
            if state.failures:
                state.again_at = time.monotonic() + self._timing.pause(state.failures)

    async def _hand_on(self) -> None:
        """Write down what has closed, then show it to its followers."""
        while True:
            await self._accepted.wait()
            self._accepted.clear()
            rows, self._to_write = self._to_write, []
            shown, self._to_show = self._to_show, []
            written = time.time()
            await asyncio.to_thread(self._store.write, rows, int(written))
            for key, each in shown:
                self._followers.show_candle(Closed(*key, each.candle, written, each.joins))

    def _say(self) -> None:
        """Tell who wants to know where the health is another one."""
        health = self.health
        if (now := (health.connected, health.sound)) != self._said:
            self._said = now
            for listener in [*self._listeners]:
                listener()
