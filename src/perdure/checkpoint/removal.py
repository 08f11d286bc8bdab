"""Taking checkpoints out of a thread: what rests on them is made to stand alone, what nobody reaches any more goes, too.

Pure but for the snapshot it is given. Logs are cut where the last checkpoint that reaches into them ends, so a chain
whose newest checkpoints were removed goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from perdure.checkpoint.places import Place
from perdure.checkpoint.writing import rebased
from perdure.errors import StorageError
from perdure.storage.chains import Head, Pieces, Ref, aad, fold
from perdure.storage.contract import (
    CheckpointRow,
    Commit,
    HeadIs,
    Removal,
    RemoveCheckpoint,
    RemoveRun,
    RemoveSegments,
    RemoveThread,
    Snapshot,
    ThreadIs,
    commit_now,
)
from perdure.storage.deltas import FROM
from perdure.storage.located import reading

__all__ = ["Reach", "beyond", "removal_commit"]


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)


def removal_commit(
    snapshot: Snapshot, pieces: Pieces, thread: str, goes: Callable[[CheckpointRow], bool]
) -> Commit | None:
    """The commit that takes these checkpoints out of the thread, expecting its heads as they are; None: there are none."""
    rows = snapshot.checkpoints(thread, None, None, None)
    gone = [row for row in rows if goes(row)]
    if not gone:
        return None
    expected = [HeadIs(thread, ns, head) for ns, head in snapshot.heads(thread)]
    as_read = ThreadIs(thread, snapshot.revision())
    if len(gone) == len(rows):
        return _commit(expected, as_read, [RemoveThread(thread)], [])
    removals: list[Removal] = [RemoveCheckpoint(thread, row.ns, row.id) for row in gone]
    removed = {(row.ns, row.id) for row in gone}
    left = {row.run for row in rows if (row.ns, row.id) not in removed}
    removals += [
        RemoveRun(thread, run) for run in {row.run for row in gone} if run is not None and run not in left
    ]
    survivors = _Survivors(rows, gone)
    reach = Reach(snapshot, pieces, thread)
    for row, head in survivors.all():
        reach.follow(head, results=survivors.keeps_results(row))
    cuts, ends = reach.cuts()
    rewritten = survivors.rewritten(ends)
    return _commit(expected, as_read, [*removals, *cuts], rewritten)


def beyond(keep: int, before: datetime | None = None) -> Callable[[CheckpointRow], bool]:
    """Whether a row is none of the newest `keep` of its chain, nor made at `before` or later: asked once for each, newest first."""
    passed: Counter[tuple[str, str]] = Counter()
    cut = None if before is None else (before - _EPOCH) // _MICRO

    def goes(row: CheckpointRow) -> bool:
        passed[row.thread, row.ns] += 1
        return passed[row.thread, row.ns] > keep and (cut is None or row.at < cut)

    return goes


def _commit(
    heads: list[HeadIs], as_read: ThreadIs, removals: list[Removal], rows: list[CheckpointRow]
) -> Commit:
    return commit_now(heads=heads, removals=removals, checkpoints=rows, rests=(as_read,))


class _Survivors:
    """The checkpoints that stay, each with where its channels stand."""

    def __init__(self, rows: list[CheckpointRow], gone: list[CheckpointRow]) -> None:
        self._rows = {Place(row.thread, row.ns, row.id): row for row in rows}
        self._gone = {Place(row.thread, row.ns, row.id) for row in gone}
        stay = [row for place, row in self._rows.items() if place not in self._gone]
        self._stay = [(row, fold(self._lineage(row))) for row in stay]

    def all(self) -> list[tuple[CheckpointRow, Head]]:
        """Rows and heads, greatest id first."""
        return self._stay

    def keeps_results(self, row: CheckpointRow) -> bool:
        """What its tasks wrote is shown by its parent, so it is dropped with it where the row is written anew."""
        return (
            row.parent is None
            or Place(row.thread, row.ns, row.parent) not in self._gone
            or not self._rests(row)
        )

    def rewritten(self, ends: dict[int, int]) -> list[CheckpointRow]:
        """Rows that cannot stay as they are.

        A chain's new head may stand in the middle of a log whose rest another checkpoint reaches: it is marked, so that
        its successor begins a log of its own.
        """
        newest: dict[str, str] = {}
        for row, _ in self._stay:
            newest.setdefault(row.ns, row.id)
        found: list[CheckpointRow] = []
        for row, head in self._stay:
            changed = self._rests(row)
            if newest[row.ns] == row.id:
                for stored in head.stored.values():
                    at = stored.at
                    if isinstance(at, Ref) and not at.frozen and ends.get(at.log, at.length) != at.length:
                        at.frozen = changed = True
            if changed:
                found.append(rebased(row, head, results=self.keeps_results(row)))
        return found

    def _rests(self, row: CheckpointRow) -> bool:
        """Whether it can be read only with a checkpoint that goes."""
        return any(Place(older.thread, older.ns, older.id) in self._gone for older in self._lineage(row)[1:])

    def _lineage(self, row: CheckpointRow) -> list[CheckpointRow]:
        line = [row]
        while not line[-1].whole:
            parent = self._rows.get(Place(row.thread, row.ns, line[-1].parent))
            if parent is None:
                raise StorageError(
                    f"checkpoint {row.id} of thread {row.thread!r} rests on {line[-1].parent}, which is missing from the "
                    "database. Nothing was removed."
                )
            line.append(parent)
        return line


class Reach:
    """How far checkpoints reach into the logs of a thread, directly or through logs that go on from others."""

    def __init__(self, snapshot: Snapshot, pieces: Pieces, thread: str) -> None:
        self._snapshot = snapshot
        self._pieces = pieces
        self._thread = thread
        self._ends: dict[int, int] = {}

    def follow(self, head: Head, *, results: bool) -> None:
        """Takes what this checkpoint names."""
        for stored in head.stored.values():
            if isinstance(stored.at, Ref):
                self._reached(stored.at.log, stored.at.length)
            elif isinstance(stored.at, dict):
                for code in stored.at.values():
                    self._slice(code)
        if results:
            for _, _, written in head.results:
                for _, code in written:
                    self._slice(code)

    def cuts(self) -> tuple[list[Removal], dict[int, int]]:
        """What to remove of each log, and where the logs end then."""
        removals: list[Removal] = []
        ends: dict[int, int] = {}
        for log, end in self._snapshot.logs(self._thread):
            reached = self._ends.get(log, 0)
            if reached < end:
                removals.append(RemoveSegments(self._thread, log, reached))
                left = self._snapshot.segments(self._thread, log, reached) if reached else []
                end = left[-1].start + left[-1].count if left else 0
            ends[log] = end
        return removals, ends

    def _slice(self, code: Any) -> None:
        if isinstance(code, list):
            log, start, end = cast("list[int]", code)
            self._reached(log, start if end < 0 else end)

    def _reached(self, log: int, length: int) -> None:
        known = self._ends.get(log)
        self._ends[log] = max(length, known or 0)
        if known is None:
            first = self._snapshot.segments(self._thread, log, 1)
            if first and first[0].kind == FROM:
                with reading(self._thread, None, None, f"log {log}"):
                    other, up_to = self._pieces.decode(first[0].payload, aad=aad(self._thread, log, 0))
                self._reached(other, up_to)
