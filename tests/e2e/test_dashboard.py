"""The dashboard that makes itself, in both languages."""

from playwright.sync_api import Page, expect
import pytest

from demo.check import FIRST

from .cards import activity, open_dashboard, portfolio, positions, violations
from .conftest import REASONING, Camera, Shown

COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")


def test_dashboard_shows_what_the_follower_holds(shown: Shown, page: Page, camera: Camera) -> None:
    """The figures are the actions' figures, the curve is drawn, each coin has its place."""
    shown.leader.control("publish_v2", targets=FIRST, **REASONING[shown.language])
    shown.poll()
    open_dashboard(page)
    book = shown.home.ask("calvalot.get_portfolio")
    whole = book["total_value"].split(".")[0][-3:]
    expect(portfolio(page).locator(".value")).to_contain_text(whole)
    rows = positions(page).locator("tbody tr")
    expect(rows).to_have_count(len(book["positions"]) + 1)
    for coin in COINS:
        row = rows.filter(has=page.get_by_text(coin, exact=True))
        expect(row.locator("svg.coin")).to_be_visible()
    expect(activity(page).locator(".item").first).to_contain_text(REASONING[shown.language]["reasoning"])
    expect(page.locator("hui-error-card, hui-warning")).to_have_count(0)
    camera.shoot(page, "dashboard")


@pytest.mark.parametrize("size", ["phone"])
def test_dashboard_fits_a_phone(shown: Shown, page: Page, camera: Camera) -> None:
    """One column, nothing cut off at the side."""
    open_dashboard(page)
    expect(positions(page).locator("tbody tr")).not_to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    cards = [card(page).bounding_box() for card in (portfolio, positions, activity)]
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in cards)
    tops = [box["y"] for box in cards if box]
    assert tops == sorted(set(tops))
    for inner in (portfolio(page).locator(".periods"), positions(page).locator("table")):
        box = inner.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 390
    assert not violations(page)
    camera.shoot(page, "phone")


def test_words_are_in_the_language_of_the_house(shown: Shown, page: Page) -> None:
    """Headings, states and figures are not mixed."""
    open_dashboard(page)
    words = shown.words["common"]
    for name in (
        "active",
        "leader_on",
        "exchange_on",
        "dry_run",
        "net_deposits",
        "max_drawdown",
        "of_net_deposits",
        "pause",
    ):
        expect(portfolio(page)).to_contain_text(words[f"card_{name}"])
    for name in ("positions", "coin", "value", "weight", "unrealised", "cash", "total"):
        expect(positions(page)).to_contain_text(words[f"card_{name}"])
    for name in ("activity", "executed", "confidence", "details", "buy"):
        expect(activity(page)).to_contain_text(words[f"card_{name}"])
    decimal = {"en": ".", "fr": ","}[shown.language]
    expect(portfolio(page).locator(".value")).to_contain_text(decimal)
    assert not violations(page)
