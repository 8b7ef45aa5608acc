"""What became of orders and signals, reported once."""

from collections.abc import Sequence
import logging

from .events import EventQueue
from .inputs import Fetcher
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, OrderState, SignalRecord

_LOGGER = logging.getLogger(__name__)


class Outcomes:
    """CycleQueue what the ledger holds of orders and signals into events."""

    def __init__(self, ledger: Ledger, fetcher: Fetcher, events: EventQueue) -> None:
        self._ledger = ledger
        self._fetcher = fetcher
        self._events = events

    async def orders(self, orders: Sequence[OrderRecord]) -> None:
        """Report what became of orders; where one was refused, rules and permissions are asked for again."""
        traded = [order.seq for order in orders if order.state is OrderState.BOOKED and order.executed_quantity]
        if traded:
            self._events.trades(await self._ledger.ask(self._ledger.trades_of, traded))
        self._events.refusals(orders)
        if any(order.state is OrderState.REJECTED for order in orders):
            self._fetcher.forget_rules()

    async def signal(self, record: SignalRecord) -> None:
        """Report that a signal came to its end."""
        _LOGGER.info("Signal %s: %s %s", record.signal_id, record.result, record.reason)
        self._events.signal(record, await self._ledger.ask(self._ledger.orders, record.key))
