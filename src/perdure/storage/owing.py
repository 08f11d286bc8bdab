"""Who embeds what was put off is told when something was: by database, in this process.

Here: the registry. Not here: what is done then (`vectors/catching_up.py`), who tells (`upkeep.wrote`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from perdure.storage.contract import OWED, Backend

__all__ = ["Told", "stop_telling", "tell", "told_of"]

Told: TypeAlias = Callable[[], object]
"""Called from any thread after a commit; must return at once."""

_told: WeakKeyDictionary[Any, frozenset[Told]] = WeakKeyDictionary()
_lock = threading.Lock()


def tell(backend: Backend, told: Told) -> None:
    """It is called from now on when items of this backend were written whose vectors are owed."""
    with _lock:
        _told[backend] = _told.get(backend, frozenset()) | {told}


def stop_telling(backend: Backend, told: Told) -> None:
    """It is called no more."""
    with _lock:
        _told[backend] = _told.get(backend, frozenset()) - {told}


def told_of(backend: Backend, writes: Sequence[Any]) -> None:
    """These items were written. Next to nothing where nobody is to be told."""
    if _told and (who := _told.get(backend)) and _owes(writes):
        for told in who:
            told()


def _after_fork() -> None:
    """Whoever held the lock is not here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _owes(writes: Iterable[Any]) -> bool:
    return any(getattr(write, "embedded", None) == OWED for write in writes)
