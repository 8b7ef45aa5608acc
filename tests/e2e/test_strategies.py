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
    rules = card.get_by_role("textbox", name=word(stage, "write_strategy"))
    expect(rules).to_have_value(re.compile("macd"))
    expect(card.locator("form [role=status]")).not_to_be_empty()
    expect(card).to_contain_text(stage.words["common"]["rule_made_macd_weak"])
    # Nobody is there who could write it.
    expect(card.get_by_label(word(stage, "describe"))).to_be_hidden()
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
    expect(card.locator("details")).to_be_visible()
    assert card.evaluate(AS_GUEST.replace('"button"', '"button, details"')) == []


def test_loaded_when_it_is_first_shown(stage: Stage, entry_id: str, page: Page) -> None:
    """Not before; from the address of this version; and what could not be loaded says so, and comes later."""
    loaded: list[str] = []
    page.on("request", lambda made: loaded.append(made.url))
    page.goto("/")
    page.locator("home-assistant-main").wait_for()
    page.evaluate("customElements.whenDefined('calvalot-strategies-card')")
    (first,) = {url for url in loaded if url.endswith("/calvalot.js")}
    own = first.replace("calvalot.js", "strategies.js")
    assert own not in loaded
    page.route(own, lambda route: route.fulfill(status=200, content_type="text/javascript", body="export const x = 1;"))
    page.goto("/own-rules/own")
    expect(page.locator("calvalot-strategies-card")).to_contain_text(word(stage, "not_loaded_card"))
    assert own in loaded
    expect(page.locator("calvalot-strategies-content")).to_contain_text(word(stage, "no_strategies"))
    assert f"{own}?1" in loaded


@pytest.mark.parametrize("scheme", ["dark"])
def test_in_the_dark(stage: Stage, entry_id: str, page: Page, camera: Camera) -> None:
    """It can be read there, too; with a language model in the house it offers to have rules written."""
    stage.home.post("states/ai_task.house", {"state": "unknown", "attributes": {"supported_features": 1}})
    try:
        card = open_strategies(page)
        card.locator("summary").click()
        expect(card.get_by_label(word(stage, "describe"))).to_be_visible()
        card.locator("select").select_option("momentum_rotation")
        expect(card.locator("form [role=status]")).not_to_be_empty()
        assert not violations(page)
        camera.shoot(card, "strategies-editor-dark")
        # The word of Home Assistant that there is no such model after all is shown as it is.
        card.get_by_label(word(stage, "describe")).fill("Buy low, sell high")
        press(card, word(stage, "draft"))
        expect(card.locator("form .refused")).not_to_be_empty()
    finally:
        stage.home.delete("states/ai_task.house")
