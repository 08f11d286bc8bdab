"""`consolidate` beside other writers, and in graphs: nothing is lost, nothing is half done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from engine.kit import Colour
from memory.kit import ADA, MINE, Chat, fill, graph_of, of, texts, tidy
from perdure import Database, connect
from perdure.errors import VersionConflict
from perdure.graph import START, StateGraph
from perdure.memory import consolidate, consolidation, content_key, remember
from perdure.storage.contract import Commit
from perdure.store.base import Item

TEA = "Ada likes green tea in the morning and now and then a cup of coffee"


# ---- nobody's write is lost


def test_an_item_that_is_written_meanwhile_is_left_with_its_group(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.", "has cats", "Has cats!", "sings", "Sings!")

    def merge(items: list[Item]) -> str:
        if items[0].key == "k3":  # somebody writes while a model thinks
            db.store.put(ADA, "k2", {"text": "has dogs"})
            db.store.delete(ADA, "k0")
        return items[0].value["text"]

    report = tidy(run, db.store, merge=merge)

    assert [one.key for one in report.merged] == ["k5"]
    assert sorted(one.key for one in report.conflicts) == ["k1", "k3"]
    assert sorted(texts(db.store)) == ["Has cats!", "Likes tea.", "Sings!", "has dogs"]


@pytest.mark.parametrize("scoped", [False, True])
def test_that_holds_for_a_writer_who_comes_just_before_the_commit(
    db: Database, run: Colour, scoped: bool
) -> None:
    """Somebody writes in between the check of the step's tasks and its commit."""
    fill(db.store, "likes tea", "Likes tea.", "has cats", "Has cats!")
    waiting = [lambda: db.store.put(ADA, "k0", {"text": "likes milk"})]
    kind: Any = type(db.backend)

    def after_a_write(method: str) -> Any:
        plain = getattr(kind, method)

        def call(backend: Any, *given: Any) -> Any:
            commits = [one for one in given if isinstance(one, Commit)]
            if waiting and any(item.value is None for one in commits for item in one.items):
                waiting.pop()()
            return plain(backend, *given)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for method in ("commit", "commit_with", "commit_soon", "enqueue"):
            if hasattr(kind, method):
                patch.setattr(kind, method, after_a_write(method))
        report = tidy(run, db.store.scoped(("users",)), ("ada",)) if scoped else tidy(run, db.store)

    assert waiting == []
    assert [one.key for one in report.merged] == ["k3"]
    assert [one.key for one in report.conflicts] == ["k1"]
    assert sorted(texts(db.store)) == ["Has cats!", "Likes tea.", "likes milk"]


@pytest.mark.parametrize("scoped", [False, True])
def test_many_writers_beside_it_lose_nothing(opened: Callable[..., Database], scoped: bool) -> None:
    db = opened()
    store: Any = db.store.scoped(("users",)) if scoped else db.store
    space = ("ada",) if scoped else ADA
    stop = threading.Event()
    written: list[int] = [0] * 3

    def write(who: int) -> None:
        while not stop.is_set() and written[who] < 300:
            written[who] += 1
            store.put(
                space, f"w{who}-{written[who] % 5}", {"text": "likes tea", "by": who, "n": written[who]}
            )
            store.update(space, "sum", lambda v: {"n": (v or {"n": 0})["n"] + 1, "text": "likes tea"})

    threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            consolidate(store, space, merge=lambda items: items[0].value)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    # Every count is in the history; none was made of a value that somebody had replaced.
    counts = [v.value["n"] for v in store.history(space, "sum", limit=5000) if v.value is not None]
    deletions = sum(v.value is None for v in store.history(space, "sum", limit=5000))
    assert len(counts) >= sum(written)
    for who in range(3):
        if written[who]:
            key = f"w{who}-{written[who] % 5}"
            assert any(
                v.value is not None and v.value.get("n") == written[who]
                for v in store.history(space, key, limit=5000)
            )
    assert deletions <= 15


def test_more_groups_than_one_commit_takes(db: Database, run: Colour) -> None:
    db.store.put_many((ADA, f"k{n:03}", {"text": f"fact {n // 2}"}) for n in range(520))

    report = tidy(run, db.store)

    assert (len(report.merged), db.store.count()) == (260, 260)
    assert len(db.store.revert(thread=report.thread).items) == 260
    assert db.store.count() == 520


# ---- as a node


