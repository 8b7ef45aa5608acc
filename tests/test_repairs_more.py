"""Repair issues with their real causes: each comes with its cause, goes with it, and where it can be fixed, it is."""

from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.homeassistant import DOMAIN as HOMEASSISTANT_DOMAIN
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.trading.snapshot import Status
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import ALLOCATION, poll
from .test_repairs import fix, issue, submit


async def reload(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Reload an entry."""
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()


async def test_wrong_secret(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Home Assistant's own issue for a secret that is asked for; it goes with the right one."""
    await set_up(hass, entry)
    secret, leader.secret = leader.secret, "changed"
    await poll(hass, entry)

    def asked() -> list[str]:
        issues = ir.async_get(hass).issues.values()
        return [
            found.issue_id for found in issues if found.domain == HOMEASSISTANT_DOMAIN and "reauth" in found.issue_id
        ]

    assert len(asked()) == 1
    leader.secret = secret
    await poll(hass, entry)
    assert asked() == []


async def test_leader_over_plain_http(
    hass: HomeAssistant, entry: MockConfigEntry, entry_data: dict[str, Any], leader: LeaderSimulator
) -> None:
    """A public host without encryption is named; one at home is fine."""
    await set_up(hass, entry)
    follower = entry.runtime_data.engine
    assert issue(hass, entry, "plain_http") is None
    # No host outside can be reached from here, so the follower goes on with what it was set up with.
    with patch("custom_components.calvalot.trading.sources.leader.Leader.fetch", return_value=None):
        hass.config_entries.async_update_entry(
            entry, data=entry_data | {"leader_url": "http://leader.example.com:81/x"}
        )
        follower.publisher.send(follower.snapshot)
        found = issue(hass, entry, "plain_http")
        assert found
        assert found.severity is ir.IssueSeverity.WARNING
        assert found.translation_placeholders == {"name": "Calv-a-lot", "host": "leader.example.com"}
        hass.config_entries.async_update_entry(entry, data=entry_data | {"leader_url": "https://leader.example.com"})
        follower.publisher.send(follower.snapshot)
        assert issue(hass, entry, "plain_http") is None
        await hass.async_block_till_done()


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("key_cannot_trade", {"spot_trading": False}, {"spot_trading": True}),
        ("key_can_withdraw", {"withdrawals": True}, {"withdrawals": False}),
    ],
)
async def test_permissions(
    hass: HomeAssistant,
    live_entry: MockConfigEntry,
    exchange: ExchangeSimulator,
    freezer: FrozenDateTimeFactory,
    key: str,
    wrong: dict[str, bool],
    right: dict[str, bool],
) -> None:
    """What the key may do is looked at when the follower starts and once a day, and not in between."""
    await set_up(hass, live_entry)
    assert issue(hass, live_entry, key) is None
    assert exchange.count(path="apiRestrictions") == 1
    exchange.set_account(**wrong)
    await poll(hass, live_entry, 3)
    assert exchange.count(path="apiRestrictions") == 1
    assert issue(hass, live_entry, key) is None

    freezer.tick(timedelta(days=1, seconds=1))
    await poll(hass, live_entry)
    assert issue(hass, live_entry, key)
    exchange.set_account(**right)
    freezer.tick(timedelta(days=1, seconds=1))
    await poll(hass, live_entry, 2)
    assert issue(hass, live_entry, key) is None
    assert exchange.count(path="apiRestrictions") == 3

    exchange.set_account(**wrong)
    await reload(hass, live_entry)
    assert issue(hass, live_entry, key)


async def test_permissions_of_no_importance(
    hass: HomeAssistant, entry: MockConfigEntry, live_data: dict[str, Any], exchange: ExchangeSimulator
) -> None:
    """A dry run has no key; where the host does not answer the question, the follower runs all the same."""
    await set_up(hass, entry)
    assert exchange.count(path="apiRestrictions") == 0
    exchange.fault("status", path="apiRestrictions", count=None)
    live = add_entry(hass, live_data)
    await set_up(hass, live)
    assert live.runtime_data.data.exchange_connected
    assert live.runtime_data.data.permissions is None
    assert not [key for key in ("key_cannot_trade", "key_can_withdraw") if issue(hass, live, key)]


