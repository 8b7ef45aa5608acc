"""The config flow, the options flow, reauthentication and reconfiguration, against both simulators."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import json
from pathlib import Path
import re
from typing import Any
from unittest.mock import patch

from homeassistant.config_entries import ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, InvalidData, section
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components import calvalot
from custom_components.calvalot.config_flow import portfolio_hash
from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.exchanges import exchange_of, exchange_type, own_url
from custom_components.calvalot.forms import BLEND, OPTIONS, SECTIONS, in_sections
from custom_components.calvalot.settings import InvalidSettings, entry_settings
from custom_components.calvalot.trading.errors import ExchangeError
from custom_components.calvalot.trading.exchanges.kraken import KrakenExchange
from custom_components.calvalot.trading.settings import Approval, Settings
from simulators.exchange import ExchangeSimulator
from simulators.exchange.symbols import Symbol
from simulators.kraken import KrakenSimulator
from simulators.leader import FaultKind, LeaderSimulator

from .conftest import add_entry

PUBLIC_LEADER = "http://leader.example.com"
PUBLIC_EXCHANGE = "http://exchange.example.com"
TEXTS = json.loads((Path(calvalot.__file__).parent / "translations/en.json").read_text("utf-8"))
SECRETS = ("signal_secret", "api_key", "api_secret")


@pytest.fixture(autouse=True)
def no_setup() -> Generator[None]:
    """Leave the entries that the flows make or change alone."""
    with (
        patch("custom_components.calvalot.async_setup_entry", return_value=True),
        patch("custom_components.calvalot.async_unload_entry", return_value=True),
    ):
        yield


async def start(hass: HomeAssistant) -> str:
    """Start a flow and choose a leader; returns the flow's id."""
    menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    assert menu["type"] is FlowResultType.MENU
    assert menu["step_id"] == "user"
    assert menu["menu_options"] == ["leader", "allocation", "strategy", "alerts", "manual"]
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "leader"})
    assert_form(form, "leader", {})
    return form["flow_id"]


def assert_form(result: ConfigFlowResult, step_id: str, errors: dict[str, str]) -> None:
    """See that a step is shown, with these errors, and a text for everything in it."""
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == step_id
    assert (result["errors"] or {}) == errors
    texts = TEXTS["options" if step_id == "init" else "config"]
    described = texts["step"][step_id]
    named = described.get("data", {}).keys() | {
        field for section in described.get("sections", {}).values() for field in section["data"]
    }
    assert set(fields(result)) <= named
    placeholders = (result["description_placeholders"] or {}).keys()
    step = json.dumps(texts["step"][step_id])
    assert set(re.findall(r"{(\w+)}", step)) <= placeholders
    for error in errors.values():
        assert set(re.findall(r"{(\w+)}", texts["error"][error])) <= placeholders


def markers(result: ConfigFlowResult) -> list[Any]:
    """The fields of a form, those in its sections one after the other."""
    schema = result["data_schema"]
    assert schema
    found = []
    for key, value in schema.schema.items():
        found += list(value.schema.schema) if isinstance(value, section) else [key]
    return found


def suggested(result: ConfigFlowResult) -> dict[str, Any]:
    """What a form shows in its fields."""
    return {str(key): key.description["suggested_value"] for key in markers(result) if key.description}


def fields(result: ConfigFlowResult) -> list[str]:
    """Names of a form's fields."""
    return [str(key) for key in markers(result)]


def leader_input(leader: LeaderSimulator, **changes: Any) -> dict[str, Any]:
    """What an owner enters for the leader."""
    return {"leader_url": leader.url, "signal_secret": leader.secret} | changes


def exchange_input(exchange: ExchangeSimulator, mode: str = "dry_run", **changes: Any) -> dict[str, Any]:
    """What an owner enters for the exchange."""
    keys = {"api_key": exchange.api_key, "api_secret": exchange.api_secret} if mode == "live" else {}
    return {"trading_mode": mode, "exchange_url": exchange.url} | keys | changes


async def to_exchange(hass: HomeAssistant, leader: LeaderSimulator) -> str:
    """Go to the exchange's step."""
    flow_id = await start(hass)
    result = await hass.config_entries.flow.async_configure(flow_id, leader_input(leader))
    assert_form(result, "exchange", {})
    return flow_id


async def to_budget(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, mode: str = "dry_run"
) -> str:
    """Go to the budget's step."""
    flow_id = await to_exchange(hass, leader)
    result = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange, mode))
    assert_form(result, "budget", {})
    return flow_id


async def confirm(hass: HomeAssistant, result: ConfigFlowResult) -> ConfigFlowResult:
    """Confirm the last page before real money is traded; asking for it again confirms nothing."""
    assert_form(result, "summary", {})
    again = await hass.config_entries.flow.async_configure(result["flow_id"])
    assert_form(again, "summary", {})
    assert again["description_placeholders"] == result["description_placeholders"]
    result = await hass.config_entries.flow.async_configure(result["flow_id"], {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    return result


async def test_dry_run(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """A dry run needs no key; data hold what connects, options what may be tuned."""
    flow_id = await to_budget(hass, leader, exchange)
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 1000})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "Calv-a-lot 127.0.0.1 (dry run)"
    assert result["description"] == "dashboard"
    assert result["description_placeholders"] == {"dashboard_url": "/calvalot-dashboard"}
    assert len(result["data"].pop("webhook_id")) == 64
    assert result["data"] == {
        "leader_url": leader.url,
        "signal_secret": leader.secret,
        "trading_mode": "dry_run",
        "exchange_url": exchange.url,
        "initial_budget": 1000,
        "quote_asset": "USDC",
    }
    assert result["options"] == {"coins": ["BTC", "ETH", "BNB", "SOL", "XRP"]}
    assert result["result"].unique_id is None
    assert not exchange.count(path="/account")


async def test_suggested_budget(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """A budget stands in the field from the start and can be taken; it is never set without being sent."""
    flow_id = await to_exchange(hass, leader)
    form = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange, "dry_run"))
    assert suggested(form) == {"initial_budget": 1000}
    facts = form["description_placeholders"] or {}
    assert (facts["coins"], facts["needed"], facts["available"]) == ("5", "25", "")
    with pytest.raises(InvalidData):
        await hass.config_entries.flow.async_configure(flow_id, {})
    result = await hass.config_entries.flow.async_configure(flow_id, suggested(form))
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"]["initial_budget"] == 1000


