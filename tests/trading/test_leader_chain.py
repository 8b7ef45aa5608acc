"""A follower that holds its leader's key: what was not signed, is old, expired, forked or cut is refused."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import json
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import LeaderInvalidResponse, LeaderUnreachable
from custom_components.calvalot.trading.leading.keys import SigningKey, leader_id, to_text
from custom_components.calvalot.trading.leading.publication import STANDS_FOR, Draft, Publication, issue
from custom_components.calvalot.trading.signal import InvalidSignal, Signal
from custom_components.calvalot.trading.sources.base import Moment
from custom_components.calvalot.trading.sources.feed import Feed
from custom_components.calvalot.trading.sources.feed_leader import FeedLeader
from custom_components.calvalot.trading.sources.leader import AsksLeader, LeaderSource
from custom_components.calvalot.trading.sources.leader_chain import ChainCheck, Mark, go_on, key_of
from custom_components.calvalot.trading.sources.leader_format import MAX_BODY

LEADER = leader_id("entry")
KEY = SigningKey()
NOW = datetime.now(UTC)


def publish(
    before: Publication | None,
    share: str = "0.1",
    *,
    key: SigningKey = KEY,
    leader: str = LEADER,
    age: timedelta | None = None,
) -> Publication:
    """The next link of a chain."""
    at = NOW - (age or timedelta())
    return issue(Draft(decided=at, shares={"BTC": Decimal(share)}), key, leader, "live", "USDC", before, at)


def chain(length: int) -> list[Publication]:
    """A chain of links that hold ever more."""
    links: list[Publication] = []
    for number in range(length):
        links.append(publish(links[-1] if links else None, f"0.{number + 1:02}"))
    return links


def body(link: Publication, **changes: Any) -> bytes:
    """A signal as it comes over the wire."""
    return json.dumps({**link.document(2), **changes}).encode()


def pieces(links: Sequence[Publication]) -> bytes:
    """A piece of the chain as it comes over the wire."""
    return json.dumps({"links": [link.link for link in links]}).encode()


class Told:
    """A leader that says what a test wants."""

    feed = None

    def __init__(self, links: Sequence[Publication] = ()) -> None:
        self.body: bytes | None = None
        self.links = links
        self.at_a_time = 3
        self.told: list[bool] = []
        self.done: str | None = None

    async def fetch(self) -> bytes | None:
        """What it wants."""
        return self.body

    async def chain(self, after: int) -> bytes | None:
        """Some links."""
        return pieces([link for link in self.links if link.sequence > after][: self.at_a_time])

    def judge(self, _body: bytes, *, sound: bool) -> None:
        """Remember."""
        self.told.append(sound)

    def tell(self, signal_id: str | None) -> None:
        """Remember."""
        self.done = signal_id


def source(leader: AsksLeader) -> LeaderSource:
    """A follower that holds the key."""
    return LeaderSource(leader, "own", ChainCheck(LEADER, KEY.public))


async def say(followed: LeaderSource) -> Signal | InvalidSignal | None:
    """One cycle."""
    await followed.fetch(["BTC"])
    return followed.decide(Moment(now=NOW, prices={}))


def shares(said: Signal | InvalidSignal | None) -> dict[str, str]:
    """What is wanted."""
    assert isinstance(said, Signal)
    return {coin: str(share) for coin, share in (said.targets or {}).items()}


async def test_signed() -> None:
    """What was signed counts, whatever stands beside it; the place in the chain is remembered."""
    first, second = chain(2)
    leader = Told()
    followed = source(leader)
    assert await say(followed) is None
    assert followed.memory is None
    leader.body = body(first, portfolio_state={"positions": []}, signal_id="another")
    assert shares(await say(followed)) == {"BTC": "0.01"}
    assert followed.memory
    assert followed.memory.endswith(f" 1 {first.hash}")
    assert shares(await say(followed)) == {"BTC": "0.01"}
    leader.body = body(second)
    assert shares(await say(followed)) == {"BTC": "0.02"}
    assert leader.told == [True] * 3


def forged(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A signal in which something was changed."""
    document = json.loads(body(chain(1)[0]))
    change(document)
    return json.dumps(document).encode()


