"""Closed candles of the past: from the store, and what is missing there from the exchange."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ..exchanges.stream import StreamFormat
from .candles import Candle, TimeFrame, merged
from .store import CandleStore, Series


class CandleExchange(Protocol):
    """What an exchange does for candles."""

    @property
    def time_frames(self) -> Collection[TimeFrame]:
        """What it has; the others are made from these."""
        ...

    async def server_time(self) -> datetime:
        """Clock of the exchange (UTC)."""
        ...

    async def candles(self, symbol: str, frame: TimeFrame, start: int, end: int) -> list[Candle]:
        """A page of candles that opened from `start` to before `end` (Unix seconds), oldest first."""
        ...


class StreamExchange(CandleExchange, Protocol):
    """What an exchange does for who asks for much, the wish to be left alone, and how its streams are."""

    @property
    def stream_format(self) -> StreamFormat:
        """What its streams are called, and what they say."""
        ...

    @property
    def pause(self) -> float:
        """Seconds to wait before anything that nothing hurries."""
        ...


@dataclass(frozen=True, slots=True)
class History:
    """Closed candles, oldest first, and how many of those asked for the exchange does not have."""

    candles: tuple[Candle, ...]
    missing: int


async def closed_candles(
    exchange: CandleExchange, store: CandleStore, wanted: Series, count: int, until: datetime | None = None
) -> History:
    """The last `count` candles that were closed at a time, or by now. Raises ExchangeError.

    Closed is what has ended by the exchange's clock. Each page is kept as it comes: what was interrupted goes on there.
    """
    frame, basis = wanted.frame, wanted.frame.basis(exchange.time_frames)
    series = Series(wanted.host, wanted.symbol, basis)
    now = int((await exchange.server_time()).timestamp())
    end = (now if until is None else min(now, int(until.timestamp()))) // frame.seconds * frame.seconds
    times = range(end - count * frame.seconds, end, basis.seconds)
    found = await asyncio.to_thread(store.read, series, times.start, times.stop)
    absent = [opened for opened in times if opened not in found]
    while absent:
        page = await exchange.candles(series.symbol, basis, absent[0], absent[-1] + basis.seconds)
        page = [candle for candle in page if candle.opened in times and candle.opened >= absent[0]]
        if not page:
            break
        await asyncio.to_thread(store.write, [(series, candle) for candle in page], now)
        found |= {candle.opened: candle for candle in page}
        absent = [opened for opened in absent if opened > page[-1].opened]
    candles = merged((found[opened] for opened in times if opened in found), basis, frame)
    return History(candles, count - len(candles))
