"""The prices: a seeded random walk, an order book around it, averages and candles from it."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
import math
import random

from .refusal import UnknownSymbolError
from .symbols import CALM, PRICES, Symbol, default_symbols

HALF_SPREAD = Decimal("0.00006")
LEVEL_GAP = Decimal("0.00004")
FIRST_LEVEL = Decimal(110)
LEVEL_GROWTH = Decimal("1.6")
LEVELS = 22
AVERAGE_MS = 5 * 60 * 1000
HISTORY = 20_000


@dataclass(frozen=True, slots=True)
class Level:
    """A price of the book and the quantity offered there."""

    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Candle:
    """Open, high, low and close of one interval; each step is a trade of one unit, the first of them numbered ``first``."""

    opened: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    trades: int
    amount: Decimal
    first: int = -1

    @property
    def last(self) -> int:
        """Number of the last trade; -1 where there was none."""
        return self.first + self.trades - 1 if self.trades else -1


class Market:
    """Values of all assets in USDC, and what follows for each pair."""

    def __init__(self, seed: int, volatility: Decimal, now: int) -> None:
        """Start all prices at their usual place."""
        self.symbols = {symbol.name: symbol for symbol in default_symbols()}
        self.volatility = volatility
        self.steps = 0
        self._seed = seed
        self._random = random.Random(seed)
        self._values = dict(PRICES)
        self._held: set[str] = set()
        self._missing: dict[str, bool] = {}
        self._depth: dict[str, Decimal] = {}
        self._history: dict[str, deque[tuple[int, Decimal]]] = {}
        # How many trades there were.
        self._recorded: Counter[str] = Counter()
        for name in self.symbols:
            self._history[name] = deque(maxlen=HISTORY)
        self._record(now)

    def symbol(self, name: str) -> Symbol:
        """The pair of that name, or -1121."""
        if (symbol := self.symbols.get(name)) is None:
            raise UnknownSymbolError
        return symbol

    def price(self, name: str) -> Decimal:
        """Last price, a multiple of the tick."""
        symbol = self.symbol(name)
        middle = self._values[symbol.base] / self._values[symbol.quote]
        return max((middle / symbol.tick).to_integral_value() * symbol.tick, symbol.tick)

    def ticker(self, name: str) -> Decimal | None:
        """Last price as the ticker shows it; None when it has none."""
        if name in self._missing:
            return Decimal(0) if self._missing[name] else None
        return self.price(name)

    def value(self, asset: str) -> Decimal | None:
        """Value of one unit of the asset in USDC."""
        return self._values.get(asset)

    def walk(self, now: int) -> None:
        """Move every asset that is not held by one random step."""
        self.steps += 1
        held = {asset for name in self._held for asset in (self.symbols[name].base, self.symbols[name].quote)}
        for asset in self._values:
            change = self._random.gauss(0, 1)
            if asset not in held:
                size = float(self.volatility * CALM.get(asset, Decimal(1)))
                self._values[asset] *= Decimal(str(round(math.exp(change * size), 12)))
        self._record(now)

    def set_price(self, name: str, price: Decimal, now: int, *, gap: bool) -> None:
        """Move the base asset (for the dollar pair, the quote) so that the pair costs this much."""
        if price <= 0:
            raise ValueError("a price is above 0")
        symbol = self.symbol(name)
        if symbol.base == "USDC":
            moved, self._values[symbol.quote] = symbol.quote, 1 / price
        else:
            moved, self._values[symbol.base] = symbol.base, price * self._values[symbol.quote]
        if not gap:
            for other in self.symbols.values():
                if moved in (other.base, other.quote):
                    self._history[other.name].clear()
        self._record(now)

    def add(self, symbol: Symbol, price: Decimal, now: int) -> None:
        """List a pair; its base takes the value that the price tells."""
        self._values.setdefault(symbol.quote, Decimal(1))
        self.symbols[symbol.name] = symbol
        self._history[symbol.name] = deque(maxlen=HISTORY)
        self.set_price(symbol.name, price, now, gap=False)

    def remove(self, name: str) -> None:
        """Take a pair off the list."""
        del self.symbols[name], self._history[name]
        self._held.discard(name)

    def hold(self, name: str) -> None:
        """Keep the price where it is."""
        self._held.add(self.symbol(name).name)

    def release(self, name: str) -> None:
        """Let the price walk again."""
        self._held.discard(name)

    def remove_price(self, name: str, *, zero: bool) -> None:
        """Take the price from the ticker, or show zero there."""
        self._missing[self.symbol(name).name] = zero

    def restore_price(self, name: str) -> None:
        """Show the price again."""
        self._missing.pop(name, None)

    def set_depth(self, name: str, quote: Decimal | None) -> None:
        """Limit what the book holds on each side, in the quote asset."""
        self.symbol(name)
        if quote is None:
            self._depth.pop(name, None)
        else:
            self._depth[name] = quote

    def book(self, name: str, side: str) -> Iterator[Level]:
        """What an order of this side meets, best price first."""
        symbol = self.symbol(name)
        buying = side == "BUY"
        rounding = ROUND_CEILING if buying else ROUND_FLOOR
        sign = 1 if buying else -1
        middle = self._values[symbol.base] / self._values[symbol.quote]
        sizes = random.Random(f"{self._seed}:{self.steps}:{name}:{side}")
        left, amount = self._depth.get(name), FIRST_LEVEL
        if left is not None:
            amount = min(amount, left / 3)
        previous: Decimal | None = None
        for number in range(LEVELS):
            price = middle * (1 + sign * (HALF_SPREAD + LEVEL_GAP * number))
            price = (price / symbol.tick).to_integral_value(rounding) * symbol.tick
            if previous is not None and (price - previous) * sign < symbol.tick:
                price = previous + sign * symbol.tick
            if price <= 0:
                return
            previous = price
            size = amount * (Decimal(sizes.randint(70, 130)) / 100)
            if left is not None:
                size = min(size, left)
                left -= size
            quantity = (size / price / symbol.step).to_integral_value(ROUND_FLOOR) * symbol.step
            if quantity > 0:
                yield Level(price, quantity)
            if left == 0:
                return
            amount *= LEVEL_GROWTH

    def average(self, name: str, now: int) -> Decimal:
        """Mean price of the last five minutes, each price weighing as long as it stood."""
        history = self._history[self.symbol(name).name]
        end, total, length = now, Decimal(0), 0
        for time, price in reversed(history):
            start = max(time, now - AVERAGE_MS)
            if end > start:
                total += price * (end - start)
                length += end - start
                end = start
            if end <= now - AVERAGE_MS:
                break
        return total / length if length else history[-1][1]

    def candles(self, name: str, interval: int, start: int | None, end: int | None, now: int) -> list[Candle]:
        """Candles of ``interval`` ms from the recorded steps, oldest first, the open one last; quiet ones repeat the close."""
        steps: list[tuple[int, Decimal]] = []
        for step in reversed(self._history[self.symbol(name).name]):
            steps.append(step)
            if start is not None and step[0] // interval * interval < start:
                break  # whatever is quiet after it repeats its price
        number = self._recorded[name] - len(steps)
        candles: list[Candle] = []

        def repeat(until: int) -> None:
            while candles and (quiet := candles[-1].opened + interval) < until and len(candles) < HISTORY:
                close = candles[-1].close
                candles.append(Candle(quiet, close, close, close, close, 0, Decimal(0)))

        for time, price in reversed(steps):
            opened = time // interval * interval
            if candles and opened <= candles[-1].opened:
                last = candles[-1]
                candles[-1] = replace(
                    last,
                    high=max(last.high, price),
                    low=min(last.low, price),
                    close=price,
                    trades=last.trades + 1,
                    amount=last.amount + price,
                    first=last.first if last.trades else number,
                )
            else:
                repeat(opened)
                candles.append(Candle(opened, price, price, price, price, 1, price, number))
            number += 1
        repeat(now + 1)
        return [c for c in candles if (start is None or c.opened >= start) and (end is None or c.opened <= end)]

    def _record(self, now: int) -> None:
        for name, history in self._history.items():
            history.append((now, self.price(name)))
            self._recorded[name] += 1
