"""The numbered migrations of a dialect, read from `migrations/NNNN_name.DIALECT.sql`. Forward only.

Here: which there are, and which are missing. Not here: running them (each backend does, statement by statement, each
migration with its record in one transaction).
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from perdure.errors import SchemaTooNew
from perdure.storage.sql import read, statements

_FILE = re.compile(r"(\d{4})_(\w+)\.(\w+)\.sql")


class Migration(NamedTuple):
    """One step forward."""

    number: int
    name: str
    statements: tuple[str, ...]


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """All of the dialect's, in order."""
    found: list[Migration] = []
    for file in files("perdure.storage").joinpath("migrations").iterdir():
        named = _FILE.fullmatch(file.name)
        if named and named[3] == dialect:
            steps = tuple(statements(read(f"migrations/{file.name}")))
            found.append(Migration(int(named[1]), named[2], steps))
    return tuple(sorted(found))


def missing(dialect: str, applied: int, where: str) -> tuple[Migration, ...]:
    """The migrations behind number `applied` (0: none yet).

    Raises:
        SchemaTooNew: `applied` is beyond the newest one known here.
    """
    known = migrations(dialect)
    newest = known[-1].number
    if applied > newest:
        raise SchemaTooNew(
            f"{where} was written by a newer Perdure: its schema is {applied}, this one knows up to {newest}."
            " It was not touched.",
            found=applied,
            known=newest,
            where=where,
            hint="Upgrade perdure, or open a copy that was made before the upgrade.",
        )
    return tuple(step for step in known if step.number > applied)
