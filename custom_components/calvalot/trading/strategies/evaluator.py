"""A strategy at work: closed candles in, decisions out. Pure: it reads no clock, and the same candles give the same decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
import json
from typing import Protocol

from ..market.candles import Candle, TimeFrame
from ..protection import TAKE_PROFIT
from .conditions import Conditions
from .indicators import settled_after
from .series import Series
from .tree import Amount, Compare, Purchases, Rotation, Strategy, Targets, Trades, conditions_of, number_of, parts_of

# The first Monday after 1970 began: what is done every so many candles is counted from it.
MONDAY = 4 * 86400
# The shortest time after which indicators are begun anew, in candles.
SHORTEST_BLOCK = 50
ENTER, EXIT, TARGET, ROTATE, BUY = "enter", "exit", "target", "rotate", "buy"
STOP_LOSS, TRAILING_STOP = "stop_loss", "trailing_stop"
BY_HAND = "by_hand"


@dataclass(slots=True)
class Stand:
    """How a coin stands: the share (%) that is wanted of the strategy's part, the price (quote) it went in at and the highest since.

    `left` is when (Unix seconds) it went out last, `entered` when it went in; None where an older version wrote that down.
    """

    share: float = 0.0
    entry: float | None = None
    peak: float | None = None
    left: int | None = None
    entered: int | None = None


@dataclass(slots=True)
class State:
    """What has to outlast a restart: when the last candle opened that was decided on, and how each coin stands."""

    last: int | None = None
    stands: dict[str, Stand] = field(default_factory=dict[str, Stand])

    def to_json(self) -> dict[str, object]:
        """As plain JSON."""
        stands = {
            coin: [each.share, each.entry, each.peak, each.left, each.entered] for coin, each in self.stands.items()
        }
        return {"last": self.last, "stands": stands}

    @classmethod
    def from_json(cls, text: str) -> State:
        """What `to_json` gave, as text. Raises ValueError."""
        document = json.loads(text)
        return cls(document["last"], {coin: Stand(*each) for coin, each in document["stands"].items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is wanted from `at` on (Unix seconds): shares of the strategy's part in % by coin, 0 for what is sold.

    `bought` is what is added to what is held, in % too; `reasons` say why something changed. `prices` are the levels (quote) at
    which a stop or a profit was reached within a candle, or its open where that was beyond.
    """

    at: int
    shares: Mapping[str, float]
    bought: Mapping[str, float]
    reasons: Mapping[str, str]
    prices: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Levels:
    """Prices (quote) at which a coin is sold between two closes; None where there is none. `reason` is that of the lower one.

    Decimals, since they may rest on the exchange.
    """

    stop: Decimal | None
    profit: Decimal | None
    reason: str = STOP_LOSS

    def reached(self, low: float, high: float) -> str | None:
        """Why a coin is sold whose price was as low and as high; where both were reached, the stop was first."""
        if self.stop is not None and low <= float(self.stop):
            return self.reason
        return TAKE_PROFIT if self.profit is not None and high >= float(self.profit) else None

    def sale(self, candle: Candle) -> tuple[str, float] | None:
        """Why a coin is sold within a candle, and at what: the worse of stop and open, a profit as a limit there; None = it is kept."""
        if (reason := self.reached(candle.low, candle.high)) is None:
            return None
        return reason, float(self.profit or 0) if reason == TAKE_PROFIT else min(float(self.stop or 0), candle.open)


class Decider(Protocol):
    """What decides on closed candles: rules, or a strategy in Python. `state` outlasts a restart.

    `warmed` candles of the `warm_up` that are needed are there. `problem` is why nothing could be decided on the last ones.
    """

    state: State

    @property
    def warm_up(self) -> int: ...
    @property
    def warmed(self) -> int: ...
    @property
    def is_behind(self) -> bool:
        """Whether it has candles that it did not come to yet."""
        ...

    @property
    def problem(self) -> Exception | None: ...

    def start(self, opened: int) -> int:
        """When the first candle opened (Unix seconds) that one that opened then depends on."""
        ...

    def advance(self, shown: Mapping[int, Mapping[str, Candle]]) -> list[Decision]:
        """Take candles by when they opened, in order; it may be for a worker only. Raises SourceError."""
        ...

    def watch(self, prices: Mapping[str, float], at: int) -> Decision | None:
        """Look at prices (quote) between two closes."""
        ...

    def leave(self, at: int, reason: str = BY_HAND) -> Decision | None:
        """Want nothing any more of what is held."""
        ...

    def sold(self, coin: str, reason: str, at: int) -> Decision | None:
        """Take note that its level has sold a coin at a time (Unix seconds); None where it was out, or has gone in since."""
        ...

    def levels(self, coin: str) -> Levels:
        """Where a coin is sold between two closes."""
        ...


