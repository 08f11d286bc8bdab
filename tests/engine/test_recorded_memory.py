"""Memory that siblings computed and recorded: none of them runs again because another one asked, failed or died."""

from __future__ import annotations

import operator
import threading
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

from engine.kit import Colour, thread
from perdure import connect
from perdure.engine.commit import OwnChain
from perdure.engine.headcache import HEADS
from perdure.graph import START, StateGraph
from perdure.types import Command, Send, interrupt

C = ("counts",)


class State(TypedDict, total=False):
    log: Annotated[list[int], operator.add]
    i: int


def plus(number: int) -> Any:
    return lambda found: {"n": (found["n"] if found else 0) + number}


class Siblings:
    """Four tasks that count in one item; `asks` of them ask a question first or last."""

    def __init__(self, asks: set[int], *, before: bool = False) -> None:
        self.asks = asks
        self.before = before
        self.ran: list[int] = []

    def graph(self, db: Any) -> Any:
        def node(state: State, *, store: Any) -> State:
            number = state["i"]
            self.ran.append(number)
            if self.before and number in self.asks:
                interrupt("?")
            store.update(C, "k", plus(1))
            store.update(C, "k", plus(10))
            if not self.before and number in self.asks:
                interrupt("?")
            return {"log": [number]}

        def all_four(state: State) -> list[Send]:
            return [Send("w", {"i": number}) for number in range(4)]

        return StateGraph(State).add_node("w", node).add_conditional_edges(START, all_four, ["w"]).compile(db)


@pytest.mark.parametrize("asks", [{0}, {3}, {1, 2}])
@pytest.mark.parametrize("before", [True, False])
def test_only_the_task_that_asked_runs_again(run: Colour, db: Any, asks: set[int], before: bool) -> None:
    siblings = Siblings(asks, before=before)
    graph = siblings.graph(db)
    run.invoke(graph, {}, thread("t"))
    siblings.ran.clear()

    state = run.state(graph, thread("t"))
    HEADS.clear()
    answers = {asked.id: "yes" for asked in state.interrupts}
    end = run.invoke(graph, Command(resume=answers), thread("t"))

    assert len(state.next) == len(asks)
    assert set(siblings.ran) == asks
    assert sorted(end["log"]) == [0, 1, 2, 3]
    assert db.store.get(C, "k").value == {"n": 44}
    assert [row.origin.node for row in changes(db)] == ["w"] * 8  # each write is a version of its own


def test_if_somebody_else_wrote_the_item_meanwhile_nobodys_count_is_lost(run: Colour, db: Any) -> None:
    siblings = Siblings({0})
    graph = siblings.graph(db)
    run.invoke(graph, {}, thread("t"))

    db.store.update(C, "k", plus(1000))
    run.invoke(graph, Command(resume="yes"), thread("t"))

    assert db.store.get(C, "k").value == {"n": 1044}


def a_moment_after(happened: threading.Event) -> None:
    """Long enough for a sibling that said so as its last act to have ended: who ends first is recorded first."""
    assert happened.wait(30)
    time.sleep(0.1)


def test_a_put_among_the_recorded_writes_keeps_its_place(run: Colour, db: Any) -> None:
    put = threading.Event()

    def node(state: State, *, store: Any) -> State:
        if state["i"] == 0:
            interrupt("?")
        elif state["i"] == 1:
            store.put(C, "k", {"n": 100})
        elif state["i"] == 2:
            a_moment_after(put)
        store.update(C, "k", plus(1))
        if state["i"] == 1:
            put.set()
        return {"log": [state["i"]]}

    def three(state: State) -> list[Send]:
        return [Send("w", {"i": number}) for number in range(3)]

    graph = StateGraph(State).add_node("w", node).add_conditional_edges(START, three, ["w"]).compile(db)
    run.invoke(graph, {}, thread("t"))
    run.invoke(graph, Command(resume="yes"), thread("t"))

    assert db.store.get(C, "k").value == {"n": 103}


def changes(db: Any) -> list[Any]:
    with db.backend.read() as snapshot:
        return snapshot.changes(None, 100)


def test_an_update_from_outside_takes_what_is_recorded_in_the_order_it_was_recorded(
    run: Colour, db: Any
) -> None:
    siblings = Siblings({0, 1}, before=True)
    graph = siblings.graph(db)
    run.invoke(graph, {}, thread("t"))
    first = next(task for task in run.state(graph, thread("t")).tasks if task.path[1] == 0)
    run.invoke(graph, Command(resume={first.interrupts[0].id: "yes"}), thread("t"))  # recorded behind 2 and 3

    run.update(graph, thread("t"), {"log": [1]}, as_node="w")

    assert db.store.get(C, "k").value == {"n": 33}


