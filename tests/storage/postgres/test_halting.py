"""Indexes of vectors whose building is cut short: closing does not wait for them, and nothing is left for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

import numpy as np
import pytest

pytest.importorskip("psycopg")

import psycopg

from perdure.storage.postgres import near, tending
from perdure.storage.postgres.halting import Halted, Halting
from perdure.storage.postgres.near import Setting, setting_of
from perdure.storage.postgres.opening import connect
from perdure.storage.postgres.place import place_of
from perdure.storage.postgres.talking import say
from perdure.store.postgres import PostgresStore
from under_load import until

DIMS, SIZE = 8, 300
ME = ("users", "ada")
TABLE = np.random.default_rng(5).standard_normal((SIZE, DIMS))
BUILDING = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CREATE INDEX%' AND pid <> pg_backend_pid()"
INDEXES = "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE 'near_%'"


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [TABLE[int(text)].tolist() for text in texts]


def opened(url: str, **config: Any) -> Any:
    index: Any = {"embed": embed, "dims": DIMS, "fields": ["text"], "text": False, "model": "random"}
    if config:
        index["ann_index_config"] = config
    return PostgresStore.from_conn_string(url, index=index)


@pytest.fixture
def filled(own_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the extension and one large namespace, of which nothing is indexed."""
    monkeypatch.setattr(near, "_LEAST", 100)
    monkeypatch.setattr(near, "FROM_BYTES", 100 * 4 * DIMS)
    monkeypatch.setattr(tending, "_PAGE", 90)
    monkeypatch.setattr(tending, "EVERY", 1000.0)
    with psycopg.connect(own_database, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchall():
            pytest.skip("this server has no extension vector")
        connection.execute("CREATE EXTENSION vector")
    with opened(own_database) as store:
        store.put_many([(ME, f"k{n}", {"text": str(n)}) for n in range(SIZE)])
    return own_database


@pytest.fixture
def asked(filled: str) -> Iterator[Callable[[str], list[Any]]]:
    """Says something to the database."""
    with psycopg.connect(filled, autocommit=True) as connection:

        def ask(sql: str) -> list[Any]:
            found = connection.execute(sql)
            return found.fetchall() if found.description else []

        yield ask


@pytest.fixture
def old(filled: str) -> Iterator[psycopg.Connection[Any]]:
    """An old transaction, which whoever builds an index while others write waits for."""
    with psycopg.connect(filled) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection
        connection.rollback()


def setting(**config: Any) -> Setting:
    found = setting_of({"kind": "hnsw", **config}, DIMS, "cosine")
    assert found is not None
    return found


def by(store: Any) -> str:
    return store._codec.embedder.name


PROGRAM = """
import sys
from perdure.storage.postgres import near
from perdure.store.postgres import PostgresStore
near._LEAST, near.FROM_BYTES = 100, 1
index = {"embed": list, "dims": 8, "fields": ["text"], "text": False, "model": "random", "ann_index_config": {"kind": "hnsw"}}
store = PostgresStore.from_conn_string(sys.argv[1], index=index).__enter__()
sys.stdin.readline()
"""


@pytest.mark.parametrize("what", ["a store", "a program"])
@pytest.mark.parametrize("left", ["nothing", "an index that cannot be used"])
def test_what_ends_does_not_wait_for_an_index_and_the_next_who_opens_has_it(
    filled: str, asked: Callable[[str], list[Any]], old: psycopg.Connection[Any], what: str, left: str
) -> None:
    with opened(filled) as first:
        assert first._backend().tend(by(first), setting())
        ((name, _),) = asked(INDEXES)
        asked("UPDATE perdure_near SET ready = 0")
        asked(f"DROP INDEX {name}")
        old.execute(
            "SELECT 1" if left == "nothing" else "LOCK TABLE perdure_near_halfvec IN ROW EXCLUSIVE MODE"
        )
        end = ended_by(what, filled)
        until(lambda: asked(BUILDING))
        began = time.monotonic()

        end()

        assert time.monotonic() - began < 5
        until(lambda: not asked(BUILDING))
        until(lambda: asked(INDEXES) == ([] if left == "nothing" else [(name, False)]))
        assert first.get(ME, "k3").value == {"text": "3"}
    old.rollback()
    with opened(filled, kind="hnsw") as again:
        until(lambda: asked("SELECT 1 FROM perdure_near WHERE ready = 1"))
        assert asked(INDEXES) == [(name, True)]
        again._backend()._line.near.forget()
        assert [hit.key for hit in again.search(ME, query="7", mode="vector", limit=1)] == ["k7"]


def ended_by(what: str, url: str) -> Callable[[], object]:
    """Somebody opens the database and has indexes of vectors made; what ends that."""
    if what == "a store":
        return opened(url, kind="hnsw").__enter__().close
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    def end() -> None:
        program.communicate(b"\n", timeout=30)
        assert program.returncode == 0

    return end


def test_what_was_cut_short_and_is_wanted_otherwise_now_leaves_nothing(
    filled: str,
    asked: Callable[[str], list[Any]],
    old: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tending, "_undo", lambda *said: None)  # as where the process died
    old.execute("SELECT 1")
    store = opened(filled, kind="hnsw").__enter__()
    until(lambda: asked(BUILDING))
    store.close()
    old.rollback()
    assert [valid for _, valid in asked(INDEXES)] == [False]
    assert len(asked("SELECT 1 FROM perdure_near_halfvec")) == SIZE

    with opened(filled) as other:
        assert other._backend().tend(by(other), setting(vector_type="vector"))

    assert [(name.rsplit("_", 2)[0], valid) for name, valid in asked(INDEXES)] == [("near_vector", True)]
    assert asked("SELECT 1 FROM perdure_near_halfvec") == []
    assert len(asked("SELECT 1 FROM perdure_near_vector")) == SIZE


def test_what_was_cut_short_goes_with_its_namespace(
    filled: str,
    asked: Callable[[str], list[Any]],
    old: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tending, "_undo", lambda *said: None)
    old.execute("SELECT 1")
    store = opened(filled, kind="hnsw").__enter__()
    until(lambda: asked(BUILDING))
    store.close()
    old.rollback()
    with opened(filled) as other:
        other.forget(ME)
        assert other._backend().tend(by(other), setting())
    assert asked(INDEXES) == []
    assert asked("SELECT 1 FROM perdure_near") == []


def test_copying_is_cut_short_between_two_portions(
    filled: str, asked: Callable[[str], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    halting, together = Halting(), tending.together

    def once(*said: Any) -> None:
        together(*said)
        if b"perdure_near_halfvec" in said[2][-1][0] and b"INSERT" in said[2][-1][0]:
            halting.halt()

    monkeypatch.setattr(tending, "together", once)
    with opened(filled) as store:
        with pytest.raises(Halted):
            store._backend().tend(by(store), setting(), halting)
        assert len(asked("SELECT 1 FROM perdure_near_halfvec")) == 90
        with pytest.raises(Halted):
            store._backend().tend(by(store), setting(), halting)
        assert store._backend().tend(by(store), setting())
    assert len(asked("SELECT 1 FROM perdure_near_halfvec")) == SIZE


def test_a_request_that_comes_before_its_statement_is_not_lost(postgres_url: str) -> None:
    halting, inside, told = Halting(), threading.Event(), threading.Event()

    def work() -> None:
        with closing(connect(place_of(postgres_url)).connection) as connection, suppress(Halted):
            with halting.on(connection):
                inside.set()
                time.sleep(0.3)
                say(connection, b"SELECT pg_sleep(30)")
            return
        told.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    halting.halt()
    thread.join(10)
    assert told.is_set()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_closes_what_it_inherited_leaves_its_parents_work_alone(postgres_url: str) -> None:
    halting, ended = Halting(), threading.Event()

    def work() -> None:
        with closing(connect(place_of(postgres_url)).connection) as connection, halting.on(connection):
            say(connection, b"SELECT pg_sleep(1)")
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: halting._busy)
    child = os.fork()
    if not child:
        halting.halt()
        os._exit(0 if halting.halted else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join(10)
    assert ended.is_set()
