"""What is asked of many items or of a whole thread at once, by copies and pruning: few round trips where each costs time.

A backend that keeps nobody waiting need not know: then each is asked by itself.
Here: the questions, and asking them of any snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from perdure.storage.contract.items import ItemRow
from perdure.storage.contract.marks import Chained, Namespace, Revision
from perdure.storage.contract.snapshot import Snapshot
from perdure.storage.contract.threads import RunRow, SegmentRow, StagedRow

__all__ = [
    "ManyAnswers",
    "histories_of",
    "items_at_places",
    "runs_of",
    "segments_of",
    "staged_of",
    "times_of",
]

Place = tuple[Namespace, str]
_ALL = 1 << 30
_WHOLE = 1 << 32


@runtime_checkable
class ManyAnswers(Protocol):
    """A snapshot that answers for many at once."""

    def histories(self, places: Sequence[Place]) -> list[list[ItemRow]]:
        """All kept versions of each item, newest first, deletions included."""
        ...

    def items_at_places(self, places: Sequence[Place]) -> list[ItemRow | None]:
        """Each live item, or None."""
        ...

    def times_of(self, revisions: Sequence[Revision]) -> list[int]:
        """When each commit was made (microseconds); 0: there is none."""
        ...

    def staged_of(self, places: Sequence[Chained]) -> dict[Chained, list[StagedRow]]:
        """The staged memory of each of these checkpoints that has any, ordered by (task, index)."""
        ...

    def segments_of(self, thread: str) -> list[SegmentRow]:
        """All segments of all logs of the thread, by (log, start)."""
        ...

    def runs_of(self, thread: str, ids: Sequence[str]) -> list[RunRow]:
        """Those of these runs that are there, in the order of the ids."""
        ...


def histories_of(now: Snapshot, places: Sequence[Place]) -> list[list[ItemRow]]:
    """See `ManyAnswers.histories`."""
    if isinstance(now, ManyAnswers):
        return now.histories(places)
    return [now.history(namespace, key, _ALL).versions for namespace, key in places]


def items_at_places(now: Snapshot, places: Sequence[Place]) -> list[ItemRow | None]:
    """See `ManyAnswers.items_at_places`."""
    if isinstance(now, ManyAnswers):
        return now.items_at_places(places)
    return [now.item(namespace, key) for namespace, key in places]


def times_of(now: Snapshot, revisions: Sequence[Revision]) -> list[int]:
    """See `ManyAnswers.times_of`."""
    if isinstance(now, ManyAnswers):
        return now.times_of(revisions)
    return [now.time_of(revision) for revision in revisions]


def staged_of(now: Snapshot, places: Sequence[Chained]) -> dict[Chained, list[StagedRow]]:
    """See `ManyAnswers.staged_of`."""
    if isinstance(now, ManyAnswers):
        return now.staged_of(places)
    found = {place: now.staged(*place) for place in places}
    return {place: rows for place, rows in found.items() if rows}


def segments_of(now: Snapshot, thread: str) -> list[SegmentRow]:
    """See `ManyAnswers.segments_of`."""
    if isinstance(now, ManyAnswers):
        return now.segments_of(thread)
    return [row for log, _ in now.logs(thread) for row in now.segments(thread, log, _WHOLE)]


def runs_of(now: Snapshot, thread: str, ids: Sequence[str]) -> list[RunRow]:
    """See `ManyAnswers.runs_of`."""
    if isinstance(now, ManyAnswers):
        return now.runs_of(thread, ids)
    found = [now.run(thread, id) for id in ids]
    return [run for run in found if run is not None]
