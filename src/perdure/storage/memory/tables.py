"""The plain dicts of the memory backend, as every part of it sees them.

Here: `Tables`, and looking a thread or chain up. Not here: who changes them (`applying.py`), who reads them (`snapshot.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TypeVar

from perdure.storage.contract import (
    CheckpointRow,
    ItemRow,
    Namespace,
    Revision,
    RunRow,
    SegmentRow,
    StagedRow,
    WriteRow,
)
from perdure.storage.memory.texts import Texts
from perdure.storage.memory.vectors import Vectors

__all__ = ["Chain", "Tables", "Thread", "place"]

_R = TypeVar("_R", str, tuple[int, int], SegmentRow)


class Chain:
    """Checkpoints of one (thread, ns): rows by id, ids in order."""

    __slots__ = ("ids", "rows", "staged", "writes")

    def __init__(self) -> None:
        self.rows: dict[str, CheckpointRow] = {}
        self.ids: list[str] = []
        self.writes: dict[str, dict[tuple[str, int], WriteRow]] = {}
        self.staged: dict[str, dict[tuple[str, int], StagedRow]] = {}


class Thread:
    """All there is of one thread."""

    __slots__ = ("chains", "logs", "runs")

    def __init__(self) -> None:
        self.chains: dict[str, Chain] = {}
        self.logs: dict[int, list[SegmentRow]] = {}
        self.runs: dict[str, RunRow] = {}


class Tables:
    """What one memory database holds. Whoever uses it holds the backend's lock."""

    def __init__(self) -> None:
        self.seq = 0
        self.versions = 0  # the greatest one given
        self.commits: dict[bytes, Revision] = {}
        self.times: list[int] = []  # when each commit was made
        self.threads: dict[str, Thread] = {}
        self.items: dict[Namespace, dict[str, ItemRow]] = {}  # of each namespace by version
        self.history: dict[int, ItemRow] = {}  # by version, in order, live versions too
        self.ended: list[tuple[int, int]] = []  # (when it was replaced or deleted, version), in order
        # The deletions of items that are gone, while kept.
        self.deleted: dict[tuple[Namespace, str], ItemRow] = {}
        self.mortal: set[tuple[Namespace, str]] = set()  # live items that have an end
        self.texts = Texts()
        self.vectors = Vectors()
        # Of a version that replaced one: that one, kept or not, and its seq.
        self.before: dict[int, tuple[int, int]] = {}
        self.floor = 0  # seq of the last deletion that is kept no more

    def head(self, thread: str, ns: str) -> str | None:
        """The greatest checkpoint id of the chain."""
        known = self.threads.get(thread)
        chain = known.chains.get(ns) if known else None
        return chain.ids[-1] if chain and chain.ids else None

    def thread(self, thread: str) -> Thread:
        """The thread, made if there is none."""
        return self.threads.get(thread) or self.threads.setdefault(thread, Thread())

    def chain(self, thread: str, ns: str) -> Chain:
        """The chain, made if there is none."""
        chains = self.thread(thread).chains
        return chains.get(ns) or chains.setdefault(ns, Chain())

    def living(self, prefix: Namespace) -> int:
        """How many items of the subtree nobody has deleted, expired ones included."""
        return sum(len(rows) for space, rows in self.items.items() if space[: len(prefix)] == prefix)

    def all_staged(self) -> Iterator[dict[tuple[str, int], StagedRow]]:
        """The staged memory of every checkpoint."""
        for thread in self.threads.values():
            for chain in thread.chains.values():
                yield from chain.staged.values()


def place(rows: list[_R], row: _R) -> None:
    """The row in its place in the ordered list; fine if it is there."""
    at = bisect_left(rows, row)
    if at == len(rows) or rows[at] != row:
        rows.insert(at, row)
