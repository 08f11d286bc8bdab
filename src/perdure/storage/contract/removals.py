"""What a commit takes away: of threads, of the past of items, of whole subtrees of memory.

Here: values. Not here: deletions of items, which are versions (`items.py`).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from perdure.storage.contract.marks import Namespace

__all__ = [
    "ForgetItems",
    "MendIndexes",
    "MendVectors",
    "PruneHistory",
    "PruneVersions",
    "Removal",
    "RemoveCheckpoint",
    "RemoveResult",
    "RemoveRun",
    "RemoveSegments",
    "RemoveStaged",
    "RemoveThread",
    "RemoveWrites",
    "Scrubbed",
    "UnfileItems",
]


class RemoveThread(NamedTuple):
    """Everything of the thread goes: chains, runs, segments, writes, staged memory. Not items it wrote."""

    thread: str


class RemoveCheckpoint(NamedTuple):
    """The checkpoint goes, with its pending writes and staged memory; its segments stay (`RemoveSegments`)."""

    thread: str
    ns: str
    id: str


class RemoveRun(NamedTuple):
    """What is kept of a run for its checkpoints goes."""

    thread: str
    id: str


class RemoveSegments(NamedTuple):
    """Segments of `log` with `start >= start` go."""

    thread: str
    log: int
    start: int = 0


class RemoveStaged(NamedTuple):
    """The staged memory of a checkpoint's tasks goes; the commit that says so carries it as `items`, or drops it."""

    thread: str
    ns: str
    checkpoint: str


class RemoveWrites(NamedTuple):
    """The ordinary pending writes (`index >= 0`) of a checkpoint go: its step is done and holds their values."""

    thread: str
    ns: str
    checkpoint: str


class RemoveResult(NamedTuple):
    """What one task wrote (`index >= 0`) and staged goes: it counts as unfinished. Its answers and questions stay."""

    thread: str
    ns: str
    checkpoint: str
    task: str


class PruneHistory(NamedTuple):
    """Versions replaced or deleted before `before` (microseconds) go, at most `limit`, first ended first; live ones stay."""

    before: int
    limit: int = 1000


class PruneVersions(NamedTuple):
    """Of each of these items all but the newest `keep` versions go, at most `limit`, oldest first; live ones stay.

    A deletion is a version, except that nothing is kept of an item that is gone where `keep` is 1.
    """

    items: tuple[tuple[Namespace, str], ...]
    keep: int  # at least 1
    limit: int = 1000  # of each item


class ForgetItems(NamedTuple):
    """Items of the subtree go with all their versions, how they are filed, and staged memory of the subtree.

    Of commits older than this one they are gone without a trace: `Snapshot.floor` rises to it, if there was any. No
    version is used again.
    """

    prefix: Namespace


class UnfileItems(NamedTuple):
    """What words find goes, whatever it holds: all items that are to be found count as filed nowhere. Items stay."""


class MendVectors(NamedTuple):
    """Vectors that are nobody's go, items whose vectors are lost have none from now on, and all is counted anew."""


class MendIndexes(NamedTuple):
    """What the database keeps to find rows of memory fast, and when items end, is made anew from the rows."""


Removal: TypeAlias = (
    RemoveThread
    | RemoveCheckpoint
    | RemoveRun
    | RemoveSegments
    | RemoveStaged
    | RemoveWrites
    | RemoveResult
    | PruneHistory
    | PruneVersions
    | ForgetItems
    | UnfileItems
    | MendVectors
    | MendIndexes
)


class Scrubbed(NamedTuple):
    """What `Backend.scrub` came to.

    Attributes:
        done: what was deleted is gone as far as this backend can see to it. False: `left` says first why it is not.
        left: where bytes of it may be that are out of the backend's reach, each with what the operator does about it.
    """

    done: bool = True
    left: tuple[str, ...] = ()
