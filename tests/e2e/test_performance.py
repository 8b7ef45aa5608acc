"""The performance view: curves, months, periods, one range for all, amounts hidden; reports made and opened."""

from pathlib import Path
import re

from playwright.sync_api import Locator, Page, expect
import pytest

from .cards import open_dashboard, portfolio, violations
from .conftest import Camera, Shown

# Draws two curves of some days (days after the first one), and tells the corners of each and what is read to the end of it.
DRAW = """async (days) => {
    const { name } = performance.getEntriesByType("resource").find(({ name }) => name.endsWith("/lines.js"));
    const { Lines } = await import(name);
    const format = { percent: (value) => `${value} %`, day: (at) => new Date(at).toISOString(), month: String, time: String };
    const drawn = [];
    for (const low of [false, true]) {
        const lines = new Lines(low);
        lines.element.style = "width: 400px; height: 200px";
        document.body.prepend(lines.element);
        const at = days.map((day) => Date.UTC(2026, 0, 1 + day, 12));
        const values = days.map((_, index) => -index);
        lines.show({ days: at, curves: [{ name: "Own", kind: "own", values }], format, label: "Curves" });
        drawn.push([...lines.element.querySelectorAll("path")].map((path) => path.getAttribute("d")));
        drawn.push(lines.element.getAttribute("aria-valuetext"));
        lines.element.remove();
    }
    return drawn;
}"""


def open_performance(page: Page) -> Locator:
    """Open the view and wait for its figures."""
    open_dashboard(page)
    page.goto(f"{page.url.rsplit('/', 1)[0]}/performance")
    card = page.locator("calvalot-performance-card")
    expect(card.locator(".facts dd").first).to_contain_text("€")
    return card


def test_how_it_does(shown: Shown, page: Page, camera: Camera) -> None:
    """The figures are the action's, and every part is of the range that was chosen."""
    card = open_performance(page)
    told = shown.home.ask("calvalot.get_statistics")
    names = [name for name, each in told["periods"].items() if each]
    buttons = card.locator(".periods button:visible")
    expect(buttons).to_have_count(len(names))
    expect(card.locator(".scroll tbody tr")).to_have_count(len(names))
    expect(card.locator(".heat tbody tr")).to_have_count(len(told["months"]))
    for name in (names[0], "since_start"):
        card.locator(f'.periods [data-period="{name}"]').click()
        expect(card.locator(f'.periods [data-period="{name}"]')).to_have_attribute("aria-pressed", "true")
        expect(card.locator("tr.chosen")).to_have_count(1)
        whole = f"{abs(float(told['periods'][name]['time_weighted'])):.1f}".split(".", maxsplit=1)[0]
        expect(card.locator("tr.chosen td").first).to_contain_text(whole)
    if "30d" in names:
        expect(card.locator(".lines .line.own")).to_have_count(1)
        expect(card.locator(".lines .line.btc")).to_have_count(1)
        drawn = card.locator(".lines .line.own").evaluate("(line) => getComputedStyle(line).stroke")
        assert drawn == card.locator(".legend .own").evaluate("(line) => getComputedStyle(line).borderTopColor")
        expect(card.locator(".low .deep")).to_have_count(1)
        lines = card.locator(".lines:not(.low)")
        lines.focus()
        page.keyboard.press("Home")
        expect(lines.locator(".tip")).to_be_visible()
        assert "%" in (lines.get_attribute("aria-valuetext") or "")
        page.keyboard.press("Escape")
        expect(lines.locator(".tip")).to_be_hidden()
    expect(card.locator(".bars-of div").first).to_be_visible()
    assert not violations(page)
    page.set_viewport_size({"width": 1280, "height": 2300})
    camera.shoot(page, "performance")


