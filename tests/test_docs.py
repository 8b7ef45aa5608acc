"""The documentation names everything there is, with the right figures; its links lead somewhere; both languages agree."""

import ast
from pathlib import Path
import re
from typing import Any
from urllib.parse import quote

from homeassistant.const import PERCENTAGE
from homeassistant.util.yaml import load_yaml_dict
import pytest
import voluptuous as vol

from custom_components.calvalot import const, event, forms, llm, sensor, services, webhook
from custom_components.calvalot.condition import CONDITIONS
from custom_components.calvalot.exchanges import EXCHANGES
from custom_components.calvalot.issues import PROBLEMS
from custom_components.calvalot.trading import urls
from custom_components.calvalot.trading.signals import WAITS
from custom_components.calvalot.trading.sizing import Reason
from custom_components.calvalot.trading.sources import push
from custom_components.calvalot.trigger import TRIGGERS

from .markdown import anchors, code, prose, rows, section
from .test_automation_docs import EXAMPLES
from .test_quality_scale import RULES
from .test_translations import DESCRIPTIONS, attribute_names, calls, load, texts

ROOT = Path(__file__).parent.parent
README, FRENCH = ROOT / "README.md", ROOT / "README.fr.md"
REFERENCE = ROOT / "docs/reference.md"
AUTOMATIONS = ROOT / "docs/automations.md"
PUSH = ROOT / "docs/push.md"
QUALITY = ROOT / "docs/quality.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLUEPRINTS = sorted((ROOT / "blueprints/automation/calvalot").glob("*.yaml"))
IMPORT = "https://my.home-assistant.io/redirect/blueprint_import/?blueprint_url="


def table(page: Path, heading: str) -> dict[str, list[str]]:
    """Rows of a section's tables by what their first cells name."""
    return {name: row for row in rows(section(page, heading)) for name in code(row[0])}


def options() -> dict[str, Any]:
    """Defaults of all options; None where there is none."""
    form = forms.options(const.DEFAULT_COINS, const.DEFAULT_QUOTE_ASSET)
    return {
        str(marker): None if isinstance(marker.default, vol.Undefined) else marker.default()
        for section in form.schema.values()
        for marker in section.schema.schema
        if marker != const.CONF_PUSH_URL
    }


def number(text: str) -> float:
    """The first number of a text."""
    match = re.search(r"-?\d[\d,]*(\.\d+)?", text)
    assert match, text
    return float(match[0].replace(",", ""))


# Everything is named


def test_entities() -> None:
    """Each entity has a row, with its unit, and those of a coin that are disabled say so."""
    found = table(REFERENCE, "Entities")
    # The switch, the buttons and the events stand in the second column, after their platform.
    found |= {name: row for row in rows(section(REFERENCE, "Entities")) for name in code(row[1])}
    keys = {description.key for platform in DESCRIPTIONS.values() for description in platform}
    assert found.keys() == {re.sub("^btc_", "<coin>_", key) for key in keys}
    for description in (*sensor.SENSORS, *sensor.coin_sensors("BTC")):
        row = found[re.sub("^btc_", "<coin>_", description.key)]
        unit = "quote" if description.in_quote else description.native_unit_of_measurement
        if unit in {"quote", sensor.EUR, PERCENTAGE}:
            assert row[1] == unit, description.key
        assert ("disabled" in row[2]) == (not description.entity_registry_enabled_default), description.key
        assert set(description.options or ()) <= code(row[2]), description.key
    for description in (*DESCRIPTIONS["binary_sensor"], *DESCRIPTIONS["button"]):
        assert ("diagnostic" in found[description.key][2]) == (description.entity_category is not None), description.key


