"""The WebSocket API's signed subscription of an account: what happens to its orders and balances, as it happens."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
import json
from urllib.parse import urlencode

from aiohttp import ClientConnectionResetError, WSMsgType, web

from .account import Account, Order
from .matching import Exchange
from .params import Params
from .refusal import RefusalError
from .symbols import text

SUBSCRIBE = "userDataStream.subscribe.signature"
# Seconds of real time between two looks at what has happened.
PULSE = 0.05


@dataclass(slots=True, eq=False)
class Subscription:
    """One connection that follows an account, and what it was told: each order's state, the balances."""

    ws: web.WebSocketResponse
    transport: asyncio.Transport | None
    account: Account | None = None
    orders: dict[int, tuple[str, Decimal]] = field(default_factory=dict)
    balances: dict[str, Decimal] = field(default_factory=dict)


class AccountStreams:
    """Every connection to ``/ws-api/v3``."""

    def __init__(self, exchange: Exchange) -> None:
        """Start without a connection."""
        self.connections: list[Subscription] = []
        self.opened = 0
        self.sent: Counter[str] = Counter()
        self.lost = 0
        self.refusals: list[int] = []
        self._exchange = exchange
        self._pump: asyncio.Task[None] | None = None

    # Switches

    @property
    def subscribed(self) -> int:
        """How many connections follow an account."""
        return sum(each.account is not None for each in self.connections)

    def lose(self, count: int = 1) -> None:
        """Lose the next events."""
        self.lost += count

    def refuse(self, code: int) -> None:
        """Refuse the next subscription."""
        self.refusals.append(code)

    async def cut(self) -> None:
        """Break all connections."""
        for each in [*self.connections]:
            self._gone(each)
            if each.transport is not None:
                each.transport.abort()

    async def end(self) -> None:
        """End every subscription, as when a key is deleted."""
        for each in self.connections:
            await self._send(each, {"e": "eventStreamTerminated", "E": self._exchange.now})

    async def stop(self) -> None:
        """Break all connections and end."""
        await self.cut()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None

    # The wire

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """One connection from its opening to its end."""
        ws = web.WebSocketResponse(heartbeat=20)
        await ws.prepare(request)
        connection = Subscription(ws, request.transport)
        self.connections.append(connection)
        self.opened += 1
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._keep_pumping())
        try:
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    await self._answer(connection, json.loads(message.data))
        finally:
            self._gone(connection)
        return ws

    async def _answer(self, connection: Subscription, asked: dict[str, object]) -> None:
        number = asked.get("id")
        try:
            if asked.get("method") != SUBSCRIBE:
                raise RefusalError(-1100)
            if self.refusals:
                raise RefusalError(self.refusals.pop(0))
            connection.account = self._signer(asked.get("params"))
        except RefusalError as refusal:
            await connection.ws.send_json({"id": number, "status": refusal.status, "error": refusal.body})
            return
        # What was there before is not told.
        connection.orders = {order.id: (order.status, order.executed) for order in connection.account.orders}
        connection.balances = _totals(connection.account)
        await connection.ws.send_json({"id": number, "status": 200, "result": {"subscriptionId": 0}})

    def _signer(self, params: object) -> Account:
        """The account of a signed request: the signature is over the other parameters by name."""
        given = {str(name): str(value) for name, value in params.items()} if isinstance(params, dict) else {}
        signature = given.pop("signature", "")
        account = self._exchange.accounts.get(given.get("apiKey", ""))
        if account is None:
            raise RefusalError(-2015)
        signed = Params(urlencode(sorted(given.items())), f"signature={signature}")
        signed.check_signature(account.keys[given["apiKey"]])
        signed.check_time(self._exchange.now)
        return account

    # What has happened

    async def _keep_pumping(self) -> None:
        while self.connections:
            self._exchange.tick()
            for connection in [*self.connections]:
                try:
                    await self._tell(connection)
                except ClientConnectionResetError, ConnectionResetError:
                    self._gone(connection)
            await asyncio.sleep(PULSE)

    async def _tell(self, connection: Subscription) -> None:
        account = connection.account
        if account is None:
            return
        before, connection.balances = connection.balances, _totals(account)
        changed = [
            order for order in account.orders if connection.orders.get(order.id) != (order.status, order.executed)
        ]
        for order in changed:
            connection.orders[order.id] = order.status, order.executed
            await self._send(connection, _report(order, self._exchange.now))
        if not changed:
            for asset in {*before, *connection.balances}:
                delta = connection.balances.get(asset, Decimal(0)) - before.get(asset, Decimal(0))
                if delta:
                    now = self._exchange.now
                    await self._send(
                        connection, {"e": "balanceUpdate", "E": now, "a": asset, "d": text(delta), "T": now}
                    )

    async def _send(self, connection: Subscription, event: dict[str, object]) -> None:
        if self.lost:
            self.lost -= 1
            return
        self.sent[str(event["e"])] += 1
        await connection.ws.send_json({"subscriptionId": 0, "event": event})

    def _gone(self, connection: Subscription) -> None:
        if connection in self.connections:
            self.connections.remove(connection)


def _totals(account: Account) -> dict[str, Decimal]:
    return {asset: balance.total for asset, balance in account.balances.items()}


def _report(order: Order, now: int) -> dict[str, object]:
    """The event about an order, with its last trade."""
    last = order.trades[-1] if order.trades else None
    cancelled = order.status == "CANCELED"
    return {
        "e": "executionReport",
        "E": now,
        "s": order.symbol,
        "c": f"web_{order.id}" if cancelled else order.client_order_id,
        "C": order.client_order_id if cancelled else "",
        "S": order.side,
        "o": order.type,
        "q": text(order.quantity),
        "p": text(order.price),
        "x": "CANCELED" if cancelled else "TRADE" if last else "NEW",
        "X": order.status,
        "i": order.id,
        "l": text(last.quantity if last else Decimal(0)),
        "L": text(last.price if last else Decimal(0)),
        "n": text(last.commission if last else Decimal(0)),
        "N": last.commission_asset if last else None,
        "t": last.id if last else -1,
        "z": text(order.executed),
        "Z": text(order.executed_quote),
        "T": order.updated,
    }
