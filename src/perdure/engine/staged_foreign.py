"""Somebody else's store as a task sees it: what it writes is staged, and it reads its own writes over the store's answers.

Here: `ForeignTaskStore`, bound to one attempt of one task. Not here: how writes are laid over answers
(`storage/laid_over.py`), when they reach the store (`memory.py`), our own stores (`staged.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from perdure.engine.own_methods import aasked, asked
from perdure.engine.staged import check_open
from perdure.storage.contract import Namespace
from perdure.storage.item_store import ItemStore
from perdure.storage.laid_over import Asking, laid_over, staged_put
from perdure.storage.staging import Operation, staged
from perdure.store.base import BaseStore, NotSupported, Op, PutOp, Result

if TYPE_CHECKING:
    from perdure.engine.context import TaskContext


class ForeignTaskStore(BaseStore):
    """Memory inside a task, in a store of somebody else's class. It is written when the step commits, before the checkpoint.

    Reads ask the store, with what this task (and the tasks around it) staged laid over the answers; `search(query=...)`
    gives what the store gives, without what is staged. Values are JSON objects of at most 1 MiB, as they may have to wait
    in the record of a finished task. `update` computes the value here and now, and doesn't look again when the step
    commits. What the interface doesn't have is the store's own: such an attribute is that of the
    user's object, and a method of it that writes is not staged.
    """

    def __init__(self, task: TaskContext) -> None:
        self._store: BaseStore = task.run.memory.store
        self._task = task
        self.supports_ttl = self._store.supports_ttl
        self.ttl_config = self._store.ttl_config
        self.supports_order = getattr(self._store, "supports_order", False)  # an older class has no such word
        self.supports_ranking = getattr(self._store, "supports_ranking", False)

    def __repr__(self) -> str:
        task = self._task
        return (
            f"<ForeignTaskStore of node {task.task.name!r} over {type(self._store).__name__},"
            f" {len(task.operations)} writes staged>"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_store":
            raise AttributeError(name)
        return getattr(self._store, name)

    @property
    def direct(self) -> BaseStore:
        """The user's own object, past this task: see `BaseStore.direct`."""
        # A class derived from ours has methods of its own, which our `direct` would pass by.
        return self._store if isinstance(self._store, ItemStore) else self._store.direct

    def _refuse_conditions(self, if_version: int | None, *, if_absent: bool = False) -> None:
        if if_version is not None or if_absent:
            asked = f"if_version={if_version!r}" if if_version is not None else "if_absent=True"
            raise NotSupported(
                f"{asked}: {type(self._store).__name__} is a class of its own: it has no versions that could be looked at"
                " when the step commits. Nothing was written. Leave it out, or compile the graph with a store of"
                " Perdure's, such as InMemoryStore or SqliteStore."
            )

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of all operations; see `BaseStore.batch`. Writes are staged together, or none is."""
        work = self._work(list(ops))
        try:
            question = next(work)
            while True:
                question = work.send(asked(self._store, question))
        except StopIteration as done:
            return done.value

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        work = self._work(list(ops))
        try:
            question = next(work)
            while True:
                question = work.send(await aasked(self._store, question))
        except StopIteration as done:
            return done.value

    def _work(self, ops: list[Op]) -> Asking:
        check_open(self._task)
        writes = {place: staged_put(op) for place, op in enumerate(ops) if isinstance(op, PutOp)}
        reads = [place for place in range(len(ops)) if place not in writes]
        results: list[Result] = [None] * len(ops)
        if reads:
            answers = yield from laid_over([ops[place] for place in reads], self._task.layers())
            for place, answer in zip(reads, answers, strict=True):
                results[place] = answer
        if writes:
            self._stage(list(writes.values()))
        return results

    def _stage(self, operations: list[Operation]) -> None:
        last: dict[tuple[Namespace, str], Operation] = {}
        for operation in operations:
            last.pop((operation.namespace, operation.key), None)  # in the order of the last puts
            last[operation.namespace, operation.key] = operation
        with self._task.lock:
            check_open(self._task)
            layers = self._task.layers()
            for operation in last.values():
                before = staged(layers, operation.namespace, operation.key)
                if before is not None:  # else the store knows when the item was created
                    operation.follows(before)
                self._task.layer.add(operation)
