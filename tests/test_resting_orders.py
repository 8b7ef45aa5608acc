"""Orders that rest, where the owner changes the account or removes the portfolio."""

from decimal import Decimal
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import OrderRecord
from custom_components.calvalot.trading.order_commands import KEY
from harness.orders import limit
from simulators.exchange import ExchangeSimulator

from .conftest import set_up
from .test_repairs import fix, issue, submit


@pytest.fixture
async def order(hass: HomeAssistant, live_entry: MockConfigEntry) -> OrderRecord:
    """Place an order that rests."""
    await set_up(hass, live_entry)
    orders = live_entry.runtime_data.engine.orders
    return await orders.place(limit("BTC", Side.BUY, Decimal("0.0005"), Decimal(80000)))


async def change(hass: HomeAssistant, entry: MockConfigEntry, **exchange: Any) -> str:
    """Change what the exchange is asked with; returns how it ended."""
    menu = await entry.start_reconfigure_flow(hass)
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "exchange"})
    result = await hass.config_entries.flow.async_configure(form["flow_id"], exchange)
    await hass.async_block_till_done()
    return str(result.get("reason") or result["errors"])


@pytest.mark.parametrize("how", ["mode", "account"])
async def test_another_account(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, order: OrderRecord, how: str
) -> None:
    """What rests is ended before another account or mode takes over, else nothing is changed."""
    exchange.add_account("n" * 64, "new-secret", {"USDC": "500"})
    live = {"trading_mode": "live", "api_key": "n" * 64, "api_secret": "new-secret"}
    values = {"exchange_url": exchange.url} | ({"trading_mode": "dry_run"} if how == "mode" else live)
    before = dict(live_entry.data)
    exchange.fault("status", method="DELETE")
    assert await change(hass, live_entry, **values) == "{'base': 'orders_rest'}"
    assert live_entry.data == before
    assert len(exchange.open_orders()) == 1
    assert await change(hass, live_entry, **values) == "reconfigure_successful"
    assert not exchange.open_orders()
    assert live_entry.data != before


async def test_another_key_of_the_account(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, order: OrderRecord
) -> None:
    """The account stays what it is, and so does what rests."""
    exchange.add_key("n" * 64, "new-secret", to=live_entry.data["api_key"])
    values = {"trading_mode": "live", "exchange_url": exchange.url, "api_key": "n" * 64, "api_secret": "new-secret"}
    assert await change(hass, live_entry, **values) == "reconfigure_successful"
    assert [each.client_order_id for each in exchange.open_orders()] == [order.client_order_id]


async def test_nothing_is_changed(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, order: OrderRecord
) -> None:
    """A form that is sent as it was shown ends nothing."""
    values = {"trading_mode": "live", "exchange_url": exchange.url}
    assert await change(hass, live_entry, **values) == "reconfigure_successful"
    assert exchange.open_orders()


async def test_a_key_whose_account_is_not_known(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, order: OrderRecord
) -> None:
    """Where the exchange does not say whose an account is, a key that is no use any more stands in nobody's way."""
    exchange.add_key("n" * 64, "new-secret", to=live_entry.data["api_key"])
    values = {"trading_mode": "live", "exchange_url": exchange.url, "api_key": "n" * 64, "api_secret": "new-secret"}
    exchange.fault("status", path="/api/v3/account", api_key="n" * 64)
    assert await change(hass, live_entry, **values) == "reconfigure_successful"
    assert exchange.open_orders()


async def test_a_portfolio_that_is_not_set_up(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, order: OrderRecord
) -> None:
    """It has nobody to end anything; its orders are in the books of its own account."""
    assert await hass.config_entries.async_unload(live_entry.entry_id)
    values = {"trading_mode": "dry_run", "exchange_url": exchange.url}
    assert await change(hass, live_entry, **values) == "reconfigure_successful"
    assert exchange.open_orders()


async def test_removal(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, order: OrderRecord
) -> None:
    """What rests is ended, and the record of it stays."""
    await hass.config_entries.async_remove(live_entry.entry_id)
    assert not exchange.open_orders()
    assert issue(hass, live_entry, "orders_left") is None
    ledger = Ledger(ledger_path(hass, live_entry.entry_id), Mode.LIVE, "USDC")
    ledger.open()
    (known,) = ledger.orders(KEY)
    ledger.close()
    assert (known.client_order_id, known.state.settled) == (order.client_order_id, True)


async def test_removal_that_the_exchange_does_not_hear_of(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, order: OrderRecord
) -> None:
    """What could not be ended is named until that was read."""
    exchange.fault("status", count=None)
    await hass.config_entries.async_remove(live_entry.entry_id)
    found = issue(hass, live_entry, "orders_left")
    assert found
    assert found.is_persistent
    assert found.translation_placeholders
    assert found.translation_placeholders["orders"] == "BUY 0.0005 BTCUSDC"
    flow = await fix(hass, live_entry, "orders_left")
    assert (await submit(hass, flow, {}))["type"] is FlowResultType.CREATE_ENTRY
    assert issue(hass, live_entry, "orders_left") is None
