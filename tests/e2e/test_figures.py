"""The figures of the cards agree with each other: fed with what a follower could tell, and read on the screen."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
import itertools
import re
from typing import Any

from playwright.sync_api import Locator, Page, expect
import pytest

from tests.histories import COUNT, random_portfolios

from .cards import open_dashboard, portfolio, positions, violations
from .conftest import Camera, Shown

pytestmark = pytest.mark.parametrize("stage", ["en"], indirect=True, scope="session")

# Puts a card on the page whose Home Assistant tells what the test says, and nothing else.
PUT = """([name, told, flows, rows]) => {
    const { hass } = document.querySelector("home-assistant");
    const connection = {
        addEventListener() {},
        removeEventListener() {},
        sendMessagePromise: async (message) =>
            message.type.startsWith("frontend/")
                ? hass.connection.sendMessagePromise(message)
            : message.type === "calvalot/followers"
                ? { followers: [{ entry_id: "told", title: "Told", state: "loaded", entities: rows ? { total_value: "value" } : {} }] }
                : { cash_flows: flows },
        subscribeMessage: async (receive) => {
            window.tell = (follower) => receive({ state: "loaded", follower });
            window.tell(told);
            return async () => {};
        },
    };
    window.called = [];
    const callWS = async (message) => {
        window.called.push(message);
        return message.type.startsWith("history/") ? { value: rows } : { response: { closes: [] } };
    };
    const card = document.createElement(`calvalot-${name}-card`);
    card.id = "told";
    card.setConfig({ follower: "told" });
    card.hass = { ...hass, connection, callWS };
    document.querySelector("#told")?.remove();
    document.body.prepend(card);
}"""
READ = """async (portfolios) => {
  const read = [];
  for (const told of portfolios) {
    window.tell(told);
    const root = document.querySelector("#told").shadowRoot;
    // The cash flows are asked for anew.
    while (!root.querySelector(".of-period .figure").textContent) await new Promise((done) => setTimeout(done));
    const figure = (name) => root.querySelector(`[data-fact=${name}]`).checkVisibility()
        ? root.querySelector(`[data-fact=${name}] .figure`).textContent : "0";
    read.push([
        ["realised", "unrealised", "currency_effect", "corrections"].map(figure),
        figure("profit"),
        root.querySelector(".gain .figure").textContent,
        root.querySelector(".of-period .figure").textContent,
    ]);
  }
  return read;
}"""
UNKNOWN = {
    "title": "Told",
    "quote": "USDC",
    "paused": False,
    "sources": [{"kind": "leader", "name": "leader.example", "weight": 100}],
    "leader_connected": True,
    "exchange_connected": True,
    "last_signal": None,
    "last_signal_result": None,
    "last_trade": None,
    "waiting_signal": None,
    "waiting_until": None,
    "limits": {
        "stop_loss_drawdown": None,
        "fall": None,
        "stop_loss_sell": False,
        "max_trades_per_day": None,
        "max_order_share": None,
        "approval": "automatic",
    },
}
PROFIT = dict.fromkeys(("total", "realised", "unrealised", "currency_effect", "corrections", "fees"), "0.00")


def told(**figures: Any) -> dict[str, Any]:
    """What a follower of a few minutes tells."""
    now = datetime.now(UTC)
    return {
        **UNKNOWN,
        "mode": "dry_run",
        "status": "active",
        "as_of": now.isoformat(),
        "rate": "0.9",
        "since": (now - timedelta(minutes=3)).isoformat(),
        "revalued": None,
        "total_value": "5",
        "total_value_quote": "5.5",
        "cash": "5.5",
        "positions_value": "0",
        "net_deposits": "5",
        "profit_loss": "0",
        "profit_loss_percent": "0",
        "profit_today": "0",
        "profit": PROFIT,
        "realised": "0",
        "fees_paid": "0",
        "time_weighted_return": "0",
        "max_drawdown": "0",
        "tracking_distance": None,
        "positions": [],
        **figures,
    }


def flow(minutes: float, amount: str, before: str, kind: str = "deposit") -> dict[str, Any]:
    """A cash flow of some minutes ago."""
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    return {"seq": 1, "time": at, "kind": kind, "amount": amount, "note": "", "value_before": before}


def put(page: Page, name: str, *what: object) -> Locator:
    """Put a card on the page that shows what it is told: figures, cash flows, states of the value."""
    page.evaluate(PUT, [name, *what, *[[], None][len(what) - 1 :]])
    return page.locator("#told")


def number(text: str) -> Decimal:
    """What is written, as a number."""
    return Decimal(re.sub(r"[^\d.-]", "", text.replace("\u2212", "-")))


def height(path: str) -> list[tuple[float, float]]:
    """The corners of a curve."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path)]


