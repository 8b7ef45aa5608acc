"""Orders that an assistant places: shown first, confirmed in a further message, where the owner allows it."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, Final, override

from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers.llm import LLMContext, Tool, ToolInput, ToolResult
from homeassistant.helpers.typing import VolDictType
import voluptuous as vol

from .actions import ATTR_COIN, coin_code, invalid_input, positive_amount
from .assist import async_exposed_followers
from .const import CONF_ASSIST_TRADES, DOMAIN
from .coordinator import CalvalotConfigEntry
from .errors import translated_errors
from .order_actions import ATTR_AMOUNT, ATTR_SIDE
from .trading import order_responses
from .trading.errors import CommandError
from .trading.exchanges.base import Side
from .trading.order_entry import Ticket
from .trading.responses import Json

ATTR_CURRENCY: Final = "currency"
ATTR_ORDER_ID: Final = "order_id"
ATTR_PORTFOLIO: Final = "portfolio"
EUR: Final = "EUR"

type Run = Callable[[Sequence[CalvalotConfigEntry], dict[str, Any], str], Awaitable[Json]]


def async_trading_followers(hass: HomeAssistant, assistant: str | None) -> list[CalvalotConfigEntry]:
    """Return the exposed portfolios in which their owner lets an assistant trade."""
    return [entry for entry in async_exposed_followers(hass, assistant) if entry.options.get(CONF_ASSIST_TRADES)]


async def async_allowed(
    hass: HomeAssistant, assistant: str | None, context: Context, *, spoken: bool
) -> list[CalvalotConfigEntry]:
    """Return the portfolios in which whoever asks may trade: an administrator, or an automation.

    What was spoken to a device without a user is no automation. Raises ServiceValidationError where there is none.
    """
    user = await hass.auth.async_get_user(context.user_id) if context.user_id else None
    if not (user.is_admin if user else not spoken and not context.user_id):
        raise invalid_input("assist_not_allowed")
    if not (entries := async_trading_followers(hass, assistant)):
        raise invalid_input("assist_off")
    return entries


async def async_show(entry: CalvalotConfigEntry, ticket: Ticket, request: str) -> Json:
    """Answer what an order would be. Raises HomeAssistantError."""
    coordinator = entry.runtime_data
    with translated_errors():
        shown = await coordinator.shown_orders.show(ticket, request)
    return {"portfolio": entry.title, "mode": coordinator.settings.mode.value, **shown}


async def async_confirm(entries: Sequence[CalvalotConfigEntry], order_id: str, request: str) -> Json:
    """Place what was shown in one of the portfolios, to its end. Raises HomeAssistantError."""
    entry = next((each for each in entries if order_id in each.runtime_data.shown_orders), entries[0])
    coordinator = entry.runtime_data
    with translated_errors():
        done = await coordinator.async_finish(coordinator.shown_orders.confirm(order_id, request))
    return {
        "portfolio": entry.title,
        "mode": coordinator.settings.mode.value,
        "quote": coordinator.settings.quote,
        "confirmed": True,
        "orders": [order_responses.order(record) for record in done],
    }


def in_quote(entry: CalvalotConfigEntry, amount: Decimal, currency: str) -> Decimal:
    """Return an amount in the portfolio's quote asset. Raises HomeAssistantError."""
    quote = entry.runtime_data.settings.quote
    if currency == quote:
        return amount
    if currency != EUR:
        raise invalid_input("assist_currency", quote=quote)
    with translated_errors():
        if not (rate := entry.runtime_data.data.rate):
            raise CommandError("no_valuation")
    return amount / rate


def named(entries: Sequence[CalvalotConfigEntry], name: str | None) -> CalvalotConfigEntry:
    """Return the portfolio of a name; without one the only one that there is. Raises ServiceValidationError."""
    found = [entry for entry in entries if name is None or entry.title.casefold() == name.strip().casefold()]
    if len(found) != 1:
        raise invalid_input("assist_portfolio", names=", ".join(sorted(entry.title for entry in entries)))
    return found[0]


async def _place(entries: Sequence[CalvalotConfigEntry], arguments: dict[str, Any], request: str) -> Json:
    entry = named(entries, arguments.get(ATTR_PORTFOLIO))
    amount = in_quote(entry, arguments[ATTR_AMOUNT], arguments[ATTR_CURRENCY])
    side = Side(arguments[ATTR_SIDE].upper())
    return await async_show(entry, Ticket(coin=arguments[ATTR_COIN], side=side, amount=amount), request)


async def _close(entries: Sequence[CalvalotConfigEntry], arguments: dict[str, Any], request: str) -> Json:
    return await async_show(
        named(entries, arguments.get(ATTR_PORTFOLIO)), Ticket(coin=arguments[ATTR_COIN], side=Side.SELL), request
    )


async def _confirm(entries: Sequence[CalvalotConfigEntry], arguments: dict[str, Any], request: str) -> Json:
    return await async_confirm(entries, arguments[ATTR_ORDER_ID], request)


class TradeTool(Tool):
    """Shows or places an order, for administrators and automations."""

    integration = DOMAIN

    def __init__(self, name: str, title: str, description: str, run: Run, parameters: VolDictType) -> None:
        """Say what is done and how."""
        self.name = f"{DOMAIN}__{name}"
        self.title = title
        self.description = description
        self.parameters = vol.Schema(parameters)
        self._run = run

    @override
    async def async_call(self, hass: HomeAssistant, tool_input: ToolInput, llm_context: LLMContext) -> ToolResult:
        """Do it; amounts, prices and quantities are decimal text. Raises HomeAssistantError."""
        if (context := llm_context.context) is None:
            raise invalid_input("assist_not_allowed")
        # It may have been switched off since the tools were offered.
        entries = await async_allowed(hass, llm_context.assistant, context, spoken=llm_context.device_id is not None)
        return ToolResult(data=await self._run(entries, self.parameters(tool_input.tool_args), context.id))


_COIN: Final[VolDictType] = {
    vol.Required(ATTR_COIN, description="Code of the coin, such as BTC"): vol.All(str, coin_code),
    vol.Optional(ATTR_PORTFOLIO, description="Name of the portfolio, where there are several"): str,
}
_NOT_YET: Final = (
    "Nothing is traded yet: tell the user the mode, the quantity, the price, the cost and the fee, and once the user has "
    f"agreed in a further message call {DOMAIN}__confirm_order with the order_id."
)

TRADE_TOOLS: Final = (
    TradeTool(
        "place_order",
        "Prepare a crypto order",
        f"Shows what buying or selling a coin at the market would be. {_NOT_YET} dry_run means that no real money is traded.",
        _place,
        {
            **_COIN,
            vol.Required(ATTR_SIDE): vol.In([side.lower() for side in Side]),
            vol.Required(ATTR_AMOUNT, description="What to spend or to get, as a plain number"): vol.All(
                vol.Any(str, int, float), positive_amount
            ),
            vol.Required(ATTR_CURRENCY, description="Of the amount: EUR, or the portfolio's quote asset"): vol.All(
                str, coin_code
            ),
        },
    ),
    TradeTool(
        "close_position",
        "Prepare the sale of all of a coin",
        f"Shows what selling all that is held of a coin would be. {_NOT_YET} dry_run means that no real money is traded.",
        _close,
        _COIN,
    ),
    TradeTool(
        "confirm_order",
        "Place a crypto order that was shown",
        "Places exactly what was shown under this order_id, once. Only after the user has agreed to it in a further message.",
        _confirm,
        {vol.Required(ATTR_ORDER_ID, description="From what was shown"): str},
    ),
)
