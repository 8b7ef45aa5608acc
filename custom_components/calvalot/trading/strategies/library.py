"""The ready-made strategies, each a file beside this one, and the files of the owner; reading them is synchronous."""

from pathlib import Path
import re
from typing import Final

from .document import LARGEST, InvalidStrategy
from .script import ENDING as SCRIPT_ENDING

FOLDER: Final = Path(__file__).parent / "ready_made"
READY_MADE: Final = (
    *("averages_crossing", "rsi_reversal", "macd", "bollinger_reversal", "donchian_breakout"),
    *("momentum_rotation", "volatility_target", "weekly_purchase", "long_trend"),
)
ENDING: Final = ".yaml"
_FILE = re.compile(r"[\w-]{1,60}")


def own_files(folder: Path) -> tuple[str, ...]:
    """The names by which files of a folder are chosen: rules without their ending, strategies in Python with it."""
    found = [path for path in folder.glob("*") if path.is_file() and _FILE.fullmatch(path.stem)]
    rules = [path.stem for path in found if path.suffix == ENDING and path.stem not in READY_MADE]
    return (*sorted(rules), *sorted(path.name for path in found if path.suffix == SCRIPT_ENDING))


def strategy_text(name: str, folder: Path) -> str:
    """The text of a ready-made strategy, or of a file of that name in a folder. Raises InvalidStrategy."""
    stem = name.removesuffix(ENDING)
    if name in READY_MADE:
        path = FOLDER / f"{name}{ENDING}"
    elif _FILE.fullmatch(stem):
        path = folder / f"{stem}{ENDING}"
    else:
        raise InvalidStrategy("file_name", word=name[:60])
    try:
        with path.open("rb") as file:
            # One more than is read tells that it is too large.
            return file.read(LARGEST + 1).decode()
    except OSError:
        raise InvalidStrategy("no_file", word=name, folder=f"{folder}") from None
    except UnicodeDecodeError:
        raise InvalidStrategy("not_yaml") from None
