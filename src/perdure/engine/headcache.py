"""Decoded heads of recently used threads, so that a turn of a long thread does not decode all of it again.

An entry counts only while the stored head is the same checkpoint of the same revision (it may have been put anew, or the
thread restored, by another process), and only if its values still equal their shadows:
user code shares the deeper objects and may have changed them in place since.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from copy import copy
from typing import Any, Final

from perdure.channels.base import MISSING
from perdure.errors import PerdureError
from perdure.storage.chains import Head, Pieces, aad
from perdure.storage.contract import Backend, CheckpointRow

LIMIT: Final = 128

_Key = tuple[str, str, str]


class HeadCache:
    """A bounded, least-recently-used map. Safe from any thread; an entry is taken out while a run uses it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._heads: OrderedDict[_Key, Head] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<HeadCache {len(self._heads)} of {self._limit}>"

    def take(self, backend: Backend, thread: str, ns: str) -> Head | None:
        """The entry, which is nobody else's from now on; None."""
        with self._lock:
            return self._heads.pop((backend.identity, thread, ns), None)

    def put(self, backend: Backend, head: Head) -> None:
        """The head may be taken by the next run on its chain."""
        with self._lock:
            self._heads[backend.identity, head.thread, head.ns] = head
            self._heads.move_to_end((backend.identity, head.thread, head.ns))
            while len(self._heads) > self._limit:
                self._heads.popitem(last=False)

    def peek(self, backend: Backend, row: CheckpointRow, pieces: Pieces) -> Head | None:
        """A copy of the entry for reading, if it is this very checkpoint and intact; the entry stays."""
        with self._lock:  # held throughout: while it is, no run takes the entry and changes it
            head = self._heads.get((backend.identity, row.thread, row.ns))
            if head is None or (head.id, head.revision) != (row.id, row.revision) or not intact(head, pieces):
                return None
            made = copy(head)
            made.versions = dict(head.versions)
            made.seen = {node: dict(known) for node, known in head.seen.items()}
            made.values = {name: _own(value) for name, value in head.values.items()}
            return made

    def likely(self, backend: Backend, thread: str, ns: str) -> str | None:
        """The id that the chain's newest checkpoint had when a run of this process ended; None: not known."""
        with self._lock:
            head = self._heads.get((backend.identity, thread, ns))
            return None if head is None else head.id

    def begin_anew(self) -> None:
        """In the child of a fork: nobody holds the lock, and nothing is known."""
        self._lock = threading.Lock()
        self._heads.clear()

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self._heads.clear()


def _own(value: Any) -> Any:
    return copy(value) if type(value) in (list, dict, set) else value


def intact(head: Head, pieces: Pieces) -> bool:
    """Whether the decoded values are still what is stored; small ones are simply decoded again."""
    for name, stored in head.stored.items():
        at = stored.at
        if at is None:
            head.values.pop(name, None)
        elif isinstance(at, bytes):
            try:
                head.values[name] = pieces.decode(at, aad=aad(head.thread, "inline", name))
            except PerdureError:
                return False
        elif stored.shadow is None or not stored.shadow.stands(head.values.get(name, MISSING)):
            return False
    return True


HEADS: Final = HeadCache()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HEADS.begin_anew)
