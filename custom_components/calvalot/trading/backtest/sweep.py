"""Many backtests at once: every combination of some numbers, and whether the best of them is only luck.

They are spread over the cores of the machine, or over a Dask cluster, whose workers need the domain on their path. `distributed`
is imported only where an address of one is given.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
import itertools
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
import os
from threading import Thread
from typing import Any

from ..responses import Json
from .checks import Finding, warning
from .errors import BacktestError
from .perform import perform
from .spec import Spec

# Combinations of one sweep at most.
MOST = 10_000
# Share of the neighbours that lose from which on the best is luck.
LUCK = 0.5
# Figures of each combination, by one of which the best is chosen.
FIGURES = (
    "return",
    "cagr",
    "max_drawdown",
    "sharpe",
    "sortino",
    "calmar",
    "profit_factor",
    "trades",
    "value",
    "hold_return",
)

type Numbers = Mapping[str, float]
type Ranges = Mapping[str, Sequence[float]]
# Has specs worked on, in whatever order; each figures with the number of their spec.
type Run = Callable[[Sequence[Json]], Iterable[tuple[int, Json]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination: its numbers and figures; `problem` is why it has none."""

    numbers: Numbers
    figures: Json
    problem: str | None = None

    def figure(self, name: str) -> float | None:
        """One of its figures; None where it has none."""
        value = self.figures.get(name)
        return None if value is None else float(value)

    def to_json(self) -> Json:
        """As plain JSON."""
        return {"parameters": dict(self.numbers), "figures": self.figures, "problem": self.problem}


def range_of(said: str) -> tuple[str, list[float]]:
    """Numbers of a parameter: NAME=FIRST:LAST:STEP, or NAME=ONE,ANOTHER. Raises BacktestError."""
    name, _, values = said.partition("=")
    try:
        if ":" in values:
            first, last, step = (float(each) for each in values.split(":"))
            if step <= 0 or last < first or (last - first) / step > MOST:
                raise ValueError
            found = [round(first + number * step, 10) for number in range(int((last - first) / step + 1e-9) + 1)]
        else:
            found = [float(each) for each in values.split(",")]
    except ValueError:
        raise BacktestError("backtest_sweep", said=said) from None
    return name.strip(), found


def grid(ranges: Ranges) -> list[dict[str, float]]:
    """Every combination. Raises BacktestError where there are too many."""
    count = 1
    for values in ranges.values():
        count *= len(values)
    if count > MOST:
        raise BacktestError("backtest_too_many", count=f"{count}", most=f"{MOST}")
    return [dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values())]


def measure(document: Json) -> Json:
    """The figures of one spec, or why there are none; what is sent to another process, and comes back."""
    try:
        figures = perform(Spec.from_json(document), checked=False)["figures"]
    except ValueError as err:  # numbers that do not fit the strategy
        return {"problem": f"{err}"}
    except BacktestError as err:
        return {"problem": f"{err}"}
    return {name: figures.get(name) for name in FIGURES}


def sweep(
    spec: Spec,
    combinations: Sequence[Numbers],
    run: Run,
    report: Callable[[float], None],
) -> list[Point]:
    """Each combination with its figures, in their order; `run` has them worked on."""
    documents = [spec.with_parameters(numbers).to_json() for numbers in combinations]
    found: dict[int, Point] = {}
    for number, figures in run(documents):
        problem = figures.pop("problem", None)
        found[number] = Point(numbers=combinations[number], figures=figures, problem=problem)
        report(len(found) / len(documents))
    return [found[number] for number in range(len(documents))]


def best_of(points: Iterable[Point], by: str) -> Point:
    """The one with the largest figure. Raises BacktestError where none has any."""
    known = [point for point in points if point.figure(by) is not None]
    if not known:
        raise BacktestError("backtest_none_known", figure=by)
    return max(known, key=lambda point: point.figure(by) or 0.0)


def neighbours(points: Sequence[Point], ranges: Ranges, best: Point) -> list[Point]:
    """The combinations that are at most one step away in each number."""

    def place(point: Point) -> tuple[int, ...]:
        return tuple([*values].index(point.numbers[name]) for name, values in ranges.items())

    at = place(best)
    return [
        point
        for point in points
        if point is not best and all(abs(one - other) <= 1 for one, other in zip(place(point), at, strict=True))
    ]


def luck(points: Sequence[Point], ranges: Ranges, best: Point) -> list[Finding]:
    """Whether the best stands alone: most of its neighbours lose."""
    near = neighbours(points, ranges, best)
    losing = [point for point in near if (point.figure("return") or 0.0) < 0]
    if not near or (best.figure("return") or 0.0) <= 0 or len(losing) / len(near) < LUCK:
        return []
    return [warning("sweep_luck", share=f"{len(losing) / len(near) * 100:.0f}")]


# Where they are worked on


def on_cores(workers: int | None = None) -> Run:
    """Spread over processes of this machine, as many as it has cores unless more is said."""
    count = workers or os.process_cpu_count() or 1

    def run(documents: Sequence[Json]) -> Iterator[tuple[int, Json]]:
        if count == 1:
            yield from ((number, measure(document)) for number, document in enumerate(documents))
            return
        with ProcessPoolExecutor(min(count, len(documents)), get_context("spawn"), end_with_parent) as pool:
            futures = {pool.submit(measure, document): number for number, document in enumerate(documents)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.kill_workers()
                raise

    return run


def end_with_parent() -> None:  # pragma: no cover  # in a process of its own
    """Have this process end as soon as the one that has started it is gone, however that ended."""
    parent = parent_process()
    assert parent  # noqa: S101  # it was started by one

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def on_cluster(address: str) -> Run:
    """Spread over the workers of a Dask scheduler. Raises BacktestError where it cannot be reached."""

    def run(documents: Sequence[Json]) -> Iterator[tuple[int, Json]]:
        try:
            from distributed import Client, as_completed as completed  # noqa: PLC0415  # nobody needs it but who has a cluster

            client: Any = Client(address, timeout=10)
        except (ImportError, OSError, ValueError) as err:
            raise BacktestError("backtest_scheduler", address=address, error=f"{err}") from err
        with client:
            futures = {
                client.submit(measure, document, pure=False): number for number, document in enumerate(documents)
            }
            for future in completed(futures):
                yield futures[future], future.result()

    return run