def test_events() -> None:
    """Each type of an event has a row with its fields, in a table of its kind."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for row in rows(section(REFERENCE, "Events")):
        if row[0].startswith("`calvalot_"):
            kind = kinds.setdefault(row[0].strip("`").removeprefix("calvalot_"), {})
        elif code(row[0]):
            kind.update(dict.fromkeys(code(row[0]), row))
    assert {name: set(types) for name, types in kinds.items()} == {
        description.key: set(description.event_types or ()) for description in (*event.EVENTS, event.OUTSIDE_ALERT)
    }
    for name, types in kinds.items():
        told = set().union(*(code(row[2]) for row in types.values()))
        assert attribute_names(name) <= told, name
    for name, call in calls():
        if name == "alert" and isinstance(call.args[0], ast.Constant):
            alert = str(call.args[0].value)
            assert code(kinds["alert"][alert][2]) == {keyword.arg for keyword in call.keywords}, alert


def test_actions() -> None:
    """Each action has a row with its fields; those that only answer stand in a table of their own."""
    found = table(REFERENCE, "Actions")
    assert {f"calvalot.{action.name}" for action in services.ACTIONS} == found.keys()
    headings = [row for row in rows(section(REFERENCE, "Actions")) if row[0] == "action"]
    assert [row[2] for row in headings] == ["does", "answers"]
    answering = rows(section(REFERENCE, "Actions").partition("| answers |")[2])
    for action in services.ACTIONS:
        row = found[f"calvalot.{action.name}"]
        assert code(row[1]) - {"true"} == {str(field) for field in action.fields}, action.name
        assert (row in answering) == (not action.admin), action.name
    limits = f"`limit` is {services.DEFAULT_LIMIT} unless told, at most {services.MAX_LIMIT:,}"
    assert limits in prose(REFERENCE)


@pytest.mark.parametrize("page", [REFERENCE, README, FRENCH], ids=lambda page: page.name)
def test_options(page: Path) -> None:
    """Each option has a row with its default, and in the reference its range."""
    found = {name: row for name, row in table(page, "Options").items() if row[0] == f"`{name}`"}
    assert found.keys() == options().keys()
    ranges = {item.key: item for item in forms.OPTIONS}
    for name, default in options().items():
        row = found[name]
        if name in ranges:
            if default is None:
                assert row[1] in {"empty", "off", "désactivé", "0.3 % / 0.5 %", "0,3\u00a0% / 0,5\u00a0%"}, name
            else:
                assert number(row[1].replace(",", ".")) == default, name
            if page is REFERENCE:
                assert [number(part) for part in row[2].split(" to ")] == [ranges[name].minimum, ranges[name].maximum]
        elif default is False:
            assert row[1] in {"off", "désactivé"}, name
    assert found["coins"][1].split() == list(const.DEFAULT_COINS)


def test_set_up() -> None:
    """Each field of the set-up is explained, with the figures and defaults of the code."""
    steps = load("translations/en.json")["config"]["step"]
    named = code(section(REFERENCE, "Set-up"))
    for step in ("leader", "exchange", "budget"):
        assert steps[step]["data"].keys() <= named, step
    text = section(REFERENCE, "Set-up")
    assert f"{const.MIN_BUDGET} to {const.MAX_AMOUNT:,}; {const.SUGGESTED_BUDGET:,} is suggested" in text
    addresses = {each.url for each in EXCHANGES.values()} | {*EXCHANGES}
    assert addresses | {const.DEFAULT_QUOTE_ASSET, *const.DEFAULT_COINS} <= named


def test_reasons_and_repairs() -> None:
    """Each reason to leave something out and each repair has a row, and no other has."""
    assert table(REFERENCE, "What a signal comes to").keys() == {reason.value for reason in Reason}
    for name, row in table(REFERENCE, "What a signal comes to").items():
        assert ("tried again" in row[1]) == Reason(name).passing, name
    assert table(REFERENCE, "Repairs").keys() == {problem.key for problem in PROBLEMS}


def test_triggers_and_conditions() -> None:
    """Each trigger and condition has a row with its options, and both READMEs count and name them."""
    for heading, kind, described in (
        ("Triggers", TRIGGERS, load_yaml_dict(str(ROOT / "custom_components/calvalot/triggers.yaml"))),
        ("Conditions", CONDITIONS, load_yaml_dict(str(ROOT / "custom_components/calvalot/conditions.yaml"))),
    ):
        found = table(AUTOMATIONS, heading)
        assert {f"calvalot.{name}" for name in kind} <= found.keys()
        for name in kind:
            assert described[name].get("fields", {}).keys() <= code(found[f"calvalot.{name}"][2]), name
    for page, language, heading, count in (
        (README, "en", "Automations", "Seventeen triggers and four conditions"),
        (FRENCH, "fr", "Automatisations", "Dix-sept déclencheurs et quatre conditions"),
    ):
        assert (len(TRIGGERS), len(CONDITIONS)) == (17, 4)
        texts = load(f"translations/{language}.json")
        listed = [row[1].split(" · ") for row in rows(section(page, heading))[2:4]]
        for names, kind in zip(listed, ("triggers", "conditions"), strict=True):
            assert [name.lower() for name in names] == [text["name"].lower() for text in texts[kind].values()], kind
        assert count in section(page, heading)


def test_push() -> None:
    """Figures of the page on pushes are those of the code, and so is the signature to try another leader on."""
    text = prose(PUSH)
    for figure in (
        f"up to {push.MAX_BODY:,} bytes",
        f"more than {push.FRESHNESS // 60} minutes",
        f"up to {push.MAX_HEARD:,},",
        f"longer than {webhook.BODY_TIMEOUT} seconds",
        f"more often than every {const.PUSH_COOLDOWN} seconds",
        f"reason *{WAITS}*",
    ):
        assert figure in text, figure
    assert {*urls.PRIVATE_DOMAINS} <= code(section(PUSH, "From outside"))
    (jitter,) = [item for item in forms.OPTIONS if item.key == const.CONF_ENTRY_JITTER]
    assert f"`entry_jitter` ({jitter.minimum} to {jitter.maximum} seconds" in text
    given = {row[0]: row[1].strip("`") for row in rows(section(PUSH, "What the leader sends"))}
    own = push.signature(given["secret"], given["time"], given["path"], given["body"].encode())
    assert given["signature"] == own


def test_figures() -> None:
    """The page of figures counts what there is, and names tests that are there."""
    found = {row[0].partition(",")[0]: row for row in rows(prose(QUALITY))}
    done, exempt = (sum(rule["status"] == status for rule in RULES.values()) for status in ("done", "exempt"))
    examples = sum(language != "bash" for language, _ in EXAMPLES)
    steps = len(re.findall(r"^\*\*\d+\.", (ROOT / "docs/first-steps.md").read_text("utf-8"), re.MULTILINE))
    fixable = sum(problem.fixable for problem in PROBLEMS)
    histories = {
        int(count) for count in re.findall(r"CALVALOT_HISTORIES=(\d+)", (ROOT / "scripts/figures").read_text("utf-8"))
    }
    (count,) = histories
    (reckoned,) = re.findall(r"CALVALOT_STATISTICS=(\d+)", (ROOT / "scripts/figures").read_text("utf-8"))
    for name, figures in {
        "Histories reckoned by `pyxirr` and `empyrical-reloaded` too": f"{int(reckoned):,} ",
        "Integration Quality Scale": f"{len(RULES)} rules: {done} done, {exempt} exempt,",
        "Texts of the integration and of the cards": f"{len(texts('en'))} in each language",
        "Random histories": f"{count} of a portfolio at work in each mode, {10 * count:,} books",
        "Blueprints": f"{len(BLUEPRINTS)} of {len(BLUEPRINTS)}",
        "Examples of the documentation": f"{examples} of {examples}",
        "Triggers": f"{len(TRIGGERS)}",
        "Conditions": f"{len(CONDITIONS)}",
        "Actions": f"{len(services.ACTIONS)}",
        "Repairs": f"{len(PROBLEMS)}, of which {fixable} have",
        "Tools for language models": f"{len(llm.TOOLS)} that read, {len(llm.TRADE_TOOLS)} that trade where",
        "A newcomer's way from the clone to the first executed signal": f"{steps} steps",
    }.items():
        assert found.pop(name)[1].startswith(figures), name
    assert found.keys() == {"", "---"}
    assert [name for name in code(prose(QUALITY)) if name.startswith("tests/") and not (ROOT / name).exists()] == []


def test_tools() -> None:
    """Each tool of a language model is named."""
    assert {tool.name for tool in (*llm.TOOLS, *llm.TRADE_TOOLS)} <= code(section(AUTOMATIONS, "Language models"))


@pytest.mark.parametrize("page", [README, FRENCH], ids=lambda page: page.name)
def test_readme_names_the_actions(page: Path) -> None:
    """The READMEs leave no action out."""
    assert {f"calvalot.{action.name}" for action in services.ACTIONS} <= table(page, "Actions").keys()


# One word for one thing

# What was said in other words, and where it may be: names of the exchange, of the code, of the currency rate.
OTHER_WORDS = {
    "en": r"deepest fall|off the leader|what was paid in",
    "fr": r"\btrad(e|es|é|er|ent)\b|négoci|vers(é|ée|és|er|ement|ements)\b|\béchang(e|er|é|ée|és|ées|ent|eait)\b|arrêt sur perte",
}
OTHER_NAMES = r"plateforme d'échange|calvalot[_.]\w+|`[^`]*`|<[^>]*>|\]\([^)]*\)"


@pytest.mark.parametrize("language", OTHER_WORDS)
def test_one_word_for_one_thing(language: str) -> None:
    """Net deposits, maximum drawdown, tracking distance; transaction, dépôt, stop-loss: in cards, entities and pages."""
    said = {**texts(language)}
    if language == "fr":
        said |= {page.name: prose(page) for page in PAGES if page.name.endswith(".fr.md")}
    for where, text in said.items():
        other = re.findall(
            rf".*(?:{OTHER_WORDS[language]}).*", re.sub(OTHER_NAMES, "", text, flags=re.IGNORECASE), re.IGNORECASE
        )
        assert not other, (where, re.search(rf".{{0,40}}({OTHER_WORDS[language]}).{{0,40}}", text, re.IGNORECASE))


# Links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Files, pictures and sections that a page points at are there."""
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", prose(page))
    for link in (one or other for one, other in links):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_found() -> None:
    """No page and no picture of the documentation is without a link to it."""
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for pair in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", prose(page))
        for target in pair
        if target
    }
    assert [
        path.name for path in (ROOT / "docs").rglob("*.*") if path.suffix in {".md", ".png"} and path not in linked
    ] == []


