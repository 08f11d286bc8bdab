"""Asking one moment of an SQLite database: a reader's connection inside a read transaction.

Here: `SqliteAsking`, below all answers. Not here: which connection, when it begins and ends (`readers.py`).
Every cursor is read to its end at once: an unfinished one would pin the snapshot and keep the log from shrinking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from perdure.storage.contract import Disagreement
from perdure.storage.sqlite.connections import Connection
from perdure.storage.sqlite.faults import closed, translated
from perdure.storage.sqlite.integrity import found_wrong
from perdure.storage.sqlite.statements import Q
from perdure.storage.tables.asking import Asking

__all__ = ["SqliteAsking"]

_AT_ONCE: Final = 256  # rows that one statement asks for: few texts to prepare, far from the limit of values
_SIZES: Final = (1, 4, 16, 64, _AT_ONCE)


class SqliteAsking(Asking):
    """The connection of one snapshot, and its ways to ask."""

    def __init__(self, connection: Connection, seq: int, where: str, source: object) -> None:
        super().__init__(where, source)
        self._db: Connection | None = connection
        self._seq = seq

    def end(self) -> None:
        """Later questions are errors."""
        self._db = None

    def _ask(self, name: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._ask_text(Q[name], values)

    def _ask_text(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._db is None:
            raise closed("read", f"this snapshot of {self._where}")
        try:
            return self._db.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise translated(error, "read", self._where) from error

    def _ask_many(self, name: str, rows: Sequence[tuple[Any, ...]], *more: int) -> list[Any]:
        """Padded, so that few texts are compiled."""
        found: list[Any] = []
        for first in range(0, len(rows), _AT_ONCE):
            some = list(rows[first : first + _AT_ONCE])
            size = next(size for size in _SIZES if size >= len(some))
            some += [some[-1]] * (size - len(some))
            values = [value for row in some for value in row]
            found += self._ask_text(Q.repeated(name, size), [*values, *more])
        return found

    def _newest(self) -> int:
        if self._db is None:
            raise closed("read", f"this snapshot of {self._where}")
        return self._seq

    def _own_disagreements(self) -> list[Disagreement]:
        return found_wrong(self._ask_block)
