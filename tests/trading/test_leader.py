"""The signed request to a leader, over real HTTP; whatever the leader does becomes one of four errors."""

import asyncio
from collections.abc import AsyncIterator
import hashlib
import hmac
import math
import time
import traceback
from unittest.mock import MagicMock

from aiohttp import ClientError, ClientSession, web
from aiohttp.test_utils import TestServer
from hypothesis import given, strategies as st
import pytest
from yarl import URL

from custom_components.calvalot.trading.errors import (
    LeaderError,
    LeaderForbidden,
    LeaderInvalidResponse,
    LeaderSignalsOff,
    LeaderUnreachable,
)
from custom_components.calvalot.trading.signal import InvalidSignal
from custom_components.calvalot.trading.sources import leader as leader_module
from custom_components.calvalot.trading.sources.leader import Leader
from custom_components.calvalot.trading.sources.leader_format import MAX_BODY, parse_signal
from custom_components.calvalot.trading.urls import is_private, normalise_url
from simulators.leader import FaultKind, LeaderSimulator

SECRET = "clé-très-secrète"


@pytest.fixture
async def sim(socket_enabled: None) -> AsyncIterator[LeaderSimulator]:
    """A leader with one signal."""
    async with LeaderSimulator(secret=SECRET) as simulator:
        simulator.publish_v2({"BTC": "0.4"})
        yield simulator


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """The session that the follower is given."""
    async with ClientSession() as client:
        yield client


@pytest.fixture
async def leader(sim: LeaderSimulator, session: ClientSession) -> Leader:
    """The leader as the follower knows it."""
    return Leader(session, sim.url, SECRET, "1.2.3")


async def failure(leader: Leader) -> LeaderError:
    """The error a request ends with; nowhere in it the secret or a signature."""
    with pytest.raises(LeaderError) as caught:
        await leader.fetch()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.__cause__)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert SECRET not in shown
    assert "X-Signal-Signature" not in shown
    return caught.value


async def test_a_signal(sim: LeaderSimulator, leader: Leader) -> None:
    """The raw body comes back, again and again, and the request says who asks."""
    for _ in range(2):
        body = await leader.fetch()
        assert body
        assert parse_signal(body, ["BTC"]).signal_id == (sim.latest or {})["signal_id"]
    assert [(request.status, request.follower_version) for request in sim.requests] == [(200, "1.2.3")] * 2


async def test_the_request_is_signed_as_the_protocol_says(socket_enabled: None, session: ClientSession) -> None:
    """Against a server of its own: the stand-in could share a mistake."""
    seen: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.Response(body=b"{}")

    app = web.Application()
    app.router.add_get("/below/api/signal/latest", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}/below"
    assert await Leader(session, base, "secret", "1").fetch() == b"{}"
    await runner.cleanup()
    timestamp = seen["X-Signal-Timestamp"]
    assert timestamp.isdigit()
    assert abs(int(timestamp) - time.time()) < 5
    assert seen["X-Signal-Signature"] == hmac.new(b"secret", timestamp.encode(), hashlib.sha256).hexdigest()


async def test_no_signal_yet(sim: LeaderSimulator, leader: Leader) -> None:
    """204 is no error."""
    sim.withdraw()
    assert await leader.fetch() is None


async def test_wrong_secret(sim: LeaderSimulator, session: ClientSession) -> None:
    """The clocks agree, so it is the secret."""
    error = await failure(Leader(session, sim.url, "wrong", "1"))
    assert isinstance(error, LeaderForbidden)
    assert error.clock_skew is not None
    assert abs(error.clock_skew) < 5
    assert not error.clocks_differ
    assert str(error).endswith("wrong secret")


@pytest.mark.parametrize("offset", [900, -900])
async def test_skewed_clock(sim: LeaderSimulator, leader: Leader, offset: int) -> None:
    """The Date header gives the clock away."""
    sim.set_clock(offset)
    error = await failure(leader)
    assert isinstance(error, LeaderForbidden)
    assert error.clock_skew == pytest.approx(offset, abs=5)
    assert error.clocks_differ
    assert "s apart" in str(error)


