"""Returns and risk: as others reckon them, unmoved by money that comes and goes, and unknown where there is too little."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from math import expm1
import os
from random import Random
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import BookedFill, CashFlow, FlowKind
from custom_components.calvalot.trading.performance import Drawdown, Units
from custom_components.calvalot.trading.portfolio import BookError, Portfolio
from custom_components.calvalot.trading.statistics.figures import Statistics
from custom_components.calvalot.trading.statistics.kept import from_text, to_text
from custom_components.calvalot.trading.statistics.marks import PERIODS, Mark
from custom_components.calvalot.trading.statistics.ratios import (
    calmar,
    daily_returns,
    falls,
    months,
    ratios,
    risk_class,
    sharpe,
    sortino,
    volatility,
    years,
)
from custom_components.calvalot.trading.statistics.returns import (
    Holding,
    annualised,
    log_of_xirr,
    modified_dietz,
    percent,
    periods,
)
from custom_components.calvalot.trading.statistics.trades import Traded, exposure, turnover
from tests.oracles import ask_oracles

from .builders import NOW, QUOTE, Flow, Step, Taken, Trade, make_fill, make_order, make_report, make_withdrawal, steps

# All of them where somebody asks for them, a tenth in the ordinary run.
COUNT = int(os.environ.get("CALVALOT_STATISTICS", "100"))
START = date(2024, 1, 1)
DAY = timedelta(days=1)


def mark(day: int, price: str, **changes: Any) -> Mark:
    """The end of a day of a portfolio of 1,000 units, a euro being worth one of the quote."""
    value = Decimal(price) * 1000
    return Mark(day=START + day * DAY, price=Decimal(price), **{"value": value, "rate": ONE, **changes})


# As others reckon them


def random_history(seed: int) -> tuple[list[Mark], list[tuple[date, Decimal]]]:
    """Marks and flows (EUR paid in) of a portfolio that earns and loses something every day."""
    dice = Random(seed)
    units, value = Units(), ZERO
    known, flows = [], []
    with localcontext(EXACT):
        for number in range(dice.randrange(40, 900)):
            day = START + number * DAY
            if number:
                value *= Decimal(repr(1 + dice.gauss(0.0005, 0.03)))
                units = units.valued(value)
            if not number or dice.random() < 0.02:
                amount = Decimal(f"{dice.uniform(50, 5000):.2f}")
                if number and dice.random() < 0.4:
                    amount = -min(amount, (value / 3).quantize(Decimal("0.01")))
                flows.append((day, amount))
                units = units.with_flow(value, amount)
                value += amount
            known.append(Mark(day=day, price=units.price, value=value, rate=ONE))
    return known, flows


def test_agrees_with_the_oracles() -> None:
    """The yearly rate, volatility, Sharpe, Sortino, Calmar, the deepest fall and the months of random histories."""
    histories = [random_history(seed) for seed in range(COUNT)]
    cases, own = [], []
    for known, flows in histories:
        dated = daily_returns(known)
        paths = [*((day, -float(amount)) for day, amount in flows), (known[-1].day, float(known[-1].value))]
        cases.append(
            {
                "returns": {day.isoformat(): each for day, each in dated},
                "flows": [(day.isoformat(), amount) for day, amount in paths],
            }
        )
        daily = [each for _, each in dated]
        log_rate = log_of_xirr([((day - known[0].day).days, Decimal(amount)) for day, amount in paths])
        assert log_rate is not None
        own.append(
            {
                "xirr": expm1(log_rate),
                "volatility": volatility(daily),
                "sharpe": sharpe(daily),
                "sortino": sortino(daily),
                "calmar": calmar(daily),
                "drawdown": falls(known)[0].depth / 100,
                "months": {f"{year}-{month:02}": each / 100 for (year, month), each in months(known).items()},
            }
        )
    for ours, theirs in zip(own, ask_oracles(cases), strict=True):
        for name, figure in theirs.items():
            assert ours[name] == pytest.approx(figure, rel=1e-9, abs=1e-9), name


# Money that comes and goes


@given(st.lists(st.decimals("-900", "100000", places=2), max_size=20))
def test_no_pattern_of_flows_moves_a_return(flows: list[Decimal]) -> None:
    """At unchanged prices every return is nothing, whatever is paid in and out, and however it is reckoned."""
    with localcontext(EXACT):
        units, value = Units().with_flow(ZERO, Decimal(1000)), Decimal(1000)
        known, paid = [mark(0, "1")], []
        for number, wanted in enumerate(flows, 1):
            amount = max(wanted, -value / 2)
            units, value = units.with_flow(value, amount), value + amount
            paid.append((START + number * DAY, amount))
            known.append(Mark(day=START + number * DAY, price=units.price, value=value, rate=ONE))
    known.append(Mark(day=START + 40 * DAY, price=units.price, value=value, rate=ONE))
    whole = periods(known, paid, None, START + 40 * DAY)["since_start"]
    assert whole
    assert whole.time_weighted_quote == whole.time_weighted
    for each in (whole.time_weighted, whole.money_weighted, whole.modified_dietz):
        assert each is not None
        assert abs(each) < Decimal("1e-9")


def test_periods_begin_with_a_close() -> None:
    """The last one of the day or before it; without one, or without one since, a period is unknown and not nothing."""
    known = [mark(0, "1"), mark(10, "1.1"), mark(400, "1.21")]
    found = periods(known, [], None, START + 400 * DAY)
    assert found.keys() == {*PERIODS, "this_year", "since_start"}
    assert found["2y"] is None
    year, start, this_year = found["1y"], found["since_start"], found["this_year"]
    assert year
    assert start
    assert this_year
    assert (year.since, year.time_weighted) == (START + 10 * DAY, 10)
    assert (start.time_weighted, start.days) == (21, 400)
    assert this_year.since == START + 10 * DAY
    # Nothing was valued for a fortnight.
    assert periods(known, [], None, START + 414 * DAY)["7d"] is None
    assert periods([], [], None, START)["since_start"] is None
    assert periods([mark(0, "1")], [], None, START)["since_start"] is None


def test_this_year_begins_with_the_first_money() -> None:
    """Where that was this year."""
    found = periods([mark(5, "1"), mark(6, "2")], [], None, START + 6 * DAY)["this_year"]
    assert found
    assert (found.since, found.time_weighted) == (START + 5 * DAY, 100)


def test_annualised_beyond_a_year() -> None:
    """21 % in two years are 10 % a year; nothing of a shorter time is made to last a year."""
    two_years = annualised(Decimal(21), 730)
    assert two_years is not None
    assert abs(two_years - 10) < Decimal("1e-9")
    assert annualised(Decimal(21), 365) is None
    assert annualised(None, 730) is None
    assert annualised(Decimal(-100), 730) == -100
    found = periods([mark(0, "1"), mark(730, "1.21")], [], None, START + 730 * DAY)["2y"]
    assert found
    assert found.annualised == two_years
    assert found.xirr is not None
    assert abs(found.xirr - 10) < Decimal("1e-9")
    assert found.money_weighted is not None
    assert abs(found.money_weighted - 21) < Decimal("1e-9")


@pytest.mark.parametrize(
    ("path", "rate"),
    [
        ([], None),
        ([(0, "-100")], None),
        ([(0, "-100"), (365, "-10")], None),
        ([(0, "-100"), (365, "100")], 0.0),
        ([(0, "-100"), (365, "50")], -0.5),
        ([(0, "-100"), (1, "120")], 1.2**365 - 1),
        ([(0, "-100"), (1, "0.0001")], -1.0),
        ([(0, "100"), (365, "-120")], 0.2),
    ],
)
def test_known_rates(path: list[tuple[int, str]], rate: float | None) -> None:
    """None where no rate makes them nothing; also in a day, and when nearly all is lost."""
    found = log_of_xirr([(day, Decimal(amount)) for day, amount in path])
    assert (None if found is None else expm1(found)) == (
        rate if rate is None else pytest.approx(rate, rel=1e-9, abs=1e-12)
    )


def test_a_rate_beyond_all_bounds_is_unknown() -> None:
    """What cannot be told as a number is not told."""
    assert percent(float("inf")) is None
    assert percent(0.5) == 50


@pytest.mark.parametrize(
    ("before", "after", "flows", "days", "expected"),
    [
        ("100", "110", [], 30, "10"),
        ("100", "260", [(15, "100")], 30, "40"),
        ("0", "10", [(30, "10")], 30, None),
        ("100", "110", [], 0, None),
    ],
)
def test_known_dietz(before: str, after: str, flows: list[tuple[int, str]], days: int, expected: str | None) -> None:
    """A flow counts for the days after it."""
    found = modified_dietz(Decimal(before), Decimal(after), [(day, Decimal(each)) for day, each in flows], days)
    assert found == (None if expected is None else Decimal(expected))


def test_beside_what_others_would_have_brought() -> None:
    """BTC and the first day's holding, in quote and in EUR; unknown as soon as a price is."""
    before = {"prices": {"BTC": Decimal(100), "ETH": Decimal(10)}, "rate": Decimal("0.9")}
    after = {"prices": {"BTC": Decimal(150), "ETH": Decimal(10)}, "rate": Decimal("0.99")}
    start = Mark(day=START, price=ONE, rate=Decimal("0.9"))
    holding = Holding(cash=Decimal(50), coins={"ETH": Decimal(5)})
    found = periods([start, mark(0, "1", **before), mark(1, "1.1", **after)], [], holding, START + DAY)["since_start"]
    assert found
    assert found.time_weighted == 10
    assert found.time_weighted_quote == 0
    assert (found.btc_quote, found.first_allocation_quote) == (50, 0)
    assert (found.btc, found.first_allocation) == (65, 10)
    unknown = periods([start, mark(0, "1", **before), mark(1, "1.1", rate=None)], [], holding, START + DAY)
    assert (found := unknown["since_start"])
    assert [found.btc, found.btc_quote, found.first_allocation, found.time_weighted_quote] == [None] * 4
    assert found.time_weighted == 10
    # Without any close there is nothing to compare with yet.
    assert periods([start], [], holding, START)["since_start"] is None


