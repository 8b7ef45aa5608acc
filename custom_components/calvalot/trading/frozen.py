"""Coins that count and are never traded: those that the owner named, and in a wallet all that no source gives a share."""

from collections.abc import Collection, Sequence

from .settings import Scope, Settings
from .sources.state import SourceState


class Frozen:
    """Knows which coins are frozen; a share of 0 is a share."""

    def __init__(self, settings: Settings, sources: Sequence[SourceState]) -> None:
        """`sources` are those that say shares, each by itself."""
        self._settings = settings
        self._sources = sources

    def of(self, held: Collection[str]) -> frozenset[str]:
        """Coins that are not traded, among them those of some that are held."""
        if self._settings.scope is not Scope.WALLET:
            return self._settings.frozen
        named = {coin for state in self._sources for coin in state.source.targets or ()}
        return self._settings.frozen | (frozenset(held) - named)
