"""Writes the files of a report in a process of its own: what that takes is no thread of Home Assistant's.

It is run as ``write_apart`` in files.py does: folder and span as arguments, the document on the standard input.
"""

from collections.abc import Sequence
from pathlib import Path

from .document import from_text
from .files import write
from .spans import span_of


def main(arguments: Sequence[str], text: str) -> None:
    """Write page and PDF. Raises OSError."""
    folder, name = arguments
    if span := span_of(name):
        write(Path(folder), span, from_text(text))
