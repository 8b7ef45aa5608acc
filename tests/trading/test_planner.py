"""Orders follow from signal, book and market, within every rule and limit; what is left out has its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal, localcontext
from random import Random

from hypothesis import assume, given, strategies as st
import pytest

from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import USUAL_FEE, Side
from custom_components.calvalot.trading.funding import Funded
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.planner import Plan, fund, plan
from custom_components.calvalot.trading.portfolio import Portfolio, Position, Valuation
from custom_components.calvalot.trading.sizing import (
    MARKET_MARGIN,
    LeftOut,
    Market,
    PlannedOrder,
    Reason,
    smallest_order,
)
from custom_components.calvalot.trading.wants import Allocation, Moves, Wants

from .builders import QUOTE, amounts, make_fill, make_market, make_moves, make_portfolio, make_rules, make_targets

COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")
PLAIN = Limits(max_slippage=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A book in a market, with the owner's limits."""

    portfolio: Portfolio
    market: Market
    limits: Limits

    @property
    def valuation(self) -> Valuation:
        """What the book is worth."""
        valuation = self.portfolio.value(self.market.prices)
        assert valuation is not None
        return valuation

    def plan(self, wants: Wants, blocked: Mapping[tuple[str, Side], Reason] | None = None) -> Plan:
        """What the signal asks for here."""
        return plan(wants, self.portfolio, self.valuation, self.market, self.limits, blocked or {})

    def fund(self, planned: Plan) -> Funded:
        """Buys from the cash that is there."""
        return fund(planned, self.portfolio.cash, self.valuation.total, self.market, self.limits)

    def everything(self, wants: Wants) -> Funded:
        """All orders, and all that is left out."""
        planned = self.plan(wants)
        buys, short = self.fund(planned)
        return planned.sells + buys, planned.left_out + short

    def after(self, orders: tuple[PlannedOrder, ...]) -> World:
        """The same world once the orders were filled at the last price for nothing."""
        portfolio = self.portfolio
        for order in orders:
            fill = make_fill(f"{order.quantity:f}", f"{order.price:f}", amount=order.amount)
            portfolio = portfolio.with_fill(fill, order.side, order.coin, QUOTE, ONE)
        return replace(self, portfolio=portfolio)


LIMITS = st.builds(
    Limits,
    min_order=st.sampled_from([Decimal(5), ZERO, Decimal("12.5")]),
    rebalance_threshold=st.sampled_from([Decimal("0.005"), ZERO, Decimal("0.05")]),
    dust_threshold=st.sampled_from([Decimal("2.5"), ZERO, Decimal(20)]),
    max_slippage=st.sampled_from([None, ZERO, Decimal("0.1")]),
    max_order_share=st.sampled_from([ONE, Decimal("0.1"), Decimal("0.01")]),
)


@st.composite
def worlds(draw: st.DrawFn, limits: st.SearchStrategy[Limits] = LIMITS, least_cash: str = "0") -> World:
    """Any book in any market."""
    prices, rules, positions = {}, {}, {}
    for coin in COINS:
        prices[coin] = draw(amounts("100000", 4, "0.0001"))
        step = draw(st.sampled_from([Decimal(step) for step in ("0.00001", "0.00100000", "0.1", "1", "100")]))
        rules[f"{coin}{QUOTE}"] = make_rules(
            coin,
            trading=draw(st.sampled_from([True] * 5 + [False])),
            step=step,
            min_quantity=draw(st.sampled_from([step, step * 10])),
            max_quantity=draw(st.sampled_from([None, step * 100_000])),
            tick=Decimal("0.00000001"),
            min_price=ZERO,
            min_notional=draw(st.sampled_from([Decimal(5), ZERO, Decimal(10)])),
            quote_step=draw(st.sampled_from([Decimal("1e-8"), None, Decimal("0.01")])),
        )
        if quantity := draw(
            st.just(ZERO) | amounts("5000").map(lambda value, coin=coin: _quantity(value, prices[coin]))
        ):
            positions[coin] = Position(quantity, ONE)
    portfolio = Portfolio(cash=draw(amounts("20000", smallest=least_cash)), positions=positions)
    return World(portfolio=portfolio, market=Market(quote=QUOTE, prices=prices, rules=rules), limits=draw(limits))