@pytest.mark.parametrize(
    "date",
    [
        *("", "soon", "Mon, 99 Jan 2026 00:00:00 GMT", "Mon, 12 Jan 2026 00:00:00 +999999999999999999"),
        "Mon, 12 Jan 99999999999999999999 00:00:00 GMT",
    ],
)
def test_dates_that_tell_nothing(date: str) -> None:
    """Then nothing is known of the leader's clock."""
    assert leader_module.clock_skew(date) is None
    assert not LeaderForbidden(None).clocks_differ


@given(st.text() | st.from_regex(r"(Mon, )?\d+ Jan \d+ \d+:\d+(:\d+)?( [+-]?\d+| GMT)?"))
def test_any_date_header(date: str) -> None:
    """Whatever it says, nothing is raised."""
    skew = leader_module.clock_skew(date)
    assert skew is None or math.isfinite(skew)


async def test_signals_off(sim: LeaderSimulator, leader: Leader) -> None:
    """404."""
    sim.misbehave(FaultKind.SIGNALS_OFF)
    assert isinstance(await failure(leader), LeaderSignalsOff)
    assert await leader.fetch()


@pytest.mark.parametrize("status", [201, 304, 400, 401, 418, 429, 500, 502, 503])
async def test_other_statuses(sim: LeaderSimulator, leader: Leader, status: int) -> None:
    """They say nothing about the signal, so the leader counts as not reached."""
    sim.misbehave(FaultKind.STATUS, status=status)
    error = await failure(leader)
    assert isinstance(error, LeaderUnreachable)
    assert str(status) in str(error)


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.CUT])
async def test_broken_connections(sim: LeaderSimulator, leader: Leader, kind: FaultKind) -> None:
    """Before an answer and in the middle of one."""
    sim.misbehave(kind, count=2)  # aiohttp tries once more on a connection it kept
    assert isinstance(await failure(leader), LeaderUnreachable)


async def test_nobody_there(sim: LeaderSimulator, leader: Leader) -> None:
    """Connection refused, and then it is back."""
    await sim.stop()
    error = await failure(leader)
    assert isinstance(error, LeaderUnreachable)
    assert "127.0.0.1" in str(error)
    await sim.start()
    assert await leader.fetch()


