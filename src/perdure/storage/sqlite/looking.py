"""A file that is not opened as a database yet: what it would take to open it. Nothing is changed.

Here: which migrations are due. Not here: making them (`connections.py`).
"""

from __future__ import annotations

import os

from perdure.storage.migrate import Migration, missing
from perdure.storage.sqlite.connections import applied, connect
from perdure.storage.sqlite.faults import patiently
from perdure.storage.sqlite.files import Place, check_directory, resolved

__all__ = ["due"]


def due(path: str | os.PathLike[str]) -> tuple[int, tuple[Migration, ...]]:
    """The number of the newest migration applied to the file (0: none), and those that are not, in order.

    Raises:
        SchemaTooNew: written by a newer Perdure.
        StorageError: there is no such file, or it cannot be read, or is no database.
    """
    place = Place(resolved(path), read_only=True)
    check_directory(place.path or "", must_exist=True)
    database = connect(place, writes=False)
    try:
        number = patiently(lambda: applied(database), place.busy_timeout_seconds, "look", place.name)
    finally:
        database.close()
    return number, missing("sqlite", number, place.name)
