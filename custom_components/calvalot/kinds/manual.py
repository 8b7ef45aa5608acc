"""A portfolio without a source: its owner trades by hand."""

from collections.abc import Collection, Mapping
from typing import Any, override

from homeassistant.core import HomeAssistant
import voluptuous as vol

from ..texts import async_text
from ..trading.signal import SourceKind
from ..trading.sources.manual import ManualSource
from .base import Fields, SourceType


class ManualType(SourceType):
    """Nothing is asked for: orders say what they want. It decides alone, or not at all."""

    kind = SourceKind.MANUAL
    alone = True
    hidden = frozenset(
        {"rebalance_threshold", "max_signal_age", "entry_jitter", "silence_alert", "push", "push_url", "approval"}
    )

    @override
    def form(self, *, stored: bool, found: Collection[str] = ()) -> vol.Schema:
        """Without a field."""
        return vol.Schema({})

    @override
    async def check(self, hass: HomeAssistant, known: Fields, user_input: Mapping[str, Any]) -> Fields:
        """Nothing is stored."""
        return Fields()

    @override
    def build(self, hass: HomeAssistant, stored: Fields, version: str) -> ManualSource:
        """The source that says nothing."""
        return ManualSource()

    @override
    async def name(self, hass: HomeAssistant, data: Mapping[str, Any]) -> str:
        """That it is traded by hand."""
        return await async_text(hass, "setup_manual")

    @override
    async def first_signal(self, hass: HomeAssistant, stored: Fields, coins: Collection[str]) -> None:
        """Nothing is bought at once."""
