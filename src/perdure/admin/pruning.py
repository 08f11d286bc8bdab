"""What is old goes: checkpoints of threads, versions of items that were replaced or deleted. In small commits.

Here: what is to go, counted before anything goes. Not here: taking a checkpoint out of a thread (`checkpoint/removal.py`),
what is pruned without being asked (`keep_history=`, `storage/upkeep.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from perdure import clock
from perdure.admin.insides import threads_of
from perdure.checkpoint.removal import beyond
from perdure.database import Database
from perdure.storage import outcome
from perdure.storage.contract import (
    ItemRow,
    Namespace,
    PruneHistory,
    PruneVersions,
    Revision,
    chunks,
    commit_now,
    histories_of,
)

__all__ = ["Pruned", "prune"]

BATCH: Final = 1000  # versions that one commit takes away
ITEMS: Final = 100  # whose versions one commit counts
_ALL: Final = 1 << 30
_PAGE: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Place: TypeAlias = tuple[Namespace, str]
Progress: TypeAlias = Callable[[str, int], object]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or with `dry_run` what would go.

    Attributes:
        threads: that lost checkpoints.
        checkpoints: of them.
        versions: of items.
    """

    threads: int
    checkpoints: int
    versions: int


def prune(
    db: Database,
    *,
    older_than: timedelta | None = None,
    keep: int | None = None,
    keep_versions: int | None = None,
    threads: bool = True,
    memory: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Pruned:
    """How much went. Newest checkpoints and living items stay, whatever their age; others go on working meanwhile.

    Views of the past that need what went raise `Compacted`. Each thread is one commit, as is each thousand of versions; stopped,
    it goes on when it is called again. What is freed inside a file is used again; `db.vacuum()` gives it back.

    Args:
        db: opened with its key, if it has one.
        older_than: checkpoints that were made, and versions that were replaced or deleted, so long ago or longer.
        keep: so many checkpoints of each namespace of a thread stay, newest first; by default 1. Without `older_than` all
            others go.
        keep_versions: so many versions of each item stay, newest first, whatever their age; `older_than` then says nothing of
            memory.
        threads: whether threads are pruned.
        memory: whether versions are.
        dry_run: nothing goes.
        progress: called with "threads" and how many were looked at, or "versions" and how many went.

    Raises:
        ValueError: nothing is asked for, or a number that cannot be right.
        StaleThread: a thread moved on faster than it could be pruned. Others may be pruned.
    """
    if older_than is None and keep is None and keep_versions is None:
        raise ValueError("say what goes: older_than=, keep= or keep_versions=. Nothing was done.")
    if (keep is not None and keep < 1) or (keep_versions is not None and keep_versions < 1):
        raise ValueError("keep= and keep_versions= are 1 or more. Nothing was done.")
    if older_than is not None and older_than < timedelta(0):
        raise ValueError(f"older_than={older_than!r} is below zero. Nothing was done.")
    before = None if older_than is None else _EPOCH + max(_now() - older_than, timedelta(0))
    tell: Progress = progress or (lambda what, done: None)
    touched = checkpoints = versions = 0
    if threads and (older_than is not None or keep is not None):
        touched, checkpoints = _threads(db, keep or 1, before, tell, dry_run=dry_run)
    if memory and keep_versions is not None:
        versions = _by_number(db, keep_versions, tell, dry_run=dry_run)
    elif memory and before is not None:
        versions = _by_age(db, before, tell, dry_run=dry_run)
    return Pruned(touched, checkpoints, versions)


def _now() -> timedelta:
    return timedelta(microseconds=clock.micros())


def _threads(
    db: Database, keep: int, before: datetime | None, tell: Progress, *, dry_run: bool
) -> tuple[int, int]:
    touched = gone = 0
    for number, thread in enumerate(threads_of(db), 1):
        goes = beyond(keep, before)
        with db.backend.read() as now:
            found = sum(map(goes, now.checkpoints(thread, None, None, None)))
        if found:
            touched, gone = touched + 1, gone + found
            if not dry_run:
                db.checkpointer.prune([thread], keep=keep, before=before)
        tell("threads", number)
    return touched, gone


def _histories(db: Database) -> Iterator[tuple[Place, list[ItemRow]]]:
    """Every item with its kept versions, newest first."""
    with db.backend.read() as now:
        places = now.touched((), Revision(now.revision().epoch, 0), None)
    for some in chunks(places, _PAGE):
        with db.backend.read() as now:
            found = histories_of(now, some)
        yield from zip(some, found, strict=True)


def _by_age(db: Database, before: datetime, tell: Progress, *, dry_run: bool) -> int:
    cut = (before - _EPOCH) // timedelta(microseconds=1)
    found = sum(_ended(versions, cut) for _, versions in _histories(db))
    if not dry_run:
        for done in range(0, found, BATCH):
            outcome.commit(db.backend, commit_now(removals=[PruneHistory(cut, BATCH)]))
            tell("versions", min(found, done + BATCH))
    return found


def _ended(versions: list[ItemRow], cut: int) -> int:
    """How many of an item's versions ended before that time: when they were replaced; a deletion, when it happened."""
    found = 0
    newer: ItemRow | None = None
    for row in versions:
        ended = row.updated_at if row.value is None else None if newer is None else newer.updated_at
        found += ended is not None and ended < cut
        newer = row
    return found


def _by_number(db: Database, keep: int, tell: Progress, *, dry_run: bool) -> int:
    found = 0
    waiting: list[Place] = []
    for where, versions in _histories(db):
        gone = keep == 1 and versions and versions[0].value is None  # then nothing of it stays
        goes = len(versions) if gone else max(0, len(versions) - keep)
        found += goes
        if goes:
            waiting.append(where)
    if not dry_run:
        for some in chunks(waiting, ITEMS):
            outcome.commit(db.backend, commit_now(removals=[PruneVersions(tuple(some), keep, _ALL)]))
            tell("versions", found)
    return found
