"""A dashboard of Home Assistant's own cards, which opens first."""

from collections.abc import Mapping

from .follower import COINS
from .home import Home

URL_PATH = "calv-a-lot"

WORDS = {
    "en": {
        "portfolio": "Portfolio",
        "curve": "Value",
        "positions": "Positions",
        "value": "Value",
        "profit": "Profit and loss",
        "leader": "Leader and exchange",
        "activity": "Activity",
        "details": "Details",
    },
    "fr": {
        "portfolio": "Portefeuille",
        "curve": "Valeur",
        "positions": "Positions",
        "value": "Valeur",
        "profit": "Gains et pertes",
        "leader": "Leader et plateforme",
        "activity": "Activité",
        "details": "Détails",
    },
}

type Card = dict[str, object]


def _heading(text: str, icon: str, *badges: str) -> Card:
    shown = [{"type": "entity", "entity": entity, "show_state": True, "show_icon": True} for entity in badges]
    return {"type": "heading", "heading": text, "heading_style": "title", "icon": icon, "badges": shown}


def _tile(entity: str, **options: object) -> Card:
    return {"type": "tile", "entity": entity, **options}


def _section(*cards: Card, **options: object) -> Card:
    return {"type": "grid", "cards": list(cards), **options}


def dashboard(ids: Mapping[str, str], language: str) -> Card:
    """One view in sections: the portfolio, its curve, the positions, the leader, what happened."""
    words = WORDS[language]
    whole = {"grid_options": {"columns": "full"}}
    portfolio = _section(
        _heading(words["portfolio"], "mdi:finance", ids["status"]),
        _tile(ids["total_value"], color="primary", vertical=True, grid_options={"columns": 6, "rows": 2}),
        _tile(ids["profit_loss"], color="green", vertical=True, grid_options={"columns": 6, "rows": 2}),
        _tile(ids["profit_loss_percent"]),
        _tile(ids["time_weighted_return"]),
        _tile(ids["net_deposits"]),
        _tile(ids["cash"]),
        _tile(ids["max_drawdown"]),
        _tile(ids["tracking_distance"]),
    )
    curve = _section(
        _heading(words["curve"], "mdi:chart-line"),
        {"type": "history-graph", "hours_to_show": 1, "entities": [{"entity": ids["total_value"]}], **whole},
        {"type": "history-graph", "hours_to_show": 1, "entities": [{"entity": ids["profit_loss"]}], **whole},
    )
    positions = _section(
        _heading(words["positions"], "mdi:chart-donut"),
        *(
            _tile(ids[f"{coin.lower()}_{figure}"], name=f"{coin} · {words[word]}", icon=icon)
            for coin in COINS
            for figure, word, icon in (
                ("value", "value", "mdi:circle-multiple-outline"),
                ("profit_loss", "profit", "mdi:trending-up"),
            )
        ),
    )
    leader = _section(
        _heading(words["leader"], "mdi:account-star"),
        _tile(ids["leader_connected"]),
        _tile(ids["exchange_connected"]),
        _tile(ids["last_signal"]),
        _tile(ids["last_signal_result"]),
        _tile(ids["pause"], features=[{"type": "toggle"}], grid_options={"columns": "full"}),
        _tile(ids["poll"], tap_action={"action": "toggle"}, grid_options={"columns": "full"}),
    )
    happenings = [ids[key] for key in ("signal", "trade", "alert", "pause", "status")]
    activity = _section(
        _heading(words["activity"], "mdi:history"),
        {"type": "logbook", "hours_to_show": 24, "target": {"entity_id": happenings}, **whole},
    )
    sections = [portfolio, curve, leader, positions, activity]
    view = {"title": "Calv-a-lot", "path": "portfolio", "type": "sections", "max_columns": 3, "sections": sections}
    return {"title": "Calv-a-lot", "views": [view]}


def show_dashboard(home: Home, ids: Mapping[str, str], language: str) -> None:
    """Store the dashboard and let it be the page that opens first."""
    home.commands(
        {
            "type": "lovelace/dashboards/create",
            "url_path": URL_PATH,
            "title": "Calv-a-lot",
            "icon": "mdi:finance",
            "mode": "storage",
        },
        {"type": "lovelace/config/save", "url_path": URL_PATH, "config": dashboard(ids, language)},
        {"type": "frontend/set_system_data", "key": "core", "value": {"default_panel": URL_PATH}},
    )
