"""Which task is running here, found by context variable.

Here: what a running task offers to code that was not handed anything (`TaskHandle`), and how it is found.
Not here: who puts it there; that is the engine, for the time it runs user code, in the task's own copy of the context.
Imports nothing of Perdure; imported by the functions that users call without arguments (`interrupt`, `get_config` ...).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

__all__ = ["CURRENT", "TaskHandle", "current_task"]


class TaskHandle(Protocol):
    """What a running task can be asked for. Safe from any thread; refuses after the task has ended."""

    def ask(self, value: Any, response_schema: type[Any] | dict[str, Any] | None) -> Any:  # noqa: ANN401 - a user's value
        """The answer to this task's next question; raises `GraphInterrupt` as long as there is none."""
        ...

    @property
    def runtime(self) -> Any:  # noqa: ANN401 - `Runtime`, which lives in a higher room
        """The task's `Runtime`."""
        ...

    def config(self) -> dict[str, Any]:
        """The task's config, written out for the user."""
        ...

    @property
    def store(self) -> Any:  # noqa: ANN401 - `BaseStore | None`, which lives in a higher room
        """The store as this task sees it, its own staged writes included; None if the graph has none."""
        ...

    @property
    def writer(self) -> Callable[[Any], None]:
        """Sends one item to the run's `custom` stream; drops it if nobody listens."""
        ...


CURRENT: ContextVar[TaskHandle | None] = ContextVar("perdure.current", default=None)
"""The task that runs in this context, if any. Set by the engine only."""


def current_task(caller: str) -> TaskHandle:
    """The task that runs here.

    Args:
        caller: the public function that asks, for the message.

    Raises:
        RuntimeError: no task runs in this context. Threads that user code starts by hand must be given a copy of the
            context (`contextvars.copy_context().run`).
    """
    task = CURRENT.get()
    if task is None:
        raise RuntimeError(
            f"Called {caller} outside of a runnable context. It works inside a node, a task or a tool that a graph "
            "runs; in a thread of your own, run it with `contextvars.copy_context().run(...)`."
        )
    return task
