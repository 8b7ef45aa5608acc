"""What happened to a portfolio beside its trades: alerts, pauses. Kept as facts of its ledger, for good."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
import json

from .ledger.ledger import Ledger
from .responses import Json

# Beginning of the names of the facts; a time in UTC follows.
LOG = "log:"
PAUSED = "paused"
RESUMED = "resumed"


def logged(at: datetime, happened: Sequence[Json]) -> Mapping[str, str]:
    """What happened at a time, as it is remembered; nothing of nothing."""
    return {f"{LOG}{at.isoformat()}": json.dumps(happened)} if happened else {}


def happened_in(ledger: Ledger, first: date, last: date) -> list[tuple[datetime, Json]]:
    """What happened from one day (UTC) to another, oldest first; `type` names it. Raises LedgerError."""
    found = [
        (at, each)
        for name, text in ledger.facts_from(LOG).items()
        for at in (datetime.fromisoformat(name.removeprefix(LOG)),)
        if first <= at.date() <= last
        for each in json.loads(text)
    ]
    return sorted(found, key=lambda each: each[0])
