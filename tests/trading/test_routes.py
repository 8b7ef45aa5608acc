"""Ways from one asset to another: the best one, against every way there is, counted by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
import itertools
import os

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.calvalot.trading.exchanges.base import Side, SymbolRules
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.routes import (
    Pair,
    best_ways,
    brings,
    costs,
    expected,
    order_for,
    symbols_between,
    takes,
)

# Random markets; scripts/figures tries ten times as many.
MARKETS = int(os.environ.get("CALVALOT_CONVERSIONS", "100"))
LIMITS = Limits(coins=None)
PLAIN = Limits(coins=None, max_slippage=Decimal(0))
ASSETS = ("BTC", "ETH", "SOL", "XRP", "EUR", "USDC", "BNB")
START, GOAL = "SOL", "XRP"
# What exchanges take: of what is received, or in the quote asset.
FEES = ((Decimal("0.001"), False), (Decimal("0.004"), True))


def pair(base: str, quote: str, price: str, step: str = "0.001", least: str = "0", **changes: object) -> Pair:
    """A pair with usual rules."""
    rules = SymbolRules(
        symbol=f"{base}{quote}",
        base=base,
        quote=quote,
        step=Decimal(step),
        min_quantity=Decimal(step),
        tick=Decimal("1e-8"),
        min_notional=Decimal(least),
        quote_step=Decimal("1e-8"),
    )
    return Pair(replace(rules, **changes), Decimal(price))


def listed(*pairs: Pair) -> dict[str, Pair]:
    """Pairs by symbol."""
    return {each.symbol: each for each in pairs}


@dataclass(frozen=True)
class Listing:
    """A random market and an amount of what is to be converted."""

    pairs: Mapping[str, Pair]
    amount: Decimal


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """Some pairs of some assets, either way round, at prices that nearly fit each other."""
    worth = {asset: draw(st.decimals("0.01", "100000", places=2)) for asset in ASSETS}
    fee, in_quote = draw(st.sampled_from(FEES))
    pairs = {}
    for one, other in itertools.permutations(ASSETS, 2):
        if {one, other} == {START, GOAL} or START in (one, other) or GOAL in (one, other):
            if not draw(st.booleans()):
                continue
            off = draw(st.decimals("0.97", "1.03", places=4))
            price = (worth[one] / worth[other] * off).quantize(Decimal("1e-10"))
            if not price:
                continue
            step = draw(st.sampled_from(("0.00001", "0.001", "0.1", "1", "10")))
            least = draw(st.sampled_from(("0", "0.0001", "1", "5")))
            trading = draw(st.integers(0, 9)) > 0
            pairs[f"{one}{other}"] = pair(
                one, other, str(price), step, least, trading=trading, fee=fee, fee_in_quote=in_quote
            )
    return Listing(pairs, draw(st.decimals("0.01", "10000", places=3)))


def floor(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of a step."""
    return (value / step).quantize(Decimal(1), ROUND_DOWN) * step


def by_hand(found: Pair, asset: str, amount: Decimal) -> Decimal:
    """What one order brings: prices 0.02 % worse for BTC and ETH and 0.05 % for the others, and the fee."""
    rules = found.rules
    worse = Decimal("0.0002") if rules.base in {"BTC", "ETH"} else Decimal("0.0005")
    guard = Decimal("0.003") if rules.base in {"BTC", "ETH"} else Decimal("0.005")
    sells = asset == rules.base
    beside = rules.fee if rules.fee_in_quote else 0
    quantity = floor(amount if sells else amount / (found.price * (1 + worse) * (1 + beside)), rules.step)
    if (
        not rules.trading
        or quantity < rules.min_quantity
        or quantity * found.price < rules.min_notional * Decimal("1.05") * (1 + guard)
    ):
        return Decimal(0)
    if sells:
        return quantity * found.price * (1 - worse) * (1 - rules.fee)
    return quantity if rules.fee_in_quote else quantity * (1 - rules.fee)


def every_way(market: Mapping[str, Pair], amount: Decimal) -> dict[tuple[str, ...], Decimal]:
    """What each way of one or two pairs brings, by its symbols."""
    found = {}
    for count in (1, 2):
        for symbols in itertools.permutations(market, count):
            asset, left = START, amount
            for symbol in symbols:
                rules = market[symbol].rules
                if asset not in {rules.base, rules.quote} or (asset == GOAL):
                    break
                left = by_hand(market[symbol], asset, left)
                asset = rules.quote if asset == rules.base else rules.base
            else:
                if asset == GOAL:
                    found[symbols] = left
    return found


