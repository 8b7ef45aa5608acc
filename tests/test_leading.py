"""A portfolio that leads and one that follows it, in one Home Assistant, over its real HTTP server."""

from base64 import b64encode
from collections.abc import AsyncGenerator
from dataclasses import replace
import hashlib
import json
from pathlib import Path
import re
import time
from typing import Any

from aiohttp import ClientSession
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
from custom_components.calvalot.issues import issue_id
from custom_components.calvalot.publishers import page
from custom_components.calvalot.publishers.settings import published_path
from custom_components.calvalot.trading.errors import LeaderError, LeaderForbidden, LeaderSignalsOff
from custom_components.calvalot.trading.leading.keys import PublicKey, SigningKey, from_text, leader_id
from custom_components.calvalot.trading.leading.link import read_link
from custom_components.calvalot.trading.sources.leader_format import parse_signal
from custom_components.calvalot.trading.statistics.marks import PERIODS, SINCE_START, THIS_YEAR
from harness.portfolio import entry_data
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import keys, poll, state_of
from .leading import (
    FIELDS,
    Client,
    allow,
    asking,
    begin,
    configure,
    follow,
    followed_by,
    holding,
    local,
    made,
    settle,
    signed,
    signed_now,
    start,
    weights,
)


@pytest.fixture
async def leads(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> MockConfigEntry:
    """A portfolio that may be followed by nobody yet."""
    return await holding(hass, entry, leader)


@pytest.fixture
async def client(leads: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator) -> Client:
    """Somebody on the network, without a login; Home Assistant's own server answers."""
    return await hass_client_no_auth()


# End to end


async def test_followed(
    hass: HomeAssistant,
    leads: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    client: Client,
) -> None:
    """A second portfolio follows the first over HTTP as it follows every leader, and holds the same shares."""
    second = await followed_by(hass, leads, leader, exchange, client)
    assert weights(second) == {"BTC": pytest.approx(0.4, abs=0.005)}
    assert second.runtime_data.data.leader_connected is True
    leader.publish_v2({"ETH": "0.3", "SOL": "0.2"})
    await poll(hass, leads)
    await settle(hass)
    await poll(hass, second)
    assert weights(second) == {"ETH": pytest.approx(0.3, abs=0.005), "SOL": pytest.approx(0.2, abs=0.005)}
    assert weights(second) == {coin: pytest.approx(share, abs=0.005) for coin, share in weights(leads).items()}
    # What was taken back holds no more.
    (publisher,) = leads.subentries
    assert hass.config_entries.async_remove_subentry(leads, publisher)
    await settle(hass)
    await poll(hass, second)
    assert second.runtime_data.data.leader_connected is False
    assert isinstance(second.runtime_data.data.leader_problem, LeaderSignalsOff)


async def test_pushed(
    hass: HomeAssistant,
    leads: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    client: Client,
) -> None:
    """A follower whose webhook is known hears of a signal at once."""
    second = add_entry(hass, {}, title="second", push=True)
    webhook = str(client.make_url(f"/api/webhook/{second.data.get('webhook_id')}"))
    given = await allow(hass, leads, webhook=webhook)
    data = entry_data(leader, exchange, live=False) | {
        "leader_url": local(client, leads),
        "signal_secret": given["secret"],
        "webhook_id": second.data.get("webhook_id"),
    }
    hass.config_entries.async_update_entry(second, data=data)
    assert await set_up(hass, second)
    await settle(hass)
    # Nothing signed up to the second of its own start is heard.
    started = int(time.time())
    while int(time.time()) <= started:
        pass
    leader.publish_v2({"ETH": "0.3"})
    await poll(hass, leads)
    await settle(hass)
    assert weights(second) == {"ETH": pytest.approx(0.3, abs=0.005)}


async def test_loop(
    hass: HomeAssistant,
    leads: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    client: Client,
) -> None:
    """Two portfolios that follow each other trade nothing of what comes back."""
    second = await followed_by(hass, leads, leader, exchange, client)
    back = await allow(hass, second, follower="Bob")
    hass.config_entries.async_update_entry(
        leads, data={**leads.data, "leader_url": local(client, second), "signal_secret": back["secret"]}
    )
    await settle(hass)
    await poll(hass, leads)
    newest = (await leads.runtime_data.engine.queries.signals(1))[0]
    assert (newest["result"], newest["reason"]) == ("rejected", "signal_loop: it came through this portfolio")
    form = await hass.config_entries.subentries.async_init((leads.entry_id, "leader"), context={"source": "user"})
    form = await configure(
        hass, form, weight=10, paused=False, leader_url=local(client, second), signal_secret=back["secret"]
    )
    assert form["errors"] == {"leader_url": "signal_loop"}


# The same protocol as the leader's


@pytest.fixture(params=["simulator", "home_assistant"])
async def told(
    request: pytest.FixtureRequest,
    hass: HomeAssistant,
    leads: MockConfigEntry,
    leader: LeaderSimulator,
    client: Client,
) -> AsyncGenerator[tuple[str, str]]:
    """Address and secret of a leader that wants 40 % BTC: the stand-in of the first Calv-a-lot, and ours."""
    if request.param == "simulator":
        yield leader.url, leader.secret
    else:
        given = await allow(hass, leads)
        yield local(client, leads), given["secret"]


async def test_contract(hass: HomeAssistant, told: tuple[str, str]) -> None:
    """The follower's own client reads a signal, again and again the same."""
    url, secret = told
    body = await asking(hass, url, secret).fetch()
    assert body
    signal = parse_signal(body, ["BTC"])
    assert {coin: float(share) for coin, share in (signal.targets or {}).items()} == {"BTC": 0.4}
    assert await asking(hass, url, secret).fetch() == body


async def test_contract_secret(hass: HomeAssistant, told: tuple[str, str]) -> None:
    """Another secret is refused, with a Date that says that the clocks agree."""
    url, _ = told
    with pytest.raises(LeaderForbidden) as caught:
        await asking(hass, url, "wrong").fetch()
    assert not caught.value.clocks_differ


async def test_contract_clock(hass: HomeAssistant, told: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower whose clock is an hour off is refused."""
    url, secret = told
    real = time.time
    asked = asking(hass, url, secret)
    monkeypatch.setattr("custom_components.calvalot.trading.sources.leader.time.time", lambda: real() - 3600)
    timestamp = str(int(time.time()))
    monkeypatch.undo()
    async with ClientSession() as session, session.get(f"{url}/api/signal/latest") as answer:
        assert answer.status == 403
        assert "Date" in answer.headers
    assert int(timestamp) < real() - 3000
    assert await asked.fetch()


async def test_contract_address(hass: HomeAssistant, told: tuple[str, str]) -> None:
    """A wrong address is no leader."""
    url, secret = told
    with pytest.raises(LeaderError):
        await asking(hass, f"{url}/x", secret).fetch()


# The view


async def test_nobody_follows(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """A portfolio that nobody may follow, and one that is not there, are told apart by nobody."""
    for name in (leader_id(leads.entry_id), "0" * 32, leads.entry_id):
        async with client.get(f"/api/calvalot/{name}/api/signal/latest") as answer:
            assert (answer.status, await answer.read()) == (404, b"")
    async with client.post(f"/api/calvalot/{'0' * 32}/api/signal/latest") as answer:
        assert answer.status == 405


async def test_not_writable(hass: HomeAssistant, leads: MockConfigEntry, client: Client, caplog: Any) -> None:
    """Where publications cannot be written down nothing is published: the form says so, and the log."""
    path = published_path(hass, leads.entry_id)
    path.mkdir(parents=True)
    flow = await configure(hass, await begin(hass, leads), **FIELDS)
    assert flow["errors"] == {"base": "not_writable"}


# The flow


async def test_what_is_given(hass: HomeAssistant, leads: MockConfigEntry) -> None:
    """Link, address and secret are shown once; the link holds all of it, and the key."""
    given = await allow(hass, leads)
    assert given.keys() == {"link", "address", "secret"}
    link = read_link(given["link"])
    assert (link.url, link.secret, link.leader) == (given["address"], given["secret"], leader_id(leads.entry_id))
    assert link.key == leads.runtime_data.publishers.leading.public_key
    (subentry,) = leads.subentries.values()
    assert subentry.title == "Alice"
    assert subentry.data == {
        "transport": "http",
        "follower": "Alice",
        "version": "2",
        "delay": 0,
        "webhook": "",
        "announce": False,
        "secret": given["secret"],
    }
    other = await allow(hass, leads, follower="Bob", version="1")
    assert other["secret"] != given["secret"]
    assert read_link(other["link"]).key == ""


async def test_change(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """What is changed is taken up in place; a new secret ends the old one."""
    given = await allow(hass, leads)
    coordinator = leads.runtime_data
    (key,) = leads.subentries
    context = {"source": SOURCE_RECONFIGURE, "subentry_id": key}
    flow = await hass.config_entries.subentries.async_init((leads.entry_id, "publisher"), context=context)
    assert flow["step_id"] == "reconfigure"
    assert "secret" not in made(flow)
    flow = await configure(hass, flow, follower="Carol", version="2", delay=0, renew=False)
    assert (flow["type"], flow["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert leads.subentries[key].title == "Carol"
    assert await asking(hass, local(client, leads), given["secret"]).fetch()
    flow = await hass.config_entries.subentries.async_init((leads.entry_id, "publisher"), context=context)
    flow = await configure(hass, flow, follower="Carol", version="2", delay=0, renew=True)
    assert flow["step_id"] == "copy"
    secret = made(flow)["secret"]
    await configure(hass, flow)
    assert leads.runtime_data is coordinator
    with pytest.raises(LeaderForbidden):
        await asking(hass, local(client, leads), given["secret"]).fetch()
    body = await asking(hass, local(client, leads), secret).fetch()
    assert body
    assert json.loads(body)["dry_run"] is True


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"follower": " "}, {"follower": "name_missing"}),
        ({"delay": 1441}, {"delay": "out_of_range"}),
        ({"webhook": "nowhere"}, {"webhook": "url_without_scheme"}),
        ({"webhook": "ftp://there"}, {"webhook": "url_scheme"}),
        ({"webhook": "https://there/?a=b"}, {"webhook": "invalid_url"}),
    ],
)
async def test_refused_input(
    hass: HomeAssistant, leads: MockConfigEntry, fields: dict[str, Any], errors: dict[str, str]
) -> None:
    """What cannot be is said at its field."""
    flow = await configure(hass, await begin(hass, leads), **{**FIELDS, **fields})
    assert flow["errors"] == errors


async def test_removed(hass: HomeAssistant, leads: MockConfigEntry) -> None:
    """With the portfolio its publications and its key go."""
    await allow(hass, leads)
    path = published_path(hass, leads.entry_id)
    assert path.is_file()
    await hass.config_entries.async_remove(leads.entry_id)
    await settle(hass)
    assert not path.exists()
    assert DOMAIN not in hass.config_entries.async_domains(include_disabled=True)


# The link


async def test_link_as_a_whole(
    hass: HomeAssistant, leads: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator, client: Client
) -> None:
    """The link is all that a follower needs; what he missed meanwhile is asked for and checked."""
    given = read_link((await allow(hass, leads))["link"])
    second = await follow(hass, exchange, replace(given, url=local(client, leads)).text)
    assert second.data["leader_key"] == given.key
    assert second.data["leader_id"] == given.leader
    assert weights(second) == {"BTC": pytest.approx(0.4, abs=0.005)}
    for share in ("0.3", "0.2", "0.1"):
        leader.publish_v2({"ETH": share})
        await poll(hass, leads)
        await settle(hass)
    await poll(hass, second)
    assert weights(second) == {"ETH": pytest.approx(0.1, abs=0.005)}
    # The address changes: the key belongs to the leader that it was given for.
    flow = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": second.entry_id}
    )
    await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": "leader"})
    same = await hass.config_entries.flow.async_configure(flow["flow_id"], {"leader_url": local(client, leads)})
    assert same["reason"] == "reconfigure_successful"
    await settle(hass)
    assert second.data["leader_key"] == given.key
    flow = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": second.entry_id}
    )
    await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": "leader"})
    other = {"leader_url": leader.url, "signal_secret": leader.secret}
    changed = await hass.config_entries.flow.async_configure(flow["flow_id"], other)
    assert changed["reason"] == "reconfigure_successful"
    await settle(hass)
    assert second.data["leader_key"] == ""


async def test_links_that_do_not_hold(
    hass: HomeAssistant, leads: MockConfigEntry, leader: LeaderSimulator, client: Client
) -> None:
    """What was cut off, and a key that the leader does not sign with, are refused; without a secret it is asked for."""
    given = read_link((await allow(hass, leads))["link"])
    here = replace(given, url=local(client, leads))
    flow_id = await start(hass)
    for link, error in (
        (here.text[:-4], {"leader_url": "invalid_link"}),
        (replace(here, key=SigningKey().public).text, {"leader_url": "invalid_response"}),
        (replace(here, leader="0" * 32).text.replace(here.leader, "0" * 32), {"leader_url": "invalid_response"}),
        (replace(here, secret="wrong").text, {"signal_secret": "invalid_auth"}),
        (here.url, {"signal_secret": "secret_missing"}),
    ):
        form = await hass.config_entries.flow.async_configure(flow_id, {"leader_url": link})
        assert form["errors"] in (error, {"leader_url": "signal_disabled"} if "0" * 32 in link else error), link


async def test_key_that_is_none(hass: HomeAssistant, leads: MockConfigEntry) -> None:
    """A stored key that cannot be used stops the set-up, and nothing is followed unchecked."""
    hass.config_entries.async_update_entry(leads, data={**leads.data, "leader_id": "a" * 32, "leader_key": "broken"})
    await settle(hass)
    assert leads.state is ConfigEntryState.SETUP_ERROR


# What is shown


async def test_followers_are_counted(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """The sensor is there while somebody may follow, and counts who asks; the diagnostics tell no secret."""
    assert "leader_followers" not in keys(hass, leads, "sensor")
    given = await allow(hass, leads)
    await poll(hass, leads)
    state = state_of(hass, leads, "sensor", "leader_followers")
    assert (state.state, state.attributes["allowed"]) == ("0", 1)
    await asking(hass, local(client, leads), given["secret"]).fetch()
    await poll(hass, leads)
    assert state_of(hass, leads, "sensor", "leader_followers").state == "1"
    shown = await async_get_config_entry_diagnostics(hass, leads)
    assert shown["publishers"]["followers"] == shown["publishers"]["following"] == 1
    assert shown["publishers"]["sequence"] == 1
    text = json.dumps(shown, default=str)
    for secret in (given["secret"], leads.runtime_data.publishers.leading.public_key, "Alice"):
        assert secret not in text
    (key,) = leads.subentries
    hass.config_entries.async_remove_subentry(leads, key)
    await settle(hass)
    await poll(hass, leads)
    assert "leader_followers" not in keys(hass, leads, "sensor")
    assert (await async_get_config_entry_diagnostics(hass, leads))["publishers"] is None


async def test_how_far_followers_are(
    hass: HomeAssistant,
    leads: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    client: Client,
) -> None:
    """A follower says where it is only where its owner wants that; the leader counts who is up to date and who is not."""
    second = await followed_by(hass, leads, leader, exchange, client)

    async def counted() -> dict[str, int | None]:
        await poll(hass, second)
        await poll(hass, leads)
        await settle(hass)
        attributes = state_of(hass, leads, "sensor", "leader_followers").attributes
        return {name: attributes[name] for name in ("allowed", "told", "up_to_date", "behind")}

    assert await counted() == {"allowed": 1, "told": 0, "up_to_date": 0, "behind": None}
    hass.config_entries.async_update_entry(second, options={"tell_leader": True})
    await settle(hass)
    assert await counted() == {"allowed": 1, "told": 1, "up_to_date": 1, "behind": 0}
    leader.publish_v2({"ETH": "0.3"})
    await poll(hass, leads)
    await settle(hass)
    await poll(hass, leads)
    attributes = state_of(hass, leads, "sensor", "leader_followers").attributes
    assert (attributes["told"], attributes["up_to_date"], attributes["behind"]) == (1, 0, 1)
    await counted()
    assert await counted() == {"allowed": 1, "told": 1, "up_to_date": 1, "behind": 0}
    hass.config_entries.async_update_entry(second, options={"tell_leader": False})
    await settle(hass)
    assert await counted() == {"allowed": 1, "told": 0, "up_to_date": 0, "behind": None}


# The page


async def test_page(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """The page holds no figure and no secret, may load nothing from elsewhere, and is there in both languages."""
    path = f"/api/calvalot/{leader_id(leads.entry_id)}"
    async with client.get(path) as answer:
        assert answer.status == 404
    given = await allow(hass, leads)
    for language, title in (("en-GB,en", "The leader's figures"), ("fr-FR,fr;q=0.9", "Les chiffres du leader")):
        async with client.get(path, headers={"Accept-Language": language}) as answer:
            text = await answer.text()
            assert answer.status == 200
            assert title in text
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "connect-src 'self'" in policy
        script = text.partition('<script type="module">')[2].partition("</script>")[0]
        digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        assert given["secret"] not in text
        assert "@" not in text.replace("@media", "")


def test_words_of_the_page() -> None:
    """Each word that the page shows is there, and no other."""
    script = (Path(page.__file__).parent / "page.js").read_text("utf-8")
    used = set(re.findall(r"words\.(\w+)", script)) | {f"period_{name}" for name in (*PERIODS, THIS_YEAR, SINCE_START)}
    used |= {f"error_{name}" for name in ("403", "404", "429", "signature", "chain")}
    known = json.loads((Path(page.__file__).parents[1] / "translations/en.json").read_text("utf-8"))["common"]
    assert {key.removeprefix("leader_page_") for key in known if key.startswith("leader_page_")} == used


async def test_figures(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """A follower reads figures that are signed twice, and no amount is among them."""
    given = await allow(hass, leads)
    headers = {**signed_now(given["secret"]), "X-Follower-Signal": "another"}
    url = f"/api/calvalot/{leader_id(leads.entry_id)}"
    async with client.get(f"{url}/api/signal/latest", headers=headers) as answer:
        assert answer.status == 200
    async with client.get(f"{url}/api/figures", headers=headers) as answer:
        body = await answer.read()
        assert answer.headers["X-Signal-Signature"] == signed(given["secret"], body)
    wire = json.loads(body)
    canonical = from_text(wire["signed"])
    assert PublicKey(wire["key"]).verifies(canonical, wire["signature"])
    assert wire["key"] == read_link(given["link"]).key
    figures = json.loads(canonical)
    assert figures["followers"] == {"allowed": 1, "following": 1, "told": 1, "up_to_date": 0, "behind": None}
    assert (figures["mode"], figures["sequence"], figures["published"]["publications"]) == ("dry_run", 1, 1)
    statistics = await leads.runtime_data.engine.queries.statistics()
    for name in ("gains", "losses", "realised", "unrealised", "fees", "bought", "sold"):
        assert name in statistics["trades"]
        assert f'"{name}"' not in canonical.decode()
    assert "Calv-a-lot" not in canonical.decode()
    for path in ("figures", "signal/chain?after=0"):
        async with client.get(f"{url}/api/{path}") as answer:
            assert (answer.status, await answer.read()) == (403, b"")
        async with client.get(f"/api/calvalot/{'0' * 32}/api/{path}") as answer:
            assert answer.status == 404
    for after in ("", "-1", "x", "1" * 10):
        async with client.get(f"{url}/api/signal/chain?after={after}", headers=headers) as answer:
            assert answer.status == 400


async def test_publications_cannot_be_read(hass: HomeAssistant, leads: MockConfigEntry, client: Client) -> None:
    """Where the file breaks the follower is told to come again, and a repair says so until it can be read."""
    given = await allow(hass, leads, delay=1)
    path = published_path(hass, leads.entry_id)
    kept = path.read_bytes()
    path.write_bytes(b"no database" * 1000)
    for what in ("signal/latest", "figures"):
        url = f"/api/calvalot/{leader_id(leads.entry_id)}/api/{what}"
        async with client.get(url, headers=signed_now(given["secret"])) as answer:
            assert answer.status == 503
    await poll(hass, leads)
    await settle(hass)
    issue = (DOMAIN, issue_id("nothing_published", leads.entry_id))
    assert ir.async_get(hass).async_get_issue(*issue)
    path.write_bytes(kept)
    await poll(hass, leads)
    await settle(hass)
    assert ir.async_get(hass).async_get_issue(*issue) is None
