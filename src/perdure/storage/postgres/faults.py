"""What the server and `psycopg` say, in our words: errors of the driver never leave this package.

Here: the table of SQLSTATEs, and the three questions of a backend: is it over by trying again (`is_transient`), is the
connection gone (`is_lost`), what is the caller told (`translated`). Not here: who tries again, and how often.
"""

from __future__ import annotations

import re
from typing import Final

from perdure.errors import Busy, StorageError, Unavailable
from perdure.storage.postgres.driver import psycopg

__all__ = [
    "closed",
    "is_locked",
    "is_lost",
    "is_read_only",
    "is_transient",
    "sqlstate_of",
    "translated",
    "unreachable",
]

# https://www.postgresql.org/docs/current/errcodes-appendix.html
SERIALIZATION_FAILURE: Final = "40001"
DEADLOCK: Final = "40P01"
UNIQUE_VIOLATION: Final = "23505"
READ_ONLY: Final = "25006"
LOCKED: Final = "55P03"
CANCELED: Final = "57014"
_TRANSIENT: Final = frozenset({SERIALIZATION_FAILURE, DEADLOCK, UNIQUE_VIOLATION})
# The session is over: the server ends it for these, whatever it was doing.
_ENDED: Final = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04"})

# SQLSTATE, or its class -> what happened to the database, what to do. Those of `_BUSY` and `_AWAY` may be tried again.
_MEANINGS: Final[dict[str, tuple[str, str]]] = {
    "08": ("lost the connection", "Check that the server runs and the network reaches it, then try again."),
    "08P01": (
        "refused how it was spoken to",
        "A pooler between may not take an option: see docs/how-to/run-on-postgres.md, PgBouncer.",
    ),
    "22": ("refused a value", "This is a bug of Perdure's; please report it."),
    "2200H": (
        "has no number left for a new namespace, or for a new log of a thread: 2^31 of each were given out",
        "What is there can still be written. `perdure db copy` into a new schema or server numbers all anew, without those that are"
        " gone; or give new tenants a database of their own: docs/explanation/scale.md.",
    ),
    "23505": ("refused a row that exists already", "Two writers were at one place at once; try again."),
    "25006": (
        "is read-only: a replica, or a session with default_transaction_read_only",
        "Give the URL of the primary; with several hosts add target_session_attrs=read-write. After a failover try again.",
    ),
    "25P03": (
        "ended a transaction that waited longer than idle_in_transaction_session_timeout",
        "A process was stopped or very slow in the middle of a commit; try again.",
    ),
    "25P04": ("ended a transaction that took longer than transaction_timeout", "Try again, or raise it."),
    "28": (
        "does not let this user in",
        "Check user, password and the server's pg_hba.conf.",
    ),
    "3D000": ("does not exist", "Create the database first, or check the URL for a misspelling."),
    "3F000": ("has no such schema", "Create it, or let a role that may create it open the database once."),
    "40001": ("kept colliding with other transactions", "Try again."),
    "40P01": ("kept colliding with other transactions", "Try again."),
    "42501": (
        "does not let this role do that",
        "Grant it what docs/how-to/run-on-postgres.md lists, or open the database once as its owner.",
    ),
    "42P01": (
        "lacks a table of ours",
        "It was dropped, or the schema= of the URL is another one; open the database anew.",
    ),
    "53100": ("is on a full disk", "Free space on the server and try again."),
    "53200": ("is out of memory", "Free memory on the server and try again."),
    "53300": (
        "has no connection left",
        "Lower pool_max= of the programs that use it, raise max_connections, or put PgBouncer between.",
    ),
    "53": ("is out of resources", "See the server's log."),
    "55P03": (
        "was locked by another transaction for longer than lock_timeout",
        "Look for a session that holds a transaction open (pg_stat_activity), or raise lock_timeout= in the URL.",
    ),
    "57014": (
        "took longer than statement_timeout, or the statement was cancelled",
        "Raise statement_timeout= in the URL, or ask for less at once.",
    ),
    "57P": ("ended the connection", "The server is stopping or starting; try again."),
    "58": ("could not read or write its files", "See the server's log."),
    "XX001": ("is damaged", "See the server's log; restore a copy."),
    "XX002": ("has a damaged index", "See the server's log; REINDEX it."),
    "TLS": (
        "cannot be reached with the encryption that was asked for",
        "Check sslmode=, sslrootcert= and the server's certificate.",
    ),
    "0A000": ("does not know how to do that", "Perdure needs Postgres 15 or newer."),
}
# What was said when a connection was refused: the driver has no SQLSTATE there, only the server's words.
_WORDS: Final = (
    ("unsupported startup parameter", "08P01"),
    ("too many clients", "53300"),
    ("too many connections", "53300"),
    ("connection slots", "53300"),
    ("the database system is", "57P03"),
    ("terminating connection", "57P01"),
    ("permission denied for database", "42501"),
    ("certificate", "TLS"),
    ("SSL", "TLS"),
    ("authentication", "28000"),
    ("pg_hba.conf", "28000"),
    ("no password supplied", "28000"),
    ("session is read-only", READ_ONLY),
    ("server is in hot standby mode", READ_ONLY),
    ("is not permitted to log in", "28000"),
)
_NO_ROLE: Final = re.compile(r'role ".*" does not exist', re.DOTALL)
_NO_DATABASE: Final = re.compile(r'database ".*" does not exist', re.DOTALL)
_BUSY: Final = frozenset({"55P03", SERIALIZATION_FAILURE, DEADLOCK, UNIQUE_VIOLATION})
_AWAY: Final = ("08", READ_ONLY, "25P03", "25P04", "53300", "57")


