"""The figures: what they are called, what they show, and what they do not show."""

from decimal import Decimal
from typing import Any

from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN, EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot import sensor
from custom_components.calvalot.const import DOMAIN
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import ALLOCATION, enable_all, keys, poll, state_of
from .test_translations import load

# key: (unit, state class, device class)
FIGURES = {
    "total_value": ("EUR", "measurement", None),
    "total_value_quote": ("USDC", "measurement", None),
    "cash": ("USDC", "measurement", None),
    "positions_value": ("USDC", "measurement", None),
    "net_deposits": ("EUR", "measurement", None),
    "profit_loss": ("EUR", "measurement", None),
    "profit_loss_percent": ("%", "measurement", None),
    "profit_today": ("EUR", "measurement", None),
    "open_orders": (None, "measurement", None),
    "status": (None, None, "enum"),
    "last_signal": (None, None, "timestamp"),
    "last_signal_result": (None, None, "enum"),
    "last_trade": (None, None, "timestamp"),
    "time_weighted_return": ("%", "measurement", None),
    "max_drawdown": ("%", "measurement", None),
    "tracking_distance": ("%", "measurement", None),
    "fees_paid": ("USDC", "total", None),
    "btc_value": ("USDC", "measurement", None),
    "btc_profit_loss": ("USDC", "measurement", None),
}
RETURNS = {f"return_{period}" for period in ("7d", "14d", "30d", "60d", "90d", "180d", "1y", "2y")}
COINS = ("btc", "eth", "bnb", "sol", "xrp")
SHOWN = ("value", "profit_loss")
HIDDEN = ("quantity", "entry_price", "weight")
VALUED = (
    *("total_value", "total_value_quote", "positions_value", "profit_loss", "profit_loss_percent", "profit_today"),
    *("sol_value", "sol_profit_loss"),
)


