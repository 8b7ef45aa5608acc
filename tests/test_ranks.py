"""The limit on ranks in Home Assistant: its key in the form, what the repairs say, what the diagnostics hide."""

from collections.abc import AsyncGenerator
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
from custom_components.calvalot.forms import in_sections
from custom_components.calvalot.settings import InvalidSettings, entry_settings
from custom_components.calvalot.trading.settings import DroppedOut
from harness.coinmarketcap import BITCOIN, KEY, OTHERS, XRP, Coin, CoinMarketCapStandIn
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import later, poll
from .test_repairs import fix, issue

WANTED = {"coins": ["BTC", "SOL"], "max_rank": 3, "coinmarketcap_key": KEY}


@pytest.fixture
async def service(socket_enabled: None) -> AsyncGenerator[CoinMarketCapStandIn]:
    """A stand-in for CoinMarketCap."""
    async with CoinMarketCapStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def entry(hass: HomeAssistant, entry_data: dict[str, Any], service: CoinMarketCapStandIn) -> MockConfigEntry:
    """A dry run entry that asks the stand-in."""
    return add_entry(hass, {**entry_data, "coinmarketcap_url": service.url})


async def tune(hass: HomeAssistant, entry: MockConfigEntry, **values: Any) -> dict[str, str]:
    """Send the form of the options; the errors that it says."""
    form = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(form["flow_id"], in_sections(values))
    await hass.async_block_till_done()
    if result["type"] is FlowResultType.CREATE_ENTRY:
        return {}
    assert KEY not in str(result["data_schema"])
    return result["errors"] or {}


async def test_key(hass: HomeAssistant, entry: MockConfigEntry, service: CoinMarketCapStandIn) -> None:
    """A key is checked once and never shown; left empty it stays, and goes with the limit."""
    assert await tune(hass, entry, **WANTED) == {}
    assert service.questions == ["/v1/key/info"]
    assert entry.options["coinmarketcap_key"] == KEY
    form = await hass.config_entries.options.async_init(entry.entry_id)
    assert KEY not in str(
        [repr(marker.description) for part in form["data_schema"].schema.values() for marker in part.schema.schema]
    )  # type: ignore[union-attr]
    assert await tune(hass, entry, coins=["BTC"], max_rank=50) == {}
    assert entry.options["coinmarketcap_key"] == KEY
    assert service.questions == ["/v1/key/info"]
    assert await tune(hass, entry, coins=["BTC"]) == {}
    assert "coinmarketcap_key" not in entry.options
    assert entry_settings(entry).max_rank is None


@pytest.mark.parametrize(
    ("values", "answer", "error"),
    [
        ({"coinmarketcap_key": ""}, None, "rank_key_missing"),
        ({"coinmarketcap_key": "wrong"}, None, "invalid_rank_key"),
        ({}, 1008, "cannot_connect_ranks"),
        ({}, "no JSON", "cannot_connect_ranks"),
        ({"max_rank": 0}, None, "out_of_range"),
        ({"max_rank": 1.5}, None, "out_of_range"),
        ({"rank_ids": ["BTC"]}, None, "rank_id_invalid"),
        ({"rank_ids": ["BTC=x"]}, None, "rank_id_invalid"),
        ({"rank_ids": ["BTC=1", "btc=2"]}, None, "rank_id_invalid"),
        ({"rank_ids": ["=1"]}, None, "rank_id_invalid"),
    ],
)
async def test_errors(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    service: CoinMarketCapStandIn,
    values: dict[str, Any],
    answer: Any,
    error: str,
) -> None:
    """What cannot be taken is said on the section, and nothing is stored."""
    service.answer = answer
    assert await tune(hass, entry, **WANTED | values) == {"rank": error}
    assert entry.options == {}


