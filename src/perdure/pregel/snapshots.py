"""A thread as users see it: a checkpoint with the tasks of its next step, what they left, and their questions.

Here: `StateSnapshot`s from checkpoints of our savers or of others. Not here: changing a thread (`updates.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import ormsgpack

from perdure.channels.base import MISSING
from perdure.constants import START
from perdure.engine.apply import apply
from perdure.engine.chain import Loaded
from perdure.engine.events import created_at, place, result_of
from perdure.engine.headcache import HEADS
from perdure.engine.plan import next_tasks
from perdure.engine.records import judge_records, read_records
from perdure.engine.state import Live, Task, live_of
from perdure.graph.spec import GraphSpec
from perdure.pregel.faces import Saver
from perdure.storage import chains
from perdure.storage.chains import Head, Logs, Pieces
from perdure.storage.contract import CheckpointRow, Snapshot, WriteRow, asked, foretelling, looked
from perdure.storage.located import reading
from perdure.storage.sealing import opened
from perdure.types import Interrupt, PregelTask, StateSnapshot

_STEPS: Final = ("loop", "update")  # sources of checkpoints that the tasks before them made
PAGE: Final = 64  # checkpoints of a history that are read at once


@dataclass(slots=True)
class Seen:
    """A checkpoint as it was read."""

    loaded: Loaded
    metadata: dict[str, Any]
    results: dict[tuple[str, int | None], dict[str, Any]] = field(
        default_factory=dict[tuple[str, int | None], dict[str, Any]]
    )
    at: str | None = None


def metadata_of(
    snapshot: Snapshot, pieces: Pieces, row: CheckpointRow, runs: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """A checkpoint's metadata: what its run shares, what it has itself, and its coordinates in the thread."""
    metadata: dict[str, Any] = {"source": row.source, "step": row.step, "parents": {}}
    if row.run is not None:
        if row.run not in runs:
            run = snapshot.run(row.thread, row.run)
            runs[row.run] = (
                {} if run is None else _unpacked(opened(pieces, run.metadata, row.thread, "run", run.id))
            )
        metadata.update(runs[row.run])
    if row.metadata:
        packed = opened(pieces, row.metadata, row.thread, "metadata", row.ns, row.id)
        metadata.update(_unpacked(packed))
    return metadata


def _unpacked(packed: bytes) -> dict[str, Any]:
    return ormsgpack.unpackb(packed, option=ormsgpack.OPT_NON_STR_KEYS)


def read_one(saver: Saver, thread: str, ns: str, checkpoint: str | None) -> Seen | None:
    """The checkpoint (None: the head) of our saver."""
    seen = asked(saver.backend, lambda snapshot: _read_one(snapshot, saver, thread, ns, checkpoint))
    if seen is not None:
        _judge_elsewhere(saver, [seen])
    return seen


def _read_one(snapshot: Snapshot, saver: Saver, thread: str, ns: str, checkpoint: str | None) -> Seen | None:
    ahead = foretelling(snapshot)
    if checkpoint:
        if ahead is not None:
            ahead.foretell_checkpoint(thread, ns, checkpoint, ("lineage", "writes", "following"))
        row = snapshot.checkpoint(thread, ns, checkpoint)
    else:
        likely = HEADS.likely(saver.backend, thread, ns) if ahead is not None else None
        if ahead is not None and likely is not None:
            ahead.foretell_checkpoint(thread, ns, likely, ("writes",))
        row = next(iter(snapshot.checkpoints(thread, ns, None, 1)), None)
    if row is None:
        return None
    if checkpoint is None:
        head = HEADS.peek(saver.backend, row, saver.pieces)
        if head is not None:
            return _seen_head(snapshot, saver, head, row, {})
        if ahead is not None:
            ahead.foretell_checkpoint(thread, ns, row.id, ("writes",) if row.whole else ("lineage", "writes"))
    logs = Logs(snapshot, saver.pieces, thread)
    after = None if checkpoint is None else _steps_after(snapshot, [row]).get(row.id)
    return _seen(snapshot, saver, logs, row, after, {}, {}, None)


def _judge_elsewhere(saver: Saver, seen: Iterable[Seen]) -> None:
    """Records that were computed from items in another database, which is asked behind the saver's, never within."""
    unjudged = [each.loaded for each in seen if each.loaded.recorded]
    if unjudged:
        with saver.items.read() as items:
            for loaded in unjudged:
                judge_records(items, loaded)


