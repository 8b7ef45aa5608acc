"""Several sources in one portfolio: netted before they trade, each its own problem, all of it attributed."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import os
from random import Random
from typing import Any

from aiohttp import ClientSession
import pytest

from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.attribution import CASH, COSTS, Valued, begin, from_text, to_text
from custom_components.calvalot.trading.decimals import ZERO
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.settings import Approval, Settings
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, AllocationSource, When
from custom_components.calvalot.trading.sources.base import Moment, Source
from custom_components.calvalot.trading.sources.blend import Part, blend_id, blended, targets_of
from custom_components.calvalot.trading.sources.leader import Leader, LeaderSource
from harness.engine import OpenEngine, exchange_for
from simulators.leader import FaultKind, LeaderSimulator

from .builders import decimals
from .rig import COINS, Rig

DAYS = int(os.environ.get("CALVALOT_BLENDS", "100"))


def part(key: str, weight: str, *, signal_id: str = "", stale: bool = False, **shares: str) -> Part:
    """A part of a blend."""
    return Part(key=key, weight=Decimal(weight), shares=decimals(shares), signal_id=signal_id, is_stale=stale)


# The sum


def test_targets() -> None:
    """Shares are added by weight, nothing is normalised."""
    parts = [part("a", "0.6", BTC="0.5", ETH="0.5"), part("b", "0.3", BTC="1")]
    assert targets_of(parts) == decimals({"BTC": "0.6", "ETH": "0.3"})
    assert blended(parts, None).shares == decimals({"BTC": "0.6", "ETH": "0.3"})
    assert blended([], {}).shares == {}


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("0", "0.3"),  # bought no further than the other wants it
        ("0.3", "0.3"),
        ("0.45", None),  # kept
        ("0.6", "0.6"),
        ("0.8", "0.6"),  # sold down to what both want
    ],
)
def test_stale(held: str, wanted: str | None) -> None:
    """A stale part may be sold down, not bought."""
    parts = [part("a", "0.6", BTC="0.5"), part("b", "0.3", BTC="1", stale=True)]
    allocation = blended(parts, {"BTC": Decimal(held)})
    assert allocation.shares.get("BTC") == (wanted and Decimal(wanted))
    assert ("BTC" in allocation.keep) is (wanted is None)


def test_id() -> None:
    """The same signals make the same blend, in whatever order."""
    one, other = part("a", "0.5", signal_id="1"), part("b", "0.5", signal_id="2")
    assert blend_id([one, other]) == blend_id([other, one])
    assert blend_id([one, other]) != blend_id([one, part("b", "0.5", signal_id="3")])


# At work


def own(when: Sequence[When] = (When.DRIFT,), **shares: str) -> AllocationSource:
    """An own allocation that is kept in its bands."""
    settings = AllocationSettings(shares=decimals(shares), when=frozenset(when), cooldown=timedelta())
    return AllocationSource(settings, UTC)


def lead(rig: Rig, leader: LeaderSimulator | None = None) -> LeaderSource:
    """A leader that is followed."""
    leader = leader or rig.leader
    return LeaderSource(Leader(rig.session, leader.url, leader.secret, "1.2.3"))


async def start(
    rig: Rig, sources: Mapping[str, Source], weights: Mapping[str, str], mode: Mode = Mode.DRY_RUN, **settings: Any
) -> OpenEngine:
    """A portfolio with these sources, on its ledger."""
    if rig.before is None:
        rig.before = rig.exchange.balances()
    ledger = rig.ledger(mode=mode)
    portfolio = OpenEngine(
        Settings(
            entry_id="entry",
            mode=mode,
            quote="USDC",
            initial_budget=Decimal(1000),
            coins=COINS,
            weights={key: Decimal(weight) for key, weight in weights.items()},
            **settings,
        ),
        sources=sources,
        exchange=exchange_for(ledger, rig.binance(), rig.clock.now),
        ledger=ledger,
        clock=rig.clock.now,
        publish=lambda _snapshot, events: rig.events.extend(events),
        accounts=rig.accounts,
        sleep=rig.sleep,
    )
    await portfolio.start()
    rig.followers.append(portfolio)
    return portfolio


def tuned(settings: Settings, **changes: Any) -> Settings:
    """Settings with some of them changed."""
    return Settings(**{each.name: changes.get(each.name, getattr(settings, each.name)) for each in fields(Settings)})


async def results(portfolio: OpenEngine) -> list[tuple[str, str]]:
    """Source and result of each signal, newest first."""
    return [(record.source, record.result.value) for record in portfolio.ledger.signals()]


async def test_leader_and_own_allocation(rig: Rig, leader: LeaderSimulator) -> None:
    """60 % a leader, 40 % an own allocation: one blend, one set of orders; its signals say that they were blended."""
    leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    portfolio = await start(rig, {"leader": lead(rig), "own": own(BTC="1")}, {"leader": "0.6", "own": "0.4"}, Mode.LIVE)
    snapshot = await portfolio.cycle()
    weights = rig.weights(portfolio)
    assert (weights["BTC"], weights["ETH"]) == (pytest.approx(0.7, abs=0.005), pytest.approx(0.3, abs=0.005))
    assert await results(portfolio) == [("own", "blended"), ("leader", "blended"), ("blend", "executed")]
    assert (snapshot.last_signal_result, snapshot.leader_connected) == (Result.EXECUTED, True)
    assert snapshot.last_signal_id == portfolio.ledger.signals()[2].signal_id
    assert {record.reason for record in portfolio.ledger.signals()[:2]} == {snapshot.last_signal_id}
    assert rig.types("signal") == ["received", "executed"]
    assert [(each.key, each.weight) for each in snapshot.sources] == [
        ("leader", Decimal("0.6")),
        ("own", Decimal("0.4")),
    ]
    rig.agree(portfolio)

    orders = len(rig.orders())
    await rig.cycle(portfolio)
    leader.publish_v2({"BTC": "1"})
    await rig.cycle(portfolio)
    sold, bought = rig.orders()[orders:]
    assert (sold.symbol, sold.side, bought.symbol, bought.side) == ("ETHUSDC", "SELL", "BTCUSDC", "BUY")
    assert (await results(portfolio))[:2] == [("leader", "blended"), ("blend", "executed")]
    rig.agree(portfolio)


async def test_drift(rig: Rig, leader: LeaderSimulator) -> None:
    """An own allocation in a blend looks at the whole: where a coin of its own is out of its band, the blend is kept."""
    leader.publish_v2({"ETH": "1"})
    portfolio = await start(rig, {"leader": lead(rig), "own": own(BTC="1")}, {"leader": "0.5", "own": "0.5"})
    await portfolio.cycle()
    trades = len(await portfolio.queries.trades())
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * Decimal("1.1"))
    await rig.cycle(portfolio)
    assert len(await portfolio.queries.trades()) == trades
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * Decimal("1.5"))
    await rig.cycle(portfolio)
    assert len(await portfolio.queries.trades()) == trades + 2
    assert rig.weights(portfolio)["BTC"] == pytest.approx(0.5, abs=0.006)
    # What only the leader wants is not the own allocation's.
    rig.exchange.set_price("ETHUSDC", rig.exchange.price("ETHUSDC") * Decimal("1.15"))
    await rig.cycle(portfolio)
    assert len(await portfolio.queries.trades()) == trades + 2


async def test_by_hand(rig: Rig) -> None:
    """Allocations that are kept by hand are blended when that is asked for; the plan shows it before."""
    portfolio = await start(
        rig, {"allocation": own((), BTC="1"), "other": own((), ETH="0.5")}, {"allocation": "0.3", "other": "0.5"}
    )
    await portfolio.cycle()
    assert await portfolio.queries.trades() == []
    shown = await portfolio.commands.preview("other")
    assert {row["coin"]: row["target"] for row in shown["table"]} == {"BTC": 30, "ETH": 25}
    record = await portfolio.commands.sync("allocation", shown["plan_id"])
    assert (record.source, record.result) == ("blend", Result.EXECUTED)
    assert rig.weights(portfolio)["ETH"] == pytest.approx(0.25, abs=0.005)


async def test_nothing_said_yet(rig: Rig) -> None:
    """Where none of the sources has said anything there is nothing to trade."""
    portfolio = await start(rig, {"leader": lead(rig)}, {"leader": "0.5"})
    await portfolio.cycle()
    with pytest.raises(CommandError) as caught:
        await portfolio.commands.preview()
    assert caught.value.key == "no_allocation"


async def test_draft(rig: Rig, leader: LeaderSimulator) -> None:
    """A draft of one source's allocation is shown, and traded, as what all of them want together."""
    leader.publish_v2({"ETH": "1"})
    portfolio = await start(rig, {"leader": lead(rig), "own": own((), BTC="1")}, {"leader": "0.5", "own": "0.5"})
    await portfolio.cycle()
    draft = own((), SOL="0.5").current(Moment(now=rig.clock.now(), prices={}))
    for key in (None, "own"):
        shown = await portfolio.commands.preview(key, draft)
        assert {row["coin"]: row["target"] for row in shown["table"]} == {"ETH": 50, "SOL": 25, "BTC": 0}
    assert (await portfolio.commands.sync("own", shown["plan_id"], draft)).result is Result.EXECUTED
    assert rig.weights(portfolio)["SOL"] == pytest.approx(0.25, abs=0.005)


