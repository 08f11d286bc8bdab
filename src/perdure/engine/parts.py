"""The rows of one commit while they are gathered, of one chain or of several.

Here: `Parts`. Not here: what the rows are (`drafts.py`, `records.py`), how they are sent (`sending.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure import clock
from perdure.storage.contract import (
    CheckpointIs,
    CheckpointRow,
    Commit,
    HeadIs,
    ItemIs,
    PutItem,
    RunRow,
    SegmentRow,
    StagedRow,
    WriteRow,
)

__all__ = ["Parts"]


class Parts:
    """Rows of one commit."""

    __slots__ = ("at", "heads", "removals", "rests", "rows", "runs", "segments", "staged", "writes")

    def __init__(self, heads: list[HeadIs]) -> None:
        self.at = clock.micros()
        self.heads = heads
        self.rests: Sequence[CheckpointIs] = ()
        self.rows: list[CheckpointRow] = []
        self.runs: Sequence[RunRow] = ()
        self.segments: Sequence[SegmentRow] = ()
        self.writes: Sequence[WriteRow] = ()
        self.staged: Sequence[StagedRow] = ()
        self.removals: Sequence[Any] = ()

    def add(self, other: Parts) -> None:
        """The rows of a nested chain join these; so does the expectation of its head, which comes first in it.

        Those of the chains around it are ours, or came with their own rows. A task that ran twice gathered its chain
        twice: the first expectation is of what is stored.
        """
        own = other.heads[0]
        if not any((own.thread, own.ns) == (head.thread, head.ns) for head in self.heads):
            self.heads.append(own)
        self.rests = [*self.rests, *other.rests]
        self.rows += other.rows
        self.runs = [*self.runs, *other.runs]
        self.segments = [*self.segments, *other.segments]
        self.removals = [*self.removals, *other.removals]
        self.writes = [*self.writes, *other.writes]
        self.staged = [*self.staged, *other.staged]

    def commit(self, items: Sequence[PutItem] = (), versions: Sequence[ItemIs] = ()) -> Commit:
        """The commit, under an id of its own."""
        at = self.at
        return Commit(
            clock.commit_id(at), at, self.heads, versions, self.removals, self.runs, self.rows, self.segments,
            self.writes, self.staged, items, self.rests,
        )  # fmt: skip
