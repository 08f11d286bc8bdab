"""Many items at once are one commit, and inside a task they are staged like any write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from typing_extensions import TypedDict

import perdure
from perdure.errors import StorageError
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.storage.contract import Backend, items
from perdure.storage.memory import MemoryBackend
from perdure.storage.sqlite import SqliteBackend
from perdure.store.face import BackendStore

ME = ("users", "ada")


def revision(store: BackendStore) -> int:
    handle = store.__perdure_backend__
    assert handle is not None
    with handle.backend.read() as now:
        return now.revision().seq


def test_each_bulk_write_is_one_commit(store: BackendStore) -> None:
    store.put_many([(ME, f"k{n}", {"n": n}) for n in range(200)])
    assert revision(store) == 1

    store.delete_prefix(ME)

    versions = store.history(ME, "k5")
    assert [(version.value, version.revision) for version in versions] == [(None, "0.2"), ({"n": 5}, "0.1")]


@pytest.mark.parametrize("make", [MemoryBackend, lambda: SqliteBackend(None)], ids=["memory", "sqlite"])
def test_more_than_a_commit_takes_is_refused_and_nothing_is_written(
    make: Callable[[], Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "ITEMS_A_COMMIT", 3)
    store = BackendStore(make())

    with pytest.raises(
        StorageError, match=r"4 items; at most 3 .* Nothing was written\. Write them in parts"
    ):
        store.put_many([(ME, f"k{n}", {}) for n in range(4)])

    assert store.count() == 0
    store.put_many([(ME, f"k{n}", {}) for n in range(3)])
    assert store.count() == 3


class State(TypedDict):
    seen: list[Any]


def test_in_a_task_bulk_is_staged_and_seen_by_the_task() -> None:
    with perdure.connect("memory://") as db:
        db.store.put_many([(ME, "old", {"n": 0}), (ME, "kept", {"n": 9}), (("other",), "k", {})])
        outside: list[Any] = []

        def node(state: State, runtime: Runtime[Any]) -> State:
            store: Any = runtime.store
            store.put_many([(ME, "new", {"n": 1}), (ME, "kept", {"n": 2})])
            seen = [store.count(ME), store.count(ME, filter={"n": {"$gte": 1}})]
            seen.append([item and item.value["n"] for item in store.get_many([(ME, "kept"), (ME, "x")])])
            seen += [store.delete_prefix(ME, filter={"n": {"$lte": 1}}), store.count(ME), store.count()]
            outside.append((store.direct.count(ME), [item.key for item in store.direct.search(ME)]))
            return {"seen": seen}

        graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile(db)
        answer: Any = graph.invoke({"seen": []}, {"configurable": {"thread_id": "t"}})

        assert answer["seen"] == [3, 2, [2, None], 2, 1, 2]
        assert outside == [(2, ["kept", "old"])]
        assert [item.key for item in db.store.search(ME)] == ["kept"]


def test_a_view_of_the_past_is_counted_and_read_in_bulk(store: BackendStore) -> None:
    store.put_many([(ME, f"k{n}", {"n": n}) for n in range(3)])
    then = store.at("0.1")
    store.delete_prefix(ME)

    assert (then.count(ME), then.count(ME, filter={"n": 1}), store.count(ME)) == (3, 1, 0)
    assert [item and item.value for item in then.get_many([(ME, "k2")])] == [{"n": 2}]
