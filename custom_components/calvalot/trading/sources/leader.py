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
from types import MappingProxyType
from typing import Protocol

from aiohttp import ClientConnectionError, ClientError, ClientResponse, ClientSession
from yarl import URL

from ..errors import LeaderForbidden, LeaderInvalidResponse, LeaderSignalsOff, LeaderUnreachable
from ..leading.publication import Publication
from ..signal import InvalidSignal, Signal, SourceKind
from .base import Moment
from .feed import Feed
from .leader_chain import ChainCheck, Mark, go_on, rebuilt
from .leader_format import MAX_BODY, parse_signal

PATH = "api/signal/latest"
CHAIN_PATH = "api/signal/chain"
FIGURES_PATH = "api/figures"
TIMEOUT = 10.0
MAX_REDIRECTS = 3
# Characters of a signal's name that are told.
MAX_TOLD = 200
# Pieces of the chain that are asked for at most.
MAX_PIECES = 100


class AsksLeader(Protocol):
    """Whoever can be asked for a leader's signal, whichever way it comes."""

    async def fetch(self) -> bytes | None:
        """Raw body of the latest signal; None while there is none. Raises LeaderError."""
        ...

    async def chain(self, after: int) -> bytes | None:
        """A piece of the leader's chain after a number; None where it cannot be asked for. Raises LeaderError."""
        ...

    def judge(self, body: bytes, *, sound: bool) -> None:
        """Take note whether a body was what the leader has signed."""
        ...

    def tell(self, signal_id: str | None) -> None:
        """Say from now on which signal was done with last, wherever the leader is asked; None: say nothing."""
        ...

    @property
    def feed(self) -> Feed | None:
        """What a broker holds of the leader; None where he is asked only."""
        ...


