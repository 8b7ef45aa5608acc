"""The demo's dashboard, used."""

from playwright.sync_api import Page, expect
import pytest

from .conftest import Camera, Shown

STATE = "id => document.querySelector('home-assistant')?.hass?.states?.[id]?.state"


def _open(page: Page, shown: Shown) -> None:
    """Open the first page and wait until the figures are there."""
    page.goto("/")
    page.wait_for_url("**/calv-a-lot/portfolio*")
    _tile(page, shown, "total_value").wait_for()


def _tile(page: Page, shown: Shown, key: str):
    name = shown.home.get(f"states/{shown.ids[key]}")["attributes"]["friendly_name"]
    return page.locator("hui-tile-card", has_text=name)
