"""Alerts from outside at work: written down, in order, each at most once, and nothing that its owner does not allow."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import json
from typing import Any

import pytest

from custom_components.calvalot.trading.alert import (
    AlertRecord,
    AlertState,
    Ask,
    Asked,
    Cancel,
    Hold,
    Problem,
    Trade,
    Unit,
)
from custom_components.calvalot.trading.decimals import ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Mode, Side, SymbolRules
from custom_components.calvalot.trading.ledger.alerts import MAX_WAITING
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import OrderRecord, Result
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.protection import HeldBy
from custom_components.calvalot.trading.settings import Approval
from custom_components.calvalot.trading.signal import Signal
from custom_components.calvalot.trading.sources.alert_inbox import has_token, new_token, token_hash
from custom_components.calvalot.trading.sources.alerts import AlertSettings, AlertsSource
from custom_components.calvalot.trading.sources.base import Moment
from custom_components.calvalot.trading.terms import Level, Terms
from custom_components.calvalot.trading.wants import Allocation, Move, Moves
from harness.database import rows
from harness.engine import OpenEngine

from .builders import decimals
from .rig import Rig
from .test_blend import own, start

NOW = datetime(2026, 11, 27, 6, tzinfo=UTC)
ALL = frozenset(Ask)
QUARTER, HALF = Decimal("0.25"), Decimal("0.5")
LONG, FLAT = Hold(None), Hold(ZERO)
FIVE = Level(Decimal(5), percent=True)
EIGHT = Terms(limit=Level(Decimal(8)))
STOP, LOWER, NEAR = Terms(stop_loss=FIVE, take_profit=FIVE), Terms(limit=FIVE), Terms(limit=FIVE, take_profit=FIVE)


def record(wants: Asked, coin: str = "BTC", *, seq: int = 1, told: float = 0, **more: Any) -> AlertRecord:
    """An alert that was sent so many seconds ago."""
    return AlertRecord(
        seq=seq,
        source="alerts",
        received_at=NOW,
        told_at=NOW - timedelta(seconds=told),
        digest="",
        coin=coin,
        wants=wants,
        **more,
    )


def moment(weights: dict[str, str] | None = None, capital: str | None = "1000", **more: Any) -> Moment:
    """What is known when it decides: every coin costs 10."""
    prices = dict.fromkeys(("BTC", "ETH"), Decimal(10))
    return Moment(
        now=NOW, weights=decimals(weights or {}), capital=capital and Decimal(capital), **{"prices": prices, **more}
    )


def decided(source: AlertsSource, waiting: Sequence[AlertRecord], at: Moment) -> tuple[Signal | None, dict[int, str]]:
    """What the source says, and what became of alerts with their reason."""
    source.waiting = waiting
    signal = source.decide(at)
    return signal, {seq: f"{verdict.state} {verdict.reason}".strip() for seq, verdict in source.verdicts.items()}


def moves(signal: Signal | None) -> set[Move]:
    """The legs of a signal."""
    if signal is None:
        return set()
    assert isinstance(signal.wants, Moves)
    return set(signal.wants.moves)


# What is decided


@pytest.mark.parametrize(
    ("wants", "held", "allow", "move"),
    [
        (LONG, "0", ALL, Move("BTC", Side.BUY, QUARTER)),
        (LONG, "0.1", ALL, Move("BTC", Side.BUY, Decimal("0.15"))),
        (LONG, "0.4", ALL, Move("BTC", Side.SELL, Decimal("0.15"))),
        (Hold(HALF), "0", ALL, Move("BTC", Side.BUY, QUARTER)),
        (FLAT, "0.4", ALL, Move("BTC", Side.SELL, ONE)),
        (Trade(Side.BUY, Unit.AMOUNT, Decimal(100)), "0", ALL, Move("BTC", Side.BUY, Decimal("0.1"))),
        (Trade(Side.BUY, Unit.QUANTITY, Decimal(5)), "0", ALL, Move("BTC", Side.BUY, Decimal("0.05"))),
        (Trade(Side.BUY, Unit.SHARE, HALF), "0.2", ALL, Move("BTC", Side.BUY, Decimal("0.05"))),
        (Trade(Side.SELL, Unit.QUANTITY, Decimal(5)), "0.2", ALL, Move("BTC", Side.SELL, Decimal("0.05"))),
        (Trade(Side.SELL, Unit.QUANTITY, Decimal(500)), "0.2", ALL, Move("BTC", Side.SELL, ONE)),
        (LONG, "0", ALL - {Ask.OPEN}, Problem.NOT_ALLOWED),
        (LONG, "0.4", ALL - {Ask.REDUCE}, Problem.NOT_ALLOWED),
        (FLAT, "0.4", ALL - {Ask.CLOSE}, Problem.NOT_ALLOWED),
        (Trade(Side.BUY, Unit.AMOUNT, Decimal(100)), "0", ALL - {Ask.ORDERS}, Problem.NOT_ALLOWED),
        (Trade(Side.BUY, Unit.SHARE, HALF), "0", ALL - {Ask.OPEN}, Problem.NOT_ALLOWED),
        (Trade(Side.SELL, Unit.SHARE, HALF), "0.2", ALL - {Ask.CLOSE}, Problem.NOT_ALLOWED),
        (Trade(Side.SELL, Unit.SHARE, Decimal("0.1")), "0.2", ALL - {Ask.REDUCE}, Problem.NOT_ALLOWED),
        (Trade(Side.BUY, Unit.SHARE, HALF), "0.25", ALL, Problem.SHARE_REACHED),
        (Trade(Side.SELL, Unit.SHARE, HALF), "0", ALL, Problem.NOTHING_HELD),
        (Hold(None, STOP), "0", ALL, Move("BTC", Side.BUY, QUARTER, STOP)),
        (Hold(Decimal("0.1"), STOP), "0.2", ALL, Move("BTC", Side.SELL, Decimal("0.1"))),
        (Hold(None, LOWER), "0", ALL, Move("BTC", Side.BUY, QUARTER, LOWER)),
        (Hold(ZERO, LOWER), "0.1", ALL, Move("BTC", Side.SELL, ONE, LOWER)),
        (Hold(None, LOWER), "0", ALL - {Ask.ORDERS}, Problem.NOT_ALLOWED),
        (Hold(None, Terms(stop_loss=Level(Decimal(11)))), "0", ALL, Problem.LEVELS),
        (Hold(None, Terms(take_profit=Level(Decimal(10)))), "0", ALL, Problem.LEVELS),
        # Below the last price it would sell at once what is held already.
        (Hold(None, NEAR), "0", ALL, Move("BTC", Side.BUY, QUARTER, NEAR)),
        (Hold(None, NEAR), "0.1", ALL, Problem.LEVELS),
        # So much as the limit makes of an amount.
        (Trade(Side.BUY, Unit.AMOUNT, Decimal(80), EIGHT), "0", ALL, Move("BTC", Side.BUY, Decimal("0.1"), EIGHT)),
        (Trade(Side.BUY, Unit.QUANTITY, Decimal(5), LOWER), "0", ALL, Move("BTC", Side.BUY, Decimal("0.05"), LOWER)),
        (
            Trade(Side.SELL, Unit.QUANTITY, Decimal(5), LOWER),
            "0.2",
            ALL,
            Move("BTC", Side.SELL, Decimal("0.05"), LOWER),
        ),
        (Trade(Side.BUY, Unit.AMOUNT, ONE, Terms(limit=Level(Decimal(100), percent=True))), "0", ALL, Problem.LEVELS),
        (Cancel(), "0", ALL - {Ask.ORDERS}, Problem.NOT_ALLOWED),
        (Cancel(), "0", ALL, "unchanged"),
    ],
)
def test_one_alert(wants: Asked, held: str, allow: frozenset[Ask], move: Move | str) -> None:
    """What an alert comes to by what is held and what is allowed; never more than the largest share."""
    signal, told = decided(AlertsSource(AlertSettings(allow=allow)), [record(wants)], moment({"BTC": held}))
    said = f"refused {move}" if isinstance(move, Problem) else move
    assert (moves(signal) or told) == ({move} if isinstance(move, Move) else {1: said})


def test_what_waits_for_its_price() -> None:
    """What is to be held, and an order to end it, end what earlier alerts left waiting; a limit says nothing of what is held."""
    source = AlertsSource(AlertSettings(allow=ALL))
    source.took([record(Hold(None, LOWER))])
    assert source.targets == {}
    source.resting = frozenset({"BTC", "ETH"})
    for wants, legs in ((Cancel(), set()), (FLAT, set()), (Hold(None, LOWER), {Move("BTC", Side.BUY, QUARTER, LOWER)})):
        signal, _ = decided(source, [record(wants, seq=2, told=-1)], moment())
        assert signal
        assert signal.wants == Moves(tuple(legs), frozenset({"BTC"}))
    signal, _ = decided(source, [record(Trade(Side.BUY, Unit.AMOUNT, Decimal(80), EIGHT), seq=3)], moment())
    assert signal
    assert signal.wants == Moves((Move("BTC", Side.BUY, Decimal("0.1"), EIGHT),))
    source.took([record(LONG, seq=4)])
    assert source.targets == {"BTC": QUARTER}
    source.took([record(Cancel(), seq=5)])
    assert source.targets == {"BTC": QUARTER}
    assert decided(source, [record(Hold(None, STOP), seq=6)], moment(prices={}))[0] is None
    for wants in (Cancel(), Hold(None, STOP)):
        told = decided(AlertsSource(AlertSettings(allow=ALL)), [record(wants)], moment(capital=None))[1]
        assert told == {1: "refused moves_in_blend"}


def test_state() -> None:
    """What was said last is kept: the same again changes nothing, whatever is held by now."""
    source = AlertsSource(AlertSettings(share=HALF))
    assert (source.targets, source.current(moment())) == (None, None)
    signal, _ = decided(source, [record(LONG)], moment())
    assert signal
    assert (signal.targets, signal.reasoning) == (None, "BTC: long")
    assert source.targets is None, "nothing was taken up yet"
    source.took(source.offered)
    assert source.targets == {"BTC": HALF}
    assert decided(source, [record(LONG, seq=2)], moment()) == (None, {2: "unchanged"})
    # What is held already is only remembered, and so is what was sold meanwhile.
    assert decided(source, [record(FLAT, seq=3, told=-1)], moment({})) == (None, {3: "unchanged"})
    assert source.targets == {"BTC": ZERO}
    # A trade of a size says nothing of what is to be held.
    source.took([record(Trade(Side.BUY, Unit.SHARE, QUARTER), seq=4)])
    assert source.targets == {}
    source.took([record(Hold(QUARTER), "ETH", seq=5)])
    current = source.current(moment({"BTC": ".1"}))
    assert current
    assert current.wants == Allocation(shares={"ETH": QUARTER}, keep=frozenset({"BTC"}))


def test_all_of_it_is_no_more_than_the_whole() -> None:
    """Coins that are to be held together never are more than everything."""
    source = AlertsSource(AlertSettings(share=Decimal("0.7")))
    signal, _ = decided(source, [record(LONG, seq=1), record(LONG, "ETH", seq=2)], moment())
    assert moves(signal) == {Move("BTC", Side.BUY, Decimal("0.7")), Move("ETH", Side.BUY, Decimal("0.3"))}


def test_order() -> None:
    """By the time they were sent, then closing before opening, then as they came; what is older than the last is overtaken."""
    source = AlertsSource(AlertSettings(allow=ALL))
    buy = Trade(Side.BUY, Unit.SHARE, Decimal("0.1"))
    waiting = [record(buy, seq=1, told=1), record(FLAT, seq=2, told=1), record(LONG, "ETH", seq=3, told=9)]
    signal, told = decided(source, waiting, moment({"BTC": ".2"}))
    assert moves(signal) == {Move("BTC", Side.SELL, ONE), Move("ETH", Side.BUY, QUARTER)}
    assert ([each.seq for each in source.offered], source.has_more, told) == ([3, 2], True, {})
    source.took(source.offered)
    assert moves(decided(source, waiting[:1], moment())[0]) == {Move("BTC", Side.BUY, Decimal("0.1"))}
    source.took(source.offered)
    assert decided(source, [record(FLAT, seq=4, told=1), record(LONG, seq=5, told=2)], moment()) == (
        None,
        {4: "overtaken", 5: "overtaken"},
    )


def test_what_is_to_be_held_replaces_what_was_asked_before() -> None:
    """But not where it is refused: a sale is not lost for a purchase that is not allowed."""
    source = AlertsSource(AlertSettings())
    signal, told = decided(source, [record(LONG, seq=1, told=9), record(FLAT, seq=2)], moment({"BTC": ".1"}))
    assert (moves(signal), told) == ({Move("BTC", Side.SELL, ONE)}, {1: "overtaken"})
    source = AlertsSource(AlertSettings(allow=frozenset({Ask.CLOSE})))
    signal, told = decided(source, [record(FLAT, seq=1, told=9), record(LONG, seq=2)], moment({"BTC": ".1"}))
    assert (moves(signal), told) == ({Move("BTC", Side.SELL, ONE)}, {2: "refused not_allowed"})


def test_waiting_too_long() -> None:
    """A purchase that waited too long is none any more; a sale is, and what has no price yet goes on waiting."""
    source = AlertsSource(AlertSettings(allow=ALL))
    signal, told = decided(
        source, [record(LONG, seq=1, told=301), record(FLAT, "ETH", seq=2, told=3000)], moment({"ETH": ".1"})
    )
    assert (moves(signal), told) == ({Move("ETH", Side.SELL, ONE)}, {1: "expired"})
    assert decided(source, [record(Trade(Side.BUY, Unit.AMOUNT, ONE))], moment(prices={})) == (None, {})
    assert source.decide(Moment(now=NOW, prices={})) is None, "without a valuation"


def test_beside_other_sources() -> None:
    """What decides on a part says what is to be held; a trade of a size is refused."""
    source = AlertsSource(AlertSettings(share=HALF, allow=ALL))
    trade = record(Trade(Side.BUY, Unit.AMOUNT, ONE), "ETH", seq=2)
    signal, told = decided(source, [record(LONG), trade], moment(capital=None))
    assert signal
    assert (signal.wants, signal.targets) == (Allocation(shares={"BTC": HALF}), {"BTC": HALF})
    assert told == {2: "refused moves_in_blend"}


def test_token() -> None:
    """It stands anywhere in the text; of what is kept of it nothing can be made."""
    token = new_token()
    assert token not in token_hash(token)
    for text in (token, f'{{"token": "{token}"}}', f"TOKEN={token};SIGNAL=BUY"):
        assert has_token(text.encode(), token_hash(token))
    for text in ("", token[:-1], f"{token}A", new_token(), token_hash(token)):
        assert not has_token(text.encode(), token_hash(token))


# At work


async def portfolio_of(
    rig: Rig, mode: Mode = Mode.DRY_RUN, alerts: AlertSettings | None = None, **settings: Any
) -> OpenEngine:
    """A portfolio that alerts lead, with its first cycle done."""
    portfolio = await start(rig, {"alerts": AlertsSource(alerts or AlertSettings(allow=ALL))}, {}, mode, **settings)
    await portfolio.cycle()
    rig.events.clear()
    return portfolio


def text(rig: Rig, ticker: str = "BTCUSDT", *, ago: float = 0, **fields: Any) -> bytes:
    """An alert that was sent a moment ago."""
    told = rig.clock.now() - timedelta(seconds=ago)
    return json.dumps({"ticker": ticker, "timenow": told.isoformat(timespec="seconds"), **fields}).encode()


def states(portfolio: OpenEngine) -> list[str]:
    """What became of the alerts, oldest first, with their reason."""
    return [f"{each.state} {each.reason}".strip() for each in reversed(portfolio.ledger.alerts())]


async def test_long_and_flat(rig: Rig) -> None:
    """Bought and sold for real, each alert with its signal, event and result."""
    portfolio = await portfolio_of(rig, Mode.LIVE)
    assert await portfolio.alerts.receive("alerts", text(rig, market_position="long"))
    assert portfolio.ledger.waiting_alerts("alerts")
    await rig.cycle(portfolio, after=1)
    assert rig.weights(portfolio)["BTC"] == pytest.approx(0.25, abs=0.005)
    assert (states(portfolio), rig.types("outside_alert")) == (["taken"], ["received", "taken"])
    assert await portfolio.alerts.receive("alerts", text(rig, market_position="flat"))
    await rig.cycle(portfolio, after=1)
    assert rig.agree(portfolio).quantity("BTC") < Decimal("0.00001")
    first, second = await portfolio.queries.alerts()
    assert (first["wants"], first["size"], first["result"], second["size"]) == ("hold", "0", "executed", None)
    assert await portfolio.queries.alerts(since=rig.clock.now()) == []
    assert portfolio.ledger.alerts(before=2) == portfolio.ledger.alerts()[1:]


async def test_repeated(rig: Rig) -> None:
    """The same text again, up to a week later, is the same alert; without time and id a minute later it is another one."""
    portfolio = await portfolio_of(rig)
    body, untimed = text(rig, action="buy", amount=10), b'{"ticker": "ETHUSDT", "action": "buy", "amount": 10}'
    for times in range(4):
        written = await portfolio.alerts.receive("alerts", body)
        assert written
        assert written.repeats == times
        await rig.cycle(portfolio, after=1)
    for seconds in (1, 30, 61):
        assert await portfolio.alerts.receive("alerts", untimed)
        await rig.cycle(portfolio, after=seconds)
    assert await portfolio.alerts.receive("alerts", untimed)
    await rig.cycle(portfolio)
    assert [trade.symbol for trade in portfolio.ledger.trades()] == ["ETHUSDC", "ETHUSDC", "BTCUSDC"]
    assert [each.repeats for each in portfolio.ledger.alerts()] == [0, 2, 3]
    assert rig.types("outside_alert").count("repeated") == 5


async def test_refused_when_it_comes(rig: Rig) -> None:
    """Late, from a clock that is ahead, without a time, of another coin, unreadable: kept with the reason, and nothing else."""
    portfolio = await portfolio_of(rig, alerts=AlertSettings())
    late, early = text(rig, action="buy", ago=400), text(rig, action="buy", ago=-100)
    lag = {"tv_instrument": "BTCUSDT", "action": "enter_long", "max_lag": 5}
    hasty = json.dumps({**lag, "timestamp": (rig.clock.now() - timedelta(seconds=9)).isoformat()}).encode()
    for body in (
        late,
        early,
        b'{"ticker": "BTC", "action": "buy"}',
        text(rig, "DOGEUSDT", action="buy"),
        b"oops",
        hasty,
    ):
        assert await portfolio.alerts.receive("alerts", body)
    await rig.cycle(portfolio, after=1)
    reasons = ("late", "early", "untimed", "unknown_coin", "unreadable", "late")
    assert states(portfolio) == [f"refused {reason}" for reason in reasons]
    assert portfolio.ledger.trades() == ()
    assert {alert["size"] for alert in await portfolio.queries.alerts(limit=2)} == {None}


async def test_test(rig: Rig) -> None:
    """A test says what would have become of it, and so does a draft; neither trades."""
    portfolio = await portfolio_of(rig, alerts=AlertSettings())
    for fields in ({"action": "buy"}, {"action": "buy", "amount": 5}, {"action": "sell"}):
        assert await portfolio.alerts.receive("alerts", text(rig, test=True, **fields))
    await rig.cycle(portfolio, after=1)
    assert states(portfolio) == ["tested open", "tested not_allowed", "tested unchanged"]
    _, verdict, draft = portfolio.alerts.draft("alerts", text(rig, action="buy"))
    assert (verdict.state, verdict.reason) == (AlertState.TAKEN, Ask.OPEN)
    preview = await portfolio.commands.preview("alerts", draft)
    assert [order["symbol"] for order in preview["orders"]] == ["BTCUSDC"]
    assert portfolio.alerts.draft("alerts", text(rig, action="sell"))[1:] == (
        verdict.__class__(AlertState.UNCHANGED, "", None, ZERO),
        None,
    )
    assert portfolio.alerts.draft("alerts", b"oops")[1].reason == Problem.UNREADABLE
    assert portfolio.alerts.keys == {"alerts"}
    assert portfolio.ledger.trades() == ()


async def test_one_after_the_other(rig: Rig) -> None:
    """Two trades of one coin are two signals, and the second one does not wait for its time."""
    portfolio = await portfolio_of(rig)
    for amount in (20, 30):
        assert await portfolio.alerts.receive("alerts", text(rig, action="buy", amount=amount))
    snapshot = await rig.cycle(portfolio, after=1)
    assert states(portfolio) == ["taken", "waiting"]
    assert snapshot.due
    assert snapshot.due <= rig.clock.now()
    snapshot = await rig.cycle(portfolio, after=0)
    assert states(portfolio) == ["taken", "taken"]
    assert snapshot.due is None
    assert sorted(float(trade.amount) for trade in portfolio.ledger.trades()) == pytest.approx([20, 30], abs=1)


async def test_approval_of_two_coins(rig: Rig) -> None:
    """An alert of another coin joins what waits for its owner: he is asked anew, and nothing is lost."""
    portfolio = await portfolio_of(rig, approval=Approval.ASK)
    assert await portfolio.alerts.receive("alerts", text(rig, "BTCUSDT", market_position="long"))
    await rig.cycle(portfolio, after=1)
    assert await portfolio.alerts.receive("alerts", text(rig, "ETHUSDT", market_position="long"))
    assert [each.state for each in portfolio.ledger.alerts()] == [AlertState.WAITING, AlertState.TAKEN]
    await rig.cycle(portfolio, after=1)
    (waiting,) = portfolio.ledger.open_signals(Result.WAITING)
    assert waiting.wants
    assert waiting.wants.coins == {"BTC", "ETH"}
    # One that has to wait for that leaves it as it is.
    assert await portfolio.alerts.receive("alerts", text(rig, "BTCUSDT", action="sell", quantity=1))
    await rig.cycle(portfolio, after=1)
    assert portfolio.ledger.open_signals(Result.WAITING) == (waiting,)
    await portfolio.commands.approve()
    assert states(portfolio) == ["taken", "taken", "waiting"]
    assert {alert["result"] for alert in await portfolio.queries.alerts()} == {"executed", ""}
    assert {trade.symbol for trade in portfolio.ledger.trades()} == {"BTCUSDC", "ETHUSDC"}


async def test_paused(rig: Rig) -> None:
    """Nothing is taken up while it is paused; afterwards purchases are too late, sales are not."""
    portfolio = await portfolio_of(rig)
    assert await portfolio.alerts.receive("alerts", text(rig, "ETHUSDT", market_position="long"))
    await rig.cycle(portfolio, after=1)
    await portfolio.commands.pause(True)
    for ticker, position in (("ETHUSDT", "flat"), ("BTCUSDT", "long")):
        assert await portfolio.alerts.receive("alerts", text(rig, ticker, market_position=position))
    await rig.cycle(portfolio)
    assert states(portfolio) == ["taken", "waiting", "waiting"]
    # Whatever was offered is not taken up twice, nor lost, by a crash.
    portfolio = await again(rig, portfolio)
    await rig.cycle(portfolio, after=300)
    assert states(portfolio) == ["taken", "waiting", "expired"]
    await portfolio.commands.pause(False)
    await rig.cycle(portfolio)
    assert states(portfolio) == ["taken", "taken", "expired"]
    assert len(portfolio.ledger.trades()) == 2


async def again(rig: Rig, portfolio: OpenEngine) -> OpenEngine:
    """The same portfolio after a crash."""
    rig.crash(portfolio)
    return await start(rig, {"alerts": AlertsSource(AlertSettings(allow=ALL))}, {}, portfolio.settings.mode)


async def test_crash_before_it_was_noted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that was written down is not taken up again where the alerts did not say so yet."""
    portfolio = await portfolio_of(rig, Mode.LIVE)
    assert await portfolio.alerts.receive("alerts", text(rig, action="buy", amount=50))
    settle = Ledger.settle_alerts

    def fail(self: Ledger, records: Sequence[AlertRecord]) -> None:
        if any(each.state is AlertState.TAKEN for each in records):
            raise LedgerError("the ledger failed")
        settle(self, records)

    monkeypatch.setattr(Ledger, "settle_alerts", fail)
    await rig.cycle(portfolio, after=1)
    monkeypatch.undo()
    assert states(portfolio) == ["waiting"]
    portfolio = await again(rig, portfolio)
    for _ in range(2):
        assert await portfolio.alerts.receive("alerts", text(rig, "ETHUSDT", action="buy", amount=60))
        await rig.cycle(portfolio, after=1)
    assert states(portfolio)[0] == "taken"
    assert [order.symbol for order in rig.orders()].count("BTCUSDC") <= 1


