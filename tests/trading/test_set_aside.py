"""A coin that the exchange no longer lists is set aside at its last price, can be written off, and holds nothing else up."""

from decimal import Decimal

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.decimals import EXACT
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import FlowKind, LastPrice, Result
from custom_components.calvalot.trading.snapshot import Status
from harness.engine import OpenEngine
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .builders import amounts, make_portfolio
from .rig import Rig

DAY = 24 * 3600
ZERO = Decimal(0)


@pytest.fixture
def sim(rig: Rig) -> ExchangeSimulator:
    """The exchange."""
    return rig.exchange


@pytest.fixture(params=list(Mode))
async def follower(rig: Rig, leader: LeaderSimulator, request: pytest.FixtureRequest) -> OpenEngine:
    """One that holds BTC, ETH and SOL, in either mode."""
    leader.publish_v2({"BTC": ".4", "ETH": ".2", "SOL": ".1"})
    follower = await rig.start(request.param)
    await rig.cycle(follower)
    return follower


def adds_up(follower: OpenEngine) -> None:
    """Realised and unrealised are the value less what was paid in, to the last digit, and the book follows from its records."""
    book = follower.ledger.book()
    portfolio = book.portfolio
    cost = sum((position.cost for position in portfolio.positions.values()), ZERO)
    assert portfolio.cash + cost == portfolio.paid_in + portfolio.realised
    assert portfolio.cash >= 0
    assert follower.ledger.replay() == portfolio
    flows = follower.ledger.flows()
    assert sum((flow.amount_quote for flow in flows), ZERO) == portfolio.paid_in
    assert sum((flow.amount for flow in flows), ZERO) == book.net_deposits


async def refused(follower: OpenEngine, coin: str) -> str:
    """Why a coin is not written off."""
    with pytest.raises(CommandError) as caught:
        await follower.commands.write_off(coin)
    return caught.value.key


async def delisted(rig: Rig, follower: OpenEngine, symbol: str = "SOLUSDC") -> Decimal:
    """Take a pair off the list; returns the last price that was seen."""
    price = follower.snapshot.positions[symbol.removesuffix("USDC")].price
    rig.exchange.delist(symbol)
    await rig.cycle(follower)  # the price request is refused, so the rules are asked for again
    await rig.cycle(follower)
    assert price
    return price


# Delisted


async def test_it_is_valued_at_its_last_price_and_shown(rig: Rig, follower: OpenEngine) -> None:
    """In the figures and in what the actions tell."""
    before = follower.snapshot
    price = await delisted(rig, follower)
    picture = follower.snapshot
    (position,) = picture.set_aside
    assert (position.coin, position.price, position.set_aside) == ("SOL", price, True)
    assert position.value == position.quantity * price
    assert picture.total_value == pytest.approx(before.total_value, rel=Decimal("0.01"))
    day = rig.clock.now().date().isoformat()
    told = {
        each["coin"]: (each["set_aside"], each["price_day"])
        for each in responses.portfolio(follower.snapshot)["positions"]
    }
    assert told == {"BTC": (False, None), "ETH": (False, None), "SOL": (True, day)}


async def test_its_price_keeps_its_day(rig: Rig, follower: OpenEngine) -> None:
    """Days later and after a restart; one that is closed and has a price still has today's."""
    day = rig.clock.now().date()
    price = await delisted(rig, follower)
    for _ in range(2):
        await rig.cycle(follower, after=DAY + 1)
        follower = await rig.restart(follower)
        await rig.cycle(follower)
        (position,) = follower.snapshot.set_aside
        assert (position.price, position.price_day) == (price, day)


async def test_everything_else_goes_on(rig: Rig, leader: LeaderSimulator, follower: OpenEngine) -> None:
    """Trades, deposits, withdrawals; a restart knows the price, and shares are of what can be traded."""
    rig.exchange.set_balance("USDC", rig.exchange.balance("USDC") + 500)
    price = await delisted(rig, follower)
    leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.EXECUTED, "")
    assert (picture.cash or ZERO) < 20
    await follower.commands.deposit(Decimal(100))
    await follower.commands.withdraw(Decimal(50))
    follower = await rig.restart(follower)
    leader.publish_v2({"BTC": ".5"})
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.EXECUTED
    assert [(position.coin, position.price) for position in picture.set_aside] == [("SOL", price)]
    assert picture.status is Status.ACTIVE
    adds_up(follower)


async def test_dust_of_it(rig: Rig, leader: LeaderSimulator) -> None:
    """However little it is, nothing waits for its price."""
    leader.publish_v2({"SOL": ".1"})
    follower = await rig.start()
    await rig.cycle(follower)
    leader.publish_v2({})
    await rig.cycle(follower)
    assert ZERO < (follower.snapshot.positions["SOL"].value or ZERO) < 6
    await delisted(rig, follower)
    leader.publish_v2({"BTC": ".5"})
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED


