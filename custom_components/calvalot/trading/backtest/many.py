"""Sweeps, walk-forward and Monte-Carlo as they are asked for, and as a terminal shows them."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..reports.document import Section, Table
from ..responses import Json
from . import forward
from .chance import chances
from .checks import Finding
from .errors import BacktestError
from .spec import Spec
from .sweep import FIGURES, Ranges, Run, best_of, grid, luck, on_cluster, on_cores, range_of, sweep
from .table import short

# Combinations that are shown as a list.
LISTED = 10


@dataclass(slots=True)
class Many:
    """What came of them: the spec of the best numbers, what speaks against these, and everything for the result."""

    spec: Spec
    findings: list[Finding] = field(default_factory=list[Finding])
    told: Json = field(default_factory=dict[str, object])


def add_arguments(add: Callable[..., argparse.Action]) -> None:
    """What may be asked for."""
    add(
        "--sweep",
        action="append",
        default=[],
        metavar="NAME=FIRST:LAST:STEP",
        help="try these numbers of a parameter; several are combined",
    )
    add("--by", choices=FIGURES, default="sharpe", help="the figure that the best numbers are chosen by (sharpe)")
    add(
        "--walk-forward",
        type=int,
        metavar="STEPS",
        help="choose the numbers on one stretch, try them on the next, so many times",
    )
    add("--monte-carlo", type=int, metavar="ROUNDS", help="shuffle the trades so many times")
    add("--jobs", type=int, metavar="COUNT", help="processes at once (one for each core)")
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="spread them over a Dask cluster, as tcp://host:8786; needs `distributed`",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is tried beside the run itself: numbers of parameters, the figure that the best are chosen by, steps and rounds."""

    ranges: Ranges = field(default_factory=dict[str, list[float]])
    by: str = "sharpe"
    steps: int | None = None
    rounds: int | None = None

    def to_json(self) -> Json:
        """As plain JSON; nothing where nothing is wanted."""
        told: Json = {}
        if self.ranges:
            told = {"sweep": {name: list(values) for name, values in self.ranges.items()}, "by": self.by}
        if self.steps:
            told["walk_forward"] = self.steps
        if self.rounds:
            told["monte_carlo"] = self.rounds
        return told

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Wanted:
        """What `to_json` gave."""
        return cls(
            ranges=document.get("sweep", {}),
            by=document.get("by", "sharpe"),
            steps=document.get("walk_forward"),
            rounds=document.get("monte_carlo"),
        )

    @classmethod
    def from_arguments(cls, asked: argparse.Namespace) -> Wanted:
        """What is asked for in a terminal. Raises BacktestError."""
        ranges = dict(range_of(each) for each in asked.sweep)
        return cls(ranges=ranges, by=asked.by, steps=asked.walk_forward, rounds=asked.monte_carlo)


def try_many(spec: Spec, wanted: Wanted, run: Run, report: Callable[[float, str], None]) -> Many:
    """Sweep and walk forward, where that is wanted; `run` has the combinations worked on. Raises BacktestError."""
    many = Many(spec)
    ranges = wanted.ranges
    if not ranges:
        if wanted.steps:
            raise BacktestError("backtest_no_sweep")
        return many
    combinations = grid(ranges)
    points = sweep(spec, combinations, run, lambda done: report(done, f"{len(combinations)} combinations"))
    if problem := next((point.problem for point in points if point.problem), None):
        many.told["problem"] = problem
    best = best_of(points, wanted.by)
    many.spec = spec.with_parameters(best.numbers)
    many.findings += luck(points, ranges, best)
    many.told["sweep"] = {
        "by": wanted.by,
        "ranges": {name: list(values) for name, values in ranges.items()},
        "best": best.to_json(),
        "points": [point.to_json() for point in points],
    }
    if wanted.steps:
        steps = forward.walk_forward(
            spec, combinations, wanted.steps, wanted.by, run, lambda done: report(done, "walk-forward")
        )
        many.findings += forward.findings(steps)
        many.told["walk_forward"] = [step.to_json() for step in steps]
    return many


def run_of(asked: argparse.Namespace) -> Run:
    """Where what is asked for in a terminal is worked on."""
    return on_cluster(asked.scheduler) if asked.scheduler else on_cores(asked.jobs)