def _quantity(value: Decimal, price: Decimal) -> Decimal:
    return (value / price).quantize(Decimal("1e-8"), ROUND_DOWN)


@st.composite
def shares(draw: st.DrawFn) -> dict[str, Decimal]:
    """Shares of capital for some coins, together 1 at most."""
    parts = draw(st.dictionaries(st.sampled_from(COINS), st.integers(0, 20)))
    whole = max(1, sum(parts.values()) + draw(st.integers(0, 20)))
    return {coin: (Decimal(part) / whole).quantize(Decimal("1e-18"), ROUND_DOWN) for coin, part in parts.items()}


TARGETS = shares().map(make_targets)
MOVES = st.dictionaries(st.sampled_from(COINS), st.tuples(st.sampled_from(Side), st.decimals("0", "1", places=4))).map(
    lambda moves: make_moves(*((coin, side, str(share)) for coin, (side, share) in moves.items()))
)
SIGNALS = TARGETS | MOVES


# Whatever the signal


@given(worlds(), SIGNALS)
def test_every_order_keeps_the_rules_and_the_limits(world: World, wants: Wants) -> None:
    """On the step, over every minimum, under every maximum, at the last price, with the guard that was set."""
    orders, _ = world.everything(wants)
    with localcontext(EXACT):
        for order in orders:
            rules = world.market.rules[order.symbol]
            assert order.symbol == f"{order.coin}{QUOTE}"
            assert order.quantity % rules.step == 0
            assert order.quantity >= rules.min_quantity
            assert rules.max_quantity is None or order.quantity <= rules.max_quantity
            assert order.price == world.market.prices[order.coin]
            assert order.amount == order.quantity * order.price
            assert order.amount >= world.limits.min_order
            assert order.amount <= world.limits.max_order_share * world.valuation.total
            # An exchange checks the notional at the limit price, or at an average near the last one.
            assert (order.limit_price or order.price) * order.quantity >= rules.min_notional * Decimal("1.03")
            assert rules.trading
            slippage = world.limits.slippage(order.coin)
            assert (order.limit_price is None) == (slippage == 0)
            assert abs((order.limit_price or order.price) / order.price - 1) <= slippage


@given(worlds(), SIGNALS)
def test_no_more_is_sold_than_is_held(world: World, wants: Wants) -> None:
    """Nor sold and bought at the same time."""
    planned = world.plan(wants)
    for order in planned.sells:
        assert order.side is Side.SELL
        assert order.quantity <= world.portfolio.quantity(order.coin)
        assert order.coin not in planned.wanted


@given(worlds(), SIGNALS)
def test_buys_never_cost_more_than_the_cash(world: World, wants: Wants) -> None:
    """Not even all of them at the worst price they may fill at, with a fee on top."""
    buys, _ = world.fund(world.plan(wants))
    with localcontext(EXACT):
        worst = sum((_worst(order) for order in buys), ZERO)
        assert worst * (1 + USUAL_FEE) <= max(world.portfolio.cash, ZERO)
    assert all(order.side is Side.BUY for order in buys)


def _worst(order: PlannedOrder) -> Decimal:
    """What a buy may cost: what it says, its limit, or else the last price and the room that is kept."""
    if order.quote_amount is not None:
        return order.quote_amount
    return (order.limit_price or order.price * (1 + MARKET_MARGIN)) * order.quantity


@given(worlds(), SIGNALS, st.decimals("0.5", "2", places=4))
def test_no_jump_takes_more_than_the_cash(world: World, wants: Wants, jump: Decimal) -> None:
    """Whatever the price of the fill: by what it may cost or by its limit; a bare quantity up to 5 % above the last one."""
    buys, _ = world.fund(world.plan(wants))
    with localcontext(EXACT):
        cash = world.portfolio.cash
        for order in buys:
            rules, price = world.market.rules[order.symbol], order.price * jump
            if order.limit_price is not None:
                quantity = order.quantity if price <= order.limit_price else ZERO
            elif order.quote_amount is not None:
                quantity = rules.round_quantity(order.quote_amount / price)
            else:
                quantity, price = order.quantity, min(price, order.price * Decimal("1.05"))
            cash -= quantity * price * (1 + USUAL_FEE)
        assert cash >= 0


