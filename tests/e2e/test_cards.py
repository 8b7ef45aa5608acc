"""The cards, used."""

from collections.abc import Iterator
import re

from playwright.sync_api import Page, expect
import pytest

from harness.forms import add_follower, tune

from .cards import TOLERANCE, activity, difference, newest, open_dashboard, portfolio, positions, signal_ids, violations
from .conftest import Shown

pytestmark = pytest.mark.parametrize("stage", ["en"], indirect=True, scope="session")

NAMES = (
    *("portfolio", "positions", "plan", "trade", "activity"),
    *("market", "alerts", "performance", "tile", "reports", "strategies", "backtests"),
)
# Top and right edge of each cell of a table.
EDGES = """(table) => [...table.rows].map((row) => [...row.cells].map((cell) => {
    const { top, right } = cell.getBoundingClientRect();
    return [Math.round(top), Math.round(right)];
}))"""
BAD_WORDS = '<img src=x onerror="window.fooled = true"><b>Buy!</b>'


def _status(page: Page, text: str) -> None:
    expect(portfolio(page).locator(".chip").first).to_have_text(text)


def test_period_buttons_change_the_curve(shown: Shown, page: Page) -> None:
    """Each period has a curve of its own; the year shows what was paid in and taken out."""
    open_dashboard(page)
    curves, changes = set(), []
    for name in ("1d", "1w", "1m", "3m", "1y", "all"):
        button = portfolio(page).locator(f"[data-period='{name}']")
        before = portfolio(page).locator(".curve").get_attribute("d")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        if name != "1m":
            expect(portfolio(page).locator(".curve")).not_to_have_attribute("d", before or "")
        curves.add(portfolio(page).locator(".curve").get_attribute("d"))
        changes.append(portfolio(page).locator(".of-period dl").inner_text())
    assert len(curves) == 6
    assert len(set(changes[:4])) == 4
    assert all("€" in change and "%" in change for change in changes)
    earned = portfolio(page).locator(".of-period dd").first.inner_text()
    expect(portfolio(page).locator(".gain")).to_contain_text(earned)
    expect(portfolio(page).locator("[data-fact='profit'] .figure")).to_have_text(earned)
    expect(portfolio(page).locator("[aria-pressed='true']")).to_have_count(1)
    expect(portfolio(page).locator(".flow.in")).to_have_count(3)
    expect(portfolio(page).locator(".flow.out")).to_have_count(1)
    book = shown.home.ask("calvalot.get_portfolio")
    percent = f"{abs(float(book['profit_loss_percent'])):.1f}%"
    expect(portfolio(page).locator(".gain")).to_contain_text(percent)
    expect(portfolio(page).locator(".of-period dd").last).to_have_text(f"{float(book['time_weighted_return']):+.1f}%")


def test_curve_is_read_with_the_keys(shown: Shown, page: Page) -> None:
    """The arrow keys move along the curve, and what is there is said."""
    open_dashboard(page)
    chart = portfolio(page).get_by_role("slider")
    chart.focus()
    last = chart.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowLeft")
    expect(portfolio(page).locator(".tip strong")).to_contain_text("€")
    expect(chart).not_to_have_attribute("aria-valuetext", last or "")
    page.keyboard.press("Home")
    expect(chart).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("Escape")
    expect(portfolio(page).locator(".tip")).to_be_hidden()


def test_positions_are_sorted(shown: Shown, page: Page) -> None:
    """By value at first; a click or a key sorts by something else, a second one the other way round."""
    open_dashboard(page)
    names = positions(page).locator("tbody .name b")
    book = shown.home.ask("calvalot.get_portfolio")["positions"]
    by_value = [each["coin"] for each in sorted(book, key=lambda each: -float(each["value"]))]
    expect(names).to_have_text([*by_value, "Cash"])
    by_name = positions(page).get_by_role("button", name="Coin")
    by_name.focus()
    page.keyboard.press("Enter")
    expect(names).to_have_text([*sorted(by_value), "Cash"])
    page.keyboard.press("Enter")
    expect(names).to_have_text([*sorted(by_value, reverse=True), "Cash"])
    expect(positions(page).get_by_role("columnheader", name="Coin")).to_have_attribute("aria-sort", "descending")
    weights = positions(page).locator("tbody tr", has=page.get_by_text("BTC", exact=True)).locator(".hidden")
    expect(weights).to_have_text(re.compile(r"of the portfolio, target 40\.0%"))


