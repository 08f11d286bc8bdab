"""A step whose memory meets another writer is made again: its tasks run again, and the chain stays whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crash.program import State, checked_chains, one_more, thread
from databases import KINDS
from perdure import Database, connect
from perdure.engine.headcache import HEADS
from perdure.errors import VersionConflict
from perdure.graph import START, StateGraph
from perdure.types import Command, interrupt

LONG = "a value that is long enough for a log of its own " * 10


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Database]:
    with connect(url_of(request.param)) as opened:
        yield opened


def asks(state: State) -> State:
    return {"log": [LONG, interrupt("?")]}


def logs(name: str) -> Any:
    return lambda state: {"log": [name, LONG]}


class Guarded:
    """A node that reads an item and writes it if nobody else did; the first `times` times somebody else does."""

    def __init__(self, db: Database, times: int) -> None:
        self.direct = db.store.direct
        self.runs = 0
        self.times = times

    def __call__(self, state: State, *, store: Any) -> State:
        found = store.get(("guarded",), "k")
        store.put(("guarded",), "k", {"n": found.value["n"] + 1}, if_version=found.version)
        self.runs += 1
        if self.runs <= self.times:
            self.direct.put(("guarded",), "k", {"n": 100 * self.runs})
        return {"log": [f"guarded {self.runs}", LONG], "total": 1}


def whole(db: Database, graph: Any) -> list[Any]:
    """The thread's history, oldest first; every checkpoint can be made from what is stored, and has its parent."""
    HEADS.clear()
    checked_chains(db)
    history = list(graph.get_state_history(thread("t")))[::-1]
    ids = [each.config["configurable"]["checkpoint_id"] for each in history]
    parents = [each.parent_config and each.parent_config["configurable"]["checkpoint_id"] for each in history]
    assert parents == [None, *ids[:-1]]
    return history


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_task_whose_guarded_write_comes_too_late_runs_again(
    db: Database, durability: str, times: int
) -> None:
    db.store.put(("guarded",), "k", {"n": 0})
    guarded = Guarded(db, times)
    drawing: Any = (
        StateGraph(State).add_node("asks", asks).add_node("guarded", guarded).add_node("other", logs("other"))
    )
    drawing.add_node("last", logs("last")).add_edge(START, "asks").add_edge("asks", "guarded").add_edge(
        "asks", "other"
    )
    graph = drawing.add_edge(["guarded", "other"], "last").compile(db)

    graph.invoke({"log": ["in"], "total": 0}, thread("t"), durability=durability)
    graph.invoke(Command(resume="yes", update={"name": "given"}), thread("t"), durability=durability)

    values = whole(db, graph)[-1].values
    assert values["log"] == ["in", LONG, "yes", f"guarded {times + 1}", LONG, "other", LONG, "last", LONG]
    assert (values["total"], values["name"]) == (1, "given")
    assert db.store.get(("guarded",), "k").value == {"n": 100 * times + 1}  # type: ignore[union-attr] - it is there


def test_the_first_step_of_a_thread_is_made_again_with_its_input(db: Database) -> None:
    db.store.put(("guarded",), "k", {"n": 0})
    drawing: Any = StateGraph(State).add_node("guarded", Guarded(db, 1)).add_edge(START, "guarded")
    graph = drawing.compile(db)

    graph.invoke({"log": ["in", LONG], "total": 0}, thread("t"), durability="sync")

    history = whole(db, graph)
    assert [each.values.get("total") for each in history] == [0, 0, 1]


def test_a_task_that_always_comes_too_late_fails_and_leaves_the_thread_as_it_was(db: Database) -> None:
    db.store.put(("guarded",), "k", {"n": 0})
    guarded = Guarded(db, 1000)
    drawing: Any = StateGraph(State).add_node("guarded", guarded).add_edge(START, "guarded")
    graph = drawing.compile(db)

    with pytest.raises(VersionConflict):
        graph.invoke({"log": ["in"], "total": 0}, thread("t"), durability="sync")

    assert guarded.runs == 3
    guarded.times = 0
    assert graph.invoke(None, thread("t"))["total"] == 1
    assert [each.values.get("total") for each in whole(db, graph)] == [0, 0, 1]