async def test_live(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """Live, the key is tried; coins and quote asset are taken in any case, an own coin is allowed."""
    leader.publish_v2({"BTC": "0.5"})
    flow_id = await to_budget(hass, leader, exchange, "live")
    result = await hass.config_entries.flow.async_configure(
        flow_id, {"initial_budget": 100, "coins": ["btc", "BTC", " doge "], "quote_asset": "usdc"}
    )
    result = await confirm(hass, result)
    assert result["title"] == "Calv-a-lot 127.0.0.1 (live)"
    assert result["result"].unique_id == portfolio_hash(result["data"])
    assert leader.url not in result["result"].unique_id
    assert result["data"]["api_key"] == exchange.api_key
    assert result["data"]["api_secret"] == exchange.api_secret
    assert result["data"]["quote_asset"] == "USDC"
    assert result["options"] == {"coins": ["BTC", "DOGE"]}


@pytest.mark.parametrize(
    ("fault", "errors"),
    [
        (FaultKind.FORBIDDEN, {"signal_secret": "invalid_auth"}),
        (FaultKind.SIGNALS_OFF, {"leader_url": "signal_disabled"}),
        (FaultKind.STATUS, {"leader_url": "cannot_connect"}),
        (FaultKind.HTML, {"leader_url": "invalid_response"}),
        (FaultKind.LIST, {"leader_url": "invalid_response"}),
        (FaultKind.BROKEN_JSON, {"leader_url": "invalid_response"}),
        (FaultKind.NO_SIGNAL_ID, {"leader_url": "invalid_response"}),
        (FaultKind.OVERSIZE, {"leader_url": "invalid_response"}),
    ],
)
async def test_leader_errors(
    hass: HomeAssistant, leader: LeaderSimulator, fault: FaultKind, errors: dict[str, str]
) -> None:
    """The leader's answer decides; the input stays, and the next try may go through."""
    flow_id = await start(hass)
    leader.misbehave(fault)
    result = await hass.config_entries.flow.async_configure(flow_id, leader_input(leader))
    assert_form(result, "leader", errors)
    assert suggested(result) == leader_input(leader)
    result = await hass.config_entries.flow.async_configure(flow_id, leader_input(leader))
    assert_form(result, "exchange", {})


async def test_leader_secret_is_tried(hass: HomeAssistant, leader: LeaderSimulator) -> None:
    """A wrong secret is found out by a signed request."""
    flow_id = await start(hass)
    result = await hass.config_entries.flow.async_configure(flow_id, leader_input(leader, signal_secret="wrong"))
    assert_form(result, "leader", {"signal_secret": "invalid_auth"})
    assert suggested(result)["leader_url"] == leader.url
    assert leader.requests[-1].follower_version not in {None, "None"}


async def test_leader_clock(hass: HomeAssistant, leader: LeaderSimulator) -> None:
    """Where the clocks explain the refusal, that is said, with the seconds."""
    flow_id = await start(hass)
    leader.misbehave(FaultKind.CLOCK_SKEW, seconds=4000)
    result = await hass.config_entries.flow.async_configure(flow_id, leader_input(leader))
    assert_form(result, "leader", {"signal_secret": "invalid_auth", "base": "clock_skew"})
    assert (result["description_placeholders"] or {})["seconds"] in {"3999", "4000", "4001"}


async def test_leader_invalid_signal(hass: HomeAssistant, leader: LeaderSimulator) -> None:
    """A leader that publishes a bad signal is a leader all the same."""
    leader.publish_raw('{"signal_id": "x", "version": 99}')
    await to_exchange(hass, leader)


async def test_leader_unreachable(hass: HomeAssistant, leader: LeaderSimulator) -> None:
    """A leader that is not there."""
    flow_id = await start(hass)
    url = leader.url
    await leader.stop()
    result = await hass.config_entries.flow.async_configure(flow_id, leader_input(leader, leader_url=url))
    assert_form(result, "leader", {"leader_url": "cannot_connect"})
    assert suggested(result)["leader_url"] == url


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("foo bar", "url_without_scheme"),
        ("nonsense", "url_without_scheme"),
        ("leader.local:8080", "url_without_scheme"),
        ("ftp://leader.local", "url_scheme"),
        ("https://leader local", "invalid_url"),
        ("https://user:word@leader.local", "invalid_url"),
        ("https://leader.local/?key=1", "invalid_url"),
        ("https://", "invalid_url"),
    ],
)
async def test_wrong_address(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, address: str, error: str
) -> None:
    """An address that is none says what is wrong with it, of the leader and of the exchange; nothing is asked."""
    flow_id = await start(hass)
    result = await hass.config_entries.flow.async_configure(flow_id, leader_input(leader, leader_url=address))
    assert_form(result, "leader", {"leader_url": error})
    assert suggested(result)["leader_url"] == address
    assert not leader.requests
    await hass.config_entries.flow.async_configure(flow_id, leader_input(leader))
    result = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange, exchange_url=address))
    assert_form(result, "exchange", {"exchange_url": error})
    assert suggested(result)["exchange_url"] == address


