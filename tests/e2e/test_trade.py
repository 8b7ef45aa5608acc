"""The owner's own hand on the dashboard: an order seen before it is sent, protected, ended; a position closed."""

from collections.abc import Iterator
import re

from playwright.sync_api import Locator, Page, expect
import pytest

from harness.forms import add_allocation
from harness.waiting import wait_for

from .cards import own_page, violations
from .conftest import Camera, Stage
from .test_plan import press, word
from .test_states import AS_GUEST


@pytest.fixture
def entry_id(stage: Stage) -> Iterator[str]:
    """Add a portfolio, and a page to trade in it."""
    entry_id = add_allocation(stage.home, stage.exchange, {"BTC": 60.0, "ETH": 30.0})
    with own_page(stage, entry_id, "own-hand", "trade"):
        yield entry_id


def open_trade(page: Page) -> Locator:
    """Open the page."""
    page.goto("/")
    page.locator("home-assistant-main").wait_for()
    page.goto("/own-hand/own")
    card = page.locator("calvalot-trade-card")
    expect(card.locator("select[name=coin] option")).not_to_have_count(0)
    return card


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_an_order_by_hand(stage: Stage, entry_id: str, page: Page, camera: Camera, size: str) -> None:
    """Amount and quantity follow each other; once more whether it is meant; then it is there, protected, ended and closed."""
    card = open_trade(page)
    card.locator("select[name=coin]").select_option("BTC")
    card.locator("input[name=amount]").fill("100")
    expect(card.locator("input[name=quantity]")).not_to_have_value("")
    target, stop = card.locator(".pair input[type=range]").all()
    target.fill("10")
    expect(card.locator("input[name=take_profit]")).to_have_value("10")
    card.locator("input[name=stop_loss]").fill("5")
    expect(stop).to_have_value("5")
    expect(card.locator("form")).to_contain_text(re.compile(r"\+?\d[.,]\d\d"))
    expect(card.locator("form")).to_contain_text(word(stage, "hand_led"))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not violations(page)
    camera.shoot(card, f"trade-{size}")
    press(card, word(stage, "review"))
    dialog = card.get_by_role("dialog")
    expect(dialog).to_contain_text(word(stage, "order_dry_run"))
    expect(dialog.locator(".rows li")).to_have_count(7)
    assert not violations(page)
    camera.shoot(dialog, f"trade-summary-{size}")
    press(dialog, word(stage, "cancel"))
    assert stage.home.ask("calvalot.get_orders", config_entry_id=entry_id)["done"] == []
    press(card, word(stage, "review"))
    press(dialog, word(stage, "order_sure"))
    expect(dialog).to_have_count(0)
    expect(card.locator("[data-order]")).to_have_count(2)
    expect(card.locator(".held [data-coin=BTC]")).to_contain_text(word(stage, "held_by_exchange"))
    assert not violations(page)
    camera.shoot(card, f"trade-held-{size}")
    card.locator("[data-order] button").first.click()
    press(dialog, word(stage, "cancel_order"))
    expect(card.locator("[data-order]")).to_have_count(0)
    card.locator(".held [data-coin=BTC] button").first.click()
    dialog.locator("input[name=trailing_stop]").fill("5")
    press(dialog, word(stage, "protect"))
    expect(card.locator(".held [data-coin=BTC]")).to_contain_text(word(stage, "held_by_cycle"))
    card.locator(".held [data-coin=BTC] button").last.click()
    press(dialog, word(stage, "close_position"))
    expect(dialog).to_have_count(0)

    def closed() -> bool:
        held = stage.home.ask("calvalot.get_portfolio", config_entry_id=entry_id)["positions"]
        return all(each["weight"] < 0.001 for each in held if each["coin"] == "BTC")

    wait_for(closed, "the position to be closed")


def test_what_is_refused(stage: Stage, entry_id: str, page: Page) -> None:
    """It is said in words, and nothing is sent."""
    card = open_trade(page)
    card.locator("input[name=amount]").fill("1")
    press(card, word(stage, "review"))
    expect(card.get_by_role("alert").first).not_to_be_empty()
    card.locator("select[name=order_type]").select_option("limit")
    expect(card.locator("input[name=limit_price]")).to_be_visible()
    card.locator("select[name=side]").select_option("sell")
    expect(card.locator("input[name=take_profit]")).not_to_be_visible()


def test_who_is_no_administrator(stage: Stage, entry_id: str, page: Page) -> None:
    """He sees what is open and held, and no button."""
    assert open_trade(page).evaluate(AS_GUEST) == []
