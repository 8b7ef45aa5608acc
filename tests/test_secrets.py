"""Secrets are looked for everywhere that something leaves the follower, whatever goes wrong."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
import json
import logging
import re
import time
import traceback
from typing import Any
from unittest.mock import patch

from homeassistant.config_entries import SOURCE_REAUTH, SOURCE_RECONFIGURE
from homeassistant.const import MATCH_ALL
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.data_entry_flow import section
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er, issue_registry as ir
from homeassistant.helpers.json import ExtendedJSONEncoder
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_system_health_info
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
from custom_components.calvalot.exchanges import EXCHANGES, ExchangeName
from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.services import ACTIONS
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.sources import leader as leader_module
from custom_components.calvalot.trading.sources.push import signature
from simulators.exchange import ExchangeSimulator, FaultKind as ExchangeFault
from simulators.leader import FaultKind as LeaderFault, LeaderSimulator

from .conftest import add_entry, set_up
from .entities import enable_all, poll

LEADER_SECRET = "LeaderSecret7f3a9c51e2"
API_KEY = "ApiKey41d8cd98f00b204e9800998ecf8427eApiKey41d8cd98f00b204e98009"
API_SECRET = "ApiSecret93b885adfe0da089cdf634904fd59f71ApiSecret93b885adfe0da0"
WEBHOOK_ID = "Webhook4d186321c1a7f0f354b297e8914ab24Webhook4d186321c1a7f0f3548"
SECRETS = (LEADER_SECRET, API_KEY, API_SECRET, WEBHOOK_ID)
# What proves a secret for a while: a signature as it goes over the wire.
SIGNATURE = re.compile(r"signature['\"]?\s*[=:,]\s*(b?['\"])?[0-9a-f]{64}", re.IGNORECASE)
# Home Assistant's own log of paths that were asked for, at debug level or when it is switched on.
PATH_LOGS = ("homeassistant.components.webhook", "homeassistant.helpers.http", "aiohttp.access")
PATHS = ("/account", "/order", "/ticker/price", "/exchangeInfo", "/time", "/myTrades")


def seen(text: str | bytes) -> list[str]:
    """Secrets in a text, each by its first letters."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    found = [secret[:9] for secret in SECRETS if secret in text]
    return found + (["signature"] if SIGNATURE.search(text) else [])


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and everything that hangs on it, shown or not."""
    waiting, known = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) in known:
            continue
        known.add(id(each))
        yield each
        waiting += [other for other in (each.__cause__, each.__context__) if other]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def told_by(error: BaseException) -> str:
    """All that an error can tell: its words, its arguments, its notes, its traceback."""
    parts = ["".join(traceback.format_exception(error))]
    for each in chain(error):
        parts += [str(each), repr(each), repr(each.args), *getattr(each, "__notes__", ())]
    return "\n".join(parts)


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Log whatever there is, and look through it at the end."""
    names = (
        "",
        "aiohttp",
        "asyncio",
        "binance",
        "sqlalchemy",
        "sqlalchemy.engine",
        "sqlalchemy.pool",
        "custom_components",
    )
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    for record in caplog.get_records("call") + caplog.get_records("setup"):
        shown = f"{record.getMessage()} {record.args!r} {record.exc_text}"
        if record.name in PATH_LOGS and record.levelno <= (logging.INFO if "access" in record.name else logging.DEBUG):
            shown = shown.replace(WEBHOOK_ID, "")
        assert not seen(shown), f"{record.name}: {seen(shown)}"
        if record.exc_info and record.exc_info[1]:
            assert not seen(told_by(record.exc_info[1])), record.name


@pytest.fixture
def secret_data(live_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator) -> dict[str, Any]:
    """A live entry whose secrets cannot stand anywhere by chance."""
    leader.secret = LEADER_SECRET
    exchange.add_account(API_KEY, API_SECRET, {"USDC": "2000"})
    return live_data | {
        "signal_secret": LEADER_SECRET,
        "api_key": API_KEY,
        "api_secret": API_SECRET,
        "webhook_id": WEBHOOK_ID,
    }


