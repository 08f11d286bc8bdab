"""Rankings of several parts: the shipped checks, a model that looks at everything, what a task sees of its own writes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from databases import POSTGRES, QUICK, on_a_server
from perdure import connect
from perdure.graph import START, StateGraph
from perdure.storage.item_store import ItemStore
from perdure.store.base import Importance, RankBy, Recency, SearchItem
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.testing import FakeClock, ranked, reranked

ME = ("users", "ada")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DIMS = 4
Place = tuple[tuple[str, ...], str]


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.mark.parametrize("check", [*ranked.RANKED_CHECKS, *reranked.RERANKED_CHECKS], ids=name)
def test_a_search_ranks(check: Callable[[ItemStore], None], store: BackendStore) -> None:
    check(store)


@pytest.mark.parametrize("check", [*ranked.ASYNC_RANKED_CHECKS, *reranked.ASYNC_RERANKED_CHECKS], ids=name)
async def test_a_search_ranks_in_the_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: BackendStore
) -> None:
    await check(store)


# ---- a model that looks at everything


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Vectors made of the texts alone."""
    found: list[list[float]] = []
    for text in texts:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        found.append([round(float(part), 3) for part in np.random.default_rng(seed).normal(size=DIMS)])
    return found


INDEX: Any = {"dims": DIMS, "embed": embed, "fields": ["text", "more[*]"]}
WORDS = ("tea", "green", "cat", "run", "the", "milk")
SPACES = (("a",), ("a", "b"), ("ab",))
words = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
values = st.fixed_dictionaries(
    {
        "text": words,
        "more": st.lists(words, max_size=2),
        "weight": st.sampled_from([None, 0, 1, 0.25, 0.5, 7, "1", True, [1]]),
        "odd": st.booleans(),
    }
)
places = st.tuples(st.sampled_from(SPACES), st.sampled_from("klmno"))
writes = st.lists(st.tuples(places, st.none() | values, st.integers(0, 40)), max_size=16)
weighings = st.sampled_from([0, 0.2, 1, 3.0])
rankings = st.builds(
    RankBy,
    mode=st.sampled_from(["text", "vector", "hybrid"]),
    weights=st.sampled_from([(0.5, 0.5), (3, 1), (0, 1), (1, 0)]),
    explain=st.just(True),
    recency=st.none()
    | st.builds(Recency, st.sampled_from([timedelta(hours=6), timedelta(days=3)]), weighings),
    importance=st.none()
    | st.builds(Importance, st.just("weight"), weighings, st.sampled_from([(0, 1), (0.2, 8)])),
    diversity=st.sampled_from([0, 0, 0.3, 0.7, 1]),
)
quick = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@contextmanager
def both_stores(url: str = "sqlite:///:memory:") -> Generator[list[ItemStore]]:
    with InMemoryStore(index=INDEX) as reference, connect(url, index=INDEX) as db:
        yield [reference, db.store]


def do(stores: Sequence[ItemStore], several: list[Any], clock: FakeClock | None = None) -> None:
    for (namespace, key), value, hours in several:
        if clock is not None:
            clock.advance(hours=hours)
        for store in stores:
            if value is None:
                store.delete(namespace, key)
            else:
                store.put(namespace, key, value)


def told(found: list[SearchItem]) -> list[Any]:
    return [(item.namespace, item.key, item.score, item.explanation, item.neighbour_of) for item in found]