async def test_a_source_that_fails(rig: Rig, leader: LeaderSimulator) -> None:
    """It keeps its part as it was, the others go on, and it is told."""
    leader.publish_v2({"ETH": "1"})
    source = own(BTC="1")
    portfolio = await start(rig, {"leader": lead(rig), "own": source}, {"leader": "0.5", "own": "0.5"})
    await portfolio.cycle()
    leader.misbehave(FaultKind.STATUS, 4)
    for _ in range(3):
        snapshot = await rig.cycle(portfolio)
    assert (snapshot.leader_connected, snapshot.refused_by) == (False, "leader")
    assert "leader_lost" in rig.types("alert")
    await portfolio.tune(portfolio.settings, {"own": own(SOL="1")})
    await rig.cycle(portfolio)
    weights = rig.weights(portfolio)
    assert (weights["ETH"], weights["SOL"]) == (pytest.approx(0.5, abs=0.006), pytest.approx(0.5, abs=0.006))


async def test_restart(rig: Rig, leader: LeaderSimulator) -> None:
    """After a restart a leader that does not answer has the part that it had, from the ledger."""
    leader.publish_v2({"ETH": "1"})
    weights = {"leader": "0.5", "own": "0.5"}
    portfolio = await start(rig, {"leader": lead(rig), "own": own(BTC="1")}, weights)
    await portfolio.cycle()
    rig.crash(portfolio)
    leader.misbehave(FaultKind.STATUS, 2)
    portfolio = await start(rig, {"leader": lead(rig), "own": own(SOL="1")}, weights)
    await rig.cycle(portfolio)
    held = rig.weights(portfolio)
    assert (held["ETH"], held["SOL"]) == (pytest.approx(0.5, abs=0.006), pytest.approx(0.5, abs=0.006))
    known = len(portfolio.ledger.signals())
    await rig.cycle(portfolio)
    await rig.cycle(portfolio)
    assert len(portfolio.ledger.signals()) == known


