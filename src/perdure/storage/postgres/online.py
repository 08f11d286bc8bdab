"""Indexes of tables that are in use: made while others write, outside of any transaction, made again where that was cut short.

`CREATE INDEX CONCURRENTLY` keeps nobody from writing. It cannot be part of a transaction, so a migration of such statements has no
other: each may be done twice, and what is there already is left alone. What a crash leaves half-built is of no use to anybody, costs
what an index costs, and is dropped.
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY

Here: `build`. Not here: who builds, and that it is written down (`migrating.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from perdure.errors import Busy, StorageError
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import is_transient
from perdure.storage.postgres.opening import Connection, connect
from perdure.storage.postgres.place import Place
from perdure.storage.postgres.statements import qualified

__all__ = ["build", "is_online"]

PATIENCE: Final = 300.0  # seconds in which an index that a dead client had begun is built to its end
_PAUSE: Final = 0.1
_TRIES: Final = 5
_MAKE: Final = re.compile(r"CREATE (UNIQUE )?INDEX CONCURRENTLY (perdure_\w+)\s+(ON\s.+)", re.DOTALL)
_DROP: Final = re.compile(r"DROP INDEX CONCURRENTLY IF EXISTS (perdure_\w+)")

# Whether the index can be used, and whether somebody is building it at this moment.
_STATE: Final = """SELECT i.indisvalid AND i.indisready AND i.indislive,
       EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_index i ON i.indexrelid = c.oid
 WHERE n.nspname = $1
   AND c.relname = $2"""
_NO_LIMITS: Final = ("statement_timeout", "lock_timeout")


def is_online(statements: Sequence[str]) -> bool:
    """Whether these are made outside of a transaction.

    Raises:
        StorageError: some are, others cannot be: they belong into a migration of their own.
    """
    kinds = {bool(_MAKE.fullmatch(one) or _DROP.fullmatch(one)) for one in statements}
    if len(kinds) == 2 or (kinds == {False} and any("CONCURRENTLY" in one for one in statements)):
        raise StorageError(
            "a migration mixes statements of a transaction with some that cannot be in one. This is a bug of Perdure's; nothing was changed.",
            operation="migrate",
        )
    return kinds == {True}


def build(place: Place, statements: Sequence[str]) -> None:
    """All these indexes are there and can be used, or gone. On a connection of its own; waits for transactions older than this.

    Raises:
        Busy: one is being built for somebody who is gone, and is not done after five minutes.
        psycopg.Error: the server refused; what was done before stands, what was begun is made again the next time.
    """
    opened = connect(place)
    with closing(opened.connection) as connection:
        if not opened.pooled:  # behind a pooler a session keeps no settings; there the role's count
            for name in _NO_LIMITS:
                connection.execute(f"SET {name} = 0".encode()).close()
        for statement in statements:
            if made := _MAKE.fullmatch(statement):
                _make(connection, place, made[2], made[1] or "", made[3])
            elif dropped := _DROP.fullmatch(statement):
                _drop(connection, place, dropped[1])


def _make(connection: Connection, place: Place, name: str, unique: str, rest: str) -> None:
    text = f"CREATE {unique}INDEX CONCURRENTLY {name} {qualified(rest, place.schema)}".encode()
    for left in reversed(range(_TRIES)):
        if _there(connection, place, name):
            return
        try:
            connection.execute(text, prepare=False).close()
        except psycopg.Error as error:
            if not left or not is_transient(error):
                raise
        else:
            return


def _there(connection: Connection, place: Place, name: str) -> bool:
    """Whether it can be used. What is left of it otherwise is dropped, once nobody is at it any more."""
    until = time.monotonic() + PATIENCE
    while found := connection.execute(_STATE.encode(), (place.schema, name), prepare=False).fetchall():
        ((usable, at_work),) = found
        if usable:
            return True
        if not at_work:
            _drop(connection, place, name)
            return False
        if time.monotonic() > until:
            raise Busy(
                f"{place.name}: the index {name} is being built by a session that nobody waits for, for more than {PATIENCE:g} seconds.",
                operation="migrate",
                where=place.name,
                hint="Wait for it (pg_stat_progress_create_index) or end that session, and try again.",
            )
        time.sleep(_PAUSE)
    return False


def _drop(connection: Connection, place: Place, name: str) -> None:
    text = f"DROP INDEX CONCURRENTLY IF EXISTS {qualified(name, place.schema)}"
    connection.execute(text.encode(), prepare=False).close()
