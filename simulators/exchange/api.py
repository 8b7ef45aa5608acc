"""The endpoints: what each reads, what it weighs, what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from .account import Account, Order, OrderList, Trade
from .filters import LIST_PARAMS, ORDER_PARAMS, ListRequest, OrderRequest
from .market import Candle
from .matching import Exchange
from .params import CLIENT_ORDER_ID, SYMBOL, Params
from .refusal import RefusalError
from .symbols import text

type Json = dict[str, object] | list[object]
type Handler = Callable[[Call], Json]

DAY_MS = 24 * 60 * 60 * 1000
INTERVALS = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14400,
    "6h": 21600,
    "8h": 28800,
    "12h": 43200,
    "1d": 86400,
    "3d": 259200,
    "1w": 604800,
}
RATE_LIMITS: list[dict[str, object]] = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300000},
]


@dataclass(slots=True)
class Call:
    """One request on its way through the exchange; ``late`` in ms hides its order from queries."""

    exchange: Exchange
    params: Params
    signer: Account | None = None
    late: int = 0

    @property
    def account(self) -> Account:
        """Who signed it."""
        if self.signer is None:
            raise RefusalError(-2014)
        return self.signer


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How one path is served; ``trade`` needs the permission to trade, ``signed`` alone the one to read.

    ``uid_weight`` is counted by account instead of by address.
    """

    handler: Handler
    weight: Callable[[Params], int]
    params: frozenset[str] = field(default_factory=frozenset)
    signed: bool = False
    trade: bool = False
    uid_weight: int = 0


def _ping(_: Call) -> Json:
    return {}


def _time(call: Call) -> Json:
    return {"serverTime": call.exchange.now}


def _chosen(call: Call) -> tuple[list[str], bool]:
    """The symbols asked for in the exchange's own order, and whether it is a single one."""
    market, status = call.exchange.market, call.params.values.get("symbolStatus")
    if status not in (None, "TRADING", "HALT", "BREAK"):
        raise RefusalError(-1122, "Invalid symbolStatus.")
    wanted = call.params.symbols()
    if (single := call.params.optional("symbol", SYMBOL)) is not None:
        wanted = [single]
    for name in wanted or []:
        market.symbol(name)
    names = [name for name in market.symbols if wanted is None or name in wanted]
    return [name for name in names if status in (None, market.symbols[name].status)], single is not None


def _exchange_info(call: Call) -> Json:
    names, single = _chosen(call)
    if "symbolStatus" in call.params.values and (single or "symbols" in call.params.values):
        raise RefusalError(-1128)
    return {
        "timezone": "UTC",
        "serverTime": call.exchange.now,
        "rateLimits": RATE_LIMITS,
        "exchangeFilters": [],
        "symbols": [call.exchange.market.symbols[name].info for name in names],
    }


def _one_or_all(rows: list[dict[str, object]], *, single: bool) -> Json:
    if not single:
        return [*rows]
    if not rows:
        raise RefusalError(-1121)
    return rows[0]


def _prices(call: Call) -> Json:
    names, single = _chosen(call)
    prices = {name: call.exchange.market.ticker(name) for name in names}
    rows: list[dict[str, object]] = [
        {"symbol": name, "price": text(price)} for name, price in prices.items() if price is not None
    ]
    return _one_or_all(rows, single=single)


def _books(call: Call) -> Json:
    names, single = _chosen(call)
    market = call.exchange.market
    rows: list[dict[str, object]] = []
    for name in names:
        if market.ticker(name) is None:
            continue
        bid, ask = (next(market.book(name, side), None) for side in ("SELL", "BUY"))
        none = text(Decimal(0))
        rows.append(
            {
                "symbol": name,
                "bidPrice": text(bid.price) if bid else none,
                "bidQty": text(bid.quantity) if bid else none,
                "askPrice": text(ask.price) if ask else none,
                "askQty": text(ask.quantity) if ask else none,
            }
        )
    return _one_or_all(rows, single=single)


def _average(call: Call) -> Json:
    exchange, name = call.exchange, call.params.required("symbol", SYMBOL)
    return {"mins": 5, "price": text(exchange.market.average(name, exchange.now)), "closeTime": exchange.now}


def _candles(call: Call) -> Json:
    params, name = call.params, call.params.required("symbol", SYMBOL)
    if (seconds := INTERVALS.get(params.required("interval"))) is None:
        raise RefusalError(-1120)
    start, end, limit = params.time("startTime"), params.time("endTime"), params.limit()
    candles = call.exchange.market.candles(name, seconds * 1000, start, end, call.exchange.now)

    def row(candle: Candle) -> list[object]:
        prices = [text(price) for price in (candle.open, candle.high, candle.low, candle.close)]
        closed, half = candle.opened + seconds * 1000 - 1, Decimal("0.5")
        volume, amount = Decimal(candle.trades), candle.amount
        bought = [text(volume * half), text(amount * half)]
        return [candle.opened, *prices, text(volume), closed, text(amount), candle.trades, *bought, "0"]

    return [row(candle) for candle in (candles[-limit:] if start is None else candles[:limit])]


