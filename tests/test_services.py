"""Actions: what they do, what they answer, whom they obey, what they refuse."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
import json
from pathlib import Path
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.websocket_api.automation import async_get_services_for_target
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import Context, HomeAssistant, SupportsResponse
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import device_registry as dr, label_registry as lr
from homeassistant.util import dt as dt_util
import probatio
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser, async_capture_events

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.trading.snapshot import Status
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import ALLOCATION, entity_id, poll, state_of

MONEY: dict[str, dict[str, Any]] = {
    "deposit": {"amount": 50},
    "withdraw": {"amount": 50},
    "add_cash_flow": {"amount": -50},
    "change_cash_flow": {"id": 1, "note": "rent"},
    "delete_cash_flow": {"id": 1},
    "undo_cash_flow": {},
    "accept_cash_flow": {"proposal": "deposit 1"},
    "dismiss_cash_flow": {"proposal": "deposit 1"},
    "set_net_deposits": {"amount": 50},
    "write_off": {"coin": "BTC"},
    "release_coin": {"coin": "BTC"},
    "reset": {"confirm": True},
    "sync": {},
    "rebalance": {},
    "set_allocation": {"allocation": {"BTC": 50}},
    "exit": {"confirm": True},
    "convert": {"from_asset": "BTC", "to_asset": "ETH", "quantity": "0.001", "confirm": True},
    "change_quote_asset": {"quote_asset": "USDT", "confirm": True},
    "approve": {},
    "reject": {},
    "import_history": {"file": "calvalot.db"},
    "create_report": {},
    "test_alert": {},
    "place_order": {"coin": "BTC", "side": "buy", "amount": 10, "confirm": True},
    "cancel_order": {"client_order_id": "cv-1"},
    "close_position": {"coin": "BTC"},
    "set_protection": {"coin": "BTC", "stop_loss": "5 %"},
    "run_backtest": {"strategy": "macd", "coin": "BTC"},
    "abort_backtest": {},
    "sell_strategy": {},
    "pause_strategy": {},
    "draft_strategy": {"description": "Buy every week"},
    "set_strategy": {"rules": "name: Mine", "coin": "BTC", "weight": 50, "confirm": True},
}
READ: dict[str, dict[str, Any]] = {
    "preview": {},
    "get_portfolio": {},
    "get_trades": {},
    "get_orders": {},
    "get_alerts": {},
    "check_strategy": {"strategy": "macd"},
    "get_strategies": {},
    "get_backtests": {},
    "get_signals": {},
    "get_cash_flows": {},
    "get_history": {},
    "get_conversions": {},
    "get_candles": {"coin": "BTC"},
    "get_performance": {},
    "get_statistics": {},
    "export": {"format": "csv"},
}

# Those that do something, and say what to who asks for it.
ANSWERING = {
    "exit",
    "import_history",
    "create_report",
    "test_alert",
    "place_order",
    "cancel_order",
    "close_position",
    "set_protection",
    "convert",
    "change_quote_asset",
    "draft_strategy",
    "set_strategy",
    "run_backtest",
    "abort_backtest",
}


async def act(hass: HomeAssistant, action: str, **data: Any) -> None:
    """Call an action that does something."""
    await hass.services.async_call(DOMAIN, action, data, blocking=True)
    await hass.async_block_till_done()


async def ask(hass: HomeAssistant, action: str, **data: Any) -> Any:
    """Call an action that answers."""
    return await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True)


async def refused(hass: HomeAssistant, action: str, **data: Any) -> HomeAssistantError:
    """Call an action that cannot be done; its message is complete, and the books are as before."""
    before = await books(hass)
    with pytest.raises(HomeAssistantError) as err:
        await act(hass, action, **data)
    assert await books(hass) == before
    assert err.value.translation_domain == DOMAIN
    message = str(err.value)
    assert message != err.value.translation_key
    assert "{" not in message
    return err.value


async def books(hass: HomeAssistant) -> list[Any]:
    """What an action that was refused must not change, for all followers."""
    return [
        (
            snapshot.status,
            snapshot.cash,
            snapshot.net_deposits,
            {coin: position.quantity for coin, position in snapshot.positions.items()},
            await entry.runtime_data.engine.queries.cash_flows(),
        )
        for entry in hass.config_entries.async_loaded_entries(DOMAIN)
        if (snapshot := entry.runtime_data.data)
    ]


async def test_registered(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The contract's actions are there; those that read answer, the others do not."""
    assert await set_up(hass, entry)
    registered = hass.services.async_services_for_domain(DOMAIN)
    assert registered.keys() == MONEY.keys() | READ.keys()
    for name, service in registered.items():
        wanted = SupportsResponse.ONLY if name in READ else SupportsResponse.NONE
        assert service.supports_response is (SupportsResponse.OPTIONAL if name in ANSWERING else wanted), name


@pytest.mark.parametrize("action", MONEY)
async def test_money_is_for_administrators(
    hass: HomeAssistant, entry: MockConfigEntry, hass_read_only_user: MockUser, action: str
) -> None:
    """A user who is no administrator moves no money."""
    assert await set_up(hass, entry)
    before = await books(hass)
    with pytest.raises(Unauthorized):
        await hass.services.async_call(
            DOMAIN, action, MONEY[action], blocking=True, context=Context(user_id=hass_read_only_user.id)
        )
    assert await books(hass) == before


