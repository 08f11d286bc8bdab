"""What runs when, and in which order its writes count."""

from __future__ import annotations

import operator
import threading
import time
from enum import Enum, StrEnum
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from engine.kit import Colour, Log, chain, fan, logs, thread
from perdure.errors import InvalidUpdateError
from perdure.graph import END, START, StateGraph
from perdure.types import Command, Send


def drawing() -> Any:
    return StateGraph(Log)


def test_nodes_run_one_after_another_along_their_edges(run: Colour) -> None:
    assert run.invoke(chain("a", "b", "c").compile(), {"log": ["in"]}) == {"log": ["in", "a", "b", "c"]}


@pytest.mark.fact(26)
def test_writes_are_applied_by_node_name_then_by_send_index(run: Colour) -> None:
    def worker(state: Any) -> Log:
        time.sleep(0.002 * (3 - state["i"]))  # the later one is done first
        return {"log": [state["i"]]}

    graph = (
        drawing()
        .add_node("z", logs("z"))
        .add_node("n", logs("n"))
        .add_node("w", worker)
        .add_node("s", logs("s"))
    )
    graph.add_edge(START, "s").add_edge("s", "z").add_edge("s", "n")
    graph.add_conditional_edges("s", lambda _: [Send("w", {"i": 2}), Send("w", {"i": 1})], ["w"])

    assert run.invoke(graph.compile(), {})["log"] == ["s", "n", "z", 2, 1]


@pytest.mark.fact(26)
def test_the_order_of_drawing_and_of_finishing_do_not_count(run: Colour) -> None:
    def late(state: Log) -> Log:
        time.sleep(0.02)
        return {"log": ["a"]}

    assert run.invoke(fan("c", "b", ("a", late)).compile(), {})["log"] == ["a", "b", "c"]


def test_two_plain_edges_run_a_node_once_in_each_step_that_reaches_it(run: Colour) -> None:
    graph = drawing().add_node("short", logs("short")).add_node("l1", logs("l1")).add_node("l2", logs("l2"))
    graph.add_node("end", logs("end")).add_edge(START, "short").add_edge(START, "l1").add_edge("l1", "l2")
    graph.add_edge("short", "end").add_edge("l2", "end")

    assert run.invoke(graph.compile(), {})["log"] == ["l1", "short", "end", "l2", "end"]


def test_a_list_edge_waits_for_all_its_sources_and_then_begins_anew(run: Colour) -> None:
    graph = drawing().add_node("short", logs("short")).add_node("l1", logs("l1")).add_node("l2", logs("l2"))
    graph.add_node("join", logs("join")).add_edge(START, "short").add_edge(START, "l1").add_edge("l1", "l2")
    graph.add_edge(["short", "l2"], "join")
    graph.add_conditional_edges(
        "join", lambda s: END if len(s["log"]) > 5 else ["short", "l1"], ["short", "l1", END]
    )

    assert run.invoke(graph.compile(), {})["log"] == [
        "l1",
        "short",
        "l2",
        "join",
        "l1",
        "short",
        "l2",
        "join",
    ]


def test_a_path_function_sees_its_nodes_writes_but_not_those_of_others(run: Colour) -> None:
    seen: list[Any] = []

    def path(state: Log) -> str:
        seen.append(list(state["log"]))
        return END

    graph = (
        drawing().add_node("a", logs("a")).add_node("b", logs("b")).add_edge(START, "a").add_edge(START, "b")
    )
    graph.add_conditional_edges("a", path, [END])
    run.invoke(graph.compile(), {"log": ["in"]})

    assert seen == [["in", "a"]]


@pytest.mark.fact(27)
def test_a_path_function_may_name_several_and_end_among_them(run: Colour) -> None:
    graph = drawing().add_node("x", logs("x")).add_node("y", logs("y")).add_edge(START, "x")
    graph.add_conditional_edges("x", lambda _: [END, "y"], ["y", END])

    assert run.invoke(graph.compile(), {})["log"] == ["x", "y"]


@pytest.mark.fact(27)
@pytest.mark.parametrize(
    ("answer", "targets", "error", "text"),
    [
        (None, None, ValueError, "Branch did not return a valid destination"),
        ("other", {"yes": "x"}, KeyError, "other"),
        (Send(END, {}), None, InvalidUpdateError, "Cannot send a packet to the END node"),
    ],
)
def test_a_path_function_that_leads_nowhere_is_an_error(
    run: Colour, answer: Any, targets: Any, error: type[Exception], text: str
) -> None:
    graph = (
        drawing()
        .add_node("x", logs("x"))
        .add_edge(START, "x")
        .add_conditional_edges("x", lambda _: answer, targets)
    )

    with pytest.raises(error, match=text):
        run.invoke(graph.compile(), {})


