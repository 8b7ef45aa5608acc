"""Binance's JSON, read into the exchange's types."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
import json
from typing import Any
from urllib.parse import quote

from ..decimals import ONE, ZERO, decimal_text
from ..market.candles import Candle
from .base import Fill, OrderPage, OrderReport, OrderRequest, OrderStatus, OrderType, Side, SymbolRules

SMALLEST = Decimal("1e-8")
# A status that is not listed says nothing of the end of an order.
STATUSES = {
    "PARTIALLY_FILLED": OrderStatus.PARTLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
}


def json_list(symbols: Collection[str]) -> str:
    return quote(json.dumps(sorted(symbols), separators=(",", ":")))


def read_amount(text: Any) -> Decimal:
    """A finite, non-negative number from decimal text. Raises ValueError, ArithmeticError."""
    value = Decimal(str(text))
    if not value.is_finite() or value < 0:
        raise ValueError("not an amount")
    return value


def read_time(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def read_rows(data: Any) -> list[Any]:
    """A list, as it has to be: an answer without a body comes as an empty object, and is not "none". Raises TypeError."""
    if not isinstance(data, list):
        raise TypeError("not a list")
    return data


def read_prices(data: Any) -> dict[str, Decimal]:
    return {item["symbol"]: price for item in read_rows(data) if (price := read_amount(item["price"]))}


def _limit(text: Any) -> Decimal:
    """An amount of a symbol's rules."""
    return _shared(str(text))


@lru_cache(maxsize=1024)
def _shared(text: str) -> Decimal:
    """An amount that all portfolios share: many symbols have the same limits."""
    return read_amount(text)


def read_rules(item: Mapping[str, Any]) -> SymbolRules:
    filters = {each["filterType"]: each for each in item["filters"]}
    price = filters.get("PRICE_FILTER", {})
    lots = [filters[name] for name in ("LOT_SIZE", "MARKET_LOT_SIZE") if name in filters]
    largest = [size for lot in lots if (size := _limit(lot["maxQty"]))]
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return SymbolRules(
        symbol=item["symbol"],
        base=item["baseAsset"],
        quote=item["quoteAsset"],
        trading=item["status"] == "TRADING" and item.get("isSpotTradingAllowed", True) is True,
        step=max((_limit(lot["stepSize"]) for lot in lots), default=ZERO),
        min_quantity=max((_limit(lot["minQty"]) for lot in lots), default=ZERO),
        max_quantity=min(largest, default=None),
        tick=_limit(price.get("tickSize", 0)),
        min_price=_limit(price.get("minPrice", 0)),
        max_price=_limit(price.get("maxPrice", 0)) or None,
        min_notional=_limit(notional.get("minNotional", 0)),
        closed=item["status"] == "BREAK",
        ranges=_ranges(filters),
        quote_step=ONE.scaleb(-int(item["quoteAssetPrecision"])) if item.get("quoteOrderQtyMarketAllowed") else None,
    )


def _ranges(filters: Mapping[str, Mapping[str, Any]]) -> dict[Side, tuple[Decimal, Decimal]]:
    """How far a limit or a stop may be from the price, as factors, by side."""
    if by_side := filters.get("PERCENT_PRICE_BY_SIDE"):
        names = {Side.BUY: "bidMultiplier", Side.SELL: "askMultiplier"}
        return {side: (_limit(by_side[f"{name}Down"]), _limit(by_side[f"{name}Up"])) for side, name in names.items()}
    if both := filters.get("PERCENT_PRICE"):
        return dict.fromkeys(Side, (_limit(both["multiplierDown"]), _limit(both["multiplierUp"])))
    return {}


def read_report(data: Mapping[str, Any]) -> OrderReport:
    """An order as any of the order endpoints tells it; only the FULL answer carries fills."""
    executed_amount = read_amount(data["cummulativeQuoteQty"])
    moment = read_time(data.get("transactTime") or data.get("updateTime") or data["time"])
    fills = None
    if "fills" in data:
        fills = tuple(
            Fill(
                trade_id=str(int(fill["tradeId"])),
                order_id=str(int(data["orderId"])),
                price=read_amount(fill["price"]),
                quantity=read_amount(fill["qty"]),
                amount=(read_amount(fill["price"]) * read_amount(fill["qty"])).quantize(SMALLEST, ROUND_DOWN),
                fee=read_amount(fill["commission"]),
                fee_asset=fill["commissionAsset"],
                time=moment,
            )
            for fill in data["fills"]
        )
        if sum((fill.amount for fill in fills), ZERO) != executed_amount:
            fills = None  # the exchange rounded an amount: its own figures are asked for
    return OrderReport(
        client_order_id=data["clientOrderId"],
        order_id=str(int(data["orderId"])),
        symbol=data["symbol"],
        side=Side(data["side"]),
        status=STATUSES.get(data["status"], OrderStatus.NEW),
        quantity=read_amount(data["origQty"]),
        executed_quantity=read_amount(data["executedQty"]),
        executed_amount=executed_amount,
        time=moment,
        fills=fills,
        cursor=str(int(data["orderId"]) + 1),
        type=_type(data),
        limit_price=read_amount(data.get("price", 0)) or None,
        stop_price=read_amount(data.get("stopPrice", 0)) or None,
        pair="" if int(data.get("orderListId", -1)) < 0 else str(int(data["orderListId"])),
    )


