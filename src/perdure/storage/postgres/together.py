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

__all__ = ["together"]

_TRIES: Final = 5
_PAUSE: Final = 0.02


def together(line: Line, operation: str, said: Sequence[Said]) -> None:
    """All of it, or an error and nothing of it. Again where others were in the way, or a connection was lost."""
    q = line.statements
    begin: list[Said] = [(q["begin_write"].text, ())]
    if line.limits:
        begin.append((line.limits, ()))
    for left in reversed(range(_TRIES)):
        connection = line.take()
        sound = False
        try:
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
