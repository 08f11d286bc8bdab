"""`AsyncSqliteSaver`: the SQLite saver, where the interface wants `setup` to be a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from perdure.checkpoint.sqlite.base import Serde, SqliteFace
from perdure.errors import StorageError
from perdure.storage.contract import Backend
from perdure.storage.sqlite_given import AsyncConnection, is_async, of_async_connection, of_connection

if TYPE_CHECKING:
    import sqlite3

__all__ = ["AsyncSqliteSaver"]

T = TypeVar("T")


class AsyncSqliteSaver(SqliteFace):
    """Threads in SQLite, as `SqliteSaver`; its blocking methods work as well, from any thread.

    Args:
        conn: a connection for event loops (aiosqlite's), or one of `sqlite3`. The former is asked for its file at the
            first `await`, so begin with `await saver.setup()`; if its database is in memory, the threads live in
            another one, in memory as well, for as long as the connection object does.
        serde: a serializer for the values, instead of Perdure's own codec.

    Raises:
        ValueError: the connection cannot be shared between threads; the message has the line to write instead.
        StorageError: it is closed, or its database cannot be opened.
    """

    _given: AsyncConnection | None = None

    def __init__(self, conn: AsyncConnection | sqlite3.Connection, *, serde: Serde | None = None) -> None:
        """On the connection's database."""
        if is_async(conn):
            super().__init__(None, serde)
            self._given = conn
            self._asking: asyncio.Task[None] | None = None
        else:
            super().__init__(of_connection(conn), serde)

    async def setup(self) -> None:
        """The database is open and has its schema. Again: nothing."""
        await self._ready()
        self._backend()

    def _backend(self) -> Backend:
        if self._opened is None and not self._closed:
            raise StorageError(
                "This AsyncSqliteSaver has not asked its connection for the database yet.",
                operation="open",
                hint="Write `await saver.setup()` first, or use AsyncSqliteSaver.from_conn_string(PATH).",
            )
        return super()._backend()

    async def _ready(self) -> None:
        """Asks the connection, once; a caller that is cancelled leaves the others waiting for the same answer."""
        if self._given is None or self._opened is not None or self._closed:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask(self._given))
        await asyncio.shield(self._asking)

    async def _ask(self, connection: AsyncConnection) -> None:
        opened = await of_async_connection(connection)
        if self._closed:
            opened.let_go()
        else:
            self._let_go, self._opened = opened.let_go, opened.backend

    async def _aside(self, work: Callable[[], T]) -> T:
        await self._ready()
        return await super()._aside(work)
