"""Orders of the owner's own hand: checked before they are sent, protected as they are filled; positions closed."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from custom_components.calvalot.trading.decimals import ONE, ZERO
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode, OrderType, Side, SymbolRules
from custom_components.calvalot.trading.exchanges.binance_format import read_rules
from custom_components.calvalot.trading.ledger.records import OrderRecord, OrderState
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.order_entry import Ticket, TimeInForce
from custom_components.calvalot.trading.protection import HeldBy
from custom_components.calvalot.trading.protections import Protections
from custom_components.calvalot.trading.sources.base import Moment
from custom_components.calvalot.trading.sources.manual import ManualSource
from custom_components.calvalot.trading.terms import Level
from harness.engine import OpenEngine
from harness.orders import limit, protect

from .rig import Rig

PRICE = Decimal(91250)
HIGH, LOW = Decimal(95000), Decimal(80000)
DUST = Decimal("0.00001")


def market(coin: str = "ETH", side: Side = Side.BUY, amount: str = "100", **more: Any) -> Ticket:
    """An order at the market, for an amount."""
    return Ticket(coin=coin, side=side, amount=Decimal(amount), **more)


def quantity(owner: OpenEngine, coin: str = "BTC") -> Decimal:
    """What is held of a coin."""
    return owner.ledger.book().portfolio.quantity(coin)


def protecting(owner: OpenEngine, coin: str = "BTC") -> dict[OrderType, Decimal]:
    """Quantities of the orders that protect a coin."""
    resting = owner.ledger.resting()
    return {order.type: order.rest for order in resting if (order.coin, order.signal_id) == (coin, "protection")}


async def test_too_little_at_its_stop(rig: Rig) -> None:
    """What could not be sold any more at the stop has no order that protects it, and says so."""
    rig.leader.publish_v2({"BTC": ".008"})
    owner = await rig.start()
    await rig.cycle(owner)
    assert quantity(owner)
    await protect(owner, "BTC", None, (PRICE * Decimal(".6")).quantize(ONE))
    assert protecting(owner) == {}
    assert owner.snapshot.protected_by["BTC"] is HeldBy.NOBODY


@pytest.fixture(params=Mode)
async def owner(request: pytest.FixtureRequest, rig: Rig) -> OpenEngine:
    """A portfolio that holds BTC for the half, in each mode."""
    return await holding(rig, request.param)


@pytest.fixture
async def live(rig: Rig) -> OpenEngine:
    """The same with real orders."""
    return await holding(rig)


async def holding(rig: Rig, mode: Mode = Mode.LIVE, **settings: Any) -> OpenEngine:
    """A portfolio that holds BTC for the half."""
    rig.leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(mode, **settings)
    await follower.cycle()
    return follower


# Orders


async def test_market_orders(rig: Rig, owner: OpenEngine) -> None:
    """An amount or a quantity; the preview says what the order comes to, and sends nothing."""
    sent = len(rig.orders())
    shown = await owner.orders.preview(market())
    assert (shown["confirmed"], shown["type"], shown["waits"]) == (False, "market", False)
    assert len(rig.orders()) == sent
    record = await owner.orders.place(market())
    assert record.state is OrderState.BOOKED
    assert record.quantity == Decimal(shown["quantity"])
    assert Decimal(99) < record.executed_amount <= Decimal("100.3")
    paid = record.executed_amount - record.executed_quantity * rig.exchange.price("ETHUSDC")
    assert Decimal(shown["fee"]) == Decimal(shown["amount"]) / 1000
    assert abs(paid) <= Decimal(shown["amount"]) * Decimal("0.003")
    bought = quantity(owner, "ETH")
    sold = await owner.orders.place(Ticket(coin="ETH", side=Side.SELL, quantity=bought))
    assert sold.state is OrderState.BOOKED
    assert quantity(owner, "ETH") < Decimal("0.0001")


async def test_all_the_cash(rig: Rig, owner: OpenEngine) -> None:
    """An amount of all that is there leaves room for what it may cost; more than that is refused."""
    cash = owner.ledger.book().portfolio.cash
    with pytest.raises(CommandError, match="not_enough_free"):
        await owner.orders.place(market(amount=f"{cash + 1:f}"))
    record = await owner.orders.place(market(amount=f"{cash:f}"))
    assert record.state is OrderState.BOOKED
    assert ZERO <= owner.ledger.book().portfolio.cash < 5


async def test_preview_of_a_limit(rig: Rig, owner: OpenEngine) -> None:
    """It waits for its price; what take profit and stop loss would bring is said, fees included."""
    ticket = limit("BTC", Side.BUY, Decimal("0.001"), Decimal(90000), take_profit=Level(Decimal(10), percent=True))
    shown = await owner.orders.preview(ticket)
    assert (shown["type"], shown["waits"], shown["price"]) == ("limit", True, "90000.00000000")
    assert shown["amount"] == "90"
    assert shown["cost"] == shown["fee"] == "0.09"
    assert shown["take_profit"]["price"] == "99000.00000000"
    assert shown["take_profit"]["result"] == "8.811"
    assert shown["stop_loss"] is None
    trailing = await owner.orders.preview(market(trailing=500))
    assert Decimal(trailing["stop_loss"]["result"]) < 0
    assert (await owner.orders.preview(market("BTC", Side.SELL)))["stop_loss"] is None


@pytest.mark.parametrize(
    ("lasts", "state"), [(TimeInForce.GTC, "partly_filled"), (TimeInForce.IOC, "booked"), (TimeInForce.FOK, "booked")]
)
async def test_time_in_force(rig: Rig, live: OpenEngine, lasts: TimeInForce, state: str) -> None:
    """What cannot be filled at once stays, ends, or keeps all of it from being filled."""
    rig.exchange.set_depth("ETHUSDC", "60")
    price = rig.exchange.price("ETHUSDC") * Decimal("1.001")
    record = await live.orders.place(limit("ETH", Side.BUY, Decimal("0.1"), price, time_in_force=lasts))
    assert record.state.value == state
    assert bool(record.executed_quantity) is (lasts is not TimeInForce.FOK)
    rig.agree(live)
    paper = await rig.start(Mode.DRY_RUN, entry_id="paper")
    await paper.cycle()
    record = await paper.orders.place(limit("ETH", Side.BUY, Decimal("0.1"), price, time_in_force=lasts))
    assert record.executed_quantity == record.quantity


REFUSED: list[tuple[str, Ticket]] = [
    ("amount_or_quantity", Ticket(coin="ETH", side=Side.BUY)),
    ("amount_or_quantity", market(quantity=Decimal(1))),
    ("coin_not_tradable", market("NOPE")),
    ("order_too_small", market(amount="4")),
    ("order_too_small", market(amount="0.000001")),
    ("not_enough_free", market(amount="5000")),
    ("not_enough_free", market(side=Side.SELL)),
    ("limit_price_far", limit("ETH", Side.BUY, Decimal(1), Decimal(100))),
    ("limit_price_far", limit("ETH", Side.BUY, Decimal(1), Decimal("0.0001"))),
    ("limit_price_guard", limit("ETH", Side.BUY, Decimal("0.01"), Decimal(3300))),
    ("limit_price_guard", limit("BTC", Side.SELL, Decimal("0.001"), Decimal(90000))),
    ("two_stops", market(trailing=100, stop_loss=Level(Decimal(5), percent=True))),
    ("protection_prices", market(take_profit=Level(Decimal(100)))),
    ("protection_prices", market(stop_loss=Level(Decimal(100), percent=True))),
    ("protection_prices", limit("BTC", Side.BUY, Decimal("0.001"), LOW, take_profit=Level(Decimal(85000)))),
    ("limit_price_far", market(take_profit=Level(Decimal(900), percent=True))),
    ("protection_of_sale", market("BTC", Side.SELL, trailing=100)),
    ("coin_frozen", market("SOL")),
]


async def test_what_is_refused(rig: Rig) -> None:
    """Each with its reason, before anything is sent or written down."""
    owner = await holding(rig, frozen=frozenset({"SOL"}))
    sent = len(rig.orders())
    for words, ticket in REFUSED:
        with pytest.raises(CommandError, match=words):
            await owner.orders.place(ticket)
    assert len(rig.orders()) == sent
    assert not owner.snapshot.protections
    rig.exchange.set_depth("BTCUSDC", "10")
    await owner.commands.exit(confirm=True)
    with pytest.raises(CommandError, match="everything_sold"):
        await owner.orders.place(market())


async def test_without_a_price_guard(rig: Rig) -> None:
    """A limit that is filled at once may lie as far away as the exchange allows."""
    owner = await holding(rig, max_slippage=ZERO)
    record = await owner.orders.place(limit("ETH", Side.BUY, Decimal("0.02"), Decimal(3300)))
    assert record.state is OrderState.BOOKED
    assert record.executed_amount < Decimal("0.02") * 3200


async def test_a_pair_that_is_halted(rig: Rig, owner: OpenEngine) -> None:
    """What is wanted stays wanted, though nobody can see to it meanwhile."""
    await owner.orders.protect("BTC", trailing=500)
    rig.exchange.set_symbol_status("BTCUSDC", "BREAK")
    owner = await rig.restart(owner)
    await rig.cycle(owner)
    (row,) = (await owner.queries.orders(owner.snapshot))["protections"]
    assert row["held_by"] == ("exchange" if owner.ledger.mode is Mode.LIVE else "nobody")
    with pytest.raises(CommandError, match="coin_not_tradable"):
        await owner.orders.close("BTC")


@pytest.mark.parametrize("filters", [{"PERCENT_PRICE": {"multiplierUp": "2", "multiplierDown": "0.5"}}, {}])
def test_bounds_of_a_price(filters: dict[str, dict[str, str]]) -> None:
    """Where one filter is for both sides, and where there is none."""
    item = {"symbol": "BTCUSDC", "baseAsset": "BTC", "quoteAsset": "USDC", "status": "TRADING"}
    rules = read_rules(
        item | {"filters": [{"filterType": name, **each} for name, each in filters.items()], "quoteAssetPrecision": 8}
    )
    wanted = (Decimal(50), Decimal(200)) if filters else None
    assert {rules.bounds(side, Decimal(100)) for side in Side} == {wanted}
    assert SymbolRules("A", "B", "C").bounds(Side.BUY, ONE) is None


# What is bought is protected


async def test_a_purchase_with_its_protection(rig: Rig, owner: OpenEngine) -> None:
    """It protects all that is held of the coin, the quantity after fees."""
    await owner.orders.place(
        market("ETH", take_profit=Level(Decimal(10), percent=True), stop_loss=Level(Decimal(2500)))
    )
    held = quantity(owner, "ETH")
    assert set(protecting(owner, "ETH")) == {OrderType.LIMIT, OrderType.STOP_LOSS}
    assert all(held - Decimal("0.0001") < each <= held for each in protecting(owner, "ETH").values())
    (row,) = (await owner.queries.orders(owner.snapshot))["protections"]
    assert (row["coin"], row["held_by"], row["stop_loss"]) == ("ETH", "exchange", "2500.00000000")


async def test_a_limit_with_its_protection(rig: Rig, owner: OpenEngine) -> None:
    """It is wanted while the order waits, over a restart, and is there with the cycle that sees it filled."""
    ticket = limit("ETH", Side.BUY, Decimal("0.1"), Decimal(3000), stop_loss=Level(Decimal(5), percent=True))
    await owner.orders.place(ticket)
    owner = await rig.restart(owner)
    await rig.cycle(owner)
    (row,) = (await owner.queries.orders(owner.snapshot))["protections"]
    assert (row["coin"], row["held_by"]) == ("ETH", "nobody")
    rig.exchange.set_price("ETHUSDC", "2990")
    await rig.cycle(owner)
    assert list(protecting(owner, "ETH")) == [OrderType.STOP_LOSS]
    assert owner.snapshot.protections["ETH"].stop_loss == 2850


async def test_a_limit_that_is_cancelled(owner: OpenEngine, rig: Rig) -> None:
    """What was to protect it is wanted no more."""
    order = await owner.orders.place(limit("ETH", Side.BUY, Decimal("0.1"), Decimal(3000), trailing=500))
    assert owner.snapshot.protections
    await owner.orders.cancel(order.client_order_id)
    await rig.cycle(owner)
    assert not owner.snapshot.protections


async def test_a_purchase_that_is_refused(rig: Rig, live: OpenEngine) -> None:
    """What protected the coin before goes on."""
    await protect(live, "BTC", HIGH, LOW)
    rig.exchange.fault("error", code=-2010, method="POST", path="/order")
    record = await live.orders.place(market("BTC", stop_loss=Level(Decimal(85000))))
    assert record.state is OrderState.REJECTED
    assert live.snapshot.protections["BTC"].stop_loss == LOW
    assert set(protecting(live)) == {OrderType.LIMIT, OrderType.STOP_LOSS}


async def test_what_is_bought_later(rig: Rig, owner: OpenEngine) -> None:
    """Whoever buys more of a coin, its protection is placed anew over all of it."""
    await protect(owner, "BTC", HIGH, LOW)
    before = quantity(owner)
    rig.leader.publish_v2({"BTC": ".8"})
    await rig.cycle(owner)
    held = quantity(owner)
    assert held > before * Decimal("1.5")
    assert all(held - DUST < each <= held for each in protecting(owner).values())


async def test_other_levels_after_a_crash(rig: Rig, owner: OpenEngine) -> None:
    """What rests is ended where it is not what is wanted, whatever came between."""
    await protect(owner, "BTC", HIGH, LOW)
    known = owner.ledger.fact("protections")
    assert known
    owner.ledger.remember("protections", known.replace("80000", "81000"))
    owner = await rig.restart(owner)
    await rig.cycle(owner)
    stops = [order.stop_price for order in owner.ledger.resting() if order.stop_price]
    assert stops == [Decimal(81000)]
    orders = owner.ledger.resting()
    await protect(owner, "BTC", HIGH, Decimal(81000))
    assert owner.ledger.resting() == orders  # the same again changes nothing


async def test_a_sale_of_what_is_protected(rig: Rig, owner: OpenEngine) -> None:
    """Its protection makes room, and is there again over what is left."""
    await protect(owner, "BTC", HIGH, LOW)
    before = quantity(owner)
    record = await owner.orders.place(Ticket(coin="BTC", side=Side.SELL, quantity=before / 2))
    assert record.state is OrderState.BOOKED
    held = quantity(owner)
    assert held < before * Decimal("0.6")
    assert all(held - DUST < each <= held for each in protecting(owner).values())


async def test_a_sale_whose_protection_cannot_be_ended(rig: Rig, live: OpenEngine) -> None:
    """Nothing is sold twice: it is not sent before the end of the other is known."""
    await protect(live, "BTC", HIGH, None)
    rig.exchange.fault("status", method="DELETE", path="/order", count=None)
    with pytest.raises(CommandError, match="coin_unclear"):
        await live.orders.place(market("BTC", Side.SELL))
    rig.exchange.clear_faults()
    await rig.cycle(live)
    assert set(protecting(live)) == {OrderType.LIMIT}


# What has acted


async def test_what_a_stop_sold_is_not_bought_again(rig: Rig, owner: OpenEngine) -> None:
    """Neither by the cycle that sees it nor by a rebalance: not before its source wants another share."""
    await protect(owner, "BTC", HIGH, LOW)
    rig.exchange.set_price("BTCUSDC", "79000")
    for _ in range(2):
        await rig.cycle(owner)
    await owner.commands.sync()
    assert quantity(owner) < DUST
    assert owner.snapshot.held_back == ("BTC",)
    assert not owner.snapshot.protections
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(owner)
    assert quantity(owner) > DUST


async def test_a_stop_seen_by_a_rebalance_by_hand(rig: Rig, owner: OpenEngine) -> None:
    """What was filled since the last cycle is held back before anything is bought."""
    await protect(owner, "BTC", HIGH, LOW)
    rig.exchange.set_price("BTCUSDC", "79000")
    if owner.ledger.mode is Mode.DRY_RUN:
        await owner.commands.preview()  # on paper an order fills at the prices that are asked for
    await owner.commands.sync()
    assert quantity(owner) < DUST


async def test_a_crash_before_a_sold_coin_is_held_back(
    rig: Rig, owner: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sale is booked; the next start holds it back before anything is bought."""

    async def fails(_: Protections, orders: Sequence[OrderRecord]) -> None:
        if orders:
            raise LedgerError("the ledger failed")

    await protect(owner, "BTC", HIGH, LOW)
    rig.exchange.set_price("BTCUSDC", "79000")
    with monkeypatch.context() as broken:
        broken.setattr(Protections, "heed", fails)
        for _ in range(2):
            await rig.cycle(owner)
    assert not owner.snapshot.held_back
    assert quantity(owner) < DUST
    owner = await rig.restart(owner)
    for _ in range(2):
        await rig.cycle(owner)
    assert owner.snapshot.held_back == ("BTC",)
    assert quantity(owner) < DUST
    assert not (await owner.queries.orders(owner.snapshot, since=rig.clock.now() + timedelta(hours=1)))["done"]


