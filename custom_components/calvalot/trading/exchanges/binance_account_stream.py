"""Binance's stream of an account: that something happened to an order or a balance, as a hint to look.

The WebSocket API's signed subscription `userDataStream.subscribe.signature` (developers.binance.com, WebSocket API, User Data
Stream). Nobody replays what was missed, so each new subscription is a hint as well; nothing of an event enters the books.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
import json
import logging
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, ClientWSTimeout, WSMsgType

from ..errors import ExchangeError
from ..market.timing import Timing
from .binance_client import host_of
from .remote import Hint, OnHint

_LOGGER = logging.getLogger(__name__)
HOSTS = {
    "api.binance.com": "wss://ws-api.binance.com",
    "api.binance.us": "wss://ws-api.binance.us",
    "testnet.binance.vision": "wss://ws-api.testnet.binance.vision",
    "demo-api.binance.com": "wss://demo-ws-api.binance.com",
}
CONNECT_TIMEOUT = 10.0
SUBSCRIBE = "userDataStream.subscribe.signature"


class SigningExchange(Protocol):
    """An exchange that can sign for its account."""

    async def signed_params(self) -> Mapping[str, Any]:
        """Key, time stamp and signature of a request without anything else. Raises ExchangeError."""
        ...

    async def server_time(self) -> datetime:
        """Clock of the exchange (UTC), which time stamps go by from now on. Raises ExchangeError."""
        ...


def account_stream_url(base_url: str) -> str:
    """Address of the WebSocket API of an exchange."""
    parts = urlsplit(base_url)
    own = urlunsplit(("ws" if parts.scheme == "http" else "wss", parts.netloc, "", "", ""))
    return f"{HOSTS.get(host_of(base_url), own)}/ws-api/v3"


class AccountStream:
    """Keeps a subscription until it is stopped, and calls `on_hint` with whatever happens."""

    def __init__(
        self,
        session: ClientSession,
        url: str,
        exchange: SigningExchange,
        on_hint: OnHint,
        timing: Timing | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`url` is the address of the WebSocket API; nothing is connected before `run`."""
        self._session = session
        self._url = url
        self._exchange = exchange
        self._on_hint = on_hint
        self._timing = timing or Timing()
        self._sleep = sleep
        self.subscribed = False

    async def run(self) -> None:
        """Stay subscribed for ever, with growing pauses while that fails."""
        failures = 0
        while True:
            try:
                params = await self._exchange.signed_params()
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    ws = await self._session.ws_connect(self._url, timeout=ClientWSTimeout(ws_close=1.0))
                try:
                    await ws.send_str(json.dumps({"id": "account", "method": SUBSCRIBE, "params": {**params}}))
                    await self._listen(ws)
                finally:
                    await ws.close()
                if not self.subscribed:
                    await self._exchange.server_time()
            except ExchangeError, ClientError, OSError, TimeoutError:
                pass
            failures = 0 if self.subscribed else failures + 1
            self.subscribed = False
            await self._sleep(self._timing.pause(max(failures, 1)))

    # Inside

    async def _listen(self, ws: ClientWebSocketResponse) -> None:
        """Read until the connection or the subscription ends. Raises TimeoutError, ClientError."""
        while True:
            message = await ws.receive(timeout=self._timing.silence)
            if message.type is not WSMsgType.TEXT:
                return
            try:
                data: dict[str, Any] = json.loads(message.data)
                if not self._take(data):
                    return
            except ValueError, AttributeError, TypeError:
                continue  # what cannot be read is no hint

    def _take(self, data: dict[str, Any]) -> bool:
        """Take a message; whether the subscription goes on."""
        if data.get("id") == "account":
            self.subscribed = data.get("status") == 200
            if not self.subscribed:
                _LOGGER.debug("The account's stream was refused: %s", data.get("error"))
                return False
            self._on_hint(Hint.SUBSCRIBED, "")
            return True
        event: dict[str, Any] = data.get("event") or {}
        match event.get("e"):
            case "executionReport":
                # Of a cancellation the order's own id is the original one.
                self._on_hint(Hint.ORDER, str(event.get("C") or event.get("c") or ""))
            case "balanceUpdate":
                self._on_hint(Hint.BALANCE, "")
            case "eventStreamTerminated" | "serverShutdown":
                return False
        return True
