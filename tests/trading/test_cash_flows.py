"""Money in and out is written down whole, is never profit, and moves no return."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.account import committed
from custom_components.calvalot.trading.cash_flows import MAX_AMOUNT, REVALUED, CashFlows
from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Balance, Mode
from custom_components.calvalot.trading.inputs import Inputs
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind, OrderState
from custom_components.calvalot.trading.performance import Drawdown, Units
from custom_components.calvalot.trading.portfolio import Portfolio, Position
from custom_components.calvalot.trading.risk import STOP_PEAK
from custom_components.calvalot.trading.settings import Settings

from .builders import NOW, QUOTE, amounts, make_market, make_order, make_portfolio

# A rate over another asset that no amount can be divided by without a rest.
ODD = Decimal("0.9997") / Decimal("1.0838")
RATES = st.decimals("0.5", "2", places=5).map(lambda price: ONE / price)


def make_treasury(ledger: Ledger, budget: str = "1000") -> CashFlows:
    """A treasury of the ledger's mode."""
    settings = Settings(
        entry_id="entry", mode=ledger.mode, quote=QUOTE, initial_budget=Decimal(budget), coins=("BTC", "ETH")
    )
    return CashFlows(settings, ledger, lambda: NOW)


def make_view(rate: str | Decimal | None = "0.8", free: str | None = None, **prices: str) -> Inputs:
    """A look at the market; without `free` the account was not asked."""
    balances = None if free is None else {QUOTE: Balance(Decimal(free), Decimal(7))}
    return Inputs(market=make_market(prices), rate=None if rate is None else Decimal(rate), balances=balances)


@pytest.fixture
def live(ledger: Ledger) -> Ledger:
    """The live book of the same file."""
    ledger.mode = Mode.LIVE
    return ledger


async def refusal(work: Awaitable[CashFlow], ledger: Ledger) -> CommandError:
    """What an owner is told instead; nothing may have changed."""
    before = ledger.book(), ledger.flows()
    with pytest.raises(CommandError) as caught:
        await work
    assert (ledger.book(), ledger.flows()) == before
    return caught.value


# The initial budget


async def test_the_budget_is_turned_into_quote_once(ledger: Ledger) -> None:
    """At the rate of the moment, rounded down to what an exchange can hold; the return starts at exactly 0."""
    book = await make_treasury(ledger).open(make_view(ODD), Book())
    assert book is not None
    assert book.portfolio == make_portfolio("1084.12523757")
    assert book.net_deposits == 1000
    assert book == ledger.book()
    assert ledger.flows() == (
        CashFlow(
            seq=1,
            kind=FlowKind.INITIAL,
            amount=Decimal(1000),
            amount_quote=Decimal("1084.12523757"),
            time=NOW,
            value_before=ZERO,
        ),
    )
    with localcontext(EXACT):
        assert book.units.valued(book.portfolio.cash * ODD).price == 1


async def test_without_a_rate_nothing_begins(ledger: Ledger) -> None:
    """Unknown is not 0.92."""
    assert await make_treasury(ledger).open(make_view(None), Book()) is None
    assert ledger.book().net_deposits is None


@pytest.mark.parametrize(
    ("free", "quote", "amount"),
    [
        ("5000", "1250", "1000"),
        ("1250", "1250", "1000"),
        ("1000.12345678", "1000.12345678", "800.09876542"),
        ("5", "5", "4"),
        ("4.99999999", None, None),
        ("0", None, None),
        (None, None, None),
    ],
)
async def test_live_no_more_than_is_free(live: Ledger, free: str | None, quote: str | None, amount: str | None) -> None:
    """What is locked does not count; less than one order, or an account that was not seen, is not a beginning."""
    book = await make_treasury(live).open(make_view(free=free), Book())
    if quote is None or amount is None:
        assert book is None
        assert live.flows() == ()
    else:
        assert book is not None
        assert (book.portfolio.cash, book.net_deposits) == (Decimal(quote), Decimal(amount))


async def test_live_without_the_quote_asset(live: Ledger) -> None:
    """An asset that the account does not list is 0."""
    view = replace(make_view(), balances={"BTC": Balance(ONE)})
    assert await make_treasury(live).open(view, Book()) is None