class Model:
    """The answer from its definition, over all items of the subtree: `best` is their order, with their scores."""

    def __init__(
        self, store: ItemStore, prefix: tuple[str, ...], query: str, ranking: RankBy, now: datetime
    ) -> None:
        everything = store.search(prefix, limit=9999)
        self.items = {(item.namespace, item.key): item for item in everything}
        self.newest = {place: rank for rank, place in enumerate(self.items)}
        self.ranking, self.now = ranking, now
        self.text = self.scores(store, prefix, query, "text")
        self.vector = self.scores(store, prefix, query, "vector")
        found = {"text": self.text, "vector": self.vector, "hybrid": {**self.text, **self.vector}}
        self.found = list(found[ranking.mode or "hybrid"])
        self.score = {place: self.blended(place) for place in self.found}

    @staticmethod
    def scores(store: ItemStore, prefix: tuple[str, ...], query: str, mode: Any) -> dict[Place, float]:
        found = store.search(prefix, query=query, mode=mode, limit=9999)
        return {(item.namespace, item.key): item.score or 0.0 for item in found}

    def fit(self, place: Place) -> float:
        text = self.text.get(place, 0.0) / max(self.text.values()) if self.text else 0.0
        low, high = min(self.vector.values(), default=0.0), max(self.vector.values(), default=0.0)
        vector = (
            (self.vector[place] - low) / (high - low) if place in self.vector and high - low > 1e-6 else 0.0
        )
        if self.ranking.mode != "hybrid":
            return text if self.ranking.mode == "text" else vector
        words, meaning = self.ranking.weights
        return (words * text + meaning * vector) / (words + meaning)

    def blended(self, place: Place) -> float:
        recency, importance = self.ranking.recency, self.ranking.importance
        if recency is None and importance is None:
            if self.ranking.mode == "hybrid":
                return self.fit(place)
            return (self.text if self.ranking.mode == "text" else self.vector)[place]
        item, parts = self.items[place], [(1.0, self.fit(place))]
        if recency is not None:
            parts.append((recency.weight, 0.5 ** ((self.now - item.updated_at) / recency.half_life)))
        if importance is not None:
            number, (low, high) = item.value["weight"], importance.range
            is_number = isinstance(number, int | float) and not isinstance(number, bool)
            share = min(1.0, max(0.0, (number - low) / (high - low))) if is_number else 0.0
            parts.append((importance.weight, share))
        return sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts)

    def relevance(self, place: Place) -> float:
        blends = self.ranking.recency is not None or self.ranking.importance is not None
        return self.score[place] if blends or self.ranking.mode == "hybrid" else self.fit(place)

    def alike(self, one: Place, other: Place) -> float:
        def vectors(place: Place) -> list[Any]:
            value = self.items[place].value
            rows = [np.array(row, np.float32).astype(float) for row in embed([value["text"], *value["more"]])]
            return [row / np.linalg.norm(row) for row in rows]

        def terms(place: Place) -> set[str]:
            value = self.items[place].value
            some = set(" ".join([value["text"], *value["more"]]).split())
            return some - {"the"} or some

        if self.ranking.mode != "text":
            return max(0.0, *(float(a @ b) for a in vectors(one) for b in vectors(other)))
        either = terms(one) | terms(other)
        return len(terms(one) & terms(other)) / len(either) if either else 0.0


def check_order(model: Model, found: list[SearchItem]) -> None:
    """The whole answer is the model's, up to what rounding decides."""
    order = [(item.namespace, item.key) for item in found]
    assert sorted(order) == sorted(model.found)
    scores = [item.score or 0.0 for item in found]
    assert scores == pytest.approx([model.score[place] for place in order], abs=1e-6)
    if not model.ranking.diversity:
        assert order == sorted(order, key=lambda place: (-scores[order.index(place)], model.newest[place]))
        return
    cost = model.ranking.diversity
    for at, place in enumerate(order):
        worth = {
            left: (1 - cost) * model.relevance(left)
            - cost * max((model.alike(left, taken) for taken in order[:at]), default=0.0)
            for left in order[at:]
        }
        assert worth[place] >= max(worth.values()) - 1e-5


asked = given(
    several=writes,
    prefix=st.sampled_from([(), ("a",), ("a", "b"), ("zz",)]),
    query=st.sampled_from(["tea", "green tea", "cat run milk", "the", "zebra"]),
    ranking=rankings,
    window=st.tuples(st.integers(1, 5), st.integers(0, 5)),
    odd=st.none() | st.booleans(),
    neighbours=st.integers(0, 2),
)


@quick
@asked
def test_the_answer_is_the_true_best_of_all_on_every_backend(**how: Any) -> None:
    check_best("sqlite:///:memory:", **how)


@on_a_server(20)
@asked
def test_the_answer_is_the_true_best_of_all_on_postgres(postgres_urls: Callable[[], str], **how: Any) -> None:
    check_best(postgres_urls(), **how)