async def test_stale_source(rig: Rig, leader: LeaderSimulator) -> None:
    """A leader that was not heard for a week has nothing bought; what it has is kept, and sold down."""
    leader.publish_v2({"ETH": "1"})
    source = own(BTC="1")
    portfolio = await start(rig, {"leader": lead(rig), "own": source}, {"leader": "0.5", "own": "0.5"})
    await portfolio.cycle()
    leader.misbehave(FaultKind.STATUS, 100)
    snapshot = await rig.cycle(portfolio, after=8 * 86400)
    assert [each.stale for each in snapshot.sources] == [True, False]
    assert "source_stale" in rig.types("alert")
    rig.exchange.set_price("ETHUSDC", rig.exchange.price("ETHUSDC") * Decimal("0.5"))
    held = portfolio.ledger.book().portfolio.quantity("ETH")
    await rig.cycle(portfolio)
    assert portfolio.ledger.book().portfolio.quantity("ETH") == held
    assert rig.weights(portfolio)["BTC"] == pytest.approx(0.5, abs=0.006)
    assert "source_stale" not in rig.types("alert")
    rig.exchange.set_price("ETHUSDC", rig.exchange.price("ETHUSDC") * 4)
    await portfolio.commands.sync()
    assert rig.weights(portfolio)["ETH"] == pytest.approx(0.5, abs=0.006)