# Risk


def test_falls_have_days_and_a_recovery() -> None:
    """The deepest first; one that is not over has none."""
    path = ["1", "1.2", "0.9", "1.2", "1.5", "1.4", "1.45"]
    found = falls([mark(day, price) for day, price in enumerate(path)])
    assert [(fall.peak, fall.valley, fall.recovered, round(fall.depth, 6)) for fall in found] == [
        (START + DAY, START + 2 * DAY, START + 3 * DAY, 25.0),
        (START + 4 * DAY, START + 5 * DAY, None, round(100 / 15, 6)),
    ]
    assert falls([mark(0, "1"), mark(1, "2")]) == []


def test_months_begin_where_the_one_before_ends() -> None:
    """A month without a close is left out, and what it brought is that of the next; years are the product."""
    known = [mark(0, "1"), mark(20, "1.1"), mark(40, "2.2"), mark(100, "1.1"), mark(370, "1.1")]
    by_month = months(known)
    assert {key: round(each, 9) for key, each in by_month.items()} == {
        (2024, 1): 10,
        (2024, 2): 100,
        (2024, 4): -50,
        (2025, 1): 0,
    }
    assert {year: round(each, 9) for year, each in years(by_month).items()} == {2024: 10, 2025: 0}
    assert months([mark(0, "0"), mark(1, "1")]) == {}