async def test_a_stop_loss_sells_the_rest(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It is over when nothing is left that can be sold, and says what that is."""
    leader.publish_v2({"BTC": ".5", "SOL": ".1"})
    follower = await rig.start(stop_loss_drawdown=Decimal("0.1"), stop_loss_sell=True)
    await rig.cycle(follower)
    await delisted(rig, follower)
    sim.set_price("BTCUSDC", sim.price("BTCUSDC") * Decimal("0.7"))
    for _ in range(3):
        picture = await rig.cycle(follower)
    assert picture.status is Status.PAUSED
    assert [order.symbol for order in rig.orders(side="SELL")] == ["BTCUSDC"]
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.PARTIAL, "not_listed: SOLUSDC")
    assert follower.ledger.open_signals() == ()


async def test_a_stop_loss_waits_for_a_closed_pair(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """However long it has been closed: it ends when the coin is sold or written off."""
    leader.publish_v2({"BTC": ".5", "SOL": ".1"})
    follower = await rig.start(stop_loss_drawdown=Decimal("0.1"), stop_loss_sell=True)
    await rig.cycle(follower)
    sim.set_symbol_status("SOLUSDC", "BREAK")
    for after in (DAY + 1, DAY + 1):
        await rig.cycle(follower, after=after)
    assert follower.snapshot.set_aside
    sim.set_price("BTCUSDC", sim.price("BTCUSDC") * Decimal("0.7"))
    for _ in range(3):
        picture = await rig.cycle(follower)
    assert [order.symbol for order in rig.orders(side="SELL")] == ["BTCUSDC"]
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.OPEN, "not_trading: SOLUSDC")
    await follower.commands.write_off("SOL")
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED
    adds_up(follower)


async def test_an_exit_of_what_is_listed_again(rig: Rig, follower: OpenEngine, sim: ExchangeSimulator) -> None:
    """What the exchange said of its pairs before the exit began does not end it."""
    await delisted(rig, follower)
    sim.relist("SOLUSDC")
    await follower.commands.exit(confirm=True)
    await rig.cycle(follower)
    assert (follower.snapshot.last_signal_result, follower.snapshot.exiting) == (Result.EXECUTED, None)
    assert (follower.snapshot.positions["SOL"].value or ZERO) < 6
    adds_up(follower)


async def test_a_stop_loss_of_what_is_listed_again(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It begins in the middle of a cycle, with the rules of before, and ends with those of the next one."""
    leader.publish_v2({"BTC": ".5", "SOL": ".1"})
    follower = await rig.start(stop_loss_drawdown=Decimal("0.1"), stop_loss_sell=True)
    await rig.cycle(follower)
    await delisted(rig, follower)
    sim.relist("SOLUSDC")
    sim.set_price("BTCUSDC", sim.price("BTCUSDC") * Decimal("0.7"))
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.OPEN, "not_trading: SOLUSDC")
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED
    assert {order.symbol for order in rig.orders(side="SELL")} == {"BTCUSDC", "SOLUSDC"}


async def test_the_fee_coin_is_listed_again(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """An order that waits for the price of its fee is booked by the next cycle, though the coin is not held."""
    sim.set_balance("BNB", "1")
    sim.set_account(bnb_burn=True)
    follower = await rig.following()
    sim.fault("drop", when="after", method="POST", path="/order")
    sim.fault("status", method="GET", path="/order", count=None)
    leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    sim.clear_faults()
    sim.delist("BNBUSDC")
    follower = await rig.restart(follower)
    for _ in range(2):
        assert len((await rig.cycle(follower)).open_orders) == 1
    sim.relist("BNBUSDC")
    picture = await rig.cycle(follower)
    assert (picture.open_orders, picture.last_signal_result) == ((), Result.EXECUTED)
    adds_up(follower)


@pytest.mark.parametrize(("action", "share"), [("BUY", ".1"), ("SELL", ".05")])
async def test_a_signal_that_names_it(rig: Rig, leader: LeaderSimulator, action: str, share: str) -> None:
    """It cannot be traded, and the signal says so; the rest of it is."""
    leader.publish_v2({"SOL": ".2"})
    follower = await rig.start(Mode.DRY_RUN)
    await rig.cycle(follower)
    await delisted(rig, follower)
    leader.publish_v1([("SOL", action, share), ("BTC", "BUY", ".2")])
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.PARTIAL, "not_listed: SOLUSDC")
    assert picture.positions["BTC"].quantity


