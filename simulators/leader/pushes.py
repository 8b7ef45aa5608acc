"""How a leader tells its followers that it has a new signal."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

TIMEOUT = ClientTimeout(total=10)


@dataclass(slots=True)
class Push:
    """One push; `time` is what was signed, in Unix seconds, `status` None = no answer (yet)."""

    url: str
    time: int
    signal_id: str
    status: int | None = None


class Pusher:
    """Calls webhooks, all at once, each once; a push that gets lost is made up for by the follower's next poll."""

    def __init__(self, sign: Callable[[bytes], str]) -> None:
        self._sign = sign
        self.urls: tuple[str, ...] = ()
        self.pushes: list[Push] = []
        self._session: ClientSession | None = None
        self._calls: set[asyncio.Task[None]] = set()

    def set_webhooks(self, urls: Sequence[str]) -> None:
        """Push to these from now on."""
        self.urls = tuple(urls)

    def push(self, time: int, signal_id: str) -> None:
        """Tell every webhook of a signal; does not wait for the answers."""
        for url in self.urls:
            push = Push(url, time, signal_id)
            self.pushes.append(push)
            call = asyncio.create_task(self._call(push))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def settled(self) -> None:
        """Wait until every call is over."""
        await asyncio.gather(*self._calls)

    async def stop(self) -> None:
        """Give up what is not answered yet."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._session:
            await self._session.close()
            self._session = None

    async def _call(self, push: Push) -> None:
        # The id makes two pushes of the same second different.
        body = push.signal_id.encode()
        message = f"{push.time}\nPOST\n{URL(push.url).path}\n".encode() + body
        headers = {
            "X-Signal-Timestamp": str(push.time),
            "X-Signal-Signature": self._sign(message),
        }
        self._session = self._session or ClientSession(timeout=TIMEOUT)
        try:
            async with self._session.post(push.url, data=body, headers=headers, allow_redirects=False) as answer:
                push.status = answer.status
        except ClientError, TimeoutError:
            return