@pytest.mark.parametrize("error", [ClientError(), UnicodeError("label too long")])
async def test_errors_without_words(leader: Leader, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The kind of error is named where it says nothing itself."""

    async def follow(_: Leader, *_args: object, **_kwargs: object) -> bytes:
        raise error

    monkeypatch.setattr(Leader, "_follow", follow)
    assert type(error).__name__ in str(await failure(leader))


async def test_silence(sim: LeaderSimulator, leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that hangs is given up, redirects included."""
    assert leader_module.TIMEOUT == 10
    monkeypatch.setattr(leader_module, "TIMEOUT", 0.2)
    sim.misbehave(FaultKind.HANG, seconds=5)
    before = time.monotonic()
    error = await failure(leader)
    assert isinstance(error, LeaderUnreachable)
    assert "in time" in str(error)
    assert time.monotonic() - before < 2


async def test_a_cancelled_request_stays_cancelled(sim: LeaderSimulator, leader: Leader) -> None:
    """Cancellation is no failure of the leader."""
    sim.misbehave(FaultKind.HANG, seconds=5)
    task = asyncio.create_task(leader.fetch())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_size(sim: LeaderSimulator, leader: Leader) -> None:
    """256 KiB and not a byte more."""
    sim.publish_raw(b" " * MAX_BODY)
    assert await leader.fetch() == b" " * MAX_BODY
    sim.publish_raw(b" " * (MAX_BODY + 1))
    error = await failure(leader)
    assert isinstance(error, LeaderInvalidResponse)
    assert "256 KiB" in str(error)
    sim.misbehave(FaultKind.OVERSIZE)
    assert isinstance(await failure(leader), LeaderInvalidResponse)


async def test_a_bomb_is_not_unpacked(sim: LeaderSimulator, leader: Leader) -> None:
    """Nobody asked for compression."""
    sim.misbehave(FaultKind.GZIP_BOMB)
    error = await failure(leader)
    assert isinstance(error, LeaderInvalidResponse)
    assert "compressed" in str(error)


async def test_signed_answers(sim: LeaderSimulator, leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right signature passes, in capitals too; a wrong one does not."""
    sim.set_sign_answers(True)
    assert await leader.fetch()
    sim.misbehave(FaultKind.BAD_SIGNATURE)
    error = await failure(leader)
    assert isinstance(error, LeaderInvalidResponse)
    assert "signature" in str(error)
    monkeypatch.setattr(sim, "signature_of", lambda body: sim.sign(body).upper())
    assert await leader.fetch()
    for wrong in "", "é" * 64, "0" * 64, sim.sign(b"another body"):
        monkeypatch.setattr(sim, "signature_of", MagicMock(return_value=wrong))
        assert isinstance(await failure(leader), LeaderInvalidResponse)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_on_the_same_host(sim: LeaderSimulator, leader: Leader, status: int) -> None:
    """They are followed, with the signature."""
    sim.misbehave(FaultKind.REDIRECT, status=status)
    assert await leader.fetch()
    assert [request.status for request in sim.requests] == [status, 200]


async def test_redirects_have_an_end(sim: LeaderSimulator, leader: Leader) -> None:
    """Three are followed, four are not."""
    sim.misbehave(FaultKind.REDIRECT_LOOP, count=3)
    assert await leader.fetch()
    sim.misbehave(FaultKind.REDIRECT_LOOP, count=None)
    error = await failure(leader)
    assert isinstance(error, LeaderInvalidResponse)
    assert "too often" in str(error)
    assert len(sim.requests) == 4 + 4


async def test_redirects_to_another_host(sim: LeaderSimulator, leader: Leader) -> None:
    """Another name, port or scheme is another host: it never sees a request."""
    async with LeaderSimulator(secret=SECRET) as other:
        for base in other.url, other.url.replace("127.0.0.1", "localhost"), "//localhost", "ftp://127.0.0.1":
            sim.misbehave(FaultKind.REDIRECT_AWAY, location=f"{base}/api/signal/latest")
            error = await failure(leader)
            assert isinstance(error, LeaderInvalidResponse)
            assert "another host" in str(error)
        assert not other.requests


@pytest.mark.parametrize("location", ["http://[::1", "http://127.0.0.1:99999/", "http://127.0.0.1:x/"])
async def test_redirects_to_nonsense(sim: LeaderSimulator, leader: Leader, location: str) -> None:
    """Refused like any other answer that makes no sense."""
    sim.misbehave(FaultKind.REDIRECT_AWAY, location=location)
    assert isinstance(await failure(leader), LeaderInvalidResponse)


async def test_a_redirect_to_nowhere(sim: LeaderSimulator, leader: Leader) -> None:
    """A redirect without a Location."""
    sim.misbehave(FaultKind.STATUS, status=302)
    assert isinstance(await failure(leader), LeaderInvalidResponse)


def test_only_https_may_take_over() -> None:
    """The same host made safe is the one change of port that is followed; the other way never."""
    http, https = URL("http://nas.lan:8080/x"), URL("https://nas.lan/x")
    assert str(leader_module.redirect(http, "https://nas.lan/x")) == "https://nas.lan/x"
    assert str(leader_module.redirect(https, "/y")) == "https://nas.lan/y"
    for url, location in (
        (https, "http://nas.lan/x"),
        (https, "http://nas.lan:443/x"),
        (https, "https://nas.lan:8443/x"),
        (http, "https://nas.lan.evil.example/x"),
        (http, "http://nas.lan:8080@evil.example/"),
    ):
        with pytest.raises(LeaderInvalidResponse, match="another host"):
            leader_module.redirect(url, location)


@pytest.mark.parametrize(
    "kind", [FaultKind.HTML, FaultKind.LIST, FaultKind.BROKEN_JSON, FaultKind.EMPTY, FaultKind.NO_SIGNAL_ID]
)
async def test_what_is_no_signal(sim: LeaderSimulator, leader: Leader, kind: FaultKind) -> None:
    """The body comes through as it is, and the parser says that it is no signal."""
    sim.misbehave(kind)
    body = await leader.fetch()
    assert body is not None
    with pytest.raises(InvalidSignal) as caught:
        parse_signal(body, ["BTC"])
    assert caught.value.signal_id is None


def test_nothing_shows_the_secret(session: ClientSession) -> None:
    """Not even to a debugger's eye."""
    assert SECRET not in repr(Leader(session, "http://nas.lan", SECRET, "1"))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://nas.lan:8080", "http://nas.lan:8080"),
        (" https://Cash.Example/ ", "https://cash.example"),
        ("HTTPS://cash.example:443/lot//", "https://cash.example/lot"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
    ],
)
def test_urls(text: str, url: str) -> None:
    """One spelling for each leader."""
    assert normalise_url(text) == url
    assert normalise_url(url) == url


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "nas.lan",
            "nas.lan:8080",
            "ftp://nas.lan",
            "javascript:alert(1)",
            "http://",
            "https:///x",
            "file:///etc",
        ),
        *("http://user@nas.lan", "http://user:pass@nas.lan", "http://:pass@nas.lan", "http://@nas.lan"),
        *("http://nas.lan/?x=1", "http://nas.lan/?", "http://nas.lan/#x", "http://nas.lan#"),
        *("http://nas.lan:99999", "http://nas.lan:x", "http://[::1", "http://na s.lan", "http://nas.lan/\x00"),
        *(
            "http://good.lan\\@evil.example",
            "http://nas.lan/\nx",
            "http://" + "a" * 64 + ".example",
            "http://a..example",
        ),
    ],
)
def test_urls_that_are_none(text: str) -> None:
    """Refused before anything is sent."""
    with pytest.raises(ValueError, match=r"URL|[Pp]ort|label|IPv6|netloc|[Ii]nvalid"):
        normalise_url(text)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1"),
        *("[::1]", "[fd12::1]", "[fe80::1]", "[::ffff:192.168.1.1]", "127.1", "2130706433", "0x7f000001"),
        *(
            "localhost",
            "cashalot",
            "NAS",
            "cash-a-lot",
            "notlocal",
            "nas.local",
            "nas.lan",
            "nas.home.arpa",
            "nas.internal",
        ),
    ],
)
def test_private_hosts(host: str) -> None:
    """Inside one's own network plain http is right."""
    assert is_private(f"http://{host}:8080/x")


