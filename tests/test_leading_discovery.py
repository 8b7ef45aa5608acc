"""A leader that is found in its own network: Home Assistant's own zeroconf, on real sockets of the loopback interface."""

from collections.abc import AsyncGenerator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import AsyncMock

from aiohttp import web
from aiohttp.test_utils import TestServer
from homeassistant.components.zeroconf.const import DATA_INSTANCE
from homeassistant.components.zeroconf.models import HaAsyncZeroconf, HaZeroconf
from homeassistant.config_entries import SOURCE_IGNORE, SOURCE_RECONFIGURE, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
from homeassistant.loader import DATA_CUSTOM_COMPONENTS
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_test_home_assistant
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from zeroconf import NotRunningException
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.publishers.announcement import TYPE
from custom_components.calvalot.trading.leading.keys import leader_id
from harness.portfolio import entry_data
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .leading import Client, allow, configure, holding, local, settle, until, weights

OTHER = "0123456789abcdef" * 2


class NextDoor(NamedTuple):
    """Another Home Assistant in the same network, a portfolio there, and the address at which that is followed."""

    hass: HomeAssistant
    entry: MockConfigEntry
    url: str

    @property
    def id(self) -> str:
        """What the portfolio is called where it leads."""
        return leader_id(self.entry.entry_id)


@pytest.fixture
async def network(hass: HomeAssistant, socket_enabled: None) -> AsyncGenerator[AsyncZeroconf]:
    """Home Assistant's zeroconf on loopback, and somebody else's there."""
    own = HaAsyncZeroconf(zc=HaZeroconf(interfaces=["127.0.0.1"]))
    hass.data[DATA_INSTANCE] = own
    assert await async_setup_component(hass, "zeroconf", {})
    other = AsyncZeroconf(interfaces=["127.0.0.1"])
    yield other
    await other.async_close()
    await own.ha_async_close()


@pytest.fixture
async def leads(
    hass: HomeAssistant, socket_enabled: None, entry: MockConfigEntry, leader: LeaderSimulator
) -> MockConfigEntry:
    """A portfolio that may be followed by nobody yet."""
    return await holding(hass, entry, leader)


@pytest.fixture
async def client(hass: HomeAssistant, leads: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator) -> Client:
    """Somebody on the network, without a login; Home Assistant knows its own address there."""
    client = await hass_client_no_auth()
    await async_process_ha_core_config(hass, {"internal_url": str(client.make_url("")).rstrip("/")})
    return client


@pytest.fixture
async def next_door(
    hass: HomeAssistant,
    socket_enabled: None,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    tmp_path: Path,
    aiohttp_client: ClientSessionGenerator,
) -> AsyncGenerator[NextDoor]:
    """Another Home Assistant, with a portfolio that may be followed by nobody yet."""
    async with async_test_home_assistant(config_dir=str(tmp_path / "next_door")) as other:
        other.data.pop(DATA_CUSTOM_COMPONENTS)
        portfolio = add_entry(other, entry_data(leader, exchange, live=False))
        await holding(other, portfolio, leader)
        client = await aiohttp_client(other.http.app)
        yield NextDoor(other, portfolio, local(client, portfolio))
        await other.async_stop(force=True)


def said(leader: str, address: str | None, **properties: Any) -> ZeroconfServiceInfo:
    """What Home Assistant's zeroconf tells of somebody in the network."""
    return ZeroconfServiceInfo(
        ip_address=ip_address("192.168.1.20"),
        ip_addresses=[ip_address("192.168.1.20")],
        port=8123,
        hostname=f"{leader}.local.",
        type=TYPE,
        name=f"Next door.{TYPE}",
        properties={"id": leader, "address": address, **properties},
    )


def at(leader: str, base: str = "http://192.168.1.20:8123") -> str:
    """The address of a leader."""
    return f"{base}/api/calvalot/{leader}"


async def find(hass: HomeAssistant, info: ZeroconfServiceInfo) -> ConfigFlowResult:
    """Somebody is found in the network."""
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": "zeroconf"}, data=info)


def offered(hass: HomeAssistant) -> list[str]:
    """What is offered of what was found."""
    flows = hass.config_entries.flow.async_progress()
    return [flow["context"]["title_placeholders"]["name"] for flow in flows if flow["context"]["source"] == "zeroconf"]


async def heard(network: AsyncZeroconf, name: str) -> AsyncServiceInfo | None:
    """What another one in the network is told of a name, now."""
    info = AsyncServiceInfo(TYPE, f"{name}.{TYPE}")
    return info if await info.async_request(network.zeroconf, 3000) else None