@pytest.fixture
def bus(hass: HomeAssistant) -> list[str]:
    """All events as text."""
    told: list[str] = []

    @callback
    def listen(event: Event) -> None:
        told.append(json.dumps(event.as_dict(), cls=ExtendedJSONEncoder, default=repr))

    hass.bus.async_listen(MATCH_ALL, listen)
    return told


async def shown(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, str | bytes]:
    """Everything that Home Assistant shows of a follower, and its files."""
    found: dict[str, str | bytes] = {
        "states": repr([(state.entity_id, state.state, dict(state.attributes)) for state in hass.states.async_all()]),
        "issues": repr(list(ir.async_get(hass).issues.values())),
        "devices": repr(dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)),
        "entities": repr(er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)),
        "title": f"{entry.title} {entry.unique_id} {entry.reason} {entry.error_reason_translation_placeholders}",
        "diagnostics": json.dumps(await async_get_config_entry_diagnostics(hass, entry), cls=ExtendedJSONEncoder),
        "snapshot": repr(entry.runtime_data.data),
        "settings": repr(entry.runtime_data.settings),
        "health": repr({key: value for key, value in (await health(hass)).items() if key != "can_reach_exchange"}),
    }
    for action in ACTIONS:
        if action.name.startswith(("get_", "preview")):
            try:
                asked = {"coin": "BTC"} if action.name == "get_candles" else {}
                answer = await hass.services.async_call(DOMAIN, action.name, asked, blocking=True, return_response=True)
            except HomeAssistantError as err:
                found[action.name] = told_by(err)
            else:
                found[action.name] = repr(answer)
    for file in ledger_path(hass, entry.entry_id).parent.iterdir():
        found[file.name] = file.read_bytes()
    return found


async def health(hass: HomeAssistant) -> dict[str, Any]:
    """What system health tells."""
    assert await async_setup_component(hass, "system_health", {})
    info = await get_system_health_info(hass, DOMAIN)
    await info["can_reach_exchange"]
    return info


async def assert_clean(hass: HomeAssistant, entry: MockConfigEntry, bus: list[str]) -> None:
    """No secret in anything."""
    for where, content in (await shown(hass, entry)).items():
        assert not seen(content), where
    for event in bus:
        assert not seen(event)
    data = entry.runtime_data.data
    for problem in (data.leader_problem, data.exchange_problem):
        assert problem is None or not seen(told_by(problem))


async def test_at_work(
    hass: HomeAssistant, secret_data: dict[str, Any], leader: LeaderSimulator, bus: list[str]
) -> None:
    """A follower that trades as it should gives nothing away."""
    leader.set_sign_answers(True)
    leader.publish_v2({"BTC": "0.4", "ETH": "0.2"})
    entry = add_entry(hass, secret_data)
    await set_up(hass, entry)
    await enable_all(hass, entry)
    leader.publish_v2({"BTC": "0.2", "DOGE": "0.1"})
    await poll(hass, entry)
    assert entry.runtime_data.data.positions["BTC"].quantity > 0
    await assert_clean(hass, entry, bus)


async def test_pushed_to(
    hass: HomeAssistant,
    secret_data: dict[str, Any],
    leader: LeaderSimulator,
    hass_client_no_auth: ClientSessionGenerator,
    bus: list[str],
) -> None:
    """Neither a push nor what is none leaves a trace of the address, the secret or what came in."""
    entry = add_entry(hass, secret_data, push=True)
    await set_up(hass, entry)
    client = await hass_client_no_auth()
    path = f"/api/webhook/{WEBHOOK_ID}"
    leader.set_clock(1)  # nothing from the second of the start is heard
    leader.set_webhooks([str(client.make_url(path))])
    leader.publish_v2({"BTC": "0.4"})
    await leader.pushed()
    await hass.async_block_till_done()
    assert entry.runtime_data.data.positions["BTC"].quantity > 0
    for method in ("GET", "HEAD", "POST", "PUT"):
        async with client.request(method, path, data=API_SECRET, headers={"X-Signal-Signature": "0f" * 32}) as answer:
            assert await answer.read() == b""
    assert entry.runtime_data.verifier.refused == 4
    # However well it is signed: nothing that a push says is kept or told.
    body, timestamp = f"{API_KEY} {LEADER_SECRET}".encode(), str(int(time.time()) + 1)
    proof = {"X-Signal-Timestamp": timestamp, "X-Signal-Signature": signature(LEADER_SECRET, timestamp, path, body)}
    async with client.post(path, data=body, headers=proof | {"X-Reason": API_SECRET}) as answer:
        assert answer.status == 202
        assert await answer.read() == b""
    await hass.async_block_till_done()
    await assert_clean(hass, entry, bus)


