"""Search by words: the shipped checks, a model that scores everything anew, what a task sees of its own writes."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from databases import KINDS, on_a_server
from perdure import connect
from perdure.errors import QueryError
from perdure.graph import START, StateGraph
from perdure.storage.item_store import ItemStore
from perdure.storage.text.analyser import analyser
from perdure.storage.text.bm25 import LEAST
from perdure.storage.text.values import strings_of
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.store.sqlite import SqliteStore
from perdure.testing import found

ME = ("users", "ada")
Place = tuple[tuple[str, ...], str]


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.mark.parametrize("check", found.FOUND_CHECKS, ids=name)
def test_words_are_found(check: Callable[[ItemStore], None], store: BackendStore) -> None:
    check(store)


@pytest.mark.parametrize("check", found.ASYNC_FOUND_CHECKS, ids=name)
async def test_words_are_found_in_the_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: BackendStore
) -> None:
    await check(store)


words = st.lists(
    st.sampled_from(["tea", "teas", "green", "cat", "the", "run", "running", "茶を飲む"]), max_size=5
)
values = st.fixed_dictionaries({"text": words.map(" ".join), "n": st.integers(0, 2)})
places = st.tuples(st.sampled_from([("a",), ("a", "b"), ("ab",)]), st.sampled_from("klm"))
writes = st.lists(
    st.tuples(places, st.none() | values, st.sampled_from([None, False, ["text"], ["n"]])), max_size=12
)
queries = st.sampled_from(["tea", "green tea", "cat run the", "ru*", "茶", "run zebra green", '"green tea"'])
prefixes = st.sampled_from([(), ("a",), ("a", "b"), ("zz",)])


def do(store: ItemStore, several: list[Any]) -> None:
    for (namespace, key), value, index in several:
        if value is None:
            store.delete(namespace, key)
        else:
            store.put(namespace, key, value, index)


def plain(store: ItemStore, prefix: tuple[str, ...], query: str, **more: Any) -> list[Any]:
    items = store.search(prefix, query=query, limit=100, **more)
    return [(item.namespace, item.key, item.value, item.score) for item in items]


def scored(several: list[Any], prefix: tuple[str, ...], query: str) -> dict[Place, float]:
    """BM25 from its definition (k1 = 0.9, b = 1), over everything."""
    live: dict[Place, Any] = {}
    for place, value, index in several:
        live.pop(place, None)
        if value is not None:
            live[place] = (value, index)
    english = analyser("english")
    counts: dict[Place, dict[str, int]] = {}
    for place, (value, index) in live.items():
        texts = list(strings_of(value)) if index is None else []
        if isinstance(index, list):
            texts = [str(value[path]) for path in index]
        document = english.document(texts).counts
        if document and place[0][: len(prefix)] == prefix:
            counts[place] = document
    total = len(counts)
    average = sum(sum(one.values()) for one in counts.values()) / max(total, 1)
    asked = english.query(query)
    groups = [[term] for term in asked.terms]
    groups += [[t for one in counts.values() for t in one if t.startswith(start)] for start in asked.prefixes]
    scores: dict[Place, float] = {}
    for group in groups:
        times = {place: sum(one.get(term, 0) for term in set(group)) for place, one in counts.items()}
        having = sum(1 for number in times.values() if number)
        weight = math.log(1 + (total - having + 0.5) / (having + 0.5))
        for place, number in times.items():
            if number:
                length = sum(counts[place].values())
                scores[place] = scores.get(place, 0) + weight * (
                    number / (number + 0.9 * length / average) + LEAST
                )
    return scores


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(several=writes, prefix=prefixes, query=queries)
def test_scores_are_those_of_the_definition_on_every_backend(
    several: list[Any], prefix: tuple[str, ...], query: str
) -> None:
    with SqliteStore.from_conn_string(":memory:") as sqlite:
        check_scores(sqlite, several, prefix, query)


@on_a_server(20)
@given(several=writes, prefix=prefixes, query=queries)
def test_scores_are_those_of_the_definition_on_postgres(
    postgres_urls: Callable[[], str], several: list[Any], prefix: tuple[str, ...], query: str
) -> None:
    with PostgresStore.from_conn_string(postgres_urls()) as store:
        check_scores(store, several, prefix, query)


def check_scores(store: ItemStore, several: list[Any], prefix: tuple[str, ...], query: str) -> None:
    expected = scored(several, prefix, query)
    with InMemoryStore() as memory:
        do(memory, several)
        do(store, several)
        answer = plain(memory, prefix, query)
        assert plain(store, prefix, query) == answer

    got = {(namespace, key): score for namespace, key, _, score in answer}
    if '"' not in query:
        assert got.keys() == expected.keys()
    assert got == pytest.approx({place: expected[place] for place in got}, abs=1e-6)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=writes, inside=writes, prefix=prefixes, query=queries)
def test_a_task_finds_what_it_staged_as_if_it_were_committed(
    before: list[Any], inside: list[Any], prefix: tuple[str, ...], query: str
) -> None:
    for url in ("memory://", "sqlite:///:memory:"):
        check_staged(url, before, inside, prefix, query)


@on_a_server(15)
@given(before=writes, inside=writes, prefix=prefixes, query=queries)
def test_a_task_on_postgres_finds_what_it_staged_as_if_it_were_committed(
    postgres_urls: Callable[[], str],
    before: list[Any],
    inside: list[Any],
    prefix: tuple[str, ...],
    query: str,
) -> None:
    check_staged(postgres_urls(), before, inside, prefix, query)


def check_staged(url: str, before: list[Any], inside: list[Any], prefix: tuple[str, ...], query: str) -> None:
    seen: list[Any] = []

    def node(state: dict[str, Any], store: Any) -> None:
        del state
        do(store, inside)
        seen.append(plain(store, prefix, query))
        seen.append(plain(store, prefix, query, filter={"n": 1}))

    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    with connect(url) as db:
        do(db.store, before)
        graph.compile(db).invoke({}, {"configurable": {"thread_id": "t"}})
        assert seen == [plain(db.store, prefix, query), plain(db.store, prefix, query, filter={"n": 1})]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(several=writes, later=writes, prefix=prefixes, query=queries)
def test_items_that_others_filed_otherwise_are_found_all_the_same(
    several: list[Any], later: list[Any], prefix: tuple[str, ...], query: str
) -> None:
    check_strays("sqlite:///:memory:", several, later, prefix, query)


@on_a_server(15)
@given(several=writes, later=writes, prefix=prefixes, query=queries)
def test_items_that_others_filed_otherwise_are_found_on_postgres(
    postgres_urls: Callable[[], str],
    several: list[Any],
    later: list[Any],
    prefix: tuple[str, ...],
    query: str,
) -> None:
    check_strays(postgres_urls(), several, later, prefix, query)


def check_strays(url: str, several: list[Any], later: list[Any], prefix: tuple[str, ...], query: str) -> None:
    with InMemoryStore() as one, connect(url) as db:
        do(one, several)
        do(one, later)
        do(BackendStore(db.backend, type(db.store._codec)()), several)  # pyright: ignore[reportPrivateUsage] - files nothing
        do(db.store, later)
        assert plain(db.store, prefix, query) == plain(one, prefix, query)


def test_fields_limit_what_is_found() -> None:
    with InMemoryStore(index={"fields": ["title", "meta.tags[*]"]}) as store:
        store.put(ME, "a", {"title": "apples", "text": "pears", "meta": {"tags": ["figs"]}})

        assert [item.key for item in store.search((), query="apples figs")] == ["a"]
        assert store.search((), query="pears") == []


def test_a_language_is_a_setting() -> None:
    with InMemoryStore(index={"language": "german"}) as store:
        store.put(ME, "a", {"text": "die Häuser der Stadt"})
        assert [item.key for item in store.search((), query="Haus")] == ["a"]
    with pytest.raises(QueryError, match="klingon"):
        InMemoryStore(index={"language": "klingon"})


def test_settings_that_nobody_knows_are_refused() -> None:
    wrong: Any = {"feilds": ["a"]}
    with pytest.raises(QueryError, match="feilds"):
        InMemoryStore(index=wrong)
    wrong = {"fields": "title"}
    with pytest.raises(QueryError, match="fields"):
        InMemoryStore(index=wrong)


def test_a_store_without_words_says_so() -> None:
    with (
        InMemoryStore(index={"text": False}) as store,
        pytest.raises(QueryError, match="without a text index"),
    ):
        store.search((), query="tea")


@pytest.mark.parametrize("url", KINDS, indirect=True)
def test_an_encrypted_store_says_so(url: str) -> None:
    with connect(url, encryption=bytes(range(32))) as db:
        db.store.put(ME, "a", {"text": "tea"})
        with pytest.raises(QueryError, match="encrypted"):
            db.store.search((), query="tea")
        with db.backend.read() as now:
            assert now.count("postings") == 0
