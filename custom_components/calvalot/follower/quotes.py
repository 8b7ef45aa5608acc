"""Last prices of a host, asked for once by all followers that look at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from weakref import WeakKeyDictionary, WeakSet

from .exchange import ExchangeUnavailable, RateLimited, Refused

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


class Quotes:
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
