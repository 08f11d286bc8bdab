"""History does not grow for ever: after every so many writes of items, versions that are not to be kept are pruned.

In small batches, in commits of their own that nobody waits for. Here: what is to be kept, and when to look. Not here: how
(`PruneHistory`, `PruneVersions`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias
from weakref import WeakKeyDictionary

from perdure import clock
from perdure.errors import PerdureError
from perdure.storage.bells import ring
from perdure.storage.contract import (
    Backend,
    Namespace,
    Outcome,
    PruneHistory,
    PruneVersions,
    PutItem,
    Removal,
    SweepItem,
    chunks,
    commit_now,
)
from perdure.storage.owing import told_of
from perdure.storage.staging import Operation

__all__ = ["HISTORY", "KeepHistory", "checked", "keep", "prune", "wrote"]

KeepHistory: TypeAlias = "timedelta | int | Literal['all']"
"""So long after their end, so many of each item, or all: which versions of items are kept."""

HISTORY: Final = timedelta(days=30)
EVERY: Final = 500  # writes between two looks
BATCH: Final = 1000  # versions that one look prunes at most: twice what was written meanwhile
ITEMS: Final = 100  # that one commit prunes, and writes between two looks, where versions are counted

log = logging.getLogger("perdure.storage")


class _Keeping:
    """What is to be kept of one backend's history, and what was written since the last look."""

    __slots__ = ("items", "kept", "written")

    def __init__(self) -> None:
        self.kept: KeepHistory = HISTORY
        self.written = 0
        self.items: set[tuple[Namespace, str]] = set()  # where versions are counted


_known: WeakKeyDictionary[Any, _Keeping] = WeakKeyDictionary()
_lock = threading.Lock()


def _of(backend: Backend) -> _Keeping:
    with _lock:
        found = _known.get(backend)
        if found is None:
            found = _known[backend] = _Keeping()
        return found


def _after_fork() -> None:
    """Whoever held the lock is not here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def checked(kept: object) -> KeepHistory:
    """The same, if it says what is to be kept.

    Raises:
        ValueError: it is no duration, no number of versions, and not "all".
    """
    if isinstance(kept, str) and kept == "all":
        return "all"
    if isinstance(kept, int) and not isinstance(kept, bool) and 1 <= kept < 1 << 32:
        return kept
    if isinstance(kept, timedelta) and kept >= timedelta(0):
        return kept
    raise ValueError(
        f"keep_history={kept!r}: give a timedelta, such as timedelta(days=30), a number of versions of each item from 1, or"
        ' "all".'
    )


def keep(backend: Backend, kept: KeepHistory) -> None:
    """So much of the history of this backend's items is kept, by this process, from now on."""
    keeping = _of(backend)
    with _lock:
        keeping.kept = kept
        keeping.items.clear()


def wrote(backend: Backend, writes: Sequence[Operation] | Sequence[PutItem] | Sequence[SweepItem]) -> None:
    """These items were written: whoever watches is woken, or embeds what was put off; now and then old versions are pruned."""
    ring(backend)
    told_of(backend, writes)
    keeping = _of(backend)
    if type(keeping.kept) is int:
        with _lock:
            keeping.items.update([(write.namespace, write.key) for write in writes])
    keeping.written += len(writes)
    if keeping.written >= (EVERY if type(keeping.kept) is timedelta else ITEMS):
        keeping.written = 0
        prune(backend)


def prune(backend: Backend) -> None:
    """One batch of versions that are not to be kept goes, soon; where they are counted, of all items written since."""
    keeping = _of(backend)
    kept = keeping.kept
    if isinstance(kept, timedelta):
        before = clock.micros() - int(kept.total_seconds() * 1_000_000)
        _commit_soon(backend, PruneHistory(before, BATCH))
    elif isinstance(kept, int):
        with _lock:
            items, keeping.items = sorted(keeping.items), set()
        for some in chunks(items, ITEMS):
            _commit_soon(backend, PruneVersions(tuple(some), kept, BATCH))


def _commit_soon(backend: Backend, removal: Removal) -> None:
    try:
        backend.commit_soon(commit_now(removals=[removal]), _settled)
    except PerdureError as error:  # closed meanwhile: the next process prunes
        _settled(error)


def _settled(outcome: Outcome) -> None:
    if isinstance(outcome, BaseException):
        log.warning("pruning history failed and will be tried again: %s", outcome)
