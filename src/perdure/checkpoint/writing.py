"""Rows for a checkpoint that is put by hand, and for writes of a task.

Such a checkpoint may be anything: any versions, channels no graph has, any id, a parent that is not there. Its row
stands alone (`whole`), so nothing of the parent is needed to read it but the logs that both name. Values that changed are
written as changes where the parent is the chain's head: a list that grew costs what was appended. From any other parent
the logs belong to another branch, and new ones are begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from perdure import clock
from perdure.channels.base import MISSING
from perdure.checkpoint.base import WRITES_IDX_MAP, Checkpoint, CheckpointMetadata
from perdure.checkpoint.places import Place
from perdure.checkpoint.rows import columns_of, packed_extras, raw_extras
from perdure.storage import chains
from perdure.storage.chains import Head, Logs, Pieces, Ref, Stored, aad
from perdure.storage.contract import (
    CheckpointIs,
    CheckpointRow,
    Commit,
    HeadIs,
    Snapshot,
    WriteRow,
    commit_now,
)
from perdure.storage.deltas import Shadow
from perdure.storage.located import reading
from perdure.storage.sealing import sealed
from perdure.storage.segments import Writer

__all__ = ["Before", "look_before", "put_commit", "rebased", "writes_commit"]


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before a put: read inside a snapshot, used outside of it."""

    newest: str | None
    parent: Head | None  # with shadows of the channels that changed
    children: list[CheckpointRow]  # rows that rest on the one that is replaced, made to stand alone
    replaces: bool


def look_before(
    snapshot: Snapshot,
    pieces: Pieces,
    place: Place,
    checkpoint: Checkpoint,
    new_versions: Mapping[str, Any],
    *,
    alone: bool,
) -> Before:
    """What a put has to know. `alone`: new logs in any case, so that no concurrent put can be in the way."""
    thread, ns, parent = place
    id = str(checkpoint["id"])
    newest = snapshot.head(thread, ns)
    before = None if parent is None else chains.read_map(snapshot, thread, ns, parent)
    if before is not None:
        if alone or parent != newest or id <= before.id:
            chains.freeze(before)
        logs = Logs(snapshot, pieces, thread)
        versions = checkpoint.get("channel_versions") or {}
        for name, stored in before.stored.items():
            changed = name in new_versions or before.versions.get(name) != versions.get(name)
            if changed and name in versions and isinstance(stored.at, Ref):
                with reading(thread, ns, before.id, f"channel {name!r}"):
                    stored.shadow = Shadow(logs.value(stored.at))
    replaces = snapshot.checkpoint(thread, ns, id) is not None
    children = _children(snapshot, thread, ns, id) if replaces else []
    return Before(newest, before, children, replaces)


def put_commit(
    before: Before,
    pieces: Pieces,
    place: Place,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: Mapping[str, Any],
    *,
    alone: bool,
) -> Commit:
    """The commit for a checkpoint.

    Raises:
        EncodingError: a part of it cannot be saved; the message names its path.
    """
    thread, ns, parent = place
    now = clock.micros()
    columns = columns_of(checkpoint, metadata, now)
    writer = Writer(thread, pieces, clock.random_id)
    versions: dict[str, Any] = dict(checkpoint.get("channel_versions") or {})
    values: Mapping[str, Any] = checkpoint.get("channel_values") or {}
    codes: dict[str, Any] = {}
    for name, version in versions.items():
        stored = _stored(
            before.parent, writer, name, version, values.get(name, MISSING), new=name in new_versions
        )
        codes[name] = [version, chains.code_of(stored)]
    seen = {node: dict(known) for node, known in (checkpoint.get("versions_seen") or {}).items()}
    updated = checkpoint.get("updated_channels")
    state: list[Any] = [None if updated is None else list(updated), codes, seen, []]
    id = str(checkpoint["id"])
    if columns.extras:
        state.append(packed_extras(columns.extras, pieces, thread, ns, id))
    packed = columns.metadata
    if packed is not None:
        packed = sealed(pieces, packed, thread, "metadata", ns, id)
    row = CheckpointRow(
        thread, ns, id, None if parent is None else ns, parent, columns.step, columns.source, columns.at,
        None, True, chains.packed(state), packed,
    )  # fmt: skip
    heads = () if alone else (HeadIs(thread, ns, before.newest),)
    old = before.parent
    rests = () if old is None else (CheckpointIs(thread, ns, old.id, old.revision),)
    return commit_now(
        heads=heads,
        removals=writer.removals,
        checkpoints=[*before.children, row],
        segments=writer.segments,
        rests=rests,
    )


def _stored(
    parent: Head | None, writer: Writer, name: str, version: object, value: object, *, new: bool
) -> Stored:
    """Where the channel stands: where the parent has this very version, else written; without a value it is absent."""
    old = None if parent is None else parent.stored.get(name)
    same = parent is not None and parent.versions.get(name) == version
    if same and old is not None and old.at is not None and (not new or value is MISSING):
        return old
    _, stored = writer.channel(name, old, value)
    return stored


def _children(snapshot: Snapshot, thread: str, ns: str, id: str) -> list[CheckpointRow]:
    rows = snapshot.checkpoints(thread, ns, None, None)
    resting = [row for row in rows if row.parent == id and not row.whole]
    return [rebased(row, chains.fold(snapshot.lineage(thread, ns, row.id))) for row in resting]


def rebased(row: CheckpointRow, head: Head, *, results: bool = True) -> CheckpointRow:
    """The row standing alone: it says the same without its parent."""
    codes = {name: [version, chains.code_of(head.stored[name])] for name, version in head.versions.items()}
    state: list[Any] = [head.updated, codes, head.seen, head.results if results else [], *raw_extras(row)]
    return row._replace(whole=True, state=chains.packed(state))


def writes_commit(
    pieces: Pieces, place: Place, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
) -> Commit:
    """The commit for what a task wrote. See `WRITES_IDX_MAP` for which of two equal ones stands.

    Raises:
        EncodingError: a value cannot be saved; the message names its path.
    """
    thread, ns, checkpoint = place
    id = cast("str", checkpoint)
    rows: list[WriteRow] = []
    for number, (channel, value) in enumerate(writes):
        index = WRITES_IDX_MAP.get(channel, number)
        payload = pieces.encode(
            value, path=f"the write to {channel}", aad=aad(thread, "write", id, task_id, index)
        )
        rows.append(WriteRow(thread, ns, id, task_id, index, task_path, channel, payload))
    return commit_now(writes=rows)
