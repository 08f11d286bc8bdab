"""Indexes of vectors by the extension `vector`: made and refreshed beside other work, asked by searches that only they can answer fast."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

pytest.importorskip("psycopg")

from perdure import connect
from perdure.errors import QueryError
from perdure.storage.postgres import near, tending
from perdure.storage.postgres.near import setting_of
from perdure.storage.postgres.prompt import PromptSnapshot
from perdure.storage.postgres.readings import patiently
from perdure.storage.postgres.statements import qualified
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.testing import FakeClock

DIMS, SIZE = 8, 400
ME, OTHER = ("users", "ada"), ("users", "bob")
TABLE = np.random.default_rng(5).standard_normal((SIZE + 100, DIMS))


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [TABLE[int(text)].tolist() for text in texts]


def index(**more: Any) -> Any:
    return {"embed": embed, "dims": DIMS, "fields": ["text"], "text": False, **more}


@pytest.fixture
def extended(own_database: str) -> str:
    """A database with the extension, in a schema of its own."""
    import psycopg

    with psycopg.connect(own_database, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchall()
        if not found:
            pytest.skip("this server has no extension vector")
        connection.execute('CREATE SCHEMA "the extensions"')
        connection.execute('CREATE EXTENSION vector SCHEMA "the extensions"')
    return own_database


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_LEAST", 100)
    monkeypatch.setattr(near, "FROM_BYTES", 100 * 4 * DIMS)
    monkeypatch.setattr(tending, "_PAGE", 90)
    monkeypatch.setattr(tending, "EVERY", 1000.0)


@pytest.fixture
def by_index(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What indexes answered; None where they did not."""
    answers: list[Any] = []
    real = PromptSnapshot.nearest

    def told(self: PromptSnapshot, *asked: Any) -> Any:
        answers.append(None)
        answers[-1] = real(self, *asked)
        return answers[-1]

    monkeypatch.setattr(PromptSnapshot, "nearest", told)
    return answers


def puts(first: int = 0, end: int = SIZE) -> list[Any]:
    return [(ME, f"k{n}", {"text": str(n)}) for n in range(first, end)]


def opened(url: str, **config: Any) -> Any:
    return PostgresStore.from_conn_string(url, index=index(ann_index_config={"kind": "hnsw", **config}))


def tended(store: Any, **config: Any) -> bool:
    embedder = store._codec.embedder
    setting = setting_of({"kind": "hnsw", **config}, DIMS, embedder.distance)
    assert setting is not None
    return store._backend().tend(embedder.name, setting)


def found(store: Any, asked: int = SIZE, **more: Any) -> list[Any]:
    hits = store.search(ME, query=str(asked), mode="vector", **more)
    return [(hit.key, hit.score) for hit in hits]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"vector_type": "vector"},
        {"vector_type": "halfvec", "m": 8, "ef_construction": 20},
        {"kind": "ivfflat", "nlist": 5},
    ],
    ids=["plain", "vector", "halfvec", "ivfflat"],
)
def test_the_best_of_a_large_namespace_are_found_by_an_index_with_their_exact_scores(
    extended: str, by_index: list[Any], config: dict[str, Any]
) -> None:
    with InMemoryStore(index=index()) as reference, opened(extended, **config) as store:
        for one in (reference, store):
            one.put_many(puts())
            one.put(OTHER, "few", {"text": "3"})
        assert tended(store, **config)
        for asked in range(SIZE, SIZE + 20):
            assert found(store, asked) == found(reference, asked)
            assert found(store, asked, offset=5, limit=5) == found(reference, asked, offset=5, limit=5)
        assert by_index
        assert all(answer is not None and len(answer) <= 60 for answer in by_index)
        both = [one.search((), query="3", mode="vector", limit=2) for one in (reference, store)]
        assert {hit.key for hit in both[1]} == {hit.key for hit in both[0]} == {"few", "k3"}


@pytest.mark.parametrize("distance", ["l2", "inner_product"])
def test_an_index_knows_the_other_distances(extended: str, by_index: list[Any], distance: Any) -> None:
    with (
        InMemoryStore(index=index(distance=distance)) as reference,
        PostgresStore.from_conn_string(
            extended, index=index(distance=distance, ann_index_config={"kind": "hnsw"})
        ) as store,
    ):
        for one in (reference, store):
            one.put_many(puts())
        assert tended(store)
        assert found(store) == found(reference)
        assert by_index[-1] is not None


