"""Diagnostics and system health: enough for a bug report, not a secret, not an amount."""

from decimal import Decimal
import json
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.helpers.json import ExtendedJSONEncoder
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_system_health_info
from yarl import URL

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
from simulators.exchange import ExchangeSimulator
from simulators.leader import FaultKind, LeaderSimulator

from .conftest import add_entry, set_up
from .entities import poll
from .test_translations import load


async def test_diagnostics(
    hass: HomeAssistant, live_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """What is shown, and what is not."""
    leader.publish_v2({"BTC": "0.4", "ETH": "0.2"})
    entry = add_entry(hass, live_data, min_order=7.25, survival_floor=11.75, poll_interval=60)
    await set_up(hass, entry)
    shown = json.loads(json.dumps(await async_get_config_entry_diagnostics(hass, entry), cls=ExtendedJSONEncoder))
    assert shown["version"] == "0.1.0"
    assert shown["mode"] == "live"
    assert shown["status"] == "active"
    assert shown["leader"] == {
        "scheme": "http",
        "private": True,
        "connected": True,
        "problem": None,
        "pushes": None,
    }
    assert shown["exchange"] == {
        "name": "binance",
        "host": "127.0.0.1",
        "connected": True,
        "problem": None,
        "used_weight": entry.runtime_data.exchange.used_weight,
        "permissions": {"can_trade": True, "can_withdraw": False, "ip_restricted": False},
        "account_stream": False,
        "short_of_quote": False,
    }
    assert shown["exchange"]["used_weight"] > 0
    assert shown["options"] == {"min_order": "**REDACTED**", "survival_floor": "**REDACTED**", "poll_interval": 60}
    assert shown["last_signal"]["result"] == "executed"
    assert shown["positions"] == {"shown": 5, "held": 2, "priced": 5}
    assert shown["open_orders"] == []
    assert len(shown["cycles"]) == 1
    assert shown["known_figures"]["total_value"] is True
    assert shown["python_binance"].startswith("1.")
    assert shown["waiting"] is False
    assert shown["ledger"] == {
        "mismatch": [],
        "failed": False,
        "restored": False,
        "records": {"signals": 1, "orders": 2, "fills": len(exchange.trades()), "cash_flows": 1, "closes": 1},
        "book": 1,
        "books": [{"book": 1, "host": URL(exchange.url).authority, "in_use": True}],
    }
    assert shown["last_errors"] == []

    text = json.dumps(shown)
    for secret in (leader.secret, exchange.api_key, exchange.api_secret, leader.url):
        assert secret not in text
    snapshot = entry.runtime_data.data
    amounts = [getattr(snapshot, name) for name in shown["known_figures"]]
    amounts += [view.quantity for view in snapshot.positions.values()]
    amounts += [view.value for view in snapshot.positions.values()]
    for amount in amounts:
        if isinstance(amount, Decimal) and len(f"{amount:f}") > 3:
            assert f"{amount:f}"[:6] not in text


async def test_diagnostics_with_problems(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """What is wrong is named; an order in flight is shown without its amount."""
    leader.publish_v2({"BTC": "0.4"})
    exchange.fault("drop", when="after", path="/order", method="POST", count=None)
    exchange.fault("status", path="/order", method="GET", count=None)
    leader.misbehave(FaultKind.STATUS, count=None)
    await set_up(hass, live_entry)
    leader.behave()
    await live_entry.runtime_data.async_poll()
    leader.misbehave(FaultKind.STATUS, count=None)
    await live_entry.runtime_data.async_poll()
    shown = json.loads(json.dumps(await async_get_config_entry_diagnostics(hass, live_entry), cls=ExtendedJSONEncoder))
    assert shown["leader"]["problem"] == "LeaderUnreachable"
    assert shown["leader"]["connected"] is False
    assert shown["exchange"]["connected"] is False
    assert shown["exchange"]["problem"]
    (order,) = shown["open_orders"]
    assert order["symbol"] == "BTCUSDC"
    assert order["side"] == "BUY"
    assert order["state"] == "unknown"
    assert order["age"] >= 0
    assert not {"quantity", "client_order_id"} & order.keys()
    exchange.clear_faults()
    kinds = {(error["kind"], error["cycles"]) for error in shown["last_errors"]}
    assert ("LeaderUnreachable", 1) in kinds
    assert {"kind", "code", "first", "last", "cycles"} == shown["last_errors"][0].keys()
    assert len(kinds) >= 2


async def test_diagnostics_of_many_cycles(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """The timings of the last twenty; an error that goes on is one, one that comes again is another."""
    await set_up(hass, live_entry)
    exchange.fault("error", code=-2015, path="/account", count=3)
    await poll(hass, live_entry, 18)
    exchange.fault("error", code=-2015, path="/account", count=1)
    await poll(hass, live_entry, 4)
    shown = await async_get_config_entry_diagnostics(hass, live_entry)
    assert len(shown["cycles"]) == 20
    assert all(cycle["seconds"] >= 0 for cycle in shown["cycles"])
    errors = [(error["kind"], error["code"], error["cycles"]) for error in shown["last_errors"]]
    assert errors == [("InvalidKey", -2015, 3), ("InvalidKey", -2015, 1)]
    first = shown["last_errors"][0]
    assert first["first"] < first["last"]


async def test_diagnostics_without_a_ledger(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What cannot be counted is unknown; the rest is told all the same."""
    await set_up(hass, entry)
    await entry.runtime_data.async_stop()
    shown = await async_get_config_entry_diagnostics(hass, entry)
    assert shown["ledger"]["records"] is None
    assert shown["mode"] == "dry_run"


async def test_system_health(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """All followers at a glance."""
    assert await async_setup_component(hass, "system_health", {})
    await set_up(hass, entry)
    info = await get_system_health_info(hass, DOMAIN)
    assert info.keys() == load("translations/en.json")["system_health"]["info"].keys()
    assert await info.pop("can_reach_exchange") == "ok"
    assert info == {
        "followers": 1,
        "followers_loaded": 1,
        "leaders_connected": 1,
        "exchanges_connected": 1,
        "market_data": 0,
        "used_weight": entry.runtime_data.exchange.used_weight,
    }
    await hass.config_entries.async_unload(entry.entry_id)
    info = await get_system_health_info(hass, DOMAIN)
    info.pop("can_reach_exchange").close()
    assert info == dict.fromkeys(info, 0) | {"followers": 1}
    assert info.keys() == {"followers", "followers_loaded", "leaders_connected", "exchanges_connected", "market_data"}
