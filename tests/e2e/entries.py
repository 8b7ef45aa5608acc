"""The followers of a Home Assistant."""

from harness.home import Home


def entry_ids(home: Home) -> set[str]:
    """Ids of the entries."""
    return {entry["entry_id"] for entry in home.get("config/config_entries/entry?domain=calvalot")}
