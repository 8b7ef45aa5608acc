"""Which kinds of source there are, and how those of an entry are made."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant

from .const import CONF_COINS, CONF_PAUSED, CONF_WEIGHT
from .kinds.alerts import AlertsType
from .kinds.allocation import AllocationType
from .kinds.base import Fields, SourceType
from .kinds.leader import LeaderType
from .kinds.manual import ManualType
from .kinds.strategy import StrategyType
from .settings import first_key, further_sources, weights_of
from .trading.decimals import HUNDRED
from .trading.leading.keys import leader_id
from .trading.sources.base import Source

_TYPES: tuple[SourceType, ...] = (
    LeaderType(),
    AllocationType(),
    StrategyType(),
    AlertsType(),
    ManualType(),
)
SOURCES: Final[Mapping[str, SourceType]] = {source.kind: source for source in _TYPES}


def type_of(data: Mapping[str, Any]) -> SourceType:
    """Kind of the first source of an entry."""
    return SOURCES[first_key(data)]


def kinds_of(entry: ConfigEntry[Any]) -> Mapping[str, SourceType]:
    """Kinds of the sources of an entry by their keys, the first one first."""
    first = type_of(entry.data)
    return {first.kind: first} | {
        subentry_id: SOURCES[subentry.subentry_type] for subentry_id, subentry in further_sources(entry).items()
    }


def stored_of(entry: ConfigEntry[Any], key: str) -> Fields:
    """What an entry stores of one of its sources."""
    if (subentry := entry.subentries.get(key)) is not None:
        return Fields(
            data=subentry.data, options=subentry.data, portfolio=entry.data, leader_id=leader_id(entry.entry_id)
        )
    return Fields(data=entry.data, options=entry.options, portfolio=entry.data, leader_id=leader_id(entry.entry_id))


def connection_of(entry: ConfigEntry[Any]) -> Mapping[str, Any]:
    """What of an entry cannot be changed without setting it up anew: what connects, and which sources there are."""
    weights = weights_of(entry)
    return {
        "data": dict(entry.data),
        "sources": {key: kind.kind for key, kind in kinds_of(entry).items()},
        "blend": len(weights) > 1 or set(weights.values()) != {HUNDRED},
    }


def fields_of(entry: ConfigEntry[Any]) -> Mapping[str, Mapping[str, Any]]:
    """What may be tuned of the sources of an entry, by their keys."""
    first = type_of(entry.data)
    own = {CONF_WEIGHT, CONF_PAUSED, CONF_COINS}
    further = {
        key: {name: value for name, value in subentry.data.items() if name not in own}
        for key, subentry in further_sources(entry).items()
    }
    return {first.kind: first.shown(Fields(options=entry.options)), **further}


def sources_of(hass: HomeAssistant, entry: ConfigEntry[Any], version: str) -> Mapping[str, Source]:
    """The sources of an entry by their keys. Raises InvalidSettings."""
    return {key: kind.build(hass, stored_of(entry, key), version) for key, kind in kinds_of(entry).items()}
