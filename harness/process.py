"""Child processes that end with their parent."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import secrets
import socket
import subprocess
import sys
from typing import IO

ROOT = Path(__file__).parent.parent
# Ports below those that Linux, macOS and Windows give to connections, and how many are tried.
PORTS, ATTEMPTS = range(20_000, 32_000), 100


@contextmanager
def child(arguments: list[str], output: int | IO[bytes], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run this interpreter with ``arguments``; on leaving ask it to end, after 30 s make it.

    The child has a session of its own, so that Ctrl-C reaches the parent alone, which ends the children in order.
    """
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output == subprocess.PIPE else subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port(wanted: int = 0) -> int:
    """Return ``wanted`` where it is free on loopback, else any free port.

    One of those that systems give to no connection by themselves, and drawn: nobody else takes it before it is used.
    """
    drawn = (secrets.choice(PORTS) for _ in range(ATTEMPTS))
    for port in (wanted, *drawn) if wanted else drawn:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port on loopback")
