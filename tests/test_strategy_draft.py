"""Rules that a language model writes: asked as Home Assistant asks it, checked, and used by nobody."""

from typing import Any

from homeassistant.core import HomeAssistant, ServiceCall, SupportsResponse
from homeassistant.exceptions import HomeAssistantError
import pytest

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.strategy_draft import EXAMPLES
from simulators.exchange import ExchangeSimulator

from .test_allocation import answer
from .test_strategies import RULES, closed, portfolio, refused, write


class Model:
    """Answers what it is given, and remembers what it was asked."""

    def __init__(self, hass: HomeAssistant) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: list[Any] = []
        hass.states.async_set("ai_task.house", "unknown", {"supported_features": 1})
        hass.services.async_register("ai_task", "generate_data", self._answer, supports_response=SupportsResponse.ONLY)

    async def _answer(self, call: ServiceCall) -> Any:
        self.asked.append(dict(call.data))
        said = self.answers.pop(0)
        if isinstance(said, Exception):
            raise said
        return {"conversation_id": "1", "data": said}


@pytest.fixture
async def model(hass: HomeAssistant, exchange: ExchangeSimulator) -> Model:
    """A house with a language model, and a portfolio on paper."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    await portfolio(hass, exchange)
    return Model(hass)


async def draft(hass: HomeAssistant, **data: Any) -> Any:
    """Have rules written."""
    return await answer(hass, "draft_strategy", description="Buy above 100, sell under 990", **data)


async def test_written_and_checked(hass: HomeAssistant, model: Model) -> None:
    """With the words that there are and what was described; nothing is stored."""
    model.answers = [{"rules": RULES}]
    told = await draft(hass, coin="BTC", language="fr")
    assert (told["valid"], told["rules"]) == (True, RULES)
    assert told["sentence"].startswith("Achète BTC")
    (asked,) = model.asked
    assert asked["entity_id"] == "ai_task.house"
    assert asked["structure"]["rules"]["required"]
    for word in ("Buy above 100, sell under 990", "crosses_above", "bollinger (lower middle upper)", "language fr"):
        assert word in asked["instructions"]
    assert asked["instructions"].count("\nidea: ") == len(EXAMPLES)
    assert len((await answer(hass, "get_strategies"))["strategies"]) == 1


async def test_told_once_what_is_wrong(hass: HomeAssistant, model: Model) -> None:
    """Then what it wrote is shown as it is, with what is wrong."""
    wrong = RULES.replace("size", "sise")
    model.answers = [{"rules": wrong}, {"rules": f"```yaml\n{RULES}```"}]
    told = await draft(hass)
    assert (told["valid"], told["rules"]) == (True, RULES)
    assert "Line 4, column 1" in model.asked[1]["instructions"]
    assert wrong in model.asked[1]["instructions"]
    model.answers = [{"rules": wrong}, {"rules": "- 1"}]
    told = await draft(hass)
    assert (told["valid"], told["rules"], told["line"]) == (False, "- 1\n", 1)
    assert not model.answers


@pytest.mark.parametrize("said", [HomeAssistantError("no quota"), "just text", {"rules": 5}])
async def test_no_rules(hass: HomeAssistant, model: Model, said: Any) -> None:
    """It says so."""
    model.answers = [said]
    with pytest.raises(HomeAssistantError, match="gave no rules"):
        await draft(hass)


async def test_several_models(hass: HomeAssistant, model: Model) -> None:
    """The one that is named, else the one that Home Assistant prefers."""
    hass.states.async_set("ai_task.other", "unknown", {"supported_features": 1})
    model.answers = [{"rules": RULES}] * 2
    await draft(hass)
    await draft(hass, ai_task="ai_task.other")
    assert [asked.get("entity_id") for asked in model.asked] == [None, "ai_task.other"]


async def test_without_one(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """It says what is needed."""
    write(hass)
    closed(hass, exchange, "BTC", [1000])
    await portfolio(hass, exchange)
    assert "AI Task" in await refused(hass, "draft_strategy", description="x")
    assert hass.services.has_service(DOMAIN, "draft_strategy")