# The leader's side


async def test_announced(hass: HomeAssistant, network: AsyncZeroconf, leads: MockConfigEntry, client: Client) -> None:
    """A portfolio is announced as long as a follower has that switched on, with nothing but name, address and id."""
    hass.config.location_name = "St. John's Wood"
    id_ = leader_id(leads.entry_id)
    name = f"St  John's Wood {id_[:6]}"
    await allow(hass, leads)
    assert await heard(network, name) is None
    await allow(hass, leads, follower="Bob", announce=True)
    info = await heard(network, name)
    assert info
    assert info.decoded_properties == {"id": id_, "address": local(client, leads)}
    assert info.server == f"{id_}.local."
    assert info.port == hass.http.server_port
    (_, bob) = leads.subentries
    context = {"source": SOURCE_RECONFIGURE, "subentry_id": bob}
    flow = await hass.config_entries.subentries.async_init((leads.entry_id, "publisher"), context=context)
    await configure(hass, flow, follower="Bob", version="2", delay=0, announce=False, renew=False)
    await until(lambda: not network.zeroconf.cache.async_entries_with_name(f"{name}.{TYPE}".lower()))
    assert await heard(network, name) is None


async def test_withdrawn(hass: HomeAssistant, network: AsyncZeroconf, leads: MockConfigEntry, client: Client) -> None:
    """An entry that is unloaded is announced no more; set up again it is, under the same name."""
    hass.config.location_name = "Home"
    name = f"Home {leader_id(leads.entry_id)[:6]}"
    await allow(hass, leads, announce=True)
    assert await heard(network, name)
    assert await hass.config_entries.async_unload(leads.entry_id)
    assert await heard(network, name) is None
    assert await set_up(hass, leads)
    await settle(hass)
    assert await heard(network, name)
    for key in list(leads.subentries):
        hass.config_entries.async_remove_subentry(leads, key)
    await settle(hass)
    assert await heard(network, name) is None


