"""What a snapshot answers about live items, and about their changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from perdure.storage.contract.expectations import Forgettable
from perdure.storage.contract.items import ItemRow
from perdure.storage.contract.marks import Namespace, Revision
from perdure.storage.path_ranges import PathRanges

__all__ = ["ItemAnswers"]


class ItemAnswers(Protocol):
    """Items as they are, and what was written. What `Snapshot` says of expired items holds here."""

    def item(self, namespace: Namespace, key: str) -> ItemRow | None:
        """The live item, or None. One seek."""
        ...

    def items(self, prefix: Namespace, before: int | None, limit: int) -> list[ItemRow]:
        """Live items of the subtree, greatest version first, `before` (a version) exclusive."""
        ...

    def preselected(
        self, prefix: Namespace, wanted: Sequence[PathRanges], before: int | None, limit: int
    ) -> list[ItemRow] | None:
        """As `items`, without some whose values lie outside what is wanted: all of them that lie inside are there.

        None: this backend cannot tell, ask `items`. Of values in clear JSON only; whoever reads them otherwise, by
        a cipher or a decoder of his own, must not ask.
        """
        ...

    def size(self, prefix: Namespace) -> int:
        """How many items `items` would give without a limit. One range of an index for each namespace."""
        ...

    def namespaces(self, prefix: Namespace) -> list[Namespace]:
        """Namespaces of the subtree that hold a live item, in tuple order."""
        ...

    def lapsed(self, prefix: Namespace, until: int, limit: int) -> list[ItemRow]:
        """Items of the subtree that nobody has swept, whose time was over at `until`; first ended first. One range."""
        ...

    def changes(self, after: Revision | None, limit: int) -> list[ItemRow]:
        """Versions written after `after`, deletions included, by version; whole commits (so a bit over `limit`)."""
        ...

    def complete_since(self, prefix: Namespace, after: Revision) -> Revision:
        """The first revision from `after` on, behind which no change of the subtree is missing from `changes`.

        `after` itself, unless versions that came later were pruned. Where items were deleted and their deletion was
        pruned, nobody knows which these were: then it is at least the `floor`, whatever the prefix. Costs a walk over
        all versions written since.
        """
        ...

    def forgettable(self, prefix: Namespace) -> Forgettable:
        """What `ForgetItems` would take. A walk over all versions of the subtree."""
        ...
