"""Memory as it was, over the plain dicts of the reference backend: what every other backend must answer.

Here: histories, views as of a commit, what changed since. Not here: the dicts, and who changes them (`item_changes.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping

from perdure.storage.contract import History, ItemRow, Namespace, Revision, compacted
from perdure.storage.lifetimes import is_over

__all__ = ["Past", "versions_down"]


def versions_down(
    newest: ItemRow | None, before: Mapping[int, tuple[int, int]], kept: Mapping[int, ItemRow]
) -> Iterator[ItemRow | None]:
    """The version and those before it, newest first; None at the end if one that was there is kept no more."""
    row = newest
    while row is not None:
        yield row if row.paths is None else row._replace(paths=None)
        older = before.get(row.version)
        if older is None:
            return
        row = kept.get(older[0])
    yield None


class Past:
    """The past, as one snapshot sees it.

    Args:
        living: live items, by namespace and key.
        deleted: the deletions of items that are gone, while kept.
        kept: all versions that are kept, by version, in order.
        before: of a version that replaced one: that one, kept or not.
        floor: the last deletion that is kept no more.
    """

    __slots__ = ("_before", "_deleted", "_kept", "_living", "_views", "floor")

    def __init__(
        self,
        living: Mapping[Namespace, Mapping[str, ItemRow]],
        deleted: Mapping[tuple[Namespace, str], ItemRow],
        kept: Mapping[int, ItemRow],
        before: Mapping[int, tuple[int, int]],
        floor: Revision,
    ) -> None:
        self._living = living
        self._deleted = deleted
        self._kept = kept
        self._before = before
        self._views: dict[tuple[Namespace, Revision], list[ItemRow]] = {}  # made once, for all pages
        self.floor = floor

    def newest(self, namespace: Namespace, key: str) -> ItemRow | None:
        """The item's newest version, if only its deletion."""
        return self._living.get(namespace, {}).get(key) or self._deleted.get((namespace, key))

    def history(self, namespace: Namespace, key: str, limit: int) -> History:
        """The item's newest kept versions."""
        newest = self.newest(namespace, key)
        if newest is None:
            return History([], True)
        line = list(versions_down(newest, self._before, self._kept))
        kept = [row for row in line if row is not None]
        return History(kept[:limit], len(line) <= limit and line[-1] is not None)

    def item(self, namespace: Namespace, key: str, revision: Revision) -> ItemRow | None:
        """The item as it was then. Raises Compacted."""
        newest = self.newest(namespace, key)
        found = None if newest is None else self._stood(newest, revision)
        if found is None and revision < self.floor:  # it may have been there before it was deleted
            found = self.floor
        if isinstance(found, Revision):
            raise compacted(revision, found)
        return None if found is None or found.value is None else found

    def items(
        self, prefix: Namespace, revision: Revision, at: int, before: int | None, limit: int
    ) -> list[ItemRow]:
        """Items of the subtree as they were then, newest first; those that had expired by `at` are gone. Raises Compacted."""
        found = [row for row in self.view(prefix, revision) if not is_over(row.expires, at)]
        start = 0 if before is None else bisect_right(found, -before, key=lambda row: -row.version)
        return found[start : start + limit]

    def view(self, prefix: Namespace, revision: Revision) -> list[ItemRow]:
        """All of them."""
        found = self._views.get((prefix, revision))
        if found is None:
            found = self._views[prefix, revision] = self._made(prefix, revision)
        return found

    def touched(self, prefix: Namespace, after: Revision, thread: str | None) -> list[tuple[Namespace, str]]:
        """Items of the subtree with a later version, of that thread if it is given, in order of their newest."""
        places = {
            (row.namespace, row.key)
            for row in self._kept.values()
            if row.revision > after
            and row.namespace[: len(prefix)] == prefix
            and thread in (None, row.origin.thread)
        }
        newest = sorted(self._newest_of(prefix), key=lambda row: row.version)
        return [(row.namespace, row.key) for row in newest if (row.namespace, row.key) in places]

    def _made(self, prefix: Namespace, revision: Revision) -> list[ItemRow]:
        if revision < self.floor:
            raise compacted(revision, self.floor)
        stood = [self._stood(row, revision) for row in self._newest_of(prefix)]
        oldest = max((row for row in stood if isinstance(row, Revision)), default=None)
        if oldest is not None:
            raise compacted(revision, oldest)
        living = [row for row in stood if isinstance(row, ItemRow) and row.value is not None]
        return sorted(living, key=lambda row: -row.version)

    def _stood(self, newest: ItemRow, revision: Revision) -> ItemRow | Revision | None:
        """The version that stood then, a deletion too; a revision: since which they are kept; None: there was none yet."""
        oldest = revision
        for row in versions_down(newest, self._before, self._kept):
            if row is None:
                return oldest
            if row.revision <= revision:
                return row
            oldest = row.revision
        return None

    def _newest_of(self, prefix: Namespace) -> list[ItemRow]:
        size = len(prefix)
        inside = [rows.values() for space, rows in self._living.items() if space[:size] == prefix]
        living = [row for rows in inside for row in rows]
        return living + [row for row in self._deleted.values() if row.namespace[:size] == prefix]