@given(worlds(), SIGNALS)
def test_a_market_buy_says_what_it_may_cost(world: World, wants: Wants) -> None:
    """Where the symbol takes that; on the step of the quote, and never more than was planned. Nothing else does."""
    orders, _ = world.everything(wants)
    for order in orders:
        step = world.market.rules[order.symbol].quote_step
        sized = order.side is Side.BUY and order.limit_price is None and step is not None
        assert (order.quote_amount is not None) == sized
        if order.quote_amount is not None and step is not None:
            with localcontext(EXACT):
                assert order.quote_amount % step == 0
                assert order.amount - step < order.quote_amount <= order.amount


@given(worlds(), SIGNALS)
def test_everything_asked_is_ordered_or_left_out_with_a_reason(world: World, wants: Wants) -> None:
    """Each leg once, and nothing that was not asked for."""
    orders, left_out = world.everything(wants)
    told = [(each.coin, each.side) for each in (*orders, *left_out)]
    assert len(told) == len(set(told))
    with localcontext(EXACT):
        if isinstance(wants, Moves):
            asked = {(move.coin, move.side) for move in wants.moves}
        else:
            targets = wants.shares
            differences = {
                coin: targets.get(coin, ZERO) * world.valuation.total - world.valuation.values.get(coin, ZERO)
                for coin in COINS
            }
            asked = {
                (coin, Side.BUY if difference > 0 else Side.SELL)
                for coin, difference in differences.items()
                if difference
            }
    assert set(told) == asked


@given(worlds(), SIGNALS, st.randoms(use_true_random=False))
def test_the_same_is_planned_from_the_same(world: World, wants: Wants, random: Random) -> None:
    """Whatever order a mapping happens to be in."""

    def shuffled[T](mapping: Mapping[str, T]) -> dict[str, T]:
        return dict(random.sample(list(mapping.items()), len(mapping)))

    market = replace(world.market, prices=shuffled(world.market.prices), rules=shuffled(world.market.rules))
    portfolio = replace(world.portfolio, positions=shuffled(world.portfolio.positions))
    same = replace(wants, shares=shuffled(wants.shares)) if isinstance(wants, Allocation) else wants
    assert replace(world, market=market, portfolio=portfolio).everything(same) == world.everything(wants)


@given(worlds(), SIGNALS, st.integers(6, 28))
def test_the_context_of_the_caller_does_not_matter(world: World, wants: Wants, precision: int) -> None:
    """Nothing is rounded because of where it is planned."""
    valuation, expected = world.valuation, world.everything(wants)
    with localcontext(prec=precision):
        planned = plan(wants, world.portfolio, valuation, world.market, world.limits, {})
        buys, short = fund(planned, world.portfolio.cash, valuation.total, world.market, world.limits)
    assert (planned.sells + buys, planned.left_out + short) == expected


# Cash that does not reach


@given(worlds(), st.dictionaries(st.sampled_from(COINS), amounts("20000", smallest="100"), min_size=2))
def test_buys_are_scaled_alike(world: World, wanted: dict[str, Decimal]) -> None:
    """One scale explains every buy, but for the step that each is rounded down to."""
    buys, _ = world.fund(Plan(wanted=wanted))
    with localcontext(EXACT):
        cap = world.limits.max_order_share * world.valuation.total
        scales = []
        for order in buys:
            rules, amount = world.market.rules[order.symbol], min(wanted[order.coin], cap)
            if order.quantity == rules.max_quantity:
                continue
            scales.append((order.amount / amount, (order.quantity + rules.step) * order.price / amount))
        assert max((low for low, _ in scales), default=ZERO) <= min((high for _, high in scales), default=ONE)
        assert all(low <= 1 for low, _ in scales)


