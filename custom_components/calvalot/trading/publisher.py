"""Publishes snapshots, each with the events that led to it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from .events import Event, EventQueue
from .exchanges.base import Mode
from .inputs import Inputs
from .snapshot import Snapshot, Status
from .snapshots import SnapshotBuilder


class Publisher:
    """What a portfolio shows; `snapshot` is the last one, `last_valued` the last one that has a value."""

    def __init__(
        self,
        mode: Mode,
        builder: SnapshotBuilder,
        events: EventQueue,
        publish: Callable[[Snapshot, tuple[Event, ...]], None],
    ) -> None:
        self._builder = builder
        self._events = events
        self._publish = publish
        self.snapshot = Snapshot(mode=mode, status=Status.ACTIVE)
        self.last_valued: Snapshot | None = None

    async def prepare(self) -> None:
        """Have a first snapshot before anything was fetched. Raises LedgerError."""
        self.snapshot = await self._builder.build(None)
        self.last_valued = await self._builder.last_known(self.snapshot)

    async def publish(self, inputs: Inputs | None) -> None:
        """Publish a snapshot of this moment. Raises LedgerError."""
        self.send(await self._builder.build(inputs))

    def at(self, prices: Mapping[str, Decimal]) -> Snapshot:
        """The last snapshot at other prices (quote per base, by symbol)."""
        return self._builder.revalued(self.snapshot, prices)

    def change(self, **figures: Any) -> None:
        """Publish the last snapshot with some of it changed."""
        self.send(replace(self.snapshot, **figures))

    def send(self, snapshot: Snapshot) -> None:
        """Publish a snapshot."""
        self.snapshot = snapshot
        if snapshot.total_value is not None:
            self.last_valued = snapshot
        self._publish(snapshot, self._events.take())
