"""Calv-a-lot: copies a leader's crypto trades in proportion, on the owner's own account on an exchange."""

from contextlib import suppress
from pathlib import Path

from homeassistant.components.webhook import async_generate_id
from homeassistant.const import CONF_WEBHOOK_ID, Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryError, ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

from .alert_webhook import async_remove_alert_webhooks, async_sync_alert_webhooks
from .backtest_actions import async_recover_backtests
from .backtest_commands import async_setup_backtests
from .cards import async_setup_cards
from .const import CONF_QUOTE_ASSET, CONF_TRADING_MODE, CONF_WEIGHT, DEFAULT_QUOTE_ASSET, DOMAIN, MINOR_VERSION
from .coordinator import CalvalotConfigEntry, CalvalotCoordinator
from .exchanges import async_load_exchange
from .exports import async_setup_exports
from .issues import (
    COINS_LEFT,
    LEDGER_NEWER,
    LEDGER_UNREADABLE,
    ORDERS_LEFT,
    async_clear_issues,
    async_raise_issue,
    coins_text,
)
from .ledgers import ledger_path
from .market import async_keep
from .publishers.http import async_setup_publishers
from .publishers.publishers import Publishers
from .publishers.settings import published_path
from .registry import sources_of
from .reports import async_setup_reports, reports_folder
from .services import async_setup_services
from .settings import InvalidSettings, first_key, further_sources, version, weights_of
from .trading.errors import CommandError
from .trading.ledger.copies import live_coins, live_orders, paper_only, quote_in_use
from .trading.ledger.storage import LedgerError, LedgerNewer
from .trading.reports.files import delete_all
from .webhook import async_remove_webhook, async_sync_webhook
from .websocket_api import async_setup_websocket_api

PLATFORMS = [Platform.BINARY_SENSOR, Platform.BUTTON, Platform.EVENT, Platform.SENSOR, Platform.SWITCH]

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, _config: ConfigType) -> bool:
    """Set up what all followers share."""
    async_setup_services(hass)
    async_setup_websocket_api(hass)
    async_setup_reports(hass)
    async_setup_exports(hass)
    async_setup_publishers(hass)
    async_setup_backtests(hass)
    await async_setup_cards(hass, await version(hass))
    await async_recover_backtests(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: CalvalotConfigEntry) -> bool:
    """Set up one follower."""
    _settle_weight(hass, entry)
    await _async_settle_quote(hass, entry)
    try:
        await async_load_exchange(hass, entry.data)
        coordinator = CalvalotCoordinator(hass, entry, sources_of(hass, entry, await version(hass)))
        await coordinator.async_start()
    except InvalidSettings as err:
        raise ConfigEntryError(
            translation_domain=DOMAIN,
            translation_key="invalid_settings",
            translation_placeholders={"field": err.field},
        ) from err
    except LedgerError as err:
        path = str(ledger_path(hass, entry.entry_id))
        if isinstance(err, LedgerNewer):
            async_raise_issue(hass, entry, LEDGER_NEWER, {"path": path, "error": str(err)})
        else:
            async_raise_issue(hass, entry, LEDGER_UNREADABLE, {"path": path})
        # Tried again by itself: a full disk gets room, a lock is given back.
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN, translation_key="ledger_unreadable", translation_placeholders={"error": str(err)}
        ) from err
    async_clear_issues(hass, entry.entry_id)
    entry.runtime_data = coordinator
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    async_sync_webhook(hass, entry)
    async_sync_alert_webhooks(hass, entry)
    entry.async_on_unload(lambda: async_remove_webhook(hass, entry))
    entry.async_on_unload(lambda: async_remove_alert_webhooks(hass, entry))
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    coordinator.publishers = Publishers(hass, entry)
    await coordinator.async_begin()
    await coordinator.async_sync_publishers()
    return True


async def async_migrate_entry(hass: HomeAssistant, entry: CalvalotConfigEntry) -> bool:
    """Give an entry of the first version the id of its webhook."""
    if entry.minor_version < MINOR_VERSION:
        data = {CONF_WEBHOOK_ID: async_generate_id(), **entry.data}
        hass.config_entries.async_update_entry(entry, data=data, minor_version=MINOR_VERSION)
    return True


async def _async_settle_quote(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Take up the quote asset that the book was changed to, where that came no further than the ledger."""
    path, mode = ledger_path(hass, entry.entry_id), str(entry.data.get(CONF_TRADING_MODE))
    quote = await hass.async_add_executor_job(quote_in_use, path, mode)
    if quote and quote != entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET):
        hass.config_entries.async_update_entry(entry, data={**entry.data, CONF_QUOTE_ASSET: quote})


@callback
def _settle_weight(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Write down what the first source is left with beside others: when one of those goes, its share goes to cash."""
    if further_sources(entry) and CONF_WEIGHT not in entry.options:
        weight = float(weights_of(entry)[first_key(entry.data)])
        hass.config_entries.async_update_entry(entry, options={**entry.options, CONF_WEIGHT: weight})


async def _async_updated(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Take up in place what was tuned; set the entry up anew for all else."""
    async_keep(hass)
    with suppress(InvalidSettings):
        if not entry.runtime_data.is_connected_anew:
            await entry.runtime_data.async_tune()
            async_sync_webhook(hass, entry)
            async_sync_alert_webhooks(hass, entry)
            await entry.runtime_data.async_sync_publishers()
            return
    hass.config_entries.async_schedule_reload(entry.entry_id)


async def async_unload_entry(hass: HomeAssistant, entry: CalvalotConfigEntry) -> bool:
    """Unload a follower once no order of it is on its way any more."""
    if not await hass.config_entries.async_unload_platforms(entry, PLATFORMS):
        return False
    await entry.runtime_data.async_stop()
    async_clear_issues(hass, entry.entry_id)
    return True


async def async_remove_entry(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Remove what a portfolio leaves behind, and say which orders and coins stay on the exchange."""
    path = ledger_path(hass, entry.entry_id)
    if await hass.async_add_executor_job(live_orders, path):
        await _async_withdraw(hass, entry)
    async_clear_issues(hass, entry.entry_id)
    if orders := await hass.async_add_executor_job(live_orders, path):
        async_raise_issue(hass, entry, ORDERS_LEFT, {"orders": ", ".join(orders)})
    if coins := await hass.async_add_executor_job(live_coins, path):
        async_raise_issue(hass, entry, COINS_LEFT, {"coins": coins_text(coins), "path": str(path)})
    await hass.async_add_executor_job(published_path(hass, entry.entry_id).unlink, True)
    await hass.async_add_executor_job(_delete_paper, path, reports_folder(hass, entry.entry_id))


async def _async_withdraw(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Have everything ended that rests on the exchange, as far as it answers; the books say what came of it."""
    with suppress(InvalidSettings, LedgerError, CommandError):
        coordinator = CalvalotCoordinator(hass, entry, sources_of(hass, entry, await version(hass)))
        try:
            await coordinator.engine.start()
            await coordinator.engine.orders.withdraw()
        finally:
            await coordinator.engine.stop()


def _delete_paper(path: Path, reports: Path) -> None:
    """Delete a ledger of paper money, its copies and what SQLite put beside it, and its reports.

    One that was ever live is the only record of real trades and stays for the owner's tax papers, whatever its mode is now.
    """
    if path.parent.is_dir() and paper_only(path):
        for file in path.parent.iterdir():
            if file.name.startswith(f"{path.stem}."):
                file.unlink(missing_ok=True)
        delete_all(reports)
