"""A leader that is followed."""

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Any, override

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
import voluptuous as vol
from yarl import URL

from ..const import (
    CONF_ACCEPT_PLAIN_HTTP,
    CONF_LEADER_ID,
    CONF_LEADER_KEY,
    CONF_LEADER_TOPIC,
    CONF_LEADER_URL,
    CONF_SIGNAL_SECRET,
)
from ..form_input import InvalidInput, checked_url
from ..publishers.announcement import Announced
from ..publishers.mqtt import async_has_mqtt
from ..selectors import PASSWORD_FIELD, URL_FIELD
from ..settings import InvalidSettings, leader_of, version
from ..trading.errors import LeaderForbidden, LeaderInvalidResponse, LeaderSignalsOff, LeaderUnreachable
from ..trading.leading.link import is_link, read_link
from ..trading.signal import InvalidSignal, Signal, SignalLoop, SourceKind
from ..trading.sources.feed import Feed
from ..trading.sources.feed_leader import FeedLeader
from ..trading.sources.leader import AsksLeader, LeaderSource
from ..trading.sources.leader_chain import ChainCheck, go_on, key_of
from ..trading.sources.leader_format import parse_signal
from .base import Fields, SourceType


class LeaderType(SourceType):
    """Address and secret of a leader; both are tried with a signed request."""

    kind = SourceKind.LEADER
    remote = True
    secrets = (CONF_SIGNAL_SECRET,)

    @override
    def form(self, *, stored: bool, found: Collection[str] = ()) -> vol.Schema:
        """A secret that is stored, or stands in a link, may be left empty."""
        return vol.Schema({vol.Required(CONF_LEADER_URL): URL_FIELD, vol.Optional(CONF_SIGNAL_SECRET): PASSWORD_FIELD})

    @override
    async def check(self, hass: HomeAssistant, known: Fields, user_input: Mapping[str, Any]) -> Fields:
        """Ask the leader for its signal. Raises InvalidInput."""
        url: str = user_input[CONF_LEADER_URL].strip()
        linked: dict[str, str] = {}
        if is_link(url):
            url, linked = _of_link(url)
        if not url and (topic := linked.get(CONF_LEADER_TOPIC) or known.data.get(CONF_LEADER_TOPIC)):
            # Nobody can be asked: what comes over the broker is checked as it comes.
            if not async_has_mqtt(hass):
                raise InvalidInput({CONF_LEADER_URL: "mqtt_missing"})
            kept = {key: known.data.get(key, "") for key in (CONF_LEADER_ID, CONF_LEADER_KEY)}
            return Fields(
                data={CONF_LEADER_URL: "", CONF_SIGNAL_SECRET: "", **kept, **linked, CONF_LEADER_TOPIC: topic}
            )
        # What is stored already was consented to.
        accepts = user_input.get(CONF_ACCEPT_PLAIN_HTTP, False) or url == known.data.get(CONF_LEADER_URL)
        data = {
            CONF_LEADER_URL: checked_url(url, CONF_LEADER_URL, accept_plain_http=accepts),
            CONF_SIGNAL_SECRET: user_input.get(CONF_SIGNAL_SECRET, "").strip()
            or known.data.get(CONF_SIGNAL_SECRET, ""),
            **linked,
        }
        if not data[CONF_SIGNAL_SECRET]:
            raise InvalidInput({CONF_SIGNAL_SECRET: "secret_missing"})
        if not linked and known.data.get(CONF_LEADER_KEY):
            # A key belongs to one leader.
            same = data[CONF_LEADER_URL] == known.data[CONF_LEADER_URL]
            data |= {
                key: known.data[key] if same else ""
                for key in (CONF_LEADER_ID, CONF_LEADER_KEY, CONF_LEADER_TOPIC)
                if key in known.data
            }
        await check_leader(hass, data, known.leader_id)
        return Fields(data=data)

    @override
    def build(self, hass: HomeAssistant, stored: Fields, version: str) -> LeaderSource:
        """The leader that is stored. Raises InvalidSettings."""
        return LeaderSource(asked_of(hass, stored.data, version), stored.leader_id, chain_of(stored.data))

    @override
    async def name(self, hass: HomeAssistant, data: Mapping[str, Any]) -> str:
        """The leader's host; without one what he is followed over."""
        return URL(data[CONF_LEADER_URL]).host or "MQTT"

    @override
    async def first_signal(self, hass: HomeAssistant, stored: Fields, coins: Collection[str]) -> Signal | None:
        """Its latest signal; not of one that cannot be asked. Raises LeaderError, InvalidSignal."""
        if not stored.data[CONF_LEADER_URL]:
            return None
        body = await leader_of(hass, stored.data, await version(hass)).fetch()
        return None if body is None else parse_signal(body, coins)

    @override
    def address(self, data: Mapping[str, Any]) -> str | None:
        """The leader's address; None of one who is followed over a broker only."""
        return str(data[CONF_LEADER_URL]) or None

    @override
    def identity(self, data: Mapping[str, Any]) -> str | None:
        """The leader's address: nobody follows a leader twice with the same money."""
        return str(data[CONF_LEADER_URL] or data.get(CONF_LEADER_ID))


