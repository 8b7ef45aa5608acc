"""What an account's history says of what came and left without an order through the API."""

from dataclasses import dataclass, field

type Row = dict[str, object]


@dataclass(slots=True)
class History:
    """Rows of one account by what they are, each with the time (ms) by which it is asked for."""

    rows: dict[str, list[tuple[int, Row]]] = field(default_factory=dict)

    def add(self, kind: str, time: int, row: Row) -> None:
        """Write one down."""
        self.rows.setdefault(kind, []).append((time, row))

    def between(self, kind: str, start: int, end: int) -> list[Row]:
        """Those of a span of time, newest first."""
        return [row for time, row in reversed(self.rows.get(kind, [])) if start <= time <= end]
