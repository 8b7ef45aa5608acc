"""What became of orders and signals, reported once."""

import asyncio
from collections.abc import Sequence
import logging

from .journal import Journal
from .ledger import Ledger
from .observer import Observer
from .schema import OrderRecord, OrderState, SignalRecord

_LOGGER = logging.getLogger(__name__)


class Outcomes:
    """Turns what the ledger holds of orders and signals into events."""

    def __init__(self, ledger: Ledger, observer: Observer, journal: Journal) -> None:
        self._ledger = ledger
        self._observer = observer
        self._journal = journal

    async def orders(self, orders: Sequence[OrderRecord]) -> None:
        """Report what became of orders; where one was refused, rules and permissions are asked for again."""
        traded = [order.seq for order in orders if order.state is OrderState.BOOKED and order.executed_quantity]
        if traded:
            self._journal.trades(await asyncio.to_thread(self._ledger.trades_of, traded))
        self._journal.refusals(orders)
        if any(order.state is OrderState.REJECTED for order in orders):
            self._observer.forget_rules()

    async def signal(self, record: SignalRecord) -> None:
        """Report that a signal came to its end."""
        _LOGGER.info("Signal %s: %s %s", record.signal_id, record.result, record.reason)
        self._journal.signal(record, await asyncio.to_thread(self._ledger.orders, record.signal_id))
