"""The blueprints, each imported into a real Home Assistant, made into an automation and fired; a phone is told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
from threading import Thread
import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from harness.forms import add_follower, entities, tune
from harness.home import Home, running_home
from harness.process import ROOT, free_port
from harness.simulated import Simulator, simulators
from harness.waiting import wait_for

FILES = sorted((ROOT / "blueprints" / "automation" / "calvalot").glob("*.yaml"))
NOTIFY = "notify.mobile_app_phone"
ZONE = ZoneInfo("Europe/Paris")
# One more than are rejected or left waiting in a row, so that what is new always is.
TARGETS = (
    {"BTC": "0.6", "ETH": "0.2"},
    {"SOL": "0.3", "XRP": "0.3"},
    {"BNB": "0.4", "ETH": "0.4"},
    {"BTC": "0.5", "XRP": "0.4"},
    {"SOL": "0.7"},
)

type Json = dict[str, Any]

# What the set-up calls a follower on paper of a leader on this machine.
NAME = "Calv-a-lot 127.0.0.1 (dry run)"


@dataclass
class Phone:
    """A phone with the companion app, and what was pushed to it."""

    url: str = ""
    pushed: list[Json] = field(default_factory=list)

    def wait(self, wanted: Callable[[Json], bool] = lambda _: True) -> Json:
        """Wait for a notification, and forget it and those before it."""

        def newest() -> Json | None:
            for number, push in enumerate(self.pushed):
                if wanted(push):
                    del self.pushed[: number + 1]
                    return push
            return None

        try:
            return wait_for(newest, "a notification", pause=0.05)
        except TimeoutError:
            raise AssertionError(f"no such notification among {self.pushed}") from None


@contextmanager
def phone_in_reach() -> Iterator[Phone]:
    """Take the place of the push service."""
    phone = Phone()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            phone.pushed.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        phone.url = f"http://127.0.0.1:{server.server_port}/push"
        yield phone
        server.shutdown()


@dataclass
class House:
    """A Home Assistant with a follower and a phone."""

    home: Home
    leader: Simulator
    exchange: Simulator
    phone: Phone
    entry_id: str
    device_id: str
    ids: dict[str, str]
    published: int = -1

    @property
    def targets(self) -> dict[str, str]:
        """What the leader published last."""
        return TARGETS[self.published % len(TARGETS)]

    def poll(self) -> None:
        """Run a cycle of the follower."""
        self.home.action("button.press", entity_id=self.ids["poll"])

    def publish(self) -> str:
        """Let the leader change its mind, and the follower hear of it."""
        self.published += 1
        signal_id: str = self.leader.control("publish_v2", targets=self.targets)
        self.poll()  # it joins a cycle that runs already
        wait_for(lambda: signal_id in self.results(), "it is heard of")
        return signal_id

    def answer(self, push: Json, title: str) -> None:
        """Press a button of a notification, as the companion app tells it."""
        (action,) = [action["action"] for action in push["data"]["actions"] if action["title"] == title]
        self.home.post("events/mobile_app_notification_action", {"action": action})

    def results(self) -> dict[str, str]:
        """What became of each signal."""
        signals = self.home.ask("calvalot.get_signals")["signals"]
        return {signal["signal_id"]: signal["result"] for signal in signals}

    def trades(self) -> int:
        """Number of trades so far."""
        return len(self.home.ask("calvalot.get_trades", limit=1000)["trades"])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Everything, with the blueprints imported as the button in the documentation does; errors in the log fail."""
    with simulators() as (leader, exchange), phone_in_reach() as phone:
        with running_home(free_port()) as home:
            entry_id = add_follower(home, leader, exchange, live=False)
            app = {"app_id": "test", "app_name": "Test", "app_version": "1", "os_name": "iOS", "os_version": "1"}
            model = {"device_id": "phone", "device_name": "Phone", "manufacturer": "Test", "model": "Test"}
            data = {"push_token": "token", "push_url": phone.url}
            home.post("mobile_app/registrations", app | model | {"supports_encryption": False, "app_data": data})
            home.commands(
                *(
                    {
                        "type": "blueprint/save",
                        "domain": "automation",
                        "path": f"calvalot/{file.stem}",
                        "yaml": file.read_text(),
                    }
                    for file in FILES
                )
            )
            (devices,) = home.commands({"type": "config/device_registry/list"})
            device_id = next(each["id"] for each in devices if ["calvalot", entry_id] in each["identifiers"])
            house = House(home, leader, exchange, phone, entry_id, device_id, entities(home, entry_id))
            house.publish()
            yield house
        assert not home.errors


