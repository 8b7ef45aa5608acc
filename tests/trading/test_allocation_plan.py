"""From an own allocation to orders: as close as steps and minimums let it come, and no trade more than that takes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
import itertools
import os
import random

import pytest

from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.market import (
    FEE_MARGIN,
    Market,
    PlannedOrder,
    make_order,
    smallest_order,
    worst_factor,
)
from custom_components.calvalot.trading.planner import fund, plan
from custom_components.calvalot.trading.portfolio import Portfolio, Position, Valuation
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, TradeTo, wanted, whole
from custom_components.calvalot.trading.wants import Allocation

from .builders import QUOTE, make_fill, make_market, make_rules

COINS = ("BTC", "ETH", "SOL", "XRP")
MANY = int(os.environ.get("CALVALOT_ALLOCATIONS", "100"))
# A rebalance is pursued over cycles while something can be placed.
MOST_PASSES = 12


class Case:
    """One random portfolio with an allocation and an exchange's filters."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.limits = Limits(min_order=Decimal(5), rebalance_threshold=Decimal("0.005"))
        prices = {coin: f"{chance.uniform(*bounds):.4f}" for coin, bounds in zip(
            COINS, ((2e4, 1e5), (1e3, 4e3), (20, 300), (0.2, 4)), strict=True
        )}  # fmt: skip
        halted = chance.choice([*COINS, None, None, None])
        self.market: Market = make_market(
            prices,
            **{
                coin: make_rules(
                    coin,
                    step=Decimal(chance.choice(["0.00001", "0.0001", "0.001"])) * (1000 if coin == "XRP" else 1),
                    min_notional=Decimal(chance.choice(["1", "5", "10"])),
                    trading=coin != halted,
                )
                for coin in COINS
            },
        )
        value = Decimal(chance.choice([30, 100, 300, 1000, 5000, 50_000]))
        parts = [chance.random() ** 2 for _ in range(5)]
        held = [Decimal(f"{part / sum(parts):.6f}") * value for part in parts]
        positions = {
            coin: Position(amount / Decimal(prices[coin]), amount)
            for coin, amount in zip(COINS, held, strict=False)
            if chance.random() < 0.8
        }
        self.portfolio = Portfolio(cash=held[4], paid_in=value, positions=positions)
        shares = {coin: chance.random() for coin in COINS if chance.random() < 0.8} or {"BTC": 1.0}
        room = chance.uniform(0.6, 1)
        self.settings = AllocationSettings(
            shares={coin: Decimal(f"{share / sum(shares.values()) * room:.4f}") for coin, share in shares.items()},
            drift=Decimal(chance.choice([5, 20, 50])) / 100,
            trade_to=chance.choice(list(TradeTo)),
        )
        self.by_hand = chance.random() < 0.5

    def valuation(self, portfolio: Portfolio) -> Valuation:
        """What it is worth."""
        valuation = portfolio.value(self.market.prices)
        assert valuation
        return valuation

    def weights(self, portfolio: Portfolio) -> dict[str, Decimal]:
        """Weights by coin."""
        valuation = self.valuation(portfolio)
        with localcontext(EXACT):
            return {coin: value / valuation.total for coin, value in valuation.values.items()}

    def asked(self, portfolio: Portfolio) -> Allocation | None:
        """What the source asks for."""
        if self.by_hand:
            return whole(self.settings)
        total = self.valuation(portfolio).total
        tradable = [coin for coin in COINS if not self.market.obstacle(coin)]
        smallest = {coin: smallest_order(self.market, self.limits, coin) / total for coin in tradable}
        return wanted(self.settings, self.weights(portfolio), smallest)

    def rebalance(self, asked: Allocation) -> Iterator[tuple[PlannedOrder, ...]]:
        """Pursue it until nothing can be placed any more; yields the orders of each pass, filled at the last price for nothing."""
        for _ in range(MOST_PASSES):
            planned = plan(asked, self.portfolio, self.valuation(self.portfolio), self.market, self.limits, {})
            self.portfolio = filled(self.portfolio, planned.sells)
            again = plan(asked, self.portfolio, self.valuation(self.portfolio), self.market, self.limits, {})
            total = self.valuation(self.portfolio).total
            buys, _ = fund(again.wanted, self.portfolio.cash - again.reserve, total, self.market, self.limits)
            self.portfolio = filled(self.portfolio, buys)
            if not planned.sells and not buys:
                return
            yield planned.sells + buys
        raise AssertionError("it goes on for ever")

    def goals(self, asked: Allocation, before: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """The weights that are asked for."""
        return {coin: before.get(coin, ZERO) if coin in asked.keep else asked.shares.get(coin, ZERO) for coin in COINS}

    def distance(self, portfolio: Portfolio, goals: Mapping[str, Decimal]) -> Decimal:
        """Half the sum of what each weight is off, cash included."""
        weights = self.weights(portfolio)
        with localcontext(EXACT):
            off = sum((abs(weights.get(coin, ZERO) - goals[coin]) for coin in COINS), ZERO)
            cash = ONE - sum(weights.values(), ZERO) - (ONE - sum(goals.values(), ZERO))
            return (off + abs(cash)) / 2

    def step(self, coin: str) -> Decimal:
        """What a step of a coin is worth, in quote."""
        return self.market.rules[self.market.symbol(coin)].step * self.market.prices[coin]


def filled(portfolio: Portfolio, orders: tuple[PlannedOrder, ...]) -> Portfolio:
    """The portfolio once orders were filled at the last price for nothing."""
    for order in orders:
        fill = make_fill(f"{order.quantity:f}", f"{order.price:f}", amount=order.amount)
        portfolio = portfolio.with_fill(fill, order.side, order.coin, QUOTE, ONE)
    return portfolio


@pytest.mark.parametrize("seed", range(MANY))
def test_a_rebalance(seed: int) -> None:
    """Its distance, its turnover, its sells, and that a second one trades nothing."""
    case = Case(seed)
    start, before = case.portfolio, case.weights(case.portfolio)
    total = case.valuation(start).total
    asked = case.asked(start)
    if asked is None:
        return
    goals = case.goals(asked, before)
    orders = [order for each in case.rebalance(asked) for order in each]
    sold = sum((order.amount for order in orders if order.side is Side.SELL), ZERO)
    bought = sum((order.amount for order in orders if order.side is Side.BUY), ZERO)
    slack = sum((case.step(coin) for coin in COINS), ZERO)
    # The one-way need: what is too much of the coins and too little of them, whichever is more, and a step for each.
    with localcontext(EXACT):
        too_much = sum((max(before.get(coin, ZERO) - goals[coin], ZERO) for coin in COINS), ZERO) * total
        too_little = sum((max(goals[coin] - before.get(coin, ZERO), ZERO) for coin in COINS), ZERO) * total
        # A rest that could not be sold later goes with a sale of the rest.
        sold_coins = {order.coin for order in orders if order.side is Side.SELL and goals[order.coin]}
        smallest = {coin: smallest_order(case.market, case.limits, coin) for coin in sold_coins}
        left = case.valuation(case.portfolio).values
        rests = sum((least for coin, least in smallest.items() if left.get(coin, ZERO) < least), ZERO)
    assert sold <= too_much + slack + rests
    assert bought <= too_little + slack
    exits = sum(
        (order.amount for order in orders if order.side is Side.SELL and not asked.shares.get(order.coin)), ZERO
    )
    need = bought * (ONE + Decimal("0.01")) + (asked.cash or ZERO) * total - start.cash
    assert sold - exits <= max(need, ZERO) + slack + rests
    assert case.portfolio.cash >= min(start.cash, (asked.cash or ZERO) * total) - slack
    assert case.distance(case.portfolio, goals) <= case.distance(start, goals)
    assert case.distance(case.portfolio, goals) <= best(case, start, goals) + tolerance(case, total)
    assert list(case.rebalance(asked)) == []


def tolerance(case: Case, total: Decimal) -> Decimal:
    """What a minimum, a step and the room for the worst price of each coin come to, as a fraction."""
    each = [
        smallest_order(case.market, case.limits, coin) * worst_factor(case.limits, coin) + 2 * case.step(coin)
        for coin in COINS
    ]
    return max(each) / total + FEE_MARGIN


def best(case: Case, start: Portfolio, goals: Mapping[str, Decimal]) -> Decimal:
    """The least distance of any choice of coins that are traded to their goals, as far as minimums and the cash let them."""
    found = case.distance(start, goals)
    total = case.valuation(start).total
    before = case.weights(start)
    for chosen in itertools.chain.from_iterable(
        itertools.combinations(COINS, count) for count in range(1, len(COINS) + 1)
    ):
        portfolio: Portfolio | None = start
        for coin in sorted(chosen, key=lambda coin: goals[coin] - before.get(coin, ZERO)):
            assert portfolio
            difference = (goals[coin] - before.get(coin, ZERO)) * total
            side = Side.BUY if difference > 0 else Side.SELL
            order = make_order(case.market, case.limits, coin, side, abs(difference) / case.market.prices[coin])
            halted = case.market.obstacle(coin) is not None
            if halted or order is None or order.amount < smallest_order(case.market, case.limits, coin):
                portfolio = None
                break
            if side is Side.BUY and order.amount * worst_factor(case.limits, coin) > portfolio.cash:
                portfolio = None
                break
            if side is Side.SELL and order.quantity > portfolio.quantity(coin):
                order = replace(order, quantity=portfolio.quantity(coin), amount=portfolio.quantity(coin) * order.price)
            portfolio = filled(portfolio, (order,))
        if portfolio:
            found = min(found, case.distance(portfolio, goals))
    return found
