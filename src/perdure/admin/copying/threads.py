"""Threads brought over one by one: each is one commit of the target, with its mark, and is read back and compared.

Here: what has changed, the rows for the other database, their digest. Not here: memory (`memory.py`), which must stand as of a
thread's newest checkpoint before it is written, so that its checkpoints find their memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from perdure.admin.copying.histories import told
from perdure.admin.copying.marks import Copied, Marks
from perdure.admin.copying.memory import MemoryCopy
from perdure.admin.insides import codec_of, item_codec_of, threads_of
from perdure.checkpoint.copying import Copier, ThreadRows, copied, rows_of
from perdure.checkpoint.face import own_pieces
from perdure.codec import Codec
from perdure.database import Database
from perdure.engine.headcache import HEADS
from perdure.errors import StorageError
from perdure.storage import outcome
from perdure.storage.contract import (
    CheckpointRow,
    HeadIs,
    RemoveThread,
    Revision,
    Snapshot,
    StagedRow,
    commit_now,
    staged_of,
)
from perdure.storage.item_codec import ItemCodec

__all__ = ["Pass", "ThreadsCopy"]

_ALL: Final = 1 << 30
_GUARD, _BASE = 2, 3  # where versions of this database stand in what is staged (`engine/records.py`)


@dataclass(slots=True)
class Pass:
    """One look at all threads: how many were copied, were gone, were the same as before, are left for the next pass."""

    copied: int = 0
    removed: int = 0
    same: int = 0
    left: int = 0


class ThreadsCopy:
    """Threads of one source, in one target."""

    def __init__(self, source: Database, target: Database, marks: Marks, memory: MemoryCopy) -> None:
        self._source = source
        self._target = target
        self._marks = marks
        self._memory = memory
        self._ours, self._theirs = codec_of(source), codec_of(target)
        self._items, self._other_items = item_codec_of(source), item_codec_of(target)
        self._plain: Codec = own_pieces()

    def digest(self) -> str:
        """One for all threads that were copied, in hex."""
        hashed = hashlib.sha256()
        for thread, known in sorted(self._marks.threads.items()):
            hashed.update(repr((thread, known.digest)).encode())
        return hashed.hexdigest()

    def moments(self) -> tuple[Revision, list[Revision]]:
        """The source's newest revision, and in order all those up to it that made a checkpoint."""
        with self._source.backend.read() as now:
            end = now.revision()
        found: set[Revision] = set()
        for thread in threads_of(self._source):
            with self._source.backend.read() as now:
                rows = now.checkpoints(thread, None, None, None)
            found.update(row.revision for row in rows if row.revision is not None and row.revision <= end)
        return end, sorted(found)

    def run(self, progress: Callable[[int, int], object] | None = None) -> Pass:
        """Brings over what has changed since it was copied last.

        Raises:
            StorageError: the target has threads that this copy has not brought, or has changed one of them.
        """
        done, names = Pass(), list(threads_of(self._source))
        self._refuse_others()
        for number, thread in enumerate(names, 1):
            match self._thread(thread):
                case None:
                    done.same += 1
                case True:
                    done.copied += 1
                case False:
                    done.left += 1
            if progress is not None:
                progress(number, len(names))
        for thread in sorted(self._marks.threads.keys() - set(names)):
            done.removed += self._gone(thread)
        return done

    def _refuse_others(self) -> None:
        for thread in threads_of(self._target):
            if thread not in self._marks.threads:
                raise self._not_ours(thread)

    def _not_ours(self, thread: str) -> StorageError:
        return StorageError(
            f"thread {thread!r} of the target is not what was copied: somebody else wrote it. It was not overwritten.",
            operation="copy",
            where=self._target.backend.identity,
            hint="Copy into a new database, and let nobody use it before it is done.",
        )

    def _thread(self, thread: str) -> bool | None:
        """Whether it was copied; None: it is the same as before. False: memory must be brought up to it first."""
        known = self._marks.threads.get(thread)
        with self._source.backend.read() as now:
            fingerprint = _fingerprint(now, thread)
            if fingerprint is None or (known is not None and known.fingerprint == fingerprint):
                return None
            rows = rows_of(now, thread)
            newest = now.revision()
        assert rows is not None  # noqa: S101 - it has a fingerprint
        needed = newest if rows.staged else max(row.revision or newest for row in rows.checkpoints)
        if needed > self._memory.done:
            if self._memory.mortal:  # moments of other threads lie between
                return False
            self._memory.advance(newest)
        plain = copied(rows, Copier(self._ours, self._plain, thread, thread))
        digest = self._digest(plain, self._items)
        made = copied(plain, Copier(self._plain, self._theirs, thread, thread))
        made = made._replace(
            checkpoints=[
                self._at_its_moment(row, old.revision)
                for row, old in zip(made.checkpoints, rows.checkpoints, strict=True)
            ],
            staged=[self._staged(row) for row in plain.staged],
        )
        self._write(thread, made, known, Copied(fingerprint, digest))
        return True

    def _at_its_moment(self, row: CheckpointRow, revision: Revision | None) -> CheckpointRow:
        """The row as of the target's revision whose memory is that which the checkpoint was made with."""
        return row._replace(revision=None if revision is None else self._memory.at(revision))

    def _write(self, thread: str, rows: ThreadRows, known: Copied | None, mark: Copied) -> None:
        backend = self._target.backend
        with backend.read() as now:
            standing = dict(now.heads(thread))
            self._check_ours(now, thread, known)
        heads = [HeadIs(thread, ns, standing.get(ns)) for ns in {*standing, *dict(rows.heads)}]
        commit = commit_now(
            heads=heads,
            removals=[RemoveThread(thread)] if standing else [],
            runs=rows.runs,
            checkpoints=rows.checkpoints,
            segments=rows.segments,
            writes=[*rows.writes, self._marks.of_thread(thread, mark)],
            staged=rows.staged,
        )
        outcome.commit(backend, commit)
        for head in heads:
            HEADS.take(backend, thread, head.ns)
        with backend.read() as now:
            self._check_ours(now, thread, mark)
        self._marks.threads[thread] = mark

    def _gone(self, thread: str) -> bool:
        """The source has it no more, so the target hasn't either."""
        backend = self._target.backend
        with self._source.backend.read() as now:
            if now.heads(thread):
                return False  # it came back meanwhile
        with backend.read() as now:
            standing = now.heads(thread)
            self._check_ours(now, thread, self._marks.threads[thread])
        heads = [HeadIs(thread, ns, head) for ns, head in standing]
        mark = self._marks.of_thread(thread, None)
        outcome.commit(backend, commit_now(heads=heads, removals=[RemoveThread(thread)], writes=[mark]))
        del self._marks.threads[thread]
        return True

    def _check_ours(self, now: Snapshot, thread: str, known: Copied | None) -> None:
        """Passes a thread of the target that is what was copied; None: that isn't there."""
        rows = rows_of(now, thread)
        if rows is None and known is None:
            return
        if rows is not None and known is not None:
            plain = copied(rows, Copier(self._theirs, self._plain, thread, thread))
            if self._digest(plain, self._other_items) == known.digest:
                return
        raise self._not_ours(thread)

    # ---- staged memory

    def _content(self, row: StagedRow) -> list[Any]:
        return list(cast("list[Any]", self._plain.decode(row.payload)))

    def _staged(self, row: StagedRow) -> StagedRow:
        """The operation with the versions that it expects, as they are called in the target, under the target's cipher."""
        content = self._content(row)
        if content[0] is not None:
            plain = self._items.unseal(row.namespace, row.key, content[0])
            content[0] = self._other_items.seal(row.namespace, row.key, plain)
        for place in (_GUARD, _BASE):
            content[place] = [self._version(row, version) for version in content[place]]
        sealed = row._replace(payload=self._plain.encode(content))
        return Copier(self._plain, self._theirs, row.thread, row.thread).staged(sealed)

    def _version(self, row: StagedRow, version: int | None) -> int | None:
        """What a version of the item is called in the target; -1, which none is, where it is kept no more."""
        if version is None:
            return None
        with self._source.backend.read() as here, self._target.backend.read() as there:
            ours = told(here.history(row.namespace, row.key, _ALL).versions, self._memory.done)
            theirs = told(there.history(row.namespace, row.key, _ALL).versions)
        found = next((place for place, one in enumerate(ours) if one.version == version), len(theirs))
        return theirs[found].version if found < len(theirs) else -1

    # ---- what it is, in one number

    def _digest(self, rows: ThreadRows, items: ItemCodec) -> str:
        """SHA-256 of the thread's rows in the clear; not of revisions, nor of the numbers of versions."""
        hashed = hashlib.sha256()
        for row in sorted(rows.runs, key=lambda row: row.id):
            hashed.update(repr(tuple(row)).encode())
        for row in sorted(rows.checkpoints, key=lambda row: (row.ns, row.id)):
            hashed.update(repr(tuple(row._replace(revision=None))).encode())
        for row in sorted(rows.segments, key=lambda row: (row.log, row.start)):
            hashed.update(repr(tuple(row)).encode())
        for row in sorted(rows.writes, key=lambda row: (row.ns, row.checkpoint, row.task, row.index)):
            hashed.update(repr(tuple(row)).encode())
        for row in sorted(rows.staged, key=lambda row: (row.ns, row.checkpoint, row.task, row.index)):
            content = self._content(row)
            if content[0] is not None:
                content[0] = items.unseal(row.namespace, row.key, content[0])
            for place in (_GUARD, _BASE):
                content[place] = [version is None for version in content[place]]
            hashed.update(repr((tuple(row._replace(payload=b"")), content)).encode())
        return hashed.hexdigest()


def _fingerprint(now: Snapshot, thread: str) -> str | None:
    """Another one after any commit to the thread. Costs its small rows; what logs hold never changes without them."""
    rows = now.checkpoints(thread, None, None, None)
    if not rows:
        return None
    hashed = hashlib.sha256()
    for row in rows:
        hashed.update(repr((row.ns, row.id, row.revision, row.state, row.metadata)).encode())
    places = [(thread, row.ns, row.id) for row in rows]
    for written in now.writes_of(places).values():
        hashed.update(repr([tuple(row) for row in written]).encode())
    staged = staged_of(now, places)
    for place in places:
        if left := staged.get(place):
            hashed.update(repr([tuple(one) for one in left]).encode())
    hashed.update(repr(now.logs(thread)).encode())
    return hashed.hexdigest()
