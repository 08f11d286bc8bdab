"""What of an encrypted database is found by words and meaning: the fields that somebody named, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from databases import KINDS, on_a_server
from perdure import Contract, connect
from perdure.codec import AesGcm
from perdure.database import Database
from perdure.errors import QueryError
from perdure.graph import START, StateGraph
from perdure.storage.item_store import ItemStore
from perdure.store.base import PutOp
from perdure.store.face import BackendStore, codec_of
from perdure.testing.store_contracts import Profile

KEY = bytes(range(32))
ME = ("users", "ada")
VALUE = {"title": "Zebras", "tags": ["ocelots"], "body": "giraffes", "deep": {"title": "wombats"}, "n": 417}


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Letters counted."""
    return [[0.5 + text.lower().count(letter) for letter in "aeiouzg"] for text in texts]


MODEL: Any = {"embed": embed, "dims": 7}


def opened(url: str = "memory://", **more: Any) -> Database:
    return connect(url, **{"encryption": KEY, "plaintext": ["title", "tags[*]"], **more})


def keys(store: ItemStore, query: str, **more: Any) -> list[str]:
    return [item.key for item in store.search((), query=query, **more)]


def bytes_of(folder: Path) -> bytes:
    """All that stands in the database's files; nobody has them open."""
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file())


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> str:
    return url_of(request.param)


def test_words_of_the_fields_that_are_named_are_found_and_no_others(url: str) -> None:
    with opened(url) as db:
        db.store.put(ME, "a", VALUE)

        assert keys(db.store, "zebra") == keys(db.store, "ocelot") == keys(db.store, '"zebras"') == ["a"]
        assert keys(db.store, "giraffe") == keys(db.store, "wombat") == []
        assert db.store.search((), query="zebra", filter={"body": "giraffes"})[0].value == VALUE
        assert db.store.search((), query="zebra", filter={"body": "x"}) == []


