"""Ranks by market capitalisation: what several answers say of a coin, how often the service is asked, what a portfolio does with it."""

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import json
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
import pytest

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.market.coinmarketcap import CoinMarketCap, RankError
from custom_components.calvalot.trading.market.ranking import Ranking
from custom_components.calvalot.trading.market.ranks import IN_A_ROW, Listed, Ranks
from custom_components.calvalot.trading.settings import DroppedOut
from custom_components.calvalot.trading.signal import PORTFOLIO
from harness.coinmarketcap import BITCOIN, BNB, ETHEREUM, KEY, OTHERS, SOLANA, XRP, Coin, CoinMarketCapStandIn
from harness.engine import OpenEngine
from simulators.leader import LeaderSimulator

from .rig import Clock, Rig

NOW = datetime(2026, 11, 26, tzinfo=UTC)
DAY = timedelta(days=1)


def ranked(*symbols: str) -> tuple[Listed, ...]:
    """A list in which these come first and as many others as it takes after them; the id of a symbol is its length and letters."""
    names = [*symbols, *(f"other{number}" for number in range(50))]
    return tuple(Listed(_id(name), name.partition(".")[0], name, rank) for rank, name in enumerate(names, start=1))


def _id(name: str) -> int:
    return int.from_bytes(name.encode())


def told(*days: tuple[str, ...], gap: timedelta = DAY) -> Ranks:
    """Answers of some days, the last one the newest."""
    ranks = Ranks()
    for number, symbols in enumerate(days):
        ranks = ranks.with_answer(NOW + number * gap, ranked(*symbols))
    return ranks


def test_beyond() -> None:
    """A coin is beyond the limit from the next rank on, and where it is not listed at all."""
    ranks = told(("BTC", "ETH", "SOL"))
    assert [ranks.beyond(coin, 2, {}) for coin in ("BTC", "ETH", "SOL", "NONE")] == [False, False, True, True]
    assert Ranks().beyond("BTC", 2, {}) is None
    assert not Ranks().is_ambiguous("BTC", 2, {})


def test_incomplete_answer() -> None:
    """An answer that lacks many of the first ranks says nothing of any coin."""
    ranks = Ranks().with_answer(NOW, ranked("BTC")[:20])
    assert ranks.beyond("BTC", 100, {}) is None
    assert ranks.beyond("NONE", 100, {}) is None
    assert ranks.beyond("NONE", 20, {}) is True
    assert not ranks.dropped_out("NONE", 100, {})


def test_symbol_listed_twice() -> None:
    """Where one is within the limit and another is not, the owner's id decides; where all are alike nobody has to be asked."""
    ranks = told(("BTC", "LUNA.1", "ETH", "LUNA.2"))
    assert ranks.is_ambiguous("LUNA", 2, {})
    assert ranks.beyond("LUNA", 2, {}) is None
    assert ranks.beyond("LUNA", 2, {"LUNA": _id("LUNA.1")}) is False
    assert ranks.beyond("LUNA", 2, {"LUNA": _id("LUNA.2")}) is True
    assert not ranks.is_ambiguous("LUNA", 2, {"LUNA": _id("LUNA.2")})
    assert [ranks.beyond("LUNA", limit, {}) for limit in (1, 4)] == [True, False]
    assert not any(ranks.is_ambiguous("LUNA", limit, {}) for limit in (1, 4))
    assert [each.rank for each in ranks.listed_as("LUNA")] == [2, 4]


@pytest.mark.parametrize(
    ("days", "out"),
    [
        ([("BTC",), ("BTC",)], False),
        ([("BTC",), ("BTC",), ("BTC",)], True),
        ([("BTC",), ("BTC", "SOL"), ("BTC",)], False),
        ([("BTC",), ("BTC",), ("BTC", "SOL")], False),
        ([("BTC", "SOL"), ("BTC",), ("BTC",), ("BTC",)], True),
    ],
)
def test_three_in_a_row(days: list[tuple[str, ...]], out: bool) -> None:
    """A coin has dropped out after three answers in a row, not after fewer, and not where it was back in one of them."""
    assert told(*days).dropped_out("SOL", 2, {}) is out
    assert len(told(*days).answers) == min(len(days), IN_A_ROW)


def test_gap_between_answers() -> None:
    """Answers that lie further apart than two days are not in a row."""
    days = [("BTC",)] * 3
    assert told(*days, gap=2 * DAY).dropped_out("SOL", 2, {})
    assert not told(*days, gap=2 * DAY + timedelta(seconds=1)).dropped_out("SOL", 2, {})


# The service


@pytest.fixture
async def service(socket_enabled: None) -> AsyncGenerator[CoinMarketCapStandIn]:
    """A stand-in that lists what the portfolios of these tests hold."""
    async with CoinMarketCapStandIn() as stand_in:
        yield stand_in


