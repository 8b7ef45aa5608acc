"""Quantities and limits keep the exchange's rules and never round against the owner; a rate that is not known is None."""

from decimal import Decimal

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.decimals import round_down, round_up
from custom_components.calvalot.trading.errors import InvalidKey, RateLimited, Refused
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.exchanges.symbols import eur_rate, rate_symbols

from .builders import amounts, decimals, make_rules

STEPS = st.sampled_from([Decimal(step) for step in ("0.00000001", "0.00100000", "0.01", "0.25", "1", "10", "1E+1")])


@given(value=amounts("1000000000000"), step=STEPS)
def test_rounding_is_to_the_next_multiple(value: Decimal, step: Decimal) -> None:
    """Down and up end on the step, less than one step away, on the right side."""
    below, above = round_down(value, step), round_up(value, step)
    assert below % step == above % step == 0
    assert below <= value <= above
    assert above - below == (0 if value == below else step)


@pytest.mark.parametrize("value", ["0.9999999999999999999999999999999999", "2.9999999999999999999999999999999999999"])
def test_rounding_does_not_depend_on_the_context(value: str) -> None:
    """A quotient with more digits than the context holds is cut, not rounded up to the next step."""
    assert round_down(Decimal(value), Decimal(1)) == int(value[0])
    assert round_up(Decimal(value), Decimal(1)) == int(value[0]) + 1


def test_no_step_leaves_everything_as_it_is() -> None:
    """A step of 0 means none."""
    assert round_down(Decimal("1.23"), Decimal(0)) == round_up(Decimal("1.23"), Decimal(0)) == Decimal("1.23")


@pytest.mark.parametrize(
    ("quantity", "rounded"),
    [
        ("0.12345999", "0.12345"),
        ("0.00001", "0.00001"),
        ("0.00000999", "0"),
        ("0", "0"),
        ("-1", "0"),
        ("9000.00001", "9000"),
    ],
)
def test_a_quantity_goes_down_to_its_step(quantity: str, rounded: str) -> None:
    """Down to the step and to the largest, 0 where it is under the smallest."""
    assert make_rules().round_quantity(Decimal(quantity)) == Decimal(rounded)


def test_a_quantity_under_the_minimum_is_none_at_all() -> None:
    """The minimum may be larger than the step."""
    rules = make_rules(min_quantity=Decimal(1), max_quantity=None)
    assert rules.round_quantity(Decimal("0.99999")) == 0
    assert rules.round_quantity(Decimal(1)) == 1
    assert rules.round_quantity(Decimal(1_000_000)) == 1_000_000


@given(price=amounts("100000", smallest="1"), slippage=st.decimals("0", "0.1", places=4))
def test_a_limit_is_on_the_tick_and_within_the_slippage(price: Decimal, slippage: Decimal) -> None:
    """A buy never pays more than price × (1 + slippage), a sell never takes less than price × (1 − slippage)."""
    rules = make_rules()
    buy, sell = (rules.limit_price(side, price, slippage) for side in (Side.BUY, Side.SELL))
    assert buy % rules.tick == sell % rules.tick == 0
    assert price * (1 + slippage) - rules.tick < buy <= price * (1 + slippage)
    assert price * (1 - slippage) <= sell < price * (1 - slippage) + rules.tick


def test_a_limit_keeps_to_the_prices_allowed() -> None:
    """A buy stays under the largest price, a sell over the smallest; without a largest there is none."""
    rules = make_rules(min_price=Decimal(90), max_price=Decimal(101))
    assert rules.limit_price(Side.BUY, Decimal(100), Decimal("0.1")) == 101
    assert rules.limit_price(Side.SELL, Decimal(100), Decimal("0.2")) == 90
    assert make_rules(max_price=None).limit_price(Side.BUY, Decimal(100), Decimal("0.1")) == 110


@pytest.mark.parametrize(
    ("quote", "prices", "rate"),
    [
        ("EUR", {}, "1"),
        ("USDC", {"EURUSDC": "1.25"}, "0.8"),
        ("USDC", {"EURUSDC": "1.25", "EURUSDT": "2", "USDCUSDT": "1"}, "0.8"),
        ("USDC", {"EURUSDT": "1.25", "USDCUSDT": "0.5"}, "0.4"),
        ("USDC", {"EURUSDC": "0", "EURUSDT": "2", "USDCUSDT": "1"}, "0.5"),
        ("USDT", {"EURUSDT": "1.25"}, "0.8"),
        ("USDC", {"EURUSDT": "1.25"}, None),
        ("USDC", {"USDCUSDT": "1"}, None),
        ("USDC", {"EURUSDC": "0", "EURUSDT": "0", "USDCUSDT": "1"}, None),
        ("USDC", {}, None),
    ],
)
def test_the_rate_is_what_the_exchange_says_or_unknown(quote: str, prices: dict[str, str], rate: str | None) -> None:
    """Direct, else over USDT, else None; a price of 0 is no price."""
    assert eur_rate(quote, decimals(prices)) == (None if rate is None else Decimal(rate))


@pytest.mark.parametrize(
    ("quote", "symbols"),
    [("EUR", ()), ("USDT", ("EURUSDT",)), ("USDC", ("EURUSDC", "EURUSDT", "USDCUSDT"))],
)
def test_only_symbols_that_can_exist_are_asked_for(quote: str, symbols: tuple[str, ...]) -> None:
    """Nothing is quoted in itself: one unlisted symbol would refuse the whole request."""
    assert rate_symbols(quote) == symbols


@pytest.mark.parametrize("text", ["LIVE", "Live", "live ", "dry-run", "", "true"])
def test_a_mode_is_exactly_one_of_two(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="not a valid Mode"):
        Mode(text)


def test_errors_carry_what_is_to_be_done() -> None:
    """When to ask again, and why not."""
    assert RateLimited(12.5).retry_at == 12.5
    assert Refused("too small", -1013).code == -1013
    assert InvalidKey("no", -2015).code == -2015
    assert InvalidKey("no").code == 0
