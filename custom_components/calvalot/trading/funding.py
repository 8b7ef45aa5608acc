"""How buys are paid: sized from the cash that is there, and no more sold for them than they need. Amounts are in quote."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from .decimals import ONE, ZERO, round_down, round_up
from .exchanges.base import Side
from .limits import Limits
from .sizing import (
    FINEST,
    LeftOut,
    Market,
    PlannedOrder,
    Reason,
    least_quantity,
    make_order,
    smallest_order,
    worst_factor,
)

type Funded = tuple[tuple[PlannedOrder, ...], tuple[LeftOut, ...]]

# What trading itself may cost, as a fraction of capital: buys that lack no more cash than that were paid as far as they could be.
COSTS = Decimal("0.01")
HALF = Decimal("0.5")
# How near to the last price a guard may be, as a fraction, for its order to be filled.
TIGHTEST = Decimal("0.001")


def proceeds(sells: Iterable[PlannedOrder]) -> Decimal:
    """What sells bring, less their fees."""
    return sum((order.brings for order in sells), ZERO)


def needed(
    sells: Sequence[PlannedOrder],
    cash: Decimal,
    buy: Callable[[Decimal], Sequence[PlannedOrder]],
    market: Market,
    limits: Limits,
) -> tuple[PlannedOrder, ...]:
    """As much of some sells as the purchases need that are really made; `buy` makes them from an amount of cash.

    `cash` is what is there for them without any sale, under 0 where more is asked for in cash than is there.
    """
    kept = sells = sorted(sells, key=lambda order: (-order.amount, order.coin))
    while True:
        brought = proceeds(kept)
        cost = sum(
            (
                order.amount * worst_factor(limits, order.coin, market.rules[order.symbol])
                for order in buy(cash + brought)
            ),
            ZERO,
        )
        fewer = _enough(cost - cash, sells, market, limits)
        if proceeds(fewer) >= brought:
            return tuple(kept)
        kept = fewer


def scaled_alike(amounts: dict[str, Decimal], cash: Decimal, market: Market, limits: Limits) -> Funded:
    """All scaled alike where the cash does not reach.

    Buys that scaling would push under their minimum go without, smallest first, so that the largest are still made.
    """
    factors = _factors(amounts, market, limits)
    left_out: list[LeftOut] = []
    while amounts:
        worst = sum((amount * factors[coin] for coin, amount in amounts.items()), ZERO)
        scale = min(ONE, cash / worst) if worst else ONE
        orders = {coin: _sized_buy(market, limits, coin, amount * scale) for coin, amount in amounts.items()}
        short = [coin for coin, order in orders.items() if order is None]
        if not short:
            return tuple(order for order in orders.values() if order), tuple(left_out)
        coin = min(short, key=lambda coin: (amounts[coin], coin))
        reason = Reason.NO_CASH if scale < ONE else Reason.BELOW_MINIMUM
        left_out.append(LeftOut(coin, market.symbol(coin), Side.BUY, reason))
        del amounts[coin]
    return (), tuple(left_out)


def as_planned(buys: Sequence[PlannedOrder], cash: Decimal, market: Market, limits: Limits) -> Funded:
    """Buys of given sizes, with tighter price guards where the cash does not reach for the most that they may cost.

    Where it does not reach for what they cost at the last price and a little more, all are scaled alike.
    """
    if sum((_at_most(order, market, limits) for order in buys), ZERO) <= cash:
        return tuple(buys), ()
    cost = sum((order.amount * (ONE + order.fee) for order in buys), ZERO)
    guard = cash / cost - ONE
    if guard < TIGHTEST or any(order.limit_price is None for order in buys):
        return scaled_alike({order.coin: order.amount for order in buys}, max(cash, ZERO), market, limits)
    return tuple(
        replace(
            order,
            limit_price=min(
                order.limit_price or ZERO, market.rules[order.symbol].limit_price(Side.BUY, order.price, guard)
            ),
        )
        for order in buys
    ), ()


def at_limits(
    buys: Sequence[PlannedOrder], cash: Decimal, market: Market, limits: Limits
) -> tuple[tuple[PlannedOrder, ...], tuple[LeftOut, ...], Decimal]:
    """Buys that wait for their price, one after the other as far as the cash reaches; and the cash that they leave."""
    orders: list[PlannedOrder] = []
    left_out: list[LeftOut] = []
    for order in buys:
        limit, rules = order.limit_price or order.price, market.rules[order.symbol]
        quantity = min(order.quantity, rules.round_quantity(max(cash, ZERO) / (limit * (ONE + order.fee))))
        if quantity * limit < smallest_order(market, limits, order.coin):
            left_out.append(LeftOut(order.coin, order.symbol, order.side, Reason.NO_CASH))
            continue
        orders.append(replace(order, quantity=quantity, amount=quantity * limit))
        cash -= _at_most(orders[-1], market, limits)
    return tuple(orders), tuple(left_out), cash


def _at_most(order: PlannedOrder, market: Market, limits: Limits) -> Decimal:
    """What a buy costs at most, fee included."""
    if order.quote_amount is not None:
        return order.quote_amount * (ONE + order.fee)
    if order.limit_price is not None:
        return order.quantity * order.limit_price * (ONE + order.fee)
    return order.amount * worst_factor(limits, order.coin, market.rules[order.symbol])


def nearest(amounts: dict[str, Decimal], cash: Decimal, capital: Decimal, market: Market, limits: Limits) -> Funded:
    """Each its minimum, and what is wanted beyond that scaled alike where the cash does not reach; what steps leave goes where
    most is lacking.

    Where the cash does not reach for all minimums, the smallest buys go without.
    """
    factors = _factors(amounts, market, limits)
    least = {coin: least_quantity(market, limits, coin) for coin in amounts}
    left_out: list[LeftOut] = []

    def leave(coin: str, reason: Reason) -> None:
        left_out.append(LeftOut(coin, market.symbol(coin), Side.BUY, reason))
        del amounts[coin]

    def cost(coin: str, quantity: Decimal) -> Decimal:
        return quantity * market.prices[coin] * factors[coin]

    for coin in sorted(amounts):
        if _quantity(market, coin, amounts[coin]) < least[coin]:
            leave(coin, Reason.BELOW_MINIMUM)
    while sum((cost(coin, least[coin]) for coin in amounts), ZERO) > cash:
        # What cannot be paid at all first, then the smallest.
        coin = min(amounts, key=lambda coin: (cost(coin, least[coin]) <= cash, amounts[coin], coin))
        leave(coin, Reason.NO_CASH if amounts[coin] > COSTS * capital else Reason.BELOW_THRESHOLD)
    minimums = {coin: least[coin] * market.prices[coin] for coin in amounts}
    more = sum(((amount - minimums[coin]) * factors[coin] for coin, amount in amounts.items()), ZERO)
    room = cash - sum((cost(coin, least[coin]) for coin in amounts), ZERO)
    scale = min(ONE, room / more) if more else ONE
    quantities = {
        coin: _quantity(market, coin, minimums[coin] + (amount - minimums[coin]) * scale)
        for coin, amount in amounts.items()
    }
    left = cash - sum((cost(coin, quantity) for coin, quantity in quantities.items()), ZERO)
    lacking = {coin: amounts[coin] - quantity * market.prices[coin] for coin, quantity in quantities.items()}
    for coin in sorted(lacking, key=lambda coin: (-lacking[coin], coin)):
        rules, price = market.rules[market.symbol(coin)], market.prices[coin]
        step = rules.step or FINEST
        # To the nearest step, as far as the cash reaches.
        steps = min(left // cost(coin, step), (lacking[coin] / (step * price) + HALF) // 1)
        quantity = rules.round_quantity(quantities[coin] + steps * step)
        if quantity * price <= limits.max_order_share * capital:
            left -= cost(coin, quantity - quantities[coin])
            quantities[coin] = quantity
    orders = (make_order(market, limits, coin, Side.BUY, quantity) for coin, quantity in quantities.items())
    return tuple(order for order in orders if order), tuple(left_out)


def _enough(need: Decimal, sells: Sequence[PlannedOrder], market: Market, limits: Limits) -> list[PlannedOrder]:
    """Sells that bring what is needed and less than a step more, largest first; less where minimums leave no other way."""
    quantities: dict[str, Decimal] = {}
    least = {order.coin: least_quantity(market, limits, order.coin) for order in sells}
    values = {order.coin: order.price * (ONE - order.fee) for order in sells}
    for order in sells:
        if need <= 0:
            break
        coin, step = order.coin, market.rules[order.symbol].step
        quantity = min(order.quantity, round_up(need / values[coin], step))
        if quantity < least[coin]:
            # Less cannot be sold: one before it gives way, where it can.
            surplus = least[coin] * values[coin] - need
            giver = next(
                (each for each in quantities if (quantities[each] - least[each]) * values[each] >= surplus), None
            )
            if giver is None:
                continue
            given = round_down(surplus / values[giver], market.rules[market.symbol(giver)].step)
            quantities[giver] -= given
            need += given * values[giver]
            quantity = least[coin]
        quantities[coin] = quantity
        need -= quantity * values[coin]
    orders = (make_order(market, limits, coin, Side.SELL, quantity) for coin, quantity in quantities.items())
    return [order for order in orders if order]


def _quantity(market: Market, coin: str, amount: Decimal) -> Decimal:
    """What an amount is of a coin, rounded down."""
    return market.rules[market.symbol(coin)].round_quantity(amount / market.prices[coin])


def _factors(coins: Iterable[str], market: Market, limits: Limits) -> dict[str, Decimal]:
    return {coin: worst_factor(limits, coin, market.rules.get(market.symbol(coin))) for coin in coins}


def _sized_buy(market: Market, limits: Limits, coin: str, amount: Decimal) -> PlannedOrder | None:
    order = make_order(market, limits, coin, Side.BUY, amount / market.prices[coin])
    return order if order and order.amount >= smallest_order(market, limits, coin) else None
