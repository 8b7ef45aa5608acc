"""Walk-forward: numbers are chosen on one stretch of time and tried on the next, which had no say in the choice."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..responses import Json
from .checks import Finding, warning
from .errors import BacktestError
from .results import time
from .spec import Spec
from .sweep import Numbers, Point, Run, best_of, measure, sweep

# How many times longer a stretch is that numbers are chosen on than the one that they are tried on.
CHOSEN_ON = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: times are Unix seconds; `after` is None where the stretch could not be tested."""

    begin: int
    split: int
    end: int
    chosen: Point
    after: Json

    def to_json(self) -> Json:
        """As plain JSON."""
        return {
            "chosen_from": time(self.begin),
            "chosen_until": time(self.split),
            "tried_until": time(self.end),
            "parameters": dict(self.chosen.numbers),
            "before": self.chosen.figures,
            "after": self.after,
        }


def stretches(spec: Spec, count: int) -> list[tuple[int, int, int]]:
    """Begin, split and end of each step: those that are tried lie one after the other, up to the end. Raises BacktestError."""
    seconds = spec.frame.seconds
    length = (spec.end - spec.begin) // (count + CHOSEN_ON) // seconds * seconds
    if length < seconds:
        raise BacktestError("backtest_range")
    first = spec.begin
    return [
        (first + number * length, first + (number + CHOSEN_ON) * length, first + (number + CHOSEN_ON + 1) * length)
        for number in range(count)
    ]


def walk_forward(
    spec: Spec,
    combinations: Sequence[Numbers],
    count: int,
    by: str,
    run: Run,
    report: Callable[[float], None],
) -> list[Step]:
    """Choose and try, so many times. Raises BacktestError."""
    found = []
    for number, (begin, split, end) in enumerate(stretches(spec, count)):

        def told(done: float, number: int = number) -> None:
            report((number + done) / count)

        points = sweep(spec.between(begin, split), combinations, run, told)
        chosen = best_of(points, by)
        after = measure(spec.between(split, end).with_parameters(chosen.numbers).to_json())
        found.append(Step(begin=begin, split=split, end=end, chosen=chosen, after=after))
    return found


def compounded(returns: Iterable[float]) -> float:
    """Returns (%) one after the other, in %."""
    whole = 1.0
    for each in returns:
        whole *= 1 + each / 100
    return (whole - 1) * 100


def findings(steps: Sequence[Step]) -> list[Finding]:
    """Whether what was chosen lost on the time that it was not chosen for."""
    before = [float(step.chosen.figures["return"]) for step in steps]
    after = [float(step.after["return"]) for step in steps if step.after.get("return") is not None]
    earned = compounded(after)
    if earned >= 0 or compounded(before) <= 0:
        return []
    mean = compounded(before) / len(before)
    return [warning("worse_after", after=f"{earned / len(steps):.1f}", before=f"{mean:.1f}")]
