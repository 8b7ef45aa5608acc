"""How a follower has been lately: how long its cycles took and what went wrong in them. No amount, no secret."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

KEPT = 20


@dataclass(frozen=True, slots=True)
class CycleTiming:
    """When a cycle began (UTC) and how long it took, in seconds."""

    started: datetime
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong in a row of cycles: the error's class, the exchange's code (0 without one), first and last time."""

    kind: str
    code: int
    first: datetime
    last: datetime
    cycles: int = 1


class Health:
    """The last cycles and the last troubles, oldest first."""

    def __init__(self) -> None:
        self.cycles: deque[CycleTiming] = deque(maxlen=KEPT)
        self.troubles: deque[Trouble] = deque(maxlen=KEPT)

    def note(self, cycle: CycleTiming, problems: Iterable[Exception | None]) -> None:
        """Take note of a cycle; what was wrong in the one before it already goes on."""
        before = self.cycles[-1].started if self.cycles else None
        for problem in filter(None, problems):
            trouble = Trouble(
                kind=type(problem).__name__,
                code=getattr(problem, "code", 0),
                first=cycle.started,
                last=cycle.started,
            )
            for number, known in enumerate(self.troubles):
                if (known.kind, known.code, known.last) == (trouble.kind, trouble.code, before):
                    self.troubles[number] = replace(known, last=cycle.started, cycles=known.cycles + 1)
                    break
            else:
                self.troubles.append(trouble)
        self.cycles.append(cycle)
