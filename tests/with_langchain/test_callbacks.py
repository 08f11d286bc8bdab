"""What LangChain's callback handlers learn of a run, in both colours."""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict
from uuid import UUID, uuid4

import pytest

pytest.importorskip("langchain_core", reason="langchain-core is not installed: pip install langchain-core")

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, CallbackManager
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda

from perdure import InMemorySaver
from perdure.callbacks import GraphCallbackHandler
from perdure.graph.state import StateGraph
from perdure.types import Command, Send, interrupt


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class Seen(GraphCallbackHandler):
    """Writes down what happens: (what, which run, parent of it, more)."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.names: dict[UUID | None, str | None] = {None: None}
        self.runs: dict[str, list[dict[str, Any]]] = {}

    def _starts(self, name: str, run_id: UUID, parent_run_id: UUID | None, facts: dict[str, Any]) -> None:
        self.names[run_id] = name
        self.runs.setdefault(name, []).append({"run_id": run_id, **facts})
        self.events.append(("start", name, self.names[parent_run_id]))

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: Any = None, **facts: Any
    ) -> None:
        self._starts(facts["name"], run_id, parent_run_id, {"inputs": inputs, **facts})

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, parent_run_id: Any = None, **facts: Any
    ) -> None:
        self._starts("model", run_id, parent_run_id, facts)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        self.events.append(("end", self.names[run_id], outputs))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self.events.append(("error", self.names[run_id], type(error).__name__))

    def on_interrupt(self, event: Any) -> None:
        self.events.append(("interrupt", event))

    def on_resume(self, event: Any) -> None:
        self.events.append(("resume", event))

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[0] in kinds]


Call = Callable[..., Any]


@pytest.fixture(params=["blocking", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Runs a graph in one colour."""
    if request.param == "blocking":
        return lambda graph, *args, **kwargs: graph.invoke(*args, **kwargs)
    return lambda graph, *args, **kwargs: asyncio.run(graph.ainvoke(*args, **kwargs))


def says(word: str) -> Callable[[State], State]:
    return lambda state: {"log": [word]}


def drawn(*, edges: dict[str, str], **nodes: Any) -> StateGraph[State]:
    drawing = StateGraph(State)
    for name, node in nodes.items():
        drawing.add_node(name, node)
    for start, end in {"__start__": next(iter(nodes)), **edges}.items():
        drawing.add_edge(start, end)
    return drawing


@pytest.mark.fact(45)
def test_a_run_and_its_nodes_are_chains(call: Call) -> None:
    seen = Seen()
    graph = drawn(a=says("a"), b=says("b"), edges={"a": "b"}).compile(name="speaks")

    call(graph, {"log": []}, {"callbacks": [seen]})

    assert seen.events == [
        ("start", "speaks", None),
        ("start", "a", "speaks"),
        ("end", "a", {"log": ["a"]}),
        ("start", "b", "speaks"),
        ("end", "b", {"log": ["b"]}),
        ("end", "speaks", {"log": ["a", "b"]}),
    ]
    assert seen.runs["speaks"][0]["inputs"] == {"log": []}
    assert seen.runs["b"][0]["inputs"] == {"log": ["a"]}


def test_a_chain_has_the_config_s_name_id_tags_and_metadata(call: Call) -> None:
    seen, run_id = Seen(), uuid4()
    graph = drawn(a=says("a"), edges={}).compile(InMemorySaver())
    config = {
        "callbacks": [seen], "run_name": "mine", "run_id": run_id, "tags": ["t"], "metadata": {"m": 1},
        "configurable": {"thread_id": "7", "api_key": "hidden"},
    }  # fmt: skip

    call(graph, {"log": []}, config)

    (run,), (task,) = seen.runs["mine"], seen.runs["a"]
    assert (run["run_id"], run["tags"], run["metadata"]) == (run_id, ["t"], {"m": 1, "thread_id": "7"})
    assert sorted(task["tags"]) == ["graph:step:1", "t"]
    assert {"m", "thread_id", "langgraph_node", "langgraph_step", "langgraph_checkpoint_ns"} <= set(
        task["metadata"]
    )
    assert (task["metadata"]["langgraph_node"], task["metadata"]["langgraph_step"]) == ("a", 1)