@pytest.fixture
def automate(house: House) -> Iterator[Callable[..., str]]:
    """Make automations of blueprints the way the editor does; they go with the test."""
    made: set[str] = set()

    def make(blueprint: str, **inputs: object) -> str:
        name = f"test_{blueprint}"
        house.phone.pushed.clear()
        use = {"path": f"calvalot/{blueprint}.yaml", "input": {"notify_action": NOTIFY, **inputs}}
        house.home.post(f"config/automation/config/{name}", {"alias": name, "use_blueprint": use})
        made.add(name)
        wait_for(
            lambda: any(
                (state["entity_id"], state["state"]) == (f"automation.{name}", "on")
                for state in house.home.get("states")
            ),
            name,
        )
        return f"automation.{name}"

    yield make
    for name in made:
        house.home.delete(f"config/automation/config/{name}")
    gone = {f"automation.{name}" for name in made}
    wait_for(lambda: gone.isdisjoint(state["entity_id"] for state in house.home.get("states")), "they are gone")
    tune(house.home, house.entry_id, approval="automatic")
    house.home.action("switch.turn_off", entity_id=house.ids["pause"])


def test_all_are_imported(house: House) -> None:
    """Home Assistant takes each file, and each knows where it came from."""
    (known,) = house.home.commands({"type": "blueprint/list", "domain": "automation"})
    assert {path for path in known if path.startswith("calvalot/")} == {f"calvalot/{file.name}" for file in FILES}
    for file in FILES:
        metadata = known[f"calvalot/{file.name}"]["metadata"]
        assert metadata["source_url"].endswith(f"/{file.relative_to(ROOT)}")
        assert metadata["name"].startswith("Calv-a-lot · ")
        assert metadata["description"]


def test_all_can_be_imported_from_the_documentation() -> None:
    """Each has its button."""
    text = (ROOT / "docs" / "automations.md").read_text()
    for file in FILES:
        assert f"%2Fblueprints%2Fautomation%2Fcalvalot%2F{file.name})" in text


def test_all_are_fired() -> None:
    """Each has a test."""
    assert {f"test_{file.stem}" for file in FILES} <= globals().keys()


def test_signal_executed(house: House, automate: Callable[..., str]) -> None:
    """Each trade of an executed signal is told; a signal that traded nothing is no news."""
    automate("signal_executed", follower=house.device_id)
    house.publish()
    push = house.phone.wait()
    assert push["title"] == f"{NAME}: signal executed"
    lines = push["message"].splitlines()
    legs = house.home.ask("calvalot.get_signals", limit=1)["signals"][0]["legs"]
    words = {"BUY": "Bought", "SELL": "Sold"}
    assert lines == [
        f"{words[leg['side']]} {leg['quantity']} {leg['symbol']}" for leg in legs if leg["result"] == "booked"
    ]
    assert len(lines) >= 2

    house.leader.control("publish_v2", targets=house.targets)
    house.poll()
    house.publish()
    house.phone.wait()
    assert not house.phone.pushed


