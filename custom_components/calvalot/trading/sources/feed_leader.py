"""A leader whose signals come by themselves over a broker, and who is asked where none do."""

from ..errors import LeaderUnreachable
from .feed import Feed
from .leader import AsksLeader


class FeedLeader:
    """A leader behind a feed; `address` is asked while the broker is away or holds nothing."""

    def __init__(self, feed: Feed, address: AsksLeader | None) -> None:
        self.feed = feed
        self._address = address

    async def fetch(self) -> bytes | None:
        """The last message, else what the leader answers; None while there is neither. Raises LeaderError."""
        if self.feed.connected and self.feed.latest is not None:
            return self.feed.latest
        if self._address:
            return await self._address.fetch()
        if not self.feed.connected:
            raise LeaderUnreachable("the broker is not connected")
        return None

    async def chain(self, after: int) -> bytes | None:
        """What was missed, where the leader can be asked for it. Raises LeaderError."""
        return await self._address.chain(after) if self._address else None

    def tell(self, signal_id: str | None) -> None:
        """Say which signal was done with last, where the leader is asked: nobody is told over a broker."""
        if self._address:
            self._address.tell(signal_id)

    def judge(self, body: bytes, *, sound: bool) -> None:
        """Take note whether a message was what the leader has signed."""
        self.feed.judge(body, sound=sound)
