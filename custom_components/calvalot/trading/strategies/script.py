"""A strategy in Python as it is written: one class with `decide(candles, position)`. It is read without being run."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
from math import isfinite
from pathlib import Path
import re
from typing import Any, cast

from ..market.candles import TimeFrame
from .document import InvalidStrategy

ENDING = ".py"
# Bytes of a file, candles of each coin that it may ask for, and how many where it does not say.
LARGEST = 64 * 1024
MOST_CANDLES = 1000
CANDLES = 200
DECIDE = "decide"
_FILE = re.compile(r"[\w-]{1,60}\.py")
# `decide` takes itself, candles and position.
ARGUMENTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a file says of itself; `count` is how many closed candles of each coin it is given."""

    text: str
    class_name: str
    name: str
    time_frame: TimeFrame
    count: int
    parameters: Mapping[str, float]

    def values(self, chosen: Mapping[str, float]) -> dict[str, float]:
        """The numbers of its parameters, with what was chosen."""
        return {**self.parameters, **chosen}


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file and the SHA-256 (hex) of what its owner has allowed."""

    path: Path
    sha256: str


def script_path(name: str, folder: Path) -> Path:
    """Where a file of that name lies. Raises InvalidStrategy."""
    if not _FILE.fullmatch(name):
        raise InvalidStrategy("file_name", word=name[:60])
    return folder / name


def sha256_of(text: str) -> str:
    """What a text is known by."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_file(path: Path) -> str:
    """The text of a file; synchronous. Raises InvalidStrategy."""
    try:
        with path.open("rb") as file:
            # One more than is read tells that it is too large.
            content = file.read(LARGEST + 1)
    except OSError:
        raise InvalidStrategy("no_file", word=path.name, folder=f"{path.parent}") from None
    if len(content) > LARGEST:
        raise InvalidStrategy("too_large", limit=f"{LARGEST // 1024}")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidStrategy("python_syntax", error="UTF-8") from None


def read_script(text: str) -> Script:
    """What a text says: its class, and what stands in that as plain values. Nothing of it is run. Raises InvalidStrategy."""
    try:
        body = ast.parse(text).body
    except SyntaxError as err:
        raise InvalidStrategy("python_syntax", err.lineno or 0, err.offset or 0, error=err.msg) from None
    except (ValueError, RecursionError, MemoryError) as err:
        raise InvalidStrategy("python_syntax", error=type(err).__name__) from None
    found = [node for node in body if isinstance(node, ast.ClassDef) and _decide(node)]
    if not found:
        raise InvalidStrategy("python_no_class")
    if len(found) > 1:
        raise InvalidStrategy("python_classes", found[1].lineno, found[1].col_offset + 1)
    (made,) = found
    decide = _decide(made)
    if not isinstance(decide, ast.FunctionDef) or len(decide.args.posonlyargs + decide.args.args) != ARGUMENTS:
        line = decide.lineno if decide else made.lineno
        raise InvalidStrategy("python_decide", line, made.col_offset + 1)
    said = dict[str, Any]()
    for word in ("name", "time_frame", "candles", "parameters"):
        if (node := _assigned(made, word)) is not None:
            said[word] = _plain(word, node)
    return Script(
        text=text,
        class_name=made.name,
        name=said.get("name", made.name),
        time_frame=TimeFrame(said.get("time_frame", TimeFrame.H1)),
        count=said.get("candles", CANDLES),
        parameters={name: float(value) for name, value in said.get("parameters", {}).items()},
    )


# Inside


def _decide(node: ast.ClassDef) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    functions = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return next((each for each in functions if each.name == DECIDE), None)


def _assigned(node: ast.ClassDef, word: str) -> ast.expr | None:
    """What a name is given in the body of a class."""
    for each in node.body:
        match each:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == word:
                return value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name == word:
                return value
    return None


def _plain(word: str, node: ast.expr) -> Any:
    """A value that is written out and of the right kind. Raises InvalidStrategy."""
    try:
        value: Any = ast.literal_eval(node)
    except ValueError, TypeError, RecursionError, MemoryError:
        value = None
    if not _fits(word, value):
        raise InvalidStrategy("python_value", node.lineno, node.col_offset + 1, word=word)
    return value


def _fits(word: str, value: Any) -> bool:
    match word, value:
        case "name", str():
            return 0 < len(value.strip()) <= 100
        case "time_frame", str():
            return value in {*TimeFrame}
        case "candles", int() if not isinstance(value, bool):
            return 1 <= value <= MOST_CANDLES
        case "parameters", dict():
            numbers = cast("dict[object, object]", value)
            return all(
                isinstance(name, str)
                and isinstance(number, int | float)
                and not isinstance(number, bool)
                and isfinite(number)
                for name, number in numbers.items()
            )
        case _:
            return False