async def test_settings(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What is stored is what the portfolio goes by; what cannot be read is named."""
    assert await tune(hass, entry, **WANTED, dropped_out="sell", rank_ids=["btc = 1", "SOL=5426"]) == {}
    settings = entry_settings(entry)
    assert (settings.max_rank, settings.dropped_out) == (3, DroppedOut.SELL)
    assert settings.rank_ids == {"BTC": 1, "SOL": 5426}
    hass.config_entries.async_update_entry(entry, options={"rank_ids": ["BTC"]})
    with pytest.raises(InvalidSettings):
        entry_settings(entry)


async def test_limit(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A limit that is set while the portfolio runs holds from the next cycle on; two portfolios with one key ask once."""
    assert await set_up(hass, entry)
    assert await tune(hass, entry, **WANTED) == {}
    leader.publish_v2({"BTC": "0.4", "SOL": "0.2"})
    await poll(hass, entry)
    positions = entry.runtime_data.data.positions
    assert positions["BTC"].quantity
    assert not positions["SOL"].quantity
    assert entry.runtime_data.data.ranks_at is not None


async def test_one_question(
    hass: HomeAssistant, entry: MockConfigEntry, service: CoinMarketCapStandIn, freezer: FrozenDateTimeFactory
) -> None:
    """Two portfolios with one key ask once a day between them."""
    hass.config_entries.async_update_entry(entry, options=WANTED)
    assert await set_up(hass, entry)
    other = add_entry(hass, dict(entry.data), title="Other", **WANTED)
    assert await set_up(hass, other)
    for _ in range(3):
        await poll(hass, entry)
        await poll(hass, other)
    assert service.questions == ["/v1/cryptocurrency/map"]
    await later(hass, freezer, 86401)
    assert service.questions == ["/v1/cryptocurrency/map"] * 2


@pytest.mark.parametrize(
    ("answer", "key"), [(1001, "rank_key_refused"), (1009, "ranks_unavailable"), ("?", "ranks_unavailable")]
)
async def test_problem(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    service: CoinMarketCapStandIn,
    freezer: FrozenDateTimeFactory,
    answer: Any,
    key: str,
) -> None:
    """A repair says what is wrong with the ranks, of which day those are that hold, and goes by itself."""
    hass.config_entries.async_update_entry(entry, options=WANTED)
    assert await set_up(hass, entry)
    keys = ("rank_key_refused", "ranks_unavailable")
    assert [each for each in keys if issue(hass, entry, each)] == []
    service.answer = answer
    day = f"{entry.runtime_data.data.ranks_at:%Y-%m-%d}"
    await later(hass, freezer, 86401)
    assert [each for each in keys if issue(hass, entry, each)] == [key]
    found = issue(hass, entry, key)
    assert found
    placeholders = found.translation_placeholders or {}
    assert placeholders.get("day", day) == day
    assert KEY not in str(placeholders)
    diagnostics = await async_get_config_entry_diagnostics(hass, entry)
    assert KEY not in str(diagnostics)
    assert diagnostics["ranks"]["problem"]
    service.answer = None
    await later(hass, freezer, 86401)
    assert [each for each in keys if issue(hass, entry, each)] == []


async def test_never_answered(hass: HomeAssistant, entry: MockConfigEntry, service: CoinMarketCapStandIn) -> None:
    """Where there never was an answer no day is named, and everything is bought."""
    service.answer = 500
    hass.config_entries.async_update_entry(entry, options=WANTED)
    assert await set_up(hass, entry)
    found = issue(hass, entry, "ranks_unavailable")
    assert found
    assert (found.translation_placeholders or {})["day"] == "–"


async def test_confirm(
    hass: HomeAssistant, entry: MockConfigEntry, service: CoinMarketCapStandIn, leader: LeaderSimulator
) -> None:
    """The repair shows what may be meant, best first, and stores what its owner says."""
    service.coins = (BITCOIN, Coin(5426, "SOL", "Solana"), XRP, *OTHERS, Coin(99, "SOL", "Another"))
    hass.config_entries.async_update_entry(entry, options={**WANTED, "rank_ids": ["XRP=52"]})
    leader.publish_v2({"BTC": "0.4", "SOL": "0.2"})
    assert await set_up(hass, entry)
    assert not entry.runtime_data.data.positions["SOL"].quantity
    found = issue(hass, entry, "rank_ambiguous")
    assert found
    assert found.severity is ir.IssueSeverity.WARNING
    form = await fix(hass, entry, "rank_ambiguous")
    (field, selector), *_ = form["data_schema"].schema.items()
    assert (str(field), field.default()) == ("SOL", "5426")
    assert [option["label"] for option in selector.config["options"]] == [
        "Solana · 2 · id 5426",
        "Another · 104 · id 99",
    ]
    manager = hass.data["repairs"]["flow_manager"]
    result = await manager.async_configure(form["flow_id"], {"SOL": "5426"})
    await hass.async_block_till_done()
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert entry.options["rank_ids"] == ["XRP=52", "SOL=5426"]
    assert issue(hass, entry, "rank_ambiguous") is None
    await poll(hass, entry)
    await entry.runtime_data.engine.commands.sync()
    assert entry.runtime_data.data.positions["SOL"].quantity
