"""Kraken's streams (docs.kraken.com, Spot WebSocket v2): prices and open candles of the market, and what happens to an account.

A candle of theirs does not say that it is over, and its trades bear no numbers: one that closes is asked for, and the stream shows
how the open one goes. A price comes with a trade only; until the next one it stays, as long as anything is heard: a message about
another pair, or the heartbeat of each second in which there is none.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
import json
import time
from typing import Any, Protocol, override
from urllib.parse import urlsplit

from ...decimals import ONE
from ...errors import Refused
from ...market.candles import Candle, TimeFrame
from ..account_stream import Clock, HintStream
from ..remote import Hint
from ..stream import CandleUpdate, PriceUpdate, Update, own_host
from .format import Listing, read_amount

HOSTS = {"api.kraken.com": ("wss://ws.kraken.com", "wss://ws-auth.kraken.com")}
MOST_STREAMS = 1000
# Pairs named in one message.
NAMES = 100
# Seconds between two times at which prices without a trade are said to stay.
REPEATED = 0.9
# What another one's trades, and our own, do to a balance is told as an order.
OF_ORDERS = frozenset({"trade"})

type FindListing = Callable[[str], Awaitable[Listing]]


def stream_url(base_url: str) -> str:
    """Address of the market streams of an exchange; on any other host than Kraken's own they are where the questions are asked."""
    return f"{_hosts(base_url)[0]}/v2"


def account_stream_url(base_url: str) -> str:
    """Address of the streams of accounts."""
    return f"{_hosts(base_url)[1]}/v2"


def _hosts(base_url: str) -> tuple[str, str]:
    own = own_host(base_url)
    return HOSTS.get(urlsplit(base_url).netloc.lower(), (own, f"{own}/auth"))


class KrakenStreams:
    """Kraken's market streams as `StreamFormat` has them; `find_listing` says what a symbol is there."""

    most = MOST_STREAMS

    def __init__(self, find_listing: FindListing) -> None:
        self._find_listing = find_listing
        self._turned: dict[str, str] = {}
        self._prices: dict[str, Decimal] = {}
        # What is still told of these was on its way when their end was asked for.
        self._ended: set[str] = set()
        self._repeated = 0.0
        self._offset = 0.0

    def candles(self, symbol: str, frame: TimeFrame) -> str:
        """Name of the stream of a symbol's candles."""
        return f"ohlc {frame.seconds // 60} {symbol}"

    def prices(self, symbol: str) -> str:
        """Name of the stream of a symbol's last price."""
        return f"ticker 0 {symbol}"

    async def messages(self, names: Sequence[str], *, follows: bool) -> Sequence[str]:
        """Subscriptions, or their end, by channel; of a symbol that is not listed there is none. Raises ExchangeError."""
        wanted: dict[tuple[str, int], list[str]] = {}
        for channel, minutes, symbol in (name.split() for name in names):
            try:
                listing = await self._find_listing(symbol)
            except Refused:
                continue
            rules = listing.rules
            base, quote = (rules.quote, rules.base) if listing.inverse else (rules.base, rules.quote)
            if listing.inverse:
                self._turned[f"{base}{quote}"] = symbol
            if channel == "ticker":
                # Of an earlier connection nothing counts any more.
                self._prices.pop(f"{base}{quote}", None)
                (self._ended.discard if follows else self._ended.add)(f"{base}{quote}")
            wanted.setdefault((channel, int(minutes)), []).append(f"{base}/{quote}")
        return [
            self._message(channel, minutes, pairs[start : start + NAMES], follows=follows)
            for (channel, minutes), pairs in wanted.items()
            for start in range(0, len(pairs), NAMES)
        ]

    def read(self, text: str) -> Iterable[Update]:
        """What a message says. Raises ValueError, KeyError, TypeError, ArithmeticError."""
        message = json.loads(text, parse_float=Decimal)
        match message.get("channel"):
            case "heartbeat":
                self._repeated = 0.0
                yield from self._unchanged()
            case "ticker":
                yield from self._unchanged()
                for data in message["data"]:
                    symbol, price = data["symbol"].replace("/", ""), read_amount(data["last"])
                    if message["type"] == "update":
                        # What there is at the beginning may have the time of a trade long ago.
                        self._offset = _seconds(data["timestamp"]) - time.time()
                    if price and symbol not in self._ended:
                        self._prices[symbol] = price
                        yield from self._priced(symbol)
            case "ohlc":
                yield from self._unchanged()
                at = _seconds(message["timestamp"])
                for data in message["data"]:
                    prices = (float(data[name]) for name in ("open", "high", "low", "close", "volume"))
                    yield CandleUpdate(
                        symbol=data["symbol"].replace("/", ""),
                        frame=_FRAMES[data["interval"]],
                        candle=Candle(int(_seconds(data["interval_begin"])), *prices),
                        closed=False,
                        first_trade=-1,
                        last_trade=-1,
                        at=at,
                    )

    # Inside

    def _unchanged(self) -> Iterable[PriceUpdate]:
        """The prices that there are, once a second at most."""
        if (now := time.monotonic()) - self._repeated >= REPEATED:
            self._repeated = now
            for symbol in self._prices:
                yield from self._priced(symbol)

    def _priced(self, symbol: str) -> Iterable[PriceUpdate]:
        at, price = time.time() + self._offset, self._prices[symbol]
        yield PriceUpdate(symbol, price, at)
        if turned := self._turned.get(symbol):
            yield PriceUpdate(turned, ONE / price, at)

    def _message(self, channel: str, minutes: int, pairs: Sequence[str], *, follows: bool) -> str:
        params: dict[str, Any] = {"channel": channel, "symbol": [*pairs]}
        if minutes:
            params |= {"interval": minutes}
        if minutes and follows:
            params |= {"snapshot": False}
        return json.dumps({"method": "subscribe" if follows else "unsubscribe", "params": params})


_FRAMES = {frame.seconds // 60: frame for frame in TimeFrame}


def _seconds(text: str) -> float:
    """A time as they write it, to nanoseconds; Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


class TokenExchange(Clock, Protocol):
    """An exchange that hands out tokens for the streams of its account."""

    async def stream_token(self) -> str:
        """A token for one connection. Raises ExchangeError."""
        ...


class KrakenAccountStream(HintStream[TokenExchange]):
    """What happens to the orders and the balances of one account."""

    @override
    async def _subscriptions(self) -> Sequence[dict[str, Any]]:
        token = await self._exchange.stream_token()
        orders = {"channel": "executions", "snap_orders": False, "snap_trades": False, "token": token}
        balances = {"channel": "balances", "snapshot": False, "token": token}
        return [{"method": "subscribe", "params": params} for params in (balances, orders)]

    @override
    def _take(self, data: dict[str, Any]) -> bool:
        if data.get("method") == "subscribe":
            # The one of orders is asked for last.
            if data["success"] and data["result"]["channel"] != "executions":
                return True
            return self._answered(accepted=data["success"], error=data.get("error"))
        told: list[dict[str, Any]] = data.get("data") or [] if data.get("type") == "update" else []
        match data.get("channel"):
            case "executions":
                for name in dict.fromkeys(str(each.get("cl_ord_id") or "") for each in told):
                    self._on_hint(Hint.ORDER, name)
            case "balances" if any(each.get("type") not in OF_ORDERS for each in told):
                self._on_hint(Hint.BALANCE, "")
        return True
