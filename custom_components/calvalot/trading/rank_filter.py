"""Which coins a portfolio does not buy for their rank, and which it sells that have dropped out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from .market.coinmarketcap import RankError
from .market.ranking import Ranking
from .market.ranks import Listed, Ranks
from .settings import DroppedOut, Settings
from .sizing import Reason


class RankFilter:
    """The owner's limit, held against what the ranking says; `ranking` gives None where there is no limit.

    What the service did not say rules nothing out and sells nothing.
    """

    def __init__(self, settings: Settings, ranking: Callable[[], Ranking | None]) -> None:
        self._settings = settings
        self._of_owner = ranking

    @property
    def ranking(self) -> Ranking | None:
        """Where ranks are asked for; None without a limit."""
        return self._of_owner() if self._settings.max_rank else None

    @property
    def asked_at(self) -> datetime | None:
        """When the service answered last."""
        answers = self._ranks.answers
        return answers[0].at if answers else None

    @property
    def problem(self) -> RankError | None:
        """What went wrong with the last question."""
        return ranking.problem if (ranking := self.ranking) else None

    async def refresh(self) -> None:
        """Ask for the ranks where a day has passed."""
        if ranking := self.ranking:
            await ranking.refresh()

    def not_bought(self, coins: Collection[str]) -> Mapping[str, Reason]:
        """Coins that are not bought, with the reason."""
        ranks, most, ids = self._ranks, self._settings.max_rank or 0, self._settings.rank_ids
        unclear = dict.fromkeys(self.ambiguous(coins), Reason.RANK_UNCLEAR)
        return unclear | {coin: Reason.RANK for coin in coins if ranks.beyond(coin, most, ids)}

    def ambiguous(self, coins: Collection[str]) -> Mapping[str, Sequence[Listed]]:
        """Coins of whose symbol there are several, some of them within the limit, best first: their owner has to say which it is."""
        ranks, most, ids = self._ranks, self._settings.max_rank or 0, self._settings.rank_ids
        return {coin: ranks.listed_as(coin) for coin in sorted(coins) if ranks.is_ambiguous(coin, most, ids)}

    def sold(self, held: Collection[str]) -> tuple[str, ...]:
        """Coins that have dropped out, where their owner wants them sold."""
        if self._settings.dropped_out is not DroppedOut.SELL:
            return ()
        most, ids = self._settings.max_rank or 0, self._settings.rank_ids
        return tuple(sorted(coin for coin in held if self._ranks.dropped_out(coin, most, ids)))

    @property
    def _ranks(self) -> Ranks:
        ranking = self.ranking
        return ranking.ranks if ranking else Ranks()
