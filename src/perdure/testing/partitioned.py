"""A schema of Postgres whose large tables are partitioned: what `docs/explanation/scale.md` says of that is tested and measured with it.

The tables are made by Perdure, then made again by what the server's catalog says of them, in partitions, while they are empty.
https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["KEYS", "partition"]

KEYS: Final = {
    "perdure_checkpoints": "HASH (chain)",
    "perdure_writes": "HASH (chain)",
    "perdure_staged": "HASH (chain)",
    "perdure_runs": "HASH (thread)",
    "perdure_logs": "HASH (thread)",
    "perdure_segments": "RANGE (place)",
    "perdure_versions": "HASH (version)",
    "perdure_postings": "HASH (term)",
    "perdure_texts": "HASH (item)",
    "perdure_vectors": "HASH (item)",
    "perdure_path_values": "HASH (item)",
}
"""By what each is partitioned.

A key that leads with a number is a column of its own in the first five. In segments, texts, vectors and path values number and place within
it share one column; in versions the number is a commit's. Left out is `perdure_items`: a unique index of a partitioned table has to hold the
column that it is partitioned by, and the one on (number of the namespace, key) has an expression of it.
"""

_LOGS_A_PART: Final = 1 << 27

_INDEXES: Final = """SELECT c.relname::text, pg_get_indexdef(i.indexrelid), coalesce(k.conname::text, ''),
       coalesce(pg_get_constraintdef(k.oid), '')
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
 WHERE i.indrelid = %s::regclass
 ORDER BY 1"""


def partition(connection: Any, schema: str, parts: int) -> None:
    """The tables of `KEYS` in so many partitions each, with all their indexes and settings.

    Args:
        connection: of `psycopg`'s, as the owner of the tables, which are empty.
        schema: whose they are.
        parts: how many.
    """
    with connection.transaction():
        connection.execute(f'SET LOCAL search_path TO "{schema}"')
        for table, how in KEYS.items():
            _partition(connection, table, how, parts)


def _partition(connection: Any, table: str, how: str, parts: int) -> None:
    assert not connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall(), f"{table} is not empty"  # noqa: S608 - of KEYS
    indexes = connection.execute(_INDEXES, (table,)).fetchall()
    ((options,),) = connection.execute(
        "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = %s::regclass", (table,)
    ).fetchall()
    connection.execute(f"ALTER TABLE {table} RENAME TO of_before")
    for name, _, _, _ in indexes:
        connection.execute(f"ALTER INDEX {name} RENAME TO of_before_{name}")
    connection.execute(
        f"CREATE TABLE {table} (LIKE of_before INCLUDING DEFAULTS INCLUDING STORAGE) PARTITION BY {how}"
    )
    for name, definition, constraint, what in indexes:
        # Partitioned indexes have no fillfactor; those of partitions do.
        if constraint:
            connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {_bare(what)}")
        else:
            connection.execute(_bare(definition))
    settings = f" WITH ({options})" if options else ""
    for number in range(parts):
        connection.execute(
            f"CREATE TABLE {table}_p{number} PARTITION OF {table} {_values(how, number, parts)}{settings}"
        )
    connection.execute("DROP TABLE of_before")


def _bare(definition: str) -> str:
    return re.sub(r" WITH \([^)]*\)", "", definition)


def _values(how: str, number: int, parts: int) -> str:
    if how.startswith("HASH"):
        return f"FOR VALUES WITH (MODULUS {parts}, REMAINDER {number})"
    first = "MINVALUE" if not number else str(number * _LOGS_A_PART << 32)
    end = "MAXVALUE" if number == parts - 1 else str((number + 1) * _LOGS_A_PART << 32)
    return f"FOR VALUES FROM ({first}) TO ({end})"
