"""An allocation of one's own on the dashboard: seen, planned, traded, changed back, and given away."""

from collections.abc import Iterator
from decimal import Decimal
import json
import re
from typing import Any

from playwright.sync_api import Locator, Page, expect
import pytest

from harness.forms import add_allocation, entities, tune, wait_for_follower
from harness.waiting import wait_for

from .cards import own_page, violations
from .conftest import Camera, Stage
from .test_states import AS_GUEST

SHARES = {"BTC": 60.0, "ETH": 30.0}
CARDS = ("portfolio", "positions", "plan", "activity")


@pytest.fixture
def entry_id(stage: Stage) -> Iterator[str]:
    """Add a portfolio that is kept by hand, and a page for it."""
    entry_id = add_allocation(stage.home, stage.exchange, SHARES)
    with own_page(stage, entry_id, "own-plan", *CARDS):
        yield entry_id


def word(stage: Stage, key: str, **facts: object) -> str:
    """What the cards say."""
    return str(stage.words["common"][f"card_{key}"]).format(**facts)


def open_plan(page: Page) -> Locator:
    """Open the page of the portfolio; the card with the plan."""
    page.goto("/")
    page.locator("home-assistant-main").wait_for()
    page.goto("/own-plan/own")
    card = page.locator("calvalot-plan-card")
    expect(card.locator(".shares li")).to_have_count(2)
    return card


def weights(stage: Stage, entry_id: str) -> dict[str, float]:
    """What is held but for dust, in whole per cent."""
    found = stage.home.ask("calvalot.get_portfolio", config_entry_id=entry_id)["positions"]
    return {each["coin"]: round(100 * each["weight"]) for each in found if each["weight"] > 0.005}


def price_of(stage: Stage, entry_id: str, coin: str) -> Decimal:
    """What the portfolio last saw as a coin's price."""
    found = stage.home.ask("calvalot.get_portfolio", config_entry_id=entry_id)["positions"]
    return next(Decimal(each["price"]) for each in found if each["coin"] == coin)


def press(card: Locator, text: str) -> None:
    """Press a button."""
    card.get_by_role("button", name=text, exact=True).click()


def put(card: Locator, **shares: str) -> None:
    """Write shares into their fields."""
    for coin, share in shares.items():
        card.locator(f"input[name={coin}]").fill(share)


def kept(stage: Stage, entry_id: str) -> Any:
    """Shares that the form of the portfolio shows."""
    menu = stage.home.post("config/config_entries/flow", {"handler": "calvalot", "entry_id": entry_id})
    form = stage.home.post(f"config/config_entries/flow/{menu['flow_id']}", {"next_step_id": "allocation"})
    stage.home.delete(f"config/config_entries/flow/{menu['flow_id']}")
    (rows,) = (each for each in form["data_schema"] if each["name"] == "allocation")
    return {row["coin"]: row["share"] for row in rows["description"]["suggested_value"]}


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_own_allocation_is_planned_and_traded(
    stage: Stage, entry_id: str, page: Page, camera: Camera, size: str
) -> None:
    """No word of a leader; shares with their sum, the plan of them, once more whether it is meant; then it is so, and can be undone."""
    card = open_plan(page)
    expect(page.locator("calvalot-portfolio-card")).to_contain_text(word(stage, "follows_allocation"))
    for name in CARDS:
        expect(page.locator(f"calvalot-{name}-card")).not_to_contain_text("leader", ignore_case=True)
    card.locator("input[name=coin]").fill("sol")
    press(card, word(stage, "add"))
    put(card, SOL="20")
    expect(card.locator(".share-sum")).to_have_text(re.compile(r"110[.,]0\s?%"))
    expect(card.get_by_role("button", name=word(stage, "show_plan"))).to_be_disabled()
    put(card, BTC="45")
    expect(card.locator(".share-sum")).to_have_text(re.compile(r"95[.,]0\s?%"))
    press(card, word(stage, "show_plan"))
    expect(card.locator("tbody tr")).to_have_count(3)
    plan = stage.home.ask("calvalot.preview", config_entry_id=entry_id, allocation={"BTC": 45, "ETH": 30, "SOL": 20})
    bought = {row["coin"]: row["side"] for row in plan["table"]}
    assert bought == dict.fromkeys(("BTC", "ETH", "SOL"), "BUY")
    expect(card.locator("tbody [data-coin=SOL], tbody tr").first).to_contain_text(word(stage, "buy"))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not violations(page)
    if size == "phone":
        camera.shoot(card, "plan")
    press(card, word(stage, "trade_plan"))
    dialog = card.get_by_role("dialog")
    expect(dialog.locator(".rows li")).to_have_count(3)
    expect(dialog).to_contain_text(word(stage, "plan_dry_run"))
    press(dialog, word(stage, "cancel"))
    assert weights(stage, entry_id) == {}
    press(card, word(stage, "trade_plan"))
    press(dialog, word(stage, "plan_sure"))
    expect(dialog).to_have_count(0)
    expect(card.locator(".plan")).to_have_text(re.compile(re.escape(word(stage, "plan_done"))))
    assert weights(stage, entry_id) == {"BTC": 45, "ETH": 30, "SOL": 20}
    assert kept(stage, entry_id) == {"BTC": 45, "ETH": 30, "SOL": 20}
    expect(page.locator("calvalot-activity-card .item").first).to_contain_text(word(stage, "executed"))

    press(card, word(stage, "undo"))
    expect(card.locator(".shares li")).to_have_count(2)
    press(card, word(stage, "show_plan"))
    press(card, word(stage, "trade_plan"))
    press(dialog, word(stage, "plan_sure"))
    expect(card.locator(".plan")).to_have_text(re.compile(re.escape(word(stage, "plan_done"))))
    assert weights(stage, entry_id) == {"BTC": 60, "ETH": 30}
    assert kept(stage, entry_id) == SHARES


