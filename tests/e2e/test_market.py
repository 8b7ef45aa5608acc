"""The market view: candles that move and close, own trades on them, and whether they are complete."""

import re

from playwright.sync_api import Locator, Page, expect
import pytest

from .cards import violations
from .conftest import Camera, Shown

MINUTES = 70


@pytest.fixture(scope="session")
def moved(shown: Shown) -> Shown:
    """A market that has been moving for a while."""
    for _ in range(MINUTES * 2):
        shown.exchange.control("advance", seconds=30)
        shown.exchange.control("walk", steps=1)
    return shown


def open_market(page: Page, frame: str = "1m") -> Locator:
    """Open the view, with candles of a time frame."""
    page.goto("/")
    page.locator("home-assistant-main").wait_for()
    page.goto("/calv-a-lot/market")
    card = page.locator("calvalot-market-card")
    card.locator(f"[data-frame='{frame}']").click()
    expect(card.locator(f"[data-frame='{frame}']")).to_have_attribute("aria-pressed", "true")
    expect(card.locator(".candle").nth(20)).to_be_attached()
    return card


def next_minute(shown: Shown) -> None:
    """Let a minute pass, with trades in it."""
    for _ in range(3):
        shown.exchange.control("walk", steps=1)
        shown.exchange.control("advance", seconds=20)


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_candles(moved: Shown, page: Page, camera: Camera, size: str, scheme: str) -> None:
    """Candles close in sight, in green; each can be read with the keys; nothing is wrong for who cannot see them."""
    # A phone has room for fewer: those that the purchase lies in last longer.
    card = open_market(page, "3m" if size == "phone" else "1m")
    expect(card.locator("[data-coin]")).to_have_count(5)
    expect(card.locator(".own.buy").first).to_be_attached()
    expect(card.locator(".lights li").first).to_be_visible()
    next_minute(moved)
    next_minute(moved)
    expect(card.locator(".ticker .closed").first).to_be_visible()
    expect(card.locator(".lights .good").first).to_be_visible()
    chart = card.get_by_role("slider")
    chart.focus()
    page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuetext", re.compile(r"\d"))
    expect(card.locator(".tip")).to_be_visible()
    page.keyboard.press("Escape")
    expect(card.locator(".tip")).to_be_hidden()
    assert violations(page) == []
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    if size == "phone" or scheme == "light":
        camera.shoot(page, f"market-{size}-{scheme}" if size == "phone" else "market")


def test_other_coin_and_time_frame(moved: Shown, page: Page) -> None:
    """Another coin and another time frame are a touch away; what is left is not followed any more."""
    card = open_market(page)
    label = card.get_by_role("slider").get_attribute("aria-label") or ""
    card.locator("[data-coin='ETH']").click()
    expect(card.get_by_role("slider")).not_to_have_attribute("aria-label", label)
    expect(card.locator("[data-coin='ETH']")).to_have_attribute("aria-pressed", "true")
    card.locator("[data-frame='3m']").click()
    expect(card.locator("[data-frame='3m']")).to_have_attribute("aria-pressed", "true")
    expect(card.get_by_role("slider")).to_have_attribute("aria-label", re.compile("ETH, 3m"))
    expect(card.locator(".candle").nth(8)).to_be_attached()