class Evaluator:
    """A strategy for some coins, with what its owner has chosen for its parameters.

    Candles have to come in order of time, those of `start` of the first that is to be decided on at least; what is older than the
    state was decided on already, and only warms the indicators up.
    """

    is_behind = False
    problem: Exception | None = None

    def __init__(
        self,
        strategy: Strategy,
        coins: tuple[str, ...],
        frame: TimeFrame,
        chosen: Mapping[str, float] | None = None,
        state: State | None = None,
    ) -> None:
        self.state = state or State()
        self._manner = strategy.manner
        self._coins = coins
        self._frame = frame
        self._numbers = strategy.values(chosen or {})
        conditions = conditions_of(strategy.manner)
        parts = [part for condition in conditions for part in parts_of(condition)]
        crosses = any(isinstance(part, Compare) and part.how.is_crossing for part in parts)
        settled = [settled_after(each, self._numbers) for each in strategy.indicators.values()]
        lasting = [self._number(part.candles) for part in parts if part.candles]
        self.warm_up = max([*settled, 1]) + crosses
        self._block = round(max(2 * self.warm_up, *lasting, SHORTEST_BLOCK))
        self._series = {
            coin: Series(frame, self._block, self.warm_up, strategy.indicators, self._numbers) for coin in coins
        }
        self._conditions = {
            coin: Conditions(series, self._numbers, conditions) for coin, series in self._series.items()
        }
        for coin in coins:
            self.state.stands.setdefault(coin, Stand())
        trades = strategy.manner if isinstance(strategy.manner, Trades) else None
        self._is_watched = trades is not None and any((trades.stop_loss, trades.trailing_stop, trades.take_profit))
        self._reasons: dict[str, str] = {}
        self._prices: dict[str, float] = {}
        self._bought: dict[str, float] = {}

    def start(self, opened: int) -> int:
        """When the first candle opened (Unix seconds) that one that opened then depends on."""
        length = self._block * self._frame.seconds
        return (opened // length - 2) * length

    @property
    def warmed(self) -> int:
        """Candles of the `warm_up` that are needed, of the coin that has the fewest."""
        return min(series.count for series in self._series.values())

    @property
    def shares(self) -> Mapping[str, float]:
        """Shares of the strategy's part (%) that are wanted of its coins."""
        return {coin: self.state.stands[coin].share for coin in self._coins}

    def advance(self, shown: Mapping[int, Mapping[str, Candle]]) -> list[Decision]:
        """Decide on candles by when they opened, in order; one that never decided begins with the last of them."""
        if self.state.last is None:
            self.state.last = max(shown) - self._frame.seconds
        return [decision for opened, candles in shown.items() if (decision := self.step(opened, candles))]

    def step(self, opened: int, candles: Mapping[str, Candle]) -> Decision | None:
        """Take the candles that opened at a time, of the coins that have one; None where nothing changes."""
        for coin, candle in candles.items():
            self._series[coin].add(candle)
            self._conditions[coin].advance()
        if self.state.last is not None and opened <= self.state.last:
            return None
        self.state.last = opened
        match self._manner:
            case Trades() as trades:
                for coin, candle in candles.items():
                    self._trade(trades, coin, candle)
            case Targets() as targets:
                for coin in candles:
                    self._aim(targets, coin)
            case Rotation() as rotation:
                if self._is_time(rotation.every):
                    self._rotate(rotation, candles)
            case purchases:
                for coin in candles:
                    self._purchase(purchases, coin)
        return self._decided(self._closed)

    def watch(self, prices: Mapping[str, float], at: int) -> Decision | None:
        """Look at prices (quote) between two closes: what has come to its stop or profit is sold."""
        if not self._is_watched:
            return None
        for coin in self._coins:
            if (price := prices.get(coin)) is not None and (reason := self.levels(coin).reached(price, price)):
                self._leave(coin, reason, at)
        return self._decided(at)

    def leave(self, at: int, reason: str = BY_HAND) -> Decision | None:
        """Sell everything now, because its owner says so or its time is over; it goes on with the next candle."""
        for coin in self._coins:
            if self.state.stands[coin].share:
                self._leave(coin, reason, at)
        return self._decided(at)

    def sold(self, coin: str, reason: str, at: int) -> Decision | None:
        """Be out of a coin that its level has sold at a time."""
        stand = self.state.stands.get(coin)
        if stand and stand.entry is not None and (stand.entered is None or stand.entered <= at):
            self._leave(coin, reason, at)
        return self._decided(at)

    def levels(self, coin: str) -> Levels:
        """Where a coin is sold between two closes."""
        stand, manner = self.state.stands[coin], self._manner
        if stand.entry is None or stand.peak is None or not isinstance(manner, Trades):
            return Levels(None, None)
        fixed = self._away(stand.entry, manner.stop_loss, -1)
        trailing = self._away(stand.peak, manner.trailing_stop, -1)
        profit = self._away(stand.entry, manner.take_profit, 1)
        if trailing is not None and (fixed is None or trailing > fixed):
            return Levels(trailing, profit, TRAILING_STOP)
        return Levels(fixed, profit)

    # Inside

    def _number(self, amount: Amount) -> float:
        return number_of(amount, self._numbers)

    def _away(self, price: float, percent: Amount | None, side: int) -> Decimal | None:
        """A price so many percent above (1) or below (-1) one of a candle, whose digits are those that the exchange told."""
        if not percent:
            return None
        return Decimal(repr(price)) * (100 + side * Decimal(repr(self._number(percent)))) / 100

    def _is_time(self, every: Amount) -> bool:
        """Whether the candle that was decided on last ends so many candles."""
        return (self._closed - MONDAY) // self._frame.seconds % round(self._number(every)) == 0

    def _leave(self, coin: str, reason: str, at: int) -> None:
        self.state.stands[coin] = Stand(left=at)
        self._reasons[coin] = reason

    def _decided(self, at: int) -> Decision | None:
        reasons, prices, bought = self._reasons, self._prices, self._bought
        self._reasons, self._prices, self._bought = {}, {}, {}
        return Decision(at=at, shares=self.shares, bought=bought, reasons=reasons, prices=prices) if reasons else None

    def _trade(self, trades: Trades, coin: str, candle: Candle) -> None:
        stand, conditions = self.state.stands[coin], self._conditions[coin]
        if stand.entry is None:
            rests = stand.left is not None and stand.left >= candle.opened
            if not rests and conditions.holds(trades.enter) and not conditions.leaves(trades.exit):
                share = self._number(trades.size) / len(self._coins)
                self.state.stands[coin] = Stand(share, candle.close, candle.close, stand.left, self._closed)
                self._reasons[coin] = ENTER
            return
        if sale := self.levels(coin).sale(candle):
            reason, self._prices[coin] = sale
            self._leave(coin, reason, self._closed - 1)
        elif conditions.leaves(trades.exit):
            self._leave(coin, EXIT, self._closed - 1)
        else:
            stand.peak = max(stand.peak or 0.0, candle.high)

    def _aim(self, targets: Targets, coin: str) -> None:
        stand, conditions = self.state.stands[coin], self._conditions[coin]
        wanted: float | None = 0.0 if self._series[coin].is_warm else None
        for share in targets.shares:
            holds = True if share.condition is None else conditions.holds(share.condition)
            if holds is not False:
                wanted = conditions.value(share.share) if holds else None
                break
        if wanted is None:
            return
        wanted = min(max(wanted, 0.0), 100.0) / len(self._coins)
        differs = abs(wanted - stand.share) * len(self._coins) >= max(self._number(targets.band), 1e-9)
        if differs or (stand.share and not wanted):
            stand.share = wanted
            self._reasons[coin] = TARGET

    def _rotate(self, rotation: Rotation, candles: Mapping[str, Candle]) -> None:
        """Hold the first ones; a coin that is held and of which nothing is known stays."""
        ranked: list[tuple[float, str]] = []
        stays: set[str] = set()
        for coin in self._coins:
            conditions = self._conditions[coin]
            value = conditions.value(rotation.by) if coin in candles else None
            fits = rotation.condition is None or conditions.holds(rotation.condition)
            if value is None or fits is None:
                stays |= {coin} if self.state.stands[coin].share else set()
            elif fits:
                ranked.append((-value, coin))
        hold = round(self._number(rotation.hold))
        best = {coin for _, coin in sorted(ranked)[: max(hold - len(stays), 0)]}
        for coin in self._coins:
            share = self._number(rotation.size) / hold if coin in best | stays else 0.0
            if share != self.state.stands[coin].share:
                self.state.stands[coin].share = share
                self._reasons[coin] = ROTATE

    def _purchase(self, purchases: Purchases, coin: str) -> None:
        stand, conditions = self.state.stands[coin], self._conditions[coin]
        if purchases.exit is not None and conditions.holds(purchases.exit):
            if stand.share:
                self._leave(coin, EXIT, self._closed - 1)
            return
        due = [
            self._number(each.size) / len(self._coins)
            for each in purchases.purchases
            if self._is_time(each.every) and (each.condition is None or conditions.holds(each.condition))
        ]
        room = 100 / len(self._coins) - stand.share
        if bought := min(sum(due), room):
            stand.share += bought
            self._bought[coin] = bought
            self._reasons[coin] = BUY

    @property
    def _closed(self) -> int:
        """When the candle closed that was decided on last."""
        return (self.state.last or 0) + self._frame.seconds