@pytest.mark.parametrize("stage", ["en"], indirect=True, scope="session")
def test_plan_is_refused_where_prices_have_moved(stage: Stage, entry_id: str, page: Page) -> None:
    """It says of which coin, trades nothing, and is asked for anew."""
    card = open_plan(page)
    press(card, "Show the plan")
    expect(card.get_by_role("button", name="Trade this plan …", exact=True)).to_be_visible()
    price = price_of(stage, entry_id, "BTC")
    stage.exchange.control("set_price", symbol="BTCUSDC", price=str(price * Decimal("1.03")))
    press(card, "Trade this plan …")
    press(card.get_by_role("dialog"), "Do it now")
    expect(card.locator(".refused").last).to_contain_text("BTC")
    assert weights(stage, entry_id) == {}
    press(card, "Show the plan")
    press(card, "Trade this plan …")
    press(card.get_by_role("dialog"), "Do it now")
    expect(card.locator(".plan")).to_contain_text("Done.")
    assert weights(stage, entry_id) == {"BTC": 60, "ETH": 30}
    press(card, "Show the plan")
    expect(card.locator(".plan")).to_contain_text("Nothing to do")
    expect(card.locator("tbody .order").first).to_have_text(re.compile(r"\w"))


@pytest.mark.parametrize("stage", ["en"], indirect=True, scope="session")
def test_ready_made_allocations_and_one_of_a_friend(stage: Stage, entry_id: str, page: Page) -> None:
    """They fill the shares and keep nothing; what is no allocation is refused."""
    card = open_plan(page)
    values = "(card) => Object.fromEntries([...card.shadowRoot.querySelectorAll('.number input')].map((each) => [each.name, Number(each.value)]))"
    start = card.get_by_role("combobox")
    for name, shares in (
        ("market_cap", {"BTC": 40, "ETH": 40}),
        ("equal_parts", {"BTC": 50, "ETH": 50}),
        ("sixty_forty", {"BTC": 30, "ETH": 30}),
    ):
        start.select_option(name)
        expect(card.locator("input[name=BTC]")).to_have_value(str(shares["BTC"]))
        assert card.evaluate(values) == shares
    press(card, "Back to what is kept")
    assert card.evaluate(values) == SHARES
    card.locator("input[name=coin]").fill("btc")
    press(card, "Add")
    expect(card.locator(".refused").first).to_have_text("BTC is there already.")
    press(card, "Share")
    shared = card.get_by_role("dialog").locator("textarea").input_value()
    assert json.loads(shared) == {"calvalot": {"allocation": SHARES}}
    press(card, "Close")
    dialog = card.get_by_role("dialog")
    for text in ("nonsense", '{"calvalot": {"allocation": {"BTC": 101}}}', '{"calvalot": {"allocation": {"<b>": 1}}}'):
        press(card, "Take over")
        dialog.locator("textarea").fill(text)
        press(dialog, "Take over")
        expect(dialog.get_by_role("alert")).to_have_text("This is no allocation that somebody shared.")
        press(dialog, "Cancel")
    press(card, "Take over")
    dialog.locator("textarea").fill('{"calvalot": {"allocation": {"SOL": 12.5, "ETH": 30}}}')
    assert not violations(page)
    press(dialog, "Take over")
    expect(dialog).to_have_count(0)
    assert card.evaluate(values) == {"SOL": 12.5, "ETH": 30}
    expect(card.locator(".share-sum")).to_have_text("42.5% in coins, 57.5% cash")
    card.get_by_role("button", name="Remove SOL").click()
    put(card, ETH="0")
    press(card, "Show the plan")
    press(card, "Keep these shares …")
    press(dialog, "Do it now")
    expect(card.locator(".plan")).to_contain_text("Done.")
    assert kept(stage, entry_id) == {"ETH": 0}
    assert weights(stage, entry_id) == {}


