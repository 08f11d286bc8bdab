"""A thread's rows under another name, or for another database.

Everything is equal but the thread, the numbers of logs, and, where a cipher binds bytes to their place, the bytes. Pure
but for the snapshot it is given. Not here: what else another database needs (`admin/copying`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import ormsgpack

from perdure import clock
from perdure.codec import Codec
from perdure.storage import chains
from perdure.storage.chains import Pieces, aad
from perdure.storage.contract import (
    CheckpointRow,
    Commit,
    HeadIs,
    RunRow,
    SegmentRow,
    Snapshot,
    StagedRow,
    WriteRow,
    commit_now,
    runs_of,
    segments_of,
    staged_of,
)
from perdure.storage.deltas import FROM
from perdure.storage.located import reading

__all__ = ["Copier", "ThreadRows", "copied", "copy_commit", "rows_of"]


class ThreadRows(NamedTuple):
    """All that is kept of one thread."""

    heads: list[tuple[str, str]]
    runs: list[RunRow]
    checkpoints: list[CheckpointRow]
    segments: list[SegmentRow]
    writes: list[WriteRow]
    staged: list[StagedRow]


def rows_of(snapshot: Snapshot, thread: str) -> ThreadRows | None:
    """The thread's rows; None: it has no checkpoint."""
    rows = snapshot.checkpoints(thread, None, None, None)
    if not rows:
        return None
    places = [(thread, row.ns, row.id) for row in rows]
    runs = runs_of(snapshot, thread, list({row.run for row in rows if row.run is not None}))
    written = snapshot.writes_of(places)
    staged = staged_of(snapshot, places)
    return ThreadRows(
        snapshot.heads(thread),
        runs,
        rows,
        segments_of(snapshot, thread),
        [write for at in written.values() for write in at],
        [row for place in places for row in staged.get(place, ())],
    )


def copied(rows: ThreadRows, copier: Copier) -> ThreadRows:
    """The rows for the copier's other place."""
    return ThreadRows(
        rows.heads,
        [copier.run(row) for row in rows.runs],
        [copier.checkpoint(row) for row in rows.checkpoints],
        [copier.segment(row) for row in rows.segments],
        [copier.write(row) for row in rows.writes],
        [copier.staged(row) for row in rows.staged],
    )


def copy_commit(snapshot: Snapshot, pieces: Pieces, source: str, target: str) -> Commit | None:
    """The commit that makes `target` a copy, expecting that it has none of these chains; None: there is no source."""
    rows = rows_of(snapshot, source)
    if rows is None:
        return None
    logs = {log: clock.random_id() for log, _ in snapshot.logs(source)}
    made = copied(rows, Copier(pieces, pieces, source, target, logs))
    return commit_now(
        heads=[HeadIs(target, ns, None) for ns, _ in made.heads],
        runs=made.runs,
        checkpoints=made.checkpoints,
        segments=made.segments,
        writes=made.writes,
        staged=made.staged,
    )


class Copier:
    """Rows of one thread for another place: under another name, with other numbers of logs, under another cipher.

    Args:
        source: what the rows were written with.
        target: what they are to be read with.
        thread: the name they have.
        other: the name they get.
        logs: the new number of each log; one that is missing keeps its own.
    """

    def __init__(
        self, source: Pieces, target: Pieces, thread: str, other: str, logs: Mapping[int, int] | None = None
    ) -> None:
        self._pieces = source
        self._others = target
        self._source = thread
        self._target = other
        self._logs = logs or {}
        self._bound = any(getattr(pieces, "cipher", None) is not None for pieces in (source, target))

    def moved(self, payload: bytes, *place: object) -> bytes:
        """The bytes for the same place in the other thread."""
        if not self._bound:
            return payload
        with reading(self._source, None, None, " ".join(map(str, place))):
            return self._resealed(payload, aad(self._source, *place), aad(self._target, *place))

    def _resealed(self, payload: bytes, here: bytes, there: bytes) -> bytes:
        source, target = self._pieces, self._others
        if isinstance(source, Codec) and isinstance(target, Codec):  # no type needs to be known
            return target.seal(source.unseal(payload, aad=here), aad=there)
        return target.encode(source.decode(payload, aad=here), aad=there)

    def write(self, row: WriteRow) -> WriteRow:
        """The pending write of the copied task."""
        payload = self.moved(row.payload, "write", row.checkpoint, row.task, row.index)
        return row._replace(thread=self._target, payload=payload)

    def staged(self, row: StagedRow) -> StagedRow:
        """The staged memory of the copied task."""
        payload = self.moved(row.payload, "staged", row.checkpoint, row.task, row.index)
        return row._replace(thread=self._target, payload=payload)

    def run(self, row: RunRow) -> RunRow:
        """What the copied checkpoints share."""
        return row._replace(thread=self._target, metadata=self.moved(row.metadata, "run", row.id))

    def segment(self, row: SegmentRow) -> SegmentRow:
        """The piece in the copied log."""
        log = self._logs.get(row.log, row.log)
        payload, here, there = row.payload, (row.log, row.start), (log, row.start)
        with reading(self._source, None, None, f"log {row.log}"):
            if row.kind == FROM and self._logs:
                other, length = self._pieces.decode(payload, aad=aad(self._source, *here))
                value = [self._logs.get(other, other), length]
                payload = self._others.encode(value, aad=aad(self._target, *there))
            elif self._bound:
                payload = self._resealed(payload, aad(self._source, *here), aad(self._target, *there))
        return row._replace(thread=self._target, log=log, payload=payload)

    def checkpoint(self, row: CheckpointRow) -> CheckpointRow:
        """The row, naming the copied logs."""
        chains.unpack(row)  # says clearly if it is damaged
        version, codes, seen, results, *more = ormsgpack.unpackb(row.state, option=ormsgpack.OPT_NON_STR_KEYS)
        if row.whole:
            codes = {name: [at, self._code(code, name)] for name, (at, code) in codes.items()}
        else:
            codes = {name: self._code(code, name) for name, code in codes.items()}
        results = [
            [node, index, [[c, self._part(code)] for c, code in written]] for node, index, written in results
        ]
        more = [self.moved(e, "extras", row.ns, row.id) if isinstance(e, bytes) else e for e in more]
        metadata = row.metadata
        if metadata is not None:
            metadata = self.moved(metadata, "metadata", row.ns, row.id)
        state = chains.packed([version, codes, seen, results, *more])
        return row._replace(thread=self._target, state=state, metadata=metadata, revision=None)

    def _code(self, code: Any, name: str | bytes) -> Any:
        match code:
            case bytes():
                channel = name if isinstance(name, str) else name.decode("utf-8", "surrogatepass")
                return self.moved(code, "inline", channel)
            case [log, *rest]:
                return [self._logs.get(log, log), *rest]
            case dict():
                slices = cast("dict[Any, Any]", code)
                return {key: self._part(each) for key, each in slices.items()}
            case _:
                return code

    def _part(self, code: Any) -> Any:
        match code:
            case bytes():
                return self.moved(code, "part", "")
            case [log, start, end]:
                return [self._logs.get(log, log), start, end]
            case _:
                return code
