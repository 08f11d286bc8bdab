"""Answers about one moment of an SQLite database: a reader's connection inside a read transaction.

Here: questions and rows to values. Not here: which connection, when it begins and ends (`backend.py`).
Every cursor is read to its end at once: an unfinished one would pin the snapshot and keep the log from shrinking.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from perdure import clock
from perdure.codec import bytes_to_text, decode_namespace, encode_namespace, text_to_bytes
from perdure.errors import StorageError
from perdure.storage.contract import (
    Chained,
    CheckpointRow,
    Forgettable,
    History,
    ItemRow,
    Namespace,
    Origin,
    Posting,
    Revision,
    RunRow,
    SegmentRow,
    StagedRow,
    TextTotals,
    VectorSpace,
    WriteRow,
)
from perdure.storage.sqlite import checking, forgetting, nearby
from perdure.storage.sqlite.connections import C, Connection
from perdure.storage.sqlite.faults import closed, translated
from perdure.storage.sqlite.packing import pack_id, time_in, unpack_id, unpack_task
from perdure.storage.sqlite.past import Past, first_after
from perdure.storage.sqlite.rows import SOURCES, prefixed
from perdure.storage.sqlite.writer import Q, range_of
from perdure.storage.standing import Anchors, Near, all_near

_LAST: Final = (1 << 63) - 1
_POSITIONS: Final = 1 << 32
_FEW_NAMESPACES: Final = 200  # up to here a merge over them is faster than walking all versions
_PLACES: Final = (
    256  # checkpoints that one statement asks for: few texts to prepare, far from the limit of values
)
_SIZES: Final = (1, 4, 16, 64, _PLACES)
_NO_INDEX: Final = -1
_TABLES: Final = (
    "checkpoints",
    "segments",
    "writes",
    "staged",
    "items",
    "history",
    "runs",
    "postings",
    "vectors",
)

_HEAD = Q["head"]
_CHECKPOINT = Q["checkpoint"]
_LINEAGE = Q["lineage"]
_SEGMENTS = Q["segments"]
_WRITES = Q["writes"]
_STAGED = Q["staged"]
_ITEM = Q["item"]
_RUN = Q["run"]
_INDEX_NUMBER = Q["index_number"]


class SqliteSnapshot:
    """One moment. Made by `SqliteBackend.read()`, of no use after its block."""

    def __init__(self, connection: Connection, seq: int, where: str, source: object) -> None:
        self.source = source
        self._db: Connection | None = connection
        self._seq = seq
        self._where = where
        self._now = clock.micros()
        self._past: Past | None = None  # made for whoever asks for it

    def end(self) -> None:
        """Later questions are errors."""
        self._db = None

    def _ask(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._db is None:
            raise closed("read", f"this snapshot of {self._where}")
        try:
            return self._db.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise translated(error, "read", self._where) from error

    def now(self) -> int:
        """The time by which it judges what has expired."""
        return self._now

    # -- commits -----------------------------------------------------------------------------------------------------

    def revision(self) -> Revision:
        """The newest commit that this snapshot sees."""
        if self._db is None:
            raise closed("read", f"this snapshot of {self._where}")
        return Revision(0, self._seq)

    def committed(self, commit_id: bytes) -> Revision | None:
        """The revision of the commit with this id."""
        rows = self._ask(Q["seq_of_commit"], (commit_id,))
        return Revision(0, rows[0][0]) if rows else None

    # -- threads -----------------------------------------------------------------------------------------------------

    def head(self, thread: str, ns: str) -> str | None:
        """The greatest checkpoint id of the chain."""
        rows = self._ask(_HEAD, (text_to_bytes(thread), text_to_bytes(ns)))
        return unpack_id(rows[0][0]) if rows else None

    def standing(self, thread: str, ns: str) -> tuple[str, Revision] | None:
        """The head and its revision."""
        rows = self._ask(_HEAD, (text_to_bytes(thread), text_to_bytes(ns)))
        return (unpack_id(rows[0][0]), Revision(0, rows[0][1])) if rows else None

    def heads(self, thread: str) -> list[tuple[str, str]]:
        """(ns, head) of every chain of the thread that has one."""
        rows = self._ask(Q["heads"], (text_to_bytes(thread),))
        return [(bytes_to_text(ns), unpack_id(id)) for ns, id in rows]

    def threads(self, after: str | None, limit: int) -> list[str]:
        """Thread ids in byte order, from behind `after`."""
        # An empty id would not be behind the empty start; it is refused at every door.
        rows = self._ask(Q["threads"], (text_to_bytes(after or ""), min(limit, _LAST)))
        return [bytes_to_text(name) for (name,) in rows]

    def checkpoint(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        """The row, or None."""
        rows = self._ask(_CHECKPOINT, (text_to_bytes(thread), text_to_bytes(ns), pack_id(id)))
        return _checkpoint(thread, ns, rows[0]) if rows else None

    def following(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        """The row with the next greater id in the chain."""
        rows = self._ask(Q["following"], (text_to_bytes(thread), text_to_bytes(ns), pack_id(id)))
        return _checkpoint(thread, ns, rows[0]) if rows else None

    def lineage(self, thread: str, ns: str, id: str) -> list[CheckpointRow]:
        """The checkpoint and its ancestors, newest first, up to and with the first whole one."""
        rows = self._ask(_LINEAGE, (text_to_bytes(thread), text_to_bytes(ns), pack_id(id)))
        found = [_checkpoint(thread, ns, row) for row in rows]
        if found and not found[-1].whole:
            raise StorageError(
                f"checkpoint {id} of thread {thread!r} rests on {found[-1].parent}, which is missing from the database.",
                operation="read",
                where=self._where,
                hint="Restore a copy of the database that still has it.",
            )
        return found

    def checkpoints(
        self, thread: str | None, ns: str | None, before: str | None, limit: int | None
    ) -> list[CheckpointRow]:
        """Rows by id, greatest first (ties by thread, ns)."""
        space = None if ns is None else text_to_bytes(ns)
        end = None if before is None else pack_id(before)
        most = -1 if limit is None else min(limit, _LAST)
        if thread is None:
            rows = self._ask(Q["all_checkpoints"], (space, end, most))
        elif space is None:
            rows = self._ask(Q["thread_checkpoints"], (text_to_bytes(thread), end, most))
        else:
            rows = self._ask(Q["chain_checkpoints"], (text_to_bytes(thread), space, end, most))
        return [_checkpoint(bytes_to_text(row[0]), bytes_to_text(row[1]), row[2:]) for row in rows]

    def run(self, thread: str, id: str) -> RunRow | None:
        """The run's row, or None."""
        rows = self._ask(_RUN, (text_to_bytes(thread), pack_id(id)))
        return RunRow(thread, id, *rows[0]) if rows else None

    def segments(self, thread: str, log: int, below: int) -> list[SegmentRow]:
        """The segments with `start < below`, in order."""
        if not -_LAST <= log <= _LAST:
            return []
        rows = self._ask(_SEGMENTS, (text_to_bytes(thread), log, max(0, min(below, _POSITIONS))))
        return [SegmentRow(thread, log, *row) for row in rows]

    def logs(self, thread: str) -> list[tuple[int, int]]:
        """(log, end) of every log of the thread."""
        return self._ask(Q["logs"], (text_to_bytes(thread),))

    def writes(self, thread: str, ns: str, checkpoint: str) -> list[WriteRow]:
        """The checkpoint's pending writes, ordered by (path, task, index)."""
        rows = self._ask(_WRITES, (text_to_bytes(thread), text_to_bytes(ns), pack_id(checkpoint)))
        found = [_write((thread, ns, checkpoint), row) for row in rows]
        found.sort(key=_order_of_writes)
        return found

    def writes_of(self, places: Sequence[Chained]) -> dict[Chained, list[WriteRow]]:
        """The pending writes of each of these checkpoints that has any."""
        found: dict[Chained, list[WriteRow]] = {}
        wanted = list(dict.fromkeys(places))
        for first in range(0, len(wanted), _PLACES):
            some = wanted[first : first + _PLACES]
            values: list[Any] = []
            for number, (thread, ns, id) in enumerate(some):
                values += (number, text_to_bytes(thread), text_to_bytes(ns), pack_id(id))
            for row in self._ask(Q.repeated("writes_of", len(some)), values):
                number: int = row[0]
                place = some[number]
                found.setdefault(place, []).append(_write(place, row[1:]))
        for rows in found.values():
            rows.sort(key=_order_of_writes)
        return found

    def staged(self, thread: str, ns: str, checkpoint: str) -> list[StagedRow]:
        """The checkpoint's staged memory, ordered by (task, index)."""
        rows = self._ask(_STAGED, (text_to_bytes(thread), text_to_bytes(ns), pack_id(checkpoint)))
        found = [
            StagedRow(
                thread,
                ns,
                checkpoint,
                unpack_task(task),
                index,
                decode_namespace(space),
                bytes_to_text(key),
                payload,
            )
            for task, index, space, key, payload in rows
        ]
        found.sort(key=lambda row: (row.task, row.index))
        return found

    # -- items -------------------------------------------------------------------------------------------------------

    def item(self, namespace: Namespace, key: str) -> ItemRow | None:
        """The live item, or None."""
        rows = self._ask(_ITEM, (encode_namespace(namespace), text_to_bytes(key), self._now))
        return _item(namespace, key, rows[0]) if rows else None

    def items(self, prefix: Namespace, before: int | None, limit: int) -> list[ItemRow]:
        """Live items of the subtree, greatest version first."""
        return self._items_living(prefix, before, limit, self._now)

    def _items_living(self, prefix: Namespace, before: int | None, limit: int, at: int) -> list[ItemRow]:
        first, end = range_of(prefix)
        newest = _LAST if before is None else max(0, min(before, _LAST))
        way = "items_of_few" if self._few((first, end)) else "items_of_many"
        return _items(self._ask(Q[way], (first, end, newest, min(limit, _LAST), at)))

    def size(self, prefix: Namespace) -> int:
        """How many live items the subtree has."""
        ((found,),) = self._ask(Q["size"], (*range_of(prefix), self._now))
        return found

    def namespaces(self, prefix: Namespace) -> list[Namespace]:
        """Namespaces of the subtree that hold a live item, in tuple order."""
        return [
            decode_namespace(name) for (name,) in self._ask(Q["namespaces"], (*range_of(prefix), self._now))
        ]

    def lapsed(self, prefix: Namespace, until: int, limit: int) -> list[ItemRow]:
        """Items of the subtree not swept whose time was over then, first ended first."""
        values = (*range_of(prefix), _bounded(until), max(0, min(limit, _LAST)))
        return _items(self._ask(Q["lapsed"], values))

    def changes(self, after: Revision | None, limit: int) -> list[ItemRow]:
        """Versions written after `after`, deletions included, by version; whole commits."""
        if after is not None and after >= Revision(0, self._seq):
            return []
        first = 0 if after is None or after.epoch < 0 else (after.seq + 1) << 20
        last = self._ask(Q["nth_version"], (first, max(limit, 1) - 1))
        end = (last[0][0] >> 20) + 1 << 20 if last else _LAST
        return _items(self._ask(Q["changes"], (first, end)))

    def complete_since(self, prefix: Namespace, after: Revision) -> Revision:
        """The first revision from there on, behind which no change of the subtree is missing."""
        return self._then().complete_since(range_of(prefix), after)

    # -- what words find ---------------------------------------------------------------------------------------------

    def _index(self, name: str) -> int:
        """The index's number; one that nothing is filed under if there is none."""
        rows = self._ask(_INDEX_NUMBER, (text_to_bytes(name),))
        return rows[0][0] if rows else _NO_INDEX

    def _ask_many(self, name: str, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Answers about many rows of values. Padded, so that few texts are compiled: an answer may come twice."""
        found: list[Any] = []
        for first in range(0, len(rows), _PLACES):
            some = list(rows[first : first + _PLACES])
            size = next(size for size in _SIZES if size >= len(some))
            some += [some[-1]] * (size - len(some))
            found += self._ask(Q.repeated(name, size), [value for row in some for value in row])
        return found

    def text_totals(self, prefix: Namespace, index: str) -> TextTotals:
        """The statistics of the subtree."""
        return TextTotals(*self._ask(Q["text_totals"], (*range_of(prefix), self._index(index)))[0])

    def postings(self, prefix: Namespace, index: str, term: str) -> list[Posting]:
        """The live items of the subtree that have the term."""
        number = self._index(index)
        if number == _NO_INDEX:
            return []
        filed = prefixed(number, text_to_bytes(term))
        if prefix:
            return self._ask(Q["postings"], (*range_of(prefix), filed))
        return self._ask(Q["postings_of_all"], (filed,))

    def frequency(self, prefix: Namespace, index: str, term: str, most: int) -> int:
        """How many `postings` would give, counted up to `most`."""
        number = self._index(index)
        if number == _NO_INDEX:
            return 0
        filed, most = prefixed(number, text_to_bytes(term)), max(0, min(most, _LAST))
        if prefix:
            return self._ask(Q["frequency"], (*range_of(prefix), filed, most))[0][0]
        return self._ask(Q["frequency_of_all"], (filed, most))[0][0]

    def postings_in(self, refs: Sequence[int], index: str, term: str) -> list[Posting]:
        """As `postings`, of these items only."""
        number = self._index(index)
        if number == _NO_INDEX:
            return []
        filed = prefixed(number, text_to_bytes(term))
        found = self._ask_many("postings_in", [(filed, ref) for ref in dict.fromkeys(refs)])
        return list({row[0]: row for row in found}.values())

    def terms(self, prefix: Namespace, index: str, beginning: str, limit: int) -> list[str]:
        """Terms of the subtree that begin so, in order."""
        number = self._index(index)
        if number == _NO_INDEX:
            return []
        first = at = prefixed(number, text_to_bytes(beginning))
        found: list[str] = []
        while len(found) < limit:
            rows = self._ask(Q["next_term"], (at,))
            if not rows or not rows[0][0].startswith(first):
                break
            term = bytes_to_text(rows[0][0][1:])
            if not prefix or self.frequency(prefix, index, term, 1):
                found.append(term)
            at = rows[0][0] + b"\0"  # no term holds one, so none lies between
        return found

    def strays(self, prefix: Namespace, index: str) -> list[ItemRow]:
        """The live items of the subtree that are to be found and are filed otherwise."""
        return _items(self._ask(Q["strays"], (*range_of(prefix), self._index(index), self._now)))

    def refs(self, places: Sequence[tuple[Namespace, str]]) -> dict[int, tuple[Namespace, str]]:
        """The live items among these, by their ids."""
        wanted = [
            (number, encode_namespace(space), text_to_bytes(key), self._now)
            for number, (space, key) in enumerate(places)
        ]
        return {id: places[number] for number, id in self._ask_many("refs", wanted)}

    def versions(self, refs: Sequence[int]) -> dict[int, int]:
        """The version of each live item."""
        return dict(self._ask_many("item_versions", [(ref, self._now) for ref in refs]))

    def rows(self, refs: Sequence[int]) -> dict[int, ItemRow]:
        """The live items."""
        found = self._ask_many("items_by_id", [(ref, self._now) for ref in refs])
        return dict(zip([row[0] for row in found], _items([row[1:] for row in found]), strict=True))

    # -- where items stand -------------------------------------------------------------------------------------------

    def times(self, refs: Sequence[int]) -> dict[int, int]:
        """When each live item was written last."""
        return dict(self._ask_many("item_times", [(ref, self._now) for ref in refs]))

    def numbers(self, places: Sequence[tuple[Namespace, str]]) -> dict[tuple[Namespace, str], int]:
        """The id of each item that lives, or whose deletion is kept."""
        wanted = [
            (number, encode_namespace(space), text_to_bytes(key))
            for number, (space, key) in enumerate(places)
        ]
        return {places[number]: id for number, id in self._ask_many("item_numbers", wanted)}

    def around(self, anchors: Anchors, count: int) -> list[Near]:
        """For each anchor the live items of its namespace that stand nearest on either side."""
        return nearby.around(self._ask, _items, anchors, count, _LAST, self._now)

    def around_at(
        self, anchors: Anchors, count: int, revision: Revision, at: int | None = None
    ) -> list[Near]:
        """As `around`, as it was then: what was not written since, and the versions that stood of what was."""
        at = _bounded(self.time_of(revision) if at is None else at)

        def replaced(space: Namespace) -> list[ItemRow]:
            rows = _items(self._then().replaced(range_of(space), revision, at, _LAST, _LAST))
            return [row for row in rows if row.namespace == space]

        untouched = nearby.around(self._ask, _items, anchors, count, first_after(revision), at)
        return [
            nearby.merged([*one, *other], where, count)
            for one, other, (_, where) in zip(
                untouched, all_near(anchors, count, replaced, self.numbers), anchors, strict=True
            )
        ]

    def text_lengths(self, refs: Sequence[int], index: str) -> dict[int, int]:
        """How many terms each is filed with under this index."""
        number = self._index(index)
        return dict(self._ask_many("text_lengths", [(ref, number, self._now) for ref in refs]))

    def _few(self, inside: tuple[bytes, bytes]) -> bool:
        """Whether a range has so few namespaces that one merges over them."""
        (spaces,) = self._ask(Q["count_namespaces"], (*inside, _FEW_NAMESPACES + 1))[0]
        return spaces <= _FEW_NAMESPACES

    # -- the past ----------------------------------------------------------------------------------------------------

    def _then(self) -> Past:
        if self._past is None:
            self._past = Past(self._ask, self._few)
        return self._past

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        """Namespaces of the subtree with vectors of this model."""
        rows = self._ask(Q["vector_spaces"], (*range_of(prefix), self._index(model)))
        return list(map(VectorSpace._make, rows))

    def vectors(self, space: int, model: str, after: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        """(item, its vectors) of the namespace, by item, of commits later than `after`."""
        if after <= 0:
            return self._ask(Q["all_vectors"], (space, self._index(model), start, limit))
        return self._ask(Q["vectors"], (space, self._index(model), after, start, limit))

    def embedded(self, space: int, model: str) -> list[int]:
        """The items of the namespace that have vectors, in order."""
        return [item for (item,) in self._ask(Q["embedded"], (space, self._index(model)))]

    def revision_at(self, at: int) -> Revision:
        """The greatest revision whose commit was made at or before."""
        return self._then().revision_at(_bounded(at))

    def time_of(self, revision: Revision) -> int:
        """When that commit was made."""
        return self._then().time_of(revision)

    def floor(self) -> Revision:
        """Of an older revision than this, deleted items may be gone without a trace."""
        return self._then().floor()

    def disagreements(self) -> list[tuple[str, int]]:
        """Where what words find does not agree with the items."""

        def ask(name: str, *values: Any) -> list[Any]:
            return self._ask(Q[name], values)

        return checking.disagreements(ask, self._ask_many)

    def forgettable(self, prefix: Namespace) -> Forgettable:
        """What `ForgetItems` would take."""

        def ask(name: str, *values: Any) -> list[Any]:
            return self._ask(Q[name], values)

        return forgetting.counted(ask, range_of(prefix))

    def history(self, namespace: Namespace, key: str, limit: int) -> History:
        """The item's newest kept versions."""
        where = (encode_namespace(namespace), text_to_bytes(key))
        rows = self._ask(Q["history"], (*where, min(limit, _LAST)))
        return History(
            [_item(namespace, key, row[1:]) for row in rows], whole=not rows or rows[-1][0] is None
        )

    def item_at(
        self, namespace: Namespace, key: str, revision: Revision, at: int | None = None
    ) -> ItemRow | None:
        """The item as it was then."""
        at = self.time_of(revision) if at is None else at
        row = self._then().item(encode_namespace(namespace), text_to_bytes(key), revision, at)
        return None if row is None else _item(namespace, key, row)

    def items_at(
        self, prefix: Namespace, revision: Revision, before: int | None, limit: int, at: int | None = None
    ) -> list[ItemRow]:
        """Items of the subtree as they were then, greatest version first."""
        first, end = range_of(prefix)
        at = _bounded(self.time_of(revision) if at is None else at)
        below = _LAST if before is None else max(0, min(before, _LAST))
        replaced = self._then().replaced((first, end), revision, at, below, min(limit, _LAST))
        living = self._items_living(prefix, min(below, first_after(revision)), limit, at)
        untouched = [row if row.paths is None else row._replace(paths=None) for row in living]
        both = sorted([*_items(replaced), *untouched], key=lambda row: -row.version)
        return both[:limit]

    def namespaces_at(self, prefix: Namespace, revision: Revision, at: int | None = None) -> list[Namespace]:
        """Namespaces of the subtree that held a live item then."""
        at = _bounded(self.time_of(revision) if at is None else at)
        return [decode_namespace(name) for name in self._then().namespaces(range_of(prefix), revision, at)]

    def touched(self, prefix: Namespace, after: Revision, thread: str | None) -> list[tuple[Namespace, str]]:
        """Items of the subtree with a later version, of that thread if it is given."""
        rows = self._then().touched(range_of(prefix), after, thread)
        return [(decode_namespace(name), bytes_to_text(key)) for name, key in rows]

    def count(self, table: str) -> int:
        """Rows of a table, by its name in the contract."""
        if table not in _TABLES:
            raise ValueError(f"unknown table {table!r}; there are {', '.join(_TABLES)}")
        ((rows,),) = self._ask(C[f"count_{table}"])
        return int(rows)


def _bounded(at: int) -> int:
    """A time that fits into a column, of the same meaning."""
    return max(-_LAST, min(at, _LAST))


def _checkpoint(thread: str, ns: str, row: Sequence[Any]) -> CheckpointRow:
    id, parent, parent_ns, step, source, at, run, whole, seq, metadata, state = row
    if parent is not None:
        parent_ns = ns if parent_ns is None else bytes_to_text(parent_ns)
    return CheckpointRow(
        thread,
        ns,
        unpack_id(id),
        parent_ns,
        None if parent is None else unpack_id(parent),
        step,
        SOURCES[source] if type(source) is int else bytes_to_text(source),
        at + time_in(id),
        None if run is None else unpack_id(run),
        whole == 1,
        state,
        metadata,
        Revision(0, seq),
    )


def _write(place: Chained, row: Sequence[Any]) -> WriteRow:
    task, index, path, channel, payload = row
    return WriteRow(*place, unpack_task(task), index, bytes_to_text(path), bytes_to_text(channel), payload)


def _order_of_writes(row: WriteRow) -> tuple[str, str, int]:
    return row.path, row.task, row.index


def _items(rows: list[Any]) -> list[ItemRow]:
    spaces: dict[bytes, Namespace] = {}
    found: list[ItemRow] = []
    for name, key, *rest in rows:
        space = spaces.get(name)
        if space is None:
            space = spaces[name] = decode_namespace(name)
        found.append(_item(space, bytes_to_text(key), rest))
    return found


def _item(namespace: Namespace, key: str, row: Sequence[Any]) -> ItemRow:
    version, created, updated, thread, checkpoint, node, actor, value, paths, expires, ttl = row
    if thread is None and checkpoint is None and node is None and actor is None:
        origin = Origin()
    else:
        origin = Origin(
            _text(thread), None if checkpoint is None else unpack_id(checkpoint), _text(node), _text(actor)
        )
    return ItemRow(
        namespace,
        key,
        value,
        updated if created is None else created,
        updated,
        version,
        Revision(0, version >> 20),
        origin,
        None if paths is None else tuple(json.loads(paths)),
        expires,
        ttl,
    )


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else bytes_to_text(stored)
