"""A thread's rows under another name.

Everything is equal but the thread, the numbers of logs, and, where a cipher binds bytes to their place, the bytes. Pure
but for the snapshot it is given.
"""

from __future__ import annotations

from typing import Any, cast

import ormsgpack

from perdure import clock
from perdure.storage import chains
from perdure.storage.chains import Pieces, aad
from perdure.storage.contract import (
    CheckpointRow,
    Commit,
    HeadIs,
    RunRow,
    SegmentRow,
    Snapshot,
    commit_now,
)
from perdure.storage.deltas import FROM
from perdure.storage.located import reading

__all__ = ["copy_commit"]


def copy_commit(snapshot: Snapshot, pieces: Pieces, source: str, target: str) -> Commit | None:
    """The commit that makes `target` a copy, expecting that it has none of these chains; None: there is no source."""
    rows = snapshot.checkpoints(source, None, None, None)
    if not rows:
        return None
    logs = {log: clock.random_id() for log, _ in snapshot.logs(source)}
    copier = _Copier(pieces, source, target, logs)
    segments = [copier.segment(row) for log in logs for row in snapshot.segments(source, log, 1 << 32)]
    runs = [snapshot.run(source, id) for id in {row.run for row in rows if row.run is not None}]
    writes = [row for at in rows for row in snapshot.writes(source, at.ns, at.id)]
    staged = [row for at in rows for row in snapshot.staged(source, at.ns, at.id)]
    return commit_now(
        heads=[HeadIs(target, ns, None) for ns, _ in snapshot.heads(source)],
        runs=[copier.run(run) for run in runs if run is not None],
        checkpoints=[copier.checkpoint(row) for row in rows],
        segments=segments,
        writes=[
            row._replace(
                thread=target, payload=copier.moved(row.payload, "write", row.checkpoint, row.task, row.index)
            )
            for row in writes
        ],
        staged=[
            row._replace(
                thread=target,
                payload=copier.moved(row.payload, "staged", row.checkpoint, row.task, row.index),
            )
            for row in staged
        ],
    )


class _Copier:
    def __init__(self, pieces: Pieces, source: str, target: str, logs: dict[int, int]) -> None:
        self._pieces = pieces
        self._source = source
        self._target = target
        self._logs = logs
        self._bound = getattr(pieces, "cipher", None) is not None

    def moved(self, payload: bytes, *place: object) -> bytes:
        """The bytes for the same place in the other thread."""
        if not self._bound:
            return payload
        with reading(self._source, None, None, " ".join(map(str, place))):
            value = self._pieces.decode(payload, aad=aad(self._source, *place))
        return self._pieces.encode(value, aad=aad(self._target, *place))

    def run(self, row: RunRow) -> RunRow:
        """What the copied checkpoints share."""
        return row._replace(thread=self._target, metadata=self.moved(row.metadata, "run", row.id))

    def segment(self, row: SegmentRow) -> SegmentRow:
        """The piece in the copied log."""
        log = self._logs[row.log]
        payload = row.payload
        if row.kind == FROM or self._bound:
            with reading(self._source, None, None, f"log {row.log}"):
                value = self._pieces.decode(payload, aad=aad(self._source, row.log, row.start))
            if row.kind == FROM:
                value = [self._logs[value[0]], value[1]]
            payload = self._pieces.encode(value, aad=aad(self._target, log, row.start))
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
