"""From an own allocation to orders: as near to it as steps and minimums allow, and no trade more than that takes.

Random portfolios, allocations and filters, the same for the same seed. Amounts are in quote. *Costs* are what every order is
counted with though it may fill better: the fee, and for a buy the room up to the worst price that it may fill at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal, localcontext
from functools import cached_property
from itertools import chain, combinations, product
import os
from random import Random

import pytest

from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO, round_down
from custom_components.calvalot.trading.exchanges.base import USUAL_FEE, Side
from custom_components.calvalot.trading.funding import Funded
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.planner import Plan, fund, plan
from custom_components.calvalot.trading.portfolio import Portfolio, Position
from custom_components.calvalot.trading.sizing import Market, PlannedOrder, Reason, least_quantity, worst_factor
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, TradeTo, wanted, whole
from custom_components.calvalot.trading.wants import Allocation

from .builders import QUOTE, make_fill, make_market, make_rules

COINS = ("AAA", "BBB", "CCC", "DDD")
SMALLEST_SHARE = Decimal("1e-18")
# All of them where somebody asks for them, a tenth in the ordinary run.
COUNT = int(os.environ.get("CALVALOT_ALLOCATIONS", "100"))
# A signal is pursued from cycle to cycle while something of it can be placed.
MOST_PASSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A portfolio in a market, with the owner's limits."""

    portfolio: Portfolio
    market: Market
    limits: Limits

    @property
    def capital(self) -> Decimal:
        """What it is worth."""
        valuation = self.portfolio.value(self.market.prices)
        assert valuation
        return valuation.total

    def value(self, coin: str) -> Decimal:
        """What is held of a coin."""
        return self.portfolio.quantity(coin) * self.market.prices[coin]

    def step(self, coin: str) -> Decimal:
        """What a step of a coin is worth."""
        return self.market.rules[self.market.symbol(coin)].step * self.market.prices[coin]

    @property
    def steps(self) -> Decimal:
        """A step of each coin."""
        return sum((self.step(coin) for coin in self.market.prices), ZERO)

    def least(self, coin: str) -> Decimal:
        """Smallest order of a coin."""
        return least_quantity(self.market, self.limits, coin) * self.market.prices[coin]

    def worst(self, coin: str) -> Decimal:
        """What a buy may cost, as a multiple of its amount."""
        return worst_factor(self.limits, coin, self.market.rules[self.market.symbol(coin)])

    def plan(self, wants: Allocation) -> Plan:
        """What is asked of it."""
        valuation = self.portfolio.value(self.market.prices)
        assert valuation
        return plan(wants, self.portfolio, valuation, self.market, self.limits, {})

    def fund(self, planned: Plan) -> Funded:
        """Buys from the cash that is there."""
        return fund(planned, self.portfolio.cash, self.capital, self.market, self.limits)

    def after(self, orders: Sequence[PlannedOrder]) -> World:
        """The same world once orders were filled at the last price, for the fee."""
        portfolio = self.portfolio
        for order in orders:
            fee = f"{order.amount * USUAL_FEE:f}"
            fill = make_fill(f"{order.quantity:f}", f"{order.price:f}", fee, amount=order.amount)
            portfolio = portfolio.with_fill(fill, order.side, order.coin, QUOTE, ONE)
        return replace(self, portfolio=portfolio)

    def off(self, wants: Allocation, capital: Decimal) -> dict[str, Decimal]:
        """How much too much is held of each coin, negative where it is too little, of a capital."""
        coins = {*wants.shares, *self.portfolio.positions} - wants.keep
        return {coin: self.value(coin) - wants.shares.get(coin, ZERO) * capital for coin in sorted(coins)}

    def distance(self, wants: Allocation, capital: Decimal) -> Decimal:
        """Half the sum of what coins and cash are off."""
        cash = self.portfolio.cash - (wants.cash or ZERO) * capital
        return (total(map(abs, self.off(wants, capital).values())) + abs(cash)) / 2


