"""What a run shows while it works, mode by mode, in both versions of the format."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from engine.kit import Colour, Log, at, chain, fan, logs, thread
from perdure.config import get_stream_writer
from perdure.graph import START, StateGraph
from perdure.types import Command, Send, StreamWriter, interrupt


def asks(state: Log) -> Log:
    return {"log": [interrupt("?")]}


class Out(TypedDict, total=False):
    n: int


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.fact(24)
def test_values_are_the_input_and_every_step_that_changed_a_key(run: Colour) -> None:
    graph = chain("a", ("silent", lambda _: None), "b").compile()

    assert run.stream(graph, {"log": ["in"]}, stream_mode="values") == [
        {"log": ["in"]},
        {"log": ["in", "a"]},
        {"log": ["in", "a", "b"]},
    ]
    assert run.stream(chain(("silent", lambda _: {})).compile(), {"n": 1}, stream_mode="values") == [
        {"log": [], "n": 1}
    ]


@pytest.mark.fact(24)
def test_values_have_all_keys_where_invoke_has_those_of_the_output(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log, output_schema=Out)
    graph.add_node("a", lambda _: {"log": ["a"], "n": 2}).add_edge(START, "a")
    compiled = graph.compile(db)

    assert run.invoke(compiled, {}, thread("t")) == {"n": 2}
    assert run.stream(compiled, {}, thread("u"), stream_mode="values")[-1] == {"log": ["a"], "n": 2}
    assert run.state(compiled, thread("u")).values == {"log": ["a"], "n": 2}
    assert run.invoke(compiled, {}, thread("v"), stream_mode="updates") == [{"a": {"n": 2}}]  # narrowed, too


@pytest.mark.fact(25)
def test_a_run_that_goes_on_shows_first_where_it_stands(run: Colour, db: Any) -> None:
    graph = chain("a", ("q", asks)).compile(db)
    run.invoke(graph, {"log": ["in"]}, thread("t"))

    resumed = run.stream(graph, Command(resume="A"), thread("t"), stream_mode="values")
    again = run.stream(graph, None, thread("t"), stream_mode="values")

    assert resumed == [{"log": ["in", "a"]}, {"log": ["in", "a", "A"]}]
    assert again == [{"log": ["in", "a", "A"]}]


def test_values_on_a_question_have_what_siblings_did_and_what_is_asked(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks)).compile(db)

    first, last = run.stream(graph, {"log": ["in"]}, thread("t"), stream_mode="values")

    assert first == {"log": ["in"]}
    assert (last["log"], [asked.value for asked in last["__interrupt__"]]) == (["in", "a"], ["?"])


@pytest.mark.fact(22)
def test_output_keys_narrow_results_and_streams(run: Colour) -> None:
    graph = chain("a", ("b", lambda _: {"n": 1})).compile()

    assert run.invoke(graph, {}, output_keys="log") == ["a"]
    assert run.invoke(graph, {}, output_keys=["log"]) == {"log": ["a"]}
    assert run.stream(graph, {}, stream_mode="values", output_keys="n") == [1]
    assert run.stream(graph, {}, stream_mode="values", output_keys=["log"])[-1] == {"log": ["a"]}
    assert run.stream(graph, {}, stream_mode="updates", output_keys="log") == [{"a": ["a"]}, {"b": None}]
    assert run.stream(graph, {}, stream_mode="updates", output_keys=["n"]) == [{"a": None}, {"b": {"n": 1}}]


# -- updates ---------------------------------------------------------------------------------------------------------


@pytest.mark.fact(23)
def test_updates_of_a_node_that_wrote_nothing_are_none(run: Colour) -> None:
    graph = chain(
        ("empty", lambda _: {}), ("none", lambda _: None), ("other", lambda _: {"unknown": 1}), "a"
    ).compile()

    assert run.stream(graph, {}) == [{"empty": None}, {"none": None}, {"other": None}, {"a": {"log": ["a"]}}]


def test_updates_are_what_streams_show_by_default(run: Colour) -> None:
    graph = chain("a").compile()

    assert run.stream(graph, {}) == run.stream(graph, {}, stream_mode="updates") == [{"a": {"log": ["a"]}}]


def test_updates_come_as_each_task_finishes(run: Colour) -> None:
    def late(state: Log) -> Log:
        time.sleep(0.05)
        return {"log": ["late"]}

    graph = fan(("a", late), ("b", logs("b"))).compile()

    assert [list(chunk) for chunk in run.stream(graph, {})] == [["b"], ["a"]]


def test_updates_of_a_key_written_twice_are_a_list(run: Colour) -> None:
    graph = chain(("a", lambda _: Command(update=[("log", [1]), ("log", [2]), ("n", 3)]))).compile()

    assert run.stream(graph, {}) == [{"a": [{"log": [1]}, {"log": [2]}, {"n": 3}]}]


def test_updates_show_each_question_and_replayed_results_as_cached(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks), ("r", asks)).compile(db)

    first = run.stream(graph, {}, thread("t"))
    asked = [chunk["__interrupt__"] for chunk in first if "__interrupt__" in chunk]
    again = run.stream(graph, Command(resume={asked[0][0].id: "A"}), thread("t"))

    assert [len(each) for each in asked] == [1, 1]
    assert {"a": {"log": ["a"]}, "__metadata__": {"cached": True}} in again
    open_questions = [chunk["__interrupt__"][0].id for chunk in again if "__interrupt__" in chunk]
    assert open_questions == [asked[1][0].id]
    last = run.stream(graph, Command(resume="B"), thread("t"))
    assert sorted(str(list(chunk)) for chunk in last) == [
        "['a', '__metadata__']",
        "['q', '__metadata__']",
        "['r']",
    ]


def test_the_hidden_start_is_in_no_stream_but_checkpoints(run: Colour, db: Any) -> None:
    chunks = run.stream(chain("a").compile(db), {}, thread("t"), stream_mode=["updates", "tasks", "values"])

    assert "__start__" not in repr(chunks)


# -- custom ----------------------------------------------------------------------------------------------------------


def test_custom_items_are_whatever_nodes_write(run: Colour) -> None:
    def by_parameter(state: Log, writer: StreamWriter) -> None:
        writer(1)
        writer({"two": 2})

    def by_function(state: Log) -> None:
        get_stream_writer()("three")

    def by_runtime(state: Log, runtime: Any) -> None:
        runtime.stream_writer(None)

    graph = chain(("a", by_parameter), ("b", by_function), ("c", by_runtime)).compile()

    assert run.stream(graph, {}, stream_mode="custom") == [1, {"two": 2}, "three", None]
    assert run.stream(graph, {}, stream_mode="updates") == [{"a": None}, {"b": None}, {"c": None}]  # dropped


@pytest.mark.fact(106)
def test_custom_items_arrive_while_the_node_runs(run: Colour) -> None:
    heard = threading.Event()

    def node(state: Log, writer: StreamWriter) -> Log:
        writer("now")
        return {"log": [heard.wait(5)]}

    graph = chain(("a", node)).compile()
    if run.blocking:
        for mode, _ in graph.stream({}, stream_mode=["custom", "updates"]):
            heard.set()
            assert mode in ("custom", "updates")
    else:

        async def listen() -> None:
            async for _ in graph.astream({}, stream_mode=["custom", "updates"]):
                heard.set()

        asyncio.run(listen())

    assert heard.is_set()


def test_custom_items_come_before_the_update_of_their_node(run: Colour) -> None:
    def node(state: Log, writer: StreamWriter) -> Log:
        for number in range(20):
            writer(number)
        return {"log": ["a"]}

    chunks = run.stream(fan(("a", node)).compile(), {}, stream_mode=["custom", "updates"])

    assert chunks == [*(("custom", number) for number in range(20)), ("updates", {"a": {"log": ["a"]}})]


# -- tasks, checkpoints, debug -----------------------------------------------------------------------------------------


def test_tasks_have_a_start_and_a_finish(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node(
        "a",
        lambda _: Command(update={"log": ["a"]}, goto=Send("w", 7)),
        metadata={"team": "red"},
        destinations=("w",),
    )
    graph.add_node("w", lambda s: {"n": s}).add_edge(START, "a")

    chunks = run.stream(
        graph.compile(db), {}, {**thread("t"), "metadata": {"tier": "gold"}}, stream_mode="tasks"
    )

    ids = [chunk.pop("id") for chunk in chunks]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert chunks == [
        {
            "name": "a", "input": {"log": []}, "triggers": ["branch:to:a"],
            "metadata": {"tier": "gold", "team": "red"},
        },
        {"name": "a", "error": None, "result": {"log": ["a"]}, "interrupts": []},
        {"name": "w", "input": 7, "triggers": ["__pregel_push"], "metadata": {"tier": "gold"}},
        {"name": "w", "error": None, "result": {"n": 7}, "interrupts": []},
    ]  # fmt: skip


@pytest.mark.fact(108)
def test_the_finish_of_a_failing_task_has_its_error_then_the_error_follows(run: Colour, db: Any) -> None:
    failure = ValueError("x")

    def fails(state: Log) -> None:
        raise failure

    seen: list[Any] = []
    graph = chain(("a", fails)).compile(db)

    def reads() -> None:
        for chunk in graph.stream({}, thread("t"), stream_mode="tasks"):
            seen.append(chunk)

    async def reads_async() -> None:
        async for chunk in graph.astream({}, thread("t"), stream_mode="tasks"):
            seen.append(chunk)

    with pytest.raises(ValueError, match="x"):
        reads() if run.blocking else asyncio.run(reads_async())

    assert seen[-1] == {"id": seen[0]["id"], "name": "a", "error": failure, "result": {}, "interrupts": []}


def test_the_finish_of_an_asking_task_has_its_question_and_cached_tasks_have_none(
    run: Colour, db: Any
) -> None:
    graph = fan("a", ("q", asks)).compile(db)
    first = run.stream(graph, {}, thread("t"), stream_mode="tasks")
    asked = next(chunk for chunk in first if chunk["name"] == "q" and "result" in chunk)
    again = run.stream(graph, Command(resume="A"), thread("t"), stream_mode="tasks")

    assert [(one["value"], set(one)) for one in asked["interrupts"]] == [
        ("?", {"value", "id", "response_schema"})
    ]
    assert [(chunk["name"], "result" in chunk) for chunk in again] == [
        ("a", False),
        ("q", False),
        ("q", True),
    ]


def test_checkpoints_show_each_saved_checkpoint_as_get_state_does(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)

    shown = run.stream(
        graph, {"log": ["in"]}, {**thread("t"), "metadata": {"m": 1}}, stream_mode="checkpoints"
    )

    saved = list(reversed(run.history(graph, thread("t"))))
    assert len(shown) == len(saved) == 4
    for chunk, seen in zip(shown, saved, strict=True):
        assert at(chunk["config"]) == at(seen.config)
        assert chunk["config"]["configurable"]["checkpoint_ns"] == ""
        assert chunk["values"] == seen.values
        assert chunk["metadata"] == seen.metadata
        assert chunk["next"] == list(seen.next)
        assert [task["id"] for task in chunk["tasks"]] == [task.id for task in seen.tasks]
    assert [chunk["parent_config"] and at(chunk["parent_config"]) for chunk in shown] == [
        None,
        *(at(seen.config) for seen in saved[:-1]),
    ]
    assert shown[0]["next"] == ["__start__"]
    assert shown[0]["tasks"] == [
        {"id": saved[0].tasks[0].id, "name": "__start__", "interrupts": (), "state": None}
    ]


def test_checkpoints_on_going_on_show_the_open_step(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks)).compile(db)
    run.invoke(graph, {}, thread("t"))
    head = run.state(graph, thread("t"))

    shown = run.stream(graph, Command(resume="A"), thread("t"), stream_mode="checkpoints")

    assert [at(chunk["config"]) for chunk in shown] == [
        at(head.config),
        at(run.state(graph, thread("t")).config),
    ]
    a, q = shown[0]["tasks"]
    assert (a["result"], a["interrupts"]) == ({"log": ["a"]}, ())
    assert "result" not in q
    assert [asked["value"] for asked in q["interrupts"]] == ["?"]
    assert at(shown[1]["parent_config"]) == at(head.config)


def test_checkpoints_of_a_replay_begin_with_the_fork(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)
    run.invoke(graph, {}, thread("t"))
    old = run.history(graph, thread("t"))[1]

    shown = run.stream(graph, None, old.config, stream_mode="checkpoints")

    assert [chunk["metadata"]["source"] for chunk in shown] == ["fork", "loop"]
    assert at(shown[0]["parent_config"]) == at(old.config)
    assert [chunk["metadata"]["step"] for chunk in shown] == [2, 3]


def test_without_a_checkpointer_there_are_no_checkpoints(run: Colour) -> None:
    assert run.stream(chain("a").compile(), {}, stream_mode="checkpoints") == []


@pytest.mark.fact(110)
def test_debug_wraps_checkpoints_and_tasks_with_their_step(run: Colour, db: Any) -> None:
    chunks = run.stream(chain("a").compile(db), {}, thread("t"), stream_mode="debug")

    assert [(chunk["type"], chunk["step"]) for chunk in chunks] == [
        ("checkpoint", -1),
        ("checkpoint", 0),
        ("task", 1),
        ("task_result", 1),
        ("checkpoint", 1),
    ]
    assert all(set(chunk) == {"type", "step", "timestamp", "payload"} for chunk in chunks)
    assert all(re.match(r"\d{4}-\d\d-\d\dT", chunk["timestamp"]) for chunk in chunks)
    assert chunks[3]["payload"]["result"] == {"log": ["a"]}


def test_the_order_within_a_step(run: Colour, db: Any) -> None:
    def node(state: Log, writer: StreamWriter) -> Log:
        writer("custom")
        return {"log": ["a"]}

    modes = ["values", "updates", "tasks", "custom", "checkpoints"]
    chunks = run.stream(chain(("a", node)).compile(db), {}, thread("t"), stream_mode=modes)

    assert [mode for mode, _ in chunks][2:] == [
        "tasks",
        "custom",
        "updates",
        "tasks",
        "values",
        "checkpoints",
    ]


# -- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.fact(101)
def test_a_list_of_modes_yields_pairs_even_a_list_of_one(run: Colour) -> None:
    graph = chain("a").compile()

    assert run.stream(graph, {}, stream_mode=["updates"]) == [("updates", {"a": {"log": ["a"]}})]
    assert run.stream(graph, {}, stream_mode=("updates",)) == [{"a": {"log": ["a"]}}]  # a tuple is no list


@pytest.mark.fact(102)
def test_subgraphs_put_a_namespace_before_every_chunk(run: Colour) -> None:
    graph = chain("a").compile()

    assert run.stream(graph, {}, subgraphs=True) == [((), {"a": {"log": ["a"]}})]
    assert run.stream(graph, {}, subgraphs=True, stream_mode=["updates"]) == [
        ((), "updates", {"a": {"log": ["a"]}})
    ]


def test_version_two_yields_parts(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks)).compile(db)

    updates, values = (
        run.stream(graph, {"log": ["in"]}, thread(mode), stream_mode=mode, version="v2")
        for mode in ("updates", "values")
    )

    assert updates[0] == {"type": "updates", "ns": (), "data": {"a": {"log": ["a"]}}}
    assert values[0] == {"type": "values", "ns": (), "data": {"log": ["in"]}, "interrupts": ()}
    assert values[-1]["data"] == {"log": ["in", "a"]}
    assert [asked.value for asked in values[-1]["interrupts"]] == ["?"]


def test_version_two_gives_instances_of_the_schema(run: Colour, db: Any) -> None:
    class Model(BaseModel):
        x: int = 0
        y: int = 1

    graph = chain(("a", lambda _: {"x": 5}), schema=Model).compile(db)
    parts = run.stream(
        graph, {"x": "3"}, thread("t"), stream_mode=["values", "updates", "checkpoints"], version="v2"
    )
    by_type = {
        mode: [part["data"] for part in parts if part["type"] == mode]
        for mode in ("values", "updates", "checkpoints")
    }

    assert by_type["values"] == [Model(x=3), Model(x=5)]
    assert by_type["updates"] == [{"a": {"x": 5}}]
    assert [data["values"] for data in by_type["checkpoints"]] == [{}, Model(x=3), Model(x=5)]
    assert run.stream(graph, {"x": "3"}, thread("u"), stream_mode="values") == [{"x": "3"}, {"x": 5}]


def test_version_two_of_invoke_is_a_graph_output(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks)).compile(db)

    output = run.invoke(graph, {}, thread("t"), version="v2")

    assert output.value == {"log": ["a"]}
    assert [asked.value for asked in output.interrupts] == ["?"]
    assert run.invoke(graph, Command(resume="A"), thread("t"), version="v2").value == {"log": ["a", "A"]}


def test_invoke_with_another_mode_gives_the_list_of_chunks(run: Colour) -> None:
    graph = chain("a").compile()

    assert run.invoke(graph, {}, stream_mode="updates") == [{"a": {"log": ["a"]}}]
    assert run.invoke(graph, {}, stream_mode=["updates"]) == [("updates", {"a": {"log": ["a"]}})]


def test_print_mode_prints_and_changes_nothing(
    run: Colour, db: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = fan("a", ("q", asks)).compile(db)

    chunks = run.stream(graph, {}, thread("t"), print_mode="values")
    assert "[values] {'log': ['a'],\n '__interrupt__'" in capsys.readouterr().out
    assert all("log" not in chunk for chunk in chunks)

    result = run.invoke(graph, {}, thread("u"), print_mode=["updates"])
    assert "[updates] {'a': {'log': ['a']}}" in capsys.readouterr().out
    assert isinstance(result["__interrupt__"], list)

    run.invoke(graph, {}, thread("v"), debug=True)
    out = capsys.readouterr().out
    assert "[updates]" in out
    assert "[values]" in out


def test_an_unknown_mode_or_version_is_an_error(run: Colour) -> None:
    graph = chain("a").compile()

    with pytest.raises(ValueError, match="'nonsense'"):
        run.stream(graph, {}, stream_mode="nonsense")
    with pytest.raises(ValueError, match="'v9'"):
        run.stream(graph, {}, version="v9")
    with pytest.raises(ValueError, match="'v9'"):
        run.invoke(graph, {}, version="v9")


# -- stopping early --------------------------------------------------------------------------------------------------


@pytest.mark.fact(43)
def test_a_consumer_that_stops_early_ends_the_run_after_the_step(run: Colour, db: Any) -> None:
    ran: list[str] = []

    def counted(name: str) -> Any:
        def node(state: Log) -> Log:
            ran.append(name)
            return {"log": [name]}

        return name, node

    graph = chain(counted("a"), counted("b"), counted("c")).compile(db)
    if run.blocking:
        for _ in graph.stream({}, thread("t")):
            break
    else:

        async def stops() -> None:
            async for _ in graph.astream({}, thread("t")):
                break

        asyncio.run(stops())

    assert ran == ["a"]
    assert run.state(graph, thread("t")).values == {"log": ["a"]}
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "b", "c"]}
    assert ran == ["a", "b", "c"]


@pytest.mark.fact(43)
async def test_a_thread_may_be_continued_right_after_a_break(db: Any) -> None:
    graph = chain("a", "b").compile(db)

    async for _ in graph.astream({}, thread("t")):
        break

    assert await graph.ainvoke(None, thread("t")) == {"log": ["a", "b"]}


@pytest.mark.fact(43)
async def test_an_async_stream_that_is_closed_is_over_when_close_returns(db: Any) -> None:
    async def slow(state: Log) -> Log:
        await asyncio.sleep(0.01)
        return {"log": ["slow"]}

    graph = fan("a", ("slow", slow)).compile(db)
    chunks: Any = graph.astream({}, thread("t"))
    await anext(chunks)
    await chunks.aclose()

    assert (await graph.aget_state(thread("t"))).values == {"log": ["a", "slow"]}


def test_a_blocking_stream_may_be_read_step_by_step(db: Any) -> None:
    graph = chain("a", "b").compile(db)
    chunks: Any = graph.stream({}, thread("t"), durability="sync")

    assert next(chunks) == {"a": {"log": ["a"]}}
    assert next(chunks) == {"b": {"log": ["b"]}}
    assert graph.get_state(thread("t")).values == {"log": ["a"]}
    chunks.close()
    assert graph.get_state(thread("t")).values == {"log": ["a", "b"]}


def test_a_context_variable_is_not_changed_by_reading_a_stream(run: Colour) -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable", default="outer")

    def sets(state: Log) -> Log:
        before = variable.get()
        variable.set("node")
        return {"log": [before]}

    assert run.invoke(chain(("a", sets), ("b", sets)).compile(), {}) == {"log": ["outer", "outer"]}
    assert variable.get() == "outer"
