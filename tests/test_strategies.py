"""Strategies in Home Assistant: set up, refused, traded at the close and at a stop, several in one portfolio."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.market import async_market
from custom_components.calvalot.python_strategies import strategies_folder
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.sources.strategy import StrategySource
from custom_components.calvalot.trading.strategies.library import READY_MADE, strategy_text
from custom_components.calvalot.trading.strategies.reader import read_strategy
from simulators.exchange import ExchangeSimulator

from .conftest import add_entry, set_up
from .entities import poll
from .test_allocation import answer, put, weights
from .test_subentry_flow import ask, change
from .test_translations import load

HOUR = 3600
RULES = "name: Mine\nenter: {value: price, above: 100}\nexit: {value: price, below: 990}\nsize: 80\nstop_loss: 5\n"
FIELDS: dict[str, Any] = {"coin": ["BTC"], "strategy": "mine", "share": 100}


def write(hass: HomeAssistant, text: str | bytes = RULES, name: str = "mine") -> Path:
    """A file of the owner's."""
    path = Path(hass.config.path("calvalot", "strategies", f"{name}.yaml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


async def begin(hass: HomeAssistant, **fields: Any) -> ConfigFlowResult:
    """Choose a strategy and fill its form in."""
    menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "strategy"})
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, "strategy")
    return await put(hass, form["flow_id"], **{**FIELDS, **fields})


async def portfolio(hass: HomeAssistant, exchange: ExchangeSimulator, **fields: Any) -> MockConfigEntry:
    """A portfolio on paper that a strategy leads."""
    result = await begin(hass, **fields)
    assert result["step_id"] == "exchange", result["errors"]
    result = await put(hass, result["flow_id"], trading_mode="dry_run", exchange_url=exchange.url)
    result = await put(hass, result["flow_id"], initial_budget=1000, quote_asset="USDC")
    assert result["type"] is FlowResultType.CREATE_ENTRY, result["errors"]
    await hass.async_block_till_done()
    entry: MockConfigEntry = result["result"]  # type: ignore[assignment]
    assert entry.state is ConfigEntryState.LOADED
    return entry


def closed(hass: HomeAssistant, exchange: ExchangeSimulator, coin: str, closes: Sequence[float]) -> None:
    """The last hours as the store has them: so many candles, the last one closed just now."""
    market = async_market(hass, {"exchange_url": exchange.url})
    now = int(dt_util.utcnow().timestamp())
    first = now // HOUR * HOUR - len(closes) * HOUR
    series = market.series(f"{coin}USDC", TimeFrame.H1)
    candles = [Candle(first + number * HOUR, each, each, each, each, 1.0) for number, each in enumerate(closes)]
    market.store.write([(series, candle) for candle in candles], now)