def _steps_after(snapshot: Snapshot, rows: Sequence[CheckpointRow]) -> dict[str, CheckpointRow]:
    """Checkpoint -> the row of the step that its tasks made: its first child that is one, newer than `rows` or among them.

    Almost always the next row in the chain is the child; only behind a branch is it looked for further on.
    """
    found: dict[str, CheckpointRow] = {}
    for row in rows:
        _note_step(found, row)
    newer = snapshot.following(rows[0].thread, rows[0].ns, rows[0].id) if rows else None
    wanted = {row.id for row in rows} - set(found)
    while newer is not None and wanted:
        if newer.parent in wanted and newer.source in _STEPS:
            found[newer.parent] = newer
            wanted.remove(newer.parent)
        newer = snapshot.following(newer.thread, newer.ns, newer.id)
    return found


def _note_step(found: dict[str, CheckpointRow], row: CheckpointRow) -> None:
    if row.parent is not None and row.source in _STEPS:
        found[row.parent] = row


def read_page(
    saver: Saver, thread: str, ns: str, before: str | None, limit: int, steps: dict[str, CheckpointRow] | None
) -> list[Seen]:
    """Checkpoints of the chain, newest first, from behind `before`; `steps` has the newer ones' children, if known."""

    def seen_in(snapshot: Snapshot) -> list[Seen]:
        rows = snapshot.checkpoints(thread, ns, before, limit)
        logs = Logs(snapshot, saver.pieces, thread)
        known = {row.id: row for row in rows}
        after = _steps_after(snapshot, rows) if steps is None else steps
        runs: dict[str, dict[str, Any]] = {}
        for row in rows:
            _note_step(after, row)
        ahead = foretelling(snapshot) if rows and not rows[-1].whole else None
        if ahead is not None:
            ahead.foretell_checkpoint(rows[-1].thread, rows[-1].ns, rows[-1].id, ("lineage",))
        writes = snapshot.writes_of([(row.thread, row.ns, row.id) for row in rows])
        return [
            _seen(
                snapshot, saver, logs, row, after.get(row.id), known, runs,
                writes.get((row.thread, row.ns, row.id), []),
            )
            for row in rows
        ]  # fmt: skip

    page = looked(saver.backend, seen_in)
    _judge_elsewhere(saver, page)
    return page


def _seen(
    snapshot: Snapshot,
    saver: Saver,
    logs: Logs,
    row: CheckpointRow,
    after: CheckpointRow | None,
    known: dict[str, CheckpointRow],
    runs: dict[str, dict[str, Any]],
    writes: Sequence[WriteRow] | None,
) -> Seen:
    head = chains.fold(_lineage(snapshot, row, known))
    chains.read_values(snapshot, saver.pieces, head, logs=logs)
    seen = _seen_head(snapshot, saver, head, row, runs, writes, done=after is not None)
    if after is not None:
        seen.results = _results(snapshot, saver, logs, after, known)
    return seen


def _seen_head(
    snapshot: Snapshot,
    saver: Saver,
    head: Head,
    row: CheckpointRow,
    runs: dict[str, dict[str, Any]],
    writes: Sequence[WriteRow] | None = None,
    *,
    done: bool = False,
) -> Seen:
    loaded = Loaded(head, None)
    read_records(snapshot, saver.pieces, head, loaded, writes=writes, done=done)
    if saver.items is saver.backend:
        judge_records(snapshot, loaded)
    return Seen(loaded, metadata_of(snapshot, saver.pieces, row, runs), at=created_at(row.at))


def _lineage(snapshot: Snapshot, row: CheckpointRow, known: dict[str, CheckpointRow]) -> list[CheckpointRow]:
    """The row and its ancestors up to a whole one; rows of the page are not read again."""
    found = [row]
    while not found[-1].whole:
        parent = known.get(found[-1].parent or "")
        if parent is None:
            rest = snapshot.lineage(row.thread, row.ns, found[-1].id)[1:]
            known.update({each.id: each for each in rest})
            return found + rest
        found.append(parent)
    return found


def _results(
    snapshot: Snapshot, saver: Saver, logs: Logs, row: CheckpointRow, known: dict[str, CheckpointRow]
) -> dict[tuple[str, int | None], dict[str, Any]]:
    """What the tasks of the step that made `row` wrote, by (node, `Send` index)."""
    found: dict[tuple[str, int | None], dict[str, Any]] = {}
    after: Head | None = None
    for name, index, written in chains.unpack(row)[3]:
        writes: list[tuple[str, Any]] = []
        for channel, code in written:
            if code == 2:
                if after is None:
                    after = chains.fold(_lineage(snapshot, row, known))
                    chains.read_values(snapshot, saver.pieces, after, logs=logs)
                writes.append((channel, after.values.get(channel)))
            else:
                with reading(row.thread, row.ns, row.id, f"channel {channel!r} as node {name!r} wrote it"):
                    writes.append((channel, logs.part(code)))
        names = tuple(name for name, _ in writes)
        found[name, index] = result_of(names, writes)
    return found


