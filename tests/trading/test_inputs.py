"""What a cycle learns of the world, and what it remembers of a world that does not answer."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import (
    CommandError,
    ExchangeUnavailable,
    InvalidKey,
    LeaderForbidden,
    LeaderInvalidResponse,
    LeaderSignalsOff,
    LeaderUnreachable,
    Refused,
)
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.sources import leader as leader_module
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .rig import Rig


@pytest.fixture
def sim(rig: Rig) -> ExchangeSimulator:
    """The exchange."""
    return rig.exchange


# The leader


async def test_a_leader_that_is_lost_and_back(rig: Rig, leader: LeaderSimulator) -> None:
    """Told once after three failed polls in a row, and once with the first good one."""
    follower = await rig.start(Mode.DRY_RUN)
    told = []
    for fails in (True, True, False, True, True, True, True, True, False, False, True, False):
        if fails:
            leader.misbehave("status")
        picture = await rig.cycle(follower)
        assert picture.leader_connected is not fails
        assert isinstance(picture.leader_problem, LeaderUnreachable) is fails
        told.append(rig.types("alert"))
    assert told == [[]] * 5 + [["leader_lost"]] + [[]] * 2 + [["leader_back"]] + [[]] * 3


async def test_a_leader_that_is_silent(rig: Rig, leader: LeaderSimulator) -> None:
    """Told once when no new signal came for hours, from the start or the last new one; failing is not silence."""
    follower = await rig.start(Mode.DRY_RUN, silence_alert=timedelta(hours=2))
    hour = 3600.0
    told = []
    for number in range(9):
        if number == 3:
            leader.publish_v2({"BTC": ".5"})
        if number == 7:
            leader.publish_v2({"BTC": ".4"})
        await rig.cycle(follower, after=hour)
        told.append(rig.types("alert"))
    assert told == [[], ["leader_silent"], [], [], [], ["leader_silent"], [], [], []]
    (event,) = [event for event in rig.events if event.type == "leader_silent"] or [None]
    assert event is None


async def test_an_exchange_that_is_lost_and_back(rig: Rig, sim: ExchangeSimulator) -> None:
    """Said once after three failed cycles in a row, and once with the first good one; what the owner asks is no cycle."""
    follower = await rig.start(Mode.DRY_RUN)
    said = []
    for fails in (False, True, True, False, True, True, True, True, False, False, True, False):
        if fails:
            sim.fault("status", path="/ticker/price", count=None)
            with pytest.raises(CommandError, match="no_valuation"):
                await follower.commands.deposit(Decimal(10))
        picture = await rig.cycle(follower)
        assert picture.exchange_connected is not fails
        assert all(event.data["reason"] for event in rig.events if event.type == "exchange_lost")
        said.append(rig.types("alert"))
        sim.clear_faults()
    assert said == [[]] * 6 + [["exchange_lost"]] + [[]] + [["exchange_back"]] + [[]] * 3


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("drop", LeaderUnreachable),
        ("forbidden", LeaderForbidden),
        ("signals_off", LeaderSignalsOff),
        ("html", LeaderInvalidResponse),
        ("list", LeaderInvalidResponse),
        ("broken_json", LeaderInvalidResponse),
        ("empty", LeaderInvalidResponse),
        ("no_signal_id", LeaderInvalidResponse),
        ("oversize", LeaderInvalidResponse),
        ("gzip_bomb", LeaderInvalidResponse),
        ("bad_signature", LeaderInvalidResponse),
        ("redirect_away", LeaderInvalidResponse),
    ],
)
async def test_an_answer_that_is_no_signal(
    rig: Rig, leader: LeaderSimulator, kind: str, problem: type[Exception]
) -> None:
    """Disconnected, the causes told apart, and no order; what was known before stays known."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(Mode.DRY_RUN)
    leader.misbehave(kind, 2, location="http://127.0.0.1:1/")
    picture = await rig.cycle(follower)
    assert picture.leader_connected is False
    assert type(picture.leader_problem) is problem
    assert await follower.queries.trades() == []
    leader.behave()
    picture = await rig.cycle(follower)
    assert (picture.leader_connected, picture.last_signal_result) == (True, Result.EXECUTED)


async def test_no_signal_yet(rig: Rig, leader: LeaderSimulator) -> None:
    """204 is connected; the book begins all the same."""
    follower = await rig.start(Mode.DRY_RUN)
    picture = await follower.cycle()
    assert (picture.leader_connected, picture.last_signal, picture.net_deposits) == (True, None, 1000)


