"""Actions of the owner's own hand: what they take, what they answer, what they refuse; a portfolio without a source."""

from decimal import Decimal
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from simulators.exchange import ExchangeSimulator

from .conftest import add_entry, set_up
from .entities import poll, state_of
from .test_services import ask, refused

BUY: dict[str, Any] = {"coin": "btc", "side": "BUY", "amount": 100}


@pytest.fixture
def by_hand(hass: HomeAssistant, entry_data: dict[str, Any]) -> MockConfigEntry:
    """A portfolio that nothing trades in but its owner."""
    return add_entry(hass, entry_data | {"source": "manual"})


async def test_an_order_is_shown_placed_and_ended(hass: HomeAssistant, by_hand: MockConfigEntry) -> None:
    """Without a confirmation it is only shown; then it is listed, and so is what protects what it bought."""
    assert await set_up(hass, by_hand)
    shown = await ask(hass, "place_order", **BUY, take_profit="+10 %", trailing_stop="2.5 %")
    assert (shown["confirmed"], shown["coin"], shown["side"]) == (False, "BTC", "BUY")
    assert Decimal(shown["take_profit"]["result_eur"]) > 0 > Decimal(shown["stop_loss"]["result_eur"])
    assert (await ask(hass, "get_orders"))["done"] == []
    placed = await ask(hass, "place_order", **BUY, stop_loss="5%", confirm=True)
    assert (placed["confirmed"], placed["state"], placed["signal_id"]) == (True, "booked", "by_hand")
    limit = {"coin": "ETH", "side": "buy", "type": "limit", "quantity": "0.02", "limit_price": 3000}
    waiting = await ask(hass, "place_order", **limit, time_in_force="GTC", confirm=True)
    await poll(hass, by_hand)
    assert state_of(hass, by_hand, "sensor", "open_orders").state == "2"
    orders = await ask(hass, "get_orders")
    assert [order["type"] for order in orders["open"]] == ["limit", "stop_loss"]
    assert [(each["coin"], each["held_by"]) for each in orders["protections"]] == [("BTC", "exchange")]
    ended = await ask(hass, "cancel_order", client_order_id=waiting["client_order_id"])
    assert [order["coin"] for order in ended["orders"]] == ["ETH"]
    moved = await ask(hass, "set_protection", coin="BTC", take_profit=120000, trailing_stop=5)
    assert (moved["take_profit"], moved["trailing_stop"], moved["held_by"]) == ("120000.00000000", 5.0, "cycle")
    assert (await ask(hass, "set_protection", coin="BTC"))["held_by"] is None
    closed = await ask(hass, "close_position", coin="BTC")
    assert [order["side"] for order in closed["orders"]] == ["SELL"]
    await poll(hass, by_hand)
    assert (await ask(hass, "get_orders"))["open"] == []
    assert by_hand.runtime_data.data.held_back == ()  # no source would buy it


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("place_order_not_confirmed", {}),
        ("limit_price_needed", {"type": "limit", "confirm": True}),
        ("limit_price_needed", {"limit_price": 90000, "confirm": True}),
        ("limit_price_needed", {"time_in_force": "ioc", "confirm": True}),
        ("amount_or_quantity", {"quantity": "0.001", "confirm": True}),
        ("amount_invalid", {"stop_loss": "much", "confirm": True}),
        ("amount_invalid", {"take_profit": "1000 %", "confirm": True}),
        ("amount_invalid", {"take_profit": 0, "confirm": True}),
        ("amount_invalid", {"take_profit": "NaN", "confirm": True}),
        ("amount_not_positive", {"amount": 0, "confirm": True}),
        ("trailing_range", {"trailing_stop": 25, "confirm": True}),
        ("trailing_range", {"trailing_stop": "0.123", "confirm": True}),
        ("coin_not_tradable", {"coin": "NOPE", "confirm": True}),
    ],
)
async def test_what_is_refused(
    hass: HomeAssistant, by_hand: MockConfigEntry, key: str, changes: dict[str, Any]
) -> None:
    """In the owner's words, and nothing is changed."""
    assert await set_up(hass, by_hand)
    assert (await refused(hass, "place_order", **{**BUY, **changes})).translation_key == key


async def test_what_is_unclear(hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """An order whose fate is not known yet is no mistake of the owner's; one more for its coin waits."""
    assert await set_up(hass, live_entry)
    exchange.fault("drop", when="after", method="POST", path="/order")
    exchange.fault("status", method="GET", path="/order", count=None)
    placed = await ask(hass, "place_order", **BUY, confirm=True)
    assert placed["state"] == "unknown"
    with pytest.raises(HomeAssistantError) as caught:
        await ask(hass, "place_order", **BUY, confirm=True)
    assert (caught.value.translation_key, type(caught.value)) == ("coin_unclear", HomeAssistantError)


async def test_set_up(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Nothing is asked for but exchange and budget; there is no further source, and nothing of it to change."""
    flow = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    for step in (
        {"next_step_id": "manual"},
        {},
        {"trading_mode": "dry_run", "exchange_url": exchange.url},
        {"initial_budget": 1000, "coins": ["BTC", "ETH"], "quote_asset": "USDC"},
    ):
        flow = await hass.config_entries.flow.async_configure(flow["flow_id"], step)
    assert flow["type"] is FlowResultType.CREATE_ENTRY
    entry = flow["result"]
    await hass.async_block_till_done()
    assert entry.title == "Calv-a-lot by hand (dry run)"
    assert entry.supported_subentry_types.keys() == {"publisher"}
    again = {"source": "reconfigure", "entry_id": entry.entry_id}
    menu = await hass.config_entries.flow.async_init(DOMAIN, context=again)
    assert menu["menu_options"] == ["exchange"]
    data = entry.runtime_data.data
    assert (data.leader_connected, data.tracking_distance) == (None, None)
    await poll(hass, entry)
    assert await entry.runtime_data.engine.queries.signals() == []