async def test_plain_http(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """Plain http across the Internet wants consent, for the leader and for the exchange each."""
    flow_id = await start(hass)
    public = leader_input(leader, leader_url=PUBLIC_LEADER)
    result = await hass.config_entries.flow.async_configure(flow_id, public)
    assert_form(result, "leader", {"leader_url": "plain_http"})
    assert fields(result) == ["leader_url", "signal_secret", "accept_plain_http"]
    assert not leader.requests

    result = await hass.config_entries.flow.async_configure(flow_id, public | {"accept_plain_http": False})
    assert_form(result, "leader", {"leader_url": "plain_http"})

    with patch("custom_components.calvalot.kinds.leader.check_leader"):
        result = await hass.config_entries.flow.async_configure(flow_id, public | {"accept_plain_http": True})
    assert_form(result, "exchange", {})

    public = exchange_input(exchange, exchange_url=PUBLIC_EXCHANGE)
    result = await hass.config_entries.flow.async_configure(flow_id, public)
    assert_form(result, "exchange", {"exchange_url": "plain_http"})
    with (
        patch("custom_components.calvalot.config_flow.check_exchange"),
        patch("custom_components.calvalot.going_live.rates_of", side_effect=ExchangeError("nobody is asked")),
    ):
        result = await hass.config_entries.flow.async_configure(flow_id, public | {"accept_plain_http": True})
    assert_form(result, "budget", {})


async def test_consent_stays_visible(hass: HomeAssistant, leader: LeaderSimulator) -> None:
    """A box that was ticked does not vanish with the next error."""
    flow_id = await start(hass)
    public = leader_input(leader, leader_url=PUBLIC_LEADER)
    await hass.config_entries.flow.async_configure(flow_id, public)
    with patch("custom_components.calvalot.trading.sources.leader.Leader.fetch", return_value=b"[]"):
        result = await hass.config_entries.flow.async_configure(flow_id, public | {"accept_plain_http": True})
    assert_form(result, "leader", {"leader_url": "invalid_response"})
    assert suggested(result) == public | {"accept_plain_http": True}


@pytest.mark.parametrize("mode", ["LIVE", "Live", "paper", "", "dry-run"])
async def test_trading_mode_is_exact(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, mode: str
) -> None:
    """A mode that is not exactly one of the two is refused."""
    flow_id = await to_exchange(hass, leader)
    with pytest.raises(InvalidData) as error:
        await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange, trading_mode=mode))
    assert list(error.value.schema_errors) == ["trading_mode"]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"api_key": "", "api_secret": ""},
        {"api_key": "k" * 64},
        {"api_secret": "s" * 64},
        {"api_key": "k" * 64, "api_secret": "s"},
    ],
)
async def test_live_without_valid_key(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, keys: dict[str, str]
) -> None:
    """Live trading needs a key that the exchange takes."""
    flow_id = await to_exchange(hass, leader)
    values = {"trading_mode": "live", "exchange_url": exchange.url} | keys
    result = await hass.config_entries.flow.async_configure(flow_id, values)
    assert_form(result, "exchange", {"api_key": "invalid_api_key"})
    assert suggested(result) == values | {"exchange": "binance"}


@pytest.mark.parametrize("mode", ["dry_run", "live"])
async def test_kraken(hass: HomeAssistant, leader: LeaderSimulator, kraken: KrakenSimulator, mode: str) -> None:
    """Another exchange: books in EUR without a rate, and the address of the former one is not taken for its own."""
    flow_id = await to_exchange(hass, leader)
    values = exchange_input(kraken, mode) | {"exchange": "kraken"}
    result = await hass.config_entries.flow.async_configure(flow_id, values)
    assert_form(result, "budget", {})
    assert result["data_schema"]({"initial_budget": 500})["quote_asset"] == "EUR"
    budget = {"initial_budget": 500, "coins": ["BTC", "ETH"], "quote_asset": "EUR"}
    result = await hass.config_entries.flow.async_configure(flow_id, budget)
    if mode == "live":
        result = await confirm(hass, result)
    data = result["result"].data
    assert (data["exchange"], data["exchange_url"], data["quote_asset"]) == ("kraken", kraken.url, "EUR")
    assert isinstance(exchange_of(hass, data), KrakenExchange)


async def test_kraken_in_a_stablecoin(hass: HomeAssistant, leader: LeaderSimulator, kraken: KrakenSimulator) -> None:
    """Its rate comes from the pair that is listed the other way round; a coin that is not listed is named."""
    flow_id = await to_exchange(hass, leader)
    values = exchange_input(kraken) | {"exchange": "kraken"}
    await hass.config_entries.flow.async_configure(flow_id, values)
    budget = {"initial_budget": 500, "coins": ["BTC", "NOPE"], "quote_asset": "USDC"}
    result = await hass.config_entries.flow.async_configure(flow_id, budget)
    assert_form(result, "budget", {"coins": "unknown_coin"})
    result = await hass.config_entries.flow.async_configure(flow_id, budget | {"coins": ["BTC"]})
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"withdrawals": True}, "key_can_withdraw"),
        ({"spot_trading": False}, "no_trading_permission"),
        ({"reading": False}, "no_trading_permission"),
        ({"ip_restrict": True, "ip_allowed": False}, "invalid_api_key"),
    ],
)
async def test_keys_at_kraken(
    hass: HomeAssistant, leader: LeaderSimulator, kraken: KrakenSimulator, settings: dict[str, bool], error: str
) -> None:
    """A key that may withdraw, may not trade, or cannot see what became of its orders."""
    kraken.set_account(**settings)
    flow_id = await to_exchange(hass, leader)
    values = exchange_input(kraken, "live") | {"exchange": "kraken"}
    result = await hass.config_entries.flow.async_configure(flow_id, values)
    assert_form(result, "exchange", {"api_key": error})