async def hours(hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, number: int = 1) -> None:
    """Let so many hours pass, and a little more."""
    now = dt_util.utcnow().timestamp()
    freezer.move_to(datetime.fromtimestamp((now // HOUR + number) * HOUR + 5, dt_util.UTC))


@pytest.fixture(autouse=True)
def _early(freezer: FrozenDateTimeFactory) -> None:
    """Some minutes after a close."""
    now = datetime.now(dt_util.UTC)
    freezer.move_to(now.replace(minute=10, second=0, microsecond=0))


async def test_set_up_and_trade(
    hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """It buys with what has closed, sells with a later close, and a restart changes nothing."""
    write(hass)
    closed(hass, exchange, "BTC", [10, 10, 1000])
    entry = await portfolio(hass, exchange)
    assert entry.title == "Calv-a-lot strategy (dry run)"
    assert (entry.unique_id, entry.data["source"]) == (None, "strategy")
    assert entry.options == {
        "coin": ["BTC"],
        "strategy": "mine",
        "time_frame": "1h",
        "share": 100,
        "from": None,
        "until": None,
        "parameters": {},
        "rules": RULES,
        "coins": ["BTC"],
    }
    assert await weights(hass) == {"BTC": pytest.approx(80, abs=1)}
    (signal,) = (await answer(hass, "get_signals"))["signals"]
    assert (signal["result"], signal["reasoning"]) == ("executed", "enter: BTC")
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    await poll(hass, entry)
    assert len((await answer(hass, "get_signals"))["signals"]) == 1
    # What is changed later changes nothing, and neither does a file that is gone.
    write(hass).unlink()
    await hours(hass, entry, freezer)
    closed(hass, exchange, "BTC", [960])
    await poll(hass, entry)
    assert await weights(hass) == {}
    assert (await answer(hass, "get_signals"))["signals"][0]["reasoning"] == "exit: BTC"


async def test_cycle_comes_with_the_close(
    hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """Just after the next hour, whatever the interval is."""
    write(hass)
    closed(hass, exchange, "BTC", [10])
    entry = await portfolio(hass, exchange)
    due = entry.runtime_data.data.due
    assert due
    assert due.timestamp() % HOUR == 2
    assert timedelta() < due - dt_util.utcnow() < timedelta(hours=1)


WRONG: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "no coin": ({"coin": []}, {"coin": "no_coins"}),
    "a share beyond": ({"share": 101}, {"share": "out_of_range"}),
    "no file": ({"strategy": "other"}, {"strategy": "strategy_invalid"}),
    "a way out": ({"strategy": "../secrets"}, {"strategy": "strategy_invalid"}),
    "dates": ({"from": "2026-05-02", "until": "2026-05-01"}, {"until": "until_before_from"}),
    "parameters as a list": ({"parameters": [1]}, {"parameters": "parameters_invalid"}),
    "an unknown parameter": ({"parameters": {"x": 1}}, {"parameters": "parameter_unknown"}),
    "a parameter beyond": ({"strategy": "macd", "parameters": {"strength": 61}}, {"parameters": "parameter_range"}),
    "a parameter in halves": ({"strategy": "macd", "parameters": {"strength": 2.5}}, {"parameters": "parameter_range"}),
    "a text as a parameter": ({"strategy": "macd", "parameters": {"strength": "9"}}, {"parameters": "parameter_range"}),
    "yes as a parameter": ({"strategy": "macd", "parameters": {"strength": True}}, {"parameters": "parameter_range"}),
}


@pytest.mark.parametrize(("fields", "errors"), WRONG.values(), ids=WRONG.keys())
async def test_refused(
    hass: HomeAssistant, exchange: ExchangeSimulator, fields: dict[str, Any], errors: dict[str, str]
) -> None:
    """With the reason at its field; what is right then goes on."""
    write(hass)
    result = await begin(hass, **fields)
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, errors)
    result = await put(hass, result["flow_id"], **FIELDS)
    assert result["step_id"] == "exchange"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1\n", "Line 1, column 1"),
        ("name: x\nentr: 1\n", "Is enter meant?"),
        (b"name: \xff\n", "cannot be read as YAML"),
        ("#" * 100_000, "larger than 32 KiB"),
    ],
)
async def test_files_that_are_no_strategy(hass: HomeAssistant, text: str | bytes, said: str) -> None:
    """It says where and what."""
    write(hass, text)
    result = await begin(hass)
    assert result["errors"] == {"strategy": "strategy_invalid"}
    assert said in (result["description_placeholders"] or {})["problem"]


async def test_coin_that_is_not_listed(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Is said at the field of the coins, as soon as the exchange is known."""
    result = await begin(hass, coin=["BTC", "NOPE"], strategy="macd")
    result = await put(hass, result["flow_id"], trading_mode="dry_run", exchange_url=exchange.url)
    result = await put(hass, result["flow_id"], initial_budget=1000, quote_asset="USDC")
    assert (result["step_id"], result["errors"]) == ("strategy", {"coin": "unknown_coin"})


async def test_reconfigure(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """The file is read anew, and other rules are taken up in place."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    coordinator = entry.runtime_data
    write(hass, RULES.replace("80", "40"))
    menu = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
    )
    assert menu["menu_options"] == ["strategy", "exchange"]
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "strategy"})
    assert form["step_id"] == "reconfigure_strategy"
    result = await put(hass, form["flow_id"], **FIELDS)
    await hass.async_block_till_done()
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert "size: 40" in entry.options["rules"]
    assert entry.runtime_data is coordinator
    await poll(hass, entry)
    # It goes on with what it holds.
    assert await weights(hass) == {"BTC": pytest.approx(80, abs=1)}