def test_a_model_is_the_node_s_child_with_its_config_or_without(call: Call) -> None:
    model = FakeListChatModel(responses=["hm"])
    seen = Seen()
    graph = drawn(
        without=lambda state: {"log": [model.invoke("x").text]},
        handed=lambda state, config: {"log": [model.invoke("x", config).text]},
        edges={"without": "handed"},
    ).compile()

    result = call(graph, {"log": []}, {"callbacks": [seen]})

    assert result == {"log": ["hm", "hm"]}
    assert [event for event in seen.of("start") if event[1] == "model"] == [
        ("start", "model", "without"),
        ("start", "model", "handed"),
    ]
    assert [run["metadata"]["langgraph_node"] for run in seen.runs["model"]] == ["without", "handed"]


def test_models_of_nodes_side_by_side_are_each_its_own_node_s_child(call: Call) -> None:
    model = FakeListChatModel(responses=["hm"])
    seen = Seen()
    drawing = StateGraph(State)
    for name in "abcd":
        drawing.add_node(name, lambda state: {"log": [model.invoke("x").text]})
        drawing.add_edge("__start__", name)

    call(drawing.compile(), {"log": []}, {"callbacks": [seen]})

    assert sorted(event[2] for event in seen.of("start") if event[1] == "model") == ["a", "b", "c", "d"]


async def test_an_async_node_s_model_is_its_child() -> None:
    model = FakeListChatModel(responses=["hm"])
    seen = Seen()

    async def talk(state: State) -> State:
        return {"log": [(await model.ainvoke("x")).text]}

    await drawn(talk=talk, edges={}).compile().ainvoke({"log": []}, {"callbacks": [seen]})

    assert seen.of("start")[1:] == [("start", "talk", "LangGraph"), ("start", "model", "talk")]


def test_a_runnable_is_a_node(call: Call) -> None:
    seen = Seen()
    graph = drawn(a=RunnableLambda(lambda state: {"log": ["a"]}, name="inner"), edges={}).compile()

    result = call(graph, {"log": []}, {"callbacks": [seen]})

    assert result == {"log": ["a"]}
    assert seen.of("start")[1:] == [("start", "a", "LangGraph"), ("start", "inner", "a")]


def test_a_graph_called_in_a_node_is_its_child(call: Call) -> None:
    seen = Seen()
    child = drawn(deep=says("deep"), edges={}).compile(name="child")
    graph = drawn(
        handed=child, within=lambda state: child.invoke({"log": []}), edges={"handed": "within"}
    ).compile(name="top")

    call(graph, {"log": []}, {"callbacks": [seen]})

    assert seen.of("start") == [
        ("start", "top", None),
        ("start", "handed", "top"),
        ("start", "child", "handed"),
        ("start", "deep", "child"),
        ("start", "within", "top"),
        ("start", "child", "within"),
        ("start", "deep", "child"),
    ]


def test_a_graph_called_by_a_chain_takes_its_config_from_it(call: Call) -> None:
    seen = Seen()
    graph = drawn(a=says("a"), edges={}).compile(InMemorySaver(), name="inner")
    chain = RunnableLambda(lambda log: graph.invoke({"log": log}), name="outer")
    config = {"callbacks": [seen], "configurable": {"thread_id": "1"}}

    call(chain, [], config)
    result = call(chain, [], config)

    assert result == {"log": ["a", "a"]}
    assert seen.of("start")[:3] == [
        ("start", "outer", None),
        ("start", "inner", "outer"),
        ("start", "a", "inner"),
    ]


