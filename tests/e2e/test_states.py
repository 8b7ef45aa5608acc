"""What the cards say when something is not as usual, and the dialogs for money."""

from collections.abc import Iterator
from decimal import Decimal
import re
from typing import Any

from playwright.sync_api import Page, expect
import pytest

from harness.forms import tune, wait_for_follower

from .cards import activity, newest, open_dashboard, portfolio, positions, violations
from .conftest import Shown

pytestmark = pytest.mark.parametrize("stage", ["en"], indirect=True, scope="session")

# The card as somebody sees it who is no administrator; the locale is another object, so that it is built anew.
AS_GUEST = """async (card) => {
    const { hass } = card;
    const before = card.shadowRoot.querySelector("ha-card");
    card.hass = { ...hass, locale: { ...hass.locale }, user: { ...hass.user, is_admin: false } };
    while (card.shadowRoot.querySelector("ha-card") === before) await new Promise(requestAnimationFrame);
    const shown = [...card.shadowRoot.querySelectorAll("button")].filter((each) => each.checkVisibility());
    const names = shown.map((each) => each.textContent);
    card.hass = hass;
    return names;
}"""
# A card in a house without a follower.
ALONE = """async () => {
    const { hass } = document.querySelector("home-assistant");
    const answer = (message) =>
        message.type === "calvalot/followers" ? { followers: [] } : hass.connection.sendMessagePromise(message);
    const connection = { sendMessagePromise: async (message) => answer(message) };
    const card = document.createElement("calvalot-portfolio-card");
    card.setConfig({});
    card.hass = { ...hass, connection };
    document.body.append(card);
    for (let wait = 0; wait < 100 && !card.shadowRoot.querySelector("a"); wait++) await new Promise((on) => setTimeout(on, 50));
    const shown = [...card.shadowRoot.querySelectorAll("button")].filter((each) => each.checkVisibility());
    const link = card.shadowRoot.querySelector("a");
    const found = [shown.length, link?.textContent, link?.getAttribute("href")];
    card.remove();
    return found;
}"""


def waits(shown: Shown, **options: Any) -> None:
    """Change options of the follower."""
    tune(shown.home, shown.entry_id, **options)


def load_anew(shown: Shown) -> None:
    """Load the follower anew, as a restart does: it asks for the rules of the pairs."""
    shown.home.post(f"config/config_entries/entry/{shown.entry_id}/reload")
    wait_for_follower(shown.home, shown.entry_id)


@pytest.fixture
def away(shown: Shown) -> Iterator[None]:
    """Let the exchange give no prices."""
    shown.exchange.control("fault", kind="error", path="/ticker/price", status=503, count=None)
    yield
    shown.exchange.control("clear_faults")
    shown.poll()


def test_exchange_is_away(shown: Shown, page: Page, request: pytest.FixtureRequest) -> None:
    """The last figures stay with their time, greyed; why is said in a sentence, and nothing is green that stands still."""
    open_dashboard(page)
    shown.poll()
    value = portfolio(page).locator(".value")
    before = value.inner_text()
    request.getfixturevalue("away")
    shown.poll()
    for card in (portfolio, positions):
        expect(card(page).locator(".notices")).to_contain_text(
            re.compile(r"The exchange does not answer\. These are the figures of .*\d{4}.*\.")
        )
        expect(card(page).locator("ha-card.stale")).to_be_attached()
    expect(value).to_have_text(before)
    expect(positions(page).locator("tbody .name b").first).to_be_visible()
    expect(portfolio(page).locator(".chip.good")).to_have_text(["Leader connected"])
    expect(portfolio(page).locator(".chip").first).to_have_text("Waits for the exchange")
    assert not violations(page)
    # After a restart, too, the ledger knows them.
    load_anew(shown)
    for card in (portfolio, positions):
        expect(card(page).locator(".notices")).to_contain_text("These are the figures of")
        expect(card(page).locator("ha-card.stale")).to_be_attached()
    expect(value).to_have_text(before)
    shown.exchange.control("clear_faults")
    shown.poll()
    expect(portfolio(page).locator("ha-card.stale")).to_have_count(0)
    expect(portfolio(page).locator(".notices")).to_be_hidden()


@pytest.fixture
def one_a_day(shown: Shown) -> Iterator[None]:
    """Let the follower trade once a day: it has traded more today."""
    waits(shown, max_trades_per_day=1)
    yield
    waits(shown, max_trades_per_day=None)
    shown.poll()


@pytest.mark.usefixtures("one_a_day")
def test_reason_stands_on_the_collapsed_row(shown: Shown, page: Page) -> None:
    """A limit that is reached is no progress; in words, with the coins."""
    open_dashboard(page)
    shown.leader.control("publish_v2", targets={"XRP": "0.8"})
    shown.poll()
    expect(newest(page).locator(".line b")).to_have_text("Signal · Goes on later")
    expect(newest(page).locator(".why")).to_have_text(re.compile(r"aily limit reached: .*BTC"))
    assert not violations(page)


