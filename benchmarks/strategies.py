"""What strategies on candles take: processor time of a close, and memory over a year of hours."""

import gc
from pathlib import Path
from random import Random
from statistics import median
import time

from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.strategies.evaluator import Evaluator
from custom_components.calvalot.trading.strategies.library import READY_MADE, strategy_text
from custom_components.calvalot.trading.strategies.reader import read_strategy
from harness.portfolio import COINS

from .calibration import piece
from .figure import Figure

STRATEGIES = 50
FRAME = TimeFrame.H1
YEAR = 365 * 24
# Candles after which every indicator is warm and has forgotten something already.
SETTLED = 3000
PAGE = 4096


async def measure(*, quick: bool) -> list[Figure]:
    """Fifty strategies, those that come with the integration in turn, each on five coins; times are multiples of a piece of Python."""
    cpu = piece(time.process_time)
    rules = [read_strategy(strategy_text(name, Path())) for name in READY_MADE]
    strategies = [Evaluator(rules[number % len(rules)], COINS, FRAME) for number in range(STRATEGIES)]
    market = _Market(Random(18))
    times: list[float] = []
    memory: list[int] = []
    count = 2 * SETTLED if quick else YEAR
    decisions = 0
    for number in range(count):
        opened = number * FRAME.seconds
        shown = market.close(opened)
        begun = time.process_time()
        decisions += sum(each.step(opened, shown) is not None for each in strategies)
        times.append(time.process_time() - begun)
        if number + 1 in {SETTLED, count}:
            gc.collect()
            memory.append(_resident())
    close = median(times)
    return [
        Figure(name="a piece of Python, P", value=cpu * 1000, unit="ms", by="same run, in processor time"),
        Figure(
            name=f"a close for {STRATEGIES} strategies on {len(COINS)} coins",
            value=close / cpu,
            unit="× P",
            bound=20,
            by=f"median of {count:,} closes, in processor time: {close * 1000:.1f} ms; {decisions:,} decisions",
        ),
        Figure(
            name="… of one strategy and coin",
            value=close * 1e6 / STRATEGIES / len(COINS),
            unit="µs",
            by="the same, divided",
        ),
        Figure(name="… the longest", value=max(times) / cpu, unit="× P", by="the most of the same"),
        Figure(
            name=f"memory with {SETTLED:,} candles",
            value=memory[0] / 2**20,
            unit="MiB",
            by="resident, the whole process",
        ),
        Figure(
            name=f"… what it grows by until {count:,} candles",
            value=(memory[-1] - memory[0]) / 2**20,
            unit="MiB",
            bound=2,
            by="the same process",
        ),
    ]


class _Market:
    """Candles of the coins at random, one hour after the other; none is kept."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._prices = dict.fromkeys(COINS, 100.0)

    def close(self, opened: int) -> dict[str, Candle]:
        """The candles that opened then."""
        found: dict[str, Candle] = {}
        for coin, begun in self._prices.items():
            price = begun * (1 + self._random.gauss(0, 0.01))
            high, low = max(begun, price) * 1.002, min(begun, price) * 0.998
            found[coin] = Candle(opened, begun, high, low, price, self._random.uniform(1, 100))
        self._prices = {coin: candle.close for coin, candle in found.items()}
        return found


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
