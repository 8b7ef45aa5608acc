"""Alerts from TradingView and others, on an address of their own."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from enum import StrEnum
import json
from typing import Any, Final, override

from homeassistant.components.webhook import async_generate_id
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.selector import BooleanSelector, SelectSelector, SelectSelectorConfig
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util
import voluptuous as vol

from ..actions import Action, invalid_input
from ..const import CONF_ALERT_WEBHOOK_ID, CONF_SOURCE, CONF_TOKEN
from ..form_input import InvalidInput
from ..forms import Number, async_ranges, errors_of
from ..selectors import choice
from ..settings import amount
from ..texts import async_text
from ..trading.alert import Ask
from ..trading.alert_responses import outside_alert
from ..trading.decimals import HUNDRED
from ..trading.exchanges.symbols import symbol_of
from ..trading.responses import Json
from ..trading.signal import Signal, SourceKind
from ..trading.sources.alert_inbox import new_token, token_hash
from ..trading.sources.alerts import AlertSettings, AlertsSource
from ..webhook_address import webhook_address
from .base import Fields, SourceType

CONF_SHARE: Final = "share"
CONF_MAX_AGE: Final = "max_age"
CONF_ALLOW: Final = "allow"
CONF_MESSAGE: Final = "message"
CONF_ADDRESS: Final = "address"
CONF_RENEW: Final = "renew"
ATTR_MESSAGE: Final = "message"

NUMBERS: Final = (
    Number(key=CONF_SHARE, default=25, minimum=1, maximum=100, unit="%"),
    Number(key=CONF_MAX_AGE, default=300, minimum=5, maximum=86_400, unit="s", whole=True),
)
DEFAULT_ALLOWED: Final = (Ask.CLOSE, Ask.REDUCE, Ask.OPEN)


class Message(StrEnum):
    """What a text to paste is for."""

    STRATEGY = "strategy"
    INDICATOR = "indicator"
    PLAIN = "plain"
    THREE_COMMAS = "three_commas"
    OCTOBOT = "octobot"


def message_for(kind: Message, token: str) -> str:
    """The text to paste into TradingView, which fills in what stands between braces."""
    ticker = {"ticker": "{{ticker}}", "timenow": "{{timenow}}"}
    match kind:
        case Message.STRATEGY:
            position = {"market_position": "{{strategy.market_position}}", "id": "{{strategy.order.id}}"}
            return json.dumps({"token": token, **ticker, **position}, indent=1)
        case Message.INDICATOR:
            return json.dumps({"token": token, **ticker, "action": "buy"}, indent=1)
        case Message.PLAIN:
            order = {"action": "{{strategy.order.action}}", "quantity": "{{strategy.order.contracts}}"}
            return json.dumps({"token": token, **ticker, **order}, indent=1)
        case Message.THREE_COMMAS:
            instrument = {"tv_exchange": "{{exchange}}", "tv_instrument": "{{ticker}}", "timestamp": "{{timenow}}"}
            info = {"strategy_info": {"market_position": "{{strategy.market_position}}"}}
            return json.dumps(
                {"secret": token, "max_lag": "300", **instrument, "action": "{{strategy.order.action}}", **info},
                indent=1,
            )
        case Message.OCTOBOT:
            return f"TOKEN={token};SYMBOL={{{{ticker}}}};SIGNAL=BUY;TIME={{{{timenow}}}}"


class AlertsType(SourceType):
    """What an alert may ask for. Address and token are made, shown once, and made anew when their owner wants that."""

    kind = SourceKind.ALERTS
    secrets = (CONF_TOKEN, CONF_ALERT_WEBHOOK_ID)
    hidden = frozenset({"rebalance_threshold", "entry_jitter", "silence_alert", "push", "push_url"})

    @override
    def form(self, *, stored: bool, found: Collection[str] = ()) -> vol.Schema:
        """With a box for a new address and token, where there are some."""
        numbers = {number.key: (number.marker, number.selector("")) for number in NUMBERS}
        allow = SelectSelector(
            SelectSelectorConfig(options=[each.value for each in Ask], multiple=True, translation_key=CONF_ALLOW)
        )
        fields = [
            numbers[CONF_SHARE],
            (vol.Required(CONF_ALLOW, default=[each.value for each in DEFAULT_ALLOWED]), allow),
            numbers[CONF_MAX_AGE],
            (vol.Required(CONF_MESSAGE, default=Message.STRATEGY.value), choice(Message, CONF_MESSAGE)),
        ]
        if stored:
            fields.append((vol.Required(CONF_RENEW, default=False), BooleanSelector()))
        return vol.Schema(dict(fields))

    @override
    async def check(self, hass: HomeAssistant, known: Fields, user_input: Mapping[str, Any]) -> Fields:
        """See that the numbers lie in their ranges, and make address and token where there are none. Raises InvalidInput."""
        if errors := errors_of(NUMBERS, user_input):
            wrong = [number for number in NUMBERS if number.key in errors]
            raise InvalidInput(errors, fields=await async_ranges(hass, wrong, "config", self.kind, ""))
        data, made = {key: known.data.get(key) for key in self.secrets}, {}
        if not data[CONF_TOKEN] or user_input.get(CONF_RENEW):
            token, own = new_token(), async_generate_id()
            data = {CONF_TOKEN: token_hash(token), CONF_ALERT_WEBHOOK_ID: own}
            text = message_for(Message(user_input[CONF_MESSAGE]), token)
            made = {CONF_ADDRESS: webhook_address(hass, own), CONF_MESSAGE: text}
        options = {key: user_input[key] for key in (CONF_SHARE, CONF_ALLOW, CONF_MAX_AGE, CONF_MESSAGE)}
        return Fields(data=data, options=options, made=made)

    @override
    def build(self, hass: HomeAssistant, stored: Fields, version: str) -> AlertsSource:
        """The source that is stored."""
        options = stored.options
        return AlertsSource(
            AlertSettings(
                share=amount(options[CONF_SHARE]) / HUNDRED,
                max_age=timedelta(seconds=float(options[CONF_MAX_AGE])),
                allow=frozenset(Ask(each) for each in options[CONF_ALLOW]),
            )
        )

    @override
    async def name(self, hass: HomeAssistant, data: Mapping[str, Any]) -> str:
        """That alerts decide."""
        return await async_text(hass, "setup_alerts")

    @override
    async def first_signal(self, hass: HomeAssistant, stored: Fields, coins: Collection[str]) -> Signal | None:
        """None: nothing is bought before an alert says so."""
        return None

    @override
    def actions(self) -> tuple[Action, ...]:
        """What tests it."""
        fields: VolDictType = {vol.Optional(ATTR_MESSAGE): cv.string, vol.Optional(CONF_SOURCE): cv.string}
        return (Action("test_alert", _test_alert, fields, answers=True),)


async def _test_alert(_hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Json:
    """What an alert would do now; nothing is written down and nothing is traded. Raises ServiceValidationError."""
    engine = entry.runtime_data.engine
    keys = sorted(engine.alerts.keys)
    key = data.get(CONF_SOURCE) or next(iter(keys), None)
    if key not in keys:
        raise invalid_input("no_alerts")
    settings = engine.settings
    ticker = symbol_of(settings.coins[0], settings.quote)
    exchange = entry.runtime_data.exchange.name.upper()
    text = _filled(data.get(ATTR_MESSAGE) or message_for(Message.STRATEGY, ""), ticker, exchange)
    record, verdict, draft = engine.alerts.draft(key, text.encode())
    told = outside_alert(record) | {
        "state": verdict.state.value,
        "reason": verdict.reason,
        "orders": [],
        "left_out": [],
    }
    if draft:
        preview = await entry.runtime_data.async_finish(engine.commands.preview(key, draft))
        told |= {name: preview[name] for name in ("orders", "left_out")}
    return told


def _filled(text: str, ticker: str, exchange: str) -> str:
    """A text with what TradingView would fill in for a strategy that has just bought."""
    words = {
        "ticker": ticker,
        "exchange": exchange,
        "timenow": dt_util.utcnow().isoformat(timespec="seconds"),
        "strategy.market_position": "long",
        "strategy.order.action": "buy",
        "strategy.order.contracts": "1",
        "strategy.order.id": "test",
    }
    for name, word in words.items():
        text = text.replace(f"{{{{{name}}}}}", word)
    return text
