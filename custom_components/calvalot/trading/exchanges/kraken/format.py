"""Kraken's JSON, read into the exchange's types."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ...decimals import HUNDRED, ONE, ZERO, decimal_text
from ...market.candles import Candle
from ..base import Fill, OrderReport, OrderRequest, OrderStatus, OrderType, Side, SymbolRules
from ..symbols import symbol_of
from .names import order_name, pair_of

STATUSES = {
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
}
TYPES = {"limit": OrderType.LIMIT, "stop-loss": OrderType.STOP_LOSS}


@dataclass(frozen=True, slots=True)
class Listing:
    """A pair: its names in requests and in answers, and its rules; `inverse` is one that they have the other way round."""

    name: str
    key: str
    rules: SymbolRules
    inverse: bool = False


def read_amount(value: Any) -> Decimal:
    """A finite, non-negative number. Raises ValueError, ArithmeticError."""
    amount = Decimal(str(value))
    if not amount.is_finite() or amount < 0:
        raise ValueError("not an amount")
    return amount


def read_time(seconds: Any) -> datetime:
    """A time in seconds, with decimals."""
    return datetime.fromtimestamp(float(seconds), UTC)


def read_mapping(data: Any) -> Mapping[str, Any]:
    """An object, as it has to be. Raises TypeError."""
    if not isinstance(data, dict):
        raise TypeError("not an object")
    return data


def read_listings(data: Any) -> dict[str, Listing]:
    """Pairs by our own symbols; one without both names is none for us."""
    found: dict[str, Listing] = {}
    for key, item in read_mapping(data).items():
        if "wsname" not in item:
            continue
        base, quote = pair_of(item)
        found[symbol_of(base, quote)] = Listing(item["altname"], key, _rules(base, quote, item))
    return found


def _rules(base: str, quote: str, item: Mapping[str, Any]) -> SymbolRules:
    status = item["status"]
    fees = [read_amount(fee) for _, fee in item.get("fees") or ()]
    tick = item.get("tick_size")
    return SymbolRules(
        symbol=symbol_of(base, quote),
        base=base,
        quote=quote,
        trading=status == "online",
        step=ONE.scaleb(-int(item["lot_decimals"])),
        min_quantity=read_amount(item["ordermin"]),
        tick=ONE.scaleb(-int(item["pair_decimals"])) if tick is None else read_amount(tick),
        min_notional=read_amount(item.get("costmin", 0)),
        fee=max(fees, default=Decimal("0.4")) / HUNDRED,
        fee_in_quote=True,
    )


def inverse(listing: Listing) -> Listing:
    """The same pair the other way round: for its price, nothing is ever traded there."""
    rules = listing.rules
    base, quote = rules.quote, rules.base
    turned = SymbolRules(symbol=symbol_of(base, quote), base=base, quote=quote, max_quantity=ZERO)
    return replace(listing, rules=turned, inverse=True)


def read_price(listing: Listing, item: Mapping[str, Any]) -> Decimal:
    """The last price (quote per base), 0 where there is none."""
    price = read_amount(item["c"][0])
    return ONE / price if listing.inverse and price else price


def order_params(order: OrderRequest, listing: Listing, deadline: datetime) -> dict[str, str]:
    """What is sent for one order; the fee is to be taken in the quote asset, whatever is traded."""
    params = {
        "pair": listing.name,
        "type": order.side.lower(),
        "volume": decimal_text(order.quantity),
        "cl_ord_id": order_name(order.client_order_id),
        "oflags": "fciq",
        "deadline": f"{deadline:%Y-%m-%dT%H:%M:%S}.{deadline.microsecond // 1000:03d}Z",
    }
    if order.type is OrderType.STOP_LOSS and order.stop_price is not None:
        return params | {"ordertype": "stop-loss", "price": decimal_text(order.stop_price)}
    if order.limit_price is None:
        return params | {"ordertype": "market"}
    params |= {"ordertype": "limit", "price": decimal_text(order.limit_price)}
    return params if order.type is OrderType.LIMIT else params | {"timeinforce": "IOC"}


def read_report(order_id: str, row: Mapping[str, Any], symbol: str, client_order_id: str) -> OrderReport:
    """An order as any of the endpoints tells it; its trades are asked for by their names."""
    status = STATUSES.get(row["status"], OrderStatus.NEW)
    executed = read_amount(row["vol_exec"])
    if not status.final and executed:
        status = OrderStatus.PARTLY_FILLED
    description = row["descr"]
    kind = TYPES.get(description["ordertype"], OrderType.AT_ONCE)
    price = read_amount(description.get("price", 0)) or None
    return OrderReport(
        client_order_id=client_order_id,
        order_id=order_id,
        symbol=symbol,
        side=Side(description["type"].upper()),
        status=status,
        quantity=read_amount(row["vol"]),
        executed_quantity=executed,
        executed_amount=read_amount(row["cost"]),
        time=read_time(row.get("closetm") or row["opentm"]),
        fills=None if executed else (),
        cursor=str(row["opentm"]),
        type=kind,
        limit_price=price if kind is OrderType.LIMIT else None,
        stop_price=price if kind is OrderType.STOP_LOSS else None,
    )


def read_fill(trade_id: str, row: Mapping[str, Any], rules: SymbolRules, *, fee_in_base: bool) -> Fill:
    """One trade; its fee is in the quote asset unless its order asked for the base."""
    return Fill(
        trade_id=trade_id,
        order_id=str(row["ordertxid"]),
        price=read_amount(row["price"]),
        quantity=read_amount(row["vol"]),
        amount=read_amount(row["cost"]),
        fee=read_amount(row["fee"]),
        fee_asset=rules.base if fee_in_base else rules.quote,
        time=read_time(row["time"]),
    )


def read_candles(rows: Any) -> list[Candle]:
    """Rows of OHLC: time in seconds, open, high, low, close, average, volume, count."""
    return [Candle(int(row[0]), *(float(row[number]) for number in (1, 2, 3, 4, 6))) for row in rows]
