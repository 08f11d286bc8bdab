"""The store as a task sees it: what it writes is staged, and it reads its own writes over the committed state.

Here: `TaskStore`, bound to one attempt of one task. Not here: layers and their reads (`storage/staging.py`), commits,
somebody else's store (`staged_foreign.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NoReturn, TypeVar

from perdure.errors import PerdureError
from perdure.storage.contract import Origin, Snapshot, asked
from perdure.storage.forgetting import Forgetting
from perdure.storage.item_store import FaceHandle, ItemStore
from perdure.storage.refreshing import before_use, was_read
from perdure.storage.reverting import Reverting
from perdure.storage.staging import ANY, Layer, Operation, check_guard, staged
from perdure.storage.watching import Watching
from perdure.store.base import BaseStore, Item

if TYPE_CHECKING:
    from perdure.engine.context import TaskContext

T = TypeVar("T")


class TaskStore(ItemStore):
    """Memory inside a task. Writes become visible to others when the step commits, and never if it does not."""

    _of_task = True

    def __init__(self, task: TaskContext) -> None:
        memory = task.run.memory
        super().__init__(memory.codec)
        assert memory.backend is not None  # noqa: S101 - made for our stores only
        self._backend = memory.backend
        self._as_of = memory.as_of
        self._task = task
        self._origin: Origin | None = None
        store: object = memory.store
        if isinstance(store, BaseStore):
            self.supports_ttl, self.ttl_config = store.supports_ttl, store.ttl_config

    def __repr__(self) -> str:
        return (
            f"<TaskStore of node {self._task.task.name!r}, {len(self._task.layer.operations)} writes staged>"
        )

    @property
    def __perdure_backend__(self) -> FaceHandle:
        """Whose data this is."""
        return FaceHandle(self._backend, self._codec)

    @property
    def direct(self) -> BaseStore:
        """The store past this task: see `BaseStore.direct`."""
        return self._task.run.memory.store.direct

    def _read(self) -> AbstractContextManager[Snapshot]:
        check_open(self._task)
        before_use(self._backend)
        return self._backend.read() if self._as_of is None else self._as_of.read()

    def _look_now(self, question: Callable[[Snapshot], T]) -> T:
        if self._as_of is not None:
            return super()._look_now(question)
        check_open(self._task)
        before_use(self._backend)
        return asked(self._backend, question)

    def _committed(self) -> AbstractContextManager[Snapshot]:
        check_open(self._task)
        return self._backend.read()

    def _of_committed(self, question: Callable[[Snapshot], T]) -> T:
        check_open(self._task)
        return asked(self._backend, question)

    def _was_read(self, items: Iterable[Item]) -> None:
        if self.supports_ttl:  # not staged: it makes no version, and holds whatever becomes of the task
            was_read(self._backend, items)

    def _revert(self, asked: Reverting) -> NoReturn:
        del asked
        raise PerdureError(
            f"store.revert(...) was called in node {self._task.task.name!r}: what it takes back is committed already, so it"
            " cannot be staged with the step. Nothing was written. Call it outside of graphs, or store.direct.revert(...)"
            " to take back at once, whatever becomes of the task."
        )

    def _watch(self, asked: Watching) -> NoReturn:
        del asked
        raise PerdureError(
            f"store.watch(...) was called in node {self._task.task.name!r}: what the node stages is no change until its step"
            " commits, so it would wait for itself. Watch outside of graphs, or store.direct.watch(...), which tells of"
            " commits only."
        )

    def _forget(self, asked: Forgetting) -> NoReturn:
        raise PerdureError(
            f"store.forget({asked.prefix!r}) was called in node {self._task.task.name!r}: what is forgotten is erased at once"
            " and for good, so it cannot be staged with the step. Nothing was deleted. Call it outside of graphs, or"
            " store.direct.forget(...) to erase at once, whatever becomes of the task."
        )

    def _layers(self) -> Sequence[Layer]:
        layers = self._task.layers()
        return layers if self._as_of is None else [self._as_of.layer, *layers]

    def _write(self, operations: list[Operation]) -> None:
        check_open(self._task)
        before_use(self._backend)
        with self._task.lock:
            layers = (
                self._layers()
            )  # before the snapshot: what is committed in between is seen twice, not never
            self._stage_all(layers, operations)

    def _stage_all(self, layers: Sequence[Layer], operations: list[Operation]) -> None:
        if any(operation.guard is not ANY for operation in operations):
            with self._read() as snapshot:
                for operation in operations:
                    check_guard(snapshot, layers, operation)
        for operation in operations:
            self._stage(layers, self._task.layer, operation)

    def _stage(self, layers: Sequence[Layer], layer: Layer, operation: Operation) -> None:
        before = staged(layers, operation.namespace, operation.key)
        if before is not None:  # else the database knows when the item was created
            operation.follows(before)
        if (operation.namespace, operation.key) in layer.index:
            operation.guard = ANY  # its own earlier write stands there, which was checked
        elif self._as_of is not None and (operation.namespace, operation.key) in self._as_of.layer.index:
            operation.guard = ANY  # its run's earlier write, which every commit of the run expects
        if self._origin is None:
            task = self._task
            self._origin = Origin(task.run.chain.thread, task.run.chain.at or None, task.task.name)
        operation.origin = self._origin
        layer.add(operation)


def check_open(task: TaskContext) -> None:
    """Raises PerdureError if the attempt is over: nobody would commit what it stages."""
    if task.closed:
        raise PerdureError(
            f"the store of node {task.task.name!r} was used after the node had ended (attempt {task.attempt}). Nothing"
            " was written: its step may be committed or dropped already. Use the store that you compiled the graph"
            " with, outside of nodes."
        )
