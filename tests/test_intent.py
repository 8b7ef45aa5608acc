"""Sentences: what is asked of Assist in English and French, and what it answers."""

import ast
from decimal import Decimal
import json
from pathlib import Path
import re
from typing import Any
from unittest.mock import patch

from homeassistant.components import conversation
from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.core import Context, HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.calvalot import intent
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.snapshot import Status
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import entity_id, poll, state_of


@pytest.fixture(autouse=True)
async def _conversation(hass: HomeAssistant) -> None:
    """Home Assistant with somebody to talk to."""
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "conversation", {})


async def say(hass: HomeAssistant, text: str, language: str | None = None) -> str:
    """What Assist answers."""
    data = {"text": text} | ({"language": language} if language else {})
    result: Any = await hass.services.async_call("conversation", "process", data, blocking=True, return_response=True)
    return str(result["response"]["speech"]["plain"]["speech"])


PORTFOLIO = {
    "en": (
        (
            "How is my portfolio?",
            "how is my crypto portfolio doing",
            "How is copy trading?",
            "What is my portfolio worth?",
        ),
        (
            "Calv-a-lot: the portfolio is worth {value} euros, a {profit} of {amount} euros. "
            "That is {percent} percent of the net deposits."
        ),
        {"profit": "profit", "loss": "loss"},
    ),
    "fr": (
        (
            "Comment va mon portefeuille ?",
            "Comment se porte mon portefeuille crypto ?",
            "Combien vaut mon portefeuille ?",
            "Quel est l'état de mon portefeuille ?",
        ),
        (
            "Calv-a-lot\u00a0: le portefeuille vaut {value} euros, soit {profit} de {amount} euros. "
            "C'est {percent} pour cent des dépôts nets."
        ),
        {"profit": "un gain", "loss": "une perte"},
    ),
}


@pytest.mark.parametrize(("factor", "word"), [("1.2", "profit"), ("0.9", "loss")])
@pytest.mark.parametrize("language", PORTFOLIO)
async def test_portfolio(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    language: str,
    factor: str,
    word: str,
) -> None:
    """How is my portfolio? Value, profit or loss, and what that is in per cent."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal(factor))
    await poll(hass, entry)
    questions, answer, words = PORTFOLIO[language]
    figures = entry.runtime_data.data
    facts = {
        "value": f"{figures.total_value:.2f}",
        "amount": f"{abs(figures.profit_loss):.2f}",
        "percent": f"{abs(figures.profit_loss_percent):.2f}",
    }
    if language == "fr":
        facts = {key: value.replace(".", ",") for key, value in facts.items()}
    for question in questions:
        assert await say(hass, question, language) == answer.format(profit=words[word], **facts), question


TODAY = {
    "en": (
        ("How much did I make today?", "How much have I lost today?", "What is my profit today?"),
        "Calv-a-lot: a {profit} of {amount} euros so far today.",
        {"profit": "profit", "loss": "loss"},
        "Calv-a-lot: today's profit is not known.",
    ),
    "fr": (
        ("Combien ai-je gagné aujourd'hui ?", "Combien j'ai perdu aujourd'hui ?", "Quel est mon gain du jour ?"),
        "Calv-a-lot\u00a0: {profit} de {amount} euros aujourd'hui.",
        {"profit": "un gain", "loss": "une perte"},
        "Calv-a-lot\u00a0: le gain du jour n'est pas connu.",
    ),
}


@pytest.mark.parametrize(("factor", "word"), [("1.2", "profit"), ("0.9", "loss")])
@pytest.mark.parametrize("language", TODAY)
async def test_profit_today(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    language: str,
    factor: str,
    word: str,
) -> None:
    """How much did I make today? Unknown where a price is missing."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal(factor))
    await poll(hass, entry)
    questions, answer, words, unknown = TODAY[language]
    amount = f"{abs(entry.runtime_data.data.profit_today):.2f}"
    expected = answer.format(profit=words[word], amount=amount.replace(".", ",") if language == "fr" else amount)
    for question in questions:
        assert await say(hass, question, language) == expected, question
    exchange.remove_price("BTCUSDC")
    await poll(hass, entry)
    assert await say(hass, questions[0], language) == unknown


