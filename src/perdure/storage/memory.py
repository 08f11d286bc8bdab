"""The reference backend: plain dicts under one lock. What it answers is what every other backend must answer.

Here: the contract, as simply as it can be said. Not here: durability (the data ends with the process).
A snapshot holds the lock, so it is exact and short: nobody runs user code inside one.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from typing import Any, TypeAlias, TypeVar

from perdure import clock
from perdure.errors import Conflict, StorageError
from perdure.storage.contract import (
    EXPIRED,
    Backend,
    Chained,
    CheckpointIs,
    CheckpointRow,
    Commit,
    Embedded,
    Filed,
    FileItem,
    ForgetItems,
    Forgettable,
    History,
    ItemRow,
    Namespace,
    Outcome,
    Posting,
    PruneHistory,
    PruneVersions,
    PutItem,
    RefreshItem,
    RemoveCheckpoint,
    RemoveResult,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
    Revision,
    RunRow,
    SegmentRow,
    Snapshot,
    StagedRow,
    SubtreeIs,
    SweepItem,
    TextTotals,
    ThreadIs,
    UnfileItems,
    VectorSpace,
    WriteRow,
    check_items,
    stale_thread,
    unmet,
    version_conflict,
)
from perdure.storage.lifetimes import Life, is_over, life_of
from perdure.storage.memory_past import Past, versions_down
from perdure.storage.memory_texts import Texts
from perdure.storage.memory_vectors import Vectors
from perdure.storage.standing import Anchors, Near, all_near

_R = TypeVar("_R", str, tuple[int, int], SegmentRow)
_Put: TypeAlias = tuple[
    ItemRow | None, ItemRow | None, Filed | None, Embedded | None, ItemRow | None
]  # an item as it stood, as it is now, how it is filed; the deletion of one that had expired, which comes first
_names = count(1)
_forks = (
    object()
)  # another one in a child of `fork`: asked at every commit, it costs less than the process's id
_REMOVALS = (
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


def _forked() -> None:
    global _forks
    _forks = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class _Chain:
    """Checkpoints of one (thread, ns): rows by id, ids in order."""

    __slots__ = ("ids", "rows", "staged", "writes")

    def __init__(self) -> None:
        self.rows: dict[str, CheckpointRow] = {}
        self.ids: list[str] = []
        self.writes: dict[str, dict[tuple[str, int], WriteRow]] = {}
        self.staged: dict[str, dict[tuple[str, int], StagedRow]] = {}


class _Thread:
    __slots__ = ("chains", "logs", "runs")

    def __init__(self) -> None:
        self.chains: dict[str, _Chain] = {}
        self.logs: dict[int, list[SegmentRow]] = {}
        self.runs: dict[str, RunRow] = {}


class MemoryBackend:
    """A database that lives as long as this object, in this process only."""

    def __init__(self, name: str | None = None) -> None:
        self._identity = f"memory:{name if name is not None else next(_names)}"
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._forks = _forks
        self._seq = 0
        self._versions = 0
        self._commits: dict[bytes, Revision] = {}
        self._times: list[int] = []  # when each commit was made
        self._threads: dict[str, _Thread] = {}
        self._items: dict[Namespace, dict[str, ItemRow]] = {}
        self._history: dict[int, ItemRow] = {}  # by version, in order, live versions too
        self._ended: list[tuple[int, int]] = []  # (when it was replaced or deleted, version), in order
        self._deleted: dict[
            tuple[Namespace, str], ItemRow
        ] = {}  # the deletions of items that are gone, while kept
        self._mortal: set[tuple[Namespace, str]] = set()  # live items that have an end
        self._texts = Texts()
        self._vectors = Vectors()
        self._before: dict[
            int, tuple[int, int]
        ] = {}  # of a version that replaced one: that one, kept or not, and its seq
        self._floor = 0  # seq of the last deletion that is kept no more
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        items = sum(map(len, self._items.values()))
        return f"<MemoryBackend {self._identity} {state}, {len(self._threads)} threads, {items} items>"

    @property
    def identity(self) -> str:
        """This object's own name: two memory backends are never one database."""
        return self._identity

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Later calls raise StorageError."""
        with self._lock:
            self._closed = True

    def vacuum(self) -> None:
        """Nothing to give back: freed rows are the interpreter's business."""

    def scrub(self, wait_seconds: float, /) -> None:
        """Nothing to do: there is no file."""

    def change_token(self) -> object:
        """The number of commits so far."""
        return self._seq

    def commit(self, commit: Commit, /) -> Revision:
        """All of it or an error: see the contract."""
        with self._lock:
            if self._closed or self._forks is not _forks:
                self._check_open()
            self._check(commit)
            return _applied((self, commit))

    def commit_group(self, commits: Sequence[Commit], /) -> list[Outcome]:
        """One outcome a commit, in order."""
        with self._lock:
            self._check_open()
        outcomes: list[Outcome] = []
        for commit in commits:
            try:
                outcomes.append(self.commit(commit))
            except (Conflict, StorageError) as error:
                outcomes.append(error)
        return outcomes

    def commit_soon(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """Commits at once: there is nothing to wait for."""
        outcome: Outcome
        try:
            outcome = self.commit(commit)
        except (Conflict, StorageError) as error:
            outcome = error
        done(outcome)

    @property
    def inline(self) -> bool:
        """True: a dict keeps nobody waiting."""
        return True

    def joins(self, other: Backend, /) -> bool:
        """True for another memory backend: saver and store of one program, made apart."""
        return isinstance(other, MemoryBackend)

    def commit_with(self, commit: Commit, other: Backend, others: Commit, /) -> Revision:
        """Both or neither, under both locks."""
        if not isinstance(other, MemoryBackend):
            raise StorageError(
                f"{self._identity} cannot commit together with {other!r}; nothing was written."
            )
        first, second = sorted((self, other), key=id)
        with first._lock, second._lock:
            for backend, part in ((self, commit), (other, others)):
                backend._check_open()
                backend._check(part)
            return _applied((self, commit), (other, others))

    @contextmanager
    def read(self) -> Generator[Snapshot]:
        """A snapshot; it holds the lock."""
        with self._lock:
            self._check_open()
            yield _MemorySnapshot(self)

    # -- inside the lock ---------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError(
                f"{self._identity} is closed; nothing was written. Open it again before using it."
            )
        if self._forks is not _forks:
            raise StorageError(
                f"{self._identity} was made in process {self._pid} and this is its fork {os.getpid()}: memory is not"
                " shared between processes, so what is written here would be lost. Use connect('sqlite:///FILE')."
            )

    def _head(self, thread: str, ns: str) -> str | None:
        known = self._threads.get(thread)
        chain = known.chains.get(ns) if known else None
        return chain.ids[-1] if chain and chain.ids else None

    def _check(self, commit: Commit) -> None:
        for head in commit.heads:
            thread, ns, checkpoint, revision = head
            if self._head(thread, ns) != checkpoint:
                raise stale_thread(head, self._head(thread, ns))
            if (
                revision is not None
                and self._threads[thread].chains[ns].rows[str(checkpoint)].revision != revision
            ):
                raise stale_thread(head, checkpoint)
        for want in commit.rests:
            if not self._rests(want):
                raise unmet(want)
        if commit.versions:
            found = [(want, self._version(want.namespace, want.key, commit.at)) for want in commit.versions]
            failed = [(want, version) for want, version in found if version != want.version]
            if failed:
                raise version_conflict(failed)
        for removal in commit.removals:
            if not isinstance(removal, _REMOVALS):  # pyright: ignore[reportUnnecessaryIsInstance] - kinds to come
                raise StorageError(
                    f"this backend does not know the removal {removal!r}; nothing was written."
                )
        if commit.segments:
            self._check_segments(commit)
        check_items(commit.items)

    def _rests(self, want: CheckpointIs | ThreadIs | SubtreeIs) -> bool:
        if isinstance(want, SubtreeIs):
            return _MemorySnapshot(self).forgettable(want.prefix) == want.holds
        known = self._threads.get(want.thread)
        chains = known.chains if known else {}
        if isinstance(want, ThreadIs):
            rows = [row for chain in chains.values() for row in chain.rows.values()]
            return all(row.revision is not None and row.revision <= want.revision for row in rows)
        row = chains[want.ns].rows.get(want.checkpoint) if want.ns in chains else None
        return row is not None and want.revision in (None, row.revision)

    def _check_segments(self, commit: Commit) -> None:
        seen: set[tuple[str, int, int]] = set()
        for row in commit.segments:
            log = self._threads[row.thread].logs.get(row.log, []) if row.thread in self._threads else []
            at = bisect_left(log, row.start, key=lambda have: have.start)
            taken = at < len(log) and log[at].start == row.start and not _replaced(row, commit)
            if taken or row[:3] in seen:
                raise StorageError(
                    f"segment {row.log}/{row.start} of thread {row.thread!r} exists; nothing was written."
                )
            seen.add((row.thread, row.log, row.start))

    def _version(self, namespace: Namespace, key: str, at: int) -> int | None:
        row = self._items.get(namespace, {}).get(key)
        return None if row is None or is_over(row.expires, at) else row.version

    def _apply(self, commit: Commit, revision: Revision, puts: list[_Put]) -> None:
        """Every effect of the commit; again with the same `puts`, after it was left in the middle: what was not done yet."""
        self._seq = revision.seq
        self._commits[commit.id] = revision
        if len(self._times) < revision.seq:
            self._times.append(commit.at)
        for removal in commit.removals:
            self._remove(removal)
        for run in commit.runs:
            self._thread(run.thread).runs.setdefault(run.id, run)
        for row in commit.checkpoints:
            chain = self._chain(row[0], row[1])
            id, ids = row.id, chain.ids
            if not ids or id > ids[-1]:
                ids.append(id)
            else:
                _place(ids, id)
            chain.rows[id] = CheckpointRow._make((*row[:-1], row[-1] or revision))
        for segment in commit.segments:
            _place(self._thread(segment.thread).logs.setdefault(segment.log, []), segment)
        for write in commit.writes:
            kept = self._chain(write.thread, write.ns).writes.setdefault(write.checkpoint, {})
            if write.index < 0 or (write.task, write.index) not in kept:
                kept[write.task, write.index] = write
        for staged in commit.staged:
            chain = self._chain(staged.thread, staged.ns)
            chain.staged.setdefault(staged.checkpoint, {}).setdefault((staged.task, staged.index), staged)
        if puts:
            self._put(*puts[-1])
        for item in commit.items[len(puts) :]:
            puts.append(self._seen(item, commit.at, revision))
            self._put(*puts[-1])
        for filing in commit.filings:
            self._file(filing, revision)
        sweeps = [life for life in commit.lives if isinstance(life, SweepItem)]
        for life in commit.lives:
            if isinstance(life, RefreshItem):
                self._refresh(life)
        for sweep in sweeps[max(0, len(puts) - len(commit.items)) :]:
            puts.append(self._swept(sweep, commit.at, revision))
            self._put(*puts[-1])

    def _seen(self, put: PutItem, at: int, revision: Revision) -> _Put:
        """The item as it stands, and as it is to be. Changes nothing."""
        namespace, key, value, origin, filed, paths, embedded, ttl, expires, keeps, times = put
        written = at if times is None else times[1]
        live = self._items.get(namespace, {}).get(key)
        over = None
        version = self._versions + 1
        if live is not None and is_over(live.expires, at):
            over = self._deletion(live, at, version, revision)
            version += 1
        stands = None if over else live
        if stands is None and value is None:
            return live, None, None, None, over  # deleting what isn't there changes nothing
        before = over or live or self._deleted.get((namespace, key))
        updated = max(written, before.updated_at) if before else written
        created = times[0] if times else stands.created_at if stands else updated
        if before:
            self._before[version] = (before.version, before.revision.seq)
        life = life_of(ttl, expires, Life(stands.expires, stands.ttl) if stands and keeps else None, at)
        if value is None:
            paths, life = None, Life(None, None)
        row = ItemRow(namespace, key, value, created, updated, version, revision, origin, paths, *life)
        return live, row, filed, embedded, over

    def _swept(self, sweep: SweepItem, at: int, revision: Revision) -> _Put:
        """As `_seen`: the deletion of what has expired, if it has."""
        live = self._items.get(sweep.namespace, {}).get(sweep.key)
        if live is None or not is_over(live.expires, at):
            return None, None, None, None, None
        return live, None, None, None, self._deletion(live, at, self._versions + 1, revision)

    def _deletion(self, live: ItemRow, at: int, version: int, revision: Revision) -> ItemRow:
        self._before[version] = (live.version, live.revision.seq)
        updated = max(at, live.updated_at)
        where = live.namespace, live.key
        return ItemRow(*where, None, live.created_at, updated, version, revision, EXPIRED)

    def _refresh(self, life: RefreshItem) -> None:
        """Done again, it changes nothing."""
        live = self._items.get(life.namespace, {}).get(life.key)
        if live is not None and live.version == life.version and live.expires is not None:
            row = live._replace(expires=max(live.expires, life.expires))
            self._history[row.version] = row
            self._items[life.namespace][life.key] = row

    def _put(
        self,
        live: ItemRow | None,
        row: ItemRow | None,
        filed: Filed | None,
        embedded: Embedded | None,
        over: ItemRow | None,
    ) -> None:
        """Done again, it changes nothing."""
        if over is not None:
            self._put(live, over, None, None, None)
            live = None
        if row is None:
            return
        where = namespace, key = row.namespace, row.key
        self._versions = row.version
        self._history[row.version] = row
        if live:
            _place(self._ended, (row.updated_at, live.version))
        if row.value is None:
            _place(self._ended, (row.updated_at, row.version))
            self._deleted[where] = row
            self._embed(where, None, row.revision)
            self._mortal.discard(where)
            self._texts.remove(where)
            self._items.get(namespace, {}).pop(key, None)
            if not self._items.get(namespace):
                self._items.pop(namespace, None)
        else:
            self._deleted.pop(where, None)
            self._items.setdefault(namespace, {})[key] = row
            if row.expires is None:
                self._mortal.discard(where)
            else:
                self._mortal.add(where)
            self._texts.file(where, filed, to_find=row.paths != ())
            self._embed(where, None if row.paths == () else embedded, row.revision)

    def _embed(self, where: tuple[Namespace, str], embedded: Embedded | None, revision: Revision) -> None:
        ref = self._texts.ref(where)
        if ref is not None:
            self._vectors.put(ref, where[0], embedded, revision.seq)

    def _file(self, filing: FileItem, revision: Revision) -> None:
        live = self._items.get(filing.namespace, {}).get(filing.key)
        if live is not None and live.version == filing.version:
            where = filing.namespace, filing.key
            self._texts.file(where, filing.filed, to_find=live.paths != ())
            if filing.embedded is not None and filing.embedded.data and live.paths != ():
                self._embed(where, filing.embedded, revision)

    def _thread(self, thread: str) -> _Thread:
        return self._threads.get(thread) or self._threads.setdefault(thread, _Thread())

    def _chain(self, thread: str, ns: str) -> _Chain:
        chains = self._thread(thread).chains
        return chains.get(ns) or chains.setdefault(ns, _Chain())

    def _remove(self, removal: object) -> None:
        """Done again, it changes nothing."""
        match removal:
            case RemoveThread(thread):
                self._threads.pop(thread, None)
            case RemoveCheckpoint(thread, ns, id):
                chain = self._chain(thread, ns)
                chain.rows.pop(id, None)
                if id in chain.ids:
                    chain.ids.remove(id)
                chain.writes.pop(id, None)
                chain.staged.pop(id, None)
            case RemoveRun(thread, id):
                self._thread(thread).runs.pop(id, None)
            case RemoveSegments(thread, log, start):
                logs = self._thread(thread).logs
                logs[log] = [row for row in logs.get(log, []) if row.start < start]
                if not logs[log]:
                    del logs[log]
            case RemoveStaged(thread, ns, checkpoint):
                self._chain(thread, ns).staged.pop(checkpoint, None)
            case RemoveWrites(thread, ns, checkpoint):
                kept = self._chain(thread, ns).writes.get(checkpoint, {})
                for at in [at for at in kept if at[1] >= 0]:
                    del kept[at]
            case RemoveResult(thread, ns, checkpoint, task):
                chain = self._chain(thread, ns)
                kept, staged = chain.writes.get(checkpoint, {}), chain.staged.get(checkpoint, {})
                for at in [at for at in kept if at[0] == task and at[1] >= 0]:
                    del kept[at]
                for at in [at for at in staged if at[0] == task]:
                    del staged[at]
            case PruneHistory(before, limit):
                end = min(bisect_left(self._ended, (before, 0)), max(limit, 0))
                gone = [version for _, version in self._ended[:end]]
                for version in gone:
                    self._drop_version(version)
                del self._ended[:end]
            case PruneVersions(items, keep, limit):
                for namespace, key in items:
                    self._prune_item(namespace, key, keep, limit)
            case UnfileItems():
                for space, rows in self._items.items():
                    for row in rows.values():
                        self._texts.file((space, row.key), None, to_find=row.paths != ())
            case ForgetItems(prefix):
                self._forget(prefix)
            case _:  # `_check` let no unknown one in
                raise AssertionError(removal)

    def _forget(self, prefix: Namespace) -> None:
        size = len(prefix)
        gone = {version for version, row in self._history.items() if row.namespace[:size] == prefix}
        if gone:
            self._floor = max(self._floor, self._seq)
        for space in [space for space in self._items if space[:size] == prefix]:
            for key in self._items[space]:
                self._mortal.discard((space, key))
                self._embed((space, key), None, Revision(0, self._seq))
                self._texts.remove((space, key))
                self._texts.drop((space, key))
            del self._items[space]
        for where in [where for where in self._deleted if where[0][:size] == prefix]:
            del self._deleted[where]
            self._texts.drop(where)
        self._ended = [one for one in self._ended if one[1] not in gone]
        for kept in self._all_staged():
            for at in [at for at, row in kept.items() if row.namespace[:size] == prefix]:
                del kept[at]
        for version in gone:
            self._before.pop(version, None)
            self._history.pop(version, None)

    def _living(self, prefix: Namespace) -> int:
        return sum(len(rows) for space, rows in self._items.items() if space[: len(prefix)] == prefix)

    def _all_staged(self) -> Iterator[dict[tuple[str, int], StagedRow]]:
        for thread in self._threads.values():
            for chain in thread.chains.values():
                yield from chain.staged.values()

    def _prune_item(self, namespace: Namespace, key: str, keep: int, limit: int) -> None:
        newest = self._items.get(namespace, {}).get(key) or self._deleted.get((namespace, key))
        line = [row for row in versions_down(newest, self._before, self._history) if row is not None]
        gone: list[tuple[int, int]] = []
        for place, row in enumerate(line):
            if place >= keep or (keep == 1 and line[0].value is None):
                ended = row if row.value is None else line[place - 1]  # a deletion ends when it happens
                gone.append((ended.updated_at, row.version))
        for when, version in gone[::-1][: max(limit, 0)]:
            at = bisect_left(self._ended, (when, version))
            if self._ended[at : at + 1] == [(when, version)]:
                del self._ended[at]
            self._drop_version(version)

    def _drop_version(self, version: int) -> None:
        """Done again, it changes nothing."""
        row = self._history.get(version)
        if row is not None and self._deleted.get((row.namespace, row.key)) is row:
            self._floor = max(self._floor, row.revision.seq)
            del self._deleted[row.namespace, row.key]
            self._texts.drop((row.namespace, row.key))
        self._before.pop(version, None)
        self._history.pop(version, None)


