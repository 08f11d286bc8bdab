"""Changing threads by hand, running again from older checkpoints, branches."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kit import Colour, Log, at, chain, fan, logs, questions, thread
from perdure.errors import InvalidUpdateError
from perdure.graph import END, START, StateGraph
from perdure.types import Command, Send, StateUpdate, interrupt


def sources(history: list[Any]) -> list[str]:
    return [seen.metadata["source"] for seen in history]


def by_id(history: list[Any]) -> dict[str, Any]:
    return {at(seen.config): seen for seen in history}


def asks(state: Log) -> Log:
    return {"log": [interrupt("?")]}


# -- replay ----------------------------------------------------------------------------------------------------------


@pytest.mark.fact(73)
def test_a_replay_runs_everything_behind_the_checkpoint_again(run: Colour, db: Any) -> None:
    ran: list[str] = []

    def counted(name: str) -> Any:
        def node(state: Log) -> Log:
            ran.append(name)
            return {"log": [name]}

        return name, node

    graph = chain(counted("a"), counted("b"), counted("c")).compile(db)
    run.invoke(graph, {}, thread("t"))
    before = run.history(graph, thread("t"))
    ran.clear()

    assert run.invoke(graph, None, before[2].config) == {"log": ["a", "b", "c"]}  # next was b

    after = run.history(graph, thread("t"))
    assert ran == ["b", "c"]
    assert sources(after)[:3] == ["loop", "loop", "fork"]
    assert [seen.metadata["step"] for seen in after][:3] == [4, 3, 2]
    assert after[2].parent_config == before[2].config
    assert after[3:] == before


@pytest.mark.fact(74)
def test_three_replays_are_three_branches_that_ask_anew(run: Colour, db: Any) -> None:
    graph = chain("a", ("q", asks)).compile(db)
    run.invoke(graph, {}, thread("t"))
    asked = run.state(graph, thread("t"))
    run.invoke(graph, Command(resume="first"), thread("t"))

    seen: list[Any] = []
    for answer in ("one", "two", "three"):
        result = run.invoke(graph, None, asked.config)
        assert questions(result) == ["?"]
        seen.append(result["__interrupt__"][0].id)
        assert run.invoke(graph, Command(resume=answer), thread("t")) == {"log": ["a", answer]}

    assert len(set(seen)) == 3
    ends = [
        seen.values["log"][1] for seen in run.history(graph, thread("t")) if seen.next == () and seen.values
    ]
    assert ends == ["three", "two", "one", "first"]


def test_a_replay_from_a_finished_checkpoint_runs_nothing(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {}, thread("t"))
    end = run.state(graph, thread("t"))
    run.invoke(graph, {"log": ["more"]}, thread("t"))

    assert run.invoke(graph, None, end.config) == {"log": ["a"]}


def test_a_replay_from_the_input_begins_at_the_input(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {"log": ["in"]}, thread("t"))
    first = run.history(graph, thread("t"))[-1]

    assert run.invoke(graph, None, first.config) == {"log": ["in", "a"]}


def test_new_input_on_an_older_checkpoint_goes_on_from_there(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {"log": [1]}, thread("t"))
    first = run.state(graph, thread("t"))
    run.invoke(graph, {"log": [2]}, thread("t"))

    assert run.invoke(graph, {"log": [3]}, first.config) == {"log": [1, "a", 3, "a"]}
    assert run.state(graph, thread("t")).values == {"log": [1, "a", 3, "a"]}


def test_a_replay_does_not_take_finished_siblings_of_the_old_branch(run: Colour, db: Any) -> None:
    ran: list[str] = []

    def counted(state: Log) -> Log:
        ran.append("a")
        return {"log": ["a"]}

    graph = fan(("a", counted), ("q", asks)).compile(db)
    run.invoke(graph, {}, thread("t"))
    asked = run.state(graph, thread("t"))
    run.invoke(graph, Command(resume="A"), thread("t"))

    run.invoke(graph, None, asked.config)

    assert ran == ["a", "a"]


def test_a_checkpoint_that_does_not_exist_is_an_error(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {}, thread("t"))
    wrong = thread("t", checkpoint_id="1ef00000-0000-6000-8000-000000000000")

    with pytest.raises(Exception, match="1ef00000") as caught:
        run.invoke(graph, None, wrong)

    assert type(caught.value).__name__ == "EmptyInputError"
    assert run.state(graph, wrong).values == {}
    with pytest.raises(ValueError, match="1ef00000"):
        run.update(graph, wrong, {"n": 1})


# -- update_state ----------------------------------------------------------------------------------------------------


@pytest.mark.fact(75, 79)
def test_updates_of_an_old_checkpoint_are_branches_of_their_own(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)
    run.invoke(graph, {}, thread("t"))
    old = run.history(graph, thread("t"))[1]  # next is b
    before = run.history(graph, thread("t"))

    one = run.update(graph, old.config, {"log": ["one"]})
    two = run.update(graph, old.config, {"log": ["two"]})

    assert run.state(graph, one).values == {"log": ["a", "one"]}
    assert run.state(graph, two).values == {"log": ["a", "two"]}
    assert run.state(graph, one).parent_config == run.state(graph, two).parent_config == old.config
    assert run.invoke(graph, None, one) == {"log": ["a", "one", "b"]}
    assert by_id(before).items() <= by_id(run.history(graph, thread("t"))).items()


@pytest.mark.fact(75)
def test_a_fork_does_not_take_recorded_writes_of_the_old_branch(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks)).compile(db)
    run.invoke(graph, {}, thread("t"))
    asked = run.state(graph, thread("t"))

    forked = run.update(graph, asked.config, {"n": 1}, as_node="__start__")

    state = run.state(graph, forked)
    assert state.values.get("n") == 1
    assert questions(run.invoke(graph, None, forked)) == ["?"]


@pytest.mark.fact(78)
def test_an_update_returns_the_config_of_its_checkpoint(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {}, thread("t"))

    config = run.update(graph, thread("t"), {"n": 1})

    assert config == {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": at(config)}}
    state = run.state(graph, thread("t"))
    assert state.config == config
    assert (state.metadata["source"], state.metadata["step"]) == ("update", 2)
    assert state.values == {"log": ["a"], "n": 1}
    assert state.next == ()


@pytest.mark.fact(77)
def test_an_update_evaluates_conditional_edges_on_the_updated_state(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", logs("a")).add_node("x", logs("x")).add_node("y", logs("y")).add_edge(START, "a")
    graph.add_conditional_edges("a", lambda s: "x" if s["n"] == 1 else "y", ["x", "y"])
    compiled = graph.compile(db)
    run.invoke(compiled, {"n": 1}, thread("t"))

    run.update(compiled, thread("t"), {"n": 2}, as_node="a")

    assert run.state(compiled, thread("t")).next == ("y",)
    assert run.invoke(compiled, None, thread("t"))["log"] == ["a", "x", "y"]


def test_an_update_may_send(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", logs("a")).add_node("w", lambda s: {"log": [s]}).add_edge(START, "a")
    graph.add_conditional_edges("a", lambda s: [Send("w", i) for i in range(s.get("n", 0))], ["w"])
    compiled = graph.compile(db)
    run.invoke(compiled, {}, thread("t"))

    run.update(compiled, thread("t"), {"n": 2}, as_node="a")

    assert run.state(compiled, thread("t")).next == ("w", "w")
    assert run.invoke(compiled, None, thread("t"))["log"] == ["a", 0, 1]


@pytest.mark.fact(76)
def test_an_empty_update_is_a_checkpoint_and_the_question_is_asked_again(run: Colour, db: Any) -> None:
    graph = chain("a", ("q", asks)).compile(db)
    first = run.invoke(graph, {}, thread("t"))["__interrupt__"][0]
    parent = run.state(graph, thread("t"))

    config = run.update(graph, thread("t"), None)

    state = run.state(graph, config)
    assert (state.metadata["source"], state.next, state.parent_config) == ("update", ("q",), parent.config)
    again = run.invoke(graph, None, thread("t"))["__interrupt__"][0]
    assert (again.value, again.id != first.id) == ("?", True)


@pytest.mark.fact(76)
def test_a_copy_is_a_fork_beside_the_checkpoint(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)
    run.invoke(graph, {}, thread("t"))
    old = run.history(graph, thread("t"))[1]

    copy = run.state(graph, run.update(graph, old.config, None, as_node="__copy__"))

    assert copy.metadata["source"] == "fork"
    assert copy.parent_config == old.parent_config
    assert (copy.values, copy.next) == (old.values, old.next)
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "b"]}


def test_as_end_clears_what_is_due(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks)).compile(db)
    run.invoke(graph, {}, thread("t"))

    run.update(graph, thread("t"), None, as_node=END)

    state = run.state(graph, thread("t"))
    assert (state.next, state.tasks, state.values) == ((), (), {"log": ["a"]})
    assert run.invoke(graph, None, thread("t")) == {"log": ["a"]}


def test_as_input_acts_like_new_input(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {"log": [1]}, thread("t"))

    run.update(graph, thread("t"), {"log": [2]}, as_node="__input__")

    state = run.state(graph, thread("t"))
    assert (state.metadata["source"], state.next) == ("input", ("__start__",))
    assert run.invoke(graph, None, thread("t")) == {"log": [1, "a", 2, "a"]}


def test_an_update_of_a_new_thread_is_taken_as_its_input(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)

    run.update(graph, thread("t"), {"log": ["in"]})

    state = run.state(graph, thread("t"))
    assert (state.values, state.next) == ({"log": ["in"]}, ("a",))
    assert run.invoke(graph, None, thread("t")) == {"log": ["in", "a"]}


def test_an_update_without_a_node_is_as_the_node_that_last_ran(run: Colour, db: Any) -> None:
    graph = chain("a", "b", "c").compile(db, interrupt_after=["b"])
    run.invoke(graph, {}, thread("t"))

    run.update(graph, thread("t"), {"log": ["u"]})

    assert run.state(graph, thread("t")).next == ("c",)
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "b", "u", "c"]}


def test_an_update_that_could_be_several_nodes_is_ambiguous(run: Colour, db: Any) -> None:
    graph = fan("a", "b").compile(db)
    run.invoke(graph, {}, thread("t"))

    with pytest.raises(InvalidUpdateError, match="Ambiguous update, specify as_node"):
        run.update(graph, thread("t"), {"n": 1})


def test_an_update_as_a_node_that_is_not_there_is_an_error(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)

    with pytest.raises(InvalidUpdateError, match="nowhere"):
        run.update(graph, thread("t"), {"n": 1}, as_node="nowhere")

    assert run.history(graph, thread("t")) == []


@pytest.mark.parametrize("special", [END, "__input__", "__copy__"])
def test_special_updates_stand_alone_in_their_superstep(run: Colour, db: Any, special: str) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {}, thread("t"))
    both = [[StateUpdate(None, special), StateUpdate({"n": 1}, "a")]]

    with pytest.raises(InvalidUpdateError):
        run.bulk(graph, thread("t"), both)


def test_nothing_to_update_is_an_error(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)

    with pytest.raises(ValueError, match="No supersteps provided"):
        run.bulk(graph, thread("t"), [])
    with pytest.raises(ValueError, match="No updates provided"):
        run.bulk(graph, thread("t"), [[]])


@pytest.mark.fact(80)
def test_bulk_updates_rebuild_a_history(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)
    run.invoke(graph, {"log": ["in"]}, thread("t"))

    run.bulk(
        graph,
        thread("copy"),
        [
            [StateUpdate({"log": ["in"]}, "__input__")],
            [StateUpdate({"log": ["in"]}, "__start__")],
            [StateUpdate({"log": ["a"]}, "a")],
            [StateUpdate({"log": ["b"]}, "b")],
        ],
    )

    def shown(id: str) -> list[Any]:
        return [
            (seen.values, seen.next, seen.metadata["step"], [(task.name, task.result) for task in seen.tasks])
            for seen in run.history(graph, thread(id))
        ]

    assert shown("copy") == shown("t")


@pytest.mark.fact(80, 81)
def test_bulk_updates_rebuild_sends(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node(
        "a", lambda _: Command(update={"log": ["a"]}, goto=[Send("w", 1), Send("w", 2)]), destinations=("w",)
    )
    graph.add_node("w", lambda s: {"log": [s]}).add_edge(START, "a")
    compiled = graph.compile(db)
    run.invoke(compiled, {}, thread("t"))

    run.bulk(
        compiled,
        thread("copy"),
        [
            [StateUpdate({}, "__input__")],
            [StateUpdate({}, "__start__")],
            [StateUpdate(Command(update={"log": ["a"]}, goto=[Send("w", 1), Send("w", 2)]), "a")],
            [StateUpdate({"log": [1]}, "w"), StateUpdate({"log": [2]}, "w")],
        ],
    )

    def shown(id: str) -> list[Any]:
        return [
            (seen.values, seen.next, seen.metadata["step"], [(task.name, task.result) for task in seen.tasks])
            for seen in run.history(compiled, thread(id))
        ]

    assert shown("copy") == shown("t")


def test_several_updates_of_a_superstep_are_applied_together(run: Colour, db: Any) -> None:
    graph = fan("a", "b").compile(db)

    config = run.bulk(
        graph, thread("t"), [[StateUpdate({"log": [2]}, "b"), StateUpdate({"log": [1], "n": 5}, "a")]]
    )

    assert run.state(graph, config).values["n"] == 5
    assert len(run.history(graph, thread("t"))) == 1


def test_an_update_while_asked_keeps_what_siblings_have_done(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks)).compile(db)
    run.invoke(graph, {}, thread("t"))

    run.update(graph, thread("t"), {"log": ["by hand"]}, as_node="q")

    assert run.state(graph, thread("t")).next == ()
    assert sorted(run.state(graph, thread("t")).values["log"]) == ["a", "by hand"]


def test_the_memory_of_finished_siblings_comes_with_an_update(run: Colour, db: Any) -> None:
    def remembers(state: Log, *, store: Any) -> Log:
        store.put(("notes",), "k", {"n": 1})
        return {"log": ["a"]}

    graph: Any = fan(("a", remembers), ("q", asks))
    graph.add_node("x", logs("x")).add_node("y", logs("y")).add_edge("a", "x").add_edge("q", "y")
    compiled = graph.compile(checkpointer=db.checkpointer, store=db.store)
    run.invoke(compiled, {}, thread("t"))
    assert db.store.get(("notes",), "k") is None

    run.update(compiled, thread("t"), {"log": ["Q"]}, as_node="q")

    assert db.store.get(("notes",), "k").value == {"n": 1}
    assert run.state(compiled, thread("t")).next == ("x", "y")
    assert run.invoke(compiled, None, thread("t")) == {"log": ["a", "Q", "x", "y"]}


def test_an_update_as_a_node_behind_a_list_edge_stands_for_its_run(run: Colour, db: Any) -> None:
    graph: Any = fan("a", "b")
    graph.add_node("c", logs("c")).add_node("d", logs("d")).add_edge(["a", "b"], "c").add_edge("c", "d")
    compiled = graph.compile(db, interrupt_before=["c"])
    run.invoke(compiled, {}, thread("t"))

    run.update(compiled, thread("t"), {"log": ["by hand"]}, as_node="c")

    assert run.state(compiled, thread("t")).next == ("d",)
    assert run.invoke(compiled, None, thread("t")) == {"log": ["a", "b", "by hand", "d"]}


def test_a_copy_may_do_tasks_anew(run: Colour, db: Any) -> None:
    graph = chain("a", "b", "c").compile(db, interrupt_before=["b"])
    run.invoke(graph, {}, thread("t"))
    old = run.state(graph, thread("t"))

    config = run.update(graph, thread("t"), [({"log": ["B"]}, "b")], as_node="__copy__")

    history = run.history(graph, thread("t"))
    assert history[0].config == config
    assert sources(history)[:2] == ["update", "fork"]
    assert (history[0].values, history[0].next) == ({"log": ["a", "B"]}, ("c",))
    assert [(task.name, task.result) for task in history[1].tasks] == [("b", {"log": ["B"]})]
    assert history[1].parent_config == old.parent_config


def test_updates_of_an_explicit_checkpoint_leave_its_recorded_writes_to_its_branch(
    run: Colour, db: Any
) -> None:
    graph = fan("a", ("q", asks)).compile(db)
    run.invoke(graph, {}, thread("t"))

    forked = run.update(graph, run.state(graph, thread("t")).config, {"log": ["Q"]}, as_node="q")

    assert run.state(graph, forked).values == {"log": ["Q"]}


def test_the_memory_of_a_replay_is_written_again(run: Colour, db: Any) -> None:
    def remembers(state: Log, *, store: Any) -> Log:
        store.update(("count",), "runs", lambda value: {"n": (value or {"n": 0})["n"] + 1})
        return {"log": ["a"]}

    graph = chain(("a", remembers)).compile(checkpointer=db.checkpointer, store=db.store)
    run.invoke(graph, {}, thread("t"))
    run.invoke(graph, None, run.history(graph, thread("t"))[1].config)

    assert db.store.get(("count",), "runs").value == {"n": 2}
