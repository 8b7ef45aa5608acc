"""Sweeps, walk-forward and Monte-Carlo: the same on one core, on several and on a cluster; luck is named."""

from collections.abc import Mapping
from decimal import Decimal
import io
from itertools import pairwise, permutations
import json
from pathlib import Path
import subprocess
import sys
import threading
from types import ModuleType, TracebackType
from typing import Any, Self

import pytest

from custom_components.calvalot.trading.backtest import cli, forward, sweep
from custom_components.calvalot.trading.backtest.chance import chances, deepest, shares_of
from custom_components.calvalot.trading.backtest.errors import BacktestError
from custom_components.calvalot.trading.backtest.forward import Step, compounded, findings, stretches, walk_forward
from custom_components.calvalot.trading.backtest.sweep import (
    Point,
    best_of,
    grid,
    luck,
    measure,
    neighbours,
    on_cluster,
    on_cores,
    range_of,
)

from .backtests import BEGIN, spec_of

DAY = 86_400
TEXT = (
    "parameters:\n  short: {default: 5, minimum: 2, maximum: 20}\n  long: {default: 20, minimum: 10, maximum: 60}\n"
    "indicators:\n  fast: {type: sma, length: short}\n  slow: {type: sma, length: long}\n"
    "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\n"
)
RANGES = {"short": [3.0, 6.0], "long": [20.0, 40.0]}


def ignore(done: float) -> None:
    """Nobody looks."""


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("a=1:2:0.5", [1, 1.5, 2]),
        ("a = 1:2:3", [1]),
        ("a=0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("a=5,3", [5, 3]),
        ("a=7", [7]),
    ],
)
def test_ranges(said: str, values: list[float]) -> None:
    """A range with its step, or a list."""
    assert range_of(said) == ("a", values)


@pytest.mark.parametrize("said", ["a", "a=", "a=1:2", "a=2:1:1", "a=1:2:0", "a=1:2:-1", "a=x", "a=0:1:0.00000001"])
def test_ranges_that_are_none(said: str) -> None:
    """They are named."""
    with pytest.raises(BacktestError, match="neither"):
        range_of(said)


