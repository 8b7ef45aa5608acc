"""How long callbacks hold the event loop: the clock of asyncio's debug mode, without the rest of that mode."""

from asyncio import events
from collections.abc import Iterator
from contextlib import contextmanager
import time


@contextmanager
def watched_loop() -> Iterator[list[float]]:
    """Collect how long (s) each callback took."""
    took: list[float] = []
    run = events.Handle._run  # noqa: SLF001 # where debug mode looks at its clock

    def timed(handle: events.Handle) -> None:
        start = time.perf_counter()
        run(handle)
        took.append(time.perf_counter() - start)

    events.Handle._run = timed  # type: ignore[assignment, method-assign] # noqa: SLF001
    try:
        yield took
    finally:
        events.Handle._run = run  # type: ignore[method-assign] # noqa: SLF001
