"""The whole account on the dashboard: what is frozen, in orders, not counted, and what came, with why."""

from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page, expect
import pytest

from harness.forms import add_wallet, entities
from harness.waiting import wait_for

from .cards import own_page, violations
from .conftest import Camera, Stage

HELD = {"USDC": "500", "BTC": "0.004", "SOL": "3", "NOPAIR": "5", "LDBTC": "0.25"}
CARDS = ("portfolio", "positions", "activity")


@pytest.fixture
def entry_id(stage: Stage) -> Iterator[str]:
    """Add the account, kept by hand, to which something came since, and a page for it."""
    key, secret = f"{stage.language}{'w' * 30}", "wallet-secret"
    stage.exchange.control("add_account", api_key=key, api_secret=secret, balances=HELD)
    entry_id = add_wallet(stage.home, stage.exchange, {"BTC": 60.0}, api_key=key, api_secret=secret)
    button = entities(stage.home, entry_id)["poll"]

    def flows() -> Any:
        stage.home.action("button.press", entity_id=button)
        return stage.home.ask("calvalot.get_cash_flows", config_entry_id=entry_id)["cash_flows"]

    wait_for(flows, "what is there", patience=240, pause=1)
    stage.exchange.control("deposit", asset="ETH", quantity="0.15", api_key=key)
    wait_for(
        lambda: [flow for flow in flows() if flow.get("explanation") == "deposit"], "the deposit", patience=240, pause=5
    )
    with own_page(stage, entry_id, "whole-account", *CARDS):
        yield entry_id


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.usefixtures("entry_id")
def test_whole_account(stage: Stage, page: Page, camera: Camera, size: str) -> None:
    """What has no share says that it is frozen, what has no pair stands below, what came says why; money is moved elsewhere."""
    words = stage.words["common"]
    page.goto("/")
    page.locator("home-assistant-main").wait_for()
    page.goto("/whole-account/own")
    positions = page.locator("calvalot-positions-card")
    for coin in ("SOL", "ETH"):
        row = positions.locator("tbody tr", has_text=coin)
        expect(row.locator("small").first).to_contain_text(words["card_frozen"])
    expect(positions.locator("[data-apart=NOPAIR]")).to_be_visible()
    expect(positions.locator("[data-apart=LDBTC]")).to_contain_text("BTC")
    portfolio = page.locator("calvalot-portfolio-card")
    expect(portfolio.locator("[data-act=sell_all]")).to_be_visible()
    for act in ("pay_in", "withdraw"):
        expect(portfolio.locator(f"[data-act={act}]")).to_be_hidden()
    camera.shoot(positions, f"wallet-{size}")
    camera.shoot(portfolio, f"wallet-portfolio-{size}")
    activity = page.locator("calvalot-activity-card")
    expect(activity).to_contain_text(words["card_taken_in"])
    camera.shoot(activity, f"wallet-activity-{size}")
    assert violations(page) == []
