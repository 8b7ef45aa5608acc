"""The examples of the documentation: loaded as they stand there, and run."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
import re
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import parse_yaml
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed, async_mock_service
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.calvalot.condition import CONDITIONS
from custom_components.calvalot.const import DOMAIN, EXAMPLE_LEADER_URL
from custom_components.calvalot.trading.strategies import template
from custom_components.calvalot.trading.strategies.reader import read_strategy
from custom_components.calvalot.trading.strategies.script import read_script
from custom_components.calvalot.trading.strategies.script_run import tried
from custom_components.calvalot.trigger import TRIGGERS
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import entity_id, poll, state_of
from .market import followed, minutes, until

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/automations.md").read_text("utf-8")
# Language and text of each; those for the shell are what the tests of the demo and of the scripts start.
EXAMPLES: list[tuple[str, str]] = [
    example
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
    for example in re.findall(r"^```(.*?)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
]
BLOCKS: list[Any] = [parse_yaml(example) for language, example in EXAMPLES if language == "yaml"]
# As one file of the automation editor, or as a part of the configuration.
AUTOMATIONS: dict[str, Any] = {
    automation["alias"]: automation
    for block in BLOCKS
    if "triggers" in block or "automation" in block
    for automation in block.get("automation", [block])
}
SENTENCES = next(block for block in BLOCKS if "intents" in block)
CONVERSION, BLENDED = (
    next(block for block in BLOCKS if "action" in block and block["action"] == f"calvalot.{name}")
    for name in ("convert", "run_backtest")
)
PROMETHEUS = next(block for block in BLOCKS if "prometheus" in block)
ALERT = next(block for block in BLOCKS if isinstance(block, list))
STRATEGY = next(example for language, example in EXAMPLES if language == "yaml" and "\nenter:" in example)
PUSH, IN_PYTHON = (example for language, example in EXAMPLES if language == "python")


# What the set-up calls a dry run that follows the leader of the examples.
TITLE = f"Calv-a-lot {URL(EXAMPLE_LEADER_URL).host} (dry run)"


@pytest.fixture
def entry(hass: HomeAssistant, entry_data: dict[str, Any]) -> MockConfigEntry:
    """A dry run with the name that the set-up gives."""
    return add_entry(hass, entry_data, title=TITLE)


async def run(hass: HomeAssistant, alias: str, notify: str = "mobile_app_my_phone") -> list[ServiceCall]:
    """Set an example up; returns the notifications that it sends."""
    calls = async_mock_service(hass, "notify", notify)
    assert await async_setup_component(hass, "automation", {"automation": [AUTOMATIONS[alias]]})
    await hass.async_block_till_done()
    assert [state.state for state in hass.states.async_all("automation")] == ["on"]
    return calls


def test_complete() -> None:
    """Each trigger and each condition is explained."""
    assert {f"calvalot.{name}" for name in (*TRIGGERS, *CONDITIONS)} <= set(re.findall(r"`(calvalot\.\w+)`", TEXT))


async def test_entity_ids(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Wherever the documentation names an entity, a portfolio that was just set up has it."""
    assert await set_up(hass, entry)
    pages = [page.read_text("utf-8") for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]]
    pages += [page.read_text("utf-8") for page in (ROOT / "blueprints").rglob("*.yaml")]
    named = {found for page in pages for found in re.findall(r"\b[a-z_]+\.calv_a_lot\w+", page)}
    assert len(named) > 8
    assert named <= set(hass.states.async_entity_ids())


def test_every_example_is_run() -> None:
    """Each automation is run by a test here, and there is no other YAML or Python than what is tried; `conf` is a broker's."""
    source = Path(__file__).read_text("utf-8")
    assert [alias for alias in AUTOMATIONS if f'"{alias}"' not in source] == []
    others = [block for block in BLOCKS if not ("triggers" in block or "automation" in block)]
    assert others == [SENTENCES, BLENDED, CONVERSION, PROMETHEUS, ALERT, parse_yaml(STRATEGY)]
    assert [example for language, example in EXAMPLES if language not in {"yaml", "bash", "conf"}] == [PUSH, IN_PYTHON]