# Trailing stops


async def test_a_trailing_stop(rig: Rig, owner: OpenEngine) -> None:
    """On the exchange where it has it, else watched; it follows the price up and sells on the way down."""
    await owner.orders.protect("BTC", trailing=500)
    held_by = "exchange" if owner.ledger.mode is Mode.LIVE else "cycle"
    (row,) = (await owner.queries.orders(owner.snapshot))["protections"]
    assert (row["held_by"], row["trailing_stop"]) == (held_by, 5.0)
    for price in ("96000", "94000", "92000"):
        rig.exchange.set_price("BTCUSDC", price)
        await rig.cycle(owner)
        assert quantity(owner) > DUST
    assert owner.snapshot.protections["BTC"].stop == 91200
    rig.exchange.set_price("BTCUSDC", "91000")
    for _ in range(2):
        await rig.cycle(owner)
    assert quantity(owner) < DUST
    assert owner.snapshot.held_back == ("BTC",)


async def test_a_trailing_stop_that_was_placed_anew(rig: Rig, live: OpenEngine) -> None:
    """The exchange knows of no price before that: the highest one is remembered here."""
    await live.orders.protect("BTC", Level(Decimal(120000)), trailing=500)
    assert set(protecting(live)) == {OrderType.LIMIT, OrderType.TRAILING_STOP}
    rig.exchange.set_price("BTCUSDC", "96000")
    await rig.cycle(live)
    rig.exchange.set_price("BTCUSDC", "93000")
    await rig.cycle(live)
    rig.leader.publish_v2({"BTC": ".3"})
    await rig.cycle(live)
    assert protecting(live)
    rig.exchange.set_price("BTCUSDC", "91000")
    await rig.cycle(live)
    await rig.cycle(live)
    assert quantity(live) < DUST
    rig.agree(live)