def _account(call: Call) -> Json:
    assets = {asset: None for s in call.exchange.market.symbols.values() for asset in (s.base, s.quote)}
    return call.account.json(omit_zero=call.params.flag("omitZeroBalances"), assets=[*assets])


def _restrictions(call: Call) -> Json:
    return call.account.restrictions


def _place(call: Call) -> Json:
    request = OrderRequest.read(call.params)
    order = call.exchange.place(call.account, request, call.exchange.now, late=call.late)
    return {"ACK": order.ack, "RESULT": order.result}.get(request.response, order.full)


def _test(call: Call) -> Json:
    call.exchange.validate(call.account, OrderRequest.read(call.params))
    return {}


def _visible(call: Call, symbol: str | None = None) -> list[Order]:
    now = call.exchange.now
    return [o for o in call.account.orders if o.visible_from <= now and symbol in (None, o.symbol)]


def _found(call: Call, orders: list[Order], missing: int) -> Order:
    """The order that orderId and origClientOrderId name; of several with one client id the newest."""
    number = call.params.integer("orderId")
    name = call.params.optional("origClientOrderId", CLIENT_ORDER_ID)
    if number is None and name is None:
        raise RefusalError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    for order in reversed(orders):
        if number in (None, order.id) and name in (None, order.client_order_id):
            return order
    raise RefusalError(missing)


def _symbol(call: Call) -> str:
    return call.exchange.market.symbol(call.params.required("symbol", SYMBOL)).name


def _order(call: Call) -> Json:
    return _found(call, _visible(call, _symbol(call)), -2013).json


def _cancel(call: Call) -> Json:
    name = _symbol(call)
    order = _found(call, [order for order in call.account.orders if order.symbol == name], -2011)
    if not call.account.can_trade:
        raise RefusalError(-2011, "This account may not place or cancel orders.")
    call.exchange.cancel(call.account, order)
    new_id = call.params.optional("newClientOrderId", CLIENT_ORDER_ID) or f"cancel{order.id}"
    answer = order.result | {"origClientOrderId": order.client_order_id, "clientOrderId": new_id}
    del answer["workingTime"]
    return answer


def _open_orders(call: Call) -> Json:
    name = _symbol(call) if "symbol" in call.params.values else None
    return [order.json for order in _visible(call, name) if order.open]


def _place_list(call: Call) -> Json:
    request = ListRequest.read(call.params)
    return call.exchange.place_list(call.account, request, call.exchange.now, late=call.late).full


def _list(call: Call, name: str, missing: int) -> OrderList:
    """The list that a parameter or orderListId name."""
    number, client_id = call.params.integer("orderListId"), call.params.optional(name, CLIENT_ORDER_ID)
    if number is None and client_id is None:
        words = f"Param '{name}' or 'orderListId' must be sent, but both were empty/null!"
        raise RefusalError(-1102, words)
    for each in reversed(call.account.lists):
        seen = all(order.visible_from <= call.exchange.now for order in each.orders)
        if seen and number in (None, each.id) and client_id in (None, each.client_order_id):
            return each
    raise RefusalError(missing)


def _order_list(call: Call) -> Json:
    return _list(call, "origClientOrderId", -2013).json


def _cancel_list(call: Call) -> Json:
    _symbol(call)
    found = _list(call, "listClientOrderId", -2011)
    order = next((order for order in found.orders if order.open), None)
    if order is None:
        raise RefusalError(-2011)
    call.exchange.cancel(call.account, order)
    return found.full


def _span(params: Params) -> tuple[int | None, int | None]:
    start, end = params.time("startTime"), params.time("endTime")
    if start is not None and end is not None and end - start > DAY_MS:
        raise RefusalError(-1127)
    return start, end


def _all_orders(call: Call) -> Json:
    orders, limit = _visible(call, _symbol(call)), call.params.limit()
    (start, end), number = _span(call.params), call.params.integer("orderId")
    orders = [
        o
        for o in orders
        if (start is None or o.time >= start) and (end is None or o.time <= end) and (number is None or o.id >= number)
    ]
    return [order.json for order in (orders[-limit:] if start is None and number is None else orders[:limit])]


def _my_trades(call: Call) -> Json:
    orders, limit = _visible(call, _symbol(call)), call.params.limit()
    (start, end), number = _span(call.params), call.params.integer("orderId")
    first = call.params.integer("fromId")
    timed = start is not None or end is not None
    if timed and (number is not None or first is not None):
        raise RefusalError(-1128)
    trades: list[Trade] = [
        t
        for o in orders
        for t in o.trades
        if number in (None, o.id)
        and (first is None or t.id >= first)
        and (start is None or t.time >= start)
        and (end is None or t.time <= end)
    ]
    trades.sort(key=lambda trade: trade.id)
    return [trade.json for trade in (trades[-limit:] if start is None and first is None else trades[:limit])]


