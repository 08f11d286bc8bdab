"""The tables are there, and are those of this Perdure: migrations, one after the other, under a lock.

Here: a schema that is missing is made, and migrations that are missing are run. Not here: which there are (`migrate.py`).
"""

from __future__ import annotations

from typing import Final

from perdure import clock
from perdure.storage.migrate import missing
from perdure.storage.postgres.locks import halves, key_of_all
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.statements import qualified
from perdure.storage.postgres.talking import say

__all__ = ["prepare"]

_THERE: Final = b"SELECT to_regclass($1)"
_LOCK: Final = b"SELECT pg_advisory_xact_lock($1::int, $2::int)"
_APPLIED: Final = "SELECT coalesce(max(number), 0) FROM perdure_migrations"
_RECORD: Final = b"INSERT INTO perdure_migrations (number, name, at) VALUES ($1, $2, $3)"
_TABLE: Final = b"""CREATE TABLE IF NOT EXISTS perdure_migrations (
  number BIGINT PRIMARY KEY,
  name BYTEA NOT NULL,
  at BIGINT NOT NULL
)"""


def prepare(connection: Connection, schema: str, where: str) -> None:
    """The schema has all tables of this Perdure.

    Raises:
        SchemaTooNew: they were made by a newer one.
        psycopg.Error: the server refused.
    """
    quoted = '"' + schema.replace('"', '""') + '"'
    if not missing("postgres", _applied(connection, schema), where):
        return
    say(connection, b"BEGIN")
    try:
        high, low = halves(key_of_all(schema))
        say(connection, _LOCK, (high - (1 << 31), low - (1 << 31)))
        if not say(connection, b"SELECT 1 FROM pg_namespace WHERE nspname = $1", (schema,)):
            say(connection, f"CREATE SCHEMA IF NOT EXISTS {quoted}".encode())
        say(connection, f"SET LOCAL search_path TO {quoted}".encode())
        say(connection, _TABLE)
        for step in missing("postgres", _applied(connection, schema), where):
            for statement in step.statements:
                say(connection, statement.encode())
            say(connection, _RECORD, (step.number, step.name.encode(), clock.micros()))
    except BaseException:
        say(connection, b"ROLLBACK")
        raise
    say(connection, b"COMMIT")


def _applied(connection: Connection, schema: str) -> int:
    quoted = '"' + schema.replace('"', '""') + '"'
    ((there,),) = say(connection, _THERE, (f"{quoted}.perdure_migrations",))
    if there is None:
        return 0
    ((applied,),) = say(connection, qualified(_APPLIED, schema).encode())
    return int(applied)
