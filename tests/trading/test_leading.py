"""A portfolio that leads: what it publishes of what it decides, and how it answers those who follow."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.leading.answers import (
    FRESHNESS,
    MOST,
    PIECE_BYTES,
    WITHIN,
    Answer,
    Answers,
    Follower,
    clean_version,
    numbers,
)
from custom_components.calvalot.trading.leading.keys import leader_id
from custom_components.calvalot.trading.leading.leading import Leading
from custom_components.calvalot.trading.leading.publication import MAX_BYTES, RENEWED_AFTER, Draft, Publication, issue
from custom_components.calvalot.trading.leading.store import PublicationError, PublicationStore
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.responses import Json
from custom_components.calvalot.trading.settings import Approval
from custom_components.calvalot.trading.signal import Signal
from custom_components.calvalot.trading.snapshot import Status
from custom_components.calvalot.trading.sources.leader_format import parse_signal
from custom_components.calvalot.trading.wants import Moves
from harness.engine import OpenEngine

from .rig import ENTRY, Clock, Rig

LEADER = leader_id(ENTRY)


def leading_of(follower: OpenEngine, folder: Path, clock: Clock) -> Leading:
    """What publishes a portfolio."""
    return Leading(LEADER, follower.ledger, PublicationStore(folder / "published" / "entry.db"), clock.now)


def heard(follower: OpenEngine) -> list[Signal]:
    """What the leader of the portfolio said last."""
    return [state.latest for state in follower.members if state.latest]


async def take(leading: Leading, follower: OpenEngine, **changes: Any) -> Publication | None:
    """Publish what is new."""
    return await leading.take(replace(follower.snapshot, **changes), heard(follower))


def shares(publication: Publication | None) -> dict[str, float]:
    """Published shares."""
    assert publication
    return {coin: float(share) for coin, share in publication.shares.items()}


def moves(publication: Publication | None) -> dict[str, float]:
    """Published moves, sales as negative shares."""
    assert publication
    assert publication.moves is not None
    return {move.coin: float(move.share) * (1 if move.side is Side.BUY else -1) for move in publication.moves}


# What is published


async def test_an_allocation(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """What is taken up is published once, with its reasons; prices that move publish nothing."""
    follower = await rig.start(Mode.DRY_RUN)
    leading = leading_of(follower, tmp_path, clock)
    with pytest.raises(PublicationError):
        _ = leading.public_key
    await leading.open()
    await leading.open()
    assert leading.public_key
    await follower.cycle()
    assert await take(leading, follower) is None
    rig.leader.publish_v2({"BTC": ".4", "ETH": ".2"}, reasoning="trend", confidence=0.7)
    await rig.cycle(follower)
    first = await take(leading, follower)
    assert first
    assert shares(first) == {"BTC": 0.4, "ETH": 0.2}
    assert (first.reasoning, first.confidence, first.mode) == ("trend", Decimal("0.7"), "dry_run")
    assert (first.origin, first.hops, first.leader) == ((LEADER,), 1, LEADER)
    assert await take(leading, follower) is None
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * 2)
    await rig.cycle(follower)
    assert await take(leading, follower) is None
    rig.leader.publish_v2({"ETH": ".5"})
    await rig.cycle(follower)
    second = await take(leading, follower)
    assert shares(second) == {"ETH": 0.5}
    assert moves(second) == {"BTC": pytest.approx(-0.57, abs=0.01), "ETH": pytest.approx(0.357, abs=0.01)}
    assert leading.last == second
    assert [link.sequence for link in await leading.links(0, 10)] == [1, 2]


async def test_from_the_first_publication_on(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """Who begins to lead publishes what stands: an allocation that is traded already is told as it was meant."""
    follower = await rig.following(Mode.DRY_RUN)
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    assert shares(await take(leading, follower)) == {"BTC": 0.4}


async def test_held_by_hand(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """What is traded beside an allocation is published as what is held then, also as the first thing of all."""
    follower = await rig.following(Mode.DRY_RUN)
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    await follower.orders.close("BTC")
    await rig.cycle(follower)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    assert await take(leading, follower) is None
    rig.leader.publish_v2({"ETH": ".4", "SOL": ".2"})
    await rig.cycle(follower)
    assert shares(await take(leading, follower)) == {"ETH": 0.4, "SOL": 0.2}
    await follower.orders.close("ETH")
    last = await take(leading, follower)
    assert shares(last) == {"SOL": pytest.approx(0.2, abs=0.01)}
    assert moves(last) == {"ETH": pytest.approx(-0.4, abs=0.01)}


async def test_what_is_not_known_is_not_published(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """Without a whole valuation, or with an order on its way, what is held is published later."""
    follower = await rig.following(Mode.DRY_RUN)
    rig.leader.publish_v2({"BTC": ".4", "ETH": ".2"})
    await rig.cycle(follower)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    assert await take(leading, follower)
    await follower.orders.close("ETH")
    assert await take(leading, follower, total_value_quote=None) is None
    assert shares(await take(leading, follower)) == {"BTC": pytest.approx(0.4, abs=0.01)}


async def test_first_of_what_was_traded_by_hand(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """Who has sold a coin by hand since publishes what he holds."""
    follower = await rig.following(Mode.DRY_RUN)
    rig.leader.publish_v2({"BTC": ".4", "ETH": ".2"})
    await rig.cycle(follower)
    clock.advance(60)
    await follower.orders.close("ETH")
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    first = await take(leading, follower)
    assert shares(first) == {"BTC": pytest.approx(0.4, abs=0.01)}
    assert moves(first) == shares(first)


async def test_held_back(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """A coin that is wanted and held back is published as what is held of it."""
    follower = await rig.following(Mode.DRY_RUN)
    rig.leader.publish_v2({"BTC": ".4", "ETH": ".2"})
    await rig.cycle(follower)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    assert await take(leading, follower)
    await follower.orders.close("ETH")
    assert await take(leading, follower)
    rig.leader.publish_v2({"BTC": ".3", "ETH": ".2"})
    await rig.cycle(follower)
    assert follower.snapshot.held_back == ("ETH",)
    assert await take(leading, follower, total_value_quote=None) is None
    assert shares(await take(leading, follower)) == {"BTC": 0.3}


async def test_the_rest_of_an_allocation(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """Without a valuation moves are told from what was published before; the rest that is bought later is no news."""
    follower = await rig.following()
    rig.leader.publish_v2({"ETH": ".4"})
    await rig.cycle(follower)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    assert await take(leading, follower)
    rig.exchange.set_depth("BTCUSDC", "300")
    rig.leader.publish_v2({"BTC": ".5", "ETH": ".2"})
    await rig.cycle(follower)
    published = await take(leading, follower, total_value_quote=None)
    assert shares(published) == {"BTC": 0.5, "ETH": 0.2}
    assert moves(published) == {"BTC": pytest.approx(0.5), "ETH": pytest.approx(-0.2)}
    begun = follower.ledger.last_fill()
    for _ in range(3):
        await rig.cycle(follower)
        assert await take(leading, follower) is None
    assert follower.ledger.last_fill() > begun
    assert leading.last == published
    await follower.orders.close("ETH")
    again = leading_of(follower, tmp_path, clock)
    await again.open()
    last = await take(again, follower)
    assert shares(last) == {"BTC": pytest.approx(0.5, abs=0.01)}
    assert moves(last) == {"ETH": pytest.approx(-0.2, abs=0.01)}


async def test_nothing_is_left(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """Of a portfolio that is worth nothing any more no moves can be told."""
    follower = await rig.following(Mode.DRY_RUN)
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    assert await take(leading, follower)
    await follower.orders.close("BTC")
    published = await take(leading, follower, total_value_quote=Decimal(0))
    assert published
    assert (published.shares, published.moves) == ({}, None)


async def test_waiting_for_approval(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """What waits for its owner, or what he does not want, is not decided."""
    follower = await rig.following(Mode.DRY_RUN, approval=Approval.ASK)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    await take(leading, follower)
    before = leading.last
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    assert await take(leading, follower) is None
    await follower.commands.reject()
    assert await take(leading, follower) is None
    assert leading.last == before
    rig.leader.publish_v2({"BTC": ".2"})
    await rig.cycle(follower)
    await follower.commands.approve()
    assert shares(await take(leading, follower)) == {"BTC": 0.2}


async def test_moves_are_followed(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """A portfolio that follows moves publishes the allocation that they came to, and no moves."""
    follower = await rig.following(Mode.DRY_RUN)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    await take(leading, follower)
    rig.leader.publish_v1([("BTC", "BUY", ".1")])
    await rig.cycle(follower)
    assert isinstance(heard(follower)[0].wants, Moves)
    published = await take(leading, follower)
    assert published
    assert shares(published) == {"BTC": pytest.approx(0.1, abs=0.005)}
    assert published.moves is None
    assert published.document(1)["version"] == 2


async def test_origin(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """Where it came through is told, also after a start, before the leader was heard again."""
    follower = await rig.following(Mode.DRY_RUN)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    await take(leading, follower)
    rig.leader.publish_v2({"BTC": ".4"}, origin=["far", "near"], hops=2)
    await rig.cycle(follower)
    published = await take(leading, follower)
    assert published
    assert (published.origin, published.hops) == (("far", "near", LEADER), 3)
    await follower.orders.close("BTC")
    published = await leading.take(follower.snapshot, ())
    assert published
    assert (published.origin, published.hops) == (("far", "near", LEADER), 3)


async def test_renewal(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """What still holds is signed again after a day; not by a portfolio that is dead."""
    follower = await rig.following(Mode.DRY_RUN)
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    first = await take(leading, follower)
    assert first
    clock.advance(RENEWED_AFTER.total_seconds() - 10)
    assert await take(leading, follower) is None
    clock.advance(11)
    assert await take(leading, follower, status=Status.DEAD) is None
    again = await take(leading, follower)
    assert again
    assert (again.sequence, again.signal_id, again.previous) == (2, first.signal_id, first.hash)


# How followers are answered


@pytest.fixture
async def leading(rig: Rig, clock: Clock, tmp_path: Path) -> Leading:
    """A portfolio that has published 40 % BTC."""
    follower = await rig.following(Mode.DRY_RUN)
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    assert await take(leading, follower)
    return leading


ONE = Follower(key="one", secret="sécret")
TWO = Follower(key="two", secret="other", version=1)


@pytest.fixture
def answers(leading: Leading, clock: Clock) -> Answers:
    """Answers two followers."""
    answers = Answers(leading, "1.2.3", clock.now)
    answers.allow([ONE, TWO])
    return answers


def signed(clock: Clock, secret: str = ONE.secret, age: float = 0, **others: str) -> dict[str, str]:
    """Headers as a follower signs them."""
    timestamp = str(int(clock.time() - age))
    signature = hmac.new(secret.encode(), timestamp.encode(), hashlib.sha256).hexdigest()
    return {"X-Signal-Timestamp": timestamp, "X-Signal-Signature": signature, **others}


def body_of(answer: Answer, secret: str = ONE.secret) -> dict[str, Any]:
    """What an answer says, once its signature is seen to be right."""
    assert answer.status == 200
    assert answer.headers["X-Signal-Signature"] == hmac.new(secret.encode(), answer.body, hashlib.sha256).hexdigest()
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def test_answers(answers: Answers, clock: Clock) -> None:
    """Each follower gets his version, signed with his own secret, the same again and again."""
    first = await answers.latest(signed(clock))
    document = body_of(first)
    assert (document["version"], document["portfolio_state"]["positions"]) == (
        2,
        [{"coin": "BTCUSDC", "pct_of_portfolio": 0.4}],
    )
    assert parse_signal(first.body, ["BTC"]).signal_id == document["signal_id"]
    assert (await answers.latest(signed(clock))).body == first.body
    assert first.headers["X-Leader-Version"] == "1.2.3"
    other = body_of(await answers.latest(signed(clock, TWO.secret)), TWO.secret)
    assert "version" not in other
    assert other["actions"] == [{"coin": "BTCUSDC", "action": "BUY", "pct_of_capital": pytest.approx(0.4, abs=0.01)}]
    assert answers.following == 2
    clock.advance(601)
    assert answers.following == 0


async def test_counted(answers: Answers, leading: Leading, clock: Clock) -> None:
    """Who says how far he is counts as long as he asks; who sees everything later by what he was shown."""
    assert leading.last
    latest = leading.last.signal_id
    assert answers.counted == {"allowed": 2, "following": 0, "told": 0, "up_to_date": 0, "behind": None}
    await answers.latest(signed(clock, **{"X-Follower-Signal": "before"}))
    await answers.latest(signed(clock, TWO.secret))
    assert answers.counted == {"allowed": 2, "following": 2, "told": 1, "up_to_date": 0, "behind": None}
    await answers.latest(signed(clock, TWO.secret, **{"X-Follower-Signal": latest}))
    assert answers.counted == {"allowed": 2, "following": 2, "told": 2, "up_to_date": 1, "behind": 0}
    # Who stops saying so is counted no more.
    await answers.latest(signed(clock))
    assert answers.counted == {"allowed": 2, "following": 2, "told": 1, "up_to_date": 1, "behind": 0}
    clock.advance(601)
    assert answers.counted == {"allowed": 2, "following": 0, "told": 0, "up_to_date": 0, "behind": None}
    answers.allow([replace(ONE, delay=timedelta(minutes=5))])
    await answers.latest(signed(clock, **{"X-Follower-Signal": latest}))
    assert answers.counted["up_to_date"] == 1
    answers.allow([replace(ONE, delay=timedelta(hours=5))])
    await answers.latest(signed(clock, **{"X-Follower-Signal": "another"}))
    assert answers.counted["up_to_date"] == 0


async def test_behind(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """The farthest of those who say where they are counts, by signals: what only renews one is no further signal."""
    follower = await rig.following(Mode.DRY_RUN)
    leading = leading_of(follower, tmp_path, clock)
    await leading.open()
    names: list[str] = []
    for share in ("0.4", "0.2", "0.3", "0.1"):
        clock.advance(3600)
        rig.leader.publish_v2({"ETH": share})
        await rig.cycle(follower)
        published = await take(leading, follower)
        assert published
        names.append(published.signal_id)
    clock.advance(RENEWED_AFTER.total_seconds() + 10)
    renewed = await take(leading, follower)
    assert renewed
    assert renewed.signal_id == names[-1]
    again = leading_of(follower, tmp_path, clock)
    await again.open()
    for each in (leading, again):
        answering = Answers(each, "1.2.3", clock.now)
        answering.allow([ONE, TWO])
        for done, behind in ((names[1], 2), (names[-1], 0), ("never published", None)):
            await answering.latest(signed(clock, **{"X-Follower-Signal": done}))
            assert answering.counted["behind"] == behind
        await answering.latest(signed(clock, TWO.secret, **{"X-Follower-Signal": names[2]}))
        await answering.latest(signed(clock, **{"X-Follower-Signal": names[0]}))
        assert answering.counted["behind"] == 3
        # Who sees everything later is behind what he was shown, and never ahead of it.
        answering.allow([replace(ONE, delay=timedelta(hours=24, minutes=30))])
        for done, behind in ((names[1], 1), (names[2], 0), (names[3], 0)):
            await answering.latest(signed(clock, **{"X-Follower-Signal": done}))
            assert answering.counted["behind"] == behind


WRONG: dict[str, dict[str, str]] = {
    "nothing": {"X-Signal-Timestamp": "", "X-Signal-Signature": ""},
    "no_signature": {"X-Signal-Signature": ""},
    "short": {"X-Signal-Signature": "a" * 63},
    "upper_case": {"X-Signal-Signature": "A" * 64},
    "wrong": {"X-Signal-Signature": "a" * 64},
    "no_number": {"X-Signal-Timestamp": "now"},
    "other_digits": {"X-Signal-Timestamp": "١٢٣"},
    "too_long": {"X-Signal-Timestamp": "1" * 20},
    "too_early": {"X-Signal-Timestamp": "1"},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
async def test_refused(answers: Answers, clock: Clock, headers: Mapping[str, str]) -> None:
    """Whoever has not signed gets 403, and nothing else."""
    answer = await answers.latest({**signed(clock), **headers})
    assert (answer.status, answer.body) == (403, b"")
    assert answers.refused == 1
    assert answers.following == 0


async def test_time_window(answers: Answers, clock: Clock) -> None:
    """A signature holds for five minutes, in both directions."""
    for age, status in ((FRESHNESS - 1, 200), (1 - FRESHNESS, 200), (FRESHNESS + 2, 403), (-FRESHNESS - 2, 403)):
        assert (await answers.latest(signed(clock, age=age))).status == status, age


async def test_revoked(answers: Answers, clock: Clock) -> None:
    """A secret that was taken back is refused at once, others go on; without any follower signals are off."""
    answers.allow([TWO])
    assert (await answers.latest(signed(clock))).status == 403
    assert (await answers.latest(signed(clock, TWO.secret))).status == 200
    assert answers.heard.keys() == {"two"}
    answers.allow([])
    assert (await answers.latest(signed(clock, TWO.secret))).status == 404
    assert answers.followers == ()


async def no_statistics() -> Json:
    """Figures of a portfolio that nobody may read."""
    raise AssertionError


async def test_chain_and_figures_for_nobody(answers: Answers, clock: Clock) -> None:
    """Both are for followers: 403 for others, 404 where there are none at all, and no figures are read for them."""
    others = signed(clock, "guessed")
    assert await answers.chain(others, 0) == await answers.figures(others, no_statistics) == Answer(403)
    assert answers.refused == 2
    answers.allow([])
    assert await answers.chain(signed(clock), 0) == await answers.figures(signed(clock), no_statistics) == Answer(404)
    assert answers.refused == 2


async def test_chain_in_pieces(clock: Clock, tmp_path: Path) -> None:
    """Long links are told a few at a time, the next ones to whoever asks for what comes after them."""
    store = PublicationStore(tmp_path / "published.db")
    store.open()
    long = PIECE_BYTES // 5 * 2
    assert long < MAX_BYTES
    for number in range(5):
        draft = Draft(decided=clock.now(), shares={"BTC": Decimal(number) / 10}, reasoning="x" * long)
        store.write(issue(draft, store.signing_key, LEADER, "live", "USDC", store.last, clock.now()), {})
    links = [link.link for link in store.links()]
    answers = Answers(Leading(LEADER, Mock(spec=Ledger), store, clock.now), "1.2.3", clock.now)
    answers.allow([ONE])
    for after, until in ((0, 2), (2, 4), (4, 5), (5, 5)):
        told = body_of(await answers.chain(signed(clock), after))
        assert told == {"leader": LEADER, "links": links[after:until]}


async def test_nothing_yet(rig: Rig, clock: Clock, tmp_path: Path) -> None:
    """Before anything was published it is 204."""
    leading = leading_of(await rig.start(Mode.DRY_RUN), tmp_path, clock)
    await leading.open()
    answers = Answers(leading, "1.2.3", clock.now)
    answers.allow([ONE])
    answer = await answers.latest(signed(clock))
    assert (answer.status, answer.body) == (204, b"")


async def test_delay(answers: Answers, leading: Leading, clock: Clock) -> None:
    """Who sees everything later sees nothing before."""
    answers.allow([replace(ONE, delay=timedelta(minutes=5))])
    assert (await answers.latest(signed(clock))).status == 204
    assert await leading.links(0, 10, timedelta(minutes=5)) == ()
    clock.advance(301)
    assert (await answers.latest(signed(clock))).status == 200
    assert len(await leading.links(0, 10, timedelta(minutes=5))) == 1


async def test_limit(answers: Answers, clock: Clock) -> None:
    """A follower who asks too often is told to wait; the others are answered, and so is he later."""
    for _ in range(MOST):
        assert (await answers.latest(signed(clock))).status == 200
    answer = await answers.latest(signed(clock))
    assert (answer.status, answer.headers["Retry-After"]) == (429, str(WITHIN))
    assert (await answers.latest(signed(clock, TWO.secret))).status == 200
    clock.advance(WITHIN + 1)
    assert (await answers.latest(signed(clock))).status == 200


@pytest.mark.parametrize(
    ("version", "update"),
    [
        ("1.2.3", None),
        ("2.0", None),
        ("c3f9ff3", None),
        ("", None),
        ("1.2.2", {"required": False, "latest_version": "1.2.3"}),
        ("0.0.9", {"required": True, "latest_version": "1.2.3"}),
    ],
)
async def test_update(answers: Answers, clock: Clock, version: str, update: Any) -> None:
    """An older follower is told of a newer version; what is no version number is left alone."""
    document = body_of(await answers.latest(signed(clock, **{"X-Follower-Version": version, "X-Follower-Signal": "x"})))
    assert document.get("update") == update
    assert answers.heard["one"].version == clean_version(version)
    assert answers.heard["one"].done == "x"


async def test_our_own_version_may_be_none(leading: Leading, clock: Clock) -> None:
    """Without a version number of its own there is nothing to compare with."""
    answers = Answers(leading, "dev", clock.now)
    answers.allow([ONE])
    assert "update" not in body_of(await answers.latest(signed(clock, **{"X-Follower-Version": "0.0.1"})))
    assert numbers("dev") == ()


async def test_bodies_are_not_kept_for_ever(answers: Answers, clock: Clock) -> None:
    """Followers with ever new versions do not fill the memory, and are answered."""
    for number in range(110):
        document = body_of(await answers.latest(signed(clock, **{"X-Follower-Version": f"0.0.{number}"})))
        assert document["update"]["required"]
        clock.advance(2)
