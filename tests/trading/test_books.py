"""Books have numbers: a live one belongs to one account on one host, and what is free on an account is free for one follower."""

from contextlib import closing
from dataclasses import replace
from decimal import Decimal
import sqlite3
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import AccountId, Mode, Side
from custom_components.calvalot.trading.exchanges.binance_client import host_of
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind, OrderState
from custom_components.calvalot.trading.ledger.upgrades import VERSION
from custom_components.calvalot.trading.portfolio import Portfolio
from custom_components.calvalot.trading.snapshot import Status
from harness.database import change
from harness.engine import OpenEngine
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .builders import NOW, make_order
from .rig import Rig

OTHER = ("k" * 64, "s" * 64)


def book_of(follower: OpenEngine) -> int:
    """Number of the book in use."""
    return follower.snapshot.book


def held(follower: OpenEngine) -> set[str]:
    """Coins that the book in use holds, but for dust."""
    return {coin for coin, view in follower.snapshot.positions.items() if view.value and view.value > 1}


def other_account(exchange: ExchangeSimulator, **balances: str) -> None:
    """A second account at the exchange."""
    exchange.add_account(*OTHER, {asset: Decimal(free) for asset, free in balances.items()})


def reading(rig: Rig, number: int | None = None) -> Ledger:
    """The ledger as it lies on the disk."""
    ledger = rig.ledger()
    ledger.open()
    return ledger if number is None else ledger.in_book(number)


