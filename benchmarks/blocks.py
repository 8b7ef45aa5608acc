"""How long callbacks hold the event loop: the clock of asyncio's debug mode, without the rest of that mode."""

from asyncio import events
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import gc
import resource
import sys
import time


@dataclass(frozen=True, slots=True)
class Blocks:
    """Seconds that each callback held the loop, and that each run of the garbage collector took.

    The collector walks through everything that Home Assistant holds, whenever it likes: its runs are not counted to the
    callback that they happen to interrupt. Nor is what other programs did meanwhile: where the kernel took the processor
    away, a callback counts with the processor time of its thread.
    """

    callbacks: list[float] = field(default_factory=list)
    collections: list[float] = field(default_factory=list)


@contextmanager
def watched_loop() -> Iterator[Blocks]:
    """Watch the callbacks of this thread's loop."""
    blocks = Blocks()
    run = events.Handle._run  # noqa: SLF001 # where debug mode looks at its clock
    began = 0.0

    def collecting(phase: str, _info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        else:
            blocks.collections.append(time.thread_time() - began)

    def timed(handle: events.Handle) -> None:
        collected = len(blocks.collections)
        interrupted, start, used = _interruptions(), time.perf_counter(), time.thread_time()
        run(handle)
        used, took = time.thread_time() - used, time.perf_counter() - start
        if _interruptions() != interrupted:
            took = used
        blocks.callbacks.append(took - sum(blocks.collections[collected:]))

    events.Handle._run = timed  # type: ignore[assignment, method-assign] # noqa: SLF001
    gc.callbacks.append(collecting)
    try:
        yield blocks
    finally:
        gc.callbacks.remove(collecting)
        events.Handle._run = run  # type: ignore[method-assign] # noqa: SLF001


def _interruptions() -> int:
    """How often the kernel took the processor away from this thread; 0 where it does not say."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw if sys.platform == "linux" else 0