def sqlstate_of(error: BaseException) -> str:
    """The five letters that say what it is; "" where the error is the driver's own."""
    return getattr(error, "sqlstate", None) or ""


def is_transient(error: BaseException) -> bool:
    """Whether the same commit, done again from its beginning, may well succeed: others were in the way.

    A serialisation failure, a deadlock, or a row that another commit has put there meanwhile. Nothing was written.
    """
    return sqlstate_of(error) in _TRANSIENT


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone. At COMMIT that means: whether it was written is unknown.

    08P01 among others: PgBouncer says it where it lost the server.
    """
    state = sqlstate_of(error)
    if state:
        return state in _ENDED or state[:2] == "08"
    # The driver's own: it read the end of the stream, or could not send. `PipelineAborted` is only the echo of another.
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not isinstance(
        error, psycopg.errors.PipelineAborted
    )


def is_locked(error: BaseException) -> bool:
    """Whether another transaction has had a lock for longer than this one waits."""
    return sqlstate_of(error) == LOCKED


def is_read_only(error: BaseException) -> bool:
    """Whether the server is one that cannot be written to: after a failover, the old primary."""
    return sqlstate_of(error) == READ_ONLY


def translated(
    error: BaseException, operation: str, where: str, *, written: bool | None = False
) -> StorageError:
    """The driver's error as ours: what happened, to which database, what to do.

    Args:
        error: of `psycopg`.
        operation: what was being done, e.g. `"commit"`.
        where: the database's name (`Place.name`), which has no password.
        written: what is known about it: False is nothing was, None is unknown.
    """
    state = sqlstate_of(error)
    if is_lost(error) and not state:
        state = "08006"
    what, hint = _meaning(state)
    said = " ".join(str(error).split()) or type(error).__name__
    wrote = {
        False: " Nothing was written.",
        True: " All was written.",
        None: " Whether it was written is unknown.",
    }
    because = f"{operation}: {said}, {sqlstate_of(error) or type(error).__name__}"
    message = f"{where} {what} ({because}).{wrote[written]}"
    if state in _BUSY:
        return Busy(message, written=written, operation=operation, where=where, hint=hint)
    if written is None or state.startswith(_AWAY):
        return Unavailable(message, written=written, operation=operation, where=where, hint=hint)
    return StorageError(message, operation=operation, where=where, hint=hint)


def unreachable(error: BaseException, where: str) -> StorageError:
    """The error of an attempt to connect: Unavailable where trying later may help.

    Args:
        error: of `psycopg`.
        where: the database's name (`Place.name`), which has no password.
    """
    said = " ".join(str(error).split())
    state = sqlstate_of(error)
    if not state and _NO_ROLE.search(said):
        state = "28000"
    if not state and _NO_DATABASE.search(said):
        state = "3D000"
    state = state or next((state for words, state in _WORDS if words in said), "")
    if state or "FATAL" in said:  # a server spoke
        what, hint = _meaning(state)
    else:
        state, what, hint = "08001", "does not answer", _MEANINGS["08"][1]
    message = f"{where} {what} (connect: {said}). Nothing was written."
    kind = Unavailable if state.startswith(_AWAY) and state != "08P01" else StorageError
    return kind(message, operation="connect", where=where, hint=hint)


def _meaning(state: str) -> tuple[str, str | None]:
    for length in (5, 3, 2):
        if found := _MEANINGS.get(state[:length]):
            return found
    return "refused", None


def closed(operation: str, where: str) -> StorageError:
    """The error for a backend, or a snapshot, that was closed."""
    return StorageError(
        f"{where} is closed; nothing was written.",
        operation=operation,
        where=where,
        hint="Open it again before using it.",
    )
