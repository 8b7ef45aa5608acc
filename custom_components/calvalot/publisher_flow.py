"""The flow by which an owner lets others follow a portfolio, and changes that; it is taken back by removing it."""

from collections.abc import Mapping
from contextlib import suppress
import secrets
from typing import Any, Final

from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.helpers.network import NoURLAvailableError, get_url
from homeassistant.helpers.selector import (
    BooleanSelector,
    QrCodeSelector,
    QrCodeSelectorConfig,
    QrErrorCorrectionLevel,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)
import voluptuous as vol

from . import forms
from .const import DOMAIN
from .form_input import InvalidInput, checked_url
from .publishers.mqtt import async_has_mqtt
from .publishers.publishers import LEADERS
from .publishers.settings import (
    CONF_ANNOUNCE,
    CONF_DELAY,
    CONF_FOLLOWER,
    CONF_RENEW,
    CONF_SECRET,
    CONF_TOPIC,
    CONF_TRANSPORT,
    CONF_VERSION,
    CONF_WEBHOOK,
    Transport,
    published_path,
    publishers_of,
)
from .selectors import URL_FIELD
from .trading.leading.keys import fingerprint, leader_id
from .trading.leading.link import Link, address
from .trading.leading.store import PublicationError, PublicationStore

CONF_LINK: Final = "link"
CONF_ADDRESS: Final = "address"
CONF_QR: Final = "qr_code"
VERSIONS: Final = ("2", "1")
DELAY: Final = forms.Number(key=CONF_DELAY, default=0, minimum=0, maximum=1440, unit="min")
VERSION_FIELD: Final = SelectSelector(
    SelectSelectorConfig(options=list(VERSIONS), translation_key="signal_version", mode=SelectSelectorMode.DROPDOWN)
)
MAX_TOPIC: Final = 200