async def test_paused_source(rig: Rig, leader: LeaderSimulator) -> None:
    """It keeps its last allocation and is not heard, nor stale; resumed, what it says last counts."""
    leader.publish_v2({"ETH": "1"})
    portfolio = await start(rig, {"leader": lead(rig), "own": own(BTC="1")}, {"leader": "0.5", "own": "0.5"})
    await portfolio.cycle()
    await portfolio.tune(tuned(portfolio.settings, paused_sources=frozenset({"leader"})), {})
    leader.publish_v2({"SOL": "1"})
    snapshot = await rig.cycle(portfolio, after=9 * 86400)
    assert [(each.paused, each.stale) for each in snapshot.sources] == [(True, False), (False, False)]
    assert rig.weights(portfolio)["ETH"] == pytest.approx(0.5, abs=0.006)
    await portfolio.tune(tuned(portfolio.settings, paused_sources=frozenset()), {})
    await rig.cycle(portfolio)
    weights = rig.weights(portfolio)
    assert (weights["ETH"], weights["SOL"]) == (pytest.approx(0, abs=0.006), pytest.approx(0.5, abs=0.006))


async def test_paused_schedule_wakes_nobody(rig: Rig) -> None:
    """The times of a paused source are no times."""
    settings = AllocationSettings(
        shares=decimals({"BTC": "1"}), when=frozenset({When.SCHEDULE}), interval=timedelta(hours=1)
    )
    source = AllocationSource(settings, UTC)
    portfolio = await start(rig, {"own": source, "other": own(ETH="1")}, {"own": "0.5", "other": "0.5"})
    assert (await portfolio.cycle()).due
    await portfolio.tune(tuned(portfolio.settings, paused_sources=frozenset({"own"})), {})
    assert (await rig.cycle(portfolio, after=7200)).due is None


async def test_removed_source(rig: Rig, leader: LeaderSimulator) -> None:
    """Its removal trades nothing; its share goes to cash with the next rebalance, and the plan says so before."""
    leader.publish_v2({"ETH": "1"})
    portfolio = await start(rig, {"leader": lead(rig), "own": own(BTC="1")}, {"leader": "0.5", "own": "0.5"})
    await portfolio.cycle()
    rig.crash(portfolio)
    portfolio = await start(rig, {"leader": lead(rig)}, {"leader": "0.5"})
    await rig.cycle(portfolio)
    assert len(await portfolio.queries.trades()) == 2
    shown = await portfolio.commands.preview()
    rows = {row["coin"]: row for row in shown["table"]}
    assert (rows["BTC"]["target"], rows["BTC"]["side"], rows["ETH"]["reason"]) == (0, "SELL", "below_threshold")
    assert Decimal(shown["left_over"]) > 450
    await portfolio.commands.sync(plan_id=shown["plan_id"])
    weights = rig.weights(portfolio)
    assert (weights["BTC"], weights["ETH"]) == (pytest.approx(0, abs=0.001), pytest.approx(0.5, abs=0.006))
    statistics = await portfolio.queries.contributions(portfolio.snapshot.sources)
    assert [(each["source"], each["weight"]) for each in statistics["sources"]] == [("leader", 50), ("own", None)]


