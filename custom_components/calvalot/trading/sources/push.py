"""What a leader says to be asked at once: proven by its secret, heard once, believed in nothing else."""

from collections.abc import Callable, Mapping
from datetime import datetime
import hashlib
import hmac

# How far the leader's clock may be from ours (seconds), as in the leader's own protocol.
FRESHNESS = 300
# Bytes of a body; nothing in it is used, it only makes two pushes of the same second different.
MAX_BODY = 1024
# Pushes that are remembered; a leader that says more within two freshnesses is not heard until some are forgotten.
MAX_HEARD = 1000


def signature(secret: str, timestamp: str, path: str, body: bytes) -> str:
    """Lower-case hex HMAC-SHA256 of a push, `timestamp` in whole Unix seconds, `path` as the webhook has it.

    The path names one follower and the method one kind of request: no push is good elsewhere, and no signed poll is a push.
    """
    return hmac.new(secret.encode(), f"{timestamp}\nPOST\n{path}\n".encode() + body, hashlib.sha256).hexdigest()


class PushVerifier:
    """Tells the pushes of a leader from everything else; counts both.

    Nothing signed up to the second of its own start is let in: what was heard before that is not remembered.
    """

    def __init__(self, secret: str, path: str, clock: Callable[[], datetime]) -> None:
        self._secret = secret
        self._path = path
        self._clock = clock
        self._start = int(clock().timestamp())
        self._heard: dict[str, int] = {}
        self.accepted = 0
        self.refused = 0

    def admit(self, headers: Mapping[str, str], body: bytes | None) -> bool:
        """Whether this is a push that was never heard; None for a body that is not to be read."""
        admitted = body is not None and len(body) <= MAX_BODY and self._hear(headers, body)
        if admitted:
            self.accepted += 1
        else:
            self.refused += 1
        return admitted

    def _hear(self, headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers.get("X-Signal-Timestamp", "")
        shown = headers.get("X-Signal-Signature", "").encode(errors="replace")
        now = self._clock().timestamp()
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20):
            return False
        time = int(timestamp)
        if abs(time - now) > FRESHNESS or time <= self._start:
            return False
        own = signature(self._secret, timestamp, self._path, body)
        if not hmac.compare_digest(shown, own.encode()):
            return False
        self._heard = {known: at for known, at in self._heard.items() if now - at <= FRESHNESS}
        if own in self._heard or len(self._heard) >= MAX_HEARD:
            return False
        self._heard[own] = time
        return True