STATUS = {
    "en": (
        ("Is copy trading paused?", "Is the copy trading active?"),
        "Pause copy trading",
        "Calv-a-lot is active.",
        "Calv-a-lot is paused.",
    ),
    "fr": (
        (
            "Est-ce que le copy trading est en pause ?",
            "Le copy trading est-il en pause ?",
            "Le copy trading est actif ?",
        ),
        "Mets le copy trading en pause !",
        "Calv-a-lot est actif.",
        "Calv-a-lot est en pause.",
    ),
}


@pytest.mark.parametrize("language", STATUS)
async def test_status_and_pause(hass: HomeAssistant, entry: MockConfigEntry, language: str) -> None:
    """Is copy trading paused? Pause it; it really is."""
    assert await set_up(hass, entry)
    questions, order, active, paused = STATUS[language]
    for question in questions:
        assert await say(hass, question, language) == active, question
    assert await say(hass, order, language) == paused
    assert state_of(hass, entry, "switch", "pause").state == "on"
    for question in questions:
        assert await say(hass, question, language) == paused, question


ORDERS = {
    "en": (
        ("Stop copying", "Stop copying my leader"),
        ("Resume copying", "Start copying again", "Resume the copy trading"),
    ),
    "fr": (("Arrête de copier",), ("Reprends le copy trading", "Recommence à copier mon leader")),
}


@pytest.mark.parametrize("language", ORDERS)
async def test_stop_and_resume(hass: HomeAssistant, entry: MockConfigEntry, language: str) -> None:
    """Stop copying; resume it: both are done, and said."""
    assert await set_up(hass, entry)
    stops, resumes = ORDERS[language]
    for stop in stops:
        assert await say(hass, stop, language) == STATUS[language][3], stop
        assert state_of(hass, entry, "switch", "pause").state == "on"
    for resume in resumes:
        await say(hass, stops[0], language)
        assert await say(hass, resume, language) == STATUS[language][2], resume
        assert state_of(hass, entry, "switch", "pause").state == "off"


async def test_who_may_resume(
    hass: HomeAssistant, entry: MockConfigEntry, hass_read_only_user: MockUser, hass_admin_user: MockUser
) -> None:
    """Everybody may stop; resuming is refused to those who are no administrator, and to a voice without a name."""
    hass_read_only_user.mock_policy({"entities": True})
    assert await set_up(hass, entry)

    async def said(text: str, user_id: str | None, satellite_id: str | None = None) -> str:
        context = Context(user_id=user_id)
        result = await conversation.async_converse(hass, text, None, context, "en", satellite_id=satellite_id)
        return str(result.response.speech["plain"]["speech"])

    satellite = "assist_satellite.kitchen"
    assert await said("Stop copying", hass_read_only_user.id) == STATUS["en"][3]
    for user_id, where in ((hass_read_only_user.id, None), (None, satellite)):
        assert await said("Resume copying", user_id, where) == "Calv-a-lot: only an administrator may resume."
        assert state_of(hass, entry, "switch", "pause").state == "on"
    for user_id, where in ((hass_admin_user.id, satellite), (None, None)):
        assert await said("Stop copying", None, satellite) == STATUS["en"][3]
        assert await said("Resume copying", user_id, where) == STATUS["en"][2]


