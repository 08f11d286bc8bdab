"""Reading threads: the state as it is, and its history."""

from __future__ import annotations

import uuid
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from engine.kit import Colour, Log, at, chain, fan, logs, thread
from perdure.graph import START, StateGraph
from perdure.types import Command, Send, interrupt


def steps(history: list[Any]) -> list[tuple[int, str]]:
    return [(seen.metadata["step"], seen.metadata["source"]) for seen in history]


@pytest.mark.fact(68)
def test_the_history_of_a_first_run_has_the_input_and_every_step(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)
    run.invoke(graph, {"log": ["in"]}, thread("t"))

    history = run.history(graph, thread("t"))

    assert steps(history) == [(2, "loop"), (1, "loop"), (0, "loop"), (-1, "input")]
    assert [seen.next for seen in history] == [(), ("b",), ("a",), ("__start__",)]
    assert [seen.values for seen in history] == [
        {"log": ["in", "a", "b"]},
        {"log": ["in", "a"]},
        {"log": ["in"]},
        {"log": []},
    ]


@pytest.mark.fact(69)
def test_the_tasks_of_a_checkpoint_carry_the_results_of_the_step_that_followed(run: Colour, db: Any) -> None:
    graph = chain("a", ("b", lambda _: None), ("c", lambda _: {"n": 1, "unknown": 2})).compile(db)
    run.invoke(graph, {"log": ["in"]}, thread("t"))

    tasks = [[(task.name, task.result) for task in seen.tasks] for seen in run.history(graph, thread("t"))]

    assert tasks == [
        [],
        [("c", {"n": 1})],
        [("b", {})],
        [("a", {"log": ["a"]})],
        [("__start__", {"log": ["in"]})],
    ]


