"""Intents: what the house can be asked about copy trading, and told to trade where its owner allows it."""

from abc import abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final, override

from homeassistant.const import ATTR_ENTITY_ID, SERVICE_TURN_OFF, SERVICE_TURN_ON, Platform
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, Unauthorized
from homeassistant.helpers import intent
from homeassistant.helpers.translation import async_get_translations
from homeassistant.helpers.typing import VolDictType
from homeassistant.setup import async_when_setup
from homeassistant.util.hass_dict import HassKey
import voluptuous as vol

from . import sentences
from .actions import ATTR_COIN, coin_code, positive_amount
from .assist import async_exposed_followers, async_pause_switch
from .assist_orders import ATTR_PORTFOLIO, EUR, async_allowed, async_confirm, async_show, in_quote, named
from .const import DOMAIN
from .coordinator import CalvalotConfigEntry
from .order_actions import ATTR_AMOUNT
from .trading.exchanges.base import Mode, Side
from .trading.order_entry import Ticket

if TYPE_CHECKING:
    from hassil.recognize import RecognizeResult
    from homeassistant.components.conversation import ConversationInput

CONVERSATION_DOMAIN: Final = "conversation"
LAST_SHOWN: Final[HassKey[dict[str | None, str]]] = HassKey(f"{DOMAIN}_last_shown_orders")


_COIN_SLOTS: Final[VolDictType] = {vol.Required(ATTR_COIN): str, vol.Optional(ATTR_PORTFOLIO): str}
_AMOUNT_SLOTS: Final[VolDictType] = {**_COIN_SLOTS, vol.Required(ATTR_AMOUNT): vol.Any(str, int, float)}


class Texts:
    """What is said, in the language of whoever asked."""

    def __init__(self, texts: dict[str, str]) -> None:
        """Take the texts that Home Assistant loaded."""
        self._texts = texts

    def __call__(self, key: str, **facts: str) -> str:
        """Return a text with its facts."""
        return self._texts[f"component.{DOMAIN}.common.answer_{key}"].format_map(facts)

    def number(self, value: Decimal) -> str:
        """Return a number with two decimals."""
        return f"{value:.2f}".replace(".", self("decimal_mark"))

    def plain(self, value: Decimal) -> str:
        """Return a number with all of its decimals."""
        return f"{value.normalize():f}".replace(".", self("decimal_mark"))


class FollowerIntent(intent.IntentHandler):
    """An intent that each exposed follower answers with a sentence or two."""

    sentences: tuple[str, ...]

    @override
    async def async_handle(self, intent_obj: intent.Intent) -> intent.IntentResponse:
        """Let the followers answer."""
        hass = intent_obj.hass
        language = intent_obj.language.partition("-")[0]
        texts = Texts(await async_get_translations(hass, language, "common", {DOMAIN}))
        entries = async_exposed_followers(hass, intent_obj.assistant)
        answers = [await self._answer(intent_obj, entry, texts) for entry in entries]
        response = intent_obj.create_response()
        response.response_type = intent.IntentResponseType.QUERY_ANSWER
        response.async_set_speech(" ".join(answers) or texts("nobody"))
        return response

    @abstractmethod
    async def _answer(self, intent_obj: intent.Intent, entry: CalvalotConfigEntry, texts: Texts) -> str:
        """Return what one follower has to say."""


class PortfolioIntent(FollowerIntent):
    """How is my portfolio?"""

    intent_type = "CalvalotPortfolio"
    description = "Tells what the crypto copy trading portfolio is worth"
    sentences = sentences.PORTFOLIO

    @override
    async def _answer(self, intent_obj: intent.Intent, entry: CalvalotConfigEntry, texts: Texts) -> str:
        figures = entry.runtime_data.data
        if figures.total_value is None or figures.profit_loss is None:
            return texts("unknown", name=entry.title)
        profit, percent = figures.profit_loss, figures.profit_loss_percent
        answer = texts(
            "loss" if profit < 0 else "profit",
            name=entry.title,
            value=texts.number(figures.total_value),
            amount=texts.number(abs(profit)),
        )
        return answer if percent is None else f"{answer} {texts('percent', percent=texts.number(abs(percent)))}"


