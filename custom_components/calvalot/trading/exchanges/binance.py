"""Binance Spot, done by python-binance.

What an answer means is listed in one place, `_meaning`; whatever is not listed is "unavailable" for a question and "unknown,
perhaps executed" for an order. Errors carry the exchange's words, never a URL, a header or a signature.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import hashlib
import time
from typing import Any

from aiohttp import ClientConnectorError, ClientError, ClientSession, ConnectionTimeoutError
from binance.exceptions import BinanceAPIException, BinanceRequestException

from ..decimals import decimal_text
from ..errors import (
    ClockSkew,
    ExchangeError,
    ExchangeUnavailable,
    InvalidKey,
    NotSent,
    NotThere,
    OutcomeUnknown,
    Refused,
)
from ..market.candles import Candle, TimeFrame
from .base import AccountId, Balance, Fill, KeyPermissions, OrderPage, OrderReport, OrderRequest, SymbolRules
from .binance_client import RECV_WINDOW, BinanceClient, host_of
from .binance_format import (
    json_list,
    read_amount,
    read_candles,
    read_fill,
    read_order_page,
    read_prices,
    read_report,
    read_rows,
    read_rules,
    read_time,
)
from .host import HOSTS, LIMITED, HostLimits

# Seconds for an answer, and rows in one.
TIMEOUT = 10.0
PAGE = 1000
UNKNOWN_SYMBOL = -1121
UNKNOWN_ORDER = -2013
KEY_CODES = frozenset({-1002, -1022, -2014, -2015})
REFUSED_CODES = frozenset({-1013, -1014, -1015, -1020, -2010, *range(-1199, -1099)})
UNREADABLE = (BinanceRequestException, KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError)


class BinanceExchange:
    """One account on a Binance Spot host, or without a key its public market data. The constructor does no I/O."""

    name = "binance"
    fee_coin: str | None = "BNB"
    visibility_lag = RECV_WINDOW + timedelta(seconds=20)
    lookups = 3
    keeps_orders = True
    time_frames = frozenset(TimeFrame) - {TimeFrame.M10}

    def __init__(
        self,
        session: ClientSession,
        base_url: str,
        api_key: str = "",
        api_secret: str = "",
        *,
        limits: HostLimits | None = None,
        timeout: float = TIMEOUT,
        page: int = PAGE,
    ) -> None:
        """`limits` are those of the host that all portfolios share; `timeout` in seconds; `page` is rows per answer."""
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._key = api_key.strip()
        self._secret = api_secret.strip()
        self._host = host_of(base_url)
        self._account_id: AccountId | None = None
        self._limits = limits or HOSTS.limits(base_url)
        self._timeout = timeout
        self._page = page
        self._made: BinanceClient | None = None
        self._timed = False

    @property
    def used_weight(self) -> int | None:
        """Request weight used in the current minute, as the host last said."""
        return self._limits.used_weight

    @property
    def pause(self) -> float:
        """Seconds to wait before a cycle that nothing hurries: what is left of the weight is for those already running."""
        return self._limits.pause

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
        return read_time(answer)

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
            lambda client: client._get("exchangeInfo", data={"symbols": json_list(symbols)}),  # noqa: SLF001  # the public method takes no symbols
            lambda data: {item["symbol"]: read_rules(item) for item in data["symbols"]},
        )

    async def prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        """Last prices (quote per base) by symbol, shared with others on this host; missing and zero ones are left out."""
        return await self._limits.shared_prices.prices(self, symbols, self._prices)

    async def _prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        return await self._ask(lambda client: client.get_symbol_ticker(symbols=json_list(symbols)), read_prices)

    async def candles(self, symbol: str, frame: TimeFrame, start: int, end: int) -> list[Candle]:
        """Up to a thousand candles that opened from `start` to before `end` (Unix seconds), oldest first."""
        asked = {"interval": frame, "startTime": start * 1000, "endTime": end * 1000 - 1, "limit": self._page}
        return await self._ask(lambda client: client.get_klines(symbol=symbol, **asked), read_candles)

    async def balances(self) -> dict[str, Balance]:
        """Balances of the account by asset."""
        balances, self._account_id = await self._ask(
            lambda client: client.get_account(omitZeroBalances="true"),
            lambda data: (
                {
                    item["asset"]: Balance(read_amount(item["free"]), read_amount(item["locked"]))
                    for item in data["balances"]
                },
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
            params |= {"type": "LIMIT", "timeInForce": "IOC", "price": decimal_text(order.limit_price)}
        else:
            params["type"] = "MARKET"
        if order.quote_amount is not None:
            params["quoteOrderQty"] = decimal_text(order.quote_amount)
        else:
            params["quantity"] = decimal_text(order.quantity)
        try:
            await self._take_time()
        except ExchangeUnavailable as err:
            raise NotSent(f"not sent: {err}") from None
        return await self._ask(
            lambda client: client.create_order(**params), read_report, signed=True, otherwise=OutcomeUnknown
        )

    async def find(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Look an order up by its client order id; None where the exchange does not know it (yet)."""
        try:
            return await self._ask(
                lambda client: client.get_order(symbol=symbol, origClientOrderId=client_order_id),
                read_report,
                signed=True,
            )
        except Refused as err:
            if err.code == UNKNOWN_ORDER:
                return None
            raise

    async def fills(self, order: OrderReport) -> tuple[Fill, ...]:
        """The fills of one order."""
        return tuple(await self._trades(order.symbol, {"orderId": int(order.order_id), "fromId": 0}, read_fill))

    async def orders_page(self, symbol: str, cursor: str | None, prefix: str) -> OrderPage:
        """Up to a thousand orders of a symbol from an id on; of a pair that is not listed (any more) there are none."""
        first_id = int(cursor or 0)
        try:
            return await self._ask(
                lambda client: client.get_all_orders(symbol=symbol, orderId=first_id, limit=self._page),
                lambda data: read_order_page(data, prefix, self._page),
                signed=True,
            )
        except Refused as err:
            if err.code == UNKNOWN_SYMBOL:
                return OrderPage()
            raise

    async def traded_orders(self, symbol: str, since: datetime, cursor: str | None) -> frozenset[str]:
        """Ids of all orders of a symbol that traded since a time and were placed from a cursor on, whosever they are."""
        start = {"startTime": int(since.timestamp() * 1000)}
        found = await self._trades(symbol, start, lambda row: int(row["orderId"]))
        return frozenset(str(number) for number in found if number >= int(cursor or 0))

    # Inside

    async def _trades[T](self, symbol: str, asked: Mapping[str, int], read: Callable[[Any], T]) -> list[T]:
        """What is read of all trades that are asked for, oldest first."""
        found: list[T] = []
        while True:
            page = await self._trade_page(symbol, asked, read)
            found += page.values()
            if len(page) < self._page:
                return found
            asked = {key: value for key, value in asked.items() if key != "startTime"} | {"fromId": max(page) + 1}

    async def _trade_page[T](self, symbol: str, asked: Mapping[str, int], read: Callable[[Any], T]) -> dict[int, T]:
        return await self._ask(
            lambda client: client.get_my_trades(symbol=symbol, limit=self._page, **asked),
            lambda data: {int(row["id"]): read(row) for row in read_rows(data)},
            signed=True,
        )

    async def _client(self) -> BinanceClient:
        """The library's client, made once; an asymmetric key is parsed off the event loop."""
        if self._made is None:
            loop = asyncio.get_running_loop()
            try:
                self._made = await asyncio.to_thread(
                    BinanceClient, self._limits, self._session, self._key, self._secret, self._timeout, loop
                )
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
        call: Callable[[BinanceClient], Awaitable[Any]],
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
            self._limits.check()
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
                limited = self._limits.wait(err.response.headers.get("Retry-After"))
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
