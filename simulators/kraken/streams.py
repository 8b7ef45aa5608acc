"""Kraken's streams: prices and open candles by channel and pair, a heartbeat each second, and what happens to an account."""

from datetime import UTC, datetime
from decimal import Decimal
import json
from typing import Any, override

from ..exchange.account import Order
from ..exchange.account_streams import AccountStreams, Subscription
from ..exchange.market import Candle
from ..exchange.matching import Exchange
from ..exchange.streams import Connection, Progress, Streams
from .matching import Matching
from .pairs import Pair

INTERVALS = {1: "1m", 5: "5m", 15: "15m", 60: "1h", 240: "4h", 1440: "1d"}
HEARTBEAT_MS = 1000
STATUSES = {"NEW": "new", "PARTIALLY_FILLED": "partially_filled", "FILLED": "filled", "CANCELED": "canceled"}


def moment(now: int) -> str:
    """A time in ms as they write it."""
    return datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pair_of(exchange: Exchange, name: str) -> Pair | None:
    """The pair of a name with a stroke, in which everything is called as everywhere else."""
    base, _, quote = name.partition("/")
    found = exchange.market.symbols.get(f"{base}{quote}")
    return found if isinstance(found, Pair) and quote else None


class KrakenStreams(Streams):
    """Every connection to `/v2`; a closed candle is not told of."""

    @override
    async def _answer(self, connection: Connection, body: str) -> None:
        asked: dict[str, Any] = json.loads(body)
        method, params = asked.get("method"), asked.get("params", {})
        channel, interval = params.get("channel"), INTERVALS.get(params.get("interval", 0))
        for name in params.get("symbol", []):
            pair = pair_of(self._exchange, name)
            known = channel == "ticker" or (channel == "ohlc" and interval)
            answer: dict[str, Any] = {"method": method, "success": bool(pair and known)}
            if not pair or not known or method not in {"subscribe", "unsubscribe"}:
                await self._send(connection, answer | {"error": f"Currency pair not supported {name}"}, "answer")
                continue
            stream = f"{pair.name.lower()}@" + (f"kline_{interval}" if channel == "ohlc" else "miniTicker")
            if method == "subscribe":
                self._follow(connection, stream)
            else:
                connection.streams.pop(stream, None)
            await self._send(connection, answer | {"result": {"channel": channel, "symbol": name}}, "answer")

    @override
    async def _serve(self, connection: Connection, now: int) -> None:
        connection.heard = now  # it is not pinged
        if now >= connection.silent_until and now - connection.pinged >= HEARTBEAT_MS:
            connection.pinged = now
            await self._send(connection, {"channel": "heartbeat"}, "heartbeat")
        await super()._serve(connection, now)

    @override
    async def _tell_closed(self, connection: Connection, name: str, candle: Candle, now: int) -> None:
        """Nothing: a candle of theirs does not say that it is over."""

    @override
    async def _tell_open(self, connection: Connection, name: str, progress: Progress, now: int) -> None:
        """A price is told of with a trade only."""
        if "@kline_" in name:
            await super()._tell_open(connection, name, progress, now)
        elif (price := str(self._exchange.market.ticker(name.partition("@")[0].upper()))) != progress.held:
            progress.held = price
            if ticker := self._ticker(name, now):
                await self._send(connection, ticker, "ticker")

    @override
    def _kline(self, name: str, candle: Candle, now: int, *, closed: bool) -> str:
        symbol, _, frame = name.partition("@kline_")
        minutes = next(number for number, each in INTERVALS.items() if each == frame)
        data = {
            "symbol": self._called(symbol),
            **{key: float(getattr(candle, key)) for key in ("open", "high", "low", "close")},
            "trades": candle.trades,
            "volume": float(candle.trades),
            "vwap": float(candle.close),
            "interval_begin": moment(candle.opened),
            "interval": minutes,
            "timestamp": moment(candle.opened + minutes * 60_000),
        }
        return json.dumps({"channel": "ohlc", "type": "update", "timestamp": moment(now), "data": [data]})

    @override
    def _ticker(self, name: str, now: int) -> str | None:
        symbol = name.partition("@")[0]
        price = self._exchange.market.ticker(symbol.upper())
        if price is None:
            return None
        shown = float(price)
        data = {"symbol": self._called(symbol), "bid": shown, "ask": shown, "last": shown, "timestamp": moment(now)}
        return json.dumps({"channel": "ticker", "type": "update", "data": [data]})

    def _called(self, symbol: str) -> str:
        pair = self._exchange.market.symbols[symbol.upper()]
        return f"{pair.base}/{pair.quote}"


class KrakenAccountStreams(AccountStreams):
    """Every connection to `/auth/v2`: it has to bring a token that was handed out."""

    _exchange: Matching

    @override
    async def _answer(self, connection: Subscription, asked: dict[str, Any]) -> None:
        params = asked.get("params") or {}
        key = self._exchange.tokens.get(params.get("token", ""))
        answer: dict[str, Any] = {"method": "subscribe", "success": False}
        if key is None or self.refusals:
            del self.refusals[:1]
            await connection.ws.send_json(answer | {"error": "EAPI:Invalid token"})
            return
        result = {"channel": params.get("channel")}
        if result["channel"] == "executions":
            account = connection.account = self._exchange.accounts[key]
            connection.orders = {order.id: (order.status, order.executed) for order in account.orders}
            connection.balances = {asset: balance.total for asset, balance in account.balances.items()}
        await connection.ws.send_json(answer | {"success": True, "result": result})

    @override
    async def end(self) -> None:
        await self.cut()

    @override
    async def _send(self, connection: Subscription, event: dict[str, Any]) -> None:
        if self.lost:
            self.lost -= 1
            return
        self.sent[str(event["e"])] += 1
        if event["e"] == "balanceUpdate":
            row = {"type": "deposit", "asset": event["a"], "amount": float(Decimal(str(event["d"])))}
            await connection.ws.send_json({"channel": "balances", "type": "update", "data": [row]})
            return
        orders: list[Order] = connection.account.orders if connection.account else []
        order = next(each for each in orders if each.id == event["i"])
        row = {"cl_ord_id": order.client_order_id, "exec_type": "status", "order_status": STATUSES.get(order.status)}
        await connection.ws.send_json({"channel": "executions", "type": "update", "data": [row]})