def test_a_graph_called_by_a_chain_in_a_node_is_the_chain_s_child(call: Call) -> None:
    seen = Seen()
    child = drawn(deep=says("deep"), edges={}).compile(name="child")
    chain = RunnableLambda(lambda state: child.invoke({"log": []}), name="chain")
    graph = drawn(a=lambda state: chain.invoke(state), edges={}).compile()

    call(graph, {"log": []}, {"callbacks": [seen]})

    assert seen.of("start")[1:4] == [
        ("start", "a", "LangGraph"),
        ("start", "chain", "a"),
        ("start", "child", "chain"),
    ]


@pytest.mark.fact(46)
def test_bound_handlers_and_those_of_the_call_both_hear(call: Call) -> None:
    bound, called = Seen(), Seen()
    graph = drawn(a=says("a"), edges={}).compile()

    call(
        graph.with_config(callbacks=[bound]),
        {"log": []},
        {"callbacks": CallbackManager([called], inheritable_handlers=[called])},
    )

    assert bound.events == called.events != []


def test_a_child_s_bound_handler_hears_beside_the_caller_s(call: Call) -> None:
    top, bound = Seen(), Seen()
    child = drawn(deep=says("deep"), edges={}).compile(name="child").with_config(callbacks=[bound])
    graph = drawn(a=lambda state: child.invoke({"log": []}), edges={}).compile()

    call(graph, {"log": []}, {"callbacks": [top]})

    assert [event[1] for event in top.of("start")] == ["LangGraph", "a", "child", "deep"]
    assert [event[1] for event in bound.of("end")] == ["deep", "child"]


def test_every_attempt_and_every_send_is_a_chain(call: Call) -> None:
    from perdure.types import RetryPolicy

    seen, left = Seen(), [1]

    def flaky(state: Any) -> State:
        if left and left.pop():
            raise ConnectionError
        return {"log": [str(state)]}

    drawing = StateGraph(State).add_node(
        "flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.001, jitter=False)
    )
    drawing.add_conditional_edges("__start__", lambda state: [Send("flaky", 1), Send("flaky", 2)])

    call(drawing.compile(), {"log": []}, {"callbacks": [seen], "max_concurrency": 1})

    assert [event for event in seen.of("end", "error") if event[1] == "flaky"] == [
        ("error", "flaky", "ConnectionError"),
        ("end", "flaky", {"log": ["1"]}),
        ("end", "flaky", {"log": ["2"]}),
    ]


def test_an_error_ends_the_node_and_the_run(call: Call) -> None:
    seen = Seen()

    def breaks(state: State) -> State:
        raise LookupError("gone")

    with pytest.raises(LookupError):
        call(drawn(a=breaks, edges={}).compile(), {"log": []}, {"callbacks": [seen]})

    assert seen.of("end", "error") == [("error", "a", "LookupError"), ("error", "LangGraph", "LookupError")]


# ---- handlers that fail, async handlers


class Breaks(BaseCallbackHandler):
    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("handler")


