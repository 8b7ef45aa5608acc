"""Ranks by market capitalisation: what a daily answer holds, and what several of them say of a coin. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

# Answers in a row after which a coin has dropped out, and the longest time between two that are in a row.
IN_A_ROW = 3
LONGEST_GAP = timedelta(days=2)
# The part of the ranks up to a limit that an answer must hold for what it lacks to be beyond that.
COMPLETE = Decimal("0.9")


class Listed(NamedTuple):
    """A coin as the service lists it; symbols are not unique, ids are."""

    id: int
    symbol: str
    name: str
    rank: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The ranks of one day by id, all of them in order, and the ids by symbol."""

    at: datetime
    ranks: Mapping[int, int]
    ordered: Sequence[int]
    ids: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, at: datetime, rows: Iterable[tuple[int, str, int]]) -> Answer:
        """An answer that came at a time: id, symbol and rank of each coin."""
        ranks: dict[int, int] = {}
        ids: dict[str, tuple[int, ...]] = {}
        for id_, symbol, rank in rows:
            ranks[id_] = rank
            ids[symbol] = (*ids.get(symbol, ()), id_)
        return cls(at, ranks, sorted(ranks.values()), ids)

    @property
    def rows(self) -> list[tuple[int, str, int]]:
        """What it was made of."""
        return [(id_, symbol, self.ranks[id_]) for symbol, ids in self.ids.items() for id_ in ids]

    def candidates(self, coin: str, confirmed: Mapping[str, int]) -> tuple[int, ...]:
        """Ids that a coin may have: the confirmed one, else all that are listed under its symbol."""
        return (confirmed[coin],) if coin in confirmed else self.ids.get(coin, ())

    def verdict(self, coin: str, max_rank: int, confirmed: Mapping[str, int]) -> bool | None:
        """Whether whatever a coin may be ranks beyond a limit; None where that differs or the answer is not complete."""
        # No id is 0: a coin that is not listed.
        verdicts = {self.beyond(each, max_rank) for each in self.candidates(coin, confirmed) or (0,)}
        return verdicts.pop() if len(verdicts) == 1 else None

    def beyond(self, id_: int, max_rank: int) -> bool | None:
        """Whether a coin ranks beyond a limit, as one does that is not listed; None where the answer is not complete."""
        if bisect_right(self.ordered, max_rank) < COMPLETE * max_rank:
            return None
        return self.ranks.get(id_, max_rank + 1) > max_rank


@dataclass(frozen=True, slots=True)
class Ranks:
    """The last answers, newest first, and all that the newest one lists."""

    answers: tuple[Answer, ...] = ()
    listed: Sequence[Listed] = ()

    def with_answer(self, at: datetime, listed: Sequence[Listed]) -> Ranks:
        """With another answer, the newest one."""
        newest = Answer.of(at, ((each.id, each.symbol, each.rank) for each in listed))
        return Ranks((newest, *self.answers[: IN_A_ROW - 1]), listed)

    def listed_as(self, coin: str) -> Sequence[Listed]:
        """What is listed under a symbol, best first."""
        return sorted((each for each in self.listed if each.symbol == coin), key=lambda each: each.rank)

    def beyond(self, coin: str, max_rank: int, confirmed: Mapping[str, int]) -> bool | None:
        """Whether a coin ranks beyond a limit by the newest answer; None where there is none, or it does not say.

        `confirmed` are ids by coin.
        """
        return self.answers[0].verdict(coin, max_rank, confirmed) if self.answers else None

    def is_ambiguous(self, coin: str, max_rank: int, confirmed: Mapping[str, int]) -> bool:
        """Whether one coin of a symbol is within the limit and another one is not."""
        if not self.answers:
            return False
        newest = self.answers[0]
        return {newest.beyond(each, max_rank) for each in newest.candidates(coin, confirmed)} == {True, False}

    def dropped_out(self, coin: str, max_rank: int, confirmed: Mapping[str, int]) -> bool:
        """Whether a coin has ranked beyond the limit in as many daily answers in a row as it takes."""
        answers = self.answers
        if len(answers) < IN_A_ROW or any(later.at - earlier.at > LONGEST_GAP for later, earlier in pairwise(answers)):
            return False
        return all(answer.verdict(coin, max_rank, confirmed) is True for answer in answers)
