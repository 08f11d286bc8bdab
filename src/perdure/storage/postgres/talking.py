"""Saying statements on a connection: one, or many in one round trip.

Here: `say`, `say_all`. Not here: what is said, what an error means (`faults.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.storage.postgres.opening import Connection

__all__ = ["Said", "say", "say_all"]

Said = tuple[bytes, Sequence[Any]]
"""A statement and its values."""


def say(connection: Connection, text: bytes, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The answer of one statement; empty where it has none."""
    cursor = connection.execute(text, values or None, binary=True)
    return cursor.fetchall() if cursor.description is not None else []


def say_all(connection: Connection, said: Sequence[Said]) -> list[list[tuple[Any, ...]]]:
    """The answers of several, in order: sent together, and the first that fails keeps the later ones from being done."""
    with connection.pipeline():
        cursors = [connection.execute(text, values or None, binary=True) for text, values in said]
    return [cursor.fetchall() if cursor.description is not None else [] for cursor in cursors]
