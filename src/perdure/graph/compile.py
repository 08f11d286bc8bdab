"""From the drawing to what the engine runs: channels, nodes, triggers. Worked out once; a run only reads it.

Here: `build_spec`. Not here: the checks of the drawing (`validate.py`), checkpointer and store (`state.py`).
Edges are channels: `branch:to:<node>` makes a node due, `join:<a>+<b>:<node>` once all of a list have written to it.
Imports `builder`, `branch`, `result`; imported by `state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from perdure.channels import BaseChannel, EphemeralValue, NamedBarrierValue, UntrackedValue
from perdure.constants import END, PULL, ROOT, START, TAG_HIDDEN
from perdure.graph.branch import route
from perdure.graph.drawn import DrawnBranch, DrawnNode
from perdure.graph.mentioned import classes_named_by
from perdure.graph.result import branch_channel, input_reader, result_writer
from perdure.graph.schema import Build, Schema
from perdure.graph.spec import Branch, Call, GraphSpec, NodeSpec, Write
from perdure.graph.subgraphs import subgraphs_of
from perdure.types import as_name

if TYPE_CHECKING:
    from perdure.graph.builder import GraphBuilder

__all__ = ["build_spec"]


def build_spec(
    builder: GraphBuilder[Any, Any, Any, Any],
    *,
    name: str,
    interrupt_before: Sequence[str] | str | None = None,
    interrupt_after: Sequence[str] | str | None = None,
) -> GraphSpec:
    """The drawing as the engine runs it; what is drawn later does not change it.

    Args:
        builder: the drawing.
        name: of the graph.
        interrupt_before: names of nodes to stop before, or `"*"`.
        interrupt_after: names of nodes to stop after, or `"*"`.

    Raises:
        ValueError: the drawing is no graph yet; see `validate.py`.
    """
    before, after = _names(interrupt_before), _names(interrupt_after)
    builder.validate([*(before if before != "*" else ()), *(after if after != "*" else ())])
    keys = builder.keys
    channels = {key: channel.copy() for key, channel in keys.channels.items()}
    nodes = {START: _start(builder), **{node.name: _node(builder, node) for node in builder.nodes.values()}}
    channels.update(_inner_channels(builder))
    for key, channel in channels.items():
        channel.key = key
    builder.compiled = True
    read_input = input_reader(keys.input.written)
    return GraphSpec(
        name=name,
        channels=channels,
        managed=dict(keys.managed),
        nodes=nodes,
        trigger_to_nodes=_triggered(nodes),
        read_input=lambda value: [(START, read_input(value))],
        state_keys=ROOT if keys.state.is_root else tuple(keys.channels),
        output_keys=ROOT if keys.output.is_root else keys.output.written,
        output_type=keys.output.build,
        context_schema=builder.context_schema,
        interrupt_before=before,
        interrupt_after=after,
        types=classes_named_by([*keys.schemas, builder.context_schema]),
        untracked=frozenset(key for key, channel in channels.items() if isinstance(channel, UntrackedValue)),
    )


def _names(given: Sequence[str] | str | None) -> tuple[str, ...] | str:
    if given is None or isinstance(given, str):
        return "*" if given == "*" else () if given is None else (as_name(given),)
    return tuple(as_name(name) for name in given)


# ---- nodes


def _node(builder: GraphBuilder[Any, Any, Any, Any], node: DrawnNode) -> NodeSpec:
    joins = sorted(_join(starts, end) for starts, end in builder.waiting_edges if end == node.name)
    retry = builder.default_retry if node.retry is None else node.retry
    return NodeSpec(
        name=node.name,
        triggers=(branch_channel(node.name), *joins),
        call=node.code.call,
        read=node.schema.read,
        build=_noted(
            node.schema.build, f"Before task with name '{node.name}' and path '{(PULL, node.name)}'"
        ),
        writes=result_writer(node.name, builder.channels, builder.nodes),
        edges=_edges(builder, node.name),
        branches=_branches(builder, node.name, node.schema),
        retry=retry,
        metadata=dict(node.metadata),
        subgraphs=subgraphs_of(node.code.thing),
    )


def _start(builder: GraphBuilder[Any, Any, Any, Any]) -> NodeSpec:
    """The hidden node that takes the input apart: the keys of the input schema become writes of the state."""
    root = builder.keys.input.is_root

    def passed_on(taken: Any) -> list[Write]:
        if root:
            return [(ROOT, taken)]
        if type(taken) is dict:
            return list(cast("dict[str, Any]", taken).items())
        return [(key, value) for key, value in taken]

    return NodeSpec(
        name=START,
        triggers=(START,),
        call=Call(START, _itself, None),
        read=START,
        build=None,
        writes=passed_on,
        edges=_edges(builder, START),
        branches=_branches(builder, START, builder.keys.state),
        tags=(TAG_HIDDEN,),
        hidden=True,
    )


def _itself(value: object) -> object:
    return value


def _noted(build: Build | None, note: str) -> Build | None:
    """The same, but an error says whose input could not be made."""
    if build is None:
        return None

    def noted(values: dict[str, Any]) -> object:
        try:
            return build(values)
        except Exception as error:
            error.add_note(note)
            raise

    return noted


# ---- edges


def _join(starts: Sequence[str], end: str) -> str:
    return f"join:{'+'.join(starts)}:{end}"


def _edges(builder: GraphBuilder[Any, Any, Any, Any], node: str) -> tuple[Write, ...]:
    plain: list[Write] = [
        (branch_channel(end), None) for start, end in sorted(builder.edges) if start == node and end != END
    ]
    joins: list[Write] = [
        (_join(starts, end), node)
        for starts, end in sorted(builder.waiting_edges)
        if node in starts and end != END
    ]
    return (*plain, *joins)


def _branches(
    builder: GraphBuilder[Any, Any, Any, Any], node: str, node_schema: Schema
) -> tuple[Branch, ...]:
    def branch(drawn: DrawnBranch) -> Branch:
        schema = drawn.schema or node_schema
        return Branch(
            name=drawn.name,
            path=drawn.code.call,
            read=schema.read,
            build=schema.build,
            route=route(node, drawn.name, drawn.mapping, frozenset(builder.nodes)),
        )

    return tuple(branch(drawn) for drawn in builder.branches.get(node, {}).values())


def _inner_channels(builder: GraphBuilder[Any, Any, Any, Any]) -> dict[str, BaseChannel[Any, Any, Any]]:
    channels: dict[str, BaseChannel[Any, Any, Any]] = {START: EphemeralValue(builder.input_schema)}
    for node in builder.nodes:
        channels[branch_channel(node)] = EphemeralValue(Any, guard=False)
    for starts, end in sorted(builder.waiting_edges):
        if end != END:
            channels[_join(starts, end)] = NamedBarrierValue(str, frozenset(starts))
    return channels


def _triggered(nodes: Mapping[str, NodeSpec]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name in sorted(nodes):
        for channel in nodes[name].triggers:
            found.setdefault(channel, []).append(name)
    return {channel: tuple(names) for channel, names in found.items()}
