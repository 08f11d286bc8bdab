"""Memory that siblings computed and recorded: none of them runs again because another one asked, failed or died."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest

from engine.kit import Colour, thread
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


def test_a_put_among_the_recorded_writes_keeps_its_place(run: Colour, db: Any) -> None:
    def node(state: State, *, store: Any) -> State:
        if state["i"] == 0:
            interrupt("?")
        elif state["i"] == 1:
            store.put(C, "k", {"n": 100})
        store.update(C, "k", plus(1))
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
