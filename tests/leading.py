"""What the tests of leading share: letting somebody follow, following, and asking by hand."""

import asyncio
from collections.abc import Callable
import hashlib
import hmac
import time
from typing import Any

from aiohttp.test_utils import TestClient
from homeassistant.config_entries import SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.trading.leading.keys import leader_id
from custom_components.calvalot.trading.sources.leader import Leader
from harness.portfolio import entry_data
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up

PATIENCE = 60
FIELDS = {"follower": "Alice", "version": "2", "delay": 0}
type Client = TestClient[Any, Any]


async def holding(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> MockConfigEntry:
    """A portfolio on paper that holds 40 % BTC and may be followed by nobody yet."""
    leader.publish_v2({"BTC": "0.4"})
    assert await set_up(hass, entry)
    return entry


async def settle(hass: HomeAssistant) -> None:
    """Let everything happen, also what nobody waits for."""
    await hass.async_block_till_done(wait_background_tasks=True)


async def configure(hass: HomeAssistant, flow: SubentryFlowResult, **fields: Any) -> SubentryFlowResult:
    """Fill in the form that is shown."""
    result = await hass.config_entries.subentries.async_configure(flow["flow_id"], fields)
    await settle(hass)
    return result


async def begin(hass: HomeAssistant, entry: MockConfigEntry, transport: str = "http") -> SubentryFlowResult:
    """The form of a new publisher."""
    menu = await hass.config_entries.subentries.async_init((entry.entry_id, "publisher"), context={"source": "user"})
    assert (menu["type"], menu["menu_options"]) == (FlowResultType.MENU, ["http", "mqtt"])
    return await configure(hass, menu, next_step_id=transport)


async def allow(hass: HomeAssistant, entry: MockConfigEntry, **fields: Any) -> dict[str, str]:
    """Let somebody follow; what he is given."""
    flow = await configure(hass, await begin(hass, entry), **{**FIELDS, **fields})
    assert (flow["type"], flow["step_id"]) == (FlowResultType.FORM, "copy"), flow["errors"]
    given = made(flow)
    assert (await configure(hass, flow))["type"] is FlowResultType.CREATE_ENTRY
    return given


def made(flow: SubentryFlowResult) -> dict[str, str]:
    """What a form shows to be copied."""
    schema = flow["data_schema"]
    assert schema
    return {
        str(marker): marker.description["suggested_value"]
        for marker in schema.schema
        if marker.description and "suggested_value" in marker.description
    }


def local(client: Client, entry: MockConfigEntry) -> str:
    """Where a portfolio is followed on loopback."""
    return str(client.make_url(f"/api/calvalot/{leader_id(entry.entry_id)}"))


def asking(hass: HomeAssistant, url: str, secret: str) -> Leader:
    """The ordinary client of a follower."""
    return Leader(async_get_clientsession(hass), url, secret, "1.2.3")


async def start(hass: HomeAssistant) -> str:
    """Begin to follow; the flow's id."""
    flow = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    flow = await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": "leader"})
    return flow["flow_id"]


async def follow(hass: HomeAssistant, exchange: ExchangeSimulator, link: str) -> MockConfigEntry:
    """Follow a link, through the whole flow on paper."""
    flow_id = await start(hass)
    for answers in (
        {"leader_url": link},
        {"trading_mode": "dry_run", "exchange_url": exchange.url},
        {"initial_budget": 1000},
    ):
        step = await hass.config_entries.flow.async_configure(flow_id, answers)
        assert not step.get("errors"), step
    await settle(hass)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    entry: MockConfigEntry = step["result"]  # type: ignore[assignment]
    return entry


def weights(entry: MockConfigEntry) -> dict[str, float]:
    """Shares of what is held but for dust."""
    positions = entry.runtime_data.data.positions.values()
    return {each.coin: float(each.weight) for each in positions if each.weight and each.weight > 0.001}


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def set_mqtt_up(hass: HomeAssistant, port: int) -> MockConfigEntry:
    """Set Home Assistant's MQTT up, and wait until it is connected."""
    entry = MockConfigEntry(
        domain="mqtt",
        data={"broker": "127.0.0.1", "port": port, "protocol": "3.1.1"},
        options={"birth_message": {}},
        version=1,
        minor_version=2,
    )
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: connected(hass))
    return entry


def connected(hass: HomeAssistant) -> bool:
    """Whether Home Assistant is connected to the broker."""
    from homeassistant.components import mqtt

    return mqtt.is_connected(hass)


async def followed_by(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    client: Client,
) -> MockConfigEntry:
    """A second portfolio on paper that follows a portfolio over HTTP."""
    given = await allow(hass, entry)
    address = {"leader_url": local(client, entry), "signal_secret": given["secret"]}
    second = add_entry(hass, entry_data(leader, exchange, live=False) | address, title="second")
    assert await set_up(hass, second)
    await settle(hass)
    return second


async def publish_on(hass: HomeAssistant, entry: MockConfigEntry, **fields: Any) -> str:
    """Have a portfolio publish over MQTT; the link of it."""
    flow = await configure(hass, await begin(hass, entry, "mqtt"), **{"topic": "calvalot/one", "delay": 0, **fields})
    assert (flow["type"], flow["step_id"]) == (FlowResultType.FORM, "copy"), flow["errors"]
    link = made(flow)["link"]
    assert (await configure(hass, flow))["type"] is FlowResultType.CREATE_ENTRY
    return link


def signed(secret: str, message: bytes) -> str:
    """A signature, made by hand."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def signed_now(secret: str) -> dict[str, str]:
    """Headers of a request, made by hand."""
    timestamp = str(int(time.time()))
    return {"X-Signal-Timestamp": timestamp, "X-Signal-Signature": signed(secret, timestamp.encode())}
