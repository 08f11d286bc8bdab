"""How a connection is opened: our settings, and what a pooler between would not allow.

Not here: URLs (`place.py`), keeping connections (`connections.py`), what an error means (`faults.py`).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from perdure.errors import StorageError
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import unreachable
from perdure.storage.postgres.place import Place, quoted

__all__ = ["Connection", "Opened", "connect"]

OLDEST: Final = 15_00_00
PREPARE_AFTER: Final = 2  # a statement is prepared when it comes the third time
PREPARED: Final = 512  # more than there are, so none is given up for another


class Connection(psycopg.Connection[Any]):
    """As psycopg's."""

    inherited = False  # by a fork: it is another process's, and not ours to close
    parting = False  # its transaction ends with what was sent last, and whose answer was not waited for (`talking.part`)

    def __del__(self, *args: Any) -> None:
        if not self.inherited:
            super().__del__(*args)


class Opened(NamedTuple):
    """A connection, and what was found out about the way to the server."""

    connection: Connection
    pooled: bool  # a pooler is between, so a session keeps nothing from one transaction to the next


def connect(place: Place, *, pooled: bool = False) -> Opened:
    """A connection with our settings: autocommit (BEGIN and COMMIT are written out), `$1` for parameters.

    Whether a pooler such as PgBouncer is between is found out in two ways: it refuses settings at the start of a session
    (`options`), or the process that answers is not the one whose number was given when connecting, which is how poolers
    that share servers between clients look from outside. A pooler that does neither is not seen; then `prepare=off`.

    Args:
        place: which database.
        pooled: it is known already.

    Raises:
        Unavailable: nobody answers, or the server is starting, stopping or full.
        StorageError: it refuses: no such database, user or password, or it is too old.
    """
    tell = place.prepare != "off" and not pooled  # the session, when it begins
    try:
        connection = _open(place, tell=tell)
    except psycopg.Error as error:
        if not tell or "unsupported startup parameter" not in str(error):
            raise unreachable(error, place.name) from error
        tell = False
        try:
            connection = _open(place, tell=False)
        except psycopg.Error as again:
            raise unreachable(again, place.name) from again
    try:
        return Opened(connection, _settle(connection, place, tell))
    except psycopg.Error as error:
        connection.close()
        raise unreachable(error, place.name) from error
    except BaseException:
        connection.close()
        raise


def _open(place: Place, *, tell: bool) -> Connection:
    limits = [f"-c {name}={value}" for name, value in place.limits if tell]
    options = " ".join(filter(None, [*limits, place.options]))  # the user's own come last, and win
    conninfo = f"{place.conninfo} options={quoted(options)}" if options else place.conninfo
    connection = Connection.connect(
        conninfo, autocommit=True, cursor_factory=psycopg.RawCursor, prepare_threshold=None
    )
    connection.prepared_max = PREPARED
    return connection


def _settle(connection: Connection, place: Place, told: bool) -> bool:
    """Whether sessions keep nothing; otherwise this one has its limits and may prepare statements."""
    version = connection.info.server_version
    if version < OLDEST:
        raise StorageError(
            f"{place.name} is Postgres {version // 10000}; Perdure needs {OLDEST // 10000} or newer.",
            operation="connect",
            where=place.name,
        )
    if place.prepare == "on":
        if not told:
            for name, value in place.limits:
                connection.execute("SELECT set_config($1, $2, false)", (name, str(value))).close()
    elif not told or not _is_itself(connection):
        return True
    connection.prepare_threshold = PREPARE_AFTER
    return False


def _is_itself(connection: Connection) -> bool:
    """Whether the process that answers is the one that the connection was promised."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] == connection.info.backend_pid
