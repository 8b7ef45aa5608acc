"""Every text exists in both languages, and nothing is there that nobody shows."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
import json
from pathlib import Path
import re
from string import Formatter
from typing import Any

from homeassistant.const import Platform
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.selector import SelectSelector
from homeassistant.util.yaml import load_yaml_dict
import pytest

from custom_components import calvalot
from custom_components.calvalot import (
    binary_sensor,
    button,
    candle_trigger,
    event,
    forms,
    publisher_flow,
    sensor,
    services,
    switch,
)
from custom_components.calvalot.issues import PROBLEMS
from custom_components.calvalot.kinds import allocation
from custom_components.calvalot.registry import SOURCES
from custom_components.calvalot.selectors import choice
from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.alert import AlertRecord, AlertState, Problem
from custom_components.calvalot.trading.alert_responses import outside_alert
from custom_components.calvalot.trading.backtest import errors
from custom_components.calvalot.trading.events import EventQueue
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.explanation import SAID
from custom_components.calvalot.trading.ledger.records import OrderRecord, SignalRecord, Trade
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.market.followers import Closed
from custom_components.calvalot.trading.snapshot import Status

ROOT = Path(calvalot.__file__).parent
LANGUAGES = ("en", "fr")
PLACEHOLDER = re.compile(r"\{(\w+)\}")

DESCRIPTIONS = {
    "binary_sensor": (*binary_sensor.BINARY_SENSORS, binary_sensor.MARKET_DATA),
    "button": (button.POLL, button.TEST_ALERT, *button.APPROVAL),
    "event": (*event.EVENTS, event.OUTSIDE_ALERT, event.CANDLE),
    "sensor": (*sensor.SENSORS, sensor.FOLLOWERS, *sensor.coin_sensors("BTC")),
    "switch": (switch.PAUSE,),
}


def load(name: str) -> dict[str, Any]:
    """Read a JSON file of the integration."""
    return json.loads((ROOT / name).read_text("utf-8"))


def texts(language: str) -> dict[str, str]:
    """All texts of a language by their dotted keys."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{path}.{key}" if path else key)
        else:
            yield path, value

    return dict(walk(load(f"translations/{language}.json"), ""))


def attribute_names(kind: str) -> set[str]:
    """Attributes of an event entity that have a name, but for the type."""
    return set(load("translations/en.json")["entity"]["event"][kind]["state_attributes"]) - {"event_type"}


def repair_errors() -> set[str]:
    """Errors that the forms of repairs can show."""
    issues = load("translations/en.json")["issues"].values()
    return {key for issue in issues for key in issue.get("fix_flow", {}).get("error", {})}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """All calls in the integration's code, by the name of what is called."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                match node.func:
                    case ast.Name(id=name) | ast.Attribute(attr=name):
                        yield name, node


def test_languages_have_the_same_keys() -> None:
    """A text in one language is there in the other."""
    english, french = (texts(language).keys() for language in LANGUAGES)
    assert english - french == set()
    assert french - english == set()


def test_languages_have_the_same_placeholders() -> None:
    """What a text shows does not depend on the language."""
    english, french = (texts(language) for language in LANGUAGES)
    for key, text in english.items():
        assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(french[key])), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_blank(language: str) -> None:
    """No text is empty, padded or something else than text."""
    for key, text in texts(language).items():
        assert isinstance(text, str), key
        assert text, key
        assert text == text.strip(), key
        assert "  " not in text, key


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_plain(language: str) -> None:
    """What Home Assistant's own checks refuse: markup, addresses, quotes around a value, values where none are filled in."""
    for key, text in texts(language).items():
        assert re.fullmatch(r"[a-z0-9_.]+", key), key
        cv.string_with_no_html(text)
        assert not re.search(r"(https?|ftp|mqtt|socket)s?\d?://|\bwww\.", text), key
        assert not re.search(r"'{\w+}'", text), key
        names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        assert all(name.isidentifier() for name in names), key
        if re.search(r"\.(state|state_attributes)\.", key):
            assert names == [], key


