"""The demo's dashboard, used."""

from playwright.sync_api import Locator, Page, expect
import pytest

from demo.dashboard import WORDS

from .conftest import Camera, Shown

STATE_IN_BROWSER = "id => document.querySelector('home-assistant')?.hass?.states?.[id]?.state"


def _open(page: Page, shown: Shown) -> None:
    """Open the first page and wait until its figures are there."""
    page.goto("/")
    page.wait_for_url("**/calv-a-lot/portfolio*")
    expect(_tile(page, shown, "total_value")).to_contain_text("EUR")


def _tile(page: Page, shown: Shown, key: str) -> Locator:
    """The tile of an entity, found by the name that it shows."""
    domain, name = shown.ids[key].split(".")[0], key
    words = shown.words["entity"][domain][name]["name"]
    return page.locator("hui-tile-card", has=page.get_by_text(words, exact=True))


def _wait_for_state(page: Page, entity_id: str, state: str) -> None:
    """Wait until the page knows that an entity is in a state."""
    page.wait_for_function(f"([id, state]) => ({STATE_IN_BROWSER})(id) === state", arg=[entity_id, state])


def test_dashboard_shows_what_the_follower_holds(shown: Shown, page: Page, camera: Camera) -> None:
    """The figures are the actions' figures, the curve is drawn, each coin has its place."""
    _open(page, shown)
    for coin in ("BTC", "ETH", "BNB", "SOL", "XRP"):
        tile = page.locator("hui-tile-card", has=page.get_by_text(coin, exact=True))
        expect(tile).to_contain_text("USDC")
        assert float(shown.home.state(shown.ids[f"{coin.lower()}_value"])) > 100
    expect(page.locator("hui-history-graph-card canvas").first).to_be_visible()
    expect(page.locator("hui-distribution-card li")).to_have_count(6)
    expect(page.locator("hui-error-card, hui-warning")).to_have_count(0)
    camera.shoot(page, "dashboard")


def test_pause_stops_trading_and_resuming_takes_the_signal_up(shown: Shown, page: Page) -> None:
    """The switch on the dashboard acts; a signal of the pause is executed once it is over."""
    _open(page, shown)
    status = shown.words["entity"]["sensor"]["status"]["state"]
    badge = page.locator("hui-heading-badge, hui-heading-entity").first
    toggle = _tile(page, shown, "pause").locator("ha-control-switch")
    toggle.click()
    expect(badge).to_contain_text(status["paused"])

    trades = len(shown.home.ask("calvalot.get_trades")["trades"])
    shown.leader.control("publish_v2", targets={"BTC": "0.3", "ETH": "0.3", "BNB": "0.1"})
    shown.home.action("button.press", entity_id=shown.ids["poll"])
    assert len(shown.home.ask("calvalot.get_trades")["trades"]) == trades

    toggle.click()
    expect(badge).to_contain_text(status["active"])
    shown.home.action("button.press", entity_id=shown.ids["poll"])
    assert len(shown.home.ask("calvalot.get_trades")["trades"]) > trades


def test_new_signal_appears_without_reload(shown: Shown, page: Page) -> None:
    """The poll button fetches it, and the page tells what became of it."""
    _open(page, shown)
    words = shown.words["entity"]["event"]
    activity = page.locator("hui-logbook-card")
    known = page.evaluate(STATE_IN_BROWSER, shown.ids["signal"])
    page.evaluate("window.stillTheSamePage = true")
    signal_id = shown.leader.control("publish_v2", targets={"BTC": "0.2", "SOL": "0.4"})
    _tile(page, shown, "poll").get_by_role("button").first.click()
    page.wait_for_function(f"([id, known]) => ({STATE_IN_BROWSER})(id) !== known", arg=[shown.ids["signal"], known])
    _wait_for_state(page, shown.ids["last_signal_result"], "executed")
    expect(activity).to_contain_text(words["signal"]["state_attributes"]["event_type"]["state"]["executed"])
    assert page.evaluate("window.stillTheSamePage")
    assert shown.home.ask("calvalot.get_signals", limit=1)["signals"][0]["signal_id"] == signal_id


@pytest.mark.parametrize("size", ["phone"])
def test_dashboard_fits_a_phone(shown: Shown, page: Page, camera: Camera) -> None:
    """One column, nothing cut off at the side."""
    _open(page, shown)
    expect(page.locator("hui-history-graph-card canvas").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    tiles = [tile.bounding_box() for tile in page.locator("hui-tile-card").all()]
    assert all(tile and tile["x"] >= 0 and tile["x"] + tile["width"] <= 390 for tile in tiles)
    camera.shoot(page, "phone")


def test_words_are_in_the_language_of_the_house(shown: Shown, page: Page) -> None:
    """Headings and states are not mixed."""
    _open(page, shown)
    words = WORDS[shown.language]
    headings = page.locator("hui-heading-card")
    for word in ("portfolio", "positions", "leader", "activity"):
        expect(headings.filter(has_text=words[word])).to_have_count(1)
    expect(page.locator("hui-heading-card").first).to_contain_text(
        shown.words["entity"]["sensor"]["status"]["state"]["active"]
    )
