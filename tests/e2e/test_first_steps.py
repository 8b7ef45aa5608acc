"""A newcomer's way: from an empty Home Assistant to the first executed signal, all in the browser."""

from collections.abc import Iterator
import re

from playwright.sync_api import Page, expect
import pytest

from .cards import activity, open_dashboard
from .conftest import REASONING, SIZES, Camera, Stage, running_stage

TARGETS = {"BTC": "0.4", "ETH": "0.3", "SOL": "0.1"}
ICON_IS_THERE = """() => {
    const dialog = document.querySelector("home-assistant").shadowRoot.querySelector("dialog-add-integration");
    const images = [];
    const look = (root) => root.querySelectorAll("*").forEach((element) => {
        if (element.localName === "img") images.push(element);
        if (element.shadowRoot) look(element.shadowRoot);
    });
    look(dialog.shadowRoot);
    return images.length > 0 && images.every((image) => image.complete && image.naturalWidth);
}"""


@pytest.fixture(scope="module", params=["en", "fr"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Start a Home Assistant of our own, where nothing was set up before."""
    with running_stage(request.param) as stage:
        yield stage


def _entry(stage: Stage) -> dict[str, str]:
    (entry,) = stage.home.get("config/config_entries/entry?domain=calvalot")
    return entry


def test_from_nothing_to_the_first_signal(stage: Stage, page: Page, camera: Camera) -> None:
    """Add integration, leader with a wrong and the right secret, exchange, budget, device, dashboard."""
    words = stage.words
    stage.leader.control("publish_v2", targets=TARGETS, **REASONING[stage.language])

    page.set_viewport_size({"width": 900, "height": 260})
    page.goto("/config/integrations/dashboard")
    page.locator("ha-button[slot=fab]").click()
    search = page.locator("dialog-add-integration")
    search.locator("input").first.fill("calv")
    found = search.get_by_text("Calv-a-lot")
    expect(found).to_be_visible()
    page.wait_for_function(ICON_IS_THERE)
    camera.shoot(search.locator("dialog"), "first-search")
    found.click()
    page.set_viewport_size(SIZES["desktop"])

    flow = page.locator("dialog-data-entry-flow")
    dialog = flow.locator("dialog")
    submit = flow.locator("ha-button[slot=primaryAction]")
    steps = words["config"]["step"]
    leader = flow.get_by_text(steps["user"]["menu_options"]["leader"])
    expect(leader).to_be_visible()
    camera.shoot(dialog, "first-menu")
    leader.click()

    flow.locator("input[name=leader_url]").fill(stage.leader.url)
    flow.locator("input[name=signal_secret]").fill("not the secret")
    submit.click()
    expect(flow.get_by_text(words["config"]["error"]["invalid_auth"])).to_be_visible()
    expect(flow.get_by_text(steps["leader"]["data_description"]["signal_secret"], exact=True)).to_be_visible()
    camera.shoot(dialog, "first-wrong-secret")
    flow.locator("input[name=signal_secret]").fill(stage.leader.ready["secret"])
    submit.click()

    flow.locator("input[name=exchange_url]").fill(stage.exchange.url)
    submit.click()

    expect(flow.locator("ha-selector-number input")).to_have_value("1000")
    submit.click()
    done = flow.locator("step-flow-create-entry")
    done.wait_for()
    mode = words["common"]["setup_dry_run"]
    expect(done.locator("input").first).to_have_value(f"Calv-a-lot 127.0.0.1 ({mode})")
    camera.shoot(dialog, "first-success")
    done.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile("/calv-a-lot"))
    expect(dialog).to_be_hidden()

    entry_id = _entry(stage)["entry_id"]
    (devices,) = stage.home.commands({"type": "config/device_registry/list"})
    device_id = next(each["id"] for each in devices if entry_id in each["config_entries"])
    page.goto(f"/config/devices/device/{device_id}")
    entities = words["entity"]
    expect(page.get_by_text(entities["sensor"]["total_value"]["name"], exact=True).first).to_be_visible()
    expect(page.get_by_text(entities["switch"]["pause"]["name"], exact=True).first).to_be_visible()
    camera.shoot(page, "first-device")

    open_dashboard(page, "/calv-a-lot")
    executed = words["entity"]["sensor"]["last_signal_result"]["state"]["executed"]
    first = activity(page).locator(".item").filter(has_text=executed).last
    expect(first).to_be_visible()
    first.locator("summary, button").first.click()
    for coin in TARGETS:
        expect(activity(page)).to_contain_text(coin)
    camera.shoot(page, "first-dashboard")
    book = stage.home.ask("calvalot.get_portfolio")
    assert {position["coin"] for position in book["positions"]} == TARGETS.keys()
    assert book["net_deposits"] == "1000"
