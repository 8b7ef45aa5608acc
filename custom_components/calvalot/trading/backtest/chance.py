"""Monte-Carlo: the same trades in another order, many times; what falls might as well have been."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from ..responses import Json
from .results import percent

ROUNDS = 1000
SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """Deepest falls (fractions) of shuffled orders of trades: the median and the one that 5 % go beyond; that of the real order."""

    rounds: int
    real: float
    median: float
    worst: float

    def to_json(self) -> Json:
        """As plain JSON, in %."""
        return {
            "rounds": self.rounds,
            "drawdown": percent(self.real),
            "drawdown_median": percent(self.median),
            "drawdown_95": percent(self.worst),
        }


def shares_of(results: Sequence[Decimal], budget: Decimal) -> list[float]:
    """What each trade brought, as a fraction of the money that there was before it."""
    found, value = [], budget
    for result in results:
        found.append(float(result / value) if value > 0 else 0.0)
        value += result
    return found


def deepest(shares: Sequence[float]) -> float:
    """The deepest fall from a peak (a fraction) of such trades, one after the other."""
    value = peak = 1.0
    found = 0.0
    for share in shares:
        value *= 1 + share
        peak = max(peak, value)
        found = max(found, 1 - value / peak)
    return found


def chances(results: Sequence[Decimal], budget: Decimal, rounds: int = ROUNDS, seed: int = SEED) -> Chances | None:
    """The falls of the same trades in other orders; None without a trade."""
    shares = shares_of(results, budget)
    if not shares:
        return None
    random = Random(seed)  # noqa: S311  # no secret
    real, falls = deepest(shares), []
    for _ in range(rounds):
        random.shuffle(shares)
        falls.append(deepest(shares))
    falls.sort()
    return Chances(
        rounds=rounds, real=real, median=falls[rounds // 2], worst=falls[min(rounds * 95 // 100, rounds - 1)]
    )
