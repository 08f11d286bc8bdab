"""The whole check of a database: its own, its threads, its memory; and mending what can be made anew.

Here: what is looked at in which order, and what to do about what is found. Not here: one thread (`threads_check.py`), memory
(`storage/item_checking.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from perdure.admin import threads_check as known
from perdure.admin.insides import codec_of, threads_of
from perdure.admin.threads_check import ThreadCheck
from perdure.database import Database
from perdure.errors import Conflict, StorageError
from perdure.storage import outcome
from perdure.storage.contract import (
    Administered,
    Chained,
    HeadIs,
    Removal,
    RemoveCheckpoint,
    Snapshot,
    ThreadIs,
    commit_now,
)

__all__ = ["Finding", "check"]

_STRAYS: Final = 10_000  # places that are mended at once
_RESTORE: Final = "restore a backup (docs/how-to/back-up-and-check.md)"
_MENDS: Final = {
    known.LOST_PARENTS: "nothing makes them anew: " + _RESTORE + ", or delete the thread",
    known.WRONG_ROWS: _RESTORE + ", or delete the thread",
    known.WRONG_VALUES: _RESTORE + ", or delete the thread",
    known.LOST_LOGS: _RESTORE + ", or delete the thread",
    known.UNREACHED: "--repair frees the space; nothing is lost with it",
    known.FOREIGN_VALUES: "nothing to do: whoever has the serializer can read them",
}
_LEFT_OVER: Final = (known.UNREACHED, known.FOREIGN_VALUES)
_NOBODYS: Final = "checkpoints that are not there and have pending writes or staged memory"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, or is left over.

    Attributes:
        part: where: the database's own files and indexes, threads, or memory.
        what: in words.
        count: how many it concerns.
        mend: what to do about it.
        wrong: False: it only takes up space, or could not be looked into.
        example: one place where it is; "": there is no place to name.
    """

    part: Literal["database", "threads", "memory"]
    what: str
    count: int
    mend: str
    wrong: bool = True
    example: str = ""


def check(
    db: Database,
    *,
    repair: bool = False,
    quick: bool = False,
    progress: Callable[[int], object] | None = None,
) -> list[Finding]:
    """What is wrong with the database, or left over in it; empty: nothing. It reads all of it, while others go on working.

    Args:
        db: opened with its key, if it has one, and with the `index=` that its items are filed by.
        repair: then indexes of memory are made anew as `store.check(repair=True)` does it, and what no checkpoint reaches, or
            belongs to none, is deleted. Only while no program writes pending writes before their checkpoint (savers that are
            called by hand can; graphs never do). What was found is told all the same: check again.
        quick: the database does not compare its own tables with their indexes.
        progress: called with the number of threads looked at so far.

    Raises:
        StorageError: it cannot be read at all.
        QueryError: to repair words, `db` must have been opened with an index of them.
    """
    found = list(_of_database(db, quick=quick))
    found += _of_threads(db, repair=repair, progress=progress)
    found += _strays(db, repair=repair)
    found += [
        Finding("memory", what, count, "--repair, or store.check(repair=True)")
        for what, count in db.store.check(repair=repair)
    ]
    return found


def _of_database(db: Database, *, quick: bool) -> Iterator[Finding]:
    if isinstance(db.backend, Administered):
        said = db.backend.faults(quick=quick)
        if said:
            mend = f"if it is about an index of memory, --repair; else {_RESTORE}"
            yield Finding(
                "database", "things that the database itself finds wrong", len(said), mend, True, said[0]
            )


def _of_threads(db: Database, *, repair: bool, progress: Callable[[int], object] | None) -> list[Finding]:
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    codec = codec_of(db)
    for number, thread in enumerate(threads_of(db), 1):
        try:
            with db.backend.read() as snapshot:
                checked = ThreadCheck(snapshot, codec, thread)
                cuts = (checked.cuts, *_as_read(snapshot, thread))
        except StorageError as error:  # one that cannot be read keeps nobody from reading the others
            counts[known.WRONG_ROWS] += 1
            examples.setdefault(known.WRONG_ROWS, f"thread {thread!r}: {error}")
            continue
        for what, count in checked.found.items():
            counts[what] += count
            examples.setdefault(what, f"thread {thread!r}")
        if repair and checked.cuts:
            _mend(db, *cuts)
        if progress is not None:
            progress(number)
    return [
        Finding("threads", what, count, _MENDS[what], what not in _LEFT_OVER, examples[what])
        for what, count in sorted(counts.items())
    ]


def _as_read(snapshot: Snapshot, thread: str) -> tuple[list[HeadIs], ThreadIs]:
    heads = [HeadIs(thread, ns, head) for ns, head in snapshot.heads(thread)]
    return heads, ThreadIs(thread, snapshot.revision())


def _mend(db: Database, cuts: list[Removal], heads: list[HeadIs], as_read: ThreadIs) -> None:
    try:
        outcome.commit(db.backend, commit_now(heads=heads, rests=[as_read], removals=cuts))
    except Conflict:
        return  # it moved on: the next check looks again


def _strays(db: Database, *, repair: bool) -> Iterator[Finding]:
    if not isinstance(db.backend, Administered):
        return
    places: list[Chained] = db.backend.strays(_STRAYS)
    if not places:
        return
    if repair:
        removals = [RemoveCheckpoint(*place) for place in places]
        outcome.commit(db.backend, commit_now(removals=removals))
    thread, ns, id = places[0]
    example = f"thread {thread!r}{f', namespace {ns!r}' if ns else ''}, checkpoint {id}"
    mend = "--repair deletes them, unless a program is about to put the checkpoint"
    yield Finding("threads", _NOBODYS, len(places), mend, wrong=False, example=example)
