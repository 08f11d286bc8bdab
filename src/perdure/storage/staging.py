"""Memory writes that are not committed yet, and how reads see them: layers over a snapshot.

A layer holds operations in the order they were made. A view is a stack of layers over the committed items: commits in
flight, the enclosing tasks, the task itself; the nearest layer that knows an item wins. Everything staged counts as
newer than everything committed, and later staged as newer than earlier staged.

Here: `Operation`, `Layer`, and the reads of a stack. Not here: when a layer is committed (`engine`), values' encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Any, Final, Protocol, TypeAlias

from perdure.errors import VersionConflict
from perdure.storage.contract import OWED, Embedded, Filed, ItemRow, Namespace, Origin, Revision, Snapshot
from perdure.storage.path_ranges import PathRanges


class NoGuard(Enum):
    """The sentinel for "whatever stands there"."""

    ANY = "any"


ANY: Final = NoGuard.ANY
Guard: TypeAlias = "int | NoGuard | None"  # the version that must stand; None: no item may stand

STAGED_VERSION: Final = -1  # of an item that is read back before its commit
_UNKNOWN: Final = Revision(0, 0)
_PAGE_BYTES: Final = 1024 * 1024  # a page may grow while it holds less
_PAGE_ROWS: Final = 16_000  # and has fewer rows
_serials = count(1)
NOBODY: Final = Origin()


@dataclass(slots=True)
class Operation:
    """One memory write. `value` None: the item goes. `change` set: computed anew at commit, `value` is today's answer."""

    namespace: Namespace
    key: str
    value: bytes | None
    at: int  # microseconds
    guard: Guard = ANY
    change: Callable[[bytes | None], bytes | None] | None = None
    base: int | None = None  # with `change`: the committed version it was computed from
    origin: Origin = NOBODY
    created_at: int | None = None  # of the item it replaces; None: as the committed item says
    began: int | None = None  # when the first staged write of an item was made that may not be committed yet
    after: tuple[str, int] | None = (
        None  # recorded: the write (task, index) of the same step that it followed
    )
    rank: int | None = None  # recorded: its place among the recorded writes of its key
    computed: bool = (
        False  # recorded: `value` was computed from the write it followed, or from version `base`
    )
    paths: tuple[str, ...] | None = None  # what of the item is to be found; (): nothing
    filed: Filed | None = None  # `value` as it is filed; None: not known yet
    texts: tuple[str, ...] | None = None  # what of `value` is to be embedded; None: not known yet
    embedded: Embedded | None = None  # None: not yet
    ttl: int | None = (
        None  # microseconds that it lives from its commit on; while it is staged it does not expire
    )
    keeps: bool = False  # the life of the item that it replaces stays, if there is one
    committed: int | None = field(
        default=None, compare=False
    )  # when the commit that has it was made (microseconds), where that is known
    serial: int = field(
        default=0, compare=False
    )  # of this process, from when it was first staged on; 0: it is not

    @property
    def embedded_now(self) -> bool:
        """Whether its vectors are known; False where they are owed."""
        return self.embedded is not None and self.embedded != OWED

    def follows(self, before: Operation) -> None:
        """It replaces what `before` staged."""
        if before.value is None:
            self.created_at = self.at
        else:
            if self.created_at is None:  # else whoever made it has looked
                self.created_at = before.created_at
            self.began = before.began or before.at

    def row(self, snapshot: Snapshot | None) -> ItemRow | None:
        """The item as a reader of the layer sees it; None: there is none. Without a snapshot nothing was there before."""
        if self.value is None:
            return None
        created = self.created_at
        if created is None:
            committed = None if snapshot is None else snapshot.item(self.namespace, self.key)
            created = (self.began or self.at) if committed is None else committed.created_at
        return ItemRow(
            self.namespace,
            self.key,
            self.value,
            created,
            max(self.at, created),
            STAGED_VERSION,
            _UNKNOWN,
            self.origin,
            self.paths,
        )


class Files(Protocol):
    """Knows how a store's items are filed for searches."""

    def filed_of(self, operation: Operation, /) -> Filed | None:
        """What is staged, as it is filed."""
        ...

    def lacking(self, operations: Iterable[Operation], /) -> list[Operation]:
        """Those that are still to be embedded."""
        ...

    def embed(self, operations: Sequence[Operation], /) -> None:
        """Asks the model for the vectors of these."""
        ...

    async def aembed(self, operations: Sequence[Operation], /) -> None:
        """As `embed`."""
        ...


class Layer:
    """Staged operations of one task, one run or one commit in flight. Append-only; safe to read while another writes."""

    __slots__ = ("index", "operations")

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.index: dict[tuple[Namespace, str], Operation] = {}

    def add(self, operation: Operation) -> None:
        """The operation is the newest of the layer."""
        if (
            not operation.serial
        ):  # else another layer had it before: of a nested task, or of a step being committed
            operation.serial = next(_serials)
        self.operations.append(operation)
        self.index.pop(
            (operation.namespace, operation.key), None
        )  # so that the index is in order of the last write
        self.index[operation.namespace, operation.key] = operation

    def extend(self, operations: Sequence[Operation]) -> None:
        """All of them, in order."""
        for operation in operations:
            self.add(operation)

    def __bool__(self) -> bool:
        return bool(self.operations)


Layers: TypeAlias = Sequence[Layer]  # outermost first


