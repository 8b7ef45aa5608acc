"""A lost or older ledger: everything that was ours is booked once and in its order, however often it is interrupted."""

from datetime import UTC, datetime
from decimal import Decimal
import shutil

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import OrderRequest, Side
from custom_components.calvalot.trading.ledger.records import OrderState, Result
from custom_components.calvalot.trading.portfolio import Portfolio
from custom_components.calvalot.trading.signal import RECOVERED
from custom_components.calvalot.trading.snapshot import Snapshot
from harness.engine import OpenEngine
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .builders import key, make_order
from .rig import Rig

MOST_CYCLES = 40


@pytest.fixture
def sim(rig: Rig) -> ExchangeSimulator:
    """The exchange."""
    return rig.exchange


async def traded(rig: Rig, leader: LeaderSimulator, **settings: object) -> OpenEngine:
    """A follower with orders on several coins, some of them several on one leg: the book is thin."""
    follower = await rig.following(**settings)
    rig.exchange.set_depth("BTCUSDC", "100")
    leader.publish_v2({"BTC": ".3", "SOL": ".2"})
    for _ in range(4):
        await rig.cycle(follower)
    rig.exchange.set_depth("BTCUSDC", None)
    leader.publish_v2({"BTC": ".1", "ETH": ".3"})
    await rig.cycle(follower)
    leader.publish_v2({"BTC": ".3", "ETH": ".1", "SOL": ".1"})
    await rig.cycle(follower)
    return follower


def lose(rig: Rig, follower: OpenEngine) -> None:
    """Nothing is left of the ledger, nor of its copies."""
    rig.crash(follower)
    for file in rig.folder.rglob("entry*"):
        if file.is_file():
            file.unlink()


def is_whole(rig: Rig, follower: OpenEngine, truth: Portfolio, picture: Snapshot) -> bool:
    """Whether the book is open; it is only with everything in it, and until then there are no figures."""
    if picture.net_deposits is None or picture.total_value is None:
        assert picture.total_value is None
        return False
    book = follower.ledger.book().portfolio
    assert {coin: held.quantity for coin, held in book.positions.items()} == {
        coin: held.quantity for coin, held in truth.positions.items()
    }
    assert abs(book.realised - truth.realised) < Decimal("1e-8")
    assert abs(book.cash - truth.cash) < Decimal("1e-7")
    assert follower.ledger.replay() == book
    assert not picture.open_orders
    return True


async def rebuilt(rig: Rig, follower: OpenEngine, truth: Portfolio) -> int:
    """Cycle until the book is open; returns how many cycles it took."""
    for number in range(1, MOST_CYCLES):
        picture = await rig.cycle(follower, after=61)
        assert picture.storage_problem is None
        if is_whole(rig, follower, truth, picture):
            return number
    raise AssertionError("the book was never opened")


def legs(follower: OpenEngine, signal_id: str) -> list[tuple[str, str, int]]:
    """Symbol, side and leg of a signal's orders."""
    return sorted((order.symbol, order.side, order.leg) for order in follower.ledger.orders(key(signal_id)))


