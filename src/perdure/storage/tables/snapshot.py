"""What snapshots of both SQL databases answer alike, beside threads and items.

Here: `TableSnapshot`, the moment itself. Not here: `*_answers.py`, how it is asked (`asking.py` of each backend).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from perdure.storage.contract import Revision
from perdure.storage.tables.index_answers import IndexAnswers
from perdure.storage.tables.past_answers import PastAnswers
from perdure.storage.tables.thread_answers import ThreadAnswers

__all__ = ["TABLES", "TableSnapshot"]

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
"""What `count` counts."""


class TableSnapshot(ThreadAnswers, PastAnswers, IndexAnswers):
    """One moment. Made by a backend's `read()`, of no use after its block."""

    def now(self) -> int:
        """The time by which it judges what has expired."""
        return self._now

    def revision(self) -> Revision:
        """The newest commit up to which this snapshot sees all: on Postgres it may see later ones, too."""
        return Revision(0, self._newest())

    def committed(self, commit_id: bytes) -> Revision | None:
        """The revision of the commit with this id."""
        rows = self._ask("seq_of_commit", (commit_id,))
        return Revision(0, rows[0][0]) if rows else None

    def count(self, table: str) -> int:
        """Rows of a table, by its name in the contract."""
        if table not in TABLES:
            raise ValueError(f"unknown table {table!r}; there are {', '.join(TABLES)}")
        return self._rows_of(table)

    @abstractmethod
    def _rows_of(self, table: str) -> int:
        """How many rows it has."""
