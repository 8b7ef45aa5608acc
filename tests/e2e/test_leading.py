"""A portfolio that leads: its page as a follower reads it, and the link as a follower puts it in."""

from collections.abc import Iterator
from dataclasses import dataclass

from playwright.sync_api import Page, expect
import pytest

from custom_components.calvalot.trading.leading.keys import SigningKey, fingerprint
from custom_components.calvalot.trading.leading.link import read_link
from harness.forms import add_allocation, let_follow
from harness.waiting import wait_for

from .cards import AXE
from .conftest import Camera, Stage
from .entries import entry_ids, entry_titles


@dataclass(frozen=True, slots=True)
class Leads:
    """A portfolio that leads, and the link of one who may follow."""

    entry_id: str
    link: str


@pytest.fixture
def leads(stage: Stage) -> Iterator[Leads]:
    """Have a portfolio on paper publish, which has changed its mind since."""
    before = entry_ids(stage.home)
    entry_id = add_allocation(stage.home, stage.exchange, {"BTC": 60, "ETH": 30})
    link = let_follow(stage.home, entry_id)
    for shares in ({"BTC": 60, "ETH": 30}, {"BTC": 20, "SOL": 50}):
        stage.home.action("calvalot.set_allocation", config_entry_id=entry_id, allocation=shares)
        stage.home.action("calvalot.rebalance", config_entry_id=entry_id)
    yield Leads(entry_id, link)
    for added in entry_ids(stage.home) - before:
        stage.home.delete(f"config/config_entries/entry/{added}")


def violations(page: Page) -> object:
    """What axe-core finds wrong with the whole page."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return page.evaluate(
        "async () => (await axe.run()).violations.map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)])"
    )


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_page(stage: Stage, leads: Leads, page: Page, camera: Camera, size: str, scheme: str) -> None:
    """The figures stand there with the secret of the link, and the browser has checked the chain and its signatures."""
    words = stage.words["common"]
    page.goto(leads.link)
    expect(page.get_by_role("heading", level=1)).to_have_text(words["leader_page_title"])
    expect(page.get_by_text(words["leader_page_chain_holds"])).to_be_visible()
    expect(page.get_by_text(words["leader_page_signatures_hold"])).to_be_visible()
    expect(page.get_by_text(words["leader_page_dry_run"])).to_be_visible()
    row = page.get_by_role("row").filter(has_text=words["leader_page_publications"])
    assert int(row.get_by_role("cell").inner_text()) > 1
    expect(page.get_by_role("row").filter(has_text=words["leader_page_allowed"]).get_by_role("cell")).to_have_text("1")
    assert page.evaluate("document.documentElement.lang") == stage.language
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not violations(page)
    camera.shoot(page, f"leader-page-{size}")


@pytest.mark.parametrize("scheme", ["light"])
def test_page_that_proves_nothing(stage: Stage, leads: Leads, page: Page, scheme: str) -> None:
    """Without the secret nothing is shown; with another key than the leader signs with the browser says not to follow."""
    words = stage.words["common"]
    url, _, _ = leads.link.partition("#")
    page.goto(url)
    expect(page.get_by_text(words["leader_page_no_secret"])).to_be_visible()
    key = SigningKey().public
    page.goto("about:blank")
    page.goto(leads.link.replace(read_link(leads.link).key, key))
    expect(page.get_by_text(words["leader_page_error_chain"])).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_link_is_followed_in_the_browser(stage: Stage, leads: Leads, page: Page, camera: Camera, size: str) -> None:
    """The link goes into the field for the address as a whole; then the follower holds what the leader holds, and checks it."""
    words = stage.words["config"]
    before = entry_ids(stage.home)
    page.goto("/config/integrations/dashboard/add?domain=calvalot")
    page.locator("dialog-box ha-button[slot=primaryAction]").click()
    flow = page.locator("dialog-data-entry-flow")
    submit = flow.locator("ha-button[slot=primaryAction]")
    flow.get_by_text(words["step"]["user"]["menu_options"]["leader"]).click()
    field = flow.locator("input[name=leader_url]")
    field.fill(leads.link[:-8])
    submit.click()
    expect(flow.get_by_text(words["error"]["invalid_link"])).to_be_visible()
    field.fill(leads.link)
    camera.shoot(flow.locator("dialog"), f"leader-link-{size}")
    submit.click()
    flow.locator("input[name=exchange_url]").fill(stage.exchange.url)
    submit.click()
    flow.locator("ha-selector-number input").fill("1000")
    submit.click()
    flow.locator("step-flow-create-entry").wait_for()
    submit.click()
    expect(flow.locator("dialog")).to_be_hidden()
    (entry_id,) = entry_ids(stage.home) - before

    def held() -> dict[str, float]:
        portfolio = stage.home.ask("calvalot.get_portfolio", config_entry_id=entry_id)
        return {each["coin"]: round(each["weight"], 1) for each in portfolio["positions"]}

    wait_for(lambda: held() == {"BTC": 0.2, "SOL": 0.5}, "what the leader holds")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_somebody_is_let_follow_in_the_browser(
    stage: Stage, leads: Leads, page: Page, camera: Camera, size: str
) -> None:
    """What the follower is to be given stands on the last page, with a code to scan and the fingerprint of the key."""
    words = stage.words["config_subentries"]["publisher"]
    page.goto(f"/config/integrations/integration/calvalot#config_entry={leads.entry_id}")
    page.get_by_role("button", name=words["initiate_flow"]["user"]).first.click()
    titles = entry_titles(stage.home)
    if len(titles) > 1:  # it asks for which one
        page.locator("dialog-pick-config-entry").get_by_text(titles[leads.entry_id], exact=True).click()
    flow = page.locator("dialog-data-entry-flow")
    submit = flow.locator("ha-button[slot=primaryAction]")
    flow.get_by_text(words["step"]["user"]["menu_options"]["http"]).click()
    flow.locator("input[name=follower]").fill("Bob")
    camera.shoot(flow.locator("dialog"), f"publisher-{size}")
    submit.click()
    expect(flow.locator("ha-qr-code canvas")).to_be_visible()
    print_ = fingerprint(read_link(leads.link).key)
    expect(flow.get_by_text(print_)).to_be_visible()
    camera.shoot(flow.locator("dialog"), f"publisher-copy-{size}")
    submit.click()
    flow.locator("step-flow-create-entry").wait_for()
    submit.click()
    expect(flow.locator("dialog")).to_be_hidden()
