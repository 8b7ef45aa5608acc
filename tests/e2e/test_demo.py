"""The demo as people start it."""

import os
from pathlib import Path
import re
import signal
import socket
import subprocess
import time
from urllib.parse import urlsplit

import pytest

from demo.http import request
from demo.process import ROOT

from .conftest import PATIENCE

DEMO = ROOT / "scripts" / "demo"


@pytest.mark.parametrize("options", [[], ["--live"]], ids=["on-paper", "live"])
def test_check_agrees_with_the_simulator(options: list[str]) -> None:
    """Everything that ``--check`` compares agrees, and nothing in the log is an error."""
    done = subprocess.run([DEMO, "--check", *options], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "they agree; 0 errors in the log" in done.stdout


@pytest.mark.parametrize("options", [[], ["--empty"]], ids=["with-a-follower", "empty"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, options: list[str]) -> None:
    """No process, no folder; before that, a follower trades what its leader pushes."""
    demo = subprocess.Popen(
        [DEMO, "--port", "0", "--every", "5", *options],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert demo.stdout
    said = ""
    while "Ctrl-C" not in said:
        line = demo.stdout.readline()
        assert line, said
        said += line
    urls = set(re.findall(r"http://127\.0\.0\.1:\d+", said))
    assert ("signal secret" in said) == bool(options)
    assert len(urls) == 3
    assert all(_listens(url) for url in urls)
    assert list(tmp_path.glob("calvalot-demo-*"))
    pushed = bool(options) or _hears_a_push(re.findall(r"Leader on (\S+),", said)[0])

    os.killpg(demo.pid, signal.SIGINT)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, rest
    assert pushed
    assert not any(_listens(url) for url in urls)
    assert not list(tmp_path.glob("calvalot-demo-*"))


def _hears_a_push(leader: str) -> bool:
    """Whether a push is heard soon, and the follower asks at once what is new."""
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        state = request("GET", f"{leader}/control/state")
        heard = [push["time"] for push in state["pushes"] if push["status"] == 202]
        if any(0 <= asked["time"] - push < 2 for push in heard for asked in state["requests"]):
            return True
        time.sleep(0.2)
    return False


def _listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0