async def test_listed_again(rig: Rig, leader: LeaderSimulator, follower: OpenEngine, sim: ExchangeSimulator) -> None:
    """It has a price of its own again, and is traded."""
    await delisted(rig, follower)
    sim.relist("SOLUSDC")
    picture = await rig.cycle(follower, after=900)
    assert picture.set_aside == ()
    assert await refused(follower, "SOL") == "not_set_aside"
    leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    assert (follower.snapshot.positions["SOL"].value or ZERO) < 6


async def test_delisted_while_the_follower_was_off(rig: Rig, follower: OpenEngine, sim: ExchangeSimulator) -> None:
    """The price of the last valuation stands in the ledger."""
    await rig.cycle(follower)
    price = follower.snapshot.positions["SOL"].price
    rig.crash(follower)
    sim.delist("SOLUSDC")
    follower = await rig.start(follower.settings.mode)
    picture = await rig.cycle(follower, after=3 * DAY)
    assert [(position.coin, position.price) for position in picture.set_aside] == [("SOL", price)]


# What is not delisted


@pytest.mark.parametrize("zero", [True, False])
async def test_a_missing_price_is_unknown(rig: Rig, follower: OpenEngine, sim: ExchangeSimulator, zero: bool) -> None:
    """The pair is listed: no valuation, no flow, and nothing to write off."""
    sim.remove_price("SOLUSDC", zero=zero)
    for after in (120, DAY + 1):
        picture = await rig.cycle(follower, after=after)
        assert picture.set_aside == ()
        assert picture.total_value is None
    with pytest.raises(CommandError, match="no_valuation"):
        await follower.commands.withdraw(Decimal(1))
    assert await refused(follower, "SOL") == "not_set_aside"


async def test_a_missing_answer_delists_nothing(rig: Rig, follower: OpenEngine, sim: ExchangeSimulator) -> None:
    """Neither before the rules were had, nor when they cannot be had again."""
    sim.fault("status", path="/exchangeInfo", count=None)
    assert (await rig.cycle(follower, after=DAY + 1)).set_aside == ()
    follower = await rig.restart(follower)
    assert (await rig.cycle(follower)).set_aside == ()
    sim.clear_faults()
    picture = await rig.cycle(follower)
    assert picture.set_aside == ()
    assert picture.total_value is not None


async def test_an_exchange_that_lists_nothing(rig: Rig, follower: OpenEngine, sim: ExchangeSimulator) -> None:
    """It is not the one that the coins are on."""
    for symbol in list(sim.prices()):
        sim.delist(symbol)
    for _ in range(3):
        picture = await rig.cycle(follower)
    assert picture.set_aside == ()
    assert picture.total_value is None


@pytest.mark.parametrize(("status", "aside"), [("BREAK", True), ("HALT", False)])
@pytest.mark.parametrize("priced", [True, False])
async def test_a_pair_that_is_closed(
    rig: Rig, follower: OpenEngine, sim: ExchangeSimulator, status: str, aside: bool, priced: bool
) -> None:
    """A planned pause ends; one that lasts a day was the end, also across a restart. A halt never is."""
    first = rig.clock.now().date()
    sim.set_symbol_status("SOLUSDC", status)
    if not priced:
        sim.remove_price("SOLUSDC")
    for after in (DAY + 1, 12 * 3600, 11 * 3600):  # it is seen when the day's rules are read
        picture = await rig.cycle(follower, after=after)
        assert picture.set_aside == ()
        assert (picture.total_value is not None) == priced
    follower = await rig.restart(follower)
    picture = await rig.cycle(follower, after=2 * 3600)
    day = rig.clock.now().date() if priced else first
    assert [(each.coin, each.price_day) for each in picture.set_aside] == ([("SOL", day)] if aside else [])
    assert (picture.total_value is not None) == (priced or aside)
    sim.set_symbol_status("SOLUSDC", "TRADING")
    sim.restore_price("SOLUSDC")
    assert (await rig.cycle(follower, after=DAY + 1)).set_aside == ()
    sim.set_symbol_status("SOLUSDC", "BREAK")
    assert (await rig.cycle(follower, after=DAY + 1)).set_aside == ()


async def test_a_missing_price_asks_for_the_rules(rig: Rig, follower: OpenEngine, sim: ExchangeSimulator) -> None:
    """Before the day is over: they say whether the pair is closed."""
    sim.remove_price("SOLUSDC")
    await rig.cycle(follower)
    sim.forget_requests()
    await rig.cycle(follower, after=601)
    await rig.cycle(follower)
    assert sim.count("GET", "/exchangeInfo") == 1
    sim.restore_price("SOLUSDC")
    await rig.cycle(follower)
    await rig.cycle(follower, after=3600)
    assert sim.count("GET", "/exchangeInfo") == 1


