"""Approval: a signal waits for its owner's word before anything of it is traded."""

import asyncio
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
from .signal import SYNC, InvalidSignal, Signal
from .sources.leader_format import parse_signal

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
        return next(iter(await asyncio.to_thread(self._ledger.open_signals, Result.WAITING)), None)

    def expires(self, record: SignalRecord) -> datetime:
        """When a waiting signal is given up."""
        return (record.asked_at or record.seen_at) + self._settings.approval_timeout

    def is_needed(self, record: SignalRecord, signal: Signal) -> bool:
        """Whether the owner has yet to say yes to a signal as it is now; a sync is his word already."""
        if self._settings.approval is Approval.AUTOMATIC or record.signal_id.startswith(SYNC):
            return False
        return record.asked_at is None or _wanted(record, signal) != signal.wanted

    async def ask(self, record: SignalRecord, signal: Signal, outlook: OrderPlan) -> SignalRecord:
        """Let a signal wait for its owner's word on a plan. Raises LedgerError."""
        record = replace(
            record,
            result=Result.WAITING,
            asked_at=self._clock(),
            confidence=signal.confidence,
            reasoning=signal.reasoning,
            payload=signal.payload,
            wanted=signal.wanted,
        )
        record = await asyncio.to_thread(self._ledger.write_signal, record)
        _LOGGER.info("Signal %s waits for approval", record.signal_id)
        plan = responses.preview(outlook.orders, outlook.left_out)
        plan["summary"] = responses.plan_in_words(outlook.orders, self._settings.quote)
        self._events.waiting(record, plan, self.expires(record))
        return record


def _wanted(record: SignalRecord, signal: Signal) -> str | None:
    """What a record was written down for; a ledger of an older version tells it where it kept the whole text."""
    if record.wanted is not None:
        return record.wanted
    coins = {*(signal.targets or ()), *(action.coin for action in signal.actions)}
    try:
        known = parse_signal(record.payload.encode(), coins)
    except InvalidSignal:
        return None
    return (known if record.signal_id == record.source else known.as_allocation(record.signal_id)).wanted
