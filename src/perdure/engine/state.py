"""A thread's state while a run works on it: live channels, their versions, what each node has seen.

Here: `Live` and `Task`. Not here: what changes them (`apply.py`), where they are kept (`commit.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from perdure.channels import (
    BinaryOperatorAggregate,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValueAfterFinish,
    Topic,
)
from perdure.channels.base import MISSING, BaseChannel
from perdure.constants import PULL, PUSH, TASKS
from perdure.graph.spec import GraphSpec, NodeSpec, Write
from perdure.storage.ids import path_text, task_id
from perdure.types import Interrupt, Send

AnyChannel = BaseChannel[Any, Any, Any]

# Kinds that a step without a write to them leaves alone: they need not be told.
_STEADY: Final = (LastValue, BinaryOperatorAggregate)
_FINISHING: Final = (LastValueAfterFinish, NamedBarrierValueAfterFinish)


class Live:
    """Channels as they are now. `updated`: those the last step changed; None: unknown, look at all."""

    __slots__ = ("channels", "finishing", "open", "seen", "top", "unsteady", "updated", "versions")

    def __init__(
        self, channels: dict[str, AnyChannel], versions: dict[str, Any], seen: dict[str, dict[str, Any]]
    ) -> None:
        self.channels = channels
        self.versions = versions
        self.seen = seen
        self.updated: set[str] | None = None
        self.unsteady = {name for name, channel in channels.items() if type(channel) not in _STEADY}
        self.open = [
            name for name in self.unsteady if channels[name].is_available()
        ]  # may change without a write
        self.finishing = [name for name, channel in channels.items() if isinstance(channel, _FINISHING)]
        self.top: Any = max(versions.values()) if versions else None

    def copy(self) -> Live:
        """A state of its own, equal to this one."""
        made = Live(
            {name: channel.copy() for name, channel in self.channels.items()},
            dict(self.versions),
            {node: dict(versions) for node, versions in self.seen.items()},
        )
        made.updated = None if self.updated is None else set(self.updated)
        return made

    def sends(self) -> list[Send]:
        """The `Send`s that make tasks of the next step."""
        channel = self.channels[TASKS]
        return channel.get() if channel.is_available() else []


def live_of(
    spec: GraphSpec, values: Mapping[str, Any], versions: dict[str, Any], seen: dict[str, dict[str, Any]]
) -> Live:
    """The state that `values` (what channels gave to be saved) describe."""
    channels: dict[str, AnyChannel] = {}
    for name, prototype in spec.channels.items():
        value = values.get(name, MISSING)
        channels[name] = prototype.copy() if value is MISSING else prototype.from_checkpoint(value)
    sends: Topic[Any] = Topic(Send)
    channels[TASKS] = sends.from_checkpoint(values[TASKS]) if TASKS in values else sends
    return Live(channels, versions, seen)


@dataclass(slots=True, eq=False)
class Record:
    """What is already durable of a task of an unfinished step."""

    writes: list[Write] | None = None  # None: it has not finished
    error: str | None = None
    interrupts: tuple[Interrupt[Any], ...] = ()
    answers: list[Any] = field(default_factory=list[Any])


class Task:
    """One execution of a node in a step. Its id is made when somebody asks."""

    __slots__ = ("_id", "arg", "checkpoint", "index", "name", "node", "ns", "record", "triggers")

    def __init__(self, node: NodeSpec, checkpoint: str, ns: str, index: int | None, arg: Any) -> None:
        self.node = node
        self.name = node.name
        self.checkpoint = checkpoint
        self.ns = ns
        self.index = index  # of the `Send`; None: edge-triggered
        self.arg = arg  # of the `Send`
        self.record: Record | None = None
        self._id: str | None = None

    @property
    def id(self) -> str:
        """The same for the same node after the same checkpoint."""
        if self._id is None:
            self._id = task_id(self.checkpoint, self.ns, self.name, self.index)
        return self._id

    @property
    def path(self) -> tuple[str | int, ...]:
        """The path in its public form."""
        return (PULL, self.name) if self.index is None else (PUSH, self.index, False)

    @property
    def path_text(self) -> str:
        """The path as it is stored: sorts as tasks are applied."""
        return path_text(self.index, self.name)

    def __repr__(self) -> str:
        return f"<Task {self.name} {self.path}>"
