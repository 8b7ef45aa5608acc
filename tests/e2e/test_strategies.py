"""A portfolio that a strategy leads, set up as its owner sees it."""

from collections.abc import Iterator

from playwright.sync_api import Page, expect
import pytest

from .conftest import Camera, Stage
from .entries import entry_ids


@pytest.fixture
def clean(stage: Stage) -> Iterator[None]:
    """Remove the portfolio that a test has added."""
    before = entry_ids(stage.home)
    yield
    for entry_id in entry_ids(stage.home) - before:
        stage.home.delete(f"config/config_entries/entry/{entry_id}")


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_set_up_in_the_browser(stage: Stage, page: Page, size: str, camera: Camera) -> None:
    """A ready-made strategy, with a share that is too large at first; then it warms up, and says what it does."""
    words = stage.words["config"]
    before = entry_ids(stage.home)
    page.goto("/config/integrations/dashboard/add?domain=calvalot")
    page.locator("dialog-box ha-button[slot=primaryAction]").click()
    flow = page.locator("dialog-data-entry-flow")
    submit = flow.locator("ha-dialog-footer ha-button[slot=primaryAction]")
    dialog = flow.locator("dialog")
    flow.get_by_text(words["step"]["user"]["menu_options"]["strategy"]).click()
    share = flow.locator("ha-selector-number input")
    expect(share).to_have_value("100")
    share.fill("101")
    submit.click()
    expect(flow.get_by_text(words["error"]["out_of_range"].partition("{")[0])).to_be_visible()
    camera.shoot(dialog, f"flow-strategy-{size}")
    share.fill("50")
    submit.click()
    flow.locator("input[name=exchange_url]").fill(stage.exchange.url)
    submit.click()
    budget = flow.locator("ha-selector-number input").first
    expect(budget).to_have_value("1000")
    submit.click()
    flow.locator("step-flow-create-entry").wait_for()
    submit.click()
    expect(flow.locator("dialog")).to_be_hidden()

    (entry_id,) = entry_ids(stage.home) - before
    answered = stage.home.ask("calvalot.get_strategies", config_entry_id=entry_id)
    (strategy,) = answered["strategies"]
    assert strategy["coins"] == ["BTC"]
    assert "BTC" in strategy["sentence"]
