"""Returns over a period: time-weighted, money-weighted, beside what others would have brought. In %, EUR unless quote is said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from math import exp, expm1, isfinite

from ..decimals import EXACT, HUNDRED, ONE, ZERO
from .marks import PERIODS, SINCE_START, THIS_YEAR, Mark, base_of, growth

YEAR = 365
BENCHMARK = "BTC"
# A rate is looked for from here on outwards, until the whole path has grown or shrunk by e^600.
FIRST_STEP = 0.01
WIDEST = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Coins and cash (quote) that are kept as they are."""

    cash: Decimal = ZERO
    coins: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])

    def worth(self, mark: Mark) -> Decimal | None:
        """Value in quote; None where a price is unknown."""
        if not mark.prices.keys() >= self.coins.keys():
            return None
        with localcontext(EXACT):
            return self.cash + sum((quantity * mark.prices[coin] for coin, quantity in self.coins.items()), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What a period brought; None = unknown. Annualised figures are those of periods of more than a year."""

    since: date
    days: int
    time_weighted: Decimal | None
    time_weighted_quote: Decimal | None
    annualised: Decimal | None
    money_weighted: Decimal | None
    xirr: Decimal | None
    modified_dietz: Decimal | None
    btc: Decimal | None
    btc_quote: Decimal | None
    first_allocation: Decimal | None
    first_allocation_quote: Decimal | None


def periods(
    known: Sequence[Mark], flows: Sequence[tuple[date, Decimal]], first: Holding | None, today: date
) -> dict[str, Period | None]:
    """Each period's returns; `flows` are day and EUR paid in, `first` the holding of the first day. A period without history is None."""
    found: dict[str, Period | None] = {}
    for name in (*PERIODS, THIS_YEAR, SINCE_START):
        base = base_of(name, known, today)
        found[name] = period_from(base, known, flows, first) if base else None
    return found


def period_from(
    base: Mark, known: Sequence[Mark], flows: Sequence[tuple[date, Decimal]], first: Holding | None
) -> Period:
    """Returns from one mark to the last one; `flows` of later days are left out by the caller."""
    end = known[-1]
    starts = base is known[0] and not base.prices
    days = (end.day - base.day).days
    since = [(day, amount) for day, amount in flows if day > base.day or starts]
    path = [(0, -base.value), *(((day - base.day).days, -amount) for day, amount in since), (days, end.value)]
    log_rate = log_of_xirr(path) if days else None
    # Prices are known from the first close on.
    priced = known[1] if starts and len(known) > 1 else base
    held_before, held_after = (first.worth(priced), first.worth(end)) if first else (None, None)
    whole = growth(base.price, end.price)
    return Period(
        since=base.day,
        days=days,
        time_weighted=whole,
        time_weighted_quote=growth(base.rate and base.price / base.rate, end.rate and end.price / end.rate),
        annualised=annualised(whole, days),
        money_weighted=None if log_rate is None else percent(expm1(log_rate * days / YEAR)),
        xirr=None if log_rate is None or days <= YEAR else percent(expm1(log_rate)),
        modified_dietz=modified_dietz(
            base.value, end.value, [((day - base.day).days, amount) for day, amount in since], days
        ),
        btc=growth(_in_eur(priced.prices.get(BENCHMARK), priced), _in_eur(end.prices.get(BENCHMARK), end)),
        btc_quote=growth(priced.prices.get(BENCHMARK), end.prices.get(BENCHMARK)),
        first_allocation=growth(_in_eur(held_before, priced), _in_eur(held_after, end)),
        first_allocation_quote=growth(held_before, held_after),
    )


def _in_eur(quote: Decimal | None, mark: Mark) -> Decimal | None:
    return None if quote is None or mark.rate is None else quote * mark.rate


def annualised(whole: Decimal | None, days: int) -> Decimal | None:
    """Return a year of one over more than a year: (1 + r)^(365 / days) − 1, in %; None for a shorter one (GIPS 2020, 4.A.1)."""
    if whole is None or days <= YEAR:
        return None
    with localcontext(EXACT):
        return ((ONE + whole / HUNDRED) ** (Decimal(YEAR) / days) - ONE) * HUNDRED


def modified_dietz(before: Decimal, after: Decimal, flows: Sequence[tuple[int, Decimal]], days: int) -> Decimal | None:
    """(V₁ − V₀ − F) / (V₀ + Σ wᵢ Fᵢ) in %, wᵢ the share of the days after a flow; None where that is nothing or less (GIPS 2020, glossary)."""
    if not days:
        return None
    with localcontext(EXACT):
        weighted = before + sum((amount * (days - day) / days for day, amount in flows), ZERO)
        gain = after - before - sum((amount for _, amount in flows), ZERO)
        return gain / weighted * HUNDRED if weighted > 0 else None


def log_of_xirr(path: Sequence[tuple[int, Decimal]]) -> float | None:
    """ln(1 + r) of the yearly rate r at which Σ cᵢ (1 + r)^(−dᵢ/365) = 0, the one nearest to nothing; None where there is none.

    `path` holds days and EUR, what was paid in negative. Bisected to the last bit: no step can leave the bracket.
    """
    flows = [(day / YEAR, float(amount)) for day, amount in path if amount]

    def worth(rate: float) -> float:
        return sum(amount * exp(-rate * time) for time, amount in flows)

    longest = max((time for time, _ in flows), default=0.0)
    bracket = _bracket(worth, longest) if longest else None
    if bracket is None:
        return None
    low, high = bracket
    rising = worth(low) < 0
    while low < (rate := (low + high) / 2) < high:
        if (worth(rate) < 0) is rising:
            low = rate
        else:
            high = rate
    return rate


def _bracket(worth: Callable[[float], float], longest: float) -> tuple[float, float] | None:
    """The rates nearest to nothing between which the worth changes its sign; `longest` is the time (years) of the last flow."""
    near, far = 0.0, FIRST_STEP
    while near * longest < WIDEST:
        for low, high in ((near, far), (-far, -near)):
            if (worth(low) < 0) is not (worth(high) < 0):
                return low, high
        near, far = far, min(2 * far, WIDEST / longest)
    return None


def percent(share: float) -> Decimal | None:
    """A fraction in %; None where it is beyond all bounds."""
    return Decimal(share) * HUNDRED if isfinite(share) else None
