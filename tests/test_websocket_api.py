"""What the cards ask over the WebSocket."""

from collections.abc import Callable
from typing import Any

from homeassistant.components.websocket_api.const import DOMAIN as WEBSOCKET_API
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import MockHAClientWebSocket, WebSocketGenerator

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.storage import LedgerError
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import ALLOCATION, entity_id, poll


@pytest.fixture
async def client(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, hass_ws_client: WebSocketGenerator
) -> MockHAClientWebSocket:
    """A page that looks at a follower that has bought the leader's allocation."""
    leader.publish_v2(ALLOCATION, reasoning="<b>Up</b>", confidence=0.7)
    await set_up(hass, entry)
    assert await async_setup_component(hass, WEBSOCKET_API, {})
    return await hass_ws_client(hass)


async def ask(client: MockHAClientWebSocket, command: str, **message: object) -> dict[str, Any]:
    """Send a command and return the answer; pushes in between are left out."""
    sent = {"type": f"{DOMAIN}/{command}", **message}
    await client.send_json_auto_id(sent)
    while True:
        answer: dict[str, Any] = await client.receive_json()
        if answer["type"] == "result":
            return answer


async def pushed(client: MockHAClientWebSocket) -> dict[str, Any]:
    """Return what is pushed next."""
    message = await client.receive_json()
    assert message["type"] == "event"
    return message["event"]


async def picture(client: MockHAClientWebSocket) -> dict[str, Any]:
    """Return the next picture; events before it are left out."""
    while "event" in (message := await pushed(client)):
        pass
    return message


async def test_followers_are_listed_with_their_entities(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, entry_data: dict[str, Any]
) -> None:
    """Every follower, loaded or not, with the entities that are enabled."""
    other = add_entry(hass, entry_data | {"leader_url": "http://127.0.0.1:9"})
    answer = await ask(client, "followers")
    first, second = answer["result"]["followers"]
    assert (first["entry_id"], first["title"], first["state"]) == (entry.entry_id, "Calv-a-lot", "loaded")
    assert first["entities"]["total_value"] == entity_id(hass, entry, "sensor", "total_value")
    assert first["entities"]["pause"] == entity_id(hass, entry, "switch", "pause")
    assert "btc_quantity" not in first["entities"]
    assert second == {
        "entry_id": other.entry_id,
        "title": "Calv-a-lot",
        "state": "not_loaded",
        "disabled": False,
        "entities": {},
    }


