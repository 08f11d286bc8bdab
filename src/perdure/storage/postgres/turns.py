"""Waiting for all who are under way without keeping others from beginning for long.

Whoever wants a lock that others share is first in the line, and all who come wait behind it: if one of those who have the lock takes
its time, nobody can write. So the lock is asked for briefly, again and again, with pauses that grow and differ; and once
longer at the end, so that a crowd of short transactions cannot keep it away for ever.

Here: `Turns`, how long each attempt waits, and `keep_out`. Not here: what commits lock (`locks.py`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final

from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import is_locked, is_lost
from perdure.storage.postgres.locks import key_of_all
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.statements import Statements
from perdure.storage.postgres.talking import say

__all__ = ["BRIEF_SECONDS", "LAST_SECONDS", "Turns", "in_milliseconds", "keep_out"]

BRIEF_SECONDS: Final = 0.05
LAST_SECONDS: Final = 1.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


class Turns:
    """Attempts to get a lock that keeps others waiting.

    Args:
        seconds: after which it is given up.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE
        self._last = False

    @property
    def wait(self) -> float:
        """How many seconds this attempt may wait."""
        return min(self._seconds, LAST_SECONDS if self._last else BRIEF_SECONDS)

    def again(self) -> float | None:
        """How many seconds to stand back before the next attempt; None: that was the last."""
        if self._last:
            return None
        pause = self._pause * (0.5 + random.random())  # noqa: S311 - jitter, not a secret
        self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        self._last = time.monotonic() + pause + LAST_SECONDS > self._until
        return pause


def in_milliseconds(seconds: float) -> str:
    """As the server's settings have it: at least one, for 0 is for ever."""
    return str(max(1, round(seconds * 1000)))


def keep_out(
    connection: Connection, statements: Statements, seconds: float, told: Sequence[bytes] = ()
) -> None:
    """A transaction begins, on this connection, in which no commit is under way, and before its end none begins.

    Args:
        connection: in no transaction.
        statements: of the schema.
        seconds: how long to wait for those under way; then an error of `psycopg`'s, which `is_locked`.
        told: what the transaction is told first.
    """
    turns = Turns(seconds)
    while True:
        say(connection, statements["begin_write"].text)
        try:
            for text in told:
                say(connection, text)
            say(connection, b"SELECT set_config('lock_timeout', $1, true)", (in_milliseconds(turns.wait),))
            say(connection, statements["lock_way"].text, (key_of_all(statements.schema),))
        except psycopg.Error as error:
            if not is_lost(error):
                say(connection, statements["rollback"].text)
            pause = turns.again() if is_locked(error) else None
            if pause is None:
                raise
        else:
            return
        time.sleep(pause)
