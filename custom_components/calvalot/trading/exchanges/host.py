"""A host as all its portfolios know it: its request to be left alone, the weight that is used, the last prices."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from aiohttp import ClientHandlerType, ClientResponse

from ..errors import ExchangeUnavailable, RateLimited, Refused

# Seconds from the question on that an answer may be shared.
SHARED_FOR = 3.0


type Ask = Callable[[Collection[str]], Awaitable[Mapping[str, Decimal]]]


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
    """A host as all its followers know it: its request to be left alone, the weight that is used, the last prices."""

    _gates: ClassVar[dict[str, HostLimits]] = {}

    def __init__(self) -> None:
        self.closed_until = 0.0
        self.used_weight: int | None = None
        self.used_at = 0.0
        self.quotes = SharedPrices(lambda: time.monotonic())  # noqa: PLW0108 # looked up anew each time

    @classmethod
    def of(cls, url: str) -> HostLimits:
        """The gate of a URL's host."""
        return cls._gates.setdefault(urlsplit(url).netloc.lower(), cls())

    def check(self) -> None:
        """Raise RateLimited while the host wants no request."""
        if time.monotonic() < self.closed_until:
            raise RateLimited(self.closed_until)

    def close(self, retry_after: str | None) -> RateLimited:
        """Close the gate for as long as the host said (seconds)."""
        pause = float(retry_after) if retry_after and retry_after.isdecimal() else DEFAULT_PAUSE
        self.closed_until = max(self.closed_until, time.monotonic() + pause)
        return RateLimited(self.closed_until)

    async def pass_through(self, request: Any, handler: ClientHandlerType) -> ClientResponse:
        """Ask the gate once more when a request has its connection, and hear at once what its answer says of limits.

        A client middleware: https://docs.aiohttp.org/en/stable/client_advanced.html#client-middleware. It may have waited
        for the connection, and another answer may have closed the gate meanwhile.
        """
        send = request.send

        async def send_where_open(connection: Any) -> ClientResponse:
            self.check()
            response: ClientResponse = await send(connection)
            return response

        request.send = send_where_open
        response = await handler(request)
        weight = response.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if weight.isdecimal():
            self.used_weight, self.used_at = int(weight), time.time()
        if response.status in LIMITED:
            self.close(response.headers.get("Retry-After"))
        return response

    @property
    def pause(self) -> float:
        """Seconds until the host counts anew, where most of the weight of this minute is used; else 0."""
        minute, passed = divmod(time.time(), 60)
        crowded = self.used_weight is not None and self.used_weight >= CROWDED and self.used_at // 60 == minute
        return 60 - passed if crowded else 0.0
