"""The distance of a portfolio to what its source wants, and what it comes from; pure.

The record of the source is its allocation at the prices of each valuation, without costs: taken over at once, left alone until
the source says something new. U is the portfolio's own index and S the record, both from 1 on. Over each step the difference of
the two returns is split into parts x with Σ x = r − s, and

    U / S − 1 = Σ over all steps of U₀ / S₁ · Σ x

with U₀ the index before a step and S₁ the record after it: earlier parts grow with the record, and those of any range add up to
the distance of that range, but for the rounding of a division (Carino 1999 and Menchero 2000 link logarithms for the same end).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum

from ..attribution import Valued
from ..decimals import EXACT, ONE, ZERO
from ..ledger.records import Result, SignalRecord
from ..sizing import Reason

DIGITS = Decimal("1e-18")
# How long nothing is written down while nothing changes but the prices.
STEP = timedelta(hours=1)


class Part(StrEnum):
    """What a distance comes from."""

    FEES = "fees"
    SLIPPAGE = "slippage"
    DELAY = "delay"
    MINIMUMS = "minimums"
    LIMITS = "limits"
    CASH = "cash"


_LIMITING = frozenset(
    {
        *(Reason.NO_POSITION, Reason.NOT_CHOSEN, Reason.NOT_LISTED, Reason.NOT_TRADING, Reason.DAILY_LIMIT),
        *(Reason.ONLY_BUY, Reason.ONLY_SELL, Reason.FROZEN, Reason.LOCKED, Reason.HELD_BACK, Reason.NO_PRICE),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the source wants: shares by coin (None: nothing that is known), named so that a new wish is told from an old one.

    `published` is when it said so, `confidence` how sure it was (0 to 1); None: not told.
    """

    name: str = ""
    shares: Mapping[str, Decimal] | None = None
    published: datetime | None = None
    confidence: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Signals that are over: how many, after how many the record was higher, the sum of what it brought (fractions)."""

    signals: int = 0
    won: int = 0
    total: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """The distance since a time, as of the `last` valuation; `fees` are all of the book, in quote.

    `shares` are those of the record, `reasons` why a coin is not held as wanted (under no name: of all other coins).
    `sums` is Σ U₀ / S₁ · x by part. `at_signal` is the record when the source last said something new, `outcomes` by fifth of
    confidence.
    """

    since: datetime
    at: datetime
    last: Valued
    fees: Decimal
    own: Decimal = ONE
    record: Decimal = ONE
    wanted: Wanted = field(default_factory=Wanted)
    shares: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    reasons: Mapping[str, Part] = field(default_factory=dict[str, Part])
    sums: Mapping[Part, Decimal] = field(default_factory=dict[Part, Decimal])
    at_signal: Decimal = ONE
    outcomes: Mapping[int, Outcomes] = field(default_factory=dict[int, Outcomes])

    def is_due(self, now: Valued, fees: Decimal, wanted: Wanted, reasons: Mapping[str, Part], at: datetime) -> bool:
        """Whether something has changed but the prices, or it was long since."""
        return (
            (self.last.cash, self.last.quantities, self.fees) != (now.cash, now.quantities, fees)
            or (self.wanted, self.reasons) != (wanted, reasons)
            or at - self.at >= STEP
            or at.date() != self.at.date()
        )

    def valued(self, now: Valued, fees: Decimal, wanted: Wanted, reasons: Mapping[str, Part], at: datetime) -> Distance:
        """One more valuation; `wanted` and `reasons` hold from here on."""
        with localcontext(EXACT):
            last = self.last
            stepped = self._stepped(now, fees, wanted) if last.value and last.unit_price and now.unit_price else self
            new = wanted.name != self.wanted.name or wanted.shares != self.wanted.shares
            shares = _held(now) if wanted.shares is None else wanted.shares if new else stepped.shares
            if wanted.name != self.wanted.name:
                outcomes = _with_outcome(self, stepped.record)
                stepped = replace(stepped, at_signal=stepped.record, outcomes=outcomes)
            return replace(stepped, at=at, last=now, fees=fees, wanted=wanted, shares=shares, reasons=dict(reasons))

    # Inside

    def _stepped(self, now: Valued, fees: Decimal, wanted: Wanted) -> Distance:
        last = self.last
        early = wanted.shares is not None and wanted.published is not None and wanted.published <= self.at
        shares = wanted.shares if early and wanted.shares is not None else self.shares
        currency = now.rate / last.rate - ONE
        beyond = {
            coin: now.prices.get(coin, price) / price - ONE - currency for coin, price in last.prices.items() if price
        }
        growth = ONE + currency + sum((share * beyond.get(coin, ZERO) for coin, share in shares.items()), ZERO)
        own = self.own * now.unit_price / last.unit_price
        record = (self.record * growth).quantize(DIGITS)
        if record <= 0:
            return replace(self, own=own)
        held = _held(last)
        parts = dict.fromkeys(Part, ZERO)
        more = self._more(held, shares)
        for coin, earned in beyond.items():
            wants, has = shares.get(coin, ZERO), held.get(coin, ZERO)
            reason = self.reasons.get(coin) or self.reasons.get("")
            if reason:
                parts[reason] += (has - wants) * earned
            else:
                parts[Part.CASH] += more * wants * earned
                parts[Part.MINIMUMS] += (has - wants - more * wants) * earned
        units = now.value / now.unit_price
        parts[Part.FEES] = (self.fees - fees) * now.rate / units / last.unit_price if units else ZERO
        sums = {
            part: self.sums.get(part, ZERO) + (self.own / record * each).quantize(DIGITS)
            for part, each in parts.items()
        }
        # What fills brought or cost against the price of the valuation is all the rest.
        sums[Part.SLIPPAGE] = (
            own / record - ONE - sum((each for part, each in sums.items() if part is not Part.SLIPPAGE), ZERO)
        )
        drifted = {coin: share * (ONE + currency + beyond.get(coin, ZERO)) / growth for coin, share in shares.items()}
        return replace(self, own=own, record=record, sums=sums, shares=drifted)

    def _more(self, held: Mapping[str, Decimal], shares: Mapping[str, Decimal]) -> Decimal:
        """How much more is invested than wanted, as a fraction of that, in the coins that nothing keeps from it."""
        free = [coin for coin in {*held, *shares} if not (self.reasons.get(coin) or self.reasons.get(""))]
        wants = sum((shares.get(coin, ZERO) for coin in free), ZERO)
        return sum((held.get(coin, ZERO) for coin in free), ZERO) / wants - ONE if wants else ZERO


def begin(now: Valued, fees: Decimal, wanted: Wanted, reasons: Mapping[str, Part], at: datetime) -> Distance:
    """Begin at a first valuation."""
    shares = _held(now) if wanted.shares is None else wanted.shares
    return Distance(since=at, at=at, last=now, fees=fees, wanted=wanted, shares=shares, reasons=dict(reasons))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The end of a day: own index, record of the source, sums by part."""

    own: Decimal = ONE
    record: Decimal = ONE
    sums: Mapping[Part, Decimal] = field(default_factory=dict[Part, Decimal])


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Own return, that of the record, and the parts of the difference; fractions."""

    own: Decimal
    record: Decimal
    parts: Mapping[Part, Decimal]


def explained(start: Point, end: Point) -> Explained:
    """What the distance between two points comes from: own − record = Σ parts."""
    with localcontext(EXACT):
        scale = end.record / start.own
        return Explained(
            own=end.own / start.own - ONE,
            record=end.record / start.record - ONE,
            parts={part: scale * (end.sums.get(part, ZERO) - start.sums.get(part, ZERO)) for part in Part},
        )


def reasons_for(record: SignalRecord | None, *, held_up: bool, coin_of: Mapping[str, str]) -> Mapping[str, Part]:
    """Why coins are not held as wanted, by coin, under no name of all others, given the latest signal.

    `held_up` is whether the portfolio trades nothing just now; `coin_of` names the coin of a symbol.
    """
    if record is None:
        return {"": Part.LIMITS if held_up else Part.DELAY}
    given_up = record.result is Result.SKIPPED and not record.left_out
    if held_up or given_up or record.kind.sells_out or record.result in {Result.WAITING, Result.REJECTED}:
        return {"": Part.LIMITS}
    if record.result in {Result.OPEN, Result.ERROR}:
        return {"": Part.DELAY}
    return {coin_of.get(symbol, symbol): Part.LIMITS for symbol, _, reason in record.left_out if reason in _LIMITING}


def _held(now: Valued) -> Mapping[str, Decimal]:
    """Shares by coin that are held."""
    if not now.value:
        return {}
    with localcontext(EXACT):
        return {
            coin: quantity * now.prices[coin] / now.value
            for coin, quantity in now.quantities.items()
            if coin in now.prices
        }


def _with_outcome(distance: Distance, record: Decimal) -> Mapping[int, Outcomes]:
    """The outcomes with that of a signal that is over at a record."""
    confidence = distance.wanted.confidence
    if confidence is None or not distance.at_signal:
        return distance.outcomes
    fifth = max(0, min(4, int(confidence * 5)))
    brought = (record / distance.at_signal - ONE).quantize(DIGITS)
    before = distance.outcomes.get(fifth, Outcomes())
    now = Outcomes(signals=before.signals + 1, won=before.won + (brought > 0), total=before.total + brought)
    return {**distance.outcomes, fifth: now}