async def test_keys(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The contract's sensors are there, all on one service device, the details of a coin off by default."""
    assert await set_up(hass, entry)

    follower = {key for key in FIGURES if not key.startswith("btc_")}
    shown = follower | {f"{coin}_{key}" for coin in COINS for key in SHOWN}
    assert keys(hass, entry, "sensor", enabled_only=True) == shown - {"profit_today"}
    assert keys(hass, entry, "sensor") == shown | {f"{coin}_{key}" for coin in COINS for key in HIDDEN} | RETURNS

    (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    assert device.entry_type is dr.DeviceEntryType.SERVICE
    assert device.identifiers == {(DOMAIN, entry.entry_id)}
    assert device.name == "Calv-a-lot"
    for entity in er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id):
        assert entity.device_id == device.id
        assert entity.has_entity_name
        assert entity.entity_category is not EntityCategory.CONFIG


async def test_units(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Curves carry the unit and a mean, without the device class that would forbid one."""
    assert await set_up(hass, entry)
    await enable_all(hass, entry)
    for key, (unit, state_class, device_class) in FIGURES.items():
        attributes = state_of(hass, entry, "sensor", key).attributes
        assert attributes.get("unit_of_measurement") == unit, key
        assert attributes.get("state_class") == state_class, key
        assert attributes.get("device_class") == device_class, key


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("en", ("Calv-a-lot Total value in USDC", "Calv-a-lot BTC value")),
        ("fr", ("Calv-a-lot Valeur totale en USDC", "Calv-a-lot Valeur BTC")),
    ],
)
async def test_names(hass: HomeAssistant, entry: MockConfigEntry, language: str, names: tuple[str, str]) -> None:
    """Names speak Home Assistant's language and name the coin and the quote asset."""
    hass.config.language = language
    assert await set_up(hass, entry)
    assert (
        state_of(hass, entry, "sensor", "total_value_quote").name,
        state_of(hass, entry, "sensor", "btc_value").name,
    ) == names


async def test_attributes_have_names(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """What a sensor tells beside its state has a name, and nothing that it does not tell has."""
    leader.publish_v2({"DOGE": "0.1"})  # refused, which has a reason
    assert await set_up(hass, entry)
    named = load("translations/en.json")["entity"]["sensor"]
    common = {"friendly_name", "unit_of_measurement", "state_class", "device_class", "options"}
    for key in keys(hass, entry, "sensor", enabled_only=True):
        own = state_of(hass, entry, "sensor", key).attributes.keys() - common
        name = key if key in named else f"coin_{key.partition('_')[2]}"
        assert own == named[name].get("state_attributes", {}).keys(), key


async def test_figures(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """After a signal the sensors show what the follower's book says."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    await enable_all(hass, entry)
    signal_id = leader.publish_v2(ALLOCATION)
    await poll(hass, entry)

    def value(key: str) -> Decimal:
        state = state_of(hass, entry, "sensor", key).state
        assert "E" not in state
        return Decimal(state)

    snapshot = entry.runtime_data.data
    assert value("total_value") == round(snapshot.total_value, 2)
    assert value("net_deposits") == 1000
    assert value("profit_loss") == round(snapshot.profit_loss, 2) < 0
    assert value("profit_loss_percent") == round(snapshot.profit_loss_percent, 2)
    assert value("cash") == round(snapshot.cash, 2)
    assert value("fees_paid") == round(snapshot.fees_paid, 8) > 0
    assert value("total_value_quote") == round(snapshot.total_value_quote, 2)
    assert value("positions_value") == round(sum(p.value for p in snapshot.positions.values()), 2)
    assert value("tracking_distance") < 1
    assert value("max_drawdown") >= 0
    for coin, share in ALLOCATION.items():
        position = snapshot.positions[coin]
        assert abs(value(f"{coin.lower()}_weight") - 100 * Decimal(share)) < Decimal("0.6")
        assert value(f"{coin.lower()}_quantity") == position.quantity > 0
        assert value(f"{coin.lower()}_value") == round(position.value, 2)
        assert value(f"{coin.lower()}_entry_price") == round(position.entry_price, 8)
        assert value(f"{coin.lower()}_profit_loss") == round(position.profit_loss, 2)

    assert state_of(hass, entry, "sensor", "status").state == "active"
    result = state_of(hass, entry, "sensor", "last_signal_result")
    assert result.state == "executed"
    assert result.attributes["signal_id"] == signal_id
    for key in ("last_signal", "last_trade"):
        assert state_of(hass, entry, "sensor", key).state.startswith("20")


async def test_nothing_happened_yet(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What has not happened is unknown; money that is not invested is no gap."""
    assert await set_up(hass, entry)
    await enable_all(hass, entry)
    for key in ("last_signal", "last_signal_result", "last_trade", "tracking_distance", "btc_entry_price"):
        assert state_of(hass, entry, "sensor", key).state == STATE_UNKNOWN, key
    assert state_of(hass, entry, "sensor", "btc_value").state == "0"
    assert state_of(hass, entry, "sensor", "total_value").state == "1000"


async def test_unknown_is_not_zero(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A missing price of a held coin makes the figures that rest on it unavailable, until it is back."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, entry)
    await enable_all(hass, entry)
    await poll(hass, entry)
    before = {key: state_of(hass, entry, "sensor", key).state for key in VALUED}
    assert STATE_UNAVAILABLE not in before.values()

    exchange.remove_price("SOLUSDC")
    await poll(hass, entry)
    for key in VALUED:
        assert state_of(hass, entry, "sensor", key).state == STATE_UNAVAILABLE, key
    assert state_of(hass, entry, "sensor", "net_deposits").state == "1000"
    assert state_of(hass, entry, "sensor", "btc_value").state not in {STATE_UNAVAILABLE, "0"}
    assert state_of(hass, entry, "sensor", "status").state == "active"

    exchange.restore_price("SOLUSDC")
    await poll(hass, entry)
    assert {key: state_of(hass, entry, "sensor", key).state for key in VALUED} == before


async def test_exchange_down_from_the_start(
    hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """Without any figure the entry is set up all the same, and shows none."""
    await exchange.stop()
    assert await set_up(hass, entry)
    for key in ("total_value", "cash", "net_deposits", "profit_loss", "time_weighted_return", "fees_paid"):
        assert state_of(hass, entry, "sensor", key).state == STATE_UNAVAILABLE, key
    await exchange.start()
    await poll(hass, entry)
    assert state_of(hass, entry, "sensor", "total_value").state == "1000"


async def test_refused_signal(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A refused signal says why, in a few words."""
    leader.publish_v2({"BTC": "0.5", **{f"DOGE{number}": "0" for number in range(2000)}})
    assert await set_up(hass, entry)
    result = state_of(hass, entry, "sensor", "last_signal_result")
    assert result.state == "rejected"
    assert "DOGE0" in result.attributes["reason"]
    assert len(result.attributes["reason"]) < 500


async def test_removed_coin(
    hass: HomeAssistant, live_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """The sensors of a coin go with it, but not while some of it is held."""
    # With fees in BNB a sale leaves no dust behind.
    exchange.set_balance("BNB", "1")
    exchange.set_account(bnb_burn=True)
    entry = add_entry(hass, live_data, coins=["BTC", "ETH", "SOL"])
    leader.publish_v2({"BTC": "0.5", "ETH": "0.3"})
    assert await set_up(hass, entry)
    await poll(hass, entry)

    hass.config_entries.async_update_entry(entry, options={"coins": ["BTC"]})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert not {key for key in keys(hass, entry, "sensor") if key.startswith("sol_")}
    assert {f"eth_{key}" for key in (*SHOWN, *HIDDEN)} <= keys(hass, entry, "sensor")
    assert Decimal(state_of(hass, entry, "sensor", "eth_value").state) > 0

    leader.publish_v2({"BTC": "0.5"})
    await poll(hass, entry)
    assert not {key for key in keys(hass, entry, "sensor") if key.startswith("eth_")}
    assert hass.states.get("sensor.calv_a_lot_eth_value") is None
    assert {f"btc_{key}" for key in (*SHOWN, *HIDDEN)} <= keys(hass, entry, "sensor")


async def test_added_coin(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """A coin that is added gets its sensors."""
    entry = add_entry(hass, entry_data, coins=["BTC"])
    assert await set_up(hass, entry)
    hass.config_entries.async_update_entry(entry, options={"coins": ["BTC", "ETH"]})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert {f"eth_{key}" for key in (*SHOWN, *HIDDEN)} <= keys(hass, entry, "sensor")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        ("0", 8, "0"),
        ("-0.001", 2, "0"),
        ("1E-8", 8, "0.00000001"),
        ("1E+3", 2, "1000"),
        ("1003.2149999999999999999999999999999999", 2, "1003.21"),
        ("-12.50", 2, "-12.5"),
        ("100", 8, "100"),
    ],
)
def test_plain(value: str, digits: int, text: str) -> None:
    """Figures are plain decimal text."""
    assert sensor.plain(Decimal(value), digits) == text
