"""Has a strategy in Python decide in a process of its own, which is ended when its time is over; synchronous."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
import json
from math import cos, sin
import os
import signal
import subprocess
from threading import Timer
from time import monotonic
from typing import Any

from ..apart import command, search_path
from ..market.candles import Candle, TimeFrame
from .document import InvalidStrategy
from .script import Script

# Seconds that it may take, and bytes that it may use, with what it imports.
SECONDS = 10
SIZE = 512 * 1024 * 1024
# When made-up candles begin (Unix seconds): the first day of 2024.
FIRST = 1_704_067_200
# Bytes of an answer to one candle.
LONGEST = 64 * 1024

type Shares = Mapping[str, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be decided: after the candle at each of the `steps` (how many candles of each coin are known by then)."""

    script: Script
    candles: Mapping[str, Sequence[Candle]]
    steps: Sequence[Mapping[str, int]]
    position: Mapping[str, float]
    parameters: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was decided (shares in % by coin, None: as before), in order, and why it ended before its end."""

    shares: Sequence[Shares]
    problem: InvalidStrategy | None = None
    is_late: bool = False


def tried(
    script: Script, coins: Sequence[str], frame: TimeFrame, parameters: Mapping[str, float]
) -> InvalidStrategy | None:
    """Why a script cannot decide; None where it can, on made-up candles, with nothing held and with everything."""
    rows = [_made_up(number, frame) for number in range(script.count)]
    for share in (0.0, 100 / len(coins)):
        request = Request(
            script=script,
            candles=dict.fromkeys(coins, rows),
            steps=[dict.fromkeys(coins, script.count)],
            position=dict.fromkeys(coins, share),
            parameters=parameters,
        )
        if problem := run(request).problem:
            return problem
    return None


def run(request: Request, seconds: float = SECONDS, size: int = SIZE) -> Answer:
    """Run a strategy; whatever it does or does not do, it is over after so many seconds."""
    script = request.script
    text = json.dumps(
        {
            "seconds": max(round(seconds), 1),
            "bytes": size,
            "text": script.text,
            "class_name": script.class_name,
            "count": script.count,
            "candles": {coin: [_figures(each) for each in rows] for coin, rows in request.candles.items()},
            "steps": request.steps,
            "position": dict(request.position),
            "parameters": dict(request.parameters),
        }
    )
    process = subprocess.Popen(  # noqa: S603  # this Python, on a file of ours
        command("strategies.script_job"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        cwd=os.sep,
        encoding="utf-8",
        start_new_session=True,
    )
    until = monotonic() + seconds
    with process:
        over = Timer(seconds, _end, [process])
        over.start()
        try:
            shares, problem = _heard(process, text, len(request.steps))
        finally:
            over.cancel()
            over.join()
            _end(process)
    if problem and problem.key == "python_ended" and monotonic() >= until:
        return Answer(shares, InvalidStrategy("python_time", seconds=f"{seconds:.0f}"), is_late=True)
    return Answer(shares, problem)


# Inside


def _heard(process: subprocess.Popen[str], text: str, count: int) -> tuple[list[Shares], InvalidStrategy | None]:
    """Give it the request, and read its answers."""
    assert process.stdin  # noqa: S101  # they are pipes
    assert process.stdout  # noqa: S101
    # One that has ended already says so by having no answer.
    with suppress(BrokenPipeError):
        process.stdin.write(text)
        process.stdin.close()
    shares: list[Shares] = []
    for _ in range(count):
        try:
            answer: dict[str, Any] = json.loads(process.stdout.readline(LONGEST))
        except ValueError:
            return shares, InvalidStrategy("python_ended")
        if "error" in answer:
            return shares, _problem(answer)
        shares.append(answer["shares"])
    return shares, None


def _problem(answer: Mapping[str, Any]) -> InvalidStrategy:
    line: int = answer["line"]
    match answer["error"]:
        case "memory":
            return InvalidStrategy("python_memory", line, size=f"{SIZE // 1024 // 1024}")
        case "result":
            return InvalidStrategy("python_result", error=answer["text"])
        case _:
            return InvalidStrategy("python_failed", line, error=answer["text"])


def _environment() -> Mapping[str, str]:
    """What it finds in its environment: nothing of Home Assistant's, which may hold secrets, and one processor."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH") if name in os.environ}
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **alone, **search_path()}


def _made_up(number: int, frame: TimeFrame) -> Candle:
    """A candle of a price that goes up and down around 100."""
    price, change = 100 + 10 * sin(number / 7), cos(number / 3)
    opened = FIRST + number * frame.seconds
    return Candle(opened, price, price + 2, price - 2, price + change, 1000 + 100 * change)


def _figures(candle: Candle) -> tuple[float, ...]:
    return (candle.opened, candle.open, candle.high, candle.low, candle.close, candle.volume)


def _end(process: subprocess.Popen[str]) -> None:
    """End it, with what it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