# Written off


@pytest.mark.parametrize("value", [None, "0", "12.34"])
async def test_written_off(rig: Rig, follower: OpenEngine, value: str | None) -> None:
    """A withdrawal in kind at what it is worth: at the last price no profit and no return moves, else by the difference."""
    price = await delisted(rig, follower)
    before, quantity = follower.snapshot, follower.snapshot.positions["SOL"].quantity
    assert before.rate
    flow = await follower.commands.write_off("SOL", None if value is None else Decimal(value))
    assert (flow.kind, flow.coin, flow.quantity) == (FlowKind.WITHDRAWAL, "SOL", quantity)
    worth = quantity * price * before.rate if value is None else Decimal(value)
    assert flow.amount == pytest.approx(-worth, abs=Decimal("1e-7"))
    after = follower.snapshot
    assert "SOL" not in follower.ledger.book().portfolio.positions
    assert after.set_aside == ()
    lost = quantity * price * before.rate - worth
    assert after.profit_loss == pytest.approx((before.profit_loss or ZERO) - lost, abs=Decimal("0.02"))
    moved = (after.time_weighted_return or ZERO) - (before.time_weighted_return or ZERO)
    expected = -lost / (before.total_value or ZERO) * (100 + (before.time_weighted_return or ZERO))
    assert moved == pytest.approx(expected, abs=Decimal("0.002"))
    adds_up(follower)
    assert await refused(follower, "SOL") == "not_set_aside"
    if follower.settings.mode is Mode.LIVE:
        assert rig.exchange.balance("SOL") == quantity
    await rig.cycle(follower)
    adds_up(await rig.restart(follower))


async def test_not_while_an_order_of_it_is_unclear(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It may have been sold; the rest of the money is free meanwhile."""
    leader.publish_v2({"SOL": ".4"})
    follower = await rig.start()
    await rig.cycle(follower)
    sim.fault("drop", when="after", method="POST")
    sim.fault("status", path="/order", method="GET", count=None)
    leader.publish_v2({"SOL": ".2"})
    await rig.cycle(follower)
    await delisted(rig, follower)
    assert rig.in_flight(follower)
    assert await refused(follower, "SOL") == "order_unclear"
    await follower.commands.withdraw(Decimal(100))


@pytest.mark.parametrize("coin", ["BTC", "XRP", "NOPE"])
async def test_only_what_was_set_aside(rig: Rig, follower: OpenEngine, coin: str) -> None:
    """Neither what is listed nor what is not held."""
    await delisted(rig, follower)
    assert await refused(follower, coin) == "not_set_aside"
    adds_up(follower)


@given(
    cash=amounts("100000"),
    held=amounts("1000", smallest="0.00000001"),
    share=st.fractions("1/1000", 1),
    value=amounts("1000000", 16),
)
def test_the_identity_holds_whatever_it_is_worth(cash: Decimal, held: Decimal, share: object, value: Decimal) -> None:
    """To the last digit, part of it or all; the cash does not move."""
    portfolio = make_portfolio(f"{cash:f}", SOL=f"{held:f}", BTC="1")
    part = Decimal(share.numerator) / Decimal(share.denominator) * held  # type: ignore[attr-defined]
    part = max(part.quantize(Decimal("1e-8")), Decimal("1e-8"))
    after = portfolio.with_withdrawal("SOL", min(part, held), value)
    assert after.cash == portfolio.cash
    cost = sum((position.cost for position in after.positions.values()), ZERO)
    assert EXACT.add(after.cash, cost) == EXACT.add(after.paid_in, after.realised)
    assert portfolio.without(["SOL"]).positions.keys() == {"BTC"}


# What the ledger knows of prices


async def test_the_last_fill_is_a_price_too(rig: Rig, follower: OpenEngine) -> None:
    """Where a book was never valued; a coin that never had one has none."""
    ledger: Ledger = follower.ledger
    price = follower.snapshot.positions["SOL"].price
    assert price
    today = rig.clock.now().date()
    assert ledger.last_prices(["SOL", "NOPE"]) == {"SOL": LastPrice(price, today)}
    fresh = await rig.start(follower.settings.mode, entry_id="fresh")
    assert fresh.ledger.last_prices(["SOL"]) == {}
    await rig.cycle(fresh)
    sold = fresh.ledger.trades()
    fresh.ledger.write_close(rig.clock.now(), ZERO, ZERO, fresh.ledger.book().units, fresh.ledger.book().drawdown)
    price = next(trade.price for trade in sold if trade.coin == "SOL")
    last = fresh.ledger.last_prices(["SOL"])["SOL"]
    assert last.price == pytest.approx(price, rel=Decimal("0.001"))
    assert last.day == today