class Leader:
    """One leader, asked over a session that stays its owner's.

    `url` is the base URL as `normalise_url` returns it, `version` the follower's own version.
    """

    def __init__(self, session: ClientSession, url: str, secret: str, version: str) -> None:
        self._session = session
        self._url = URL(f"{url}/{PATH}")
        self._chain_url = URL(f"{url}/{CHAIN_PATH}")
        self._figures_url = URL(f"{url}/{FIGURES_PATH}")
        self._secret = secret.encode()
        self._version = version
        self._told: str | None = None

    async def fetch(self) -> bytes | None:
        """Raw body of the latest signal, at most 256 KiB; None while the leader has none (204).

        Raises LeaderUnreachable, LeaderForbidden, LeaderSignalsOff or LeaderInvalidResponse.
        """
        told = {"X-Follower-Signal": self._told} if self._told else {}
        return await self._ask(self._url, told)

    async def chain(self, after: int) -> bytes | None:
        """A piece of the leader's chain after a number; None where there is none. Raises as `fetch`."""
        return await self._ask(self._chain_url.with_query(after=after))

    async def figures(self) -> bytes:
        """The leader's figures, and the key of his chain: refused unless signed with the secret. Raises as `fetch`."""
        if (body := await self._ask(self._figures_url, signed=True)) is None:
            raise LeaderInvalidResponse("the leader has no figures")
        return body

    def tell(self, signal_id: str | None) -> None:
        """Say which signal was done with last, where a header can hold its name."""
        fits = signal_id and len(signal_id) <= MAX_TOLD and signal_id.isascii() and signal_id.isprintable()
        self._told = signal_id if fits else None

    feed: Feed | None = None

    def judge(self, body: bytes, *, sound: bool) -> None:
        """Nothing: it is asked anew each time."""

    async def _ask(
        self, url: URL, further: Mapping[str, str] = MappingProxyType({}), *, signed: bool = False
    ) -> bytes | None:
        try:
            async with timeout(TIMEOUT):
                return await self._follow(url, {**self._headers(), **further}, signed=signed)
        except TimeoutError:
            raise LeaderUnreachable("the leader did not answer in time") from None
        except (ClientError, OSError, UnicodeError) as error:
            # The cause is left out of the chain: some of aiohttp's errors show the signed request.
            raise LeaderUnreachable(f"no answer from the leader: {_cause(error)}") from None

    async def _follow(self, url: URL, headers: Mapping[str, str], *, signed: bool) -> bytes | None:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._session.get(url, headers=headers, allow_redirects=False, auto_decompress=False) as answer:
                if answer.status not in {301, 302, 303, 307, 308}:
                    return await self._read(answer, signed=signed)
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

    async def _read(self, answer: ClientResponse, *, signed: bool) -> bytes | None:
        match answer.status:
            case 200:
                return await self._body(answer, signed=signed)
            case 204:
                return None
            case 403:
                raise LeaderForbidden(clock_skew(answer.headers.get("Date", "")))
            case 404:
                raise LeaderSignalsOff("signals are switched off on the leader, or the URL is wrong")
            case status:
                raise LeaderUnreachable(f"the leader answered with status {status}")

    async def _body(self, answer: ClientResponse, *, signed: bool) -> bytes:
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise LeaderInvalidResponse("the leader's answer is compressed")
        body = bytearray()
        async for chunk in answer.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > MAX_BODY:
                raise LeaderInvalidResponse(f"the leader's answer is larger than {MAX_BODY // 1024} KiB")
        signature = answer.headers.get("X-Signal-Signature")
        if signature is None and signed:
            raise LeaderInvalidResponse("the leader's answer is not signed")
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

    def __init__(self, leader: AsksLeader, own_id: str = "", check: ChainCheck | None = None) -> None:
        """`own_id` is what the portfolio is called where it leads itself; `check` is there where the leader's key is held."""
        self._leader = leader
        self._own_id = own_id
        self._check = check
        self._mark: Mark | None = None
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
        if self._check:
            body = await self._checked(self._check, body)
        asked = body, frozenset(coins)
        if self._parsed is None or self._parsed[:2] != asked:
            self._parsed = *asked, await asyncio.to_thread(_parse, *asked, self._own_id)
        self._said = self._parsed[2]
        if isinstance(self._said, InvalidSignal):
            if self._said.signal_id is None:
                raise LeaderInvalidResponse(self._said.reason)
        else:
            self._latest = self._said

    def tell(self, signal_id: str | None) -> None:
        """Say from now on which of its signals was done with last; None: say nothing."""
        self._leader.tell(signal_id)

    @property
    def feed(self) -> Feed | None:
        """What a broker holds of the leader, where he is followed over one."""
        return self._leader.feed

    async def _checked(self, check: ChainCheck, body: bytes) -> bytes:
        """What the leader has signed of a signal. Raises LeaderError, LeaderInvalidResponse where that does not hold."""
        try:
            link = await asyncio.to_thread(check.link, body)
            known, links = check.known(self.memory), [link]
            whole = known is not None and link.sequence > known.sequence + 1
            if known and whole:
                whole, links = await self._missing(check, known, link)
            self._mark = go_on(known, links, datetime.now(UTC), whole=whole)
            self._leader.judge(body, sound=True)
        except InvalidSignal as err:
            self._leader.judge(body, sound=False)
            raise LeaderInvalidResponse(err.reason) from None
        return rebuilt(link)

    async def _missing(self, check: ChainCheck, known: Mark, link: Publication) -> tuple[bool, list[Publication]]:
        """The links up to one, and whether they could be asked for. Raises LeaderError, InvalidSignal."""
        links: list[Publication] = []
        at = known.sequence
        for _ in range(MAX_PIECES):
            piece = await self._leader.chain(at)
            if piece is None:
                return False, [link]
            found = [each for each in await asyncio.to_thread(check.links, piece) if at < each.sequence < link.sequence]
            if not found:
                break
            links += found
            at = found[-1].sequence
        return True, [*links, link]

    def decide(self, moment: Moment) -> Signal | InvalidSignal | None:  # noqa: ARG002  # a leader decides by itself
        """The signal that was fetched."""
        if self._mark and self._check:
            self.memory = self._check.memory(self._mark)
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


def _parse(body: bytes, coins: frozenset[str], own_id: str) -> Signal | InvalidSignal:
    try:
        return parse_signal(body, coins, own_id)
    except InvalidSignal as err:
        return err
