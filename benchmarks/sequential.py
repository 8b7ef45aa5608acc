"""A follower that does one thing after the other, the way the original works; for comparison only.

One signal with five orders costs it 13 requests and a weight of 113: the signal, the rules, the prices, the rate, the account,
two sales, and the account again before each of three purchases.
"""

from collections.abc import Mapping
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import ClientSession

REQUESTS = 13


class SequentialFollower:
    """Waits for each answer before it asks the next question."""

    def __init__(
        self, session: ClientSession, leader: str, signal_secret: str, exchange: str, key: str, secret: str
    ) -> None:
        """Name the two that it asks, with the keys to both."""
        self._session = session
        self._leader = leader
        self._signal_secret = signal_secret
        self._exchange = exchange
        self._headers = {"X-MBX-APIKEY": key}
        self._secret = secret

    async def follow(self, sells: Mapping[str, str], buys: Mapping[str, str]) -> None:
        """Poll once and trade quantities by symbol."""
        moment = str(int(time.time()))
        signed = {"X-Signal-Timestamp": moment, "X-Signal-Signature": _sign(self._signal_secret, moment)}
        async with self._session.get(f"{self._leader}/api/signal/latest", headers=signed) as answer:
            await answer.json()
        symbols = quote(json.dumps([*sells, *buys], separators=(",", ":")))
        await self._ask("GET", f"/api/v3/exchangeInfo?symbols={symbols}")
        await self._ask("GET", f"/api/v3/ticker/price?symbols={symbols}")
        await self._ask("GET", f"/api/v3/ticker/price?symbols={quote('["EURUSDC"]')}")
        await self._account()
        for symbol, quantity in sells.items():
            await self._order(symbol, "SELL", quantity)
        for symbol, quantity in buys.items():
            await self._account()
            await self._order(symbol, "BUY", quantity)

    async def _account(self) -> None:
        await self._signed("GET", "/api/v3/account", omitZeroBalances="true")

    async def _order(self, symbol: str, side: str, quantity: str) -> None:
        await self._signed("POST", "/api/v3/order", symbol=symbol, side=side, type="MARKET", quantity=quantity)

    async def _signed(self, method: str, path: str, **params: str) -> Any:
        query = urlencode({**params, "timestamp": int(time.time() * 1000)})
        return await self._ask(method, f"{path}?{query}&signature={_sign(self._secret, query)}")

    async def _ask(self, method: str, path: str) -> Any:
        async with self._session.request(method, f"{self._exchange}{path}", headers=self._headers) as answer:
            answer.raise_for_status()
            return await answer.json()


def _sign(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
