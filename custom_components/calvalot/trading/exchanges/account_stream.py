"""A stream of an account: that something happened to an order or a balance, as a hint to look.

Nobody replays what was missed, so each new subscription is a hint as well; nothing of an event enters the books.
"""

from abc import ABC, abstractmethod
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
import json
import logging
from typing import Any, Protocol

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, ClientWSTimeout, WSMsgType

from ..errors import ExchangeError
from ..market.timing import Timing
from .remote import Hint, OnHint
from .stream import CONNECT_TIMEOUT

_LOGGER = logging.getLogger(__name__)


class Clock(Protocol):
    """An exchange's clock."""

    async def server_time(self) -> datetime:
        """Clock of the exchange (UTC), which time stamps go by from now on. Raises ExchangeError."""
        ...


class HintStream[E: Clock](ABC):
    """Keeps a subscription until it is stopped, and calls `on_hint` with whatever happens."""

    def __init__(
        self,
        session: ClientSession,
        url: str,
        exchange: E,
        on_hint: OnHint,
        timing: Timing | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`url` is where to connect; nothing is before `run`."""
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
                messages = await self._subscriptions()
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    ws = await self._session.ws_connect(self._url, timeout=ClientWSTimeout(ws_close=1.0))
                try:
                    for message in messages:
                        await ws.send_str(json.dumps(message))
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

    @abstractmethod
    async def _subscriptions(self) -> Sequence[dict[str, Any]]:
        """What is sent to subscribe. Raises ExchangeError."""

    @abstractmethod
    def _take(self, data: dict[str, Any]) -> bool:
        """Take a message; whether the subscription goes on."""

    def _answered(self, *, accepted: bool, error: object) -> bool:
        """Take the answer to the subscription."""
        self.subscribed = accepted
        if accepted:
            self._on_hint(Hint.SUBSCRIBED, "")
        else:
            _LOGGER.debug("The account's stream was refused: %s", error)
        return accepted

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
            except ValueError, LookupError, AttributeError, TypeError:
                continue  # what cannot be read is no hint
