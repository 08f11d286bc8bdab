"""Checkpoints as the interface gives them, from rows of one snapshot.

Here: one checkpoint with what belongs to it, pages of them. Not here: how a row's channels are found
(`storage/chains.py`), writing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from perdure.checkpoint.asking import Query
from perdure.checkpoint.base import LATEST_VERSION, Checkpoint, CheckpointTuple, PendingWrite
from perdure.checkpoint.places import Place, Selection, config_of
from perdure.checkpoint.rows import extras_of, matches, metadata_of, time_of, unpacked_run
from perdure.constants import NO_WRITES
from perdure.storage.chains import Head, Logs, Pieces, Stored, aad, fold, read_values
from perdure.storage.contract import CheckpointRow, Snapshot, WriteRow, foretelling
from perdure.storage.ids import path_text, task_id
from perdure.storage.located import reading

__all__ = ["Page", "Reader", "read_page", "read_tuple"]

_LARGEST: Final = 128  # no page has more rows
_IN_NEXT: Final = (
    2  # a result's code: the channel's value in the checkpoint after it (`segments.Writer.result`)
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some checkpoints, and the query for those after them; None: there are none."""

    tuples: list[CheckpointTuple]
    rest: Query | None


def read_tuple(snapshot: Snapshot, pieces: Pieces, place: Place) -> CheckpointTuple | None:
    """The checkpoint, or the newest of the chain; None."""
    thread, ns, id = place
    newest = id is None
    if id is None:
        id = snapshot.head(thread, ns)
        if id is None:
            return None
    ahead = foretelling(snapshot)
    if ahead is not None:
        ahead.foretell_checkpoint(thread, ns, id, ("writes",) if newest else ("writes", "following"))
    rows = snapshot.lineage(thread, ns, id)
    if not rows:
        return None
    reader = Reader(snapshot, pieces)
    reader.know(rows)
    if newest:
        reader.know_newest(rows[0])
    return reader.tuple(rows[0])


def read_page(snapshot: Snapshot, pieces: Pieces, query: Query) -> Page:
    """The next checkpoints that the query wants, decoded."""
    where = query.where
    if where.checkpoint is not None:
        rows = _exactly(snapshot, where)
        rest = None
        if query.before is not None:
            rows = [row for row in rows if row.id < query.before]
    else:
        rows = snapshot.checkpoints(where.thread, where.ns, query.before, query.size)
        rest = query
        if len(rows) < query.size:
            rest = None
        elif where.thread is None or where.ns is None:
            # Rows of several chains may share an id, and the next page begins below one: leave the last to it.
            whole = [row for row in rows if row.id != rows[-1].id]
            # If a whole page shares one id: all that have it, and on from there.
            rows = whole or _all_of(snapshot, query, rows[-1].id)
    reader = Reader(snapshot, pieces)
    if where.checkpoint is None:
        reader.know_page(rows, from_newest=query.before is None)
    wanted = [row for row in rows if matches(reader.metadata(row), query.filter)]
    if query.limit is not None:
        wanted = wanted[: query.limit]
    reader.know_writes(wanted)
    tuples = [reader.tuple(row) for row in wanted]
    if rest is None or (query.limit is not None and len(wanted) >= query.limit):
        return Page(tuples, None)
    left = None if query.limit is None else query.limit - len(wanted)
    return Page(tuples, Query(where, query.filter, rows[-1].id, left, min(_LARGEST, query.size * 2)))


def _exactly(snapshot: Snapshot, where: Selection) -> list[CheckpointRow]:
    """The checkpoints with this id, in whatever chains of the selection."""
    assert where.checkpoint is not None  # noqa: S101 - the caller looked
    if where.thread is None:
        threads: Sequence[str] = snapshot.threads(None, 1 << 62)
    else:
        threads = (where.thread,)
    found: list[CheckpointRow] = []
    for thread in threads:
        spaces = [ns for ns, _ in snapshot.heads(thread)] if where.ns is None else [where.ns]
        for ns in spaces:
            row = snapshot.checkpoint(thread, ns, where.checkpoint)
            if row is not None:
                found.append(row)
    return found


def _all_of(snapshot: Snapshot, query: Query, id: str) -> list[CheckpointRow]:
    where = query.where._replace(checkpoint=id)
    return sorted(_exactly(snapshot, where), key=lambda row: (row.thread, row.ns))


