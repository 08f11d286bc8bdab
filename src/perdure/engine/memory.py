"""Where a run's memory writes go, and how its staged operations become rows of a commit.

Here: `Memory` (the store of a run as the engine sees it), `resolve` (operations to rows, with their expectations).
Not here: staging (`staged.py`), the transaction of a step (`commit.py`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from perdure.engine.as_of import AsOf
from perdure.engine.own_methods import aasked, asked
from perdure.engine.ports import Ports
from perdure.errors import VersionConflict
from perdure.storage.contract import (
    Backend,
    Commit,
    ItemIs,
    ItemRow,
    Namespace,
    PutItem,
    Snapshot,
    commit_now,
)
from perdure.storage.laid_over import put_of
from perdure.storage.staging import ANY, Files, Operation, conflict
from perdure.storage.upkeep import wrote

TRIES = 1000  # of a commit that computes values anew when somebody else was first
_jitter = random.Random()  # noqa: S311 - spreads retries, guards nothing


@dataclass(frozen=True, slots=True)
class Memory:
    """A run's store: ours (`backend` and `codec`), somebody else's (`store` alone), or none."""

    store: Any = None  # the object that the user gave
    backend: Backend | None = None
    codec: Any = None  # ItemCodec
    as_of: AsOf | None = None  # reads are of the past, writes are guarded
    scope: Namespace = ()  # what its tasks call the root

    @property
    def foreign(self) -> bool:
        """Whether writes can only go through the store's own methods."""
        return self.store is not None and self.backend is None


NO_MEMORY = Memory()


class Resolved(NamedTuple):
    """Rows of a commit, what it expects, and whether trying again can help when that does not hold."""

    items: list[PutItem]
    versions: list[ItemIs]
    computed: set[tuple[Namespace, str]]  # keys whose expectation comes from a computed value only
    done: list[Operation]  # what the items were made of


def needs_answer(operations: Sequence[Operation]) -> bool:
    """Whether the commit must be waited for: something is expected, or computed from what stands."""
    return any(op.guard is not ANY or op.change is not None for op in operations)


def resolve(snapshot: Snapshot | None, operations: Sequence[Operation], codec: Files) -> Resolved:
    """The rows for `operations`, in order; computed values are computed from what stands now.

    `snapshot` may be None where `needs_answer` is false; `codec` files what is not filed yet. Raises VersionConflict for a guard that cannot hold any more.
    """
    items: list[PutItem] = []
    expected: dict[tuple[Namespace, str], int | None] = {}
    guarded: set[tuple[Namespace, str]] = set()
    standing: dict[tuple[Namespace, str], Operation] = {}
    all_done: list[Operation] = []
    for op in operations:
        where = (op.namespace, op.key)
        done = op
        if snapshot is not None and (op.change is not None or op.guard is not ANY):
            if where not in standing:
                row = snapshot.item(op.namespace, op.key)
                standing[where] = _as_it_stands(op, row)
                expected[where] = row.version if row else None
            elif op.guard is not ANY:
                raise conflict(op, -1)  # an earlier task of the step wrote it
            if op.guard is not ANY:
                if expected.get(where) != op.guard:
                    raise conflict(op, expected.get(where))
                guarded.add(where)
            if op.change is not None:
                before = standing[where]
                value = compute(op, before.value)
                if value != op.value or before.paths != op.paths:
                    done = Operation(op.namespace, op.key, value, op.at, origin=op.origin, paths=before.paths)
        standing[where] = done
        filed = codec.filed_of(done)
        items.append(
            PutItem(
                op.namespace,
                op.key,
                done.value,
                op.origin,
                filed,
                done.paths,
                done.embedded,
                ttl=op.ttl,
                keeps=op.keeps,
            )
        )
        all_done.append(done)
    versions = [ItemIs(namespace, key, version) for (namespace, key), version in expected.items()]
    return Resolved(items, versions, set(expected) - guarded, all_done)


async def embedded(resolved: Resolved, codec: Files | None, ports: Ports) -> Resolved:
    """With the vectors of all that was computed just now, or comes from a record: outside of any snapshot."""
    lacking = [] if codec is None else codec.lacking(resolved.done)
    if codec is None or not lacking:
        return resolved
    if ports.blocking:
        codec.embed(lacking)
    else:
        await codec.aembed(lacking)
    items = [
        item._replace(embedded=op.embedded) for item, op in zip(resolved.items, resolved.done, strict=True)
    ]
    return resolved._replace(items=items)


def _as_it_stands(op: Operation, row: ItemRow | None) -> Operation:
    value, paths = (None, None) if row is None else (row.value, row.paths)
    return Operation(op.namespace, op.key, value, op.at, paths=paths)


class UpdateFailed(Exception):
    """A function given to `store.update` raised when the step was about to be committed: the failure of its task."""

    def __init__(self, operation: Operation, error: Exception) -> None:
        super().__init__(f"update of {operation.key!r} in {operation.namespace!r}: {error!r}")
        self.operation = operation
        self.error = error


def compute(op: Operation, stored: bytes | None) -> bytes | None:
    """The value that the operation's function makes of what stands. Raises UpdateFailed for what it raises."""
    assert op.change is not None  # noqa: S101 - the caller looked
    try:
        return op.change(stored)
    except Exception as error:
        error.add_note(
            f"store.update({op.namespace!r}, {op.key!r}, ...): the function was applied again, to the value that stands"
            " when the step is committed. Nothing of the step was written."
        )
        raise UpdateFailed(op, error) from error


def can_repeat(error: VersionConflict, resolved: Resolved) -> bool:
    """Whether only computed values are concerned: they are computed anew, nobody's guard failed."""
    return all(tuple(where) in resolved.computed for where in error.keys)


def pause_before(attempt: int) -> float:
    """Seconds to wait before the next try: short, growing, spread."""
    return min(0.05, 0.0002 * 2 ** min(attempt, 8)) * _jitter.random()


async def write_memory(memory: Memory, ports: Ports, operations: Sequence[Operation]) -> None:
    """Commits memory by itself: for a store that does not share a database with the saver, or a run without one."""
    backend = memory.backend
    if backend is None:
        await _write_foreign(memory.store, ports, operations)
        return
    if not needs_answer(operations):
        resolved = await embedded(resolve(None, operations, memory.codec), memory.codec, ports)
        await ports.commit(backend, items_commit(resolved))
        wrote(backend, resolved.items)
        return
    for attempt in range(TRIES):
        with backend.read() as snapshot:
            resolved = resolve(snapshot, operations, memory.codec)
        resolved = await embedded(resolved, memory.codec, ports)
        try:
            await ports.commit(backend, items_commit(resolved))
        except VersionConflict as error:
            if not can_repeat(error, resolved) or attempt == TRIES - 1:
                raise
            await ports.pause(pause_before(attempt))
        else:
            wrote(backend, resolved.items)
            return


async def _write_foreign(store: Any, ports: Ports, operations: Sequence[Operation]) -> None:
    """Through the store's own methods, in order."""
    puts = [put_of(operation) for operation in operations]
    if ports.blocking:
        asked(store, puts)
    else:
        await aasked(store, puts)


def items_commit(resolved: Resolved) -> Commit:
    """A commit of memory alone."""
    return commit_now(versions=resolved.versions, items=resolved.items)