async def test_cannot_be_announced(
    hass: HomeAssistant,
    network: AsyncZeroconf,
    leads: MockConfigEntry,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without a network, and without an address of its own, a portfolio is followed all the same."""
    name = f"test home {leader_id(leads.entry_id)[:6]}"
    monkeypatch.setattr(hass.data[DATA_INSTANCE], "async_register_service", AsyncMock(side_effect=NotRunningException))
    await allow(hass, leads, announce=True)
    assert "could not be announced: NotRunningException" in caplog.text
    monkeypatch.undo()
    hass.config.internal_url = f"http://{'a' * 60}.{'b' * 60}.{'c' * 60}.lan"
    await allow(hass, leads, follower="Bob", announce=True)
    assert "knows no address of its own" in caplog.text
    hass.config.internal_url = hass.config.api = None
    await allow(hass, leads, follower="Carol", announce=True)
    assert await heard(network, name) is None


async def test_without_zeroconf(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """Where Home Assistant has no zeroconf nothing is announced, and none is begun."""
    await allow(hass, leads, announce=True)
    assert "zeroconf" not in hass.config.components
    assert DATA_INSTANCE not in hass.data


# The follower's side


async def test_found(
    hass: HomeAssistant,
    network: AsyncZeroconf,
    leads: MockConfigEntry,
    client: Client,
) -> None:
    """Who is announced in the network is offered, as long as he is; own portfolios are not."""
    await allow(hass, leads, announce=True)
    info = AsyncServiceInfo(
        TYPE,
        name=f"Next door.{TYPE}",
        server=f"{OTHER}.local.",
        parsed_addresses=["127.0.0.1"],
        port=8123,
        properties={"id": OTHER, "address": at(OTHER)},
    )
    await (await network.async_register_service(info))
    await until(lambda: bool(offered(hass)))
    await settle(hass)
    assert offered(hass) == ["Next door"]
    await (await network.async_unregister_service(info))
    await until(lambda: not offered(hass))


async def test_followed(hass: HomeAssistant, next_door: NextDoor, exchange: ExchangeSimulator) -> None:
    """The secret is all that is asked for; the leader proves that it holds it, and its chain is checked from then on."""
    given = await allow(next_door.hass, next_door.entry)
    form = await find(hass, said(next_door.id, next_door.url))
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "zeroconf_confirm")
    assert form["description_placeholders"]
    assert form["description_placeholders"]["address"] == next_door.url
    for secret, error in ((" ", "secret_missing"), ("wrong", "invalid_auth")):
        form = await hass.config_entries.flow.async_configure(form["flow_id"], {"signal_secret": secret})
        assert form["errors"] == {"signal_secret": error}
    second = await finish(hass, form, exchange, given["secret"])
    assert second.data["leader_url"] == next_door.url
    assert second.data["leader_id"] == next_door.id
    assert second.data["leader_key"] == next_door.entry.runtime_data.publishers.leading.public_key
    assert weights(second) == {"BTC": pytest.approx(0.4, abs=0.005)}
    # Found again, at whichever address, it is left out.
    again = await find(hass, said(next_door.id, at(next_door.id)))
    assert (again["type"], again["reason"]) == (FlowResultType.ABORT, "already_followed")


async def test_moves(hass: HomeAssistant, next_door: NextDoor, exchange: ExchangeSimulator) -> None:
    """Who gets moves checks no chain: it says allocations."""
    given = await allow(next_door.hass, next_door.entry, version="1")
    second = await finish(hass, await find(hass, said(next_door.id, next_door.url)), exchange, given["secret"])
    assert second.data["signal_secret"] == given["secret"]
    assert "leader_key" not in second.data


async def finish(
    hass: HomeAssistant, form: ConfigFlowResult, exchange: ExchangeSimulator, secret: str
) -> MockConfigEntry:
    """Follow who was found, on paper."""
    for answers in (
        {"signal_secret": secret},
        {"trading_mode": "dry_run", "exchange_url": exchange.url},
        {"initial_budget": 1000},
    ):
        form = await hass.config_entries.flow.async_configure(form["flow_id"], answers)
        assert not form.get("errors"), form
    await settle(hass)
    assert form["type"] is FlowResultType.CREATE_ENTRY
    entry: MockConfigEntry = form["result"]  # type: ignore[assignment]
    return entry


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"{}", {"base": "invalid_response"}),
        (204, b"", {"base": "invalid_response"}),
        (404, b"", {"base": "signal_disabled"}),
        (503, b"", {"base": "cannot_connect"}),
    ],
)
async def test_no_proof(
    hass: HomeAssistant, socket_enabled: None, status: int, body: bytes, error: dict[str, str]
) -> None:
    """Who answers at the address without holding the secret is not followed."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        form = await find(hass, said(OTHER, at(OTHER, str(server.make_url("")).rstrip("/"))))
        form = await hass.config_entries.flow.async_configure(form["flow_id"], {"signal_secret": "secret"})
        assert form["errors"] == error


async def test_left_out(hass: HomeAssistant, leads: MockConfigEntry, leader: LeaderSimulator, exchange: Any) -> None:
    """What is no leader, one of our own, one that is followed as a further source, and one that was ignored."""
    id_ = leader_id(leads.entry_id)
    for info, reason in (
        (said(id_, at(id_)), "own_leader"),
        (said(OTHER, None), "no_leader"),
        (said(OTHER, "nowhere"), "no_leader"),
        (said(OTHER, at(OTHER, "http://203.0.113.7")), "no_leader"),
        (said(OTHER, at(id_)), "no_leader"),
        (said(OTHER, "http://192.168.1.20:8123/other"), "no_leader"),
        (said(OTHER[:-1], at(OTHER[:-1])), "no_leader"),
        (said(OTHER, at(OTHER), id=None), "no_leader"),
    ):
        found = await find(hass, info)
        assert (found["type"], found["reason"]) == (FlowResultType.ABORT, reason), info
    first = await find(hass, said(OTHER, at(OTHER)))
    assert first["step_id"] == "zeroconf_confirm"
    assert (await find(hass, said(OTHER, at(OTHER, "http://192.168.1.21"))))["reason"] == "already_in_progress"
    # It is followed by its link while it is offered.
    second = add_entry(hass, {**entry_data(leader, exchange, live=False), "leader_url": at(OTHER)}, title="second")
    form = await hass.config_entries.flow.async_configure(first["flow_id"], {"signal_secret": "secret"})
    assert (form["type"], form["reason"]) == (FlowResultType.ABORT, "already_followed")
    await hass.config_entries.async_remove(second.entry_id)
    await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_IGNORE}, data={"unique_id": f"leader {OTHER}", "title": "Next door"}
    )
    assert (await find(hass, said(OTHER, at(OTHER))))["reason"] == "already_configured"
