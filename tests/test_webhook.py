"""The webhook by which a leader says that it has a new signal: who is heard, what follows, and that nothing else does."""

import asyncio
from datetime import datetime
import gzip
import hashlib
import hmac
import logging
import time
from typing import Any
from unittest.mock import patch

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components import webhook as ha_webhook
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.helpers.network import NoURLAvailableError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator

from custom_components.calvalot import webhook
from custom_components.calvalot.const import DOMAIN, PUSH_COOLDOWN
from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
from custom_components.calvalot.forms import in_sections
from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.trading.signals import Signals
from custom_components.calvalot.trading.sources.push import MAX_BODY
from harness.database import rows
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import poll

type Client = TestClient[Any, Any]
type Counted = dict[str, int] | None


@pytest.fixture
async def entry(hass: HomeAssistant, entry_data: dict[str, Any]) -> MockConfigEntry:
    """A follower that its leader may push to, with all that has to be there in Home Assistant."""
    entry = add_entry(hass, entry_data, push=True)
    assert await set_up(hass, entry)
    return entry


@pytest.fixture
async def client(hass: HomeAssistant, entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator) -> Client:
    """Somebody on the network, without a login."""
    return await hass_client_no_auth()


def path_of(entry: MockConfigEntry) -> str:
    """Where an entry's leader pushes to."""
    return f"/api/webhook/{entry.data['webhook_id']}"


def signed(entry: MockConfigEntry, body: bytes = b"", *, secret: str | None = None, age: float = -1) -> dict[str, str]:
    """Headers of a push, made by hand; a second ahead, since nothing from the second of the start is heard."""
    timestamp = str(int(time.time() - age))
    message = f"{timestamp}\nPOST\n{path_of(entry)}\n".encode() + body
    key = (secret or entry.data["signal_secret"]).encode()
    return {
        "X-Signal-Timestamp": timestamp,
        "X-Signal-Signature": hmac.new(key, message, hashlib.sha256).hexdigest(),
    }


async def push(client: Client, entry: MockConfigEntry, body: bytes = b"") -> int:
    """Push as the leader does; the answer's status."""
    async with client.post(path_of(entry), data=body, headers=signed(entry, body)) as answer:
        return answer.status


async def told(answer: ClientResponse) -> tuple[Any, ...]:
    """Everything that an answer tells."""
    headers = {key: value for key, value in answer.headers.items() if key != "Date"}
    return answer.status, await answer.read(), headers


async def counts(hass: HomeAssistant, entry: MockConfigEntry) -> Counted:
    """What the diagnostics tell of pushes."""
    shown = await async_get_config_entry_diagnostics(hass, entry)
    pushes: Counted = shown["leader"]["pushes"]
    return pushes


def trades(entry: MockConfigEntry) -> int:
    """How much was traded."""
    path = ledger_path(entry.runtime_data.hass, entry.entry_id)
    return len(rows(path, "SELECT seq FROM orders WHERE state = 'booked'"))