def empty_snapshot(config: Mapping[str, Any]) -> StateSnapshot:
    """The snapshot of a thread that does not exist."""
    return StateSnapshot({}, (), dict(config), None, None, None, (), ())


def snapshot_of(spec: GraphSpec, seen: Seen, thread: str, ns: str, *, latest: bool) -> StateSnapshot:
    """The snapshot. `latest`: finished tasks of the open step are shown applied, answered questions are not shown."""
    loaded, head = seen.loaded, seen.loaded.head
    assert head is not None  # noqa: S101 - a checkpoint was read
    live = live_of(
        spec, head.values, dict(head.versions), {node: dict(known) for node, known in head.seen.items()}
    )
    if loaded.updates and latest:
        apply(live, spec, (), extra=loaded.updates, within=True)
    tasks = next_tasks(live, spec, head.id, ns)
    done = [(task, loaded.records[task.id].writes or ()) for task in tasks if _finished(loaded, task)]
    shown = [_task(spec, head, seen, task, latest) for task in tasks]
    if latest and done:
        live = live.copy()
        apply(live, spec, done)
        waiting = tuple(task.name for task in tasks if not _finished(loaded, task))
    else:
        waiting = tuple(task.name for task in tasks)
    return StateSnapshot(
        values=values_of(spec, live),
        next=waiting,
        config=place(thread, ns, head.id),
        metadata=seen.metadata,  # pyright: ignore[reportArgumentType] - a TypedDict with more keys
        created_at=seen.at,
        parent_config=None if head.parent is None else place(thread, head.parent_ns or ns, head.parent),
        tasks=tuple(shown),
        interrupts=tuple(question for task in shown for question in task.interrupts),
    )


def _finished(loaded: Loaded, task: Task) -> bool:
    record = loaded.records.get(task.id)
    return record is not None and record.writes is not None


def _task(spec: GraphSpec, head: Head, seen: Seen, task: Task, latest: bool) -> PregelTask:
    record = seen.loaded.records.get(task.id)
    error: Any = None
    interrupts: tuple[Interrupt[Any], ...] = ()
    result: Any = None
    if record is not None:
        error, interrupts = record.error, record.interrupts
        if record.writes is not None:
            result = result_of(spec.state_keys, record.writes)
            error, interrupts = (None, ()) if latest else (error, interrupts)
        if latest:
            interrupts = tuple(asked for asked in interrupts if asked.id not in seen.loaded.answers)
    if not latest and result is None:
        result = seen.results.get((task.name, task.index))
        if result is None and task.name == START:
            value = head.values.get(START, MISSING)
            result = None if value is MISSING else result_of(spec.state_keys, task.node.writes(value))
    if isinstance(result, dict) and isinstance(
        spec.state_keys, str
    ):  # a state that is one value has no keys to show
        result = cast("dict[str, Any]", result).get(spec.state_keys)
    return PregelTask(task.id, task.name, task.path, error, interrupts, None, result)


def values_of(spec: GraphSpec, live: Live) -> Any:
    """The state keys that have a value."""
    keys = spec.state_keys
    if isinstance(keys, str):
        channel = live.channels[keys]
        return channel.get() if channel.is_available() else None
    return {
        name: live.channels[name].get()
        for name in keys
        if name in live.channels and live.channels[name].is_available()
    }


def history(
    spec: GraphSpec,
    saver: Saver,
    thread: str,
    ns: str,
    before: str | None,
    limit: int | None,
    wanted: Mapping[str, Any],
) -> Iterator[StateSnapshot]:
    """Snapshots, newest first; read by pages, no snapshot of the database is held between them."""
    left = limit
    steps: dict[str, CheckpointRow] | None = {} if before is None else None
    while left is None or left > 0:
        size = PAGE if left is None or wanted else min(PAGE, left)
        page = read_page(saver, thread, ns, before, size, steps)
        for seen in page:
            if all(seen.metadata.get(key, MISSING) == value for key, value in wanted.items()):
                yield snapshot_of(spec, seen, thread, ns, latest=False)
                if left is not None:
                    left -= 1
                    if left == 0:
                        return
        if len(page) < size:
            return
        head = page[-1].loaded.head
        before = None if head is None else head.id
