"""What a follower is answered that asks for the latest signal: the leader's side of its protocol."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
import hashlib
import hmac
import json
import re
from typing import Any

from ..responses import Json
from .leading import Leading
from .publication import Publication

# How far a follower's clock may be from ours (seconds).
FRESHNESS = 300
# Requests that a follower is answered within so many seconds.
MOST = 60
WITHIN = 60
# Links of the chain that are told at a time, and their bytes.
PIECE = 100
PIECE_BYTES = 128 * 1024
# A follower that asked within this time follows.
FOLLOWS = timedelta(minutes=10)
# Followers older than that are told that they have to be updated.
OLDEST_FOLLOWER = (0, 1)
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,5}")
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Somebody who may ask: his own secret, the version of the signals that he gets, and how much later."""

    key: str
    secret: str
    version: int = 2
    delay: timedelta = timedelta()
    webhook: str = ""


@dataclass(slots=True)
class Heard:
    """What is known of a follower: when he asked last, with which version, and what he said on purpose: the signal that
    he had done with when he asked. `shown` is the one that he was answered with.
    """

    at: datetime | None = None
    version: str = ""
    done: str = ""
    shown: str = ""
    requests: deque[float] = field(default_factory=deque[float])


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: status, body and headers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def sign(secret: str, message: bytes) -> str:
    """Lower-case hex HMAC-SHA256, as both sides of the protocol sign."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


class Answers:
    """Answers the followers of one portfolio; `version` is our own. `refused` counts requests that nobody has signed."""

    def __init__(self, leading: Leading, version: str, clock: Callable[[], datetime]) -> None:
        self._leading = leading
        self._version = version
        self._clock = clock
        self._followers: Mapping[str, Follower] = {}
        self._heard: dict[str, Heard] = {}
        self._bodies: dict[tuple[int, int, str], bytes] = {}
        self.refused = 0

    @property
    def followers(self) -> Sequence[Follower]:
        """Those who may ask."""
        return tuple(self._followers.values())

    @property
    def heard(self) -> Mapping[str, Heard]:
        """What is known of those who have asked, by their keys."""
        return self._heard

    @property
    def following(self) -> int:
        """How many follow."""
        return len(self._following)

    @property
    def counted(self) -> Mapping[str, int | None]:
        """How many may follow and do; how many of those say where they are, and how many of these have done with the latest signal.

        `behind` is how many published signals the one farthest behind has not done with; None where nobody says where he
        is, or only names that were never published. Who sees everything later is up to date with what he was shown last.
        """
        told = {key: heard for key, heard in self._following.items() if heard.done}
        last = self._leading.last
        up_to_date = 0
        behind: list[int] = []
        for key, heard in told.items():
            latest = heard.shown if last is None or self._followers[key].delay else last.signal_id
            up_to_date += heard.done == latest
            if (lag := self._leading.signals_between(heard.done, latest)) is not None:
                behind.append(lag)
        return {
            "allowed": len(self._followers),
            "following": self.following,
            "told": len(told),
            "up_to_date": up_to_date,
            "behind": max(behind, default=None),
        }

    @property
    def _following(self) -> Mapping[str, Heard]:
        now = self._clock()
        return {key: heard for key, heard in self._heard.items() if heard.at is not None and now - heard.at <= FOLLOWS}

    def allow(self, followers: Sequence[Follower]) -> None:
        """From now on answer these and nobody else."""
        self._followers = {follower.key: follower for follower in followers}
        self._heard = {key: self._heard.get(key, Heard()) for key in self._followers}

    def asked_by(self, headers: Mapping[str, str]) -> Follower | None:
        """Who has signed a request, within the time that a signature holds."""
        timestamp = headers.get("X-Signal-Timestamp", "")
        shown = headers.get("X-Signal-Signature", "")
        well_formed = timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20
        if not well_formed or len(shown) != 64 or not _DIGITS.issuperset(shown):
            return None
        if abs(int(timestamp) - self._clock().timestamp()) > FRESHNESS:
            return None
        found = None
        # All of them, so that the time it takes says nothing.
        for follower in self._followers.values():
            if hmac.compare_digest(shown, sign(follower.secret, timestamp.encode())):
                found = follower
        return found

    async def latest(self, headers: Mapping[str, str]) -> Answer:
        """Answer a request for the latest signal. Raises PublicationError."""
        if not self._followers:
            return Answer(404)
        follower = self.admitted(headers)
        if not isinstance(follower, Follower):
            return follower
        heard = self._heard[follower.key]
        heard.version = clean_version(headers.get("X-Follower-Version", ""))
        heard.done = headers.get("X-Follower-Signal", "")[:200]
        if (publication := await self._leading.issued(follower.delay)) is None:
            return Answer(204, headers=self._headers)
        heard.shown = publication.signal_id
        return self.signed(follower, self._body(publication, follower.version, heard.version))

    async def chain(self, headers: Mapping[str, str], after: int) -> Answer:
        """Answer a request for links after a number, as many as fit. Raises PublicationError."""
        if not self._followers:
            return Answer(404)
        follower = self.admitted(headers)
        if not isinstance(follower, Follower):
            return follower
        size = 0
        links: list[dict[str, str]] = []
        for link in await self._leading.links(after, PIECE, follower.delay):
            size += len(link.canonical)
            if links and size > PIECE_BYTES:
                break
            links.append(link.link)
        return self.signed(follower, json.dumps({"leader": self._leading.id, "links": links}).encode())

    async def figures(self, headers: Mapping[str, str], statistics: Callable[[], Awaitable[Json]]) -> Answer:
        """Answer a request for the figures; `statistics` are read where they are needed. Raises PublicationError, CommandError."""
        if not self._followers:
            return Answer(404)
        follower = self.admitted(headers)
        if not isinstance(follower, Follower):
            return follower
        wire = await self._leading.figures(await statistics(), self.counted, follower.delay)
        return self.signed(
            follower, json.dumps({**wire, "key": self._leading.public_key, "version": follower.version}).encode()
        )

    def admitted(self, headers: Mapping[str, str]) -> Follower | Answer:
        """The follower that asks, or how whoever asks is refused."""
        if (follower := self.asked_by(headers)) is None:
            self.refused += 1
            return Answer(403)
        heard, now = self._heard[follower.key], self._clock()
        heard.at = now
        while heard.requests and now.timestamp() - heard.requests[0] > WITHIN:
            heard.requests.popleft()
        if len(heard.requests) >= MOST:
            return Answer(429, headers={"Retry-After": str(WITHIN)})
        heard.requests.append(now.timestamp())
        return follower

    def signed(self, follower: Follower, body: bytes) -> Answer:
        """An answer that a follower can check with his own secret."""
        return Answer(200, body, {**self._headers, "X-Signal-Signature": sign(follower.secret, body)})

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-Leader-Version": self._version, "Cache-Control": "no-store"}

    def _body(self, publication: Publication, version: int, follower_version: str) -> bytes:
        known = publication.sequence, version, follower_version
        if (body := self._bodies.get(known)) is None:
            document: dict[str, Any] = publication.document(version)
            if notice := self._update(follower_version):
                document["update"] = notice
            body = json.dumps(document, ensure_ascii=False).encode()
            if len(self._bodies) > 100:
                self._bodies.clear()
            self._bodies[known] = body
        return body

    def _update(self, follower_version: str) -> dict[str, Any] | None:
        """What an older follower is told; what is no version number is not compared."""
        theirs, ours = numbers(follower_version), numbers(self._version)
        if not theirs or not ours or theirs >= ours:
            return None
        return {"required": theirs < OLDEST_FOLLOWER, "latest_version": self._version}


def clean_version(text: str) -> str:
    """A version as a header tells it, where it is one."""
    return text if _VERSION.fullmatch(text) else ""


def numbers(version: str) -> tuple[int, ...]:
    """A version to be compared; empty where it is none."""
    return tuple(int(part) for part in version.split(".")) if _VERSION.fullmatch(version) else ()
