"""A strategy on candles as a source: it decides at each close, watches its stops in between, and wants an allocation.

What has to outlast a restart is its `memory`: how its coins stand, the last candle it decided on, and its last signal. Its
indicators are computed anew from candles of the past, which gives the same as if it had never stopped.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
import json
from typing import Any

from ..decimals import EXACT, HUNDRED, ONE, ZERO
from ..errors import ExchangeError
from ..market.candles import Candle
from ..signal import Signal, SourceKind
from ..strategies.evaluator import BY_HAND, Decider, Decision, Levels, State
from ..wants import Allocation, from_text, to_text
from .base import Moment
from .strategy_settings import NoCandles, Progress, ReadCandles, StrategySettings, read_rules, see_that_it_is

# Seconds after a close before its candle is asked for, between two looks for one that is late, and after which it is not waited for.
GRACE = 2
LOOK = 5
LATE = 60
# Candles that are made up for at most, where it was stopped for long.
MADE_UP = 5000
# Why everything is sold when a strategy is over, or another one has taken its place.
OVER, REPLACED = "over", "replaced"


class StrategySource:
    """The strategy with its settings; `read` gives it candles, and `clock` says what time it is.

    `leaves`: its owner wants everything sold that it holds, with its next decision. `sold` are coins that one of its levels has
    sold on the exchange, with the reason and the time (Unix seconds), until it has taken note of that.
    """

    kind = SourceKind.STRATEGY
    remote = False
    jitter = False
    band: Decimal | None = None

    def __init__(self, settings: StrategySettings, read: ReadCandles, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._read = read
        self._clock = clock
        self._evaluator: Decider | None = None
        self._next = 0
        self._waits = False
        self._decisions: list[Decision] = []
        self._signal: Signal | None = None
        self._is_told = False
        self._manner = ""
        self.leaves = False
        self.sold: dict[str, tuple[str, int]] = {}
        self.memory: str | None = None

    async def fetch(self, coins: Collection[str]) -> None:  # noqa: ARG002  # its own coins are what it looks at
        """Look at the candles that have closed. Raises StrategyInvalid, StrategyChanged, StrategyFailed, NoCandles."""
        now = self._clock()
        self._recall()
        if pinned := self._settings.pinned:
            await asyncio.to_thread(see_that_it_is, pinned)
        if not self._is_time(now):
            return
        if self._evaluator is None:
            self._evaluator = await asyncio.to_thread(self._begin)
        seconds = self._settings.frame.seconds
        until = int(now.timestamp() - GRACE) // seconds * seconds
        evaluator = self._evaluator
        self._waits = False
        last = min(until - seconds, evaluator.state.last or until)
        begin = self._next or evaluator.start(max(last, until - MADE_UP * seconds))
        shown = await self._read_from(begin, until, now) if begin < until else {}
        if shown or evaluator.is_behind:
            self._next = max(shown, default=begin - seconds) + seconds
            self._decisions += await asyncio.to_thread(evaluator.advance, shown)
        elif evaluator.problem:
            raise evaluator.problem

    def decide(self, moment: Moment) -> Signal | None:
        """What it wants now; the same signal until it wants something else."""
        self._recall()
        evaluator = self._evaluator
        if evaluator is not None:
            at = int(moment.now.timestamp())
            over = self._settings.end is not None and moment.now >= self._settings.end
            prices = {coin: float(price) for coin, price in moment.prices.items()}
            sells, self.leaves = over or self.leaves, False
            said = [evaluator.sold(coin, *how) for coin, how in self.sold.items()]
            self.sold = {}
            said.append(evaluator.leave(at, OVER if over else BY_HAND) if sells else evaluator.watch(prices, at))
            self._decisions += [each for each in said if each]
            if self._decisions and not (moment.weights is None and any(each.bought for each in self._decisions)):
                self._signal = self._said(self._decisions, moment)
                self._decisions = []
            if not self._decisions:
                self._remember(evaluator)
        return self._signal

    def current(self, moment: Moment) -> Signal | None:  # noqa: ARG002
        """What it wants by its last word."""
        return self._signal

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """Shares by coin; None before it has said any."""
        return self._signal.targets if self._signal else None

    @property
    def settings(self) -> StrategySettings:
        """What it is set to."""
        return self._settings

    @property
    def signal(self) -> Signal | None:
        """What it said last."""
        return self._signal

    @property
    def progress(self) -> Progress | None:
        """How far its indicators are; None before it has looked at anything."""
        return Progress(self._evaluator.warmed, self._evaluator.warm_up) if self._evaluator else None

    @property
    def levels(self) -> Mapping[str, Levels]:
        """Where its coins are sold between two closes, of those that it would sell."""
        evaluator = self._evaluator
        found = {coin: evaluator.levels(coin) for coin in self._settings.coins} if evaluator else {}
        return {coin: each for coin, each in found.items() if each.stop is not None or each.profit is not None}

    def next_due(self, moment: Moment) -> datetime | None:
        """Just after the next close, or when a candle that is late is looked for again; its beginning and its end."""
        settings, now = self._settings, moment.now
        if settings.begin and now < settings.begin:
            return settings.begin
        if settings.end and now >= settings.end:
            return None
        seconds = settings.frame.seconds
        close = (int(now.timestamp()) - GRACE) // seconds * seconds + seconds + GRACE
        due = now + timedelta(seconds=LOOK) if self._waits else datetime.fromtimestamp(close, UTC)
        return min(due, settings.end) if settings.end else due

    # Inside

    def _is_time(self, now: datetime) -> bool:
        settings = self._settings
        return (settings.begin is None or now >= settings.begin) and (
            settings.end is None or now < settings.end or self._evaluator is None
        )

    def _begin(self) -> Decider:
        """What decides, where it stopped, or anew. Raises StrategyInvalid, StrategyChanged."""
        known = self._known()
        state = State.from_json(json.dumps(known["state"])) if known.get("state") else State()
        rules = read_rules(self._settings)
        if known.get("manner", rules.manner) != rules.manner:
            # Other rules know nothing of how the coins stand.
            self._decisions = [_sold(state)] if any(stand.share for stand in state.stands.values()) else []
            state = State()
        self._manner = rules.manner
        return rules.decider(self._settings, state)

    async def _read_from(self, begin: int, until: int, now: datetime) -> dict[int, dict[str, Candle]]:
        """Candles of its coins by when they opened. Raises NoCandles."""
        settings = self._settings
        try:
            read = await asyncio.gather(*(self._read(coin, settings.frame, begin, until) for coin in settings.coins))
        except ExchangeError as err:
            raise NoCandles(f"the candles cannot be had: {err}") from err
        return self._joined(dict(zip(settings.coins, read, strict=True)), now)

    def _joined(self, read: Mapping[str, Sequence[Candle]], now: datetime) -> dict[int, dict[str, Candle]]:
        """Candles by when they opened, in order, up to the first time of which one may still come."""
        shown: dict[int, dict[str, Candle]] = {}
        for coin, candles in read.items():
            for candle in candles:
                shown.setdefault(candle.opened, {})[coin] = candle
        newest = {coin: candles[-1].opened if candles else 0 for coin, candles in read.items()}
        seconds = self._settings.frame.seconds
        until = int(now.timestamp() - GRACE) // seconds * seconds - seconds
        late = now.timestamp() - (until + seconds) > LATE
        last = max(newest.values()) if late else min(newest.values())
        self._waits = not late and last < until
        return {opened: shown[opened] for opened in sorted(shown) if opened <= last}

    def _said(self, decisions: Sequence[Decision], moment: Moment) -> Signal:
        """The signal for what was decided since the last one."""
        return signal_of(decisions, self._settings.share, moment)

    # What outlasts a restart

    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads(self.memory) if self.memory else {}
        return known

    def _recall(self) -> None:
        """Have said what was said before the restart."""
        if self._is_told:
            return
        self._is_told = True
        if said := self._known().get("signal"):
            self._signal = Signal(
                signal_id=said["id"],
                wants=from_text(said["wants"]),
                targets={coin: Decimal(share) for coin, share in said["targets"].items()},
                created_at=datetime.fromisoformat(said["at"]),
                reasoning=said["reasoning"],
            )

    def _remember(self, evaluator: Decider) -> None:
        known: dict[str, Any] = {"manner": self._manner, "state": evaluator.state.to_json()}
        if (signal := self._signal) and signal.created_at and signal.targets is not None:
            known["signal"] = {
                "id": signal.signal_id,
                "wants": to_text(signal.wants),
                "targets": {coin: f"{share:f}" for coin, share in signal.targets.items()},
                "at": signal.created_at.isoformat(),
                "reasoning": signal.reasoning,
            }
        self.memory = json.dumps(known)


def signal_of(decisions: Sequence[Decision], share: Decimal, moment: Moment) -> Signal:
    """The signal for what a strategy decided since its last one; `share` is the part (a fraction) that it decides on."""
    with localcontext(EXACT):
        targets = {coin: _fraction(each) * share for coin, each in decisions[-1].shares.items()}
        wants = Allocation(shares={coin: each for coin, each in targets.items() if each})
        if bought := _bought(decisions):
            held = moment.weights or {}
            added = {coin: held.get(coin, ZERO) + each * share for coin, each in bought.items()}
            kept = frozenset(coin for coin, each in targets.items() if each) - added.keys()
            wants = Allocation(shares={coin: min(each, ONE) for coin, each in added.items()}, keep=kept)
            targets |= wants.shares
    reasons = {coin: reason for decision in decisions for coin, reason in decision.reasons.items()}
    return Signal(
        signal_id=f"{SourceKind.STRATEGY}-{moment.now.astimezone(UTC).isoformat(timespec='milliseconds')}",
        wants=wants,
        targets=targets,
        created_at=moment.now,
        reasoning="; ".join(f"{reason}: {coin}" for coin, reason in reasons.items()),
    )


def _bought(decisions: Sequence[Decision]) -> dict[str, Decimal]:
    """What is added to what is held (fractions); what was bought before a sale is not any more."""
    bought: dict[str, Decimal] = {}
    for decision in decisions:
        for coin, share in decision.bought.items():
            bought[coin] = bought.get(coin, ZERO) + _fraction(share)
        for coin, share in decision.shares.items():
            if not share:
                bought.pop(coin, None)
    return bought


def _sold(state: State) -> Decision:
    coins = dict.fromkeys(state.stands, 0.0)
    return Decision(at=state.last or 0, shares=coins, bought={}, reasons=dict.fromkeys(coins, REPLACED), prices={})


def _fraction(percent: float) -> Decimal:
    """A share in % as a fraction, to the millionth."""
    return (Decimal(percent) / HUNDRED).quantize(Decimal("1e-6"))
