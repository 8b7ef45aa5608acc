"""Measure how fast and how light the portfolio is, each figure beside its bound."""

import argparse
import asyncio
from dataclasses import asdict
from importlib import import_module
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from homeassistant.runner import create_event_loop

from .figure import Figure

ROOT = Path(__file__).parent.parent
NAMES = (
    "orders",
    "requests",
    "loop",
    "start",
    "memory",
    "ledger",
    "scale",
    "recorder",
    "push",
    "leading",
    "broker",
    "strategies",
    "alerts",
    "crowd",
    "report",
    "market",
    "questions",
    "backtest",
)
TIMEOUT = 900


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help=f"which: {', '.join(NAMES)} (all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and a smaller ledger: two minutes")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well, - for the standard output")
    parser.add_argument("--inside", metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args()


def _inside(name: str, quick: bool, target: str) -> None:
    """Run one benchmark in this process, which has nothing of the others in its memory."""
    benchmark = import_module(f".{name}", __package__)
    loop = create_event_loop()
    asyncio.set_event_loop(loop)
    figures: list[Figure] = loop.run_until_complete(benchmark.measure(quick=quick))
    Path(target).write_text(json.dumps([asdict(figure) for figure in figures]))
    sys.stdout.flush()
    os._exit(0)  # what Home Assistant's threads still do is of no interest any more


def _run(name: str, quick: bool) -> list[Figure] | None:
    """Run one benchmark in a process of its own; None where it broke."""
    with tempfile.TemporaryDirectory(prefix="calvalot-bench-") as folder:
        target = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "benchmarks", name, "--inside", str(target), *(["--quick"] if quick else [])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if not target.exists():
            print(done.stdout[-4000:], done.stderr[-8000:], sep="\n", file=sys.stderr)
            return None
        return [Figure(**figure) for figure in json.loads(target.read_text())]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def _line(figure: Figure) -> str:
    bound = "" if figure.bound is None else f"{'≥' if figure.at_least else '≤'} {_number(figure.bound)}"
    verdict = "" if figure.bound is None else "ok" if figure.held else "MISSED"
    margin = "" if figure.margin is None else f"{figure.margin:+.0%}"
    return f"  {figure.name:<58} {_number(figure.value):>9} {figure.unit:<10} {bound:>9} {margin:>6} {verdict}"


def main() -> int:
    """Run what was asked for; 1 where a bound was missed or a benchmark broke."""
    arguments = _arguments()
    if arguments.inside:
        _inside(arguments.names[0], arguments.quick, arguments.inside)
    found: dict[str, list[Figure]] = {}
    broken = []
    out = sys.stderr if arguments.json == "-" else sys.stdout
    for name in arguments.names or NAMES:
        start = time.monotonic()
        figures = _run(name, arguments.quick)
        print(f"{name}  ({time.monotonic() - start:.0f} s)", file=out)
        if figures is None:
            broken.append(name)
            print("  BROKEN", file=out)
            continue
        found[name] = figures
        for figure in figures:
            print(_line(figure), file=out, flush=True)
    if arguments.json:
        told = [
            {"benchmark": name, **asdict(figure), "held": figure.held}
            for name, each in found.items()
            for figure in each
        ]
        text = json.dumps({"figures": told, "broken": broken}, indent=2, ensure_ascii=False)
        if arguments.json == "-":
            print(text)
        else:
            Path(arguments.json).write_text(f"{text}\n")
    held = all(figure.held for each in found.values() for figure in each)
    return 0 if held and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
