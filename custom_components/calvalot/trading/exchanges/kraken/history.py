"""An account's history on Kraken, as far as it tells why something came or went without an order of ours.

Rows of `Ledgers` say what changed a balance, of `TradesHistory` which order it was; 50 come at a time, newest first. A row that
cannot be read is left out: it may be of a kind that nobody knew yet.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ...decimals import ZERO
from ...explanation import Explanation, Movement
from ..connection import UNREADABLE
from ..symbols import Pair
from .connection import PATIENCE
from .format import read_amount, read_mapping, read_time
from .market import KrakenMarket
from .names import asset_of, pair_name

PAGE = 50
# So many pages at most: each adds two to the counter of the key.
MOST_PAGES = 5
# Types of rows; not all of them can be asked for (docs.kraken.com, Get Ledgers Info), others are picked out of all.
_TYPES: Mapping[Explanation, frozenset[str]] = {
    Explanation.DEPOSIT: frozenset({"deposit"}),
    Explanation.WITHDRAWAL: frozenset({"withdrawal"}),
    Explanation.CONVERSION: frozenset({"spend", "receive", "conversion"}),
    Explanation.REWARD: frozenset({"staking", "dividend", "reward", "earn"}),
}
_ASKED_FOR = frozenset({Explanation.DEPOSIT, Explanation.WITHDRAWAL})


class KrakenHistory(KrakenMarket):
    """What an account's history says."""

    async def movements(
        self, kind: Explanation, pairs: Collection[Pair], since: datetime, until: datetime
    ) -> tuple[Movement, ...]:
        """Rows of one kind from one time to another; trades are those of some pairs. Raises ExchangeError."""
        span = {"start": str(int(since.timestamp()) - 1), "end": str(int(until.timestamp()) + 1)}
        if kind is Explanation.TRADE:
            names = {pair_name(pair.symbol): pair for pair in pairs}
            return tuple(
                _each(await self._rows("TradesHistory", "trades", span), lambda name, row: _trade(name, row, names))
            )
        if not (types := _TYPES.get(kind)):
            return ()
        filtered = {"type": kind.value} if kind in _ASKED_FOR else {}
        by_reference: dict[str, list[Mapping[str, Any]]] = {}
        for _, row in await self._rows("Ledgers", "ledger", {**span, **filtered}):
            if row.get("type") in types:
                by_reference.setdefault(str(row.get("refid")), []).append(row)
        return tuple(_each(by_reference.items(), lambda reference, rows: _movement(kind, reference, rows)))

    async def _rows(self, name: str, part: str, asked: Mapping[str, str]) -> list[tuple[str, Mapping[str, Any]]]:
        """The rows of a span of time, newest first, as far back as is read."""
        found: list[tuple[str, Mapping[str, Any]]] = []
        for page in range(MOST_PAGES):
            params = {**asked, "ofs": str(page * PAGE)}
            rows = await self._private(
                name, lambda data: [*read_mapping(data[part]).items()], params, cost=2, patience=PATIENCE
            )
            found += rows
            if len(rows) < PAGE:
                break
        return found


def _each[T](rows: Iterable[tuple[str, T]], read: Callable[[str, T], Movement | None]) -> Iterator[Movement]:
    """Rows that can be read, one by one."""
    for name, row in rows:
        try:
            movement = read(name, row)
        except UNREADABLE:
            continue
        if movement:
            yield movement


def _movement(kind: Explanation, reference: str, rows: list[Mapping[str, Any]]) -> Movement | None:
    """What rows of one reference changed together; none where one only went from what earns rewards to the rest, or back."""
    changes: dict[str, Decimal] = {}
    for row in rows:
        asset = asset_of(row["asset"])
        changes[asset] = changes.get(asset, ZERO) + Decimal(str(row["amount"])) - read_amount(row["fee"])
    if not any(changes.values()):
        return None
    return Movement(
        kind=kind, reference=f"{kind} {reference}", time=read_time(max(row["time"] for row in rows)), changes=changes
    )


def _trade(trade_id: str, row: Mapping[str, Any], pairs: Mapping[str, Pair]) -> Movement | None:
    name = str(row["pair"])
    pair = next((pair for each, pair in pairs.items() if name in {each, _key(pair)}), None)
    if pair is None:
        return None
    sign = 1 if row["type"] == "buy" else -1
    changes = {pair.base: sign * read_amount(row["vol"]), pair.quote: -sign * read_amount(row["cost"])}
    changes[pair.quote] -= read_amount(row["fee"])
    return Movement(
        kind=Explanation.TRADE,
        reference=f"trade {trade_id}",
        time=read_time(row["time"]),
        changes=changes,
        symbol=pair.symbol,
        order_id=str(row["ordertxid"]),
    )


def _key(pair: Pair) -> str:
    """Name of a pair of the first days in answers: XXBTZEUR."""
    name = pair_name(pair.symbol)
    quote = pair.quote
    return f"X{name.removesuffix(quote)}Z{quote}"
