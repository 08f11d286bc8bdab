"""The library's own values that occur in what it saves: `Send`, `Interrupt`, `Command`, `Overwrite`.

Here: their plain forms, under names that stay in data forever. Not here: users' types (`registry.py`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from perdure.codec.registry import Registry
from perdure.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy

__all__ = ["register_own"]


def register_own(registry: Registry) -> None:
    """From now on the registry knows the library's own values."""
    registry.register(Send, name="perdure:Send", encode=_send_apart, decode=_send)
    registry.register(Interrupt, name="perdure:Interrupt", encode=_interrupt_apart, decode=_interrupt)
    registry.register(Command, name="perdure:Command", encode=_command_apart, decode=_command)
    registry.register(Overwrite, name="perdure:Overwrite", encode=_overwrite_apart, decode=_overwrite)


def _send_apart(send: Send) -> list[Any]:
    timeout = send.timeout
    return [
        send.node,
        send.arg,
        None if timeout is None else [timeout.run_timeout, timeout.idle_timeout, timeout.refresh_on],
    ]


def _send(plain: Any) -> Send:
    node, arg, timeout = plain
    if timeout is None:
        return Send(str(node), arg)
    run, idle, refresh = timeout
    limits = [
        None if each is None else each if isinstance(each, timedelta) else float(each) for each in (run, idle)
    ]
    policy = TimeoutPolicy(run_timeout=limits[0], idle_timeout=limits[1], refresh_on=refresh)
    return Send(str(node), arg, timeout=policy)


def _interrupt_apart(asked: Interrupt[Any]) -> list[Any]:
    schema = asked.response_schema
    return [asked.value, asked.id, schema if isinstance(schema, dict) else None]


def _interrupt(plain: Any) -> Interrupt[Any]:
    value, id, schema = plain
    return Interrupt(value, str(id), response_schema=schema)


def _command_apart(command: Command[Any]) -> list[Any]:
    return [command.graph, command.update, command.resume, command.goto]


def _command(plain: Any) -> Command[Any]:
    graph, update, resume, goto = plain
    return Command(graph=graph, update=update, resume=resume, goto=goto)


def _overwrite_apart(overwrite: Overwrite) -> Any:
    return overwrite.value


def _overwrite(plain: Any) -> Overwrite:
    return Overwrite(plain)