def test_signal_executed_in_part(house: House, automate: Callable[..., str]) -> None:
    """What was left out is told with its reason, or nothing is where only whole ones are wanted."""
    automate("signal_executed", follower=house.device_id)
    while "BNB" in house.targets:
        house.publish()
    house.leader.control("publish_v1", actions=[("BTC", "BUY", "0.1"), ("BNB", "SELL", "0.1")])
    house.poll()
    push = house.phone.wait(lambda push: push["title"] == f"{NAME}: signal partly executed")
    assert "Bought" in push["message"]
    reason = house.home.ask("calvalot.get_signals", limit=1)["signals"][0]["reason"].replace("_", " ")
    assert "BNBUSDC" in reason
    assert push["message"].splitlines()[-1] == f"Left out: {reason}"

    automate("signal_executed", follower=house.device_id, with_partial=False)
    house.leader.control("publish_v1", actions=[("BTC", "SELL", "0.1"), ("BNB", "SELL", "0.1")])
    house.poll()
    house.publish()
    assert house.phone.wait()["title"] == f"{NAME}: signal executed"


def test_approval(house: House, automate: Callable[..., str]) -> None:
    """Approve trades; the question names the plan, goes when it is answered, and means one signal only."""
    tune(house.home, house.entry_id, approval="ask")
    automate("approval", follower=house.device_id)
    before = house.trades()
    signal_id = house.publish()
    push = house.phone.wait()
    assert push["title"] == f"{NAME}: trade this?"
    lines = push["message"].splitlines()
    assert lines[-1].startswith("until ")
    assert all(line.startswith(("BUY ", "SELL ")) for line in lines[:-1])
    assert 1500 < int(push["data"]["timeout"]) <= 1800
    assert [action["title"] for action in push["data"]["actions"]] == ["Approve", "Reject"]
    assert house.trades() == before

    house.home.post("events/mobile_app_notification_action", {"action": "calvalot_approve someone else"})
    house.home.post("events/mobile_app_notification_action", {"action": "OPEN_THE_DOOR"})
    house.home.post("events/mobile_app_notification_action", {})
    house.answer(push, "Approve")
    gone = house.phone.wait()
    assert gone["message"] == "clear_notification"
    assert gone["data"]["tag"] == push["data"]["tag"]
    assert house.results()[signal_id] == "executed"
    assert house.trades() > before


def test_approval_rejected(house: House, automate: Callable[..., str]) -> None:
    """Reject trades nothing; neither does approval of what a newer signal has overtaken."""
    tune(house.home, house.entry_id, approval="ask")
    automate("approval", follower=house.device_id)
    before = house.trades()
    first = house.publish()
    push = house.phone.wait()
    second = house.publish()
    assert house.phone.wait()["message"] == "clear_notification"
    newer = house.phone.wait(lambda push: "actions" in push["data"])
    assert newer["data"]["tag"] == push["data"]["tag"]
    house.answer(newer, "Reject")
    house.phone.wait(lambda push: push["message"] == "clear_notification")
    assert (house.results()[first], house.results()[second]) == ("skipped", "skipped")
    assert house.trades() == before


def test_approval_of_an_earlier_question(house: House, automate: Callable[..., str]) -> None:
    """An automation that did not run when the question was asked, as after a restart, takes the answer all the same."""
    tune(house.home, house.entry_id, approval="ask")
    signal_id = house.publish()
    house.poll()  # once the cycle that asked is over
    automate("approval", follower=house.device_id)
    action = f"calvalot_approve {house.device_id} {signal_id}"
    house.home.post("events/mobile_app_notification_action", {"action": action})
    assert house.phone.wait()["message"] == "clear_notification"
    assert house.results()[signal_id] == "executed"


