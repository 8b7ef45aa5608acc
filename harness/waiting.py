"""Waiting for what happens in another process."""

from collections.abc import Callable
import time

# Seconds; the machine may have something else to do.
PATIENCE = 60


def wait_for[T](look: Callable[[], T], what: str, *, patience: float = PATIENCE, pause: float = 0.1) -> T:
    """Return the first answer of ``look`` that says yes; raises TimeoutError that names ``what`` was waited for."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(pause)
    return found
