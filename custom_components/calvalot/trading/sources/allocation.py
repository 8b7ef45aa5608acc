"""The owner's own allocation, kept by schedule or drift.

A band is relative to its target (Daryanani 2008): a coin is outside where its weight is off by more than `drift` of its target;
without a target it is outside as soon as any of it is held. What is outside is traded to the target, half way back into the
band, or just inside its edge (Leland 2000; Dybvig & Pezzo 2019); a coin of which nothing is held yet to its target. The coins
inside are left alone. Cash has the same band around what the shares leave: where the trades would carry it outside, or under
the reserve, the coins farthest from their targets give or take the rest, none beyond its target. A scheduled run without
drift, and one by hand, bring every coin to its target.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal, localcontext
from enum import StrEnum
import itertools
import json

from ..decimals import EXACT, ONE, ZERO
from ..exchanges.base import Side
from ..signal import Signal, SourceKind
from ..wants import Allocation, to_text
from .base import Moment

# A missed run is made up for this long.
MADE_UP = timedelta(hours=24)
DAY = timedelta(days=1)
# How far out in its band a coin is left that is traded to the edge.
JUST_INSIDE = Decimal("0.95")


class When(StrEnum):
    """What a rebalance waits for; without any it is done by hand only."""

    SCHEDULE = "schedule"
    DRIFT = "drift"


class TradeTo(StrEnum):
    """Where a coin that is outside its band is brought back to."""

    TARGET = "target"
    HALF = "half"
    EDGE = "edge"


_LEFT_OF_BAND = {TradeTo.TARGET: ZERO, TradeTo.HALF: Decimal("0.5"), TradeTo.EDGE: JUST_INSIDE}


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationSettings:
    """An allocation and when it is kept: shares, band and reserve as fractions, `drift` of a coin's target.

    `at` is local time. With `at` and an `interval` of a day or more, it is that time of the day on which the interval ends;
    with a shorter one the intervals are counted from it.
    """

    shares: Mapping[str, Decimal]
    when: frozenset[When] = frozenset()
    interval: timedelta | None = None
    at: time | None = None
    drift: Decimal = Decimal("0.2")
    trade_to: TradeTo = TradeTo.HALF
    cash_reserve: Decimal = ZERO
    cooldown: timedelta = timedelta(hours=1)

    @property
    def targets(self) -> Mapping[str, Decimal]:
        """Shares by coin, scaled alike where they and the reserve would be more than the whole."""
        with localcontext(EXACT):
            whole, room = sum(self.shares.values(), ZERO), ONE - self.cash_reserve
            factor = room / whole if whole > room else ONE
            return {coin: share * factor for coin, share in self.shares.items()}


def whole(settings: AllocationSettings) -> Allocation:
    """Every coin at its target."""
    with localcontext(EXACT):
        return Allocation(shares=settings.targets, cash=ONE - sum(settings.targets.values(), ZERO))


def outside(settings: AllocationSettings, weights: Mapping[str, Decimal]) -> frozenset[str]:
    """Coins whose weight (a fraction) is outside its band."""
    targets = settings.targets
    with localcontext(EXACT):
        return frozenset(
            coin
            for coin in {*targets, *weights}
            if abs(weights.get(coin, ZERO) - (target := targets.get(coin, ZERO))) > settings.drift * target
        )


def wanted(
    settings: AllocationSettings,
    weights: Mapping[str, Decimal],
    smallest: Mapping[str, Decimal],
    only: Side | None = None,
) -> Allocation | None:
    """What brings the coins outside their bands back; None where nothing can be done about any.

    A coin of which nothing is held yet goes to its target. `smallest` is the least that can be traded of a coin, as a fraction
    of the portfolio; without it a coin is left alone, and so is one that would be traded on another side than the `only` one.
    """
    targets = settings.targets
    with localcontext(EXACT):
        asked: dict[str, Decimal] = {}
        for coin in sorted(outside(settings, weights)):
            held, target = weights.get(coin, ZERO), targets.get(coin, ZERO)
            goal = _back(settings, target, held) if held else target
            if coin in smallest and abs(goal - held) >= smallest[coin] and _is_allowed(goal - held, only):
                asked[coin] = goal
        if not asked:
            return None
        goals = {**dict.fromkeys(targets, ZERO), **weights, **asked}
        target_cash = ONE - sum(targets.values(), ZERO)
        cash = ONE - sum(goals.values(), ZERO)
        cash_goal = _back(settings, target_cash, cash)
        if cash < settings.cash_reserve or abs(cash - target_cash) > settings.drift * target_cash:
            amount = cash - max(cash_goal, settings.cash_reserve)
            if _is_allowed(amount, only):
                asked |= _moved(goals, targets, amount, smallest, frozenset(asked))
        kept = goals.keys() - asked
        cash = ONE - sum((goals | asked).values(), ZERO)
        return Allocation(shares=asked, keep=frozenset(kept), cash=max(cash, ZERO))


def _is_allowed(change: Decimal, only: Side | None) -> bool:
    """Whether a weight may be changed that way."""
    return only is None or (change > 0) is (only is Side.BUY)


def _back(settings: AllocationSettings, target: Decimal, held: Decimal) -> Decimal:
    """Where a weight that is outside its band is brought back to."""
    left = _LEFT_OF_BAND[settings.trade_to] * settings.drift * target
    return target + (left if held > target else -left)


def _moved(
    goals: Mapping[str, Decimal],
    targets: Mapping[str, Decimal],
    amount: Decimal,
    smallest: Mapping[str, Decimal],
    traded: Collection[str],
) -> dict[str, Decimal]:
    """Coins that take up an amount (or give it, where it is negative), each at most to its target.

    Those that are `traded` anyway take any amount, others no less than can be traded.
    """
    sign = 1 if amount > 0 else -1
    rooms = {coin: (targets.get(coin, ZERO) - weight) * sign for coin, weight in goals.items()}
    moved: dict[str, Decimal] = {}
    left = abs(amount)
    for coin in sorted(rooms, key=lambda coin: (-rooms[coin], coin)):
        step = min(rooms[coin], left)
        if step > 0 and (coin in traded or (coin in smallest and step >= smallest[coin])):
            moved[coin] = goals[coin] + sign * step
            left -= step
    return moved


def next_run(settings: AllocationSettings, last: datetime | None, now: datetime, zone: tzinfo) -> datetime:
    """When the next scheduled run is due: at once before the first; one that was missed is made up once for a day."""
    if last is None:
        return now
    missed: datetime | None = None
    for slot in _slots(settings, last, zone):
        if slot > now:
            return missed if missed and now - missed <= MADE_UP else slot
        missed = slot
    raise AssertionError  # pragma: no cover


def _slots(settings: AllocationSettings, last: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Times of runs after the last one, in UTC."""
    interval, at = settings.interval or DAY, settings.at
    day = last.astimezone(zone).date()
    if at and interval >= DAY:
        days = interval // DAY * DAY
        slots = (datetime.combine(day + number * days, at, zone).astimezone(UTC) for number in itertools.count())
    else:
        start = datetime.combine(day - DAY, at, zone).astimezone(UTC) if at else last
        slots = (start + number * interval for number in itertools.count())
    return (slot for slot in slots if slot > last)


