"""Memory in records: writes of finished tasks whose step is not done, as values in a fixed order.

A computed write (`store.update`) is a function while its task's run lives; a record holds its answer. Each answer is
computed from the recorded write of the same key before it, whoever made that, or from the committed item; so siblings that
count in one item need not run again because one of them asked a question. What came to a key in records is applied
before what tasks of a later run write there, in the order in which it was recorded. If what the first answer was
computed from is gone when the records are read, the tasks that computed from it count as unfinished; the next records of
the step replace theirs.

Here: the order and the answers. Not here: rows (`records.py`), the commit (`commit.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from perdure.engine.memory import UpdateFailed, compute
from perdure.storage.contract import Namespace, Snapshot
from perdure.storage.staging import Operation

Where: TypeAlias = tuple[Namespace, str]
Place: TypeAlias = tuple[str, int]  # task id, index of the write


class Tails:
    """The last recorded write of each key in the step that is open."""

    def __init__(self, operations: Mapping[str, Sequence[Operation]] | None = None) -> None:
        self._recorded: dict[Place, Operation] = {}
        for task, made in (operations or {}).items():
            for index, op in enumerate(made):
                self._recorded[task, index] = op
        self._last: dict[Where, tuple[Place, Operation]] = {}
        self._find_last()

    def _find_last(self) -> None:
        self._last.clear()
        for place, op in self._recorded.items():
            known = self._last.get((op.namespace, op.key))
            if known is None or (op.rank or 0) >= (known[1].rank or 0):
                self._last[op.namespace, op.key] = (place, op)

    def clear(self) -> None:
        """Another step is open."""
        self._recorded.clear()
        self._last.clear()

    def without(self, tasks: Collection[str]) -> Tails:
        """The same, but for the records of these tasks."""
        left = Tails()
        left._recorded = {place: op for place, op in self._recorded.items() if place[0] not in tasks}
        left._find_last()
        return left

    def fix(self, snapshot: Snapshot, task: str, operations: Iterable[Operation]) -> list[Operation] | None:
        """The writes as they are recorded; None: a function of the user's failed, and nothing is recorded of the task."""
        fixed: list[Operation] = []
        last = dict(self._last)
        for index, op in enumerate(operations):
            where = (op.namespace, op.key)
            before = last.get(where)
            made = Operation(
                op.namespace, op.key, op.value, op.at, op.guard, origin=op.origin, created_at=op.created_at,
                after=None if before is None else before[0], paths=op.paths, filed=op.filed, embedded=op.embedded,
                rank=0 if before is None else (before[1].rank or 0) + 1,
                ttl=op.ttl, keeps=op.keeps,
            )  # fmt: skip
            if op.change is not None:
                made.computed = True
                live = snapshot.item(op.namespace, op.key) if before is None else None
                made.base = None if live is None else live.version
                found = before[1].value if before is not None else None if live is None else live.value
                made.paths = before[1].paths if before is not None else None if live is None else live.paths
                made.filed = made.embedded = None
                try:
                    made.value = compute(op, found)
                except UpdateFailed:
                    return None
            last[where] = ((task, index), made)
            fixed.append(made)
        self._last = last
        self._recorded.update(((task, index), op) for index, op in enumerate(fixed))
        return fixed


def lost_tasks(snapshot: Snapshot, recorded: Mapping[Place, Operation]) -> set[str]:
    """The tasks that computed from what is gone; ranks all others' writes, where their records do not."""
    lost: set[str] = set()
    before: set[str] | None = None
    while lost != before:  # who computed from a lost task's write is lost, too
        before = set(lost)
        for (task, _), op in recorded.items():
            if op.computed and task not in lost and not _stands(snapshot, recorded, op, lost):
                lost.add(task)
    for (task, _), op in recorded.items():
        if task not in lost and op.rank is None:
            op.rank = _depth(recorded, op)
    return lost


def _stands(snapshot: Snapshot, recorded: Mapping[Place, Operation], op: Operation, lost: set[str]) -> bool:
    if op.after is not None:
        return op.after in recorded and op.after[0] not in lost
    live = snapshot.item(op.namespace, op.key)
    return (None if live is None else live.version) == op.base


def _depth(recorded: Mapping[Place, Operation], op: Operation) -> int:
    """For the first records, which hold no rank."""
    depth = 0
    while op.after is not None and op.after in recorded:
        op = recorded[op.after]
        if op.rank is not None:
            return op.rank + depth + 1
        depth += 1
    return depth


def in_order(operations: list[Operation]) -> list[Operation]:
    """The writes of a step as they are applied: of a key that was computed in records, recorded ones come first."""
    computed = {(op.namespace, op.key) for op in operations if op.computed}
    if not computed:
        return operations
    places: dict[Where, list[int]] = {}
    for index, op in enumerate(operations):
        if (op.namespace, op.key) in computed:
            places.setdefault((op.namespace, op.key), []).append(index)
    ordered: list[Any] = list(operations)
    for indexes in places.values():
        mine = sorted((operations[index] for index in indexes), key=_rank)
        for index, op in zip(indexes, mine, strict=True):
            ordered[index] = op
    return ordered


def _rank(op: Operation) -> tuple[bool, int]:
    return (op.rank is None, op.rank or 0)
