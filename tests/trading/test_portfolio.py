"""The books add up to the last digit, whatever happens and wherever fees are taken from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.decimals import EXACT, ZERO
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.portfolio import BookError, Portfolio, Position, Valuation

from .builders import COINS, QUOTE, Flow, Step, Taken, Trade, amounts, decimals, make_fill, make_portfolio, steps

type Booked = tuple[Portfolio, Step, Portfolio]


def book(portfolio: Portfolio, step: Step) -> Portfolio:
    """Book one step."""
    if isinstance(step, Flow):
        return portfolio.with_flow(step.amount)
    if isinstance(step, Taken):
        return portfolio.with_withdrawal(step.coin, step.quantity, step.value)
    return portfolio.with_fill(step.fill, step.side, step.coin, QUOTE, step.fee_price)


def walk(happened: Sequence[Step]) -> Iterator[Booked]:
    """Every step that can be true, with the book before and after it."""
    portfolio = Portfolio()
    for step in happened:
        try:
            after = book(portfolio, step)
        except BookError:
            continue
        yield portfolio, step, after
        portfolio = after


def cost(portfolio: Portfolio) -> Decimal:
    """What all positions cost."""
    return sum((position.cost for position in portfolio.positions.values()), ZERO)


# Any sequence


@given(steps())
def test_cash_and_cost_are_what_was_paid_in_and_realised(happened: list[Step]) -> None:
    """Cash + Σ cost = paid in + realised after every step, to the last digit."""
    for _, _, portfolio in walk(happened):
        with localcontext(EXACT):
            assert portfolio.cash + cost(portfolio) == portfolio.paid_in + portfolio.realised


@given(steps(), st.fixed_dictionaries({coin: amounts("100000", smallest="0.00000001") for coin in (*COINS, "DOGE")}))
def test_profit_is_value_less_what_was_paid_in(happened: list[Step], prices: dict[str, Decimal]) -> None:
    """Realised + unrealised = value − net deposits at any prices, to the last digit."""
    for _, _, portfolio in walk(happened):
        valuation = portfolio.value(prices)
        assert valuation is not None
        with localcontext(EXACT):
            unrealised = sum(
                (valuation.values[coin] - position.cost for coin, position in portfolio.positions.items()), ZERO
            )
            assert portfolio.realised + unrealised == valuation.total - portfolio.paid_in
            assert valuation.total == portfolio.cash + valuation.positions


@given(steps())
def test_no_coin_comes_from_nowhere(happened: list[Step]) -> None:
    """Quantities move by what was bought, sold and taken as a fee, and never fall under 0."""
    for before, step, after in walk(happened):
        if isinstance(step, Taken):
            moved = {coin: after.quantity(coin) - before.quantity(coin) for coin in COINS}
            assert moved == {coin: -step.quantity if coin == step.coin else 0 for coin in COINS}
            assert after.cash == before.cash
        if not isinstance(step, Trade):
            continue
        fill = step.fill
        for coin in {*before.positions, *after.positions, step.coin, fill.fee_asset} - {QUOTE}:
            moved = after.quantity(coin) - before.quantity(coin)
            if coin == step.coin:
                moved -= fill.quantity if step.side is Side.BUY else -fill.quantity
            assert after.quantity(coin) >= 0
            assert -fill.fee <= moved <= 0 if coin == fill.fee_asset else moved == 0


@given(steps())
def test_cash_moves_by_what_was_paid_and_what_was_lent(happened: list[Step]) -> None:
    """Whatever part of a fee the book did not hold is paid back to the owner at the price of its asset."""
    for before, step, after in walk(happened):
        with localcontext(EXACT):
            moved = after.cash - before.cash
            if isinstance(step, Flow):
                assert moved == step.amount == after.paid_in - before.paid_in
                assert after == replace(before, cash=after.cash, paid_in=after.paid_in)
            if not isinstance(step, Trade):
                continue
            fill, fee = step.fill, step.fill.fee_asset
            moved += fill.amount if step.side is Side.BUY else -fill.amount
            traded = (fill.quantity if step.side is Side.BUY else -fill.quantity) if fee == step.coin else ZERO
            borne = ZERO if fee == QUOTE else before.quantity(fee) + traded - after.quantity(fee)
            lent = fill.fee - borne
            price = Decimal(1) if fee == QUOTE else step.fee_price
            assert moved == -(lent * price).quantize(Decimal("1e-8"))
            assert after.fees - before.fees == (fill.fee * step.fee_price).quantize(Decimal("1e-18"))


@given(steps())
def test_profit_is_taken_by_sales_only(happened: list[Step]) -> None:
    """A purchase realises nothing: its fee is part of what the coin cost."""
    for before, step, after in walk(happened):
        if isinstance(step, Flow) or (isinstance(step, Trade) and step.side is Side.BUY):
            assert after.realised == before.realised


@given(steps(), st.integers(1, 28))
def test_the_context_of_the_caller_does_not_matter(happened: list[Step], precision: int) -> None:
    """Nothing is rounded because of where it is booked."""
    booked = [after for _, _, after in walk(happened)]
    with localcontext(prec=precision):
        assert [after for _, _, after in walk(happened)] == booked


# Where a fee is taken from


def test_a_fee_in_the_bought_coin_makes_fewer_coins_for_the_same_cost() -> None:
    """The entry price rises, the cash does not move."""
    bought = make_portfolio("100").with_fill(make_fill("2", "10", "0.5", "BTC"), Side.BUY, "BTC", QUOTE, Decimal(10))
    assert bought.position("BTC") == Position(Decimal("1.5"), Decimal(20))
    assert bought.cash == 80
    assert bought.fees == 5


def test_a_fee_in_quote_is_part_of_the_cost_and_of_the_proceeds() -> None:
    """Bought at 10 plus 1, sold at 12 less 1: nothing was won."""
    bought = make_portfolio("100").with_fill(make_fill("1", "10", "1"), Side.BUY, "BTC", QUOTE, Decimal(1))
    assert bought.position("BTC").entry_price == 11
    sold = bought.with_fill(make_fill("1", "12", "1"), Side.SELL, "BTC", QUOTE, Decimal(1))
    assert (sold.cash, sold.realised, sold.fees) == (100, 0, 2)
    assert not sold.positions


@pytest.mark.parametrize(
    ("held", "left", "cash", "cost_of_coin"),
    [("3", "1", "90", "10.66666667"), ("2", "0", "90", "11"), ("0.5", "0", "81", "20"), ("0", "0", "78", "22")],
)
def test_a_fee_in_the_fee_coin_comes_from_what_is_held_of_it(
    held: str, left: str, cash: str, cost_of_coin: str
) -> None:
    """At its average cost as far as it is held; the rest was lent by the owner and is paid back at its price."""
    portfolio = make_portfolio("100", BNB=held) if held != "0" else make_portfolio("100")
    bought = portfolio.with_fill(make_fill("1", "10", "2", "BNB"), Side.BUY, "BTC", QUOTE, Decimal(6))
    assert bought.quantity("BNB") == Decimal(left)
    assert bought.cash == Decimal(cash)
    assert bought.position("BTC").cost.quantize(Decimal("1e-8")) == Decimal(cost_of_coin)
    assert bought.fees == 12


def test_a_sale_of_the_fee_coin_pays_its_fee_from_what_is_left() -> None:
    """Coins that are sold cannot pay the fee as well."""
    portfolio = make_portfolio("0", BNB="10")
    sold = portfolio.with_fill(make_fill("9", "5", "1", "BNB"), Side.SELL, "BNB", QUOTE, Decimal(5))
    assert not sold.positions
    assert (sold.cash, sold.realised) == (45, 44)
    lent = portfolio.with_fill(make_fill("10", "5", "1", "BNB"), Side.SELL, "BNB", QUOTE, Decimal(5))
    assert not lent.positions
    assert (lent.cash, lent.realised) == (45, 44)


def test_a_fee_in_something_else_is_paid_in_cash() -> None:
    """A coin that the book never held was the owner's."""
    portfolio = make_portfolio("100", BTC="1")
    sold = portfolio.with_fill(make_fill("1", "10", "3", "DOGE"), Side.SELL, "BTC", QUOTE, Decimal(2))
    assert (sold.cash, sold.realised, sold.fees) == (104, 3, 6)


