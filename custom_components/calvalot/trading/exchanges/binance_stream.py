"""Binance's market streams: their names, and their messages read into types.

Limits (developers.binance.com, WebSocket Streams): 1,024 streams and 5 incoming messages a second per connection, 300
connections in five minutes, an end after 24 hours, a ping every 20 seconds that has to be answered within a minute.
"""

from collections.abc import Iterable, Sequence
from itertools import batched, count
import json
from typing import Any

from ..market.candles import Candle, TimeFrame
from .binance_client import host_of
from .binance_format import read_amount
from .stream import CandleUpdate, PriceUpdate, ServerShutdown, Update, own_host

# Addresses whose streams are on a host of their own; on any other they are where the questions are asked.
STREAM_HOSTS = {
    "api.binance.com": "wss://data-stream.binance.vision",
    "api.binance.us": "wss://stream.binance.us:9443",
    "testnet.binance.vision": "wss://stream.testnet.binance.vision",
    "demo-api.binance.com": "wss://demo-stream.binance.com",
}
MOST_STREAMS = 1000
# Streams named in one message.
NAMES = 200


def stream_url(base_url: str) -> str:
    """Address of the market streams of an exchange."""
    return f"{STREAM_HOSTS.get(host_of(base_url)) or own_host(base_url)}/stream"


def candle_stream(symbol: str, frame: TimeFrame) -> str:
    """Name of the stream of a symbol's candles."""
    return f"{symbol.lower()}@kline_{frame}"


def price_stream(symbol: str) -> str:
    """Name of the stream of a symbol's last price."""
    return f"{symbol.lower()}@miniTicker"


def read_update(text: str) -> Update | None:
    """Read a message; None where it is an answer or of no interest, such as a price of nothing. Raises ValueError, KeyError, TypeError, ArithmeticError."""
    message = json.loads(text)
    data: dict[str, Any] = message.get("data", message)
    match data.get("e"):
        case "kline":
            kline = data["k"]
            return CandleUpdate(
                symbol=kline["s"],
                frame=TimeFrame(kline["i"]),
                candle=Candle(int(kline["t"]) // 1000, *(float(kline[name]) for name in "ohlcv")),
                closed=kline["x"] is True,
                first_trade=int(kline["f"]),
                last_trade=int(kline["L"]),
                at=int(data["E"]) / 1000,
            )
        case "24hrMiniTicker":
            price = read_amount(data["c"])
            return PriceUpdate(data["s"], price, int(data["E"]) / 1000) if price > 0 else None
        case "serverShutdown":
            return ServerShutdown()
    return None


class BinanceStreams:
    """Binance's streams as `StreamFormat` has them."""

    most = MOST_STREAMS

    def __init__(self) -> None:
        self._numbers = count(1)

    def candles(self, symbol: str, frame: TimeFrame) -> str:
        """Name of the stream of a symbol's candles."""
        return candle_stream(symbol, frame)

    def prices(self, symbol: str) -> str:
        """Name of the stream of a symbol's last price."""
        return price_stream(symbol)

    async def messages(self, names: Sequence[str], *, follows: bool) -> Sequence[str]:
        """A subscription, or its end, of so many at a time."""
        method = "SUBSCRIBE" if follows else "UNSUBSCRIBE"
        return [
            json.dumps({"method": method, "params": part, "id": next(self._numbers)})
            for part in batched(names, NAMES, strict=False)
        ]

    def read(self, text: str) -> Iterable[Update]:
        """What a message says. Raises ValueError, KeyError, TypeError, ArithmeticError."""
        update = read_update(text)
        return () if update is None else (update,)
