"""Whether a commit may be made: its expectations, and what no backend takes.

Here: the checks, before the commit leaves any trace. Not here: what it changes (`applying.py`).
"""

from __future__ import annotations

from bisect import bisect_left

from perdure.errors import StorageError
from perdure.storage.contract import (
    CheckpointIs,
    Commit,
    Namespace,
    RemoveSegments,
    RemoveThread,
    SegmentRow,
    SubtreeIs,
    ThreadIs,
    check_items,
    stale_thread,
    unmet,
    version_conflict,
)
from perdure.storage.lifetimes import is_over
from perdure.storage.memory.removing import REMOVALS, forgettable
from perdure.storage.memory.tables import Tables

__all__ = ["expect"]


def expect(tables: Tables, commit: Commit) -> None:
    """Passes a commit that may be made.

    Raises:
        StaleThread: a head is another, or what the commit rests on is gone.
        Conflict: a subtree does not hold what it should.
        VersionConflict: items have other versions; it names each.
        StorageError: a segment exists, a removal is not known, or there are too many items.
    """
    for head in commit.heads:
        thread, ns, checkpoint, revision = head
        found = tables.head(thread, ns)
        if found != checkpoint:
            raise stale_thread(head, found)
        if revision is not None and tables.threads[thread].chains[ns].rows[str(found)].revision != revision:
            raise stale_thread(head, found)
    for want in commit.rests:
        if not _rests(tables, want):
            raise unmet(want)
    if commit.versions:
        versions = [(want, _version(tables, want.namespace, want.key, commit.at)) for want in commit.versions]
        failed = [(want, version) for want, version in versions if version != want.version]
        if failed:
            raise version_conflict(failed)
    for removal in commit.removals:
        if not isinstance(removal, REMOVALS):  # pyright: ignore[reportUnnecessaryIsInstance] - kinds to come
            raise StorageError(f"this backend does not know the removal {removal!r}; nothing was written.")
    if commit.segments:
        _check_segments(tables, commit)
    check_items(commit.items)


def _rests(tables: Tables, want: CheckpointIs | ThreadIs | SubtreeIs) -> bool:
    if isinstance(want, SubtreeIs):
        return forgettable(tables, want.prefix) == want.holds
    known = tables.threads.get(want.thread)
    chains = known.chains if known else {}
    if isinstance(want, ThreadIs):
        rows = [row for chain in chains.values() for row in chain.rows.values()]
        return all(row.revision is not None and row.revision <= want.revision for row in rows)
    row = chains[want.ns].rows.get(want.checkpoint) if want.ns in chains else None
    return row is not None and want.revision in (None, row.revision)


def _version(tables: Tables, namespace: Namespace, key: str, at: int) -> int | None:
    row = tables.items.get(namespace, {}).get(key)
    return None if row is None or is_over(row.expires, at) else row.version


def _check_segments(tables: Tables, commit: Commit) -> None:
    seen: set[tuple[str, int, int]] = set()
    for row in commit.segments:
        log = tables.threads[row.thread].logs.get(row.log, []) if row.thread in tables.threads else []
        at = bisect_left(log, row.start, key=lambda have: have.start)
        taken = at < len(log) and log[at].start == row.start and not _replaced(row, commit)
        if taken or row[:3] in seen:
            raise StorageError(
                f"segment {row.log}/{row.start} of thread {row.thread!r} exists; nothing was written."
            )
        seen.add((row.thread, row.log, row.start))


def _replaced(row: SegmentRow, commit: Commit) -> bool:
    """Whether the commit itself removes the segment that `row` replaces (sealing, pruning)."""
    for removal in commit.removals:
        match removal:
            case RemoveSegments(row.thread, row.log, start) if start <= row.start:
                return True
            case RemoveThread(row.thread):
                return True
            case _:
                continue
    return False
