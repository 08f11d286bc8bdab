"""Answers about one moment of an SQLite database.

Here: `SqliteSnapshot`, which joins them. Not here: how it is asked (`asking.py`), what is answered (`storage/tables/snapshot.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.storage.contract import ItemRow, Namespace
from perdure.storage.path_ranges import PathRanges
from perdure.storage.sqlite.asking import SqliteAsking
from perdure.storage.sqlite.connections import C
from perdure.storage.sqlite.preselecting import USABLE, preselected
from perdure.storage.tables.asking import LAST
from perdure.storage.tables.packing import range_of
from perdure.storage.tables.snapshot import TableSnapshot
from perdure.storage.tables.values import items_of

__all__ = ["SqliteSnapshot"]


class SqliteSnapshot(SqliteAsking, TableSnapshot):
    """One moment. Made by `SqliteBackend.read()`, of no use after its block."""

    def preselected(
        self, prefix: Namespace, wanted: Sequence[PathRanges], before: int | None, limit: int
    ) -> list[ItemRow] | None:
        """As `items`, without most of those that are not wanted; None: this SQLite knows no JSON."""
        if not USABLE:
            return None
        bounds, newest = range_of(prefix), LAST if before is None else max(0, min(before, LAST))
        few = self._few(bounds)
        return items_of(preselected(self._ask_text, bounds, few, wanted, newest, min(limit, LAST), self._now))

    def _rows_of(self, table: str) -> int:
        ((rows,),) = self._ask_text(C[f"count_{table}"])
        return int(rows)

    def ask_plainly(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a statement, for what only operators ask."""
        return self._ask_text(text, values)

    def ask_about_many(self, name: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The rows of a repeatable block, for many rows of values; an answer may come twice."""
        return self._ask_many(name, rows)
