"""How a portfolio that may be followed is found in its own network, and what others announce there.

Zeroconf is imported where it is used only: without it Home Assistant does not have what it needs.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.network import NoURLAvailableError, get_url
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo

from ..const import CONF_LEADER_ID, CONF_LEADER_URL, LOGGER
from ..form_input import InvalidInput, checked_url
from ..settings import further_sources
from ..trading.leading.keys import leader_id
from ..trading.leading.link import address, leader_of_address

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceInfo

TYPE: Final = "_calvalot._tcp.local."
ADDRESS: Final = "address"
ID: Final = "id"
# Bytes that a name may have, and that a value may, its key and some room left out.
MAX_NAME: Final = 63
MAX_VALUE: Final = 230
# Digits of a leader's id in its name: two portfolios of one Home Assistant are told apart.
DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A leader in the same network, as it announces itself: nothing of it is proven."""

    name: str
    leader: str
    url: str


class Announcement:
    """The announcement of one portfolio: its name, address and id, as long as it is wanted."""

    def __init__(self, hass: HomeAssistant, leader: str) -> None:
        """Announce nothing before `async_set`."""
        self._hass = hass
        self._leader = leader
        self._lock = asyncio.Lock()
        self._info: AsyncServiceInfo | None = None

    async def async_set(self, *, wanted: bool) -> None:
        """Announce the portfolio, or take that back; returns when the network has been told."""
        async with self._lock:
            if wanted and self._info is None:
                self._info = await self._announce()
            elif not wanted and self._info is not None:
                info, self._info = self._info, None
                await self._withdraw(info)

    async def _announce(self) -> AsyncServiceInfo | None:
        """What was announced; None where that cannot be."""
        if "zeroconf" not in self._hass.config.components:
            return None
        from homeassistant.components import network, zeroconf  # noqa: PLC0415
        from zeroconf import Error  # noqa: PLC0415
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

        url = self._url()
        if url is None:
            LOGGER.warning("A portfolio is not announced: Home Assistant knows no address of its own in this network")
            return None
        info = AsyncServiceInfo(
            TYPE,
            name=f"{_name(self._hass.config.location_name, self._leader)}.{TYPE}",
            server=f"{self._leader}.local.",
            parsed_addresses=await network.async_get_announce_addresses(self._hass),
            port=self._hass.http.server_port,
            properties={ID: self._leader, ADDRESS: url},
        )
        multicast = await zeroconf.async_get_async_instance(self._hass)
        try:
            await (await multicast.async_register_service(info, allow_name_change=True))
        except (Error, OSError) as err:
            LOGGER.warning("A portfolio could not be announced: %s", type(err).__name__)
            return None
        return info

    async def _withdraw(self, info: AsyncServiceInfo) -> None:
        from homeassistant.components import zeroconf  # noqa: PLC0415

        multicast = await zeroconf.async_get_async_instance(self._hass)
        await (await multicast.async_unregister_service(info))

    def _url(self) -> str | None:
        """Where the portfolio is followed from the same network; None where no address is known, or it is too long."""
        try:
            base = get_url(self._hass, allow_external=False, allow_cloud=False)
        except NoURLAvailableError:
            return None
        url = address(base, self._leader)
        return url if len(url.encode()) <= MAX_VALUE else None


def announced(info: ZeroconfServiceInfo) -> Announced | None:
    """What somebody in the network announces; None where that is no leader whose address may be asked without consent."""
    leader, url = info.properties.get(ID), info.properties.get(ADDRESS)
    if not isinstance(leader, str) or not isinstance(url, str):
        return None
    try:
        url = checked_url(url, CONF_LEADER_URL, accept_plain_http=False)
    except InvalidInput:
        return None
    name = info.name.removesuffix(f".{info.type}")
    return Announced(name=name, leader=leader, url=url) if leader_of_address(url) == leader else None


def leads(entries: Iterable[ConfigEntry[Any]], leader: str) -> bool:
    """Whether a leader is one of these portfolios."""
    return any(leader_id(entry.entry_id) == leader for entry in entries)


def is_followed(entries: Iterable[ConfigEntry[Any]], leader: str) -> bool:
    """Whether one of these portfolios follows a leader already, at whichever address."""
    return any(
        leader in (stored.get(CONF_LEADER_ID), leader_of_address(stored.get(CONF_LEADER_URL, "")))
        for entry in entries
        for stored in (entry.data, *(each.data for each in further_sources(entry).values()))
    )


def _name(location: str, leader: str) -> str:
    """A name as the network takes one: without dots, and not too long."""
    digits = leader[:DIGITS]
    room = MAX_NAME - len(digits) - 1
    place = location.replace(".", " ").encode()[:room].decode(errors="ignore").strip()
    return f"{place} {digits}".strip()
