"""Whole cycles of a follower on the two simulators: money, crashes, storage, and what its owner can do."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
import itertools
import json
import logging
import random
import shutil
import threading
from typing import Any

import pytest

from custom_components.calvalot.trading import pages, responses, upkeep
from custom_components.calvalot.trading.bookings import Execution
from custom_components.calvalot.trading.errors import CommandError, NotSent, RateLimited
from custom_components.calvalot.trading.exchanges.base import Mode, OrderRequest, Side
from custom_components.calvalot.trading.ledger.records import OrderState, Result
from custom_components.calvalot.trading.ledger.storage import LedgerCorrupt, LedgerError
from custom_components.calvalot.trading.order_names import follower_tag
from custom_components.calvalot.trading.settings import Approval
from custom_components.calvalot.trading.signal import RECOVERED
from custom_components.calvalot.trading.snapshot import Status
from custom_components.calvalot.trading.upkeep import RESTORED
from harness.database import rows
from harness.engine import OpenEngine
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .builders import key
from .rig import ALLOCATION, COINS, ZERO, Clock, Rig


@pytest.fixture
def sim(rig: Rig) -> ExchangeSimulator:
    """The exchange."""
    return rig.exchange


@pytest.fixture(params=list(Mode))
def mode(request: pytest.FixtureRequest) -> Mode:
    """Both modes."""
    return Mode(request.param)


async def refused(action: Any, key: str) -> CommandError:
    """What the owner asked for is refused with this message."""
    with pytest.raises(CommandError) as caught:
        await action
    assert caught.value.key == key
    return caught.value


# Figures


async def test_an_allocation_is_reached_in_one_cycle(rig: Rig, leader: LeaderSimulator, mode: Mode) -> None:
    """1,000 EUR: every weight within 0.6 percentage points, for under 0.3 %."""
    leader.publish_v2(ALLOCATION)
    follower = await rig.start(mode)
    picture = await follower.cycle()
    assert picture.last_signal_result is Result.EXECUTED
    weights = rig.weights(follower)
    assert all(abs(weights[coin] - float(share)) < 0.006 for coin, share in ALLOCATION.items())
    assert picture.total_value
    assert Decimal(997) < picture.total_value < 1000
    assert picture.net_deposits == 1000
    assert picture.tracking_distance is not None
    assert picture.tracking_distance < Decimal("0.6")
    if mode is Mode.LIVE:
        rig.agree(follower)
    else:
        assert rig.exchange.orders == []
        assert rig.exchange.count("GET", "/account") == 0


@pytest.mark.parametrize(("mode", "requests"), [(Mode.LIVE, 2), (Mode.DRY_RUN, 1)])
async def test_an_idle_cycle(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, mode: Mode, requests: int
) -> None:
    """Leader, prices and in live mode the account, at the same time, and nothing else."""
    leader.publish_v2(ALLOCATION)
    follower = await rig.start(mode)
    await follower.cycle()
    sim.forget_requests()
    leader.requests.clear()
    sim.set_latency(1)
    leader.misbehave("slow", seconds=1)
    await follower.cycle()
    arrivals = [each.time / 1000 for each in sim.requests] + [each.time for each in leader.requests]
    assert max(arrivals) - min(arrivals) < 0.9  # none waits for the answer to another
    assert sorted(each.path.rsplit("/", 1)[1] for each in sim.requests) == ["account", "price"][-requests:]
    assert sum(each.weight for each in sim.requests) == (24 if mode is Mode.LIVE else 4)
    assert len(leader.requests) == 1


def random_targets(chance: random.Random) -> dict[str, str]:
    """Any allocation; now and then all cash."""
    if chance.random() < 0.1:
        return {}
    weights = [chance.random() ** 2 for _ in range(len(COINS) + 1)]
    return {coin: f"{weight / sum(weights):.4f}" for coin, weight in zip(COINS, weights, strict=False)}


@pytest.mark.parametrize("fees", ["coin", "own BNB", "lent BNB"])
async def test_thirty_signals_in_a_row(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, fees: str) -> None:
    """No refused order, and the ledger is the account, to the last digit, until everything is sold."""
    if fees != "coin":
        sim.set_account(bnb_burn=True)
    owners = Decimal(1) if fees == "lent BNB" else ZERO
    sim.set_balance("BNB", owners)
    follower = await rig.start()
    chance = random.Random(fees)
    for number in range(31):
        leader.publish_v2(random_targets(chance) if number < 30 else {})
        sim.walk(5)
        picture = await rig.cycle(follower)
        orders = follower.ledger.orders(key(picture.last_signal_id or ""))
        assert {order.state for order in orders} <= {OrderState.BOOKED}, number
        assert picture.last_signal_result is Result.EXECUTED, (number, picture.last_signal_reason)
        lent_bnb, lent_cash = lent(follower)
        book = rig.agree(follower, lent=lent_cash)
        assert sim.balance("BNB") == owners - lent_bnb + book.quantity("BNB")
        assert not picture.missing
    assert (lent_bnb > 0) == (fees == "lent BNB")
    assert all(view.value is not None and view.value < 6 for view in picture.positions.values())
    assert not rig.types("alert")
    assert follower.snapshot.profit_loss is not None
    profit = book.realised + sum((view.profit_loss for view in picture.positions.values() if view.profit_loss), ZERO)
    assert picture.total_value_quote == book.paid_in + profit


def lent(follower: OpenEngine) -> tuple[Decimal, Decimal]:
    """BNB that the owner lent for fees, and what the book paid for it: fills replayed one by one."""
    booked = rows(
        follower.ledger.path,
        "SELECT f.quantity, f.fee, f.fee_asset, f.fee_price, o.side, o.coin FROM fills f"
        " JOIN orders o ON o.seq = f.order_seq ORDER BY f.seq",
    )
    held = coins = cash = ZERO
    for quantity, fee, asset, price, side, coin in booked:
        amount = Decimal(quantity) * (1 if side == "BUY" else -1) if coin == "BNB" else ZERO
        held += amount
        if asset == "BNB":
            own = max(min(Decimal(fee), held), ZERO)
            held -= own
            coins += Decimal(fee) - own
            cash += ((Decimal(fee) - own) * Decimal(price)).quantize(Decimal("1e-8"))
    return coins, cash


async def test_what_belongs_to_the_owner(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """0.5 BTC and surplus USDC on the same account are untouched by a 200 EUR follower."""
    sim.set_balance("BTC", "0.5")
    follower = await rig.start(budget="200")
    for targets in ({"BTC": "1"}, {"BTC": ".1", "ETH": ".9"}, {}):
        leader.publish_v2(targets)
        await rig.cycle(follower)
        book = rig.agree(follower)
        assert sim.balance("BTC") - book.quantity("BTC") == Decimal("0.5")
        assert sim.balance("USDC") - book.cash == 2000 - book.paid_in
    assert abs(book.paid_in - 200 * sim.price("EURUSDC")) < Decimal("1e-7")


async def test_money_that_is_not_there(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """The book never counts on more than is free, and takes nothing of the owner's coins for it."""
    leader.publish_v2({"BTC": ".5"})
    sim.set_balance("USDC", "100")
    sim.set_balance("BTC", "0.5")
    follower = await rig.start()
    picture = await follower.cycle()
    assert follower.ledger.book().portfolio.paid_in == 100
    assert picture.net_deposits
    assert picture.net_deposits < 100
    sim.set_balance("USDC", "10")  # the owner took the rest away
    leader.publish_v2({"BTC": "1"})
    picture = await rig.cycle(follower)
    assert sim.balance("USDC") < 5
    assert {order.state for order in follower.ledger.orders(key(picture.last_signal_id or ""))} == {OrderState.BOOKED}


