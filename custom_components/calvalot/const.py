"""Constants of Calv-a-lot."""

from datetime import timedelta
import logging
from typing import Final

DOMAIN: Final = "calvalot"
# Of what a config entry stores: 2 has the id of the webhook from the start.
MINOR_VERSION: Final = 2
# What the logbook shows of a signal that has come to something.
EVENT_SIGNAL_TOLD: Final = f"{DOMAIN}_signal_told"
# What is sent within Home Assistant when a backtest is over.
BACKTEST_FINISHED: Final = f"{DOMAIN}_backtest_finished"
LOGGER = logging.getLogger(__package__)

# The type of the subentries that publish.
PUBLISHER: Final = "publisher"

CONF_SOURCE: Final = "source"
CONF_LEADER_URL: Final = "leader_url"
CONF_SIGNAL_SECRET: Final = "signal_secret"  # noqa: S105
# Of a leader whose chain is checked: what he is called there, and his public key.
CONF_LEADER_ID: Final = "leader_id"
CONF_LEADER_KEY: Final = "leader_key"
CONF_LEADER_TOPIC: Final = "topic"
CONF_TRADING_MODE: Final = "trading_mode"
CONF_EXCHANGE: Final = "exchange"
CONF_EXCHANGE_URL: Final = "exchange_url"
CONF_API_KEY: Final = "api_key"
CONF_API_SECRET: Final = "api_secret"  # noqa: S105
CONF_INITIAL_BUDGET: Final = "initial_budget"
CONF_SCOPE: Final = "scope"
CONF_QUOTE_ASSET: Final = "quote_asset"
CONF_ACCEPT_PLAIN_HTTP: Final = "accept_plain_http"
CONF_ALLOW_PYTHON: Final = "allow_python"
CONF_ACCEPT_WITHDRAWAL_KEY: Final = "accept_withdrawal_key"
# Named in a reauthentication: who refused the secret.
CONF_REFUSED_BY: Final = "refused_by"
CONF_REFUSED_SOURCE: Final = "refused_source"
SECRETS: Final = (CONF_SIGNAL_SECRET, CONF_API_KEY, CONF_API_SECRET)

CONF_POLL_INTERVAL: Final = "poll_interval"
CONF_COINS: Final = "coins"
CONF_MIN_ORDER: Final = "min_order"
CONF_REBALANCE_THRESHOLD: Final = "rebalance_threshold"
CONF_DUST_THRESHOLD: Final = "dust_threshold"
CONF_SURVIVAL_FLOOR: Final = "survival_floor"
CONF_MAX_SIGNAL_AGE: Final = "max_signal_age"
CONF_SILENCE_ALERT: Final = "silence_alert"
CONF_MAX_SLIPPAGE: Final = "max_slippage"
CONF_MAX_ORDER_SHARE: Final = "max_order_share"
CONF_STOP_LOSS_DRAWDOWN: Final = "stop_loss_drawdown"
CONF_STOP_LOSS_SELL: Final = "stop_loss_sell"
CONF_MAX_TRADES_PER_DAY: Final = "max_trades_per_day"
CONF_APPROVAL: Final = "approval"
CONF_APPROVAL_TIMEOUT: Final = "approval_timeout"
CONF_ASSIST_TRADES: Final = "assist_trades"
CONF_ONLY: Final = "only"
CONF_FROZEN: Final = "frozen"
CONF_LOCKED: Final = "locked"
CONF_QUIET_HOURS: Final = "quiet_hours"
CONF_WEIGHT: Final = "weight"
CONF_PAUSED: Final = "paused"
CONF_MAX_RANK: Final = "max_rank"
CONF_RANK_KEY: Final = "coinmarketcap_key"
CONF_RANK_IDS: Final = "rank_ids"
CONF_DROPPED_OUT: Final = "dropped_out"
# In no form: another address of the service.
CONF_RANK_URL: Final = "coinmarketcap_url"
CONF_MAX_SOURCE_AGE: Final = "max_source_age"
# Of a source of alerts: SHA-256 of its token, and the id of its webhook.
CONF_TOKEN: Final = "token"  # noqa: S105
CONF_ALERT_WEBHOOK_ID: Final = "alert_webhook_id"
CONF_PUSH: Final = "push"
CONF_TELL_LEADER: Final = "tell_leader"
CONF_LIVE_PRICES: Final = "live_prices"
CONF_CANDLE_FRAMES: Final = "candle_frames"
CONF_CANDLE_DAYS_LONG: Final = "candle_days_long"
CONF_CANDLE_DAYS_SHORT: Final = "candle_days_short"
CONF_ENTRY_JITTER: Final = "entry_jitter"
# Shown in the options, not stored.
CONF_PUSH_URL: Final = "push_url"

EXAMPLE_LEADER_URL: Final = "https://leader.example.com"
DEFAULT_RANK_URL: Final = "https://pro-api.coinmarketcap.com"
DEFAULT_QUOTE_ASSET: Final = "USDC"
DEFAULT_COINS: Final = ("BTC", "ETH", "BNB", "SOL", "XRP")
# A budget from LEAST_BUDGET on holds an order, but lies within the drift of the survival floor.
LEAST_BUDGET: Final = 5
MIN_BUDGET: Final = 10
SUGGESTED_BUDGET: Final = 1000
MAX_AMOUNT: Final = 1_000_000
DEFAULT_POLL_INTERVAL: Final = 120
DEFAULT_CANDLE_FRAMES: Final = ("1h",)

FIRST_CYCLE_TIMEOUT: Final = 10
STOP_TIMEOUT: Final = 30
# Seconds within which many pushes are one poll.
PUSH_COOLDOWN: Final = 5
UNKNOWN_ORDER_GRACE: Final = timedelta(minutes=10)