async def test_address_not_allowed(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """A key that may not be used from here is told with what to look at, and the rest goes on by itself."""
    await set_up(hass, live_entry)
    exchange.set_account(ip_restrict=True, ip_allowed=False)
    await poll(hass, live_entry)
    found = issue(hass, live_entry, "key_refused")
    assert found
    assert found.translation_placeholders == {"name": "Calv-a-lot", "code": "-2015"}
    exchange.set_account(ip_allowed=True)
    await poll(hass, live_entry)
    assert issue(hass, live_entry, "key_refused") is None


async def test_other_refusals_of_a_key(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """A wrong signature has nothing to do with addresses."""
    await set_up(hass, live_entry)
    exchange.fault("error", code=-1022, path="/account")
    await poll(hass, live_entry)
    assert live_entry.runtime_data.data.exchange_connected is False
    assert issue(hass, live_entry, "key_refused") is None


async def test_quote_in_another_wallet(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, leader: LeaderSimulator
) -> None:
    """Without quote the follower cannot begin, says so, and begins once there is some."""
    leader.publish_v2(ALLOCATION)
    exchange.set_balance("USDC", "4.999")
    await set_up(hass, live_entry)
    found = issue(hass, live_entry, "no_quote")
    assert found
    assert found.translation_placeholders == {"name": "Calv-a-lot", "quote": "USDC", "free": "4.99"}
    exchange.fault("status", path="/account")
    await poll(hass, live_entry)
    assert issue(hass, live_entry, "no_quote") is None  # not known any more
    await poll(hass, live_entry)
    assert issue(hass, live_entry, "no_quote")
    exchange.set_balance("USDC", "1500")
    await poll(hass, live_entry)
    assert issue(hass, live_entry, "no_quote") is None
    assert live_entry.runtime_data.data.positions["BTC"].quantity == exchange.balance("BTC") > 0
    exchange.set_balance("USDC", "0")
    await poll(hass, live_entry)
    assert issue(hass, live_entry, "no_quote") is None  # it has begun: what is missing now is another matter


@pytest.fixture
async def robbed(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, leader: LeaderSimulator
) -> Decimal:
    """A follower whose account lacks half of its BTC; the quantity."""
    leader.publish_v2(ALLOCATION)
    await set_up(hass, live_entry)
    there = exchange.balance("BTC")
    taken = (there / 2).quantize(Decimal("1e-8"))
    exchange.set_balance("BTC", there - taken)
    await poll(hass, live_entry, 2)
    assert issue(hass, live_entry, "ledger_mismatch") is None
    await poll(hass, live_entry)
    return taken


async def test_account_lacks_something(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, robbed: Decimal
) -> None:
    """The fix books it as a withdrawal; the issue is gone, the figures are the account's."""
    found = issue(hass, live_entry, "ledger_mismatch")
    assert found
    missing = f"{robbed.normalize():f} BTC"
    assert found.translation_placeholders == {"name": "Calv-a-lot", "missing": missing}
    before = live_entry.runtime_data.data
    form = await fix(hass, live_entry, "ledger_mismatch")
    assert form["type"] is FlowResultType.FORM
    assert form["description_placeholders"] == {"name": "Calv-a-lot", "missing": missing}
    assert live_entry.runtime_data.data == before  # asking changes nothing
    result = await submit(hass, form, {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await poll(hass, live_entry, 3)
    assert issue(hass, live_entry, "ledger_mismatch") is None
    after = live_entry.runtime_data.data
    assert after.positions["BTC"].quantity == exchange.balance("BTC")
    flow = (await live_entry.runtime_data.engine.queries.cash_flows())[0]
    assert (flow["kind"], flow["coin"], Decimal(flow["quantity"])) == ("withdrawal", "BTC", robbed)


async def test_account_is_whole_again(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, robbed: Decimal
) -> None:
    """What is put back takes the issue along."""
    exchange.set_balance("BTC", exchange.balance("BTC") + robbed)
    await poll(hass, live_entry)
    assert issue(hass, live_entry, "ledger_mismatch") is None


async def test_account_does_not_answer(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, robbed: Decimal
) -> None:
    """Then nothing is booked, and it can be tried again."""
    form = await fix(hass, live_entry, "ledger_mismatch")
    exchange.fault("status", path="/account")
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "account_unknown"}
    assert issue(hass, live_entry, "ledger_mismatch")
    result = await submit(hass, form, {})
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_coin_no_longer_listed(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, leader: LeaderSimulator
) -> None:
    """The fix writes it off at its last price; the coins stay on the account, and the issue is gone."""
    leader.publish_v2({"BTC": ".4", "SOL": ".2"})
    await set_up(hass, live_entry)
    exchange.delist("SOLUSDC")
    await poll(hass, live_entry, 2)
    there, (position,) = exchange.balance("SOL"), live_entry.runtime_data.data.set_aside
    form = await fix(hass, live_entry, "coin_set_aside")
    value = f"{position.value.quantize(Decimal('0.01'), ROUND_DOWN)} USDC"
    assert form["description_placeholders"] == {"name": "Calv-a-lot", "coins": "SOL", "value": value}
    exchange.remove_price("BTCUSDC")
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "no_valuation"}
    exchange.restore_price("BTCUSDC")
    result = await submit(hass, form, {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert issue(hass, live_entry, "coin_set_aside") is None
    assert exchange.balance("SOL") == there
    assert live_entry.runtime_data.data.positions["SOL"].quantity == 0


async def test_listed_again(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator, leader: LeaderSimulator
) -> None:
    """What is listed again when the owner says yes stays in the book."""
    leader.publish_v2({"BTC": ".4", "SOL": ".2"})
    await set_up(hass, live_entry)
    exchange.delist("SOLUSDC")
    await poll(hass, live_entry, 2)
    form = await fix(hass, live_entry, "coin_set_aside")
    exchange.relist("SOLUSDC")
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "not_set_aside"}
    await poll(hass, live_entry)
    assert issue(hass, live_entry, "coin_set_aside") is None
    assert live_entry.runtime_data.data.positions["SOL"].quantity


@pytest.fixture
async def dead(
    hass: HomeAssistant, live_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> MockConfigEntry:
    """A follower that has fallen under its floor of 500 EUR."""
    entry = add_entry(hass, live_data | {"initial_budget": 600.0}, survival_floor=500)
    leader.publish_v2({"BTC": "0.9"})
    await set_up(hass, entry)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 2, gap=True)
    await poll(hass, entry, 3)
    assert entry.runtime_data.data.status is Status.DEAD
    assert issue(hass, entry, "dead")
    return entry


async def test_dead_is_revived(hass: HomeAssistant, dead: MockConfigEntry) -> None:
    """A deposit that is enough ends it; one that is not is booked and said so."""
    form = await fix(hass, dead, "dead")
    assert form["type"] is FlowResultType.FORM
    for amount in (-5, 2_000_000, 1_900):
        form = await submit(hass, form, {"amount": amount})
        assert form["type"] is FlowResultType.FORM
    assert form["errors"] == {"base": "insufficient_free"}
    assert set(form["description_placeholders"]) >= {"name", "free"}
    assert dead.runtime_data.data.net_deposits == 600

    form = await submit(hass, form, {"amount": 50.25})
    assert form["errors"] == {"base": "under_floor"}
    assert form["description_placeholders"]["floor"] == "500"
    assert dead.runtime_data.data.net_deposits == Decimal("650.25")
    assert dead.runtime_data.data.status is Status.DEAD

    result = await submit(hass, form, {"amount": 300})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert dead.runtime_data.data.status is Status.ACTIVE
    assert dead.runtime_data.data.net_deposits == Decimal("950.25")
    await poll(hass, dead, 3)
    assert issue(hass, dead, "dead") is None


async def test_dead_has_recovered(hass: HomeAssistant, dead: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Without a deposit it is enough that the portfolio is worth something again."""
    form = await fix(hass, dead, "dead")
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "under_floor"}
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * 2, gap=True)
    result = await submit(hass, form, {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert dead.runtime_data.data.status is Status.ACTIVE


async def test_dead_is_alive_already(hass: HomeAssistant, dead: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Who revived it otherwise meanwhile has nothing left to do here, and an unloaded one cannot be told."""
    form = await fix(hass, dead, "dead")
    other = await fix(hass, dead, "dead")
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * 2, gap=True)
    await dead.runtime_data.engine.commands.reset()
    assert issue(hass, dead, "dead") is None
    assert (await submit(hass, form, {}))["type"] is FlowResultType.CREATE_ENTRY
    await hass.config_entries.async_unload(dead.entry_id)
    assert (await submit(hass, other, {}))["errors"] == {"base": "not_loaded"}


async def test_signal_that_returns(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A leader that shows an older signal again is named until it shows a new one; an owner's sync settles it too."""
    leader.publish_v2(ALLOCATION, signal_id="one")
    await set_up(hass, entry)
    leader.publish_v2({"BTC": ".5"}, signal_id="two")
    await poll(hass, entry)
    assert issue(hass, entry, "signal_returned") is None
    leader.publish_v2({"ETH": ".9"}, signal_id="one")
    await poll(hass, entry)
    found = issue(hass, entry, "signal_returned")
    assert found
    assert found.translation_placeholders == {"name": "Calv-a-lot", "signal_id": "one"}
    await reload(hass, entry)
    await poll(hass, entry)
    assert issue(hass, entry, "signal_returned")
    await entry.runtime_data.engine.commands.sync()
    await poll(hass, entry)
    assert issue(hass, entry, "signal_returned") is None
    assert entry.runtime_data.data.positions["ETH"].weight > Decimal(".8")


async def test_coins_that_stay(hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Who removes a live follower is told what stays on the exchange, until he has read it."""
    leader.publish_v2({"BTC": ".5", "ETH": ".4"})
    await set_up(hass, live_entry)
    held = {coin: position.quantity for coin, position in live_entry.runtime_data.data.positions.items()}
    assert issue(hass, live_entry, "coins_left") is None
    await hass.config_entries.async_remove(live_entry.entry_id)
    found = issue(hass, live_entry, "coins_left")
    assert found
    assert found.is_persistent
    assert found.translation_placeholders
    coins = found.translation_placeholders["coins"].split(", ")
    assert sorted(coins) == sorted(f"{held[coin].normalize():f} {coin}" for coin in ("BTC", "ETH"))
    flow = await fix(hass, live_entry, "coins_left")
    assert (await submit(hass, flow, {}))["type"] is FlowResultType.CREATE_ENTRY
    assert issue(hass, live_entry, "coins_left") is None


async def test_no_coins_stay_on_paper(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Paper money leaves nothing on an exchange."""
    leader.publish_v2(ALLOCATION)
    await set_up(hass, entry)
    await hass.config_entries.async_remove(entry.entry_id)
    assert issue(hass, entry, "coins_left") is None


@pytest.mark.parametrize("answer", ["go_on", "keep"])
async def test_conversion_stopped(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator, answer: str
) -> None:
    """What a conversion left half-way is converted or kept, as its owner says."""
    leader.publish_v2(ALLOCATION)
    await set_up(hass, live_entry)
    exchange.fault("error", code=-2010, status=400, method="POST", path="/order", symbol="ETHUSDC")
    follower = live_entry.runtime_data.engine
    await follower.conversions.convert("BTC", "ETH", Decimal("0.001"), confirm=True)
    await hass.async_block_till_done()
    found = issue(hass, live_entry, "conversion_stopped")
    assert found
    assert found.translation_placeholders
    assert found.translation_placeholders["goal"] == "ETH"
    menu = await fix(hass, live_entry, "conversion_stopped")
    assert menu["type"] is FlowResultType.MENU
    form = await submit(hass, menu, {"next_step_id": answer})
    assert form["type"] is FlowResultType.FORM
    done = await submit(hass, form, {})
    assert done["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert issue(hass, live_entry, "conversion_stopped") is None
    results = [each["result"] for each in await follower.queries.conversions()]
    assert results == (["executed", "partial"] if answer == "go_on" else ["partial"])
