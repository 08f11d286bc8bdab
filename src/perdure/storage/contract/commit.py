"""Writes are data: one frozen value with all that is expected and all that changes, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from perdure import clock
from perdure.storage.contract.expectations import CheckpointIs, HeadIs, ItemIs, SubtreeIs, ThreadIs
from perdure.storage.contract.items import FileItem, PutItem, RefreshItem, SweepItem
from perdure.storage.contract.marks import Revision
from perdure.storage.contract.removals import Removal
from perdure.storage.contract.threads import CheckpointRow, RunRow, SegmentRow, StagedRow, WriteRow

__all__ = ["Commit", "Outcome", "chunks", "commit_now"]


class Commit(NamedTuple):
    """One all-or-nothing unit.

    Order of effects: `removals`, then rows, then `items` in their order, then `filings`, then `lives`. Where an item's time
    is over at `at` there is no such item, for `versions` and for `items`: a put there sweeps it first. A checkpoint row whose (thread, ns, id) exists
    replaces it, and one that comes with a `revision` keeps it: it says the same as before; a segment that exists is a StorageError (two writers of one log: a bug, nothing is written).
    """

    id: bytes  # 16 bytes, made by the caller, ordered by time; how an unknown outcome is asked for
    at: int  # microseconds since 1970, UTC
    heads: Sequence[HeadIs] = ()
    versions: Sequence[ItemIs] = ()
    removals: Sequence[Removal] = ()
    runs: Sequence[RunRow] = ()
    checkpoints: Sequence[CheckpointRow] = ()
    segments: Sequence[SegmentRow] = ()
    writes: Sequence[WriteRow] = ()
    staged: Sequence[StagedRow] = ()
    items: Sequence[PutItem] = ()
    rests: Sequence[CheckpointIs | ThreadIs | SubtreeIs] = ()  # expectations, too
    filings: Sequence[FileItem] = ()
    lives: Sequence[RefreshItem | SweepItem] = ()


def commit_now(**changes: Any) -> Commit:
    """A commit of these changes and expectations, at the present time, under an id of its own."""
    now = clock.micros()
    return Commit(clock.commit_id(now), now, **changes)


Outcome: TypeAlias = "Revision | BaseException"


def chunks(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The rows in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
