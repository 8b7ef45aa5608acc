"""Pushes: what a leader proved is heard once; nothing else is, and nothing tells why."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
import hashlib
import hmac

import pytest

from custom_components.calvalot.trading.sources.push import FRESHNESS, MAX_BODY, MAX_HEARD, PushVerifier, signature

SECRET = "secret"
PATH = "/api/webhook/5ca1ab1e"
START = datetime(2026, 2, 12, 10, 0, 0, 400_000, UTC)


class Door:
    """A verifier a minute after its start, on a clock that the test sets."""

    def __init__(self) -> None:
        self.now = START
        self.keeper = PushVerifier(SECRET, PATH, lambda: self.now)
        self.now += timedelta(minutes=1)

    @property
    def time(self) -> int:
        """Unix time."""
        return int(self.now.timestamp())

    def push(self, body: bytes = b"", *, ahead: int = 0, **changes: str) -> bool:
        """Push something right, but for what is changed; `ahead` is how far the leader's clock is."""
        said = {"secret": SECRET, "path": PATH, "timestamp": str(self.time + ahead)} | changes
        headers = {
            "X-Signal-Timestamp": said["timestamp"],
            "X-Signal-Signature": signature(said["secret"], said["timestamp"], said["path"], body),
        }
        return self.keeper.admit(headers, body)


@pytest.fixture
def door() -> Door:
    """One that has heard nothing yet."""
    return Door()


def test_signature_by_hand() -> None:
    """Of the text that the documentation names, and of nothing else."""
    text = b"1770890460\nPOST\n/api/webhook/5ca1ab1e\nsignal-1"
    assert signature(SECRET, "1770890460", PATH, b"signal-1") == hmac.new(b"secret", text, hashlib.sha256).hexdigest()
    assert (
        signature(SECRET, "1770890460", PATH, b"signal-1")
        == "1f9915e9153bdb5767cc138b80ac24f127dfc11e0a0df5fbf5439fbfc7457a14"
    )


def test_heard(door: Door) -> None:
    """Right is right, with a body and without."""
    assert door.push()
    assert door.push(b"signal-1")
    assert door.push(b"x" * MAX_BODY)
    assert (door.keeper.accepted, door.keeper.refused) == (3, 0)


def test_other_secrets_and_doors(door: Door) -> None:
    """Another secret, and what was signed for another follower of the same leader."""
    assert not door.push(secret="Secret")
    assert not door.push(secret="")
    assert not door.push(path=f"{PATH}0")
    assert not door.push(path="")
    assert (door.keeper.accepted, door.keeper.refused) == (0, 4)


def test_signed_poll_is_no_push(door: Door) -> None:
    """Whoever hears the follower poll, over plain http or as another one, cannot make a push of it."""
    timestamp = str(door.time)
    polled = hmac.new(SECRET.encode(), timestamp.encode(), hashlib.sha256).hexdigest()
    for body in (b"", timestamp.encode()):
        assert not door.keeper.admit({"X-Signal-Timestamp": timestamp, "X-Signal-Signature": polled}, body)


def test_replay(door: Door) -> None:
    """The same once more is refused as long as it is fresh, and afterwards as too old."""
    timestamp = str(door.time)
    assert door.push(b"signal-1", timestamp=timestamp)
    for _ in range(2 * FRESHNESS):
        assert not door.push(b"signal-1", timestamp=timestamp)
        door.now += timedelta(seconds=1)
    assert door.push(b"signal-1")


def test_replay_from_a_clock_that_is_ahead(door: Door) -> None:
    """It stays fresh for twice as long, and is remembered as long."""
    timestamp = str(door.time + FRESHNESS)
    assert door.push(timestamp=timestamp)
    for _ in range(FRESHNESS // 10 * 3):
        door.now += timedelta(seconds=10)
        assert not door.push(timestamp=timestamp)
        assert door.push(b"signal-1")


@pytest.mark.parametrize("change", ["body", "timestamp", "nothing"])
def test_signature_covers_everything(door: Door, change: str) -> None:
    """Nothing can be changed in what was signed."""
    timestamp = str(door.time)
    headers = {
        "X-Signal-Timestamp": str(door.time + 1) if change == "timestamp" else timestamp,
        "X-Signal-Signature": signature(SECRET, timestamp, PATH, b"signal-1"),
    }
    assert door.keeper.admit(headers, b"signal-2" if change == "body" else b"signal-1") is (change == "nothing")


@pytest.mark.parametrize(
    ("ahead", "heard"), [(-FRESHNESS - 1, False), (-FRESHNESS + 1, True), (FRESHNESS, True), (FRESHNESS + 1, False)]
)
def test_age(door: Door, ahead: int, heard: bool) -> None:
    """Clocks may be five minutes apart."""
    door.now += timedelta(hours=1)
    assert door.push(ahead=ahead) is heard


def test_nothing_from_before_the_start() -> None:
    """What another verifier may have heard before a restart is not heard again."""
    door = Door()
    started = int(START.timestamp())
    assert not door.push(timestamp=str(started - 10))
    assert not door.push(timestamp=str(started))
    assert door.push(timestamp=str(started + 1))


@pytest.mark.parametrize(
    "timestamp", ["", "now", "-5", "+5", "1e9", "１７７０８９０４６０", " 1770890460", "9" * 20, "9" * 5000]
)
def test_timestamp_that_is_none(door: Door, timestamp: str) -> None:
    """Only decimal digits are a time."""
    assert not door.push(timestamp=timestamp)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Signal-Signature": "00"},
        {"X-Signal-Timestamp": str(int(START.timestamp()) + 60)},
        {"X-Signal-Timestamp": str(int(START.timestamp()) + 60), "X-Signal-Signature": "\udcff é"},
    ],
)
def test_headers_that_are_missing(door: Door, headers: Mapping[str, str]) -> None:
    """Refused, not broken by it."""
    assert not door.keeper.admit(headers, b"")
    assert door.keeper.refused == 1


def test_body_that_is_too_large(door: Door) -> None:
    """However well it is signed; and one that was not read."""
    assert not door.push(b"x" * (MAX_BODY + 1))
    assert not door.keeper.admit({}, None)
    assert door.keeper.refused == 2


def test_memory_is_bounded(door: Door) -> None:
    """A leader that never stops is not heard for a while, and what it said is not forgotten meanwhile."""
    timestamp = str(door.time)
    for number in range(MAX_HEARD):
        assert door.push(str(number).encode())
    assert not door.push(b"one more")
    assert not door.push(b"0", timestamp=timestamp)
    door.now += timedelta(seconds=FRESHNESS + 1)
    for number in range(MAX_HEARD):
        assert door.push(f"another {number}".encode())
    assert not door.push(b"one more")


def test_tells_no_secret(door: Door) -> None:
    """Not to a debugger either."""
    assert SECRET not in repr(door.keeper)
    assert PATH not in repr(door.keeper)
