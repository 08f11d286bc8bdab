"""The SQL of Postgres: every block is understood, seeks where it says so, and has its twin on SQLite."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

pytest.importorskip("psycopg")

from perdure.storage.postgres import PostgresBackend
from perdure.storage.postgres.parameters import Cells, columns_of, sent
from perdure.storage.postgres.statements import Statements, qualified, statements_of
from perdure.storage.postgres.talking import say
from perdure.storage.sql import Queries
from perdure.storage.sqlite.connections import C
from perdure.storage.sqlite.statements import Q
from perdure.storage.tables.statements import IN_ORDER

SCHEMA = f"statements_{os.getpid()}"  # one for each process that runs tests
FILES = (
    "threads",
    "items",
    "past",
    "texts",
    "forget",
    "check",
    "admin",
    "writing",
    "paths",
    "near",
    "prompt",
)
BLOCKS = Queries(*(f"queries/{name}.postgres.sql" for name in FILES))
OURS = set(
    Queries(*(f"queries/{name}.postgres.sql" for name in ("writing", "paths", "near", "prompt"))).texts
)
# What the other database alone is asked: its own checks, its transactions, indexes of paths.
THEIRS = {
    name
    for name in (*Q.texts, *C.texts)
    if name.startswith(("integrity_of_", "preselected_", "count_by_index"))
} | {
    "find_items", "greatest_numbers", "index_of_paths", "is_commit", "newest_seq", "plain_delete", "secure_delete",
}  # fmt: skip


@pytest.fixture(scope="module")
def connection(postgres_server: str, postgres_admin: Any) -> Any:
    postgres_admin.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    sign = "&" if "?" in postgres_server else "?"
    backend = PostgresBackend(f"{postgres_server}{sign}schema={SCHEMA}")
    connection = backend._line.take()
    yield connection
    backend._line.give(connection)
    backend.close()
    postgres_admin.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def plan_of(connection: Any, name: str, text: bytes | None = None) -> list[dict[str, Any]]:
    """The nodes of the plan that is made without any values."""
    text = statements_of(SCHEMA)[name].text if text is None else text
    say(connection, b"PREPARE looked_at AS " + text)
    try:
        ((places,),) = say(
            connection,
            b"SELECT cardinality(parameter_types)::int FROM pg_prepared_statements WHERE name = 'looked_at'",
        )
        values = f"({', '.join(['NULL'] * places)})" if places else ""
        cursor = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE looked_at{values}")
        plan = cursor.fetchall()[0][0]
    finally:
        say(connection, b"DEALLOCATE looked_at")
    found: list[dict[str, Any]] = []
    waiting = [plan[0]["Plan"] if not isinstance(plan, str) else json.loads(plan)[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += [{**inner, "Above": node["Node Type"]} for inner in node.get("Plans", ())]
    return found


@pytest.mark.parametrize("name", BLOCKS.texts)
def test_a_block_scans_only_what_its_comment_says(connection: Any, name: str) -> None:
    if BLOCKS.texts[name].split()[0] not in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
        return
    scanned = {
        node["Relation Name"]
        for node in plan_of(connection, name)
        if node["Node Type"] == "Seq Scan" and node["Relation Name"].startswith("perdure_")
    }

    if "Scan:" not in BLOCKS.comments[name] and "All rows go" not in BLOCKS.comments[name]:
        # Of one row, or of the sequence itself.
        assert scanned <= {
            "perdure_origin",
            "perdure_floor",
            "perdure_seq",
            "perdure_log_no",
            "perdure_namespace_no",
        }


@pytest.mark.parametrize("name", BLOCKS.texts)
def test_a_block_seeks_in_indexes(connection: Any, name: str) -> None:
    """What is planned while tables are small is done when they are large: no index is read from end to end for some rows of it."""
    if BLOCKS.texts[name].split()[0] not in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
        return
    rows = say(
        connection,
        b"SELECT c.relname::text, pg_get_indexdef(c.oid, 1, true)::text FROM pg_class c"
        b" WHERE c.relkind = 'i' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)",
        (SCHEMA,),
    )
    first = {index: column.strip("()") for index, column in rows}
    read_through = [
        node
        for node in plan_of(connection, name)
        if node.get("Index Name", "").startswith("perdure_")
        and first[node["Index Name"]] not in node.get("Index Cond", "").replace("(", "").replace(")", "")
        and node.get("Above") != "Limit"  # one end of it
    ]

    if "Scan:" not in BLOCKS.comments[name] and "All rows go" not in BLOCKS.comments[name]:
        assert [(node["Index Name"], node["Above"], node.get("Filter")) for node in read_through] == []


@pytest.mark.parametrize(
    "name", ["find_chains", "find_logs_by_name", "find_namespaces", "find_items_by_name"]
)
def test_what_a_commit_has_to_know_of_one_row_is_sought(connection: Any, name: str) -> None:
    block = statements_of(SCHEMA)[name]

    assert block.of_one is not None
    kinds = {node["Node Type"] for node in plan_of(connection, name, block.of_one)}
    assert not kinds & {"Seq Scan", "Function Scan", "Hash Join"}


@pytest.mark.parametrize("name", IN_ORDER)
def test_what_writes_rows_writes_one_without_unpacking_and_seeks(connection: Any, name: str) -> None:
    block = statements_of(SCHEMA)[name]

    assert block.of_one is not None
    assert b"unnest" not in block.of_one
    assert block.of_one.count(b"$") >= len(block.kinds)
    nodes = plan_of(connection, name, block.of_one)
    assert {node["Node Type"] for node in nodes} <= {
        "ModifyTable",
        "Result",
        "Index Scan",
        "Bitmap Heap Scan",
        "Bitmap Index Scan",
        "Subquery Scan",
    }


def test_what_takes_rows_twice_or_never_has_no_form_for_one() -> None:
    statements = statements_of(SCHEMA)

    assert statements["sure"].of_one is None
    assert statements["head"].of_one is None


@pytest.mark.parametrize(
    "name",
    ["items_of_many", "lapsed", "stood_of_many", "touched_of_many", "newest_missing", "postings_of_many", "frequency_of_many"],
)  # fmt: skip
def test_a_subtree_of_many_namespaces_is_not_read_through(connection: Any, name: str) -> None:
    """What is asked for is few rows of large tables: each is looked up in its namespace, never one namespace after the other."""
    nodes = plan_of(connection, name)

    assert {node["Index Name"] for node in nodes if node.get("Relation Name") == "perdure_namespaces"} == {
        "perdure_namespaces_pkey"
    }


@pytest.mark.parametrize("name", BLOCKS.texts)
def test_a_block_says_what_it_is_for(name: str) -> None:
    assert BLOCKS.comments[name].strip().startswith("--")


def test_each_block_has_a_twin_on_the_other_database() -> None:
    shared = set(Q.texts) | {name for name in C.texts if name.startswith("count_")}

    assert shared - THEIRS - set(BLOCKS.texts) == set()
    assert set(BLOCKS.texts) - shared - OURS == {
        "as_replica", "newest_commit", "oldest_between",
        "bytes_of_tables", "checkers", "failed_checksums", "older_readers", "relations", "tables", "this_moment", "what_it_is",
        "history_of_many", "item_of_many", "numbers_given", "run_of_many", "segments_of", "staged_of", "time_of_many",
        "find_items_by_name", "find_logs_by_name", "greatest_index", "newest_seqs", "seqs_of_commits", "terms", "words",
    }  # fmt: skip


def test_names_are_qualified_wherever_they_stand() -> None:
    assert qualified("SELECT nextval('perdure_seq') FROM perdure_items i", 'a "b\'s"') == (
        'SELECT nextval(\'"a ""b\'\'s""".perdure_seq\') FROM "a ""b\'s""".perdure_items i'
    )


