"""The set-up of a portfolio on Kraken as its owner sees it."""

from collections.abc import Iterator
from decimal import Decimal

from playwright.sync_api import Page, expect
import pytest

from harness.portfolio import PLACES
from harness.simulated import Simulator, simulators

from .cards import activity, own_page, portfolio, positions
from .conftest import Stage
from .entries import entry_ids


@pytest.fixture
def kraken() -> Iterator[tuple[Simulator, Simulator]]:
    """Start a leader and a Kraken that no follower knows yet."""
    place = PLACES["kraken"]
    with simulators(balances=place.balances, name=place.simulator) as pair:
        yield pair


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_kraken_is_set_up_in_the_browser(
    stage: Stage, kraken: tuple[Simulator, Simulator], page: Page, size: str
) -> None:
    """Its address takes the place of the usual one, its books are in EUR, and it holds what its leader holds."""
    words = stage.words["config"]
    before = entry_ids(stage.home)
    leader, exchange = kraken
    leader.control("publish_v2", targets={"BTC": "0.5", "ETH": "0.2"})
    page.goto("/config/integrations/dashboard/add?domain=calvalot")
    page.locator("dialog-box ha-button[slot=primaryAction]").click()
    flow = page.locator("dialog-data-entry-flow")
    submit = flow.locator("ha-dialog-footer ha-button[slot=primaryAction]")
    flow.get_by_text(words["step"]["user"]["menu_options"]["leader"]).click()
    flow.locator("input[name=leader_url]").fill(leader.url)
    flow.locator("input[name=signal_secret]").fill(leader.ready["secret"])
    submit.click()

    flow.locator("input[name=exchange_url]").fill(exchange.url)
    form = words["step"]["exchange"]["data_description"]
    expect(flow.get_by_text(form["exchange"])).to_be_visible()
    flow.get_by_text("Kraken", exact=True).click()
    submit.click()

    flow.locator("ha-selector-number input").fill("1000")
    expect(flow.get_by_text("EUR", exact=True).first).to_be_visible()
    submit.click()
    flow.locator("step-flow-create-entry").wait_for()
    submit.click()
    expect(flow.locator("dialog")).to_be_hidden()

    (entry_id,) = entry_ids(stage.home) - before
    book = stage.home.ask("calvalot.get_portfolio", config_entry_id=entry_id)
    assert {each["coin"]: round(each["weight"], 1) for each in book["positions"]} == {"BTC": 0.5, "ETH": 0.2}
    assert round(Decimal(book["total_value"]), 2) == round(Decimal(book["total_value_quote"]), 2)
    assert Decimal(book["net_deposits"]) == 1000
    with own_page(stage, entry_id, "in-euro", "portfolio", "positions", "performance", "tile", "activity"):
        page.goto("/in-euro/own")
        card = portfolio(page)
        expect(card.locator(".curve")).to_be_attached()
        # Each amount is told once, and no rate has an effect.
        expect(card.locator(".value")).to_contain_text("€")
        expect(card.locator(".value + .quiet")).to_have_text("")
        expect(card.locator("[data-fact='fees']")).to_be_visible()
        for name in ("currency_effect", "fees_paid"):
            expect(card.locator(f"[data-fact='{name}']")).to_be_hidden()
        total = positions(page).locator("tfoot")
        expect(total).to_contain_text("EUR")
        expect(total).not_to_contain_text("€")
        expect(page.locator("calvalot-tile-card")).to_contain_text("€")
        expect(activity(page).locator(".tag").first).to_contain_text("€")
