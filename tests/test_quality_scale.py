"""Home Assistant's Integration Quality Scale: every rule is answered, and what a program can check of the answers is."""

import ast
from collections.abc import Iterator
import importlib
import json
from pathlib import Path
import re
import struct
import tomllib
from types import ModuleType
from typing import Any

import homeassistant
from homeassistant import config_entries
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowError
from homeassistant.exceptions import HomeAssistantError, Unauthorized
from homeassistant.helpers import device_registry as dr, entity_registry as er, intent, selector
from homeassistant.helpers.device_registry import DeviceEntryType
from homeassistant.helpers.entity import Entity
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml import load_yaml_dict
import pytest

from custom_components import calvalot
from custom_components.calvalot.config_flow import CalvalotConfigFlow
from custom_components.calvalot.const import DOMAIN, SECRETS
from custom_components.calvalot.coordinator import CalvalotCoordinator
from custom_components.calvalot.entity import CalvalotEntity
from custom_components.calvalot.publishers.announcement import TYPE
from custom_components.calvalot.services import ACTIONS
from custom_components.calvalot.trading.statistics.marks import PERIODS

from .conftest import add_entry, set_up
from .markdown import anchors

FOLDER = Path(calvalot.__file__).parent
ROOT = FOLDER.parents[1]
RULES: dict[str, Any] = load_yaml_dict(str(FOLDER / "quality_scale.yaml"))["rules"]
MANIFEST: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text("utf-8"))
SOURCES = sorted(FOLDER.rglob("*.py"))
# Keys of the entities that are no more than a look behind the scenes, and of those that few want to see.
DIAGNOSTIC = {"leader_connected", "exchange_connected", "market_data", "poll"}
DISABLED = (
    "candle",
    "_quantity",
    "_entry_price",
    "_weight",
    "profit_today",
    *(f"return_{period}" for period in PERIODS),
)


def modules() -> Iterator[tuple[ModuleType, ast.Module]]:
    """All modules of the integration, and their syntax."""
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        yield importlib.import_module(name), ast.parse(path.read_text("utf-8"))


def called(module: ModuleType, call: ast.Call) -> Any:
    """What a call in a module calls, where that is a name of the module or of something in it."""
    match call.func:
        case ast.Name(id=name):
            return getattr(module, name, None)
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return getattr(getattr(module, owner, None), name, None)
    return None


# The list


def test_every_rule_is_answered() -> None:
    """The rules are those that Home Assistant's own integrations answer; each is done or exempt, with a word on it."""
    core = Path(homeassistant.__file__).parent / "components/monzo/quality_scale.yaml"
    assert RULES.keys() == load_yaml_dict(str(core))["rules"].keys()
    assert len(RULES) == 54
    for rule, answer in RULES.items():
        assert answer.keys() == {"status", "comment"}, rule
        assert answer["status"] in {"done", "exempt"}, rule
        assert answer["comment"].strip(), rule


def test_platinum() -> None:
    """The manifest claims what the list says."""
    assert MANIFEST["quality_scale"] == "platinum"
    assert all(answer["status"] in {"done", "exempt"} for answer in RULES.values())


@pytest.mark.parametrize("rule", RULES)
def test_evidence_exists(rule: str) -> None:
    """What a comment points at is there: the file, and the section of a page."""
    for name, section in re.findall(
        r"([\w@./-]+\.(?:py|md|json|yaml|toml|png)|scripts/\w+)(?:#([\w-]+))?", RULES[rule]["comment"]
    ):
        path = next((path for path in (ROOT / name, FOLDER / name) if path.is_file()), None)
        assert path, name
        assert not section or section in anchors(path), f"{name}#{section}"
    if rule.startswith("docs-") and RULES[rule]["status"] == "done":
        assert ".md" in RULES[rule]["comment"]


# Bronze


