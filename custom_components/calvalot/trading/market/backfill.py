"""Fills the store backwards, a page at a time and only while the exchange has room for that."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from ..errors import ExchangeError
from .history import StreamExchange, closed_candles
from .store import CandleStore, Series
from .timing import Timing

# Candles of the exchange that one request may answer with.
PAGE = 1000


class Backfill:
    """One series, filled from its end back to `since` (Unix seconds).

    `done` of `wanted` candles have been looked at; `problem` is why it waits just now. What was interrupted goes on where it
    stopped: what is in the store is not asked for again.
    """

    def __init__(
        self,
        exchange: StreamExchange,
        store: CandleStore,
        series: Series,
        since: int,
        until: int,
        timing: Timing | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`until` (Unix seconds) is where it begins; between two pages it waits as long as between two looks of the stream."""
        length = series.frame.seconds
        self.since = since // length * length
        self.wanted = max(until // length - self.since // length, 0)
        self.done = 0
        self.problem: ExchangeError | None = None
        self._exchange = exchange
        self._store = store
        self._series = series
        self._timing = timing or Timing()
        self._sleep = sleep

    @property
    def running(self) -> bool:
        """Whether there is more to do."""
        return self.done < self.wanted

    async def run(self) -> None:
        """Fill it, however long that takes."""
        frame = self._series.frame
        page = PAGE * frame.basis(self._exchange.time_frames).seconds // frame.seconds
        failures = 0
        while self.running:
            if seconds := self._exchange.pause:
                await self._sleep(seconds)
                continue
            count = min(page, self.wanted - self.done)
            until = datetime.fromtimestamp(self.since + (self.wanted - self.done) * frame.seconds, UTC)
            try:
                await closed_candles(self._exchange, self._store, self._series, count, until)
            except ExchangeError as err:
                self.problem = err
                failures += 1
                await self._sleep(self._timing.pause(failures))
            else:
                self.problem, failures = None, 0
                self.done += count
                await self._sleep(self._timing.look)