def test_where_scaling_would_go_under_the_minimum_the_largest_are_bought() -> None:
    """Three times 30 from 40: one cannot have less than 5, so the smallest wishes go without, one after the other."""
    world = World(portfolio=make_portfolio("12"), market=make_market(dict.fromkeys(COINS[:3], "1")), limits=PLAIN)
    wanted = {"BTC": Decimal(6), "ETH": Decimal(8), "BNB": Decimal(20)}
    buys, left_out = world.fund(Plan(wanted=wanted))
    assert [order.coin for order in buys] == ["BNB"]
    assert buys[0].amount == _quantity(Decimal(12), (1 + MARKET_MARGIN) * (1 + USUAL_FEE)).quantize(
        Decimal("1e-5"), ROUND_DOWN
    )
    assert left_out == tuple(LeftOut(coin, f"{coin}USDC", Side.BUY, Reason.NO_CASH) for coin in ("BTC", "ETH"))


@pytest.mark.parametrize("cash", ["0", "-3", "5.2"])
def test_without_cash_nothing_is_bought(cash: str) -> None:
    """Every buy says so; cash under 0 counts as none."""
    world = World(portfolio=make_portfolio("100"), market=make_market({"BTC": "1", "ETH": "1"}), limits=PLAIN)
    wanted = Plan(wanted={"BTC": Decimal(9), "ETH": Decimal(8)})
    buys, left_out = fund(wanted, Decimal(cash), Decimal(100), world.market, PLAIN)
    assert not buys
    assert [(item.coin, item.reason) for item in left_out] == [("ETH", Reason.NO_CASH), ("BTC", Reason.NO_CASH)]


def test_a_buy_that_rounding_puts_under_the_minimum_is_left_out() -> None:
    """There is cash; the step is what is too large."""
    market = make_market({"BTC": "4"}, BTC=make_rules(step=ONE))
    buys, left_out = fund(Plan(wanted={"BTC": Decimal("7.9")}), Decimal(100), Decimal(100), market, PLAIN)
    assert not buys
    assert [item.reason for item in left_out] == [Reason.BELOW_MINIMUM]


@pytest.mark.parametrize("wanted", [{}, {"BTC": ZERO}])
def test_wanting_nothing_buys_nothing(wanted: dict[str, Decimal]) -> None:
    """Nor does it divide by 0 where no minimum is set."""
    market = make_market({"BTC": "4"}, BTC=make_rules(min_notional=ZERO))
    buys, left_out = fund(Plan(wanted=wanted), Decimal(100), Decimal(100), market, replace(PLAIN, min_order=ZERO))
    assert not buys
    assert len(left_out) == len(wanted)


# A target allocation


@given(worlds(limits=st.just(Limits()), least_cash="2000"), shares())
def test_targets_are_reached_in_one_pass_where_they_can_be(world: World, targets: dict[str, Decimal]) -> None:
    """Sells, then buys from what they brought: every weight is as near as thresholds, margins and steps allow."""
    fine = {
        symbol: replace(rules, trading=True, step=Decimal("1e-8"), min_quantity=ZERO, max_quantity=None)
        for symbol, rules in world.market.rules.items()
    }
    world = replace(world, market=replace(world.market, rules=fine))
    planned = world.plan(make_targets(targets))
    after = world.after(planned.sells)
    after = after.after(after.fund(planned)[0])
    capital = world.valuation.total
    assert abs(after.valuation.total - capital) < Decimal("1e-6")
    for coin in COINS:
        smallest = max(smallest_order(world.market, world.limits, coin), world.limits.dust_threshold)
        # What a buy keeps back for a worse price and its fee: 0.6 % of what is bought.
        allowed = max(Decimal("0.005"), smallest / capital) + targets.get(coin, ZERO) * Decimal("0.0061")
        assert abs(after.valuation.weight(coin) - targets.get(coin, ZERO)) <= allowed + Decimal("1e-9")


@given(worlds())
def test_an_exit_leaves_only_what_cannot_be_sold(world: World) -> None:
    """All cash is wanted: after as many passes as the caps need, what is left is dust or has a reason."""
    assume(world.limits.max_order_share == 1)
    market = replace(
        world.market, rules={symbol: replace(each, max_quantity=None) for symbol, each in world.market.rules.items()}
    )
    world = replace(world, market=market)
    planned = world.plan(make_targets({}))
    assert not planned.wanted
    for order in planned.sells:
        rest = world.portfolio.quantity(order.coin) - order.quantity
        assert rest < world.market.rules[order.symbol].step
    assert {item.reason for item in planned.left_out} <= {Reason.DUST, Reason.NOT_TRADING}
    again = world.after(planned.sells).plan(make_targets({}))
    assert not again.sells
    assert {item.reason for item in again.left_out} <= {Reason.DUST, Reason.NOT_TRADING}


