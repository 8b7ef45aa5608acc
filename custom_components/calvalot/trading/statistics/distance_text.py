"""The distance to the source as JSON, for the ledger: how it stands, and the end of each day."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
import json
from typing import Any

from ..attribution import decimals, texts, valued_json, valued_of
from .distance import Distance, Outcomes, Part, Point, Wanted

# The fact that holds the distance, and the beginning of the names of those that hold the ends of days.
DISTANCE = "distance"
DAYS = "distance:"
_FIGURES = ("fees", "own", "record", "at_signal")


def to_facts(distance: Distance) -> dict[str, str]:
    """What is remembered of it: how it stands, and its day."""
    wanted = distance.wanted
    known: dict[str, Any] = {
        "since": distance.since.isoformat(),
        "at": distance.at.isoformat(),
        "last": valued_json(distance.last),
        **{name: f"{getattr(distance, name):f}" for name in _FIGURES},
        "wanted": {
            "name": wanted.name,
            "shares": None if wanted.shares is None else texts(wanted.shares),
            "published": wanted.published and wanted.published.isoformat(),
            "confidence": None if wanted.confidence is None else f"{wanted.confidence:f}",
        },
        "shares": texts(distance.shares),
        "reasons": dict(distance.reasons),
        "sums": texts(distance.sums),
        "outcomes": {fifth: [each.signals, each.won, f"{each.total:f}"] for fifth, each in distance.outcomes.items()},
    }
    point = {"own": f"{distance.own:f}", "record": f"{distance.record:f}", "sums": texts(distance.sums)}
    return {DISTANCE: json.dumps(known), f"{DAYS}{distance.at.date()}": json.dumps(point)}


def from_text(text: str) -> Distance:
    """The distance that was remembered."""
    known: dict[str, Any] = json.loads(text)
    wanted, figures = known["wanted"], {name: Decimal(known[name]) for name in _FIGURES}
    return Distance(
        since=datetime.fromisoformat(known["since"]),
        at=datetime.fromisoformat(known["at"]),
        last=valued_of(known["last"]),
        **figures,
        wanted=Wanted(
            name=wanted["name"],
            shares=None if wanted["shares"] is None else decimals(wanted["shares"]),
            published=wanted["published"] and datetime.fromisoformat(wanted["published"]),
            confidence=None if wanted["confidence"] is None else Decimal(wanted["confidence"]),
        ),
        shares=decimals(known["shares"]),
        reasons={coin: Part(part) for coin, part in known["reasons"].items()},
        sums={Part(part): amount for part, amount in decimals(known["sums"]).items()},
        outcomes={
            int(fifth): Outcomes(signals=signals, won=won, total=Decimal(total))
            for fifth, (signals, won, total) in known["outcomes"].items()
        },
    )


def scaled(text: str, factor: Decimal) -> str:
    """The same where the unit price was found to have been another one all along, by a factor."""
    distance = from_text(text)
    last = replace(distance.last, unit_price=distance.last.unit_price * factor)
    return to_facts(replace(distance, last=last))[DISTANCE]


def days_of(facts: dict[str, str]) -> dict[date, Point]:
    """The ends of days, from their facts."""
    points = {}
    for name, text in facts.items():
        known = json.loads(text)
        points[date.fromisoformat(name.removeprefix(DAYS))] = Point(
            own=Decimal(known["own"]),
            record=Decimal(known["record"]),
            sums={Part(part): amount for part, amount in decimals(known["sums"]).items()},
        )
    return dict(sorted(points.items()))
