"""Forgetting: a subtree of memory is erased, all its history with it, and a receipt says what went.

Here: what is asked, the receipt, the commit and its repetition. Not here: which rows (the backends), arguments
(`item_forget.py`).
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from perdure.errors import Busy, Conflict
from perdure.storage import outcome
from perdure.storage.contract import (
    Backend,
    ForgetItems,
    Forgettable,
    Namespace,
    Removal,
    RemoveThread,
    Scrubbed,
    SubtreeIs,
    commit_now,
)

__all__ = ["Forgetting", "Forgotten", "forget"]

TRIES: Final = 1000
_UNSCRUBBED: Final = Scrubbed(done=False)
_jitter = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What `store.forget` did.

    Attributes:
        prefix: the subtree that was forgotten.
        revision: of the one commit that deleted it all; None: there was nothing to delete, or `dry_run` was asked for.
        counts: rows by table: `items` (living), `history` (versions, living ones included), `postings` (terms by which
            items were found), `vectors` (items that had any), `staged` (recorded memory of unfinished steps).
        threads: those whose records name the prefix: they wrote a version that was still kept, or had staged memory. What
            a program copied into the state of a thread is there still, unless it was deleted with `threads=`.
        deleted_threads: those that were deleted with it.
        scrubbed: whether nothing of it is left in the database as far as Perdure can see to it: on SQLite in no file, on Postgres
            in no row, index entry or long value that could be reached.
        left: what the operator does about bytes of it that are out of Perdure's reach, a sentence each; told when it was
            scrubbed. Empty on SQLite, where nothing is left in the database's own files.
    """

    prefix: Namespace
    revision: str | None
    counts: dict[str, int] = field(hash=False)
    threads: tuple[str, ...]
    deleted_threads: tuple[str, ...]
    scrubbed: bool
    left: tuple[str, ...] = field(default=(), compare=False)


class Forgetting(NamedTuple):
    """What is to be forgotten, and how."""

    prefix: Namespace
    threads: tuple[str, ...] | Literal[True]  # to be deleted as well; True: those that name the prefix
    scrub: bool
    wait_seconds: float
    dry_run: bool


def forget(backend: Backend, asked: Forgetting) -> Forgotten:
    """What was done.

    Raises:
        Busy: it is deleted, but a reader kept the files from being scrubbed; `receipt` says what was deleted.
        Conflict: others wrote there faster a thousand times in a row. Nothing was deleted.
    """
    for attempt in range(TRIES):
        with backend.read() as snapshot:
            found = snapshot.forgettable(asked.prefix)
            wanted = found.threads if asked.threads is True else asked.threads
            gone = tuple(name for name in wanted if snapshot.heads(name) or name in found.threads)
        if asked.dry_run:
            return _receipt(asked, found, None, gone, _UNSCRUBBED)
        removals: list[Removal] = [RemoveThread(name) for name in gone]
        if found != Forgettable():
            removals.insert(0, ForgetItems(asked.prefix))
        if not removals:
            return _scrubbed(backend, asked, found, None, gone)
        try:
            commit = commit_now(rests=[SubtreeIs(asked.prefix, found)], removals=removals)
            revision = outcome.commit(backend, commit)
        except Conflict:
            if attempt + 1 == TRIES:
                raise
            if attempt:
                threading.Event().wait(min(0.05, 0.0002 * 2 ** min(attempt, 9)) * _jitter.random())
        else:
            return _scrubbed(backend, asked, found, str(revision), gone)
    raise AssertionError("the last attempt returns or raises")


def _scrubbed(
    backend: Backend, asked: Forgetting, found: Forgettable, revision: str | None, gone: tuple[str, ...]
) -> Forgotten:
    if not asked.scrub:
        return _receipt(asked, found, revision, gone, _UNSCRUBBED)
    try:
        scrubbed = backend.scrub(asked.wait_seconds)
    except Busy as error:
        raise Busy(
            f"memory below {asked.prefix!r} is deleted, and no read finds it any more. But somebody reads an older state of"
            f" {error.where}, so for {asked.wait_seconds:g} seconds its files could not be scrubbed of what was deleted.",
            written=True,
            operation="scrub",
            where=error.where,
            hint="Call forget(...) again when that reader has ended: it only scrubs then.",
            receipt=_receipt(asked, found, revision, gone, _UNSCRUBBED),
        ) from error
    return _receipt(asked, found, revision, gone, scrubbed)


def _receipt(
    asked: Forgetting, found: Forgettable, revision: str | None, gone: tuple[str, ...], scrubbed: Scrubbed
) -> Forgotten:
    counts = {
        "items": found.items,
        "history": found.history,
        "postings": found.postings,
        "vectors": found.vectors,
        "staged": found.staged,
    }
    return Forgotten(asked.prefix, revision, counts, found.threads, gone, scrubbed.done, scrubbed.left)