def test_icons_are_plain() -> None:
    """Each is one of Home Assistant's own, and that of a state is another one than the default."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            assert value.get("default") not in value.get("state", {}).values(), value
            for inner in value.values():
                yield from walk(inner)
        else:
            yield value

    icons = list(walk(load("icons.json")))
    assert icons
    assert [icon for icon in icons if not icon.startswith("mdi:")] == []


def test_dependencies_are_named() -> None:
    """Whatever is imported of Home Assistant's other parts is a dependency, a platform of ours, or always there."""
    manifest = load("manifest.json")
    named = {*manifest["dependencies"], *manifest["after_dependencies"], *Platform}
    always = {
        "conversation",
        "persistent_notification",
        "device_automation",
        "homeassistant",
        "system_health",
        "websocket_api",
    }
    ours = {path.stem for path in ROOT.glob("*.py")}
    imported: set[str] = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("homeassistant.components"):
                parts = (node.module or "").split(".")
                imported |= {parts[2]} if len(parts) > 2 else {name.name for name in node.names}
    assert imported >= {"http", "webhook"}
    assert imported - named - always - ours == set()


def test_french_is_not_english() -> None:
    """Sentences were translated."""
    english, french = (texts(language) for language in LANGUAGES)
    assert [key for key, text in english.items() if text.count(" ") > 2 and text == french[key]] == []


def french() -> dict[str, str]:
    """All that is written in French: the translations, the documentation without its code."""
    pages = [ROOT.parents[1] / "README.fr.md", *(ROOT.parents[1] / "docs").glob("*.fr.md")]
    prose = {
        page.name: re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", page.read_text("utf-8"), flags=re.DOTALL)
        for page in pages
    }
    return texts("fr") | prose


def test_french_spaces() -> None:
    """A no-break space (U+00A0) stands before : ; ! ? % € », after «, and inside of large numbers; never another one."""
    found = french()
    assert {"common.card_waiting", "README.fr.md"} <= found.keys()
    for key, text in found.items():
        # The exclamation mark of a picture, the colon of an address, of a time and of YAML are no punctuation.
        prose = re.sub(r"!\[|https?://|\w+:\w+|\(confirm: true\)|\(%\)|\|:?-+", "", text)
        assert re.findall(r".{0,20}(?<![\u00a0!?])[:;!?%€»].{0,9}", prose) == [], key
        assert re.findall(r"«[^\u00a0].{0,20}|\d \d{3}\b", prose) == [], key
        assert "\u202f" not in prose, key


@pytest.mark.parametrize("platform", DESCRIPTIONS)
def test_entities(platform: str) -> None:
    """Each entity has a name and an icon, and nothing else has."""
    keys = {description.translation_key or description.key for description in DESCRIPTIONS[platform]}
    assert set(load("translations/en.json")["entity"][platform]) == keys
    assert set(load("icons.json")["entity"][platform]) == keys


def test_platforms() -> None:
    """There are names and icons for the integration's platforms only."""
    assert set(load("translations/en.json")["entity"]) == DESCRIPTIONS.keys() == set(calvalot.PLATFORMS)
    assert set(load("icons.json")["entity"]) == DESCRIPTIONS.keys()


def test_entity_states() -> None:
    """Each word a sensor or an event can show is translated, and an icon stands for a state that exists."""
    names = load("translations/en.json")["entity"]
    icons = load("icons.json")["entity"]
    for description in DESCRIPTIONS["sensor"]:
        key = description.translation_key or description.key
        options = {str(option) for option in description.options or ()}
        assert set(names["sensor"][key].get("state", ())) == options, key
        assert set(icons["sensor"][key].get("state", ())) <= options, key
    for description in DESCRIPTIONS["event"]:
        types = names["event"][description.key]["state_attributes"]["event_type"]["state"]
        assert set(types) == set(description.event_types or ()), description.key
    for platform in ("binary_sensor", "switch"):
        for key, icon in icons[platform].items():
            assert set(icon.get("state", ())) <= {"on", "off"}, key


def alert_name(argument: ast.expr) -> str | None:
    """The name of an alert; of those that begin with the kind of a source, as a leader's."""
    match argument:
        case ast.Constant(value=str(name)):
            return name
        case ast.JoinedStr(values=[_, ast.Constant(value=str(rest))]):
            return f"leader{rest}"
    return None


def test_alerts() -> None:
    """The follower raises the alerts that the event entity knows, and their details have names."""
    alerts = {
        alert: {keyword.arg for keyword in call.keywords}
        for name, call in calls()
        if name == "alert" and (alert := alert_name(call.args[0]))
    }
    description = next(description for description in event.EVENTS if description.key == "alert")
    assert alerts.keys() == set(description.event_types or ())
    assert attribute_names("alert") == set().union(*alerts.values())