def test_recorded_counts_of_many_keys_are_computed_anew_when_all_of_them_moved_on(db: Database) -> None:
    names = [f"n{number}" for number in range(6)]

    def counting(name: str) -> Any:
        def node(state: State, *, store: Any) -> State:
            store.update(("counts",), name, one_more)
            return {"log": [name]}

        return node

    def moves_all(state: State) -> State:
        answer = interrupt("?")
        for name in names:  # after the records were read, before the step is committed
            direct.update(("counts",), name, one_more)
        return {"log": [answer]}

    direct = db.store.direct
    drawing: Any = StateGraph(State)
    for name in names:
        drawing.add_node(name, counting(name)).add_edge(START, name)
    graph = drawing.add_node("moves", moves_all).add_edge(START, "moves").compile(db)
    graph.invoke({"log": []}, thread("t"), durability="sync")
    assert db.store.search(("counts",)) == []

    values = graph.invoke(Command(resume="yes"), thread("t"), durability="sync")

    assert sorted(values["log"]) == [*names, "yes"]
    assert [item.value for item in db.store.search(("counts",), limit=100)] == [{"n": 2}] * 6
    whole(db, graph)


def test_a_recorded_put_if_absent_that_comes_too_late_is_decided_anew(db: Database) -> None:
    def puts(state: State, *, store: Any) -> State:
        if store.get(("once",), "k") is None:
            store.put(("once",), "k", {"by": "the node"}, if_absent=True)
            return {"log": ["mine"]}
        return {"log": ["theirs"]}

    drawing: Any = StateGraph(State).add_node("puts", puts).add_node("asks", asks)
    graph = drawing.add_edge(START, "puts").add_edge(START, "asks").compile(db)
    graph.invoke({"log": []}, thread("t"), durability="sync")
    db.store.put(("once",), "k", {"by": "somebody"})

    values = graph.invoke(Command(resume="yes"), thread("t"), durability="sync")

    assert "theirs" in values["log"]
    assert "mine" not in values["log"]
    assert db.store.get(("once",), "k").value == {"by": "somebody"}  # type: ignore[union-attr] - it is there


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_the_next_step_sees_what_all_tasks_counted(db: Database, durability: str) -> None:
    def counting(state: State, *, store: Any) -> State:
        store.update(("counts",), "all", one_more)
        return {"total": 1}

    def sees(state: State, *, store: Any) -> State:
        return {"log": [store.get(("counts",), "all").value["n"]]}

    drawing: Any = StateGraph(State).add_node("sees", sees)
    for name in "abc":
        drawing.add_node(name, counting).add_edge(START, name)
    graph = drawing.add_edge(["a", "b", "c"], "sees").compile(db)

    assert graph.invoke({"log": []}, thread("t"), durability=durability)["log"] == [3]
    assert graph.invoke({"log": []}, thread("t"), durability=durability)["log"] == [3, 6]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_guarded_write_may_follow_an_earlier_step_of_the_run(db: Database, durability: str) -> None:
    def puts(state: State, *, store: Any) -> State:
        store.put(("guarded",), "k", {"n": 1})
        return {"log": ["puts"]}

    guarded = Guarded(db, 0)
    drawing: Any = StateGraph(State).add_node("puts", puts).add_node("guarded", guarded)
    graph = drawing.add_edge(START, "puts").add_edge("puts", "guarded").compile(db)

    graph.invoke({"log": []}, thread("t"), durability=durability)

    assert db.store.get(("guarded",), "k").value == {"n": 2}  # type: ignore[union-attr] - it is there


def test_a_run_that_writes_at_its_end_keeps_the_memory_of_recorded_tasks(db: Database) -> None:
    def puts(state: State, *, store: Any) -> State:
        store.put(("kept",), "k", {"n": 1})
        return {"log": ["puts"]}

    drawing: Any = StateGraph(State).add_node("puts", puts).add_node("asks", asks)
    graph = drawing.add_edge(START, "puts").add_edge(START, "asks").compile(db)
    graph.invoke({"log": []}, thread("t"), durability="exit")

    graph.invoke(None, thread("t"), durability="exit")  # asks again; nothing was done
    graph.invoke(Command(resume="yes"), thread("t"), durability="sync")

    assert db.store.get(("kept",), "k").value == {"n": 1}  # type: ignore[union-attr] - it is there
