"""Several statements in one transaction and one round trip, for what is no commit: done twice, it is done once.

Here: `together`. Not here: commits (`transactions.py`), single statements (`patiently` in `readings.py`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final

from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import is_lost, is_transient, translated
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.talking import Said, say_all
from perdure.storage.postgres.turns import keep_out

__all__ = ["together"]

_TRIES: Final = 5
_PAUSE: Final = 0.02


def together(line: Line, operation: str, said: Sequence[Said], *, alone: bool = False) -> None:
    """All of it, or an error and nothing of it. Again where others were in the way, or a connection was lost.

    Args:
        line: to the database.
        operation: what an error says failed.
        said: the statements.
        alone: in a moment in which no commit is under way, which is waited for without keeping others from beginning.
    """
    q = line.statements
    told = [line.limits] if line.limits else []
    begin: list[Said] = [] if alone else [(q["begin_write"].text, ()), *((text, ()) for text in told)]
    for left in reversed(range(_TRIES)):
        connection = line.take()
        sound = False
        try:
            if alone:
                keep_out(connection, q, line.place.lock_seconds, told)
            say_all(connection, [*begin, *said, (q["commit"].text, ())])
            sound = True
        except psycopg.Error as error:
            if not left or not (is_lost(error) or is_transient(error)):
                raise translated(error, operation, line.place.name) from error
        else:
            return
        finally:
            line.give(connection, sound=sound)  # one that is still in its transaction is closed
        time.sleep(_PAUSE * (1 + random.random()))  # noqa: S311 - jitter, not a secret
