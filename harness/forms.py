"""The forms of the integration, filled in the way an owner does."""

from collections.abc import Mapping, Sequence
import json
from typing import Any
from urllib.parse import urlsplit

from .home import START_TIMEOUT, Home
from .http import ApiError
from .portfolio import BUDGET, COINS, ExchangeAddress, LeaderAddress, keys
from .simulated import Simulator
from .waiting import wait_for

POLL_INTERVAL = 30


def _answers(fields: Sequence[Mapping[str, Any]], changes: Mapping[str, object]) -> dict[str, object]:
    """What somebody sends who changes a few fields of a form and leaves the others as they stand; None empties one."""
    answers: dict[str, object] = {}
    for field in fields:
        name = field["name"]
        if field.get("type") == "expandable":
            answers[name] = _answers(field["schema"], changes)
            continue
        suggestion = (field.get("description") or {}).get("suggested_value", field.get("default"))
        if (answer := changes.get(name, suggestion)) is not None:
            answers[name] = answer
    return answers


def _send(home: Home, flow: Mapping[str, Any], kind: str = "flow", **answers: object) -> Any:
    """Send one form and return the next step; raises ApiError where the form comes back with errors."""
    sent = _answers(flow["data_schema"], answers) if flow["type"] == "form" else answers
    step = home.post(f"config/config_entries/{kind}/{flow['flow_id']}", sent)
    if step.get("errors") or step["type"] == "abort":
        raise ApiError(f"{flow['step_id']}: {step.get('errors') or step['reason']}")
    return step


def add_follower(
    home: Home, leader: LeaderAddress, exchange: ExchangeAddress, *, live: bool, on: str = "binance"
) -> str:
    """Walk the config flow and the options; return the entry's id."""
    account = keys(exchange) if live else {}
    step = home.post("config/config_entries/flow", {"handler": "calvalot"})
    step = _send(home, step, next_step_id="leader")
    step = _send(home, step, leader_url=leader.url, signal_secret=leader.secret)
    mode = "live" if live else "dry_run"
    step = _send(home, step, trading_mode=mode, exchange=on, exchange_url=exchange.url, **account)
    step = _send(home, step, initial_budget=float(BUDGET), coins=list(COINS))
    if live:
        step = _send(home, step)
    entry_id = str(step["result"]["entry_id"])

    wait_for_follower(home, entry_id)

    tune(home, entry_id, poll_interval=POLL_INTERVAL)
    return entry_id


def add_allocation(home: Home, exchange: ExchangeAddress, shares: Mapping[str, float], **fields: object) -> str:
    """Walk the config flow of an own allocation on paper, by hand only unless told otherwise; return the entry's id."""
    step = home.post("config/config_entries/flow", {"handler": "calvalot"})
    step = _send(home, step, next_step_id="allocation")
    rows = [{"coin": coin, "share": share} for coin, share in shares.items()]
    step = _send(home, step, "flow", **{"allocation": rows, "when": [], **fields})
    step = _send(home, step, trading_mode="dry_run", exchange_url=exchange.url)
    step = _send(home, step, initial_budget=float(BUDGET))
    entry_id = str(step["result"]["entry_id"])
    wait_for_follower(home, entry_id)
    return entry_id


def add_wallet(home: Home, exchange: ExchangeAddress, shares: Mapping[str, float], **account: str) -> str:
    """Walk the config flow of a whole account, live and by hand only; ``account`` is its key and secret. Return the entry's id."""
    step = home.post("config/config_entries/flow", {"handler": "calvalot"})
    step = _send(home, step, next_step_id="allocation")
    rows = [{"coin": coin, "share": share} for coin, share in shares.items()]
    step = _send(home, step, allocation=rows, when=[], scope="wallet")
    step = _send(home, step, trading_mode="live", exchange_url=exchange.url, **account)
    step = _send(home, step)
    step = _send(home, step)
    entry_id = str(step["result"]["entry_id"])
    wait_for_follower(home, entry_id)
    return entry_id


