"""What each source of a blend contributed to the return of the portfolio; pure.

The unit price is the return index. Between two valuations it moves by what the prices (in EUR) of the coins do that are held,
which is the sources', as far as each wanted a coin; by what the rate does to the cash; and by what trading costs, fees and the
distance of the fills from the last price, which is all the rest. In points of the unit price these parts add up to its change
over any time, to the last digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, localcontext
import json
from typing import Any

from .decimals import EXACT, ONE, ZERO
from .sources.blend import Part, targets_of

# The fact that holds what the sources of a blend have contributed.
ATTRIBUTION = "attribution"
# Parts that are no source's: cash, costs, and coins that none of them wants any more.
CASH, COSTS, OTHER = "cash", "costs", "other"
DIGITS = Decimal("1e-18")

type Split = Mapping[str, Mapping[str, Decimal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued:
    """A portfolio at one moment: unit price, value and prices by coin in EUR, cash in quote with its rate, quantities by coin."""

    unit_price: Decimal
    value: Decimal
    cash: Decimal
    rate: Decimal
    prices: Mapping[str, Decimal]
    quantities: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Contributions since a time in points of the unit price, by source and for what is no source's.

    `start` is the unit price of that time. `records` is what each source's own allocation would have come to without costs, from
    1 on. `split` is whose each coin is, `shares` the allocation of each source, both as of the `last` valuation.
    """

    since: datetime
    start: Decimal
    last: Valued
    points: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    records: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    split: Split = field(default_factory=dict[str, Mapping[str, Decimal]])
    shares: Split = field(default_factory=dict[str, Mapping[str, Decimal]])

    def valued(self, now: Valued, parts: Sequence[Part]) -> Attribution:
        """One more valuation; `parts` are what the sources want from here on."""
        with localcontext(EXACT):
            last, points = self.last, dict(self.points)
            factor = last.unit_price / last.value if last.value else ZERO
            changes = [(CASH, last.cash * (now.rate - last.rate))]
            for coin, quantity in last.quantities.items():
                change = quantity * (now.prices.get(coin, last.prices[coin]) - last.prices[coin])
                changes += [(key, change * share) for key, share in self.split.get(coin, {OTHER: ONE}).items()]
            rest = now.unit_price - last.unit_price
            for key, change in changes:
                amount = (change * factor).quantize(DIGITS)
                points[key] = points.get(key, ZERO) + amount
                rest -= amount
            points[COSTS] = points.get(COSTS, ZERO) + rest
            grown = {part.key: self.records.get(part.key, ONE) * self._growth(part.key, now) for part in parts}
            return replace(
                self,
                last=now,
                points=points,
                records={key: record.quantize(DIGITS) for key, record in {**self.records, **grown}.items()},
                split=_split(parts, self.split, now.quantities),
                shares={part.key: part.shares for part in parts},
            )

    def _growth(self, key: str, now: Valued) -> Decimal:
        """What one unit of a source's own allocation of the last valuation has come to; its cash moves with the rate."""
        shares = {coin: share for coin, share in self.shares.get(key, {}).items() if self.last.prices.get(coin)}
        growth = (ONE - sum(shares.values(), ZERO)) * now.rate / self.last.rate
        for coin, share in shares.items():
            before = self.last.prices[coin]
            growth += share * now.prices.get(coin, before) / before
        return growth if key in self.shares else ONE


def begin(now: Valued, parts: Sequence[Part], at: datetime) -> Attribution:
    """Begin to attribute at a first valuation."""
    return Attribution(
        since=at,
        start=now.unit_price,
        last=now,
        records={part.key: ONE for part in parts},
        split=_split(parts, {}, now.quantities),
        shares={part.key: part.shares for part in parts},
    )


def _split(parts: Sequence[Part], before: Split, held: Mapping[str, Decimal]) -> Split:
    """Whose each held coin is, as fractions: of those that want it, else of those that wanted it last."""
    targets = targets_of(parts)
    with localcontext(EXACT):
        split: dict[str, Mapping[str, Decimal]] = {}
        for coin in held:
            if target := targets.get(coin):
                wanted = {part.key: part.weight * part.shares.get(coin, ZERO) / target for part in parts}
                split[coin] = {key: share.quantize(DIGITS) for key, share in wanted.items() if share}
            else:
                split[coin] = before.get(coin, {OTHER: ONE})
        return split


# As JSON, for the ledger


def to_text(attribution: Attribution) -> str:
    """The attribution as JSON."""
    return json.dumps(
        {
            "since": attribution.since.isoformat(),
            "start": f"{attribution.start:f}",
            "points": texts(attribution.points),
            "records": texts(attribution.records),
            "split": {coin: texts(shares) for coin, shares in attribution.split.items()},
            "shares": {key: texts(shares) for key, shares in attribution.shares.items()},
            "last": valued_json(attribution.last),
        }
    )


def from_text(text: str) -> Attribution:
    """What `to_text` wrote."""
    document = json.loads(text)
    return Attribution(
        since=datetime.fromisoformat(document["since"]),
        start=Decimal(document["start"]),
        points=decimals(document["points"]),
        records=decimals(document["records"]),
        split={coin: decimals(shares) for coin, shares in document["split"].items()},
        shares={key: decimals(shares) for key, shares in document["shares"].items()},
        last=valued_of(document["last"]),
    )


_FIGURES = ("unit_price", "value", "cash", "rate")


def valued_json(valued: Valued) -> dict[str, Any]:
    """A valuation as JSON."""
    return {
        **{name: f"{getattr(valued, name):f}" for name in _FIGURES},
        "prices": texts(valued.prices),
        "quantities": texts(valued.quantities),
    }


def valued_of(document: Mapping[str, Any]) -> Valued:
    """The valuation that `valued_json` wrote."""
    return Valued(
        **{name: Decimal(document[name]) for name in _FIGURES},
        prices=decimals(document["prices"]),
        quantities=decimals(document["quantities"]),
    )


def texts[K: str](values: Mapping[K, Decimal]) -> dict[str, str]:
    """Decimals as plain text."""
    return {key: f"{value:f}" for key, value in values.items()}


def decimals(known: Mapping[str, str]) -> dict[str, Decimal]:
    """Decimals from their text."""
    return {key: Decimal(text) for key, text in known.items()}
