"""The backend of a connection that a user made: by `sqlite3`, or by a library that wraps it for event loops.

A file is opened by ourselves, by the path that the connection tells; the user's connection is left alone. A database
in memory has no path: a `sqlite3` connection is used itself, a wrapped one (it is bound to a thread of its own) gets a
database of ours that lives as long as it does. Faces on one connection share one backend, so they commit together.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeGuard, cast, runtime_checkable
from weakref import WeakKeyDictionary, finalize

from perdure.errors import StorageError
from perdure.storage.contract import Backend
from perdure.storage.sqlite import SqliteBackend, open_backend

__all__ = ["AsyncConnection", "Opened", "is_async", "of_async_connection", "of_connection", "of_path"]


class Opened(NamedTuple):
    """A backend, and how its user lets go of it."""

    backend: Backend
    let_go: Callable[[], object]


@runtime_checkable
class AsyncConnection(Protocol):
    """What we ask of a connection for event loops, whoever wrote it (aiosqlite's fits)."""

    def __await__(self) -> Any:  # noqa: ANN401 - whatever starting it gives
        """Starts it."""
        ...

    async def execute(self, sql: str) -> Any:  # noqa: ANN401 - a cursor with `await fetchall()`
        """Runs one statement."""
        ...


def of_path(path: str | os.PathLike[str]) -> Opened:
    """The database in a file; `":memory:"` and `""` are a new one in memory."""
    text = os.fspath(path)
    if text in ("", ":memory:"):
        memory = SqliteBackend(None)
        return Opened(memory, memory.close)
    backend = open_backend(text)
    return Opened(backend, backend.close)


def is_async(given: object) -> TypeGuard[AsyncConnection]:
    """Whether this is a connection for event loops."""
    return not isinstance(given, sqlite3.Connection) and isinstance(given, AsyncConnection)


def of_connection(connection: object) -> Opened:
    """The database of a `sqlite3` connection.

    Raises:
        StorageError: it is closed, bound to another thread, or of another copy of SQLite; the message says what to
            write instead.
    """
    if not isinstance(connection, sqlite3.Connection):
        kind = type(connection)
        raise StorageError(
            f"{kind.__module__}.{kind.__qualname__} is not a connection of the standard library's sqlite3.",
            operation="open",
            hint="Two copies of SQLite in one process lose each other's commits: pass a sqlite3.Connection, or a path "
            "to from_conn_string().",
        )
    try:
        cursor = connection.cursor()
        cursor.row_factory = None
        rows = cast("list[tuple[Any, ...]]", cursor.execute("PRAGMA database_list").fetchall())
        cursor.close()
    except sqlite3.Error as error:
        raise StorageError(
            f"the sqlite3 connection cannot be asked for its database: {error}.",
            operation="open",
            hint="Make it with sqlite3.connect(PATH, check_same_thread=False), or pass the path to from_conn_string().",
        ) from error
    path = _main_path(rows)
    return of_path(path) if path else _in_memory(connection)


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
    except (sqlite3.Error, ValueError) as error:
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


# Databases in memory, by the object that they belong to.

_lock: Final = threading.RLock()
_counted: dict[
    int, tuple[Backend, int]
] = {}  # id(connection): a backend keeps its connection, so ids are not reused
_beside_them: WeakKeyDictionary[AsyncConnection, Backend] = WeakKeyDictionary()


def _in_memory(connection: sqlite3.Connection) -> Opened:
    """The connection itself, shared by all faces on it until the last lets go."""
    key = id(connection)
    with _lock:
        backend, users = _counted.get(key) or (SqliteBackend(None, connection=connection), 0)
        _counted[key] = (backend, users + 1)

    def let_go() -> None:
        with _lock:
            backend, users = _counted[key]
            if users > 1:
                _counted[key] = (backend, users - 1)
                return
            del _counted[key]
        backend.close()

    return Opened(backend, let_go)


def _beside(connection: AsyncConnection) -> Opened:
    """A database in memory that ends with the connection object."""
    with _lock:
        backend = _beside_them.get(connection)
        if backend is None:
            backend = _beside_them[connection] = SqliteBackend(None)
            finalize(connection, backend.close)
    return Opened(backend, lambda: None)
