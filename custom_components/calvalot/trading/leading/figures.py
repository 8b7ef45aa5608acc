"""What a follower may read of his leader: figures without any amount, signed, so that nobody is told others."""

from collections.abc import Mapping, Sequence
from datetime import datetime
import json

from ..responses import Json, iso, text
from .keys import SigningKey, to_text
from .publication import Publication
from .record import record

# What of the statistics is told: percentages, days and counts. Amounts are not among them.
RISK = ("days", "volatility", "risk_class", "best_month", "worst_month", "drawdowns")
TRADES = ("closed", "win_rate", "turnover", "holding_days", "exposure")
DIGITS = 6


def own_figures(statistics: Json) -> Json:
    """What the portfolio says of itself: nobody can check it."""
    risk, trades = statistics["risk"] or {}, statistics["trades"] or {}
    return {
        "since": statistics["since"],
        "returns": {name: each and each["time_weighted"] for name, each in statistics["periods"].items()},
        "months": statistics["months"],
        "risk": {name: risk.get(name) for name in RISK},
        "trades": {name: trades.get(name) for name in TRADES},
        "signals_executed": statistics["signals"]["executed"],
    }


def published_figures(links: Sequence[Publication]) -> Json:
    """What the chain says by itself: whoever has it can reckon it again."""
    found = record(links)
    return {
        "publications": len(links),
        "since": iso(links[0].issued) if links else None,
        "return": None if found.growth is None else text(found.growth * 100, DIGITS),
        "gaps": found.gaps,
    }


def signed_figures(
    leader: str,
    key: SigningKey,
    links: Sequence[Publication],
    statistics: Json,
    followers: Mapping[str, int | None],
    now: datetime,
) -> dict[str, str]:
    """Figures as they go over the wire: the bytes that are signed, and their signature."""
    last = links[-1] if links else None
    document = {
        "leader": leader,
        "at": iso(now),
        "sequence": last.sequence if last else 0,
        "hash": last.hash if last else None,
        "mode": last.mode if last else None,
        "own": own_figures(statistics),
        "published": published_figures(links),
        "followers": dict(followers),
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return {"signed": to_text(canonical), "signature": key.sign(canonical)}
