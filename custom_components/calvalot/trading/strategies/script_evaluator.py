"""A strategy in Python at work: closed candles in, decisions out, each made in a process of its own."""

from collections.abc import Callable, Mapping
from time import monotonic

from ..errors import SourceError
from ..market.candles import Candle, TimeFrame
from .document import InvalidStrategy
from .evaluator import BY_HAND, TARGET, Decision, Levels, Stand, State
from .script import Script
from .script_run import SECONDS, Answer, Request, run

# Shares (%) that differ by less are the same.
NEAR = 1e-9

type Run = Callable[[Request, float], Answer]


class StrategyFailed(SourceError):
    """A strategy in Python raised something, took too long or gave what cannot be used; `reason` says which."""

    key = "strategy_failed"

    def __init__(self, reason: InvalidStrategy) -> None:
        self.reason = reason
        super().__init__(f"the strategy failed: {reason}")

    @property
    def told(self) -> str:
        """What happened, for whoever has written it."""
        facts = self.reason.placeholders
        match self.reason.key:
            case "python_time":
                return f"> {facts['seconds']} s"
            case "python_memory":
                return f"> {facts['size']} MiB"
            case "python_ended":
                return "–"
        line = f" ({self.reason.line})" if self.reason.line else ""
        return f"{facts['error']}{line}"


class ScriptEvaluator:
    """Has a script decide on candles that come in order of time; of each coin no more are kept than it is shown.

    It decides on a close only where every coin has all candles that it asks for, without a gap. What cannot be decided is left
    out, and tried anew with the next close.
    """

    def __init__(
        self,
        script: Script,
        coins: tuple[str, ...],
        frame: TimeFrame,
        chosen: Mapping[str, float] | None = None,
        state: State | None = None,
        run: Run = run,
    ) -> None:
        self.state = state or State()
        self.warm_up = script.count
        self.problem: StrategyFailed | None = None
        self._script = script
        self._frame = frame
        self._parameters = script.values(chosen or {})
        self._run = run
        self._candles: dict[str, list[Candle]] = {coin: [] for coin in coins}
        for coin in coins:
            self.state.stands.setdefault(coin, Stand())

    @property
    def warmed(self) -> int:
        """Candles of those that are needed, of the coin that has the fewest."""
        return min(*map(len, self._candles.values()), self.warm_up)

    @property
    def is_behind(self) -> bool:
        """Whether there was no time yet for some candles."""
        return bool(self._steps())

    @property
    def shares(self) -> Mapping[str, float]:
        """Shares of the strategy's part (%) that are wanted of its coins."""
        return {coin: self.state.stands[coin].share for coin in self._candles}

    def start(self, opened: int) -> int:
        """When the first candle opened (Unix seconds) that one that opened then depends on."""
        return opened - (self.warm_up - 1) * self._frame.seconds

    def advance(self, shown: Mapping[int, Mapping[str, Candle]]) -> list[Decision]:
        """Decide on candles by when they opened, in order; synchronous, and no longer than a few seconds. Raises StrategyFailed."""
        for opened, candles in shown.items():
            self._take(opened, candles)
        if self.state.last is None and shown:
            self.state.last = max(shown) - self._frame.seconds
        self.problem = None
        until = monotonic() + SECONDS
        decisions: list[Decision] = []
        while steps := self._steps():
            left = until - monotonic()
            if left <= 0:
                break
            answer = self._run(self._request(steps), left)
            for opened, shares in zip(steps, answer.shares, strict=False):
                decisions += self._decided(opened, shares or {})
            if answer.problem is None:
                continue
            if answer.is_late and (answer.shares or left < SECONDS / 2):
                break
            # The rest, and the next one, may go well.
            failed = [*steps][len(answer.shares)]
            self.state.last = failed
            self.problem = StrategyFailed(answer.problem)
        self._forget()
        if self.problem and not decisions:
            raise self.problem
        return decisions

    def watch(self, prices: Mapping[str, float], at: int) -> Decision | None:
        """Nothing: it decides at closes only."""

    def leave(self, at: int, reason: str = BY_HAND) -> Decision | None:
        """Sell everything now; it goes on with the next candle."""
        held = [coin for coin, stand in self.state.stands.items() if stand.share]
        for coin in held:
            self.state.stands[coin] = Stand(left=at)
        return self._said(at, dict.fromkeys(held, reason))

    def sold(self, coin: str, reason: str, at: int) -> Decision | None:
        """Nothing: it has no levels."""

    def levels(self, coin: str) -> Levels:  # noqa: ARG002
        """None."""
        return Levels(None, None)

    # Inside

    def _take(self, opened: int, candles: Mapping[str, Candle]) -> None:
        for coin, candle in candles.items():
            rows = self._candles[coin]
            if rows and opened <= rows[-1].opened:
                continue
            if rows and opened != rows[-1].opened + self._frame.seconds:
                rows.clear()
            rows.append(candle)

    def _steps(self) -> dict[int, dict[str, int]]:
        """When the candles opened that are to be decided on, and how many of each coin were there by then."""
        places = [{row.opened: place for place, row in enumerate(rows, 1)} for rows in self._candles.values()]
        last = self.state.last
        both = set(places[0]).intersection(*places[1:])
        found: dict[int, dict[str, int]] = {}
        for opened in sorted(both if last is None else (each for each in both if each > last)):
            ends = dict(zip(self._candles, (each[opened] for each in places), strict=True))
            if min(ends.values()) >= self.warm_up:
                found[opened] = ends
        return found

    def _request(self, steps: Mapping[int, Mapping[str, int]]) -> Request:
        return Request(
            script=self._script,
            candles=self._candles,
            steps=[*steps.values()],
            position=self.shares,
            parameters=self._parameters,
        )

    def _decided(self, opened: int, shares: Mapping[str, float]) -> list[Decision]:
        """Take note of what was decided on the candle that opened then."""
        self.state.last = opened
        changed = {coin: share for coin, share in shares.items() if abs(share - self.shares[coin]) > NEAR}
        for coin, share in changed.items():
            self.state.stands[coin].share = share
        said = self._said(opened + self._frame.seconds, dict.fromkeys(changed, TARGET))
        return [said] if said else []

    def _said(self, at: int, reasons: Mapping[str, str]) -> Decision | None:
        if not reasons:
            return None
        return Decision(at=at, shares=self.shares, bought={}, reasons=reasons, prices={})

    def _forget(self) -> None:
        """Keep what the next decision is shown, and what was not decided on yet."""
        steps = self._steps()
        for coin, rows in self._candles.items():
            first = next(iter(steps.values()))[coin] if steps else len(rows)
            del rows[: max(first - self.warm_up, 0)]
