"""Backtests in the browser: begun, followed, ended, shown, compared, called otherwise, deleted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
import re
import time
from typing import Any

from playwright.sync_api import Locator, Page, expect
import pytest

from custom_components.calvalot.trading.backtest.data import simulated
from custom_components.calvalot.trading.backtest.fetch import store_at
from custom_components.calvalot.trading.exchanges.binance_client import host_of
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.market.store import Series
from harness.forms import add_allocation

from .cards import own_page, violations
from .conftest import Camera, Stage
from .test_plan import press, word
from .test_states import AS_GUEST

DAYS = 420
RULES = (
    "name: Slow one\ntime_frame: 1m\nparameters:\n  short: {default: 5, minimum: 2, maximum: 20}\n"
    "indicators:\n  fast: {type: sma, length: short}\n  slow: {type: sma, length: 20}\n"
    "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\n"
)


@pytest.fixture(scope="module")
def candles(stage: Stage) -> None:
    """Candles of the past: a long walk by the hour, a month by the minute, as if they had been fetched."""
    now = int(time.time()) // 3600 * 3600
    store = store_at(stage.home.folder / ".cache" / "calvalot" / "backtests.db")
    for coin, frame, days in (("BTC", TimeFrame.H1, DAYS), ("ETH", TimeFrame.H1, DAYS), ("BTC", TimeFrame.M1, 60)):
        series = Series(host_of(stage.exchange.url), f"{coin}USDC", frame)
        found = simulated(3, coin, frame, now - days * 86_400, now)
        store.write([(series, candle) for candle in found], now)


@pytest.fixture
def entry_id(stage: Stage, candles: None) -> Iterator[str]:
    """Add a portfolio, and a page with its backtests."""
    entry_id = add_allocation(stage.home, stage.exchange, {"BTC": 60.0, "ETH": 30.0})
    with own_page(stage, entry_id, "own-tests", "backtests"):
        yield entry_id
        for run in runs(stage):
            if run["state"] in {"loading", "running"}:
                stage.home.ask("calvalot.abort_backtest", backtest=run["id"])
            stage.home.commands({"type": "calvalot/delete_backtest", "backtest": run["id"]})


def runs(stage: Stage) -> list[dict[str, Any]]:
    """The backtests there are."""
    found: list[dict[str, Any]] = stage.home.ask("calvalot.get_backtests")["backtests"]
    return found


def open_backtests(page: Page) -> Locator:
    """Open the page."""
    page.goto("/")
    page.locator("home-assistant-main").wait_for()
    page.goto("/own-tests/own")
    return page.locator("calvalot-backtests-content")


def day(back: int) -> str:
    """A day so long ago."""
    return (datetime.now(UTC) - timedelta(days=back)).date().isoformat()


def begin(stage: Stage, card: Locator, name: str, short: str) -> None:
    """Fill the form in and begin one of a ready-made strategy."""
    if not card.locator("form").is_visible():
        card.locator("summary").first.click()
    card.locator("select[name=strategy]").select_option("averages_crossing")
    numbers = card.locator("[data-parameter]")
    expect(numbers.first).to_be_visible()
    numbers.first.fill(short)
    card.locator("input[name=coins]").fill("BTC, ETH")
    card.locator("input[name=from]").fill(day(360))
    card.locator("select[name=time_frame]").select_option("1h")
    names = card.locator("input[name=name]")
    if not names.is_visible():
        card.locator("form summary").first.click()
    names.fill(name)
    press(card, word(stage, "backtest_begin"))


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_begun_shown_compared_and_deleted(stage: Stage, entry_id: str, page: Page, camera: Camera, size: str) -> None:
    """From nothing to two results beside each other; what speaks against one is said first; a name, and its end."""
    card = open_backtests(page)
    expect(card).to_contain_text(word(stage, "backtest_none"))
    begin(stage, card, "First one", "10")
    result = card.locator(".result")
    expect(result.locator("h3.titled")).to_have_text("First one")
    (run,) = runs(stage)
    assert run["verdict"] in result.locator(".verdict").inner_text()
    expect(result.locator("[data-figure=trades] dd")).to_have_text(str(run["figures"]["trades"]))
    expect(result.locator("svg .traded").first).to_be_attached()
    expect(result.locator(".heat td").first).to_be_attached()
    assert not violations(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    result.locator("summary").first.click()
    result.locator("summary").nth(1).click()
    expect(result.locator("table").last.locator("tbody tr").first).to_be_visible()
    camera.shoot(card, f"backtest-{size}")
    # With the keys, too.
    chart = result.locator(".chart").first
    chart.focus()
    page.keyboard.press("Home")
    expect(chart).to_have_attribute("aria-valuetext", re.compile(word(stage, "backtest_hold")))

    begin(stage, card, "Second one", "20")
    expect(result.locator("h3.titled")).to_have_text("Second one")
    rows = card.locator("[data-backtest]")
    expect(rows).to_have_count(2)
    compare = card.locator(".money button")
    expect(compare).to_be_disabled()
    for row in rows.all():
        row.locator("input").check()
    compare.click()
    expect(result.locator("h3.titled")).to_have_text(word(stage, "backtest_compared"))
    expect(result.locator("thead th")).to_have_count(3)
    assert not violations(page)
    camera.shoot(card, f"backtests-compared-{size}")

    # What was shown is shown again.
    page.reload()
    expect(result.locator("h3.titled")).to_have_text(word(stage, "backtest_compared"))

    first = rows.filter(has_text="First one")
    press(first, f"{word(stage, 'backtest_rename')}: First one")
    dialog = card.get_by_role("dialog")
    dialog.locator("input").fill("Another")
    press(dialog, word(stage, "backtest_rename"))
    expect(rows.filter(has_text="Another")).to_have_count(1)
    press(rows, f"{word(stage, 'backtest_delete')}: Another")
    expect(dialog).to_contain_text(word(stage, "backtest_delete_sure"))
    press(dialog, word(stage, "cancel"))
    expect(rows).to_have_count(2)
    press(rows, f"{word(stage, 'backtest_delete')}: Another")
    press(dialog, word(stage, "backtest_delete"))
    expect(rows).to_have_count(1)
    assert [run["name"] for run in runs(stage)] == ["Second one"]


def test_followed_over_a_reload_and_aborted(stage: Stage, entry_id: str, page: Page, camera: Camera) -> None:
    """A long one says how far it is, goes on while the page is loaded anew, and is over a moment after it is aborted."""
    card = open_backtests(page)
    card.locator("summary").first.click()
    card.locator("select[name=strategy]").select_option("written")
    card.locator("textarea").fill(RULES.replace("enter", "entr"))
    card.locator("input[name=coins]").focus()
    expect(card.locator("form .refused")).to_contain_text("8")
    card.locator("textarea").fill(RULES)
    card.locator("input[name=coins]").focus()
    expect(card.locator("form [role=status]")).to_contain_text("BTC")
    card.locator("input[name=from]").fill(day(58))
    press(card, word(stage, "backtest_begin"))
    running = card.locator(".running")
    expect(running).to_contain_text("Slow one")
    expect(running).to_contain_text(word(stage, "backtest_state_running"))
    expect(running).to_contain_text(word(stage, "backtest_orders_so_far", count="").strip())
    assert not violations(page)
    camera.shoot(card, "backtest-running")
    page.reload()
    expect(running).to_contain_text("Slow one")
    press(running, word(stage, "backtest_abort"))
    expect(running).to_be_hidden()
    expect(card.locator("[data-backtest]")).to_contain_text(word(stage, "backtest_state_aborted"))
    assert [run["state"] for run in runs(stage)] == ["aborted"]


def test_a_map_of_numbers(stage: Stage, entry_id: str, page: Page, camera: Camera) -> None:
    """Two numbers of a strategy are tried: a map with the best marked, the steps and the falls of other orders."""
    card = open_backtests(page)
    card.locator("summary").first.click()
    card.locator("select[name=strategy]").select_option("averages_crossing")
    card.locator("form details").last.locator("summary").click()
    tried = card.locator("[data-sweep]")
    expect(tried.nth(1)).to_be_visible()
    tried.first.fill("10:20:5")
    tried.nth(1).fill("60, 80")
    card.locator("input[name=walk_forward]").fill("2")
    card.locator("input[name=monte_carlo]").fill("100")
    card.locator("input[name=from]").fill(day(58))
    card.locator("select[name=time_frame]").select_option("1h")
    press(card, word(stage, "backtest_begin"))
    result = card.locator(".result")
    expect(result.locator(".map td")).to_have_count(6, timeout=240_000)
    expect(result.locator(".map .best")).to_have_count(1)
    expect(result.locator(".steps tbody tr")).to_have_count(2)
    expect(result).to_contain_text(word(stage, "backtest_monte_carlo"))
    assert not violations(page)
    camera.shoot(card, "backtest-map")


def test_who_is_no_administrator(stage: Stage, entry_id: str, page: Page) -> None:
    """He reads, and finds neither the form nor a button that changes anything."""
    stage.home.ask("calvalot.run_backtest", config_entry_id=entry_id, strategy="macd", coin="BTC", time_frame="1h")
    card = open_backtests(page)
    expect(card.locator("[data-backtest]")).to_have_count(1)
    assert card.evaluate(AS_GUEST.replace('"button"', '".buttons button, form"')) == []


@pytest.mark.parametrize("scheme", ["dark"])
@pytest.mark.parametrize("size", ["phone"])
def test_in_the_dark(stage: Stage, entry_id: str, page: Page, camera: Camera, size: str) -> None:
    """It can be read there, too; what failed says why in the list, and cannot be opened."""
    card = open_backtests(page)
    begin(stage, card, "In the dark", "12")
    expect(card.locator(".result .verdict")).to_be_visible()
    assert not violations(page)
    camera.shoot(card, "backtest-dark")
    stage.home.ask(
        "calvalot.run_backtest",
        **{"config_entry_id": entry_id, "strategy": "macd", "coin": "BTC", "from": "2012-01-01", "until": "2012-02-01"},
    )
    failed = card.locator("[data-backtest]").filter(has_text=word(stage, "backtest_state_failed"))
    expect(failed).to_have_count(1)
    expect(failed.locator("button.open")).to_be_disabled()
