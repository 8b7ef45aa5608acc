"""Coins that are held back: sold by a stop or closed by hand, they are not bought again before their source changes its mind, or their owner says so."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
import json
from typing import Any

from .ledger.ledger import Ledger
from .settings import Settings
from .signal import SourceKind
from .sources.state import SourceState

# The fact that holds them: by coin since when, why, and the share that each source had for it by then.
HELD_BACK = "held_back"

type Held = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Sold:
    """A coin that a level of strategies has sold: the keys of those that do not know it yet, why, and when."""

    sources: tuple[str, ...]
    reason: str
    at: datetime


class HeldBack:
    """The coins of one portfolio that no source buys; written down in the ledger."""

    def __init__(
        self, settings: Settings, sources: Sequence[SourceState], ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._ledger = ledger
        self._clock = clock

    async def coins(self) -> tuple[str, ...]:
        """Coins that are held back, in order. Raises LedgerError."""
        return tuple(sorted(await self._read()))

    async def facts(self, held: Iterable[str], cause: str) -> Mapping[str, str]:
        """What is to be written down where all coins that are held, wanted or chosen are held back from now on."""
        targets = self._targets()
        coins = {*held, *self._settings.coins, *(coin for shares in targets.values() for coin in shares)}
        return {HELD_BACK: json.dumps(self._entries(coins, cause))}

    async def facts_with(self, coin: str, cause: str, sold: Sold | None = None) -> Mapping[str, str]:
        """What is to be written down where a coin is held back from now on; nothing where no source buys. Raises LedgerError.

        One that strategies are to know is `sold` is held back until they do.
        """
        if all(source.source.kind is SourceKind.MANUAL for source in self._sources):
            return {}
        entries = self._entries([coin], cause)
        if sold:
            entries[coin] |= {"untold": sold.sources, "reason": sold.reason, "at": sold.at.isoformat()}
        return {HELD_BACK: json.dumps({**await self._read(), **entries})}

    async def untold(self) -> Mapping[str, Sold]:
        """Coins that were sold, and which of the strategies that there are do not know it yet. Raises LedgerError."""
        return self._untold(await self._read())

    async def told(self, coin: str, key: str) -> None:
        """Release a coin that was sold, once each of the strategies knows it. Raises LedgerError."""
        held = await self._read()
        left = [each for each in self._untold(held)[coin].sources if each != key]
        if left:
            held[coin]["untold"] = left
        else:
            del held[coin]
        await self._write(held)

    async def compare(self) -> None:
        """Release the coins for which a source wants another share than when they were held back. Raises LedgerError."""
        if not (held := await self._read()):
            return
        targets, untold = self._targets(), self._untold(held)
        kept: Held = {}
        for coin, each in held.items():
            if coin in untold:
                kept[coin] = each
                continue
            now = {key: shares.get(coin, "0") for key, shares in targets.items()}
            before = each["targets"]
            if all(before.get(key, share) == share for key, share in now.items()):
                kept[coin] = {**each, "targets": {**before, **now}}
        if kept != held:
            await self._write(kept)

    async def release(self, coin: str) -> bool:
        """Let a coin be bought again; whether it was held back. Raises LedgerError."""
        held = await self._read()
        if held.pop(coin, None) is None:
            return False
        await self._write(held)
        return True

    # Inside

    def _entries(self, coins: Iterable[str], cause: str) -> Held:
        targets = self._targets()
        return {
            coin: {
                "since": self._clock().isoformat(),
                "cause": cause,
                "targets": {key: shares.get(coin, "0") for key, shares in targets.items()},
            }
            for coin in coins
        }

    def _targets(self) -> Mapping[str, Mapping[str, str]]:
        """Shares by coin that each source wants, as text; not of those that have not said."""
        told = {each.key: each.source.targets for source in self._sources for each in source.asked}
        return {
            key: {coin: f"{share.normalize():f}" for coin, share in targets.items() if share}
            for key, targets in told.items()
            if targets is not None
        }

    def _untold(self, held: Held) -> Mapping[str, Sold]:
        known = {each.key for source in self._sources for each in source.asked}
        return {
            coin: Sold(keys, each["reason"], datetime.fromisoformat(each["at"]))
            for coin, each in held.items()
            if (keys := tuple(key for key in each.get("untold", ()) if key in known))
        }

    async def _read(self) -> Held:
        known = await self._ledger.ask(self._ledger.fact, HELD_BACK)
        held: Held = json.loads(known) if known else {}
        return held

    async def _write(self, held: Held) -> None:
        await self._ledger.ask(self._ledger.remember, HELD_BACK, json.dumps(held) if held else None)