def test_vectors_are_made_of_the_fields_that_are_named(url: str) -> None:
    asked: list[str] = []

    def telling(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return embed(texts)

    with opened(url, index={**MODEL, "embed": telling}) as db:
        db.store.put(ME, "a", VALUE)
        db.store.put(ME, "b", {"body": "giraffes"})

        assert keys(db.store, "zzz", mode="vector") == ["a"]
    assert asked == ["Zebras", "ocelots", "zzz"]


@pytest.mark.parametrize("index", [None, MODEL])
def test_the_file_holds_nothing_of_other_fields(tmp_path: Path, index: Any) -> None:
    with opened(f"sqlite:///{tmp_path}/a.db", index=index) as db:
        for n in range(20):
            db.store.put(ME, f"k{n}", {**VALUE, "n": n})
        db.store.put(ME, "k1", {**VALUE, "body": "quokkas"}, index=["title"])
        db.store.update(ME, "k2", lambda value: {**(value or {}), "body": "narwhals"})

        def node(state: dict[str, Any], store: Any) -> None:
            store.put(ME, "k3", {**VALUE, "body": "axolotls"})

        graph = StateGraph(dict)
        graph.add_node("node", node)
        graph.add_edge(START, "node")
        graph.compile(db).invoke({}, {"configurable": {"thread_id": "t"}})
        assert len(keys(db.store, "zebras", limit=100)) == 20

    found = bytes_of(tmp_path).lower()
    assert b"zebra" in found
    assert b"ocelot" in found
    for secret in (b"giraffe", b"wombat", b"quokka", b"narwhal", b"axolotl"):
        assert secret not in found


def test_without_naming_any_there_are_no_words_at_all(tmp_path: Path) -> None:
    for plaintext in (None, []):
        with opened(f"sqlite:///{tmp_path}/a.db", plaintext=plaintext) as db:
            db.store.put(ME, "a", VALUE, index=["title"])
            with pytest.raises(QueryError, match="without plaintext="):
                db.store.search((), query="zebra")
        assert b"zebra" not in bytes_of(tmp_path).lower()


def test_an_item_cannot_name_a_field_that_is_kept_secret(url: str) -> None:
    with opened(url) as db:
        with pytest.raises(QueryError, match="'body'") as raised:
            db.store.put(ME, "a", VALUE, index=["title", "body"])
        assert raised.value.part == "index"
        with pytest.raises(QueryError):
            db.store.batch([PutOp(ME, "b", VALUE), PutOp(ME, "a", VALUE, index=["$"])])
        assert db.store.search(()) == []

        db.store.put(ME, "a", VALUE, index=["tags[*]"])
        db.store.put(ME, "b", VALUE, index=False)
        assert keys(db.store, "ocelot") == ["a"]
        assert keys(db.store, "zebra") == []


def test_what_an_import_says_of_an_item_shows_nothing_more(tmp_path: Path) -> None:
    with connect("memory://") as other:
        other.store.put(ME, "a", VALUE, index=["title", "body"])
        other.store.put(ME, "b", VALUE)
        lines = list(other.store.export())
    asked: list[str] = []

    def telling(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return embed(texts)

    with opened(f"sqlite:///{tmp_path}/a.db", index={**MODEL, "embed": telling}) as db:
        db.store.import_(lines)
        db.store.reindex()
        assert set(asked) == {"Zebras", "ocelots"}
        assert sorted(keys(db.store, "zebra")) == ["a", "b"]
        assert keys(db.store, "giraffe", mode="text") == []
    assert b"giraffe" not in bytes_of(tmp_path).lower()


# ---- another setting later


def test_other_fields_are_found_at_once_and_filed_by_reindexing(url: str) -> None:
    with opened(url, index=MODEL) as db:
        db.store.put(ME, "a", VALUE)
        db.store.put(ME, "b", {"tags": ["ocelots"]})
        codec = codec_of(MODEL, AesGcm(KEY), plaintext=["title"])
        narrower = BackendStore(db.backend, codec)

        for _ in ("one by one", "filed"):
            assert keys(narrower, "zebra", mode="text") == ["a"]
            assert keys(narrower, "ocelot", mode="text") == []
            narrower.reindex()

        with db.backend.read() as now:
            holds = now.forgettable(())
        assert (holds.postings, holds.vectors) == (1, 1)  # nothing of tags is left, neither words nor vectors
        assert narrower.reindex().filed == 0


def test_an_item_s_own_fields_are_found_once_they_may_be(url: str) -> None:
    """Though the store's own stay what they were."""
    index = {"fields": ["title"]}
    with opened(url, index=index, plaintext=["title"]) as db:
        with connect("memory://") as other:
            other.store.put(ME, "a", VALUE, index=["tags[*]"])
            db.store.import_(list(other.store.export()))
        assert keys(db.store, "ocelot") == []
        wider = BackendStore(db.backend, codec_of(index, AesGcm(KEY), plaintext=["title", "tags[*]"]))

        assert keys(wider, "ocelot") == ["a"]
        assert wider.reindex().filed == 1
        assert keys(wider, "ocelot") == ["a"]


def test_what_was_readable_is_taken_away_by_reindexing_without_plaintext(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with opened(url, index=MODEL) as db:
        for n in range(1100):
            db.store.put((*ME, str(n % 7)), f"{n}", VALUE)
    with connect(url, encryption=KEY) as db:
        done = db.store.reindex()
        assert done.filed == 1100
        with db.backend.read() as now:
            holds = now.forgettable(())
        assert (holds.postings, holds.vectors, holds.items) == (0, 0, 1100)
        assert db.store.reindex().filed == 0
        db.vacuum()
    assert b"zebra" not in bytes_of(tmp_path).lower()


def test_words_without_a_model_any_more_leave_no_vectors(url: str) -> None:
    with opened(url, index=MODEL) as db:
        db.store.put(ME, "a", VALUE)
        narrower = BackendStore(db.backend, codec_of(None, AesGcm(KEY), plaintext=["title"]))

        narrower.reindex()

        with db.backend.read() as now:
            holds = now.forgettable(())
        assert (holds.postings, holds.vectors) == (1, 0)


def test_vectors_without_words_any_more_leave_no_words(url: str) -> None:
    with opened(url, index=MODEL) as db:
        db.store.put(ME, "a", VALUE)
        wordless = BackendStore(
            db.backend, codec_of({**MODEL, "text": False}, AesGcm(KEY), plaintext=["title", "tags[*]"])
        )

        assert wordless.reindex().filed == 1

        with db.backend.read() as now:
            holds = now.forgettable(())
        assert (holds.postings, holds.vectors) == (0, 1)
        assert wordless.reindex().filed == 0


# ---- any values

texts = st.text(st.sampled_from("abcxyz 😀é\0\ud800"), max_size=8)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["title", "tags", "body"]), inner, max_size=3)
    ),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(["title", "tags", "body"]), values, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from("klm"), objects, st.sampled_from([None, False, ["title"]])), max_size=5
    )
)
def test_what_is_filed_is_that_of_a_plain_store_which_knows_these_fields_only(several: list[Any]) -> None:
    """So nothing of any other field changes a word, a length, or a vector of what stands in the file."""
    check_filed("memory://", several)


