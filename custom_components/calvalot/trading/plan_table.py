"""A plan coin by coin: what is held and aimed at, what is traded and what that costs, and why nothing is; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from .decimals import EXACT, ONE, ZERO
from .exchanges.base import Side
from .exchanges.paper import slippage
from .portfolio import Portfolio
from .sizing import LeftOut, Market, PlannedOrder, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One coin: shares of the portfolio as fractions, amounts in quote; None = unknown, or none.

    `drift` is how far it is off its target, `band` how far it may be, both as fractions of the target. `cost` is the fee and
    what the fills are expected to lose against the last price. `reason` says why nothing is traded.
    """

    coin: str
    held: Decimal
    target: Decimal | None
    drift: Decimal | None
    band: Decimal | None
    order: PlannedOrder | None
    fee: Decimal
    cost: Decimal
    after: Decimal
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All coins of a plan, and in quote what is bought and sold, what that costs and the cash that is left."""

    rows: tuple[Row, ...]
    turnover: Decimal
    cost: Decimal
    left_over: Decimal


def table(
    *,
    portfolio: Portfolio,
    targets: Mapping[str, Decimal] | None,
    band: Decimal | None,
    threshold: Decimal,
    orders: Sequence[PlannedOrder],
    left_out: Sequence[LeftOut],
    market: Market,
) -> Table:
    """The table of a plan; coins without a price are not in it.

    `targets` by coin and `threshold` are fractions of the portfolio; `band` is one of a target, None where the threshold counts.
    """
    with localcontext(EXACT):
        placed = {order.coin: order for order in orders}
        reasons = {item.coin: item.reason for item in left_out}
        values = {
            coin: portfolio.quantity(coin) * market.prices[coin]
            for coin in {*portfolio.positions, *(targets or {}), *placed, *reasons}
            if market.prices.get(coin)
        }
        total = portfolio.cash + sum((values[coin] for coin in portfolio.positions), ZERO)
        fees = {coin: order.amount * order.fee for coin, order in placed.items()}
        costs = {coin: fees[coin] + order.amount * slippage(coin) for coin, order in placed.items()}
        in_coin = {coin: fee for coin, fee in fees.items() if not market.rules[placed[coin].symbol].fee_in_quote}
        left = total - sum(costs.values(), ZERO)
        rows = []
        for coin, value in values.items():
            order = placed.get(coin)
            held, after = _share(value, total), _share(value + _added(order, in_coin.get(coin, ZERO)), left)
            target = None if targets is None else targets.get(coin, ZERO)
            rows.append(
                Row(
                    coin=coin,
                    held=held,
                    target=target,
                    drift=held / target - ONE if target else None,
                    band=(threshold / target if band is None else band) if target else None,
                    order=order,
                    fee=fees.get(coin, ZERO),
                    cost=costs.get(coin, ZERO),
                    after=after,
                    reason=None if order else reasons.get(coin, Reason.IN_BAND),
                )
            )
        cash = portfolio.cash
        for order in orders:
            taken_in_coin = order.side is Side.BUY and order.coin in in_coin
            lost = order.amount * slippage(order.coin) if taken_in_coin else costs[order.coin]
            cash += (order.amount if order.side is Side.SELL else -order.amount) - lost
        return Table(
            rows=tuple(sorted(rows, key=lambda row: (-max(row.target or ZERO, row.held), row.coin))),
            turnover=sum((order.amount for order in orders), ZERO),
            cost=sum(costs.values(), ZERO),
            left_over=cash,
        )


def _added(order: PlannedOrder | None, fee: Decimal) -> Decimal:
    """What an order adds to the value of its coin, less the fee of a purchase as far as it is taken in it."""
    if order is None:
        return ZERO
    return order.amount - fee if order.side is Side.BUY else -order.amount


def _share(value: Decimal, total: Decimal) -> Decimal:
    return value / total if total else ZERO
