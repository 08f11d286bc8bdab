"""What streams yield: the modes, the typed parts of `version="v2"`, their payloads, and `GraphOutput`.

Shapes only; the engine's events become these in `pregel`. Imports `interrupts`, `snapshots`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, NotRequired, TypeAlias, cast

from typing_extensions import TypedDict, TypeVar

from perdure.constants import INTERRUPT
from perdure.types.interrupts import Interrupt
from perdure.types.snapshots import Config, StateSnapshot
from perdure.warnings import deprecated

if TYPE_CHECKING:
    from perdure.checkpoint.base import CheckpointMetadata

__all__ = [
    "CheckpointPayload",
    "CheckpointStreamPart",
    "CheckpointTask",
    "CustomStreamPart",
    "DebugPayload",
    "DebugStreamPart",
    "GraphOutput",
    "MessagesStreamPart",
    "StreamMode",
    "StreamPart",
    "StreamWriter",
    "TaskPayload",
    "TaskResultPayload",
    "TasksStreamPart",
    "UpdatesStreamPart",
    "ValuesStreamPart",
]

StreamMode = Literal["values", "updates", "checkpoints", "tasks", "debug", "messages", "custom"]
"""What a stream tells: the state after each step, what each task wrote, each checkpoint, each task's start and end,
the two together with their steps, tokens and messages, what nodes send by hand."""

StreamWriter: TypeAlias = Callable[[Any], None]
"""Sends its argument to the `custom` stream. As the annotation of a node's parameter `writer`, it is handed in."""

ValuesT = TypeVar("ValuesT", default=Any)
"""The state as a checkpoint has it."""
OutputValuesT = TypeVar("OutputValuesT", default=Any)
"""The state as a stream of values shows it."""


# ---- payloads


class TaskPayload(TypedDict):
    """A task starts."""

    id: str
    name: str
    input: Any
    triggers: list[str]
    metadata: NotRequired[dict[str, Any]]


class TaskResultPayload(TypedDict):
    """A task ended."""

    id: str
    name: str
    error: str | None
    interrupts: list[dict[str, Any]]
    result: dict[str, Any]


class CheckpointTask(TypedDict):
    """A task in a checkpoint's payload."""

    id: str
    name: str
    error: NotRequired[str]
    result: NotRequired[Any]
    interrupts: NotRequired[list[dict[str, Any]]]
    state: StateSnapshot | Config | None


class CheckpointPayload(TypedDict, Generic[ValuesT]):
    """A checkpoint was made."""

    config: Config | None
    metadata: CheckpointMetadata
    values: ValuesT
    next: list[str]
    parent_config: Config | None
    tasks: list[CheckpointTask]


class _DebugCheckpoint(TypedDict, Generic[ValuesT]):
    step: int
    timestamp: str
    type: Literal["checkpoint"]
    payload: CheckpointPayload[ValuesT]


class _DebugTask(TypedDict):
    step: int
    timestamp: str
    type: Literal["task"]
    payload: TaskPayload


class _DebugTaskResult(TypedDict):
    step: int
    timestamp: str
    type: Literal["task_result"]
    payload: TaskResultPayload


DebugPayload: TypeAlias = _DebugCheckpoint[ValuesT] | _DebugTask | _DebugTaskResult
"""A checkpoint or task event with its step and time."""


# ---- parts

NS: TypeAlias = tuple[str, ...]
"""Where in the nesting of graphs: `()` is the root."""


class ValuesStreamPart(TypedDict, Generic[OutputValuesT]):
    """The state after a step."""

    type: Literal["values"]
    ns: NS
    data: OutputValuesT
    interrupts: tuple[Interrupt, ...]


class UpdatesStreamPart(TypedDict):
    """What a task wrote, by node."""

    type: Literal["updates"]
    ns: NS
    data: dict[str, Any]


class MessagesStreamPart(TypedDict):
    """A message or token, and where it comes from."""

    type: Literal["messages"]
    ns: NS
    data: tuple[Any, dict[str, Any]]


class CustomStreamPart(TypedDict):
    """What a node sent by hand."""

    type: Literal["custom"]
    ns: NS
    data: Any


class CheckpointStreamPart(TypedDict, Generic[ValuesT]):
    """A checkpoint."""

    type: Literal["checkpoints"]
    ns: NS
    data: CheckpointPayload[ValuesT]


class TasksStreamPart(TypedDict):
    """A task's start or end."""

    type: Literal["tasks"]
    ns: NS
    data: TaskPayload | TaskResultPayload


class DebugStreamPart(TypedDict, Generic[ValuesT]):
    """A checkpoint or task event with its step."""

    type: Literal["debug"]
    ns: NS
    data: DebugPayload[ValuesT]


StreamPart: TypeAlias = (
    CheckpointStreamPart[ValuesT]
    | DebugStreamPart[ValuesT]
    | ValuesStreamPart[OutputValuesT]
    | UpdatesStreamPart
    | MessagesStreamPart
    | CustomStreamPart
    | TasksStreamPart
)
"""Whatever `stream(version="v2")` yields; `part["type"]` says which."""


# ---- invoke(version="v2")

ValueT = TypeVar("ValueT", default=Any)
"""A run's result."""


@dataclass(frozen=True)
class GraphOutput(Generic[ValueT]):
    """A run's result, and the questions it stopped at.

    Attributes:
        value: the output, as an instance where the schema is a class.
        interrupts: the open questions; empty if the run came to its end or stopped at a breakpoint.
    """

    value: ValueT
    interrupts: tuple[Interrupt, ...] = ()

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - values of any key
        """One key of the value, as the older kind of result had it. Deprecated."""
        deprecated("Accessing a GraphOutput as output[key]", since=(0, 1), instead="output.value")
        if key == INTERRUPT and self.interrupts:
            return self.interrupts
        value: Any = self.value
        return cast("dict[str, Any]", value)[key] if isinstance(value, dict) else _field(value, key)

    def __contains__(self, key: object) -> bool:
        """Whether the older kind of result would have had this key. Deprecated."""
        deprecated("Testing `key in output` of a GraphOutput", since=(0, 1), instead="output.value")
        if key == INTERRUPT:
            return bool(self.interrupts)
        value: Any = self.value
        return key in value if isinstance(value, dict) else isinstance(key, str) and hasattr(value, key)


def _field(value: object, key: str) -> object:
    try:
        return getattr(value, key)
    except AttributeError:
        raise KeyError(key) from None
