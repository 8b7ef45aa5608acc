"""Prices that the followers of a host share."""

import asyncio
from collections.abc import Collection
from decimal import Decimal

import pytest

from custom_components.calvalot.trading.errors import ExchangeUnavailable, Refused
from custom_components.calvalot.trading.exchanges.host import SHARED_FOR, SharedPrices


class Reader:
    """Somebody who wants prices."""


class Host:
    """Answers with a price that rises with each question, and notes what it was asked."""

    def __init__(self) -> None:
        """Nothing was asked yet; the clock stands still."""
        self.asked: list[set[str]] = []
        self.now = 100.0
        self.failure: Exception | None = None
        self.delisted: set[str] = set()
        self.quotes = SharedPrices(lambda: self.now)

    async def ask(self, symbols: Collection[str]) -> dict[str, Decimal]:
        """One request."""
        self.asked.append(set(symbols))
        await asyncio.sleep(0)
        if self.failure:
            raise self.failure
        if self.delisted & set(symbols):
            raise Refused("Invalid symbol.", -1121)
        return dict.fromkeys(symbols, Decimal(len(self.asked)))

    async def read(self, reader: Reader, *symbols: str) -> dict[str, Decimal]:
        """What a reader gets."""
        return await self.quotes.prices(reader, symbols, self.ask)


async def test_one_question_for_all() -> None:
    """Those who come at once share an answer, each with its own symbols only, as soon as the symbols are known."""
    host, readers = Host(), [Reader() for _ in range(10)]
    for reader in readers:
        await host.read(reader, "BTCUSDC")
    host.asked.clear()
    host.now += SHARED_FOR + 1
    found = await asyncio.gather(*(host.read(reader, "BTCUSDC") for reader in readers))
    assert host.asked == [{"BTCUSDC"}]
    assert all(prices == found[0] for prices in found)


async def test_own_symbols_only() -> None:
    """The question is for everybody's symbols, the answer for one's own."""
    host, one, other = Host(), Reader(), Reader()
    assert await host.read(one, "BTCUSDC") == {"BTCUSDC": 1}
    assert await host.read(other, "ETHUSDC") == {"ETHUSDC": 2}
    assert host.asked == [{"BTCUSDC"}, {"BTCUSDC", "ETHUSDC"}]
    assert await host.read(one, "BTCUSDC") == {"BTCUSDC": 2}
    assert len(host.asked) == 2


async def test_never_twice() -> None:
    """Who looks again gets newer prices, even in the same moment."""
    host, reader = Host(), Reader()
    assert await host.read(reader, "BTCUSDC") == {"BTCUSDC": 1}
    assert await host.read(reader, "BTCUSDC") == {"BTCUSDC": 2}


@pytest.mark.parametrize(("seconds", "questions"), [(SHARED_FOR, 1), (SHARED_FOR + 0.01, 2)])
async def test_age(seconds: float, questions: int) -> None:
    """An answer is shared for a few seconds, counted from its question."""
    host = Host()
    await host.read(Reader(), "BTCUSDC")
    host.now += seconds
    await host.read(Reader(), "BTCUSDC")
    assert len(host.asked) == questions


async def test_failure() -> None:
    """Who waited for the same answer fails with it; who comes later asks again."""
    host, readers = Host(), [Reader(), Reader(), Reader()]
    host.failure = ExchangeUnavailable("away")
    found = await asyncio.gather(*(host.read(reader, "BTCUSDC") for reader in readers), return_exceptions=True)
    assert [type(each) for each in found] == [ExchangeUnavailable] * 3
    assert len(host.asked) == 1
    host.now += 1
    host.failure = None
    assert await host.read(readers[0], "BTCUSDC") == {"BTCUSDC": 2}


async def test_delisted() -> None:
    """A symbol that is not listed any more is the trouble of its reader alone, and is not asked for by others again."""
    host, one, other = Host(), Reader(), Reader()
    await host.read(one, "BTCUSDC")
    await host.read(other, "LUNAUSDC", "ETHUSDC")
    host.delisted = {"LUNAUSDC"}
    host.now += SHARED_FOR + 1
    host.asked.clear()
    assert set(await host.read(one, "BTCUSDC")) == {"BTCUSDC"}
    assert host.asked == [{"BTCUSDC", "ETHUSDC", "LUNAUSDC"}, {"BTCUSDC"}]
    with pytest.raises(Refused):
        await host.read(one, "LUNAUSDC")
    host.asked.clear()
    with pytest.raises(Refused):
        await host.read(one, "LUNAUSDC")
    assert host.asked == [{"LUNAUSDC"}]


async def test_gone() -> None:
    """Nobody asks for somebody who is gone."""
    host = Host()
    await host.read(Reader(), "ETHUSDC")
    await host.read(Reader(), "BTCUSDC")
    assert host.asked[-1] == {"BTCUSDC"}
