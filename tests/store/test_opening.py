"""Opening and closing: paths, connections of both kinds, two stores on one database."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from perdure.errors import QueryError, StorageError
from perdure.storage.memory import MemoryBackend
from perdure.store.base import IndexConfig
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import AsyncSqliteStore, SqliteStore
from perdure.store.sqlite import aio as aio_module
from perdure.store.sqlite.base import SqliteIndexConfig

ME = ("users", "ada")


class Wrapped:
    """A connection for event loops as such libraries make them: started by `await`, living in a thread of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1)
        self._db: sqlite3.Connection | None = None

    def __await__(self) -> Generator[Any, None, Wrapped]:
        return self._start().__await__()

    async def _start(self) -> Wrapped:
        self._db = await self.run(lambda: sqlite3.connect(self._path))
        return self

    async def run(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def execute(self, sql: str) -> WrappedCursor:
        db = self._db
        if db is None:
            raise ValueError("no active connection")
        return WrappedCursor(self, await self.run(lambda: db.execute(sql)))

    async def close(self) -> None:
        if self._db is not None:
            await self.run(self._db.close)
        self._db = None
        self._pool.shutdown()


class WrappedCursor:
    def __init__(self, connection: Wrapped, cursor: sqlite3.Cursor) -> None:
        self.run = connection.run
        self._cursor = cursor

    async def fetchall(self) -> list[Any]:
        return await self.run(self._cursor.fetchall)

    async def close(self) -> None:
        await self.run(self._cursor.close)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.db")


def values(store: BackendStore) -> list[dict[str, Any]]:
    return [item.value for item in store.search(())]


def test_what_was_put_is_there_when_the_file_is_opened_again(path: str) -> None:
    with SqliteStore.from_conn_string(path) as store:
        store.setup()
        store.put(ME, "a", {"n": 1})

    with SqliteStore.from_conn_string(path) as store:
        assert values(store) == [{"n": 1}]


async def test_every_class_opens_in_both_colours(path: str) -> None:
    with AsyncSqliteStore.from_conn_string(path) as store:
        await store.setup()
        store.put(ME, "a", {"n": 1})
    async with SqliteStore.from_conn_string(path) as store:
        store.setup()
        await store.aput(ME, "b", {"n": 2})
    async with AsyncSqliteStore.from_conn_string(path) as store:
        assert values(store) == [{"n": 2}, {"n": 1}]


def test_two_stores_on_one_file_see_each_other(path: str, tmp_path: Path) -> None:
    (tmp_path / "there").symlink_to(tmp_path)
    spelt = str(tmp_path / "there" / "." / "store.db")

    with SqliteStore.from_conn_string(path) as one, SqliteStore.from_conn_string(spelt) as other:
        one.put(ME, "a", {"n": 1})
        assert values(other) == [{"n": 1}]
        assert one.__perdure_backend__ is not None
        assert other.__perdure_backend__ is not None
        assert one.__perdure_backend__.backend is other.__perdure_backend__.backend

        one.close()
        assert values(other) == [{"n": 1}]


def test_a_connection_s_file_is_opened_anew(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row

    with SqliteStore(connection) as store:
        store.put(ME, "a", {"n": 1})
        connection.close()
        assert values(store) == [{"n": 1}]


def test_a_connection_in_memory_is_used_itself() -> None:
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.row_factory = sqlite3.Row

    with SqliteStore(connection) as one, SqliteStore(connection) as other:
        one.put(ME, "a", {"n": 1})
        assert values(other) == [{"n": 1}]
        one.close()
        assert values(other) == [{"n": 1}]

    assert connection.execute("SELECT 1").fetchone()[0] == 1
    connection.close()


def test_a_connection_that_is_bound_to_its_thread_is_refused_with_the_line_to_write() -> None:
    connection = sqlite3.connect(":memory:")

    with pytest.raises(ValueError, match="check_same_thread=False"):
        SqliteStore(connection)
    connection.close()


def test_a_closed_connection_and_one_of_another_thread_are_clear_errors(path: str) -> None:
    made: list[sqlite3.Connection] = []
    thread = threading.Thread(target=lambda: made.append(sqlite3.connect(path)))
    thread.start()
    thread.join()
    closed = sqlite3.connect(path)
    closed.close()

    for connection in (*made, closed):
        with pytest.raises(StorageError, match="from_conn_string"):
            SqliteStore(connection)


@pytest.mark.parametrize("wrong", ["agent.db", None, object()])
def test_what_is_no_connection_is_refused(wrong: Any) -> None:
    for kind in (SqliteStore, AsyncSqliteStore):
        with pytest.raises(ValueError, match="no connection"):
            kind(wrong)


@pytest.mark.parametrize("started", [True, False])
async def test_a_connection_for_event_loops_tells_its_file(path: str, started: bool) -> None:
    connection = Wrapped(path)
    if started:
        await connection

    async with AsyncSqliteStore(connection) as store:
        await asyncio.gather(*(store.aput(ME, f"{n}", {"n": n}) for n in range(3)))
    await connection.close()

    with SqliteStore.from_conn_string(path) as store:
        assert sorted(item.key for item in store.search(())) == ["0", "1", "2"]


async def test_a_connection_for_event_loops_in_memory_has_its_items_beside_it() -> None:
    connection = await Wrapped(":memory:")
    one, other = AsyncSqliteStore(connection), AsyncSqliteStore(connection)
    await one.setup()
    await other.setup()

    await one.aput(ME, "a", {"n": 1})

    assert values(other) == [{"n": 1}]
    await one.aclose()
    assert values(other) == [{"n": 1}]
    await connection.close()


async def test_a_blocking_call_before_the_connection_was_asked_says_what_to_do(path: str) -> None:
    connection = Wrapped(path)
    store = AsyncSqliteStore(connection)

    with pytest.raises(StorageError, match=r"await store\.setup\(\)"):
        store.put(ME, "a", {})
    await store.setup()
    store.put(ME, "a", {"n": 1})

    assert values(store) == [{"n": 1}]
    await store.aclose()
    await connection.close()


async def test_a_closed_connection_for_event_loops_is_a_clear_error() -> None:
    class Broken(Wrapped):
        async def _start(self) -> Wrapped:
            raise ValueError("Connection closed")

    with pytest.raises(StorageError, match="cannot be asked"):
        await AsyncSqliteStore(Broken(":memory:")).setup()


async def test_a_store_that_is_closed_says_so(store: BackendStore) -> None:
    store.put(ME, "a", {})
    store.close()
    store.close()
    await store.aclose()

    assert "closed" in repr(store)
    for call in (store.search, store.list_namespaces, lambda: store.put(ME, "a", {})):
        with pytest.raises(StorageError, match="closed"):
            cast("Any", call)(*(((),) if call == store.search else ()))
    with pytest.raises(StorageError, match="closed"):
        await store.aget(ME, "a")
    with pytest.raises(StorageError, match="closed"):
        await store.aput(ME, "a", {})


def test_memory_that_was_given_stays_open_when_a_store_on_it_closes() -> None:
    backend = MemoryBackend()
    with InMemoryStore(backend=backend) as store:
        store.put(ME, "a", {"n": 1})

    assert values(InMemoryStore(backend=backend)) == [{"n": 1}]


def test_a_repr_says_where_and_whether(path: str) -> None:
    with SqliteStore.from_conn_string(path) as store:
        assert repr(store).startswith("<SqliteStore sqlite:")
        assert repr(store).endswith(" open>")
    assert repr(InMemoryStore()).startswith("<InMemoryStore memory:")


def test_an_index_that_cannot_be_right_is_refused_before_anything_is_opened(path: str) -> None:
    connection = sqlite3.connect(path)
    for make in (
        lambda: InMemoryStore(index=IndexConfig(dims=1)),
        lambda: SqliteStore(connection, index=SqliteIndexConfig(dims=1)),
        lambda: AsyncSqliteStore.from_conn_string(path, index=SqliteIndexConfig(dims=1)),
        lambda: SqliteStore.from_conn_string(path, index=SqliteIndexConfig(language="klingon")),
    ):
        with pytest.raises(QueryError):
            make()
    connection.close()


def test_a_deserializer_of_one_s_own_is_used(path: str) -> None:
    connection = sqlite3.connect(path)

    with SqliteStore(connection, deserializer=lambda stored: {"bytes": len(stored)}) as store:
        store.put(ME, "a", {"n": 1})
        assert values(store) == [{"bytes": len(b'{"n":1}')}]
    connection.close()


def test_the_async_room_needs_no_library_for_it() -> None:
    assert not hasattr(aio_module, "aiosqlite")
