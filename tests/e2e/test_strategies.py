"""A portfolio that a strategy leads, set up as its owner sees it."""

from collections.abc import Iterator
import re

from playwright.sync_api import Locator, Page, expect
import pytest

from harness.forms import add_allocation
from harness.waiting import wait_for

from .cards import own_page, violations
from .conftest import Camera, Stage
from .entries import entry_ids
from .test_plan import press, word
from .test_states import AS_GUEST

RULES = "name: Always\nenter: {value: price, above: 1}\nexit: {value: price, below: 1}\nstop_loss: 8\n"


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


@pytest.fixture
def entry_id(stage: Stage) -> Iterator[str]:
    """Add a portfolio, and a page with its strategies."""
    entry_id = add_allocation(stage.home, stage.exchange, {"BTC": 60.0, "ETH": 30.0})
    with own_page(stage, entry_id, "own-rules", "strategies"):
        yield entry_id


def open_strategies(page: Page) -> Locator:
    """Open the page."""
    page.goto("/")
    page.locator("home-assistant-main").wait_for()
    page.goto("/own-rules/own")
    return page.locator("calvalot-strategies-content")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_written_checked_used_and_stopped(stage: Stage, entry_id: str, page: Page, camera: Camera, size: str) -> None:
    """From nothing: a template, rules with a mistake, the sentence, used after a question; then stopped, and sold."""
    card = open_strategies(page)
    expect(card).to_contain_text(word(stage, "no_strategies"))
    card.locator("summary").click()
    card.locator("select").select_option("macd")
    rules = card.locator("textarea")
    expect(rules).to_have_value(re.compile("macd"))
    expect(card.locator("form [role=status]")).not_to_be_empty()
    rules.fill(RULES.replace("enter", "entr"))
    press(card, word(stage, "check"))
    expect(card.locator("form .refused")).to_contain_text("2")
    assert not violations(page)
    rules.fill(RULES)
    press(card, word(stage, "use_it"))
    dialog = card.get_by_role("dialog")
    expect(dialog).to_contain_text("BTC")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    camera.shoot(card, f"strategies-editor-{size}")
    camera.shoot(dialog, f"strategies-use-{size}")
    press(dialog, word(stage, "cancel"))
    assert stage.home.ask("calvalot.get_strategies", config_entry_id=entry_id)["strategies"] == []
    press(card, word(stage, "use_it"))
    press(dialog, word(stage, "use_it"))
    expect(dialog).to_have_count(0)
    shown = card.locator("[data-strategy]")
    expect(shown).to_have_count(1, timeout=30_000)
    expect(shown).to_contain_text("Always")
    assert not violations(page)
    camera.shoot(card, f"strategies-{size}")
    press(shown, word(stage, "stop"))
    expect(dialog).to_contain_text(word(stage, "stop_does"))
    press(dialog, word(stage, "stop"))
    expect(dialog).to_have_count(0)
    expect(shown).to_contain_text(word(stage, "paused"))

    def paused() -> bool:
        told = stage.home.ask("calvalot.get_strategies", config_entry_id=entry_id)["strategies"]
        return bool(told[0]["paused"])

    wait_for(paused, "the strategy is stopped")
    press(shown, word(stage, "resume"))
    press(dialog, word(stage, "resume"))
    expect(shown).not_to_contain_text(word(stage, "paused"))


def test_who_is_no_administrator(stage: Stage, entry_id: str, page: Page) -> None:
    """He reads, and finds neither a button nor the editor."""
    card = open_strategies(page)
    expect(card).to_contain_text(word(stage, "no_strategies"))
    assert card.evaluate(AS_GUEST) == []
    expect(card).to_contain_text(word(stage, "no_strategies"))
    expect(card.locator("details")).to_be_hidden()