def test_too_little_is_unknown() -> None:
    """Thirty days in a row at least, or a ratio would mislead; days after a gap do not count."""
    short = [mark(day, f"{1 + day % 3 / 10}") for day in range(30)]
    assert ratios(short).days == 29
    assert all(getattr(ratios(short), name) is None for name in ("volatility", "sharpe", "best_day", "risk_class"))
    enough = ratios([*short, mark(30, "1.1")])
    assert (enough.days, enough.risk_class) == (30, 7)
    assert enough.best_day
    assert enough.best_day[1] == pytest.approx(0.1)
    assert enough.worst_day
    assert enough.worst_day[1] == pytest.approx(1 / 1.2 - 1)
    assert ratios([*short, mark(40, "1.1")]).days == 29


def test_what_never_falls_has_no_ratio() -> None:
    """A division by nothing is unknown."""
    still = [0.0] * 40
    assert (sharpe(still), sortino(still), calmar(still)) == (None, None, None)
    sparse = ratios([mark(0, "1"), *(mark(200 + day, "1") for day in range(2))])
    assert sparse.risk_volatility is None


@pytest.mark.parametrize(
    ("spread", "expected"), [(0, 1), (0.5, 2), (1.9, 2), (2, 3), (7, 4), (10, 5), (24.9, 6), (25, 7), (200, 7)]
)
def test_risk_classes(spread: float, expected: int) -> None:
    """Those of the European guidelines."""
    assert risk_class(spread) == expected


# Trades


