"""Search by meaning and by both: scores from their definition, on every backend, whatever was written in between."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import perdure
from databases import POSTGRES, QUICK
from perdure import connect
from perdure.errors import EmbeddingError, QueryError
from perdure.graph import START, StateGraph
from perdure.storage.item_store import ItemStore
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import AsyncSqliteStore, SqliteStore
from perdure.types import RetryPolicy

ME = ("users", "ada")
DIMS = 4
Place = tuple[tuple[str, ...], str]


class Model:
    """Vectors made of the texts alone; counts what it is asked."""

    def __init__(self, dims: int = DIMS) -> None:
        self.dims = dims
        self.asked: list[list[str]] = []
        self.fails = False

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(list(texts))
        if self.fails:
            raise ConnectionError("no route to the model")
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> list[float]:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        return [round(float(part), 3) for part in np.random.default_rng(seed).normal(size=self.dims)]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture(params=["memory", "sqlite-memory", POSTGRES])
def store(request: pytest.FixtureRequest, url_of: Callable[[str], str], model: Model) -> Generator[ItemStore]:
    index: Any = {"dims": DIMS, "embed": model, "fields": ["text", "more[*]"]}
    with perdure.connect(url_of(request.param), index=index) as db:
        yield db.store


def keys(store: ItemStore, query: str, **more: Any) -> list[str]:
    return [item.key for item in store.search((), query=query, **more)]


def test_the_most_alike_comes_first(store: ItemStore, model: Model) -> None:
    for text in ("tea", "coffee", "water"):
        store.put(ME, text, {"text": text})

    found = store.search(ME, query="tea", mode="vector")

    assert found[0].key == "tea"
    assert found[0].score == pytest.approx(1.0)
    one, other = np.array(model.vector("tea")), np.array(model.vector(found[1].key))
    assert found[1].score == pytest.approx(
        float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)), abs=1e-6
    )


def test_of_several_vectors_of_an_item_the_best_counts(store: ItemStore) -> None:
    store.put(ME, "many", {"text": "water", "more": ["beer", "tea", "wine"]})
    store.put(ME, "one", {"text": "coffee"})
    store.put(ME, "none", {"other": "tea"})

    found = store.search(ME, query="tea", mode="vector")

    assert [item.key for item in found] == ["many", "one"]
    assert found[0].score == pytest.approx(1.0)


def test_what_a_put_says_is_embedded(store: ItemStore, model: Model) -> None:
    store.put(ME, "hidden", {"text": "tea"}, index=False)
    assert model.asked == []
    store.put(ME, "title", {"title": "tea", "text": "water"}, index=["title", "no.such"])

    assert model.asked == [["tea"]]
    assert keys(store, "tea", mode="vector") == ["title"]
    store.update(ME, "title", lambda value: {**(value or {}), "title": "cocoa"})
    assert store.search((), query="cocoa", mode="vector")[0].score == pytest.approx(1.0)
    store.update(ME, "hidden", lambda value: {**(value or {}), "n": 1})
    assert keys(store, "tea", mode="vector") == ["title"]


def test_a_text_is_asked_for_once(store: ItemStore, model: Model) -> None:
    store.put(ME, "a", {"text": "tea"})
    store.put(ME, "b", {"text": "tea", "more": ["water", "water"]})
    store.search((), query="tea")
    store.search((), query="tea")

    assert [text for batch in model.asked for text in batch] == ["tea", "water", "tea"]


def test_a_model_that_fails_fails_the_put_and_writes_nothing(store: ItemStore, model: Model) -> None:
    store.put(ME, "a", {"text": "tea"})
    model.fails = True

    with pytest.raises(EmbeddingError, match=r"ConnectionError.*Nothing was written") as raised:
        store.put(ME, "a", {"text": "water"})
    with pytest.raises(EmbeddingError):
        asyncio.run(store.aput(ME, "b", {"text": "wine"}))
    with pytest.raises(EmbeddingError):
        store.search((), query="never asked")

    assert raised.value.model is not None
    assert store.get(ME, "b") is None
    item = store.get(ME, "a")
    assert item is not None
    assert item.value == {"text": "tea"}
    assert keys(store, "tea", mode="text") == ["a"]


def test_a_store_may_put_embedding_off(model: Model) -> None:
    index: Any = {"dims": DIMS, "embed": model, "on_embed_error": "defer", "fields": ["text"]}
    with InMemoryStore(index=index) as store:
        model.fails = True
        store.put(ME, "a", {"text": "tea"})
        model.fails = False
        store.put(ME, "b", {"text": "tea"})

        assert keys(store, "tea", mode="text") == ["b", "a"]
        assert keys(store, "tea", mode="vector") == ["b"]
        store.put(ME, "empty", {"other": 1})
        store.put(ME, "hidden", {"text": "tea"}, index=False)
        model.fails = True
        for n in range(300):
            store.put(("many", "of"), str(n), {"text": f"water {n}"})
        model.fails = False
        done = store.reindex()

        assert done.filed == 301
        assert sorted(keys(store, "tea", mode="vector", limit=2)) == ["a", "b"]
        assert keys(store, "water 7", mode="vector", limit=1) == ["7"]
        assert store.reindex().filed == 0


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_a_change_of_model_is_followed_by_reindexing(url: str) -> None:
    from perdure.store.face import BackendStore, codec_of

    with connect(url, index={"dims": DIMS, "embed": Model(), "model": "one"}) as db:
        db.store.put(ME, "a", {"text": "tea"})
        db.store.put(("users",), "b", {"text": "coffee"})
        other = BackendStore(
            db.backend, codec_of({"dims": 2, "embed": Model(2), "model": "two", "language": "german"})
        )
        assert other.search((), query="tea", mode="vector") == []

        assert other.reindex().filed >= 2
        assert len(other.search((), query="tea", mode="vector")) == 2
        assert keys(other, "tea", mode="text") == ["a"]
        assert db.store.search((), query="tea", mode="vector") == []


def test_filing_words_anew_leaves_vectors(store: ItemStore) -> None:
    store.put(ME, "a", {"text": "tea"})
    before = store.search((), query="tea", mode="vector")

    store.check(repair=True)

    assert store.search((), query="tea", mode="vector") == before
    assert keys(store, "tea", mode="text") == ["a"]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ([[1.0] * 3], "3 components, but the store's index says dims=4"),
        ([[1.0] * 4, [1.0] * 4], "2 vectors"),
        ([[1.0, 2.0, 3.0, math.nan]], "NaN"),
        ([[1.0], [1.0, 2.0]], "one length"),
        ("nonsense", "no list of vectors"),
        (None, "vectors"),
        ([], "0 vectors"),
    ],
)
def test_what_is_no_vector_is_refused(made: Any, says: str) -> None:
    index: Any = {"dims": DIMS, "embed": lambda texts: made}
    with InMemoryStore(index=index) as store:
        with pytest.raises(EmbeddingError, match=says):
            store.put(ME, "a", {"text": "tea"})
        assert store.get(ME, "a") is None


@pytest.mark.parametrize(
    ("index", "part"),
    [
        ({"dims": 4}, "embed"),
        ({"embed": len}, "dims"),
        ({"embed": len, "dims": 0}, "dims"),
        ({"embed": len, "dims": "4"}, "dims"),
        ({"embed": len, "dims": 4, "distance": "l3"}, "distance"),
        ({"embed": len, "dims": 4, "on_embed_error": "ignore"}, "on_embed_error"),
        ({"embed": len, "dims": 4, "batch_size": 0}, "batch_size"),
        ({"embed": len, "dims": 4, "model": 7}, "model"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(index: Any, part: str) -> None:
    with pytest.raises(QueryError) as raised:
        InMemoryStore(index=index)
    assert raised.value.part == part


def test_an_encrypted_database_has_no_vectors(model: Model) -> None:
    db = connect("memory://", encryption=bytes(32), index={"dims": DIMS, "embed": model})
    with db, pytest.raises(QueryError, match="encrypted"):
        _ = db.store


@pytest.mark.parametrize(
    "wrong", [{"mode": "both"}, {"weights": (0, 0)}, {"weights": (1,)}, {"weights": (-1, 1)}]
)
def test_a_wrong_ranking_is_refused(store: ItemStore, wrong: Any) -> None:
    with pytest.raises(QueryError) as raised:
        store.search((), query="tea", **wrong)
    assert raised.value.part in wrong


def test_meaning_needs_a_model() -> None:
    with InMemoryStore() as store:
        for mode in ("vector", "hybrid"):
            with pytest.raises(QueryError, match="no embedding model"):
                store.search((), query="tea", mode=mode)


async def test_an_async_model_serves_both_colours() -> None:
    made = Model()

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        return made(texts)

    index: Any = {"dims": DIMS, "embed": embed, "batch_size": 2, "fields": ["more[*]"]}
    async with AsyncSqliteStore.from_conn_string(":memory:", index=index) as store:
        await store.aput(ME, "a", {"more": ["tea", "water", "wine", "beer", "ale"]})
        assert [len(batch) for batch in made.asked] == [2, 2, 1]
        assert [item.key for item in await store.asearch((), query="wine")] == ["a"]
        await asyncio.to_thread(store.put, ME, "b", {"more": ["cocoa"]})
        found = await asyncio.to_thread(store.search, (), query="cocoa", mode="vector")
        assert found[0].key == "b"


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_model_that_fails_fails_its_task(model: Model, colour: str) -> None:
    def node(state: dict[str, Any], store: Any) -> None:
        del state
        store.put(ME, "a", {"text": "tea"})
        model.fails = True

    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    with connect("memory://", index={"dims": DIMS, "embed": model}) as db:
        compiled = graph.compile(db)
        config: Any = {"configurable": {"thread_id": "t"}}
        call = compiled.invoke if colour == "sync" else lambda *given: asyncio.run(compiled.ainvoke(*given))
        with pytest.raises(EmbeddingError):
            call({}, config)
        assert db.store.get(ME, "a") is None
        model.fails = False
        assert compiled.get_state(config).next == ("node",)


words = st.lists(st.sampled_from(["tea", "green", "cat", "run"]), max_size=3).map(" ".join)
values = st.fixed_dictionaries({"text": words, "more": st.lists(words, max_size=2)})
places = st.tuples(st.sampled_from([("a",), ("a", "b"), ("ab",)]), st.sampled_from("klm"))
write = st.tuples(places, st.none() | values, st.sampled_from([None, None, False, ["text"]]))
queries = st.sampled_from(["tea", "green tea", "cat run", "zebra"])
prefixes = st.sampled_from([(), ("a",), ("a", "b"), ("zz",)])
distances = st.sampled_from(["cosine", "inner_product", "l2"])
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def do(store: ItemStore, several: list[Any]) -> None:
    for (namespace, key), value, index in several:
        if value is None:
            store.delete(namespace, key)
        else:
            store.put(namespace, key, value, index)


def answer(
    store: ItemStore, prefix: tuple[str, ...], query: str, **more: Any
) -> list[tuple[Place, float | None]]:
    found = store.search(prefix, query=query, limit=100, **more)
    return [((item.namespace, item.key), item.score) for item in found]


def alike(
    model: Model, live: dict[Place, Any], prefix: tuple[str, ...], query: str, distance: str
) -> dict[Place, float]:
    """The definition, over everything."""
    asked = np.array(model.vector(query), np.float32).astype(float)
    scores: dict[Place, float] = {}
    for place, (value, index) in live.items():
        texts = [value["text"], *value["more"]] if index is None else [value["text"]] if index else []
        if place[0][: len(prefix)] != prefix or not texts:
            continue
        rows = [np.array(model.vector(text), np.float32).astype(float) for text in texts]
        if distance == "cosine":
            all_scores = [row @ asked / np.linalg.norm(row) / np.linalg.norm(asked) for row in rows]
        elif distance == "l2":
            all_scores = [-np.linalg.norm(row - asked) for row in rows]
        else:
            all_scores = [row @ asked for row in rows]
        scores[place] = float(max(all_scores))
    return scores


@quick
@given(several=st.lists(write, max_size=14), prefix=prefixes, query=queries, distance=distances)
def test_scores_are_those_of_the_definition_between_any_writes(
    several: list[Any], prefix: tuple[str, ...], query: str, distance: Any
) -> None:
    model = Model()
    index: Any = {"dims": DIMS, "embed": model, "fields": ["text", "more[*]"], "distance": distance}
    live: dict[Place, Any] = {}
    with (
        InMemoryStore(index=index) as memory,
        SqliteStore.from_conn_string(":memory:", index=index) as sqlite,
    ):
        for one in several:
            do(memory, [one])
            do(sqlite, [one])
            live.pop(one[0], None)
            if one[1] is not None:
                live[one[0]] = one[1:]
            by_meaning = answer(memory, prefix, query, mode="vector")
            assert answer(sqlite, prefix, query, mode="vector") == by_meaning
            assert dict(by_meaning) == pytest.approx(alike(model, live, prefix, query, distance), abs=1e-5)
            scores = [score for _, score in by_meaning if score is not None]
            assert scores == sorted(scores, reverse=True)
            both = answer(memory, prefix, query)
            assert [place for place, _ in answer(sqlite, prefix, query)] == [place for place, _ in both]
            assert {place for place, _ in both} >= {place for place, _ in by_meaning}


@quick
@given(before=st.lists(write, max_size=6), inside=st.lists(write, max_size=6), prefix=prefixes, query=queries)
def test_a_task_finds_what_it_staged_as_if_it_were_committed(
    before: list[Any], inside: list[Any], prefix: tuple[str, ...], query: str
) -> None:
    seen: list[Any] = []

    def node(state: dict[str, Any], store: Any) -> None:
        del state
        do(store, inside)
        seen.extend(answer(store, prefix, query, mode=mode) for mode in ("vector", "hybrid"))

    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    index: Any = {"dims": DIMS, "embed": Model(), "fields": ["text", "more[*]"]}
    for url in ("memory://", "sqlite:///:memory:"):
        with connect(url, index=index) as db:
            do(db.store, before)
            graph.compile(db).invoke({}, {"configurable": {"thread_id": "t"}})
            for got, mode in zip(seen, ("vector", "hybrid"), strict=True):
                expected = answer(db.store, prefix, query, mode=mode)
                assert [place for place, _ in got] == [place for place, _ in expected]
                assert [score for _, score in got] == pytest.approx(
                    [score for _, score in expected], abs=1e-6
                )
        seen.clear()


def test_hybrid_is_a_weighted_sum_that_is_explained(store: ItemStore) -> None:
    store.put(ME, "a", {"text": "tea"})
    store.put(ME, "b", {"text": "green tea in the morning"})
    store.put(ME, "c", {"text": "water"})

    for weights in ((0.5, 0.5), (3, 1), (1, 0), (0, 1)):
        found = store.search((), query="tea", weights=weights, explain=True)
        parts: list[Any] = [item.explanation for item in found]
        by_words = {item.key: item.score or 0.0 for item in store.search((), query="tea", mode="text")}
        by_meaning = {item.key: item.score or 0.0 for item in store.search((), query="tea", mode="vector")}
        low, high = min(by_meaning.values()), max(by_meaning.values())
        for item, part in zip(found, parts, strict=True):
            text = by_words.get(item.key, 0.0) / max(by_words.values()) * weights[0] / sum(weights)
            vector = (by_meaning[item.key] - low) / (high - low) * weights[1] / sum(weights)
            assert item.score == pytest.approx(text + vector, abs=1e-6)
            assert (part["text_share"], part["vector_share"]) == pytest.approx((text, vector), abs=1e-6)
            assert part["text"] == by_words.get(item.key)
            assert part["vector"] == pytest.approx(by_meaning[item.key])
    assert store.search((), query="tea")[0].explanation is None


def test_pages_and_filters_cut_one_order(store: ItemStore) -> None:
    for n in range(300):
        store.put(ME, str(n), {"text": f"tea {n % 50} {n % 7}", "odd": n % 2})
    for mode in ("vector", "hybrid"):
        whole = keys(store, "tea 3", mode=mode, limit=1000)
        assert sorted(whole, key=int) == [str(n) for n in range(300)]
        pages = [
            key for page in range(10) for key in keys(store, "tea 3", mode=mode, limit=30, offset=30 * page)
        ]
        assert pages == whole
        odd = keys(store, "tea 3", mode=mode, limit=1000, filter={"odd": 1})
        assert odd == [key for key in whole if int(key) % 2]


def test_a_second_process_of_another_model_sees_only_its_own() -> None:
    with connect("memory://", index={"dims": DIMS, "embed": Model(), "model": "one"}) as db:
        db.store.put(ME, "a", {"text": "tea"})
        from perdure.store.face import BackendStore, codec_of

        other = BackendStore(db.backend, codec_of({"dims": 2, "embed": Model(2), "model": "two"}))
        assert other.search((), query="tea", mode="vector") == []
        other.put(ME, "b", {"text": "tea"})
        assert keys(other, "tea", mode="vector") == ["b"]
        assert keys(db.store, "tea", mode="vector") == ["a"]


def test_what_is_forgotten_has_no_vectors(store: ItemStore) -> None:
    store.put(("a", "notes"), "k", {"text": "tea"})
    store.put(("b",), "k", {"text": "tea"})
    assert len(keys(store, "tea", mode="vector")) == 2

    receipt = store.forget(("a",))

    assert receipt.counts["vectors"] == 1
    assert [item.namespace for item in store.search((), query="tea", mode="vector")] == [("b",)]
    store.put(("a", "notes"), "other", {"text": "coffee"})
    found = store.search(("a",), query="coffee", mode="vector")
    assert [(item.key, item.score) for item in found] == [("other", pytest.approx(1.0))]


def test_a_scope_searches_by_meaning_in_its_subtree_only(store: ItemStore) -> None:
    store.put(("a", "notes"), "k", {"text": "tea"})
    store.put(("b",), "k", {"text": "tea"})

    found = store.scoped(("a",)).search((), query="tea", mode="vector", explain=True)

    assert [item.namespace for item in found] == [("notes",)]
    assert found[0].explanation is not None


def test_a_model_that_fails_once_is_asked_again_by_the_task_s_retry(model: Model) -> None:
    runs: list[int] = []

    def node(state: dict[str, Any], store: Any) -> None:
        del state
        runs.append(len(runs))
        model.fails = len(runs) == 1
        store.put(ME, "a", {"text": "tea"})

    graph = StateGraph(dict)
    policy = RetryPolicy(initial_interval=0, jitter=False, max_attempts=2, retry_on=EmbeddingError)
    graph.add_node("node", node, retry_policy=policy)
    graph.add_edge(START, "node")
    with connect("memory://", index={"dims": DIMS, "embed": model}) as db:
        graph.compile(db).invoke({}, {"configurable": {"thread_id": "t"}})

        assert len(runs) == 2
        assert keys(db.store, "tea", mode="text") == ["a"]


def test_differences_of_rounding_are_none() -> None:
    made = {"a": [1.0, 0.0], "b": [1.0, 1e-3], "q": [1.0, 0.0]}
    index: Any = {"dims": 2, "embed": lambda texts: [made[text] for text in texts], "fields": ["v"]}
    with InMemoryStore(index=index) as store:
        store.put(ME, "a", {"v": "a"})
        store.put(ME, "b", {"v": "b"})

        found = store.search((), query="q", mode="hybrid")

        assert [item.score for item in found] == [0.0, 0.0]


def test_long_vectors_that_are_staged_are_ranked_exactly() -> None:
    dice = np.random.default_rng(1)
    made = dice.normal(size=(300, 64)) * 1e7
    # Inner products that differ by about as much as float32 sums are off:
    made[:, 0] += dice.normal(size=300) * 30 - made.sum(axis=1)
    rows = {f"t{n}": row.astype("f4").tolist() for n, row in enumerate(made)}

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [rows.get(text, [1.0] * 64) for text in texts]

    index: Any = {"embed": embed, "dims": 64, "fields": ["text"], "distance": "inner_product"}
    found: list[str] = []
    store = InMemoryStore(index=index)

    def node(state: Any) -> dict[str, Any]:
        for text in rows:
            store.put(("t",), text, {"text": text})
        found.extend(item.key for item in store.search(("t",), query="?", mode="vector", limit=5))
        return {}

    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.compile(store=store).invoke({})

    assert found == [item.key for item in store.search(("t",), query="?", mode="vector", limit=5)]