async def test_blended_backtest(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What a backtest of two sources is asked for is taken as it stands."""
    assert await set_up(hass, entry)
    schema = hass.services.async_services()[DOMAIN]["run_backtest"].schema
    assert schema
    data = schema({**BLENDED["data"], "config_entry_id": entry.entry_id})
    assert [each.get("weight") for each in data["sources"]] == [60, 40]


def test_strategy() -> None:
    """The example is read as it stands."""
    strategy = read_strategy(STRATEGY)
    assert (strategy.name, strategy.defaults) == ("Averages crossing", {"short": 20})


def test_strategy_in_python() -> None:
    """The template is shown as it is handed out, and decides."""
    assert Path(template.__file__).read_text("utf-8").replace("  # noqa: RUF012", "") == IN_PYTHON
    script = read_script(IN_PYTHON)
    assert (script.name, script.values({})) == ("Above its average", {"size": 100})
    assert tried(script, ("BTC", "ETH"), script.time_frame, script.values({})) is None


@pytest.mark.parametrize(
    ("alias", "text"),
    [
        ("Tell me about each purchase", r"Bought 0\.\d+ BTC at \d+\.\d+"),
        ("M'annoncer chaque achat", r"Acheté 0\.\d+ BTC à \d+\.\d+"),
    ],
)
async def test_readme(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, alias: str, text: str
) -> None:
    """A purchase is told, a sale is not."""
    assert await set_up(hass, entry)
    calls = await run(hass, alias, "notify")
    leader.publish_v2({"BTC": "0.5"})
    await poll(hass, entry)
    leader.publish_v2({"BTC": "0.1"})
    await poll(hass, entry)
    _, bought = await entry.runtime_data.engine.queries.trades()
    (message,) = [call.data["message"] for call in calls]
    assert re.fullmatch(text, message)
    assert bought["quantity"] in message


async def test_big_move(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """A quarter of an hour in which the price jumps is told, a quiet one is not."""
    assert await set_up(hass, entry)
    calls = await run(hass, "Big move")
    await until(hass, lambda: followed(exchange) == {"btcusdc@kline_15m"})
    await until(hass, lambda: entry.runtime_data.market.stream.connected)
    exchange.advance(900 - exchange.server_time / 1000 % 900 + 1)
    await exchange.streams.flush()
    price = exchange.price("BTCUSDC")
    exchange.set_price("BTCUSDC", price)
    exchange.advance(60)
    exchange.set_price("BTCUSDC", price * Decimal("1.05"), gap=True)
    await minutes(exchange, 32)
    await until(hass, lambda: calls)
    (message,) = [call.data["message"] for call in calls]
    assert re.fullmatch(r"BTC \+[45]\.\d %, now \d+\.\d+\.", message)
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_a_backtest_is_over(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Whatever became of it: here there were no candles."""
    assert await set_up(hass, entry)
    calls = await run(hass, "A backtest is over")
    data = {"strategy": "long_trend", "from": "2001-01-01", "until": "2001-06-01", "name": "Mine"}
    await hass.services.async_call("calvalot", "run_backtest", data, blocking=True)
    await until(hass, lambda: calls)
    assert [call.data["title"] for call in calls] == ["Mine: failed"]


@pytest.mark.parametrize(("day", "deposits"), [(1, 2), (2, 1)])
async def test_monthly_savings(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, day: int, deposits: int
) -> None:
    """On the first of a month 50 EUR are paid in, on other days nothing is."""
    now = dt_util.now().replace(day=20)
    freezer.move_to((now + timedelta(days=15)).replace(day=day, hour=8, minute=59, second=59, microsecond=0))
    assert await set_up(hass, entry)
    await run(hass, "Monthly savings")
    freezer.tick(timedelta(seconds=1))
    async_fire_time_changed(hass, dt_util.utcnow())
    await hass.async_block_till_done()
    flows = await entry.runtime_data.engine.queries.cash_flows()
    assert [flow["note"] for flow in flows] == ["Monthly savings", ""][2 - deposits :]
    assert entry.runtime_data.data.net_deposits == 950 + 50 * deposits
    await hass.services.async_call("automation", "turn_off", {"entity_id": "all"}, blocking=True)


async def test_bitcoin_on_mondays(hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory) -> None:
    """On a Monday bitcoin is bought and protected, on other days nothing is."""
    now = dt_util.now()
    sunday = now + timedelta(days=6 - now.weekday())
    freezer.move_to(sunday.replace(hour=8, minute=59, second=59, microsecond=0))
    assert await set_up(hass, entry)
    await run(hass, "Buy bitcoin on Mondays")
    for bought in (0, 1):
        freezer.tick(timedelta(seconds=1))
        async_fire_time_changed(hass, dt_util.utcnow())
        await hass.async_block_till_done()
        assert len(await entry.runtime_data.engine.queries.trades()) == bought
        freezer.tick(timedelta(days=1, seconds=-1))
    assert {order.signal_id for order in entry.runtime_data.data.resting} == {"protection"}
    await hass.services.async_call("automation", "turn_off", {"entity_id": "all"}, blocking=True)


@pytest.mark.parametrize(
    ("targets", "message"), [({"BTC": "0.1"}, r"SELL 0\.\d+ BTCUSDC"), ({"BTC": "0.5"}, "Nothing to trade.")]
)
async def test_what_would_it_do(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, targets: dict[str, str], message: str
) -> None:
    """Who pauses a follower is told what it is kept from."""
    leader.publish_v2({"BTC": "0.5"})
    assert await set_up(hass, entry)
    calls = await run(hass, "What would it do")
    leader.publish_v2(targets)
    pause = {"entity_id": entity_id(hass, entry, "switch", "pause")}
    await hass.services.async_call("switch", "turn_on", pause, blocking=True)
    await hass.async_block_till_done()
    (call,) = calls
    assert re.fullmatch(message, call.data["message"])


async def test_prometheus(hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator) -> None:
    """The exporter takes the example, and tells what the table and the alert beside it name."""
    assert await async_setup_component(hass, "prometheus", PROMETHEUS)
    assert await set_up(hass, entry)
    client = await hass_client()
    text = await (await client.get("/api/prometheus")).text()
    named = re.findall(
        r"(homeassistant_\w+)(?:\{entity=\"([\w.]+)\"\})?", (ROOT / "docs/history.md").read_text("utf-8")
    )
    assert len(named) >= 6
    (rule,) = ALERT
    assert rule["expr"].endswith(" == 0")
    for metric, name in named:
        assert re.search(rf'^{metric}{{.*entity="{re.escape(name)}', text, re.MULTILINE), (metric, name)


async def test_push(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    leader: LeaderSimulator,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """A leader that pushes as it stands there is heard; with another secret it is not."""
    entry = add_entry(hass, entry_data, push=True)
    assert await set_up(hass, entry)
    client = await hass_client_no_auth()
    form = await hass.config_entries.options.async_init(entry.entry_id)
    shown = form["description_placeholders"]["push_url"]
    address = str(client.make_url(URL(shown).path))
    code: dict[str, Any] = {}
    exec(PUSH, code)
    await asyncio.sleep(1)  # nothing from the second of the start is heard
    leader.publish_v2({"BTC": "0.5"})
    for secret, heard in (("wrong", False), (leader.secret, True)):
        assert await hass.async_add_executor_job(code["push"], address, secret, "signal-1") is heard
        await hass.async_block_till_done()
        assert len(await entry.runtime_data.engine.queries.trades()) == heard


async def test_each_trade(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Each trade is told once."""
    assert await set_up(hass, entry)
    calls = await run(hass, "Each trade")
    leader.publish_v2({"BTC": "0.5", "ETH": "0.3"})
    await poll(hass, entry)
    leader.publish_v2({"BTC": "0.5"})
    await poll(hass, entry)
    assert [call.data["title"] for call in calls] == ["Bought BTC", "Bought ETH", "Sold ETH"]
    assert re.fullmatch(r"0\.\d+ BTC at \d+\.\d+ \(on paper\)", calls[0].data["message"])


async def test_ten_per_cent(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A profit of more than ten per cent is told once."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await run(hass, "Ten per cent")
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal("1.2"))
    await poll(hass, entry, 2)
    percent = state_of(hass, entry, "sensor", "profit_loss_percent").state
    assert [call.data["message"] for call in calls] == [f"Copy trading is {percent} % up."]


@pytest.mark.parametrize("paused", [False, True])
async def test_stop_at_a_loss(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator, paused: bool
) -> None:
    """A loss of more than 100 EUR pauses, unless it is paused."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await run(hass, "Stop at a loss")
    await entry.runtime_data.engine.commands.pause(paused=paused)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal("0.8"))
    await poll(hass, entry)
    assert state_of(hass, entry, "switch", "pause").state == "on"
    assert len(calls) == (0 if paused else 1)


async def test_trouble(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A lost leader and death are told with what is known of them."""
    entry = add_entry(hass, entry_data | {"initial_budget": 20.0}, title=TITLE)
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await run(hass, "Trouble")
    leader.misbehave("status", None)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 10)
    await poll(hass, entry, 3)
    assert sorted(call.data["message"].strip() for call in calls) == [
        "It is dead: nothing is traded any more.",
        "The leader does not answer. the leader answered with status 503",
    ]


async def test_every_evening(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Value and weights are told in the evening, while the leader answers."""
    leader.publish_v2({"BTC": "0.5", "ETH": "0.3"})
    assert await set_up(hass, entry)
    calls = await run(hass, "Every evening")
    evening = dt_util.now().replace(hour=20, minute=0, second=0, microsecond=0) + timedelta(days=1)
    async_fire_time_changed(hass, evening)
    await hass.async_block_till_done()
    assert len(calls) == 1
    assert re.fullmatch(r"\d{3}\.\d+ EUR", calls[0].data["title"])
    assert re.fullmatch(r"BTC (49|50)\.\d %, ETH (29|30)\.\d %", calls[0].data["message"])
    leader.misbehave("status", None)
    await poll(hass, entry)
    async_fire_time_changed(hass, evening + timedelta(days=1))
    await hass.async_block_till_done()
    assert len(calls) == 1
    await hass.services.async_call("automation", "turn_off", {"entity_id": "all"}, blocking=True)


@pytest.fixture
def _own_sentences(hass: HomeAssistant) -> None:
    """The example of own sentences, where its reader would put it."""
    path = Path(hass.config.path("custom_sentences", SENTENCES["language"], "calvalot.yaml"))
    path.parent.mkdir(parents=True)
    path.write_text(next(block for _, block in EXAMPLES if "intents:" in block), "utf-8")


@pytest.mark.usefixtures("_own_sentences")
async def test_own_sentence(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """A sentence of one's own leads to the intent, in a language that Calv-a-lot does not speak."""
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "conversation", {})
    assert await set_up(hass, entry)
    (sentence,) = SENTENCES["intents"]["CalvalotPortfolio"]["data"][0]["sentences"]
    result: Any = await hass.services.async_call(
        "conversation", "process", {"text": f"{sentence}?", "language": "de"}, blocking=True, return_response=True
    )
    assert result["response"]["speech"]["plain"]["speech"].startswith(f"{TITLE}: the portfolio is worth")
