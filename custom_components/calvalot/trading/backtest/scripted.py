"""A strategy in Python in a backtest: it decides in processes of its own, on stretches of candles one after the other."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from ..market.candles import Candle, TimeFrame
from ..strategies.evaluator import Decision, Levels, State
from ..strategies.script import Script
from ..strategies.script_evaluator import ScriptEvaluator, StrategyFailed
from ..strategies.script_run import Answer, Request, run
from .errors import BacktestError, time_text
from .walk import Slot

# Candles that one process decides on, and the seconds that it may take for that.
STRETCH = 1000
SECONDS = 60


class Scripted:
    """Has a script decide as `ScriptEvaluator` does, at closes only.

    `slots` gives the candles from the first that is needed to the last that it may see. Of what it decides only that is told
    which the walk has come to.
    """

    def __init__(
        self,
        script: Script,
        coins: tuple[str, ...],
        frame: TimeFrame,
        chosen: Mapping[str, float],
        state: State,
        slots: Callable[[int], Iterable[Slot]],
        run: Callable[[Request, float], Answer] = run,
    ) -> None:
        self._evaluator = ScriptEvaluator(script, coins, frame, chosen, state, lambda request, _: run(request, SECONDS))
        self._coins = frozenset(coins)
        self._seconds = frame.seconds
        self._slots = slots
        self._ahead: Iterator[Slot] | None = None
        self._known: int | None = None
        self._decisions: dict[int, Decision] = {}

    @property
    def warm_up(self) -> int:
        """Candles of each coin that it is shown."""
        return self._evaluator.warm_up

    def start(self, opened: int) -> int:
        """When the first candle opened (Unix seconds) that one that opened then depends on."""
        return self._evaluator.start(opened)

    def step(self, opened: int, candles: Mapping[str, Candle]) -> Decision | None:  # noqa: ARG002  # it has read them itself
        """What was decided at the close of the candles that opened then. Raises BacktestError."""
        while self._known is None or self._known < opened:
            if not self._go_on(opened):
                break
        return self._decisions.pop(opened + self._seconds, None)

    def watch(self, prices: Mapping[str, float], at: int) -> Decision | None:
        """Nothing: it decides at closes only."""

    def levels(self, coin: str) -> Levels:
        """None."""
        return self._evaluator.levels(coin)

    # Inside

    def _go_on(self, opened: int) -> bool:
        """Decide on the next stretch; whether there was one. Raises BacktestError."""
        if self._ahead is None:
            self._ahead = iter(self._slots(opened))
        shown = {
            slot.opened: {coin: candle for coin, candle in slot.candles.items() if coin in self._coins}
            for slot in islice(self._ahead, STRETCH)
        }
        if not shown:
            return False
        try:
            decisions = self._evaluator.advance(shown)
            if problem := self._evaluator.problem:
                raise problem
        except StrategyFailed as err:
            last = self._evaluator.state.last or opened
            raise BacktestError("backtest_strategy_failed", time=time_text(last), error=err.told) from err
        self._decisions |= {decision.at: decision for decision in decisions}
        self._known = max(shown)
        return True
