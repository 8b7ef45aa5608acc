"""How fast a backtest is beside backtrader and backtesting.py, how much memory it takes, and what a second core brings."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from custom_components.calvalot.trading.backtest.data import simulated
from custom_components.calvalot.trading.backtest.run import Backtest
from custom_components.calvalot.trading.backtest.spec import Spec, prepare
from custom_components.calvalot.trading.backtest.sweep import grid, on_cores, sweep
from custom_components.calvalot.trading.backtest.walk import walk
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame

from .figure import Figure, middle

# Types of what it talks to are not there.
ask_rivals = import_module("tests.rivals").ask_rivals

ROOT = Path(__file__).parent.parent
FRAME = TimeFrame.H1
BEGIN = 1_262_304_000
SHORT, LONG = 20, 50
TEXT = f"""name: Averages crossing
parameters:
  short: {{default: {SHORT}, minimum: 2, maximum: 100}}
  long: {{default: {LONG}, minimum: 10, maximum: 200}}
indicators:
  fast: {{type: sma, length: short}}
  slow: {{type: sma, length: long}}
enter: {{value: fast, crosses_above: slow}}
exit: {{value: slow, crosses_above: fast}}
"""
# A run of so many candles, alone in a process, and what its memory came to at most (KiB).
_ALONE = (
    "import asyncio, resource, sys; from benchmarks.backtest import spec_of; "
    "from custom_components.calvalot.trading.backtest.perform import run; "
    "asyncio.run(run(spec_of(int(sys.argv[1])), keep=False)); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)


def spec_of(count: int) -> Spec:
    """Averages crossing over so many candles of a random walk."""
    warm = 10 * LONG * FRAME.seconds
    return Spec(
        sources=({"kind": "strategy", "text": TEXT, "parameters": {}, "share": "100"},),
        coins=("BTC",),
        frame=FRAME,
        begin=BEGIN,
        end=BEGIN + count * FRAME.seconds,
        candles={"kind": "simulated", "seed": 1, "origin": BEGIN - warm},
    )


def _case(candles: list[Candle], rival: str) -> Mapping[str, Any]:
    columns = {name: [getattr(candle, name) for candle in candles] for name in Candle.__slots__}
    return {"rival": rival, "candles": columns, "lengths": (SHORT, LONG)}


def _memory(count: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(count)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1024


async def measure(*, quick: bool) -> list[Figure]:
    """Measure it."""
    count = 10_000 if quick else 100_000
    spec = spec_of(count)
    # The candles are there beforehand, for everyone.
    candles = [*simulated(1, "BTC", FRAME, BEGIN, spec.end)]
    seconds = []
    for _ in range(1 if quick else 3):
        began = time.perf_counter()
        prepared = prepare(spec)
        outcome = await Backtest(prepared.setup, prepared.source).run(walk({"BTC": candles}))
        seconds.append(time.perf_counter() - began)
    ours = count / middle(seconds)
    slow, fast = (
        count / each["seconds"] for each in ask_rivals([_case(candles, name) for name in ("backtrader", "timed")])
    )
    small, large = _memory(count // 10), _memory(count)
    combinations = grid({"short": [5.0 + each for each in range(8)], "long": [30.0 + 5 * each for each in range(8)]})
    part = replace(spec, end=BEGIN + count // 10 * FRAME.seconds)
    times = {}
    for workers in (1, 2):
        began = time.perf_counter()
        sweep(part, combinations, on_cores(workers), lambda _: None)
        times[workers] = time.perf_counter() - began
    return [
        Figure(
            name=f"averages crossing, {count:,} candles",
            value=ours,
            unit="candles/s",
            by=f"{len(outcome.book.fills)} orders",
        ),
        Figure(name="beside backtrader, in the same run", value=ours / slow, unit="times", bound=5.0, at_least=True),
        Figure(name="beside backtesting.py, which is vectorised", value=ours / fast, unit="times"),
        Figure(name=f"memory of {count:,} candles beside a tenth of them", value=large - small, unit="MiB", bound=20.0),
        Figure(
            name="a sweep of 64 on two cores beside one",
            value=times[1] / times[2],
            unit="times",
            bound=1.8,
            at_least=True,
        ),
    ]
