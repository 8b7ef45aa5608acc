"""Figures say what the book says; what rests on a price or a rate that is missing is unknown, never 0."""

from dataclasses import fields, replace
from decimal import Decimal

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.decimals import ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import Book
from custom_components.calvalot.trading.performance import Drawdown, Units
from custom_components.calvalot.trading.portfolio import Portfolio
from custom_components.calvalot.trading.profit import Profit
from custom_components.calvalot.trading.snapshot import Figures, PositionFigures, Snapshot, Status, figures

from .builders import NOW, amounts, decimals, make_portfolio

SYMBOLS = {"BTC": "BTCUSDC", "ETH": "ETHUSDC"}
BOOK = Book(
    portfolio=replace(make_portfolio("600", BTC="0.008"), realised=Decimal(7), fees=Decimal(3)),
    net_deposits=Decimal(800),
    units=Units(Decimal(800), Decimal("1.1")),
    drawdown=Drawdown(Decimal("1.25"), Decimal(12)),
)
PRICES = decimals({"BTC": "50000", "ETH": "2000"})
IN_EUR = {"total_value", "profit_loss", "profit_loss_percent", "profit"}
VALUED = {"total_value_quote", "positions_value", "tracking_distance", *IN_EUR}


def look(
    book: Book = BOOK,
    rate: Decimal | None = Decimal("0.9"),
    prices: dict[str, Decimal] = PRICES,
    targets: dict[str, Decimal] | None = None,
) -> Figures:
    """The figures of a book at these prices."""
    return figures(book, book.portfolio.value(prices), rate, prices, targets, SYMBOLS, NOW)


def unknown(shown: Figures) -> set[str]:
    """Names of the figures that are None."""
    return {item.name for item in fields(shown) if getattr(shown, item.name) is None}


def test_everything_is_known() -> None:
    """600 in cash and 400 in BTC at 0.9 EUR, 800 EUR paid in."""
    shown = look(targets=decimals({"BTC": "0.3", "ETH": "0.2"}))
    assert shown == Figures(
        as_of=NOW,
        rate=Decimal("0.9"),
        total_value=Decimal(900),
        total_value_quote=Decimal(1000),
        cash=Decimal(600),
        positions_value=Decimal(400),
        net_deposits=Decimal(800),
        profit_loss=Decimal(100),
        profit_loss_percent=Decimal("12.5"),
        profit=Profit(
            total=Decimal(100),
            realised=Decimal("6.3"),
            unrealised=Decimal("359.1"),
            currency_effect=BOOK.portfolio.paid_in * Decimal("0.9") - 800,
            corrections=ZERO,
            fees=Decimal("-2.7"),
        ),
        realised=Decimal(7),
        fees_paid=Decimal(3),
        time_weighted_return=Decimal(10),
        max_drawdown=Decimal(12),
        tracking_distance=Decimal(20),
        positions={
            "BTC": PositionFigures(
                coin="BTC",
                symbol="BTCUSDC",
                quantity=Decimal("0.008"),
                entry_price=Decimal(125),
                price=Decimal(50_000),
                value=Decimal(400),
                weight=Decimal("0.4"),
                target_weight=Decimal("0.3"),
                profit_loss=Decimal(399),
            ),
            "ETH": PositionFigures(
                coin="ETH",
                symbol="ETHUSDC",
                price=Decimal(2000),
                value=ZERO,
                weight=ZERO,
                target_weight=Decimal("0.2"),
                profit_loss=ZERO,
            ),
        },
    )
    assert not unknown(shown)


def test_without_a_rate_nothing_is_told_in_eur() -> None:
    """What is in quote stays."""
    assert unknown(look(rate=None, targets={})) == {"rate", *IN_EUR}


@pytest.mark.parametrize("price", [None, "0"])
def test_without_a_price_there_is_no_value(price: str | None) -> None:
    """Of the whole, of that coin, or of any weight; what the book itself says stays."""
    shown = look(prices=decimals({"ETH": "2000"} | ({"BTC": price} if price else {})), targets={})
    assert unknown(shown) == VALUED
    bitcoin, ether = shown.positions["BTC"], shown.positions["ETH"]
    assert bitcoin.value is bitcoin.profit_loss is bitcoin.weight is ether.weight is None
    assert (bitcoin.quantity, bitcoin.entry_price) == (Decimal("0.008"), 125)
    assert (ether.value, ether.profit_loss) == (0, 0)


def test_a_coin_that_is_not_held_is_worth_nothing_at_any_price() -> None:
    """Its price may be unknown."""
    shown = look(prices=decimals({"BTC": "50000"}))
    ether = shown.positions["ETH"]
    assert ether.price is None
    assert (ether.value, ether.weight, ether.profit_loss) == (0, 0, 0)


def test_without_a_leader_there_are_no_targets() -> None:
    """Neither a distance; an allocation that is all cash has both."""
    assert look().tracking_distance is look().positions["BTC"].target_weight is None
    assert look(targets={}).tracking_distance == 40
    assert look(targets={}).positions["BTC"].target_weight == 0


def test_a_book_that_was_not_begun_tells_nothing() -> None:
    """Not even cash of 0."""
    shown = figures(Book(), None, Decimal("0.9"), PRICES, None, SYMBOLS, None)
    assert unknown(shown) == {item.name for item in fields(Figures)} - {"rate", "positions"}
    assert shown.positions["BTC"].value == 0
    assert look(Book()).profit_loss is look(Book()).net_deposits is None


@pytest.mark.parametrize("missing", [{}, {"BTC": ONE}])
def test_a_ledger_problem_is_something_missing(missing: dict[str, Decimal]) -> None:
    """Nothing missing, no problem."""
    assert Snapshot(mode=Mode.LIVE, status=Status.ACTIVE, missing=missing).ledger_problem == bool(missing)


def test_nothing_is_divided_by_nothing() -> None:
    """No net deposits, no per cent; no value, no distance."""
    assert unknown(look(replace(BOOK, net_deposits=ZERO), targets={})) == {"profit_loss_percent"}
    assert unknown(look(replace(BOOK, net_deposits=Decimal(-50)), targets={})) == {"profit_loss_percent"}
    shown = look(replace(BOOK, portfolio=Portfolio()), targets={})
    assert (shown.total_value, shown.profit_loss, shown.profit_loss_percent) == (0, -800, -100)
    assert shown.tracking_distance is None


@given(
    amounts("100000"), st.dictionaries(st.sampled_from(["BTC", "ETH"]), amounts("1000")), amounts("2", smallest="0.5")
)
def test_parts_add_up(cash: Decimal, held: dict[str, Decimal], rate: Decimal) -> None:
    """Cash and positions are the value, and the profits of the coins are what it is above what was paid in."""
    portfolio = make_portfolio(f"{cash:f}", **{coin: f"{each:f}" for coin, each in held.items() if each})
    shown = look(Book(portfolio=portfolio, net_deposits=ONE), rate)
    assert shown.cash is not None
    assert shown.positions_value is not None
    assert shown.total_value_quote == shown.cash + shown.positions_value
    assert shown.total_value == shown.total_value_quote * rate
    assert shown.positions_value == sum(view.value or 0 for view in shown.positions.values())
    profit = sum(view.profit_loss or 0 for view in shown.positions.values())
    assert profit == shown.total_value_quote - portfolio.paid_in
