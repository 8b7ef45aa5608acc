"""Approval: a signal waits for its owner's word before anything of it is traded."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
import logging

from . import responses
from .events import EventQueue
from .ledger.ledger import Ledger
from .ledger.records import Result, SignalRecord
from .rebalance import OrderPlan
from .settings import Approval, Settings
from .signal import Kind

_LOGGER = logging.getLogger(__name__)


class Approvals:
    """Which signal waits for a word, and which has it."""

    def __init__(self, settings: Settings, ledger: Ledger, events: EventQueue, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._events = events
        self._clock = clock

    async def waiting(self) -> SignalRecord | None:
        """The signal that waits for its owner's word."""
        return next(iter(await self._ledger.ask(self._ledger.open_signals, Result.WAITING)), None)

    def expires(self, record: SignalRecord) -> datetime:
        """When a waiting signal is given up."""
        return (record.asked_at or record.seen_at) + self._settings.approval_timeout

    def is_needed(self, record: SignalRecord) -> bool:
        """Whether the owner has yet to say yes to a signal; a sync is his word already."""
        return (
            self._settings.approval is not Approval.AUTOMATIC
            and record.kind is not Kind.SYNC
            and record.asked_at is None
        )

    async def ask(self, record: SignalRecord, order_plan: OrderPlan) -> SignalRecord:
        """Let a signal wait for its owner's word on a plan. Raises LedgerError."""
        record = replace(record, result=Result.WAITING, asked_at=self._clock())
        record = await self._ledger.ask(self._ledger.write_signal, record)
        _LOGGER.info("Signal %s waits for approval", record.signal_id)
        plan = responses.preview(order_plan.orders, order_plan.left_out)
        plan["summary"] = responses.plan_in_words(order_plan.orders, self._settings.quote)
        self._events.waiting(record, plan, self.expires(record))
        return record