def test_addresses() -> None:
    """One that was left standing from another exchange is not used; one of its own is."""
    assert own_url("kraken", "https://api.binance.com/") == "https://api.kraken.com"
    assert own_url("kraken", "https://kraken.example.com") == "https://kraken.example.com"
    assert own_url("binance", "https://api.kraken.com") == "https://api.binance.com"
    with pytest.raises(InvalidSettings):
        exchange_type({"exchange": "nowhere"})


async def test_exchange_errors(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """An exchange that fails, cannot be reached or is none."""
    flow_id = await to_exchange(hass, leader)
    exchange.fault("status", path="/time")
    result = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange))
    assert_form(result, "exchange", {"exchange_url": "cannot_connect_exchange"})
    exchange.fault("drop", path="/apiRestrictions", count=None)
    result = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange, "live"))
    assert_form(result, "exchange", {"exchange_url": "cannot_connect_exchange"})
    await exchange.stop()
    result = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange))
    assert_form(result, "exchange", {"exchange_url": "cannot_connect_exchange"})


@pytest.mark.parametrize("sapi", [True, False])
async def test_no_trading_permission(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, *, sapi: bool
) -> None:
    """A key that may not trade is refused, by its own restrictions or by the account's."""
    exchange.set_sapi(sapi)
    exchange.set_account(spot_trading=False, can_trade=False)
    flow_id = await to_exchange(hass, leader)
    result = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange, "live"))
    assert_form(result, "exchange", {"api_key": "no_trading_permission"})


async def test_key_can_withdraw(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """A key that may withdraw wants consent."""
    exchange.set_account(withdrawals=True)
    flow_id = await to_exchange(hass, leader)
    result = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange, "live"))
    assert_form(result, "exchange", {"api_key": "key_can_withdraw"})
    assert fields(result)[-1] == "accept_withdrawal_key"
    values = exchange_input(exchange, "live", accept_withdrawal_key=True)
    result = await hass.config_entries.flow.async_configure(flow_id, values)
    assert_form(result, "budget", {})


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({"initial_budget": 4.99}, {"initial_budget": "out_of_range"}),
        ({"initial_budget": 1_000_001}, {"initial_budget": "out_of_range"}),
        ({"initial_budget": float("nan")}, {"initial_budget": "out_of_range"}),
        ({"initial_budget": 5}, {"initial_budget": "budget_too_small"}),
        ({"initial_budget": 9.99}, {"initial_budget": "budget_too_small"}),
        ({"coins": []}, {"coins": "no_coins"}),
        ({"coins": [" "], "initial_budget": 0}, {"coins": "no_coins", "initial_budget": "out_of_range"}),
        ({"coins": ["BTC", "NOPE", "B T"]}, {"coins": "unknown_coin"}),
        ({"coins": ["USDC"]}, {"coins": "unknown_coin"}),
        ({"quote_asset": "NOPE"}, {"quote_asset": "unknown_quote_asset"}),
        ({"quote_asset": "US DC"}, {"quote_asset": "unknown_quote_asset"}),
        ({"initial_budget": 1900}, {"initial_budget": "insufficient_funds"}),
        ({"quote_asset": "USDT"}, {"initial_budget": "insufficient_funds"}),
    ],
)
async def test_budget_errors(
    hass: HomeAssistant,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    values: dict[str, Any],
    errors: dict[str, str],
) -> None:
    """Each thing that is wrong is said at its field; the other input stays."""
    flow_id = await to_budget(hass, leader, exchange, "live")
    values = {"initial_budget": 500, "coins": ["BTC", "SOL"], "quote_asset": "USDC"} | values
    result = await hass.config_entries.flow.async_configure(flow_id, values)
    assert_form(result, "budget", errors)
    shown = values | {"initial_budget": float(values["initial_budget"])}
    assert str(suggested(result)) == str(shown)  # as text, since NaN is not equal to itself
    if errors == {"coins": "unknown_coin"}:
        named = (result["description_placeholders"] or {})["coins"]
        assert named == ", ".join(coin for coin in values["coins"] if coin != "BTC")


async def test_budget_without_rate(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """A rate that cannot be had is unknown, not a guess."""
    flow_id = await to_budget(hass, leader, exchange)
    exchange.remove_price("EURUSDC")
    exchange.remove_price("EURUSDT")
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 500})
    assert_form(result, "budget", {"quote_asset": "no_eur_rate"})


