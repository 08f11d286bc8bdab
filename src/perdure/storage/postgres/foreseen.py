"""What was answered last about the vectors of subtrees, so that it can be asked beside the next question (`prompt.py`).

Whether it is still so, the database says: of few namespaces by the rows themselves, of many by a digest of them. A digest of
thousands takes a server a millisecond and more, so what it was compared with is remembered with the moment: two snapshots that
count the same transactions see the same, and no row has to be looked at.
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT

Here: `Foreseen`, `Seen`. Not here: what is asked (`prompt.py`, `queries/prompt.postgres.sql`).
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from perdure.codec import decode_namespace
from perdure.storage.contract import Namespace, VectorSpace

__all__ = ["FEW", "Below", "Foreseen", "Seen"]

FEW: Final = 16
"""Namespaces whose rows are asked for again; of more, a digest."""

_MOST_SPACES: Final = 100_000
_LARGEST: Final = 10_000  # of one subtree

Below = tuple[bytes, bytes, bytes]
"""First namespace, end, model."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Seen:
    """One answer.

    Attributes:
        asked: the question.
        spaces: the same list whenever it is still so.
        digest: of these; None where they are few.
    """

    asked: Below
    spaces: list[VectorSpace]
    digest: bytes | None


class _Moment:
    """One moment of a session, and what was so in it."""

    __slots__ = ("name", "true")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.true: weakref.WeakSet[Seen] = weakref.WeakSet()


class Foreseen:
    """Of one process. Safe from any thread; nothing of it is believed before the database has said it again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Below, Seen] = OrderedDict()
        self._size = 0
        # By session, for a server that crashes or is restored may give the names of transactions again: that ends all sessions.
        self._moments: weakref.WeakKeyDictionary[Any, _Moment] = weakref.WeakKeyDictionary()
        self._names: dict[bytes, Namespace] = {}

    def get(self, asked: Below) -> Seen | None:
        """What was answered; None: not known."""
        with self._lock:
            found = self._kept.get(asked)
            if found is not None:
                self._kept.move_to_end(asked)
            return found

    def learn(self, seen: Seen) -> None:
        """This is so now."""
        with self._lock:
            self._drop(seen.asked)
            size = len(seen.spaces)
            if size > _LARGEST:
                return
            self._kept[seen.asked] = seen
            self._size += size + 1
            while self._size > _MOST_SPACES:
                self._drop(next(iter(self._kept)))

    def forget(self, seen: Seen) -> None:
        """This is so no longer."""
        with self._lock:
            if self._kept.get(seen.asked) is seen:
                self._drop(seen.asked)

    def _drop(self, asked: Below) -> None:
        before = self._kept.pop(asked, None)
        if before is not None:
            self._size -= len(before.spaces) + 1

    def moment(self, session: object, seen: Seen) -> bytes:
        """The moment in which it was so, as this session has named it; empty: none is known."""
        with self._lock:
            known = self._moments.get(session)
            return known.name if known is not None and seen in known.true else b""

    def was_so(self, session: object, seen: Seen, moment: bytes) -> None:
        """It was so in this moment of the session."""
        with self._lock:
            known = self._moments.get(session)
            if known is None or known.name != moment:
                known = self._moments[session] = _Moment(moment)
            known.true.add(seen)

    def name_of(self, stored: bytes) -> Namespace:
        """The namespace of these bytes."""
        found = self._names.get(stored)
        if found is None:
            if len(self._names) >= _MOST_SPACES:
                self._names = {}
            found = self._names[stored] = decode_namespace(stored)
        return found