# Closed positions


async def test_a_position_is_closed(rig: Rig, owner: OpenEngine) -> None:
    """All of it, its other orders ended before; no source buys it again before it changes its mind."""
    await protect(owner, "BTC", HIGH, LOW)
    await owner.orders.place(limit("BTC", Side.BUY, Decimal("0.001"), Decimal(85000)))
    done = await owner.orders.close("BTC")
    assert done[-1].state is OrderState.BOOKED
    assert quantity(owner) < DUST
    assert not owner.ledger.resting()
    for _ in range(2):
        await rig.cycle(owner)
    assert quantity(owner) < DUST
    assert owner.snapshot.held_back == ("BTC",)
    assert not owner.snapshot.protections
    with pytest.raises(CommandError, match="order_too_small"):
        await owner.orders.close("BTC")
    with pytest.raises(CommandError, match="no_position"):
        await owner.orders.close("ETH")
    await owner.orders.place(market("BTC"))
    await rig.cycle(owner)
    assert quantity(owner) > DUST


async def test_a_position_that_is_closed_bit_by_bit(rig: Rig, live: OpenEngine) -> None:
    """What the market does not take is sold by the next cycles, over a crash; an order by hand ends that."""
    rig.exchange.set_depth("BTCUSDC", "100")
    await live.orders.close("BTC")
    held = quantity(live)
    assert held > DUST
    live = await rig.restart(live)
    await rig.cycle(live)
    assert quantity(live) < held
    await live.orders.place(market("BTC", amount="50"))
    held = quantity(live)
    await rig.cycle(live)
    assert quantity(live) == held
    rig.agree(live)