@given(worlds(), SIGNALS)
def test_a_sale_leaves_nothing_that_could_not_be_sold_later(world: World, wants: Wants) -> None:
    """The rest is over the dust threshold and over the smallest order, or there is none."""
    for order in world.plan(wants).sells:
        held = world.portfolio.quantity(order.coin)
        rules = world.market.rules[order.symbol]
        with localcontext(EXACT):
            rest = (held - order.quantity) * order.price
            capped = held * order.price > world.limits.max_order_share * world.valuation.total
            smallest = smallest_order(world.market, world.limits, order.coin)
            whole = held - order.quantity < rules.step
            assert whole or capped or order.quantity == rules.max_quantity or rest >= smallest
            assert whole or capped or order.quantity == rules.max_quantity or rest >= world.limits.dust_threshold


def test_a_target_moves_to_its_share_of_the_capital() -> None:
    """1,000 in cash and BTC: 40 % BTC means 100 less, 20 % ETH means 200 more."""
    world = World(
        portfolio=make_portfolio("500", BTC="0.01"),
        market=make_market({"BTC": "50000", "ETH": "2000"}),
        limits=Limits(),
    )
    planned = world.plan(make_targets({"BTC": "0.4", "ETH": "0.2"}))
    (sell,) = planned.sells
    assert (sell.coin, sell.quantity, sell.amount) == ("BTC", Decimal("0.002"), 100)
    assert sell.limit_price == Decimal("49850.00")
    assert planned.wanted == {"ETH": Decimal(200)}
    assert not planned.left_out
    ((buy,), _) = world.fund(planned)
    assert (buy.quantity, buy.limit_price) == (Decimal("0.1"), Decimal("2006.00"))


@pytest.mark.parametrize(
    ("target", "reason"), [("0.5", None), ("0.5049", Reason.BELOW_THRESHOLD), ("0.4951", Reason.BELOW_THRESHOLD)]
)
def test_a_small_difference_is_left_alone(target: str, reason: Reason | None) -> None:
    """Under the threshold it is told, but nothing is to be done; no difference is nothing to tell."""
    world = World(portfolio=make_portfolio("500", BTC="0.01"), market=make_market({"BTC": "50000"}), limits=Limits())
    planned = world.plan(make_targets({"BTC": target}))
    assert not planned.sells
    assert not planned.wanted
    assert [item.reason for item in planned.left_out] == [reason] * (reason is not None)


@pytest.mark.parametrize("target", ["0.505", "0.495"])
def test_a_difference_of_just_the_threshold_is_traded(target: str) -> None:
    """0.5 % of 1,000 is 5; the smallest order is set lower here."""
    world = World(
        portfolio=make_portfolio("500", BTC="0.01"),
        market=make_market({"BTC": "50000"}, BTC=make_rules(min_notional=ONE)),
        limits=PLAIN,
    )
    orders, left_out = world.everything(make_targets({"BTC": target}))
    assert [order.amount for order in orders] == [5]
    assert not left_out


@pytest.mark.parametrize("portfolio", [make_portfolio("0"), make_portfolio("500", BTC="0.01")])
def test_what_is_as_it_should_be_is_nothing_to_tell(portfolio: Portfolio) -> None:
    """Neither without a threshold nor without any capital: no coin is missing that was not wanted."""
    world = World(
        portfolio=portfolio, market=make_market({"BTC": "50000", "ETH": "1"}), limits=Limits(rebalance_threshold=ZERO)
    )
    assert world.plan(make_targets({"BTC": "0.5", "ETH": "0"})) == Plan()