@pytest.mark.parametrize("stage", ["en"], indirect=True, scope="session")
def test_several_sources(stage: Stage, entry_id: str, page: Page) -> None:
    """Each stands there with its weight; the shares of each own allocation are those of its part, and are kept where they belong."""
    step = stage.home.post("config/config_entries/subentries/flow", {"handler": [entry_id, "allocation"]})
    form = {
        "allocation": [{"coin": "SOL", "share": 50}],
        "when": [],
        "drift": 20,
        "trade_to": "target",
        "cash_reserve": 0,
        "cooldown": 1,
        "weight": 40,
        "paused": False,
    }
    made = stage.home.post(f"config/config_entries/subentries/flow/{step['flow_id']}", form)
    assert made["type"] == "create_entry", made
    wait_for_follower(stage.home, entry_id)
    card = open_plan(page)
    expect(page.locator("calvalot-portfolio-card")).to_contain_text(re.compile(r"60% .* · 40% "))
    expect(card).to_contain_text("These are shares of its own part: 60% of the portfolio.")
    card.get_by_role("combobox", name="Source").select_option(index=1)
    expect(card.locator(".shares b")).to_have_text(["SOL"])
    expect(card).to_contain_text("40% of the portfolio")
    put(card, SOL="100")
    press(card, "Show the plan")
    rows = card.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="SOL")).to_contain_text("40.0%")
    assert not violations(page)
    press(card, "Trade this plan …")
    press(card.get_by_role("dialog"), "Do it now")
    expect(card.locator(".plan")).to_contain_text("Done.")
    assert weights(stage, entry_id) == {"BTC": 36, "ETH": 18, "SOL": 40}
    assert kept(stage, entry_id) == SHARES


@pytest.mark.parametrize("stage", ["en"], indirect=True, scope="session")
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_coins_that_are_held_back(stage: Stage, entry_id: str, page: Page, size: str) -> None:
    """What a stop has sold is not bought again; the plan says so, and an administrator lets it be."""
    stage.home.action("calvalot.rebalance", config_entry_id=entry_id)
    assert weights(stage, entry_id) == {"BTC": 60, "ETH": 30}
    card = open_plan(page)
    tune(stage.home, entry_id, stop_loss_drawdown=10, stop_loss_sell=True)
    expect(page.locator("calvalot-portfolio-card")).to_contain_text("sells everything after a fall of 10%")
    price = price_of(stage, entry_id, "BTC")
    stage.exchange.control("set_price", symbol="BTCUSDC", price=str(price / 2))
    ids = entities(stage.home, entry_id)

    def stopped() -> bool:
        stage.home.action("button.press", entity_id=ids["poll"])
        return stage.home.state(ids["pause"]) == "on"

    wait_for(stopped, "the stop")
    stage.exchange.control("set_price", symbol="BTCUSDC", price=str(price))
    expect(card.locator(".set-aside p")).to_have_count(2)
    expect(card.locator(".set-aside")).to_contain_text("A stop sold BTC.")
    press(card, "Show the plan")
    expect(card.locator("tbody .order")).to_have_text(["Held back since a stop sold it"] * 2)
    assert not violations(page)
    press(card, "Release BTC")
    expect(card.locator(".set-aside p")).to_have_count(1)
    press(card, "Show the plan")
    expect(card.locator("tbody tr").filter(has_text="BTC").locator(".order")).to_contain_text("Buy")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("stage", ["en"], indirect=True, scope="session")
@pytest.mark.usefixtures("entry_id")
def test_who_may_see_and_change(page: Page) -> None:
    """Everybody sees the plan; shares and trades are for administrators."""
    names = open_plan(page).evaluate(AS_GUEST)
    assert names == ["Show the plan"]
