"""What happened is told once, in order, with its type in the data."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.events import Event, EventQueue
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.records import OrderState, Result, Trade

from .builders import NOW, make_order, make_record

TRADE = Trade(
    time=NOW,
    signal_id="signal",
    coin="BTC",
    symbol="BTCUSDC",
    side=Side.BUY,
    quantity=Decimal(1),
    amount=Decimal(2),
    fees=(),
)


def test_events_are_told_once() -> None:
    """In the order in which they happened."""
    journal = EventQueue(Mode.LIVE)
    journal.alert("dead", value="4.99")
    journal.alert("revived")
    assert journal.take() == (
        Event("alert", "dead", {"type": "dead", "value": "4.99"}),
        Event("alert", "revived", {"type": "revived"}),
    )
    assert journal.take() == ()


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (Result.EXECUTED, "executed"),
        (Result.PARTIAL, "partial"),
        (Result.SKIPPED, "skipped"),
        (Result.REJECTED, "rejected"),
        (Result.ERROR, "failed"),
    ],
)
def test_signals(result: Result, kind: str) -> None:
    """An error is called a failure; the legs come with the end."""
    journal = EventQueue(Mode.LIVE)
    record, order = make_record(), make_order(state=OrderState.BOOKED)
    journal.received(record)
    ended = replace(record, result=result)
    journal.signal(ended, [order])
    assert journal.take() == (
        Event("signal", "received", {"type": "received", **responses.signal(record)}),
        Event("signal", kind, {"type": kind, **responses.signal(ended, [order])}),
    )


def test_a_signal_that_waits_comes_with_its_plan() -> None:
    """And with when it expires."""
    journal = EventQueue(Mode.LIVE)
    journal.waiting(make_record(), {"orders": [], "left_out": []}, NOW + timedelta(minutes=30))
    (event,) = journal.take()
    assert (event.kind, event.type) == ("signal", "waiting")
    assert (event.data["orders"], event.data["expires"]) == ([], "2026-05-01T12:30:00.000+00:00")
    assert event.data["signal_id"] == "signal"


@pytest.mark.parametrize("mode", Mode)
def test_trades(mode: Mode) -> None:
    """By their side, and whether they were on paper."""
    journal = EventQueue(mode)
    journal.trades([TRADE, replace(TRADE, side=Side.SELL)])
    events = journal.take()
    assert [(event.kind, event.type) for event in events] == [("trade", "buy"), ("trade", "sell")]
    assert events[0].data == {"type": "buy", **responses.trade(TRADE, mode)}
    assert events[0].data["simulated"] == (mode is Mode.DRY_RUN)


@pytest.mark.parametrize("state", OrderState)
def test_only_refused_orders_are_failed_trades(state: OrderState) -> None:
    """One that was never placed, or is still unknown, did not fail."""
    journal = EventQueue(Mode.LIVE)
    order = make_order(state=state)
    journal.refusals([order])
    failed = (Event("trade", "failed", {"type": "failed", **responses.failed_order(order, Mode.LIVE)}),)
    assert journal.take() == (failed if state is OrderState.REJECTED else ())
