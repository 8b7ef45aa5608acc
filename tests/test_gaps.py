"""Days on which Home Assistant was off are filled after the start, from the exchange's candles."""

from datetime import timedelta

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import set_up


async def test_after_the_start(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """In the background, once a day, and marked."""
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, entry)
    await hass.async_block_till_done(wait_background_tasks=True)
    await hass.config_entries.async_unload(entry.entry_id)
    assert not exchange.count(path="/klines")
    freezer.tick(timedelta(days=5))
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    told = await hass.services.async_call(DOMAIN, "get_performance", {}, blocking=True, return_response=True)
    assert told
    closes, today = told["closes"], dt_util.utcnow().date()
    assert isinstance(closes, list)
    assert [(each["day"], each["filled"]) for each in closes] == [
        (f"{today - timedelta(days=back)}", 0 < back < 5) for back in range(5, -1, -1)
    ]
    assert all(float(each["value"]) > 900 for each in closes)
    assert exchange.count(path="/klines")
    exchange.forget_requests()
    await entry.runtime_data.async_poll()
    await hass.async_block_till_done(wait_background_tasks=True)
    assert not exchange.count(path="/klines")
