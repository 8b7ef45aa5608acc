"""Dialogs of the set-up, the options and the automation editor, on both screens."""

from collections.abc import Iterator
import re

from playwright.sync_api import Page, expect
import pytest

from harness.simulated import Simulator, simulators

from .conftest import Camera, Shown, Stage
from .entries import entry_ids


@pytest.fixture
def clean(stage: Stage) -> Iterator[None]:
    """Remove the followers and the dashboards that a test has added."""
    before, dashboards = entry_ids(stage.home), _dashboards(stage)
    yield
    for entry_id in entry_ids(stage.home) - before:
        stage.home.delete(f"config/config_entries/entry/{entry_id}")
    for dashboard in _dashboards(stage).keys() - dashboards.keys():
        stage.home.commands({"type": "lovelace/dashboards/delete", "dashboard_id": dashboard})


@pytest.fixture
def others() -> Iterator[tuple[Simulator, Simulator]]:
    """Start a leader and an exchange that no follower knows yet."""
    with simulators() as pair:
        yield pair


def _dashboards(stage: Stage) -> dict[str, str]:
    """Titles of the dashboards by their ids."""
    (dashboards,) = stage.home.commands({"type": "lovelace/dashboards/list"})
    return {dashboard["id"]: dashboard["title"] for dashboard in dashboards}


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_going_live(stage: Stage, others: tuple[Simulator, Simulator], page: Page, camera: Camera, size: str) -> None:
    """What is free is shown before the budget is typed, what is bought before it is traded; a click makes the dashboard."""
    words = stage.words["config"]
    leader, exchange = others
    leader.control("publish_v2", targets={"BTC": "0.5", "ETH": "0.25"})
    page.goto("/config/integrations/dashboard/add?domain=calvalot")
    page.locator("dialog-box ha-button[slot=primaryAction]").click()
    flow = page.locator("dialog-data-entry-flow")
    submit = flow.locator("ha-button[slot=primaryAction]")
    dialog = flow.locator("dialog")
    flow.get_by_text(words["step"]["user"]["menu_options"]["leader"]).click()
    address = flow.locator("input[name=leader_url]")
    secret = flow.locator("input[name=signal_secret]")
    for wrong, error in (
        ("foo bar", "url_without_scheme"),
        ("leader.local:8080", "url_without_scheme"),
        ("ftp://leader.local", "url_scheme"),
    ):
        address.fill(wrong)
        secret.fill(leader.ready["secret"])
        submit.click()
        expect(flow.get_by_text(words["error"][error].split("{")[0].strip())).to_be_visible()
    address.fill(leader.url)
    secret.fill(leader.ready["secret"])
    submit.click()

    link = flow.get_by_role("link", name="Binance")
    expect(link).to_have_attribute("href", re.compile("binance.com/.*api-management"))
    flow.locator("input[name=exchange_url]").fill(exchange.url)
    flow.locator("input[name=api_key]").fill(exchange.ready["api_key"])
    flow.locator("input[name=api_secret]").fill(exchange.ready["api_secret"])
    flow.locator("ha-radio-option, ha-formfield, label").filter(
        has_text=stage.words["selector"]["trading_mode"]["options"]["live"]
    ).first.click()
    submit.click()

    free = stage.words["common"]["setup_free"].split("{")[0].strip()
    expect(flow.get_by_text(free)).to_be_visible()
    budget = flow.locator("ha-selector-number input")
    budget.fill("7")
    submit.click()
    expect(flow.get_by_text(words["error"]["budget_too_small"].format(minimum=10))).to_be_visible()
    budget.fill("500")
    submit.click()

    expect(flow.get_by_text("BTC", exact=True)).to_be_visible()
    expect(submit).to_have_text(words["step"]["summary"]["submit"])
    if size == "desktop":
        camera.shoot(dialog, "flow-summary")
    assert not exchange.control("count", path="/order")
    submit.click()
    done = flow.locator("step-flow-create-entry")
    done.wait_for()
    mode = stage.words["common"]["setup_live"]
    expect(done.locator("input").first).to_have_value(f"Calv-a-lot 127.0.0.1 ({mode})")
    done.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile("/calv-a-lot"))
    page.locator("calvalot-portfolio-card").first.wait_for()
    assert list(_dashboards(stage).values()).count("Calv-a-lot") == 1


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_options(shown: Shown, page: Page) -> None:
    """Sections, that of several sources where there are some; a refusal names the field; the switch beside the address stays in."""
    words = shown.words["options"]["step"]["init"]["sections"]
    page.goto(f"/config/integrations/integration/calvalot#config_entry={shown.entry_id}")
    # The first button folds the row out, the second one configures.
    page.locator("ha-config-entry-row ha-icon-button").nth(1).click()
    flow = page.locator("dialog-data-entry-flow")
    dialog = flow.locator("dialog")
    for key, section in words.items():
        expect(flow.get_by_text(section["name"], exact=True).first).to_be_visible(visible=key != "blend")
    flow.get_by_text(words["connection"]["name"], exact=True).first.click()
    address = flow.locator("ha-selector-text textarea").last
    address.scroll_into_view_if_needed()
    expect(address).to_have_value(re.compile("/api/webhook/[0-9a-f]{64}$"))
    switch = flow.locator("ha-selector-boolean ha-switch").last
    expect(switch).to_be_visible()
    box, frame = switch.bounding_box(), dialog.bounding_box()
    assert box
    assert frame
    assert frame["x"] <= box["x"]
    assert box["x"] + box["width"] <= frame["x"] + frame["width"]

    interval = flow.locator("ha-selector-number input").last
    interval.fill("7")
    flow.locator("ha-button[slot=primaryAction]").click()
    name = words["connection"]["data"]["poll_interval"]
    alert = flow.locator("ha-alert").filter(has_text=name)
    expect(alert).to_be_visible()
    expect(alert).to_contain_text("30")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_ranks(shown: Shown, page: Page, camera: Camera, size: str) -> None:
    """Limit, key, what becomes of a coin that drops out, and which coin is meant; a limit without a key is refused at the field."""
    words = shown.words["options"]
    rank = words["step"]["init"]["sections"]["rank"]
    page.goto(f"/config/integrations/integration/calvalot#config_entry={shown.entry_id}")
    page.locator("ha-config-entry-row ha-icon-button").nth(1).click()
    flow = page.locator("dialog-data-entry-flow")
    section = flow.locator("ha-form-expandable").filter(has_text=rank["name"])
    section.get_by_text(rank["name"], exact=True).first.click()
    for text in (*rank["data"].values(), *rank["data_description"].values()):
        expect(section.get_by_text(text).first).to_be_visible()
    section.locator("ha-selector-number input").first.fill("100")
    section.scroll_into_view_if_needed()
    camera.shoot(section, f"ranks-{size}")
    flow.locator("ha-button[slot=primaryAction]").click()
    expect(flow.get_by_text(words["error"]["rank_key_missing"]).first).to_be_visible()
    camera.shoot(flow.locator("dialog"), f"ranks-refused-{size}")


def test_triggers_are_found(shown: Shown, page: Page) -> None:
    """Who types the first letters of the name finds all triggers in the automation editor."""
    page.goto("/config/automation/edit/new")
    page.locator("ha-automation-trigger ha-button").first.click()
    dialog = page.locator("add-automation-element-dialog")
    dialog.locator("input").first.fill("calv")
    dialog.locator("ha-filter-chip").first.click()
    names = [text["name"] for text in shown.words["triggers"].values()]
    for name in names:
        expect(dialog.get_by_text(name, exact=True).first).to_be_visible()
