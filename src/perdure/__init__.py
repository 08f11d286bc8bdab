"""Stateful agent graphs whose threads and long-term memory are saved by one engine in one commit.

Here: the public names one needs first, each fetched from its room when it is first asked for, so that
`import perdure` stays light. All other public names are imported from their modules (`perdure.channels`, ...).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from perdure.version import __version__

if TYPE_CHECKING:
    from perdure.checkpoint.memory import InMemorySaver
    from perdure.checkpoint.postgres import PostgresSaver
    from perdure.checkpoint.sqlite import SqliteSaver
    from perdure.constants import END, START
    from perdure.database import Database, connect
    from perdure.errors import (
        Compacted,
        Conflict,
        ContractError,
        EncodingError,
        PerdureError,
        QueryError,
        ScopeError,
        StaleThread,
        StorageError,
        VersionConflict,
    )
    from perdure.graph import StateGraph
    from perdure.runtime import Runtime
    from perdure.store.base import Contract
    from perdure.store.memory import InMemoryStore
    from perdure.store.postgres import PostgresStore
    from perdure.store.sqlite import SqliteStore
    from perdure.types import Command, Interrupt, Overwrite, RetryPolicy, Send, StateSnapshot, interrupt

__all__ = [
    "END",
    "START",
    "Command",
    "Compacted",
    "Conflict",
    "Contract",
    "ContractError",
    "Database",
    "EncodingError",
    "InMemorySaver",
    "InMemoryStore",
    "Interrupt",
    "Overwrite",
    "PerdureError",
    "PostgresSaver",
    "PostgresStore",
    "QueryError",
    "RetryPolicy",
    "Runtime",
    "ScopeError",
    "Send",
    "SqliteSaver",
    "SqliteStore",
    "StaleThread",
    "StateGraph",
    "StateSnapshot",
    "StorageError",
    "VersionConflict",
    "__version__",
    "connect",
    "interrupt",
]

# The room of each name; a test compares it with the imports above.
_ROOMS = {
    "perdure.checkpoint.memory": ("InMemorySaver",),
    "perdure.checkpoint.postgres": ("PostgresSaver",),
    "perdure.checkpoint.sqlite": ("SqliteSaver",),
    "perdure.constants": ("END", "START"),
    "perdure.database": ("Database", "connect"),
    "perdure.errors": (
        "Compacted",
        "Conflict",
        "ContractError",
        "EncodingError",
        "PerdureError",
        "QueryError",
        "ScopeError",
        "StaleThread",
        "StorageError",
        "VersionConflict",
    ),
    "perdure.graph": ("StateGraph",),
    "perdure.runtime": ("Runtime",),
    "perdure.store.base": ("Contract",),
    "perdure.store.memory": ("InMemoryStore",),
    "perdure.store.postgres": ("PostgresStore",),
    "perdure.store.sqlite": ("SqliteStore",),
    "perdure.types": (
        "Command",
        "Interrupt",
        "Overwrite",
        "RetryPolicy",
        "Send",
        "StateSnapshot",
        "interrupt",
    ),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if room := _ROOM_OF.get(name):
        value: object = getattr(import_module(room), name)
        globals()[name] = value  # asked for once
        return value
    raise AttributeError(f"module 'perdure' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
