"""Kraken's endpoints: what each reads, which permission it needs, what it counts, what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
import hashlib
import re
import secrets
from typing import Any

from ..exchange.account import Account, Order, Trade
from ..exchange.filters import OrderRequest
from ..exchange.symbols import text
from .matching import Matching
from .pairs import MAKER, Pair, code
from .refusal import KrakenRefusalError

type Json = dict[str, object]
type Handler = Callable[[Call], Json]

PAGE = 50
CANDLES = 720
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
NAME = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[ -~]{1,18}")
NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
KINDS = {"market": "MARKET", "limit": "LIMIT", "stop-loss": "STOP_LOSS"}
FLAGS = {"post", "fcib", "fciq", "nompp"}
# How far ahead a deadline has to be, and may be, in seconds.
SHORTEST = 2
LONGEST = 60
# What may be asked for of the ledger; rows of other types are there, too.
LEDGER_TYPES = frozenset(
    {
        *("all", "trade", "deposit", "withdrawal", "transfer", "margin", "adjustment", "rollover", "credit", "settled"),
        *("staking", "dividend", "sale", "nft_rebate"),
    }
)
STATUSES = {
    "NEW": "open",
    "PARTIALLY_FILLED": "open",
    "FILLED": "closed",
    "CANCELED": "canceled",
    "EXPIRED": "canceled",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way; ``late`` in ms hides its order from questions."""

    exchange: Matching
    params: Mapping[str, str]
    signer: Account | None = None
    late: int = 0
    api_key: str = ""

    @property
    def account(self) -> Account:
        """Who signed it."""
        if self.signer is None:
            raise KrakenRefusalError("EAPI:Invalid key")
        return self.signer

    def required(self, name: str) -> str:
        """A parameter that has to be there."""
        if not (value := self.params.get(name)):
            raise KrakenRefusalError(f"EGeneral:Invalid arguments:{name}")
        return value

    def number(self, name: str, default: Decimal | None = None) -> Decimal | None:
        """A number in plain text."""
        value = self.params.get(name)
        if value is None:
            return default
        if NUMBER.fullmatch(value) is None:
            raise KrakenRefusalError(f"EGeneral:Invalid arguments:{name}")
        return Decimal(value)

    def flag(self, name: str) -> bool:
        """True or false; false where it was not sent."""
        return self.params.get(name) == "true"

    def pairs(self) -> list[Pair]:
        """Those that ``pair`` names, else all."""
        if names := self.params.get("pair"):
            return [self.exchange.pair(name) for name in names.split(",")]
        return [symbol for symbol in self.exchange.market.symbols.values() if isinstance(symbol, Pair)]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How one is served; ``permission`` is None where it is public, ``cost`` what it adds to the counter of a key."""

    handler: Handler
    params: frozenset[str] = frozenset()
    permission: str | None = None
    cost: int = 0


def order_key(order: Order | Trade, kind: str = "O") -> str:
    """Kraken's name of an order, or of a trade."""
    digest = hashlib.sha256(f"{kind} {order.symbol} {order.id}".encode()).hexdigest().upper()
    return f"{kind}{digest[:5]}-{digest[5:10]}-{digest[10:16]}"


def _time(call: Call) -> Json:
    now = call.exchange.now // 1000
    return {"unixtime": now, "rfc1123": f"{datetime.fromtimestamp(now, UTC):%a, %d %b %y %H:%M:%S +0000}"}


def _asset_pairs(call: Call) -> Json:
    return {pair.key: pair.asset_pair for pair in call.pairs()}


def _ticker(call: Call) -> Json:
    found: Json = {}
    for pair in call.pairs():
        price = call.exchange.market.ticker(pair.name)
        if price is not None:
            shown = f"{price:f}"
            found[pair.key] = {"a": [shown, "1", "1.000"], "b": [shown, "1", "1.000"], "c": [shown, "0.01"]}
    return found