async def test_action_setup(hass: HomeAssistant) -> None:
    """The actions are there before there is any follower."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert hass.services.async_services_for_domain(DOMAIN).keys() == {action.name for action in ACTIONS}


def test_brands() -> None:
    """The icon comes in both sizes."""
    for name, size in (("icon.png", 256), ("icon@2x.png", 512)):
        data = (FOLDER / "brand" / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert struct.unpack(">II", data[16:24]) == (size, size), name


def test_common_modules() -> None:
    """Whatever is an entity is one of a follower's."""
    entities = [
        thing
        for module, _ in modules()
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Entity) and thing.__module__ == module.__name__
    ]
    assert len(entities) >= len(calvalot.PLATFORMS)
    assert [entity for entity in entities if not issubclass(entity, CalvalotEntity)] == []


@pytest.mark.parametrize(("gate", "percent"), [("--include=", 100), ("", 95)])
def test_coverage_is_demanded(gate: str, percent: int) -> None:
    """The tests fail where the config flow is not covered whole, or the rest is not nearly so."""
    script = (ROOT / "scripts/test").read_text("utf-8")
    assert re.search(rf"coverage report --fail-under={percent}{f' {gate}"\\$exact"' if gate else ''}\n", script)
    assert re.search(r"^exact=\S*config_flow\.py", script, re.MULTILINE)


def test_manifest() -> None:
    """Its keys stand in the order that Home Assistant wants, and what has to be there is."""
    keys = list(MANIFEST)
    assert keys == ["domain", "name", *sorted(keys[2:])]
    assert MANIFEST["domain"] == FOLDER.name
    assert MANIFEST.keys() >= {
        "codeowners",
        "documentation",
        "integration_type",
        "iot_class",
        "issue_tracker",
        "version",
    }
    assert all(MANIFEST[key].startswith("https://") for key in ("documentation", "issue_tracker"))
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])


@pytest.mark.parametrize("name", ["services", "triggers", "conditions"])
def test_descriptions_are_valid(name: str) -> None:
    """What actions, triggers and conditions ask for can be asked."""
    described = {key: each for key, each in load_yaml_dict(str(FOLDER / f"{name}.yaml")).items() if key[0] != "."}
    assert described
    for key, each in described.items():
        assert each.keys() <= {"fields", "target"}, key
        if "target" in each:
            selector.TargetSelector.CONFIG_SCHEMA(each["target"])
        for field in each.get("fields", {}).values():
            assert field.keys() <= {"default", "example", "required", "selector"}, key
            assert None not in field.values(), key
            selector.validate_selector(field["selector"])


def test_dependency_transparency() -> None:
    """What is installed is pinned."""
    assert MANIFEST["requirements"]
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", requirement) for requirement in MANIFEST["requirements"])


