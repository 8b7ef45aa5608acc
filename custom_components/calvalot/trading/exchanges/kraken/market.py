"""Kraken's pairs, prices and candles."""

from abc import abstractmethod
import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, override

from aiohttp import ClientSession

from ...errors import Refused
from ...market.candles import Candle, TimeFrame
from ..base import SymbolRules
from ..stream import StreamFormat
from .connection import KrakenConnection, UnknownPair
from .format import Listing, inverse, read_candles, read_listings, read_mapping, read_price
from .names import pair_name, turned_round
from .streams import KrakenStreams

# More symbols than that are read from a list of all.
MOST_SYMBOLS = 50
# Where some of them are not listed, no more than that are asked for one by one.
ONE_BY_ONE = 10
# Seconds between two questions for candles: nothing is in a hurry for them, and more than one a second is refused.
BETWEEN = 1.0


class KrakenMarket(KrakenConnection):
    """What everybody may ask."""

    time_frames = frozenset({TimeFrame.M1, TimeFrame.M5, TimeFrame.M15, TimeFrame.H1, TimeFrame.H4, TimeFrame.D1})

    def __init__(self, session: ClientSession, base_url: str, *keys: str, **options: Any) -> None:
        """As of every connection."""
        super().__init__(session, base_url, *keys, **options)
        self._listings: dict[str, Listing] = {}
        self.stream_format: StreamFormat = KrakenStreams(self._listing)
        self._turn = asyncio.Lock()
        self._fees: dict[str, Decimal] = {}

    async def rules(self, symbols: Collection[str]) -> dict[str, SymbolRules]:
        """Trading rules by symbol; symbols that are not listed are missing."""
        listings = await self._ask_listings(symbols)
        self._listings |= listings
        fees = await self._own_fees({symbol: each for symbol, each in listings.items() if not each.inverse})
        return {
            symbol: replace(each.rules, fee=fees[symbol]) if symbol in fees else each.rules
            for symbol, each in listings.items()
        }

    @abstractmethod
    async def _own_fees(self, listings: Mapping[str, Listing]) -> Mapping[str, Decimal]:
        """What the account pays at most, as fractions by symbol, as far as it is known."""

    async def _ask_listings(self, symbols: Collection[str]) -> dict[str, Listing]:
        if len(symbols) <= MOST_SYMBOLS:
            try:
                names = ",".join(pair_name(symbol) for symbol in sorted(symbols))
                return _chosen(await self._public("AssetPairs", read_listings, pair=names), symbols)
            except UnknownPair:
                # One unlisted name refuses the whole request.
                if len(symbols) == 1:
                    return await self._ask_inverse(*symbols)
            if len(symbols) <= ONE_BY_ONE:
                parts = [await self._ask_listings([symbol]) for symbol in sorted(symbols)]
                return {symbol: listing for part in parts for symbol, listing in part.items()}
        return _chosen(await self._public("AssetPairs", read_listings), symbols)

    async def _ask_inverse(self, symbol: str) -> dict[str, Listing]:
        if (turned := turned_round(symbol)) == symbol:
            return {}
        try:
            known = await self._public("AssetPairs", read_listings, pair=pair_name(turned))
        except UnknownPair:
            return {}
        return _chosen(known, [symbol])

    @override
    async def _prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        if unknown := [symbol for symbol in symbols if symbol not in self._listings]:
            self._listings |= await self._ask_listings(unknown)
        listings = {symbol: self._listings[symbol] for symbol in symbols if symbol in self._listings}
        if not listings:
            return {}
        names = sorted({listing.name for listing in listings.values()})
        asked = {} if len(names) > MOST_SYMBOLS else {"pair": ",".join(names)}
        return await self._public(
            "Ticker",
            lambda data: {
                symbol: price
                for symbol, listing in listings.items()
                if listing.key in read_mapping(data) and (price := read_price(listing, data[listing.key]))
            },
            **asked,
        )

    async def listed(self) -> frozenset[str]:
        """Every symbol that there is."""
        return frozenset(await self._public("AssetPairs", read_listings))

    async def candles(self, symbol: str, frame: TimeFrame, start: int, end: int) -> list[Candle]:
        """Of the last 720 candles those that opened from `start` to before `end` (Unix seconds), oldest first."""
        listing = await self._listing(symbol)
        async with self._turn:
            candles = await self._public(
                "OHLC",
                lambda data: read_candles(data[listing.key]),
                pair=listing.name,
                interval=str(frame.seconds // 60),
                since=str(start - 1),
            )
            await asyncio.sleep(BETWEEN)
        return [candle for candle in candles if start <= candle.opened < end]

    # Inside

    async def _listing(self, symbol: str) -> Listing:
        """Names and rules of a pair. Raises Refused where it is not listed, ExchangeError."""
        if symbol not in self._listings:
            self._listings |= await self._ask_listings([symbol])
        if symbol not in self._listings:
            raise Refused(f"{symbol} is not listed", 0)
        return self._listings[symbol]


def _chosen(known: Mapping[str, Listing], symbols: Collection[str]) -> dict[str, Listing]:
    """Those of some symbols; EUR against a stablecoin, which they have the other way round, for the rate."""
    found = {symbol: known[symbol] for symbol in symbols if symbol in known}
    turned = {symbol: turned_round(symbol) for symbol in symbols if symbol not in known}
    return found | {symbol: inverse(known[name]) for symbol, name in turned.items() if name in known}