@dataclass(frozen=True, kw_only=True)
class Rebalance:
    """One pass at an allocation: sells, then buys from the cash that is there."""

    before: World
    wants: Allocation

    @cached_property
    def sells(self) -> tuple[PlannedOrder, ...]:
        """What is sold."""
        return self.before.plan(self.wants).sells

    @cached_property
    def between(self) -> World:
        """The world once that is done."""
        return self.before.after(self.sells)

    @cached_property
    def buys(self) -> tuple[PlannedOrder, ...]:
        """What is bought then."""
        return self.between.fund(self.between.plan(self.wants))[0]

    @cached_property
    def after(self) -> World:
        """The world at the end."""
        return self.between.after(self.buys)

    @property
    def fees(self) -> Decimal:
        """Fees of the sells, which also lower the capital that the buys are a share of."""
        return total(order.amount for order in self.sells) * USUAL_FEE

    @property
    def costs(self) -> Decimal:
        """Fees, and the room of the buys."""
        return self.fees + total(order.amount * (self.before.worst(order.coin) - 1) for order in self.buys)

    @property
    def need(self) -> Decimal:
        """What has to change sides: what is too much of the coins, or too little, whichever is more."""
        off = self.before.off(self.wants, self.before.capital).values()
        return max(total(max(each, ZERO) for each in off), total(max(-each, ZERO) for each in off))


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Their exact sum."""
    return sum(amounts, ZERO)


def random_rebalance(seed: int) -> Rebalance:
    """A portfolio of one to four coins worth 30 to 100,000, coarse and fine steps, an allocation near and far."""
    dice = Random(seed)
    coins = COINS[: dice.randint(1, 4)]
    prices = {coin: Decimal(f"{10 ** dice.uniform(-3, 4.5):.6f}") for coin in coins}
    rules = {}
    for coin in coins:
        digits = round(dice.uniform(-4, dice.choice([0, 0, 1, 1.5])) - prices[coin].adjusted())
        step = ONE.scaleb(digits)
        notional, quote_step = Decimal(dice.choice([0, 5, 10, 50])), dice.choice([None, Decimal("1e-8")])
        rules[coin] = make_rules(
            coin,
            step=step,
            min_quantity=step,
            max_quantity=None,
            min_notional=notional,
            quote_step=quote_step,
            tick=Decimal("1e-8"),
            min_price=ZERO,
        )
    value = Decimal(f"{10 ** dice.uniform(1.5, 5):.2f}")
    held, asked = random_shares(dice, len(coins) + 1), random_shares(dice, len(coins) + 1)
    if dice.random() < 0.4:  # near to what is held
        part = Decimal(f"{dice.random() * 0.3:.3f}")
        asked = [here * (1 - part) + there * part for here, there in zip(held, asked, strict=True)]
    positions = {
        coin: Position(quantity, ONE)
        for coin, share in zip(coins, held, strict=False)
        if (quantity := (share * value / prices[coin]).quantize(Decimal("1e-8"), ROUND_DOWN))
    }
    limits = Limits(
        min_order=Decimal(dice.choice([0, 5, 20])),
        max_slippage=dice.choice([None, ZERO, Decimal("0.002")]),
        dust_threshold=Decimal(dice.choice(["0", "2.5"])),
    )
    world = World(
        portfolio=Portfolio(cash=max(held[-1] * value, Decimal(1)), positions=positions),
        market=make_market(prices, **rules),
        limits=limits,
    )
    keep = frozenset(coin for coin in coins if dice.random() < 0.25)
    room = ONE - total(world.value(coin) for coin in keep) / world.capital
    shares = {coin: share for coin, share in zip(coins, asked, strict=False) if coin not in keep}
    scale = min(ONE, room / total(shares.values())) if any(shares.values()) else ONE
    shares = {coin: round_down(share * scale, SMALLEST_SHARE) for coin, share in shares.items()}
    cash = round_down(max(room - total(shares.values()), ZERO), SMALLEST_SHARE)
    return Rebalance(before=world, wants=Allocation(shares=shares, keep=keep, cash=cash))


def random_shares(dice: Random, count: int) -> list[Decimal]:
    """Shares that make up the whole, some of them small or nothing."""
    parts = [dice.choice([0, 1, 1, 1]) * dice.random() ** dice.choice([1, 3]) + 1e-9 for _ in range(count)]
    return [Decimal(part / sum(parts)).quantize(Decimal("1e-6"), ROUND_DOWN) for part in parts]


@pytest.fixture(scope="module")
def rebalances() -> list[Rebalance]:
    """All of them."""
    with localcontext(EXACT):
        return [random_rebalance(seed) for seed in range(COUNT)]


def subsets(coins: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every choice of coins."""
    return chain.from_iterable(combinations(coins, count) for count in range(len(coins) + 1))


