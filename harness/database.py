"""A SQLite file that a portfolio may have in use, looked into and changed from outside."""

from contextlib import closing
from pathlib import Path
import sqlite3
from typing import Any


def rows(file: Path, query: str, *parameters: str | int) -> list[tuple[Any, ...]]:
    """Return what a query finds, as it lies on disk."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        return connection.execute(query, parameters).fetchall()


def change(file: Path, *statements: str) -> None:
    """Carry out some statements in one commit."""
    with closing(sqlite3.connect(file, timeout=5)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
