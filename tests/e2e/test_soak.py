"""A tenth of the storm: the real followers in a real Home Assistant that is killed, their books held against the account."""

import subprocess
import sys

import pytest

from harness.process import ROOT

CYCLES = 200
NOTHING = (
    "duplicate fills",
    "lost fills",
    "lost alerts",
    "without protection",
    "unexplained money",
    "secrets seen",
    "requests while banned",
)


@pytest.mark.timeout(900)
def test_books_hold_in_a_storm() -> None:
    """Two hundred cycles with everything that happens, and nothing lost, doubled, unexplained or told."""
    command = (sys.executable, "-m", "soak", "--cycles", str(CYCLES), "--seed", "7")
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    line = next(line for line in run.stdout.splitlines() if line.startswith("cycles "))
    figures = dict(part.rpartition(" ")[::2] for part in line.split(" · "))
    assert int(figures["cycles"]) == CYCLES
    assert int(figures["kills"]) >= 3
    assert int(figures["lost ledgers"]) >= 1
    assert int(figures["faults"]) >= CYCLES // 8
    assert int(figures["orders"]) >= CYCLES
    assert int(figures["alerts"]) >= CYCLES // 10
    assert {figures[name] for name in NOTHING} == {"0"}
    assert "ledger = account to the last digit" in line
