"""What a node's result, a `Command` and an input mean: writes.

Here: functions made once for each node, from its name, the keys it may write and the nodes it may go to.
Not here: applying writes, and what several of them make of a key (`engine`, `channels`).
Imports `instances`, `spec`; imported by `branch` and `compile`.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, TypeAlias, cast

from perdure.constants import END, ROOT, TASKS
from perdure.errors import ErrorCode, InvalidUpdateError, ParentCommand, create_error_message
from perdure.graph.instances import fields_of, is_instance_of_annotated_class
from perdure.graph.spec import Write
from perdure.types import Command, Interrupt, Overwrite, Send, as_name

__all__ = ["Writer", "branch_channel", "input_reader", "jump", "result_writer", "wrong_result"]

Writer: TypeAlias = Callable[[Any], list[Write]]
"""A result -> its writes, in order."""
_ROOT_ONLY = frozenset({ROOT})


def branch_channel(node: str) -> str:
    """The channel that makes this node due."""
    return f"branch:to:{node}"


def result_writer(node: str, keys: Collection[str], targets: Collection[str]) -> Writer:
    """How to read what the node returns.

    Args:
        node: its name, for messages.
        keys: the state's keys; others are dropped. The key `__root__` alone: the result is the state.
        targets: the nodes that a `Command` may go to.
    """
    known = frozenset(keys)
    results = _Results(node, known, frozenset(targets))
    if known == _ROOT_ONLY:
        return results.root_writes

    def writes(result: Any) -> list[Write]:
        if type(result) is dict:
            return [write for write in cast("dict[str, Any]", result).items() if write[0] in known]
        return [] if result is None else results.writes(result)

    return writes


class _Results:
    """All that is not a plain dict."""

    __slots__ = ("keys", "node", "targets")

    def __init__(self, node: str, keys: frozenset[str], targets: frozenset[str]) -> None:
        self.node = node
        self.keys = keys
        self.targets = targets

    def writes(self, result: object) -> list[Write]:
        if (items := _with_commands(result)) is not None:
            return [write for item in items if item is not None for write in self.one(item)]
        return self.one(result)

    def one(self, result: object) -> list[Write]:
        if (command := _command(result)) is not None:
            return self.of_command(command)
        found = self.update(result)
        if found is None:
            raise wrong_result(self.node, result)
        return found

    def root_writes(self, result: object) -> list[Write]:
        found: list[Write] = []
        for item in _with_commands(result) or (result,):
            if (command := _command(item)) is not None:
                found += self.of_command(command)
            elif item is not None:
                found.append((ROOT, item))
        return found

    def update(self, update: object) -> list[Write] | None:
        """The writes of a mapping or instance; None if it is neither."""
        if isinstance(update, Mapping):
            return [write for write in cast("Mapping[str, Any]", update).items() if write[0] in self.keys]
        if isinstance(update, Send | Overwrite | Interrupt) or not is_instance_of_annotated_class(update):
            return None
        fields = fields_of(type(update))(update)
        found = [write for write in fields if write[0] in self.keys]
        # Nothing of it belongs to the state: not an update, but a value that somebody forgot to put under its key.
        return found if found or not fields else None

    def of_command(self, command: Command[Any]) -> list[Write]:
        if command.graph == Command.PARENT:
            raise ParentCommand(command)
        if command.graph is not None:
            raise InvalidUpdateError(
                f"Node {self.node!r} returned a Command for the graph {command.graph!r}. "
                "Use graph=Command.PARENT for the graph around this one, or leave `graph` out."
            )
        found = self.of_update(command.update)
        for target in _targets(command.goto):
            found += jump(target, self.targets, f"Node {self.node!r} returned a Command that goes")
        return found

    def of_update(self, update: object) -> list[Write]:
        if update is None:
            return []
        if self.keys == _ROOT_ONLY:
            return [(ROOT, update)]
        if (pairs := _pairs(update)) is not None:
            return [pair for pair in pairs if pair[0] in self.keys]
        found = self.update(update)
        if found is None:
            raise wrong_result(self.node, update, "a Command whose update is")
        return found


def _command(thing: object) -> Command[Any] | None:
    return cast("Command[Any]", thing) if isinstance(thing, Command) else None


def _with_commands(result: object) -> Iterable[object] | None:
    """The items of a list that mixes updates and commands; None for anything else."""
    if not isinstance(result, list | tuple):
        return None
    items = cast("Iterable[object]", result)
    return items if any(isinstance(item, Command) for item in items) else None


def _targets(goto: object) -> Iterable[object]:
    if goto is None:
        return ()
    if isinstance(goto, list | tuple | set | frozenset):
        return cast("Iterable[object]", goto)
    return (goto,)


def jump(target: object, nodes: Collection[str], who: str) -> list[Write]:
    """The writes that make a task of the target; none for `END`.

    Raises:
        InvalidUpdateError: there is no such node; `who` begins the message.
    """
    if isinstance(target, Send):
        if target.node == END:
            raise InvalidUpdateError(f"Cannot send a packet to the END node. {who} there.")
        if target.node in nodes:
            return [(TASKS, target)]
        name: object = target.node
    else:
        try:
            name = as_name(target)
        except TypeError:
            name = target
        if name == END:
            return []
        if name in nodes:
            return [(branch_channel(cast("str", name)), None)]
    raise InvalidUpdateError(
        f"{who} to {name!r}, which is no node of this graph. Nothing was written. "
        f"There are: {', '.join(sorted(nodes))}."
    )


def wrong_result(node: str, result: object, how: str = "") -> InvalidUpdateError:
    """The error for a node that returned something that is no update; what it returned is named, not its whole text."""
    hint = ""
    kind: Any = result
    if inspect.iscoroutine(kind):
        cast("Coroutine[Any, Any, Any]", kind).close()  # else Python warns that nobody awaited it
        hint = (
            " It called an async function without awaiting it: make the node itself `async def`, or `await`."
        )
    elif inspect.isgenerator(kind) or inspect.isasyncgen(kind):
        hint = " A node cannot `yield` its updates; send what comes early with `writer`, return the rest."
    elif isinstance(kind, list | tuple):
        hint = " A list needs at least one Command in it."
    elif isinstance(kind, Send):
        hint = " A Send belongs into Command(goto=...), or is returned by a conditional edge."
    text = (
        f"Node {node!r} returned {how + ' ' if how else ''}{reprlib.repr(result)} of type {type(result).__name__}. "
        "Expected dict of keys of the state, an instance of an annotated class with such fields, a Command, a list of "
        f"dicts and Commands, or None.{hint} Nothing was written."
    )
    return InvalidUpdateError(
        create_error_message(message=text, error_code=ErrorCode.INVALID_GRAPH_NODE_RETURN_VALUE)
    )


# ---- input


def input_reader(keys: Collection[str]) -> Callable[[object], Any]:
    """Brings a graph's input into the form in which `__start__` passes it on: its own keys only, in a dict.

    Takes a mapping, `(key, value)` pairs (kept as pairs: a key may come twice), or an instance of an annotated class.
    """
    known = frozenset(keys)
    results = _Results("__start__", known, frozenset())
    root = known == _ROOT_ONLY

    def read(value: object) -> object:
        if root:
            return value
        if type(value) is dict:
            given = cast("dict[Any, Any]", value)
            return {key: given[key] for key in given if key in known}
        if (pairs := _pairs(value)) is not None:
            return [pair for pair in pairs if pair[0] in known]
        found = results.update(value) if _command(value) is None else None
        if found is None and is_instance_of_annotated_class(value) and _command(value) is None:
            found = []  # as a dict without any key of ours
        if found is None:
            raise InvalidUpdateError(
                create_error_message(
                    message=f"The input is {reprlib.repr(value)} of type {type(value).__name__}. Expected dict with "
                    f"keys of the state ({', '.join(sorted(known))}), an instance of a state class, or (key, value) "
                    "pairs. Nothing was written.",
                    error_code=ErrorCode.INVALID_GRAPH_NODE_RETURN_VALUE,
                )
            )
        return dict(found)

    return read


def _pairs(value: object) -> list[Write] | None:
    """The value, if it is a list of keys with values."""
    if not isinstance(value, list | tuple):
        return None
    items = cast("list[Any] | tuple[Any, ...]", value)
    if all(isinstance(item, tuple) and len(cast("tuple[Any, ...]", item)) == 2 for item in items) and all(
        isinstance(key, str) for key, _ in items
    ):
        return list(items)
    return None
