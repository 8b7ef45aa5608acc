"""Orders and protections as plain JSON: amounts, prices and quantities as decimal text in quote, times in UTC."""

from decimal import Decimal

from .decimals import BASIS_POINTS, HUNDRED, ZERO
from .exchanges.base import OrderType, Side
from .ledger.records import OrderRecord
from .order_entry import cost_of, waits
from .protection import HeldBy, Protection
from .responses import Json, figure, iso, text
from .sizing import PlannedOrder
from .snapshot import Snapshot

_TYPES = {OrderType.AT_ONCE: "market", OrderType.FILL_OR_KILL: "limit", OrderType.TRAILING_STOP: "trailing_stop"}


def order(record: OrderRecord) -> Json:
    """An order as get_orders tells it; `time` is when it was placed, `price` the average of what was filled."""
    filled = record.executed_quantity
    return {
        "client_order_id": record.client_order_id,
        "time": iso(record.sent_at or record.created_at),
        "coin": record.coin,
        "symbol": record.symbol,
        "side": record.side.value,
        "type": _TYPES.get(record.type, record.type.value),
        "source": record.source,
        "signal_id": record.signal_id,
        "quantity": text(record.quantity),
        "limit_price": text(record.limit_price),
        "stop_price": text(record.stop_price),
        "trailing_stop": _percent(record.trailing),
        "amount": figure(record.quantity * (record.limit_price or record.stop_price or record.price or ZERO)),
        "executed_quantity": text(filled),
        "executed_amount": figure(record.executed_amount),
        "price": text(record.executed_amount / filled, 12) if filled else None,
        "state": record.state.value,
        "reason": record.reason,
        "ending": record.cancel_at is not None and not record.state.settled,
    }


def protection(coin: str, wanted: Protection | None, held_by: HeldBy | None) -> Json:
    """What protects a coin as get_orders tells it; `held_by` says who sees to it: exchange, cycle or nobody."""
    return {
        "coin": coin,
        "take_profit": wanted and text(wanted.take_profit),
        "stop_loss": wanted and text(wanted.stop),
        "trailing_stop": wanted and _percent(wanted.trailing),
        "closing": wanted is not None and wanted.close,
        "since": wanted and iso(wanted.since),
        "held_by": held_by and held_by.value,
        "sources": list(wanted.sources) if wanted else [],
    }


def ticket(planned: PlannedOrder, price: Decimal, wanted: Protection | None, rate: Decimal | None, quote: str) -> Json:
    """An order that was not sent: what it would be, cost and bring; amounts in quote, in EUR where that is said.

    Take profit and stop loss say what they would bring against the order's price, fees included.
    """
    costs, at = cost_of(planned, price), planned.limit_price if planned.type.rests else price
    amount = planned.quantity * (at or price)

    def outcome(level: Decimal | None) -> Json | None:
        if level is None or planned.side is Side.SELL:
            return None
        result = planned.quantity * level - amount - costs.fee * (1 + level / (at or price))
        return {"price": text(level), "result": figure(result), "result_eur": _in_eur(result, rate)}

    return {
        "confirmed": False,
        "coin": planned.coin,
        "symbol": planned.symbol,
        "side": planned.side.value,
        "type": "limit" if planned.type is not OrderType.AT_ONCE else "market",
        "quote": quote,
        "quantity": text(planned.quantity),
        "price": text(at),
        "last_price": text(price),
        "limit_price": text(planned.limit_price),
        "amount": figure(amount),
        "amount_eur": _in_eur(amount, rate),
        "fee": figure(costs.fee),
        "cost": figure(costs.cost),
        "cost_eur": _in_eur(costs.cost, rate),
        "waits": waits(planned, price),
        "take_profit": outcome(wanted.take_profit) if wanted else None,
        "stop_loss": outcome(wanted.stop or _trailing_from(wanted, at or price)) if wanted else None,
    }


def open_orders(snapshot: Snapshot) -> Json:
    """Orders that are open, newest first, and what protects which coin."""
    records = sorted((*snapshot.open_orders, *snapshot.resting), key=lambda record: -record.seq)
    return {
        "open": [order(record) for record in records],
        "protections": [
            protection(coin, wanted, snapshot.protected_by.get(coin))
            for coin, wanted in sorted(snapshot.protections.items())
        ],
    }


def _trailing_from(wanted: Protection, price: Decimal) -> Decimal | None:
    return None if wanted.trailing is None else price * (1 - wanted.trailing / BASIS_POINTS)


def _percent(points: int | None) -> float | None:
    return None if points is None else float(points / HUNDRED)


def _in_eur(amount: Decimal, rate: Decimal | None) -> str | None:
    return None if rate is None else text(amount * rate, 2)
