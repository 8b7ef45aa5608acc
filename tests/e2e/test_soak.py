"""A short storm: the real follower in a real Home Assistant that is killed, its books held against the account."""

import subprocess
import sys

import pytest

from demo.process import ROOT


@pytest.mark.timeout(300)
def test_books_hold_in_a_storm() -> None:
    """Sixty cycles with faults and kills, and nothing lost, doubled, unexplained or told."""
    command = (sys.executable, "-m", "soak", "--cycles", "60", "--seed", "7")
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    line = next(line for line in run.stdout.splitlines() if line.startswith("cycles "))
    figures = dict(part.rpartition(" ")[::2] for part in line.split(" · "))
    assert int(figures["cycles"]) == 60
    assert int(figures["kills"]) >= 3
    assert int(figures["faults"]) >= 6
    assert int(figures["orders"]) >= 60
    nothing = ("duplicate fills", "lost fills", "unexplained money", "secrets seen")
    assert {figures[name] for name in nothing} == {"0"}
    assert "ledger = account to the last digit" in line
