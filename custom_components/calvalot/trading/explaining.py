"""Asks an account's history what explains a difference: once, the cheapest first, no more than it takes."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
import json

from .accounts import Accounts
from .errors import ExchangeError
from .exchanges.base import Exchange
from .exchanges.symbols import Pair
from .explanation import Explained, Explanation, Movement, explain
from .ledger.ledger import Ledger

# What is credited may bear an earlier time: rows of so long before count where one explains it alone.
BEFORE = timedelta(days=1)
# The clock of the exchange may be ahead of the house's: it is asked for rows of until so long after.
AHEAD = timedelta(days=1)
# Most pairs of coins of which trades are asked for, and names of rows that are remembered.
MOST_PAIRS = 10
MOST_USED = 500
# The fact that holds the names of rows that have explained something.
USED = "explained_by"
# The cheapest first; a withdrawal's row weighs as much as all of the others together.
_OF_WHAT_CAME = (Explanation.DEPOSIT, Explanation.REWARD, Explanation.DUST, Explanation.TRADE, Explanation.CONVERSION)
_OF_WHAT_LEFT = (Explanation.DUST, Explanation.TRADE, Explanation.CONVERSION, Explanation.WITHDRAWAL)


class Explainer:
    """Finds rows of the history that explain differences to the last digit."""

    def __init__(self, exchange: Exchange, ledger: Ledger, accounts: Accounts) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._accounts = accounts

    async def explain(
        self, differences: Mapping[str, Decimal], listed: Collection[str], since: datetime, now: datetime
    ) -> dict[str, tuple[Explained, ...]]:
        """Explanations by asset; what the history does not say, or says several ways, is unexplained. Raises LedgerError.

        `listed` are the symbols that there are.
        """
        used = set(await self._used())
        placed = await self._ledger.ask(self._ledger.placed) | await self._accounts.placed(self._ledger)
        rows: list[Movement] = []
        found: dict[str, tuple[Explained, ...]] = {}
        kinds = dict.fromkeys(
            kind
            for kinds, came in ((_OF_WHAT_CAME, True), (_OF_WHAT_LEFT, False))
            for kind in kinds
            if any((quantity > 0) is came for quantity in differences.values())
        )
        for kind in kinds:
            left = differences.keys() - found
            wanted = _OF_WHAT_CAME, _OF_WHAT_LEFT
            if not any(kind in wanted[differences[asset] < 0] for asset in left):
                continue
            pairs = _pairs(differences, left, listed) if kind is Explanation.TRADE else ()
            if kind is Explanation.TRADE and not pairs:
                continue
            try:
                answer = await self._exchange.movements(kind, pairs, since - BEFORE, now + AHEAD)
            except ExchangeError:
                continue
            rows += [row for row in answer if row.reference not in used and (row.symbol, row.order_id) not in placed]
            found = {
                asset: parts
                for asset, quantity in differences.items()
                if (parts := explain(asset, quantity, rows, since))
            }
        return {
            asset: found.get(asset) or (Explained(quantity=quantity, explanation=Explanation.UNEXPLAINED),)
            for asset, quantity in differences.items()
        }

    async def used(self, references: Collection[str]) -> dict[str, str]:
        """The fact that remembers what has explained something, with more of it. Raises LedgerError."""
        if not references:
            return {}
        known = dict.fromkeys((*await self._used(), *references))
        return {USED: json.dumps([*known][-MOST_USED:])}

    async def _used(self) -> list[str]:
        text = await self._ledger.ask(self._ledger.fact, USED)
        known: list[str] = json.loads(text) if text else []
        return known


def _pairs(differences: Mapping[str, Decimal], left: Collection[str], listed: Collection[str]) -> tuple[Pair, ...]:
    """What may have been traded against what: one came and the other left, and one of them is not explained yet."""
    came = [asset for asset, quantity in differences.items() if quantity > 0]
    gone = [asset for asset, quantity in differences.items() if quantity < 0]
    each = [pair for a in came for b in gone for pair in (Pair(a, b), Pair(b, a)) if a in left or b in left]
    return tuple(sorted(pair for pair in each if pair.symbol in listed)[:MOST_PAIRS])
