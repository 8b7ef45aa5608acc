"""A real Home Assistant, both simulators, and a Chromium that complains about whatever is wrong on a page."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
import itertools
import json
import os
from pathlib import Path
import re
import signal
import time
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    ViewportSize,
    sync_playwright,
)
import pytest

from demo.__main__ import simulators
from demo.check import FIRST
from demo.dashboard import show_dashboard
from demo.follower import add_follower, entities
from demo.home import Home, running_home
from demo.process import ROOT, Simulator, free_port

FAILED = pytest.StashKey[bool]()
SIZES: dict[str, ViewportSize] = {
    "desktop": {"width": 1360, "height": 940},
    "phone": {"width": 390, "height": 844},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pictures are taken where somebody asks for them."""
    parser.addoption("--screenshots", type=Path, help="folder for the pictures of the README")
    parser.addoption("--history", type=float, default=0, help="minutes of trading before the dashboard is opened")


def pytest_configure() -> None:
    """End in order when asked to: what the fixtures started ends with them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the fixtures know whether the test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs, and the words that are shown in its language."""

    language: str
    leader: Simulator
    exchange: Simulator
    home: Home

    @property
    def words(self) -> Any:
        """The integration's own translations."""
        path = ROOT / "custom_components" / "calvalot" / "translations" / f"{self.language}.json"
        return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Shown(Stage):
    """The same with a follower and the demo's dashboard; ``ids`` are entity ids by key."""

    ids: dict[str, str]


@pytest.fixture(scope="session", params=["en", "fr"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Start both simulators and a Home Assistant without a follower; an error in its log fails the last test."""
    with simulators(every=None) as (leader, exchange):
        with running_home(free_port(), language=request.param) as home:
            yield Stage(request.param, leader, exchange, home)
        assert not home.errors


@pytest.fixture(scope="session")
def shown(stage: Stage, request: pytest.FixtureRequest) -> Shown:
    """Add the follower and its dashboard, as the demo does, and let it have a past where one is wanted."""
    stage.leader.control("publish_v2", targets=FIRST)
    ids = entities(stage.home, add_follower(stage.home, stage.leader, stage.exchange, live=False))
    show_dashboard(stage.home, ids, stage.language)
    if minutes := request.config.getoption("--history"):
        _trade_for(minutes, stage, ids)
    return Shown(stage.language, stage.leader, stage.exchange, stage.home, ids)


def _trade_for(minutes: float, stage: Stage, ids: dict[str, str]) -> None:
    """Let prices walk and the leader change its mind, back to its first allocation in the end."""
    end = time.monotonic() + 60 * minutes
    for cycle in itertools.count():
        stage.exchange.control("walk", steps=4)
        if done := time.monotonic() > end:
            stage.leader.control("publish_v2", targets=FIRST)
        elif cycle % 40 == 39:
            stage.leader.control("publish_random")
        stage.home.action("button.press", entity_id=ids["poll"])
        if done:
            break
        time.sleep(3)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start a Chromium that does not ask the world for anything by itself."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CALVALOT_BROWSER"], args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def size() -> str:
    """The screen: desktop, or phone where a test asks for it."""
    return "desktop"


@pytest.fixture
def page(browser: Browser, stage: Stage, size: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Open a page in the language of Home Assistant; console errors and requests to other hosts fail the test."""
    context = browser.new_context(
        base_url=stage.home.url,
        locale={"en": "en-GB", "fr": "fr-FR"}[stage.language],
        timezone_id="Europe/Paris",
        viewport=SIZES[size],
        device_scale_factor=2,
        has_touch=size == "phone",
        is_mobile=size == "phone",
        reduced_motion="reduce",
        service_workers="block",
    )
    context.set_default_timeout(15_000)
    complaints = _complaints(context)
    page = context.new_page()
    yield page
    if request.node.stash.get(FAILED, False):
        folder = request.config.cache.mkdir("failures")
        page.screenshot(path=folder / f"{re.sub(r'\W+', '-', request.node.name)}.png")
    context.close()
    assert not complaints


def _complaints(context: BrowserContext) -> list[str]:
    """Collect what goes wrong on the pages of a context."""
    complaints: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        # Icons of Home Assistant's own integrations come from outside, and there is no outside.
        if message.type == "error" and "/api/brands/" not in message.location["url"]:
            complaints.append(f"{message.text} {message.location['url']}")

    def on_request(made: Request) -> None:
        url = urlsplit(made.url)
        if url.scheme.startswith(("http", "ws")) and url.hostname != "127.0.0.1":
            complaints.append(f"request to {made.url}")

    context.on("console", on_console)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("request", on_request)
    return complaints


@dataclass(frozen=True, slots=True)
class Camera:
    """Takes the pictures of the README, if they are wanted, named after the language."""

    folder: Path | None
    language: str

    def shoot(self, subject: Page | Locator, name: str) -> None:
        """Take a picture of a page or of a part of it."""
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            page = subject if isinstance(subject, Page) else subject.page
            page.mouse.move(0, 0)
            subject.screenshot(path=self.folder / f"{self.language}-{name}.png")


@pytest.fixture
def camera(request: pytest.FixtureRequest, stage: Stage) -> Camera:
    """Take pictures where ``--screenshots`` says so."""
    return Camera(request.config.getoption("--screenshots"), stage.language)