def test_alerts(house: House, automate: Callable[..., str]) -> None:
    """Leader lost wakes, leader back does so gently and takes its place; the dead are told with their figures."""
    everything = ["dead", "revived", "leader_lost", "leader_back", "leader_silent", "stop_loss", "ledger_mismatch"]
    automate("alerts", follower=house.device_id, alerts=everything)
    house.leader.control("misbehave", kind="status", count=3)
    for _ in range(3):
        house.poll()
    lost = house.phone.wait()
    assert lost["title"] == f"{NAME}: leader lost"
    assert lost["message"].startswith("The leader does not answer: ")
    assert lost["data"]["push"] == {
        "interruption-level": "critical",
        "sound": {"name": "default", "critical": 1, "volume": 1.0},
    }
    assert (lost["data"]["ttl"], lost["data"]["priority"], lost["data"]["channel"]) == (0, "high", "alarm_stream")
    house.poll()
    back = house.phone.wait()
    assert back["message"] == "The leader answers again."
    assert back["data"]["tag"] == lost["data"]["tag"]
    assert back["data"]["push"]["interruption-level"] == "active"
    assert back["data"]["push"]["sound"]["critical"] == 0

    tune(house.home, house.entry_id, survival_floor=400)
    euro = house.exchange.control("price", symbol="EURUSDC")
    house.exchange.control("set_price", symbol="EURUSDC", price="10")
    for _ in range(3):
        house.poll()
    dead = house.phone.wait()
    assert dead["title"] == f"{NAME}: dead"
    assert "less than the survival floor of 400 EUR" in dead["message"].replace("400.0", "400")
    house.exchange.control("set_price", symbol="EURUSDC", price=str(euro))
    tune(house.home, house.entry_id, survival_floor=5)
    house.home.action("calvalot.reset", confirm=True)
    assert house.phone.wait()["data"]["tag"] == dead["data"]["tag"]


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        ({"type": "leader_silent", "hours": 4.0}, "no new signal for 4.0 hours"),
        ({"type": "exchange_lost", "reason": "it timed out"}, "The exchange cannot be used: it timed out."),
        (
            {"type": "stop_loss", "drawdown": "21.50", "limit": "20"},
            "Down 21.50 % from the peak, the stop stood at 20 %",
        ),
        ({"type": "ledger_mismatch", "missing": {"BTC": "0.1", "USDC": "5.25"}}, "Missing: 0.1 BTC, 5.25 USDC."),
        ({"type": "ledger_restored", "copy": ""}, "damaged and restored"),
    ],
)
def test_words_of_rare_alerts(house: House, automate: Callable[..., str], alert: Json, words: str) -> None:
    """What cannot be brought about in a moment is told from its event."""
    automate("alerts", follower=house.device_id)
    house.home.post("events/calvalot_alert", {"device_id": "another", **alert})
    house.home.post("events/calvalot_alert", {"device_id": house.device_id, "type": "leader_back"})
    house.home.post("events/calvalot_alert", {"device_id": house.device_id, **alert})
    assert words in " ".join(house.phone.wait()["message"].split())
    assert not house.phone.pushed


def soon() -> datetime:
    """A moment that the clock reaches while one waits."""
    return datetime.now(ZONE) + timedelta(seconds=4)


def check_summary(push: Json, house: House, period: str) -> None:
    """A summary tells the portfolio's figures."""
    portfolio = house.home.ask("calvalot.get_portfolio")
    assert push["title"] == f"{NAME}: {round(float(portfolio['total_value']), 2)} EUR"
    first, second, *coins = push["message"].splitlines()
    assert first == f"This {period}: ? %, {house.trades()} trades"
    assert second == (
        f"Since the start: {float(portfolio['profit_loss']):+.2f} EUR ({float(portfolio['profit_loss_percent']):+.2f} %)"
    )
    held = [position for position in portfolio["positions"] if position["weight"]]
    assert coins == [f"{position['coin']} {position['weight'] * 100:.1f} %" for position in held]
    assert coins


def test_daily_summary(house: House, automate: Callable[..., str]) -> None:
    """At its time the phone is told how things stand."""
    house.publish()
    automate("daily_summary", follower=house.entry_id, at=soon().strftime("%H:%M:%S"))
    check_summary(house.phone.wait(), house, "day")


def test_weekly_summary(house: House, automate: Callable[..., str]) -> None:
    """On its day at its time, and on no other."""
    house.publish()
    at = soon()
    tomorrow = (at + timedelta(days=1)).strftime("%a").lower()
    automate("weekly_summary", follower=house.entry_id, at=at.strftime("%H:%M:%S"), weekday=tomorrow)
    time.sleep(6)
    assert not house.phone.pushed
    at = soon()
    automate("weekly_summary", follower=house.entry_id, at=at.strftime("%H:%M:%S"), weekday=at.strftime("%a").lower())
    check_summary(house.phone.wait(), house, "week")


