"""A conversion in its dialog: asked, shown, confirmed, done; on both screens."""

import re

from playwright.sync_api import Page, expect
import pytest

from .cards import newest, open_dashboard, portfolio, positions, violations
from .conftest import Camera, Shown


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_convert(shown: Shown, page: Page, camera: Camera, size: str) -> None:
    """What it would bring is shown first, and only what was shown is traded."""
    words = {key.removeprefix("card_"): text for key, text in shown.words["common"].items() if "card_" in key}
    open_dashboard(page)
    expect(positions(page).locator("tbody tr", has_text="BTC")).to_be_visible()
    button = portfolio(page).locator("[data-act=convert]")
    expect(button).to_have_text(words["convert"])
    button.click()
    dialog = portfolio(page).get_by_role("dialog")
    expect(dialog).to_contain_text(words["convert_dry_run"])
    dialog.locator("select[name=from_asset]").select_option("BTC")
    dialog.locator("select[name=to_asset]").select_option("ETH")
    expect(dialog.locator("option[value=BTC]").last).to_be_disabled()
    assert not violations(page)
    camera.shoot(dialog, f"convert-{size}")
    dialog.locator("input[name=quantity]").fill("1000")
    look = dialog.get_by_role("button", name=words["convert_look"])
    look.click()
    expect(dialog.get_by_role("alert")).to_contain_text("BTC")
    dialog.locator("input[name=quantity]").fill("0.001")
    look.click()
    expect(dialog.get_by_role("heading")).to_have_text(words["convert_sure"])
    expect(dialog.locator(".sum")).to_have_text(re.compile(r"BTC → .* ETH"))
    expect(dialog).to_contain_text("BTC → USDC → ETH")
    assert not violations(page)
    camera.shoot(dialog, f"convert-quote-{size}")
    dialog.get_by_role("button", name=words["convert_back"]).click()
    look.click()
    before = shown.home.ask("calvalot.get_conversions", config_entry_id=shown.entry_id)["conversions"]
    dialog.get_by_role("button", name=words["convert_begin"]).click()
    expect(dialog.get_by_role("heading")).to_have_text(words["convert_executed"])
    expect(dialog.locator(".sum")).to_have_text(re.compile(r"BTC → .* ETH"))
    camera.shoot(dialog, f"convert-done-{size}")
    dialog.get_by_role("button", name=words["close"]).click()
    after = shown.home.ask("calvalot.get_conversions", config_entry_id=shown.entry_id)["conversions"]
    assert len(after) == len(before) + 1
    assert (after[0]["result"], after[0]["route"]) == ("executed", ["BTC", "USDC", "ETH"])
    expect(newest(page).locator(".line b")).to_contain_text(words["conversion"])


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_another_quote_asset(shown: Shown, page: Page, camera: Camera, size: str) -> None:
    """What happens to the cash and what stays is shown before anything does."""
    words = {key.removeprefix("card_"): text for key, text in shown.words["common"].items() if "card_" in key}
    open_dashboard(page)
    portfolio(page).locator("[data-act=convert]").click()
    dialog = portfolio(page).get_by_role("dialog")
    dialog.get_by_role("button", name=words["quote_change"]).click()
    expect(dialog).to_contain_text(words["quote_does"])
    expect(dialog.locator("select option")).to_have_text(["USDT", "FDUSD", "EUR"])
    camera.shoot(dialog, f"quote-{size}")
    look = dialog.get_by_role("button", name=words["quote_look"])
    dialog.locator("select").select_option("FDUSD")
    look.click()
    expect(dialog.get_by_role("alert")).to_contain_text("FDUSD")
    dialog.locator("select").select_option("USDT")
    look.click()
    expect(dialog.get_by_role("heading")).to_have_text(words["quote_sure"].format(quote="USDT"))
    expect(dialog.locator(".sum")).to_have_text(re.compile(r"USDC → .* USDT"))
    expect(dialog).to_contain_text("BTC")
    assert not violations(page)
    camera.shoot(dialog, f"quote-plan-{size}")
    dialog.get_by_role("button", name=words["cancel"]).click()
    expect(dialog).to_be_hidden()
