"""Who may do what, and where a secret may go: the doors of a follower in a running Home Assistant."""

from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import web
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import Unauthorized
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.services import ACTIONS
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import poll, reading

INPUT: dict[str, dict[str, Any]] = {
    "write_off": {"coin": "BTC"},
    "release_coin": {"coin": "BTC"},
    "deposit": {"amount": 50},
    "withdraw": {"amount": 5},
    "add_cash_flow": {"amount": -5},
    "change_cash_flow": {"id": 1, "note": "mine"},
    "accept_cash_flow": {"proposal": "deposit 1"},
    "dismiss_cash_flow": {"proposal": "deposit 1"},
    "delete_cash_flow": {"id": 1},
    "set_net_deposits": {"amount": 900},
    "reset": {"confirm": True},
    "change_quote_asset": {"quote_asset": "USDT", "confirm": True},
    "convert": {"from_asset": "BTC", "to_asset": "ETH", "quantity": "0.001", "confirm": True},
    "set_allocation": {"allocation": {"BTC": 50}},
    "import_history": {"file": "calvalot.db"},
    "place_order": {"coin": "BTC", "side": "buy", "amount": 10, "confirm": True},
    "cancel_order": {"client_order_id": "cv-1"},
    "close_position": {"coin": "BTC"},
    "set_protection": {"coin": "BTC", "stop_loss": "5 %"},
    "draft_strategy": {"description": "Buy every week"},
    "set_strategy": {"rules": "name: Mine", "coin": "BTC", "weight": 50, "confirm": True},
}


class Elsewhere:
    """Another host, which writes down what reaches it."""

    def __init__(self) -> None:
        self.reached: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Welcome everybody."""
        self.reached.append((request.path_qs, dict(request.headers)))
        return web.json_response({"serverTime": 0})


@pytest.fixture
async def elsewhere(socket_enabled: None) -> AsyncGenerator[Elsewhere]:
    """Another host on loopback."""
    other = Elsewhere()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", other.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    other.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield other
    await runner.cleanup()


# Who may do what


@pytest.mark.parametrize("name", [action.name for action in ACTIONS if action.admin])
async def test_only_administrators_move_money(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, hass_read_only_user: MockUser, name: str
) -> None:
    """Whatever changes something is refused to everybody else, and changes nothing."""
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, entry)
    leader.publish_v2({"BTC": "0.1"})
    with reading(hass, entry) as ledger:
        before = ledger.book(), ledger.trades(), ledger.signals()
    hass_read_only_user.mock_policy({"entities": True})
    with pytest.raises(Unauthorized):
        await hass.services.async_call(
            DOMAIN, name, INPUT.get(name, {}), blocking=True, context=Context(user_id=hass_read_only_user.id)
        )
    with reading(hass, entry) as ledger:
        assert (ledger.book(), ledger.trades(), ledger.signals()) == before


def test_what_is_for_everybody_only_reads() -> None:
    """No action that everybody may use does anything."""
    assert {action.name for action in ACTIONS if not action.admin} == {
        "preview",
        "get_portfolio",
        "get_trades",
        "get_orders",
        "get_conversions",
        "get_signals",
        "get_alerts",
        "check_strategy",
        "get_strategies",
        "get_cash_flows",
        "get_candles",
        "get_backtests",
        "get_history",
        "get_performance",
        "get_statistics",
        "export",
    }


# What is open to the network


async def test_http_needs_authentication(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """Whatever is served under the integration's name wants a login, but for the cards' own code."""
    assert await async_setup_component(hass, "http", {})
    await set_up(hass, entry)
    client = await hass_client_no_auth()
    assert client.app
    paths = {resource.canonical for resource in client.app.router.resources() if DOMAIN in resource.canonical}
    for path in {"/api/calvalot", *paths}:
        if path.startswith(f"/{DOMAIN}_frontend/"):
            continue
        for method in ("GET", "POST"):
            answer = await client.request(method, path.replace("{", "").replace("}", ""))
            assert answer.status in {401, 404, 405}, path


@pytest.mark.parametrize("push", [False, True])
async def test_every_door(hass: HomeAssistant, entry_data: dict[str, Any], push: bool) -> None:
    """What is opened: the cards' code, the address for followers, and one webhook where it is wanted. Whatever else comes has to be listed here."""
    for component in ("frontend", "webhook", "websocket_api"):
        assert await async_setup_component(hass, component, {})
    # Home Assistant's own parts are there before.
    before = {resource.canonical for resource in hass.http.app.router.resources()}
    hooks = set(hass.data.get("webhook", ()))
    entry = add_entry(hass, entry_data, push=push)
    assert await set_up(hass, entry)
    served = {resource.canonical for resource in hass.http.app.router.resources()} - before
    assert {path.rpartition("/")[0] for path in served} == {
        f"/{DOMAIN}_frontend",
        f"/api/{DOMAIN}/exports/{{entry_id}}/{{year}}",
        # Where followers ask: 404 for everybody where a portfolio has none.
        f"/api/{DOMAIN}/{{leader}}/api/signal",
        f"/api/{DOMAIN}/{{leader}}/api",
        f"/api/{DOMAIN}",
        f"/api/{DOMAIN}/reports/{{entry_id}}",
    }
    assert set(hass.data.get("webhook", ())) - hooks == ({entry.data["webhook_id"]} if push else set())


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "PATCH"])
async def test_webhook_hears_its_leader_only(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    leader: LeaderSimulator,
    hass_client_no_auth: ClientSessionGenerator,
    method: str,
) -> None:
    """The one thing beside the cards that answers without a login: told nothing signed, it is not to be told from one that is not there."""
    entry = add_entry(hass, entry_data, push=True)
    await set_up(hass, entry)
    leader.publish_v2({"BTC": "0.4"})
    hooks = [own for own, hook in hass.data["webhook"].items() if hook.domain == DOMAIN]
    assert hooks == [entry.data["webhook_id"]]
    asked, client = len(leader.requests), await hass_client_no_auth()
    answers = []
    for own in (*hooks, "nobody"):
        async with client.request(method, f"/api/webhook/{own}", data=b'{"signal_id": "mine"}') as answer:
            headers = {key: value for key, value in answer.headers.items() if key != "Date"}
            answers.append((answer.status, await answer.read(), headers))
    assert answers[0] == answers[1]
    await hass.async_block_till_done()
    assert len(leader.requests) == asked
    assert await entry.runtime_data.engine.queries.signals() == []