@pytest.mark.parametrize(("free", "cash"), [("950", "950"), ("100", "100"), ("0", "0"), ("5000", "950")])
async def test_live_a_lost_ledger_begins_with_what_it_bought(live: Ledger, free: str, cash: str) -> None:
    """300 of the budget were spent before: the rest of it is cash, as far as it is free."""
    bought = Book(portfolio=replace(make_portfolio("-300", BTC="0.006"), paid_in=Decimal(-299)))
    book = await make_treasury(live).open(make_view(free=free, BTC="50000"), bought)
    assert book is not None
    assert book.portfolio.cash == Decimal(cash)
    assert book.portfolio.quantity("BTC") == Decimal("0.006")
    assert book.net_deposits == (Decimal(cash) + 300) * Decimal("0.8")


# Deposits and withdrawals


async def test_a_deposit_and_a_withdrawal(ledger: Ledger) -> None:
    """They move cash and what was paid in, with the value just before them; the unit price stays."""
    treasury = make_treasury(ledger)
    await treasury.open(make_view(), Book())
    deposit = await treasury.move(FlowKind.DEPOSIT, Decimal(50), make_view(), "more", None)
    assert deposit == ledger.flows()[0]
    assert (deposit.amount, deposit.amount_quote, deposit.note, deposit.time) == (50, Decimal("62.5"), "more", NOW)
    assert deposit.value_before == 1000
    withdrawal = await treasury.move(FlowKind.WITHDRAWAL, Decimal(210), make_view("0.4"), "", NOW)
    assert (withdrawal.kind, withdrawal.amount, withdrawal.amount_quote) == (FlowKind.WITHDRAWAL, -210, -525)
    assert (withdrawal.time, withdrawal.value_before) == (NOW, 525)
    book = ledger.book()
    assert (book.portfolio.cash, book.net_deposits) == (Decimal("787.5"), 840)
    assert book.units == Units(Decimal(630), Decimal("0.5"))


@dataclass(frozen=True, slots=True)
class Move:
    """A flow in EUR, at a rate."""

    kind: FlowKind
    amount: Decimal
    rate: Decimal


MOVES = st.lists(
    st.builds(
        Move,
        kind=st.sampled_from([FlowKind.DEPOSIT, FlowKind.WITHDRAWAL]),
        amount=amounts("2000", smallest="0.00000001"),
        rate=RATES,
    ),
    max_size=10,
)


@given(MOVES)
def test_no_flow_is_profit_or_return(moves: list[Move]) -> None:
    """Whatever is paid in and out at whatever rates and prices: the return is what the market did, to the last digit."""

    async def run(ledger: Ledger) -> None:
        treasury = make_treasury(ledger)
        await treasury.open(make_view(), Book())
        for move in moves:
            before = ledger.book()
            with localcontext(EXACT):
                value = before.portfolio.cash * move.rate
                index = before.units.valued(value).price
            try:
                flow = await treasury.move(move.kind, move.amount, make_view(move.rate), "", None)
            except CommandError:
                assert move.kind is FlowKind.WITHDRAWAL
                assert move.amount > before.portfolio.cash * move.rate
                continue
            assert move.kind is FlowKind.DEPOSIT or move.amount < (before.portfolio.cash + Decimal("1e-8")) * move.rate
            after = ledger.book()
            with localcontext(EXACT):
                assert flow.value_before == value
                assert after.net_deposits == (before.net_deposits or ZERO) + flow.amount
                assert abs(flow.amount) == move.amount
                # No more moves than was said, and less only by what an exchange cannot hold.
                rest = move.amount - abs(flow.amount_quote) * move.rate
                assert -Decimal("1e-20") < rest < Decimal("1e-8") * move.rate
                assert after.units.price == index
                worth = after.portfolio.cash * move.rate
                if after.units.outstanding:
                    assert abs(after.units.valued(worth).price / index - 1) < Decimal("1e-30")
                else:
                    assert worth == 0
        assert ledger.replay() == ledger.book().portfolio
        ledger.close()

    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "entry.db", Mode.DRY_RUN, QUOTE)
        ledger.open()
        asyncio.run(run(ledger))