def add_alerts(
    home: Home, exchange: ExchangeAddress, *, coins: Sequence[str] | None = None, **fields: object
) -> tuple[str, str, str]:
    """Walk the config flow of alerts on paper; return the entry's id, the path of its webhook and its token."""
    step = home.post("config/config_entries/flow", {"handler": "calvalot"})
    step = _send(home, step, next_step_id="alerts")
    step = _send(home, step, "flow", **fields)
    made = {field["name"]: field["description"]["suggested_value"] for field in step["data_schema"]}
    step = _send(home, step)
    step = _send(home, step, trading_mode="dry_run", exchange_url=exchange.url)
    budget: dict[str, object] = {"initial_budget": float(BUDGET)}
    if coins:
        budget["coins"] = list(coins)
    step = _send(home, step, "flow", **budget)
    entry_id = str(step["result"]["entry_id"])
    wait_for_follower(home, entry_id)
    return entry_id, urlsplit(made["address"]).path, json.loads(made["message"])["token"]


def let_follow(home: Home, entry_id: str, **fields: object) -> str:
    """Walk the form that lets somebody follow a portfolio over HTTP; return the link, on loopback."""
    step = home.post("config/config_entries/subentries/flow", {"handler": [entry_id, "publisher"]})
    step = _send(home, step, "subentries/flow", next_step_id="http")
    step = _send(home, step, "subentries/flow", **{"follower": "Alice", **fields})
    made = {
        field["name"]: field["description"]["suggested_value"]
        for field in step["data_schema"]
        if "description" in field
    }
    _send(home, step, "subentries/flow")
    # The form shows the address by which the network knows this machine.
    url, _, proof = str(made["link"]).partition("#")
    return f"{home.url}{urlsplit(url).path}#{proof}"


def tune(home: Home, entry_id: str, **options: object) -> Any:
    """Change options of a follower and wait until it runs with them; return the form as it was shown."""
    step = home.post("config/config_entries/options/flow", {"handler": entry_id})
    _send(home, step, "options/flow", **options)
    wait_for_follower(home, entry_id)
    return step


def reconfigure(home: Home, entry_id: str, **exchange: object) -> None:
    """Change what the exchange is asked with, and wait until the follower runs with it; raises ApiError."""
    step = home.post("config/config_entries/flow", {"handler": "calvalot", "entry_id": entry_id})
    step = _send(home, step, next_step_id="exchange")
    step = home.post(f"config/config_entries/flow/{step['flow_id']}", _answers(step["data_schema"], exchange))
    if step.get("reason") != "reconfigure_successful":
        raise ApiError(f"{step['type']}: {step.get('errors') or step.get('reason')}")
    wait_for_follower(home, entry_id)


def let_push(home: Home, leader: Simulator, entry_id: str) -> None:
    """Let the leader push its signals to a follower from now on."""
    form = tune(home, entry_id, push=True)
    # The form shows the address by which the network knows this machine; here everything is on loopback.
    path = urlsplit(form["description_placeholders"]["push_url"]).path
    leader.control("set_webhooks", urls=[f"{home.url}{path}"])


def wait_for_follower(home: Home, entry_id: str) -> None:
    """Wait until the follower is loaded; raises ApiError when its set-up fails."""

    def loaded() -> bool:
        states = {entry["entry_id"]: entry for entry in home.get("config/config_entries/entry?domain=calvalot")}
        match states[entry_id]["state"]:
            case "loaded":
                return True
            case "not_loaded" | "setup_in_progress" | "unload_in_progress":
                return False
            case state:
                raise ApiError(f"the follower's set-up ended in {state}: {states[entry_id]['reason']}")

    wait_for(loaded, "the follower", patience=START_TIMEOUT)


def entities(home: Home, entry_id: str) -> dict[str, str]:
    """Entity ids of a follower by the keys of its entities; only those that are enabled."""
    (registry,) = home.commands({"type": "config/entity_registry/list"})
    return {
        entity["unique_id"].removeprefix(f"{entry_id}_"): entity["entity_id"]
        for entity in registry
        if entity["config_entry_id"] == entry_id and entity["disabled_by"] is None
    }
