"""What a leader publishes: signed, chained, in one form only, and written down before it is served."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import json
from pathlib import Path
import sqlite3
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.leading.keys import PublicKey, SigningKey, fingerprint, leader_id
from custom_components.calvalot.trading.leading.link import Link, address, is_link, leader_of_address, read_link
from custom_components.calvalot.trading.leading.publication import (
    MAX_BYTES,
    NOTHING_BEFORE,
    Draft,
    Publication,
    PublishedMove,
    follows,
    issue,
    parse,
    renew,
    verified,
)
from custom_components.calvalot.trading.leading.record import record
from custom_components.calvalot.trading.leading.store import PublicationError, PublicationStore
from custom_components.calvalot.trading.signal import InvalidSignal
from custom_components.calvalot.trading.sources.leader_format import parse_signal
from custom_components.calvalot.trading.wants import Allocation, Moves

LEADER = leader_id("entry")
NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
KEY = SigningKey()
PUBLIC = PublicKey(KEY.public)
DRAFT = Draft(
    decided=NOW,
    shares={"BTC": Decimal("0.4"), "ETH": Decimal("0.25")},
    moves=(PublishedMove("BTC", Side.BUY, Decimal("0.1")), PublishedMove("SOL", Side.SELL, Decimal("0.05"))),
    confidence=Decimal("0.7"),
    reasoning="tendance « solide » ↗",
)


def link_after(before: Publication | None = None, **changes: Any) -> Publication:
    """The next link of a chain."""
    return issue(replace(DRAFT, **changes), KEY, LEADER, "dry_run", "USDC", before, NOW)


def encoded(document: Any) -> bytes:
    """A document as canonical bytes are written."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# Keys


def test_keys() -> None:
    """What one key signs no other verifies, and a stored key is the same again."""
    message = b"message"
    signature = KEY.sign(message)
    assert PUBLIC.verifies(message, signature)
    assert SigningKey(KEY.text).public == KEY.public
    assert not PUBLIC.verifies(b"another", signature)
    assert not PublicKey(SigningKey().public).verifies(message, signature)
    assert KEY.text not in {KEY.public, signature}


@pytest.mark.parametrize("text", ["", "A", "é" * 43, "A" * 42, "A" * 44, "*" * 43, f"{'A' * 42}B"])
def test_what_is_no_key(text: str) -> None:
    """A key is 32 bytes, written in one way."""
    for make in (SigningKey, PublicKey, fingerprint):
        with pytest.raises(ValueError, match=r"."):
            make(text)
    assert not PUBLIC.verifies(b"", text)


def test_fingerprint() -> None:
    """Eight groups that are the same for the same key only."""
    shown = fingerprint(KEY.public)
    assert [len(part) for part in shown.split()] == [4] * 8
    assert shown == fingerprint(KEY.public) != fingerprint(SigningKey().public)


def test_leader_id() -> None:
    """It names the portfolio for good, and does not tell the id of its entry."""
    assert leader_id("entry") == LEADER != leader_id("other")
    assert len(LEADER) == 32
    assert "entry" not in LEADER


# Publications


def test_chain() -> None:
    """Each link names the one before it; times are in whole seconds, and the way it came is told."""
    first = link_after()
    second = link_after(first, shares={}, origin=("upstream",), hops=1)
    assert (first.sequence, first.previous) == (1, NOTHING_BEFORE)
    assert (second.sequence, second.previous) == (2, first.hash)
    assert follows(second, first)
    assert not follows(first, second)
    assert not follows(replace(second, previous=NOTHING_BEFORE), first)
    assert first.issued == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert (first.origin, first.hops) == ((LEADER,), 1)
    assert (second.origin, second.hops) == (("upstream", LEADER), 2)
    assert first.signal_id != second.signal_id


