"""Tools with which a language model reads the followers, and trades in those whose owner allows it."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, override

from homeassistant.components.llm import LLMTools
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.llm import LLM_API_ASSIST, LLMContext, Tool, ToolAnnotations, ToolInput, ToolResult
from homeassistant.util.json import JsonValueType
import voluptuous as vol

from .assist import async_exposed_followers
from .assist_orders import TRADE_TOOLS, async_trading_followers
from .const import DOMAIN
from .errors import translated_errors
from .trading import responses
from .trading.engine import Engine
from .trading.responses import Json

CONF_LIMIT: Final = "limit"
MAX_TRADES: Final = 50
DEFAULT_TRADES: Final = 10

type Read = Callable[[Engine, dict[str, Any]], Awaitable[Json]]


# What a leader wrote (reasoning, signal ids, reasons) stays out of every answer: it could instruct the model.
async def _status(follower: Engine, _arguments: dict[str, Any]) -> Json:
    snapshot = follower.snapshot
    result = snapshot.last_signal_result
    return {
        "mode": snapshot.mode.value,
        "status": snapshot.status.value,
        "leader_connected": snapshot.leader_connected,
        "exchange_connected": snapshot.exchange_connected,
        "last_signal": responses.iso(snapshot.last_signal),
        "last_signal_result": None if result is None else result.value,
        "last_trade": responses.iso(snapshot.last_trade),
    }


async def _portfolio(follower: Engine, _arguments: dict[str, Any]) -> Json:
    return {**responses.portfolio(follower.snapshot), "quote": follower.settings.quote}


async def _trades(follower: Engine, arguments: dict[str, Any]) -> Json:
    trades = await follower.queries.trades(arguments[CONF_LIMIT])
    return {"trades": [{key: value for key, value in trade.items() if key != "signal_id"} for trade in trades]}


async def _performance(follower: Engine, _arguments: dict[str, Any]) -> Json:
    return {key: value for key, value in (await follower.queries.performance()).items() if key != "closes"}


class FollowerTool(Tool):
    """Reads one thing of each follower that is exposed."""

    integration = DOMAIN
    annotations = ToolAnnotations(read_only=True, destructive=False, idempotent=True, open_world=False)

    def __init__(
        self, name: str, title: str, description: str, read: Read, parameters: vol.Schema | None = None
    ) -> None:
        """Say what is read and how."""
        self.name = f"{DOMAIN}__{name}"
        self.title = title
        self.description = description
        self.parameters = parameters or vol.Schema({})
        self._read = read

    @override
    async def async_call(self, hass: HomeAssistant, tool_input: ToolInput, llm_context: LLMContext) -> ToolResult:
        """Read it, in the followers' own figures: decimal text, times in UTC."""
        arguments = self.parameters(tool_input.tool_args)
        with translated_errors():
            followers: list[JsonValueType] = [
                {"follower": entry.title, **await self._read(entry.runtime_data.engine, arguments)}
                for entry in async_exposed_followers(hass, llm_context.assistant)
            ]
        return ToolResult(data={"followers": followers})


TOOLS: Final = (
    FollowerTool(
        "get_status",
        "Get copy trading status",
        "Whether crypto copy trading is active, paused or dead, whether its leader and its exchange are connected, "
        "and what became of the last signal. The mode dry_run means that no real money is traded.",
        _status,
    ),
    FollowerTool(
        "get_portfolio",
        "Get copy trading portfolio",
        "Value, cash, profit and loss and positions of the crypto copy trading portfolio. total_value, net_deposits, "
        "profit_loss and its parts in profit are in EUR, profit_today is what was gained or lost since midnight; cash and positions are in the quote asset; weights are fractions.",
        _portfolio,
    ),
    FollowerTool(
        "get_trades",
        "Get last copy trading trades",
        "The last trades of crypto copy trading, newest first.",
        _trades,
        vol.Schema(
            {
                vol.Optional(CONF_LIMIT, default=DEFAULT_TRADES, description="How many trades"): vol.All(
                    vol.Coerce(int), vol.Range(min=1, max=MAX_TRADES)
                )
            }
        ),
    ),
    FollowerTool(
        "get_performance",
        "Get copy trading performance",
        "Time-weighted return and drawdown of crypto copy trading in per cent, by period and since the start.",
        _performance,
    ),
)


@callback
def async_get_tools(hass: HomeAssistant, llm_context: LLMContext, api_id: str) -> LLMTools | None:
    """Return the tools where a follower is exposed to the assistant."""
    if api_id != LLM_API_ASSIST or not async_exposed_followers(hass, llm_context.assistant):
        return None
    trades = TRADE_TOOLS if async_trading_followers(hass, llm_context.assistant) else ()
    return LLMTools(tools=[*TOOLS, *trades])
