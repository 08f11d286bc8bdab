"""Is the drawing a graph? Every check of `compile`, each with a message that names the culprit.

Unreachable nodes are allowed: a `Command` or `Send` may lead to them. Imports `builder` as a type; imported by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from perdure.constants import END, START
from perdure.types import as_name

if TYPE_CHECKING:
    from perdure.graph.builder import GraphBuilder

__all__ = ["check_drawing", "check_edge", "check_name"]


def check_name(name: str) -> None:
    """Raises ValueError if no node may be called so."""
    if name in (START, END):
        raise ValueError(f"Node `{name}` is reserved.")
    for character in ("|", ":"):
        if character in name:
            raise ValueError(
                f"'{character}' is a reserved character and is not allowed in the node names. The name was {name!r}."
            )
    if not name:
        raise ValueError("A node needs a name that is not empty.")


def check_edge(start: str, end: str) -> None:
    """Raises ValueError if no edge may go from there to there, whatever nodes there are."""
    if start == END:
        raise ValueError(f"END cannot be a start node (edge to {end!r})")
    if end == START:
        raise ValueError(f"START cannot be an end node (edge from {start!r})")


def check_drawing(builder: GraphBuilder[Any, Any, Any, Any], interrupt: Sequence[str]) -> None:
    """Raises ValueError unless the drawing can be compiled.

    Args:
        builder: the drawing.
        interrupt: the names of nodes at which to stop, as given to `compile`.
    """
    nodes = builder.nodes
    for start in _starts(builder):
        if start not in nodes and start != START:
            raise ValueError(f"Found edge starting at unknown node '{start}'. {_there_are(builder)}")
    if not any(start == START for start in _starts(builder)):
        raise ValueError(
            "Graph must have an entrypoint: add at least one edge from START to another node, e.g. "
            f"add_edge(START, {next(iter(nodes), 'node')!r})."
        )
    for start, branches in builder.branches.items():
        for branch in branches.values():
            for end in branch.ends:
                if end not in nodes and end != END:
                    raise ValueError(
                        f"At '{start}' node, '{branch.name}' branch found unknown target '{end}'. {_there_are(builder)}"
                    )
    for start, end, how in _edges(builder):
        if end not in nodes and end != END:
            raise ValueError(
                f"Found edge ending at unknown node `{end}` ({how} {start!r}). {_there_are(builder)}"
            )
    for name in interrupt:
        if as_name(name) not in nodes:
            raise ValueError(f"Interrupt node `{name}` not found. {_there_are(builder)}")


def _starts(builder: GraphBuilder[Any, Any, Any, Any]) -> Iterator[str]:
    yield from sorted({start for start, _ in builder.edges})
    for starts, _ in builder.waiting_edges:
        yield from starts
    yield from builder.branches


def _edges(builder: GraphBuilder[Any, Any, Any, Any]) -> Iterator[tuple[str, str, str]]:
    for start, end in sorted(builder.edges):
        yield start, end, "from"
    for starts, end in sorted(builder.waiting_edges):
        yield "+".join(starts), end, "from"
    for node in builder.nodes.values():
        for end in node.destinations or ():
            yield node.name, end, "named by the destinations or the return annotation of"


def _there_are(builder: GraphBuilder[Any, Any, Any, Any]) -> str:
    return f"There are: {', '.join(builder.nodes) or 'no nodes yet'}."