async def test_several_in_one_portfolio(
    hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """One per pair, each with its share; what they want is netted before anything is traded."""
    write(hass)
    write(hass, RULES.replace("80", "50"), "half")
    closed(hass, exchange, "BTC", [1000])
    closed(hass, exchange, "ETH", [1000])
    entry = await portfolio(hass, exchange)
    result = await ask(hass, entry, "strategy", weight=40, coin=["ETH"], strategy="half", share=50, paused=False)
    assert result["type"] is FlowResultType.CREATE_ENTRY, result["errors"]
    (subentry,) = entry.subentries.values()
    assert subentry.title == "half ETH"
    assert subentry.data["coins"] == ["ETH"]
    await poll(hass, entry)
    assert await weights(hass) == {"BTC": pytest.approx(48, abs=1), "ETH": pytest.approx(10, abs=1)}
    await hours(hass, entry, freezer)
    closed(hass, exchange, "BTC", [1000])
    closed(hass, exchange, "ETH", [20])
    await poll(hass, entry)
    assert await weights(hass) == {"BTC": pytest.approx(48, abs=1)}
    result = await change(
        hass, entry, subentry.subentry_id, weight=40, coin=["ETH"], strategy="macd", share=50, paused=True
    )
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert entry.subentries[subentry.subentry_id].title == "MACD ETH"


async def test_days(hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory) -> None:
    """From a day on and until another one's end, as the calendar at home has them."""
    write(hass)
    today = dt_util.now().date()
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange, **{"from": f"{today}", "until": f"{today}", "time_frame": "1h"})
    assert await weights(hass) == {"BTC": pytest.approx(80, abs=1)}
    await hours(hass, entry, freezer, 24)
    await poll(hass, entry)
    assert await weights(hass) == {}
    assert (await answer(hass, "get_signals"))["signals"][0]["reasoning"] == "over: BTC"