PURCHASES = st.lists(
    st.fixed_dictionaries({"quote_amount": amounts("400", smallest="1")})
    | st.fixed_dictionaries({"limit_price": amounts("400", smallest="1")})
    | st.fixed_dictionaries({"state": st.just(OrderState.EXECUTED), "executed_amount": amounts("400", smallest="1")}),
    min_size=1,
    max_size=4,
)


@given(PURCHASES, st.lists(amounts("700", smallest="0.01"), max_size=5), RATES)
def test_no_withdrawal_takes_what_an_order_may_cost(
    purchases: list[dict[str, Any]], withdrawals: list[Decimal], rate: Decimal
) -> None:
    """However much is asked for: what is left pays for all of them at their worst, where it did before."""

    async def run(ledger: Ledger) -> None:
        treasury = make_treasury(ledger)
        await treasury.open(make_view(rate), Book())
        orders = [make_order(leg=leg, **purchase) for leg, purchase in enumerate(purchases)]
        ledger.add_orders(orders)
        most = committed(orders, make_market({}))[QUOTE]
        for amount in withdrawals:
            before = ledger.book().portfolio.cash
            try:
                await treasury.move(FlowKind.WITHDRAWAL, amount, make_view(rate), "", None)
            except CommandError:
                assert ledger.book().portfolio.cash == before
                assert amount / rate > before - most
            else:
                assert ledger.book().portfolio.cash >= most
        ledger.close()

    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "entry.db", Mode.DRY_RUN, QUOTE)
        ledger.open()
        asyncio.run(run(ledger))


async def test_everything_can_be_withdrawn_and_a_new_start_made(ledger: Ledger) -> None:
    """An odd rate leaves neither a unit nor a cent; the return goes on where it stood."""
    treasury, view = make_treasury(ledger), make_view(ODD)
    await treasury.open(view, Book())
    await treasury.move(FlowKind.WITHDRAWAL, Decimal(1000), view, "", None)
    book = ledger.book()
    assert (book.portfolio.cash, book.net_deposits, book.units) == (0, 0, Units(ZERO, ONE))
    await treasury.move(FlowKind.DEPOSIT, Decimal(100), view, "", None)
    assert ledger.book().units.price == 1


async def test_more_than_the_cash_is_not_withdrawn(ledger: Ledger) -> None:
    """The refusal names what can be; that much really can."""
    treasury, view = make_treasury(ledger), make_view(ODD)
    await treasury.open(view, Book())
    error = await refusal(treasury.move(FlowKind.WITHDRAWAL, Decimal("1000.01"), view, "", None), ledger)
    assert (error.key, error.placeholders) == ("withdrawal_above_cash", {"cash": "999.99"})
    await treasury.move(FlowKind.WITHDRAWAL, Decimal("999.99"), view, "", None)


async def test_cash_under_nothing_is_told_as_nothing(ledger: Ledger) -> None:
    """A purchase may have cost a little more than there was."""
    book = Book(portfolio=make_portfolio("-0.01", BTC="1"), net_deposits=ONE)
    ledger.add_flow(CashFlow(kind=FlowKind.INITIAL, amount=ONE, amount_quote=ONE, time=NOW), book)
    view = make_view(BTC="50000")
    error = await refusal(make_treasury(ledger).move(FlowKind.WITHDRAWAL, ONE, view, "", None), ledger)
    assert error.placeholders == {"cash": "0.00"}


@pytest.mark.parametrize(
    ("free", "amount", "spare"), [("1350", "80", None), ("1350", "80.01", "80.00"), ("1000", "1", "0.00")]
)
async def test_live_only_what_is_free_can_be_deposited(live: Ledger, free: str, amount: str, spare: str | None) -> None:
    """Above the cash that the book has already."""
    treasury = make_treasury(live)
    await treasury.open(make_view(free="1250"), Book())
    move = treasury.move(FlowKind.DEPOSIT, Decimal(amount), make_view(free=free), "", None)
    if spare is None:
        assert (await move).amount_quote == 100
    else:
        error = await refusal(move, live)
        assert (error.key, error.placeholders) == ("insufficient_free", {"free": spare})


