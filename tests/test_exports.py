"""Exports as files: to administrators, by the year, a piece at a time as they are read."""

from datetime import timedelta
from typing import Any

from homeassistant.components.http.auth import async_sign_path
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.calvalot.const import DOMAIN
from simulators.leader import LeaderSimulator

from .conftest import set_up
from .entities import poll


@pytest.fixture(autouse=True)
async def _home(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A portfolio with a trade."""
    assert await async_setup_component(hass, "http", {})
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, entry)
    await poll(hass, entry)


def path(entry: MockConfigEntry, year: object = "all", wanted: str = "csv") -> str:
    """Where an export is fetched."""
    return f"/api/{DOMAIN}/exports/{entry.entry_id}/{year}/{wanted}"


@pytest.mark.parametrize(
    ("wanted", "kind"), [("csv", "text/csv"), ("json", "application/json"), ("waltio", "text/csv")]
)
async def test_a_file(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator, wanted: str, kind: str
) -> None:
    """The same as the action answers, of all years and of one."""
    client, year = await hass_client(), dt_util.utcnow().year
    for of, data in (("all", {}), (year, {"year": year}), (year - 1, {"year": year - 1})):
        told: dict[str, Any] | None = await hass.services.async_call(
            DOMAIN, "export", {"format": wanted, **data}, blocking=True, return_response=True
        )
        assert told
        answer = await client.get(path(entry, of, wanted))
        assert (answer.status, answer.content_type) == (200, kind)
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{told["name"]}"'
        assert await answer.text() == told["content"]


async def test_a_signed_path_is_as_good_as_a_login(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
    hass_client_no_auth: ClientSessionGenerator,
    hass_access_token: str,
    hass_read_only_access_token: str,
) -> None:
    """For an administrator's; others get nothing."""
    client = await hass_client_no_auth()
    assert (await client.get(path(entry))).status == 401
    token = hass.auth.async_validate_access_token(hass_access_token)
    assert token
    signed = async_sign_path(hass, path(entry), timedelta(seconds=30), refresh_token_id=token.id)
    assert (await client.get(signed)).status == 200
    reader = await hass_client(hass_read_only_access_token)
    assert (await reader.get(path(entry))).status == 401


async def test_nothing_else_is_handed_out(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator
) -> None:
    """No other format, no year that is none, no portfolio that is not there or not loaded."""
    client = await hass_client()
    for wrong in (
        path(entry, wanted="gains"),
        path(entry, "2008"),
        path(entry, "9999"),
        path(entry, "soon"),
        path(entry, "\u0661"),
        path(entry).replace(entry.entry_id, "nobody"),
    ):
        assert (await client.get(wrong)).status == 404
    await hass.config_entries.async_unload(entry.entry_id)
    assert (await client.get(path(entry))).status == 404
