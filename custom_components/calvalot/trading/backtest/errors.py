"""Why a backtest cannot be made."""

from datetime import UTC, datetime

# Each key is a message of the integration's translations, too (`exceptions`); here it is said in English.
WORDS = {
    "backtest_range": "the time has to begin before it ends, and to end before now",
    "backtest_no_candles": "there are no candles of {coin} in that time",
    "backtest_candles_disordered": "the candles of {coin} are not in order of time",
    "backtest_strategy_failed": "the strategy failed at the candle of {time}: {error}",
    "backtest_looks_ahead": "the strategy looks ahead: what it decided at {time} changes once what came after is taken away",
    "backtest_no_rules": "{symbol} is not listed on the exchange",
    "backtest_parameter_range": "{name} has to lie between {minimum} and {maximum}",
    "backtest_parameter": "there is no parameter {name}",
    "backtest_memory": "there is not enough memory",
    "backtest_disk": "the result cannot be written: {error}",
    "backtest_no_sweep": "walk-forward chooses among the numbers of a sweep: there are none",
    "backtest_sweep": "{said} is neither FIRST:LAST:STEP nor ONE,ANOTHER for a parameter",
    "backtest_too_many": "{count} combinations are more than {most}",
    "backtest_none_known": "no combination has a {figure}",
    "backtest_terms": "moves with terms of their own cannot be tested on candles",
    "backtest_moves_in_blend": "only allocations can be blended",
    "backtest_killed": "its process ended before it was done",
}
# What comes about in a terminal only.
IN_TERMINAL = {
    "backtest_csv": "line {line} of the file is no candle: {reason}",
    "backtest_no_file": "the file {path} cannot be read: {error}",
    "backtest_number": "{said} is not NAME=NUMBER",
    "backtest_scheduler": "the scheduler {address} cannot be used: {error}",
    "backtest_aborted": "it was aborted",
}


class BacktestError(Exception):
    """A backtest that cannot be made, or was stopped; `key` names the message."""

    def __init__(self, key: str, **placeholders: str) -> None:
        super().__init__((WORDS | IN_TERMINAL)[key].format(**placeholders))
        self.key = key
        self.placeholders = placeholders


class Aborted(BacktestError):
    """Somebody stopped it."""

    def __init__(self) -> None:
        super().__init__("backtest_aborted")


def time_text(seconds: float) -> str:
    """A time (Unix seconds) as ISO 8601 in UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
