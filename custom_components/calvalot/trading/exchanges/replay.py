"""An exchange of the past: paper whose prices are those of candles, and whose clock is theirs."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import override

from ..errors import ExchangeUnavailable
from .base import AccountId, Balance, Side, SymbolRules
from .paper import USUAL, Costs, PaperExchange


class ReplayExchange(PaperExchange):
    """Paper at the prices that it is shown: it is its own market. Nobody is asked for anything."""

    name = "replay"

    def __init__(self, rules: Mapping[str, SymbolRules], fee_coin: str | None = None, costs: Costs = USUAL) -> None:
        """`rules` by symbol are those that orders are bound by; `fee_coin` is the coin that fees may be taken in."""
        self.fee_coin = fee_coin
        self.time = datetime.fromtimestamp(0, UTC)
        super().__init__(self, lambda: self.time, costs=costs)
        self._rules = dict(rules)
        self._at_limit = frozenset[str]()

    def show(self, time: datetime, prices: Mapping[str, Decimal], at_limit: frozenset[str] = frozenset()) -> None:
        """Be at a time (UTC), with these last prices by symbol; those of others stay as they were.

        Until the next time, symbols `at_limit` are traded by a limit that rested there: at that price, not a worse one.
        """
        self.time = time
        self._at_limit = at_limit
        self._prices |= prices

    @property
    @override
    def pause(self) -> float:
        return 0.0

    @override
    def _slipped(self, price: Decimal, side: Side, rules: SymbolRules) -> Decimal:
        return price if rules.symbol in self._at_limit else super()._slipped(price, side, rules)

    @override
    async def rules(self, symbols: Collection[str]) -> dict[str, SymbolRules]:
        return {symbol: rules for symbol, rules in self._rules.items() if symbol in symbols}

    @override
    async def prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        return {symbol: price for symbol, price in self._prices.items() if symbol in symbols and price}

    @override
    async def listed(self) -> frozenset[str]:
        return frozenset(self._rules)

    @override
    async def holdings(self) -> tuple[AccountId, dict[str, Balance]]:
        raise ExchangeUnavailable("the past has no account")