async def test_a_close_that_is_refused(rig: Rig, live: OpenEngine) -> None:
    """It is tried again, later each time up to an hour, and sells once the exchange takes it."""
    fault = rig.exchange.fault("error", code=-2010, method="POST", path="/order", count=None)
    await live.orders.close("BTC")
    tries: list[int] = []
    for _ in range(100):
        before = rig.exchange.faults_injected.total()
        await rig.cycle(live, after=60)
        tries.append(rig.exchange.faults_injected.total() - before)
    minutes = [number for number, count in enumerate(tries, start=1) if count]
    pauses = [later - earlier for earlier, later in pairwise([0, *minutes])]
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert len(minutes) == 6
    rig.exchange.cancel_fault(fault)
    await rig.cycle(live, after=3600)
    assert quantity(live) < DUST
    assert live.snapshot.protections == {}


async def test_a_crash_before_anything_is_sold(rig: Rig, owner: OpenEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was written down: the next start closes it, and holds it back."""
    write = owner.ledger.remember_all

    def dies(facts: Any) -> None:
        write(facts)
        raise RuntimeError("gone")

    monkeypatch.setattr(owner.ledger, "remember_all", dies)
    with pytest.raises(RuntimeError):
        await owner.orders.close("BTC")
    owner = await rig.restart(owner)
    await rig.cycle(owner)
    assert quantity(owner) < DUST
    assert owner.snapshot.held_back == ("BTC",)


async def test_a_portfolio_without_a_source() -> None:
    """It says nothing, and aims at nothing."""
    source, moment = ManualSource(), Moment(now=None, prices={})  # type: ignore[arg-type]
    await source.fetch(())
    assert [source.decide(moment), source.current(moment), source.targets, source.next_due(moment)] == [None] * 4