# Selling


def test_cost_leaves_at_the_average_and_all_of_it_with_the_last_coin() -> None:
    """A third that cannot be written down leaves nothing behind."""
    position = Position(Decimal(3), Decimal(10))
    assert position.cost_of(Decimal(1)) == Decimal("3.333333333333333333")
    assert position.cost_of(Decimal(3)) == position.cost_of(Decimal(4)) == 10
    assert Position(ZERO, Decimal(10)).cost_of(ZERO) == 10
    portfolio = Portfolio(cash=ZERO, paid_in=Decimal(10), positions={"BTC": position})
    for _ in range(3):
        portfolio = portfolio.with_fill(make_fill("1", "4"), Side.SELL, "BTC", QUOTE, Decimal(1))
    assert not portfolio.positions
    assert (portfolio.cash, portfolio.realised) == (12, 2)


@pytest.mark.parametrize("coin", ["BTC", "XRP"])
def test_more_than_is_held_is_not_sold(coin: str) -> None:
    """Neither of a position nor without one; the book stays as it was."""
    portfolio = make_portfolio("100", BTC="1")
    with pytest.raises(BookError, match="less than"):
        portfolio.with_fill(make_fill("1.00000001", "10"), Side.SELL, coin, QUOTE, Decimal(1))
    assert portfolio == make_portfolio("100", BTC="1")