async def test_entities(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """Unique ids, names that are translated, categories, what is disabled at first, and the device of all of them."""
    entry = add_entry(hass, entry_data, approval="ask")
    assert await set_up(hass, entry)
    registered = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    assert {entity.domain for entity in registered} == {str(platform) for platform in calvalot.PLATFORMS}
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    assert [device.entry_type for device in devices] == [DeviceEntryType.SERVICE]
    names = json.loads((FOLDER / "translations/en.json").read_text("utf-8"))["entity"]
    for entity in registered:
        key = entity.unique_id.removeprefix(f"{entry.entry_id}_")
        assert key != entity.unique_id
        assert entity.has_entity_name, key
        assert names[entity.domain][entity.translation_key]["name"], key
        assert entity.device_id == devices[0].id, key
        assert (entity.entity_category is EntityCategory.DIAGNOSTIC) == (key in DIAGNOSTIC), key
        assert (entity.disabled_by is er.RegistryEntryDisabler.INTEGRATION) == key.endswith(DISABLED), key
    assert len({entity.unique_id for entity in registered}) == len(registered)


async def test_runtime_data(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """What a follower needs lies in its entry, and nowhere else."""
    entry = add_entry(hass, entry_data)
    assert await set_up(hass, entry)
    assert isinstance(entry.runtime_data, CalvalotCoordinator)
    assert DOMAIN not in hass.data


def test_flows() -> None:
    """There is a way to set up, to change and to authenticate again, and what is the same is not added twice."""
    assert MANIFEST["config_flow"] is True
    for step in ("user", "reconfigure", "reauth", "reauth_confirm"):
        assert hasattr(CalvalotConfigFlow, f"async_step_{step}"), step
    assert CalvalotConfigFlow.async_get_options_flow is not config_entries.ConfigFlow.async_get_options_flow


# Silver


def test_integration_owner() -> None:
    """Somebody looks after it."""
    assert all(owner.startswith("@") for owner in MANIFEST["codeowners"])
    assert MANIFEST["codeowners"]


@pytest.mark.parametrize("platform", calvalot.PLATFORMS)
def test_parallel_updates(platform: str) -> None:
    """Each platform says how many updates may run at a time."""
    assert importlib.import_module(f"{calvalot.__name__}.{platform}").PARALLEL_UPDATES == 0


# Gold


def test_diagnostics() -> None:
    """The diagnostics never take the whole of what an entry stores: whatever they read of it is no secret."""
    path = FOLDER / "diagnostics.py"
    names = {node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)}
    constants = {name for name, value in vars(calvalot.const).items() if value in SECRETS}
    assert len(constants) == len(SECRETS)
    assert not names & constants
    code = re.sub(
        r"entry\.data(\[|\.get\()CONF_EXCHANGE_URL|(type_of|\.address)\(entry\.data\)", "", path.read_text("utf-8")
    )
    assert "entry.data" not in code
    assert "as_dict" not in code


def test_what_is_discovered() -> None:
    """Leaders are found over zeroconf as they announce themselves, and their addresses are not taken up by themselves."""
    announced = MANIFEST.keys() & {"bluetooth", "dhcp", "homekit", "mqtt", "ssdp", "usb", "zeroconf"}
    assert announced == {"zeroconf"}
    assert MANIFEST["zeroconf"] == [TYPE]
    exempt = {rule for rule in RULES if rule.startswith("discovery") and RULES[rule]["status"] == "exempt"}
    assert exempt == {"discovery-update-info"}


def test_exceptions_are_translated() -> None:
    """Whatever error Home Assistant shows names its text; that the text exists is checked with the translations.

    Flows and intents speak otherwise: by the reason of an abort, and in a sentence. Unauthorized is Home Assistant's own.
    """
    found = 0
    for module, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(kind := called(module, node), type):
                continue
            if issubclass(kind, HomeAssistantError) and not issubclass(
                kind, FlowError | Unauthorized | intent.IntentError
            ):
                found += 1
                keywords = {keyword.arg for keyword in node.keywords}
                assert {"translation_domain", "translation_key"} <= keywords, f"{module.__name__}:{node.lineno}"
    assert found >= 3


def test_repair_issues_name_their_text() -> None:
    """An issue is raised in one place, with its translation key."""
    raised = [
        {keyword.arg for keyword in node.keywords}
        for module, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(called(module, node), "__name__", "") == "async_create_issue"
    ]
    assert raised
    assert all({"translation_key", "severity", "is_fixable"} <= keywords for keywords in raised)


# Platinum


def test_websession_is_injected() -> None:
    """No session is made, but by the command that runs without Home Assistant; none of the libraries that block is imported."""
    imported: set[str] = set()
    for module, tree in modules():
        if module.__name__.endswith("trading.backtest.cli"):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    made = name in {"ClientSession", "async_create_clientsession"}
                    assert not made, f"{module.__name__}:{node.lineno}"
                case ast.ImportFrom(module=str(name)):
                    imported.add(name)
                case ast.Import(names=names):
                    imported |= {alias.name for alias in names}
    assert "homeassistant.helpers.aiohttp_client" in imported
    assert not {name.partition(".")[0] for name in imported} & {"requests", "httpx", "urllib3", "http"}


def test_strict_typing() -> None:
    """Types are checked strictly, without a way out."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    assert settings["strict"] is True
    assert "custom_components" in settings["files"]
    assert '"$python" -m mypy\n' in (ROOT / "scripts/test").read_text("utf-8")
    assert [path.name for path in SOURCES if "type: ignore" in path.read_text("utf-8")] == []
