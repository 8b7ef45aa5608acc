"""Followers that the flows make, set up for real: a second one leaves the first as it is, and options know the portfolio."""

from decimal import Decimal
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.forms import in_sections
from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.trading import responses
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import poll


async def follow(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, budget: float
) -> ConfigEntry[Any]:
    """Walk the set-up on paper."""
    configure = hass.config_entries.flow.async_configure
    step = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    for answers in (
        {"next_step_id": "leader"},
        {"leader_url": leader.url, "signal_secret": leader.secret},
        {"trading_mode": "dry_run", "exchange_url": exchange.url},
        {"initial_budget": budget},
    ):
        step = await configure(step["flow_id"], answers)
    await hass.async_block_till_done()
    assert step["type"] is FlowResultType.CREATE_ENTRY
    return step["result"]


async def test_two_strategies_of_one_leader(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A second paper follower of the same leader: the first keeps its entry, its ledger and its figures."""
    leader.publish_v2({"BTC": "0.5"})
    first = await follow(hass, leader, exchange, 1000)
    before = await first.runtime_data.engine.queries.trades()
    assert before
    second = await follow(hass, leader, exchange, 400)
    assert hass.config_entries.async_entries(DOMAIN) == [first, second]
    assert first.state is second.state is ConfigEntryState.LOADED
    assert [entry.unique_id for entry in (first, second)] == [None, None]
    assert first.title != second.title
    assert all(ledger_path(hass, entry.entry_id).is_file() for entry in (first, second))
    assert await first.runtime_data.engine.queries.trades() == before

    form = await hass.config_entries.options.async_init(second.entry_id)
    values = in_sections({"coins": ["BTC", "ETH"], "max_order_share": 10})
    await hass.config_entries.options.async_configure(form["flow_id"], values)
    await hass.async_block_till_done()
    leader.publish_v2({"ETH": "0.5"})
    for entry in (first, second):
        await poll(hass, entry)
    assert first.options == {"coins": ["BTC", "ETH", "BNB", "SOL", "XRP"]}
    assert first.runtime_data.data.net_deposits == 1000
    assert second.runtime_data.data.net_deposits == 400
    assert set(responses.portfolio(first.runtime_data.engine.snapshot)["positions"][1]) >= {"coin", "quantity"}
    weights = [entry.runtime_data.data.positions["ETH"].weight for entry in (first, second)]
    assert weights == [
        pytest.approx(Decimal("0.5"), abs=Decimal("0.01")),
        pytest.approx(Decimal("0.1"), abs=Decimal("0.01")),
    ]

    await hass.config_entries.async_remove(second.entry_id)
    assert ledger_path(hass, first.entry_id).is_file()
    assert not ledger_path(hass, second.entry_id).is_file()


async def test_older_entries_do_not_collide(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A follower on paper that an earlier version gave a unique id stays beside a new one."""
    hass.config_entries.async_update_entry(entry, unique_id="of an earlier version")
    assert await set_up(hass, entry)
    await follow(hass, leader, exchange, 400)
    assert entry.state is ConfigEntryState.LOADED
    assert len(hass.config_entries.async_entries(DOMAIN)) == 2


async def tune(hass: HomeAssistant, entry: MockConfigEntry, **values: Any) -> Any:
    """Send the options, and return the form's errors with what they name."""
    form = await hass.config_entries.options.async_init(entry.entry_id)
    answers = in_sections({"coins": ["BTC"], **values})
    form = await hass.config_entries.options.async_configure(form["flow_id"], answers)
    await hass.async_block_till_done()
    return form.get("errors"), (form.get("description_placeholders") or {}).get("value")


async def test_floor_above_the_value(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A survival floor above what the portfolio is worth is refused, with the value; one that stands already is not."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    value = entry.runtime_data.data.total_value
    assert await tune(hass, entry, survival_floor=1000.01) == ({"limits": "floor_above_value"}, f"{value:,.2f}")
    assert await tune(hass, entry, survival_floor=990) == (None, None)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal("0.9"))
    await poll(hass, entry)
    assert await tune(hass, entry, survival_floor=990, min_order=6) == (None, None)
    assert (await tune(hass, entry, survival_floor=991))[0] == {"limits": "floor_above_value"}


async def test_floor_without_a_value(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """What is not known refuses nothing."""
    await exchange.stop()
    assert await set_up(hass, entry)
    assert await tune(hass, entry, survival_floor=2000) == (None, None)


@pytest.mark.parametrize("begun", [True, False])
async def test_cash_of_another_follower_is_not_free(
    hass: HomeAssistant,
    live_data: dict[str, Any],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    *,
    begun: bool,
) -> None:
    """What another live follower with the same key holds as cash, or will take for a start, is not offered again."""
    leader.publish_v2({"BTC": "0.5"})
    if not begun:
        exchange.remove_price("EURUSDC")
        exchange.remove_price("EURUSDT")
    other = add_entry(hass, live_data | {"initial_budget": 800.0})
    assert await set_up(hass, other)
    for symbol in ("EURUSDC", "EURUSDT"):
        exchange.restore_price(symbol)
    async with LeaderSimulator() as another:
        step = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
        for answers in (
            {"next_step_id": "leader"},
            {"leader_url": another.url, "signal_secret": another.secret},
            {key: live_data[key] for key in ("trading_mode", "exchange_url", "api_key", "api_secret")},
            {"initial_budget": 1000},
        ):
            step = await hass.config_entries.flow.async_configure(step["flow_id"], answers)
    assert step["errors"] == {"initial_budget": "insufficient_funds"}
    rate = 1 / exchange.price("EURUSDC")
    cash = other.runtime_data.data.cash
    assert (cash is None) is not begun
    taken = 800 if cash is None else cash * rate
    spare = f"{exchange.balance('USDC') * rate - taken:,.2f}"
    facts = step["description_placeholders"]
    assert facts["free"] == spare


async def test_another_key_of_the_same_account(
    hass: HomeAssistant, live_entry: MockConfigEntry, live_data: dict[str, Any], exchange: ExchangeSimulator
) -> None:
    """Live, the same leader is followed once on an account, with whatever key."""
    assert await set_up(hass, live_entry)
    exchange.add_key("k" * 64, "another secret")
    step = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    for answers in (
        {"next_step_id": "leader"},
        {key: live_data[key] for key in ("leader_url", "signal_secret")},
        {"trading_mode": "live", "exchange_url": exchange.url, "api_key": "k" * 64, "api_secret": "another secret"},
    ):
        step = await hass.config_entries.flow.async_configure(step["flow_id"], answers)
    assert step["type"] is FlowResultType.ABORT
    assert step["reason"] == "already_configured"
    assert live_entry.state is ConfigEntryState.LOADED
