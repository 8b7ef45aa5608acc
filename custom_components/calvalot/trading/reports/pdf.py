"""A report as a PDF file. Imported only when one is made: reportlab takes its time and memory."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Polygon, PolyLine, String
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, SimpleDocTemplate, Spacer, Table as Grid

from .charts import GUTTER, WIDTH
from .document import Document, Figures, Section, Table
from .styles import ACCENT, BAND, FALL, INK, LINE, QUIET, shade

MARGIN = 14 * mm
INSIDE = A4[0] - 2 * MARGIN - 12
SMALL = 7.5
# Room that a heading wants below it.
ROOM = 60
# So many rows are one table: the layout of a long one costs more than its share.
ROWS = 60


def _style(size: float, colour: str = INK, font: str = "Helvetica", **more: Any) -> ParagraphStyle:
    return ParagraphStyle("", fontName=font, fontSize=size, leading=size * 1.3, textColor=HexColor(colour), **more)


TITLE = _style(18, font="Helvetica-Bold")
SUBTITLE = _style(11, QUIET)
HEADING = _style(11, font="Helvetica-Bold", spaceBefore=12, spaceAfter=4)
LABEL = _style(8, QUIET)
FACT = _style(12)
NOTE = _style(8, QUIET)
TEXT = _style(SMALL)


def pdf(document: Document) -> bytes:
    """The file; what the standard fonts have no sign for becomes a question mark."""
    file = BytesIO()

    def foot(canvas: Any, template: Any) -> None:
        canvas.setFont("Helvetica", SMALL)
        canvas.setFillColor(HexColor(QUIET))
        canvas.drawString(MARGIN, 9 * mm, _plain(document.foot))
        canvas.drawRightString(A4[0] - MARGIN, 9 * mm, f"{template.page}")

    template = SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=16 * mm,
        title=_plain(f"{document.title} · {document.subtitle}"),
        lang=document.language,
    )
    story = [
        Paragraph(_marked(document.title), TITLE),
        Spacer(1, 3),
        Paragraph(_marked(f"{document.subtitle} · {document.mode}"), SUBTITLE),
        Spacer(1, 8),
        _facts(document.facts),
        *(part for section in document.sections for part in _section(section)),
    ]
    template.build(story, onFirstPage=foot, onLaterPages=foot)
    return file.getvalue()


def _facts(facts: Sequence[tuple[str, str]]) -> Flowable:
    cells = [[Paragraph(_marked(name), LABEL), Paragraph(_marked(value), FACT)] for name, value in facts]
    return Grid([cells[at : at + 3] for at in range(0, len(cells), 3)], colWidths=[INSIDE / 3] * 3, style=_PLAIN)


def _section(section: Section) -> Iterator[Flowable]:
    yield CondPageBreak(ROOM)
    yield Paragraph(_marked(section.title), HEADING)
    for part in section.parts:
        yield from _tables(part) if isinstance(part, Table) else _figures(part)
        yield Spacer(1, 4)
    if section.note:
        yield Paragraph(_marked(section.note), NOTE)


_PLAIN: list[tuple[Any, ...]] = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
_RULED: list[tuple[Any, ...]] = [
    ("FONT", (0, 0), (-1, -1), "Helvetica", SMALL),
    ("TEXTCOLOR", (0, 0), (-1, -1), HexColor(INK)),
    ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor(LINE)),
    ("TOPPADDING", (0, 0), (-1, -1), 2),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ("LEFTPADDING", (0, 0), (-1, -1), 3),
    ("RIGHTPADDING", (0, 0), (-1, -1), 3),
]


def _tables(table: Table) -> Iterator[Flowable]:
    """A table in pieces, the first of which has the head."""
    columns = len(table.head)
    texts = columns == 2 and not table.head[1]
    # A last column of words may need several lines.
    wide = max((len(row[-1]) for row in table.rows), default=0) > 24
    widths = [INSIDE * share for share in _widths(columns, texts=texts)]
    for at in range(0, max(len(table.rows), 1), ROWS):
        rows: list[list[Any]] = [[_plain(cell) for cell in row] for row in table.rows[at : at + ROWS]]
        if wide:
            rows = [[*row[:-1], Paragraph(_marked(row[-1]), TEXT if texts else _RIGHT)] for row in rows]
        style = list(_RULED)
        if at == 0:
            rows.insert(0, [_plain(cell) for cell in table.head])
            style += [("TEXTCOLOR", (0, 0), (-1, 0), HexColor(QUIET)), ("BACKGROUND", (0, 0), (-1, 0), HexColor(BAND))]
        if texts:
            style.append(("ALIGN", (0, 0), (-1, -1), "LEFT"))
        for number, line in enumerate(table.heat[at : at + ROWS], 0 if at else 1):
            style += [
                ("BACKGROUND", (column, number), (column, number), HexColor(shade(warmth)))
                for column, warmth in enumerate(line)
                if warmth is not None
            ]
        yield Grid(rows, colWidths=widths, style=style, repeatRows=1 if at == 0 else 0)


_RIGHT = _style(SMALL, alignment=TA_RIGHT)


def _widths(columns: int, *, texts: bool) -> list[float]:
    """Shares of the width: the first column is the widest where there are few."""
    if texts:
        return [0.22, 0.78]
    first = {2: 0.6, 13: 0.07}.get(columns, 1.4 / (columns + 0.4))
    return [first, *[(1 - first) / (columns - 1)] * (columns - 1)]


def _figures(figures: Figures) -> Iterator[Flowable]:
    scale = INSIDE / WIDTH
    colour = HexColor(FALL if figures.falling else ACCENT)
    drawing = Drawing(INSIDE, figures.height * scale)
    drawing.scale(scale, scale)

    def y(value: float) -> float:
        return figures.height - value

    def label(x: float, at: float, text: str, anchor: str) -> None:
        drawing.add(
            String(x, at, _plain(text), fontName="Helvetica", fontSize=7, fillColor=HexColor(QUIET), textAnchor=anchor)
        )

    for at, level in figures.levels:
        drawing.add(Line(0, y(at), WIDTH - GUTTER, y(at), strokeColor=HexColor(LINE), strokeWidth=0.5))
        label(WIDTH, y(at) - 2.5, level, "end")
    for number, (at, day) in enumerate(figures.days):
        label(at, 2, day, "start" if number == 0 else "end" if number == len(figures.days) - 1 else "middle")
    line = [each for x, at in figures.points for each in (x, y(at))]
    floor = y(figures.floor)
    tint = Color(colour.red, colour.green, colour.blue, 0.12)
    drawing.add(
        Polygon([*line, figures.points[-1][0], floor, figures.points[0][0], floor], fillColor=tint, strokeColor=None)
    )
    drawing.add(PolyLine(line, strokeColor=colour, strokeWidth=1.2))
    yield Paragraph(_marked(figures.label), LABEL)
    yield drawing


def _plain(text: str) -> str:
    """What the standard fonts can write (WinAnsi)."""
    return text.encode("cp1252", "replace").decode("cp1252")


def _marked(text: str) -> str:
    """The same as a paragraph reads it."""
    return escape(_plain(text))
