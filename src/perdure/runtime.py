"""What a node gets as `runtime`: context, store, stream writer, and facts about its run.

Here: frozen values, and `RunControl`, the one handle by which a run is asked to stop.
Not here: how they are filled; the engine does it, once a task, so making a `Runtime` costs next to nothing.
Imports `current` and `typing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, cast, runtime_checkable

from perdure.current import current_task
from perdure.typing import ContextT

if TYPE_CHECKING:
    from perdure.store.base import BaseStore

__all__ = ["BaseUser", "ExecutionInfo", "RunControl", "Runtime", "ServerInfo", "get_runtime"]


@runtime_checkable
class BaseUser(Protocol):
    """Who called the server, as its authentication says."""

    @property
    def is_authenticated(self) -> bool:
        """True if the caller has proved who they are."""
        ...

    @property
    def display_name(self) -> str:
        """A name for people."""
        ...

    @property
    def identity(self) -> str:
        """A name for programs: unique, and always the same."""
        ...

    @property
    def permissions(self) -> Sequence[str]:
        """What the caller may do."""
        ...


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """Where in which run a task is.

    Attributes:
        checkpoint_id: the checkpoint the step began from.
        checkpoint_ns: the task's namespace, e.g. `"sub:<id>|node:<id>"`.
        task_id: the same whenever this task is run again: good as an idempotency key.
        thread_id: None without a checkpointer.
        run_id: None if the caller named none.
        node_attempt: counts from 1.
        node_first_attempt_time: seconds since 1970 of the first attempt; the same for all attempts.
    """

    checkpoint_id: str
    checkpoint_ns: str
    task_id: str
    thread_id: str | None = None
    run_id: str | None = None
    node_attempt: int = 1
    node_first_attempt_time: float | None = None

    def patch(self, **overrides: Any) -> ExecutionInfo:  # noqa: ANN401 - values of any field
        """The same facts but for those given."""
        return replace(self, **overrides)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the server knows of a run. None of it exists in a run without a server."""

    assistant_id: str
    graph_id: str
    user: BaseUser | None = None


class RunControl:
    """A handle on a run that somebody else holds: pass it as `control=`, then ask the run to stop.

    Safe from any thread.
    """

    __slots__ = ("_reason",)

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self._reason: str | None = None

    def request_drain(self, reason: str = "shutdown") -> None:
        """The run stops before its next step, with its state saved. Asked twice, the later reason counts."""
        self._reason = reason

    @property
    def drain_requested(self) -> bool:
        """True once the run was asked to stop."""
        return self._reason is not None

    @property
    def drain_reason(self) -> str | None:
        """Why the run was asked to stop; None if it was not."""
        return self._reason

    def __repr__(self) -> str:
        """Whether it was asked to stop, and why."""
        return f"<RunControl {'running' if self._reason is None else f'draining: {self._reason}'}>"


def _no_writer(_item: Any) -> None:  # noqa: ANN401 - takes whatever a writer takes
    pass


def _no_heartbeat() -> None:
    pass


# No slots: on Python 3.11 a frozen, slotted dataclass cannot be made as `Runtime[Context](...)`. With an __init__ of its
# own, because one is made for every task, and the usual one of a frozen class takes twice the time.
@dataclass(frozen=True, kw_only=True, init=False)
class Runtime(Generic[ContextT]):
    """What a run offers to its nodes. Ask for it with a parameter named `runtime`.

    Attributes:
        context: what the caller passed as `context=`, made into the graph's `context_schema`.
        store: memory across threads as this task sees it; None if the graph has no store.
        stream_writer: sends its argument to the `custom` stream.
        heartbeat: tells the idle timeout that work goes on.
        previous: functional API: what the thread's last run saved.
        execution_info: where this task is; None outside a task.
        server_info: what the server knows; None without a server.
        control: the handle that was passed as `control=`.
    """

    context: ContextT = cast("ContextT", None)  # noqa: RUF009 - a constant
    store: BaseStore | None = None
    stream_writer: Callable[[Any], None] = _no_writer
    heartbeat: Callable[[], None] = _no_heartbeat
    previous: Any = None
    execution_info: ExecutionInfo | None = None
    server_info: ServerInfo | None = None
    control: RunControl | None = None

    def __init__(
        self,
        *,
        context: ContextT = cast("ContextT", None),  # noqa: B008 - a constant
        store: BaseStore | None = None,
        stream_writer: Callable[[Any], None] = _no_writer,
        heartbeat: Callable[[], None] = _no_heartbeat,
        previous: Any = None,  # noqa: ANN401 - a user's value
        execution_info: ExecutionInfo | None = None,
        server_info: ServerInfo | None = None,
        control: RunControl | None = None,
    ) -> None:
        """All by name; see the attributes."""
        own = self.__dict__
        own["context"] = context
        own["store"] = store
        own["stream_writer"] = stream_writer
        own["heartbeat"] = heartbeat
        own["previous"] = previous
        own["execution_info"] = execution_info
        own["server_info"] = server_info
        own["control"] = control

    def override(self, **overrides: Any) -> Runtime[ContextT]:  # noqa: ANN401 - values of any field
        """The same runtime but for the fields given."""
        return replace(self, **overrides)

    def merge(self, other: Runtime[ContextT]) -> Runtime[ContextT]:
        """This runtime with everything that `other` has set; what `other` left at its default stays as it is here."""
        given: dict[str, Any] = {}
        for field in fields(Runtime):
            value: object = getattr(other, field.name)
            if value is not None and value is not _no_writer and value is not _no_heartbeat:
                given[field.name] = value
        return replace(self, **given)

    def patch_execution_info(self, **overrides: Any) -> Runtime[ContextT]:  # noqa: ANN401 - values of any field
        """The same runtime with some facts of `execution_info` replaced.

        Raises:
            RuntimeError: there is no `execution_info` to patch.
        """
        if self.execution_info is None:
            raise RuntimeError(
                "Cannot patch execution_info before it has been set: this runtime is not in a task."
            )
        return replace(self, execution_info=self.execution_info.patch(**overrides))

    @property
    def drain_requested(self) -> bool:
        """True once the run was asked to stop."""
        return self.control is not None and self.control.drain_requested

    @property
    def drain_reason(self) -> str | None:
        """Why the run was asked to stop; None if it was not."""
        return None if self.control is None else self.control.drain_reason


def get_runtime(context_schema: type[ContextT] | None = None) -> Runtime[ContextT]:
    """The running task's `Runtime`.

    Args:
        context_schema: for the type checker only: the type of `context`.

    Raises:
        RuntimeError: no task runs in this context.
    """
    del context_schema
    return current_task("get_runtime").runtime