async def test_ready_made_ones(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Each can be chosen, and begins to warm up."""
    closed(hass, exchange, "BTC", [1000.0 + number for number in range(50)])
    entry = await portfolio(hass, exchange, strategy=READY_MADE[0], time_frame="1h", parameters={"short": 10})
    (state,) = entry.runtime_data.engine.members
    assert isinstance(state.source, StrategySource)
    progress = state.source.progress
    assert progress
    assert (progress.count, progress.needed) == (50, 113)
    for name in READY_MADE:
        result = await begin(hass, strategy=name)
        assert result["step_id"] == "exchange", (name, result["errors"])
        assert strategy_text(name, Path())


async def test_away(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Without candles nothing is traded, and the portfolio goes on."""
    write(hass)
    exchange.fault("error", path="/klines", status=503, count=None)
    entry = await portfolio(hass, exchange)
    (state,) = entry.runtime_data.engine.members
    assert state.problem
    assert state.problem.key == "no_candles"
    assert await weights(hass) == {}
    exchange.clear_faults()
    closed(hass, exchange, "BTC", [1000])
    await poll(hass, entry)
    assert await weights(hass)


async def test_checked(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """A name or a text is answered with a sentence, or with what is wrong and where."""
    write(hass)
    await portfolio(hass, exchange)
    told = await answer(hass, "check_strategy", strategy="averages_crossing", coin="btc", parameters={"short": 10})
    assert told["sentence"].startswith("Buys BTC for 100% when the average over 10 candles crosses above")
    assert (told["valid"], told["name"], told["time_frame"]) == (True, "Averages crossing", "4h")
    assert (told["warm_up"], told["parameters"]["short"], told["parameters"]["long"]) == (113, 10, 50)
    told = await answer(hass, "check_strategy", rules=RULES, time_frame="1d")
    assert told["sentence"].endswith("Looks at closed candles of 1d.")
    told = await answer(hass, "check_strategy", rules=RULES, language="fr")
    assert told["sentence"].endswith("Regarde les bougies clôturées de 1h.")
    assert told["rules"] == RULES
    wrong = await answer(hass, "check_strategy", rules=RULES.replace("size", "sise"), language="fr")
    assert wrong["problem"].startswith("Ligne 4")
    wrong = await answer(hass, "check_strategy", rules=RULES.replace("size", "sise"))
    assert wrong == {
        "valid": False,
        "problem": "Line 4, column 1: the word sise is not known here. Is size meant?",
        "line": 4,
        "column": 1,
    }
    assert (await answer(hass, "check_strategy"))["valid"] is False
    beyond = await answer(hass, "check_strategy", strategy="macd", parameters={"strength": 99})
    assert beyond["problem"].startswith("strength has to be a number from 0 to 60")


async def test_told(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Each strategy of a portfolio: what it does, how far it is, what it wants and why."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    await ask(hass, entry, "strategy", weight=40, coin=["ETH"], strategy="macd", share=100, paused=True)
    await poll(hass, entry)
    told = await answer(hass, "get_strategies")
    assert told["ready_made"] == list(READY_MADE)
    first, second = told["strategies"]
    assert [(trade["coin"], trade["side"]) for trade in first.pop("trades")] == [("BTC", "BUY")]
    assert first["decided"]
    assert first | {"decided": None} == {
        "source": "strategy",
        "name": "Mine",
        "sentence": "Buys BTC for 80% when the price is above 100. Sells when the price is below 990. "
        "Sells at 5% below the price it bought at. Looks at closed candles of 1h.",
        "coins": ["BTC"],
        "time_frame": "1h",
        "warm_up": {"count": 1, "needed": 1},
        "shares": {"BTC": 80.0},
        "levels": {"BTC": {"stop": 950.0, "profit": None, "held_by": "cycle"}},
        "decided": None,
        "reason": "enter: BTC",
        "problem": None,
        "failure": None,
        "paused": False,
    }
    assert (second["name"], second["paused"], second["shares"], second["decided"]) == ("MACD", True, {}, None)
    assert second["trades"] == []


async def test_rules_that_an_older_version_took(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """What cannot be read any more trades nothing, and is said."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    hass.config_entries.async_update_entry(entry, options={**entry.options, "rules": "name: x\n"})
    await hass.async_block_till_done()
    await poll(hass, entry)
    (told,) = (await answer(hass, "get_strategies"))["strategies"]
    assert (told["problem"], told["name"], told["sentence"]) == ("strategy_invalid", None, None)
    assert await weights(hass) == {"BTC": pytest.approx(80, abs=1)}


async def refused(hass: HomeAssistant, name: str, **data: Any) -> str:
    """Why an action is refused."""
    with pytest.raises(HomeAssistantError) as err:
        await hass.services.async_call(DOMAIN, name, data, blocking=True)
    return str(err.value)


async def act(hass: HomeAssistant, name: str, **data: Any) -> None:
    """Have an action done."""
    await hass.services.async_call(DOMAIN, name, data, blocking=True)
    await hass.async_block_till_done()


async def test_sold_now(hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory) -> None:
    """At once, as a signal of its own; with the next whole candle it decides anew."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    assert await weights(hass)
    freezer.tick(60)
    await act(hass, "sell_strategy")
    assert await weights(hass) == {}
    (signal, _) = (await answer(hass, "get_signals"))["signals"]
    assert (signal["result"], signal["reasoning"]) == ("executed", "by_hand: BTC")
    assert "holds nothing" in await refused(hass, "sell_strategy")
    await poll(hass, entry)
    assert await weights(hass) == {}
    # Not in the candle in which it was sold.
    for held in ({}, {"BTC": pytest.approx(80, abs=1)}):
        await hours(hass, entry, freezer)
        closed(hass, exchange, "BTC", [1000])
        await poll(hass, entry)
        assert await weights(hass) == held


async def test_sold_without_candles(
    hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """It cannot be heard: that is said, and nothing is sold then or later."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    await hours(hass, entry, freezer)
    exchange.fault("error", path="/klines", status=503, count=None)
    assert "nothing was sold" in await refused(hass, "sell_strategy")
    exchange.clear_faults()
    closed(hass, exchange, "BTC", [1000])
    await poll(hass, entry)
    assert await weights(hass) == {"BTC": pytest.approx(80, abs=1)}


async def test_stopped_alone(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """The only strategy of a portfolio stops with it."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    await act(hass, "pause_strategy")
    assert entry.runtime_data.data.paused
    (told,) = (await answer(hass, "get_strategies"))["strategies"]
    assert told["paused"]
    assert "paused" in await refused(hass, "sell_strategy")
    await act(hass, "pause_strategy", paused=False)
    assert not entry.runtime_data.data.paused


async def test_stopped_among_others(
    hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """Each for itself, the first one and a further one, without setting the portfolio up anew."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    closed(hass, exchange, "ETH", [1000])
    entry = await portfolio(hass, exchange)
    await ask(hass, entry, "strategy", weight=40, coin=["ETH"], strategy="mine", share=100, paused=False)
    coordinator = entry.runtime_data
    (key,) = entry.subentries
    assert "It has: strategy" in await refused(hass, "pause_strategy")
    for source in ("strategy", key):
        await act(hass, "pause_strategy", source=source)
        told = (await answer(hass, "get_strategies"))["strategies"]
        assert {each["source"]: each["paused"] for each in told}[source]
    assert "Let it go on first" in await refused(hass, "sell_strategy", source=key)
    await act(hass, "pause_strategy", source=key, paused=False)
    held = await weights(hass)
    freezer.tick(60)
    await act(hass, "sell_strategy", source=key)
    assert held.keys() == {"BTC", "ETH"}
    assert (await weights(hass)).keys() == {"BTC"}
    assert entry.runtime_data is coordinator


async def test_used(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Shown first; then it is a file and a further source, and can be chosen by its name."""
    closed(hass, exchange, "BTC", [1000])
    closed(hass, exchange, "ETH", [1000])
    write(hass)
    entry = await portfolio(hass, exchange)
    wanted = {"rules": RULES, "coin": ["eth"], "weight": 40}
    shown = await answer(hass, "set_strategy", **wanted)
    assert (shown["strategy"], shown["sentence"][:14]) == (None, "Buys ETH for 8")
    assert not entry.subentries
    assert "Set confirm" in await refused(hass, "set_strategy", **wanted)
    done = await answer(hass, "set_strategy", **wanted, confirm=True)
    await hass.async_block_till_done()
    assert done == {**shown, "strategy": "mine_2"}
    assert write(hass, name="mine_2").exists()
    (subentry,) = entry.subentries.values()
    assert subentry.title == "mine_2 ETH"
    assert (subentry.data["rules"], subentry.data["weight"], subentry.data["paused"]) == (RULES, 40, False)
    await poll(hass, entry)
    assert (await weights(hass)).keys() == {"BTC", "ETH"}


async def test_not_used(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """What is wrong is said as the form says it, and no file is left behind."""
    closed(hass, exchange, "BTC", [1000])
    write(hass)
    entry = await portfolio(hass, exchange)
    wrong = await refused(hass, "set_strategy", rules="name: x\n", coin="ETH", weight=40, confirm=True)
    assert wrong.startswith("The strategy cannot be used. ")
    named = RULES.replace("Mine", "MACD")
    for fields in ({"coin": "NOPE", "weight": 40}, {"coin": "ETH", "weight": 100}, {"coin": [], "weight": 40}):
        said = await refused(hass, "set_strategy", rules=named, **fields, confirm=True)
        assert said.startswith("The strategy cannot be used. ")
        assert "{" not in said
    assert [path.name for path in strategies_folder(hass).iterdir()] == ["mine.yaml"]
    assert not entry.subentries
    # A name that a ready-made one has gets a number.
    done = await answer(hass, "set_strategy", rules=named, coin="ETH", weight=40, confirm=True)
    assert done["strategy"] == "macd_2"
    await hass.async_block_till_done()


async def test_used_on_paper_only(hass: HomeAssistant, entry_data: dict[str, Any], live_data: dict[str, Any]) -> None:
    """Not with real money, and not beside trading by hand; and there is nothing to sell without a strategy."""
    hand = add_entry(hass, {**entry_data, "source": "manual"})
    assert await set_up(hass, hand)
    wanted = {"rules": RULES, "coin": "BTC", "weight": 40, "confirm": True}
    assert "by hand" in await refused(hass, "set_strategy", **wanted)
    await hass.config_entries.async_remove(hand.entry_id)
    assert await set_up(hass, add_entry(hass, live_data))
    assert "real money" in await refused(hass, "set_strategy", **wanted)
    assert "No strategy decides" in await refused(hass, "sell_strategy")


async def test_repairs(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """A strategy that had no candles three times in a row is a repair, until it has some."""
    write(hass)
    exchange.fault("error", path="/klines", status=503, count=None)
    entry = await portfolio(hass, exchange)
    registry, name = ir.async_get(hass), f"strategy_no_candles_{entry.entry_id}"
    await poll(hass, entry)
    assert registry.async_get_issue(DOMAIN, name) is None
    await poll(hass, entry)
    issue = registry.async_get_issue(DOMAIN, name)
    assert issue
    assert (issue.translation_placeholders or {})["sources"] == entry.title
    exchange.clear_faults()
    closed(hass, exchange, "BTC", [1000])
    await poll(hass, entry)
    assert registry.async_get_issue(DOMAIN, name) is None


async def test_repair_of_rules(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """Rules that cannot be read any more are one, until the strategy is chosen anew."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    registry, name = ir.async_get(hass), f"strategy_invalid_{entry.entry_id}"
    known = entry.options
    for options in ({**known, "rules": "name: x\n"}, known):
        hass.config_entries.async_update_entry(entry, options=options)
        await hass.async_block_till_done()
        for _ in range(3):
            await poll(hass, entry)
        assert (registry.async_get_issue(DOMAIN, name) is None) == (options == known)


def test_ready_made_ones_are_described() -> None:
    """In English as in their files; the other languages have as many words for it."""
    texts = load("translations/en.json")["common"]
    for name in READY_MADE:
        strategy = read_strategy(strategy_text(name, Path()))
        assert (texts[f"rule_made_{name}_idea"], texts[f"rule_made_{name}_weak"]) == (
            strategy.idea,
            strategy.weaknesses,
        )
