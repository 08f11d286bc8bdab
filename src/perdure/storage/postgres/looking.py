"""A database that is not opened yet: what it would take to open it. Nothing is changed.

Here: which migrations are due. Not here: making them (`migrating.py`).
"""

from __future__ import annotations

from perdure.storage.migrate import Migration, missing
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import translated
from perdure.storage.postgres.migrating import applied
from perdure.storage.postgres.opening import connect
from perdure.storage.postgres.place import place_of

__all__ = ["due"]


def due(url: str) -> tuple[int, tuple[Migration, ...]]:
    """The number of the newest migration that its schema has (0: none, or no such schema), and those that it lacks, in order.

    Raises:
        SchemaTooNew: written by a newer Perdure.
        StorageError: it cannot be reached or read.
        ValueError: the URL, or an option, cannot be right.
    """
    place = place_of(url)
    connection = connect(place).connection
    try:
        number = applied(connection, place.schema)
    except psycopg.Error as error:
        raise translated(error, "look", place.name) from error
    finally:
        connection.close()
    return number, missing("postgres", number, place.name)