async def test_budget_over_another_rate(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A rate may be had over another pair, whichever of them are listed."""
    exchange.delist("EURUSDC")
    flow_id = await to_budget(hass, leader, exchange)
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 500})
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_budget_in_euro(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """With EUR as the quote asset there is no rate to ask for."""
    exchange.list_symbol(Symbol("BTC", "EUR", Decimal("0.01"), Decimal("0.00001")), "60000")
    flow_id = await to_budget(hass, leader, exchange)
    result = await hass.config_entries.flow.async_configure(
        flow_id, {"initial_budget": 500, "quote_asset": "EUR", "coins": ["BTC"]}
    )
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_budget_facts(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """Before a budget is typed the form says what is free and what all coins need; what is not known is not guessed."""
    exchange.set_balance("USDT", "100")
    flow_id = await to_budget(hass, leader, exchange, "live")
    form = await hass.config_entries.flow.async_configure(flow_id)
    facts = form["description_placeholders"] or {}
    rate = 1 / exchange.price("EURUSDC")
    usdt = 100 / exchange.price("EURUSDT")
    assert facts["available"] == f"Free in the Spot wallet: {2000 * rate:,.2f} EUR in USDC, {usdt:,.2f} EUR in USDT."
    assert facts["needed"] == "25"
    exchange.remove_price("SOLUSDC")
    form = await hass.config_entries.flow.async_configure(flow_id)
    assert (form["description_placeholders"] or {})["needed"] == "–"
    exchange.fault("status", path="/ticker/price", count=None)
    form = await hass.config_entries.flow.async_configure(flow_id)
    facts = form["description_placeholders"] or {}
    assert (facts["needed"], facts["available"]) == ("–", "Free in the Spot wallet: –.")


async def test_budget_makes_no_order(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """A budget that the exchange's own minimum leaves no order for is refused, with what it takes."""
    for coin, minimum in (("DEAR", "100"), ("COSTLY", "250")):
        exchange.list_symbol(
            Symbol(coin, "USDC", Decimal("0.01"), Decimal("0.001"), min_notional=Decimal(minimum)), "20"
        )
    flow_id = await to_budget(hass, leader, exchange)
    values = {"initial_budget": 90, "coins": ["COSTLY", "DEAR"]}
    result = await hass.config_entries.flow.async_configure(flow_id, values)
    assert_form(result, "budget", {"initial_budget": "budget_too_small"})
    facts = result["description_placeholders"] or {}
    least = int(facts["minimum"])
    rate = 1 / exchange.price("EURUSDC")
    assert 105 * rate < least < 110 * rate
    assert 2 * 262 * rate < int(facts["needed"]) < 2 * 275 * rate
    result = await hass.config_entries.flow.async_configure(flow_id, values | {"initial_budget": least - 1})
    assert_form(result, "budget", {"initial_budget": "budget_too_small"})
    result = await hass.config_entries.flow.async_configure(flow_id, values | {"initial_budget": least})
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_smallest_budget(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator) -> None:
    """Ten euros are enough."""
    flow_id = await to_budget(hass, leader, exchange)
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 4})
    assert (result["description_placeholders"] or {})["fields"] == "Initial budget (10 to 1,000,000 EUR)"
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 10})
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize("version", [1, 2])
async def test_summary(hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, version: int) -> None:
    """Before real money is traded the last page says what is bought at once and what that costs."""
    if version == 2:
        leader.publish_v2({"BTC": "0.5", "ETH": "0.25"})
    else:
        leader.publish_v1([("BTC", "BUY", "0.5"), ("ETH", "BUY", "0.25")])
    flow_id = await to_budget(hass, leader, exchange, "live")
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 500})
    facts = result["description_placeholders"] or {}
    free = f"{2000 / exchange.price('EURUSDC'):,.2f}"
    assert (facts["budget"], facts["free"], facts["quote"]) == ("500", free, "USDC")
    amount = Decimal(facts["amount"])
    assert amount == pytest.approx(500 * exchange.price("EURUSDC"), abs=Decimal("0.01"))
    bought = {coin: Decimal(paid) for coin, paid in re.findall(r"\*\*(\w+)\*\* [\d.]+ · ([\d.]+) USDC", facts["first"])}
    assert bought == {
        "BTC": pytest.approx(amount / 2, rel=Decimal("0.01")),
        "ETH": pytest.approx(amount / 4, rel=Decimal("0.01")),
    }
    fees, worst = (Decimal(each) for each in re.findall(r"([\d.]+) EUR", facts["first"]))
    assert fees == pytest.approx(Decimal("0.375"), abs=Decimal("0.01"))
    assert worst == pytest.approx(Decimal("1.125"), abs=Decimal("0.03"))
    assert not exchange.count(method="POST", path="/order")
    await confirm(hass, result)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("nothing", "there is nothing to buy"),
        ("cash", "there is nothing to buy"),
        ("old moves", "there is nothing to buy"),
        ("another coin", "names coins that you have not chosen (DOGE)"),
        ("nonsense", "current signal is not valid"),
        ("no answer", "does not answer at the moment"),
    ],
)
async def test_summary_without_orders(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, says: str, words: str
) -> None:
    """Where nothing is bought at once, or it is not known, the last page says why."""
    flow_id = await to_budget(hass, leader, exchange, "live")
    match says:
        case "cash":
            leader.publish_v2({})
        case "old moves":
            old = datetime.now(UTC) - timedelta(hours=5)
            leader.publish_v1([("BTC", "BUY", "0.5")], timestamp=old.isoformat())
        case "another coin":
            leader.publish_v2({"DOGE": "0.5"})
        case "nonsense":
            leader.publish_raw('{"signal_id": "x", "version": 99}')
        case "no answer":
            await leader.stop()
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 500})
    assert words in (result["description_placeholders"] or {})["first"]
    await confirm(hass, result)


@pytest.mark.parametrize("path", ["/exchangeInfo", "/ticker/price"])
async def test_budget_exchange_fails(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, path: str
) -> None:
    """An exchange that fails at the last step."""
    flow_id = await to_budget(hass, leader, exchange)
    exchange.fault("status", path=path)
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 500})
    assert_form(result, "budget", {"base": "cannot_connect_exchange"})
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 500})
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_duplicate(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, live_entry: MockConfigEntry
) -> None:
    """The same leader, exchange and key is refused live; on paper it is followed as often as one likes."""
    flow_id = await to_exchange(hass, leader)
    result = await hass.config_entries.flow.async_configure(flow_id, exchange_input(exchange, "live"))
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"

    titles = []
    for _ in range(2):
        flow_id = await to_budget(hass, leader, exchange)
        result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 500})
        assert result["type"] is FlowResultType.CREATE_ENTRY
        titles.append(result["title"])
    assert titles == ["Calv-a-lot 127.0.0.1 (dry run)", "Calv-a-lot 127.0.0.1 (dry run) 2"]
    assert len(hass.config_entries.async_entries(DOMAIN)) == 3

    exchange.add_account("n" * 64, "another", {"USDC": "500"})
    flow_id = await to_exchange(hass, leader)
    other = exchange_input(exchange, "live", api_key="n" * 64, api_secret="another")
    await hass.config_entries.flow.async_configure(flow_id, other)
    result = await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 100})
    await confirm(hass, result)


