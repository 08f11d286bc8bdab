"""What nodes are given besides the state, and what a call's config means."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from engine.kit import Colour, Log, chain, fan, thread
from perdure.config import get_config, get_store, get_stream_writer
from perdure.errors import EmptyInputError
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime, get_runtime
from perdure.store.base import BaseStore
from perdure.types import Send, StreamWriter

seen: dict[str, Any] = {}


@dataclass
class Context:
    user: str
    depth: int = 1


class Form(BaseModel):
    user: str
    depth: int = 1


class Loose(TypedDict, total=False):
    user: str


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


def keeps(**more: Any) -> None:
    seen.update(more)


# -- injection -------------------------------------------------------------------------------------------------------


def test_a_node_gets_what_its_parameters_name(run: Colour, db: Any) -> None:
    def node(
        state: Log, config: Any, *, store: BaseStore, writer: StreamWriter, runtime: Runtime[Any]
    ) -> None:
        keeps(config=config, store=store, writer=writer, runtime=runtime)

    graph = chain(("a", node)).compile(db)
    run.invoke(graph, {}, thread("t"))

    assert seen["config"]["configurable"]["thread_id"] == "t"
    assert isinstance(seen["runtime"], Runtime)
    assert callable(seen["writer"])
    assert seen["store"] is not None


def test_async_nodes_methods_partials_and_objects_get_them_too(db: Any) -> None:
    import functools

    class Object:
        async def __call__(self, state: Log, runtime: Runtime[Any]) -> Log:
            return {"log": [runtime.context]}

        def method(self, state: Log, runtime: Runtime[Any]) -> Log:
            return {"log": [runtime.context]}

    async def with_more(more: str, state: Log, runtime: Runtime[Any]) -> Log:
        return {"log": [more + runtime.context]}

    graph = chain(("o", Object()), ("m", Object().method), ("p", functools.partial(with_more, "!"))).compile(
        db
    )

    assert asyncio.run(graph.ainvoke({}, thread("t"), context="c")) == {"log": ["c", "c", "!c"]}


def test_the_store_is_none_where_the_graph_has_none(run: Colour) -> None:
    def node(state: Log, *, store: Any = "default", runtime: Any) -> Log:
        return {"log": [store, runtime.store, get_store()]}

    assert run.invoke(chain(("a", node)).compile(), {}) == {"log": [None, None, None]}


def test_functions_without_arguments_find_the_same_things(run: Colour, db: Any) -> None:
    def node(state: Log, config: Any, runtime: Runtime[Any]) -> None:
        keeps(
            same=get_config()["metadata"] == config["metadata"],
            runtime=get_runtime(Context) is runtime,
            store=get_store() is runtime.store,
            writer=callable(get_stream_writer()),
        )

    run.invoke(chain(("a", node)).compile(db), {}, thread("t"))

    assert seen == {"same": True, "runtime": True, "store": True, "writer": True}


@pytest.mark.parametrize("function", [get_config, get_store, get_stream_writer, get_runtime])
def test_outside_of_a_node_they_are_an_error_never_a_silent_nothing(function: Any) -> None:
    with pytest.raises(RuntimeError, match="outside of a runnable context"):
        function()


def test_a_path_function_gets_them_too(run: Colour) -> None:
    def path(state: Log, runtime: Runtime[Any], config: Any) -> str:
        keeps(context=runtime.context, node=config["metadata"]["langgraph_node"])
        return "__end__"

    graph = chain("a")
    graph.add_conditional_edges("a", path)
    run.invoke(graph.compile(), {}, context="c")

    assert seen == {"context": "c", "node": "a"}


@pytest.mark.fact(44)
def test_the_config_and_context_variables_are_there_in_worker_threads(run: Colour) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    variable.set("caller's")

    def node(state: Log) -> Log:
        here = variable.get()
        variable.set("changed")
        return {"log": [(here, get_config()["metadata"]["langgraph_node"])]}

    assert run.invoke(fan(("a", node), ("b", node)).compile(), {}) == {
        "log": [("caller's", "a"), ("caller's", "b")]
    }
    assert variable.get() == "caller's"


@pytest.mark.fact(44)
def test_a_context_variable_set_in_a_node_is_seen_by_nobody_else(run: Colour) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    def sets(state: Log) -> Log:
        before = variable.get()
        variable.set("by a node")
        return {"log": [before]}

    async def sets_async(state: Log) -> Log:
        await asyncio.sleep(0)
        return sets(state)

    node = sets if run.blocking else sets_async
    assert run.invoke(chain(("a", node), ("b", node)).compile(), {}) == {"log": ["unset", "unset"]}
    assert variable.get() == "unset"


def test_a_task_has_its_coordinates_in_metadata_and_configurable(run: Colour, db: Any) -> None:
    def node(state: Any, config: Any, runtime: Runtime[Any]) -> None:
        seen[config["metadata"]["langgraph_node"]] = (
            config["metadata"],
            config["configurable"],
            runtime.execution_info,
        )

    graph: Any = StateGraph(Log)
    graph.add_node("a", node, metadata={"team": "red"}).add_node("w", node).add_edge(START, "a")
    graph.add_conditional_edges("a", lambda _: [Send("w", 1)], ["w"])
    run.invoke(graph.compile(db), {}, {**thread("t", mine=5), "metadata": {"tier": "gold"}, "run_id": "r1"})

    metadata, configurable, info = seen["a"]
    assert metadata["tier"] == "gold"
    assert metadata["team"] == "red"
    assert (metadata["langgraph_step"], metadata["langgraph_triggers"]) == (1, ("branch:to:a",))
    assert metadata["langgraph_path"] == ("__pregel_pull", "a")
    assert metadata["langgraph_checkpoint_ns"] == f"a:{info.task_id}" == info.checkpoint_ns
    assert (configurable["thread_id"], configurable["mine"]) == ("t", 5)
    assert (info.thread_id, info.node_attempt, info.run_id) == ("t", 1, "r1")
    assert info.checkpoint_id
    metadata, _, _ = seen["w"]
    assert (metadata["langgraph_step"], metadata["langgraph_triggers"]) == (2, ("__pregel_push",))
    assert metadata["langgraph_path"] == ("__pregel_push", 0, False)


# -- context ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "given", "got"),
    [
        (Context, {"user": "ada"}, Context("ada")),
        (Context, Context("ada", 2), Context("ada", 2)),
        (Form, {"user": "ada", "depth": "3"}, Form(user="ada", depth=3)),
        (Loose, {"user": "ada"}, {"user": "ada"}),
        (None, {"user": "ada"}, {"user": "ada"}),
        (Context, None, None),
    ],
)
def test_a_context_becomes_the_graphs_schema(run: Colour, schema: Any, given: Any, got: Any) -> None:
    graph: Any = StateGraph(Log, context_schema=schema)
    graph.add_node("a", lambda state, runtime: {"log": [runtime.context]}).add_edge(START, "a")

    assert run.invoke(graph.compile(), {}, context=given) == {"log": [got]}


@pytest.mark.parametrize(("schema", "error"), [(Context, TypeError), (Form, ValidationError)])
def test_a_context_that_does_not_fit_is_an_error_before_anything_runs(
    run: Colour, schema: Any, error: Any
) -> None:
    graph: Any = StateGraph(Log, context_schema=schema)
    graph.add_node("a", lambda state: keeps(ran=True)).add_edge(START, "a")

    with pytest.raises(error):
        run.invoke(graph.compile(), {}, context={"wrong": 1})

    assert not seen


# -- config ----------------------------------------------------------------------------------------------------------


@pytest.mark.fact(45)
def test_a_graph_has_a_name(run: Colour) -> None:
    assert chain("a").compile(name="mine").get_name() == "mine"
    assert chain("a").compile(name="mine").name == "mine"
    assert chain("a").compile().get_name() == "LangGraph"


@pytest.mark.fact(46)
def test_with_config_is_a_copy_and_the_calls_own_config_wins(run: Colour) -> None:
    def node(state: Log, config: Any) -> None:
        keeps(
            tags=config["tags"],
            metadata=config["metadata"],
            configurable=config["configurable"],
            limit=config["recursion_limit"],
        )

    graph = chain(("a", node)).compile()
    bound = graph.with_config(
        {
            "tags": ["one"],
            "metadata": {"m": 1, "k": 1},
            "configurable": {"c": 1, "d": 1},
            "recursion_limit": 7,
        }
    )

    run.invoke(bound, {}, {"tags": ["two"], "metadata": {"m": 2}, "configurable": {"c": 2}})
    assert seen["tags"] == ["one", "two"]
    assert (seen["metadata"]["m"], seen["metadata"]["k"]) == (2, 1)
    assert (seen["configurable"]["c"], seen["configurable"]["d"]) == (2, 1)
    assert seen["limit"] == 7

    run.invoke(graph, {})
    assert seen["tags"] == []
    assert "m" not in seen["metadata"]
    assert type(bound) is type(graph)
    assert run.invoke(graph.with_config(tags=["kw"]), {}) == {"log": []}
    assert seen["tags"] == ["kw"]


@pytest.mark.fact(46)
def test_callback_lists_are_concatenated() -> None:
    one, two = object(), object()

    bound = chain("a").compile().with_config(callbacks=[one]).with_config({"callbacks": [two]})

    assert bound.config["callbacks"] == [one, two]


def test_a_copy_has_attributes_replaced(db: Any) -> None:
    graph = chain("a").compile()

    copy = graph.copy({"checkpointer": db.checkpointer})

    assert (graph.checkpointer, copy.checkpointer) == (None, db.checkpointer)
    with pytest.raises(AttributeError, match="nonsense"):
        graph.copy({"nonsense": 1})


def test_the_callers_config_is_not_changed(run: Colour, db: Any) -> None:
    config = {**thread("t"), "metadata": {"m": 1}, "tags": ["x"]}

    def node(state: Log, config: Any) -> None:
        config["configurable"]["new"] = 1
        config["metadata"]["new"] = 1
        config["tags"].append("new")

    run.invoke(chain(("a", node), ("b", node)).compile(db), {}, config)

    assert config == {**thread("t"), "metadata": {"m": 1}, "tags": ["x"]}


@pytest.mark.fact(19)
def test_a_checkpointer_needs_a_thread_id(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)

    for config in (None, {}, {"configurable": {}}):
        with pytest.raises(
            ValueError,
            match="Checkpointer requires one or more of the following 'configurable' keys: thread_id",
        ):
            run.invoke(graph, {}, config)
    for configurable in ({"other": 1}, {"thread_id": None}):
        with pytest.raises((ValueError, KeyError), match="thread_id"):
            run.invoke(graph, {}, {"configurable": configurable})
    with pytest.raises(ValueError, match="thread_id"):
        run.state(graph, {"configurable": {"other": 1}})


@pytest.mark.fact(17)
def test_none_on_a_thread_with_nothing_is_an_empty_input(run: Colour, db: Any) -> None:
    with pytest.raises(EmptyInputError, match="'t'"):
        run.invoke(chain("a").compile(db), None, thread("t"))
    with pytest.raises(EmptyInputError):
        run.invoke(chain("a").compile(), None)


def test_input_that_is_no_state_is_an_error_that_names_the_keys(run: Colour, db: Any) -> None:
    from perdure.errors import InvalidUpdateError

    graph = chain("a").compile(db)
    for wrong in (5, "text", [1, 2]):
        with pytest.raises(InvalidUpdateError, match="log, n"):
            run.invoke(graph, wrong, thread("t"))
    assert run.history(graph, thread("t")) == []


@pytest.mark.fact(7)
def test_only_a_saver_a_database_a_bool_or_none_is_a_checkpointer(db: Any) -> None:
    with pytest.raises(TypeError, match="Invalid checkpointer provided"):
        chain("a").compile(checkpointer=object())
    for passes in (None, True, False, db.checkpointer, db):
        chain("a").compile(checkpointer=passes)


def test_a_graph_that_is_called_directly_needs_a_saver_of_its_own(run: Colour) -> None:
    with pytest.raises(RuntimeError, match="checkpointer=True"):
        run.invoke(chain("a").compile(checkpointer=True), {}, thread("t"))


# -- colours ---------------------------------------------------------------------------------------------------------


@pytest.mark.fact(39)
def test_an_async_only_node_in_a_blocking_call_is_an_error_that_names_it() -> None:
    async def only(state: Log) -> Log:
        return {}

    graph = chain(("slow", only)).compile()

    with pytest.raises(TypeError, match=r"only.*ainvoke") as caught:
        graph.invoke({})
    assert "During task with name 'slow'" in "".join(caught.value.__notes__)
    with pytest.raises(TypeError, match="ainvoke"):
        list(graph.stream({}))


@pytest.mark.fact(39)
def test_a_lambda_around_an_async_function_is_found_out(run: Colour) -> None:
    async def only(state: Log) -> Log:
        return {"log": ["a"]}

    graph = chain(("a", lambda state: only(state))).compile()

    with pytest.raises(TypeError, match=r"returned a coroutine.*ainvoke"):
        run.invoke(graph, {})


@pytest.mark.fact(44)
def test_asyncio_run_works_in_a_sync_node(run: Colour) -> None:
    async def inner() -> str:
        await asyncio.sleep(0)
        return "inner"

    graph = chain(("a", lambda _: {"log": [asyncio.run(inner())]})).compile()

    assert run.invoke(graph, {}) == {"log": ["inner"]}


@pytest.mark.fact(44)
def test_a_single_sync_node_runs_on_the_callers_thread_and_a_live_mode_moves_it() -> None:
    graph = chain(("a", lambda _: {"log": [threading.get_ident()]})).compile()
    here = threading.get_ident()

    assert graph.invoke({}) == {"log": [here]}
    assert list(graph.stream({}, stream_mode="values"))[-1] == {"log": [here]}
    assert list(graph.stream({}, stream_mode=["custom", "values"]))[-1][1] != {"log": [here]}


def test_sync_nodes_of_an_async_run_do_not_block_the_loop() -> None:
    released = threading.Event()
    graph = chain(("a", lambda _: {"log": [released.wait(5)]})).compile()

    async def main() -> Any:
        running = asyncio.ensure_future(graph.ainvoke({}))
        await asyncio.sleep(0.01)
        released.set()
        return await running

    assert asyncio.run(main()) == {"log": [True]}


def test_invoke_works_inside_a_running_loop() -> None:
    graph = chain("a", "b").compile()

    async def notebook() -> Any:
        return graph.invoke({}), list(graph.stream({}))

    assert asyncio.run(notebook())[0] == {"log": ["a", "b"]}


def test_a_graph_may_be_called_in_a_node_in_either_colour(run: Colour, db: Any) -> None:
    child = chain("x", "y").compile()

    def blocking(state: Log) -> Log:
        return {"log": child.invoke({})["log"]}

    async def asynchronous(state: Log) -> Log:
        return {"log": (await child.ainvoke({}))["log"]}

    async def mixed(state: Log) -> Log:
        return {"log": child.invoke({})["log"]}

    nodes = [("a", blocking)] if run.blocking else [("a", blocking), ("b", asynchronous), ("c", mixed)]
    expected = ["x", "y"] * len(nodes)

    assert run.invoke(chain(*nodes).compile(db), {}, thread("t"))["log"] == expected
    assert sorted(run.invoke(fan(*nodes).compile(db), {}, thread("u"))["log"]) == sorted(expected)


def test_one_graph_serves_threads_and_loops_at_once(db: Any) -> None:
    graph = chain("a", "b", "c").compile(db)
    failures: list[BaseException] = []

    def blocking(number: int) -> None:
        try:
            for turn in range(5):
                graph.invoke({"log": [turn]}, thread(f"b{number}"))
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    def looping(number: int) -> None:
        async def main() -> None:
            await asyncio.gather(*(graph.ainvoke({"log": [0]}, thread(f"l{number}-{i}")) for i in range(5)))

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    workers = [threading.Thread(target=target, args=(n,)) for n in range(4) for target in (blocking, looping)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert failures == []
    assert graph.get_state(thread("b3")).values["log"] == [
        x for turn in range(5) for x in (turn, "a", "b", "c")
    ]
    assert graph.get_state(thread("l2-4")).values["log"] == [0, "a", "b", "c"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_runtime_is_frozen_and_can_be_overridden(run: Colour, name: str) -> None:
    def node(state: Log, runtime: Runtime[Any]) -> Log:
        with pytest.raises(AttributeError):
            runtime.context = 1  # type: ignore[misc]  # the mistake that is tested
        return {"log": [runtime.override(context="other").context, runtime.context]}

    assert run.invoke(chain((name, node)).compile(), {}, context="c") == {"log": ["other", "c"]}
