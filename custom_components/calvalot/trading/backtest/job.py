"""A backtest in a process of its own, that nobody shares an interpreter with: a spec comes in, lines of progress go out.

It is run as in apart.py. What it came to is a file, which is there as a whole or not at all; so it may be ended at any time.
"""

from collections.abc import Mapping, Sequence
import json
import os
from pathlib import Path
import signal
import sys
import time
from typing import TextIO

from ..responses import Json
from ..strategies.document import InvalidStrategy
from .errors import BacktestError
from .kept import write_whole
from .many import Wanted, shuffled, try_many
from .perform import perform
from .spec import Spec
from .sweep import on_cores

# How much less than Home Assistant it gets of a busy processor.
NICE = 10
# Seconds between two lines.
EVERY = 0.2
# How much of the work a sweep is, where there is one.
TRIED = 0.9


def main(arguments: Sequence[str], text: str, out: TextIO | None = None) -> None:
    """Run the backtest of a spec, and write its result into the file that is the argument.

    Each line is told as JSON, the last one says how it ended.
    """
    os.nice(NICE)
    before = signal.signal(signal.SIGTERM, _end)
    progress = _Progress(sys.stdout if out is None else out)
    try:
        result = _result(Spec.from_json(json.loads(text)), progress)
        write_whole(Path(arguments[0]), json.dumps(result))
    except BacktestError as err:
        progress.say({"problem": problem(f"{err}", err.key, err.placeholders)})
    except InvalidStrategy as err:
        progress.say({"problem": problem(f"{err}", f"strategy_{err.key}", err.placeholders)})
    except MemoryError:
        progress.say({"problem": problem("there is not enough memory", "backtest_memory")})
    except OSError as err:
        reason = err.strerror or type(err).__name__
        progress.say(
            {"problem": problem(f"the result cannot be written: {reason}", "backtest_disk", {"error": reason})}
        )
    else:
        progress.say({"done": True})
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(_signal: int, _frame: object) -> None:  # pragma: no cover  # in a process of its own
    """End in order: with what was started."""
    raise SystemExit(1)


def _result(spec: Spec, progress: _Progress) -> Json:
    """The result of the run, and of what is tried beside it. Raises BacktestError, InvalidStrategy."""
    wanted = Wanted.from_json(spec.many)
    share = TRIED if wanted.ranges else 0.0
    parts = 2 if wanted.steps else 1
    tried = 0

    def report(done: float, _what: str) -> None:
        nonlocal tried
        if done >= 1:
            tried += 1
            done = 0.0
        progress(min(tried + done, parts) / parts * share, 0)

    many = try_many(spec, wanted, on_cores(), report)
    result = perform(many.spec, lambda done, orders: progress(share + done * (1 - share), orders), known=many.findings)
    result |= many.told
    return result | shuffled(result, wanted.rounds)


def problem(text: str, key: str, placeholders: Mapping[str, str] | None = None) -> Json:
    """Why there is no result."""
    return {"key": key, "placeholders": dict(placeholders or {}), "text": text}


class _Progress:
    """Tells how far it is, now and then."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = self._last = time.monotonic()

    def __call__(self, done: float, orders: int) -> None:
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        left = (now - self._began) * (1 - done) / done if done else None
        self.say({"progress": round(done, 4), "orders": orders, "left": left and round(left, 1)})

    def say(self, line: Json) -> None:
        """Tell a line."""
        print(json.dumps(line), file=self._out, flush=True)
