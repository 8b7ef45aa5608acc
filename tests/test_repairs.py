"""Repair issues and reauthentication: they come with their cause and go with it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.repairs import DOMAIN as REPAIRS_DOMAIN
from homeassistant.config_entries import SOURCE_REAUTH
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, UnknownStep
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.issues import PROBLEMS
from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.repairs import async_create_fix_flow
from custom_components.calvalot.trading.decimals import ONE
from custom_components.calvalot.trading.errors import InvalidKey, LeaderForbidden, LeaderSignalsOff
from custom_components.calvalot.trading.exchanges.base import KeyPermissions, Side
from custom_components.calvalot.trading.ledger.records import CashFlow, FlowKind, OrderRecord, OrderState
from custom_components.calvalot.trading.market.coinmarketcap import RankError, RankKeyRefused
from custom_components.calvalot.trading.snapshot import PositionFigures, Snapshot, Status
from simulators.exchange import ExchangeSimulator
from simulators.leader import FaultKind, LeaderSimulator

from .conftest import set_up

FIXABLE = {
    "unknown_coin",
    "order_unknown",
    "rank_ambiguous",
    "ledger_restored",
    "ledger_mismatch",
    "coin_set_aside",
    "movement_unexplained",
    "dead",
}


def issue(hass: HomeAssistant, entry: MockConfigEntry, key: str) -> ir.IssueEntry | None:
    """An issue of a follower."""
    return ir.async_get(hass).async_get_issue(DOMAIN, f"{key}_{entry.entry_id}")


def order(age: timedelta, sent: timedelta | None, **changes: Any) -> OrderRecord:
    """An order in flight."""
    now = dt_util.utcnow()
    return OrderRecord(
        signal_id="s",
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.BUY,
        leg=0,
        attempt=1,
        client_order_id="cv-x",
        quantity=Decimal("0.00010"),
        state=OrderState.UNKNOWN,
        created_at=now - age,
        sent_at=None if sent is None else now - sent,
        **changes,
    )


@pytest.mark.parametrize(
    ("key", "change", "placeholders"),
    [
        ("clock_skew", {"leader_problem": LeaderForbidden(-3600.4)}, {"seconds": "3600"}),
        ("signals_off", {"leader_problem": LeaderSignalsOff("off")}, {}),
        ("unknown_coin", {"unknown_coins": ("DOGE", "PEPE")}, {"coins": "DOGE, PEPE"}),
        (
            "order_unknown",
            {"open_orders": (order(timedelta(minutes=11), timedelta(minutes=11)),)},
            {"orders": "- BUY 0.00010 BTCUSDC (cv-x)"},
        ),
        (
            "order_unknown",
            {"open_orders": (order(timedelta(minutes=11), timedelta(minutes=11), quote_amount=Decimal("400.50")),)},
            {"orders": "- BUY 400.5 USDC BTCUSDC (cv-x)"},
        ),
        (
            "coin_set_aside",
            {
                "positions": {
                    coin: PositionFigures(
                        coin=coin,
                        symbol=f"{coin}USDC",
                        value=Decimal("1.239"),
                        price_day=None if coin == "BTC" else date(2026, 5, 1),
                    )
                    for coin in ("BTC", "SOL", "XRP")
                }
            },
            {"coins": "SOL, XRP", "value": "2.47 USDC"},
        ),
        ("rank_key_refused", {"rank_problem": RankKeyRefused("HTTP 401")}, {}),
        ("ranks_unavailable", {"rank_problem": RankError("HTTP 500")}, {"error": "HTTP 500", "day": "–"}),
        ("rank_ambiguous", {"ambiguous_coins": {"SOL": (), "XRP": ()}}, {"coins": "SOL, XRP"}),
        (
            "movement_unexplained",
            {"unexplained": (CashFlow(kind=FlowKind.DEPOSIT, amount=ONE, amount_quote=ONE, time=dt_util.utcnow()),)},
            {"count": "1"},
        ),
        ("dead", {"status": Status.DEAD}, {}),
        ("ledger_failed", {"storage_problem": "disk full"}, {"error": "disk full"}),
        ("ledger_restored", {"restored": "x.2026-01-01.copy.db"}, {"copy": "x.2026-01-01.copy.db"}),
        ("ledger_mismatch", {"missing": {"BTC": Decimal("0.10")}}, {"missing": "0.1 BTC"}),
        ("key_refused", {"exchange_problem": InvalidKey("refused", -2015)}, {"code": "-2015"}),
        ("key_cannot_trade", {"permissions": KeyPermissions(can_trade=False, can_withdraw=False)}, {}),
        ("key_can_withdraw", {"permissions": KeyPermissions(can_trade=True, can_withdraw=True)}, {}),
        ("no_quote", {"short_of_quote": Decimal("1.239")}, {"quote": "USDC", "free": "1.23"}),
        ("signal_returned", {"returned_signal": "old"}, {"signal_id": "old"}),
        ("update_required", {"update_required": "c3f9ff3"}, {"version": "c3f9ff3"}),
    ],
)
async def test_issues(
    hass: HomeAssistant, entry: MockConfigEntry, key: str, change: dict[str, Any], placeholders: dict[str, str]
) -> None:
    """Each problem raises its issue alone, with what it is about, and takes it along when it goes."""
    await set_up(hass, entry)
    follower = entry.runtime_data.engine
    good: Snapshot = follower.snapshot
    follower.publisher.send(replace(good, **change))
    raised = {found.translation_key for (domain, _), found in ir.async_get(hass).issues.items() if domain == DOMAIN}
    assert raised == {key}
    found = issue(hass, entry, key)
    assert found
    assert found.translation_placeholders == {"name": "Calv-a-lot"} | placeholders
    assert found.is_fixable == (key in FIXABLE)
    follower.publisher.send(good)
    assert issue(hass, entry, key) is None


@pytest.mark.parametrize("sent", [None, timedelta(minutes=9)])
async def test_order_is_given_time(hass: HomeAssistant, entry: MockConfigEntry, sent: timedelta | None) -> None:
    """An order that was not sent, or just now, is nothing to worry about."""
    await set_up(hass, entry)
    follower = entry.runtime_data.engine
    follower.publisher.send(replace(follower.snapshot, open_orders=(order(timedelta(hours=1), sent),)))
    assert issue(hass, entry, "order_unknown") is None


async def test_all_problems_are_tested() -> None:
    """No issue without a test."""
    tested = {mark.args[1][n][0] for mark in test_issues.pytestmark for n in range(len(mark.args[1]))}
    assert {problem.key for problem in PROBLEMS} == tested | {
        "ledger_unreadable",
        "ledger_newer",
        "plain_http",
        "market_data_broken",  # test_market.py
        "nothing_published",  # test_leading.py
        "coins_left",
        "orders_left",
        "moves_in_blend",  # test_subentry_flow.py
        "conversion_stopped",  # test_repairs_more.py
        "alerts_without_token",  # test_alerts.py
        "strategy_invalid",  # test_strategies.py
        "strategy_no_candles",  # test_strategies.py
        "strategy_changed",  # test_python_strategies.py
        "strategy_failed",  # test_python_strategies.py
        "alerts_refused",
        "alerts_silent",
    }


async def test_unload_clears(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """An unloaded follower has no issues."""
    leader.misbehave(FaultKind.SIGNALS_OFF)
    await set_up(hass, entry)
    assert issue(hass, entry, "signals_off")
    await hass.config_entries.async_unload(entry.entry_id)
    assert issue(hass, entry, "signals_off") is None


async def test_clock_skew(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Clocks that differ are told with the seconds, and nobody is asked for a secret."""
    leader.misbehave(FaultKind.CLOCK_SKEW, seconds=5000)
    await set_up(hass, entry)
    found = issue(hass, entry, "clock_skew")
    assert found
    assert abs(int((found.translation_placeholders or {})["seconds"]) - 5000) <= 2
    assert not reauths(hass)
    await entry.runtime_data.async_poll()
    assert issue(hass, entry, "clock_skew") is None


