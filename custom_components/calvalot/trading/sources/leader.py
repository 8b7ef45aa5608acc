"""The HMAC-signed GET that asks a leader for its latest signal."""

import asyncio
from asyncio import timeout
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
import hashlib
import hmac
import time

from aiohttp import ClientConnectionError, ClientError, ClientResponse, ClientSession
from yarl import URL

from ..errors import LeaderForbidden, LeaderInvalidResponse, LeaderSignalsOff, LeaderUnreachable
from ..signal import InvalidSignal, Signal, SourceKind
from .base import Moment
from .leader_format import MAX_BODY, parse_signal

PATH = "api/signal/latest"
TIMEOUT = 10.0
MAX_REDIRECTS = 3


class Leader:
    """One leader, asked over a session that stays its owner's.

    `url` is the base URL as `normalise_url` returns it, `version` the follower's own version.
    """

    def __init__(self, session: ClientSession, url: str, secret: str, version: str) -> None:
        self._session = session
        self._url = URL(f"{url}/{PATH}")
        self._secret = secret.encode()
        self._version = version

    async def fetch(self) -> bytes | None:
        """Raw body of the latest signal, at most 256 KiB; None while the leader has none (204).

        Raises LeaderUnreachable, LeaderForbidden, LeaderSignalsOff or LeaderInvalidResponse.
        """
        try:
            async with timeout(TIMEOUT):
                return await self._follow()
        except TimeoutError:
            raise LeaderUnreachable("the leader did not answer in time") from None
        except (ClientError, OSError, UnicodeError) as error:
            # The cause is left out of the chain: some of aiohttp's errors show the signed request.
            raise LeaderUnreachable(f"no answer from the leader: {_cause(error)}") from None

    async def _follow(self) -> bytes | None:
        url = self._url
        headers = self._headers()
        for _ in range(MAX_REDIRECTS + 1):
            async with self._session.get(url, headers=headers, allow_redirects=False, auto_decompress=False) as answer:
                if answer.status not in {301, 302, 303, 307, 308}:
                    return await self._read(answer)
                url = redirect(url, answer.headers.get("Location", ""))
        raise LeaderInvalidResponse("the leader redirects too often")

    def _headers(self) -> dict[str, str]:
        timestamp = str(int(time.time()))
        return {
            "Accept": "application/json",
            # What comes compressed could unpack to any size.
            "Accept-Encoding": "identity",
            "X-Signal-Timestamp": timestamp,
            "X-Signal-Signature": self._sign(timestamp.encode()),
            "X-Follower-Version": self._version,
        }

    def _sign(self, message: bytes | bytearray) -> str:
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    async def _read(self, answer: ClientResponse) -> bytes | None:
        match answer.status:
            case 200:
                return await self._body(answer)
            case 204:
                return None
            case 403:
                raise LeaderForbidden(clock_skew(answer.headers.get("Date", "")))
            case 404:
                raise LeaderSignalsOff("signals are switched off on the leader, or the URL is wrong")
            case status:
                raise LeaderUnreachable(f"the leader answered with status {status}")

    async def _body(self, answer: ClientResponse) -> bytes:
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise LeaderInvalidResponse("the leader's answer is compressed")
        body = bytearray()
        async for chunk in answer.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > MAX_BODY:
                raise LeaderInvalidResponse(f"the leader's answer is larger than {MAX_BODY // 1024} KiB")
        signature = answer.headers.get("X-Signal-Signature")
        if signature is not None and not hmac.compare_digest(
            signature.strip().lower().encode(errors="replace"), self._sign(body).encode()
        ):
            raise LeaderInvalidResponse("the signature of the leader's answer is wrong")
        return bytes(body)


def redirect(url: URL, location: str) -> URL:
    """Where a redirect leads, if that is the same server, or the same host made safe by https."""
    try:
        target = url.join(URL(location))
        port = target.port
    except ValueError:
        raise LeaderInvalidResponse("the leader redirects to something that is no URL") from None
    upgrade = url.scheme == "http" and target.scheme == "https"
    if not location or target.host != url.host or not (upgrade or (target.scheme, port) == (url.scheme, url.port)):
        raise LeaderInvalidResponse("the leader redirects to another host")
    return target


def clock_skew(date: str) -> float | None:
    """Seconds the leader's clock is ahead of ours, from its Date header."""
    try:
        moment = parsedate_to_datetime(date)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - datetime.now(UTC).timestamp()
    except ValueError, OverflowError:
        return None


def _cause(error: Exception) -> str:
    return (isinstance(error, ClientConnectionError | OSError) and str(error)) or type(error).__name__


class LeaderSource:
    """A leader as a source: its latest signal, each time it is asked."""

    kind = SourceKind.LEADER
    remote = True
    jitter = True
    band: Decimal | None = None

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._parsed: tuple[bytes, frozenset[str], Signal | InvalidSignal] | None = None
        self._said: Signal | InvalidSignal | None = None
        self._latest: Signal | None = None
        self.memory: str | None = None

    async def fetch(self, coins: Collection[str]) -> None:
        """Fetch and parse the latest signal, in a thread where it is a new one. Raises LeaderError."""
        self._said = None
        body = await self._leader.fetch()
        if body is None:
            return
        asked = body, frozenset(coins)
        if self._parsed is None or self._parsed[:2] != asked:
            self._parsed = *asked, await asyncio.to_thread(_parse, *asked)
        self._said = self._parsed[2]
        if isinstance(self._said, InvalidSignal):
            if self._said.signal_id is None:
                raise LeaderInvalidResponse(self._said.reason)
        else:
            self._latest = self._said

    def decide(self, moment: Moment) -> Signal | InvalidSignal | None:  # noqa: ARG002  # a leader decides by itself
        """The signal that was fetched."""
        return self._said

    def current(self, moment: Moment) -> Signal | None:  # noqa: ARG002
        """The last valid signal."""
        return self._latest

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """The leader's own allocation, where it told one."""
        return self._latest.targets if self._latest else None

    def next_due(self, moment: Moment) -> datetime | None:  # noqa: ARG002
        """None: it is asked in every cycle."""
        return None


def _parse(body: bytes, coins: frozenset[str]) -> Signal | InvalidSignal:
    try:
        return parse_signal(body, coins)
    except InvalidSignal as err:
        return err
