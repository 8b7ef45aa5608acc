"""The files of reports: a page and a PDF for each span and language, in a folder of the portfolio."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
import os
from pathlib import Path
import re
import subprocess
from typing import Literal

from ..apart import command, search_path
from .document import Document, to_text
from .page import page
from .spans import Span, span_of
from .words import LANGUAGES

type Kind = Literal["pdf", "html"]
KINDS: Sequence[Kind] = ("pdf", "html")
# Seconds that a report may take to be written, on the slowest machine.
TIMEOUT = 120
_NAME = re.compile(rf"calvalot-(\d{{4}}(?:-(?:\d{{2}}|Q\d))?)-({'|'.join(LANGUAGES)})\.({'|'.join(KINDS)})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A report that is there."""

    span: Span
    language: str
    created: datetime


def file_name(span: Span, language: str, kind: Kind) -> str:
    """Name of a report's file."""
    return f"calvalot-{span.name}-{language}.{kind}"


def is_file_name(name: str) -> bool:
    """Whether a report's file may have this name."""
    return _NAME.fullmatch(name) is not None


def write(folder: Path, span: Span, document: Document) -> None:
    """Write page and PDF, in the place of earlier ones. Raises OSError."""
    from .pdf import pdf  # noqa: PLC0415  # reportlab, only where somebody wants a report

    folder.mkdir(parents=True, exist_ok=True)
    files: dict[Kind, bytes] = {"html": page(document).encode(), "pdf": pdf(document)}
    for kind, content in files.items():
        path = folder / file_name(span, document.language, kind)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(content)
        unfinished.replace(path)


def write_apart(folder: Path, span: Span, document: Document) -> None:
    """The same in a process of its own, which nobody shares an interpreter with; synchronous. Raises OSError."""
    done = subprocess.run(  # noqa: S603  # this Python, on a file of ours
        command("reports.job", str(folder), span.name),
        input=to_text(document),
        env={**os.environ, **search_path()},
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise OSError(done.stderr.strip().rpartition("\n")[2])


def filed(folder: Path) -> list[Filed]:
    """The reports of a folder, the latest span first."""
    found = []
    for path in folder.glob("*.pdf"):
        named = _NAME.fullmatch(path.name)
        if named and (span := span_of(named[1])):
            created = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            found.append(Filed(span=span, language=named[2], created=created))
    return sorted(found, key=lambda each: (each.span.last, each.span.first, each.language), reverse=True)


def delete(folder: Path, span: Span, language: str) -> None:
    """Delete a report."""
    for kind in KINDS:
        (folder / file_name(span, language, kind)).unlink(missing_ok=True)


def delete_all(folder: Path) -> None:
    """Delete every report of a folder, and it where nothing else is in it."""
    for each in filed(folder):
        delete(folder, each.span, each.language)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
