"""Many items at once in Perdure's stores: a subtree deleted by one commit, or counted without reading it.

Here: `delete_prefix` and `count`, in both colours. Not here: `put_many` and `get_many`, which are batches
(`store/base/bulk.py`), erasing for good (`item_forget.py`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from perdure import clock
from perdure.storage.contract import ItemRow, Namespace, Snapshot
from perdure.storage.filter_tree import Node, parse_filter
from perdure.storage.filters import predicate_of
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import value_if
from perdure.storage.preselect import preselections
from perdure.storage.staging import Layer, Operation, read_items, staged_in
from perdure.store.base.bulk import BulkMethods
from perdure.store.base.ops import check_labels

__all__ = ["ItemBulk"]

T = TypeVar("T")

_PAGE: Final = 500


class ItemBulk(BulkMethods):
    """Bulk over a backend's snapshots and commits. Safe from any thread, in both colours."""

    _codec: ItemCodec

    @abstractmethod
    def _here(self) -> ItemBulk:
        """The store that answers in this context."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Snapshot]:
        """A snapshot of what is committed."""

    def _look(self, question: Callable[[Snapshot], T]) -> T:
        """The answer of a snapshot which may be a little old where the database has replicas."""
        with self._read() as snapshot:
            return question(snapshot)

    @abstractmethod
    def _layers(self) -> Sequence[Layer]:
        """What lies over the snapshot."""

    @abstractmethod
    def _write(self, operations: list[Operation]) -> None:
        """Takes all operations, or none."""

    @abstractmethod
    async def _awrite(self, operations: list[Operation]) -> None:
        """As `_write`."""

    @abstractmethod
    async def _aside(self, work: Callable[[], T]) -> T:
        """The result of something that reads or waits for the database."""

    def delete_prefix(self, prefix: tuple[str, ...], *, filter: dict[str, Any] | None = None) -> int:
        """How many items were deleted: all whose namespace begins with the prefix, by one commit.

        Inside a task the deletions are staged, and what the task itself staged there goes, too. What somebody else adds
        there at the same moment may stay. Histories are kept: `forget` is what erases.

        Args:
            prefix: whole labels; `()` is everything.
            filter: only items that meet it; see `docs/reference/filters.md`.

        Raises:
            InvalidNamespaceError: no item can be filed there.
            QueryError: a filter that cannot be right.
            StorageError: more than 1,048,576 items, the most that one commit takes. Nothing was deleted: delete by longer
                prefixes.
        """
        here, inside, meant = self._here(), check_labels(prefix), _meant(filter)
        deletions = here._deletions(inside, meant)
        if deletions:
            here._write(deletions)
        return len(deletions)

    async def adelete_prefix(self, prefix: tuple[str, ...], *, filter: dict[str, Any] | None = None) -> int:
        """As `delete_prefix`."""
        here, inside, meant = self._here(), check_labels(prefix), _meant(filter)
        deletions = await here._aside(lambda: here._deletions(inside, meant))
        if deletions:
            await here._awrite(deletions)
        return len(deletions)

    def count(self, prefix: tuple[str, ...] = (), *, filter: dict[str, Any] | None = None) -> int:
        """How many items there are whose namespace begins with the prefix.

        Args:
            prefix: whole labels; `()` is everything.
            filter: only items that meet it; then each is read, else none is.

        Raises:
            InvalidNamespaceError: no item can be filed there.
            QueryError: a filter that cannot be right.
        """
        return self._here()._count(check_labels(prefix), _meant(filter))

    async def acount(self, prefix: tuple[str, ...] = (), *, filter: dict[str, Any] | None = None) -> int:
        """As `count`."""
        here, inside, meant = self._here(), check_labels(prefix), _meant(filter)
        return await here._aside(lambda: here._count(inside, meant))

    def _deletions(self, prefix: Namespace, meant: Node | None) -> list[Operation]:
        layers = self._layers()
        now = clock.micros()
        with self._read() as snapshot:
            rows = (
                read_items(snapshot, layers, prefix, _PAGE)
                if meant is None
                else self._meeting(snapshot, layers, prefix, meant)
            )
            return [Operation(row.namespace, row.key, None, now) for row in rows]

    def _count(self, prefix: Namespace, meant: Node | None) -> int:
        layers = self._layers()

        def counted(snapshot: Snapshot) -> int:
            if meant is not None:
                return sum(1 for _ in self._meeting(snapshot, layers, prefix, meant))
            found = snapshot.size(prefix)
            for operation in staged_in(layers, prefix):
                stood = snapshot.item(operation.namespace, operation.key) is not None
                found += (operation.value is not None) - stood
            return found

        return self._look(counted)

    def _meeting(
        self, snapshot: Snapshot, layers: Sequence[Layer], prefix: Namespace, meant: Node
    ) -> Iterator[ItemRow]:
        fits = predicate_of(meant)
        wanted = preselections(meant) if self._codec.in_clear(prefix) else ()
        for row in read_items(snapshot, layers, prefix, _PAGE, wanted):
            if value_if(self._codec, row, fits) is not None:
                yield row


def _meant(filter: dict[str, Any] | None) -> Node | None:
    return parse_filter(filter) if filter else None