def test_event_attributes() -> None:
    """Whatever a signal or a trade event tells has a name."""
    now = datetime.now(UTC)
    signal = SignalRecord(signal_id="one", seen_at=now)
    journal = EventQueue(Mode.LIVE)
    journal.waiting(signal, responses.preview((), ()) | {"summary": ""}, now)
    (waiting,) = journal.take()
    assert attribute_names("signal") == responses.signal(signal).keys() | waiting.data.keys() - {"type"}
    order = OrderRecord(
        signal_id="one",
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.BUY,
        leg=0,
        attempt=1,
        client_order_id="cv-1",
        quantity=Decimal(1),
        created_at=now,
    )
    trade = Trade(
        time=now,
        signal_id="one",
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.BUY,
        quantity=Decimal(1),
        amount=Decimal(1),
        fees=(),
    )
    told = responses.trade(trade, Mode.LIVE).keys() | responses.failed_order(order, Mode.LIVE).keys()
    assert attribute_names("trade") == told
    closed = Closed("BTCUSDC", TimeFrame.H1, Candle(0, 1.0, 2.0, 0.5, 1.5, 3.0), 0.0)
    assert attribute_names("candle") == candle_trigger.figures("BTC", closed).keys()


def test_outside_alert_attributes() -> None:
    """Whatever the event of an alert from outside tells has a name, and each reason has its words."""
    record = AlertRecord(source="alerts", received_at=datetime.now(UTC), digest="")
    assert attribute_names("outside_alert") == outside_alert(record).keys()
    words = load("translations/en.json")["common"]
    assert {f"card_alert_why_{problem}" for problem in Problem} <= words.keys()
    assert {f"card_alert_state_{state}" for state in AlertState} <= words.keys()


def test_entity_name_placeholders() -> None:
    """Names use the placeholders that the sensors fill: the coin in each of a coin's sensors."""
    for description in DESCRIPTIONS["sensor"]:
        key = description.translation_key or description.key
        placeholders = set(PLACEHOLDER.findall(load("translations/en.json")["entity"]["sensor"][key]["name"]))
        assert placeholders <= {"coin", "quote"}, key
        assert ("coin" in placeholders) == key.startswith("coin_"), key


def test_categories() -> None:
    """There are no others than those that a test looks into, here or with what they belong to."""
    assert load("translations/en.json").keys() == {
        *("config", "config_subentries", "options", "selector", "entity", "services", "exceptions", "issues"),
        # test_trigger.py, test_condition.py, test_device_trigger.py, test_diagnostics.py
        *("triggers", "conditions", "device_automation", "system_health"),
        "common",
    }
    # test_logbook.py, test_intent.py, test_config_flow.py, test_cards.py, test_reports.py, test_backtests.py, test_leading.py, trading/test_strategies.py
    common = load("translations/en.json")["common"]
    starts = (
        "logbook_",
        "answer_",
        "setup_",
        "reason_",
        "problem_",
        "card_",
        "report_",
        "rule_",
        "backtest_",
        "leader_page_",
    )
    assert [key for key in common if not key.startswith(starts)] == []


def test_selectors() -> None:
    """Each choice of a form, a trigger or an action has its words, and no other has."""
    chosen: dict[str, set[str]] = {}

    def collect(select: Any) -> None:
        if "translation_key" in select:
            chosen.setdefault(select["translation_key"], set()).update(select["options"])

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("select"), dict):
                collect(value["select"])
            for inner in value.values():
                walk(inner)

    sections = [section.schema for section in forms.options((), "USDC").schema.values()]
    of_kinds = [kind.form(stored=False) for kind in SOURCES.values()]
    collect(choice(SAID, "explanation").config)
    collect(publisher_flow.VERSION_FIELD.config)
    for schema in (forms.exchange(""), forms.budget("EUR", with_coins=True), forms.scope(), *of_kinds, *sections):
        for selector in schema.schema.values():
            if isinstance(selector, SelectSelector):
                collect(selector.config)
    for name in ("triggers", "conditions", "services"):
        walk(load_yaml_dict(str(ROOT / f"{name}.yaml")))
    translated = load("translations/en.json")["selector"]
    assert {key: set(text["options"]) for key, text in translated.items() if "options" in text} == chosen
    rows = translated["allocation"]["fields"]
    assert set(rows) == {*allocation.ROWS.config["fields"]}