async def test_everyone_may_read(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, hass_read_only_user: MockUser
) -> None:
    """A user who is no administrator may look."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    for action, data in READ.items():
        assert await hass.services.async_call(
            DOMAIN,
            action,
            data,
            blocking=True,
            return_response=True,
            context=Context(user_id=hass_read_only_user.id),
        )


async def test_deposit_and_withdraw(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Money in and out moves cash and net deposits, never the profit nor the return."""
    leader.publish_v2({"BTC": "0.5"})
    assert await set_up(hass, entry)
    before = entry.runtime_data.data

    await act(hass, "deposit", amount="12.34", note="a gift")
    after = entry.runtime_data.data
    assert after.net_deposits == Decimal("1012.34")
    assert after.cash - before.cash == pytest.approx(Decimal("12.34") / after.rate, abs=Decimal("1e-8"))
    assert round(after.profit_loss, 6) == round(before.profit_loss, 6)
    assert round(after.time_weighted_return, 6) == round(before.time_weighted_return, 6)
    assert state_of(hass, entry, "sensor", "net_deposits").state == "1012.34"

    at = dt_util.utcnow()
    await act(hass, "withdraw", amount=2.34, at=at.isoformat())
    assert entry.runtime_data.data.net_deposits == 1010
    assert round(entry.runtime_data.data.profit_loss, 6) == round(before.profit_loss, 6)

    flows = (await ask(hass, "get_cash_flows"))["cash_flows"]
    assert {flow["kind"]: Decimal(flow["amount"]) for flow in flows} == {
        "deposit": Decimal("12.34"),
        "withdrawal": Decimal("-2.34"),
        "initial": 1000,
    }
    deposit = next(flow for flow in flows if flow["kind"] == "deposit")
    assert deposit["note"] == "a gift"
    assert Decimal(deposit["value_before"]) == pytest.approx(before.total_value)
    withdrawal = next(flow for flow in flows if flow["kind"] == "withdrawal")
    assert abs(datetime.fromisoformat(withdrawal["time"]) - at) < timedelta(milliseconds=1)