def test_a_handler_that_fails_breaks_no_run(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()
    graph = drawn(a=says("a"), edges={}).compile()

    with caplog.at_level(logging.WARNING, "langchain_core"):
        result = call(graph, {"log": []}, {"callbacks": [Breaks(), seen]})

    assert result == {"log": ["a"]}
    assert len(seen.of("start")) == 2
    assert "handler" in caplog.text


def test_a_handler_that_insists_ends_the_run(call: Call) -> None:
    insists = Breaks()
    insists.raise_error = True

    with pytest.raises(RuntimeError, match="handler"):
        call(drawn(a=says("a"), edges={}).compile(), {"log": []}, {"callbacks": [insists]})


async def test_an_async_handler_runs_on_the_caller_s_loop() -> None:
    loops: list[object] = []

    class Listens(AsyncCallbackHandler):
        async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            loops.append(asyncio.get_running_loop())

    async def a(state: State) -> State:
        return {"log": ["a"]}

    await drawn(a=a, edges={}).compile().ainvoke({"log": []}, {"callbacks": [Listens()]})

    assert loops == [asyncio.get_running_loop()] * 2


# ---- pausing and going on


def asking() -> StateGraph[State]:
    return drawn(a=says("a"), ask=lambda state: {"log": [interrupt("sure?")]}, edges={"a": "ask"})


@pytest.mark.fact(67)
def test_a_pause_and_going_on_are_told(call: Call) -> None:
    seen = Seen()
    graph = asking().compile(InMemorySaver(), name="asks")
    config = {"callbacks": [seen], "configurable": {"thread_id": "1"}}

    call(graph, {"log": []}, config)
    call(graph, Command(resume="yes"), config)

    ((_, paused),) = seen.of("interrupt")
    ((_, resumed),) = seen.of("resume")
    assert (paused.status, paused.checkpoint_ns, [asked.value for asked in paused.interrupts]) == (
        "pending",
        (),
        ["sure?"],
    )
    assert (resumed.status, resumed.checkpoint_ns, resumed.checkpoint_id) == (
        "pending",
        (),
        paused.checkpoint_id,
    )
    assert [paused.run_id, resumed.run_id] == [run["run_id"] for run in seen.runs["asks"]]
    assert seen.of("error") == [("error", "ask", "GraphInterrupt")]


@pytest.mark.fact(67)
@pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
def test_a_breakpoint_is_a_pause_without_questions(call: Call, where: str) -> None:
    seen = Seen()
    graph = drawn(a=says("a"), b=says("b"), edges={"a": "b"}).compile(InMemorySaver(), **{where: ["a"]})

    call(graph, {"log": []}, {"callbacks": [seen], "configurable": {"thread_id": "1"}})

    ((_, paused),) = seen.of("interrupt")
    assert (paused.status, paused.interrupts, paused.checkpoint_ns) == (where, (), ())


@pytest.mark.fact(67)
def test_every_level_tells_that_it_goes_on_the_outermost_that_it_pauses(call: Call) -> None:
    seen = Seen()
    graph = drawn(sub=asking().compile(), edges={}).compile(InMemorySaver())
    config = {"callbacks": [seen], "configurable": {"thread_id": "1"}}

    call(graph, {"log": []}, config)
    call(graph, Command(resume="yes"), config)

    assert [event.checkpoint_ns for _, event in seen.of("interrupt")] == [()]
    outer, inner = (event.checkpoint_ns for _, event in seen.of("resume"))
    assert (outer, [part.partition(":")[0] for part in inner]) == ((), ["sub"])


def test_a_failing_lifecycle_handler_is_logged_and_the_others_hear(
    call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(GraphCallbackHandler):
        def on_interrupt(self, event: Any) -> None:
            raise RuntimeError("deaf")

    seen = Seen()
    config = {"callbacks": [Fails(), seen], "configurable": {"thread_id": "1"}}

    with caplog.at_level(logging.WARNING, "langchain_core"):
        call(asking().compile(InMemorySaver()), {"log": []}, config)

    assert len(seen.of("interrupt")) == 1
    assert "deaf" in caplog.text


# ---- events as a stream


async def test_astream_events_shows_run_nodes_and_models() -> None:
    model = FakeListChatModel(responses=["!"])

    async def talk(state: State) -> State:
        return {"log": [(await model.ainvoke("x")).text]}

    graph: Any = drawn(talk=talk, edges={}).compile(name="talks")

    shown = [(each["event"], each["name"]) async for each in graph.astream_events({"log": []}, version="v2")]

    assert shown == [
        ("on_chain_start", "talks"),
        ("on_chain_start", "talk"),
        ("on_chat_model_start", "FakeListChatModel"),
        ("on_chat_model_stream", "FakeListChatModel"),
        ("on_chat_model_end", "FakeListChatModel"),
        ("on_chain_stream", "talk"),
        ("on_chain_end", "talk"),
        ("on_chain_stream", "talks"),
        ("on_chain_end", "talks"),
    ]