@on_a_server(15)
@given(
    st.lists(
        st.tuples(st.sampled_from("klm"), objects, st.sampled_from([None, False, ["title"]])), max_size=5
    )
)
def test_on_postgres_what_is_filed_is_that_of_a_plain_store(
    postgres_urls: Callable[[], str], several: list[Any]
) -> None:
    check_filed(postgres_urls(), several)


def check_filed(url: str, several: list[Any]) -> None:
    held: list[Any] = []
    index = {**MODEL, "fields": ["title", "tags[*]"]}
    for db in (opened(url, index=MODEL), connect("memory://", index=index)):
        with db:
            for key, value, paths in several:
                only = {
                    name: part for name, part in value.items() if db.store._codec.cipher or name != "body"
                }
                db.store.put(ME, key, only, paths)
            found = [
                [(item.key, item.score) for item in db.store.search((), query=query, mode=mode, limit=9)]
                for query in ("a", "xyz", "abc x")
                for mode in ("text", "vector", "hybrid")
            ]
            with db.backend.read() as now:
                holds = now.forgettable(())
            held.append((found, holds.postings, holds.vectors))

    assert held[0] == held[1]


# ---- refusals


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"encryption": None}, "plaintext"),
        ({"plaintext": "title"}, "plaintext"),
        ({"plaintext": {"title"}}, "plaintext"),
        ({"plaintext": ["$"]}, "plaintext"),
        ({"plaintext": [""]}, "plaintext"),
        ({"plaintext": ["title", 5]}, "plaintext"),
        ({"index": {"fields": ["body"]}}, "fields"),
        ({"index": {"fields": ["title", "tags"]}}, "fields"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, asked: Any, part: str) -> None:
    with pytest.raises(QueryError) as raised, opened(f"sqlite:///{tmp_path}/a.db", **asked) as db:
        _ = db.store
    assert raised.value.part == part


def test_fewer_fields_than_may_be_found_can_be_indexed(url: str) -> None:
    with opened(url, index={"fields": ["title"]}) as db:
        db.store.put(ME, "a", VALUE)
        db.store.put(ME, "b", VALUE, index=["tags[*]"])
        assert keys(db.store, "zebra") == ["a"]
        assert keys(db.store, "ocelot") == ["b"]


@pytest.mark.parametrize("query", ["zebra", "ocelot"])
def test_contracts_and_tasks_go_with_it(url: str, query: str) -> None:
    seen: list[list[str]] = []

    def node(state: dict[str, Any], store: Any) -> None:
        store.put(ME, "a", VALUE)
        seen.append(keys(store, query))

    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    with opened(url, contracts=[Contract(("people",), Profile)]) as db:
        graph.compile(db).invoke({}, {"configurable": {"thread_id": "t"}})
        assert keys(db.store, query) == ["a"]
    assert seen == [["a"]]
