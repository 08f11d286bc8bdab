"""What a snapshot answers about the past of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from perdure.errors import Compacted
from perdure.storage.contract.items import ItemRow
from perdure.storage.contract.marks import Namespace, Revision, Standing

__all__ = ["History", "PastAnswers", "compacted"]


class History(NamedTuple):
    """Kept versions of an item, newest first, deletions included."""

    versions: list[ItemRow]
    whole: (
        bool  # the last of them is the item's first; False: older ones were pruned, or are beyond the limit
    )


class PastAnswers(Protocol):
    """Moments, and items as they were at one: exact, or an error."""

    def revision_at(self, at: int) -> Revision:
        """The greatest revision whose commit was made at or before `at` (microseconds); `Revision(epoch, 0)`: none was.

        By the clock of whoever committed. Where a clock stepped back, commits below it may have later times.
        """
        ...

    def time_of(self, revision: Revision) -> int:
        """When that commit was made (microseconds), by the clock of whoever committed; 0: there is no such commit."""
        ...

    def floor(self) -> Revision:
        """Of an older revision than this, deleted items may be gone without a trace. `Revision(epoch, 0)`: of none."""
        ...

    def history(self, namespace: Namespace, key: str, limit: int) -> History:
        """The item's newest kept versions, whether it lives or not. A walk down its versions."""
        ...

    def item_at(
        self, namespace: Namespace, key: str, revision: Revision, at: int | None = None
    ) -> ItemRow | None:
        """The item as it was when `revision` was the newest commit, or None. A walk down its versions.

        What had expired by `at` (microseconds; None: the time of that commit) is gone. A version's `expires` is where
        refreshing had moved it in the end: an item is refreshed only while it lives, so until then it did.

        Raises:
            Compacted: what it was is not kept; `oldest` is the first revision since which its versions are.
        """
        ...

    def items_at(
        self, prefix: Namespace, revision: Revision, before: int | None, limit: int, at: int | None = None
    ) -> list[ItemRow]:
        """As `items`, as it was when `revision` was the newest commit: complete and exact, or an error; `at` as in `item_at`.

        Costs a walk over what changed in the subtree since, once a snapshot.

        Raises:
            Compacted: of any item of the subtree it is not kept what it was; `oldest` can still be read.
        """
        ...

    def around_at(
        self,
        anchors: Sequence[tuple[Namespace, Standing]],
        count: int,
        revision: Revision,
        at: int | None = None,
    ) -> list[list[tuple[Standing, ItemRow]]]:
        """As `around`, as it was when `revision` was the newest commit. Raises as `items_at`.

        Costs a walk over what changed in the namespaces since, once a snapshot.
        """
        ...

    def namespaces_at(self, prefix: Namespace, revision: Revision, at: int | None = None) -> list[Namespace]:
        """As `namespaces`, as it was when `revision` was the newest commit. Raises and costs as `items_at`."""
        ...

    def touched(self, prefix: Namespace, after: Revision, thread: str | None) -> list[tuple[Namespace, str]]:
        """Items of the subtree, deleted ones too, with a kept version later than `after`, in order of their newest.

        With `thread`: with such a version that this thread wrote.
        """
        ...


def compacted(asked: Revision, oldest: Revision) -> Compacted:
    """The error for a view of the past that would be short: every backend says the same."""
    return Compacted(
        f"memory as of revision {asked} is no longer kept: some of what was there was pruned, or forgotten. The oldest"
        f" revision that can still be read here is {oldest}. What is not forgotten is kept as long as keep_history= says.",
        asked=str(asked),
        oldest=str(oldest),
    )