def test_tasks_have_the_same_id_whenever_they_are_shown_and_their_public_path(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", logs("a")).add_node("w", lambda s: {"log": [s]}).add_edge(START, "a")
    graph.add_conditional_edges("a", lambda _: [Send("w", 1), Send("w", 2)], ["w"])
    compiled = graph.compile(db, interrupt_before=["w"])
    run.invoke(compiled, {}, thread("t"))
    before = run.state(compiled, thread("t")).tasks
    run.invoke(compiled, None, thread("t"))

    after = run.history(compiled, thread("t"))[1].tasks

    assert [task.id for task in before] == [task.id for task in after]
    assert len({task.id for task in before}) == 2
    assert [(task.name, task.path, task.result) for task in after] == [
        ("w", ("__pregel_push", 0, False), {"log": [1]}),
        ("w", ("__pregel_push", 1, False), {"log": [2]}),
    ]
    assert run.history(compiled, thread("t"))[2].tasks[0].path == ("__pregel_pull", "a")


@pytest.mark.fact(70)
def test_a_second_input_goes_on_counting(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {"log": [1]}, thread("t"))
    run.invoke(graph, {"log": [2]}, thread("t"))

    history = run.history(graph, thread("t"))

    assert steps(history)[:3] == [(4, "loop"), (3, "loop"), (2, "input")]
    assert history[2].values == {"log": [1, "a"]}
    assert history[2].parent_config == history[3].config


@pytest.mark.fact(71)
def test_a_failed_task_shows_its_error_and_later_its_result_beside_it(run: Colour, db: Any) -> None:
    fails = [True]

    def flaky(state: Log) -> Log:
        if fails.pop() if fails else False:
            raise ValueError("x")
        return {"log": ["good"]}

    graph = chain(("a", flaky)).compile(db)
    with pytest.raises(ValueError, match="x"):
        run.invoke(graph, {}, thread("t"))

    failed = run.state(graph, thread("t"))
    assert [(task.error, task.result) for task in failed.tasks] == [("ValueError('x')", None)]
    assert failed.next == ("a",)

    run.invoke(graph, None, thread("t"))
    task = run.state(graph, failed.config).tasks[0]
    assert (task.result, task.error) == ({"log": ["good"]}, "ValueError('x')")


@pytest.mark.fact(72)
def test_checkpoint_ids_sort_by_time(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)
    run.invoke(graph, {}, thread("t"))
    middle = run.history(graph, thread("t"))[1]
    run.invoke(graph, None, middle.config)
    run.update(graph, middle.config, {"n": 1})

    ids = [at(seen.config) for seen in run.history(graph, thread("t"))]

    assert ids == sorted(ids, reverse=True)
    assert at(run.state(graph, thread("t")).config) == ids[0]


def test_every_checkpoint_names_itself_its_parent_and_its_time(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)
    run.invoke(graph, {}, thread("t"))
    history = run.history(graph, thread("t"))

    for seen, parent in pairwise(history):
        assert seen.parent_config == parent.config
    assert history[-1].parent_config is None
    for seen in history:
        assert set(seen.config["configurable"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
        assert seen.config["configurable"]["checkpoint_ns"] == ""
        assert datetime.fromisoformat(seen.created_at).tzinfo is not None
    assert [seen.created_at for seen in history] == sorted(
        (seen.created_at for seen in history), reverse=True
    )


def test_a_checkpoint_by_its_id_is_what_history_shows(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", lambda _: {"log": [interrupt("?")]}), "c").compile(db)
    run.invoke(graph, {}, thread("t"))
    run.invoke(graph, Command(resume="A"), thread("t"))
    run.invoke(graph, {"log": ["more"]}, thread("t"))

    for seen in run.history(graph, thread("t")):
        assert run.state(graph, seen.config) == seen


def test_an_unknown_thread_is_empty(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)

    state = run.state(graph, thread("nobody"))

    assert (state.values, state.next, state.metadata, state.created_at, state.tasks) == (
        {},
        (),
        None,
        None,
        (),
    )
    assert state.config["configurable"]["thread_id"] == "nobody"
    assert state.parent_config is None
    assert run.history(graph, thread("nobody")) == []


def test_without_a_checkpointer_there_is_no_state(run: Colour) -> None:
    graph = chain("a").compile()

    with pytest.raises(ValueError, match="No checkpointer set"):
        run.state(graph, thread("t"))
    with pytest.raises(ValueError, match="No checkpointer set"):
        run.history(graph, thread("t"))
    with pytest.raises(ValueError, match="No checkpointer set"):
        run.update(graph, thread("t"), {})


@pytest.mark.fact(82)
def test_history_can_be_limited_and_begun_behind_a_checkpoint(run: Colour, db: Any) -> None:
    graph = chain("a", "b", "c").compile(db)
    run.invoke(graph, {}, thread("t"))
    history = run.history(graph, thread("t"))

    assert run.history(graph, thread("t"), limit=1, before=history[0].config) == [history[1]]
    assert run.history(graph, thread("t"), before=history[2].config) == history[3:]
    assert run.history(graph, thread("t"), limit=2) == history[:2]
    assert run.history(graph, thread("t"), limit=0) == []


def test_a_long_history_is_read_whole(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    for number in range(60):
        run.invoke(graph, {"n": number}, thread("t"), durability="sync")

    history = run.history(graph, thread("t"))

    assert [seen.metadata["step"] for seen in history] == list(range(178, -2, -1))
    assert [seen.values.get("n") for seen in history[::3]] == list(range(59, -1, -1))


@pytest.mark.fact(83)
def test_a_runs_metadata_and_scalars_of_configurable_are_kept_and_can_be_filtered_by(
    run: Colour, db: Any
) -> None:
    graph = chain("a").compile(db)
    config = {
        **thread("t", user="ada", count=3, paid=True, nested={"x": 1}, __secret="s"),
        "metadata": {"tier": "gold", "deep": [1]},
    }
    run.invoke(graph, {}, config)
    run.invoke(graph, {}, {**thread("t"), "metadata": {"tier": "tin"}})

    gold = run.history(graph, thread("t"), filter={"tier": "gold"})

    assert steps(gold) == [(1, "loop"), (0, "loop"), (-1, "input")]
    wanted = {"user": "ada", "count": 3, "paid": True, "tier": "gold", "parents": {}}
    for seen in gold:
        assert {key: value for key, value in seen.metadata.items() if key not in ("step", "source")} == wanted
    assert run.history(graph, thread("t"), filter={"user": "ada"}) == gold
    assert steps(run.history(graph, thread("t"), filter={"source": "input"})) == [(2, "input"), (-1, "input")]
    assert steps(run.history(graph, thread("t"), filter={"step": 1, "source": "loop"})) == [(1, "loop")]
    assert run.history(graph, thread("t"), filter={"tier": "gold"}, limit=1) == gold[:1]


def test_the_run_id_is_in_the_metadata_of_its_checkpoints(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    id = uuid.uuid4()

    run.invoke(graph, {}, {**thread("t"), "run_id": id})

    assert run.state(graph, thread("t")).metadata["run_id"] == str(id)


def test_a_root_graphs_checkpoints_have_no_parents(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {}, thread("t"))

    assert run.state(graph, thread("t")).metadata == {"source": "loop", "step": 1, "parents": {}}


@pytest.mark.fact(86)
def test_a_deleted_thread_is_an_unknown_one(run: Colour, db: Any) -> None:
    graph = chain("a", ("q", lambda _: {"log": [interrupt("?")]})).compile(db)
    run.invoke(graph, {"log": [1]}, thread("t"))
    run.invoke(graph, {"log": [2]}, thread("other"))

    db.checkpointer.delete_thread("t")

    assert run.state(graph, thread("t")).values == {}
    assert run.state(graph, thread("t")).metadata is None
    assert run.history(graph, thread("t")) == []
    assert run.state(graph, thread("other")).values == {"log": [2, "a"]}
    assert run.invoke(graph, {"log": [3]}, thread("t"))["log"] == [3, "a"]


@pytest.mark.fact(20)
@pytest.mark.parametrize("id", [7, uuid.UUID(int=7), "seven", 1.5])
def test_a_thread_id_of_any_kind_is_its_string(run: Colour, db: Any, id: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {}, thread(id))

    state = run.state(graph, thread(str(id)))

    assert state.values == {"log": ["a"]}
    assert run.state(graph, thread(id)).config["configurable"]["thread_id"] == str(id)


def test_a_snapshot_shows_all_state_keys_not_only_those_of_the_output(run: Colour, db: Any) -> None:
    from typing_extensions import TypedDict

    class Out(TypedDict, total=False):
        n: int

    graph: Any = StateGraph(Log, output_schema=Out)
    graph.add_node("a", lambda _: {"log": ["a"], "n": 1}).add_edge(START, "a")
    compiled = graph.compile(db)

    assert run.invoke(compiled, {}, thread("t")) == {"n": 1}
    assert run.state(compiled, thread("t")).values == {"log": ["a"], "n": 1}


def test_reading_while_a_run_is_at_work_sees_whole_steps(db: Any) -> None:
    seen: list[Any] = []

    def looks(state: Log) -> Log:
        seen.append(graph.get_state(thread("t")).values)
        return {"log": ["b"]}

    graph = chain("a", ("b", looks)).compile(db)
    graph.invoke({}, thread("t"), durability="sync")

    assert seen == [{"log": ["a"]}]


def test_results_are_found_behind_branches(run: Colour, db: Any) -> None:
    graph = chain("a", "b", "c").compile(db, interrupt_before=["b"])
    run.invoke(graph, {}, thread("t"))
    paused, older = run.history(graph, thread("t"))[:2]
    run.update(graph, older.config, {"n": 1}, as_node="__start__")  # comes between
    run.update(graph, paused.config, {"log": ["B"]}, as_node="b")

    assert [task.result for task in run.state(graph, paused.config).tasks] == [{"log": ["B"]}]
    history = run.history(graph, thread("t"))
    assert history[2].config == paused.config
    assert history[2].tasks[0].result == {"log": ["B"]}
    assert run.history(graph, thread("t"), before=history[1].config, limit=2) == history[2:4]