async def test_several_orders_of_one_leg(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Each gets its own leg back, and what is still to be placed of the signal has a new name."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "100")
    signal_id = leader.publish_v2({"BTC": ".4"})
    for _ in range(3):
        await rig.cycle(follower)
    before = legs(follower, signal_id)
    assert [leg for _, _, leg in before] == [0, 1, 2]
    lose(rig, follower)
    follower = await rig.start()
    picture = await rig.cycle(follower)
    assert picture.storage_problem is None
    assert legs(follower, signal_id) == [*before, ("BTCUSDC", "BUY", 3)]
    await rig.cycle(follower)
    names = [order.client_order_id for order in rig.orders()]
    assert len({*names}) == len(names) == 5
    assert rig.result(follower, signal_id) is Result.EXECUTED


async def test_a_clock_that_was_set_back(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """A sale that seems to come before the purchase of what it sold is booked after it all the same."""
    follower = await rig.following()
    leader.publish_v2({"SOL": ".4"})
    await rig.cycle(follower)
    sim.advance(-600)
    leader.publish_v2({"SOL": ".1"})
    await rig.cycle(follower)
    bought, sold = rig.orders()
    assert (sold.side, sold.time < bought.time) == ("SELL", True)
    truth = rig.agree(follower)
    lose(rig, follower)
    assert await rebuilt(rig, await rig.start(), truth) <= 2


async def test_a_signal_s_orders_on_a_coin_it_does_not_name(rig: Rig, leader: LeaderSimulator) -> None:
    """A sale of what is no longer wanted is given back too, though its coin is neither wanted nor chosen."""
    follower = await rig.following()
    leader.publish_v2({"SOL": ".3", "BTC": ".1"})
    await rig.cycle(follower)
    signal_id = leader.publish_v2({"BTC": ".2"})
    await rig.cycle(follower)
    before = legs(follower, signal_id)
    assert ("SOLUSDC", "SELL", 0) in before
    lose(rig, follower)
    follower = await rig.start(coins=("BTC", "SOL"))
    await rig.cycle(follower)
    assert legs(follower, signal_id) == before


@pytest.mark.parametrize("kind", ["status", "rate_limit"])
@pytest.mark.parametrize("stops", [False, True])
async def test_a_fault_at_each_request(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, kind: str, stops: bool
) -> None:
    """No book is opened before everything is booked, also after a restart in between; nothing is traded meanwhile."""
    follower = await traded(rig, leader)
    truth = rig.agree(follower)
    orders = len(sim.orders)
    lose(rig, follower)
    follower = await rig.start()
    sim.forget_requests()
    assert await rebuilt(rig, follower, truth) == 1
    for skip in range(len(sim.requests)):
        lose(rig, follower)
        follower = await rig.start()
        fault = sim.fault(kind, skip=skip, seconds=30)
        is_whole(rig, follower, truth, await rig.cycle(follower, after=61))
        assert fault.hits == 1
        if stops:
            follower = await rig.restart(follower)
        assert await rebuilt(rig, follower, truth) <= 2
    assert len(sim.orders) == orders


async def test_an_older_ledger_half_rebuilt(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """What it holds already is no figure either while orders are missing: no DEAD, no stop loss, no deposit."""
    follower = await rig.following()
    leader.publish_v2({"SOL": ".5"})
    await rig.cycle(follower)
    follower.ledger.checkpoint()
    backup = rig.folder / "backup"
    shutil.copyfile(follower.ledger.path, backup)
    leader.publish_v2({"BTC": ".9"})
    await rig.cycle(follower)
    truth = rig.agree(follower)
    lose(rig, follower)
    shutil.copyfile(backup, follower.ledger.path)
    # The purchase cannot be read: with the sale alone the book would be worth half.
    sim.fault("status", method="GET", path="/myTrades", symbol="SOLUSDC", count=None)
    follower = await rig.start(survival_floor=Decimal(700))
    for _ in range(4):
        picture = await rig.cycle(follower)
        assert (picture.total_value, picture.status) == (None, "active")
        assert picture.exchange_problem
    with pytest.raises(CommandError, match="no_valuation"):
        await follower.commands.deposit(Decimal(10))
    with pytest.raises(CommandError, match="no_valuation"):
        await follower.commands.withdraw(Decimal(10))
    sim.clear_faults()
    assert await rebuilt(rig, follower, truth) == 1


async def test_many_orders_under_a_tight_limit(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Small steps: nothing is asked during a pause, each pause is followed by progress, and the end is the truth."""
    sim.add_old_orders("BTCUSDC", 2100)
    sim.add_old_orders("ETHUSDC", 3, amount_unknown=True)
    follower = await rig.following()
    for number in range(30):
        leader.publish_v2({"BTC": f"0.{2 + number % 3}", "ETH": f"0.{3 - number % 3}"})
        await rig.cycle(follower)
    truth = rig.agree(follower)
    assert len(rig.orders()) > 40
    lose(rig, follower)
    follower = await rig.start()
    sim.set_weight_limit(90)
    sim.forget_requests()
    cycles = await rebuilt(rig, follower, truth)
    assert cycles > 3
    statuses = [request.status for request in sim.requests]
    assert 418 not in statuses
    assert statuses.count(429) <= 4 * cycles
    assert sim.bans == 0


@pytest.mark.parametrize("crowded", [120, 40])
async def test_what_is_left_of_the_weight_is_for_others(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, crowded: int
) -> None:
    """On a crowded host it goes on in the next minute, before the host has to say so."""
    follower = await traded(rig, leader)
    truth = rig.agree(follower)
    lose(rig, follower)
    follower = await rig.start(on=rig.binance(limits=rig.limits(crowded=crowded)))
    sim.forget_requests()
    assert await rebuilt(rig, follower, truth) > 1
    assert {request.status for request in sim.requests} == {200}


async def test_an_unclear_order_comes_first(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """What an older ledger knows as on its way is settled before anything is booked that came after it."""
    follower = await rig.following()
    leader.publish_v2({"SOL": ".3"})
    sim.fault("drop", when="after", method="POST", path="/order")
    sim.fault("status", method="GET", path="/order", count=None)
    await rig.cycle(follower)
    follower.ledger.checkpoint()
    shutil.copyfile(follower.ledger.path, rig.folder / "backup")
    sim.clear_faults()
    leader.publish_v2({"SOL": ".1", "BTC": ".3"})
    for _ in range(2):
        await rig.cycle(follower)
    truth = rig.agree(follower)
    lose(rig, follower)
    shutil.copyfile(rig.folder / "backup", follower.ledger.path)
    sim.fault("status", method="GET", path="/order", count=None)
    follower = await rig.start()
    for _ in range(2):
        assert (await rig.cycle(follower)).total_value is None
    assert (await follower.queries.counts())["fills"] == 0
    sim.clear_faults()
    assert await rebuilt(rig, follower, truth) <= 2


async def test_a_fee_whose_price_is_missing(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """The order waits for it, and with it all that came after."""
    sim.set_balance("BNB", "1")
    sim.set_account(bnb_burn=True)
    follower = await traded(rig, leader)
    truth = follower.ledger.book().portfolio
    lose(rig, follower)
    sim.remove_price("BNBUSDC")
    follower = await rig.start()
    for _ in range(2):
        assert (await rig.cycle(follower)).net_deposits is None
    sim.restore_price("BNBUSDC")
    assert await rebuilt(rig, follower, truth) <= 2


async def test_a_fee_that_was_not_known_when_its_coin_was_sold(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """All of the fee coin was sold while another sale was unclear: its fee was paid out of what is the owner's."""
    sim.set_balance("BNB", "1")
    sim.set_account(bnb_burn=True)
    sim.set_price("BNBUSDC", 300)
    follower = await rig.following()
    leader.publish_v2({"BNB": ".1", "ETH": ".8"})
    await rig.cycle(follower)
    sim.fault("drop", when="after", method="POST", symbol="ETHUSDC")
    sim.fault("status", method="GET", path="/order", count=None)
    leader.publish_v2({})
    await rig.cycle(follower)
    sim.clear_faults()
    await rig.cycle(follower)
    truth = follower.ledger.book().portfolio
    assert not follower.ledger.in_flight()
    assert [order.symbol for order in rig.orders(side="SELL")] == ["ETHUSDC", "BNBUSDC"]
    assert truth.quantity("BNB") < Decimal("0.001")
    lose(rig, follower)
    follower = await rig.start()
    picture = await rig.cycle(follower, after=61)
    book = follower.ledger.book().portfolio
    assert (picture.open_orders, follower.ledger.replay()) == ((), book)
    assert picture.total_value is not None
    assert book.quantity("BNB") == 0
    # The fee is worth the same, whoever of the two lent it.
    assert abs(book.cash + book.quantity("BNB") * sim.price("BNBUSDC") - truth.cash) < Decimal("1.5")


@pytest.mark.parametrize("page", [1, 2, 7])
async def test_page_boundaries(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, page: int) -> None:
    """However many orders of others there are, and wherever a page ends."""
    sim.add_old_orders("BTCUSDC", 60)
    follower = await traded(rig, leader)
    truth = rig.agree(follower)
    lose(rig, follower)
    follower = await rig.start(on=rig.binance(page=page))
    assert await rebuilt(rig, follower, truth) == 1
    # The next start reads on from there.
    follower = await rig.restart(follower, on=rig.binance(page=page))
    sim.forget_requests()
    assert await rebuilt(rig, follower, truth) == 1
    assert sim.count("GET", "/allOrders") == len(follower.settings.coins)


async def test_old_orders_of_the_owner(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Their amounts need not be known: a follower starts, and an absence is proven beside them."""
    sim.add_old_orders("BTCUSDC", 5, amount_unknown=True)
    follower = await rig.start()
    signal_id = leader.publish_v2({"BTC": ".3"})
    sim.fault("drop", method="POST", path="/order")
    await rig.cycle(follower)
    sim.add_old_orders("BTCUSDC", 5, amount_unknown=True)
    for _ in range(2):
        await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert len(rig.orders()) == 1


@pytest.mark.parametrize("lost", [True, False])
async def test_a_coin_that_is_no_longer_chosen(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, lost: bool
) -> None:
    """Orders are missing on a chosen coin: what the account holds is looked through as well."""
    sim.set_balance("DOGE", "500")
    follower = await rig.following()
    follower.ledger.checkpoint()
    shutil.copyfile(follower.ledger.path, rig.folder / "backup")
    leader.publish_v2({"BTC": ".3", "SOL": ".3"})
    await rig.cycle(follower)
    truth = rig.agree(follower)
    lose(rig, follower)
    if not lost:
        shutil.copyfile(rig.folder / "backup", follower.ledger.path)
    follower = await rig.start(coins=("BTC",))
    assert await rebuilt(rig, follower, truth) <= 2
    assert "DOGE" not in follower.ledger.book().portfolio.positions


async def test_no_book_is_opened_beside_an_order_in_flight(
    rig: Rig, sim: ExchangeSimulator, leader: LeaderSimulator
) -> None:
    """Whatever it is: what it took from the account is not known."""
    leader.publish_v2({})
    ledger = rig.ledger()
    ledger.open()
    ledger.add_orders([make_order(created_at=rig.clock.now(), state=OrderState.UNKNOWN)])
    ledger.close()
    sim.fault("status", method="GET", path="/order", count=None)
    follower = await rig.start()
    assert (await rig.cycle(follower)).net_deposits is None
    sim.clear_faults()
    assert (await rig.cycle(follower)).net_deposits is not None


async def test_an_order_left_by_an_older_version(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It wrote down what it found and nothing of how far it was."""
    follower = await traded(rig, leader)
    truth = rig.agree(follower)
    lose(rig, follower)
    order = next(order for order in rig.orders() if order.symbol == "ETHUSDC")
    ledger = rig.ledger()
    ledger.open()
    known = make_order(
        coin="ETH",
        quantity=str(order.quantity),
        signal_id=RECOVERED,
        client_order_id=order.client_order_id,
        created_at=datetime.fromtimestamp(order.time / 1000, UTC),
        state=OrderState.UNKNOWN,
        reason=RECOVERED,
    )
    ledger.add_orders([known])
    ledger.close()
    follower = await rig.start()
    await rebuilt(rig, follower, truth)


async def test_nothing_is_read_on_while_stopping(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """The next start goes on."""
    follower = await traded(rig, leader)
    truth = rig.agree(follower)
    lose(rig, follower)
    follower = await rig.start()
    fault = sim.fault("slow", path="/allOrders", seconds=0.3)
    cycle = rig.cycle(follower)
    await follower.stop(0)
    await cycle
    assert fault.hits <= 1
    follower = await rig.restart(follower)
    assert await rebuilt(rig, follower, truth) <= 2


async def test_the_owner_s_own_orders_stay_his(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Whatever he trades on the same pairs."""
    follower = await traded(rig, leader)
    truth = follower.ledger.book().portfolio
    await rig.binance().place(
        OrderRequest(
            symbol="BTCUSDC", side=Side.BUY, quantity=Decimal("0.0005"), limit_price=None, client_order_id="web_1"
        )
    )
    lose(rig, follower)
    follower = await rig.start()
    await rebuilt(rig, follower, truth)


@pytest.mark.parametrize("timed", [True, False])
async def test_moves_that_joining_covered(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, timed: bool
) -> None:
    """They do not run once more after a lost ledger: the orders of the joining say that they are done. Later ones run."""
    unknown = {} if timed else {"created_at": None}
    covered = leader.publish_v1([("BTC", "BUY", ".1")], {"BTC": ".3", "ETH": ".2"}, **unknown)
    follower = await rig.start()
    await rig.cycle(follower)
    truth = rig.agree(follower)
    orders = len(sim.orders)
    lose(rig, follower)
    follower = await rig.start()
    await rebuilt(rig, follower, truth)
    assert rig.result(follower, covered) is Result.EXECUTED
    follower = await rig.restart(follower)
    await rig.cycle(follower)
    assert len(sim.orders) == orders
    rig.clock.advance(600)
    later = leader.publish_v1(
        [("SOL", "BUY", ".1")], {"BTC": ".3", "ETH": ".2", "SOL": ".1"}, created_at=rig.clock.now().isoformat()
    )
    await rig.cycle(follower)
    assert rig.result(follower, later) is Result.EXECUTED
    assert [order.symbol for order in sim.orders[orders:]] == ["SOLUSDC"]
