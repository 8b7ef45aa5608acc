"""The set-up as its owner sees it."""

from collections.abc import Iterator
from decimal import Decimal
import re

from playwright.sync_api import Page, expect
import pytest

from harness.forms import add_follower, entities
from harness.http import ApiError
from harness.simulated import Simulator, simulators
from harness.waiting import wait_for

from .conftest import Camera, Stage
from .entries import entry_ids, entry_titles


@pytest.fixture
def clean(stage: Stage) -> Iterator[None]:
    """Remove the followers that a test has added."""
    before = entry_ids(stage.home)
    yield
    for entry_id in entry_ids(stage.home) - before:
        stage.home.delete(f"config/config_entries/entry/{entry_id}")


@pytest.fixture
def others() -> Iterator[tuple[Simulator, Simulator]]:
    """Start a leader and an exchange that no follower knows yet."""
    with simulators() as pair:
        yield pair


@pytest.mark.usefixtures("clean")
def test_follower_is_set_up_in_the_browser(
    stage: Stage, others: tuple[Simulator, Simulator], page: Page, camera: Camera
) -> None:
    """Menu, leader with a wrong and the right secret, exchange, budget; then the follower holds what the leader holds."""
    words = stage.words["config"]
    before = entry_ids(stage.home)
    leader, exchange = others
    leader.control("publish_v2", targets={"BTC": "0.5"})
    page.goto("/config/integrations/dashboard/add?domain=calvalot")
    page.locator("dialog-box ha-button[slot=primaryAction]").click()
    flow = page.locator("dialog-data-entry-flow")
    submit = flow.locator("ha-button[slot=primaryAction]")
    dialog = flow.locator("dialog")

    flow.get_by_text(words["step"]["user"]["menu_options"]["leader"]).click()
    flow.locator("input[name=leader_url]").fill(leader.url)
    flow.locator("input[name=signal_secret]").fill("not the secret")
    camera.shoot(dialog, "flow-leader")
    submit.click()
    expect(flow.get_by_text(words["error"]["invalid_auth"])).to_be_visible()
    expect(flow.locator("input[name=leader_url]")).to_have_value(leader.url)
    flow.locator("input[name=signal_secret]").fill(leader.ready["secret"])
    submit.click()

    expect(flow.locator("input[name=exchange_url]")).to_have_value("https://api.binance.com")
    camera.shoot(dialog, "flow-exchange")
    flow.locator("input[name=exchange_url]").fill(exchange.url)
    submit.click()

    flow.locator("ha-selector-number input").fill("1000")
    camera.shoot(dialog, "flow-budget")
    submit.click()
    flow.locator("step-flow-create-entry").wait_for()
    submit.click()
    expect(flow.locator("dialog")).to_be_hidden()

    (entry_id,) = entry_ids(stage.home) - before
    ids = entities(stage.home, entry_id)
    portfolio = stage.home.ask("calvalot.get_portfolio", config_entry_id=entry_id)
    assert portfolio["mode"] == "dry_run"
    assert Decimal(portfolio["net_deposits"]) == 1000
    assert [position["coin"] for position in portfolio["positions"]] == ["BTC"]
    assert stage.home.state(ids["leader_connected"]) == "on"


