"""What is told of an item's past: its versions, what differs between two moments, who wrote what stands.

What two moments differ in, and who wrote what, is told of values as they were written, whatever contracts say now.
Here: plain values, and pure functions that make them from a snapshot. Not here: views (`past_store.py`), taking back
(`reverting.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

from perdure.storage.contract import ItemRow, Namespace, Origin, Revision, Snapshot, compacted, foretelling
from perdure.storage.filters import same
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import moment_of

__all__ = [
    "Blame",
    "Difference",
    "ItemVersion",
    "blame_of",
    "differences",
    "equal",
    "version_of",
    "versions_of",
]

Instant: TypeAlias = tuple[Revision, int]
"""A revision, and the time by which items have expired (microseconds)."""
_AT_ONCE: Final = 200  # items that are compared together, where that saves time
_ALL: Final = (1 << 63) - 1
_STEPS: Final = (20, 500, _ALL)  # of versions that are looked at until every field's writer is found


@dataclass(frozen=True, slots=True)
class ItemVersion:
    """An item as one write left it.

    Attributes:
        namespace: the path it is filed under.
        key: unique in its namespace.
        value: the JSON object, a copy of its own; None: this write deleted the item.
        version: the item's mark, never reused; greater is later.
        revision: opaque mark of the commit that wrote it; `store.at(revision)` sees it.
        created_at: when the item was first written; begun anew after a deletion.
        updated_at: when this version was written.
        origin: who wrote it: thread, checkpoint (that the writing step started from), node, actor; None is unknown. An
            item that expired was deleted by the actor `"ttl"`, when it was swept.
        expires_at: until when it lived, or lives, if nobody wrote later: as reading had moved it; None: for ever.
        contract: the version of its contract that it was written under; 0: of none.
    """

    namespace: Namespace
    key: str
    value: dict[str, Any] | None
    version: int
    revision: str
    created_at: datetime
    updated_at: datetime
    origin: Origin
    expires_at: datetime | None = None
    contract: int = 0

    @property
    def deleted(self) -> bool:
        """Whether this write deleted the item."""
        return self.value is None


@dataclass(frozen=True, slots=True)
class Difference:
    """An item that two moments show differently.

    Attributes:
        namespace: the path it is filed under.
        key: unique in its namespace.
        before: its value at the first moment; None: there was no such item.
        after: its value at the second; None: there was none.
    """

    namespace: Namespace
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def kind(self) -> Literal["added", "changed", "removed"]:
        """What became of the item between the two."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"


@dataclass(frozen=True, slots=True)
class Blame:
    """Who wrote what an item holds.

    Attributes:
        version: the item's newest version; its `origin` says who wrote it. If it was deleted: the deletion.
        fields: of each top-level field of the value the version that gave it its present value; None: an older one
            than is kept.
    """

    version: ItemVersion
    fields: dict[str, ItemVersion | None]


def version_of(codec: ItemCodec, row: ItemRow) -> ItemVersion:
    """The row as a version, its value as it was written."""
    value, contract = (None, 0) if row.value is None else codec.written(row.namespace, row.key, row.value)
    return ItemVersion(
        row.namespace,
        row.key,
        value,
        row.version,
        str(row.revision),
        moment_of(row.created_at),
        moment_of(row.updated_at),
        row.origin,
        None if row.expires is None else moment_of(row.expires),
        contract,
    )


def versions_of(
    codec: ItemCodec, snapshot: Snapshot, namespace: Namespace, key: str, limit: int
) -> list[ItemVersion]:
    """The item's newest versions that are kept, newest first, deletions included; values as the contract has them now."""
    told = [version_of(codec, row) for row in snapshot.history(namespace, key, limit).versions]
    contracts = codec.contracts
    if contracts is None or contracts.of(namespace) is None:
        return told
    return [
        one
        if one.value is None
        else replace(one, value=contracts.current(namespace, key, one.value, one.contract))
        for one in told
    ]


def differences(
    codec: ItemCodec, snapshot: Snapshot, before: Instant, after: Instant, prefix: Namespace
) -> list[Difference]:
    """Items of the subtree that the two moments show differently, by namespace and key. Raises Compacted."""
    older = min(before[0], after[0])
    if older < snapshot.floor():  # an item of then may be gone without a trace
        raise compacted(older, snapshot.floor())
    found: list[Difference] = []
    places = set(snapshot.touched(prefix, older, None))
    # Of what was not written since, only what has expired and was not swept can differ.
    places.update((row.namespace, row.key) for row in snapshot.lapsed(prefix, max(before[1], after[1]), _ALL))
    ahead, ordered = foretelling(snapshot), sorted(places)
    for first in range(0, len(ordered), _AT_ONCE):
        some = ordered[first : first + _AT_ONCE]
        if ahead is not None:
            ahead.foretell_items_at(some, (before[0], after[0]))
        for namespace, key in some:
            rows = [snapshot.item_at(namespace, key, revision, at) for revision, at in (before, after)]
            if not equal(codec, *rows):
                found.append(Difference(namespace, key, *(_value(codec, row) for row in rows)))
    return found


def blame_of(codec: ItemCodec, snapshot: Snapshot, namespace: Namespace, key: str) -> Blame | None:
    """Who wrote the item's newest version, and each field of its value; None: nothing of such an item is kept."""
    rows: list[ItemRow] = []
    whole = True
    writers: dict[str, ItemRow] = {}
    for limit in _STEPS:
        rows, whole = snapshot.history(namespace, key, limit)
        if not rows:
            return None
        writers, open_ = _writers([(row, _value(codec, row) or {}) for row in rows])
        if not open_ or len(rows) < limit:
            break
    newest = version_of(codec, rows[0])
    first = version_of(codec, rows[-1]) if whole else None
    told = {name: version_of(codec, row) for name, row in writers.items()}
    return Blame(newest, {name: told.get(name, first) for name in newest.value or {}})


def _writers(line: list[tuple[ItemRow, dict[str, Any]]]) -> tuple[dict[str, ItemRow], set[str]]:
    """Of the newest value's fields, the rows that changed them last, and the fields that the oldest row has as well."""
    newest = line[0][1]
    found: dict[str, ItemRow] = {}
    open_ = set(newest)
    for (row, _), (_, older) in pairwise(line):
        for name in [name for name in open_ if name not in older or not same(older[name], newest[name])]:
            found[name] = row
            open_.discard(name)
    return found, open_


def equal(codec: ItemCodec, one: ItemRow | None, other: ItemRow | None) -> bool:
    """Whether two versions of an item say the same; a deletion is as no item at all."""
    stored = [None if row is None else row.value for row in (one, other)]
    if one is None or other is None or None in stored or stored[0] == stored[1]:
        return stored[0] == stored[1]
    return same(_value(codec, one), _value(codec, other))  # sealed twice, or with its keys in another order


def _value(codec: ItemCodec, row: ItemRow | None) -> dict[str, Any] | None:
    if row is None or row.value is None:
        return None
    return codec.written(row.namespace, row.key, row.value)[0]
