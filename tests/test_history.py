"""History: the curves have long-term statistics, their attributes stay small, nothing is lost by a restart."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder import get_instance, history
from homeassistant.components.recorder.db_schema import MAX_STATE_ATTRS_BYTES
from homeassistant.components.recorder.models import StatisticMeanType
from homeassistant.components.recorder.statistics import list_statistic_ids, statistics_during_period
from homeassistant.core import HomeAssistant
from homeassistant.helpers.json import json_bytes
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
    do_adhoc_statistics,
)

from custom_components.calvalot.trading.sources.leader_format import MAX_REASONING
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import ALLOCATION, enable_all, entity_id, keys, poll, state_of

CURVES = {
    "total_value": "EUR",
    "total_value_quote": "USDC",
    "cash": "USDC",
    "positions_value": "USDC",
    "net_deposits": "EUR",
    "profit_loss": "EUR",
    "profit_loss_percent": "%",
    "profit_today": "EUR",
    "time_weighted_return": "%",
    "max_drawdown": "%",
    "tracking_distance": "%",
    "btc_value": "USDC",
    "btc_profit_loss": "USDC",
}
SMALL = 4096


@pytest.mark.usefixtures("recorder_mock")
async def test_statistics(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Curves keep mean, least and most; what only grows keeps its sum. Home Assistant has nothing to object."""
    start = dt_util.utcnow().replace(minute=0, second=5, microsecond=0) + timedelta(hours=1)
    freezer.move_to(start)
    leader.publish_v2(ALLOCATION)
    await set_up(hass, entry)
    await enable_all(hass, entry)
    first = float(state_of(hass, entry, "sensor", "total_value").state)
    freezer.tick(120)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * 2, gap=True)
    await poll(hass, entry)
    second = float(state_of(hass, entry, "sensor", "total_value").state)
    await async_wait_recording_done(hass)
    do_adhoc_statistics(hass, start=start.replace(second=0))
    await async_wait_recording_done(hass)

    known = {meta["statistic_id"]: meta for meta in await ask(hass, list_statistic_ids, hass)}
    for key, unit in CURVES.items():
        meta = known[entity_id(hass, entry, "sensor", key)]
        assert meta["mean_type"] is StatisticMeanType.ARITHMETIC, key
        assert meta["has_sum"] is False, key
        assert meta["statistics_unit_of_measurement"] == unit, key
    fees = known[entity_id(hass, entry, "sensor", "fees_paid")]
    assert (fees["mean_type"], fees["has_sum"]) == (StatisticMeanType.NONE, True)
    shown = {entity_id(hass, entry, "sensor", key) for key in keys(hass, entry, "sensor", enabled_only=True)}
    without = {
        entity_id(hass, entry, "sensor", key) for key in ("status", "last_signal", "last_signal_result", "last_trade")
    }
    assert known.keys() == shown - without

    value = entity_id(hass, entry, "sensor", "total_value")
    found = await ask(
        hass,
        statistics_during_period,
        hass,
        start.replace(second=0),
        None,
        {value},
        "5minute",
        None,
        {"mean", "min", "max"},
    )
    (row,) = found[value]
    assert row["min"] == pytest.approx(first, abs=0.01)
    assert row["max"] == pytest.approx(second, abs=0.01)
    assert first < row["mean"] < second


@pytest.mark.usefixtures("recorder_mock")
async def test_history_survives_a_restart(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """The same entities go on where they were, their figures included."""
    start = dt_util.utcnow()
    leader.publish_v2(ALLOCATION)
    await set_up(hass, entry)
    value = entity_id(hass, entry, "sensor", "net_deposits")
    await entry.runtime_data.engine.commands.deposit(Decimal(50))
    await hass.async_block_till_done()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    await async_wait_recording_done(hass)
    assert entity_id(hass, entry, "sensor", "net_deposits") == value
    states = await ask(hass, history.get_significant_states, hass, start, None, [value])
    numbers = [state.state for state in states[value] if state.state not in {"unavailable", "unknown"}]
    assert [float(number) for number in numbers] == [1000, 1050, 1050]


async def ask(hass: HomeAssistant, question: Callable[..., Any], *arguments: Any) -> Any:
    """Ask the recorder's database."""
    return await get_instance(hass).async_add_executor_job(question, *arguments)


async def test_attributes_are_small(hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator) -> None:
    """Each state is recorded with all its attributes, even with the longest words of a leader."""
    entry = add_entry(hass, entry_data, approval="ask", coins=["BTC", "ETH", "BNB", "SOL", "XRP", "DOGE"])
    leader.publish_v2(ALLOCATION | {"DOGE": "0.05"}, reasoning="long " * 1000, confidence=0.123456789)
    await set_up(hass, entry)
    await enable_all(hass, entry)
    await poll(hass, entry)
    await hass.services.async_call("calvalot", "approve", blocking=True)
    await poll(hass, entry)
    for state in hass.states.async_all():
        size = len(json_bytes(dict(state.attributes)))
        limit = MAX_STATE_ATTRS_BYTES / 2 if state.domain == "event" else SMALL
        assert size < limit, state.entity_id
        if state.domain != "event" and not state.entity_id.endswith("last_signal_result"):
            assert size < 512, state.entity_id
    assert MAX_REASONING < MAX_STATE_ATTRS_BYTES / 4
