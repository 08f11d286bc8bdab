"""A database saved as a file, and brought back: SQLite by its online backup; for Postgres it is said what does it there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from typing import Final

from perdure.database import file_of, is_postgres, name_of
from perdure.errors import PerdureError

__all__ = ["backup", "restore"]

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")  # no capitals, which pg_dump folds, and none of its wildcards


def backup(
    url: str,
    file: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> int:
    """Bytes of `file`, which is from now on the whole database as it was when this began, checked and on the disk.

    Others read and write meanwhile, in this process or another; the write-ahead log is not shortened before it ends. An
    encrypted database is encrypted in the file, too, under the same key. The file is a database that can be opened.

    Args:
        url: of a file of SQLite.
        file: where to. It appears, or is replaced, when it is whole.
        force: replace what stands there.
        progress: called with the pages that are done, and how many there are.

    Raises:
        StorageError: `file` is there and `force` is False; the database is damaged; or the disk refused.
        PerdureError: the URL names no file of SQLite; for Postgres it says what to use.
    """
    from perdure.storage import sqlite

    return sqlite.back_up(_path(url, "saved"), os.fspath(file), force=force, progress=progress)


def restore(
    file: str | os.PathLike[str],
    url: str,
    *,
    force: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> int:
    """Bytes of the database at `url`, which is from now on what `backup` has saved in `file`.

    It is copied beside the old one, checked, and then takes its place: whenever this is killed, there is the old one or the
    new one, never half of both. Revisions that the old one had and `file` has not are given again: whoever kept one, as a
    watcher does, has to begin anew.

    Args:
        file: a backup, or any closed database of Perdure's.
        url: of a file of SQLite, which nobody may have open.
        force: replace the database that stands there.
        progress: as in `backup`.

    Raises:
        SchemaTooNew: `file` was written by a newer Perdure.
        StorageError: `url` is there and `force` is False, or somebody has it open; `file` is damaged, or no database of
            Perdure's. What stood at `url` stands there still.
        PerdureError: the URL names no file of SQLite; for Postgres it says what to use.
    """
    from perdure.storage import sqlite

    return sqlite.restore(os.fspath(file), _path(url, "restored"), force=force, progress=progress)


def _path(url: str, done: str) -> str:
    if is_postgres(url):
        raise _of_a_server(url, done)
    path = file_of(url)
    if path is None:
        raise PerdureError(
            f"{url!r} is no file of SQLite, so it cannot be {done} as one. Nothing was done. `perdure db copy` copies any"
            " database into another."
        )
    return path


def _of_a_server(url: str, done: str) -> PerdureError:
    from perdure.storage.postgres.place import place_of

    schema = place_of(url).schema
    pattern = shlex.quote(schema if _PLAIN.fullmatch(schema) else '"' + schema.replace('"', '""') + '"')
    what = (
        f"`pg_dump --format=custom --schema={pattern}` saves it as it is at one moment, in use or not; `pg_basebackup`, with the"
        " log archived, saves the whole server"
        if done == "saved"
        else "`pg_restore --exit-on-error --single-transaction` brings back what `pg_dump --format=custom` has saved, into a database"
        f" that has no schema {schema!r}"
    )
    return PerdureError(
        f"{name_of(url)} is kept by a server, so it cannot be {done} as a file here: {what}"
        " (docs/how-to/run-on-postgres.md, Backups). Nothing was done. `perdure db copy` copies any database into another."
    )
