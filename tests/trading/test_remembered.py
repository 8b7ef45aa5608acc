"""What the ledger remembers of its tables is what stands in them, whatever was written meanwhile."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
import sqlite3

import pytest

from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind, OrderState, Result
from custom_components.calvalot.trading.performance import Drawdown, Units
from custom_components.calvalot.trading.portfolio import Portfolio

from .builders import NOW, key, make_fill, make_order, make_record, make_report

type Read = Callable[[Ledger], object]

READS: dict[str, Read] = {
    "book": lambda ledger: ledger.book(),
    "fact": lambda ledger: ledger.fact("paused"),
    "signal": lambda ledger: ledger.signal(key("signal")),
    "open": lambda ledger: ledger.open_signals(),
    "waiting": lambda ledger: ledger.open_signals(Result.WAITING),
    "joined": lambda ledger: ledger.has_joined(),
    "sight": lambda ledger: ledger.sight(key("signal")),
    "latest": lambda ledger: ledger.latest(),
    "orders": lambda ledger: ledger.orders(key("signal")),
    "in flight": lambda ledger: ledger.in_flight(),
    "fee asset": lambda ledger: ledger.last_fee_asset(),
}


def test_nothing_is_remembered_too_long(ledger: Ledger) -> None:
    """After every write each answer is the same as that of somebody who has just opened the file."""
    fresh = Ledger(ledger.path, ledger.mode, ledger.quote)
    told: dict[str, object] = {}
    changed: set[str] = set()

    def compare() -> None:
        fresh.open()
        for name, read in READS.items():
            answer = read(ledger)
            assert answer == read(fresh), name
            assert read(ledger) is answer or answer == read(ledger)
            if name in told and told[name] != answer:
                changed.add(name)
            told[name] = answer
        fresh.close()

    compare()
    flow = CashFlow(
        kind=FlowKind.INITIAL, amount=Decimal(9), amount_quote=Decimal(10), time=NOW, value_before=Decimal(0)
    )
    portfolio = Portfolio(cash=Decimal(10_000), paid_in=Decimal(10_000))
    ledger.add_flow(flow, Book(portfolio=portfolio, net_deposits=Decimal(9)))
    compare()
    ledger.remember("paused", "now")
    compare()
    record = ledger.write_signal(make_record())
    compare()
    ledger.write_signal(replace(record, result=Result.WAITING))
    compare()
    (order,) = ledger.add_orders([make_order(signal_id="recovered")])
    compare()
    ledger.write_page(order.symbol, 7, [replace(order, signal_id="signal")], "rest")
    compare()
    (order,) = ledger.orders(key("signal"))
    ledger.update_orders([replace(order, state=OrderState.SENDING)])
    compare()
    fill = make_fill("1", "100", fee="0.01", fee_asset="BTC")
    ledger.book_order(order, make_report(order, fill), [fill], {"BTC": Decimal(100)})
    compare()
    ledger.write_close(NOW + timedelta(days=1), Decimal(9), Decimal(10), Units(Decimal(9), Decimal(2)), Drawdown())
    compare()
    assert changed == READS.keys()


def test_a_failed_write_is_no_answer(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was undone is not remembered."""
    ledger.add_orders([make_order()])
    monkeypatch.setattr(ledger, "_write_book", None)
    (order,) = ledger.in_flight()
    fill = make_fill("1", "100")
    with pytest.raises(TypeError):
        ledger.book_order(order, make_report(order, fill), [fill], {"USDC": Decimal(1)})
    assert ledger.in_flight() == (order,)
    assert ledger.last_fee_asset() is None


def test_another_program(ledger: Ledger) -> None:
    """What somebody else writes into the file is seen, too."""
    ledger.add_orders([make_order()])
    assert len(ledger.in_flight()) == 1
    with closing(sqlite3.connect(ledger.path)) as other, other:
        other.execute("DELETE FROM orders")
    assert ledger.in_flight() == ()
    ledger.remember("paused", "now")
    assert ledger.in_flight() == ()


def test_a_read_is_done_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of the file twice while nothing was written to its table."""
    ledger.book()
    ledger.write_signal(make_record())
    monkeypatch.setattr(ledger, "_book", None)
    ledger.book()