async def test_duplicate_made_meanwhile(
    hass: HomeAssistant, leader: LeaderSimulator, exchange: ExchangeSimulator, live_data: dict[str, Any]
) -> None:
    """An entry that came to be while the flow was open counts too."""
    flow_id = await to_budget(hass, leader, exchange, "live")
    await hass.config_entries.flow.async_configure(flow_id, {"initial_budget": 500})
    add_entry(hass, live_data)
    result = await hass.config_entries.flow.async_configure(flow_id, {})
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"


async def reconfigure(
    hass: HomeAssistant, entry: MockConfigEntry, step: str, form_id: str | None = None
) -> ConfigFlowResult:
    """Start a reconfiguration and choose a step; a form for what is stored has a name of its own."""
    menu = await entry.start_reconfigure_flow(hass)
    assert menu["type"] is FlowResultType.MENU
    assert menu["menu_options"] == ["leader", "exchange"]
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": step})
    assert_form(form, form_id or f"reconfigure_{step}", {})
    assert not set(suggested(form)) & set(SECRETS)
    return form


@pytest.mark.parametrize("empty", [None, "", " "])
async def test_reconfigure_leader(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, empty: str | None
) -> None:
    """A new address; the secret that was left empty stays."""
    before = dict(live_entry.data)
    async with LeaderSimulator(secret=leader.secret) as other:
        form = await reconfigure(hass, live_entry, "leader")
        assert suggested(form) == {"leader_url": leader.url}
        values = {"leader_url": f"{other.url}/"} | ({} if empty is None else {"signal_secret": empty})
        result = await hass.config_entries.flow.async_configure(form["flow_id"], values)
        await hass.async_block_till_done()
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reconfigure_successful"
    assert live_entry.data == before | {"leader_url": other.url}
    assert live_entry.unique_id == portfolio_hash(live_entry.data)


