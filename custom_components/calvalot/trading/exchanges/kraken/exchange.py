"""Kraken Spot, asked over aiohttp."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
import time
from typing import Any, override

from ...decimals import HUNDRED, ZERO
from ...errors import ExchangeError, ExchangeUnavailable, NotSent, OutcomeUnknown, Refused
from ..base import (
    AccountId,
    Balance,
    Fill,
    KeyPermissions,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    RestingOrder,
)
from ..remote import AccountStream, OnHint
from .connection import PATIENCE, ROUTINE, unclear
from .format import Listing, order_params, read_amount, read_mapping
from .names import asset_of, earning, order_name
from .orders import KrakenOrders, Rows
from .streams import KrakenAccountStream, account_stream_url, stream_url

# How long the exchange may take an order after it was to go out, and what is left of that at least when it does: it takes
# deadlines from two seconds to a minute ahead, and our clock may be two seconds off.
DEADLINE = timedelta(seconds=30)
LEAST = timedelta(seconds=5)
# What a key needs beside placing orders: without it nobody can say what became of one.
READING = frozenset({"query-funds", "query-open-trades", "query-closed-trades"})
TRADING = "modify-trades"


class KrakenExchange(KrakenOrders):
    """One account on Kraken Spot, or without a key its public market data."""

    name = "kraken"
    fee_coin: str | None = None
    # No order that is filled as a whole or not at all, no two of which one ends the other; what trails is watched by the cycle.
    types = frozenset({OrderType.AT_ONCE, OrderType.LIMIT, OrderType.STOP_LOSS})
    pairs = False
    visibility_lag = DEADLINE + timedelta(seconds=20)
    lookups = 3
    keeps_orders = True

    @property
    def stream_url(self) -> str | None:
        """Address of its market streams."""
        return stream_url(self._base_url)

    @property
    def account_stream(self) -> Callable[[OnHint], AccountStream]:
        """Makes what calls back with whatever happens to the account."""
        return lambda on_hint: KrakenAccountStream(self._session, account_stream_url(self._base_url), self, on_hint)

    def order_name(self, client_order_id: str) -> str:
        """What is sent as `cl_ord_id`: 32 hex digits."""
        return order_name(client_order_id)

    def earning(self, asset: str) -> str | None:
        """Coin that an asset stands for which is staked or bonded."""
        return earning(asset)

    # Account

    async def balances(self) -> dict[str, Balance]:
        """Balances of the account by asset; what is staked is apart, under its own name."""

        def read(data: Any) -> dict[str, Balance]:
            found: dict[str, Balance] = {}
            for code, item in read_mapping(data).items():
                total, held = read_amount(item["balance"]), read_amount(item.get("hold_trade", 0))
                if total:
                    known = found.get(asset_of(code), Balance(ZERO))
                    found[asset_of(code)] = Balance(known.free + total - held, known.locked + held)
            return {asset: replace(balance, free=max(balance.free, ZERO)) for asset, balance in found.items()}

        # Whoever is about to trade asks for them first: intents are written down with the exchange's time.
        await self._take_time()
        return await self._private("BalanceEx", read, part=ROUTINE, patience=PATIENCE)

    async def holdings(self) -> tuple[AccountId, dict[str, Balance]]:
        """Whose account the key opens, and its balances."""
        balances = await self.balances()
        return await self.account_id(), balances

    async def account_id(self) -> AccountId:
        """Whose the account is, asked once: a key never opens another one."""
        if self._account_id is None:
            self._account_id = self._identify((await self._key_info()).get("iban") or None)
        return self._account_id

    async def stream_token(self) -> str:
        """A token for one connection to the streams of the account."""
        return await self._private(
            "GetWebSocketsToken", lambda data: str(data["token"]), part=ROUTINE, patience=PATIENCE
        )

    async def permissions(self) -> KeyPermissions:
        """What the key may do: one that cannot look up what became of an order cannot trade."""
        info = await self._key_info()
        allowed = frozenset(map(str, info["permissions"]))
        return KeyPermissions(
            can_trade=allowed >= READING | {TRADING},
            can_withdraw=any("withdraw" in each for each in allowed),
            ip_restricted=bool(info["ipAllowlist"]) if "ipAllowlist" in info else None,
        )

    @override
    async def _own_fees(self, listings: Mapping[str, Listing]) -> Mapping[str, Decimal]:
        names = {listing.key: symbol for symbol, listing in listings.items()}

        def read(data: Any) -> dict[str, Decimal]:
            told = read_mapping(read_mapping(data)["fees"])
            return {names[key]: read_amount(each["fee"]) / HUNDRED for key, each in told.items() if key in names}

        if self._key and names:
            asked = {"pair": ",".join(sorted(listing.name for listing in listings.values()))}
            # Without an answer those of the last one count, at first the highest there are.
            with suppress(ExchangeError):
                self._fees |= await self._private("TradeVolume", read, asked, part=ROUTINE)
        return self._fees

    async def _key_info(self) -> Mapping[str, Any]:
        def read(data: Any) -> Mapping[str, Any]:
            info = read_mapping(data)
            if not isinstance(info["permissions"], list):
                raise TypeError("no list of permissions")
            return info

        return await self._private("GetApiKeyInfo", read, part=ROUTINE, patience=PATIENCE)

    # Orders

    async def place(self, order: OrderRequest) -> OrderReport:
        """Send an order once, and look it up; see `Exchange.place` for what is raised."""
        if order.quote_amount is not None or order.type not in self.types:
            raise Refused("Kraken has no such order", 0)
        began = time.time()
        try:
            listing = await self._listing(order.symbol)
            await self._take_time()
        except ExchangeUnavailable as err:
            raise NotSent(f"not sent: {err}") from None
        deadline = self.timestamp() + DEADLINE - timedelta(seconds=max(time.time() - began, 0))
        params = order_params(order, listing, deadline)
        self._sent[order.client_order_id] = time.time()

        def in_time() -> Mapping[str, str]:
            if deadline - self.timestamp() < LEAST:
                raise NotSent("not sent: other requests with this key took too long")
            return params

        order_id = await self._private(
            "AddOrder", lambda data: str(data["txid"][0]), in_time, cost=0, otherwise=OutcomeUnknown
        )
        self._remember(order.client_order_id, order_id)
        try:
            row = (await self._order_rows([order_id])).get(order_id)
        except ExchangeError as err:
            raise unclear(err) from None
        if row is None:
            raise OutcomeUnknown("sent, and not seen yet")
        report = self._report(order_id, row, order.symbol, order.client_order_id, otherwise=OutcomeUnknown)
        if order.type is OrderType.AT_ONCE and report.status is OrderStatus.CANCELLED:
            report = replace(report, status=OrderStatus.EXPIRED)
        return replace(report, type=order.type)

    async def place_pair(self, name: str, target: OrderRequest, stop: OrderRequest) -> tuple[OrderReport, OrderReport]:
        """Kraken has no two orders of which one ends the other."""
        raise Refused("Kraken has no such order", 0)

    async def cancel(self, order: RestingOrder) -> OrderReport | None:
        """Ask for an order's end; what it came to is looked up."""
        known = order.report.order_id
        asked = {"txid": known} if known else {"cl_ord_id": order_name(order.request.client_order_id)}
        self._pages.clear()
        await self._private("CancelOrder", lambda data: int(data["count"]), asked, cost=0, otherwise=OutcomeUnknown)
        return None

    async def progress(self, orders: Sequence[RestingOrder]) -> dict[str, OrderReport]:
        """What has become of orders that rest, all of them in one question."""
        named = {order.report.order_id: order for order in orders if order.report.order_id}
        rows = await self._order_rows(named)
        found: dict[str, OrderReport] = {}
        for order_id, order in named.items():
            if row := rows.get(order_id):
                request = order.request
                found[request.client_order_id] = self._report(order_id, row, request.symbol, request.client_order_id)
        for order in orders:
            name = order.request.client_order_id
            if name not in found and (report := await self.find(order.request.symbol, name)):
                found[name] = report
        return found

    async def find(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Look an order up by its client order id; None where the exchange does not know it (yet)."""
        rows: Rows = {}
        if order_id := self._placed.get(client_order_id):
            rows = await self._order_rows([order_id])
        if not rows:
            rows = await self._named(client_order_id)
        reports = [self._report(order_id, row, symbol, client_order_id) for order_id, row in rows.items()]
        return max(reports, key=lambda report: report.time, default=None)

    async def fills(self, order: OrderReport) -> tuple[Fill, ...]:
        """The fills of one order."""
        return await self._fills(order)
