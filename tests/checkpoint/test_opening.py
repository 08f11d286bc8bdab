"""How savers are opened: by path, by connection, in both colours; and the dict that is kept in a file."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from perdure.checkpoint.memory import InMemorySaver, MemorySaver, PersistentDict
from perdure.checkpoint.sqlite import AsyncSqliteSaver, SqliteSaver
from perdure.checkpoint.sqlite.aio import AsyncSqliteSaver as FromAio
from perdure.errors import EncodingError, StorageError
from perdure.store.sqlite import SqliteStore
from perdure.testing.savers import chain, config_of, id_of


def test_what_a_file_holds_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.db")
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        configs = chain(saver, 3)

    with SqliteSaver.from_conn_string(path) as saver:
        listed = [id_of(at.config) for at in saver.list(config_of())]

    assert listed == [id_of(at) for at in reversed(configs)]


async def test_a_saver_is_opened_with_either_kind_of_block(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.db")
    async with SqliteSaver.from_conn_string(path) as saver:
        chain(saver, 1)
    async with AsyncSqliteSaver.from_conn_string(path) as other:
        await other.setup()
        found = await other.aget_tuple(config_of())
        assert found == other.get_tuple(config_of())
    with AsyncSqliteSaver.from_conn_string(path) as third:
        assert third.get_tuple(config_of()) == found
    assert FromAio is AsyncSqliteSaver


def test_a_connection_names_its_file(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "agent.db", check_same_thread=False)
    saver = SqliteSaver(connection)
    chain(saver, 2)
    saver.close()
    connection.close()

    with SqliteSaver.from_conn_string(str(tmp_path / "agent.db")) as again:
        assert len([*again.list(None)]) == 2


def test_a_connection_in_memory_is_used_itself() -> None:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    saver = SqliteSaver(connection)
    chain(saver, 2)

    tables = connection.execute("SELECT count(*) FROM perdure_checkpoints").fetchone()

    assert tables == (2,)
    with saver.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM perdure_checkpoints").fetchone()[0] == 2
    saver.close()
    connection.close()


def test_a_connection_bound_to_its_thread_is_refused_with_the_line_to_write() -> None:
    connection = sqlite3.connect(":memory:")

    with pytest.raises((ValueError, StorageError), match="check_same_thread=False"):
        SqliteSaver(connection)

    connection.close()


def test_a_cursor_is_of_our_connection_and_reads(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "agent.db")) as saver:
        chain(saver, 2)
        with saver.cursor() as cursor:
            assert cursor.execute("SELECT count(*) FROM perdure_checkpoints").fetchone()[0] == 2
        with pytest.raises(sqlite3.OperationalError), saver.cursor(transaction=False) as cursor:
            cursor.execute("DELETE FROM perdure_checkpoints")
        assert len([*saver.list(None)]) == 2


def test_saver_and_store_on_one_file_share_a_backend(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    with (
        SqliteSaver.from_conn_string(str(path)) as saver,
        SqliteStore.from_conn_string(str(tmp_path / "." / "agent.db")) as store,
    ):
        mine, theirs = saver.__perdure_backend__, store.__perdure_backend__
        assert mine is not None
        assert theirs is not None
        assert mine.backend is theirs.backend


def test_memory_saver_is_the_same_class() -> None:
    assert MemorySaver is InMemorySaver


async def test_savers_in_memory_work_as_blocks() -> None:
    with InMemorySaver() as saver:
        chain(saver, 1)
    async with InMemorySaver() as saver:
        chain(saver, 1)
    assert saver.get_tuple(config_of()) is not None


def test_a_factory_is_not_used_silently() -> None:
    InMemorySaver(factory=defaultdict)
    with pytest.warns(UserWarning, match="SqliteSaver"):
        InMemorySaver(factory=dict)


# ---- PersistentDict


def test_a_dict_is_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.bin"
    with PersistentDict(list, filename=path) as kept:
        kept["a"].append(("x", {1, 2}))
        kept[1, "b"] = [None]

    again: PersistentDict[Any, Any] = PersistentDict(list, filename=path)
    again.load()

    assert dict(again) == {"a": [("x", {1, 2})], (1, "b"): [None]}
    assert again["new"] == []


def test_a_dict_that_cannot_be_saved_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kept.bin"
    kept: PersistentDict[str, Any] = PersistentDict(filename=path)
    kept["a"] = 1
    kept.sync()
    before = path.read_bytes()
    kept["f"] = print

    with pytest.raises(EncodingError, match=r"the dict\.f"):
        kept.sync()

    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.bin"]


def test_no_file_or_a_damaged_one(tmp_path: Path) -> None:
    kept: PersistentDict[str, Any] = PersistentDict(filename=tmp_path / "kept.bin")
    kept.load()
    assert kept == {}
    (tmp_path / "kept.bin").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(EncodingError):
        kept.load()
    with pytest.raises(StorageError, match="not written"):
        PersistentDict(filename=tmp_path / "none" / "kept.bin").sync()