async def test_another_book(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Records of a book by its number, as a form or an automation gives it; one that is not there is named."""
    assert await set_up(hass, entry)
    for number in (1, 1.0, "1"):
        assert len((await ask(hass, "get_cash_flows", book=number))["cash_flows"]) == 1
    with pytest.raises(ServiceValidationError) as err:
        await ask(hass, "get_cash_flows", book=2)
    assert err.value.translation_key == "book_unknown"


async def test_export(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Files as text, gains and the form; the form wants a year."""
    leader.publish_v2({"BTC": "0.5"})
    assert await set_up(hass, entry)
    await poll(hass, entry)
    told = await ask(hass, "export", format="koinly", year=dt_util.utcnow().year)
    assert told["rows"] == len(told["content"].splitlines()) - 1 == 2
    assert (await ask(hass, "export", format="gains"))["years"] == []
    form = {"format": "form_2086", "acquisition": 100, "fractions": 0, "exchanges": 0, "values": {"trade-1": 5}}
    assert (await ask(hass, "export", **form, year=2026))["sales"] == []
    with pytest.raises(ServiceValidationError) as err:
        await ask(hass, "export", **form)
    assert err.value.translation_key == "year_required"
    with pytest.raises(probatio.Invalid):
        await ask(hass, "export", format="pdf")


async def test_change_cash_flows(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """A flow is added to the past, changed, deleted, and all of it undone; neither profit nor return moves."""
    leader.publish_v2({"BTC": "0.5"})
    assert await set_up(hass, entry)
    await poll(hass, entry)
    assert (await refused(hass, "undo_cash_flow")).translation_key == "nothing_to_undo"
    freezer.tick(timedelta(days=3))
    await poll(hass, entry)
    before = entry.runtime_data.data
    at = dt_util.utcnow() - timedelta(days=1)

    async def flows() -> list[tuple[str, str]]:
        after = entry.runtime_data.data
        assert round(after.profit_loss, 6) == round(before.profit_loss, 6)
        found = (await ask(hass, "get_cash_flows"))["cash_flows"]
        assert after.net_deposits == sum(Decimal(flow["amount"]) for flow in found)
        return [(flow["amount"], flow["note"]) for flow in found if flow["kind"] != "initial"]

    await act(hass, "add_cash_flow", amount="100", at=at.isoformat(), note="gift")
    assert await flows() == [("100", "gift")]
    (added, first) = (await ask(hass, "get_cash_flows"))["cash_flows"]
    await act(hass, "change_cash_flow", id=added["id"], amount=150)
    assert await flows() == [("150", "gift")]
    (changed, _) = (await ask(hass, "get_cash_flows"))["cash_flows"]
    await act(hass, "change_cash_flow", id=changed["id"], note="rent")
    await act(hass, "undo_cash_flow")
    assert await flows() == [("150", "gift")]
    (changed, _) = (await ask(hass, "get_cash_flows"))["cash_flows"]
    await act(hass, "delete_cash_flow", id=changed["id"])
    assert await flows() == []
    assert round(entry.runtime_data.data.cash, 6) == round(before.cash, 6)
    await act(hass, "undo_cash_flow")
    assert await flows() == [("150", "gift")]
    await act(hass, "undo_cash_flow")
    await act(hass, "add_cash_flow", amount=-20)
    assert await flows() == [("-20", "")]

    for wrong in (first["id"], 999, "x"):
        assert (await refused(hass, "delete_cash_flow", id=wrong)).translation_key == "cash_flow_unknown"
    (taken, _) = (await ask(hass, "get_cash_flows"))["cash_flows"]
    assert (await refused(hass, "change_cash_flow", id=taken["id"], amount=20)).translation_key == "cash_flow_sign"
    early = "2020-01-01T00:00:00Z"
    assert (await refused(hass, "change_cash_flow", id=taken["id"], at=early)).translation_key == "before_start"
    error = await refused(hass, "change_cash_flow", id=taken["id"], amount=-900_000)
    assert error.translation_key == "withdrawal_above_cash"


@pytest.mark.parametrize(
    ("amount", "key"),
    [
        (None, "amount_invalid"),
        ("", "amount_invalid"),
        ("a lot", "amount_invalid"),
        (True, "amount_invalid"),
        ([50], "amount_invalid"),
        ("NaN", "amount_invalid"),
        (float("nan"), "amount_invalid"),
        ("sNaN", "amount_invalid"),
        ("Infinity", "amount_invalid"),
        (float("inf"), "amount_invalid"),
        ("0.000000001", "amount_invalid"),
        ("1e-400", "amount_invalid"),
        ("50.000000000000000000000000000000000000001", "amount_invalid"),
        (1000000.01, "amount_too_large"),
        ("1e999", "amount_too_large"),
        (-1, "amount_negative"),
        ("-0.01", "amount_negative"),
    ],
)
async def test_wrong_amounts(hass: HomeAssistant, entry: MockConfigEntry, amount: Any, key: str) -> None:
    """An amount that is none changes nothing."""
    assert await set_up(hass, entry)
    for action in ("deposit", "withdraw", "set_net_deposits"):
        error = await refused(hass, action, amount=amount)
        assert isinstance(error, ServiceValidationError)
        assert error.translation_key == key


async def test_nothing_is_no_amount(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Nothing can neither be paid in nor taken out."""
    assert await set_up(hass, entry)
    for action in ("deposit", "withdraw"):
        for amount in (0, "0.00", "-0"):
            assert (await refused(hass, action, amount=amount)).translation_key == "amount_not_positive"


@pytest.mark.parametrize("data", [{}, {"amount": 50, "note": "x" * 256}, {"amount": 50, "sum": 1}])
async def test_wrong_fields(hass: HomeAssistant, entry: MockConfigEntry, data: dict[str, Any]) -> None:
    """A missing, overlong or unknown field changes nothing."""
    assert await set_up(hass, entry)
    before = await books(hass)
    with pytest.raises(probatio.Invalid):
        await act(hass, "deposit", **data)
    assert await books(hass) == before


@pytest.mark.parametrize(
    ("at", "key"), [("yesterday", "time_invalid"), (17, "time_invalid"), ("2999-01-01T00:00:00Z", "at_in_future")]
)
async def test_wrong_times(hass: HomeAssistant, entry: MockConfigEntry, at: Any, key: str) -> None:
    """A time that is none, or has not come yet, changes nothing."""
    assert await set_up(hass, entry)
    assert (await refused(hass, "deposit", amount=50, at=at)).translation_key == key


async def test_time_without_zone(hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory) -> None:
    """A time without a zone, as the form gives it, is Home Assistant's; it may lie back as far as the follower does."""
    await hass.config.async_set_time_zone("Europe/Paris")
    freezer.move_to("2026-01-01 12:00:30+00:00")
    assert await set_up(hass, entry)
    freezer.move_to("2026-01-03 12:00:00+00:00")
    error = await refused(hass, "deposit", amount=50, at="2026-01-01 12:59:59")
    assert "2026-01-01 12:00 UTC" in str(error)
    await act(hass, "deposit", amount=50, at="2026-01-02 03:04:05")
    flows = (await ask(hass, "get_cash_flows"))["cash_flows"]
    deposit = next(flow for flow in flows if flow["kind"] == "deposit")
    assert datetime.fromisoformat(deposit["time"]) == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)


async def test_withdraw_above_cash(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """More than the cash cannot be withdrawn; the message names the cash."""
    leader.publish_v2({"BTC": "0.9"})
    assert await set_up(hass, entry)
    await poll(hass, entry)
    error = await refused(hass, "withdraw", amount=500)
    assert error.translation_key == "withdrawal_above_cash"
    assert error.translation_placeholders
    cash = Decimal(error.translation_placeholders["cash"])
    assert 90 < cash < 110
    await act(hass, "withdraw", amount=str(cash))
    assert entry.runtime_data.data.cash < Decimal("0.02")


async def test_live_deposit_must_be_free(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """In live mode a deposit has to lie in the Spot wallet."""
    assert await set_up(hass, live_entry)
    error = await refused(hass, "deposit", amount=900_000)
    assert error.translation_key == "insufficient_free"
    exchange.set_balance("USDC", "2000000")
    await act(hass, "deposit", amount=900_000)
    assert live_entry.runtime_data.data.net_deposits == 901_000


async def test_no_valuation(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Without prices money cannot be moved; that is not the owner's fault."""
    await exchange.stop()
    assert await set_up(hass, entry)
    error = await refused(hass, "deposit", amount=50)
    assert error.translation_key == "no_valuation"
    assert not isinstance(error, ServiceValidationError)


async def test_set_net_deposits(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The correction changes profit and loss; it moves no cash and no return."""
    assert await set_up(hass, entry)
    before = entry.runtime_data.data
    await act(hass, "set_net_deposits", amount=800)
    after = entry.runtime_data.data
    assert after.net_deposits == 800
    assert round(after.profit_loss, 6) == 200
    assert (after.cash, after.time_weighted_return) == (before.cash, before.time_weighted_return)
    await act(hass, "set_net_deposits", amount=0)
    assert entry.runtime_data.data.net_deposits == 0


async def test_write_off(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A coin that is no longer listed leaves the book at a value or at its last price; one that is listed does not."""
    leader.publish_v2({"BTC": "0.4", "SOL": "0.2", "XRP": "0.1"})
    assert await set_up(hass, entry)
    await poll(hass, entry)
    error = await refused(hass, "write_off", coin="sol")
    assert error.translation_key == "not_set_aside"
    assert isinstance(error, ServiceValidationError)
    assert state_of(hass, entry, "sensor", "sol_value").attributes["set_aside"] is False
    for symbol in ("SOLUSDC", "XRPUSDC"):
        exchange.delist(symbol)
    await poll(hass, entry, 2)
    assert state_of(hass, entry, "sensor", "sol_value").attributes["set_aside"] is True
    assert {
        position["coin"] for position in (await ask(hass, "get_portfolio"))["positions"] if position["set_aside"]
    } == {
        "SOL",
        "XRP",
    }
    await act(hass, "write_off", coin=" sol ", value=0)
    await act(hass, "write_off", coin="XRP")
    flows = [flow for flow in (await ask(hass, "get_cash_flows"))["cash_flows"] if flow["kind"] == "withdrawal"]
    assert [flow["coin"] for flow in flows] == ["XRP", "SOL"]
    assert Decimal(flows[1]["amount"]) == 0
    assert -110 < Decimal(flows[0]["amount"]) < -90
    assert entry.runtime_data.data.profit_loss < -190
    assert (await refused(hass, "write_off", coin="SOL")).translation_key == "not_set_aside"


async def test_reset(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A reset has to be confirmed and needs a dead follower over the floor."""
    entry = add_entry(hass, entry_data | {"initial_budget": 20.0})
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    await poll(hass, entry)
    assert (await refused(hass, "reset", confirm=True)).translation_key == "not_dead"

    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 10)
    await poll(hass, entry, 3)
    assert (await refused(hass, "reset")).translation_key == "confirm_required"
    assert (await refused(hass, "reset", confirm=False)).translation_key == "confirm_required"
    error = await refused(hass, "reset", confirm=True)
    assert error.translation_key == "under_floor"
    assert error.translation_placeholders
    assert error.translation_placeholders["floor"] == "5"
    assert (await refused(hass, "sync")).translation_key == "dead"

    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * 10)
    await act(hass, "reset", confirm=True)
    assert state_of(hass, entry, "sensor", "status").state == "active"


async def test_sync(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A follower that drifted away is brought back to the leader's allocation, sales included."""
    assert await set_up(hass, entry)
    assert (await refused(hass, "sync")).translation_key == "no_allocation"
    leader.publish_v2({"BTC": "0.5"})
    await poll(hass, entry)
    await act(hass, "deposit", amount=1000)
    assert entry.runtime_data.data.positions["BTC"].weight < Decimal("0.3")

    target = {"entity_id": entity_id(hass, entry, "switch", "pause")}
    await hass.services.async_call("switch", "turn_on", target, blocking=True)
    assert (await refused(hass, "sync")).translation_key == "paused"
    await hass.services.async_call("switch", "turn_off", target, blocking=True)

    await act(hass, "sync")
    assert abs(entry.runtime_data.data.positions["BTC"].weight - Decimal("0.5")) < Decimal("0.006")


@pytest.mark.parametrize(("action", "result"), [("approve", "executed"), ("reject", "skipped")])
@pytest.mark.parametrize("named", [True, False])
async def test_approval(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, action: str, result: str, *, named: bool
) -> None:
    """A word on the signal that waits, named or not; after it there is nothing more to say."""
    entry = add_entry(hass, entry_data, approval="ask")
    told = async_capture_events(hass, "calvalot_signal")
    leader.publish_v2(ALLOCATION, signal_id="one")
    assert await set_up(hass, entry)
    asked = next(event.data for event in told if event.data["type"] == "waiting")
    assert asked["signal_id"] == "one"
    assert asked["entry_id"] == entry.entry_id
    assert {order["symbol"] for order in asked["orders"]} == {f"{coin}USDC" for coin in ALLOCATION}
    assert asked["summary"].count("BUY") == 5
    json.dumps(dict(asked))
    assert not (await ask(hass, "get_trades"))["trades"]
    assert (await ask(hass, "get_signals"))["signals"][0]["result"] == "waiting"
    await refused(hass, action, signal_id="another")

    data = {"signal_id": asked["signal_id"]} if named else {}
    await act(hass, action, **data)
    assert (await ask(hass, "get_signals"))["signals"][0]["result"] == result
    assert len((await ask(hass, "get_trades"))["trades"]) == (5 if action == "approve" else 0)
    assert (await refused(hass, action, **data)).translation_key == "not_waiting"


async def test_approval_of_the_paused(hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator) -> None:
    """A pause keeps the approval back."""
    entry = add_entry(hass, entry_data, approval="ask")
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    await entry.runtime_data.engine.commands.pause(True)
    assert (await refused(hass, "approve")).translation_key == "paused"
    await entry.runtime_data.engine.commands.pause(False)
    await act(hass, "approve")
    assert (await ask(hass, "get_trades"))["trades"]


async def test_approval_after_a_restart(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator
) -> None:
    """What was asked is what is traded, though the leader does not answer any more."""
    entry = add_entry(hass, entry_data, approval="ask")
    signal_id = leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    await leader.stop()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.runtime_data.data.waiting_signal == signal_id
    await act(hass, "approve")
    assert len((await ask(hass, "get_trades"))["trades"]) == 5


@pytest.mark.parametrize("action", ["approve", "reject"])
async def test_nothing_waits(hass: HomeAssistant, entry: MockConfigEntry, action: str) -> None:
    """Where no signal waits, there is nothing to approve or reject."""
    assert await set_up(hass, entry)
    assert (await refused(hass, action)).translation_key == "not_waiting"
    assert (await refused(hass, action, signal_id="one")).translation_key == "not_waiting"


async def test_preview(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """The preview tells the orders and places none."""
    assert await set_up(hass, entry)
    with pytest.raises(ServiceValidationError) as err:
        await ask(hass, "preview")
    assert err.value.translation_key == "no_allocation"

    leader.publish_v2(ALLOCATION | {"XRP": "0.001"})
    target = {"entity_id": entity_id(hass, entry, "switch", "pause")}
    await hass.services.async_call("switch", "turn_on", target, blocking=True)
    await poll(hass, entry)
    before = await books(hass)
    preview = await ask(hass, "preview")
    assert await books(hass) == before
    orders = {order["symbol"]: order for order in preview["orders"]}
    assert orders.keys() == {"BTCUSDC", "ETHUSDC", "BNBUSDC", "SOLUSDC"}
    assert all(order["side"] == "BUY" for order in orders.values())
    total = entry.runtime_data.data.total_value_quote
    assert Decimal(orders["BTCUSDC"]["amount"]) / total == pytest.approx(Decimal("0.4"), abs=Decimal("0.005"))
    (left_out,) = preview["left_out"]
    assert (left_out["symbol"], bool(left_out["reason"])) == ("XRPUSDC", True)

    rows = {row["coin"]: row for row in preview["table"]}
    assert rows.keys() == ALLOCATION.keys()
    assert rows["XRP"]["reason"] == left_out["reason"]
    assert {row["side"] for row in preview["table"]} == {"BUY", None}
    assert rows["BTC"]["amount"] == orders["BTCUSDC"]["amount"]
    assert Decimal(preview["turnover"]) > Decimal(preview["left_over"]) > Decimal(preview["cost"]) > 0
    target = {"entity_id": entity_id(hass, entry, "switch", "pause")}
    assert (await refused(hass, "rebalance", plan_id=preview["plan_id"])).translation_key == "paused"
    await hass.services.async_call("switch", "turn_off", target, blocking=True)
    await hass.services.async_call(DOMAIN, "rebalance", {"plan_id": preview["plan_id"]}, blocking=True)
    trades = (await ask(hass, "get_trades"))["trades"]
    assert {each["symbol"]: each["quantity"] for each in trades} == {
        symbol: order["quantity"] for symbol, order in orders.items()
    }
    assert (await refused(hass, "rebalance", plan_id=preview["plan_id"])).translation_key == "plan_unknown"


async def test_reading(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Answers are as the contract has them: amounts as text, newest first."""
    leader.publish_v2(ALLOCATION, confidence=0.7, reasoning="a calm market")
    assert await set_up(hass, entry)
    await poll(hass, entry)
    signal_id = leader.publish_v2({"BTC": "0.3"}, confidence=0.5, reasoning="a wild market")
    await poll(hass, entry)

    portfolio = await ask(hass, "get_portfolio")
    assert portfolio["mode"] == "dry_run"
    assert portfolio["status"] == "active"
    assert datetime.fromisoformat(portfolio["as_of"]).tzinfo
    for key in ("total_value", "total_value_quote", "cash", "net_deposits", "profit_loss"):
        assert isinstance(portfolio[key], str), key
        Decimal(portfolio[key])
    bitcoin = next(position for position in portfolio["positions"] if position["coin"] == "BTC")
    for key in ("quantity", "entry_price", "price", "value", "profit_loss"):
        assert isinstance(bitcoin[key], str), key
    assert bitcoin["weight"] == pytest.approx(0.3, abs=0.006)
    assert bitcoin["target_weight"] == 0.3

    trades = (await ask(hass, "get_trades"))["trades"]
    assert [trade["side"] for trade in trades[:5]] == ["SELL"] * 5
    assert [trade["time"] for trade in trades] == sorted((trade["time"] for trade in trades), reverse=True)
    for trade in trades:
        assert trade["simulated"] is True
        assert Decimal(trade["price"]) == pytest.approx(Decimal(trade["amount"]) / Decimal(trade["quantity"]))
        assert all(Decimal(fee["amount"]) > 0 for fee in trade["fees"])
    assert len((await ask(hass, "get_trades", limit=2))["trades"]) == 2
    assert (await ask(hass, "get_trades", limit=2))["trades"] == trades[:2]
    assert (await ask(hass, "get_trades", since="2999-01-01T00:00:00Z"))["trades"] == []
    assert (await ask(hass, "get_trades", since=trades[4]["time"]))["trades"] != trades

    signals = (await ask(hass, "get_signals", limit=1))["signals"]
    assert [signal["signal_id"] for signal in signals] == [signal_id]
    assert signals[0]["result"] == "executed"
    assert signals[0]["reasoning"] == "a wild market"
    assert {leg["symbol"] for leg in signals[0]["legs"]} == {f"{coin}USDC" for coin in ALLOCATION}

    performance = await ask(hass, "get_performance")
    assert Decimal(performance["max_drawdown"]) >= 0
    assert Decimal(performance["time_weighted_return"]) < 1


@pytest.mark.parametrize("limit", [0, -1, 1001, 1.5, "many", True])
async def test_wrong_limit(hass: HomeAssistant, entry: MockConfigEntry, limit: Any) -> None:
    """A limit that is none is refused."""
    assert await set_up(hass, entry)
    with pytest.raises(ServiceValidationError) as err:
        await ask(hass, "get_trades", limit=limit)
    assert err.value.translation_key == "limit_invalid"


async def test_which_follower(hass: HomeAssistant, entry: MockConfigEntry, entry_data: dict[str, Any]) -> None:
    """With two followers the action has to say which; one that is not loaded is refused."""
    assert await set_up(hass, entry)
    other = add_entry(hass, entry_data | {"initial_budget": 500.0})
    assert await set_up(hass, other)
    hass.config_entries.async_update_entry(other, title="The other one")
    error = await refused(hass, "deposit", amount=50)
    assert error.translation_key == "several_portfolios"
    assert "Calv-a-lot, The other one" in str(error)

    await act(hass, "deposit", amount=50, config_entry_id=other.entry_id)
    assert other.runtime_data.data.net_deposits == 550
    assert entry.runtime_data.data.net_deposits == 1000

    assert await hass.config_entries.async_unload(other.entry_id)
    assert other.state is ConfigEntryState.NOT_LOADED
    for entry_id in (other.entry_id, "nobody"):
        with pytest.raises(ServiceValidationError):
            await act(hass, "deposit", amount=50, config_entry_id=entry_id)


async def test_target(
    hass: HomeAssistant, entry: MockConfigEntry, entry_data: dict[str, Any], label_registry: lr.LabelRegistry
) -> None:
    """A device, an entity, also a disabled or a diagnostic one, or a label says which follower, as the entry does."""
    assert await set_up(hass, entry)
    other = add_entry(hass, entry_data | {"initial_budget": 500.0})
    assert await set_up(hass, other)
    label = label_registry.async_create("Money").label_id
    dr.async_get(hass).async_update_device(other.runtime_data.device_id, labels={label})
    hass.states.async_set("sensor.another", "1")
    targets = (
        {"device_id": other.runtime_data.device_id},
        {"entity_id": entity_id(hass, other, "sensor", "total_value")},
        {"entity_id": [entity_id(hass, other, "binary_sensor", "leader_connected"), "sensor.another"]},
        {"label_id": label},
        {"label_id": label, "config_entry_id": other.entry_id},
    )
    for number, target in enumerate(targets, 1):
        await act(hass, "deposit", amount=50, **target)
        assert other.runtime_data.data.net_deposits == 500 + 50 * number
        assert (await ask(hass, "get_portfolio", **target))["net_deposits"] == f"{500 + 50 * number}"
    assert entry.runtime_data.data.net_deposits == 1000

    both = [each.runtime_data.device_id for each in (entry, other)]
    for target, key in (
        ({"device_id": both}, "several_portfolios"),
        ({"device_id": both[0], "config_entry_id": other.entry_id}, "several_portfolios"),
        ({"entity_id": "sensor.another"}, "target_without_portfolio"),
        ({"entity_id": "sensor.calv_a_lot_that_is_gone"}, "target_without_portfolio"),
        ({"device_id": "gone"}, "target_without_portfolio"),
    ):
        assert (await refused(hass, "deposit", amount=50, **target)).translation_key == key


async def test_offered_for_a_target(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The editor offers each action for a follower's device and for its entities."""
    assert await set_up(hass, entry)
    for target in (
        {"device_id": [entry.runtime_data.device_id]},
        {"entity_id": [entity_id(hass, entry, "sensor", "total_value")]},
    ):
        offered = await async_get_services_for_target(hass, target, expand_group=False)
        assert {f"{DOMAIN}.{name}" for name in hass.services.async_services_for_domain(DOMAIN)} <= offered


# Exit


async def test_exit(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Shown first, done once it is confirmed; the answer tells what it brought."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    alerts = async_capture_events(hass, "calvalot_alert")
    assert (await refused(hass, "exit")).translation_key == "exit_not_confirmed"
    assert (await refused(hass, "exit", confirm=False)).translation_key == "exit_not_confirmed"
    before = await books(hass)
    shown = await ask(hass, "exit")
    assert await books(hass) == before
    assert {order["symbol"] for order in shown["orders"]} == {f"{coin}USDC" for coin in ALLOCATION}
    assert shown["confirmed"] is False
    done = await ask(hass, "exit", confirm=True)
    json.dumps(done)
    assert (done["confirmed"], done["finished"], done["result"]) == (True, True, "executed")
    assert Decimal(done["proceeds"]) == pytest.approx(Decimal(shown["proceeds"]), rel=Decimal("0.01"))
    assert entry.runtime_data.data.status is Status.PAUSED
    (alert,) = alerts
    assert (alert.data["type"], alert.data["proceeds"]) == ("exit", done["proceeds"])
    json.dumps(dict(alert.data))
    assert (await ask(hass, "get_signals"))["signals"][0]["signal_id"] == done["signal_id"]


async def test_exit_without_an_answer(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """An automation need not ask for the response."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    await act(hass, "exit", confirm=True)
    assert entry.runtime_data.data.status is Status.PAUSED
    assert entry.runtime_data.data.positions_value < 5


async def test_convert(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Shown first, traded once it is confirmed; the history tells it."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    wanted = {"from_asset": "btc", "to_asset": "ETH", "quantity": "0.001"}
    assert (await refused(hass, "convert", **wanted)).translation_key == "convert_not_confirmed"
    for quantity in ("x", 0, -1, "NaN"):
        wrong = await refused(hass, "convert", **wanted | {"quantity": quantity}, confirm=True)
        assert wrong.translation_key == "quantity_invalid"
    assert (await refused(hass, "convert", **wanted | {"to_asset": "BTC"}, confirm=True)).translation_key == (
        "conversion_same"
    )
    shown = await ask(hass, "convert", **wanted)
    assert (shown["confirmed"], shown["route"]) == (False, ["BTC", "USDC", "ETH"])
    done = await ask(hass, "convert", **wanted, plan_id=shown["plan_id"], confirm=True)
    json.dumps(done)
    assert (done["confirmed"], done["result"], Decimal(done["sold"])) == (True, "executed", Decimal("0.001"))
    assert (await ask(hass, "get_conversions"))["conversions"] == [done]
    assert (await refused(hass, "convert", **wanted, plan_id=shown["plan_id"], confirm=True)).translation_key == (
        "plan_unknown"
    )


async def test_change_quote_asset(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Shown first; then the entry has it, and the portfolio goes on in it, after a restart too."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    wanted = {"quote_asset": "USDT"}
    assert (await refused(hass, "change_quote_asset", **wanted)).translation_key == "change_quote_asset_not_confirmed"
    wrong = await refused(hass, "change_quote_asset", quote_asset="USDC", confirm=True)
    assert wrong.translation_key == "quote_same"
    before = entry.runtime_data.data
    shown = await ask(hass, "change_quote_asset", **wanted)
    json.dumps(shown)
    assert [row["coin"] for row in shown["kept"]] == sorted(ALLOCATION)
    done = await ask(hass, "change_quote_asset", **wanted, plan_id=shown["plan_id"], confirm=True)
    json.dumps(done)
    assert done["changed"]
    await hass.async_block_till_done()
    assert entry.data["quote_asset"] == "USDT"
    await poll(hass, entry)
    after = entry.runtime_data.data
    assert (after.book, before.book) == (2, 1)
    assert after.total_value == pytest.approx(before.total_value, rel=Decimal("0.005"))
    assert (await ask(hass, "export", format="json", book=1))["rows"] >= len(ALLOCATION)
    # A stop before the entry was written: the ledger says it again.
    hass.config_entries.async_update_entry(entry, data={**entry.data, "quote_asset": "USDC"})
    await hass.async_block_till_done()
    await poll(hass, entry)
    assert entry.data["quote_asset"] == "USDT"
    assert entry.runtime_data.data.total_value == pytest.approx(before.total_value, rel=Decimal("0.005"))


async def test_change_quote_asset_stops(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Where the cash cannot be converted the entry stays as it is."""
    leader.publish_v2({"BTC": ".4"})
    assert await set_up(hass, live_entry)
    exchange.fault("error", code=-2010, status=400, method="POST", path="/order")
    done = await ask(hass, "change_quote_asset", quote_asset="USDT", confirm=True)
    assert not done["changed"]
    assert live_entry.data["quote_asset"] == "USDC"


async def test_sync_of_a_refused_signal(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """The former allocation is not what the leader wants now."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    leader.publish_v2({"DOGE": "1"})
    error = await refused(hass, "sync")
    assert error.translation_key == "signal_refused"
    assert "unknown coin: DOGE" in str(error)
    leader.publish_v2({"BTC": ".5"})
    await act(hass, "sync")


async def test_candles(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Closed candles as the exchange has them, oldest first, kept outside of backups and asked for once."""
    assert await set_up(hass, entry)
    for _ in range(21):
        exchange.advance(60)
        exchange.walk()
    now = exchange.server_time / 1000
    answer = await ask(hass, "get_candles", coin="btc", time_frame="1m", limit=20)
    assert answer["missing"] == 0
    times = [datetime.fromisoformat(row["time"]).timestamp() for row in answer["candles"]]
    assert times == [now // 60 * 60 - 60 * number for number in range(20, 0, -1)]
    last = answer["candles"][-1]
    assert last.keys() == {"time", "open", "high", "low", "close", "volume"}
    assert last["low"] <= min(last["open"], last["close"]) <= max(last["open"], last["close"]) <= last["high"]
    until = datetime.fromtimestamp(times[10], UTC).isoformat()
    earlier = await ask(hass, "get_candles", coin="BTC", time_frame="1m", limit=5, until=until)
    assert earlier == {"candles": answer["candles"][5:10], "missing": 0}
    assert exchange.count("GET", "/klines") == 1
    assert await hass.async_add_executor_job(Path(hass.config.path(".cache", DOMAIN, "market.db")).exists)
    longer = await ask(hass, "get_candles", coin="BTC", time_frame="10m", limit=1)
    assert longer["candles"][0]["volume"] >= 9


async def test_candles_refused(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """A coin that the exchange does not list, an exchange that does not answer, a time frame that nobody has."""
    assert await set_up(hass, entry)
    for data in ({"coin": "NONE"}, {"coin": "BTC"}):
        with pytest.raises(HomeAssistantError) as err:
            await ask(hass, "get_candles", **data)
        assert err.value.translation_key == "no_candles"
        assert data["coin"] in str(err.value)
        exchange.fault("error", path="/klines", status=503, count=None)
    with pytest.raises(probatio.Invalid):
        await ask(hass, "get_candles", coin="BTC", time_frame="7m")


# Histories of other tools


async def test_import_history(hass: HomeAssistant, entry: MockConfigEntry, tmp_path: Path) -> None:
    """A file in the folder is looked at, taken in and told; the figures stay as they are."""
    assert await set_up(hass, entry)
    hass.config.config_dir = str(tmp_path)
    folder = tmp_path / DOMAIN / "import"
    folder.mkdir(parents=True)
    content = [
        {"timestamp": "2025-11-20T10:00:00+00:00", "amount_usd": 100.5, "type": "DEPOSIT", "description": "savings"},
        {"timestamp": "2025-11-21T10:00:00+00:00", "amount_usd": -40, "type": "WITHDRAW", "description": ""},
    ]
    (folder / "cashflows.json").write_text(json.dumps(content), "utf-8")
    before = await books(hass)
    seen = await ask(hass, "import_history", file="cashflows.json")
    assert (seen["tool"], seen["dry_run"], seen["found"]) == ("portfolio_manager", True, {"cash_flow": 2})
    assert (await ask(hass, "get_history"))["history"] == []
    await act(hass, "import_history", file="cashflows.json", dry_run=False)
    history = (await ask(hass, "get_history"))["history"]
    assert [(each["amount"], each["currency"], each["kind"]) for each in history] == [
        ("-40", "USD", "cash_flow"),
        ("100.5", "USD", "cash_flow"),
    ]
    assert history[1]["time"] == "2025-11-20T10:00:00.000+00:00"
    since = (await ask(hass, "get_history", since="2025-11-21T00:00:00+00:00", limit=5))["history"]
    assert since == history[:1]
    assert (await ask(hass, "import_history", file="cashflows.json", dry_run=False))["new"] == {}
    assert await books(hass) == before


async def test_import_of_nothing(hass: HomeAssistant, entry: MockConfigEntry, tmp_path: Path) -> None:
    """What is not there, lies elsewhere or is no history is refused."""
    assert await set_up(hass, entry)
    hass.config.config_dir = str(tmp_path)
    folder = tmp_path / DOMAIN / "import"
    folder.mkdir(parents=True)
    (tmp_path / DOMAIN / "secret.json").write_text("[]", "utf-8")
    (folder / "bad.json").write_text('[{"total_value_usd": "x"}]', "utf-8")
    (folder / "other.json").write_text("[]", "utf-8")
    for file, key in (
        ("none.db", "history_no_file"),
        ("../secret.json", "history_no_file"),
        (str(tmp_path / DOMAIN / "secret.json"), "history_no_file"),
        ("", "history_no_file"),
        ("other.json", "history_unknown"),
        ("bad.json", "history_unreadable"),
    ):
        err = await refused(hass, "import_history", file=file, dry_run=False)
        assert err.translation_key == key


async def test_withdrawal_that_sells(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Shown by a preview, done with `sell`; not at another time."""
    leader.publish_v2({"BTC": "0.5", "ETH": "0.45"})
    await set_up(hass, entry)
    shown = await hass.services.async_call(DOMAIN, "preview", {"withdraw": 300}, blocking=True, return_response=True)
    assert shown
    assert shown["enough"] is True
    with pytest.raises(ServiceValidationError) as refused:
        await hass.services.async_call(
            DOMAIN, "withdraw", {"amount": 300, "sell": True, "at": "2026-01-01 12:00:00"}, blocking=True
        )
    assert refused.value.translation_key == "sell_only_now"
    before = entry.runtime_data.data.net_deposits
    await hass.services.async_call(DOMAIN, "withdraw", {"amount": 300, "sell": True}, blocking=True)
    assert entry.runtime_data.data.net_deposits == before - 300