@pytest.mark.fact(28)
def test_a_commands_goto_runs_beside_the_static_edges(run: Colour) -> None:
    graph = drawing().add_node("a", lambda _: Command(update={"log": ["a"]}, goto="z"), destinations=("z",))
    graph.add_node("b", logs("b")).add_node("z", logs("z")).add_edge(START, "a").add_edge("a", "b")

    assert run.invoke(graph.compile(), {})["log"] == ["a", "b", "z"]


@pytest.mark.fact(29)
def test_a_node_may_return_a_list_of_commands_and_updates(run: Colour) -> None:
    graph = drawing().add_node(
        "a",
        lambda _: [Command(update={"log": [1]}), {"log": [2]}, Command(update={"log": [3]}, goto="z")],
        destinations=("z",),
    )
    graph.add_node("z", logs("z")).add_edge(START, "a")
    compiled = graph.compile()

    assert run.invoke(compiled, {})["log"] == [1, 2, 3, "z"]
    assert run.stream(compiled, {})[0] == {"a": [{"log": [1]}, {"log": [2]}, {"log": [3]}]}


@pytest.mark.parametrize("wrong", [1, "text", [{"log": [1]}], (1, 2), Send("a", {})])
def test_a_node_that_returns_the_wrong_thing_is_told_so(run: Colour, wrong: Any) -> None:
    with pytest.raises(InvalidUpdateError, match="INVALID_GRAPH_NODE_RETURN_VALUE"):
        run.invoke(chain(("a", lambda _: wrong)).compile(), {})


def test_keys_outside_of_the_state_are_dropped(run: Colour) -> None:
    assert run.invoke(chain(("a", lambda _: {"log": [1], "unknown": 2})).compile(), {}) == {"log": [1]}


def test_a_send_is_its_tasks_whole_input_and_the_node_goes_on_along_its_edges_once(run: Colour) -> None:
    got: list[Any] = []

    def worker(argument: Any) -> Log:
        got.append(argument)
        return {"log": ["w"]}

    graph = drawing().add_node("w", worker).add_node("after", logs("after")).add_edge("w", "after")
    graph.add_conditional_edges(START, lambda _: [Send("w", 7), Send("w", {"any": "thing"})], ["w"])

    assert run.invoke(graph.compile(), {"n": 1})["log"] == ["w", "w", "after"]
    assert sorted(got, key=str) == [7, {"any": "thing"}]


@pytest.mark.fact(1)
def test_an_enum_member_stands_for_its_value_wherever_a_node_is_named(run: Colour) -> None:
    class Text(StrEnum):
        A = "a"

    class Old(str, Enum):  # noqa: UP042 - programs have such
        B = "b"

    class Plain(Enum):
        C = "c"

    graph = drawing().add_node("a", lambda _: Command(update={"log": ["a"]}, goto=Old.B), destinations=("b",))
    graph.add_node("b", logs("b")).add_node("c", lambda s: {"log": [("c", s)]}).add_edge(START, Text.A)
    graph.add_conditional_edges("b", lambda _: [Plain.C, Send(Plain.C, 1)], ["c"])
    graph_log = run.invoke(graph.compile(), {})["log"]

    assert graph_log[:2] == ["a", "b"]
    assert graph_log[3] == ("c", 1)


def test_a_goto_to_a_node_that_is_not_there_is_an_error(run: Colour) -> None:
    with pytest.raises(InvalidUpdateError, match="'nowhere'"):
        run.invoke(chain(("a", lambda _: Command(goto="nowhere"))).compile(), {})


@pytest.mark.fact(44)
def test_the_nodes_of_a_step_run_at_the_same_time(run: Colour) -> None:
    def sleeps(seconds: float) -> Any:
        return lambda _: time.sleep(seconds)

    graph = fan(("a", sleeps(0.2)), ("b", sleeps(0.3))).compile()
    begun = time.monotonic()
    run.invoke(graph, {"n": 1})

    assert time.monotonic() - begun < 0.45


