"""What a running node may ask for without being handed it: config, store, stream writer.

Each finds the task that runs in this context; without one it is an error, never a silent nothing.
Imports `current`; the run's config is read elsewhere, once, at the door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perdure.current import current_task

if TYPE_CHECKING:
    from perdure.store.base import BaseStore

__all__ = ["get_config", "get_store", "get_stream_writer"]


def get_config() -> dict[str, Any]:
    """The running task's config: `configurable`, `metadata`, `tags`, `callbacks` ...

    Raises:
        RuntimeError: no task runs in this context.
    """
    return current_task("get_config").config()


def get_store() -> BaseStore:
    """The store as the running task sees it; None if the graph was compiled without one.

    Raises:
        RuntimeError: no task runs in this context.
    """
    return current_task("get_store").store


def get_stream_writer() -> Callable[[Any], None]:
    """A function that sends its argument to the run's `custom` stream, at once.

    Raises:
        RuntimeError: no task runs in this context.
    """
    return current_task("get_stream_writer").writer
