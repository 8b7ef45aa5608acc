"""What stops a follower stops it for good, once, and only on what is known."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
import sqlite3
from typing import Any

import pytest

from custom_components.calvalot.trading.account import Account, Claimed
from custom_components.calvalot.trading.decimals import ONE
from custom_components.calvalot.trading.events import Event, EventQueue
from custom_components.calvalot.trading.exchanges.base import Balance, Mode
from custom_components.calvalot.trading.inputs import Inputs
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind, OrderState
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.portfolio import Portfolio
from custom_components.calvalot.trading.risk import Risk
from custom_components.calvalot.trading.settings import Settings
from custom_components.calvalot.trading.snapshot import Status

from .builders import NOW, QUOTE, make_market, make_order, make_portfolio


class Watch:
    """Risk over a ledger, with what they tell."""

    def __init__(self, ledger: Ledger, **settings: Any) -> None:
        self.journal = EventQueue(Mode.LIVE)
        each = Settings(
            entry_id="entry", mode=Mode.LIVE, quote=QUOTE, initial_budget=Decimal(100), coins=("BTC",), **settings
        )
        self.guards = Risk(each, ledger, lambda: NOW, self.journal, "BNB")

    def told(self) -> list[str]:
        """Types of the alerts since the last time."""
        return [event.type for event in self.journal.take()]

    async def survive(self, *values: str) -> None:
        """Show one valuation after the other."""
        for value in values:
            await self.guards.survive(Decimal(value))

    async def stops(self, *prices: str) -> list[bool]:
        """Whether each unit price stops the follower."""
        return [await self.guards.stop_loss(Decimal(price)) for price in prices]

    async def again(self, ledger: Ledger, **settings: Any) -> Watch:
        """The same after a restart."""
        watch = Watch(ledger, **settings)
        await watch.guards.load()
        return watch


# Pause


async def test_a_pause_outlives_a_restart(ledger: Ledger) -> None:
    """And so does its end."""
    watch = Watch(ledger)
    assert watch.guards.status is Status.ACTIVE
    await watch.guards.pause(paused=True)
    assert watch.guards.status is Status.PAUSED
    assert ledger.fact("paused") == NOW.isoformat()
    assert (await watch.again(ledger)).guards.status is Status.PAUSED
    await watch.guards.pause(paused=False)
    assert watch.guards.status is Status.ACTIVE
    assert (await watch.again(ledger)).guards.status is Status.ACTIVE
    assert watch.told() == []


# Survival


@pytest.mark.parametrize(
    ("values", "status"),
    [
        (("4.99", "4.99"), Status.ACTIVE),
        (("4.99", "4.99", "5"), Status.ACTIVE),
        (("4.99", "4.99", "5", "4.99", "4.99"), Status.ACTIVE),
        (("5", "5", "5", "5"), Status.ACTIVE),
        (("4.99", "0", "-1"), Status.DEAD),
        (("4.99", "4.99", "4.99", "100"), Status.DEAD),
    ],
)
async def test_three_valuations_in_a_row_under_the_floor_are_the_end(
    ledger: Ledger, values: tuple[str, ...], status: Status
) -> None:
    """Neither fewer, nor with a better one between them; and nothing but its owner brings it back."""
    watch = Watch(ledger)
    await watch.survive(*values)
    assert watch.guards.status is status
    assert watch.told() == ["dead"] * (status is Status.DEAD)
    assert (await watch.again(ledger)).guards.status is status


async def test_the_end_is_told_once_with_its_figures(ledger: Ledger) -> None:
    """However long it lasts, also after a restart."""
    watch = Watch(ledger, survival_floor=Decimal("12.5"))
    await watch.survive(*["4.987"] * 5)
    assert watch.journal.take() == (Event("alert", "dead", {"type": "dead", "value": "4.99", "floor": "12.5"}),)
    after = await watch.again(ledger)
    await after.survive(*["4"] * 5)
    assert after.told() == []


async def test_dead_wins_over_paused(ledger: Ledger) -> None:
    """Whichever came first; both have to end."""
    watch = Watch(ledger)
    await watch.guards.pause(paused=True)
    await watch.survive("1", "1", "1")
    assert watch.guards.status is Status.DEAD
    assert watch.guards.paused
    await watch.guards.revive()
    assert watch.guards.status is Status.PAUSED
    await watch.guards.pause(paused=False)
    assert not watch.guards.paused


async def test_a_revived_follower_has_three_strikes_again(ledger: Ledger) -> None:
    """And is alive after a restart."""
    watch = Watch(ledger)
    await watch.survive("1", "1", "1")
    await watch.guards.revive()
    assert watch.told() == ["dead", "revived"]
    assert (await watch.again(ledger)).guards.status is Status.ACTIVE
    await watch.survive("1", "1")
    assert watch.guards.status is Status.ACTIVE
    await watch.survive("1")
    assert watch.guards.status is Status.DEAD


@pytest.mark.parametrize("key", ["paused", "dead"])
@pytest.mark.parametrize("remembered", [True, False])
async def test_what_stops_a_follower_outlives_a_restored_ledger(ledger: Ledger, key: str, remembered: bool) -> None:
    """An older copy may not know of it; one that does keeps its word."""
    watch = Watch(ledger)
    ledger.remember(key, "then")
    await watch.guards.load()
    status = watch.guards.status
    assert status in {Status.PAUSED, Status.DEAD}
    if not remembered:
        ledger.remember(key, None)
    await watch.guards.reload()
    assert watch.guards.status is status
    assert ledger.fact(key) == ("then" if remembered else NOW.isoformat())
    assert (await watch.again(ledger)).guards.status is status


async def test_a_restored_ledger_can_stop_a_follower(ledger: Ledger) -> None:
    """What the copy remembers counts, and nothing is made up."""
    watch = Watch(ledger)
    await watch.guards.reload()
    assert watch.guards.status is Status.ACTIVE
    ledger.remember("paused", "then")
    await watch.guards.reload()
    assert watch.guards.status is Status.PAUSED


# The stop on a fall from the peak


async def test_a_fall_from_the_peak_pauses(ledger: Ledger) -> None:
    """At the limit, once, with its figures; a rise moves the peak."""
    watch = Watch(ledger, stop_loss_drawdown=Decimal("0.2"))
    assert await watch.stops("1", "0.81", "1.5", "1.2001") == [False] * 4
    assert watch.told() == []
    assert await watch.stops("1.2") == [True]
    assert watch.guards.status is Status.PAUSED
    (event,) = watch.journal.take()
    assert event == Event("alert", "stop_loss", {"type": "stop_loss", "drawdown": "20.00", "limit": "20.0"})
    assert await watch.stops("0.1") == [False]
    assert watch.told() == []


async def test_the_peak_outlives_a_restart(ledger: Ledger) -> None:
    """To the last digit."""
    settings = {"stop_loss_drawdown": Decimal("0.5")}
    watch = Watch(ledger, **settings)
    peak = Decimal(1) / 3 + 1
    await watch.guards.stop_loss(peak)
    assert ledger.fact("stop_peak") == f"{peak:f}"
    after = await watch.again(ledger, **settings)
    assert await after.stops("1", "0.66") == [False, True]


async def test_a_new_start_counts_from_where_it_stands(ledger: Ledger) -> None:
    """Resumed after a stop, the fall begins anew."""
    watch = Watch(ledger, stop_loss_drawdown=Decimal("0.2"))
    assert await watch.stops("1", "0.7") == [False, True]
    await watch.guards.pause(paused=False)
    assert await watch.stops("0.7", "0.6", "0.56") == [False, False, True]


async def test_resuming_is_one_commit(ledger: Ledger) -> None:
    """A ledger that fails between the two would resume with the old peak, and pause again at once."""
    watch = Watch(ledger, stop_loss_drawdown=Decimal("0.2"))
    assert await watch.stops("1", "0.7") == [False, True]
    fails = "BEFORE DELETE ON facts WHEN old.key = 'stop_peak' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    with closing(sqlite3.connect(ledger.path)) as file, file:
        file.execute(f"CREATE TRIGGER full {fails}")
    with pytest.raises(LedgerError, match="disk full"):
        await watch.guards.pause(paused=False)
    assert ledger.fact("paused")
    assert watch.guards.paused


async def test_switched_off_it_forgets_its_peak(ledger: Ledger) -> None:
    """Switched on again, the fall begins where the price stands then."""
    watch = Watch(ledger, stop_loss_drawdown=Decimal("0.2"))
    assert await watch.stops("2") == [False]
    await watch.again(ledger)
    watch = await watch.again(ledger, stop_loss_drawdown=Decimal("0.2"))
    assert await watch.stops("1", "0.79") == [False, True]


@pytest.mark.parametrize("limit", [None, Decimal(0)])
async def test_without_a_limit_nothing_stops(ledger: Ledger, limit: Decimal | None) -> None:
    """Off, and no peak is kept."""
    watch = Watch(ledger, stop_loss_drawdown=limit)
    assert await watch.stops("1", "0.0001") == [False, False]
    assert ledger.fact("stop_peak") is None


# The ledger held against the account


def begin(ledger: Ledger, portfolio: Portfolio) -> None:
    """A book as it stands."""
    flow = CashFlow(kind=FlowKind.INITIAL, amount=ONE, amount_quote=ONE, time=NOW - timedelta(days=1))
    ledger.add_flow(flow, Book(portfolio=portfolio, net_deposits=ONE))


def account(**balances: tuple[str, str]) -> Inputs:
    """A look at an account of (free, locked) by asset."""
    each = {asset: Balance(Decimal(free), Decimal(locked)) for asset, (free, locked) in balances.items()}
    return Inputs(market=make_market({}), rate=ONE, balances=each, account=Account(make_portfolio("0"), each, QUOTE))


SHORT = account(USDC=("99", "0"), BTC=("0.5", "0"), XRP=("3", "0"))
ENOUGH = account(USDC=("50", "50"), BTC=("0.5", "0.5"), XRP=("3", "0"))


async def test_an_account_that_holds_less_is_told_in_the_third_cycle(ledger: Ledger) -> None:
    """Once, with what is missing; it goes away when its cause does, and is told again when it comes back."""
    begin(ledger, make_portfolio("100", BTC="1"))
    watch = Watch(ledger)
    for cycle in range(1, 6):
        await watch.guards.compare(SHORT)
        assert bool(watch.guards.missing) == (cycle >= 3)
        missing = {"type": "ledger_mismatch", "missing": {"USDC": "1", "BTC": "0.5"}}
        assert watch.journal.take() == ((Event("alert", "ledger_mismatch", missing),) if cycle == 3 else ())
    await watch.guards.compare(ENOUGH)
    assert not watch.guards.missing
    for _ in range(3):
        await watch.guards.compare(SHORT)
    assert watch.told() == ["ledger_mismatch"]


async def test_a_cycle_between_starts_the_count_anew(ledger: Ledger) -> None:
    """Three in a row it has to be. What is locked is there."""
    begin(ledger, make_portfolio("100", BTC="1"))
    watch = Watch(ledger)
    for view in (SHORT, SHORT, ENOUGH, SHORT, SHORT):
        await watch.guards.compare(view)
    assert not watch.guards.missing
    assert watch.told() == []


async def test_an_asset_that_is_gone_is_missing(ledger: Ledger) -> None:
    """An account does not list what it has none of."""
    begin(ledger, make_portfolio("0", BTC="1"))
    watch = Watch(ledger)
    for _ in range(3):
        await watch.guards.compare(account())
    (event,) = watch.journal.take()
    assert event.data["missing"] == {"BTC": "1"}


async def test_what_fees_of_others_took_is_not_missing(ledger: Ledger) -> None:
    """Up to what they were lent since the account had all that the book holds, and what it had beyond that."""
    begin(ledger, make_portfolio("0", BNB="1"))
    watch = Watch(ledger)
    await watch.guards.compare(replace(account(BNB=("1.5", "0")), claimed=Claimed(lent=Decimal("0.2"))))
    for _ in range(3):
        await watch.guards.compare(replace(account(BNB=("0.8", "0")), claimed=Claimed(lent=Decimal("0.9"))))
    assert not watch.guards.missing
    for _ in range(3):
        await watch.guards.compare(replace(account(BNB=("0.8", "0")), claimed=Claimed(lent=Decimal("-0.2"))))
    assert watch.guards.missing == {"BNB": Decimal("0.1")}


@pytest.mark.parametrize(
    "view",
    [
        Inputs(market=make_market({}), rate=ONE, balances=None),
        Inputs(market=make_market({}), rate=ONE, balances={}),
    ],
)
async def test_what_was_not_seen_is_not_missing(ledger: Ledger, view: Inputs) -> None:
    """Without balances, or before the book was held against them, nothing is said."""
    begin(ledger, make_portfolio("100"))
    watch = Watch(ledger)
    for _ in range(4):
        await watch.guards.compare(view)
    assert not watch.guards.missing


@pytest.mark.parametrize("state", OrderState)
async def test_an_order_in_flight_explains_what_is_missing(ledger: Ledger, state: OrderState) -> None:
    """Its fills are not in the books yet; a settled one explains nothing, nor does one that rests, whose fills are booked."""
    begin(ledger, make_portfolio("100", BTC="1"))
    ledger.add_orders([make_order(state=state)])
    watch = Watch(ledger)
    for _ in range(3):
        await watch.guards.compare(SHORT)
    assert bool(watch.guards.missing) == (state.settled or state.rests)