def _candles(call: Call) -> Json:
    (pair,) = call.pairs()
    minutes = int(call.params.get("interval", "1"))
    if minutes not in INTERVALS:
        raise KrakenRefusalError("EGeneral:Invalid arguments:interval")
    since = int(call.params.get("since", "0"))
    length = minutes * 60_000
    found = call.exchange.market.candles(pair.name, length, None, None, call.exchange.now)[-CANDLES:]
    rows: list[object] = [
        [
            each.opened // 1000,
            *(f"{price:f}" for price in (each.open, each.high, each.low, each.close, each.close)),
            f"{each.trades}.00000000",
            each.trades,
        ]
        for each in found
        if each.opened // 1000 >= since
    ]
    return {pair.key: rows, "last": found[-2].opened // 1000 if len(found) > 1 else 0}


def _balances(call: Call) -> Json:
    return {
        code(asset): {"balance": f"{balance.total:f}", "hold_trade": f"{balance.locked:f}"}
        for asset, balance in call.account.balances.items()
    }


def _trade_volume(call: Call) -> Json:
    taker = call.exchange.fee_beside
    return {
        "currency": "ZUSD",
        "volume": "0.0000",
        **{
            name: {pair.key: {"fee": f"{rate * 100:.4f}", "tiervolume": "0.0000"} for pair in call.pairs()}
            for name, rate in (("fees", taker), ("fees_maker", min(MAKER, taker)))
            if call.params.get("pair")
        },
    }


def permissions_of(account: Account) -> list[str]:
    """What the keys of an account may do."""
    reading = ["query-funds", "query-open-trades", "query-closed-trades", "query-ledger", "create-ws-token"]
    trading = ["modify-trades", "close-trades"]
    return reading * account.reading + trading * account.spot_trading + ["withdraw-funds"] * account.withdrawals


def _key_info(call: Call) -> Json:
    account = call.account
    return {
        "apiKeyName": "calvalot",
        "apiKey": call.api_key,
        "nonce": call.params["nonce"],
        "nonceWindow": 0,
        "permissions": permissions_of(account),
        "iban": f"AA{account.uid % 90 + 10} N84G {account.uid}",
        "validUntil": "0",
        "queryFrom": "0",
        "queryTo": "0",
        "ipAllowlist": ["127.0.0.1"] if account.ip_restrict else [],
        "lastUsed": None,
        **call.exchange.key_info,
    }


def _token(call: Call) -> Json:
    token = secrets.token_urlsafe(32)
    call.exchange.tokens[token] = call.api_key
    return {"token": token, "expires": 900}


def read_order(call: Call) -> OrderRequest:
    """An order as AddOrder asks for it."""
    pair = call.exchange.pair(call.required("pair"))
    kind, side, volume = (call.required(name) for name in ("ordertype", "type", "volume"))
    if kind not in KINDS or side not in {"buy", "sell"}:
        raise KrakenRefusalError("EGeneral:Invalid arguments:ordertype")
    quantity, price = call.number("volume") or Decimal(0), call.number("price") or Decimal(0)
    if len(volume.partition(".")[2].rstrip("0")) > pair.lot_decimals or not quantity:
        raise KrakenRefusalError("EGeneral:Invalid arguments:volume")
    if (kind == "market") is bool(price):
        raise KrakenRefusalError("EGeneral:Invalid arguments:price")
    if (force := call.params.get("timeinforce", "GTC")) not in {"GTC", "IOC"} or (kind != "limit" and force != "GTC"):
        raise KrakenRefusalError("EGeneral:Invalid arguments:timeinforce")
    flags = {*filter(None, call.params.get("oflags", "").split(","))}
    if flags - FLAGS or flags >= {"fcib", "fciq"}:
        raise KrakenRefusalError("EGeneral:Invalid arguments:oflags")
    name = call.params.get("cl_ord_id")
    if name is not None and NAME.fullmatch(name) is None:
        raise KrakenRefusalError("EGeneral:Invalid arguments:cl_ord_id")
    _check_deadline(call)
    stop = kind == "stop-loss"
    return OrderRequest(
        pair.name,
        side.upper(),
        KINDS[kind],
        force,
        Decimal(0) if stop else price,
        quantity,
        Decimal(0),
        name,
        "",
        price if stop else Decimal(0),
        fee_in_base="fcib" in flags,
    )


def deadline_of(params: Mapping[str, str]) -> int | None:
    """Until when an order may be taken, in ms."""
    if (value := params.get("deadline")) is None:
        return None
    try:
        return int(datetime.fromisoformat(value).timestamp() * 1000)
    except ValueError:
        raise KrakenRefusalError("EGeneral:Invalid arguments:deadline") from None


def _check_deadline(call: Call) -> None:
    deadline, now = deadline_of(call.params), call.exchange.now
    if deadline is None:
        return
    if deadline > now + LONGEST * 1000:
        raise KrakenRefusalError("EGeneral:Invalid arguments:deadline")
    if deadline < now:
        raise KrakenRefusalError("EService:Deadline elapsed")
    if deadline < now + SHORTEST * 1000:
        raise KrakenRefusalError("EGeneral:Invalid arguments:deadline")


def _add(call: Call) -> Json:
    request = read_order(call)
    order = call.exchange.place(call.account, request, call.exchange.now, late=call.late)
    words = f"{call.params['type']} {text(order.quantity)} {call.params['pair']} @ {call.params['ordertype']}"
    return {"descr": {"order": words}, "txid": [order_key(order)]}


def _cancel(call: Call) -> Json:
    wanted = [name for name in (call.params.get("txid"), call.params.get("cl_ord_id")) if name]
    if len(wanted) != 1:
        raise KrakenRefusalError("EGeneral:Invalid arguments")
    found = [
        order for order in call.account.orders if order.open and wanted[0] in (order_key(order), order.client_order_id)
    ]
    if not found:
        raise KrakenRefusalError("EOrder:Unknown order")
    for order in found:
        call.exchange.cancel(call.account, order)
    return {"count": len(found)}


def _visible(call: Call) -> list[Order]:
    name, now = call.params.get("cl_ord_id"), call.exchange.now
    return [o for o in call.account.orders if o.visible_from <= now and name in (None, o.client_order_id)]


def _row(call: Call, order: Order) -> Json:
    pair = call.exchange.market.symbols.get(order.symbol)
    kind = next(name for name, each in KINDS.items() if each == order.type)
    fee = sum((trade.commission for trade in order.trades), Decimal(0))
    row: Json = {
        "refid": None,
        "userref": None,
        "cl_ord_id": order.client_order_id,
        "status": STATUSES[order.status],
        "opentm": order.time / 1000,
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": pair.alternative if isinstance(pair, Pair) else order.symbol,
            "type": order.side.lower(),
            "ordertype": kind,
            "price": f"{order.price or order.stop_price:f}",
            "price2": "0",
            "leverage": "none",
            "order": "",
            "close": "",
        },
        "vol": text(order.quantity),
        "vol_exec": text(order.executed),
        "cost": text(order.executed_quote),
        "fee": text(fee),
        "price": text(order.executed_quote / order.executed if order.executed else Decimal(0)),
        "stopprice": text(order.stop_price),
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fcib" if order.fee_in_base else "fciq",
    }
    if call.flag("trades"):
        row["trades"] = [order_key(trade, "T") for trade in order.trades]
    if not order.open:
        row |= {"closetm": order.updated / 1000, "reason": order.expiry_reason}
    return row


