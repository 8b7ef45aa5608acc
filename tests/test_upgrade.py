"""An entry that an earlier version made goes on: its settings, its entities, its ledger with an order that was left unclear.

`fixtures/entry_before.*` is what that version wrote: the entry, its device and entities, and its ledger (file version 6).
"""

from decimal import Decimal
import json
from pathlib import Path
import sqlite3
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.trading.exchanges.base import OrderRequest, Side
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.exchanges.host import HostLimits
from custom_components.calvalot.trading.ledger.copies import copy_of_version, version_of
from custom_components.calvalot.trading.ledger.upgrades import VERSION
from harness.database import rows
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import set_up

FIXTURES = Path(__file__).parent / "fixtures"
WRITTEN_BY = 6


@pytest.fixture
def before() -> dict[str, Any]:
    """The entry as that version stored it, without its addresses and secrets."""
    stored: dict[str, Any] = json.loads((FIXTURES / "entry_before.json").read_text("utf-8"))
    return stored


@pytest.fixture
def entry(hass: HomeAssistant, before: dict[str, Any], live_data: dict[str, Any]) -> MockConfigEntry:
    """That entry, its device, and its entities: one that its owner renamed, one that he switched off."""
    entry = MockConfigEntry(domain=DOMAIN, **{**before["entry"], "data": before["entry"]["data"] | live_data})
    entry.add_to_hass(hass)
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={(DOMAIN, entry.entry_id)}, name=before["device"]["name"]
    )
    entities = er.async_get(hass)
    for unique_id, (platform, entity_id, disabled_by) in before["entities"].items():
        entities.async_get_or_create(
            platform,
            DOMAIN,
            unique_id,
            suggested_object_id=entity_id.partition(".")[2],
            config_entry=entry,
            device_id=device.id,
            disabled_by=er.RegistryEntryDisabler(disabled_by) if disabled_by else None,
        )
    entities.async_update_entity("sensor.calv_a_lot_cash", new_entity_id="sensor.my_cash", name="My cash")
    entities.async_update_entity("button.calv_a_lot_poll_now", disabled_by=er.RegistryEntryDisabler.USER)
    return entry


@pytest.fixture
async def ledger(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> Path:
    """Its ledger, on an account that has the orders in it; no answer came to the last one."""
    path = Path(hass.config.path("calvalot", f"{entry.entry_id}.db"))
    path.parent.mkdir()
    script = (FIXTURES / "entry_before.sql").read_text("utf-8").replace("{host}", urlsplit(exchange.url).netloc)
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    ordered = rows(path, "SELECT symbol, quantity, limit_price, client_order_id FROM orders ORDER BY seq")
    async with ClientSession() as session:
        account = BinanceExchange(session, exchange.url, exchange.api_key, exchange.api_secret, limits=HostLimits())
        for symbol, quantity, limit, name in ordered:
            await account.place(
                OrderRequest(
                    symbol=symbol,
                    side=Side.BUY,
                    quantity=Decimal(quantity),
                    limit_price=Decimal(limit),
                    client_order_id=name,
                )
            )
    return path


async def test_an_entry_goes_on(
    hass: HomeAssistant,
    before: dict[str, Any],
    entry: MockConfigEntry,
    ledger: Path,
    exchange: ExchangeSimulator,
    leader: LeaderSimulator,
) -> None:
    """Nothing is lost, nothing is ordered twice, and the next signal is traded."""
    devices = dr.async_get(hass)
    known_devices = dr.async_entries_for_config_entry(devices, entry.entry_id)
    assert await set_up(hass, entry)
    assert entry.state is ConfigEntryState.LOADED
    assert entry.options == before["entry"]["options"]
    assert entry.data.items() >= before["entry"]["data"].items()

    entities = er.async_get(hass)
    known = {each.unique_id: each for each in er.async_entries_for_config_entry(entities, entry.entry_id)}
    assert known.keys() >= before["entities"].keys()
    expected = {unique_id: entity_id for unique_id, (_, entity_id, _) in before["entities"].items()}
    expected[f"{entry.entry_id}_cash"] = "sensor.my_cash"
    assert {unique_id: known[unique_id].entity_id for unique_id in expected} == expected
    assert known[f"{entry.entry_id}_cash"].name == "My cash"
    assert known[f"{entry.entry_id}_poll"].disabled_by is er.RegistryEntryDisabler.USER
    assert [each.id for each in dr.async_entries_for_config_entry(devices, entry.entry_id)] == [
        each.id for each in known_devices
    ]

    assert (version_of(ledger), version_of(copy_of_version(ledger, WRITTEN_BY))) == (VERSION, WRITTEN_BY)
    assert rows(ledger, "SELECT symbol, state FROM orders ORDER BY seq") == [
        ("BTCUSDC", "booked"),
        ("ETHUSDC", "booked"),
        ("SOLUSDC", "booked"),
    ]
    assert len(exchange.orders) == 3
    held = {coin: Decimal(quantity) for coin, quantity in rows(ledger, "SELECT coin, quantity FROM positions")}
    assert held == {coin: exchange.balance(coin) for coin in ("BTC", "ETH", "SOL")}
    state = hass.states.get("sensor.my_cash")
    assert state
    assert Decimal(state.state) > 0

    leader.publish_v2({"BTC": ".3", "ETH": ".2"})
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()
    assert rows(ledger, "SELECT symbol, side, state FROM orders WHERE seq > 3") == [("SOLUSDC", "SELL", "booked")]
    assert exchange.balance("SOL") < Decimal("0.01")  # a step of its market orders
    assert await hass.config_entries.async_unload(entry.entry_id)
