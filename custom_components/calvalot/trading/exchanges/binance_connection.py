"""Requests to a Binance host on behalf of one account, and what its answers mean.

What an answer means is listed in one place, `_meaning`; whatever is not listed is "unavailable" for a question and "unknown,
perhaps executed" for an order. Errors carry the exchange's words, never a URL, a header or a signature.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
import time
from typing import Any

from aiohttp import ClientSession
from binance.exceptions import BinanceAPIException, BinanceRequestException

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
from . import connection
from .binance_client import BinanceClient, host_of
from .binance_format import read_time
from .connection import TIMEOUT, Connection, failure
from .host import LIMITED, HostLimits

# Rows in an answer.
PAGE = 1000
UNKNOWN_ORDER = -2013
KEY_CODES = frozenset({-1002, -1022, -2014, -2015})
REFUSED_CODES = frozenset({-1013, -1014, -1015, -1020, -2010, -2011, *range(-1199, -1099)})
UNREADABLE = (BinanceRequestException, *connection.UNREADABLE)
FAILURES = (BinanceRequestException, *connection.FAILURES)


class BinanceConnection(Connection):
    """What all requests of one key on one host share. The constructor does no I/O."""

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
        super().__init__(session, base_url, host_of(base_url), api_key, api_secret, limits)
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

    async def signed_params(self) -> Mapping[str, Any]:
        """Key, time stamp and signature of a request to the WebSocket API. Raises ExchangeError."""
        if not self._secret:
            raise InvalidKey("there is no key")
        await self._take_time()
        client = await self._client()
        signed: dict[str, Any] = client._sign_ws_params({}, client._generate_ws_api_signature)  # noqa: SLF001  # the library has no public way
        return signed

    # Inside

    async def _command[T](self, call: Callable[[BinanceClient], Awaitable[Any]], parse: Callable[[Any], T]) -> T:
        """Send something once that changes something; what is not understood may have happened."""
        try:
            await self._take_time()
        except ExchangeUnavailable as err:
            raise NotSent(f"not sent: {err}") from None
        return await self._ask(call, parse, signed=True, otherwise=OutcomeUnknown)

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
            except FAILURES as err:
                problem = failure(err, otherwise)
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
