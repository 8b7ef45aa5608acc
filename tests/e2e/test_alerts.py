"""Alerts received and what became of them, on the dashboard."""

from collections.abc import Iterator
from datetime import UTC, datetime
import json
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect
import pytest

from harness.forms import add_alerts, entities

from .cards import own_page, violations
from .conftest import Camera, Stage


@pytest.fixture
def entry_id(stage: Stage) -> Iterator[str]:
    """Add a portfolio that alerts lead, which has received some, and a page for it."""
    entry_id, path, token = add_alerts(stage.home, stage.exchange)
    poll = entities(stage.home, entry_id)["poll"]

    def send(**fields: object) -> None:
        told = datetime.now(UTC).isoformat(timespec="seconds")
        body = json.dumps({"token": token, "timenow": told, **fields}).encode()
        for _ in range(2 if "id" in fields else 1):
            with urlopen(Request(f"{stage.home.url}{path}", body, {"Content-Type": "application/json"})) as answer:
                assert (answer.status, answer.read()) == (200, b"")
        stage.home.action("button.press", entity_id=poll)

    send(ticker="BTCUSDT", market_position="long", id="Long")
    send(ticker="BINANCE:ETHUSDT", action="buy", amount=20, limit_price=2500, stop_loss="5 %")
    send(ticker="DOGEUSDT", action="buy")
    send(ticker="ETHUSDT", action="buy", test=True)
    with own_page(stage, entry_id, "own-alerts", "alerts"):
        yield entry_id


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_card(page: Page, stage: Stage, entry_id: str, size: str, camera: Camera) -> None:
    """Each alert with what it asked for and what became of it, newest first."""
    page.goto("/")
    page.locator("home-assistant-main").wait_for()
    page.goto("/own-alerts/own")
    card = page.locator("calvalot-alerts-card")
    items = card.locator("li.item")
    expect(items).to_have_count(4)
    words = stage.words["common"]
    for item, state in zip(items.all(), ("tested", "refused", "refused", "taken"), strict=True):
        expect(item).to_have_attribute("data-state", state)
    expect(items.last).to_contain_text(words["card_alert_state_taken"])
    expect(items.last).to_contain_text(words["card_executed"])
    expect(items.last).to_contain_text("BTC")
    expect(items.nth(1)).to_contain_text(words["card_alert_why_unknown_coin"])
    expect(items.nth(2)).to_contain_text(words["card_alert_why_not_allowed"])
    for level in ("at_limit", "stop_loss"):
        expect(items.nth(2)).to_contain_text(words[f"card_{level}"])
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not violations(page)
    camera.shoot(card, f"alerts-{size}")
