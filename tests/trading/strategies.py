"""Strategies for tests of a whole portfolio: rules that go in at once, on candles that follow the simulated exchange."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import override

from custom_components.calvalot.trading.errors import SourceError
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.sources.base import Source
from custom_components.calvalot.trading.sources.strategy import GRACE, StrategySource
from custom_components.calvalot.trading.sources.strategy_settings import StrategySettings
from harness.engine import OpenEngine

from .rig import Rig


def rules(
    stop_loss: float | None = 5,
    take_profit: float | None = 10,
    trailing_stop: float | None = None,
    leaves: float | None = None,
    above: float = 0,
) -> str:
    """Rules that hold a coin while its price is above something, with their levels in %."""
    levels = {"stop_loss": stop_loss, "take_profit": take_profit, "trailing_stop": trailing_stop}
    lines = ["name: x", f"enter: {{value: price, above: {above}}}"]
    lines += [f"exit: {{value: price, below: {leaves}}}"] if leaves else []
    return "\n".join([*lines, *(f"{name}: {level}" for name, level in levels.items() if level)])


class House:
    """Candles of the simulated exchange: flat ones at the price of when they are first asked for, and those that are added."""

    def __init__(self, rig: Rig, frame: TimeFrame = TimeFrame.H1) -> None:
        self.rig = rig
        self.frame = frame
        self.candles: dict[str, dict[int, Candle]] = {}
        self.fault: SourceError | None = None

    def strategy(self, text: str | None = None, coins: Sequence[str] = ("BTC",)) -> HouseSource:
        """A strategy that reads these candles."""
        settings = StrategySettings(text=text or rules(), coins=tuple(coins), frame=self.frame)
        return HouseSource(self, settings)

    def one(self, text: str | None = None) -> dict[str, Source]:
        """It as the only source."""
        return {"strategy": self.strategy(text)}

    def add(self, close: float | Decimal, coin: str = "BTC") -> None:
        """Let the candle that runs close at a price; it is two seconds later then."""
        now = self.rig.clock.time()
        opened = int(now) // self.frame.seconds * self.frame.seconds
        price = float(close)
        self.candles.setdefault(coin, {})[opened] = Candle(opened, price, price, price, price, 1)
        self.rig.clock.advance(opened + self.frame.seconds + GRACE + 1 - now)

    async def close(self, owner: OpenEngine, at: float | Decimal | None = None, coin: str = "BTC") -> None:
        """Let the candle that runs close, at the last price or another one, and have a cycle."""
        self.add(self.rig.exchange.price(f"{coin}{self.rig.quote}") if at is None else at, coin)
        await owner.cycle()

    async def read(self, coin: str, frame: TimeFrame, begin: int, end: int) -> Sequence[Candle]:
        price = float(self.rig.exchange.price(f"{coin}{self.rig.quote}"))
        known = self.candles.setdefault(coin, {})
        return [
            known.setdefault(opened, Candle(opened, price, price, price, price, 1))
            for opened in range(begin, end, frame.seconds)
        ]


class HouseSource(StrategySource):
    """A strategy that reads the candles of these tests, or fails as they say."""

    def __init__(self, house: House, settings: StrategySettings) -> None:
        super().__init__(settings, house.read, house.rig.clock.now)
        self.house = house

    @override
    async def fetch(self, coins: Collection[str]) -> None:
        if self.house.fault:
            raise self.house.fault
        await super().fetch(coins)
