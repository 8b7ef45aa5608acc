"""A Python process of its own for what has to share neither thread nor memory with Home Assistant."""

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import sys


def command(module: str, *arguments: str) -> Sequence[str]:
    """What runs `main(arguments, text)` of a module of this package, such as `reports.job`, with the standard input as text."""
    run = f"import sys; from {Path(__file__).parent.name}.{module} import main; main(sys.argv[1:], sys.stdin.read())"
    return [sys.executable, "-P", "-c", run, *arguments]


def search_path() -> Mapping[str, str]:
    """The variables by which such a process finds what can be imported here.

    The package comes last: no module beside it hides one of Python's own.
    """
    return {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[1])]), "PYTHONUTF8": "1"}