def test_what_was_seen_on_the_account_is_decided(shown: Shown, page: Page, camera: Camera) -> None:
    """A deposit and a withdrawal, each booked or dismissed with one tap; nothing is asked for where there is none."""
    open_dashboard(page)
    seen = datetime.now(UTC).isoformat()
    proposals = [
        {"id": "deposit 1", "kind": "deposit", "time": seen, "amount": "500", "amount_quote": "580"},
        {"id": "withdrawal 2", "kind": "withdrawal", "time": seen, "amount": None, "amount_quote": "-20"},
    ]
    card = put(page, "portfolio", told(proposals=proposals))
    words = shown.words["common"]
    rows = card.locator(".proposal")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("500.00")
    expect(rows.last).to_contain_text("20.00 USDC")
    camera.shoot(card, "proposals")
    rows.first.get_by_role("button", name=words["card_accept_flow"]).click()
    rows.last.get_by_role("button", name=words["card_dismiss_flow"]).click()
    page.wait_for_function("window.called.filter(({ domain }) => domain === 'calvalot').length >= 2")
    called = page.evaluate("window.called.filter(({ service }) => service?.endsWith('cash_flow'))")
    assert [(each["service"], each["service_data"]["proposal"]) for each in called] == [
        ("accept_cash_flow", "deposit 1"),
        ("dismiss_cash_flow", "withdrawal 2"),
    ]
    put(page, "portfolio", told())
    expect(card.locator(".proposed")).to_be_hidden()


def test_the_parts_of_the_profit_add_up_on_the_screen(shown: Shown, page: Page) -> None:
    """In both modes, whatever happened; and everywhere it is the same profit."""
    started = {"since": told()["since"]}
    portfolios = [{**UNKNOWN, **each, **started} for each in random_portfolios(10 * COUNT)]
    assert {each["mode"] for each in portfolios} == {"dry_run", "live"}
    open_dashboard(page)
    put(page, "portfolio", portfolios[0], [flow(3, "5", "0", "initial")])
    expect(page.locator("#told .curve")).to_be_attached()
    read = page.evaluate(READ, portfolios)
    assert len(read) == 10 * COUNT
    for each, (parts, total, headline, of_all) in zip(portfolios, read, strict=True):
        assert sum(map(number, parts)) == number(total) == round(Decimal(each["profit_loss"]), 2), each
        assert number(headline) == number(total) == number(of_all)
        assert "-0.00" not in (*parts, total, headline)


def test_the_first_minutes(shown: Shown, page: Page, camera: Camera) -> None:
    """No period that was not lived through, no label twice, and the curve begins with what was paid in."""
    open_dashboard(page)
    card = put(page, "portfolio", told(), [flow(3, "5", "0", "initial")])
    expect(card.locator("[data-period]:visible")).to_have_text(["All"])
    labels = card.locator("text.label:not(.time)").all_text_contents()
    assert len(labels) == len(set(labels)) >= 3, labels
    times = card.locator("text.time").all_text_contents()
    assert len(times) == len(set(times)) >= 2, times
    camera.shoot(card, "first-minutes")
    corners = height(card.locator(".curve").get_attribute("d") or "")
    assert len({y for _, y in corners}) == 1


def test_a_deposit_is_a_step(shown: Shown, page: Page, camera: Camera) -> None:
    """Neither a ramp nor a mean: 5 until the moment in which it is 505."""
    now = datetime.now(UTC).timestamp()
    rows = [{"s": value, "lu": now - 60 * ago} for ago, value in ((39, "5.01"), (25, "5.02"), (9, "505.1"))]
    figures = told(
        since=datetime.fromtimestamp(now - 40 * 60, UTC).isoformat(),
        total_value="505.2",
        net_deposits="505",
        profit_loss="0.2",
    )
    open_dashboard(page)
    card = put(page, "portfolio", figures, [flow(10, "500", "5.02"), flow(40, "5", "0", "initial")], rows)
    expect(card.locator(".flow.in")).to_have_count(1)
    camera.shoot(card, "step")
    corners = height(card.locator(".curve").get_attribute("d") or "")
    high, low = min(y for _, y in corners), max(y for _, y in corners)
    assert all(abs(y - high) < 2 or abs(y - low) < 2 for _, y in corners), corners
    ((before, after),) = [(a, b) for a, b in itertools.pairwise(corners) if abs(a[1] - b[1]) > 50]
    assert before[0] == after[0]
    times = card.locator("text.time").all_text_contents()
    assert len(times) == len(set(times)) >= 2, times


