"""Requests and messages that nobody has signed: none is accepted, none raises; chains that do not go on are refused."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import hashlib
import hmac
import json
import os
from pathlib import Path
import random
from unittest.mock import Mock

import pytest

from custom_components.calvalot.trading.leading.answers import FRESHNESS, Answers, Follower
from custom_components.calvalot.trading.leading.keys import SigningKey, leader_id
from custom_components.calvalot.trading.leading.leading import Leading
from custom_components.calvalot.trading.leading.publication import Draft, Publication, issue
from custom_components.calvalot.trading.leading.store import PublicationStore
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.signal import InvalidSignal
from custom_components.calvalot.trading.sources.leader_chain import ChainCheck, Mark, go_on

COUNT = int(os.environ.get("CALVALOT_LEADING", "10000"))
LEADER = leader_id("entry")
KEY = SigningKey()
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FOLLOWERS = [Follower(key=str(number), secret=f"secret-{number}") for number in range(5)]


def chain(length: int, key: SigningKey = KEY) -> list[Publication]:
    """A chain of links."""
    links: list[Publication] = []
    for number in range(length):
        draft = Draft(decided=NOW, shares={"BTC": Decimal(number) / 1000})
        links.append(issue(draft, key, LEADER, "live", "USDC", links[-1] if links else None, NOW))
    return links


def mutate(text: str, by_lot: random.Random) -> str:
    """The text with something changed."""
    at = by_lot.randrange(len(text))
    other = by_lot.choice('0123456789abcdefABCDEF{}[]",:.-_ é\x00')
    return by_lot.choice(
        (
            text[:at] + other + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at],
            text[at:],
            text + other,
            text[:at] + text[at : at + 5] * 2 + text[at + 5 :],
        )
    )


def signed(secret: str, timestamp: str) -> str:
    """Signature of a request."""
    return hmac.new(secret.encode(), timestamp.encode(), hashlib.sha256).hexdigest()


def requests(by_lot: random.Random) -> dict[str, str]:
    """Headers that are nearly right."""
    timestamp = str(int(NOW.timestamp()) + by_lot.randint(-FRESHNESS, FRESHNESS))
    signature = signed(by_lot.choice(FOLLOWERS).secret, timestamp)
    late = str(int(NOW.timestamp()) + by_lot.choice((-1, 1)) * by_lot.randint(FRESHNESS + 1, 10**9))
    changes: tuple[Callable[[], tuple[str, str]], ...] = (
        lambda: (mutate(timestamp, by_lot), signature),
        lambda: (timestamp, mutate(signature, by_lot)),
        lambda: (timestamp, signed(f"secret-{by_lot.randint(5, 10**6)}", timestamp)),
        lambda: (late, signed(FOLLOWERS[0].secret, late)),
        lambda: (timestamp, signed(FOLLOWERS[0].secret, f"{timestamp} ")),
        lambda: ("".join(by_lot.choices("0123456789-+ ", k=by_lot.randint(0, 30))), signature),
    )
    time, shown = by_lot.choice(changes)()
    if time == timestamp and shown == signature:
        shown = "0" * 64
    return {
        "X-Signal-Timestamp": time,
        "X-Signal-Signature": shown,
        "X-Follower-Version": mutate("1.2.3", by_lot),
        "X-Follower-Signal": mutate("signal", by_lot),
    }


async def test_requests(tmp_path: Path) -> None:
    """None that is nearly right is answered, whatever else it says."""
    by_lot = random.Random(1)
    store = PublicationStore(tmp_path / "published.db")
    store.open()
    store.write(chain(1)[0], {})
    answers = Answers(Leading(LEADER, Mock(spec=Ledger), store, lambda: NOW), "1.2.3", lambda: NOW)
    answers.allow(FOLLOWERS)
    for _ in range(COUNT // 2):
        answer = await (answers.latest if by_lot.random() < 0.5 else lambda head: answers.chain(head, 0))(
            requests(by_lot)
        )
        assert (answer.status, answer.body) == (403, b"")
    assert answers.refused == COUNT // 2
    timestamp = str(int(NOW.timestamp()))
    right = {"X-Signal-Timestamp": timestamp, "X-Signal-Signature": signed(FOLLOWERS[3].secret, timestamp)}
    assert (await answers.latest(right)).status == 200


def messages(link: Publication, by_lot: random.Random) -> bytes:
    """A message that is nearly right."""
    wire = dict(link.link)
    document = link.document(2)
    kind = by_lot.randrange(6)
    if kind == 0:
        wire["signed"] = mutate(wire["signed"], by_lot)
    elif kind == 1:
        wire["signature"] = mutate(wire["signature"], by_lot)
    elif kind == 2:
        wire["signed"] = urlsafe_b64encode(mutate(link.canonical.decode(), by_lot).encode()).decode().rstrip("=")
    elif kind == 3:
        wire["signature"] = SigningKey().sign(link.canonical)
    elif kind == 4:
        return by_lot.randbytes(by_lot.randint(0, 200))
    else:
        return mutate(json.dumps({**document, "link": []}), by_lot).encode(errors="replace")
    if wire == link.link:
        wire["signature"] = "A" * 86
    return json.dumps({**document, "link": wire}).encode()


def test_messages() -> None:
    """None that the leader has not signed is taken; each is refused with a reason."""
    by_lot = random.Random(2)
    check = ChainCheck(LEADER, KEY.public)
    (link,) = chain(1)
    assert check.link(json.dumps(link.document(2)).encode()) == link
    for _ in range(COUNT // 2):
        with pytest.raises(InvalidSignal) as caught:
            check.link(messages(link, by_lot))
        assert caught.value.reason


def test_chains() -> None:
    """A follower that hears links in any order, some of them forged with a stolen key, is never led back or aside."""
    by_lot = random.Random(3)
    for _ in range(COUNT // 100):
        links = chain(by_lot.randint(3, 8))
        fork = by_lot.randrange(len(links))
        before = links[fork - 1] if fork else None
        other = issue(Draft(decided=NOW), KEY, LEADER, "live", "USDC", before, NOW)
        story = [*links, other, issue(Draft(decided=NOW), KEY, LEADER, "live", "USDC", other, NOW)]
        mark: Mark | None = None
        seen: dict[int, str] = {}
        for _ in range(20):
            told = by_lot.choice(story)
            try:
                now = go_on(mark, [told], NOW, whole=True)
            except InvalidSignal:
                continue
            assert mark is None or now.sequence in {mark.sequence, mark.sequence + 1}
            assert seen.setdefault(now.sequence, now.hash) == now.hash
            if mark and now.sequence > mark.sequence:
                assert told.previous == mark.hash
            mark = now
        with pytest.raises(InvalidSignal, match="expired"):
            go_on(mark, [links[-1]], NOW + timedelta(days=4), whole=False)
