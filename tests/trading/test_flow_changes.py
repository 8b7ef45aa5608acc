"""What was booked of money in and out is changed, deleted and had back, and the books are as if it had been so from the first."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given, settings, strategies as st
import pytest

from custom_components.calvalot.trading.cash_flows import CashFlows
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, FlowKind
from custom_components.calvalot.trading.settings import Settings

from .builders import NOW, QUOTE
from .test_cash_flows import make_view

DAYS = 6
START = NOW - timedelta(days=DAYS)
# Quote has eight decimals, so that units that were minted at the time differ by a rest of that.
NOTHING = Decimal("1e-5")


async def lived(ledger: Ledger, seed: int) -> CashFlows:
    """Some days of a book with closes, and flows of all of them; all of it is cash."""
    dice = Random(seed)
    now = START
    chosen = Settings(entry_id="e", mode=ledger.mode, quote=QUOTE, initial_budget=Decimal(500), coins=("BTC",))
    cash_flows = CashFlows(chosen, ledger, lambda: now)
    await cash_flows.open(make_view(), Book())
    for day in range(DAYS):
        now = START + timedelta(days=day, hours=dice.randrange(1, 9))
        view = make_view(f"{dice.uniform(0.7, 0.95):.4f}")
        assert view.rate
        if dice.random() < 0.7:
            kind = dice.choice((FlowKind.DEPOSIT, FlowKind.WITHDRAWAL))
            await cash_flows.move(kind, Decimal(f"{dice.uniform(1, 40):.2f}"), view, "", None)
        book = ledger.book()
        value = book.portfolio.cash * view.rate
        units = book.units.valued(value)
        drawdown = book.drawdown.seen(units.price)
        ledger.write_close(now, value, book.portfolio.cash, units, drawdown)
    now = NOW
    return cash_flows


def state(ledger: Ledger) -> dict[str, Decimal]:
    """Every figure of a book by a name; units and prices are the same but for a rest of rounding."""
    book = ledger.book()
    told: dict[str, Any] = {"cash": book.portfolio.cash, "paid": book.portfolio.paid_in, "net": book.net_deposits}
    for close in ledger.closes():
        told |= {
            f"{close.day} value": close.value,
            f"{close.day} quote": close.value_quote,
            f"{close.day} paid": close.net_deposits,
            f"{close.day} units": close.units.outstanding,
            f"{close.day} price": close.units.price,
        }
    for number, flow in enumerate(ledger.flows(None)):
        told |= {f"{number} amount": flow.amount, f"{number} before": flow.value_before}
    return told


def same(one: dict[str, Decimal], other: dict[str, Decimal]) -> bool:
    """Whether two states are the same but for a rest of rounding."""
    return one.keys() == other.keys() and all(abs(one[name] - other[name]) < NOTHING for name in one)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.integers(0, DAYS * 24 - 1), st.integers(-20, 200).filter(bool))
@example(3, DAYS * 24 - 1, 150)
@example(5, DAYS * 24 - 1, -20)
def test_what_is_undone_was_never_there(seed: int, hour: int, amount: int) -> None:
    """A flow of any time, undone, done again, changed and deleted: figures of every day are those without it, or those with it."""

    async def check(ledger: Ledger) -> None:
        cash_flows, view = await lived(ledger, seed), make_view("0.8")
        before = state(ledger)
        kind = FlowKind.DEPOSIT if amount > 0 else FlowKind.WITHDRAWAL
        at = START + timedelta(hours=hour + 1)
        flow = await cash_flows.move(kind, Decimal(abs(amount)), view, "late", at)
        with_it = state(ledger)
        assert not same(before, with_it)
        assert await cash_flows.undo(view) is None
        assert same(before, state(ledger))
        again = await cash_flows.undo(view)
        assert again
        assert (again.amount, again.time, again.note) == (flow.amount, at, "late")
        assert same(with_it, state(ledger))
        changed = await cash_flows.change(again.seq, view, flow.amount / 2, START + timedelta(hours=1), "early")
        assert changed.note == "early"
        assert not same(with_it, state(ledger))
        await cash_flows.undo(view)
        assert same(with_it, state(ledger))
        (last,) = [each for each in ledger.flows(None) if each.note == "late"]
        await cash_flows.delete(last.seq, view)
        assert same(before, state(ledger))
        assert ledger.replay() == ledger.book().portfolio

    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "entry.db", Mode.DRY_RUN, QUOTE)
        ledger.open()
        asyncio.run(check(ledger))
        ledger.close()


async def test_a_deposit_that_is_spent_stays(ledger: Ledger) -> None:
    """What was taken out since would not have been there."""
    cash_flows, view = await lived(ledger, 1), make_view("0.8")
    deposit = await cash_flows.move(FlowKind.DEPOSIT, Decimal(800), view, "", START + timedelta(hours=10))
    await cash_flows.move(FlowKind.WITHDRAWAL, Decimal(700), view, "", START + timedelta(hours=40))
    await cash_flows.move(FlowKind.DEPOSIT, Decimal(800), view, "", None)
    before = state(ledger)
    with pytest.raises(CommandError) as caught:
        await cash_flows.delete(deposit.seq, view)
    assert caught.value.key == "withdrawal_above_value"
    assert state(ledger) == before


async def test_nothing_is_changed_without_a_valuation(ledger: Ledger) -> None:
    """What the book is worth now is needed."""
    cash_flows = await lived(ledger, 1)
    deposit = await cash_flows.move(FlowKind.DEPOSIT, Decimal(800), make_view("0.8"), "", None)
    with pytest.raises(CommandError) as caught:
        await cash_flows.delete(deposit.seq, make_view(None))
    assert caught.value.key == "no_valuation"
