"""Binance Spot, done by python-binance.

What an answer means is listed in one place, `_meaning`; whatever is not listed is "unavailable" for a question and "unknown,
perhaps executed" for an order. Errors carry the exchange's words, never a URL, a header or a signature.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
import hashlib
import json
import re
import time
from typing import Any, ClassVar, override
from urllib.parse import quote, urlsplit

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientMiddlewareType,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
)
from binance import AsyncClient
from binance.exceptions import BinanceAPIException, BinanceRequestException

from .exchange import (
    ONE,
    ZERO,
    AccountId,
    Balance,
    ClockSkew,
    ExchangeError,
    ExchangeUnavailable,
    Fill,
    InvalidKey,
    KeyPermissions,
    NotSent,
    NotThere,
    OrderPage,
    OrderReport,
    OrderRequest,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Side,
    SymbolRules,
)
from .quotes import Quotes

RECV_WINDOW = timedelta(seconds=5)
TIMEOUT = ClientTimeout(total=10)
DEFAULT_PAUSE = 60.0
# Of the 6,000 that a host allows in a minute.
CROWDED = 4500
LIMITED = frozenset({418, 429})
PAGE = 1000
SMALLEST = Decimal("1e-8")
UNKNOWN_SYMBOL = -1121
UNKNOWN_ORDER = -2013
KEY_CODES = frozenset({-1002, -1022, -2014, -2015})
REFUSED_CODES = frozenset({-1013, -1014, -1015, -1020, -2010, *range(-1199, -1099)})
FINAL = frozenset({"FILLED", "EXPIRED", "EXPIRED_IN_MATCH", "CANCELED", "REJECTED"})
# Addresses of one and the same exchange (developers.binance.com, General API Information).
_MIRRORS = re.compile(r"^api(?:[1-4]|-gcp)\.binance\.(com|us)$")
UNREADABLE = (BinanceRequestException, KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError)


def host_of(base_url: str) -> str:
    """Host of an exchange; several addresses of Binance are one."""
    return _MIRRORS.sub(r"api.binance.\1", urlsplit(base_url).netloc.lower())


class Gate:
    """A host as all its followers know it: its request to be left alone, the weight that is used, the last prices."""

    _gates: ClassVar[dict[str, Gate]] = {}

    def __init__(self) -> None:
        self.closed_until = 0.0
        self.used_weight: int | None = None
        self.used_at = 0.0
        self.quotes = Quotes(lambda: time.monotonic())  # noqa: PLW0108 # looked up anew each time

    @classmethod
    def of(cls, url: str) -> Gate:
        """The gate of a URL's host."""
        return cls._gates.setdefault(urlsplit(url).netloc.lower(), cls())

    def check(self) -> None:
        """Raise RateLimited while the host wants no request."""
        if time.monotonic() < self.closed_until:
            raise RateLimited(self.closed_until)

    def close(self, retry_after: str | None) -> RateLimited:
        """Close the gate for as long as the host said (seconds)."""
        pause = float(retry_after) if retry_after and retry_after.isdecimal() else DEFAULT_PAUSE
        self.closed_until = max(self.closed_until, time.monotonic() + pause)
        return RateLimited(self.closed_until)

    async def pass_through(self, request: Any, handler: ClientHandlerType) -> ClientResponse:
        """Ask the gate once more when a request has its connection, and hear at once what its answer says of limits.

        A client middleware: https://docs.aiohttp.org/en/stable/client_advanced.html#client-middleware. It may have waited
        for the connection, and another answer may have closed the gate meanwhile.
        """
        send = request.send

        async def send_where_open(connection: Any) -> ClientResponse:
            self.check()
            response: ClientResponse = await send(connection)
            return response

        request.send = send_where_open
        response = await handler(request)
        weight = response.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if weight.isdecimal():
            self.used_weight, self.used_at = int(weight), time.time()
        if response.status in LIMITED:
            self.close(response.headers.get("Retry-After"))
        return response

    @property
    def pause(self) -> float:
        """Seconds until the host counts anew, where most of the weight of this minute is used; else 0."""
        minute, passed = divmod(time.time(), 60)
        crowded = self.used_weight is not None and self.used_weight >= CROWDED and self.used_at // 60 == minute
        return 60 - passed if crowded else 0.0


