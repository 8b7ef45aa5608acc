"""A leader that is followed."""

from collections.abc import Collection, Mapping
from typing import Any, override

from homeassistant.core import HomeAssistant
import voluptuous as vol
from yarl import URL

from ..const import CONF_ACCEPT_PLAIN_HTTP, CONF_LEADER_URL, CONF_SIGNAL_SECRET
from ..form_input import InvalidInput, checked_url
from ..selectors import PASSWORD_FIELD, URL_FIELD
from ..settings import leader_of, version
from ..trading.errors import LeaderForbidden, LeaderInvalidResponse, LeaderSignalsOff, LeaderUnreachable
from ..trading.signal import InvalidSignal, Signal, SourceKind
from ..trading.sources.leader import LeaderSource
from ..trading.sources.leader_format import parse_signal
from .base import Fields, SourceType


class LeaderType(SourceType):
    """Address and secret of a leader; both are tried with a signed request."""

    kind = SourceKind.LEADER
    secrets = (CONF_SIGNAL_SECRET,)

    @override
    def form(self, *, stored: bool, found: Collection[str] = ()) -> vol.Schema:
        """A secret that is stored may be left empty."""
        secret = vol.Optional if stored else vol.Required
        return vol.Schema({vol.Required(CONF_LEADER_URL): URL_FIELD, secret(CONF_SIGNAL_SECRET): PASSWORD_FIELD})

    @override
    async def check(self, hass: HomeAssistant, known: Fields, user_input: Mapping[str, Any]) -> Fields:
        """Ask the leader for its signal. Raises InvalidInput."""
        url = user_input[CONF_LEADER_URL]
        # What is stored already was consented to.
        accepts = user_input.get(CONF_ACCEPT_PLAIN_HTTP, False) or url == known.data.get(CONF_LEADER_URL)
        data = {
            CONF_LEADER_URL: checked_url(url, CONF_LEADER_URL, accept_plain_http=accepts),
            CONF_SIGNAL_SECRET: user_input.get(CONF_SIGNAL_SECRET, "").strip()
            or known.data.get(CONF_SIGNAL_SECRET, ""),
        }
        await check_leader(hass, data)
        return Fields(data=data)

    @override
    def build(self, hass: HomeAssistant, stored: Fields, version: str) -> LeaderSource:
        """The leader that is stored. Raises InvalidSettings."""
        return LeaderSource(leader_of(hass, stored.data, version))

    @override
    async def name(self, hass: HomeAssistant, data: Mapping[str, Any]) -> str:
        """The leader's host."""
        return URL(data[CONF_LEADER_URL]).host or ""

    @override
    async def first_signal(self, hass: HomeAssistant, stored: Fields, coins: Collection[str]) -> Signal | None:
        """Its latest signal. Raises LeaderError, InvalidSignal."""
        body = await leader_of(hass, stored.data, await version(hass)).fetch()
        return None if body is None else parse_signal(body, coins)

    @override
    def address(self, data: Mapping[str, Any]) -> str | None:
        """The leader's address."""
        return str(data[CONF_LEADER_URL])

    @override
    def identity(self, data: Mapping[str, Any]) -> str | None:
        """The leader's address: nobody follows a leader twice with the same money."""
        return str(data[CONF_LEADER_URL])


async def check_leader(hass: HomeAssistant, data: Mapping[str, Any]) -> None:
    """Ask the leader for its signal, signed. Raises InvalidInput."""
    leader = leader_of(hass, data, await version(hass))
    try:
        if (body := await leader.fetch()) is not None:
            parse_signal(body, ())
    except LeaderForbidden as err:
        errors = {CONF_SIGNAL_SECRET: "invalid_auth"}
        if err.clocks_differ:
            raise InvalidInput(errors | {"base": "clock_skew"}, seconds=f"{abs(err.clock_skew or 0):.0f}") from err
        raise InvalidInput(errors) from err
    except LeaderSignalsOff as err:
        raise InvalidInput({CONF_LEADER_URL: "signal_disabled"}) from err
    except LeaderUnreachable as err:
        raise InvalidInput({CONF_LEADER_URL: "cannot_connect"}) from err
    except LeaderInvalidResponse as err:
        raise InvalidInput({CONF_LEADER_URL: "invalid_response"}) from err
    except InvalidSignal as err:
        # With a signal_id the leader is the right one, whatever it says today.
        if err.signal_id is None:
            raise InvalidInput({CONF_LEADER_URL: "invalid_response"}) from err
