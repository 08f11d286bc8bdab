"""The tables are there, and are those of this Perdure: migrations, one after the other, one process at a time.

Here: the schema is made where it is missing, and the migrations that are missing are run, each with its record in one
transaction. Not here: which there are (`storage/migrate.py`).
"""

from __future__ import annotations

import random
import time
from typing import Any, Final
from zlib import crc32

from perdure import clock
from perdure.errors import Busy, StorageError
from perdure.storage.migrate import Migration, missing
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import is_lost, is_transient, sqlstate_of, translated
from perdure.storage.postgres.opening import Connection

__all__ = ["applied", "prepare", "quoted"]

PATIENCE: Final = 300.0  # seconds; another process may be at work on large tables
CLASS: Final = 0x70657264  # "perd": the lock of whoever migrates, beside the schema's own number
_DENIED: Final = ("42501", "25006")
_LONGEST_PAUSE: Final = 0.5

_TABLE: Final = """CREATE TABLE IF NOT EXISTS perdure_migrations (
  number BIGINT PRIMARY KEY,
  name BYTEA NOT NULL,
  at BIGINT NOT NULL
)"""
_RECORD: Final = "INSERT INTO perdure_migrations (number, name, at) VALUES ($1, $2, $3)"


def prepare(connection: Connection, schema: str, where: str) -> None:
    """The schema has all tables of this Perdure. Any number of processes may call it at once.

    A role that may only read and write rows is enough where the tables are up to date.

    Args:
        connection: in no transaction.
        schema: its name, not quoted.
        where: the database's name, for messages.

    Raises:
        SchemaTooNew: they were made by a newer Perdure. Nothing was touched.
        Busy: another process is still at it after five minutes.
        StorageError: the server refused. Migrations before the one that failed stand; it is tried again at the next opening.
    """
    waited, pause = 0.0, 0.01
    while True:
        try:
            steps = missing("postgres", applied(connection, schema), where)
            if not steps:
                return
            if _step(connection, schema, where):
                waited, pause = 0.0, 0.01
                continue
        except psycopg.Error as error:
            _end(connection)
            if not is_transient(error):  # two processes at one place at once: the loser looks again
                raise _refused(error, where) from error
        except BaseException:
            _end(connection)
            raise
        if waited >= PATIENCE:
            raise Busy(
                f"{where} is being brought up to date by another process, for more than {PATIENCE:g} seconds.",
                operation="migrate",
                where=where,
                hint="Look for it in pg_stat_activity, or wait and try again. This process changed nothing.",
            )
        length = pause * (0.5 + random.random())  # noqa: S311 - jitter, not a secret
        time.sleep(length)
        waited += length
        pause = min(_LONGEST_PAUSE, pause * 2)


def _step(connection: Connection, schema: str, where: str) -> bool:
    """Runs the first migration that is missing. False: another process is at work.

    The lock is asked for, not waited for: a session that waits in a transaction holds up whoever builds an index
    CONCURRENTLY, which waits for all older transactions in turn.
    """
    _say(connection, "BEGIN ISOLATION LEVEL READ COMMITTED")  # the others' work is to be seen behind the lock
    ((mine,),) = _say(
        connection, "SELECT pg_try_advisory_xact_lock($1::int, $2::int)", (CLASS, number_of(schema))
    )
    if mine:
        _say(connection, "SET LOCAL statement_timeout = 0")  # a table may be large
        if not _say(connection, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", (schema,)):
            _say(connection, f"CREATE SCHEMA {quoted(schema)}")
        _say(connection, f"SET LOCAL search_path TO {quoted(schema)}")
        if steps := missing("postgres", applied(connection, schema), where):
            _run(connection, steps[0])
    _say(connection, "COMMIT")
    return bool(mine)


def _run(connection: Connection, step: Migration) -> None:
    _say(connection, _TABLE)
    for statement in step.statements:
        _say(connection, statement)
    _say(connection, _RECORD, (step.number, step.name.encode(), clock.micros()))


def applied(connection: Connection, schema: str) -> int:
    """The number of the newest migration that was run; 0: none."""
    there = _say(connection, "SELECT to_regclass($1) IS NOT NULL", (f"{quoted(schema)}.perdure_migrations",))
    if not there[0][0]:
        return 0
    ((number,),) = _say(
        connection,
        f"SELECT coalesce(max(number), 0) FROM {quoted(schema)}.perdure_migrations",  # noqa: S608 - a quoted name
    )
    return int(number)


def quoted(name: str) -> str:
    """A name of SQL."""
    return '"' + name.replace('"', '""') + '"'


def _say(connection: Connection, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    """The rows that a statement gives, none if it gives none."""
    cursor = connection.execute(sql.encode(), values or None, prepare=False)  # each is said once
    return cursor.fetchall() if cursor.description is not None else []


def number_of(schema: str) -> int:
    """A schema's number in the lock, of 32 bits with a sign. Two that share one wait for each other, which does no harm."""
    number = crc32(schema.encode())
    return number - (1 << 32) if number >= 1 << 31 else number


def _end(connection: Connection) -> None:
    if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        try:
            connection.rollback()
        except psycopg.Error:
            connection.close()


def _refused(error: psycopg.Error, where: str) -> StorageError:
    if sqlstate_of(error) not in _DENIED:
        return translated(error, "migrate", where, written=None if is_lost(error) else False)
    said = " ".join(str(error).split())
    return StorageError(
        f"{where} has no tables of this Perdure, or older ones, and this role may not make them ({said},"
        f" {sqlstate_of(error)}). Nothing was changed.",
        operation="migrate",
        where=where,
        hint="Open the database once as a role that may: docs/how-to/run-on-postgres.md, Roles.",
    )
