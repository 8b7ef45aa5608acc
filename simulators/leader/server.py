"""The leader's HTTP server: checks the signature, publishes signals, misbehaves on request."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
import gzip
import hashlib
import hmac
import json
import time
from typing import Any, Self

from aiohttp import web

from .faults import Fault, FaultKind
from .pushes import Push, Pusher
from .signals import ActionEntry, Number, Strategist, document_v1, document_v2

FRESHNESS = 300
COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")
PATH = "/api/signal/latest"
_MOVED = "/moved"
_CONTROLS = frozenset(
    {
        *("publish_v1", "publish_v2", "publish_raw", "publish_random", "withdraw", "misbehave", "behave"),
        *("set_clock", "set_quote", "set_sign_answers", "set_webhooks", "publish_every", "take_over"),
    }
)
_BODIES = {
    FaultKind.HTML: ("text/html", b"<!doctype html><title>Login</title><p>Please log in.</p>"),
    FaultKind.LIST: ("application/json", b"[]"),
    FaultKind.BROKEN_JSON: ("application/json", b'{"version": 2, "signal_id": "half'),
    FaultKind.EMPTY: ("application/json", b""),
    FaultKind.NO_SIGNAL_ID: ("application/json", b'{"version": 2, "portfolio_state": {"positions": []}}'),
}
_STATUSES = {
    FaultKind.NO_SIGNAL: 204,
    FaultKind.FORBIDDEN: 403,
    FaultKind.SIGNALS_OFF: 404,
    FaultKind.STATUS: 503,
}


@dataclass(slots=True)
class Request:
    """One request as it was answered; `status` None = no answer, `time` in Unix seconds."""

    time: float
    path: str
    follower_version: str | None
    follower_signal: str | None = None
    fault: str | None = None
    status: int | None = None


class LeaderSimulator:
    """A leader on loopback; what it can do is described at the package."""

    def __init__(
        self,
        *,
        secret: str = "leader-secret",  # noqa: S107 - a stand-in's
        port: int = 0,
        every: float | None = None,
        seed: int = 1,
        coins: Sequence[str] = COINS,
        quote: str = "USDC",
        versions: Sequence[int] = (2,),
        sign_answers: bool = False,
        language: str | None = None,
    ) -> None:
        self.secret = secret
        self.quote = quote
        self.sign_answers = sign_answers
        self.clock_offset = 0.0
        self.signals: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._port = port
        self._every = every
        self._seed = seed
        self._versions = versions
        self._strategist = Strategist(seed, coins, language)
        self.signature_of: Callable[[bytes], str] = self.sign
        self._body: bytes | None = None
        self._pusher = Pusher(self.sign)
        self._runner: web.AppRunner | None = None
        self._publisher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    @property
    def url(self) -> str:
        """Base URL, known once it has been started."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def latest(self) -> dict[str, Any] | None:
        """The latest signal that was published as one."""
        return self.signals[-1] if self.signals else None

    @property
    def pushes(self) -> list[Push]:
        """What was pushed, oldest first."""
        return self._pusher.pushes

    async def pushed(self) -> None:
        """Wait until every push was answered or got lost."""
        await self._pusher.settled()

    async def start(self) -> None:
        """Listen, and publish at the set pace."""
        app = web.Application()
        app.router.add_get(PATH, self._answer)
        app.router.add_get(_MOVED + PATH, self._answer)
        app.router.add_post("/control", self._control)
        app.router.add_get("/control/state", self._state)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self._port = runner.addresses[0][1]
        self._runner = runner
        if self._every is not None:
            self.publish_every(self._every)

    async def stop(self) -> None:
        """Refuse connections from now on; what was published stays."""
        if self._publisher:
            self._publisher.cancel()
            await asyncio.wait([self._publisher])
            self._publisher = None
        await self._pusher.stop()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    def publish_v2(self, targets: Mapping[str, Number], *, quote: str | None = None, **fields: Any) -> str:
        """Publish a target allocation."""
        return self._publish(document_v2(self._new_id(), targets, quote or self.quote) | fields)

    def publish_v1(
        self,
        actions: Iterable[ActionEntry],
        positions: Mapping[str, Number] | None = None,
        *,
        quote: str | None = None,
        **fields: Any,
    ) -> str:
        """Publish a list of actions."""
        return self._publish(document_v1(self._new_id(), actions, positions, quote or self.quote) | fields)

    def publish_random(self, version: int = 2) -> str:
        """Publish what the seeded strategist thinks next."""
        if version == 2:
            return self.publish_v2(self._strategist.rebalance(), **self._strategist.words())
        actions = self._strategist.act()
        return self.publish_v1(actions, self._strategist.weights, **self._strategist.words())

    def publish_every(self, seconds: float, *, first: float = 0) -> None:
        """Publish what a steady leader wants next at this pace from now on, the first time after `first` seconds."""
        if self._publisher:
            self._publisher.cancel()
        self._publisher = asyncio.create_task(self._publish_for_ever(seconds, first))

    def take_over(self, document: Mapping[str, Any], weights: Mapping[str, Number]) -> None:
        """Go on as the leader whose latest signal and weights these are."""
        self.signals.append(dict(document))
        self._body = json.dumps(document, ensure_ascii=False).encode()
        self._strategist.weights = {coin: Decimal(str(weight)) for coin, weight in weights.items()}

    def publish_raw(self, body: bytes | str) -> None:
        """Answer with this body from now on, whatever it is."""
        self._body = body.encode() if isinstance(body, str) else body

    def withdraw(self) -> None:
        """Have no signal: 204."""
        self._body = None

    def misbehave(
        self,
        kind: FaultKind | str,
        count: int | None = 1,
        *,
        status: int | None = None,
        seconds: float | None = None,
        location: str | None = None,
    ) -> None:
        """Answer the next `count` requests (None = all) with a fault."""
        if (kind := FaultKind(kind)) is FaultKind.REDIRECT_AWAY and location is None:
            raise ValueError("redirect_away needs a location")
        self.faults.append(Fault(kind, count, status, seconds, location))

    def behave(self) -> None:
        """Forget all faults."""
        self.faults.clear()

    def set_clock(self, offset: float) -> None:
        """Set the leader's clock `offset` seconds ahead of the real one."""
        self.clock_offset = offset

    def set_quote(self, quote: str) -> None:
        """Quote the pairs of coming signals in another asset."""
        self.quote = quote

    def set_sign_answers(self, sign: bool) -> None:
        """Sign the answers, or not."""
        self.sign_answers = sign

    def set_webhooks(self, urls: Sequence[str]) -> None:
        """Push each signal to these followers from now on."""
        self._pusher.set_webhooks(urls)

    async def _publish_for_ever(self, every: float, first: float) -> None:
        await asyncio.sleep(first)
        while True:
            for version in self._versions:
                if version == 2:
                    self.publish_v2(self._strategist.decide(), **self._strategist.words())
                else:
                    self.publish_random(version)
                await asyncio.sleep(every)

    def _publish(self, document: dict[str, Any]) -> str:
        document = {"created_at": self._now().isoformat(timespec="seconds")} | document
        self.signals.append(document)
        self._body = json.dumps(document, ensure_ascii=False).encode()
        signal_id = str(document["signal_id"])
        self._pusher.push(int(self._now().timestamp()), signal_id)
        return signal_id

    def _new_id(self) -> str:
        moment = self._now().strftime("%Y-%m-%dT%H:%M:%S")
        return f"{moment}-{self._seed:x}-{len(self.signals) + 1:04d}"

    def _now(self, offset: float | None = None) -> datetime:
        return datetime.fromtimestamp(time.time() + (self.clock_offset if offset is None else offset), UTC)

    def sign(self, message: bytes) -> str:
        """Sign with the secret that the followers share."""
        return hmac.new(self.secret.encode(), message, hashlib.sha256).hexdigest()

    def _allows(self, request: web.Request, now: datetime) -> bool:
        timestamp = request.headers.get("X-Signal-Timestamp", "")
        signature = request.headers.get("X-Signal-Signature", "")
        return (
            timestamp.isascii()
            and timestamp.isdigit()
            and abs(int(timestamp) - now.timestamp()) <= FRESHNESS
            and hmac.compare_digest(signature.encode(errors="replace"), self.sign(timestamp.encode()).encode())
        )

    def _next_fault(self, request: web.Request) -> Fault | None:
        """The first fault that waits; where a redirect has led there is none."""
        if not self.faults or request.path.startswith(_MOVED):
            return None
        fault = self.faults[0]
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self.faults.pop(0)
        return fault

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        version, signal = (request.headers.get(f"X-Follower-{name}") for name in ("Version", "Signal"))
        log = Request(time.time(), request.path, version, signal)
        self.requests.append(log)
        fault = self._next_fault(request)
        log.fault = fault.kind if fault else None
        skewed = fault is not None and fault.kind is FaultKind.CLOCK_SKEW
        now = self._now((fault.seconds or 3600) if fault and skewed else None)
        response = await self._fault(request, fault) if fault else None
        if response is None:
            response = self._signal() if self._allows(request, now) else web.Response(status=403, text="forbidden")
        if request.transport is None or request.transport.is_closing():
            return response
        response.headers["Date"] = format_datetime(now, usegmt=True)
        log.status = response.status
        return response

    def _signal(self) -> web.Response:
        return web.Response(status=204) if self._body is None else self._ok(self._body)

    def _ok(self, body: bytes, content_type: str = "application/json") -> web.Response:
        response = web.Response(body=body, content_type=content_type)
        if self.sign_answers:
            response.headers["X-Signal-Signature"] = self.signature_of(body)
        return response

    async def _fault(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        """The answer of a fault; None where it answers as usual after all."""
        match fault.kind:
            case FaultKind.CLOCK_SKEW:
                return None
            case FaultKind.SLOW:
                await asyncio.sleep(1 if fault.seconds is None else fault.seconds)
                return None
            case FaultKind.HANG | FaultKind.DROP | FaultKind.CUT:
                return await self._break_off(request, fault)
            case FaultKind.REDIRECT | FaultKind.REDIRECT_LOOP | FaultKind.REDIRECT_AWAY:
                location = fault.location or (_MOVED if fault.kind is FaultKind.REDIRECT else "") + PATH
                return web.Response(status=fault.status or 302, headers={"Location": location})
            case kind if kind in _STATUSES:
                return web.Response(status=fault.status or _STATUSES[kind])
            case kind:
                return self._poisoned(kind)

    async def _break_off(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        response = web.StreamResponse()
        if fault.kind is FaultKind.HANG:
            await asyncio.sleep(60 if fault.seconds is None else fault.seconds)
        elif fault.kind is FaultKind.CUT:
            response.content_length = 1000
            await response.prepare(request)
            await response.write(b'{"version": 2, ')
        if request.transport:
            request.transport.close()
        return response

    def _poisoned(self, kind: FaultKind) -> web.Response:
        if kind in _BODIES:
            content_type, body = _BODIES[kind]
            return self._ok(body, content_type)
        body = self._body or b"{}"
        if kind is FaultKind.OVERSIZE:
            return self._ok(body + b" " * 256 * 1024)
        if kind is FaultKind.GZIP_BOMB:
            response = self._ok(gzip.compress(body + b" " * 32 * 1024 * 1024))
            response.headers["Content-Encoding"] = "gzip"
            return response
        response = self._ok(body)
        response.headers["X-Signal-Signature"] = self.sign(body + b" ")
        return response

    async def _control(self, request: web.Request) -> web.Response:
        try:
            arguments = await request.json()
            if (name := arguments.pop("do")) not in _CONTROLS:
                raise ValueError(f"there is no control {name}")
            result = getattr(self, name)(**arguments)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return web.json_response({"ok": False, "error": str(error)}, status=400)
        return web.json_response({"ok": True, "result": result})

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "url": self.url,
                "latest": self.latest,
                "signals": self.signals,
                "requests": [asdict(request) for request in self.requests],
                "faults": [asdict(fault) for fault in self.faults],
                "pushes": [asdict(push) for push in self.pushes],
                "clock_offset": self.clock_offset,
            }
        )
