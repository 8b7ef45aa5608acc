"""Answers as plain JSON: amounts, prices and quantities are decimal text, times ISO 8601 in UTC."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from .attribution import CASH, COSTS, OTHER, Attribution
from .decimals import EXACT, HUNDRED, ONE, ZERO, decimal_text
from .exchanges.base import Mode
from .ledger.past import PastRecord
from .ledger.records import Book, CashFlow, OrderRecord, OrderState, SignalRecord, Trade
from .performance import Close, fall, period_return
from .plan_table import Table
from .profit import Profit
from .signal import PROTECTION
from .sizing import LeftOut, PlannedOrder
from .snapshot import Snapshot, SourceFigures
from .wants import Moves, Orders, Wants

type Json = dict[str, Any]

PERIODS = {"day": 1, "week": 7, "month": 30, "quarter": 91, "year": 365}
_IN_QUOTE = ("total_value_quote", "cash", "positions_value", "realised", "fees_paid")
# Amounts in EUR come from a division by the rate; percentages likewise.
_IN_EUR = (
    *("total_value", "net_deposits", "profit_loss", "profit_loss_percent", "profit_today"),
    *("time_weighted_return", "max_drawdown", "tracking_distance"),
)


def text(value: Decimal | None, places: int | None = None) -> str | None:
    """Decimal text, rounded where places are given; None stays None."""
    if value is None:
        return None
    return f"{value if places is None else value.quantize(ONE.scaleb(-places), context=EXACT):f}"


def figure(value: Decimal | None) -> str | None:
    """Decimal text of what was divided: at most 8 places, without trailing zeros."""
    return None if value is None else decimal_text(value.quantize(ONE.scaleb(-8), context=EXACT))


def iso(time: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return None if time is None else time.astimezone(UTC).isoformat(timespec="milliseconds")


def trade(record: Trade, mode: Mode) -> Json:
    """A trade as get_trades and the trade event tell it."""
    return {
        "time": iso(record.time),
        "signal_id": record.signal_id,
        "coin": record.coin,
        "symbol": record.symbol,
        "side": record.side.value,
        "quantity": text(record.quantity),
        "price": text(record.price, 12),
        "amount": text(record.amount),
        "quote": record.quote,
        "slippage": text(record.slippage, 8),
        "fees": [{"asset": asset, "amount": text(amount)} for asset, amount in record.fees],
        "simulated": mode is Mode.DRY_RUN,
        **({"reasoning": record.reason} if _is_of_strategy(record) else {}),
    }


def _is_of_strategy(record: Trade) -> bool:
    """Whether a level of a strategy has sold; an order that was recovered has another reason."""
    return record.signal_id == PROTECTION and record.reason.endswith(f": {record.coin}")


def failed_order(record: OrderRecord, mode: Mode) -> Json:
    """An order that was refused, as the trade event tells it."""
    return {
        "time": iso(record.created_at),
        "signal_id": record.signal_id,
        "coin": record.coin,
        "symbol": record.symbol,
        "side": record.side.value,
        "quantity": text(record.quantity),
        "reason": record.reason,
        "simulated": mode is Mode.DRY_RUN,
    }


def signal(record: SignalRecord, orders: Iterable[OrderRecord] = ()) -> Json:
    """A signal as get_signals and the signal event tell it."""
    legs = [
        {
            "symbol": order.symbol,
            "side": order.side.value,
            "result": order.state.value,
            "reason": order.reason,
            "quantity": text(order.executed_quantity if order.state is OrderState.BOOKED else order.quantity),
        }
        for order in orders
    ]
    left_out = [
        {"symbol": symbol, "side": side, "result": "left_out", "reason": reason}
        for symbol, side, reason in record.left_out
    ]
    return {
        "signal_id": record.signal_id,
        "time": iso(record.seen_at),
        "created_at": iso(record.created_at),
        "version": _version(record.wants),
        "confidence": None if record.confidence is None else float(record.confidence),
        "reasoning": record.reasoning,
        "result": record.result.value,
        "reason": record.reason,
        "legs": [*legs, *left_out],
    }


def _version(wants: Wants | None) -> int | None:
    """The leader's version that wants such a thing: 1 moves, 2 an allocation."""
    match wants:
        case None | Orders():
            return None
        case Moves():
            return 1
    return 2


def cash_flow(record: CashFlow) -> Json:
    """A cash flow as get_cash_flows tells it; amounts in EUR, negative ones are withdrawals."""
    return {
        "id": record.seq,
        "time": iso(record.time),
        "kind": record.kind.value,
        "amount": text(record.amount),
        "amount_quote": text(record.amount_quote),
        "note": record.note,
        "value_before": text(record.value_before, 8),
        **({"coin": record.coin, "quantity": text(record.quantity)} if record.coin else {}),
        **({"explanation": record.explanation.value} if record.explanation else {}),
    }


def past(tool: str, record: PastRecord) -> Json:
    """A record of another tool as get_history tells it; a withdrawal is negative."""
    return {
        "tool": tool,
        "time": iso(record.time),
        "kind": record.kind.value,
        "amount": text(record.amount),
        "currency": record.currency,
        "coin": record.coin,
        "side": record.side,
        "quantity": text(record.quantity),
        "price": text(record.price),
        "fee": text(record.fee),
        "simulated": record.simulated,
        "note": record.note,
    }


def _profit(whole: Profit | None) -> Json | None:
    """A profit and its parts in EUR, to the cent, so that they add up as they are shown."""
    if whole is None:
        return None
    return {item.name: text(getattr(whole.in_cents, item.name)) for item in fields(Profit)}