def _open_orders(call: Call) -> Json:
    return {"open": {order_key(order): _row(call, order) for order in _visible(call) if order.open}}


def _page[T](call: Call, rows: Sequence[T], moment: Callable[[T], int]) -> tuple[list[T], int]:
    """The rows of a span of time, newest first, from an offset on; and how many there are."""
    start, end = call.number("start"), call.number("end")
    kept = [
        row
        for row in sorted(rows, key=moment, reverse=True)
        if (start is None or moment(row) > start * 1000) and (end is None or moment(row) <= end * 1000)
    ]
    offset = int(call.params.get("ofs", "0"))
    return kept[offset : offset + PAGE], len(kept)


def _closed_orders(call: Call) -> Json:
    by = call.params.get("closetime", "both")
    if by not in {"open", "close", "both"}:
        raise KrakenRefusalError("EGeneral:Invalid arguments:closetime")
    closed = [order for order in _visible(call) if not order.open]
    page, count = _page(call, closed, lambda order: order.time if by == "open" else order.updated)
    return {"closed": {order_key(order): _row(call, order) for order in page}, "count": count}


def _ids(call: Call, most: int) -> list[str]:
    ids = call.required("txid").split(",")
    if len(ids) > most:
        raise KrakenRefusalError("EGeneral:Invalid arguments:txid")
    return ids


def _query_orders(call: Call) -> Json:
    known = {order_key(order): order for order in _visible(call)}
    wanted = _ids(call, 50)
    if not any(name in known for name in wanted):
        raise KrakenRefusalError("EOrder:Unknown order")
    return {name: _row(call, known[name]) for name in wanted if name in known}


def _trade_row(call: Call, trade: Trade, order: Order) -> Json:
    pair = call.exchange.market.symbols.get(trade.symbol)
    return {
        "ordertxid": order_key(order),
        "postxid": "",
        "pair": pair.key if isinstance(pair, Pair) else trade.symbol,
        "time": trade.time / 1000,
        "type": "buy" if trade.buyer else "sell",
        "ordertype": next(name for name, each in KINDS.items() if each == order.type),
        "price": text(trade.price),
        "cost": text(trade.quote_quantity),
        "fee": text(trade.commission),
        "vol": text(trade.quantity),
        "margin": "0.00000000",
        "misc": "",
        "trade_id": trade.id,
        "maker": trade.maker,
    }


def _all_trades(call: Call) -> list[tuple[Trade, Order]]:
    return [(trade, order) for order in _visible(call) for trade in order.trades]


def _query_trades(call: Call) -> Json:
    known = {order_key(trade, "T"): (trade, order) for trade, order in _all_trades(call)}
    wanted = _ids(call, 20)
    if any(name not in known for name in wanted):
        raise KrakenRefusalError("EGeneral:Invalid arguments:txid")
    return {name: _trade_row(call, *known[name]) for name in wanted}


def _trades_history(call: Call) -> Json:
    page, count = _page(call, _all_trades(call), lambda item: item[0].time)
    return {"trades": {order_key(trade, "T"): _trade_row(call, trade, order) for trade, order in page}, "count": count}