REFUSED: dict[str, bytes] = {
    "no_link": forged(lambda document: document.pop("link")),
    "text_as_link": forged(lambda document: document.update(link="text")),
    "not_signed": forged(lambda document: document["link"].pop("signature")),
    "not_base64": forged(lambda document: document["link"].update(signed="é")),
    "other_signature": forged(lambda document: document["link"].update(signature="A" * 86)),
    "other_key": body(publish(None, key=SigningKey())),
    "other_leader": body(publish(None, leader=leader_id("other"))),
    "expired": body(publish(None, age=STANDS_FOR + timedelta(seconds=1))),
    "no_json": b"<html>",
}


@pytest.mark.parametrize("forged_body", REFUSED.values(), ids=REFUSED)
async def test_refused(forged_body: bytes) -> None:
    """Nothing of it is traded, and the leader counts as one that gave no answer."""
    leader = Told()
    leader.body = forged_body
    followed = source(leader)
    with pytest.raises(LeaderInvalidResponse):
        await followed.fetch(["BTC"])
    assert followed.decide(Moment(now=NOW, prices={})) is None
    assert followed.memory is None
    assert leader.told == [False]


async def test_older() -> None:
    """What was replaced does not come back, also after a restart."""
    first, second = chain(2)
    leader = Told()
    followed = source(leader)
    leader.body = body(second)
    assert shares(await say(followed)) == {"BTC": "0.02"}
    again = source(leader)
    again.memory = followed.memory
    leader.body = body(first)
    with pytest.raises(LeaderInvalidResponse, match="older"):
        await again.fetch(["BTC"])


async def test_forked() -> None:
    """Another link with the number of one that was seen, and one that follows another, are refused."""
    first, second = chain(2)
    leader = Told()
    followed = source(leader)
    leader.body = body(first)
    await say(followed)
    for fork in (publish(None, "0.9"), publish(publish(None, "0.9"), "0.9")):
        leader.body = body(fork)
        with pytest.raises(LeaderInvalidResponse, match="forked"):
            await followed.fetch(["BTC"])
    leader.body = body(second)
    assert shares(await say(followed)) == {"BTC": "0.02"}


async def test_missed() -> None:
    """Who has missed some asks for them: the chain has to go on without a gap or a fork."""
    links = chain(12)
    leader = Told(links)
    followed = source(leader)
    leader.body = body(links[0])
    await say(followed)
    leader.body = body(links[-1])
    assert shares(await say(followed)) == {"BTC": "0.12"}
    for broken, reason in (
        ([*links[:5], *links[6:]], "missing"),
        (links[:4], "missing"),
        ([links[0], publish(publish(None, "0.9"), "0.9"), *links[2:]], "forked"),
    ):
        leader = Told(broken)
        followed = source(leader)
        leader.body = body(links[0])
        await say(followed)
        leader.body = body(links[-1])
        with pytest.raises(LeaderInvalidResponse, match=reason):
            await followed.fetch(["BTC"])


async def test_endless_chain() -> None:
    """A leader that never comes to an end is given up."""
    links = chain(120)
    leader = Told(links)
    leader.at_a_time = 1
    followed = source(leader)
    leader.body = body(links[0])
    await say(followed)
    leader.body = body(links[-1])
    with pytest.raises(LeaderInvalidResponse, match="missing"):
        await followed.fetch(["BTC"])


async def test_pieces_that_are_none() -> None:
    """What is no piece of a chain is refused."""
    links = chain(5)

    class Broken(Told):
        async def chain(self, _after: int) -> bytes | None:
            return b'{"links": {}}'

    leader = Broken()
    followed = source(leader)
    leader.body = body(links[0])
    await say(followed)
    leader.body = body(links[-1])
    with pytest.raises(LeaderInvalidResponse, match="none"):
        await followed.fetch(["BTC"])


def test_memory_of_another_chain() -> None:
    """With another key the chain begins anew; what cannot be read is no memory."""
    check = ChainCheck(LEADER, KEY.public)
    mark = Mark(7, "a" * 64)
    assert check.known(check.memory(mark)) == mark
    assert ChainCheck(LEADER, SigningKey().public).known(check.memory(mark)) is None
    for text in (None, "", "x", KEY.public[:16], f"{KEY.public[:16]} x y", f"{KEY.public[:16]} 7"):
        assert check.known(text) is None


