"""Names that mean something to Perdure. The public four, and the reserved ones, here only.

Reserved names show up in results, snapshots and stored writes; users read them, but need not import them.
Imports nothing of Perdure at import; anybody may import it.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["END", "START", "TAG_HIDDEN", "TAG_NOSTREAM"]

START: Final = "__start__"
"""The point before the first node."""
END: Final = "__end__"
"""The point after the last node; as a target: nowhere."""
TAG_HIDDEN: Final = "langsmith:hidden"
"""Tag of a node or run that streams and traces leave out."""
TAG_NOSTREAM: Final = "nostream"
"""Tag of a model call whose tokens are not streamed."""

# ---- reserved: channels and targets
INPUT: Final = "__input__"
COPY: Final = "__copy__"
ROOT: Final = "__root__"
TASKS: Final = "__pregel_tasks"
PARENT: Final = "__parent__"
OVERWRITE: Final = "__overwrite__"

# ---- reserved: kinds of writes
ERROR: Final = "__error__"
SCHEDULED: Final = "__scheduled__"
INTERRUPT: Final = "__interrupt__"
RESUME: Final = "__resume__"
RETURN: Final = "__return__"
PREVIOUS: Final = "__previous__"
NO_WRITES: Final = "__no_writes__"

# ---- reserved: first item of a task's path
PULL: Final = "__pregel_pull"
PUSH: Final = "__pregel_push"

# ---- reserved: keys in streams, configs and messages
METADATA: Final = "__metadata__"
RUNTIME: Final = "__pregel_runtime"
REMOVE_ALL: Final = "__remove_all__"
ERROR_HANDLER: Final = "__error_handler__"
DEFAULT_ERROR_HANDLER: Final = "__default_error_handler__"
NS_SEPARATOR: Final = "|"
NS_END: Final = ":"

# ---- parts of a configurable's name that say: its value is stored nowhere and shown to nobody
SECRETS: Final = ("key", "token", "secret", "password", "auth")


def sounds_secret(name: str) -> bool:
    """Whether a value of this name may be a key, a password or the like."""
    lower = name.lower()
    return any(part in lower for part in SECRETS)


_MOVED = {"Send": "perdure.types", "Interrupt": "perdure.types"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type depends on the name
    """Names that moved away, with a deprecation warning."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from perdure.warnings import deprecated

    deprecated(
        f"Importing {name} from perdure.constants", since=(0, 1), instead=f"from {_MOVED[name]} import {name}"
    )
    return getattr(import_module(_MOVED[name]), name)
