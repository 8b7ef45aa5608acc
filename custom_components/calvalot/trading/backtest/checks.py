"""What speaks against a result, found without being asked: said before anything else is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ..responses import Json
from ..strategies.evaluator import Decision
from .errors import BacktestError, time_text
from .results import days_of
from .run import Outcome

# Fewer closed trades, or days, than these say little.
ENOUGH_TRADES = 30
ENOUGH_DAYS = 180
# Shares of missing candles, and of signals that could not be placed as a whole, from which on it is said.
MANY_MISSING = 0.01
MANY_LEFT_OUT = 0.1
# Where among all decisions those are (fractions) after which a run is cut off.
CUTS = (0.0, 0.1, 0.25, 0.5, 1.0)
# Decisions that have to be the same with another warm-up.
COMPARED = 3

type Weight = Literal["warning", "note"]

WORDS = {
    "no_trades": "It never traded.",
    "few_trades": "Only {count} closed trades: too few to tell skill from luck.",
    "short_time": "Only {days} days: too short to say anything about other times.",
    "one_trade": "A single trade ({coin}, {result} {quote}) makes the whole profit; without it there is none.",
    "open_profit": "What is still open makes the whole profit; nothing of it was earned by a sale.",
    "warm_up": "The warm-up is too short: with twice or half as many candles before the beginning it decides differently.",
    "not_warm": "At the beginning {have} of {needed} candles for the indicators were there: it decided later.",
    "late_candles": "The candles begin only at {time}.",
    "missing": "{count} candles are missing ({share} %).",
    "left_out": "{count} of {signals} signals could not be placed as a whole.",
    "below_hold": "Buying and holding brought more ({hold} % instead of {own} %).",
    "sweep_luck": "{share} % of the neighbours of the best numbers lose: the best are probably luck.",
    "worse_after": "On the time that it was not chosen for it brought {after} % instead of {before} %.",
}
CLEAN = "Nothing was found that speaks against it. It need not go on like this."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that speaks against a result; `key` names its text."""

    key: str
    weight: Weight
    placeholders: dict[str, str]

    def __str__(self) -> str:
        """The text in English."""
        return WORDS[self.key].format(**self.placeholders)

    def to_json(self) -> Json:
        """As plain JSON."""
        return {"key": self.key, "weight": self.weight, "placeholders": self.placeholders, "text": str(self)}


def warning(key: str, **placeholders: str) -> Finding:
    """Something without which the result says little."""
    return Finding(key, "warning", placeholders)


def note(key: str, **placeholders: str) -> Finding:
    """Something that is to be known beside the result."""
    return Finding(key, "note", placeholders)


def verdict(findings: Sequence[Finding]) -> str:
    """The first line: warnings, else that there are none."""
    return " ".join(str(each) for each in findings if each.weight == "warning") or CLEAN


def look_at(outcome: Outcome, *, warm: int, needed: int) -> list[Finding]:
    """What the outcome itself shows; `warm` of the `needed` candles were there before the first decision."""
    trades, setup = outcome.book.trades, outcome.setup
    found: list[Finding] = []
    days = days_of(outcome)
    profit = outcome.value - setup.budget
    results = [trade.result for trade in trades]
    if not outcome.book.fills:
        found.append(warning("no_trades"))
    elif len(trades) < ENOUGH_TRADES:
        found.append(warning("few_trades", count=f"{len(trades)}"))
    if days < ENOUGH_DAYS:
        found.append(warning("short_time", days=f"{days:.0f}"))
    if profit > 0 and results:
        best = max(trades, key=lambda trade: trade.result)
        if best.result >= profit:
            result = f"{best.result:.2f}"
            found.append(warning("one_trade", coin=best.coin, result=result, quote=setup.quote))
    if profit > 0 and sum(results, Decimal(0)) <= 0 and outcome.book.open:
        found.append(warning("open_profit"))
    if warm < needed:
        found.append(note("not_warm", have=f"{warm}", needed=f"{needed}"))
    if outcome.began is not None and outcome.began > setup.begin:
        found.append(note("late_candles", time=time_text(outcome.began)))
    whole = outcome.slots + outcome.missing
    if outcome.missing > MANY_MISSING * whole:
        found.append(note("missing", count=f"{outcome.missing}", share=f"{outcome.missing / whole * 100:.1f}"))
    failed, taken = len(outcome.trader.failed), outcome.trader.taken
    if failed > MANY_LEFT_OUT * taken:
        found.append(note("left_out", count=f"{failed}", signals=f"{taken}"))
    if outcome.days:
        budget = float(setup.budget)
        hold, own = outcome.days[-1].hold / budget - 1, float(profit) / budget
        if hold > own:
            found.append(note("below_hold", hold=f"{hold * 100:.1f}", own=f"{own * 100:.1f}"))
    return found


# The same signals from less, and from other beginnings


def look_ahead(
    decisions: Sequence[Decision], decide: Callable[[int], Iterable[Decision]], look: Callable[[], None]
) -> None:
    """Cut runs off right after some of the decisions: each has to be there all the same.

    `decide` gives the decisions of a run on candles that closed by a time (Unix seconds); `look` is called before each one.
    Raises BacktestError for one that is not: the strategy has seen what came after.
    """
    for number in sorted({round(share * (len(decisions) - 1)) for share in CUTS} if decisions else ()):
        look()
        wanted = decisions[number]
        if wanted not in list(decide(wanted.at)):
            raise BacktestError("backtest_looks_ahead", time=time_text(wanted.at))


def other_warm_up(decisions: Sequence[Decision], others: Iterable[Sequence[Decision]]) -> list[Finding]:
    """Whether the first decisions are the same with half and double warm-up."""
    first = decisions[:COMPARED]
    return [] if all([*other[: len(first)]] == [*first] for other in others) else [warning("warm_up")]
