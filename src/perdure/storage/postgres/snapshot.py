"""Answers about one moment of a Postgres database.

Here: `PostgresSnapshot`, which joins them, and what is special about revisions. Not here: how it is asked (`asking.py`),
what is answered (`storage/tables/snapshot.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.storage.contract import ItemRow, Namespace, Revision
from perdure.storage.path_ranges import PathRanges
from perdure.storage.postgres.asking import PostgresAsking
from perdure.storage.postgres.many import PostgresMany
from perdure.storage.standing import Anchors, Near
from perdure.storage.tables.asking import bounded
from perdure.storage.tables.snapshot import TableSnapshot

__all__ = ["PostgresSnapshot"]


class PostgresSnapshot(PostgresAsking, PostgresMany, TableSnapshot):
    """One moment. Made by `PostgresBackend.read()`, of no use after its block."""

    def _rows_of(self, table: str) -> int:
        ((rows,),) = self._ask(f"count_{table}")
        return int(rows)

    def preselected(
        self, prefix: Namespace, wanted: Sequence[PathRanges], before: int | None, limit: int
    ) -> list[ItemRow] | None:
        """None: ask `items`."""
        return None

    # -- the past: only of what is decided ---------------------------------------------------------------------------

    def revision_at(self, at: int) -> Revision:
        """The greatest decided revision whose commit was made at or before."""
        rows = self._ask("seq_at", (bounded(at), self._newest()))
        return Revision(0, rows[0][0] if rows else 0)

    def item_at(
        self, namespace: Namespace, key: str, revision: Revision, at: int | None = None
    ) -> ItemRow | None:
        """The item as it was then."""
        self._sees(revision)
        return super().item_at(namespace, key, revision, at)

    def items_at(
        self, prefix: Namespace, revision: Revision, before: int | None, limit: int, at: int | None = None
    ) -> list[ItemRow]:
        """Items of the subtree as they were then, greatest version first."""
        self._sees(revision)
        return super().items_at(prefix, revision, before, limit, at)

    def around_at(
        self, anchors: Anchors, count: int, revision: Revision, at: int | None = None
    ) -> list[Near]:
        """As `around`, as it was then."""
        self._sees(revision)
        return super().around_at(anchors, count, revision, at)

    def namespaces_at(self, prefix: Namespace, revision: Revision, at: int | None = None) -> list[Namespace]:
        """Namespaces of the subtree that held a live item then."""
        self._sees(revision)
        return super().namespaces_at(prefix, revision, at)
