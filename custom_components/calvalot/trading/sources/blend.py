"""Several sources in one portfolio: each with a share of it, netted into one allocation before anything is traded.

target = Σ weight × share; nothing is normalised, what the weights leave is cash. A source that is stale may have its part sold
down, not bought: a coin is bought no further than the others want it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
import hashlib
import json

from ..decimals import EXACT, ZERO
from ..wants import Allocation

MOVES = "moves_in_blend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one source wants of its share of the portfolio: its weight and its allocation, both as fractions.

    `signal_id` is its last word; `is_new`: nothing was traded for that yet. What is `stale` was not heard for too long.
    """

    key: str
    weight: Decimal
    shares: Mapping[str, Decimal]
    signal_id: str
    is_new: bool = False
    is_stale: bool = False


def targets_of(parts: Sequence[Part]) -> Mapping[str, Decimal]:
    """Share of each coin in the whole portfolio."""
    targets: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for part in parts:
            for coin, share in part.shares.items():
                if share:
                    targets[coin] = targets.get(coin, ZERO) + part.weight * share
    return targets


def blended(parts: Sequence[Part], weights: Mapping[str, Decimal] | None) -> Allocation:
    """What the parts want together; `weights` are the portfolio's own by coin, None where they are not known."""
    targets = targets_of(parts)
    fresh = targets_of([part for part in parts if not part.is_stale])
    shares: dict[str, Decimal] = {}
    keep = set()
    for coin, target in targets.items():
        held, bought = (weights or {}).get(coin, ZERO), fresh.get(coin, ZERO)
        if held >= target or target == bought:
            shares[coin] = target
        elif held > bought:
            keep.add(coin)
        else:
            shares[coin] = bought
    return Allocation(shares=shares, keep=frozenset(keep))


def blend_id(parts: Sequence[Part]) -> str:
    """Id of the blend of these signals, the same for the same ones."""
    said = sorted((part.key, part.signal_id) for part in parts)
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]


def seen_by(part: Part, targets: Mapping[str, Decimal], weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Weights of coins as a source sees them in its own part: off its own targets as far as the whole is off its."""
    with localcontext(EXACT):
        seen = {
            coin: held * part.shares.get(coin, ZERO) / target if (target := targets.get(coin)) else held
            for coin, held in weights.items()
        }
        return {coin: weight for coin, weight in seen.items() if weight}


def least_of(
    smallest: Mapping[str, Decimal], part: Part | None, targets: Mapping[str, Decimal]
) -> Mapping[str, Decimal]:
    """The least that can be traded of each coin, as a source sees it in its own part."""
    if part is None:
        return smallest
    with localcontext(EXACT):
        return {
            coin: least * part.shares.get(coin, ZERO) / target if (target := targets.get(coin)) else least
            for coin, least in smallest.items()
        }
