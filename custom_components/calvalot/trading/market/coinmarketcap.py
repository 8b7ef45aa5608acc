"""CoinMarketCap: which coins there are, by market capitalisation (coinmarketcap.com/api/documentation, cryptocurrency/map)."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
import json
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from .ranks import Listed

# Coins of one answer, the most that there may be; one answer costs one credit, however long it is.
MOST = 5000
TIMEOUT = ClientTimeout(total=10)
# Largest answer that is read, in bytes.
LARGEST = 8 * 1024 * 1024
# Codes of limits that a day, or a month, resets.
LONG_LIMITS = frozenset({1009, 1010})
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class RankError(Exception):
    """No answer; `key` says why for machines, the text for the log. Nothing is asked again before `pause` is over."""

    key = "no_answer"
    pause = HOUR


class RankKeyRefused(RankError):
    """The key is not valid, or its plan does not allow the question."""

    key = "key_refused"
    pause = DAY


class RankLimit(RankError):
    """Too many questions for the key's plan."""

    key = "pause_asked"

    def __init__(self, text: str, *, long: bool) -> None:
        super().__init__(text)
        self.pause = DAY if long else HOUR


class RankAnswerInvalid(RankError):
    """An answer that cannot be read."""

    key = "invalid_answer"


class CoinMarketCap:
    """The service, asked with one key."""

    def __init__(self, session: ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._key = key

    async def check(self) -> None:
        """See that the key is valid; costs nothing. Raises RankError."""
        await self._get("/v1/key/info", {})

    async def listed(self) -> tuple[Listed, ...]:
        """All that is ranked, best first. Raises RankError."""
        question = {
            "listing_status": "active",
            "sort": "cmc_rank",
            "start": "1",
            "limit": str(MOST),
            "aux": "is_active",
        }
        document = await self._get("/v1/cryptocurrency/map", question)
        try:
            return tuple(
                Listed(int(row["id"]), str(row["symbol"]).upper(), str(row["name"]), int(row["rank"]))
                for row in document["data"]
                if row["rank"]
            )
        except (KeyError, TypeError, ValueError) as err:
            raise RankAnswerInvalid("the list of coins cannot be read") from err

    async def _get(self, path: str, question: Mapping[str, str]) -> Mapping[str, Any]:
        headers = {"X-CMC_PRO_API_KEY": self._key, "Accept": "application/json"}
        try:
            async with self._session.get(
                f"{self._url}{path}", params=question, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as response:
                status, body = response.status, await response.content.read(LARGEST)
                while not response.content.at_eof() and len(body) < LARGEST:
                    body += await response.content.read(LARGEST - len(body))
        except (ClientError, TimeoutError, OSError) as err:
            raise RankError(type(err).__name__) from err
        document = await asyncio.to_thread(_document, body)
        code = _code(document)
        if status in {401, 402, 403}:
            raise RankKeyRefused(f"HTTP {status}, error {code}")
        if status == 429:
            raise RankLimit(f"HTTP {status}, error {code}", long=code in LONG_LIMITS)
        if status != 200:
            raise RankError(f"HTTP {status}, error {code}")
        if not isinstance(document, dict) or code:
            raise RankAnswerInvalid("no JSON object" if not isinstance(document, dict) else f"error {code}")
        return document


def _document(body: bytes) -> Any:
    """The body as JSON; None where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _code(document: Any) -> int:
    """The service's own error code; 0 where there is none."""
    try:
        return int(document["status"]["error_code"])
    except KeyError, TypeError, ValueError:
        return 0
