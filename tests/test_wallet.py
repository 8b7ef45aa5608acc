"""The whole account as a portfolio, in Home Assistant: set up on paper and live, what nothing explained, what is refused."""

from typing import Any

from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.issues import issue_id, movement_text
from custom_components.calvalot.repairs import async_create_fix_flow
from harness.portfolio import keys
from simulators.exchange import ExchangeSimulator

from .entities import poll
from .test_allocation import FIELDS, answer, put, start

ROWS = [{"coin": "BTC", "share": 50}, {"coin": "XRP", "share": 0}]


async def to_exchange(hass: HomeAssistant, **fields: Any) -> str:
    """Choose the whole account; the flow's id."""
    flow_id = await start(hass)
    result = await put(hass, flow_id, **{"allocation": ROWS, **FIELDS, "scope": "wallet", **fields})
    assert result["step_id"] == "exchange", result["errors"]
    return flow_id


async def set_up(
    hass: HomeAssistant, exchange: ExchangeSimulator, mode: str = "dry_run", **fields: Any
) -> ConfigFlowResult:
    """Go through the flow up to the last page."""
    flow_id = await to_exchange(hass, **fields)
    result = await put(hass, flow_id, trading_mode=mode, exchange_url=exchange.url, **keys(exchange))
    if result["type"] is FlowResultType.FORM and result["step_id"] == "wallet":
        return await put(hass, flow_id, quote_asset="usdc ")
    return result


async def wallet(
    hass: HomeAssistant, exchange: ExchangeSimulator, mode: str = "live", **fields: Any
) -> MockConfigEntry:
    """A portfolio that was set up."""
    result = await put(hass, (await set_up(hass, exchange, mode, **fields))["flow_id"])
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    entry: MockConfigEntry = result["result"]  # type: ignore[assignment]
    assert entry.state is ConfigEntryState.LOADED
    return entry


@pytest.fixture(autouse=True)
def held(exchange: ExchangeSimulator) -> None:
    """What the account holds."""
    for asset, quantity in {"BTC": "0.002", "XRP": "100", "SOL": "2", "NOPAIR": "5"}.items():
        exchange.set_balance(asset, quantity)


