"""A host as all its portfolios know it: its request to be left alone, the weight that is used, the last prices."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
import time
from typing import Any, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from aiohttp import ClientHandlerType, ClientResponse

from ..errors import ExchangeUnavailable, RateLimited, Refused

# Seconds from the question on that an answer may be shared.
SHARED_FOR = 3.0


type Ask = Callable[[Collection[str]], Awaitable[Mapping[str, Decimal]]]


class LivePrices(Protocol):
    """Prices that are known without a question, such as those of a stream."""

    def __call__(self, symbols: Collection[str], since: float = 0.0, /) -> Mapping[str, Decimal] | None:
        """Last prices of symbols; None unless each of them is fresh and came after a time (monotonic, seconds)."""
        ...


def no_live_prices(_symbols: Collection[str], _since: float = 0.0, /) -> None:
    """What is known without a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Prices of some symbols, when they were asked for, and who has had them."""

    asked_at: float
    symbols: frozenset[str]
    prices: Mapping[str, Decimal]
    readers: WeakSet[object] = field(default_factory=WeakSet)


class SharedPrices:
    """The last prices of one host.

    One question at a time, for the symbols of everyone who reads here. Nobody gets an answer twice, so that each look of a
    follower brings it newer prices than the one before. `clock` is a monotonic one, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asking = asyncio.Lock()
        self._wanted: WeakKeyDictionary[object, frozenset[str]] = WeakKeyDictionary()
        self._answer: Answer | None = None
        self._failure: tuple[float, ExchangeUnavailable | RateLimited] | None = None

    async def prices(self, reader: object, symbols: Collection[str], ask: Ask) -> dict[str, Decimal]:
        """Last prices (quote per base) by symbol, asked for at most `SHARED_FOR` seconds ago. Raises what `ask` raises."""
        came = self._clock()
        self._wanted[reader] = wanted = frozenset(symbols)
        async with self._asking:
            if self._failure and self._failure[0] >= came:
                raise self._failure[1]  # waited for the same answer in vain
            answer = self._answer
            if (
                answer is None
                or reader in answer.readers
                or not wanted <= answer.symbols
                or self._clock() - answer.asked_at > SHARED_FOR
            ):
                self._answer = answer = await self._renew(reader, wanted, ask)
            answer.readers.add(reader)
        return {symbol: price for symbol, price in answer.prices.items() if symbol in wanted}

    async def _renew(self, reader: object, wanted: frozenset[str], ask: Ask) -> Answer:
        everyones = frozenset[str]().union(*self._wanted.values())
        asked_at = self._clock()
        try:
            try:
                return Answer(asked_at=asked_at, symbols=everyones, prices=await ask(everyones))
            except Refused:
                if everyones == wanted:
                    raise
            # Somebody wants a symbol that is not listed any more: the others go on without it.
            self._wanted = WeakKeyDictionary({reader: wanted})
            return Answer(asked_at=asked_at, symbols=wanted, prices=await ask(wanted))
        except (ExchangeUnavailable, RateLimited) as err:
            self._failure = self._clock(), err
            raise


DEFAULT_PAUSE = 60.0
# Of the 6,000 that a host allows in a minute.
CROWDED = 4500
LIMITED = frozenset({418, 429})


class HostLimits:
    """A host as all its portfolios know it: its request to be left alone, the weight that is used, the last prices.

    `clock` is a monotonic one, `wall_clock` tells Unix time, both in seconds; `crowded` is the weight from which on what is
    left of a minute is for those already running.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        crowded: int = CROWDED,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._crowded = crowded
        self._paused_until = 0.0
        self._used_at = 0.0
        self.used_weight: int | None = None
        self.shared_prices = SharedPrices(clock)

    def check(self) -> None:
        """Raise RateLimited while the host wants no request."""
        if self._clock() < self._paused_until:
            raise RateLimited(self._paused_until)

    def wait(self, retry_after: str | None) -> RateLimited:
        """Send nothing for as long as the host said (seconds)."""
        pause = float(retry_after) if retry_after and retry_after.isdecimal() else DEFAULT_PAUSE
        self._paused_until = max(self._paused_until, self._clock() + pause)
        return RateLimited(self._paused_until)

    async def middleware(self, request: Any, handler: ClientHandlerType) -> ClientResponse:
        """Check once more when a request has its connection, and read at once what its answer says of limits.

        A client middleware: https://docs.aiohttp.org/en/stable/client_advanced.html#client-middleware. It may have waited
        for the connection, and another answer may have asked for a pause meanwhile.
        """
        send = request.send

        async def send_where_wanted(connection: Any) -> ClientResponse:
            self.check()
            response: ClientResponse = await send(connection)
            return response

        request.send = send_where_wanted
        response = await handler(request)
        weight = response.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if weight.isdecimal():
            self.used_weight, self._used_at = int(weight), self._wall_clock()
        if response.status in LIMITED:
            self.wait(response.headers.get("Retry-After"))
        return response

    @property
    def pause(self) -> float:
        """Seconds until the host counts anew, where most of the weight of this minute is used; else 0."""
        minute, passed = divmod(self._wall_clock(), 60)
        crowded = self.used_weight is not None and self.used_weight >= self._crowded and self._used_at // 60 == minute
        return 60 - passed if crowded else 0.0


class Hosts:
    """The limits of each host, shared by everyone who asks here."""

    def __init__(self, make: Callable[[], HostLimits] = HostLimits) -> None:
        self._make = make
        self._limits: dict[str, HostLimits] = {}

    def limits(self, url: str) -> HostLimits:
        """The limits of a URL's host."""
        return self._limits.setdefault(urlsplit(url).netloc.lower(), self._make())


# Those of all portfolios of this program.
HOSTS = Hosts()