def check_best(
    url: str,
    several: list[Any],
    prefix: tuple[str, ...],
    query: str,
    ranking: RankBy,
    window: tuple[int, int],
    odd: bool | None,
    neighbours: int,
) -> None:
    with FakeClock(BEGIN) as clock, both_stores(url) as stores:
        do(stores, several, clock)
        clock.advance(hours=5)
        model = Model(stores[0], prefix, query, ranking, clock.now())
        ask: dict[str, Any] = {"query": query, "rank_by": ranking}

        whole = [store.search(prefix, limit=1000, **ask) for store in stores]
        assert told(whole[0]) == told(whole[1])
        check_order(model, whole[0])

        limit, offset = window
        given_filter = None if odd is None else {"odd": odd}
        ask |= {"filter": given_filter, "limit": limit, "offset": offset, "neighbours": neighbours}
        pages = [store.search(prefix, **ask) for store in stores]
        assert told(pages[0]) == told(pages[1])
        hits = [(item.namespace, item.key) for item in pages[0] if item.neighbour_of is None]
        if odd is None:
            fitting = [(item.namespace, item.key) for item in whole[0]]
            assert hits == fitting[offset : offset + limit]
        else:
            assert all(model.items[place].value["odd"] is odd for place in hits)


@pytest.mark.parametrize("url", ["sqlite-memory", POSTGRES], indirect=True)
@pytest.mark.parametrize("mode", ["text", "vector", "hybrid"])
def test_the_best_of_thousands_is_found_without_looking_at_all(
    mode: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perdure.storage.item_codec import ItemCodec

    decoded: list[str] = []
    decode = ItemCodec.decode

    def counted(self: ItemCodec, namespace: tuple[str, ...], key: str, stored: bytes) -> dict[str, Any]:
        decoded.append(key)
        return decode(self, namespace, key, stored)

    with FakeClock(BEGIN) as clock, both_stores(url) as stores:
        some = [f"{WORDS[n % 6]} tea " + "milk " * (n % 60) + f"{n}" for n in range(2000)]
        for store in stores:
            store.put_many(
                [
                    (ME, str(n), {"text": text, "weight": n % 97 / 96, "more": []})
                    for n, text in enumerate(some)
                ]
            )
        clock.advance(days=1)
        ranking = RankBy(
            mode, importance=Importance("weight", 0.05), recency=Recency(timedelta(days=1), 0.05)
        )
        model = Model(stores[0], (), "green tea", ranking, clock.now())
        best = sorted(model.found, key=lambda place: (-model.score[place], model.newest[place]))[:5]
        monkeypatch.setattr(ItemCodec, "decode", counted)
        for store in stores:
            decoded.clear()
            found = store.search((), query="green tea", rank_by=ranking, limit=5)
            assert [(item.namespace, item.key) for item in found] == best
            assert 5 <= len(decoded) < 300


def test_vectors_say_what_is_alike_where_meaning_was_asked_for() -> None:
    def same(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0] if "cat" in text or "kitten" in text else [0.6, 0.8] for text in texts]

    index: Any = {"dims": 2, "embed": same, "fields": ["text"]}
    for distance in ("cosine", "inner_product", "l2"):
        with InMemoryStore(index={**index, "distance": distance}) as store:
            store.put(ME, "dog", {"text": "a dog, no more"})
            store.put(ME, "kitten", {"text": "some kitten"})
            store.put(ME, "cat", {"text": "one cat"})
            ranking = RankBy("vector", diversity=0.9, explain=True)

            found = store.search((), query="cat", rank_by=ranking)

            assert [item.key for item in found] == ["cat", "dog", "kitten"]
            likeness = [(item.explanation or {})["similarity"] for item in found]
            assert likeness == pytest.approx([0, 0.6, 1.0], abs=1e-6)
            by_words = store.search(
                (), query="one cat some kitten", rank_by=RankBy("text", diversity=0.9, explain=True)
            )
            assert [(item.explanation or {})["similarity"] for item in by_words] == [0, 0]


def test_what_is_the_opposite_costs_nothing() -> None:
    def opposed(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.1] if "cat" in text else [-1.0, 0.1] for text in texts]

    with InMemoryStore(index={"dims": 2, "embed": opposed, "fields": ["text"]}) as store:
        for key in ("cat", "dog"):
            store.put(ME, key, {"text": key})
        found = store.search((), query="cat", rank_by=RankBy("vector", diversity=0.5, explain=True))

    assert [(item.explanation or {})["diversity_penalty"] for item in found] == [0, 0]


def test_what_matters_is_found_though_its_only_word_is_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.storage.text.ranking.EXACT", 10)
    with InMemoryStore() as store:
        for n in range(30):
            store.put(ME, f"tea {n}", {"text": "tea " * (1 + n % 3), "weight": 0})
        store.put(ME, "both", {"text": "green tea", "weight": 0})
        store.put(ME, "weighty", {"text": "tea with much else beside it", "weight": 1})
        assert [item.key for item in store.search((), query="green tea", limit=1)] == ["both"]

        found = store.search(
            (), query="green tea", limit=1, rank_by=RankBy(importance=Importance("weight", 9))
        )

        assert [item.key for item in found] == ["weighty"]


