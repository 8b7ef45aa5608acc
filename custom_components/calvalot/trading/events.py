"""What happened in a cycle, told once: the events for automations and people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import responses
from .alert import AlertRecord
from .alert_responses import outside_alert
from .exchanges.base import Mode
from .ledger.records import OrderRecord, OrderState, Result, SignalRecord, Trade
from .responses import Json

_FAILED = {Result.ERROR: "failed"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: kind signal, trade, alert or outside_alert; `data` is plain JSON and names the type too."""

    kind: str
    type: str
    data: dict[str, Any]


class EventQueue:
    """Collects events until they are published."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._events: list[Event] = []
        self._alerts: list[Json] = []

    def take(self) -> tuple[Event, ...]:
        """The events so far; the events is empty afterwards."""
        events, self._events = tuple(self._events), []
        return events

    def take_alerts(self) -> list[Json]:
        """The data of the alerts that were not taken yet, to be written down."""
        alerts, self._alerts = self._alerts, []
        return alerts

    def alert(self, kind: str, **data: Any) -> None:
        """Something the owner should know."""
        self._add("alert", kind, data)
        self._alerts.append(self._events[-1].data)

    def outside_alert(self, name: str, record: AlertRecord) -> None:
        """An alert from outside came, or came to something."""
        self._add("outside_alert", name, outside_alert(record))

    def received(self, record: SignalRecord) -> None:
        """A signal was taken up."""
        self._add("signal", "received", responses.signal(record))

    def waiting(self, record: SignalRecord, plan: Json, expires: datetime) -> None:
        """A signal waits for its owner's word."""
        self._add("signal", "waiting", {**responses.signal(record), **plan, "expires": responses.iso(expires)})

    def signal(self, record: SignalRecord, orders: Sequence[OrderRecord] = ()) -> None:
        """A signal came to its end."""
        self._add("signal", _FAILED.get(record.result, record.result.value), responses.signal(record, orders))

    def trades(self, trades: Sequence[Trade]) -> None:
        """Orders that traded."""
        for trade in trades:
            self._add("trade", trade.side.value.lower(), responses.trade(trade, self._mode))

    def refusals(self, orders: Sequence[OrderRecord]) -> None:
        """Orders that were refused."""
        for order in orders:
            if order.state is OrderState.REJECTED:
                self._add("trade", "failed", responses.failed_order(order, self._mode))

    def _add(self, kind: str, name: str, data: dict[str, Any]) -> None:
        self._events.append(Event(kind, name, {"type": name, **data}))