class AllocationSource:
    """The owner's allocation as a source.

    `memory` is JSON: when it was last `checked` by schedule (ISO 8601), and what was `kept` then or at the last signal. Another
    allocation than that is taken up at once, unless it is kept by hand only.
    """

    kind = SourceKind.ALLOCATION
    remote = False
    jitter = False

    def __init__(self, settings: AllocationSettings, zone: tzinfo) -> None:
        self._settings = settings
        self.band: Decimal | None = settings.drift if When.DRIFT in settings.when else ZERO
        self._zone = zone
        self._pending: datetime | None = None
        self._text = to_text(whole(settings))
        self.memory: str | None = None

    @property
    def settings(self) -> AllocationSettings:
        """What it is set to."""
        return self._settings

    async def fetch(self, coins: Collection[str]) -> None:
        """Nothing has to be fetched."""

    def decide(self, moment: Moment) -> Signal | None:
        """A signal where a run is due or a coin has left its band; the same one until it is taken up."""
        if moment.weights is None or moment.is_open:
            return None
        if self._pending and moment.last and moment.last >= self._pending:
            self._pending = None
        settings = self._settings
        changed = bool(settings.when) and self._remembered.get("kept") != self._text
        due = changed or (When.SCHEDULE in settings.when and self._next(moment) <= moment.now)
        by_drift = When.DRIFT in settings.when
        rested = moment.last is None or moment.now - moment.last >= settings.cooldown
        if due:
            self.memory = json.dumps({"checked": moment.now.isoformat(), "kept": self._text})
        if not (due or self._pending or (by_drift and rested)):
            return None
        if by_drift:
            wants = wanted(settings, moment.weights, moment.smallest, moment.only)
        else:
            wants = whole(settings) if _is_off(settings, moment) else None
        if wants is None:
            self._pending = None
            return None
        self._pending = self._pending or moment.now
        return self._signal(self._pending, wants)

    def current(self, moment: Moment) -> Signal:
        """Every coin at its target: what a rebalance by hand does."""
        return self._signal(moment.now, whole(self._settings))

    @property
    def targets(self) -> Mapping[str, Decimal]:
        """Shares by coin."""
        return self._settings.targets

    def next_due(self, moment: Moment) -> datetime | None:
        """The next scheduled run; one that is due already waits for the next cycle."""
        if When.SCHEDULE not in self._settings.when:
            return None
        due = self._next(moment)
        return due if due > moment.now else None

    @property
    def _remembered(self) -> dict[str, str]:
        return json.loads(self.memory) if self.memory else {}

    def _next(self, moment: Moment) -> datetime:
        checked = self._remembered.get("checked")
        looked = datetime.fromisoformat(checked) if checked else None
        last = max(filter(None, (looked, moment.last)), default=None)
        return next_run(self._settings, last, moment.now, self._zone)

    def _signal(self, at: datetime, wants: Allocation) -> Signal:
        return Signal(
            signal_id=f"{self.kind}-{at.astimezone(UTC).isoformat(timespec='milliseconds')}",
            wants=wants,
            targets=self._settings.targets,
            created_at=at,
        )


def _is_off(settings: AllocationSettings, moment: Moment) -> bool:
    """Whether any coin is off its target by as much as can be traded."""
    weights = moment.weights or {}
    changes = {
        coin: settings.targets.get(coin, ZERO) - weights.get(coin, ZERO) for coin in {*settings.targets, *weights}
    }
    return any(
        coin in moment.smallest and abs(change) >= moment.smallest[coin] and _is_allowed(change, moment.only)
        for coin, change in changes.items()
    )
