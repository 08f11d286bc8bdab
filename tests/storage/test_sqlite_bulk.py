"""Many items in one commit of SQLite: the same rows as by many commits, however many a statement takes."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest

from perdure.storage.sqlite import SqliteBackend
from perdure.storage.sqlite.statements import AT_ONCE, MANY, WIDTH
from perdure.store.face import BackendStore
from perdure.testing import FakeClock

# Without the numbers of versions, which say in which commit one was written.
QUERIES = (
    "SELECT id, key, alive, idx, length, paths, model, expires FROM perdure_items ORDER BY id",
    "SELECT item, created, updated, ended, value, expires, ttl FROM perdure_versions ORDER BY item, version",
    "SELECT * FROM perdure_postings ORDER BY term, item",
    "SELECT * FROM perdure_texts ORDER BY item",
    "SELECT * FROM perdure_totals ORDER BY space, idx",
)


@pytest.mark.parametrize("count", [1, 2, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE, 5 * AT_ONCE + 7])
def test_items_of_one_commit_are_rows_as_those_of_many_commits(count: int) -> None:
    """New ones, and then again: replaced, some deleted, some with the words that they had."""
    made: list[list[list[Any]]] = []
    for part in (1, count):
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        backend = SqliteBackend(connection=connection)
        store = BackendStore(backend)
        with FakeClock(datetime(2026, 1, 1, tzinfo=UTC)):
            for turn in (1, 2):
                values: list[Any] = [
                    None if turn == 2 and n % 5 == 4 else {"text": f"tea for {n // turn} and {n % 3}, tea"}
                    for n in range(count)
                ]
                for start in range(0, count, part):
                    some = range(start, min(start + part, count))
                    store.put_many([(("notes", f"{n % 2}"), f"k{n}", values[n]) for n in some])
        assert store.check() == []
        made.append([connection.execute(query).fetchall() for query in QUERIES])
        store.close()
        connection.close()

    assert made[1] == made[0]
    items, versions, *_ = made[0]
    assert (len(items), len(versions)) == (count, 2 * count)


def test_a_statement_for_many_rows_binds_what_every_sqlite_can_bind() -> None:
    for one, many in MANY.items():
        assert many.count("?") == AT_ONCE * WIDTH[one] <= 999  # the default limit of old versions
