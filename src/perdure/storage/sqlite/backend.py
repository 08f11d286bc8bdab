"""The SQLite backend: one writer behind a group queue, snapshots on connections of their own.

Here: `SqliteBackend` and `open_backend`, which gives one of them a file. Not here: transactions (`transactions.py`), rows
(`writer.py`, `snapshot.py`), who leads (`group.py`), settings (`connections.py`), forks (`process.py`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from typing import Any, Final

from perdure.errors import PerdureError, StorageError
from perdure.storage import process
from perdure.storage.contract import (
    Backend,
    Commit,
    ItemRow,
    Namespace,
    Outcome,
    Revision,
    Scrubbed,
    Snapshot,
)
from perdure.storage.path_ranges import PathRanges
from perdure.storage.sqlite.administering import Administering
from perdure.storage.sqlite.connections import (
    C,
    Connection,
    PlainConnection,
    connect,
    file_of,
    open_database,
    prepare,
    usable,
)
from perdure.storage.sqlite.faults import closed, patiently
from perdure.storage.sqlite.files import Identity, Place, SideLock, identity_of, needs_side_lock, resolved
from perdure.storage.sqlite.preselecting import declaration
from perdure.storage.sqlite.readers import FileReading, MemoryReading, ReaderPool, item_in
from perdure.storage.sqlite.transactions import Transactions
from perdure.storage.tables.group import GroupQueue
from perdure.storage.tables.rows import Prepared

_SYNCHRONOUS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")
_DATA_VERSION = C["data_version"]

_memories = count(1)
_by_file: dict[Identity, SqliteBackend] = {}  # guarded by `process.opening`
_by_connection: dict[int, SqliteBackend] = {}  # id of a user's connection, which the backend keeps alive


class SqliteBackend(Administering):
    """An SQLite database. Safe from any thread; see `contract.GroupBackend` for what every method promises.

    Args:
        path: the file; None or ":memory:" is a private database that lives as long as this object.
        synchronous: "FULL": a commit that was answered survives a power cut. "NORMAL": it survives a kill of the
            process, but the last ones may be lost with the power. https://sqlite.org/pragma.html#pragma_synchronous
        readers: connections kept for snapshots; more are opened while more are read at once.
        busy_timeout_seconds: how long to wait for another process that holds the lock.
        read_only: never write, not even a migration.
        connection: a user's own connection to an in-memory database; it stays open when this is closed.

    Raises:
        SchemaTooNew: written by a newer Perdure. It was not touched.
        StorageError: it cannot be opened; the message says why and what to do.
        ValueError: an option, or the connection, that cannot be right.

    A fork closes all connections first; parent and child open their own again. In-memory databases do not cross a fork.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        synchronous: str = "FULL",
        readers: int = 4,
        busy_timeout_seconds: float = 30.0,
        read_only: bool = False,
        connection: sqlite3.Connection | None = None,
    ) -> None:
        if synchronous.upper() not in _SYNCHRONOUS:
            raise ValueError(f"synchronous={synchronous!r} is none of {', '.join(_SYNCHRONOUS)}")
        if connection is not None and path is not None:
            raise ValueError("give a path or a connection, not both")
        place = self._place = Place(resolved(path), synchronous.upper(), busy_timeout_seconds, read_only)
        self._pid = os.getpid()
        self._stranded = False  # a snapshot was open in another thread while this process was forked off
        self._closed = False
        self._users = 1
        self._user_connection = connection
        self._watching = threading.Lock()
        self._watcher: sqlite3.Connection | None = None
        self._watchers = 0
        self._readers: ReaderPool | None = None
        with process.opening:
            if place.path is None:
                writer: Connection = (
                    connect(place, writes=True) if connection is None else PlainConnection(usable(connection))
                )
                prepare(writer, place, None)
                self._file: Identity | None = None
                self._identity = f"sqlite:memory:{next(_memories)}"
                side = None
            else:
                side = SideLock(place.path) if needs_side_lock() and not read_only else None
                writer = open_database(place, side)
                self._readers = ReaderPool(place, max(1, readers))
                self._file = identity_of(place.path)
                self._identity = "sqlite:{}:{}".format(*(self._file or (0, 0)))
            self._work = Transactions(place, writer, side)
            self._queue: GroupQueue[Prepared] = GroupQueue(self._work, lambda: closed("commit", place.name))
            process.track(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        readers = 0 if self._readers is None else len(self._readers)
        name = self._place.path or ":memory:"
        return f"<SqliteBackend {name} {state}, {self._queue.waiting} commits waiting, {readers} readers>"

    @property
    def identity(self) -> str:
        """Device and number of the file, however its path was spelt."""
        return self._identity

    @property
    def path(self) -> str | None:
        """The file, absolute and with all links resolved; None in memory."""
        return self._place.path

    @property
    def closed(self) -> bool:
        """Whether the last `close` was called."""
        return self._closed

    # -- commits -----------------------------------------------------------------------------------------------------

    def commit(self, commit: Commit, /) -> Revision:
        """All of `commit`, durably, or an error and nothing of it. Leads a group, or joins one."""
        outcome = self._commit((Prepared(commit),))[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def commit_group(self, commits: Sequence[Commit], /) -> list[Outcome]:
        """One outcome a commit, in order, in one transaction."""
        prepared: list[Prepared | PerdureError] = []
        for commit in commits:
            try:
                prepared.append(Prepared(commit))
            except PerdureError as error:
                prepared.append(error)
        members = [member for member in prepared if isinstance(member, Prepared)]
        done = iter(self._commit(members) if members else ())
        return [next(done) if isinstance(member, Prepared) else member for member in prepared]

    def _commit(self, members: Sequence[Prepared]) -> list[Outcome]:
        self._check_alive()
        if self._readers is not None:
            return self._queue.commit(members)
        outcomes: list[Outcome] = []  # in memory there is no disk to wait for, so nothing to share
        self._work.write(members, outcomes, wait=True)
        return outcomes

    def commit_soon(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """Queues the commit; a leader takes it along, or a small thread commits it."""
        self._queued(commit, done, self._queue.commit_soon)

    def enqueue(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """Queues the commit; the caller promises `lead_now`."""
        self._queued(commit, done, self._queue.enqueue)

    def _queued(
        self,
        commit: Commit,
        done: Callable[[Outcome], Any],
        queue: Callable[[Prepared, Callable[[Outcome], Any]], None],
    ) -> None:
        outcome: Outcome
        try:
            member = Prepared(commit)
            if self._readers is not None:
                self._check_alive()
                queue(member, done)
                return
            outcome = self._commit((member,))[0]
        except PerdureError as error:
            outcome = error
        done(outcome)

    def lead_now(self) -> bool:
        """Commits what is queued on this thread, if commits are short now and nobody has to be waited for."""
        return self._queue.lead_now()

    # -- reads -------------------------------------------------------------------------------------------------------

    def read(self) -> AbstractContextManager[Snapshot]:
        """A consistent snapshot, from the moment its block begins."""
        self._check_alive()
        if self._readers is None:
            return MemoryReading(self._work.turn, self._work.database)
        return FileReading(self._readers)

    def item(self, namespace: Namespace, key: str, /) -> ItemRow | None:
        """The live item: one statement, which is a snapshot by itself."""
        self._check_alive()
        if self._readers is None:
            with MemoryReading(self._work.turn, self._work.database) as now:
                return now.item(namespace, key)
        return item_in(self._readers, namespace, key)

    @property
    def inline(self) -> bool:
        """False: a file keeps its callers waiting."""
        return False

    def joins(self, other: Backend, /) -> bool:
        """False: two files have no common transaction."""
        return False

    def commit_with(self, commit: Commit, other: Backend, others: Commit, /) -> Revision:
        """Never: see `joins`."""
        raise StorageError(f"{self!r} cannot commit together with {other!r}; nothing was written.")

    def change_token(self) -> object:
        """A value that differs after any commit, of this process or another."""
        self._check_alive()
        if self._readers is None:
            return self._work.commits
        with self._watching:
            if self._watcher is None:
                self._watcher = connect(self._place, writes=False)
                self._watchers += 1  # numbers of two connections cannot be compared
            watcher = self._watcher
            version = patiently(
                lambda: watcher.execute(_DATA_VERSION).fetchall()[0][0],
                self._place.busy_timeout_seconds,
                "read",
                self._place.name,
            )
            return self._watchers, version

    # -- ends --------------------------------------------------------------------------------------------------------

    def declare_paths(self, paths: Sequence[PathRanges], /) -> None:
        """Makes an index for each of the paths that has none yet. Others can read meanwhile, not write."""
        self._check_alive()
        self._work.declare(dict(map(declaration, paths)))

    def drop_paths(self, paths: Sequence[PathRanges], /) -> None:
        """Drops the index of each of the paths that has one."""
        self._check_alive()
        self._work.drop([declaration(path)[0] for path in paths])

    def vacuum(self) -> None:
        """Gives free pages back to the system. Others can read meanwhile, not write."""
        self._check_alive()
        self._work.vacuum()

    def scrub(self, wait_seconds: float, /) -> Scrubbed:
        """What was deleted is in no file any more."""
        self._check_alive()
        self._work.scrub(wait_seconds)
        return Scrubbed()

    def close(self) -> None:
        """Counts down; the last of those who opened it waits for queued commits, shortens the log and lets go."""
        with process.opening:
            self._users = max(0, self._users - 1)
            if self._users or self._closed:
                return
            if self._file is not None and _by_file.get(self._file) is self:
                del _by_file[self._file]
            _by_connection.pop(id(self._user_connection), None)
        self.shut()

    def shut(self) -> None:
        """Closes, however many have it open."""
        self._closed = True
        if self._readers is None and self._pid != os.getpid():
            return  # the parent's memory
        self._queue.close()
        if self._readers is not None:
            self._readers.close()
        with self._watching:
            if self._watcher is not None:
                self._watcher.close()
            self._watcher = None
        self._work.close()
        process.untrack(self)

    def _check_alive(self) -> None:
        if self._closed:
            raise closed("use", self._place.name)
        if self._stranded or (self._readers is None and self._pid != os.getpid()):
            why = (
                "a snapshot was open in another thread during the fork."
                if self._stranded
                else "memory is not shared between processes, so what is written here would be lost."
            )
            raise StorageError(
                f"{self._place.name} was opened in process {self._pid}, and this is its fork {os.getpid()}: {why}",
                operation="use",
                where=self._place.name,
                hint="Open a database file in the child process.",
            )

    # -- forks -------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Waits until nobody is at work, then closes every connection: none may be in two processes."""
        self._work.turn.acquire()
        if self._readers is None:
            return
        self._watching.acquire()
        self._alone = self._readers.before_fork()
        self._work.let_go()
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def after_fork(self, *, child: bool) -> None:
        """Lets others in again; connections are opened at first use."""
        if self._readers is not None:
            self._readers.after_fork(child=child)
            self._watching.release()
            if child:
                self._queue.after_fork()
                self._stranded = not self._alone
        self._work.turn.release()

    def join(self) -> SqliteBackend:
        """The same object, opened once more: `close` counts."""
        with process.opening:
            self._users += 1
        return self


def open_backend(
    source: str | os.PathLike[str] | sqlite3.Connection | None = None,
    *,
    synchronous: str = "FULL",
    readers: int = 4,
    busy_timeout_seconds: float = 30.0,
    read_only: bool = False,
) -> SqliteBackend:
    """The one backend of this process for a database, however it is spelt; each call needs its own `close`.

    Args:
        source: a path; a connection of the standard library (of a file: its path is opened anew; of memory: it is used
            itself); None or ":memory:" for a new private database.
        synchronous: as in `SqliteBackend`; so are the others. Options of the first who opens it hold for all.
        readers: see there.
        busy_timeout_seconds: see there.
        read_only: see there; a backend of its own.

    Raises:
        StorageError: it cannot be opened; the message says why and what to do.
        ValueError: an option, or the connection, that cannot be right.
    """
    connection = source if isinstance(source, sqlite3.Connection) else None
    path = file_of(connection) if connection is not None else source
    with process.opening:
        place = resolved(path)  # pyright: ignore[reportArgumentType] - narrowed by `connection`
        if connection is not None and place is None:
            known = _by_connection.get(id(connection))
            if known is None:
                known = _by_connection[id(connection)] = SqliteBackend(connection=connection)
                return known
            return known.join()
        file = None if place is None or read_only else identity_of(place)
        if file is not None and file in _by_file:
            return _by_file[file].join()
        made = SqliteBackend(
            place,
            synchronous=synchronous,
            readers=readers,
            busy_timeout_seconds=busy_timeout_seconds,
            read_only=read_only,
        )
        if place is not None and not read_only:
            _by_file[identity_of(place) or (0, 0)] = made
        return made


def is_open(path: str) -> bool:
    """Whether this process has that file open as a database. Ask while nobody opens one (`process.opening`)."""
    file = identity_of(path)
    return file is not None and file in _by_file
