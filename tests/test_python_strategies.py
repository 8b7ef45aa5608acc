"""Strategies in Python in Home Assistant: allowed, tried, pinned by their hash, and asked about when their file changes."""

import hashlib
from pathlib import Path
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.auth.models import User
from homeassistant.core import Context, HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import Unauthorized
from homeassistant.helpers import issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from simulators.exchange import ExchangeSimulator

from .entities import poll
from .test_allocation import answer, put, weights
from .test_repairs import fix, submit
from .test_strategies import FIELDS, begin, closed, hours, write as write_rules
from .test_subentry_flow import ask, change

PRICE = """
class ByPrice:
    name = "By its price"
    candles = 1
    parameters = {"size": 60, "least": 100}

    def decide(self, candles, position):
        return {coin: self.parameters["size"] if rows[-1].close > self.parameters["least"] else 0 for coin, rows in candles.items()}
"""


@pytest.fixture(autouse=True)
def _early(freezer: FrozenDateTimeFactory) -> None:
    """Some minutes after a close."""
    freezer.move_to(freezer().replace(minute=10, second=0, microsecond=0))


def write(hass: HomeAssistant, text: str = PRICE, name: str = "mine.py") -> str:
    """A file of the owner's; its SHA-256."""
    path = Path(hass.config.path("calvalot", "strategies", name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def remove(hass: HomeAssistant) -> None:
    """Take the file away."""
    Path(hass.config.path("calvalot", "strategies", "mine.py")).unlink()


MINE: dict[str, Any] = {**FIELDS, "strategy": "mine.py"}


async def allowed(hass: HomeAssistant, **fields: Any) -> Any:
    """Choose a strategy in Python, and allow it once it is asked whether that is meant."""
    result = await begin(hass, **{**MINE, **fields})
    if result["errors"] != {"strategy": "python_not_allowed"}:
        return result
    return await put(hass, result["flow_id"], **{**MINE, **fields}, allow_python=True)


async def portfolio(hass: HomeAssistant, exchange: ExchangeSimulator, **fields: Any) -> MockConfigEntry:
    """A portfolio on paper that a strategy in Python leads, which its owner has allowed."""
    result = await allowed(hass, **fields)
    assert result["step_id"] == "exchange", result["errors"]
    result = await put(hass, result["flow_id"], trading_mode="dry_run", exchange_url=exchange.url)
    result = await put(hass, result["flow_id"], initial_budget=1000, quote_asset="USDC")
    assert result["type"] is FlowResultType.CREATE_ENTRY, result["errors"]
    await hass.async_block_till_done()
    entry: MockConfigEntry = result["result"]  # type: ignore[assignment]
    return entry


async def test_off_until_it_is_allowed(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """The form names the file and its hash, and asks for a tick; what is stored is the hash, not the text."""
    known = write(hass)
    result = await begin(hass, **MINE)
    assert result["errors"] == {"strategy": "python_not_allowed"}
    placeholders = result["description_placeholders"] or {}
    assert (placeholders["file"], placeholders["sha256"]) == ("mine.py", known)
    assert "allow_python" in {str(field) for field in (result["data_schema"] or {}).schema}  # type: ignore[union-attr]
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange, parameters={"size": 40})
    assert entry.options == {
        "coin": ["BTC"],
        "strategy": "mine.py",
        "time_frame": "1h",
        "share": 100,
        "from": None,
        "until": None,
        "parameters": {"size": 40},
        "rules": "",
        "allow_python": True,
        "sha256": known,
        "coins": ["BTC"],
    }
    assert await weights(hass) == {"BTC": pytest.approx(40, abs=1)}
    (signal,) = (await answer(hass, "get_signals"))["signals"]
    assert (signal["result"], signal["reasoning"]) == ("executed", "target: BTC")
    (told,) = (await answer(hass, "get_strategies"))["strategies"]
    assert (told["name"], told["problem"], told["warm_up"]) == ("By its price", None, {"count": 1, "needed": 1})
    assert told["sentence"] == "Decides for BTC by the Python file mine.py. Looks at closed candles of 1h."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class It(\n", "Line 1"),
        ("x = 1\n", "no class"),
        (PRICE.replace("return", "raise ValueError('no') #"), "ValueError: no"),
        (PRICE.replace("def decide", "import no_such_package\n    def decide"), "no_such_package"),
        (PRICE.replace("else 0", "else 101").replace("100}", "1000}"), "101"),
    ],
)
async def test_refused(hass: HomeAssistant, text: str, said: str) -> None:
    """What cannot be read, or fails on made-up candles, is never stored."""
    write(hass, text)
    result = await allowed(hass)
    assert result["errors"] == {"strategy": "strategy_invalid"}
    assert said in (result["description_placeholders"] or {})["problem"]


@pytest.mark.parametrize(
    ("parameters", "error"),
    [([1], "parameters_invalid"), ({"x": 1}, "parameter_unknown"), ({"size": "9"}, "parameters_invalid")],
)
async def test_parameters_that_do_not_fit(hass: HomeAssistant, parameters: Any, error: str) -> None:
    """They are numbers, and its own."""
    write(hass)
    result = await allowed(hass, parameters=parameters)
    assert result["errors"] == {"parameters": error}


async def test_files_are_listed(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """By their names, rules before Python, and a chosen one also where its file is gone."""
    write_rules(hass)
    write(hass)
    write(hass, "", "notes.txt")
    closed(hass, exchange, "BTC", [1000])
    menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "strategy"})
    assert (form["data_schema"] or {}).schema["strategy"].config["options"][-2:] == ["mine", "mine.py"]  # type: ignore[union-attr]
    entry = await portfolio(hass, exchange)
    remove(hass)
    menu = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": "reconfigure", "entry_id": entry.entry_id}
    )
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "strategy"})
    fields = (form["data_schema"] or {}).schema  # type: ignore[union-attr]
    assert fields["strategy"].config["options"][-2:] == ["mine", "mine.py"]
    # What was allowed is not asked about again; what has changed is.
    assert "allow_python" not in {str(field) for field in fields}
    write(hass, PRICE.replace("60", "50"))
    result = await put(hass, form["flow_id"], **MINE)
    assert result["errors"] == {"strategy": "python_not_allowed"}
    write(hass)
    result = await put(hass, form["flow_id"], **MINE)
    assert result["reason"] == "reconfigure_successful"


