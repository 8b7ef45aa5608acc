"""A real Home Assistant, both simulators, and a Chromium that complains about whatever is wrong on a page."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
import json
import os
from pathlib import Path
import re
import signal
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    ViewportSize,
    WebError,
    expect,
    sync_playwright,
)
import pytest

from demo.check import FIRST
from demo.history import seed_history
from harness.dashboard import show_dashboard
from harness.forms import add_follower, entities
from harness.home import NOT_LAID_OUT, Home, running_home
from harness.process import ROOT, free_port
from harness.simulated import Simulator, simulators

# Whatever waits for a page waits up to this long (ms): the machine may have something else to do.
PATIENCE = 60_000
FAILED = pytest.StashKey[bool]()
# Where Home Assistant's frontend looks up its own lines when it reports an error of its own.
SOURCES = "https://raw.githubusercontent.com/home-assistant/frontend/"
SIZES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 1160},
    "phone": {"width": 390, "height": 844},
}

REASONING: dict[str, dict[str, Any]] = {
    "en": {"confidence": 0.81, "reasoning": "BTC holds above its 50-day average with rising volume; adding there."},
    "fr": {"confidence": 0.81, "reasoning": "Le BTC tient au-dessus de sa moyenne à 50 jours ; je renforce."},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pictures are taken where somebody asks for them."""
    parser.addoption("--screenshots", type=Path, help="folder for the pictures of the README")
    parser.addoption(
        "--renew-pictures", action="store_true", help="keep what the cards look like now as what they have to"
    )


def pytest_configure() -> None:
    """End in order when asked to: what the fixtures started ends with them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    expect.set_options(timeout=PATIENCE)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, where several processes share the tests, what shares a Home Assistant: a language, else a file."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        group = callspec.params.get("stage") if callspec else None
        item.add_marker(pytest.mark.xdist_group(group or item.path.stem))


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
    """The same with a follower and its dashboard; ``ids`` are entity ids by key."""

    ids: dict[str, str]
    entry_id: str

    def poll(self) -> None:
        """Let the follower look at the leader now."""
        self.home.action("button.press", entity_id=self.ids["poll"])


@contextmanager
def running_stage(language: str) -> Iterator[Stage]:
    """Run both simulators and a Home Assistant without a follower; an error in its log fails the last test."""
    with simulators() as (leader, exchange):
        with running_home(free_port(), language=language) as home:
            yield Stage(language, leader, exchange, home)
        assert not home.errors


@pytest.fixture(scope="session", params=["en", "fr"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The stage that most tests share."""
    with running_stage(request.param) as stage:
        yield stage


@pytest.fixture(scope="session")
def shown(stage: Stage, request: pytest.FixtureRequest) -> Shown:
    """Add the follower and its dashboard, as the demo does; a year of history where somebody looks at the curve."""
    entry_id = add_follower(stage.home, stage.leader, stage.exchange, live=False)
    ids = entities(stage.home, entry_id)
    if stage.language == "en" or request.config.getoption("--screenshots"):
        # In a thread of its own: in this one Playwright keeps an event loop running.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(
                seed_history, stage.home, stage.leader, stage.exchange, entry_id, ids, language=stage.language
            ).result()
    stage.leader.control("publish_v2", targets=FIRST)
    stage.home.action("button.press", entity_id=ids["poll"])
    show_dashboard(stage.home)
    return Shown(stage.language, stage.leader, stage.exchange, stage.home, ids, entry_id)


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
def scheme() -> Literal["light", "dark"]:
    """The theme: light, or dark where a test asks for it."""
    return "light"


@pytest.fixture
def page(
    browser: Browser, stage: Stage, size: str, scheme: Literal["light", "dark"], request: pytest.FixtureRequest
) -> Iterator[Page]:
    """Open a page in the language of Home Assistant; console errors and requests to other hosts fail the test."""
    context = browser.new_context(
        base_url=stage.home.url,
        locale={"en": "en-GB", "fr": "fr-FR"}[stage.language],
        timezone_id="Europe/Paris",
        viewport=SIZES[size],
        color_scheme=scheme,
        device_scale_factor=2,
        has_touch=size == "phone",
        is_mobile=size == "phone",
        reduced_motion="reduce",
        service_workers="block",
    )
    context.set_default_timeout(PATIENCE)
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
        url = message.location["url"]
        if message.type == "error" and "/api/brands/" not in url and not url.startswith(SOURCES):
            complaints.append(f"{message.text} {url}")

    def on_error(error: WebError) -> None:
        # Home Assistant's list of integrations says so where it is left before it is laid out; another of its lists likewise.
        if str(error.error) not in {"disconnected", NOT_LAID_OUT}:
            complaints.append(str(error.error))

    def on_request(made: Request) -> None:
        url = urlsplit(made.url)
        if url.scheme.startswith(("http", "ws")) and url.hostname != "127.0.0.1" and not made.url.startswith(SOURCES):
            complaints.append(f"request to {made.url}")

    context.on("console", on_console)
    context.on("weberror", on_error)
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
            if subject is page:
                page.evaluate("scrollTo(0, 0)")
            subject.screenshot(path=self.folder / f"{self.language}-{name}.png")


@pytest.fixture
def camera(request: pytest.FixtureRequest, stage: Stage) -> Camera:
    """Take pictures where ``--screenshots`` says so."""
    return Camera(request.config.getoption("--screenshots"), stage.language)
