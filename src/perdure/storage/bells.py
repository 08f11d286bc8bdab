"""Who waits for changes of a database in this process is woken by whoever wrote there.

A bell is only a hint: it saves a waiter the rest of its pause. Changes that nobody rings for (another process's) are found
by looking. Here: the waiters by database. Not here: what they look at (`watching.py`), who rings (`upkeep.wrote`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

from perdure.storage.contract import Backend

__all__ = ["Wake", "listening", "ring"]

Wake: TypeAlias = Callable[[], object]
"""Called from any thread, perhaps more than once; must return at once."""

_waiting: dict[
    str, frozenset[Wake]
] = {}  # by database; sets are replaced, never changed, so that ringing takes no lock
_lock = threading.Lock()


def ring(backend: Backend) -> None:
    """Whoever waits for changes of this database looks again. Next to nothing where nobody waits."""
    if _waiting:
        for wake in _waiting.get(backend.identity, ()):
            wake()


@contextmanager
def listening(backend: Backend, wake: Wake) -> Generator[None]:
    """In this block `wake` is called after commits of this process. Look once inside before waiting."""
    name = backend.identity
    with _lock:
        _waiting[name] = _waiting.get(name, frozenset()) | {wake}
    try:
        yield
    finally:
        with _lock:
            left = _waiting.get(name, frozenset()) - {wake}
            if left:
                _waiting[name] = left
            else:
                _waiting.pop(name, None)


def _after_fork() -> None:
    """Whoever held the lock is not here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
