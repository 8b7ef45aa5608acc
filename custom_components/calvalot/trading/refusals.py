"""How long an order waits that the exchange has refused: twice as long each time, up to an hour."""

from collections.abc import Sequence
from datetime import datetime, timedelta

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=1)


def again_at(refused: Sequence[datetime]) -> datetime | None:
    """When an order may be sent again that was refused at these times, oldest first; None where it never was."""
    if not refused:
        return None
    return refused[-1] + min(FIRST_RETRY * (1 << min(len(refused) - 1, 10)), LONGEST_RETRY)