async def test_the_same_answer_is_read_once(rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it changes, or what is known of the coins does."""
    bodies: list[bytes] = []
    parse = leader_module.parse_signal

    def counts(body: bytes, *known: Any) -> Any:
        bodies.append(body)
        return parse(body, *known)

    monkeypatch.setattr(leader_module, "parse_signal", counts)
    follower = await rig.start(Mode.DRY_RUN)
    for targets in ({"BTC": ".5"}, {"DOGE": ".5"}):
        leader.publish_v2(targets)
        for _ in range(3):
            await rig.cycle(follower)
    assert len(bodies) == len(set(bodies)) == 2


# The exchange


async def test_rules_once_a_day(rig: Rig, sim: ExchangeSimulator) -> None:
    """And again after a refusal, when a symbol may have gone."""
    follower = await rig.start(Mode.DRY_RUN)

    async def asked(after: float) -> int:
        before = sim.count("GET", "/exchangeInfo")
        await rig.cycle(follower, after=after)
        return sim.count("GET", "/exchangeInfo") - before

    assert [await asked(after) for after in (0, 120, 86000, 600, 120)] == [1, 0, 0, 1, 0]
    sim.delist("XRPUSDC")
    assert await asked(120) == 0
    assert isinstance(follower.snapshot.exchange_problem, Refused)
    assert await asked(120) > 1  # all, then one by one
    assert follower.snapshot.exchange_connected
    await rig.cycle(follower)
    assert "XRPUSDC" not in sim.requests[-1].params["symbols"]


async def test_a_refused_order_asks_for_the_rules_again(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """A filter that became stricter is known in the next cycle."""
    follower = await rig.following()
    leader.publish_v2({"BTC": ".5"})
    rules = sim.symbol("BTCUSDC")
    rules.min_notional = Decimal(1000)
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.OPEN
    assert rig.types("trade") == ["failed"]
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.ERROR
    assert "below_minimum" in (picture.last_signal_reason or "")
    assert sim.count("POST") == 1
    rig.agree(follower)


async def test_a_symbol_that_is_not_trading(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It passes: the others are traded now, this one when it trades again."""
    sim.set_symbol_status("BTCUSDC", "BREAK")
    leader.publish_v2({"BTC": ".5", "ETH": ".4"})
    follower = await rig.start()
    picture = await follower.cycle()
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.OPEN, "not_trading: BTCUSDC")
    assert {order.symbol for order in rig.orders()} == {"ETHUSDC"}
    sim.set_symbol_status("BTCUSDC", "TRADING")
    picture = await rig.cycle(follower, after=601)
    assert picture.last_signal_result is Result.EXECUTED
    rig.agree(follower)


async def test_a_coin_that_is_held_but_not_wanted_any_more(rig: Rig, leader: LeaderSimulator) -> None:
    """It is valued, understood in a signal, and sold when the leader sells."""
    leader.publish_v2({"BTC": ".5", "SOL": ".3"})
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    leader.publish_v2({"SOL": ".1"})
    follower = await rig.restart(follower, coins=("BTC",))
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.EXECUTED
    assert abs(rig.weights(follower)["SOL"] - 0.1) < 0.006
    leader.publish_v2({"SOL": ".6"})
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.SKIPPED, "not_chosen: SOLUSDC")
    assert abs(rig.weights(follower)["SOL"] - 0.1) < 0.006
    leader.publish_v2({})
    picture = await rig.cycle(follower)
    assert picture.positions["SOL"].value is not None
    assert picture.positions["SOL"].value < 6


async def test_the_rate_over_another_quote(rig: Rig, sim: ExchangeSimulator) -> None:
    """Where EURUSDC is not listed, over EURUSDT and USDCUSDT; where neither is, unknown."""
    direct = sim.price("EURUSDC")
    sim.delist("EURUSDC")
    follower = await rig.start(Mode.DRY_RUN)
    picture = await follower.cycle()
    assert picture.rate
    assert abs(picture.rate - 1 / direct) < Decimal("0.001")
    sim.delist("EURUSDT")
    await rig.cycle(follower)
    picture = await rig.cycle(follower)
    assert (picture.rate, picture.total_value) == (None, None)


async def test_nothing_is_listed(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """No rules, no prices to ask for, no trade."""
    leader.publish_v2({"BTC": ".5"})
    for symbol in list(sim.prices()):
        sim.delist(symbol)
    follower = await rig.start(Mode.DRY_RUN)
    picture = await follower.cycle()
    assert (picture.exchange_connected, picture.rate, picture.last_signal) == (True, None, None)
    assert sim.count("GET", "/ticker/price") == 0


@pytest.mark.parametrize(
    ("path", "problem"), [("/account", ExchangeUnavailable), ("/ticker/price", ExchangeUnavailable)]
)
async def test_a_problem_is_remembered_for_its_cycle_only(
    rig: Rig, sim: ExchangeSimulator, path: str, problem: type[Exception]
) -> None:
    """The next look starts anew."""
    follower = await rig.start()
    sim.fault("status", path=path)
    assert type((await rig.cycle(follower)).exchange_problem) is problem
    picture = await rig.cycle(follower)
    assert (picture.exchange_problem, picture.exchange_connected) == (None, True)


async def test_a_key_that_is_refused(rig: Rig, leader: LeaderSimulator) -> None:
    """Told as what it is; prices are still there."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(on=rig.binance(None, "wrong"))
    picture = await follower.cycle()
    assert isinstance(picture.exchange_problem, InvalidKey)
    assert (picture.leader_connected, picture.rate is None, picture.last_signal) == (True, False, None)
    follower = await rig.start(entry_id="keyless", on=rig.binance("", ""))
    assert isinstance((await follower.cycle()).exchange_problem, InvalidKey)


async def test_permissions_once_a_day(rig: Rig, sim: ExchangeSimulator) -> None:
    """After a cycle, shown when they change; what cannot be asked today is asked tomorrow."""
    follower = await rig.start()

    async def asked(after: float) -> int:
        before = sim.count("GET", "/apiRestrictions")
        await rig.cycle(follower, after=after)
        return sim.count("GET", "/apiRestrictions") - before

    assert [await asked(after) for after in (0, 120)] == [1, 0]
    assert follower.snapshot.permissions
    assert not follower.snapshot.permissions.can_withdraw
    sim.set_account(withdrawals=True)
    assert [await asked(after) for after in (120, 86400, 120)] == [0, 1, 0]
    assert follower.snapshot.permissions.can_withdraw
    sim.fault("status", path="/apiRestrictions")
    sim.fault("status", path="/ticker/price")
    assert [await asked(after) for after in (86400, 120, 120)] == [0, 1, 0]
    assert follower.snapshot.permissions.can_withdraw
    assert (await rig.cycle(follower)).exchange_connected
    paper = await rig.start(Mode.DRY_RUN, entry_id="paper")
    assert (await paper.cycle()).permissions is None
