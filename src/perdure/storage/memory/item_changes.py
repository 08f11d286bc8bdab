"""What a commit does to an item: a new version or its deletion, how it is found, when it ends.

Here: what is to be (`seen`, `swept`: they change nothing that is seen) and doing it. Each, done again, changes nothing, so
that a commit that a signal has left in the middle can be ended. Not here: in which order (`applying.py`).
"""

from __future__ import annotations

from typing import TypeAlias

from perdure.storage.contract import (
    AS_FILED,
    EXPIRED,
    Embedded,
    Filed,
    FileItem,
    ItemRow,
    Namespace,
    PutItem,
    RefreshItem,
    Revision,
    SweepItem,
)
from perdure.storage.lifetimes import Life, is_over, life_of
from perdure.storage.memory.tables import Tables, place

__all__ = ["Change", "embed", "put", "refile", "refresh", "seen", "swept"]

Change: TypeAlias = tuple[ItemRow | None, ItemRow | None, Filed | None, Embedded | None, ItemRow | None]
"""An item as it stood, as it is now, how it is filed; the deletion of one that had expired, which comes first."""


def seen(tables: Tables, item: PutItem, at: int, revision: Revision) -> Change:
    """The item as it stands, and as it is to be. Changes nothing."""
    namespace, key, value, origin, filed, paths, embedded, ttl, expires, keeps, times = item
    written = at if times is None else times[1]
    live = tables.items.get(namespace, {}).get(key)
    over = None
    version = tables.versions + 1
    # What comes from elsewhere with times of its own was written then: what lived at that time was replaced, and had not
    # expired.
    if live is not None and is_over(live.expires, written):
        over = _deletion(tables, live, written, version, revision)
        version += 1
    stands = None if over else live
    if stands is None and value is None:
        return live, None, None, None, over  # deleting what isn't there changes nothing
    before = over or live or tables.deleted.get((namespace, key))
    updated = max(written, before.updated_at) if before else written
    created = times[0] if times else stands.created_at if stands else updated
    if before:
        tables.before[version] = (before.version, before.revision.seq)
    life = life_of(ttl, expires, Life(stands.expires, stands.ttl) if stands and keeps else None, at)
    if value is None:
        paths, life = None, Life(None, None)
    row = ItemRow(namespace, key, value, created, updated, version, revision, origin, paths, *life)
    return live, row, filed, embedded, over


def swept(tables: Tables, sweep: SweepItem, at: int, revision: Revision) -> Change:
    """As `seen`: the deletion of what has expired, if it has."""
    live = tables.items.get(sweep.namespace, {}).get(sweep.key)
    if live is None or not is_over(live.expires, at):
        return None, None, None, None, None
    return live, None, None, None, _deletion(tables, live, at, tables.versions + 1, revision)


def _deletion(tables: Tables, live: ItemRow, at: int, version: int, revision: Revision) -> ItemRow:
    tables.before[version] = (live.version, live.revision.seq)
    updated = max(at, live.updated_at)
    where = live.namespace, live.key
    return ItemRow(*where, None, live.created_at, updated, version, revision, EXPIRED)


def put(
    tables: Tables,
    live: ItemRow | None,
    row: ItemRow | None,
    filed: Filed | None,
    embedded: Embedded | None,
    over: ItemRow | None,
) -> None:
    """Does one `Change`."""
    if over is not None:
        put(tables, live, over, None, None, None)
        live = None
    if row is None:
        return
    where = namespace, key = row.namespace, row.key
    tables.versions = row.version
    tables.history[row.version] = row
    if live:
        place(tables.ended, (row.updated_at, live.version))
    if row.value is None:
        place(tables.ended, (row.updated_at, row.version))
        tables.deleted[where] = row
        embed(tables, where, None, row.revision)
        tables.mortal.discard(where)
        tables.texts.remove(where)
        tables.items.get(namespace, {}).pop(key, None)
        if not tables.items.get(namespace):
            tables.items.pop(namespace, None)
    else:
        tables.deleted.pop(where, None)
        rows = tables.items.setdefault(namespace, {})
        rows.pop(key, None)  # so that they are in the order of their versions
        rows[key] = row
        if row.expires is None:
            tables.mortal.discard(where)
        else:
            tables.mortal.add(where)
        tables.texts.file(where, filed, to_find=row.paths != ())
        embed(tables, where, None if row.paths == () else embedded, row.revision)


def embed(
    tables: Tables, where: tuple[Namespace, str], embedded: Embedded | None, revision: Revision
) -> None:
    """The item has these vectors from now on."""
    ref = tables.texts.ref(where)
    if ref is not None:
        tables.vectors.put(ref, where[0], embedded, revision.seq)


def refile(tables: Tables, filing: FileItem, revision: Revision) -> None:
    """The item is filed anew, if it is still that version."""
    live = tables.items.get(filing.namespace, {}).get(filing.key)
    if live is not None and live.version == filing.version:
        where = filing.namespace, filing.key
        if filing.filed != AS_FILED:
            tables.texts.file(where, filing.filed, to_find=live.paths != ())
        if filing.embedded is not None and live.paths != ():
            embed(tables, where, filing.embedded if filing.embedded.data else None, revision)


def refresh(tables: Tables, life: RefreshItem) -> None:
    """The item lives longer, if it is still that version and has an end."""
    live = tables.items.get(life.namespace, {}).get(life.key)
    if live is not None and live.version == life.version and live.expires is not None:
        row = live._replace(expires=max(live.expires, life.expires))
        tables.history[row.version] = row
        tables.items[life.namespace][life.key] = row
