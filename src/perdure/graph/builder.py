"""The drawing board: all that `StateGraph` can draw. It compiles nothing and runs nothing.

Here: nodes, edges, and the keys of all schemas put together. Not here: the checks (`validate.py`), the compiled
description (`compile.py`), the public class with its `compile` (`state.py`), what users' functions are (`inspect.py`).
Imported by `compile` and `state`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import Any, Generic, Self, cast, overload

from perdure.channels import BaseChannel
from perdure.constants import END, START
from perdure.graph.arguments import (
    Destinations,
    PathMap,
    Retry,
    Timeout,
    branch_name,
    destinations_of,
    mapping_of,
    metadata_of,
    named,
    policies_of,
    refuse_later,
)
from perdure.graph.drawn import DrawnBranch, DrawnNode
from perdure.graph.inspect import user_code
from perdure.graph.keys import Keys
from perdure.graph.nodes import NodeInput, RunnableNode, StateNode
from perdure.graph.schema import Schema
from perdure.graph.validate import check_drawing, check_edge, check_name
from perdure.managed import ManagedValue
from perdure.types import CachePolicy, RetryPolicy, TracePolicy, as_name
from perdure.typing import ContextT, InputT, OutputT, StateT

__all__ = ["GraphBuilder"]

log = logging.getLogger("perdure.graph")


class GraphBuilder(Generic[StateT, ContextT, InputT, OutputT]):
    """A graph that is being drawn. Every method that adds something returns the builder, so that calls chain.

    Attributes:
        nodes: name -> node, in the order they were added.
        edges: plain edges.
        waiting_edges: edges that wait for several nodes.
        branches: node -> name of the path function -> conditional edge.
        compiled: True once something was compiled from it; later additions do not reach that.
    """

    def __init__(
        self,
        state_schema: type[StateT],
        context_schema: type[ContextT] | None = None,
        *,
        input_schema: type[InputT] | None = None,
        output_schema: type[OutputT] | None = None,
    ) -> None:
        """An empty drawing board.

        Args:
            state_schema: a TypedDict, dataclass or pydantic model whose annotations say how each key takes writes
                (`Annotated[list, operator.add]` adds up); or such a type itself: then the state is that one value.
            context_schema: the type of what a run is told with `context=`.
            input_schema: the keys that a run takes; all of the state's by default.
            output_schema: the keys that a run gives; all of the state's by default.

        Raises:
            TypeError: a value was given where a type is needed.
            ValueError: a reducer does not take two arguments, two schemas contradict each other, or a managed value
                stands in an input or output schema.
        """
        self.state_schema = state_schema
        self.context_schema = context_schema
        self.input_schema: Any = input_schema or state_schema
        self.output_schema: Any = output_schema or state_schema
        self.keys = Keys(state_schema, input_schema, output_schema)
        self.nodes: dict[str, DrawnNode] = {}
        self.edges: set[tuple[str, str]] = set()
        self.waiting_edges: set[tuple[tuple[str, ...], str]] = set()
        self.branches: dict[str, dict[str, DrawnBranch]] = {}
        self.default_retry: tuple[RetryPolicy, ...] = ()
        self.compiled = False

    @property
    def channels(self) -> Mapping[str, BaseChannel[Any, Any, Any]]:
        """Key -> channel, of all schemas."""
        return self.keys.channels

    @property
    def managed(self) -> Mapping[str, type[ManagedValue[Any]]]:
        """Key -> managed value, of all schemas."""
        return self.keys.managed

    @property
    def schemas(self) -> Mapping[Any, Schema]:
        """Every schema that the graph knows: its own and those of its nodes."""
        return self.keys.schemas

    # ---- nodes

    @overload
    def add_node(
        self,
        node: str,
        action: StateNode[StateT, ContextT],
        *,
        defer: bool = False,
        metadata: dict[str, Any] | None = None,
        input_schema: None = None,
        retry_policy: Retry = None,
        cache_policy: CachePolicy | None = None,
        error_handler: StateNode[Any, ContextT] | None = None,
        destinations: Destinations = None,
        timeout: Timeout = None,
        trace_policy: TracePolicy | None = None,
    ) -> Self: ...

    @overload
    def add_node(
        self,
        node: str,
        action: StateNode[NodeInput, ContextT],
        *,
        defer: bool = False,
        metadata: dict[str, Any] | None = None,
        input_schema: type[NodeInput] | None = None,
        retry_policy: Retry = None,
        cache_policy: CachePolicy | None = None,
        error_handler: StateNode[Any, ContextT] | None = None,
        destinations: Destinations = None,
        timeout: Timeout = None,
        trace_policy: TracePolicy | None = None,
    ) -> Self: ...

    @overload
    def add_node(
        self,
        node: StateNode[StateT, ContextT],
        action: None = None,
        *,
        defer: bool = False,
        metadata: dict[str, Any] | None = None,
        input_schema: None = None,
        retry_policy: Retry = None,
        cache_policy: CachePolicy | None = None,
        error_handler: StateNode[Any, ContextT] | None = None,
        destinations: Destinations = None,
        timeout: Timeout = None,
        trace_policy: TracePolicy | None = None,
    ) -> Self: ...

    @overload
    def add_node(
        self,
        node: StateNode[NodeInput, ContextT],
        action: None = None,
        *,
        defer: bool = False,
        metadata: dict[str, Any] | None = None,
        input_schema: type[NodeInput] | None = None,
        retry_policy: Retry = None,
        cache_policy: CachePolicy | None = None,
        error_handler: StateNode[Any, ContextT] | None = None,
        destinations: Destinations = None,
        timeout: Timeout = None,
        trace_policy: TracePolicy | None = None,
    ) -> Self: ...

    def add_node(
        self,
        node: object,
        action: object = None,
        *,
        defer: bool = False,
        metadata: dict[str, Any] | None = None,
        input_schema: object = None,
        retry_policy: Retry = None,
        cache_policy: CachePolicy | None = None,
        error_handler: object = None,
        destinations: Destinations = None,
        timeout: Timeout = None,
        trace_policy: TracePolicy | None = None,
    ) -> Self:
        """The graph has one node more.

        Args:
            node: its name, with `action`; or the action alone, which is then named after itself.
            action: a function of the state, sync or async, that may ask for `config`, `store`, `writer` and `runtime`
                by naming parameters so; an object with `__call__`; a `Runnable`; a compiled graph.
            defer: run it only when nothing else is due. Of a later release.
            metadata: facts about the node for traces and drawings.
            input_schema: the keys it takes; by default the annotation of its first parameter, else the state.
            retry_policy: how to try again; of several policies the first that fits the exception counts.
            cache_policy: keep its results. Of a later release.
            error_handler: what to run when it has failed for good. Of a later release.
            destinations: where its `Command`s lead, for drawings; as a mapping, with labels.
            timeout: seconds, or a policy. Of a later release.
            trace_policy: what traces show of it. Of a later release.

        Raises:
            ValueError: the name is taken, reserved or has `:` or `|` in it.
            TypeError: the action cannot be called as a node; the message names the parameter.
        """
        refuse_later(
            defer=defer or None,
            cache_policy=cache_policy,
            error_handler=error_handler,
            timeout=timeout,
            trace_policy=trace_policy,
        )
        name, action = named(node, action)
        check_name(name)
        retry = None if retry_policy is None else policies_of(retry_policy, of=f"node {name!r}: ")
        if name in self.nodes:
            raise ValueError(f"Node `{name}` already present.")
        code = user_code(action, role=f"node {name!r}")
        drawn = DrawnNode(
            name,
            code,
            self.keys.view(
                input_schema or code.schema, explicit=input_schema is not None, of=f"node {name!r}"
            ),
            destinations_of(destinations, code),
            retry,
            metadata_of(metadata, name),
        )
        self._touched("a node")
        self.nodes[name] = drawn
        return self

    def set_node_defaults(
        self,
        *,
        retry_policy: Retry = None,
        cache_policy: CachePolicy | None = None,
        error_handler: StateNode[Any, ContextT] | None = None,
        timeout: Timeout = None,
    ) -> Self:
        """Settings for all nodes that have none of their own, those added later, too."""
        refuse_later(cache_policy=cache_policy, error_handler=error_handler, timeout=timeout)
        if retry_policy is not None:
            self.default_retry = policies_of(retry_policy)
        return self

    def add_sequence(
        self, nodes: Sequence[StateNode[Any, ContextT] | tuple[str, StateNode[Any, ContextT]]]
    ) -> Self:
        """Adds nodes that run one after the other.

        Args:
            nodes: functions, or pairs of name and function.

        Raises:
            ValueError: there are none, or two have the same name. No node was added.
        """
        if not nodes:
            raise ValueError("Sequence requires at least one node.")
        pairs = [named(*node) if isinstance(node, tuple) else named(node, None) for node in nodes]
        names = [name for name, _ in pairs]
        for name in names:
            if name in self.nodes or names.count(name) > 1:
                raise ValueError(
                    f"Node names must be unique: node with the name '{name}' already exists. Give it another name "
                    "as a pair: (name, function)."
                )
        for name, action in pairs:
            self.add_node(name, cast("RunnableNode", action))
        for start, end in pairwise(names):
            self.add_edge(start, end)
        return self

    # ---- edges

    def add_edge(self, start_key: str | Sequence[str], end_key: str) -> Self:
        """`end_key` runs after `start_key`; after a list, once all of it has run, whatever steps that takes.

        Nodes of a single edge may be added later, those of a list must be there.

        Raises:
            ValueError: the edge starts at `END` or ends at `START`, or a node of a list is not there.
        """
        end = as_name(end_key)
        if isinstance(start_key, str | Enum):
            start = as_name(start_key)
            check_edge(start, end)
            self._touched("an edge")
            self.edges.add((start, end))
            return self
        starts = tuple(dict.fromkeys(as_name(one) for one in start_key))
        if not starts:
            raise ValueError(f"An edge to {end!r} from an empty list would never lead there.")
        for start in starts:
            check_edge(start, end)
        for name in (*starts, *(() if end == END else (end,))):
            if name not in self.nodes:
                raise ValueError(f"Need to add_node `{name}` first")
        self._touched("an edge")
        self.waiting_edges.add((starts, end))
        return self

    def add_conditional_edges(
        self,
        source: str,
        path: StateNode[StateT, ContextT] | StateNode[Any, ContextT],
        path_map: PathMap = None,
    ) -> Self:
        """After `source`, a function of the state says where to go: a node's name, a `Send`, `END`, or a list of them.

        Args:
            source: the node, or `START`.
            path: the function. It sees the state with the writes of `source` applied.
            path_map: from its answers to nodes; a list says what the answers may be.

        Raises:
            ValueError: `source` has a path function of this name already.
        """
        source = as_name(source)
        code = user_code(path, role=f"the conditional edge from {source!r}")
        name = branch_name(path)
        there = self.branches.get(source, {})
        if name in there:
            raise ValueError(
                f"Branch with name `{name}` already exists for node `{source}`. Give one of the functions another name."
            )
        schema = self.keys.view(code.schema, explicit=False, of=name) if code.schema else None
        self._touched("an edge")
        self.branches[source] = {**there, name: DrawnBranch(name, code, mapping_of(path_map), schema)}
        return self

    def set_entry_point(self, key: str) -> Self:
        """The same as `add_edge(START, key)`."""
        return self.add_edge(START, key)

    def set_conditional_entry_point(
        self, path: StateNode[StateT, ContextT] | StateNode[Any, ContextT], path_map: PathMap = None
    ) -> Self:
        """The same as `add_conditional_edges(START, path, path_map)`."""
        return self.add_conditional_edges(START, path, path_map)

    def set_finish_point(self, key: str) -> Self:
        """The same as `add_edge(key, END)`."""
        return self.add_edge(key, END)

    def validate(self, interrupt: Sequence[str] | None = None) -> Self:
        """The same builder, if it can be compiled.

        Raises:
            ValueError: an edge leads to or from a node that there is not, there is no entry point, or a node of
                `interrupt` is not there.
        """
        check_drawing(self, interrupt or ())
        return self

    def _touched(self, what: str) -> None:
        if self.compiled:
            log.warning(
                "%s was added to a graph that has been compiled; what was compiled stays as it is", what
            )