@pytest.fixture
async def session(socket_enabled: None) -> AsyncGenerator[ClientSession]:
    """A session."""
    async with ClientSession() as client:
        yield client


async def test_list(service: CoinMarketCapStandIn, session: ClientSession) -> None:
    """The coins come in the order of their ranks; one without a rank is left out."""
    found = await CoinMarketCap(session, f"{service.url}/", KEY).listed()
    assert found[:2] == (Listed(1, "BTC", "Bitcoin", 1), Listed(1027, "ETH", "Ethereum", 2))
    assert len(found) == len(service.coins)
    unranked = {"id": 7, "rank": None, "name": "New", "symbol": "NEW"}
    service.answer = {"data": [unranked], "status": {"error_code": 0}}
    assert await CoinMarketCap(session, service.url, KEY).listed() == ()


@pytest.mark.parametrize(
    ("answer", "key", "pause"),
    [
        (1001, "key_refused", DAY),
        (1003, "key_refused", DAY),
        (1006, "key_refused", DAY),
        (1008, "pause_asked", DAY / 24),
        (1009, "pause_asked", DAY),
        (1010, "pause_asked", DAY),
        (500, "no_answer", DAY / 24),
        ("<!doctype html><title>Just a moment...</title>", "invalid_answer", DAY / 24),
        ("[]", "invalid_answer", DAY / 24),
        ({"data": [{"id": 1}], "status": {"error_code": 0}}, "invalid_answer", DAY / 24),
        ({"data": None}, "invalid_answer", DAY / 24),
        ({"data": [], "status": {"error_code": "1001"}}, "invalid_answer", DAY / 24),
    ],
)
async def test_errors(
    service: CoinMarketCapStandIn, session: ClientSession, answer: Any, key: str, pause: timedelta
) -> None:
    """Each error says why, and how long nothing is asked; none holds the key."""
    service.answer = answer
    with pytest.raises(RankError) as caught:
        await CoinMarketCap(session, service.url, KEY).listed()
    assert (caught.value.key, caught.value.pause) == (key, pause)
    assert KEY not in str(caught.value)


async def test_wrong_key(service: CoinMarketCapStandIn, session: ClientSession) -> None:
    """The key is checked without the list; where nothing listens that is no answer."""
    await CoinMarketCap(session, service.url, KEY).check()
    with pytest.raises(RankError) as caught:
        await CoinMarketCap(session, service.url, "another").check()
    assert caught.value.key == "key_refused"
    assert service.questions == ["/v1/key/info"] * 2
    with pytest.raises(RankError) as caught:
        await CoinMarketCap(session, "http://127.0.0.1:1", KEY).check()
    assert caught.value.key == "no_answer"


