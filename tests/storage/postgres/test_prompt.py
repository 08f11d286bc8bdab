"""Searches of one round trip: how few questions they ask, and that they find what anybody has just written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("psycopg")

import perdure
from perdure.storage.contract import Again
from perdure.storage.postgres.backend import PostgresBackend
from perdure.store.face import BackendStore

ME, OTHER = ("users", "ada"), ("users", "bob")


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[float(text.count(letter)) + 0.1 for letter in "abcd"] for text in texts]


INDEX: Any = {"embed": embed, "dims": 4, "text": False}


@pytest.fixture
def db(postgres_url: str) -> Iterator[perdure.Database]:
    with perdure.connect(postgres_url, index=INDEX) as opened:
        yield opened


@pytest.fixture
def elsewhere(db: perdure.Database) -> Iterator[BackendStore]:
    """The store of another process."""
    with closing(PostgresBackend(db.url)) as backend:
        yield BackendStore(backend, db.store._codec)


def found(store: Any, prefix: tuple[str, ...] = ME, **more: Any) -> list[str]:
    return [item.key for item in store.search(prefix, query="aab", **more)]


def test_a_search_in_a_namespace_that_has_not_changed_is_one_round_trip(
    db: perdure.Database, trips: Callable[..., int]
) -> None:
    db.store.put_many([(ME, f"k{n}", {"text": "ab" * n}) for n in range(20)])
    first = found(db.store)
    assert trips(lambda: found(db.store)) == 1
    assert found(db.store) == first
    assert trips(lambda: found(db.store, ())) == 2  # what is there has to be learned once
    assert trips(lambda: found(db.store, ())) == 1
    assert trips(lambda: found(db.store, ("nobody",))) <= 2
    assert trips(lambda: found(db.store, ("nobody",))) == 1


def test_a_listing_of_the_newest_is_two_round_trips_and_then_one(
    db: perdure.Database, trips: Callable[..., int]
) -> None:
    db.store.put_many([(ME, f"k{n}", {"text": "ab"}) for n in range(20)])
    assert trips(lambda: db.store.search(ME)) == 2  # whether the subtree has few namespaces is learned
    assert trips(lambda: db.store.search(ME)) == 1


def test_what_another_process_has_just_written_is_found(
    db: perdure.Database, elsewhere: BackendStore
) -> None:
    assert found(db.store) == []
    assert found(db.store, ()) == []
    elsewhere.put(ME, "k", {"text": "aab"})
    assert found(db.store) == found(db.store, ()) == ["k"]
    elsewhere.put(ME, "l", {"text": "aabaab"})
    assert sorted(found(db.store)) == ["k", "l"]
    elsewhere.put(OTHER, "m", {"text": "aab"})
    assert sorted(found(db.store, ())) == ["k", "l", "m"]
    elsewhere.delete(ME, "k")
    assert found(db.store) == ["l"]
    elsewhere.put(ME, "l", {"text": "d"})
    assert db.store.search(ME, query="aab")[0].value == {"text": "d"}
    elsewhere.delete(ME, "l")
    elsewhere.delete(OTHER, "m")
    assert found(db.store) == found(db.store, ()) == []


@pytest.mark.parametrize("cached", [True, False])
def test_what_is_no_longer_in_memory_is_read_as_of_the_same_moment(
    db: perdure.Database, elsewhere: BackendStore, cached: bool
) -> None:
    small: Any = {**INDEX, "cache_bytes": 1 << 20 if cached else 1}
    with perdure.connect(db.url, index=small) as reader:
        for n in range(3):
            elsewhere.put(ME, f"k{n}", {"text": "aab" * (n + 1)})
            assert sorted(found(reader.store)) == [f"k{m}" for m in range(n + 1)]
            assert sorted(found(reader.store)) == [f"k{m}" for m in range(n + 1)]


def test_a_connection_that_was_lost_is_nothing_to_a_search(db: perdure.Database, postgres_admin: Any) -> None:
    db.store.put(ME, "k", {"text": "aab"})
    assert found(db.store) == ["k"]
    backend: Any = db.backend
    connection = backend._line.take()
    pid = connection.info.backend_pid
    backend._line.give(connection)
    real = backend._line.take
    ended: list[int] = []

    def taken(*how: Any, **more: Any) -> Any:
        one = real(*how, **more)
        if not ended and one.info.backend_pid == pid:  # looked at, and lost right after
            ended.append(pid)
            postgres_admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        return one

    backend._line.take = taken
    try:
        assert found(db.store) == ["k"]
    finally:
        del backend._line.take
    assert ended


def test_all_that_a_prompt_snapshot_answers_is_of_one_moment(
    db: perdure.Database, elsewhere: BackendStore
) -> None:
    db.store.put(ME, "k", {"text": "aab"})
    backend: Any = db.backend
    with backend.read_promptly() as now:
        assert now.namespaces(()) == [ME]
        elsewhere.put(OTHER, "l", {"text": "aab"})
        assert now.namespaces(()) == [ME]
        (row,) = now.items((), None, 10)  # most answers end here
        assert row.key == "k"
        with pytest.raises(Again):
            now.namespaces(())
    with pytest.raises(Again), backend.read_promptly() as now:
        now.revision()


def test_a_search_that_asks_more_is_asked_again_as_any_other(db: perdure.Database) -> None:
    db.store.put_many([(ME, f"k{n}", {"text": "ab" * n, "n": n % 9}) for n in range(90)])
    for _ in range(2):
        assert len(found(db.store, filter={"n": 3}, limit=10)) == 10
        assert len(found(db.store, limit=80)) == 80
        assert len(found(db.store, limit=3, neighbours=1)) > 3
