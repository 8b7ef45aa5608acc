"""Requests to Kraken on behalf of one account, and what its answers mean.

Signature, nonce, counter and errors: docs.kraken.com, Spot REST. Errors come as words with HTTP status 200; what they mean is listed
in one place, `_meaning`, and whatever is not listed is "unavailable" for a question and "unknown, perhaps executed" for an order.
Errors carry the exchange's words, never a header, a body or a signature.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import ClientSession, ClientTimeout

from ...errors import (
    ClockSkew,
    ExchangeError,
    ExchangeUnavailable,
    InvalidKey,
    NotThere,
    OutcomeUnknown,
    RateLimited,
    Refused,
)
from ..connection import FAILURES, TIMEOUT, Connection, failure
from ..host import LIMITED, HostLimits

# The counter of a key as the lowest tier has it: how high it may rise, and what goes off it in a second.
MOST = 15.0
DECAY = 1 / 3
# The part of it that is for everything else than finding out what became of orders.
ROUTINE = 0.55
# Seconds that a question waits for room in the counter.
PATIENCE = 8.0
# Seconds to be left alone where nothing is said, and after too many wrong keys.
PAUSE = 30.0
LOCKOUT = 900.0
# The nonce is a time in microseconds; where another program's is ahead, it goes ahead by so many seconds, and eight times as many.
AHEAD = 60
LARGE = 100_000

LIMIT_WORDS = (
    *("EAPI:Rate limit", "EAuth:Rate limit", "EAuth:Too many requests"),
    *("EOrder:Rate limit", "EOrder:Domain rate limit", "EGeneral:Too many requests"),
)
KEY_WORDS = ("EAPI:Invalid key", "EAPI:Invalid signature", "EGeneral:Permission denied", "EAuth:")
NONCE_WORDS = "EAPI:Invalid nonce"
DEADLINE_WORDS = "EService:Deadline elapsed"
UNKNOWN_PAIR_WORDS = ("EQuery:Unknown asset pair", "EQuery:Invalid asset pair")
UNCLEAR_WORDS = ("EOrder:Internal", "EOrder:Unknown error", "EOrder:Timeout")
REFUSED_WORDS = (
    "EOrder:",
    "EQuery:",
    "EGeneral:Invalid arguments",
    "EGeneral:Unknown method",
    "EService:Market in",
    "ETrade:",
    # What this account may not trade, where its owner lives.
    "EAccount:",
    "EBM:",
)


class UnknownPair(Refused):
    """There is no pair of that name."""


class NonceRefused(ClockSkew):
    """The exchange refused the nonce, and with it the request."""


class Queue:
    """Requests with one key, one after the other: each nonce has to be larger than the one before.

    It keeps the last nonce, what the counter of the key has come to, and until when it is to be left alone, for everyone who asks
    with this key.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.limits = HostLimits(clock=time.time)
        self._nonce = 0
        self._ahead = 0
        self._counter = 0.0
        self._counted_at = 0.0

    def nonce(self) -> int:
        """The next one."""
        self._nonce = max(self._nonce + 1, int(time.time() * 1_000_000) + self._ahead * 1_000_000)
        return self._nonce

    def go_ahead(self) -> None:
        """Another program with this key, or a clock that was set back, is ahead of us."""
        self._ahead = max(AHEAD, self._ahead * 8)

    def wait(self, cost: float, most: float) -> float:
        """Seconds until the counter comes to no more than `most` with a request."""
        return max((self._now() + cost - most) / DECAY, 0.0)

    def count(self, cost: float) -> None:
        """Take note of a request."""
        self._counter, self._counted_at = self._now() + cost, time.time()

    def _now(self) -> float:
        return max(self._counter - DECAY * max(time.time() - self._counted_at, 0.0), 0.0)


# Kept for as long as the program runs: a nonce must not be given twice.
_QUEUES: dict[str, Queue] = {}


