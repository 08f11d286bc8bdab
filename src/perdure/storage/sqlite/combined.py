"""A whole commit as one statement: SQLite does in one call what else takes BEGIN, a statement a table, and COMMIT.

Python gives its lock back at every statement, which costs some microseconds, and milliseconds beside a busy thread. So for
each combination of statements that comes again and again the writer's connection has a temporary view with a trigger:
one row inserted into the view is one row of each table, within the statement's own transaction. The views live in the
connection's memory, never in the file. https://sqlite.org/lang_createtrigger.html#instead_of_triggers

Here: texts. Not here: which rows (`gathering.py`), when (`transactions.py`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from itertools import count
from typing import Final

from perdure.storage.sqlite.connections import Connection
from perdure.storage.sqlite.statements import ROW

_MOST_STATEMENTS: Final = 8  # more gain nothing: what is spared is small beside what they cost
_MOST_TEXTS: Final = 64
_SEEN_BEFORE: Final = 2  # how often a combination must come before it is worth a view


class Combined:
    """The views of one connection: `text(statements)` inserts the values of all of them, one after the other."""

    def __init__(self, *, usable: bool) -> None:
        self._usable = usable  # False: the connection is, or may be, a user's
        self._texts: dict[tuple[str, ...], str] = {}
        self._seen: Counter[tuple[str, ...]] = Counter()

    def text(self, database: Connection, statements: tuple[str, ...]) -> str | None:
        """The one statement for these (by name), run in their order; None: there is none, or not yet. Not within a transaction."""
        text = self._texts.get(statements)
        if (
            text is None
            and self._usable
            and len(statements) <= _MOST_STATEMENTS
            and len(self._texts) < _MOST_TEXTS
        ):
            self._seen[statements] += 1
            if self._seen[statements] > _SEEN_BEFORE:
                text = self._texts[statements] = _made(database, len(self._texts), statements)
        return text or None


def _made(database: Connection, number: int, statements: tuple[str, ...]) -> str:
    """Makes the view; "" if the connection refuses."""
    name = f"perdure_combined_{number}"
    places = count(1)
    # A conflict clause of these statements holds within a trigger as long as the outer INSERT has none of its own.
    body = [_with_names(ROW[statement], places) for statement in statements]
    size = next(places) - 1
    columns = ", ".join(f"NULL AS v{n}" for n in range(1, size + 1))
    try:
        database.execute(f"CREATE TEMP VIEW {name} AS SELECT {columns}")
        database.execute(
            f"CREATE TEMP TRIGGER {name}_in INSTEAD OF INSERT ON {name} BEGIN {'; '.join(body)}; END"
        )
    except sqlite3.Error:  # nothing depends on it
        return ""
    return f"INSERT INTO {name} VALUES ({', '.join('?' * size)})"  # noqa: S608 - a name and places of ours


def _with_names(statement: str, places: count[int]) -> str:
    """The statement with `new.v1`, `new.v2` ... for its `?`: none of ours has a `?` that is no value."""
    first, *rest = statement.split("?")
    return first + "".join(f"new.v{next(places)}{part}" for part in rest)
