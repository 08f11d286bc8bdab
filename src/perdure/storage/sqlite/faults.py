"""What `sqlite3` says, in our words: errors of the driver never leave this package.

Here: the table of error codes, the patient repetition while somebody else holds a lock.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from typing import Final, TypeVar

from perdure.errors import Busy, StorageError, Unavailable

_T = TypeVar("_T")

BUSY: Final = 5
_PROTOCOL: Final = 15  # gave up on the WAL's index after many tries: busy by another name
_IOERR_FSYNC: Final = 1034

_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.05

# Primary result code -> what happened, what to do. https://sqlite.org/rescode.html
_MEANINGS: dict[int, tuple[str, str]] = {
    5: ("is locked by another connection", "Try again, or give busy_timeout_seconds more time."),
    6: ("is locked by another statement of the same connection", "Finish reading from it first."),
    7: ("could not be used: SQLite ran out of memory", "Nothing was written; free memory and try again."),
    8: (
        "is read-only for this process",
        "Check who may write the file and its directory, and that it was not opened with read_only=True.",
    ),
    10: (
        "could not be read or written: the disk answered with an error",
        "Check the disk and its limits, then try again.",
    ),
    11: (
        "is damaged or cut off",
        "Restore a copy; `PRAGMA integrity_check` in another process says how far the damage goes.",
    ),
    13: (
        "is on a full disk, or has reached its size limit",
        "Nothing of it was written; free space and try again.",
    ),
    14: (
        "cannot be opened",
        "Check that its directory exists and that this process may read and write there.",
    ),
    17: ("changed its schema while it was used", "Try again."),
    19: ("refused a row that exists already", "Two writers use one log: a bug. Nothing was written."),
    22: ("needs files larger than this system supports", "Use another file system."),
    23: ("may not be used: access was denied", "Check the permissions of the file."),
    26: ("is not an SQLite database", "Give Perdure a file of its own, or the path of one it made."),
}


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else holds a lock that will be given back."""
    return code_of(error) & 0xFF in (BUSY, _PROTOCOL)


def busy_because(why: str) -> sqlite3.OperationalError:
    """An error as SQLite raises it for a lock, for locks of ours: `patiently` waits for both."""
    error = sqlite3.OperationalError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    error.sqlite_errorname = "SQLITE_BUSY"
    return error


def code_of(error: BaseException) -> int:
    """SQLite's extended result code; 0 where the error is the module's own."""
    return getattr(error, "sqlite_errorcode", 0) or 0


def translated(error: BaseException, operation: str, where: str) -> StorageError:
    """The driver's error as ours: what happened, to which database, what to do."""
    code = code_of(error)
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return closed(operation, where)
    what, hint = _MEANINGS.get(code & 0xFF, ("refused", "Nothing was written."))
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    message = f"{where} {what} ({operation}: {error}, {name})."
    if code & 0xFF in (BUSY, _PROTOCOL):
        return Busy(message, operation=operation, where=where, hint=hint)
    if code == _IOERR_FSYNC and operation == "commit":
        hint = "Whether this commit survives a power cut is unknown; `committed(id)` says so after a restart."
        return Unavailable(message, written=None, operation=operation, where=where, hint=hint)
    return StorageError(message, operation=operation, where=where, hint=hint)


def closed(operation: str, where: str) -> StorageError:
    """The error for a backend, or a snapshot, that was closed."""
    return StorageError(
        f"{where} is closed; nothing was written.",
        operation=operation,
        where=where,
        hint="Open it again before using it.",
    )


def damaged(operation: str, where: str) -> StorageError:
    """The error for a file that is damaged so that SQLite cannot even say so in words."""
    what, hint = _MEANINGS[11]
    return StorageError(
        f"{where} {what} ({operation}: its schema is no text).", operation=operation, where=where, hint=hint
    )


def patiently(act: Callable[[], _T], seconds: float, operation: str, where: str) -> _T:
    """What `act()` gives, repeated while another connection holds a lock, with growing, jittered pauses.

    SQLite's own busy handler is not used: it sleeps inside the C library, and the switch to WAL never asks it. Pauses are
    counted, not measured, so a clock that tests hold cannot stop the end from coming.

    Raises:
        Busy: `seconds` of pauses were not enough.
        StorageError: anything else that SQLite says.
    """
    waited, pause = 0.0, _FIRST_PAUSE
    while True:
        try:
            return act()
        except sqlite3.Error as error:
            if not is_busy(error):
                raise translated(error, operation, where) from error
            if waited >= seconds:
                raise too_long(error, seconds, operation, where) from error
        except (
            UnicodeDecodeError
        ) as error:  # SQLite quotes what it found, and Python's module wants it to be text
            raise damaged(operation, where) from error
        length = pause * (0.5 + random.random())  # noqa: S311 - jitter, not a secret
        time.sleep(length)
        waited += length
        pause = min(_LONGEST_PAUSE, pause * 2)


def too_long(error: BaseException | None, seconds: float, operation: str, where: str) -> Busy:
    """The error after waiting in vain."""
    because = f" ({error})" if error else ""
    return Busy(
        f"{where} was locked by another connection for more than busy_timeout_seconds={seconds:g}{because}."
        " Nothing was written.",
        operation=operation,
        where=where,
        hint="Look for a program that holds a transaction open on the file, or raise busy_timeout_seconds.",
    )