async def test_reconfigure_leader_error(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A change that does not work changes nothing."""
    before = dict(entry.data)
    form = await reconfigure(hass, entry, "leader")
    values = leader_input(leader, signal_secret="wrong")
    result = await hass.config_entries.flow.async_configure(form["flow_id"], values)
    assert_form(result, "reconfigure_leader", {"signal_secret": "invalid_auth"})
    assert leader.secret not in str(result["data_schema"])
    assert entry.data == before


async def test_reconfigure_keeps_consent(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """What was consented to once is not asked again for the same address."""
    entry = add_entry(hass, entry_data | {"leader_url": PUBLIC_LEADER})
    form = await reconfigure(hass, entry, "leader")
    with patch("custom_components.calvalot.kinds.leader.check_leader"):
        result = await hass.config_entries.flow.async_configure(
            form["flow_id"], {"leader_url": PUBLIC_LEADER, "signal_secret": "new"}
        )
        await hass.async_block_till_done()
    assert result["reason"] == "reconfigure_successful"
    assert entry.data["signal_secret"] == "new"


async def test_reconfigure_exchange(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """The exchange's form shows no key, and keeps both when they are left empty."""
    form = await reconfigure(hass, live_entry, "exchange")
    assert suggested(form) == {"trading_mode": "live", "exchange_url": exchange.url}
    before = dict(live_entry.data)
    exchange.add_account("n" * 64, "new-secret", {"USDC": "50"})
    result = await hass.config_entries.flow.async_configure(
        form["flow_id"], {"trading_mode": "live", "exchange_url": exchange.url, "api_key": "n" * 64, "api_secret": ""}
    )
    assert_form(result, "reconfigure_exchange", {"api_key": "invalid_api_key"})
    result = await hass.config_entries.flow.async_configure(
        form["flow_id"], {"trading_mode": "dry_run", "exchange_url": exchange.url}
    )
    await hass.async_block_till_done()
    assert result["reason"] == "reconfigure_successful"
    assert live_entry.data == before | {"trading_mode": "dry_run"}


async def test_reconfigure_into_duplicate(
    hass: HomeAssistant, entry: MockConfigEntry, live_entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """An entry cannot be made the same as another one."""
    before = dict(entry.data)
    form = await reconfigure(hass, entry, "exchange", "exchange")
    result = await hass.config_entries.flow.async_configure(form["flow_id"], exchange_input(exchange, "live"))
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"
    assert entry.data == before


@pytest.mark.parametrize("title", ["Calv-a-lot 127.0.0.1 (dry run)", "My savings"])
async def test_reconfigure_into_live(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator, title: str
) -> None:
    """Going live later asks for the budget and shows the last page as well; a name of one's own stays."""
    hass.config_entries.async_update_entry(entry, title=title, options={"coins": ["BTC", "SOL"], "min_order": 6})
    leader.publish_v2({"BTC": "0.5"})
    form = await reconfigure(hass, entry, "exchange", "exchange")
    form = await hass.config_entries.flow.async_configure(form["flow_id"], exchange_input(exchange, "live"))
    assert_form(form, "reconfigure_budget", {})
    assert suggested(form) == {"initial_budget": 1000, "quote_asset": "USDC", "coins": ["BTC", "SOL"]}
    assert "Free in the Spot wallet" in (form["description_placeholders"] or {})["available"]
    values = {"initial_budget": 3000, "coins": ["BTC"], "quote_asset": "USDC"}
    form = await hass.config_entries.flow.async_configure(form["flow_id"], values)
    assert_form(form, "reconfigure_budget", {"initial_budget": "insufficient_funds"})
    form = await hass.config_entries.flow.async_configure(form["flow_id"], values | {"initial_budget": 500})
    assert_form(form, "summary", {})
    assert entry.data["trading_mode"] == "dry_run"
    result = await hass.config_entries.flow.async_configure(form["flow_id"], {})
    await hass.async_block_till_done()
    assert result["reason"] == "reconfigure_successful"
    assert (entry.data["trading_mode"], entry.data["initial_budget"]) == ("live", 500)
    assert entry.options == {"coins": ["BTC"], "min_order": 6}
    assert entry.unique_id == portfolio_hash(entry.data)
    assert entry.title == ("My savings" if title == "My savings" else "Calv-a-lot 127.0.0.1 (live)")


def test_only_a_stored_secret_stays() -> None:
    """What is told of an empty field is told where something is stored, and nowhere else."""
    stays = re.compile(r"left empty, the stored (secret|key) stays", re.IGNORECASE)
    for name, step in TEXTS["config"]["step"].items():
        stored = name.startswith("re")
        for field in set(SECRETS) & step.get("data", {}).keys():
            assert bool(stays.search(step["data_description"][field])) == stored, (name, field)
        assert stored or "stored" not in json.dumps(step), name


def test_every_field_is_explained() -> None:
    """No field is there without a word on it."""
    for flow in ("config", "options"):
        for name, step in TEXTS[flow]["step"].items():
            for part in (step, *step.get("sections", {}).values()):
                assert part.get("data_description", {}).keys() == part.get("data", {}).keys(), name


@pytest.mark.parametrize(
    ("refused_by", "expected"),
    [
        ("leader", ["signal_secret"]),
        ("exchange", ["api_key", "api_secret"]),
        (None, ["signal_secret", "api_key", "api_secret"]),
    ],
)
async def test_reauth(
    hass: HomeAssistant,
    live_entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    refused_by: str | None,
    expected: list[str],
) -> None:
    """The secret that was refused is asked for and tried, and only that one."""
    before = dict(live_entry.data)
    leader.secret = "changed"
    exchange.add_account("n" * 64, "new-secret", {"USDC": "50"})
    new = {"signal_secret": "changed", "api_key": "n" * 64, "api_secret": "new-secret"}
    new = {key: value for key, value in new.items() if key in expected}
    result = await live_entry.start_reauth_flow(hass, data={"refused_by": refused_by} if refused_by else {})
    assert_form(result, "reauth_confirm", {})
    assert fields(result) == expected
    assert not suggested(result)
    wrong = dict.fromkeys(expected, "wrong")
    result = await hass.config_entries.flow.async_configure(result["flow_id"], wrong)
    field = "api_key" if refused_by == "exchange" else "signal_secret"
    assert_form(result, "reauth_confirm", {field: "invalid_api_key" if field == "api_key" else "invalid_auth"})
    result = await hass.config_entries.flow.async_configure(result["flow_id"], new)
    await hass.async_block_till_done()
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reauth_successful"
    assert live_entry.data == before | new
    assert live_entry.unique_id == portfolio_hash(live_entry.data)


async def test_reauth_dry_run(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """On paper there is one secret only; left empty, the stored one is tried again."""
    result = await entry.start_reauth_flow(hass)
    assert fields(result) == ["signal_secret"]
    before = dict(entry.data)
    await leader.stop()
    result = await hass.config_entries.flow.async_configure(result["flow_id"], {})
    assert_form(result, "reauth_confirm", {"base": "cannot_connect"})
    await leader.start()
    result = await hass.config_entries.flow.async_configure(result["flow_id"], {})
    await hass.async_block_till_done()
    assert result["reason"] == "reauth_successful"
    assert entry.data == before


async def test_reauth_key_can_withdraw(
    hass: HomeAssistant, live_entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """A new key that may withdraw wants consent too."""
    exchange.set_account(withdrawals=True)
    result = await live_entry.start_reauth_flow(hass, data={"refused_by": "exchange"})
    keys = {"api_key": exchange.api_key, "api_secret": exchange.api_secret}
    result = await hass.config_entries.flow.async_configure(result["flow_id"], keys)
    assert_form(result, "reauth_confirm", {"api_key": "key_can_withdraw"})
    result = await hass.config_entries.flow.async_configure(result["flow_id"], keys | {"accept_withdrawal_key": True})
    await hass.async_block_till_done()
    assert result["reason"] == "reauth_successful"


async def tune(hass: HomeAssistant, form: ConfigFlowResult, values: dict[str, Any]) -> ConfigFlowResult:
    """Send the options: each in its section, as the form asks for them."""
    assert list((form["data_schema"] or {}).schema) == [name for name in SECTIONS if name != BLEND]  # type: ignore[union-attr]
    result = await hass.config_entries.options.async_configure(form["flow_id"], in_sections(values))
    await hass.async_block_till_done()
    return result


async def test_options(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Everything that may be tuned is stored; what is optional may be left empty."""
    form = await hass.config_entries.options.async_init(entry.entry_id)
    assert_form(form, "init", {})
    assert {number.key for number in OPTIONS} - set(SECTIONS[BLEND]) <= set(fields(form))
    values = {
        "coins": ["BTC", "eth", "DOGE"],
        "poll_interval": 30,
        "min_order": 6,
        "rebalance_threshold": 1.5,
        "dust_threshold": 3,
        "survival_floor": 7.5,
        "max_signal_age": 2,
        "silence_alert": 12,
        "max_slippage": 0,
        "max_order_share": 50,
        "stop_loss_drawdown": 20,
        "stop_loss_sell": True,
        "max_trades_per_day": 25,
        "approval": "ask",
        "approval_timeout": 15,
        "assist_trades": True,
        "push": True,
        "tell_leader": True,
        "entry_jitter": 90,
        "dropped_out": "keep",
        "live_prices": True,
        "candle_frames": ["15m", "1d"],
        "candle_days_long": 500,
        "candle_days_short": 10,
    }
    result = await tune(hass, form, values)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert entry.options == values | {"coins": ["BTC", "ETH", "DOGE"]}
    settings = entry_settings(entry)
    assert str(settings.rebalance_threshold) == "0.015"
    assert settings.max_slippage == 0
    assert settings.max_trades_per_day == 25
    assert settings.approval is Approval.ASK
    assert settings.approval_timeout == timedelta(minutes=15)
    assert settings.entry_jitter == timedelta(seconds=90)

    form = await hass.config_entries.options.async_init(entry.entry_id)
    url = (form["description_placeholders"] or {})["push_url"]
    assert suggested(form) == {**entry.options, "push_url": url}
    empty = {key: value for key, value in values.items() if key not in {"max_slippage", "stop_loss_drawdown"}}
    await tune(hass, form, empty)
    assert entry_settings(entry).max_slippage is None
    assert entry_settings(entry).stop_loss_drawdown is None


@pytest.mark.parametrize(("minutes", "taken"), [(0, False), (1, True), (1440, True), (1441, False)])
async def test_time_to_approve(hass: HomeAssistant, entry: MockConfigEntry, minutes: float, *, taken: bool) -> None:
    """Up to a day, and without the option nothing asks."""
    assert entry_settings(entry).approval is Approval.AUTOMATIC
    form = await hass.config_entries.options.async_init(entry.entry_id)
    values = {"coins": ["BTC"], "approval_timeout": minutes}
    result = await tune(hass, form, values)
    assert (result["type"] is FlowResultType.CREATE_ENTRY) == taken
    assert taken or result["errors"] == {"approval": "out_of_range"}


async def test_options_defaults(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The form's defaults are the follower's, and saving them changes nothing."""
    plain = entry_settings(entry)
    form = await hass.config_entries.options.async_init(entry.entry_id)
    await tune(hass, form, {"coins": list(plain.coins)})
    assert entry.options["poll_interval"] == 120
    assert entry_settings(entry) == plain
    assert isinstance(plain, Settings)


@pytest.mark.parametrize(
    ("values", "errors", "named"),
    [
        ({"poll_interval": 29}, {"connection": "out_of_range"}, "Poll interval (30 to 3,600 s)"),
        ({"poll_interval": 3601}, {"connection": "out_of_range"}, "Poll interval (30 to 3,600 s)"),
        ({"poll_interval": 30.5}, {"connection": "out_of_range"}, "Poll interval (30 to 3,600 s)"),
        ({"min_order": -1}, {"trade": "out_of_range"}, "Smallest order (0 to 1,000,000 USDC)"),
        ({"rebalance_threshold": 101}, {"trade": "out_of_range"}, "Rebalance threshold (0 to 100 %)"),
        ({"max_signal_age": 0}, {"timing": "out_of_range"}, "Oldest signal (0.1 to 8,760 h)"),
        (
            {"max_slippage": 11, "stop_loss_drawdown": 0},
            {"limits": "out_of_range"},
            "Largest slippage (0 to 10 %), Stop at a fall of (0.1 to 100 %)",
        ),
        (
            {"max_trades_per_day": 0, "coins": []},
            {"limits": "out_of_range", "trade": "no_coins"},
            "Most trades a day (1 to 10,000)",
        ),
        ({"coins": ["BTC", "NOPE"]}, {"trade": "unknown_coin"}, ""),
    ],
)
async def test_options_errors(
    hass: HomeAssistant, entry: MockConfigEntry, values: dict[str, Any], errors: dict[str, str], named: str
) -> None:
    """A value that cannot be taken is said on its section, with its name and range; the other input stays."""
    form = await hass.config_entries.options.async_init(entry.entry_id)
    values = {"coins": ["BTC"], "survival_floor": 8} | values
    result = await tune(hass, form, values)
    assert_form(result, "init", errors)
    assert (result["description_placeholders"] or {})["fields"] == named
    shown = suggested(result)
    assert {key: shown[key] for key in values} == values
    assert entry.options == {}
    schema = result["data_schema"]
    assert schema
    opened = {str(name) for name, part in schema.schema.items() if not part.options["collapsed"]}
    assert opened == {"trade", *errors}


async def test_ranges_in_french(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Numbers and names are in Home Assistant's language."""
    hass.config.language = "fr"
    form = await hass.config_entries.options.async_init(entry.entry_id)
    result = await tune(hass, form, {"coins": ["BTC"], "max_signal_age": 0})
    assert "(de 0,1 à 8\u00a0760 h)" in (result["description_placeholders"] or {})["fields"]


async def test_options_exchange_fails(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """New coins are looked up at the exchange, known ones are not."""
    await exchange.stop()
    form = await hass.config_entries.options.async_init(entry.entry_id)
    result = await tune(hass, form, {"coins": ["BTC", "DOGE"]})
    assert_form(result, "init", {"base": "cannot_connect_exchange"})
    result = await tune(hass, form, {"coins": ["BTC"]})
    assert result["type"] is FlowResultType.CREATE_ENTRY
