"""What a saver may have to know of a graph: the shape of channels and sends, the names of special writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from perdure.constants import ERROR, INTERRUPT, RESUME, SCHEDULED, TASKS

__all__ = ["ERROR", "INTERRUPT", "RESUME", "SCHEDULED", "TASKS", "ChannelProtocol", "SendProtocol"]

Value = TypeVar("Value", covariant=True)
Update = TypeVar("Update", contravariant=True)
Stored = TypeVar("Stored", covariant=True)


class ChannelProtocol(Protocol[Value, Update, Stored]):
    """A channel; `perdure.channels.BaseChannel` is one."""

    @property
    def ValueType(self) -> Any:
        """The type of what it gives."""
        ...

    @property
    def UpdateType(self) -> Any:
        """The type of what can be written."""
        ...

    def checkpoint(self) -> Stored | Any:
        """What to save."""
        ...

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """A channel with what was saved."""
        ...

    def update(self, values: Sequence[Update]) -> bool:
        """Takes the writes of a step."""
        ...

    def get(self) -> Value:
        """The value."""
        ...

    def consume(self) -> bool:
        """A task that waited for it was made."""
        ...


@runtime_checkable
class SendProtocol(Protocol):
    """Something like `perdure.types.Send`."""

    node: str
    arg: Any