def least_distance(rebalance: Rebalance) -> Decimal:
    """The least distance of any set of coins to be sold and to be bought, by trying them all.

    In a set every order is at least its minimum and at most what its coin is off; steps do not matter, so nothing that can
    really be sent comes nearer. Only what is needed is sold, but for coins that go altogether, and cash that is asked for is
    not spent. Where a minimum is within steps and costs of what is there, the orders count as too small.
    """
    world, wants, capital = rebalance.before, rebalance.wants, rebalance.before.capital
    off = world.off(wants, capital)
    least = {coin: world.least(coin) + world.step(coin) for coin in off}
    gone = total(amount for coin, amount in off.items() if not wants.shares.get(coin) and amount >= world.least(coin))
    over = {coin: amount for coin, amount in off.items() if wants.shares.get(coin) and amount >= least[coin]}
    under = {coin: -amount for coin, amount in off.items() if -amount >= least[coin]}
    rest = total(map(abs, off.values())) - gone
    spare = world.portfolio.cash - (wants.cash or ZERO) * capital + gone
    room = spare - world.steps - (gone + total(over.values())) * USUAL_FEE
    found = []
    for bought, sold in product(subsets(list(under)), subsets(list(over))):
        # What buys cost is counted at the worst price, what they bring nearer as if each were as cheap as the cheapest.
        from_, to = (total(each[coin] * world.worst(coin) for coin in bought) for each in (least, under))
        cheapest = min((world.worst(coin) for coin in bought), default=ONE)
        start, end = (total(each[coin] for coin in sold) for each in (least, over))
        buys = min(to, max(end + room, ZERO))
        sells = min(end, max(buys - room, ZERO))
        if buys < from_ or (sold and buys - spare < start):
            continue
        nearer = buys / cheapest
        found.append((rest - sells - nearer + abs(spare + sells - nearer)) / 2)
    return min(found)


def test_the_distance_is_what_steps_and_minimums_force(rebalances: list[Rebalance]) -> None:
    """No set of orders comes nearer than by a step of each coin and what all orders may cost.

    To the last digit it cannot hold: the room of a buy up to its worst price stays in cash when it fills better, and a sale is
    one step short. The next passes use what stays.
    """
    for seed, rebalance in enumerate(rebalances):
        with localcontext(EXACT):
            distance = rebalance.after.distance(rebalance.wants, rebalance.before.capital)
            allowed = least_distance(rebalance) + rebalance.before.steps + rebalance.costs
            assert distance <= allowed, seed


def test_the_turnover_is_the_one_way_need(rebalances: list[Rebalance]) -> None:
    """And a step for each coin, over all passes together; what fees took out of the cash that is asked for is sold again."""
    for seed, rebalance in enumerate(rebalances):
        with localcontext(EXACT):
            *passes, _ = pursued(rebalance)
            sold, bought = (
                total(order.amount for orders in sides for order in orders)
                for sides in ([each.sells for each in passes], [each.buys for each in passes])
            )
            allowed = rebalance.need + rebalance.before.steps
            assert bought <= allowed, seed
            assert sold <= allowed + (sold + bought) * USUAL_FEE, seed


def test_no_more_is_sold_than_is_needed(rebalances: list[Rebalance]) -> None:
    """By the buys that are made and the cash that is asked for, but for coins that go altogether.

    A step of each coin more, as orders go in steps, and the fees: they lower the capital that the buys are a share of.
    """
    for seed, rebalance in enumerate(rebalances):
        with localcontext(EXACT):
            world, wants = rebalance.before, rebalance.wants
            need = total(order.amount * world.worst(order.coin) for order in rebalance.buys)
            need += (wants.cash or ZERO) * world.capital - world.portfolio.cash
            gone, others = (
                total(
                    order.amount * (1 - USUAL_FEE)
                    for order in rebalance.sells
                    if bool(wants.shares.get(order.coin)) == held
                )
                for held in (False, True)
            )
            if others:
                assert others <= max(need - gone, ZERO) + world.steps + rebalance.fees, seed