async def test_another_account(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """The owner's coins on another account are not touched; back on the first one its book goes on."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    first = rig.agree(follower)
    assert (book_of(follower), follower.snapshot.positions["BTC"].quantity) == (1, first.quantity("BTC"))

    other_account(exchange, BTC="1", USDC="500")
    follower = await rig.restart(follower, on=rig.binance(*OTHER))
    leader.publish_v2({"ETH": ".5"})
    snapshot = await rig.cycle(follower)
    assert book_of(follower) == 2
    there = exchange.balances(OTHER[0])
    assert there["BTC"] == 1
    assert held(follower) == {"ETH"}
    # It begins with what is free there, which is less than the budget.
    assert [flow["kind"] for flow in await follower.queries.cash_flows()] == ["initial"]
    assert round(snapshot.total_value_quote) == 500
    # The names of its orders are those of no other book.
    names = {order.client_order_id for order in exchange.account(OTHER[0]).orders}
    assert names
    assert not names & {order.client_order_id for order in exchange.account().orders}
    kept = reading(rig, 1)
    assert kept.book().portfolio == kept.replay() == first
    assert [trade["symbol"] for trade in await follower.queries.trades(book=1)] == ["BTCUSDC"]
    assert [flow["kind"] for flow in await follower.queries.cash_flows(book=1)] == ["initial"]
    assert [signal["signal_id"] for signal in await follower.queries.signals(book=2)] != []
    kept.close()
    for number in (0, 3):
        with pytest.raises(CommandError, match="book_unknown"):
            await follower.queries.trades(book=number)
    assert [(book["book"], book["in_use"]) for book in await follower.queries.books()] == [(1, False), (2, True)]

    follower = await rig.restart(follower)
    snapshot = await rig.cycle(follower)
    assert book_of(follower) == 1
    assert snapshot.net_deposits == 1000
    assert held(follower) == {"ETH"}  # the leader's move is followed there too
    rig.agree(follower)


async def test_two_keys_are_one_account(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """Another key of the same account goes on with the same book."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    exchange.add_key(*OTHER)
    follower = await rig.restart(follower, on=rig.binance(*OTHER))
    await rig.cycle(follower)
    assert book_of(follower) == 1
    rig.agree(follower)


async def test_paused_stays_paused(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """What stopped the follower stops it on another account too, and on the way back."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    await follower.commands.pause(True)
    other_account(exchange, USDC="5000")
    follower = await rig.restart(follower, on=rig.binance(*OTHER))
    snapshot = await rig.cycle(follower)
    assert (book_of(follower), snapshot.status) == (2, Status.PAUSED)
    assert exchange.account(OTHER[0]).orders == []
    await follower.commands.pause(False)
    follower = await rig.restart(follower)
    await rig.cycle(follower)
    assert follower.snapshot.status is Status.ACTIVE


@pytest.mark.parametrize("unknown", ["account", "order"])
async def test_the_account_cannot_be_asked(
    rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator, unknown: str
) -> None:
    """While it is not known whose the account is, no book is changed and nothing is traded, settled or paid in."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    other_account(exchange, USDC="5000", BTC="1")
    path, key = ("/account", OTHER) if unknown == "account" else ("/api/v3/order", (None, None))
    exchange.fault("status", method="GET", path=path, count=None)
    follower = await rig.restart(follower, on=rig.binance(*key))
    leader.publish_v2({"ETH": ".5"})
    for _ in range(3):
        await rig.cycle(follower)
    assert book_of(follower) == 1
    assert not follower.snapshot.exchange_connected
    assert len(exchange.orders) == 1
    for forbidden in (follower.commands.deposit(Decimal(10)), follower.commands.set_net_deposits(Decimal(10))):
        with pytest.raises(CommandError, match="account_unknown"):
            await forbidden
    exchange.clear_faults()
    await rig.cycle(follower)
    assert book_of(follower) == (2 if unknown == "account" else 1)
    assert len(exchange.orders) > 1


@pytest.mark.parametrize("running", [True, False])
async def test_a_wiped_account(
    rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator, *, running: bool
) -> None:
    """The test network begins anew each month: a new book, and nothing of the fresh coins is taken for the old one's."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    before = rig.agree(follower)
    exchange.wipe({"BTC": Decimal(1), "USDC": Decimal(10_000)})
    if not running:
        follower = await rig.restart(follower)
    leader.publish_v2({"ETH": ".5"})
    for _ in range(3):
        assert book_of(follower) == 1
        await rig.cycle(follower)
        if not exchange.orders:
            continue
    await rig.cycle(follower)
    assert book_of(follower) == 2
    assert exchange.balances()["BTC"] == 1
    assert held(follower) == {"ETH"}
    kept = reading(rig, 1)
    assert kept.book().portfolio == before
    kept.close()
    # Nothing is claimed by the book whose account is no more.
    assert (await follower.commands.deposit(Decimal(1000))).kind is FlowKind.DEPOSIT


async def test_an_order_that_is_missed_once(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """A hiccup of the exchange begins no new book."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    exchange.fault("error", method="GET", path="/api/v3/order", count=2, code=-2013)
    follower = await rig.restart(follower)
    leader.publish_v2({"ETH": ".5"})
    for _ in range(2):
        await rig.cycle(follower)
        assert len(exchange.orders) == 1
    await rig.cycle(follower)
    assert book_of(follower) == 1
    assert len(exchange.orders) == 3
    rig.agree(follower)


@pytest.mark.parametrize("fits", [True, False])
async def test_a_book_from_before(
    rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator, *, fits: bool
) -> None:
    """A book of which no account was written down takes the first one it meets, unless that lacks its newest order."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    rig.crash(follower)
    ledger = reading(rig)
    ledger.close()
    change(ledger.path, "DELETE FROM accounts", "DELETE FROM facts WHERE key = 'book'")
    other_account(exchange, USDC="5000", BTC="1")
    follower = await rig.start(on=rig.binance(*(() if fits else OTHER)))
    for _ in range(4):
        await rig.cycle(follower)
    assert book_of(follower) == (1 if fits else 2)
    assert exchange.balances(OTHER[0])["BTC"] >= 1
    if fits:
        rig.agree(follower)


async def test_a_new_book_is_begun_once(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """Killed right after the change, the follower goes on in the book that was begun."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    other_account(exchange, USDC="5000")
    for _ in range(2):
        follower = await rig.restart(follower, on=rig.binance(*OTHER))
        exchange.fault("status", path="/ticker/price", count=None)
        await rig.cycle(follower)
        assert book_of(follower) == 2
        assert await follower.queries.cash_flows() == []
        exchange.clear_faults()
    await rig.cycle(follower)
    assert (book_of(follower), follower.snapshot.net_deposits) == (2, 1000)


def test_whose_an_account_is() -> None:
    """Its number at a host; where the host does not tell it, the key."""
    known = AccountId(host="a", uid="1", key="k")
    assert known.is_same(replace(known, key="other"))
    assert known.is_same(replace(known, uid=None))
    assert not known.is_same(replace(known, uid="2"))
    assert not known.is_same(replace(known, uid=None, key="other"))
    assert not known.is_same(replace(known, host="b"))


# Several followers on one account


async def test_two_on_one_account(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """Each opens with what the others leave; a deposit cannot take what is another's."""
    exchange.set_balance("USDC", Decimal(1200))
    exchange.add_key(*OTHER)
    leader.publish_v2({})
    first = await rig.start(entry_id="first")
    second = await rig.start(entry_id="second", on=rig.binance(*OTHER))
    await first.cycle()
    await second.cycle()
    paid_in = [paid_into(rig, name) for name in ("first", "second")]
    assert sum(paid_in) == 1200
    assert paid_in[0] > 1150
    with pytest.raises(CommandError, match="insufficient_free") as caught:
        await second.commands.deposit(Decimal(20))
    assert caught.value.placeholders == {"free": "0.00"}
    exchange.set_balance("USDC", Decimal(1300))
    await second.commands.deposit(Decimal(20))
    # One that is not loaded still has its money.
    await first.stop()
    with pytest.raises(CommandError, match="insufficient_free"):
        await second.commands.deposit(Decimal(200))


def paid_into(rig: Rig, name: str) -> Decimal:
    """What was paid into a follower's book, in quote."""
    ledger = rig.ledger(name)
    ledger.open()
    paid_in = ledger.book().portfolio.paid_in
    ledger.close()
    return paid_in


async def test_another_quote_asset(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """Cash in one quote asset is no claim on another one; what is free of one is free."""
    exchange.set_balance("USDC", Decimal(1200))
    leader.publish_v2({})
    first = await rig.start(entry_id="first")
    await first.cycle()
    rig.crash(first)
    path = rig.ledger("first").path
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE accounts SET quote = 'USDT'")
    second = await rig.start(entry_id="second")
    await second.cycle()
    assert round(second.snapshot.total_value or 0) == 1000


async def test_fees_in_the_coin_of_another(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """Fees of one follower that took another's BNB are no mismatch, and no withdrawal when it is accepted."""
    exchange.set_balance("USDC", Decimal(5000))
    exchange.set_balance("BNB", Decimal(0))
    leader.publish_v2({"BNB": ".5"})
    holder = await rig.start(entry_id="holder")
    await holder.cycle()
    exchange.account().bnb_burn = True
    leader.publish_v2({"BTC": ".5"})
    rebalancer = await rig.start(entry_id="rebalancer")
    await rebalancer.cycle()
    leader.publish_v2({"BNB": ".5"})
    rig.events.clear()
    before = holder.snapshot.positions["BNB"].quantity
    assert exchange.balances()["BNB"] < before
    for _ in range(4):
        await rig.cycle(holder)
    assert "ledger_mismatch" not in rig.types("alert")
    assert not holder.snapshot.missing
    assert await holder.commands.accept_account() == ()
    # What is missing beyond that is missing.
    exchange.set_balance("BNB", exchange.balances()["BNB"] - Decimal("0.01"))
    (flow,) = await holder.commands.accept_account()
    assert (flow.coin, flow.quantity) == ("BNB", Decimal("0.01"))


async def test_paper_has_one_book(rig: Rig, leader: LeaderSimulator) -> None:
    """On paper there is no account."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    assert book_of(follower) == 1
    assert (await follower.commands.deposit(Decimal(10), "")).kind is FlowKind.DEPOSIT


async def test_a_pair_that_is_gone(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """An order of a pair that is not listed any more says nothing about the account; the next one does."""
    leader.publish_v2({"ETH": ".2"})
    follower = await rig.start()
    await follower.cycle()
    leader.publish_v2({"ETH": ".2", "XRP": ".2"})
    await rig.cycle(follower)
    exchange.delist("XRPUSDC")
    exchange.forget_requests()
    follower = await rig.restart(follower)
    await rig.cycle(follower)
    asked = [each.params["symbol"] for each in exchange.requests if each.path == "/api/v3/order"]
    assert asked == ["XRPUSDC", "ETHUSDC"]
    assert follower.snapshot.exchange_connected


async def test_claims_of_one_that_broke(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """What a book claimed it claims on while its file cannot be read; what was never a ledger claims nothing."""
    exchange.set_balance("USDC", Decimal(1200))
    leader.publish_v2({})
    first = await rig.start(entry_id="first")
    await first.cycle()
    second = await rig.start(entry_id="second")
    await second.cycle()
    rig.crash(first)
    with closing(sqlite3.connect(rig.folder / "none.db")) as connection:
        connection.execute(f"PRAGMA user_version={VERSION}")
    (rig.folder / "broken.db").write_bytes(b"no ledger")
    with pytest.raises(CommandError, match="insufficient_free"):
        await second.commands.deposit(Decimal(100))
    exchange.set_balance("USDC", Decimal(1400))
    assert (await second.commands.deposit(Decimal(100))).amount == 100


async def test_claims_of_a_book_from_before(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """A live book of which it is not known yet whose account it is on may be on this one."""
    exchange.set_balance("USDC", Decimal(1200))
    leader.publish_v2({})
    first = await rig.start(entry_id="first")
    await first.cycle()
    rig.crash(first)
    change(rig.ledger("first").path, "DELETE FROM accounts")
    first = await rig.start(entry_id="first")
    second = await rig.start(entry_id="second")
    await second.cycle()
    assert round(second.snapshot.total_value_quote or 0) == 39


def test_what_orders_in_flight_may_take(rig: Rig) -> None:
    """The cash that a purchase costs or that is sold for another quote asset; a coin for another one takes none."""
    ledger = rig.ledger()
    ledger.open()
    cash = Decimal(100)
    flow = CashFlow(kind=FlowKind.INITIAL, amount=cash, amount_quote=cash, time=NOW, value_before=Decimal(0))
    ledger.add_flow(flow, Book(portfolio=Portfolio(cash=cash, paid_in=cash), net_deposits=cash))
    sending: dict[str, Any] = {"state": OrderState.SENDING, "price": Decimal(2)}
    ledger.add_orders([make_order(quantity="3", **sending)])
    ledger.add_orders([make_order(quantity="5", coin="ETH", symbol="ETHBTC", **sending)])
    ledger.add_orders([make_order(Side.SELL, "7", "USDC", symbol="USDCUSDT", **sending)])
    ledger.add_orders([make_order(Side.SELL, "11", "SOL", **sending)])
    assert [claim.in_flight for claim in ledger.claims()] == [13]
    ledger.close()


async def test_an_order_on_the_move(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """While an order of another follower is unclear no book is opened: what is free is not known."""
    exchange.set_balance("USDC", Decimal(1200))
    leader.publish_v2({"BTC": ".5"})
    first = await rig.start(entry_id="first")
    exchange.fault("late", method="POST", path="/order", seconds=3600)
    exchange.fault("drop", when="after", method="POST", path="/order")
    await first.cycle()
    assert first.snapshot.open_orders
    second = await rig.start(entry_id="second")
    await second.cycle()
    assert second.snapshot.net_deposits is None
    rig.clock.advance(3700)
    exchange.clear_faults()
    await first.cycle()
    assert not first.snapshot.open_orders
    await rig.cycle(second)
    assert second.snapshot.net_deposits
    paid_in = [paid_into(rig, name) for name in ("first", "second")]
    assert sum(paid_in) <= 1200


async def test_a_running_follower_that_cannot_ask(
    rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator
) -> None:
    """Money that came to the account makes the follower ask; where it gets no answer it goes on with what it knows."""
    leader.publish_v2({"BTC": ".2"})
    follower = await rig.start()
    await follower.cycle()
    exchange.set_balance("DOGE", Decimal(100))
    fault = exchange.fault("status", method="GET", path="/api/v3/order", count=None)
    leader.publish_v2({"BTC": ".2", "ETH": ".2"})
    await rig.cycle(follower)
    assert fault.hits == 1
    assert [order.symbol for order in rig.orders()] == ["BTCUSDC", "ETHUSDC"]


async def test_an_order_left_behind(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """An order that is unclear when the account changes is not looked up on the other one; it is settled back on its own."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    exchange.fault("late", method="POST", path="/order", seconds=600)
    exchange.fault("drop", when="after", method="POST", path="/order")
    await follower.cycle()
    assert follower.snapshot.open_orders
    other_account(exchange, USDC="5000")
    follower = await rig.restart(follower, on=rig.binance(*OTHER))
    for _ in range(4):
        await rig.cycle(follower)
    assert book_of(follower) == 2
    kept = reading(rig, 1)
    assert [order.state for order in kept.in_flight()] == [OrderState.UNKNOWN]
    kept.close()
    exchange.advance(600)
    follower = await rig.restart(follower)
    await rig.cycle(follower, after=600)
    assert book_of(follower) == 1
    assert not rig.in_flight(follower)
    assert rig.agree(follower).quantity("BTC")


def test_addresses_of_one_exchange() -> None:
    """Binance has several addresses with the same accounts; its test network, and others, have their own."""
    same = {
        "https://api.binance.com",
        "https://api1.binance.com/",
        "https://API4.binance.com",
        "https://api-gcp.binance.com",
    }
    assert {host_of(url) for url in same} == {"api.binance.com"}
    for url in ("https://testnet.binance.vision", "https://api.binance.us", "http://127.0.0.1:8080"):
        assert host_of(url) == url.partition("//")[2]
    assert host_of("https://api1.binance.com.example.org") == "api1.binance.com.example.org"