@pytest.mark.parametrize("expected_lingering_timers", [True])  # the server's, of the connections that it refused
async def test_websocket_needs_authentication(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    hass_client_no_auth: ClientSessionGenerator,
    expected_lingering_timers: bool,
) -> None:
    """No command is heard before the login."""
    assert await async_setup_component(hass, "websocket_api", {})
    await set_up(hass, entry)
    commands = [name for name in hass.data["websocket_api"] if name.startswith(f"{DOMAIN}/")]
    client = await hass_client_no_auth()
    for command in commands:
        async with client.ws_connect("/api/websocket") as socket:
            assert (await socket.receive_json())["type"] == "auth_required"
            await socket.send_json({"id": 1, "type": command, "entry_id": entry.entry_id})
            assert (await socket.receive_json())["type"] == "auth_invalid"
            assert (await socket.receive()).type.name in {"CLOSE", "CLOSED", "CLOSING"}
    known = await hass_ws_client(hass)
    for number, command in enumerate(commands, 10):
        await known.send_json({"id": number, "type": command, "entry_id": entry.entry_id})
        answers = [await known.receive_json()]
        while answers[-1]["type"] != "result" or answers[-1]["id"] != number:  # what a subscription says comes between
            answers.append(await known.receive_json())
        assert answers[-1].get("error", {}).get("code") != "unauthorized"
    await known.close()


# Where a secret may go


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_leader_sends_us_elsewhere(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, elsewhere: Elsewhere, status: int
) -> None:
    """A redirect to another host is refused, before anything of ours reaches it."""
    await set_up(hass, entry)
    leader.misbehave("redirect_away", None, status=status, location=f"{elsewhere.url}/api/signal/latest")
    await poll(hass, entry)
    assert entry.runtime_data.data.leader_connected is False
    assert elsewhere.reached == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_exchange_sends_us_elsewhere(
    hass: HomeAssistant, live_data: dict[str, Any], elsewhere: Elsewhere, leader: LeaderSimulator, status: int
) -> None:
    """Neither the key nor a signed question nor an order follows a redirect."""

    asked: list[str] = []

    async def away(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": f"{elsewhere.url}{request.path_qs}"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", away)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    entry = add_entry(hass, live_data | {"exchange_url": f"http://127.0.0.1:{runner.addresses[0][1]}"})
    await set_up(hass, entry)
    await poll(hass, entry)
    await runner.cleanup()
    assert asked
    assert elsewhere.reached == []
    assert entry.runtime_data.data.exchange_connected is False


async def test_secrets_go_to_their_owners_only(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Public questions are asked with the key, as Binance wants it, but never signed; the leader hears of no key."""
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, live_entry)
    for request in exchange.requests:
        assert leader.secret not in repr(request)
        assert exchange.api_secret not in repr(request)
    assert {request.api_key for request in exchange.requests} == {exchange.api_key}


@pytest.mark.parametrize(
    "kind", ["bad_signature", "gzip_bomb", "oversize", "html", "list", "no_signal_id", "broken_json"]
)
async def test_answer_that_is_not_to_be_trusted(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, kind: str
) -> None:
    """A wrong signature over a right signal, or no signal at all: nothing is traded."""
    await set_up(hass, entry)
    leader.publish_v2({"BTC": "0.4"})
    leader.misbehave(kind, 1)
    await poll(hass, entry)
    follower = entry.runtime_data.engine
    assert follower.snapshot.leader_connected is False
    assert await follower.queries.trades() == []
    assert await follower.queries.signals() == []
    await poll(hass, entry)
    assert len(await follower.queries.trades()) == 1


@pytest.mark.parametrize("forged", [True, False])
async def test_signed_answers(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, forged: bool
) -> None:
    """Where the leader signs, its signature over exactly this body decides."""
    await set_up(hass, entry)
    leader.publish_v2({"BTC": "0.4"})
    leader.set_sign_answers(True)
    if forged:
        signed = leader.sign
        leader.signature_of = lambda body: signed(body.replace(b"0.4", b"0.1"))
    await poll(hass, entry)
    assert len(await entry.runtime_data.engine.queries.trades()) == (not forged)
