"""A dashboard of Home Assistant's own cards, which opens first."""

from collections.abc import Mapping

from .follower import COINS
from .home import Home

URL_PATH = "calv-a-lot"
# A demo is young: the last quarter of an hour is all there is to see.
CURVE_HOURS = 0.25
COLORS = {"BTC": "orange", "ETH": "indigo", "BNB": "amber", "SOL": "teal", "XRP": "light-blue"}
ICONS = {"BTC": "mdi:bitcoin", "ETH": "mdi:ethereum"}

WORDS = {
    "en": {
        "portfolio": "Portfolio",
        "positions": "Positions",
        "percent": "Profit in %",
        "return": "Return",
        "drawdown": "Drawdown",
        "distance": "Off target",
        "profit": "{coin} profit",
        "result": "Result",
        "leader": "Leader and exchange",
        "exchange": "Exchange",
        "activity": "Activity",
    },
    "fr": {
        "portfolio": "Portefeuille",
        "positions": "Positions",
        "percent": "Gain en %",
        "return": "Rendement",
        "drawdown": "Repli",
        "distance": "Écart",
        "profit": "Gain {coin}",
        "result": "Résultat",
        "leader": "Leader et plateforme",
        "exchange": "Plateforme",
        "activity": "Activité",
    },
}

type Card = dict[str, object]


def _heading(text: str, icon: str, *badges: str) -> Card:
    shown = [{"type": "entity", "entity": entity} for entity in badges]
    return {"type": "heading", "heading": text, "heading_style": "title", "icon": icon, "badges": shown}


def _tile(entity: str, **options: object) -> Card:
    return {"type": "tile", "entity": entity, "name": {"type": "entity"}, **options}


def _wide(card: Card) -> Card:
    return {**card, "grid_options": {"columns": "full"}}


def _curve(entity: str) -> Card:
    entities = [{"entity": entity, "name": {"type": "entity"}}]
    return _wide({"type": "history-graph", "hours_to_show": CURVE_HOURS, "entities": entities})


def dashboard(ids: Mapping[str, str], language: str) -> Card:
    """One view in three sections: the portfolio, what it consists of, who leads it and what happened."""
    words = WORDS[language]
    tall = {"vertical": True, "grid_options": {"columns": 6, "rows": 2}}
    portfolio = [
        _heading(words["portfolio"], "mdi:finance", ids["status"]),
        _tile(ids["total_value"], color="primary", **tall),
        _tile(ids["profit_loss"], color="green", **tall),
        _curve(ids["total_value"]),
        _tile(ids["profit_loss_percent"], name=words["percent"]),
        _tile(ids["net_deposits"]),
        _tile(ids["time_weighted_return"], name=words["return"]),
        _tile(ids["max_drawdown"], name=words["drawdown"]),
        _curve(ids["profit_loss"]),
    ]
    parts = [
        {"entity": ids["cash"], "name": {"type": "entity"}, "color": "grey"},
        *({"entity": ids[f"{coin.lower()}_value"], "name": coin, "color": COLORS[coin]} for coin in COINS),
    ]
    positions = [
        _heading(words["positions"], "mdi:chart-donut"),
        _wide({"type": "distribution", "entities": parts}),
        _tile(ids["cash"]),
        _tile(ids["tracking_distance"], name=words["distance"]),
    ]
    for coin in COINS:
        icon = ICONS.get(coin, "mdi:alpha-" + coin[0].lower() + "-circle")
        positions += [
            _tile(ids[f"{coin.lower()}_value"], name=coin, icon=icon, color=COLORS[coin]),
            _tile(ids[f"{coin.lower()}_profit_loss"], name=words["profit"].format(coin=coin), icon="mdi:trending-up"),
        ]
    poll = {"action": "perform-action", "perform_action": "button.press", "target": {"entity_id": ids["poll"]}}
    happenings = [ids[key] for key in ("signal", "trade", "alert", "pause")]
    leader = [
        _heading(words["leader"], "mdi:account-star"),
        _tile(ids["leader_connected"], color="green"),
        _tile(ids["exchange_connected"], name=words["exchange"], color="green"),
        _tile(ids["last_signal"]),
        _tile(ids["last_signal_result"], name=words["result"]),
        _wide(_tile(ids["pause"], color="red", features=[{"type": "toggle"}], features_position="inline")),
        _wide(_tile(ids["poll"], hide_state=True, tap_action=poll, icon_tap_action=poll)),
        _heading(words["activity"], "mdi:history"),
        _wide({"type": "logbook", "hours_to_show": 24, "target": {"entity_id": happenings}}),
    ]
    sections = [{"type": "grid", "cards": cards} for cards in (portfolio, positions, leader)]
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
