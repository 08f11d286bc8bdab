"""Connections: how one is opened, and what makes a file ours.

Here: the settings of every connection, each with its reason; schema and WAL at the first opening; what a user's own
connection must be like. Not here: transactions (`transactions.py`, `readers.py`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from perdure import clock
from perdure.errors import StorageError
from perdure.storage.migrate import missing
from perdure.storage.sql import Queries
from perdure.storage.sqlite.faults import busy_because, patiently, translated
from perdure.storage.sqlite.files import Place, SideLock, check_directory

C: Final = Queries("queries/connection.sqlite.sql")

OLDEST: Final = (3, 37, 0)  # STRICT tables
# A step makes a few pages dirty, and each is written whole: 4 KiB cost about half of what 8 do on a disk, and the file of
# 2,000 turns of 1 KB is no larger (`bench/programs/turns.py`).
PAGE_BYTES: Final = 4096
STATEMENTS: Final = 512
WRITER_CACHE_KIB: Final = 64 * 1024


class Cursor(Protocol):
    """Of a cursor, all that is used. Always read to its end: an unfinished one pins its snapshot."""

    def fetchall(self) -> list[Any]:
        """The rows."""
        ...


class Connection(Protocol):
    """Of a connection, all that is used."""

    @property
    def in_transaction(self) -> bool:
        """Whether anybody began a transaction on it."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """One statement."""
        ...

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> Cursor:
        """One statement for many rows."""
        ...

    def close(self) -> None:
        """Lets go."""
        ...


class PlainConnection:
    """A user's connection, whatever row factory it has. Not closed by us."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @property
    def in_transaction(self) -> bool:
        """Whether anybody began a transaction on it."""
        return self._db.in_transaction

    def _cursor(self) -> sqlite3.Cursor:
        cursor = self._db.cursor(sqlite3.Cursor)
        cursor.row_factory = None
        return cursor

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """As `sqlite3.Connection.execute`, rows as tuples."""
        return self._cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> Cursor:
        """As `sqlite3.Connection.executemany`."""
        return self._cursor().executemany(sql, parameters)

    def close(self) -> None:
        """Nothing: it is the user's."""


def connect(place: Place, *, writes: bool) -> sqlite3.Connection:
    """A connection with our settings; nothing of the database was read yet."""
    address, uri = (place.uri, True) if place.read_only else (place.path or ":memory:", False)
    try:
        made = sqlite3.connect(
            address,
            timeout=0,  # SQLite's busy handler sleeps inside C and does not cover the switch to WAL: `patiently` does
            isolation_level=None,  # BEGIN and COMMIT are written out
            check_same_thread=False,  # locks of ours say whose turn it is
            cached_statements=STATEMENTS,
            uri=uri,
        )
    except sqlite3.Error as error:
        raise translated(error, "open", place.name) from error
    if place.path is not None:
        try:
            patiently(lambda: _settle(made, place, writes), place.busy_timeout_seconds, "open", place.name)
        except BaseException:
            made.close()
            raise
    return made


def _settle(made: sqlite3.Connection, place: Place, writes: bool) -> None:
    """Settings of a connection to a file. They read the schema, so they can meet a lock."""
    made.execute("PRAGMA wal_autocheckpoint = 0").close()  # only the leader checkpoints, between groups
    # FULL: a commit is on the disk before it is answered. https://sqlite.org/pragma.html#pragma_synchronous
    made.execute(f"PRAGMA synchronous = {place.synchronous}").close()
    if writes:
        # A commit of many items touches many pages of the postings: kept, they are neither read again for the next one
        # nor written twice within one. Taken only as far as it is used. https://sqlite.org/pragma.html#pragma_cache_size
        made.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}").close()
    else:
        made.execute("PRAGMA query_only = 1").close()