@pytest.mark.parametrize(
    "host",
    [
        *("8.8.8.8", "172.32.0.1", "100.64.0.1", "203.0.113.5", "0.0.0.0", "134744072", "0x08080808", "010.8.8.8"),
        *("[2001:db8::1]", "[::ffff:8.8.8.8]", "[2606:4700::1]", "example.com", "local.example", "nas.local.example"),
        *("10.0.0.1.example.com", "home.arpa.example", "ai.", "lan.", "127.0.0.1.nip.io"),
    ],
)
def test_public_hosts(host: str) -> None:
    """Anything else needs its owner's consent."""
    assert not is_private(f"http://{host}:8080/x")


def test_no_host_is_not_private() -> None:
    """Nor is what has no host."""
    assert not is_private("/api")


@pytest.mark.parametrize(
    ("told", "header"),
    [("2026-11-28-1", "2026-11-28-1"), (None, None), ("", None), ("é", None), ("a\nb", None), ("x" * 201, None)],
)
async def test_told(sim: LeaderSimulator, leader: Leader, told: str | None, header: str | None) -> None:
    """A leader is told which signal was done with where a follower wants that and a header can hold it; else nothing."""
    leader.tell("before")
    leader.tell(told)
    await leader.fetch()
    assert sim.requests[-1].follower_signal == header


async def test_figures(session: ClientSession, socket_enabled: None) -> None:
    """Figures count only when they are signed with the secret."""
    body = b"{}"
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    answers = [
        web.Response(body=body, headers={"X-Signal-Signature": signature}),
        web.Response(body=body),
        web.Response(body=body, headers={"X-Signal-Signature": "0" * 64}),
        web.Response(status=204),
    ]

    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/api/figures"
        return answers.pop(0)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        asked = Leader(session, str(server.make_url("")).rstrip("/"), SECRET, "1.2.3")
        assert await asked.figures() == body
        for reason in ("is not signed", "signature of the leader's answer is wrong", "has no figures"):
            with pytest.raises(LeaderInvalidResponse, match=reason):
                await asked.figures()
