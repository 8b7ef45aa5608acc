"""Stops and profits of strategies on the exchange: protections like those of the owner, as far as the exchange can hold them.

Everything else is watched by the strategy itself, in each cycle and on the stream.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from .exchanges.base import Exchange, OrderType, Side
from .frozen import Frozen
from .held_back import HeldBack
from .ledger.records import OrderRecord
from .protection import Protection, protection_of
from .protections import Protections
from .settings import Settings
from .sizing import Market
from .sources.blend_state import BlendState
from .sources.state import SourceState
from .sources.strategy import StrategySource
from .strategies.evaluator import Levels

NONE = Levels(None, None)


class StrategyStops:
    """Has the levels of strategies rest on the exchange, and strategies know what was sold there.

    One protection covers all that is held of a coin. So where several sources want it, what rests is the level at which each of
    them would have sold: the lowest stop and the highest profit, where all of them have one. The owner's own protection comes
    first.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[SourceState],
        exchange: Exchange,
        protections: Protections,
        held_back: HeldBack,
        frozen: Frozen,
        clock: Callable[[], datetime],
    ) -> None:
        """`sources` are those that decide: one, or a blend."""
        self._settings = settings
        self._sources = sources
        self._exchange = exchange
        self._protections = protections
        self._held_back = held_back
        self._frozen = frozen
        self._clock = clock

    async def tell(self) -> None:
        """Have strategies know, before they decide, what their levels have sold. Raises LedgerError."""
        strategies = self._strategies()
        for coin, sold in (await self._held_back.untold()).items():
            for key in sold.sources:
                if source := strategies.get(key):
                    source.sold[coin] = sold.reason, int(sold.at.timestamp())

    async def told(self) -> None:
        """Release what all of them know by now, and have written down. Raises LedgerError."""
        strategies = self._strategies()
        for coin, sold in (await self._held_back.untold()).items():
            for key in sold.sources:
                # Another kind of source in its place has no use for it.
                if (source := strategies.get(key)) is None or coin not in source.sold:
                    await self._held_back.told(coin, key)

    async def follow(self, market: Market, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Want what the levels ask for by now; the orders that were ended on the way. Raises LedgerError.

        Where a strategy wants nothing more of a coin its protection stays until the coin is sold. `prices` by asset value fees.
        """
        strategies, shares = self._strategies(), self._shares()
        levels = {key: None if source.progress is None else source.levels for key, source in strategies.items()}
        wanted = await self._protections.wanted()
        own = {coin for coin, protection in wanted.items() if protection.sources}
        coins = {coin for each in levels.values() for coin in each or ()}
        done: list[OrderRecord] = []
        for coin in sorted(coins | own):
            before = wanted.get(coin)
            if market.obstacle(coin) or (before and (before.close or not before.sources)):
                continue
            if not await self._protections.can_change(coin):
                continue
            keys = tuple(sorted(key for key, each in shares.items() if each.get(coin)))
            asked = self._asked(coin, before, keys, levels, market) if self._may_sell(coin) else None
            gone = before is not None and not strategies.keys() & set(before.sources)
            if before and (gone or asked is None):
                done += await self._protections.drop(coin, prices)
            elif (
                asked and not (before and before.asks == asked.asks) and await self._protections.is_worth(coin, market)
            ):
                # A level that moves often must not be refused as often.
                await self._protections.want(coin, replace(asked, watched=await self._protections.is_refused(coin)))
        return tuple(done)

    # Inside

    def _strategies(self) -> Mapping[str, StrategySource]:
        states = [each for source in self._sources for each in source.asked]
        return {each.key: each.source for each in states if isinstance(each.source, StrategySource)}

    def _may_sell(self, coin: str) -> bool:
        settings = self._settings
        return settings.only is not Side.BUY and coin not in settings.locked and coin not in self._frozen.of((coin,))

    def _shares(self) -> Mapping[str, Mapping[str, Decimal]]:
        """What each source wants by its last word, by its key."""
        found: dict[str, Mapping[str, Decimal]] = {}
        for source in self._sources:
            if isinstance(source, BlendState):
                found |= {part.key: part.shares for part in source.parts}
            else:
                found[source.key] = source.source.targets or {}
        return found

    def _asked(
        self,
        coin: str,
        before: Protection | None,
        keys: tuple[str, ...],
        levels: Mapping[str, Mapping[str, Levels] | None],
        market: Market,
    ) -> Protection | None:
        """What is to rest for a coin that sources with these keys want: None where nothing can, `before` where that stays as it is.

        `levels` are those of the strategies; None of one that was not heard yet since the start.
        """
        if not keys:
            return before
        if not levels.keys() >= set(keys):
            return None
        heard = [each.get(coin, NONE) for key in keys if (each := levels[key]) is not None]
        return before if len(heard) < len(keys) else self._protection(coin, before, heard, keys, market)

    def _protection(
        self,
        coin: str,
        before: Protection | None,
        levels: Sequence[Levels],
        keys: tuple[str, ...],
        market: Market,
    ) -> Protection | None:
        """The level at which each of them would have sold, as far as it can rest."""
        price, rules = market.prices[coin], market.rules[market.symbol(coin)]
        stops = [each.stop for each in levels if each.stop is not None]
        profits = [each.profit for each in levels if each.profit is not None]
        stop = min(stops) if len(stops) == len(levels) else None
        profit = max(profits) if len(profits) == len(levels) else None
        low, high = rules.bounds(Side.SELL, price) or (None, None)
        types = self._exchange.types
        if stop is not None and (
            OrderType.STOP_LOSS not in types or stop < rules.tick or (low is not None and stop < low)
        ):
            stop = None
        if profit is not None and (OrderType.LIMIT not in types or (high is not None and profit > high)):
            profit = None
        if stop is not None and not self._exchange.pairs:
            profit = None  # the one that stops a loss is the one that has to hold while the house is off
        wanted = protection_of(profit, stop, None, rules.tick, self._clock())
        if wanted is None:
            return None
        if wanted.is_reached(price):
            return before  # it is about to act, or the strategy has it sold
        reason = min(levels, key=lambda each: each.stop or 0).reason
        return replace(wanted, sources=keys, stop_reason=reason)
