"""A portfolio that keeps an allocation of its owner's, in Home Assistant."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from simulators.exchange import ExchangeSimulator

from .entities import later, poll

ROWS = [{"coin": "btc ", "share": 60}, {"coin": "ETH", "share": "30"}]
FIELDS = {"when": ["drift"], "drift": 20, "trade_to": "half", "cash_reserve": 0, "cooldown": 1}


async def start(hass: HomeAssistant) -> str:
    """Start a flow and choose an own allocation; returns the flow's id."""
    menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "allocation"})
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "allocation")
    return form["flow_id"]


async def put(hass: HomeAssistant, flow_id: str, **fields: Any) -> ConfigFlowResult:
    """Put something into the form that is shown."""
    return await hass.config_entries.flow.async_configure(flow_id, fields)


async def create(
    hass: HomeAssistant, exchange: ExchangeSimulator, budget: float = 1000, **fields: Any
) -> ConfigFlowResult:
    """Go through the whole flow on paper; the budget's form or the entry."""
    flow_id = await start(hass)
    result = await put(hass, flow_id, **{"allocation": ROWS, **FIELDS, **fields})
    assert result["step_id"] == "exchange", result["errors"]
    result = await put(hass, flow_id, trading_mode="dry_run", exchange_url=exchange.url)
    assert result["step_id"] == "budget", result["errors"]
    return await put(hass, flow_id, initial_budget=budget, quote_asset="USDC")


async def portfolio(hass: HomeAssistant, exchange: ExchangeSimulator, **fields: Any) -> MockConfigEntry:
    """A portfolio that was set up."""
    result = await create(hass, exchange, **fields)
    assert result["type"] is FlowResultType.CREATE_ENTRY, result["errors"]
    await hass.async_block_till_done()
    entry: MockConfigEntry = result["result"]  # type: ignore[assignment]
    assert entry.state is ConfigEntryState.LOADED
    return entry


async def answer(hass: HomeAssistant, action: str, **data: Any) -> dict[str, Any]:
    """What an action answers."""
    found = await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True)
    assert found
    return dict(found)


async def weights(hass: HomeAssistant) -> dict[str, float]:
    """Weights of what is held but for dust, in %."""
    found = await answer(hass, "get_portfolio")
    return {each["coin"]: 100 * each["weight"] for each in found["positions"] if each["weight"] > 0.001}


async def test_set_up(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """The coins come from the rows, the first purchase is the joining, and nothing of a leader is there."""
    entry = await portfolio(hass, exchange)
    assert entry.title == "Calv-a-lot own allocation (dry run)"
    assert entry.unique_id is None
    assert entry.data["source"] == "allocation"
    assert entry.options == {
        "allocation": [{"coin": "BTC", "share": 60.0}, {"coin": "ETH", "share": 30.0}],
        "coins": ["BTC", "ETH"],
        **FIELDS,
        "interval": None,
        "at": None,
    }
    (signal,) = (await answer(hass, "get_signals"))["signals"]
    assert (signal["result"], signal["version"], len(signal["legs"])) == ("executed", 2, 2)
    held = await weights(hass)
    assert held == {"BTC": pytest.approx(60, abs=1), "ETH": pytest.approx(30, abs=1)}
    keys = {each.unique_id for each in er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)}
    assert f"{entry.entry_id}_leader_connected" not in keys
    assert f"{entry.entry_id}_btc_value" in keys


async def test_drift(hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory) -> None:
    """A coin that leaves its band is brought back, one inside is left alone; a check that wants nothing leaves no signal."""
    entry = await portfolio(hass, exchange, trade_to="target")
    freezer.tick(timedelta(hours=2))
    await poll(hass, entry)
    assert len((await answer(hass, "get_signals"))["signals"]) == 1
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * 2)
    await poll(hass, entry)
    assert len((await answer(hass, "get_signals"))["signals"]) == 2
    held = await weights(hass)
    assert held["BTC"] == pytest.approx(60, abs=1.5)
    assert held["ETH"] == pytest.approx(30, abs=1.5)


