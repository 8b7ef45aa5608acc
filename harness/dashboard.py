"""The dashboard that the integration makes by itself, as the page that opens first."""

from .home import Home

URL_PATH = "calv-a-lot"


def show_dashboard(home: Home) -> None:
    """Store the dashboard and let it be the page that opens first."""
    home.commands(
        {
            "type": "lovelace/dashboards/create",
            "url_path": URL_PATH,
            "title": "Calv-a-lot",
            "icon": "mdi:finance",
            "mode": "storage",
        },
        {"type": "lovelace/config/save", "url_path": URL_PATH, "config": {"strategy": {"type": "custom:calvalot"}}},
        {"type": "frontend/set_system_data", "key": "core", "value": {"default_panel": URL_PATH}},
    )
