"""Publishes snapshots, each with the events that led to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .events import Event, EventQueue
from .exchanges.base import Mode
from .inputs import Inputs
from .snapshot import Snapshot, Status
from .snapshots import SnapshotBuilder


class Publisher:
    """What a portfolio shows; `snapshot` is the last one."""

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

    async def prepare(self) -> None:
        """Have a first snapshot before anything was fetched. Raises LedgerError."""
        self.snapshot = await self._builder.build(None)

    async def build(self, inputs: Inputs | None) -> Snapshot:
        """A snapshot of this moment, not published yet. Raises LedgerError."""
        return await self._builder.build(inputs)

    async def publish(self, inputs: Inputs | None) -> None:
        """Publish a snapshot of this moment. Raises LedgerError."""
        self.send(await self._builder.build(inputs))

    def change(self, **figures: Any) -> None:
        """Publish the last snapshot with some of it changed."""
        self.send(replace(self.snapshot, **figures))

    def send(self, snapshot: Snapshot) -> None:
        """Publish a snapshot."""
        self.snapshot = snapshot
        self._publish(snapshot, self._events.take())