def test_what_was_written_since_is_found_and_what_is_gone_is_not(extended: str, by_index: list[Any]) -> None:
    with InMemoryStore(index=index()) as reference, opened(extended) as store:
        for one in (reference, store):
            one.put_many(puts())
        assert tended(store)
        for again in (False, True):
            for one in (reference, store):
                best = [key for key, _ in found(one)]
                one.delete(ME, best[0])
                one.put(ME, best[1], {"text": "7"})  # something else now
                one.put(ME, f"new {again}", {"text": str(SIZE)})
            assert found(store) == found(reference)
            assert found(store, limit=40) == found(reference, limit=40)
            assert by_index[-1] is not None
            assert tended(store)  # now the index has it
            assert found(store) == found(reference)
            assert by_index[-1] is not None


def test_too_much_that_is_new_is_compared_with_all(
    extended: str, by_index: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perdure.storage.postgres import prompt

    monkeypatch.setattr(prompt, "LAG", 5)
    with InMemoryStore(index=index()) as reference, opened(extended) as store:
        for one in (reference, store):
            one.put_many(puts(0, 300))
        assert tended(store)
        for one in (reference, store):
            one.put_many(puts(300, 400))
        assert found(store) == found(reference)
        assert by_index[-1] is None


def test_what_only_a_comparison_with_all_can_answer_is_answered_so(
    extended: str, by_index: list[Any]
) -> None:
    """A filter may drop any of the nearest, and a share of a sum is measured from the least alike of all."""
    with InMemoryStore(index=index()) as reference, opened(extended) as store:
        for one in (reference, store):
            one.put_many([(ME, f"k{n}", {"text": str(n), "odd": n % 100 == 7}) for n in range(SIZE)])
        assert tended(store)
        assert found(store, filter={"odd": True}) == found(reference, filter={"odd": True})
        assert len(found(store, filter={"odd": True})) == 4
        assert by_index == []


def test_without_the_extension_all_is_as_without_an_index(own_database: str, by_index: list[Any]) -> None:
    with InMemoryStore(index=index()) as reference, opened(own_database) as store:
        for one in (reference, store):
            one.put_many(puts())
        assert not tended(store)
        assert found(store) == found(reference)
        assert by_index[-1] is None


def test_an_extension_that_comes_and_goes_is_noticed(
    extended: str, by_index: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    with InMemoryStore(index=index()) as reference, opened(extended) as store:
        for one in (reference, store):
            one.put_many(puts())
        assert tended(store)
        assert found(store) == found(reference)
        assert by_index[-1] is not None
        with psycopg.connect(extended, autocommit=True) as connection:
            connection.execute("DROP EXTENSION vector CASCADE")
        for _ in range(3):
            assert found(store) == found(reference)
        store.put(ME, "k0", {"text": "5"})
        assert not tended(store)
        with psycopg.connect(extended, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
        store.put(ME, "k0", {"text": "0"})
        assert tended(store)
        assert found(store) == found(reference)
        assert by_index[-1] is not None


def test_another_setting_is_made_anew_and_what_is_half_built_is_built_again(
    extended: str, by_index: list[Any]
) -> None:
    with InMemoryStore(index=index()) as reference, opened(extended) as store:
        for one in (reference, store):
            one.put_many(puts())
        assert tended(store)
        assert tended(store, vector_type="vector", m=4)
        assert found(store) == found(reference)
        assert by_index[-1] is not None
        line: Any = store._backend()._line
        own = b"SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid::regclass::text LIKE '%near_vector_1%'"
        patiently(
            line,
            own.replace(b"SELECT i.indisvalid FROM pg_index i", b"UPDATE pg_index i SET indisvalid = false"),
        )
        assert patiently(line, own) == [(False,)]
        assert tended(store, vector_type="vector", m=4)
        assert patiently(line, own) == [(True,)]
        assert found(store) == found(reference)


def test_forgetting_and_deleting_leave_no_copy(extended: str) -> None:
    with opened(extended) as store:
        store.put_many(puts())
        store.put_many([(OTHER, f"k{n}", {"text": str(n)}) for n in range(150)])
        assert tended(store)
        line: Any = store._backend()._line
        copies, states = (
            qualified(f"TABLE {name}", line.place.schema).encode()
            for name in ("perdure_near_halfvec", "perdure_near")
        )
        assert len(patiently(line, copies)) == SIZE + 150
        store.delete(ME, "k3")
        assert len(patiently(line, copies)) == SIZE + 149
        store.forget(ME)
        assert len(patiently(line, copies)) == 150
        assert tended(store)
        assert len(patiently(line, states)) == 1
        assert found(store) == []
        assert store.check() == []


def test_an_index_is_made_by_itself(extended: str, by_index: list[Any]) -> None:
    with PostgresStore.from_conn_string(extended, index=index()) as before:
        before.put_many(puts())
        exact = found(before)
    with opened(extended) as store:
        thread = next(one for one in threading.enumerate() if one.name == "perdure-near")
        line: Any = store._backend()._line
        for _ in range(200):
            if patiently(line, line.statements["near_spaces"].text):
                break
            thread.join(0.05)
        line.near.forget()
        assert found(store) == exact
        assert by_index[-1] is not None
    thread.join(5)
    assert not thread.is_alive()


def test_a_database_that_is_connected_to_is_asked_for_an_index_as_well(
    extended: str, by_index: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "EVERY", 0.02)
    from psycopg.conninfo import conninfo_to_dict

    config = index(ann_index_config={"kind": "hnsw"})
    url = f"postgresql:///?{urlencode(conninfo_to_dict(extended))}"
    with connect("memory://", index=config) as reference, connect(url, index=config) as db:
        for one in (reference, db):
            one.store.put_many(puts())
        thread = next(one for one in threading.enumerate() if one.name == "perdure-near")
        line: Any = db.store._backend()._line
        for _ in range(200):
            if patiently(line, line.statements["near_spaces"].text):
                break
            thread.join(0.05)
        line.near.forget()
        assert found(db.store) == found(reference.store)
        assert by_index[-1] is not None
    thread.join(5)
    assert not thread.is_alive()


def test_what_no_index_can_be_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    with pytest.raises(QueryError, match="ann_index_config"):
        connect(f"sqlite:///{file}", index=index(ann_index_config={"kind": "tree"}))
    assert not file.exists()


def test_an_encrypted_store_has_no_copies() -> None:
    """What is sealed has no vectors, and those of fields that may be read are not copied."""
    from perdure.codec import AesGcm
    from perdure.store.face import codec_of
    from perdure.store.postgres.indexed import near_of

    config = index(ann_index_config={"kind": "hnsw"})
    plain = codec_of(index(), AesGcm(bytes(32)), plaintext=["text"])
    assert near_of(config, plain) is None
    assert near_of(config, codec_of(index())) is not None


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "tree"},
        {"m": 0},
        {"m": "16"},
        {"ef_construction": 100_000},
        {"nlist": True},
        {"lists": 5},
        "hnsw",
    ],
)
def test_what_no_index_can_be_is_refused(config: Any) -> None:
    with pytest.raises(QueryError) as raised:
        PostgresStore.from_conn_string("postgresql://nowhere", index=index(ann_index_config=config))
    assert raised.value.part == "ann_index_config"