def test_pause_stops_trading_and_resuming_takes_the_signal_up(shown: Shown, page: Page) -> None:
    """The button acts; a signal of the pause is executed once it is over."""
    open_dashboard(page)
    button = portfolio(page).locator(".pause")
    button.click()
    _status(page, "Paused")
    expect(button).to_have_text("Resume")
    assert shown.home.state(shown.ids["pause"]) == "on"
    signal_id = shown.leader.control("publish_v2", targets={"BTC": "0.3", "ETH": "0.3", "BNB": "0.1"})
    shown.poll()
    assert signal_ids(shown) != [signal_id]
    button.click()
    _status(page, "Active")
    shown.poll()
    assert signal_ids(shown) == [signal_id]
    expect(newest(page)).to_have_attribute("data-signal", signal_id)


def test_new_signal_appears_without_reload(shown: Shown, page: Page) -> None:
    """It shows up on its own, what the leader wrote is text and nothing else, its trades are there."""
    open_dashboard(page)
    page.evaluate("window.stillTheSamePage = true")
    signal_id = shown.leader.control("publish_v2", targets={"BTC": "0.2", "SOL": "0.4"}, reasoning=BAD_WORDS)
    shown.poll()
    item = newest(page)
    expect(item).to_have_attribute("data-signal", signal_id)
    expect(item).to_contain_text("Executed")
    expect(item.locator(".reasoning")).to_have_text(BAD_WORDS)
    expect(item.locator("img")).to_have_count(0)
    more = item.get_by_role("button", name="Details")
    expect(more).to_have_attribute("aria-expanded", "false")
    more.press("Enter")
    expect(more).to_have_attribute("aria-expanded", "true")
    trades = shown.home.ask("calvalot.get_trades", limit=20)["trades"]
    expect(item.locator("tbody tr")).to_have_count(sum(trade["signal_id"] == signal_id for trade in trades))
    expect(item.locator("code")).to_have_text(signal_id)
    assert page.evaluate("window.stillTheSamePage")
    assert not page.evaluate("window.fooled")
    assert not violations(page)


def test_amounts_have_their_unit_and_times_go_on(shown: Shown, page: Page) -> None:
    """Nobody takes an amount for a quantity; what was a moment ago is not so for ever."""
    open_dashboard(page)
    tags = activity(page).locator(".tag", has=page.locator("b"))
    tags.first.wait_for()
    assert all(re.search(r"[\d.,]+\s+USDC$", each) for each in tags.all_inner_texts()), tags.all_inner_texts()
    time = newest(page).locator("time")
    time.evaluate("(each) => { each.dateTime = new Date(Date.now() - 2 * 3600e3).toISOString(); }")
    expect(time).to_have_text("2 hours ago")


def test_what_was_left_out_is_explained(shown: Shown, page: Page) -> None:
    """A buy that is too small says so in plain words."""
    open_dashboard(page)
    actions = [("XRP", "BUY", "0.001"), ("BTC", "BUY", "0.05")]
    signal_id = shown.leader.control("publish_v1", actions=actions)
    shown.poll()
    expect(newest(page)).to_have_attribute("data-signal", signal_id)
    newest(page).get_by_role("button", name="Details").click()
    expect(newest(page).locator(".more")).to_contain_text("Buy XRP: Under the smallest order")


@pytest.mark.parametrize("size", ["phone"])
def test_details_fit_on_a_phone(shown: Shown, page: Page, size: str) -> None:
    """Each trade is one row of a table, under the heads of its columns."""
    open_dashboard(page)
    for targets in ({"BTC": "0.5"}, {"BTC": "0.3", "ETH": "0.2"}):
        shown.leader.control("publish_v2", targets=targets)
        shown.poll()
    expect(newest(page).locator(".tag")).to_have_count(2)
    newest(page).locator(".unfold").click()
    table = newest(page).locator(".more table")
    expect(table.locator("tbody tr")).to_have_count(2)
    head, *rows = table.evaluate(EDGES)
    for row in rows:
        assert len({top for top, _ in row}) == 1
        assert [right for _, right in row] == [right for _, right in head]


