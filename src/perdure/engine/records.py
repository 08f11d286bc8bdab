"""What is written down of a step that is not done: finished tasks with their memory, questions, errors, answers.

Here: rows from what tasks left, and back. Not here: when they are written (`loop.py`), the commit (`commit.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from perdure.channels.base import MISSING
from perdure.constants import ERROR, INTERRUPT, NO_WRITES, RESUME, TASKS
from perdure.engine.chain import Finished, Loaded
from perdure.engine.recorded import lost_tasks
from perdure.engine.state import Record
from perdure.graph.spec import GraphSpec, Write
from perdure.storage.chains import Head, Pieces, aad
from perdure.storage.contract import Origin, Snapshot, StagedRow, WriteRow
from perdure.storage.ids import NO_TASK
from perdure.storage.located import reading
from perdure.storage.staging import ANY, Operation
from perdure.types import Send

_AT = {ERROR: -1, INTERRUPT: -3, RESUME: -4}


def tracked(spec: GraphSpec, writes: Sequence[Write]) -> Sequence[Write]:
    """The writes without those to an `UntrackedValue`, which is kept out of every database, and out of saved `Send`s."""
    if not spec.untracked:
        return writes
    found = [(name, value) for name, value in writes if name not in spec.untracked]
    return [(name, tracked_send(spec, value) if name == TASKS else value) for name, value in found]


def tracked_send(spec: GraphSpec, send: Any) -> Any:
    """The `Send` as it is saved."""
    if not isinstance(send, Send) or not isinstance(send.arg, dict):
        return send
    argument = cast("dict[Any, Any]", send.arg)  # pyright: ignore[reportUnknownMemberType] - any argument
    if spec.untracked.isdisjoint(argument):
        return send
    kept = {key: value for key, value in argument.items() if key not in spec.untracked}
    return Send(send.node, kept, timeout=send.timeout)


def tracked_value(spec: GraphSpec, name: str, value: Any) -> Any:
    """A channel's value as it is saved."""
    if not spec.untracked or name != TASKS or value is MISSING:
        return value
    return [tracked_send(spec, send) for send in value]


def record_rows(
    spec: GraphSpec, pieces: Pieces, thread: str, ns: str, checkpoint: str, finished: Sequence[Finished]
) -> tuple[list[WriteRow], list[StagedRow]]:
    """The rows for what these tasks left."""
    writes: list[WriteRow] = []
    staged: list[StagedRow] = []
    for left in finished:
        task = left.task

        def row(index: int, channel: str, value: Any, task: Any = task) -> WriteRow:
            place = aad(thread, "write", checkpoint, task.id, index)
            path = f"the update of {channel} (node {task.name!r})"
            payload = pieces.encode(value, path=path, aad=place)
            return WriteRow(thread, ns, checkpoint, task.id, index, task.path_text, channel, payload)

        if left.writes is not None:
            saved = tracked(spec, left.writes)
            writes += [row(index, channel, value) for index, (channel, value) in enumerate(saved)]
            if not saved:
                writes.append(row(0, NO_WRITES, None))
            staged += _staged_rows(pieces, thread, ns, checkpoint, task.id, left.operations)
        if left.error is not None:
            writes.append(row(_AT[ERROR], ERROR, repr(left.error)))
        if left.interrupts:
            writes.append(row(_AT[INTERRUPT], INTERRUPT, list(left.interrupts)))
        if left.answers:
            writes.append(row(_AT[RESUME], RESUME, left.answers))
    return writes, staged


def _staged_rows(
    pieces: Pieces, thread: str, ns: str, checkpoint: str, task: str, operations: Sequence[Operation]
) -> list[StagedRow]:
    rows: list[StagedRow] = []
    for index, op in enumerate(operations):
        guard = [op.guard] if op.guard is not ANY else []
        base = [op.base] if op.computed else []
        content = [op.value, op.at, guard, base, op.origin.node, op.created_at, op.after, op.paths, op.rank]
        if op.ttl is not None or op.keeps:
            content += [op.ttl, op.keeps]
        payload = pieces.encode(
            content, path=f"memory {op.key!r}", aad=aad(thread, "staged", checkpoint, task, index)
        )
        rows.append(StagedRow(thread, ns, checkpoint, task, index, op.namespace, op.key, payload))
    return rows


