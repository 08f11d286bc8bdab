"""The tables are there, and are those of this Perdure: migrations, one after the other, one process at a time.

Here: the schema is made where it is missing, and the migrations that are missing are run, each with its record in one
transaction, while programs work. A statement that changes a table waits for its lock only so long as others may be kept waiting
behind it, then makes way and tries again. Not here: which there are (`storage/migrate.py`), indexes of tables that are in use
(`online.py`).
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
from perdure.storage.postgres.online import build, is_online
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.place import Place

__all__ = ["applied", "prepare", "quoted"]

PATIENCE: Final = 300.0  # seconds; another process may be at work on large tables
CLASS: Final = 0x70657264  # "perd": the lock of whoever migrates, beside the schema's own number
LOCK_MILLISECONDS: Final = 100
"""Whoever waits for the lock of a table keeps all waiting who come later. So long, and no longer."""

_DENIED: Final = ("42501", "25006")
_LOCKED: Final = "55P03"
_LONGEST_PAUSE: Final = 0.5
_AFTER_LOCKED: Final = 0.3  # seconds in which those who were kept waiting get on
_HAS_TRANSACTION_LIMIT: Final = 17_00_00

_TABLE: Final = """CREATE TABLE IF NOT EXISTS perdure_migrations (
  number BIGINT PRIMARY KEY,
  name BYTEA NOT NULL,
  at BIGINT NOT NULL
)"""
_RECORD: Final = "INSERT INTO perdure_migrations (number, name, at) VALUES ($1, $2, $3)"


def prepare(connection: Connection, place: Place) -> None:
    """The schema has all tables of this Perdure. Any number of processes may call it at once, while others read and write.

    A role that may only read and write rows is enough where the tables are up to date.

    Args:
        connection: in no transaction.
        place: whose schema it is. One more connection is opened where indexes of tables in use are to be made.

    Raises:
        SchemaTooNew: they were made by a newer Perdure. Nothing was touched.
        Busy: another process is still at it after five minutes, or transactions of others left no gap for so long.
        StorageError: the server refused. Migrations before the one that failed stand; it is tried again at the next opening.
    """
    where = place.name
    waited, pause = 0.0, 0.01
    while True:
        locked = False
        try:
            if not missing("postgres", applied(connection, place.schema), where):
                return
            if _step(connection, place):
                waited, pause = 0.0, 0.01
                continue
        except psycopg.Error as error:
            _end(connection)
            locked = sqlstate_of(error) == _LOCKED
            if not locked and not is_transient(
                error
            ):  # two processes at one place at once: the loser looks again
                raise _refused(error, where) from error
        except BaseException:
            _end(connection)
            raise
        if waited >= PATIENCE:
            raise _too_long(where, locked=locked)
        length = (_AFTER_LOCKED if locked else pause) * (0.5 + random.random())  # noqa: S311 - jitter, not a secret
        time.sleep(length)
        waited += length
        pause = min(_LONGEST_PAUSE, pause * 2)


def _step(connection: Connection, place: Place) -> bool:
    """Runs the first migration that is missing. False: another process is at work.

    The lock is asked for, not waited for: a session that waits in a transaction holds up whoever builds an index
    CONCURRENTLY, which waits for all older transactions in turn. Who holds it and waits for such an index asks nothing meanwhile,
    and a transaction that asks nothing holds up nobody.
    """
    _say(connection, "BEGIN ISOLATION LEVEL READ COMMITTED")  # the others' work is to be seen behind the lock
    ((mine,),) = _say(
        connection, "SELECT pg_try_advisory_xact_lock($1::int, $2::int)", (CLASS, number_of(place.schema))
    )
    if mine:
        _say(connection, "SET LOCAL statement_timeout = 0")  # a table may be large
        _say(connection, f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
        if not _say(connection, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", (place.schema,)):
            _say(connection, f"CREATE SCHEMA {quoted(place.schema)}")
        _say(connection, f"SET LOCAL search_path TO {quoted(place.schema)}")
        if steps := missing("postgres", applied(connection, place.schema), place.name):
            _run(connection, place, steps[0])
    _say(connection, "COMMIT")
    return bool(mine)


def _run(connection: Connection, place: Place, step: Migration) -> None:
    if is_online(step.statements):
        _say(connection, "SET LOCAL idle_in_transaction_session_timeout = 0")
        if connection.info.server_version >= _HAS_TRANSACTION_LIMIT:
            _say(connection, "SET LOCAL transaction_timeout = 0")
        build(place, step.statements)
    _say(connection, _TABLE)
    if not is_online(step.statements):
        for statement in step.statements:
            _say(connection, statement)
    _say(connection, _RECORD, (step.number, step.name.encode(), clock.micros()))


def _too_long(where: str, *, locked: bool) -> Busy:
    if locked:
        return Busy(
            f"{where} could not be brought up to date: for more than {PATIENCE:g} seconds there was always a transaction that had one"
            " of its tables locked when the migration came to it. Nothing was changed by the migration that waited.",
            operation="migrate",
            where=where,
            hint="Look for long transactions in pg_stat_activity, end them, and try again.",
        )
    return Busy(
        f"{where} is being brought up to date by another process, for more than {PATIENCE:g} seconds.",
        operation="migrate",
        where=where,
        hint="Look for it in pg_stat_activity, or wait and try again. This process changed nothing.",
    )


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