def test_activity_goes_back_to_the_beginning(shown: Shown, page: Page) -> None:
    """Scrolling loads page after page, until the initial budget."""
    open_dashboard(page)
    items = activity(page).locator("[data-signal]")
    everything = signal_ids(shown, 1000)
    assert len(everything) > 60
    end = activity(page).locator(".end")
    while not end.is_disabled():
        known = items.count()
        end.scroll_into_view_if_needed()
        expect(items.nth(known).or_(activity(page).locator(".end:disabled")).first).to_be_attached()
    expect(items).to_have_count(len(everything))
    assert [item.get_attribute("data-signal") for item in items.all()] == everything
    flows = shown.home.ask("calvalot.get_cash_flows", config_entry_id=shown.entry_id)["cash_flows"]
    expect(activity(page).locator("[data-flow]")).to_have_count(len(flows))
    expect(activity(page).locator(".item").last).to_contain_text("Initial budget")


@pytest.fixture
def limited(shown: Shown) -> Iterator[None]:
    """Set limits."""
    tune(shown.home, shown.entry_id, stop_loss_drawdown=80, max_trades_per_day=99)
    yield
    tune(shown.home, shown.entry_id, stop_loss_drawdown=None, max_trades_per_day=None)


@pytest.mark.usefixtures("limited")
def test_limits_are_shown(shown: Shown, page: Page) -> None:
    """With how far it is to the stop loss."""
    open_dashboard(page)
    shown.poll()
    told = re.compile(r"Limits: pauses after a fall of 80% \(now \d+\.\d%\) · at most 99 trades a day")
    expect(portfolio(page).locator(".limits")).to_have_text(told)
    assert not violations(page)


@pytest.fixture
def asking(shown: Shown) -> Iterator[None]:
    """Let the owner be asked."""
    tune(shown.home, shown.entry_id, approval="ask")
    yield
    tune(shown.home, shown.entry_id, approval="automatic")


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize(("button", "result"), [("Approve", "Executed"), ("Reject", "Skipped")])
def test_signal_waits_for_its_owner(shown: Shown, page: Page, size: str, button: str, result: str) -> None:
    """First of all stands what would be traded and until when one may decide; the word that is given counts."""
    open_dashboard(page)
    coin = {"phone": "BNB", "desktop": "BTC"}[size]
    targets = {"Approve": {coin: "0.5", "ETH": "0.1"}, "Reject": {"SOL": "0.5", coin: "0.2"}}[button]
    signal_id = shown.leader.control("publish_v2", targets=targets)
    shown.poll()
    item = activity(page).locator(f"[data-signal='{signal_id}']")
    expect(item).to_contain_text("Waiting for you")
    for card in (activity, portfolio):
        asked = card(page).locator(f".ask[data-waits='{signal_id}']")
        expect(asked.locator(".tag").first).to_be_visible()
        expect(asked).to_contain_text(re.compile(r"Until .+ \(in \d+ (minutes|hours?)\)"))
        expect(asked.get_by_role("button")).to_have_text(["Approve", "Reject"])
    expect(asked).to_be_in_viewport(ratio=1)
    assert not violations(page)
    traded = len(shown.home.ask("calvalot.get_trades", limit=1000)["trades"])
    asked.get_by_role("button", name=button).click()
    expect(item.locator(".line")).to_contain_text(result)
    if button == "Reject":
        expect(item.locator(".why")).to_have_text("You rejected it")
    for card in (activity, portfolio):
        expect(card(page).locator(".ask")).to_be_hidden()
    assert (len(shown.home.ask("calvalot.get_trades", limit=1000)["trades"]) > traded) == (button == "Approve")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cards_look_as_before(shown: Shown, page: Page, scheme: str, request: pytest.FixtureRequest) -> None:
    """In both themes; and nobody is left out."""
    targets = {"BTC": "0.35", "ETH": "0.25", "SOL": "0.2", "XRP": "0.1", "BNB": "0.05"}
    shown.leader.control("publish_v2", targets=targets)
    shown.poll()
    open_dashboard(page)
    expect(positions(page).locator("tbody .name b")).to_have_text([*targets, "Cash"])
    expect(activity(page).locator(".item").first).to_be_visible()
    assert page.evaluate("document.querySelector('home-assistant').hass.themes.darkMode") == (scheme == "dark")
    assert not violations(page)
    renew = request.config.getoption("--renew-pictures")
    for name, card in (("portfolio", portfolio), ("positions", positions)):
        assert difference(card(page), f"{name}-{scheme}", renew=renew) <= TOLERANCE, name


