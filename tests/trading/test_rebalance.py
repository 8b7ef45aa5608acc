"""One pass at a signal: what is blocked, in which turns it is traded, what is said of it at the end."""

from decimal import Decimal
from typing import Any

import pytest

from custom_components.calvalot.trading.account import Account, committed
from custom_components.calvalot.trading.exchanges.base import Balance, Mode, Side
from custom_components.calvalot.trading.ledger.records import OrderState, Result
from custom_components.calvalot.trading.rebalance import Rebalancer, reserve_fee
from harness.database import rows
from harness.engine import OpenEngine
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .builders import decimals, key, make_market, make_order, make_portfolio
from .rig import ALLOCATION, COINS, ZERO, Rig


@pytest.fixture
def sim(rig: Rig) -> ExchangeSimulator:
    """The exchange."""
    return rig.exchange


# What may be counted on


def account(start: Any, **free: str) -> Account:
    """A book against what is free on the account."""
    return Account(start, {asset: Balance(amount) for asset, amount in decimals(free).items()}, "USDC")


@pytest.mark.parametrize(
    ("free", "later", "cash", "coins"),
    [
        # Nothing was traded since: the smaller of book and account.
        ({"USDC": "150", "BTC": "3"}, make_portfolio("100", BTC="2"), "100", "2"),
        ({"USDC": "60", "BTC": "0.5"}, make_portfolio("100", BTC="2"), "60", "0.5"),
        ({}, make_portfolio("100", BTC="2"), "0", "0"),
        # A sale brought 50 for 1.
        ({"USDC": "100", "BTC": "2"}, make_portfolio("150", BTC="1"), "150", "1"),
        ({"USDC": "60", "BTC": "1.5"}, make_portfolio("150", BTC="1"), "110", "0.5"),
        # A sale of everything, a purchase.
        ({"USDC": "100", "BTC": "2"}, make_portfolio("200"), "200", "0"),
        ({"USDC": "100", "BTC": "2"}, make_portfolio("50", BTC="3"), "50", "3"),
        ({"USDC": "80", "BTC": "2"}, make_portfolio("50", BTC="3"), "30", "3"),
    ],
)
def test_what_may_be_counted_on(free: dict[str, str], later: Any, cash: str, coins: str) -> None:
    """Never more than is free on the account, the trades since the balances were asked for counted in."""
    usable = account(make_portfolio("100", BTC="2"), **free).usable(later)
    assert (usable.cash, usable.quantity("BTC")) == (Decimal(cash), Decimal(coins))


@pytest.mark.parametrize(
    ("changes", "committed_to"),
    [
        ({"side": Side.SELL}, {"BTC": "2"}),
        ({"limit_price": Decimal(101)}, {"USDC": "202.202"}),
        ({"quote_amount": Decimal(195)}, {"USDC": "195.195"}),
        ({}, {"USDC": "212.212"}),
        ({"price": None}, {"USDC": "318.318"}),
        # What was executed is known, though not booked yet.
        ({"state": OrderState.EXECUTED, "executed_amount": Decimal(150)}, {"USDC": "150.15"}),
    ],
)
def test_what_an_order_in_flight_may_take(changes: dict[str, Any], committed_to: dict[str, str]) -> None:
    """The coins of a sale; of a purchase the most that it may cost, with a fee."""
    order = make_order(**{"side": Side.BUY, "quantity": "2", "price": Decimal(100), **changes})
    assert committed([order], make_market({"BTC": "150"})) == decimals(committed_to)
    twice = {asset: 2 * amount for asset, amount in decimals(committed_to).items()}
    assert committed([order, order], make_market({"BTC": "150"})) == twice


def test_paper_has_no_account() -> None:
    """The book is all there is."""
    book = make_portfolio("100", BTC="2")
    assert Account(book, None, "USDC").usable(book) is book


@pytest.mark.parametrize(("asset", "kept"), [("BNB", "1.998"), (None, "2")])
def test_the_fee_of_a_sale_of_the_fee_coin(asset: str | None, kept: str) -> None:
    """Left over where fees are taken in it."""
    assert reserve_fee(make_portfolio("100", BNB="2"), asset).quantity("BNB") == Decimal(kept)
    without = make_portfolio("100", BTC="2")
    assert reserve_fee(without, asset) is without


# In turns


