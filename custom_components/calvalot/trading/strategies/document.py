"""YAML as nodes that know where they stand, read with as little of YAML as rules need: no anchors, no tags, no explosions."""

from dataclasses import dataclass
import re
from typing import Any, cast

import yaml

# Bytes of a strategy, nodes in it, and levels that they may be nested.
LARGEST = 32 * 1024
MOST = 4000
DEEPEST = 24
_NUMBER = re.compile(r"[-+]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})")


class InvalidStrategy(ValueError):
    """A strategy that is refused. `key` names the message; line and column (from 1) say where, 0 for the whole of it."""

    def __init__(self, key: str, line: int = 0, column: int = 0, **placeholders: str) -> None:
        super().__init__(key)
        self.key = key
        self.line = line
        self.column = column
        self.placeholders = {"line": f"{line}", "column": f"{column}", **placeholders}

    def __str__(self) -> str:
        facts = ", ".join(f"{name}: {value}" for name, value in self.placeholders.items())
        return f"{self.key} ({facts})"


@dataclass(frozen=True, slots=True)
class Node:
    """Where something stands, and what it is there: a number, a text, a list, or keys with values in their order."""

    value: float | str | list[Node] | dict[str, tuple[Node, Node]] | None
    line: int
    column: int

    def refused(self, key: str, **placeholders: str) -> InvalidStrategy:
        """The error that says so of this place."""
        return InvalidStrategy(key, self.line, self.column, **placeholders)


def read_document(text: str) -> Node:
    """The only document in a text. Raises InvalidStrategy."""
    if len(text.encode(errors="surrogatepass")) > LARGEST:
        raise InvalidStrategy("too_large", limit=f"{LARGEST // 1024}")
    try:
        return _Builder().build(text)
    except yaml.MarkedYAMLError as err:
        raise InvalidStrategy("not_yaml", *_place(err.problem_mark)) from None
    except yaml.YAMLError:
        raise InvalidStrategy("not_yaml") from None


def _place(mark: Any) -> tuple[int, int]:
    """Line and column, from 1."""
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)


class _Builder:
    """Puts nodes together from the parser's events: the parser itself expands nothing."""

    def __init__(self) -> None:
        self._open: list[tuple[Node, Node | None]] = []
        self._count = 0
        self._root: Node | None = None

    def build(self, text: str) -> Node:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line, column = _place(event.start_mark)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise InvalidStrategy("anchor", line, column)
            match event:
                case yaml.ScalarEvent():
                    self._refuse_tag(event.tag, line, column)
                    self._add(Node(_scalar(event.value, plain=event.implicit[0]), line, column))
                case yaml.CollectionStartEvent():
                    self._refuse_tag(event.tag, line, column)
                    mapping = isinstance(event, yaml.MappingStartEvent)
                    node = Node({} if mapping else [], line, column)
                    if len(self._open) >= DEEPEST:
                        raise node.refused("too_deep", limit=f"{DEEPEST}")
                    self._add(node)
                    self._open.append((node, None))
                case yaml.CollectionEndEvent():
                    self._open.pop()
                case yaml.DocumentStartEvent() if self._root:
                    raise InvalidStrategy("several_documents", line, column)
                case _:
                    pass
        if self._root is None:
            raise InvalidStrategy("empty")
        return self._root

    def _refuse_tag(self, tag: str | None, line: int, column: int) -> None:
        if tag is not None:
            raise InvalidStrategy("tag", line, column)

    def _add(self, node: Node) -> None:
        """Put a node where it belongs: a key is kept until its value comes."""
        self._count += 1
        if self._count > MOST:
            raise node.refused("too_many", limit=f"{MOST}")
        if not self._open:
            self._root = node
            return
        parent, key = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif key is not None:
            cast("dict[str, tuple[Node, Node]]", parent.value)[str(key.value)] = key, node
            self._open[-1] = parent, None
        elif not isinstance(node.value, str):
            raise node.refused("key_invalid")
        elif node.value in cast("dict[str, Any]", parent.value):
            raise node.refused("twice", word=node.value)
        else:
            self._open[-1] = parent, node


def _scalar(text: str, *, plain: bool) -> float | str | None:
    """A number where it is written as one, nothing where nothing stands, else the text."""
    if not plain:
        return text
    if text in {"", "~", "null"}:
        return None
    return float(text) if _NUMBER.fullmatch(text) else text
