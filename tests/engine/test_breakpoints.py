"""Static breakpoints: stopping before and after nodes, without a question."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kit import Colour, Log, chain, logs, thread
from perdure.graph import START, StateGraph
from perdure.types import Command


def test_a_run_stops_before_the_named_node_and_goes_on_with_none(run: Colour, db: Any) -> None:
    graph = chain("a", "b", "c").compile(db, interrupt_before=["b"])

    assert run.invoke(graph, {}, thread("t")) == {"log": ["a"]}
    state = run.state(graph, thread("t"))
    assert state.next == ("b",)
    assert state.interrupts == ()
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "b", "c"]}


def test_a_run_stops_after_the_named_node(run: Colour, db: Any) -> None:
    graph = chain("a", "b", "c").compile(db, interrupt_after=["b"])

    assert run.invoke(graph, {}, thread("t")) == {"log": ["a", "b"]}
    assert run.state(graph, thread("t")).next == ("c",)
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "b", "c"]}


def test_a_breakpoint_after_the_last_node_leaves_nothing_to_do(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db, interrupt_after=["a"])

    assert run.invoke(graph, {}, thread("t")) == {"log": ["a"]}
    assert run.state(graph, thread("t")).next == ()


@pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
def test_a_star_stops_at_every_node_but_never_at_a_hidden_one(run: Colour, db: Any, where: str) -> None:
    graph = chain("a", "b").compile(db, **{where: "*"})
    seen = [run.invoke(graph, {"log": ["in"]}, thread("t"))["log"]]
    while run.state(graph, thread("t")).next:
        seen.append(run.invoke(graph, None, thread("t"))["log"])

    before = [["in"], ["in", "a"], ["in", "a", "b"]]
    assert seen == (before if where == "interrupt_before" else before[1:])


def test_a_call_may_name_breakpoints_of_its_own(run: Colour, db: Any) -> None:
    graph = chain("a", "b", "c").compile(db, interrupt_before=["b"])

    assert run.invoke(graph, {}, thread("t"), interrupt_before=["c"]) == {"log": ["a", "b"]}
    assert run.invoke(graph, {}, thread("u"), interrupt_before=[]) == {"log": ["a"]}  # names none of its own


@pytest.mark.fact(64)
def test_a_breakpoint_is_an_empty_interrupt_in_updates_and_none_in_results(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db, interrupt_before=["b"])

    assert run.stream(graph, {}, thread("t"), stream_mode="updates") == [
        {"a": {"log": ["a"]}},
        {"__interrupt__": ()},
    ]
    result = run.invoke(graph, {}, thread("u"), version="v2")
    assert result.value == {"log": ["a"]}
    assert result.interrupts == ()


def test_any_answer_passes_a_breakpoint(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db, interrupt_before=["b"])
    run.invoke(graph, {}, thread("t"))

    assert run.invoke(graph, Command(resume="anything"), thread("t")) == {"log": ["a", "b"]}


def test_a_resume_passes_its_breakpoint_once(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", logs("a")).add_edge(START, "a")
    graph.add_conditional_edges("a", lambda s: "a" if len(s["log"]) < 3 else "__end__")
    compiled = graph.compile(db, interrupt_before=["a"])

    seen = [run.invoke(compiled, given, thread("t"))["log"] for given in ({}, None, None, None)]

    assert seen == [[], ["a"], ["a", "a"], ["a", "a", "a"]]


def test_breakpoints_fire_before_and_after_the_steps_checkpoint(run: Colour, db: Any) -> None:
    before = chain("a", "b").compile(db, interrupt_before=["b"])
    after = chain("a", "b").compile(db, interrupt_after=["a"])
    run.invoke(before, {}, thread("t"))
    run.invoke(after, {}, thread("u"))

    for graph, id in ((before, "t"), (after, "u")):
        state = run.state(graph, thread(id))
        assert (state.values, state.next, state.metadata["step"]) == ({"log": ["a"]}, ("b",), 1)


@pytest.mark.fact(66)
def test_an_update_while_paused_is_seen_and_the_breakpoint_does_not_fire_again(run: Colour, db: Any) -> None:
    graph = chain("a", ("b", lambda s: {"log": [s["n"]]}), "c").compile(db, interrupt_before=["b"])
    run.invoke(graph, {"n": 1}, thread("t"))

    run.update(graph, thread("t"), {"n": 2})

    assert run.state(graph, thread("t")).next == ("b",)
    assert run.invoke(graph, None, thread("t"))["log"] == ["a", 2, "c"]


@pytest.mark.fact(66)
def test_an_update_of_a_fresh_thread_as_a_node_goes_on_behind_it(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)

    run.update(graph, thread("t"), {"log": ["by hand"]}, as_node="a")

    assert run.state(graph, thread("t")).next == ("b",)
    assert run.invoke(graph, None, thread("t")) == {"log": ["by hand", "b"]}


@pytest.mark.parametrize("as_node", [None, START, "a"])
def test_an_update_of_a_fresh_thread_has_the_step_behind_that_of_an_input(
    run: Colour, db: Any, as_node: str | None
) -> None:
    graph = chain("a", "b").compile(db)

    run.update(graph, thread("t"), {"log": ["by hand"]}, as_node=as_node)

    assert run.state(graph, thread("t")).metadata["step"] == 0


def test_an_input_by_hand_on_a_fresh_thread_has_the_step_of_an_input(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)

    run.update(graph, thread("t"), {"log": ["by hand"]}, as_node="__input__")

    assert run.state(graph, thread("t")).metadata["step"] == -1


def test_new_input_at_a_breakpoint_begins_anew(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db, interrupt_before=["b"])
    run.invoke(graph, {}, thread("t"))

    assert run.invoke(graph, {"log": ["new"]}, thread("t")) == {"log": ["a", "new", "a"]}
    assert run.state(graph, thread("t")).next == ("b",)


def test_a_breakpoint_without_a_checkpointer_stops_all_the_same(run: Colour) -> None:
    assert run.invoke(chain("a", "b").compile(interrupt_before=["b"]), {}) == {"log": ["a"]}
