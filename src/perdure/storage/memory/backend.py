"""The memory backend: the contract, over plain dicts under one lock.

Here: the lock, who may come in, and the story of a commit: it is checked, then all of it is applied. Not here: the dicts
(`tables.py`), the checks (`expecting.py`), the effects (`applying.py`), the answers (`snapshot.py`), what operators ask
(`administering.py`). Not durable: the data ends with the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from perdure import clock
from perdure.errors import Busy, Conflict, StorageError
from perdure.storage.contract import (
    About,
    Backend,
    Chained,
    Commit,
    Embedded,
    ItemRow,
    Largest,
    Namespace,
    Outcome,
    Revision,
    Scrubbed,
    Snapshot,
    TableSize,
)
from perdure.storage.lifetimes import is_over
from perdure.storage.memory import administering
from perdure.storage.memory.applying import applied
from perdure.storage.memory.expecting import expect
from perdure.storage.memory.snapshot import snapshot_of
from perdure.storage.memory.tables import Tables
from perdure.storage.path_ranges import PathRanges

__all__ = ["MemoryBackend"]

_names = count(1)
_NO_ITEMS: Final[dict[str, ItemRow]] = {}
# Another one in a child of `fork`: asked at every commit, it costs less than the process's id.
_forks = object()


def _forked() -> None:
    global _forks
    _forks = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class MemoryBackend:
    """A database that lives as long as this object, in this process only."""

    def __init__(self, name: str | None = None) -> None:
        self._identity = f"memory:{name if name is not None else next(_names)}"
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._forks = _forks
        self._tables = Tables()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        items = sum(map(len, self._tables.items.values()))
        return f"<MemoryBackend {self._identity} {state}, {len(self._tables.threads)} threads, {items} items>"

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

    def declare_paths(self, paths: Sequence[PathRanges], /) -> None:
        """Nothing to do: every value is at hand."""

    def drop_paths(self, paths: Sequence[PathRanges], /) -> None:
        """Nothing to do, as in `declare_paths`."""

    def vacuum(self) -> None:
        """Nothing to give back: freed rows are the interpreter's business."""

    def scrub(self, wait_seconds: float, /) -> Scrubbed:
        """Nothing to do: there is no file."""
        return Scrubbed()

    def change_token(self) -> object:
        """The number of commits so far."""
        return self._tables.seq

    def commit(self, commit: Commit, /) -> Revision:
        """All of it or an error: see the contract."""
        with self._lock:
            if self._closed or self._forks is not _forks:
                self._check_open()
            expect(self._tables, commit)
            return applied((self._tables, commit))

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
                expect(backend._tables, part)
            return applied((self._tables, commit), (other._tables, others))

    @contextmanager
    def read(self) -> Generator[Snapshot]:
        """A snapshot; it holds the lock."""
        with self._lock:
            self._check_open()
            yield snapshot_of(self._tables)

    def item(self, namespace: Namespace, key: str, /) -> ItemRow | None:
        """The live item."""
        with self._lock:
            self._check_open()
            row = self._tables.items.get(namespace, _NO_ITEMS).get(key)
        return None if row is None or is_over(row.expires, clock.micros()) else row

    # -- what operators ask: see `Administered` ------------------------------------------------------------------------

    def about(self) -> About:
        """Which it is."""
        self._check_open()
        return administering.about(self._identity)

    def sizes(self) -> list[TableSize]:
        """Rows, and bytes of values."""
        with self.read() as now:
            return administering.sizes(self._tables, now)

    def largest(self, limit: int, /) -> Largest:
        """The threads and namespaces with most bytes."""
        with self.read():
            return administering.largest(self._tables, limit)

    def faults(self, *, quick: bool) -> list[str]:
        """Nothing: there is no file."""
        del quick
        self._check_open()
        return []

    def strays(self, limit: int, /) -> list[Chained]:
        """Pending writes and staged memory of nobody."""
        with self.read():
            return administering.strays(self._tables, limit)

    def embedded(
        self, places: Sequence[tuple[Namespace, str]], /
    ) -> dict[tuple[Namespace, str], tuple[int, Embedded]]:
        """Version and vectors of live items."""
        with self.read():
            return administering.embedded(self._tables, places)

    @contextmanager
    def hold(self, wait_seconds: float, /) -> Generator[None]:
        """The lock: other threads wait for it, readers, too."""
        if not self._lock.acquire(timeout=wait_seconds):
            raise Busy(f"{self._identity} was in use for {wait_seconds:g} seconds. Nothing was written.")
        try:
            self._check_open()
            yield
        finally:
            self._lock.release()

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