class BinanceExchange:
    """One account on a Binance Spot host, or without a key its public market data. The constructor does no I/O."""

    visibility_lag = RECV_WINDOW + timedelta(seconds=20)
    lookups = 3
    keeps_orders = True

    def __init__(self, session: ClientSession, base_url: str, api_key: str = "", api_secret: str = "") -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._key = api_key.strip()
        self._secret = api_secret.strip()
        self._host = host_of(base_url)
        self._account_id: AccountId | None = None
        self._gate = Gate.of(base_url)
        self._made: _Client | None = None
        self._timed = False

    @property
    def used_weight(self) -> int | None:
        """Request weight used in the current minute, as the host last said."""
        return self._gate.used_weight

    @property
    def pause(self) -> float:
        """Seconds to wait before a cycle that nothing hurries: what is left of the weight is for those already running."""
        return self._gate.pause

    def timestamp(self) -> datetime:
        """Time stamp that a request sent now carries."""
        offset = self._made.timestamp_offset if self._made else 0
        return datetime.fromtimestamp(time.time() + offset / 1000, UTC)

    async def server_time(self) -> datetime:
        """Clock of the exchange; the offset to our own is taken again."""
        answer = await self._ask(lambda client: client.get_server_time(), lambda data: int(data["serverTime"]))
        client = await self._client()
        client.timestamp_offset = answer - int(time.time() * 1000)
        self._timed = True
        return _time(answer)

    async def rules(self, symbols: Collection[str]) -> dict[str, SymbolRules]:
        """Trading rules by symbol; symbols that are not listed are missing."""
        try:
            return await self._rules(symbols)
        except Refused as err:
            if err.code != UNKNOWN_SYMBOL:
                raise
            if len(symbols) == 1:
                return {}
        # One unlisted symbol refuses the whole request: ask one by one.
        found = await asyncio.gather(*(self.rules([symbol]) for symbol in symbols))
        return {symbol: rules for each in found for symbol, rules in each.items()}

    async def _rules(self, symbols: Collection[str]) -> dict[str, SymbolRules]:
        return await self._ask(
            lambda client: client._get("exchangeInfo", data={"symbols": _json_list(symbols)}),  # noqa: SLF001  # the public method takes no symbols
            lambda data: {item["symbol"]: _symbol_rules(item) for item in data["symbols"]},
        )

    async def prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        """Last prices (quote per base) by symbol, shared with others on this host; missing and zero ones are left out."""
        return await self._gate.quotes.prices(self, symbols, self._prices)

    async def _prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        return await self._ask(lambda client: client.get_symbol_ticker(symbols=_json_list(symbols)), _prices)

    async def balances(self) -> dict[str, Balance]:
        """Balances of the account by asset."""
        balances, self._account_id = await self._ask(
            lambda client: client.get_account(omitZeroBalances="true"),
            lambda data: (
                {item["asset"]: Balance(_amount(item["free"]), _amount(item["locked"])) for item in data["balances"]},
                self._identify(data.get("uid")),
            ),
            signed=True,
        )
        return balances

    async def account_id(self) -> AccountId:
        """Whose the account is, asked once: a key never opens another one."""
        if self._account_id is None:
            await self.balances()
        return self._account_id or self._identify(None)

    def _identify(self, uid: Any) -> AccountId:
        key = hashlib.sha256(self._key.encode()).hexdigest()[:16]
        return AccountId(host=self._host, uid=None if uid is None else str(uid), key=key)

    async def permissions(self) -> KeyPermissions:
        """What the key may do; where the host does not tell, the account's word on trading decides."""
        try:
            return await self._ask(
                lambda client: client.get_account_api_permissions(),
                lambda data: KeyPermissions(
                    can_trade=data["enableSpotAndMarginTrading"] is True,
                    can_withdraw=data["enableWithdrawals"] is not False,
                    ip_restricted=bool(data["ipRestrict"]),
                ),
                signed=True,
            )
        except NotThere:
            return await self._ask(
                lambda client: client.get_account(omitZeroBalances="true"),
                lambda data: KeyPermissions(can_trade=data["canTrade"] is True, can_withdraw=False),
                signed=True,
            )

    async def place(self, order: OrderRequest) -> OrderReport:
        """Send an order once; see `Exchange.place` for what is raised."""
        params: dict[str, Any] = {
            "symbol": order.symbol,
            "side": order.side.value,
            "newClientOrderId": order.client_order_id,
            "newOrderRespType": "FULL",
        }
        if order.limit_price is not None:
            params |= {"type": "LIMIT", "timeInForce": "IOC", "price": _text(order.limit_price)}
        else:
            params["type"] = "MARKET"
        if order.quote_amount is not None:
            params["quoteOrderQty"] = _text(order.quote_amount)
        else:
            params["quantity"] = _text(order.quantity)
        try:
            await self._take_time()
        except ExchangeUnavailable as err:
            raise NotSent(f"not sent: {err}") from None
        return await self._ask(
            lambda client: client.create_order(**params), _report, signed=True, otherwise=OutcomeUnknown
        )

    async def find(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Look an order up by its client order id; None where the exchange does not know it (yet)."""
        try:
            return await self._ask(
                lambda client: client.get_order(symbol=symbol, origClientOrderId=client_order_id), _report, signed=True
            )
        except Refused as err:
            if err.code == UNKNOWN_ORDER:
                return None
            raise

    async def fills(self, order: OrderReport) -> tuple[Fill, ...]:
        """The fills of one order."""
        return tuple(await self._trades(order.symbol, {"orderId": order.order_id, "fromId": 0}, _fill))

    async def orders_page(self, symbol: str, first_id: int, prefix: str) -> OrderPage:
        """Up to a thousand orders of a symbol from an id on; of a pair that is not listed (any more) there are none."""
        try:
            return await self._ask(
                lambda client: client.get_all_orders(symbol=symbol, orderId=first_id, limit=PAGE),
                lambda data: _order_page(data, prefix),
                signed=True,
            )
        except Refused as err:
            if err.code == UNKNOWN_SYMBOL:
                return OrderPage()
            raise

    async def traded_orders(self, symbol: str, since: datetime) -> frozenset[int]:
        """Ids of all orders of a symbol that traded since a time, whosever they are."""
        start = {"startTime": int(since.timestamp() * 1000)}
        return frozenset(await self._trades(symbol, start, lambda row: int(row["orderId"])))

    # Inside

    async def _trades[T](self, symbol: str, asked: Mapping[str, int], read: Callable[[Any], T]) -> list[T]:
        """What is read of all trades that are asked for, oldest first."""
        found: list[T] = []
        while True:
            page = await self._trade_page(symbol, asked, read)
            found += page.values()
            if len(page) < PAGE:
                return found
            asked = {key: value for key, value in asked.items() if key != "startTime"} | {"fromId": max(page) + 1}

    async def _trade_page[T](self, symbol: str, asked: Mapping[str, int], read: Callable[[Any], T]) -> dict[int, T]:
        return await self._ask(
            lambda client: client.get_my_trades(symbol=symbol, limit=PAGE, **asked),
            lambda data: {int(row["id"]): read(row) for row in _rows(data)},
            signed=True,
        )

    async def _client(self) -> _Client:
        """The library's client, made once; an asymmetric key is parsed off the event loop."""
        if self._made is None:
            loop = asyncio.get_running_loop()
            try:
                self._made = await asyncio.to_thread(_Client, self, self._session, self._key, self._secret, loop)
            except UNREADABLE:
                raise InvalidKey("the key cannot be read") from None
            self._made.API_URL = f"{self._base_url}/api"
            self._made.MARGIN_API_URL = f"{self._base_url}/sapi"
        return self._made

    async def _take_time(self) -> None:
        if not self._timed:
            await self.server_time()

    async def _ask[T](
        self,
        call: Callable[[_Client], Awaitable[Any]],
        parse: Callable[[Any], T],
        *,
        signed: bool = False,
        otherwise: type[ExchangeError] = ExchangeUnavailable,
    ) -> T:
        """Make one request and read its answer; what is not understood becomes `otherwise`.

        A question that was refused for its time stamp is asked once more; an order is not.
        """
        if signed:
            if not self._secret:
                raise InvalidKey("there is no key")
            await self._take_time()
        client = await self._client()
        for again in (otherwise is ExchangeUnavailable, False):
            self._gate.check()
            try:
                return parse(await call(client))
            except BinanceAPIException as err:
                problem = self._meaning(err, otherwise)
            except ConnectionTimeoutError, ClientConnectorError:
                problem = NotSent("no connection to the exchange")
            except TimeoutError:
                problem = otherwise("the exchange did not answer in time")
            except ClientError, OSError:
                problem = otherwise("the connection to the exchange broke")
            except UNREADABLE:
                problem = otherwise("the exchange's answer cannot be read")
            # Raised out here, so that no answer or URL hangs on it as its context.
            if not isinstance(problem, ClockSkew):
                raise problem
            self._timed = False
            await self._take_time()
            if not again:
                raise problem
        raise AssertionError  # pragma: no cover

    def _meaning(self, err: BinanceAPIException, otherwise: type[ExchangeError]) -> ExchangeError:
        """What an error answer means."""
        status = err.status_code
        code = err.code if isinstance(err.code, int) else 0
        words = str(err.message)[:200] if code else f"HTTP {status}"
        match status, code:
            case _ if status in LIMITED or (code == -1003 and status < 500):
                limited = self._gate.close(err.response.headers.get("Retry-After"))
                # Nothing says where on its way an order was held up.
                return limited if otherwise is ExchangeUnavailable else otherwise(str(limited))
            case _ if status >= 500:
                return otherwise(f"the exchange failed: {words}")
            case 404, 0:
                return (
                    NotThere("the exchange does not have this")
                    if otherwise is ExchangeUnavailable
                    else otherwise(words)
                )
            case _, -1021:
                return ClockSkew("the exchange refused the time stamp")
            case _ if code in KEY_CODES:
                return InvalidKey(f"the exchange refused the key: {words}", code)
            case _ if code in REFUSED_CODES or (code == UNKNOWN_ORDER and otherwise is ExchangeUnavailable):
                return Refused(f"refused by the exchange: {words} ({code})", code)
        return otherwise(f"the exchange failed: {words}")


class _Client(AsyncClient):
    """The library's client on a session that is not its own, with the key on each of its requests only."""

    REQUEST_RECVWINDOW = int(RECV_WINDOW.total_seconds() * 1000)

    def __init__(
        self, exchange: BinanceExchange, session: ClientSession, key: str, secret: str, loop: asyncio.AbstractEventLoop
    ) -> None:
        gate = exchange._gate  # noqa: SLF001
        self._shared = _KeyedSession(session, {"X-MBX-APIKEY": key} if key else {}, gate.pass_through)
        pem = _pem(secret)
        super().__init__(
            key or None,
            None if pem else secret or None,
            requests_params={"timeout": TIMEOUT, "allow_redirects": False},
            loop=loop,
            private_key=pem,
        )

    @override
    def _init_session(self) -> _KeyedSession:
        return self._shared


class _KeyedSession:
    """A shared session, with headers and a middleware of our own on the requests made through this object."""

    def __init__(self, session: ClientSession, headers: Mapping[str, str], middleware: ClientMiddlewareType) -> None:
        self._session = session
        self._headers = headers
        self._middlewares = (middleware,)

    def get(self, url: Any, *, headers: Mapping[str, str], **kwargs: Any) -> Any:
        """GET with the key."""
        return self._session.get(url, headers={**self._headers, **headers}, middlewares=self._middlewares, **kwargs)

    def post(self, url: Any, *, headers: Mapping[str, str], **kwargs: Any) -> Any:
        """POST with the key."""
        return self._session.post(url, headers={**self._headers, **headers}, middlewares=self._middlewares, **kwargs)


def _pem(secret: str) -> str | None:
    """A private key as PEM text, mended where a form's single line took its line breaks; None for an HMAC secret."""
    found = re.fullmatch(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----(.+?)-----END \1-----", secret, re.DOTALL)
    if not found:
        return None
    body = re.sub(r"\s+|\\n", "", found[2])
    try:
        base64.b64decode(body, validate=True)
    except binascii.Error:
        raise ValueError("no base64 in the key") from None
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {found[1]}-----\n{lines}\n-----END {found[1]}-----"


def _json_list(symbols: Collection[str]) -> str:
    return quote(json.dumps(sorted(symbols), separators=(",", ":")))


def _text(value: Decimal) -> str:
    """Plain decimal text without trailing zeros; an exponent is refused."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _amount(text: Any) -> Decimal:
    """A finite, non-negative number from decimal text. Raises ValueError, ArithmeticError."""
    value = Decimal(str(text))
    if not value.is_finite() or value < 0:
        raise ValueError("not an amount")
    return value


def _time(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _rows(data: Any) -> list[Any]:
    """A list, as it has to be: an answer without a body comes as an empty object, and is not "none". Raises TypeError."""
    if not isinstance(data, list):
        raise TypeError("not a list")
    return data


def _prices(data: Any) -> dict[str, Decimal]:
    return {item["symbol"]: price for item in _rows(data) if (price := _amount(item["price"]))}


def _symbol_rules(item: Mapping[str, Any]) -> SymbolRules:
    filters = {each["filterType"]: each for each in item["filters"]}
    price = filters.get("PRICE_FILTER", {})
    lots = [filters[name] for name in ("LOT_SIZE", "MARKET_LOT_SIZE") if name in filters]
    largest = [size for lot in lots if (size := _amount(lot["maxQty"]))]
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return SymbolRules(
        symbol=item["symbol"],
        base=item["baseAsset"],
        quote=item["quoteAsset"],
        trading=item["status"] == "TRADING" and item.get("isSpotTradingAllowed", True) is True,
        step=max((_amount(lot["stepSize"]) for lot in lots), default=ZERO),
        min_quantity=max((_amount(lot["minQty"]) for lot in lots), default=ZERO),
        max_quantity=min(largest, default=None),
        tick=_amount(price.get("tickSize", 0)),
        min_price=_amount(price.get("minPrice", 0)),
        max_price=_amount(price.get("maxPrice", 0)) or None,
        min_notional=_amount(notional.get("minNotional", 0)),
        closed=item["status"] == "BREAK",
        quote_step=ONE.scaleb(-int(item["quoteAssetPrecision"])) if item.get("quoteOrderQtyMarketAllowed") else None,
    )


def _report(data: Mapping[str, Any]) -> OrderReport:
    """An order as any of the order endpoints tells it; only the FULL answer carries fills."""
    executed_amount = _amount(data["cummulativeQuoteQty"])
    moment = _time(data.get("transactTime") or data.get("updateTime") or data["time"])
    fills = None
    if "fills" in data:
        fills = tuple(
            Fill(
                trade_id=int(fill["tradeId"]),
                order_id=int(data["orderId"]),
                price=_amount(fill["price"]),
                quantity=_amount(fill["qty"]),
                amount=(_amount(fill["price"]) * _amount(fill["qty"])).quantize(SMALLEST, ROUND_DOWN),
                fee=_amount(fill["commission"]),
                fee_asset=fill["commissionAsset"],
                time=moment,
            )
            for fill in data["fills"]
        )
        if sum((fill.amount for fill in fills), ZERO) != executed_amount:
            fills = None  # the exchange rounded an amount: its own figures are asked for
    return OrderReport(
        client_order_id=data["clientOrderId"],
        order_id=int(data["orderId"]),
        symbol=data["symbol"],
        side=Side(data["side"]),
        done=data["status"] in FINAL,
        quantity=_amount(data["origQty"]),
        executed_quantity=_amount(data["executedQty"]),
        executed_amount=executed_amount,
        time=moment,
        fills=fills,
    )


def _order_page(data: Any, prefix: str) -> OrderPage:
    """What is needed of a page of orders: an order that is not ours may say what it likes."""
    rows = sorted(((int(row["orderId"]), row) for row in _rows(data)), key=lambda item: item[0])
    return OrderPage(
        own=tuple(_report(row) for _, row in rows if str(row["clientOrderId"]).startswith(prefix)),
        ids=frozenset(number for number, _ in rows),
        next_id=rows[-1][0] + 1 if len(rows) >= PAGE else None,
    )


def _fill(item: Mapping[str, Any]) -> Fill:
    return Fill(
        trade_id=int(item["id"]),
        order_id=int(item["orderId"]),
        price=_amount(item["price"]),
        quantity=_amount(item["qty"]),
        amount=_amount(item["quoteQty"]),
        fee=_amount(item["commission"]),
        fee_asset=item["commissionAsset"],
        time=_time(item["time"]),
    )