async def test_large_answer(
    service: CoinMarketCapStandIn, session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is read than a list may be long; one that comes in pieces is read to its end."""
    service.coins = tuple(Coin(number, f"COIN{number}", "x" * 200) for number in range(2000))
    assert len(await CoinMarketCap(session, service.url, KEY).listed()) == 2000
    monkeypatch.setattr("custom_components.calvalot.trading.market.coinmarketcap.LARGEST", 100_000)
    with pytest.raises(RankError):
        await CoinMarketCap(session, service.url, KEY).listed()


# Once a day


@pytest.fixture
def ranking(
    service: CoinMarketCapStandIn, session: ClientSession, tmp_path: Path, clock: Clock
) -> Callable[[], Ranking]:
    """Makes a ranking as after a start: on the file that an earlier one left."""
    return lambda: Ranking(CoinMarketCap(session, service.url, KEY), tmp_path / "cache" / "ranks.json", clock.now)


async def test_once_a_day(ranking: Callable[[], Ranking], service: CoinMarketCapStandIn, clock: Clock) -> None:
    """It is asked once a day, whatever is started anew; three answers are kept."""
    for asked in range(1, 6):
        for _ in range(3):
            again = ranking()
            await again.refresh()
            await again.refresh()
            assert len(service.questions) == asked
            assert len(again.ranks.answers) == min(asked, IN_A_ROW)
            assert again.ranks.listed_as("BTC") == [Listed(1, "BTC", "Bitcoin", 1)]
            clock.advance(8 * 3600)


async def test_failure(ranking: Callable[[], Ranking], service: CoinMarketCapStandIn, clock: Clock) -> None:
    """What fails leaves what is known, and is tried again after its pause."""
    known = ranking()
    await known.refresh()
    before = known.ranks
    for code, pause in ((500, 3600), (1008, 3600), (1009, 86400), (1001, 86400)):
        service.answer = code
        clock.advance(86400)
        await known.refresh()
        assert known.problem is not None
        assert known.ranks is before
        asked = len(service.questions)
        clock.advance(pause - 1)
        await known.refresh()
        assert len(service.questions) == asked
    service.answer = None
    clock.advance(2)
    await known.refresh()
    assert known.problem is None
    assert len(known.ranks.answers) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"at": 1, "listed": [[1]], "earlier": []}'])
async def test_broken_file(
    ranking: Callable[[], Ranking], service: CoinMarketCapStandIn, tmp_path: Path, text: str
) -> None:
    """A file that cannot be read counts for nothing."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "ranks.json").write_text(text)
    known = ranking()
    await known.refresh()
    assert len(service.questions) == 1
    assert len(known.ranks.answers) == 1
    assert json.loads((tmp_path / "cache" / "ranks.json").read_text())["earlier"] == []


async def test_full_disk(ranking: Callable[[], Ranking], tmp_path: Path, clock: Clock) -> None:
    """Where nothing can be kept on the disk the answers are kept in memory."""
    (tmp_path / "cache").write_text("a file where the folder should be")
    known = ranking()
    await known.refresh()
    clock.advance(86400)
    await known.refresh()
    assert len(known.ranks.answers) == 2


# What a portfolio does with it

SHARES = {"BTC": ".3", "SOL": ".3", "XRP": ".2"}


@pytest.fixture
def start(rig: Rig, ranking: Callable[[], Ranking], leader: LeaderSimulator) -> Callable[..., Any]:
    """Starts a portfolio that follows SHARES and buys the first three coins at most."""

    async def begin(**settings: Any) -> OpenEngine:
        leader.publish_v2(SHARES)
        known = ranking()
        return await rig.start(Mode.DRY_RUN, ranking=lambda: known, **{"max_rank": 3, **settings})

    return begin


def held(follower: OpenEngine) -> set[str]:
    """Coins that are held, but for what is less than a step."""
    return {coin for coin, figures in follower.snapshot.positions.items() if (figures.weight or 0) > Decimal("0.001")}


async def test_not_bought(start: Callable[..., Any], rig: Rig, leader: LeaderSimulator) -> None:
    """What ranks too low is not bought, by a signal or by hand; the plan says why, and its share stays cash."""
    follower = await start()
    await follower.cycle()
    assert held(follower) == {"BTC"}
    shown = await follower.commands.preview()
    reasons = {row["coin"]: row["reason"] for row in shown["table"]}
    assert (reasons["SOL"], reasons["XRP"]) == ("rank", "rank")
    await follower.commands.sync()
    leader.publish_v1([("SOL", "BUY", ".2")])
    await rig.cycle(follower)
    assert held(follower) == {"BTC"}


async def test_held_stays(start: Callable[..., Any], rig: Rig, service: CoinMarketCapStandIn) -> None:
    """What is held and drops out is kept where its owner wants that, and can be sold by its source."""
    service.coins = (BITCOIN, SOLANA, XRP, *OTHERS)
    follower = await start()
    await follower.cycle()
    service.coins = (BITCOIN, ETHEREUM, BNB, SOLANA, XRP, *OTHERS)
    for _ in range(6):
        await rig.cycle(follower, after=86400)
    assert held(follower) == {"BTC", "SOL", "XRP"}
    rig.leader.publish_v2({"BTC": ".3"})
    await rig.cycle(follower)
    assert held(follower) == {"BTC"}


async def test_sold(start: Callable[..., Any], rig: Rig, service: CoinMarketCapStandIn) -> None:
    """What has dropped out in three daily answers in a row is sold as a whole, once, by a signal of the portfolio's own."""
    service.coins = (BITCOIN, SOLANA, XRP, *OTHERS)
    follower = await start(dropped_out=DroppedOut.SELL)
    await follower.cycle()
    assert held(follower) == {"BTC", "SOL", "XRP"}
    service.coins = (BITCOIN, ETHEREUM, XRP, SOLANA, *OTHERS)
    for _ in range(2):
        await rig.cycle(follower, after=86400)
        assert "SOL" in held(follower)
    await rig.cycle(follower, after=86400)
    assert held(follower) == {"BTC", "XRP"}
    newest = (await follower.queries.signals())[0]
    assert newest["signal_id"].startswith("rank-")
    assert newest["result"] == Result.EXECUTED
    (trade,) = [each for each in await follower.queries.trades() if each["signal_id"] == newest["signal_id"]]
    assert (trade["symbol"], trade["side"]) == ("SOLUSDC", "SELL")
    trades = len(await follower.queries.trades())
    for _ in range(3):
        await rig.cycle(follower, after=86400)
    assert len(await follower.queries.trades()) == trades
    assert follower.ledger.replay() == follower.ledger.book().portfolio


async def test_refused_sale(start: Callable[..., Any], rig: Rig, service: CoinMarketCapStandIn) -> None:
    """A sale that does not come about is tried again with the next answer, not with every cycle."""
    service.coins = (BITCOIN, SOLANA, XRP, *OTHERS)
    follower = await start(dropped_out=DroppedOut.SELL)
    await follower.cycle()
    service.coins = (BITCOIN, ETHEREUM, XRP, SOLANA, *OTHERS)
    for _ in range(2):
        await rig.cycle(follower, after=86400)
    follower.settings.max_slippage = Decimal("0.0000001")
    for _ in range(4):
        await rig.cycle(follower, after=86400 if not follower.ledger.newest_of(PORTFOLIO) else 120)
    own = [each for each in await follower.queries.signals() if each["signal_id"].startswith("rank-")]
    assert [each["result"] for each in own] == [Result.SKIPPED]
    follower.settings.max_slippage = None
    await rig.cycle(follower, after=86400)
    assert held(follower) == {"BTC", "XRP"}


async def test_paused(start: Callable[..., Any], rig: Rig, service: CoinMarketCapStandIn) -> None:
    """A portfolio that is paused sells nothing."""
    service.coins = (BITCOIN, SOLANA, XRP, *OTHERS)
    follower = await start(dropped_out=DroppedOut.SELL)
    await follower.cycle()
    await follower.commands.pause(paused=True)
    service.coins = (BITCOIN, ETHEREUM, XRP, SOLANA, *OTHERS)
    for _ in range(4):
        await rig.cycle(follower, after=86400)
    assert "SOL" in held(follower)
    await follower.commands.pause(paused=False)
    await rig.cycle(follower)
    assert "SOL" not in held(follower)


async def test_ambiguous(start: Callable[..., Any], rig: Rig, service: CoinMarketCapStandIn) -> None:
    """A symbol that is listed twice is not bought before its owner has said which coin it is."""
    false_solana = Coin(99, "SOL", "Another")
    service.coins = (BITCOIN, SOLANA, XRP, *OTHERS, false_solana)
    follower = await start()
    snapshot = await follower.cycle()
    assert held(follower) == {"BTC", "XRP"}
    assert {coin: [each.id for each in listed] for coin, listed in snapshot.ambiguous_coins.items()} == {
        "SOL": [5426, 99]
    }
    shown = await follower.commands.preview()
    assert {row["coin"]: row["reason"] for row in shown["table"]}["SOL"] == "rank_unclear"
    follower.settings.rank_ids = {"SOL": 99}
    await follower.commands.sync()
    assert "SOL" not in held(follower)
    follower.settings.rank_ids = {"SOL": 5426}
    await follower.commands.sync()
    assert "SOL" in held(follower)
    assert follower.snapshot.ambiguous_coins == {}


@pytest.mark.parametrize("answer", [1001, 1008, "no JSON"])
async def test_unreachable(start: Callable[..., Any], rig: Rig, service: CoinMarketCapStandIn, answer: Any) -> None:
    """A service that never answered leaves nothing out and sells nothing, and the snapshot says what is wrong."""
    service.answer = answer
    follower = await start(dropped_out=DroppedOut.SELL)
    snapshot = await follower.cycle()
    assert held(follower) == {"BTC", "SOL", "XRP"}
    assert snapshot.rank_problem is not None
    assert snapshot.ranks_at is None
    service.answer = None
    snapshot = await rig.cycle(follower, after=86400)
    assert snapshot.rank_problem is None
    assert snapshot.ranks_at is not None


async def test_answer_lost(
    rig: Rig, ranking: Callable[[], Ranking], leader: LeaderSimulator, service: CoinMarketCapStandIn
) -> None:
    """A sale whose order is unclear comes to its end once the exchange says what became of it; it is not sold twice."""
    service.coins = (BITCOIN, SOLANA, XRP, *OTHERS)
    leader.publish_v2(SHARES)
    known = ranking()
    follower = await rig.start(ranking=lambda: known, max_rank=3, dropped_out=DroppedOut.SELL)
    await follower.cycle()
    service.coins = (BITCOIN, ETHEREUM, XRP, SOLANA, *OTHERS)
    for _ in range(2):
        await rig.cycle(follower, after=86400)
    rig.exchange.fault("drop", when="after", method="POST")
    rig.exchange.fault("status", path="/order", method="GET", count=None)
    await rig.cycle(follower, after=86400)
    (record,) = follower.ledger.open_signals()
    assert record.source == PORTFOLIO
    assert rig.in_flight(follower)
    rig.exchange.clear_faults()
    await rig.cycle(follower)
    assert follower.ledger.open_signals() == ()
    assert follower.ledger.newest_of(PORTFOLIO).result is Result.EXECUTED
    assert held(follower) == {"BTC", "XRP"}
    assert len([order for order in rig.orders() if order.symbol == "SOLUSDC" and order.side == "SELL"]) == 1
    rig.agree(follower)
