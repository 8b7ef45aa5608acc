"""The ready-made strategies, each a file beside this one; reading them is synchronous."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "ready_made"
READY_MADE: Final = (
    *("averages_crossing", "rsi_reversal", "macd", "bollinger_reversal", "donchian_breakout"),
    *("momentum_rotation", "volatility_target", "weekly_purchase", "long_trend"),
)


def ready_made(name: str) -> str:
    """The text of a ready-made strategy. Raises KeyError."""
    if name not in READY_MADE:
        raise KeyError(name)
    return (FOLDER / f"{name}.yaml").read_text("utf-8")
