"""What a broker holds of a leader."""

from .leader_format import MAX_BODY


class Feed:
    """What a broker holds of one leader: the last message, and the last one that he had signed."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.connected = False
        self._latest: bytes | None = None
        self._sound: bytes | None = None

    @property
    def latest(self) -> bytes | None:
        """The last message; None where there was none, or none that the leader had signed."""
        return self._latest

    def hear(self, message: bytes) -> bool:
        """Take a message; whether it says something that was not there before."""
        if len(message) > MAX_BODY or message in {self._latest, self._sound}:
            return False
        self._latest = message
        return True

    def judge(self, message: bytes, *, sound: bool) -> None:
        """Go back to the last message that was signed where this one was not."""
        if sound:
            self._sound = message
        elif message == self._latest:
            self._latest = self._sound if self._sound != message else None
            self._sound = self._latest
