"""JSON from outside, read strictly: numbers exactly as they are written, no key that decides twice, nothing that explodes."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
import json
from typing import Any
import unicodedata

from ..signal import InvalidSignal

_NAN = Decimal("NaN")
_MAX_NUMBER = 64
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What turns the direction of writing lets a text read as another one.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def decode(body: bytes, limit: int) -> str:
    """Text of a body of at most `limit` bytes. Raises InvalidSignal."""
    if len(body) > limit:
        raise InvalidSignal(f"the body is larger than {limit // 1024} KiB")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidSignal("the body is not UTF-8 text") from None


class Object(dict[str, Any]):
    """A JSON object that knows which of its keys stand twice: two readers could take different ones."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(members)
        self._twice = {key for key, count in Counter(key for key, _ in members).items() if count > 1}

    def refuse_twice(self, *keys: str) -> None:
        """Raise InvalidSignal where one of these keys, which decide what is traded, stands twice."""
        for key in keys:
            if key in self._twice:
                raise InvalidSignal(f"the key {show(key)} stands twice in an object")

    def shown(self, key: str) -> Any:
        """What is only shown: nothing where it stands twice."""
        return None if key in self._twice else self.get(key)


def load(text: str) -> Object:
    """The JSON object in a text. Raises InvalidSignal."""
    try:
        document = json.loads(
            text,
            object_pairs_hook=Object,
            parse_float=_number(Decimal),
            parse_int=_number(int),
            parse_constant=_number(lambda _: _NAN),
        )
    except ValueError, RecursionError:
        raise InvalidSignal("the body is not JSON") from None
    if not isinstance(document, Object):
        raise InvalidSignal("the body is not a JSON object")
    return document


def checked(value: Any, name: str, *keys: str) -> Object:
    """An object in which none of these keys stands twice. Raises InvalidSignal."""
    if not isinstance(value, Object):
        raise InvalidSignal(f"{name} is not an object")
    value.refuse_twice(*keys)
    return value


def clean(text: str) -> str:
    """The text with a space for each control character, line break, lone surrogate and change of direction."""
    return "".join(" " if unicodedata.category(char) in _CONTROLS or char in _TURNING else char for char in text)


def show(value: Any) -> str:
    """A value from outside in a reason: short, quoted where it is text, fit for a log line."""
    match value:
        case None:
            return "missing"
        case str():
            return repr(clean(value[:40]))
        case bool() | int() | Decimal():
            return str(value)[:40]
        case _:
            return "a list" if isinstance(value, list) else "an object"


def _number[T: int | Decimal](convert: Callable[[str], T]) -> Callable[[str], T | Decimal]:
    """A number reader: what is too long or too large to be meant is no number, and refused where a number is wanted."""

    def read(text: str) -> T | Decimal:
        if len(text) > _MAX_NUMBER:
            return _NAN
        try:
            return convert(text)
        except InvalidOperation:
            return _NAN

    return read