def shuffled(result: Json, rounds: int | None) -> Json:
    """The falls of the trades of a result in other orders; nothing where that is not asked for, or there are no trades."""
    spec = Spec.from_json(result["spec"])
    found = (
        chances([Decimal(each["result"]) for each in result["trades"]], Decimal(spec.budget), rounds)
        if rounds
        else None
    )
    return {"monte_carlo": found.to_json()} if found else {}


def lines(result: Json) -> Iterator[str]:
    """As lines of text."""
    if told := result.get("sweep"):
        names = [*told["ranges"]]
        yield ""
        yield f"  the best of {len(told['points'])} by {told['by']}"
        yield "  " + "".join(f"{name[:14]:>15}" for name in (*names, told["by"], "return", "max_drawdown", "trades"))
        for point in _ranked(told)[:LISTED]:
            numbers = "".join(f"{point['parameters'][name]:>15g}" for name in names)
            yield (
                "  "
                + numbers
                + "".join(f"{_figure(point, name):>15}" for name in (told["by"], "return", "max_drawdown", "trades"))
            )
    if steps := result.get("walk_forward"):
        yield ""
        yield f"  {'chosen on':<26}{'tried until':<14}{'before %':>10}{'after %':>10}  numbers"
        for step in steps:
            span = f"{step['chosen_from'][:10]} – {step['chosen_until'][:10]}"
            numbers = ", ".join(f"{name}={value:g}" for name, value in step["parameters"].items())
            before, after = short(step["before"]["return"]), short(step["after"].get("return"))
            yield f"  {span:<26}{step['tried_until'][:10]:<14}{before:>10}{after:>10}  {numbers}"
    if told := result.get("monte_carlo"):
        yield ""
        yield (
            f"  {told['rounds']} other orders of the same trades fall by {short(told['drawdown_median'])} % (median), "
            f"one in twenty by {short(told['drawdown_95'])} % or more; this one by {short(told['drawdown'])} %"
        )


def sections(result: Json) -> Iterator[Section]:
    """As parts of a page."""
    if told := result.get("sweep"):
        yield _heat_map(told) if len(told["ranges"]) == 2 else _list(told)  # a map has two sides
    if steps := result.get("walk_forward"):
        rows = [
            [
                f"{step['chosen_from'][:10]} – {step['chosen_until'][:10]}",
                step["tried_until"][:10],
                short(step["before"]["return"]),
                short(step["after"].get("return")),
                ", ".join(f"{name}={value:g}" for name, value in step["parameters"].items()),
            ]
            for step in steps
        ]
        yield Section(
            title="Walk-forward",
            parts=[Table(head=["chosen on", "tried until", "before %", "after %", "numbers"], rows=rows)],
        )
    if result.get("monte_carlo"):
        yield Section(title="In another order", note=[*lines({"monte_carlo": result["monte_carlo"]})][-1].strip())


def _ranked(told: Json) -> list[Json]:
    known = [point for point in told["points"] if point["figures"].get(told["by"]) is not None]
    return sorted(known, key=lambda point: float(point["figures"][told["by"]]), reverse=True)


def _figure(point: Json, name: str) -> str:
    value = point["figures"].get(name)
    return f"{value}" if isinstance(value, int) else short(value)


def _list(told: Json) -> Section:
    names = [*told["ranges"]]
    rows = [
        [
            *(f"{point['parameters'][name]:g}" for name in names),
            *(_figure(point, name) for name in (told["by"], "return", "trades")),
        ]
        for point in _ranked(told)
    ]
    return Section(
        title=f"Sweep by {told['by']}", parts=[Table(head=[*names, told["by"], "return %", "trades"], rows=rows)]
    )


def _heat_map(told: Json) -> Section:
    (down, downs), (across, acrosses) = told["ranges"].items()
    by = told["by"]
    figures: dict[tuple[float, float], float] = {
        (point["parameters"][down], point["parameters"][across]): float(point["figures"][by])
        for point in told["points"]
        if point["figures"].get(by) is not None
    }
    most = max((abs(value) for value in figures.values()), default=0.0) or 1.0

    def cells(row: float) -> Sequence[float | None]:
        return [figures.get((row, column)) for column in acrosses]

    rows = [[f"{row:g}", *("" if value is None else f"{value:.2f}" for value in cells(row))] for row in downs]
    heat = [[None, *(None if value is None else value / most for value in cells(row))] for row in downs]
    head = [f"{down} ↓ {across} →", *(f"{column:g}" for column in acrosses)]
    return Section(title=f"Sweep: {by}", parts=[Table(head=head, rows=rows, heat=heat)])