def open_database(place: Place, side: SideLock | None) -> sqlite3.Connection:
    """The writer's connection to a database that is sure to be ours, of today's schema, and in WAL mode.

    Raises:
        SchemaTooNew: written by a newer Perdure. It was not touched.
        StorageError: it cannot be opened, is no database, is damaged, may not be written, or its disk refuses WAL.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StorageError(
            f"SQLite {sqlite3.sqlite_version} is too old; Perdure needs {'.'.join(map(str, OLDEST))}.",
            operation="open",
            hint="Use a Python that was built with a newer SQLite.",
        )
    if place.path is not None:
        check_directory(place.path, must_exist=place.read_only)
    database = connect(place, writes=True)
    try:
        prepare(database, place, side)
    except BaseException:
        database.close()
        raise
    return database


def prepare(database: Connection, place: Place, side: SideLock | None) -> None:
    """Brings the database to today's schema and, if it is a file, into WAL mode."""

    def ask(act: Callable[[], Any]) -> Any:
        return patiently(act, place.busy_timeout_seconds, "open", place.name)

    steps = missing("sqlite", ask(lambda: applied(database)), place.name)
    if place.read_only:
        if steps:
            raise StorageError(
                f"{place.name} has an older schema, or none, and was opened with read_only=True.",
                operation="open",
                where=place.name,
                hint="Open it once for writing: that brings it up to date.",
            )
        return
    if place.path is not None:
        if ask(lambda: _one(database, "PRAGMA page_count")) == 0:
            ask(lambda: _one(database, f"PRAGMA page_size = {PAGE_BYTES}"))
        mode = ask(lambda: _one(database, "PRAGMA journal_mode = WAL"))
        if mode != "wal":
            raise StorageError(
                f"{place.name} cannot use a write-ahead log: SQLite answered {mode!r}.",
                operation="open",
                where=place.name,
                hint="Network disks cannot share one; keep the database on a local disk, or use Postgres.",
            )
    if steps:
        if side is not None:
            ask(lambda: _lock(side))
        try:
            ask(lambda: database.execute(C["begin_write"]))
            _migrate(database, place)
        finally:
            if side is not None:
                side.unlock()


def _lock(side: SideLock) -> None:
    if not side.try_lock(alone=False):
        raise busy_because("another process brings the log into the database")


def _migrate(database: Connection, place: Place) -> None:
    """All missing steps, each with its record in one transaction; the first transaction is open already."""
    try:
        while steps := missing(
            "sqlite", applied(database), place.name
        ):  # another process may have been first
            step = steps[0]
            for statement in step.statements:  # `executescript` would commit first
                database.execute(statement)
            database.execute(C["record_migration"], (step.number, step.name.encode(), clock.micros()))
            database.execute(C["commit"])
            patiently(
                lambda: database.execute(C["begin_write"]), place.busy_timeout_seconds, "migrate", place.name
            )
        database.execute(C["commit"])
    except BaseException as error:
        if database.in_transaction:
            database.execute(C["rollback"])
        if isinstance(error, sqlite3.Error):
            raise translated(error, "migrate", place.name) from error
        raise


def applied(database: Connection) -> int:
    """The number of the newest migration applied; 0: none."""
    if not database.execute(C["has_migrations"]).fetchall():
        return 0
    return _one(database, C["applied_migration"]) or 0


def _one(database: Connection, sql: str) -> Any:
    rows = database.execute(sql).fetchall()
    return rows[0][0] if rows else None


def usable(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The user's connection, if it can be shared between threads and told when to begin and commit.

    Raises:
        ValueError: it cannot; the message has the line to write instead.
    """
    write = 'sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)'
    if not isinstance(connection, sqlite3.Connection):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers
        kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
        raise ValueError(  # noqa: TRY004 - the field's faces promise ValueError
            f"{kind} is no connection of the standard library. A second copy of SQLite in a process loses commits: {write}"
        )
    if getattr(connection, "autocommit", True) is False:
        raise ValueError(
            f"this connection was made with autocommit=False, so nobody else can begin or commit: {write}"
        )
    refused: list[sqlite3.Error] = []

    def try_elsewhere() -> None:
        try:
            connection.cursor().close()
        except sqlite3.Error as error:
            refused.append(error)

    other = threading.Thread(target=try_elsewhere)
    other.start()
    other.join()
    if refused:
        raise ValueError(
            f"this connection cannot be used by all threads ({refused[0]}): {write}"
        ) from refused[0]
    return connection


def file_of(connection: sqlite3.Connection) -> str | None:
    """The resolved path of the file that a connection has open; None in memory."""
    cursor = connection.cursor(sqlite3.Cursor)
    cursor.row_factory = None
    for _, name, path in cursor.execute("PRAGMA database_list").fetchall():
        if name in ("main", b"main"):
            return (path.decode() if isinstance(path, bytes) else path) or None
    return None