def test_nothing_to_do_is_said_so(shown: Shown, page: Page) -> None:
    """A signal that asks for what is there already; and one that cannot be followed says why at once."""
    open_dashboard(page)
    targets = {"BTC": "0.4", "ETH": "0.2"}
    for title in ("Signal · Executed", "Signal · Nothing to do"):
        shown.leader.control("publish_v2", targets=targets)
        shown.poll()
        expect(newest(page).locator(".line b")).to_have_text(title)
        expect(newest(page).locator(".mark path")).to_have_attribute("d", re.compile("^M"))
    shown.leader.control("publish_v2", targets={"DOGE": "0.5"})
    shown.poll()
    expect(newest(page).locator(".line b")).to_have_text("Signal · Refused")
    expect(newest(page).locator(".why")).to_have_text("A coin that is not followed: DOGE")
    shown.leader.control("publish_v2", targets=targets)
    shown.poll()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_deposit_and_withdraw(shown: Shown, page: Page, size: str) -> None:
    """What is free is said, too much is refused in words, and what was moved stands in the activity."""
    open_dashboard(page)
    portfolio(page).get_by_role("button", name="Withdraw").click()
    dialog = portfolio(page).get_by_role("dialog")
    expect(dialog).to_contain_text("Dry run: play money.")
    expect(dialog.locator(".free")).to_contain_text(re.compile(r"At most €[\d.,]+: the cash"))
    assert not violations(page)
    dialog.get_by_label("Amount in EUR").fill("500000")
    dialog.get_by_role("button", name="Withdraw").click()
    expect(dialog.get_by_role("alert")).to_contain_text(re.compile(r"€[\d,.]+ can be withdrawn at most"))
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    portfolio(page).get_by_role("button", name="Deposit", exact=True).click()
    dialog.get_by_label("Amount in EUR").fill("12.34")
    note = f"Pocket money, {size}"
    dialog.get_by_label("Note").fill(note)
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    row = activity(page).locator("[data-flow]").first
    expect(row).to_contain_text("Deposit · +€12.34")
    expect(row).to_contain_text(note)
    flow = shown.home.ask("calvalot.get_cash_flows", config_entry_id=shown.entry_id)["cash_flows"][0]
    assert (flow["amount"], flow["note"]) == ("12.34", note)


def test_who_may(shown: Shown, page: Page) -> None:
    """Pausing is for everybody; resuming and money are for administrators, in the card as everywhere."""
    open_dashboard(page)
    card = portfolio(page)
    guest = card.evaluate(AS_GUEST)
    assert "Pause" in guest
    assert not {"Deposit", "Withdraw", "Stop and sell everything"} & set(guest)
    card.locator(".pause").click()
    expect(card.locator(".pause")).to_have_text("Resume")
    assert "Resume" not in card.evaluate(AS_GUEST)
    card.locator(".pause").click()
    expect(card.locator(".pause")).to_have_text("Pause")


@pytest.fixture
def resumed(shown: Shown) -> Iterator[None]:
    """Let the follower go on afterwards."""
    yield
    if shown.home.state(shown.ids["pause"]) == "on":
        shown.home.action("switch.turn_off", entity_id=shown.ids["pause"])
    shown.leader.control("publish_v2", targets={"BTC": "0.4", "ETH": "0.2"})
    shown.poll()


@pytest.mark.usefixtures("resumed")
def test_stop_and_sell_everything(shown: Shown, page: Page) -> None:
    """What it would do, once more whether it is meant, and what it brought."""
    shown.leader.control("publish_v2", targets={"BTC": "0.4", "ETH": "0.2", "SOL": "0.1"})
    shown.poll()
    open_dashboard(page)
    portfolio(page).get_by_role("button", name="Stop and sell everything").click()
    dialog = portfolio(page).get_by_role("dialog")
    sold = shown.home.ask("calvalot.exit", config_entry_id=shown.entry_id)["orders"]
    assert len(sold) >= 3
    expect(dialog.locator(".rows").first.locator("b")).to_have_text(
        [order["symbol"].removesuffix("USDC") for order in sold]
    )
    expect(dialog.locator(".sum")).to_have_text(re.compile(r"Brings about €[\d.,]+ · [\d.,]+\s*USDC"))
    assert not violations(page)
    dialog.get_by_role("button", name="Go on …").click()
    expect(dialog.get_by_role("heading")).to_have_text("Really sell everything?")
    expect(dialog).to_contain_text("Dry run: nothing real is sold.")
    dialog.get_by_role("button", name="Cancel").click()
    assert shown.home.state(shown.ids["pause"]) == "off"
    portfolio(page).get_by_role("button", name="Stop and sell everything").click()
    dialog.get_by_role("button", name="Go on …").click()
    dialog.get_by_role("button", name="Sell everything now").click()
    expect(dialog.get_by_role("heading").first).to_have_text("Everything is sold")
    expect(dialog.locator(".sum")).to_have_text(re.compile(r"It brought €[\d.,]+ · [\d.,]+\s*USDC"))
    dialog.get_by_role("button", name="Close").click()
    expect(newest(page).locator(".line b")).to_have_text("Sale of everything · Executed")
    assert shown.home.state(shown.ids["pause"]) == "on"


