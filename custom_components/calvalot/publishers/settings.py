"""What the publishers of an entry store."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant

from ..const import DOMAIN, PUBLISHER
from ..trading.leading.answers import Follower

CONF_TRANSPORT: Final = "transport"
CONF_FOLLOWER: Final = "follower"
CONF_SECRET: Final = "secret"  # noqa: S105
CONF_VERSION: Final = "version"
CONF_DELAY: Final = "delay"
CONF_WEBHOOK: Final = "webhook"
CONF_RENEW: Final = "renew"
CONF_TOPIC: Final = "topic"
CONF_ANNOUNCE: Final = "announce"


class Transport(StrEnum):
    """How a follower hears of a signal."""

    HTTP = "http"
    MQTT = "mqtt"


def publishers_of(entry: ConfigEntry[Any]) -> list[ConfigSubentry]:
    """The publishers of an entry."""
    return [subentry for subentry in entry.subentries.values() if subentry.subentry_type == PUBLISHER]


def followers_of(entry: ConfigEntry[Any]) -> list[Follower]:
    """Those who may ask over HTTP."""
    return [
        Follower(
            key=subentry.subentry_id,
            secret=subentry.data[CONF_SECRET],
            version=int(subentry.data[CONF_VERSION]),
            delay=delay_of(subentry),
            webhook=subentry.data.get(CONF_WEBHOOK, ""),
        )
        for subentry in publishers_of(entry)
        if subentry.data[CONF_TRANSPORT] == Transport.HTTP
    ]


def is_announced(entry: ConfigEntry[Any]) -> bool:
    """Whether a follower over HTTP may find the portfolio in its own network."""
    return any(subentry.data.get(CONF_ANNOUNCE, False) for subentry in publishers_of(entry))


def topics_of(entry: ConfigEntry[Any]) -> list[tuple[str, timedelta]]:
    """Topics that are published to, each with how much later."""
    return [
        (subentry.data[CONF_TOPIC], delay_of(subentry))
        for subentry in publishers_of(entry)
        if subentry.data[CONF_TRANSPORT] == Transport.MQTT
    ]


def delay_of(subentry: ConfigSubentry) -> timedelta:
    """How much later a publisher publishes."""
    return timedelta(minutes=float(subentry.data[CONF_DELAY]))


def published_path(hass: HomeAssistant, entry_id: str) -> Path:
    """Where the publications of an entry lie, away from the ledgers."""
    return Path(hass.config.path(DOMAIN, "published", f"{entry_id}.db"))
