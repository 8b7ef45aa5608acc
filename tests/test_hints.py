"""What the exchange says of the account by itself starts a cycle where there is something to find out, and nothing else."""

from typing import Any

from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import poll
from .market import until


@pytest.fixture
def live_entry(hass: HomeAssistant, live_data: dict[str, Any]) -> MockConfigEntry:
    """A live portfolio that follows its account."""
    return add_entry(hass, live_data, live_prices=True)


def unclear(entry: MockConfigEntry) -> int:
    """Orders of which it is not known what became of them."""
    return len(entry.runtime_data.data.open_orders)


@pytest.mark.parametrize("event", ["heard", "lost"])
async def test_lost_answer(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator, event: str
) -> None:
    """An order whose answer was lost is looked up as soon as the exchange tells of it, or is heard again: no cycle is waited for."""
    leader.publish_v2({})
    assert await set_up(hass, live_entry)
    streams = exchange.account_streams
    await until(hass, lambda: streams.subscribed == 1)
    await poll(hass, live_entry)
    exchange.fault("drop", when="after", method="POST", path="/order")
    exchange.fault("status", method="GET", path="/api/v3/order")
    if event == "lost":
        streams.lose(100)
    leader.publish_v2({"BTC": "0.5"})
    await live_entry.runtime_data.async_poll()
    if event == "lost":
        await until(hass, lambda: unclear(live_entry) == 1)
        streams.lost = 0
        await streams.cut()
    await until(hass, lambda: exchange.orders and not unclear(live_entry))
    assert len(exchange.orders) == 1
    (trade,) = await live_entry.runtime_data.engine.queries.trades()
    assert trade["symbol"] == "BTCUSDC"
    shown = await async_get_config_entry_diagnostics(hass, live_entry)
    assert shown["exchange"]["account_stream"] is True
    assert await hass.config_entries.async_unload(live_entry.entry_id)
    await until(hass, lambda: streams.subscribed == 0)


async def test_money_from_outside(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A deposit on the exchange starts a cycle; what the portfolio traded itself starts none. Switched off, nothing is followed."""
    leader.publish_v2({})
    assert await set_up(hass, live_entry)
    await until(hass, lambda: exchange.account_streams.subscribed == 1)
    await poll(hass, live_entry)
    leader.publish_v2({"BTC": "0.5"})
    await poll(hass, live_entry)
    polls = len(leader.requests)
    await until(hass, lambda: exchange.account_streams.sent["executionReport"])
    assert len(leader.requests) == polls
    exchange.set_balance("USDC", 5000)
    await until(hass, lambda: len(leader.requests) > polls)
    hass.config_entries.async_update_entry(live_entry, options={"live_prices": False})
    await until(hass, lambda: exchange.account_streams.subscribed == 0)
    assert await hass.config_entries.async_unload(live_entry.entry_id)


async def test_paper_has_no_account(
    hass: HomeAssistant, entry_data: dict[str, Any], exchange: ExchangeSimulator
) -> None:
    """On paper there is nothing to follow."""
    entry = add_entry(hass, entry_data, live_prices=True)
    assert await set_up(hass, entry)
    await poll(hass, entry)
    assert exchange.account_streams.opened == 0
    assert await hass.config_entries.async_unload(entry.entry_id)
