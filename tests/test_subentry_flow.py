"""Further sources of a portfolio: added, changed, paused and removed in Home Assistant."""

from typing import Any

from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState, SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from simulators.exchange import ExchangeSimulator
from simulators.leader import FaultKind, LeaderSimulator

from .conftest import add_entry, set_up
from .entities import poll
from .test_allocation import FIELDS, ROWS, answer, portfolio, weights

OWN = {"allocation": ROWS, **FIELDS}


async def ask(hass: HomeAssistant, entry: MockConfigEntry, kind: str, **fields: Any) -> SubentryFlowResult:
    """Fill the form of a further source in."""
    flow = await hass.config_entries.subentries.async_init((entry.entry_id, kind), context={"source": "user"})
    assert (flow["type"], flow["step_id"]) == (FlowResultType.FORM, "user")
    result = await hass.config_entries.subentries.async_configure(flow["flow_id"], fields)
    await hass.async_block_till_done()
    return result


async def change(hass: HomeAssistant, entry: MockConfigEntry, subentry_id: str, **fields: Any) -> SubentryFlowResult:
    """Change a further source."""
    kind = entry.subentries[subentry_id].subentry_type
    flow = await hass.config_entries.subentries.async_init(
        (entry.entry_id, kind), context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry_id}
    )
    assert (flow["type"], flow["step_id"]) == (FlowResultType.FORM, "reconfigure")
    result = await hass.config_entries.subentries.async_configure(flow["flow_id"], fields)
    await hass.async_block_till_done()
    return result


async def added(hass: HomeAssistant, entry: MockConfigEntry, kind: str, **fields: Any) -> str:
    """Add a further source; its id."""
    known = set(entry.subentries)
    result = await ask(hass, entry, kind, **fields)
    assert result["type"] is FlowResultType.CREATE_ENTRY, result["errors"]
    assert entry.state is ConfigEntryState.LOADED
    (subentry_id,) = set(entry.subentries) - known
    return subentry_id


