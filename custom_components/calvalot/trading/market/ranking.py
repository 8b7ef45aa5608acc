"""The ranks as all portfolios with one key know them: asked for once a day, kept on the disk."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
import json
import logging
from pathlib import Path

from .coinmarketcap import CoinMarketCap, RankError
from .ranks import Answer, Listed, Ranks

_LOGGER = logging.getLogger(__name__)
EVERY = timedelta(days=1)


class Ranking:
    """The last answers of the service, and what went wrong with the last question.

    The file may be deleted at any time; what it held counts for nothing then.
    """

    def __init__(self, service: CoinMarketCap, path: Path, clock: Callable[[], datetime]) -> None:
        self._service = service
        self._path = path
        self._clock = clock
        self._asking = asyncio.Lock()
        self._due: datetime | None = None
        self.ranks = Ranks()
        self.problem: RankError | None = None

    async def refresh(self) -> None:
        """Ask where a day has passed since the last answer; whatever goes wrong leaves the answers that are known."""
        async with self._asking:
            now = self._clock()
            if self._due is None:
                self.ranks = await asyncio.to_thread(self._read)
                self._due = self.ranks.answers[0].at + EVERY if self.ranks.answers else now
            if now < self._due:
                return
            try:
                listed = await self._service.listed()
            except RankError as err:
                self.problem, self._due = err, now + err.pause
                _LOGGER.warning("The ranks of the coins could not be had: %s", err)
                return
            self.problem, self._due = None, now + EVERY
            self.ranks = self.ranks.with_answer(now, listed)
            await asyncio.to_thread(self._write)

    # Inside

    def _read(self) -> Ranks:
        """What the file holds; nothing where it cannot be read."""
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            earlier = tuple(Answer.of(datetime.fromtimestamp(at, UTC), rows) for at, rows in document["earlier"])
            listed = [Listed(*row) for row in document["listed"]]
            return Ranks(earlier).with_answer(datetime.fromtimestamp(document["at"], UTC), listed)
        except FileNotFoundError:
            return Ranks()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
            _LOGGER.warning("The ranks in %s cannot be read: %s", self._path, err)
            return Ranks()

    def _write(self) -> None:
        """Keep the answers; where that fails they are kept in memory only."""
        newest, *earlier = self.ranks.answers
        document = {
            "at": newest.at.timestamp(),
            "listed": self.ranks.listed,
            "earlier": [(answer.at.timestamp(), answer.rows) for answer in earlier],
        }
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(document), encoding="utf-8")
            part.replace(self._path)
        except OSError as err:
            _LOGGER.warning("The ranks cannot be kept in %s: %s", self._path, err)
