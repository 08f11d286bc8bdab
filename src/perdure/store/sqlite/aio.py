"""`AsyncSqliteStore`: the SQLite store, where the interface wants `setup` and the sweeper to be coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from perdure.errors import StorageError
from perdure.storage.contract import Backend
from perdure.storage.lifetimes import checked_config
from perdure.storage.preselect import declared_paths
from perdure.storage.sqlite_given import AsyncConnection, is_async, of_async_connection, of_connection
from perdure.storage.staging import Operation
from perdure.storage.upkeep import KeepHistory
from perdure.store.base import Contract, TTLConfig
from perdure.store.face import codec_of
from perdure.store.sqlite.base import Deserializer, SqliteFace, SqliteIndexConfig
from perdure.store.swept_async import AsyncSweptStore

if TYPE_CHECKING:
    import sqlite3

__all__ = ["AsyncSqliteStore"]

T = TypeVar("T")


class AsyncSqliteStore(SqliteFace, AsyncSweptStore):
    """Memory in SQLite, as `SqliteStore`; its blocking methods work as well, from any thread.

    Args:
        conn: a connection for event loops (aiosqlite's), or one of `sqlite3`. The former is asked for its file at the
            first `await`, so begin with `await store.setup()`; if its database is in memory, the items live in another
            one, in memory as well, for as long as the connection object does.
        deserializer: from the stored JSON (bytes) to the value, instead of ours.
        index: what of the items is found by words, and how; by default all texts of a value, in English.
        ttl: how long items live, as in `from_conn_string`.
        keep_history: which versions of items are kept, as in `from_conn_string`.
        indexes: paths by which filtered listings are fast, as in `from_conn_string`.
        contracts: what items look like, as in `from_conn_string`.

    Raises:
        ValueError: the connection cannot be shared between threads; the message has the line to write instead.
        StorageError: it is closed, or its database cannot be opened.
        PerdureError: an `index`, `ttl` or contract that cannot be right.
    """

    _given: AsyncConnection | None = None

    def __init__(
        self,
        conn: AsyncConnection | sqlite3.Connection,
        *,
        deserializer: Deserializer | None = None,
        index: SqliteIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        keep_history: KeepHistory | None = None,
        indexes: Sequence[str] = (),
        contracts: Sequence[Contract] | None = None,
    ) -> None:
        """On the connection's database."""
        lives = checked_config(ttl)
        codec = codec_of(index, loads=deserializer, contracts=contracts)
        if is_async(conn):
            super().__init__(None, codec, keep_history=keep_history, ttl=lives, indexes=indexes)
            self._given = conn
            self._asking: asyncio.Task[None] | None = None
        else:
            declared_paths(indexes)
            super().__init__(
                of_connection(conn), codec, keep_history=keep_history, ttl=lives, indexes=indexes
            )

    def _backend(self) -> Backend:
        if self._opened is None and not self._closed:
            raise StorageError(
                "This AsyncSqliteStore has not asked its connection for the database yet.",
                operation="open",
                hint="Write `await store.setup()` first, or use AsyncSqliteStore.from_conn_string(PATH).",
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
            self._let_go = opened.let_go
            self._open(opened.backend)

    async def _aside(self, work: Callable[[], T]) -> T:
        await self._ready()
        return await super()._aside(work)

    async def _awrite(self, operations: list[Operation]) -> None:
        await self._ready()
        await super()._awrite(operations)