@pytest.mark.parametrize(("days", "places"), [((0, 0), [0, 1]), ((0, 0, 1), [0, 0, 1]), ((0, 1, 4), [0, 0.25, 1])])
def test_curves_of_the_first_days(shown: Shown, page: Page, days: tuple[int, ...], places: list[float]) -> None:
    """The start and the close of one day are two points; where there is no other day yet, they stand side by side."""
    open_performance(page)
    curves, told, falls, told_of_falls = page.evaluate(DRAW, list(days))
    assert told == told_of_falls == f"2026-01-0{days[-1] + 1}T12:00:00.000Z, Own {1 - len(days)} %"
    for path in (*curves, falls[-1]):
        across = [float(x) for x in re.findall(r"[ML]([\d.]+) ", path)]
        assert [(x - across[0]) / (across[-1] - across[0]) for x in across] == pytest.approx(places, abs=1e-3)


def test_amounts_are_hidden(shown: Shown, page: Page) -> None:
    """In all cards, and still on the next visit; shares are shown, and amounts again when they are wanted."""
    card = open_performance(page)
    card.locator(".eye").click()
    expect(card.locator(".facts dd").first).to_have_text("•••\u00a0€")
    expect(card.locator(".facts dd").nth(1)).to_contain_text("%")
    page.reload()
    expect(card.locator(".facts dd").first).to_have_text("•••\u00a0€")
    page.goto("/")
    expect(portfolio(page).locator(".value")).to_have_text("•••\u00a0€")
    open_hidden = page.locator("calvalot-positions-card tbody tr").first
    expect(open_hidden).to_contain_text("•••")
    page.go_back()
    expect(card.locator(".eye")).to_have_attribute("aria-pressed", "true")
    card.locator(".eye").click()
    expect(card.locator(".facts dd").first).not_to_contain_text("•••")


def test_reports_are_made_and_opened(shown: Shown, page: Page, camera: Camera) -> None:
    """The month so far: listed, opened with a path that is signed for the moment, deleted."""
    open_performance(page)
    card = page.locator("calvalot-reports-content")
    words = shown.words["common"]
    card.locator("select").first.select_option(index=0)
    card.get_by_role("button", name=words["card_create_report"]).click()
    row = card.locator("[data-report]").first
    expect(row).to_be_visible()
    with page.context.expect_page() as opened:
        row.get_by_role("button", name=words["card_page"]).click()
    report = opened.value
    expect(report.locator("h1")).to_be_visible()
    expect(report.locator("html")).to_have_attribute("lang", shown.language)
    camera.shoot(report, "report")
    report.close()
    camera.shoot(card, "reports")
    assert not violations(page)
    row.get_by_role("button", name=words["card_delete_report"]).click()
    page.locator("dialog").get_by_role("button", name=words["card_delete_report"]).click()
    expect(card.locator("[data-report]")).to_have_count(0)


def test_exports_are_downloaded(shown: Shown, page: Page) -> None:
    """The same file as the action answers, with a path that is signed for the moment."""
    open_performance(page)
    export = page.locator("calvalot-reports-card .export")
    export.locator("select").first.select_option("waltio")
    export.locator("select").last.select_option("all")
    with page.expect_download() as download:
        export.get_by_role("button").click()
    told = shown.home.ask("calvalot.export", format="waltio")
    assert download.value.suggested_filename == told["name"]
    assert Path(download.value.path()).read_text(encoding="utf-8") == told["content"]


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("phone", "dark")])
def test_fits_a_phone(shown: Shown, page: Page, camera: Camera, scheme: str) -> None:
    """Nothing is cut off at the side, in either theme."""
    card = open_performance(page)
    card.locator('.periods [data-period="since_start"]').click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for inner in (card.locator(".heat"), card.locator(".periods"), card.locator(".lines").first):
        box = inner.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 390
    assert not violations(page)
    page.set_viewport_size({"width": 390, "height": 3000})
    camera.shoot(page, f"performance-phone-{scheme}")


