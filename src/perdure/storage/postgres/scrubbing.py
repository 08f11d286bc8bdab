"""Rows that were deleted, gone for good as far as a client of the server can see to it.

Postgres keeps a deleted row until no transaction can see it any more and VACUUM has been there. So whoever may see it is waited
for, and then the tables are vacuumed, with their indexes and long values, however little there is to do. What is left then is out of
reach: bytes on pages that nothing leads to, the log, copies. The operator is told.
https://www.postgresql.org/docs/current/routine-vacuuming.html

Here: `scrub`. Not here: deleting (`storage/tables/forgetting.py`).
"""

from __future__ import annotations

import time
from typing import Final

from perdure.errors import Busy
from perdure.storage.contract import Scrubbed
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.readings import patiently

__all__ = ["scrub", "tables_of"]

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1

LEFT: Final = (
    "Pages of its tables and indexes keep bytes of deleted rows, which nothing leads to, until others are written over them. VACUUM FULL"
    " and REINDEX of the tables whose names begin with perdure_ write them anew, while everybody waits.",
    "The write-ahead log has what was written until its segments are recycled, and its archive until it is deleted there: shorten how"
    " long the archive is kept, or delete it up to a backup that was made after this.",
    "Replicas apply this as soon as they are up to date; those that are stopped or delayed have it still.",
    "Backups (pg_dump, pg_basebackup, snapshots of disks) and the server's own log of statements have what they had: delete those that"
    " are older than this.",
)
"""What is out of reach, and what is done about it."""


def tables_of(line: Line) -> list[tuple[str, bool]]:
    """Names of our tables, as SQL has them, and whether this role may vacuum each."""
    rows = patiently(line, line.statements["tables"].text, (line.place.schema,))
    return [(name, mine) for name, mine in rows]


def scrub(line: Line, wait_seconds: float) -> Scrubbed:
    """What was deleted before this is in no row, index entry or long value that could be reached.

    Others read and write meanwhile.

    Raises:
        Busy: somebody may read what was deleted, for so long.
    """
    tables = tables_of(line)
    if not all(mine for _, mine in tables):
        return Scrubbed(
            False,
            (
                "Deleted rows were not vacuumed, for this role does not own the tables, so the server would pass it by: run VACUUM"
                " (INDEX_CLEANUP ON) on those whose names begin with perdure_ as their owner, or wait for autovacuum.",
                *LEFT,
            ),
        )
    _wait_for_readers(line, wait_seconds)
    # Of few rows VACUUM leaves what leads to them in the indexes, unless it is told.
    patiently(line, f"VACUUM (INDEX_CLEANUP ON) {', '.join(name for name, _ in tables)}".encode())
    return Scrubbed(True, LEFT)


def _wait_for_readers(line: Line, seconds: float) -> None:
    until, pause = time.monotonic() + seconds, _FIRST_PAUSE
    ((moment,),) = patiently(line, line.statements["this_moment"].text)
    while patiently(line, line.statements["older_readers"].text, (moment,)):
        if time.monotonic() > until:
            raise Busy(
                f"{line.place.name}: for {seconds:g} seconds somebody was in a transaction that may read what was deleted, so it could"
                " not be vacuumed. Nothing else was undone.",
                written=True,
                operation="scrub",
                where=line.place.name,
                hint="Look for old transactions in pg_stat_activity (backend_xmin), in pg_prepared_xacts, and among replicas.",
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
