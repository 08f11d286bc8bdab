"""Watches: whole commits in order, across threads, processes and prunings."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest

from perdure import connect
from perdure.errors import Compacted, PerdureError, StorageError
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.storage import bells
from perdure.storage.contract import PruneHistory, PruneVersions, commit_now
from perdure.storage.item_store import ItemStore
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import SqliteStore
from perdure.testing.watches import ASYNC_WATCH_CHECKS, WATCH_CHECKS, drained
from storage import child

NOTES = ("notes",)
LATE = 1 << 61  # microseconds


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.mark.parametrize("check", WATCH_CHECKS, ids=name)
def test_a_store_is_watched(check: Callable[[ItemStore], None], store: BackendStore) -> None:
    check(store)


@pytest.mark.parametrize("check", ASYNC_WATCH_CHECKS, ids=name)
async def test_a_store_is_watched_from_a_loop(
    check: Callable[[ItemStore], Awaitable[None]], store: BackendStore
) -> None:
    await check(store)


def keys(watch: Any) -> list[list[str]]:
    return [[event.key for event in changes] for changes in drained(watch)]


def removal(store: BackendStore, *removals: Any) -> None:
    store._backend().commit(commit_now(removals=removals))


class TestWhatWasPruned:
    def test_is_said_when_a_watch_would_miss_it(self, store: BackendStore) -> None:
        start = store.watch().revision
        store.put(NOTES, "tea", {"n": 1})
        store.put(NOTES, "tea", {"n": 2})
        store.put(("else",), "k", {"n": 3})
        removal(store, PruneVersions(((NOTES, "tea"),), 1))

        with pytest.raises(Compacted) as caught:
            store.watch(NOTES, since=start)

        assert caught.value.asked == start
        first = str(caught.value.oldest)
        assert keys(store.watch(NOTES, since=first)) == [["tea"]]
        assert keys(store.watch(("else",), since=start)) == [["k"]]  # there nothing is missing

    def test_does_not_matter_if_it_is_older_than_what_was_asked(self, store: BackendStore) -> None:
        store.put(NOTES, "tea", {"n": 1})
        seen = store.watch().revision
        store.put(NOTES, "tea", {"n": 2})
        removal(store, PruneVersions(((NOTES, "tea"),), 1))

        assert keys(store.watch(since=seen)) == [["tea"]]

    def test_is_said_of_an_item_that_is_gone_altogether(self, store: BackendStore) -> None:
        start = store.watch().revision
        store.put(NOTES, "tea", {})
        store.delete(NOTES, "tea")
        removal(store, PruneHistory(LATE))

        with pytest.raises(Compacted):
            store.watch(since=start)

    def test_is_said_to_a_reader_that_fell_behind(self, store: BackendStore) -> None:
        watch = store.watch()
        store.put(NOTES, "tea", {"n": 1})
        store.put(NOTES, "tea", {"n": 2})
        removal(store, PruneHistory(LATE))

        for _ in range(2):  # and again: it does not go on with a gap
            with pytest.raises(Compacted):
                watch.next(timeout=0)

    def test_is_found_though_what_named_it_comes_pages_later(self, store: BackendStore) -> None:
        watch = store.watch()
        store.put(NOTES, "tea", {"n": 1})
        for n in range(450):
            store.put(("else",), f"k{n}", {})
        store.put(NOTES, "tea", {"n": 2})
        removal(store, PruneHistory(LATE))

        with pytest.raises(Compacted):
            drained(watch)

    def test_between_two_pages_is_found_as_well(self, store: BackendStore) -> None:
        watch = store.watch()
        for n in range(250):
            store.put(NOTES, f"k{n}", {})
        store.put(NOTES, "k240", {})
        assert watch.next(timeout=0) is not None
        removal(store, PruneHistory(LATE))

        with pytest.raises(Compacted):
            drained(watch)


def test_a_watch_nobody_closed_is_let_go(store: BackendStore) -> None:
    watch = store.watch()
    assert watch.next(timeout=0) is None
    assert watch.next(timeout=0.001) is None
    gone = weakref.ref(watch)

    del watch
    gc.collect()

    assert gone() is None
    assert bells._waiting == {}


def test_a_closed_store_says_so_to_who_watches_it() -> None:
    store = InMemoryStore()
    watch = store.watch()

    store.close()

    with pytest.raises(StorageError):
        watch.next(timeout=0)


def test_a_slow_reader_keeps_no_writer_waiting(store: BackendStore) -> None:
    watch = store.watch()
    store.put(NOTES, "first", {})
    iterator = iter(watch)
    next(iterator)  # in the middle of its loop, for as long as it likes

    for n in range(300):
        store.put(NOTES, f"k{n}", {})

    assert keys(watch) == [[f"k{n}"] for n in range(300)]


def test_two_readers_of_one_watch_share_its_changes(store: BackendStore) -> None:
    watch = store.watch()
    for n in range(500):
        store.put(NOTES, f"k{n}", {})
    seen: list[list[str]] = [[], []]
    readers = [
        threading.Thread(target=lambda part=part: part.extend(key for some in keys(watch) for key in some))
        for part in seen
    ]

    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)

    assert sorted([*seen[0], *seen[1]]) == sorted(f"k{n}" for n in range(500))


class State(TypedDict):
    text: str


class TestInGraphs:
    def test_a_step_is_told_as_one_commit_with_who_wrote_it(self, store: BackendStore) -> None:
        def one(state: State, runtime: Runtime) -> None:
            assert runtime.store is not None
            runtime.store.put(NOTES, "a", {})
            runtime.store.put(NOTES, "b", {})

        def other(state: State, runtime: Runtime) -> None:
            assert runtime.store is not None
            runtime.store.put(NOTES, "c", {})

        builder = StateGraph(State).add_node(one).add_node(other)
        graph = builder.add_edge(START, "one").add_edge(START, "other").compile(store=store)
        watch = store.watch()

        graph.invoke({"text": ""})

        (changes,) = drained(watch)
        assert [(event.key, event.origin.node) for event in changes] == [
            ("a", "one"),
            ("b", "one"),
            ("c", "other"),
        ]

    def test_a_node_is_refused_and_shown_the_way(self, store: BackendStore) -> None:
        def node(state: State, runtime: Runtime) -> dict[str, str]:
            assert runtime.store is not None
            with pytest.raises(PerdureError, match=r"store\.direct\.watch"):
                store.watch()
            task: Any = runtime.store
            with pytest.raises(PerdureError, match="node 'node'"):
                task.watch()
            task.put(NOTES, "staged", {})
            watch = task.direct.watch()
            task.direct.put(NOTES, "direct", {})
            assert keys(watch) == [["direct"]]
            return {"text": "seen"}

        graph = StateGraph(State).add_node(node).add_edge(START, "node").compile(store=store)

        assert graph.invoke({"text": ""}) == {"text": "seen"}


def test_a_watch_sees_what_other_processes_write(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    program = """
        from perdure.store.base import PutOp
        from perdure.store.sqlite import SqliteStore
        with SqliteStore.from_conn_string(sys.argv[1]) as store:
            sys.stdin.readline()
            for n in range(40):
                store.batch([PutOp(("notes", sys.argv[2]), key, {"n": n}) for key in ("a", "b")])
        """
    with SqliteStore.from_conn_string(str(path)) as store:
        watch = store.watch(NOTES)
        writers = [child.start(program, path, who) for who in ("one", "two")]
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()

        seen = [watch.next(timeout=60) for _ in range(80)]

        for writer in writers:
            child.finished(writer)
        for who in ("one", "two"):
            theirs = [
                [(event.key, event.value) for event in changes]
                for changes in seen
                if changes is not None and {event.namespace for event in changes} == {("notes", who)}
            ]
            assert theirs == [[("a", {"n": n}), ("b", {"n": n})] for n in range(40)]
        assert watch.next(timeout=0) is None


def test_another_process_goes_on_where_this_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    with SqliteStore.from_conn_string(str(path)) as store:
        watch = store.watch(NOTES)
        store.put(NOTES, "one", {})
        store.put(NOTES, "two", {})
        seen = watch.next(timeout=0)
        assert seen is not None
        told = child.run(
            """
            from perdure.store.sqlite import SqliteStore
            with SqliteStore.from_conn_string(sys.argv[1]) as store:
                watch = store.watch(("notes",), since=sys.argv[2])
                while changes := watch.next(timeout=0):
                    print([event.key for event in changes])
            """,
            path,
            seen.revision,
        )

    assert told.split("\n")[0] == "['two']"


@pytest.mark.parametrize("saver", ["none", "another database", "the same database"])
def test_what_a_graph_commits_wakes_who_waits_once(saver: str) -> None:
    def node(state: dict[str, Any], store: Any) -> None:
        store.put(NOTES, "a", {"n": 1})

    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    rung: list[bool] = []
    with connect("sqlite:///:memory:") as db, connect("memory://") as other:
        checkpointer = {
            "none": None,
            "another database": other.checkpointer,
            "the same database": db.checkpointer,
        }[saver]
        compiled = graph.compile(checkpointer=checkpointer, store=db.store)
        with bells.listening(db.backend, lambda: rung.append(True)):
            compiled.invoke({}, {"configurable": {"thread_id": "t"}})

    assert rung == [True]