async def test_picture_is_pushed_with_each_cycle(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """The first comes at once, the next with the next cycle; figures are decimal text."""
    assert (await ask(client, "subscribe", entry_id=entry.entry_id))["success"]
    first = await pushed(client)
    assert first["state"] == "loaded"
    follower = first["follower"]
    book = await hass.services.async_call(DOMAIN, "get_portfolio", {}, blocking=True, return_response=True)
    assert book
    assert follower.items() >= book.items()
    assert {position["coin"] for position in follower["positions"]} == set(ALLOCATION)
    told = (
        "title",
        "quote",
        "paused",
        "sources",
        "leader_connected",
        "exchange_connected",
        "waiting_signal",
        "last_signal_result",
    )
    assert [follower[key] for key in told] == [
        *("Calv-a-lot", "USDC", False),
        [{"key": "leader", "kind": "leader", "name": "127.0.0.1", "weight": 100, "paused": False, "shares": {}}],
        *(True, True, None, "executed"),
    ]

    exchange.set_price("BTCUSDC", "100000")
    await poll(hass, entry)
    second = (await picture(client))["follower"]
    prices = {position["coin"]: position["price"] for position in second["positions"]}
    assert float(prices["BTC"]) == 100000
    assert float(second["total_value"]) > float(follower["total_value"])


async def test_last_figures_are_pushed_while_there_are_none(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """With their time, and why there are none now; as soon as there are new ones, the old ones are gone."""
    await ask(client, "subscribe", entry_id=entry.entry_id)
    before = (await picture(client))["follower"]
    assert (before["last_known"], before["exchange_problem"]) == (None, None)
    exchange.fault("error", path="/ticker/price", status=503)
    await poll(hass, entry)
    away = (await picture(client))["follower"]
    assert (away["total_value"], away["exchange_problem"]) == (None, "no_answer")
    for key in ("total_value", "as_of", "positions"):
        assert away["last_known"][key] == before[key]
    exchange.clear_faults()
    await poll(hass, entry)
    assert (await picture(client))["follower"]["last_known"] is None


async def test_limits_are_pushed(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """Those that are set, and how far the fall has come; by default there are none."""
    await ask(client, "subscribe", entry_id=entry.entry_id)
    none = {"stop_loss_drawdown": None, "fall": None, "max_trades_per_day": None, "max_order_share": None}
    assert (await picture(client))["follower"]["limits"] == {**none, "stop_loss_sell": False, "approval": "automatic"}
    options = {"stop_loss_drawdown": 50, "max_trades_per_day": 7, "max_order_share": 30, "approval": "ask"}
    hass.config_entries.async_update_entry(entry, options=entry.options | options)
    await hass.config_entries.async_reload(entry.entry_id)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 2)
    await poll(hass, entry)
    for _ in range(20):
        message = await picture(client)
        if message["follower"] and float(message["follower"]["limits"]["fall"] or 0) > 5:
            break
    limits = message["follower"]["limits"]
    assert limits.pop("fall")
    assert limits == {
        "stop_loss_drawdown": "0.5",
        "stop_loss_sell": False,
        "max_trades_per_day": 7,
        "max_order_share": "0.3",
        "approval": "ask",
    }


async def test_events_are_pushed(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, leader: LeaderSimulator
) -> None:
    """A new signal and its trades come without being asked for."""
    await ask(client, "subscribe", entry_id=entry.entry_id)
    await pushed(client)
    signal_id = leader.publish_v2({"BTC": "0.9"})
    await poll(hass, entry)
    await picture(client)
    events = []
    while not events or events[-1]["type"] != "executed":
        events.append((await pushed(client))["event"])
    assert {(event["kind"], event["type"]) for event in events} >= {
        ("signal", "received"),
        ("trade", "buy"),
        ("trade", "sell"),
        ("signal", "executed"),
    }
    assert {event["signal_id"] for event in events} == {signal_id}


async def test_feed_outlives_reloads(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry
) -> None:
    """No picture while the follower is away, pictures again when it is back, a last word when it is removed."""
    await ask(client, "subscribe", entry_id=entry.entry_id)
    await pushed(client)
    await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
    while (message := await picture(client))["state"] != "not_loaded":
        assert message["follower"] is None or message["state"] == "loaded"
    assert message["follower"] is None
    await hass.config_entries.async_set_disabled_by(entry.entry_id, None)
    while (message := await picture(client))["follower"] is None:
        pass
    assert message["state"] == "loaded"

    await poll(hass, entry)
    assert (await picture(client))["follower"]["mode"] == "dry_run"
    await hass.config_entries.async_remove(entry.entry_id)
    while (message := await picture(client))["state"] != "removed":
        pass
    assert message == {"state": "removed", "follower": None}


async def test_a_cycle_that_broke_leaves_no_figures(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry
) -> None:
    """Old figures are not shown as if they were fresh."""
    await ask(client, "subscribe", entry_id=entry.entry_id)
    await pushed(client)
    entry.runtime_data.async_set_update_error(RuntimeError("broken"))
    assert await pushed(client) == {"state": "loaded", "follower": None}


async def test_nothing_is_left_behind(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that leaves is not listened for any more."""
    coordinator = entry.runtime_data
    add, listening = coordinator.async_add_listener, []

    def counted(update: Callable[[], None]) -> Callable[[], None]:
        stop = add(update)
        listening.append(update)

        def stopped() -> None:
            listening.remove(update)
            stop()

        return stopped

    monkeypatch.setattr(coordinator, "async_add_listener", counted)
    await client.send_json_auto_id({"type": f"{DOMAIN}/subscribe", "entry_id": entry.entry_id})
    answer = await client.receive_json()
    await pushed(client)
    assert len(listening) == 1
    await client.send_json_auto_id({"type": "unsubscribe_events", "subscription": answer["id"]})
    assert (await client.receive_json())["success"]
    assert listening == []
    await poll(hass, entry)
    assert (await ask(client, "followers"))["success"]


async def test_signals_are_paged(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, leader: LeaderSimulator
) -> None:
    """Newest first, page after page, each signal with its legs and trades, none twice."""
    for share in ("0.9", "0.5", "0.2"):
        leader.publish_v2({"BTC": share})
        await poll(hass, entry)
    newest = (await ask(client, "signals", entry_id=entry.entry_id, limit=2))["result"]["signals"]
    assert [signal["result"] for signal in newest] == ["executed", "executed"]
    assert [trade["side"] for trade in newest[0]["trades"]] == ["SELL"]
    assert newest[0]["trades"][0]["signal_id"] == newest[0]["signal_id"] == leader.latest["signal_id"]
    older = (await ask(client, "signals", entry_id=entry.entry_id, before=newest[-1]["seq"]))["result"]["signals"]
    assert older[-1]["signal_id"] == leader.signals[0]["signal_id"]
    assert older[-1]["reasoning"] == "<b>Up</b>"
    assert len(older[-1]["trades"]) == len(ALLOCATION)
    everything = (await ask(client, "signals", entry_id=entry.entry_id))["result"]["signals"]
    assert newest + older == everything


async def test_trades_are_paged(client: MockHAClientWebSocket, entry: MockConfigEntry) -> None:
    """Newest first, by the order they were placed in."""
    first = (await ask(client, "trades", entry_id=entry.entry_id, limit=3))["result"]["trades"]
    rest = (await ask(client, "trades", entry_id=entry.entry_id, before=first[-1]["seq"]))["result"]["trades"]
    assert len(first) == 3
    assert {trade["coin"] for trade in first + rest} == set(ALLOCATION)
    assert [trade["seq"] for trade in first + rest] == sorted((t["seq"] for t in first + rest), reverse=True)
    assert all(trade["simulated"] for trade in first)


async def test_cash_flows_are_paged(hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry) -> None:
    """Newest first, amounts as decimal text."""
    await hass.services.async_call(DOMAIN, "deposit", {"amount": "50", "note": "Savings"}, blocking=True)
    (deposit,) = (await ask(client, "cash_flows", entry_id=entry.entry_id, limit=1))["result"]["cash_flows"]
    assert (deposit["kind"], deposit["amount"], deposit["note"]) == ("deposit", "50", "Savings")
    (initial,) = (await ask(client, "cash_flows", entry_id=entry.entry_id, before=deposit["seq"]))["result"][
        "cash_flows"
    ]
    assert (initial["kind"], float(initial["amount"])) == ("initial", 1000)


@pytest.mark.parametrize("command", ["signals", "trades", "cash_flows"])
async def test_pages_of_a_follower_that_is_away(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, command: str
) -> None:
    """What is wrong is told in words that the frontend can translate."""
    unknown = await ask(client, command, entry_id="nobody")
    assert unknown["error"]["translation_key"] == "service_config_entry_not_found"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("signals", "trades_before", "flows"):
            patch.setattr(Ledger, name, _broken)
        broken = await ask(client, command, entry_id=entry.entry_id)
    assert broken["error"]["translation_domain"] == DOMAIN
    assert broken["error"]["translation_key"] == "ledger_unavailable"
    await hass.config_entries.async_unload(entry.entry_id)
    away = await ask(client, command, entry_id=entry.entry_id)
    assert away["error"]["translation_key"] == "service_config_entry_not_loaded"


def _broken(*_: object, **__: object) -> None:
    raise LedgerError("disk I/O error")


@pytest.mark.parametrize("page", [{"limit": 0}, {"limit": 201}, {"limit": "5"}, {"before": 0}, {"before": "x"}])
async def test_wrong_pages_are_refused(
    client: MockHAClientWebSocket, entry: MockConfigEntry, page: dict[str, Any]
) -> None:
    """Limits are bounded, places are numbers."""
    answer = await ask(client, "signals", entry_id=entry.entry_id, **page)
    assert answer["error"]["code"] == "invalid_format"


async def test_no_such_follower(hass: HomeAssistant, client: MockHAClientWebSocket) -> None:
    """Nor one of another integration."""
    other = MockConfigEntry(domain="other")
    other.add_to_hass(hass)
    for entry_id in ("nobody", other.entry_id):
        answer = await ask(client, "subscribe", entry_id=entry_id)
        assert answer["error"]["code"] == "not_found"
        assert answer["error"]["translation_key"] == "follower_not_found"


async def test_plain_users_may_look(
    hass: HomeAssistant,
    client: MockHAClientWebSocket,
    entry: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
) -> None:
    """Reading is for everyone who is logged in."""
    reader = await hass_ws_client(hass, hass_read_only_access_token)
    assert (await ask(reader, "subscribe", entry_id=entry.entry_id))["success"]
    assert (await pushed(reader))["follower"]
    assert (await ask(reader, "signals", entry_id=entry.entry_id))["result"]["signals"]
    assert (await ask(reader, "followers"))["result"]["followers"]


async def test_ready_made_allocations(
    client: MockHAClientWebSocket, entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """Of the coins that are asked for, at prices of now; as it is now is what is held."""
    request = {"entry_id": entry.entry_id, "shares": {"BTC": 30, "ETH": 10}, "cap": 60}
    told = (await ask(client, "ready_made", **request))["result"]
    assert told["equal_parts"] == {"BTC": 50, "ETH": 50}
    assert told["market_cap"] == {"BTC": 60, "ETH": 40}
    assert told["sixty_forty"] == {"BTC": 45, "ETH": 15}
    assert set(told["as_held"]) == set(ALLOCATION)
    refused = await ask(client, "ready_made", **{**request, "entry_id": "nosuch"})
    assert refused["error"]["code"] == "home_assistant_error"
    exchange.fault("error", path="/exchangeInfo", status=503, count=None)
    refused = await ask(client, "ready_made", **request)
    assert refused["error"]["translation_key"] == "allocation_cannot_connect_exchange"


async def test_performance(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, hass_ws_client: WebSocketGenerator
) -> None:
    """The statistics with the curves; of one that is not there, nothing."""
    leader.publish_v2({"BTC": "0.4"})
    assert await async_setup_component(hass, "websocket_api", {})
    await set_up(hass, entry)
    client = await hass_ws_client(hass)
    await client.send_json_auto_id({"type": "calvalot/performance", "entry_id": entry.entry_id})
    told = (await client.receive_json())["result"]
    statistics = await entry.runtime_data.engine.queries.statistics()
    assert told.keys() == {*statistics, "days"}
    last = told["days"][-1]
    assert last.keys() == {"day", "value", "index", "btc", "source", "filled"}
    assert float(last["value"]) == pytest.approx(float(entry.runtime_data.data.total_value), abs=1e-6)
    assert float(last["source"]) == pytest.approx(1, abs=0.01)
    assert float(last["btc"]) > 0
    await client.send_json_auto_id({"type": "calvalot/performance", "entry_id": "nobody"})
    assert not (await client.receive_json())["success"]
