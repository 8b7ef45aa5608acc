"""Runs a strategy in Python, in a process of its own: what it may use is limited before a line of it is run.

The limits catch mistakes, not malice: a strategy in Python may do whatever Home Assistant may.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import json
import os
import resource
import signal
import traceback
from typing import Any

from ..market.candles import Candle

# What the text of an error is cut off at.
LONGEST_ERROR = 300
FILE = "<strategy>"

type Json = dict[str, Any]
type SetLimit = Callable[[int, tuple[int, int]], object]


def confine(
    seconds: int,
    size: int,
    set_limit: SetLimit = resource.setrlimit,
    alarm: Callable[[int], object] = signal.alarm,
) -> None:
    """Bound this process: seconds on the clock and of processor time, bytes of memory, and nothing written into files."""
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, size),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        set_limit(kind, (most, most))
    # Where nobody is left who would end it.
    alarm(seconds + 1)


def main(_arguments: Sequence[str], text: str) -> None:  # pragma: no cover  # in a process of its own
    """Answer a request with a line for each decision on the standard output; what the strategy prints goes nowhere."""
    request: Json = json.loads(text)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        confine(request["seconds"], request["bytes"])
        for answer in decisions(request):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def decisions(request: Mapping[str, Any]) -> Iterator[Json]:
    """What a strategy decides, step by step: `shares` or None each, and an `error` with its line as the last one."""
    candles = {coin: [Candle(*figures) for figures in rows] for coin, rows in request["candles"].items()}
    position: dict[str, float] = dict(request["position"])
    try:
        names: dict[str, Any] = {"__name__": "strategy", "Candle": Candle}
        exec(compile(request["text"], FILE, "exec"), names)  # noqa: S102  # that is what its owner has allowed
        made = names[request["class_name"]]
        for ends in request["steps"]:
            strategy = made()
            strategy.parameters = dict(request["parameters"])
            shown = {coin: rows[ends[coin] - request["count"] : ends[coin]] for coin, rows in candles.items()}
            answer = strategy.decide(shown, dict(position))
            shares = _shares(answer, position)
            position |= shares or {}
            yield {"shares": shares}
    except MemoryError as err:
        yield {"error": "memory", "text": "", "line": _line(err)}
    except _BadResult as err:
        yield {"error": "result", "text": str(err), "line": 0}
    except BaseException as err:  # noqa: BLE001  # whatever it raises is its own problem, an exit included
        text = f"{type(err).__name__}: {err}" if str(err) else type(err).__name__
        yield {"error": "failed", "text": " ".join(text.split())[:LONGEST_ERROR], "line": _line(err)}


# Inside


class _BadResult(Exception):
    """What `decide` returned cannot be used."""


def _shares(answer: Any, position: Mapping[str, float]) -> dict[str, float] | None:
    """Shares (%) by coin as it returned them. Raises _BadResult."""
    if answer is None:
        return None
    if not isinstance(answer, Mapping):
        raise _BadResult(type(answer).__name__)
    found: dict[str, float] = {}
    for coin, share in answer.items():
        if coin not in position:
            raise _BadResult(repr(coin)[:60])
        # Also the numbers of other libraries.
        try:
            found[coin] = float(share)
        except TypeError, ValueError:
            raise _BadResult(f"{coin}: {type(share).__name__}") from None
        if isinstance(share, bool | str) or not 0 <= found[coin] <= 100:
            raise _BadResult(f"{coin}: {share!r}"[:60])
    if (whole := sum({**position, **found}.values())) > 100 + 1e-6:
        raise _BadResult(f"{whole:.6g} %")
    return found


def _line(err: BaseException) -> int:
    """Line of the strategy that an error came from; 0 where none did."""
    rows = traceback.extract_tb(err.__traceback__)
    return next((row.lineno or 0 for row in reversed(rows) if row.filename == FILE), 0)