async def test_a_changed_file_is_asked_about(
    hass: HomeAssistant,
    exchange: ExchangeSimulator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Nothing is decided by it until it is confirmed, with both hashes; then it is what is used."""
    known = write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    changed = write(hass, PRICE.replace('"size": 60', '"size": 30'))
    await hours(hass, entry, freezer)
    closed(hass, exchange, "BTC", [1000])
    await poll(hass, entry)
    assert await weights(hass) == {"BTC": pytest.approx(60, abs=1)}
    (told,) = (await answer(hass, "get_strategies"))["strategies"]
    assert (told["problem"], told["name"]) == ("strategy_changed", None)
    issue_id = f"strategy_changed_{entry.entry_id}"
    issue = ir.async_get(hass).async_get_issue(DOMAIN, issue_id)
    assert issue
    assert issue.is_fixable
    assert issue.data
    assert (issue.data["allowed"], issue.data["found"]) == (known, changed)
    form = await fix(hass, entry, "strategy_changed")
    assert (form["description_placeholders"]["allowed"], form["description_placeholders"]["found"]) == (known, changed)
    # What changes while it is asked is asked about again.
    broken = write(hass, PRICE.replace("return", "raise ValueError('no') #"))
    form = await submit(hass, form, {})
    assert (form["errors"], form["description_placeholders"]["found"]) == ({"base": "file_changed_again"}, broken)
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "strategy_invalid"}
    assert "ValueError: no" in form["description_placeholders"]["problem"]
    write(hass, PRICE.replace('"size": 60', '"other": 30'))
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "file_changed_again"}
    changed = write(hass, PRICE.replace('"size": 60', '"size": 30'))
    form = await submit(hass, form, {})
    form = await submit(hass, form, {})
    assert form["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert entry.options["sha256"] == changed
    await poll(hass, entry)
    assert await weights(hass) == {"BTC": pytest.approx(30, abs=1)}
    assert ir.async_get(hass).async_get_issue(DOMAIN, issue_id) is None


async def test_a_changed_file_of_a_further_source(
    hass: HomeAssistant,
    exchange: ExchangeSimulator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """The others go on; parameters that it does not have any more are not used unseen; the old file settles it too."""
    write_rules(hass)
    known = write(hass)
    closed(hass, exchange, "BTC", [1000])
    closed(hass, exchange, "ETH", [1000])
    result = await begin(hass)
    result = await put(hass, result["flow_id"], trading_mode="dry_run", exchange_url=exchange.url)
    result = await put(hass, result["flow_id"], initial_budget=1000, quote_asset="USDC")
    await hass.async_block_till_done()
    entry: MockConfigEntry = result["result"]  # type: ignore[assignment]
    fields = {**MINE, "coin": ["ETH"], "weight": 50, "paused": False, "parameters": {"least": 50}}
    result = await ask(hass, entry, "strategy", **fields)
    assert result["errors"] == {"strategy": "python_not_allowed"}
    result = await hass.config_entries.subentries.async_configure(result["flow_id"], {**fields, "allow_python": True})
    assert result["type"] is FlowResultType.CREATE_ENTRY, result["errors"]
    (subentry,) = entry.subentries.values()
    await hass.async_block_till_done()
    await poll(hass, entry)
    held = await weights(hass)
    assert held == {"BTC": pytest.approx(40, abs=1), "ETH": pytest.approx(30, abs=1)}
    write(hass, PRICE.replace("least", "fewest"))
    await hours(hass, entry, freezer)
    closed(hass, exchange, "BTC", [900])
    closed(hass, exchange, "ETH", [1000])
    await poll(hass, entry)
    assert await weights(hass) == {"ETH": pytest.approx(30, abs=1)}
    issue_id = f"strategy_changed_{entry.entry_id}"
    form = await fix(hass, entry, "strategy_changed")
    form = await submit(hass, form, {})
    assert form["errors"] == {"base": "parameter_unknown"}
    write(hass)
    await poll(hass, entry)
    assert ir.async_get(hass).async_get_issue(DOMAIN, issue_id) is None
    changed = write(hass, PRICE.replace("60", "20"))
    await poll(hass, entry)
    form = await fix(hass, entry, "strategy_changed")
    form = await submit(hass, form, {})
    assert form["type"] is FlowResultType.CREATE_ENTRY
    assert entry.subentries[subentry.subentry_id].data["sha256"] == changed != known
    # Reconfigured to rules, nothing of it is left in force.
    result = await change(hass, entry, subentry.subentry_id, **{**fields, "strategy": "mine", "parameters": {}})
    assert result["reason"] == "reconfigure_successful"


async def test_a_file_that_is_gone(
    hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """What is held stays; with the file it goes on."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    remove(hass)
    await hours(hass, entry, freezer)
    closed(hass, exchange, "BTC", [10])
    for _ in range(3):
        await poll(hass, entry)
    assert await weights(hass)
    assert ir.async_get(hass).async_get_issue(DOMAIN, f"strategy_invalid_{entry.entry_id}")
    write(hass)
    await poll(hass, entry)
    assert await weights(hass) == {}


async def test_one_that_fails_is_its_own_problem(
    hass: HomeAssistant, exchange: ExchangeSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """What is held stays, a repair names reason and line, and the next close is tried anew."""
    write(hass, PRICE.replace("        return", "        assert candles['BTC'][-1].close != 13\n        return"))
    closed(hass, exchange, "BTC", [1000])
    entry = await portfolio(hass, exchange)
    await hours(hass, entry, freezer)
    closed(hass, exchange, "BTC", [13])
    for _ in range(3):
        await poll(hass, entry)
    assert await weights(hass) == {"BTC": pytest.approx(60, abs=1)}
    (told,) = (await answer(hass, "get_strategies"))["strategies"]
    assert told["problem"] == "strategy_failed"
    assert told["failure"] == "Line 8: it failed with AssertionError."
    issue = ir.async_get(hass).async_get_issue(DOMAIN, f"strategy_failed_{entry.entry_id}")
    assert issue
    assert "AssertionError (8)" in (issue.translation_placeholders or {})["failures"]
    await hours(hass, entry, freezer)
    await poll(hass, entry)
    (told,) = (await answer(hass, "get_strategies"))["strategies"]
    assert (told["problem"], told["failure"]) == (None, None)
    assert ir.async_get(hass).async_get_issue(DOMAIN, f"strategy_failed_{entry.entry_id}") is None


async def test_checked(
    hass: HomeAssistant, exchange: ExchangeSimulator, hass_read_only_user: User, hass_admin_user: User
) -> None:
    """Read for everybody; run for administrators, where they say so."""
    known = write(hass)
    closed(hass, exchange, "BTC", [1000])
    await portfolio(hass, exchange)
    told = await answer(hass, "check_strategy", strategy="mine.py", coin="BTC", parameters={"size": 10})
    assert told == {
        "valid": True,
        "name": "By its price",
        "sentence": "Decides for BTC by the Python file mine.py. Looks at closed candles of 1h.",
        "time_frame": "1h",
        "parameters": {"size": 10.0, "least": 100.0},
        "warm_up": 1,
        "rules": PRICE,
        "sha256": known,
        "tried": False,
    }
    write(hass, PRICE.replace("return", "raise ValueError('no') #"))
    assert (await answer(hass, "check_strategy", strategy="mine.py"))["valid"]
    asked = {"strategy": "mine.py", "allow_python": True}

    async def checked(user_id: str) -> Any:
        context = Context(user_id=user_id)
        return await hass.services.async_call(
            DOMAIN, "check_strategy", asked, blocking=True, return_response=True, context=context
        )

    told = await checked(hass_admin_user.id)
    assert (told["valid"], told["line"]) == (False, 8)
    assert "ValueError: no" in told["problem"]
    with pytest.raises(Unauthorized):
        await checked(hass_read_only_user.id)
    with pytest.raises(Unauthorized):
        await checked("nobody")
    assert not (await answer(hass, "check_strategy", strategy="gone.py"))["valid"]