def test_not_told_is_not_sell_everything() -> None:
    """No moves plan nothing; an empty allocation sells all."""
    world = World(portfolio=make_portfolio("0", BTC="1"), market=make_market({"BTC": "50000"}), limits=Limits())
    assert world.plan(Moves()) == Plan()
    assert [order.quantity for order in world.plan(make_targets({})).sells] == [1]


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [("0.0001", Reason.DUST), ("0.000104", Reason.DUST), ("0.000109", Reason.DUST), ("0.00011", None)],
)
def test_an_exit_of_dust_is_nothing_to_be_done(quantity: str, reason: Reason | None) -> None:
    """5.25 is the smallest order: what is less, or rounds to less, cannot be sold."""
    market = make_market({"BTC": "50000"}, BTC=make_rules(step=Decimal("0.00001")))
    world = World(portfolio=make_portfolio("1000", BTC=quantity), market=market, limits=PLAIN)
    planned = world.plan(make_targets({}))
    assert [item.reason for item in planned.left_out] == [reason] * (reason is not None)
    assert len(planned.sells) == (reason is None)


def test_an_exit_of_just_the_smallest_order_is_sold() -> None:
    """5.25 is enough."""
    world = World(portfolio=make_portfolio("1000", BTC="1"), market=make_market({"BTC": "5.25"}), limits=PLAIN)
    assert [order.amount for order in world.plan(make_targets({})).sells] == [Decimal("5.25")]


@pytest.mark.parametrize(("slippage", "sold"), [("0", 1), ("0.1", 0)])
def test_a_guarded_sale_is_over_the_minimum_at_its_limit_too(slippage: str, sold: int) -> None:
    """5.50 at the last price is only 4.95 at a limit 10 % under it: the exchange would refuse it."""
    limits = Limits(max_slippage=Decimal(slippage))
    world = World(portfolio=make_portfolio("1000", BTC="1"), market=make_market({"BTC": "5.50"}), limits=limits)
    assert len(world.plan(make_targets({})).sells) == sold


# Actions


@pytest.mark.parametrize(
    ("action", "share", "side", "amount"),
    [(Side.BUY, "0.1", Side.BUY, 100), (Side.SELL, "0.1", Side.SELL, 100), (Side.SELL, "1", Side.SELL, 500)],
)
def test_an_action_moves_a_share_of_the_capital(action: Side, share: str, side: Side, amount: int) -> None:
    """Of the whole, for a sale too; no more than there is."""
    world = World(portfolio=make_portfolio("500", BTC="0.01"), market=make_market({"BTC": "50000"}), limits=PLAIN)
    orders, left_out = world.everything(make_moves(("BTC", action, share)))
    assert [(order.side, order.amount) for order in orders] == [(side, amount)]
    assert not left_out


@pytest.mark.parametrize(("share", "left"), [("0.4945", "0.00011"), ("0.4950", "0"), ("0.4999", "0")])
def test_a_sale_takes_what_would_be_left_as_dust(share: str, left: str) -> None:
    """A rest of 5.00 goes with it, as 5.25 is the smallest order; one of 5.50 stays."""
    world = World(portfolio=make_portfolio("500", BTC="0.01"), market=make_market({"BTC": "50000"}), limits=PLAIN)
    (sell,) = world.plan(make_moves(("BTC", Side.SELL, share))).sells
    assert Decimal("0.01") - sell.quantity == Decimal(left)


@pytest.mark.parametrize(("dust", "left"), [("20", "0.0004"), ("20.01", "0")])
def test_dust_is_what_the_owner_says(dust: str, left: str) -> None:
    """A rest of 20 stays where dust is less than that."""
    limits = replace(PLAIN, dust_threshold=Decimal(dust))
    world = World(portfolio=make_portfolio("500", BTC="0.01"), market=make_market({"BTC": "50000"}), limits=limits)
    (sell,) = world.plan(make_moves(("BTC", Side.SELL, "0.48"))).sells
    assert Decimal("0.01") - sell.quantity == Decimal(left)


def test_a_cap_keeps_a_sale_from_taking_the_rest() -> None:
    """10 % of 1,000 is 100: a position of 103 is not sold in one order."""
    limits = Limits(max_slippage=ZERO, max_order_share=Decimal("0.1"))
    world = World(portfolio=make_portfolio("897", BTC="1.03"), market=make_market({"BTC": "100"}), limits=limits)
    (sell,) = world.plan(make_targets({})).sells
    assert sell.amount == 100


# Why something is left out


