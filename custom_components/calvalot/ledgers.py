"""Where the ledgers lie, and the accounts that they share."""

from pathlib import Path

from homeassistant.core import HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .trading.accounts import Accounts


def ledger_path(hass: HomeAssistant, entry_id: str) -> Path:
    """Where the ledger of an entry lies."""
    return Path(hass.config.path(DOMAIN, f"{entry_id}.db"))


_ACCOUNTS: HassKey[Accounts] = HassKey(f"{DOMAIN}_accounts")


@callback
def async_accounts(hass: HomeAssistant) -> Accounts:
    """The accounts that all followers of a Home Assistant trade on; a follower that is not loaded keeps its claims."""

    def ledgers() -> list[Path]:
        return [ledger_path(hass, entry.entry_id) for entry in hass.config_entries.async_entries(DOMAIN)]

    return hass.data.setdefault(_ACCOUNTS, Accounts(ledgers))