def reauths(hass: HomeAssistant) -> list[Any]:
    """Reauthentication flows in progress."""
    return [flow for flow in hass.config_entries.flow.async_progress() if flow["context"]["source"] == SOURCE_REAUTH]


async def test_secret_refused(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A refused secret is asked for once, polling goes on, and the question goes away with its cause."""
    await set_up(hass, entry)
    secret, leader.secret = leader.secret, "changed"
    coordinator = entry.runtime_data
    for polls in (2, 3):
        await coordinator.async_poll()
        await hass.async_block_till_done()
        assert len(leader.requests) == polls
        assert len(reauths(hass)) == 1
    assert coordinator.data.leader_connected is False

    hass.config_entries.flow.async_abort(reauths(hass)[0]["flow_id"])
    await leader.stop()
    await coordinator.async_poll()
    await leader.start()
    await coordinator.async_poll()
    await hass.async_block_till_done()
    assert not reauths(hass)

    leader.secret = secret
    await coordinator.async_poll()
    assert coordinator.data.leader_connected is True
    leader.secret = "changed again"
    await coordinator.async_poll()
    await hass.async_block_till_done()
    assert len(reauths(hass)) == 1
    leader.secret = secret
    await coordinator.async_poll()
    await hass.async_block_till_done()
    assert not reauths(hass)


async def test_reauth_beside_an_open_dialog(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator
) -> None:
    """A reconfiguration that was left open holds the question up, and does not swallow it."""
    await set_up(hass, entry)
    dialog = await entry.start_reconfigure_flow(hass)
    leader.secret = "changed"
    coordinator = entry.runtime_data
    for _ in range(2):
        await coordinator.async_poll()
        await hass.async_block_till_done()
        assert not reauths(hass)
    hass.config_entries.flow.async_abort(dialog["flow_id"])
    for _ in range(2):
        await coordinator.async_poll()
        await hass.async_block_till_done()
        assert len(reauths(hass)) == 1


async def test_reauth_ends_it(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """With the new secret the follower goes on."""
    leader.secret = "changed"
    await set_up(hass, entry)
    result = await hass.config_entries.flow.async_configure(reauths(hass)[0]["flow_id"], {"signal_secret": "changed"})
    await hass.async_block_till_done()
    assert result["reason"] == "reauth_successful"
    assert entry.runtime_data.data.leader_connected is True
    assert not reauths(hass)


async def test_key_refused(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, leader: LeaderSimulator
) -> None:
    """A refused key is asked for, and only that; the leader is still heard."""
    await set_up(hass, live_entry)
    exchange.fault("error", code=-2015, path="/account", count=None)
    coordinator = live_entry.runtime_data
    await coordinator.async_poll()
    await hass.async_block_till_done()
    assert coordinator.data.exchange_connected is False
    assert coordinator.data.leader_connected is True
    (flow,) = reauths(hass)
    form = await hass.config_entries.flow.async_configure(flow["flow_id"])
    schema = form["data_schema"]
    assert schema
    assert {str(key) for key in schema.schema} == {"api_key", "api_secret"}
    exchange.clear_faults()
    await coordinator.async_poll()
    await hass.async_block_till_done()
    assert not reauths(hass)


@pytest.mark.parametrize("dismissed", [True, False])
async def test_both_refused(
    hass: HomeAssistant,
    live_entry: MockConfigEntry,
    exchange: ExchangeSimulator,
    leader: LeaderSimulator,
    *,
    dismissed: bool,
) -> None:
    """Two refusals are two questions, one after the other; one that answers itself does not take the other along."""
    await set_up(hass, live_entry)
    secret, leader.secret = leader.secret, "changed"
    exchange.fault("error", code=-2015, path="/account", count=None)
    coordinator = live_entry.runtime_data
    await coordinator.async_poll()
    await hass.async_block_till_done()
    assert len(reauths(hass)) == 1
    if dismissed:
        await coordinator.async_poll()
        hass.config_entries.flow.async_abort(reauths(hass)[0]["flow_id"])
    else:
        leader.secret = secret
    await coordinator.async_poll()
    await hass.async_block_till_done()
    (flow,) = reauths(hass)
    form = await hass.config_entries.flow.async_configure(flow["flow_id"])
    schema = form["data_schema"]
    assert schema
    assert {str(key) for key in schema.schema} == {"api_key", "api_secret"}


async def fix(hass: HomeAssistant, entry: MockConfigEntry, key: str) -> dict[str, Any]:
    """Start the repair of an issue."""
    assert await async_setup_component(hass, REPAIRS_DOMAIN, {})
    manager = hass.data[REPAIRS_DOMAIN]["flow_manager"]
    return await manager.async_init(DOMAIN, context={"issue_id": f"{key}_{entry.entry_id}"})


async def test_unknown_coin(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """The fix adds the coin, and the refused signal is followed."""
    leader.publish_v2({"DOGE": "0.3", "BTC": "0.3"})
    await set_up(hass, entry)
    assert not any(view.quantity for view in entry.runtime_data.data.positions.values())
    found = issue(hass, entry, "unknown_coin")
    assert found
    assert found.translation_placeholders == {"name": "Calv-a-lot", "coins": "DOGE"}

    form = await fix(hass, entry, "unknown_coin")
    assert form["type"] is FlowResultType.FORM
    assert form["description_placeholders"] == {"name": "Calv-a-lot", "coins": "DOGE"}
    manager = hass.data[REPAIRS_DOMAIN]["flow_manager"]
    result = await manager.async_configure(form["flow_id"], {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert entry.options["coins"] == ["BTC", "ETH", "BNB", "SOL", "XRP", "DOGE"]
    assert issue(hass, entry, "unknown_coin") is None
    positions = entry.runtime_data.data.positions
    assert positions["DOGE"].quantity > 0
    assert positions["BTC"].quantity > 0


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        (lambda exchange: exchange.fault("status", path="/exchangeInfo"), "cannot_connect_exchange"),
        (lambda exchange: exchange.delist("DOGEUSDC"), "unknown_coin"),
    ],
)
async def test_unknown_coin_cannot_be_added(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    fail: Callable[[ExchangeSimulator], object],
    error: str,
) -> None:
    """A coin that the exchange does not trade is not added."""
    leader.publish_v2({"DOGE": "0.3"})
    await set_up(hass, entry)
    form = await fix(hass, entry, "unknown_coin")
    fail(exchange)
    result = await hass.data[REPAIRS_DOMAIN]["flow_manager"].async_configure(form["flow_id"], {})
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == {"base": error}
    assert entry.options == {}
    assert issue(hass, entry, "unknown_coin")


async def choose(hass: HomeAssistant, flow: dict[str, Any], step: str) -> dict[str, Any]:
    """Choose from a repair's menu."""
    assert flow["type"] is FlowResultType.MENU
    assert step in flow["menu_options"]
    return await submit(hass, flow, {"next_step_id": step})


async def submit(hass: HomeAssistant, flow: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Submit a form of a repair."""
    result: dict[str, Any] = await hass.data[REPAIRS_DOMAIN]["flow_manager"].async_configure(flow["flow_id"], values)
    await hass.async_block_till_done()
    return result


@pytest.fixture
async def lost_order(
    hass: HomeAssistant,
    live_entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    freezer: FrozenDateTimeFactory,
) -> OrderRecord:
    """An order that was executed, of which the exchange tells nothing for eleven minutes."""
    await set_up(hass, live_entry)
    leader.publish_v2({"BTC": "0.4"})
    exchange.fault("drop", when="after", path="/order", method="POST", count=None)
    for path in ("/order", "/allOrders", "/openOrders", "/myTrades"):
        exchange.fault("status", path=path, method="GET", count=None)
    await live_entry.runtime_data.async_poll()
    assert issue(hass, live_entry, "order_unknown") is None
    freezer.tick(timedelta(minutes=11))
    await live_entry.runtime_data.async_poll()
    (found,) = live_entry.runtime_data.data.open_orders
    assert issue(hass, live_entry, "order_unknown")
    return found


async def test_order_executed(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, lost_order: OrderRecord
) -> None:
    """What the owner reads on the exchange is booked to the last digit."""
    form = await choose(hass, await fix(hass, live_entry, "order_unknown"), "executed")
    assert lost_order.client_order_id in form["description_placeholders"]["order"]
    assert form["description_placeholders"]["quote"] == "USDC"
    values = {"quantity": "much", "amount": "-1", "fee": "NaN", "fee_asset": "btc"}
    form = await submit(hass, form, values)
    assert form["errors"] == dict.fromkeys(("quantity", "amount", "fee"), "not_a_number")
    form = await submit(hass, form, {"quantity": "1000", "amount": "1", "fee": "0", "fee_asset": "BTC"})
    assert form["errors"] == {"base": "execution_impossible"}

    trades = exchange.trades()
    quantity = sum((trade.quantity for trade in trades), Decimal(0))
    amount = sum((trade.price * trade.quantity for trade in trades), Decimal(0))
    fee = sum((trade.commission for trade in trades), Decimal(0))
    values = {"quantity": f" {quantity:f}", "amount": f"{amount:f}", "fee": f"{fee:f}", "fee_asset": "btc "}
    result = await submit(hass, form, values)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert issue(hass, live_entry, "order_unknown") is None
    exchange.clear_faults()
    await live_entry.runtime_data.async_poll()
    snapshot = live_entry.runtime_data.data
    assert snapshot.open_orders == ()
    assert snapshot.positions["BTC"].quantity == exchange.balance("BTC")


async def test_order_not_placed(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, lost_order: OrderRecord
) -> None:
    """An order that the owner does not find is forgotten."""
    form = await choose(hass, await fix(hass, live_entry, "order_unknown"), "not_placed")
    assert form["type"] is FlowResultType.FORM
    result = await submit(hass, form, {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert lost_order not in live_entry.runtime_data.data.open_orders
    assert issue(hass, live_entry, "order_unknown") is None


async def test_order_settled_meanwhile(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, lost_order: OrderRecord
) -> None:
    """Where the exchange tells after all, or the follower has gone, nothing is booked by hand."""
    form = await choose(hass, await fix(hass, live_entry, "order_unknown"), "not_placed")
    exchange.clear_faults()
    await live_entry.runtime_data.async_poll()
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "order_not_open"}
    quantity = live_entry.runtime_data.data.positions["BTC"].quantity
    assert quantity == exchange.balance("BTC") > 0
    await hass.config_entries.async_unload(live_entry.entry_id)
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "not_loaded"}


async def test_ledger_restored(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """A broken ledger is put aside; the owner is told until he has seen it."""
    path = ledger_path(hass, entry.entry_id)
    path.parent.mkdir()
    path.write_text("this is not a database, but long enough to be one that broke" * 100)
    await set_up(hass, entry)
    found = issue(hass, entry, "ledger_restored")
    assert found
    assert found.translation_placeholders == {"name": "Calv-a-lot", "copy": "–"}
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert issue(hass, entry, "ledger_restored")
    form = await fix(hass, entry, "ledger_restored")
    assert form["type"] is FlowResultType.FORM
    result = await submit(hass, form, {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await entry.runtime_data.async_poll()
    assert issue(hass, entry, "ledger_restored") is None


async def test_nothing_to_repair(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """An order that became known is no reason for a form."""
    await set_up(hass, entry)
    data: dict[str, str | int | float | None] = {"entry_id": entry.entry_id, "problem": "order_unknown"}
    with pytest.raises(UnknownStep):
        await async_create_fix_flow(hass, "order_unknown", data)
