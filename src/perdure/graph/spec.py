"""What a drawn graph is to the engine: channels, nodes, and what a node's result means. Plain values, no behaviour.

Here: `GraphSpec` and its parts, made once by `compile` (or by `Pregel(...)`), never changed afterwards.
Not here: drawing and checking (`builder.py`, `validate.py`), running (`engine`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from perdure.channels.base import BaseChannel
from perdure.types import CachePolicy, RetryPolicy, Send, TimeoutPolicy

Write: TypeAlias = tuple[str, Any]  # (channel, value); a `Send` is written to the channel `__pregel_tasks`


@dataclass(frozen=True, slots=True)
class Call:
    """User code and what it wants injected.

    The engine calls `sync(state, **wanted)` or `asynchronous(state, **wanted)`; at least one of them is set. `wants` names
    parameters (of the user's function) and what goes in: `config | store | writer | runtime | previous | error`.
    """

    name: str  # for messages: the function's qualified name
    sync: Callable[..., Any] | None
    asynchronous: Callable[..., Awaitable[Any]] | None
    wants: Mapping[str, str] = field(default_factory=dict[str, str])  # parameter name -> what


@dataclass(frozen=True, slots=True)
class Branch:
    """A conditional edge: run in its node's task, after the node, on the state with the node's own writes applied.

    `read`/`build` make its input as for a node (None: what the node itself was given, for a `Send` task's branch too:
    then the node's own schema). `route` turns the path function's answer into destinations: node names and `Send`s,
    `END` left out, the path map applied; it raises what the contract says.
    """

    name: str
    path: Call
    read: tuple[str, ...] | str | None
    build: Callable[[Any], Any] | None
    route: Callable[[Any], list[str | Send]]


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node.

    Input of an edge-triggered task: `read` a str: that channel's value; a tuple: a dict of those channels that have a
    value (managed ones too), through `build` when that is set (dataclass, pydantic). A `Send` task gets its argument.
    `writes(result)` gives the node's writes (state keys, and for a `Command` its goto as writes to `branch:to:<node>`
    and `__pregel_tasks`); raises InvalidUpdateError for a wrong thing, ParentCommand for `Command.PARENT`.
    `edges`: writes of its plain outgoing edges, the same every time.
    """

    name: str
    triggers: tuple[str, ...]
    call: Call
    read: tuple[str, ...] | str
    build: Callable[[Any], Any] | None
    writes: Callable[[Any], list[Write]]
    edges: tuple[Write, ...] = ()
    branches: tuple[Branch, ...] = ()
    retry: tuple[RetryPolicy, ...] = ()
    cache: CachePolicy | None = None
    timeout: TimeoutPolicy | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tags: tuple[str, ...] = ()
    defer: bool = False
    hidden: bool = False  # `__start__` and other inner nodes: not in streams, never a breakpoint
    subgraphs: tuple[Any, ...] = ()  # compiled graphs that the node is or holds


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A compiled graph: all that the engine needs, nothing that changes."""

    name: str
    channels: Mapping[str, BaseChannel[Any, Any, Any]]  # prototypes; a run works on copies
    managed: Mapping[str, type[Any]]
    nodes: Mapping[str, NodeSpec]  # with `__start__`
    trigger_to_nodes: Mapping[str, tuple[str, ...]]
    read_input: Callable[[Any], list[Write]]  # input -> writes of the input step (to `__start__`); may raise
    state_keys: tuple[str, ...] | str  # what `values` streams and snapshots show; a str: one bare value
    output_keys: tuple[str, ...] | str  # what `invoke` returns
    output_type: Callable[[Any], Any] | None = None  # coerces values for version="v2"
    context_schema: Any = None
    interrupt_before: Sequence[str] | str = ()
    interrupt_after: Sequence[str] | str = ()
    types: tuple[Any, ...] = ()  # schema types, for the codec's registry
    untracked: frozenset[str] = frozenset()  # keys that are never saved
