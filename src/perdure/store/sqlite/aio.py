"""`AsyncSqliteStore`: the SQLite store, where the interface wants `setup` and the sweeper to be coroutines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from perdure.errors import PerdureError, StorageError
from perdure.storage.contract import Backend
from perdure.storage.lifetimes import checked_config
from perdure.storage.preselect import declared_paths
from perdure.storage.sqlite_given import AsyncConnection, is_async, of_async_connection, of_connection
from perdure.storage.staging import Operation
from perdure.storage.sweeping import sweep
from perdure.storage.upkeep import KeepHistory
from perdure.store.base import Contract, TTLConfig
from perdure.store.face import codec_of
from perdure.store.sqlite.base import Deserializer, SqliteFace, SqliteIndexConfig
from perdure.store.swept import pause_of

if TYPE_CHECKING:
    import sqlite3

__all__ = ["AsyncSqliteStore"]

T = TypeVar("T")

log = logging.getLogger("perdure.storage")


class AsyncSqliteStore(SqliteFace):
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
    _sweeping: asyncio.Task[None] | None = None
    _stop_sweeping: Callable[[], object]

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

    async def setup(self) -> None:
        """The database is open and has its schema. Again: nothing."""
        await self._ready()
        self._backend()

    async def sweep_ttl(self) -> int:
        """How many expired items were removed, in small commits; each is a deletion by the actor `"ttl"` in its history.

        Raises:
            StorageError: the database refused; the batches before are swept.
        """
        await self.setup()
        return await self._aside(lambda: sweep(self._backend()))

    async def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> asyncio.Task[None]:
        """A task of this loop sweeps at once and then now and then, until it is stopped or the store is closed.

        Where the store was opened without `ttl=` the task has nothing to do, and ends.

        Args:
            sweep_interval_minutes: pause between two sweeps, above 0; None: as the store was opened, else 5.

        Returns:
            The task; while one runs, that one.

        Raises:
            QueryError: no number above 0.
        """
        pause = pause_of(self.ttl_config, sweep_interval_minutes)
        await self.setup()
        if self._sweeping is not None and not self._sweeping.done():
            return self._sweeping
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        self._sweeping = asyncio.ensure_future(self._sweep_on(stop, pause))
        self._stop_sweeping = lambda: loop.call_soon_threadsafe(stop.set)
        return self._sweeping

    async def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the field's name
        """Whether no sweeper runs any more.

        Args:
            timeout: seconds to wait for the end of a sweep in progress; None: as long as it takes.
        """
        if self._sweeping is None or self._sweeping.done():
            return True
        self._stop_sweeping()
        done, _ = await asyncio.wait([self._sweeping], timeout=timeout)
        return bool(done)

    async def _sweep_on(self, stop: asyncio.Event, pause: float) -> None:
        while self.ttl_config is not None and not self._closed:
            try:
                await self._aside(lambda: sweep(self._backend(), stop.is_set))
            except PerdureError as error:
                if self._closed:
                    return
                log.warning("sweeping expired items failed and will be tried again: %s", error)
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue
            return

    async def aclose(self) -> None:
        """Stops the sweeper, then lets go of the database. Again: nothing."""
        if self._sweeping is not None and self._sweeping.get_loop() is asyncio.get_running_loop():
            await self.stop_ttl_sweeper()
        await super().aclose()

    def close(self) -> None:
        """As `aclose`; a sweeper ends as soon as its loop runs."""
        if self._sweeping is not None and not self._sweeping.done():
            with suppress(RuntimeError):  # its loop is closed, so it has ended
                self._stop_sweeping()
        super().close()

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