class Reader:
    """Decodes rows of one snapshot; what several of them share is fetched once."""

    def __init__(self, snapshot: Snapshot, pieces: Pieces) -> None:
        """Over an open snapshot, for as long as that is open."""
        self._snapshot = snapshot
        self._pieces = pieces
        self._rows: dict[Place, CheckpointRow] = {}
        self._next: dict[Place, CheckpointRow | None] = {}
        self._writes: dict[Place, list[WriteRow]] = {}
        self._runs: dict[tuple[str, str], dict[str, Any]] = {}
        self._logs: dict[str, Logs] = {}

    def know(self, rows: Sequence[CheckpointRow]) -> None:
        """These need not be fetched again."""
        for row in rows:
            self._rows[Place(row.thread, row.ns, row.id)] = row

    def know_newest(self, row: CheckpointRow) -> None:
        """Nothing follows this one in its chain."""
        self._next[Place(row.thread, row.ns, row.id)] = None

    def know_page(self, rows: Sequence[CheckpointRow], *, from_newest: bool) -> None:
        """These are all there is of their chains between the first and the last of each, newest first.

        `from_newest`: the first of each chain is its newest.
        """
        self.know(rows)
        newer: dict[Place, CheckpointRow] = {}
        for row in rows:
            chain = Place(row.thread, row.ns)
            if chain in newer:
                self._next[Place(row.thread, row.ns, row.id)] = newer[chain]
            elif from_newest:
                self.know_newest(row)
            newer[chain] = row

    def know_writes(self, rows: Sequence[CheckpointRow]) -> None:
        """Fetches the pending writes of all of these at once."""
        ahead = foretelling(self._snapshot) if rows else None
        if ahead is not None:
            first, last = rows[0], rows[-1]
            if not last.whole and Place(last.thread, last.ns, last.parent) not in self._rows:
                ahead.foretell_checkpoint(last.thread, last.ns, last.id, ("lineage",))
            if Place(first.thread, first.ns, first.id) not in self._next:
                ahead.foretell_checkpoint(first.thread, first.ns, first.id, ("following",))
        places = [(row.thread, row.ns, row.id) for row in rows]
        found = self._snapshot.writes_of(places)
        self._writes.update((Place(*place), found.get(place, [])) for place in places)

    def heads(self, thread: str) -> dict[str, str]:
        """The newest checkpoint of each chain, by namespace."""
        return dict(self._snapshot.heads(thread))

    def metadata(self, row: CheckpointRow) -> Mapping[str, Any]:
        """The row's metadata with what its run shares."""
        run: dict[str, Any] = {}
        if row.run is not None:
            key = (row.thread, row.run)
            if key not in self._runs:
                stored = self._snapshot.run(*key)
                self._runs[key] = {} if stored is None else unpacked_run(stored, self._pieces)
            run = self._runs[key]
        return metadata_of(row, run, self._pieces)

    def head(self, row: CheckpointRow) -> Head:
        """Versions and places of the row's channels, without their values."""
        rows = [row]
        while not rows[-1].whole:
            parent = rows[-1].parent
            known = self._rows.get(Place(row.thread, row.ns, parent))
            if known is None:
                # One question for all the ancestors that are missing.
                older = self._snapshot.lineage(row.thread, row.ns, rows[-1].id)
                self.know(older)
                rows += older[1:]
                break
            rows.append(known)
        return fold(rows)

    def tuple(self, row: CheckpointRow) -> CheckpointTuple:
        """The checkpoint with everything that belongs to it."""
        head = self.head(row)
        read_values(self._snapshot, self._pieces, head, logs=self._logs_of(row.thread))
        extras = extras_of(row, self._pieces)
        checkpoint: dict[str, Any] = {
            "v": extras.get("v", LATEST_VERSION),
            "ts": extras.get("ts", time_of(row.at)),
            "id": row.id,
            "channel_values": {name: value for name, value in head.values.items() if name in head.versions},
            "channel_versions": head.versions,
            "versions_seen": head.seen,
            "updated_channels": head.updated,
            **extras.get("more", {}),
        }
        parent = None
        if row.parent is not None:
            parent = config_of(row.thread, row.ns if row.parent_ns is None else row.parent_ns, row.parent)
        return CheckpointTuple(
            config_of(row.thread, row.ns, row.id),
            cast("Checkpoint", checkpoint),
            cast("Any", self.metadata(row)),
            parent,
            self._pending(row),
        )

    def _logs_of(self, thread: str) -> Logs:
        logs = self._logs.get(thread)
        if logs is None:
            logs = self._logs[thread] = Logs(self._snapshot, self._pieces, thread)
        return logs

    def _pending(self, row: CheckpointRow) -> list[PendingWrite]:
        """Writes of the step after the checkpoint: recorded ones, or, once it is done, those that its checkpoint keeps."""
        found: list[tuple[str, str, int, str, Any]] = []
        known = self._writes.get(Place(row.thread, row.ns, row.id))
        for write in self._snapshot.writes(row.thread, row.ns, row.id) if known is None else known:
            place = aad(write.thread, "write", write.checkpoint, write.task, write.index)
            with reading(
                row.thread, row.ns, row.id, f"channel {write.channel!r} as task {write.task} wrote it"
            ):
                value = self._pieces.decode(write.payload, aad=place)
            found.append((write.path, write.task, write.index, write.channel, value))
        after = self._following(row)
        if (
            after is not None
            and after.parent == row.id
            and after.parent_ns == row.ns
            and after.source == "loop"
        ):
            recorded = {(task, index) for _, task, index, _, _ in found}
            found += [each for each in self._results(row, after) if each[1:3] not in recorded]
        found.sort(key=lambda each: each[:3])
        return [(task, channel, value) for _, task, _, channel, value in found]

    def _following(self, row: CheckpointRow) -> CheckpointRow | None:
        place = Place(row.thread, row.ns, row.id)
        if place not in self._next:
            self._next[place] = self._snapshot.following(*place)  # pyright: ignore[reportArgumentType] - with an id
        return self._next[place]

    def _results(self, row: CheckpointRow, after: CheckpointRow) -> list[tuple[str, str, int, str, Any]]:
        self.know([after])
        head = self.head(after)
        logs = self._logs_of(row.thread)
        found: list[tuple[str, str, int, str, Any]] = []
        for name, index, written in head.results:
            task = task_id(row.id, row.ns, name, index)
            path = path_text(index, name)
            if not written:
                found.append((path, task, 0, NO_WRITES, None))
            for number, (channel, code) in enumerate(written):
                in_next = type(code) is int and code == _IN_NEXT
                with reading(row.thread, row.ns, after.id, f"channel {channel!r} as task {task} wrote it"):
                    value = self._value(head, logs, channel) if in_next else logs.part(code)
                found.append((path, task, number, channel, value))
        return found

    def _value(self, head: Head, logs: Logs, channel: str) -> Any:
        alone = replace(head, stored={channel: head.stored.get(channel, Stored(None))}, values={})
        read_values(self._snapshot, self._pieces, alone, logs=logs)
        return alone.values.get(channel)
