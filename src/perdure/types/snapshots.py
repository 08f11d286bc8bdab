"""A thread as users see it at one moment: `StateSnapshot`, its tasks, and an update to make by hand.

Frozen values. Not here: how they are made; that is `pregel`. Imports `interrupts` and `policies`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from perdure.types.interrupts import Interrupt
from perdure.types.policies import RetryPolicy, TimeoutPolicy

if TYPE_CHECKING:
    from perdure.checkpoint.base import BaseCheckpointSaver, CheckpointMetadata

__all__ = [
    "All",
    "Checkpointer",
    "Config",
    "Durability",
    "PregelExecutableTask",
    "PregelTask",
    "StateSnapshot",
    "StateUpdate",
    "ensure_valid_checkpointer",
]

Config: TypeAlias = dict[str, Any]
"""A config mapping: `configurable`, `metadata`, `tags` ...; LangChain's `RunnableConfig` is one."""

All = Literal["*"]
"""Every node."""

Durability = Literal["sync", "async", "exit"]
"""When a step is saved: before the next one starts, while it runs, or when the run ends."""

Checkpointer: TypeAlias = "BaseCheckpointSaver[Any] | bool | None"
"""A saver; True: a chain of its own in the parent's saver; False: never saved; None: as the parent."""


def ensure_valid_checkpointer(checkpointer: object) -> Checkpointer:
    """The same checkpointer, known to be one.

    Raises:
        TypeError: it is neither a saver nor True, False or None.
    """
    if checkpointer is None or checkpointer is True or checkpointer is False:
        return checkpointer
    from perdure.checkpoint.base import BaseCheckpointSaver  # here, because it imports this module

    if isinstance(checkpointer, BaseCheckpointSaver):
        return checkpointer  # pyright: ignore[reportUnknownVariableType]  # the saver's version type is its own affair
    raise TypeError(
        "Invalid checkpointer provided. Expected an instance of `BaseCheckpointSaver`, `True`, `False`, or `None`. "
        f"Received {type(checkpointer).__name__}. Pass a saver, e.g. InMemorySaver() or SqliteSaver(...), or what "
        "perdure.connect(...) gives."
    )


class PregelTask(NamedTuple):
    """A task of a thread's next step."""

    id: str
    name: str
    path: tuple[str | int | tuple[Any, ...], ...]
    error: Exception | None = None
    """What its last attempt raised; its `repr` once it was stored."""
    interrupts: tuple[Interrupt, ...] = ()
    """Its open questions."""
    state: StateSnapshot | Config | None = None
    """Of a subgraph: a config that points to it, or its snapshot."""
    result: Any | None = None
    """What it wrote, if it finished while others of its step did not."""


class StateSnapshot(NamedTuple):
    """A thread's state at one checkpoint."""

    values: dict[str, Any] | Any
    """The keys that have a value."""
    next: tuple[str, ...]
    """The nodes that are due, one entry a task."""
    config: Config
    """Points to this checkpoint."""
    metadata: CheckpointMetadata | None
    created_at: str | None
    """ISO 8601, UTC."""
    parent_config: Config | None
    """Points to the checkpoint before; None for the first."""
    tasks: tuple[PregelTask, ...]
    """The tasks of the next step, with what is known of them already."""
    interrupts: tuple[Interrupt, ...]
    """The open questions of all tasks."""


class StateUpdate(NamedTuple):
    """One update of `bulk_update_state`: as if `as_node` had just returned `values`."""

    values: dict[str, Any] | None
    as_node: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class PregelExecutableTask:
    """A task with all that is needed to run it, as tools that look into a run expect it."""

    name: str
    input: Any
    proc: Any
    """What runs: anything with `invoke`."""
    writes: deque[tuple[str, Any]]
    config: Config
    triggers: Sequence[str]
    retry_policy: Sequence[RetryPolicy]
    cache_key: Any
    id: str
    path: tuple[str | int | tuple[Any, ...], ...]
    writers: Sequence[Any] = ()
    subgraphs: Sequence[Any] = ()
    timeout: TimeoutPolicy | None = None
