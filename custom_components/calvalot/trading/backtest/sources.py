"""Sources in a backtest: told what has closed, they say what they want at the next open."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from ..decimals import ONE
from ..market.candles import Candle
from ..protection import TAKE_PROFIT
from ..signal import Signal
from ..sources.base import Moment, Source
from ..sources.strategy import signal_of
from ..strategies.evaluator import Decision, Levels
from .errors import BacktestError, time_text
from .walk import Slot


class Rules(Protocol):
    """A strategy at work, of whatever it is made: `Evaluator` is one."""

    def step(self, opened: int, candles: Mapping[str, Candle]) -> Decision | None:
        """Take the candles that opened at a time; None where nothing changes."""
        ...

    def watch(self, prices: Mapping[str, float], at: int) -> Decision | None:
        """Look at prices between two closes."""
        ...

    def levels(self, coin: str) -> Levels:
        """Where a coin is sold between two closes."""
        ...


@dataclass(frozen=True, slots=True)
class Stop:
    """What was sold within a candle: the prices (quote) it was sold at, and why, by coin.

    Coins `at_limit` were sold by a limit that rested on the exchange, at its price.
    """

    prices: Mapping[str, float]
    reasons: Mapping[str, str]
    at_limit: frozenset[str] = frozenset()


class Replayed(Protocol):
    """A source that is driven by candles."""

    key: str
    weight: Decimal

    def close(self, slot: Slot) -> Stop | None:
        """Take the candles of a slot; what was sold within it. Raises BacktestError."""
        ...

    def within(self, slot: Slot, at: int) -> Stop | None:
        """Look at shorter candles inside of those that have not closed yet, in the second (Unix) before they close."""
        ...

    def wakes(self, prices: Mapping[str, float], at: int) -> bool:
        """Whether it may want something at these prices (quote), just after a close (Unix seconds)."""
        ...

    def decide(self, moment: Moment) -> Signal | None:
        """What it wants now; None where that is nothing new."""
        ...

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """Shares of its part by coin (fractions); None before it has said any."""
        ...

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why it wanted its last signal, by coin."""
        ...


@dataclass(slots=True, kw_only=True)
class StrategyReplay:
    """A strategy; `share` is the part that it decides on, `begin` (Unix seconds) the first close that it decides at.

    `decided` counts its decisions; with `keep` they are kept in `decisions`.
    """

    rules: Rules
    coins: tuple[str, ...]
    seconds: int
    share: Decimal = ONE
    key: str = "strategy"
    weight: Decimal = ONE
    keep: bool = False
    decided: int = 0
    decisions: list[Decision] = field(default_factory=list[Decision])
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    targets: Mapping[str, Decimal] | None = None
    _pending: list[Decision] = field(default_factory=list[Decision])
    _own: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Know its coins."""
        self._own = frozenset(self.coins)

    def close(self, slot: Slot) -> Stop | None:
        """Decide on the candles of a slot."""
        candles = slot.candles
        if not self._own.issuperset(candles):
            candles = {coin: candle for coin, candle in candles.items() if coin in self._own}
        try:
            decision = self.rules.step(slot.opened, candles)
        except BacktestError:
            raise
        except Exception as err:
            raise failed(slot.opened, err) from err
        if decision is None:
            return None
        self._note(decision)
        if decision.reasons.keys() - decision.prices.keys():
            self._pending.append(decision)
        return self._stop(decision, decision.prices)

    def within(self, slot: Slot, at: int) -> Stop | None:
        """Sell what comes to its stop or profit in a shorter candle."""
        prices: dict[str, float] = {}
        for coin, candle in slot.candles.items():
            if sale := self.rules.levels(coin).sale(candle):
                _, prices[coin] = sale
        decision = self.rules.watch(prices, at) if prices else None
        if decision is None:
            return None
        self._note(decision)
        return self._stop(decision, prices)

    def wakes(self, prices: Mapping[str, float], at: int) -> bool:
        """Look at the first prices after a close."""
        if last := self.rules.watch(prices, at):
            self._note(last)
            self._pending.append(last)
        return bool(self._pending)

    def decide(self, moment: Moment) -> Signal | None:
        """The signal for what was decided since the last one."""
        if not self._pending or (moment.weights is None and any(each.bought for each in self._pending)):
            return None
        signal = signal_of(self._pending, self.share, moment)
        self.reasons = {coin: reason for each in self._pending for coin, reason in each.reasons.items()}
        self.targets = signal.targets
        self._pending.clear()
        return signal

    def _note(self, decision: Decision) -> None:
        self.decided += 1
        if self.keep:
            self.decisions.append(decision)

    def _stop(self, decision: Decision, prices: Mapping[str, float]) -> Stop | None:
        sold = {coin: price for coin, price in prices.items() if coin in decision.reasons}
        if not sold:
            return None
        self.targets = {coin: Decimal(0) if coin in sold else share for coin, share in (self.targets or {}).items()}
        reasons = {coin: decision.reasons[coin] for coin in sold}
        return Stop(sold, reasons, frozenset(coin for coin, reason in reasons.items() if reason == TAKE_PROFIT))


@dataclass(slots=True, kw_only=True)
class SourceReplay:
    """A source as it is, asked at every close: the owner's own allocation."""

    source: Source
    key: str
    weight: Decimal = ONE
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])

    def close(self, slot: Slot) -> Stop | None:  # noqa: ARG002  # it looks at prices only
        """Nothing happens at the close."""
        return None

    def within(self, slot: Slot, at: int) -> Stop | None:  # noqa: ARG002
        """It has no stops."""
        return None

    def wakes(self, prices: Mapping[str, float], at: int) -> bool:  # noqa: ARG002
        """It is asked each time."""
        return True

    def decide(self, moment: Moment) -> Signal | None:
        """What it wants."""
        signal = self.source.decide(moment)
        return signal if isinstance(signal, Signal) else None

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """Its shares."""
        return self.source.targets


@dataclass(slots=True, kw_only=True)
class RecordedReplay:
    """Signals that were written down with the time (Unix seconds) at which they came, oldest first: those of a leader."""

    signals: Iterable[tuple[int, Signal]]
    key: str = "leader"
    weight: Decimal = ONE
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    targets: Mapping[str, Decimal] | None = None
    _left: Sequence[tuple[int, Signal]] = ()
    _next: int = 0

    def __post_init__(self) -> None:
        """Have them in order."""
        self._left = sorted(self.signals, key=lambda each: each[0])

    def close(self, slot: Slot) -> Stop | None:  # noqa: ARG002
        """Nothing happens at the close."""
        return None

    def within(self, slot: Slot, at: int) -> Stop | None:  # noqa: ARG002
        """It has no stops."""
        return None

    def wakes(self, prices: Mapping[str, float], at: int) -> bool:  # noqa: ARG002
        """Whether one has come since the last time."""
        return self._next < len(self._left) and self._left[self._next][0] <= at

    def decide(self, moment: Moment) -> Signal | None:
        """The latest that has come; what it overtook is not traded."""
        signal = None
        while self.wakes({}, int(moment.now.timestamp())):
            signal = self._left[self._next][1]
            self._next += 1
        if signal:
            self.targets = signal.targets
        return signal


def failed(opened: int, error: Exception) -> BacktestError:
    """A strategy that raised at a candle."""
    return BacktestError("backtest_strategy_failed", time=time_text(opened), error=f"{type(error).__name__}: {error}")
