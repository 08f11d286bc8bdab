"""Neighbours: the shipped checks, a model of where items stand, old files, stores of other classes, costs."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, rule

import perdure
from databases import ALL_KINDS, QUICK
from perdure import connect
from perdure.errors import QueryError
from perdure.graph import START, StateGraph
from perdure.storage.item_store import ItemStore
from perdure.storage.sqlite import snapshot as snapshots
from perdure.store.base import BaseStore, NotSupported, Op, RankBy, Result
from perdure.store.base.batch import AsyncBatchedBaseStore
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import SqliteStore
from perdure.store.swept import SweptStore
from perdure.testing import FakeClock, nearby
from perdure.testing.nearby import shown

TALK = ("users", "ada", "talk")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
Place = tuple[tuple[str, ...], str]
Doing = tuple[str, str]  # a key, and what is done to it


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.fixture(params=ALL_KINDS)
def store(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[SweptStore]:
    with perdure.connect(url_of(request.param), ttl={}) as db:
        yield db.store


@pytest.mark.parametrize("check", nearby.NEARBY_CHECKS, ids=name)
def test_neighbours_come_along(check: Callable[[ItemStore], None], store: SweptStore) -> None:
    check(store)


@pytest.mark.parametrize("check", nearby.ASYNC_NEARBY_CHECKS, ids=name)
async def test_neighbours_come_along_in_the_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: SweptStore
) -> None:
    await check(store)


# ---- a model of where items stand

SPACES = (("a",), ("a", "b"), ("b",))
one = st.sampled_from
places = st.tuples(one(SPACES), one("klmn"))
numbers = st.integers(0, 3)


class ItemsStandAsTheyWereMade(RuleBasedStateMachine):
    """Two stores and a dict of when each item was made and when its key was first written."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(BEGIN).__enter__()
        self.stores: list[SweptStore] = [
            InMemoryStore(ttl={}),
            SqliteStore.from_conn_string(":memory:", ttl={}).__enter__(),
        ]
        self.made: dict[Place, tuple[datetime, int]] = {}
        self.values: dict[Place, int] = {}
        self.first: dict[Place, int] = {}  # kept over deletions
        self.written: dict[Place, datetime] = {}  # an item's times do not go back, whatever the clock does

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.clock.__exit__(None, None, None)

    def write(self, place: Place) -> datetime:
        self.written[place] = max(self.clock.now(), self.written.get(place, BEGIN - timedelta(days=1)))
        return self.written[place]

    def put_in_model(self, place: Place, n: int) -> None:
        self.first.setdefault(place, len(self.first) + 1)
        self.made.setdefault(place, (self.write(place), self.first[place]))
        self.values[place] = n

    @rule(several=st.lists(st.tuples(places, numbers), max_size=4, unique_by=lambda one: one[0]))
    def put(self, several: list[tuple[Place, int]]) -> None:
        for store in self.stores:
            store.put_many([(*place, {"n": n}) for place, n in several])
        for place, n in several:
            self.put_in_model(place, n)

    @rule(place=places)
    def delete(self, place: Place) -> None:
        for store in self.stores:
            store.delete(*place)
        if self.made.pop(place, None):
            self.write(place)
        self.values.pop(place, None)

    @rule(place=places, n=numbers)
    def update(self, place: Place, n: int) -> None:
        for store in self.stores:
            store.update(*place, lambda value: {"n": n})
        self.put_in_model(place, n)

    @rule(seconds=one((0, 0, 1, 60, -30)))
    def time_goes_on(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(prefix=one(((), ("a",), ("a", "b"))), n=numbers, count=st.integers(1, 3), past=st.booleans())
    def look(self, prefix: tuple[str, ...], n: int, count: int, past: bool) -> None:
        for store in self.stores:
            asked: Any = store
            if past and (newest := store.search((), limit=1)):
                asked = store.at(newest[0].revision or "")
            found = asked.search(prefix, filter={"n": n}, neighbours=count, limit=99)
            hits = [(item.namespace, item.key) for item in found if item.neighbour_of is None]
            if asked is store:
                assert sorted(hits) == sorted(
                    place
                    for place in self.values
                    if self.values[place] == n and place[0][: len(prefix)] == prefix
                )
                assert [(item.namespace, item.key, item.neighbour_of) for item in found] == self.expected(
                    hits, count
                )

    def expected(self, hits: list[Place], count: int) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        shown = set(hits)
        for space, key in hits:
            line = sorted((where, place[1]) for place, where in self.made.items() if place[0] == space)
            keys = [other for _, other in line]
            at = keys.index(key)
            for other in (*keys[max(0, at - count) : at], None, *keys[at + 1 : at + 1 + count]):
                if other is None:
                    found.append((space, key, None))
                elif (space, other) not in shown:
                    shown.add((space, other))
                    found.append((space, other, key))
        return found


ItemsStandAsTheyWereMade.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestItemsStandAsTheyWereMade = ItemsStandAsTheyWereMade.TestCase


# ---- tasks


def run_once(db: Any, node: Callable[[Any, Any], None], **options: Any) -> Any:
    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    compiled = graph.compile(db)
    compiled.invoke({}, {"configurable": {"thread_id": "t"}}, **options)
    return compiled


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_a_task_sees_its_own_items_among_the_others(url: str) -> None:
    seen: list[list[str]] = []

    def node(state: Any, store: Any) -> None:
        del state

        def look(word: str, count: int = 2) -> None:
            seen.append(shown(store.search((), query=word, neighbours=count)))

        look("word1", 1)
        store.put(TALK, "new", {"text": "hello"})
        store.put(TALK, "newer", {"text": "world"})
        look("word2")
        look("hello", 1)
        store.put(TALK, "m1", {"text": "word1 changed"})
        store.delete(TALK, "m0")
        look("word2")
        store.delete(TALK, "new")
        store.put(TALK, "new", {"text": "hello again"})
        look("hello")
        seen.append(shown(store.direct.search((), query="word2", neighbours=9)))
        store.delete(TALK, "m1")
        look("word2", 1)
        store.put(TALK, "m0", {"text": "made anew"})
        store.delete(TALK, "a")
        store.put(TALK, "b", {})
        store.put(TALK, "a", {})
        look("word2", 9)
        (before, *_) = store.search((), query="word2", neighbours=2)
        assert before.key == "m2"
        store.put(TALK, "m2", {"text": "word2", "more": "staged"})
        found = store.search((), query="newer world", neighbours=3, limit=1)
        assert [item.value for item in found if item.key == "m2"] == [{"text": "word2", "more": "staged"}]

    with FakeClock(BEGIN) as clock, connect(url) as db:
        for n in range(3):
            db.store.put(TALK, f"m{n}", {"text": f"word{n}"})
            clock.advance(minutes=1)
        run_once(db, node)

        assert seen == [
            ["m0 of m1", "m1", "m2 of m1"],
            ["m0 of m2", "m1 of m2", "m2", "new of m2", "newer of m2"],
            ["m2 of new", "new", "newer of new"],
            ["m1 of m2", "m2", "new of m2", "newer of m2"],
            ["m1 of new", "m2 of new", "new", "newer of new"],
            ["m0 of m2", "m1 of m2", "m2"],
            ["m2", "new of m2"],
            ["m2", "m0 of m2", "new of m2", "newer of m2", "b of m2", "a of m2"],
        ]
        found = shown(db.store.search((), query="word2", neighbours=9))
        assert found == seen[-1]


KEYS = "klmn"
doings = st.lists(st.tuples(one(KEYS), one(("put", "delete", "update"))), max_size=5)


@settings(max_examples=40, deadline=None)
@given(
    before=st.lists(doings, max_size=3),
    steps=st.lists(doings, min_size=1, max_size=3),
    durability=one(("sync", "async", "exit")),
)
@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/near.db"])
def test_items_stand_where_they_will_before_their_step_is_committed(
    url: str, before: list[list[Doing]], steps: list[list[Doing]], durability: Any
) -> None:
    """Whatever tasks write, one after the other, however their commits are waited for."""
    seen: list[tuple[list[str], list[str]]] = []  # of each task: at its beginning, at its end

    def around(store: Any) -> list[str]:
        found: list[str] = []
        for place in range(len(KEYS)):
            found += shown(store.search(("a",), order_by="key", limit=1, offset=place, neighbours=9))
        return found

    def do(store: Any, doing: list[Doing]) -> None:
        for key, what in doing:
            clock.advance(seconds=1)
            match what:
                case "put":
                    store.put(("a",), key, {})
                case "delete":
                    store.delete(("a",), key)
                case _:
                    store.update(("a",), key, lambda value: {} if value is None else {**value, "again": 1})

    def node(doing: list[Doing]) -> Callable[..., None]:
        def runs(state: Any, *, store: Any) -> None:
            del state
            begins = around(store)
            do(store, doing)
            clock.advance(seconds=1)
            seen.append((begins, around(store)))

        return runs

    with FakeClock(BEGIN) as clock, TemporaryDirectory() as folder, connect(url.format(folder)) as db:
        for doing in before:
            do(db.store, doing)
        graph = StateGraph(dict)
        for number, doing in enumerate(steps):
            graph.add_node(f"n{number}", node(doing))
            graph.add_edge(START if number == 0 else f"n{number - 1}", f"n{number}")
        graph.compile(db).invoke({}, {"configurable": {"thread_id": "t"}}, durability=durability)

        assert around(db.store) == seen[-1][1]
        for (_, ended), (begins, _) in itertools.pairwise(seen):
            assert begins == ended


def test_what_is_on_its_way_stands_before_what_later_steps_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    held: list[Callable[[], None]] = []

    def first(state: Any, *, store: Any) -> None:
        store.put(TALK, "new", {})
        clock.advance(minutes=1)

    def second(state: Any, *, store: Any) -> None:
        store.put(TALK, "m1", {})  # made again, with the number that it had
        clock.advance(minutes=1)
        assert held  # the first step is not committed yet
        assert store.direct.get(TALK, "new") is None
        seen.append(shown(store.search((), query="word0", neighbours=9)))
        monkeypatch.undo()
        for send in held:
            send()

    with FakeClock(BEGIN) as clock, connect(f"sqlite:///{tmp_path}/flight.db") as db:
        for n in range(3):
            db.store.put(TALK, f"m{n}", {"text": f"word{n}"})
        db.store.delete(TALK, "m1")
        clock.advance(minutes=1)
        graph = StateGraph(dict).add_node("first", first).add_node("second", second)
        compiled = graph.add_edge(START, "first").add_edge("first", "second").compile(db)
        soon = type(db.backend).commit_soon
        monkeypatch.setattr(type(db.backend), "commit_soon", lambda *sent: held.append(lambda: soon(*sent)))
        compiled.invoke({}, {"configurable": {"thread_id": "t"}}, durability="async")

        assert seen == [["m0", "m2 of m0", "new of m0", "m1 of m0"]]
        assert shown(db.store.search((), query="word0", neighbours=9)) == seen[0]


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_a_run_of_the_past_has_its_items_where_its_commits_put_them(url: str) -> None:
    seen: list[list[str]] = []

    def node(key: str) -> Callable[..., None]:
        def runs(state: Any, *, store: Any) -> None:
            del state
            store.put(TALK, key, {"n": 0})
            clock.advance(minutes=1)
            seen.append(shown(store.search((), filter={"n": 1}, neighbours=9)))

        return runs

    with FakeClock(BEGIN) as clock, connect(url) as db:
        db.store.put_many([(TALK, "m1", {}), (TALK, "m0", {"n": 1})])
        db.store.delete(TALK, "m1")
        graph = StateGraph(dict).add_node("a", node("new")).add_node("b", node("m1"))
        compiled = graph.add_edge(START, "a").add_edge("a", "b").compile(db)
        compiled.invoke({}, {"configurable": {"thread_id": "old"}})
        db.store.delete(TALK, "m1")
        db.store.delete(TALK, "new")
        (first,) = (
            s for s in compiled.get_state_history({"configurable": {"thread_id": "old"}}) if s.next == ("a",)
        )
        seen.clear()
        compiled.invoke(None, first.config, memory="as_of")

        assert seen == [["m0", "new of m0"], ["m0", "new of m0", "m1 of m0"]]
        assert shown(db.store.search((), filter={"n": 1}, neighbours=9)) == seen[-1]


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_what_a_task_deletes_leaves_the_next_ones_beside(url: str) -> None:
    def node(state: Any, store: Any) -> None:
        del state
        for n in (1, 2, 4, 5, 6):
            store.delete(TALK, f"m{n}")
        assert shown(store.search((), query="word3", neighbours=1)) == ["m0 of m3", "m3", "m7 of m3"]
        assert shown(store.search((), filter={"n": 3}, neighbours=2)) == [
            "m0 of m3",
            "m3",
            "m7 of m3",
            "m8 of m3",
        ]

    with connect(url) as db:
        db.store.put_many([(TALK, f"m{n}", {"text": f"word{n}", "n": n}) for n in range(9)])
        run_once(db, node)


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_a_run_as_of_a_checkpoint_has_the_neighbours_of_then(url: str) -> None:
    seen: list[Any] = []

    def node(state: Any, store: Any) -> None:
        del state
        seen.append(shown(store.search((), filter={"n": 1}, neighbours=3)))
        if len(seen) > 1:
            store.put(TALK, "mine", {"text": "tea"})
            seen.append(shown(store.search((), filter={"n": 1}, neighbours=3)))
            with pytest.raises(QueryError, match="text search reads the present"):
                store.search((), query="tea")

    with FakeClock(BEGIN) as clock, connect(url) as db:
        for n in range(3):
            db.store.put(TALK, f"m{n}", {"text": f"word{n}", "n": n})
            clock.advance(minutes=1)
        compiled = run_once(db, node)
        first = list(compiled.get_state_history({"configurable": {"thread_id": "t"}}))[-1]
        db.store.delete(TALK, "m0")
        db.store.put(TALK, "m3", {"text": "word3"})
        compiled.invoke(None, first.config, memory="as_of")

    assert seen == [*[["m0 of m1", "m1", "m2 of m1"]] * 2, ["m0 of m1", "m1", "m2 of m1", "mine of m1"]]


# ---- stores that know nothing of it


class Plain(BaseStore):
    """The smallest store of somebody else's."""

    def __init__(self) -> None:
        self.inner = InMemoryStore()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self.inner.batch(ops)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await self.inner.abatch(ops)


class Knowing(Plain, AsyncBatchedBaseStore):
    supports_ranking = True


async def test_a_store_that_knows_no_neighbours_says_so_and_one_that_does_has_them() -> None:
    plain, knowing = Plain(), Knowing()
    options: tuple[Any, ...] = ({"neighbours": 1}, {"rank_by": RankBy(diversity=0.5)})
    for asked in options:
        with pytest.raises(NotSupported, match="supports_ranking"):
            plain.search((), query="tea", **asked)
        with pytest.raises(NotSupported, match="supports_ranking"):
            await plain.asearch((), query="tea", **asked)
    for key in "abc":
        knowing.put(TALK, key, {"text": f"tea {key}"})

    assert shown(knowing.search((), query="b", neighbours=1)) == ["a of b", "b", "c of b"]
    assert shown(await knowing.asearch((), query="b", neighbours=1)) == ["a of b", "b", "c of b"]
    ranking = RankBy(rerank=lambda query, items: items[::-1])
    plainly = [item.key for item in knowing.search((), query="tea")]
    assert [item.key for item in await knowing.asearch((), query="tea", rank_by=ranking)] == plainly[::-1]


@pytest.mark.parametrize("kind", [Plain, Knowing])
def test_in_a_task_a_store_of_somebody_elses_is_asked_only_for_what_it_knows(kind: type[Plain]) -> None:
    said: list[Any] = []

    def node(state: Any, store: Any) -> None:
        del state
        for write in (False, True):
            if write:
                store.put(TALK, "new", {"text": "tea"})
            for query in (None, "b"):
                try:
                    said.append(shown(store.search((), query=query, filter={"n": 1}, neighbours=1)))
                except NotSupported:
                    said.append("refused")

    store = kind()
    for n, key in enumerate("abc"):
        store.put(TALK, key, {"text": key, "n": n})
    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.compile(store=store).invoke({})

    known = ["a of b", "b", "c of b"]
    assert said == ([known, known, "refused", "refused"] if kind is Knowing else ["refused"] * 4)


class Own(InMemoryStore):
    """A store of ours with a search of its user's."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    def search(self, namespace_prefix: tuple[str, ...], /, **options: Any) -> Any:
        self.asked.append(options)
        return super().search(namespace_prefix, **options)


def test_a_search_of_a_users_own_is_told_of_the_ranking_where_there_is_one() -> None:
    ranking = RankBy(rerank=lambda query, items: items[::-1])
    store, found = Own(), []

    def node(state: Any, store: Any) -> None:
        del state
        found.append(shown(store.search((), query="tea", rank_by=ranking, neighbours=1, limit=1)))
        found.append(shown(store.search((), query="tea")))

    for key in "abc":
        store.put(TALK, key, {"text": "tea"})
    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.compile(store=store).invoke({})

    assert found == [["a", "b of a"], ["c", "b", "a"]]
    assert store.asked[0].items() >= {"rank_by": ranking, "neighbours": 1}.items()
    assert not store.asked[1].keys() & {"rank_by", "neighbours"}


class Judge:
    """Two of these look the same."""

    def __init__(self, turns: bool) -> None:
        self.turns = turns

    def __repr__(self) -> str:
        return "<a judge>"

    def __call__(self, query: str, items: list[Any]) -> list[Any]:
        return items[::-1] if self.turns else items


async def test_calls_of_one_tick_with_two_judges_are_two() -> None:
    store = Knowing()
    for key in "abc":
        store.put(TALK, key, {"text": "tea"})

    found = await asyncio.gather(
        *(store.asearch((), query="tea", rank_by=RankBy(rerank=Judge(turns))) for turns in (True, False))
    )

    assert [shown(one) for one in found] == [["a", "b", "c"], ["c", "b", "a"]]


# ---- costs, and files of before


def test_an_answer_with_neighbours_asks_the_database_twice_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = snapshots.SqliteSnapshot._ask_text

    def counted(self: Any, text: str, values: Any = ()) -> list[Any]:
        asked.append(text)
        return ask(self, text, values)

    with SqliteStore.from_conn_string(":memory:") as store:
        store.put_many([(TALK, str(n), {"text": f"tea {n}"}) for n in range(200)])
        monkeypatch.setattr(snapshots.SqliteSnapshot, "_ask_text", counted)
        plain = store.search((), query="tea", limit=50)
        without, asked[:] = len(asked), []

        found = store.search((), query="tea", limit=50, neighbours=3)

        assert len(asked) == without + 2
        assert [item for item in found if item.neighbour_of is None] == plain


def test_a_file_from_before_neighbours_has_them(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with SqliteStore.from_conn_string(str(path)) as store:
        for key in "abc":
            store.put(TALK, key, {"text": key})
        store.put(TALK, "a", {"text": "a again"})
    file = sqlite3.connect(path, isolation_level=None)
    file.execute("DROP INDEX perdure_versions_by_birth")
    file.execute("DELETE FROM perdure_migrations WHERE number >= 7")
    file.close()

    with SqliteStore.from_conn_string(str(path)) as store:
        assert shown(store.search((), query="b", neighbours=1)) == ["a of b", "b", "c of b"]
    file = sqlite3.connect(path)
    assert file.execute("SELECT 1 FROM sqlite_schema WHERE name = 'perdure_versions_by_birth'").fetchone()
    file.close()
