"""Several sources in a backtest, each with its weight, as one: netted as a portfolio nets them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from ..decimals import ONE
from ..signal import Signal, SourceKind
from ..sources.base import Moment
from ..sources.blend import Part, blend_id, blended, least_of, seen_by, targets_of
from ..wants import Allocation
from .errors import BacktestError
from .sources import Replayed, Stop
from .walk import Slot


@dataclass(slots=True)
class BlendReplay:
    """The blend of some sources, whose keys have to differ; it decides where one of them does."""

    members: Sequence[Replayed]
    key: str = SourceKind.BLEND
    weight: Decimal = ONE
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    _signals: dict[str, Signal] = field(default_factory=dict[str, Signal])
    _last: dict[str, datetime] = field(default_factory=dict[str, datetime])

    def close(self, slot: Slot) -> Stop | None:
        """Have each take the candles."""
        return _merged([member.close(slot) for member in self.members])

    def within(self, slot: Slot, at: int) -> Stop | None:
        """Have each look at shorter candles."""
        return _merged([member.within(slot, at) for member in self.members])

    def wakes(self, prices: Mapping[str, float], at: int) -> bool:
        """Whether one of them may want something."""
        woken = [member.wakes(prices, at) for member in self.members]
        return any(woken)

    def decide(self, moment: Moment) -> Signal | None:
        """What they want together, where one of them has said something new. Raises BacktestError."""
        known = {part.key: part for part in self._parts(())}
        targets = targets_of(list(known.values()))
        new: list[Signal] = []
        keys: list[str] = []
        for member in self.members:
            part = known.get(member.key)
            seen = seen_by(part, targets, moment.weights) if part and moment.weights is not None else moment.weights
            own = replace(
                moment,
                weights=seen,
                smallest=least_of(moment.smallest, part, targets),
                last=self._last.get(member.key),
                capital=None,
            )
            if (signal := member.decide(own)) is None:
                continue
            if not isinstance(signal.wants, Allocation):
                raise BacktestError("backtest_moves_in_blend")
            self._signals[member.key] = signal
            self._last[member.key] = moment.now
            new.append(signal)
            keys.append(member.key)
        if not new:
            return None
        parts = self._parts(keys)
        self.reasons = {coin: reason for member in self.members for coin, reason in member.reasons.items()}
        wants = blended(parts, moment.weights)
        return Signal(
            signal_id=blend_id(parts),
            wants=wants,
            targets=targets_of(parts),
            created_at=moment.now,
            reasoning=new[0].reasoning,
        )

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """Shares by coin in the whole portfolio."""
        parts = self._parts(())
        return targets_of(parts) if parts else None

    def _parts(self, new: Sequence[str]) -> tuple[Part, ...]:
        """What each wants by its last word; not of those that never said anything."""
        parts = []
        for member in self.members:
            if (shares := member.targets) is None:
                continue
            signal = self._signals.get(member.key)
            parts.append(
                Part(
                    key=member.key,
                    weight=member.weight,
                    shares=shares,
                    signal_id=signal.signal_id if signal else "",
                    is_new=member.key in new,
                )
            )
        return tuple(parts)


def _merged(stops: Sequence[Stop | None]) -> Stop | None:
    """Stops of several sources; where two sell the same coin, the one that comes first at the higher price."""
    found = [stop for stop in stops if stop]
    if not found:
        return None
    prices: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for stop in found:
        for coin, price in stop.prices.items():
            if coin not in prices or price > prices[coin]:
                prices[coin], reasons[coin] = price, stop.reasons[coin]
    return Stop(prices, reasons)