@pytest.mark.parametrize("kind", LeaderFault)
async def test_leader_fault(
    hass: HomeAssistant, secret_data: dict[str, Any], leader: LeaderSimulator, bus: list[str], kind: LeaderFault
) -> None:
    """However the leader fails."""
    entry = add_entry(hass, secret_data)
    await set_up(hass, entry)
    leader.publish_v2({"BTC": "0.4"})
    location = f"http://elsewhere.example/{API_KEY[:3]}"
    leader.misbehave(kind, 2, seconds=0.5, location=location if kind is LeaderFault.REDIRECT_AWAY else None)
    with patch.object(leader_module, "TIMEOUT", 0.2):
        await poll(hass, entry, 2)
    await assert_clean(hass, entry, bus)


async def test_leader_gone(
    hass: HomeAssistant,
    secret_data: dict[str, Any],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    bus: list[str],
) -> None:
    """Nor when nobody is there at all."""
    entry = add_entry(hass, secret_data)
    await set_up(hass, entry)
    await leader.stop()
    await exchange.stop()
    await poll(hass, entry, 3)
    assert entry.runtime_data.data.leader_problem
    assert entry.runtime_data.data.exchange_problem
    assert not seen(repr(await health(hass)))
    data = entry.runtime_data.data
    for problem in (data.leader_problem, data.exchange_problem):
        assert not seen(told_by(problem))
    await leader.start()
    await exchange.start()
    await assert_clean(hass, entry, bus)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ExchangeFault)
async def test_exchange_fault(
    hass: HomeAssistant,
    secret_data: dict[str, Any],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    bus: list[str],
    kind: ExchangeFault,
    when: str,
) -> None:
    """However and wherever the exchange fails, before or after it has done what was asked."""
    entry = add_entry(hass, secret_data)
    impatient = replace(EXCHANGES[ExchangeName.BINANCE], make=partial(BinanceExchange, timeout=0.3))
    with patch.dict(EXCHANGES, {ExchangeName.BINANCE: impatient}):
        await set_up(hass, entry)
    for path in PATHS:
        exchange.fault(kind, when=when, path=path, seconds=0.5 if kind is ExchangeFault.HANG else 0.05, count=2)
    for share in ("0.4", "0.2"):
        leader.publish_v2({"BTC": share})
        await poll(hass, entry)
        problem = entry.runtime_data.data.exchange_problem
        assert problem is None or not seen(told_by(problem))
    exchange.clear_faults()
    await assert_clean(hass, entry, bus)


@pytest.mark.parametrize("code", [-1022, -2014, -2015, -1021, -1100, -2010])
async def test_refused(
    hass: HomeAssistant,
    secret_data: dict[str, Any],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    bus: list[str],
    code: int,
) -> None:
    """Nor when the key or an order is refused: not in the reason, the record or the question for a new key."""
    entry = add_entry(hass, secret_data)
    await set_up(hass, entry)
    exchange.fault("error", code=code, path="/account", count=1)
    exchange.fault("error", code=code, path="/order", method="POST", count=2)
    leader.publish_v2({"BTC": "0.4"})
    await poll(hass, entry, 2)
    await assert_clean(hass, entry, bus)
    await assert_flows_clean(hass)


