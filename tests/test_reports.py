"""Reports in a running Home Assistant: made, listed, fetched, deleted, and by whom."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from homeassistant.components.http.auth import async_sign_path
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.reports import reports_folder
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up


@pytest.fixture(autouse=True)
async def _home(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A portfolio with a trade and a close."""
    for component in ("http", "websocket_api"):
        assert await async_setup_component(hass, component, {})
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, entry)


def month() -> str:
    """This month."""
    return f"{datetime.now(UTC):%Y-%m}"


async def create(hass: HomeAssistant, **data: Any) -> dict[str, Any]:
    """Make a report."""
    answer = await hass.services.async_call(DOMAIN, "create_report", data, blocking=True, return_response=True)
    assert answer
    return {**answer}


async def test_made_listed_fetched_deleted(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """By an administrator, page and PDF."""
    told = await create(hass, month=month(), language="fr")
    assert (told["period"], told["language"]) == (month(), "fr")
    assert (await hass.async_add_executor_job(Path(told["file"]).read_bytes)).startswith(b"%PDF-")
    client = await hass_client()
    answer = await client.get(told["url"])
    assert (answer.status, answer.content_type) == (200, "application/pdf")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    page = await client.get(told["page_url"])
    assert (page.status, page.content_type) == (200, "text/html")
    assert 'lang="fr"' in await page.text()
    connection = await hass_ws_client(hass)
    await connection.send_json_auto_id({"type": "calvalot/reports", "entry_id": entry.entry_id})
    (listed,) = (await connection.receive_json())["result"]["reports"]
    assert {key: listed[key] for key in ("period", "language", "url", "page_url", "since", "until")} == {
        key: told[key] for key in ("period", "language", "url", "page_url", "since", "until")
    }
    delete = {"type": "calvalot/delete_report", "entry_id": entry.entry_id, "period": month(), "language": "fr"}
    for wrong in ({"period": "never"}, {"entry_id": "nobody"}, {}):
        await connection.send_json_auto_id(delete | wrong)
        left = (await connection.receive_json())["result"]["reports"]
        assert len(left) == (wrong == {"period": "never"})
    assert (await client.get(told["url"])).status == 404


async def test_a_signed_path_is_as_good_as_a_login(
    hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator, hass_access_token: str
) -> None:
    """For an administrator's, and for as long as it holds; without one nothing is handed out."""
    told = await create(hass, month=month())
    client = await hass_client_no_auth()
    assert (await client.get(told["url"])).status == 401
    token = hass.auth.async_validate_access_token(hass_access_token)
    assert token
    signed = async_sign_path(hass, told["url"], timedelta(seconds=30), refresh_token_id=token.id)
    assert (await client.get(signed)).status == 200
    nobody = async_sign_path(hass, told["url"], timedelta(seconds=30), use_content_user=True)
    assert (await client.get(nobody)).status == 401


async def test_others_see_none(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
) -> None:
    """Reports are for administrators."""
    told = await create(hass, month=month())
    client = await hass_client(hass_read_only_access_token)
    assert (await client.get(told["url"])).status == 401
    connection = await hass_ws_client(hass, hass_read_only_access_token)
    await connection.send_json_auto_id({"type": "calvalot/reports", "entry_id": entry.entry_id})
    assert (await connection.receive_json())["error"]["code"] == "unauthorized"


@pytest.mark.parametrize(
    "path", ["{entry}/calvalot-2026-01-en.pdf", "{entry}/..%2f{entry}.db", "nobody/calvalot-2026-01-en.pdf"]
)
async def test_nothing_else_is_handed_out(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator, path: str
) -> None:
    """No file that is none of ours, wherever it lies."""
    answer = await (await hass_client()).get(f"/api/calvalot/reports/{path.format(entry=entry.entry_id)}")
    assert answer.status in {400, 404}


@pytest.mark.parametrize(("spoken", "language"), [("fr-CA", "fr"), ("de", "en")])
async def test_speaks_the_house_language(hass: HomeAssistant, spoken: str, language: str) -> None:
    """Where it can."""
    hass.config.language = spoken
    assert (await create(hass, year=dt_util.utcnow().year))["language"] == language


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({}, "report_empty"),
        ({"month": "2009-01"}, "report_empty"),
        ({"month": "2026-Q1"}, "report_period_invalid"),
        ({"month": "January"}, "report_period_invalid"),
        ({"quarter": "2026"}, "report_period_invalid"),
    ],
)
async def test_refused(hass: HomeAssistant, data: dict[str, str], key: str) -> None:
    """A span that is none, or of which nothing is known: the month before the first money."""
    with pytest.raises(ServiceValidationError) as refused:
        await create(hass, **data)
    assert refused.value.translation_key == key


@pytest.mark.parametrize("live", [False, True])
async def test_they_go_with_a_portfolio_of_paper(
    hass: HomeAssistant, entry: MockConfigEntry, live_data: dict[str, Any], live: bool
) -> None:
    """What was ever live is kept with its ledger."""
    if live:
        entry = add_entry(hass, live_data, title="Live")
        await set_up(hass, entry)
    await create(hass, config_entry_id=entry.entry_id, month=month())
    await hass.config_entries.async_remove(entry.entry_id)
    assert reports_folder(hass, entry.entry_id).exists() == live
