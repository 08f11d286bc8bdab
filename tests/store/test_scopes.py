"""Scopes: the subtree is the whole store, and nothing outside can be seen or changed."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

import pytest

from perdure.errors import PerdureError, VersionConflict
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.storage.item_search import ItemSearch
from perdure.storage.item_store import ItemStore
from perdure.storage.scoped import ScopedStore
from perdure.store.base import BaseStore, GetOp, InvalidNamespaceError, PutOp, SearchOp
from perdure.store.face import BackendStore
from perdure.testing import listings, store_past, stores, watches
from perdure.testing.watches import drained

ADA = ("users", "ada")
NOTES = ("notes",)
OUTSIDE = [
    ("users",),
    ("users", "ad"),
    ("users", "adam", "notes"),
    ("users", "bob", "ada", "notes"),
    ("notes",),
    ("zz", "users", "ada", "notes"),
]


def name(check: object) -> str:
    return getattr(check, "__name__", "")


def outside(store: BackendStore) -> list[Any]:
    """All that is not below the scope, with its whole history."""
    return [
        (item, item.version, store.history(item.namespace, item.key))
        for item in store.search((), limit=10_000)
        if item.namespace[:2] != ADA
    ]


@pytest.fixture
def ada(store: BackendStore) -> Any:
    """A scope in a store that holds more, typed as anything: the suites say what it can do."""
    for n, namespace in enumerate(OUTSIDE):
        store.put(namespace, "tea", {"text": "green tea", "n": n, "kind": "drink", "list": [1]})
    return store.scoped(ADA)


CHECKS = (
    *stores.CHECKS,
    *listings.FILTER_CHECKS,
    *listings.LISTING_CHECKS,
    *stores.VERSION_CHECKS,
    *store_past.PAST_CHECKS,
    *watches.WATCH_CHECKS,
)
ASYNC_CHECKS = (
    *stores.ASYNC_CHECKS,
    *listings.ASYNC_LISTING_CHECKS,
    *stores.ASYNC_VERSION_CHECKS,
    *store_past.ASYNC_PAST_CHECKS,
    *watches.ASYNC_WATCH_CHECKS,
)


@pytest.mark.parametrize("check", CHECKS, ids=name)
def test_a_scope_is_a_whole_store(check: Callable[[Any], None], ada: Any, store: BackendStore) -> None:
    before = outside(store)

    check(ada)

    after = outside(store)
    assert [there for there in after if there[0].namespace != ("elsewhere",)] == before


@pytest.mark.parametrize("check", ASYNC_CHECKS, ids=name)
async def test_a_scope_is_a_whole_store_in_its_other_colour(
    check: Callable[[Any], Awaitable[None]], ada: Any, store: BackendStore
) -> None:
    before = outside(store)

    await check(ada)

    assert outside(store) == before


def test_a_scope_has_every_method_of_the_store_or_none_of_it() -> None:
    """What is added to stores later is added to scopes, or left out of them; never inherited past the prefix."""

    def methods(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}

    ours = methods(ItemStore) - {"watching", "awatching"}
    assert ours <= methods(ScopedStore)
    through_batch = {"get", "aget", "search", "asearch", "list_namespaces", "alist_namespaces"}
    through_batch |= {"put_many", "aput_many", "get_many", "aget_many"}
    for method in ours - through_batch - {"supports_ttl", "ttl_config", "supports_ranking"}:
        assert method in vars(ScopedStore), f"{method} of a scope must translate its namespaces"
    for method in through_batch:
        assert getattr(ScopedStore, method) is getattr(
            ItemSearch if "search" in method else BaseStore, method
        )


def test_errors_are_relative(ada: Any) -> None:
    with pytest.raises(VersionConflict) as caught:
        ada.put(NOTES, "tea", {}, if_version=77)

    error = caught.value
    assert (error.namespace, error.keys) == (NOTES, ((NOTES, "tea"),))
    assert repr(NOTES) in str(error)
    assert "ada" not in str(error)


def test_what_is_filed_at_the_prefix_itself_is_seen_and_deleted(ada: Any, store: BackendStore) -> None:
    store.put(ADA, "name", {"text": "Ada"})

    assert [(item.namespace, item.key) for item in ada.search(())] == [((), "name")]
    assert ada.list_namespaces() == [()]
    assert ada.get((), "name").value == {"text": "Ada"}
    ada.delete((), "name")
    assert store.get(ADA, "name") is None
    with pytest.raises(InvalidNamespaceError):
        ada.put((), "name", {})


@pytest.mark.parametrize("prefix", [(), ("",), ("a.b",), ("users", "*"), ("a\0",), "users", ("langgraph",)])
def test_a_prefix_that_is_none_is_refused(store: BackendStore, prefix: Any) -> None:
    with pytest.raises(InvalidNamespaceError):
        store.scoped(prefix)
    if prefix != ("langgraph",):
        with pytest.raises(InvalidNamespaceError):
            store.scoped(ADA).scoped(prefix)


def test_scopes_compose(ada: Any, store: BackendStore) -> None:
    inner = ada.scoped(("work",)).scoped(("today",))
    inner.put(NOTES, "tea", {"n": 1})
    ada.put(("work", "later"), "tea", {"n": 2})

    assert [item.namespace for item in inner.search(())] == [NOTES]
    assert store.get((*ADA, "work", "today", "notes"), "tea") is not None
    watch = inner.watch()
    ada.batch([PutOp(("work", "today"), "at the root", {}), PutOp(("work",), "outside", {})])
    assert [(event.namespace, event.key) for changes in drained(watch) for event in changes] == [
        ((), "at the root")
    ]


def test_a_cursor_tells_nothing_of_the_prefix_and_means_nothing_outside(
    ada: Any, store: BackendStore
) -> None:
    for n in range(4):
        ada.put(NOTES, f"k{n}", {"n": n})
    first, second = ada.search((), order_by="key", limit=2)
    foreign = store.search((), order_by="key", limit=1)[0].cursor
    mine = store.scoped(("users", "bob", "ada"))
    mine.put(NOTES, "k0", {"n": 0})

    assert [item.key for item in ada.search((), order_by="key", after=second.cursor)] == ["k2", "k3"]
    assert (
        mine.search((), order_by="key", limit=1)[0].cursor == first.cursor
    )  # the same place in another scope
    assert all(item.namespace == NOTES for item in ada.search((), order_by="key", after=foreign))


def test_pages_go_on_in_the_middle_of_equals(ada: Any) -> None:
    """Of items that an order calls equal the namespace decides, and the cursor knows it."""
    for label in ("zz", "a", "users", "m"):
        ada.put((label,), "k", {"n": 1})
    found: list[Any] = []
    after = None
    for _ in range(4):
        (item,) = ada.search((), order_by="value.n", after=after, limit=1)
        found.append(item.namespace)
        after = item.cursor

    assert found == [("a",), ("m",), ("users",), ("zz",)]


class State(TypedDict):
    text: str


class TestInGraphs:
    def graph(self, store: Any, node: Callable[..., Any], **options: Any) -> Any:
        return (
            StateGraph(State).add_node("node", node).add_edge(START, "node").compile(store=store, **options)
        )

    def test_a_graph_compiled_with_a_scope_stays_inside_and_commits_with_the_step(
        self, ada: Any, store: BackendStore
    ) -> None:
        watch = store.watch()
        before = outside(store)

        def node(state: State, runtime: Runtime) -> None:
            mine: Any = runtime.store
            mine.put(NOTES, "tea", {"n": 1})
            assert mine.get(NOTES, "tea").value == {"n": 1}
            assert (
                store.get((*ADA, *NOTES), "tea") is not None
            )  # a global store is staged as well, at its own root
            assert ada.get(NOTES, "tea") is not None
            assert [item.namespace for item in mine.search((), query="tea")] == []
            ada.put(NOTES, "cake", {"n": 2})
            mine.direct.put(NOTES, "direct", {"n": 3})
            assert drained(watch)[0].events[0].namespace == (*ADA, *NOTES)
            assert ada.direct.get(NOTES, "tea") is None

        self.graph(ada, node).invoke({"text": ""})

        assert outside(store) == before
        assert sorted(item.key for item in ada.search(())) == ["cake", "direct", "tea"]
        (step,) = drained(watch)
        assert [event.key for event in step] == ["tea", "cake"]

    def test_a_scope_made_in_a_node_is_staged(self, store: BackendStore) -> None:
        def node(state: State, runtime: Runtime) -> None:
            task: Any = runtime.store
            task.scoped(ADA).put(NOTES, "tea", {"n": 1})
            assert task.get((*ADA, *NOTES), "tea") is not None
            assert store.direct.get((*ADA, *NOTES), "tea") is None
            raise ValueError("after all not")

        with pytest.raises(ValueError, match="after all not"):
            self.graph(store, node).invoke({"text": ""})

        assert store.search(()) == []

    def test_a_conflict_in_a_node_is_tried_again(self, ada: Any) -> None:
        ada.put(NOTES, "n", {"n": 0})
        tries: list[int] = []

        def node(state: State, runtime: Runtime) -> None:
            mine: Any = runtime.store
            item = mine.get(NOTES, "n")
            if not tries:
                mine.direct.put(NOTES, "n", {"n": 10})
            tries.append(1)
            mine.put(NOTES, "n", {"n": item.value["n"] + 1}, if_version=item.version)

        self.graph(ada, node).invoke({"text": ""})

        assert ada.get(NOTES, "n").value == {"n": 11}

    def test_somebodys_own_class_below_a_scope_is_called(self) -> None:
        from perdure.store.memory import InMemoryStore

        class Own(InMemoryStore):
            def put(self, namespace: Any, key: Any, value: Any, *args: Any, **options: Any) -> None:
                super().put(namespace, key, {**value, "own": True}, *args, **options)

        def node(state: State, runtime: Runtime) -> None:
            mine: Any = runtime.store
            mine.put(NOTES, "tea", {"n": 1})

        with Own() as store:
            self.graph(store.scoped(ADA), node).invoke({"text": ""})

            assert [item.namespace for item in store.search(())] == [(*ADA, *NOTES)]


async def test_both_colours_refuse_what_is_no_operation(ada: Any) -> None:
    odd: Any = object()
    with pytest.raises(PerdureError):
        ada.batch([odd])
    with pytest.raises(PerdureError):
        await ada.abatch([GetOp(NOTES, "k"), SearchOp(()), odd])