def apply(steps: list[Step]) -> tuple[Portfolio, list[BookedFill], list[CashFlow]]:
    """What of the steps is possible, as a book and as the ledger would tell it."""
    book, fills, in_kind = Portfolio(), [], []
    for number, step in enumerate(steps, 1):
        try:
            match step:
                case Flow():
                    book = book.with_flow(step.amount)
                case Taken():
                    book = book.with_withdrawal(step.coin, step.quantity, step.value)
                    in_kind.append(make_withdrawal(step, seq=number, after_fill=fills[-1].seq if fills else 0))
                case Trade():
                    book = book.with_fill(step.fill, step.side, step.coin, QUOTE, step.fee_price, ZERO)
                    fills.append(
                        BookedFill(
                            seq=number,
                            order_seq=number,
                            symbol=step.coin + QUOTE,
                            coin=step.coin,
                            side=step.side,
                            fee_price=step.fee_price,
                            fill=step.fill,
                        )
                    )
        except BookError:
            continue
    return book, fills, in_kind


@given(steps(), st.integers(1, 30))
def test_the_results_add_up_to_what_was_realised(happened: list[Step], at_once: int) -> None:
    """To the last digit, with fees in the coin, the quote and another coin; added up at once or bit by bit."""
    book, fills, in_kind = apply(happened)
    traded = Traded()
    for first in range(0, max(len(fills), 1), at_once):
        part = fills[first : first + at_once]
        known = part[-1].seq if part else 0
        # As after a start in between.
        traded = from_text(to_text(traded))
        traded.take(part, [flow for flow in in_kind if (flow.after_fill or 0) <= known], QUOTE)
        assert from_text(to_text(traded)) == traded
    assert traded.portfolio.realised == book.realised
    assert traded.portfolio.positions == book.positions
    with localcontext(EXACT):
        if not in_kind:
            assert traded.gains - traded.losses == book.realised
        for coin, position in book.positions.items():
            assert sum((lot.quantity for lot in traded.lots.get(coin, ())), ZERO) == position.quantity


def booked(seq: int, side: Side, quantity: str, price: str, day: int) -> BookedFill:
    """A fill of BTC some days on."""
    fill = make_fill(quantity, price, "0", time=NOW + day * DAY)
    return BookedFill(seq=seq, order_seq=seq, symbol="BTCUSDC", coin="BTC", side=side, fee_price=ONE, fill=fill)


def test_what_trades_come_to() -> None:
    """Two purchases, a sale with a gain after four days on average, one with a loss."""

    traded = Traded()
    assert (traded.win_rate, traded.profit_factor, traded.holding_days) == (None, None, None)
    bought = [booked(1, Side.BUY, "1", "100", 0), booked(2, Side.BUY, "1", "100", 2)]
    traded.take([*bought, booked(3, Side.SELL, "2", "130", 5)], [], QUOTE)
    assert (traded.win_rate, traded.profit_factor, traded.holding_days) == (1, None, 4)
    traded.take([booked(4, Side.BUY, "1", "100", 6), booked(5, Side.SELL, "1", "80", 6)], [], QUOTE)
    assert (traded.win_rate, traded.profit_factor) == (Decimal("0.5"), 3)
    assert (traded.bought, traded.sold) == (300, 340)
    assert turnover(traded.bought, traded.sold, [Decimal(100), Decimal(200)]) == 2
    assert turnover(traded.bought, traded.sold, []) is None
    assert (exposure(Decimal(25), Decimal(100)), exposure(ZERO, ZERO)) == (Decimal("0.75"), None)


def test_what_was_taken_out_or_lent() -> None:
    """Coins that left in kind are gone before what was traded after them; fees that were lent were never held."""
    taken = CashFlow(
        seq=1,
        kind=FlowKind.WITHDRAWAL,
        amount=Decimal(-120),
        amount_quote=Decimal(-120),
        time=NOW,
        coin="BTC",
        quantity=ONE,
        after_fill=1,
    )
    traded = Traded()
    traded.take([booked(1, Side.BUY, "2", "100", 0), booked(2, Side.SELL, "1", "110", 1)], [taken], QUOTE)
    assert (traded.portfolio.realised, traded.gains) == (30, 10)
    assert not traded.portfolio.positions
    traded.take([booked(3, Side.SELL, "1", "110", 1)], [taken], QUOTE)
    assert (traded.portfolio.realised, traded.gains, traded.won) == (30, 10, 1)
    traded.take(
        [booked(4, Side.BUY, "2", "100", 1)], [taken, replace(taken, seq=2, after_fill=4, quantity=Decimal(2))], QUOTE
    )
    assert (traded.portfolio.realised, traded.portfolio.positions) == (-50, {})


# All of it


