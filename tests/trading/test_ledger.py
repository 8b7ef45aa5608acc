"""What is written down is read back to the last digit, once, whole, and in its own book."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
import shutil
import sqlite3
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
import pytest
from sqlalchemy import event

from custom_components.calvalot.trading.decimals import ONE
from custom_components.calvalot.trading.exchanges.base import Fill, Mode, OrderStatus, OrderType, Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import (
    OVERTAKEN,
    Book,
    CashFlow,
    FlowKind,
    OrderRecord,
    OrderState,
    Result,
    Trade,
)
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.performance import Close, Drawdown, Units
from custom_components.calvalot.trading.portfolio import BookError, Portfolio, Position
from custom_components.calvalot.trading.signal import Kind, SignalKey

from .builders import (
    NOW,
    QUOTE,
    Flow,
    Step,
    Taken,
    decimals,
    key,
    make_fill,
    make_moves,
    make_order,
    make_portfolio,
    make_record,
    make_report,
    make_withdrawal,
    steps,
)
from .faults import Fault, engine_of, failing_disk, full_disk, read_only

PRICES = decimals({"USDC": "1", "BTC": "50000", "BNB": "600", "ETH": "2000"})
MINUTE = timedelta(minutes=1)


def add_flow(ledger: Ledger, amount: str, **changes: Any) -> CashFlow:
    """Pay an amount of quote in, as a deposit."""
    flow = CashFlow(kind=FlowKind.DEPOSIT, amount=Decimal(amount), amount_quote=Decimal(amount), time=NOW)
    flow = replace(flow, **changes)
    book = ledger.book()
    return ledger.add_flow(flow, replace(book, portfolio=book.portfolio.with_flow(flow.amount_quote)))


def trade(ledger: Ledger, order: OrderRecord, *fills: Fill, **changes: Any) -> OrderRecord:
    """Write an order down and book its fills."""
    (order,) = ledger.add_orders([order])
    booked, book = ledger.book_order(order, make_report(order, *fills, **changes), fills, PRICES)
    assert ledger.book() == book
    assert ledger.replay() == book.portfolio
    return booked


# The book


def test_a_new_ledger_is_empty(ledger: Ledger) -> None:
    """Nothing is known of anything."""
    assert ledger.book() == Book()
    assert ledger.book().net_deposits is None
    assert ledger.replay() == Portfolio()
    assert ledger.flows() == ledger.signals() == ledger.trades() == ledger.closes() == ledger.in_flight() == ()
    assert ledger.fact("paused") is ledger.signal(key("signal")) is ledger.last_fee_asset() is None
    assert ledger.trades_since(NOW) == 0
    assert ledger.cursor("BTCUSDC") is None
    assert ledger.traded_coins() == {}
    assert not ledger.has_joined()


def test_every_digit_is_kept(ledger: Ledger) -> None:
    """No exponent, no rounding, no float on the way."""
    book = Book(
        portfolio=Portfolio(
            cash=Decimal("0.00000001"),
            paid_in=Decimal("123456789012345678901234567890.12345678"),
            realised=Decimal("-1E-18"),
            fees=Decimal("1E+3"),
            positions={"BTC": Position(Decimal("1E-8"), Decimal("0.333333333333333333"))},
        ),
        net_deposits=Decimal("1000.10"),
        units=Units(Decimal(1) / 3, Decimal(2) / 3),
        drawdown=Drawdown(Decimal("1.5"), Decimal("12.25")),
    )
    ledger.add_flow(CashFlow(kind=FlowKind.INITIAL, amount=ONE, amount_quote=ONE, time=NOW), book)
    ledger.close()
    ledger.open()
    assert ledger.book() == book
    with closing(sqlite3.connect(ledger.path)) as connection:
        kept = connection.execute("SELECT cash, realised, fees FROM books").fetchone()
    assert kept == ("0.00000001", "-0.000000000000000001", "1000")


@given(steps())
def test_replay_is_the_book(happened: list[Step]) -> None:
    """Whatever happened, in whatever order, computing it again gives the same; what cannot be true is not kept."""
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "entry.db", Mode.LIVE, QUOTE)
        ledger.open()
        expected = Portfolio()
        for step in happened:
            try:
                if isinstance(step, Flow):
                    after = expected.with_flow(step.amount)
                    add_flow(ledger, f"{step.amount:f}")
                elif isinstance(step, Taken):
                    after = expected.with_withdrawal(step.coin, step.quantity, step.value)
                    ledger.add_flow(make_withdrawal(step), Book(portfolio=after))
                else:
                    (order,) = ledger.add_orders([make_order(step.side, "100", step.coin, leg=int(step.fill.order_id))])
                    prices = {step.fill.fee_asset: step.fee_price}
                    _, book = ledger.book_order(order, make_report(order, step.fill), [step.fill], prices)
                    after = expected.with_fill(step.fill, step.side, step.coin, QUOTE, step.fee_price)
                    assert book.portfolio == after
            except BookError:
                continue
            expected = after
        assert ledger.book().portfolio == ledger.replay() == expected
        ledger.close()


def test_coins_taken_out_are_replayed_where_they_were(ledger: Ledger) -> None:
    """Between the fills before and after them: average cost depends on the order."""
    taken = []

    def take(quantity: str) -> None:
        portfolio = ledger.book().portfolio.with_withdrawal("BTC", Decimal(quantity), Decimal(30))
        flow = CashFlow(
            kind=FlowKind.WITHDRAWAL,
            amount=Decimal(-27),
            amount_quote=Decimal(-30),
            time=NOW,
            coin="BTC",
            quantity=Decimal(quantity),
        )
        taken.append(ledger.add_flow(flow, replace(ledger.book(), portfolio=portfolio)))
        assert ledger.replay() == portfolio

    add_flow(ledger, "1000")
    trade(ledger, make_order(leg=1), make_fill("3", "10", trade_id="1"))
    take("1")
    take("0.5")
    trade(ledger, make_order(leg=2), make_fill("2", "40", trade_id="2"))
    take("3.5")
    assert not ledger.book().portfolio.positions
    assert [flow.after_fill for flow in taken] == [1, 1, 2]
    assert ledger.flows(limit=3) == tuple(reversed(taken))


def test_cash_flows_newest_first(ledger: Ledger) -> None:
    """By the time that they tell, page by page; at the same time by when they were written."""
    first = add_flow(ledger, "100", kind=FlowKind.INITIAL, value_before=Decimal(0))
    later = add_flow(ledger, "-5", kind=FlowKind.WITHDRAWAL, time=NOW + MINUTE, value_before=Decimal("110.5"))
    earlier = add_flow(ledger, "10", time=NOW - MINUTE, note="late told")
    same = add_flow(ledger, "1", kind=FlowKind.CORRECTION)
    assert ledger.flows() == ledger.flows(None) == (later, same, first, earlier)
    assert ledger.flows(limit=2) == (later, same)
    assert ledger.flows(since=NOW) == (later, same, first)
    assert ledger.flows(limit=1, since=NOW + MINUTE) == (later,)
    assert ledger.flows(limit=2, before=later.seq) == (same, first)
    assert ledger.flows(before=same.seq) == (first, earlier)
    assert ledger.flows(before=earlier.seq) == ledger.flows(before=0) == ()
    assert [flow.value_before for flow in ledger.flows()] == [Decimal("110.5"), None, 0, None]
    assert ledger.beginning() == (NOW, 1)


def test_a_close_a_day(ledger: Ledger) -> None:
    """The last figures of each day stay for good, oldest first, and the book goes on from them."""
    add_flow(ledger, "100")
    ledger.add_flow(ledger.flows()[0], replace(ledger.book(), net_deposits=Decimal(90)))
    today = date(2026, 5, 1)
    figures = [(today, "1"), (today, "2"), (today - timedelta(days=1), "3")]
    closes = [
        Close(
            day=day,
            value=Decimal(price) * 90,
            value_quote=Decimal(price) * 100,
            net_deposits=Decimal(90),
            units=Units(Decimal(90), Decimal(price)),
            drawdown=Drawdown(Decimal(price), Decimal(4)),
        )
        for day, price in figures
    ]
    for close in closes:
        ledger.write_close(
            datetime.combine(close.day, time(12), UTC), close.value, close.value_quote, close.units, close.drawdown
        )
    assert ledger.closes() == (closes[2], closes[1])
    assert (ledger.book().units, ledger.book().drawdown) == (closes[2].units, closes[2].drawdown)
    assert ledger.book().portfolio == make_portfolio("100")


# Facts and signals


def test_facts_are_remembered_and_forgotten(ledger: Ledger) -> None:
    """The last word counts."""
    ledger.remember("paused", "a")
    ledger.remember("paused", "b")
    ledger.remember("dead", "")
    assert ledger.fact("paused") == "b"
    ledger.remember_all({"paused": None, "never": None})
    assert ledger.fact("paused") is None
    assert ledger.fact("dead") == ""


def test_a_signal_is_written_once_and_brought_up_to_date(ledger: Ledger) -> None:
    """Everything about it comes back, and its place in the order stays."""
    record = make_record(
        created_at=NOW - MINUTE,
        confidence=Decimal("0.72"),
        reasoning="'); DROP TABLE signals; --",
        origin="other",
        wants=make_moves(("BTC", Side.BUY, "0.1")),
        left_out=(("XRPUSDC", "BUY", "below_minimum"),),
    )
    written = ledger.write_signal(record)
    assert written == replace(record, seq=1)
    assert ledger.signal(key("signal")) == written
    ended = ledger.write_signal(replace(written, result=Result.PARTIAL, reason="no cash", left_out=()))
    assert ledger.signals() == (ended,)
    assert ledger.signal(key("Signal")) is None


def test_signals_newest_first(ledger: Ledger) -> None:
    """By when they were written; what is open comes oldest first."""
    first, second = (ledger.write_signal(make_record(name, seen_at=NOW + MINUTE)) for name in ("first", "second"))
    earlier = ledger.write_signal(make_record("earlier", result=Result.SKIPPED))
    assert ledger.signals() == (earlier, second, first)
    assert ledger.signals(limit=1) == (earlier,)
    assert ledger.signals(since=NOW + MINUTE) == (second, first)
    assert ledger.open_signals() == (first, second)
    assert ledger.open_signals(Result.SKIPPED) == (earlier,)


def test_joined(ledger: Ledger) -> None:
    """Not by what was refused, failed, was overtaken or sold everything; by any other signal, or a trade."""
    ledger.write_signal(make_record("refused", result=Result.REJECTED))
    ledger.write_signal(make_record("failed", result=Result.ERROR))
    ledger.write_signal(make_record("overtaken", result=Result.SKIPPED, reason=OVERTAKEN))
    ledger.write_signal(make_record("stop_loss-1", kind=Kind.STOP_LOSS, result=Result.EXECUTED))
    ledger.write_signal(make_record("exit-1", kind=Kind.EXIT, result=Result.EXECUTED))
    assert not ledger.has_joined()
    ledger.write_signal(make_record("followed", result=Result.SKIPPED))
    assert ledger.has_joined()


def test_joined_by_a_trade(ledger: Ledger) -> None:
    """Also where its signal was overtaken."""
    ledger.write_signal(make_record("overtaken", result=Result.PARTIAL, reason=OVERTAKEN))
    (order,) = ledger.add_orders([make_order(state=OrderState.SENDING)])
    assert not ledger.has_joined()
    fill = make_fill("1", "1")
    ledger.book_order(order, make_report(order, fill), [fill], {QUOTE: ONE})
    assert ledger.has_joined()


def test_first_sight(ledger: Ledger) -> None:
    """The earliest one counts, in whichever mode and book; the newest thousand are kept."""
    for number in range(1001):
        ledger.write_sight(key(str(number)), NOW + timedelta(seconds=number))
    assert ledger.sight(key("0")) is None
    assert ledger.sight(key("1")) == NOW + timedelta(seconds=1)
    ledger.write_signal(make_record("1", seen_at=NOW))
    ledger.write_signal(make_record("other", seen_at=NOW))
    assert ledger.sight(key("1")) == ledger.sight(key("other")) == NOW
    live = Ledger(ledger.path, Mode.LIVE, QUOTE)
    live.open()
    assert live.sight(key("other")) == NOW
    live.close()


def test_a_signal_with_facts(ledger: Ledger) -> None:
    """One commit, all or nothing."""
    ledger.write_signal(make_record("one"), {"paused": "now"})
    assert ledger.fact("paused") == "now"
    with pytest.raises(LedgerError, match="UNIQUE"):
        ledger.write_signal(make_record("one"), {"paused": "later"})
    assert ledger.fact("paused") == "now"


def test_the_same_signal_is_not_written_twice(ledger: Ledger) -> None:
    """Its id is its own."""
    ledger.write_signal(make_record())
    with pytest.raises(LedgerError, match="UNIQUE"):
        ledger.write_signal(make_record())


# Orders and fills


def test_orders_come_back_as_they_were(ledger: Ledger) -> None:
    """With everything that is unknown of them."""
    plain = make_order()
    full = make_order(
        Side.SELL,
        "0.00000001",
        "ETH",
        price=Decimal("2000.10"),
        limit_price=Decimal("1990.00"),
        state=OrderState.UNKNOWN,
        sent_at=NOW + MINUTE,
        order_id="7",
        executed_quantity=Decimal("0.00000001"),
        executed_amount=Decimal("0.00002"),
        executed_at=NOW + MINUTE * 2,
        reason="no answer",
    )
    added = ledger.add_orders([plain, full])
    assert added == (replace(plain, seq=1), replace(full, seq=2))
    assert ledger.orders(key("signal")) == added
    assert ledger.orders(key("other")) == ()
    assert ledger.orders_named([full.client_order_id, "cv-other"]) == {full.client_order_id: added[1]}
    assert ledger.orders_named([]) == {}


@pytest.mark.parametrize("state", OrderState)
def test_what_is_not_settled_is_in_flight(ledger: Ledger, state: OrderState) -> None:
    """And nothing else; what rests on the exchange is only once its end was asked for."""
    (order,) = ledger.add_orders([make_order()])
    ledger.update_orders([order := replace(order, state=state)])
    assert ledger.in_flight() == (() if state.settled or state.rests else (order,))
    assert ledger.resting() == ((order,) if state.rests else ())
    ledger.update_orders([order := replace(order, cancel_at=order.created_at)])
    assert ledger.in_flight() == (() if state.settled else (order,))
    assert ledger.resting() == ()


def test_orders_are_written_all_or_none(ledger: Ledger) -> None:
    """One that cannot be written takes the others with it."""
    (first,) = ledger.add_orders([make_order()])
    with pytest.raises(LedgerError):
        ledger.add_orders([make_order(coin="ETH"), make_order()])
    (second,) = ledger.add_orders([make_order(coin="ETH")])
    named_alike = replace(second, client_order_id=first.client_order_id)
    with pytest.raises(LedgerError):
        ledger.update_orders([replace(first, reason="changed"), named_alike])
    assert ledger.orders(key("signal")) == (first, second)


def test_an_order_is_booked_with_its_fills(ledger: Ledger) -> None:
    """Its figures are those of the fills, and the trade tells what they were on average."""
    add_flow(ledger, "100000")
    order = make_order(quantity="1", price=Decimal(50_000))
    fills = [
        make_fill("0.4", "50000", "0.0004", "BTC", trade_id="11", order_id="5"),
        make_fill("0.2", "50300", "0.01", "BNB", trade_id="12", order_id="5"),
        make_fill("0.1", "50300", "0.0001", "BTC", trade_id="13", order_id="5"),
    ]
    booked = trade(ledger, order, *fills, time=NOW + MINUTE, cursor="6")
    assert (booked.state, booked.order_id, booked.executed_at) == (OrderState.BOOKED, "5", NOW + MINUTE)
    assert (booked.executed_quantity, booked.executed_amount) == (Decimal("0.7"), Decimal(35_090))
    assert ledger.orders(key("signal")) == (booked,)
    (told,) = ledger.trades()
    assert told == Trade(
        time=NOW + MINUTE,
        signal_id="signal",
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.BUY,
        quantity=Decimal("0.7"),
        amount=Decimal(35_090),
        fees=(("BTC", Decimal("0.0005")), ("BNB", Decimal("0.01"))),
        planned_price=Decimal(50_000),
    )
    assert told.price == Decimal(35_090) / Decimal("0.7")
    assert ledger.book().portfolio.quantity("BTC") == Decimal("0.6995")
    assert ledger.last_fee_asset() == "BTC"
    assert (ledger.cursor("BTCUSDC"), ledger.cursor("ETHUSDC")) == ("6", None)


@pytest.mark.parametrize(
    ("side", "planned", "slippage"),
    [(Side.BUY, "100", "0.02"), (Side.SELL, "100", "-0.02"), (Side.BUY, None, None), (Side.BUY, "0", None)],
)
def test_slippage_is_how_much_worse_a_trade_was(side: Side, planned: str | None, slippage: str | None) -> None:
    """Dearer for a buy, cheaper for a sell; unknown where no price was planned."""
    told = Trade(
        time=NOW,
        signal_id="signal",
        coin="BTC",
        symbol="BTCUSDC",
        side=side,
        quantity=Decimal(2),
        amount=Decimal(204),
        fees=(),
        planned_price=None if planned is None else Decimal(planned),
    )
    assert told.slippage == (None if slippage is None else Decimal(slippage))


def test_an_order_without_a_fill_is_no_trade(ledger: Ledger) -> None:
    """It is settled all the same."""
    booked = trade(ledger, make_order(), order_id="9", cursor="10")
    assert (booked.state, booked.executed_amount) == (OrderState.BOOKED, 0)
    assert ledger.trades() == ledger.trades_of([booked.seq]) == ()
    assert ledger.trades_since(NOW - MINUTE) == 0
    assert ledger.cursor("BTCUSDC") == "10"


def test_orders_of_several_signals(ledger: Ledger) -> None:
    """Each with its own, also where another source has a signal of the same id."""
    told = [("leader", "one"), ("other", "two"), ("other", "one"), ("leader", "two")]
    orders = [
        ledger.add_orders([make_order(source=source, signal_id=name, leg=leg, client_order_id=f"cv-{leg}")])[0]
        for leg, (source, name) in enumerate(told)
    ]
    one, two, none = SignalKey("leader", "one"), SignalKey("other", "two"), SignalKey("leader", "none")
    assert ledger.orders_of([one, two, none]) == {one: [orders[0]], two: [orders[1]], none: []}
    assert ledger.orders_of([]) == {}


def test_trades_newest_first(ledger: Ledger) -> None:
    """By when they were executed, by any limit and since any time; what is in flight is not among them."""
    add_flow(ledger, "1000")
    ledger.add_orders([make_order(leg=99)])
    orders = [
        trade(
            ledger,
            make_order(leg=leg),
            make_fill("1", "10", trade_id=str(leg), order_id=str(leg), time=NOW + MINUTE * at),
        )
        for leg, at in ((1, 0), (2, 2), (3, 1), (4, 1))
    ]
    times = [told.time for told in ledger.trades()]
    assert times == [NOW + MINUTE * at for at in (2, 1, 1, 0)]
    assert len(ledger.trades(limit=2)) == 2
    assert [told.time for told in ledger.trades(since=NOW + MINUTE)] == times[:3]
    assert ledger.trades_since(NOW + MINUTE) == 3
    assert [told.time for told in ledger.trades_of([orders[1].seq, orders[0].seq])] == [NOW, NOW + MINUTE * 2]
    assert ledger.trades_of([]) == ()


def test_pages_of_trades(ledger: Ledger) -> None:
    """In the order they were placed, newest first, each page where the last one ended."""
    add_flow(ledger, "1000")
    placed = [
        trade(ledger, make_order(leg=leg), make_fill("1", "10", trade_id=str(leg), time=NOW - MINUTE * leg)).seq
        for leg in range(1, 6)
    ]
    trade(ledger, make_order(leg=6))
    first = ledger.trades_before(2, None)
    assert list(first) == [placed[4], placed[3]]
    assert [told.time for told in first.values()] == [NOW - MINUTE * 5, NOW - MINUTE * 4]
    assert list(ledger.trades_before(10, placed[3])) == [placed[2], placed[1], placed[0]]
    assert ledger.trades_before(10, placed[0]) == {}


def test_a_fill_is_booked_once(ledger: Ledger) -> None:
    """Neither again with its order nor with another one of that symbol; another symbol has its own numbers."""
    add_flow(ledger, "1000")
    booked = trade(ledger, make_order(), make_fill("1", "10", trade_id="7"))
    before = ledger.book()
    (other,) = ledger.add_orders([make_order(leg=1)])
    for order in (booked, other):
        with pytest.raises(LedgerError, match="UNIQUE"):
            ledger.book_order(order, make_report(order, fill := make_fill("1", "10", trade_id="7")), [fill], PRICES)
    assert ledger.book() == before
    assert ledger.replay() == before.portfolio
    assert ledger.in_flight() == (other,)
    trade(ledger, make_order(coin="ETH"), make_fill("1", "10", trade_id="7"))
    assert len(ledger.trades()) == 2


@pytest.mark.parametrize("executed", ["0.9", "1.1", "0"])
def test_fills_that_do_not_add_up_are_not_booked(ledger: Ledger, executed: str) -> None:
    """Their sum is what the exchange says was executed, or nothing is touched."""
    add_flow(ledger, "1000")
    (order,) = ledger.add_orders([make_order()])
    fill = make_fill("1", "10")
    with pytest.raises(BookError, match="do not add up"):
        ledger.book_order(order, make_report(order, fill, executed_quantity=Decimal(executed)), [fill], PRICES)
    assert ledger.in_flight() == (order,)
    assert ledger.counts()["fills"] == 0


def test_a_booking_that_cannot_be_true_leaves_nothing(ledger: Ledger) -> None:
    """The first fill could have been booked; the second sells what is not there."""
    add_flow(ledger, "1000")
    trade(ledger, make_order(), make_fill("1", "10", trade_id="1"))
    before = ledger.book()
    (order,) = ledger.add_orders([make_order(Side.SELL, "2")])
    fills = [make_fill("1", "10", trade_id="2"), make_fill("1", "10", trade_id="3")]
    with pytest.raises(BookError):
        ledger.book_order(order, make_report(order, *fills), fills, PRICES)
    assert ledger.book() == before
    assert ledger.counts()["fills"] == 1
    assert ledger.in_flight() == (order,)


@pytest.mark.parametrize("recovered", [False, True])
def test_more_than_is_held_of_the_fee_coin(ledger: Ledger, recovered: bool) -> None:
    """Recovered it is sold, as far as fees were taken in it; a sale of our own never sells more than is held."""
    add_flow(ledger, "1000")
    trade(ledger, make_order(coin="BNB"), make_fill("1", "10", trade_id="1"))
    trade(ledger, make_order(), make_fill("1", "10", "0.1", "BNB", trade_id="2"))
    for quantity, booked in (("1.01", False), ("1", recovered)):
        (order,) = ledger.add_orders([make_order(Side.SELL, quantity, "BNB", leg=len(quantity))])
        fill = make_fill(quantity, "12", trade_id="3")
        if not booked:
            with pytest.raises(BookError, match="less than"):
                ledger.book_order(order, make_report(order, fill), [fill], PRICES, recovered=recovered)
            continue
        _, book = ledger.book_order(order, make_report(order, fill), [fill], PRICES, recovered=recovered)
        assert book.portfolio.quantity("BNB") == 0
        assert book.portfolio.cash == 1000 - 10 - 10 + 12 - Decimal("1.2")
        assert ledger.replay() == book.portfolio
        assert ledger.fact("lent") == "0.1"


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.AT_ONCE])
def test_fees_paid_in_what_rests(ledger: Ledger, kind: OrderType, at_once: bool) -> None:
    """A sale of all of the fee coin that is filled in parts pays the fee of the first out of the rest: the owner lent it."""
    if kind is OrderType.AT_ONCE and not at_once:
        return  # it does not rest
    add_flow(ledger, "1000")
    trade(ledger, make_order(coin="BNB"), make_fill("1", "10", trade_id="1"))
    (order,) = ledger.add_orders([replace(make_order(Side.SELL, "1", "BNB"), type=kind)])
    fills = [make_fill("0.5", "6", "0.01", "BNB", trade_id=trade_id) for trade_id in ("2", "3")]
    if not at_once:
        report = replace(make_report(order, *fills[:1]), quantity=Decimal(1), status=OrderStatus.PARTLY_FILLED)
        order, book = ledger.book_order(order, report, fills[:1], PRICES)
        assert order.state is OrderState.PARTLY_FILLED
        assert book.portfolio.quantity("BNB") == Decimal("0.49")
    order, book = ledger.book_order(order, make_report(order, *fills), fills, PRICES)
    assert order.state is OrderState.BOOKED
    assert book.portfolio.quantity("BNB") == 0
    assert book.portfolio.cash == 1000 - 10 + 2 * fills[0].amount - Decimal("0.01") * (fills[0].price + PRICES["BNB"])
    assert ledger.replay() == book.portfolio
    assert ledger.fact("lent") == "0.02"


def test_a_page_of_orders(ledger: Ledger) -> None:
    """New and known orders in one commit with how far they were read, and with a fact where there is one."""
    (known,) = ledger.add_orders([make_order()])
    ledger.write_page("BTCUSDC", "8", [], None)
    assert (ledger.cursor("BTCUSDC"), ledger.cursor("ETHUSDC"), ledger.fact("rest")) == ("8", None, None)
    page = [replace(known, order_id="9"), make_order(leg=1, order_id="8")]
    ledger.write_page("BTCUSDC", "10", page, "rest")
    assert [order.order_id for order in ledger.in_flight()] == ["9", "8"]
    assert (ledger.cursor("BTCUSDC"), ledger.fact("rest")) == ("10", "10")
    with pytest.raises(LedgerError):
        ledger.write_page("BTCUSDC", "21", [make_order(leg=2), make_order(leg=1)], None)
    assert (len(ledger.in_flight()), ledger.cursor("BTCUSDC")) == (2, "10")


def test_traded_coins(ledger: Ledger) -> None:
    """Of every symbol that an order was written down for, whatever became of it."""
    ledger.add_orders([make_order(), make_order(coin="SOL"), make_order(Side.SELL), make_order(coin="ETH")])
    assert ledger.traded_coins() == {"BTCUSDC": "BTC", "ETHUSDC": "ETH", "SOLUSDC": "SOL"}


# Two books in one file


def test_dry_run_and_live_never_mix(ledger: Ledger) -> None:
    """The same file, the same ids, and not one figure of the other."""
    live = Ledger(ledger.path, Mode.LIVE, QUOTE)
    live.open()
    add_flow(ledger, "1000")
    trade(ledger, make_order(), make_fill("1", "10", "0.001", "BTC", trade_id="1", order_id="77"))
    ledger.add_orders([make_order(leg=1)])
    ledger.write_signal(make_record(reason="dry"))
    ledger.write_close(NOW, ONE, ONE, Units(), Drawdown())
    ledger.remember("paused", "yes")

    test_a_new_ledger_is_empty(live)
    live.write_page("BTCUSDC", "3", [], None)
    live.remember("paused", None)
    live.remember("dead", "yes")
    live.write_signal(make_record(reason="live"))
    add_flow(live, "5")
    trade(live, make_order(leg=5), make_fill("0.1", "20", trade_id="1", order_id="3"))
    live.write_close(NOW, ONE, ONE, Units(), Drawdown())

    assert ledger.book().portfolio.cash == 990
    assert live.book().portfolio.cash == 3
    assert ledger.counts() == {"signals": 1, "orders": 2, "fills": 1, "cash_flows": 1, "closes": 1}
    assert live.counts() == {"signals": 1, "orders": 1, "fills": 1, "cash_flows": 1, "closes": 1}
    for each, quantity, reason in ((ledger, 1, "dry"), (live, Decimal("0.1"), "live")):
        assert [told.quantity for told in each.trades()] == [quantity]
        assert [record.reason for record in each.signals()] == [reason]
        assert len(each.flows()) == len(each.closes()) == each.trades_since(NOW) == 1
        assert each.replay() == each.book().portfolio
    assert (len(ledger.in_flight()), len(live.in_flight())) == (1, 0)
    assert len(ledger.orders(key("signal"))) == 2
    assert (ledger.fact("paused"), ledger.fact("dead"), live.fact("dead")) == ("yes", None, "yes")
    assert (ledger.cursor("BTCUSDC"), live.cursor("BTCUSDC")) == (None, "3")
    live.close()


# Whatever the storage does


def test_a_power_cut_leaves_all_or_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """What lies on the disk at each statement of a booking is the book before it; after the commit, the one after."""
    add_flow(ledger, "1000")
    (order,) = ledger.add_orders([make_order()])
    before = ledger.book()
    seen: list[Book] = []

    def cut(*_: object) -> None:
        seen.append(book_after_a_cut(ledger, tmp_path / str(len(seen))))

    engine = engine_of(ledger)
    event.listen(engine, "after_cursor_execute", cut)
    fills = [make_fill("0.5", "10", trade_id=str(number)) for number in (1, 2)]
    _, after = ledger.book_order(order, make_report(order, *fills), fills, PRICES)
    event.remove(engine, "after_cursor_execute", cut)
    assert len(seen) > 6
    assert all(book == before for book in seen)
    assert after != before
    assert book_after_a_cut(ledger, tmp_path / "after") == after


def book_after_a_cut(ledger: Ledger, folder: Path) -> Book:
    """What a ledger reads from the files as they lie there now."""
    shutil.copytree(ledger.path.parent, folder)
    (folder / f"{ledger.path.name}-shm").unlink(missing_ok=True)
    copy = Ledger(folder / ledger.path.name, ledger.mode, ledger.quote)
    copy.open()
    book = copy.book()
    assert copy.replay() == book.portfolio
    assert len(copy.trades()) + len(copy.in_flight()) == 1
    copy.close()
    return book


@pytest.mark.parametrize("fault", [full_disk, failing_disk, read_only])
def test_a_storage_fault_is_told_in_plain_words(ledger: Ledger, fault: Fault) -> None:
    """As LedgerError, without a statement or a value, nowhere in its chain; nothing of what failed is kept."""
    secret = "s3cret" * 2000
    add_flow(ledger, "1000")
    (order,) = ledger.add_orders([make_order()])
    before = ledger.book()
    fills = [make_fill("0.001", "1000", trade_id=str(number), fee_asset="BTC") for number in range(1, 500)]
    with fault(ledger):
        for write in (
            lambda: ledger.remember("told", secret),
            lambda: ledger.write_signal(make_record(reasoning=secret)),
            lambda: ledger.add_orders([make_order(leg=1, reason=secret)]),
            lambda: ledger.update_orders([replace(order, reason=secret)]),
            lambda: ledger.book_order(order, make_report(order, *fills), fills, PRICES),
            lambda: add_flow(ledger, "1", note=secret),
        ):
            with pytest.raises(LedgerError, match=r"^the ledger failed: .+") as caught:
                write()
            assert len(str(caught.value)) < 100
            assert "INSERT" not in str(caught.value)
            error: BaseException | None = caught.value
            while error:
                assert "s3cret" not in str(error)
                error = error.__cause__ or error.__context__
    ledger.close()
    ledger.open()
    assert ledger.book() == before
    assert ledger.orders(key("signal")) == (order,)
    assert ledger.signals() == ()
    assert len(ledger.flows()) == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE books SET cash = 'much'",
        "UPDATE signals SET result = 'good'",
        "UPDATE signals SET left_out = '{'",
        "UPDATE signals SET seen_at = 'yesterday'",
        "UPDATE cash_flows SET kind = 'gift'",
        "UPDATE orders SET side = 'HOLD'",
        "UPDATE orders SET state = 'lost'",
        "UPDATE fills SET price = ''",
        "DROP TABLE positions",
    ],
)
def test_what_cannot_be_read_is_an_error(ledger: Ledger, damage: str) -> None:
    """Never a figure that nobody wrote."""
    add_flow(ledger, "1000")
    trade(ledger, make_order(), make_fill("1", "10"))
    ledger.add_orders([make_order(leg=1)])
    ledger.write_signal(make_record())
    with closing(sqlite3.connect(ledger.path)) as connection, connection:
        connection.execute(damage)

    def read_everything() -> None:
        for read in (ledger.book, ledger.signals, ledger.flows, ledger.trades, ledger.in_flight, ledger.replay):
            read()
        ledger.orders(key("signal"))

    with pytest.raises(LedgerError, match="the ledger failed"):
        read_everything()


def test_a_path_is_taken_literally(tmp_path: Path) -> None:
    """Whatever characters stand in it."""
    path = tmp_path / "a ?mode=memory&b#c%20" / "entry.db"
    ledger = Ledger(path, Mode.LIVE, QUOTE)
    ledger.open()
    add_flow(ledger, "1")
    ledger.close()
    assert path.is_file()