class ProfitTodayIntent(FollowerIntent):
    """How much did I make today?"""

    intent_type = "CalvalotProfitToday"
    description = "Tells how much crypto copy trading has gained or lost since midnight"
    sentences = sentences.PROFIT_TODAY

    @override
    async def _answer(self, intent_obj: intent.Intent, entry: CalvalotConfigEntry, texts: Texts) -> str:
        profit = entry.runtime_data.data.profit_today
        if profit is None:
            return texts("today_unknown", name=entry.title)
        return texts("today_loss" if profit < 0 else "today_profit", name=entry.title, amount=texts.number(abs(profit)))


class IsPausedIntent(FollowerIntent):
    """Is copy trading paused?"""

    intent_type = "CalvalotIsPaused"
    description = "Tells whether crypto copy trading is active, paused or dead"
    sentences = sentences.IS_PAUSED

    @override
    async def _answer(self, intent_obj: intent.Intent, entry: CalvalotConfigEntry, texts: Texts) -> str:
        return texts(entry.runtime_data.data.status, name=entry.title)


class PauseIntent(FollowerIntent):
    """Pause copy trading!"""

    intent_type = "CalvalotPause"
    description = "Pauses crypto copy trading"
    sentences = sentences.PAUSE
    service = SERVICE_TURN_ON

    @override
    async def _answer(self, intent_obj: intent.Intent, entry: CalvalotConfigEntry, texts: Texts) -> str:
        target = {ATTR_ENTITY_ID: async_pause_switch(intent_obj.hass, entry)}
        try:
            await intent_obj.hass.services.async_call(
                Platform.SWITCH, self.service, target, blocking=True, context=intent_obj.context
            )
        except Unauthorized:
            return texts("not_allowed", name=entry.title)
        except HomeAssistantError as err:
            raise intent.IntentHandleError(str(err)) from err
        return texts(entry.runtime_data.data.status, name=entry.title)


class ResumeIntent(PauseIntent):
    """Resume copy trading!"""

    intent_type = "CalvalotResume"
    description = "Resumes crypto copy trading; only for administrators"
    sentences = sentences.RESUME
    service = SERVICE_TURN_OFF

    @override
    async def _answer(self, intent_obj: intent.Intent, entry: CalvalotConfigEntry, texts: Texts) -> str:
        # A satellite does not say who speaks, and whoever speaks is no automation.
        if intent_obj.satellite_id and not intent_obj.context.user_id:
            return texts("not_allowed", name=entry.title)
        return await super()._answer(intent_obj, entry, texts)


class TradeIntent(intent.IntentHandler):
    """An intent that shows or places an order, in the portfolio whose owner allows it."""

    sentences: tuple[str, ...]

    @override
    async def async_handle(self, intent_obj: intent.Intent) -> intent.IntentResponse:
        """Trade, or say why not, in the language of whoever asked."""
        hass, language = intent_obj.hass, intent_obj.language.partition("-")[0]
        texts = Texts(await async_get_translations(hass, language, "common", {DOMAIN}))
        # A device does not say who speaks.
        spoken = bool(intent_obj.satellite_id or intent_obj.device_id)
        try:
            entries = await async_allowed(hass, intent_obj.assistant, intent_obj.context, spoken=spoken)
            answer = await self._trade(intent_obj, entries, texts)
        except HomeAssistantError as err:
            reasons = await async_get_translations(hass, language, "exceptions", {DOMAIN})
            reason = reasons[f"component.{DOMAIN}.exceptions.{err.translation_key}.message"]
            answer = reason.format_map(err.translation_placeholders or {})
        response = intent_obj.create_response()
        response.async_set_speech(answer)
        return response

    @abstractmethod
    async def _trade(self, intent_obj: intent.Intent, entries: Sequence[CalvalotConfigEntry], texts: Texts) -> str:
        """Return what is to be said. Raises HomeAssistantError."""


