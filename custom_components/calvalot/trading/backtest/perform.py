"""One backtest from its spec to its result."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from ..responses import Json
from ..strategies.evaluator import Decision
from .checks import Finding, look_ahead, look_at, other_warm_up, verdict
from .errors import BacktestError
from .results import fills_of, result_of
from .run import AFTER_CLOSE, Backtest, Outcome, Report
from .scripted import Scripted
from .spec import Prepared, Spec, inside_of, prepare, slots_of
from .walk import Slot

# How much of the work is the run itself, where it is checked afterwards.
RUN = 0.4


def perform(spec: Spec, report: Report | None = None, *, checked: bool = True, known: Sequence[Finding] = ()) -> Json:
    """The result of a backtest with its findings, synchronous. Raises BacktestError, InvalidStrategy.

    `report` is told how far it is, and may raise Aborted. `known` is what speaks against it already.
    """
    return asyncio.run(performed(spec, report, checked=checked, known=known))


async def performed(
    spec: Spec, report: Report | None = None, *, checked: bool = True, known: Sequence[Finding] = ()
) -> Json:
    """The same where a loop runs already; nothing in here waits for anything."""
    share = RUN if checked else 1.0
    outcome, prepared, warm = await run(spec, report and (lambda done, count: report(done * share, count)))
    findings = look_at(outcome, warm=warm, needed=prepared.warm_up)
    if checked:
        findings = [*_compared(spec, outcome, prepared, report), *findings]
    findings = [*known, *findings]
    return {**told(spec, findings), **result_of(outcome), "orders": fills_of(outcome.book.fills)}


async def run(spec: Spec, report: Report | None = None, *, keep: bool = True) -> tuple[Outcome, Prepared, int]:
    """The bare run, with what it was made of, and how many candles its sources had before they decided. Raises BacktestError."""
    prepared = prepare(spec, keep=keep)
    setup = prepared.setup
    warming = _Warming(slots_of(spec, prepared.first, setup.end), setup.begin)
    outcome = await Backtest(setup, prepared.source).run(warming, inside_of(spec, setup.begin), report)
    if outcome.ended is None:
        raise BacktestError("backtest_no_candles", coin=", ".join(spec.coins))
    return outcome, prepared, warming.count


def told(spec: Spec, findings: list[Finding]) -> Json:
    """What comes first in a result: the verdict, what led to it, and what was tested."""
    return {
        "verdict": verdict(findings),
        "findings": [each.to_json() for each in findings],
        "key": spec.key,
        "spec": spec.to_json(),
    }


# Inside


class _Warming:
    """The slots of a walk; counts those from before a time."""

    def __init__(self, slots: Iterator[Slot], begin: int) -> None:
        self._slots = slots
        self._begin = begin
        self.count = 0

    def __iter__(self) -> Iterator[Slot]:
        for slot in self._slots:
            self.count += slot.opened < self._begin
            yield slot


def _compared(spec: Spec, outcome: Outcome, prepared: Prepared, report: Report | None) -> list[Finding]:
    """Findings of runs that are cut off, or warmed up for another time. Raises BacktestError where a strategy looks ahead."""
    found: list[Finding] = []
    count = len(outcome.book.fills)
    done = RUN

    def look() -> None:
        nonlocal done
        if report:
            report(done, count)
        done = min(done + (1 - RUN) / 8, 1.0)

    for number, strategy in enumerate(prepared.strategies):
        decisions = strategy.decisions
        look_ahead(decisions, _cut_off(spec, number), look)
        look()
        if isinstance(strategy.rules, Scripted):
            continue  # it is shown the same number of candles at each decision
        end = decisions[2].at if len(decisions) > 2 else spec.end
        others = [_decided(spec, number, end, factor) for factor in (0.5, 2)]
        found += other_warm_up(decisions, others)
    return found


def _cut_off(spec: Spec, number: int) -> Callable[[int], list[Decision]]:
    """Decides on candles that closed by a time."""
    return lambda end: _decided(spec, number, end, 1)


def _decided(spec: Spec, number: int, end: int, warm_up_factor: float) -> list[Decision]:
    """What one of the strategies decides by a time, as in a run; nothing is traded."""
    closed = end - spec.frame.seconds + 1
    prepared = prepare(spec, warm_up_factor=warm_up_factor, keep=True, until=closed)
    strategy, begin, seconds = prepared.strategies[number], prepared.setup.begin, spec.frame.seconds
    inside = inside_of(spec, begin)
    prices: dict[str, float] = {}
    for slot in slots_of(spec, prepared.first, end):
        opened = slot.opened
        if opened >= begin:
            prices.update({coin: candle.open for coin, candle in slot.candles.items()})
            strategy.wakes(prices, opened + AFTER_CLOSE)
            if inside:
                shorter = [
                    each for each in inside.between(opened, opened + seconds) if each.opened + inside.seconds - 1 <= end
                ]
                for each in shorter:
                    strategy.within(each, each.opened + inside.seconds - 1)
        if opened + seconds > end:
            break
        strategy.close(slot)
        prices.update({coin: candle.close for coin, candle in slot.candles.items()})
    return strategy.decisions
