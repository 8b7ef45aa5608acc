"""Alerts from outside in Home Assistant: set up, received over their own address, told, tested."""

import asyncio
from datetime import timedelta
import json
from typing import Any
from unittest.mock import patch

from aiohttp.test_utils import TestClient
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.calvalot import alert_webhook
from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
from custom_components.calvalot.kinds.alerts import Message, message_for
from custom_components.calvalot.trading.alert import Hold
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.sources.alert_format import MAX_BODY, parse_alert
from simulators.exchange import ExchangeSimulator

from .entities import entity_id, poll, state_of
from .test_allocation import answer, put, weights
from .test_repairs import issue
from .test_subentry_flow import ask

type Client = TestClient[Any, Any]

FIELDS: dict[str, Any] = {"share": 25, "allow": ["close", "reduce", "open"], "max_age": 300, "message": "strategy"}


async def begin(hass: HomeAssistant, **fields: Any) -> ConfigFlowResult:
    """Choose alerts and fill their form in."""
    menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "alerts"})
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "alerts")
    return await put(hass, form["flow_id"], **{**FIELDS, **fields})


def made(result: ConfigFlowResult | Any) -> tuple[str, str]:
    """Address and text of the form that shows them."""
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "copy")
    shown = {str(marker): marker.description["suggested_value"] for marker in result["data_schema"].schema}
    return shown["address"], shown["message"]


async def portfolio(
    hass: HomeAssistant, exchange: ExchangeSimulator, **fields: Any
) -> tuple[MockConfigEntry, str, str]:
    """A portfolio that alerts lead, the path of its webhook and its token."""
    result = await begin(hass, **fields)
    address, text = made(result)
    result = await put(hass, result["flow_id"], address=address, message="whatever is put in")
    assert result["step_id"] == "exchange"
    result = await put(hass, result["flow_id"], trading_mode="dry_run", exchange_url=exchange.url)
    result = await put(hass, result["flow_id"], initial_budget=1000, quote_asset="USDC", coins=["BTC", "ETH"])
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    entry: MockConfigEntry = result["result"]  # type: ignore[assignment]
    assert entry.state is ConfigEntryState.LOADED
    return entry, address[address.index("/api") :], json.loads(text)["token"]


def alert(token: str, **fields: Any) -> bytes:
    """A text as TradingView sends it."""
    told = dt_util.utcnow().isoformat()
    return json.dumps({"token": token, "ticker": "BTCUSDT", "timenow": told, **fields}).encode()


async def send(hass: HomeAssistant, client: Client, path: str, body: bytes) -> int:
    """Send an alert and let it do what it does; the answer's status. It never says anything."""
    async with client.post(path, data=body) as sent:
        assert await sent.read() == b""
        await hass.async_block_till_done()
        return sent.status


async def states(hass: HomeAssistant) -> list[str]:
    """What became of the alerts, oldest first."""
    told = (await answer(hass, "get_alerts"))["alerts"]
    return [f"{each['state']} {each['reason']}".strip() for each in reversed(told)]