def _applied(*parts: tuple[MemoryBackend, Commit]) -> Revision:
    """All of these checked commits, whatever happens; the revision of the first. Inside the locks.

    A signal may end this thread's work anywhere in it. Then what was begun is ended before the signal goes on, or half
    a step would be seen. An error comes out as it is.
    """
    begun: list[tuple[MemoryBackend, Commit, Revision, list[_Put]]] = [
        (backend, commit, Revision(0, backend._seq + 1), [])  # pyright: ignore[reportPrivateUsage] - one file
        for backend, commit in parts
    ]
    try:
        for backend, commit, revision, puts in begun:
            backend._apply(commit, revision, puts)  # pyright: ignore[reportPrivateUsage]
    except BaseException as error:
        if not isinstance(error, Exception):
            for backend, commit, revision, puts in begun:
                backend._texts.tear()  # pyright: ignore[reportPrivateUsage]
                backend._apply(commit, revision, puts)  # pyright: ignore[reportPrivateUsage]
                backend._texts.mend()  # pyright: ignore[reportPrivateUsage]
        raise
    return begun[0][2]


def _place(rows: list[_R], row: _R) -> None:
    """The row in its place in the ordered list; fine if it is there."""
    at = bisect_left(rows, row)
    if at == len(rows) or rows[at] != row:
        rows.insert(at, row)