def test_a_node_named_twice_in_one_answer_is_run_once(run: Colour) -> None:
    graph = drawing().add_node("x", logs("x")).add_node("y", logs("y")).add_edge(START, "x")
    graph.add_conditional_edges("x", lambda _: ["y", "y"], ["y"])

    assert run.invoke(graph.compile(), {})["log"] == ["x", "y"]


def test_a_loop_runs_until_its_path_function_ends_it(run: Colour) -> None:
    class Count(TypedDict):
        n: Annotated[int, operator.add]

    graph: Any = StateGraph(Count)
    graph.add_node("up", lambda _: {"n": 1}).add_edge(START, "up")
    graph.add_conditional_edges("up", lambda s: "up" if s["n"] < 50 else END)

    assert run.invoke(graph.compile(), {}) == {"n": 50}


@pytest.mark.fact(42)
def test_a_batch_keeps_the_order_of_its_inputs(run: Colour) -> None:
    def slow_for_small(state: Log) -> Log:
        time.sleep(0.01 * (5 - state["n"]))
        return {"log": [state["n"]]}

    graph = chain(("a", slow_for_small)).compile()

    assert [result["log"] for result in run.batch(graph, [{"n": n} for n in range(5)])] == [
        [0],
        [1],
        [2],
        [3],
        [4],
    ]


@pytest.mark.fact(42)
def test_a_batch_takes_a_config_for_each_input(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)

    run.batch(graph, [{"log": [1]}, {"log": [2]}], [thread("one"), thread("two")])

    assert run.state(graph, thread("one")).values == {"log": [1, "a"]}
    assert run.state(graph, thread("two")).values == {"log": [2, "a"]}


async def test_a_blocking_path_function_at_the_start_does_not_hold_the_loop() -> None:
    where: list[int] = []

    def path(state: Any) -> str:
        where.append(threading.get_ident())
        return "a"

    async def a(state: Any) -> Any:
        return {"log": ["a"]}

    graph: Any = StateGraph(Log).add_node("a", a).set_conditional_entry_point(path, ["a"]).compile()

    assert (await graph.ainvoke({"log": []}))["log"] == ["a"]
    assert where != [threading.get_ident()]


@pytest.mark.parametrize("beside", [False, True])
async def test_a_sync_node_may_have_an_async_path_function(db: Any, beside: bool) -> None:
    where: list[int] = []

    def a(state: Any) -> Any:
        where.append(threading.get_ident())
        return {"log": ["a"]}

    async def path(state: Any) -> list[str]:
        return ["b"] if state["log"] == ["a"] else []

    drawing: Any = StateGraph(Log).add_node("a", a).add_node("b", logs("b")).add_edge(START, "a")
    drawing.add_conditional_edges("a", path)
    if beside:
        drawing.add_node("c", logs("c")).add_edge(START, "c")
    graph = drawing.compile(db)

    result = await graph.ainvoke({"log": []}, thread("t"))

    assert result["log"] == (["a", "c", "b"] if beside else ["a", "b"])
    assert where != [threading.get_ident()], "the sync node held the loop"


async def test_the_first_edge_may_have_an_async_path_function() -> None:
    async def path(state: Any) -> str:
        return "a"

    drawing: Any = StateGraph(Log).add_node("a", logs("a")).set_conditional_entry_point(path)

    assert await drawing.compile().ainvoke({"log": []}) == {"log": ["a"]}


async def test_a_sync_node_with_an_async_path_function_ends_and_is_kept_when_its_sibling_fails(
    db: Any,
) -> None:
    started, failed = threading.Event(), threading.Event()
    calls: list[str] = []

    def slow(state: Any) -> Any:
        calls.append("slow")
        started.set()
        failed.wait(5)
        return {"log": ["slow"]}

    async def path(state: Any) -> str:
        return END

    def fails(state: Any) -> Any:
        started.wait(5)
        if not failed.is_set():
            failed.set()
            raise ConnectionError("once")
        return {"log": ["fails"]}

    drawing: Any = StateGraph(Log).add_node("slow", slow).add_node("fails", fails)
    drawing.add_edge(START, "slow").add_edge(START, "fails").add_conditional_edges("slow", path)
    graph = drawing.compile(db)

    with pytest.raises(ConnectionError):
        await graph.ainvoke({"log": []}, thread("t"))
    result = await graph.ainvoke(None, thread("t"))

    assert result["log"] == ["fails", "slow"]
    assert calls == ["slow"]
