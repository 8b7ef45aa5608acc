"""The benchmarks run: two of them, which count and measure no time."""

import json
import subprocess

from harness.process import ROOT


def test_bench() -> None:
    """What a cycle asks is within its bounds, in a real Home Assistant with both simulators."""
    command = [ROOT / "scripts" / "bench", "requests", "crowd", "--quick", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["broken"] == []
    assert {each["benchmark"] for each in told["figures"]} == {"requests", "crowd"}
    bounded = [each for each in told["figures"] if each["bound"] is not None]
    assert len(bounded) >= 7
    assert all(each["held"] for each in bounded)