async def test_live_a_withdrawal_asks_nothing_of_the_account(live: Ledger) -> None:
    """It only makes the budget smaller."""
    treasury = make_treasury(live)
    await treasury.open(make_view(free="1250"), Book())
    await treasury.move(FlowKind.WITHDRAWAL, Decimal(1000), make_view(), "", None)
    assert live.book().portfolio.cash == 0


async def test_live_no_deposit_without_a_look_at_the_account(live: Ledger) -> None:
    """What is free is unknown then."""
    treasury = make_treasury(live)
    await treasury.open(make_view(free="1250"), Book())
    assert (await refusal(treasury.move(FlowKind.DEPOSIT, ONE, make_view(), "", None), live)).key == "no_valuation"


@pytest.mark.parametrize("kind", [FlowKind.DEPOSIT, FlowKind.WITHDRAWAL])
async def test_no_flow_without_a_valuation(ledger: Ledger, kind: FlowKind) -> None:
    """Neither before the book is begun, nor without a rate, nor with a price missing."""
    treasury = make_treasury(ledger)
    assert (await refusal(treasury.move(kind, ONE, make_view(), "", None), ledger)).key == "no_valuation"
    book = Book(portfolio=make_portfolio("100", BTC="1"), net_deposits=ONE)
    ledger.add_flow(CashFlow(kind=FlowKind.INITIAL, amount=ONE, amount_quote=ONE, time=NOW), book)
    for view in (make_view(), make_view(None, BTC="50000")):
        assert (await refusal(treasury.move(kind, ONE, view, "", None), ledger)).key == "no_valuation"


@pytest.mark.parametrize(
    ("amount", "key"),
    [
        ("0", "amount_not_positive"),
        ("-1", "amount_not_positive"),
        ("NaN", "amount_not_positive"),
        ("sNaN", "amount_not_positive"),
        ("Infinity", "amount_not_positive"),
        ("1000000.00000001", "amount_too_large"),
        ("1E+100", "amount_too_large"),
    ],
)
async def test_amounts_are_bounded(ledger: Ledger, amount: str, key: str) -> None:
    """Above 0, up to a million."""
    treasury = make_treasury(ledger)
    await treasury.open(make_view(), Book())
    for kind in (FlowKind.DEPOSIT, FlowKind.WITHDRAWAL):
        assert (await refusal(treasury.move(kind, Decimal(amount), make_view(), "", None), ledger)).key == key
    await treasury.move(FlowKind.DEPOSIT, MAX_AMOUNT, make_view(), "", None)


async def test_nothing_happens_in_the_future(ledger: Ledger) -> None:
    """This very moment is allowed."""
    treasury = make_treasury(ledger)
    await treasury.open(make_view(), Book())
    late = NOW + timedelta(microseconds=1)
    assert (await refusal(treasury.move(FlowKind.DEPOSIT, ONE, make_view(), "", late), ledger)).key == "at_in_future"
    assert (await treasury.move(FlowKind.DEPOSIT, ONE, make_view(), "", NOW)).time == NOW


async def test_nothing_happens_before_the_beginning(ledger: Ledger) -> None:
    """The owner is told when that was."""
    treasury = make_treasury(ledger)
    await treasury.open(make_view(), Book())
    error = await refusal(
        treasury.move(FlowKind.DEPOSIT, ONE, make_view(), "", datetime(2020, 1, 1, tzinfo=UTC)), ledger
    )
    assert (error.key, error.placeholders) == ("before_start", {"start": "2026-05-01 12:00 UTC"})
    elsewhere = make_treasury(ledger.in_book(2))
    late = make_portfolio("100")
    ledger.in_book(2).add_flow(
        CashFlow(kind=FlowKind.CORRECTION, amount=ONE, amount_quote=ZERO, time=NOW),
        Book(portfolio=late, net_deposits=ONE),
    )
    day_ago = NOW - timedelta(days=1)
    error = await refusal(elsewhere.move(FlowKind.DEPOSIT, ONE, make_view(), "", day_ago), ledger)
    assert (error.key, error.placeholders) == ("before_start", {"start": "–"})