async def cool_down(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    """Let what was held back happen."""
    freezer.tick(PUSH_COOLDOWN + 1)
    async_fire_time_changed(hass)
    await hass.async_block_till_done()


# Who is heard


async def test_push(hass: HomeAssistant, entry: MockConfigEntry, client: Client, leader: LeaderSimulator) -> None:
    """The follower polls at once and trades what the leader then tells, whatever the push says."""
    asked = len(leader.requests)
    leader.publish_v2({"BTC": "0.4"})
    assert await push(client, entry, b'{"signal_id": "another", "portfolio_state": {"positions": []}}') == 202
    await hass.async_block_till_done()
    assert len(leader.requests) == asked + 1
    assert trades(entry) == 1
    assert entry.runtime_data.data.positions["BTC"].quantity > 0
    assert await counts(hass, entry) == {"accepted": 1, "refused": 0}


async def test_leader_pushes(
    hass: HomeAssistant, entry: MockConfigEntry, client: Client, leader: LeaderSimulator
) -> None:
    """The stand-in leader and the follower understand each other, over real HTTP."""
    leader.set_clock(1)  # nothing from the second of the start is heard
    leader.set_webhooks([str(client.make_url(path_of(entry)))])
    leader.publish_v2({"BTC": "0.4"})
    await leader.pushed()
    await hass.async_block_till_done()
    assert [pushed.status for pushed in leader.pushes] == [202]
    assert trades(entry) == 1


REFUSED = {
    "no_headers": lambda _: {"headers": {}},
    "wrong_secret": lambda entry: {"headers": signed(entry, secret="wrong")},
    "too_old": lambda entry: {"headers": signed(entry, age=301)},
    "too_new": lambda entry: {"headers": signed(entry, age=-302)},
    "before_the_start": lambda entry: {"headers": signed(entry, age=5)},
    "other_body": lambda entry: {"headers": signed(entry), "data": b"x"},
    "too_large": lambda entry: {"headers": signed(entry, b"x" * (MAX_BODY + 1)), "data": b"x" * (MAX_BODY + 1)},
    "much_too_large": lambda entry: {"headers": signed(entry, b"x" * 2_000_000), "data": b"x" * 2_000_000},
    "compressed": lambda entry: {
        "headers": signed(entry, b"signal") | {"Content-Encoding": "gzip"},
        "data": gzip.compress(b"signal"),
    },
    "get": lambda entry: {"headers": signed(entry), "method": "GET"},
    "put": lambda entry: {"headers": signed(entry), "method": "PUT"},
    "head": lambda entry: {"headers": signed(entry), "method": "HEAD"},
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_refused(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    client: Client,
    leader: LeaderSimulator,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    """Answered exactly as where no webhook is; no poll, and not a word of it in the log."""
    asked = len(leader.requests)
    leader.publish_v2({"BTC": "0.4"})
    request: dict[str, Any] = {"method": "POST"} | REFUSED[kind](entry)
    caplog.clear()
    async with client.request(path=path_of(entry), **request) as answer:
        refused = await told(answer)
    # At debug level Home Assistant itself tells every path that is asked for; the access log is the test server's.
    logged = [each for each in caplog.records if each.levelno > logging.DEBUG or DOMAIN in each.name]
    logged = [each for each in logged if each.name != "aiohttp.access"]
    async with client.request(path="/api/webhook/nobody", **request) as answer:
        assert refused == await told(answer)
    await hass.async_block_till_done()
    assert len(leader.requests) == asked
    assert trades(entry) == 0
    assert await counts(hass, entry) == {"accepted": 0, "refused": 1}
    for record in logged:
        for secret in (entry.data["webhook_id"], leader.secret, "x" * 50):
            assert secret not in f"{record.getMessage()} {record.args!r}"


async def test_replay(hass: HomeAssistant, entry: MockConfigEntry, client: Client, leader: LeaderSimulator) -> None:
    """What was heard once is refused as everything else is."""
    headers = signed(entry)
    async with client.post(path_of(entry), headers=headers) as answer:
        assert answer.status == 202
    await hass.async_block_till_done()
    asked = len(leader.requests)
    async with client.post(path_of(entry), headers=headers) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    await hass.async_block_till_done()
    assert len(leader.requests) == asked
    assert await counts(hass, entry) == {"accepted": 1, "refused": 1}


async def test_replay_after_a_reload(
    hass: HomeAssistant, entry: MockConfigEntry, client: Client, leader: LeaderSimulator
) -> None:
    """What an earlier run may have heard is not heard again."""
    headers = signed(entry, age=0)
    await hass.config_entries.async_reload(entry.entry_id)
    async with client.post(path_of(entry), headers=headers) as answer:
        assert answer.status == 200
    assert await counts(hass, entry) == {"accepted": 0, "refused": 1}


@pytest.mark.parametrize(
    "rest",
    [
        b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"Content-Length: 100\r\n\r\ntoo little",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
@pytest.mark.parametrize("hang_up", [True, False])
async def test_body_that_never_ends(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    rest: bytes,
    hang_up: bool,
) -> None:
    """Broken off or slow: waited for a moment, refused, not an error."""
    with patch.object(webhook, "BODY_TIMEOUT", 0.1):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = "".join(f"{key}: {value}\r\n" for key, value in signed(entry).items())
        writer.write(f"POST {path_of(entry)} HTTP/1.1\r\nHost: here\r\n{head}".encode() + rest)
        await writer.drain()
        if hang_up:
            await asyncio.sleep(0.05)
            writer.close()
        else:
            assert b"202" not in await reader.readline()
            writer.close()
        await asyncio.sleep(0.2)
    await hass.async_block_till_done()
    pushes = await counts(hass, entry)
    assert pushes
    assert pushes["accepted"] == 0
    # What is no HTTP at all aiohttp refuses and tells by itself; how long something took asyncio tells.
    told = {(record.name, record.levelno) for record in caplog.records if record.levelno >= logging.WARNING}
    assert {name for name, level in told - {("asyncio", logging.WARNING)}} <= {"aiohttp.server"}


async def test_two_followers_of_a_leader(
    hass: HomeAssistant, entry: MockConfigEntry, client: Client, live_data: dict[str, Any], leader: LeaderSimulator
) -> None:
    """Each has an address of its own, and a push to one is none to the other."""
    other = add_entry(hass, live_data, push=True)
    assert await set_up(hass, other)
    assert path_of(other) != path_of(entry)
    leader.publish_v2({"BTC": "0.4"})
    headers = signed(entry)
    async with client.post(path_of(other), headers=headers) as answer:
        assert answer.status == 200
    async with client.post(path_of(entry), headers=headers) as answer:
        assert answer.status == 202
    await hass.async_block_till_done()
    assert (trades(entry), trades(other)) == (1, 0)
    assert await push(client, other) == 202
    await hass.async_block_till_done()
    assert (trades(entry), trades(other)) == (1, 1)


# What follows


async def test_burst(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    client: Client,
    leader: LeaderSimulator,
) -> None:
    """Many pushes together are one poll now and one a moment later, which sees what came meanwhile."""
    asked = len(leader.requests)
    assert await push(client, entry, b"0") == 202
    await hass.async_block_till_done()
    leader.publish_v2({"BTC": "0.4"})
    statuses = await asyncio.gather(*(push(client, entry, str(number).encode()) for number in range(1, 50)))
    assert set(statuses) == {202}
    await hass.async_block_till_done()
    assert len(leader.requests) == asked + 1
    await cool_down(hass, freezer)
    assert len(leader.requests) == asked + 2
    assert trades(entry) == 1
    await cool_down(hass, freezer)
    assert len(leader.requests) == asked + 2


async def test_push_during_a_cycle(
    hass: HomeAssistant, entry: MockConfigEntry, client: Client, leader: LeaderSimulator
) -> None:
    """The cycle that runs may have asked already: another one follows it, never two at a time."""
    leader.misbehave("slow", 1, seconds=0.3)
    running = hass.async_create_task(entry.runtime_data.async_poll())
    await asyncio.sleep(0.1)
    leader.publish_v2({"BTC": "0.4"})
    asked = len(leader.requests)
    follower = entry.runtime_data.engine
    with patch.object(follower, "cycle", wraps=follower.cycle) as cycle:
        assert await push(client, entry) == 202
        assert cycle.call_count == 0
        await running
        await hass.async_block_till_done()
        assert cycle.call_count == 1
    assert len(leader.requests) == asked + 1
    assert trades(entry) == 1


@pytest.mark.parametrize("state", ["paused", "dead"])
async def test_not_active(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    leader: LeaderSimulator,
    hass_client_no_auth: ClientSessionGenerator,
    state: str,
) -> None:
    """A push is a poll like every other: a follower that is paused or dead looks, and does not trade."""
    entry = add_entry(hass, entry_data, push=True, survival_floor=5000 if state == "dead" else 5)
    assert await set_up(hass, entry)
    await poll(hass, entry, 3)
    if state == "paused":
        await entry.runtime_data.engine.commands.pause(paused=True)
    assert entry.runtime_data.data.status == state
    asked = len(leader.requests)
    leader.publish_v2({"BTC": "0.4"})
    assert await push(await hass_client_no_auth(), entry) == 202
    await hass.async_block_till_done()
    assert len(leader.requests) == asked + 1
    assert trades(entry) == 0


async def test_polling_is_switched_off(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    leader: LeaderSimulator,
    hass_client_no_auth: ClientSessionGenerator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Who wants no polling on time may still be pushed to."""
    entry = add_entry(hass, entry_data, push=True)
    hass.config_entries.async_update_entry(entry, pref_disable_polling=True)
    assert await set_up(hass, entry)
    asked = len(leader.requests)
    leader.publish_v2({"BTC": "0.4"})
    freezer.tick(3600)
    async_fire_time_changed(hass)
    await hass.async_block_till_done()
    assert len(leader.requests) == asked
    assert await push(await hass_client_no_auth(), entry) == 202
    await hass.async_block_till_done()
    assert trades(entry) == 1


# When the door is there


def listed(hass: HomeAssistant) -> dict[str, Any]:
    """The integration's webhooks as Home Assistant knows them."""
    handlers = hass.data.get(ha_webhook.DOMAIN, {})
    return {own: hook for own, hook in handlers.items() if hook.domain == DOMAIN}


async def test_unload(hass: HomeAssistant, entry: MockConfigEntry, client: Client, leader: LeaderSimulator) -> None:
    """Gone with the follower, back with it at the same address."""
    own = entry.data["webhook_id"]
    assert list(listed(hass)) == [own]
    assert await push(client, entry) == 202  # leaves a cool-down behind
    await hass.async_block_till_done()
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert listed(hass) == {}
    asked = len(leader.requests)
    assert await push(client, entry) == 200
    assert len(leader.requests) == asked
    assert await set_up(hass, entry)
    assert list(listed(hass)) == [own]


async def test_removal(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Another's webhook stays."""

    async def nothing(*_: object) -> None:
        """Another handler."""

    ha_webhook.async_register(hass, "other", "other", "other", nothing)
    assert await hass.config_entries.async_remove(entry.entry_id)
    assert listed(hass) == {}
    assert "other" in hass.data[ha_webhook.DOMAIN]


async def test_home_assistant_stops(
    hass: HomeAssistant, entry: MockConfigEntry, client: Client, leader: LeaderSimulator
) -> None:
    """Nothing is begun any more, not even what a burst left for later."""
    for body in (b"1", b"2"):
        assert await push(client, entry, body) == 202
    await hass.async_block_till_done()
    asked = len(leader.requests)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    assert await push(client, entry, b"3") == 202
    await hass.async_block_till_done()
    assert len(leader.requests) == asked


async def test_off_by_default(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    hass_client_no_auth: ClientSessionGenerator,
    leader: LeaderSimulator,
) -> None:
    """No door where none is wanted; the options open and close it, always at the same address."""
    entry = add_entry(hass, entry_data)
    assert await set_up(hass, entry)
    assert listed(hass) == {}
    assert await counts(hass, entry) is None
    client = await hass_client_no_auth()
    assert await push(client, entry) == 200
    own = entry.data["webhook_id"]
    for wanted in (True, False):
        form = await hass.config_entries.options.async_init(entry.entry_id)
        fields = form["data_schema"].schema["connection"].schema.schema
        assert next(key for key in fields if key == "push").default() is False
        values = in_sections({"coins": ["BTC"], "push": wanted})
        await hass.config_entries.options.async_configure(form["flow_id"], values)
        await hass.async_block_till_done()
        assert list(listed(hass)) == [own] * wanted
        assert await push(client, entry) == (202 if wanted else 200)
        await hass.async_block_till_done()
    assert entry.data["webhook_id"] == own


@pytest.mark.parametrize(
    ("leader_url", "local_only", "own"),
    [
        ("http://192.168.1.20:8000", True, "http://192.168.1.9:8123"),
        ("https://leader.example", False, "https://home.example"),
    ],
)
async def test_from_where(
    hass: HomeAssistant, entry_data: dict[str, Any], leader_url: str, local_only: bool, own: str
) -> None:
    """A leader in one's own network is heard from there only, and calls the address that it has there."""
    entry = add_entry(hass, entry_data | {"leader_url": leader_url}, push=True)
    with patch("custom_components.calvalot.trading.sources.leader.Leader.fetch", return_value=None):
        assert await set_up(hass, entry)
    (hook,) = listed(hass).values()
    assert hook.local_only is local_only
    assert webhook.webhook_url(hass, entry).endswith(path_of(entry))
    await async_process_ha_core_config(
        hass, {"internal_url": "http://192.168.1.9:8123", "external_url": "https://home.example"}
    )
    form = await hass.config_entries.options.async_init(entry.entry_id)
    assert form["description_placeholders"]["push_url"] == f"{own}{path_of(entry)}"


async def test_address_is_unknown(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """The form shows the path at least, also of a follower that was never set up."""
    entry = add_entry(hass, entry_data)
    with patch("homeassistant.components.webhook.get_url", side_effect=NoURLAvailableError):
        form = await hass.config_entries.options.async_init(entry.entry_id)
    assert form["description_placeholders"]["push_url"] == path_of(entry)
    assert len(entry.data["webhook_id"]) == 64
    assert await set_up(hass, entry)
    assert form["description_placeholders"]["push_url"] == path_of(entry)


async def test_id_is_kept(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Over a reload and a reconfiguration; it is nowhere in the diagnostics."""
    own = entry.data["webhook_id"]
    flow = await entry.start_reconfigure_flow(hass)
    flow = await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": "leader"})
    assert own not in repr(flow)
    await hass.config_entries.flow.async_configure(flow["flow_id"], {"leader_url": f"{leader.url}/"})
    await hass.async_block_till_done()
    assert entry.data["webhook_id"] == own
    assert own not in repr(await async_get_config_entry_diagnostics(hass, entry))


async def test_over_the_websocket(
    hass: HomeAssistant, entry: MockConfigEntry, hass_ws_client: WebSocketGenerator, leader: LeaderSimulator
) -> None:
    """Home Assistant's cloud hands webhooks on in another way: the same is heard, and the same is not."""
    socket = await hass_ws_client(hass)
    asked = len(leader.requests)
    body = b"signal-1"
    pushes = ((signed(entry, body), 202), (signed(entry, body, secret="wrong"), 200))
    for number, (headers, status) in enumerate(pushes, 1):
        await socket.send_json(
            {
                "id": number,
                "type": "webhook/handle",
                "webhook_id": entry.data["webhook_id"],
                "method": "POST",
                "headers": headers,
                "body": body.decode(),
            }
        )
        assert (await socket.receive_json())["result"]["status"] == status
    await hass.async_block_till_done()
    assert len(leader.requests) == asked + 1


# A signal that waits for its turn


async def waiting(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator
) -> tuple[MockConfigEntry, datetime]:
    """A follower whose signal waits for its turn, and when that comes."""
    entry = add_entry(hass, entry_data, entry_jitter=900, poll_interval=3600)
    assert await set_up(hass, entry)
    leader.publish_v2({"BTC": "0.4"})
    await poll(hass, entry)
    due = entry.runtime_data.data.due
    assert due
    return entry, due


async def test_turn(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """A cycle runs when it has come, not before and not with the next interval; none is left when Home Assistant stops."""
    entry, due = await waiting(hass, entry_data, leader)
    assert trades(entry) == 0
    asked = len(leader.requests)
    for _ in range(2):  # a picture on the way changes nothing
        await entry.runtime_data.engine.commands.forget_restore()
    freezer.move_to(due)
    async_fire_time_changed(hass, due)
    await hass.async_block_till_done()
    assert len(leader.requests) == asked + 1
    assert trades(entry) == 1
    assert entry.runtime_data.data.due is None


async def test_turn_comes_during_a_cycle(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """The cycle that runs may have looked at the clock already: another one follows it."""
    entry, due = await waiting(hass, entry_data, leader)
    coordinator = entry.runtime_data
    decide = Signals.decide

    async def late(*args: Any, **arguments: Any) -> None:
        """Decide just before the turn, and be done just after it."""
        await decide(*args, **arguments)
        freezer.move_to(due)
        async_fire_time_changed(hass, due)

    with patch.object(Signals, "decide", late):
        await coordinator.async_poll()
    await hass.async_block_till_done()
    assert trades(entry) == 1


async def test_turn_of_a_follower_that_is_gone(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """Nothing is left of it but what the ledger knows, and that is enough."""
    entry, due = await waiting(hass, entry_data, leader)
    assert await hass.config_entries.async_unload(entry.entry_id)
    asked = len(leader.requests)
    freezer.move_to(due)
    async_fire_time_changed(hass, due)
    await hass.async_block_till_done()
    assert len(leader.requests) == asked
    assert await set_up(hass, entry)
    assert trades(entry) == 1
