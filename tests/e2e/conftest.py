"""A real Home Assistant, both simulators, and a Chromium that complains about whatever is wrong on a page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import re
import sys
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from demo.__main__ import simulators  # noqa: E402
from demo.dashboard import show_dashboard  # noqa: E402
from demo.follower import add_follower, entities  # noqa: E402
from demo.home import Home, running_home  # noqa: E402
from demo.process import Simulator, free_port  # noqa: E402

FAILURES = Path(__file__).parent / "failures"
DESKTOP = {"width": 1360, "height": 900}
PHONE = {"width": 390, "height": 844}
TIMEOUT = 15_000

type Open = Callable[..., Page]
type Shoot = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the pictures go, if any are wanted."""
    parser.addoption("--screenshots", type=Path, help="folder for the pictures of the README")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let the fixtures know whether the test failed."""
    report = yield
    if call.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, which looks nowhere but where it is told to."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CALVALOT_BROWSER"], args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open a page in a language and a size; console errors and requests to other hosts fail the test."""
    complaints: list[str] = []
    pages: list[Page] = []

    def open_page(url: str, *, language: str = "en", phone: bool = False, dark: bool = False) -> Page:
        context = browser.new_context(
            locale={"en": "en-GB", "fr": "fr-FR"}[language],
            timezone_id="Europe/Paris",
            viewport=PHONE if phone else DESKTOP,
            device_scale_factor=2,
            has_touch=phone,
            is_mobile=phone,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            service_workers="block",
        )
        context.set_default_timeout(TIMEOUT)
        page = context.new_page()
        page.on(
            "console",
            lambda message: message.type == "error" and complaints.append(f"{message.text} {message.location['url']}"),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda made: _is_elsewhere(made.url) and complaints.append(f"request to {made.url}"))
        pages.append(page)
        page.goto(url)
        return page

    yield open_page
    for index, page in enumerate(pages):
        if request.node.stash.get(FAILED, True) and not page.is_closed():
            FAILURES.mkdir(exist_ok=True)
            page.screenshot(path=FAILURES / f"{re.sub(r'\W+', '-', request.node.name)}-{index}.png")
        page.context.close()
    assert not complaints


def _is_elsewhere(url: str) -> bool:
    return urlsplit(url).scheme in {"http", "https", "ws", "wss"} and urlsplit(url).hostname != "127.0.0.1"


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Shoot:
    """Take a picture where pictures are wanted."""
    folder: Path | None = request.config.getoption("--screenshots")

    def shoot(page: Page, name: str, **options: Any) -> None:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=folder / f"{name}.png", **options)

    return shoot


@contextmanager
def _fresh(language: str) -> Iterator[tuple[Simulator, Simulator, Home]]:
    """Both simulators and a Home Assistant without a follower; errors in its log are errors of the test."""
    with simulators(every=None) as (leader, exchange):
        with running_home(free_port(), language=language) as home:
            yield leader, exchange, home
        assert not home.errors
