"""No source: the owner trades by hand, and nothing else does."""

from collections.abc import Collection, Mapping
from decimal import Decimal

from ..signal import SourceKind
from .base import Moment


class ManualSource:
    """Never says anything."""

    kind = SourceKind.MANUAL
    remote = False
    jitter = False
    band: Decimal | None = None
    memory: str | None = None

    async def fetch(self, coins: Collection[str]) -> None:
        """Nothing is asked."""

    def decide(self, moment: Moment) -> None:
        """Nothing is said."""

    def current(self, moment: Moment) -> None:
        """Nothing is wanted."""

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """None: nothing is aimed at."""
        return None

    def next_due(self, moment: Moment) -> None:
        """None: any cycle will do."""
