"""Words of the engine's tests: threads, the two colours, nodes that log, and graphs of a line each."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from typing import Annotated, Any

from typing_extensions import TypedDict

from perdure.graph import START, StateGraph


class Log(TypedDict, total=False):
    """A state with a list that grows and a plain value."""

    log: Annotated[list[Any], operator.add]
    n: int


def thread(id: Any, **more: Any) -> dict[str, Any]:
    """The config of a thread."""
    return {"configurable": {"thread_id": id, **more}}


def at(config: Any) -> str:
    """The checkpoint that a config names."""
    return config["configurable"]["checkpoint_id"]


def logs(name: Any) -> Callable[[Log], Log]:
    """A node that appends to `log`."""

    def node(state: Log) -> Log:
        return {"log": [name]}

    node.__name__ = f"logs_{name}"
    return node


def chain(*nodes: Any, schema: Any = Log) -> StateGraph[Any]:
    """A drawing with these nodes one after another: names log themselves, (name, function) are as they say."""
    drawing: Any = StateGraph(schema)
    before = START
    for node in nodes:
        name, function = node if isinstance(node, tuple) else (node, logs(node))
        drawing.add_node(name, function).add_edge(before, name)
        before = name
    return drawing


def fan(*nodes: Any, schema: Any = Log) -> StateGraph[Any]:
    """A drawing with all these nodes in the first step."""
    drawing: Any = StateGraph(schema)
    for node in nodes:
        name, function = node if isinstance(node, tuple) else (node, logs(node))
        drawing.add_node(name, function).add_edge(START, name)
    return drawing


class Colour:
    """One of the two ways to call a graph; the tests are written once for both."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.blocking = name == "blocking"

    def __repr__(self) -> str:
        return self.name

    def _call(self, method: str, graph: Any, *args: Any, **options: Any) -> Any:
        if self.blocking:
            return getattr(graph, method)(*args, **options)

        async def call() -> Any:
            return await getattr(graph, f"a{method}")(*args, **options)

        return asyncio.run(call())

    def _list(self, method: str, graph: Any, *args: Any, **options: Any) -> list[Any]:
        if self.blocking:
            return list(getattr(graph, method)(*args, **options))

        async def call() -> list[Any]:
            return [item async for item in getattr(graph, f"a{method}")(*args, **options)]

        return asyncio.run(call())

    def invoke(self, graph: Any, given: Any, config: Any = None, **options: Any) -> Any:
        """The result."""
        return self._call("invoke", graph, given, config, **options)

    def stream(self, graph: Any, given: Any, config: Any = None, **options: Any) -> list[Any]:
        """All chunks."""
        return self._list("stream", graph, given, config, **options)

    def state(self, graph: Any, config: Any) -> Any:
        """The snapshot."""
        return self._call("get_state", graph, config)

    def history(self, graph: Any, config: Any, **options: Any) -> list[Any]:
        """All snapshots, newest first."""
        return self._list("get_state_history", graph, config, **options)

    def update(self, graph: Any, config: Any, values: Any, **options: Any) -> Any:
        """The new config."""
        return self._call("update_state", graph, config, values, **options)

    def bulk(self, graph: Any, config: Any, supersteps: Any) -> Any:
        """The new config."""
        return self._call("bulk_update_state", graph, config, supersteps)

    def batch(self, graph: Any, inputs: Any, config: Any = None, **options: Any) -> list[Any]:
        """The results."""
        return self._call("batch", graph, inputs, config, **options)


def questions(result: Any) -> list[Any]:
    """What a result's interrupts ask."""
    return [asked.value for asked in result.get("__interrupt__", ())]
