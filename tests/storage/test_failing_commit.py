"""COMMIT that answers an error after it took effect: SQLite's answer is not the truth, the table of commits is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.storage.contract import Revision
from perdure.storage.sqlite import SqliteBackend
from perdure.storage.sqlite.transactions import Transactions
from perdure.testing.backends import NOTES, commit_of, put_of


class AnswersAnError:
    """A connection whose next COMMIT, or single statement that commits, does its work and then says that it failed."""

    due = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, text: str, *values: Any) -> Any:
        done = self._connection.execute(text, *values)
        commits = text.lstrip().upper().startswith("COMMIT") or "perdure_combined" in text
        if AnswersAnError.due and commits and not self._connection.in_transaction:
            AnswersAnError.due = False
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode, error.sqlite_errorname = 10, "SQLITE_IOERR"
            raise error
        return done


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteBackend]:
    database = Transactions.database

    def fragile(self: Transactions) -> Any:
        opened = database(self)
        if not isinstance(opened, AnswersAnError):
            opened = self._db = AnswersAnError(opened)
        return opened

    monkeypatch.setattr(Transactions, "database", fragile)
    backend = SqliteBackend(tmp_path / "a.db", synchronous="OFF")
    yield backend
    backend.close()


def versions(db: SqliteBackend) -> list[tuple[str, bytes | None]]:
    with db.read() as now:
        return [(row.key, row.value) for row in now.changes(None, 100)]


def test_a_group_that_was_committed_is_not_committed_again(db: SqliteBackend) -> None:
    AnswersAnError.due = True

    outcomes = db.commit_group([commit_of(items=[put_of("x", b"1")]), commit_of(items=[put_of("y", b"1")])])

    assert [type(outcome) for outcome in outcomes] == [Revision, Revision]
    assert versions(db) == [("x", b"1"), ("y", b"1")]
    assert not AnswersAnError.due


@pytest.mark.parametrize(
    "warm", [0, 2, 6]
)  # a group of one; alone, statement by statement; alone, in one statement
def test_nor_is_a_single_one_and_the_next_goes_on(db: SqliteBackend, warm: int) -> None:
    for number in range(warm):
        db.commit(commit_of(items=[put_of("x", b"%d" % number)]))
    for number in range(warm, warm + 2):
        AnswersAnError.due = number == warm

        made = commit_of(items=[put_of("x", b"%d" % number)])
        revision = db.commit(made)

        assert not AnswersAnError.due
        with db.read() as now:
            assert now.committed(made.id) == revision
            assert now.item(NOTES, "x").value == b"%d" % number  # type: ignore[union-attr] - it is there
    assert len(versions(db)) == warm + 2
