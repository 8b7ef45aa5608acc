"""How buys are paid: no cash is left that a step of something wanted could be bought with, and no sale is made for nothing."""

from decimal import Decimal

import pytest

from custom_components.calvalot.trading.decimals import ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.funding import as_planned
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.planner import Plan, fund, plan
from custom_components.calvalot.trading.sizing import Market, PlannedOrder, Reason, least_quantity
from custom_components.calvalot.trading.wants import Allocation

from .builders import decimals, make_market, make_portfolio, make_rules

# What a buy may cost is its amount and the fee.
FREE = Limits(max_slippage=ZERO, min_order=ZERO)
FEE = Decimal("1.001")


def market(**coins: tuple[str, str, str]) -> Market:
    """Coins with price, step and minimum notional."""
    rules = {
        coin: make_rules(
            coin,
            step=Decimal(step),
            min_quantity=Decimal(step),
            min_notional=Decimal(notional),
            quote_step=Decimal("1e-8"),
        )
        for coin, (_, step, notional) in coins.items()
    }
    return make_market({coin: price for coin, (price, _, _) in coins.items()}, **rules)


def bought(wanted: dict[str, str], cash: str, market: Market, limits: Limits = FREE) -> dict[str, str]:
    """Amounts that are bought of what is wanted, or why nothing is; of a capital of 1,000 with nothing asked for in cash."""
    planned = Plan(wanted=decimals(wanted), reserve=ZERO)
    orders, left_out = fund(planned, Decimal(cash) * FEE, Decimal(1000), market, limits)
    return {order.coin: f"{order.amount.normalize():f}" for order in orders} | {
        item.coin: item.reason.value for item in left_out
    }


@pytest.mark.parametrize(
    ("cash", "amounts"),
    [
        ("1000", {"BTC": "100", "ETH": "30"}),  # all there is: to the nearest step of 10, down and up
        ("120", {"BTC": "100", "ETH": "20"}),
        ("100", {"BTC": "80", "ETH": "20"}),
        ("109.99", {"BTC": "80", "ETH": "20"}),
        ("110", {"BTC": "90", "ETH": "20"}),  # the step that is left goes where most is lacking
    ],
)
def test_to_the_nearest_step(cash: str, amounts: dict[str, str]) -> None:
    """As far as the cash reaches, and not a step further."""
    coarse = market(BTC=("10", "1", "0"), ETH=("10", "1", "0"))
    assert bought({"BTC": "104.99", "ETH": "25"}, cash, coarse) == amounts


def test_no_buy_is_scaled_under_its_minimum() -> None:
    """What is wanted beyond the minimums is scaled alike."""
    fine = market(BTC=("1", "0.01", "10"), ETH=("1", "0.01", "10"))
    amounts = bought({"BTC": "110.5", "ETH": "11.5"}, "71.5", fine)
    assert amounts == {"BTC": "60.5", "ETH": "11"}


def test_where_the_cash_does_not_reach_for_all_minimums() -> None:
    """What it cannot pay at all goes without, then the smallest; what that frees goes to the others."""
    fine = market(BTC=("1", "0.01", "50"), ETH=("1", "0.01", "10"), SOL=("1", "0.01", "10"))
    wanted = {"BTC": "60", "ETH": "40", "SOL": "30"}
    assert bought(wanted, "20", fine) == {"BTC": "no_cash", "SOL": "no_cash", "ETH": "20"}
    assert bought(wanted, "5", fine) == dict.fromkeys(wanted, "no_cash")


def test_what_costs_took_is_no_lack_of_cash() -> None:
    """Up to a hundredth of the capital is as good as bought."""
    fine = market(BTC=("1", "0.01", "10.5"), ETH=("1", "0.01", "1"))
    assert bought({"BTC": "12", "ETH": "10"}, "0.5", fine) == {"BTC": "no_cash", "ETH": "below_threshold"}


def test_an_order_that_steps_make_too_small() -> None:
    """Whatever the cash."""
    coarse = market(BTC=("10", "1", "5"))
    assert bought({"BTC": "9.99"}, "1000", coarse) == {"BTC": "below_minimum"}


def test_no_order_over_the_largest_share() -> None:
    """Not even by the half of a step."""
    limits = Limits(max_slippage=ZERO, min_order=ZERO, max_order_share=Decimal("0.106"))
    coarse = market(BTC=("10", "1", "0"))
    assert bought({"BTC": "500"}, "1000", coarse, limits) == {"BTC": "100"}


def test_without_steps_and_minimums() -> None:
    """Nothing is ordered of nothing, and says so; a smallest quantity is never 0."""
    free = make_market({"BTC": "10"}, BTC=make_rules(step=ZERO, min_quantity=ZERO, min_notional=ZERO, quote_step=ONE))
    assert least_quantity(free, FREE, "BTC") == Decimal("1e-8")
    assert bought({"BTC": "10"}, "0", free) == {"BTC": "below_threshold"}
    assert bought({"BTC": "10"}, "20", free) == {"BTC": "10"}
    stepped = make_market({"BTC": "10"}, BTC=make_rules(step=ONE, min_quantity=ZERO, min_notional=ZERO))
    assert least_quantity(stepped, FREE, "BTC") == 1


def test_wanting_nothing_buys_nothing() -> None:
    """Nor does it divide by 0."""
    assert bought({}, "100", market(BTC=("10", "1", "5"))) == {}
    assert bought({"BTC": "10"}, "100", market(BTC=("10", "1", "0"))) == {"BTC": "10"}


# Sells


