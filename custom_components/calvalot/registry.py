"""Which kinds of source there are, and how those of an entry are made."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant

from .const import CONF_SOURCE
from .kinds.allocation import AllocationType
from .kinds.base import Fields, SourceType
from .kinds.leader import LeaderType
from .trading.signal import SourceKind
from .trading.sources.base import Source

_TYPES: tuple[SourceType, ...] = (
    LeaderType(),
    AllocationType(),
)
SOURCES: Final[Mapping[str, SourceType]] = {source.kind: source for source in _TYPES}


def type_of(data: Mapping[str, Any]) -> SourceType:
    """Kind of the first source of an entry."""
    return SOURCES[data.get(CONF_SOURCE, SourceKind.LEADER)]


def connection_of(entry: ConfigEntry[Any]) -> Mapping[str, Any]:
    """What of an entry cannot be changed without setting it up anew."""
    return dict(entry.data)


def fields_of(entry: ConfigEntry[Any]) -> Mapping[str, Mapping[str, Any]]:
    """What may be tuned of the sources of an entry, by their keys."""
    first = type_of(entry.data)
    return {first.kind: first.shown(Fields(options=entry.options))}


def sources_of(hass: HomeAssistant, entry: ConfigEntry[Any], version: str) -> Mapping[str, Source]:
    """The sources of an entry by their keys. Raises InvalidSettings."""
    first = type_of(entry.data)
    return {first.kind: first.build(hass, entry, version)}