def test_what_is_not_known_is_not_drawn(shown: Shown, page: Page) -> None:
    """Where the figures were away, the curve is interrupted; what stood still did not rise slowly."""
    now = datetime.now(UTC).timestamp()
    rows = [
        {"s": value, "lu": now - 60 * ago}
        for ago, value in ((50, "10"), (40, "unavailable"), (20, "20"), (1, "30"), (0.5, "30"))
    ]
    since = datetime.fromtimestamp(now - 50 * 60, UTC).isoformat()
    open_dashboard(page)
    card = put(page, "portfolio", told(since=since, total_value="30"), [flow(50, "10", "0", "initial")], rows)
    expect(card.locator(".curve")).to_be_attached()
    path = card.locator(".curve").get_attribute("d") or ""
    assert path.count("M") == 2
    corners = height(path)
    assert len({round(y) for _, y in corners}) == 3, path


def test_figures_open_something(shown: Shown, page: Page) -> None:
    """A term says what it means, a figure opens its history."""
    open_dashboard(page)
    card = portfolio(page)
    term = card.get_by_role("button", name="Tracking distance")
    note = card.locator("[data-fact='tracking_distance'] .note")
    expect(note).to_be_hidden()
    term.press("Enter")
    expect(note).to_contain_text("cash included")
    expect(term).to_have_attribute("aria-expanded", "true")
    assert not violations(page)
    term.click()
    expect(note).to_be_hidden()
    figures = {
        "total_value": card.locator(".value .figure"),
        "time_weighted_return": card.locator("[data-fact='time_weighted_return'] .figure"),
        "fees_paid": card.locator("[data-fact='fees_paid'] .figure"),
        "btc_value": positions(page).locator("tr", has=page.get_by_text("BTC", exact=True)).locator(".figure").first,
    }
    page.evaluate(
        "addEventListener('hass-more-info', ({ detail }) => (window.opened ??= []).push(detail.entityId), true)"
    )
    for key, figure in figures.items():
        figure.click()
        dialog = page.locator("ha-more-info-dialog")
        expect(dialog.get_by_role("button", name="Close").first).to_be_visible()
        assert page.evaluate("window.opened.at(-1)") == shown.ids[key]
        page.keyboard.press("Escape")
        expect(dialog.get_by_role("button", name="Close")).to_have_count(0)
    # Nothing measures it: the parts have no entity of their own.
    card.locator("[data-fact='currency_effect'] .figure").click()
    expect(card.locator("[data-fact='currency_effect'] .note")).to_be_visible()


def position(coin: str, weight: float, target: float | None, profit: str) -> dict[str, Any]:
    """One coin of a book."""
    return {
        "coin": coin,
        "quantity": "0.12345678",
        "entry_price": "1",
        "price": "1",
        "value": "10",
        "weight": weight,
        "target_weight": target,
        "profit_loss": profit,
    }


def test_the_bars_of_a_table_share_a_scale(shown: Shown, page: Page) -> None:
    """Twice the weight is twice as long, cash too; what comes to nothing is no -0.00, and the cash is in dollars."""
    open_dashboard(page)
    coins = [position("BTC", 0.1, 0.1, "-0.001"), position("ETH", 0.2, 0.15, "-0.002")]
    card = put(page, "positions", told(positions=coins, cash="70", total_value_quote="100"))
    expect(card.locator("tbody tr")).to_have_count(3)
    bars = {
        row.locator(".name b").inner_text(): float(
            (row.locator(".bar i").get_attribute("style") or "").split()[-1][:-2]
        )
        for row in card.locator("tbody tr").all()
    }
    assert bars["ETH"] == pytest.approx(2 * bars["BTC"], abs=0.01)
    assert bars["Cash"] == pytest.approx(7 * bars["BTC"], abs=0.01)
    expect(card.locator(".coin-cash")).to_have_text("$")
    assert "-0.00" not in card.inner_text()
    expect(card.get_by_role("columnheader", name="Unrealised")).to_be_visible()


@pytest.mark.parametrize("size", ["phone"])
def test_nothing_overlaps_on_a_narrow_card(shown: Shown, page: Page, size: str) -> None:
    """Names and quantities end before the next column begins."""
    open_dashboard(page)
    coins = [{**position("DOGE", 0.1, 0.1, "-1234.5"), "quantity": "123456.78901", "value": "123456.78"}]
    card = put(page, "positions", told(positions=coins, cash="70", total_value_quote="123456.78"))
    row = card.locator("tbody tr").first
    boxes = [row.locator(each).bounding_box() for each in (".name small", ".figure >> nth=0")]
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("size", ["phone"])
def test_the_finger_scrolls_the_page(shown: Shown, page: Page, size: str) -> None:
    """On a phone the list has no scrolling of its own, and more of it comes on a tap."""
    open_dashboard(page)
    scroller = page.locator("calvalot-activity-card .scroller")
    expect(scroller.locator(".item").first).to_be_attached()
    assert scroller.evaluate("(each) => each.scrollHeight === each.clientHeight")
    items = scroller.locator(".item")
    known = items.count()
    assert known in {20, 21}  # a page, and what the leader may have said since it was read
    page.locator("calvalot-activity-card .end").click()
    expect(items.nth(known)).to_be_attached()