class ShowOrderIntent(TradeIntent):
    """An order, which is only shown."""

    side: Side
    slot_schema = _COIN_SLOTS

    @override
    async def _trade(self, intent_obj: intent.Intent, entries: Sequence[CalvalotConfigEntry], texts: Texts) -> str:
        slots = {key: str(slot["value"]) for key, slot in intent_obj.slots.items()}
        entry = named(entries, slots.get(ATTR_PORTFOLIO))
        amount = None
        if said := slots.get(ATTR_AMOUNT):
            amount = in_quote(entry, positive_amount(said.strip().replace(",", ".")), EUR)
        ticket = Ticket(coin=coin_code(slots[ATTR_COIN]), side=self.side, amount=amount)
        shown = await async_show(entry, ticket, intent_obj.context.id)
        _last_shown(intent_obj.hass)[intent_obj.context.user_id] = shown["order_id"]
        return texts(
            "order_buy" if self.side is Side.BUY else "order_sell",
            name=entry.title,
            mode=texts("real_money" if shown["mode"] == Mode.LIVE else "on_paper"),
            quantity=texts.plain(Decimal(shown["quantity"])),
            coin=shown["coin"],
            price=texts.plain(Decimal(shown["price"])),
            amount=texts.number(Decimal(shown["amount"])),
            fee=texts.number(Decimal(shown["fee"])),
            cost=texts.number(Decimal(shown["cost"])),
            quote=shown["quote"],
        )


class BuyIntent(ShowOrderIntent):
    """Buy a coin for an amount in EUR!"""

    intent_type = "CalvalotBuy"
    description = "Shows what buying a coin for an amount in EUR would be"
    sentences = sentences.BUY
    side = Side.BUY
    slot_schema = _AMOUNT_SLOTS


class SellIntent(BuyIntent):
    """Sell a coin for an amount in EUR!"""

    intent_type = "CalvalotSell"
    description = "Shows what selling a coin for an amount in EUR would be"
    sentences = sentences.SELL
    side = Side.SELL


class ClosePositionIntent(ShowOrderIntent):
    """Sell all of a coin!"""

    intent_type = "CalvalotClosePosition"
    description = "Shows what selling all that is held of a coin would be"
    sentences = sentences.CLOSE
    side = Side.SELL


class ConfirmOrderIntent(TradeIntent):
    """Do what was shown last!"""

    intent_type = "CalvalotConfirmOrder"
    description = "Places the order that was shown last"
    sentences = sentences.CONFIRM

    @override
    async def _trade(self, intent_obj: intent.Intent, entries: Sequence[CalvalotConfigEntry], texts: Texts) -> str:
        last = _last_shown(intent_obj.hass).get(intent_obj.context.user_id, "")
        done = await async_confirm(entries, last, intent_obj.context.id)
        filled = [each for each in done["orders"] if each["executed_amount"] and Decimal(each["executed_amount"])]
        if not filled:
            return texts("order_open", name=done["portfolio"])
        return " ".join(
            texts(
                "order_bought" if each["side"] == Side.BUY else "order_sold",
                name=done["portfolio"],
                quantity=texts.plain(Decimal(each["executed_quantity"])),
                coin=each["coin"],
                amount=texts.number(Decimal(each["executed_amount"])),
                quote=done["quote"],
            )
            for each in filled
        )


def _last_shown(hass: HomeAssistant) -> dict[str | None, str]:
    """Return the order that each user was shown last."""
    return hass.data.setdefault(LAST_SHOWN, {})


HANDLERS: Final = (
    *(PortfolioIntent(), ProfitTodayIntent(), IsPausedIntent(), PauseIntent(), ResumeIntent()),
    *(BuyIntent(), SellIntent(), ClosePositionIntent(), ConfirmOrderIntent()),
)


async def async_setup_intents(hass: HomeAssistant) -> None:
    """Register the intents, and their sentences as soon as there is somebody to talk to."""
    for handler in HANDLERS:
        intent.async_register(hass, handler)
    async_when_setup(hass, CONVERSATION_DOMAIN, _async_register_sentences)


async def _async_register_sentences(hass: HomeAssistant, _component: str) -> None:
    # Needs what Home Assistant installs with the conversation integration only.
    from homeassistant.components.conversation.agent_manager import get_agent_manager  # noqa: PLC0415

    for handler in HANDLERS:
        get_agent_manager(hass).register_trigger([*handler.sentences], partial(_async_answer, hass, handler))


async def _async_answer(
    hass: HomeAssistant,
    handler: FollowerIntent | TradeIntent,
    asked: ConversationInput,
    result: RecognizeResult,
) -> str:
    response = await intent.async_handle(
        hass,
        CONVERSATION_DOMAIN,
        handler.intent_type,
        {name: {"value": said.text} for name, said in result.entities.items()},
        text_input=asked.text,
        context=asked.context,
        language=asked.language,
        assistant=CONVERSATION_DOMAIN,
        device_id=asked.device_id,
        satellite_id=asked.satellite_id,
        conversation_agent_id=asked.agent_id,
    )
    return str(response.speech["plain"]["speech"])