@settings(max_examples=MARKETS)
@given(listings())
def test_random_markets(market: Listing) -> None:
    """Never worse than a direct pair, and never more than a step behind the best of all ways."""
    everything = every_way(market.pairs, market.amount)
    best = next(iter(best_ways(market.pairs, START, GOAL, market.amount, LIMITS)), None)
    if best is None:
        assert not any(everything.values())
        return
    had = expected(best, START, market.amount, LIMITS)
    symbols = tuple(each.symbol for each in best)
    last = best[-1].rules
    step = last.step if last.base == GOAL else last.step * best[-1].price
    assert abs(had - everything[symbols]) <= step
    direct = [brought for way, brought in everything.items() if len(way) == 1]
    assert had >= max(direct, default=Decimal(0)) - Decimal("1e-20")
    assert had >= max(everything.values()) - step


@settings(max_examples=MARKETS)
@given(listings(), st.booleans())
def test_orders_keep_to_the_rules(market: Listing, guarded: bool) -> None:
    """An order is on the step, takes no more than there is even at its worst price, and is above the minimum."""
    for each in market.pairs.values():
        for asset in (each.rules.base, each.rules.quote):
            order = order_for(each, asset, market.amount, LIMITS if guarded else PLAIN)
            if order is None:
                continue
            assert order.sold == asset
            assert order.quantity % each.rules.step == 0
            assert order.quantity * (order.limit_price or order.price) >= each.rules.min_notional
            assert costs(order) <= takes(order, each.rules) <= market.amount * Decimal("1.0006")
            if order.side is Side.BUY and order.limit_price:
                beside = each.rules.fee if each.rules.fee_in_quote else 0
                assert order.quantity * order.limit_price * (1 + beside) <= market.amount
            assert brings(order, each.rules) > 0


def test_the_shortest_of_equals() -> None:
    """One order where two bring the same."""
    direct = pair("SOL", "XRP", "1", "1")
    free = replace(direct.rules, symbol="SOLBTC", quote="BTC"), replace(direct.rules, symbol="BTCXRP", base="BTC")
    market = listed(Pair(free[0], Decimal(1)), Pair(free[1], Decimal(1)), direct)
    assert best_ways(market, START, GOAL, Decimal(10), LIMITS)[0] == (direct,)


@pytest.mark.parametrize(
    ("market", "symbols"),
    [
        ((pair("SOL", "XRP", "60"),), ["SOLXRP"]),
        ((pair("XRP", "SOL", "0.0166", "0.1"),), ["XRPSOL"]),
        ((pair("SOL", "BTC", "0.0015"), pair("XRP", "BTC", "0.000025", "0.1")), ["SOLBTC", "XRPBTC"]),
        (
            (pair("SOL", "XRP", "50"), pair("SOL", "USDC", "140"), pair("XRP", "USDC", "2.2", "0.1")),
            ["SOLUSDC", "XRPUSDC"],
        ),
        ((pair("SOL", "XRP", "60", trading=False),), None),
        ((pair("SOL", "XRP", "60", least="1000"),), None),
        ((pair("SOL", "BTC", "0.0015"), pair("BTC", "ETH", "30"), pair("XRP", "ETH", "0.0007")), None),
        ((), None),
    ],
)
def test_ways(market: tuple[Pair, ...], symbols: list[str] | None) -> None:
    """Direct, inverse, over one asset; over two there is none."""
    way = next(iter(best_ways(listed(*market), START, GOAL, Decimal(10), LIMITS)), None)
    assert (way and [each.symbol for each in way]) == symbols


def test_less_than_a_step_is_no_order() -> None:
    """What buys just a step at the last price buys none at the one it is filled at."""
    dear = pair("EUR", "XRP", "1000", "0.001")
    assert order_for(dear, "XRP", Decimal(1), PLAIN) is None
    assert order_for(dear, "XRP", Decimal("1.001"), PLAIN)


def test_every_symbol_is_asked_for() -> None:
    """Each pair either way round."""
    assert symbols_between("SOL", "XRP", ["BTC", "SOL"]) == {
        *("SOLXRP", "XRPSOL", "SOLBTC", "BTCSOL", "BTCXRP", "XRPBTC"),
    }


def test_a_purchase_without_a_guard() -> None:
    """By its amount where the pair takes one, else with room for what its fills may cost."""
    by_amount = order_for(pair("SOL", "BTC", "0.0015"), "BTC", Decimal("0.15"), PLAIN)
    assert by_amount
    assert (by_amount.quote_amount, by_amount.limit_price) == (Decimal("0.15"), None)
    assert costs(by_amount) == Decimal("0.15")
    by_quantity = order_for(pair("SOL", "BTC", "0.0015", quote_step=None), "BTC", Decimal("0.15"), PLAIN)
    assert by_quantity
    assert by_quantity.quote_amount is None
    assert by_quantity.quantity == Decimal("94.339")
    # At the price of now, and 0.05 % worse.
    assert costs(by_quantity) == Decimal("0.1415085") * Decimal("1.0005")
