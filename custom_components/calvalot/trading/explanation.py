"""Why something came to an account or left it without a portfolio's order, and what the account's history says of that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from .decimals import ZERO


class Explanation(StrEnum):
    """Why something came or went: read in the account's history, seen in the books beside it, or said by the owner."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    CONVERSION = "conversion"
    DUST = "dust"
    TRADE = "trade"
    REWARD = "reward"
    PORTFOLIO = "portfolio"
    TRANSFER = "transfer"
    OTHER = "other"
    UNEXPLAINED = "unexplained"


# What an owner may say of what nothing explained.
SAID = tuple(each for each in Explanation if each is not Explanation.UNEXPLAINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One row of an account's history: by asset what came (positive) and what went, fees included.

    `reference` names it for good. A trade names its symbol and its order.
    """

    kind: Explanation
    reference: str
    time: datetime
    changes: Mapping[str, Decimal]
    symbol: str = ""
    order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A part of what came or went, and the rows that say so; what is taken in at the start needs no explanation."""

    quantity: Decimal
    explanation: Explanation | None
    references: tuple[str, ...] = ()


def explain(asset: str, quantity: Decimal, rows: Iterable[Movement], since: datetime) -> tuple[Explained, ...]:
    """What rows of the history explain a difference of one asset to the last digit, in parts by kind; none where they do not.

    That is all rows since a time together, or a single one, older ones too, where no row of another kind says the same: what is
    credited may bear an earlier time.
    """
    moved = [(row, change) for row in rows if (change := row.changes.get(asset))]
    lately = [(row, change) for row, change in moved if row.time >= since]
    if lately and sum((change for _, change in lately), ZERO) == quantity:
        kinds = dict.fromkeys(row.kind for row, _ in lately)
        parts = [_part(kind, [(row, change) for row, change in lately if row.kind is kind]) for kind in kinds]
        return tuple(part for part in parts if part.quantity)
    single = [(row, change) for row, change in moved if change == quantity]
    if len({row.kind for row, _ in single}) == 1:
        return (_part(single[0][0].kind, single[:1]),)
    return ()


def _part(kind: Explanation, rows: Sequence[tuple[Movement, Decimal]]) -> Explained:
    return Explained(
        quantity=sum((change for _, change in rows), ZERO),
        explanation=kind,
        references=tuple(row.reference for row, _ in rows),
    )