def test_a_node_tidies_with_its_step(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.")
    learn = remember(lambda state: "Likes tea!", namespace=MINE)
    graph = graph_of(learn, consolidation(namespace=MINE, into="report")).compile(db)

    answer = run.invoke(graph, {"messages": []}, of("ada"))

    assert texts(db.store) == ["Likes tea!"]
    report = run.state(graph, of("ada")).values["report"]
    assert report == answer["report"]
    assert report["merged"] == [
        {"namespace": list(ADA), "key": content_key("Likes tea!"), "similarity": 1.0, "deleted": ["k1", "k0"]}
    ]
    assert db.store.history(ADA, "k0")[0].origin.node == "consolidate"
    assert len(db.store.revert(thread="one").items) == 3


def test_a_node_that_fails_leaves_all_as_it_was(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.")

    def merge(items: list[Item]) -> str:
        raise OSError("no model")

    with pytest.raises(OSError, match="no model"):
        run.invoke(
            graph_of(consolidation(namespace=MINE, merge=merge)).compile(db), {"messages": []}, of("ada")
        )

    assert texts(db.store) == ["Likes tea.", "likes tea"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_what_the_run_itself_wrote_is_tidied_too(db: Database, run: Colour, durability: str) -> None:
    def learn(state: Chat, *, store: Any) -> None:
        fill(store, "likes tea", "Likes tea.", "has cats")

    graph = graph_of(("learn", learn), consolidation(namespace=MINE)).compile(db)

    run.invoke(graph, {"messages": []}, of("ada"), durability=durability)

    assert sorted(texts(db.store)) == ["Likes tea.", "has cats"]


def test_a_call_in_a_node_is_staged_whichever_way_the_store_was_reached(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.")
    seen: list[Any] = []

    def node(state: Chat, *, store: Any) -> None:
        which = {"handed": store, "global": db.store, "scoped": store.scoped(("users",))}[state["question"]]
        report = consolidate(which, ADA if state["question"] != "scoped" else ("ada",))
        seen.append((report.deleted, report.thread, store.count(ADA), db.store.direct.count(ADA)))
        raise OSError("and then it fails")

    graph = graph_of(("node", node)).compile(db)
    for how in ("handed", "global", "scoped"):
        with pytest.raises(OSError, match="then it fails"):
            run.invoke(graph, {"question": how}, of("ada", how))

    assert seen == [(1, None, 1, 2)] * 3
    assert db.store.count() == 2


def test_past_the_task_it_is_done_at_once(db: Database, run: Colour) -> None:
    with connect("memory://") as other:
        for store in (db.store, other.store):
            fill(store, "likes tea", "Likes tea.")

        def node(state: Chat, *, store: Any) -> None:
            consolidate(store.direct, ADA)
            consolidate(other.store, ADA)
            raise OSError("and then it fails")

        with pytest.raises(OSError, match="then it fails"):
            run.invoke(graph_of(("node", node)).compile(db), {"messages": []}, of("ada"))

        assert (db.store.count(), other.store.count()) == (1, 1)


def test_two_tasks_that_tidy_the_same_leave_one_item(db: Database, run: Colour) -> None:
    """The later one finds at the commit that the first was faster, and runs again."""
    fill(db.store, "likes tea", "Likes tea.")
    ran: list[int] = []

    def merge(items: list[Item]) -> str:
        ran.append(len(items))
        if len(ran) == 1:
            consolidate(db.store.direct, ADA)  # somebody else tidies meanwhile
        return "merged"

    graph = graph_of(consolidation(namespace=MINE, merge=merge)).compile(db)
    run.invoke(graph, {"messages": []}, of("ada"))

    assert texts(db.store) == ["Likes tea."]
    assert ran == [2]


def test_no_conflict_error_comes_out_of_it_for_a_task_without_luck(db: Database) -> None:
    """A node whose group changes each time it looks fails in the end with the conflict, and nothing is half done."""
    fill(db.store, "likes tea", "Likes tea.")

    def merge(items: list[Item]) -> str:
        db.store.direct.put(ADA, "k0", {"text": "likes tea"})
        return "merged"

    drawn: Any = (
        StateGraph(Chat).add_node(consolidation(namespace=MINE, merge=merge)).add_edge(START, "consolidate")
    )
    with pytest.raises(VersionConflict):
        drawn.compile(db).invoke({"messages": []}, of("ada"))

    assert sorted(texts(db.store)) == ["Likes tea.", "likes tea"]