def test_the_cash_that_is_asked_for_is_not_spent(rebalances: list[Rebalance]) -> None:
    """Where it is there."""
    for seed, rebalance in enumerate(rebalances):
        with localcontext(EXACT):
            asked = (rebalance.wants.cash or ZERO) * rebalance.between.capital
            assert rebalance.after.portfolio.cash >= min(asked, rebalance.between.portfolio.cash), seed


def test_coins_to_keep_are_left_alone(rebalances: list[Rebalance]) -> None:
    """They say that they are in their band, and that is no obstacle."""
    for seed, rebalance in enumerate(rebalances):
        planned = rebalance.before.plan(rebalance.wants)
        orders = {order.coin for order in (*planned.sells, *rebalance.buys)}
        assert not orders & rebalance.wants.keep, seed
        in_band = {item.coin for item in planned.left_out if item.reason is Reason.IN_BAND}
        assert in_band == rebalance.wants.keep, seed


def pursued(rebalance: Rebalance) -> Iterator[Rebalance]:
    """The passes at one allocation, the last one without an order."""
    for _ in range(MOST_PASSES):
        yield rebalance
        if not rebalance.sells and not rebalance.buys:
            return
        rebalance = replace(rebalance, before=rebalance.after)
    raise AssertionError("it goes on for ever")


def test_a_second_run_of_everything_trades_nothing(rebalances: list[Rebalance]) -> None:
    """By hand or by schedule without drift, once the first has placed what can be placed."""
    for seed, rebalance in enumerate(rebalances):
        settings = random_settings(rebalance, seed)
        with localcontext(EXACT):
            (*_, last), (*further, _) = runs(rebalance.before, settings, 2, by_drift=False)
            assert last.before.capital <= rebalance.before.capital
            assert not further, seed


def test_a_second_run_by_drift_trades_nothing(rebalances: list[Rebalance]) -> None:
    """But where a purchase was too small to be sent: the next look gives what it left to another coin, a third one nothing.

    What that trades is less than two smallest orders.
    """
    again = 0
    for seed, rebalance in enumerate(rebalances):
        settings = random_settings(rebalance, seed)
        with localcontext(EXACT):
            _, (*second, _), (*third, _) = runs(rebalance.before, settings, 3, by_drift=True)
            least = max(rebalance.before.least(coin) for coin in rebalance.before.market.prices)
            for side in (Side.BUY, Side.SELL):
                orders = (order for each in second for order in (*each.sells, *each.buys) if order.side is side)
                assert total(order.amount for order in orders) <= 2 * least, seed
            assert not third, seed
            again += bool(second)
    assert again <= len(rebalances) / 50


def random_settings(rebalance: Rebalance, seed: int) -> AllocationSettings:
    """The shares that are asked for, with some band."""
    dice = Random(seed)
    drift, trade_to = Decimal(dice.choice(["0.05", "0.2", "0.5"])), dice.choice(list(TradeTo))
    return AllocationSettings(shares=rebalance.wants.shares, drift=drift, trade_to=trade_to)


def runs(world: World, settings: AllocationSettings, count: int, *, by_drift: bool) -> Iterator[list[Rebalance]]:
    """The passes of some runs, one after the other, each at what its source asks for by then."""
    for _ in range(count):
        passes = list(pursued(Rebalance(before=world, wants=asked_of(world, settings, by_drift=by_drift))))
        yield passes
        world = passes[-1].before


def asked_of(world: World, settings: AllocationSettings, *, by_drift: bool) -> Allocation:
    """What the source asks for; where that is nothing, everything stays."""
    weights = {coin: world.value(coin) / world.capital for coin in world.portfolio.positions}
    smallest = {coin: world.least(coin) / world.capital for coin in world.market.prices}
    wants = wanted(settings, weights, smallest) if by_drift else whole(settings)
    return wants or Allocation(keep=frozenset(world.market.prices), cash=ZERO)