async def test_sells_come_before_buys(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Buys are sized from the cash that is really there then."""
    leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    follower = await rig.start()
    await follower.cycle()
    leader.publish_v2({"SOL": ".5", "XRP": ".45"})
    await rig.cycle(follower)
    assert [order.side for order in rig.orders()] == ["BUY"] * 2 + ["SELL"] * 2 + ["BUY"] * 2
    assert {order.status for order in rig.orders()} == {"FILLED"}
    assert follower.ledger.book().portfolio.cash >= 0
    rig.agree(follower)


@pytest.mark.parametrize("fees", ["coin", "BNB"])
async def test_the_fee_coin_is_sold_last(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, fees: str) -> None:
    """Where fees are taken in it, it pays those of the others first, and its own."""
    sim.set_account(bnb_burn=fees == "BNB")
    leader.publish_v2(ALLOCATION)
    follower = await rig.start()
    await follower.cycle()
    sim.fault("slow", method="POST", side="SELL", count=None, seconds=0.1)
    sim.fault("slow", method="POST", symbol="BTCUSDC", seconds=0.3)
    leader.publish_v2({})
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.EXECUTED
    sold = [order.symbol for order in rig.orders(side="SELL")]
    assert len(sold) == len(COINS)
    assert (sold[-1] == "BNBUSDC") == (fees == "BNB")
    assert {order.status for order in rig.orders()} == {"FILLED"}
    book = follower.ledger.book().portfolio
    assert book.quantity("BNB") == sim.balance("BNB")


async def test_the_fee_coin_alone(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Nothing to wait for."""
    sim.set_account(bnb_burn=True)
    leader.publish_v2({"BNB": ".5"})
    follower = await rig.start()
    await follower.cycle()
    leader.publish_v2({})
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED
    book = follower.ledger.book().portfolio
    assert book.quantity("BNB") == sim.balance("BNB")
    assert book.quantity("BNB") * sim.price("BNBUSDC") < 6


@pytest.mark.parametrize("blind", [False, True])
async def test_the_fee_coin_when_fees_have_eaten_it(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, blind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is planned again after the others; where that cannot be done, it waits."""
    sim.set_account(bnb_burn=True)
    leader.publish_v2({"BTC": ".9", "BNB": ".0075"})
    follower = await rig.start()
    await follower.cycle()
    order_plan, seen = Rebalancer.order_plan, []

    async def second_is_none(*args: Any, **kwargs: Any) -> Any:
        seen.append(await order_plan(*args, **kwargs))
        return None if blind and len(seen) == 2 else seen[-1]

    monkeypatch.setattr(Rebalancer, "order_plan", second_is_none)
    leader.publish_v2({})
    picture = await rig.cycle(follower)
    assert [order.symbol for order in rig.orders(side="SELL")] == ["BTCUSDC"] + ([] if blind else ["BNBUSDC"])
    assert picture.last_signal_result is (Result.OPEN if blind else Result.EXECUTED)
    assert follower.ledger.book().portfolio.quantity("BNB") == sim.balance("BNB")


# What is blocked


async def test_a_leg_that_is_refused_twice(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Planned again at most once per signal; the next signal starts anew."""
    sim.fault("error", code=-2010, method="POST", symbol="BTCUSDC", count=None)
    follower = await rig.following()
    leader.publish_v2({"BTC": ".5", "ETH": ".4"})
    results = [(await rig.cycle(follower)).last_signal_result for _ in range(3)]
    assert results == [Result.OPEN, Result.PARTIAL, Result.PARTIAL]
    assert follower.snapshot.last_signal_reason == "refused: BTCUSDC"
    assert sim.count("POST") == 3
    assert rig.types("trade") == ["buy", "failed", "failed"]
    sim.clear_faults()
    leader.publish_v2({"BTC": ".5", "ETH": ".4"})
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED
    rig.agree(follower)


async def test_the_day_s_limit(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Sells first, then the largest buys; a day later the rest, if the signal is young enough."""
    leader.publish_v2({"BTC": ".5", "ETH": ".4"})
    follower = await rig.start(max_trades_per_day=3)
    assert (await follower.cycle()).last_signal_result is Result.EXECUTED
    assert len(rig.orders()) == 2
    leader.publish_v2({"BTC": ".1", "SOL": ".3", "XRP": ".3"})
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.OPEN
    assert "daily_limit" in (picture.last_signal_reason or "")
    assert [order.side for order in rig.orders()] == ["BUY", "BUY", "SELL"]
    for _ in range(2):
        await rig.cycle(follower)
    assert len(rig.orders()) == 3
    rig.clock.advance(4 * 3600)
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.PARTIAL
    leader.publish_v2({"BTC": ".1", "SOL": ".3", "XRP": ".3"})
    rig.clock.advance(20 * 3600)
    leader.publish_v2({"BTC": ".1", "SOL": ".3", "XRP": ".3"})
    await rig.cycle(follower)
    assert len(rig.orders()) == 6
    rig.agree(follower)


async def test_an_order_in_flight_counts_for_the_day(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It may have traded."""
    follower = await rig.following(max_trades_per_day=2)
    leader.publish_v2({"BTC": ".2"})
    sim.fault("drop", when="after", method="POST")
    sim.fault("status", path="/order", method="GET", count=None)
    await rig.cycle(follower)
    assert rig.in_flight(follower)
    leader.publish_v2({"ETH": ".2", "SOL": ".2"})
    picture = await rig.cycle(follower)
    assert "daily_limit: SOLUSDC" in (picture.last_signal_reason or "")
    assert [order.symbol for order in rig.orders()] == ["BTCUSDC", "ETHUSDC"]
    sim.clear_faults()


# What a MARKET order may cost


@pytest.mark.parametrize("quote_orders", [True, False])
@pytest.mark.parametrize("bnb_burn", [True, False])
async def test_a_jump_spends_nothing_of_the_owner_s(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, quote_orders: bool, bnb_burn: bool
) -> None:
    """5 % between the price and the fill: fewer coins for the same money; a symbol that takes no amount gets less of it."""
    sim.set_balance("USDC", "5000")
    sim.set_balance("BNB", "1")
    sim.set_account(bnb_burn=bnb_burn)
    for symbol in ("BTCUSDC", "ETHUSDC"):
        sim.symbol(symbol).quote_order_quantity = quote_orders
    follower = await rig.following(max_slippage=ZERO)
    fault = sim.fault("jump", method="POST", percent=5, count=2)
    leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    picture = await rig.cycle(follower)
    assert fault.hits == 2
    assert len(rig.orders()) == 2
    assert {bool(order.quote_quantity) for order in rig.orders()} == {quote_orders}
    cash = follower.ledger.book().portfolio.cash
    assert ZERO <= cash < (10 if quote_orders else 70)
    assert picture.last_signal_result is not None
    rig.agree(follower, lent=sum((fee for fee in _lent(follower)), ZERO))


def _lent(follower: OpenEngine) -> list[Decimal]:
    """What the book paid for each fee in a coin that it does not hold."""
    paid = rows(follower.ledger.path, "SELECT fee, fee_price FROM fills WHERE fee_asset = 'BNB'")
    return [(Decimal(fee) * Decimal(price)).quantize(Decimal("1e-8")) for fee, price in paid]


@pytest.mark.parametrize(("depth", "result"), [(None, Result.EXECUTED), ("150", Result.PARTIAL)])
async def test_a_move_for_an_amount(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, depth: str | None, result: Result
) -> None:
    """What a step leaves over is no rest; what a thin book leaves over is, and is not bought later."""
    follower = await rig.following(max_slippage=ZERO)
    sim.set_depth("BTCUSDC", depth)
    leader.publish_v1([("BTC", "BUY", ".3")])
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is result
    assert picture.last_signal_reason == ("" if depth is None else "unfilled: BTCUSDC")
    await rig.cycle(follower)
    assert len(rig.orders()) == 1
    rig.agree(follower)


# What is said of it


@pytest.mark.parametrize(
    ("targets", "result", "reason"),
    [
        ({"BTC": ".5"}, Result.EXECUTED, ""),
        ({"BTC": ".503"}, Result.EXECUTED, ""),
        ({"BTC": ".5", "ETH": ".001"}, Result.EXECUTED, ""),
        ({"BTC": ".2", "DUST": "0"}, Result.REJECTED, "unknown coin: DUST"),
    ],
)
async def test_results(rig: Rig, leader: LeaderSimulator, targets: dict[str, str], result: Result, reason: str) -> None:
    """Aligned is executed; what was refused as a whole is rejected."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    leader.publish_v2(targets)
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (result, reason)


async def test_nothing_could_be_traded(rig: Rig, leader: LeaderSimulator) -> None:
    """Skipped, with the reason."""
    follower = await rig.start(Mode.DRY_RUN, min_order=Decimal(200))
    await follower.cycle()
    leader.publish_v2({"BTC": ".1"})
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.SKIPPED, "below_minimum: BTCUSDC")
    leader.publish_v2({"BTC": ".1", "ETH": ".5"})
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.PARTIAL, "below_minimum: BTCUSDC")


async def test_a_price_of_a_wanted_coin_is_missing(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """The signal waits for it, however old; one of a coin neither held nor wanted blocks nothing."""
    sim.remove_price("ETHUSDC")
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(Mode.DRY_RUN)
    assert (await follower.cycle()).last_signal_result is Result.EXECUTED
    leader.publish_v2({"ETH": ".5"})
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.OPEN, "no_price")
    assert len(await follower.queries.trades()) == 1
    assert (await rig.cycle(follower, after=5 * 3600)).last_signal_result is Result.OPEN
    leader.publish_v1([("ETH", "BUY", ".1"), ("SOL", "HOLD", "0")])
    assert (await rig.cycle(follower)).last_signal_result is Result.OPEN
    assert (await rig.cycle(follower, after=5 * 3600)).last_signal_result is Result.ERROR
    sim.restore_price("ETHUSDC")
    leader.publish_v2({"ETH": ".5"})
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED


async def test_orders_that_are_never_sent(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """An error, once the signal is too old to try again; until then it stays open."""
    follower = await rig.following()
    sim.set_account(spot_trading=False)
    signal_id = leader.publish_v2({"BTC": ".5"})
    for _ in range(2):
        picture = await rig.cycle(follower)
        assert picture.last_signal_result is Result.OPEN
        assert picture.exchange_connected is False
    picture = await rig.cycle(follower, after=5 * 3600)
    assert picture.last_signal_result is Result.ERROR
    assert rig.types("signal") == ["received", "failed"]
    assert sim.orders == []
    assert {order.state for order in follower.ledger.orders(key(signal_id))} == {OrderState.NOT_PLACED}


async def test_an_order_in_flight_keeps_a_signal_open(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """However old it is: what became of it is not known."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start()
    sim.fault("drop", method="POST")
    sim.fault("status", method="GET", path="/order", count=None)
    await follower.cycle()
    picture = await rig.cycle(follower, after=5 * 3600)
    assert picture.last_signal_result is Result.OPEN
    sim.clear_faults()
    assert (await rig.cycle(follower)).last_signal_result in {Result.ERROR, Result.EXECUTED}
    rig.agree(follower)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_money_on_its_way(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, when: str) -> None:
    """What an unclear order may have moved is neither missing nor spent a second time."""
    sim.set_balance("USDC", "1162")
    follower = await rig.following()
    sim.fault("late", method="POST", symbol="BTCUSDC", seconds=3600)
    sim.fault("drop", when=when, method="POST", symbol="BTCUSDC")
    fault = sim.fault("status", path="/order", method="GET", count=None)
    leader.publish_v2({"BTC": ".6", "ETH": ".2"})
    await rig.cycle(follower)
    leader.publish_v2({"BTC": ".6", "ETH": ".4"})
    await rig.cycle(follower)
    bought = sum(order.executed_quote for order in rig.orders() if order.symbol == "ETHUSDC")
    assert abs(bought / 1161 - Decimal("0.4")) < Decimal("0.006")
    fault.count = 0
    sim.clear_faults()
    await rig.cycle(follower, after=3600)
    await rig.cycle(follower)
    # A sale in flight: its coins still count, and are not sold again.
    sim.fault("late", method="POST", symbol="BTCUSDC", seconds=3600)
    sim.fault("drop", when=when, method="POST", symbol="BTCUSDC")
    sim.fault("status", path="/order", method="GET", count=None)
    leader.publish_v2({"ETH": ".4"})
    await rig.cycle(follower)
    leader.publish_v2({"ETH": ".2"})
    await rig.cycle(follower)
    sold = sum(order.executed_quote for order in rig.orders(side="SELL") if order.symbol == "ETHUSDC")
    assert abs(sold / 1161 - Decimal("0.2")) < Decimal("0.006")
    sim.clear_faults()
    for after in (3600, 120):
        await rig.cycle(follower, after=after)
    assert follower.snapshot.last_signal_result is Result.EXECUTED
    assert len([order for order in rig.orders(side="SELL") if order.symbol == "BTCUSDC"]) == 1
    rig.agree(follower)


async def test_a_cap_on_orders(rig: Rig, leader: LeaderSimulator) -> None:
    """A large change is made in several passes."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(max_order_share=Decimal("0.2"))
    for _ in range(4):
        await rig.cycle(follower)
    assert len(rig.orders()) == 3
    assert all(order.executed_quote < 240 for order in rig.orders())
    assert follower.snapshot.last_signal_result is Result.EXECUTED
    assert {order.side for order in rig.orders()} == {Side.BUY.value}
    rig.agree(follower)
