"""Conversions as plain JSON, and what one has left half-way as a fact of the ledger."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
import json

from .decimals import ONE, ZERO
from .ledger.ledger import Ledger
from .ledger.records import SignalRecord, Trade
from .responses import Json, figure, iso, text, trade
from .routes import ConversionPlan, Left, brings, costs, takes
from .sizing import PlannedOrder
from .wants import Orders


def moved(trades: Sequence[Trade]) -> dict[str, Decimal]:
    """What came and went with some trades, by asset."""
    found: dict[str, Decimal] = {}
    for each in trades:
        for asset, amount in each.moved.items():
            found[asset] = found.get(asset, ZERO) + amount
    return found


def to_text(left: Left) -> str:
    """What is left, as JSON for the ledger."""
    return json.dumps([left.asset, f"{left.quantity:f}", left.goal, left.reason])


def from_text(known: str) -> Left:
    """What `to_text` wrote."""
    asset, quantity, goal, reason = json.loads(known)
    return Left(asset=asset, quantity=Decimal(quantity), goal=goal, reason=reason)


def shown(plan: ConversionPlan, plan_id: str, now: datetime) -> Json:
    """A plan as `convert` answers it: quantities in their own assets, value and cost in quote."""
    market = plan.market
    price = {market.quote: ONE, **market.prices}
    value = plan.takes * price[plan.start]
    # What the second order cannot take of what the first one brings stays, and costs nothing.
    left = {
        first.bought: brings(first, pair.rules) - takes(second, following.rules)
        for (first, second), (pair, following) in zip(pairwise(plan.orders), pairwise(plan.way), strict=True)
    }
    kept = sum((quantity * price[asset] for asset, quantity in left.items()), ZERO)
    return {
        "confirmed": False,
        "plan_id": plan_id,
        "as_of": iso(now),
        "from_asset": plan.start,
        "to_asset": plan.goal,
        "quantity": text(plan.quantity),
        "route": route(plan.orders),
        "sold": figure(plan.takes),
        "left_over": figure(plan.quantity - plan.takes),
        "expected": figure(plan.brings),
        "rate": figure(plan.brings / plan.takes),
        "left": [{"asset": asset, "quantity": figure(quantity)} for asset, quantity in left.items() if quantity > 0],
        "value": figure(value),
        "cost": figure(value - plan.brings * price[plan.goal] - kept),
        "quote": market.quote,
        "orders": [
            {
                "symbol": order.symbol,
                "side": order.side.value,
                "quantity": text(order.quantity),
                "price": text(order.price),
                "limit_price": text(order.limit_price),
            }
            for order in plan.orders
        ],
    }


def told(ledger: Ledger, record: SignalRecord) -> Json:
    """A conversion as `get_conversions` tells it: what was sold and what it brought, fees included; synchronous. Raises LedgerError."""
    orders = ledger.orders(record.key)
    trades = ledger.trades_of([order.seq for order in orders])
    amounts = moved(trades)
    steps = record.wants.orders if isinstance(record.wants, Orders) else ()
    between = [(asset, amounts.get(asset, ZERO)) for asset in route(steps)[1:-1]]
    return {
        "confirmed": True,
        "signal_id": record.signal_id,
        "time": iso(record.seen_at),
        "from_asset": steps[0].sold,
        "to_asset": steps[-1].bought,
        "route": route(steps),
        "quantity": text(costs(steps[0])),
        "sold": text(-amounts.get(steps[0].sold, ZERO)),
        "received": text(amounts.get(steps[-1].bought, ZERO)),
        "left": [{"asset": asset, "quantity": text(amount)} for asset, amount in between if amount],
        "result": record.result.value,
        "reason": record.reason,
        "trades": [trade(each, ledger.mode) for each in trades],
    }


def route(orders: Sequence[PlannedOrder]) -> list[str]:
    """The assets that some orders lead over, first to last."""
    return [order.sold for order in orders] + [order.bought for order in orders[-1:]]
