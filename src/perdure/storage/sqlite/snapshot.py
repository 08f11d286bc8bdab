"""Answers about one moment of an SQLite database.

Here: `SqliteSnapshot`, which joins them. Not here: how it is asked (`asking.py`), what is answered (`*_answers.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from perdure.storage.contract import Revision
from perdure.storage.sqlite.connections import C
from perdure.storage.sqlite.faults import closed
from perdure.storage.sqlite.index_answers import IndexAnswers
from perdure.storage.sqlite.past_answers import PastAnswers
from perdure.storage.sqlite.statements import Q
from perdure.storage.sqlite.thread_answers import ThreadAnswers

__all__ = ["TABLES", "SqliteSnapshot"]

TABLES: Final = (
    "checkpoints",
    "segments",
    "writes",
    "staged",
    "items",
    "history",
    "runs",
    "postings",
    "vectors",
)


class SqliteSnapshot(ThreadAnswers, PastAnswers, IndexAnswers):
    """One moment. Made by `SqliteBackend.read()`, of no use after its block."""

    def now(self) -> int:
        """The time by which it judges what has expired."""
        return self._now

    def revision(self) -> Revision:
        """The newest commit that this snapshot sees."""
        if self._db is None:
            raise closed("read", f"this snapshot of {self._where}")
        return Revision(0, self._seq)

    def committed(self, commit_id: bytes) -> Revision | None:
        """The revision of the commit with this id."""
        rows = self._ask(Q["seq_of_commit"], (commit_id,))
        return Revision(0, rows[0][0]) if rows else None

    def count(self, table: str) -> int:
        """Rows of a table, by its name in the contract."""
        if table not in TABLES:
            raise ValueError(f"unknown table {table!r}; there are {', '.join(TABLES)}")
        ((rows,),) = self._ask(C[f"count_{table}"])
        return int(rows)

    def ask_plainly(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a statement, for what only operators ask."""
        return self._ask(text, values)

    def ask_about_many(self, name: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The rows of a repeatable block, for many rows of values; an answer may come twice."""
        return self._ask_many(name, rows)
