"""The backend of a connection that a user made: by `sqlite3`, or by a library that wraps it for event loops.

A file is opened by ourselves, by the path that the connection tells; the user's connection is left alone. A database
in memory has no path: a `sqlite3` connection is used itself, a wrapped one (it is bound to a thread of its own) gets a
database of ours that lives as long as it does. Faces on one connection share one backend, so they commit together.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeGuard, cast, runtime_checkable
from weakref import WeakKeyDictionary, finalize

from perdure.errors import StorageError
from perdure.storage.contract import Backend
from perdure.storage.keycheck import check_key
from perdure.storage.opened import Opened
from perdure.storage.sqlite import SqliteBackend, open_backend

__all__ = ["AsyncConnection", "is_async", "of_async_connection", "of_connection", "of_path"]


@runtime_checkable
class AsyncConnection(Protocol):
    """What we ask of a connection for event loops, whoever wrote it (aiosqlite's fits)."""

    def __await__(self) -> Any:
        """Starts it."""
        ...

    async def execute(self, sql: str) -> Any:
        """Runs one statement."""
        ...


def of_path(path: str) -> Opened:
    """The database in a file; `":memory:"` and `""` are a new one in memory."""
    return _opened(open_backend(path))


def is_async(given: object) -> TypeGuard[AsyncConnection]:
    """Whether this is a connection for event loops."""
    return not isinstance(given, sqlite3.Connection) and isinstance(given, AsyncConnection)


def of_connection(connection: object) -> Opened:
    """The database of a `sqlite3` connection.

    Raises:
        ValueError: it cannot be shared between threads, or is of another copy of SQLite; the message has the line to
            write instead.
        StorageError: it is closed, or its database cannot be opened.
    """
    if not isinstance(connection, sqlite3.Connection):
        kind = type(connection)
        raise ValueError(  # noqa: TRY004 - as for other connections that cannot be used
            f"{kind.__module__}.{kind.__qualname__} is no connection of the standard library's sqlite3. Two copies of "
            "SQLite in one process lose each other's commits: pass a sqlite3.Connection, or a path to from_conn_string()."
        )
    try:
        return _opened(open_backend(connection))
    except sqlite3.Error as error:
        raise StorageError(
            f"this sqlite3 connection cannot be used: {error}.",
            operation="open",
            hint="Pass one that is open, or the path to from_conn_string().",
        ) from error


async def of_async_connection(connection: AsyncConnection) -> Opened:
    """The database of a connection for event loops, which is started if it was not."""
    try:
        try:
            cursor = await connection.execute("PRAGMA database_list")
        except ValueError:  # not started
            await connection
            cursor = await connection.execute("PRAGMA database_list")
        rows = cast("list[tuple[Any, ...]]", await cursor.fetchall())
        await cursor.close()
    except (
        sqlite3.Error,
        ValueError,
        RuntimeError,
    ) as error:  # RuntimeError: it was started before, and closed
        raise StorageError(
            f"the connection {type(connection).__qualname__} cannot be asked for its database: {error}.",
            operation="open",
            hint="It may be closed. Pass an open one, or the path to from_conn_string().",
        ) from error
    path = _main_path([tuple(row) for row in rows])
    return of_path(path) if path else _beside(connection)


def _main_path(rows: Sequence[tuple[Any, ...]]) -> str:
    """The file of the database `main`; "" for one in memory or a temporary one."""
    for _, name, file in rows:
        if name in ("main", b"main"):
            return os.fsdecode(file or "")
    return ""


_lock: Final = threading.RLock()
_beside_them: WeakKeyDictionary[AsyncConnection, Backend] = WeakKeyDictionary()


def _beside(connection: AsyncConnection) -> Opened:
    """A database in memory that ends with the connection object."""
    with _lock:
        backend = _beside_them.get(connection)
        if backend is None:
            made = SqliteBackend(None)
            finalize(connection, made.close)
            backend = _beside_them[connection] = made
    return Opened(backend, lambda: None)


def _opened(backend: SqliteBackend) -> Opened:
    try:
        check_key(backend, None, backend.path or "this database in memory")
    except BaseException:
        backend.close()
        raise
    return Opened(backend, backend.close)