def test_of_very_many_only_the_best_hundred_are_set_apart() -> None:
    with InMemoryStore() as store:
        for n in range(130):
            store.put(ME, f"{n:03}", {"text": "tea " * (n + 1) + f"x{n}"})
        plain = [item.key for item in store.search((), query="tea", limit=200)]

        spread = store.search((), query="tea", rank_by=RankBy(diversity=1), limit=200)

        keys = [item.key for item in spread]
        assert keys[0] == plain[0]
        assert sorted(keys[:100]) == sorted(plain[:100])
        assert keys[100:] == plain[100:]
        behind = store.search((), query="tea", rank_by=RankBy(diversity=1), limit=10, offset=100)
        assert [item.key for item in behind] == plain[100:110]


# ---- inside tasks


def in_a_task(db: Any, node: Callable[[dict[str, Any], Any], Any], colour: str = "sync") -> None:
    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    compiled, config = graph.compile(db), {"configurable": {"thread_id": "t"}}
    if colour == "sync":
        compiled.invoke({}, config)
    else:
        asyncio.run(compiled.ainvoke({}, config))


staged = given(
    before=writes,
    inside=writes,
    prefix=st.sampled_from([(), ("a",), ("a", "b")]),
    query=st.sampled_from(["tea", "green tea", "zebra"]),
    ranking=rankings,
    neighbours=st.integers(0, 2),
)


@settings(quick, max_examples=60)
@staged
def test_a_task_sees_what_it_staged_as_if_it_were_committed(**how: Any) -> None:
    for url in ("memory://", "sqlite:///:memory:"):
        check_staged(url, **how)


@on_a_server(10)
@staged
def test_a_task_on_postgres_sees_what_it_staged_as_if_it_were_committed(
    postgres_urls: Callable[[], str], **how: Any
) -> None:
    check_staged(postgres_urls(), **how)


def check_staged(
    url: str,
    before: list[Any],
    inside: list[Any],
    prefix: tuple[str, ...],
    query: str,
    ranking: RankBy,
    neighbours: int,
) -> None:
    def ask(store: ItemStore) -> list[Any]:
        found = store.search(prefix, query=query, rank_by=ranking, neighbours=neighbours, limit=6)
        listed = store.search(prefix, neighbours=neighbours, limit=3, order_by="key")
        return [[(item.namespace, item.key, item.neighbour_of) for item in one] for one in (found, listed)]

    with FakeClock(BEGIN) as clock, connect(url, index=INDEX) as db:
        seen: list[Any] = []

        def node(state: dict[str, Any], store: Any) -> None:
            del state
            do([store], inside)
            seen.extend(ask(store))

        do([db.store], before, clock)
        clock.advance(minutes=1)
        in_a_task(db, node)
        assert seen == ask(db.store)


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_a_judge_that_fails_fails_its_task(url: str, colour: str) -> None:
    seen: list[Any] = []
    broken = [True]

    async def judge(query: str, items: list[SearchItem]) -> list[float]:
        seen.append((query, [item.key for item in items]))
        if broken[0]:
            raise ConnectionError("no route to the judge")
        return [-float(item.key) for item in items]

    def node(state: dict[str, Any], store: Any) -> None:
        del state
        store.put(ME, "2", {"text": "tea"})
        found = store.search((), query="tea", rank_by=RankBy(rerank=judge))
        store.put(ME, "found", {"keys": [item.key for item in found]})

    async def anode(state: dict[str, Any], store: Any) -> None:
        del state
        await store.aput(ME, "2", {"text": "tea"})
        found = await store.asearch((), query="tea", rank_by=RankBy(rerank=judge))
        await store.aput(ME, "found", {"keys": [item.key for item in found]})

    with connect(url) as db:
        db.store.put(ME, "1", {"text": "tea and milk"})
        work: Any = node if colour == "sync" else anode
        with pytest.raises(ConnectionError, match="no route"):
            in_a_task(db, work, colour)
        assert db.store.get(ME, "2") is None
        broken[0] = False
        in_a_task(db, work, colour)
        item = db.store.get(ME, "found")
        assert item is not None
        assert item.value == {"keys": ["1", "2"]}
    assert seen == [("tea", ["2", "1"])] * 2
