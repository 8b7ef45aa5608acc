"""A real Mosquitto on loopback, where the machine has one."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import resource
import shutil
import socket
import subprocess
import tempfile
import time

from .process import free_port

CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_connections -1
set_tcp_nodelay true
log_type none
"""
PATIENCE = 30.0


def found() -> Path | None:
    """Where Mosquitto is: on the machine, or where `scripts/setup --mosquitto` puts it; None where it is not."""
    cache = os.environ.get("CALVALOT_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "calvalot"
    )
    for name in ("mosquitto", "/usr/sbin/mosquitto", str(Path(cache, "mosquitto", "mosquitto"))):
        if path := shutil.which(name):
            return Path(path)
    return None


def open_files(wanted: int) -> int:
    """Let this process, and those that it starts, have so many files open, as far as the machine allows; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(soft, allowed)


@contextmanager
def mosquitto(binary: Path) -> Iterator[int]:
    """Run a broker that lets everybody on loopback read and write; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="calvalot-mosquitto-") as folder:
        file = Path(folder) / "mosquitto.conf"
        # Started by root it becomes the user mosquitto, who need not be there.
        user = "user root\n" if os.geteuid() == 0 else ""
        file.write_text(CONFIGURATION.format(port=port) + user)
        with subprocess.Popen([binary, "-c", file], stderr=subprocess.STDOUT, stdout=subprocess.DEVNULL) as process:  # noqa: S603
            try:
                _wait(port)
                yield port
            finally:
                process.terminate()


def _wait(port: int) -> None:
    """Wait until it listens. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("Mosquitto does not listen")
