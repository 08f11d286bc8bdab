"""The whole file as another file, and another file as the whole: by SQLite's online backup, page by page.

Here: `back_up`, while others read and write; `restore`, while nobody has the database open. Not here: which URL (`admin`).
https://sqlite.org/backup.html
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final

from perdure.errors import StorageError
from perdure.storage import process
from perdure.storage.migrate import missing
from perdure.storage.sqlite.backend import is_open
from perdure.storage.sqlite.connections import C, applied, connect
from perdure.storage.sqlite.faults import is_busy, patiently, translated
from perdure.storage.sqlite.files import Place, check_directory, identity_of, resolved

__all__ = ["Progress", "back_up", "restore"]

PAGES: Final = 256  # copied at a time: 1 MiB
_BESIDE: Final = ("-wal", "-shm", "-journal")
_BEGIN = C["begin_read"]
_QUICK: Final = "PRAGMA quick_check(1)"

Progress = Callable[[int, int], object]


def back_up(path: str, file: str, *, force: bool, progress: Progress | None) -> int:
    """Bytes of `file`, which is the database as it was when this began: whole, checked, on the disk.

    Others read and write meanwhile; the log of the database cannot be shortened before this ends. Until then nothing stands
    at `file`, or what stood there before.

    Raises:
        StorageError: `file` is there already and `force` is False, or is the database itself; or it could not be written.
    """
    target = resolved(file) or file
    _check_free(target, "backup", force=force)
    if identity_of(path) == (identity_of(target) or ()):
        raise StorageError(
            f"{target} is the database itself. Nothing was written.", operation="backup", where=target
        )
    place = Place(path)
    with closing(connect(place, writes=False)) as source:
        patiently(lambda: _pin(source), place.busy_timeout_seconds, "backup", path)
        return _laid(source, path, target, progress)


def restore(file: str, path: str, *, force: bool, progress: Progress | None) -> int:
    """Bytes of the database at `path`, which is from now on what stands in `file`.

    It is put together beside the old one, checked, and takes its place at once: whenever this is killed there is the old one
    or the new one. Nobody may have the old one open, in this process or another.

    Raises:
        SchemaTooNew: `file` was written by a newer Perdure.
        StorageError: `file` is no database of Perdure's, or is damaged; or `path` is there already and `force` is False, or
            somebody has it open. The old one is as it was.
    """
    source, target = resolved(file) or file, resolved(path) or path
    check_directory(source, must_exist=True)
    if identity_of(source) == (identity_of(target) or ()):
        raise StorageError(
            f"{target} is the backup itself. Nothing was written.", operation="restore", where=target
        )
    _check_free(target, "restore", force=force)
    place = Place(source, read_only=True)
    with process.opening, closing(connect(place, writes=False)) as database:
        if is_open(target):
            raise StorageError(
                f"{target} is open in this process, so it cannot be replaced. Nothing was written.",
                operation="restore",
                where=target,
                hint="Close it first.",
            )
        number = patiently(lambda: applied(database), place.busy_timeout_seconds, "restore", source)
        if number == 0:
            raise StorageError(
                f"{source} is no database of Perdure's. Nothing was written.",
                operation="restore",
                where=source,
            )
        missing("sqlite", number, source)
        return _laid(database, source, target, progress, taken=lambda: _alone(target))


def _check_free(target: str, operation: str, *, force: bool) -> None:
    check_directory(target, must_exist=False)
    if os.path.exists(target) and not force:
        raise StorageError(
            f"{target} is there already. Nothing was written.",
            operation=operation,
            where=target,
            hint="Name another file, or overwrite it with force=True (--force).",
        )


def _pin(source: sqlite3.Connection) -> None:
    """One moment for the whole copy: else every commit of others would begin it anew."""
    if not source.in_transaction:
        source.execute(_BEGIN)
    source.execute("SELECT count(*) FROM sqlite_schema").fetchall()


def _laid(
    source: sqlite3.Connection,
    name: str,
    target: str,
    progress: Progress | None,
    *,
    taken: Callable[[], sqlite3.Connection | None] = lambda: None,
) -> int:
    """The copy, made beside its place and then put there; its bytes. `taken`: makes sure of the place, at the last moment."""
    beside = f"{target}.{os.getpid()}.partial"
    _remove(beside)
    old: sqlite3.Connection | None = None
    try:
        _copied(source, name, beside, progress)
        old = taken()
        for suffix in _BESIDE:  # of the file that is replaced: they say nothing about the new one
            with suppress(FileNotFoundError):
                os.remove(target + suffix)
        os.replace(beside, target)
    except sqlite3.Error as error:
        raise translated(error, "backup", name) from error
    except OSError as error:
        raise StorageError(
            f"{target} could not be written: {error.strerror or error}.", operation="backup", where=target
        ) from error
    finally:
        if old is not None:
            old.close()
        _remove(beside)
    _to_disk(os.path.dirname(target), directory=True)
    return os.stat(target).st_size


def _copied(source: sqlite3.Connection, name: str, beside: str, progress: Progress | None) -> None:
    with closing(sqlite3.connect(beside, isolation_level=None)) as made:

        def told(status: int, left: int, total: int) -> None:
            del status
            if progress is not None:
                progress(total - left, total)

        source.backup(made, pages=PAGES, progress=told, sleep=0.05)
        said = made.execute(_QUICK).fetchall()
        made.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file: nothing of it stands beside it
    if said != [("ok",)]:
        raise StorageError(
            f"{name} is damaged ({said[0][0]}), so its copy would be, too. Nothing was put in place.",
            operation="backup",
            where=name,
            hint="`perdure db check` says how far the damage goes; take an older backup.",
        )
    _to_disk(beside)


def _alone(target: str) -> sqlite3.Connection | None:
    """The old database under a lock that only who is alone with it gets; None: there is none, or it is past reading."""
    if not os.path.exists(target):
        return None
    held = sqlite3.connect(target, timeout=0, isolation_level=None)
    try:
        held.execute("PRAGMA wal_autocheckpoint = 0")
        held.execute("PRAGMA journal_mode = DELETE").fetchall()  # refused while anybody else has it open
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        held.close()
        if not is_busy(error):
            return None  # no database, or damaged: that is why it is replaced
        raise StorageError(
            f"{target} is in use by another program, so it cannot be replaced. Nothing was written.",
            operation="restore",
            where=target,
            hint="Stop all programs that have it open.",
        ) from error
    return held


def _to_disk(path: str, *, directory: bool = False) -> None:
    """What was written there survives a power cut. Nobody has the file open as a database."""
    if directory and os.name == "nt":
        return
    number = os.open(path or ".", os.O_RDONLY if directory else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _remove(path: str) -> None:
    for suffix in ("", *_BESIDE):
        with suppress(FileNotFoundError):
            os.remove(path + suffix)