def sold(portfolio: dict[str, str], cash: str, shares: dict[str, str], asked: str, market: Market) -> dict[str, str]:
    """Amounts that are sold of a portfolio, or why nothing is."""
    book = make_portfolio(cash, **portfolio)
    valuation = book.value(market.prices)
    assert valuation
    wants = Allocation(shares=decimals(shares), cash=Decimal(asked))
    planned = plan(wants, book, valuation, market, FREE, {})
    return {order.coin: f"{order.amount.normalize():f}" for order in planned.sells} | {
        item.coin: item.reason.value for item in planned.left_out if item.side is Side.SELL
    }


def test_a_sale_that_buys_nothing_is_not_made() -> None:
    """The purchase that it was for is too small to be sent."""
    fine = market(BTC=("1", "0.01", "5"), ETH=("1", "0.01", "100"))
    assert sold({"BTC": "550"}, "450", {"BTC": "0.5", "ETH": "0.05"}, "0.45", fine) == {"BTC": "not_needed"}


def test_cash_that_is_asked_for_is_sold_for() -> None:
    """As much as is missing, a step more at most, and the fee."""
    fine = market(BTC=("1", "0.01", "5"))
    assert sold({"BTC": "600"}, "400", {"BTC": "0.5"}, "0.42", fine) == {"BTC": "20.03"}


def test_a_coin_without_a_share_goes_whole() -> None:
    """Whatever that is needed for; the others give only what it does not bring."""
    fine = market(BTC=("1", "0.01", "5"), ETH=("1", "0.01", "5"), SOL=("1", "0.01", "5"))
    portfolio = {"BTC": "300", "ETH": "600"}
    assert sold(portfolio, "100", {"BTC": "0.2", "SOL": "0.5"}, "0.2", fine) == {"BTC": "not_needed", "ETH": "600"}
    assert sold(portfolio, "100", {"BTC": "0.2", "SOL": "0.55"}, "0.2", fine) == {"BTC": "51.21", "ETH": "600"}


def test_where_less_than_a_minimum_is_missing_another_gives_way() -> None:
    """The larger sale leaves room for the smallest one that can be sent; without such room it is left out."""
    fine = market(BTC=("1", "0.01", "5"), ETH=("1", "0.01", "50"), SOL=("1", "0.01", "5"))
    portfolio = {"BTC": "300", "ETH": "360"}
    sells = sold(portfolio, "340", {"BTC": "0.2", "ETH": "0.3"}, "0.45", fine)
    assert sells == {"BTC": "57.62", "ETH": "52.5"}
    tight = market(BTC=("1", "0.01", "93"), ETH=("1", "0.01", "50"), SOL=("1", "0.01", "5"))
    assert sold(portfolio, "340", {"BTC": "0.2", "ETH": "0.3"}, "0.45", tight) == {"BTC": "100", "ETH": "not_needed"}


def test_a_leaders_allocation_sells_all_that_is_too_much() -> None:
    """Cash may pile up there: it is what the leader has."""
    fine = market(BTC=("1", "0.01", "5"))
    book = make_portfolio("400", BTC="600")
    valuation = book.value(fine.prices)
    assert valuation
    planned = plan(Allocation(shares=decimals({"BTC": "0.5"})), book, valuation, fine, FREE, {})
    assert planned.sells[0].amount == 100


@pytest.mark.parametrize(("held", "reason"), [("8", Reason.BELOW_THRESHOLD), ("0", Reason.BELOW_MINIMUM)])
def test_less_than_an_order_is_missing(held: str, reason: Reason) -> None:
    """Of a coin that is held that is as good as done; of one that is not, its share is too small to be had."""
    fine = market(BTC=("1", "0.01", "10"))
    book = make_portfolio("900", **({"BTC": held} if held != "0" else {}))
    valuation = book.value(fine.prices)
    assert valuation
    planned = plan(
        Allocation(shares={"BTC": Decimal(10) / valuation.total}, cash=ZERO), book, valuation, fine, FREE, {}
    )
    assert [item.reason for item in planned.left_out] == [reason]


def order_of(quote_amount: str | None = None, limit_price: str | None = None) -> PlannedOrder:
    """A purchase of 2 BTC at 100 that was planned."""
    return PlannedOrder(
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.BUY,
        quantity=Decimal(2),
        price=Decimal(100),
        amount=Decimal(200),
        limit_price=limit_price and Decimal(limit_price),
        quote_amount=quote_amount and Decimal(quote_amount),
    )


@pytest.mark.parametrize(
    ("order", "cash", "quantity", "limit"),
    [
        (order_of(limit_price="101"), "203", "2", "101"),
        # The guard gives way before the size does.
        (order_of(limit_price="101"), "201", "2", "100.39"),
        (order_of(limit_price="101"), "200.3", "1.98", None),
        (order_of(quote_amount="200"), "200.2", "2", None),
        (order_of(quote_amount="200"), "100.2", "1", None),
        (order_of(), "213", "2", None),
        (order_of(), "106.2", "1", None),
    ],
)
def test_as_planned(order: PlannedOrder, cash: str, quantity: str, limit: str | None) -> None:
    """A purchase of a given size is made whole where the cash reaches, never for more than there is."""
    rules = make_rules("BTC", step=Decimal("0.01"), quote_step=Decimal("0.01") if order.quote_amount else None)
    limits = Limits(max_slippage=Decimal("0.01") if order.limit_price else ZERO)
    (made,), left_out = as_planned([order], Decimal(cash), make_market({"BTC": "100"}, BTC=rules), limits)
    assert made.quantity == Decimal(quantity)
    assert left_out == ()
    if limit:
        assert made.limit_price == Decimal(limit)
    assert (made.limit_price or 0) * made.quantity <= Decimal(cash)
