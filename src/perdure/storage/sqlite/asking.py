"""Asking one moment of an SQLite database: a reader's connection inside a read transaction.

Here: `Asking`, below all answers. Not here: which connection, when it begins and ends (`readers.py`).
Every cursor is read to its end at once: an unfinished one would pin the snapshot and keep the log from shrinking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from perdure import clock
from perdure.storage.sqlite.connections import Connection
from perdure.storage.sqlite.faults import closed, translated
from perdure.storage.sqlite.statements import Q

__all__ = ["AT_ONCE", "LAST", "Asking", "bounded"]

LAST: Final = (1 << 63) - 1
AT_ONCE: Final = 256
"""Places that one statement asks for: few texts to prepare, far from the limit of values."""

_SIZES: Final = (1, 4, 10, 16, 64, AT_ONCE)  # 10: what a search gives unless told otherwise
_FEW_NAMESPACES: Final = 200  # up to here a merge over them is faster than walking all versions


class Asking:
    """The connection of one snapshot, and its ways to ask."""

    def __init__(self, connection: Connection, seq: int, where: str, source: object) -> None:
        self.source = source
        self._db: Connection | None = connection
        self._seq = seq
        self._where = where
        self._now = clock.micros()

    def end(self) -> None:
        """Later questions are errors."""
        self._db = None

    def _ask(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._db is None:
            raise closed("read", f"this snapshot of {self._where}")
        try:
            return self._db.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise translated(error, "read", self._where) from error

    def _ask_block(self, name: str, *values: Any) -> list[Any]:
        return self._ask(Q[name], values)

    def _ask_many(self, name: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Answers about many rows of values, each found by equality with its values.

        Padded with rows of NULL, which equals nothing, so that few texts are compiled.
        """
        found: list[Any] = []
        for first in range(0, len(rows), AT_ONCE):
            some = rows[first : first + AT_ONCE]
            size = next(size for size in _SIZES if size >= len(some))
            values = [value for row in some for value in row]
            values += [None] * (len(some[0]) * (size - len(some)))
            found += self._ask(Q.repeated(name, size), values)
        return found

    def _few(self, inside: tuple[bytes, bytes]) -> bool:
        """Whether a range has so few namespaces that one merges over them."""
        (spaces,) = self._ask(Q["count_namespaces"], (*inside, _FEW_NAMESPACES + 1))[0]
        return spaces <= _FEW_NAMESPACES


def bounded(at: int) -> int:
    """A time that fits into a column, of the same meaning."""
    return max(-LAST, min(at, LAST))