@pytest.fixture
def delisted(shown: Shown, resumed: None) -> Iterator[None]:
    """Let the exchange list a coin no longer that is held."""
    shown.leader.control("publish_v2", targets={"BTC": "0.4", "SOL": "0.1"})
    shown.poll()
    shown.exchange.control("delist", symbol="SOLUSDC")
    shown.poll()
    shown.poll()
    yield
    shown.exchange.control("relist", symbol="SOLUSDC")
    load_anew(shown)


@pytest.mark.usefixtures("delisted")
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_coin_that_is_no_longer_listed(shown: Shown, page: Page, size: str) -> None:
    """It is greyed, with the day of its price; why is said, and administrators may write it off."""
    open_dashboard(page)
    row = positions(page).locator("tr.aside")
    expect(row.locator("b")).to_have_text("SOL")
    expect(row.locator(".name small")).to_contain_text(re.compile(r" · .*20\d\d"))
    note = positions(page).locator(".set-aside:not(.apart)")
    expect(note).to_contain_text("SOL is no longer listed at the exchange. It counts at its last price, of ")
    assert not violations(page)
    assert positions(page).evaluate(AS_GUEST).count("Write off") == 0
    before = shown.home.ask("calvalot.get_portfolio", config_entry_id=shown.entry_id)
    note.get_by_role("button", name="Write off").click()
    dialog = positions(page).get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile(r"Empty: its last price, €[\d.,]+ in all"))
    assert not violations(page)
    dialog.get_by_label("Value in EUR").fill("1")
    dialog.get_by_role("button", name="Write off").click()
    expect(dialog).to_have_count(0)
    expect(row).to_have_count(0)
    expect(note).to_be_hidden()
    expect(activity(page).locator("[data-flow]").first).to_contain_text("Withdrawal · -€1.00")
    after = shown.home.ask("calvalot.get_portfolio", config_entry_id=shown.entry_id)
    assert Decimal(after["net_deposits"]) == Decimal(before["net_deposits"]) - 1


def amount(text: str) -> float:
    """The quote asset in a line of the dialog."""
    return float(text.rpartition("·")[2].removesuffix("USDC").replace(",", ""))


def ether_trades(shown: Shown, status: str) -> None:
    """Halt or open a pair."""
    shown.exchange.control("set_symbol_status", symbol="ETHUSDC", status=status)
    load_anew(shown)


@pytest.fixture
def halted(shown: Shown, resumed: None) -> Iterator[None]:
    """Let one of the coins that are held not be traded."""
    shown.leader.control("publish_v2", targets={"BTC": "0.4", "ETH": "0.2"})
    shown.poll()
    ether_trades(shown, "HALT")
    yield
    ether_trades(shown, "TRADING")


@pytest.mark.usefixtures("halted")
def test_sale_goes_on_until_all_is_sold(shown: Shown, page: Page) -> None:
    """Meanwhile the dialog says what it brought so far, what is left and why; over a reload, until the end."""
    open_dashboard(page)
    portfolio(page).get_by_role("button", name="Stop and sell everything").click()
    dialog = portfolio(page).get_by_role("dialog")
    expect(dialog.get_by_role("heading").nth(1)).to_have_text("What stays")
    expect(dialog.locator(".rows").last).to_contain_text("ETH")
    dialog.get_by_role("button", name="Go on …").click()
    dialog.get_by_role("button", name="Sell everything now").click()
    expect(dialog.get_by_role("heading")).to_have_text(["Selling …", "Still to be sold"])
    expect(dialog.locator(".rows b")).to_have_text(["ETH"])
    expect(dialog.locator(".rows span")).to_contain_text("Not trading at the moment")
    expect(dialog.locator(".sum")).to_contain_text("So far it brought")
    before = amount(dialog.locator(".sum").inner_text())
    for card in (portfolio, positions):
        expect(card(page).locator(".notices")).to_contain_text("Everything is being sold.")
    expect(newest(page).locator(".line b")).to_have_text("Sale of everything · Goes on later")
    assert not violations(page)
    ether_trades(shown, "TRADING")
    expect(dialog.get_by_role("heading").first).to_have_text("Everything is sold")
    assert amount(dialog.locator(".sum").inner_text()) > before > 0
    expect(portfolio(page).locator(".notices")).to_be_hidden()


@pytest.mark.usefixtures("shown")
def test_no_follower_leads_to_the_set_up(page: Page) -> None:
    """No empty button, and a link to where one is set up."""
    open_dashboard(page)
    set_up = "/config/integrations/dashboard/add?domain=calvalot"
    assert page.evaluate(ALONE) == [0, "Set up a portfolio", set_up]
