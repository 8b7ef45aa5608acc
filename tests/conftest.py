"""What the tests share: the integration in Home Assistant's harness, and the two simulators on loopback."""

from collections.abc import AsyncGenerator
import logging
from pathlib import Path
from typing import Any
from uuid import uuid4

from homeassistant.components.webhook import async_generate_id
from homeassistant.core import HomeAssistant
import prometheus_client
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

# Imported before the plugin's own folder of that name can hide it.
import custom_components.calvalot  # noqa: F401
from custom_components.calvalot.const import DOMAIN, MINOR_VERSION
import harness.portfolio
from simulators.exchange import ExchangeSimulator
from simulators.kraken import KrakenSimulator
from simulators.leader import LeaderSimulator

# The plugin has every statement written to the log.
logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def _home_assistant(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Where a test has a Home Assistant at all: let it find the integration, and keep its ledgers to itself."""
    if "hass" in request.fixturenames:
        if "recorder_mock" in request.fixturenames:
            # The recorder's fixtures insist on being there before Home Assistant is.
            request.getfixturevalue("recorder_db_url")
        request.getfixturevalue("enable_custom_integrations")
        request.getfixturevalue("hass").config.config_dir = str(tmp_path)


@pytest.fixture(autouse=True)
def enable_event_loop_debug() -> None:
    """The plugin's, which takes a third of the time: the loop's debug mode is left to PYTHONASYNCIODEBUG (`scripts/figures threads`)."""


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Home Assistant's exporter keeps its metrics per process: each test gets its own."""
    monkeypatch.setattr(prometheus_client, "REGISTRY", prometheus_client.CollectorRegistry())


@pytest.fixture
async def leader(socket_enabled: None) -> AsyncGenerator[LeaderSimulator]:
    """A leader that has published nothing yet."""
    async with LeaderSimulator() as simulator:
        yield simulator


@pytest.fixture
async def exchange(socket_enabled: None) -> AsyncGenerator[ExchangeSimulator]:
    """An exchange whose prices stand still, with 2,000 USDC on the first account."""
    async with ExchangeSimulator(seed=1, balances={"USDC": "2000"}) as simulator:
        yield simulator


@pytest.fixture
async def kraken(socket_enabled: None) -> AsyncGenerator[KrakenSimulator]:
    """Kraken, whose prices stand still, with 2,000 USDC and 2,000 EUR on the first account.

    Its key is new: what a key has counted is remembered for as long as the program runs, and a port may come again.
    """
    balances = {"USDC": "2000", "EUR": "2000"}
    async with KrakenSimulator(seed=1, balances=balances, api_key=uuid4().hex) as simulator:
        yield simulator


@pytest.fixture
def entry_data(leader: LeaderSimulator, exchange: ExchangeSimulator) -> dict[str, Any]:
    """Data of a dry run entry, as the config flow stores them."""
    return harness.portfolio.entry_data(leader, exchange, live=False)


@pytest.fixture
def live_data(leader: LeaderSimulator, exchange: ExchangeSimulator) -> dict[str, Any]:
    """Data of a live entry."""
    return harness.portfolio.entry_data(leader, exchange, live=True)


@pytest.fixture
def entry(hass: HomeAssistant, entry_data: dict[str, Any]) -> MockConfigEntry:
    """A dry run entry, not set up yet."""
    return add_entry(hass, entry_data)


@pytest.fixture
def live_entry(hass: HomeAssistant, live_data: dict[str, Any]) -> MockConfigEntry:
    """A live entry, not set up yet."""
    return add_entry(hass, live_data)


def add_entry(
    hass: HomeAssistant, data: dict[str, Any], *, title: str = "Calv-a-lot", **options: Any
) -> MockConfigEntry:
    """Add an entry without setting it up."""
    entry = MockConfigEntry(
        domain=DOMAIN,
        title=title,
        data={"webhook_id": async_generate_id(), **data},
        options=options,
        minor_version=MINOR_VERSION,
    )
    entry.add_to_hass(hass)
    return entry


async def set_up(hass: HomeAssistant, entry: MockConfigEntry) -> bool:
    """Set an entry up and wait for its first cycle."""
    loaded = await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    return loaded
