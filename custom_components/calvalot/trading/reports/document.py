"""A report in words: what the page and the PDF show, as it goes to the process that writes them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
import json
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a head; the first column is text, the others figures. `heat` (-1 to 1) colours cells, row by row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    heat: Sequence[Sequence[float | None]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A curve as points; its levels (y) and days (x) in words; `floor` is the y of its lowest level."""

    points: Sequence[tuple[float, float]]
    levels: Sequence[tuple[float, str]]
    days: Sequence[tuple[float, str]]
    floor: float
    height: float
    falling: bool
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, tables and curves, and what is said below."""

    title: str
    parts: Sequence[Table | Figures] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A report in words."""

    language: str
    title: str
    subtitle: str
    mode: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    foot: str


def to_text(document: Document) -> str:
    """The document as JSON."""
    return json.dumps(asdict(document))


def from_text(text: str) -> Document:
    """What `to_text` wrote."""
    known: dict[str, Any] = json.loads(text)
    sections = [
        Section(title=each["title"], parts=[_part(part) for part in each["parts"]], note=each["note"])
        for each in known["sections"]
    ]
    return Document(**known | {"sections": sections})


def _part(known: dict[str, Any]) -> Table | Figures:
    return Table(**known) if "head" in known else Figures(**known)
