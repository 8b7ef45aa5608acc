"""A leader as the first Calv-a-lot's follower meets it.

The client here is written from the protocol alone (its request, and what it checks of an answer) and shares nothing with
the integration: what both sides of this project understood wrongly together would show.
"""

from collections.abc import AsyncGenerator
import hashlib
import hmac
import json
import time
from typing import Any

import aiohttp
from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from simulators.leader import LeaderSimulator

from .entities import poll
from .leading import Client, allow, holding, local, settle

PAIRS = {"BTCUSDC", "ETHUSDC", "SOLUSDC"}
# What rounding may add to the sum of all shares.
ROUNDING = 0.05


class Disconnected(Exception):
    """The answer is not one of the protocol."""


class FirstFollower:
    """Asks as the first Calv-a-lot does: `ahead` is how many seconds its clock is ahead."""

    def __init__(self, url: str, secret: str, version: str = "c3f9ff3", ahead: int = 0) -> None:
        self.url = url
        self.secret = secret
        self.version = version
        self.ahead = ahead
        self.body = b""
        self.headers: dict[str, str] = {}

    def sign(self, message: bytes) -> str:
        """Lower-case hex HMAC-SHA256 with the shared secret."""
        return hmac.new(self.secret.encode("utf-8"), message, hashlib.sha256).hexdigest()

    def request(self) -> dict[str, str]:
        """The headers of a request, spelled as the protocol spells them."""
        timestamp = str(int(time.time()) + self.ahead)
        return {
            "X-Signal-Timestamp": timestamp,
            "X-Signal-Signature": self.sign(timestamp.encode("utf-8")),
            "X-Follower-Version": self.version,
        }

    async def ask(self, **headers: str) -> tuple[int, Any]:
        """Status, and the signal where there is one. Raises Disconnected. `headers` replace those of a request."""
        wait = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(timeout=wait) as session,
            session.get(
                f"{self.url}/api/signal/latest", headers=self.request() | headers, allow_redirects=False
            ) as answer,
        ):
            self.body = await answer.read()
            self.headers = {name.lower(): value for name, value in answer.headers.items()}
            if answer.status == 200:
                self.check(self.body, answer.headers.get("X-Signal-Signature"))
                return 200, self.read(json.loads(self.body.decode("utf-8")))
            if answer.status not in {204, 403, 404}:
                raise Disconnected(answer.status)
            return answer.status, None

    def check(self, body: bytes, signature: str | None) -> None:
        """Refuse an answer that is signed with another secret, or was changed on its way. Raises Disconnected."""
        if signature is not None and not hmac.compare_digest(signature, self.sign(body)):
            raise Disconnected("the answer is not the leader's")

    def read(self, signal: Any) -> dict[str, Any]:
        """A signal, where it is one. Raises Disconnected."""
        state = signal["portfolio_state"]
        positions = state["positions"]
        sound = (
            signal.get("version", 1) in {1, 2}
            and type(signal["signal_id"]) is str
            and signal["signal_id"] != ""
            and all(each["coin"] in PAIRS and 0 <= each["pct_of_portfolio"] <= 1 for each in positions)
            and sum(each["pct_of_portfolio"] for each in positions) <= 1 + ROUNDING
            and all(
                each["coin"] in PAIRS and each["action"] in {"BUY", "SELL", "HOLD"} and 0 <= each["pct_of_capital"] <= 1
                for each in signal["actions"]
            )
            and (signal["confidence"] is None or 0 <= signal["confidence"] <= 1)
        )
        if not sound:
            raise Disconnected(signal)
        return dict(signal)


def shares(signal: dict[str, Any]) -> dict[str, float]:
    """What the leader holds."""
    return {each["coin"]: each["pct_of_portfolio"] for each in signal["portfolio_state"]["positions"]}


