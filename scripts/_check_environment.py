"""Fail with a word of explanation unless this environment is whole and holds exactly what the requirements files pin."""

# ruff: noqa: F401 - the imports are the check: an interpreter can come without them
import bz2
import csv
import ctypes
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
import lzma
from pathlib import Path
import sqlite3
import ssl
import sys
import venv
import zlib
import zoneinfo


def pins(requirements: Path) -> dict[str, str]:
    """Return the pinned version of each requirement."""
    lines = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
    return {name: version for name, _, version in (line.partition("==") for line in lines if line)}


def missing_file(package: Distribution) -> Path | None:
    """Return a file that was installed with the package and is gone."""
    base = Path(str(package.locate_file("")))
    rows = csv.reader((package.read_text("RECORD") or "").splitlines())
    return next((path for row in rows if row and not (path := base / row[0]).exists()), None)


def fault(requirements: list[Path]) -> str | None:
    """Return what is wrong with this environment."""
    for file in requirements:
        for name, wanted in pins(file).items():
            try:
                if (found := distribution(name).version) != wanted:
                    return f"{name} is {found} instead of {wanted}"
            except PackageNotFoundError:
                return f"{name} is not installed"
    for package in distributions():
        if path := missing_file(package):
            return f"{path} is missing"
    return None


if reason := fault([Path(argument) for argument in sys.argv[1:]]):
    sys.exit(f"setup: the environment has to be made again: {reason}")