def test_services() -> None:
    """Actions and their fields are the same in the code, services.yaml, the translations and the icons."""
    described = {
        name: set(service["fields"])
        for name, service in load_yaml_dict(str(ROOT / "services.yaml")).items()
        if not name.startswith(".")
    }
    assert described == {
        action.name: {"config_entry_id", *(str(field) for field in action.fields)} for action in services.ACTIONS
    }
    translated = load("translations/en.json")["services"]
    assert described == {name: set(service["fields"]) for name, service in translated.items()}
    assert described.keys() == load("icons.json")["services"].keys()


def strategy_refusals() -> set[str]:
    """Why a strategy may be refused; a word that is not known, with the one that is meant and without."""
    text = "".join(path.read_text("utf-8") for path in (ROOT / "trading" / "strategies").glob("*.py"))
    unknown = set(re.findall(r'"(unknown_\w+)"', text))
    plain = set(re.findall(r'(?:refused|InvalidStrategy)\(\s*"(\w+)"', text))
    ranges = set(re.findall(r'key = "(\w+)" if bounds.whole else "(\w+)"', text)[0])
    return plain | ranges | unknown | {f"{key}_meant" for key in unknown}


def test_exceptions() -> None:
    """Each exception that is raised has its text, there or as an error of a repair, and each text is raised."""
    # A follower that is not active refuses in the name of its status.
    raised = {status.value for status in Status if status is not Status.ACTIVE}
    for name, call in calls():
        if name in {"CommandError", "invalid_input"} and isinstance(call.args[0], ast.Constant):
            raised.add(call.args[0].value)
        elif name.endswith(("Error", "Failed", "NotReady", "send_error")):
            raised |= {
                keyword.value.value
                for keyword in call.keywords
                if keyword.arg == "translation_key" and isinstance(keyword.value, ast.Constant)
            }
    raised |= {
        *allocation.EXCEPTIONS.values(),
        *(f"{each.name}_not_confirmed" for each in services.ACTIONS if each.previews),
        *(f"strategy_{key}" for key in strategy_refusals()),
        *errors.WORDS,
    }
    for language in ("en", "fr"):
        assert all(each.keys() == {"message"} for each in load(f"translations/{language}.json")["exceptions"].values())
    translated = set(load("translations/en.json")["exceptions"])
    assert translated - raised == set()
    assert raised - translated - repair_errors() == set()


def test_issues() -> None:
    """Each repair issue has its text, and each text an issue."""
    translated = load("translations/en.json")["issues"]
    assert set(translated) == {problem.key for problem in PROBLEMS}
    for problem in PROBLEMS:
        assert ("fix_flow" in translated[problem.key]) == problem.fixable, problem.key


# Where the flows and what they ask for are written.
FLOW_FILES = tuple(
    ROOT / name
    for name in (
        "config_flow.py",
        "options_flow.py",
        "const.py",
        "checks.py",
        "forms.py",
        "form_input.py",
        "wallet_setup.py",
    )
)


@pytest.mark.parametrize("part", ["step", "error", "abort", "progress", "create_entry"])
@pytest.mark.parametrize("flow", ["config", "options"])
def test_flow_texts_are_used(flow: str, part: str) -> None:
    """Steps, fields, errors and aborts of the flows are words of their code."""
    words = {
        node.value
        for path in (*FLOW_FILES, *(ROOT / "kinds").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    # Set by Home Assistant's own helpers and by the name of a step's method.
    words |= {"reauth_successful", "reconfigure_successful", "already_configured", "already_in_progress", "init"}
    words |= set(re.findall(r"def async_step_(\w+)", (ROOT / "config_flow.py").read_text("utf-8")))
    words |= {f"{start}{kind}" for start in ("", "reconfigure_") for kind in SOURCES}
    tree = load("translations/en.json").get(flow, {}).get(part, {})
    assert set(tree) - words == set()
    if part == "step":
        for step in tree.values():
            assert set(step.get("sections", {})) - words == set()
            for shown in (step, *step.get("sections", {}).values()):
                assert set(shown.get("data", {})) - words == set()
                assert set(shown.get("data_description", {})) - set(shown.get("data", {})) == set()