def _history(kind: str, days: int, answer: Callable[[list[object]], Json] = list) -> Handler:
    """Rows of one kind, of a span of so many days at most."""

    def handler(call: Call) -> Json:
        params, longest = call.params, days * DAY_MS
        end = params.time("endTime") or call.exchange.now
        start = params.time("startTime") or end - longest
        if end - start > longest:
            raise RefusalError(-1127, f"More than {days} days between startTime and endTime.")
        return answer([*call.account.history.between(kind, start, end)])

    return handler


def _conversions(rows: list[object]) -> Json:
    return {"list": rows, "startTime": 0, "endTime": 0, "limit": 1000, "moreData": False}


def _dust(rows: list[object]) -> Json:
    return {"total": len(rows), "userAssetDribblets": rows}


def _rewards(rows: list[object]) -> Json:
    return {"rows": rows, "total": len(rows)}


def _weight(weight: int, single: int | None = None, by: str = "symbol") -> Callable[[Params], int]:
    """The weight, and what it is when the parameter ``by`` was sent."""
    return lambda params: single if single is not None and by in params.values else weight


def _public(handler: Handler, weight: Callable[[Params], int], *params: str) -> Endpoint:
    return Endpoint(handler, weight, frozenset(params))


def _signed(
    handler: Handler, weight: Callable[[Params], int], *params: str, trade: bool = False, uid_weight: int = 0
) -> Endpoint:
    return Endpoint(handler, weight, frozenset(params), signed=True, trade=trade, uid_weight=uid_weight)


_SYMBOLS = ("symbol", "symbols", "symbolStatus")
_ONE = ("symbol", "orderId", "origClientOrderId")
_TIMES = ("startTime", "endTime", "limit")

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/api/v3/ping"): _public(_ping, _weight(1)),
    ("GET", "/api/v3/time"): _public(_time, _weight(1)),
    ("GET", "/api/v3/exchangeInfo"): _public(
        _exchange_info, _weight(20), *_SYMBOLS, "permissions", "showPermissionSets"
    ),
    ("GET", "/api/v3/ticker/price"): _public(_prices, _weight(4, 2), *_SYMBOLS),
    ("GET", "/api/v3/ticker/bookTicker"): _public(_books, _weight(4, 2), *_SYMBOLS),
    ("GET", "/api/v3/avgPrice"): _public(_average, _weight(2), "symbol"),
    ("GET", "/api/v3/klines"): _public(_candles, _weight(2), "symbol", "interval", *_TIMES),
    ("GET", "/api/v3/account"): _signed(_account, _weight(20), "omitZeroBalances"),
    # An order that is accepted weighs nothing: the server takes the weight back.
    ("POST", "/api/v3/order"): _signed(_place, _weight(1), *ORDER_PARAMS, trade=True),
    ("POST", "/api/v3/order/test"): _signed(_test, _weight(1), *ORDER_PARAMS, trade=True),
    ("GET", "/api/v3/order"): _signed(_order, _weight(4), *_ONE),
    ("DELETE", "/api/v3/order"): _signed(_cancel, _weight(1), *_ONE, "newClientOrderId", trade=True),
    ("POST", "/api/v3/orderList/oco"): _signed(_place_list, _weight(1), *LIST_PARAMS, trade=True),
    ("GET", "/api/v3/orderList"): _signed(_order_list, _weight(4), "orderListId", "origClientOrderId"),
    ("DELETE", "/api/v3/orderList"): _signed(
        _cancel_list, _weight(1), "symbol", "orderListId", "listClientOrderId", "newClientOrderId", trade=True
    ),
    ("GET", "/api/v3/openOrders"): _signed(_open_orders, _weight(80, 6), "symbol"),
    ("GET", "/api/v3/allOrders"): _signed(_all_orders, _weight(20), "symbol", "orderId", *_TIMES),
    ("GET", "/api/v3/myTrades"): _signed(_my_trades, _weight(20, 5, "orderId"), "symbol", "orderId", "fromId", *_TIMES),
    ("GET", "/sapi/v1/account/apiRestrictions"): _signed(_restrictions, _weight(1)),
    ("GET", "/sapi/v1/capital/deposit/hisrec"): _signed(_history("deposit", 90), _weight(1), *_TIMES),
    ("GET", "/sapi/v1/capital/withdraw/history"): _signed(
        _history("withdrawal", 90), _weight(0), *_TIMES, uid_weight=18_000
    ),
    ("GET", "/sapi/v1/convert/tradeFlow"): _signed(
        _history("conversion", 30, _conversions), _weight(0), *_TIMES, uid_weight=3_000
    ),
    ("GET", "/sapi/v1/asset/dribblet"): _signed(_history("dust", 90, _dust), _weight(1), *_TIMES),
    ("GET", "/sapi/v1/asset/assetDividend"): _signed(_history("reward", 90, _rewards), _weight(10), *_TIMES),
}