@pytest.mark.parametrize("page", [README, FRENCH, AUTOMATIONS], ids=lambda page: page.name)
@pytest.mark.parametrize("blueprint", BLUEPRINTS, ids=lambda path: path.stem)
def test_blueprints_can_be_imported(blueprint: Path, page: Path) -> None:
    """Each blueprint has a button on the page, which leads to where the blueprint says that it comes from."""
    source = re.search(r"^  source_url: (\S+)$", blueprint.read_text("utf-8"), re.MULTILINE)
    assert source
    repository = load("manifest.json")["documentation"]
    assert source[1] == f"{repository}/blob/main/{blueprint.relative_to(ROOT).as_posix()}"
    assert prose(page).count(f"]({IMPORT}{quote(source[1], safe='')})") == 1


# Two languages


def test_french_readme_says_the_same() -> None:
    """The same sections, tables, code, figures and links, in the same order."""
    english, french = prose(README), prose(FRENCH)
    shape = r"^(#+) |^(- )|^(\d\. )|^(\| *$)"
    assert [match.group() for match in re.finditer(shape, english, re.MULTILINE)] == [
        match.group() for match in re.finditer(shape, french, re.MULTILINE)
    ]
    assert [len(row) for row in rows(english)] == [len(row) for row in rows(french)]
    assert code(french) - code(english) == {"scripts/demo --language fr"}
    assert code(english) - code(french) == set()
    own = {"README.fr.md": "README.md", "docs/first-steps.fr.md": "docs/first-steps.md", "#sécurité": "#safety"}
    own["#votre-propre-répartition-au-lieu-dun-leader"] = "#your-own-allocation-instead-of-a-leader"

    def links(text: str) -> list[str]:
        found = [link.replace("images/fr-", "images/en-") for link in re.findall(r"\]\(([^)\s]+)\)", text)]
        return sorted(own.get(link, link) for link in found)

    assert links(french) == sorted(own.get(link, link) for link in links(english))


def test_french_first_steps_say_the_same() -> None:
    """Step for step, picture for picture."""
    english, french = (ROOT / f"docs/first-steps{end}.md" for end in ("", ".fr"))
    step = r"^\*\*(\d+)\.|\]\(images/..-([\w-]+\.png)\)"
    assert re.findall(step, prose(english), re.MULTILINE) == re.findall(step, prose(french), re.MULTILINE)
    assert "images/en-" not in prose(french)
    assert "images/fr-" not in prose(english)
