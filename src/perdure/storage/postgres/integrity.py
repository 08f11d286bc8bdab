"""What a Postgres database finds wrong with itself, and what it was asked: never more is said than was looked at.

Here: relations of ours that are missing or cannot be used; pages that failed their checksum; and, where the extension amcheck
is installed and this role may call it, every table and every index, page by page.
https://www.postgresql.org/docs/current/amcheck.html
Not here: what our own rows have to agree in (`queries/check.postgres.sql`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from perdure.storage.migrate import migrations
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import is_lost, sqlstate_of, translated
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.migrating import quoted
from perdure.storage.postgres.readings import patiently
from perdure.storage.postgres.talking import say

__all__ = ["faults_of", "what_looks"]

_MADE: Final = re.compile(
    r"^(CREATE|DROP)\s+(?:UNIQUE\s+)?(TABLE|INDEX|SEQUENCE)\s+(?:CONCURRENTLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(perdure_\w+)"
)
_DAMAGED: Final = ("XX001", "XX002")
_MOST_FAULTS: Final = 100


def what_looks(line: Line) -> str:
    """What `faults_of` looks at on this server, in a line."""
    looks = "missing and unusable relations, failed checksums"
    if _checkers(line) is not None:
        return f"{looks}, amcheck"
    return f"{looks}; no amcheck, so tables are not compared with their indexes"


def faults_of(line: Line, *, quick: bool) -> list[str]:
    """What is wrong, in words. `quick` leaves the comparison of tables with their indexes out."""
    rows = patiently(line, line.statements["relations"].text, (line.place.schema,))
    there = {name: (kind, usable) for name, kind, usable in rows}
    found = [f"{kind} {name} is not there" for name, kind in _expected().items() if name not in there]
    found += [
        f"index {name} cannot be used: it was not built to its end (REINDEX INDEX it, or drop it if it ends in _ccnew)"
        for name, (_, usable) in there.items()
        if not usable
    ]
    ((failed,),) = patiently(line, line.statements["failed_checksums"].text) or [(None,)]
    if failed:
        found.append(f"{failed} pages of the database have failed their checksum (pg_stat_database)")
    schema = _checkers(line)
    if schema is not None:
        for name, (kind, usable) in there.items():
            if usable and kind not in ("S", "x") and len(found) < _MOST_FAULTS:
                found += _damage_in(line, schema, name, kind, quick=quick)
    return found[:_MOST_FAULTS]


@cache
def _expected() -> dict[str, str]:
    """Names of what the migrations make, and of which kind they are."""
    found: dict[str, str] = {"perdure_migrations": "table"}
    for migration in migrations("postgres"):
        for statement in migration.statements:
            if made := _MADE.match(statement):
                if made[1] == "CREATE":
                    found[made[3]] = made[2].lower()
                else:
                    found.pop(made[3], None)
    return found


def _checkers(line: Line) -> str | None:
    rows = patiently(line, line.statements["checkers"].text)
    return rows[0][0] if rows else None


def _damage_in(line: Line, schema: str, name: str, kind: str, *, quick: bool) -> list[str]:
    """What amcheck says of a table, with its long values, or of an index."""
    whose = f"{quoted(line.place.schema)}.{quoted(name)}"
    if kind == "i":
        text = f"SELECT {schema}.bt_index_check($1::text::regclass, {'false' if quick else 'true'})"
    else:
        text = f"SELECT blkno, msg FROM {schema}.verify_heapam($1::text::regclass, false, true, 'none', NULL, NULL) LIMIT {_MOST_FAULTS}"  # noqa: S608 - a name of the server's own
    connection = line.take()
    sound = True
    try:
        rows = say(connection, text.encode(), (whose,))
    except psycopg.Error as error:
        sound = not is_lost(error)
        if sqlstate_of(error) not in _DAMAGED:
            raise translated(error, "check", line.place.name) from error
        return [f"index {name}: {' '.join(str(error).split())}"]
    finally:
        line.give(connection, sound=sound)
    return [] if kind == "i" else [f"table {name}, block {block}: {said}" for block, said in rows]
