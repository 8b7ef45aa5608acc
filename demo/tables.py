"""Plain text tables."""

from collections.abc import Iterable, Sequence


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Set rows under their columns; a column of figures is set to the right."""
    lines = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *lines, strict=True)]
    figures = [any(_is_figure(cell) for cell in column) for column in zip(*lines, strict=True)] or [False] * len(widths)

    def row(cells: Sequence[str]) -> str:
        columns = zip(cells, widths, figures, strict=True)
        return "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columns).rstrip()

    return "\n".join(["", title, row(columns), "  ".join("─" * width for width in widths), *map(row, lines)])


def _is_figure(cell: str) -> bool:
    return cell.removeprefix("-").removesuffix(" %").replace(".", "", 1).isdigit()
