"""The cards get to the browser, and have words for everything they show."""

import ast
from collections.abc import Iterable
import gzip
import re

from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.calvalot.cards import FOLDER
from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.settings import version
from custom_components.calvalot.trading import signals as desk
from custom_components.calvalot.trading.alert import CANCELS, AlertState, Ask, Problem
from custom_components.calvalot.trading.conversions import NOT_PLACED
from custom_components.calvalot.trading.errors import SourceFailed
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.explanation import Explanation
from custom_components.calvalot.trading.ledger.records import OVERTAKEN, FlowKind, OrderState, Result
from custom_components.calvalot.trading.protection import HeldBy
from custom_components.calvalot.trading.signal import INITIAL_SYNC, Kind, SourceKind
from custom_components.calvalot.trading.snapshot import Status
from custom_components.calvalot.trading.sources.strategy_settings import NoCandles, StrategyChanged, StrategyInvalid
from custom_components.calvalot.trading.strategies.script_evaluator import StrategyFailed

from .test_translations import calls, load

# Why a strategy decides nothing.
UNDECIDED = (NoCandles.key, StrategyChanged.key, StrategyFailed.key, StrategyInvalid.key, SourceFailed.key)
# What the code puts behind a name to make a key of it.
ENDS = ("long", "description", "explained", "on", "off", "unknown", *Mode)
# What a module is loaded with, and what is loaded when a card is first shown: both from beside it.
IMPORTS = re.compile(r'^(?:import|export)\b[^;(]*?"\./([\w.]+)";', re.MULTILINE)
LATER = re.compile(r"\bimport\(`\./([\w.]+)\$\{again\}`\)")
MODULES = sorted(file.name for file in FOLDER.iterdir())


def words() -> set[str]:
    """Keys of what the cards say, which they find among the integration's common texts."""
    return {key.removeprefix("card_") for key in load("translations/en.json")["common"] if key.startswith("card_")}


def scripts() -> str:
    """The code of the cards."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in MODULES)


def reasons() -> set[str]:
    """What the follower says of a signal or an order in words of its own."""
    given = {
        value.value
        for name, call in calls()
        for value in (
            *(call.args[-1:] if name in {"drop", "ended"} else ()),
            *(keyword.value for keyword in call.keywords if (name, keyword.arg) == ("replace", "reason")),
        )
        if isinstance(value, ast.Constant) and value.value
    }
    covered = {f"covered by {by}" for by in (INITIAL_SYNC, Kind.SYNC)}
    return {*given, *covered, "not sent: no connection", OVERTAKEN, NOT_PLACED, desk.WAITS, desk.TOO_OLD}


def closure(module: str) -> set[str]:
    """A module and all that is loaded with it: what it imports, and what that imports."""
    found, new = set[str](), {module}
    while new:
        found |= new
        new = {name for each in new for name in IMPORTS.findall((FOLDER / each).read_text(encoding="utf-8"))} - found
    return found


def compressed(modules: Iterable[str]) -> int:
    """Bytes that a browser is sent for some modules."""
    return sum(len(gzip.compress((FOLDER / name).read_bytes())) for name in modules)


def test_size() -> None:
    """A phone on a poor line loads them, too: compressed under 80 kB before the first card is shown, then 20 kB for a page at most."""
    first = closure("calvalot.js")
    assert compressed(first) < 80_000
    pages = set(LATER.findall(scripts()))
    assert pages
    for page in pages:
        assert page not in first
        assert compressed(closure(page) - first) < 20_000
    # Nothing lies in the folder that is loaded in no way.
    assert {*MODULES} == closure("dashboard.js").union(*(closure(page) for page in pages))


def test_pages_come_from_beside_the_first_module() -> None:
    """So that what is loaded later has the address of the same version."""
    assert re.findall(r"\bimport\(", scripts())
    assert len(re.findall(r"\bimport\(", scripts())) == len(LATER.findall(scripts()))


async def test_cards_are_served(hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator) -> None:
    """Every page loads the first module, and finds the others beside it; a new version has a new address."""
    assert await async_setup_component(hass, "frontend", {})
    assert await async_setup_component(hass, DOMAIN, {})
    (url,) = (url for url in hass.data[DATA_EXTRA_MODULE_URL].urls if DOMAIN in url)
    assert url == f"/calvalot_frontend/{await version(hass)}/calvalot.js"
    client = await hass_client_no_auth()
    assert "calvalot.js" in MODULES
    for module in MODULES:
        response = await client.get(url.replace("calvalot.js", module))
        assert response.status == 200
        assert response.content_type == "text/javascript"
        assert "max-age" in response.headers["Cache-Control"]
        assert await response.text() == (FOLDER / module).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_nothing_comes_from_outside(module: str) -> None:
    """Nothing is fetched from another host, and no text is ever read as markup."""
    source = (FOLDER / module).read_text(encoding="utf-8")
    addresses = {word.strip("\"'`;,") for word in source.split() if "://" in word}
    assert addresses <= {"http://www.w3.org/2000/svg", "https://github.com/cashalot/calvalot-homeassistant#dashboard"}
    for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write", "new Function"):
        assert danger not in source


async def test_without_a_frontend(hass: HomeAssistant) -> None:
    """The integration does not need one."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert DATA_EXTRA_MODULE_URL not in hass.data


def test_whatever_is_shown_has_a_word() -> None:
    """Each key in the code, and each value that comes from the follower."""
    keys = words()
    for first in re.findall(r"\bword\(([^(),{`]*)", scripts()):
        assert set(re.findall(r'"([^"]*)"', first)) <= keys, first
    for kind in (Result, Status, Mode, FlowKind):
        assert {each.value for each in kind} <= keys, kind
    # What was booked is shown as a trade.
    assert {state.value for state in OrderState} - {"booked"} <= keys


def test_each_row_has_a_sign() -> None:
    """Each result of a signal, what the card makes of one, and each cash flow is drawn, not an empty disc."""
    (drawn,) = re.findall(r"const SIGNS = \{(.*?)\n\};", scripts(), re.DOTALL)
    standings = set(re.findall(r'return "(\w+)"', scripts().split("_standing(", 1)[1].split("return result", 1)[0]))
    assert standings >= {"aligned", "later"}
    assert {*Result, *standings, *(set(FlowKind) - {FlowKind.INITIAL})} <= set(re.findall(r"(\w+):\s+\"", drawn))


def test_no_word_is_left_over() -> None:
    """Each is named in the code, put together by it, or a value that comes from the follower."""
    names = set(re.findall(r"\w+", scripts()))
    built = {f"{name}_{end}" for name in names for end in ENDS} | {f"follows_{kind}" for kind in SourceKind}
    built |= {f"held_by_{each}" for each in HeldBy}
    built |= {f"order_{kind}" for kind in ("market", "limit", "stop_loss", "trailing_stop")}
    values = {each.value for kind in (Result, Status, Mode, FlowKind, OrderState) for each in kind}
    built |= {f"alert_state_{state}" for state in AlertState}
    built |= {f"alert_why_{why}" for why in (*Problem, *Ask, CANCELS, AlertState.UNCHANGED, AlertState.WAITING)}
    built |= {f"why_{explanation}" for explanation in Explanation}
    built |= {f"convert_{result}" for result in Result} | {f"proposed_{kind}" for kind in FlowKind}
    built |= {f"{name}_does" for name in ("sell_now", "stop", "resume")} | {f"undecided_{key}" for key in UNDECIDED}
    assert words() - names - built - values == set()
