"""What a path function's answer means: where a conditional edge leads.

Imports `result`; imported by `compile`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from enum import Enum
from typing import Any, cast

from perdure.constants import END, START
from perdure.errors import InvalidUpdateError
from perdure.types import Send, as_name

__all__ = ["route"]


def route(
    source: str, name: str, mapping: Mapping[Hashable, str] | None, nodes: Collection[str]
) -> Callable[[Any], list[str | Send]]:
    """How to read the answers of one path function.

    Args:
        source: the node the edge starts at; with `name`, the function's, for messages.
        mapping: from answers to targets, if there is one.
        nodes: where it may lead, besides `END`.

    The function made raises:
        ValueError: there is no answer, or it is no node.
        KeyError: the mapping lacks the answer.
        InvalidUpdateError: a `Send` to `END` or to a node that there is not.
    """
    who = f"at node {source!r}, path function {name!r}"

    def destinations(answer: object) -> list[str | Send]:
        answers = cast(
            "list[object]", list(cast("Any", answer)) if isinstance(answer, list | tuple | set) else [answer]
        )
        found: list[str | Send] = []
        for one in answers:
            target = destination(one)
            if target != END:
                found.append(target)
        return found

    def destination(answer: object) -> str | Send:
        if isinstance(answer, Send):
            if answer.node == END:
                raise InvalidUpdateError(f"Cannot send a packet to the END node ({who}).")
            if answer.node not in nodes:
                raise InvalidUpdateError(
                    f"Cannot send to {answer.node!r}, which is no node of this graph ({who})."
                )
            return answer
        if mapping is not None:
            return mapped(answer)
        try:
            target = as_name(answer)
        except TypeError:
            target = None
        if target is None or target == START:
            raise ValueError(
                f"Branch did not return a valid destination: {answer!r} ({who}). Return the name of a node, a Send, "
                "END, or a list of them."
            )
        if target != END and target not in nodes:
            raise ValueError(f"At '{source}' node, '{name}' branch found unknown target '{target}'")
        return target

    def mapped(answer: object) -> str:
        assert mapping is not None  # noqa: S101 - for the type checker
        if isinstance(answer, Hashable):
            if answer in mapping:
                return mapping[answer]
            if isinstance(answer, Enum) and answer.value in mapping:
                return mapping[cast("Hashable", answer.value)]
        if answer is None:
            raise ValueError(f"Branch did not return a valid destination: None ({who}).")
        error = KeyError(answer)
        error.add_note(f"The path map has no {answer!r} ({who}); it has {list(mapping)!r}.")
        raise error

    return destinations