def test_a_computed_write_that_fails_in_the_one_commit_of_exit_is_the_users_error(
    run: Colour, db: Any
) -> None:
    def at_most_ten(found: dict[str, Any] | None) -> dict[str, Any]:
        number = found["n"] if found else 0
        if number > 10:
            raise ValueError("more than ten")
        return {"n": number + 1}

    def counts(state: State, *, store: Any) -> State:
        store.update(C, "k", at_most_ten)
        return {"log": [1]}

    def meanwhile(state: State) -> State:
        db.store.direct.put(C, "k", {"n": 1000})
        return {"log": [2]}

    drawing: Any = StateGraph(State).add_sequence([counts, meanwhile])
    graph = drawing.add_edge(START, "counts").compile(db)

    with pytest.raises(ValueError, match="more than ten"):
        run.invoke(graph, {}, thread("t"), durability="exit")

    assert db.store.get(C, "k").value == {"n": 1000}
    assert run.state(graph, thread("t")).values == {}


class Again:
    """Named siblings; what each does is a list of functions of the store, one for each time that it runs."""

    def __init__(self, **runs: list[Any]) -> None:
        self.runs = runs
        self.ran: list[str] = []

    def graph(self, db: Any, **options: Any) -> Any:
        drawing: Any = StateGraph(State)
        for name, runs in self.runs.items():
            drawing.add_node(name, self.node(name, runs)).add_edge(START, name)
        return drawing.compile(db, **options)

    def node(self, name: str, runs: list[Any]) -> Any:
        def node(state: State, *, store: Any) -> State:
            times = self.ran.count(name)
            self.ran.append(name)
            runs[min(times, len(runs) - 1)](store)
            return {"log": [ord(name) * 100 + times]}

        return node

    def since(self, number: int) -> list[str]:
        return sorted(self.ran[number:])


def fails(store: Any) -> None:
    raise ValueError("not now")


def asks(store: Any) -> None:
    interrupt("?")


def counts(number: int, key: str = "k") -> Any:
    return lambda store: store.update(C, key, plus(number))


def asks_and_puts(store: Any) -> None:
    interrupt("?")
    store.put(C, "k", {"n": 0})


def test_a_task_that_ran_again_for_its_lost_base_is_recorded_anew(run: Colour, db: Any) -> None:
    siblings = Again(a=[fails, asks_and_puts], b=[counts(1)])
    graph = siblings.graph(db)
    with pytest.raises(ValueError, match="not now"):
        run.invoke(graph, {}, thread("t"))

    db.store.put(C, "k", {"n": 7})
    run.invoke(graph, None, thread("t"))
    assert siblings.since(2) == ["a", "b"]
    run.invoke(graph, Command(resume="yes"), thread("t"))

    assert siblings.since(4) == ["a"]
    assert [row.node for row in (each.origin for each in changes(db))] == [
        None,
        "b",
        "a",
    ]  # recorded ones first
    assert db.store.get(C, "k").value == {"n": 0}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_nothing_of_the_record_before_is_left(run: Colour, db: Any, durability: str) -> None:
    def first(store: Any) -> None:
        for key in "kxy":
            store.update(C, key, plus(1))

    siblings = Again(a=[fails, asks], b=[first, counts(10)])
    graph = siblings.graph(db)
    with pytest.raises(ValueError, match="not now"):
        run.invoke(graph, {}, thread("t"))

    db.store.put(C, "k", {"n": 1000})
    run.invoke(graph, None, thread("t"), durability=durability)
    end = run.invoke(graph, Command(resume="yes"), thread("t"))

    assert {item.key: item.value["n"] for item in db.store.search(C)} == {"k": 1010}
    assert end["log"] == [9702, 9801]  # of the second time


def test_who_counted_from_what_is_gone_does_not_count_as_finished_by_its_successor(
    run: Colour, db: Any
) -> None:
    def asks_then_counts(store: Any) -> None:
        interrupt("?")
        store.update(C, "k", plus(100))

    siblings = Again(a=[fails, counts(0, "x")], b=[counts(1), counts(10)], c=[counts(100), asks_then_counts])
    graph = siblings.graph(db)
    with pytest.raises(ValueError, match="not now"):
        run.invoke(graph, {}, thread("t"))

    db.store.put(C, "k", {"n": 1000})
    run.invoke(graph, None, thread("t"))
    run.invoke(graph, Command(resume="yes"), thread("t"))

    assert siblings.since(6) == ["c"]
    assert db.store.get(C, "k").value == {"n": 1110}


