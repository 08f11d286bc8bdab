"""One database copied to another, of any two kinds, while the first is in use.

Threads and memory are brought over in passes: the first takes all, each later one what has changed since, until little is left;
the last one may happen while nobody writes. Whatever was done is marked in the target by the very commit that did it, so a
copy that was interrupted goes on where it was.
Here: `copy`, the passes. Not here: threads (`threads.py`), memory (`memory.py`), comparing (`comparing.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, TypeAlias

from perdure.admin.copying.comparing import Comparison, Seen
from perdure.admin.copying.marks import Marks
from perdure.admin.copying.memory import MemoryCopy
from perdure.admin.copying.threads import Pass, ThreadsCopy
from perdure.database import Database
from perdure.errors import PerdureError
from perdure.storage.contract import Administered
from perdure.storage.refreshing import pay

__all__ = ["CopyReport", "copy"]

PASSES: Final = 20  # then the last one begins, however much is left
FEW: Final = 10  # threads and versions that a pass brought over: the last one will be short
SCRUB_SECONDS: Final = 30.0

Progress: TypeAlias = Callable[[str, int, "int | None"], object]


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did, and what stands in the target now.

    Attributes:
        threads: in the target; each was read back and is equal by its digest.
        items: in the target with any version, gone ones included; each version was compared.
        namespaces: that they stand in.
        versions: of them.
        threads_copied: by this call, some perhaps more than once.
        threads_removed: that were deleted in the source since they were copied.
        versions_copied: by this call.
        erased: items of which the source had forgotten or pruned versions that had been copied.
        passes: this call made.
        frozen: whether the last pass happened while nobody could write to the source.
        changed: threads and versions that the last pass brought over.
        complete: whether the source was not written since the last pass began. False: run it again.
        digest_of_threads: SHA-256 over all threads' digests.
        digest_of_memory: SHA-256 over all namespaces' digests.
    """

    threads: int
    items: int
    namespaces: int
    versions: int
    threads_copied: int
    threads_removed: int
    versions_copied: int
    erased: int
    passes: int
    frozen: bool
    changed: int
    complete: bool
    digest_of_threads: str
    digest_of_memory: str


def copy(
    source: Database,
    target: Database,
    *,
    freeze: bool = False,
    wait_seconds: float = 30.0,
    while_frozen: Callable[[], object] | None = None,
    progress: Progress | None = None,
) -> CopyReport:
    """Threads and memory of `source` stand in `target`, compared; again: what has changed since.

    Threads come with their checkpoints, pending writes and staged memory; items with all kept versions, times, ends and
    origins, in the order in which they were written, so that `target.store.at(...)` of a time or of a checkpoint shows the
    memory that `source.store.at(...)` does, or raises `Compacted` where that does. Numbers of revisions and versions are new.
    Values are opened with the source's key and sealed with the target's. Items are filed by the target's `index=`; vectors
    come along, except into an encrypted target (`reindex()` makes those of `plaintext=` anew).

    Args:
        source: may be in use by any process.
        target: empty, or begun by an earlier copy of this source; nobody may use it before the copy is done.
        freeze: the last pass happens while writers of the source wait (`Administered.hold`): SQLite: in a held write
            transaction; those who wait longer than their time-out get `Busy`, with nothing written. Memory: under its lock.
            When it returns they go on, on the source: stop them, or have them go to the target, `while_frozen`.
        wait_seconds: for other writers, before it is frozen.
        while_frozen: called after the last pass, before the source is let go.
        progress: called with what is done ("threads", "versions", "compared"), how much, and of how much if that is known.

    Raises:
        PerdureError: the target is not empty and not of this source, or both are one database, or `source` cannot be frozen.
        StorageError: somebody else wrote to the target; nothing of that was overwritten.
        Busy: it could not be frozen in time. All that was copied stays.
    """
    if source.backend.identity == target.backend.identity:
        raise PerdureError("source and target are one database. Nothing was copied.")
    if freeze and not isinstance(source.backend, Administered):
        raise PerdureError(
            f"{source.backend!r} cannot be frozen. Nothing was copied; copy it without freezing."
        )
    return _Copy(source, target, progress).run(freeze, wait_seconds, while_frozen)


class _Copy:
    def __init__(self, source: Database, target: Database, progress: Progress | None) -> None:
        self._source = source
        self._target = target
        self._progress: Progress = progress or (lambda what, done, total: None)
        self._marks = Marks(source.backend, target.backend)
        self._memory = MemoryCopy(source, target, self._marks)
        self._threads = ThreadsCopy(source, target, self._marks, self._memory)
        self._comparison = Comparison(source, target, self._memory)
        self._sum = Pass()
        self._passes = 0
        self._erased = 0

    def run(self, freeze: bool, wait_seconds: float, while_frozen: Callable[[], object] | None) -> CopyReport:
        pay(self._source.backend)  # what this process has read lives longer, and the database knows it
        if self._marks.done.seq:
            seen = self._compare(None, begun=True)
            self._memory.knows(seen.pairs, seen.ends)
        while self._passes < PASSES:
            before = self._newest()
            if self._pass() <= FEW or self._newest() == before:
                break
        seen = self._compare(None)
        backend = self._source.backend
        held = backend.hold(wait_seconds) if freeze and isinstance(backend, Administered) else nullcontext()
        with held:
            before = self._newest()
            changed = self._pass()
            last = self._compare(seen)
            complete = freeze or self._newest() == before
            if freeze and while_frozen is not None:
                while_frozen()
        if changed or last.erased:  # what it says of all of memory must be of now
            seen = self._compare(None)
        if self._erased:
            self._target.backend.scrub(SCRUB_SECONDS)
        return self._report(seen, changed, freeze, complete)

    def _newest(self) -> object:
        with self._source.backend.read() as now:
            return now.revision()

    def _pass(self) -> int:
        """How much it brought over."""
        self._passes += 1
        before = self._memory.versions
        end, moments = self._threads.moments()
        self._memory.advance(end, moments, lambda done: self._progress("versions", done, None))
        one = self._threads.run(lambda done, total: self._progress("threads", done, total))
        self._sum.copied += one.copied
        self._sum.removed += one.removed
        return one.copied + one.removed + one.left + self._memory.versions - before

    def _compare(self, since: Seen | None, *, begun: bool = False) -> Seen:
        seen = self._comparison.walk(
            since, lambda done, total: self._progress("compared", done, total), begun=begun
        )
        self._erased += seen.erased
        return seen

    def _report(self, seen: Seen, changed: int, frozen: bool, complete: bool) -> CopyReport:
        return CopyReport(
            threads=len(self._marks.threads),
            items=seen.items,
            namespaces=sum(1 for value in seen.spaces.values() if value),
            versions=seen.versions,
            threads_copied=self._sum.copied,
            threads_removed=self._sum.removed,
            versions_copied=self._memory.versions,
            erased=self._erased,
            passes=self._passes,
            frozen=frozen,
            changed=changed,
            complete=complete,
            digest_of_threads=self._threads.digest(),
            digest_of_memory=seen.digest(),
        )