async def test_long_and_flat(
    hass: HomeAssistant, exchange: ExchangeSimulator, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """From the form to the fill and back, with event, bus and answers."""
    entry, path, token = await portfolio(hass, exchange)
    assert (entry.title, entry.data["source"]) == ("Calv-a-lot alerts (dry run)", "alerts")
    assert token not in json.dumps({**entry.data, **entry.options})
    client, events = await hass_client_no_auth(), async_capture_events(hass, "calvalot_outside_alert")
    assert await send(hass, client, path, alert(token, market_position="long")) == 200
    assert await weights(hass) == {"BTC": pytest.approx(25, abs=1)}
    (told,) = (await answer(hass, "get_alerts", limit=5))["alerts"]
    assert (told["state"], told["result"], told["coin"], told["wants"]) == ("taken", "executed", "BTC", "hold")
    assert state_of(hass, entry, "event", "outside_alert").attributes["event_type"] == "taken"
    assert [event.data["type"] for event in events] == ["received", "taken"]
    assert await send(hass, client, path, alert(token, market_position="flat", id=2)) == 200
    await poll(hass, entry)
    assert await weights(hass) == {}
    body = alert(token, market_position="flat", id=3)
    assert [await send(hass, client, path, body) for _ in range(2)] == [200, 200]
    await poll(hass, entry)
    assert await states(hass) == ["taken", "taken", "unchanged"]
    diagnostics = await async_get_config_entry_diagnostics(hass, entry)
    assert diagnostics["alerts"] == [{"accepted": 4, "refused": 0, "postponed": 0}]
    assert token not in json.dumps(diagnostics, default=str)
    assert path.rpartition("/")[2] not in json.dumps(diagnostics, default=str)


async def test_strangers(
    hass: HomeAssistant, exchange: ExchangeSimulator, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """Whoever has no token is answered as where no webhook is, and leaves nothing behind."""
    entry, path, token = await portfolio(hass, exchange)
    client = await hass_client_no_auth()
    for body in (b"", b"hello", alert("wrong", action="buy"), alert(token, action="buy", note="x" * MAX_BODY)):
        assert await send(hass, client, path, body) == 200
    async with client.put(path, data=alert(token, action="buy")) as sent:
        assert (sent.status, await sent.read()) == (200, b"")
    assert await states(hass) == []
    assert (await async_get_config_entry_diagnostics(hass, entry))["alerts"][0]["refused"] == 5
    # With the token it is written down, whatever it is.
    assert await send(hass, client, path, b"oops " + token.encode()) == 200
    assert await states(hass) == ["refused unreadable"]
    assert token not in json.dumps(await answer(hass, "get_alerts"))


async def test_not_written_down(
    hass: HomeAssistant,
    exchange: ExchangeSimulator,
    hass_client_no_auth: ClientSessionGenerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What could not be written down, or is too much, is to come again; then it is there."""
    entry, path, token = await portfolio(hass, exchange)
    client, body = await hass_client_no_auth(), alert(token, market_position="long")
    with patch.object(Ledger, "add_alerts", side_effect=LedgerError("no room")):
        assert await send(hass, client, path, body) == 503
    monkeypatch.setattr(alert_webhook, "MOST", 1)
    assert await send(hass, client, path, body) == 503
    monkeypatch.setattr(alert_webhook, "WITHIN", 0.0)
    assert await send(hass, client, path, body) == 200
    assert await states(hass) == ["taken"]
    assert (await async_get_config_entry_diagnostics(hass, entry))["alerts"][0]["postponed"] == 2


async def test_many_at_once(
    hass: HomeAssistant, exchange: ExchangeSimulator, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """A hundred at once are all answered, each is kept, and the last one of each coin counts."""
    entry, path, token = await portfolio(hass, exchange)
    client = await hass_client_no_auth()
    bodies = [alert(token, ticker=("BTCUSD", "ETHUSD")[n % 2], id=n, market_position="long") for n in range(100)]
    assert set(await asyncio.gather(*(send(hass, client, path, body) for body in bodies))) == {200}
    assert len((await answer(hass, "get_alerts", limit=1000))["alerts"]) == 100
    await poll(hass, entry)
    assert set(await weights(hass)) == {"BTC", "ETH"}


async def test_test(
    hass: HomeAssistant, exchange: ExchangeSimulator, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """The button, the action and an alert that says so trade nothing, and say what would be traded."""
    entry, path, token = await portfolio(hass, exchange)
    told = await answer(hass, "test_alert")
    assert [(order["symbol"], order["side"]) for order in told["orders"]] == [("BTCUSDC", "BUY")]
    assert (told["state"], told["reason"]) == ("taken", "open")
    told = await answer(hass, "test_alert", message=message_for(Message.PLAIN, token))
    assert (told["state"], told["reason"], told["orders"]) == ("refused", "not_allowed", [])
    assert (await answer(hass, "test_alert", message="oops", source="alerts"))["reason"] == "unreadable"
    with pytest.raises(ServiceValidationError):
        await answer(hass, "test_alert", source="elsewhere")
    button = {"entity_id": entity_id(hass, entry, "button", "test_alert")}
    await hass.services.async_call("button", "press", button, blocking=True)
    notes = hass.data["persistent_notification"]
    (note,) = [each for each in notes.values() if "alert" in each["message"]]
    assert "Buy BTCUSDC · 290.1" in note["message"]
    client = await hass_client_no_auth()
    assert await send(hass, client, path, alert(token, action="buy", test=True)) == 200
    assert await states(hass) == ["tested open"]
    assert await send(hass, client, path, alert(token, market_position="long")) == 200
    await poll(hass, entry)
    await hass.services.async_call("button", "press", button, blocking=True)
    (note,) = [each for each in hass.data["persistent_notification"].values() if "alert" in each["message"]]
    assert "is so already" in note["message"]


async def test_renewed(
    hass: HomeAssistant, exchange: ExchangeSimulator, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """What is allowed changes in place; a new address and token end the old ones at once."""
    entry, path, token = await portfolio(hass, exchange)
    flow = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
    )
    form = await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": "alerts"})
    result = await put(hass, form["flow_id"], **{**FIELDS, "allow": ["close"]})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    await hass.async_block_till_done()
    client = await hass_client_no_auth()
    assert await send(hass, client, path, alert(token, market_position="long")) == 200
    assert await states(hass) == ["refused not_allowed"]
    flow = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
    )
    form = await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": "alerts"})
    result = await put(hass, form["flow_id"], **FIELDS, renew=True)
    address, text = made(result)
    result = await put(hass, result["flow_id"])
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()
    fresh, new = address[address.index("/api") :], json.loads(text)["token"]
    assert (fresh != path, new != token) == (True, True)
    assert await send(hass, client, path, alert(token, market_position="long", id=1)) == 200
    assert await send(hass, client, fresh, alert(token, market_position="long", id=2)) == 200
    assert await states(hass) == ["refused not_allowed"]
    assert await send(hass, client, fresh, alert(new, market_position="long", id=3)) == 200
    assert await states(hass) == ["refused not_allowed", "taken"]
    await hass.config_entries.async_unload(entry.entry_id)
    assert await send(hass, client, fresh, alert(new, market_position="flat", id=4)) == 200


async def test_wrong_figures(hass: HomeAssistant) -> None:
    """Outside of the ranges the form says which they are."""
    result = await begin(hass, share=101, max_age=1.5)
    assert result["errors"] == {"share": "out_of_range", "max_age": "out_of_range"}
    assert "Largest share" in (result["description_placeholders"] or {})["fields"]


async def test_address(hass: HomeAssistant) -> None:
    """The address from outside where Home Assistant knows it, else the path."""
    result = await begin(hass)
    assert made(result)[0].startswith("/api/webhook/") or "://" in made(result)[0]
    await async_process_ha_core_config(hass, {"external_url": "https://house.example.com"})
    result = await begin(hass)
    assert made(result)[0].startswith("https://house.example.com/api/webhook/")


async def test_beside_an_allocation(
    hass: HomeAssistant, exchange: ExchangeSimulator, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """As a further source with a weight of its own; pausing it leaves its address open."""
    from .test_allocation import portfolio as keeping

    entry = await keeping(hass, exchange)
    assert "outside_alert" not in {
        each.unique_id.partition("_")[2]
        for each in er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    }
    with pytest.raises(ServiceValidationError):
        await answer(hass, "test_alert")
    result = await ask(hass, entry, "alerts", weight=40, paused=False, **{**FIELDS, "share": 50})
    address, text = made(result)
    result = await hass.config_entries.subentries.async_configure(result["flow_id"], {})
    assert (result["type"], result["title"]) == (FlowResultType.CREATE_ENTRY, "alerts")
    await hass.async_block_till_done()
    path, token = address[address.index("/api") :], json.loads(text)["token"]
    client = await hass_client_no_auth()
    assert await send(hass, client, path, alert(token, ticker="ETHUSDT", market_position="long")) == 200
    await poll(hass, entry)
    held = await weights(hass)
    assert held["ETH"] == pytest.approx(60 * 0.3 + 40 * 0.5, abs=2)
    (subentry,) = entry.subentries.values()
    flow = await hass.config_entries.subentries.async_init(
        (entry.entry_id, "alerts"), context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry.subentry_id}
    )
    fields = {**FIELDS, "share": 50, "weight": 40, "paused": False, "renew": True}
    result = await hass.config_entries.subentries.async_configure(flow["flow_id"], fields)
    address, text = made(result)
    result = await hass.config_entries.subentries.async_configure(result["flow_id"], {})
    await hass.async_block_till_done()
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    body = alert(json.loads(text)["token"], ticker="ETHUSDT", market_position="flat")
    assert await send(hass, client, address[address.index("/api") :], body) == 200
    await poll(hass, entry)
    assert (await weights(hass))["ETH"] == pytest.approx(60 * 0.3, abs=2)
    assert await states(hass) == ["taken", "taken"]


async def test_problems(
    hass: HomeAssistant,
    exchange: ExchangeSimulator,
    hass_client_no_auth: ClientSessionGenerator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """That none comes, that they have no token, that they are refused: each is told, and goes with the first good one."""
    entry, path, token = await portfolio(hass, exchange)
    client = await hass_client_no_auth()

    def told(key: str) -> dict[str, str] | None:
        found = issue(hass, entry, key)
        return found and found.translation_placeholders

    assert told("alerts_silent") is None
    freezer.tick(timedelta(days=1, minutes=1))
    await poll(hass, entry)
    assert told("alerts_silent") == {"name": entry.title, "sources": entry.title}
    for number in range(3):
        assert told("alerts_without_token") is None
        assert await send(hass, client, path, alert("wrong", action="buy", id=number)) == 200
    assert told("alerts_without_token") == {"name": entry.title, "source": entry.title, "count": "3"}
    for number in range(3):
        assert told("alerts_refused") is None
        assert await send(hass, client, path, alert(token, ticker="DOGEUSDT", action="buy", id=number)) == 200
        await poll(hass, entry)
    assert (told("alerts_without_token"), told("alerts_silent")) == (None, None)
    shown = told("alerts_refused")
    assert shown
    assert shown["alerts"] == f"- {entry.title}: `unknown_coin` – 'DOGEUSDT'"
    assert await send(hass, client, path, alert(token, market_position="long")) == 200
    await poll(hass, entry)
    assert told("alerts_refused") is None


@pytest.mark.parametrize("kind", Message)
def test_texts(kind: Message) -> None:
    """Each text that is made can be read once TradingView has filled it in."""
    text = message_for(kind, "token")
    told = dt_util.utcnow() - timedelta(seconds=1)
    for name, word in {
        "ticker": "BTCUSDT",
        "exchange": "BINANCE",
        "timenow": told.isoformat(),
        "strategy.market_position": "long",
        "strategy.order.action": "buy",
        "strategy.order.contracts": "0.5",
        "strategy.order.id": "Long",
    }.items():
        text = text.replace(f"{{{{{name}}}}}", word)
    found = parse_alert(text.encode(), ("BTC",))
    assert (found.coin, found.told_at) == ("BTC", told)
    assert (found.wants == Hold(None)) is (kind is not Message.PLAIN)
    assert "{{" not in text