def executed(held: dict[str, float], signal: dict[str, Any]) -> dict[str, float]:
    """What a follower holds after the actions of a signal: each a share of the whole capital, for SELL too."""
    after = dict(held)
    for each in signal["actions"]:
        signs = {"BUY": 1, "SELL": -1, "HOLD": 0}
        after[each["coin"]] = after.get(each["coin"], 0) + signs[each["action"]] * each["pct_of_capital"]
    return {coin: share for coin, share in after.items() if share > 0.001}


@pytest.fixture
async def leads(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> MockConfigEntry:
    """A portfolio that holds 40 % BTC and may be followed by nobody yet."""
    return await holding(hass, entry, leader)


@pytest.fixture
async def client(leads: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator) -> Client:
    """Home Assistant's own server; only its address is used."""
    return await hass_client_no_auth()


@pytest.fixture(params=["simulator", "home_assistant"])
async def follower(
    request: pytest.FixtureRequest, hass: HomeAssistant, leads: MockConfigEntry, leader: LeaderSimulator, client: Client
) -> AsyncGenerator[FirstFollower]:
    """A follower of the first Calv-a-lot's stand-in, and one of ours."""
    if request.param == "simulator":
        yield FirstFollower(leader.url, leader.secret)
    else:
        yield FirstFollower(local(client, leads), (await allow(hass, leads))["secret"])


async def test_same_answers(follower: FirstFollower) -> None:
    """The stand-in and the view answer alike: the same signal again and again, and nothing to who has not signed."""
    status, signal = await follower.ask()
    assert status == 200
    assert signal["version"] == 2
    assert shares(signal) == {"BTCUSDC": pytest.approx(0.4, abs=0.005)}
    body = follower.body
    assert await follower.ask() == (200, signal)
    assert follower.body == body
    assert (await FirstFollower(follower.url, "wrong").ask())[0] == 403
    assert (await FirstFollower(follower.url, follower.secret, ahead=-3600).ask())[0] == 403
    assert (await FirstFollower(follower.url, follower.secret, ahead=3600).ask())[0] == 403


async def test_version_2(hass: HomeAssistant, leads: MockConfigEntry, leader: LeaderSimulator, client: Client) -> None:
    """The allocation, under a new id as soon as it is another; a sale of everything is an empty list."""
    follower = FirstFollower(local(client, leads), (await allow(hass, leads))["secret"])
    _, first = await follower.ask()
    assert (first["version"], shares(first)) == (2, {"BTCUSDC": pytest.approx(0.4, abs=0.005)})
    assert "update" not in first
    leader.publish_v2({"ETH": "0.3", "SOL": "0.2"})
    await publish(hass, leads)
    _, second = await follower.ask()
    assert shares(second) == {
        "ETHUSDC": pytest.approx(0.3, abs=0.005),
        "SOLUSDC": pytest.approx(0.2, abs=0.005),
    }
    leader.publish_v2({})
    await publish(hass, leads)
    _, third = await follower.ask()
    assert third["portfolio_state"]["positions"] == []
    assert len({signal["signal_id"] for signal in (first, second, third)}) == 3


async def test_version_1(hass: HomeAssistant, leads: MockConfigEntry, leader: LeaderSimulator, client: Client) -> None:
    """Moves: who does them holds what the leader does, and no version is named."""
    follower = FirstFollower(local(client, leads), (await allow(hass, leads, version="1"))["secret"])
    _, first = await follower.ask()
    assert "version" not in first
    held = executed({}, first)
    assert held == {"BTCUSDC": pytest.approx(0.4, abs=0.01)}
    leader.publish_v2({"BTC": "0.1", "ETH": "0.3"})
    await publish(hass, leads)
    _, second = await follower.ask()
    assert {(each["coin"], each["action"]) for each in second["actions"]} == {("BTCUSDC", "SELL"), ("ETHUSDC", "BUY")}
    assert executed(held, second) == {coin: pytest.approx(share, abs=0.01) for coin, share in shares(second).items()}
    assert second["signal_id"] != first["signal_id"]


@pytest.mark.parametrize("version", ["1", "2"])
async def test_signed(hass: HomeAssistant, leads: MockConfigEntry, client: Client, version: str) -> None:
    """The answer is signed over its bytes with the follower's own secret, and says the leader's version."""
    follower = FirstFollower(local(client, leads), (await allow(hass, leads, version=version))["secret"])
    await follower.ask()
    assert follower.headers["x-signal-signature"] == follower.sign(follower.body)
    assert follower.headers["content-type"].partition(";")[0] == "application/json"
    assert follower.headers["x-leader-version"]
    with pytest.raises(Disconnected):
        follower.check(follower.body + b" ", follower.headers["x-signal-signature"])
    other = await allow(hass, leads, follower="Bob", version=version)
    assert (await FirstFollower(follower.url, other["secret"]).ask())[0] == 200


async def test_window(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """Two clocks may differ by five minutes, either way; who is refused is told the leader's time."""
    secret = (await allow(hass, leads))["secret"]
    for ahead, status in ((-250, 200), (250, 200), (-320, 403), (320, 403)):
        follower = FirstFollower(local(client, leads), secret, ahead=ahead)
        assert (await follower.ask())[0] == status, ahead
        assert follower.headers["date"]
    assert follower.body == b""


async def test_refused(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """What is not signed as the protocol says is refused, each time without a word."""
    follower = FirstFollower(local(client, leads), (await allow(hass, leads))["secret"])
    now = str(int(time.time()))
    for headers in (
        {"X-Signal-Signature": ""},
        {"X-Signal-Timestamp": ""},
        {"X-Signal-Signature": follower.sign(now.encode()).upper(), "X-Signal-Timestamp": now},
        {"X-Signal-Signature": follower.sign(f"{now}.0".encode()), "X-Signal-Timestamp": f"{now}.0"},
        {"X-Signal-Signature": follower.sign(b""), "X-Signal-Timestamp": now},
        {"X-Signal-Signature": hashlib.sha256(now.encode()).hexdigest(), "X-Signal-Timestamp": now},
    ):
        assert (await follower.ask(**headers), follower.body) == ((403, None), b""), headers
    assert (await follower.ask())[0] == 200


async def test_nothing_yet(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """Who sees everything an hour later is connected to a leader that has no signal yet."""
    follower = FirstFollower(local(client, leads), (await allow(hass, leads, delay=60))["secret"])
    assert (await follower.ask(), follower.body) == ((204, None), b"")


async def test_switched_off(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """Where nobody may follow, nobody may any more, or nothing is, there are no signals."""
    nobody = FirstFollower(local(client, leads), "secret")
    assert (await nobody.ask())[0] == 404
    follower = FirstFollower(nobody.url, (await allow(hass, leads))["secret"])
    assert (await follower.ask())[0] == 200
    assert (await FirstFollower(f"{client.make_url('/api/calvalot')}/{'0' * 32}", follower.secret).ask())[0] == 404
    (key,) = leads.subentries
    assert hass.config_entries.async_remove_subentry(leads, key)
    await settle(hass)
    assert (await follower.ask())[0] == 404


@pytest.mark.parametrize("version", ["1", "2"])
async def test_update(hass: HomeAssistant, leads: MockConfigEntry, client: Client, version: str) -> None:
    """An older follower is told the version to update to; a commit, as the first Calv-a-lot names them, is not compared."""
    url, secret = local(client, leads), (await allow(hass, leads, version=version))["secret"]
    _, signal = await FirstFollower(url, secret, version="0.0.1").ask()
    assert signal["update"] == {"required": True, "latest_version": signal["update"]["latest_version"]}
    assert signal["update"]["latest_version"].count(".") >= 1
    for newer in ("c3f9ff3", "99.0.0", ""):
        _, signal = await FirstFollower(url, secret, version=newer).ask()
        assert "update" not in signal


async def publish(hass: HomeAssistant, leads: MockConfigEntry) -> None:
    """Let the portfolio take up what its own leader says, and publish it."""
    await poll(hass, leads)
    await settle(hass)
