"""A file from before there was a floor: nobody knows what was pruned then, so nothing older than the migration is shown."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from perdure.errors import Compacted
from perdure.storage.contract import Revision
from perdure.storage.migrate import migrations
from perdure.storage.sqlite import SqliteBackend
from perdure.testing.backends import NOTES, commit_of, put_of


def made_by_the_first_migration(path: Path, *values: bytes) -> None:
    backend = SqliteBackend(str(path))
    for value in values:
        backend.commit(commit_of(items=[put_of("k", value)]))
    backend.close()
    file = sqlite3.connect(path, isolation_level=None)
    number = next(step.number for step in migrations("sqlite") if "perdure_floor" in "".join(step.statements))
    file.execute("DROP TABLE perdure_floor")
    later = [
        statement for step in migrations("sqlite") if step.number > number for statement in step.statements
    ]
    for statement in reversed(later):  # undone, as they are made again
        if named := re.match(r"CREATE TABLE (\w+)", statement):
            file.execute(f"DROP TABLE {named[1]}")
        elif named := re.match(r"CREATE INDEX (\w+)", statement):
            file.execute(f"DROP INDEX IF EXISTS {named[1]}")
        elif named := re.match(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", statement):
            file.execute(f"ALTER TABLE {named[1]} DROP COLUMN {named[2]}")
    file.execute("DELETE FROM perdure_migrations WHERE number >= ?", (number,))
    file.close()


def test_views_reach_back_to_the_migration(tmp_path: Path) -> None:
    made_by_the_first_migration(tmp_path / "old.db", b"1", b"2")

    backend = SqliteBackend(str(tmp_path / "old.db"))
    with backend.read() as now:
        assert now.floor() == Revision(0, 2)
        with pytest.raises(Compacted):
            now.items_at((), Revision(0, 1), None, 9)
        item = now.item_at(NOTES, "k", Revision(0, 1))
        assert item is not None
        assert item.value == b"1"
        assert [row.value for row in now.items_at((), Revision(0, 2), None, 9)] == [b"2"]
    backend.close()


def test_an_empty_file_has_no_floor(tmp_path: Path) -> None:
    made_by_the_first_migration(tmp_path / "empty.db")

    backend = SqliteBackend(str(tmp_path / "empty.db"))
    with backend.read() as now:
        assert now.floor() == Revision(0, 0)
    backend.close()