async def test_leader_and_own_allocation(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """What is added gets its weight, the first source what is left; both are traded as one."""
    leader.publish_v2({"SOL": "1"})
    assert await set_up(hass, entry)
    own = await added(hass, entry, "allocation", weight=40, **OWN)
    subentry = entry.subentries[own]
    assert subentry.title == "own allocation"
    assert (subentry.data["weight"], subentry.data["paused"], subentry.data["coins"]) == (40, False, ["BTC", "ETH"])
    assert entry.options["weight"] == 60
    await poll(hass, entry)
    held = await weights(hass)
    assert held == {"SOL": pytest.approx(60, abs=1), "BTC": pytest.approx(24, abs=1), "ETH": pytest.approx(12, abs=1)}
    told = (await answer(hass, "get_statistics"))["by_source"]
    assert [(each["source"], each["kind"], each["weight"]) for each in told["sources"]] == [
        ("leader", "leader", 60),
        (own, "allocation", 40),
    ]
    assert told["sources"][1]["name"] == "own allocation"


async def test_change(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Weight, fields and pause are taken up in place."""
    leader.publish_v2({"SOL": "1"})
    assert await set_up(hass, entry)
    own = await added(hass, entry, "allocation", weight=40, **OWN)
    coordinator = entry.runtime_data
    result = await change(hass, entry, own, weight=20, paused=True, **OWN)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert entry.runtime_data is coordinator
    own_figures = coordinator.data.sources[1]
    assert (own_figures.paused, own_figures.weight) == (True, coordinator.settings.weights[own])
    assert coordinator.settings.weights[own] * 100 == 20


async def test_remove(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """What is removed trades nothing at once; its share is cash in the next plan."""
    leader.publish_v2({"SOL": "1"})
    assert await set_up(hass, entry)
    own = await added(hass, entry, "allocation", weight=40, **OWN)
    await poll(hass, entry)
    assert hass.config_entries.async_remove_subentry(entry, own)
    await hass.async_block_till_done()
    await poll(hass, entry)
    assert (await weights(hass)).keys() == {"SOL", "BTC", "ETH"}
    rows = {row["coin"]: row for row in (await answer(hass, "preview"))["table"]}
    assert (rows["BTC"]["target"], rows["SOL"]["target"]) == (0, 60)
    form = await hass.config_entries.options.async_init(entry.entry_id)
    assert "blend" in form["data_schema"].schema


async def test_two_alike(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Sources that are called alike get numbers; an action has to say which one it means."""
    entry = await portfolio(hass, exchange)
    first = await added(hass, entry, "allocation", weight=20, allocation=[{"coin": "SOL", "share": 100}], **FIELDS)
    hass.config_entries.async_update_entry(entry, options={**entry.options, "weight": 60})
    await added(hass, entry, "allocation", weight=20, allocation=[{"coin": "XRP", "share": 100}], **FIELDS)
    assert [each.title for each in entry.subentries.values()] == ["own allocation", "own allocation 2"]
    await poll(hass, entry)
    assert (await weights(hass))["SOL"] == pytest.approx(20, abs=1)
    await hass.services.async_call(
        DOMAIN, "set_allocation", {"allocation": {"BNB": 100}, "source": first}, blocking=True
    )
    await hass.async_block_till_done()
    await poll(hass, entry)
    held = await weights(hass)
    assert held["BNB"] == pytest.approx(20, abs=1)
    assert held.get("SOL", 0) < 1
    await hass.services.async_call(DOMAIN, "set_allocation", {"allocation": {"BTC": 100}}, blocking=True)
    assert entry.options["allocation"] == [{"coin": "BTC", "share": 100}]
    assert set(entry.options["coins"]) >= {"BTC", "ETH"}
    with pytest.raises(ServiceValidationError) as caught:
        await hass.services.async_call(
            DOMAIN, "set_allocation", {"allocation": {"BNB": 100}, "source": "leader"}, blocking=True
        )
    assert caught.value.translation_key == "source_unknown"


async def test_set_allocation_of_the_only_one(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Where only a further source is an allocation, that is meant."""
    assert await set_up(hass, entry)
    own = await added(hass, entry, "allocation", weight=40, **OWN)
    await hass.services.async_call(DOMAIN, "set_allocation", {"allocation": {"SOL": 50}}, blocking=True)
    assert entry.subentries[own].data["allocation"] == [{"coin": "SOL", "share": 50}]


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"weight": 100}, {"weight": "weight_sum"}),
        ({"weight": 101}, {"weight": "weight_range"}),
        ({"weight": 40, "allocation": [{"coin": "BTC", "share": 101}]}, {"allocation": "share_invalid"}),
        ({"weight": 40, "allocation": [{"coin": "DOGE2", "share": 1}]}, {"allocation": "unknown_coin"}),
    ],
)
async def test_refused(
    hass: HomeAssistant, entry: MockConfigEntry, fields: dict[str, Any], errors: dict[str, str]
) -> None:
    """What cannot be is refused on its field, and everything else is kept."""
    assert await set_up(hass, entry)
    result = await ask(hass, entry, "allocation", **{**OWN, **fields})
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, errors)
    assert not entry.subentries


async def test_weights_of_all(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """No weight may take what another one has; the form suggests what is left."""
    assert await set_up(hass, entry)
    own = await added(hass, entry, "allocation", weight=40, **OWN)
    result = await ask(hass, entry, "allocation", weight=10, **OWN)
    assert result["errors"] == {"weight": "weight_sum"}
    assert result["description_placeholders"]["left"] == "0"
    assert (await change(hass, entry, own, weight=41, **OWN))["errors"] == {"weight": "weight_sum"}
    form = await hass.config_entries.options.async_init(entry.entry_id)
    values = {str(name): {} for name in form["data_schema"].schema}
    values["trade"] = {"coins": ["BTC"]}
    values["blend"] = {"weight": 61, "paused": False, "max_source_age": 7}
    result = await hass.config_entries.options.async_configure(form["flow_id"], values)
    assert result["errors"] == {"blend": "weight_sum"}
    values["blend"]["weight"] = 50
    result = await hass.config_entries.options.async_configure(form["flow_id"], values)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert entry.runtime_data.settings.weights["leader"] * 2 == 1
    flow = await hass.config_entries.subentries.async_init((entry.entry_id, "allocation"), context={"source": "user"})
    (weight,) = [marker for marker in flow["data_schema"].schema if marker == "weight"]
    assert weight.description == {"suggested_value": 10}


async def test_further_leader(hass: HomeAssistant, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """A leader beside an own allocation: asked, lost, and asked for its secret again."""
    entry = await portfolio(hass, exchange)
    leader.publish_v2({"SOL": "1"})
    url = {"leader_url": leader.url, "signal_secret": leader.secret}
    second = await added(hass, entry, "leader", weight=30, **url)
    assert entry.subentries[second].title == "127.0.0.1"
    hass.config_entries.async_update_entry(entry, options={**entry.options, "coins": ["BTC", "ETH", "SOL"]})
    await hass.async_block_till_done()
    await poll(hass, entry)
    assert (await weights(hass))["SOL"] == pytest.approx(30, abs=1)

    leader.misbehave(FaultKind.FORBIDDEN, 3)
    await poll(hass, entry)
    (flow,) = hass.config_entries.flow.async_progress()
    assert flow["step_id"] == "reauth_confirm"
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"signal_secret": "x" * 64})
    assert result["errors"] == {"signal_secret": "invalid_auth"}
    leader.behave()
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"signal_secret": leader.secret})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reauth_successful")


@pytest.mark.parametrize("first", [True, False])
async def test_moves(
    hass: HomeAssistant, exchange: ExchangeSimulator, leader: LeaderSimulator, entry: MockConfigEntry, first: bool
) -> None:
    """A source that says moves is refused where that is known."""
    leader.publish_v1([("BTC", "BUY", ".2")])
    if first:
        assert await set_up(hass, entry)
        result = await ask(hass, entry, "allocation", weight=40, **OWN)
    else:
        own = await portfolio(hass, exchange)
        result = await ask(hass, own, "leader", weight=40, leader_url=leader.url, signal_secret=leader.secret)
    assert result["errors"] == {"base": "moves_in_blend"}


async def test_moves_at_run_time(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Said later, they are refused, and a repair says so until an allocation comes."""
    leader.publish_v2({"SOL": "1"})
    assert await set_up(hass, entry)
    await added(hass, entry, "allocation", weight=40, **OWN)
    leader.publish_v1([("BTC", "BUY", ".2")])
    await poll(hass, entry)
    issue = ir.async_get(hass).async_get_issue(DOMAIN, f"moves_in_blend_{entry.entry_id}")
    assert issue
    assert issue.translation_placeholders == {"name": "Calv-a-lot", "sources": "127.0.0.1"}
    leader.publish_v2({"SOL": "1"})
    await poll(hass, entry)
    assert ir.async_get(hass).async_get_issue(DOMAIN, f"moves_in_blend_{entry.entry_id}") is None


async def test_without_a_running_portfolio(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """A source can be added to a portfolio that is not set up."""
    entry = add_entry(hass, entry_data)
    result = await ask(hass, entry, "allocation", weight=40, **OWN)
    assert result["type"] is FlowResultType.CREATE_ENTRY
