"""A store as it was at one commit: it is read like any other, and cannot be written.

Here: `PastStore`, and the snapshot that answers as of a revision. Not here: naming a moment (`moments.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, NoReturn, TypeVar, cast

from perdure.errors import QueryError
from perdure.storage.contract import ItemRow, Namespace, Revision, Snapshot
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_past import ItemPast
from perdure.storage.item_store import Change, ItemStore
from perdure.storage.path_ranges import PathRanges
from perdure.storage.staging import Operation
from perdure.storage.standing import Anchors, Near
from perdure.store.base import Item, NotSupported, Op, Result, SearchOp

__all__ = ["PastStore", "SnapshotAt", "as_of"]

T = TypeVar("T")

_PAGE: Final = 500


class SnapshotAt:
    """The items of a snapshot as they were at a revision and a time: what reads of a store ask for, and nothing else."""

    __slots__ = ("_at", "_revision", "_snapshot")

    def __init__(self, snapshot: Snapshot, revision: Revision, at: int | None) -> None:
        self._snapshot = snapshot
        self._revision = revision
        self._at = snapshot.time_of(revision) if at is None else at

    def now(self) -> int:
        """The time that it looks at."""
        return self._at

    def revision(self) -> Revision:
        """The one that it looks at."""
        return self._revision

    def item(self, namespace: Namespace, key: str) -> ItemRow | None:
        """The item as it was then. Raises Compacted."""
        return self._snapshot.item_at(namespace, key, self._revision, self._at)

    def items(self, prefix: Namespace, before: int | None, limit: int) -> list[ItemRow]:
        """Items as they were then. Raises Compacted."""
        return self._snapshot.items_at(prefix, self._revision, before, limit, self._at)

    def preselected(
        self, prefix: Namespace, wanted: Sequence[PathRanges], before: int | None, limit: int
    ) -> list[ItemRow] | None:
        """None: indexes of paths know the present."""

    def size(self, prefix: Namespace) -> int:
        """How many items there were then. Raises Compacted."""
        found, before = 0, None
        while page := self.items(prefix, before, _PAGE):
            found += len(page)
            before = page[-1].version
        return found

    def numbers(self, places: Sequence[tuple[Namespace, str]]) -> dict[tuple[Namespace, str], int]:
        """What items are called, as always."""
        return self._snapshot.numbers(places)

    def around(self, anchors: Anchors, count: int) -> list[Near]:
        """Items that stood nearest then. Raises Compacted."""
        return self._snapshot.around_at(anchors, count, self._revision, self._at)

    def text_totals(self, prefix: Namespace, index: str) -> NoReturn:
        """Nothing: raises QueryError."""
        del prefix, index
        raise no_query()

    def vector_spaces(self, prefix: Namespace, model: str) -> NoReturn:
        """Nothing: raises QueryError."""
        del prefix, model
        raise no_query()

    def refs(self, places: Sequence[tuple[Namespace, str]]) -> NoReturn:
        """Nothing: raises QueryError."""
        del places
        raise no_query()

    def namespaces(self, prefix: Namespace) -> list[Namespace]:
        """Namespaces as they were then. Raises Compacted."""
        return self._snapshot.namespaces_at(prefix, self._revision, self._at)


def as_of(snapshot: Snapshot, revision: Revision, at: int | None = None) -> Snapshot:
    """The snapshot, its items as they were at the revision; of no use for anything but items.

    What had expired by `at` (microseconds) is gone; None: by the time of that commit.
    """
    return cast("Snapshot", SnapshotAt(snapshot, revision, at))


def no_query(asked: str = "") -> QueryError:
    """The error for a query where the past is read."""
    return QueryError(
        f"{asked}text search reads the present; a view of the past is searched with filter=.", part="query"
    )


class PastStore(ItemStore):
    """Memory as it was when one commit was the newest: `get`, `search` with a filter, `list_namespaces`, and their twins.

    Every answer is exact, or `Compacted` is raised: never short. Writes are refused.

    Attributes:
        revision: opaque mark of that commit.
    """

    def __init__(
        self, present: ItemPast, codec: ItemCodec, revision: Revision, time: int | None = None
    ) -> None:
        """The view of one store at one revision, and at that time; None: of the commit."""
        super().__init__(codec)
        self._store = present
        self._at = revision
        self._time = time
        self.revision = str(revision)

    def __repr__(self) -> str:
        return f"<PastStore at {self.revision} of {self._store!r}>"

    @contextmanager
    def _past(self) -> Generator[Snapshot]:
        with self._store._committed() as snapshot:
            yield as_of(snapshot, self._at, self._time)

    def _read(self) -> AbstractContextManager[Snapshot]:
        return self._past()

    def _look_now(self, question: Callable[[Snapshot], T]) -> T:
        return self._store._of_committed(lambda snapshot: question(as_of(snapshot, self._at, self._time)))

    def _look(self, question: Callable[[Snapshot], T]) -> T:
        return self._store._look_back(
            lambda snapshot: question(as_of(snapshot, self._at, self._time)), self._at
        )

    def _committed(self) -> AbstractContextManager[Snapshot]:
        """Nothing: histories are asked of the store itself. Raises NotSupported."""
        raise NotSupported(f"{self!r} shows one moment: ask the store itself for histories and differences.")

    async def _aside(self, work: Callable[[], T]) -> T:
        return await self._store._aside(work)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of all reads; see `BaseStore.batch`."""
        return super().batch(self._without_text(ops))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        return await super().abatch(self._without_text(ops))

    def _without_text(self, ops: Iterable[Op]) -> list[Op]:
        asked = list(ops)
        for op in asked:
            if isinstance(op, SearchOp) and op.query:
                raise no_query(f"query={op.query!r}: ")
        return asked

    def _write(self, operations: list[Operation]) -> NoReturn:
        first = operations[0]
        raise NotSupported(
            f"{first.key!r} in {first.namespace!r}: this is memory as it was at revision {self.revision}, which nobody"
            " can change. Nothing was written. Write to the store itself; to take back what a run taught it, use"
            " store.revert(...)."
        )

    def _update(self, namespace: Namespace, key: str, fn: Change, ttl: int | None) -> Item | None:
        del fn, ttl  # not called: what it gave could not be written
        self._write([Operation(namespace, key, None, 0)])