async def test_what_waits_is_closed_with_its_source(rig: Rig, leader: LeaderSimulator) -> None:
    """What a source left open or waiting is not traded after it has gone."""
    leader.publish_v2({"ETH": "1"})
    portfolio = await start(rig, {"leader": lead(rig)}, {}, approval=Approval.ASK)
    assert (await portfolio.cycle()).waiting_signal
    rig.crash(portfolio)
    portfolio = await start(rig, {"allocation": own((), BTC="1")}, {}, approval=Approval.ASK)
    assert (await rig.cycle(portfolio)).waiting_signal is None
    (record,) = portfolio.ledger.signals()
    assert (record.result, record.reason) == (Result.SKIPPED, "its source does not decide any more")


async def test_moves(rig: Rig, leader: LeaderSimulator) -> None:
    """Moves cannot be blended: refused with the reason, and the others go on."""
    leader.publish_v1([("ETH", "BUY", ".2")])
    portfolio = await start(rig, {"leader": lead(rig), "own": own(BTC="1")}, {"leader": "0.5", "own": "0.5"})
    snapshot = await portfolio.cycle()
    assert snapshot.moves_in_blend == ("leader",)
    assert (await results(portfolio)) == [("own", "blended"), ("blend", "executed"), ("leader", "rejected")]
    assert portfolio.ledger.signals()[2].reason == "moves_in_blend"
    assert rig.weights(portfolio)["BTC"] == pytest.approx(0.5, abs=0.006)
    leader.publish_v2({"ETH": "1"})
    snapshot = await rig.cycle(portfolio)
    assert snapshot.moves_in_blend == ()
    assert rig.weights(portfolio)["ETH"] == pytest.approx(0.5, abs=0.006)


async def test_approval(rig: Rig, leader: LeaderSimulator) -> None:
    """A blend waits for its owner's word as a signal does, once."""
    leader.publish_v2({"ETH": "1"})
    portfolio = await start(
        rig, {"leader": lead(rig), "own": own(BTC="1")}, {"leader": "0.5", "own": "0.5"}, approval=Approval.ASK
    )
    snapshot = await portfolio.cycle()
    assert snapshot.waiting_signal
    snapshot = await rig.cycle(portfolio)
    assert rig.types("signal") == ["received", "waiting"]
    assert (await portfolio.commands.approve(snapshot.waiting_signal, "blend")).result is Result.EXECUTED


async def test_a_crash_between_the_blend_and_its_signals(rig: Rig, leader: LeaderSimulator) -> None:
    """Signals that were blended are written down as such, whenever that is; nothing is traded twice."""
    leader.publish_v2({"ETH": "1"})
    weights = {"leader": "0.5", "own": "0.5"}
    portfolio = await start(rig, {"leader": lead(rig), "own": own((), BTC="1")}, weights)
    await portfolio.cycle()
    (record,) = [each for each in portfolio.ledger.signals() if each.source == "leader"]
    portfolio.ledger.write_signal(_rejected(record))
    trades = len(await portfolio.queries.trades())
    await rig.cycle(portfolio)
    assert portfolio.ledger.signal(record.key) == record
    assert len(await portfolio.queries.trades()) == trades


def _rejected(record: Any) -> Any:
    """A record as if it had not been written."""
    return type(record)(
        **{each.name: getattr(record, each.name) for each in fields(record)} | {"result": Result.REJECTED}
    )


# Who contributed what


def valued(price: str, **changes: str) -> Valued:
    """A portfolio of 0.5 BTC and 500 USDC at a rate of 1."""
    values = decimals({"unit_price": "1", "value": "1000", "cash": "500", "rate": "1"} | changes)
    return Valued(**values, prices=decimals({"BTC": price}), quantities=decimals({"BTC": "0.5"}))


def test_parts_of_a_return() -> None:
    """A price that rises is its source's, a fee is none's; a coin that nobody wants any more stays with who wanted it."""
    parts = [part("a", "0.4", BTC="0.5"), part("b", "0.6", BTC="0.5")]
    known = begin(valued("1000"), parts, datetime(2026, 5, 1, tzinfo=UTC))
    known = known.valued(valued("1200", unit_price="1.09", value="1090", cash="490"), parts)
    assert known.points == {"a": Decimal("0.04"), "b": Decimal("0.06"), CASH: 0, COSTS: Decimal("-0.01")}
    assert known.records["a"] == Decimal("1.1")
    known = known.valued(valued("1300", unit_price="1.14", value="1140", cash="490"), parts[:1])
    assert known.points["b"] == Decimal("0.09")
    assert known.records["b"] == Decimal("1.1")
    assert from_text(to_text(known)) == known


