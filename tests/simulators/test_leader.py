"""The leader stand-in: refuses what is not signed, publishes what a follower understands, and runs as a process."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
import hashlib
import hmac
import itertools
import json
from pathlib import Path
import signal
import statistics
import sys
import time
from typing import Any

from aiohttp import ClientSession, ServerDisconnectedError, web
import pytest
from yarl import URL

from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.signal import Signal
from custom_components.calvalot.trading.sources.leader_format import parse_signal
from custom_components.calvalot.trading.wants import Allocation, Moves
from simulators.leader import FaultKind, LeaderSimulator
from simulators.leader.server import COINS
from simulators.leader.signals import Strategist

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def session(socket_enabled: None) -> AsyncIterator[ClientSession]:
    """A bare HTTP client."""
    async with ClientSession() as client:
        yield client


@pytest.fixture
async def leader(socket_enabled: None) -> AsyncIterator[LeaderSimulator]:
    """A leader without a signal."""
    async with LeaderSimulator(secret="secret", seed=3) as simulator:
        yield simulator


def signed(timestamp: str | None = None, secret: str = "secret") -> dict[str, str]:
    """Headers of a request."""
    timestamp = timestamp or str(int(time.time()))
    signature = hmac.new(secret.encode(), timestamp.encode(), hashlib.sha256).hexdigest()
    return {"X-Signal-Timestamp": timestamp, "X-Signal-Signature": signature}


async def status(session: ClientSession, leader: LeaderSimulator, headers: dict[str, str]) -> int:
    """Status of a request with these headers."""
    async with session.get(f"{leader.url}/api/signal/latest", headers=headers) as answer:
        return answer.status


async def ask(session: ClientSession, leader: LeaderSimulator) -> Signal:
    """The signal as a follower reads it."""
    async with session.get(f"{leader.url}/api/signal/latest", headers=signed()) as answer:
        assert answer.status == 200
        return parse_signal(await answer.read(), COINS)


async def control(session: ClientSession, leader: LeaderSimulator, **arguments: Any) -> tuple[int, Any]:
    """Use the control API."""
    async with session.post(f"{leader.url}/control", json=arguments) as answer:
        return answer.status, await answer.json()


async def test_only_signed_requests_are_answered(session: ClientSession, leader: LeaderSimulator) -> None:
    """Fresh, lower case, by the right secret."""
    assert await status(session, leader, signed()) == 204
    now = int(time.time())
    assert await status(session, leader, signed(str(now - 290))) == 204
    upper = signed() | {"X-Signal-Signature": signed()["X-Signal-Signature"].upper()}
    wrong = [{}, signed(secret="other"), upper, *(signed(text) for text in (str(now - 310), str(now + 310), "x", "²"))]
    for headers in wrong:
        assert await status(session, leader, headers) == 403
    assert [request.status for request in leader.requests] == [204, 204, *(403 for _ in wrong)]


async def test_published_signals(session: ClientSession, leader: LeaderSimulator) -> None:
    """What is published is what a follower reads."""
    signal_id = leader.publish_v2({"BTC": "0.4", "ETH": "0.25"}, quote="USDT", reasoning="why")
    read = await ask(session, leader)
    assert (read.signal_id, read.reasoning) == (signal_id, "why")
    assert {coin: str(share) for coin, share in (read.targets or {}).items()} == {"BTC": "0.4", "ETH": "0.25"}
    leader.publish_v1([("BTC", "SELL", "0.05")], signal_id="mine")
    read = await ask(session, leader)
    assert (read.signal_id, read.wants.coins, read.targets) == ("mine", {"BTC"}, None)
    leader.publish_raw("not JSON")
    async with session.get(f"{leader.url}/api/signal/latest", headers=signed()) as answer:
        assert await answer.text() == "not JSON"
    assert len(leader.signals) == 2


async def test_random_signals_are_valid_and_repeat_with_the_seed(session: ClientSession) -> None:
    """A hundred of each kind; never more than the capital, never the same id twice."""
    runs = []
    for _ in range(2):
        leader = LeaderSimulator(seed=5)
        for _ in range(100):
            leader.publish_random(2)
            leader.publish_random(1)
        signals = [parse_signal(json.dumps(document).encode(), COINS) for document in leader.signals]
        assert all(sum((read.targets or {}).values()) <= 0.96 for read in signals)
        assert all(read.reasoning and read.confidence for read in signals)
        assert len({read.signal_id for read in signals}) == 200
        runs.append([(read.targets, read.wants, read.reasoning) for read in signals])
    assert runs[0] == runs[1]
    assert {move.side for _, wants, _ in runs[0] if isinstance(wants, Moves) for move in wants.moves} == {*Side}
    assert len({tuple(targets.items()) for targets, _, _ in runs[0] if targets}) > 100


def test_steady() -> None:
    """What the demo shows: small changes, now and then a large one, and always some cash."""
    for seed in range(20):
        leader = Strategist(seed, COINS, None)
        decided = [dict(leader.decide()) for _ in range(100)]
        moved = [
            sum(abs(after.get(coin, 0) - before.get(coin, 0)) for coin in COINS)
            for before, after in itertools.pairwise(decided)
        ]
        assert all(sum(weights.values()) <= Decimal("0.95") for weights in decided)
        assert all(weight > 0 for weights in decided for weight in weights.values())
        assert statistics.median(moved) <= Decimal("0.06")
        assert max(moved) >= Decimal("0.1")


async def test_one_coin_and_one_language(session: ClientSession) -> None:
    """The smallest leader there is."""
    leader = LeaderSimulator(coins=("BTC",), language="fr")
    for version in 2, 1:
        leader.publish_random(version)
    assert all(set(COINS) >= set(parse_signal(json.dumps(d).encode(), COINS).targets or {}) for d in leader.signals)


async def test_pace(session: ClientSession) -> None:
    """The first at once, the next after `every`, versions in turn; stopping ends it, and the port stays."""
    async with LeaderSimulator(secret="secret", every=0.05, versions=(2, 1)) as leader:
        url = leader.url
        assert isinstance((await ask(session, leader)).wants, Allocation)
        await asyncio.sleep(0.3)
        await leader.stop()
        assert [document.get("version", 1) for document in leader.signals[:3]] == [2, 1, 2]
        count = len(leader.signals)
        await asyncio.sleep(0.12)
        assert len(leader.signals) == count
        await leader.start()
        assert leader.url == url


async def test_faults_queue_up(session: ClientSession, leader: LeaderSimulator) -> None:
    """One after the other, each as often as told."""
    leader.misbehave("forbidden", 2)
    leader.misbehave(FaultKind.SIGNALS_OFF)
    leader.misbehave(FaultKind.CLOCK_SKEW)
    leader.misbehave(FaultKind.SLOW, seconds=0.05)
    leader.misbehave(FaultKind.STATUS, None)
    assert [await status(session, leader, signed()) for _ in range(8)] == [403, 403, 404, 403, 204, 503, 503, 503]
    leader.behave()
    assert await status(session, leader, signed()) == 204
    leader.misbehave(FaultKind.DROP, 2)
    with pytest.raises(ServerDisconnectedError):
        await status(session, leader, signed())
    assert leader.requests[-1].status is None
    assert leader.requests[-1].fault == "drop"
    with pytest.raises(ValueError, match="location"):
        leader.misbehave(FaultKind.REDIRECT_AWAY)
    with pytest.raises(ValueError, match="no_such"):
        leader.misbehave("no_such")


async def test_control_over_http(session: ClientSession, leader: LeaderSimulator) -> None:
    """The same methods, with errors told."""
    code, answer = await control(session, leader, do="publish_v2", targets={"BTC": "0.5"})
    assert (code, answer["ok"]) == (200, True)
    assert (await ask(session, leader)).signal_id == answer["result"]
    for setting in {"do": "set_quote", "quote": "EUR"}, {"do": "set_sign_answers", "sign": True}:
        assert (await control(session, leader, **setting))[0] == 200
    assert (await control(session, leader, do="misbehave", kind="hang", seconds=0))[0] == 200
    async with session.get(f"{leader.url}/control/state") as state:
        told = await state.json()
    assert told["latest"]["signal_id"] == answer["result"]
    assert [request["status"] for request in told["requests"]] == [200]
    assert told["faults"][0]["kind"] == "hang"
    for wrong in {"do": "stop"}, {"do": "misbehave", "kind": "no_such"}, {"do": "publish_v2"}, {}:
        code, refused = await control(session, leader, **wrong)
        assert (code, refused["ok"]) == (400, False)
    async with session.post(f"{leader.url}/control", data=b"[]") as list_answer:
        assert list_answer.status == 400


async def test_as_a_process(session: ClientSession) -> None:
    """One line of JSON when it listens, an end on SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.leader", "--every", "30", "--quote", "USDT", "--sign-answers"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    ready = json.loads(await process.stdout.readline())
    async with session.get(f"{ready['url']}/api/signal/latest", headers=signed(secret=ready["secret"])) as answer:
        body = await answer.read()
        expected = hmac.new(ready["secret"].encode(), body, hashlib.sha256).hexdigest()
        assert answer.headers["X-Signal-Signature"] == expected
    assert isinstance(parse_signal(body, COINS).wants, Allocation)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


