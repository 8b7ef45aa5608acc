"""The followers of a Home Assistant."""

from harness.home import Home


def entry_ids(home: Home) -> set[str]:
    """Ids of the entries."""
    return set(entry_titles(home))


def entry_titles(home: Home) -> dict[str, str]:
    """Titles of the entries, by their ids."""
    entries = home.get("config/config_entries/entry?domain=calvalot")
    return {entry["entry_id"]: entry["title"] for entry in entries}