def test_of_a_ledger(ledger: Ledger) -> None:
    """Told as plain JSON: text for figures, None for what is not known; an empty one has nothing to tell."""
    statistics = Statistics(ledger)
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    empty = statistics.read(at)
    assert (empty["since"], empty["risk"], empty["months"]) == (None, None, [])
    assert set(empty["periods"].values()) == {None}
    assert empty["trades"]["exposure"] is None

    book = ledger.book()
    with localcontext(EXACT):
        units = Units().with_flow(ZERO, Decimal(900))
        moved = type(book)(portfolio=book.portfolio.with_flow(Decimal(1000)), net_deposits=Decimal(900), units=units)
    flow = CashFlow(kind=FlowKind.INITIAL, amount=Decimal(900), amount_quote=Decimal(1000), time=at, value_before=ZERO)
    ledger.add_flow(flow, moved)
    order = ledger.add_orders([make_order(quantity="5")])[0]
    fill = make_fill("5", "100", "0", time=at)
    ledger.book_order(order, make_report(order, fill), [fill], {QUOTE: ONE})
    prices = {"BTC": Decimal(100)}
    for day in range(40):
        value = 500 + 5 * prices["BTC"]
        units = units.valued(value * Decimal("0.9"))
        ledger.write_close(at + day * DAY, value * Decimal("0.9"), value, units, Drawdown(), prices)
        prices = {"BTC": Decimal(110) + day % 3}
    told = statistics.read(at + 39 * DAY)
    assert told["since"] == "2026-01-01"
    whole = told["periods"]["since_start"]
    assert (whole["since"], whole["days"], whole["time_weighted"]) == ("2026-01-01", 39, "6")
    assert (whole["btc"], whole["btc_quote"], whole["first_allocation"]) == ("12", "12", "6")
    assert whole["money_weighted"] == "6"
    assert whole["modified_dietz"] == "6"
    assert told["periods"]["60d"] is None
    assert told["trades"]["exposure"].startswith("52.")
    assert told["trades"]["bought"] == "500"
    assert told["risk"]["best_day"] == {"day": "2026-01-02", "return": "5"}
    assert told["risk"]["best_month"]["month"] == "2026-01"
    assert told["risk"]["worst_month"]["month"] == "2026-02"
    assert float(told["risk"]["best_month"]["return"]) > float(told["risk"]["worst_month"]["return"])
    # 5 BTC that cost 500 are worth 560.
    assert (told["trades"]["realised"], told["trades"]["unrealised"]) == ("0", "60")
    assert told["risk"]["drawdowns"][0]["recovered"] is not None
    assert told["months"][0]["months"]["03"] is None
    ledger.write_close(at + 40 * DAY, ONE, ONE, units, Drawdown(), {})
    assert statistics.read(at + 40 * DAY)["trades"]["unrealised"] is None


def test_what_was_added_up_is_kept(ledger: Ledger) -> None:
    """With every 250th fill, for the next start, which goes on from there; also after an older copy came back."""
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with localcontext(EXACT):
        units = Units().with_flow(ZERO, Decimal(90_000))
        book = ledger.book()
        paid = replace(book, portfolio=book.portfolio.with_flow(Decimal(100_000)), net_deposits=ONE, units=units)
    amount = Decimal(100_000)
    ledger.add_flow(
        CashFlow(kind=FlowKind.INITIAL, amount=amount, amount_quote=amount, time=at, value_before=ZERO), paid
    )

    def trade(count: int) -> None:
        for order in ledger.add_orders(
            [make_order(client_order_id=f"{ledger.last_fill()}-{each}") for each in range(count)]
        ):
            fill = make_fill("1", "100", "0", time=at, trade_id=order.client_order_id)
            ledger.book_order(order, make_report(order, fill), [fill], {QUOTE: ONE})

    trade(249)
    first = Statistics(ledger)
    first.keep_up()
    assert ledger.fact("traded") is None
    trade(1)
    first.keep_up()
    kept = ledger.fact("traded")
    assert kept
    assert ledger.fact("traded_up_to") == f"{ledger.last_fill()}"
    trade(3)
    first.keep_up()
    assert ledger.fact("traded") == kept
    assert Statistics(ledger).read(at)["trades"]["bought"] == "25300"
    # What is kept is gone on with, and not added up again.
    ledger.remember("traded", kept.replace('"bought":"25000"', '"bought":"1000"'))
    assert Statistics(ledger).read(at)["trades"]["bought"] == "1300"