async def test_a_form_tells_no_seconds(ledger: Ledger) -> None:
    """The minute in which it began is not before the beginning."""
    start = NOW + timedelta(seconds=30)
    clock = start
    settings = Settings(entry_id="e", mode=ledger.mode, quote=QUOTE, initial_budget=Decimal(100), coins=("BTC",))
    treasury = CashFlows(settings, ledger, lambda: clock)
    await treasury.open(make_view(), Book())
    for passed in (timedelta(minutes=1), timedelta(hours=1)):
        clock = start + passed
        assert (await treasury.move(FlowKind.DEPOSIT, ONE, make_view(), "", NOW)).time == start
    error = await refusal(treasury.move(FlowKind.DEPOSIT, ONE, make_view(), "", NOW - timedelta(seconds=1)), ledger)
    assert error.key == "before_start"


async def test_a_flow_is_dated_back(ledger: Ledger) -> None:
    """What came after it is valued again, and the stop loss is as far from its peak as before."""
    start = NOW - timedelta(days=2)
    clock = start
    settings = Settings(entry_id="e", mode=ledger.mode, quote=QUOTE, initial_budget=Decimal(100), coins=("BTC",))
    treasury = CashFlows(settings, ledger, lambda: clock)
    book = await treasury.open(make_view("0.8"), Book())
    assert book
    units = book.units.valued(Decimal(110))
    ledger.write_close(start, Decimal(110), Decimal("137.5"), units, Drawdown().seen(units.price))
    ledger.remember(STOP_PEAK, "1.1")
    clock = NOW
    view = make_view("0.8")
    flow = await treasury.move(FlowKind.DEPOSIT, Decimal(80), view, "late told", start + timedelta(hours=1))
    assert ledger.flows()[0] == flow
    assert (flow.value_before, flow.amount_quote, flow.note) == (100, 100, "late told")
    (close,) = ledger.closes()
    assert (close.value, close.value_quote, close.net_deposits) == (190, Decimal("237.5"), 180)
    assert (close.units.outstanding, round(close.units.price, 9)) == (180, Decimal("1.055555556"))
    after = ledger.book()
    assert (after.net_deposits, after.portfolio.cash, after.units.outstanding) == (180, 225, 180)
    assert after.units.price == 1  # worth what was paid in: all of it is cash
    assert Decimal(ledger.fact(STOP_PEAK) or 0) == Decimal("1.1")
    assert ledger.fact(REVALUED) == NOW.isoformat()
    assert ledger.replay() == after.portfolio


async def test_a_flow_before_another_one(ledger: Ledger) -> None:
    """The later one counts with a value before it that holds the earlier one."""
    start = NOW - timedelta(days=2)
    clock = start
    settings = Settings(entry_id="e", mode=ledger.mode, quote=QUOTE, initial_budget=Decimal(100), coins=("BTC",))
    treasury = CashFlows(settings, ledger, lambda: clock)
    await treasury.open(make_view("0.8"), Book())
    clock = NOW
    await treasury.move(FlowKind.DEPOSIT, Decimal(40), make_view("0.8"), "", NOW)
    assert ledger.flows()[0].value_before == 100
    await treasury.move(FlowKind.DEPOSIT, Decimal(20), make_view("0.8"), "", NOW - timedelta(days=1))
    later, earlier, _ = ledger.flows()
    assert (earlier.amount, earlier.value_before) == (20, 100)
    assert (later.amount, later.value_before) == (40, 120)


async def test_more_cannot_have_been_taken_out_than_there_was(ledger: Ledger) -> None:
    """However much cash there is by now."""
    start = NOW - timedelta(days=2)
    clock = start
    settings = Settings(entry_id="e", mode=ledger.mode, quote=QUOTE, initial_budget=Decimal(100), coins=("BTC",))
    treasury = CashFlows(settings, ledger, lambda: clock)
    await treasury.open(make_view("0.8"), Book())
    clock = NOW
    await treasury.move(FlowKind.DEPOSIT, Decimal(400), make_view("0.8"), "", None)
    work = treasury.move(FlowKind.WITHDRAWAL, Decimal(200), make_view("0.8"), "", NOW - timedelta(days=1))
    error = await refusal(work, ledger)
    assert (error.key, error.placeholders) == ("withdrawal_above_value", {"at": "2026-04-30 12:00 UTC"})


# What the account lacks