async def test_schedule(hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory) -> None:
    """At its time every coin is brought to its target, and not before."""
    entry = await portfolio(hass, exchange, when=["schedule"], interval=6)
    held = await weights(hass)
    assert held == {"BTC": pytest.approx(60, abs=1), "ETH": pytest.approx(30, abs=1)}
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * 2)
    freezer.tick(timedelta(hours=3))
    await poll(hass, entry)
    assert (await weights(hass))["BTC"] > 70
    await later(hass, freezer, 3 * 3600 + 60)
    assert (await weights(hass))["BTC"] == pytest.approx(60, abs=1.5)


async def test_by_hand(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Without schedule and drift nothing is bought until its owner says so; the preview shows it."""
    await portfolio(hass, exchange, when=[])
    assert await weights(hass) == {}
    orders = (await answer(hass, "preview"))["orders"]
    assert {order["symbol"] for order in orders} == {"BTCUSDC", "ETHUSDC"}
    await hass.services.async_call(DOMAIN, "rebalance", {"source": "allocation"}, blocking=True)
    assert await weights(hass) == {"BTC": pytest.approx(60, abs=1), "ETH": pytest.approx(30, abs=1)}
    with pytest.raises(ServiceValidationError) as caught:
        await hass.services.async_call(DOMAIN, "rebalance", {"source": "leader"}, blocking=True)
    assert caught.value.translation_key == "source_unknown"


async def test_set_allocation(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Another allocation is stored and kept at once: a coin without a share is sold whole."""
    entry = await portfolio(hass, exchange, trade_to="target")
    await hass.services.async_call(DOMAIN, "set_allocation", {"allocation": {"BTC": "20.5", "sol": 70}}, blocking=True)
    await hass.async_block_till_done()
    assert entry.options["coins"] == ["BTC", "SOL"]
    await poll(hass, entry)
    held = await weights(hass)
    assert held.keys() == {"BTC", "SOL"}
    assert held["SOL"] == pytest.approx(70, abs=1.5)


@pytest.mark.parametrize(
    ("allocation", "key"),
    [
        ({"BTC": 60, "ETH": 41}, "allocation_allocation_sum"),
        ({"BTC": -1}, "allocation_share_invalid"),
        ({"BTC": "much"}, "allocation_share_invalid"),
        ({"B C": 1}, "allocation_row_without_coin"),
        ({"btc": 1, "BTC": 1}, "allocation_coin_twice"),
        ({}, "allocation_no_coins"),
        ({"NOSUCH": 1}, "allocation_unknown_coin"),
    ],
)
async def test_set_allocation_refused(
    hass: HomeAssistant, exchange: ExchangeSimulator, allocation: dict[str, Any], key: str
) -> None:
    """What makes no allocation changes nothing, and says what is wrong."""
    entry = await portfolio(hass, exchange)
    before = dict(entry.options)
    with pytest.raises(ServiceValidationError) as caught:
        await hass.services.async_call(DOMAIN, "set_allocation", {"allocation": allocation}, blocking=True)
    assert caught.value.translation_key == key
    assert entry.options == before


OTHER = {"BTC": 30, "SOL": 50}


async def test_plan_of_another_allocation(
    hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """It shows coins that are not traded yet, changes nothing, and is what is traded when it is taken."""
    entry = await portfolio(hass, exchange)
    before = dict(entry.options)
    plan = await answer(hass, "preview", allocation=OTHER)
    rows = {row["coin"]: row for row in plan["table"]}
    assert {coin: (row["target"], row["side"]) for coin, row in rows.items()} == {
        "BTC": (30, "SELL"),
        "ETH": (0, "SELL"),
        "SOL": (50, "BUY"),
    }
    assert entry.options == before
    (less,) = (row for row in (await answer(hass, "preview", allocation={"BTC": 30}))["table"] if row["coin"] == "ETH")
    assert (less["target"], less["side"]) == (0, "SELL")
    # A plan for another allocation is no plan for this one.
    with pytest.raises(HomeAssistantError) as caught:
        await hass.services.async_call(DOMAIN, "rebalance", {"plan_id": plan["plan_id"]}, blocking=True)
    assert caught.value.translation_key == "plan_changed"
    plan = await answer(hass, "preview", allocation=OTHER)
    taken = {"allocation": OTHER, "plan_id": plan["plan_id"]}
    await hass.services.async_call(DOMAIN, "set_allocation", taken, blocking=True)
    await hass.async_block_till_done()
    assert entry.options["coins"] == ["BTC", "SOL"]
    newest, *_ = (await answer(hass, "get_signals"))["signals"]
    assert newest["result"] == "executed", newest
    traded = {leg["symbol"]: (leg["side"], Decimal(leg["quantity"])) for leg in newest["legs"]}
    assert traded == {order["symbol"]: (order["side"], Decimal(order["quantity"])) for order in plan["orders"]}
    assert await weights(hass) == {"BTC": pytest.approx(30, abs=1), "SOL": pytest.approx(50, abs=1)}
    # What the plan did is what the allocation wants: the next look trades nothing.
    freezer.tick(timedelta(hours=2))
    await poll(hass, entry)
    assert (await answer(hass, "get_signals"))["signals"][0] == newest


async def test_plan_that_cannot_be_taken(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Where prices have moved the allocation stays what it was, and nothing is traded."""
    entry = await portfolio(hass, exchange)
    before, signals = dict(entry.options), await answer(hass, "get_signals")
    plan = await answer(hass, "preview", allocation=OTHER)
    exchange.set_price("SOLUSDC", exchange.price("SOLUSDC") * Decimal("1.02"))
    taken = {"allocation": OTHER, "plan_id": plan["plan_id"]}
    with pytest.raises(HomeAssistantError) as caught:
        await hass.services.async_call(DOMAIN, "set_allocation", taken, blocking=True)
    assert caught.value.translation_key == "prices_moved"
    assert entry.options == before
    assert await answer(hass, "get_signals") == signals


async def test_plan_of_an_allocation_that_cannot_be_asked_for(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Without a price of a coin that it names there is no plan."""
    await portfolio(hass, exchange)
    exchange.fault("error", path="/ticker/price", status=503, count=None)
    with pytest.raises(HomeAssistantError) as caught:
        await answer(hass, "preview", allocation=OTHER)
    assert caught.value.translation_key == "no_valuation"


async def test_set_allocation_of_a_follower(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Who follows a leader has none of his own."""
    await hass.config_entries.async_setup(entry.entry_id)
    with pytest.raises(ServiceValidationError) as caught:
        await hass.services.async_call(DOMAIN, "set_allocation", {"allocation": {"BTC": 1}}, blocking=True)
    assert caught.value.translation_key == "no_own_allocation"


@pytest.mark.parametrize(
    ("fields", "errors", "names"),
    [
        ({"allocation": [*ROWS, {"coin": "SOL", "share": 10.1}]}, {"allocation": "allocation_sum"}, {"sum": "100.1"}),
        (
            {"allocation": [*ROWS, {"coin": "BTC", "share": 1}]},
            {"allocation": "coin_twice"},
            {"row": "3", "coin": "BTC"},
        ),
        ({"allocation": [{"coin": "BTC", "share": -1}]}, {"allocation": "share_invalid"}, {"row": "1", "coin": "BTC"}),
        ({"allocation": [{"coin": "BTC", "share": "x"}]}, {"allocation": "share_invalid"}, {"row": "1", "coin": "BTC"}),
        ({"allocation": [{"coin": "BTC", "share": True}]}, {"allocation": "share_invalid"}, {"row": "1"}),
        ({"allocation": [{"coin": "BTC"}]}, {"allocation": "share_invalid"}, {"row": "1"}),
        ({"allocation": [{"share": 5}]}, {"allocation": "row_without_coin"}, {"row": "1"}),
        ({"allocation": []}, {"allocation": "no_coins"}, {}),
        ({"drift": 0}, {"drift": "out_of_range"}, {"fields": "Band (1 to 100 %)"}),
        ({"when": ["schedule"]}, {"when": "schedule_without_time"}, {}),
    ],
)
async def test_refused(
    hass: HomeAssistant, fields: dict[str, Any], errors: dict[str, str], names: dict[str, str]
) -> None:
    """Each on its field, naming the row; everything else stays in the form."""
    flow_id = await start(hass)
    result = await put(hass, flow_id, **{"allocation": ROWS, **FIELDS, **fields})
    assert result["errors"] == errors
    assert names.items() <= (result["description_placeholders"] or {}).items()
    schema = result["data_schema"]
    assert schema
    shown = {str(marker): (marker.description or {}).get("suggested_value") for marker in schema.schema}
    assert shown["allocation"] == fields.get("allocation", ROWS)
    assert (await put(hass, flow_id, allocation=ROWS, **FIELDS))["step_id"] == "exchange"


async def test_a_coin_that_is_not_listed(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """It is known once the exchange is: the rows come back with it named, and what was put in goes on from there."""
    result = await create(hass, exchange, budget=250, allocation=[*ROWS, {"coin": "NOSUCH", "share": 5}])
    assert (result["step_id"], result["errors"]) == ("allocation", {"allocation": "unknown_coin"})
    assert (result["description_placeholders"] or {})["coins"] == "NOSUCH"
    result = await put(hass, result["flow_id"], allocation=ROWS, **FIELDS)
    assert result["step_id"] == "budget"
    result = await put(hass, result["flow_id"], initial_budget=250, quote_asset="USDC")
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["options"]["coins"] == ["BTC", "ETH"]


async def test_reconfigure(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """The rows may be changed later; a coin that is not listed is named there too."""
    entry = await portfolio(hass, exchange)
    context = {"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
    menu = await hass.config_entries.flow.async_init(DOMAIN, context=context)
    assert menu["menu_options"] == ["allocation", "exchange"]
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "allocation"})
    assert form["step_id"] == "reconfigure_allocation"
    result = await put(hass, form["flow_id"], allocation=[{"coin": "NOSUCH", "share": 5}], **FIELDS)
    assert result["errors"] == {"allocation": "unknown_coin"}
    result = await put(hass, form["flow_id"], allocation=[{"coin": "SOL", "share": 50}], **FIELDS)
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()
    assert entry.options["coins"] == ["SOL"]
    await poll(hass, entry)
    assert (await weights(hass)).keys() == {"SOL"}


async def test_live(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """The last page says what is bought at once; by hand only nothing is."""
    for when, first in (["drift"], "BTC"), ([], "nothing"):
        flow_id = await start(hass)
        await put(hass, flow_id, **{"allocation": ROWS, **FIELDS, "when": when})
        keys = {"api_key": exchange.api_key, "api_secret": exchange.api_secret}
        await put(hass, flow_id, trading_mode="live", exchange_url=exchange.url, **keys)
        result = await put(hass, flow_id, initial_budget=200, quote_asset="USDC")
        assert result["step_id"] == "summary", result["errors"]
        assert first in (result["description_placeholders"] or {})["first"]
        hass.config_entries.flow.async_abort(flow_id)


async def test_options(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Fine tuning hides what means nothing here, and leaves the allocation as it is."""
    entry = await portfolio(hass, exchange)
    before = dict(entry.options)
    form = await hass.config_entries.options.async_init(entry.entry_id)
    schema = form["data_schema"]
    assert schema
    shown = {str(field) for section in schema.schema.values() for field in section.schema.schema}
    assert not shown & {"coins", "rebalance_threshold", "entry_jitter", "push", "push_url"}
    values = {
        str(name): {
            str(marker): (marker.description or {}).get("suggested_value", marker.default())
            for marker in section.schema.schema
            if (marker.description or {}).get("suggested_value") is not None or callable(marker.default)
        }
        for name, section in schema.schema.items()
    }
    values["trade"]["min_order"] = 7
    result = await hass.config_entries.options.async_configure(form["flow_id"], values)
    assert result["type"] is FlowResultType.CREATE_ENTRY, result["errors"]
    assert before.items() <= entry.options.items()
    assert entry.options["min_order"] == 7
    await hass.async_block_till_done()
    assert Decimal(str(entry.runtime_data.settings.min_order)) == 7
