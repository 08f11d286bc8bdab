"""What a commit does to items: new versions and deletions, how they are found, and when they end.

Here: `items`, then `filings`, then `lives` of a commit, as rows and as what is known afterwards. Not here: the net effect on
postings (`filing.py`) and vectors (`embedding_rows.py`), forgetting and pruning (`removing.py`).
"""

from __future__ import annotations

from typing import Final

from perdure.codec import text_to_bytes
from perdure.storage.contract import EXPIRED
from perdure.storage.lifetimes import FOR_EVER, life_of
from perdure.storage.tables.embedding_rows import OWED_MODEL
from perdure.storage.tables.filing import NOWHERE
from perdure.storage.tables.gathering import Gathering
from perdure.storage.tables.known import ItemState
from perdure.storage.tables.numbering import new_item_id, number_of_index
from perdure.storage.tables.rows import (
    NO_PATHS,
    Key,
    Live,
    Prepared,
    PreparedText,
    PreparedVectors,
    Put,
    Refile,
)
from perdure.storage.tables.statements import ADD_ITEM, ADD_VERSION, END_VERSION, MOVE_END

__all__ = ["change_items"]

_EXPIRED: Final = (None, None, None, text_to_bytes(EXPIRED.actor or ""))


def change_items(group: Gathering, member: Prepared, seq: int) -> None:
    """The member's changes of items, in the commit of this number: a version is that number << 20, and its place there."""
    version = seq << 20
    for put in member.items:
        version = _put(group, put, version, member.at)
    for filing in member.filings:
        _refile(group, filing, seq)
    for life in member.lives:
        if life.version is not None:
            _refresh(group, life)
    for life in member.lives:
        if life.version is None:
            version = _sweep(group, life.item, version, member.at)


def _put(group: Gathering, put: Put, version: int, at: int) -> int:
    """Adds one version of an item; the next free version."""
    written = at if put.times is None else put.times[1]
    # What comes from elsewhere with times of its own was written then: what lived at that time was replaced, and had not
    # expired.
    version = _sweep(group, put.item, version, written)
    state = group.known.items.get(put.item)
    alive = state is not None and state.alive
    if put.value is None and not alive:
        return version  # deleting what isn't there changes nothing
    updated = written if state is None else max(written, state.updated)
    created = put.times[0] if put.times else state.created if state and alive else updated
    deleted = put.value is None
    id = new_item_id(group, put.item[0]) if state is None else state.id
    paths = None if deleted else put.paths
    hidden = deleted or paths == NO_PATHS
    idx = None if hidden else _index(group, put.text)
    length = 0 if put.text is None or idx is None else put.text.length
    model = None if hidden or put.vectors is None else _model(group, put.vectors, OWED_MODEL)
    kept = state.life if state and alive and put.keeps else None
    life = FOR_EVER if deleted else life_of(put.ttl, put.expires, kept, at)
    if state is None:
        group.add(ADD_ITEM, (id, put.item[1], version, 1, idx, length, paths, model, life.expires))
    else:
        alive_now = 0 if deleted else 1
        group.set_items[id] = (version, alive_now, idx, length, paths, model, life.expires, id)
    if state and alive:
        group.add(END_VERSION, (updated, state.version))
    group.add(
        ADD_VERSION,
        (
            version,
            id,
            state.version if state else None,
            None if created == updated else created,
            updated,
            updated if deleted else None,
            *put.origin,
            put.value,
            *life,
        ),
    )
    _file(group, id, state, put.text, idx)
    if model is not None or (state is not None and state.model is not None):
        group.vectors.put(id, state, put.vectors, model, version >> 20)
    group.known.items[put.item] = ItemState(
        id, version, not deleted, created, updated, idx, length, paths, model, life
    )
    return version + 1


def _sweep(group: Gathering, item: Key, version: int, at: int) -> int:
    """If the item's time is over it goes, by a version of its own; the next free version."""
    state = group.known.items.get(item)
    if state is None or not state.alive or state.stands(at):
        return version
    updated = max(at, state.updated)
    created = None if state.created == updated else state.created
    group.set_items[state.id] = (version, 0, None, 0, None, None, None, state.id)
    group.add(END_VERSION, (updated, state.version))
    group.add(
        ADD_VERSION,
        (version, state.id, state.version, created, updated, updated, *_EXPIRED, None, *FOR_EVER),
    )
    _file(group, state.id, state, None, None)
    if state.model is not None:
        group.vectors.put(state.id, state, None, None, version >> 20)
    group.known.items[item] = ItemState(state.id, version, False, state.created, updated)
    return version + 1


def _refresh(group: Gathering, life: Live) -> None:
    state = group.known.items.get(life.item)
    if state is None or not state.alive or state.version != life.version or state.life.expires is None:
        return
    expires = max(state.life.expires, life.expires)
    group.add(MOVE_END, (expires, state.version))
    group.set_items[state.id] = (
        state.version, 1, state.idx, state.length, state.paths, state.model, expires, state.id,
    )  # fmt: skip
    group.known.items[life.item] = state._replace(life=state.life._replace(expires=expires))


def _model(group: Gathering, vectors: PreparedVectors, without: int | None) -> int | None:
    """The number of what made the vectors; `without` if there are none."""
    return number_of_index(group, vectors.model) if vectors.data else without


def _refile(group: Gathering, filing: Refile, seq: int) -> None:
    state = group.known.items.get(filing.item)
    if state is None or not state.alive or state.version != filing.version or state.paths == NO_PATHS:
        return
    idx, length = state.idx, state.length
    if not filing.as_filed:
        idx = _index(group, filing.text)
        length = 0 if filing.text is None else filing.text.length
    model = state.model if filing.vectors is None else _model(group, filing.vectors, None)
    group.set_items[state.id] = (
        state.version, 1, idx, length, state.paths, model, state.life.expires, state.id,
    )  # fmt: skip
    if not filing.as_filed:
        _file(group, state.id, state, filing.text, idx)
    if filing.vectors is not None:
        group.vectors.put(state.id, state, filing.vectors, model, seq)
    group.known.items[filing.item] = state._replace(idx=idx, length=length, model=model)


def _index(group: Gathering, text: PreparedText | None) -> int:
    return NOWHERE if text is None else number_of_index(group, text.analysis)


def _file(
    group: Gathering, id: int, before: ItemState | None, text: PreparedText | None, idx: int | None
) -> None:
    had = before is not None and before.length > 0
    if had or (text is not None and text.length):
        group.filed.setdefault(id, had)
    group.filing.file(id, before, text, idx)