def test_fees_that_were_lent_after_all_are_paid_back() -> None:
    """At the price of the sale, which then is neither profit nor loss on them; no more than may have been lent."""
    portfolio = make_portfolio("0", BNB="10")
    fill = make_fill("12", "5")
    sold = portfolio.with_fill(fill, Side.SELL, "BNB", QUOTE, Decimal(1), lendable=Decimal(2))
    assert not sold.positions
    assert (sold.cash, sold.realised) == (50, 49)
    with pytest.raises(BookError, match="less than"):
        portfolio.with_fill(fill, Side.SELL, "BNB", QUOTE, Decimal(1), lendable=Decimal("1.9"))


def test_a_fee_above_what_was_bought_is_refused() -> None:
    """A position cannot fall under 0."""
    with pytest.raises(BookError, match="a fee of 2 BTC"):
        Portfolio(cash=Decimal(100)).with_fill(make_fill("1", "1", "2", "BTC"), Side.BUY, "BTC", QUOTE, Decimal(1))


def test_more_than_the_cash_is_not_taken_out() -> None:
    """All of it can be."""
    portfolio = make_portfolio("100")
    assert portfolio.with_flow(Decimal(-100)).cash == 0
    with pytest.raises(BookError, match=r"holds 100, less than 100\.01"):
        portfolio.with_flow(Decimal("-100.01"))


def test_coins_taken_out_are_profit_taken_and_paid_out() -> None:
    """As if sold for what they are worth: what they won stays in the books, the cash does not move."""
    portfolio = make_portfolio("100", BTC="4")
    taken = portfolio.with_withdrawal("BTC", Decimal(1), Decimal(50))
    assert taken.position("BTC") == Position(Decimal(3), Decimal("0.75"))
    assert (taken.cash, taken.paid_in, taken.realised) == (100, 51, Decimal("49.75"))
    assert not taken.with_withdrawal("BTC", Decimal(3), ZERO).positions
    with pytest.raises(BookError, match="holds 4 BTC"):
        portfolio.with_withdrawal("BTC", Decimal("4.1"), Decimal(50))


# Value


@pytest.mark.parametrize("prices", [{}, {"BTC": "10"}, {"BTC": "10", "ETH": "0"}])
def test_a_missing_price_is_no_valuation(prices: dict[str, str]) -> None:
    """Unknown is not 0."""
    assert make_portfolio("100", BTC="1", ETH="1").value(decimals(prices)) is None


def test_prices_of_other_coins_do_not_matter() -> None:
    """Only what is held has to be known."""
    valuation = make_portfolio("100", BTC="2").value(decimals({"BTC": "50", "ETH": "0"}))
    assert valuation == Valuation(total=Decimal(200), cash=Decimal(100), values={"BTC": Decimal(100)})
    assert valuation.positions == 100
    assert valuation.weight("BTC") == Decimal("0.5")
    assert valuation.weight("ETH") == 0


def test_a_value_has_every_digit() -> None:
    """More than a context holds by itself."""
    valuation = make_portfolio("0.00000001", BTC="123456789.12345678").value(decimals({"BTC": "98765.12345678"}))
    assert valuation is not None
    expected = Fraction("123456789.12345678") * Fraction("98765.12345678") + Fraction("0.00000001")
    assert Fraction(valuation.total) == expected


def test_nothing_has_no_weights() -> None:
    """An empty book is worth nothing, and nothing is divided by it."""
    valuation = Portfolio().value({})
    assert valuation is not None
    assert (valuation.total, valuation.weight("BTC")) == (0, 0)
    assert Position().entry_price is None


# What the account covers


@given(steps(), st.dictionaries(st.sampled_from((*COINS, QUOTE)), amounts("100")))
def test_no_more_is_counted_on_than_is_free(happened: list[Step], free: dict[str, Decimal]) -> None:
    """Never more than the book has, never more than the account has; the rest of the book stays."""
    for _, _, portfolio in walk(happened):
        limited = portfolio.limited(free, QUOTE)
        assert limited.cash == min(portfolio.cash, free.get(QUOTE, ZERO))
        for coin in COINS:
            assert limited.quantity(coin) == min(portfolio.quantity(coin), free.get(coin, ZERO))
            assert limited.position(coin).cost <= portfolio.position(coin).cost
        assert all(position.quantity > 0 for position in limited.positions.values())
        assert (limited.paid_in, limited.realised) == (portfolio.paid_in, portfolio.realised)


def test_what_is_covered_keeps_its_average_cost() -> None:
    """Half of a position costs half."""
    limited = make_portfolio("0", BTC="4").limited({"BTC": Decimal(1)}, QUOTE)
    assert limited.position("BTC") == Position(Decimal(1), Decimal("0.25"))
