"""A report as one page of HTML that prints well: nothing is loaded, nothing is run."""

from collections.abc import Iterator
from html import escape

from .charts import GUTTER, WIDTH
from .document import Document, Figures, Section, Table
from .styles import ACCENT, FALL, LINE, SHEET, shade


def page(document: Document) -> str:
    """The page; whatever is not a word of ours is escaped."""
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in document.facts)
    body = "".join("".join(_section(section)) for section in document.sections)
    return (
        f'<!doctype html><html lang="{document.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(document.title)} · {escape(document.subtitle)}</title><style>{SHEET}</style></head><body>"
        f"<header><h1>{escape(document.title)}</h1><p>{escape(document.subtitle)}</p>"
        f'<p class="mode">{escape(document.mode)}</p></header>'
        f"<dl>{facts}</dl>{body}<footer>{escape(document.foot)}</footer></body></html>"
    )


def _section(section: Section) -> Iterator[str]:
    yield f"<section><h2>{escape(section.title)}</h2>"
    for part in section.parts:
        yield from _table(part) if isinstance(part, Table) else _figures(part)
    if section.note:
        yield f'<p class="note">{escape(section.note)}</p>'
    yield "</section>"


def _table(table: Table) -> Iterator[str]:
    texts = ' class="texts"' if len(table.head) == 2 and not table.head[1] else ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    yield f'<div class="wide"><table{texts}><thead><tr>{head}</tr></thead><tbody>'
    for number, row in enumerate(table.rows):
        heat = table.heat[number] if table.heat else (None,) * len(row)
        cells = zip(row, heat, strict=True)
        yield "<tr>"
        for cell, warmth in cells:
            colour = "" if warmth is None else f' style="background:{shade(warmth)}"'
            yield f"<td{colour}>{escape(cell)}</td>"
        yield "</tr>"
    yield "</tbody></table></div>"


def _figures(figures: Figures) -> Iterator[str]:
    right = WIDTH - GUTTER
    colour = FALL if figures.falling else ACCENT
    path = "L".join(f"{x:g} {y:g}" for x, y in figures.points)
    yield f"<h3>{escape(figures.label)}</h3>"
    yield f'<svg viewBox="0 0 {WIDTH:g} {figures.height:g}" role="img" aria-label="{escape(figures.label)}">'
    for y, level in figures.levels:
        yield f'<path d="M0 {y:g}H{right:g}" stroke="{LINE}"/>'
        yield f'<text x="{WIDTH:g}" y="{y + 3:g}" text-anchor="end">{escape(level)}</text>'
    for number, (x, day) in enumerate(figures.days):
        anchor = "start" if number == 0 else "end" if number == len(figures.days) - 1 else "middle"
        yield f'<text x="{x:g}" y="{figures.height - 2:g}" text-anchor="{anchor}">{escape(day)}</text>'
    first, last = figures.points[0][0], figures.points[-1][0]
    yield f'<path d="M{path}L{last:g} {figures.floor:g}L{first:g} {figures.floor:g}Z" fill="{colour}" opacity=".12"/>'
    yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.4" stroke-linejoin="round"/></svg>'