@pytest.mark.parametrize(
    ("config", "dims", "kind"),
    [({}, 128, "halfvec"), ({"vector_type": "vector"}, 2000, "vector"), ({"vector_type": "vector"}, 2001, "halfvec"),
     ({}, 4001, None), ({"kind": "flat"}, 128, None)],
)  # fmt: skip
def test_vectors_that_are_too_long_for_an_index_have_none(config: Any, dims: int, kind: str | None) -> None:
    setting = setting_of(config, dims, "cosine")
    assert (None if setting is None else setting.type) == kind


def test_why_there_is_no_index_is_told_once(
    extended: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that may not make tables has searches all the same."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    with PostgresStore.from_conn_string(extended, index=index()) as store:
        store.put_many(puts())
        exact = found(store)
        schema = store._backend()._line.place.schema
    with psycopg.connect(extended, autocommit=True) as connection:
        role = f"plain_{np.random.default_rng().integers(1 << 60)}"
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}")
        connection.execute(f"GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")
        connection.execute(f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC")
        try:
            monkeypatch.setattr(tending, "EVERY", 0.02)
            with (
                caplog.at_level(logging.WARNING, "perdure.storage"),
                opened(make_conninfo(extended, user=role)) as store,
            ):
                thread = next(one for one in threading.enumerate() if one.name == "perdure-near")
                thread.join(0.5)
                assert found(store) == exact
            told = [record for record in caplog.records if "index of vectors" in record.getMessage()]
            assert len(told) == 1
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_vectors_of_another_model_leave_no_copy(extended: str) -> None:
    with opened(extended) as store:
        store.put_many(puts())
        assert tended(store)
        line: Any = store._backend()._line
        copies = qualified("TABLE perdure_near_halfvec", line.place.schema).encode()
        assert len(patiently(line, copies)) == SIZE
        with PostgresStore.from_conn_string(extended, index=index(model="another")) as other:
            other.reindex()
        assert tended(store)
        assert patiently(line, copies) == []
        assert found(store) == []


def test_what_has_expired_takes_no_place_among_the_nearest(extended: str, by_index: list[Any]) -> None:
    config = index(ann_index_config={"kind": "hnsw"})
    with (
        FakeClock() as clock,
        InMemoryStore(index=index(), ttl={}) as reference,
        PostgresStore.from_conn_string(extended, index=config, ttl={}) as store,
    ):
        nearest = [hit for hit, _ in nearest_of(reference, 100)]
        for one in (reference, store):
            one.put_many(puts())
            for key in nearest:
                one.put(ME, key, {"text": key[1:]}, ttl=1)
        assert tended(store)
        assert found(store) == found(reference)
        clock.advance(seconds=61)
        for _ in range(2):
            assert found(store) == found(reference)
            assert len(found(store)) == 10
        assert by_index[-1] is not None


def nearest_of(store: Any, many: int) -> list[Any]:
    store.put_many(puts())
    return found(store, limit=many)


def test_items_of_many_vectors_leave_room_for_others_among_the_nearest(
    extended: str, by_index: list[Any]
) -> None:
    several = index(fields=["text[*]"])
    with (
        InMemoryStore(index=several) as reference,
        PostgresStore.from_conn_string(
            extended, index={**several, "ann_index_config": {"kind": "hnsw"}}
        ) as store,
    ):
        for one in (reference, store):
            one.put_many([(ME, f"k{n}", {"text": [str(n), str(n + 1)]}) for n in range(SIZE)])
        assert tended(store)
        assert found(store) == found(reference)
        assert by_index[-1] is not None
        for one in (reference, store):
            one.put(ME, "like", {"text": [str(SIZE)] * 60})
        assert tended(store)
        assert found(store) == found(reference)
        assert len(by_index[-1]) < 10
        store.put(ME, "like", {"text": [str(SIZE)]})
        assert tended(store)
        line: Any = store._backend()._line
        copies = qualified("TABLE perdure_near_halfvec", line.place.schema).encode()
        assert len(patiently(line, copies)) == 2 * SIZE + 1


def test_what_was_cut_short_takes_away_only_an_index_that_is_not_whole(extended: str) -> None:
    """Another program may have made one of that name."""
    with opened(extended) as store:
        store.put_many(puts())
        assert tended(store)
        found(store)
        line: Any = store._backend()._line
        (copy,) = line.near._copies.values()
        own = (
            b"SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid::regclass::text LIKE '%"
            + copy.index.encode()
            + b"'"
        )

        tending._undo(connection := line.take(), copy.drop_unfinished())
        line.give(connection)
        assert patiently(line, own) == [(True,)]

        invalid = own.replace(
            b"SELECT i.indisvalid FROM pg_index i", b"UPDATE pg_index i SET indisvalid = false"
        )
        patiently(line, invalid)
        tending._undo(connection := line.take(), copy.drop_unfinished())
        line.give(connection)
        assert patiently(line, own) == []