@pytest.mark.parametrize(
    ("coin", "action", "share", "reason"),
    [
        ("BTC", Side.BUY, "0.005", Reason.BELOW_MINIMUM),
        ("BTC", Side.SELL, "0.005", Reason.BELOW_MINIMUM),
        ("ETH", Side.SELL, "0.5", Reason.NO_POSITION),
        ("SOL", Side.BUY, "0.5", Reason.NOT_TRADING),
        ("SOL", Side.SELL, "0.5", Reason.NOT_TRADING),
        ("XRP", Side.BUY, "0.5", Reason.NOT_LISTED),
        ("BNB", Side.BUY, "0.5", Reason.NO_PRICE),
    ],
)
def test_each_reason(coin: str, action: Side, share: str, reason: Reason) -> None:
    """One leg, one reason, no order."""
    market = make_market({"BTC": "50000", "ETH": "1", "SOL": "1"}, SOL=make_rules("SOL", trading=False))
    market = replace(market, rules={**market.rules, "BNBUSDC": make_rules("BNB")})
    world = World(portfolio=make_portfolio("500", BTC="0.01", SOL="1"), market=market, limits=Limits())
    orders, left_out = world.everything(make_moves((coin, action, share)))
    assert not orders
    assert left_out == (LeftOut(coin, f"{coin}USDC", Side(action), reason),)


@pytest.mark.parametrize("wants", [make_targets({"BTC": ".9"}), make_moves(("BTC", Side.BUY, ".2"))])
def test_what_is_not_chosen_any_more_is_not_bought(wants: Wants) -> None:
    """It is held, so the leader's word on it is understood."""
    limits = replace(PLAIN, coins=("ETH",))
    world = World(portfolio=make_portfolio("500", BTC="0.01"), market=make_market({"BTC": "50000"}), limits=limits)
    assert world.everything(wants) == ((), (LeftOut("BTC", "BTCUSDC", Side.BUY, Reason.NOT_CHOSEN),))
    (sell,) = world.plan(make_targets({"BTC": ".2"})).sells
    assert sell.amount == 300


def test_an_exit_that_cannot_be_traded_is_not_called_dust() -> None:
    """However little it is: the reason may pass."""
    market = make_market({"BTC": "50000"}, BTC=make_rules(trading=False))
    world = World(portfolio=make_portfolio("500", BTC="0.00001"), market=market, limits=Limits())
    assert [item.reason for item in world.plan(make_targets({})).left_out] == [Reason.NOT_TRADING]


@pytest.mark.parametrize("side", Side)
def test_a_blocked_leg_is_left_out_for_that_reason(side: Side) -> None:
    """The other side of the same coin is not blocked by it."""
    world = World(portfolio=make_portfolio("500", BTC="0.01"), market=make_market({"BTC": "50000"}), limits=PLAIN)
    for target, asked in (("0.8", Side.BUY), ("0.2", Side.SELL)):
        planned = world.plan(make_targets({"BTC": target}), {("BTC", side): Reason.REFUSED})
        traded = [*planned.wanted, *planned.sells]
        assert [item.reason for item in planned.left_out] == [Reason.REFUSED] * (asked is side)
        assert len(traded) == (asked is not side)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_passes_or_says_that_nothing_was_to_be_done_or_is_final(reason: Reason) -> None:
    """Never two of them."""
    assert not (reason.passing and reason.aligned)
    passing = {Reason.NOT_TRADING, Reason.NO_PRICE, Reason.ORDER_OPEN, Reason.DAILY_LIMIT, Reason.RESTING}
    assert reason.passing == (reason in passing)
    aligned = {Reason.BELOW_THRESHOLD, Reason.ALREADY_PLACED, Reason.DUST, Reason.NOT_NEEDED, Reason.IN_BAND}
    assert reason.aligned == (reason in aligned)


# The price guard


@pytest.mark.parametrize(
    ("coin", "max_slippage", "slippage"),
    [
        ("BTC", None, "0.003"),
        ("ETH", None, "0.003"),
        ("XRP", None, "0.005"),
        ("BTC", "0", "0"),
        ("XRP", "0.02", "0.02"),
    ],
)
def test_the_guard_is_tighter_for_the_majors_unless_set(coin: str, max_slippage: str | None, slippage: str) -> None:
    """0 is a setting of its own."""
    limits = Limits(max_slippage=None if max_slippage is None else Decimal(max_slippage))
    assert limits.slippage(coin) == Decimal(slippage)
