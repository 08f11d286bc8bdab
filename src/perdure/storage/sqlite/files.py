"""The database file seen from outside: where it is, which one it is, the lock beside it.

The file itself is never opened here, nor anywhere else in this program: closing a second descriptor would drop SQLite's
locks (POSIX locks belong to the process, not the descriptor), and commits would be lost without a word.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from dataclasses import dataclass
from typing import Final
from urllib.request import pathname2url

from perdure.errors import StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

SIDE: Final = "-perdure.lock"

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """Which database, and how it is to be opened."""

    path: str | None  # absolute, links resolved; None: in memory
    synchronous: str = "FULL"
    busy_timeout_seconds: float = 30.0
    read_only: bool = False

    @property
    def name(self) -> str:
        """How messages call it."""
        return "the in-memory database" if self.path is None else self.path

    @property
    def uri(self) -> str:
        """The address that makes SQLite open it for reading only."""
        return f"file:{pathname2url(self.path or '')}?mode=ro"


def resolved(path: str | os.PathLike[str] | None) -> str | None:
    """The absolute path behind all links; None for what SQLite keeps in memory."""
    if path is None:
        return None
    text = os.fsdecode(os.fspath(path))
    if text in ("", ":memory:"):
        return None
    return os.path.realpath(text)


def identity_of(path: str) -> Identity | None:
    """Device and number of the file, None if there is none. By `stat`, which opens nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_directory(path: str, *, must_exist: bool) -> None:
    """Passes a path whose directory exists and that is no directory itself.

    Raises:
        StorageError: otherwise; SQLite would only say "unable to open database file".
    """
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        raise StorageError(
            f"{path} cannot be opened: the directory {parent} does not exist.",
            operation="open",
            where=path,
            hint="Create the directory first, or check the path for a misspelling.",
        )
    if os.path.isdir(path):
        raise StorageError(
            f"{path} cannot be opened: it is a directory.",
            operation="open",
            where=path,
            hint="Name a file in it.",
        )
    if must_exist and not os.path.exists(path):
        raise StorageError(
            f"{path} cannot be opened with read_only=True: there is no such file.",
            operation="open",
            where=path,
            hint="Check the path for a misspelling.",
        )


def needs_side_lock(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite may corrupt a database where a checkpoint meets a commit of another process.

    "The WAL-reset bug", https://sqlite.org/wal.html section 11: 3.7.0 to 3.51.2, mended in 3.44.6 and 3.50.7 as well.
    """
    return version < (3, 51, 3) and not ((3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51))


class SideLock:
    """A lock between processes on a file beside the database: shared by commits, alone for a checkpoint.

    On Windows it is exclusive for both. The file is empty and stays when the database is closed: to remove it would let
    two processes lock two files.
    """

    def __init__(self, path: str) -> None:
        self._path = path + SIDE
        self._fd = -1

    def try_lock(self, *, alone: bool) -> bool:
        """Takes the lock; False if another process has it in the way."""
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            if sys.platform == "win32":
                os.lseek(self._fd, 0, os.SEEK_SET)
                msvcrt.locking(self._fd, msvcrt.LK_NBLCK, 1)
            else:  # flock, not lockf: it belongs to this descriptor, not to the process
                fcntl.flock(self._fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            if self._fd < 0:
                raise self._refused(error) from error
            return False
        except OSError as error:
            raise self._refused(error) from error
        return True

    def unlock(self) -> None:
        """Gives the lock back."""
        if self._fd < 0:
            return
        if sys.platform == "win32":
            os.lseek(self._fd, 0, os.SEEK_SET)
            msvcrt.locking(self._fd, msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Lets go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _refused(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._path} could not be locked: {error.strerror or error}. Nothing was written.",
            operation="commit",
            where=self._path,
            hint=f"Perdure needs to create this file beside the database with SQLite {sqlite3.sqlite_version}"
            " (sqlite.org/wal.html, section 11); check who may write in the directory.",
        )