def answer_rows(
    pieces: Pieces,
    thread: str,
    ns: str,
    checkpoint: str,
    answers: dict[str, Any] | None,
    updates: Sequence[Write],
    known: int,
) -> list[WriteRow]:
    """The rows for what the run's callers said: answers by interrupt id, and updates behind the `known` ones."""

    def row(index: int, channel: str, value: Any, path: str) -> WriteRow:
        payload = pieces.encode(value, path=path, aad=aad(thread, "write", checkpoint, NO_TASK, index))
        return WriteRow(thread, ns, checkpoint, NO_TASK, index, "", channel, payload)

    rows = [
        row(known + index, channel, value, f"the update of {channel}")
        for index, (channel, value) in enumerate(updates)
    ]
    if answers is not None:
        rows.append(row(_AT[RESUME], RESUME, answers, "the resume value"))
    return rows


def read_records(
    snapshot: Snapshot,
    pieces: Pieces,
    head: Head,
    loaded: Loaded,
    *,
    writes: Sequence[WriteRow] | None = None,
    done: bool = False,
) -> None:
    """Fills `loaded` with what is durable of the step after `head`; `judge_records` then says what of it counts.

    Args:
        snapshot: where it is read.
        pieces: what decodes it.
        head: the checkpoint.
        loaded: what is filled.
        writes: the checkpoint's pending writes, if they were fetched already.
        done: the step was made, so its memory is staged no longer.
    """
    if writes is None:
        writes = snapshot.writes(head.thread, head.ns, head.id)
    for row in writes:
        with reading(
            row.thread, row.ns, row.checkpoint, f"channel {row.channel!r} as task {row.task} wrote it"
        ):
            value = pieces.decode(
                row.payload, aad=aad(row.thread, "write", row.checkpoint, row.task, row.index)
            )
        if row.task == NO_TASK:
            if row.index >= 0:
                loaded.updates.append((row.channel, value))
            else:
                loaded.answers = value
            continue
        record = loaded.records.setdefault(row.task, Record())
        if row.index >= 0:
            record.writes = record.writes or []
            if row.channel != NO_WRITES:
                record.writes.append((row.channel, value))
        elif row.channel == ERROR:
            record.error = value
        elif row.channel == INTERRUPT:
            record.interrupts = tuple(value)
        elif row.channel == RESUME:
            record.answers = list(value)
    if loaded.records and not done:
        _read_staged(snapshot, pieces, head, loaded)


def _read_staged(snapshot: Snapshot, pieces: Pieces, head: Head, loaded: Loaded) -> None:
    for row in snapshot.staged(head.thread, head.ns, head.id):
        place = aad(row.thread, "staged", row.checkpoint, row.task, row.index)
        with reading(row.thread, row.ns, row.checkpoint, f"memory {row.key!r} in {row.namespace!r}, staged"):
            value, at, guard, base, node, created, *later = pieces.decode(row.payload, aad=place)
        after = later[0] if later else None  # the first rows had none
        paths = later[1] if len(later) > 1 else None
        rank = later[2] if len(later) > 2 else None
        ttl, keeps = later[3:5] if len(later) > 3 else (None, False)
        loaded.recorded[row.task, row.index] = Operation(
            row.namespace, row.key, value, at, guard[0] if guard else ANY, base=base[0] if base else None,
            origin=Origin(row.thread, row.checkpoint, node), created_at=created,
            after=None if after is None else (after[0], after[1]), computed=bool(base),
            paths=None if paths is None else tuple(paths), rank=rank, ttl=ttl, keeps=keeps,
        )  # fmt: skip


def judge_records(items: Snapshot, loaded: Loaded) -> None:
    """Which recorded tasks count as finished, by the items as they are; the others run again."""
    recorded = loaded.recorded
    if not recorded:
        return
    lost = lost_tasks(items, recorded)
    for (task, _), op in recorded.items():
        if op.computed and op.after is None:
            op.guard = op.base
        if task not in lost:
            loaded.operations.setdefault(task, []).append(op)
    loaded.lost |= lost
    for task in lost:
        loaded.records[task].writes = None
    loaded.recorded = {}