class _MemorySnapshot:
    def __init__(self, backend: MemoryBackend) -> None:
        self._db = backend
        self._past: Past | None = None  # made for whoever asks for it
        self._now = clock.micros()

    def now(self) -> int:
        return self._now

    def _find(self, thread: str, ns: str) -> _Chain:
        known = self._db._threads.get(thread)  # pyright: ignore[reportPrivateUsage] - one file, two classes
        return (known.chains.get(ns) if known else None) or _Chain()

    def revision(self) -> Revision:
        return Revision(0, self._db._seq)  # pyright: ignore[reportPrivateUsage]

    def committed(self, commit_id: bytes) -> Revision | None:
        return self._db._commits.get(commit_id)  # pyright: ignore[reportPrivateUsage]

    def head(self, thread: str, ns: str) -> str | None:
        return self._db._head(thread, ns)  # pyright: ignore[reportPrivateUsage]

    def standing(self, thread: str, ns: str) -> tuple[str, Revision] | None:
        chain = self._find(thread, ns)
        row = chain.rows[chain.ids[-1]] if chain.ids else None
        return None if row is None or row.revision is None else (row.id, row.revision)

    def heads(self, thread: str) -> list[tuple[str, str]]:
        known = self._db._threads.get(thread)  # pyright: ignore[reportPrivateUsage]
        return sorted((ns, chain.ids[-1]) for ns, chain in known.chains.items() if chain.ids) if known else []

    def threads(self, after: str | None, limit: int) -> list[str]:
        names = sorted(t for t, known in self._all() if any(c.ids for c in known.chains.values()))
        return names[0 if after is None else bisect_right(names, after) :][:limit]

    def _all(self) -> list[tuple[str, _Thread]]:
        return list(self._db._threads.items())  # pyright: ignore[reportPrivateUsage]

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
        known = self._db._threads.get(thread)  # pyright: ignore[reportPrivateUsage]
        return known.runs.get(id) if known else None

    def segments(self, thread: str, log: int, below: int) -> list[SegmentRow]:
        known = self._db._threads.get(thread)  # pyright: ignore[reportPrivateUsage]
        rows = known.logs.get(log, []) if known else []
        return [row for row in rows if row.start < below]

    def logs(self, thread: str) -> list[tuple[int, int]]:
        known = self._db._threads.get(thread)  # pyright: ignore[reportPrivateUsage]
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
        row = self._db._items.get(namespace, {}).get(key)  # pyright: ignore[reportPrivateUsage]
        if row is None or row.expires is None or row.expires > self._now:
            return row
        return None

    def items(self, prefix: Namespace, before: int | None, limit: int) -> list[ItemRow]:
        found = [
            row
            for namespace, rows in self._db._items.items()  # pyright: ignore[reportPrivateUsage]
            if namespace[: len(prefix)] == prefix
            for row in rows.values()
            if (before is None or row.version < before) and (row.expires is None or row.expires > self._now)
        ]
        return sorted(found, key=lambda row: -row.version)[:limit]

    def size(self, prefix: Namespace) -> int:
        over = [
            where
            for where in self._db._mortal  # pyright: ignore[reportPrivateUsage]
            if where[0][: len(prefix)] == prefix and self.item(*where) is None
        ]
        return self._db._living(prefix) - len(over)  # pyright: ignore[reportPrivateUsage]

    def namespaces(self, prefix: Namespace) -> list[Namespace]:
        items = self._db._items  # pyright: ignore[reportPrivateUsage]
        found = sorted(namespace for namespace in items if namespace[: len(prefix)] == prefix)
        if not self._db._mortal:  # pyright: ignore[reportPrivateUsage]
            return found
        return [n for n in found if any(not is_over(row.expires, self._now) for row in items[n].values())]

    def lapsed(self, prefix: Namespace, until: int, limit: int) -> list[ItemRow]:
        items = self._db._items  # pyright: ignore[reportPrivateUsage]
        found = [items[space][key] for space, key in self._db._mortal if space[: len(prefix)] == prefix]  # pyright: ignore[reportPrivateUsage]
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
        newest_first = reversed(self._db._history.values())  # pyright: ignore[reportPrivateUsage]
        return list(takewhile(lambda row: after is None or row.revision > after, newest_first))

    def complete_since(self, prefix: Namespace, after: Revision) -> Revision:
        before, kept = self._db._before, self._db._history  # pyright: ignore[reportPrivateUsage]
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
        return self._db._texts.totals(prefix, index)  # pyright: ignore[reportPrivateUsage]

    def postings(self, prefix: Namespace, index: str, term: str) -> list[Posting]:
        return self._db._texts.postings(prefix, index, term)  # pyright: ignore[reportPrivateUsage]

    def frequency(self, prefix: Namespace, index: str, term: str, most: int) -> int:
        return self._db._texts.frequency(prefix, index, term, most)  # pyright: ignore[reportPrivateUsage]

    def postings_in(self, refs: Sequence[int], index: str, term: str) -> list[Posting]:
        return self._db._texts.postings_in(refs, index, term)  # pyright: ignore[reportPrivateUsage]

    def terms(self, prefix: Namespace, index: str, beginning: str, limit: int) -> list[str]:
        return self._db._texts.terms(prefix, index, beginning, limit)  # pyright: ignore[reportPrivateUsage]

    def strays(self, prefix: Namespace, index: str) -> list[ItemRow]:
        places = self._db._texts.strays(prefix, index)  # pyright: ignore[reportPrivateUsage]
        found = [row for place in places if (row := self.item(*place)) is not None]
        return sorted(found, key=lambda row: row.version)

    def refs(self, places: Sequence[tuple[Namespace, str]]) -> dict[int, tuple[Namespace, str]]:
        texts = self._db._texts  # pyright: ignore[reportPrivateUsage]
        living = [place for place in places if self.item(*place) is not None]
        return {ref: place for place in living if (ref := texts.ref(place)) is not None}

    def versions(self, refs: Sequence[int]) -> dict[int, int]:
        return {ref: row.version for ref, row in self.rows(refs).items()}

    def rows(self, refs: Sequence[int]) -> dict[int, ItemRow]:
        places = self._db._texts.places  # pyright: ignore[reportPrivateUsage]
        return {ref: row for ref in refs if ref in places and (row := self.item(*places[ref])) is not None}

    # Where items stand: see the contract.

    def times(self, refs: Sequence[int]) -> dict[int, int]:
        return {ref: row.updated_at for ref, row in self.rows(refs).items()}

    def numbers(self, places: Sequence[tuple[Namespace, str]]) -> dict[tuple[Namespace, str], int]:
        texts = self._db._texts  # pyright: ignore[reportPrivateUsage]
        return {place: number for place in places if (number := texts.number(place)) is not None}

    def around(self, anchors: Anchors, count: int) -> list[Near]:
        items = self._db._items  # pyright: ignore[reportPrivateUsage]

        def rows_of(space: Namespace) -> list[ItemRow]:
            return [row for row in items.get(space, {}).values() if not is_over(row.expires, self._now)]

        return all_near(anchors, count, rows_of, self.numbers)

    def text_lengths(self, refs: Sequence[int], index: str) -> dict[int, int]:
        return self._db._texts.lengths(list(self.rows(refs)), index)  # pyright: ignore[reportPrivateUsage]

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        return self._db._vectors.spaces(prefix, model)  # pyright: ignore[reportPrivateUsage]

    @property
    def source(self) -> object:
        return self._db

    def vectors(self, space: int, model: str, after: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        del model  # a space has one
        return self._db._vectors.rows(space, after, start, limit)  # pyright: ignore[reportPrivateUsage]

    def embedded(self, space: int, model: str) -> list[int]:
        del model
        return self._db._vectors.refs(space)  # pyright: ignore[reportPrivateUsage]

    def revision_at(self, at: int) -> Revision:
        times = self._db._times  # pyright: ignore[reportPrivateUsage]
        return Revision(0, next((seq for seq in range(len(times), 0, -1) if times[seq - 1] <= at), 0))

    def _then(self) -> Past:
        if self._past is None:
            db = self._db
            self._past = Past(db._items, db._deleted, db._history, db._before, Revision(0, db._floor))  # pyright: ignore[reportPrivateUsage]
        return self._past

    def time_of(self, revision: Revision) -> int:
        times = self._db._times  # pyright: ignore[reportPrivateUsage]
        return times[revision.seq - 1] if 1 <= revision.seq <= len(times) else 0

    def floor(self) -> Revision:
        return self._then().floor

    def disagreements(self) -> list[tuple[str, int]]:
        return []  # its postings are made of what it keeps of each item, and of nothing else

    def forgettable(self, prefix: Namespace) -> Forgettable:
        size = len(prefix)
        db = self._db
        versions = [row for row in db._history.values() if row.namespace[:size] == prefix]  # pyright: ignore[reportPrivateUsage]
        staged = [
            row
            for kept in db._all_staged()  # pyright: ignore[reportPrivateUsage]
            for row in kept.values()
            if row.namespace[:size] == prefix
        ]
        threads = {row.origin.thread for row in versions} | {row.thread for row in staged}
        return Forgettable(
            db._living(prefix),  # pyright: ignore[reportPrivateUsage]
            len(versions),
            db._texts.count(prefix),  # pyright: ignore[reportPrivateUsage]
            db._vectors.count(prefix),  # pyright: ignore[reportPrivateUsage]
            len(staged),
            tuple(sorted(thread for thread in threads if thread is not None)),
        )

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
                return sum(map(len, self._db._items.values()))  # pyright: ignore[reportPrivateUsage]
            case "postings":
                return self._db._texts.count()  # pyright: ignore[reportPrivateUsage]
            case "vectors":
                return self._db._vectors.count(())  # pyright: ignore[reportPrivateUsage]
            case "history":
                return len(self._db._history)  # pyright: ignore[reportPrivateUsage]
            case _:
                raise ValueError(f"unknown table {table!r}")


def _replaced(row: SegmentRow, commit: Commit) -> bool:
    """Whether the commit itself removes the segment that `row` replaces (sealing, pruning)."""
    for removal in commit.removals:
        match removal:
            case RemoveSegments(row.thread, row.log, start) if start <= row.start:
                return True
            case RemoveThread(row.thread):
                return True
            case _:
                continue
    return False
