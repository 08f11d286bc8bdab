"""History does not grow for ever: after every so many writes of items, versions that ended long ago are pruned.

In small batches, in a commit of their own that nobody waits for. Here: when. Not here: how (`PruneHistory`).
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any, Final
from weakref import WeakKeyDictionary

from perdure import clock
from perdure.errors import PerdureError
from perdure.storage.contract import (
    Backend,
    Outcome,
    PruneHistory,
    commit_now,
)

__all__ = ["HISTORY", "keep", "prune", "wrote"]

HISTORY: Final = timedelta(days=30)
EVERY: Final = 500  # writes between two looks
BATCH: Final = 1000  # versions that one look prunes at most: twice what was written meanwhile

log = logging.getLogger("perdure.storage")


class _Keeping:
    """What is to be kept of one backend's history, and how many writes there were since the last look."""

    __slots__ = ("duration", "written")

    def __init__(self) -> None:
        self.duration = HISTORY
        self.written = 0


_known: WeakKeyDictionary[Any, _Keeping] = WeakKeyDictionary()
_lock = threading.Lock()


def _of(backend: Backend) -> _Keeping:
    with _lock:
        found = _known.get(backend)
        if found is None:
            found = _known[backend] = _Keeping()
        return found


def keep(backend: Backend, duration: timedelta) -> None:
    """Versions of this backend's items are kept so long after they were replaced or deleted."""
    _of(backend).duration = duration


def wrote(backend: Backend, number: int) -> None:
    """So many items were written; now and then old versions are pruned."""
    keeping = _of(backend)
    keeping.written += number
    if keeping.written >= EVERY:
        keeping.written = 0
        prune(backend, keeping.duration)


def prune(backend: Backend, duration: timedelta) -> None:
    """One batch of versions that ended longer ago than `duration` goes, soon."""
    before = clock.micros() - int(duration.total_seconds() * 1_000_000)
    commit = commit_now(removals=[PruneHistory(before, BATCH)])
    try:
        backend.commit_soon(commit, _settled)
    except PerdureError as error:  # closed meanwhile: the next process prunes
        _settled(error)


def _settled(outcome: Outcome) -> None:
    if isinstance(outcome, BaseException):
        log.warning("pruning history failed and will be tried again: %s", outcome)