@pytest.mark.parametrize("free", ["0", "4"])
async def test_an_empty_wallet(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, free: str) -> None:
    """A book begins once there is enough for one order."""
    leader.publish_v2({"BTC": "1"})
    sim.set_balance("USDC", free)
    follower = await rig.start()
    picture = await follower.cycle()
    assert (picture.net_deposits, picture.total_value, picture.last_signal) == (None, None, None)
    sim.set_balance("USDC", "50")
    assert (await rig.cycle(follower)).net_deposits
    rig.before = {"USDC": Decimal(50)}
    rig.agree(follower)


async def test_two_followers_on_one_account(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Each knows its own orders only; after a start too."""
    leader.publish_v2(ALLOCATION)
    followers = [await rig.start(entry_id=name, budget="300") for name in ("one", "two")]
    await asyncio.gather(*(each.cycle() for each in followers))
    followers = [await rig.restart(each) for each in followers]
    await asyncio.gather(*(rig.cycle(each) for each in followers))
    books = [each.ledger.book().portfolio for each in followers]
    for coin in COINS:
        assert sum((book.quantity(coin) for book in books), ZERO) == sim.balance(coin)
    assert sum((book.cash - book.paid_in for book in books), ZERO) == sim.balance("USDC") - 2000
    assert len(rig.orders("one")) == len(rig.orders("two")) == len(COINS)


# The guard on price, and convergence


async def test_a_part_is_followed_by_the_rest(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """What a thin book leaves is placed in the next cycles, never beyond the limit."""
    signal_id = leader.publish_v2({"BTC": ".5"})
    sim.set_depth("BTCUSDC", "300")
    follower = await rig.start()
    results = []
    for _ in range(4):
        results.append((await rig.cycle(follower)).last_signal_result)
        rig.agree(follower)
    assert results[0] is Result.OPEN
    assert results[-1] is Result.EXECUTED
    assert abs(rig.weights(follower)["BTC"] - 0.5) < 0.006
    price = sim.price("BTCUSDC")
    assert all(order.price <= price * Decimal("1.003") for order in rig.orders())
    assert rig.result(follower, signal_id) is Result.EXECUTED


async def test_market_orders(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """A slippage of 0 means plain MARKET, and EXPIRED with a part is a part: where a symbol takes a quantity only."""
    leader.publish_v2({"BTC": ".5"})
    sim.set_depth("BTCUSDC", "300")
    sim.symbol("BTCUSDC").quote_order_quantity = False
    follower = await rig.start(max_slippage=ZERO)
    await follower.cycle()
    assert [(order.type, order.status) for order in rig.orders()] == [("MARKET", "EXPIRED")]
    assert follower.snapshot.last_signal_result is Result.OPEN
    for _ in range(3):
        await rig.cycle(follower)
        rig.agree(follower)
    assert follower.snapshot.last_signal_result is Result.EXECUTED


async def test_prices_that_drift_trade_nothing(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """A signal that was followed is done."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    sim.set_price("BTCUSDC", sim.price("BTCUSDC") * 2)
    await rig.cycle(follower)
    assert len(rig.orders()) == 1


# What the exchange and the leader do wrong


@pytest.mark.parametrize("kind", ["drop", "broken_json", "rate_limit"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("sells", [False, True])
async def test_a_fault_on_one_of_many_orders(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, kind: str, when: str, sells: bool
) -> None:
    """The signal is followed to its end all the same, with nothing done twice and nothing lost."""
    follower = await rig.start()
    if sells:
        leader.publish_v2(ALLOCATION)
        await follower.cycle()
    signal_id = leader.publish_v2({} if sells else ALLOCATION)
    fault = sim.fault(kind, when=when, method="POST", symbol="ETHUSDC")
    for _ in range(4):
        await rig.cycle(follower)
        assert all(
            len([o for o in rig.orders(side=side) if o.symbol == "ETHUSDC" and o.executed]) <= 1 for side in Side
        )
    assert fault.hits == 1
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert rig.in_flight(follower) == ()
    rig.agree(follower)


@pytest.mark.parametrize("path", ["/ticker/price", "/account", "/exchangeInfo", "/allOrders", "/time"])
async def test_a_question_that_fails(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, path: str) -> None:
    """No order on half the facts; the next cycle trades."""
    leader.publish_v2(ALLOCATION)
    sim.fault("status", path=path, count=None)
    follower = await rig.start()
    picture = await follower.cycle()
    assert picture.exchange_connected is False
    assert picture.exchange_problem
    assert rig.orders() == []
    assert picture.last_signal is None
    sim.clear_faults()
    picture = await rig.cycle(follower)
    assert picture.exchange_connected is True
    assert picture.last_signal_result is Result.EXECUTED
    rig.agree(follower)


async def test_nothing_answers(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, mode: Mode) -> None:
    """A cycle ends in a picture that says so."""
    await sim.stop()
    await leader.stop()
    follower = await rig.start(mode)
    assert (follower.snapshot.exchange_connected, follower.snapshot.leader_connected) == (None, None)
    picture = await follower.cycle()
    assert (picture.exchange_connected, picture.leader_connected) == (False, False)
    assert isinstance(picture.exchange_problem, NotSent)
    assert len(follower.health.cycles) == 1


async def test_a_ban(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, clock: Clock) -> None:
    """No request of any follower until it is over."""
    leader.publish_v2(ALLOCATION)
    followers = [await rig.start(entry_id=name, budget="300") for name in ("one", "two")]
    sim.ban(300)
    await followers[0].cycle()
    asked = len(sim.requests)
    for each in followers:
        picture = await rig.cycle(each, after=60)
        assert isinstance(picture.exchange_problem, RateLimited)
    assert len(sim.requests) == asked
    clock.advance(200)
    for each in followers:
        assert (await each.cycle()).last_signal_result is Result.EXECUTED


async def test_a_missing_price(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, clock: Clock, mode: Mode
) -> None:
    """No valuation, no trade, no DEAD, and no zero anywhere."""
    leader.publish_v2({"BTC": ".5", "ETH": ".2"})
    follower = await rig.start(mode)
    before = await follower.cycle()
    leader.publish_v2({"BTC": ".1"})
    sim.remove_price("BTCUSDC", zero=True)
    for _ in range(4):
        picture = await rig.cycle(follower)
        assert picture.status is Status.ACTIVE
        assert (picture.total_value, picture.positions["BTC"].value, picture.positions["BTC"].weight) == (None,) * 3
        assert (picture.as_of, picture.last_signal_id) == (before.as_of, before.last_signal_id)
    sim.restore_price("BTCUSDC")
    sim.remove_price("EURUSDC")
    sim.remove_price("EURUSDT")
    picture = await rig.cycle(follower)
    assert (picture.total_value, picture.rate) == (None, None)
    assert picture.total_value_quote
    assert picture.last_signal_id == before.last_signal_id
    sim.restore_price("EURUSDC")
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED


async def test_an_order_that_stays_unclear(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Its symbol is not traded, the others are, and the owner is shown which."""
    leader.publish_v2({"BTC": ".2", "ETH": ".2"})
    follower = await rig.start()
    sim.fault("late", method="POST", symbol="BTCUSDC", seconds=3600)
    sim.fault("drop", when="after", method="POST", symbol="BTCUSDC")
    sim.fault("status", path="/order", method="GET", count=None)
    picture = await follower.cycle()
    assert [order.symbol for order in picture.open_orders] == ["BTCUSDC"]
    signal_id = leader.publish_v2({"BTC": ".4", "ETH": ".4"})
    for _ in range(4):
        picture = await rig.cycle(follower)
    assert [order.symbol for order in rig.orders()] == ["BTCUSDC", "ETHUSDC", "ETHUSDC"]
    assert (rig.result(follower, signal_id), picture.exchange_connected) == (Result.OPEN, False)
    assert not picture.missing
    assert picture.total_value
    sim.clear_faults()
    await rig.cycle(follower, after=3600)
    assert rig.result(follower, signal_id) in {Result.EXECUTED, Result.OPEN}
    await rig.cycle(follower)
    rig.agree(follower)
    assert abs(rig.weights(follower)["BTC"] - 0.4) < 0.006


# Crashes and stops

STEPS = ["write_signal", "add_orders", "update_orders", "book_orders", "place", "write_close"]


class Crash(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("sells", [False, True])
@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_in_a_cycle(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, name: str, number: int, when: str, sells: bool
) -> None:
    """A follower that starts again on the same file comes to the same books as one that went on."""
    follower = await rig.start()
    if sells:
        leader.publish_v2(ALLOCATION)
        await follower.cycle()
    targets = {"BTC": ".1", "ETH": ".5"} if sells else ALLOCATION
    signal_id = leader.publish_v2(targets)
    dies(follower, name, number, when)
    try:
        await rig.cycle(follower)
    except Crash:
        pass
    else:
        assert number > 1  # there are fewer of these in a cycle
    follower = await rig.restart(follower)
    for _ in range(3):
        await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert rig.in_flight(follower) == ()
    rig.agree(follower)
    weights = rig.weights(follower)
    assert all(abs(weights[coin] - float(targets.get(coin, "0"))) < 0.006 for coin in COINS)


def dies(follower: OpenEngine, name: str, number: int, when: str) -> None:
    """Let the process die at the n-th of a kind of step; after that nothing works any more."""
    exchange = follower.exchange
    in_thread = name != "place"
    target: Any = follower.ledger if in_thread else exchange
    step, calls = getattr(target, name), itertools.count(1)

    def dies(*args: Any) -> Any:
        if (call := next(calls)) < number:
            return step(*args)
        if call == number and when == "after":
            step(*args)
        raise Crash

    async def dies_later(*args: Any) -> Any:
        if (call := next(calls)) < number:
            return await step(*args)
        if call == number and when == "after":
            await step(*args)
        raise Crash

    setattr(target, name, dies if in_thread else dies_later)


@pytest.mark.parametrize(
    ("mode", "name", "number"),
    [
        (mode, name, number)
        for mode in Mode
        for name, number in (
            *(("add_flow", 1), ("add_orders", 1), ("update_orders", 1)),
            *itertools.product(("book_orders", "write_signal"), (1, 2)),
        )
        # On paper an order is written down for the second time with its fill.
        if (mode, name) != (Mode.DRY_RUN, "update_orders")
    ],
)
async def test_a_ledger_that_fails(
    rig: Rig, leader: LeaderSimulator, mode: Mode, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing further is sent, it is told in words, and once the disk is back everything is found."""
    follower = await rig.start(mode)
    signal_id = leader.publish_v2(ALLOCATION)
    step, calls = getattr(follower.ledger, name), itertools.count(1)
    broken = True

    def fails(*args: Any) -> Any:
        if broken and next(calls) >= number:
            raise LedgerError("the ledger failed: the disk is full")
        return step(*args)

    monkeypatch.setattr(follower.ledger, name, fails)
    picture = await follower.cycle()
    sent = len(rig.orders())
    for _ in range(2):
        assert picture.storage_problem == "the ledger failed: the disk is full"
        picture = await rig.cycle(follower)
        assert len(rig.orders()) == sent
    broken = False
    for _ in range(2):
        picture = await rig.cycle(follower)
    assert picture.storage_problem is None
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert len(follower.ledger.trades()) == len(COINS)
    if mode is Mode.DRY_RUN:
        assert not rig.orders()
        assert not follower.ledger.in_flight()
        assert follower.ledger.replay() == follower.ledger.book().portfolio
    else:
        assert len(rig.orders()) == len(COINS)
        rig.agree(follower)


@pytest.mark.parametrize("lost", ["restored", "deleted"])
@pytest.mark.parametrize("free", ["2000", "1160"])
async def test_a_ledger_older_than_the_account(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, lost: str, free: str
) -> None:
    """The sweep finds what the ledger lost; the owner's and another follower's orders stay theirs."""
    sim.set_balance("USDC", free)
    follower = await rig.start()
    await follower.cycle()  # the book begins
    follower.ledger.checkpoint()
    shutil.copyfile(follower.ledger.path, rig.folder / "backup")
    leader.publish_v2({"BTC": ".5", "ETH": ".4"})
    await rig.cycle(follower)
    leader.publish_v2({"BTC": ".2", "ETH": ".7"})
    await rig.cycle(follower)
    truth = rig.agree(follower)
    owner = rig.binance()
    tag = follower_tag("another")
    sim.set_balance("USDC", sim.balance("USDC") + 1000)
    for name in ("web_owner", f"{tag}abcdefghijklmnopqr-1"):
        await owner.place(
            OrderRequest(
                symbol="BTCUSDC", side=Side.BUY, quantity=Decimal("0.001"), limit_price=None, client_order_id=name
            )
        )
    sim.set_balance("USDC", sim.balance("USDC") - 1000 + sum(o.executed_quote for o in sim.orders[-2:]))
    rig.crash(follower)
    for file in rig.folder.glob("entry.*"):
        file.unlink()
    if lost == "restored":
        shutil.copyfile(rig.folder / "backup", follower.ledger.path)
    orders = len(sim.orders)
    follower = await rig.start()
    picture = await rig.cycle(follower)
    book = follower.ledger.book().portfolio
    assert {coin: book.quantity(coin) for coin in COINS} == {coin: truth.quantity(coin) for coin in COINS}
    assert abs(book.cash - truth.cash) < Decimal("1e-7")
    assert follower.ledger.replay() == book
    assert len(sim.orders) == orders
    assert picture.last_signal_result is Result.EXECUTED
    assert picture.total_value
    assert picture.net_deposits
    assert abs(picture.net_deposits - (1000 if free == "2000" else 998)) < 2
    # The orders of the latest signal are its own again, those of the one before cannot be explained.
    assert {record.signal_id for record in recovered(follower)} == {RECOVERED, picture.last_signal_id}


def recovered(follower: OpenEngine) -> list[Any]:
    """All orders of the ledger."""
    ids = (RECOVERED, *(record.signal_id for record in follower.ledger.signals()))
    return [order for signal_id in ids for order in follower.ledger.orders(key(signal_id))]


async def test_a_lost_ledger_whose_money_is_all_invested(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """What own orders took out of the wallet counts as there; deposits made meanwhile are covered too."""
    sim.set_balance("USDC", "120")
    follower = await rig.start(budget="50")
    await follower.cycle()
    await follower.commands.deposit(Decimal(50))
    leader.publish_v2({"BTC": "1"})
    await rig.cycle(follower)
    sim.set_balance("USDC", "0")
    rig.crash(follower)
    for file in rig.folder.glob("entry.*"):
        file.unlink()
    follower = await rig.start(budget="50")
    picture = await rig.cycle(follower)
    book = follower.ledger.book().portfolio
    assert book.quantity("BTC") == sim.balance("BTC")
    assert book.cash == 0
    assert picture.net_deposits
    assert 98 < picture.net_deposits < 100
    assert picture.last_signal_result is Result.EXECUTED


async def test_a_broken_ledger(rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """It is kept aside; the follower goes on from the last copy and what the exchange knows beyond it."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(mode)
    await follower.cycle()
    leader.publish_v2({"BTC": ".2"})
    await rig.cycle(follower)
    book = follower.ledger.book
    calls = itertools.count()

    def broken() -> Any:
        if not next(calls):
            raise LedgerCorrupt("the ledger failed: malformed")
        return book()

    monkeypatch.setattr(follower.ledger, "book", broken)
    picture = await rig.cycle(follower)
    assert picture.storage_problem
    assert "ledger_restored" in rig.types("alert")
    picture = await rig.cycle(follower)
    assert picture.storage_problem is None
    assert picture.restored == f"entry.{rig.clock.now().date()}.copy.db"
    assert list(rig.folder.glob("entry.broken-*.db"))
    if mode is Mode.LIVE:
        rig.agree(follower)
    await follower.commands.forget_restore()
    assert follower.snapshot.restored is None
    assert follower.ledger.fact(RESTORED) is None


async def test_a_ledger_that_is_broken_at_the_start(
    rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same before the first cycle; where nothing can be restored, the start fails."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    path = follower.ledger.path
    rig.crash(follower)
    path.write_bytes(b"no database" * 1000)
    follower = await rig.start()
    assert "restored" not in rig.types("alert")
    await rig.cycle(follower)
    assert "ledger_restored" in rig.types("alert")
    rig.agree(follower)
    rig.crash(follower)
    path.write_bytes(b"no database" * 1000)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("custom_components.calvalot.trading.ledger.copies.restore", fails)
    with pytest.raises(LedgerCorrupt):
        await rig.start()


async def test_a_ledger_that_was_taken_away(rig: Rig, leader: LeaderSimulator) -> None:
    """Nothing is traded on a file that lost its name; an older one in its place is brought up to date."""
    follower = await rig.start()
    await follower.cycle()
    follower.ledger.checkpoint()
    path = follower.ledger.path
    shutil.copyfile(path, rig.folder / "backup")
    leader.publish_v2({"BTC": ".5"})
    await rig.cycle(follower)
    for file in rig.folder.glob("entry.*"):
        file.unlink()
    leader.publish_v2({"BTC": ".1"})
    for _ in range(2):
        assert (await rig.cycle(follower)).storage_problem
    assert len(rig.orders()) == 1
    shutil.copyfile(rig.folder / "backup", path)
    picture = await rig.cycle(follower)
    assert picture.storage_problem is None
    assert picture.last_signal_result is Result.EXECUTED
    assert len(rig.orders()) == 2
    rig.agree(follower)


@pytest.mark.parametrize("error", [LedgerError, LedgerCorrupt])
async def test_a_copy_that_cannot_be_made(
    rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch, error: type[LedgerError]
) -> None:
    """For want of space trading goes on, once a day it is tried; a broken file is restored."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    days: list[Any] = []

    def fails(day: Any) -> None:
        days.append(day)
        raise error("the ledger failed")

    monkeypatch.setattr(follower.ledger, "keep_copy", fails)
    picture = await follower.cycle()
    assert (picture.storage_problem is None) == (error is LedgerError)
    await rig.cycle(follower, after=1)
    await rig.cycle(follower, after=86400)
    if error is LedgerError:
        assert len(days) == len(set(days)) == 2
        rig.agree(follower)


async def test_a_copy_that_takes_long(rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cycles go on beside it, one copy is made, and a stop waits for its end before the ledger is closed."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    go_on = threading.Event()
    days: list[Any] = []
    monkeypatch.setattr(upkeep, "COPY_TIMEOUT", 0.01)
    monkeypatch.setattr(follower.ledger, "keep_copy", lambda day: (days.append(day), go_on.wait(30)))
    assert (await follower.cycle()).last_signal_result is Result.EXECUTED
    await rig.cycle(follower)
    stopping = asyncio.create_task(follower.stop())
    assert not (await asyncio.wait((stopping,), timeout=0.1))[0]
    assert follower.ledger.is_open
    go_on.set()
    await stopping
    assert not follower.ledger.is_open
    assert len(days) == 1


async def arrival(sim: ExchangeSimulator, number: int) -> None:
    """Wait until that many orders have reached the exchange."""
    while sim.count("POST", "/order") < number:  # noqa: ASYNC110  # it is a server, not a task of ours
        await asyncio.sleep(0.01)


async def test_a_stop_with_an_order_in_flight(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """What was sent is journalled, nothing new is sent, and the signal goes on after the start."""
    follower = await rig.start()
    leader.publish_v2({"BTC": ".5"})
    await follower.cycle()
    signal_id = leader.publish_v2({"ETH": ".5"})  # a sale first, then a purchase
    sim.fault("slow", when="after", method="POST", symbol="BTCUSDC", seconds=0.3)
    cycle = asyncio.create_task(follower.cycle())
    await arrival(sim, 2)
    await follower.stop()
    await cycle
    assert [order.symbol for order in rig.orders()] == ["BTCUSDC", "BTCUSDC"]
    requests = len(sim.requests)
    assert await follower.cycle() == follower.snapshot
    await refused(follower.commands.sync(), "ledger_unavailable")
    assert len(sim.requests) == requests
    follower = await rig.restart(follower)
    assert rig.in_flight(follower) == ()
    assert rig.result(follower, signal_id) is Result.OPEN
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert [order.symbol for order in rig.orders()] == ["BTCUSDC", "BTCUSDC", "ETHUSDC"]
    rig.agree(follower)


async def test_a_stop_that_cannot_wait(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """After its time the book is closed; what was in flight is found at the next start."""
    follower = await rig.start()
    signal_id = leader.publish_v2({"BTC": ".5"})
    sim.fault("slow", when="after", method="POST", seconds=0.5)
    cycle = asyncio.create_task(follower.cycle())
    await arrival(sim, 1)
    await follower.stop(timeout=0.05)
    assert (await cycle).storage_problem
    follower = await rig.restart(follower)
    assert [order.state for order in rig.in_flight(follower)] == [OrderState.SENDING]
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert len(rig.orders()) == 1
    rig.agree(follower)


async def test_a_cancelled_cycle(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Wherever it is cut short, the next one puts things right."""
    follower = await rig.start()
    await follower.cycle()
    for number in range(12):
        leader.publish_v2(random_targets(random.Random(number)))
        sim.set_latency(0.02)
        cycle = asyncio.create_task(rig.cycle(follower))
        await asyncio.sleep(0.013 * number)
        cycle.cancel()
        await asyncio.wait([cycle])
        await asyncio.sleep(0.05)
        sim.set_latency(0)
    for _ in range(2):
        await rig.cycle(follower)
    assert rig.in_flight(follower) == ()
    assert follower.snapshot.last_signal_result is Result.EXECUTED
    rig.agree(follower)


async def test_never_two_cycles_at_a_time(rig: Rig, leader: LeaderSimulator) -> None:
    """They wait for each other."""
    leader.publish_v2(ALLOCATION)
    follower = await rig.start()
    await asyncio.gather(*(follower.cycle() for _ in range(3)))
    assert len(rig.orders()) == len(COINS)
    rig.agree(follower)


# Risk


async def test_pause(rig: Rig, leader: LeaderSimulator, mode: Mode) -> None:
    """No new signal is taken up; on resuming, the latest one counts. Kept over a restart."""
    follower = await rig.start(mode)
    await follower.commands.pause(paused=True)
    assert follower.snapshot.status is Status.PAUSED
    skipped = [leader.publish_v2({coin: "1"}) for coin in ("BTC", "ETH") if await rig.cycle(follower)]
    latest = leader.publish_v2({"SOL": ".5"})
    follower = await rig.restart(follower)
    picture = await rig.cycle(follower)
    assert (picture.status, picture.last_signal) == (Status.PAUSED, None)
    await refused(follower.commands.sync(), "paused")
    await refused(follower.commands.approve(), "paused")
    await follower.commands.pause(paused=False)
    picture = await rig.cycle(follower)
    assert picture.status is Status.ACTIVE
    assert (picture.last_signal_id, picture.last_signal_result) == (latest, Result.EXECUTED)
    assert [rig.result(follower, each) for each in skipped] == [None, None]
    assert {each["symbol"] for each in await follower.queries.trades()} == {"SOLUSDC"}


async def test_dead(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, mode: Mode) -> None:
    """After three complete valuations in a row under the floor, for good; nothing trades until it is ended."""
    follower = await rig.start(mode, budget="20")
    leader.publish_v2({"BTC": "1"})
    await follower.cycle()
    price = sim.price("BTCUSDC")
    sim.set_price("BTCUSDC", price / 10)
    statuses = [(await rig.cycle(follower)).status for _ in range(2)]
    sim.remove_price("BTCUSDC")
    statuses += [(await rig.cycle(follower)).status for _ in range(5)]
    sim.restore_price("BTCUSDC")
    assert set(statuses) == {Status.ACTIVE}
    await refused(follower.commands.reset(), "not_dead")
    assert (await rig.cycle(follower)).status is Status.DEAD
    assert rig.types("alert") == ["dead"]
    follower = await rig.restart(follower, budget="20")
    await follower.commands.pause(paused=True)
    leader.publish_v2({})
    trades = len(await follower.queries.trades())
    assert (await rig.cycle(follower)).status is Status.DEAD
    assert len(await follower.queries.trades()) == trades
    await refused(follower.commands.sync(), "dead")
    assert (await refused(follower.commands.reset(), "under_floor")).placeholders["floor"] == "5"
    sim.remove_price("BTCUSDC")
    await refused(follower.commands.reset(), "no_valuation")
    sim.restore_price("BTCUSDC")
    sim.set_price("BTCUSDC", price)
    await follower.commands.reset()
    assert follower.snapshot.status is Status.PAUSED
    assert rig.types("alert") == ["revived"]
    await follower.commands.pause(paused=False)
    await rig.cycle(follower)
    assert len(await follower.queries.trades()) == trades + 1


async def test_one_good_valuation_starts_the_count_anew(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """Three in a row."""
    follower = await rig.start(budget="20")
    leader.publish_v2({"BTC": "1"})
    await follower.cycle()
    price = sim.price("BTCUSDC")
    for factor in (10, 10, 1, 10, 10):
        sim.set_price("BTCUSDC", price / factor)
        assert (await rig.cycle(follower)).status is Status.ACTIVE
    assert (await rig.cycle(follower)).status is Status.DEAD


@pytest.mark.parametrize("sell", [False, True])
async def test_stop_loss(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, mode: Mode, sell: bool) -> None:
    """A fall from the peak pauses, and sells where the owner wants that, to the end though paused."""
    follower = await rig.start(mode, stop_loss_drawdown=Decimal("0.2"), stop_loss_sell=sell)
    leader.publish_v2({"BTC": ".9"})
    await follower.cycle()
    price = sim.price("BTCUSDC")
    sim.set_price("BTCUSDC", price * 2)
    await rig.cycle(follower)
    sim.set_price("BTCUSDC", price * Decimal("1.7"))
    assert (await rig.cycle(follower)).status is Status.ACTIVE
    sim.set_depth("BTCUSDC", "900")
    sim.set_price("BTCUSDC", price * Decimal("1.5"))
    rig.types("alert")
    picture = await rig.cycle(follower)
    assert picture.status is Status.PAUSED
    told = rig.types("alert")
    leader.publish_v2({"BTC": "1"})  # not taken up, and in nobody's way
    for _ in range(3):
        picture = await rig.cycle(follower)
    held = follower.ledger.book().portfolio.quantity("BTC") * sim.price("BTCUSDC")
    assert held < 6 if sell else held > 1000
    assert told + rig.types("alert") == ["stop_loss", "exit"] if sell else ["stop_loss"]
    if mode is Mode.LIVE:
        rig.agree(follower)
    # Resuming counts from here.
    await follower.commands.pause(paused=False)
    assert (await rig.cycle(follower)).status is Status.ACTIVE


async def test_ledger_mismatch(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Three cycles in which the account holds less than the ledger; and none while an order is in flight."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    there = sim.balance("BTC")
    sim.set_balance("BTC", there - Decimal("0.00001"))
    pictures = [await rig.cycle(follower) for _ in range(3)]
    assert [bool(picture.missing) for picture in pictures] == [False, False, True]
    alerts = [event for event in rig.events if event.type == "ledger_mismatch"]
    assert [event.data["missing"] for event in alerts] == [{"BTC": "0.00001000"}]
    assert (await rig.cycle(follower)).missing
    assert len([event for event in rig.events if event.type == "ledger_mismatch"]) == 1
    sim.set_balance("BTC", there)
    assert not (await rig.cycle(follower)).missing
    sim.set_balance("BTC", 0)
    sim.fault("drop", method="POST")
    sim.fault("status", method="GET", path="/order", count=None)
    leader.publish_v2({"ETH": ".2"})
    for _ in range(4):
        assert not (await rig.cycle(follower)).missing


async def test_the_account_is_right(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """What the account lacks leaves the book as withdrawals; without the account nothing is written."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()
    taken = Decimal("0.001")
    sim.set_balance("BTC", sim.balance("BTC") - taken)
    for _ in range(3):
        picture = await rig.cycle(follower)
    assert dict(picture.missing) == {"BTC": taken}
    sim.fault("status", path="/account")
    await refused(follower.commands.accept_account(), "account_unknown")
    (flow,) = await follower.commands.accept_account()
    assert abs(flow.amount_quote + taken * sim.price("BTCUSDC")) < Decimal("1e-7")
    assert follower.snapshot.missing == {}
    book = follower.ledger.book().portfolio
    assert follower.ledger.replay() == book
    assert book.quantity("BTC") == sim.balance("BTC")
    assert picture.time_weighted_return is not None
    assert follower.snapshot.time_weighted_return is not None
    assert abs(follower.snapshot.time_weighted_return - picture.time_weighted_return) < Decimal("1e-6")
    assert await follower.commands.accept_account() == ()


async def test_the_owner_s_fees_are_no_mismatch(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Fees that are paid with the owner's BNB take nothing of what the ledger holds."""
    sim.set_account(bnb_burn=True)
    sim.set_balance("BNB", "0.001")
    follower = await rig.start()
    for targets in (ALLOCATION, {"BNB": ".9"}, {}, ALLOCATION):
        leader.publish_v2(targets)
        assert not (await rig.cycle(follower)).missing
    for _ in range(4):
        assert not (await rig.cycle(follower)).missing


# Money in, money out


async def test_flows(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, mode: Mode) -> None:
    """They move cash, never the return, and are refused where they cannot be."""
    follower = await rig.start(mode)
    await refused(follower.commands.withdraw(Decimal(1001)), "withdrawal_above_cash")
    leader.publish_v2({"BTC": ".5"})
    await follower.cycle()
    sim.set_price("BTCUSDC", sim.price("BTCUSDC") * Decimal("1.1"))
    before = await rig.cycle(follower)
    flow = await follower.commands.deposit(Decimal(50), "birthday")
    after = follower.snapshot
    assert before.cash is not None
    assert after.cash == before.cash + flow.amount_quote
    assert after.net_deposits == 1050
    assert before.time_weighted_return
    assert after.time_weighted_return
    assert abs(after.time_weighted_return - before.time_weighted_return) < Decimal("1e-6")
    for amount, error in (
        ("0", "amount_not_positive"),
        ("-1", "amount_not_positive"),
        ("NaN", "amount_not_positive"),
        ("1000001", "amount_too_large"),
    ):
        await refused(follower.commands.deposit(Decimal(amount)), error)
        await refused(follower.commands.withdraw(Decimal(amount)), error)
    await refused(follower.commands.deposit(Decimal(1), at=rig.clock.now() + timedelta(hours=1)), "at_in_future")
    error = await refused(follower.commands.withdraw(Decimal(600)), "withdrawal_above_cash")
    assert Decimal(error.placeholders["cash"]) < 560
    if mode is Mode.LIVE:
        await refused(follower.commands.deposit(Decimal(1000)), "insufficient_free")
        rig.agree(follower)
    error = await refused(
        follower.commands.withdraw(Decimal(100), at=rig.clock.now() - timedelta(days=1)), "before_start"
    )
    assert error.placeholders["start"].startswith(f"{follower.snapshot.since:%Y-%m-%d %H:%M}")
    rig.clock.advance(3600)
    earlier = rig.clock.now() - timedelta(minutes=30)
    await follower.commands.withdraw(Decimal(100), at=earlier)
    assert follower.snapshot.revalued
    assert follower.snapshot.net_deposits == 950
    await follower.commands.set_net_deposits(Decimal(500))
    assert follower.snapshot.net_deposits == 500
    flows = await follower.queries.cash_flows()
    assert [each["kind"] for each in flows] == ["correction", "withdrawal", "deposit", "initial"]
    assert (flows[2]["amount"], flows[2]["note"]) == ("50", "birthday")
    assert flows[1]["time"] == responses.iso(earlier)
    assert [each["kind"] for each in await follower.queries.cash_flows(limit=1)] == ["correction"]
    json.dumps(
        [
            *flows,
            await follower.queries.performance(),
            responses.portfolio(follower.snapshot),
            await follower.queries.signals(),
        ]
    )


async def test_flows_without_a_valuation(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, mode: Mode) -> None:
    """What a flow is worth has to be known."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(mode)
    await refused(follower.commands.set_net_deposits(Decimal(1)), "no_valuation")
    await follower.cycle()
    sim.remove_price("BTCUSDC")
    await refused(follower.commands.deposit(Decimal(1)), "no_valuation")
    sim.restore_price("BTCUSDC")
    if mode is Mode.LIVE:
        sim.fault("status", path="/account")
        await refused(follower.commands.deposit(Decimal(1)), "no_valuation")
    assert (await follower.commands.deposit(Decimal(1))).amount == 1


# What the owner can ask for


async def test_sync_and_preview(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, mode: Mode) -> None:
    """A whole rebalance to what the leader holds now; the preview shows it and trades nothing."""
    follower = await rig.start(mode)
    await refused(follower.commands.sync(), "no_allocation")
    await refused(follower.commands.preview(), "no_allocation")
    leader.publish_v2({"BTC": ".5"})
    shown = await follower.commands.preview()
    assert [(each["symbol"], each["side"]) for each in shown["orders"]] == [("BTCUSDC", "BUY")]
    assert await follower.queries.trades() == []
    record = await follower.commands.sync()
    assert (record.result, record.signal_id[:5]) == (Result.EXECUTED, "sync-")
    assert len(await follower.queries.trades()) == 1
    await rig.cycle(follower)
    sim.set_price("BTCUSDC", sim.price("BTCUSDC") * 3)
    await rig.cycle(follower)
    assert len(await follower.queries.trades()) == 1
    record = await follower.commands.sync()
    assert [each["side"] for each in await follower.queries.trades()] == ["SELL", "BUY"]
    assert abs(rig.weights(follower)["BTC"] - 0.5) < 0.006
    sim.remove_price("BTCUSDC")
    await refused(follower.commands.sync(), "no_valuation")
    await refused(follower.commands.preview(), "no_valuation")
    sim.restore_price("BTCUSDC")
    if mode is Mode.LIVE:
        rig.agree(follower)
        sim.fault("status", path="/account", count=None)
        await refused(follower.commands.sync(), "no_valuation")
        await refused(follower.commands.preview(), "no_valuation")


async def test_a_preview_counts_the_proceeds(rig: Rig, leader: LeaderSimulator) -> None:
    """Buys are shown as what the sells pay for."""
    follower = await rig.start(Mode.DRY_RUN)
    leader.publish_v2({"BTC": "1"})
    await follower.cycle()
    leader.publish_v2({"ETH": ".8"})
    orders = (await follower.commands.preview())["orders"]
    assert [(each["symbol"], each["side"]) for each in orders] == [("BTCUSDC", "SELL"), ("ETHUSDC", "BUY")]
    assert abs(float(orders[1]["amount"]) / 1161 - 0.8) < 0.01


async def test_settled_by_hand(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """The owner tells what the exchange would not; only of an order that is open, and only what can be."""
    follower = await rig.start()
    leader.publish_v2({"BTC": ".5"})
    sim.fault("drop", when="after", method="POST")
    sim.fault("status", method="GET", path="/order", count=None)
    (order,) = (await follower.cycle()).open_orders
    right = Execution(quantity=order.quantity, amount=Decimal(580), fee=ZERO, fee_asset="USDC")
    await refused(follower.commands.settle_by_hand("cv-nothing", right), "order_not_open")
    wrong = Execution(quantity=order.quantity * 2, amount=Decimal(580), fee=ZERO, fee_asset="USDC")
    await refused(follower.commands.settle_by_hand(order.client_order_id, wrong), "execution_impossible")
    rig.types("trade")
    record = await follower.commands.settle_by_hand(order.client_order_id, right)
    assert record.state is OrderState.BOOKED
    assert rig.types("trade") == ["buy"]
    assert follower.snapshot.open_orders == ()
    assert follower.snapshot.positions["BTC"].quantity == order.quantity
    await refused(follower.commands.settle_by_hand(order.client_order_id, None), "order_not_open")


async def test_approval(rig: Rig, leader: LeaderSimulator, mode: Mode) -> None:
    """A signal waits for the owner's word, and is planned again on it."""
    follower = await rig.start(mode, approval=Approval.ASK)
    await refused(follower.commands.approve(), "not_waiting")
    await refused(follower.commands.reject(), "not_waiting")
    first = leader.publish_v2({"BTC": ".5"})
    picture = await follower.cycle()
    assert picture.waiting_signal == first
    assert rig.types("signal") == ["received", "waiting"]
    assert await follower.queries.trades() == []
    follower = await rig.restart(follower, approval=Approval.ASK)
    await rig.cycle(follower)
    await refused(follower.commands.approve("another"), "not_waiting")
    record = await follower.commands.approve(first)
    assert record.result is Result.EXECUTED
    assert len(await follower.queries.trades()) == 1
    signal_id = leader.publish_v2({"ETH": ".5"})
    picture = await rig.cycle(follower)
    assert (picture.waiting_signal, picture.waiting_until) == (signal_id, rig.clock.now() + timedelta(minutes=30)) or (
        picture.waiting_until
    )
    record = await follower.commands.reject(signal_id)
    assert (record.result, record.reason) == (Result.SKIPPED, "rejected by the owner")
    signal_id = leader.publish_v2({"ETH": ".4"})
    await rig.cycle(follower)
    rig.clock.advance(1801)
    await refused(follower.commands.approve(), "not_waiting")
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.SKIPPED
    leader.publish_v2({"ETH": ".3"})
    await rig.cycle(follower)
    if mode is Mode.LIVE:
        rig.exchange.fault("status", path="/account", count=None)
        await refused(follower.commands.approve(), "no_valuation")
    assert len(await follower.queries.trades()) == 1


async def test_owner_s_actions_on_a_ledger_that_fails(
    rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is refused in words."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    await follower.cycle()

    def fails(*_: object) -> None:
        raise LedgerError("the ledger failed")

    for name in ("book", "remember", "remember_all", "trades", "trades_before", "signals", "flows"):
        monkeypatch.setattr(follower.ledger, name, fails)
    actions: list[Callable[[], Any]] = [
        lambda: follower.commands.pause(paused=True),
        lambda: follower.commands.deposit(Decimal(1)),
        follower.commands.sync,
        follower.commands.preview,
        follower.commands.forget_restore,
        follower.queries.trades,
        follower.queries.signals,
        follower.queries.cash_flows,
        follower.queries.performance,
        lambda: follower.queries.page(pages.trades, 1, None),
    ]
    for action in actions:
        await refused(action(), "ledger_unavailable")


async def test_still_while_a_backup_is_made(rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cycle runs, and the file alone is whole; a checkpoint that fails stops no backup."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    async with follower.still():
        cycle = asyncio.create_task(follower.cycle())
        await asyncio.sleep(0.1)
        assert not cycle.done()
        assert rig.exchange.requests == []
    await cycle

    def fails() -> None:
        raise LedgerError("the ledger failed")

    monkeypatch.setattr(follower.ledger, "checkpoint", fails)
    async with follower.still():
        pass


async def test_what_is_told(rig: Rig, leader: LeaderSimulator, mode: Mode) -> None:
    """Signals with their legs, trades, and the day's close."""
    follower = await rig.start(mode)
    leader.publish_v2({"BTC": ".5", "ETH": ".003"}, reasoning="because", confidence=0.7)
    await follower.cycle()
    (signal,) = await follower.queries.signals()
    assert signal["signal_id"] == (leader.latest and leader.latest["signal_id"])
    (leg,) = signal["legs"]
    assert (leg["symbol"], leg["side"], leg["result"]) == ("BTCUSDC", "BUY", "booked")
    (trade,) = await follower.queries.trades()
    assert (trade["symbol"], trade["simulated"]) == ("BTCUSDC", mode is Mode.DRY_RUN)
    assert await follower.queries.trades(since=rig.clock.now() + timedelta(days=1)) == []
    assert [each["symbol"] for each in await follower.queries.page(pages.trades, 1, None)] == ["BTCUSDC"]
    assert (await follower.queries.counts())["orders"] == 1
    told = await follower.queries.performance()
    assert [close["day"] for close in told["closes"]] == [rig.clock.now().date().isoformat()]
    assert rig.types("trade") == ["buy"]
    assert [event.type for event in rig.events if event.kind == "signal"] == ["received", "executed"]
    assert responses.portfolio(follower.snapshot)["positions"][0]["coin"] == "BTC"


# Secrets


async def test_secrets_stay_secret(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in a log at its chattiest, an event, a picture, an error or the database."""
    caplog.set_level(logging.DEBUG)
    follower = await rig.start()
    shown = []
    for kind in ("drop", "html", "broken_json", "error_list", "rate_limit", "wrong_id"):
        leader.publish_v2({"BTC": f".{1 + len(shown) // 4}"})
        sim.fault(kind, when="after", method="POST")
        sim.fault("status", path="/account", skip=3)
        leader.misbehave("drop")
        shown += [repr(await rig.cycle(follower)) for _ in range(4)]
    sim.set_account(ip_restrict=True, ip_allowed=False)
    leader.misbehave("forbidden")
    shown.append(repr(await rig.cycle(follower)))
    await follower.stop()
    shown += [repr(event) for event in rig.events]
    database = b"".join(file.read_bytes() for file in rig.folder.iterdir())
    told = "\n".join(shown) + caplog.text + database.decode(errors="replace")
    assert "BTCUSDC" in told
    for secret in (sim.api_secret, sim.api_key, leader.secret, "signature=", "X-MBX-APIKEY"):
        assert secret not in told


# What is shown while there are no prices


async def test_last_known_figures_after_a_restart(rig: Rig, leader: LeaderSimulator, mode: Mode) -> None:
    """At the last prices that the ledger knows, with their time; a portfolio that never had any has none."""
    leader.publish_v2({"BTC": "0.4", "ETH": "0.2"})
    follower = await rig.start(mode)
    assert follower.publisher.last_valued is None
    before = await rig.cycle(follower)
    rig.exchange.fault("error", path="/ticker/price", status=503, count=None)
    follower = await rig.restart(follower)
    for _ in range(2):
        known = follower.publisher.last_valued
        assert known
        assert (known.as_of, known.net_deposits, known.cash) == (before.as_of, before.net_deposits, before.cash)
        assert known.total_value == pytest.approx(before.total_value)
        assert known.profit_loss == pytest.approx(before.profit_loss)
        for coin, position in before.positions.items():
            assert known.positions[coin].value == position.value
        assert (await rig.cycle(follower)).total_value is None