def test_sell_and_withdraw(shown: Shown, page: Page, camera: Camera) -> None:
    """More than the cash: what is sold for it is shown, and only then done; the money is out."""
    words = shown.words["common"]
    open_dashboard(page)
    before = float(shown.home.ask("calvalot.get_portfolio")["net_deposits"])
    book = shown.home.ask("calvalot.get_portfolio")
    amount = float(book["cash"]) * float(book["rate"]) + 60
    portfolio(page).locator('[data-act="withdraw"]').click()
    dialog = portfolio(page).locator("dialog")
    dialog.locator("input[name=amount]").fill("999999")
    dialog.get_by_role("button", name=words["card_withdraw"]).click()
    expect(dialog).to_contain_text(words["card_sell_not_enough"].partition("{")[0])
    dialog.locator("input[name=amount]").fill(f"{amount:.2f}")
    dialog.get_by_role("button", name=words["card_withdraw"]).click()
    sell = dialog.get_by_role("button", name=words["card_sell_and_withdraw"])
    expect(sell).to_be_visible()
    expect(dialog.locator("ul.rows li")).not_to_have_count(0)
    assert float(shown.home.ask("calvalot.get_portfolio")["net_deposits"]) == before
    camera.shoot(page, "sell-and-withdraw")
    sell.click()
    expect(dialog).to_have_count(0)
    told = shown.home.ask("calvalot.get_cash_flows")["cash_flows"][0]
    assert (told["kind"], float(told["amount"])) == ("withdrawal", -round(amount, 2))
    (latest,) = shown.home.ask("calvalot.get_signals", limit=1)["signals"]
    assert latest["signal_id"].startswith("withdrawal-")


def test_a_cash_flow_is_put_right(shown: Shown, page: Page, camera: Camera) -> None:
    """Its amount changed and that undone; deleted, and that undone as well."""
    words = shown.words["common"]
    shown.home.action("calvalot.deposit", amount=25, note="Gift")

    def booked() -> list[float]:
        flows = shown.home.ask("calvalot.get_cash_flows")["cash_flows"]
        return [float(flow["amount"]) for flow in flows if flow["note"] == "Gift"]

    open_dashboard(page)
    card = page.locator("calvalot-activity-card")
    item = card.locator(".flow-item").filter(has_text="Gift")
    dialog = card.locator("dialog")
    item.get_by_role("button", name=words["card_change_flow"]).click()
    dialog.locator("input[name=amount]").fill("30")
    camera.shoot(page, "change-flow")
    assert not violations(page)
    dialog.get_by_role("button", name=words["card_save"]).click()
    expect(dialog).to_contain_text(words["card_flow_changed"])
    assert booked() == [30]
    dialog.get_by_role("button", name=words["card_undo_flow"]).click()
    expect(dialog).to_have_count(0)
    assert booked() == [25]
    item.get_by_role("button", name=words["card_change_flow"]).click()
    dialog.get_by_role("button", name=words["card_delete_flow"]).click()
    expect(dialog).to_contain_text(words["card_delete_flow_sure"])
    dialog.get_by_role("button", name=words["card_delete_flow"]).click()
    expect(dialog).to_contain_text(words["card_flow_deleted"])
    assert booked() == []
    expect(item).to_have_count(0)
    dialog.get_by_role("button", name=words["card_undo_flow"]).click()
    expect(item).to_have_count(1)
    assert booked() == [25]
    latest = shown.home.ask("calvalot.get_cash_flows", limit=1)["cash_flows"][0]
    shown.home.action("calvalot.delete_cash_flow", id=latest["id"])


def test_a_tile(shown: Shown, page: Page, camera: Camera) -> None:
    """One figure and its curve; a tap leads to the history of its entity."""
    open_dashboard(page)
    page.evaluate(
        """(follower) => {
            for (const figure of ["value", "return", "profit"]) {
                const tile = document.createElement("calvalot-tile-card");
                tile.setConfig({ follower, figure });
                tile.hass = document.querySelector("home-assistant").hass;
                tile.style.width = "330px";
                tile.style.height = "auto";
                document.body.prepend(tile);
            }
        }""",
        shown.entry_id,
    )
    tiles = page.locator("body > calvalot-tile-card")
    expect(tiles.last.locator(".figure")).to_contain_text("€")
    expect(tiles.nth(1).locator(".figure")).to_contain_text("%")
    expect(tiles.locator(".sparkline")).to_have_count(3)
    camera.shoot(tiles.last, "tile")