def asked_of(hass: HomeAssistant, data: Mapping[str, Any], version: str) -> AsksLeader:
    """The leader that is stored, asked at his address, heard over a broker, or both. Raises InvalidSettings."""
    if not (topic := data.get(CONF_LEADER_TOPIC)):
        return leader_of(hass, data, version)
    return FeedLeader(Feed(topic), leader_of(hass, data, version) if data[CONF_LEADER_URL] else None)


def chain_of(data: Mapping[str, Any]) -> ChainCheck | None:
    """What checks the chain of a leader; None where his key is not held. Raises InvalidSettings."""
    try:
        return ChainCheck(data[CONF_LEADER_ID], data[CONF_LEADER_KEY]) if data.get(CONF_LEADER_KEY) else None
    except ValueError as err:
        raise InvalidSettings(CONF_LEADER_KEY) from err


def _of_link(text: str) -> tuple[str, dict[str, str]]:
    """Address and fields of a leader's link. Raises InvalidInput."""
    try:
        link = read_link(text)
    except ValueError as err:
        raise InvalidInput({CONF_LEADER_URL: "invalid_link"}) from err
    keyed = {CONF_LEADER_ID: link.leader, CONF_LEADER_KEY: link.key}
    topic = {CONF_LEADER_TOPIC: link.topic} if link.topic else {}
    return link.url, {CONF_SIGNAL_SECRET: link.secret, **(keyed if link.key else {}), **topic}


async def check_announced(hass: HomeAssistant, found: Announced, secret: str) -> Fields:
    """Ask a leader that announces itself for its key and its signal, and prove that it holds the secret. Raises InvalidInput."""
    data = {CONF_LEADER_URL: found.url, CONF_SIGNAL_SECRET: secret.strip()}
    if not data[CONF_SIGNAL_SECRET]:
        raise InvalidInput({CONF_SIGNAL_SECRET: "secret_missing"})
    with _problems():
        key = key_of(await leader_of(hass, data, await version(hass)).figures(), found.leader)
    if key:
        data |= {CONF_LEADER_ID: found.leader, CONF_LEADER_KEY: key}
    await check_leader(hass, data, "")
    return Fields(data=data)


async def check_leader(hass: HomeAssistant, data: Mapping[str, Any], own_id: str) -> None:
    """Ask the leader for its signal, signed. Raises InvalidInput."""
    leader = leader_of(hass, data, await version(hass))
    with _problems():
        if (body := await leader.fetch()) is not None:
            if check := chain_of(data):
                go_on(None, [check.link(body)], dt_util.utcnow(), whole=False)
            parse_signal(body, (), own_id)


@contextmanager
def _problems() -> Generator[None]:
    """What is wrong with a leader, at the field that it belongs to. Raises InvalidInput."""
    try:
        yield
    except SignalLoop as err:
        raise InvalidInput({CONF_LEADER_URL: "signal_loop"}) from err
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
