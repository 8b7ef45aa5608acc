"""The cards get to the browser."""

from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.calvalot.cards import FOLDER
from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.settings import version

MODULES = sorted(file.name for file in FOLDER.iterdir())


async def test_cards_are_served(hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator) -> None:
    """Every page loads the first module, and finds the others beside it; a new version has a new address."""
    assert await async_setup_component(hass, "frontend", {})
    assert await async_setup_component(hass, DOMAIN, {})
    (url,) = (url for url in hass.data[DATA_EXTRA_MODULE_URL].urls if DOMAIN in url)
    assert url == f"/calvalot_frontend/{await version(hass)}/calvalot.js"
    client = await hass_client_no_auth()
    assert "calvalot.js" in MODULES
    for module in MODULES:
        response = await client.get(url.replace("calvalot.js", module))
        assert response.status == 200
        assert response.content_type == "text/javascript"
        assert "max-age" in response.headers["Cache-Control"]
        assert await response.text() == (FOLDER / module).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_nothing_comes_from_outside(module: str) -> None:
    """Nothing is fetched from another host, and no text is ever read as markup."""
    source = (FOLDER / module).read_text(encoding="utf-8")
    addresses = {word.strip("\"'`;,") for word in source.split() if "://" in word}
    assert addresses <= {"http://www.w3.org/2000/svg", "https://github.com/cashalot/calvalot-homeassistant#dashboard"}
    for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write", "new Function"):
        assert danger not in source


async def test_without_a_frontend(hass: HomeAssistant) -> None:
    """The integration does not need one."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert DATA_EXTRA_MODULE_URL not in hass.data