def put_row(page: Page, coin: str, share: str) -> None:
    """Add a row to the coins and shares."""
    page.locator("ha-selector-object .items-container > ha-button").click()
    row = page.locator("dialog-form")
    row.locator("ha-selector-text input").fill(coin)
    row.locator("ha-selector-number input").fill(share)
    row.locator("ha-button[slot=primaryAction]").click()
    expect(row.locator("dialog")).to_be_hidden()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_own_allocation_is_set_up_in_the_browser(
    stage: Stage, others: tuple[Simulator, Simulator], page: Page, size: str
) -> None:
    """Whatever is wrong stands on the rows, with the row that is meant, and the rows stay; then it is bought."""
    words = stage.words["config"]
    before = entry_ids(stage.home)
    _, exchange = others
    page.goto("/config/integrations/dashboard/add?domain=calvalot")
    page.locator("dialog-box ha-button[slot=primaryAction]").click()
    flow = page.locator("dialog-data-entry-flow")
    submit = flow.locator("ha-dialog-footer ha-button[slot=primaryAction]")

    kind = words["step"]["user"]
    expect(flow.get_by_text(kind["menu_option_descriptions"]["allocation"])).to_be_visible()
    flow.get_by_text(kind["menu_options"]["allocation"]).click()
    rows = flow.locator("ha-selector-object .item")
    error = flow.locator("ha-form ha-alert")
    put_row(page, "BTC", "60")
    put_row(page, "ETH", "-5")
    submit.click()
    expect(error).to_contain_text(words["error"]["share_invalid"].format(row=2, coin="ETH"))
    expect(rows).to_have_text([re.compile(r"BTC\s+60\s?%"), re.compile(r"ETH\s+-5\s?%")])
    rows.nth(1).locator("ha-icon-button").last.click()
    put_row(page, "NOSUCH", "50")
    submit.click()
    expect(error).to_contain_text(words["error"]["allocation_sum"].format(sum=110))
    rows.nth(1).locator("ha-icon-button").last.click()
    put_row(page, "NOSUCH", "30")
    submit.click()

    flow.locator("input[name=exchange_url]").fill(exchange.url)
    submit.click()
    flow.locator("ha-selector-number input").first.fill("1000")
    submit.click()
    # Only now it is known what the exchange trades.
    expect(error).to_contain_text(words["error"]["unknown_coin"].format(coins="NOSUCH"))
    rows.nth(1).locator("ha-icon-button").last.click()
    put_row(page, "ETH", "30")
    submit.click()
    expect(flow.locator("ha-selector-number input").first).to_have_value("1000")
    submit.click()
    flow.locator("step-flow-create-entry").wait_for()
    submit.click()
    expect(flow.locator("dialog")).to_be_hidden()

    (entry_id,) = entry_ids(stage.home) - before
    portfolio = stage.home.ask("calvalot.get_portfolio", config_entry_id=entry_id)
    assert {each["coin"]: round(each["weight"], 1) for each in portfolio["positions"]} == {"BTC": 0.6, "ETH": 0.3}
    assert "leader_connected" not in entities(stage.home, entry_id)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_further_source_is_added_in_the_browser(
    stage: Stage, others: tuple[Simulator, Simulator], page: Page, camera: Camera, size: str
) -> None:
    """Beside a leader an own allocation: a weight that is too large is refused on its field, then both are held as one."""
    words = stage.words["config_subentries"]["allocation"]
    leader, exchange = others
    leader.control("publish_v2", targets={"SOL": "1"})
    entry_id = add_follower(stage.home, leader, exchange, live=False)
    page.goto(f"/config/integrations/integration/calvalot?config_entry={entry_id}")
    page.get_by_role("button", name=words["initiate_flow"]["user"]).last.click()
    titles = entry_titles(stage.home)
    if len(titles) > 1:  # it asks for which one
        page.locator("dialog-pick-config-entry").get_by_text(titles[entry_id], exact=True).click()
    flow = page.locator("dialog-data-entry-flow")
    submit = flow.locator("ha-dialog-footer ha-button[slot=primaryAction]")
    put_row(page, "BTC", "100")
    camera.shoot(flow.locator("dialog"), f"flow-further-source-{size}")
    flow.locator("ha-selector-number input").first.fill("100")
    submit.click()
    expect(flow.locator("ha-form")).to_contain_text(words["error"]["weight_sum"].format(left=100))
    flow.locator("ha-selector-number input").first.fill("40")
    submit.click()
    flow.locator("step-flow-create-entry").wait_for()
    submit.click()
    expect(flow.locator("dialog")).to_be_hidden()

    def weights() -> dict[str, float]:
        try:
            portfolio = stage.home.ask("calvalot.get_portfolio", config_entry_id=entry_id)
        except ApiError:  # it is being loaded anew with the further source
            return {}
        return {each["coin"]: round(each["weight"], 1) for each in portfolio["positions"]}

    wait_for(lambda: weights() == {"SOL": 0.6, "BTC": 0.4}, "both are held as one")
