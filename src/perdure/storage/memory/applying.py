"""The effects of checked commits, in their order: removals, rows of threads, items, how they are found, when they end.

Here: that all of it is done, whatever happens. Not here: the lock (`backend.py`), removals (`removing.py`), what happens to
an item (`item_changes.py`).
"""

from __future__ import annotations

from perdure.storage.contract import CheckpointRow, Commit, RefreshItem, Revision, SweepItem
from perdure.storage.memory.item_changes import Change, put, refile, refresh, seen, swept
from perdure.storage.memory.removing import remove
from perdure.storage.memory.tables import Tables, place

__all__ = ["applied"]


def applied(*parts: tuple[Tables, Commit]) -> Revision:
    """All of these checked commits, whatever happens; the revision of the first. Inside the locks.

    A signal may end this thread's work anywhere in it. Then what was begun is ended before the signal goes on, or half
    a step would be seen. An error comes out as it is.
    """
    begun: list[tuple[Tables, Commit, Revision, list[Change]]] = [
        (tables, commit, Revision(0, tables.seq + 1), []) for tables, commit in parts
    ]
    try:
        for tables, commit, revision, changes in begun:
            apply(tables, commit, revision, changes)
    except BaseException as error:
        if not isinstance(error, Exception):
            for tables, commit, revision, changes in begun:
                tables.texts.tear()
                apply(tables, commit, revision, changes)
                tables.texts.mend()
        raise
    return begun[0][2]


def apply(tables: Tables, commit: Commit, revision: Revision, changes: list[Change]) -> None:
    """Every effect of the commit; again with the same `changes`, after it was left in the middle: what was not done yet."""
    tables.seq = revision.seq
    tables.commits[commit.id] = revision
    if len(tables.times) < revision.seq:
        tables.times.append(commit.at)
    for removal in commit.removals:
        remove(tables, removal)
    for run in commit.runs:
        tables.thread(run.thread).runs.setdefault(run.id, run)
    for row in commit.checkpoints:
        chain = tables.chain(row[0], row[1])
        id, ids = row.id, chain.ids
        if not ids or id > ids[-1]:
            ids.append(id)
        else:
            place(ids, id)
        chain.rows[id] = CheckpointRow._make((*row[:-1], row[-1] or revision))
    for segment in commit.segments:
        place(tables.thread(segment.thread).logs.setdefault(segment.log, []), segment)
    for write in commit.writes:
        kept = tables.chain(write.thread, write.ns).writes.setdefault(write.checkpoint, {})
        if write.index < 0 or (write.task, write.index) not in kept:
            kept[write.task, write.index] = write
    for staged in commit.staged:
        chain = tables.chain(staged.thread, staged.ns)
        chain.staged.setdefault(staged.checkpoint, {}).setdefault((staged.task, staged.index), staged)
    if changes:
        put(tables, *changes[-1])
    for item in commit.items[len(changes) :]:
        changes.append(seen(tables, item, commit.at, revision))
        put(tables, *changes[-1])
    for filing in commit.filings:
        refile(tables, filing, revision)
    sweeps = [life for life in commit.lives if isinstance(life, SweepItem)]
    for life in commit.lives:
        if isinstance(life, RefreshItem):
            refresh(tables, life)
    for sweep in sweeps[max(0, len(changes) - len(commit.items)) :]:
        changes.append(swept(tables, sweep, commit.at, revision))
        put(tables, *changes[-1])