def test_grid() -> None:
    """Every combination, but not any number of them."""
    assert grid({"a": [1, 2], "b": [3]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    with pytest.raises(BacktestError, match="more than"):
        grid({"a": range(200), "b": range(200)})


def test_sweep_on_cores(socket_enabled: None) -> None:
    """Two processes find what one does, in the same order; how far it is goes up."""
    spec, told = spec_of(TEXT), []
    combinations = grid(RANGES)
    one = sweep.sweep(spec, combinations, on_cores(1), told.append)
    two = sweep.sweep(spec, combinations, on_cores(2), ignore)
    assert one == two
    assert [point.numbers for point in one] == combinations
    assert told == [0.25, 0.5, 0.75, 1]
    assert len({point.figures["value"] for point in one}) > 1
    alone = measure(spec.with_parameters(combinations[0]).to_json())
    assert one[0].figures == alone


def test_what_cannot_be_measured() -> None:
    """Numbers that do not fit have a problem instead of figures."""
    points = sweep.sweep(spec_of(TEXT), [{"short": 1}, {"short": 5}], on_cores(1), ignore)
    assert points[0].problem
    assert points[0].figure("return") is None
    assert best_of(points, "value") is points[1]
    with pytest.raises(BacktestError, match="no combination"):
        best_of(points[:1], "return")
    assert "problem" in measure(spec_of("enter: 1\n").to_json())


def test_a_sweep_that_is_aborted(socket_enabled: None) -> None:
    """What waits is not begun any more."""

    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(spec_of(TEXT), grid({"short": [3.0, 4.0, 5.0], "long": [20.0, 30.0]}), on_cores(2), stop)
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and "Executor" in type(thread).__name__:
            thread.join(60)  # it sees that its workers are gone


def _points(returns: Mapping[tuple[float, float], float]) -> list[Point]:
    return [Point(numbers={"a": a, "b": b}, figures={"return": f"{value}"}) for (a, b), value in returns.items()]


def test_luck() -> None:
    """A best that most neighbours of lose is named; on a plateau, or where all lose, it is not."""
    ranges = {"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0]}
    lone = _points({(a, b): 50.0 if (a, b) == (2, 1) else -1.0 for a in (1, 2, 3) for b in (1, 2)})
    best = best_of(lone, "return")
    assert len(neighbours(lone, ranges, best)) == 5
    (found,) = luck(lone, ranges, best)
    assert (found.key, found.placeholders) == ("sweep_luck", {"share": "100"})
    plateau = _points({(a, b): 50.0 - a for a in (1, 2, 3) for b in (1, 2)})
    assert luck(plateau, ranges, best_of(plateau, "return")) == []
    losing = _points({(a, b): -a for a in (1, 2, 3) for b in (1, 2)})
    assert luck(losing, ranges, best_of(losing, "return")) == []
    far = _points({(1.0, 1.0): 5.0})
    assert luck(far, ranges, far[0]) == []
    assert best.to_json()["parameters"] == {"a": 2, "b": 1}


# Walk-forward


def test_stretches() -> None:
    """What is tried lies one after the other, right after what it was chosen on."""
    spec = spec_of(TEXT, end=BEGIN + 60 * DAY)
    found = stretches(spec, 3)
    assert found[0] == (BEGIN, BEGIN + 30 * DAY, BEGIN + 40 * DAY)
    assert all(one[2] == next_[1] for one, next_ in pairwise(found))
    assert found[-1][2] == spec.end
    with pytest.raises(BacktestError, match="begin before"):
        stretches(spec_of(TEXT, end=BEGIN + 3600), 5)


def test_walk_forward() -> None:
    """Numbers chosen on one stretch are those that are tried on the next."""
    spec, told = spec_of(TEXT, end=BEGIN + 60 * DAY), []
    steps = walk_forward(spec, grid(RANGES), 2, "return", on_cores(1), told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    for step in steps:
        points = sweep.sweep(spec.between(step.begin, step.split), grid(RANGES), on_cores(1), ignore)
        assert step.chosen == best_of(points, "return")
        tried = spec.between(step.split, step.end).with_parameters(step.chosen.numbers)
        assert step.after == measure(tried.to_json())
        assert step.to_json()["parameters"] == dict(step.chosen.numbers)


def _step(before: float, after: float | None) -> Step:
    chosen = Point(numbers={}, figures={"return": f"{before}"})
    figures: dict[str, Any] = {} if after is None else {"return": f"{after}"}
    return Step(begin=0, split=1, end=2, chosen=chosen, after=figures)


def test_worse_after() -> None:
    """What earned where it was chosen and lost afterwards is named."""
    assert compounded([10, -10]) == pytest.approx(-1)
    assert [each.key for each in findings([_step(10, -5), _step(20, -1)])] == ["worse_after"]
    assert findings([_step(10, 5)]) == []
    assert findings([_step(-10, -5)]) == []
    assert findings([_step(10, None)]) == []
    assert forward.CHOSEN_ON == 3


# Monte-Carlo


def test_chances() -> None:
    """Of three trades all orders are known: the median and the worst lie among them; the end is always the same."""
    results = [Decimal(500), Decimal(-300), Decimal(-200)]
    shares = shares_of(results, Decimal(1000))
    assert shares == pytest.approx([0.5, -0.2, -1 / 6])
    every = [deepest(order) for order in permutations(shares)]
    found = chances(results, Decimal(1000), 500)
    assert found
    assert found.real == pytest.approx(deepest(shares))
    assert found.worst == pytest.approx(max(every))
    assert min(every) <= found.median <= max(every)
    assert found == chances(results, Decimal(1000), 500)
    assert chances([], Decimal(1000)) is None
    assert shares_of([Decimal(-1000), Decimal(5)], Decimal(1000)) == [-1.0, 0.0]
    assert set(found.to_json()) == {"rounds", "drawdown", "drawdown_median", "drawdown_95"}


# In a terminal


def told(*arguments: str) -> tuple[int, str, str]:
    """What the command answers."""
    out, err = io.StringIO(), io.StringIO()
    return cli.main(arguments, out, err), out.getvalue(), err.getvalue()


def test_in_a_terminal(tmp_path: Path) -> None:
    """A map of two numbers, a list of one, what comes after, and other orders."""
    path, page, document = tmp_path / "mine.yaml", tmp_path / "page.html", tmp_path / "result.json"
    path.write_text(f"name: Mine\n{TEXT}")
    span = ("--simulated", "1", "--from", "2024-01-01", "--to", "2024-03-01", "--jobs", "1", "--by", "return")
    both = ("--sweep", "short=3:6:3", "--sweep", "long=20,40", "--walk-forward", "2", "--monte-carlo", "50")
    code, out, err = told(f"{path}", *span, *both, "--html", f"{page}", "--json", f"{document}")
    assert (code, err) == (0, "")
    result = json.loads(document.read_text())
    assert result["spec"]["sources"][0]["parameters"] == result["sweep"]["best"]["parameters"]
    assert len(result["sweep"]["points"]) == 4
    assert len(result["walk_forward"]) == 2
    assert result["monte_carlo"]["rounds"] == 50
    for words in ("the best of 4 by return", "tried until", "50 other orders"):
        assert words in out, words
    text = page.read_text()
    for words in ("short ↓ long →", "Walk-forward", "In another order"):
        assert words in text, words
    code, out, err = told(f"{path}", *span, "--sweep", "short=1,3", "--html", f"{page}")
    assert (code, err) == (0, "")
    assert "Sweep by return" in page.read_text()
    assert "the best of 2" in out
    code, out, _ = told(f"{path}", *span, "--sweep", "short=1,3", "--sweep", "long=20,30", "--html", f"{page}")
    assert "short ↓ long →" in page.read_text()


# On a cluster


def test_on_a_real_cluster() -> None:
    """A scheduler and two workers on loopback find what one process does."""
    root = Path(__file__).parents[2]
    python = subprocess.run([root / "scripts/setup", "--oracles"], capture_output=True, text=True, check=True).stdout
    asked = json.dumps({"spec": spec_of(TEXT).to_json(), "ranges": RANGES})
    command = [python.strip(), "-P", f"{root / 'tests/cluster.py'}"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert found["workers"] == 2
    assert found["points"][0] == found["points"][1]
    assert len(found["points"][0]) == 4


class Client:
    """A client of a cluster that works at once."""

    closed = 0

    def __init__(self, address: str, **_options: object) -> None:
        if "none" in address:
            raise OSError("nobody there")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        Client.closed += 1

    def submit(self, work: Any, document: Any, **_options: object) -> Future:
        """Do it."""
        return Future(work(document))


class Future:
    """What came of it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        """That."""
        return self.value


def test_on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is asked for only then; the same points come back, and the client is closed."""
    spec, combinations = spec_of(TEXT), grid(RANGES)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BacktestError, match="cannot be used"):
        sweep.sweep(spec, combinations, on_cluster("tcp://somewhere:1"), ignore)
    library = ModuleType("distributed")
    library.Client = Client  # type: ignore[attr-defined]
    library.as_completed = lambda futures: reversed([*futures])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", library)
    assert sweep.sweep(spec, combinations, on_cluster("tcp://here:1"), ignore) == sweep.sweep(
        spec, combinations, on_cores(1), ignore
    )
    assert Client.closed == 1
    with pytest.raises(BacktestError, match="nobody there"):
        sweep.sweep(spec, combinations, on_cluster("tcp://none:1"), ignore)