@pytest.mark.parametrize("start", ["reconfigure", "reauth"])
async def test_forms(hass: HomeAssistant, secret_data: dict[str, Any], start: str) -> None:
    """No form shows what is stored, not even after an error."""
    entry = add_entry(hass, secret_data)
    await set_up(hass, entry)
    manager = hass.config_entries.flow
    if start == "reauth":
        entry.async_start_reauth(hass)
        await hass.async_block_till_done()
        (flow,) = manager.async_progress()
        assert flow["context"]["source"] == SOURCE_REAUTH
        assert not seen(form(await manager.async_configure(flow["flow_id"])))
        wrong = await manager.async_configure(flow["flow_id"], {"signal_secret": "wrong"})
        assert wrong["errors"]
        assert not seen(form(wrong))
    else:
        for step in ("leader", "exchange"):
            flow = await manager.async_init(DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id})
            first = await manager.async_configure(flow["flow_id"], {"next_step_id": step})
            assert not seen(form(first))
            field = f"{step}_url"
            wrong = await manager.async_configure(
                flow["flow_id"],
                {field: "http://127.0.0.1:9"} | ({"trading_mode": "live"} if step == "exchange" else {}),
            )
            assert wrong["errors"]
            assert not seen(form(wrong))
    options = await hass.config_entries.options.async_init(entry.entry_id)
    # It is there that the owner reads the address to give to the leader.
    assert seen(form(options)) == ["Webhook4d"]
    await assert_flows_clean(hass)


def form(result: Any) -> str:
    """A form with all that it hands to the browser."""
    fields = [
        key
        for name, value in result["data_schema"].schema.items()
        for key in (value.schema.schema if isinstance(value, section) else [name])
    ]
    defaults = [key.default() for key in fields if callable(getattr(key, "default", None))]
    return repr(dict(result)) + repr(fields) + repr([key.description for key in fields]) + repr(defaults)


async def assert_flows_clean(hass: HomeAssistant) -> None:
    """Nothing in what is in progress."""
    for flow in hass.config_entries.flow.async_progress(include_uninitialized=True):
        assert not seen(repr(flow))


@pytest.mark.parametrize(
    "api_secret",
    [
        f"-----BEGIN PRIVATE KEY-----{API_SECRET}-----END PRIVATE KEY-----",
        f"-----BEGIN RSA PRIVATE KEY-----\n{API_SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----!{API_SECRET}!-----END PRIVATE KEY-----",
        f"{API_SECRET}\n",
    ],
)
async def test_key_that_is_none(
    hass: HomeAssistant, secret_data: dict[str, Any], bus: list[str], api_secret: str
) -> None:
    """A private key that cannot be read is not told in the error that says so."""
    entry = add_entry(hass, secret_data | {"api_secret": api_secret})
    await set_up(hass, entry)
    await poll(hass, entry)
    await assert_clean(hass, entry, bus)


async def test_stored_rubbish(hass: HomeAssistant, secret_data: dict[str, Any]) -> None:
    """An entry that cannot be set up says which field, not what is in it."""
    entry = add_entry(hass, secret_data | {"leader_url": f"nowhere {LEADER_SECRET}"})
    await set_up(hass, entry)
    assert entry.reason
    assert not seen(f"{entry.reason} {entry.error_reason_translation_placeholders}")


async def test_objects(hass: HomeAssistant, secret_data: dict[str, Any]) -> None:
    """What a debugger, a log call or an error tracker prints of our objects."""
    entry = add_entry(hass, secret_data, push=True)
    await set_up(hass, entry)
    coordinator = entry.runtime_data
    assert coordinator.verifier
    follower = coordinator.engine
    for thing in (
        coordinator,
        follower,
        follower.settings,
        *follower.sources,
        *(state.source for state in follower.sources),
        coordinator.verifier,
        coordinator.exchange,
    ):
        assert not seen(f"{thing!r} {thing}")


def test_the_search_finds() -> None:
    """What is looked for would be found."""
    assert seen(f"key {API_KEY}") == ["ApiKey41d"]
    assert seen(b"\x00" + API_SECRET.encode()) == ["ApiSecret"]
    assert seen("signature=" + "0f" * 32) == ["signature"]
    assert seen("('X-Signal-Signature': '" + "0f" * 32) == ["signature"]
    error = ValueError("harmless")
    error.__context__ = KeyError(LEADER_SECRET)
    error.__suppress_context__ = True
    assert seen(told_by(error)) == ["LeaderSec"]
