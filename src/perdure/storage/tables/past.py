"""Memory as it was, of one moment of a database: views as of a commit, histories, what changed since.

Here: the questions of `queries/past.*.sql` and what their answers mean. Not here: rows to values (`values.py`), the present
(`item_answers.py`). What a view of a subtree needs of items written since is asked once a snapshot.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from perdure.codec import text_to_bytes
from perdure.storage.contract import Revision, compacted
from perdure.storage.lifetimes import is_over

_LAST: Final = (1 << 63) - 1

Ask: TypeAlias = Callable[..., list[Any]]
Range: TypeAlias = tuple[bytes, bytes]


def first_after(revision: Revision) -> int:
    """The first version that a view as of the revision does not see."""
    return (revision.seq + 1) << 20 if revision.epoch >= 0 else 0


class Past:
    """The past, as one snapshot sees it.

    Args:
        ask: the answer of a block to some values.
        ask_many: the answers of a block to many rows of values.
        few: whether a range has few namespaces.
    """

    __slots__ = ("_ask", "_ask_many", "_few", "_stood")

    def __init__(self, ask: Ask, ask_many: Ask, few: Callable[[Range], bool]) -> None:
        self._ask = ask
        self._ask_many = ask_many
        self._few = few
        self._stood: dict[tuple[Range, int, int], tuple[list[int], set[bytes]]] = {}

    def floor(self) -> Revision:
        """Of an older revision, deleted items may be gone without a trace."""
        rows = self._ask("floor")
        return Revision(0, rows[0][0] if rows else 0)

    def complete_since(self, inside: Range, after: Revision) -> Revision:
        """The first revision from there on, behind which no version of the range was pruned."""
        ((missing,),) = self._ask("newest_missing", (*inside, first_after(after)))
        return max(after, self.floor(), Revision(0, (missing or 0) >> 20))

    def revision_at(self, at: int) -> Revision:
        """The greatest revision whose commit was made at or before."""
        rows = self._ask("seq_at", (at,))
        return Revision(0, rows[0][0] if rows else 0)

    def time_of(self, revision: Revision) -> int:
        """When that commit was made; 0: there is none."""
        rows = self._ask("time_of", (revision.seq,)) if 0 < revision.seq <= _LAST else []
        return rows[0][0] if rows else 0

    def item(self, namespace: bytes, key: bytes, revision: Revision, at: int) -> Sequence[Any] | None:
        """The version that stood then, as a row of `item`, unless it had expired at that time. Raises Compacted."""
        end = first_after(revision)
        rows = self._ask("item_at", (namespace, key, end))
        if rows:
            kept, *row = rows[0]
            if not kept:
                raise compacted(revision, Revision(0, rows[1][1] >> 20))
            if row[0] < end:
                value, _, expires, _ = row[-4:]
                return None if value is None or is_over(expires, at) else row
        floor = self.floor()
        if revision < floor:  # it may have been there before it was deleted
            raise compacted(revision, floor)
        return None

    def stood(self, inside: Range, revision: Revision, at: int) -> tuple[list[int], set[bytes]]:
        """Versions that stood then, not expired at that time, of items that were written since, in order; their namespaces."""
        end = first_after(revision)
        known = self._stood.get((inside, end, at))
        if known is not None:
            return known
        floor = self.floor()
        if revision < floor:
            raise compacted(revision, floor)
        rows = self._ask("stood_of_few" if self._few(inside) else "stood_of_many", (*inside, end, at))
        gone = [above for kept, _, above, _ in rows if not kept]
        if gone:
            raise compacted(revision, Revision(0, max(gone) >> 20))
        found = sorted(row[1] for row in rows), {row[3] for row in rows}
        self._stood[inside, end, at] = found
        return found

    def replaced(self, inside: Range, revision: Revision, at: int, before: int, limit: int) -> list[Any]:
        """As rows of `items`: of what was written since, the versions that stood then, below `before`, greatest first."""
        versions, _ = self.stood(inside, revision, at)
        end = bisect_left(versions, before)
        wanted = versions[max(0, end - limit) : end] if limit > 0 else []
        found = self._ask_many("versions", [(version,) for version in reversed(wanted)])
        return list({row[2]: row for row in found}.values())  # an answer may come twice

    def namespaces(self, inside: Range, revision: Revision, at: int) -> list[bytes]:
        """Names of the namespaces that held a live item then, in order."""
        _, names = self.stood(inside, revision, at)
        rows = self._ask("namespaces_untouched", (*inside, first_after(revision), at))
        return sorted(names.union(name for (name,) in rows))

    def touched(self, inside: Range, after: Revision, thread: str | None) -> list[tuple[bytes, bytes]]:
        """Names and keys of items with a later version, of that thread if it is given."""
        first = first_after(after)
        if thread is None and self._few(inside):
            return self._ask("touched_of_few", (*inside, first))
        name = None if thread is None else text_to_bytes(thread)
        return self._ask("touched_of_many", (*inside, first, name))
