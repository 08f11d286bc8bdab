"""Snapshots: connections that only read, each in one read transaction at a time.

Here: which connection a snapshot gets, when it begins and ends, what a fork does to them. Not here: questions
(`snapshot.py`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

from perdure import clock
from perdure.codec import encode_namespace, text_to_bytes
from perdure.storage.contract import ItemRow, Namespace, Snapshot
from perdure.storage.sqlite.connections import C, Connection, connect
from perdure.storage.sqlite.faults import closed, is_busy, patiently, translated
from perdure.storage.sqlite.files import Place
from perdure.storage.sqlite.snapshot import SqliteSnapshot
from perdure.storage.sqlite.statements import Q
from perdure.storage.tables.values import item_of

_FORK_PATIENCE_SECONDS: Final = 10.0
_POOL_PATIENCE_SECONDS: Final = 0.05

_BEGIN = C["begin_read"]
_END = C["commit"]
_NEWEST_SEQ = Q["newest_seq"]
_ITEM = Q["item"]


class FileReading:
    """The block of one snapshot of a file."""

    __slots__ = ("_database", "_pool", "_snapshot")

    def __init__(self, pool: ReaderPool) -> None:
        self._pool = pool

    def __enter__(self) -> Snapshot:
        database = self._database = self._pool.take()
        try:
            seq = self._begin(database)
        except BaseException:
            self._pool.give(database, sound=False)
            raise
        self._snapshot = SqliteSnapshot(database, seq, self._pool.place.name, self._pool)
        return self._snapshot

    def _begin(self, database: sqlite3.Connection) -> int:
        """The newest commit's number. A snapshot begins with its first question, so it is asked at once."""

        def begin() -> int:
            if not database.in_transaction:
                database.execute(_BEGIN)
            return int(database.execute(_NEWEST_SEQ).fetchall()[0][0])

        try:
            return begin()
        except sqlite3.Error as error:
            if not is_busy(error):
                raise translated(error, "read", self._pool.place.name) from error
        return patiently(begin, self._pool.place.busy_timeout_seconds, "read", self._pool.place.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._snapshot.end()
        sound = False
        try:
            self._database.execute(_END)
            sound = True
        except sqlite3.Error:
            pass  # a fork closed it, or the disk failed: it is thrown away
        finally:
            self._pool.give(self._database, sound=sound)


def item_in(pool: ReaderPool, namespace: Namespace, key: str) -> ItemRow | None:
    """The live item, by one statement outside of any transaction."""
    database = pool.take()
    sound = False
    try:
        values = (encode_namespace(namespace), text_to_bytes(key), clock.micros())
        try:
            rows = database.execute(_ITEM, values).fetchall()
        except sqlite3.Error as error:
            if not is_busy(error):
                raise translated(error, "read", pool.place.name) from error
            seconds = pool.place.busy_timeout_seconds
            rows = patiently(
                lambda: database.execute(_ITEM, values).fetchall(), seconds, "read", pool.place.name
            )
        sound = True
    finally:
        pool.give(database, sound=sound)
    return item_of(namespace, key, rows[0]) if rows else None


class MemoryReading:
    """The block of one snapshot in memory. There is one connection, so its lock is the snapshot."""

    __slots__ = ("_database", "_snapshot", "_turn")

    def __init__(self, turn: threading.RLock, database: Callable[[], Connection]) -> None:
        self._turn = turn
        self._database = database

    def __enter__(self) -> Snapshot:
        self._turn.acquire()
        try:
            database = self._database()
            seq = int(database.execute(_NEWEST_SEQ).fetchall()[0][0])
            self._snapshot = SqliteSnapshot(database, seq, "the in-memory database", self._turn)
        except BaseException as error:
            self._turn.release()
            if isinstance(error, sqlite3.Error):
                raise translated(error, "read", "the in-memory database") from error
            raise
        return self._snapshot

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._snapshot.end()
        self._turn.release()


class ReaderPool:
    """Connections for snapshots: up to `size` are kept, more are opened when all are busy, and closed again.

    So a thread that reads inside a read never waits for itself, and nobody's open snapshot stops another.
    """

    def __init__(self, place: Place, size: int) -> None:
        self.place = place
        self._size = size
        self._lock = threading.Lock()
        self._returned = threading.Condition(self._lock)
        self._free: list[sqlite3.Connection] = []
        self._busy: dict[sqlite3.Connection, int] = {}  # -> thread that took it
        self._opening = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._free) + len(self._busy)

    def take(self) -> sqlite3.Connection:
        """A connection that nobody else has."""
        with self._lock:
            if not self._free and len(self._busy) >= self._size:
                self._returned.wait_for(lambda: self._free or self._closed, _POOL_PATIENCE_SECONDS)
            if self._closed:
                raise closed("read", self.place.name)
            if self._free:
                free = self._free.pop()
                self._busy[free] = threading.get_ident()
                return free
            self._opening += 1
        made: list[sqlite3.Connection] = []
        try:
            made.append(connect(self.place, writes=False))
        finally:
            with self._lock:
                self._opening -= 1
                self._busy.update((connection, threading.get_ident()) for connection in made)
                self._returned.notify()
        return made[0]

    def give(self, connection: sqlite3.Connection, *, sound: bool) -> None:
        """Takes it back, or closes it: not `sound`, too many, or everything is closed."""
        with self._lock:
            ours = self._busy.pop(connection, None) is not None
            keep = ours and sound and not self._closed and len(self._free) < self._size
            if keep:
                self._free.append(connection)
            self._returned.notify()
        if not keep:
            connection.close()

    def close(self) -> None:
        """Closes what is free; the rest is closed when it comes back."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
            self._returned.notify_all()
        for connection in free:
            connection.close()

    def before_fork(self) -> bool:
        """Waits for snapshots of other threads, closes all; holds the lock until `after_fork`. False: waited in vain."""
        self._lock.acquire()
        me = threading.get_ident()
        alone = self._returned.wait_for(
            lambda: not self._opening and all(owner == me for owner in self._busy.values()),
            _FORK_PATIENCE_SECONDS,
        )
        for connection in (*self._free, *(c for c, owner in self._busy.items() if owner == me)):
            connection.close()
        self._free = []
        self._busy = {c: owner for c, owner in self._busy.items() if owner != me}
        return alone

    def after_fork(self, *, child: bool) -> None:
        """Lets others in again."""
        if child:
            self._busy = {}
            self._opening = 0
            self._lock = threading.Lock()
            self._returned = threading.Condition(self._lock)
        else:
            self._lock.release()
