"""Binance Spot, done by python-binance."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
import itertools
from typing import Any, override

from ..errors import NotThere, Refused
from ..market.candles import Candle, TimeFrame
from .base import (
    AccountId,
    Balance,
    Fill,
    KeyPermissions,
    OrderPage,
    OrderReport,
    OrderRequest,
    OrderType,
    RestingOrder,
    SymbolRules,
)
from .binance_account_stream import AccountStream, account_stream_url
from .binance_client import RECV_WINDOW
from .binance_connection import UNKNOWN_ORDER
from .binance_format import (
    json_list,
    order_params,
    pair_params,
    read_amount,
    read_candles,
    read_fill,
    read_order_page,
    read_pair,
    read_prices,
    read_report,
    read_rows,
    read_rules,
)
from .binance_history import BinanceHistory
from .binance_stream import BinanceStreams, stream_url
from .remote import OnHint
from .stream import StreamFormat

UNKNOWN_SYMBOL = -1121
# More symbols than that are asked for in several questions, or as all that there are: an address must not grow too long.
MOST_SYMBOLS = 100
# Up to so many symbols are asked for their open orders one by one: all at once weigh as much as a dozen of them.
FEW_SYMBOLS = 2


class BinanceExchange(BinanceHistory):
    """One account on a Binance Spot host, or without a key its public market data."""

    name = "binance"
    fee_coin: str | None = "BNB"
    visibility_lag = RECV_WINDOW + timedelta(seconds=20)
    types = frozenset(OrderType)
    pairs = True
    lookups = 3
    keeps_orders = True
    time_frames = frozenset(TimeFrame) - {TimeFrame.M10}
    stream_format: StreamFormat = BinanceStreams()

    @property
    def stream_url(self) -> str | None:
        """Address of its market streams."""
        return stream_url(self._base_url)

    @property
    def account_stream(self) -> Callable[[OnHint], AccountStream]:
        """Makes what calls back with whatever happens to the account."""
        return lambda on_hint: AccountStream(self._session, account_stream_url(self._base_url), self, on_hint)

    def order_name(self, client_order_id: str) -> str:
        """Our own name: it is taken as it is."""
        return client_order_id

    def earning(self, asset: str) -> str | None:
        """Coin that an asset stands for which is in flexible earn and listed in the account like one of its own."""
        coin = asset.removeprefix("LD")
        return coin if coin and coin != asset else None

    async def rules(self, symbols: Collection[str]) -> dict[str, SymbolRules]:
        """Trading rules by symbol; symbols that are not listed are missing."""
        if len(symbols) > MOST_SYMBOLS:
            parts = [await self.rules(part) for part in itertools.batched(sorted(symbols), MOST_SYMBOLS, strict=False)]
            return {symbol: rules for part in parts for symbol, rules in part.items()}
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

    @override
    async def _prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        if len(symbols) > MOST_SYMBOLS:
            return await self._ask(lambda client: client.get_symbol_ticker(), read_prices)
        return await self._ask(lambda client: client.get_symbol_ticker(symbols=json_list(symbols)), read_prices)

    async def listed(self) -> frozenset[str]:
        """Every symbol that there is."""
        return await self._ask(
            lambda client: client.get_symbol_ticker(),
            lambda data: frozenset(str(row["symbol"]) for row in read_rows(data)),
        )

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

    async def holdings(self) -> tuple[AccountId, dict[str, Balance]]:
        """Whose account the key opens, and its balances."""
        balances = await self.balances()
        return await self.account_id(), balances

    async def account_id(self) -> AccountId:
        """Whose the account is, asked once: a key never opens another one."""
        if self._account_id is None:
            await self.balances()
        return self._account_id or self._identify(None)

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
        params = order_params(order)
        return await self._command(lambda client: client.create_order(**params), read_report)

    async def place_pair(self, name: str, target: OrderRequest, stop: OrderRequest) -> tuple[OrderReport, OrderReport]:
        """Send two sales once, of which one ends the other."""
        params = pair_params(name, target, stop)
        return await self._command(
            lambda client: client.v3_post_order_list_oco(**params), lambda data: read_pair(data, target, stop)
        )

    async def cancel(self, order: RestingOrder) -> OrderReport | None:
        """Ask for an order's end; what it came to is looked up."""
        request = order.request
        await self._command(
            lambda client: client.cancel_order(symbol=request.symbol, origClientOrderId=request.client_order_id),
            lambda data: data["orderId"] if "orderId" in data else data["orderListId"],
        )
        return None

    async def progress(self, orders: Sequence[RestingOrder]) -> dict[str, OrderReport]:
        """What has become of orders that rest: one request lists what is still open, only the rest is looked up."""
        names = {order.request.client_order_id: order.request.symbol for order in orders}
        symbols = {*names.values()}
        if len(symbols) <= FEW_SYMBOLS:
            pages = await asyncio.gather(*(self._open_orders(names, symbol=symbol) for symbol in sorted(symbols)))
        else:
            pages = [await self._open_orders(names)]
        found = {name: report for page in pages for name, report in page.items()}
        missing = [(name, symbol) for name, symbol in names.items() if name not in found]
        ended = await asyncio.gather(
            *(_unless_refused(self.find(symbol, name), UNKNOWN_SYMBOL, None) for name, symbol in missing)
        )
        return found | {report.client_order_id: report for report in ended if report}

    async def _open_orders(self, names: Collection[str], **asked: str) -> dict[str, OrderReport]:
        """Those of some orders that rest, by client order id; of a pair that is not listed (any more) there are none."""
        answer = self._ask(
            lambda client: client.get_open_orders(**asked),
            lambda data: {
                name: read_report(row) for row in read_rows(data) if (name := str(row["clientOrderId"])) in names
            },
            signed=True,
        )
        return await _unless_refused(answer, UNKNOWN_SYMBOL, {})

    async def find(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Look an order up by its client order id; None where the exchange does not know it (yet)."""
        answer = self._ask(
            lambda client: client.get_order(symbol=symbol, origClientOrderId=client_order_id),
            read_report,
            signed=True,
        )
        return await _unless_refused(answer, UNKNOWN_ORDER, None)

    async def fills(self, order: OrderReport) -> tuple[Fill, ...]:
        """The fills of one order."""
        return tuple(await self._trades(order.symbol, {"orderId": int(order.order_id), "fromId": 0}, read_fill))

    async def orders_page(self, symbol: str, cursor: str | None, prefix: str) -> OrderPage:
        """Up to a thousand orders of a symbol from an id on; of a pair that is not listed (any more) there are none."""
        first_id = int(cursor or 0)
        answer = self._ask(
            lambda client: client.get_all_orders(symbol=symbol, orderId=first_id, limit=self._page),
            lambda data: read_order_page(data, prefix, self._page),
            signed=True,
        )
        return await _unless_refused(answer, UNKNOWN_SYMBOL, OrderPage())

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


async def _unless_refused[T, D](answer: Awaitable[T], code: int, otherwise: D) -> T | D:
    """An answer; something else where it was refused with a code that says that there is nothing. Raises as the answer does."""
    try:
        return await answer
    except Refused as err:
        if err.code != code:
            raise
    return otherwise
