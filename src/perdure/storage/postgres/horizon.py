"""Up to which commit nothing more can come: the order of revisions without a lock that all commits share.

Commits draw their numbers from a sequence and become visible in another order. So of any moment there is a greatest number
up to which all commits are decided: visible, or never to be. Up to there revisions are read, watched, and looked back to.
A number that is missing below a visible one is of a commit under way, or of one that failed. This process knows its own
failures; else the transactions that were under way when it was looked for are waited for (decision 0014).

Here: `Horizon`, one a backend. Not here: what is asked of whom (`queries/writing.postgres.sql`, `readings.py`).
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from perdure.storage.postgres.locks import halves, key_of_all
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.statements import Statements
from perdure.storage.postgres.talking import say, say_all

__all__ = ["Horizon", "Reach"]

_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.02

Reach = tuple[int, bool]
"""The greatest seq up to which all is decided and seen, and whether any is seen beyond."""


class Horizon:
    """What this process knows of it. Safe from any thread."""

    def __init__(self, statements: Statements) -> None:
        self._lock = threading.Lock()
        self._statements = statements
        self._halves = halves(key_of_all(statements.schema))
        self._decided = 0
        self._void: set[int] = set()

    def after_fork(self) -> None:
        """In the child: whoever held the lock is not here."""
        self._lock = threading.Lock()

    @property
    def decided(self) -> int:
        """All up to this seq are decided. Only what begins to look after this was asked sees all of them."""
        return self._decided

    def void(self, seqs: Iterable[int]) -> None:
        """Commits that will never be seen."""
        with self._lock:
            self._void.update(seq for seq in seqs if seq > self._decided)

    def reach(self, decided: int, seen: Sequence[int], most: int) -> Reach:
        """How far a moment reaches.

        Args:
            decided: as it was before the moment.
            seen: the seqs of later commits that can be seen, in order.
            most: how many were asked for.
        """
        at = decided
        with self._lock:
            for seq in seen:
                while at + 1 < seq and at + 1 in self._void:
                    at += 1
                if at + 1 != seq:
                    self._advance(at)
                    return at, True
                at = seq
            self._advance(at)
        return at, len(seen) >= most

    @staticmethod
    def reach_of_old(decided: int, seen: Sequence[int], most: int, made: Sequence[int]) -> Reach:
        """As `reach`, of a moment in the past; `made`: all commits since `decided`, when these were settled, in order."""
        at = decided
        for seq in seen:
            if at + 1 != seq and (first := made[bisect_right(made, at)]) != seq:
                return first - 1, True
            at = seq
        return at, len(seen) >= most

    def _advance(self, seq: int) -> None:
        if seq > self._decided:
            self._decided = seq
            self._void = {one for one in self._void if one > seq}

    def settle(self, connection: Connection, seconds: float) -> bool:
        """All commits that had drawn a number when this was called are decided; False: not within that time.

        Args:
            connection: in no transaction.
            seconds: how long to wait.
        """
        until = time.monotonic() + seconds
        drawn, under_way = self._statements["drawn"].text, self._statements["under_way"].text
        ((last,),), rows = say_all(connection, [(drawn, ()), (under_way, self._halves)])
        left = set(rows)  # whoever comes later draws a later number
        pause = _FIRST_PAUSE
        while left:
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            left.intersection_update(say(connection, under_way, self._halves))
        with self._lock:
            self._advance(last)
        return True