class KrakenConnection(Connection):
    """What all requests of one key share. The constructor does no I/O."""

    def __init__(
        self,
        session: ClientSession,
        base_url: str,
        api_key: str = "",
        api_secret: str = "",
        *,
        limits: HostLimits | None = None,
        timeout: float = TIMEOUT,
        most: float = MOST,
    ) -> None:
        """`limits` are those of the host that all portfolios share; `timeout` in seconds; `most` is what the counter of the key may come to."""
        super().__init__(session, base_url, urlsplit(base_url).netloc.lower(), api_key, api_secret, limits)
        self._timeout = ClientTimeout(total=timeout)
        self._most = most
        name = hashlib.sha256(f"{self._host} {self._key}".encode()).hexdigest()
        self._queue = _QUEUES.setdefault(name, Queue())
        self._offset: float | None = None

    @property
    def used_weight(self) -> int | None:
        """None: Kraken does not say what its counter has come to."""
        return None

    @property
    def pause(self) -> float:
        """Seconds to wait before a cycle that nothing hurries: what is left of the counter is for those already running."""
        return self._queue.wait(0, self._most / 2)

    def timestamp(self) -> datetime:
        """Time by the exchange's clock, as far as it is known."""
        return datetime.fromtimestamp(time.time() + (self._offset or 0.0), UTC)

    async def server_time(self) -> datetime:
        """Clock of the exchange, to the second; the offset to our own is taken again."""
        moment = await self._public("Time", lambda data: float(data["unixtime"]))
        # It tells whole seconds: what is within them is no difference.
        offset = moment + 0.5 - time.time()
        self._offset = offset if abs(offset) > 2 else 0.0
        return self.timestamp()

    # Inside

    async def _take_time(self) -> None:
        if self._offset is None:
            await self.server_time()

    async def _public[T](self, name: str, parse: Callable[[Any], T], **params: str) -> T:
        """Ask something that everybody may. Raises ExchangeError."""
        query = f"?{urlencode(params)}" if params else ""
        return await self._answer("GET", f"/0/public/{name}{query}", parse, self._limits)

    async def _private[T](
        self,
        name: str,
        parse: Callable[[Any], T],
        params: Mapping[str, str] | Callable[[], Mapping[str, str] | None] | None = None,
        *,
        cost: float = 1,
        part: float = 1.0,
        patience: float = 0,
        otherwise: type[ExchangeError] = ExchangeUnavailable,
    ) -> T:
        """Make one request for the account and read its answer; what is not understood becomes `otherwise`.

        `params` may be made once it is this request's turn; None of these means that nothing is to be asked any more. `part` is how
        much of the counter of the key it may use, `patience` how many seconds it may be waited for. A question whose nonce was refused is asked once more; an order is not.
        """
        if not self._key or not self._secret:
            raise InvalidKey("there is no key")
        made: Mapping[str, str] | None = None
        async with self._queue.lock:
            for again in (otherwise is ExchangeUnavailable, False):
                if cost and (seconds := self._queue.wait(cost, self._most * part)):
                    # It would be refused, and count all the same.
                    if seconds > patience:
                        raise RateLimited(time.monotonic() + seconds)
                    await asyncio.sleep(seconds)
                if made is None:
                    made = params() if callable(params) else params or {}
                if made is None:
                    return parse({})
                nonce = self._queue.nonce()
                body = urlencode({"nonce": nonce, **made})
                path = f"/0/private/{name}"
                self._queue.count(cost)
                try:
                    return await self._answer(
                        "POST", path, parse, self._queue.limits, body, self._sign(path, nonce, body), otherwise
                    )
                except NonceRefused:
                    self._queue.go_ahead()
                    if not again:
                        raise
                except ClockSkew:
                    self._offset = None
                    raise
        raise AssertionError  # pragma: no cover

    def _sign(self, path: str, nonce: int, body: str) -> dict[str, str]:
        """Headers of a request. Raises InvalidKey."""
        try:
            secret = base64.b64decode(self._secret, validate=True)
        except binascii.Error, ValueError:
            raise InvalidKey("the key cannot be read") from None
        message = path.encode() + hashlib.sha256(f"{nonce}{body}".encode()).digest()
        signature = base64.b64encode(hmac.new(secret, message, hashlib.sha512).digest()).decode()
        return {"API-Key": self._key, "API-Sign": signature, "Content-Type": "application/x-www-form-urlencoded"}

    async def _answer[T](
        self,
        method: str,
        path: str,
        parse: Callable[[Any], T],
        limits: HostLimits,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        otherwise: type[ExchangeError] = ExchangeUnavailable,
    ) -> T:
        """Make a request and read its answer; `limits` are what a wish to be left alone is about: a key, or everybody here."""
        limits.check()
        problem: ExchangeError
        try:
            async with self._session.request(
                method,
                f"{self._base_url}{path}",
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                status, text = response.status, await response.read()
            if status == 200:
                data = await _load(text)
                words = next((each for each in data["error"] if each.startswith("E")), None)
                if words is None:
                    return parse(data["result"])
                problem = self._meaning(words, limits, otherwise)
            else:
                problem = self._failure(status, limits, otherwise)
        except FAILURES as err:
            problem = failure(err, otherwise)
        # Raised out here, so that no answer or header hangs on it as its context.
        raise problem

    def _failure(self, status: int, limits: HostLimits, otherwise: type[ExchangeError]) -> ExchangeError:
        """What an answer without words means."""
        if status in LIMITED:
            limited = limits.wait(str(int(PAUSE)))
            return limited if otherwise is ExchangeUnavailable else otherwise(str(limited))
        if status == 404 and otherwise is ExchangeUnavailable:
            return NotThere("the exchange does not have this")
        return otherwise(f"the exchange failed: HTTP {status}")

    def _meaning(self, words: str, limits: HostLimits, otherwise: type[ExchangeError]) -> ExchangeError:
        """What an error means."""
        words = words[:200]
        if words.replace(" ", "").startswith("EService:Throttled"):
            until = words.rpartition(":")[2].strip()
            seconds = float(until) - self.timestamp().timestamp() if until.isdecimal() else PAUSE
            return limits.wait(str(max(int(seconds) + 1, 1)))
        if words.startswith("EGeneral:Temporary lockout"):
            return limits.wait(str(int(LOCKOUT)))
        if words.startswith(LIMIT_WORDS):
            # Refused before anything was done.
            return limits.wait(str(int(PAUSE)))
        if words.startswith(NONCE_WORDS):
            return NonceRefused("the exchange refused the nonce: another program uses this key")
        if words.startswith(DEADLINE_WORDS):
            return ClockSkew("the order came too late to the exchange")
        if words.startswith(KEY_WORDS):
            return InvalidKey(f"the exchange refused the key: {words}")
        if words.startswith(UNKNOWN_PAIR_WORDS):
            return UnknownPair(f"refused by the exchange: {words}", 0)
        if words.startswith(REFUSED_WORDS) and not words.startswith(UNCLEAR_WORDS):
            return Refused(f"refused by the exchange: {words}", 0)
        return otherwise(f"the exchange failed: {words}")


async def _load(text: bytes) -> Any:
    """JSON with decimals to the last digit; a large answer is read off the event loop."""
    if len(text) > LARGE:
        return await asyncio.to_thread(json.loads, text, parse_float=Decimal)
    return json.loads(text, parse_float=Decimal)


def unclear(err: ExchangeError) -> OutcomeUnknown:
    """What a question about an order that was sent comes to where it fails: whether it was executed is not known."""
    return OutcomeUnknown(f"sent, and not looked up yet: {err}")
