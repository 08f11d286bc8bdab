"""The SQL files: every block seeks where it says so, and migrations reach the schema file."""

from __future__ import annotations

import re
import sqlite3

import pytest

from perdure.storage.migrate import migrations
from perdure.storage.sql import Queries, read, statements
from perdure.storage.sqlite import SqliteBackend
from perdure.storage.sqlite.connections import C
from perdure.storage.sqlite.statements import Q
from perdure.testing.backends import checkpoint_of, commit_of, put_of

BLOCKS = {**Q.texts, **C.texts}
COMMENTS = {**Q.comments, **C.comments}
# What a plan may walk through because it is small and made by the query itself: values bound, or rows already found.
OWN = re.compile(r"SCAN (wanted|line|chain|\(subquery-\d+\)|\d+ CONSTANT ROWS?|CONSTANT ROW)")


@pytest.fixture
def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    SqliteBackend(connection=connection).close()
    return connection


def plan_of(database: sqlite3.Connection, name: str) -> list[str]:
    text = (Q if name in Q.texts else C).repeated(name, 2)
    numbered = [int(number) for number in re.findall(r"\?(\d+)", text)]
    places = max(numbered, default=text.count("?"))
    rows = database.execute(f"EXPLAIN QUERY PLAN {text}", [1] * places).fetchall()
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_scans_only_what_its_comment_says(database: sqlite3.Connection, name: str) -> None:
    if BLOCKS[name].split()[0] not in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
        return
    scans = [line for line in plan_of(database, name) if line.startswith("SCAN") and not OWN.match(line)]

    if "Scan:" in COMMENTS[name]:
        assert scans, "says that it scans, and does not"
    else:
        assert not scans


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_says_what_it_is_for(name: str) -> None:
    if name not in ("commit", "rollback"):
        assert COMMENTS[name].strip().startswith("--")


def test_ranges_use_their_whole_key(database: sqlite3.Connection) -> None:
    whole = {
        "head": "SEARCH k USING PRIMARY KEY (chain=?)",
        "chain_checkpoints": "SEARCH k USING PRIMARY KEY (chain=? AND id<?)",
        "following": "SEARCH k USING PRIMARY KEY (chain=? AND id>?)",
        "checkpoint": "SEARCH k USING PRIMARY KEY (chain=? AND id=?)",
        "segments": "SEARCH s USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "writes_of": "SEARCH w USING PRIMARY KEY (chain=? AND checkpoint=?)",
        "item": "SEARCH i USING INDEX perdure_items_by_key (<expr>=? AND key=?)",
        "items_of_few": "SEARCH m USING INDEX perdure_items_by_version (<expr>=? AND version<?)",
        "ended_versions": "SEARCH v USING INDEX perdure_versions_by_end (ended<?)",
        "changes": "SEARCH v USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "postings": "SEARCH p USING PRIMARY KEY (term=? AND item>? AND item<?)",
        "postings_in": "SEARCH p USING PRIMARY KEY (term=? AND item=?)",
        "vector_spaces": "SEARCH s USING PRIMARY KEY (space=? AND model=?)",
        "vectors": "SEARCH perdure_vectors USING INDEX perdure_vectors_by_seq (<expr>=? AND model=? AND seq>?)",
        "owed": "SEARCH i USING INDEX perdure_items_owed (version>?)",
        "all_vectors": "SEARCH perdure_vectors USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "strays": "SEARCH i USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "stood_of_few": "SEARCH i USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "stood_of_many": "SEARCH v USING INTEGER PRIMARY KEY (rowid>?)",
        "touched_of_many": "SEARCH v USING INTEGER PRIMARY KEY (rowid>?)",
        "history": "SEARCH i USING INDEX perdure_items_by_key (<expr>=? AND key=?)",
        "item_at": "SEARCH i USING INDEX perdure_items_by_key (<expr>=? AND key=?)",
        "remove_writes": "SEARCH perdure_writes USING PRIMARY KEY (chain=? AND checkpoint=?)",
    }
    for name, line in whole.items():
        plan = [step.replace("COVERING ", "") for step in plan_of(database, name)]
        assert line in plan, (name, plan)


def test_migrations_reach_the_schema_file() -> None:
    def shape(steps: list[str]) -> dict[tuple[str, str], str]:
        made = sqlite3.connect(":memory:")
        for step in steps:
            made.execute(step)
        rows = made.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        made.close()
        return {(kind, name): " ".join(re.sub(r"([,()])", r" \1 ", sql).split()) for kind, name, sql in rows}

    migrated = shape([statement for step in migrations("sqlite") for statement in step.statements])

    assert migrated == shape(statements(read("schema.sqlite.sql")))
    assert [step.number for step in migrations("sqlite")] == list(range(1, len(migrations("sqlite")) + 1))


def test_a_repeated_line_takes_as_many_rows_of_values() -> None:
    text = Queries("queries/threads.sqlite.sql").repeated("find_logs", 3)

    assert text.count("(?, ?)") == 3
    assert "repeat" not in text


def test_a_commit_takes_the_same_few_statements_however_long_the_thread_is() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    backend = SqliteBackend(connection=connection)
    said: list[str] = []
    connection.set_trace_callback(said.append)
    counts: list[int] = []
    for n in range(200):
        said.clear()
        backend.commit(commit_of(checkpoints=[checkpoint_of("t", f"{n:03}", f"{n - 1:03}" if n else None)]))
        counts.append(len(said))
    said.clear()
    backend.commit(commit_of(items=[put_of(f"k{n}", b"v") for n in range(100)]))
    backend.close()

    assert counts[1:] == [4] * 199  # BEGIN, the commit's row, the checkpoint's, COMMIT
    assert len([text for text in said if text.startswith(("BEGIN", "COMMIT", "WITH"))]) <= 6