def portfolio(snapshot: Snapshot) -> Json:
    """The book as get_portfolio tells it: positions that are held or aimed at."""
    return {
        "mode": snapshot.mode.value,
        "status": snapshot.status.value,
        "book": snapshot.book,
        "scope": snapshot.scope.value,
        "as_of": iso(snapshot.as_of),
        "since": iso(snapshot.since),
        "revalued": iso(snapshot.revalued),
        "rate": text(snapshot.rate, 12),
        "profit": _profit(snapshot.profit),
        **{name: figure(getattr(snapshot, name)) for name in _IN_EUR},
        **{name: text(getattr(snapshot, name)) for name in _IN_QUOTE},
        "positions": [
            {
                "coin": view.coin,
                "quantity": text(view.quantity),
                "entry_price": text(view.entry_price, 12),
                "price": text(view.price),
                "value": text(view.value),
                "weight": None if view.weight is None else round(float(view.weight), 6),
                "target_weight": None if view.target_weight is None else round(float(view.target_weight), 6),
                "profit_loss": text(view.profit_loss),
                "set_aside": view.set_aside,
                "price_day": view.price_day and view.price_day.isoformat(),
                "frozen": view.frozen,
                "locked": text(view.locked),
            }
            for view in snapshot.positions.values()
            if view.quantity or view.target_weight
        ],
        "proposals": [
            {
                "id": each.id,
                "kind": each.kind.value,
                "time": iso(each.time),
                "amount": figure(None if snapshot.rate is None else each.amount_quote * snapshot.rate),
                "amount_quote": text(each.amount_quote),
            }
            for each in snapshot.proposals
        ],
        "apart": [
            {"asset": each.asset, "quantity": text(each.quantity), "earning": each.earning} for each in snapshot.apart
        ],
    }


def preview(orders: Sequence[PlannedOrder], left_out: Sequence[LeftOut]) -> Json:
    """What would be traded, as preview tells it."""
    return {
        "orders": [
            {
                "symbol": order.symbol,
                "side": order.side.value,
                "quantity": text(order.quantity),
                "amount": text(order.amount),
                "limit_price": text(order.limit_price),
            }
            for order in orders
        ],
        "left_out": [
            {"symbol": item.symbol, "side": item.side.value, "reason": item.reason.value} for item in left_out
        ],
    }


def plan_table(table: Table) -> Json:
    """A plan coin by coin, as preview tells it: shares in %, amounts in quote."""
    return {
        "table": [
            {
                "coin": row.coin,
                "held": _percent(row.held),
                "target": _percent(row.target),
                "drift": _percent(row.drift),
                "band": _percent(row.band),
                "side": row.order and row.order.side.value,
                "quantity": row.order and text(row.order.quantity),
                "amount": row.order and text(row.order.amount),
                "fee": figure(row.fee) if row.order else None,
                "cost": figure(row.cost) if row.order else None,
                "after": _percent(row.after),
                "reason": row.reason and row.reason.value,
            }
            for row in table.rows
        ],
        "turnover": figure(table.turnover),
        "cost": figure(table.cost),
        "left_over": figure(table.left_over),
    }


def _percent(share: Decimal | None) -> float | None:
    return None if share is None else round(float(share * HUNDRED), 4)


def plan_in_words(orders: Sequence[PlannedOrder], quote: str) -> str:
    """Orders in one line, for a notification."""
    return " · ".join(
        f"{order.side.value} {order.coin} {round(order.amount, 2):f} {quote}"
        f" ({order.quantity.normalize():f} × {order.price.normalize():f})"
        for order in orders
    )


def performance(book: Book, closes: Sequence[Close], now: datetime) -> Json:
    """Returns in %, by period and since the start; a period longer than the book is None."""
    price = book.units.price
    return {
        "as_of": iso(now),
        "time_weighted_return": text(book.units.time_weighted_return),
        "max_drawdown": text(book.drawdown.deepest),
        "drawdown": text(fall(book.drawdown.peak, price)),
        "unit_price": text(price),
        "units": text(book.units.outstanding),
        "net_deposits": text(book.net_deposits),
        "realised": text(book.portfolio.realised),
        "fees_paid": text(book.portfolio.fees),
        "since": closes[0].day.isoformat() if closes else None,
        "periods": {
            name: text(period_return(closes, now.date() - timedelta(days=days), price))
            for name, days in PERIODS.items()
        },
        "closes": [
            {
                "day": close.day.isoformat(),
                "value": text(close.value),
                "net_deposits": text(close.net_deposits),
                "unit_price": text(close.units.price),
                "filled": close.filled,
            }
            for close in closes
        ],
    }


def contributions(attribution: Attribution | None, sources: Sequence[SourceFigures], names: Mapping[str, str]) -> Json:
    """What each source has contributed, as get_statistics tells it: in percentage points of the return since the blend began."""

    def points(key: str) -> str | None:
        return (
            None if attribution is None else text(attribution.points.get(key, ZERO) / attribution.start * HUNDRED, 12)
        )

    def alone(key: str) -> str | None:
        record = attribution.records.get(key) if attribution else None
        return None if record is None else text((record - ONE) * HUNDRED, 12)

    known = {source.key: source for source in sources}
    removed = attribution.records.keys() - known.keys() if attribution else set[str]()
    return {
        "since": iso(attribution.since) if attribution else None,
        "return": text((attribution.last.unit_price / attribution.start - ONE) * HUNDRED, 12) if attribution else None,
        "sources": [
            {
                "source": key,
                "kind": source.kind.value if source else None,
                "name": names.get(key),
                "weight": _percent(source.weight) if source else None,
                "paused": source.paused if source else None,
                "stale": source.stale if source else None,
                "connected": source.connected if source else None,
                "contribution": points(key),
                "return": alone(key),
            }
            for key in (*known, *sorted(removed))
            for source in (known.get(key),)
        ],
        **{key: points(key) for key in (CASH, COSTS, OTHER)},
    }
