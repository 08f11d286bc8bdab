"""What a commit takes away from the dicts: of threads, of the past of items, of whole subtrees of memory.

Here: each kind of removal; done again, it changes nothing. Not here: deletions, which are versions (`item_changes.py`).
"""

from __future__ import annotations

from bisect import bisect_left

from perdure.storage.contract import (
    ForgetItems,
    Forgettable,
    Namespace,
    PruneHistory,
    PruneVersions,
    RemoveCheckpoint,
    RemoveResult,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
    Revision,
    UnfileItems,
)
from perdure.storage.memory.item_changes import embed
from perdure.storage.memory.past import versions_down
from perdure.storage.memory.tables import Tables

__all__ = ["REMOVALS", "forgettable", "remove"]

REMOVALS = (
    RemoveThread,
    RemoveCheckpoint,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveWrites,
    RemoveResult,
    PruneHistory,
    PruneVersions,
    ForgetItems,
    UnfileItems,
)
"""The kinds that `remove` knows."""


def remove(tables: Tables, removal: object) -> None:
    """Does it."""
    match removal:
        case RemoveThread(thread):
            tables.threads.pop(thread, None)
        case RemoveCheckpoint(thread, ns, id):
            chain = tables.chain(thread, ns)
            chain.rows.pop(id, None)
            if id in chain.ids:
                chain.ids.remove(id)
            chain.writes.pop(id, None)
            chain.staged.pop(id, None)
        case RemoveRun(thread, id):
            tables.thread(thread).runs.pop(id, None)
        case RemoveSegments(thread, log, start):
            logs = tables.thread(thread).logs
            logs[log] = [row for row in logs.get(log, []) if row.start < start]
            if not logs[log]:
                del logs[log]
        case RemoveStaged(thread, ns, checkpoint):
            tables.chain(thread, ns).staged.pop(checkpoint, None)
        case RemoveWrites(thread, ns, checkpoint):
            kept = tables.chain(thread, ns).writes.get(checkpoint, {})
            for at in [at for at in kept if at[1] >= 0]:
                del kept[at]
        case RemoveResult(thread, ns, checkpoint, task):
            chain = tables.chain(thread, ns)
            kept, staged = chain.writes.get(checkpoint, {}), chain.staged.get(checkpoint, {})
            for at in [at for at in kept if at[0] == task and at[1] >= 0]:
                del kept[at]
            for at in [at for at in staged if at[0] == task]:
                del staged[at]
        case PruneHistory(before, limit):
            end = min(bisect_left(tables.ended, (before, 0)), max(limit, 0))
            gone = [version for _, version in tables.ended[:end]]
            for version in gone:
                _drop_version(tables, version)
            del tables.ended[:end]
        case PruneVersions(items, keep, limit):
            for namespace, key in items:
                _prune_item(tables, namespace, key, keep, limit)
        case UnfileItems():
            for space, rows in tables.items.items():
                for row in rows.values():
                    tables.texts.file((space, row.key), None, to_find=row.paths != ())
        case ForgetItems(prefix):
            _forget(tables, prefix)
        case _:  # `expect` let no unknown one in
            raise AssertionError(removal)


def forgettable(tables: Tables, prefix: Namespace) -> Forgettable:
    """What `ForgetItems` would take."""
    size = len(prefix)
    versions = [row for row in tables.history.values() if row.namespace[:size] == prefix]
    staged = [row for kept in tables.all_staged() for row in kept.values() if row.namespace[:size] == prefix]
    threads = {row.origin.thread for row in versions} | {row.thread for row in staged}
    return Forgettable(
        tables.living(prefix),
        len(versions),
        tables.texts.count(prefix),
        tables.vectors.count(prefix),
        len(staged),
        tuple(sorted(thread for thread in threads if thread is not None)),
    )


def _forget(tables: Tables, prefix: Namespace) -> None:
    size = len(prefix)
    gone = {version for version, row in tables.history.items() if row.namespace[:size] == prefix}
    if gone:
        tables.floor = max(tables.floor, tables.seq)
    for space in [space for space in tables.items if space[:size] == prefix]:
        for key in tables.items[space]:
            tables.mortal.discard((space, key))
            embed(tables, (space, key), None, Revision(0, tables.seq))
            tables.texts.remove((space, key))
            tables.texts.drop((space, key))
        del tables.items[space]
    for where in [where for where in tables.deleted if where[0][:size] == prefix]:
        del tables.deleted[where]
        tables.texts.drop(where)
    tables.ended = [one for one in tables.ended if one[1] not in gone]
    for kept in tables.all_staged():
        for at in [at for at, row in kept.items() if row.namespace[:size] == prefix]:
            del kept[at]
    for version in gone:
        tables.before.pop(version, None)
        tables.history.pop(version, None)


def _prune_item(tables: Tables, namespace: Namespace, key: str, keep: int, limit: int) -> None:
    newest = tables.items.get(namespace, {}).get(key) or tables.deleted.get((namespace, key))
    line = [row for row in versions_down(newest, tables.before, tables.history) if row is not None]
    gone: list[tuple[int, int]] = []
    for place, row in enumerate(line):
        if place >= keep or (keep == 1 and line[0].value is None):
            ended = row if row.value is None else line[place - 1]  # a deletion ends when it happens
            gone.append((ended.updated_at, row.version))
    for when, version in gone[::-1][: max(limit, 0)]:
        at = bisect_left(tables.ended, (when, version))
        if tables.ended[at : at + 1] == [(when, version)]:
            del tables.ended[at]
        _drop_version(tables, version)


def _drop_version(tables: Tables, version: int) -> None:
    row = tables.history.get(version)
    if row is not None and tables.deleted.get((row.namespace, row.key)) is row:
        tables.floor = max(tables.floor, row.revision.seq)
        del tables.deleted[row.namespace, row.key]
        tables.texts.drop((row.namespace, row.key))
    tables.before.pop(version, None)
    tables.history.pop(version, None)