def test_unavailable_follower_says_so(shown: Shown, page: Page) -> None:
    """While it is switched off there are no figures, and they come back by themselves."""
    open_dashboard(page)
    command = {"type": "config_entries/disable", "entry_id": shown.entry_id}
    shown.home.commands({**command, "disabled_by": "user"})
    try:
        for card in (portfolio, positions, activity):
            expect(card(page).locator(".message")).to_contain_text("switched off")
        expect(portfolio(page).locator(".value")).to_be_hidden()
        assert not violations(page)
    finally:
        shown.home.commands({**command, "disabled_by": None})
    expect(portfolio(page).locator(".value")).to_be_visible()
    expect(positions(page).locator("tbody tr").first).to_be_visible()
    expect(newest(page)).to_be_visible()


@pytest.fixture
def second(shown: Shown) -> Iterator[str]:
    """Add a second follower."""
    entry_id = add_follower(shown.home, shown.leader, shown.exchange, live=True)
    yield entry_id
    shown.home.delete(f"config/config_entries/entry/{entry_id}")


@pytest.mark.usefixtures("second")
def test_two_followers(shown: Shown, page: Page) -> None:
    """Both at a glance, side by side, and a page for each."""
    open_dashboard(page)
    expect(portfolio(page)).to_have_count(2)
    expect(portfolio(page).nth(1)).to_contain_text("Live")
    first, other = (portfolio(page).nth(number).bounding_box() for number in range(2))
    assert first
    assert other
    assert first["x"] + first["width"] <= other["x"]
    edges = portfolio(page).locator("ha-card")
    expect(edges.nth(1)).to_have_css("border-top-width", "3px")
    expect(edges.nth(0)).not_to_have_css("border-top-width", "3px")
    assert not violations(page)
    page.goto("/calv-a-lot/follower-2")
    expect(portfolio(page)).to_have_count(1)
    expect(portfolio(page)).to_contain_text("Live")
    expect(activity(page).locator(".item").last).to_contain_text("Initial budget")


@pytest.fixture
def own_dashboard(shown: Shown) -> Iterator[str]:
    """Make a dashboard by hand, with one card on it."""
    card = {"type": "custom:calvalot-portfolio-card"}
    view = {"path": "own", "type": "sections", "sections": [{"type": "grid", "cards": [card]}]}
    created, *_ = shown.home.commands(
        {"type": "lovelace/dashboards/create", "url_path": "by-hand", "title": "By hand", "mode": "storage"},
        {"type": "lovelace/config/save", "url_path": "by-hand", "config": {"views": [view]}},
    )
    yield "/by-hand/own"
    shown.home.commands({"type": "lovelace/dashboards/delete", "dashboard_id": created["id"]})


def test_card_editor(shown: Shown, page: Page, own_dashboard: str) -> None:
    """Follower, title and period are picked in a form; the preview follows, and so does the dashboard."""
    open_dashboard(page)  # logging in forgets where one wanted to go
    page.goto(f"{own_dashboard}?edit=1")
    page.wait_for_url("**/by-hand/**")
    page.locator("hui-card-edit-mode").hover()
    page.get_by_role("button", name="Edit card").click()
    dialog = page.locator("hui-dialog-edit-card")
    dialog.locator("input[name=title]").fill("My money")
    preview = dialog.locator("calvalot-portfolio-card")
    expect(preview).to_contain_text("My money")
    for label in ("Portfolio", "Title", "Period shown first"):
        expect(dialog.get_by_text(label, exact=True).first).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("#view").locator("calvalot-portfolio-card")).to_contain_text("My money")
    expect(dialog.locator("calvalot-portfolio-card")).to_have_count(0)
    (config,) = shown.home.commands({"type": "lovelace/config", "url_path": "by-hand"})
    assert config["views"][0]["sections"][0]["cards"][0]["title"] == "My money"


def test_cards_are_offered(shown: Shown, page: Page) -> None:
    """The picker of cards and the dialog for dashboards know them; an entity of the follower suggests them."""
    open_dashboard(page)
    cards = page.evaluate("window.customCards.map(({ type, preview }) => [type, preview])")
    assert cards == [[f"calvalot-{name}-card", True] for name in NAMES]
    assert page.evaluate("window.customStrategies.map(({ type, strategyType }) => [type, strategyType])") == [
        ["calvalot", "dashboard"]
    ]
    suggested = page.evaluate(
        "(id) => window.customCards[0].getEntitySuggestion(document.querySelector('home-assistant').hass, id)",
        shown.ids["total_value"],
    )
    assert suggested["config"] == {"type": "custom:calvalot-portfolio-card", "follower": shown.entry_id}
    nothing = "window.customCards[0].getEntitySuggestion(document.querySelector('home-assistant').hass, 'sun.sun')"
    assert page.evaluate(nothing) is None
