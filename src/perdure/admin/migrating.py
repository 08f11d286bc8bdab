"""Bringing a schema up to date as a step of its own, which opening a database does, too."""

from __future__ import annotations

from typing import NamedTuple

from perdure.admin.status import due
from perdure.database import open_url

__all__ = ["Migrated", "migrate"]


class Migrated(NamedTuple):
    """What was done.

    Attributes:
        before: number of the newest migration that the database had; 0: none.
        steps: the names of those that it lacked, in order, each made in a transaction of its own.
    """

    before: int
    steps: tuple[str, ...]


def migrate(url: str) -> Migrated:
    """The database at `url` has today's schema, and what it lacked before.

    Interrupted, it goes on with the next step when it is called again. Others can read meanwhile. On Postgres
    the schema is made where there is none. A program of an older
    Perdure refuses the database from then on.

    Raises:
        SchemaTooNew: written by a newer Perdure. It was not touched.
        StorageError: there is no such file, or database, or it cannot be written.
    """
    before, steps = due(url)
    open_url(url).close()
    return Migrated(before, steps)
