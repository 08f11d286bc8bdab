"""Somebody else's store: a class with a `batch` of its own. Its tasks stage what they write, as with a store of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.kit import Colour, Log, chain, fan, questions, thread
from perdure import Database
from perdure.checkpoint.memory import InMemorySaver
from perdure.errors import PerdureError
from perdure.store.base import BaseStore, Item, NotSupported, Op, PutOp, Result
from perdure.store.memory import InMemoryStore
from perdure.testing import FakeClock
from perdure.types import Command, RetryPolicy, interrupt

NOTES = ("notes",)


class TheirStore(BaseStore):
    """The least of a foreign store: `batch`, `abatch`, and a list of what it was told to write."""

    def __init__(self) -> None:
        self.inner = InMemoryStore()
        self.written: list[PutOp] = []
        self.colours: set[str] = set()
        self.broken = False

    supports_ttl = True

    def _do(self, ops: list[Op]) -> list[Result]:
        if self.broken:
            raise OSError("their disk is full")
        self.written += [op for op in ops if isinstance(op, PutOp)]
        return self.inner.batch(
            [op._replace(index=None, ttl=None) if isinstance(op, PutOp) else op for op in ops]
        )

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        self.colours.add("blocking")
        return self._do(list(ops))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        self.colours.add("async")
        await asyncio.sleep(0)
        return self._do(list(ops))

    def celebrate(self) -> str:
        return "hooray"

    def keys(self) -> list[str]:
        return [item.key for item in self.inner.search((), limit=100)]


@pytest.fixture
def store() -> TheirStore:
    return TheirStore()


def found(items: Iterable[Item]) -> list[tuple[str, Any]]:
    return [(item.key, item.value["n"]) for item in items]


def put(key: str, n: int = 1) -> Any:
    def node(state: Log, *, store: BaseStore) -> Log:
        store.put(NOTES, key, {"n": n})
        return {"log": [key]}

    return node


# ---- what is left behind


def test_a_task_that_fails_leaves_no_memory_behind(run: Colour, store: TheirStore, db: Database) -> None:
    def fails(state: Log, *, store: BaseStore) -> None:
        store.put(NOTES, "k", {"n": 1})
        raise OSError("boom")

    graph = chain(("a", fails)).compile(db.checkpointer, store=store)
    with pytest.raises(OSError, match="boom"):
        run.invoke(graph, {}, thread("t"))

    assert store.written == []


def test_an_attempt_that_is_tried_again_leaves_nothing(run: Colour, store: TheirStore) -> None:
    attempts: list[int] = []

    def twice(state: Log, *, store: BaseStore) -> None:
        attempts.append(1)
        store.put(NOTES, f"try {len(attempts)}", {"n": 1})
        if len(attempts) == 1:
            raise OSError

    drawing: Any = chain()
    drawing.add_node("a", twice, retry_policy=RetryPolicy(initial_interval=0.001, retry_on=OSError))
    graph = drawing.add_edge("__start__", "a").compile(InMemorySaver(), store=store)
    run.invoke(graph, {}, thread("t"))

    assert store.keys() == ["try 2"]


def test_a_question_leaves_nothing_until_it_is_answered(run: Colour, store: TheirStore, db: Database) -> None:
    def asks(state: Log, *, store: BaseStore) -> None:
        store.put(NOTES, "asked", {"n": 1})
        interrupt("?")

    graph = chain(("a", asks)).compile(db.checkpointer, store=store)
    assert questions(run.invoke(graph, {}, thread("t"))) == ["?"]
    assert store.keys() == []

    run.invoke(graph, Command(resume="A"), thread("t"))
    assert store.keys() == ["asked"]
    assert len(store.written) == 1


def test_a_finished_task_of_an_unfinished_step_keeps_its_memory_in_the_record(
    run: Colour, store: TheirStore, db: Database
) -> None:
    def asks(state: Log) -> None:
        interrupt("?")

    def keeps(state: Log, *, store: BaseStore) -> None:
        store.put(NOTES, "k", {"n": 1}, ["n"], ttl=5)

    graph = fan(("a", keeps), ("q", asks)).compile(db.checkpointer, store=store)
    run.invoke(graph, {}, thread("t"))
    assert store.written == []

    run.invoke(graph, Command(resume="A"), thread("t"))
    assert store.written == [PutOp(NOTES, "k", {"n": 1}, ["n"], 5)]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_memory_is_written_before_the_checkpoint(
    run: Colour, store: TheirStore, db: Database, durability: str
) -> None:
    graph = chain(("a", put("a")), ("b", put("b"))).compile(db.checkpointer, store=store)
    store.broken = True
    with pytest.raises(OSError, match="their disk is full"):
        run.invoke(graph, {}, thread("t"), durability=durability)
    assert run.state(graph, thread("t")).values.get("log", []) == []

    store.broken = False
    again = {} if durability == "exit" else None
    assert run.invoke(graph, again, thread("t"), durability=durability)["log"] == ["a", "b"]
    assert store.keys() == ["b", "a"]


def test_without_a_saver_memory_is_written_once_a_step(run: Colour, store: TheirStore) -> None:
    def looks(state: Log, *, store: BaseStore) -> Log:
        return {"log": [item.key for item in store.search(NOTES)]}

    graph = chain(("a", put("a")), ("look", looks)).compile(store=store)

    assert run.invoke(graph, {})["log"] == ["a", "a"]
    assert store.colours == {"blocking", run.name}  # the node is a sync one


def test_siblings_do_not_see_each_other(run: Colour, store: TheirStore) -> None:
    def looks(state: Log, *, store: BaseStore) -> Log:
        return {"log": [store.get(NOTES, "k")]}

    run_of = fan(("a", put("k")), ("b", looks)).compile(store=store)

    assert run.invoke(run_of, {})["log"] == ["k", None]


def test_a_nested_graph_without_a_chain_joins_its_caller(run: Colour, store: TheirStore) -> None:
    inner = chain(("deep", put("deep"))).compile(checkpointer=False)

    def calls(state: Log, *, store: BaseStore) -> Log:
        inner.invoke({})
        seen = [item.key for item in store.search(NOTES)]
        if state.get("n"):
            raise OSError
        return {"log": seen}

    graph = chain(("a", calls)).compile(InMemorySaver(), store=store)

    with pytest.raises(OSError):  # noqa: PT011 - ours
        run.invoke(graph, {"n": 1}, thread("t1"))
    assert store.keys() == []
    assert run.invoke(graph, {"n": 0}, thread("t2"))["log"] == ["deep"]
    assert store.keys() == ["deep"]


def test_a_nested_graph_reads_what_its_caller_staged(run: Colour, store: TheirStore) -> None:
    def looks(state: Log, *, store: BaseStore) -> Log:
        return {"log": [item.key for item in store.search(NOTES)]}

    inner = chain(("look", looks)).compile()

    def calls(state: Log, *, store: BaseStore) -> Log:
        store.put(NOTES, "mine", {"n": 1})
        return inner.invoke({})

    graph = chain(("a", calls)).compile(InMemorySaver(), store=store)

    assert run.invoke(graph, {}, thread("t"))["log"] == ["mine"]


@pytest.mark.parametrize("make", [TheirStore, InMemoryStore])
def test_a_nested_graph_with_a_store_of_its_own_writes_there(run: Colour, make: type[BaseStore]) -> None:
    store = make()
    inner = chain(("deep", put("deep"))).compile(store=store)
    graph = chain(("a", lambda state: inner.invoke({}))).compile()

    run.invoke(graph, {})

    assert [item.key for item in store.search(())] == ["deep"]


# ---- what a task reads


def in_a_task(run: Colour, store: BaseStore, look: Any) -> Any:
    """What `look(store)` gives inside a node."""
    seen: list[Any] = []

    def node(state: Log, *, store: BaseStore) -> None:
        seen.append(look(store))

    run.invoke(chain(("a", node)).compile(store=store), {})
    return seen[0]


def test_a_new_item_was_created_at_its_first_put(run: Colour, store: TheirStore) -> None:
    with FakeClock(datetime(2026, 1, 1, tzinfo=UTC)) as clock:

        def look(store: BaseStore) -> Any:
            store.put(NOTES, "k", {"n": 1})
            clock.advance(minutes=5)
            store.put(NOTES, "k", {"n": 2})
            return store.get(NOTES, "k")

        item = in_a_task(run, store, look)

    assert (item.created_at.minute, item.updated_at.minute) == (0, 5)


def test_a_task_gets_what_it_wrote(run: Colour, store: TheirStore) -> None:
    store.put(NOTES, "old", {"n": 1})
    store.put(NOTES, "gone", {"n": 2})

    def look(store: BaseStore) -> Any:
        store.put(NOTES, "new", {"n": 3})
        store.put(NOTES, "old", {"n": 10})
        store.delete(NOTES, "gone")
        return [store.get(NOTES, key) for key in ("old", "gone", "new", "never")]

    old, gone, new, never = in_a_task(run, store, look)

    assert (old.value, new.value, gone, never) == ({"n": 10}, {"n": 3}, None, None)
    assert old.created_at <= old.updated_at <= datetime.now(UTC)
    assert old.created_at == store.get(NOTES, "old").created_at  # type: ignore[union-attr]  # it is there
    assert (old.version, new.version) == (-1, -1)
    assert sorted(store.keys()) == ["new", "old"]


def test_what_was_read_is_a_copy(run: Colour, store: TheirStore) -> None:
    def look(store: BaseStore) -> Any:
        value = {"n": 1}
        store.put(NOTES, "k", value)
        value["n"] = 2
        first = store.get(NOTES, "k")
        assert first is not None
        first.value["n"] = 3
        return store.get(NOTES, "k")

    assert in_a_task(run, store, look).value == {"n": 1}


def test_a_search_shows_staged_writes_first(run: Colour, store: TheirStore) -> None:
    for n in range(6):
        store.put(NOTES, f"k{n}", {"n": n})

    def look(store: BaseStore) -> Any:
        store.put(NOTES, "k2", {"n": 20})
        store.put((*NOTES, "deep"), "d", {"n": 7})
        store.put(("other",), "o", {"n": 8})
        store.delete(NOTES, "k4")
        return [
            found(store.search(NOTES)),
            found(store.search(NOTES, limit=2)),
            found(store.search(NOTES, limit=3, offset=1)),
            found(store.search(NOTES, filter={"n": {"$gte": 5}})),
            found(store.search(NOTES, filter={"n": 2})),
            found(store.search(("nothing",))),
        ]

    everything = [("d", 7), ("k2", 20), ("k5", 5), ("k3", 3), ("k1", 1), ("k0", 0)]
    assert in_a_task(run, store, look) == [
        everything, everything[:2], everything[1:4], [("d", 7), ("k2", 20), ("k5", 5)], [], []
    ]  # fmt: skip


def test_namespaces_are_those_that_will_stand(run: Colour, store: TheirStore) -> None:
    for namespace in (("a",), ("a", "x"), ("b", "y"), ("c",)):
        store.put(namespace, "k", {})
    store.put(("c",), "k2", {})

    def look(store: BaseStore) -> Any:
        store.put(("a", "new"), "k", {})
        store.delete(("a",), "k")
        store.delete(("b", "y"), "k")
        store.delete(("c",), "k")
        return [
            store.list_namespaces(),
            store.list_namespaces(max_depth=1),
            store.list_namespaces(prefix=("a",)),
            store.list_namespaces(suffix=("new",)),
            store.list_namespaces(limit=1, offset=1),
        ]

    assert in_a_task(run, store, look) == [
        [("a", "new"), ("a", "x"), ("c",)],
        [("a",), ("c",)],
        [("a", "new"), ("a", "x")],
        [("a", "new")],
        [("a", "x")],
    ]


def test_a_search_by_words_is_the_stores_own(run: Colour, store: TheirStore) -> None:
    asked: list[Any] = []

    class Words(TheirStore):
        def batch(self, ops: Iterable[Op]) -> list[Result]:
            ops = list(ops)
            if not isinstance(ops[0], PutOp):
                asked.append(ops[0])
                return [[]]
            return super().batch(ops)

    def look(store: BaseStore) -> Any:
        store.put(NOTES, "k", {"n": 1})
        return store.search(NOTES, query="tea", limit=3)

    assert in_a_task(Colour("blocking"), Words(), look) == []
    assert (asked[0].query, asked[0].limit) == ("tea", 3)


def test_an_order_is_the_stores_own_and_refused_over_what_is_staged(run: Colour, store: TheirStore) -> None:
    store.supports_order = True
    for n, key in enumerate("bca"):
        store.inner.put(NOTES, key, {"n": n})

    def look(store: BaseStore) -> Any:
        first = store.search(NOTES, order_by="key", limit=1)
        rest = store.search(NOTES, order_by="key", after=first[0].cursor)
        store.put(("elsewhere",), "k", {"n": 1})
        again = store.search(NOTES, order_by="-n")
        store.put(NOTES, "k", {"n": 1})
        for options in ({"order_by": "key"}, {"after": first[0].cursor}):
            with pytest.raises(NotSupported, match="this task wrote below the prefix"):
                store.search(NOTES, **options)
        return [found(first), found(rest), found(again)]

    assert in_a_task(run, store, look) == [[("a", 2)], [("b", 0), ("c", 1)], [("a", 2), ("c", 1), ("b", 0)]]


def test_a_search_method_of_an_older_class_is_asked_for_orders_only_when_there_is_one() -> None:
    asked: list[dict[str, Any]] = []

    class Counts(TheirStore):
        supports_order = True

        def search(self, namespace_prefix: tuple[str, ...], /, **options: Any) -> Any:
            asked.append(options)
            return super().search(namespace_prefix, **options)

    def look(store: BaseStore) -> Any:
        return [store.search(NOTES), store.search(NOTES, order_by="-key")]

    assert in_a_task(Colour("blocking"), Counts(), look) == [[], []]
    assert "order_by" not in asked[0]
    assert "after" not in asked[0]
    assert asked[1]["order_by"] == "-key"


def test_an_order_that_the_store_does_not_know_is_refused_in_a_task_too(
    run: Colour, store: TheirStore
) -> None:
    def look(store: BaseStore) -> Any:
        with pytest.raises(NotSupported, match="order_by='key'"):
            store.search(NOTES, order_by="key")
        return store.search(NOTES)

    assert in_a_task(run, store, look) == []


def test_the_awaited_methods_do_the_same(store: TheirStore) -> None:
    async def node(state: Log, *, store: BaseStore) -> Log:
        await store.aput(NOTES, "k", {"n": 1})
        await store.aput(NOTES, "gone", {"n": 1})
        await store.adelete(NOTES, "gone")
        got = await store.aget(NOTES, "k")
        return {"log": [got and got.value, found(await store.asearch(NOTES)), await store.alist_namespaces()]}

    result = asyncio.run(chain(("a", node)).compile(store=store).ainvoke({}))

    assert result["log"] == [{"n": 1}, [("k", 1)], [NOTES]]
    assert store.colours == {"async"}
    assert store.keys() == ["k"]


def test_a_batch_reads_before_it_writes_and_does_nothing_if_one_is_wrong(
    run: Colour, store: TheirStore
) -> None:
    from perdure.store.base import GetOp

    def look(store: BaseStore) -> Any:
        first = store.batch([PutOp(NOTES, "k", {"n": 1}), GetOp(NOTES, "k"), PutOp(NOTES, "k", {"n": 2})])
        with pytest.raises(ValueError, match="empty"):
            store.batch([PutOp(NOTES, "k", {"n": 3}), PutOp((), "k", {})])
        with pytest.raises(PerdureError, match=r"value\.x is a builtins\.object"):
            store.put(NOTES, "k", {"x": object()})
        return first, store.get(NOTES, "k")

    first, after = in_a_task(run, store, look)

    assert first == [None, None, None]
    assert after.value == {"n": 2}


# ---- the rest of the handle


def test_what_only_their_class_has_is_forwarded(run: Colour, store: TheirStore) -> None:
    def look(store: Any) -> Any:
        with pytest.raises(AttributeError, match="TheirStore"):
            _ = store.sing
        return store.celebrate(), store.supports_ttl, repr(store)

    assert in_a_task(run, store, look) == (
        "hooray", True, "<ForeignTaskStore of node 'a' over TheirStore, 0 writes staged>"
    )  # fmt: skip


def test_the_handle_ends_with_its_task(run: Colour, store: TheirStore) -> None:
    handle = in_a_task(run, store, lambda store: store)

    with pytest.raises(PerdureError, match="after the node had ended"):
        handle.put(NOTES, "k", {})
    with pytest.raises(PerdureError, match="after the node had ended"):
        handle.get(NOTES, "k")


def test_outside_of_runs_it_is_their_object(store: TheirStore) -> None:
    graph = chain("a").compile(store=store)

    assert graph.store is store
    store.put(NOTES, "k", {"n": 1})
    assert store.keys() == ["k"]


def counts(value: dict[str, Any] | None) -> dict[str, Any] | None:
    return {"n": (value or {"n": 0})["n"] + 1}


def test_update_computes_the_value_in_the_task(run: Colour, store: TheirStore) -> None:
    store.put(NOTES, "k", {"n": 5})

    def look(store: BaseStore) -> Any:
        first, second = store.update(NOTES, "k", counts), store.update(NOTES, "k", counts)
        assert store.update(NOTES, "new", counts) is not None
        return first and first.value, second and second.value, store.update(NOTES, "new", lambda value: None)

    assert in_a_task(run, store, look) == ({"n": 6}, {"n": 7}, None)
    assert [(op.key, op.value) for op in store.written[1:]] == [
        ("k", {"n": 6}), ("k", {"n": 7}), ("new", {"n": 1}), ("new", None)
    ]  # fmt: skip


def test_update_changes_a_copy(store: TheirStore) -> None:
    def spoils(value: dict[str, Any] | None) -> dict[str, Any] | None:
        assert value is not None
        value["n"] = 7
        raise OSError

    class Live(TheirStore):
        item = Item(
            value={"n": 1},
            key="k",
            namespace=NOTES,
            created_at=datetime.now(UTC),
            updated_at=datetime.now(UTC),
        )

        def batch(self, ops: Iterable[Op]) -> list[Result]:
            return [self.item for _ in ops]

    with pytest.raises(OSError):  # noqa: PT011 - ours
        Live().update(NOTES, "k", spoils)
    assert Live.item.value == {"n": 1}


def test_outside_a_task_update_is_a_get_and_a_put(store: TheirStore) -> None:
    assert store.update(NOTES, "k", counts).value == {"n": 1}  # type: ignore[union-attr]  # it is there
    assert asyncio.run(store.aupdate(NOTES, "k", counts)).value == {"n": 2}  # type: ignore[union-attr]
    assert store.update(NOTES, "k", lambda value: None) is None
    assert asyncio.run(store.aupdate(NOTES, "k", lambda value: None)) is None
    assert [op.value for op in store.written] == [{"n": 1}, {"n": 2}, None]


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.put(NOTES, "k", {"n": 2}, if_version=1),
        lambda store: store.put(NOTES, "k", {"n": 2}, if_absent=True),
        lambda store: store.delete(NOTES, "k", if_version=1),
        lambda store: asyncio.run(store.aput(NOTES, "k", {"n": 2}, if_absent=True)),
        lambda store: asyncio.run(store.adelete(NOTES, "k", if_version=1)),
    ],
)
def test_it_has_no_versions(store: TheirStore, write: Any) -> None:
    said = "TheirStore .*Nothing was written"
    for where in (store, store.direct):
        with pytest.raises(NotImplementedError, match=said):
            write(where)

    def look(store: BaseStore) -> None:
        with pytest.raises(PerdureError, match=said):
            write(store)

    in_a_task(Colour("blocking"), store, look)
    assert store.written == []


def test_their_class_may_have_versions_outside_of_tasks(run: Colour) -> None:
    store = Audited()
    store.put(NOTES, "k", {"n": 1}, if_absent=True)

    def look(store: BaseStore) -> None:
        with pytest.raises(PerdureError, match="Audited is a class of its own"):
            store.put(NOTES, "k", {"n": 2}, if_version=1)
        store.direct.put(NOTES, "other", {"n": 3}, if_absent=True)

    in_a_task(run, store, look)
    assert store.seen == ["put k", "put other"]


def test_direct_writes_stand_whatever_becomes_of_the_task(run: Colour, store: TheirStore) -> None:
    def fails(state: Log, *, store: BaseStore) -> None:
        store.put(NOTES, "staged", {"n": 1})
        store.direct.put(NOTES, "direct", {"n": 1})
        raise OSError("boom")

    with pytest.raises(OSError, match="boom"):
        run.invoke(chain(("a", fails)).compile(store=store), {})

    assert store.keys() == ["direct"]
    assert store.direct is store


class Audited(InMemoryStore):
    """A store of ours with methods of somebody's own: they are called, not the `batch` below them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def put(self, namespace: Any, key: str, value: Any, *args: Any, **options: Any) -> None:
        self.seen.append(f"put {key}")
        super().put(namespace, key, {**value, "sealed": True}, *args, **options)

    async def aput(self, namespace: Any, key: str, value: Any, *args: Any, **options: Any) -> None:
        self.put(namespace, key, value, *args, **options)

    def get(self, namespace: Any, key: str, **options: Any) -> Item | None:
        self.seen.append(f"get {key}")
        return super().get(namespace, key, **options)

    def delete(self, namespace: Any, key: str, **options: Any) -> None:
        self.seen.append(f"delete {key}")
        super().delete(namespace, key, **options)

    async def adelete(self, namespace: Any, key: str, **options: Any) -> None:
        self.delete(namespace, key, **options)


def test_methods_that_their_class_wrote_are_called(run: Colour) -> None:
    store = Audited()
    store.put(NOTES, "old", {"n": 0})

    def node(state: Log, *, store: BaseStore) -> None:
        store.put(NOTES, "k", {"n": 1})
        store.delete(NOTES, "old")
        assert store.get(NOTES, "k").value == {"n": 1}  # type: ignore[union-attr]  # it is there

    run.invoke(chain(("a", node)).compile(InMemorySaver(), store=store), {}, thread("t"))

    assert store.seen == ["put old", "get k", "put k", "delete old"]
    assert InMemoryStore.get(store, NOTES, "k").value == {"n": 1, "sealed": True}  # type: ignore[union-attr]