class Webhook:
    """A follower that hears nothing but exactly what a push is, each once; `status` is what it answers."""

    def __init__(self, secret: str) -> None:
        self.secret = secret.encode()
        self.heard: list[tuple[str, bytes]] = []
        self.status = 202

    async def answer(self, request: web.Request) -> web.Response:
        """Check every part of a push by itself."""
        body = await request.read()
        timestamp = request.headers["X-Signal-Timestamp"]
        assert request.headers.getall("X-Signal-Signature") == [
            hmac.new(
                self.secret, b"%s\nPOST\n%s\n%s" % (timestamp.encode(), request.path.encode(), body), "sha256"
            ).hexdigest()
        ]
        assert str(int(timestamp)) == timestamp
        assert abs(int(timestamp) - time.time()) < 2
        assert len(body) <= 1024
        assert (request.path, body) not in self.heard
        self.heard.append((request.path, body))
        return web.Response(status=self.status)


@pytest.fixture
async def webhook(socket_enabled: None) -> AsyncIterator[tuple[Webhook, str]]:
    """Such a follower and its URL."""
    follower = Webhook("secret")
    app = web.Application()
    app.router.add_post("/api/webhook/{id}", follower.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield follower, f"http://127.0.0.1:{runner.addresses[0][1]}/api/webhook/5ca1ab1e"
    await runner.cleanup()


async def answered(leader: LeaderSimulator) -> list[int | None]:
    """Statuses of all pushes, once they are over."""
    await leader.pushed()
    return [push.status for push in leader.pushes]


async def test_push(leader: LeaderSimulator, session: ClientSession, webhook: tuple[Webhook, str]) -> None:
    """Each signal is pushed to each follower, signed for that one; none before it is told to."""
    follower, url = webhook
    leader.publish_v2({"BTC": "0.1"})
    assert await control(session, leader, do="set_webhooks", urls=[url, f"{url}0"]) == (
        200,
        {"ok": True, "result": None},
    )
    one, two = leader.publish_v2({"BTC": "0.2"}), leader.publish_v1([("BTC", "BUY", "0.1")])
    assert await answered(leader) == [202] * 4
    path = URL(url).path
    assert sorted(follower.heard) == sorted((own, each.encode()) for own in (path, f"{path}0") for each in (one, two))
    async with session.get(f"{leader.url}/control/state") as state:
        assert [push["signal_id"] for push in (await state.json())["pushes"]] == [one, one, two, two]


async def test_push_that_gets_lost(leader: LeaderSimulator, webhook: tuple[Webhook, str]) -> None:
    """A follower that is away holds up nobody, and is not asked twice."""
    follower, url = webhook
    follower.status = 200
    leader.set_webhooks(["http://127.0.0.1:9/api/webhook/0", url])
    leader.publish_v2({"BTC": "0.2"})
    assert await answered(leader) == [None, 200]


async def test_push_of_a_leader_that_stops(leader: LeaderSimulator, webhook: tuple[Webhook, str]) -> None:
    """What is on its way is given up."""
    leader.set_webhooks([webhook[1]])
    leader.publish_v2({"BTC": "0.2"})
    await leader.stop()
    assert [push.status for push in leader.pushes] == [None]
    leader.publish_v2({"BTC": "0.3"})
    await leader.start()
    assert await answered(leader) == [None, 202]
