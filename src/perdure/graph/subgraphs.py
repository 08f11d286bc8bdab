"""Which compiled graphs a node is, holds or closes over. Known by a mark on their class; nothing is imported or called.

Looked for when the graph is compiled, because a function may name a graph that is defined after it.
Imports `inspect`; imported by `compile`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

from perdure.graph.inspect import is_compiled_graph

__all__ = ["subgraphs_of"]

# Where the Runnables of LangChain keep what they are made of.
_PARTS = ("bound", "func", "afunc", "first", "middle", "last", "steps", "steps__", "runnable")
_DEPTH = 4


def subgraphs_of(thing: object) -> tuple[Any, ...]:
    """The graphs, each once, in the order in which they are found."""
    found: dict[int, object] = {}
    for graph in _within(thing, _DEPTH):
        found.setdefault(id(graph), graph)
    return tuple(found.values())


def _within(thing: object, depth: int) -> Iterator[object]:
    if is_compiled_graph(thing):
        yield thing
    elif depth > 0:
        for part in _parts(thing):
            yield from _within(part, depth - 1)


def _parts(thing: object) -> Iterator[object]:
    if isinstance(thing, list | tuple):
        yield from cast("list[object] | tuple[object, ...]", thing)
    elif isinstance(thing, dict):
        yield from cast("dict[object, object]", thing).values()
    elif isinstance(thing, functools.partial):
        call = cast("functools.partial[Any]", thing)
        yield from (call.func, *call.args, *call.keywords.values())
    elif inspect.ismethod(thing):
        yield thing.__func__
        yield from _graphs_among(vars(thing.__self__)) if hasattr(thing.__self__, "__dict__") else ()
    elif inspect.isfunction(thing):
        yield from _named_by(thing)
    elif not isinstance(thing, type) and hasattr(thing, "__dict__"):
        held = vars(thing)
        yield from (held[name] for name in _PARTS if name in held)
        yield from _graphs_among(held)
        if inspect.isfunction(call := getattr(type(thing), "__call__", None)):  # noqa: B004 - the function itself is wanted
            yield call


def _graphs_among(held: dict[str, Any]) -> Iterator[object]:
    return (value for value in held.values() if is_compiled_graph(value))


def _named_by(function: Any) -> Iterator[object]:
    for cell in function.__closure__ or ():
        with suppress(
            ValueError
        ):  # an empty cell: the name gets its value later, perhaps the very graph of this node
            yield cell.cell_contents
    names: tuple[str, ...] = function.__code__.co_names
    yield from (
        function.__globals__[name] for name in names if is_compiled_graph(function.__globals__.get(name))
    )
    if hasattr(function, "__wrapped__"):
        yield function.__wrapped__
