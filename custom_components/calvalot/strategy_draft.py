"""Rules that the house's own language model writes from a description: checked like any others, and used by nobody yet."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError

from .actions import invalid_input
from .kinds.strategy import ATTR_LANGUAGE, async_check
from .python_strategies import CONF_PARAMETERS, CONF_RULES, strategies_folder
from .trading.responses import Json
from .trading.strategies.indicators import KINDS
from .trading.strategies.library import READY_MADE, strategy_text

AI_TASK: Final = "ai_task"
ATTR_DESCRIPTION: Final = "description"
# What is wrong with a first attempt is told once.
ATTEMPTS: Final = 2
LONGEST_DESCRIPTION: Final = 2000
# One example of each manner.
EXAMPLES: Final = ("averages_crossing", "volatility_target", "momentum_rotation", "weekly_purchase")
STRUCTURE: Final = {
    CONF_RULES: {
        "description": "The strategy as YAML, and nothing else",
        "required": True,
        "selector": {"text": {"multiline": True}},
    }
}
TASK: Final = """Write trading rules as YAML for what is described below. Use only the words that are listed here; anything else is refused.

Top level: name (needed), idea, weaknesses, time_frame (1m 3m 5m 10m 15m 1h 2h 4h 1d), parameters (by name, each with default,
minimum, maximum), indicators (by name, each with type and its numbers), and exactly one manner:
- enter and exit: conditions for in and out, with size (%), stop_loss, take_profit, trailing_stop (%); exit or one of the stops is needed
- target: {{shares: [{{share: value, if: condition}}, ...], band: %}}
- rotate: {{by: value, hold: count, every: candles, if: condition, size: %}}
- buy: [{{size: %, every: candles, if: condition}}], with exit if it is ever to sell
Types of indicators with their lines: {kinds}. An indicator may have of (open, high, low, close, volume) and ago (candles).
A value is a number, a parameter, an indicator (with a line after a dot), price, open, high, low, volume, or one of sum,
difference, product, ratio, smallest, largest with a list of values.
A condition has value and one of above, below, crosses_above, crosses_below, and may have for (closes in a row); and, or, not take
lists; a list alone is an and. No anchors, no tags, no comments.
Write name and idea in the language {language}.

Examples:
{examples}

Description:
{description}
"""


async def async_draft(hass: HomeAssistant, data: Mapping[str, Any], context: Context | None = None) -> Json:
    """Rules for a description, with what `check_strategy` says of them. Raises ServiceValidationError."""
    entity_id = _entity(hass, data.get(AI_TASK))
    told: Json = {}
    language = data.get(ATTR_LANGUAGE) or hass.config.language
    task = await hass.async_add_executor_job(_task, hass, data[ATTR_DESCRIPTION], language)
    for _ in range(ATTEMPTS):
        rules = await _asked(hass, task, entity_id, context)
        told = await async_check(hass, {**data, CONF_RULES: rules, CONF_PARAMETERS: {}})
        told[CONF_RULES] = rules
        if told["valid"]:
            break
        task = f"{task}\nA first attempt was refused: {told['problem']}\nIt was:\n{rules}\nWrite it anew."
    return told


def _entity(hass: HomeAssistant, chosen: str | None) -> str | None:
    """Which language model is asked: the only one, else the one that Home Assistant prefers (None)."""
    known = hass.states.async_entity_ids(AI_TASK)
    if not known:
        raise invalid_input("no_ai_task")
    return chosen or (known[0] if len(known) == 1 else None)


def _task(hass: HomeAssistant, description: str, language: str) -> str:
    kinds = ", ".join(f"{name} ({' '.join(kind.lines)})" if any(kind.lines) else name for name, kind in KINDS.items())
    examples = "\n---\n".join(strategy_text(name, strategies_folder(hass)) for name in EXAMPLES if name in READY_MADE)
    return TASK.format(kinds=kinds, examples=examples, description=description, language=language)


async def _asked(hass: HomeAssistant, task: str, entity_id: str | None, context: Context | None) -> str:
    """What the model answers. Raises ServiceValidationError."""
    asked = {"task_name": "Calv-a-lot", "instructions": task, "structure": STRUCTURE}
    asked |= {"entity_id": entity_id} if entity_id else {}
    try:
        answer = await hass.services.async_call(
            AI_TASK, "generate_data", asked, blocking=True, return_response=True, context=context
        )
    except HomeAssistantError as err:
        raise invalid_input("ai_task_failed", error=str(err)) from err
    match answer:
        case {"data": {"rules": str(rules)}}:
            return _bare(rules)
        case _:
            raise invalid_input("ai_task_failed", error="–")


def _bare(rules: str) -> str:
    """Without the fence that models like to put around what they write."""
    lines = rules.strip().splitlines()
    if len(lines) > 1 and lines[0].startswith("```") and lines[-1].strip() == "```":
        lines = lines[1:-1]
    return "\n".join(lines) + "\n"
