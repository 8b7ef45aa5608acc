"""How followers are told that there is something new: each is called once, and polls."""

import asyncio
from collections.abc import Sequence
import time

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from ..trading.leading.answers import Follower
from ..trading.sources.push import signature

TIMEOUT = ClientTimeout(total=10)
# Followers that are called at the same time.
AT_ONCE = 50


class Pusher:
    """Calls webhooks, signed as each follower expects it; counts who heard. What gets lost is made up for by the next poll."""

    def __init__(self, session: ClientSession) -> None:
        """Call over a session that stays its owner's."""
        self._session = session
        self._room = asyncio.Semaphore(AT_ONCE)
        self.heard = 0
        self.missed = 0

    async def push(self, followers: Sequence[Follower], signal_id: str) -> None:
        """Call all of them."""
        await asyncio.gather(*(self._call(follower, signal_id.encode()) for follower in followers))

    async def _call(self, follower: Follower, body: bytes) -> None:
        url = URL(follower.webhook)
        async with self._room:
            timestamp = str(int(time.time()))
            headers = {
                "X-Signal-Timestamp": timestamp,
                "X-Signal-Signature": signature(follower.secret, timestamp, url.path, body),
            }
            try:
                async with self._session.post(
                    url, data=body, headers=headers, allow_redirects=False, timeout=TIMEOUT
                ) as answer:
                    heard = answer.status == 202
            except ClientError, TimeoutError, OSError:
                heard = False
        self.heard += heard
        self.missed += not heard