async def test_random_days(rig: Rig) -> None:
    """Whatever up to five sources do, contributions, cash and costs add up to the return of the portfolio, to 1e-9.

    What is removed, paused, failing or stale never has anything bought for the others.
    """
    random = Random(17)
    leaders = [LeaderSimulator() for _ in range(2)]
    async with leaders[0], leaders[1], ClientSession():
        keys = ["leader", "second", "third", "fourth", "fifth"]
        first = {coin: rig.exchange.price(f"{coin}USDC") for coin in COINS}
        sources: dict[str, Source] = {}
        weights: dict[str, str] = {}
        portfolio: OpenEngine | None = None
        for day in range(DAYS):
            if portfolio is None or random.random() < 0.05:
                if portfolio:
                    rig.crash(portfolio)
                chosen = random.sample(keys, random.randint(1, 5))
                shares = [random.random() for _ in chosen]
                whole = max(sum(shares), 0.2) / random.choice([0.5, 0.9, 0.99])
                weights = {key: f"{share / whole:.3f}" for key, share in zip(chosen, shares, strict=True)}
                sources = {
                    key: lead(rig, leaders[number]) if number < 2 else own(**random_shares(random))
                    for number, key in enumerate(keys)
                    if key in chosen
                }
                portfolio = await start(rig, sources, weights, max_source_age=timedelta(days=2))
            for leader in leaders:
                if random.random() < 0.3:
                    leader.publish_v2(random_shares(random))
                if random.random() < 0.1:
                    leader.misbehave(FaultKind.STATUS, random.randint(1, 4))
            paused = frozenset(key for key in sources if random.random() < 0.2)
            await portfolio.tune(tuned(portfolio.settings, paused_sources=paused), {})
            for coin in COINS:
                factor = Decimal(str(round(random.uniform(0.8, 1.25), 4)))
                rig.exchange.set_price(f"{coin}USDC", first[coin] * factor)
            if random.random() < 0.1:
                await portfolio.cycle()
                await portfolio.commands.deposit(Decimal(random.randint(10, 200)))
            before = portfolio.ledger.book().portfolio
            snapshot = await rig.cycle(portfolio, after=86400)
            assert adds_up(await portfolio.queries.contributions(snapshot.sources)), day
            book = portfolio.ledger.book().portfolio
            prices = {coin: rig.exchange.price(f"{coin}USDC") for coin in COINS}
            capital = book.cash + sum(book.quantity(coin) * prices[coin] for coin in COINS)
            for coin in COINS:
                if book.quantity(coin) > before.quantity(coin):
                    wanted = sum(
                        each.weight * (each.targets or {}).get(coin, ZERO)
                        for each in snapshot.sources
                        if not each.stale
                    )
                    assert book.quantity(coin) * prices[coin] <= capital * (wanted + Decimal("0.005")), (day, coin)


def random_shares(random: Random) -> dict[str, str]:
    """An allocation."""
    weights = [random.choice([0.0, random.random()]) for _ in COINS]
    whole = max(sum(weights), 0.1) / random.choice([0.6, 0.95, 0.99])
    return {coin: f"{weight / whole:.4f}" for coin, weight in zip(COINS, weights, strict=True)}


def adds_up(statistics: dict[str, Any]) -> bool:
    """Whether the parts of a return add up to it, and costs are none that earn."""
    parts = [each["contribution"] for each in statistics["sources"]]
    parts += [statistics[key] for key in ("cash", "costs", "other")]
    return abs(sum(map(Decimal, parts), ZERO) - Decimal(statistics["return"])) < Decimal("1e-9")


def test_statistics_without_a_blend() -> None:
    """There is nothing to attribute."""
    told = responses.contributions(None, (), {})
    assert (told["since"], told["return"], told["sources"], told["costs"]) == (None, None, [], None)