def _type(data: Mapping[str, Any]) -> OrderType:
    """Which of our own kinds of order it is; of the others nobody asks."""
    match data.get("type"), data.get("timeInForce"):
        case ("LIMIT", "GTC") | ("LIMIT_MAKER", _):
            return OrderType.LIMIT
        case "LIMIT", "FOK":
            return OrderType.FILL_OR_KILL
        case "STOP_LOSS", _:
            return OrderType.TRAILING_STOP if data.get("trailingDelta") else OrderType.STOP_LOSS
    return OrderType.AT_ONCE


def order_params(order: OrderRequest) -> dict[str, Any]:
    """What is sent for one order."""
    params: dict[str, Any] = {
        "symbol": order.symbol,
        "side": order.side.value,
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "FULL",
    }
    if order.quote_amount is not None:
        params["quoteOrderQty"] = decimal_text(order.quote_amount)
    else:
        params["quantity"] = decimal_text(order.quantity)
    if order.type is OrderType.TRAILING_STOP:
        return params | {"type": "STOP_LOSS", "trailingDelta": order.trailing}
    if order.type is OrderType.STOP_LOSS and order.stop_price is not None:
        return params | {"type": "STOP_LOSS", "stopPrice": decimal_text(order.stop_price)}
    if order.limit_price is None:
        return params | {"type": "MARKET"}
    return params | {
        "type": "LIMIT",
        "timeInForce": _LASTS.get(order.type, "GTC"),
        "price": decimal_text(order.limit_price),
    }


_LASTS = {OrderType.AT_ONCE: "IOC", OrderType.FILL_OR_KILL: "FOK"}


def pair_params(name: str, target: OrderRequest, stop: OrderRequest) -> dict[str, Any]:
    """What is sent for a limit above the price and a stop below it."""
    below: dict[str, Any] = {"belowStopPrice": decimal_text(stop.stop_price or ZERO)}
    if stop.type is OrderType.TRAILING_STOP:
        below = {"belowTrailingDelta": stop.trailing}
    return {
        "symbol": target.symbol,
        "side": target.side.value,
        "quantity": decimal_text(target.quantity),
        "listClientOrderId": name,
        "aboveType": "LIMIT_MAKER",
        "aboveClientOrderId": target.client_order_id,
        "abovePrice": decimal_text(target.limit_price or ZERO),
        "belowType": "STOP_LOSS",
        "belowClientOrderId": stop.client_order_id,
        **below,
        "newOrderRespType": "FULL",
    }


def read_pair(data: Mapping[str, Any], target: OrderRequest, stop: OrderRequest) -> tuple[OrderReport, OrderReport]:
    """The two orders of a pair that was accepted."""
    reports = {report.client_order_id: report for report in map(read_report, data["orderReports"])}
    return reports[target.client_order_id], reports[stop.client_order_id]


def read_order_page(data: Any, prefix: str, size: int) -> OrderPage:
    """What is needed of a page of up to `size` orders: an order that is not ours may say what it likes."""
    rows = sorted(((int(row["orderId"]), row) for row in read_rows(data)), key=lambda item: item[0])
    return OrderPage(
        own=tuple(read_report(row) for _, row in rows if str(row["clientOrderId"]).startswith(prefix)),
        ids=frozenset(str(number) for number, _ in rows),
        cursor=str(rows[-1][0] + 1) if rows else None,
        more=len(rows) >= size,
    )


def read_fill(item: Mapping[str, Any]) -> Fill:
    return Fill(
        trade_id=str(int(item["id"])),
        order_id=str(int(item["orderId"])),
        price=read_amount(item["price"]),
        quantity=read_amount(item["qty"]),
        amount=read_amount(item["quoteQty"]),
        fee=read_amount(item["commission"]),
        fee_asset=item["commissionAsset"],
        time=read_time(item["time"]),
    )


def read_candles(data: Any) -> list[Candle]:
    """Rows of klines; the times are in ms."""
    return [Candle(int(row[0]) // 1000, *map(float, row[1:6])) for row in data]
