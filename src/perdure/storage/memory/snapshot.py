"""What the memory backend answers: every question of the contract, as simply as it can be said.

Here: `snapshot_of`. Not here: views of the past (`past.py`), words (`texts.py`), vectors (`vectors.py`).
It is used while the lock is held, so it is exact and short: nobody runs user code inside one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from heapq import merge
from itertools import islice, takewhile
from typing import Final

from perdure import clock
from perdure.errors import StorageError
from perdure.storage.contract import (
    Chained,
    CheckpointRow,
    Disagreement,
    Forgettable,
    History,
    ItemRow,
    Namespace,
    Posting,
    Revision,
    RunRow,
    SegmentRow,
    Snapshot,
    StagedRow,
    TextTotals,
    VectorSpace,
    WriteRow,
)
from perdure.storage.lifetimes import is_over
from perdure.storage.memory import checking
from perdure.storage.memory.past import Past
from perdure.storage.memory.removing import forgettable
from perdure.storage.memory.tables import Chain, Tables, Thread
from perdure.storage.path_ranges import PathRanges
from perdure.storage.standing import Anchors, Near, all_near

__all__ = ["snapshot_of"]

_LATER: Final = 1 << 63  # than every version


class _MemorySnapshot:
    __slots__ = ("_now", "_past", "_tables")

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._past: Past | None = None  # made for whoever asks for it
        self._now = clock.micros()

    def now(self) -> int:
        return self._now

    def _find(self, thread: str, ns: str) -> Chain:
        known = self._tables.threads.get(thread)
        return (known.chains.get(ns) if known else None) or Chain()

    def revision(self) -> Revision:
        return Revision(0, self._tables.seq)

    def committed(self, commit_id: bytes) -> Revision | None:
        return self._tables.commits.get(commit_id)

    def head(self, thread: str, ns: str) -> str | None:
        return self._tables.head(thread, ns)

    def standing(self, thread: str, ns: str) -> tuple[str, Revision] | None:
        chain = self._find(thread, ns)
        row = chain.rows[chain.ids[-1]] if chain.ids else None
        return None if row is None or row.revision is None else (row.id, row.revision)

    def heads(self, thread: str) -> list[tuple[str, str]]:
        known = self._tables.threads.get(thread)
        return sorted((ns, chain.ids[-1]) for ns, chain in known.chains.items() if chain.ids) if known else []

    def threads(self, after: str | None, limit: int) -> list[str]:
        names = sorted(t for t, known in self._all() if any(c.ids for c in known.chains.values()))
        return names[0 if after is None else bisect_right(names, after) :][:limit]

    def _all(self) -> list[tuple[str, Thread]]:
        return list(self._tables.threads.items())

    def checkpoint(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        return self._find(thread, ns).rows.get(id)

    def following(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        chain = self._find(thread, ns)
        at = bisect_right(chain.ids, id)
        return chain.rows[chain.ids[at]] if at < len(chain.ids) else None

    def lineage(self, thread: str, ns: str, id: str) -> list[CheckpointRow]:
        rows = self._find(thread, ns).rows
        found: list[CheckpointRow] = []
        at: str | None = id
        while at is not None and (row := rows.get(at)) is not None:
            found.append(row)
            if row.whole:
                return found
            at = row.parent
        if found:
            raise StorageError(
                f"checkpoint {id} of thread {thread!r} rests on {at}, which is missing from the database."
            )
        return found

    def checkpoints(
        self, thread: str | None, ns: str | None, before: str | None, limit: int | None
    ) -> list[CheckpointRow]:
        found: list[CheckpointRow] = []
        for name, known in self._all():
            if thread is None or name == thread:
                for space, chain in known.chains.items():
                    if ns is None or space == ns:
                        end = len(chain.ids) if before is None else bisect_left(chain.ids, before)
                        first = 0 if limit is None else max(0, end - limit)
                        found += [chain.rows[id] for id in chain.ids[first:end]]
        found.sort(key=lambda row: (row.thread, row.ns))
        found.sort(key=lambda row: row.id, reverse=True)
        return found if limit is None else found[:limit]

    def run(self, thread: str, id: str) -> RunRow | None:
        known = self._tables.threads.get(thread)
        return known.runs.get(id) if known else None

    def segments(self, thread: str, log: int, below: int) -> list[SegmentRow]:
        known = self._tables.threads.get(thread)
        rows = known.logs.get(log, []) if known else []
        return [row for row in rows if row.start < below]

    def logs(self, thread: str) -> list[tuple[int, int]]:
        known = self._tables.threads.get(thread)
        return (
            sorted((log, rows[-1].start + rows[-1].count) for log, rows in known.logs.items())
            if known
            else []
        )

    def writes(self, thread: str, ns: str, checkpoint: str) -> list[WriteRow]:
        rows = self._find(thread, ns).writes.get(checkpoint, {}).values()
        return sorted(rows, key=lambda row: (row.path, row.task, row.index))

    def writes_of(self, places: Sequence[Chained]) -> dict[Chained, list[WriteRow]]:
        return {place: rows for place in places if (rows := self.writes(*place))}

    def staged(self, thread: str, ns: str, checkpoint: str) -> list[StagedRow]:
        rows = self._find(thread, ns).staged.get(checkpoint, {}).values()
        return sorted(rows, key=lambda row: (row.task, row.index))

    def item(self, namespace: Namespace, key: str) -> ItemRow | None:
        row = self._tables.items.get(namespace, {}).get(key)
        if row is None or row.expires is None or row.expires > self._now:
            return row
        return None

    def preselected(
        self, prefix: Namespace, wanted: Sequence[PathRanges], before: int | None, limit: int
    ) -> list[ItemRow] | None:
        """None: there are no indexes of paths."""

    def items(self, prefix: Namespace, before: int | None, limit: int) -> list[ItemRow]:
        now, below = self._now, _LATER if before is None else before
        spaces = [
            reversed(rows.values())
            for namespace, rows in self._tables.items.items()
            if namespace[: len(prefix)] == prefix
        ]
        newest_first = spaces[0] if len(spaces) == 1 else merge(*spaces, key=lambda row: -row.version)
        living = (
            row for row in newest_first if row.version < below and (row.expires is None or row.expires > now)
        )
        return list(islice(living, max(limit, 0)))

    def size(self, prefix: Namespace) -> int:
        over = [
            where
            for where in self._tables.mortal
            if where[0][: len(prefix)] == prefix and self.item(*where) is None
        ]
        return self._tables.living(prefix) - len(over)

    def namespaces(self, prefix: Namespace) -> list[Namespace]:
        items = self._tables.items
        found = sorted(namespace for namespace in items if namespace[: len(prefix)] == prefix)
        if not self._tables.mortal:
            return found
        return [n for n in found if any(not is_over(row.expires, self._now) for row in items[n].values())]

    def lapsed(self, prefix: Namespace, until: int, limit: int) -> list[ItemRow]:
        items = self._tables.items
        found = [items[space][key] for space, key in self._tables.mortal if space[: len(prefix)] == prefix]
        over = [row for row in found if is_over(row.expires, until)]
        return sorted(over, key=lambda row: (row.expires or 0, row.version))[: max(limit, 0)]

    def changes(self, after: Revision | None, limit: int) -> list[ItemRow]:
        found: list[ItemRow] = []
        for row in reversed(self._since(after)):
            if len(found) >= limit and row.revision != found[-1].revision:
                break
            found.append(row._replace(paths=None))
        return found

    def _since(self, after: Revision | None) -> list[ItemRow]:
        """Kept versions later than `after`, newest first: costs nothing for what is older."""
        newest_first = reversed(self._tables.history.values())
        return list(takewhile(lambda row: after is None or row.revision > after, newest_first))

    def complete_since(self, prefix: Namespace, after: Revision) -> Revision:
        before, kept = self._tables.before, self._tables.history
        missing = [
            Revision(0, seq)
            for row in self._since(after)
            if row.namespace[: len(prefix)] == prefix
            for version, seq in [before.get(row.version, (row.version, 0))]
            if version not in kept
        ]
        return max(after, self.floor(), *missing)

    # What words find: see the contract.

    def text_totals(self, prefix: Namespace, index: str) -> TextTotals:
        return self._tables.texts.totals(prefix, index)

    def postings(self, prefix: Namespace, index: str, term: str) -> list[Posting]:
        return self._tables.texts.postings(prefix, index, term)

    def frequency(self, prefix: Namespace, index: str, term: str, most: int) -> int:
        return self._tables.texts.frequency(prefix, index, term, most)

    def postings_in(self, refs: Sequence[int], index: str, term: str) -> list[Posting]:
        return self._tables.texts.postings_in(refs, index, term)

    def terms(self, prefix: Namespace, index: str, beginning: str, limit: int) -> list[str]:
        return self._tables.texts.terms(prefix, index, beginning, limit)

    def strays(self, prefix: Namespace, index: str) -> list[ItemRow]:
        places = self._tables.texts.strays(prefix, index)
        found = [row for place in places if (row := self.item(*place)) is not None]
        return sorted(found, key=lambda row: row.version)

    def refs(self, places: Sequence[tuple[Namespace, str]]) -> dict[int, tuple[Namespace, str]]:
        texts = self._tables.texts
        living = [place for place in places if self.item(*place) is not None]
        return {ref: place for place in living if (ref := texts.ref(place)) is not None}

    def versions(self, refs: Sequence[int]) -> dict[int, int]:
        return {ref: row.version for ref, row in self.rows(refs).items()}

    def rows(self, refs: Sequence[int]) -> dict[int, ItemRow]:
        places, items, now = self._tables.texts.places, self._tables.items, self._now
        found: dict[int, ItemRow] = {}
        for ref in refs:
            if ref in places:
                space, key = places[ref]
                row = items.get(space, {}).get(key)
                if row is not None and (row.expires is None or row.expires > now):
                    found[ref] = row
        return found

    # Where items stand: see the contract.

    def times(self, refs: Sequence[int]) -> dict[int, int]:
        return {ref: row.updated_at for ref, row in self.rows(refs).items()}

    def numbers(self, places: Sequence[tuple[Namespace, str]]) -> dict[tuple[Namespace, str], int]:
        texts = self._tables.texts
        return {place: number for place in places if (number := texts.number(place)) is not None}

    def around(self, anchors: Anchors, count: int) -> list[Near]:
        items = self._tables.items

        def rows_of(space: Namespace) -> list[ItemRow]:
            return [row for row in items.get(space, {}).values() if not is_over(row.expires, self._now)]

        return all_near(anchors, count, rows_of, self.numbers)

    def text_lengths(self, refs: Sequence[int], index: str) -> dict[int, int]:
        return self._tables.texts.lengths(list(self.rows(refs)), index)

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        return self._tables.vectors.spaces(prefix, model)

    @property
    def source(self) -> object:
        return self._tables

    def vectors(self, space: int, model: str, after: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        del model  # a space has one
        return self._tables.vectors.rows(space, after, start, limit)

    def embedded(self, space: int, model: str) -> list[int]:
        del model
        return self._tables.vectors.refs(space)

    def owed(self, after: int, limit: int) -> list[ItemRow]:
        rows = self.rows(sorted(self._tables.vectors.owed)).values()
        return sorted((row for row in rows if row.version > after), key=lambda row: row.version)[:limit]

    def revision_at(self, at: int) -> Revision:
        times = self._tables.times
        return Revision(0, next((seq for seq in range(len(times), 0, -1) if times[seq - 1] <= at), 0))

    def _then(self) -> Past:
        if self._past is None:
            tables = self._tables
            self._past = Past(
                tables.items, tables.deleted, tables.history, tables.before, Revision(0, tables.floor)
            )
        return self._past

    def time_of(self, revision: Revision) -> int:
        times = self._tables.times
        return times[revision.seq - 1] if 1 <= revision.seq <= len(times) else 0

    def floor(self) -> Revision:
        return self._then().floor

    def disagreements(self) -> list[Disagreement]:
        return checking.disagreements(self._tables)

    def forgettable(self, prefix: Namespace) -> Forgettable:
        return forgettable(self._tables, prefix)

    def history(self, namespace: Namespace, key: str, limit: int) -> History:
        return self._then().history(namespace, key, limit)

    def item_at(
        self, namespace: Namespace, key: str, revision: Revision, at: int | None = None
    ) -> ItemRow | None:
        at = self.time_of(revision) if at is None else at
        found = self._then().item(namespace, key, revision)
        return None if found is None or is_over(found.expires, at) else found

    def items_at(
        self, prefix: Namespace, revision: Revision, before: int | None, limit: int, at: int | None = None
    ) -> list[ItemRow]:
        at = self.time_of(revision) if at is None else at
        return self._then().items(prefix, revision, at, before, limit)

    def around_at(
        self, anchors: Anchors, count: int, revision: Revision, at: int | None = None
    ) -> list[Near]:
        then = self.time_of(revision) if at is None else at

        def rows_of(space: Namespace) -> list[ItemRow]:
            view = self._then().view(space, revision)
            return [row for row in view if row.namespace == space and not is_over(row.expires, then)]

        return all_near(anchors, count, rows_of, self.numbers)

    def namespaces_at(self, prefix: Namespace, revision: Revision, at: int | None = None) -> list[Namespace]:
        at = self.time_of(revision) if at is None else at
        view = self._then().view(prefix, revision)
        return sorted({row.namespace for row in view if not is_over(row.expires, at)})

    def touched(self, prefix: Namespace, after: Revision, thread: str | None) -> list[tuple[Namespace, str]]:
        return self._then().touched(prefix, after, thread)

    def count(self, table: str) -> int:
        threads = [known for _, known in self._all()]
        chains = [chain for known in threads for chain in known.chains.values()]
        match table:
            case "checkpoints":
                return sum(len(chain.rows) for chain in chains)
            case "writes":
                return sum(len(rows) for chain in chains for rows in chain.writes.values())
            case "staged":
                return sum(len(rows) for chain in chains for rows in chain.staged.values())
            case "segments":
                return sum(len(rows) for known in threads for rows in known.logs.values())
            case "runs":
                return sum(len(known.runs) for known in threads)
            case "items":
                return sum(map(len, self._tables.items.values()))
            case "postings":
                return self._tables.texts.count()
            case "vectors":
                return self._tables.vectors.count(())
            case "history":
                return len(self._tables.history)
            case _:
                raise ValueError(f"unknown table {table!r}")


snapshot_of: Final[Callable[[Tables], Snapshot]] = _MemorySnapshot
"""A snapshot of these dicts; of no use after the lock is let go."""