def test_a_schema_of_any_name_is_used(postgres_server: str, postgres_admin: Any) -> None:
    sign = "&" if "?" in postgres_server else "?"
    backend = PostgresBackend(f"{postgres_server}{sign}schema=it%27s%20%22mine%22%20%C3%A9")
    try:
        with backend.read() as now:
            assert now.revision().seq == 0
    finally:
        backend.close()
        postgres_admin.execute("""DROP SCHEMA "it's ""mine"" é" CASCADE""")


@pytest.mark.parametrize(
    "column",
    [[1, -(1 << 63), (1 << 63) - 1], [None, 5], [7], [None]],
    ids=["ints", "null", "one", "no value"],
)
def test_columns_of_integers_arrive(connection: Any, column: list[int | None]) -> None:
    rows = [(value,) for value in column]

    assert say(connection, b"SELECT * FROM unnest($1::bigint[])", columns_of(("bigint",), rows)) == rows


@pytest.mark.parametrize("column", [[b"", b"\0\xff", b"x" * 100_000], [None, b"a"], [b"one"]])
def test_columns_of_bytes_arrive(connection: Any, column: list[bytes | None]) -> None:
    rows = [(value,) for value in column]

    assert say(connection, b"SELECT * FROM unnest($1::bytea[])", columns_of(("bytea",), rows)) == rows


def test_values_are_sent_with_their_types() -> None:
    assert sent([1, b"x", None, "é"]) == ((20, 17, 0, 25), [b"\0\0\0\0\0\0\0\1", b"x", None, "é".encode()])


def test_values_of_one_row_have_one_form_whichever_are_missing() -> None:
    assert sent(Cells((1, b"x"))) == ((0, 0), [b"\0\0\0\0\0\0\0\1", b"x"])
    assert sent(Cells((None, None))) == ((0, 0), [None, None])


def test_a_combined_statement_is_made_when_the_same_come_again() -> None:
    statements = Statements("s")
    names = ("remove_writes", "add_commit")

    assert statements.combined(names) is None
    text = statements.combined(names)

    assert text is not None
    assert b"$1::bigint[], $2::bytea[]) AS wanted (chain, checkpoint)" in text
    assert b"$3::bigint[], $4::bytea[], $5::bigint[]" in text
