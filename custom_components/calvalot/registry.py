"""Which kinds of source there are, and how those of an entry are made."""

from collections.abc import Mapping
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant

from .settings import leader_of
from .trading.signal import SourceKind
from .trading.sources.base import Source
from .trading.sources.leader import LeaderSource


def sources_of(hass: HomeAssistant, entry: ConfigEntry[Any], version: str) -> Mapping[str, Source]:
    """The sources of an entry by their keys. Raises InvalidSettings."""
    return {SourceKind.LEADER: LeaderSource(leader_of(hass, entry.data, version))}