def _ledger_rows(call: Call) -> list[tuple[int, str, Json]]:
    """Everything that changed a balance, with when (ms) and a name."""
    rows: list[tuple[int, str, Json]] = []

    def add(time: int, refid: str, kind: str, asset: str, amount: Decimal, fee: Decimal = Decimal(0)) -> None:
        name = f"L{len(rows):05d}-{refid[:12]}"
        row: Json = {"refid": refid, "time": time / 1000, "type": kind, "subtype": "", "aclass": "currency"}
        row |= {"asset": code(asset), "amount": text(amount), "fee": text(fee), "balance": "0.0"}
        rows.append((time, name, row))

    for trade, _ in _all_trades(call):
        pair, refid = call.exchange.market.symbols.get(trade.symbol), order_key(trade, "T")
        if pair is None:
            continue
        sign = 1 if trade.buyer else -1
        for asset, amount in ((pair.base, sign * trade.quantity), (pair.quote, -sign * trade.quote_quantity)):
            fee = trade.commission if trade.commission_asset == asset else Decimal(0)
            add(trade.time, refid, "trade", asset, amount, fee)
    for kind, kept in call.account.history.rows.items():
        for time, row in kept:
            if kind == "odd":  # whatever a test wants
                rows.append((time, f"L{len(rows):05d}", dict(row)))
            _add_outside(add, kind, time, row)
    return rows


def _add_outside(add: Callable[..., None], kind: str, time: int, row: Mapping[str, Any]) -> None:
    """What its owner did without an order."""
    refid = f"{kind[:1].upper()}{row.get('id', 0)}"
    match kind:
        case "deposit":
            add(time, refid, "deposit", row["coin"], Decimal(row["amount"]))
        case "withdrawal":
            add(time, refid, "withdrawal", row["coin"], -Decimal(row["amount"]), Decimal(row["transactionFee"]))
        case "conversion":
            add(time, refid, "spend", row["fromAsset"], -Decimal(row["fromAmount"]))
            add(time, refid, "receive", row["toAsset"], Decimal(row["toAmount"]))
        case "reward":
            add(time, refid, "staking", row["asset"], Decimal(row["amount"]))


def _ledgers(call: Call) -> Json:
    kind = call.params.get("type", "all")
    if kind not in LEDGER_TYPES:
        raise KrakenRefusalError("EGeneral:Invalid arguments:type")
    rows = [row for row in _ledger_rows(call) if kind in ("all", row[2]["type"])]
    page, count = _page(call, rows, lambda row: row[0])
    return {"ledger": {name: row for _, name, row in page}, "count": count}


def _public(handler: Handler, *params: str) -> Endpoint:
    return Endpoint(handler, frozenset(params))


def _private(handler: Handler, permission: str, cost: int, *params: str) -> Endpoint:
    return Endpoint(handler, frozenset({"nonce", *params}), permission, cost)


_SPAN = ("start", "end", "ofs", "without_count")
ORDER_PARAMS = (
    "ordertype",
    "type",
    "volume",
    "pair",
    "price",
    "timeinforce",
    "oflags",
    "cl_ord_id",
    "deadline",
    "validate",
)
ENDPOINTS: dict[str, Endpoint] = {
    "/0/public/Time": _public(_time),
    "/0/public/AssetPairs": _public(_asset_pairs, "pair", "info"),
    "/0/public/Ticker": _public(_ticker, "pair"),
    "/0/public/OHLC": _public(_candles, "pair", "interval", "since"),
    "/0/private/BalanceEx": _private(_balances, "query-funds", 1),
    "/0/private/TradeVolume": _private(_trade_volume, "query-funds", 1, "pair"),
    "/0/private/GetApiKeyInfo": _private(_key_info, "", 1),
    "/0/private/GetWebSocketsToken": _private(_token, "create-ws-token", 1),
    "/0/private/AddOrder": _private(_add, "modify-trades", 0, *ORDER_PARAMS),
    "/0/private/CancelOrder": _private(_cancel, "close-trades", 0, "txid", "cl_ord_id"),
    "/0/private/OpenOrders": _private(_open_orders, "query-open-trades", 1, "trades", "cl_ord_id"),
    "/0/private/ClosedOrders": _private(
        _closed_orders, "query-closed-trades", 1, "trades", "cl_ord_id", "closetime", *_SPAN
    ),
    "/0/private/QueryOrders": _private(_query_orders, "query-closed-trades", 1, "trades", "txid"),
    "/0/private/QueryTrades": _private(_query_trades, "query-closed-trades", 2, "txid", "trades"),
    "/0/private/TradesHistory": _private(_trades_history, "query-closed-trades", 2, "type", *_SPAN),
    "/0/private/Ledgers": _private(_ledgers, "query-ledger", 2, "asset", "type", *_SPAN),
}