class PublisherSubentryFlow(ConfigSubentryFlow):
    """Lets one follower ask over HTTP, with a secret of his own, or publishes to a topic of a broker."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._data: dict[str, Any] = {}
        self._made: Mapping[str, str] = {}
        self._fingerprint = ""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:  # noqa: ARG002
        """Ask how it is published."""
        return self.async_show_menu(step_id="user", menu_options=[transport.value for transport in Transport])

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask what to change."""
        if self._stored[CONF_TRANSPORT] == Transport.MQTT:
            return await self.async_step_reconfigure_mqtt(user_input)
        return await self._ask_http("reconfigure", user_input)

    async def async_step_http(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask who may follow."""
        return await self._ask_http("http", user_input)

    async def async_step_mqtt(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask which topic."""
        if not async_has_mqtt(self.hass):
            return self.async_abort(reason="mqtt_missing")
        return await self._ask_mqtt("mqtt", user_input)

    async def async_step_reconfigure_mqtt(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask what to change of a topic."""
        return await self._ask_mqtt("reconfigure_mqtt", user_input)

    async def async_step_copy(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Show what the follower has to be given: a secret is shown this once."""
        if user_input is not None:
            return self._finish()
        code = QrCodeSelector(
            QrCodeSelectorConfig(
                data=self._made[CONF_LINK], scale=4, error_correction_level=QrErrorCorrectionLevel.MEDIUM
            )
        )
        schema = forms.copied(self._made).extend({vol.Optional(CONF_QR): code})
        return self.async_show_form(
            step_id="copy",
            data_schema=self.add_suggested_values_to_schema(schema, self._made),
            description_placeholders={"fingerprint": self._fingerprint or "–"},
        )

    @property
    def _stored(self) -> Mapping[str, Any]:
        """What is stored of the publisher that is changed; nothing of a new one."""
        return self._get_reconfigure_subentry().data if self.source == SOURCE_RECONFIGURE else {}

    async def _ask_http(self, step_id: str, user_input: dict[str, Any] | None) -> SubentryFlowResult:
        errors: dict[str, str] = {}
        stored = self._stored
        if user_input is not None:
            try:
                self._data = _http(stored, user_input)
                if self._data[CONF_SECRET] == stored.get(CONF_SECRET):
                    return self._finish()
                await self._make_http()
                return await self.async_step_copy()
            except InvalidInput as err:
                errors = err.errors
            except PublicationError:
                errors = {"base": "not_writable"}
        schema = vol.Schema(
            {
                vol.Required(CONF_FOLLOWER): TextSelector(),
                vol.Required(CONF_VERSION, default=VERSIONS[0]): VERSION_FIELD,
                DELAY.marker: DELAY.selector(""),
                vol.Optional(CONF_WEBHOOK): URL_FIELD,
                vol.Required(CONF_ANNOUNCE, default=False): BooleanSelector(),
                **({vol.Required(CONF_RENEW, default=False): BooleanSelector()} if stored else {}),
            }
        )
        shown = user_input or {key: value for key, value in stored.items() if key != CONF_SECRET}
        return self.async_show_form(
            step_id=step_id, data_schema=self.add_suggested_values_to_schema(schema, shown), errors=errors
        )

    async def _ask_mqtt(self, step_id: str, user_input: dict[str, Any] | None) -> SubentryFlowResult:
        errors: dict[str, str] = {}
        leader = leader_id(self._get_entry().entry_id)
        if user_input is not None:
            try:
                self._data = _mqtt(user_input)
                self._check_topic(self._data[CONF_TOPIC])
                key = await self._public_key()
                self._made = {CONF_LINK: Link(leader=leader, key=key, topic=self._data[CONF_TOPIC]).text}
                self._fingerprint = fingerprint(key)
                return await self.async_step_copy()
            except InvalidInput as err:
                errors = err.errors
            except PublicationError:
                errors = {"base": "not_writable"}
        schema = vol.Schema({vol.Required(CONF_TOPIC): TextSelector(), DELAY.marker: DELAY.selector("")})
        shown = user_input or {CONF_TOPIC: f"calvalot/{leader}", **self._stored}
        return self.async_show_form(
            step_id=step_id, data_schema=self.add_suggested_values_to_schema(schema, shown), errors=errors
        )

    def _check_topic(self, topic: str) -> None:
        """See that nobody else here publishes under a topic. Raises InvalidInput."""
        own = self._get_reconfigure_subentry().subentry_id if self.source == SOURCE_RECONFIGURE else None
        for entry in self.hass.config_entries.async_entries(DOMAIN):
            for publisher in publishers_of(entry):
                if publisher.subentry_id != own and publisher.data.get(CONF_TOPIC) == topic:
                    raise InvalidInput({CONF_TOPIC: "topic_taken"})

    async def _make_http(self) -> None:
        """What the follower is to be given. Who gets moves gets no key: the chain says allocations. Raises PublicationError."""
        leader, secret = leader_id(self._get_entry().entry_id), self._data[CONF_SECRET]
        public_key = await self._public_key()
        key = public_key if self._data[CONF_VERSION] == VERSIONS[0] else ""
        url = address(self._base(), leader)
        link = Link(leader=leader, url=url, secret=secret, key=key)
        self._made = {CONF_LINK: link.text, CONF_ADDRESS: url, CONF_SECRET: secret}
        self._fingerprint = fingerprint(key) if key else ""

    def _base(self) -> str:
        """The address of this Home Assistant that a follower is given; where none is known, the one that its owner is at."""
        for here in (False, True):
            with suppress(NoURLAvailableError):
                return get_url(self.hass, prefer_external=not here, require_current_request=here)
        return ""

    async def _public_key(self) -> str:
        """The key of the portfolio's chain, which is made where there is none. Raises PublicationError."""
        entry_id = self._get_entry().entry_id
        publishers = self.hass.data.get(LEADERS, {}).get(leader_id(entry_id))
        if publishers and publishers.leading and publishers.problem is None:
            return publishers.leading.public_key
        store = PublicationStore(published_path(self.hass, entry_id))
        await self.hass.async_add_executor_job(store.open)
        return store.public_key

    def _finish(self) -> SubentryFlowResult:
        entry, title = self._get_entry(), self._data.get(CONF_FOLLOWER) or f"MQTT {self._data[CONF_TOPIC]}"
        if self.source == SOURCE_RECONFIGURE:
            subentry = self._get_reconfigure_subentry()
            return self.async_update_and_abort(entry, subentry, data=self._data, title=title)
        return self.async_create_entry(title=title, data=self._data)


def _delay(user_input: Mapping[str, Any]) -> float:
    if error := DELAY.error(user_input[CONF_DELAY]):
        raise InvalidInput({CONF_DELAY: error})
    delay: float = user_input[CONF_DELAY]
    return delay


def _http(stored: Mapping[str, Any], user_input: Mapping[str, Any]) -> dict[str, Any]:
    """A follower over HTTP as it is stored, with a new secret where there is none or another is wanted. Raises InvalidInput."""
    if not (name := user_input[CONF_FOLLOWER].strip()):
        raise InvalidInput({CONF_FOLLOWER: "name_missing"})
    webhook = user_input.get(CONF_WEBHOOK, "").strip()
    secret = "" if user_input.get(CONF_RENEW) else stored.get(CONF_SECRET, "")
    return {
        CONF_TRANSPORT: Transport.HTTP.value,
        CONF_FOLLOWER: name,
        CONF_VERSION: user_input[CONF_VERSION],
        CONF_DELAY: _delay(user_input),
        CONF_WEBHOOK: webhook and checked_url(webhook, CONF_WEBHOOK, accept_plain_http=True),
        CONF_ANNOUNCE: user_input.get(CONF_ANNOUNCE, False),
        CONF_SECRET: secret or secrets.token_urlsafe(32),
    }


def _mqtt(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """A topic as it is stored. Raises InvalidInput."""
    topic = user_input[CONF_TOPIC].strip().strip("/")
    if not topic or len(topic) > MAX_TOPIC or not topic.isprintable() or set(topic) & set("#+"):
        raise InvalidInput({CONF_TOPIC: "invalid_topic"})
    return {CONF_TRANSPORT: Transport.MQTT.value, CONF_TOPIC: topic, CONF_DELAY: _delay(user_input)}