def test_monthly_report(house: House, automate: Callable[..., str]) -> None:
    """On its day at its time, with the file; on no other day."""
    house.publish()
    at = soon()
    inputs = {"follower": house.entry_id, "which": "current", "language": "fr", "attach": True}
    automate("monthly_report", **inputs, at=at.strftime("%H:%M:%S"), day=(at + timedelta(days=2)).day)
    time.sleep(6)
    assert not house.phone.pushed
    at = soon()
    automate("monthly_report", **inputs, at=at.strftime("%H:%M:%S"), day=at.day)
    push = house.phone.wait()
    month = f"{at:%Y-%m}"
    assert push["title"].endswith(f": {month}")
    assert push["message"].startswith(f"Le rapport du {month}-01 au ")
    (file,) = push["data"]["images"]
    assert Path(file).name == f"calvalot-{month}-fr.pdf"
    assert Path(file).read_bytes().startswith(b"%PDF-")


def test_pause_at_loss(house: House, automate: Callable[..., str]) -> None:
    """The fall under the level pauses the follower once, and the phone is told."""
    while "BTC" not in house.targets:
        house.publish()
    profit = float(house.home.state(house.ids["profit_loss"]))
    automate("pause_at_loss", profit_loss=house.ids["profit_loss"], level=profit - 50, pause=house.ids["pause"])
    bitcoin = float(house.exchange.control("price", symbol="BTCUSDC"))
    house.exchange.control("set_price", symbol="BTCUSDC", price=str(round(bitcoin * 0.95, 2)), gap=True)
    house.poll()
    assert house.home.state(house.ids["pause"]) == "off"
    house.exchange.control("set_price", symbol="BTCUSDC", price=str(round(bitcoin * 0.8, 2)), gap=True)
    house.poll()
    push = house.phone.wait()
    assert push["title"] == f"{NAME}: paused"
    assert push["message"].startswith(f"{NAME} Profit and loss: ")
    assert push["message"].endswith(f"under your stop of {profit - 50}.")
    assert house.home.state(house.ids["pause"]) == "on"
    assert house.home.state(house.ids["status"]) == "paused"
    house.exchange.control("set_price", symbol="BTCUSDC", price=str(round(bitcoin, 2)), gap=True)


def test_buy_the_fall(house: House, automate: Callable[..., str]) -> None:
    """What has not fallen enough is not bought; what has is bought for so much, once."""
    inputs = {"follower": house.entry_id, "coin": "xrp", "fall": 10, "hours": 2, "amount": 20, "days": 7}
    house.leader.control("publish_v2", targets={"BTC": "0.1"})  # cash enough
    house.exchange.control("advance", seconds=7300)  # two hours have closed
    house.poll()
    name = automate("buy_the_fall", **inputs)

    def bought() -> list[Json]:
        house.home.action("automation.trigger", entity_id=name)
        wait_for(lambda: house.home.get(f"states/{name}")["attributes"]["current"] == 0, "it has looked")
        trades = house.home.ask("calvalot.get_trades")["trades"]
        return [each for each in trades if (each["signal_id"], each["coin"]) == ("by_hand", "XRP")]

    price = float(house.exchange.control("price", symbol="XRPUSDC"))
    assert bought() == []
    house.exchange.control("set_price", symbol="XRPUSDC", price=str(round(price * 0.85, 4)), gap=True)
    (trade,) = bought()
    rate = float(house.home.ask("calvalot.get_portfolio")["rate"])
    assert float(trade["amount"]) * rate == pytest.approx(20, abs=0.2)
    push = house.phone.wait()
    assert push["title"] == f"{NAME}: XRP has fallen"
    assert push["message"].startswith("Bought ")
    assert len(bought()) == 1
    assert not house.phone.pushed
    house.exchange.control("set_price", symbol="XRPUSDC", price=str(round(price, 4)), gap=True)