async def test_own_language(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Without a language it is Home Assistant's; a region makes no difference, another language hears English."""
    assert await set_up(hass, entry)
    await hass.config.async_update(language="fr")
    assert await say(hass, "Le copy trading est-il en pause ?") == STATUS["fr"][2]
    assert await say(hass, "Le copy trading est-il en pause ?", "fr-CA") == STATUS["fr"][2]
    assert await say(hass, "Is copy trading paused?", "de") == STATUS["en"][2]


async def test_unknown_value(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """What is not known is not made up."""
    await exchange.stop()
    assert await set_up(hass, entry)
    assert await say(hass, "How is my portfolio?", "en") == (
        "Calv-a-lot: what the portfolio is worth is not known at the moment."
    )


async def test_dead(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A dead follower says so, asked or told to pause."""
    entry = add_entry(hass, entry_data | {"initial_budget": 20.0})
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 10)
    await poll(hass, entry, 3)
    for text in ("Is copy trading paused?", "Pause copy trading"):
        assert await say(hass, text, "en") == "Calv-a-lot is dead: nothing is traded."


async def test_pause_fails(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Where the pause cannot be written down, nobody says it was."""
    assert await set_up(hass, entry)
    with patch.object(Ledger, "remember_all", side_effect=LedgerError("disk full")):
        answer = await say(hass, "Pause copy trading", "en")
    assert "could not be read or written" in answer
    assert state_of(hass, entry, "switch", "pause").state == "off"


async def test_two_followers(hass: HomeAssistant, entry: MockConfigEntry, entry_data: dict[str, Any]) -> None:
    """Each exposed follower answers and obeys; one that is not exposed does neither, and with none it is said."""
    assert await set_up(hass, entry)
    other = add_entry(hass, entry_data | {"initial_budget": 500.0})
    assert await set_up(hass, other)
    assert await say(hass, "Is copy trading paused?", "en") == " ".join([STATUS["en"][2]] * 2)
    async_expose_entity(hass, "conversation", entity_id(hass, entry, "switch", "pause"), should_expose=False)
    assert await say(hass, "Pause copy trading", "en") == STATUS["en"][3]
    assert state_of(hass, entry, "switch", "pause").state == "off"
    assert state_of(hass, other, "switch", "pause").state == "on"
    async_expose_entity(hass, "conversation", entity_id(hass, other, "switch", "pause"), should_expose=False)
    assert await say(hass, "Pause copy trading", "fr") == "Aucun copy trading en marche n'est exposé à cet assistant."


TRADES = {
    "en": (
        ("Buy 100 euros of crypto BTC", "Buy the crypto btc for 100 euros"),
        "Sell 40 euros of crypto BTC",
        "Close my crypto position in BTC",
        "Confirm the crypto order",
        (
            r"Mine, on paper: buying 0\.\d+ BTC at [\d.]+, [\d.]+ USDC in all; fee 0\.\d\d, cost 0\.\d\d USDC\. "
            r"To do it say: confirm the crypto order\."
        ),
        r"Mine: bought 0\.\d+ BTC for [\d.]+ USDC\.",
        r"Mine, on paper: selling 0\.\d+ BTC .*",
        r"Mine: sold 0\.\d+ BTC for [\d.]+ USDC\.",
        "The order has to be confirmed in a further message of the user. Nothing was traded.",
    ),
    "fr": (
        ("Achète 100 euros de crypto BTC", "Achète la crypto btc pour 100,00 euros"),
        "Vends pour 40 euros de crypto BTC",
        "Ferme ma position crypto BTC",
        "Confirme l'ordre crypto",
        (
            r"Mine, sur papier\s: achat de 0,\d+ BTC à [\d,]+, soit [\d,]+ USDC\s; frais 0,\d\d, coût 0,\d\d USDC\. "
            r"Pour le passer, dites\s: confirme l'ordre crypto\."
        ),
        r"Mine\s: 0,\d+ BTC achetés pour [\d,]+ USDC\.",
        r"Mine, sur papier\s: vente de 0,\d+ BTC .*",
        r"Mine\s: 0,\d+ BTC vendus pour [\d,]+ USDC\.",
        "L'ordre doit être confirmé dans un autre message de l'utilisateur. Aucun ordre n'a été passé.",
    ),
}


async def said(
    hass: HomeAssistant, text: str, language: str = "en", context: Context | None = None, satellite: str | None = None
) -> str:
    """What Assist answers to somebody."""
    result = await conversation.async_converse(hass, text, None, context or Context(), language, satellite_id=satellite)
    return str(result.response.speech["plain"]["speech"])


@pytest.mark.parametrize("language", TRADES)
async def test_trades(hass: HomeAssistant, entry_data: dict[str, Any], language: str) -> None:
    """Where the owner allows it: an order is shown, and placed once it is confirmed in a further message."""
    entry = add_entry(hass, entry_data | {"source": "manual"}, title="Mine", assist_trades=True)
    assert await set_up(hass, entry)
    buys, sell, close, confirm, shown, bought, selling, sold, unconfirmed = TRADES[language]
    for buy in buys:
        context = Context()
        assert re.fullmatch(shown, await said(hass, buy, language, context))
        assert await said(hass, confirm, language, context) == unconfirmed
        assert re.fullmatch(bought, await said(hass, confirm, language))
        assert "BTC" not in await said(hass, confirm, language)
    for sale in (sell, close):
        assert re.fullmatch(selling, await said(hass, sale, language))
        assert re.fullmatch(sold, await said(hass, confirm, language))
    assert [trade["side"] for trade in await entry.runtime_data.engine.queries.trades()] == ["SELL"] * 2 + ["BUY"] * 2


async def test_no_trade(
    hass: HomeAssistant,
    live_data: dict[str, Any],
    exchange: ExchangeSimulator,
    hass_read_only_user: MockUser,
    hass_admin_user: MockUser,
) -> None:
    """Not where it is off, not for everybody, and not said to be done where it is not known."""
    entry = add_entry(hass, live_data | {"source": "manual"}, title="Mine")
    assert await set_up(hass, entry)
    (buy, _), _, _, confirm, *_ = TRADES["en"]
    assert await said(hass, buy) == (
        "Assistants may not trade: that is switched off in the options of the portfolio. Nothing was traded."
    )
    hass.config_entries.async_update_entry(entry, options={"assist_trades": True})
    await hass.async_block_till_done()
    for user_id, satellite in ((hass_read_only_user.id, None), (None, "assist_satellite.kitchen")):
        answer = await said(hass, buy, "en", Context(user_id=user_id), satellite)
        assert answer == "Only an administrator may trade, and it has to be known who asks. Nothing was traded."
    assert await said(hass, "Buy fifty euros of crypto BTC") == (
        "The amount must be a plain number with at most eight decimals."
    )
    admin = hass_admin_user.id
    assert "with real money" in await said(hass, buy, "en", Context(user_id=admin), "assist_satellite.kitchen")
    # What one was shown another one does not confirm.
    assert "was not shown" in await said(hass, confirm)
    exchange.fault("drop", when="after", method="POST", path="/order")
    exchange.fault("status", method="GET", path="/order", count=None)
    assert await said(hass, confirm, "en", Context(user_id=admin)) == (
        "Mine: nothing was filled so far. Look at the orders before you try again."
    )


def test_no_answer_is_left_over() -> None:
    """Each answer that was translated is given."""
    code = Path(intent.__file__).read_text("utf-8")
    words = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)} | set(Status)
    texts = json.loads((Path(intent.__file__).parent / "translations/en.json").read_text("utf-8"))["common"]
    assert {key.removeprefix("answer_") for key in texts if key.startswith("answer_")} <= words


async def test_other_sentences(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What has nothing to do with copy trading is left to others."""
    assert await set_up(hass, entry)
    for text in ("How is the weather?", "Pause the music", "Is the portfolio manager home?", "Buy milk for 2 euros"):
        result = await conversation.async_converse(hass, text, None, Context(), "en")
        speech = result.response.speech["plain"]["speech"]
        assert "Calv-a-lot" not in speech, text