def staged(layers: Layers, namespace: Namespace, key: str) -> Operation | None:
    """The nearest layer's last word on the item, or None."""
    for layer in reversed(layers):
        found = layer.index.get((namespace, key))
        if found is not None:
            return found
    return None


def read_item(snapshot: Snapshot, layers: Layers, namespace: Namespace, key: str) -> ItemRow | None:
    """The item as the stack shows it."""
    operation = staged(layers, namespace, key)
    return snapshot.item(namespace, key) if operation is None else operation.row(snapshot)


def staged_in(layers: Layers, prefix: Namespace) -> list[Operation]:
    """The last word on every item of the subtree that somebody staged, newest first."""
    found: dict[tuple[Namespace, str], Operation] = {}
    size = len(prefix)
    for layer in reversed(layers):
        for where, operation in reversed(list(layer.index.items())):
            if where not in found and where[0][:size] == prefix:
                found[where] = operation
    return list(found.values())


def read_items(
    snapshot: Snapshot, layers: Layers, prefix: Namespace, page: int, wanted: Sequence[PathRanges] = ()
) -> Iterator[ItemRow]:
    """Live items of the subtree, newest first; fetched by pages, so stop when you have enough (inside the snapshot).

    Some whose values lie outside what is `wanted` may be left out.
    """
    for _, row in read_marked(snapshot, layers, prefix, page, None, wanted):
        yield row


def read_marked(
    snapshot: Snapshot,
    layers: Layers,
    prefix: Namespace,
    page: int,
    after: int | None,
    wanted: Sequence[PathRanges] = (),
    likely: int = _PAGE_ROWS,
) -> Iterator[tuple[int, ItemRow]]:
    """As `read_items`, each with its mark; only those behind the one that had the mark `after`.

    `likely`: how many will be asked for, if all that the backend preselects are meant.

    A mark is the version, or minus the serial of what is staged. Behind a staged item that was written again, there is
    what was staged before it. Behind one that is staged no longer, there is all that is committed: what was staged
    with it may be seen again, and nothing is left out.
    """
    above = staged_in(layers, prefix)
    hidden = {(operation.namespace, operation.key) for operation in above}
    for operation in above if after is None else _behind(layers, above, -after):
        row = operation.row(snapshot)
        if row is not None:
            yield -operation.serial, row
    before = after if after is not None and after > 0 else None
    likely = min(likely + len(hidden), page)
    while True:
        rows = snapshot.preselected(prefix, wanted, before, likely) if wanted else None
        if rows is None:
            wanted = ()
            rows = snapshot.items(prefix, before, page)
        else:
            page = likely
        for row in rows:
            if (row.namespace, row.key) not in hidden:
                yield row.version, row
        if len(rows) < page:
            return
        before = rows[-1].version
        # Whoever reads on is likely to read far: each page costs a search for its beginning.
        if sum(len(row.value or b"") for row in rows) < _PAGE_BYTES:
            page = likely = max(page, min(2 * page, _PAGE_ROWS))


def _behind(layers: Layers, above: list[Operation], serial: int) -> list[Operation]:
    """Those that follow the operation of this number; if it was replaced, those that followed it when it was not."""
    if serial < 0:
        return []
    for place, operation in enumerate(above):
        if operation.serial == serial:
            return above[place + 1 :]
    for depth, layer in enumerate(layers):
        if any(operation.serial == serial for operation in layer.operations):
            return [op for op in above if _stands_behind(layers, op, depth, serial)]
    return [operation for operation in above if operation.serial < serial]


def _stands_behind(layers: Layers, operation: Operation, depth: int, serial: int) -> bool:
    """Whether it is of a layer further out, or of the same one and older."""
    where = operation.namespace, operation.key
    mine = next(place for place in range(len(layers) - 1, -1, -1) if where in layers[place].index)
    return mine < depth or (mine == depth and operation.serial < serial)


def read_namespaces(snapshot: Snapshot, layers: Layers, prefix: Namespace) -> list[Namespace]:
    """Namespaces of the subtree that hold a live item, in tuple order."""
    found = set(snapshot.namespaces(prefix))
    touched = {where[0] for layer in layers for where in layer.index if where[0][: len(prefix)] == prefix}
    for namespace in touched:
        if _holds(snapshot, layers, namespace):
            found.add(namespace)
        else:
            found.discard(namespace)
    return sorted(found)


def _holds(snapshot: Snapshot, layers: Layers, namespace: Namespace) -> bool:
    return any(row.namespace == namespace for row in read_items(snapshot, layers, namespace, 64))


def check_guard(snapshot: Snapshot, layers: Layers, operation: Operation) -> None:
    """Raises VersionConflict if what the stack shows is not what the operation's guard wants."""
    if operation.guard is ANY:
        return
    row = read_item(snapshot, layers, operation.namespace, operation.key)
    found = row.version if row else None
    if found != operation.guard:
        raise conflict(operation, found)


def conflict(operation: Operation, found: int | None) -> VersionConflict:
    """The error for a guard that does not hold."""
    expected: Any = operation.guard
    wanted = "no item to be there" if expected is None else f"version {expected}"
    now = (
        "there is none"
        if found is None
        else "it is staged by this task"
        if found < 0
        else f"it has version {found}"
    )
    return VersionConflict(
        f"{operation.key!r} in {operation.namespace!r}: the write expected {wanted}, now {now}. Nothing was written."
        " Read the item again and repeat, or use store.update(namespace, key, fn).",
        namespace=operation.namespace,
        key=operation.key,
        expected=expected,
        found=found,
    )