def test_a_put_behind_a_record_that_is_gone_keeps_its_place(run: Colour, db: Any) -> None:
    counted, put = threading.Event(), threading.Event()

    def counts_first(store: Any) -> None:
        counts(1)(store)
        counted.set()

    def puts(store: Any) -> None:
        a_moment_after(counted)
        store.put(C, "k", {"n": 50})
        put.set()

    def fails_last(store: Any) -> None:
        a_moment_after(put)
        fails(store)

    siblings = Again(a=[fails_last, asks], b=[counts_first, counts(10)], c=[puts])
    graph = siblings.graph(db)
    with pytest.raises(ValueError, match="not now"):
        run.invoke(graph, {}, thread("t"))

    db.store.put(C, "k", {"n": 1000})
    run.invoke(graph, None, thread("t"))
    run.invoke(graph, Command(resume="yes"), thread("t"))

    assert siblings.since(3) == ["a", "a", "b"]
    assert db.store.get(C, "k").value == {"n": 60}  # `c` was recorded before `b` was again


def test_a_base_that_goes_while_the_step_is_committed(run: Colour, db: Any) -> None:
    def asks_and_meanwhile(store: Any) -> None:
        interrupt("?")
        store.direct.put(C, "k", {"n": 1000})

    siblings = Again(a=[asks_and_meanwhile], b=[counts(1), counts(10)], c=[counts(100), asks, counts(100)])
    graph = siblings.graph(db)
    run.invoke(graph, {}, thread("t"))

    run.invoke(graph, Command(resume="yes"), thread("t"))
    assert siblings.since(3) == ["a", "b", "c"]
    run.invoke(graph, Command(resume="yes"), thread("t"))

    assert siblings.since(6) == ["c"]
    assert db.store.get(C, "k").value == {"n": 1110}


def test_what_was_recorded_of_tasks_in_conflict_before_the_step_ended(
    run: Colour, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: set[str] = set()
    all_three = threading.Event()
    record = OwnChain.record

    async def noted(chain: OwnChain, finished: Any) -> None:
        await record(chain, finished)
        recorded.update(left.task.name for left in finished)
        if recorded == {"b", "c", "d"}:
            all_three.set()

    def counts_beside(number: int, key: str) -> Any:
        def node(store: Any) -> None:
            found = store.get(C, key)
            store.update(C, "k", plus(number))
            store.put(C, key, {"n": number}, if_version=found.version)

        return node

    def meanwhile(store: Any) -> None:
        assert all_three.wait(30)
        for key in "xy":
            store.direct.put(C, key, {"n": 1000})

    monkeypatch.setattr(OwnChain, "record", noted)
    db.store.put(C, "x", {"n": 0})
    db.store.put(C, "y", {"n": 0})
    siblings = Again(
        a=[meanwhile],
        b=[counts_beside(1, "x"), counts_beside(10, "x")],
        c=[counts(100)],
        d=[counts_beside(1, "y"), asks, counts_beside(1000, "y")],
    )
    graph = siblings.graph(db)

    run.invoke(graph, {}, thread("t"))
    assert siblings.since(4) == ["b", "d"]
    end = run.invoke(graph, Command(resume="yes"), thread("t"))

    assert siblings.since(6) == ["d"]
    assert {item.key: item.value["n"] for item in db.store.search(C)} == {"k": 1110, "x": 10, "y": 1000}
    assert end["log"] == [9700, 9801, 9900, 10002]


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("other", ["memory://", "sqlite:///{}/other.db"])
def test_the_base_is_looked_for_in_the_stores_own_database(
    run: Colour, db: Any, tmp_path: Path, other: str, touched: bool
) -> None:
    with connect(other.format(tmp_path)) as apart:
        apart.store.put(C, "k", {"n": 100})
        siblings = Again(a=[asks], b=[counts(1)])
        graph = siblings.graph(db.checkpointer, store=apart.store)
        run.invoke(graph, {}, thread("t"))
        if touched:
            apart.store.update(C, "k", plus(1000))

        due = ["a", "b"] if touched else ["a"]
        now, before = run.state(graph, thread("t")), run.history(graph, thread("t"))[0]
        run.invoke(graph, Command(resume="yes"), thread("t"))

        assert siblings.since(2) == due
        assert sorted(now.next) == due
        assert sorted(task.name for task in before.tasks if task.result is None) == due
        assert apart.store.get(C, "k").value == {"n": 1101 if touched else 101}