async def test_blend(rig: Rig) -> None:
    """Beside an own allocation alerts say what is to be held of their part, and their result is the blend's."""
    sources = {"own": own(BTC="1"), "alerts": AlertsSource(AlertSettings(share=HALF))}
    portfolio = await start(rig, sources, {"own": "0.5", "alerts": "0.5"})
    await portfolio.cycle()
    assert rig.weights(portfolio)["BTC"] == pytest.approx(0.5, abs=0.005)
    assert await portfolio.alerts.receive("alerts", text(rig, "ETHUSDT", market_position="long"))
    await rig.cycle(portfolio, after=1)
    assert rig.weights(portfolio)["ETH"] == pytest.approx(0.25, abs=0.005)
    (alert,) = await portfolio.queries.alerts()
    assert (alert["state"], alert["result"]) == ("taken", "executed")
    # Not heard for a week it is stale.
    rig.clock.advance(8 * 86_400)
    rig.types("alert")
    await rig.cycle(portfolio)
    assert "source_stale" in rig.types("alert")


async def test_groups_and_no_room(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes together is one commit or two; beyond 2,000 that wait nothing is taken in."""
    portfolio = await portfolio_of(rig)
    commits: list[int] = []
    add = Ledger.add_alerts

    def counted(self: Ledger, records: Sequence[tuple[AlertRecord, bool]]) -> list[AlertRecord | None]:
        commits.append(len(records))
        return add(self, records)

    monkeypatch.setattr(Ledger, "add_alerts", counted)
    bodies = [text(rig, id=number, action="buy") for number in range(MAX_WAITING + 5)]
    written = await asyncio.gather(*(portfolio.alerts.receive("alerts", body) for body in bodies))
    assert [each is None for each in written] == [False] * MAX_WAITING + [True] * 5
    assert commits == [1, MAX_WAITING + 4]
    assert await portfolio.alerts.receive("alerts", b"oops"), "what does not wait takes no room"
    await rig.cycle(portfolio, after=1)
    counts = rows(portfolio.ledger.path, "SELECT state, count(*) FROM alerts GROUP BY state ORDER BY state")
    assert counts == [("overtaken", MAX_WAITING - 1), ("refused", 1), ("taken", 1)]
    assert len(portfolio.ledger.trades()) == 1
    # What became of them is forgotten after a season.
    rig.clock.advance(91 * 86_400)
    assert await portfolio.alerts.receive("alerts", b"oops again")
    assert states(portfolio) == ["refused unreadable"]


async def test_a_ledger_that_fails(rig: Rig) -> None:
    """All that wait for the commit are told."""
    portfolio = await portfolio_of(rig)
    portfolio.ledger.close()
    told = await asyncio.gather(
        *(portfolio.alerts.receive("alerts", text(rig, id=number, action="buy")) for number in range(3)),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [LedgerError] * 3


async def test_given_up_while_it_was_written(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs up does not take the others' alerts along, and none is there twice."""
    portfolio = await portfolio_of(rig)
    first = asyncio.create_task(portfolio.alerts.receive("alerts", text(rig, id=1, action="buy")))
    second = asyncio.create_task(portfolio.alerts.receive("alerts", text(rig, id=2, action="buy")))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert [type(each) for each in await asyncio.gather(first, return_exceptions=True)] == [asyncio.CancelledError]
    assert len(portfolio.ledger.alerts()) in {1, 2}


# With limits and what protects


async def test_a_purchase_that_is_protected(rig: Rig) -> None:
    """Take profit and stop loss are on the exchange with the fill, from the price that was paid; a sale ends them."""
    portfolio = await portfolio_of(rig, Mode.LIVE)
    assert await portfolio.alerts.receive("alerts", text(rig, action="buy", stop_loss="5 %", take_profit="10 %"))
    await rig.cycle(portfolio, after=1)
    price = rig.exchange.price("BTCUSDC")
    stop, target = sorted(order.stop_price or order.price for order in rig.exchange.open_orders())
    assert (float(stop), float(target)) == (pytest.approx(float(price) * 0.95), pytest.approx(float(price) * 1.1))
    assert portfolio.snapshot.protected_by["BTC"] is HeldBy.EXCHANGE
    assert await portfolio.alerts.receive("alerts", text(rig, market_position="flat"))
    await rig.cycle(portfolio, after=1)
    assert not rig.exchange.open_orders()
    assert rig.agree(portfolio).quantity("BTC") < Decimal("0.00001")
    assert portfolio.snapshot.protections == {}


async def test_a_limit(rig: Rig) -> None:
    """It rests, is placed once, and is filled at its price with what protects it; another alert of the coin ends it."""
    portfolio = await portfolio_of(rig, Mode.LIVE)
    price = rig.exchange.price("BTCUSDC")
    body = text(rig, action="buy", amount=50, limit_price="3 %", stop_loss="5 %")
    assert await portfolio.alerts.receive("alerts", body)
    for _ in range(3):
        await rig.cycle(portfolio, after=1)
    (resting,) = rig.exchange.open_orders()
    assert float(resting.price) == pytest.approx(float(price) * 0.97)
    assert float(resting.quantity * resting.price) == pytest.approx(50, abs=1)
    (alert,) = await portfolio.queries.alerts()
    assert (alert["state"], alert["result"], alert["limit_price"], alert["stop_loss"]) == (
        "taken",
        "open",
        "3 %",
        "5 %",
    )
    rig.exchange.set_price("BTCUSDC", price * Decimal("0.965"))
    await rig.cycle(portfolio)
    assert rig.agree(portfolio).quantity("BTC")
    assert (await portfolio.queries.alerts())[0]["result"] == "executed"
    (stop,) = rig.exchange.open_orders()
    assert float(stop.stop_price) == pytest.approx(float(price) * 0.97 * 0.95)
    # The next one is ended by an alert; what protects the coin stays.
    assert await portfolio.alerts.receive("alerts", text(rig, action="buy", amount=50, limit_price="3 %"))
    await rig.cycle(portfolio, after=1)
    assert len(rig.exchange.open_orders()) == 2
    assert await portfolio.alerts.receive("alerts", text(rig, action="cancel"))
    await rig.cycle(portfolio, after=1)
    assert [order.client_order_id for order in rig.exchange.open_orders()] == [stop.client_order_id]
    assert states(portfolio) == ["taken"] * 3
    assert rig.agree(portfolio)


async def test_a_limit_to_sell(rig: Rig) -> None:
    """Of a coin that is protected: the rest stays protected, and no more is sold than is held."""
    portfolio = await portfolio_of(rig, Mode.LIVE)
    assert await portfolio.alerts.receive("alerts", text(rig, action="buy", stop_loss="5 %"))
    await rig.cycle(portfolio, after=1)
    held = rig.agree(portfolio).quantity("BTC")
    half = f"{(held / 2).quantize(Decimal('0.00001')):f}"
    assert await portfolio.alerts.receive("alerts", text(rig, action="sell", quantity=half, limit_price="2 %"))
    for _ in range(2):
        await rig.cycle(portfolio, after=1)
    kinds = {order.type: order.quantity for order in rig.exchange.open_orders()}
    assert len(kinds) == 2
    assert sum(kinds.values()) == pytest.approx(held, abs=Decimal("0.00002"))


async def test_an_end_that_is_unclear(rig: Rig) -> None:
    """The alert stays open until it is known what became of the order that it ends."""
    portfolio = await portfolio_of(rig, Mode.LIVE)
    assert await portfolio.alerts.receive("alerts", text(rig, action="buy", amount=50, limit_price="3 %"))
    await rig.cycle(portfolio, after=1)
    rig.exchange.fault("drop", method="DELETE", path="/order", count=None)
    assert await portfolio.alerts.receive("alerts", text(rig, action="cancel"))
    await rig.cycle(portfolio, after=1)
    assert (await portfolio.queries.alerts())[0]["result"] == "open"
    rig.exchange.clear_faults()
    await rig.cycle(portfolio)
    await rig.cycle(portfolio)
    assert (await portfolio.queries.alerts())[0]["result"] == "executed"
    assert not rig.exchange.open_orders()


async def test_a_level_that_was_passed_before(rig: Rig) -> None:
    """What waited for its owner is not bought where it would be sold at once."""
    portfolio = await portfolio_of(rig, approval=Approval.ASK)
    price = rig.exchange.price("BTCUSDC")
    stop = f"{price * Decimal('0.95'):.2f}"
    assert await portfolio.alerts.receive("alerts", text(rig, action="buy", stop_loss=stop))
    await rig.cycle(portfolio, after=1)
    (waiting,) = portfolio.ledger.open_signals(Result.WAITING)
    rig.exchange.set_price("BTCUSDC", price * Decimal("0.94"))
    await portfolio.commands.approve(waiting.signal_id)
    assert portfolio.ledger.trades() == ()
    assert portfolio.ledger.signals()[0].left_out == (("BTCUSDC", "BUY", "level_passed"),)


def test_a_limit_and_the_price_guard() -> None:
    """On the tick, to the better side; where there is a guard, never worse than it."""
    rules = SymbolRules(symbol="BTCUSDC", base="BTC", quote="USDC", tick=Decimal("0.1"))
    terms, slippage = Terms(limit=Level(Decimal("10.27"))), Decimal("0.01")
    limits = [terms.limit_price(side, Decimal(10), rules, each) for side in Side for each in (ZERO, slippage)]
    assert limits == [Decimal("10.2"), Decimal("10.1"), Decimal("10.3"), Decimal("10.3")]


async def test_limits_and_cash(rig: Rig) -> None:
    """One after the other as far as the cash reaches; what is too small is left out."""
    portfolio = await portfolio_of(rig, alerts=AlertSettings(allow=ALL, share=Decimal("0.6")))
    bodies = (
        text(rig, action="buy", amount=590, limit_price="1 %"),
        text(rig, "ETHUSDT", action="buy", amount=500, limit_price="1 %"),
        text(rig, "XRPUSDT", action="buy", amount="5.2", limit_price="10 %"),
        text(rig, "BNBUSDT", action="buy", amount=300, limit_price="1 %"),
        text(rig, "SOLUSDT", action="buy", amount=100, limit_price="1 %"),
    )
    for body in bodies:
        assert await portfolio.alerts.receive("alerts", body)
    await rig.cycle(portfolio, after=1)
    book = portfolio.ledger.book().portfolio
    locked = sum(order.quantity * (order.limit_price or 0) for order in portfolio.ledger.resting())
    assert 900 < locked <= book.cash
    left_out = {symbol: reason for symbol, _, reason in portfolio.ledger.signals()[0].left_out}
    assert (left_out.pop("XRPUSDC"), left_out.pop("SOLUSDC")) == ("below_minimum", "no_cash")
    assert set(left_out.values()) == {"order_open"}
    assert book.cash - locked < 10


async def test_failing(rig: Rig) -> None:
    """Three in a row that somebody has to put right are a problem, until one is taken."""
    portfolio = await portfolio_of(rig)
    assert portfolio.snapshot.silent_alerts == ("alerts",)
    for number in range(3):
        assert portfolio.snapshot.failing_alerts == {}
        assert await portfolio.alerts.receive("alerts", b"oops %d" % number)
        await rig.cycle(portfolio)
    assert portfolio.snapshot.failing_alerts["alerts"].reason == Problem.UNREADABLE
    assert portfolio.snapshot.silent_alerts == ()
    # What is refused as things stand just now is none.
    assert await portfolio.alerts.receive("alerts", text(rig, action="sell", amount=5))
    await rig.cycle(portfolio, after=1)
    assert states(portfolio)[-1] == "refused nothing_held"
    assert portfolio.snapshot.failing_alerts == {}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_around_a_protected_purchase(rig: Rig, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Wherever it comes, before the order was written down or after: bought once, and protected with the fill."""
    portfolio = await portfolio_of(rig, Mode.LIVE)
    assert await portfolio.alerts.receive("alerts", text(rig, action="buy", stop_loss="5 %"))
    add = Ledger.add_orders

    def fail(self: Ledger, records: Sequence[OrderRecord]) -> tuple[OrderRecord, ...]:
        if when == "after":
            add(self, records)
        raise LedgerError("the ledger failed")

    monkeypatch.setattr(Ledger, "add_orders", fail)
    await rig.cycle(portfolio, after=1)
    monkeypatch.undo()
    assert portfolio.ledger.fact("protections")
    assert rig.orders() == []
    portfolio = await again(rig, portfolio)
    rig.exchange.advance(60)  # past all that could still bring what was not sent
    for _ in range(4):
        await rig.cycle(portfolio, after=60)
    assert [order.side for order in rig.orders() if order.executed] == ["BUY"]
    assert [order.type for order in rig.exchange.open_orders()] == ["STOP_LOSS"]
    assert rig.agree(portfolio).quantity("BTC")
