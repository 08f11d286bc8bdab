"""A database is opened with the key that it was made with, or not at all: before anything is read or written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perdure
from perdure.checkpoint.sqlite import AsyncSqliteSaver, SqliteSaver
from perdure.codec import AesGcm
from perdure.errors import EncodingError, StorageError
from perdure.storage.sqlite import SqliteBackend
from perdure.store.sqlite import SqliteStore
from perdure.testing.savers import chain, config_of

KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db"


def write(url: str, key: Any) -> None:
    with perdure.connect(url, encryption=key) as db:
        db.store.put(("notes",), "k", {"text": "tea"})
        chain(db.checkpointer, 2)


def texts(url: str, key: Any) -> list[Any]:
    with perdure.connect(url, encryption=key) as db:
        return [item.value["text"] for item in db.store.search(("notes",))]


@pytest.mark.parametrize("wrong", [None, OTHER], ids=["no key", "another key"])
def test_an_encrypted_database_does_not_open_with_a_wrong_key(url: str, wrong: Any) -> None:
    write(url, KEY)

    with pytest.raises(StorageError, match="encrypted") as caught:
        perdure.connect(url, encryption=wrong)

    assert caught.value.operation == "open"
    assert "encryption=" in str(caught.value)
    assert texts(url, KEY) == ["tea"]


def test_a_plain_database_with_data_does_not_take_a_key(url: str) -> None:
    write(url, None)

    with pytest.raises(StorageError, match="not encrypted"):
        perdure.connect(url, encryption=KEY)

    assert texts(url, None) == ["tea"]


def test_an_empty_database_takes_a_key_from_its_first_user_who_has_one(url: str) -> None:
    perdure.connect(url).close()

    write(url, KEY)

    assert texts(url, KEY) == ["tea"]


def test_what_says_so_is_seen_nowhere_else(url: str) -> None:
    with perdure.connect(url, encryption=KEY) as db, db.backend.read() as now:
        assert db.threads() == []
        assert [*db.checkpointer.list(None)] == []
        assert now.heads("") == now.checkpoints(None, None, None, None) == now.items((), None, 9) == []
        assert now.changes(None, 9) == []


def test_a_memory_database_may_have_a_key() -> None:
    with perdure.connect("memory://", encryption=KEY) as db:
        db.store.put(("notes",), "k", {"text": "tea"})

        assert [item.key for item in db.store.search(("notes",))] == ["k"]


def test_keys_change_and_the_old_one_alone_opens_no_more(url: str) -> None:
    write(url, KEY)

    assert texts(url, AesGcm(OTHER, older_keys=[KEY])) == ["tea"]

    with pytest.raises(StorageError, match="encrypted"):
        perdure.connect(url, encryption=KEY)
    with perdure.connect(url, encryption=OTHER) as db:  # older values say so, one by one
        with pytest.raises(EncodingError, match="older_keys"):
            db.store.search(("notes",))
        with pytest.raises(EncodingError, match="thread 't'"):
            db.checkpointer.get_tuple(config_of())
        db.store.put(("new",), "k", {"text": "more"})
    assert texts(url, AesGcm(OTHER, older_keys=[KEY])) == ["tea"]


def test_opening_again_writes_nothing(url: str) -> None:
    write(url, KEY)

    with perdure.connect(url, encryption=KEY) as db, db.backend.read() as now:
        before = now.revision()
    with perdure.connect(url, encryption=KEY) as db, db.backend.read() as now:
        assert now.revision() == before


class Broken:
    """A cipher of a user's that fails in its own way."""

    key_id = "mine"

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        return plain[::-1]

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        raise KeyError("no such key")


def test_a_cipher_of_one_s_own_that_fails_is_an_error_of_ours(url: str) -> None:
    write(url, KEY)

    with pytest.raises(StorageError, match="encrypted") as caught:
        perdure.connect(url, encryption=Broken())

    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "opening",
    [
        lambda path: SqliteSaver.from_conn_string(path).__enter__(),
        lambda path: SqliteStore.from_conn_string(path).__enter__(),
    ],
    ids=["saver", "store"],
)
def test_faces_without_a_key_do_not_open_it_either(
    tmp_path: Path, url: str, opening: Callable[[str], Any]
) -> None:
    write(url, KEY)

    with pytest.raises(StorageError, match="encrypted"):
        opening(str(tmp_path / "a.db"))

    assert texts(url, KEY) == ["tea"]


async def test_nor_does_the_async_saver(tmp_path: Path, url: str) -> None:
    write(url, KEY)

    with pytest.raises(StorageError, match="encrypted"):
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "a.db")):
            pass


def test_a_refused_opening_leaves_nothing_open(tmp_path: Path, url: str) -> None:
    write(url, KEY)
    for wrong in (None, OTHER):
        with pytest.raises(StorageError):
            perdure.connect(url, encryption=wrong)

    backend = SqliteBackend(tmp_path / "a.db")
    backend.close()

    assert backend.closed
    assert {file.name for file in tmp_path.iterdir()} <= {"a.db", "a.db-perdure.lock"}


def test_many_who_open_a_fresh_file_at_once_agree_on_a_key(url: str) -> None:
    opened: list[bytes] = []
    refused: list[bytes] = []

    def attempt(key: bytes) -> None:
        try:
            perdure.connect(url, encryption=key).close()
            opened.append(key)
        except StorageError:
            refused.append(key)

    threads = [threading.Thread(target=attempt, args=((KEY, OTHER)[n % 2],)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(opened) == len(refused) == 6
    assert len(set(opened)) == len(set(refused)) == 1