async def test_what_the_account_lacks_is_written_off(ledger: Ledger) -> None:
    """A withdrawal for each asset at what it is worth; no return moves, and computing it again gives the same."""
    begin = Book(
        portfolio=make_portfolio("600", BTC="0.008", ETH="0.1"),
        net_deposits=Decimal(800),
        units=Units(Decimal(960), ONE),
    )
    ledger.add_flow(CashFlow(kind=FlowKind.INITIAL, amount=ONE, amount_quote=ONE, time=NOW), begin)
    view = make_view(BTC="50000", ETH="2000")
    coin, cash = await make_treasury(ledger).write_off({"BTC": Decimal("0.002"), QUOTE: Decimal(50)}, view, "gone")
    assert ledger.flows(limit=2) == (cash, coin)
    assert (coin.kind, coin.coin, coin.quantity, coin.after_fill) == (FlowKind.WITHDRAWAL, "BTC", Decimal("0.002"), 0)
    assert (coin.amount, coin.amount_quote, coin.value_before, coin.note) == (-80, -100, 960, "gone")
    assert (cash.coin, cash.quantity, cash.amount, cash.amount_quote, cash.value_before) == (None, None, -40, -50, 880)
    book = ledger.book()
    assert (book.portfolio.cash, book.portfolio.quantity("BTC")) == (550, Decimal("0.006"))
    assert (book.net_deposits, book.units) == (680, Units(Decimal(840), ONE))


@given(rate=RATES, quantity=amounts("10", smallest="0.00000001"), price=amounts("100000", smallest="0.00000001"))
def test_writing_everything_off_is_no_loss(rate: Decimal, quantity: Decimal, price: Decimal) -> None:
    """Whatever it was worth: neither a unit nor a fall to nothing is left."""

    async def run(ledger: Ledger) -> None:
        treasury = make_treasury(ledger)
        book = await treasury.open(make_view(rate), Book())
        assert book is not None
        held = make_portfolio(f"{book.portfolio.cash:f}", BTC=f"{quantity:f}")
        with localcontext(EXACT):
            value = (held.cash + quantity * price) * rate
        ledger.write_close(NOW, value, held.cash, book.units.valued(value), Drawdown())
        add = CashFlow(kind=FlowKind.CORRECTION, amount=ZERO, amount_quote=ZERO, time=NOW)
        ledger.add_flow(add, replace(ledger.book(), portfolio=held))
        before = ledger.book().units.price
        await treasury.write_off({QUOTE: held.cash, "BTC": quantity}, make_view(rate, BTC=f"{price:f}"), "")
        units = ledger.book().units
        assert units.outstanding == 0
        assert abs(units.price / before - 1) < Decimal("1e-25")
        ledger.close()

    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "entry.db", Mode.DRY_RUN, QUOTE)
        ledger.open()
        asyncio.run(run(ledger))


@given(
    rate=RATES,
    quantity=amounts("10", smallest="0.00000001"),
    price=amounts("100000", smallest="0.00000001"),
    value=amounts("1000000"),
)
def test_written_off_at_a_value_of_its_own(rate: Decimal, quantity: Decimal, price: Decimal, value: Decimal) -> None:
    """The difference from its price is profit or loss and moves the return, the withdrawal itself moves neither."""

    async def run(ledger: Ledger) -> None:
        treasury = make_treasury(ledger)
        book = await treasury.open(make_view(rate), Book())
        assert book is not None
        cost = Decimal(300)
        with localcontext(EXACT):
            held = Portfolio(
                cash=book.portfolio.cash - cost,
                paid_in=book.portfolio.paid_in,
                positions={"BTC": Position(quantity, cost), "ETH": Position(ONE, ZERO)},
            )
        ledger.add_flow(
            CashFlow(kind=FlowKind.CORRECTION, amount=ZERO, amount_quote=ZERO, time=NOW), replace(book, portfolio=held)
        )
        view = make_view(rate, BTC=f"{price:f}", ETH="100")
        (flow,) = await treasury.write_off({"BTC": quantity}, view, "", value)
        after = ledger.book()
        portfolio = after.portfolio
        with localcontext(EXACT):
            assert flow.amount == -value
            assert portfolio.cash == held.cash
            costs = sum((position.cost for position in portfolio.positions.values()), ZERO)
            assert portfolio.cash + costs == portfolio.paid_in + portfolio.realised
            assert portfolio.realised == -flow.amount_quote - cost
            left = (portfolio.cash + 100) * rate
            index = (left - flow.amount_quote * rate) / book.units.outstanding
            assert abs(after.units.price / index - 1) < Decimal("1e-25")
            assert abs(after.units.valued(left).price / index - 1) < Decimal("1e-25")
        ledger.close()

    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "entry.db", Mode.DRY_RUN, QUOTE)
        ledger.open()
        asyncio.run(run(ledger))


