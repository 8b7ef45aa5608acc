"""Backtests in Home Assistant: a process of their own, one at a time, ended within a second, told after a restart."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
import json
import os
from pathlib import Path
import signal
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.calvalot import backtest_actions
from custom_components.calvalot.backtest_spec import async_spec
from custom_components.calvalot.backtests import KEY, Backtests, async_backtests, backtests_folder
from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.trading.backtest import checks
from custom_components.calvalot.trading.backtest.data import simulated
from custom_components.calvalot.trading.backtest.fetch import store_at
from custom_components.calvalot.trading.backtest.kept import Kept, State
from custom_components.calvalot.trading.backtest.spec import prepare
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.binance_client import host_of
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.market.store import Series
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .automations import automate
from .conftest import set_up
from .test_allocation import portfolio as allocation_portfolio
from .test_python_strategies import portfolio as python_portfolio, write as write_python
from .test_strategies import closed

DAY = 86_400
RULES = (
    "name: Mine\ntime_frame: 1h\nparameters:\n  short: {default: 5, minimum: 2, maximum: 20}\n"
    "indicators:\n  fast: {type: sma, length: short}\n  slow: {type: sma, length: 20}\n"
    "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\n"
)


def history(hass: HomeAssistant, exchange: ExchangeSimulator, days: int = 60, coin: str = "BTC") -> None:
    """Have so many days of candles in the store, up to now."""
    now = int(dt_util.utcnow().timestamp()) // 3600 * 3600
    candles = [*simulated(1, coin, TimeFrame.H1, now - days * DAY, now)]
    series = Series(host_of(exchange.url), f"{coin}USDC", TimeFrame.H1)
    store_at(Path(hass.config.path(".cache", DOMAIN, "backtests.db"))).write([(series, each) for each in candles], now)


def day(days: int) -> str:
    """So many days ago."""
    return (dt_util.now() - timedelta(days=days)).date().isoformat()


async def ask(hass: HomeAssistant, action: str, **data: Any) -> dict[str, Any]:
    """What an action answers."""
    answer = await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True)
    assert isinstance(answer, dict)
    return answer


async def over(hass: HomeAssistant) -> dict[str, Any]:
    """The latest backtest, once it is over."""
    for _ in range(6000):
        latest = (await ask(hass, "get_backtests"))["backtests"][0]
        if State(latest["state"]).is_over:
            return latest
        await asyncio.sleep(0.05)
    raise AssertionError(latest)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something."""
    for _ in range(1200):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError


async def test_to_its_end(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """It is begun, done in another process, kept, answered again from what is kept, and an automation hears of it."""
    assert await set_up(hass, entry)
    history(hass, exchange)
    target = {"device_id": [entry.runtime_data.device_id]}
    calls = await automate(hass, {"triggers": {"trigger": "calvalot.backtest_finished", "target": target, "id": "x"}})
    said = {"rules": RULES, "from": day(30), "parameters": {"short": 4}, "name": "First", "slippage": 0.1}
    begun = await ask(hass, "run_backtest", **said)
    assert (begun["state"], begun["name"], begun["portfolio"]) == ("loading", "First", entry.entry_id)
    latest = await over(hass)
    assert latest["state"] == "done", latest
    assert latest["verdict"]
    assert latest["figures"]["trades"] > 5
    assert latest["findings"]
    await hass.async_block_till_done()
    assert [call.data["id"] for call in calls] == ["x"]
    (one,) = (await ask(hass, "get_backtests", backtest=latest["id"], whole=True))["backtests"]
    result = one["result"]
    assert result["figures"]["trades"] == latest["figures"]["trades"]
    assert result["spec"]["sources"][0]["parameters"] == {"short": 4}
    assert result["equity"]
    assert result["trades"]
    again = await ask(hass, "run_backtest", **said)
    assert (again["id"], again["state"]) == (latest["id"], "done")
    assert KEY in hass.data


async def test_refused(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """A plain reason before anything is begun."""
    assert await set_up(hass, entry)
    for said, key in (
        ({}, "backtest_what"),
        ({"strategy": "none"}, "backtest_strategy"),
        ({"strategy": "mine.py"}, "backtest_strategy"),
        ({"strategy": "macd", "rules": RULES}, "backtest_what"),
        ({"strategy": "macd", "sources": [{"strategy": "macd"}]}, "backtest_what"),
        ({"sources": [{"weight": 10}]}, "backtest_what"),
        ({"source": "nobody"}, "source_unknown"),
        ({"source": "leader"}, "backtest_no_signals"),
        ({"sources": [{"allocation": {"BTC": 100}, "weight": 60}, {"rules": RULES, "weight": 50}]}, "backtest_weights"),
        ({"sources": [{"allocation": {"BTC": 100}, "weight": 100}, {"rules": RULES}]}, "backtest_weights"),
        ({"sources": [{"rules": RULES}, {"rules": RULES.replace("1h", "4h")}]}, "backtest_frames"),
        ({"rules": RULES, "walk_forward": 2}, "backtest_no_sweep"),
        ({"rules": RULES, "sweep": {"short": "a:b"}}, "backtest_sweep"),
        ({"rules": RULES, "sweep": {"short": [1] * 101, "x": [2] * 100}}, "backtest_too_many"),
        ({"allocation": {"BTC": 100}, "sweep": {"short": [3, 4]}}, "backtest_sweep_strategy"),
        ({"rules": "enter: 1"}, "backtest_strategy"),
        ({"rules": RULES, "from": day(-2)}, "backtest_range"),
        ({"rules": RULES, "from": day(2), "until": day(5)}, "backtest_range"),
        ({"rules": RULES, "coin": ["NONE"]}, "backtest_no_rules"),
    ):
        with pytest.raises(ServiceValidationError) as caught:
            await ask(hass, "run_backtest", **said)
        assert caught.value.translation_key == key, said
    for action, said, key in (
        ("abort_backtest", {}, "backtest_not_running"),
        ("get_backtests", {"backtest": "0" * 16}, "backtest_unknown"),
    ):
        with pytest.raises(ServiceValidationError) as caught:
            await ask(hass, action, **said)
        assert caught.value.translation_key == key
    await exchange.stop()
    with pytest.raises(HomeAssistantError) as failed:
        await ask(hass, "run_backtest", rules=RULES)
    assert failed.value.translation_key == "no_candles"
    assert (await ask(hass, "get_backtests"))["backtests"] == []


async def test_what_fails_says_why(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """No candles in that time, a number that does not fit; nothing but the reason is kept, and the next one may begin."""
    assert await set_up(hass, entry)
    for said, words in (
        ({"from": day(900), "until": day(880)}, "no candles"),
        ({"parameters": {"other": 1}}, "no parameter other"),
        ({"parameters": {"short": 50}}, "short"),
    ):
        await ask(hass, "run_backtest", rules=RULES, **said)
        latest = await over(hass)
        assert latest["state"] == "failed"
        assert words in latest["problem"], latest
        assert latest["problem_key"].startswith("backtest_")
        assert Kept(backtests_folder(hass)).result(latest["id"]) is None


async def test_one_at_a_time_and_ended_within_a_second(
    hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """A second one is refused while the first runs; ended it is over at once, and nothing of it is left."""
    assert await set_up(hass, entry)
    history(hass, exchange, 380)
    begun = await ask(hass, "run_backtest", rules=RULES, **{"from": day(360)})
    with pytest.raises(ServiceValidationError) as caught:
        await ask(hass, "run_backtest", rules=RULES)
    assert caught.value.translation_key == "backtest_running"
    manager = async_backtests(hass)
    for call in (manager.async_delete(begun["id"]), manager.async_rename(begun["id"], "x")):
        with pytest.raises(Exception, match="backtest_"):
            await call
    states: set[str] = set()
    for _ in range(1200):
        latest = (await ask(hass, "get_backtests"))["backtests"][0]
        states.add(latest["state"])
        if latest["state"] == "running":
            break
        await asyncio.sleep(0.02)
    assert "running" in states
    ended = await ask(hass, "abort_backtest", backtest=begun["id"])
    assert ended["state"] == "aborted"
    assert ended["ended"]
    assert Kept(backtests_folder(hass)).result(begun["id"]) is None
    assert (await over(hass))["state"] == "aborted"


async def test_ended_while_it_loads(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Before there is any process."""
    assert await set_up(hass, entry)
    exchange.fault("hang", method="GET", path="/klines", count=None)
    await ask(hass, "run_backtest", rules=RULES, **{"from": day(30)})
    await asyncio.sleep(0.2)
    assert (await ask(hass, "abort_backtest"))["state"] == "aborted"


async def test_killed(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Its process is killed from outside: it failed, and says so; Home Assistant goes on."""
    assert await set_up(hass, entry)
    history(hass, exchange, 380)
    await ask(hass, "run_backtest", rules=RULES, **{"from": day(360)})
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    manager = async_backtests(hass)
    found: list[int] = []

    def running() -> bool:
        found[:] = [
            int(child)
            for child in children.read_text().split()
            if b"backtest.job" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        return bool(found)

    await until(running)
    os.kill(found[0], signal.SIGKILL)
    latest = await over(hass)
    assert (latest["state"], latest["problem_key"]) == ("failed", "backtest_killed")
    assert manager.kept.result(latest["id"]) is None
    assert entry.runtime_data.engine.snapshot


async def test_told_after_a_restart(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Home Assistant stops in the middle: the process ends with it, and the next start says that it was interrupted."""
    assert await set_up(hass, entry)
    history(hass, exchange, 380)
    begun = await ask(hass, "run_backtest", rules=RULES, **{"from": day(360)})
    await asyncio.sleep(0.3)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    kept = Kept(backtests_folder(hass))
    run = kept.run(begun["id"])
    assert run
    assert not run.state.is_over
    again = Backtests(hass)
    await again.async_recover()
    run = kept.run(begun["id"])
    assert run
    assert run.state is State.INTERRUPTED


async def test_renamed_and_deleted(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """What is over may be called otherwise, and go."""
    assert await set_up(hass, entry)
    history(hass, exchange, 40)
    await ask(hass, "run_backtest", rules=RULES, **{"from": day(20)})
    latest = await over(hass)
    manager = async_backtests(hass)
    assert (await manager.async_rename(latest["id"], "Other")).name == "Other"
    assert (await ask(hass, "get_backtests"))["backtests"][0]["name"] == "Other"
    await manager.async_delete(latest["id"])
    assert (await ask(hass, "get_backtests"))["backtests"] == []
    for call in (manager.async_delete(latest["id"]), manager.async_rename(latest["id"], "x")):
        with pytest.raises(Exception, match="backtest_unknown"):
            await call


async def test_asked_by_a_card(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    exchange: ExchangeSimulator,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
) -> None:
    """An administrator gives one another name and deletes it; nobody else does, and a wrong id has its reason."""
    assert await set_up(hass, entry)
    history(hass, exchange, 40)
    await ask(hass, "run_backtest", rules=RULES, **{"from": day(20)})
    run_id = (await over(hass))["id"]
    rename = {"type": "calvalot/rename_backtest", "backtest": run_id, "name": "Other"}
    delete = {"type": "calvalot/delete_backtest", "backtest": run_id}
    guest = await hass_ws_client(hass, hass_read_only_access_token)
    for message in (rename, delete):
        await guest.send_json_auto_id(message)
        assert (await guest.receive_json())["error"]["code"] == "unauthorized"
    client = await hass_ws_client(hass)
    await client.send_json_auto_id(rename)
    assert (await client.receive_json())["success"]
    assert (await ask(hass, "get_backtests"))["backtests"][0]["name"] == "Other"
    await client.send_json_auto_id(delete)
    assert (await client.receive_json())["success"]
    for message in (rename, delete):
        await client.send_json_auto_id(message)
        assert (await client.receive_json())["error"]["translation_key"] == "backtest_unknown"


async def test_a_folder_that_cannot_be_written(
    hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator
) -> None:
    """The reason is plain, and nothing runs."""
    assert await set_up(hass, entry)
    folder = backtests_folder(hass)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")
    with pytest.raises(HomeAssistantError) as caught:
        await ask(hass, "run_backtest", rules=RULES)
    assert caught.value.translation_key == "backtest_disk"


async def test_who_may(hass: HomeAssistant, entry: MockConfigEntry, hass_read_only_user: MockUser) -> None:
    """Only administrators begin and end one; everybody in the house may look."""
    assert await set_up(hass, entry)
    from homeassistant.core import Context

    context = Context(user_id=hass_read_only_user.id)
    for action in ("run_backtest", "abort_backtest"):
        with pytest.raises(Unauthorized):
            await hass.services.async_call(
                DOMAIN, action, {"rules": RULES} if action == "run_backtest" else {}, blocking=True, context=context
            )
    answer = await hass.services.async_call(
        DOMAIN, "get_backtests", {}, blocking=True, return_response=True, context=context
    )
    assert answer == {"backtests": []}


async def test_in_french(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """What speaks against it, and why it failed, in Home Assistant's language."""
    hass.config.language = "fr"
    assert await set_up(hass, entry)
    history(hass, exchange, 40)
    await ask(hass, "run_backtest", rules=RULES, **{"from": day(20)})
    latest = await over(hass)
    assert "positions clôturées" in latest["verdict"] or "jours" in latest["verdict"]
    await ask(hass, "run_backtest", rules=RULES, parameters={"other": 1})
    assert "paramètre other" in (await over(hass))["problem"]


def test_texts() -> None:
    """Whatever speaks against a result has its words in each language, and there are no others."""
    for language in ("en", "fr"):
        path = Path(backtest_actions.__file__).parent / "translations" / f"{language}.json"
        common = json.loads(path.read_text("utf-8"))["common"]
        assert {key for key in common if key.startswith("backtest_")} == {
            f"backtest_{key}" for key in (*checks.WORDS, "clean")
        }


async def whole(hass: HomeAssistant, run_id: str) -> dict[str, Any]:
    """The result of one."""
    (told,) = (await ask(hass, "get_backtests", backtest=run_id, whole=True))["backtests"]
    result: dict[str, Any] = told["result"]
    return result


async def test_a_blend(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Several sources with their weights; what is left is shared, and each keeps to its own coins."""
    assert await set_up(hass, entry)
    for coin in ("BTC", "ETH"):
        history(hass, exchange, 60, coin)
    sources = [{"rules": RULES, "weight": 50, "coin": ["BTC"]}, {"allocation": {"ETH": 100}}]
    begun = await ask(hass, "run_backtest", sources=sources, **{"from": day(20)})
    assert begun["name"] == "Mine + ETH"
    assert (await over(hass))["state"] == "done"
    result = await whole(hass, begun["id"])
    assert [(each["kind"], float(each["weight"]), each.get("coins")) for each in result["spec"]["sources"]] == [
        ("strategy", 50, ["BTC"]),
        ("allocation", 50, None),
    ]
    assert {each["coin"] for each in result["orders"]} == {"BTC", "ETH"}


async def test_what_its_leader_said(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    exchange: ExchangeSimulator,
    leader: LeaderSimulator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """From its ledger, at the first open after it came; all sources of a portfolio are that one, too."""
    assert await set_up(hass, entry)
    leader.publish_v2({"BTC": 0.5})
    await entry.runtime_data.engine.cycle()
    freezer.tick(180)
    for source in ("leader", "all"):
        spec = await async_spec(hass, entry, {"source": source, "budget": 1000, "fee": 0.1, "time_frame": "1m"})
        (said,) = spec.sources
        assert spec.coins == ("BTC",)
        assert [row["wants"] for row in said["signals"]] == [{"allocation": {"BTC": "0.5"}}]


async def test_its_own_strategy_and_allocation(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """As they are set in a portfolio, each by its key or all with their weights; a file in Python only as it was allowed."""
    write_python(hass)
    closed(hass, exchange, "BTC", [1000])
    python = await python_portfolio(hass, exchange, parameters={"size": 40})
    fields = {"budget": 1000, "fee": 0.1}
    spec = await async_spec(hass, python, {"source": "strategy", **fields})
    (said,) = spec.sources
    assert (said["kind"], said["parameters"], spec.coins) == ("script", {"size": 40.0}, ("BTC",))
    spec = await async_spec(hass, python, {"strategy": "mine.py", **fields})
    assert spec.sources[0]["text"] == said["text"]
    write_python(hass, said["text"] + "# changed\n")
    for asked in ({"strategy": "mine.py"}, {"source": "strategy"}):
        with pytest.raises(CommandError) as caught:
            await async_spec(hass, python, {**asked, **fields})
        assert caught.value.key == "backtest_python_not_allowed"
    own = await allocation_portfolio(hass, exchange)
    spec = await async_spec(hass, own, {"source": "allocation", **fields})
    (row,) = spec.sources
    assert (row["kind"], row["time_zone"]) == ("allocation", hass.config.time_zone)
    assert {coin: float(share) for coin, share in row["shares"].items()} == {"BTC": 60, "ETH": 30}
    assert spec.frame is TimeFrame.H1
    assert await async_spec(hass, own, {"source": "all", **fields}) == spec
    prepare(spec)


async def test_a_sweep(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Over the cores; the best is the result, with a map, steps and other orders."""
    assert await set_up(hass, entry)
    history(hass, exchange, 60)
    said = {"rules": RULES, "sweep": {"short": "3:6:3"}, "by": "return", "monte_carlo": 20}
    begun = await ask(hass, "run_backtest", **said, **{"from": day(10)})
    latest = await over(hass)
    assert latest["state"] == "done", latest
    result = await whole(hass, begun["id"])
    assert result["sweep"]["ranges"] == {"short": [3.0, 6.0]}
    assert result["spec"]["sources"][0]["parameters"] == result["sweep"]["best"]["parameters"]
    assert result["monte_carlo"]["rounds"] == 20


async def test_choices(
    hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator, hass_ws_client: WebSocketGenerator
) -> None:
    """What a form may be filled with; nothing of a portfolio that is not there."""
    assert await set_up(hass, entry)
    client = await hass_ws_client(hass)
    await client.send_json_auto_id({"type": "calvalot/backtest_choices", "entry_id": entry.entry_id})
    told = (await client.receive_json())["result"]
    assert "macd" in told["ready_made"]
    assert (told["files"], told["quote"], told["time_frames"][0]) == ([], "USDC", "1m")
    assert told["sources"] == [{"source": "leader", "kind": "leader", "name": ""}]
    await client.send_json_auto_id({"type": "calvalot/backtest_choices", "entry_id": "none"})
    assert (await client.receive_json())["error"]["code"] == "not_found"