async def test_on_paper(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """It needs a key, says what will happen, and copies the balances."""
    page = await set_up(hass, exchange)
    assert page["step_id"] == "wallet_summary"
    told = page["description_placeholders"]
    assert told
    assert (told["frozen"], told["apart"]) == ("SOL", "NOPAIR")
    assert "**Sale** of 100 XRP" in told["first"]
    assert "**Purchase**" in told["first"]
    assert "SOL" not in told["first"]
    result = await put(hass, page["flow_id"])
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    entry = result["result"]
    assert "initial_budget" not in entry.data
    assert (entry.data["scope"], entry.unique_id) == ("wallet", None)
    told = await answer(hass, "get_portfolio")
    assert told["scope"] == "wallet"
    assert {each["coin"]: each["frozen"] for each in told["positions"]} == {"BTC": False, "SOL": True}
    assert [each["asset"] for each in told["apart"]] == ["NOPAIR"]


async def test_by_hand_nothing_is_traded_at_once(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """The last page says so."""
    page = await set_up(hass, exchange, when=[])
    assert page["description_placeholders"]
    assert page["description_placeholders"]["first"] == "Nothing is traded at once."


async def test_key_on_paper(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Without one nothing can be copied; one that may only read will do."""
    flow_id = await to_exchange(hass)
    result = await put(hass, flow_id, trading_mode="dry_run", exchange_url=exchange.url)
    assert result["errors"] == {"api_key": "invalid_api_key"}
    exchange.set_account(spot_trading=False)
    result = await put(hass, flow_id, trading_mode="dry_run", exchange_url=exchange.url, **keys(exchange))
    assert result["step_id"] == "wallet"


async def test_what_is_not_accepted(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """A quote asset that nothing is traded against, too little, an exchange that does not answer."""
    flow_id = await to_exchange(hass)
    await put(hass, flow_id, trading_mode="live", exchange_url=exchange.url, **keys(exchange))
    assert (await put(hass, flow_id, quote_asset="NONE"))["errors"] == {"quote_asset": "unknown_coin"}
    exchange.remove_price("EURUSDC")
    exchange.remove_price("EURUSDT")
    assert (await put(hass, flow_id, quote_asset="USDC"))["errors"] == {"base": "no_eur_rate"}
    exchange.restore_price("EURUSDC")
    exchange.restore_price("EURUSDT")
    exchange.fault("status", path="/account")
    assert (await put(hass, flow_id, quote_asset="USDC"))["errors"] == {"base": "cannot_connect_exchange"}
    for asset in exchange.balances():
        exchange.set_balance(asset, "0")
    assert (await put(hass, flow_id, quote_asset="USDC"))["errors"] == {"base": "wallet_too_small"}


async def test_live(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """What it said is traded; what has no share stays; a second wallet on the account is refused, also with another key."""
    entry = await wallet(hass, exchange)
    assert entry.unique_id
    await poll(hass, entry)
    assert exchange.balance("SOL") == 2
    assert exchange.balance("XRP") < 1
    assert (await set_up(hass, exchange, "live"))["reason"] == "already_configured"
    exchange.add_key("o" * 32, "other")
    flow_id = await to_exchange(hass)
    result = await put(
        hass, flow_id, trading_mode="live", exchange_url=exchange.url, api_key="o" * 32, api_secret="other"
    )
    assert result["reason"] == "already_configured"


async def test_from_paper_to_live(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """It asks for the quote asset and says what will be traded before it is."""
    entry = await wallet(hass, exchange, "dry_run")
    result = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
    )
    result = await hass.config_entries.flow.async_configure(result["flow_id"], {"next_step_id": "exchange"})
    result = await put(hass, result["flow_id"], trading_mode="live", exchange_url=exchange.url)
    assert result["step_id"] == "reconfigure_wallet"
    result = await put(hass, result["flow_id"], quote_asset="USDC")
    assert result["step_id"] == "wallet_summary"
    result = await put(hass, result["flow_id"])
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()
    assert entry.data["trading_mode"] == "live"


async def test_further_sources(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Own allocations only."""
    entry = await wallet(hass, exchange, "dry_run")
    for kind, ends in (("leader", FlowResultType.ABORT), ("allocation", FlowResultType.FORM)):
        result = await hass.config_entries.subentries.async_init((entry.entry_id, kind), context={"source": "user"})
        assert result["type"] is ends
    assert hass.config_entries.async_get_entry(entry.entry_id)


async def test_money_is_moved_on_the_exchange(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """An action says so."""
    await wallet(hass, exchange, "dry_run")
    with pytest.raises((ServiceValidationError, HomeAssistantError)) as caught:
        await hass.services.async_call(DOMAIN, "deposit", {"amount": 5}, blocking=True)
    assert caught.value.translation_key == "wallet_scope"


async def test_what_nothing_explained(hass: HomeAssistant, exchange: ExchangeSimulator, freezer: Any) -> None:
    """A repair asks for it, one after the other, and is gone with the last."""
    entry = await wallet(hass, exchange)
    await poll(hass, entry)
    exchange.set_balance("ETH", "0.25")
    exchange.set_balance("SOL", "1")
    for _ in range(2):
        freezer.tick(60)
        await poll(hass, entry)
    engine = entry.runtime_data.engine
    assert len(engine.snapshot.unexplained) == 2
    name = issue_id("movement_unexplained", entry.entry_id)
    issue = ir.async_get(hass).async_get_issue(DOMAIN, name)
    assert issue
    flow = await async_create_fix_flow(hass, name, issue.data)
    flow.hass = hass
    form = await flow.async_step_init()
    assert form["description_placeholders"]
    assert form["description_placeholders"]["movement"].startswith(("+0.25 ETH, ", "−1 SOL, "))
    form = await flow.async_step_init({"explanation": "transfer"})
    assert form["type"] is FlowResultType.FORM
    done = await flow.async_step_init({"explanation": "reward"})
    assert done["type"] is FlowResultType.CREATE_ENTRY
    assert engine.snapshot.unexplained == ()
    assert ir.async_get(hass).async_get_issue(DOMAIN, name) is None
    told = (await answer(hass, "get_cash_flows"))["cash_flows"]
    assert {each.get("explanation") for each in told[:2]} == {"transfer", "reward"}
    form = await flow.async_step_init({"explanation": "reward"})
    assert form["errors"] == {"base": "cash_flow_unknown"}
    assert movement_text(None, entry) == "–"


async def test_more_is_there_after_a_budget(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """What a budget portfolio of the account may use is what the wallet has not."""
    entry = await wallet(hass, exchange)
    await poll(hass, entry)
    flow_id = await start(hass)
    await put(hass, flow_id, **{"allocation": ROWS, **FIELDS})
    await put(hass, flow_id, trading_mode="live", exchange_url=exchange.url, **keys(exchange))
    result = await put(hass, flow_id, initial_budget=100, quote_asset="USDC")
    assert result["errors"] == {"initial_budget": "insufficient_funds"}
