"""Backtests that were made, in a folder: what each was and came to, and its whole result beside that.

Every method is synchronous. A file is written beside its place and then put there: nothing is ever half there.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
import json
from pathlib import Path
import re
from typing import Any

from ..responses import Json
from .spec import Spec

# Results that are kept; the oldest ones go.
MOST = 200
_ID = re.compile(r"[0-9a-f]{16}")
# Figures that stand in the list of runs.
SHOWN = (
    "return",
    "cagr",
    "hold_return",
    "max_drawdown",
    "sharpe",
    "trades",
    "profit_factor",
    "win_rate",
    "days",
    "value",
)


class State(StrEnum):
    """How far a backtest is, or how it ended."""

    LOADING = "loading"
    RUNNING = "running"
    DONE = "done"
    ABORTED = "aborted"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self not in {State.LOADING, State.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One backtest in the list, asked for in a portfolio; times are ISO 8601 in UTC.

    `progress` is from 0 to 1, `left` the seconds that it may take yet. `problem` says why it failed: a key with its placeholders and
    the text in English.
    """

    id: str
    name: str
    portfolio: str
    spec: Json
    state: State
    started: str
    ended: str | None = None
    progress: float = 0.0
    orders: int = 0
    left: float | None = None
    problem: Json | None = None
    verdict: str | None = None
    findings: tuple[Json, ...] = ()
    figures: Mapping[str, Any] | None = None

    def to_json(self) -> Json:
        """As plain JSON; of a strategy's text nothing."""
        told: Json = json.loads(json.dumps(asdict(self)))
        for source in told["spec"]["sources"]:
            source.pop("text", None)
        return told


class Kept:
    """The folder of the backtests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def runs(self) -> list[Run]:
        """Every run, the latest first; what cannot be read is left out."""
        found = [run for path in self._folder.glob("*.run.json") if (run := self._read(path))]
        return sorted(found, key=lambda run: run.started, reverse=True)

    def run(self, run_id: str) -> Run | None:
        """One run; None where there is none."""
        return self._read(self._path(run_id, "run")) if _ID.fullmatch(run_id) else None

    def result(self, run_id: str) -> Json | None:
        """The whole result of a run; None where there is none."""
        if not _ID.fullmatch(run_id):
            return None
        try:
            found: Json = json.loads(self._path(run_id, "result").read_text(encoding="utf-8"))
        except OSError, ValueError:
            return None
        return found

    def result_path(self, run_id: str) -> Path:
        """Where the result of a run is."""
        return self._path(run_id, "result")

    def write(self, run: Run) -> None:
        """Write a run down. Raises OSError."""
        document = asdict(run)
        write_whole(self._path(run.id, "run"), json.dumps(document))

    def close(self, run: Run) -> None:
        """Write down how a run ended; without its end there is no result, and of the oldest ones nothing. Raises OSError."""
        if run.state is not State.DONE:
            self.result_path(run.id).unlink(missing_ok=True)
        self.write(run)
        for other in self.runs()[MOST:]:
            self.delete(other.id)

    def delete(self, run_id: str) -> bool:
        """Delete a run with its result; whether there was one."""
        if not _ID.fullmatch(run_id):
            return False
        there = self._path(run_id, "run").exists()
        for kind in ("run", "result"):
            self._path(run_id, kind).unlink(missing_ok=True)
        return there

    def recover(self, now: str) -> list[Run]:
        """What was cut off by the end of the process is interrupted; returns these. Raises OSError."""
        for path in self._folder.glob("*.part"):
            path.unlink(missing_ok=True)
        found = []
        for run in self.runs():
            if not run.state.is_over:
                ended = replace(run, state=State.INTERRUPTED, ended=now, left=None)
                self.write(ended)
                found.append(ended)
        return found

    # Inside

    def _path(self, run_id: str, kind: str) -> Path:
        return self._folder / f"{run_id}.{kind}.json"

    def _read(self, path: Path) -> Run | None:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            known = {name: document[name] for name in (field.name for field in fields(Run)) if name in document}
            known |= {"state": State(known["state"]), "findings": tuple(known.get("findings", ()))}
            run = Run(**known)
            Spec.from_json(run.spec)
        except OSError, ValueError, KeyError, TypeError:
            return None
        return run if path.name == f"{run.id}.run.json" else None


def begun(spec: Spec, name: str, portfolio: str, now: datetime) -> Run:
    """A run that has just been asked for."""
    started = now.astimezone(UTC).isoformat(timespec="milliseconds")
    return Run(
        id=spec.key,
        name=name or spec.name,
        portfolio=portfolio,
        spec=spec.to_json(),
        state=State.LOADING,
        started=started,
    )


def summed_up(run: Run, result: Json, now: datetime) -> Run:
    """A run that is done, with what stands in the list of its result."""
    return replace(
        run,
        state=State.DONE,
        ended=now.astimezone(UTC).isoformat(timespec="milliseconds"),
        progress=1.0,
        left=None,
        orders=len(result["orders"]),
        verdict=result["verdict"],
        findings=tuple(result["findings"]),
        figures={name: result["figures"].get(name) for name in SHOWN},
    )


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
