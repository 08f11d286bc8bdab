"""What a commit expects to find, and the error that says what was found instead: the same from every backend.

Here: values and their errors. Not here: how a backend compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from perdure.errors import Conflict, StaleThread, VersionConflict
from perdure.storage.contract.marks import Namespace, Revision

__all__ = [
    "CheckpointIs",
    "Forgettable",
    "HeadIs",
    "ItemIs",
    "SubtreeIs",
    "ThreadIs",
    "stale_checkpoint",
    "stale_thread",
    "unmet",
    "version_conflict",
]


class HeadIs(NamedTuple):
    """Expectation: the greatest checkpoint id of this chain is `checkpoint`; None: the chain has none.

    With `revision` it is also that very row: not one that was put in its place, or restored under its id, since.
    """

    thread: str
    ns: str
    checkpoint: str | None
    revision: Revision | None = None


class CheckpointIs(NamedTuple):
    """Expectation: this checkpoint stands, of this revision. For commits that rest on one that is not the head."""

    thread: str
    ns: str
    checkpoint: str
    revision: Revision | None = None  # None: any


class ThreadIs(NamedTuple):
    """Expectation: no checkpoint of the thread is of a later revision. For commits that remove what nobody rests on."""

    thread: str
    revision: Revision


class ItemIs(NamedTuple):
    """Expectation: the item's version before this commit; None: there is no item."""

    namespace: Namespace
    key: str
    version: int | None


class Forgettable(NamedTuple):
    """What a database has of a subtree of memory."""

    items: int = 0  # living
    history: int = 0  # versions, living ones included
    postings: int = 0
    vectors: int = 0  # items that have any
    staged: int = 0
    threads: tuple[str, ...] = ()  # that wrote one of these versions, or staged memory; in order


class SubtreeIs(NamedTuple):
    """Expectation: this is what there is of the subtree. For commits that forget it and say what they forgot."""

    prefix: Namespace
    holds: Forgettable


def stale_thread(expected: HeadIs, found: str | None) -> StaleThread:
    """The error for a head that moved: every backend says the same."""
    where = f"thread {expected.thread!r}" + (f", namespace {expected.ns!r}" if expected.ns else "")
    moved = (
        f"its head {found} was put anew, or the thread was restored"
        if found == expected.checkpoint
        else f"this run expected its head to be {expected.checkpoint}, now it is {found}. Somebody else runs on the"
        " thread, or a worker was replaced"
    )
    return StaleThread(
        f"{where} moved on: {moved}. Nothing was written. Load the state and run again.",
        thread=expected.thread,
        namespace=expected.ns,
        expected=expected.checkpoint,
        found=found,
    )


def unmet(expected: CheckpointIs | ThreadIs | SubtreeIs) -> Conflict:
    """The error for what a commit rests on and does not stand so: every backend says the same."""
    if isinstance(expected, SubtreeIs):
        return Conflict(
            f"memory below {expected.prefix!r} changed while it was being looked at. Nothing was written. Repeat."
        )
    return stale_checkpoint(expected)


def stale_checkpoint(expected: CheckpointIs | ThreadIs) -> StaleThread:
    """The error for a checkpoint that was removed or replaced, or a thread that got others."""
    if isinstance(expected, ThreadIs):
        return StaleThread(
            f"thread {expected.thread!r} moved on: a checkpoint was added meanwhile. Nothing was written. Repeat.",
            thread=expected.thread,
        )
    return StaleThread(
        f"thread {expected.thread!r}: checkpoint {expected.checkpoint}, which this rests on, was removed or replaced"
        " meanwhile. Nothing was written. Load the state and run again.",
        thread=expected.thread,
        namespace=expected.ns,
        expected=expected.checkpoint,
    )


def version_conflict(failed: Sequence[tuple[ItemIs, int | None]]) -> VersionConflict:
    """The error for items that have another version than expected: (expectation, version found), at least one."""
    first, found = failed[0]
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return VersionConflict(
        f"item {first.key!r} in {first.namespace!r}{more} moved on: expected version {first.version}, found {found}."
        " Nothing was written. Read it again and repeat.",
        namespace=first.namespace,
        key=first.key,
        expected=first.version,
        found=found,
        keys=[(want.namespace, want.key) for want, _ in failed],
    )
