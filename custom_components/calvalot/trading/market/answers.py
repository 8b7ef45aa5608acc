"""Answers about candles as plain JSON: measurements are numbers, times ISO 8601 in UTC."""

from datetime import UTC, datetime

from ..responses import Json, iso
from .backfill import Backfill
from .history import History


def candles(history: History, fill: Backfill | None) -> Json:
    """Closed candles as get_candles tells them, oldest first: measurements, as numbers; how far the store is filled, where asked."""
    rows = [
        {"time": iso(datetime.fromtimestamp(each.opened, UTC))}
        | {name: getattr(each, name) for name in ("open", "high", "low", "close", "volume")}
        for each in history.candles
    ]
    return {"candles": rows, "missing": history.missing, **({"backfill": _backfill(fill)} if fill else {})}


def _backfill(fill: Backfill) -> Json:
    return {
        "since": iso(datetime.fromtimestamp(fill.since, UTC)),
        "done": fill.done,
        "wanted": fill.wanted,
        "running": fill.running,
        "problem": fill.problem and str(fill.problem),
    }