@pytest.mark.parametrize("view", [make_view(), make_view(None, BTC="50000")])
async def test_nothing_is_written_off_without_a_valuation(ledger: Ledger, view: Inputs) -> None:
    """Its worth is unknown then."""
    book = Book(portfolio=make_portfolio("100", BTC="1"), net_deposits=ONE)
    ledger.add_flow(CashFlow(kind=FlowKind.INITIAL, amount=ONE, amount_quote=ONE, time=NOW), book)
    with pytest.raises(CommandError, match="no_valuation"):
        await make_treasury(ledger).write_off({"BTC": ONE}, view, "")
    assert ledger.book() == book


@pytest.mark.parametrize(("free", "short"), [("4.99", "4.99"), ("5", None), (None, None)])
def test_live_too_little_to_begin_with(live: Ledger, free: str | None, short: str | None) -> None:
    """Less than one order is told; an account that was not seen is not."""
    treasury, view = make_treasury(live), make_view(free=free)
    assert treasury.short(view, Book()) == (None if short is None else Decimal(short))
    assert treasury.short(view, Book(net_deposits=ONE)) is None


def test_a_dry_run_is_never_short(ledger: Ledger) -> None:
    """Paper has what it wants."""
    assert make_treasury(ledger).short(make_view(free="0"), Book()) is None


# Corrections


@pytest.mark.parametrize("amount", ["0", "123.45678901", "1000", "1000000"])
async def test_a_correction_moves_nothing_but_what_was_paid_in(ledger: Ledger, amount: str) -> None:
    """To exactly what was said; cash, units and value stay."""
    treasury = make_treasury(ledger)
    before = await treasury.open(make_view(ODD), Book())
    assert before is not None
    flow = await treasury.correct(Decimal(amount))
    assert ledger.book() == replace(before, net_deposits=Decimal(amount))
    assert (flow.kind, flow.amount, flow.amount_quote) == (FlowKind.CORRECTION, Decimal(amount) - 1000, 0)
    assert (flow.value_before, flow.time) == (None, NOW)
    assert ledger.replay() == before.portfolio


@pytest.mark.parametrize(
    ("amount", "key"),
    [("-0.01", "amount_not_positive"), ("NaN", "amount_not_positive"), ("1000000.01", "amount_too_large")],
)
async def test_a_correction_is_bounded(ledger: Ledger, amount: str, key: str) -> None:
    """0 is allowed: all of it was profit."""
    treasury = make_treasury(ledger)
    await treasury.open(make_view(), Book())
    assert (await refusal(treasury.correct(Decimal(amount)), ledger)).key == key


async def test_nothing_to_correct_before_the_beginning(ledger: Ledger) -> None:
    """The first money is the budget."""
    assert (await refusal(make_treasury(ledger).correct(ONE), ledger)).key == "no_valuation"


# What may be paid in


@pytest.mark.parametrize(
    ("mode", "rate", "free", "spare"),
    [
        (Mode.LIVE, "0.8", "1500", "400"),
        (Mode.LIVE, "0.8", "900", "0"),
        (Mode.LIVE, "0.8", None, None),
        (Mode.LIVE, None, "1500", None),
        (Mode.DRY_RUN, "0.8", "1500", None),
    ],
)
def test_what_is_spare(ledger: Ledger, mode: Mode, rate: str | None, free: str | None, spare: str | None) -> None:
    """The rest of the wallet beyond the book's cash, in EUR; unknown is not 0, and paper knows no bound."""
    ledger.mode = mode
    book = Book(portfolio=make_portfolio("1000"))
    found = make_treasury(ledger).spare(make_view(rate, free), book)
    assert found == (None if spare is None else Decimal(spare))
