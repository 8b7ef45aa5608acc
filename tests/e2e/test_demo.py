"""The demo as people start it."""

from contextlib import suppress
import os
from pathlib import Path
import re
import signal
import socket
import subprocess
from typing import IO
from urllib.parse import urlsplit

import pytest

from harness.home import OWNER, Home
from harness.http import ApiError, request
from harness.process import ROOT
from harness.waiting import wait_for

DEMO = ROOT / "scripts" / "demo"


@pytest.mark.parametrize("options", [[], ["--live"]], ids=["on-paper", "live"])
def test_check_agrees_with_the_simulator(options: list[str]) -> None:
    """Everything that ``--check`` compares agrees, and nothing in the log is an error."""
    done = subprocess.run([DEMO, "--check", *options], capture_output=True, text=True, timeout=600, check=False)
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
    said = _read_until(demo.stdout, "Ctrl-C")
    said += _read_until(demo.stdout, "API secret") if "API secret" not in said else ""
    urls = set(re.findall(r"http://127\.0\.0\.1:\d+", said))
    assert "signal secret" in said
    assert "API secret" in said
    assert len(urls) == 3
    assert all(_listens(url) for url in urls)
    assert list(tmp_path.glob("calvalot-demo-*"))
    try:
        if not options:
            (leader,) = re.findall(r"Leader on (\S+),", said)
            wait_for(lambda: _hears_a_push(leader), "a push")
    finally:
        os.killpg(demo.pid, signal.SIGINT)
    rest, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, rest
    assert not any(_listens(url) for url in urls)
    assert not list(tmp_path.glob("calvalot-demo-*"))


def test_a_restart_is_survived(tmp_path: Path) -> None:
    """Home Assistant comes back after it was asked to restart, with its portfolio; the terminal speaks French and says so."""
    demo = subprocess.Popen(
        [DEMO, "--port", "0", "--no-history", "--language", "fr"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert demo.stdout
    said = _read_until(demo.stdout, "Ctrl-C")
    assert "Ajout du portefeuille" in said
    home = Home(next(tmp_path.glob("calvalot-demo-*")), urlsplit(re.findall(r"(http\S+)\s+ouvre", said)[0]).port or 0)
    _log_in(home)
    with pytest.raises(ApiError):  # more than there is: its owner's mistake is no error of the demo
        home.commands(
            {"type": "call_service", "domain": "calvalot", "service": "withdraw", "service_data": {"amount": 5000}}
        )
    with suppress(ApiError, OSError):
        home.action("homeassistant.restart")
    _read_until(demo.stdout, "a redémarré")
    assert [entry["state"] for entry in home.get("config/config_entries/entry?domain=calvalot")] == ["loaded"]
    os.killpg(demo.pid, signal.SIGINT)
    rest, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, rest
    assert "Errors in the log" not in rest
    assert "Tout est arrêté." in rest


def _log_in(home: Home) -> None:
    """Log in as the demo's owner, with the password that the terminal shows."""
    client = home.client_id
    opening = {"client_id": client, "handler": ["homeassistant", None], "redirect_uri": client}
    flow = request("POST", f"{home.url}/auth/login_flow", opening)
    answer = {"client_id": client, "username": OWNER["username"], "password": OWNER["password"]}
    home.authorize(request("POST", f"{home.url}/auth/login_flow/{flow['flow_id']}", answer)["result"])


def _read_until(stream: IO[str], words: str) -> str:
    """What the demo says up to a line with these words."""
    said = ""
    while words not in said:
        line = stream.readline()
        assert line, said
        said += line
    return said


def _hears_a_push(leader: str) -> bool:
    """Whether a push was heard, and the follower asked at once what is new."""
    state = request("GET", f"{leader}/control/state")
    heard = [push["time"] for push in state["pushes"] if push["status"] == 202]
    return any(0 <= asked["time"] - push < 2 for push in heard for asked in state["requests"])


def _listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0