def test_gap_without_an_address() -> None:
    """Where nobody can be asked for what is missing, a later link that was signed counts."""
    links = chain(3)
    assert go_on(Mark(1, links[0].hash), [links[2]], NOW, whole=False) == Mark(3, links[2].hash)


# Over a broker


async def test_feed() -> None:
    """The last message that was signed counts; the address is asked while there is none."""
    first, second = chain(2)
    feed, there = Feed("topic"), Told()
    there.body = body(first)
    followed = source(FeedLeader(feed, there))
    assert followed.feed is feed
    assert shares(await say(followed)) == {"BTC": "0.01"}
    feed.connected = True
    assert shares(await say(followed)) == {"BTC": "0.01"}
    assert feed.hear(body(second))
    assert not feed.hear(body(second))
    assert shares(await say(followed)) == {"BTC": "0.02"}
    for message in (body(first), body(publish(second, key=SigningKey()))):
        assert feed.hear(message)
        with pytest.raises(LeaderInvalidResponse):
            await followed.fetch(["BTC"])
        assert shares(await say(followed)) == {"BTC": "0.02"}
    assert not feed.hear(b" " * (MAX_BODY + 1))
    assert not feed.hear(body(second))


async def test_feed_without_an_address() -> None:
    """Without a broker there is no answer; with one that holds nothing no signal yet, and what was missed cannot be asked for."""
    first, _, third = chain(3)
    feed = Feed("topic")
    followed = source(FeedLeader(feed, None))
    with pytest.raises(LeaderUnreachable):
        await followed.fetch(["BTC"])
    feed.connected = True
    assert await say(followed) is None
    feed.hear(b"nothing")
    with pytest.raises(LeaderInvalidResponse):
        await followed.fetch(["BTC"])
    assert feed.latest is None
    feed.hear(body(first))
    assert shares(await say(followed)) == {"BTC": "0.01"}
    feed.hear(body(third))
    assert shares(await say(followed)) == {"BTC": "0.03"}


async def test_feed_that_has_grown_old() -> None:
    """What the broker still holds of a leader that is gone is given up once it has expired."""
    feed, there = Feed("topic"), Told()
    feed.connected = True
    old = body(publish(None, age=STANDS_FOR + timedelta(seconds=1)))
    feed.hear(old)
    feed.judge(old, sound=True)
    followed = source(FeedLeader(feed, there))
    with pytest.raises(LeaderInvalidResponse, match="expired"):
        await followed.fetch(["BTC"])
    assert feed.latest is None
    feed.judge(b"of another way", sound=False)
    there.body = body(chain(1)[0])
    assert shares(await say(followed)) == {"BTC": "0.01"}


def test_told_over_http_only() -> None:
    """How far a follower has come is told where the leader is asked, and nobody over a broker."""
    asked = Told()
    source(FeedLeader(Feed("calvalot/one"), asked)).tell("signal")
    assert asked.done == "signal"
    source(FeedLeader(Feed("calvalot/one"), None)).tell("signal")


def figures(signs: SigningKey = KEY, leader: str = LEADER, **changes: Any) -> bytes:
    """A leader's figures as they come over the wire."""
    canonical = json.dumps({"leader": leader}).encode()
    wire = {"signed": to_text(canonical), "signature": signs.sign(canonical), "key": KEY.public, "version": 2}
    return json.dumps({**wire, **changes}).encode()


def test_key_in_the_figures() -> None:
    """The key comes with figures that it has signed; who gets moves needs none."""
    assert key_of(figures(), LEADER) == KEY.public
    assert key_of(figures(version=1), LEADER) is None


@pytest.mark.parametrize(
    ("body_", "reason"),
    [
        (b"[]", "not a JSON object"),
        (figures(signed=1), "not signed"),
        (figures(signature=None), "not signed"),
        (figures(key=[]), "not signed"),
        (figures(key="short"), "not signed"),
        (figures(signed="é"), "not signed"),
        (figures(SigningKey()), "signature"),
        (figures(leader="0" * 32), "another leader's"),
    ],
    ids=["no object", "number", "unsigned", "list as key", "short key", "not base64", "another key", "another leader"],
)
def test_figures_that_prove_nothing(body_: bytes, reason: str) -> None:
    """Figures without a key, with another one's signature, or of another leader."""
    with pytest.raises(InvalidSignal, match=reason):
        key_of(body_, LEADER)