def test_renewed() -> None:
    """The same signal in a new link that stands longer."""
    first = link_after()
    again = renew(first, KEY, {"BTC": Decimal(90000)}, NOW + timedelta(days=1))
    assert follows(again, first)
    assert (again.signal_id, again.shares, again.decided) == (first.signal_id, first.shares, first.decided)
    assert again.expires - first.expires == timedelta(days=1)
    assert verified(again.canonical, again.signature, PUBLIC, LEADER) == again


def test_verified() -> None:
    """What comes over the wire is what was signed."""
    first = link_after()
    wire = first.link
    canonical = urlsafe_b64decode(wire["signed"] + "==")
    assert verified(canonical, wire["signature"], PUBLIC, LEADER) == first


def test_wrong_signatures() -> None:
    """Another key, another leader, another text and something too large are refused."""
    first = link_after()
    with pytest.raises(InvalidSignal, match="not signed"):
        verified(first.canonical, first.signature, PublicKey(SigningKey().public), LEADER)
    with pytest.raises(InvalidSignal, match="another leader"):
        verified(first.canonical, first.signature, PUBLIC, leader_id("other"))
    with pytest.raises(InvalidSignal, match="not signed"):
        verified(first.canonical.replace(b"0.4", b"0.5"), first.signature, PUBLIC, LEADER)
    with pytest.raises(InvalidSignal, match="too large"):
        verified(b" " * (MAX_BYTES + 1), first.signature, PUBLIC, LEADER)


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A link in which something was changed, signed or not."""
    document = json.loads(link_after().canonical)
    change(document)
    return encoded(document)


FORGED: dict[str, bytes] = {
    "no_json": b"{",
    "no_object": b"[]",
    "blank": link_after().canonical + b" ",
    "twice": link_after().canonical.replace(b'"hops":1', b'"hops":1,"hops":1'),
    "field_too_few": changed(lambda document: document.pop("mode")),
    "field_too_many": changed(lambda document: document.update(balance="1")),
    "format": changed(lambda document: document.update(format=2)),
    "sequence_zero": changed(lambda document: document.update(sequence=0)),
    "sequence_true": changed(lambda document: document.update(sequence=True)),
    "sequence_text": changed(lambda document: document.update(sequence="1")),
    "time": changed(lambda document: document.update(issued="yesterday")),
    "time_without_zone": changed(lambda document: document.update(issued="2026-05-01T12:00:00")),
    "time_as_number": changed(lambda document: document.update(issued=1)),
    "share_as_number": changed(lambda document: document["shares"].update(BTC=0.4)),
    "share_as_words": changed(lambda document: document["shares"].update(BTC="all")),
    "share_not_plain": changed(lambda document: document["shares"].update(BTC="4E-1")),
    "shares_as_list": changed(lambda document: document.update(shares=[])),
    "moves_as_text": changed(lambda document: document.update(moves="BTC")),
    "move_too_short": changed(lambda document: document.update(moves=[["BTC", "BUY"]])),
    "move_unknown": changed(lambda document: document.update(moves=[["BTC", "HOLD", "0.1"]])),
    "origin_of_numbers": changed(lambda document: document.update(origin=[1])),
    "confidence": changed(lambda document: document.update(confidence=0.7)),
    "reasoning": changed(lambda document: document.update(reasoning=float("inf"))),
}


@pytest.mark.parametrize("canonical", FORGED.values(), ids=FORGED)
def test_one_form_only(canonical: bytes) -> None:
    """Also what the leader himself has signed is refused where it is not written as everybody writes it."""
    with pytest.raises(InvalidSignal):
        verified(canonical, KEY.sign(canonical), PUBLIC, LEADER)


@given(st.binary(max_size=300))
def test_anything(body: bytes) -> None:
    """Whatever comes is refused, and nothing else happens."""
    with pytest.raises(InvalidSignal):
        parse(body, "")


@pytest.mark.parametrize("version", [1, 2])
def test_document(version: int) -> None:
    """The signal as the first Calv-a-lot reads it, in both versions."""
    document = link_after().document(version)
    signal = parse_signal(json.dumps(document).encode(), ["BTC", "ETH", "SOL"])
    assert signal.targets == DRAFT.shares
    assert (signal.confidence, signal.reasoning) == (DRAFT.confidence, DRAFT.reasoning)
    assert (signal.origin, signal.hops) == ((LEADER,), 1)
    assert signal.created_at == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert document["dry_run"] is True
    if version == 1:
        assert isinstance(signal.wants, Moves)
        assert [(move.coin, move.side, move.share) for move in signal.wants.moves] == [
            ("BTC", Side.BUY, Decimal("0.1")),
            ("SOL", Side.SELL, Decimal("0.05")),
        ]
    else:
        assert signal.wants == Allocation(shares=DRAFT.shares)


def test_allocation_only() -> None:
    """Where there are no moves to tell, who wants version 1 gets version 2."""
    document = link_after(moves=None, confidence=None).document(1)
    assert (document["version"], document["actions"], document["confidence"]) == (2, [], None)
    assert "version" not in link_after(moves=()).document(1)


# The store


@pytest.fixture
def store(tmp_path: Path) -> PublicationStore:
    """A store that is open and empty."""
    store = PublicationStore(tmp_path / "published" / "entry.db")
    store.open()
    return store


def test_store(store: PublicationStore) -> None:
    """Links and facts are there again after a start, with the key; nobody else may read the file."""
    assert store.last is None
    assert store.issued_by(NOW) is None
    first = link_after()
    second = replace(link_after(first), issued=first.issued + timedelta(hours=1))
    store.write(first, {"seen": "1"})
    store.write(second, {"seen": "2"})
    again = PublicationStore(store.path)
    again.open()
    assert store.key
    assert again.key
    assert again.key.public == store.key.public
    assert again.last == second == store.last
    assert again.fact("seen") == "2"
    assert again.fact("other") is None
    again.remember({"other": "x"})
    assert again.fact("other") == "x"
    assert again.links() == (first, second)
    assert again.links(after=1) == (second,)
    assert again.links(limit=1) == (first,)
    assert again.issued_by(second.issued) == second
    assert again.issued_by(second.issued - timedelta(seconds=1)) == first
    assert again.issued_by(first.issued - timedelta(seconds=1)) is None
    assert store.path.stat().st_mode & 0o077 == 0


def test_a_link_is_written_once(store: PublicationStore) -> None:
    """A second link with the same number is refused, and what was served stays."""
    first = link_after()
    store.write(first, {})
    with pytest.raises(PublicationError):
        store.write(link_after(shares={}), {"seen": "1"})
    assert store.last == first
    assert store.fact("seen") is None


def test_broken_store(store: PublicationStore, tmp_path: Path) -> None:
    """What cannot be read, or was written by a newer version, is said and left as it is."""
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(PublicationError, match="newer"):
        PublicationStore(store.path).open()
    connection.close()
    store.path.write_bytes(b"no database" * 1000)
    with pytest.raises(PublicationError, match="cannot be used"):
        PublicationStore(store.path).open()
    (tmp_path / "file").touch()
    with pytest.raises(PublicationError):
        PublicationStore(tmp_path / "file" / "entry.db").open()


# The record


def told(*steps: tuple[dict[str, str], dict[str, str]]) -> list[Publication]:
    """A chain of shares and prices; with the shares of the one before it is only renewed."""
    links: list[Publication] = []
    for number, (shares, prices) in enumerate(steps):
        at = NOW + timedelta(days=number)
        known = {coin: Decimal(price) for coin, price in prices.items()}
        wanted = {coin: Decimal(share) for coin, share in shares.items()}
        if links and wanted == links[-1].shares:
            links.append(renew(links[-1], KEY, known, at))
        else:
            draft = Draft(decided=at, shares=wanted, prices=known)
            links.append(issue(draft, KEY, LEADER, "live", "USDC", links[-1] if links else None, at))
    return links


def test_record() -> None:
    """Half in BTC that doubles, then all of it in ETH that halves; what is only renewed is left alone."""
    links = told(
        ({"BTC": "0.5"}, {"BTC": "100"}),
        ({"BTC": "0.5"}, {"BTC": "150"}),
        ({"ETH": "1"}, {"BTC": "200", "ETH": "10"}),
        ({}, {"ETH": "5"}),
        ({}, {}),
    )
    found = record(links)
    assert [point.index for point in found.points] == [Decimal(each) for each in ("1", "1.25", "1.5", "0.75", "0.75")]
    assert (found.growth, found.gaps) == (Decimal("-0.25"), 0)
    assert verified(links[2].canonical, links[2].signature, PUBLIC, LEADER).prices == links[2].prices


def test_record_with_gaps() -> None:
    """Over a missing price the record stands still, and says so; of one publication there is none."""
    found = record(told(({"BTC": "1"}, {"BTC": "100"}), ({"BTC": "1"}, {}), ({"BTC": "1"}, {"BTC": "200"})))
    assert ([point.index for point in found.points], found.gaps) == ([1, 1, 1], 2)
    assert record(told(({"BTC": "1"}, {"BTC": "100"}))).growth is None
    assert record([]).growth is None


# The link


def test_link() -> None:
    """What is copied or scanned comes back whole."""
    url = address("https://home.example.com:8123", LEADER)
    http = Link(leader=LEADER, url=url, secret="s+é/=&", key=KEY.public)
    assert read_link(http.text) == http
    assert http.text.startswith(f"{url}#")
    mqtt = Link(leader=LEADER, key=KEY.public, topic="calvalot/leader/one")
    assert read_link(f" {mqtt.text}\n") == mqtt
    assert mqtt.text.startswith(f"calvalot:{LEADER}#")
    plain = Link(leader=LEADER, url=url, secret="secret")
    assert read_link(plain.text) == plain
    assert "fingerprint" not in plain.text
    assert is_link(http.text)
    assert is_link(mqtt.text)
    assert not is_link(url)
    assert not is_link(f"{url}#top")
    assert leader_of_address(f"{url}/") == LEADER
    for other in ("", LEADER, "https://leader.example.com", url[:-1], f"{url}/x", f"https://a.example/{LEADER}"):
        assert leader_of_address(other) is None


@pytest.mark.parametrize(
    "text",
    [
        f"https://home.example.com/api/calvalot/{LEADER}",
        f"https://home.example.com/api/calvalot/{LEADER}#",
        f"https://home.example.com/api/calvalot/{LEADER}#secret",
        f"https://home.example.com/api/calvalot/{LEADER}#key=WHOLE",
        f"https://home.example.com/api/calvalot/{LEADER}#secret=a&key=WHOLE&fingerprint=00",
        f"https://home.example.com/api/calvalot/{LEADER}#secret=a&key=SHORT",
        f"https://home.example.com/api/calvalot/{LEADER[:-1]}#secret=a",
        f"https://home.example.com/api/calvalot/{LEADER[:-1]}g#secret=a",
        f"ftp://home.example.com/api/calvalot/{LEADER}#secret=a",
        f"calvalot:{LEADER}#secret=a",
        f"calvalot:{LEADER}#topic=a",
    ],
)
def test_what_is_no_link(text: str) -> None:
    """What was not copied whole says so instead of being half taken."""
    text = text.replace("WHOLE", KEY.public).replace("SHORT", KEY.public[:-1])  # drawn anew in each process
    with pytest.raises(ValueError, match=r"."):
        read_link(text)


def test_wire_form() -> None:
    """The signed bytes go over the wire in base64url without padding."""
    first = link_after()
    assert first.link["signed"] == urlsafe_b64encode(first.canonical).decode().rstrip("=")
